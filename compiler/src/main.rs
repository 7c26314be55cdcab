//! The `bls-compile` program. Everything is in the library.

/// So that the process that compiles can say that it was out of memory.
#[global_allocator]
static MEMORY: bls_compiler::program::Memory = bls_compiler::program::Memory;

fn main() -> std::process::ExitCode {
    bls_compiler::program::main()
}
