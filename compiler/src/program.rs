//! The program `bls-compile`: the command line, the keys on disk, files, progress, and
//! everything that prints or exits.
//!
//! One user of [`crate::pipeline`] among others. Nothing outside this folder may use it.

pub mod cache;
pub mod cli;
mod cmd;
pub mod keystore;
pub mod modules;
pub mod output;
pub mod progress;
pub mod signer;

pub use crate::sys::Memory;
pub use cmd::main;

use std::env;
use std::path::PathBuf;

/// The program of this name beside this one; else whichever PATH has.
fn sibling(name: &str) -> PathBuf {
    let beside = env::current_exe().ok().map(|program| program.with_file_name(name));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| name.into())
}
