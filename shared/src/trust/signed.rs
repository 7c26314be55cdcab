//! A trust file that offline root keys have signed, and what a machine remembers of it.
//!
//! The file is a DSSE envelope of a type of its own around the text of a plain trust
//! file (form 2), which names its root keys. The next file must be signed by enough of
//! *its* root keys and by enough of those before it, so that roots can be changed; and
//! its sequence must be higher. What was accepted is remembered ([`Accepted`]) by its
//! digest: a run compares that, and checks no signature again. Does no input or output.

use super::form::{digest, of_roots, roots};
use super::tree::{Fields, Node, read};
use super::{Roots, Trust, TrustError};
use crate::digest::Sha256;
use crate::envelope::{Envelope, EnvelopeError, PayloadType};
use crate::key::{KeyId, PrivateKey, PublicKey};
use std::fmt;

/// Why a signed trust file is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedError {
    /// The envelope is not one.
    Envelope(EnvelopeError),
    /// What was signed is no trust file.
    Contents(TrustError),
    /// It names no root keys.
    NoRoot,
    /// It has no sequence.
    NoSequence,
    /// A root key is named, and its signature is not good.
    BadSignature(KeyId),
    /// Too few of the root keys that it names have signed: how many, of how many.
    Own(u64, u64),
    /// Too few of the root keys that hold here have signed: how many, of how many.
    Known(u64, u64),
    /// An older one than was seen here: its sequence, and the highest seen.
    Rollback(u64, u64),
    /// Another one with the same sequence.
    Fork(u64),
}

impl fmt::Display for SignedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Envelope(error) => error.fmt(f),
            Self::Contents(error) => error.fmt(f),
            Self::NoRoot => write!(f, "it names no root keys, so no signature can make it count"),
            Self::NoSequence => write!(f, "it has no sequence, so no later one could replace it"),
            Self::BadSignature(key) => {
                write!(f, "the signature by the root key {key} is not good")
            }
            Self::Own(good, threshold) => {
                write!(f, "{threshold} of the root keys that it names must sign it, and {good} did")
            }
            Self::Known(good, threshold) => write!(
                f,
                "{threshold} of the root keys that hold here must sign it, and {good} did"
            ),
            Self::Rollback(sequence, seen) => {
                write!(f, "its sequence is {sequence}, and {seen} was accepted here")
            }
            Self::Fork(sequence) => {
                write!(f, "it is another file of sequence {sequence} than was accepted here")
            }
        }
    }
}

impl std::error::Error for SignedError {}

impl SignedError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Envelope(_) => "trust.envelope",
            Self::Contents(error) => error.code(),
            Self::NoRoot => "trust.no-root",
            Self::NoSequence => "trust.no-sequence",
            Self::BadSignature(_) => "trust.root-signature",
            Self::Own(..) => "trust.root-threshold",
            Self::Known(..) => "trust.root-unknown",
            Self::Rollback(..) => "trust.older",
            Self::Fork(_) => "trust.fork",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Envelope(_) | Self::BadSignature(_) => {
                "fetch it again; bls-compile trust sign writes such files"
            }
            Self::Contents(error) => error.hint(),
            Self::NoRoot => "name them: bls-load trust init --file trust.json --root ROOT.pub",
            Self::NoSequence => r#"begin with "sequence": 1; bls-load trust init does"#,
            Self::Own(..) => "let others sign it too: bls-compile trust sign FILE --key ROOT.pem",
            Self::Known(..) => {
                "new roots must be signed in by the old ones as well; if files were skipped, install those in between first"
            }
            Self::Rollback(..) => {
                "get the newest file; an older one would bring back what was revoked"
            }
            Self::Fork(_) => {
                "its holders must give each file a higher sequence than the one before"
            }
        }
    }
}

/// Whether a text is a signed trust file, and not a plain one.
#[must_use]
pub fn is_signed(text: &[u8]) -> bool {
    // An envelope has one spelling, and no plain file has that field.
    text.starts_with(br#"{"payload""#)
}

/// A trust file in its envelope. Who signed it is not yet known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    envelope: Envelope,
    trust: Trust,
    roots: Roots,
}

impl Signed {
    /// Reads a signed trust file, and checks no signature.
    ///
    /// # Errors
    /// [`SignedError`].
    pub fn parse(text: &[u8]) -> Result<Self, SignedError> {
        let envelope =
            Envelope::parse_as(PayloadType::Trust, text).map_err(SignedError::Envelope)?;
        Self::of(envelope)
    }

    /// Signs the text of a plain trust file, as it is, with a first root key.
    ///
    /// # Errors
    /// [`SignedError`] when it is none, or one that could never count.
    pub fn sign(text: Vec<u8>, key: &PrivateKey) -> Result<Self, SignedError> {
        Self::of(Envelope::sign_as(PayloadType::Trust, text, &[key]))
    }

    /// The text of a plain trust file, as it is, for a first root key to sign: without a
    /// signature it is none yet.
    ///
    /// # Errors
    /// [`SignedError`] when it is none, or one that could never count.
    pub fn unsigned(text: Vec<u8>) -> Result<Self, SignedError> {
        Self::of(Envelope::unsigned(PayloadType::Trust, text))
    }

