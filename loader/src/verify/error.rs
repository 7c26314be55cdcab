//! Why an artifact may not run, and what to do about it.
//!
//! Pure. Guarantees a stable code and a hint for each reason. Judges nothing.

use crate::delta::DeltaError;
use crate::error::{Cause, StageError};
use crate::freshness::Stale;
use crate::image::ImageError;
use crate::open::ReadError;
use crate::store::StoreError;
use crate::verify::compatibility::Misfit;
use bls_artifact::artifact::FrameError;
use bls_artifact::digest::Sha256;
use bls_artifact::envelope::EnvelopeError;
use bls_artifact::json::JsonError;
use bls_artifact::key::{KeyId, SignatureError};
use bls_artifact::manifest::{Manifest, ManifestError, Part};
use bls_artifact::target::Bounds;
use bls_artifact::trust::{Doubt, Refusal, SYSTEM_FILE};
use std::fmt;

/// Why an artifact is refused.
#[derive(Debug)]
pub struct VerifyError {
    pub(crate) name: String,
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
    /// The same, where root keys have signed whom to trust.
    UntrustedByRoots(Vec<KeyId>),
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
    /// The trust file speaks against it; and how to make it anew.
    Refused(Box<Refusal>, Option<String>),
    /// A record of the file is not exactly one of the signed parts.
    UnsignedPart(usize),
    /// A signed part, but twice, or in another order than the signed one.
    PartOrder(usize),
    /// A newer release was seen here.
    Stale(Stale),
    /// A store cannot say what was seen, or does not give what is installed.
    Store(StoreError),
    /// What is installed under a name has this one.
    OtherName(String),
    /// No part can run here; why the first cannot.
    Misfit(Misfit),
    /// The code is not what was signed.
    Image(ImageError),
    /// A delta gives nothing that could be verified.
    Delta(DeltaError),
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

impl VerifyError {
    /// Whether something that is installed was not there (any more).
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.reason, Reason::Store(StoreError::Missing(_)))
    }
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        Self { name: String::new(), reason: Reason::Store(error) }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.reason {
            Reason::Envelope(error) => write!(formatter, "{name}: {error}"),
            Reason::Untrusted(keys) | Reason::UntrustedByRoots(keys) => match keys.as_slice() {
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
            Reason::Refused(refusal, _) => write!(formatter, "{name}: {refusal}"),
            Reason::UnsignedPart(index) => {
                write!(formatter, "{name}: part {index} is not one of the parts that were signed")
            }
            Reason::PartOrder(index) => {
                write!(
                    formatter,
                    "{name}: part {index} comes twice, or in another order than signed"
                )
            }
            Reason::Stale(stale) => write!(formatter, "{name}: {stale}"),
            Reason::Store(error) => error.fmt(formatter),
            Reason::OtherName(other) => {
                write!(formatter, "{name} is damaged: the artifact there is called {other}")
            }
            Reason::Misfit(misfit) => write!(formatter, "{name} cannot run here: {misfit}"),
            Reason::Image(error) => write!(formatter, "{name}: {error}"),
            Reason::Delta(error) => write!(formatter, "{name}: {error}"),
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
            Reason::Untrusted(_) | Reason::UntrustedByRoots(_) => "signature.unknown-key",
            Reason::BadSignature(_, SignatureError::Malleable) => "signature.malleable",
            Reason::BadSignature(_, SignatureError::SmallOrder) => "signature.small-order",
            Reason::BadSignature(_, SignatureError::Wrong) => "signature.wrong",
            Reason::LyingKeyId { .. } => "signature.lying-key-id",
            Reason::Manifest(error) => error.code(),
            Reason::UnsignedPart(_) => "content.unsigned-part",
            Reason::PartOrder(_) => "content.part-order",
            Reason::Refused(refusal, _) => refusal.code(),
            Reason::Stale(stale) => stale.code(),
            Reason::Store(error) => error.code(),
            Reason::OtherName(_) => "store.other-name",
            Reason::Misfit(misfit) => misfit.code(),
            Reason::Image(error) => error.code(),
            Reason::Delta(error) => error.code(),
            Reason::Frame(error) => error.code(),
            Reason::Digest { .. } => "content.file-digest",
        }
    }

    fn cause(&self) -> Cause {
        match &self.reason {
            Reason::Store(error) => error.cause(),
            Reason::Delta(error) => error.cause(),
            Reason::Image(ImageError::System(..)) => Cause::Failed,
            Reason::Image(_)
            | Reason::Envelope(_)
            | Reason::Untrusted(_)
            | Reason::UntrustedByRoots(_)
            | Reason::BadSignature(..)
            | Reason::LyingKeyId { .. }
            | Reason::Manifest(_)
            | Reason::UnsignedPart(_)
            | Reason::PartOrder(_)
            | Reason::Refused(..)
            | Reason::Stale(_)
            | Reason::OtherName(_)
            | Reason::Misfit(_)
            | Reason::Frame(_)
            | Reason::Digest { .. } => Cause::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        let again = "fetch the artifact again, or compare sha256sum with its origin";
        Some(match &self.reason {
            Reason::Untrusted(_) if crate::trust::system_file_exists() => format!(
                "if you trust its builder: bls-load trust add --system builder.pub, as root, adds \
                 the key to {SYSTEM_FILE}; for one run: --trust builder.pub"
            ),
            Reason::UntrustedByRoots(_) => {
                "if you trust its builder: --trust builder.pub, for one run; for all, the holders \
                 of the trust file's root keys can add the key: bls-load trust show names them"
                    .to_owned()
            }
            Reason::Untrusted(_) => {
                "if you trust its builder: bls-load trust add builder.pub".to_owned()
            }
            Reason::Refused(refusal, rebuild) => hint(refusal, rebuild.as_deref()),
            Reason::Stale(stale) => stale.hint().into(),
            Reason::Store(error) => return error.hint(),
            Reason::Delta(error) => return error.hint(),
            Reason::OtherName(_) => "install it again".into(),
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
            Reason::Image(ImageError::NotBuilt) => {
                "the full bls-load has a decoder; or compile it without --compress".into()
            }
            Reason::Image(ImageError::System(..)) => {
                "the system gave too little: see ulimit -v, and the limits of its group".into()
            }
            _ => again.to_owned(),
        })
    }
}

