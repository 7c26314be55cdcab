//! Framing: the bytes around the envelope and the parts.
//!
//! ```text
//!  0  magic            8   89 42 4c 53 0d 0a 1a 0a
//!  8  format version   4   little-endian, 1
//! 12  part count       4   1 ..= PARTS_MAX
//! 16  total length     8   of the whole file
//! 24  envelope length  8
//! 32  envelope SHA-256 32
//! 64  part records     40 each: SHA-256 as stored, length as stored
//!     envelope         then zeros up to a multiple of 16
//!     parts            each followed by zeros up to a multiple of 16
//! ```
//!
//! Nothing in the file is a position: all positions are computed here from
//! lengths, so overlapping or out-of-order layouts cannot be expressed. May
//! assume nothing about its input. Guarantees: a [`Frame`] fits the file exactly
//! and its envelope hashes to what the header says. Does not look at parts or
//! padding: whoever reads those bytes checks them against [`Frame::parts`] and
//! [`Frame::paddings`].

use crate::digest::Sha256;
use crate::limits::{ARTIFACT_BYTES_MAX, ENVELOPE_BYTES_MAX, PARTS_MAX};
use std::fmt;
use std::ops::Range;

/// The first eight bytes of every artifact. The high bit and the line ends
/// show a transfer that mangled the file, as in PNG.
pub const MAGIC: [u8; 8] = *b"\x89BLS\r\n\x1a\n";
/// The same of a delta (DELTA.md), which is not one.
pub const DELTA_MAGIC: [u8; 8] = *b"\x89BLD\r\n\x1a\n";
/// The only format version this crate reads and writes.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes before the first part record.
pub const HEADER_LEN: usize = 64;
/// Bytes of one part record.
pub const RECORD_LEN: usize = 40;
/// What the end of the envelope and of each part is padded to, in bytes.
pub const ALIGNMENT: u64 = 16;

/// What bytes without our magic are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// A WebAssembly module.
    Module,
    /// A WebAssembly component.
    Component,
    /// What wasmtime's own program precompiles.
    Cwasm,
    /// A delta, which makes an artifact of another one.
    Delta,
    /// A native program or library.
    Elf,
    /// An artifact whose line ends or high bits somebody changed.
    Mangled,
    /// None of these.
    Unknown,
}

impl Foreign {
    /// What it is, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Module => "a WebAssembly module",
            Self::Component => "a WebAssembly component",
            Self::Cwasm => "a wasmtime precompiled file (.cwasm)",
            Self::Delta => "a delta of artifacts (.blsd)",
            Self::Elf => "an ELF file",
            Self::Mangled => "what a transfer as text makes of an artifact",
            Self::Unknown => "something else",
        }
    }
}

