//! What went wrong, as it is told.

use bls_artifact::artifact::FrameError;
use bls_artifact::registry::Defect;
use std::fmt;
use std::path::Path;

/// Why something was not pushed, pulled or made.
#[derive(Debug)]
pub struct Error {
    code: &'static str,
    what: String,
    hint: String,
}

impl Error {
    /// An error of this kind, in a sentence.
    #[must_use]
    pub fn new(defect: Defect, what: impl Into<String>) -> Self {
        Self { code: defect.code(), what: what.into(), hint: defect.hint().to_owned() }
    }

    /// The same with another hint than the kind's.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// What is wrong with a file that is no artifact; `code` and `hint` are those of what
    /// bls-load says of it.
    #[must_use]
    pub fn of_artifact(
        path: &Path,
        code: &'static str,
        what: &dyn fmt::Display,
        hint: &str,
    ) -> Self {
        Self { code, what: format!("{}: {what}", path.display()), hint: hint.to_owned() }
    }

    /// The framing of a file is broken.
    #[must_use]
    pub fn of_frame(path: &Path, error: &FrameError) -> Self {
        Self::of_artifact(path, error.code(), error, error.hint())
    }

    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Whether it is of this kind.
    #[must_use]
    pub fn is(&self, defect: Defect) -> bool {
        self.code == defect.code()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl std::error::Error for Error {}
