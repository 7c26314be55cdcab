//! A guest that is driven from a test, in few words: paths and bytes are put in its
//! memory, and what a call gives is taken out again.
//!
//! Guarantees that a call that is neither a success nor an errno (a trap, an end)
//! fails the test. Does not judge errnos: they are the `Err` of every method.

use crate::host_driver::{Answer, Driver, Shape};
use bls_loader::host::Grants;
use std::ops::{Deref, DerefMut};

/// What a call gives: a value, or an errno.
pub type Given<T> = Result<T, u32>;

/// How a file is opened (`oflags`, `rights`, `fdflags`, `lookupflags`).
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// `oflags`.
    pub how: u64,
    /// `rights`.
    pub rights: u64,
    /// `fdflags`.
    pub flags: u64,
    /// Whether a link at the end is followed.
    pub follow: bool,
}

/// `oflags`: make the file.
pub const CREAT: u64 = 1;
/// `oflags`: it must be a directory.
pub const DIRECTORY: u64 = 2;
/// `oflags`: it must not be there yet.
pub const EXCL: u64 = 4;
/// `oflags`: empty it.
pub const TRUNC: u64 = 8;
/// `rights`: read.
pub const READ: u64 = 1 << 1;
/// `rights`: write.
pub const WRITE: u64 = 1 << 6;
/// `fdflags`: append.
pub const APPEND: u64 = 1;
/// `fdflags`: do not wait.
pub const NONBLOCK: u64 = 4;

impl How {
    /// To be read.
    pub const READ: Self = Self { how: 0, rights: READ, flags: 0, follow: true };
    /// To be written.
    pub const WRITE: Self = Self { how: 0, rights: WRITE, flags: 0, follow: true };
    /// To be read and written, and made if it is not there.
    pub const CREATE: Self = Self { how: CREAT, rights: READ | WRITE, flags: 0, follow: true };
    /// As a directory.
    pub const DIRECTORY: Self = Self { how: DIRECTORY, rights: 0, flags: 0, follow: true };
}

/// Where the pieces of a call lie.
const RESULT: u32 = 0;
const LIST: u32 = 64;
const FIRST: u32 = 0x1_0000;
const SECOND: u32 = 0x1_8000;
/// The most bytes of one path, read or write.
const PIECE_BYTES_MAX: usize = 0x8000;

/// The guest.
#[derive(Debug)]
pub struct Guest(Driver);

impl Deref for Guest {
    type Target = Driver;
    fn deref(&self) -> &Driver {
        &self.0
    }
}

impl DerefMut for Guest {
    fn deref_mut(&mut self) -> &mut Driver {
        &mut self.0
    }
}

impl Guest {
    /// A guest with these grants and two pages of memory.
    #[must_use]
    pub fn new(grants: Grants) -> Self {
        Self(Driver::new(Shape::TwoPages, grants))
    }

    /// The same, made for snapshot 0 (`wasi_unstable`).
    #[must_use]
    pub fn of_snapshot0(grants: Grants) -> Self {
        Self(Driver::new(Shape::Snapshot0, grants))
    }

    /// Calls a function.
    ///
    /// # Errors
    /// Its errno.
    ///
    /// # Panics
    /// When it traps or ends the guest.
    #[track_caller]
    pub fn ask(&mut self, name: &str, arguments: &[u64]) -> Given<()> {
        match self.0.call(name, arguments) {
            Answer::Errno(0) => Ok(()),
            Answer::Errno(errno) => Err(errno),
            other => panic!("{name}{arguments:x?}: {other:?}"),
        }
    }

    /// Puts a path where the first or the second of a call lies.
    #[track_caller]
    fn path(&mut self, place: u32, path: &[u8]) -> [u64; 2] {
        assert!(path.len() <= PIECE_BYTES_MAX, "a path of {} bytes", path.len());
        self.0.put(place, path);
        [place.into(), path.len() as u64]
    }

