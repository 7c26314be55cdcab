//! The program `bls-load`: everything that reads the command line, prints, exits, waits
//! for signals or changes what belongs to the whole process.
//!
//! One user of the library among others: it asks the stages, in their order
//! (`cmd/run.rs`), and says what came of it. Nothing outside this folder may use it.

mod account;
pub(crate) mod cli;
mod cmd;
mod compile;
mod config;
mod coredump;
mod debug_file;
mod deliver;
mod explain;
mod jitdump;
mod log;
pub(crate) mod manner;
mod module;
mod node;
mod perf_map;
mod profile;
mod pull;
mod report;
mod stdin;
mod streams;
mod watch;

use crate::built::{self, NotBuilt};
use crate::run::outcome;
use crate::sys;
use bls_artifact::text::printable_lines;
use deliver::write_within;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

/// The program: reads the command line, does what it says, gives the exit code.
///
/// Does what Rust's own start-up would do and a program must not go without:
/// descriptors 0 to 2 are open, and a closed pipe is an error, not the end. Whatever the
/// parent left of signals, they are in a known state.
#[must_use]
pub fn main() -> u8 {
    use std::io::Write as _;
    sys::signal::begin();
    sys::crash::begin();
    // Before it could be taken for a standard stream.
    let executed = sys::descriptor::executed();
    if !sys::descriptor::open_standard_streams() {
        say(
            &"bls-load: start: there is no descriptor to be had, not even for standard streams\nhint: allow more open files: ulimit -n",
        );
        return outcome::FAILED;
    }
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    let is_node = Path::new(&called).file_name() == Some(OsStr::new(node::NAME));
    let code = match executed {
        Some(descriptor) => cmd::executed(descriptor, words),
        None if is_node && built::NODE => node::main(words),
        None if is_node => cmd::refuse(NotBuilt::Node),
        None => cmd::main(words.collect()),
    };
    // Nobody else does it behind a `main` of C's. What cannot be written any
    // more has been reported where it was written.
    let _ = std::io::stdout().flush();
    code
}

/// Prints a line, or several, to stderr. A closed stderr is no reason to fail. Foreign
/// text in it has gone through [`printable`](crate::error::printable); whatever has not reaches no terminal as it
/// is, but could begin a line.
pub(crate) fn say(line: &dyn fmt::Display) {
    use std::os::fd::AsFd as _;
    // One write for one line, so that lines of two programs do not mix.
    let text = format!("{line}\n");
    // Not through the lock of `Stderr`: whoever holds it may wait for a reader.
    let _ = write_within(std::io::stderr().as_fd(), printable_lines(&text).as_bytes(), None);
}
