//! The `bls-compile` program. Everything is in the library.

fn main() -> std::process::ExitCode {
    bls_compiler::program::main()
}
