//! What can be done by path: opening, linking, renaming, removing.
//!
//! Assumes that `cap-std` keeps every path inside the directory it starts from,
//! symbolic links included. Guarantees that what a read-only grant forbids is
//! refused (`perm`) before the system is asked, and that whatever is opened
//! inherits the grant. Resolves no path itself, and follows a link only when the
//! guest asks for it.

use crate::host::Host;
use crate::host::errno::{Errno, Outcome};
use crate::host::fd::system_flags;
use crate::host::memory::GuestMemory;
use crate::host::stat::metadata;
use crate::host::table::{Descriptor, Directory, OpenFile};
use crate::host::types::{FdFlags, LookupFlags, OpenFlags, Rights};
use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;

/// Makes a directory.
pub(crate) fn path_create_directory(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    path: u32,
    path_length: u32,
) -> Outcome<()> {
    let (directory, path) = at(host, memory, descriptor, path, path_length)?;
    directory.check_writable()?;
    Ok(directory.dir.create_dir(path)?)
}

/// Gives a file a second name. Links are not followed (`inval`).
#[expect(clippy::too_many_arguments, reason = "the specification's signature")]
pub(crate) fn path_link(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    old_descriptor: u32,
    old_lookup: u32,
    old_path: u32,
    old_path_length: u32,
    new_descriptor: u32,
    new_path: u32,
    new_path_length: u32,
) -> Outcome<()> {
    let lookup = LookupFlags::parse(old_lookup)?;
    let (old, old_path) = at(host, memory, old_descriptor, old_path, old_path_length)?;
    let (new, new_path) = at(host, memory, new_descriptor, new_path, new_path_length)?;
    old.check_writable()?;
    new.check_writable()?;
    if lookup.has(LookupFlags::SYMLINK_FOLLOW) {
        return Err(Errno::Inval.into());
    }
    Ok(old.dir.hard_link(old_path, &new.dir, new_path)?)
}

/// Opens a file or a directory.
#[expect(clippy::too_many_arguments, reason = "the specification's signature")]
pub(crate) fn path_open(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    lookup: u32,
    path: u32,
    path_length: u32,
    how: u32,
    rights: u64,
    rights_inheriting: u64,
    flags: u32,
    result: u32,
) -> Outcome<()> {
    let opening = Opening {
        lookup: LookupFlags::parse(lookup)?,
        how: OpenFlags::parse(how)?,
        rights: host.edition.parse_rights(rights)?,
        flags: FdFlags::parse(flags)?,
    };
    host.edition.parse_rights(rights_inheriting)?;
    let path = memory.path(path, path_length)?;
    let directory = match host.table.get(descriptor)? {
        Descriptor::Directory(directory) => directory,
        Descriptor::File(_) => return Err(Errno::Notdir.into()),
        Descriptor::Stream(_) | Descriptor::Withheld => return Err(Errno::Badf.into()),
    };
    opening.check()?;
    if opening.writes() {
        directory.check_writable()?;
    }
    host.table.check_room()?;
    memory.check_u32(result)?;
    let read_only = directory.read_only;
    if host.clockwork.is_some() && !is_plain(&directory.dir, path, opening.lookup)? {
        return Err(Errno::Perm.into());
    }
    let file = directory.dir.open_with(path, &opening.options())?;
    let opened = if file.metadata()?.is_dir() {
        let dir = Dir::from_std_file(file.into_std());
        Descriptor::Directory(Directory::opened(dir, read_only))
    } else {
        Descriptor::File(OpenFile { file, read_only, synced: opening.is_synced() })
    };
    let number = host.table.insert(opened)?;
    memory.write_u32(result, number)
}

/// Whether what is at a path is a file, a directory or not there: what else there is
/// gives and takes bytes by chance.
fn is_plain(dir: &Dir, path: &str, lookup: LookupFlags) -> Outcome<bool> {
    Ok(match metadata(dir, path, lookup) {
        Ok(metadata) => metadata.is_file() || metadata.is_dir() || metadata.is_symlink(),
        // Opening it says why, or makes it.
        Err(_) => true,
    })
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

    /// The same in the words of `cap-std`.
    fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        // A file that the guest wants neither to read nor to write is opened for
        // reading: the system needs one of both.
        options.read(self.rights.has(Rights::FD_READ) || !self.rights.has(Rights::FD_WRITE));
        options.write(self.writes());
        options.truncate(self.how.has(OpenFlags::TRUNC));
        if self.how.has(OpenFlags::CREAT) {
            options.create(true);
            options.create_new(self.how.has(OpenFlags::EXCL));
        }
        options.follow(if self.lookup.has(LookupFlags::SYMLINK_FOLLOW) {
            FollowSymlinks::Yes
        } else {
            FollowSymlinks::No
        });
        // A guest must not give the loader a terminal to be controlled by.
        let mut flags = OFlags::NOCTTY | system_flags(self.flags);
        if self.how.has(OpenFlags::DIRECTORY) {
            // Left to the kernel, which then does not wait for a FIFO's other
            // end, nor wake a device, only to find that it is no directory.
            flags |= OFlags::DIRECTORY;
        }
        options.custom_flags(flags.bits().cast_signed());
        options
    }
}

