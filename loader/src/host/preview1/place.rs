//! Where a path of a guest leads, and whether the guest may go there.
//!
//! What a path leads to is opened as a mere place (`links.rs`), and judged; only
//! then is it opened, through that descriptor ([`Found`]). Where something is made, changed
//! or removed, a path is a folder and one name in it, and the folder is judged as well
//! ([`Place`]). A link at the end of such a path is followed here, by reading it and beginning
//! again, so that the folder of what it leads to is known too: `notes/link`, a link to `../b`,
//! is first the name `link` in `notes`, then the path `notes/../b`, and that is the name `b`
//! in the folder above.
//!
//! Assumes that `links.rs` and `cap-std` keep every path inside the directory it starts from. Guarantees
//! that nothing on a filesystem of the kernel's own (`filesystem.rs`) is opened, made,
//! changed, followed or listed; that of all else only regular files and folders are opened,
//! and that nothing else is even opened in passing: a FIFO never waits, a device never wakes;
//! and that nothing changes below a folder that was granted to be read, whichever granted
//! folder the path began in ([`Roots`]). Does not know what a call wants to do there.

use crate::host::Preopen;
use crate::host::errno::{Errno, Outcome};
use crate::host::preview1::filesystem::kernel_filesystem;
use crate::host::preview1::links;
use crate::host::price::Purse;
use crate::host::table::Directory;
use cap_fs_ext::FollowSymlinks;
use cap_std::fs::{Dir, File, Metadata};
use rustix::fd::{AsFd, AsRawFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags, fstat, open, openat};
use rustix::io;
use std::io::ErrorKind;
use std::ops::Deref;

/// Links that one path may lead through at its end where its folder matters. In between it
/// may lead through more (`links.rs`); here each begins the whole way anew.
const LINKS_MAX: u32 = 8;

/// A folder that was judged, and a name in it.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) folder: Folder<'a>,
    /// Slashes at its end are the guest's: it means a folder. Never `..`.
    pub(crate) name: String,
}

/// A folder of a path.
#[derive(Debug)]
pub(crate) enum Folder<'a> {
    /// The one that the path starts from.
    Held(&'a Dir),
    /// One below it.
    Opened(Dir),
}

impl Deref for Folder<'_> {
    type Target = Dir;

    fn deref(&self) -> &Dir {
        match self {
            Self::Held(dir) => dir,
            Self::Opened(dir) => dir,
        }
    }
}

/// What a name stands for, as a mere place: neither read nor written.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) file: File,
    pub(crate) metadata: Metadata,
}

impl<'a> Place<'a> {
    /// The folder of a path, and the name in it.
    pub(crate) fn of(purse: &Purse, directory: &'a Directory, path: &str) -> Outcome<Self> {
        let (above, name) = split(path);
        let folder = match above {
            _ if path.is_empty() => return Err(Errno::Noent.into()),
            "" | "." => Folder::Held(&directory.dir),
            _ => {
                let dir = links::open(purse, &directory.dir, above, OFlags::DIRECTORY)?;
                check_filesystem(&dir)?;
                Folder::Opened(Dir::from_std_file(dir.into()))
            }
        };
        Ok(Self { folder, name: name.to_owned() })
    }

    /// The same when links at its end are followed or not, and what stands there; `None`
    /// where there is nothing of that name.
    pub(crate) fn find(
        purse: &Purse,
        directory: &'a Directory,
        path: &str,
        follow: bool,
    ) -> Outcome<(Self, Option<Found>)> {
        let mut path = path.to_owned();
        for _ in 0..=LINKS_MAX {
            let place = Self::of(purse, directory, &path)?;
            let bare = place.bare_name();
            let slashes = &place.name[bare.len()..];
            let Some(found) = Found::at(purse, &place.folder, bare, false)? else {
                return Ok((place, None));
            };
            if found.metadata.is_symlink() && (follow || !slashes.is_empty()) {
                let target = place.folder.read_link(bare)?;
                let target = target.to_str().ok_or(Errno::Ilseq)?;
                path = format!("{}{target}{slashes}", split(&path).0);
                purse.owe_link(path.len());
                // An absolute one leads out of the folder.
                if target.starts_with('/') {
                    return Err(Errno::Perm.into());
                }
                continue;
            }
            if !slashes.is_empty() && !found.metadata.is_dir() {
                return Err(Errno::Notdir.into());
            }
            return Ok((place, Some(found)));
        }
        Err(Errno::Loop.into())
    }

    /// The name without the slashes at its end.
    pub(crate) fn bare_name(&self) -> &str {
        self.name.trim_end_matches('/')
    }
}

