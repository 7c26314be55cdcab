//! Reads files that decide something: trust files, policies, keys, the password database.
//!
//! Guarantees that what it gives is all of a regular file, no longer than its kind can be.
//! Of a file that the user names ([`read`]): that not everybody can write it; whose it is,
//! the user has decided by naming it. Of a default place ([`read_place`]): that nobody but
//! its rightful owner could have put this file there. Each folder and each link on the way
//! is judged by the descriptor that is then used, like the file itself, so links of the
//! owner's are followed:
//!
//! ```text
//! /etc/bls/trust.json      a link of root's to ..data/trust.json
//! /etc/bls/..data          a link of root's to 2026_11_28
//! /etc/bls/2026_11_28/trust.json
//! ```
//!
//! Never waits for a FIFO. Does not look into the contents.

use crate::error::Cause;
use bls_artifact::limits::PASSWD_BYTES_MAX;
use bls_artifact::passwd;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

/// Most links on the way to a file: the kernel's own number.
const LINKS_MAX: u32 = 40;

/// Why a file says nothing.
#[derive(Debug)]
pub(crate) enum GuardError {
    /// The system's refusal.
    System(PathBuf, std::io::Error),
    /// Not a regular file, or longer than any of its kind.
    NotAFile(PathBuf),
    /// It belongs to another user than it may.
    Foreign(PathBuf),
    /// Others can write it; who.
    Writable(PathBuf, &'static str),
    /// A link on the way to it, in a default place, leads nowhere.
    Dangling(PathBuf),
}

impl fmt::Display for GuardError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(path, error) => {
                write!(formatter, "cannot read {}: {error}", path.display())
            }
            Self::NotAFile(path) => {
                write!(formatter, "{} is not a regular file of a fitting size", path.display())
            }
            Self::Foreign(path) => {
                write!(
                    formatter,
                    "{} can be written by another user, so it says nothing",
                    path.display()
                )
            }
            Self::Writable(path, who) => {
                write!(formatter, "{} can be written by {who}, so it says nothing", path.display())
            }
            Self::Dangling(path) => {
                write!(formatter, "the link to {} leads nowhere", path.display())
            }
        }
    }
}

impl GuardError {
    /// Its name, which stays the same when words change.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::System(..) | Self::Dangling(_) => "settings.unreadable",
            Self::NotAFile(_) => "settings.not-a-file",
            Self::Foreign(_) | Self::Writable(..) => "settings.writable",
        }
    }

    /// Whose fault it is.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::System(_, error) => Cause::of_named_io(error),
            Self::NotAFile(_) | Self::Foreign(_) | Self::Writable(..) | Self::Dangling(_) => {
                Cause::Refused
            }
        }
    }

    /// What a user can do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::System(path, _) => {
                format!("see that {} exists and that you may read it", path.display())
            }
            Self::NotAFile(_) => {
                "name a regular file; what comes from a pipe can be copied into one first".into()
            }
            // The system's files are root's, and everybody's to read.
            Self::Foreign(path) => {
                let owner = if path.starts_with("/etc") { "root" } else { "yours or root's" };
                format!("see whose it is, ls -ld {}: it must be {owner}", path.display())
            }
            Self::Writable(path, "everybody") => format!("chmod o-w {}", path.display()),
            Self::Writable(path, _) => {
                format!("make it its owner's alone: chmod go-w {}", path.display())
            }
            Self::Dangling(_) => "mend the link, or take it away".into(),
        }
    }
}

/// Reads a whole regular file that the user names. It may be a link.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, GuardError> {
    let system = |errno: Errno| GuardError::System(path.to_owned(), errno.into());
    let file = rustix::fs::open(path, READ, Mode::empty()).map_err(system)?;
    let status = rustix::fs::fstat(&file).map_err(system)?;
    if Mode::from_raw_mode(status.st_mode).contains(Mode::WOTH) && is_regular(&status) {
        return Err(GuardError::Writable(path.to_owned(), "everybody"));
    }
    read_all(path, file, &status, bytes_max)
}

/// Reads a whole regular file at a default place, an absolute path; `None` when nothing is
/// there. Every other trouble is an error: a file that cannot be read must not make another
/// one decide.
pub(crate) fn read_place(
    path: &Path,
    bytes_max: u64,
    owners: &[u32],
) -> Result<Option<Vec<u8>>, GuardError> {
    // Most machines have no such folder, and one question tells.
    if let Some(folder) = path.parent()
        && matches!(rustix::fs::lstat(folder), Err(Errno::NOENT))
    {
        return Ok(None);
    }
    Way::new(path, owners)?.read(bytes_max)
}

