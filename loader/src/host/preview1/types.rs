//! Layouts and numbers of WASI preview 1: what lies where in a record that guest
//! and host exchange, and which bit of a flag means what. (`edition.rs` knows what
//! snapshot 0 has otherwise.)
//!
//! Assumes nothing. Guarantees that a value a guest passes is one the
//! specification knows (`inval` otherwise), and that records are little-endian
//! and without uninitialised padding. Does not touch guest memory.

use crate::host::errno::{Errno, Outcome};
use cap_std::fs::{FileTypeExt, Metadata, MetadataExt};

/// Nanoseconds in a second.
pub(crate) const NANOSECONDS: u64 = 1_000_000_000;

/// A set of flags that has been checked to contain no unknown one.
macro_rules! flags {
    ($(#[$about:meta])* $name:ident: $repr:ty { $($flag:ident = $bit:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct $name($repr);

        #[allow(dead_code, reason = "the specification's whole list, used or not")]
        impl $name {
            $(pub(crate) const $flag: Self = Self(1 << $bit);)*
            const ALL: Self = Self($(Self::$flag.0)|*);

            /// The flags a guest passed.
            pub(crate) fn parse(bits: impl TryInto<$repr>) -> Outcome<Self> {
                let bits = bits.try_into().map_err(|_| Errno::Inval)?;
                if bits & !Self::ALL.0 != 0 {
                    return Err(Errno::Inval.into());
                }
                Ok(Self(bits))
            }

            pub(crate) const fn empty() -> Self {
                Self(0)
            }

            pub(crate) const fn all() -> Self {
                Self::ALL
            }

            pub(crate) const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            pub(crate) const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            pub(crate) const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }
    };
}

flags! {
    /// What a descriptor may be used for (`rights`).
    Rights: u64 {
        FD_DATASYNC = 0,
        FD_READ = 1,
        FD_SEEK = 2,
        FD_FDSTAT_SET_FLAGS = 3,
        FD_SYNC = 4,
        FD_TELL = 5,
        FD_WRITE = 6,
        FD_ADVISE = 7,
        FD_ALLOCATE = 8,
        PATH_CREATE_DIRECTORY = 9,
        PATH_CREATE_FILE = 10,
        PATH_LINK_SOURCE = 11,
        PATH_LINK_TARGET = 12,
        PATH_OPEN = 13,
        FD_READDIR = 14,
        PATH_READLINK = 15,
        PATH_RENAME_SOURCE = 16,
        PATH_RENAME_TARGET = 17,
        PATH_FILESTAT_GET = 18,
        PATH_FILESTAT_SET_SIZE = 19,
        PATH_FILESTAT_SET_TIMES = 20,
        FD_FILESTAT_GET = 21,
        FD_FILESTAT_SET_SIZE = 22,
        FD_FILESTAT_SET_TIMES = 23,
        PATH_SYMLINK = 24,
        PATH_REMOVE_DIRECTORY = 25,
        PATH_UNLINK_FILE = 26,
        POLL_FD_READWRITE = 27,
        SOCK_SHUTDOWN = 28,
        SOCK_ACCEPT = 29,
    }
}

flags! {
    /// How a descriptor behaves (`fdflags`).
    FdFlags: u16 {
        APPEND = 0,
        DSYNC = 1,
        NONBLOCK = 2,
        RSYNC = 3,
        SYNC = 4,
    }
}

flags! {
    /// How a path is looked up (`lookupflags`).
    LookupFlags: u32 {
        SYMLINK_FOLLOW = 0,
    }
}

flags! {
    /// How a file is opened (`oflags`).
    OpenFlags: u16 {
        CREAT = 0,
        DIRECTORY = 1,
        EXCL = 2,
        TRUNC = 3,
    }
}

flags! {
    /// Which time stamps are set, and to what (`fstflags`).
    TimeFlags: u16 {
        ATIM = 0,
        ATIM_NOW = 1,
        MTIM = 2,
        MTIM_NOW = 3,
    }
}

flags! {
    /// What a time to wait for means (`subclockflags`).
    ClockFlags: u16 {
        ABSTIME = 0,
    }
}

flags! {
    /// What is special about a ready descriptor (`eventrwflags`).
    ReadyFlags: u16 {
        HANGUP = 0,
    }
}

flags! {
    /// Which side of a socket is shut down (`sdflags`).
    ShutdownFlags: u8 {
        RD = 0,
        WR = 1,
    }
}

flags! {
    /// How a message is received (`riflags`).
    ReceiveFlags: u16 {
        PEEK = 0,
        WAITALL = 1,
    }
}

/// What a file is (`filetype`). Preview 1 has no word for a FIFO, and a socket
/// in a folder does not say which kind it is: both are `Unknown`. A socket that is open
/// is a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FileType {
    Unknown = 0,
    BlockDevice = 1,
    CharacterDevice = 2,
    Directory = 3,
    RegularFile = 4,
    SocketStream = 6,
    SymbolicLink = 7,
}

