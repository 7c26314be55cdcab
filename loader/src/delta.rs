//! Deltas: an installed artifact and what changed become the next one (DELTA.md).
//!
//! ```text
//! up.blsd ─ open ─► Delta ┐
//! store or file ─ base ─► Base ┴ verify/delta.rs ─► Rebuilt ─► install
//! ```
//!
//! Assumes nothing about a delta, which nobody signed: it is a way for bytes to come. Guarantees
//! that nothing is decoded before the base was found to be the one that the delta names, by its
//! digest, and that what is decoded is bounded: the statement by the header's cap, an image by the
//! signed length, memory by the caps of `limits.rs`. What comes out is judged by `verify` as the
//! contents of a file are, and hashed on its way into the store.

mod decode;
mod error;

pub use error::DeltaError;

use crate::image::{self, BaseImage};
use crate::open::{self, OpenError, Opened};
use crate::store::{FoundImage, Store, StoreError, Stores, Wanted};
use bls_artifact::delta::{DELTA_HEADER_LEN, Frame, PartDelta, prefix_length};
use bls_artifact::digest::Sha256;
use bls_artifact::envelope::{Claim, Envelope};
use bls_artifact::limits::ARTIFACT_BYTES_MAX;
use bls_artifact::manifest::{Manifest, Part, Statement};
pub(crate) use decode::Stop;
use decode::decode;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

/// A delta whose framing fits.
#[derive(Debug)]
pub struct Delta {
    name: String,
    source: Source,
    frame: Frame,
}

/// Where its bytes are.
#[derive(Debug)]
enum Source {
    File(OwnedFd),
    Memory(Vec<u8>),
}

impl Delta {
    /// Opens a file, or reads a pipe.
    ///
    /// # Errors
    /// [`OpenError`], and [`DeltaError`] for what is no delta.
    pub fn open(path: &Path) -> Result<Self, DeltaError> {
        let name = path.display().to_string();
        match open::regular(path, &name)? {
            open::Regular::File(file, length) => {
                let mut head = Vec::new();
                let system = |errno| OpenError::System(name.clone(), errno);
                open::fill(&file, &mut head, DELTA_HEADER_LEN).map_err(system)?;
                let prefix = prefix_length(&head, length).map_err(DeltaError::Frame)?;
                open::fill(&file, &mut head, prefix).map_err(system)?;
                let frame = Frame::parse(&head, length).map_err(DeltaError::Frame)?;
                Ok(Self { name, source: Source::File(file), frame })
            }
            open::Regular::Stream(stream) => Self::read_stream(&name, stream.as_fd()),
        }
    }

    /// Reads a delta from standard input, all of it.
    ///
    /// # Errors
    /// [`DeltaError`].
    pub fn from_stdin() -> Result<Self, DeltaError> {
        Self::read_stream("standard input", rustix::stdio::stdin())
    }

    fn read_stream(name: &str, stream: std::os::fd::BorrowedFd<'_>) -> Result<Self, DeltaError> {
        let system = |errno| OpenError::System(name.to_owned(), errno);
        let mut bytes = Vec::new();
        open::fill_from_stream(stream, &mut bytes, DELTA_HEADER_LEN).map_err(system)?;
        // One more than it announces, which must not be there.
        let announced = bytes.get(16..24).and_then(|field| field.first_chunk());
        let announced = announced.map_or(0, |field| u64::from_le_bytes(*field));
        let length = announced.min(ARTIFACT_BYTES_MAX) as usize + 1;
        open::fill_from_stream(stream, &mut bytes, length).map_err(system)?;
        Self::from_bytes(name, bytes)
    }

    /// Takes a whole delta that is in memory.
    ///
    /// # Errors
    /// [`DeltaError`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, DeltaError> {
        let frame = Frame::parse(&bytes, bytes.len() as u64).map_err(DeltaError::Frame)?;
        Ok(Self { name: name.to_owned(), source: Source::Memory(bytes), frame })
    }

    /// Its name as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its framing.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The new artifact's envelope: the payload that hashes to the identity which the delta
    /// names, with its signatures, none of them checked.
    pub(crate) fn envelope(&self, base: &Base<'_>) -> Result<Vec<u8>, DeltaError> {
        let mut payload = Vec::new();
        let mut take = |bytes: &[u8]| {
            payload.extend_from_slice(bytes);
            Ok(())
        };
        let (range, length) = (self.frame.statement.clone(), self.frame.statement_length);
        let base = &decode::Bytes(base.payload.as_slice());
        decode(self, range, base, length, &mut take).map_err(Stop::into_delta)?;
        if Sha256::of(&payload) != self.frame.new {
            return Err(DeltaError::Statement);
        }
        let claims = self.frame.signatures.iter();
        let claims = claims.map(|(key, signature)| Claim::new(*key, *signature)).collect();
        Ok(Envelope::of(payload, claims).to_bytes())
    }

    /// The parts that can be made here, as indices of `new`'s parts, and what each is made by.
    pub(crate) fn parts(
        &self,
        base: &Base<'_>,
        new: &Manifest,
    ) -> Result<Vec<(usize, &PartDelta)>, DeltaError> {
        let mut parts = Vec::new();
        for part in &self.frame.parts {
            let is_known = |(manifest, part): (&Manifest, usize)| part < manifest.parts.len();
            if !is_known((new, part.part)) || !is_known((&base.manifest, part.base_part)) {
                return Err(DeltaError::NoSuchPart(part.part));
            }
            if base.has(part.base_part)? {
                parts.push((part.part, part));
            }
        }
        if parts.is_empty() { Err(DeltaError::NoImage) } else { Ok(parts) }
    }
}

