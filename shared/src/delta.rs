//! A delta: what turns an artifact that somebody has into the next one (DELTA.md).
//!
//! ```text
//!  0  magic             8   89 42 4c 44 0d 0a 1a 0a
//!  8  format version    4   little-endian, 1
//! 12  part count        4   1 ..= PARTS_MAX
//! 16  total length      8   of the whole file
//! 24  base              32  identity of the artifact that it begins with
//! 56  new               32  identity of the artifact that comes out
//! 88  statement length  4   of the new artifact's payload
//! 92  signature count   4   1 ..= SIGNATURES_MAX
//! 96  difference length 8   of the statement's difference, as stored
//!     signatures            96 each: key id, signature
//!     part records          16 each: part of the new manifest, part of the base's, length
//!     differences           the statement's, then one for each record
//! ```
//!
//! It is unsigned and says nothing of an image that the two manifests say: lengths and digests
//! are theirs. Guarantees of a [`Frame`]: counts and lengths are within their caps, and fit the
//! file exactly. What a difference means is [`script`]'s. Does not decompress, and does not judge
//! whether anything that it leads to is right: the new identity and its manifest's digests do.

pub mod script;

use crate::digest::Sha256;
use crate::limits::{ARTIFACT_BYTES_MAX, ENVELOPE_BYTES_MAX, PARTS_MAX, SIGNATURES_MAX};
use std::fmt;
use std::ops::Range;

/// The first eight bytes of every delta.
pub const MAGIC: [u8; 8] = crate::artifact::DELTA_MAGIC;
/// The only format version of deltas that this crate reads and writes.
pub const DELTA_VERSION: u32 = 1;
/// Bytes before the signatures.
pub const DELTA_HEADER_LEN: usize = 104;
/// Bytes of one signature, with its key id.
pub const SIGNATURE_LEN: usize = 96;
/// Bytes of one part record.
pub const DELTA_RECORD_LEN: usize = 16;

/// Why bytes are not a delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeltaFrameError {
    /// Ends within the header, or before what the header announces.
    TooShort,
    /// The magic is missing; whether it is an artifact.
    NotADelta {
        /// It has an artifact's magic.
        is_artifact: bool,
    },
    /// A format version that this program does not know.
    FutureFormat(u32),
    /// No part, or more than [`PARTS_MAX`].
    PartCount(u32),
    /// No signature, or more than [`SIGNATURES_MAX`].
    SignatureCount(u32),
    /// A statement longer than any.
    StatementTooLong(u32),
    /// Part records that are not in the order of the new manifest's parts.
    PartOrder(u32),
    /// The lengths do not add up to the total, or the total is not the file's.
    LengthsDisagree,
}

impl fmt::Display for DeltaFrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => write!(f, "the file is too short to be a delta"),
            Self::NotADelta { is_artifact: true } => write!(f, "this is an artifact, not a delta"),
            Self::NotADelta { is_artifact: false } => write!(f, "this is not a delta"),
            Self::FutureFormat(version) => write!(
                f,
                "delta format {version} is not known; this program reads format {DELTA_VERSION}"
            ),
            Self::PartCount(count) => {
                write!(f, "the header says {count} parts; a delta has 1 to {PARTS_MAX}")
            }
            Self::SignatureCount(count) => {
                write!(f, "the header says {count} signatures; there are 1 to {SIGNATURES_MAX}")
            }
            Self::StatementTooLong(bytes) => {
                write!(f, "the header says a statement of {bytes} bytes, longer than any")
            }
            Self::PartOrder(part) => write!(f, "its part {part} is out of order"),
            Self::LengthsDisagree => {
                write!(f, "its lengths do not add up to the length of the file")
            }
        }
    }
}

impl std::error::Error for DeltaFrameError {}

impl DeltaFrameError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooShort => "delta.too-short",
            Self::NotADelta { .. } => "delta.not-a-delta",
            Self::FutureFormat(_) => "delta.future-format",
            Self::PartCount(_) => "delta.part-count",
            Self::SignatureCount(_) => "delta.signature-count",
            Self::StatementTooLong(_) => "delta.statement-too-long",
            Self::PartOrder(_) => "delta.part-order",
            Self::LengthsDisagree => "delta.lengths",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotADelta { is_artifact: true } => "install it as it is: without --delta",
            Self::FutureFormat(_) => "use a newer bls-load, or install the whole artifact",
            _ => "fetch the delta again, or install the whole artifact",
        }
    }
}