impl From<cap_std::fs::FileType> for FileType {
    fn from(kind: cap_std::fs::FileType) -> Self {
        if kind.is_file() {
            FileType::RegularFile
        } else if kind.is_dir() {
            FileType::Directory
        } else if kind.is_symlink() {
            FileType::SymbolicLink
        } else if kind.is_char_device() {
            FileType::CharacterDevice
        } else if kind.is_block_device() {
            FileType::BlockDevice
        } else {
            FileType::Unknown
        }
    }
}

impl From<rustix::fs::FileType> for FileType {
    fn from(kind: rustix::fs::FileType) -> Self {
        use rustix::fs::FileType as System;
        match kind {
            System::RegularFile => FileType::RegularFile,
            System::Directory => FileType::Directory,
            System::Symlink => FileType::SymbolicLink,
            System::CharacterDevice => FileType::CharacterDevice,
            System::BlockDevice => FileType::BlockDevice,
            _ => FileType::Unknown,
        }
    }
}

/// A record under construction: zeros, and fields put at their offsets.
struct Record<const SIZE: usize>([u8; SIZE]);

impl<const SIZE: usize> Record<SIZE> {
    fn new() -> Self {
        Self([0; SIZE])
    }

    /// Puts a field of `LENGTH` bytes at `offset`; both are constants of this file.
    fn put<const LENGTH: usize>(mut self, offset: usize, field: [u8; LENGTH]) -> Self {
        self.0[offset..offset + LENGTH].copy_from_slice(&field);
        self
    }
}

/// The attributes of a descriptor (`fdstat`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct FdStat {
    pub(crate) kind: FileType,
    pub(crate) flags: FdFlags,
    pub(crate) rights: Rights,
    pub(crate) rights_inheriting: Rights,
}

impl FdStat {
    pub(crate) const ALIGNMENT: u32 = 8;
    const SIZE: usize = 24;
    const KIND: usize = 0;
    const FLAGS: usize = 2;
    const RIGHTS: usize = 8;
    const RIGHTS_INHERITING: usize = 16;

    /// The record the guest reads.
    pub(crate) fn encode(&self) -> [u8; Self::SIZE] {
        Record::new()
            .put(Self::KIND, [self.kind as u8])
            .put(Self::FLAGS, self.flags.0.to_le_bytes())
            .put(Self::RIGHTS, self.rights.0.to_le_bytes())
            .put(Self::RIGHTS_INHERITING, self.rights_inheriting.0.to_le_bytes())
            .0
    }
}

/// The attributes of a file (`filestat`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileStat {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) kind: FileType,
    pub(crate) links: u64,
    pub(crate) size: u64,
    pub(crate) accessed_ns: u64,
    pub(crate) modified_ns: u64,
    pub(crate) changed_ns: u64,
}

impl FileStat {
    pub(crate) const ALIGNMENT: u32 = 8;
    const SIZE: usize = 64;
    const DEVICE: usize = 0;
    const INODE: usize = 8;
    const KIND: usize = 16;
    const LINKS: usize = 24;
    pub(crate) const SIZE_OFFSET: usize = 32;
    const ACCESSED: usize = 40;
    const MODIFIED: usize = 48;
    const CHANGED: usize = 56;

