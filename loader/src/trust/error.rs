//! What can be wrong with trust files, in words, and what to do about it.

use crate::error::{Cause, StageError};
use crate::guarded::GuardError;
use bls_artifact::key::{KeyError, KeyId};
use bls_artifact::passwd;
use bls_artifact::trust::signed::SignedError;
use bls_artifact::trust::{self, TrustError as ContentsError};
use std::fmt;
use std::path::{Path, PathBuf};

/// Why there is nobody to trust, or a trust file cannot be changed.
#[derive(Debug)]
pub(crate) enum TrustError {
    /// No trust file where the user's would be.
    Missing(PathBuf),
    /// This user has no home in the password database.
    NoHome,
    /// The password database cannot be read, so nobody knows where the user's file is.
    Database(GuardError),
    /// A file that cannot be read, or that others could have written.
    File(GuardError),
    /// A file that cannot be written.
    Write(PathBuf, std::io::Error),
    /// The contents are no trust file, or cannot be changed so.
    Contents(PathBuf, ContentsError),
    /// A signed trust file that must not act.
    Signed(PathBuf, SignedError),
    /// The contents are no key.
    Key(PathBuf, KeyError),
    /// Not signed, where a signed one was accepted: its sequence.
    Unsigned(PathBuf, u64),
    /// Not there, where a signed one was accepted: its sequence.
    Gone(PathBuf, u64),
    /// Signed, and not what was accepted there.
    NotAccepted(PathBuf),
    /// An older one than was accepted there: its sequence, and the highest seen.
    Rollback(PathBuf, u64, u64),
    /// What was remembered of the accepted file cannot be read.
    State(PathBuf, ContentsError),
    /// A plain file, where a signed one is to be accepted.
    Plain(PathBuf),
    /// A new file would take the place of another.
    Exists(PathBuf),
    /// A signed file would make keys forgotten that the plain one in its place trusts.
    Forgets(PathBuf, Vec<KeyId>),
    /// No key in the file has this id, or an id that begins so.
    NoKey(PathBuf, String),
    /// Several have one that begins so.
    Ambiguous(PathBuf, String, Vec<KeyId>),
}

impl fmt::Display for TrustError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => {
                write!(formatter, "no key is trusted: there is no {}", path.display())
            }
            Self::NoHome => write!(
                formatter,
                "there is no {}, and user {} has no home folder in {}",
                trust::SYSTEM_FILE,
                rustix::process::geteuid().as_raw(),
                passwd::DATABASE
            ),
            Self::Database(error) => write!(
                formatter,
                "nobody knows whose trust file decides: there is no {}, and {error}",
                trust::SYSTEM_FILE
            ),
            Self::File(error) => error.fmt(formatter),
            Self::Write(path, error) => {
                write!(formatter, "cannot write {}: {error}", path.display())
            }
            Self::Contents(path, error) => write!(formatter, "{}: {error}", path.display()),
            Self::Signed(path, error) => write!(formatter, "{}: {error}", path.display()),
            Self::Key(path, error) => write!(formatter, "{} is {error}", path.display()),
            Self::Unsigned(path, seen) => write!(
                formatter,
                "{} is not signed, and a signed one of sequence {seen} was accepted there",
                path.display()
            ),
            Self::Gone(path, seen) => write!(
                formatter,
                "{} is gone, and a signed one of sequence {seen} was accepted there",
                path.display()
            ),
            Self::NotAccepted(path) => write!(
                formatter,
                "{} is signed, and is not the file that was accepted there",
                path.display()
            ),
            Self::Rollback(path, sequence, seen) => write!(
                formatter,
                "{} is of sequence {sequence}, and {seen} was accepted there: it was rolled back",
                path.display()
            ),
            Self::State(path, error) => write!(
                formatter,
                "{} says which signed trust file was accepted, and cannot be read: {error}",
                path.display()
            ),
            Self::Plain(path) => write!(formatter, "{} is not signed", path.display()),
            Self::Exists(path) => write!(formatter, "{} exists", path.display()),
            Self::Forgets(path, keys) => write!(
                formatter,
                "{} trusts {}, and the new file does not",
                path.display(),
                listed(keys)
            ),
            Self::NoKey(path, id) => {
                write!(formatter, "{} has no key whose id begins with {id}", path.display())
            }
            Self::Ambiguous(path, id, keys) => write!(
                formatter,
                "{} has {} keys whose ids begin with {id}: {}",
                path.display(),
                keys.len(),
                listed(keys)
            ),
        }
    }
}

