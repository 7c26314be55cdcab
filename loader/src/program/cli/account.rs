//! Options of the account that is kept of a run: what they hold, and which go together.

use super::{ReportTarget, UsageError, usage};
use std::path::PathBuf;

/// The account that is to be kept of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AccountOptions {
    pub(crate) metrics: Option<ReportTarget>,
    pub(crate) receipt: Option<PathBuf>,
    pub(crate) receipt_key: Option<PathBuf>,
    /// The bls-account that keeps it.
    pub(crate) program: Option<PathBuf>,
}

impl AccountOptions {
    /// A receipt and its key come together.
    pub(super) fn check(&self) -> Result<(), UsageError> {
        match (&self.receipt, &self.receipt_key) {
            (Some(_), None) => Err(usage("--receipt is to be signed: --receipt-key FILE")),
            (None, Some(_)) => Err(usage("--receipt-key signs what --receipt FILE writes")),
            _ => Ok(()),
        }
    }

    /// Whether something is to be kept.
    pub(crate) fn is_any(&self) -> bool {
        self.metrics.is_some() || self.receipt.is_some()
    }
}
