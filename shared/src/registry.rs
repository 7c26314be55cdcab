//! What is said of registries in both programs: the kinds of what can go wrong, which
//! architecture of an index a target is, and what cosign has signed.
//!
//! `bls-registry` speaks with a registry; `bls-load` starts it, and finds the kind of a failure
//! by its code in the last line. Guarantees that each kind has one code.

use crate::digest::Sha256;
use crate::target::Target;

/// The variable with what a cache is to be told of who asks: the value of the header
/// `Authorization` (RFC 9110, section 11.6.2).
pub const AUTHORIZATION: &str = "BLS_CACHE_AUTHORIZATION";

/// Why something did not come from a registry, or did not get there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A command line that makes no sense.
    Usage,
    /// What names a place in a registry does not.
    Reference,
    /// No address is known of the host.
    Host,
    /// There is no connection, or it broke.
    Connection,
    /// TLS did not come about.
    Tls,
    /// It took longer than it may.
    Timeout,
    /// The registry wants to know who asks, or does not know them.
    Unauthorized,
    /// The registry knows who asks, and says no.
    Forbidden,
    /// The credentials that docker keeps cannot be had.
    Credentials,
    /// Nothing of this name is there.
    Missing,
    /// Another status than the protocol has here.
    Status,
    /// An answer that makes no sense.
    Answer,
    /// Something else than an artifact.
    OtherType,
    /// A manifest that is not the one of its digest.
    ManifestDigest,
    /// A blob that is not the one of its digest.
    BlobDigest,
    /// A blob of another length than was said.
    BlobSize,
    /// An index with nothing for this machine.
    NoArchitecture,
    /// A local file cannot be read.
    Unreadable,
    /// What was fetched or made cannot be written.
    Unwritable,
    /// Two files have something for one architecture.
    Twice,
    /// Files of different releases.
    OtherRelease,
    /// What is called the source is not what the artifact was made of.
    OtherSource,
    /// A loader that an image cannot have.
    Loader,
    /// A trust file that an image cannot have.
    Trust,
    /// The loader refuses the artifact.
    Refused,
    /// A tar that is no image.
    Layout,
}

