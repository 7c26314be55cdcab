//! Why a store does not give or take something, in words.

use super::{SYSTEM_STORE, record::RecordError};
use crate::error::{Cause, Error, StageError};
use crate::freshness::Stale;
use crate::guarded::GuardError;
use bls_artifact::digest::Sha256;
use bls_artifact::passwd;
use rustix::io::Errno;
use std::fmt;
use std::path::{Path, PathBuf};

/// What cannot be done where there is no store.
const OPEN: &str = "open the store";

/// Why a store does not give or take something.
#[derive(Debug)]
pub enum StoreError {
    /// The system's refusal: what could not be done, and with what.
    System(&'static str, PathBuf, Errno),
    /// Somebody else could have written it; who.
    Writable(PathBuf, &'static str),
    /// Not the kind of thing that belongs there; what it is.
    Kind(PathBuf, &'static str),
    /// Longer than it can be.
    TooLong(PathBuf),
    /// The record of a name cannot be read.
    Record(PathBuf, RecordError),
    /// There is nothing of this name, or of this identity, in these stores.
    NotInstalled(String, Vec<PathBuf>),
    /// What lies there is not what its name says.
    Damaged(PathBuf),
    /// What a record or an artifact refers to is not there.
    Missing(PathBuf),
    /// A name that `bls-load NAME` would not find.
    Name(String),
    /// The store belongs to another user.
    Foreign(PathBuf, u32),
    /// The user has no home, and so no store.
    NoHome(u32),
    /// The password database cannot be read: why, and whose fault that is.
    Database(String, Cause),
    /// Another release has come first.
    Stale(String, Stale),
    /// What was to be installed is not what was signed: why.
    Contents(Box<Error>),
    /// Several of what is installed have an identity that begins so.
    Ambiguous(String, Vec<Sha256>),
    /// No earlier release of this name is kept in this store.
    NothingBefore(String, PathBuf),
    /// Several releases of this name may be the one before.
    SeveralBefore(String, Vec<Sha256>),
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(what, path, errno) => {
                let error = std::io::Error::from(*errno);
                write!(formatter, "cannot {what} {}: {error}", path.display())
            }
            Self::Writable(path, who) => {
                write!(formatter, "{} can be written by {who}, so it says nothing", path.display())
            }
            Self::Kind(path, kind) => {
                write!(formatter, "{} is {kind}, which no install leaves there", path.display())
            }
            Self::TooLong(path) => {
                write!(formatter, "{} is longer than it can be", path.display())
            }
            Self::Record(path, RecordError::Damaged) => write!(
                formatter,
                "{} is damaged, and with it the highest release that was seen",
                path.display()
            ),
            Self::Record(path, RecordError::Future) => {
                write!(formatter, "{} was written by a newer bls-load", path.display())
            }
            Self::NotInstalled(word, stores) => {
                write!(formatter, "{word} is not installed")?;
                for (index, store) in stores.iter().enumerate() {
                    let before = if index == 0 { " in" } else { " or" };
                    write!(formatter, "{before} {}", store.display())?;
                }
                Ok(())
            }
            Self::Damaged(path) => {
                write!(formatter, "{} is damaged: it is not what its name says", path.display())
            }
            Self::Missing(path) => write!(formatter, "{} is missing", path.display()),
            Self::Name(name) => {
                write!(formatter, "the name {name} could not be run as bls-load {name}")
            }
            Self::Foreign(path, owner) => {
                write!(formatter, "{} belongs to another user, number {owner}", path.display())
            }
            Self::NoHome(user) => {
                write!(formatter, "user {user} has no home folder in {}", passwd::DATABASE)
            }
            Self::Database(what, _) => {
                write!(formatter, "nobody knows where your own store is: {what}")
            }
            Self::Stale(name, stale) => write!(formatter, "{name}: {stale}"),
            Self::Contents(why) => why.fmt(formatter),
            Self::Ambiguous(digits, all) => {
                write!(formatter, "sha256:{digits} is short for {} of what is", all.len())?;
                write!(formatter, " installed:")?;
                all.iter().try_for_each(|identity| write!(formatter, " sha256:{identity}"))
            }
            Self::NothingBefore(name, store) => {
                write!(formatter, "no earlier release of {name} is kept in {}", store.display())
            }
            Self::SeveralBefore(name, all) => {
                write!(formatter, "several releases of {name} have the sequence before:")?;
                all.iter().try_for_each(|identity| write!(formatter, " sha256:{identity}"))
            }
        }
    }
}

impl std::error::Error for StoreError {}

impl StoreError {
    /// The same about the place of the user's own store, which is asked for again.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Database(what, cause) => Self::Database(what.clone(), *cause),
            _ => Self::NoHome(rustix::process::geteuid().as_raw()),
        }
    }

    /// Whether there is no store where one is named.
    pub(crate) fn is_no_store(&self) -> bool {
        matches!(self, Self::System(OPEN, _, Errno::NOENT))
    }

    /// Whether what lies there is at fault, and not the system.
    pub(crate) fn is_of_contents(&self) -> bool {
        !matches!(self, Self::System(..))
    }

    /// There is no store where one is named.
    pub(crate) fn missing(path: &Path) -> Self {
        Self::System(OPEN, path.to_owned(), Errno::NOENT)
    }
}

