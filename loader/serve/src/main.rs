//! bls-serve: artifacts answer HTTP requests, an instance for each.

fn main() -> std::process::ExitCode {
    bls_serve::program::main()
}
