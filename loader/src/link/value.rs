//! Values of WebAssembly as words: arguments of `--invoke`, and what it gave.
//!
//! Guarantees that what is printed can be read again as the same bits, NaNs and
//! their payloads included, but for references, which have no words.

use serde_json::{Value, json};
use wasmtime::{Ref, V128, Val, ValType};

/// Whether a value of this type can be an argument.
pub(crate) fn can_be_written(ty: &ValType) -> bool {
    match ty {
        ValType::Ref(reference) => reference.is_nullable(),
        _ => true,
    }
}

/// Reads a value of type `ty`.
pub(crate) fn read(ty: &ValType, text: &str) -> Option<Val> {
    match ty {
        ValType::I32 => integer(text, 32).map(|bits| Val::I32(bits as u32 as i32)),
        ValType::I64 => integer(text, 64).map(|bits| Val::I64(bits as i64)),
        ValType::F32 => match nan(text, 23) {
            Some(bits) => Some(Val::F32((bits.0 << 31) as u32 | 0x7f80_0000 | bits.1 as u32)),
            None => text.parse().ok().map(|value: f32| Val::F32(value.to_bits())),
        },
        ValType::F64 => match nan(text, 52) {
            Some(bits) => Some(Val::F64(bits.0 << 63 | 0x7ff0_0000_0000_0000 | bits.1)),
            None => text.parse().ok().map(|value: f64| Val::F64(value.to_bits())),
        },
        ValType::V128 => {
            let digits = text.strip_prefix("0x").filter(|digits| !digits.starts_with('+'))?;
            u128::from_str_radix(digits, 16).ok().map(|bits| Val::V128(V128::from(bits)))
        }
        ValType::Ref(reference) if reference.is_nullable() && text == "null" => {
            Some(Val::null_ref(reference.heap_type()))
        }
        ValType::Ref(_) => None,
    }
}

/// Reads a signed or unsigned integer of `bits` bits; gives its bit pattern.
fn integer(text: &str, bits: u32) -> Option<u64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let magnitude = match digits.strip_prefix("0x") {
        Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16).ok()?,
        Some(_) => return None,
        None => digits.parse().ok()?,
    };
    let limit = if negative { 1 << (bits - 1) } else { u64::MAX >> (64 - bits) };
    (magnitude <= limit).then(|| if negative { magnitude.wrapping_neg() } else { magnitude })
}

/// Reads a NaN as the text format writes it, `-nan:0x400000`: its sign, and its
/// payload of `payload_bits` bits. A bare `nan` is the canonical one.
fn nan(text: &str, payload_bits: u32) -> Option<(u64, u64)> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (1, rest),
        None => (0, text),
    };
    if text.eq_ignore_ascii_case("nan") {
        return Some((sign, 1 << (payload_bits - 1)));
    }
    let digits = text.strip_prefix("nan:0x").filter(|digits| !digits.starts_with('+'))?;
    let payload = u64::from_str_radix(digits, 16).ok()?;
    (payload != 0 && payload >> payload_bits == 0).then_some((sign, payload))
}

/// A value in words: integers signed; floats with as many digits as make them exact, and
/// a point or an exponent.
pub(crate) fn show(value: &Val) -> String {
    match value {
        Val::I32(value) => value.to_string(),
        Val::I64(value) => value.to_string(),
        Val::F32(bits) => show_nan(u64::from(bits >> 31), u64::from(bits & 0x7f_ffff), 23)
            .filter(|_| f32::from_bits(*bits).is_nan())
            .unwrap_or_else(|| format!("{:?}", f32::from_bits(*bits))),
        Val::F64(bits) => show_nan(bits >> 63, bits & 0xf_ffff_ffff_ffff, 52)
            .filter(|_| f64::from_bits(*bits).is_nan())
            .unwrap_or_else(|| format!("{:?}", f64::from_bits(*bits))),
        Val::V128(value) => format!("0x{:032x}", value.as_u128()),
        other => match other.ref_() {
            Some(reference) if reference.is_null() => "null".into(),
            Some(Ref::Func(_)) => "(a function)".into(),
            _ => "(a reference)".into(),
        },
    }
}

fn show_nan(sign: u64, payload: u64, payload_bits: u32) -> Option<String> {
    let sign = if sign == 1 { "-" } else { "" };
    match payload {
        0 => None,
        payload if payload == 1 << (payload_bits - 1) => Some(format!("{sign}nan")),
        payload => Some(format!("{sign}nan:{payload:#x}")),
    }
}

