//! Failures as the user reads them: a stage, a sentence, and what to do.
//!
//! Each stage has its own error enum; this module only prints. Guarantees that
//! every failure comes out in the one form: `bls-load: <stage>: <what>`, an optional
//! `hint:` line, and a `code:` line with the name that stays the same when words change
//! (SECURITY.md, "Refusals").

pub(crate) use bls_artifact::text::{printable, printable_name, printable_path};
use rustix::io::Errno;
use std::fmt;

/// Exit code when the artifact is refused or the loader fails.
pub(crate) const FAILED: u8 = 125;

/// Whether a run was refused or failed: `outcome.kind` in the report where the guest did not
/// decide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// What was given is not what may run here: the same again is refused again.
    Refused,
    /// The system did not give what is needed, or this program is at fault.
    Failed,
}

impl Cause {
    /// Why the system does not give what somebody named. Refused: it is not there, it is of
    /// another kind, or this user may not have it. Failed: the system is short of
    /// something, or a disk is bad.
    pub(crate) fn of_named(errno: Errno) -> Self {
        match errno {
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::ISDIR
            | Errno::LOOP
            | Errno::NAMETOOLONG
            | Errno::ACCESS
            | Errno::PERM => Self::Refused,
            _ => Self::Failed,
        }
    }

    /// The same of an error of the standard library's. One that is no system's, such as that
    /// of a name with a zero byte in it, is about what was named.
    pub(crate) fn of_named_io(error: &std::io::Error) -> Self {
        Errno::from_io_error(error).map_or(Self::Refused, Self::of_named)
    }
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
#[derive(Clone, Debug)]
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

/// Why something that the library was asked for did not come to be: any stage's error.
///
/// Its [`code`](Error::code) stays the same when words change (SECURITY.md, "Refusals"), so it
/// is what to compare with; `source` is what the system or the engine said.
#[derive(Debug)]
pub struct Error {
    failure: Failure,
    stage_error: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// The stage that failed, in a word: `open`, `verify`, `policy`, `grant`, `map`, `link`,
    /// `run`.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        self.failure.stage
    }

    /// The name of the defect, such as `trust.unknown-key`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.failure.code
    }

    /// What can be done about it, in the words of `bls-load`'s command line.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.failure.hint.as_deref()
    }

    /// Whether it would be refused again, or the system did not give what is needed.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.failure.cause
    }

    /// The stage's own error, if it is of this type: `open::OpenError`,
    /// `verify::VerifyError`, `store::StoreError`, `map::MapError`.
    #[must_use]
    pub fn stage_error<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.stage_error.as_ref()?.downcast_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.failure.stage, printable(&self.failure.what))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.stage_error.as_ref()?.source()
    }
}

impl<E: StageError + std::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let (code, what, hint) = (error.code(), error.to_string(), error.hint());
        let failure =
            Failure { stage: E::STAGE, code, what, hint, cause: StageError::cause(&error) };
        Self { failure, stage_error: Some(Box::new(error)) }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self { failure, stage_error: None }
    }
}
