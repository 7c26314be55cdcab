//! The `unsafe` of this crate: a second process, and signals that are read.
//!
//! Guarantees that no caller can break memory safety through these functions, whatever it
//! passes.

use rustix::process::Pid;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::ptr;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Makes a second process, which goes on from here with a copy of all there is in memory: the
/// first gets its number, the second `None`.
///
/// Must be called while this process has one thread: of others the second would have only what
/// they held, locks among it.
///
/// # Errors
/// What the kernel says.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the C library's fork leaves its own state, the allocator's too, whole in both
    // processes; nothing here hands out memory or locks that outlive their users.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        number => Ok(Pid::from_raw(number)),
    }
}

/// Ends this process at once: nothing is flushed, and nothing that was to be done at its end
/// is done.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process, whatever its threads do.
    unsafe { libc::_exit(code) }
}

/// The signals that the keeper hears: what others ask for, and ends of its processes.
const HEARD: [libc::c_int; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGCHLD];

/// Has these signals wait until they are read, in this process and in those that it makes: a
/// terminal sends them to all. Gives where they are read.
///
/// # Errors
/// What the kernel says.
pub(crate) fn signals() -> io::Result<OwnedFd> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a pointer to room for a set, which is filled.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    for signal in HEARD {
        // SAFETY: the set was filled above.
        unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
    }
    // SAFETY: the set is live and filled; nobody is told the mask from before.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()) };
    // SAFETY: the set is live and filled; the result is a new descriptor.
    let number =
        unsafe { libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// What somebody asks for by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// SIGTERM, SIGINT: the end.
    End,
    /// SIGHUP: that artifacts, trust and policies are read again.
    Reload,
}

/// What is asked for by the signal of this number.
pub(crate) fn asked_by(signal: u32) -> Option<Asked> {
    match libc::c_int::try_from(signal) {
        Ok(libc::SIGTERM | libc::SIGINT) => Some(Asked::End),
        Ok(libc::SIGHUP) => Some(Asked::Reload),
        _ => None,
    }
}

/// Bytes of what is read for one signal, which begins with its number.
pub(crate) const SIGNAL_BYTES: usize = size_of::<libc::signalfd_siginfo>();

/// How a signal is called.
pub(crate) fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGSYS => "SIGSYS, a system call that is not allowed",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

/// A descriptor that is waited for only so: what else becomes of it wakes nobody.
///
/// # Errors
/// What the system says.
pub(crate) fn watched(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` gives the same open descriptor for as long as it is there, and the
    // `AsyncFd` owns it: it is closed when that has let it go.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, interest) };
    Ok(watched?)
}
