//! Standard input that is read more than once: by descriptor 0, and from its start by
//! `blockless_memory.memory_read`.
//!
//! Where a guest can do both ([`Input::keep`]), what is read of the system is kept, and both read
//! what is kept. For all other guests bytes go straight to their memory, and this keeps nothing.
//! Guarantees that descriptor 0 gives each byte once, in order; and that what is kept counts as
//! the guest's memory: without room for it, descriptor 0 goes on, and there is no start to be had
//! any more. Decides nothing about whether the guest may read.

use super::accounted::{Accounting, Seen};
use super::errno::{Failure, Outcome};
use super::holding::Holding;
use super::stream::{End, Stream};
use super::waiting::until_ready;
use rustix::event::PollFlags;
use rustix::io::read;
use std::io::IoSliceMut;

/// Bytes that are read at a time.
const STEP: usize = 64 << 10;

/// Standard input, and what is kept of it.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// `None` where it is withheld.
    source: Option<Stream>,
    keeps: bool,
    /// Something that was read is not kept.
    lost: bool,
    ended: bool,
    kept: Vec<u8>,
    /// Up to where descriptor 0 has given what is kept.
    given: usize,
    /// What was read of the system, for the account of the run.
    seen: Option<Seen>,
}

impl Input {
    /// Reads from `source`.
    pub(crate) fn new(source: Option<Stream>) -> Self {
        Self { source, ..Self::default() }
    }

    /// The same, and what is read is seen, where an account asks for it.
    pub(crate) fn accounted(self, accounting: Option<Accounting>) -> Self {
        let sees = accounting == Some(Accounting::CallsAndStreams);
        Self { seen: sees.then(Seen::default), ..self }
    }

