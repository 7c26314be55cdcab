//! How much memory and how many table elements a guest gets.
//!
//! wasmtime asks before a linear memory, a table or the heap of the garbage
//! collector comes to be or grows. Guarantees that all memories together (the
//! collector's heap is one, what the host holds for the guest another) stay below the limit, at instantiation and later. A
//! `memory.grow` beyond it fails as the specification says, with -1; an
//! instantiation beyond it is an error that says which limit. Does not count what
//! the engine itself allocates.

use super::observed::Observed;
use bls_artifact::limits::{TABLE_ELEMENT_BYTES, TABLE_ELEMENTS_MAX};
use bls_artifact::quantity::show_sizes;
use std::fmt;
use std::sync::Arc;
use wasmtime::ResourceLimiter;

/// A guest that cannot start within its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// Bytes of memory: wanted altogether, allowed.
    Memory(u64, u64),
    /// Table elements: wanted altogether, allowed.
    Table(usize, usize),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(wanted, allowed) => {
                let (wanted, allowed) = show_sizes(*wanted, *allowed);
                write!(formatter, "the guest needs {wanted} of memory to start, and gets {allowed}")
            }
            Self::Table(wanted, allowed) => write!(
                formatter,
                "the guest needs {wanted} table elements to start, and gets {allowed}"
            ),
        }
    }
}

impl std::error::Error for Exceeded {}

/// Bytes of one table element.
const ELEMENT_BYTES: usize = TABLE_ELEMENT_BYTES as usize;

/// The guest's allowance, and what it has used of it.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_max: u64,
    memory_used: u64,
    memory_peak: u64,
    /// What the host holds for the guest, as far as it counts (`host/holding.rs`).
    host_held: u64,
    table_used: usize,
    /// What the last permitted growth added, until it is known to have happened.
    memory_pending: u64,
    table_pending: usize,
    starting: bool,
    /// What the guest was refused while it ran.
    refused: Refused,
    /// Where the peak is said.
    observed: Arc<Observed>,
}

/// Limits that a guest was told of by a growth that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) memory: bool,
    pub(crate) table: bool,
}

impl Limiter {
    /// For a guest that gets `memory_max` bytes and is not yet instantiated; its peak is said
    /// to `observed`.
    pub(crate) fn new(memory_max: u64, observed: Arc<Observed>) -> Self {
        Self {
            memory_max,
            memory_used: 0,
            memory_peak: 0,
            host_held: 0,
            table_used: 0,
            memory_pending: 0,
            table_pending: 0,
            starting: true,
            refused: Refused::default(),
            observed,
        }
    }

    /// Instantiation is over: from here on growth fails softly.
    pub(crate) fn started(&mut self) {
        self.starting = false;
    }

    /// Which limits the guest met while it ran.
    pub(crate) fn refused(&self) -> Refused {
        self.refused
    }

    /// What the host may hold for the guest, at most.
    pub(crate) fn left_for_host(&self) -> u64 {
        self.memory_max.saturating_sub(self.memory_used)
    }

    /// Takes note of what the host holds for the guest.
    pub(crate) fn host_holds(&mut self, bytes: u64) {
        self.host_held = bytes;
        self.see_peak(self.memory_used.saturating_add(bytes));
    }

    /// There are so many bytes now, or are to be.
    fn see_peak(&mut self, bytes: u64) {
        if bytes > self.memory_peak {
            self.memory_peak = bytes;
            self.observed.see_memory_peak(bytes);
        }
    }

    /// The most bytes that all memories and tables had together.
    pub(crate) fn memory_peak(&self) -> u64 {
        self.memory_peak
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.memory_pending = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let added = desired.saturating_sub(current) as u64;
        let wanted = self.memory_used.saturating_add(added);
        let with_host = wanted.saturating_add(self.host_held);
        if with_host > self.memory_max {
            if self.starting {
                return Err(Exceeded::Memory(wanted, self.memory_max).into());
            }
            self.refused.memory = true;
            return Ok(false);
        }
        self.memory_pending = added;
        self.memory_used = wanted;
        self.see_peak(with_host);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory_used -= std::mem::take(&mut self.memory_pending);
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.table_pending = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let added = desired.saturating_sub(current);
        let wanted = self.table_used.saturating_add(added);
        if wanted > TABLE_ELEMENTS_MAX {
            if self.starting {
                return Err(Exceeded::Table(wanted, TABLE_ELEMENTS_MAX).into());
            }
            self.refused.table = true;
            return Ok(false);
        }
        // Elements are memory too.
        let bytes = added.saturating_mul(ELEMENT_BYTES);
        if !self.memory_growing(0, bytes, None)? {
            return Ok(false);
        }
        self.table_pending = added;
        self.table_used = wanted;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.table_used -= std::mem::take(&mut self.table_pending);
        self.memory_used -= std::mem::take(&mut self.memory_pending);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(memory_max: u64) -> Limiter {
        Limiter::new(memory_max, Arc::default())
    }

    #[test]
    fn all_memories_count_together() {
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        let error = limiter.memory_growing(0, 41, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Exceeded::Memory(101, 100)));
        limiter.started();
        assert!(!limiter.memory_growing(0, 41, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert_eq!(limiter.memory_peak(), 100);
    }

    #[test]
    fn what_the_host_holds_counts() {
        let mut limiter = limiter(100);
        limiter.started();
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert_eq!(limiter.left_for_host(), 40);
        limiter.host_holds(30);
        assert_eq!(limiter.memory_peak(), 90);
        assert!(!limiter.memory_growing(0, 11, None).unwrap());
        assert!(limiter.memory_growing(0, 10, None).unwrap());
        limiter.host_holds(0);
        assert!(limiter.memory_growing(0, 30, None).unwrap());
        assert_eq!(limiter.memory_peak(), 100);
    }

    #[test]
    fn the_peak_is_seen_from_outside() {
        let observed = Arc::default();
        let mut limiter = Limiter::new(100, Arc::clone(&observed));
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert_eq!(observed.memory_peak(), 60);
        limiter.host_holds(30);
        limiter.host_holds(0);
        assert_eq!(observed.memory_peak(), 90);
        assert_eq!(observed.fuel_left(), None);
    }

    #[test]
    fn a_growth_that_failed_is_given_back() {
        let mut limiter = limiter(100);
        limiter.started();
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert!(!limiter.memory_growing(0, 9, Some(8)).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("too large")).unwrap();
        assert!(limiter.memory_growing(0, 100, None).unwrap());
    }
}
