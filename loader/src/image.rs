//! The code that may be mapped: sealed copies, hashed on their way, and what root keeps.
//!
//! Assumes that `part` comes from a signed manifest and matches `record`.
//! Guarantees that a [`SealedImage`] holds bytes with the signed SHA-256 and
//! length that nobody can change any more. They are in a memory file whose only
//! descriptor is here, sealed against writing, growing and shrinking; or, where the
//! system gives no such file, in memory of this process. The bytes that are hashed are
//! the bytes that are written: both come from the same private memory. No zstd frame is
//! read before what is stored was hashed, and no more is written than the
//! signed length. What of a store needs no copy is decided there (`store/guard.rs`).

use crate::built::{self, NotBuilt};
use crate::open::{Opened, ReadError, read_exactly, read_pieces};
use crate::store::StoredImage;
use bls_artifact::artifact::PartRecord;
use bls_artifact::digest::{Hasher, Sha256};
use bls_artifact::limits::ZSTD_WINDOW_MAX;
use bls_artifact::manifest::{Encoding, Image, Part};
use bls_artifact::sparse::{CutOff, Pieces};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Seek as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};

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
    /// What is stored does not give exactly the signed length.
    Compression(CompressionError),
    /// Compressed, and this loader was built without a decoder.
    NotBuilt,
}

/// Why stored bytes do not give exactly the signed length.
#[derive(Debug)]
pub enum CompressionError {
    /// Not zstd, or damaged; what the decoder said.
    Invalid(String),
    /// Sparse, and ends inside of a piece.
    CutOff,
    /// It asks for a larger window than [`ZSTD_WINDOW_MAX`].
    Window(u64),
    /// It wants a dictionary, and there are none.
    Dictionary(u32),
    /// It announces another length than the signed one.
    ContentSize {
        /// What its header says.
        announced: u64,
        /// What is signed.
        signed: u64,
    },
    /// It gives more than the signed length.
    TooLong,
    /// It gives less than the signed length.
    TooShort,
    /// Something follows the frame.
    Trailing(usize),
}

impl fmt::Display for CompressionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what) => write!(formatter, "it is not valid zstd: {what}"),
            Self::CutOff => write!(formatter, "{CutOff}"),
            Self::Window(bytes) => {
                write!(formatter, "it asks for a window of {bytes} bytes, above {ZSTD_WINDOW_MAX}")
            }
            Self::Dictionary(id) => write!(formatter, "it wants the dictionary {id}"),
            Self::ContentSize { announced, signed } => {
                write!(formatter, "it announces {announced} bytes, and {signed} are signed")
            }
            Self::TooLong => write!(formatter, "it is longer than the signed length"),
            Self::TooShort => write!(formatter, "it is shorter than the signed length"),
            Self::Trailing(bytes) => write!(formatter, "{bytes} bytes follow its frame"),
        }
    }
}

impl From<FrameDecoderError> for CompressionError {
    fn from(error: FrameDecoderError) -> Self {
        match error {
            FrameDecoderError::WindowSizeTooBig { requested, .. } => Self::Window(requested),
            FrameDecoderError::DictNotProvided { dict_id } => Self::Dictionary(dict_id),
            other => Self::Invalid(other.to_string()),
        }
    }
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
            Self::Compression(why) => {
                write!(formatter, "the compressed code is refused: {why}")
            }
            Self::NotBuilt => write!(formatter, "{}", NotBuilt::Zstd),
        }
    }
}

impl ImageError {
    /// Its name, which stays the same when words change.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::System(..) => "content.system",
            Self::Shrunk => "content.shrunk",
            Self::StoredDigest => "content.stored-digest",
            Self::ImageDigest => "content.image-digest",
            Self::Compression(CompressionError::Invalid(_) | CompressionError::CutOff) => {
                "compression.invalid"
            }
            Self::Compression(CompressionError::Window(_)) => "compression.window",
            Self::Compression(CompressionError::Dictionary(_)) => "compression.dictionary",
            Self::Compression(CompressionError::ContentSize { .. }) => "compression.content-size",
            Self::Compression(CompressionError::TooLong) => "compression.too-long",
            Self::Compression(CompressionError::TooShort) => "compression.too-short",
            Self::Compression(CompressionError::Trailing(_)) => "compression.trailing-bytes",
            Self::NotBuilt => "compression.not-built",
        }
    }
}

