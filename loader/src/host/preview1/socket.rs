//! Sockets: `sock_*`, and moving bytes over one.
//!
//! Preview 1 can use sockets but not make them: a guest has those that its operator passed, those
//! that it was given for an address (`blockless_socket`, `blockless_drivers`), and the connections
//! that it takes from them. Guarantees that every other descriptor is answered truthfully:
//! `notsock`, or `badf` if it is none; that no signal comes where nobody reads any more; and that
//! what is sent counts as output. A socket that blocks waits; one that does not says `again`.

use super::transfer::account;
use super::types::{FdFlags, ReceiveFlags, ShutdownFlags};
use crate::host::Host;
use crate::host::errno::{Errno, Outcome};
use crate::host::memory::{GuestMemory, Pointer, Unseen};
use crate::host::table::{Descriptor, Socket};
use crate::host::waiting::at_once;
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, SendFlags, Shutdown, SocketFlags, accept_with, recvmsg, send,
    shutdown,
};
use std::io::{IoSlice, IoSliceMut};

impl Socket {
    /// Reads what is there, into buffers in order; nothing is the end.
    pub(crate) fn receive(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        flags: ReceiveFlags,
    ) -> Outcome<usize> {
        if self.listens {
            return Err(Errno::Notconn.into());
        }
        let mut system = RecvFlags::empty();
        for (flag, theirs) in
            [(ReceiveFlags::PEEK, RecvFlags::PEEK), (ReceiveFlags::WAITALL, RecvFlags::WAITALL)]
        {
            if flags.has(flag) {
                system |= theirs;
            }
        }
        let mut none = RecvAncillaryBuffer::default();
        let received = at_once(|| recvmsg(self, &mut *buffers, &mut none, system))?;
        Ok(received.bytes)
    }

    /// Sends buffers in order, as much as is taken.
    pub(crate) fn send(&self, buffers: &[IoSlice<'_>]) -> Outcome<usize> {
        if self.listens {
            return Err(Errno::Notconn.into());
        }
        let mut sent = 0;
        for (index, buffer) in buffers.iter().enumerate() {
            // One packet for what is written together.
            let more = if index + 1 < buffers.len() { SendFlags::MORE } else { SendFlags::empty() };
            match at_once(|| send(self, buffer, SendFlags::NOSIGNAL | more)) {
                Ok(length) => {
                    sent += length;
                    if length < buffer.len() {
                        break;
                    }
                }
                // What was sent is the answer; trouble shows at the next call.
                Err(crate::host::errno::Failure::Errno(_)) if sent > 0 => break,
                Err(failure) => return Err(failure),
            }
        }
        Ok(sent)
    }
}

/// Takes a connection that waits, or waits for one.
pub(crate) fn sock_accept(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    flags: u32,
    result: Pointer,
) -> Outcome<()> {
    let flags = FdFlags::parse(flags)?;
    let socket = host.table.socket(descriptor)?;
    if flags.without(FdFlags::NONBLOCK) != FdFlags::empty() || !socket.listens {
        return Err(Errno::Inval.into());
    }
    memory.check_u32(result)?;
    host.table.check_room()?;
    host.purse.owe_connection();
    let mut system = SocketFlags::CLOEXEC;
    if flags.has(FdFlags::NONBLOCK) {
        system |= SocketFlags::NONBLOCK;
    }
    let descriptor = at_once(|| accept_with(socket, system))?;
    let connection = Socket { descriptor, listens: false };
    let number = host.table.insert(Descriptor::Socket(connection))?;
    memory.write_u32(result, number)
}

/// Receives what is there.
pub(crate) fn sock_recv(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    buffers: Unseen,
    flags: u32,
    length: Pointer,
    flags_out: Pointer,
) -> Outcome<()> {
    let flags = ReceiveFlags::parse(flags)?;
    let socket = host.table.socket(descriptor)?;
    let buffers = buffers.seen();
    host.purse.owe_list(buffers.count());
    memory.check_u32(length)?;
    memory.read::<2>(flags_out, 2)?;
    host.purse.owe_socket();
    let received = socket.receive(&mut memory.scatter(&host.purse, buffers)?, flags)?;
    host.purse.owe_transfer(received);
    memory.write_size(length, received)?;
    // Of a stream nothing is cut off.
    memory.write(flags_out, 2, [0; 2])
}

/// Sends.
pub(crate) fn sock_send(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    buffers: Unseen,
    flags: u32,
    length: Pointer,
) -> Outcome<()> {
    let socket = host.table.socket(descriptor)?;
    let buffers = buffers.seen();
    host.purse.owe_list(buffers.count());
    if flags != 0 {
        return Err(Errno::Inval.into());
    }
    memory.check_u32(length)?;
    let left = host.output_left;
    let gathered = memory.gather(&host.purse, buffers, left.bytes())?;
    host.purse.owe_socket();
    let sent = socket.send(&gathered.buffers)?;
    host.purse.owe_transfer(sent);
    account(&mut host.output_left, left, &gathered, sent)?;
    memory.write_size(length, sent)
}

/// Shuts down one side of a connection, or both.
pub(crate) fn sock_shutdown(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
    sides: u32,
) -> Outcome<()> {
    let sides = ShutdownFlags::parse(sides)?;
    let socket = host.table.socket(descriptor)?;
    let both = ShutdownFlags::RD.with(ShutdownFlags::WR);
    let how = match sides {
        ShutdownFlags::RD => Shutdown::Read,
        ShutdownFlags::WR => Shutdown::Write,
        sides if sides == both => Shutdown::Both,
        _ => return Err(Errno::Inval.into()),
    };
    at_once(|| shutdown(socket, how))
}