    /// What a guest learns of a standard stream: its kind, and nothing else.
    pub(crate) fn of_stream(kind: FileType) -> Self {
        FileStat {
            device: 0,
            inode: 0,
            kind,
            links: 0,
            size: 0,
            accessed_ns: 0,
            modified_ns: 0,
            changed_ns: 0,
        }
    }

    /// The attributes that the system told.
    pub(crate) fn of_file(metadata: &Metadata) -> Outcome<Self> {
        Ok(FileStat {
            device: metadata.dev(),
            inode: metadata.ino(),
            kind: metadata.file_type().into(),
            links: metadata.nlink(),
            size: metadata.size(),
            accessed_ns: timestamp(metadata.atime(), metadata.atime_nsec())?,
            modified_ns: timestamp(metadata.mtime(), metadata.mtime_nsec())?,
            changed_ns: timestamp(metadata.ctime(), metadata.ctime_nsec())?,
        })
    }

    /// The record the guest reads.
    pub(crate) fn encode(&self) -> [u8; Self::SIZE] {
        Record::new()
            .put(Self::DEVICE, self.device.to_le_bytes())
            .put(Self::INODE, self.inode.to_le_bytes())
            .put(Self::KIND, [self.kind as u8])
            .put(Self::LINKS, self.links.to_le_bytes())
            .put(Self::SIZE_OFFSET, self.size.to_le_bytes())
            .put(Self::ACCESSED, self.accessed_ns.to_le_bytes())
            .put(Self::MODIFIED, self.modified_ns.to_le_bytes())
            .put(Self::CHANGED, self.changed_ns.to_le_bytes())
            .0
    }
}

/// Nanoseconds since 1970. A time before it, which the record cannot hold, is
/// 1970; one too far after it is an error.
pub(crate) fn timestamp(seconds: i64, nanoseconds: i64) -> Outcome<u64> {
    let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u64::try_from(nanoseconds))
    else {
        return Ok(0);
    };
    let whole = seconds.checked_mul(NANOSECONDS);
    let time = whole.and_then(|whole| whole.checked_add(nanoseconds));
    Ok(time.ok_or(Errno::Overflow)?)
}

/// The head of an entry of a directory (`dirent`); the name follows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirectoryEntry {
    pub(crate) next: u64,
    pub(crate) inode: u64,
    pub(crate) name_length: u32,
    pub(crate) kind: FileType,
}

impl DirectoryEntry {
    pub(crate) const SIZE: usize = 24;
    const NEXT: usize = 0;
    const INODE: usize = 8;
    const NAME_LENGTH: usize = 16;
    const KIND: usize = 20;

    /// The record the guest reads.
    pub(crate) fn encode(&self) -> [u8; Self::SIZE] {
        Record::new()
            .put(Self::NEXT, self.next.to_le_bytes())
            .put(Self::INODE, self.inode.to_le_bytes())
            .put(Self::NAME_LENGTH, self.name_length.to_le_bytes())
            .put(Self::KIND, [self.kind as u8])
            .0
    }
}

/// What a guest waits for (`subscription`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscription {
    pub(crate) userdata: u64,
    pub(crate) wait: Wait,
}

/// The kinds of waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    Clock { clock: Clock, timeout_ns: u64, absolute: bool },
    Read { descriptor: u32 },
    Write { descriptor: u32 },
}

impl Subscription {
    pub(crate) const ALIGNMENT: u32 = 8;
    pub(crate) const SIZE: u32 = 48;
    const USERDATA: usize = 0;
    pub(crate) const TAG: usize = 8;
    /// What the tag of a clock is.
    pub(crate) const CLOCK_TAG: u8 = 0;
    pub(crate) const CLOCK: usize = 16;
    const DESCRIPTOR: usize = 16;
    const TIMEOUT: usize = 24;
    const CLOCK_FLAGS: usize = 40;

