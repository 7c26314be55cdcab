//! Failures as the user reads them: a stage, a sentence, and what to do.
//!
//! Each stage has its own error enum; this module only prints. Guarantees that
//! every failure comes out in the one form: `bls-load: <stage>: <what>`, an optional
//! `hint:` line, and a `code:` line with the name that stays the same when words change
//! (SECURITY.md, "Refusals").

use std::fmt;

/// Whose fault it is that nothing ran: the report's word for an end that is none of a guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// What was given is not what may run here: the same again is refused again.
    Refused,
    /// The system did not give what is needed, or this program is at fault.
    Failed,
}

/// The error of one stage.
pub trait StageError: fmt::Display {
    /// The stage's name, as printed.
    const STAGE: &'static str;

    /// Its name: one for each kind of defect, and no two kinds with the same.
    fn code(&self) -> &'static str;

    /// What a user can do about it.
    fn hint(&self) -> Option<String>;

    /// Whose fault it is.
    fn cause(&self) -> Cause {
        Cause::Refused
    }
}

/// An error of any stage, ready to be printed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The stage that failed.
    pub(crate) stage: &'static str,
    /// The name of the defect.
    pub(crate) code: &'static str,
    /// What was wrong, in a sentence.
    pub(crate) what: String,
    /// What a user can do about it.
    pub(crate) hint: Option<String>,
    /// Whose fault it is.
    pub(crate) cause: Cause,
}

impl<E: StageError> From<E> for Failure {
    fn from(error: E) -> Self {
        let (code, what, hint) = (error.code(), error.to_string(), error.hint());
        Self { stage: E::STAGE, code, what, hint, cause: error.cause() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "bls-load: {}: {}", self.stage, printable(&self.what))?;
        if let Some(hint) = &self.hint {
            write!(formatter, "\nhint: {}", printable(hint))?;
        }
        write!(formatter, "\ncode: {}", self.code)
    }
}

/// Words that may be a guest's, without what would move a terminal's cursor or
/// begin a line of its own.
pub(crate) fn printable(words: &str) -> String {
    words.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// Prints a line to stderr. A closed stderr is no reason to fail.
pub(crate) fn say(line: &dyn fmt::Display) {
    use std::io::Write as _;
    // One write for one line, so that lines of two programs do not mix.
    let text = format!("{line}\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
}
