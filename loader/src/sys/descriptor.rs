//! Descriptors that whoever started this process left open for it.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd as _;

/// Opens `/dev/null` for each of descriptors 0 to 2 that is closed, so that no
/// file of ours gets a number that a guest writes to. Where that fails, the
/// process ends: nothing has happened yet.
pub(crate) fn open_standard_streams() {
    for number in 0..3 {
        // SAFETY: F_GETFD takes an integer, and reports a number that is no
        // descriptor as an error. It touches no memory of ours.
        let is_open = unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0;
        // SAFETY: the path is a C string; open() gives the lowest free number,
        // which is `number`, because all below are open.
        if !is_open && unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) } != number {
            std::process::abort();
        }
    }
}

/// A duplicate of the descriptor `number`, if there is one.
pub(crate) fn duplicate(number: i32) -> io::Result<File> {
    // SAFETY: F_DUPFD_CLOEXEC takes integers only, and reports a number that is
    // no descriptor as an error. It touches no memory of ours.
    let duplicate = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if duplicate < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us, so nothing else in the
    // process owns or closes it.
    Ok(unsafe { File::from_raw_fd(duplicate) })
}
