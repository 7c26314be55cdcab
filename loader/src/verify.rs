//! Decides whether an artifact may run, and seals what will.
//!
//! The order is the security story: signature, then the statement that it signs,
//! then that the file's records are the signed parts, then policy and
//! compatibility, then the bytes of the code. May assume that the framing fits
//! ([`Opened`]). Guarantees of a [`Verified`], which only [`verify()`] makes: a
//! trusted key signed the manifest, this machine can run the chosen part, and
//! its image is sealed and hashes to what was signed. Does not look inside images.

use crate::compatibility::{self, Misfit};
use crate::error::StageError;
use crate::image::{self, ImageError, SealedImage};
use crate::open::{Opened, ReadError};
use bls_artifact::artifact::{FrameError, PartRecord};
use bls_artifact::digest::{Hasher, Sha256};
use bls_artifact::envelope::{Claim, Envelope, EnvelopeError};
use bls_artifact::json::JsonError;
use bls_artifact::key::{KeyId, SignatureError};
use bls_artifact::manifest::{Manifest, ManifestError, Part, Statement};
use bls_artifact::trust::Trust;
use std::fmt;

/// What decides, besides the artifact and the machine.
#[derive(Debug)]
pub struct Policy<'a> {
    /// Whose signatures count.
    pub trust: &'a Trust,
    /// The only file that may run, by SHA-256 of all its bytes.
    pub digest: Option<Sha256>,
    /// Seconds since 1970, now.
    pub now: u64,
    /// Whether parts that will not run are hashed too.
    pub every_part: bool,
}

impl<'a> Policy<'a> {
    /// Trusts `trust`, now, and asks nothing else.
    #[must_use]
    pub fn of(trust: &'a Trust) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A clock that stands before 1970 is broken. Fail closed: whatever can
        // expire counts as expired.
        let now = since.map_or(u64::MAX, |since| since.as_secs());
        Self { trust, digest: None, now, every_part: false }
    }
}

/// Why an artifact is refused.
#[derive(Debug)]
pub struct VerifyError {
    name: String,
    /// The reason.
    pub reason: Reason,
}

/// The reason of a [`VerifyError`].
#[derive(Debug)]
pub enum Reason {
    /// The envelope is not one.
    Envelope(EnvelopeError),
    /// Signed only by keys that are not trusted here.
    Untrusted(Vec<KeyId>),
    /// A trusted key is named, and its signature is not good.
    BadSignature(KeyId, SignatureError),
    /// A trusted key is named, and another trusted key has signed.
    LyingKeyId {
        /// The key that is named.
        named: KeyId,
        /// The key that signed.
        signer: KeyId,
    },
    /// The signed payload is no manifest.
    Manifest(ManifestError),
    /// A record of the file is not exactly one of the signed parts.
    UnsignedPart(usize),
    /// A signed part, but twice, or in another order than the signed one.
    PartOrder(usize),
    /// It expired at this second since 1970.
    Expired(u64),
    /// No part can run here; why the first cannot.
    Misfit(Misfit),
    /// The code is not what was signed.
    Image(ImageError),
    /// A byte of padding is not zero.
    Frame(FrameError),
    /// The whole file does not hash to `--digest`.
    Digest {
        /// What was asked for.
        expected: Sha256,
        /// What the file has.
        actual: Sha256,
    },
}

