//! Descriptors that whoever started this process left open for it.

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd as _, IntoRawFd as _, RawFd};

/// The file that the kernel was told to execute, and opened, where it started this process to
/// do that (binfmt_misc, flag `O`); not one of the first three, and no other program's. For the
/// start of the process: what it gives is a copy that stays open.
pub(crate) fn executed() -> Option<RawFd> {
    // SAFETY: gives the place of this thread's error number.
    let error = unsafe { libc::__errno_location() };
    // SAFETY: it lives as long as the thread, and nobody else writes there.
    unsafe { error.write(0) };
    // SAFETY: looks a number up in what the kernel left for the process.
    let number = unsafe { libc::getauxval(libc::AT_EXECFD) };
    if number == 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT) {
        return None;
    }
    let number = RawFd::try_from(number).ok()?;
    let copy = duplicate(number).ok()?;
    // SAFETY: the kernel opened it for this process, and nobody else knows of it.
    drop(unsafe { File::from_raw_fd(number) });
    Some(copy.into_raw_fd())
}

/// Opens something for each of descriptors 0 to 2 that is closed, so that no file of ours
/// gets a number that a guest writes to: `/dev/null`, or where there is none a folder that
/// can be neither read nor written (`O_PATH`). False where the system gives no descriptor;
/// nothing has happened yet.
#[must_use]
pub(crate) fn open_standard_streams() -> bool {
    (0..3).all(|number| {
        // SAFETY: F_GETFD takes an integer, and reports a number that is no
        // descriptor as an error. It touches no memory of ours.
        let is_open = unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0;
        is_open
            || open_lowest(c"/dev/null", libc::O_RDWR) == number
            || open_lowest(c"/", libc::O_PATH) == number
    })
}

/// Opens a file with the lowest free number, which is the one that was found closed,
/// because all below are open.
fn open_lowest(path: &std::ffi::CStr, flags: libc::c_int) -> libc::c_int {
    // SAFETY: the path is a C string; nobody owns the descriptor but the process.
    unsafe { libc::open(path.as_ptr(), flags) }
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
