//! Signals, and descriptors by their numbers: what is asked of the system without a type for it.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::ptr;

/// Has signals that would end this process wait, for good: whoever stops a run from a terminal, or
/// all of a service, still gets its account.
pub(crate) fn block_signals() {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a pointer to room for a set, which is filled.
    let _ = unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: the set was filled; nobody is told the mask from before.
    let _ = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), ptr::null_mut()) };
}

/// Another descriptor for what the one of this number is open for.
pub(crate) fn descriptor(number: u32) -> io::Result<File> {
    let number = RawFd::try_from(number).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: it is borrowed for this call, which fails where it is not open.
    let copy = unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()?;
    debug_assert_ne!(copy.as_raw_fd(), number);
    Ok(copy.into())
}
