//! The envelope: DSSE over an in-toto Statement, or over a trust file.
//!
//! [DSSE](https://github.com/secure-systems-lab/dsse) signs
//! `DSSEv1 LEN(type) type LEN(payload) payload`, so one signature cannot be read
//! as another type's. The JSON has exactly one spelling: this module writes what
//! it read again and compares, so no byte of an envelope can change unnoticed.
//!
//! Guarantees: an [`Envelope`] has 1 to [`SIGNATURES_MAX`] signatures of
//! different key ids, sorted by key id. Does not decide whom to trust, and does
//! not read the payload.

use crate::digest::Sha256;
use crate::json::{self, JsonError};
use crate::key::{KeyId, PrivateKey, PublicKey, SignatureError};
use crate::limits::SIGNATURES_MAX;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// What a payload is. Its name is signed with it, so that a signature of one kind
/// is never one of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadType {
    /// An artifact's statement.
    Statement,
    /// A trust file.
    Trust,
}

impl PayloadType {
    /// The name in the envelope.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Statement => "application/vnd.in-toto+json",
            Self::Trust => "application/vnd.blockless.bls-trust+json",
        }
    }
}

/// Why bytes are no envelope of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvelopeError {
    /// Not the JSON of a DSSE envelope.
    Json(JsonError),
    /// Another payload type than the one that is wanted here.
    PayloadType(String),
    /// Not strict base64 (RFC 4648, section 4, padded).
    Base64(&'static str),
    /// Valid, but not the one spelling that is allowed.
    NotCanonical,
    /// No signature at all.
    Unsigned,
    /// More than [`SIGNATURES_MAX`] signatures.
    TooManySignatures(usize),
    /// A signature that is not 64 bytes; how many it is.
    SignatureLength(usize),
    /// One key id twice.
    KeyTwice(KeyId),
    /// Key ids out of order.
    SignatureOrder,
    /// What is to be added is not this key's signature over the payload.
    WrongSignature(KeyId),
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(what) => write!(f, "the envelope is not valid: {what}"),
            Self::PayloadType(kind) => {
                write!(f, "the envelope's payload type {kind:?} is not the one that counts here")
            }
            Self::Base64(what) => write!(f, "the envelope's {what} is not strict base64"),
            Self::NotCanonical => write!(f, "the envelope is not in canonical form"),
            Self::Unsigned => write!(f, "the envelope carries no signature"),
            Self::TooManySignatures(count) => {
                write!(f, "{count} signatures; at most {SIGNATURES_MAX} are read")
            }
            Self::SignatureLength(bytes) => {
                write!(f, "a signature of {bytes} bytes is not one of Ed25519, which has 64")
            }
            Self::KeyTwice(key) => {
                write!(f, "key {key} is said to have signed twice; each key counts once")
            }
            Self::SignatureOrder => write!(f, "signatures must be sorted by key id"),
            Self::WrongSignature(key) => {
                write!(f, "what was to be its signature is not one of key {key} over it")
            }
        }
    }
}

impl std::error::Error for EnvelopeError {}

impl EnvelopeError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(JsonError::Utf8(_)) => "envelope.utf8",
            Self::Json(JsonError::Truncated(_)) => "envelope.truncated",
            Self::Json(JsonError::Trailing(_)) => "envelope.trailing-bytes",
            Self::Json(JsonError::Depth) => "envelope.depth",
            Self::Json(JsonError::Syntax(_)) => "envelope.syntax",
            Self::Json(JsonError::DuplicateField(_)) => "envelope.duplicate-field",
            Self::Json(JsonError::UnknownField(_)) => "envelope.unknown-field",
            Self::Json(JsonError::MissingField(_)) => "envelope.missing-field",
            Self::Json(JsonError::Value(_)) => "envelope.value",
            Self::Base64(_) => "envelope.base64",
            Self::NotCanonical => "envelope.not-canonical",
            Self::PayloadType(_) => "signature.payload-type",
            Self::Unsigned => "signature.none",
            Self::TooManySignatures(_) => "signature.too-many",
            Self::SignatureLength(_) => "signature.length",
            Self::KeyTwice(_) => "signature.key-twice",
            Self::SignatureOrder => "signature.order",
            Self::WrongSignature(_) => "signature.not-added",
        }
    }
}

