//! How values are written into frames, and read.
//!
//! Numbers are little-endian; bytes and text have their length, four bytes, before them; a
//! list has its count; an optional number has a byte 0, or a byte 1 before it.

use crate::limits::{FRAME_BYTES_MAX, HEADERS_MAX, REFUSAL_BYTES_MAX};
use std::fmt;

/// Bytes of a frame's length.
pub const LENGTH_BYTES: usize = 4;

/// Why bytes are no frame, or a value does not fit into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The frame is longer than [`FRAME_BYTES_MAX`], or empty.
    Length,
    /// It ends in the middle of a field.
    Short,
    /// Something stands behind its last field.
    Trailing,
    /// It is of no kind that there is.
    Kind,
    /// Text that is not UTF-8.
    Text,
    /// A list has more items than it may have, or a field more bytes.
    Many,
}

impl fmt::Display for WireError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(formatter, "a frame has 1 to {FRAME_BYTES_MAX} bytes"),
            Self::Short => formatter.write_str("the frame ends in the middle of a field"),
            Self::Trailing => formatter.write_str("something stands behind the last field"),
            Self::Kind => formatter.write_str("there is no frame of this kind"),
            Self::Text => formatter.write_str("a text of the frame is not UTF-8"),
            Self::Many => formatter.write_str("a list or text of the frame is too long"),
        }
    }
}

impl std::error::Error for WireError {}

/// How many bytes follow a frame's length.
///
/// # Errors
/// [`WireError::Length`] where they are none, or too many.
pub fn frame_length(length: [u8; LENGTH_BYTES]) -> Result<usize, WireError> {
    match u32::from_le_bytes(length) as usize {
        length @ 1..=FRAME_BYTES_MAX => Ok(length),
        _ => Err(WireError::Length),
    }
}

/// Writes a frame.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new() -> Self {
        Self(vec![0; LENGTH_BYTES])
    }

    pub(super) fn tag(&mut self, tag: u8) -> &mut Self {
        self.0.push(tag);
        self
    }

    pub(super) fn short(&mut self, number: u16) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    pub(super) fn number(&mut self, number: u32) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    pub(super) fn long(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    pub(super) fn option(&mut self, number: Option<u64>) -> &mut Self {
        match number {
            None => self.tag(0),
            Some(number) => self.tag(1).long(number),
        }
    }

    /// What is too long for its length is too long for the frame, which is refused.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(super) fn refusal(&mut self, text: &str) -> Result<&mut Self, WireError> {
        if text.len() > REFUSAL_BYTES_MAX { Err(WireError::Many) } else { Ok(self.text(text)) }
    }

    pub(super) fn list<T>(
        &mut self,
        items: &[T],
        most: usize,
        write: impl Fn(&mut Self, &T),
    ) -> Result<&mut Self, WireError> {
        if items.len() > most {
            return Err(WireError::Many);
        }
        self.number(items.len() as u32);
        for item in items {
            write(self, item);
        }
        Ok(self)
    }

    pub(super) fn headers(
        &mut self,
        headers: &[(String, Vec<u8>)],
    ) -> Result<&mut Self, WireError> {
        self.list(headers, HEADERS_MAX, |out, (name, value)| {
            out.text(name).bytes(value);
        })
    }

    /// The whole of it.
    pub(super) fn frame(mut self) -> Result<Vec<u8>, WireError> {
        let length = self.0.len() - LENGTH_BYTES;
        if length > FRAME_BYTES_MAX {
            return Err(WireError::Length);
        }
        self.0[..LENGTH_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
        Ok(self.0)
    }
}

/// Reads a frame.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Result<Self, WireError> {
        match body.len() {
            1..=FRAME_BYTES_MAX => Ok(Self(body)),
            _ => Err(WireError::Length),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn tag(&mut self) -> Result<u8, WireError> {
        self.array().map(|[tag]| tag)
    }

    pub(super) fn short(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn number(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn long(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn option(&mut self) -> Result<Option<u64>, WireError> {
        match self.tag()? {
            0 => Ok(None),
            1 => self.long().map(Some),
            _ => Err(WireError::Kind),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, WireError> {
        let length = self.number()? as usize;
        self.take(length).map(<[u8]>::to_vec)
    }

    pub(super) fn text(&mut self) -> Result<String, WireError> {
        let length = self.number()? as usize;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| WireError::Text)?;
        Ok(text.to_owned())
    }

    pub(super) fn refusal(&mut self) -> Result<String, WireError> {
        let text = self.text()?;
        if text.len() > REFUSAL_BYTES_MAX { Err(WireError::Many) } else { Ok(text) }
    }

    pub(super) fn list<T>(
        &mut self,
        most: usize,
        read: impl Fn(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let count = self.number()? as usize;
        if count > most {
            return Err(WireError::Many);
        }
        (0..count).map(|_| read(self)).collect()
    }

    pub(super) fn end(self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Trailing) }
    }
}
