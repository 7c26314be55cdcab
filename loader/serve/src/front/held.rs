//! A response's body, with its share of the memory for bodies, which it gives back when it was
//! sent.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::OwnedSemaphorePermit;

/// Bytes that are sent.
#[derive(Debug)]
pub(super) struct Held {
    bytes: Bytes,
    share: Option<OwnedSemaphorePermit>,
}

/// What hyper holds on to while it sends.
struct Shared {
    bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Held {
    pub(super) fn new(bytes: Bytes, share: Option<OwnedSemaphorePermit>) -> Self {
        Self { bytes, share }
    }

    /// How many bytes are left.
    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let bytes = std::mem::take(&mut this.bytes);
        if bytes.is_empty() {
            return Poll::Ready(None);
        }
        let bytes = match this.share.take() {
            // Until the last byte of it was sent.
            Some(_share) => Bytes::from_owner(Shared { bytes, _share }),
            None => bytes,
        };
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
