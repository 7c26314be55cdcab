//! Descriptors that whoever started this process left open for it.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd as _;

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
