//! What can be done with an open descriptor apart from moving bytes: its
//! attributes, its position, its number, its end.
//!
//! Assumes that the kernel keeps position and flags of an open file, so that
//! nothing here has to be kept in step with it. Guarantees that flags of a
//! standard stream, which other processes share, are never changed. Does not read
//! or write (`transfer.rs`), and does not tell or set sizes and times (`stat.rs`).

use crate::host::Host;
use crate::host::errno::{Errno, Outcome};
use crate::host::memory::{Bytes, GuestMemory, Pointer};
use crate::host::preview1::types::{FdFlags, FdStat, FileType, PRESTAT_ALIGNMENT, Rights, prestat};
use crate::host::stream::{Direction, Stream};
use crate::host::table::Descriptor;
use bls_artifact::limits::ADVISED_BYTES_MAX;
use rustix::fs::{Advice, FallocateFlags, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::retry_on_intr;
use std::io::IsTerminal;
use std::num::NonZeroU64;

/// What a guest may do in a granted directory. A fixed set, because C libraries
/// look into it before they try anything; what a read-only grant forbids is found
/// out by trying.
const GRANTED_RIGHTS: Rights = Rights::PATH_CREATE_DIRECTORY
    .with(Rights::PATH_CREATE_FILE)
    .with(Rights::PATH_LINK_SOURCE)
    .with(Rights::PATH_LINK_TARGET)
    .with(Rights::PATH_OPEN)
    .with(Rights::FD_READDIR)
    .with(Rights::PATH_READLINK)
    .with(Rights::PATH_RENAME_SOURCE)
    .with(Rights::PATH_RENAME_TARGET)
    .with(Rights::PATH_SYMLINK)
    .with(Rights::PATH_REMOVE_DIRECTORY)
    .with(Rights::PATH_UNLINK_FILE)
    .with(Rights::PATH_FILESTAT_GET)
    .with(Rights::PATH_FILESTAT_SET_TIMES)
    .with(Rights::FD_FILESTAT_GET)
    .with(Rights::FD_FILESTAT_SET_TIMES);

/// What a guest may do with files it opens in a granted directory.
const GRANTED_RIGHTS_INHERITING: Rights = GRANTED_RIGHTS
    .with(Rights::FD_DATASYNC)
    .with(Rights::FD_READ)
    .with(Rights::FD_SEEK)
    .with(Rights::FD_FDSTAT_SET_FLAGS)
    .with(Rights::FD_SYNC)
    .with(Rights::FD_TELL)
    .with(Rights::FD_WRITE)
    .with(Rights::FD_ADVISE)
    .with(Rights::FD_ALLOCATE)
    .with(Rights::FD_FILESTAT_SET_SIZE)
    .with(Rights::POLL_FD_READWRITE);

/// What a guest may do with a connection.
const CONNECTION_RIGHTS: Rights = Rights::FD_READ
    .with(Rights::FD_WRITE)
    .with(Rights::FD_FDSTAT_SET_FLAGS)
    .with(Rights::FD_FILESTAT_GET)
    .with(Rights::POLL_FD_READWRITE)
    .with(Rights::SOCK_SHUTDOWN);

/// What a guest may do with a listener.
const LISTENER_RIGHTS: Rights = Rights::SOCK_ACCEPT
    .with(Rights::FD_FDSTAT_SET_FLAGS)
    .with(Rights::FD_FILESTAT_GET)
    .with(Rights::POLL_FD_READWRITE);

/// Tells the kernel how a file is going to be used. What is in its cache is every
/// process's: nothing is taken out of it, and a little is read ahead.
pub(crate) fn fd_advise(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
    offset: u64,
    length: u64,
    advice: u32,
) -> Outcome<()> {
    let (advice, length) = match advice {
        0 => (Advice::Normal, length),
        1 => (Advice::Sequential, length),
        2 => (Advice::Random, length),
        // A length of 0 means all there is.
        3 => (Advice::WillNeed, length.wrapping_sub(1).min(ADVISED_BYTES_MAX - 1) + 1),
        // `dontneed` would drop pages from a cache that all processes share; `noreuse` concerns
        // this file only.
        4 | 5 => (Advice::NoReuse, length),
        _ => return Err(Errno::Inval.into()),
    };
    let file = host.table.file(descriptor)?;
    if advice == Advice::WillNeed {
        host.purse.owe_read_ahead(length);
    }
    Ok(rustix::fs::fadvise(file, offset, NonZeroU64::new(length), advice)?)
}

/// Reserves space on the disk, which counts as written. (wasmtime does not offer it.)
pub(crate) fn fd_allocate(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
    offset: u64,
    length: u64,
) -> Outcome<()> {
    let file = host.table.file(descriptor)?;
    file.check_writable()?;
    let left = host.output_left.take_growth(file, offset)?.take(length)?;
    // Beyond what a file can be, the kernel says so at once.
    if offset.checked_add(length).is_some_and(|end| i64::try_from(end).is_ok()) {
        host.purse.pay_allocation(length)?;
    }
    retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), offset, length))?;
    file.has_reached(offset.saturating_add(length));
    host.output_left = left;
    Ok(())
}

