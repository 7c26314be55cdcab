//! Finds, reads and extends trust files.
//!
//! The order: `--trust`; else `/etc/bls/trust.json` where it exists; else the
//! user's own file in the home folder of the password database. Never anything
//! from the environment, which a stranger's request may have chosen. Guarantees
//! that a default file is one that only its rightful owner can write
//! (`guarded.rs`). Does not judge artifacts.

use crate::error::StageError;
use crate::guarded::{GuardError, found, read};
use bls_artifact::key::{KeyError, PublicKey};
use bls_artifact::limits::{KEY_BYTES_MAX, PASSWD_BYTES_MAX, TRUST_BYTES_MAX};
use bls_artifact::passwd;
use bls_artifact::trust::{self, Trust};
use rustix::fs::FlockOperation;
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Why there is nobody to trust.
#[derive(Debug)]
pub(crate) enum TrustError {
    /// No trust file where the user's would be.
    Missing(PathBuf),
    /// This user has no home in the password database.
    NoHome,
    /// A file that cannot be read, or that others could have written.
    File(GuardError),
    /// The user's file cannot be written.
    Write(PathBuf, std::io::Error),
    /// The contents are no trust file.
    Contents(PathBuf, trust::TrustError),
    /// The contents are no key.
    Key(PathBuf, KeyError),
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
            Self::File(error) => error.fmt(formatter),
            Self::Write(path, error) => {
                write!(formatter, "cannot write {}: {error}", path.display())
            }
            Self::Contents(path, error) => write!(formatter, "{}: {error}", path.display()),
            Self::Key(path, error) => write!(formatter, "{} is {error}", path.display()),
        }
    }
}

impl From<GuardError> for TrustError {
    fn from(error: GuardError) -> Self {
        Self::File(error)
    }
}

impl StageError for TrustError {
    const STAGE: &'static str = "trust";

    fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "trust.missing",
            Self::NoHome => "trust.no-home",
            Self::File(error) => error.code(),
            Self::Write(..) => "trust.write",
            Self::Contents(_, error) => error.code(),
            Self::Key(_, error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing(_) => {
                "if you trust a builder: bls-load trust add builder.pub, or --trust builder.pub"
                    .into()
            }
            Self::NoHome => "name a trust file or a public key: --trust builder.pub".into(),
            Self::File(error) => error.hint(),
            Self::Write(path, _) => {
                format!("see that you may write {} and the folder it is in", path.display())
            }
            Self::Contents(path, trust::TrustError::TooMany(_)) => {
                format!("take keys that are no longer needed out of {}", path.display())
            }
            Self::Contents(_, trust::TrustError::Form(_)) => "use a newer bls-load".into(),
            Self::Contents(..) => "trust files are written by: bls-load trust add KEY.pub".into(),
            Self::Key(..) => "its builder prints it with: bls-compile key export > KEY.pub".into(),
        })
    }
}

/// Who is trusted, and where that is written.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) trust: Trust,
}

/// Reads the file that decides: `explicit`, or the default.
pub(crate) fn load(explicit: Option<&Path>) -> Result<Source, TrustError> {
    if let Some(path) = explicit {
        let text = read(path, TRUST_BYTES_MAX, None)?;
        let trust = if text.trim_ascii_start().starts_with(b"-----BEGIN ") {
            Trust::only(parse_key(path, &text)?)
        } else {
            parse(path, &text)?
        };
        return Ok(Source { path: path.to_owned(), trust });
    }
    let system = Path::new(trust::SYSTEM_FILE);
    if let Some(text) = found(read(system, TRUST_BYTES_MAX, Some(&[0])))? {
        return Ok(Source { path: system.to_owned(), trust: parse(system, &text)? });
    }
    let path = user_file()?;
    match found(read(&path, TRUST_BYTES_MAX, Some(&owners())))? {
        Some(text) => Ok(Source { trust: parse(&path, &text)?, path }),
        None => Err(TrustError::Missing(path)),
    }
}

/// Adds a key to the user's file. Gives the key, and whether it is new.
pub(crate) fn add(key_path: &Path) -> Result<(PublicKey, PathBuf, bool), TrustError> {
    let key = parse_key(key_path, &read(key_path, KEY_BYTES_MAX, None)?)?;
    let path = user_file()?;
    // Another `trust add` waits until this one has written, and adds to that.
    let _held = hold(&path).map_err(|error| TrustError::Write(path.clone(), error))?;
    let mut trust = match found(read(&path, TRUST_BYTES_MAX, Some(&owners())))? {
        Some(text) => parse(&path, &text)?,
        None => Trust::default(),
    };
    let comment = key_path.file_name().unwrap_or_default().to_string_lossy();
    let comment: String = comment.chars().filter(|letter| !letter.is_control()).take(80).collect();
    let new = trust.add(key.clone(), &comment);
    if new {
        // What is written must be what can be read again.
        parse(&path, trust.to_text().as_bytes())?;
        replace(&path, trust.to_text().as_bytes())
            .map_err(|error| TrustError::Write(path.clone(), error))?;
    }
    Ok((key, path, new))
}

/// Whether the system's file decides on this machine, whatever the user adds.
pub(crate) fn system_file_exists() -> bool {
    rustix::fs::lstat(trust::SYSTEM_FILE).is_ok()
}

/// Who may own a user's trust file.
fn owners() -> [u32; 2] {
    [rustix::process::geteuid().as_raw(), 0]
}

/// Where this user's own trust file is.
fn user_file() -> Result<PathBuf, TrustError> {
    let database = read(Path::new(passwd::DATABASE), PASSWD_BYTES_MAX, Some(&[0]))?;
    let database = String::from_utf8_lossy(&database);
    let home = passwd::home(&database, rustix::process::geteuid().as_raw());
    Ok(home.ok_or(TrustError::NoHome)?.join(passwd::USER_FOLDER).join(trust::USER_FILE))
}

fn parse(path: &Path, text: &[u8]) -> Result<Trust, TrustError> {
    Trust::parse(text).map_err(|error| TrustError::Contents(path.to_owned(), error))
}

fn parse_key(path: &Path, text: &[u8]) -> Result<PublicKey, TrustError> {
    std::str::from_utf8(text)
        .map_err(|_| KeyError::NotPublic)
        .and_then(PublicKey::from_pem)
        .map_err(|error| TrustError::Key(path.to_owned(), error))
}

/// Makes the folder of `path`, mode 0700, and keeps others from writing there by these
/// rules for as long as what it gives lives.
fn hold(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::DirBuilderExt as _;
    let folder = folder_of(path);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let held = File::open(folder)?;
    rustix::fs::flock(&held, FlockOperation::LockExclusive)?;
    Ok(held)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// Puts `text` into `path`, all of it or nothing: mode 0600, on the disk before this
/// returns.
fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let folder = folder_of(path);
    let temporary = folder.join(format!(".trust.{}.tmp", std::process::id()));
    let write = || {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    let written = write();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
