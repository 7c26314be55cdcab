//! Memory that the host holds for a guest from one call to the next.
//!
//! Listings of directories (`readdir.rs`) and numbers of files (`determinism.rs`) grow with
//! what a guest does. Guarantees that they are taken from the guest's own limit on memory,
//! but for the first mebibyte (`HELD_BYTES_FREE`), which is free: a small guest that uses all
//! its memory can still list a folder. What is bounded by a constant for each descriptor or
//! call is not counted here.

use crate::host::errno::{Errno, Outcome};
use bls_artifact::limits::HELD_BYTES_FREE;

/// How much is held, and how much may be.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    bytes: u64,
    /// The most that may be held, while a call lasts.
    bytes_max: u64,
    refused: bool,
}

impl Holding {
    /// Sets the most for one call: `left` is what the guest's limit leaves beside its own
    /// memories.
    pub(crate) fn open(&mut self, left: u64) {
        self.bytes_max = left.saturating_add(HELD_BYTES_FREE);
    }

    /// Bytes that count as the guest's.
    pub(crate) fn counted(&self) -> u64 {
        self.bytes.saturating_sub(HELD_BYTES_FREE)
    }

    /// Whether the guest was told that there is no room.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    /// Takes room, before it is used; `nomem` if there is none.
    pub(crate) fn take(&mut self, bytes: u64) -> Outcome<()> {
        if self.bytes.saturating_add(bytes) > self.bytes_max {
            self.refused = true;
            return Err(Errno::Nomem.into());
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Gives room back.
    pub(crate) fn give_back(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Makes room for `more` elements in a vector, by doubling it.
    pub(crate) fn grow<T>(&mut self, vector: &mut Vec<T>, more: usize) -> Outcome<()> {
        let spare = vector.capacity() - vector.len();
        if spare >= more {
            return Ok(());
        }
        let added = more.max(vector.capacity());
        self.take((added * size_of::<T>()) as u64)?;
        vector.try_reserve_exact(spare + added).map_err(|_| Errno::Nomem)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_free_part_counts() {
        let mut holding = Holding::default();
        holding.open(100);
        assert!(holding.take(HELD_BYTES_FREE).is_ok());
        assert_eq!(holding.counted(), 0);
        assert!(holding.take(100).is_ok());
        assert!(!holding.refused());
        assert!(holding.take(1).is_err());
        assert!(holding.refused());
        assert_eq!(holding.counted(), 100);
        holding.give_back(50);
        assert_eq!(holding.counted(), 50);
    }

    #[test]
    fn a_vector_grows_as_far_as_there_is_room() {
        let mut holding = Holding::default();
        holding.open(0);
        let mut vector: Vec<u64> = Vec::new();
        while holding.grow(&mut vector, 1).is_ok() {
            vector.push(0);
        }
        assert_eq!(vector.len(), 1 << 17, "a mebibyte");
        assert_eq!(vector.capacity(), vector.len());
    }
}
