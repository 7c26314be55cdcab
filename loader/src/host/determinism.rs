//! What takes the place of chance: clocks, randomness and file numbers by rule.
//!
//! With these rules a guest that gets the same input gives the same output, on any
//! machine and in any folder:
//!
//! * Clocks begin at the epoch and go one microsecond on with each reading. Waiting
//!   takes no time, and moves them by what was waited for.
//! * Random bytes are SHA-256 of `bls-random-1`, the seed and a block's number, both
//!   as 8 little-endian bytes, one block after the other.
//! * A file's number is 1 for the first that the guest is told of, 2 for the second, and
//!   so on; all are on one device. Every time of a file is the epoch; a directory has one
//!   name and no size.
//! * Directories are listed whole, sorted by name.
//! * A stream is always ready, is no terminal, and is read and written until all is
//!   done. What is neither a file nor a directory cannot be opened.
//!
//! Assumes that nobody else changes the granted folders. Does not make a run's time
//! or a machine's failures (a full disk) the same.

use crate::host::errno::Outcome;
use crate::host::holding::Holding;
use crate::host::preview1::types::{FileStat, FileType, NANOSECONDS};
use bls_artifact::digest::Sha256;
use std::collections::BTreeMap;

/// What the rules begin from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Determinism {
    /// What random bytes are made from.
    pub seed: u64,
    /// When the clocks begin, in seconds since 1970.
    pub epoch_seconds: u64,
}

/// By how much a reading moves the clocks, in nanoseconds. Also their resolution.
pub(crate) const TICK_NS: u64 = 1000;

/// What the number of one file takes: its part of a tree, half empty.
const NUMBER_BYTES: u64 = 64;

/// The rules at work.
#[derive(Debug)]
pub(crate) struct Clockwork {
    start: Determinism,
    /// What the clocks have moved.
    elapsed_ns: u64,
    /// Number of the next block of random bytes.
    next_block: u64,
    /// Bytes of the last block that were not used.
    rest: Vec<u8>,
    /// The guest's numbers of files, by device and number of the system.
    numbers: BTreeMap<(u64, u64), u64>,
    last_number: u64,
}

impl Clockwork {
    /// The rules at their beginning.
    pub(crate) fn new(start: Determinism) -> Self {
        Self {
            start,
            elapsed_ns: 0,
            next_block: 0,
            rest: Vec::new(),
            numbers: BTreeMap::new(),
            last_number: 0,
        }
    }

    /// Reads the monotonic clock.
    pub(crate) fn monotonic_ns(&mut self) -> u64 {
        self.wait(TICK_NS);
        self.elapsed_ns
    }

    /// Reads the wall clock.
    pub(crate) fn wall_ns(&mut self) -> u64 {
        self.epoch_ns().saturating_add(self.monotonic_ns())
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, time_ns: u64) {
        self.elapsed_ns = self.elapsed_ns.saturating_add(time_ns);
    }

    fn epoch_ns(&self) -> u64 {
        self.start.epoch_seconds.saturating_mul(NANOSECONDS)
    }

    /// The next random bytes.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.rest.is_empty() {
                self.rest = self.block();
            }
            *byte = self.rest.pop().unwrap_or_default();
        }
    }

    /// One block, its last byte first.
    fn block(&mut self) -> Vec<u8> {
        let mut text = b"bls-random-1".to_vec();
        text.extend(self.start.seed.to_le_bytes());
        text.extend(self.next_block.to_le_bytes());
        self.next_block = self.next_block.wrapping_add(1);
        let mut block = Sha256::of(&text).0.to_vec();
        block.reverse();
        block
    }

    /// The guest's number of a file.
    pub(crate) fn number(
        &mut self,
        device: u64,
        inode: u64,
        holding: &mut Holding,
    ) -> Outcome<u64> {
        if let Some(number) = self.numbers.get(&(device, inode)) {
            return Ok(*number);
        }
        holding.take(NUMBER_BYTES)?;
        self.last_number += 1;
        self.numbers.insert((device, inode), self.last_number);
        Ok(self.last_number)
    }

    /// Takes note that a file is gone: the system may give its number to another.
    pub(crate) fn forget(&mut self, device: u64, inode: u64, holding: &mut Holding) {
        if self.numbers.remove(&(device, inode)).is_some() {
            holding.give_back(NUMBER_BYTES);
        }
    }

    /// Attributes without what differs between machines and runs.
    pub(crate) fn normalise(
        &mut self,
        attributes: &mut FileStat,
        holding: &mut Holding,
    ) -> Outcome<()> {
        attributes.inode = self.number(attributes.device, attributes.inode, holding)?;
        attributes.device = 1;
        let epoch_ns = self.epoch_ns();
        attributes.accessed_ns = epoch_ns;
        attributes.modified_ns = epoch_ns;
        attributes.changed_ns = epoch_ns;
        if attributes.kind == FileType::Directory {
            attributes.links = 1;
            attributes.size = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Determinism = Determinism { seed: 7, epoch_seconds: 10 };

    #[test]
    fn clocks_go_by_rule() {
        let mut clockwork = Clockwork::new(START);
        assert_eq!(clockwork.monotonic_ns(), 1000);
        assert_eq!(clockwork.wall_ns(), 10_000_002_000);
        clockwork.wait(5);
        assert_eq!(clockwork.monotonic_ns(), 3005);
        clockwork.wait(u64::MAX);
        assert_eq!(clockwork.wall_ns(), u64::MAX);
    }

    #[test]
    fn random_bytes_do_not_depend_on_how_they_are_asked_for() {
        let (mut one, mut other) = (Clockwork::new(START), Clockwork::new(START));
        let mut whole = [0; 100];
        one.fill(&mut whole);
        let mut pieces = [0; 100];
        for piece in pieces.chunks_mut(7) {
            other.fill(piece);
        }
        assert_eq!(whole, pieces);
        let first = [&b"bls-random-1"[..], &7_u64.to_le_bytes(), &0_u64.to_le_bytes()].concat();
        assert_eq!(whole[..32], Sha256::of(&first).0[..]);
        let mut different = [0; 100];
        Clockwork::new(Determinism { seed: 8, ..START }).fill(&mut different);
        assert_ne!(whole, different);
    }

    #[test]
    fn files_are_numbered_as_they_are_met() {
        let mut clockwork = Clockwork::new(START);
        let mut holding = Holding::default();
        holding.open(0);
        assert!(matches!(clockwork.number(3, 99, &mut holding), Ok(1)));
        assert!(matches!(clockwork.number(4, 99, &mut holding), Ok(2)));
        assert!(matches!(clockwork.number(3, 99, &mut holding), Ok(1)));
        clockwork.forget(3, 99, &mut holding);
        assert!(matches!(clockwork.number(3, 99, &mut holding), Ok(3)));
        // As many as there is room for, and no more.
        let numbered =
            (100..).take_while(|inode| clockwork.number(3, *inode, &mut holding).is_ok());
        assert_eq!(numbered.count(), (1 << 20) / 64 - 2);
    }
}
