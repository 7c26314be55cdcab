//! Calls into a guest that stands.

use super::outcome::Outcome;
use crate::error::Error;
use std::fmt;
use wasmtime::TypedFunc;

/// Why a call has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// Nothing was called: there is no such function, its type is another, or the guest has
    /// ended before.
    Refused(Error),
    /// The guest ended in it, and cannot be called again.
    Ended(Outcome),
}

impl fmt::Display for CallError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(formatter),
            Self::Ended(outcome) => outcome.fmt(formatter),
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => error.source(),
            Self::Ended(_) => None,
        }
    }
}

impl<E: Into<Error>> From<E> for CallError {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// An exported function of an [`Instance`](crate::Instance), found once and called often.
pub struct Function<Parameters, Results>(pub(crate) TypedFunc<Parameters, Results>);

impl<Parameters, Results> fmt::Debug for Function<Parameters, Results> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Function")
    }
}
