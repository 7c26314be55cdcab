//! What is answered by interfaces that are known and closed: sockets by UDP, which nothing grants,
//! and time zones.
//!
//! A function whose result can be an error answers that access is denied; one that gives a
//! resource gives a new one, which does nothing; all others answer what says least: nothing, no,
//! zero, an empty list. Guarantees a value of the function's own type, and never a trap.

use wasmtime_environ::component::{
    CanonicalAbiInfo, ComponentTypes, InterfaceType, TypeFuncIndex, TypeResourceTableIndex,
};

/// Interfaces that are closed.
const CLOSED: [&str; 3] =
    ["wasi:sockets/udp", "wasi:sockets/udp-create-socket", "wasi:clocks/timezone"];
/// The cases of errors that say it best, the best first.
const DENIED: [&str; 4] = ["access-denied", "not-supported", "forbidden", "access"];

/// Whether an interface is known and closed. It has no version where that is 0.2.
pub(super) fn is_closed(interface: &str) -> bool {
    CLOSED.contains(&interface)
}

/// Whether an interface of WASI 0.2 has this name, or is of this package (`wasi:sockets/`).
pub(super) fn is_of(interface: &str, name: &str) -> bool {
    match name.ends_with('/') {
        true => interface.starts_with(name) && !interface.contains('@'),
        false => interface == name,
    }
}

/// What a closed function does with its parameters, and what it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Answer {
    /// Handles among the parameters: which, of which type, and whether they are given away.
    pub(super) handles: Vec<(u32, u32, bool)>,
    /// The bytes of the result as in a memory, and its alignment.
    pub(super) bytes: Vec<u8>,
    pub(super) align: u32,
    /// Where new handles go in it, and of which type.
    pub(super) new: Vec<(u32, u32)>,
}

/// The answer of a function. `resource` is the number of a type.
pub(super) fn answer(
    types: &ComponentTypes,
    function: TypeFuncIndex,
    resource: impl Fn(TypeResourceTableIndex) -> u32,
) -> Answer {
    let function = &types[function];
    let (mut handles, mut at) = (Vec::new(), Some(0_u32));
    for parameter in &types[function.params].types {
        let Some(place) = at else { break };
        match parameter {
            InterfaceType::Own(table) => handles.push((place, resource(*table), true)),
            InterfaceType::Borrow(table) => handles.push((place, resource(*table), false)),
            _ => {}
        }
        at = types.canonical_abi(parameter).flat_count.map(|count| place + u32::from(count));
    }
    // Then all of them are in memory.
    if at.is_none_or(|count| count > 16) {
        handles.clear();
    }
    let results = &types[function.results];
    let mut image = Image {
        types,
        resource: &resource,
        bytes: vec![0; results.abi.size32 as usize],
        new: Vec::new(),
    };
    image.record(results.types.iter(), 0);
    Answer { handles, bytes: image.bytes, align: results.abi.align32, new: image.new }
}

struct Image<'a> {
    types: &'a ComponentTypes,
    resource: &'a dyn Fn(TypeResourceTableIndex) -> u32,
    bytes: Vec<u8>,
    new: Vec<(u32, u32)>,
}

impl Image<'_> {
    fn put(&mut self, at: u32, value: u32, bytes: usize) {
        let value = value.to_le_bytes();
        let place = self.bytes.get_mut(at as usize..at as usize + bytes);
        if let (Some(place), Some(value)) = (place, value.get(..bytes)) {
            place.copy_from_slice(value);
        }
    }

    fn record<'t>(&mut self, fields: impl Iterator<Item = &'t InterfaceType>, at: u32) {
        let mut next = 0;
        for field in fields {
            let abi: &CanonicalAbiInfo = self.types.canonical_abi(field);
            let place = abi.next_field32(&mut next);
            self.value(field, at + place);
        }
    }

    /// An empty list of what is aligned so.
    fn list(&mut self, at: u32, align: u32) {
        self.put(at, align, 4);
    }

    fn value(&mut self, ty: &InterfaceType, at: u32) {
        let types = self.types;
        match ty {
            InterfaceType::String => self.list(at, 2),
            InterfaceType::List(list) => {
                self.list(at, types.canonical_abi(&types[*list].element).align32);
            }
            InterfaceType::Map(map) => self.list(at, types[*map].entry_abi.align32),
            InterfaceType::Record(record) => {
                self.record(types[*record].fields.iter().map(|field| &field.ty), at);
            }
            InterfaceType::Tuple(tuple) => self.record(types[*tuple].types.iter(), at),
            InterfaceType::Variant(variant) => {
                let variant = &types[*variant];
                if let Some((_, Some(payload))) = variant.cases.iter().next() {
                    self.value(payload, at + variant.info.payload_offset32);
                }
            }
            InterfaceType::Result(result) => {
                let result = &types[*result];
                self.put(at, 1, 1);
                if let Some(error) = &result.err {
                    self.error(error, at + result.info.payload_offset32);
                }
            }
            InterfaceType::Own(table) => self.new.push((at, (self.resource)(*table))),
            // Nothing, no, or zero.
            _ => {}
        }
    }

    /// The case of an error that says that access is denied.
    fn error(&mut self, ty: &InterfaceType, at: u32) {
        let types = self.types;
        match ty {
            InterfaceType::Enum(cases) => {
                let cases = &types[*cases];
                let best = DENIED.iter().find_map(|name| cases.names.get_index_of(*name));
                self.put(at, best.unwrap_or(0) as u32, cases.abi.size32.min(4) as usize);
            }
            InterfaceType::Variant(variant) => {
                let variant = &types[*variant];
                let place = |name: &&str| variant.cases.keys().position(|one| one == name);
                let best = DENIED.iter().find_map(place);
                let best = best.unwrap_or(0);
                let size = u32::from(variant.info.size).min(4) as usize;
                self.put(at, best as u32, size);
                if let Some((_, Some(payload))) = variant.cases.get_index(best) {
                    self.value(payload, at + variant.info.payload_offset32);
                }
            }
            other => self.value(other, at),
        }
    }
}