    /// `path_open`; the new descriptor.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn open(&mut self, folder: u32, path: impl AsRef<[u8]>, how: How) -> Given<u32> {
        let [pointer, length] = self.path(FIRST, path.as_ref());
        let (folder, follow) = (folder.into(), u64::from(how.follow));
        let arguments =
            [folder, follow, pointer, length, how.how, how.rights, 0, how.flags, RESULT.into()];
        self.ask("path_open", &arguments)?;
        Ok(self.0.word(RESULT))
    }

    /// A function of a folder and one path: create, unlink, remove.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn at(&mut self, name: &str, folder: u32, path: impl AsRef<[u8]>) -> Given<()> {
        let [pointer, length] = self.path(FIRST, path.as_ref());
        self.ask(name, &[folder.into(), pointer, length])
    }

    /// `path_symlink`.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn symlink(
        &mut self,
        target: impl AsRef<[u8]>,
        folder: u32,
        path: impl AsRef<[u8]>,
    ) -> Given<()> {
        let [target, target_length] = self.path(SECOND, target.as_ref());
        let [pointer, length] = self.path(FIRST, path.as_ref());
        self.ask("path_symlink", &[target, target_length, folder.into(), pointer, length])
    }

    /// `path_rename`.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn rename(&mut self, old: (u32, &str), new: (u32, &str)) -> Given<()> {
        let [old_pointer, old_length] = self.path(FIRST, old.1.as_bytes());
        let [new_pointer, new_length] = self.path(SECOND, new.1.as_bytes());
        let arguments =
            [old.0.into(), old_pointer, old_length, new.0.into(), new_pointer, new_length];
        self.ask("path_rename", &arguments)
    }

    /// `path_link`, with this `lookupflags`.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn link(&mut self, follow: bool, old: (u32, &str), new: (u32, &str)) -> Given<()> {
        let [old_pointer, old_length] = self.path(FIRST, old.1.as_bytes());
        let [new_pointer, new_length] = self.path(SECOND, new.1.as_bytes());
        let (old, new) = (old.0.into(), new.0.into());
        let arguments = [old, follow.into(), old_pointer, old_length, new, new_pointer, new_length];
        self.ask("path_link", &arguments)
    }

    /// `path_filestat_get`; the kind and the size.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn stat(&mut self, folder: u32, follow: bool, path: &str) -> Given<(u8, u64)> {
        let [pointer, length] = self.path(FIRST, path.as_bytes());
        let arguments = [folder.into(), follow.into(), pointer, length, RESULT.into()];
        self.ask("path_filestat_get", &arguments)?;
        Ok((self.0.get::<1>(RESULT + 16)[0], self.0.long(RESULT + 32)))
    }

    /// `fd_filestat_get`; the size.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn size(&mut self, file: u32) -> Given<u64> {
        self.ask("fd_filestat_get", &[file.into(), RESULT.into()])?;
        Ok(self.0.long(RESULT + 32))
    }

    /// `path_filestat_set_times`: both times to this one.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn set_times(&mut self, folder: u32, follow: bool, path: &str, time: u64) -> Given<()> {
        let [pointer, length] = self.path(FIRST, path.as_bytes());
        let arguments = [folder.into(), follow.into(), pointer, length, time, time, 0b101];
        self.ask("path_filestat_set_times", &arguments)
    }

    /// `path_readlink`.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn read_link(&mut self, folder: u32, path: &str) -> Given<Vec<u8>> {
        let [pointer, length] = self.path(FIRST, path.as_bytes());
        let (place, room) = (SECOND.into(), PIECE_BYTES_MAX as u64);
        self.ask("path_readlink", &[folder.into(), pointer, length, place, room, RESULT.into()])?;
        Ok(self.taken())
    }

    /// `fd_read`, of this many bytes at most.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn read(&mut self, file: u32, length: u32) -> Given<Vec<u8>> {
        self.0.put_words(LIST, &[SECOND, length]);
        self.ask("fd_read", &[file.into(), LIST.into(), 1, RESULT.into()])?;
        Ok(self.taken())
    }

    /// `fd_pread`, of this many bytes at most.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn read_at(&mut self, file: u32, length: u32, offset: u64) -> Given<Vec<u8>> {
        self.0.put_words(LIST, &[SECOND, length]);
        self.ask("fd_pread", &[file.into(), LIST.into(), 1, offset, RESULT.into()])?;
        Ok(self.taken())
    }

    /// `fd_write`; how many bytes.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn write(&mut self, file: u32, bytes: &[u8]) -> Given<u32> {
        self.0.put(SECOND, bytes);
        self.0.put_words(LIST, &[SECOND, bytes.len() as u32]);
        self.ask("fd_write", &[file.into(), LIST.into(), 1, RESULT.into()])?;
        Ok(self.0.word(RESULT))
    }

    /// `fd_pwrite`; how many bytes.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn write_at(&mut self, file: u32, bytes: &[u8], offset: u64) -> Given<u32> {
        self.0.put(SECOND, bytes);
        self.0.put_words(LIST, &[SECOND, bytes.len() as u32]);
        self.ask("fd_pwrite", &[file.into(), LIST.into(), 1, offset, RESULT.into()])?;
        Ok(self.0.word(RESULT))
    }

    /// `fd_seek`; the new position.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn seek(&mut self, file: u32, offset: i64, whence: u64) -> Given<u64> {
        let offset = offset.cast_unsigned();
        self.ask("fd_seek", &[file.into(), offset, whence, RESULT.into()])?;
        Ok(self.0.long(RESULT))
    }

    /// `fd_close`.
    ///
    /// # Errors
    /// Its errno.
    #[track_caller]
    pub fn close(&mut self, descriptor: u32) -> Given<()> {
        self.ask("fd_close", &[descriptor.into()])
    }

    /// `fd_readdir` from the start to the end; the names, sorted.
    ///
    /// # Errors
    /// Its errno.
    ///
    /// # Panics
    /// When a record is no record.
    #[track_caller]
    pub fn names(&mut self, folder: u32) -> Given<Vec<Vec<u8>>> {
        const HEAD: usize = 24;
        const ROOM: usize = 0x1000;
        let mut names = Vec::new();
        let mut cookie = 0;
        loop {
            let arguments = [folder.into(), SECOND.into(), ROOM as u64, cookie, RESULT.into()];
            self.ask("fd_readdir", &arguments)?;
            let records = self.taken();
            let mut rest = &records[..];
            while rest.len() >= HEAD {
                let length = u32::from_le_bytes(rest[16..20].try_into().expect("four bytes"));
                let Some(name) = rest.get(HEAD..HEAD + length as usize) else { break };
                names.push(name.to_vec());
                cookie = u64::from_le_bytes(rest[..8].try_into().expect("eight bytes"));
                rest = &rest[HEAD + name.len()..];
            }
            if records.len() < ROOM {
                names.sort();
                return Ok(names);
            }
        }
    }

    /// What the last call put in the second place, as long as it says.
    fn taken(&self) -> Vec<u8> {
        let length = self.0.word(RESULT) as usize;
        self.0.memory()[SECOND as usize..][..length].to_vec()
    }
}
