//! What a component gives, as text: from the stack or out of its memory, as the canonical ABI
//! has it.
//!
//! Text and letters are written as other tools write WAVE: what cannot be seen as `\u{…}`. A
//! field that is `none` is left out.

use super::text::KEYWORDS;
use super::types::{Function, Kind, Type, Types};
use crate::guest::Caller;
use crate::trap;
use alloc::string::String;
use core::fmt::Write as _;

/// The result of a call.
pub(super) fn result(types: &Types, function: &Function, slot: u64, to: &mut String) {
    let lifting = Lifting { types, caller: function.caller() };
    let Some(ty) = function.result else {
        to.push_str("()");
        return;
    };
    let of = types.get(ty);
    if of.flat == 1 {
        return lifting.flat(ty, slot, to);
    }
    let place = slot as u32;
    if place % of.align != 0 {
        trap();
    }
    let bytes = lifting.caller.bytes(place, of.size as usize);
    lifting.load(ty, &bytes, 0, to);
}

struct Lifting<'t> {
    types: &'t Types,
    caller: Caller,
}

impl Lifting<'_> {
    /// One value on the stack: what is made of one only, a case without payloads among them.
    fn flat(&self, ty: usize, slot: u64, to: &mut String) {
        let of = self.types.get(ty);
        match of.kind {
            Kind::Record => {
                to.push('{');
                let parts = of.parts.iter().filter_map(|part| Some((part, part.ty?)));
                for (part, ty) in parts {
                    to.push_str(&part.name);
                    to.push_str(": ");
                    self.flat(ty, slot, to);
                }
                to.push('}');
            }
            Kind::Tuple => {
                to.push('(');
                for ty in of.parts.iter().filter_map(|part| part.ty) {
                    self.flat(ty, slot, to);
                }
                to.push(')');
            }
            Kind::Variant | Kind::Enum | Kind::Option | Kind::Result => {
                self.case(of, slot as u32, to);
            }
            _ => bits(of, slot, to),
        }
    }

    /// Whether it is an option that is not there.
    fn is_none(&self, ty: usize, case: u64) -> bool {
        self.types.get(ty).kind == Kind::Option && case == 0
    }

    fn load(&self, ty: usize, bytes: &[u8], at: usize, to: &mut String) {
        let of = self.types.get(ty);
        match of.kind {
            Kind::Text => {
                let (place, length) = (get(bytes, at, 4) as u32, get(bytes, at + 4, 4) as u32);
                to.push('"');
                for letter in self.caller.text(place, length).chars() {
                    write_letter(letter, to);
                }
                to.push('"');
            }
            Kind::List => self.list(of, bytes, at, to),
            Kind::Record | Kind::Tuple => {
                let is_record = of.kind == Kind::Record;
                to.push(if is_record { '{' } else { '(' });
                let mut is_first = true;
                for (part, (begin, ty)) in of.parts.iter().zip(self.types.fields(of)) {
                    let at = at + begin as usize;
                    if is_record && self.is_none(ty, get(bytes, at, 1)) {
                        continue;
                    }
                    to.push_str(if is_first { "" } else { ", " });
                    is_first = false;
                    if is_record {
                        to.push_str(&part.name);
                        to.push_str(": ");
                    }
                    self.load(ty, bytes, at, to);
                }
                to.push_str(if is_record && is_first { ":" } else { "" });
                to.push(if is_record { '}' } else { ')' });
            }
            Kind::Variant | Kind::Enum | Kind::Option | Kind::Result => {
                let (size, begin) = self.types.case_layout(of);
                let case = get(bytes, at, size) as u32;
                let payload = self.case(of, case, to);
                if let Some(payload) = payload {
                    to.push('(');
                    self.load(payload, bytes, at + begin, to);
                    to.push(')');
                }
            }
            _ => bits_of(of, bytes, at, to),
        }
    }

    fn list(&self, of: &Type, bytes: &[u8], at: usize, to: &mut String) {
        let (place, length) = (get(bytes, at, 4) as u32, get(bytes, at + 4, 4) as u32);
        let Some(ty) = of.parts.first().and_then(|part| part.ty) else { trap() };
        let element = self.types.get(ty);
        let Some(all) = element.size.checked_mul(length) else { trap() };
        if place % element.align != 0 {
            trap();
        }
        let bytes = self.caller.bytes(place, all as usize);
        to.push('[');
        for nth in 0..length as usize {
            to.push_str(if nth == 0 { "" } else { ", " });
            self.load(ty, &bytes, nth * element.size as usize, to);
        }
        to.push(']');
    }

    /// The name of a case; its payload's type.
    fn case(&self, of: &Type, case: u32, to: &mut String) -> Option<usize> {
        let Some(part) = of.parts.get(case as usize) else { trap() };
        let has_own_words = matches!(of.kind, Kind::Variant | Kind::Enum);
        if has_own_words && KEYWORDS.contains(&&*part.name) {
            to.push('%');
        }
        to.push_str(&part.name);
        part.ty
    }
}

fn bits_of(of: &Type, bytes: &[u8], at: usize, to: &mut String) {
    bits(of, get(bytes, at, of.size as usize), to);
}

/// A number, a letter, flags; of a number on the stack what is above its bits is nothing.
fn bits(of: &Type, bits: u64, to: &mut String) {
    let written = match of.kind {
        Kind::Bool => {
            to.push_str(if bits as u32 == 0 { "false" } else { "true" });
            Ok(())
        }
        Kind::S8 => write!(to, "{}", (bits as u8).cast_signed()),
        Kind::S16 => write!(to, "{}", (bits as u16).cast_signed()),
        Kind::S32 => write!(to, "{}", (bits as u32).cast_signed()),
        Kind::S64 => write!(to, "{}", bits.cast_signed()),
        Kind::U8 => write!(to, "{}", bits as u8),
        Kind::U16 => write!(to, "{}", bits as u16),
        Kind::U32 => write!(to, "{}", bits as u32),
        Kind::U64 => write!(to, "{bits}"),
        Kind::F32 => match f32::from_bits(bits as u32) {
            number if number.is_nan() => write!(to, "nan"),
            number => write!(to, "{number}"),
        },
        Kind::F64 => match f64::from_bits(bits) {
            number if number.is_nan() => write!(to, "nan"),
            number => write!(to, "{number}"),
        },
        Kind::Char => {
            let Some(letter) = char::from_u32(bits as u32) else { trap() };
            to.push('\'');
            write_letter(letter, to);
            to.push('\'');
            Ok(())
        }
        Kind::Flags => {
            to.push('{');
            let set = of.parts.iter().enumerate().filter(|(at, _)| bits >> at & 1 != 0);
            for (nth, (_, part)) in set.enumerate() {
                to.push_str(if nth == 0 { "" } else { ", " });
                to.push_str(&part.name);
            }
            to.push('}');
            Ok(())
        }
        _ => trap(),
    };
    if written.is_err() {
        trap();
    }
}

fn write_letter(letter: char, to: &mut String) {
    match letter {
        '\\' | '"' | '\'' | '\t' | '\r' | '\n' => to.extend(letter.escape_default()),
        _ if letter.is_control() => to.extend(letter.escape_unicode()),
        _ => to.extend(letter.escape_debug()),
    }
}

fn get(bytes: &[u8], at: usize, size: usize) -> u64 {
    let mut number = [0; 8];
    match (bytes.get(at..at + size), number.get_mut(..size)) {
        (Some(from), Some(to)) => to.copy_from_slice(from),
        _ => trap(),
    }
    u64::from_le_bytes(number)
}
