//! The loader: from an artifact's bytes to the outcome of a run.
//!
//! ```text
//! artifact.bls ─ open ─ verify ─ map ─ link ─ run ─► outcome
//! ```
//!
//! Each arrow is one module with one entry function; the next accepts only what
//! the one before gives, and only that one can make it. So *verify before map* is
//! checked by the Rust compiler: [`map()`](map::map) takes a [`verify::Verified`],
//! and only [`verify()`](verify::verify) makes one. `cmd/run.rs` reads as the
//! whole story.
//!
//! `unsafe` is in `sys/` only.

#![deny(unsafe_code)]

mod cli;
mod cmd;
mod compatibility;
mod deliver;
mod demangle;
pub mod error;
mod explain;
pub mod freshness;
mod fuel_profile;
mod grant;
mod guarded;
pub mod host;
mod image;
mod limit;
mod link;
pub mod map;
pub mod open;
mod outcome;
mod policy;
mod report;
mod run;
pub mod state;
pub mod store;
#[allow(unsafe_code, reason = "the one place for it; each block carries its argument")]
mod sys;
mod trust;
mod value;
pub mod verify;
mod watch;

/// The program: reads the command line, does what it says, gives the exit code.
///
/// Does what Rust's own start-up would do and a program must not go without:
/// descriptors 0 to 2 are open, and a closed pipe is an error, not the end. Whatever the
/// parent left of signals, they are in a known state.
#[must_use]
pub fn main() -> u8 {
    use std::io::Write as _;
    sys::environment::without_backtraces();
    sys::signal::begin();
    if !sys::descriptor::open_standard_streams() {
        error::say(
            &"bls-load: start: there is no descriptor to be had, not even for standard streams\nhint: allow more open files: ulimit -n",
        );
        return outcome::FAILED;
    }
    let code = cmd::main(std::env::args_os().skip(1));
    // Nobody else does it behind a `main` of C's. What cannot be written any
    // more has been reported where it was written.
    let _ = std::io::stdout().flush();
    code
}
