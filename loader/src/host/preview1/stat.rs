//! Sizes, times and kinds of files: `fd_filestat_*`, `path_filestat_*`.
//!
//! Assumes that `cap-std` keeps paths inside their directory. Guarantees that
//! nothing under a read-only grant changes. Does not hide which file is which:
//! device and inode are the system's own, so that guests can tell hard links.

use crate::host::Host;
use crate::host::errno::{Errno, Outcome};
use crate::host::memory::{GuestMemory, Path, Pointer};
use crate::host::preview1::fd::kind_of_stream;
use crate::host::preview1::path::at;
use crate::host::preview1::place::{Found, Place};
use crate::host::preview1::types::{FileStat, FileType, LookupFlags, NANOSECONDS, TimeFlags};
use crate::host::table::Descriptor;
use cap_fs_ext::{DirExt, SystemTimeSpec};
use cap_std::fs::Metadata;
use cap_std::time::SystemTime;
use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};
use rustix::io::Errno as SystemErrno;
use std::time::{Duration, UNIX_EPOCH};

/// The attributes of an open file.
pub(crate) fn fd_filestat_get(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    result: Pointer,
) -> Outcome<()> {
    let attributes = match host.table.get(descriptor)? {
        Descriptor::Stream(stream) => {
            let kind = kind_of_stream(stream, host.clockwork.is_some());
            return host.edition.write_attributes(memory, result, &FileStat::of_stream(kind));
        }
        Descriptor::Socket(_) => {
            let attributes = FileStat::of_stream(FileType::SocketStream);
            return host.edition.write_attributes(memory, result, &attributes);
        }
        Descriptor::Directory(directory) => directory.dir.dir_metadata()?,
        Descriptor::File(file) => file.file.metadata()?,
        Descriptor::Withheld => return Err(Errno::Badf.into()),
    };
    let attributes = host.attributes(&attributes)?;
    host.edition.write_attributes(memory, result, &attributes)
}

/// Cuts a file off, or extends it with zeros.
pub(crate) fn fd_filestat_set_size(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
    size: u64,
) -> Outcome<()> {
    let file = host.table.file(descriptor)?;
    file.check_writable()?;
    let left = host.output_left.take_growth(file, size)?;
    rustix::fs::ftruncate(file, size)?;
    file.has_reached(size);
    host.output_left = left;
    Ok(())
}

/// Sets the times of an open file.
pub(crate) fn fd_filestat_set_times(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
    accessed_ns: u64,
    modified_ns: u64,
    flags: u32,
) -> Outcome<()> {
    let (accessed, modified) = changes(accessed_ns, modified_ns, flags)?;
    match host.table.get(descriptor)? {
        Descriptor::Stream(_) | Descriptor::Socket(_) | Descriptor::Withheld => {
            Err(Errno::Badf.into())
        }
        Descriptor::Directory(directory) => {
            directory.check_writable()?;
            Ok(directory.dir.set_times(".", accessed.for_path(), modified.for_path())?)
        }
        Descriptor::File(file) => {
            file.check_writable()?;
            let times = Timestamps {
                last_access: accessed.for_file(),
                last_modification: modified.for_file(),
            };
            Ok(rustix::fs::futimens(file, &times)?)
        }
    }
}

/// The attributes of the file at a path.
pub(crate) fn path_filestat_get(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    lookup: u32,
    path: Path,
    result: Pointer,
) -> Outcome<()> {
    let lookup = LookupFlags::parse(lookup)?;
    let (directory, path) = at(host, memory, descriptor, path)?;
    // A path that ends so means a directory, and a link at its end is one to a directory.
    let is_directory = path.ends_with('/') || path.ends_with("/.");
    let metadata = if is_directory || lookup.has(LookupFlags::SYMLINK_FOLLOW) {
        Found::at(&host.purse, &directory.dir, path, true)?.ok_or(Errno::Noent)?.metadata
    } else {
        let place = Place::of(&host.purse, directory, path)?;
        place.folder.symlink_metadata(&place.name)?
    };
    let attributes = host.attributes(&metadata)?;
    host.edition.write_attributes(memory, result, &attributes)
}

