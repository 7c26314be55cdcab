//! `bls_socket`: connections and listeners by TCP as `wasi:sockets` has them, for the WASI 0.2
//! module of components (`wasi02/`). What they give are descriptors of WASI that block nobody.
//!
//! Codes are those of `bls_http` (`exchange`): one more than the number of a reason of the
//! broker's. `invalid` is of bytes that are not inside the memory, `url` of text that is no host
//! or no `HOST:PORT`, `denied` of what is not granted, `too-many` of a guest that has as many
//! descriptors as it may, `unknown-handle` of a descriptor that is no socket or has no such address.

use super::exchange::{code, failure};
use super::{bytes_mut, copy, socket, text};
use crate::host::Host;
use crate::host::errno::Outcome;
use crate::host::memory::{Bytes, GuestMemory, Pointer};
use bls_artifact::broker::{Reason, Request};
use bls_artifact::net::{Endpoint, Host as Name};
use rustix::net::{getpeername, getsockname};
use std::net::SocketAddr;

/// Says whether any port of a host may be reached, as far as names go, and asks nobody.
pub(crate) fn lookup(host: &mut Host, memory: &mut GuestMemory<'_>, name: Bytes) -> Outcome<()> {
    host.purse.pay_text(name.length())?;
    let name = text(memory, name, code(Reason::Invalid))?;
    let name = Name::parse(name).map_err(|_| failure(Reason::Url))?;
    match host.blockless.reach.allows_some_port(&name) {
        true => Ok(()),
        false => Err(failure(Reason::Denied)),
    }
}

/// Connects to `HOST:PORT`.
pub(crate) fn connect(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    address: Bytes,
    descriptor: Pointer,
) -> Outcome<()> {
    open(host, memory, address, descriptor, &|endpoint| Request::Connect { endpoint })
}

/// Listens on `ADDRESS:PORT`.
pub(crate) fn listen(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    address: Bytes,
    descriptor: Pointer,
) -> Outcome<()> {
    open(host, memory, address, descriptor, &|endpoint| Request::Listen { endpoint })
}

fn open(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    address: Bytes,
    descriptor: Pointer,
    request: &dyn Fn(String) -> Request,
) -> Outcome<()> {
    memory.check_u32(descriptor)?;
    host.purse.pay_text(address.length())?;
    let address = text(memory, address, code(Reason::Invalid))?;
    let endpoint = Endpoint::parse(address).map_err(|_| failure(Reason::Url))?;
    let number = socket::open(host, &endpoint, request, true)?.map_err(failure)?;
    memory.write_u32(descriptor, number)
}

/// Writes the address of a socket as text (`127.0.0.1:80`, `[::1]:80`): its own, or with a `peer`
/// other than 0 that of who is at the other end.
pub(crate) fn address(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    peer: u32,
    buffer: Bytes,
    length: Pointer,
) -> Outcome<()> {
    memory.check_u32(length)?;
    let socket = host.table.socket(descriptor).map_err(|_| failure(Reason::UnknownHandle))?;
    let address = match peer {
        0 => getsockname(socket).ok(),
        _ => getpeername(socket).ok().flatten(),
    };
    let address = address.and_then(|any| SocketAddr::try_from(any).ok());
    let address = address.ok_or(failure(Reason::UnknownHandle))?.to_string();
    let place = bytes_mut(memory, buffer, code(Reason::Invalid))?;
    if place.len() < address.len() {
        return Err(failure(Reason::TooLong));
    }
    let copied = copy(address.as_bytes(), place);
    memory.write_size(length, copied)
}
