//! How a guest ended, for embedders.

use crate::run::outcome::{Limit, TrapReport};
use crate::run::{Burned, Consumption};
use std::fmt;
use wasmtime::Val;

/// How a guest ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It returned (0), or called `proc_exit` with this code.
    Exited(u32),
    /// It trapped.
    Trapped(TrapReport),
    /// Its budget of fuel was used up.
    OutOfFuel,
    /// It met another limit: which, and in a sentence.
    Limit(Limit, String),
    /// Somebody stopped it ([`Cancel`](crate::Cancel)).
    Cancelled,
    /// The engine or the system failed in a call, which gave the error: in these words.
    Failed(String),
}

impl Outcome {
    /// Whether it ended of its own will, with code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exited(0))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "the guest exited with code {code}"),
            Self::Trapped(trap) => trap.fmt(formatter),
            Self::OutOfFuel => formatter.write_str("the guest is out of fuel"),
            Self::Limit(limit, what) => write!(formatter, "{} limit: {what}", limit.name()),
            Self::Cancelled => formatter.write_str("the guest was cancelled"),
            Self::Failed(what) => formatter.write_str(what),
        }
    }
}

impl std::error::Error for Outcome {}

/// What a guest has consumed, in units of fuel (FUEL.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fuel {
    /// What it had; `None` where it was only counted.
    pub budget: Option<u64>,
    /// What it used.
    pub used: u64,
    /// Whether that is exact. After some traps, and when it was stopped, it is not: then it
    /// is the whole budget, or without one a lower bound.
    pub exact: bool,
}

impl From<Consumption> for Fuel {
    fn from(consumption: Consumption) -> Self {
        let (used, exact) = match consumption.burned {
            Burned::Exactly(units) => (units, true),
            Burned::AtMost(units) | Burned::AtLeast(units) => (units, false),
        };
        Self { budget: consumption.budget, used, exact }
    }
}

/// A run that is over.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ended {
    /// How it ended.
    pub outcome: Outcome,
    /// What it consumed; `None` when the artifact is not metered.
    pub fuel: Option<Fuel>,
    /// The most bytes that all its memories and tables had together, with what the host
    /// held for it.
    pub peak_memory: u64,
    /// Limits that it was told of while it ran, by calls that failed: `memory`, `table`,
    /// `descriptors`.
    pub limits_met: Vec<&'static str>,
    /// What the call gave.
    pub results: Vec<Val>,
    /// What it wrote, where standard output is [`Sink::bytes`](crate::Sink::bytes).
    pub stdout: Vec<u8>,
    /// The same of standard error.
    pub stderr: Vec<u8>,
}
