//! bls-oci: artifacts as containers, before the node's own OCI runtime.

fn main() -> std::process::ExitCode {
    bls_oci::program::main()
}
