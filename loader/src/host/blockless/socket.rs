//! `blockless_socket` and `blockless_drivers`: connections by TCP, which become descriptors that
//! WASI's functions read and write.
//!
//! | code of `blockless_socket` | is |
//! |---|---|
//! | 1 | text that is not UTF-8 or not inside the memory |
//! | 2 | anything else: not granted, no such address, refused, no descriptor to be had |
//!
//! | code of `blockless_drivers` | is |
//! |---|---|
//! | 9 | no connection |
//! | 10 | no URL of `tcp` |
//! | 12 | text that is not UTF-8 or not inside the memory |
//! | 14 | not granted |
//!
//! Opens no socket: whoever answers does, and passes the descriptor on.

use super::asking::Price;
use super::text;
use crate::host::Host;
use crate::host::errno::{Errno, Failure, Outcome};
use crate::host::memory::{Bytes, GuestMemory, Pointer};
use crate::host::table::{Descriptor, Socket};
use bls_artifact::broker::{Answer, Reason, Request};
use bls_artifact::net::Endpoint;

/// Text that is none.
const TEXT: u8 = 1;
/// Any other trouble.
const PARAMETER: u8 = 2;

/// Makes a socket that listens, of an address `HOST:PORT`.
pub(crate) fn create_tcp_bind_socket(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    address: Bytes,
    descriptor: Pointer,
) -> Outcome<()> {
    let listen = |endpoint| Request::Listen { endpoint };
    socket(host, memory, address, descriptor, &listen)
}

/// Connects to an address `HOST:PORT`.
pub(crate) fn tcp_connect(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    address: Bytes,
    descriptor: Pointer,
) -> Outcome<()> {
    let connect = |endpoint| Request::Connect { endpoint };
    socket(host, memory, address, descriptor, &connect)
}

fn socket(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    address: Bytes,
    descriptor: Pointer,
    request: &dyn Fn(String) -> Request,
) -> Outcome<()> {
    memory.check_u32(descriptor)?;
    host.purse.pay_text(address.length())?;
    let address = text(memory, address, TEXT)?;
    let endpoint = Endpoint::parse(address).map_err(|_| Failure::Code(PARAMETER))?;
    let number = open(host, &endpoint, request, false)?.map_err(|_| Failure::Code(PARAMETER))?;
    memory.write_u32(descriptor, number)
}

/// Asks for a socket, and gives it a number; or says why there is none to be had.
pub(super) fn open(
    host: &mut Host,
    endpoint: &Endpoint,
    request: &dyn Fn(String) -> Request,
    nonblocking: bool,
) -> Outcome<Result<u32, Reason>> {
    let is_full = |failure: &Failure| matches!(failure, Failure::Errno(Errno::Mfile));
    match host.table.check_room() {
        Err(failure) if is_full(&failure) => return Ok(Err(Reason::TooMany)),
        other => other?,
    }
    if !host.blockless.reach.allows_endpoint(endpoint) {
        return Ok(Err(Reason::Denied));
    }
    let request = request(endpoint.to_string());
    let descriptors = match host.ask(&request, Price::Request)? {
        Ok((Answer::Descriptor, descriptors)) => descriptors,
        Ok(_) => return Ok(Err(Reason::Failed)),
        Err(refusal) => return Ok(Err(refusal.reason)),
    };
    let Some(descriptor) = descriptors.into_iter().next() else {
        return Ok(Err(Reason::Failed));
    };
    let socket = Socket { descriptor, listens: matches!(request, Request::Listen { .. }) };
    if socket.set_nonblocking(nonblocking).is_err() {
        return Ok(Err(Reason::Failed));
    }
    Ok(Ok(host.table.insert(Descriptor::Socket(socket))?))
}

/// Drivers: files by URL.
pub(super) mod drivers {
    use super::*;

    const NO_CONNECTION: u8 = 9;
    const NO_DRIVER: u8 = 10;
    const UTF8: u8 = 12;
    const DENIED: u8 = 14;

    /// Opens `tcp://HOST:PORT`, a connection that blocks nobody: what is not there yet is
    /// `again`. Options are not looked at.
    pub(crate) fn blockless_open(
        host: &mut Host,
        memory: &mut GuestMemory<'_>,
        url: Bytes,
        _options: Bytes,
        descriptor: Pointer,
    ) -> Outcome<()> {
        memory.check_u32(descriptor)?;
        host.purse.pay_text(url.length())?;
        let url = text(memory, url, UTF8)?;
        let endpoint = url
            .strip_prefix("tcp://")
            .and_then(|rest| Endpoint::parse(rest.strip_suffix('/').unwrap_or(rest)).ok())
            .ok_or(Failure::Code(NO_DRIVER))?;
        if !host.blockless.reach.allows_endpoint(&endpoint) {
            return Err(Failure::Code(DENIED));
        }
        let connect = |endpoint| Request::Connect { endpoint };
        let number =
            open(host, &endpoint, &connect, true)?.map_err(|_| Failure::Code(NO_CONNECTION))?;
        memory.write_u32(descriptor, number)
    }
}
