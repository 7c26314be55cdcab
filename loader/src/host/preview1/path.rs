//! What can be done by path: opening, linking, renaming, removing.
//!
//! Assumes that `place.rs` gives no folder that a guest may not reach. Guarantees that
//! what a read-only grant forbids is refused (`perm`) before the system is asked, that
//! whatever is opened inherits the grant, and that each new name is paid for from what the
//! guest may write (`disk.rs`). Follows a link only when the guest asks for it.

use crate::host::Host;
use crate::host::disk::OutputLeft;
use crate::host::errno::{Errno, Outcome};
use crate::host::memory::{Bytes, GuestMemory, Path, Pointer};
use crate::host::preview1::fd::system_flags;
use crate::host::preview1::place::{Found, Place, Roots, following};
use crate::host::preview1::types::{FdFlags, LookupFlags, OpenFlags, Rights};
use crate::host::price::Purse;
use crate::host::table::{Descriptor, Directory, OpenFile};
use cap_fs_ext::OpenOptionsFollowExt as _;
use cap_std::fs::{Dir, File, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;

/// How often a file may come and go between a look and the attempt to make it.
const ATTEMPTS_MAX: u32 = 40;

/// Makes a directory.
pub(crate) fn path_create_directory(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    path: Path,
) -> Outcome<()> {
    let (directory, path) = at(host, memory, descriptor, path)?;
    let place = host.table.roots.place_to_change(&host.purse, directory, path)?;
    let left = host.output_left.take_new_name(&place, 0)?;
    place.folder.create_dir(&place.name)?;
    host.output_left = left;
    Ok(())
}

/// Gives a file a second name. Links are not followed (`inval`).
pub(crate) fn path_link(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    old_descriptor: u32,
    old_lookup: u32,
    old_path: Path,
    new_descriptor: u32,
    new_path: Path,
) -> Outcome<()> {
    let lookup = LookupFlags::parse(old_lookup)?;
    let (old, old_path) = at(host, memory, old_descriptor, old_path)?;
    let (new, new_path) = at(host, memory, new_descriptor, new_path)?;
    old.check_writable()?;
    new.check_writable()?;
    if lookup.has(LookupFlags::SYMLINK_FOLLOW) {
        return Err(Errno::Inval.into());
    }
    let old = host.table.roots.place_to_change(&host.purse, old, old_path)?;
    let new = host.table.roots.place_to_change(&host.purse, new, new_path)?;
    let left = host.output_left.take_new_name(&new, 0)?;
    old.folder.hard_link(&old.name, &new.folder, &new.name)?;
    host.output_left = left;
    Ok(())
}

/// Opens a file or a directory.
#[expect(clippy::too_many_arguments, reason = "the specification's signature")]
pub(crate) fn path_open(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    lookup: u32,
    path: Path,
    how: u32,
    rights: u64,
    rights_inheriting: u64,
    flags: u32,
    result: Pointer,
) -> Outcome<()> {
    let opening = Opening {
        lookup: LookupFlags::parse(lookup)?,
        how: OpenFlags::parse(how)?,
        rights: host.edition.parse_rights(rights)?,
        flags: FdFlags::parse(flags)?,
    };
    host.edition.parse_rights(rights_inheriting)?;
    let path = memory.path(path)?;
    let directory = match host.table.get(descriptor)? {
        Descriptor::Directory(directory) => directory,
        Descriptor::File(_) => return Err(Errno::Notdir.into()),
        Descriptor::Stream(_) | Descriptor::Socket(_) | Descriptor::Withheld => {
            return Err(Errno::Badf.into());
        }
    };
    opening.check()?;
    if opening.writes() {
        directory.check_writable()?;
    }
    host.table.check_room()?;
    memory.check_u32(result)?;
    let mut left = host.output_left;
    let opened = opening.open(&host.purse, &host.table.roots, directory, path, &mut left)?;
    host.output_left = left;
    let number = host.table.insert(opened)?;
    memory.write_u32(result, number)
}

/// How a guest wants something opened.
struct Opening {
    lookup: LookupFlags,
    how: OpenFlags,
    rights: Rights,
    flags: FdFlags,
}

impl Opening {
    /// `inval` if the wishes contradict each other: directories are not made,
    /// nor emptied, by opening them.
    fn check(&self) -> Outcome<()> {
        let file_only = [OpenFlags::CREAT, OpenFlags::EXCL, OpenFlags::TRUNC];
        let directory = self.how.has(OpenFlags::DIRECTORY);
        if directory && file_only.iter().any(|flag| self.how.has(*flag)) {
            return Err(Errno::Inval.into());
        }
        Ok(())
    }

    /// Whether the file is opened for writing: because the guest wants to write,
    /// or because creating and emptying are done by a writer.
    fn writes(&self) -> bool {
        self.rights.has(Rights::FD_WRITE)
            || self.how.has(OpenFlags::CREAT)
            || self.how.has(OpenFlags::TRUNC)
    }

    /// Whether each write waits for the disk.
    fn is_synced(&self) -> bool {
        let synced = [FdFlags::DSYNC, FdFlags::RSYNC, FdFlags::SYNC];
        synced.into_iter().any(|flag| self.flags.has(flag))
    }

    /// Opens what a path leads to, or makes it.
    fn open(
        &self,
        purse: &Purse,
        roots: &Roots,
        directory: &Directory,
        path: &str,
        output_left: &mut OutputLeft,
    ) -> Outcome<Descriptor> {
        let creates = self.how.has(OpenFlags::CREAT);
        let exclusive = creates && self.how.has(OpenFlags::EXCL);
        // What must be new is no link's other end.
        let follow = self.lookup.has(LookupFlags::SYMLINK_FOLLOW) && !exclusive;
        for _ in 0..ATTEMPTS_MAX {
            let changes = self.writes() && roots.matter();
            let found = match changes || roots.hide() {
                true => {
                    let (place, found) = Place::find(purse, directory, path, follow)?;
                    if changes {
                        roots.check_changeable(purse, directory, &place)?;
                    }
                    roots.check_visible(purse, directory, &place, found.as_ref())?;
                    found
                }
                false => Found::at(purse, &directory.dir, path, follow)?,
            };
            match found {
                Some(_) if exclusive => return Err(Errno::Exist.into()),
                Some(found) => return self.open_found(purse, roots, directory, path, &found),
                None if !creates => return Err(Errno::Noent.into()),
                None => {}
            }
            let (place, None) = Place::find(purse, directory, path, follow)? else { continue };
            roots.check_changeable(purse, directory, &place)?;
            let left = output_left.take_new_name(&place, 0)?;
            let mut options = self.options(false);
            match place.folder.open_with(&place.name, options.create_new(true)) {
                Ok(file) => {
                    *output_left = left;
                    return Ok(Descriptor::File(self.file(file, directory.read_only, 0)));
                }
                // Somebody made it in between: then it is opened, unless it must be new.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && !exclusive => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::Again.into())
    }

    /// Opens what is there.
    fn open_found(
        &self,
        purse: &Purse,
        roots: &Roots,
        directory: &Directory,
        path: &str,
        found: &Found,
    ) -> Outcome<Descriptor> {
        let is_directory = found.metadata.is_dir();
        if self.how.has(OpenFlags::DIRECTORY) && !is_directory {
            return Err(Errno::Notdir.into());
        }
        let follow = self.lookup.has(LookupFlags::SYMLINK_FOLLOW);
        let again = || directory.dir.open_with(path, &self.options(follow));
        let file = found.open(self.flags(), again)?;
        let read_only = directory.read_only;
        Ok(if is_directory {
            // A folder that was opened is what the innermost grant above it says.
            let read_only = read_only || roots.protect(purse, directory, &file)?;
            let dir = Dir::from_std_file(file.into_std());
            Descriptor::Directory(Directory::opened(dir, read_only))
        } else {
            Descriptor::File(self.file(file, read_only, found.metadata.len()))
        })
    }

    /// What the guest gets of a file of this size.
    fn file(&self, file: File, read_only: bool, size: u64) -> OpenFile {
        OpenFile::new(file, read_only, self.is_synced(), size)
    }

    /// Whether it is read. A file that the guest wants neither to read nor to write is
    /// opened for reading: the system needs one of both.
    fn reads(&self) -> bool {
        self.rights.has(Rights::FD_READ) || !self.rights.has(Rights::FD_WRITE)
    }

    /// Flags beside what is done with it.
    fn behaviour(&self) -> OFlags {
        // A guest must not give the loader a terminal to be controlled by.
        let mut flags = OFlags::NOCTTY | system_flags(self.flags);
        flags.set(OFlags::DIRECTORY, self.how.has(OpenFlags::DIRECTORY));
        flags
    }

    /// How what is there is opened, in the system's words.
    fn flags(&self) -> OFlags {
        let access = match (self.reads(), self.writes()) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        };
        let mut flags = access | self.behaviour();
        flags.set(OFlags::TRUNC, self.how.has(OpenFlags::TRUNC));
        flags
    }

    /// The same in the words of `cap-std`.
    fn options(&self, follow: bool) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(self.reads()).write(self.writes()).truncate(self.how.has(OpenFlags::TRUNC));
        options.follow(following(follow)).custom_flags(self.behaviour().bits().cast_signed());
        options
    }
}

/// What a symbolic link says, cut off where the buffer ends.
pub(crate) fn path_readlink(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    path: Path,
    buffer: Bytes,
    result: Pointer,
) -> Outcome<()> {
    memory.check_u32(result)?;
    memory.bytes(buffer)?;
    let (directory, path) = at(host, memory, descriptor, path)?;
    let place = Place::of(&host.purse, directory, path)?;
    let target = place.folder.read_link(&place.name)?;
    let target = target.as_os_str().as_bytes();
    let buffer = memory.bytes_mut(buffer)?;
    let length = target.len().min(buffer.len());
    let (place, _) = buffer.split_at_mut(length);
    place.copy_from_slice(target.get(..length).unwrap_or_default());
    memory.write_size(result, length)
}

/// Removes an empty directory.
pub(crate) fn path_remove_directory(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    path: Path,
) -> Outcome<()> {
    let (directory, path) = at(host, memory, descriptor, path)?;
    let place = host.table.roots.place_to_change(&host.purse, directory, path)?;
    host.table.roots.check_movable(&host.purse, &place)?;
    // `folder/` is `folder`, as for the kernel; to cap-std it would be `folder/.`, which
    // cannot be removed.
    let name = place.bare_name();
    let gone = last_name(host.clockwork.is_some(), &place.folder, name);
    place.folder.remove_dir(name)?;
    host.forget(gone);
    Ok(())
}

/// Gives a file or a directory another name.
pub(crate) fn path_rename(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    old_descriptor: u32,
    old_path: Path,
    new_descriptor: u32,
    new_path: Path,
) -> Outcome<()> {
    let (old, old_path) = at(host, memory, old_descriptor, old_path)?;
    let (new, new_path) = at(host, memory, new_descriptor, new_path)?;
    old.check_writable()?;
    new.check_writable()?;
    let roots = &host.table.roots;
    let mut old = roots.place_to_change(&host.purse, old, old_path)?;
    let new = roots.place_to_change(&host.purse, new, new_path)?;
    roots.check_movable(&host.purse, &old)?;
    roots.check_movable(&host.purse, &new)?;
    let left = host.output_left.take_name(&new.name, 0)?;
    let replaced = last_name(host.clockwork.is_some(), &new.folder, &new.name);
    // Only a directory can get a name that ends with a slash. cap-std minds that slash
    // in the old path alone.
    if new.name.ends_with('/') {
        old.name.push('/');
    }
    old.folder.rename(&old.name, &new.folder, &new.name)?;
    // Two names of one file are left as they are.
    let gone = replaced.filter(|_| last_name(true, &new.folder, &new.name) != replaced);
    host.output_left = left;
    host.forget(gone);
    Ok(())
}

/// Makes a symbolic link. It may point anywhere relative; whether it may be
/// followed is judged when it is.
pub(crate) fn path_symlink(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    target: Path,
    descriptor: u32,
    path: Path,
) -> Outcome<()> {
    let target = memory.path(target)?;
    let (directory, path) = at(host, memory, descriptor, path)?;
    let place = host.table.roots.place_to_change(&host.purse, directory, path)?;
    let left = host.output_left.take_new_name(&place, target.len())?;
    place.folder.symlink(target, &place.name)?;
    host.output_left = left;
    Ok(())
}

/// Removes a name of a file.
pub(crate) fn path_unlink_file(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    path: Path,
) -> Outcome<()> {
    let (directory, path) = at(host, memory, descriptor, path)?;
    let place = host.table.roots.place_to_change(&host.purse, directory, path)?;
    let gone = last_name(host.clockwork.is_some(), &place.folder, &place.name);
    place.folder.remove_file(&place.name)?;
    host.forget(gone);
    Ok(())
}

/// A path in a directory, as the guest named both.
pub(crate) fn at<'a>(
    host: &'a Host,
    memory: &'a GuestMemory<'_>,
    descriptor: u32,
    path: Path,
) -> Outcome<(&'a Directory, &'a str)> {
    Ok((host.table.directory(descriptor)?, memory.path(path)?))
}

/// Device and number of a file that is gone when this name of it is. Asked only where
/// files have numbers by rule.
fn last_name(by_rule: bool, dir: &Dir, path: &str) -> Option<(u64, u64)> {
    if !by_rule {
        return None;
    }
    let metadata = dir.symlink_metadata(path).ok()?;
    (metadata.is_dir() || metadata.nlink() == 1).then(|| (metadata.dev(), metadata.ino()))
}

impl Host {
    /// Takes note that a file is gone.
    fn forget(&mut self, gone: Option<(u64, u64)>) {
        if let (Some(clockwork), Some((device, inode))) = (&mut self.clockwork, gone) {
            clockwork.forget(device, inode, &mut self.holding);
        }
    }
}