/// Why bytes are not an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// No byte at all.
    Empty,
    /// Ends within the header, or before what the header announces.
    TooShort,
    /// The magic is missing; what the bytes look like.
    NotAnArtifact(Foreign),
    /// A format version that this program does not know.
    FutureFormat(u32),
    /// No part.
    NoPart,
    /// More than [`PARTS_MAX`] parts.
    TooManyParts(u32),
    /// The header says more bytes than the file has.
    Truncated {
        /// What the header says.
        declared: u64,
        /// What the file has.
        actual: u64,
    },
    /// The file has more bytes than the header says.
    Trailing {
        /// What the header says.
        declared: u64,
        /// What the file has.
        actual: u64,
    },
    /// Longer than [`ARTIFACT_BYTES_MAX`], by its header.
    ArtifactTooLong(u64),
    /// An envelope longer than [`ENVELOPE_BYTES_MAX`].
    EnvelopeTooLong(u64),
    /// A part longer than any artifact; its index and length.
    PartTooLong(usize, u64),
    /// The lengths do not add up to the total.
    LengthsDisagree,
    /// The envelope does not hash to what the header says.
    EnvelopeDigest,
    /// A part does not hash to what its record says.
    PartDigest(usize),
    /// A byte of padding is not zero; its position.
    Padding(u64),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the file is empty"),
            Self::TooShort => write!(f, "the file is too short to be an artifact"),
            Self::NotAnArtifact(kind) => write!(f, "this is {}, not an artifact", kind.words()),
            Self::FutureFormat(version) => write!(
                f,
                "artifact format {version} is not known; this program reads format {FORMAT_VERSION}"
            ),
            Self::NoPart => write!(f, "there is no part in it, and so no code"),
            Self::TooManyParts(count) => {
                write!(f, "the header says {count} parts; an artifact has at most {PARTS_MAX}")
            }
            Self::Truncated { declared, actual } => write!(
                f,
                "the file is truncated: the header says {declared} bytes, and it has {actual}"
            ),
            Self::Trailing { declared, actual } => write!(
                f,
                "something was appended: the header says {declared} bytes, and the file has {actual}"
            ),
            Self::ArtifactTooLong(length) => write!(
                f,
                "the header says {length} bytes; an artifact has at most {ARTIFACT_BYTES_MAX}"
            ),
            Self::EnvelopeTooLong(length) => write!(
                f,
                "the header says {length} bytes of envelope; it has at most {ENVELOPE_BYTES_MAX}"
            ),
            Self::PartTooLong(index, length) => write!(
                f,
                "part {index} is said to have {length} bytes; it has at most {ARTIFACT_BYTES_MAX}"
            ),
            Self::LengthsDisagree => {
                write!(f, "the lengths in the header do not add up to the file's")
            }
            Self::EnvelopeDigest => {
                write!(f, "the envelope does not match its digest: the file is damaged")
            }
            Self::PartDigest(index) => {
                write!(f, "part {index} does not match its digest: the file is damaged")
            }
            Self::Padding(position) => {
                write!(f, "byte {position} is padding and must be zero")
            }
        }
    }
}

impl std::error::Error for FrameError {}

impl FrameError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "framing.empty",
            Self::TooShort => "framing.too-short",
            Self::NotAnArtifact(Foreign::Module) => "framing.is-module",
            Self::NotAnArtifact(Foreign::Component) => "framing.is-component",
            Self::NotAnArtifact(Foreign::Cwasm) => "framing.is-cwasm",
            Self::NotAnArtifact(Foreign::Delta) => "framing.is-delta",
            Self::NotAnArtifact(Foreign::Elf) => "framing.is-elf",
            Self::NotAnArtifact(Foreign::Mangled) => "framing.mangled",
            Self::NotAnArtifact(Foreign::Unknown) => "framing.magic",
            Self::FutureFormat(_) => "framing.future-format",
            Self::NoPart => "framing.no-part",
            Self::TooManyParts(_) => "framing.too-many-parts",
            Self::Truncated { .. } => "framing.truncated",
            Self::Trailing { .. } => "framing.trailing-bytes",
            Self::ArtifactTooLong(_) => "framing.artifact-too-long",
            Self::EnvelopeTooLong(_) => "framing.envelope-too-long",
            Self::PartTooLong(..) => "framing.part-too-long",
            Self::LengthsDisagree => "framing.lengths-disagree",
            Self::EnvelopeDigest => "framing.envelope-digest",
            Self::PartDigest(_) => "framing.part-digest",
            Self::Padding(_) => "framing.padding",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotAnArtifact(Foreign::Module) => {
                "compile it, and run it: bls-compile run app.wasm"
            }
            Self::NotAnArtifact(Foreign::Delta) => {
                "it makes an artifact of what is installed: bls-load install --delta up.blsd"
            }
            Self::NotAnArtifact(Foreign::Mangled) => "fetch it again, in binary mode",
            Self::NotAnArtifact(_) => {
                "an artifact is what bls-compile writes: bls-compile app.wasm"
            }
            Self::FutureFormat(_) => "use a newer bls-load, or compile with an older bls-compile",
            _ => "fetch the artifact again, or compare sha256sum with its origin",
        }
    }
}

