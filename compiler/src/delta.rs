//! A delta of two artifacts: what turns the one that devices have into the next (DELTA.md).
//!
//! ```text
//! old, new ─ images ─ matches ─► copies ─ script ─► difference ─ zstd ─► delta
//! ```
//!
//! Works on raw images, for these are what is installed. Guarantees that a loader which has the old
//! artifact gets the new one byte for byte: each difference is applied here before it is written.
//! Signs nothing and checks no signature: what comes out on a device is verified there as any
//! artifact.

mod matches;

use crate::given::Given;
use bls_artifact::delta::script::{self, Copy, Ends, Kind, Range, ScriptError};
use bls_artifact::limits::{DELTA_COPIES_MAX, DELTA_WINDOW_MAX};
use bls_artifact::manifest::Part;
use bls_artifact::target::Target;
use object::{Object as _, ObjectSection as _};
use std::{fmt, io};
use zstd::zstd_safe::CParameter;

/// The zstd level of differences.
const LEVEL: i32 = 19;
/// How much better another place of the base must fit, in bytes, before a copy is ended for it.
/// The later ones are for images of which there would be more copies than the format has.
const BETTER_BY: [usize; 4] = [16, 64, 256, 4096];

/// Why there is no delta of two artifacts.
#[derive(Debug)]
pub enum DeltaError {
    /// A part is not the image that its manifest says.
    Image(String),
    /// They have no part for the same target.
    NothingInCommon,
    /// zstd failed.
    Compress(io::Error),
    /// A difference that does not give the new image: a defect of ours.
    Defect(Target),
}

impl fmt::Display for DeltaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(what) => write!(f, "{what}"),
            Self::NothingInCommon => write!(f, "they have no part for the same target"),
            Self::Compress(error) => write!(f, "cannot compress: {error}"),
            Self::Defect(target) => {
                write!(f, "internal error: the part for {target} does not come out again")
            }
        }
    }
}

impl std::error::Error for DeltaError {}

impl DeltaError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Image(_) => "delta.image",
            Self::NothingInCommon => "delta.nothing-in-common",
            Self::Compress(_) => "delta.compress",
            Self::Defect(_) => "delta.defect",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Image(_) => "fetch or build the artifact again",
            Self::NothingInCommon => "give devices the whole new artifact",
            Self::Compress(_) => "see that there is memory",
            Self::Defect(_) => {
                "this is a defect of bls-compile; please report it, with both artifacts"
            }
        }
    }
}

/// A delta.
#[derive(Debug)]
pub struct Delta {
    /// The bytes of the `.blsd` file.
    pub bytes: Vec<u8>,
    /// Of the new manifest's parts, the machine (`x86_64:v3`) and the bytes of the difference, as stored; `None`
    /// for one that is not in it.
    pub parts: Vec<(String, Option<usize>)>,
}

/// Makes the delta of two artifacts.
///
/// # Errors
/// [`DeltaError`].
pub fn make(old: &Given<'_>, new: &Given<'_>) -> Result<Delta, DeltaError> {
    let (old_payload, new_payload) = (old.envelope.payload(), new.envelope.payload());
    let statement = match old_payload == new_payload {
        true => Vec::new(),
        false => {
            compress(&difference(old_payload, new_payload, &[])).map_err(DeltaError::Compress)?
        }
    };
    let mut deltas = Vec::new();
    let mut parts = Vec::new();
    for (index, part) in new.manifest.parts.iter().enumerate() {
        let made = part_delta(old, new, index)?;
        parts.push((part.machine(), made.as_ref().map(|(_, difference)| difference.len())));
        deltas.extend(made.map(|(base, difference)| (index, base, difference)));
    }
    if deltas.is_empty() {
        return Err(DeltaError::NothingInCommon);
    }
    let claims = new.envelope.claims().iter();
    let signatures: Vec<_> = claims.map(|claim| (claim.key_id, *claim.signature())).collect();
    let identities = (old.envelope.identity(), new.envelope.identity());
    let statement = (new_payload.len(), &statement[..]);
    let bytes = bls_artifact::delta::write(identities, statement, &signatures, &deltas);
    Ok(Delta { bytes, parts })
}

