//! bls-load: verifies, maps and runs signed native artifacts.

fn main() -> std::process::ExitCode {
    bls_loader::main()
}
