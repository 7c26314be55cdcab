//! What a host call answers when it cannot do what it was asked.
//!
//! Assumes nothing. Guarantees that every error of the operating system has
//! one WASI name: its own where the specification has it, `io` otherwise.
//! Does not decide which error fits a situation; the calls do.

use crate::sys::interrupt;
use rustix::io::Errno as SystemErrno;
use std::fmt;
use std::io::{Error, ErrorKind};

/// What a host call gives: a value, or the reason why there is none.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Why a host call has no value, told apart by who hears of it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The guest hears of it, and goes on.
    Errno(Errno),
    /// The same, by a number of the interface that it called.
    Code(u8),
    /// The guest broke the calling convention: a trap.
    Fault(Fault),
    /// The run is over, by the guest's own wish or by a limit of ours.
    Stop(wasmtime::Error),
}

/// A pointer that the guest had no right to pass.
///
/// The specification asks for a trap, not for `fault`: a guest that passes such
/// a pointer has lost its way, and an error code would be read through the same
/// broken hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The module exports no memory, so that no pointer can mean anything.
    NoMemory,
    /// `length` bytes at `pointer` reach beyond a memory of `size` bytes.
    OutOfBounds {
        /// Where they begin.
        pointer: u32,
        /// How many they are.
        length: u64,
        /// Bytes of the memory.
        size: usize,
    },
    /// `pointer` is no multiple of `alignment`.
    Misaligned {
        /// What the guest passed.
        pointer: u32,
        /// What it has to be a multiple of, in bytes.
        alignment: u32,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => formatter
                .write_str("the guest passed a pointer to the host and exports no memory for it"),
            Self::OutOfBounds { pointer, length, size } => write!(
                formatter,
                "the guest passed the host {length} bytes at {pointer:#x}, beyond its memory of {size} bytes"
            ),
            Self::Misaligned { pointer, alignment } => write!(
                formatter,
                "the guest passed the host a pointer, {pointer:#x}, that is no multiple of {alignment}"
            ),
        }
    }
}

impl std::error::Error for Fault {}

/// A guest that somebody stopped while a host call waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the guest was stopped while it waited")
    }
}

impl std::error::Error for Stopped {}

/// An error when the guest that runs here is to be stopped. Asked wherever a wait was
/// interrupted.
#[inline]
pub(crate) fn check_stopped() -> Result<(), Failure> {
    match interrupt::is_wanted() {
        true => Err(Failure::Stop(wasmtime::Error::new(Stopped))),
        false => Ok(()),
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Failure::Errno(errno)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Fault(fault)
    }
}

impl From<SystemErrno> for Failure {
    fn from(errno: SystemErrno) -> Self {
        Failure::Errno(Errno::from_system(errno))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Errno(Errno::from_io(&error))
    }
}

/// Makes `Errno` and its mapping from one table, so that a name, its number and
/// the system's name for it stand on one line.
macro_rules! errnos {
    ($($name:ident = $number:literal $system:ident)*) => {
        /// The errors of WASI preview 1, by the specification's names.
        ///
        /// Two of its values are absent: `success` is not an error, and
        /// `notcapable` is what `perm` says here, as it is in wasmtime.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub(crate) enum Errno {
            $($name = $number,)*
        }

        impl Errno {
            /// The WASI name of an error of the operating system.
            fn from_system(errno: SystemErrno) -> Self {
                match errno {
                    $(SystemErrno::$system => Errno::$name,)*
                    _ => Errno::Io,
                }
            }
        }
    };
}

