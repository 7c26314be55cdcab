//! What each parameter of preview 1 is, from the specification's witx.
//!
//! The module's types say `i32` and `i64` only; this table says which of them are
//! pointers, to how much, and in which direction. It is written by hand from the
//! specification and shares nothing with the host. Does not say what a function
//! does.

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A descriptor.
    Descriptor,
    /// A pointer to a path; its [`Role::Length`] follows.
    Path,
    /// A pointer to bytes that the host writes; their [`Role::Length`] follows.
    Bytes,
    /// How many bytes the pointer before it is to.
    Length,
    /// A pointer to buffers that the host reads from; their [`Role::Count`] follows.
    Sources,
    /// A pointer to buffers that the host writes to; their [`Role::Count`] follows.
    Targets,
    /// How many buffers the pointer before it is to.
    Count,
    /// A pointer to one record that the host writes.
    Record {
        /// Its size in bytes.
        size: u32,
        /// Its alignment in bytes.
        alignment: u32,
    },
    /// A pointer to as many pointers as there are strings, which the host writes.
    Pointers,
    /// A pointer to the strings themselves, which the host writes.
    Strings,
    /// A pointer to as many subscriptions as [`Role::Subscribed`] says.
    Subscriptions,
    /// A pointer to room for as many events.
    Events,
    /// How many subscriptions there are.
    Subscribed,
    /// A set of flags, of which these bits are known.
    Flags(u32),
    /// One of so many numbered things.
    Choice(u32),
    /// A set of rights.
    Rights,
    /// A number of 64 bits: an offset, a length, a time, a cookie.
    Long,
    /// An exit code: any number.
    Code,
}

impl Role {
    /// Whether it is a pointer.
    #[must_use]
    pub fn is_pointer(self) -> bool {
        matches!(
            self,
            Self::Path
                | Self::Bytes
                | Self::Sources
                | Self::Targets
                | Self::Record { .. }
                | Self::Pointers
                | Self::Strings
                | Self::Subscriptions
                | Self::Events
        )
    }

    /// The alignment that the specification asks of what it points to, in bytes.
    #[must_use]
    pub fn alignment(self) -> u32 {
        match self {
            Self::Record { alignment, .. } => alignment,
            Self::Sources | Self::Targets | Self::Pointers => 4,
            Self::Subscriptions | Self::Events => 8,
            _ => 1,
        }
    }
}

/// Bytes of a buffer descriptor (`iovec`, `ciovec`).
pub const BUFFER_BYTES: u32 = 8;
/// Bytes of a `subscription`.
pub const SUBSCRIPTION_BYTES: u32 = 48;
/// Bytes of an `event`.
pub const EVENT_BYTES: u32 = 32;
/// The largest number an errno can be (`notcapable`).
pub const ERRNO_MAX: u32 = 76;

const SIZE: Role = Role::Record { size: 4, alignment: 4 };
const DESCRIPTOR: Role = Role::Record { size: 4, alignment: 4 };
const TIME: Role = Role::Record { size: 8, alignment: 8 };
const POSITION: Role = Role::Record { size: 8, alignment: 8 };
const FDSTAT: Role = Role::Record { size: 24, alignment: 8 };
const FILESTAT: Role = Role::Record { size: 64, alignment: 8 };
const PRESTAT: Role = Role::Record { size: 8, alignment: 4 };
const ROFLAGS: Role = Role::Record { size: 2, alignment: 2 };

const FDFLAGS: Role = Role::Flags(0b1_1111);
const FSTFLAGS: Role = Role::Flags(0b1111);
const LOOKUPFLAGS: Role = Role::Flags(0b1);
const OFLAGS: Role = Role::Flags(0b1111);
const RIFLAGS: Role = Role::Flags(0b11);
const SDFLAGS: Role = Role::Flags(0b11);
const SIFLAGS: Role = Role::Flags(0);
const CLOCK: Role = Role::Choice(4);
const ADVICE: Role = Role::Choice(6);
const WHENCE: Role = Role::Choice(3);
const SIGNAL: Role = Role::Choice(31);

