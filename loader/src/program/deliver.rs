//! Where a report or a profile goes: decided before the guest runs, written after.
//!
//! ```text
//! --report FILE   nothing, or a regular file   made anew in its folder, and renamed to FILE
//!                 a symbolic link              what it leads to is written
//!                 a FIFO, a terminal, a device written
//!                 standard output or error     written behind what the guest wrote there
//! --report fd:N                                written
//! ```
//!
//! Guarantees that an earlier file is gone as soon as a run begins, so that it is never
//! taken for this run's; that a file appears under its name only when it is whole, and is
//! the one that was written here; and that nothing waits for ever for a reader.
//!
//! Once the guest runs, the process can make no file any more (`confine.rs`): so a file is
//! made right before, with what is known by then ([`Destination::begin`]), stays open, and is
//! written over at the end. A guest may be granted the folder: so what stands under the name
//! afterwards is compared with what was written, and where it is something else the file is
//! made anew, which is allowed where the guest could change it. May assume that [`Destination::write`] is called when the guest can run no
//! more. Does not allocate while it writes, for the guest's thread may have been stopped
//! with the allocator's lock. (To say why it could not write takes memory; where that is
//! not to be had, the run ends without the sentence, see `watch::end`.)

use crate::program::cli::ReportTarget;
use crate::sys;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a reader may keep the end of a run waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where something is written at the end.
#[derive(Debug)]
pub(crate) enum Destination {
    /// A pipe, a terminal, a device, a socket, or a descriptor that came open: what is
    /// written is added there.
    Stream(Stream),
    /// A file that a link leads to, or that cannot be replaced: its contents are.
    Contents(OwnedFd, CString),
    /// A file that is made anew.
    New(NewFile),
}

/// What is written behind what is there.
#[derive(Debug)]
pub(crate) struct Stream {
    to: OwnedFd,
    /// Whether it is a file, and nothing stands behind the place where it is written: then
    /// nothing may in the end, and the file must still have a name. A guest may be granted
    /// the folder that it lies in.
    is_last_of_file: bool,
}

/// A file to be made in a folder that is open.
#[derive(Debug)]
pub(crate) struct NewFile {
    folder: OwnedFd,
    /// The file, from the moment it is there.
    placed: Mutex<Option<OwnedFd>>,
    name: CString,
    /// Names that nobody knows before the guest has ended.
    temporary: CString,
    aside: CString,
    /// Where it must be found in the end.
    path: CString,
}

impl Destination {
    /// Opens what `target` names, and takes away what an earlier run left there.
    pub(crate) fn open(target: &ReportTarget) -> io::Result<Self> {
        match target {
            ReportTarget::Descriptor(number) => {
                Stream::open(sys::descriptor::duplicate(*number)?.into()).map(Self::Stream)
            }
            ReportTarget::File(path) => Self::open_path(path),
        }
    }

    /// Opens the file of this name.
    pub(crate) fn open_path(path: &Path) -> io::Result<Self> {
        let named = match rustix::fs::lstat(path) {
            Ok(status) => status,
            Err(Errno::NOENT) => return NewFile::open(path).map(Self::New).map_err(Into::into),
            Err(error) => return Err(error.into()),
        };
        if let Some(stream) = standard_stream(path) {
            return Stream::open(stream?).map(Self::Stream);
        }
        if file_type(&named) == FileType::RegularFile {
            match NewFile::open(path) {
                Ok(new) => return Ok(Self::New(new)),
                // Its folder may not be changed, or something is mounted there; the file
                // itself may be writable.
                Err(Errno::ACCESS | Errno::PERM | Errno::BUSY | Errno::ROFS) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Self::open_through(path)
    }

    /// Opens what is there, through links.
    fn open_through(path: &Path) -> io::Result<Self> {
        // Without a reader a FIFO is an error, and with a slow one it is too: the
        // run must not wait for either.
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = match rustix::fs::open(path, flags, Mode::empty()) {
            // A link that leads to no file yet.
            Err(Errno::NOENT) => rustix::fs::open(path, flags | OFlags::CREATE, FILE_MODE),
            opened => opened,
        }?;
        if file_type(&rustix::fs::fstat(&opened)?) != FileType::RegularFile {
            return Stream::open(opened).map(Self::Stream);
        }
        rustix::fs::ftruncate(&opened, 0)?;
        Ok(Self::Contents(opened, c_string(path)?))
    }

    /// Puts this into a file until there is more to say. Nothing where it is no file: what
    /// is written to a pipe or a terminal is read as it comes.
    pub(crate) fn begin(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::Contents(file, _) => write_over(file, bytes),
            Self::New(new) => new.begin(bytes),
        }
    }

    /// Descriptors that it needs once the guest runs.
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        match self {
            Self::Stream(stream) => vec![stream.to.as_raw_fd()],
            Self::Contents(file, _) => vec![file.as_raw_fd()],
            Self::New(new) => {
                let placed = new.lock().as_ref().map(AsRawFd::as_raw_fd);
                [new.folder.as_raw_fd()].into_iter().chain(placed).collect()
            }
        }
    }

