//! The report: the outcome of a run as JSON, written whole or not at all.
//!
//! | file | holds |
//! |---|---|
//! | `form` | the structs that are written as JSON: the form, and what each field means |
//! | `bounded` | texts and lists that are never longer than a report may hold |
//! | `convert` | what the stages found, in that form |
//! | `logged` | what of it is said in a log |
//! | `recorder` | what is known so far, and who may end the run |
//!
//! Guarantees that a report that cannot be written is known before the guest starts, and
//! that it is bounded. Where and how it is written is `deliver`'s. `loader/report.schema.json`
//! describes it for those who read it: the tests make it of the form and compare.

mod bounded;
mod convert;
mod form;
mod logged;
mod recorder;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;

use crate::error::{Cause, StageError};
pub(crate) use convert::trusts;
pub(crate) use recorder::Recorder;
use std::fmt;

/// A report that cannot be written.
#[derive(Debug)]
pub(crate) struct ReportError {
    place: String,
    error: std::io::Error,
}

impl fmt::Display for ReportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot write to {}: {}", self.place, self.error)
    }
}

impl StageError for ReportError {
    const STAGE: &'static str = "report";

    fn code(&self) -> &'static str {
        "report.unwritable"
    }

    fn hint(&self) -> Option<String> {
        Some(
            "--report takes a file in a folder you can write to, a FIFO that is read, or fd:N of an open descriptor"
                .into(),
        )
    }

    fn cause(&self) -> Cause {
        Cause::Failed
    }
}
