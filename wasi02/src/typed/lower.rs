//! Values on their way into a component: on the stack, or in its memory, as the canonical ABI
//! has them.

use super::FLAT_MAX;
use super::types::{Function, Kind, Type, Types};
use super::values::Value;
use crate::guest::Caller;
use crate::trap;
use alloc::vec;
use alloc::vec::Vec;

/// What a function is called with: a slot for each value on the stack.
pub(super) fn parameters(types: &Types, function: &Function, values: &[Value]) -> Vec<u64> {
    let lowering = Lowering { types, caller: function.caller() };
    let all = || function.parameters.iter().filter_map(|part| part.ty);
    let flat = all().fold(0_usize, |sum, ty| sum.saturating_add(types.get(ty).flat));
    let mut slots = Vec::new();
    if flat <= FLAT_MAX {
        for (ty, value) in all().zip(values) {
            lowering.flat(ty, value, &mut slots);
        }
        return slots;
    }
    // Too many: they lie in memory as a tuple's.
    let (mut size, mut align) = (0_u32, 1);
    let mut places = Vec::new();
    for ty in all().map(|ty| types.get(ty)) {
        let Some(begin) = size.checked_next_multiple_of(ty.align) else { trap() };
        size = begin.checked_add(ty.size).unwrap_or_else(|| trap());
        align = align.max(ty.align);
        places.push(begin as usize);
    }
    let Some(size) = size.checked_next_multiple_of(align) else { trap() };
    let place = lowering.caller.room(align, size as usize);
    let mut bytes = vec![0; size as usize];
    for ((ty, value), at) in all().zip(values).zip(places) {
        lowering.store(ty, value, &mut bytes, at);
    }
    lowering.caller.put(place, &bytes);
    vec![u64::from(place)]
}

struct Lowering<'t> {
    types: &'t Types,
    caller: Caller,
}

impl Lowering<'_> {
    /// A list or a text: its place, and how many there are.
    fn list(&self, ty: &Type, value: &Value) -> (u32, u32) {
        let values = match value {
            Value::Text(text) => return self.caller.give_text(text),
            Value::Parts(values) => values,
            _ => trap(),
        };
        let Some(element) = ty.parts.first().and_then(|part| part.ty) else { trap() };
        let (size, align) = (self.types.get(element).size as usize, self.types.get(element).align);
        let Some(length) = size.checked_mul(values.len()) else { trap() };
        let place = self.caller.room(align, length);
        let mut bytes = vec![0; length];
        for (at, value) in values.iter().enumerate() {
            self.store(element, value, &mut bytes, at * size);
        }
        self.caller.put(place, &bytes);
        (place, values.len() as u32)
    }

    fn flat(&self, ty: usize, value: &Value, slots: &mut Vec<u64>) {
        let of = self.types.get(ty);
        let begin = slots.len();
        match (of.kind, value) {
            (Kind::Text | Kind::List, value) => {
                let (place, length) = self.list(of, value);
                slots.extend([u64::from(place), u64::from(length)]);
            }
            (_, Value::Bits(bits)) => slots.push(in_i32(of.kind, *bits)),
            (_, Value::Parts(values)) => {
                for (part, value) in of.parts.iter().filter_map(|part| part.ty).zip(values) {
                    self.flat(part, value, slots);
                }
            }
            (_, Value::Case(case, payload)) => {
                slots.push(u64::from(*case));
                let part = of.parts.get(*case as usize).and_then(|part| part.ty);
                if let (Some(part), Some(payload)) = (part, payload) {
                    self.flat(part, payload, slots);
                }
                // Other cases may need more.
                slots.resize(begin + of.flat, 0);
            }
            _ => trap(),
        }
    }

    fn store(&self, ty: usize, value: &Value, to: &mut [u8], at: usize) {
        let of = self.types.get(ty);
        match (of.kind, value) {
            (Kind::Text | Kind::List, value) => {
                let (place, length) = self.list(of, value);
                put(to, at, u64::from(place), 4);
                put(to, at + 4, u64::from(length), 4);
            }
            (_, Value::Bits(bits)) => put(to, at, *bits, of.size as usize),
            (_, Value::Parts(values)) => {
                for ((begin, part), value) in self.types.fields(of).zip(values) {
                    self.store(part, value, to, at + begin as usize);
                }
            }
            (_, Value::Case(case, payload)) => {
                let (size, begin) = self.types.case_layout(of);
                put(to, at, u64::from(*case), size);
                let part = of.parts.get(*case as usize).and_then(|part| part.ty);
                if let (Some(part), Some(payload)) = (part, payload) {
                    self.store(part, payload, to, at + begin);
                }
            }
            _ => trap(),
        }
    }
}

/// Small numbers with a sign have it in all of the 32 bits that they are given in.
fn in_i32(kind: Kind, bits: u64) -> u64 {
    let wide = match kind {
        Kind::S8 => i32::from((bits as u8).cast_signed()),
        Kind::S16 => i32::from((bits as u16).cast_signed()),
        _ => return bits,
    };
    u64::from(wide.cast_unsigned())
}

fn put(to: &mut [u8], at: usize, bits: u64, size: usize) {
    let bytes = bits.to_le_bytes();
    match (to.get_mut(at..at + size), bytes.get(..size)) {
        (Some(to), Some(bytes)) => to.copy_from_slice(bytes),
        _ => trap(),
    }
}
