//! Looks places of the code up in a table, which somebody else may have written.
//!
//! Walks over the table three times, once over each of its parts, and keeps only what was asked
//! for; [`lines`] asks for all lines. Guarantees that no bytes make it panic.

use super::{DebugError, LINES_MAX, NAME_BYTES_MAX};
use crate::demangle::readable;
use crate::text::{printable, printable_name};
use std::fmt;
use std::rc::Rc;

/// A line of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Line {
    /// The function that it belongs to there, where it is known.
    pub function: Option<String>,
    /// The file, where it is known.
    pub file: Option<String>,
    /// From 1; 0 where it is not known.
    pub line: u32,
    /// The same.
    pub column: u32,
}

/// What is known of a place in the code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The function's index in the module that was compiled.
    pub index: u32,
    /// Its name in the module that it comes from.
    pub name: Option<String>,
    /// That module, where several were linked to one.
    pub module: Option<String>,
    /// The function's index there.
    pub own_index: u32,
    /// Where its body begins there.
    pub begin: u32,
    /// The operator, in bytes from the beginning of that module.
    pub source: Option<u32>,
    /// Where it is in its source, what was inlined first.
    pub lines: Vec<Line>,
}

impl Found {
    /// Where it is in its source, for a person: a line for each function, what was inlined first;
    /// where no line is known, the operator. All foreign text in it is plain.
    #[must_use]
    pub fn shown(&self) -> Vec<String> {
        let mut shown = Vec::new();
        let known = self.lines.iter().filter(|line| line.file.is_some());
        for (number, line) in known.enumerate() {
            let mut text = format!("at {line}");
            // The last is the function that was called.
            if number + 1 < self.lines.len()
                && let Some(function) = &line.function
            {
                text += &format!(" in {}, inlined", printable_name(&readable(function)));
            }
            shown.push(text);
        }
        if let (true, Some(source)) = (shown.is_empty(), self.source) {
            let of = self.module.as_deref().filter(|name| !name.is_empty());
            let of = of.map_or(String::new(), |name| format!(" of {}", printable_name(name)));
            shown.push(format!("at {source:#x} in the source{of}"));
        }
        shown
    }
}

/// `FILE:LINE:COLUMN`, as far as they are known.
impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&printable(self.file.as_deref().unwrap_or("?")))?;
        for number in [self.line, self.column].iter().take_while(|number| **number != 0) {
            write!(formatter, ":{number}")?;
        }
        Ok(())
    }
}

/// What was found of an offset, by numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    index: u32,
    name: u32,
    module: u32,
    own_index: u32,
    begin: u32,
    source: Option<u32>,
    place: u32,
}

type Shown<T> = Result<T, DebugError>;

const ENDS: DebugError = DebugError::Form("a number ends too early");

/// What is known of each of these offsets into the code; `None` for one of no function.
///
/// # Errors
/// [`DebugError`].
pub fn find(table: &[u8], offsets: &[u32]) -> Shown<Vec<Option<Found>>> {
    let mut rest = Bytes(table);
    let (functions, places, texts) = (rest.part()?, rest.part()?, rest.part()?);
    if !rest.0.is_empty() {
        return Err(DebugError::Length);
    }
    let numbers = functions_at(functions, offsets)?;
    let mut lines: Vec<(u32, Vec<[u32; 4]>)> =
        wanted(numbers.iter().flatten().map(|one| one.place));
    read_places(places, &mut lines)?;
    let of_functions = numbers.iter().flatten().flat_map(|found| [found.name, found.module]);
    let of_lines = lines.iter().flat_map(|(_, lines)| lines);
    let of_lines = of_lines.flat_map(|[function, file, ..]| [*function, *file]);
    let mut names: Vec<(u32, String)> = wanted(of_functions.chain(of_lines));
    read_texts(texts, &mut names)?;
    let text = |number: u32| Some(names[at(&names, number)?].1.clone());
    let line = |[function, file, line, column]: &[u32; 4]| Line {
        function: text(*function),
        file: text(*file),
        line: *line,
        column: *column,
    };
    let found = |found: Numbers| Found {
        index: found.index,
        name: text(found.name),
        module: text(found.module),
        own_index: found.own_index,
        begin: found.begin,
        source: found.source,
        lines: match at(&lines, found.place) {
            Some(at) => lines[at].1.iter().map(line).collect(),
            None => Vec::new(),
        },
    };
    Ok(numbers.into_iter().map(|one| one.map(found)).collect())
}

