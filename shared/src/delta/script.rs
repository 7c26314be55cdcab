//! A difference: how a new image is made of a base, by copies and insertions.
//!
//! ```text
//! base  ..AAAA call f BBBB............CCCC....      copies of A…B and of C, and "new" between
//! new   ..AAAA call g BBBBnewCCCC                   them; what follows an insertion has moved
//! ```
//!
//! Where code moves, every call that crosses the place changes, though nobody edited it. So a
//! copy is more than bytes: an instruction in it that names another place by its distance, and a
//! table of such places, are written for where the copies have brought both ends
//! ([`Moved::rewrite`]). That is a guess which compiler and loader make alike; where it is
//! wrong, corrections follow, as they do for bytes that differ otherwise.
//!
//! [`make`] works in memory. [`apply`] streams: it keeps the copies ([`DELTA_COPIES_MAX`] at most)
//! and one piece, reads the base by positions and the difference in order. May assume nothing about
//! what it reads. Guarantees that no position beyond the base is read and that exactly the new
//! length is given. Whether the bytes are right is for their digest to say.

use crate::limits::DELTA_COPIES_MAX;
use std::fmt;

/// Shorter copies say nothing of where code has moved: they are often of other code that
/// happens to be alike.
const MOVED_MIN: u32 = 256;
/// Most ranges of one difference.
const RANGES_MAX: u64 = 16;
/// Bytes of the base that are in memory at a time.
const PIECE: usize = 64 << 10;
/// Longest instruction that is rewritten, in bytes.
const INSTRUCTION_MAX: u64 = 5;

/// What in a range of the base is written anew where it has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Calls and jumps of x86-64 with a distance of 32 bits: `e8`, `e9`.
    X86,
    /// Calls and jumps of aarch64 with a distance of 26 bits: `b`, `bl`.
    Aarch64,
    /// Places as 32-bit distances from an origin, which is here in the base and there in the new.
    Table(u32, u32),
}

/// A range of the base, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// What is in it.
    pub kind: Kind,
    /// Where it begins.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
}

/// A stretch of the base that is in the new image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// How many bytes are inserted before it.
    pub insert: u32,
    /// Where it is in the base.
    pub base: u32,
    /// How many bytes.
    pub length: u32,
}

/// Why a difference is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptError {
    /// A number of more than 32 bits, or in a second spelling.
    Number,
    /// More ranges or copies than the format has; how many.
    Count(u32),
    /// A range or a copy that is not within the base.
    BeyondBase,
    /// Ranges that overlap, or of a kind that this program does not know.
    Range,
    /// Copies and insertions do not add up to the new length.
    Length,
    /// A correction of nothing, or behind its copy.
    Correction,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number => write!(f, "a number in it is not one of the format's"),
            Self::Count(count) => write!(f, "it has {count} copies or ranges, more than allowed"),
            Self::BeyondBase => write!(f, "it copies from beyond the end of the base"),
            Self::Range => write!(f, "its ranges are not ones of the format"),
            Self::Length => write!(f, "it does not give the length that is signed"),
            Self::Correction => write!(f, "it corrects what is not there"),
        }
    }
}

impl std::error::Error for ScriptError {}

impl ScriptError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Number => "delta.number",
            Self::Count(_) => "delta.count",
            Self::BeyondBase => "delta.beyond-base",
            Self::Range => "delta.range",
            Self::Length => "delta.length",
            Self::Correction => "delta.correction",
        }
    }
}

