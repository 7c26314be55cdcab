//! Stage *sign*: an [`Assembled`] becomes an [`Artifact`], the bytes of a `.bls`.
//!
//! Signs only what [`crate::assemble`] made out of what [`crate::compile`]
//! generated: there is no way to bring an image from outside. To somebody else's
//! artifact [`countersign`] adds a signature when [`crate::rebuild`] has made the same
//! bytes. The signature may be made elsewhere, where the key is: [`message`] gives what is to be
//! signed, and [`seal`] takes the signatures and checks each. Before it lets go of the bytes it
//! reads them again, the way a loader does. Does not find keys, and does not judge the signatures
//! of others.

use crate::again::Again;
use crate::assemble::Assembled;
use crate::rebuild::Confirmed;
use bls_artifact::artifact::{self, Contents};
use bls_artifact::digest::Sha256;
use bls_artifact::envelope::{Envelope, EnvelopeError, PayloadType};
use bls_artifact::key::{KeyId, PrivateKey, PublicKey};
use bls_artifact::limits::{ARTIFACT_BYTES_MAX, ENVELOPE_BYTES_MAX, SIGNATURES_MAX};
use bls_artifact::manifest::{Manifest, Statement};
use std::fmt;

/// Why an artifact cannot be signed.
#[derive(Debug)]
pub enum SignError {
    /// No key, or too many.
    KeyCount(usize),
    /// The manifest is longer than the format allows, in bytes.
    ManifestTooLong(usize),
    /// All parts together are longer than the format allows, in bytes.
    TooLong(u64),
    /// There is no room for one more signature.
    Full,
    /// The artifact has a signature in this key's name that is not the key's.
    Forged(KeyId),
    /// What was to be this key's signature is not one over what was to be signed.
    Wrong(KeyId),
    /// What was written cannot be read: a defect of ours.
    Unreadable(String),
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyCount(count) => {
                write!(f, "{count} keys; an artifact has 1 to {SIGNATURES_MAX} signatures")
            }
            Self::ManifestTooLong(bytes) => write!(
                f,
                "the signed manifest has {bytes} bytes, more than the format's {ENVELOPE_BYTES_MAX}"
            ),
            Self::TooLong(bytes) => {
                write!(f, "the artifact has {bytes} bytes, more than the format allows")
            }
            Self::Full => write!(f, "it has {SIGNATURES_MAX} signatures, and room for no more"),
            Self::Forged(key) => write!(f, "its signature by your key {key} is not good"),
            Self::Wrong(key) => {
                write!(f, "what was to be the signature of key {key} is not one over it")
            }
            Self::Unreadable(what) => {
                write!(f, "internal error: the artifact cannot be read again: {what}")
            }
        }
    }
}

impl std::error::Error for SignError {}

impl SignError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyCount(_) => "sign.key-count",
            Self::ManifestTooLong(_) => "sign.manifest-too-long",
            Self::TooLong(_) => "sign.too-long",
            Self::Full => "sign.full",
            Self::Forged(_) => "sign.forged",
            Self::Wrong(_) => "sign.wrong",
            Self::Unreadable(_) => "sign.defect",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::KeyCount(_) => "sign with one key, and add others later",
            Self::ManifestTooLong(_) => "the module has too many imports: remove some",
            Self::TooLong(_) => "use --compress, or fewer targets",
            Self::Full => "compile the source yourself, and sign that",
            Self::Forged(_) => "somebody changed it: fetch or build the artifact again",
            Self::Wrong(_) => "ask whoever holds the key to sign the message as it is",
            Self::Unreadable(_) => {
                "this is a defect of bls-compile; please report it, with the module"
            }
        }
    }
}

/// A signed artifact.
#[derive(Clone, Debug)]
pub struct Artifact {
    bytes: Vec<u8>,
    manifest: Manifest,
    identity: Sha256,
    file_digest: Sha256,
    key_ids: Vec<KeyId>,
}

impl Artifact {
    /// What was signed before, as it stands in these bytes.
    #[must_use]
    pub fn again(again: Again<'_>, bytes: Vec<u8>) -> Self {
        let given = again.given();
        Self {
            bytes,
            manifest: given.manifest.clone(),
            identity: given.envelope.identity(),
            file_digest: given.file_digest,
            key_ids: given.envelope.claims().iter().map(|claim| claim.key_id).collect(),
        }
    }

    /// The bytes of the `.bls` file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was signed.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the signed payload.
    #[must_use]
    pub fn identity(&self) -> Sha256 {
        self.identity
    }

    /// SHA-256 of the whole file.
    #[must_use]
    pub fn file_digest(&self) -> Sha256 {
        self.file_digest
    }

    /// Who signed, sorted.
    #[must_use]
    pub fn key_ids(&self) -> &[KeyId] {
        &self.key_ids
    }
}