/// Where a line of a source begins in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Bytes into the code.
    pub offset: u32,
    /// The file.
    pub file: Rc<str>,
    /// From 1.
    pub line: u32,
}

/// All lines that the code has, in its order: of what was inlined, its own. What has no line is
/// left out.
///
/// # Errors
/// [`DebugError`].
pub fn lines(table: &[u8]) -> Shown<Vec<Begin>> {
    let mut rest = Bytes(table);
    let (mut functions, places, texts) = (rest.part()?, rest.part()?, rest.part()?);
    let (mut rows, mut begin) = (Vec::new(), 0_u32);
    while !functions.0.is_empty() {
        begin = begin.checked_add(functions.number()?).ok_or(ENDS)?;
        for _ in 0..5 {
            functions.number()?;
        }
        let length = functions.number()?;
        let mut of_one = Rows::new(functions.take(length as usize)?, begin);
        while let Some((offset, at)) = of_one.next()? {
            rows.extend(at.map(|(_, place)| (offset, place)));
        }
    }
    let mut known: Vec<(u32, Vec<[u32; 4]>)> = wanted(rows.iter().map(|(_, place)| *place));
    read_places(places, &mut known)?;
    let first = |lines: &[[u32; 4]]| lines.first().filter(|[.., line, _]| *line != 0).copied();
    let files = known.iter().filter_map(|(_, lines)| Some(first(lines)?[1]));
    let mut names: Vec<(u32, String)> = wanted(files);
    read_texts(texts, &mut names)?;
    let names: Vec<(u32, Rc<str>)> =
        names.into_iter().map(|(number, name)| (number, name.into())).collect();
    let begin = |(offset, place): (u32, u32)| {
        let known = &known[known.binary_search_by_key(&place, |(number, _)| *number).ok()?].1;
        let [_, file, line, _] = first(known)?;
        let name = names.binary_search_by_key(&file, |(number, _)| *number).ok()?;
        Some(Begin { offset, file: Rc::clone(&names[name].1), line })
    };
    Ok(rows.into_iter().filter_map(begin).collect())
}

/// A place for each of these numbers, in their order; 0 is nothing's.
fn wanted<T: Default>(numbers: impl Iterator<Item = u32>) -> Vec<(u32, T)> {
    let mut numbers: Vec<u32> = numbers.filter(|number| *number != 0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().map(|number| (number, T::default())).collect()
}

/// Where a number is among those that are wanted.
fn at<T>(all: &[(u32, T)], number: u32) -> Option<usize> {
    all.iter().position(|(one, _)| *one == number)
}

/// Walks over the functions. Each offset belongs to the last function that begins at it or before.
fn functions_at(mut bytes: Bytes<'_>, offsets: &[u32]) -> Shown<Vec<Option<Numbers>>> {
    let mut found = vec![None; offsets.len()];
    let mut begin = 0_u32;
    while !bytes.0.is_empty() {
        begin = begin.checked_add(bytes.number()?).ok_or(ENDS)?;
        let [index, name, module] = [bytes.number()?, bytes.number()?, bytes.number()?];
        let (own_index, body) = (bytes.number()?, bytes.number()?);
        let length = bytes.number()?;
        let rows = bytes.take(length as usize)?;
        let function =
            Numbers { index, name, module, own_index, begin: body, ..Numbers::default() };
        for (at, offset) in offsets.iter().enumerate().filter(|(_, offset)| **offset >= begin) {
            found[at] = Some(row_at(rows, begin, *offset, function)?);
        }
    }
    Ok(found)
}

/// The last row of a function that begins at the offset or before.
fn row_at(rows: Bytes<'_>, begin: u32, wanted: u32, function: Numbers) -> Shown<Numbers> {
    let mut found = function;
    let mut rows = Rows::new(rows, begin);
    while let Some((offset, at)) = rows.next()? {
        if offset > wanted {
            break;
        }
        found = match at {
            None => Numbers { source: None, place: 0, ..function },
            Some((source, place)) => Numbers { source: Some(source), place, ..function },
        };
    }
    Ok(found)
}

/// Where a row begins, and its operator and place, where it has them.
type Row = (u32, Option<(u32, u32)>);

/// The rows of a function, one by one.
struct Rows<'a> {
    bytes: Bytes<'a>,
    offset: u32,
    source: u32,
    place: u32,
}

