//! What a guest reads as its standard input, and where its output goes.

use crate::host::stream::{End, Kept};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Where a guest's standard input comes from. Nothing is read before the guest reads.
#[derive(Clone, Debug)]
pub struct Source(pub(crate) End);

impl Source {
    /// It ends before it begins.
    #[must_use]
    pub fn empty() -> Self {
        Self(End::Nothing)
    }

    /// This process's own standard input.
    #[must_use]
    pub fn inherit() -> Self {
        Self(End::Own)
    }

    /// These bytes.
    #[must_use]
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(End::Kept(Kept::given(bytes.into())))
    }

    /// The same for another guest, from the beginning.
    #[cfg(feature = "pool")]
    pub(crate) fn fresh(&self) -> Self {
        match &self.0 {
            End::Kept(kept) => Self(End::Kept(kept.again())),
            other => Self(other.clone()),
        }
    }

    /// An open file, pipe or socket. Of several guests with the same one, each byte reaches
    /// one.
    #[must_use]
    pub fn descriptor(descriptor: impl Into<OwnedFd>) -> Self {
        Self(End::Descriptor(Arc::new(descriptor.into())))
    }
}

/// Where a guest's standard output, or error, goes.
#[derive(Clone, Debug)]
pub struct Sink(pub(crate) End);

impl Sink {
    /// The most bytes that [`Sink::bytes`] keeps: 16 MiB.
    pub const BYTES: usize = 16 << 20;

    /// Nowhere.
    #[must_use]
    pub fn discard() -> Self {
        Self(End::Nothing)
    }

    /// This process's own standard output, or error.
    #[must_use]
    pub fn inherit() -> Self {
        Self(End::Own)
    }

    /// Into memory, at most [`Sink::BYTES`]: [`Ended::stdout`](crate::Ended::stdout) has
    /// them. A guest that writes more ends at its limit on output.
    #[must_use]
    pub fn bytes() -> Self {
        Self::at_most(Self::BYTES)
    }

    /// Into memory, at most this many bytes.
    #[must_use]
    pub fn at_most(bytes: usize) -> Self {
        Self(End::Kept(Kept::room(bytes)))
    }

    /// An open file, pipe or socket.
    #[must_use]
    pub fn descriptor(descriptor: impl Into<OwnedFd>) -> Self {
        Self(End::Descriptor(Arc::new(descriptor.into())))
    }

    /// A sink of the same kind that shares nothing with this one, for another guest.
    pub(crate) fn fresh(&self) -> Self {
        match &self.0 {
            End::Kept(kept) => Self(End::Kept(kept.fresh())),
            other => Self(other.clone()),
        }
    }

    /// What was written into memory.
    pub(crate) fn take(&self) -> Vec<u8> {
        match &self.0 {
            End::Kept(kept) => kept.take(),
            _ => Vec::new(),
        }
    }
}