use Role::{
    Bytes, Code, Count, Descriptor, Events, Length, Long, Path, Pointers, Rights, Sources, Strings,
    Subscribed, Subscriptions, Targets,
};

/// The parameters of every function, in the order of the specification.
pub const PARAMETERS: &[(&str, &[Role])] = &[
    ("args_get", &[Pointers, Strings]),
    ("args_sizes_get", &[SIZE, SIZE]),
    ("environ_get", &[Pointers, Strings]),
    ("environ_sizes_get", &[SIZE, SIZE]),
    ("clock_res_get", &[CLOCK, TIME]),
    ("clock_time_get", &[CLOCK, Long, TIME]),
    ("fd_advise", &[Descriptor, Long, Long, ADVICE]),
    ("fd_allocate", &[Descriptor, Long, Long]),
    ("fd_close", &[Descriptor]),
    ("fd_datasync", &[Descriptor]),
    ("fd_fdstat_get", &[Descriptor, FDSTAT]),
    ("fd_fdstat_set_flags", &[Descriptor, FDFLAGS]),
    ("fd_fdstat_set_rights", &[Descriptor, Rights, Rights]),
    ("fd_filestat_get", &[Descriptor, FILESTAT]),
    ("fd_filestat_set_size", &[Descriptor, Long]),
    ("fd_filestat_set_times", &[Descriptor, Long, Long, FSTFLAGS]),
    ("fd_pread", &[Descriptor, Targets, Count, Long, SIZE]),
    ("fd_prestat_get", &[Descriptor, PRESTAT]),
    ("fd_prestat_dir_name", &[Descriptor, Bytes, Length]),
    ("fd_pwrite", &[Descriptor, Sources, Count, Long, SIZE]),
    ("fd_read", &[Descriptor, Targets, Count, SIZE]),
    ("fd_readdir", &[Descriptor, Bytes, Length, Long, SIZE]),
    ("fd_renumber", &[Descriptor, Descriptor]),
    ("fd_seek", &[Descriptor, Long, WHENCE, POSITION]),
    ("fd_sync", &[Descriptor]),
    ("fd_tell", &[Descriptor, POSITION]),
    ("fd_write", &[Descriptor, Sources, Count, SIZE]),
    ("path_create_directory", &[Descriptor, Path, Length]),
    ("path_filestat_get", &[Descriptor, LOOKUPFLAGS, Path, Length, FILESTAT]),
    ("path_filestat_set_times", &[Descriptor, LOOKUPFLAGS, Path, Length, Long, Long, FSTFLAGS]),
    ("path_link", &[Descriptor, LOOKUPFLAGS, Path, Length, Descriptor, Path, Length]),
    (
        "path_open",
        &[Descriptor, LOOKUPFLAGS, Path, Length, OFLAGS, Rights, Rights, FDFLAGS, DESCRIPTOR],
    ),
    ("path_readlink", &[Descriptor, Path, Length, Bytes, Length, SIZE]),
    ("path_remove_directory", &[Descriptor, Path, Length]),
    ("path_rename", &[Descriptor, Path, Length, Descriptor, Path, Length]),
    ("path_symlink", &[Path, Length, Descriptor, Path, Length]),
    ("path_unlink_file", &[Descriptor, Path, Length]),
    ("poll_oneoff", &[Subscriptions, Events, Subscribed, SIZE]),
    ("proc_exit", &[Code]),
    ("proc_raise", &[SIGNAL]),
    ("random_get", &[Bytes, Length]),
    ("sched_yield", &[]),
    ("sock_accept", &[Descriptor, FDFLAGS, DESCRIPTOR]),
    ("sock_recv", &[Descriptor, Targets, Count, RIFLAGS, SIZE, ROFLAGS]),
    ("sock_send", &[Descriptor, Sources, Count, SIFLAGS, SIZE]),
    ("sock_shutdown", &[Descriptor, SDFLAGS]),
];

/// The parameters of a function.
///
/// # Panics
/// When there is no such function.
#[must_use]
pub fn parameters(name: &str) -> &'static [Role] {
    PARAMETERS
        .iter()
        .find_map(|(known, roles)| (*known == name).then_some(*roles))
        .unwrap_or_else(|| panic!("preview 1 has no {name}"))
}