/// Where a difference comes from, and where what it makes goes.
pub trait Ends {
    /// What goes wrong.
    type Error: From<ScriptError>;
    /// The next bytes of the difference, all of `bytes`.
    fn next(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error>;
    /// The bytes of the base from `position`, all of `bytes`, which are within it.
    fn base(&mut self, position: u64, bytes: &mut [u8]) -> Result<(), Self::Error>;
    /// Takes the next bytes of the new image.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// Makes a new image of `length` bytes out of a base of `base_length`.
///
/// # Errors
/// [`Ends`]' own, and [`ScriptError`].
pub fn apply<E: Ends>(ends: &mut E, base_length: u64, length: u64) -> Result<(), E::Error> {
    let (base_length, length) = (as_u32(base_length)?, as_u32(length)?);
    let ranges = read_ranges(ends, base_length)?;
    let copies = read_copies(ends, base_length)?;
    let tail = number(ends)?;
    let sum = |sum: u32, more: u32| sum.checked_add(more).ok_or(ScriptError::Length);
    let copied = copies.iter().try_fold(0, |all, copy| sum(sum(all, copy.insert)?, copy.length))?;
    if sum(copied, tail)? != length {
        return Err(ScriptError::Length.into());
    }
    let moved = Moved::new(&ranges, &copies);
    let mut buffer = vec![0; PIECE];
    let mut at = 0;
    for copy in &copies {
        insert(ends, copy.insert, &mut buffer)?;
        at += copy.insert;
        copy_over(ends, &moved, *copy, at, &mut buffer)?;
        at += copy.length;
    }
    insert(ends, tail, &mut buffer)
}

fn as_u32(length: u64) -> Result<u32, ScriptError> {
    u32::try_from(length).map_err(|_| ScriptError::Length)
}

/// A number of 32 bits, seven of them a byte, the lowest first; the highest byte is not zero.
fn number<E: Ends>(ends: &mut E) -> Result<u32, E::Error> {
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let mut byte = [0];
        ends.next(&mut byte)?;
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            let is_short = byte[0] != 0 || shift == 0;
            let value = u32::try_from(value).ok().filter(|_| is_short);
            return value.ok_or_else(|| ScriptError::Number.into());
        }
    }
    Err(ScriptError::Number.into())
}

fn read_ranges<E: Ends>(ends: &mut E, base_length: u32) -> Result<Vec<Range>, E::Error> {
    let count = number(ends)?;
    if u64::from(count) > RANGES_MAX {
        return Err(ScriptError::Count(count).into());
    }
    let mut ranges: Vec<Range> = Vec::new();
    for _ in 0..count {
        let (kind, start, bytes) = (number(ends)?, number(ends)?, number(ends)?);
        let kind = match kind {
            1 => Kind::X86,
            2 => Kind::Aarch64,
            3 => Kind::Table(number(ends)?, number(ends)?),
            _ => return Err(ScriptError::Range.into()),
        };
        let end = start.checked_add(bytes).filter(|end| *end <= base_length);
        let end = end.ok_or(ScriptError::BeyondBase)?;
        if ranges.last().is_some_and(|last| last.end > start) {
            return Err(ScriptError::Range.into());
        }
        ranges.push(Range { kind, start, end });
    }
    Ok(ranges)
}

fn read_copies<E: Ends>(ends: &mut E, base_length: u32) -> Result<Vec<Copy>, E::Error> {
    let count = number(ends)?;
    if count as usize > DELTA_COPIES_MAX {
        return Err(ScriptError::Count(count).into());
    }
    // Memory is taken as copies come, not as they are announced.
    let mut copies = Vec::new();
    let mut expected = 0;
    for _ in 0..count {
        let (insert, length, moved) = (number(ends)?, number(ends)?, number(ends)?);
        let base = expected + unfold(moved);
        let end = base + i64::from(length);
        if base < 0 || end > i64::from(base_length) || length == 0 {
            return Err(ScriptError::BeyondBase.into());
        }
        expected = end;
        copies.push(Copy { insert, base: base as u32, length });
    }
    Ok(copies)
}

/// 0, -1, 1, -2, 2 … are written as 0, 1, 2, 3, 4 …
fn unfold(number: u32) -> i64 {
    i64::from(number >> 1) ^ -i64::from(number & 1)
}

/// Gives the next `count` bytes of the difference as they are.
fn insert<E: Ends>(ends: &mut E, count: u32, buffer: &mut [u8]) -> Result<(), E::Error> {
    let mut left = count as usize;
    while left > 0 {
        let piece = left.min(buffer.len());
        ends.next(&mut buffer[..piece])?;
        ends.take(&buffer[..piece])?;
        left -= piece;
    }
    Ok(())
}

