//! The debug file of an artifact: which place of its source an instruction of its code came from.
//!
//! FORMAT.md ("Debug files") is normative. The compiler has read the module's DWARF and followed
//! every instruction back to the source; what is written is a table, from an address in the code
//! to files and lines, so that whoever looks something up needs no reader of DWARF.
//!
//! ```text
//! head: magic, version, source, one record for each image │ table │ table │ …
//! ```
//!
//! The file is neither signed nor trusted. It is bound to images by their digests, which keeps a
//! wrong one from being used by mistake, and it decides about words alone. Guarantees that no
//! bytes make the reader panic, or take memory beyond what is asked for: a look-up walks over the
//! table, and keeps what it looks for.

mod find;
mod table;
#[cfg(test)]
mod tests;

use crate::digest::Sha256;
use crate::limits::PARTS_MAX;
pub use find::{Begin, Found, Line, find, lines};
use std::fmt;
pub use table::{Function, Place, Row, Table, signed, unsigned};

/// The first bytes of a debug file.
pub const MAGIC: [u8; 8] = [0x89, b'B', b'L', b'S', b'D', b'\r', b'\n', 0x1a];
/// The version of its form.
pub const VERSION: u32 = 1;
/// Bytes of the head before its records.
pub const HEAD_BYTES: usize = 48;
/// Bytes of a record.
const RECORD_BYTES: usize = 72;
/// The most bytes of a table.
pub const TABLE_BYTES_MAX: u64 = 1 << 30;
/// The most bytes of a name of a file or a function; a longer one is cut when it is written.
pub const NAME_BYTES_MAX: usize = 1024;
/// The most functions at one place: one that was called, and those that were inlined.
pub const LINES_MAX: usize = 64;

/// Why a debug file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DebugError {
    /// It does not begin as one.
    Magic,
    /// It is of another version.
    Version(u32),
    /// It ends too early, or goes on.
    Length,
    /// Something in it cannot be; what.
    Form(&'static str),
    /// A table is not the one that was written.
    Damaged,
    /// It is about these images, and not about this one.
    OtherImage {
        /// The image that was looked for.
        wanted: Sha256,
        /// Those it is about.
        has: Vec<Sha256>,
    },
}

impl fmt::Display for DebugError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => write!(formatter, "it is no debug file"),
            Self::Version(version) => {
                write!(formatter, "it is a debug file of version {version}; this reads {VERSION}")
            }
            Self::Length => write!(formatter, "it is not whole"),
            Self::Form(what) => write!(formatter, "it is damaged: {what}"),
            Self::Damaged => write!(formatter, "it is damaged: a table is not what was written"),
            Self::OtherImage { wanted, has } => {
                let has: Vec<String> = has.iter().map(ToString::to_string).collect();
                let has = has.join(", ");
                write!(formatter, "it is about the image {has}, and this is the image {wanted}")
            }
        }
    }
}

impl std::error::Error for DebugError {}

impl DebugError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Magic => "debug.magic",
            Self::Version(_) => "debug.version",
            Self::Length | Self::Form(_) | Self::Damaged => "debug.damaged",
            Self::OtherImage { .. } => "debug.other-image",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Magic => "bls-compile --debug-file FILE writes one beside an artifact",
            Self::Version(_) => "take the bls-load and the bls-compile of one release",
            Self::Length | Self::Form(_) | Self::Damaged => {
                "make it again: the same source and settings, and --debug-file"
            }
            Self::OtherImage { .. } => {
                "take the one that was written with this artifact; the same source and settings give it again"
            }
        }
    }
}

/// What the head says of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The image, as a manifest names it.
    pub image: Sha256,
    /// Of its table.
    pub sha256: Sha256,
    /// Bytes of its table.
    pub length: u64,
}

/// The head of a debug file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the artifact was made of, as its manifest says.
    pub source: Sha256,
    /// One for each image.
    pub records: Vec<Record>,
}

impl Head {
    /// How many bytes the head has whose first [`HEAD_BYTES`] are these.
    ///
    /// # Errors
    /// [`DebugError`].
    pub fn length(first: &[u8]) -> Result<usize, DebugError> {
        if !first.starts_with(&MAGIC) {
            return Err(DebugError::Magic);
        }
        let number = |at: usize| {
            let bytes = first.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_le_bytes).ok_or(DebugError::Length)
        };
        let (version, count) = (number(8)?, number(12)?);
        if version != VERSION {
            return Err(DebugError::Version(version));
        }
        if first.len() < HEAD_BYTES {
            return Err(DebugError::Length);
        }
        if !(1..=PARTS_MAX).contains(&count) {
            return Err(DebugError::Form("it is about no image, or about too many"));
        }
        Ok(HEAD_BYTES + count as usize * RECORD_BYTES)
    }

    /// Reads a head of as many bytes as [`Head::length`] says, of a file of so many.
    ///
    /// # Errors
    /// [`DebugError`].
    pub fn read(bytes: &[u8], file: u64) -> Result<Self, DebugError> {
        let length = Self::length(bytes)?;
        let head = bytes.get(..length).ok_or(DebugError::Length)?;
        let digest = |bytes: &[u8]| bytes.try_into().map(Sha256).map_err(|_| DebugError::Length);
        let source = digest(&head[16..48])?;
        let mut records = Vec::new();
        let mut end = length as u64;
        for record in head[HEAD_BYTES..].chunks_exact(RECORD_BYTES) {
            let length = record[64..].try_into().map(u64::from_le_bytes);
            let length = length.map_err(|_| DebugError::Length)?;
            if length > TABLE_BYTES_MAX {
                return Err(DebugError::Form("a table is too long"));
            }
            // Not above 32 times a GiB.
            end += length;
            let (image, sha256) = (digest(&record[..32])?, digest(&record[32..64])?);
            records.push(Record { image, sha256, length });
        }
        if end != file {
            return Err(DebugError::Length);
        }
        Ok(Self { source, records })
    }

    /// Where the table of an image begins in the file, and what is said of it.
    ///
    /// # Errors
    /// [`DebugError::OtherImage`].
    pub fn table_of(&self, image: &Sha256) -> Result<(u64, Record), DebugError> {
        let mut begin = (HEAD_BYTES + self.records.len() * RECORD_BYTES) as u64;
        for record in &self.records {
            if record.image == *image {
                return Ok((begin, *record));
            }
            begin += record.length;
        }
        let has = self.records.iter().map(|record| record.image).collect();
        Err(DebugError::OtherImage { wanted: *image, has })
    }
}

impl Record {
    /// Holds a table to what was written.
    ///
    /// # Errors
    /// [`DebugError::Damaged`].
    pub fn check(&self, table: &[u8]) -> Result<(), DebugError> {
        let is_it = table.len() as u64 == self.length && Sha256::of(table) == self.sha256;
        if is_it { Ok(()) } else { Err(DebugError::Damaged) }
    }
}

/// The debug file of these images, each with its table.
#[must_use]
pub fn write(source: &Sha256, images: &[(Sha256, Vec<u8>)]) -> Vec<u8> {
    let tables: usize = images.iter().map(|(_, table)| table.len()).sum();
    let mut file = Vec::with_capacity(HEAD_BYTES + images.len() * RECORD_BYTES + tables);
    file.extend(MAGIC);
    file.extend(VERSION.to_le_bytes());
    file.extend((images.len() as u32).to_le_bytes());
    file.extend(source.0);
    for (image, table) in images {
        file.extend(image.0);
        file.extend(Sha256::of(table).0);
        file.extend((table.len() as u64).to_le_bytes());
    }
    for (_, table) in images {
        file.extend_from_slice(table);
    }
    file
}
