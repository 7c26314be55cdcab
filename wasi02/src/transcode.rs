//! Text on its way from one component into another: read as the one writes it, written as the
//! other reads it.
//!
//! The functions are what the engine's fused adapters import. Where text is no text of its
//! encoding, they trap. Two results come in one number: units read above bit 32, units written
//! below.

use crate::guest::{Caller, UTF16_TAG};
use crate::trap;
use alloc::vec::Vec;

fn pair(read: usize, written: usize) -> u64 {
    (read as u64) << 32 | written as u64
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[unsafe(export_name = "transcode#copy-utf8")]
extern "C" fn copy_utf8(from: Caller, to: Caller, source: u32, length: u32, target: u32) {
    to.put(target, from.utf8(source, length).as_bytes());
}

#[unsafe(export_name = "transcode#copy-utf16")]
extern "C" fn copy_utf16(from: Caller, to: Caller, source: u32, length: u32, target: u32) {
    to.put(target, &wide(&from.utf16(source, length)));
}

#[unsafe(export_name = "transcode#copy-latin1")]
extern "C" fn copy_latin1(from: Caller, to: Caller, source: u32, length: u32, target: u32) {
    to.put(target, &from.bytes(source, length as usize));
}

#[unsafe(export_name = "transcode#latin1-to-utf16")]
extern "C" fn latin1_to_utf16(from: Caller, to: Caller, source: u32, length: u32, target: u32) {
    let bytes = from.bytes(source, length as usize);
    let wide: Vec<u8> = bytes.into_iter().flat_map(|byte| [byte, 0]).collect();
    to.put(target, &wide);
}

#[unsafe(export_name = "transcode#utf8-to-utf16")]
extern "C" fn utf8_to_utf16(
    from: Caller,
    to: Caller,
    source: u32,
    length: u32,
    target: u32,
) -> u32 {
    let units = wide(&from.utf8(source, length));
    to.put(target, &units);
    units.len() as u32 / 2
}

/// Letters into UTF-8, as far as there is room; in the first pass only as far as each is one
/// byte.
fn into_utf8(
    letters: impl Iterator<Item = char>,
    to: Caller,
    target: u32,
    room: u32,
    first_pass: u32,
    units: fn(char) -> usize,
) -> u64 {
    let (mut bytes, mut read) = (Vec::new(), 0);
    for letter in letters {
        let mut encoded = [0; 4];
        let encoded = letter.encode_utf8(&mut encoded).as_bytes();
        if (first_pass != 0 && encoded.len() > 1) || bytes.len() + encoded.len() > room as usize {
            break;
        }
        bytes.extend_from_slice(encoded);
        read += units(letter);
    }
    to.put(target, &bytes);
    pair(read, bytes.len())
}

#[unsafe(export_name = "transcode#utf16-to-utf8")]
extern "C" fn utf16_to_utf8(
    from: Caller,
    to: Caller,
    source: u32,
    length: u32,
    target: u32,
    room: u32,
    first_pass: u32,
) -> u64 {
    let units = from.units(source, length);
    let letters = char::decode_utf16(units).map(|letter| letter.unwrap_or_else(|_| trap()));
    into_utf8(letters, to, target, room, first_pass, char::len_utf16)
}

#[unsafe(export_name = "transcode#latin1-to-utf8")]
extern "C" fn latin1_to_utf8(
    from: Caller,
    to: Caller,
    source: u32,
    length: u32,
    target: u32,
    room: u32,
    first_pass: u32,
) -> u64 {
    let bytes = from.bytes(source, length as usize);
    into_utf8(bytes.into_iter().map(char::from), to, target, room, first_pass, |_| 1)
}

#[unsafe(export_name = "transcode#utf16-to-compact-probably-utf16")]
extern "C" fn utf16_to_compact_probably_utf16(
    from: Caller,
    to: Caller,
    source: u32,
    length: u32,
    target: u32,
) -> u32 {
    let text = from.utf16(source, length);
    let narrow: Option<Vec<u8>> = text.chars().map(|letter| u8::try_from(letter).ok()).collect();
    match narrow {
        Some(bytes) => {
            to.put(target, &bytes);
            bytes.len() as u32
        }
        None => {
            to.put(target, &wide(&text));
            length | UTF16_TAG
        }
    }
}

#[unsafe(export_name = "transcode#utf8-to-latin1")]
extern "C" fn utf8_to_latin1(
    from: Caller,
    to: Caller,
    source: u32,
    length: u32,
    target: u32,
) -> u64 {
    // What is behind the first letter that is not Latin 1 is judged by who goes on there.
    let bytes = from.bytes(source, length as usize);
    let (mut narrow, mut read) = (Vec::new(), 0);
    while let Some(rest) = bytes.get(read..) {
        let (byte, used) = match *rest {
            [byte @ 0..0x80, ..] => (byte, 1),
            [first @ (0xc2 | 0xc3), second @ 0x80..0xc0, ..] => (first << 6 | second & 0x3f, 2),
            _ => break,
        };
        narrow.push(byte);
        read += used;
    }
    to.put(target, &narrow);
    pair(read, narrow.len())
}

#[unsafe(export_name = "transcode#utf16-to-latin1")]
extern "C" fn utf16_to_latin1(
    from: Caller,
    to: Caller,
    source: u32,
    length: u32,
    target: u32,
) -> u64 {
    let units = from.units(source, length);
    let narrow: Vec<u8> = units.into_iter().map_while(|unit| u8::try_from(unit).ok()).collect();
    to.put(target, &narrow);
    pair(narrow.len(), narrow.len())
}

/// Makes UTF-16 of the Latin 1 that is there already, and writes text behind it; how many units
/// there are then.
fn widen(to: Caller, target: u32, latin1: u32, text: &str) -> u32 {
    let mut units: Vec<u8> =
        to.bytes(target, latin1 as usize).into_iter().flat_map(|byte| [byte, 0]).collect();
    units.extend_from_slice(&wide(text));
    to.put(target, &units);
    units.len() as u32 / 2
}

#[unsafe(export_name = "transcode#utf8-to-compact-utf16")]
extern "C" fn utf8_to_compact_utf16(
    from: Caller,
    to: Caller,
    source: u32,
    length: u32,
    target: u32,
    _room: u32,
    latin1: u32,
) -> u32 {
    let text = from.utf8(source, length);
    widen(to, target, latin1, &text)
}

#[unsafe(export_name = "transcode#utf16-to-compact-utf16")]
extern "C" fn utf16_to_compact_utf16(
    from: Caller,
    to: Caller,
    source: u32,
    length: u32,
    target: u32,
    _room: u32,
    latin1: u32,
) -> u32 {
    let text = from.utf16(source, length);
    widen(to, target, latin1, &text)
}