/// Ids in a sentence.
fn listed(keys: &[KeyId]) -> String {
    let ids: Vec<String> = keys.iter().map(ToString::to_string).collect();
    ids.join(", ")
}

impl From<GuardError> for TrustError {
    fn from(error: GuardError) -> Self {
        Self::File(error)
    }
}

impl std::error::Error for TrustError {}

impl StageError for TrustError {
    const STAGE: &'static str = "trust";

    fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "trust.missing",
            Self::NoHome | Self::Database(_) => "trust.no-home",
            Self::File(error) => error.code(),
            Self::Write(..) => "trust.write",
            Self::Contents(_, error) => error.code(),
            Self::Signed(_, error) => error.code(),
            Self::Key(_, error) => error.code(),
            Self::Unsigned(..) => "trust.unsigned",
            Self::Gone(..) => "trust.gone",
            Self::NotAccepted(_) => "trust.not-accepted",
            Self::Rollback(..) => "trust.rollback",
            Self::State(..) => "trust.state",
            Self::Plain(_) => "trust.plain",
            Self::Exists(_) => "trust.exists",
            Self::Forgets(..) => "trust.forgets",
            Self::NoKey(..) => "trust.no-key",
            Self::Ambiguous(..) => "trust.ambiguous",
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Write(..) => Cause::Failed,
            Self::File(error) | Self::Database(error) => error.cause(),
            Self::Missing(_)
            | Self::NoHome
            | Self::Contents(..)
            | Self::Signed(..)
            | Self::Key(..)
            | Self::Unsigned(..)
            | Self::Gone(..)
            | Self::NotAccepted(_)
            | Self::Rollback(..)
            | Self::State(..)
            | Self::Plain(_)
            | Self::Exists(_)
            | Self::Forgets(..)
            | Self::NoKey(..)
            | Self::Ambiguous(..) => Cause::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing(_) if rustix::process::geteuid().is_root() => {
                "root trusts nobody of its own: bls-load trust add builder.pub, as root; or for \
                 everybody on this machine: trust add --system; or once: --trust builder.pub; \
                 bls-compile key export > builder.pub writes your own key"
                    .into()
            }
            Self::Missing(_) => {
                "if you trust a builder: bls-load trust add builder.pub, or --trust builder.pub"
                    .into()
            }
            Self::NoHome | Self::Database(_) => {
                "name a trust file or a public key: --trust builder.pub; a file is made with: \
                 bls-load trust add --file trust.json builder.pub, and for everybody with \
                 --system, by root; into a container mount it as /etc/bls/trust.json"
                    .into()
            }
            Self::File(error) => error.hint(),
            Self::Write(path, _) => {
                format!("see that you may write {} and the folder it is in", path.display())
            }
            Self::Contents(_, error) => error.hint().into(),
            Self::Signed(_, error) => error.hint().into(),
            Self::Key(_, KeyError::OtherOpenSsh | KeyError::SecurityKey) => {
                "artifacts are signed with Ed25519: ssh-keygen -t ed25519, or bls-compile key new"
                    .into()
            }
            Self::Key(..) => "its builder prints it with: bls-compile key export > KEY.pub".into(),
            Self::Unsigned(..) | Self::NotAccepted(_) => {
                "if it comes from its root keys: bls-load trust install FILE checks and accepts it"
                    .into()
            }
            Self::Gone(path, _) => {
                let system = if path == Path::new(trust::SYSTEM_FILE) { "--system " } else { "" };
                format!("get the newest file, and: bls-load trust install {system}FILE")
            }
            Self::Rollback(..) => {
                "get the newest file, and: bls-load trust install FILE; an older one would bring back what was revoked"
                    .into()
            }
            Self::State(path, _) => format!(
                "restore it from a backup; taking {} away makes the next install the first one",
                path.display()
            ),
            Self::Plain(_) => {
                "have it signed: bls-compile trust sign FILE --key ROOT.pem > SIGNED".into()
            }
            Self::Exists(_) => "change it with: bls-load trust add, or trust revoke".into(),
            Self::Forgets(..) => {
                "have its holders add them; or, to do without: trust install --replace, which \
                 keeps the old file beside the new one"
                    .into()
            }
            Self::NoKey(..) => "bls-load trust show shows the keys of a file".into(),
            Self::Ambiguous(..) => "give more digits of it".into(),
        })
    }
}
