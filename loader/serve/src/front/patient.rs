//! A connection that waits only so long for a client that does not take what it is sent.
//!
//! (For what a client sends, others wait: hyper for a request's head, `answer.rs` for its body,
//! `connection` for the next request.)

use super::Activity;
use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// A stream, and since when it takes nothing.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    time: Duration,
    until: Option<Pin<Box<Sleep>>>,
    /// Is told whether something waits to be taken.
    activity: Arc<Activity>,
}

impl<S> Patient<S> {
    /// Waits for so long each time that nothing is taken.
    pub(super) fn new(stream: S, time: Duration, activity: Arc<Activity>) -> Self {
        Self { stream, time, until: None, activity }
    }

    /// What a write came to: an error where it has waited for too long.
    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.activity.is_writing.store(poll.is_pending(), Ordering::Relaxed);
        if poll.is_ready() {
            self.until = None;
            return poll;
        }
        let time = self.time;
        let until = self.until.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + time)));
        ready!(until.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.judge(context, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write_vectored(context, buffers);
        this.judge(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