/// The fixed header, checked for everything that needs no other byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    part_count: u32,
    total_length: u64,
    envelope_length: u64,
    envelope_digest: Sha256,
}

impl Header {
    /// Reads the first [`HEADER_LEN`] bytes of a file of `file_length` bytes.
    ///
    /// # Errors
    /// Any [`FrameError`] that the header alone shows.
    pub fn parse(bytes: &[u8], file_length: u64) -> Result<Self, FrameError> {
        if file_length == 0 && bytes.is_empty() {
            return Err(FrameError::Empty);
        }
        if bytes.get(..8) != Some(&MAGIC) {
            return Err(match foreign_kind(bytes) {
                Some(kind) => FrameError::NotAnArtifact(kind),
                None => FrameError::TooShort,
            });
        }
        let mut fields = Fields(&bytes[8..]);
        let version = fields.u32().ok_or(FrameError::TooShort)?;
        if version != FORMAT_VERSION {
            return Err(FrameError::FutureFormat(version));
        }
        let mut rest = || {
            Some(Self {
                part_count: fields.u32()?,
                total_length: fields.u64()?,
                envelope_length: fields.u64()?,
                envelope_digest: fields.digest()?,
            })
        };
        let header = rest().ok_or(FrameError::TooShort)?;
        header.check(file_length)?;
        Ok(header)
    }

    /// How long the file is of which these are the first [`HEADER_LEN`] bytes, for whoever
    /// reads it from a stream: no more than the format allows, and nothing beyond the
    /// header where that is none.
    #[must_use]
    pub fn announced_length(bytes: &[u8]) -> u64 {
        // A header that fits no file at all says how long its own would be.
        match Self::parse(bytes, u64::MAX) {
            Err(FrameError::Trailing { declared, .. }) => declared,
            _ => HEADER_LEN as u64,
        }
    }

    fn check(&self, actual: u64) -> Result<(), FrameError> {
        let declared = self.total_length;
        if declared > ARTIFACT_BYTES_MAX {
            return Err(FrameError::ArtifactTooLong(declared));
        }
        if actual < declared {
            return Err(FrameError::Truncated { declared, actual });
        }
        if actual > declared {
            return Err(FrameError::Trailing { declared, actual });
        }
        if self.envelope_length > ENVELOPE_BYTES_MAX {
            return Err(FrameError::EnvelopeTooLong(self.envelope_length));
        }
        if self.part_count == 0 {
            return Err(FrameError::NoPart);
        }
        if self.part_count > PARTS_MAX {
            return Err(FrameError::TooManyParts(self.part_count));
        }
        if self.prefix_length() as u64 > declared {
            return Err(FrameError::LengthsDisagree);
        }
        Ok(())
    }

    /// Bytes of header, part records and envelope together: what
    /// [`Frame::parse`] wants. At most a little over [`ENVELOPE_BYTES_MAX`].
    #[must_use]
    pub fn prefix_length(&self) -> usize {
        HEADER_LEN + self.part_count as usize * RECORD_LEN + self.envelope_length as usize
    }
}

/// One part as it lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartRecord {
    /// SHA-256 of the stored bytes.
    pub sha256: Sha256,
    /// Computed position in the file, in bytes.
    pub offset: u64,
    /// Stored length, in bytes.
    pub length: u64,
}

/// A file whose framing fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    envelope: Range<usize>,
    parts: Vec<PartRecord>,
    paddings: Vec<Range<u64>>,
}