/// One part: of which image of the base it is made, and by which difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartDelta {
    /// Its index in the new manifest.
    pub part: usize,
    /// The index in the base's manifest of the part whose image it begins with.
    pub base_part: usize,
    /// Where its difference is in the file. None of no bytes: both images are the same.
    pub difference: Range<u64>,
}

/// What the bytes before the differences say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Identity of the artifact that it begins with.
    pub base: Sha256,
    /// Identity of the artifact that comes out.
    pub new: Sha256,
    /// Length of the new artifact's payload.
    pub statement_length: u64,
    /// Where the statement's difference is in the file. None of no bytes: both are the same.
    pub statement: Range<u64>,
    /// Key ids and signatures of the new envelope, as they stand there.
    pub signatures: Vec<(Sha256, [u8; 64])>,
    /// The parts, in the new manifest's order.
    pub parts: Vec<PartDelta>,
}

/// Bytes before the differences, by the first [`DELTA_HEADER_LEN`] bytes of a file of this length.
///
/// # Errors
/// [`DeltaFrameError`].
pub fn prefix_length(head: &[u8], file_length: u64) -> Result<usize, DeltaFrameError> {
    use DeltaFrameError as E;
    if head.get(..8) != Some(&MAGIC[..]) {
        let is_artifact = head.get(..8) == Some(&crate::artifact::MAGIC[..]);
        return Err(E::NotADelta { is_artifact });
    }
    let head = head.get(..DELTA_HEADER_LEN).ok_or(E::TooShort)?;
    match u32_at(head, 8) {
        DELTA_VERSION => {}
        other => return Err(E::FutureFormat(other)),
    }
    let (parts, signatures, statement) = (u32_at(head, 12), u32_at(head, 92), u32_at(head, 88));
    if parts == 0 || parts > PARTS_MAX {
        return Err(E::PartCount(parts));
    }
    if signatures == 0 || signatures as usize > SIGNATURES_MAX {
        return Err(E::SignatureCount(signatures));
    }
    if u64::from(statement) > ENVELOPE_BYTES_MAX {
        return Err(E::StatementTooLong(statement));
    }
    let total = u64_at(head, 16);
    if total != file_length || total > ARTIFACT_BYTES_MAX {
        return Err(if total > file_length { E::TooShort } else { E::LengthsDisagree });
    }
    let records = parts as usize * DELTA_RECORD_LEN;
    Ok(DELTA_HEADER_LEN + signatures as usize * SIGNATURE_LEN + records)
}

impl Frame {
    /// Reads all bytes before the differences of a file of this length.
    ///
    /// # Errors
    /// [`DeltaFrameError`].
    pub fn parse(prefix: &[u8], file_length: u64) -> Result<Self, DeltaFrameError> {
        use DeltaFrameError as E;
        let end = prefix_length(prefix, file_length)?;
        let prefix = prefix.get(..end).ok_or(E::TooShort)?;
        let mut at = end as u64;
        let mut next = |length: u64| {
            let range = at..at.checked_add(length).ok_or(E::LengthsDisagree)?;
            at = range.end;
            Ok(range)
        };
        let statement = next(u64_at(prefix, 96))?;
        let signatures = u32_at(prefix, 92) as usize * SIGNATURE_LEN;
        let (signatures, records) = prefix[DELTA_HEADER_LEN..].split_at(signatures);
        let signatures = signatures.as_chunks::<SIGNATURE_LEN>().0.iter().map(|one| {
            let mut signature = [0; 64];
            signature.copy_from_slice(&one[32..]);
            (digest_at(one, 0), signature)
        });
        let mut parts: Vec<PartDelta> = Vec::with_capacity(u32_at(prefix, 12) as usize);
        for record in records.as_chunks::<DELTA_RECORD_LEN>().0 {
            let (part, base_part) = (u32_at(record, 0), u32_at(record, 4));
            if part >= PARTS_MAX || parts.last().is_some_and(|last| last.part >= part as usize) {
                return Err(E::PartOrder(part));
            }
            let difference = next(u64_at(record, 8))?;
            let (part, base_part) = (part as usize, base_part as usize);
            parts.push(PartDelta { part, base_part, difference });
        }
        if at != file_length {
            return Err(if at > file_length { E::TooShort } else { E::LengthsDisagree });
        }
        Ok(Self {
            base: digest_at(prefix, 24),
            new: digest_at(prefix, 56),
            statement_length: u64::from(u32_at(prefix, 88)),
            statement,
            signatures: signatures.collect(),
            parts,
        })
    }
}

