//! An artifact that somebody hands us: its form read and checked.
//!
//! May assume nothing about the bytes. Guarantees of a [`Given`]: framing, envelope and
//! manifest are each in the one spelling the format allows, every digest of the file
//! holds, and each part of it is one of the manifest's. Says nothing of whom to trust:
//! no signature was checked.

use bls_artifact::artifact::{Contents, FrameError};
use bls_artifact::digest::Sha256;
use bls_artifact::envelope::{Envelope, EnvelopeError};
use bls_artifact::limits::ARTIFACT_BYTES_MAX;
use bls_artifact::manifest::{Encoding, Manifest, ManifestError, Statement};
use bls_artifact::sparse;
use std::borrow::Cow;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

/// Why a file is no artifact.
#[derive(Debug)]
pub enum GivenError {
    /// It cannot be read.
    Read(PathBuf, io::Error),
    /// Its framing is broken.
    Frame(PathBuf, FrameError),
    /// Its envelope is none.
    Envelope(PathBuf, EnvelopeError),
    /// What is signed is no manifest.
    Manifest(PathBuf, ManifestError),
    /// A part of the file is not in the manifest.
    Part(PathBuf),
}

impl fmt::Display for GivenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Frame(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Envelope(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Manifest(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Part(path) => {
                write!(f, "{}: a part of the file is not in its manifest", path.display())
            }
        }
    }
}

impl std::error::Error for GivenError {}

impl GivenError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(..) => "artifact.unreadable",
            Self::Frame(_, error) => error.code(),
            Self::Envelope(_, error) => error.code(),
            Self::Manifest(_, error) => error.code(),
            Self::Part(_) => "artifact.other-part",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read(..) => "name an artifact that exists and that you may read",
            Self::Frame(_, error) => error.hint(),
            Self::Manifest(_, ManifestError::Critical(_)) => "use a newer bls-compile",
            _ => "fetch or build the artifact again",
        }
    }
}

/// The bytes of an artifact's file.
///
/// # Errors
/// [`GivenError::Read`].
pub fn read(path: &Path) -> Result<Vec<u8>, GivenError> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(ARTIFACT_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| GivenError::Read(path.to_owned(), error))?;
    Ok(bytes)
}

/// An artifact whose form is right.
#[derive(Debug)]
pub struct Given<'a> {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// SHA-256 of the file.
    pub file_digest: Sha256,
    /// Bytes of the envelope.
    pub envelope_bytes: usize,
    /// The envelope; no signature of it was checked.
    pub envelope: Envelope,
    /// What is signed.
    pub manifest: Manifest,
    /// For each part of the manifest its bytes as stored; `None` where the file was
    /// stripped of it.
    pub parts: Vec<Option<&'a [u8]>>,
}

impl<'a> Given<'a> {
    /// Reads an artifact. `path` is what errors call it.
    ///
    /// # Errors
    /// [`GivenError`] for anything that is none.
    pub fn parse(bytes: &'a [u8], path: &Path) -> Result<Self, GivenError> {
        let (contents, stored) =
            Contents::parse(bytes).map_err(|error| GivenError::Frame(path.to_owned(), error))?;
        let envelope = Envelope::parse(contents.envelope)
            .map_err(|error| GivenError::Envelope(path.to_owned(), error))?;
        let manifest = Statement::parse(envelope.payload())
            .map_err(|error| GivenError::Manifest(path.to_owned(), error))?;
        // A fat artifact may have been stripped: each stored part is one of the
        // signed ones, in their order.
        let mut stored = stored.into_iter().peekable();
        let mut part_here = |length: u64, sha256: Sha256| {
            stored.next_if(|bytes| (bytes.len() as u64, Sha256::of(bytes)) == (length, sha256))
        };
        let parts = manifest
            .parts
            .iter()
            .map(|part| part_here(part.stored.length, part.stored.sha256))
            .collect();
        if stored.next().is_some() {
            return Err(GivenError::Part(path.to_owned()));
        }
        Ok(Self {
            file_bytes: bytes.len() as u64,
            file_digest: contents.file_digest(),
            envelope_bytes: contents.envelope.len(),
            envelope,
            manifest,
            parts,
        })
    }

    /// The image of a part of the manifest; `None` where the file was stripped of it.
    ///
    /// # Errors
    /// What is wrong with the part, in a sentence.
    pub fn image(&self, part: usize) -> Result<Option<Cow<'a, [u8]>>, String> {
        let (part, Some(stored)) = (&self.manifest.parts[part], self.parts[part]) else {
            return Ok(None);
        };
        let image = match part.stored.encoding {
            Encoding::Raw => Cow::Borrowed(stored),
            Encoding::Sparse => Cow::Owned(
                sparse::unpack(stored, part.image.length)
                    .ok_or("a part does not unpack to the length in its manifest")?,
            ),
            Encoding::Zstd => Cow::Owned(decompress(stored, part.image.length)?),
        };
        if Sha256::of(&image) != part.image.sha256 {
            return Err(format!("the image for {} does not match its digest", part.target));
        }
        Ok(Some(image))
    }

    /// The parts that the file has, as stored, in order.
    #[must_use]
    pub fn stored(&self) -> Vec<&'a [u8]> {
        self.parts.iter().copied().flatten().collect()
    }
}

/// Decompresses a part, and never more than `length` bytes of it.
fn decompress(stored: &[u8], length: u64) -> Result<Vec<u8>, String> {
    let mut image = Vec::new();
    zstd::Decoder::new(stored)
        .and_then(|decoder| decoder.single_frame().take(length + 1).read_to_end(&mut image))
        .map_err(|error| format!("a part does not decompress: {error}"))?;
    if image.len() as u64 != length {
        return Err("a part does not decompress to the length in its manifest".to_owned());
    }
    Ok(image)
}
