//! Finds and reads the trust file that decides.
//!
//! The order: `--trust`; else `/etc/bls/trust.json` where it exists; else the
//! user's own file in the home folder of the password database. Never anything
//! from the environment, which a stranger's request may have chosen. Guarantees
//! that a default file is one that only its rightful owner can have put there
//! (`guarded.rs`), and that a signed one is, byte for byte, what was accepted there
//! (`trust/accept.rs`), after which an unsigned one there says nothing, and none there is
//! an error. Does not judge artifacts. Files are changed by `trust/edit.rs`.

mod accept;
mod edit;
mod error;

use crate::guarded::{self, read, read_place};
pub(crate) use accept::{examine, install};
use bls_artifact::key::{KeyError, PublicKey};
use bls_artifact::limits::TRUST_BYTES_MAX;
use bls_artifact::passwd;
use bls_artifact::trust::signed::{Accepted, Signed, is_signed};
use bls_artifact::trust::{self, Trust};
pub(crate) use edit::{Asked, KeyName, Revocation, add, init, remove, revoke};
pub(crate) use error::TrustError;
use std::path::{Path, PathBuf};

/// Who is trusted, and where that is written.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) trust: Trust,
}

/// A trust file that is to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The user's own.
    Own,
    /// The machine's.
    System,
    /// One that is named, which acts nowhere.
    Named(PathBuf),
}

/// Reads the file that decides: `explicit`, or the default.
pub(crate) fn load(explicit: Option<&Path>) -> Result<Source, TrustError> {
    if let Some(path) = explicit {
        return Ok(Source { path: path.to_owned(), trust: load_named(path)? });
    }
    let system = Place::system();
    if let Some(trust) = system.load()? {
        return Ok(Source { path: system.file, trust });
    }
    let own = Place::own()?;
    match own.load()? {
        Some(trust) => Ok(Source { path: own.file, trust }),
        None => Err(TrustError::Missing(own.file)),
    }
}

/// A file that the user names: a trust file, signed or not, or the key to trust. Its
/// signatures are checked; it is compared with nothing that was accepted elsewhere.
pub(crate) fn load_named(path: &Path) -> Result<Trust, TrustError> {
    parse_any(path, &read(path, TRUST_BYTES_MAX)?)
}

/// The contents of such a file.
pub(crate) fn parse_any(path: &Path, text: &[u8]) -> Result<Trust, TrustError> {
    // A public key in PEM, or as the line of OpenSSH's; a trust file begins with a brace.
    let begin = text.trim_ascii_start();
    if [&b"-----BEGIN "[..], b"ssh-", b"sk-", b"ecdsa-"].iter().any(|key| begin.starts_with(key)) {
        return Ok(Trust::only(parse_key(path, text)?));
    }
    if !is_signed(text) {
        return parse(path, text);
    }
    let wrong = |error| TrustError::Signed(path.to_owned(), error);
    let signed = Signed::parse(text).map_err(wrong)?;
    signed.check_own().map_err(wrong)?;
    Ok(signed.into_trust())
}

/// A place where a trust file acts by default.
#[derive(Clone, Debug)]
struct Place {
    file: PathBuf,
    /// What is remembered of the signed file that was accepted here.
    state: PathBuf,
    /// Who may own both.
    owners: Vec<u32>,
    /// Mode of new files, and of new folders.
    modes: (u32, u32),
}

impl Place {
    /// The system's: everybody reads it, and root alone writes it.
    fn system() -> Self {
        Self {
            file: trust::SYSTEM_FILE.into(),
            state: trust::SYSTEM_STATE.into(),
            owners: vec![0],
            modes: (0o644, 0o755),
        }
    }

    /// This user's own.
    fn own() -> Result<Self, TrustError> {
        let user = rustix::process::geteuid().as_raw();
        let home = guarded::home(user).map_err(TrustError::Database)?;
        let folder = home.ok_or(TrustError::NoHome)?.join(passwd::USER_FOLDER);
        Ok(Self::in_folder(&folder, user))
    }

    fn in_folder(folder: &Path, user: u32) -> Self {
        Self {
            file: folder.join(trust::USER_FILE),
            state: folder.join(trust::USER_STATE),
            owners: vec![user, 0],
            modes: (0o600, 0o700),
        }
    }

    /// The file's text, where there is one.
    fn text(&self) -> Result<Option<Vec<u8>>, TrustError> {
        Ok(read_place(&self.file, TRUST_BYTES_MAX, &self.owners)?)
    }

    /// What was accepted here, where anything was.
    fn accepted(&self) -> Result<Option<Accepted>, TrustError> {
        self.parse_accepted(read_place(&self.state, TRUST_BYTES_MAX, &self.owners)?)
    }

    fn parse_accepted(&self, text: Option<Vec<u8>>) -> Result<Option<Accepted>, TrustError> {
        let Some(text) = text else { return Ok(None) };
        match Accepted::parse(&text) {
            Ok(accepted) => Ok(Some(accepted)),
            Err(error) => Err(TrustError::State(self.state.clone(), error)),
        }
    }

    /// The trust file here, if there is one. A run writes nothing and checks no
    /// signature of it: that was done when it was accepted.
    fn load(&self) -> Result<Option<Trust>, TrustError> {
        let path = || self.file.clone();
        let places = [self.file.as_path(), self.state.as_path()];
        let [text, state] = guarded::read_places(places, TRUST_BYTES_MAX, &self.owners)?;
        let accepted = self.parse_accepted(state)?;
        let Some(text) = text else {
            // Whoever takes a signed file away must not choose what decides instead.
            return match accepted {
                Some(accepted) => Err(TrustError::Gone(path(), accepted.sequence())),
                None => Ok(None),
            };
        };
        match (is_signed(&text), accepted) {
            (false, None) => parse(&self.file, &text).map(Some),
            (false, Some(accepted)) => Err(TrustError::Unsigned(path(), accepted.sequence())),
            (true, None) => Err(TrustError::NotAccepted(path())),
            (true, Some(accepted)) => {
                let signed =
                    Signed::parse(&text).map_err(|error| TrustError::Signed(path(), error))?;
                if accepted.is(&text) {
                    return Ok(Some(signed.into_trust()));
                }
                let (sequence, seen) = (signed.trust().sequence, accepted.sequence());
                Err(if sequence < seen {
                    TrustError::Rollback(path(), sequence, seen)
                } else {
                    TrustError::NotAccepted(path())
                })
            }
        }
    }
}

/// Whether the system's file decides on this machine, whatever the user adds.
pub(crate) fn system_file_exists() -> bool {
    rustix::fs::lstat(trust::SYSTEM_FILE).is_ok()
}

fn parse(path: &Path, text: &[u8]) -> Result<Trust, TrustError> {
    Trust::parse(text).map_err(|error| TrustError::Contents(path.to_owned(), error))
}

fn parse_key(path: &Path, text: &[u8]) -> Result<PublicKey, TrustError> {
    std::str::from_utf8(text)
        .map_err(|_| KeyError::NotPublic)
        .and_then(PublicKey::from_text)
        .map_err(|error| TrustError::Key(path.to_owned(), error))
}
