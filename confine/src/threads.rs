//! What a thread gives up for itself alone: Landlock, capabilities and new privileges are
//! properties of a thread, so every thread that there is must give them up.
//!
//! (A filter of system calls is added to all threads by the kernel, and the rest belongs to
//! the whole process. Landlock can do all threads at once from ABI 8 on.)

use crate::Capabilities;
use crate::landlock::Ruleset;
use crate::sys;
use std::io;
use std::os::fd::AsRawFd as _;

/// Has other threads of this process, by their numbers, give up capabilities, new privileges
/// and, where there is a ruleset, files. Waits until they have; a thread that has ended is
/// none of them. They are interrupted by `signal`, which nothing else may use.
///
/// # Errors
/// Where a thread could not, or the signal cannot be handled.
pub fn give_up_on(
    threads: &[i32],
    ruleset: Option<&Ruleset>,
    keep: Capabilities,
    signal: i32,
) -> io::Result<()> {
    if threads.is_empty() {
        return Ok(());
    }
    let ruleset = ruleset.map(|ruleset| ruleset.as_raw_fd());
    match sys::give_up_on(threads, ruleset, keep.0, signal)? {
        0 => Ok(()),
        _ => Err(io::ErrorKind::PermissionDenied.into()),
    }
}