impl From<GuardError> for StoreError {
    fn from(error: GuardError) -> Self {
        Self::Database(error.to_string(), error.cause())
    }
}

impl StageError for StoreError {
    const STAGE: &'static str = "store";

    fn code(&self) -> &'static str {
        match self {
            Self::System(_, _, Errno::NOSPC | Errno::DQUOT) => "store.full",
            Self::System(..) => "store.system",
            Self::Writable(..) => "store.writable",
            Self::Kind(..) => "store.kind",
            Self::TooLong(_) => "store.too-long",
            Self::Record(_, RecordError::Damaged) => "store.record",
            Self::Record(_, RecordError::Future) => "store.future",
            Self::NotInstalled(..) => "store.not-installed",
            Self::Damaged(_) => "store.damaged",
            Self::Missing(_) => "store.missing",
            Self::Name(_) => "store.name",
            Self::Foreign(..) => "store.foreign",
            Self::NoHome(_) => "store.no-home",
            Self::Database(..) => "store.database",
            Self::Stale(_, stale) => stale.code(),
            Self::Ambiguous(..) => "store.ambiguous",
            Self::Contents(why) => why.code(),
            Self::NothingBefore(..) => "store.nothing-before",
            Self::SeveralBefore(..) => "store.several-before",
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::System(_, _, errno) => Cause::of_named(*errno),
            Self::Database(_, cause) => *cause,
            Self::Contents(why) => why.cause(),
            Self::Writable(..)
            | Self::Kind(..)
            | Self::TooLong(_)
            | Self::Record(..)
            | Self::NotInstalled(..)
            | Self::Damaged(_)
            | Self::Missing(_)
            | Self::Name(_)
            | Self::Foreign(..)
            | Self::NoHome(_)
            | Self::Stale(..)
            | Self::Ambiguous(..)
            | Self::NothingBefore(..)
            | Self::SeveralBefore(..) => Cause::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::System(_, _, Errno::NOSPC | Errno::DQUOT) => {
                "make room; bls-load gc removes what no name refers to".into()
            }
            Self::System(_, _, Errno::ACCESS | Errno::PERM) => {
                "do it as the user the store belongs to, or name another one: --store DIR".into()
            }
            Self::System(_, _, Errno::ROFS) => {
                "its filesystem cannot be written: name another store, --store DIR, for \
                 installing and for running"
                    .into()
            }
            Self::System(_, path, Errno::NOENT) => {
                format!("nothing was installed there yet: see that {} exists", path.display())
            }
            Self::System(..) => return None,
            Self::Contents(why) => return why.hint().map(str::to_owned),
            Self::Writable(path, "another user") => {
                format!("see who owns {}: all of a store has one owner", path.display())
            }
            Self::Writable(path, _) => {
                format!(
                    "see that what lies there is yours, then: chmod go-w {}; bls-load verify --all",
                    path.display()
                )
            }
            Self::Kind(path, _) => format!(
                "{} belongs to no store: take it away and install again, or name another store: \
                 --store DIR",
                path.display()
            ),
            Self::TooLong(path) | Self::Damaged(path) | Self::Missing(path) => {
                let store = path.parent().and_then(Path::parent);
                let store = store.map_or_else(String::new, |path| path.display().to_string());
                format!("install the artifact again, into {store}")
            }
            Self::Record(path, RecordError::Damaged) => format!(
                "restore it from a backup; or, to accept any release of that name once more, \
                 remove {} and install the newest",
                path.display()
            ),
            Self::Record(_, RecordError::Future) => "use a newer bls-load".into(),
            Self::NotInstalled(word, _) if word.starts_with("sha256:") => {
                "bls-load list shows what is".into()
            }
            Self::NotInstalled(word, _) => format!(
                "bls-load list shows what is; a file of that name is run as: bls-load ./{word}"
            ),
            Self::Name(_) => "give it another name: bls-compile --name NAME".into(),
            Self::Foreign(..) => "do it as that user, or name another store: --store DIR".into(),
            Self::NoHome(_) => {
                format!("name a store: --store DIR; or use {SYSTEM_STORE}, as root")
            }
            Self::Database(..) => "name a store: --store DIR".into(),
            Self::Stale(_, stale) => stale.hint().into(),
            Self::Ambiguous(..) => "give more digits of it".into(),
            Self::NothingBefore(..) => {
                "gc removes what was replaced; install the artifact of that release again, if its \
                 sequence is not lower"
                    .into()
            }
            Self::SeveralBefore(name, _) => {
                format!("say which: bls-load rollback {name} sha256:HEX")
            }
        })
    }
}
