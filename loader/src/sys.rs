//! Everything unsafe of the loader, each operation behind a safe function.
//!
//! Guarantees that no caller can break memory safety through these functions,
//! whatever it passes.

pub(crate) mod allocator;
pub(crate) mod code;
pub(crate) mod cpu;
pub(crate) mod crash;
pub(crate) mod descriptor;
pub(crate) mod filter;
pub(crate) mod function;
pub(crate) mod interrupt;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod stack;
pub(crate) mod usage;