/// One signature and whose it claims to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The key that is said to have signed.
    pub key_id: KeyId,
    signature: [u8; 64],
}

impl Claim {
    /// Of a signature that came by another way than an envelope.
    #[must_use]
    pub fn new(key_id: KeyId, signature: [u8; 64]) -> Self {
        Self { key_id, signature }
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }
}

/// A payload with its signatures, none of them checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    kind: PayloadType,
    payload: Vec<u8>,
    claims: Vec<Claim>,
}

/// The JSON form. Field order is the canonical order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<JsonSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonSignature {
    keyid: Sha256,
    sig: String,
}

impl Envelope {
    /// Signs an artifact's statement with each key.
    ///
    /// # Panics
    /// When there is no key, or more than [`SIGNATURES_MAX`].
    #[must_use]
    pub fn sign(payload: Vec<u8>, keys: &[&PrivateKey]) -> Self {
        Self::sign_as(PayloadType::Statement, payload, keys)
    }

    /// Signs a payload of any kind with each key.
    ///
    /// # Panics
    /// When there is no key, or more than [`SIGNATURES_MAX`].
    #[must_use]
    pub fn sign_as(kind: PayloadType, payload: Vec<u8>, keys: &[&PrivateKey]) -> Self {
        assert!(!keys.is_empty() && keys.len() <= SIGNATURES_MAX);
        let mut envelope = Self { kind, payload, claims: Vec::new() };
        keys.iter().for_each(|key| envelope.add(key));
        envelope
    }

    /// An artifact's envelope of what came by another way. [`Envelope::parse`] of its bytes says
    /// whether it is one.
    #[must_use]
    pub fn of(payload: Vec<u8>, claims: Vec<Claim>) -> Self {
        Self { kind: PayloadType::Statement, payload, claims }
    }

    /// A payload of any kind that nobody has signed yet: no file holds one.
    #[must_use]
    pub fn unsigned(kind: PayloadType, payload: Vec<u8>) -> Self {
        Self { kind, payload, claims: Vec::new() }
    }