/// Gives a copy of the base, which begins at `new` in the new image: moved, and corrected.
fn copy_over<E: Ends>(
    ends: &mut E,
    moved: &Moved<'_>,
    copy: Copy,
    new: u32,
    buffer: &mut [u8],
) -> Result<(), E::Error> {
    let mut corrections = Corrections { left: number(ends)?, next: 0, add: 0 };
    corrections.advance(ends, copy.length)?;
    // Bytes that are given, and bytes behind them that are in memory.
    let (mut done, mut held) = (0, 0);
    while done < copy.length {
        let room = buffer.len() - held;
        let more = (room as u32).min(copy.length - done - held as u32) as usize;
        ends.base(u64::from(copy.base + done) + held as u64, &mut buffer[held..held + more])?;
        held += more;
        let ready = moved.rewrite(copy, new, done, &mut buffer[..held]);
        while corrections.is_within(done + ready as u32) {
            let at = (corrections.next - done) as usize;
            buffer[at] = buffer[at].wrapping_add(corrections.add);
            corrections.next += 1;
            corrections.left -= 1;
            corrections.advance(ends, copy.length)?;
        }
        ends.take(&buffer[..ready])?;
        buffer.copy_within(ready..held, 0);
        held -= ready;
        done += ready as u32;
    }
    Ok(())
}

/// The corrections of a copy: how many are left, where the next one is and what it adds.
struct Corrections {
    left: u32,
    next: u32,
    add: u8,
}

impl Corrections {
    /// Reads the next one, if there is any; `next` is the first place where it may be.
    fn advance<E: Ends>(&mut self, ends: &mut E, length: u32) -> Result<(), E::Error> {
        if self.left == 0 {
            return Ok(());
        }
        let place = self.next.checked_add(number(ends)?).filter(|place| *place < length);
        self.next = place.ok_or(ScriptError::Correction)?;
        let mut byte = [0];
        ends.next(&mut byte)?;
        self.add = byte[0];
        if self.add == 0 { Err(ScriptError::Correction.into()) } else { Ok(()) }
    }

    fn is_within(&self, end: u32) -> bool {
        self.left > 0 && self.next < end
    }
}

/// Where the copies have brought what was in the base.
#[derive(Debug)]
pub struct Moved<'a> {
    ranges: &'a [Range],
    /// Beginnings of long copies in the base, sorted, and where they begin in the new image.
    places: Vec<(u32, u32)>,
}

impl<'a> Moved<'a> {
    /// By these copies.
    #[must_use]
    pub fn new(ranges: &'a [Range], copies: &[Copy]) -> Self {
        let mut places = Vec::new();
        let mut at = 0;
        if !ranges.is_empty() {
            for copy in copies {
                at += copy.insert;
                if copy.length >= MOVED_MIN {
                    places.push((copy.base, at));
                }
                at += copy.length;
            }
        }
        places.sort_unstable();
        Self { ranges, places }
    }

    /// Where a place of the base is now: as far behind the last long copy that begins before it
    /// as it was.
    fn place(&self, base: i64) -> Option<i64> {
        let behind = self.places.partition_point(|(start, _)| i64::from(*start) <= base);
        let (start, now) = self.places.get(behind.checked_sub(1)?)?;
        Some(base - i64::from(*start) + i64::from(*now))
    }

    /// Writes anew what has moved in `bytes`, which are the copy's from `done` on; the copy
    /// begins at `new` in the new image. Gives how many bytes are ready: all of them where they
    /// reach the copy's end, else all but the beginning of an instruction.
    pub fn rewrite(&self, copy: Copy, new: u32, done: u32, bytes: &mut [u8]) -> usize {
        let begin = u64::from(copy.base + done);
        let end = begin + bytes.len() as u64;
        let copy_end = u64::from(copy.base) + u64::from(copy.length);
        let shift = i64::from(new) - i64::from(copy.base);
        let mut at = begin;
        for range in self.ranges.iter().filter(|range| u64::from(range.end) > begin) {
            at = at.max(range.start.into());
            let stop = copy_end.min(range.end.into());
            while at < stop.min(end) {
                let size = match range.kind {
                    Kind::X86 => INSTRUCTION_MAX,
                    Kind::Aarch64 | Kind::Table(..) => 4,
                };
                if at + size > stop {
                    at += 1;
                } else if at + size > end {
                    return (at - begin) as usize;
                } else {
                    at += self.one(range, at, shift, &mut bytes[(at - begin) as usize..]);
                }
            }
        }
        bytes.len()
    }

