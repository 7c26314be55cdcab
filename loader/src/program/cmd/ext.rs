//! `bls-load ext ...`: becomes `bls-broker`, which keeps the registry of extensions.

use crate::error::Failure;
use crate::outside::{BrokerError, beside};
use crate::sys;
use std::ffi::{OsStr, OsString};

/// Becomes `bls-broker ext` with these words; comes back only where that fails.
pub(super) fn hand_over(words: &[OsString]) -> Result<(), Failure> {
    let program = beside()?;
    let words = std::iter::once(OsStr::new("ext")).chain(words.iter().map(OsString::as_os_str));
    let error = sys::process::replace(&program, &words.collect::<Vec<_>>());
    Err(BrokerError::Start(program, error).into())
}