/// Writes a delta. Each part is `(part, base part, difference)`.
///
/// # Panics
/// When counts or lengths are beyond what the format has; the caller's come from artifacts.
#[must_use]
pub fn write(
    (base, new): (Sha256, Sha256),
    statement: (usize, &[u8]),
    signatures: &[(Sha256, [u8; 64])],
    parts: &[(usize, usize, Vec<u8>)],
) -> Vec<u8> {
    let number = |count: usize| u32::try_from(count).expect("within the format").to_le_bytes();
    let records = parts.len() * DELTA_RECORD_LEN;
    let prefix = DELTA_HEADER_LEN + signatures.len() * SIGNATURE_LEN + records;
    let differences: usize = parts.iter().map(|part| part.2.len()).sum();
    let total = prefix + statement.1.len() + differences;

    let mut file = Vec::with_capacity(total);
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&DELTA_VERSION.to_le_bytes());
    file.extend_from_slice(&number(parts.len()));
    file.extend_from_slice(&(total as u64).to_le_bytes());
    file.extend_from_slice(&base.0);
    file.extend_from_slice(&new.0);
    file.extend_from_slice(&number(statement.0));
    file.extend_from_slice(&number(signatures.len()));
    file.extend_from_slice(&(statement.1.len() as u64).to_le_bytes());
    for (key, signature) in signatures {
        file.extend_from_slice(&key.0);
        file.extend_from_slice(signature);
    }
    for (part, base_part, difference) in parts {
        file.extend_from_slice(&number(*part));
        file.extend_from_slice(&number(*base_part));
        file.extend_from_slice(&(difference.len() as u64).to_le_bytes());
    }
    file.extend_from_slice(statement.1);
    parts.iter().for_each(|part| file.extend_from_slice(&part.2));
    debug_assert_eq!(file.len(), total);
    file
}

/// The caller's slices are long enough.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |field| u32::from_le_bytes(*field))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |field| u64::from_le_bytes(*field))
}

fn digest_at(bytes: &[u8], at: usize) -> Sha256 {
    bytes[at..].first_chunk().map_or(Sha256([0; 32]), |field| Sha256(*field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let (base, new) = (Sha256::of(b"old"), Sha256::of(b"new"));
        let signatures = [(Sha256::of(b"key"), [7; 64])];
        let parts = [(0, 1, b"one".to_vec()), (3, 0, Vec::new())];
        write((base, new), (9, b"statement"), &signatures, &parts)
    }

    #[test]
    fn what_is_written_is_read() {
        let file = file();
        let frame = Frame::parse(&file, file.len() as u64).unwrap();
        assert_eq!((frame.base, frame.new), (Sha256::of(b"old"), Sha256::of(b"new")));
        assert_eq!(frame.signatures, [(Sha256::of(b"key"), [7; 64])]);
        let slice = |range: &Range<u64>| &file[range.start as usize..range.end as usize];
        assert_eq!(slice(&frame.statement), b"statement");
        let parts = frame.parts.iter();
        let parts = parts.map(|part| (part.part, part.base_part, slice(&part.difference)));
        assert_eq!(parts.collect::<Vec<_>>(), [(0, 1, &b"one"[..]), (3, 0, b"")]);
    }

    #[test]
    fn every_truncation_and_every_longer_file_is_refused() {
        let file = file();
        for length in 0..file.len() {
            assert!(Frame::parse(&file[..length], length as u64).is_err(), "{length} bytes");
        }
        assert!(Frame::parse(&[&file[..], b"x"].concat(), file.len() as u64 + 1).is_err());
    }

    #[test]
    fn absurd_lengths_do_not_overflow() {
        let good = file();
        for position in (8..DELTA_HEADER_LEN).chain(DELTA_HEADER_LEN + SIGNATURE_LEN..good.len()) {
            let mut file = good.clone();
            file[position..].iter_mut().take(8).for_each(|byte| *byte = 0xff);
            let _ = Frame::parse(&file, file.len() as u64);
        }
    }
}
