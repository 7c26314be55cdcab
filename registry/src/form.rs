//! Manifests, indexes and descriptors of the OCI's image specification (1.1), as JSON.
//!
//! Guarantees the same bytes for the same input: fields come in one order and annotations
//! sorted, so that a digest repeats. Reading is generous: fields that are not known are
//! overlooked, as that specification wants it.

use bls_artifact::digest::Sha256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// A manifest: one thing, with its layers.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An index: manifests for several platforms.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// What has no configuration.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The configuration of an image.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer of an image: a tar that is not compressed.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// An artifact of bls-compile, as the type of a manifest and of its one layer.
pub const ARTIFACT: &str = "application/vnd.bls.artifact.v1";
/// A WebAssembly module.
pub const WASM: &str = "application/wasm";
/// The bytes of an empty configuration.
pub const EMPTY_BYTES: &[u8] = b"{}";
/// The most bytes of a manifest or an index.
pub const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// What is said beside a manifest or a descriptor.
pub type Annotations = BTreeMap<String, String>;

/// Something by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// The type of artifact that a manifest is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What it has to hash to.
    #[serde(with = "digest")]
    pub digest: Sha256,
    /// Its bytes.
    pub size: u64,
    /// What it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

impl Descriptor {
    /// These bytes.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            artifact_type: None,
            digest: Sha256::of(bytes),
            size: bytes.len() as u64,
            platform: None,
            annotations: Annotations::new(),
        }
    }
}

/// What something runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// By Go's name.
    pub architecture: String,
    /// By Go's name.
    pub os: String,
    /// Which of an architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on this architecture.
    #[must_use]
    pub fn linux(architecture: &str, variant: Option<&str>) -> Self {
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: variant.map(str::to_owned),
        }
    }
}

/// One thing, with its layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// [`MANIFEST`].
    #[serde(default)]
    pub media_type: String,
    /// What it is, where it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its configuration.
    pub config: Descriptor,
    /// What it is made of.
    pub layers: Vec<Descriptor>,
    /// What it is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

impl Manifest {
    /// An artifact of this type, without a configuration.
    #[must_use]
    pub fn artifact(kind: &str, layer: Descriptor, annotations: Annotations) -> Self {
        Self {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            artifact_type: Some(kind.to_owned()),
            config: Descriptor::of(EMPTY, EMPTY_BYTES),
            layers: vec![layer],
            subject: None,
            annotations,
        }
    }
}

/// Manifests for several platforms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    pub schema_version: u32,
    /// [`INDEX`].
    #[serde(default)]
    pub media_type: String,
    /// What it is an index of, where it is not of images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

impl Index {
    /// An index of these.
    #[must_use]
    pub fn of(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: INDEX.to_owned(),
            artifact_type: None,
            manifests,
            annotations: Annotations::new(),
        }
    }
}

/// The one spelling of a manifest, an index or a configuration.
///
/// # Panics
/// Never: these types have no value that JSON cannot say.
#[must_use]
pub fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("text and numbers")
}

/// What kind of thing bytes say they are.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    manifests: Option<serde::de::IgnoredAny>,
}

/// A manifest or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A manifest.
    Manifest(Box<Manifest>),
    /// An index.
    Index(Index),
    /// Something else, by its media type.
    Other(String),
}

/// Reads what a registry has under a tag or a digest; `media_type` is what it calls it.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn read(bytes: &[u8], media_type: &str) -> Result<Read, String> {
    let wrong = |error: serde_json::Error| format!("it is no manifest: {error}");
    let kind: Kind = serde_json::from_slice(bytes).map_err(wrong)?;
    // What is written inside decides, for it is what was hashed.
    let named = if kind.media_type.is_empty() { media_type } else { &kind.media_type };
    match named {
        _ if kind.schema_version != 2 => Ok(Read::Other(format!("schema {}", kind.schema_version))),
        INDEX => serde_json::from_slice(bytes).map(Read::Index).map_err(wrong),
        MANIFEST if kind.manifests.is_none() => {
            serde_json::from_slice(bytes).map(Read::Manifest).map_err(wrong)
        }
        other => Ok(Read::Other(other.to_owned())),
    }
}

/// A digest as the OCI writes it. Others than SHA-256 are not read.
mod digest {
    use super::{Deserialize as _, Deserializer, Serializer, Sha256};
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer>(digest: &Sha256, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("sha256:{digest}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Sha256, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        let digest = text.strip_prefix("sha256:").and_then(Sha256::from_hex);
        digest.ok_or_else(|| D::Error::custom("a digest is sha256: and 64 hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let said = [("b", "2"), ("a", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        Manifest::artifact(ARTIFACT, Descriptor::of(ARTIFACT, b"layer"), said.into())
    }

    /// What was pushed once keeps its digest.
    #[test]
    fn a_manifest_has_one_spelling() {
        let bytes = to_bytes(&manifest());
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with(
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.bls.artifact.v1","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":["#
        ), "{text}");
        assert!(text.ends_with(r#""annotations":{"a":"1","b":"2"}}"#), "{text}");
        assert_eq!(read(&bytes, MANIFEST), Ok(Read::Manifest(Box::new(manifest()))));
    }

    #[test]
    fn an_index_is_told_from_a_manifest_and_from_what_is_neither() {
        let entry = Descriptor {
            platform: Some(Platform::linux("arm", Some("v7"))),
            ..Descriptor::of(MANIFEST, b"x")
        };
        let index = Index::of(vec![entry]);
        assert_eq!(read(&to_bytes(&index), "text/plain"), Ok(Read::Index(index)));
        let docker = br#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json"}"#;
        assert!(matches!(read(docker, MANIFEST), Ok(Read::Other(kind)) if kind.contains("docker")));
        assert!(matches!(read(br#"{"schemaVersion":1}"#, MANIFEST), Ok(Read::Other(_))));
        for wrong in [&b""[..], b"[]", b"<html>", br#"{"schemaVersion":2}"#] {
            assert!(read(wrong, MANIFEST).is_err(), "{wrong:?}");
        }
        let other = to_bytes(&manifest()).replace_digest();
        assert!(read(&other, MANIFEST).is_err());
    }

    trait ReplaceDigest {
        fn replace_digest(&self) -> Vec<u8>;
    }

    impl ReplaceDigest for Vec<u8> {
        fn replace_digest(&self) -> Vec<u8> {
            String::from_utf8(self.clone()).unwrap().replace("sha256:", "sha512:").into_bytes()
        }
    }
}