    /// What a signer signs.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        pre_authentication_encoding(self.kind, &self.payload)
    }

    /// Adds the signature of one more key, or the same again.
    fn add(&mut self, key: &PrivateKey) {
        let signature = key.sign(&self.message());
        self.put(Claim { key_id: key.public().id(), signature });
    }

    fn put(&mut self, claim: Claim) {
        self.claims.retain(|other| other.key_id != claim.key_id);
        self.claims.push(claim);
        self.claims.sort_by_key(|claim| claim.key_id);
    }

    /// Adds a signature over [`Envelope::message`] that was made by whoever holds the key.
    ///
    /// # Errors
    /// [`EnvelopeError::WrongSignature`] when it is not this key's over this payload, and
    /// [`EnvelopeError::TooManySignatures`]; then nothing is added.
    pub fn add_signature(
        &mut self,
        key: &PublicKey,
        signature: [u8; 64],
    ) -> Result<(), EnvelopeError> {
        let key_id = key.id();
        let others = self.claims.iter().filter(|claim| claim.key_id != key_id).count();
        if others >= SIGNATURES_MAX {
            return Err(EnvelopeError::TooManySignatures(others + 1));
        }
        let claim = Claim { key_id, signature };
        if !self.verifies(&claim, key) {
            return Err(EnvelopeError::WrongSignature(key_id));
        }
        self.put(claim);
        Ok(())
    }

    /// Adds the signature of one more key to those that are there.
    ///
    /// # Errors
    /// [`EnvelopeError::TooManySignatures`].
    pub fn sign_also(&mut self, key: &PrivateKey) -> Result<(), EnvelopeError> {
        let own = key.public().id();
        let others = self.claims.iter().filter(|claim| claim.key_id != own).count();
        if others >= SIGNATURES_MAX {
            return Err(EnvelopeError::TooManySignatures(others + 1));
        }
        self.add(key);
        Ok(())
    }

    /// Reads an artifact's envelope.
    ///
    /// # Errors
    /// [`EnvelopeError`] for anything that [`Envelope::to_bytes`] would not
    /// have written.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        Self::parse_as(PayloadType::Statement, bytes)
    }

    /// Reads an envelope with a payload of this kind.
    ///
    /// # Errors
    /// [`EnvelopeError`] for anything that [`Envelope::to_bytes`] would not
    /// have written.
    pub fn parse_as(kind: PayloadType, bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let json: Json = json::read(bytes).map_err(EnvelopeError::Json)?;
        if json.payload_type != kind.name() {
            return Err(EnvelopeError::PayloadType(json.payload_type));
        }
        if json.signatures.is_empty() {
            return Err(EnvelopeError::Unsigned);
        }
        if json.signatures.len() > SIGNATURES_MAX {
            return Err(EnvelopeError::TooManySignatures(json.signatures.len()));
        }
        for pair in json.signatures.windows(2) {
            match pair[0].keyid.cmp(&pair[1].keyid) {
                Ordering::Less => {}
                Ordering::Equal => return Err(EnvelopeError::KeyTwice(pair[0].keyid)),
                Ordering::Greater => return Err(EnvelopeError::SignatureOrder),
            }
        }
        let payload = BASE64.decode(&json.payload).map_err(|_| EnvelopeError::Base64("payload"))?;
        let mut claims = Vec::with_capacity(json.signatures.len());
        for entry in &json.signatures {
            let decoded =
                BASE64.decode(&entry.sig).map_err(|_| EnvelopeError::Base64("signature"))?;
            let signature = decoded
                .try_into()
                .map_err(|other: Vec<u8>| EnvelopeError::SignatureLength(other.len()))?;
            claims.push(Claim { key_id: entry.keyid, signature });
        }
        let envelope = Self { kind, payload, claims };
        // Base64 was strict, so writing the strings again shows every other
        // freedom: white space, escapes, field order.
        if serde_json::to_vec(&json).ok().as_deref() != Some(bytes) {
            return Err(EnvelopeError::NotCanonical);
        }
        Ok(envelope)
    }

    /// The one spelling of this envelope.
    ///
    /// # Panics
    /// Never: there is nothing in it that JSON cannot say.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let json = Json {
            payload: BASE64.encode(&self.payload),
            payload_type: self.kind.name().to_owned(),
            signatures: self
                .claims
                .iter()
                .map(|claim| JsonSignature {
                    keyid: claim.key_id,
                    sig: BASE64.encode(claim.signature),
                })
                .collect(),
        };
        serde_json::to_vec(&json).expect("strings only")
    }

    /// The signed bytes. Untrusted until a signature was checked.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The artifact's identity: SHA-256 of the signed payload. Stays the same
    /// when parts are stripped or signatures added.
    #[must_use]
    pub fn identity(&self) -> Sha256 {
        Sha256::of(&self.payload)
    }

    /// Who is said to have signed.
    #[must_use]
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// Whether `claim` is a good signature by `key` over this payload.
    #[must_use]
    pub fn verifies(&self, claim: &Claim, key: &PublicKey) -> bool {
        claim.key_id == key.id() && self.check(claim, key).is_ok()
    }

    /// Judges the signature of `claim` by `key`, whosoever it claims to be.
    ///
    /// # Errors
    /// [`SignatureError`], by the kind of what is wrong.
    pub fn check(&self, claim: &Claim, key: &PublicKey) -> Result<(), SignatureError> {
        key.check(&pre_authentication_encoding(self.kind, &self.payload), &claim.signature)
    }
}

