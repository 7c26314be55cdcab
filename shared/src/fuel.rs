//! The fuel model's identity, and the names that metering reserves.
//!
//! FUEL.md is normative. The weights themselves live in the compiler, which has
//! the list of operators; a test there holds [`COST_TABLE_SHA256`] to them. A
//! loader runs an artifact only when both this model and this table are meant.

use crate::digest::Sha256;

/// The model that this release meters with and accounts for.
pub const MODEL: &str = "bls-fuel-4";
/// The version of the plan: where charges stand. It changes which of
/// *trap* and *out of fuel* a run ends with when the budget covers the trap but
/// not its region; it never changes what a run that ends well consumes.
pub const PLAN: u32 = 5;
/// SHA-256 of the canonical text of the cost table (FUEL.md, "Cost table").
pub const COST_TABLE_SHA256: &str =
    "678582b6dcfa1e82981f7e068644cc47ef108718dd2cd224eccb012f44936de0";

/// The exported mutable `i64` global: budget − consumed.
pub const COUNTER_EXPORT: &str = "__bls_fuel";
/// The exported function that was the module's `start` function.
pub const START_EXPORT: &str = "__bls_start";
/// What the exported counters by function of a profile build are called, before the
/// function's index.
pub const PROFILE_EXPORT: &str = "__bls_fuel_";
/// The manifest's extension that says so; its value is [`PROFILE_VERSION`].
pub const PROFILE_EXTENSION: &str = "fuel-profile";
/// The one form of those counters.
pub const PROFILE_VERSION: &str = "1";
/// Exports and import modules that begin so are reserved.
pub const RESERVED_PREFIX: &str = "__bls";

/// What the counter holds after a run that ran out of fuel: below anything that
/// a budget and a signed overrun bound can leave.
pub const OUT_OF_FUEL: i64 = i64::MIN;
/// The largest budget. Half the range, so that no charge can wrap the counter.
pub const BUDGET_MAX: u64 = (i64::MAX / 2) as u64;
/// The largest S, in units: the most that may run between two checks and is paid for by
/// none of them (FUEL.md, "The bound S"). The meter keeps to it, the audit passes no more,
/// and a loader runs no more.
pub const S_MAX: u64 = 1 << 20;

/// [`COST_TABLE_SHA256`] as a digest.
///
/// # Panics
/// Never: the constant is well formed, as a test shows.
#[must_use]
pub fn cost_table() -> Sha256 {
    Sha256::from_hex(COST_TABLE_SHA256).expect("a well-formed constant")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_is_well_formed() {
        let _ = super::cost_table();
    }
}
