//! The program: reads its words, serves, and says why not. Only this module ends the process,
//! but for the processes that it makes.

use crate::options::{self, Command};
use crate::{Defect, Failure, keeper};
use bls_artifact::text::printable;
use std::io::Write as _;
use std::process::ExitCode;

/// Exit code of a refusal, as bls-load has it.
const FAILED: u8 = 125;
/// Exit code of a command line that is none.
const USAGE: u8 = 2;

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let served = match options::parse(std::env::args_os().skip(1)) {
        Ok(Command::Print(text)) => {
            // A reader that has gone is no failure.
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Ok(Command::Serve(options)) => keeper::run(&options),
        Err(failure) => Err(failure),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure);
            let is_usage = failure.code == Defect::Usage.code();
            ExitCode::from(if is_usage { USAGE } else { FAILED })
        }
    }
}

/// Says why, in the form that all programs have.
fn say(failure: &Failure) {
    let mut text = format!("bls-serve: {}\n", printable(&failure.what));
    if let Some(hint) = &failure.hint {
        text += &format!("hint: {}\n", printable(hint));
    }
    text += &format!("code: {}\n", failure.code);
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Says something about what goes on, in a line on standard error.
pub(crate) fn notice(what: &str) {
    let line = format!("bls-serve: {}\n", printable(what));
    let _ = std::io::stderr().write_all(line.as_bytes());
}
