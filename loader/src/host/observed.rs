//! How far a guest is, for another thread to see.
//!
//! The thread that runs the guest says what it comes by anyway: at a host call what is left
//! of the fuel, at a growth how much memory there is. Whoever ends the run from outside, the
//! clock or a signal, reads it without waiting for that thread. Guarantees one plain store
//! for each thing said, and no lock. What was said last is true of some moment before; in
//! between a guest consumes more, and keeps the count of it in a register.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What is seen of a running guest.
#[derive(Debug)]
pub(crate) struct Observed {
    /// Units; [`NOTHING_SEEN`] before the first host call.
    fuel_left: AtomicI64,
    /// Bytes.
    memory_peak: AtomicU64,
}

/// More than any budget.
const NOTHING_SEEN: i64 = i64::MAX;

impl Default for Observed {
    fn default() -> Self {
        Self { fuel_left: AtomicI64::new(NOTHING_SEEN), memory_peak: AtomicU64::new(0) }
    }
}

impl Observed {
    /// Says how many units are left, at a host call: below zero where more was consumed than
    /// there was.
    pub(super) fn see_fuel_left(&self, units: i64) {
        self.fuel_left.store(units, Ordering::Relaxed);
    }

    /// Says the most bytes that all memories and tables had together so far.
    pub(super) fn see_memory_peak(&self, bytes: u64) {
        self.memory_peak.store(bytes, Ordering::Relaxed);
    }

    /// The units that were left at the last host call; `None` before the first, and where
    /// nothing counts.
    pub(crate) fn fuel_left(&self) -> Option<i64> {
        Some(self.fuel_left.load(Ordering::Relaxed)).filter(|units| *units != NOTHING_SEEN)
    }

    /// The most bytes that all memories and tables had together so far.
    pub(crate) fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Ordering::Relaxed)
    }
}