impl Defect {
    /// Every kind.
    pub const ALL: [Self; 26] = [
        Self::Usage,
        Self::Reference,
        Self::Host,
        Self::Connection,
        Self::Tls,
        Self::Timeout,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Credentials,
        Self::Missing,
        Self::Status,
        Self::Answer,
        Self::OtherType,
        Self::ManifestDigest,
        Self::BlobDigest,
        Self::BlobSize,
        Self::NoArchitecture,
        Self::Unreadable,
        Self::Unwritable,
        Self::Twice,
        Self::OtherRelease,
        Self::OtherSource,
        Self::Loader,
        Self::Trust,
        Self::Refused,
        Self::Layout,
    ];

    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Usage => "registry.usage",
            Self::Reference => "registry.reference",
            Self::Host => "registry.host",
            Self::Connection => "registry.connection",
            Self::Tls => "registry.tls",
            Self::Timeout => "registry.timeout",
            Self::Unauthorized => "registry.unauthorized",
            Self::Forbidden => "registry.forbidden",
            Self::Credentials => "registry.credentials",
            Self::Missing => "registry.missing",
            Self::Status => "registry.status",
            Self::Answer => "registry.answer",
            Self::OtherType => "registry.other-type",
            Self::ManifestDigest => "registry.manifest-digest",
            Self::BlobDigest => "registry.blob-digest",
            Self::BlobSize => "registry.blob-size",
            Self::NoArchitecture => "registry.no-architecture",
            Self::Unreadable => "registry.unreadable",
            Self::Unwritable => "registry.unwritable",
            Self::Twice => "registry.twice",
            Self::OtherRelease => "registry.other-release",
            Self::OtherSource => "registry.other-source",
            Self::Loader => "registry.loader",
            Self::Trust => "registry.trust",
            Self::Refused => "registry.refused",
            Self::Layout => "registry.layout",
        }
    }

    /// The kind that has this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|defect| defect.code() == code)
    }

    /// Whether the same may well succeed at another time.
    #[must_use]
    pub fn is_of_the_network(self) -> bool {
        matches!(
            self,
            Self::Host
                | Self::Connection
                | Self::Tls
                | Self::Timeout
                | Self::Status
                | Self::Unwritable
        )
    }

    /// What can be done about it.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Usage => "bls-compile help push, bls-load help pull",
            Self::Reference => {
                "name the registry, a repository, and a tag or a digest: ghcr.io/ann/app:1.2, localhost:5000/app@sha256:HEX"
            }
            Self::Host => "see how the registry's host is written, and that this machine finds it",
            Self::Connection => "see that the registry runs and can be reached from here",
            Self::Tls => {
                "where its certificate is of an authority of your own: --authorities FILE; where it has none: --plain-http"
            }
            Self::Timeout => "try again, or allow it more time: --max-time 30m",
            Self::Unauthorized => {
                "log in, as docker does it: docker login HOST; the credentials are read from ~/.docker/config.json"
            }
            Self::Forbidden => "ask whoever runs the registry for the right to this repository",
            Self::Credentials => "see ~/.docker/config.json, or the file in DOCKER_CONFIG",
            Self::Missing => "see how repository and tag are written",
            Self::Status => "try again later, or ask whoever runs the registry",
            Self::Answer => "see that this is a registry, and what stands between it and here",
            Self::OtherType => "name what bls-compile push has put there",
            Self::ManifestDigest | Self::BlobDigest | Self::BlobSize => {
                "do not use this registry for it, and tell whoever runs it"
            }
            Self::NoArchitecture => {
                "have it built for this machine too: bls-compile --target A,B app.wasm"
            }
            Self::Unreadable => "name a file that exists and that you may read",
            Self::Unwritable => "see that there is room, and that you may write there",
            Self::Twice => "give one file for each architecture",
            Self::OtherRelease => "give files of one name and one sequence",
            Self::OtherSource => {
                "give the module that was compiled: bls-compile inspect shows its digest"
            }
            Self::Loader => {
                "cargo xtask build makes a static bls-load, cargo xtask cross one for another architecture: --loader ARCH=FILE"
            }
            Self::Trust => "give a public key, or a plain trust file: bls-load trust show",
            Self::Refused => "what bls-load says stands above",
            Self::Layout => "give what bls-compile image has made",
        }
    }
}

/// What an index calls the architecture that code for this target runs on: Go's name for it.
/// Interpreted code is its own.
#[must_use]
pub fn architecture(target: Target) -> &'static str {
    match target {
        Target::X86_64 => "amd64",
        Target::Aarch64 => "arm64",
        Target::Riscv64 => "riscv64",
        Target::S390x => "s390x",
        Target::Pulley32 => "pulley32",
        Target::Pulley64 => "pulley64",
    }
}

/// What cosign has signed for a digest in a repository (`HOST/NAME`, whose characters JSON holds as
/// they are): one spelling, which begins as no envelope's message does.
#[must_use]
pub fn signed_text(repository: &str, digest: Sha256) -> String {
    format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"{repository}"}},"image":{{"docker-manifest-digest":"sha256:{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_code_of_its_own_and_is_found_by_it() {
        let codes: BTreeSet<_> = Defect::ALL.iter().map(|defect| defect.code()).collect();
        assert_eq!(codes.len(), Defect::ALL.len());
        for defect in Defect::ALL {
            assert_eq!(Defect::from_code(defect.code()), Some(defect));
            assert!(defect.hint().len() > 10, "{defect:?}");
        }
        assert_eq!(Defect::from_code("registry.nonsense"), None);
    }

    #[test]
    fn what_cosign_signs_is_json_of_one_spelling() {
        let digest = Sha256::of(b"x");
        let text = signed_text("r.example:5000/a/b", digest);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let critical = &value["critical"];
        assert_eq!(critical["identity"]["docker-reference"], "r.example:5000/a/b");
        assert_eq!(critical["image"]["docker-manifest-digest"], format!("sha256:{digest}"));
        assert_eq!(critical["type"], "cosign container image signature");
        assert_eq!(value.to_string(), text);
    }

    #[test]
    fn an_architecture_is_a_word_for_its_target() {
        for target in Target::ALL {
            assert_eq!(Target::from_word(architecture(target)), Some(target));
        }
    }
}
