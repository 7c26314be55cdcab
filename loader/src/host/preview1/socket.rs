//! Sockets: `sock_*`.
//!
//! Preview 1 can use sockets but not make them, and no grant hands one to a
//! guest. Guarantees that every descriptor is answered truthfully: `notsock`, or
//! `badf` if it is none. A standard stream stays a stream, whatever is behind it.

use crate::host::Host;
use crate::host::errno::{Errno, Outcome};
use crate::host::memory::{Buffers, GuestMemory, Pointer};
use crate::host::preview1::types::{FdFlags, ReceiveFlags, ShutdownFlags};

/// Would take a connection that waits.
pub(crate) fn sock_accept(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
    flags: u32,
    _result: Pointer,
) -> Outcome<()> {
    FdFlags::parse(flags)?;
    not_a_socket(host, descriptor)
}

/// Would receive a message.
pub(crate) fn sock_recv(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
    _buffers: Buffers,
    flags: u32,
    _length: Pointer,
    _flags_out: Pointer,
) -> Outcome<()> {
    ReceiveFlags::parse(flags)?;
    not_a_socket(host, descriptor)
}

/// Would send a message.
pub(crate) fn sock_send(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
    _buffers: Buffers,
    _flags: u32,
    _length: Pointer,
) -> Outcome<()> {
    not_a_socket(host, descriptor)
}

/// Would shut down one side of a connection, or both.
pub(crate) fn sock_shutdown(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
    sides: u32,
) -> Outcome<()> {
    ShutdownFlags::parse(sides)?;
    not_a_socket(host, descriptor)
}

fn not_a_socket(host: &Host, descriptor: u32) -> Outcome<()> {
    host.table.get(descriptor)?;
    Err(Errno::Notsock.into())
}
