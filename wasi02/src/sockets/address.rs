//! Addresses, as the canonical ABI has them.
//!
//! ```text
//! ip-socket-address   case                 0: IPv4                    1: IPv6
//!   as parameters     1 of 12              port, 4 bytes              port, flow, 8 numbers, scope
//!   in memory (32)    a byte at 0, then    4: port, 6: bytes          4: port, 8: flow,
//!                                                                     12: numbers, 28: scope
//! ```

use super::Code;
use crate::guest::{Caller, Record};
use crate::trap;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// An `ip-socket-address` among parameters: its case, and what follows.
pub(super) fn of_parameters(case: u32, given: [u32; 11]) -> SocketAddr {
    let [port, a, b, c, d, ..] = given;
    let port = narrow(port);
    match case {
        0 => {
            let bytes = [a, b, c, d].map(|byte| u8::try_from(byte).unwrap_or_else(|_| trap()));
            SocketAddrV4::new(Ipv4Addr::from(bytes), port).into()
        }
        1 => {
            let [_, flow, numbers @ .., scope] = given;
            let numbers: [u32; 8] = numbers;
            SocketAddrV6::new(Ipv6Addr::from(numbers.map(narrow)), port, flow, scope).into()
        }
        _ => trap(),
    }
}

fn narrow(number: u32) -> u16 {
    u16::try_from(number).unwrap_or_else(|_| trap())
}

/// `result<ip-socket-address, error-code>`
pub(super) fn answer(caller: Caller, to: u32, done: Result<SocketAddr, Code>) {
    let record = match done {
        Ok(address) => put(Record::<36>::new(), address),
        Err(code) => Record::new().u8(0, 1).u8(4, code as u8),
    };
    caller.record(to, 4, &record);
}

/// Writes it behind the case of a result, which is at 4.
fn put(record: Record<36>, address: SocketAddr) -> Record<36> {
    let record = record.u16(8, address.port());
    match address {
        SocketAddr::V4(v4) => {
            let bytes = v4.ip().octets();
            (10..).zip(bytes).fold(record, |record, (at, byte)| record.u8(at, byte))
        }
        SocketAddr::V6(v6) => {
            let record = record.u8(4, 1).u32(12, v6.flowinfo()).u32(32, v6.scope_id());
            let numbers = (16..).step_by(2).zip(v6.ip().segments());
            numbers.fold(record, |record, (at, number)| record.u16(at, number))
        }
    }
}

/// `result<option<ip-address>, error-code>`
pub(super) fn answer_ip(caller: Caller, to: u32, address: Option<IpAddr>) {
    let record = Record::<22>::new();
    let record = match address {
        None => record,
        Some(IpAddr::V4(v4)) => {
            let bytes = (6..).zip(v4.octets());
            bytes.fold(record.u8(2, 1), |record, (at, byte)| record.u8(at, byte))
        }
        Some(IpAddr::V6(v6)) => {
            let numbers = (6..).step_by(2).zip(v6.segments());
            let record = record.u8(2, 1).u8(4, 1);
            numbers.fold(record, |record, (at, number)| record.u16(at, number))
        }
    };
    caller.record(to, 2, &record);
}

/// Whether it is one that something can connect to, of the sockets of this family.
pub(super) fn check_remote(address: SocketAddr, is_v6: bool) -> Result<(), Code> {
    check_family(address, is_v6)?;
    let ip = address.ip();
    let is_for_many = match ip {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.is_multicast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    };
    match ip.is_unspecified() || is_for_many || address.port() == 0 {
        true => Err(Code::InvalidArgument),
        false => Ok(()),
    }
}

/// Whether it is one of this family, and none of IPv4 in the words of IPv6.
pub(super) fn check_family(address: SocketAddr, is_v6: bool) -> Result<(), Code> {
    let is_mapped = matches!(address.ip(), IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    match address.is_ipv6() != is_v6 || is_mapped {
        true => Err(Code::InvalidArgument),
        false => Ok(()),
    }
}