impl Found {
    /// What a path in a folder leads to; `None` where there is nothing. The filesystem is
    /// judged, the kind of file is not.
    pub(crate) fn at(
        purse: &Purse,
        folder: &Dir,
        path: &str,
        follow: bool,
    ) -> Outcome<Option<Self>> {
        let flags = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
        let file = match links::open(purse, folder, path, flags) {
            Ok(file) => File::from_std(file.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        check_filesystem(&file)?;
        let metadata = file.metadata()?;
        Ok(Some(Self { file, metadata }))
    }

    /// Opens what was found: that file and no other, whatever has its name by now. `flags`
    /// say how, and so does `again`, which opens by the path.
    pub(crate) fn open(
        &self,
        flags: OFlags,
        again: impl FnOnce() -> std::io::Result<File>,
    ) -> Outcome<File> {
        check_kind(&self.metadata)?;
        let link = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        match open(link, flags | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => Ok(File::from_std(file.into())),
            // No procfs. What the path leads to now is judged once more.
            Err(io::Errno::NOENT) => {
                let file = again()?;
                check_filesystem(&file)?;
                check_kind(&file.metadata()?)?;
                Ok(file)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a link at the end of a path is followed, in the words of `cap-std`.
pub(crate) fn following(follow: bool) -> FollowSymlinks {
    if follow { FollowSymlinks::Yes } else { FollowSymlinks::No }
}

/// Folder and last name of a path; slashes at its end stay with the name. What ends in
/// `.` or `..` is a folder, and the name of that in itself is `.`.
fn split(path: &str) -> (&str, &str) {
    let trimmed = path.trim_end_matches('/');
    let start = trimmed.rfind('/').map_or(0, |slash| slash + 1);
    match &trimmed[start..] {
        "" | "." | ".." => (path, "."),
        _ => path.split_at(start),
    }
}

/// `perm` for what is no storage but a way into the kernel.
pub(crate) fn check_filesystem(descriptor: impl AsFd) -> Outcome<()> {
    match kernel_filesystem(descriptor)? {
        None => Ok(()),
        Some(_) => Err(Errno::Perm.into()),
    }
}

/// `perm` for what a folder grant is not about: FIFOs, devices, sockets.
fn check_kind(metadata: &Metadata) -> Outcome<()> {
    if metadata.is_file() || metadata.is_dir() {
        Ok(())
    } else if metadata.is_symlink() {
        Err(Errno::Loop.into())
    } else {
        Err(Errno::Perm.into())
    }
}

/// Device and number of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// That of an open folder.
    #[allow(clippy::unnecessary_cast, reason = "the types are the machine's")]
    pub(crate) fn of(folder: impl AsFd) -> io::Result<Self> {
        let status = fstat(folder)?;
        Ok(Self { device: status.st_dev as u64, inode: status.st_ino as u64 })
    }
}

/// The granted folders, where some may be changed and some only be read, and what is hidden in
/// them: then one may lie
/// in another, and the innermost decides, by whatever way a guest comes. Empty where all
/// are of one kind, and nothing is asked of the system then. Folders that are looked at on
/// the way up are paid for.
#[derive(Debug)]
pub(crate) struct Roots(Vec<Root>);

/// One of them.
#[derive(Debug)]
enum Root {
    Changeable(Identity),
    /// With a descriptor of its own, for a guest may close its one; `None` where the system
    /// gave none.
    ReadOnly(Identity, Option<Dir>),
    /// A file or a folder that no guest reaches.
    Hidden(Identity),
}

impl Roots {
    /// Whether it matters in which folder something changes.
    pub(crate) fn matter(&self) -> bool {
        !self.0.is_empty()
    }

    /// Those among these grants.
    pub(crate) fn of(preopens: &[Preopen]) -> Self {
        let read_only = preopens.iter().filter(|preopen| preopen.read_only).count();
        let hidden: Vec<Identity> =
            preopens.iter().flat_map(|preopen| preopen.hidden.iter().copied()).collect();
        if hidden.is_empty() && (read_only == 0 || read_only == preopens.len()) {
            return Self(Vec::new());
        }
        let root = |preopen: &Preopen| match preopen.read_only {
            true => Root::ReadOnly(preopen.identity, preopen.dir.try_clone().ok()),
            false => Root::Changeable(preopen.identity),
        };
        Self(preopens.iter().map(root).chain(hidden.into_iter().map(Root::Hidden)).collect())
    }

    /// Whether there is something that no guest reaches.
    pub(crate) fn hide(&self) -> bool {
        self.0.iter().any(|root| matches!(root, Root::Hidden(_)))
    }

    /// `perm` for what is hidden, or lies in a folder that is. A granted folder in that counts
    /// more.
    pub(crate) fn check_visible(
        &self,
        purse: &Purse,
        start: &Directory,
        place: &Place<'_>,
        found: Option<&Found>,
    ) -> Outcome<()> {
        if !self.hide() {
            return Ok(());
        }
        let is_hidden = |here| self.find(here).map(|root| matches!(root, Root::Hidden(_)));
        if let Some(found) = found
            && is_hidden(Identity::of(&found.file)?) == Some(true)
        {
            return Err(Errno::Perm.into());
        }
        // The folder that the path starts from was judged when it was opened.
        let Folder::Opened(folder) = &place.folder else { return Ok(()) };
        let start = Identity::of(&start.dir)?;
        let known = |here| is_hidden(here).or((here == start).then_some(false));
        match climb(purse, folder, known)? {
            Some(true) => Err(Errno::Perm.into()),
            _ => Ok(()),
        }
    }

    /// The folder of a path in which something is going to change, and the name of that.
    pub(crate) fn place_to_change<'a>(
        &self,
        purse: &Purse,
        directory: &'a Directory,
        path: &str,
    ) -> Outcome<Place<'a>> {
        directory.check_writable()?;
        let place = Place::of(purse, directory, path)?;
        self.check_changeable(purse, directory, &place)?;
        Ok(place)
    }

    /// `perm` for a place in a folder that may only be read.
    pub(crate) fn check_changeable(
        &self,
        purse: &Purse,
        start: &Directory,
        place: &Place<'_>,
    ) -> Outcome<()> {
        match &place.folder {
            Folder::Held(_) => Ok(()),
            Folder::Opened(folder) if self.protect(purse, start, folder)? => {
                Err(Errno::Perm.into())
            }
            Folder::Opened(_) => Ok(()),
        }
    }

    /// Whether a folder that was reached from `start`, which may be changed, is or lies in
    /// one that may only be read. Goes up from it, to the first granted folder: the kernel
    /// knows the way, out of mounts as well.
    pub(crate) fn protect(
        &self,
        purse: &Purse,
        start: &Directory,
        folder: impl AsFd,
    ) -> Outcome<bool> {
        if self.0.is_empty() {
            return Ok(false);
        }
        let start = Identity::of(&start.dir)?;
        let read_only = climb(purse, folder, |here| match self.find(here) {
            Some(root) => Some(!matches!(root, Root::Changeable(_))),
            None => (here == start).then_some(false),
        });
        Ok(read_only?.unwrap_or(false))
    }

    /// `perm` for a name that stands for a folder which may only be read, or in which one
    /// lies: it would be gone, or stand under another name.
    pub(crate) fn check_movable(&self, purse: &Purse, place: &Place<'_>) -> Outcome<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let Some(moved) = Found::at(purse, &place.folder, place.bare_name(), false)? else {
            return Ok(());
        };
        if !moved.metadata.is_dir() {
            return Ok(());
        }
        let moved = Identity::of(&moved.file)?;
        for root in &self.0 {
            let Root::ReadOnly(_, dir) = root else { continue };
            let dir = dir.as_ref().ok_or(Errno::Perm)?;
            let holds = climb(purse, dir, |here| match self.find(here) {
                _ if here == moved => Some(true),
                Some(Root::Changeable(_)) => Some(false),
                _ => None,
            });
            if holds?.unwrap_or(false) {
                return Err(Errno::Perm.into());
            }
        }
        Ok(())
    }

    fn find(&self, folder: Identity) -> Option<&Root> {
        self.0.iter().find(|root| match root {
            Root::Changeable(identity) | Root::ReadOnly(identity, _) | Root::Hidden(identity) => {
                *identity == folder
            }
        })
    }
}

/// What is known of a folder, or of the first above it of which anything is.
fn climb<T>(
    purse: &Purse,
    folder: impl AsFd,
    known: impl Fn(Identity) -> Option<T>,
) -> Outcome<Option<T>> {
    const FLAGS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
    let mut here = Identity::of(&folder)?;
    let mut held: Option<OwnedFd> = None;
    loop {
        purse.owe_folder();
        if let Some(value) = known(here) {
            return Ok(Some(value));
        }
        let above = match &held {
            None => openat(&folder, "..", FLAGS, Mode::empty())?,
            Some(held) => openat(held, "..", FLAGS, Mode::empty())?,
        };
        let identity = Identity::of(&above)?;
        // The root is its own parent.
        if identity == here {
            return Ok(None);
        }
        (here, held) = (identity, Some(above));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_folder_and_a_name() {
        for (path, folder, name) in [
            ("a", "", "a"),
            ("a/", "", "a/"),
            ("a/b", "a/", "b"),
            ("a//b//", "a//", "b//"),
            ("/a", "/", "a"),
            (".", ".", "."),
            ("..", "..", "."),
            ("a/..", "a/..", "."),
            ("a/./", "a/./", "."),
            ("/", "/", "."),
            ("a/...", "a/", "..."),
        ] {
            assert_eq!(split(path), (folder, name), "{path}");
        }
        assert_eq!(split("").1, ".");
    }
}
