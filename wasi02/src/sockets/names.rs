//! `wasi:sockets/ip-name-lookup`: names, and the addresses that stand for them.
//!
//! A name has an address of its own in this program, of 198.18.0.0/15: a range for benchmarks
//! (RFC 2544), which is on no network. What connects to it connects to the name. An address in
//! the place of a name is itself.

use super::{Code, address, answer_word, check_name, check_network};
use crate::guest::Caller;
use crate::objects::{self, Kind, Object};
use crate::poll::Pollable;
use crate::{Only, handles, trap};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// The first of the range, as a number, and how many it has.
const FIRST: u32 = 0xc612_0000;
const COUNT: u32 = 1 << 17;

/// The names that were asked for.
static NAMES: Only<Vec<String>> = Only::new(Vec::new());

/// The addresses that a `resolve-address-stream` still gives.
pub(crate) struct Names(Option<IpAddr>);

/// The name that an address stands for.
pub(super) fn of(address: IpAddr) -> Option<&'static str> {
    let IpAddr::V4(v4) = address else { return None };
    let at = u32::from(v4).checked_sub(FIRST)?;
    NAMES.get().get(at as usize).map(String::as_str)
}

/// The address of a name.
fn address_of(name: String) -> Result<IpAddr, Code> {
    let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = inner.unwrap_or(&name).parse() {
        return Ok(address);
    }
    check_name(&name)?;
    let names = NAMES.get();
    let at = match names.iter().position(|known| *known == name) {
        Some(at) => at as u32,
        None => {
            let at = names.len() as u32;
            if at >= COUNT {
                return Err(Code::NameUnresolvable);
            }
            names.push(name);
            at
        }
    };
    Ok(Ipv4Addr::from(FIRST + at).into())
}

#[unsafe(export_name = "wasi:sockets/ip-name-lookup#resolve-addresses")]
extern "C" fn resolve_addresses(caller: Caller, network: u32, from: u32, length: u32, to: u32) {
    check_network(caller, network);
    let found = address_of(caller.text(from, length)).map(|address| {
        handles::own(caller, Kind::Names, objects::insert(Object::Names(Names(Some(address)))))
    });
    answer_word(caller, to, found);
}

#[unsafe(export_name = "wasi:sockets/ip-name-lookup#[method]resolve-address-stream.resolve-next-address")]
extern "C" fn resolve_next_address(caller: Caller, this: u32, to: u32) {
    let Object::Names(names) = objects::get(handles::rep_of(caller, Kind::Names, this)) else {
        trap()
    };
    address::answer_ip(caller, to, names.0.take());
}

#[unsafe(export_name = "wasi:sockets/ip-name-lookup#[method]resolve-address-stream.subscribe")]
extern "C" fn subscribe(caller: Caller, this: u32) -> u32 {
    Pollable::of(caller, handles::rep_of(caller, Kind::Names, this), false)
}
