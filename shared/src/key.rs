//! Ed25519 keys and their identities (RFC 8032), in the containers that openssl
//! reads and writes (RFC 8410: PKCS#8 and SubjectPublicKeyInfo, PEM); public ones also in the
//! line of OpenSSH (RFC 8709).
//!
//! Guarantees: verification is strict (`verify_strict`: no small-order keys, no
//! malleable signatures); a [`KeyId`] is a function of the key alone. Does not
//! read files or make randomness.

use crate::digest::Sha256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::pkcs8::spki::der::SecretDocument;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
    PrivateKeyInfoRef,
};
use ed25519_dalek::{Signature, Signer as _};
use std::fmt;

/// SHA-256 of the key's SubjectPublicKeyInfo in DER: what
/// `openssl pkey -pubin -outform DER | sha256sum` prints.
pub type KeyId = Sha256;

/// The bytes that RFC 8410 puts before the 32 bytes of an Ed25519 public key.
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What OpenSSH puts before the same 32 bytes (RFC 8709, section 4): two lengths, and a name
/// between them.
const OPENSSH_PREFIX: [u8; 19] = *b"\0\0\0\x0bssh-ed25519\0\0\0\x20";

/// The order of the group, 2²⁵² + 27742317777372353535851937790883648493, little-endian
/// (RFC 8032, section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Not a PEM file with an Ed25519 private key.
    NotPrivate,
    /// A private key under a passphrase.
    Encrypted,
    /// A private key of another algorithm, by its name.
    Algorithm(&'static str),
    /// A private key in the form of OpenSSH, which [`PrivateKey::from_pem`] does not read; where
    /// somebody else does, one that is broken.
    OpenSsh,
    /// A private key in the form of OpenSSH under a passphrase.
    OpenSshEncrypted,
    /// A public key where a private one is wanted.
    Public,
    /// A certificate where a private key is wanted.
    Certificate,
    /// Neither a PEM file nor a line of OpenSSH's with an Ed25519 public key.
    NotPublic,
    /// A line of OpenSSH's with a public key of another kind.
    OtherOpenSsh,
    /// A line of OpenSSH's with the key of a security key, which signs more than it is given.
    SecurityKey,
    /// A key of small order, with which signatures mean nothing.
    Weak,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPrivate => "not an Ed25519 private key, in PKCS#8 PEM or in OpenSSH's form",
            Self::Encrypted => "a private key under a passphrase; this program asks for none",
            Self::Algorithm(name) => return write!(f, "a private key for {name}, not Ed25519"),
            Self::OpenSsh => "a private key in OpenSSH's own form, and not a whole one",
            Self::OpenSshEncrypted => {
                "an OpenSSH private key under a passphrase; this program asks for none"
            }
            Self::Public => "a public key, and signing takes the private one",
            Self::Certificate => "a certificate, and signing takes a private key",
            Self::NotPublic => "not an Ed25519 public key, in PEM or as a line of OpenSSH's",
            Self::OtherOpenSsh => "an OpenSSH key of another kind than ssh-ed25519",
            Self::SecurityKey => {
                "the OpenSSH key of a security key (sk-), whose signatures are no plain Ed25519"
            }
            Self::Weak => "a small-order Ed25519 key, with which signatures mean nothing",
        })
    }
}

impl std::error::Error for KeyError {}

impl KeyError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            // A loader reads public keys only.
            Self::NotPrivate
            | Self::Encrypted
            | Self::Algorithm(_)
            | Self::OpenSsh
            | Self::OpenSshEncrypted
            | Self::Public
            | Self::Certificate => "key.not-private",
            Self::NotPublic | Self::OtherOpenSsh | Self::SecurityKey => "key.not-public",
            Self::Weak => "key.small-order",
        }
    }
}