/// The same of two files, which are mostly in one folder: the way to it is gone once.
pub(crate) fn read_places(
    [first, second]: [&Path; 2],
    bytes_max: u64,
    owners: &[u32],
) -> Result<[Option<Vec<u8>>; 2], GuardError> {
    let (Some(folder), Some(name)) = (first.parent(), first.file_name()) else {
        return Ok([None, None]);
    };
    if second.parent() != Some(folder) {
        let second = read_place(second, bytes_max, owners);
        return Ok([read_place(first, bytes_max, owners)?, second?]);
    }
    if matches!(rustix::fs::lstat(folder), Err(Errno::NOENT)) {
        return Ok([None, None]);
    }
    let mut way = Way::new(folder, owners)?;
    match way.go()? {
        End::Folder => {}
        End::Absent => return Ok([None, None]),
        End::File(..) => return Err(way.system(Errno::NOTDIR)),
    }
    let mut ways = [way.again(first, name)?, way];
    ways[1].path = second;
    ways[1].left = vec![(second.file_name().unwrap_or_default().to_owned(), false)];
    let [first, second] = ways;
    Ok([first.read(bytes_max)?, second.read(bytes_max)?])
}

/// The home folder of this user, by the password database; `None` where it names none.
/// Where it was is remembered: a run asks for two things in it.
pub(crate) fn home(user: u32) -> Result<Option<PathBuf>, GuardError> {
    static KNOWN: OnceLock<(u32, Option<PathBuf>)> = OnceLock::new();
    if let Some((known, home)) = KNOWN.get()
        && *known == user
    {
        return Ok(home.clone());
    }
    let path = Path::new(passwd::DATABASE);
    let database = read_place(path, PASSWD_BYTES_MAX, &[0])?;
    let home = database.and_then(|text| passwd::home(&String::from_utf8_lossy(&text), user));
    let _ = KNOWN.set((user, home.clone()));
    Ok(home)
}

