//! The account of runs: metrics in Prometheus' text format, and signed receipts.
//!
//! | file | what |
//! |---|---|
//! | `program` | the command line: everything that prints or ends the process |
//! | `record` | one run, as `bls-load` tells of it: from its beginning to its end |
//! | `run` | what a report says that an account needs |
//! | `metrics` | counters of all runs, in one file |
//! | `receipt` | one run, signed: made and verified |
//! | `place` | files that appear whole, and keys that are one's own |
//! | `sys` | signals |
//!
//! A process of its own, for two reasons. The process in which a guest runs is to hold nothing
//! worth stealing (SECURITY.md, "The second wall"), so it has no key; and what a run is known by
//! (its artifact, its limits, what it was granted) is told here before the guest's first
//! instruction, and cannot be told anew: a guest that broke the engine could lie about how it
//! ended, and about nothing else. Depends on nothing of the loader: all it knows is the report
//! (`loader/report.schema.json`).

pub mod metrics;
pub mod place;
pub mod program;
pub mod receipt;
pub mod record;
pub mod run;
mod sys;

use std::fmt;

/// Why somebody gets no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A command line that makes no sense.
    Usage,
    /// `record` without a host.
    NoSocket,
    /// A key that cannot be read, or is none.
    Key,
    /// A place where nothing can be written.
    Unwritable,
    /// A file of metrics that is not one of ours.
    Metrics,
    /// What the host says of the run makes no sense, or not beside what it said before.
    Run,
    /// A file that is no receipt.
    NotAReceipt,
    /// A receipt that is not signed by this key.
    Signature,
    /// A receipt of something else than what was given beside it.
    Differs,
    /// A file that cannot be read.
    Unreadable,
}

impl Defect {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Usage => "account.usage",
            Self::NoSocket => "account.no-socket",
            Self::Key => "account.key",
            Self::Unwritable => "account.unwritable",
            Self::Metrics => "account.metrics",
            Self::Run => "account.run",
            Self::NotAReceipt => "receipt.form",
            Self::Signature => "receipt.signature",
            Self::Differs => "receipt.differs",
            Self::Unreadable => "account.unreadable",
        }
    }
}

/// What somebody is told who gets no further.
#[derive(Debug)]
pub struct Failure {
    /// Its kind.
    pub defect: Defect,
    /// What was wrong, in a sentence.
    pub what: String,
    /// What can be done.
    pub hint: &'static str,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(defect: Defect, what: impl fmt::Display, hint: &'static str) -> Self {
        Self { defect, what: what.to_string(), hint }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}
