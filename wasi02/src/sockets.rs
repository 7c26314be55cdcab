//! `wasi:sockets` by TCP: connections and listeners, by the host's `bls_socket`
//! (loader/src/host/blockless/connections.rs has its codes).
//!
//! ```text
//! resolve-addresses ─ may anything of that name be reached? ─► addresses that stand for the name
//! start-connect ─ HOST:PORT ─► the host judges, looks the name up, connects ─► a descriptor
//! start-bind ── ADDRESS:PORT ─► the host judges and listens ─────────────────► a descriptor
//! ```
//!
//! Nothing is looked up here. An address that stands for a name (`names`) leads back to that name
//! when something connects to it, so whoever grants names is asked about names, and what a name
//! server says is judged where the connection is made. Connecting and binding are over in
//! `start-connect` and `start-bind`; what `finish-…` gives is what became of them, as wasmtime
//! gives it. Descriptors block nobody. UDP is closed (compiler/src/link/component/closed.rs).

mod address;
mod names;
mod options;
mod tcp;

pub(crate) use names::Names;
pub(crate) use tcp::Tcp;

use crate::guest::{Caller, Record};
use crate::handles;
use crate::objects::{self, Kind, Object};
use crate::preview1;
use alloc::string::String;
use core::net::SocketAddr;

#[link(wasm_import_module = "bls_socket")]
unsafe extern "C" {
    fn lookup(name: *const u8, length: usize) -> u32;
    fn connect(address: *const u8, length: usize, descriptor: *mut u32) -> u32;
    fn listen(address: *const u8, length: usize, descriptor: *mut u32) -> u32;
    fn address(descriptor: u32, peer: u32, buffer: *mut u8, room: usize, length: *mut u32) -> u32;
}

/// `wasi:sockets/network.error-code`, as far as it is given.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Code {
    Unknown = 0,
    AccessDenied = 1,
    NotSupported = 2,
    InvalidArgument = 3,
    Timeout = 5,
    ConcurrencyConflict = 6,
    NotInProgress = 7,
    WouldBlock = 8,
    InvalidState = 9,
    NewSocketLimit = 10,
    AddressNotBindable = 11,
    AddressInUse = 12,
    RemoteUnreachable = 13,
    ConnectionRefused = 14,
    ConnectionReset = 15,
    ConnectionAborted = 16,
    NameUnresolvable = 18,
    PermanentResolverFailure = 20,
}

impl Code {
    /// Of a code of the host's, for what connects.
    fn of_connecting(code: u32) -> Self {
        match code {
            1 => Self::AccessDenied,
            2 => Self::InvalidArgument,
            5 | 14 => Self::RemoteUnreachable,
            8 => Self::NewSocketLimit,
            13 | 16 => Self::Timeout,
            15 => Self::ConnectionRefused,
            _ => Self::Unknown,
        }
    }

    /// Of a code of the host's, for what listens.
    fn of_listening(code: u32) -> Self {
        match code {
            5 | 14 => Self::AddressNotBindable,
            19 => Self::AddressInUse,
            code => Self::of_connecting(code),
        }
    }

    /// Of an error of preview 1.
    fn of(errno: preview1::Errno) -> Self {
        match errno {
            6 => Self::WouldBlock,
            13 => Self::ConnectionAborted,
            14 => Self::ConnectionRefused,
            15 => Self::ConnectionReset,
            28 => Self::InvalidArgument,
            33 | 41 => Self::NewSocketLimit,
            53 | 64 => Self::InvalidState,
            73 => Self::Timeout,
            _ => Self::Unknown,
        }
    }
}

/// A descriptor of the host's, which is closed with whoever has it last.
pub(crate) struct Socket(u32);

impl Socket {
    pub(crate) fn fd(&self) -> u32 {
        self.0
    }

    /// Connects to `HOST:PORT`.
    fn connected(to: &str) -> Result<Self, Code> {
        let mut descriptor = 0;
        // SAFETY: a text of that length, and a place for a number.
        match unsafe { connect(to.as_ptr(), to.len(), &mut descriptor) } {
            0 => Ok(Self(descriptor)),
            code => Err(Code::of_connecting(code)),
        }
    }