    /// So many bytes were read into these buffers, and not by [`Input::read`].
    pub(crate) fn see(&mut self, buffers: &[IoSliceMut<'_>], length: usize) {
        if let Some(seen) = &mut self.seen {
            seen.add(buffers, length);
        }
    }

    /// What was read.
    pub(crate) fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    /// From here on what is read is kept. (What stands in memory is kept as it is.)
    pub(crate) fn keep(&mut self) {
        self.keeps = self.source.as_ref().is_some_and(|source| source.system().is_some());
    }

    /// What descriptor 0 gives next; `None` where the system is to be asked.
    pub(crate) fn next(&self) -> Option<&[u8]> {
        let rest = self.kept.get(self.given..).unwrap_or_default();
        (!rest.is_empty() || self.ended).then_some(rest)
    }

    /// Reads for descriptor 0 where what is read is kept, until the buffers are full where it
    /// reads `whole`; `None` where it is not kept, and the caller has to.
    pub(crate) fn read(
        &mut self,
        buffers: &mut [IoSliceMut<'_>],
        whole: bool,
        holding: &mut Holding,
    ) -> Outcome<Option<usize>> {
        if self.keeps && !self.lost {
            let wanted: usize = buffers.iter().map(|buffer| buffer.len()).sum();
            while wanted > 0 && !self.ended {
                let there = self.kept.len() - self.given;
                let is_enough = there >= wanted || (there > 0 && !whole);
                if is_enough || !self.fill(holding)? {
                    break;
                }
            }
        }
        let Some(mut rest) = self.next() else { return Ok(None) };
        let before = rest.len();
        for buffer in buffers {
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            rest = &rest[length..];
        }
        let moved = before - rest.len();
        self.given += moved;
        Ok(Some(moved))
    }

    /// Reads to the end; how many bytes were read of the system for it. `None` where there is
    /// nothing to read from, or its start is not to be had.
    pub(crate) fn read_all(&mut self, holding: &mut Holding) -> Outcome<Option<usize>> {
        let before = self.kept.len();
        let is_system = match &self.source {
            None => return Ok(None),
            Some(source) => source.system().is_some(),
        };
        while is_system && !self.ended && !self.lost {
            if !self.fill(holding)? {
                break;
            }
        }
        Ok((!self.lost).then(|| self.kept.len() - before))
    }

    /// Copies the input from its start; how much of it.
    pub(crate) fn copy(&self, place: &mut [u8]) -> usize {
        if let Some(Stream { end: End::Kept(kept), .. }) = &self.source {
            return kept.copy(place);
        }
        let length = self.kept.len().min(place.len());
        place[..length].copy_from_slice(&self.kept[..length]);
        length
    }

    /// Reads once, and keeps it; whether it could.
    fn fill(&mut self, holding: &mut Holding) -> Outcome<bool> {
        let Some(system) = self.source.as_ref().and_then(Stream::system) else { return Ok(false) };
        if let Err(failure) = holding.grow(&mut self.kept, STEP) {
            self.lost = true;
            return match failure {
                Failure::Errno(_) => Ok(false),
                other => Err(other),
            };
        }
        let begin = self.kept.len();
        self.kept.resize(begin + STEP, 0);
        let read = until_ready(system, PollFlags::IN, || read(system, &mut self.kept[begin..]));
        self.kept.truncate(begin + *read.as_ref().unwrap_or(&0));
        if let Some(seen) = &mut self.seen {
            seen.add(&[&self.kept[begin..]], self.kept.len() - begin);
        }
        self.ended = read? == 0;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::stream::{Direction, Kept};
    use rustix::pipe::pipe;
    use std::sync::Arc;

    fn of(end: End) -> Input {
        Input::new(Some(Stream { direction: Direction::Input, end }))
    }

    /// A pipe with this in it, and no more to come.
    fn given(bytes: &[u8]) -> Input {
        let (reader, writer) = pipe().unwrap();
        assert_eq!(rustix::io::write(&writer, bytes).unwrap(), bytes.len());
        let mut input = of(End::Descriptor(Arc::new(reader)));
        input.keep();
        input
    }

    fn next(input: &mut Input, length: usize, holding: &mut Holding) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = input.read(&mut [IoSliceMut::new(&mut bytes)], false, holding).unwrap()?;
        bytes.truncate(read);
        Some(bytes)
    }

    #[test]
    fn both_read_the_same_bytes_whoever_comes_first() {
        let mut holding = Holding::default();
        holding.open(1 << 20);
        let mut input = given(b"abcdef");
        assert_eq!(next(&mut input, 2, &mut holding).as_deref(), Some(&b"ab"[..]));
        assert!(input.read_all(&mut holding).unwrap().is_some());
        let mut all = [0; 9];
        assert_eq!(input.copy(&mut all), 6);
        assert_eq!(&all[..6], b"abcdef");
        assert_eq!(input.copy(&mut all[..3]), 3);
        assert_eq!(next(&mut input, 9, &mut holding).as_deref(), Some(&b"cdef"[..]));
        assert_eq!(next(&mut input, 9, &mut holding).as_deref(), Some(&b""[..]));
    }

    #[test]
    fn bytes_in_memory_are_given_from_their_start() {
        let mut holding = Holding::default();
        let mut input = of(End::Kept(Kept::given(b"xyz".to_vec())));
        input.keep();
        assert_eq!(input.read_all(&mut holding).unwrap(), Some(0));
        let mut all = [0; 2];
        assert_eq!((input.copy(&mut all), &all), (2, b"xy"));
        // Descriptor 0 reads them of the stream.
        assert!(next(&mut input, 2, &mut holding).is_none());
    }

    #[test]
    fn without_room_there_is_no_start_and_descriptor_0_goes_on() {
        let mut holding = Holding::default();
        holding.open(0);
        assert!(holding.take(bls_artifact::limits::HELD_BYTES_FREE).is_ok());
        let mut input = given(b"abc");
        assert_eq!(input.read_all(&mut holding).unwrap(), None);
        assert!(next(&mut input, 2, &mut holding).is_none(), "the system is to be asked");
    }

    #[test]
    fn what_is_withheld_has_no_start() {
        let mut holding = Holding::default();
        assert_eq!(Input::new(None).read_all(&mut holding).unwrap(), None);
    }
}
