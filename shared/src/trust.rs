//! The trust file: whose signatures count on a machine.
//!
//! The simple form: a list of public keys. Roles, prefixes, thresholds and
//! revocation have their place in the same file; a version number keeps a file
//! of a later form from being read as this one. Does not read the file from
//! disk, and does not judge who may have written it.

use crate::key::{KeyId, PublicKey};
use crate::limits::TRUST_KEYS_MAX;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The system's trust file: where it exists, it is the only default.
pub const SYSTEM_FILE: &str = "/etc/bls/trust.json";
/// The name of a user's own trust file, in [`crate::passwd::USER_FOLDER`].
pub const USER_FILE: &str = "trust.json";
/// The version of the file's form.
const FORM: u32 = 1;

/// Why a text is no trust file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustError {
    /// Not the JSON of a trust file; what the parser said.
    Json(String),
    /// A form this program does not know.
    Form(u32),
    /// An entry whose key is none; its comment.
    Key(String),
    /// Too many keys.
    TooMany(usize),
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(what) => write!(f, "not a trust file: {what}"),
            Self::Form(form) => {
                write!(f, "trust file of form {form}; this program reads form {FORM}")
            }
            Self::Key(comment) => write!(f, "the key {comment:?} is not an Ed25519 public key"),
            Self::TooMany(count) => write!(f, "{count} keys; at most {TRUST_KEYS_MAX} are read"),
        }
    }
}

impl std::error::Error for TrustError {}

impl TrustError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "trust.json",
            Self::Form(_) => "trust.form",
            Self::Key(_) => "trust.key",
            Self::TooMany(_) => "trust.too-many-keys",
        }
    }
}

/// One key that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// What its owner called it.
    pub comment: String,
}

/// Whose signatures count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    keys: Vec<TrustedKey>,
}

/// What every form has.
#[derive(Deserialize)]
struct AnyForm {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    version: u32,
    keys: Vec<JsonKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonKey {
    id: KeyId,
    comment: String,
    pem: String,
}

impl Trust {
    /// Reads a trust file.
    ///
    /// # Errors
    /// [`TrustError`]; a key id that is not its key's is one.
    pub fn parse(text: &[u8]) -> Result<Self, TrustError> {
        let read = |error: serde_json::Error| TrustError::Json(error.to_string());
        // The form first: another one may have other fields.
        let AnyForm { version } = serde_json::from_slice(text).map_err(read)?;
        if version != FORM {
            return Err(TrustError::Form(version));
        }
        let json: Json = serde_json::from_slice(text).map_err(read)?;
        if json.keys.len() > TRUST_KEYS_MAX {
            return Err(TrustError::TooMany(json.keys.len()));
        }
        let mut keys = Vec::with_capacity(json.keys.len());
        for entry in json.keys {
            match PublicKey::from_pem(&entry.pem) {
                Ok(key) if key.id() == entry.id => {
                    keys.push(TrustedKey { key, comment: entry.comment });
                }
                _ => return Err(TrustError::Key(entry.comment)),
            }
        }
        Ok(Self { keys })
    }

    /// Trusts exactly one key.
    #[must_use]
    pub fn only(key: PublicKey) -> Self {
        Self { keys: vec![TrustedKey { key, comment: String::new() }] }
    }

    /// The text of this trust file.
    ///
    /// # Panics
    /// Never: strings and numbers only.
    #[must_use]
    pub fn to_text(&self) -> String {
        let json = Json {
            version: FORM,
            keys: self
                .keys
                .iter()
                .map(|trusted| JsonKey {
                    id: trusted.key.id(),
                    comment: trusted.comment.clone(),
                    pem: trusted.key.to_pem(),
                })
                .collect(),
        };
        serde_json::to_string_pretty(&json).expect("strings and numbers only") + "\n"
    }

    /// Adds a key; `false` when it was there.
    pub fn add(&mut self, key: PublicKey, comment: &str) -> bool {
        if self.find(key.id()).is_some() {
            return false;
        }
        self.keys.push(TrustedKey { key, comment: comment.to_owned() });
        true
    }

    /// The trusted key with this id.
    #[must_use]
    pub fn find(&self, id: KeyId) -> Option<&TrustedKey> {
        self.keys.iter().find(|trusted| trusted.key.id() == id)
    }

    /// All of them, in file order.
    #[must_use]
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PrivateKey;

    #[test]
    fn round_trip_and_refusals() {
        let mut trust = Trust::default();
        let key = PrivateKey::from_seed(&[3; 32]).public();
        assert!(trust.add(key.clone(), "me"));
        assert!(!trust.add(key.clone(), "again"));
        let text = trust.to_text();
        assert_eq!(Trust::parse(text.as_bytes()), Ok(trust));
        assert!(Trust::parse(b"").is_err());
        let lying = text.replace(&key.id().to_string(), &"0".repeat(64));
        assert_eq!(Trust::parse(lying.as_bytes()), Err(TrustError::Key("me".into())));
        let future = text.replace("\"version\": 1", "\"version\": 2");
        assert_eq!(Trust::parse(future.as_bytes()), Err(TrustError::Form(2)));
        let other = br#"{"version":2,"roles":{}}"#;
        assert_eq!(Trust::parse(other), Err(TrustError::Form(2)));
    }
}