/// Why a signature is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// Its S is not below the order of the group: another spelling of a signature.
    Malleable,
    /// Its R is a point of small order, which no honest signer makes.
    SmallOrder,
    /// Not this key's over this message.
    Wrong,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// Reads `-----BEGIN PUBLIC KEY-----`.
    ///
    /// # Errors
    /// [`KeyError`] when it is none, or a weak one.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_public_key_pem(text.trim())
            .map_err(|_| KeyError::NotPublic)?;
        Self::checked(key)
    }

    /// Reads a public key as a file holds it: in PEM, or as the line of OpenSSH's `.pub` files.
    ///
    /// # Errors
    /// [`KeyError`] by name of what the text is instead.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        if text.trim_start().starts_with("-----BEGIN ") {
            return Self::from_pem(text);
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        match (lines.next(), lines.next()) {
            (Some(line), None) => Self::from_openssh(line),
            _ => Err(KeyError::NotPublic),
        }
    }

    /// Reads `ssh-ed25519 AAAA… comment`.
    ///
    /// # Errors
    /// [`KeyError`] by name of what the line is instead.
    pub fn from_openssh(line: &str) -> Result<Self, KeyError> {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("ssh-ed25519") => {}
            Some(kind) if kind.starts_with("sk-") && kind.contains("@openssh.com") => {
                return Err(KeyError::SecurityKey);
            }
            Some(kind) if kind.starts_with("ssh-") || kind.starts_with("ecdsa-sha2-") => {
                return Err(KeyError::OtherOpenSsh);
            }
            _ => return Err(KeyError::NotPublic),
        }
        let blob = words.next().and_then(|word| BASE64.decode(word).ok());
        blob.as_deref().and_then(Self::of_openssh_blob).unwrap_or(Err(KeyError::NotPublic))
    }

    /// The key in the bytes that such a line has in base64, and that agents speak of; `None`
    /// where it is no Ed25519 key.
    #[must_use]
    pub fn of_openssh_blob(blob: &[u8]) -> Option<Result<Self, KeyError>> {
        let key: &[u8; 32] = blob.strip_prefix(&OPENSSH_PREFIX)?.try_into().ok()?;
        Some(Self::from_bytes(key))
    }

    /// The bytes that OpenSSH's line has in base64.
    #[must_use]
    pub fn to_openssh_blob(&self) -> Vec<u8> {
        [&OPENSSH_PREFIX[..], &self.to_bytes()].concat()
    }

    /// Reads the 32 bytes of RFC 8032.
    ///
    /// # Errors
    /// [`KeyError`] when they are no point, or one of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotPublic)?;
        Self::checked(key)
    }

    fn checked(key: ed25519_dalek::VerifyingKey) -> Result<Self, KeyError> {
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// Writes `-----BEGIN PUBLIC KEY-----`.
    ///
    /// # Panics
    /// Never: the encoding has a fixed size.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("a fixed-size encoding")
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The key's identity.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut spki = [0; 44];
        spki[..12].copy_from_slice(&SPKI_PREFIX);
        spki[12..].copy_from_slice(&self.0.to_bytes());
        Sha256::of(&spki)
    }

    /// Whether `signature` is this key's over `message`: strictly, so that nobody can
    /// make another signature out of one.
    ///
    /// # Errors
    /// [`SignatureError`], by the kind of what is wrong.
    pub fn check(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        let parsed = Signature::from_bytes(signature);
        self.0.verify_strict(message, &parsed).map_err(|_| {
            let is_below_order = parsed.s_bytes().iter().rev().lt(ORDER.iter().rev());
            let r = ed25519_dalek::VerifyingKey::from_bytes(parsed.r_bytes());
            match (is_below_order, r) {
                (false, _) => SignatureError::Malleable,
                (true, Ok(r)) if r.is_weak() => SignatureError::SmallOrder,
                _ => SignatureError::Wrong,
            }
        })
    }

    /// Whether [`PublicKey::check`] finds nothing.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.check(message, signature).is_ok()
    }
}

/// A private key; wiped from memory when dropped.
#[derive(Clone, Debug)]
pub struct PrivateKey(ed25519_dalek::SigningKey);

impl PrivateKey {
    /// The key with this seed: 32 bytes from a good random source.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Reads `-----BEGIN PRIVATE KEY-----` (PKCS#8), as `openssl genpkey
    /// -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// [`KeyError`], by name of what the text is instead.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(text.trim())
            .map(Self)
            .map_err(|_| why_not_private(text.trim()))
    }

    /// Writes `-----BEGIN PRIVATE KEY-----` (PKCS#8 version 1, which every
    /// openssl reads).
    ///
    /// # Panics
    /// Never: the encoding has a fixed size.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let pair =
            ed25519_dalek::pkcs8::KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).expect("a fixed-size encoding").to_string()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `message`; the same message and key always give the same bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// What a text is that is no Ed25519 private key in PKCS#8 PEM.
fn why_not_private(text: &str) -> KeyError {
    let labels = text.lines().filter_map(|line| {
        line.trim().strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"))
    });
    // `openssl ecparam -genkey` writes parameters before the key.
    let Some(label) = labels.into_iter().find(|label| !label.ends_with("PARAMETERS")) else {
        return KeyError::NotPrivate;
    };
    match label {
        "PRIVATE KEY" => other_algorithm(text),
        "ENCRYPTED PRIVATE KEY" => KeyError::Encrypted,
        "OPENSSH PRIVATE KEY" => KeyError::OpenSsh,
        "RSA PRIVATE KEY" => KeyError::Algorithm("RSA"),
        "EC PRIVATE KEY" => KeyError::Algorithm("ECDSA"),
        "DSA PRIVATE KEY" => KeyError::Algorithm("DSA"),
        "CERTIFICATE" => KeyError::Certificate,
        _ if label.ends_with("PUBLIC KEY") => KeyError::Public,
        _ => KeyError::NotPrivate,
    }
}

