//! The library: from an artifact to a guest that runs, for programs that hold guests.
//!
//! A [`Loader`] verifies, a [`Runner`] runs once or makes an [`Instance`] that is called as
//! often as one likes, a pool (`pool.rs`, with the feature of that name) keeps many. Nothing
//! here prints, exits, reads the command line or the environment, or changes a descriptor, a
//! directory or the panic hook. Signals: the engine handles SIGSEGV, SIGILL, SIGBUS and SIGFPE for traps, as
//! wasmtime does wherever it runs; a guest with a limit on time or a [`Cancel`] is stopped by
//! SIGURG.

pub(crate) mod call;
pub(crate) mod function;
pub(crate) mod instance;
pub(crate) mod load;
pub(crate) mod outcome;
#[cfg(feature = "pool")]
pub(crate) mod pool;
mod refusal;
pub(crate) mod runner;
pub(crate) mod stdio;
pub(crate) mod stopping;
mod timer;
#[cfg(feature = "pool")]
pub(crate) mod wall;