/// Frees a number. The process keeps its own standard streams.
pub(crate) fn fd_close(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
) -> Outcome<()> {
    let closed = host.table.remove(descriptor)?;
    host.holding.give_back(closed.held_bytes());
    Ok(())
}

/// Waits until a file's data are on the disk.
pub(crate) fn fd_datasync(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
) -> Outcome<()> {
    let file = host.table.file(descriptor)?;
    Ok(retry_on_intr(|| rustix::fs::fdatasync(file))?)
}

/// Waits until a file's data and attributes are on the disk.
pub(crate) fn fd_sync(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
) -> Outcome<()> {
    let file = host.table.file(descriptor)?;
    Ok(retry_on_intr(|| rustix::fs::fsync(file))?)
}

/// What a descriptor is, how it behaves and what may be done with it.
pub(crate) fn fd_fdstat_get(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    result: Pointer,
) -> Outcome<()> {
    let attributes = match host.table.get(descriptor)? {
        Descriptor::Stream(stream) => {
            let rights = match stream.direction {
                Direction::Input => Rights::FD_READ,
                Direction::Output | Direction::Error => Rights::FD_WRITE,
            };
            FdStat {
                kind: kind_of_stream(stream, host.clockwork.is_some()),
                flags: FdFlags::empty(),
                rights,
                rights_inheriting: rights,
            }
        }
        Descriptor::Withheld => return Err(Errno::Badf.into()),
        Descriptor::Socket(socket) => {
            let rights = if socket.listens { LISTENER_RIGHTS } else { CONNECTION_RIGHTS };
            let rights_inheriting = if socket.listens { CONNECTION_RIGHTS } else { rights };
            let flags = fcntl_getfl(socket)? & OFlags::NONBLOCK;
            let (kind, flags) = (FileType::SocketStream, guest_flags(flags));
            FdStat { kind, flags, rights, rights_inheriting }
        }
        Descriptor::Directory(directory) => {
            let opened = host
                .edition
                .rights()
                .without(Rights::FD_SEEK)
                .without(Rights::FD_WRITE)
                .without(Rights::FD_FILESTAT_SET_SIZE)
                .without(Rights::PATH_FILESTAT_SET_SIZE);
            let granted = directory.guest_path.is_some();
            FdStat {
                kind: FileType::Directory,
                flags: FdFlags::empty(),
                rights: if granted { GRANTED_RIGHTS } else { opened },
                rights_inheriting: if granted { GRANTED_RIGHTS_INHERITING } else { opened },
            }
        }
        Descriptor::File(file) => {
            let flags = fcntl_getfl(file)?;
            let rights = rights_of_file(host.edition.rights(), flags);
            FdStat {
                kind: file.file.metadata()?.file_type().into(),
                flags: guest_flags(flags),
                rights,
                rights_inheriting: rights,
            }
        }
    };
    memory.write(result, FdStat::ALIGNMENT, attributes.encode())
}

/// A terminal is a character device, which is how a guest recognises one; any
/// other stream is of unknown kind, even a redirected file: it cannot be sought. By
/// rule (`determinism.rs`) no stream is a terminal.
pub(crate) fn kind_of_stream(stream: &Stream, by_rule: bool) -> FileType {
    if !by_rule && stream.system().is_some_and(|system| system.is_terminal()) {
        FileType::CharacterDevice
    } else {
        FileType::Unknown
    }
}

/// All rights but those that the way a file was opened excludes.
fn rights_of_file(all: Rights, flags: OFlags) -> Rights {
    let access = flags & OFlags::ACCMODE;
    let mut rights = all;
    if access == OFlags::WRONLY {
        rights = rights.without(Rights::FD_READ).without(Rights::FD_READDIR);
    }
    if access == OFlags::RDONLY {
        rights = rights.without(Rights::FD_WRITE);
    }
    rights
}

