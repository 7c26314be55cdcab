//! Stage *ready*: a [`Validated`] becomes a [`Ready`]: the module whose bytes get
//! audited and compiled.
//!
//! Either metered, or with its `start` function turned into an export and nothing
//! else. What comes out is validated a second time, so a defect of the rewriting
//! ends here and never in generated code.

use crate::meter::{self, MeterError};
use crate::validate::{Validated, recheck};
use bls_artifact::limits::IMAGE_BYTES_MAX;
use bls_artifact::manifest::Fuel;
use std::fmt;

/// Why a valid module cannot be made ready.
#[derive(Debug)]
pub enum ReadyError {
    /// It cannot be metered.
    Meter(MeterError),
    /// Our own output is not valid: a defect of ours.
    Invalid(wasmparser::Error),
    /// Metered, it is longer than an image could be.
    TooLong(usize),
}

impl fmt::Display for ReadyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meter(error) => error.fmt(f),
            Self::Invalid(error) => write!(
                f,
                "internal error: the metered module is not valid: {} at offset {:#x}",
                error.message(),
                error.offset()
            ),
            Self::TooLong(bytes) => write!(f, "the metered module would have {bytes} bytes"),
        }
    }
}

impl std::error::Error for ReadyError {}

impl ReadyError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Meter(error) => error.code(),
            Self::Invalid(_) => "meter.invalid",
            Self::TooLong(_) => "meter.too-long",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Meter(error) => error.hint(),
            Self::Invalid(_) => Some(
                "this is a defect of bls-compile; please report it, with the module".to_owned(),
            ),
            Self::TooLong(_) => Some("split the module".to_owned()),
        }
    }
}

/// A module ready to be audited and compiled.
#[derive(Debug)]
pub struct Ready {
    wasm: Vec<u8>,
    fuel: Option<Fuel>,
}

impl Ready {
    /// The binary module.
    #[must_use]
    pub fn wasm(&self) -> &[u8] {
        &self.wasm
    }

    /// How it is metered; `None` when it is not.
    #[must_use]
    pub fn fuel(&self) -> Option<&Fuel> {
        self.fuel.as_ref()
    }
}

/// Meters a module, or with `metered` false only moves its `start` function out
/// of the way.
///
/// # Errors
/// [`ReadyError`].
pub fn ready(module: &Validated, metered: bool) -> Result<Ready, ReadyError> {
    if metered {
        let metered = meter::meter(module).map_err(ReadyError::Meter)?;
        of_another(module, metered.wasm, Some(metered.fuel))
    } else {
        let wasm = meter::strip_start(module).map_err(ReadyError::Meter)?;
        of_another(module, wasm, None)
    }
}

/// What somebody else made of `module`, and says of its fuel. Only that it is valid is shown
/// here: what it does is for the audit to say.
///
/// # Errors
/// [`ReadyError`].
pub(crate) fn of_another(
    module: &Validated,
    wasm: Vec<u8>,
    fuel: Option<Fuel>,
) -> Result<Ready, ReadyError> {
    if wasm.len() as u64 > IMAGE_BYTES_MAX {
        return Err(ReadyError::TooLong(wasm.len()));
    }
    if fuel.is_some() || wasm != module.bytes() {
        recheck(&wasm, module.features()).map_err(ReadyError::Invalid)?;
    }
    Ok(Ready { wasm, fuel })
}