    /// Writes all of it.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.write(bytes),
            Self::Contents(file, path) => {
                write_over(file, bytes)?;
                must_be_at(file.as_fd(), path)
            }
            Self::New(new) => new.write(bytes),
        }
    }
}

impl Stream {
    fn open(to: OwnedFd) -> io::Result<Self> {
        // A descriptor that came open may be for reading only.
        if rustix::fs::fcntl_getfl(&to)? & OFlags::ACCMODE == OFlags::RDONLY {
            return Err(Errno::BADF.into());
        }
        let is_file = file_type(&rustix::fs::fstat(&to)?) == FileType::RegularFile;
        let is_last_of_file = is_file && Self::ends_here(&to)?;
        Ok(Self { to, is_last_of_file })
    }

    /// Whether nothing stands behind the place where it is written next.
    fn ends_here(file: &OwnedFd) -> io::Result<bool> {
        let end = u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0);
        let is_appended_to = rustix::fs::fcntl_getfl(file)?.contains(OFlags::APPEND);
        Ok(is_appended_to || rustix::fs::tell(file)? >= end)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        if self.is_last_of_file && !Self::ends_here(&self.to)? {
            return Err(io::Error::other("something was written behind it during the run"));
        }
        write_within(self.to.as_fd(), bytes, Some(PATIENCE))?;
        if self.is_last_of_file && rustix::fs::fstat(&self.to)?.st_nlink == 0 {
            return Err(moved());
        }
        Ok(())
    }
}

/// What the umask leaves of it.
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);

impl NewFile {
    /// Opens the folder, removes the file, and sees that one can be made.
    fn open(path: &Path) -> Result<Self, Errno> {
        if path.as_os_str().as_bytes().ends_with(b"/") {
            return Err(Errno::ISDIR);
        }
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(parent, flags, Mode::empty())?;
        let secret = secret()?;
        let new = Self {
            folder,
            placed: Mutex::new(None),
            name: CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?,
            temporary: secret_name(secret, "new"),
            aside: secret_name(secret, "aside"),
            path: c_string(path).map_err(|_| Errno::INVAL)?,
        };
        match rustix::fs::unlinkat(&new.folder, &new.name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT) => new.try_out()?,
            Err(error) => return Err(error),
        }
        Ok(new)
    }

    /// Makes a file, and leaves none.
    fn try_out(&self) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.folder, c".", flags, Mode::RUSR) {
            Ok(_) => Ok(()),
            // A filesystem, or a kernel, without files that have no name.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                self.create()?;
                rustix::fs::unlinkat(&self.folder, &self.temporary, AtFlags::empty())
            }
            Err(error) => Err(error),
        }
    }

    fn create(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        rustix::fs::openat(&self.folder, &self.temporary, flags, FILE_MODE)
    }

    /// The file where it is there. Whoever holds this lock is no guest's thread that may have
    /// been stopped.
    fn lock(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it, with this in it, unless somebody has by now.
    fn begin(&self, bytes: &[u8]) -> io::Result<()> {
        let mut placed = self.lock();
        if placed.is_none() {
            *placed = Some(self.make(bytes)?);
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut placed = self.lock();
        if let Some(file) = placed.as_ref() {
            write_over(file, bytes)?;
            if must_be_at(file.as_fd(), &self.path).is_ok() {
                return Ok(());
            }
        }
        // Given back first: the guest may have used all others up.
        drop(placed.take());
        match self.make(bytes) {
            Ok(file) => {
                *placed = Some(file);
                Ok(())
            }
            // Whoever could move it could do so where this process may do nothing.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(moved()),
            Err(error) => Err(error),
        }
    }

    /// Makes the file, whole.
    fn make(&self, bytes: &[u8]) -> io::Result<OwnedFd> {
        let file = self.create()?;
        let placed = write_within(file.as_fd(), bytes, Some(PATIENCE))
            .and_then(|()| self.place().map_err(Into::into));
        if placed.is_err() {
            // Where it was placed it has another name by now.
            let _ = rustix::fs::unlinkat(&self.folder, &self.temporary, AtFlags::empty());
        }
        placed.and_then(|()| must_be_at(file.as_fd(), &self.path)).map(|()| file)
    }

    /// Gives the file its name, whatever a guest has put there.
    fn place(&self) -> Result<(), Errno> {
        let rename = |from: &CString, to: &CString| {
            rustix::fs::renameat(&self.folder, from, &self.folder, to)
        };
        match rename(&self.temporary, &self.name) {
            // No file takes the place of a folder.
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                rename(&self.name, &self.aside)?;
                rename(&self.temporary, &self.name)
            }
            done => done,
        }
    }
}

