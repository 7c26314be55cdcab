//! The operations by which a store changes, and nothing else.
//!
//! [`Disk`] is all that the writer ([`crate::install`]) can do to a store, so that a test
//! can fail each operation, or cut the power behind it. [`System`] is the real one: it
//! holds the store's lock, and creates what it makes with modes that no umask changes.

use super::read::{Store, system};
use super::{Folder, StoreError};
use bls_artifact::digest::Sha256;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// A store that can be written. Everything that fails fails with a [`StoreError`].
pub trait Disk {
    /// A file that is being written.
    type File;

    /// Makes a folder; one that exists is left as it is.
    fn make(&mut self, folder: Folder) -> Result<(), StoreError>;
    /// Lists a folder; one that does not exist is empty.
    fn names(&mut self, folder: Folder) -> Result<Vec<String>, StoreError>;
    /// Reads a small file; `None` when there is none.
    fn read(
        &mut self,
        folder: Folder,
        name: &str,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, StoreError>;
    /// Creates a file that does not exist in [`Folder::Temporary`].
    fn create(&mut self, name: &str) -> Result<Self::File, StoreError>;
    /// Appends some of `bytes`; how many.
    fn write(&mut self, file: &mut Self::File, bytes: &[u8]) -> Result<usize, StoreError>;
    /// Brings a file's bytes to the disk.
    fn sync(&mut self, file: &Self::File) -> Result<(), StoreError>;
    /// Moves a file out of [`Folder::Temporary`], in the place of what was there.
    fn rename(&mut self, from: &str, folder: Folder, name: &str) -> Result<(), StoreError>;
    /// Brings a folder's names to the disk.
    fn sync_folder(&mut self, folder: Folder) -> Result<(), StoreError>;
    /// Removes a file; one that is not there is no error.
    fn remove(&mut self, folder: Folder, name: &str) -> Result<(), StoreError>;
    /// What to call a file in words.
    fn path(&self, folder: Folder, name: &str) -> std::path::PathBuf;
}

/// A store of the filesystem, locked for as long as this lives.
#[derive(Debug)]
pub struct System {
    store: Store,
    _lock: OwnedFd,
}

impl System {
    /// Opens the store at `path` for writing, and waits until nobody else writes; `None`
    /// when there is no store. `wait` is called before it has to wait.
    ///
    /// # Errors
    /// [`StoreError`]; among them that it belongs to another user.
    pub fn open(path: &Path, wait: impl FnOnce()) -> Result<Option<Self>, StoreError> {
        let Some(store) = Self::look(path)? else { return Ok(None) };
        let lock = lock(&store, wait)?;
        Ok(Some(Self { store, _lock: lock }))
    }

    /// The store that would be opened, to see what would be done with it: takes no lock, and
    /// makes nothing.
    ///
    /// # Errors
    /// [`StoreError`]; among them that it belongs to another user.
    pub fn look(path: &Path) -> Result<Option<Store>, StoreError> {
        let Some(store) = Store::open(path, None)? else { return Ok(None) };
        if store.owner() != rustix::process::geteuid().as_raw() {
            return Err(StoreError::Foreign(path.to_owned(), store.owner()));
        }
        Ok(Some(store))
    }

    /// The same, and makes it where there is none: root's can be read by all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn create(path: &Path, wait: impl FnOnce()) -> Result<Self, StoreError> {
        let root = rustix::process::geteuid().is_root();
        let mode = if root { 0o755 } else { 0o700 };
        make_path(path, mode).map_err(|error| {
            system("make", path, Errno::from_io_error(&error).unwrap_or(Errno::IO))
        })?;
        let missing = || system("make", path, Errno::NOENT);
        Self::open(path, wait)?.ok_or_else(missing)
    }

    /// Reads it.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn folder(&self, folder: Folder) -> Result<BorrowedFd<'_>, StoreError> {
        let missing = || self.wrong("open", Folder::Store, folder.name())(Errno::NOENT);
        self.store.folder(folder)?.ok_or_else(missing)
    }

    fn wrong(
        &self,
        what: &'static str,
        folder: Folder,
        name: &str,
    ) -> impl FnOnce(Errno) -> StoreError + use<> {
        let path = self.store.path_of(folder, name);
        move |errno| StoreError::System(what, path, errno)
    }
}

/// The right to compile a source, which one process has at a time. It ends with this, or with
/// the process.
#[derive(Debug)]
pub struct Compiling {
    folder: OwnedFd,
    name: String,
    _lock: OwnedFd,
}

impl Compiling {
    /// The folder, which nobody but the store's owner may look into.
    const FOLDER: &'static str = "compiling";