impl From<CompressionError> for ImageError {
    fn from(error: CompressionError) -> Self {
        Self::Compression(error)
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
    bytes: ImageBytes,
}

impl SealedImage {
    /// Whether it is in a file; else the system gives none, or none so long.
    pub(crate) fn is_file(&self) -> bool {
        self.descriptor().is_some()
    }

    fn descriptor(&self) -> Option<RawFd> {
        match &self.bytes {
            ImageBytes::File(file) => Some(file.as_raw_fd()),
            ImageBytes::Private(_) => None,
        }
    }
}

/// A verified image.
#[derive(Debug)]
pub(crate) enum VerifiedImage {
    /// Hashed by this process.
    Sealed(SealedImage),
    /// Hashed when it was installed, and root's since.
    Stored(StoredImage),
}

/// Where the bytes of an image are.
#[derive(Debug)]
pub(crate) enum ImageBytes {
    /// In a file, which can be mapped.
    File(File),
    /// In memory of this process.
    Private(Vec<u8>),
}

impl ImageBytes {
    /// Room for a copy of `length` bytes: in a file in memory that only this process can
    /// reach, or in its own memory, where the system gives no such file (a filter of system
    /// calls, an old kernel, no descriptor left) or counts it as one on a disk (`ulimit -f`).
    fn with_room_for(length: u64) -> Result<Self, ImageError> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize);
        if limit.current.is_none_or(|limit| limit >= length)
            && let Ok(file) = memory_file()
        {
            return Ok(Self::File(file.into()));
        }
        let mut bytes = Vec::new();
        let room = usize::try_from(length).is_ok_and(|room| bytes.try_reserve_exact(room).is_ok());
        if room { Ok(Self::Private(bytes)) } else { Err(memory(ErrorKind::OutOfMemory.into())) }
    }

    /// From here on nobody can change them, this process included where they are in a file.
    fn seal(self) -> Result<SealedImage, ImageError> {
        if let Self::File(file) = &self {
            let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
            rustix::fs::fcntl_add_seals(file, seals)
                .map_err(|errno| ImageError::System("seal the code in memory", errno.into()))?;
        }
        Ok(SealedImage { bytes: self })
    }

    fn write_all(&mut self, piece: &[u8]) -> std::io::Result<()> {
        match self {
            Self::File(file) => file.write_all(piece),
            Self::Private(bytes) => bytes.write_all(piece),
        }
    }

    /// The same for these zeros: in a file they take no memory.
    fn skip(&mut self, zeros: &[u8]) -> std::io::Result<()> {
        match self {
            Self::File(file) => file.seek_relative(zeros.len() as i64),
            Self::Private(bytes) => bytes.write_all(zeros),
        }
    }

    /// Makes it this long, where zeros at its end were skipped.
    fn end_at(&self, length: u64) -> std::io::Result<()> {
        if let Self::File(file) = self { file.set_len(length) } else { Ok(()) }
    }
}

impl VerifiedImage {
    /// Whether it is in a file.
    pub(crate) fn is_file(&self) -> bool {
        self.descriptor().is_some()
    }

    /// The descriptor of the file that its bytes are in.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        match self {
            Self::Sealed(image) => image.descriptor(),
            Self::Stored(image) => Some(image.file().as_raw_fd()),
        }
    }

    /// Its bytes, for mapping.
    pub(crate) fn into_bytes(self) -> ImageBytes {
        match self {
            Self::Sealed(image) => image.bytes,
            Self::Stored(image) => ImageBytes::File(image.into_file()),
        }
    }

    /// The same in this process's own memory.
    pub(crate) fn in_own_memory(self, length: u64) -> Result<Self, ImageError> {
        let mut bytes = Vec::new();
        let room = usize::try_from(length).is_ok_and(|room| bytes.try_reserve_exact(room).is_ok());
        if !room {
            return Err(memory(ErrorKind::OutOfMemory.into()));
        }
        self.read(length, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok::<_, ImageError>(())
        })?;
        Ok(Self::Sealed(SealedImage { bytes: ImageBytes::Private(bytes) }))
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
            Self::Sealed(SealedImage { bytes: ImageBytes::Private(bytes) }) => return take(bytes),
            Self::Sealed(SealedImage { bytes: ImageBytes::File(file) }) => file,
            Self::Stored(image) => image.file(),
        };
        read_pieces(file.as_fd(), 0, length, &mut Vec::new(), take)
    }
}

