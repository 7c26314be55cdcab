//! Decides whether an artifact may run, and seals what will.
//!
//! The order is the security story: signature, then the statement that it signs,
//! then that the file's records are the signed parts, then the criteria and
//! compatibility, then the bytes of the code. May assume that the framing fits
//! ([`Opened`]). Guarantees of a [`Verified`], which only [`verify()`] and
//! [`verify_installed()`] make (of a [`Checked`], for another machine, the same but for what
//! only that one can say): as many trusted keys as must be signed the manifest and
//! may sign what it says, nothing of it is revoked, no newer release was seen, this
//! machine can run the chosen part, and its image hashes to what was signed: in sealed
//! memory, or in a file that only root could have written since it was installed. Does
//! not look inside images.

use crate::built;
use crate::clock::clock;
use crate::freshness::Seen;
use crate::image::{self, SealedImage, VerifiedImage};
use crate::open::Opened;
use crate::store::{Installed, Oddity, StoreError, Stores};
use bls_artifact::artifact::{FrameError, PartRecord};
use bls_artifact::cpu::Machine;
use bls_artifact::digest::{Hasher, Sha256};
use bls_artifact::envelope::{Claim, Envelope};
use bls_artifact::key::{KeyId, SignatureError};
use bls_artifact::manifest::{Manifest, Part, Statement};
use bls_artifact::trust::{Clock, Doubt, Refusal, Signers, Trust};
pub use choice::Standing;
use choice::{Choice, choose};
use compatibility::Host;
pub use compatibility::{Misfit, Place};
pub use delta::{Rebuilt, verify_delta};
use error::rebuild;
pub use error::{Reason, VerifyError};
pub(crate) use installed::look_up;
pub use installed::{verify_installed, verify_installed_for};

/// Whether this machine can run one of the parts, by what the manifest says of them.
pub(crate) fn runs_here(manifest: &Manifest) -> bool {
    compatibility::check_metering(manifest).is_ok()
        && manifest.parts.iter().any(|part| compatibility::check_part(part, &Host::here()).is_ok())
}

mod choice;
mod compatibility;
mod delta;
mod error;
mod installed;

/// What decides, besides the artifact and the machine.
#[derive(Debug)]
pub struct Criteria<'a> {
    /// Whose signatures count.
    pub trust: &'a Trust,
    /// The only file that may run, by SHA-256 of all its bytes.
    pub digest: Option<Sha256>,
    /// What time it is.
    pub clock: Clock,
    /// Where the highest sequences are remembered, if anywhere.
    pub stores: Option<&'a Stores>,
    /// Whether parts that will not run are hashed too, and images whoever keeps them.
    pub every_part: bool,
}

impl<'a> Criteria<'a> {
    /// Trusts `trust`, now, and asks nothing else.
    #[must_use]
    pub fn of(trust: &'a Trust) -> Self {
        Self { trust, digest: None, clock: clock(false), stores: None, every_part: false }
    }
}

/// What is known about an artifact once it is verified.
#[derive(Debug)]
pub struct Facts {
    /// The artifact's name as it was given.
    pub name: String,
    /// The signed manifest.
    pub manifest: Manifest,
    /// SHA-256 of the signed payload: the artifact's identity.
    pub identity: Sha256,
    /// SHA-256 of the whole file, when all of it was read.
    pub file_digest: Option<Sha256>,
    /// Trusted compilers' keys whose signatures count, sorted.
    pub key_ids: Vec<KeyId>,
    /// The same of trusted authors.
    pub author_ids: Vec<KeyId>,
    /// Which of the manifest's parts runs.
    pub chosen: usize,
    /// How each of them fared when that was chosen.
    pub standings: Vec<Standing>,
    /// What holds that the image is the one that was signed.
    pub integrity: Integrity,
}

/// What holds that an image is the one that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// It was hashed while it was copied into sealed memory; why, if it is installed.
    Copy(Option<Oddity>),
    /// The same, but into the process's own memory: the system gave no other.
    PrivateCopy(Option<Oddity>),
    /// It was hashed when it was installed, and only root could write it since.
    Store,
}

impl Integrity {
    /// What holds for `image`.
    fn of(image: &SealedImage, oddity: Option<Oddity>) -> Self {
        if image.is_file() { Self::Copy(oddity) } else { Self::PrivateCopy(oddity) }
    }
}

impl Facts {
    /// The part that runs.
    #[must_use]
    pub fn part(&self) -> &Part {
        &self.manifest.parts[self.chosen]
    }
}

/// An artifact that may run on this machine. Only [`verify()`] and [`verify_installed()`]
/// make one.
#[derive(Debug)]
pub struct Verified(Checked);

impl std::ops::Deref for Verified {
    type Target = Checked;

    fn deref(&self) -> &Checked {
        &self.0
    }
}

impl Verified {
    /// Its facts and its image, for mapping.
    pub(crate) fn into_parts(self) -> (Facts, VerifiedImage) {
        (self.0.facts, self.0.image)
    }
}

