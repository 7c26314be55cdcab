//! Verifies what a delta makes, as a file is, but for where its bytes come from.
//!
//! May assume of the base only that it is the one that the delta names. Guarantees of a
//! [`Rebuilt`], which only this makes, what `verify` does of a `Checked`, but for the image: its
//! bytes do not exist yet, and are hashed as they are made, before anything can find them
//! ([`Rebuilt::read_image`]).

use super::{
    Criteria, Facts, Integrity, Place, Reason, VerifyError, admit, check_signed, choose_for,
};
use crate::delta::{self, Base, Delta, DeltaError, Stop};
use crate::error::Error;
use crate::image::BaseImage;
use crate::store::StoreError;
use bls_artifact::cpu::Machine;
use bls_artifact::delta::PartDelta;
use bls_artifact::digest::Hasher;
use bls_artifact::manifest::Image;

/// A verified artifact whose code is not made yet: what a trusted key signed, and how a base
/// becomes it. Only [`verify_delta`] makes one.
#[derive(Debug)]
pub struct Rebuilt<'d> {
    facts: Facts,
    envelope: Vec<u8>,
    delta: &'d Delta,
    part: &'d PartDelta,
    base: BaseImage,
}

impl Rebuilt<'_> {
    /// What is known about it.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its envelope, for installing.
    pub(crate) fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// Makes the image, and hands all of its bytes to `take`, in order. Fails at the end where they
    /// are not what was signed: whoever takes them may not use them before.
    pub(crate) fn read_image(
        &self,
        take: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Image { length, sha256, .. } = self.facts.part().image;
        let mut hasher = Hasher::default();
        let mut seen = |bytes: &[u8]| {
            hasher.update(bytes);
            take(bytes)
        };
        let made = delta::make(self.delta, self.part, &self.base, length, &mut seen);
        let refused = |error: DeltaError| StoreError::Contents(Box::new(Error::from(error)));
        made.map_err(|stop| match stop {
            Stop::Delta(error) => refused(error),
            Stop::Taker(error) => error,
        })?;
        if hasher.finish() == sha256 { Ok(()) } else { Err(refused(DeltaError::ImageDigest)) }
    }
}

/// Verifies everything that is said about what `delta` makes of `base`; for another machine, where
/// one is named.
///
/// # Errors
/// [`VerifyError`]: it must not run here, or there.
pub fn verify_delta<'d>(
    delta: &'d Delta,
    base: &Base<'_>,
    criteria: &Criteria<'_>,
    machine: Option<&Machine>,
) -> Result<Rebuilt<'d>, VerifyError> {
    check_delta(delta, base, criteria, machine)
        .map_err(|reason| VerifyError { name: delta.name().to_owned(), reason })
}

fn check_delta<'d>(
    delta: &'d Delta,
    base: &Base<'_>,
    criteria: &Criteria<'_>,
    machine: Option<&Machine>,
) -> Result<Rebuilt<'d>, Reason> {
    let envelope = delta.envelope(base).map_err(Reason::Delta)?;
    let signed = check_signed(&envelope, criteria)?;
    admit(&signed.manifest, criteria, None)?;
    let parts = delta.parts(base, &signed.manifest).map_err(Reason::Delta)?;
    let indices: Vec<usize> = parts.iter().map(|(index, _)| *index).collect();
    let choice = choose_for(machine, &indices, Place::Delta, &signed.manifest)?;
    let part = parts[choice.record].1;
    let base = base.image(part.base_part).map_err(Reason::Delta)?;
    let facts = signed.into_facts(delta.name().to_owned(), choice, Integrity::Copy(None), None);
    Ok(Rebuilt { facts, envelope, delta, part, base })
}