/// A value for the report: its type, and its words.
pub(crate) fn to_json(value: &Val) -> Value {
    let (ty, words) = match value {
        Val::I32(value) => ("i32", json!({ "signed": value, "unsigned": value.cast_unsigned() })),
        // As words: not every reader of JSON keeps 64 bits.
        Val::I64(value) => (
            "i64",
            json!({ "signed": value.to_string(), "unsigned": value.cast_unsigned().to_string() }),
        ),
        Val::F32(bits) => ("f32", json!({ "value": show(value), "bits": format!("{bits:#010x}") })),
        Val::F64(bits) => ("f64", json!({ "value": show(value), "bits": format!("{bits:#018x}") })),
        Val::V128(_) => ("v128", json!({ "bits": show(value) })),
        _ => ("reference", json!({ "value": show(value) })),
    };
    let mut json = words;
    json["type"] = json!(ty);
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        assert_eq!(integer("-1", 32).map(|bits| bits as u32 as i32), Some(-1));
        assert_eq!(integer("4294967295", 32), Some(u64::from(u32::MAX)));
        assert_eq!(integer("-2147483648", 32).map(|bits| bits as u32), Some(1 << 31));
        assert_eq!(integer("0xff", 32), Some(255));
        assert_eq!(integer("18446744073709551615", 64), Some(u64::MAX));
        assert_eq!(integer("-9223372036854775808", 64), Some(1 << 63));
        for (wrong, bits) in [
            ("", 32),
            ("-", 32),
            ("+1", 32),
            ("0x", 32),
            ("0x+1", 32),
            ("4294967296", 32),
            ("-2147483649", 32),
            ("18446744073709551616", 64),
            ("1.0", 64),
            ("--1", 64),
        ] {
            assert_eq!(integer(wrong, bits), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        for bits in [
            0,
            1 << 31,
            0x3f80_0001,
            0x7f80_0000,
            0xff80_0000,
            0x7fc0_0000,
            0xffc0_0001,
            0x7f80_0001,
            1,
            0x7f7f_ffff,
        ] {
            let shown = show(&Val::F32(bits));
            assert!(
                matches!(read(&ValType::F32, &shown), Some(Val::F32(read)) if read == bits),
                "{bits:#x} {shown}"
            );
        }
        for bits in [
            0,
            1 << 63,
            0x3ff0_0000_0000_0001,
            0x7ff0_0000_0000_0000,
            0x7ff8_0000_0000_0000,
            0xfff0_0000_0000_0001,
            1,
            u64::MAX,
        ] {
            let shown = show(&Val::F64(bits));
            assert!(
                matches!(read(&ValType::F64, &shown), Some(Val::F64(read)) if read == bits),
                "{bits:#x} {shown}"
            );
        }
        for value in [i32::MIN, -1, 0, i32::MAX] {
            let shown = show(&Val::I32(value));
            assert!(matches!(read(&ValType::I32, &shown), Some(Val::I32(read)) if read == value));
        }
        for value in [i64::MIN, -1, 0, i64::MAX] {
            let shown = show(&Val::I64(value));
            assert!(matches!(read(&ValType::I64, &shown), Some(Val::I64(read)) if read == value));
        }
        let vector = Val::V128(V128::from(5_u128 << 100));
        assert!(matches!(read(&ValType::V128, &show(&vector)),
            Some(Val::V128(read)) if read.as_u128() == 5 << 100));
    }

    #[test]
    fn words() {
        assert_eq!(show(&Val::I32(5)), "5");
        assert_eq!(show(&Val::I32(-1)), "-1");
        assert_eq!(show(&Val::I64(i64::MIN)), "-9223372036854775808");
        assert_eq!(show(&Val::F64(2.0_f64.to_bits())), "2.0");
        assert!(read(&ValType::FUNCREF, "null").is_some());
        for wrong in ["", "0x", "0x+1", "1", "0x100000000000000000000000000000000"] {
            assert!(read(&ValType::V128, wrong).is_none(), "{wrong}");
        }
        assert!(read(&ValType::F32, "nan:0x800000").is_none());
        assert!(read(&ValType::EXTERNREF, "0").is_none());
    }
}