impl fmt::Display for VerifyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.reason {
            Reason::Envelope(error) => write!(formatter, "{name}: {error}"),
            Reason::Untrusted(keys) => match keys.as_slice() {
                [key] => write!(
                    formatter,
                    "{name} is signed by key {key}, which this machine does not trust"
                ),
                keys => {
                    write!(formatter, "{name} is signed by {} keys (", keys.len())?;
                    for (index, key) in keys.iter().enumerate() {
                        write!(formatter, "{}{key}", if index == 0 { "" } else { ", " })?;
                    }
                    write!(formatter, "), none of which this machine trusts")
                }
            },
            Reason::BadSignature(key, SignatureError::Malleable) => write!(
                formatter,
                "{name}: the signature by key {key} is another spelling of one: its S is too large"
            ),
            Reason::BadSignature(key, SignatureError::SmallOrder) => write!(
                formatter,
                "{name}: the signature by key {key} says nothing: its R is of small order"
            ),
            Reason::BadSignature(key, SignatureError::Wrong) => {
                write!(formatter, "{name}: the signature by key {key} is not good")
            }
            Reason::LyingKeyId { named, signer } => {
                write!(formatter, "{name} is signed by key {signer}, in the name of key {named}")
            }
            Reason::Manifest(error) => write!(formatter, "{name}: {error}"),
            Reason::UnsignedPart(index) => {
                write!(formatter, "{name}: part {index} is not one of the parts that were signed")
            }
            Reason::PartOrder(index) => {
                write!(
                    formatter,
                    "{name}: part {index} comes twice, or in another order than signed"
                )
            }
            Reason::Expired(at) => {
                write!(formatter, "{name} expired {at} seconds after 1970-01-01")
            }
            Reason::Misfit(misfit) => write!(formatter, "{name} cannot run here: {misfit}"),
            Reason::Image(error) => write!(formatter, "{name}: {error}"),
            Reason::Frame(error) => write!(formatter, "{name}: {error}"),
            Reason::Digest { expected, actual } => {
                write!(formatter, "{name} has SHA-256 {actual}, not {expected}")
            }
        }
    }
}

impl std::error::Error for VerifyError {}

impl StageError for VerifyError {
    const STAGE: &'static str = "verify";

    fn code(&self) -> &'static str {
        match &self.reason {
            Reason::Envelope(error) => error.code(),
            Reason::Untrusted(_) => "signature.unknown-key",
            Reason::BadSignature(_, SignatureError::Malleable) => "signature.malleable",
            Reason::BadSignature(_, SignatureError::SmallOrder) => "signature.small-order",
            Reason::BadSignature(_, SignatureError::Wrong) => "signature.wrong",
            Reason::LyingKeyId { .. } => "signature.lying-key-id",
            Reason::Manifest(error) => error.code(),
            Reason::UnsignedPart(_) => "content.unsigned-part",
            Reason::PartOrder(_) => "content.part-order",
            Reason::Expired(_) => "manifest.expired",
            Reason::Misfit(misfit) => misfit.code(),
            Reason::Image(error) => error.code(),
            Reason::Frame(error) => error.code(),
            Reason::Digest { .. } => "content.file-digest",
        }
    }

    fn hint(&self) -> Option<String> {
        let again = "fetch the artifact again, or compare sha256sum with its origin";
        Some(match &self.reason {
            Reason::Untrusted(_) => {
                "if you trust its builder: bls-load trust add builder.pub".to_owned()
            }
            Reason::Expired(_) => "get a newer release of it, or check this machine's clock".into(),
            Reason::Misfit(misfit) => misfit.hint(),
            Reason::Digest { .. } => {
                "this is another file than the one that was asked for; fetch that one".into()
            }
            Reason::Manifest(
                ManifestError::Critical(_)
                | ManifestError::Type(_)
                | ManifestError::Json(JsonError::UnknownField(_)),
            ) => "use a newer bls-load, or ask its builder".into(),
            // A trusted key has signed these.
            Reason::Manifest(_)
            | Reason::Image(ImageError::ImageDigest | ImageError::Compression(_)) => {
                "it was signed like this, so fetching it again does not help; ask its builder"
                    .into()
            }
            Reason::Envelope(EnvelopeError::Unsigned) => {
                "have it compiled, and so signed, by whom you trust".into()
            }
            Reason::LyingKeyId { .. } => "do not run it; ask its builder".into(),
            Reason::Image(ImageError::System(..)) => return None,
            _ => again.to_owned(),
        })
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
    /// Trusted keys whose signatures are good, sorted.
    pub key_ids: Vec<KeyId>,
    /// Which of the manifest's parts runs.
    pub chosen: usize,
}

