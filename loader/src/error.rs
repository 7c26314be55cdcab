//! Failures as the user reads them: a stage, a sentence, and what to do.
//!
//! Each stage has its own error enum; this module only prints. Guarantees that
//! every failure comes out in the one form: `bls-load: <stage>: <what>`, an optional
//! `hint:` line, and a `code:` line with the name that stays the same when words change
//! (SECURITY.md, "Refusals").

pub(crate) use bls_artifact::text::{printable, printable_name, printable_path};
use std::fmt;

/// Whether a run was refused or failed: `outcome.kind` in the report where the guest did not
/// decide it.
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
