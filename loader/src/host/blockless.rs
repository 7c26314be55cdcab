//! The interfaces of the Blockless network: nothing is done for them yet.

/// The functions, in the order of the table.
pub(crate) const ROWS: &[super::wiring::Row] = &[];
