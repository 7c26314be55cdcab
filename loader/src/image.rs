//! The code that may be mapped: sealed copies, hashed on their way, and what root keeps.
//!
//! Assumes that `part` comes from a signed manifest and matches `record`.
//! Guarantees that a [`SealedImage`] holds bytes with the signed SHA-256 and
//! length, in a memory file that nobody can write, grow or shrink any more: its
//! only descriptor is here, and it is sealed. The bytes that are hashed are the
//! bytes that are written: both come from the same private memory. Nothing is
//! decompressed before what is stored was hashed, and no more is written than the
//! signed length. What of a store needs no copy is decided there (`store/guard.rs`).

use crate::open::{Opened, ReadError, read_pieces};
use crate::store::StoredImage;
use bls_artifact::artifact::PartRecord;
use bls_artifact::digest::{Hasher, Sha256};
use bls_artifact::limits::ZSTD_WINDOW_MAX;
use bls_artifact::manifest::{Encoding, Image, Part};
use rustix::fs::{MemfdFlags, SealFlags};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};

/// Why a part cannot be used.
#[derive(Debug)]
pub enum ImageError {
    /// The system could not give bytes or memory.
    System(&'static str, std::io::Error),
    /// The file became shorter while it was read.
    Shrunk,
    /// What is stored does not hash to what is signed.
    StoredDigest,
    /// What comes out does not hash to what is signed.
    ImageDigest,
    /// Not one zstd frame that gives exactly the signed length.
    Compression(String),
}

impl fmt::Display for ImageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(what, error) => write!(formatter, "cannot {what}: {error}"),
            Self::Shrunk => write!(formatter, "the file became shorter while it was read"),
            Self::StoredDigest => {
                write!(formatter, "the native code does not match its signed digest")
            }
            Self::ImageDigest => {
                write!(formatter, "the decompressed code does not match its signed digest")
            }
            Self::Compression(what) => {
                write!(formatter, "the compressed code is not valid: {what}")
            }
        }
    }
}

impl From<ReadError> for ImageError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::System(errno) => Self::System("read the artifact", errno.into()),
            ReadError::Shrunk => Self::Shrunk,
        }
    }
}

/// A verified image that can no longer change.
#[derive(Debug)]
pub(crate) struct SealedImage {
    file: File,
}

/// A verified image.
#[derive(Debug)]
pub(crate) enum VerifiedImage {
    /// Hashed by this process.
    Sealed(SealedImage),
    /// Hashed when it was installed, and root's since.
    Stored(StoredImage),
}

impl VerifiedImage {
    /// The file, for mapping.
    pub(crate) fn into_file(self) -> File {
        match self {
            Self::Sealed(image) => image.file,
            Self::Stored(image) => image.into_file(),
        }
    }