/// 64 bits that no guest can guess.
fn secret() -> Result<u64, Errno> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}

fn secret_name(secret: u64, what: &str) -> CString {
    CString::new(format!(".bls-report-{secret:016x}.{what}")).unwrap_or_default()
}

fn c_string(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(Into::into)
}

fn file_type(status: &Stat) -> FileType {
    FileType::from_raw_mode(status.st_mode)
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

/// Standard output or standard error, where `path` leads to the very file, pipe or
/// terminal that it is: opened anew, a file would be written from its beginning.
fn standard_stream(path: &Path) -> Option<io::Result<OwnedFd>> {
    let status = rustix::fs::stat(path).ok()?;
    let streams = [(1, rustix::stdio::stdout()), (2, rustix::stdio::stderr())];
    let (number, _) = streams.into_iter().find(|(_, stream)| {
        rustix::fs::fstat(stream).is_ok_and(|stream| is_same(&stream, &status))
    })?;
    // Of devices there may be many descriptors, and opening one anew is as good.
    if matches!(file_type(&status), FileType::CharacterDevice | FileType::BlockDevice) {
        return None;
    }
    Some(sys::descriptor::duplicate(number).map(Into::into))
}

/// Fails where something else than this file is found under its name.
fn must_be_at(file: BorrowedFd<'_>, path: &CString) -> io::Result<()> {
    let ours = rustix::fs::fstat(file)?;
    match rustix::fs::statat(CWD, path, AtFlags::empty()) {
        Ok(found) if is_same(&ours, &found) => Ok(()),
        // Not to be asked in the process of a guest that can change no file. That it still has
        // a name is known without.
        Err(Errno::PERM) if ours.st_nlink > 0 => Ok(()),
        _ => Err(moved()),
    }
}

/// Puts these bytes in the place of all that is in the file. Where they do not fit nothing is
/// in it.
fn write_over(file: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        match rustix::io::pwrite(file, &bytes[at..], at as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => at += written,
            Err(Errno::INTR) => {}
            Err(error) => {
                let _ = rustix::fs::ftruncate(file, 0);
                return Err(error.into());
            }
        }
    }
    Ok(rustix::fs::ftruncate(file, bytes.len() as u64)?)
}

fn moved() -> io::Error {
    io::Error::other("its folder, or the file, was moved during the run")
}

/// Writes all of it; waits no longer than `patience` altogether, where there is one, for
/// whoever reads. May be given any descriptor, one that does not block among them.
pub(crate) fn write_within(
    descriptor: BorrowedFd<'_>,
    mut bytes: &[u8],
    patience: Option<Duration>,
) -> io::Result<()> {
    /// What a pipe that has room takes whole, without blocking.
    const PIECE: usize = 4096;
    let deadline = patience.map(|patience| Instant::now() + patience);
    let mut wait = deadline.is_some();
    while !bytes.is_empty() {
        if wait && !is_writable(descriptor, deadline)? {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads it"));
        }
        let piece = if deadline.is_some() { bytes.len().min(PIECE) } else { bytes.len() };
        match rustix::io::write(descriptor, &bytes[..piece]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            // Somebody made it so that it does not block.
            Err(Errno::AGAIN) => wait = true,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until a write would not block; false where that takes too long.
fn is_writable(descriptor: BorrowedFd<'_>, deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut [PollFd::new(&descriptor, PollFlags::OUT)], left.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
