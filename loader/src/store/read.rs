//! Reads a store: its folders and files by descriptors that are checked once.
//!
//! Assumes nothing about what lies there. Guarantees that whatever it gives comes from
//! a regular file that belongs to the store's owner and that nobody else may write, in
//! folders of which the same holds; no link is followed below the store, and nothing
//! waits. A run takes no lock: what it opens does not change any more, and what was
//! replaced in between is [`StoreError::Missing`], which the caller looks up again.

use super::guard::{StoredImage, irregular, others_may_write};
use super::record::Record;
use super::{Folder, Oddity, StoreError, Wanted};
use crate::freshness::Seen;
use crate::guarded::belongs_to;
use crate::open::fill;
use bls_artifact::digest::Sha256;
use bls_artifact::envelope::Envelope;
use bls_artifact::limits::{ENVELOPE_BYTES_MAX, RECORD_BYTES_MAX, STORE_ENTRIES_MAX};
use bls_artifact::manifest::{Image, Manifest, Statement};
use bls_artifact::name::is_name;
use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;
use std::cell::OnceCell;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Bytes of a note: the digits of an identity, and the end of the line.
const NOTE_BYTES: u64 = 65;

/// An open store. Its folder belongs to one user, and nobody else may write it.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    folder: OwnedFd,
    owner: u32,
    /// The folders inside, as far as they were needed.
    inside: [OnceCell<OwnedFd>; Folder::INSIDE.len()],
}

/// Something that is installed; nothing about it is verified.
#[derive(Debug)]
pub struct Installed<'a> {
    pub(crate) store: &'a Store,
    pub(crate) wanted: Wanted,
    pub(crate) identity: Sha256,
    pub(crate) envelope: Vec<u8>,
    /// What its store remembers of the name, where that is how it was found. Who
    /// installs a newer one meanwhile does not make this one old.
    pub(crate) seen: Option<Seen>,
}

/// An image that was found.
#[derive(Debug)]
pub(crate) enum FoundImage {
    /// Nobody but root could have written it.
    Guarded(StoredImage),
    /// It must be hashed; why.
    Odd(OwnedFd, Oddity),
}

impl FoundImage {
    /// The file, to be hashed, and why.
    pub(crate) fn into_file(self) -> (OwnedFd, Option<Oddity>) {
        match self {
            Self::Guarded(image) => (image.into_file().into(), None),
            Self::Odd(file, oddity) => (file, Some(oddity)),
        }
    }
}