/// The algorithm of a PKCS#8 key that Ed25519's reader refused.
fn other_algorithm(text: &str) -> KeyError {
    let Ok((_, document)) = SecretDocument::from_pem(text) else { return KeyError::NotPrivate };
    let Ok(key) = PrivateKeyInfoRef::try_from(document.as_bytes()) else {
        return KeyError::NotPrivate;
    };
    // The object identifiers of RFC 8017, 5480, 3279, 8410.
    KeyError::Algorithm(match key.algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.1.1" => "RSA",
        "1.2.840.113549.1.1.10" => "RSA-PSS",
        "1.2.840.10045.2.1" => "ECDSA",
        "1.2.840.10040.4.1" => "DSA",
        "1.3.101.110" => "X25519",
        "1.3.101.111" => "X448",
        "1.3.101.112" => return KeyError::NotPrivate,
        "1.3.101.113" => "Ed448",
        _ => "another algorithm",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_round_trips() {
        let key = PrivateKey::from_seed(&[7; 32]);
        let again = PrivateKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(PublicKey::from_pem(&key.public().to_pem()).unwrap(), key.public());
        assert_eq!(PrivateKey::from_pem("hello").unwrap_err(), KeyError::NotPrivate);
        assert_eq!(PublicKey::from_pem(&key.to_pem()).unwrap_err(), KeyError::NotPublic);
    }

    #[test]
    fn what_is_no_private_key_is_named() {
        let key = PrivateKey::from_seed(&[7; 32]);
        let refusal = |text: &str| PrivateKey::from_pem(text).unwrap_err();
        assert_eq!(refusal(&key.public().to_pem()), KeyError::Public);
        let relabelled = |label: &str| refusal(&key.to_pem().replace("PRIVATE KEY", label));
        assert_eq!(relabelled("ENCRYPTED PRIVATE KEY"), KeyError::Encrypted);
        assert_eq!(relabelled("OPENSSH PRIVATE KEY"), KeyError::OpenSsh);
        assert_eq!(relabelled("EC PRIVATE KEY"), KeyError::Algorithm("ECDSA"));
        assert_eq!(relabelled("CERTIFICATE"), KeyError::Certificate);
        assert_eq!(relabelled("POEM"), KeyError::NotPrivate);
        // `1.3.101.112` becomes `1.3.101.113`: the third byte of the identifier.
        let other = key.to_pem().replace("K2Vw", "K2Vx");
        assert_eq!(refusal(&other), KeyError::Algorithm("Ed448"));
        assert_eq!(refusal(&key.to_pem().replace("K2Vw", "K2V*")), KeyError::NotPrivate);
    }

    #[test]
    fn a_line_of_openssh_is_a_public_key() {
        let key = PrivateKey::from_seed(&[7; 32]).public();
        let base64 = BASE64.encode(key.to_openssh_blob());
        assert_eq!(base64.len(), 68);
        for line in [
            format!("ssh-ed25519 {base64}"),
            format!("ssh-ed25519 {base64} ann@example.org\n"),
            format!("\n ssh-ed25519\t{base64} a comment of words\r\n\n"),
        ] {
            assert_eq!(PublicKey::from_text(&line).as_ref(), Ok(&key), "{line:?}");
        }
        assert_eq!(PublicKey::from_text(&key.to_pem()), Ok(key.clone()));
        let small = BASE64.encode([&OPENSSH_PREFIX[..], &[1], &[0; 31]].concat());
        let longer = BASE64.encode([&key.to_openssh_blob()[..], &[0]].concat());
        for (line, error) in [
            (String::new(), KeyError::NotPublic),
            ("ssh-ed25519".to_owned(), KeyError::NotPublic),
            (format!("ssh-ed25519 {}", &base64[..67]), KeyError::NotPublic),
            (format!("ssh-ed25519 {longer}"), KeyError::NotPublic),
            (format!("ssh-ed25519 {base64}\nssh-ed25519 {base64}"), KeyError::NotPublic),
            (base64, KeyError::NotPublic),
            (format!("ssh-ed25519 {small}"), KeyError::Weak),
            ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ== x".to_owned(), KeyError::OtherOpenSsh),
            ("ecdsa-sha2-nistp256 AAAA x".to_owned(), KeyError::OtherOpenSsh),
            ("sk-ssh-ed25519@openssh.com AAAA x".to_owned(), KeyError::SecurityKey),
        ] {
            assert_eq!(PublicKey::from_text(&line), Err(error), "{line:?}");
        }
    }

    #[test]
    fn a_key_of_small_order_is_no_key() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), Err(KeyError::Weak));
    }

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn signs_as_the_rfc_does() {
        let seed =
            Sha256::from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let key = PrivateKey::from_seed(&seed.unwrap().0);
        let signature = key.sign(&[0x72]);
        assert_eq!(signature[..4], [0x92, 0xa0, 0x09, 0xa9]);
        assert!(key.public().verifies(&[0x72], &signature));
        assert!(!key.public().verifies(&[0x73], &signature));
    }
}