/// What a delta begins with: bytes with the SHA-256 that a manifest says, when they were read. They
/// may be others by now, for what is made of them is hashed too.
#[derive(Debug)]
pub(crate) struct BaseImage {
    bytes: ImageBytes,
    length: u64,
}

impl BaseImage {
    /// The raw image in `file`.
    pub(crate) fn of_file(file: OwnedFd, image: &Image) -> Result<Self, ImageError> {
        let mut hasher = Hasher::default();
        read_pieces(file.as_fd(), 0, image.length, &mut Vec::new(), &mut |piece| {
            hasher.update(piece);
            Ok::<_, ImageError>(())
        })?;
        check(hasher, image.sha256, ImageError::ImageDigest)?;
        Ok(Self { bytes: ImageBytes::File(file.into()), length: image.length })
    }

    /// A copy of this image.
    pub(crate) fn of_copy(copy: SealedImage, image: &Image) -> Self {
        Self { bytes: copy.bytes, length: image.length }
    }

    /// How many bytes there are.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Reads all of `bytes` from `position`.
    pub(crate) fn read_exactly(&self, position: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        match &self.bytes {
            ImageBytes::File(file) => read_exactly(file.as_fd(), position, bytes),
            ImageBytes::Private(all) => {
                let from = all.get(position as usize..).and_then(|from| from.get(..bytes.len()));
                bytes.copy_from_slice(from.ok_or(ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

/// Copies the raw image in `file` into a sealed one.
pub(crate) fn copy_file(file: &OwnedFd, image: &Image) -> Result<SealedImage, ImageError> {
    let mut copy = ImageBytes::with_room_for(image.length)?;
    let mut hasher = Hasher::default();
    read_pieces(file.as_fd(), 0, image.length, &mut Vec::new(), &mut |piece| {
        hasher.update(piece);
        copy.write_all(piece).map_err(memory)
    })?;
    check(hasher, image.sha256, ImageError::ImageDigest)?;
    copy.seal()
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
    let mut copy = ImageBytes::with_room_for(part.image.length)?;
    let mut stored = Hasher::default();
    match part.stored.encoding {
        // A raw part is its image: the manifest was refused otherwise.
        Encoding::Raw => {
            opened.read(record.offset, record.length, buffer, |piece| {
                seen(piece);
                stored.update(piece);
                copy.write_all(piece).map_err(memory)
            })?;
            check(stored, part.stored.sha256, ImageError::StoredDigest)?;
        }
        Encoding::Zstd if !built::ZSTD => return Err(ImageError::NotBuilt),
        Encoding::Sparse | Encoding::Zstd => {
            let mut packed = Vec::new();
            let length = usize::try_from(record.length).unwrap_or(usize::MAX);
            packed.try_reserve_exact(length).map_err(|_| memory(ErrorKind::OutOfMemory.into()))?;
            opened.read(record.offset, record.length, buffer, |piece| {
                seen(piece);
                packed.extend_from_slice(piece);
                Ok::<_, ImageError>(())
            })?;
            if part.stored.encoding == Encoding::Sparse {
                unpack(&packed, &part.image, &mut copy).map_err(|error| {
                    let is_stored = Sha256::of(&packed) == part.stored.sha256;
                    if is_stored { error } else { ImageError::StoredDigest }
                })?;
            } else {
                stored.update(&packed);
                check(stored, part.stored.sha256, ImageError::StoredDigest)?;
                decompress(&packed, &part.image, &mut copy)?;
            }
        }
    }
    copy.seal()
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
fn memory_file() -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(c"bls-image", flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 does not know the flag. It forbids execve of the file,
        // which nobody attempts; mapping it executable is not its business.
        Err(Errno::INVAL) => rustix::fs::memfd_create(c"bls-image", flags),
        other => other,
    }
}

/// Writes what the one zstd frame in `compressed` holds to `copy`.
fn decompress(compressed: &[u8], image: &Image, copy: &mut ImageBytes) -> Result<(), ImageError> {
    /// Bytes decoded before they are drained: with the window, all the memory
    /// that a frame can claim.
    const STEP: usize = 1 << 20;
    let refused = |error: FrameDecoderError| ImageError::from(CompressionError::from(error));

    let mut source = compressed;
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(ZSTD_WINDOW_MAX);
    decoder.init(&mut source).map_err(refused)?;
    let (announced, signed) = (decoder.content_size(), image.length);
    if announced != signed {
        return Err(CompressionError::ContentSize { announced, signed }.into());
    }
    let mut sink = Bounded { copy, hasher: Hasher::default(), left: signed, is_full: false };
    loop {
        let finished = decoder
            .decode_blocks(&mut source, BlockDecodingStrategy::UptoBytes(STEP))
            .map_err(refused)?;
        while decoder.can_collect() > 0 {
            match decoder.collect_to_writer(&mut sink) {
                Ok(_) => {}
                Err(_) if sink.is_full => return Err(CompressionError::TooLong.into()),
                Err(error) => return Err(memory(error)),
            }
        }
        if finished {
            break;
        }
    }
    if sink.left != 0 {
        return Err(CompressionError::TooShort.into());
    }
    if !source.is_empty() {
        return Err(CompressionError::Trailing(source.len()).into());
    }
    check(sink.hasher, image.sha256, ImageError::ImageDigest)
}

/// Writes the image that the sparse `packed` holds to `copy`.
///
/// What comes out is hashed, as of a raw part, and what is stored only where that is wrong: to
/// know whether it was signed so. Hashing both would make a start slower.
fn unpack(packed: &[u8], image: &Image, copy: &mut ImageBytes) -> Result<(), ImageError> {
    let mut sink =
        Chunk { copy, hasher: Hasher::default(), bytes: vec![0; CHUNK], filled: 0, is_blank: true };
    let mut left = image.length;
    for piece in Pieces::of(packed) {
        let (mut zeros, mut bytes) = piece.map_err(|CutOff| CompressionError::CutOff)?;
        let length = (zeros + bytes.len()) as u64;
        left = left.checked_sub(length).ok_or(CompressionError::TooLong)?;
        while zeros > 0 {
            zeros -= sink.add_zeros(zeros)?;
        }
        while !bytes.is_empty() {
            bytes = &bytes[sink.add(bytes)?..];
        }
    }
    if left != 0 {
        return Err(CompressionError::TooShort.into());
    }
    sink.pass_on()?;
    check(sink.hasher, image.sha256, ImageError::ImageDigest)?;
    sink.copy.end_at(image.length).map_err(memory)
}

/// Bytes of an image that are hashed and written at a time: where all are zero, nothing need be
/// written.
const CHUNK: usize = 16 << 10;

/// Gathers a chunk, and passes it on when it is full.
struct Chunk<'a> {
    copy: &'a mut ImageBytes,
    hasher: Hasher,
    bytes: Vec<u8>,
    filled: usize,
    is_blank: bool,
}

impl Chunk<'_> {
    /// Adds as many of these zeros as fit.
    fn add_zeros(&mut self, zeros: usize) -> Result<usize, ImageError> {
        let added = zeros.min(CHUNK - self.filled);
        self.bytes[self.filled..][..added].fill(0);
        self.advance(added)
    }

    /// Adds as many of these bytes as fit.
    fn add(&mut self, bytes: &[u8]) -> Result<usize, ImageError> {
        let added = bytes.len().min(CHUNK - self.filled);
        self.bytes[self.filled..][..added].copy_from_slice(&bytes[..added]);
        self.is_blank = false;
        self.advance(added)
    }

    fn advance(&mut self, added: usize) -> Result<usize, ImageError> {
        self.filled += added;
        if self.filled == CHUNK {
            self.pass_on()?;
        }
        Ok(added)
    }

    fn pass_on(&mut self) -> Result<(), ImageError> {
        let bytes = &self.bytes[..self.filled];
        self.hasher.update(bytes);
        if self.is_blank { self.copy.skip(bytes) } else { self.copy.write_all(bytes) }
            .map_err(memory)?;
        (self.filled, self.is_blank) = (0, true);
        Ok(())
    }
}

/// Writes and hashes at most `left` bytes.
struct Bounded<'a> {
    copy: &'a mut ImageBytes,
    hasher: Hasher,
    left: u64,
    /// Whether more was to be written than `left`.
    is_full: bool,
}

impl std::io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            self.is_full = true;
            return Err(ErrorKind::FileTooLarge.into());
        };
        self.left = left;
        self.hasher.update(bytes);
        self.copy.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
