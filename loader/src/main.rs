//! bls-load: verifies, maps and runs signed native artifacts.
//!
//! C's `main`, not Rust's: the standard library's start-up asks the kernel for
//! the whole map of the process to find its stack, which takes longer than
//! checking a signature. What of it is needed, `bls_loader::main` does itself.

#![no_main]

#[cfg(all(target_feature = "crt-static", target_env = "gnu"))]
mod slim;

/// What the C library calls.
// SAFETY: no other symbol of the program is called `main`, and the C library
// calls this one with a signature that it is compatible with.
#[allow(unsafe_code, reason = "the name that the C library looks for")]
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    i32::from(bls_loader::main())
}
