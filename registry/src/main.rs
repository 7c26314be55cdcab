//! bls-registry: artifacts and images to and from OCI registries.

fn main() -> std::process::ExitCode {
    bls_registry::program::main()
}