impl<'a> Rows<'a> {
    fn new(bytes: Bytes<'a>, offset: u32) -> Self {
        Self { bytes, offset, source: 0, place: 0 }
    }

    /// The next one.
    fn next(&mut self) -> Shown<Option<Row>> {
        if self.bytes.0.is_empty() {
            return Ok(None);
        }
        let token = self.bytes.unsigned()?;
        let delta = u32::try_from(token >> 1).map_err(|_| ENDS)?;
        self.offset = self.offset.checked_add(delta).ok_or(ENDS)?;
        if token & 1 == 1 {
            return Ok(Some((self.offset, None)));
        }
        self.source = self.bytes.moved(self.source)?;
        self.place = self.bytes.moved(self.place)?;
        Ok(Some((self.offset, Some((self.source, self.place)))))
    }
}

/// Reads the places that are wanted.
fn read_places(mut bytes: Bytes<'_>, wanted: &mut [(u32, Vec<[u32; 4]>)]) -> Shown<()> {
    let mut number = 0_u32;
    for (next, lines) in wanted {
        while number < *next {
            number += 1;
            let count = bytes.number()? as usize;
            if count > LINES_MAX {
                return Err(DebugError::Form("a place has too many lines"));
            }
            for _ in 0..count {
                let line = [bytes.number()?, bytes.number()?, bytes.number()?, bytes.number()?];
                if number == *next {
                    lines.push(line);
                }
            }
        }
    }
    Ok(())
}

/// Reads the texts that are wanted.
fn read_texts(mut bytes: Bytes<'_>, wanted: &mut [(u32, String)]) -> Shown<()> {
    let mut number = 0_u32;
    for (next, name) in wanted {
        while number < *next {
            number += 1;
            let length = bytes.number()? as usize;
            if length > NAME_BYTES_MAX {
                return Err(DebugError::Form("a name is too long"));
            }
            let text = bytes.take(length)?;
            if number == *next {
                let text = std::str::from_utf8(text.0);
                text.map_err(|_| DebugError::Form("a name is no text"))?.clone_into(name);
            }
        }
    }
    Ok(())
}

/// What is left to be read.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Shown<Self> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DebugError::Length)?;
        self.0 = rest;
        Ok(Self(taken))
    }

    /// A part, behind how many bytes it has.
    fn part(&mut self) -> Shown<Self> {
        let length = self.take(8)?.0.try_into().map(u64::from_le_bytes);
        let length = length.ok().and_then(|length| usize::try_from(length).ok());
        self.take(length.ok_or(DebugError::Length)?)
    }

    fn unsigned(&mut self) -> Shown<u64> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(ENDS)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DebugError::Form("a number is too long"))
    }

    fn number(&mut self) -> Shown<u32> {
        u32::try_from(self.unsigned()?).map_err(|_| DebugError::Form("a number is too large"))
    }

    /// A number that is written as the difference to this one.
    fn moved(&mut self, from: u32) -> Shown<u32> {
        let mut difference = 0_i64;
        for shift in (0..63).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(ENDS)?;
            self.0 = rest;
            difference |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte & 0x40 != 0 {
                    difference |= -1 << (shift + 7);
                }
                let moved = i64::from(from).checked_add(difference);
                let moved = moved.and_then(|moved| u32::try_from(moved).ok());
                return moved.ok_or(DebugError::Form("a number is out of range"));
            }
        }
        Err(DebugError::Form("a number is too long"))
    }
}
