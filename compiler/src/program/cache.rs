//! Artifacts that were compiled before, found by what they were made of.
//!
//! ```text
//! ~/.cache/bls/NAME-ENTRY.bls   what `bls-compile run` keeps
//! DIR/ENTRY.bls                 what `--cache DIR` keeps
//! URL/ENTRY                     what `--cache URL` keeps, for many builders
//! ENTRY: SHA-256 of the key (`key_of.rs`) and of the id of who signed it
//! ```
//!
//! May assume nothing about what lies there. What an entry holds is judged by whoever takes it
//! (`again.rs`): who may write to a cache can make work necessary, and nothing else.

mod folder;
mod server;

use bls_artifact::digest::Sha256;
use bls_artifact::key::KeyId;
pub use folder::{BYTES_MAX, ENTRIES_MAX, Folder};
pub use server::{Server, is_server};
use std::path::PathBuf;
use std::{fmt, io};

/// What a file of an entry is called behind its digest.
const EXTENSION: &str = ".bls";

/// Why nothing can be kept.
#[derive(Debug)]
pub enum CacheError {
    /// The user has no home folder.
    NoHome(String),
    /// The folder cannot be used.
    Folder(PathBuf, io::Error),
    /// The folder belongs to another user, or others may write it.
    Others(PathBuf),
    /// An entry cannot be written.
    Write(PathBuf, io::Error),
    /// A server does not do it: its URL, and what is said of it.
    Server(String, String),
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHome(why) => write!(f, "there is no folder to keep what is compiled: {why}"),
            Self::Folder(path, error) => {
                write!(f, "cannot keep what is compiled in {}: {error}", path.display())
            }
            Self::Others(path) => {
                write!(f, "{} belongs to another user, or others may write there", path.display())
            }
            Self::Write(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            Self::Server(place, what) => write!(f, "{place}: {what}"),
        }
    }
}

impl std::error::Error for CacheError {}

impl CacheError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoHome(_) => "cache.no-home",
            Self::Folder(..) => "cache.folder",
            Self::Others(_) => "cache.others",
            Self::Write(..) => "cache.unwritable",
            Self::Server(..) => "cache.server",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let steps = "compile and run in two steps: bls-compile app.wasm && bls-load app.bls";
        match self {
            Self::Others(path) => {
                format!("chmod go-w {}, if it is yours; or {steps}", path.display())
            }
            _ => steps.to_owned(),
        }
    }
}

/// What an entry is called: of a key, by whom it is signed, and, where there may be several of
/// the two, the name that the artifact has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    name: Option<&'a str>,
    digest: Sha256,
}

impl<'a> Entry<'a> {
    /// Of this key, signed by this signer.
    #[must_use]
    pub fn new(name: Option<&'a str>, key: Sha256, signer: KeyId) -> Self {
        Self { name, digest: Sha256::of(format!("{key}\n{signer}\n").as_bytes()) }
    }

    fn file_name(&self) -> String {
        let digest = self.digest;
        self.name.map_or_else(
            || format!("{digest}{EXTENSION}"),
            |name| format!("{name}-{digest}{EXTENSION}"),
        )
    }
}

/// An entry that is there, whatever it holds.
#[derive(Debug)]
pub struct Found {
    /// Where: a path, or a URL.
    pub place: String,
    /// Its file, where it is one.
    pub path: Option<PathBuf>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Where artifacts are kept: in a folder, on a server, or in both.
#[derive(Debug, Default)]
pub struct Cache {
    folder: Option<Folder>,
    server: Option<Server>,
}

impl From<Folder> for Cache {
    fn from(folder: Folder) -> Self {
        Self { folder: Some(folder), server: None }
    }
}

impl Cache {
    /// Those of these that can be used; `refused` is told of the others.
    #[must_use]
    pub fn open(
        folder: Option<Folder>,
        server: Option<Server>,
        refused: &mut dyn FnMut(&CacheError),
    ) -> Self {
        let mut usable = |opened: Result<(), CacheError>| match opened {
            Ok(()) => true,
            Err(error) => {
                refused(&error);
                false
            }
        };
        let folder = folder.filter(|folder| usable(folder.open()));
        let server = server.filter(|server| usable(server.open()));
        Self { folder, server }
    }

    /// Makes the folder where it is missing, and sees whether it can be used.
    ///
    /// # Errors
    /// It cannot.
    pub fn make(&self) -> Result<(), CacheError> {
        self.folder.as_ref().map_or(Ok(()), Folder::open)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.folder.is_none() && self.server.is_none()
    }

    /// The entries of this name that are there, the nearest first, and what a place says that
    /// does not answer. Looks for each when it is asked for.
    pub fn find(&self, entry: Entry<'_>) -> impl Iterator<Item = Result<Found, CacheError>> {
        let near = self.folder.iter().filter_map(move |folder| {
            let (path, bytes) = folder.find(&entry)?;
            Some(Ok(Found { place: path.display().to_string(), path: Some(path), bytes }))
        });
        let far = self.server.iter().filter_map(move |server| {
            let place = server.place().to_owned();
            let found = server.find(&entry).transpose()?;
            Some(found.map(|bytes| Found { place, path: None, bytes }))
        });
        near.chain(far)
    }

    /// Keeps an artifact in the folder, and, if it is new there, on the server; where its file
    /// is then. `refused` is told of a place that does not take it.
    pub fn keep(
        &self,
        entry: Entry<'_>,
        artifact: &[u8],
        is_new: bool,
        refused: &mut dyn FnMut(CacheError),
    ) -> Option<PathBuf> {
        let kept = self.folder.as_ref().map(|folder| folder.keep(&entry, artifact));
        let server = self.server.as_ref().filter(|_| is_new);
        if let Some(Err(error)) = server.map(|server| server.keep(&entry, artifact)) {
            refused(error);
        }
        match kept? {
            Ok(path) => Some(path),
            Err(error) => {
                refused(error);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_of_a_key_and_a_signer() {
        let (key, signer) = (Sha256::of(b"key"), Sha256::of(b"signer"));
        let usual = Entry::new(None, key, signer).file_name();
        assert_ne!(Entry::new(None, signer, key).file_name(), usual);
        assert_ne!(Entry::new(None, key, key).file_name(), usual);
        assert_eq!(
            Entry::new(Some("app.local"), key, signer).file_name(),
            format!("app.local-{usual}")
        );
        assert!(folder::is_entry(&usual) && folder::is_entry(&format!("a-b-{usual}")));
        for other in ["", ".bls", "app.bls", &usual[1..], &format!("{usual}.txt")] {
            assert!(!folder::is_entry(other), "{other:?}");
        }
    }
}