    /// What a root key signs.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        self.envelope.message()
    }

    /// Adds a signature over [`Signed::message`] by whoever holds the root key.
    ///
    /// # Errors
    /// [`SignedError::Envelope`] when it is not this key's, or there are too many.
    pub fn add_signature(
        &mut self,
        key: &PublicKey,
        signature: [u8; 64],
    ) -> Result<(), SignedError> {
        self.envelope.add_signature(key, signature).map_err(SignedError::Envelope)
    }

    fn of(envelope: Envelope) -> Result<Self, SignedError> {
        let mut trust = Trust::parse(envelope.payload()).map_err(SignedError::Contents)?;
        trust.signed = true;
        let roots = trust.root.clone().ok_or(SignedError::NoRoot)?;
        if trust.sequence == 0 {
            return Err(SignedError::NoSequence);
        }
        Ok(Self { envelope, trust, roots })
    }

    /// Adds the signature of one more root key.
    ///
    /// # Errors
    /// [`SignedError::Envelope`] when there are too many.
    pub fn sign_also(&mut self, key: &PrivateKey) -> Result<(), SignedError> {
        self.envelope.sign_also(key).map_err(SignedError::Envelope)
    }

    /// The one spelling of this file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.envelope.to_bytes()
    }

    /// What it says.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What it says.
    #[must_use]
    pub fn into_trust(self) -> Trust {
        self.trust
    }

    /// The root keys that it names.
    #[must_use]
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Whether enough of its own root keys signed it.
    ///
    /// # Errors
    /// [`SignedError`].
    pub fn check_own(&self) -> Result<(), SignedError> {
        match self.count(&self.roots)? {
            good if good < self.roots.threshold => {
                Err(SignedError::Own(good, self.roots.threshold))
            }
            _ => Ok(()),
        }
    }

    /// Whether enough of the root keys that hold on a machine signed it.
    ///
    /// # Errors
    /// [`SignedError`].
    pub fn check_known(&self, known: &Roots) -> Result<(), SignedError> {
        match self.count(known)? {
            good if good < known.threshold => Err(SignedError::Known(good, known.threshold)),
            _ => Ok(()),
        }
    }

    /// How many of these different keys signed it. A claim by an unknown key says
    /// nothing; a bad signature by a known one shows that the file was changed.
    fn count(&self, roots: &Roots) -> Result<u64, SignedError> {
        let mut good = 0;
        for (key, _) in &roots.keys {
            let id = key.id();
            // The envelope has each key id once, and so have the roots.
            if let Some(claim) = self.envelope.claims().iter().find(|claim| claim.key_id == id) {
                if !self.envelope.verifies(claim, key) {
                    return Err(SignedError::BadSignature(id));
                }
                good += 1;
            }
        }
        Ok(good)
    }
}

/// The version of [`Accepted`]'s form.
const STATE_FORM: u64 = 1;

/// What a machine remembers of the signed trust file that it accepted last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The highest sequence that was seen.
    sequence: u64,
    /// SHA-256 of the file's bytes.
    sha256: Sha256,
    /// The one that it replaces, while it does: whichever of the two lies there when
    /// the machine stops in between is a good one.
    replaces: Option<Sha256>,
    /// Its root keys, as they are written: a run does not need them.
    root: Node,
}

impl Accepted {
    /// Reads what was remembered.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn parse(text: &[u8]) -> Result<Self, TrustError> {
        let mut fields = Fields::of(read(text)?, "what is remembered")?;
        let version = fields.number("version")?;
        match fields.must("version", version)? {
            STATE_FORM => {}
            other => return Err(TrustError::Form(other)),
        }
        let (sequence, sha256) = (fields.number("sequence")?, fields.text("sha256")?);
        let (replaces, root) = (fields.text("replaces")?, fields.take("root"));
        let accepted = Self {
            sequence: fields.must("sequence", sequence)?,
            sha256: digest(fields.must("sha256", sha256)?)?,
            replaces: replaces.map(digest).transpose()?,
            root: fields.must("root", root)?,
        };
        fields.end()?;
        Ok(accepted)
    }

    /// Accepts `signed`, whose bytes are `text`, where `before` was accepted last and
    /// `pinned` are root keys that the plain file in its place names.
    ///
    /// # Errors
    /// [`SignedError`] when it must not replace what holds here.
    pub fn next(
        text: &[u8],
        signed: &Signed,
        before: Option<&Self>,
        pinned: Option<&Roots>,
    ) -> Result<Self, SignedError> {
        signed.check_own()?;
        let sha256 = Sha256::of(text);
        let sequence = signed.trust.sequence;
        if let Some(before) = before {
            let known = roots(before.root.clone()).map_err(SignedError::Contents)?;
            signed.check_known(&known)?;
            if sequence < before.sequence {
                return Err(SignedError::Rollback(sequence, before.sequence));
            }
            if sequence == before.sequence && sha256 != before.sha256 {
                return Err(SignedError::Fork(sequence));
            }
        } else if let Some(pinned) = pinned {
            signed.check_known(pinned)?;
        }
        let replaces = before.and_then(|before| match before.sha256 == sha256 {
            // The same again: perhaps because it did not come to an end.
            true => before.replaces,
            false => Some(before.sha256),
        });
        Ok(Self { sequence, sha256, replaces, root: of_roots(&signed.roots) })
    }

    /// The same, once the file is in its place.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.replaces = None;
        self
    }

    /// The highest sequence that was seen.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether these bytes are what was accepted.
    #[must_use]
    pub fn is(&self, text: &[u8]) -> bool {
        let digest = Sha256::of(text);
        digest == self.sha256 || Some(digest) == self.replaces
    }

    /// The text to be remembered.
    #[must_use]
    pub fn to_text(&self) -> String {
        let digest = |digest: Sha256| Node::Text(digest.to_string());
        Node::object([
            ("version", Some(Node::Number(STATE_FORM))),
            ("sequence", Some(Node::Number(self.sequence))),
            ("sha256", Some(digest(self.sha256))),
            ("replaces", self.replaces.map(digest)),
            ("root", Some(self.root.clone())),
        ])
        .to_text()
    }
}
