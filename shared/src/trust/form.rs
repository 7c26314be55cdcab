//! The JSON of a trust file.
//!
//! Form 1 is `{"version": 1, "keys": [{id, comment, pem}]}`; form 2 is what this writes.
//! One pass reads either. Guarantees after a parse: no unknown field, no field twice,
//! no number above 2⁵³−1, every cap of `limits.rs`. White space and the order of fields
//! are free: people write these files, and a signature covers the very bytes.

use super::version::VersionRange;
use super::{
    ClockPolicy, FORM, RefusedVersions, Reset, Role, Roots, Terms, Trust, TrustError, TrustedKey,
};
use crate::capability::Permission;
use crate::digest::Sha256;
use crate::key::{KeyId, PublicKey};
use serde::{Deserialize, Serialize};

/// What every form has.
#[derive(Deserialize)]
struct AnyForm {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    version: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    sequence: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    created: u64,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    threshold: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    clock: ClockPolicy,
    keys: Vec<JsonKey>,
    #[serde(default, skip_serializing_if = "is_default")]
    revoked: JsonRevoked,
    #[serde(default, skip_serializing_if = "is_default")]
    refused: JsonRefused,
    #[serde(default, skip_serializing_if = "is_default")]
    reset: Vec<Reset>,
    #[serde(default, skip_serializing_if = "is_default")]
    root: Option<JsonRoots>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonKey {
    id: KeyId,
    comment: String,
    pem: String,
    #[serde(default, skip_serializing_if = "is_default")]
    role: Role,
    #[serde(default, skip_serializing_if = "is_default")]
    prefixes: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "is_default")]
    may: Option<Vec<Permission>>,
    #[serde(default, skip_serializing_if = "is_default")]
    not_before: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    not_after: Option<u64>,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct JsonRevoked {
    #[serde(skip_serializing_if = "is_default")]
    keys: Vec<KeyId>,
    #[serde(skip_serializing_if = "is_default")]
    digests: Vec<Sha256>,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct JsonRefused {
    #[serde(skip_serializing_if = "is_default")]
    compiler: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    engine: Vec<String>,
}

/// Root keys, here and in what a machine remembers of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JsonRoots {
    threshold: u32,
    keys: Vec<JsonRoot>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRoot {
    id: KeyId,
    comment: String,
    pem: String,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's way to call it")]
fn is_one(number: &u32) -> bool {
    *number == 1
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What serde's words make of `text`.
pub(super) fn read<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Result<T, TrustError> {
    serde_json::from_slice(text).map_err(|error| TrustError::Json(error.to_string()))
}

pub(super) fn parse(text: &[u8]) -> Result<Trust, TrustError> {
    if super::signed::is_signed(text) {
        return Err(TrustError::Signed);
    }
    let json: Json = read(text).map_err(|error| match read(text) {
        // A form of the future may have other fields: that says more.
        Ok(AnyForm { version }) if !(1..=FORM).contains(&version) => TrustError::Form(version),
        _ => error,
    })?;
    if !(1..=FORM).contains(&json.version) {
        return Err(TrustError::Form(json.version));
    }
    let form = json.version;
    let trust = Trust {
        sequence: json.sequence,
        created: json.created,
        clock: json.clock,
        threshold: json.threshold,
        keys: json.keys.into_iter().map(trusted).collect::<Result<_, _>>()?,
        revoked_keys: json.revoked.keys,
        revoked_digests: json.revoked.digests,
        refused: RefusedVersions {
            compiler: ranges(json.refused.compiler)?,
            engine: ranges(json.refused.engine)?,
        },
        resets: json.reset,
        root: json.root.map(Roots::try_from).transpose()?,
        signed: false,
    };
    trust.check()?;
    let plain = trust.keys.iter().all(|key| key.terms == Terms::default());
    let list = Trust { keys: trust.keys.clone(), ..Trust::default() };
    if form == 1 && !(plain && list == trust) {
        return Err(TrustError::Form1);
    }
    Ok(trust)
}

fn trusted(json: JsonKey) -> Result<TrustedKey, TrustError> {
    let key = key(json.id, &json.pem, &json.comment)?;
    let JsonKey { comment, role, prefixes, may, not_before, not_after, .. } = json;
    Ok(TrustedKey { key, comment, terms: Terms { role, prefixes, may, not_before, not_after } })
}

/// The key in a PEM text, which must be the one with this id.
fn key(id: KeyId, pem: &str, comment: &str) -> Result<PublicKey, TrustError> {
    match PublicKey::from_pem(pem) {
        Ok(key) if key.id() == id => Ok(key),
        _ => Err(TrustError::Key(comment.to_owned())),
    }
}

fn ranges(texts: Vec<String>) -> Result<Vec<VersionRange>, TrustError> {
    let range = |text: String| VersionRange::parse(&text).ok_or(TrustError::Range(text));
    texts.into_iter().map(range).collect()
}

/// # Panics
/// Never: strings and numbers only.
pub(super) fn to_text(trust: &Trust) -> String {
    let texts = |ranges: &[VersionRange]| ranges.iter().map(ToString::to_string).collect();
    let json = Json {
        version: FORM,
        sequence: trust.sequence,
        created: trust.created,
        threshold: trust.threshold,
        clock: trust.clock,
        keys: trust.keys.iter().map(json_key).collect(),
        revoked: JsonRevoked {
            keys: trust.revoked_keys.clone(),
            digests: trust.revoked_digests.clone(),
        },
        refused: JsonRefused {
            compiler: texts(&trust.refused.compiler),
            engine: texts(&trust.refused.engine),
        },
        reset: trust.resets.clone(),
        root: trust.root.as_ref().map(JsonRoots::from),
    };
    serde_json::to_string_pretty(&json).expect("strings and numbers only") + "\n"
}

fn json_key(trusted: &TrustedKey) -> JsonKey {
    let Terms { role, prefixes, may, not_before, not_after } = trusted.terms.clone();
    JsonKey {
        id: trusted.key.id(),
        comment: trusted.comment.clone(),
        pem: trusted.key.to_pem(),
        role,
        prefixes,
        may,
        not_before,
        not_after,
    }
}

impl TryFrom<JsonRoots> for Roots {
    type Error = TrustError;

    fn try_from(json: JsonRoots) -> Result<Self, TrustError> {
        let root = |json: JsonRoot| Ok((key(json.id, &json.pem, &json.comment)?, json.comment));
        let keys = json.keys.into_iter().map(root).collect::<Result<_, _>>()?;
        let roots = Self { threshold: json.threshold, keys };
        roots.check()?;
        Ok(roots)
    }
}

impl From<&Roots> for JsonRoots {
    fn from(roots: &Roots) -> Self {
        let json = |(key, comment): &(PublicKey, String)| JsonRoot {
            id: key.id(),
            comment: comment.clone(),
            pem: key.to_pem(),
        };
        Self { threshold: roots.threshold, keys: roots.keys.iter().map(json).collect() }
    }
}