errnos! {
    TooBig = 1 TOOBIG
    Acces = 2 ACCESS
    Addrinuse = 3 ADDRINUSE
    Addrnotavail = 4 ADDRNOTAVAIL
    Afnosupport = 5 AFNOSUPPORT
    Again = 6 AGAIN
    Already = 7 ALREADY
    Badf = 8 BADF
    Badmsg = 9 BADMSG
    Busy = 10 BUSY
    Canceled = 11 CANCELED
    Child = 12 CHILD
    Connaborted = 13 CONNABORTED
    Connrefused = 14 CONNREFUSED
    Connreset = 15 CONNRESET
    Deadlk = 16 DEADLK
    Destaddrreq = 17 DESTADDRREQ
    Dom = 18 DOM
    Dquot = 19 DQUOT
    Exist = 20 EXIST
    Fault = 21 FAULT
    Fbig = 22 FBIG
    Hostunreach = 23 HOSTUNREACH
    Idrm = 24 IDRM
    Ilseq = 25 ILSEQ
    Inprogress = 26 INPROGRESS
    Intr = 27 INTR
    Inval = 28 INVAL
    Io = 29 IO
    Isconn = 30 ISCONN
    Isdir = 31 ISDIR
    Loop = 32 LOOP
    Mfile = 33 MFILE
    Mlink = 34 MLINK
    Msgsize = 35 MSGSIZE
    Multihop = 36 MULTIHOP
    Nametoolong = 37 NAMETOOLONG
    Netdown = 38 NETDOWN
    Netreset = 39 NETRESET
    Netunreach = 40 NETUNREACH
    Nfile = 41 NFILE
    Nobufs = 42 NOBUFS
    Nodev = 43 NODEV
    Noent = 44 NOENT
    Noexec = 45 NOEXEC
    Nolck = 46 NOLCK
    Nolink = 47 NOLINK
    Nomem = 48 NOMEM
    Nomsg = 49 NOMSG
    Noprotoopt = 50 NOPROTOOPT
    Nospc = 51 NOSPC
    Nosys = 52 NOSYS
    Notconn = 53 NOTCONN
    Notdir = 54 NOTDIR
    Notempty = 55 NOTEMPTY
    Notrecoverable = 56 NOTRECOVERABLE
    Notsock = 57 NOTSOCK
    Notsup = 58 NOTSUP
    Notty = 59 NOTTY
    Nxio = 60 NXIO
    Overflow = 61 OVERFLOW
    Ownerdead = 62 OWNERDEAD
    Perm = 63 PERM
    Pipe = 64 PIPE
    Proto = 65 PROTO
    Protonosupport = 66 PROTONOSUPPORT
    Prototype = 67 PROTOTYPE
    Range = 68 RANGE
    Rofs = 69 ROFS
    Spipe = 70 SPIPE
    Srch = 71 SRCH
    Stale = 72 STALE
    Timedout = 73 TIMEDOUT
    Txtbsy = 74 TXTBSY
    Xdev = 75 XDEV
}

impl Errno {
    /// The number the guest reads.
    pub(crate) fn number(self) -> u16 {
        self as u16
    }

    /// The WASI name of an error of `std` or `cap-std`.
    ///
    /// cap-std's own refusals (a path that leaves its folder, a NUL inside a
    /// path) carry no number of the system, only a kind.
    fn from_io(error: &Error) -> Self {
        if let Some(errno) = SystemErrno::from_io_error(error) {
            return Self::from_system(errno);
        }
        match error.kind() {
            ErrorKind::NotFound => Errno::Noent,
            ErrorKind::PermissionDenied => Errno::Perm,
            ErrorKind::AlreadyExists => Errno::Exist,
            ErrorKind::InvalidInput => Errno::Inval,
            ErrorKind::NotADirectory => Errno::Notdir,
            ErrorKind::IsADirectory => Errno::Isdir,
            ErrorKind::Unsupported => Errno::Notsup,
            _ => Errno::Io,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_keep_their_names() {
        assert_eq!(Errno::from_system(SystemErrno::NOENT), Errno::Noent);
        assert_eq!(Errno::from_system(SystemErrno::ROFS), Errno::Rofs);
        assert_eq!(Errno::from_system(SystemErrno::LNRNG), Errno::Io);
    }

    #[test]
    fn refusals_of_the_sandbox_are_perm() {
        let escape = Error::new(ErrorKind::PermissionDenied, "outside");
        assert_eq!(Errno::from_io(&escape), Errno::Perm);
        let denied = Error::from(SystemErrno::ACCESS);
        assert_eq!(Errno::from_io(&denied), Errno::Acces);
    }
}
