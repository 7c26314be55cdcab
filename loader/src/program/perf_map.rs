//! `--perf-map`: the names of a guest's functions for `perf`, which looks for them in
//! `/tmp/perf-PID.map` once a process has ended.
//!
//! It looks there for code that is in no file; so the code is copied into the process's own memory,
//! as where the system gives no file in memory (`map::Guests`).
//!
//! `/tmp` is everybody's: the file is made anew, with nobody else's hand in it, follows no link
//! and takes the place of nothing, and only its owner reads it. It is written before the guest
//! runs, and stays: whoever asks for it removes it. What the guest's functions are called is the
//! guest's choice, and is written as plain text.

use crate::error::{Cause, StageError, printable_name};
use bls_artifact::demangle::readable;
use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use wasmtime::Module;

/// A map that cannot be written.
#[derive(Debug)]
pub(crate) struct PerfMapError {
    path: String,
    error: io::Error,
}

impl fmt::Display for PerfMapError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot make {}: {}", self.path, self.error)
    }
}

impl StageError for PerfMapError {
    const STAGE: &'static str = "perf-map";

    fn code(&self) -> &'static str {
        "perf-map.unwritable"
    }

    fn hint(&self) -> Option<String> {
        Some(match self.error.kind() {
            io::ErrorKind::AlreadyExists => format!(
                "it was left by an earlier process of that number, or put there by somebody: rm {}",
                self.path
            ),
            _ => "perf looks there and nowhere else; leave --perf-map out".into(),
        })
    }

    fn cause(&self) -> Cause {
        Cause::Failed
    }
}

/// Writes the map of the code that a module has.
pub(crate) fn write(module: &Module) -> Result<(), PerfMapError> {
    let path = format!("/tmp/perf-{}.map", std::process::id());
    // Not through a link either: it must not be there.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let written = file.and_then(|mut file| file.write_all(map(module).as_bytes()));
    written.map_err(|error| PerfMapError { path, error })
}

/// A line for each function: where it begins, how long it is, and its name.
fn map(module: &Module) -> String {
    let start = module.text().as_ptr().addr();
    let mut text = String::new();
    for function in module.functions() {
        let name = match &function.name {
            Some(name) => printable_name(&readable(name)),
            None => format!("function {}", function.index.as_u32()),
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "{:x} {:x} {name}", start + function.offset, function.len);
    }
    text
}