impl Facts {
    /// The part that runs.
    #[must_use]
    pub fn part(&self) -> &Part {
        &self.manifest.parts[self.chosen]
    }
}

/// An artifact that may run. Only [`verify()`] makes one.
#[derive(Debug)]
pub struct Verified {
    facts: Facts,
    image: SealedImage,
}

impl Verified {
    /// What is known about it.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its facts and its sealed image, for mapping.
    pub(crate) fn into_parts(self) -> (Facts, SealedImage) {
        (self.facts, self.image)
    }
}

/// Verifies everything that will be used of `opened`.
///
/// # Errors
/// [`VerifyError`]: it must not run here.
pub fn verify(opened: Opened, policy: &Policy<'_>) -> Result<Verified, VerifyError> {
    let name = opened.name().to_owned();
    match check(&opened, policy) {
        Ok((facts, image)) => Ok(Verified { facts, image }),
        Err(reason) => Err(VerifyError { name, reason }),
    }
}

fn check(opened: &Opened, policy: &Policy<'_>) -> Result<(Facts, SealedImage), Reason> {
    let envelope = Envelope::parse(opened.envelope()).map_err(Reason::Envelope)?;
    let key_ids = check_signatures(&envelope, policy.trust)?;
    let manifest = Statement::parse(envelope.payload()).map_err(Reason::Manifest)?;

    let signed = match_records(opened.frame().parts(), &manifest)?;
    if let Some(at) = manifest.expires.filter(|at| policy.now > *at) {
        return Err(Reason::Expired(at));
    }
    compatibility::check_metering(&manifest).map_err(Reason::Misfit)?;
    let (chosen_record, chosen) = choose(&signed, &manifest)?;

    let (image, file_digest) =
        copy_and_check(opened, policy, &manifest.parts[chosen], chosen_record)?;
    let identity = envelope.identity();
    let name = opened.name().to_owned();
    Ok((Facts { name, manifest, identity, file_digest, key_ids, chosen }, image))
}

/// The trusted keys that signed. A claim by an unknown key says nothing; a bad
/// signature by a trusted key shows that the file was changed.
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
    if good.is_empty() {
        let claimed = envelope.claims().iter().map(|claim| claim.key_id).collect();
        return Err(Reason::Untrusted(claimed));
    }
    Ok(good)
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

/// The best part that can run here: the one that uses most of the CPU. Gives
/// the index of its record and of its part.
fn choose(signed: &[usize], manifest: &Manifest) -> Result<(usize, usize), Reason> {
    let mut best: Option<(usize, usize)> = None;
    let mut misfit = None;
    for (record, &part) in signed.iter().enumerate() {
        match compatibility::check_part(&manifest.parts[part]) {
            Ok(()) => {
                let features = |part: usize| manifest.parts[part].cpu_features.len();
                if best.is_none_or(|(_, best)| features(part) > features(best)) {
                    best = Some((record, part));
                }
            }
            // A part for this architecture says more than one for another.
            Err(why @ (Misfit::Architecture(_) | Misfit::Portable(_))) => {
                misfit.get_or_insert(why);
            }
            Err(why) => misfit = Some(why),
        }
    }
    match (best, misfit) {
        (Some(best), _) => Ok(best),
        (None, Some(misfit)) => Err(Reason::Misfit(misfit)),
        // A frame has at least one part.
        (None, None) => Err(Reason::UnsignedPart(0)),
    }
}

/// Walks through the file in order: copies the chosen part, checks all padding,
/// and where it is asked for hashes the other parts and the whole file. Every
/// digest is of the bytes that are used, read once.
fn copy_and_check(
    opened: &Opened,
    policy: &Policy<'_>,
    part: &Part,
    chosen: usize,
) -> Result<(SealedImage, Option<Sha256>), Reason> {
    let everything = policy.every_part || policy.digest.is_some();
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
    if let (Some(expected), Some(actual)) = (policy.digest, actual)
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

impl From<ReadError> for Reason {
    fn from(error: ReadError) -> Self {
        Self::Image(error.into())
    }
}

#[cfg(test)]
mod tests;