/// `None` when there is no such file.
pub(crate) fn found(read: Result<Vec<u8>, GuardError>) -> Result<Option<Vec<u8>>, GuardError> {
    match read {
        Ok(text) => Ok(Some(text)),
        Err(GuardError::System(_, error)) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether what belongs to `user` belongs to one of `owners`. In a user namespace that has
/// no root, root's files show as nobody's: whoever made it chose which files are there, and
/// could as well have made a root in it.
pub(crate) fn belongs_to(owners: &[u32], user: u32) -> bool {
    owners.contains(&user) || user == NOBODY && owners.contains(&0) && is_root_unmapped()
}

/// Whom files belong to whose owner has no number in this user namespace.
const NOBODY: u32 = 65534;

/// Whether neither root nor [`NOBODY`] has a number outside of this user namespace.
fn is_root_unmapped() -> bool {
    let Ok(map) = std::fs::read_to_string("/proc/self/uid_map") else { return false };
    let is_mapped = |line: &str| -> Option<bool> {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (first, count) = (numbers.next()?.ok()?, numbers.nth(1)?.ok()?);
        Some([0, u64::from(NOBODY)].iter().any(|user| (first..first + count).contains(user)))
    };
    // A line that nobody understands counts as one that maps root.
    !map.lines().any(|line| is_mapped(line).unwrap_or(true))
}

const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    // A FIFO cannot hold us before we know that it is one.
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// The way to a file, as far as it was gone: every folder and link of it was judged.
struct Way<'a> {
    path: &'a Path,
    owners: &'a [u32],
    /// Where it has come to, and what that is called.
    folder: OwnedFd,
    at: PathBuf,
    /// What is still to come, the next one last; whether a link's text says so.
    left: Vec<(OsString, bool)>,
    links: u32,
}

/// What a way has led to.
enum End {
    /// A regular file, open for reading.
    File(OwnedFd, Stat),
    /// A folder, where the way now is.
    Folder,
    /// Nothing.
    Absent,
}

impl<'a> Way<'a> {
    fn new(path: &'a Path, owners: &'a [u32]) -> Result<Self, GuardError> {
        let (folder, at) = (root(path)?, PathBuf::from("/"));
        let mut way = Self { path, owners, folder, at, left: Vec::new(), links: 0 };
        way.judge_folder()?;
        way.push(path, false)?;
        Ok(way)
    }

    /// The same way as far as it was gone, and then on to `path`, of this name.
    fn again(&self, path: &'a Path, name: &OsStr) -> Result<Self, GuardError> {
        let folder = self
            .folder
            .try_clone()
            .map_err(|error| GuardError::System(self.path.to_owned(), error))?;
        let (at, left) = (self.at.clone(), vec![(name.to_owned(), false)]);
        Ok(Self { path, owners: self.owners, folder, at, left, links: 0 })
    }

    /// All of the file at its end; `None` when it is not there.
    fn read(mut self, bytes_max: u64) -> Result<Option<Vec<u8>>, GuardError> {
        match self.go()? {
            End::Absent => Ok(None),
            End::Folder => Err(GuardError::NotAFile(self.path.to_owned())),
            End::File(file, status) => read_all(self.path, file, &status, bytes_max).map(Some),
        }
    }

    /// Goes on to the end.
    fn go(&mut self) -> Result<End, GuardError> {
        const NEXT: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
        while let Some((name, by_link)) = self.left.pop() {
            let next = match rustix::fs::openat(&self.folder, &name, NEXT, Mode::empty()) {
                Err(Errno::NOENT) if by_link => {
                    return Err(GuardError::Dangling(self.path.to_owned()));
                }
                Err(Errno::NOENT) => return Ok(End::Absent),
                other => other.map_err(|errno| self.system(errno))?,
            };
            let status = rustix::fs::fstat(&next).map_err(|errno| self.system(errno))?;
            let is_up = name == "..";
            if is_up {
                self.at.pop();
            } else {
                self.at.push(&name);
            }
            match FileType::from_raw_mode(status.st_mode) {
                FileType::Symlink => self.follow(&next, &status)?,
                FileType::Directory => {
                    self.folder = next;
                    self.judge(&status, true)?;
                }
                _ if !self.left.is_empty() => return Err(self.system(Errno::NOTDIR)),
                FileType::RegularFile => {
                    let flags = READ | OFlags::NOFOLLOW;
                    let file = rustix::fs::openat(&self.folder, &name, flags, Mode::empty())
                        .map_err(|errno| self.system(errno))?;
                    let status = rustix::fs::fstat(&file).map_err(|errno| self.system(errno))?;
                    self.judge(&status, false)?;
                    return Ok(End::File(file, status));
                }
                _ => return Err(GuardError::NotAFile(self.path.to_owned())),
            }
        }
        Ok(End::Folder)
    }

    /// Goes where a link leads. Who may make links in a folder was judged; in one with a
    /// sticky bit that is everybody, so the link's owner counts too.
    fn follow(&mut self, link: &OwnedFd, status: &Stat) -> Result<(), GuardError> {
        if !belongs_to(self.owners, status.st_uid) {
            return Err(GuardError::Foreign(self.at.clone()));
        }
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(self.system(Errno::LOOP));
        }
        let text = rustix::fs::readlinkat(link, "", Vec::new());
        let text = text.map_err(|errno| self.system(errno))?.into_bytes();
        self.at.pop();
        self.push(Path::new(OsStr::from_bytes(&text)), true)
    }

    /// Adds a path to what is still to come.
    fn push(&mut self, path: &Path, by_link: bool) -> Result<(), GuardError> {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.left.push((name.to_owned(), by_link)),
                Component::ParentDir => self.left.push(("..".into(), by_link)),
                Component::RootDir => {
                    self.folder = root(self.path)?;
                    self.at = PathBuf::from("/");
                }
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Ok(())
    }

    fn judge_folder(&self) -> Result<(), GuardError> {
        let status = rustix::fs::fstat(&self.folder).map_err(|errno| self.system(errno))?;
        self.judge(&status, true)
    }

    /// Refuses what somebody else could have put there. In a folder with a sticky bit
    /// others can add, but neither remove nor replace.
    fn judge(&self, status: &Stat, is_folder: bool) -> Result<(), GuardError> {
        if !belongs_to(self.owners, status.st_uid) {
            return Err(GuardError::Foreign(self.at.clone()));
        }
        let mode = Mode::from_raw_mode(status.st_mode);
        let is_sticky = is_folder && mode.contains(Mode::SVTX);
        if mode.intersects(Mode::WGRP | Mode::WOTH) && !is_sticky {
            return Err(GuardError::Writable(self.at.clone(), "its group or others"));
        }
        Ok(())
    }

    fn system(&self, errno: Errno) -> GuardError {
        GuardError::System(self.path.to_owned(), errno.into())
    }
}

fn root(path: &Path) -> Result<OwnedFd, GuardError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/", flags, Mode::empty())
        .map_err(|errno| GuardError::System(path.to_owned(), errno.into()))
}

fn is_regular(status: &Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == FileType::RegularFile
}

/// All of an open file, if it is a regular one of a fitting size.
fn read_all(
    path: &Path,
    file: OwnedFd,
    status: &Stat,
    bytes_max: u64,
) -> Result<Vec<u8>, GuardError> {
    let length = u64::try_from(status.st_size).unwrap_or(u64::MAX);
    if !is_regular(status) || length > bytes_max {
        return Err(GuardError::NotAFile(path.to_owned()));
    }
    let mut text = Vec::with_capacity(length as usize + 1);
    File::from(file)
        .take(bytes_max)
        .read_to_end(&mut text)
        .map_err(|error| GuardError::System(path.to_owned(), error))?;
    Ok(text)
}