/// Sets the times of the file at a path.
#[expect(clippy::too_many_arguments, reason = "the specification's signature")]
pub(crate) fn path_filestat_set_times(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    lookup: u32,
    path: Path,
    accessed_ns: u64,
    modified_ns: u64,
    flags: u32,
) -> Outcome<()> {
    let lookup = LookupFlags::parse(lookup)?;
    let (accessed, modified) = changes(accessed_ns, modified_ns, flags)?;
    let (directory, path) = at(host, memory, descriptor, path)?;
    directory.check_writable()?;
    let follow = lookup.has(LookupFlags::SYMLINK_FOLLOW);
    let (place, found) = Place::find(&host.purse, directory, path, follow)?;
    let found = found.ok_or(Errno::Noent)?;
    let roots = &host.table.roots;
    roots.check_changeable(&host.purse, directory, &place)?;
    if found.metadata.is_dir() && roots.protect(&host.purse, directory, &found.file)? {
        return Err(Errno::Perm.into());
    }
    let times =
        Timestamps { last_access: accessed.for_file(), last_modification: modified.for_file() };
    // Of the place, not the file: opening a FIFO would wait for its other end, and a device
    // would wake.
    match utimensat(&found.file, "", &times, AtFlags::EMPTY_PATH) {
        // Linux before 5.8 does not take a place for a file.
        Err(SystemErrno::INVAL) => {
            let (accessed, modified) = (accessed.for_path(), modified.for_path());
            Ok(place.folder.set_symlink_times(place.bare_name(), accessed, modified)?)
        }
        outcome => Ok(outcome?),
    }
}

impl Host {
    /// The attributes that the system told, as the guest may see them.
    fn attributes(&mut self, metadata: &Metadata) -> Outcome<FileStat> {
        let mut attributes = FileStat::of_file(metadata)?;
        if let Some(clockwork) = &mut self.clockwork {
            clockwork.normalise(&mut attributes, &mut self.holding)?;
        }
        Ok(attributes)
    }
}

/// What becomes of a time stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Keep,
    Now,
    To { time_ns: u64 },
}

/// What becomes of the time of the last access, and of the last modification.
fn changes(accessed_ns: u64, modified_ns: u64, flags: u32) -> Outcome<(Change, Change)> {
    let flags = TimeFlags::parse(flags)?;
    let change = |set, now, time_ns| match (flags.has(set), flags.has(now)) {
        (false, false) => Ok(Change::Keep),
        (false, true) => Ok(Change::Now),
        (true, false) => Ok(Change::To { time_ns }),
        (true, true) => Err(Errno::Inval),
    };
    Ok((
        change(TimeFlags::ATIM, TimeFlags::ATIM_NOW, accessed_ns)?,
        change(TimeFlags::MTIM, TimeFlags::MTIM_NOW, modified_ns)?,
    ))
}

impl Change {
    /// In the words of `futimens`.
    fn for_file(self) -> Timespec {
        // A second has no more nanoseconds, and no u64 of them more seconds, than
        // either type holds.
        #[allow(clippy::unnecessary_cast, reason = "tv_nsec is narrower on 32-bit systems")]
        let (tv_sec, tv_nsec) = match self {
            Change::Keep => (0, UTIME_OMIT),
            Change::Now => (0, UTIME_NOW),
            Change::To { time_ns } => {
                ((time_ns / NANOSECONDS) as i64, (time_ns % NANOSECONDS) as _)
            }
        };
        Timespec { tv_sec, tv_nsec }
    }

    /// In the words of `cap-std`.
    fn for_path(self) -> Option<SystemTimeSpec> {
        match self {
            Change::Keep => None,
            Change::Now => Some(SystemTimeSpec::SymbolicNow),
            Change::To { time_ns } => {
                let time = UNIX_EPOCH + Duration::from_nanos(time_ns);
                Some(SystemTimeSpec::Absolute(SystemTime::from_std(time)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_cannot_be_both_given_and_now() {
        assert!(changes(0, 0, 0b0011).is_err());
        assert!(changes(0, 0, 0b1100).is_err());
        assert!(changes(0, 0, 0b1_0000).is_err());
        let both = changes(5, 7, 0b0110).expect("valid flags");
        assert_eq!(both, (Change::Now, Change::To { time_ns: 7 }));
        let none = changes(5, 7, 0).expect("valid flags");
        assert_eq!(none, (Change::Keep, Change::Keep));
    }

    #[test]
    fn every_time_a_guest_can_name_has_a_form() {
        let last = Change::To { time_ns: u64::MAX };
        assert_eq!(last.for_file().tv_sec, 18_446_744_073);
        assert!(last.for_path().is_some());
    }
}
