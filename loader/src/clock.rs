//! What time it is, for whatever expires.
//!
//! Guarantees seconds since 1970, UTC. Does not judge them: a clock that was never set
//! stands near 0, and `bls_artifact::trust` says what that means.

use bls_artifact::trust::Clock;

/// Seconds since 1970. A clock that stands before is at 0, which no trust file takes for
/// a time: what has one is refused.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// What this machine's clock says. Where it was never set, what expires may pass.
pub(crate) fn clock(unset_passes: bool) -> Clock {
    Clock { now: now(), unset_passes }
}