impl Frame {
    /// Reads records and envelope. `prefix` is the file's first
    /// [`Header::prefix_length`] bytes.
    ///
    /// # Errors
    /// Any [`FrameError`] that those bytes show.
    pub fn parse(header: &Header, prefix: &[u8]) -> Result<Self, FrameError> {
        if prefix.len() != header.prefix_length() {
            return Err(FrameError::TooShort);
        }
        let records_end = HEADER_LEN + header.part_count as usize * RECORD_LEN;
        let envelope = records_end..prefix.len();
        if Sha256::of(&prefix[envelope.clone()]) != header.envelope_digest {
            return Err(FrameError::EnvelopeDigest);
        }

        let mut fields = Fields(&prefix[HEADER_LEN..records_end]);
        let mut parts = Vec::with_capacity(header.part_count as usize);
        let mut paddings = Vec::with_capacity(header.part_count as usize + 1);
        let mut end = prefix.len() as u64;
        for index in 0..header.part_count as usize {
            let offset = align(end);
            paddings.push(end..offset);
            let sha256 = fields.digest().ok_or(FrameError::TooShort)?;
            let length = fields.u64().ok_or(FrameError::TooShort)?;
            if length > ARTIFACT_BYTES_MAX {
                return Err(FrameError::PartTooLong(index, length));
            }
            end = offset + length;
            parts.push(PartRecord { sha256, offset, length });
        }
        paddings.push(end..align(end));
        if align(end) != header.total_length {
            return Err(FrameError::LengthsDisagree);
        }
        paddings.retain(|padding| !padding.is_empty());
        Ok(Self { envelope, parts, paddings })
    }

    /// Where the envelope lies in the prefix.
    #[must_use]
    pub fn envelope(&self) -> Range<usize> {
        self.envelope.clone()
    }

    /// The parts, in file order.
    #[must_use]
    pub fn parts(&self) -> &[PartRecord] {
        &self.parts
    }

    /// The ranges of the file that must be zero, each shorter than
    /// [`ALIGNMENT`].
    #[must_use]
    pub fn paddings(&self) -> &[Range<u64>] {
        &self.paddings
    }
}

/// A whole artifact in memory, with every digest and padding byte checked.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// The envelope's bytes.
    pub envelope: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Contents<'a> {
    /// Reads an artifact that is in memory: framing, digests, padding.
    ///
    /// # Errors
    /// Any [`FrameError`].
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, Vec<&'a [u8]>), FrameError> {
        let header = Header::parse(bytes, bytes.len() as u64)?;
        let frame = Frame::parse(&header, &bytes[..header.prefix_length()])?;
        let mut parts = Vec::with_capacity(frame.parts.len());
        for (index, record) in frame.parts.iter().enumerate() {
            let stored = &bytes[record.offset as usize..][..record.length as usize];
            if Sha256::of(stored) != record.sha256 {
                return Err(FrameError::PartDigest(index));
            }
            parts.push(stored);
        }
        for padding in &frame.paddings {
            for position in padding.clone() {
                if bytes[position as usize] != 0 {
                    return Err(FrameError::Padding(position));
                }
            }
        }
        Ok((Self { envelope: &bytes[frame.envelope()], bytes }, parts))
    }

    /// SHA-256 of the whole file: what `sha256sum` prints and `--digest` takes.
    #[must_use]
    pub fn file_digest(&self) -> Sha256 {
        Sha256::of(self.bytes)
    }
}

/// Writes an artifact.
///
/// # Panics
/// When `parts` is empty or longer than [`PARTS_MAX`], or the envelope is
/// longer than [`ENVELOPE_BYTES_MAX`]: our own bug, never the input's.
#[must_use]
pub fn write(envelope: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    assert!(!parts.is_empty() && parts.len() <= PARTS_MAX as usize);
    assert!(envelope.len() as u64 <= ENVELOPE_BYTES_MAX);
    let prefix = HEADER_LEN + parts.len() * RECORD_LEN + envelope.len();
    let total = parts.iter().fold(align(prefix as u64), |end, part| align(end + part.len() as u64));

    let mut file = Vec::with_capacity(total as usize);
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    file.extend_from_slice(&(parts.len() as u32).to_le_bytes());
    file.extend_from_slice(&total.to_le_bytes());
    file.extend_from_slice(&(envelope.len() as u64).to_le_bytes());
    file.extend_from_slice(&Sha256::of(envelope).0);
    for part in parts {
        file.extend_from_slice(&Sha256::of(part).0);
        file.extend_from_slice(&(part.len() as u64).to_le_bytes());
    }
    file.extend_from_slice(envelope);
    file.resize(align(file.len() as u64) as usize, 0);
    for part in parts {
        file.extend_from_slice(part);
        file.resize(align(file.len() as u64) as usize, 0);
    }
    debug_assert_eq!(file.len() as u64, total);
    file
}

