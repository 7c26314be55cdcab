//! WASI 0.2 as a core module: what a component imports, in terms of preview 1.
//!
//! `bls-compile` links this module into every component (compiler/src/link/component.rs). It has a
//! memory of its own, which is the one that the host's preview 1 functions work on; what it takes
//! from a component and gives to it is copied between the two memories by functions that the
//! linker generates (`guest`).
//!
//! Each export is named `PACKAGE:NAME/INTERFACE#FUNCTION`, without a version, and takes what the
//! canonical ABI says, behind a [`guest::Caller`]: who calls. The rules of the canonical ABI hold:
//! a handle is one of the caller's own table and of the right type, text is UTF-8 (or what the
//! caller's options say), pointers are aligned, and what breaks a rule traps.
//!
//! Trusted with nothing: it runs inside the sandbox, metered as other code, and reaches nothing
//! that the component could not reach by preview 1 itself.
//!
//! There are four of it: with `--cfg network` for components that make requests by HTTP of their
//! own or use sockets, which import more of the host, and without it for all others; of each one
//! with `--cfg typed` for libraries, whose functions are called by their types.
#![no_std]
#![cfg_attr(not(network), allow(dead_code, reason = "what no requests are made of has no values"))]

extern crate alloc;

mod allocator;
mod cli;
mod clocks;
mod errors;
mod files;
mod guest;
mod handles;
mod http;
mod objects;
mod poll;
mod preview1;
#[cfg(network)]
mod sockets;
mod streams;
mod transcode;
#[cfg(typed)]
mod typed;

use core::cell::UnsafeCell;

/// Ends the program as a broken rule does.
fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    trap()
}

/// State of the module. There is one thread, and no function of this module is called while
/// another one of it runs: the linker's functions see to that.
struct Only<T>(UnsafeCell<T>);

// SAFETY: there is one thread.
unsafe impl<T> Sync for Only<T> {}

impl<T> Only<T> {
    const fn new(state: T) -> Self {
        Self(UnsafeCell::new(state))
    }

    /// The state. Nobody keeps it while something else is called that takes it too.
    #[expect(clippy::mut_from_ref, reason = "there is one thread, and nobody keeps it")]
    fn get(&self) -> &mut T {
        // SAFETY: one thread, and no caller keeps it across a call that takes it again.
        unsafe { &mut *self.0.get() }
    }
}