/// The artifact that a delta begins with: its digest is the one that the delta names. Nobody has
/// asked who signed it, for what is made of it has a signature of its own.
#[derive(Debug)]
pub struct Base<'s> {
    payload: Vec<u8>,
    manifest: Manifest,
    place: Place<'s>,
}

/// Where the images of a base are.
#[derive(Debug)]
enum Place<'s> {
    Store(&'s Store),
    /// In a file, of whose records these are the parts.
    File(Box<Opened>, Vec<Option<usize>>),
}

impl<'s> Base<'s> {
    /// What is installed under the identity that `delta` names.
    ///
    /// # Errors
    /// [`DeltaError`]; among them that it is not.
    pub fn installed(stores: &'s Stores, delta: &Delta) -> Result<Self, DeltaError> {
        let wanted = Wanted::Identity(delta.frame.base);
        let installed = stores.find(&wanted).map_err(|error| match error {
            StoreError::NotInstalled(..) => DeltaError::NoBase(delta.frame.base),
            error => DeltaError::Store(Box::new(error)),
        })?;
        let (payload, manifest) = Self::statement(&installed.envelope, delta)?;
        Ok(Self { payload, manifest, place: Place::Store(installed.store) })
    }

    /// An artifact's file.
    ///
    /// # Errors
    /// [`DeltaError`]; among them that it is another artifact.
    pub fn file(opened: Opened, delta: &Delta) -> Result<Self, DeltaError> {
        let (payload, manifest) = Self::statement(opened.envelope(), delta)?;
        let records = opened.frame().parts().iter();
        let parts = records.map(|record| {
            let is_it = |part: &Part| {
                (part.stored.length, part.stored.sha256) == (record.length, record.sha256)
            };
            manifest.parts.iter().position(is_it)
        });
        let parts = parts.collect();
        Ok(Self { payload, manifest, place: Place::File(Box::new(opened), parts) })
    }

    fn statement(envelope: &[u8], delta: &Delta) -> Result<(Vec<u8>, Manifest), DeltaError> {
        let envelope = Envelope::parse(envelope).map_err(|_| DeltaError::Base)?;
        if envelope.identity() != delta.frame.base {
            return Err(DeltaError::OtherBase(delta.frame.base, envelope.identity()));
        }
        let manifest = Statement::parse(envelope.payload()).map_err(|_| DeltaError::Base)?;
        Ok((envelope.payload().to_vec(), manifest))
    }

    fn has(&self, part: usize) -> Result<bool, DeltaError> {
        match &self.place {
            Place::File(_, parts) => Ok(parts.contains(&Some(part))),
            Place::Store(store) => {
                let found = store.has_image(&self.manifest.parts[part].image);
                found.map_err(|error| DeltaError::Store(Box::new(error)))
            }
        }
    }

    /// The image of a part that it has. Its bytes hash to what its manifest says.
    pub(crate) fn image(&self, part: usize) -> Result<BaseImage, DeltaError> {
        let wanted = &self.manifest.parts[part];
        let store = |error| DeltaError::Store(Box::new(error));
        match &self.place {
            Place::Store(place) => {
                let found = place.image(&wanted.image).map_err(store)?;
                let (file, _) = FoundImage::into_file(found);
                BaseImage::of_file(file, &wanted.image).map_err(DeltaError::BaseImage)
            }
            Place::File(opened, parts) => {
                let record = parts.iter().position(|other| *other == Some(part));
                let record = &opened.frame().parts()[record.ok_or(DeltaError::NoImage)?];
                let copied = image::copy(opened, record, wanted, &mut Vec::new(), |_| ());
                copied
                    .map(|copy| BaseImage::of_copy(copy, &wanted.image))
                    .map_err(DeltaError::BaseImage)
            }
        }
    }
}

/// Makes an image of `length` bytes, and hands all of them to `take`, in order. They may be any:
/// whoever takes them compares their digest.
pub(crate) fn make<E>(
    delta: &Delta,
    part: &PartDelta,
    base: &BaseImage,
    length: u64,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), Stop<E>> {
    decode(delta, part.difference.clone(), base, length, take)
}

impl decode::At for Delta {
    fn length(&self) -> u64 {
        let parts = self.frame.parts.last();
        parts.map_or(self.frame.statement.end, |part| part.difference.end)
    }

    fn read_at(&self, position: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        match &self.source {
            Source::File(file) => open::read_exactly(file.as_fd(), position, bytes),
            Source::Memory(all) => decode::Bytes(all.as_slice()).read_at(position, bytes),
        }
    }
}

impl decode::At for BaseImage {
    fn length(&self) -> u64 {
        Self::length(self)
    }

    fn read_at(&self, position: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        self.read_exactly(position, bytes)
    }
}
