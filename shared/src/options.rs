//! The options of a run, as bls-load's command line has them.
//!
//! For whoever hands them on without reading them, as `bls-compile run` does, and for
//! suggestions. Tests of the loader hold the list to its help text and to what it reads.

/// What stands behind an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A value, in the next word or behind a `=`.
    Value,
    /// Perhaps a value, and then behind a `=`.
    MaybeValue,
}

use Takes::{MaybeValue, Nothing, Value};

/// Every option that a run of any artifact can have, without its dashes.
pub const RUN: [(&str, Takes); 27] = [
    ("dir", Value),
    ("dir-ro", Value),
    ("env", Value),
    ("stdin", Value),
    ("deny", Value),
    ("only-declared", Nothing),
    ("policy", Value),
    ("fuel", Value),
    ("timeout", Value),
    ("max-memory", Value),
    ("max-stack", Value),
    ("max-output", Value),
    ("max-descriptors", Value),
    ("trust", Value),
    ("clock-unset", Nothing),
    ("require-fuel", Nothing),
    ("require-deterministic", Nothing),
    ("invoke", Value),
    ("argv0", Value),
    ("deterministic", Nothing),
    ("seed", Value),
    ("epoch", Value),
    ("unknown-imports", Value),
    ("report", Value),
    ("fuel-profile", MaybeValue),
    ("explain", Nothing),
    ("store", Value),
];

/// What stands behind the option of this name; `None` where a run has none.
#[must_use]
pub fn takes(name: &str) -> Option<Takes> {
    RUN.iter().find(|(known, _)| *known == name).map(|(_, takes)| *takes)
}
