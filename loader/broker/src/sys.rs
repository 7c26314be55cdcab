//! The `unsafe` of this crate: a second process, signals, and a program that is executed by
//! its descriptor.
//!
//! Guarantees that no caller can break memory safety through these functions, whatever it
//! passes.

use rustix::process::Pid;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

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

/// Signals as a program expects them: none is blocked, and none ignored. (The standard library
/// ignores one, and whoever started this may have ignored or blocked others.)
pub(crate) fn reset_signals() {
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the set is live, and filled by the call.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the set was filled above; the old one is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
    for signal in 1..=64 {
        // SAFETY: the default is no handler of ours; where a number is none it is an error.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Lets a write beyond the limit on a file's size, or to a closed pipe, fail.
pub(crate) fn ignore_signals_of_writes() {
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Another number for what is open, above 2, which stays open when a program is executed.
///
/// # Errors
/// What the kernel says.
pub(crate) fn duplicate(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers, and makes a new descriptor.
    let number = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD, 3) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets the signals pass by which a terminal or a service's manager ends a group of processes:
/// for one that ends with its socket, and has others to end before.
pub(crate) fn ignore_signals_of_ends() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Becomes the program that `file` is open on. Comes back only where that fails.
pub(crate) fn execute(
    file: BorrowedFd<'_>,
    arguments: &[CString],
    variables: &[CString],
) -> io::Error {
    let pointers = |texts: &[CString]| {
        let end = std::iter::once(std::ptr::null());
        texts.iter().map(|text| text.as_ptr()).chain(end).collect::<Vec<_>>()
    };
    let (arguments, variables) = (pointers(arguments), pointers(variables));
    let nothing: &CStr = c"";
    // SAFETY: the path is a C string, and both lists are of C strings that live during the
    // call and end with a null pointer. Where it succeeds nothing of this process is left.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            nothing.as_ptr(),
            arguments.as_ptr(),
            variables.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}
