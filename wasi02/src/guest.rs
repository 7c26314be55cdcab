//! The caller: its memory, its allocator, its way to write text.
//!
//! Each function copies at most what it is told, traps where that is outside the caller's
//! memory, and holds nothing of this module's state while the caller's allocator runs.

use crate::trap;
use alloc::string::String;
use alloc::vec::Vec;

#[link(wasm_import_module = "guest")]
unsafe extern "C" {
    /// From the caller's memory into this one.
    #[link_name = "read"]
    fn guest_read(caller: Caller, to: *mut u8, from: u32, length: usize);
    /// From this memory into the caller's.
    #[link_name = "write"]
    fn guest_write(caller: Caller, to: u32, from: *const u8, length: usize);
    /// The caller's allocator.
    #[link_name = "realloc"]
    safe fn guest_realloc(caller: Caller, old: u32, old_size: u32, align: u32, size: u32) -> u32;
}

/// Who calls: the number of its component instance, that of its memory with its allocator, and
/// how it writes text.
///
/// ```text
/// bits 16 to 31: instance   bits 2 to 15: memory and allocator   bits 0 and 1: text
/// ```
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct Caller(u32);

/// How text is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Utf16,
    /// Latin 1 where all of it is; else UTF-16, and bit 31 of its length says so.
    Compact,
}

/// Says that text of a compact encoding is UTF-16.
pub(crate) const UTF16_TAG: u32 = 1 << 31;

impl Caller {
    pub(crate) fn instance(self) -> u32 {
        self.0 >> 16
    }

    fn encoding(self) -> Encoding {
        match self.0 & 3 {
            0 => Encoding::Utf8,
            1 => Encoding::Utf16,
            _ => Encoding::Compact,
        }
    }

    /// A copy of so many bytes.
    pub(crate) fn bytes(self, from: u32, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        // SAFETY: there is room for them, and afterwards they are there.
        unsafe {
            guest_read(self, bytes.as_mut_ptr(), from, length);
            bytes.set_len(length);
        }
        bytes
    }

    /// Numbers of 32 bits.
    pub(crate) fn words(self, from: u32, count: u32) -> Vec<u32> {
        if !from.is_multiple_of(4) || count > u32::MAX / 4 {
            trap();
        }
        let bytes = self.bytes(from, count as usize * 4);
        let (words, _) = bytes.as_chunks::<4>();
        words.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    /// Text of so many of the encoding's units.
    pub(crate) fn text(self, from: u32, length: u32) -> String {
        match self.encoding() {
            Encoding::Utf8 => self.utf8(from, length),
            Encoding::Utf16 => self.utf16(from, length),
            Encoding::Compact if length & UTF16_TAG != 0 => self.utf16(from, length & !UTF16_TAG),
            Encoding::Compact => {
                if from % 2 != 0 {
                    trap();
                }
                self.bytes(from, length as usize).into_iter().map(char::from).collect()
            }
        }
    }

    pub(crate) fn utf8(self, from: u32, length: u32) -> String {
        String::from_utf8(self.bytes(from, length as usize)).unwrap_or_else(|_| trap())
    }

    pub(crate) fn units(self, from: u32, count: u32) -> Vec<u16> {
        if from % 2 != 0 || count >= UTF16_TAG {
            trap();
        }
        let bytes = self.bytes(from, count as usize * 2);
        let (units, _) = bytes.as_chunks::<2>();
        units.iter().map(|unit| u16::from_le_bytes(*unit)).collect()
    }

    pub(crate) fn utf16(self, from: u32, count: u32) -> String {
        String::from_utf16(&self.units(from, count)).unwrap_or_else(|_| trap())
    }

    /// Puts bytes where the caller said, or where its allocator did.
    pub(crate) fn put(self, to: u32, bytes: &[u8]) {
        // SAFETY: they are there.
        unsafe { guest_write(self, to, bytes.as_ptr(), bytes.len()) };
    }

    /// Room in the caller's memory.
    pub(crate) fn room(self, align: u32, bytes: usize) -> u32 {
        if bytes >= UTF16_TAG as usize {
            trap();
        }
        let place = guest_realloc(self, 0, 0, align, bytes as u32);
        if place % align != 0 {
            trap();
        }
        place
    }

    /// A list of bytes: its place.
    pub(crate) fn give(self, bytes: &[u8]) -> u32 {
        self.give_aligned(bytes, 1)
    }

    fn give_aligned(self, bytes: &[u8], align: u32) -> u32 {
        let place = self.room(align, bytes.len());
        self.put(place, bytes);
        place
    }

    /// Text: its place, and how many units it has.
    pub(crate) fn give_text(self, text: &str) -> (u32, u32) {
        let wide = || text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        match self.encoding() {
            Encoding::Utf8 => (self.give(text.as_bytes()), text.len() as u32),
            Encoding::Utf16 => {
                let bytes = wide();
                (self.give_aligned(&bytes, 2), bytes.len() as u32 / 2)
            }
            Encoding::Compact => {
                let narrow: Option<Vec<u8>> =
                    text.chars().map(|letter| u8::try_from(letter).ok()).collect();
                match narrow {
                    Some(bytes) => (self.give_aligned(&bytes, 2), bytes.len() as u32),
                    None => {
                        let bytes = wide();
                        (self.give_aligned(&bytes, 2), bytes.len() as u32 / 2 | UTF16_TAG)
                    }
                }
            }
        }
    }

    /// A record of so many bytes at a place that the caller named.
    pub(crate) fn record<const SIZE: usize>(self, to: u32, align: u32, record: &Record<SIZE>) {
        if to % align != 0 {
            trap();
        }
        self.put(to, &record.0);
    }
}

/// Bytes of a value, laid out as the canonical ABI says.
pub(crate) struct Record<const SIZE: usize>([u8; SIZE]);

impl<const SIZE: usize> Record<SIZE> {
    pub(crate) fn new() -> Self {
        Self([0; SIZE])
    }

    fn with<const N: usize>(mut self, at: usize, bytes: [u8; N]) -> Self {
        match self.0.get_mut(at..at + N) {
            Some(place) => place.copy_from_slice(&bytes),
            None => trap(),
        }
        self
    }

    pub(crate) fn u8(self, at: usize, value: u8) -> Self {
        self.with(at, [value])
    }

    #[cfg(network)]
    pub(crate) fn u16(self, at: usize, value: u16) -> Self {
        self.with(at, value.to_le_bytes())
    }

    pub(crate) fn u32(self, at: usize, value: u32) -> Self {
        self.with(at, value.to_le_bytes())
    }

    pub(crate) fn u64(self, at: usize, value: u64) -> Self {
        self.with(at, value.to_le_bytes())
    }

    /// A list or a text: its place, and its length behind it.
    pub(crate) fn list(self, at: usize, (place, length): (u32, u32)) -> Self {
        self.u32(at, place).u32(at + 4, length)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(typed)]
impl Caller {
    /// A caller by its number, as the linker says it.
    pub(crate) fn new(number: u32) -> Self {
        Self(number)
    }
}