/// Signs with each key.
///
/// # Errors
/// [`SignError`].
pub fn sign(assembled: &Assembled, keys: &[&PrivateKey]) -> Result<Artifact, SignError> {
    let message = message(assembled);
    let signatures: Vec<(PublicKey, [u8; 64])> =
        keys.iter().map(|key| (key.public(), key.sign(&message))).collect();
    seal(assembled, &signatures)
}

/// What each signer signs.
#[must_use]
pub fn message(assembled: &Assembled) -> Vec<u8> {
    unsigned(assembled).message()
}

fn unsigned(assembled: &Assembled) -> Envelope {
    let payload = Statement::new(assembled.manifest().clone()).to_bytes();
    Envelope::unsigned(PayloadType::Statement, payload)
}

/// Puts signatures over [`message`] to it, by whoever made them.
///
/// # Errors
/// [`SignError`], also when one is not what it is said to be.
pub fn seal(
    assembled: &Assembled,
    signatures: &[(PublicKey, [u8; 64])],
) -> Result<Artifact, SignError> {
    if signatures.is_empty() || signatures.len() > SIGNATURES_MAX {
        return Err(SignError::KeyCount(signatures.len()));
    }
    let mut envelope = unsigned(assembled);
    for (key, signature) in signatures {
        envelope.add_signature(key, *signature).map_err(|_| SignError::Wrong(key.id()))?;
    }
    let ours: Vec<PublicKey> = signatures.iter().map(|(key, _)| key.clone()).collect();
    write(assembled.manifest(), &assembled.parts(), &envelope, &ours)
}

/// What a second builder signs of an artifact that was rebuilt to the byte; `None` where it has
/// this key's signature already.
///
/// # Errors
/// [`SignError::Forged`], where that is not good.
pub fn to_countersign(
    confirmed: Confirmed<'_>,
    key: &PublicKey,
) -> Result<Option<Vec<u8>>, SignError> {
    let envelope = &confirmed.given().envelope;
    match envelope.claims().iter().find(|claim| claim.key_id == key.id()) {
        None => Ok(Some(envelope.message())),
        Some(claim) if envelope.verifies(claim, key) => Ok(None),
        Some(_) => Err(SignError::Forged(key.id())),
    }
}

/// Adds a signature over what [`to_countersign`] gave. Parts that the file was stripped of stay
/// away.
///
/// # Errors
/// [`SignError`].
pub fn countersign(
    confirmed: Confirmed<'_>,
    key: &PublicKey,
    signature: [u8; 64],
) -> Result<Artifact, SignError> {
    let given = confirmed.given();
    let mut envelope = given.envelope.clone();
    envelope.add_signature(key, signature).map_err(|error| match error {
        EnvelopeError::TooManySignatures(_) => SignError::Full,
        _ => SignError::Wrong(key.id()),
    })?;
    write(&given.manifest, &given.stored(), &envelope, std::slice::from_ref(key))
}

/// Writes an artifact, and reads it again: all of it must be there, with a good
/// signature by each of `ours`.
fn write(
    manifest: &Manifest,
    parts: &[&[u8]],
    envelope: &Envelope,
    ours: &[PublicKey],
) -> Result<Artifact, SignError> {
    let envelope_bytes = envelope.to_bytes();
    if envelope_bytes.len() as u64 > ENVELOPE_BYTES_MAX {
        return Err(SignError::ManifestTooLong(envelope_bytes.len()));
    }
    // A little over what headers and padding take.
    let total = parts
        .iter()
        .fold(envelope_bytes.len() as u64 + 4096, |total, part| total + part.len() as u64 + 64);
    if total > ARTIFACT_BYTES_MAX {
        return Err(SignError::TooLong(total));
    }
    let bytes = artifact::write(&envelope_bytes, parts);
    let file_digest = read_again(&bytes, manifest, parts, ours).map_err(SignError::Unreadable)?;
    Ok(Artifact {
        bytes,
        manifest: manifest.clone(),
        identity: envelope.identity(),
        file_digest,
        key_ids: envelope.claims().iter().map(|claim| claim.key_id).collect(),
    })
}

/// Reads the artifact as a loader does; gives the digest of the file.
fn read_again(
    bytes: &[u8],
    manifest: &Manifest,
    parts: &[&[u8]],
    ours: &[PublicKey],
) -> Result<Sha256, String> {
    let (contents, read) = Contents::parse(bytes).map_err(|error| error.to_string())?;
    let envelope = Envelope::parse(contents.envelope).map_err(|error| error.to_string())?;
    let statement = Statement::parse(envelope.payload()).map_err(|error| error.to_string())?;
    if statement != *manifest || read != parts {
        return Err("it says something else".to_owned());
    }
    let good =
        |key: &PublicKey| envelope.claims().iter().any(|claim| envelope.verifies(claim, key));
    if !ours.iter().all(good) {
        return Err("a signature does not verify".to_owned());
    }
    Ok(contents.file_digest())
}