impl Store {
    /// Opens the store at `path`, which may be a link; `None` when there is none. Only
    /// `owner` may own it, where one is given.
    ///
    /// # Errors
    /// [`StoreError`]: it is no folder, or others could have written it.
    pub fn open(path: &Path, owner: Option<u32>) -> Result<Option<Self>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = match rustix::fs::open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR) => return Err(StoreError::Kind(path.to_owned(), "no folder")),
            other => other.map_err(|errno| system("open the store", path, errno))?,
        };
        let status =
            rustix::fs::fstat(&folder).map_err(|errno| system("open the store", path, errno))?;
        let owner = match owner {
            // Root's, in a user namespace that has no root, are nobody's there.
            Some(owner) if !belongs_to(&[owner], status.st_uid) => owner,
            _ => status.st_uid,
        };
        let store = Self { path: path.to_owned(), folder, owner, inside: Default::default() };
        store.check_writers(&status, || store.path.clone())?;
        Ok(Some(store))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> u32 {
        self.owner
    }

    /// The path of something in it, for words only.
    pub(crate) fn path_of(&self, folder: Folder, name: &str) -> PathBuf {
        match folder {
            Folder::Store => self.path.join(name),
            _ => self.path.join(folder.name()).join(name),
        }
    }

    /// A descriptor of a folder; `None` when there is none.
    pub(super) fn folder(&self, folder: Folder) -> Result<Option<BorrowedFd<'_>>, StoreError> {
        let Some(index) = Folder::INSIDE.iter().position(|inside| *inside == folder) else {
            return Ok(Some(self.folder.as_fd()));
        };
        let cell = &self.inside[index];
        if let Some(open) = cell.get() {
            return Ok(Some(open.as_fd()));
        }
        let path = || self.path_of(Folder::Store, folder.name());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = match rustix::fs::openat(&self.folder, folder.name(), flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(StoreError::Kind(path(), "no folder")),
            other => other.map_err(|errno| system("open", &path(), errno))?,
        };
        let status = rustix::fs::fstat(&open).map_err(|errno| system("open", &path(), errno))?;
        self.check_writers(&status, path)?;
        Ok(Some(cell.get_or_init(|| open).as_fd()))
    }

    /// Refuses what somebody else than the store's owner may write.
    fn check_writers(
        &self,
        status: &Stat,
        path: impl FnOnce() -> PathBuf,
    ) -> Result<(), StoreError> {
        if status.st_uid != self.owner {
            return Err(StoreError::Writable(path(), "another user"));
        }
        if others_may_write(status) {
            return Err(StoreError::Writable(path(), "its group or others"));
        }
        Ok(())
    }

    /// Opens a regular file; `None` when there is none.
    fn file(&self, folder: Folder, name: &str) -> Result<Option<(OwnedFd, Stat)>, StoreError> {
        let Some(inside) = self.folder(folder)? else { return Ok(None) };
        let path = || self.path_of(folder, name);
        // Non-blocking, so that a FIFO cannot hold us before we know that it is one.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = flags | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(inside, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(StoreError::Kind(path(), "a symbolic link")),
            Err(Errno::NXIO) => return Err(StoreError::Kind(path(), "a socket")),
            other => other.map_err(|errno| system("read", &path(), errno))?,
        };
        let status = rustix::fs::fstat(&file).map_err(|errno| system("read", &path(), errno))?;
        match irregular(&status) {
            Some(kind) => Err(StoreError::Kind(path(), kind)),
            None => Ok(Some((file, status))),
        }
    }

    /// All of a small file; `None` when there is none.
    pub(super) fn read(
        &self,
        folder: Folder,
        name: &str,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((file, status)) = self.file(folder, name)? else { return Ok(None) };
        let path = || self.path_of(folder, name);
        self.check_writers(&status, path)?;
        let length = u64::try_from(status.st_size).unwrap_or(u64::MAX);
        if length > bytes_max {
            return Err(StoreError::TooLong(path()));
        }
        let mut bytes = Vec::new();
        fill(&file, &mut bytes, length as usize).map_err(|errno| system("read", &path(), errno))?;
        Ok(Some(bytes))
    }

    /// The names in a folder, at most [`STORE_ENTRIES_MAX`] of them, sorted.
    pub(super) fn names(&self, folder: Folder) -> Result<Vec<String>, StoreError> {
        let Some(inside) = self.folder(folder)? else { return Ok(Vec::new()) };
        let wrong = |errno| system("list", &self.path_of(Folder::Store, folder.name()), errno);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(inside).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            // Whatever else lies there is not ours.
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
            if names.len() > STORE_ENTRIES_MAX {
                return Err(wrong(Errno::OVERFLOW));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The record of a name; `None` when it was never installed here.
    ///
    /// # Errors
    /// [`StoreError`]; one that is damaged is not forgotten.
    pub fn record(&self, name: &str) -> Result<Option<Record>, StoreError> {
        let Some(text) = self.read(Folder::Names, name, RECORD_BYTES_MAX)? else {
            return Ok(None);
        };
        let damaged = |error| StoreError::Record(self.path_of(Folder::Names, name), error);
        Record::parse(&text, name).map(Some).map_err(damaged)
    }

    /// The names that have records.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn known_names(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.names(Folder::Names)?.into_iter().filter(|name| is_name(name)).collect())
    }

    /// The identities of all artifacts that are there, named or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn identities(&self) -> Result<Vec<Sha256>, StoreError> {
        let names = self.names(Folder::Artifacts)?;
        Ok(names.iter().filter_map(|name| Sha256::from_hex(name)).collect())
    }

    /// The identity that was noted last for what is made of this source. It decides nothing,
    /// so a note that cannot be read is as good as none.
    pub(crate) fn noted(&self, source: Sha256) -> Option<Sha256> {
        let text = self.read(Folder::Sources, &source.to_string(), NOTE_BYTES).ok()??;
        Sha256::from_hex(std::str::from_utf8(&text).ok()?.strip_suffix('\n')?)
    }

    /// The artifact of this identity; `None` when it is not there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn installed(
        &self,
        identity: Sha256,
        wanted: Wanted,
    ) -> Result<Option<Installed<'_>>, StoreError> {
        let envelope = self.read(Folder::Artifacts, &identity.to_string(), ENVELOPE_BYTES_MAX)?;
        Ok(envelope.map(|envelope| Installed {
            store: self,
            wanted,
            identity,
            envelope,
            seen: None,
        }))
    }

    /// Whether there is a file for this image.
    pub(crate) fn has_image(&self, image: &Image) -> Result<bool, StoreError> {
        Ok(self.file(Folder::Images, &image.sha256.to_string())?.is_some())
    }

    /// The file of an image.
    pub(crate) fn image(&self, image: &Image) -> Result<FoundImage, StoreError> {
        let name = image.sha256.to_string();
        let path = || self.path_of(Folder::Images, &name);
        let Some((file, status)) = self.file(Folder::Images, &name)? else {
            return Err(StoreError::Missing(path()));
        };
        if u64::try_from(status.st_size) != Ok(image.length) {
            return Err(StoreError::Damaged(path()));
        }
        Ok(match StoredImage::check(self.folder.as_fd(), self.owner, file, &status) {
            Ok(image) => FoundImage::Guarded(image),
            Err((file, oddity)) => FoundImage::Odd(file, oddity),
        })
    }
}

impl Installed<'_> {
    /// What its envelope says, which nobody has verified: for lists, and to find what
    /// it refers to.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn alleged(&self) -> Result<Manifest, StoreError> {
        let envelope = Envelope::parse(&self.envelope).ok();
        let envelope = envelope.filter(|envelope| envelope.identity() == self.identity);
        envelope
            .and_then(|envelope| Statement::parse(envelope.payload()).ok())
            .ok_or_else(|| StoreError::Damaged(self.path()))
    }

    /// Where its envelope is.
    pub(crate) fn path(&self) -> PathBuf {
        self.store.path_of(Folder::Artifacts, &self.identity.to_string())
    }
}

pub(super) fn system(what: &'static str, path: &Path, errno: Errno) -> StoreError {
    StoreError::System(what, path.to_owned(), errno)
}