/// What to do where the trust file speaks against an artifact.
fn hint(refusal: &Refusal, rebuild: Option<&str>) -> String {
    let rebuild = rebuild.unwrap_or("bls-compile app.wasm");
    let doubt = match refusal {
        Refusal::Key(_, doubt) => doubt,
        Refusal::Threshold { doubt: Some((_, doubt)), .. } => doubt,
        Refusal::Threshold { doubt: None, .. } => {
            return "get it with the signatures of more builders whom this machine trusts".into();
        }
        Refusal::Revoked(..) => {
            return "do not run it: get a newer release; the trust file's keeper knows why".into();
        }
        Refusal::Compiler(..) | Refusal::Engine(..) | Refusal::Unversioned(..) => {
            return format!("make it anew with a bls-compile that is not refused: {rebuild}");
        }
        Refusal::Clock(_) => &Doubt::Clock(0),
        Refusal::Expired(_) => {
            return "get a newer release of it, or check this machine's clock".into();
        }
    };
    match doubt {
        Doubt::Revoked => {
            format!("have it made anew and signed by a key that is not revoked: {rebuild}")
        }
        Doubt::Author => format!("have a trusted builder compile and sign it: {rebuild}"),
        Doubt::Name(_) => {
            "a trust file says which names a key may sign: bls-load trust show".into()
        }
        Doubt::Capabilities(_) => {
            "a trust file says what a key may ask for: bls-load trust show; or build it without".into()
        }
        Doubt::NotYet(_) => "wait until then, or check this machine's clock".into(),
        Doubt::Expired(_) => {
            format!("have it made anew and signed by a key that is valid: {rebuild}")
        }
        Doubt::Clock(_) => {
            r#"set this machine's clock; where there is none: --clock-unset, or "clock": "ignore" in a trust file"#
                .into()
        }
    }
}

/// The command that makes an artifact like this one.
pub(super) fn rebuild(manifest: &Manifest) -> String {
    let targets: Vec<String> = manifest.parts.iter().map(Part::machine).collect();
    let fuel = if manifest.fuel.is_none() { "--no-fuel " } else { "" };
    let is_checked = |part: &Part| part.profile.bounds() == Bounds::Checked;
    let memory = if manifest.parts.iter().any(is_checked) { "--memory checked " } else { "" };
    let name = &manifest.name;
    format!(
        "bls-compile {fuel}{memory}--target {} -o {name}.bls {name}.wasm, whose sha256sum is {}",
        targets.join(","),
        manifest.source
    )
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        let errno = match error {
            ReadError::System(errno) => errno,
            ReadError::Shrunk => rustix::io::Errno::IO,
        };
        Self::System("read", "the code in memory".into(), errno)
    }
}

impl From<ReadError> for Reason {
    fn from(error: ReadError) -> Self {
        Self::Image(error.into())
    }
}