/// What is signed: DSSE's PAE of type and payload.
#[must_use]
pub fn pre_authentication_encoding(kind: PayloadType, payload: &[u8]) -> Vec<u8> {
    let kind = kind.name();
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_seed(&[seed; 32])
    }

    #[test]
    fn signs_reads_and_verifies() {
        let envelope = Envelope::sign(b"payload".to_vec(), &[&key(1), &key(2), &key(1)]);
        let read = Envelope::parse(&envelope.to_bytes()).unwrap();
        assert_eq!(read, envelope);
        assert_eq!(read.claims().len(), 2);
        for claim in read.claims() {
            let by_first = read.verifies(claim, &key(1).public());
            let by_second = read.verifies(claim, &key(2).public());
            assert!(by_first != by_second);
        }
    }

    #[test]
    fn a_signature_counts_for_its_kind_only() {
        let payload = b"{}".to_vec();
        let trust = Envelope::sign_as(PayloadType::Trust, payload.clone(), &[&key(1)]);
        let bytes = trust.to_bytes();
        assert!(matches!(Envelope::parse(&bytes), Err(EnvelopeError::PayloadType(_))));
        let text = String::from_utf8(bytes).unwrap();
        let renamed = text.replace(PayloadType::Trust.name(), PayloadType::Statement.name());
        let renamed = Envelope::parse(renamed.as_bytes()).unwrap();
        assert!(!renamed.verifies(&renamed.claims()[0], &key(1).public()));

        let statement = Envelope::sign(payload, &[&key(1)]).to_bytes();
        let read = Envelope::parse_as(PayloadType::Trust, &statement);
        assert!(matches!(read, Err(EnvelopeError::PayloadType(_))));
    }

    #[test]
    fn signatures_are_added_one_by_one() {
        let all = Envelope::sign_as(PayloadType::Trust, b"x".to_vec(), &[&key(1), &key(2)]);
        let mut one = Envelope::sign_as(PayloadType::Trust, b"x".to_vec(), &[&key(2)]);
        one.sign_also(&key(1)).unwrap();
        one.sign_also(&key(1)).unwrap();
        assert_eq!(one, all);
        for seed in 3..=SIGNATURES_MAX as u8 {
            one.sign_also(&key(seed)).unwrap();
        }
        assert_eq!(one.sign_also(&key(99)), Err(EnvelopeError::TooManySignatures(17)));
        one.sign_also(&key(1)).unwrap();
    }

    #[test]
    fn a_signature_made_elsewhere_is_checked_before_it_is_added() {
        let mut envelope = Envelope::unsigned(PayloadType::Statement, b"payload".to_vec());
        let good = key(1).sign(&envelope.message());
        for wrong in [[0; 64], key(2).sign(&envelope.message()), key(1).sign(b"payload")] {
            let refused = envelope.add_signature(&key(1).public(), wrong);
            assert_eq!(refused, Err(EnvelopeError::WrongSignature(key(1).public().id())));
        }
        assert!(envelope.claims().is_empty());
        envelope.add_signature(&key(1).public(), good).unwrap();
        envelope.add_signature(&key(1).public(), good).unwrap();
        assert_eq!(envelope, Envelope::sign(b"payload".to_vec(), &[&key(1)]));
        for seed in 2..=SIGNATURES_MAX as u8 {
            envelope.sign_also(&key(seed)).unwrap();
        }
        let one_more = key(99).sign(&envelope.message());
        let refused = envelope.add_signature(&key(99).public(), one_more);
        assert_eq!(refused, Err(EnvelopeError::TooManySignatures(17)));
    }

    #[test]
    fn every_bit_matters() {
        let envelope = Envelope::sign(b"{\"a\":1}".to_vec(), &[&key(1)]);
        let bytes = envelope.to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let accepted = Envelope::parse(&flipped).is_ok_and(|read| {
                read.claims().iter().any(|claim| read.verifies(claim, &key(1).public()))
            });
            assert!(!accepted, "bit {bit} can be flipped");
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        let text = String::from_utf8(Envelope::sign(b"x".to_vec(), &[&key(1)]).to_bytes()).unwrap();
        let duplicate = text.replacen("{\"payload\"", "{\"payload\":\"\",\"payload\"", 1);
        for (changed, expected) in [
            (text.replacen(':', ": ", 1), EnvelopeError::NotCanonical),
            (format!("{text} "), EnvelopeError::NotCanonical),
            (text.replace("eA==", "eA"), EnvelopeError::Base64("payload")),
            (text.replace("eA==", "eB=="), EnvelopeError::Base64("payload")),
        ] {
            assert_eq!(Envelope::parse(changed.as_bytes()), Err(expected), "{changed}");
        }
        assert!(matches!(Envelope::parse(duplicate.as_bytes()), Err(EnvelopeError::Json(_))));
        assert!(matches!(Envelope::parse(b"{}"), Err(EnvelopeError::Json(_))));
    }
}
