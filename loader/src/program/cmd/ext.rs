//! `bls-load ext ...`: becomes `bls-broker`, which keeps the registry of extensions.

use crate::error::Failure;
use crate::outside::{BrokerError, beside};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Becomes `bls-broker ext` with these words; comes back only where that fails.
pub(super) fn hand_over(words: &[OsString]) -> Result<(), Failure> {
    let program = beside()?;
    let error = Command::new(&program).arg("ext").args(words).exec();
    Err(BrokerError::Start(program, error).into())
}