/// Of which part of the old artifact a part of the new one is made, and by which difference;
/// `None` where there is none, or a file was stripped of one of them.
fn part_delta(
    old: &Given<'_>,
    new: &Given<'_>,
    part: usize,
) -> Result<Option<(usize, Vec<u8>)>, DeltaError> {
    let wanted = &new.manifest.parts[part];
    let is_like = |base: &Part| base.target == wanted.target;
    let is_same = |base: &Part| is_like(base) && base.cpu_features == wanted.cpu_features;
    let bases = || (0..old.parts.len()).filter(|base| old.parts[*base].is_some());
    let base = bases()
        .find(|base| is_same(&old.manifest.parts[*base]))
        .or_else(|| bases().find(|base| is_like(&old.manifest.parts[*base])));
    let Some(base) = base else { return Ok(None) };
    let (from, to) = (old.image(base), new.image(part));
    let (from, to) = (from.map_err(DeltaError::Image)?, to.map_err(DeltaError::Image)?);
    let (Some(from), Some(to)) = (from, to) else { return Ok(None) };
    if from == to {
        return Ok(Some((base, Vec::new())));
    }
    let difference = difference(&from, &to, &ranges(wanted.target, &from, &to));
    if !gives(&from, &difference, &to) {
        return Err(DeltaError::Defect(wanted.target));
    }
    compress(&difference).map(|frame| Some((base, frame))).map_err(DeltaError::Compress)
}

/// The difference of two images, with as many copies as the format has.
fn difference(base: &[u8], new: &[u8], ranges: &[Range]) -> Vec<u8> {
    let mut copies: Vec<Copy> = Vec::new();
    let places = matches::Places::of(base);
    for better_by in BETTER_BY {
        copies = places.copies(new, better_by);
        if copies.len() <= DELTA_COPIES_MAX {
            break;
        }
    }
    copies.truncate(DELTA_COPIES_MAX);
    script::make(base, new, ranges, &copies)
}

/// What in the sections of a base moves with code.
fn ranges(target: Target, base: &[u8], new: &[u8]) -> Vec<Range> {
    let section = |image: &[u8], name: &str| {
        let file = object::File::parse(image).ok()?;
        let (start, length) = file.section_by_name(name)?.file_range()?;
        let end = u32::try_from(start.checked_add(length)?).ok()?;
        image.get(start as usize..end as usize)?;
        Some((start as u32, end))
    };
    let Some(((start, end), (new_start, _))) = section(base, ".text").zip(section(new, ".text"))
    else {
        return Vec::new();
    };
    let kind = match target {
        Target::X86_64 => Some(Kind::X86),
        Target::Aarch64 => Some(Kind::Aarch64),
        _ => None,
    };
    let code = kind.map(|kind| Range { kind, start, end });
    // A count, then that many places in the code.
    let traps = section(base, ".wasmtime.traps").and_then(|(at, end)| {
        let count = u32::from_le_bytes(*base[at as usize..end as usize].first_chunk()?);
        let places = count.checked_mul(4)?.checked_add(at + 4).filter(|places| *places <= end)?;
        Some(Range { kind: Kind::Table(start, new_start), start: at + 4, end: places })
    });
    let mut ranges: Vec<Range> = code.into_iter().chain(traps).collect();
    ranges.sort_unstable_by_key(|range| range.start);
    ranges
}

/// One zstd frame with a window that every reader accepts.
fn compress(difference: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.set_parameter(CParameter::WindowLog(DELTA_WINDOW_MAX.ilog2()))?;
    compressor.set_parameter(CParameter::ChecksumFlag(false))?;
    compressor.compress(difference)
}

/// Whether a difference makes exactly this of its base.
fn gives(base: &[u8], difference: &[u8], new: &[u8]) -> bool {
    let mut memory = Memory { base, difference, wanted: new };
    let made = script::apply(&mut memory, base.len() as u64, new.len() as u64);
    made.is_ok() && memory.difference.is_empty() && memory.wanted.is_empty()
}

/// A base, what is left of a difference, and what must still come out.
struct Memory<'a> {
    base: &'a [u8],
    difference: &'a [u8],
    wanted: &'a [u8],
}

/// Another image than the one that is wanted.
struct Other;

impl From<ScriptError> for Other {
    fn from(_: ScriptError) -> Self {
        Self
    }
}

impl Ends for Memory<'_> {
    type Error = Other;

    fn next(&mut self, bytes: &mut [u8]) -> Result<(), Other> {
        let (now, rest) = self.difference.split_at_checked(bytes.len()).ok_or(Other)?;
        bytes.copy_from_slice(now);
        self.difference = rest;
        Ok(())
    }

    fn base(&mut self, position: u64, bytes: &mut [u8]) -> Result<(), Other> {
        let from = self.base.get(position as usize..).and_then(|from| from.get(..bytes.len()));
        bytes.copy_from_slice(from.ok_or(Other)?);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Other> {
        self.wanted = self.wanted.strip_prefix(bytes).ok_or(Other)?;
        Ok(())
    }
}