    /// What the guest wrote.
    pub(crate) fn decode(record: &[u8; Self::SIZE as usize]) -> Outcome<Self> {
        let wait = match field::<1>(record, Self::TAG) {
            [Self::CLOCK_TAG] => {
                let flags = u16::from_le_bytes(field(record, Self::CLOCK_FLAGS));
                Wait::Clock {
                    clock: Clock::parse(u32::from_le_bytes(field(record, Self::CLOCK)))?,
                    timeout_ns: u64::from_le_bytes(field(record, Self::TIMEOUT)),
                    absolute: ClockFlags::parse(flags)?.has(ClockFlags::ABSTIME),
                }
            }
            [1] => Wait::Read { descriptor: u32::from_le_bytes(field(record, Self::DESCRIPTOR)) },
            [2] => Wait::Write { descriptor: u32::from_le_bytes(field(record, Self::DESCRIPTOR)) },
            _ => return Err(Errno::Inval.into()),
        };
        Ok(Subscription { userdata: u64::from_le_bytes(field(record, Self::USERDATA)), wait })
    }
}

/// A field of a record; `offset` is a constant of this file.
fn field<const LENGTH: usize>(record: &[u8], offset: usize) -> [u8; LENGTH] {
    let mut field = [0; LENGTH];
    field.copy_from_slice(&record[offset..offset + LENGTH]);
    field
}

/// What a guest's waiting came to (`event`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) userdata: u64,
    pub(crate) error: Option<Errno>,
    pub(crate) kind: EventKind,
    pub(crate) bytes_ready: u64,
    pub(crate) flags: ReadyFlags,
}

/// The kinds of events (`eventtype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EventKind {
    Clock = 0,
    Read = 1,
    Write = 2,
}

impl Event {
    pub(crate) const ALIGNMENT: u32 = 8;
    pub(crate) const SIZE: u32 = 32;
    const USERDATA: usize = 0;
    const ERROR: usize = 8;
    const KIND: usize = 10;
    const BYTES_READY: usize = 16;
    const FLAGS: usize = 24;

    /// The record the guest reads.
    pub(crate) fn encode(&self) -> [u8; Self::SIZE as usize] {
        let error = self.error.map_or(0, Errno::number);
        Record::new()
            .put(Self::USERDATA, self.userdata.to_le_bytes())
            .put(Self::ERROR, error.to_le_bytes())
            .put(Self::KIND, [self.kind as u8])
            .put(Self::BYTES_READY, self.bytes_ready.to_le_bytes())
            .put(Self::FLAGS, self.flags.0.to_le_bytes())
            .0
    }
}

/// The clocks (`clockid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    Realtime,
    Monotonic,
    ProcessCpuTime,
    ThreadCpuTime,
}

impl Clock {
    /// The clock a guest named.
    pub(crate) fn parse(number: u32) -> Outcome<Self> {
        Ok(match number {
            0 => Clock::Realtime,
            1 => Clock::Monotonic,
            2 => Clock::ProcessCpuTime,
            3 => Clock::ThreadCpuTime,
            _ => return Err(Errno::Inval.into()),
        })
    }
}

/// The record that describes a granted folder (`prestat`): its kind, of which
/// there is one, and the length of its path.
pub(crate) fn prestat(name_length: u32) -> [u8; 8] {
    const NAME_LENGTH: usize = 4;
    Record::new().put(NAME_LENGTH, name_length.to_le_bytes()).0
}

/// Alignment of [`prestat`].
pub(crate) const PRESTAT_ALIGNMENT: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_flags_are_refused() {
        assert!(FdFlags::parse(0x1f_u32).is_ok());
        assert!(FdFlags::parse(0x20_u32).is_err());
        assert!(FdFlags::parse(0x1_0000_u32).is_err());
        assert!(Rights::parse((1_u64 << 30) - 1).is_ok());
        assert!(Rights::parse(1_u64 << 30).is_err());
    }

    #[test]
    fn times_outside_the_record_do_not_wrap() {
        assert!(matches!(timestamp(1, 2), Ok(1_000_000_002)));
        assert!(matches!(timestamp(-1, 2), Ok(0)));
        assert!(timestamp(i64::MAX, 0).is_err());
    }

    #[test]
    fn an_event_has_its_fields_where_the_specification_says() {
        let event = Event {
            userdata: 0x0102_0304_0506_0708,
            error: Some(Errno::Badf),
            kind: EventKind::Write,
            bytes_ready: 9,
            flags: ReadyFlags::HANGUP,
        };
        let record = event.encode();
        assert_eq!(record[..8], [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!((record[8], record[10], record[16], record[24]), (8, 2, 9, 1));
    }
}