    /// Looks at what is at `at`; gives how many bytes it was.
    fn one(&self, range: &Range, at: u64, shift: i64, bytes: &mut [u8]) -> u64 {
        let at = at as i64;
        let is_inside = |place: i64| place >= range.start.into() && place < range.end.into();
        match (range.kind, &mut *bytes) {
            (Kind::X86, [0xe8 | 0xe9, a, b, c, d, ..]) => {
                let place = at + 5 + i64::from(i32::from_le_bytes([*a, *b, *c, *d]));
                let now = self.place(place).filter(|_| is_inside(place));
                let distance = now.and_then(|now| i32::try_from(now - (at + shift + 5)).ok());
                let Some(distance) = distance else { return 1 };
                [*a, *b, *c, *d] = distance.to_le_bytes();
                5
            }
            (Kind::X86, _) => 1,
            _ if (at - i64::from(range.start)) % 4 != 0 => 1,
            (Kind::Aarch64, [a, b, c, d, ..]) => {
                let word = u32::from_le_bytes([*a, *b, *c, *d]);
                if word & 0x7c00_0000 != 0x1400_0000 {
                    return 4;
                }
                let place = at + i64::from((word << 6).cast_signed() >> 4);
                let now = self.place(place).filter(|_| is_inside(place));
                let distance = now.map(|now| now - (at + shift));
                let fits =
                    |distance: &i64| distance % 4 == 0 && (-(1 << 27)..1 << 27).contains(distance);
                if let Some(distance) = distance.filter(fits) {
                    let distance = (distance >> 2) as u32 & 0x03ff_ffff;
                    [*a, *b, *c, *d] = (word & 0xfc00_0000 | distance).to_le_bytes();
                }
                4
            }
            (Kind::Table(origin, new_origin), [a, b, c, d, ..]) => {
                let value = u32::from_le_bytes([*a, *b, *c, *d]);
                let now = self.place(i64::from(origin) + i64::from(value));
                let value = now.and_then(|now| u32::try_from(now - i64::from(new_origin)).ok());
                if let Some(value) = value {
                    [*a, *b, *c, *d] = value.to_le_bytes();
                }
                4
            }
            _ => 1,
        }
    }
}

/// The difference by which [`apply`] makes `new` out of `base`: with these ranges of the base, and
/// these copies, whose insertions and lengths fit into `new`.
#[must_use]
pub fn make(base: &[u8], new: &[u8], ranges: &[Range], copies: &[Copy]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, ranges.len() as u32);
    for range in ranges {
        let (kind, origins) = match range.kind {
            Kind::X86 => (1, None),
            Kind::Aarch64 => (2, None),
            Kind::Table(origin, new_origin) => (3, Some([origin, new_origin])),
        };
        let place = [kind, range.start, range.end - range.start];
        let numbers = place.into_iter().chain(origins.into_iter().flatten());
        numbers.for_each(|number| put(&mut out, number));
    }
    put(&mut out, copies.len() as u32);
    let (mut expected, mut covered) = (0, 0);
    for copy in copies {
        put(&mut out, copy.insert);
        put(&mut out, copy.length);
        let moved = i64::from(copy.base) - expected;
        put(&mut out, ((moved << 1) ^ (moved >> 63)) as u32);
        expected = i64::from(copy.base) + i64::from(copy.length);
        covered += copy.insert as usize + copy.length as usize;
    }
    put(&mut out, (new.len() - covered) as u32);
    let moved = Moved::new(ranges, copies);
    let mut at = 0;
    for copy in copies {
        let (insert, length) = (copy.insert as usize, copy.length as usize);
        out.extend_from_slice(&new[at..at + insert]);
        at += insert;
        let mut guess = base[copy.base as usize..][..length].to_vec();
        moved.rewrite(*copy, at as u32, 0, &mut guess);
        correct(&guess, &new[at..at + length], &mut out);
        at += length;
    }
    out.extend_from_slice(&new[at..]);
    out
}

/// Writes what makes `wanted` of `guess`.
fn correct(guess: &[u8], wanted: &[u8], out: &mut Vec<u8>) {
    let differ =
        || guess.iter().zip(wanted).enumerate().filter(|(_, (guess, wanted))| guess != wanted);
    put(out, differ().count() as u32);
    let mut behind = 0;
    for (at, (guess, wanted)) in differ() {
        put(out, (at - behind) as u32);
        out.push(wanted.wrapping_sub(*guess));
        behind = at + 1;
    }
}

fn put(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests;
