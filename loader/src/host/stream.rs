//! The guest's standard streams, and what stands behind each.
//!
//! Behind a stream is a descriptor of the system (this process's own, or another), bytes in
//! memory, or nothing. Guarantees that bytes which are kept are bounded, and that a guest
//! cannot tell what stands there, but for a terminal. Does not move bytes of descriptors:
//! `transfer.rs` does.

use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::io::{IoSlice, IoSliceMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which of the three it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Input,
    Output,
    Error,
}

/// What stands behind a stream.
#[derive(Clone, Debug, Default)]
pub(crate) enum End {
    /// This process's own: borrowed, and never closed.
    #[default]
    Own,
    /// An open descriptor.
    Descriptor(Arc<OwnedFd>),
    /// Bytes in memory.
    Kept(Kept),
    /// It ends before it begins; what is written is gone.
    Nothing,
}

/// Bytes in memory, shared with whoever gave them or wants them.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    bytes: Arc<Mutex<Bytes>>,
    /// The most bytes that are kept.
    most: usize,
}

#[derive(Debug, Default)]
struct Bytes {
    all: Vec<u8>,
    /// Up to where they were read.
    read: usize,
}

impl Kept {
    /// These bytes, to be read.
    pub(crate) fn given(bytes: Vec<u8>) -> Self {
        let most = bytes.len();
        Self { bytes: Arc::new(Mutex::new(Bytes { all: bytes, read: 0 })), most }
    }

    /// Room for as many bytes to be written.
    pub(crate) fn room(most: usize) -> Self {
        Self { bytes: Arc::default(), most }
    }

    /// The same bytes, to be read from the first.
    #[cfg(feature = "pool")]
    pub(crate) fn again(&self) -> Self {
        Self::given(self.lock().all.clone())
    }

    /// As much room, and nothing in it.
    pub(crate) fn fresh(&self) -> Self {
        Self::room(self.most)
    }

    /// Takes what was written.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().all)
    }

    /// Copies them from the first, whatever was read; how many.
    pub(crate) fn copy(&self, place: &mut [u8]) -> usize {
        let bytes = self.lock();
        let length = bytes.all.len().min(place.len());
        place[..length].copy_from_slice(&bytes.all[..length]);
        length
    }

    fn lock(&self) -> MutexGuard<'_, Bytes> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, buffers: &mut [IoSliceMut<'_>]) -> usize {
        let mut bytes = self.lock();
        let mut moved = 0;
        for buffer in buffers {
            let rest = bytes.all.get(bytes.read..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            bytes.read += length;
            moved += length;
        }
        moved
    }

    /// Keeps as many bytes as there is room for, and says how many.
    fn write(&self, buffers: &[IoSlice<'_>]) -> usize {
        let mut bytes = self.lock();
        let mut moved = 0;
        for buffer in buffers {
            let length = self.most.saturating_sub(bytes.all.len()).min(buffer.len());
            bytes.all.extend_from_slice(&buffer[..length]);
            moved += length;
        }
        moved
    }
}

/// A standard stream.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) direction: Direction,
    pub(crate) end: End,
}

impl Stream {
    /// The descriptor of the system behind it, where there is one.
    pub(crate) fn system(&self) -> Option<BorrowedFd<'_>> {
        match (&self.end, self.direction) {
            (End::Own, Direction::Input) => Some(rustix::stdio::stdin()),
            (End::Own, Direction::Output) => Some(rustix::stdio::stdout()),
            (End::Own, Direction::Error) => Some(rustix::stdio::stderr()),
            (End::Descriptor(descriptor), _) => Some(descriptor.as_fd()),
            (End::Kept(_) | End::Nothing, _) => None,
        }
    }

    /// Reads where no descriptor stands behind it.
    pub(crate) fn read(&self, buffers: &mut [IoSliceMut<'_>]) -> usize {
        match &self.end {
            End::Kept(kept) => kept.read(buffers),
            _ => 0,
        }
    }

    /// Writes where no descriptor stands behind it, and says how many bytes; fewer than there
    /// are where no more are kept: that ends the run.
    pub(crate) fn write(&self, buffers: &[IoSlice<'_>]) -> usize {
        match &self.end {
            End::Kept(kept) => kept.write(buffers),
            _ => buffers.iter().map(|buffer| buffer.len()).sum(),
        }
    }

    /// How many bytes a read would find, where no descriptor stands behind it.
    pub(crate) fn bytes_to_read(&self) -> u64 {
        match &self.end {
            End::Kept(kept) => {
                let bytes = kept.lock();
                bytes.all.len().saturating_sub(bytes.read) as u64
            }
            _ => 0,
        }
    }
}

/// What stands behind the guest's standard streams.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    pub(crate) input: End,
    pub(crate) output: End,
    pub(crate) error: End,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_in_order_and_end() {
        let kept = Kept::given(b"abcde".to_vec());
        let (mut one, mut two) = ([0; 2], [0; 2]);
        let mut buffers = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        assert_eq!(kept.read(&mut buffers), 4);
        let stream = Stream { direction: Direction::Input, end: End::Kept(kept) };
        assert_eq!(stream.bytes_to_read(), 1);
        let mut rest = [0; 9];
        assert_eq!(stream.read(&mut [IoSliceMut::new(&mut rest)]), 1);
        assert_eq!(stream.read(&mut [IoSliceMut::new(&mut rest)]), 0);
        assert_eq!((&one, &two, rest[0]), (b"ab", b"cd", b'e'));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let kept = Kept::room(5);
        assert_eq!(kept.write(&[IoSlice::new(b"ab"), IoSlice::new(b"c")]), 3);
        assert_eq!(kept.write(&[IoSlice::new(b"def")]), 2);
        assert_eq!(kept.take(), b"abcde");
    }
}