    /// Hands all of its bytes to `take`, in order.
    pub(crate) fn read<E>(
        &self,
        length: u64,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<ReadError>,
    {
        let file = match self {
            Self::Sealed(image) => &image.file,
            Self::Stored(image) => image.file(),
        };
        read_pieces(file.as_fd(), 0, length, &mut Vec::new(), take)
    }
}

/// Copies the raw image in `file` into a sealed one.
pub(crate) fn copy_file(file: &OwnedFd, image: &Image) -> Result<SealedImage, ImageError> {
    let mut copy = memory_file()?;
    let mut hasher = Hasher::default();
    read_pieces(file.as_fd(), 0, image.length, &mut Vec::new(), &mut |piece| {
        hasher.update(piece);
        copy.write_all(piece).map_err(memory)
    })?;
    check(hasher, image.sha256, ImageError::ImageDigest)?;
    seal(copy)
}

/// Copies the part at `record` into a sealed image. `seen` gets every stored
/// byte, in order.
pub(crate) fn copy(
    opened: &Opened,
    record: &PartRecord,
    part: &Part,
    buffer: &mut Vec<u8>,
    mut seen: impl FnMut(&[u8]),
) -> Result<SealedImage, ImageError> {
    let mut file = memory_file()?;
    let mut stored = Hasher::default();
    match part.stored.encoding {
        // A raw part is its image: the manifest was refused otherwise.
        Encoding::Raw => {
            opened.read(record.offset, record.length, buffer, |piece| {
                seen(piece);
                stored.update(piece);
                file.write_all(piece).map_err(memory)
            })?;
            check(stored, part.stored.sha256, ImageError::StoredDigest)?;
        }
        Encoding::Zstd => {
            let mut compressed = Vec::with_capacity(record.length as usize);
            opened.read(record.offset, record.length, buffer, |piece| {
                seen(piece);
                compressed.extend_from_slice(piece);
                Ok::<_, ImageError>(())
            })?;
            stored.update(&compressed);
            check(stored, part.stored.sha256, ImageError::StoredDigest)?;
            decompress(&compressed, &part.image, &mut file)?;
        }
    }
    seal(file)
}

/// Hashes the part at `record` without keeping it.
pub(crate) fn check_stored(
    opened: &Opened,
    record: &PartRecord,
    buffer: &mut Vec<u8>,
    mut seen: impl FnMut(&[u8]),
) -> Result<(), ImageError> {
    let mut stored = Hasher::default();
    opened.read(record.offset, record.length, buffer, |piece| {
        seen(piece);
        stored.update(piece);
        Ok::<_, ImageError>(())
    })?;
    check(stored, record.sha256, ImageError::StoredDigest)
}

fn check(hasher: Hasher, expected: Sha256, error: ImageError) -> Result<(), ImageError> {
    if hasher.finish() == expected { Ok(()) } else { Err(error) }
}

fn memory(error: std::io::Error) -> ImageError {
    ImageError::System("keep the code in memory", error)
}

/// A file in memory that only this process can reach.
fn memory_file() -> Result<File, ImageError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create(c"bls-image", flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 does not know the flag. It forbids execve of the file,
        // which nobody attempts; mapping it executable is not its business.
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create(c"bls-image", flags),
        other => other,
    };
    file.map(File::from).map_err(|errno| memory(errno.into()))
}

/// From here on nobody can change the file, this process included.
fn seal(file: File) -> Result<SealedImage, ImageError> {
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)
        .map_err(|errno| ImageError::System("seal the code in memory", errno.into()))?;
    Ok(SealedImage { file })
}

/// Writes what the one zstd frame in `compressed` holds to `file`.
fn decompress(compressed: &[u8], image: &Image, file: &mut File) -> Result<(), ImageError> {
    /// Bytes decoded before they are drained: with the window, all the memory
    /// that a frame can claim.
    const STEP: usize = 1 << 20;
    let invalid = |error: &dyn fmt::Display| ImageError::Compression(error.to_string());

    let mut source = compressed;
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(ZSTD_WINDOW_MAX);
    decoder.init(&mut source).map_err(|error| invalid(&error))?;
    if decoder.content_size() != image.length {
        return Err(invalid(&"its content size is not the signed length"));
    }
    let mut sink = Bounded { file, hasher: Hasher::default(), left: image.length };
    loop {
        let finished = decoder
            .decode_blocks(&mut source, BlockDecodingStrategy::UptoBytes(STEP))
            .map_err(|error| invalid(&error))?;
        while decoder.can_collect() > 0 {
            decoder.collect_to_writer(&mut sink).map_err(|error| invalid(&error))?;
        }
        if finished {
            break;
        }
    }
    if sink.left != 0 {
        return Err(invalid(&"it is shorter than the signed length"));
    }
    if !source.is_empty() {
        return Err(invalid(&"something follows the frame"));
    }
    check(sink.hasher, image.sha256, ImageError::ImageDigest)
}

/// Writes and hashes at most `left` bytes.
struct Bounded<'a> {
    file: &'a mut File,
    hasher: Hasher,
    left: u64,
}

impl std::io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| std::io::Error::other("it is longer than the signed length"))?;
        self.hasher.update(bytes);
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