/// What a symbolic link says, cut off where the buffer ends.
#[expect(clippy::too_many_arguments, reason = "the specification's signature")]
pub(crate) fn path_readlink(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    path: u32,
    path_length: u32,
    buffer: u32,
    buffer_length: u32,
    result: u32,
) -> Outcome<()> {
    memory.check_u32(result)?;
    memory.bytes(buffer, buffer_length)?;
    let (directory, path) = at(host, memory, descriptor, path, path_length)?;
    let target = directory.dir.read_link(path)?;
    let target = target.as_os_str().as_bytes();
    let buffer = memory.bytes_mut(buffer, buffer_length)?;
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
    path: u32,
    path_length: u32,
) -> Outcome<()> {
    let (directory, path) = at(host, memory, descriptor, path, path_length)?;
    directory.check_writable()?;
    // `folder/` is `folder`, as for the kernel; to cap-std it would be `folder/.`, which
    // cannot be removed.
    let path = match path.trim_end_matches('/') {
        "" => path,
        path => path,
    };
    let gone = last_name(host.clockwork.is_some(), &directory.dir, path);
    directory.dir.remove_dir(path)?;
    host.forget(gone);
    Ok(())
}

/// Gives a file or a directory another name.
#[expect(clippy::too_many_arguments, reason = "the specification's signature")]
pub(crate) fn path_rename(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    old_descriptor: u32,
    old_path: u32,
    old_path_length: u32,
    new_descriptor: u32,
    new_path: u32,
    new_path_length: u32,
) -> Outcome<()> {
    let (old, old_path) = at(host, memory, old_descriptor, old_path, old_path_length)?;
    let (new, new_path) = at(host, memory, new_descriptor, new_path, new_path_length)?;
    old.check_writable()?;
    new.check_writable()?;
    let replaced = last_name(host.clockwork.is_some(), &new.dir, new_path);
    // Only a directory can get a name that ends with a slash. cap-std minds that slash
    // in the old path alone.
    let mut old_path = Cow::from(old_path);
    if new_path.ends_with('/') && !old_path.is_empty() {
        old_path.to_mut().push('/');
    }
    old.dir.rename(&*old_path, &new.dir, new_path)?;
    // Two names of one file are left as they are.
    if replaced.is_some() && last_name(true, &new.dir, new_path) != replaced {
        host.forget(replaced);
    }
    Ok(())
}

/// Makes a symbolic link. It may point anywhere relative; whether it may be
/// followed is judged when it is.
pub(crate) fn path_symlink(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    target: u32,
    target_length: u32,
    descriptor: u32,
    path: u32,
    path_length: u32,
) -> Outcome<()> {
    let target = memory.path(target, target_length)?;
    let (directory, path) = at(host, memory, descriptor, path, path_length)?;
    directory.check_writable()?;
    Ok(directory.dir.symlink(target, path)?)
}

/// Removes a name of a file.
pub(crate) fn path_unlink_file(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    path: u32,
    path_length: u32,
) -> Outcome<()> {
    let (directory, path) = at(host, memory, descriptor, path, path_length)?;
    directory.check_writable()?;
    let gone = last_name(host.clockwork.is_some(), &directory.dir, path);
    directory.dir.remove_file(path)?;
    host.forget(gone);
    Ok(())
}

/// A path in a directory, as the guest named both.
pub(crate) fn at<'a>(
    host: &'a Host,
    memory: &'a GuestMemory<'_>,
    descriptor: u32,
    path: u32,
    path_length: u32,
) -> Outcome<(&'a Directory, &'a str)> {
    Ok((host.table.directory(descriptor)?, memory.path(path, path_length)?))
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
