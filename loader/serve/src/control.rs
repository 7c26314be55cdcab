//! What keeper and front say to each other: datagrams over a socket pair, with descriptors.
//!
//! Keeper to front: a listener, a worker, that a worker is done, an exporter, that it is to drain. Front to keeper: that a worker is
//! to be killed. Guarantees nothing of what the other does: the keeper takes the front's words
//! only for what they can do, which is to end a worker.

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Most bytes of a message.
const BYTES_MAX: usize = 16;

/// What the front is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Requests come from here.
    Public(OwnedFd),
    /// Whoever watches comes from here.
    Admin(OwnedFd),
    /// A worker: its process's number, and the way to it.
    Worker(u32, OwnedFd),
    /// The worker of this number gets no more; what it has begun it ends.
    Retire(u32),
    /// Whoever sends to the collector is there, or another one.
    Exporter(OwnedFd),
    /// Take no more, and end when what has begun is done, or this time is over.
    Drain(Duration),
}

/// Has the front do this.
///
/// # Errors
/// It is gone.
pub(crate) fn order(front: impl AsFd, order: Order) -> io::Result<()> {
    let (kind, number, descriptor) = match order {
        Order::Public(listener) => (b'P', 0, Some(listener)),
        Order::Admin(listener) => (b'A', 0, Some(listener)),
        Order::Worker(process, socket) => (b'W', u64::from(process), Some(socket)),
        Order::Retire(process) => (b'R', u64::from(process), None),
        Order::Exporter(socket) => (b'E', 0, Some(socket)),
        Order::Drain(time) => (b'D', u64::try_from(time.as_millis()).unwrap_or(u64::MAX), None),
    };
    let mut bytes = [0; 9];
    bytes[0] = kind;
    bytes[1..].copy_from_slice(&number.to_le_bytes());
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.as_ref().map(AsFd::as_fd);
    let descriptors = descriptors.as_slice();
    if !descriptors.is_empty() {
        beside.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let send = || sendmsg(&front, &[IoSlice::new(&bytes)], &mut beside, SendFlags::NOSIGNAL);
    retry_on_intr(send)?;
    Ok(())
}

/// The next order; `None` where the keeper is gone.
///
/// # Errors
/// `WouldBlock` where there is none yet.
pub(crate) fn next_order(keeper: impl AsFd) -> io::Result<Option<Order>> {
    let mut bytes = [0; BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(&keeper, &mut [IoSliceMut::new(&mut bytes)], &mut beside, flags)?;
    let mut descriptor = None;
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            descriptor = descriptors.last();
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    let number = bytes[1..].first_chunk().map(|number| u64::from_le_bytes(*number));
    let number = number.unwrap_or_default();
    let order = match (bytes[0], descriptor) {
        (b'P', Some(listener)) => Order::Public(listener),
        (b'A', Some(listener)) => Order::Admin(listener),
        (b'W', Some(socket)) => Order::Worker(number as u32, socket),
        (b'R', None) => Order::Retire(number as u32),
        (b'E', Some(socket)) => Order::Exporter(socket),
        (b'D', None) => Order::Drain(Duration::from_millis(number)),
        _ => return Err(Errno::PROTO.into()),
    };
    Ok(Some(order))
}

/// Has the keeper kill a worker: it answers no more.
pub(crate) fn kill(keeper: impl AsFd, process: u32) {
    // Where the keeper is gone, so is the worker, in a moment.
    let _ = rustix::net::send(
        keeper,
        &process.to_le_bytes(),
        SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    );
}

/// The worker that the front wants killed; `None` where it wants nothing.
pub(crate) fn next_wish(front: impl AsFd) -> Option<u32> {
    let mut bytes = [0; 4];
    let received = rustix::net::recv(front, &mut bytes, RecvFlags::DONTWAIT).ok()?;
    (received.0 == bytes.len()).then(|| u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn orders_arrive_with_their_descriptors() {
        let flags = SocketFlags::CLOEXEC;
        let (keeper, front) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("a pair");
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        order(&keeper, Order::Worker(77, writer)).expect("sent");
        order(&keeper, Order::Retire(77)).expect("sent");
        order(&keeper, Order::Drain(Duration::from_secs(3))).expect("sent");
        let Ok(Some(Order::Worker(77, writer))) = next_order(&front) else { panic!("no worker") };
        rustix::io::write(&writer, b"x").expect("written");
        let mut byte = [0];
        assert_eq!(rustix::io::read(&reader, &mut byte), Ok(1));
        assert!(matches!(next_order(&front), Ok(Some(Order::Retire(77)))));
        assert!(matches!(
            next_order(&front),
            Ok(Some(Order::Drain(time))) if time == Duration::from_secs(3)
        ));
        assert_eq!(next_order(&front).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(next_wish(&keeper), None);
        kill(&front, 77);
        assert_eq!(next_wish(&keeper), Some(77));
        drop(keeper);
        assert!(matches!(next_order(&front), Ok(None)));
    }
}