/// An artifact of which the same is known, but for the machine: it may be another, for
/// which it is installed. Nothing maps it.
#[derive(Debug)]
pub struct Checked {
    facts: Facts,
    envelope: Vec<u8>,
    image: VerifiedImage,
}

impl Checked {
    /// What is known about it.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its envelope, for installing.
    pub(crate) fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// Hands all bytes of its image to `take`, in order, for installing.
    pub(crate) fn read_image(
        &self,
        take: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.image.read(self.facts.part().image.length, take)
    }
}

/// Verifies everything that will be used of `opened`.
///
/// # Errors
/// [`VerifyError`]: it must not run here.
pub fn verify(opened: Opened, criteria: &Criteria<'_>) -> Result<Verified, VerifyError> {
    verify_for(opened, criteria, None).map(Verified)
}

/// The same for another machine, of which no more is known than what is said here: the part
/// that it would run.
///
/// # Errors
/// [`VerifyError`]: it must not run there.
pub fn verify_for(
    opened: Opened,
    criteria: &Criteria<'_>,
    machine: Option<&Machine>,
) -> Result<Checked, VerifyError> {
    check(&opened, criteria, machine)
        .map_err(|reason| VerifyError { name: opened.name().to_owned(), reason })
}

fn check(
    opened: &Opened,
    criteria: &Criteria<'_>,
    machine: Option<&Machine>,
) -> Result<Checked, Reason> {
    let signed = check_signed(opened.envelope(), criteria)?;
    let parts = match_records(opened.frame().parts(), &signed.manifest)?;
    admit(&signed.manifest, criteria, None)?;
    let choice = choose_for(machine, &parts, Place::File, &signed.manifest)?;
    let part = &signed.manifest.parts[choice.part];
    let (image, file_digest) = copy_and_check(opened, criteria, part, choice.record)?;
    let name = opened.name().to_owned();
    let envelope = opened.envelope().to_vec();
    let facts = signed.into_facts(name, choice, Integrity::of(&image, None), file_digest);
    Ok(Checked { facts, envelope, image: VerifiedImage::Sealed(image) })
}

/// What a trusted key has signed.
struct Signed {
    identity: Sha256,
    key_ids: Vec<KeyId>,
    author_ids: Vec<KeyId>,
    manifest: Manifest,
}

impl Signed {
    fn into_facts(
        self,
        name: String,
        choice: Choice,
        integrity: Integrity,
        file_digest: Option<Sha256>,
    ) -> Facts {
        let Self { identity, key_ids, author_ids, manifest } = self;
        let Choice { part: chosen, standings, .. } = choice;
        Facts {
            name,
            manifest,
            identity,
            file_digest,
            key_ids,
            author_ids,
            chosen,
            standings,
            integrity,
        }
    }
}

/// Signatures first, and only then what is signed.
fn check_signed(envelope: &[u8], criteria: &Criteria<'_>) -> Result<Signed, Reason> {
    let envelope = Envelope::parse(envelope).map_err(Reason::Envelope)?;
    let signed_by = check_signatures(&envelope, criteria.trust)?;
    let manifest = Statement::parse(envelope.payload()).map_err(Reason::Manifest)?;
    let identity = envelope.identity();
    let Signers { compilers: key_ids, authors: author_ids } = criteria
        .trust
        .judge(&signed_by, &manifest, identity, criteria.clock)
        .map_err(|refusal| Reason::Refused(Box::new(refusal), Some(rebuild(&manifest))))?;
    Ok(Signed { identity, key_ids, author_ids, manifest })
}

/// What the manifest alone decides: whether no newer release was seen, and whether its fuel
/// is counted as here.
fn admit(
    manifest: &Manifest,
    criteria: &Criteria<'_>,
    installed: Option<&Installed<'_>>,
) -> Result<(), Reason> {
    let reset = criteria.trust.reset_for(&manifest.name);
    let check = |seen: Seen| seen.under(reset).check(manifest.sequence).map_err(Reason::Stale);
    // Roots can say what is too old where nothing was ever installed.
    check(Seen::default())?;
    for store in criteria.stores.into_iter().flat_map(Stores::iter) {
        let known = installed.filter(|installed| std::ptr::eq(installed.store, store));
        let seen = match known.and_then(|installed| installed.seen) {
            Some(seen) => Some(seen),
            None if built::STORE => {
                let record = store.record(&manifest.name).map_err(Reason::Store)?;
                record.map(|record| record.seen)
            }
            None => None,
        };
        check(seen.unwrap_or_default())?;
    }
    compatibility::check_metering(manifest).map_err(Reason::Misfit)
}

