//! The commands, one file each.

mod run;
mod trust;
mod verify;

use crate::cli::{self, Command};
use crate::error::{Failure, say};
use crate::outcome::FAILED;
use std::ffi::OsString;
use std::io::Write as _;

/// Does what the command line says.
pub(crate) fn main(words: impl Iterator<Item = OsString>) -> u8 {
    let result = match cli::parse(words) {
        Ok(Command::Run(options)) => run::run(&options),
        Ok(Command::Verify(options)) => verify::verify(*options),
        Ok(Command::TrustAdd(key)) => trust::add(&key),
        Ok(Command::TrustList(file)) => trust::list(file.as_deref()),
        Ok(Command::Print(text)) => print(&text),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => 0,
        Err(failure) => {
            say(&failure);
            FAILED
        }
    }
}

/// Writes `text` to stdout. A reader that has read enough is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut output = std::io::stdout();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure {
            stage: "output",
            code: "output.closed",
            what: format!("cannot write to stdout: {error}"),
            hint: None,
        }),
        _ => Ok(()),
    }
}
