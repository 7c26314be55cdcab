//! The decoder of one difference: a zstd frame whose content is a script.
//!
//! May assume nothing about the difference, and of the base only that its length is right.
//! Guarantees that it reads nothing outside the difference and the base, gives exactly the length
//! that was asked for or fails, and takes memory for two windows' worth of content
//! ([`DELTA_WINDOW_MAX`]), the script's copies and a few pieces, whatever it reads. Does not know
//! what the bytes are for.

use super::error::DeltaError;
use bls_artifact::delta::script::{self, Ends, ScriptError};
use bls_artifact::limits::DELTA_WINDOW_MAX;
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::io::{self, BufReader, ErrorKind, Read};
use std::ops::Range;

/// Bytes that can be read by their positions.
pub(crate) trait At {
    /// How many there are.
    fn length(&self) -> u64;
    /// Reads all of `bytes` from `position`.
    fn read_at(&self, position: u64, bytes: &mut [u8]) -> io::Result<()>;
}

/// Bytes in memory.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl At for Bytes<'_> {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, position: u64, bytes: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(position).ok().and_then(|position| self.0.get(position..));
        let from = from.and_then(|from| from.get(..bytes.len()));
        bytes.copy_from_slice(from.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Why decoding ended early.
#[derive(Debug)]
pub(crate) enum Stop<E> {
    /// The difference or its base.
    Delta(DeltaError),
    /// Whoever takes what comes out.
    Taker(E),
}

impl Stop<DeltaError> {
    pub(crate) fn into_delta(self) -> DeltaError {
        match self {
            Self::Delta(error) | Self::Taker(error) => error,
        }
    }
}

impl<E> From<ScriptError> for Stop<E> {
    fn from(error: ScriptError) -> Self {
        Self::Delta(DeltaError::Script(error))
    }
}

/// Makes `length` bytes of `base` by the difference that is in this range of `delta`, and hands
/// them to `take`, in order. A difference of no bytes gives the base.
pub(crate) fn decode<E>(
    delta: &dyn At,
    difference: Range<u64>,
    base: &dyn At,
    length: u64,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), Stop<E>> {
    if difference.is_empty() {
        return copy(base, length, take);
    }
    let compressed = BufReader::new(Stored { delta, left: difference });
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(DELTA_WINDOW_MAX);
    let content = StreamingDecoder::new_with_decoder(compressed, decoder);
    let content = content.map_err(|error| Stop::Delta(refused(error)))?;
    let mut streams = Streams { content: BufReader::new(content), base, take };
    script::apply(&mut streams, base.length(), length)?;
    let mut content = streams.content;
    match content.read(&mut [0]) {
        Ok(0) => {}
        Ok(_) => return Err(Stop::Delta(DeltaError::Trailing)),
        Err(error) => return Err(Stop::Delta(unreadable(&error))),
    }
    let mut compressed = content.into_inner().into_inner();
    match compressed.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Stop::Delta(DeltaError::Trailing)),
        Err(error) => Err(Stop::Delta(DeltaError::System("read the delta", error))),
    }
}

fn copy<E>(
    base: &dyn At,
    length: u64,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), Stop<E>> {
    const PIECE: u64 = 64 << 10;
    if base.length() != length {
        return Err(ScriptError::Length.into());
    }
    let mut piece = Vec::new();
    let mut position = 0;
    while position < length {
        piece.resize((length - position).min(PIECE) as usize, 0);
        base.read_at(position, &mut piece).map_err(|error| Stop::Delta(unread_base(error)))?;
        take(&piece).map_err(Stop::Taker)?;
        position += piece.len() as u64;
    }
    Ok(())
}

fn refused(error: FrameDecoderError) -> DeltaError {
    match error {
        FrameDecoderError::WindowSizeTooBig { requested, .. } => DeltaError::Window(requested),
        other => DeltaError::Compression(other.to_string()),
    }
}

/// The content cannot be read: it ends, or its frame is damaged.
fn unreadable(error: &io::Error) -> DeltaError {
    match error.kind() {
        ErrorKind::UnexpectedEof => DeltaError::Ended,
        _ => DeltaError::Compression(error.to_string()),
    }
}

fn unread_base(error: io::Error) -> DeltaError {
    DeltaError::System("read what the delta begins with", error)
}

/// What is left of a difference, as it is stored.
struct Stored<'a> {
    delta: &'a dyn At,
    left: Range<u64>,
}

impl Read for Stored<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = (self.left.end - self.left.start).min(bytes.len() as u64) as usize;
        self.delta.read_at(self.left.start, &mut bytes[..count])?;
        self.left.start += count as u64;
        Ok(count)
    }
}

struct Streams<'a, E> {
    content: BufReader<StreamingDecoder<BufReader<Stored<'a>>, FrameDecoder>>,
    base: &'a dyn At,
    take: &'a mut dyn FnMut(&[u8]) -> Result<(), E>,
}

impl<E> Ends for Streams<'_, E> {
    type Error = Stop<E>;

    fn next(&mut self, bytes: &mut [u8]) -> Result<(), Stop<E>> {
        self.content.read_exact(bytes).map_err(|error| Stop::Delta(unreadable(&error)))
    }

    fn base(&mut self, position: u64, bytes: &mut [u8]) -> Result<(), Stop<E>> {
        self.base.read_at(position, bytes).map_err(|error| Stop::Delta(unread_base(error)))
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Stop<E>> {
        (self.take)(bytes).map_err(Stop::Taker)
    }
}