/// The trusted keys that signed, at least one of them not revoked. A claim by an unknown
/// key says nothing; a bad signature by a trusted key shows that the file was changed.
fn check_signatures(envelope: &Envelope, trust: &Trust) -> Result<Vec<KeyId>, Reason> {
    let mut good = Vec::new();
    for claim in envelope.claims() {
        if let Some(trusted) = trust.find(claim.key_id) {
            envelope
                .check(claim, &trusted.key)
                .map_err(|error| why_bad(envelope, claim, trust, error))?;
            good.push(claim.key_id);
        }
    }
    if good.iter().any(|key| !trust.is_revoked(*key)) {
        return Ok(good);
    }
    let mut claimed = envelope.claims().iter().map(|claim| claim.key_id);
    match claimed.clone().find(|key| trust.is_revoked(*key)) {
        Some(key) => Err(Reason::Refused(Box::new(Refusal::Key(key, Doubt::Revoked)), None)),
        None if trust.is_signed() => Err(Reason::UntrustedByRoots(claimed.by_ref().collect())),
        None => Err(Reason::Untrusted(claimed.by_ref().collect())),
    }
}

/// Why a signature in a trusted key's name is bad: another trusted key may have made it.
fn why_bad(envelope: &Envelope, claim: &Claim, trust: &Trust, error: SignatureError) -> Reason {
    let named = claim.key_id;
    let mut others = trust.keys().iter().filter(|other| other.key.id() != named);
    match others.find(|other| envelope.check(claim, &other.key).is_ok()) {
        Some(signer) => Reason::LyingKeyId { named, signer: signer.key.id() },
        None => Reason::BadSignature(named, error),
    }
}

/// For each record of the file, the signed part that it is. Records keep the
/// signed order, and none comes twice; parts may have been stripped.
fn match_records(records: &[PartRecord], manifest: &Manifest) -> Result<Vec<usize>, Reason> {
    let mut signed = Vec::with_capacity(records.len());
    let mut next = 0;
    for (index, record) in records.iter().enumerate() {
        let is_it = |part: &Part| {
            part.stored.sha256 == record.sha256 && part.stored.length == record.length
        };
        let Some(part) = (next..manifest.parts.len()).find(|part| is_it(&manifest.parts[*part]))
        else {
            let comes_earlier = manifest.parts[..next].iter().any(is_it);
            return Err(match comes_earlier {
                true => Reason::PartOrder(index),
                false => Reason::UnsignedPart(index),
            });
        };
        signed.push(part);
        next = part + 1;
    }
    Ok(signed)
}

/// Chooses for this machine, or for another.
fn choose_for(
    machine: Option<&Machine>,
    there: &[usize],
    place: Place,
    manifest: &Manifest,
) -> Result<Choice, Reason> {
    match machine {
        None => choose(there, place, manifest, &Host::here()),
        Some(machine) => {
            let has = |feature: &str| machine.features().contains(&feature);
            choose(there, place, manifest, &Host::of(machine, &has))
        }
    }
    .map_err(Reason::Misfit)
}

/// Walks through the file in order: copies the chosen part, checks all padding,
/// and where it is asked for hashes the other parts and the whole file. Every
/// digest is of the bytes that are used, read once.
fn copy_and_check(
    opened: &Opened,
    criteria: &Criteria<'_>,
    part: &Part,
    chosen: usize,
) -> Result<(SealedImage, Option<Sha256>), Reason> {
    let everything = criteria.every_part || criteria.digest.is_some();
    let mut whole = Hasher::default();
    if everything {
        whole.update(opened.prefix());
    }
    let mut buffer = Vec::new();
    let mut image = None;
    let mut paddings = opened.frame().paddings().iter().peekable();
    for (index, record) in opened.frame().parts().iter().enumerate() {
        while let Some(padding) = paddings.next_if(|padding| padding.start < record.offset) {
            check_padding(opened, padding.start, padding.end, &mut buffer, &mut whole)?;
        }
        let seen = |piece: &[u8]| {
            if everything {
                whole.update(piece);
            }
        };
        if index == chosen {
            let copied = image::copy(opened, record, part, &mut buffer, seen);
            image = Some(copied.map_err(Reason::Image)?);
        } else if everything {
            image::check_stored(opened, record, &mut buffer, seen).map_err(Reason::Image)?;
        }
    }
    for padding in paddings {
        check_padding(opened, padding.start, padding.end, &mut buffer, &mut whole)?;
    }
    let actual = everything.then(|| whole.finish());
    if let (Some(expected), Some(actual)) = (criteria.digest, actual)
        && expected != actual
    {
        return Err(Reason::Digest { expected, actual });
    }
    // `chosen` is the index of a record, so the loop met it.
    let image = image.ok_or(Reason::UnsignedPart(chosen))?;
    Ok((image, actual))
}

/// A padding is shorter than 16 bytes: hashing it always costs nothing.
fn check_padding(
    opened: &Opened,
    start: u64,
    end: u64,
    buffer: &mut Vec<u8>,
    whole: &mut Hasher,
) -> Result<(), Reason> {
    let mut position = start;
    opened.read(start, end - start, buffer, |piece| {
        if let Some(offset) = piece.iter().position(|byte| *byte != 0) {
            return Err(Reason::Frame(FrameError::Padding(position + offset as u64)));
        }
        position += piece.len() as u64;
        whole.update(piece);
        Ok(())
    })
}

#[cfg(test)]
pub(crate) mod tests;