    /// Listens on `ADDRESS:PORT`.
    fn listening(on: &str) -> Result<Self, Code> {
        let mut descriptor = 0;
        // SAFETY: a text of that length, and a place for a number.
        match unsafe { listen(on.as_ptr(), on.len(), &mut descriptor) } {
            0 => Ok(Self(descriptor)),
            code => Err(Code::of_listening(code)),
        }
    }

    /// A connection that somebody has made to it.
    fn accepted(&self) -> Result<Self, Code> {
        preview1::accept(self.0).map(Self).map_err(Code::of)
    }

    /// Its own address, or that of who is at the other end.
    fn address(&self, peer: bool) -> Result<SocketAddr, Code> {
        // The longest is [0000:0000:0000:0000:0000:0000:000.000.000.000%4294967295]:65535.
        let mut text = [0; 72];
        let mut length = 0;
        // SAFETY: a place of that length, and one for how much of it is used.
        let code =
            unsafe { address(self.0, u32::from(peer), text.as_mut_ptr(), text.len(), &mut length) };
        let text = text.get(..length as usize).filter(|_| code == 0);
        let text = text.and_then(|text| core::str::from_utf8(text).ok());
        text.and_then(|text| text.parse().ok()).ok_or(Code::Unknown)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        preview1::close(self.0);
    }
}

/// Whether anything of a host may be reached.
fn check_name(name: &str) -> Result<(), Code> {
    // SAFETY: a text of that length.
    match unsafe { lookup(name.as_ptr(), name.len()) } {
        0 => Ok(()),
        2 => Err(Code::InvalidArgument),
        _ => Err(Code::PermanentResolverFailure),
    }
}

/// `result<_, error-code>`
fn answer(caller: Caller, to: u32, done: Result<(), Code>) {
    answer_byte(caller, to, done.map(|()| 0));
}

/// `result<bool, error-code>`, and of a number of 8 bits.
fn answer_byte(caller: Caller, to: u32, done: Result<u8, Code>) {
    let record = match done {
        Ok(value) => Record::<2>::new().u8(1, value),
        Err(code) => Record::new().u8(0, 1).u8(1, code as u8),
    };
    caller.record(to, 1, &record);
}

/// `result<u32, error-code>`, and of a handle.
fn answer_word(caller: Caller, to: u32, done: Result<u32, Code>) {
    let record = match done {
        Ok(value) => Record::<8>::new().u32(4, value),
        Err(code) => Record::new().u8(0, 1).u8(4, code as u8),
    };
    caller.record(to, 4, &record);
}

/// `result<u64, error-code>`
fn answer_long(caller: Caller, to: u32, done: Result<u64, Code>) {
    let record = match done {
        Ok(value) => Record::<16>::new().u64(8, value),
        Err(code) => Record::new().u8(0, 1).u8(8, code as u8),
    };
    caller.record(to, 8, &record);
}

/// `HOST:PORT`, of an address that something connects to.
fn endpoint(address: SocketAddr) -> String {
    match names::of(address.ip()) {
        Some(name) => alloc::format!("{name}:{}", address.port()),
        None => alloc::format!("{address}"),
    }
}

/// Checks that a caller has the network.
fn check_network(caller: Caller, network: u32) {
    let _ = handles::rep_of(caller, Kind::Network, network);
}

#[unsafe(export_name = "wasi:sockets/instance-network#instance-network")]
extern "C" fn instance_network(caller: Caller) -> u32 {
    handles::own(caller, Kind::Network, objects::insert(Object::Network))
}

/// `option<error-code>`
#[unsafe(export_name = "wasi:sockets/network#network-error-code")]
extern "C" fn network_error_code(caller: Caller, error: u32, to: u32) {
    let errno = match objects::get(handles::rep_of(caller, Kind::Error, error)) {
        Object::Error(errno) => *errno,
        _ => crate::trap(),
    };
    caller.record(to, 1, &Record::<2>::new().u8(0, 1).u8(1, Code::of(errno) as u8));
}
