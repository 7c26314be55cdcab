//! A table as it is built and written. Numbers are LEB128; what is signed is the difference to the
//! one before it.

use super::{LINES_MAX, NAME_BYTES_MAX, find::Line};
use std::collections::HashMap;

/// Where a line of a source is; the innermost first of those that were inlined into each other.
pub type Place = Vec<Line>;

/// From this offset on, up to the next row's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Bytes into the code.
    pub offset: u32,
    /// The operator in the source that it was made of, in bytes from its module's beginning;
    /// `None` where it was made of none.
    pub source: Option<u32>,
    /// The number of its place, from 1; 0 where none is known.
    pub place: u32,
}

/// A function of the code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// Its index in the module that was compiled.
    pub index: u32,
    /// Its name in the module that it comes from.
    pub name: Option<String>,
    /// The module that it comes from, where several were linked to one; empty for the entry.
    pub module: Option<String>,
    /// Its index there.
    pub own_index: u32,
    /// Where its body begins there, in bytes; 0 where it comes from none.
    pub begin: u32,
    /// Ascending; the first is where it begins.
    pub rows: Vec<Row>,
}

/// The table of one image.
#[derive(Debug, Default)]
pub struct Table {
    functions: Vec<u8>,
    last: u32,
    places: Vec<u8>,
    known_places: HashMap<Place, u32>,
    texts: Vec<u8>,
    known_texts: HashMap<String, u32>,
}

impl Table {
    /// The number of a place; 0 for one that is empty.
    pub fn place(&mut self, mut place: Place) -> u32 {
        place.truncate(LINES_MAX);
        if place.is_empty() {
            return 0;
        }
        if let Some(known) = self.known_places.get(&place) {
            return *known;
        }
        let mut bytes = Vec::new();
        unsigned(&mut bytes, place.len() as u64);
        for line in &place {
            let (function, file) = (self.text(&line.function), self.text(&line.file));
            for number in [function, file, line.line, line.column] {
                unsigned(&mut bytes, number.into());
            }
        }
        self.places.extend(bytes);
        let number = self.known_places.len() as u32 + 1;
        self.known_places.insert(place, number);
        number
    }

    /// Adds a function, whose code lies behind that of those before it.
    pub fn function(&mut self, function: &Function) {
        let Some(first) = function.rows.first() else { return };
        let mut rows = Vec::new();
        let (mut offset, mut source, mut place) = (first.offset, 0_u32, 0_u32);
        for row in &function.rows {
            let delta = u64::from(row.offset.saturating_sub(offset));
            unsigned(&mut rows, delta << 1 | u64::from(row.source.is_none()));
            offset = row.offset.max(offset);
            if let Some(now) = row.source {
                signed(&mut rows, i64::from(now) - i64::from(source));
                signed(&mut rows, i64::from(row.place) - i64::from(place));
                (source, place) = (now, row.place);
            }
        }
        let name = self.text(&function.name);
        let module = self.text(&function.module);
        let begin = first.offset.saturating_sub(self.last);
        self.last = first.offset.max(self.last);
        let numbers = [begin, function.index, name, module, function.own_index, function.begin];
        for number in numbers {
            unsigned(&mut self.functions, number.into());
        }
        unsigned(&mut self.functions, rows.len() as u64);
        self.functions.extend(rows);
    }

    /// Its bytes: functions, places and texts, each behind how many bytes it has.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut table = Vec::new();
        for part in [self.functions, self.places, self.texts] {
            table.extend((part.len() as u64).to_le_bytes());
            table.extend(part);
        }
        table
    }

    /// The number of a text, from 1; 0 for none.
    fn text(&mut self, text: &Option<String>) -> u32 {
        let Some(text) = text else { return 0 };
        let text = &text[..text.floor_char_boundary(NAME_BYTES_MAX)];
        if let Some(known) = self.known_texts.get(text) {
            return *known;
        }
        unsigned(&mut self.texts, text.len() as u64);
        self.texts.extend(text.as_bytes());
        let number = self.known_texts.len() as u32 + 1;
        self.known_texts.insert(text.to_owned(), number);
        number
    }
}

/// Unsigned LEB128.
pub fn unsigned(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Signed LEB128.
pub fn signed(bytes: &mut Vec<u8>, mut number: i64) {
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        let is_last = number == 0 && byte & 0x40 == 0 || number == -1 && byte & 0x40 != 0;
        bytes.push(if is_last { byte } else { byte | 0x80 });
        if is_last {
            return;
        }
    }
}