/// The guest's flags and the system's. The order matters: on Linux `SYNC` and
/// `RSYNC` are one, and contain `DSYNC`.
const FLAGS: [(FdFlags, OFlags); 5] = [
    (FdFlags::APPEND, OFlags::APPEND),
    (FdFlags::NONBLOCK, OFlags::NONBLOCK),
    (FdFlags::DSYNC, OFlags::DSYNC),
    (FdFlags::RSYNC, OFlags::RSYNC),
    (FdFlags::SYNC, OFlags::SYNC),
];

/// The system's flags for a guest's.
pub(crate) fn system_flags(flags: FdFlags) -> OFlags {
    let wanted = FLAGS.iter().filter(|(guest, _)| flags.has(*guest));
    wanted.fold(OFlags::empty(), |all, (_, system)| all | *system)
}

/// The guest's flags for the system's.
fn guest_flags(flags: OFlags) -> FdFlags {
    let set = FLAGS.iter().filter(|(_, system)| flags.contains(*system));
    set.fold(FdFlags::empty(), |all, (guest, _)| all.with(*guest))
}

/// Sets how a file behaves, or whether a socket blocks. Appending and blocking can be changed; how writes
/// reach the disk was settled when it was opened (`inval`).
pub(crate) fn fd_fdstat_set_flags(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
    flags: u32,
) -> Outcome<()> {
    let flags = FdFlags::parse(flags)?;
    if let Descriptor::Socket(socket) = host.table.get(descriptor)? {
        if flags.without(FdFlags::NONBLOCK) != FdFlags::empty() {
            return Err(Errno::Inval.into());
        }
        return socket.set_nonblocking(flags.has(FdFlags::NONBLOCK));
    }
    let wanted = system_flags(flags);
    let file = host.table.file(descriptor)?;
    let current = fcntl_getfl(file)?;
    let changeable = OFlags::APPEND | OFlags::NONBLOCK;
    if !current.contains(wanted - changeable) {
        return Err(Errno::Inval.into());
    }
    Ok(fcntl_setfl(file, (current - changeable) | (wanted & changeable))?)
}

/// Would give up rights. Not offered, as in wasmtime: what a descriptor may do was
/// settled when it was opened.
pub(crate) fn fd_fdstat_set_rights(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    descriptor: u32,
    rights: u64,
    rights_inheriting: u64,
) -> Outcome<()> {
    host.edition.parse_rights(rights)?;
    host.edition.parse_rights(rights_inheriting)?;
    host.table.get(descriptor)?;
    Err(Errno::Notsup.into())
}

/// How long the path of a granted directory is; `badf` if the descriptor is not
/// one, by which C libraries find out how many there are.
pub(crate) fn fd_prestat_get(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    result: Pointer,
) -> Outcome<()> {
    let path = host.table.directory(descriptor)?.guest_path.as_ref().ok_or(Errno::Badf)?;
    let length = u32::try_from(path.len()).map_err(|_| Errno::Overflow)?;
    memory.write(result, PRESTAT_ALIGNMENT, prestat(length))
}

/// The path of a granted directory.
pub(crate) fn fd_prestat_dir_name(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    buffer: Bytes,
) -> Outcome<()> {
    let path = match host.table.get(descriptor)? {
        Descriptor::Directory(directory) => directory.guest_path.as_ref(),
        _ => None,
    };
    let path = path.ok_or(Errno::Notdir)?;
    let length = u32::try_from(path.len()).map_err(|_| Errno::Overflow)?;
    let place = buffer.first(length).ok_or(Errno::Nametoolong)?;
    memory.bytes_mut(place)?.copy_from_slice(path.as_bytes());
    Ok(())
}

/// Gives a descriptor another number, which must be in use.
pub(crate) fn fd_renumber(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    from: u32,
    to: u32,
) -> Outcome<()> {
    let closed = host.table.renumber(from, to)?;
    host.holding.give_back(closed.map_or(0, |closed| closed.held_bytes()));
    Ok(())
}

/// Moves the position in a file.
pub(crate) fn fd_seek(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    offset: i64,
    whence: u32,
    result: Pointer,
) -> Outcome<()> {
    let file = host.table.seekable(descriptor)?;
    let target = host.edition.target(whence, offset)?;
    memory.check_u64(result)?;
    memory.write_u64(result, rustix::fs::seek(file, target)?)
}

/// The position in a file.
pub(crate) fn fd_tell(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    result: Pointer,
) -> Outcome<()> {
    let file = host.table.seekable(descriptor)?;
    memory.write_u64(result, rustix::fs::tell(file)?)
}