    /// Waits for it. Makes the store where there is none.
    ///
    /// # Errors
    /// [`StoreError`]; among them that the store belongs to another user.
    pub fn wait(place: &Path, source: Sha256) -> Result<Self, StoreError> {
        // With the store's lock, so that it is there and ours; and not for long.
        let store = System::create(place, || {})?.store;
        let path = place.join(Self::FOLDER);
        let name = source.to_string();
        let wrong = |errno| system("lock", &path.join(&name), errno);
        let root = store.folder(Folder::Store)?.ok_or_else(|| wrong(Errno::NOENT))?;
        match rustix::fs::mkdirat(root, Self::FOLDER, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(wrong(errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(root, Self::FOLDER, flags, Mode::empty()).map_err(wrong)?;
        loop {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR;
            let lock = rustix::fs::openat(&folder, &name, flags, mode).map_err(wrong)?;
            match rustix::fs::flock(&lock, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => continue,
                other => other.map_err(wrong)?,
            }
            // Whoever had it has taken the file away: then this one locks nothing.
            let ours = rustix::fs::fstat(&lock).map_err(wrong)?;
            let there = rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW);
            if there.is_ok_and(|there| (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)) {
                return Ok(Self { folder, name, _lock: lock });
            }
        }
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        // Before the lock ends, so that nobody locks a file that goes away.
        let _ = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
    }
}

/// Takes the lock. It is a file that only the owner can open: whoever can open a file
/// can keep others waiting.
fn lock(store: &Store, wait: impl FnOnce()) -> Result<OwnedFd, StoreError> {
    let wrong = |errno| system("lock", &store.path_of(Folder::Store, "lock"), errno);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    let folder = store.folder(Folder::Store)?.ok_or_else(|| wrong(Errno::NOENT))?;
    let lock = rustix::fs::openat(folder, "lock", flags, Mode::RUSR | Mode::WUSR).map_err(wrong)?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            wait();
            rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(wrong)?;
        }
        other => other.map_err(wrong)?,
    }
    Ok(lock)
}

/// Makes a folder and those above it, each on the disk before the next.
fn make_path(path: &Path, mode: u32) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        None => Path::new("/"),
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
    };
    make_path(above, mode)?;
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) => {}
        Ok(()) => {
            let folder = File::open(path)?;
            rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode))?;
        }
    }
    File::open(above)?.sync_all()
}

impl Disk for System {
    type File = OwnedFd;

    fn make(&mut self, folder: Folder) -> Result<(), StoreError> {
        let wrong = self.wrong("make", Folder::Store, folder.name());
        let mode = match folder {
            Folder::Temporary => Mode::RWXU,
            _ => Mode::from_raw_mode(0o755),
        };
        match rustix::fs::mkdirat(self.folder(Folder::Store)?, folder.name(), mode) {
            Err(Errno::EXIST) => self.folder(folder).map(drop),
            Err(errno) => Err(wrong(errno)),
            Ok(()) => rustix::fs::fchmod(self.folder(folder)?, mode).map_err(wrong),
        }
    }

    fn names(&mut self, folder: Folder) -> Result<Vec<String>, StoreError> {
        self.store.names(folder)
    }

    fn read(
        &mut self,
        folder: Folder,
        name: &str,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.read(folder, name, bytes_max)
    }

    fn create(&mut self, name: &str) -> Result<OwnedFd, StoreError> {
        /// Nobody writes it once it is there, its owner included.
        const MODE: Mode = Mode::from_raw_mode(0o444);
        let folder = self.folder(Folder::Temporary)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, name, flags, MODE).map_err(self.wrong(
            "create",
            Folder::Temporary,
            name,
        ))?;
        rustix::fs::fchmod(&file, MODE).map_err(self.wrong("create", Folder::Temporary, name))?;
        Ok(file)
    }

    fn write(&mut self, file: &mut OwnedFd, bytes: &[u8]) -> Result<usize, StoreError> {
        loop {
            match rustix::io::write(file.as_fd(), bytes) {
                Err(Errno::INTR) => {}
                other => {
                    let wrong = self.wrong("write", Folder::Store, Folder::Temporary.name());
                    return other.map_err(wrong);
                }
            }
        }
    }

    fn sync(&mut self, file: &OwnedFd) -> Result<(), StoreError> {
        let wrong = self.wrong("write", Folder::Store, Folder::Temporary.name());
        rustix::fs::fsync(file).map_err(wrong)
    }

    fn rename(&mut self, from: &str, folder: Folder, name: &str) -> Result<(), StoreError> {
        rustix::fs::renameat(self.folder(Folder::Temporary)?, from, self.folder(folder)?, name)
            .map_err(self.wrong("write", folder, name))
    }

    fn sync_folder(&mut self, folder: Folder) -> Result<(), StoreError> {
        rustix::fs::fsync(self.folder(folder)?).map_err(self.wrong(
            "write",
            Folder::Store,
            folder.name(),
        ))
    }

    fn remove(&mut self, folder: Folder, name: &str) -> Result<(), StoreError> {
        match rustix::fs::unlinkat(self.folder(folder)?, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.wrong("remove", folder, name)(errno)),
        }
    }

    fn path(&self, folder: Folder, name: &str) -> std::path::PathBuf {
        self.store.path_of(folder, name)
    }
}