/// What bytes without our magic are; `None` when there are too few to say.
#[must_use]
pub fn foreign_kind(bytes: &[u8]) -> Option<Foreign> {
    const WASMTIME_ELF_ABI: u8 = 200;
    match bytes {
        [b'\0', b'a', b's', b'm', _, _, 0, 0, ..] => Some(Foreign::Module),
        [b'\0', b'a', b's', b'm', _, _, 1, 0, ..] => Some(Foreign::Component),
        [0x7f, b'E', b'L', b'F', _, _, _, WASMTIME_ELF_ABI, ..] => Some(Foreign::Cwasm),
        [0x7f, b'E', b'L', b'F', ..] => Some(Foreign::Elf),
        _ if bytes.len() < MAGIC.len() => None,
        _ if bytes.starts_with(&DELTA_MAGIC) => Some(Foreign::Delta),
        // The high bit gone, or "\r\n" become "\n", or "\n" become "\r\n".
        [0x89 | 0x09, b'B', b'L', b'S', b'\r' | b'\n', ..] => Some(Foreign::Mangled),
        _ => Some(Foreign::Unknown),
    }
}

/// The next multiple of [`ALIGNMENT`]. The caller's lengths are far below 2⁶⁴.
fn align(position: u64) -> u64 {
    position.next_multiple_of(ALIGNMENT)
}

/// Reads little-endian fields off the front of a slice.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn digest(&mut self) -> Option<Sha256> {
        self.take().map(Sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for parts in [&[&b"one"[..]][..], &[&b""[..], b"0123456789abcdef", b"x"][..]] {
            let file = write(b"{}", parts);
            let (contents, read) = Contents::parse(&file).unwrap();
            assert_eq!(contents.envelope, b"{}");
            assert_eq!(read, parts);
        }
    }

    #[test]
    fn every_bit_and_every_truncation_is_refused() {
        let file = write(b"{\"payload\":\"\"}", &[b"first part", b"second"]);
        for length in 0..file.len() {
            assert!(Contents::parse(&file[..length]).is_err(), "{length} bytes were accepted");
        }
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Contents::parse(&flipped).is_err(), "bit {bit} can be flipped");
        }
        let mut longer = file.clone();
        longer.push(0);
        assert!(Contents::parse(&longer).is_err());
    }

    #[test]
    fn absurd_lengths_do_not_overflow() {
        let mut file = write(b"{}", &[b"part"]);
        for position in [16, 24, HEADER_LEN + 32] {
            let saved = file.clone();
            file[position..position + 8].copy_from_slice(&u64::MAX.to_le_bytes());
            assert!(Contents::parse(&file).is_err());
            file = saved;
        }
    }

    #[test]
    fn other_files_are_named() {
        for (bytes, kind) in [
            (&b"\0asm\x01\0\0\0"[..], Foreign::Module),
            (b"\0asm\x0d\0\x01\0", Foreign::Component),
            (b"\x7fELF\x02\x01\x01\xc8", Foreign::Cwasm),
            (b"\x7fELF\x02\x01\x01\0", Foreign::Elf),
            (b"\x89BLS\n\x1a\n\x01", Foreign::Mangled),
            (b"\x89BLD\r\n\x1a\n", Foreign::Delta),
            (b"hello, world", Foreign::Unknown),
        ] {
            assert_eq!(
                Header::parse(bytes, bytes.len() as u64),
                Err(FrameError::NotAnArtifact(kind))
            );
        }
        assert_eq!(Header::parse(b"", 0), Err(FrameError::Empty));
        assert_eq!(Header::parse(b"\x89BLS", 4), Err(FrameError::TooShort));
    }
}
