//! `bls-load verify-receipt ...`: becomes `bls-account`, which knows receipts.

use crate::error::Failure;
use crate::program::account::{AccountError, beside};
use crate::sys;
use std::ffi::{OsStr, OsString};

/// Becomes `bls-account verify` with these words; comes back only where that fails.
pub(super) fn hand_over(words: &[OsString]) -> Result<(), Failure> {
    let program = beside()?;
    let words = std::iter::once(OsStr::new("verify")).chain(words.iter().map(OsString::as_os_str));
    let error = sys::process::replace(&program, &words.collect::<Vec<_>>());
    Err(AccountError::Start(program, error).into())
}
