//! Waiting until a descriptor takes or gives bytes.

use super::errno::{Outcome, check_stopped};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::BorrowedFd;
use rustix::io::Errno as SystemErrno;

/// Does `transfer`, and where it would block, waits and does it again.
///
/// Whoever started this process may have left a standard stream in non-blocking
/// mode. A guest does not know, and changing the mode would change it for every
/// process that shares the stream.
pub(crate) fn until_ready<T>(
    stream: BorrowedFd<'_>,
    ready: PollFlags,
    mut transfer: impl FnMut() -> Result<T, SystemErrno>,
) -> Outcome<T> {
    loop {
        match transfer() {
            Err(SystemErrno::AGAIN) => {
                let mut streams = [PollFd::from_borrowed_fd(stream, ready)];
                match poll(&mut streams, None) {
                    Err(SystemErrno::INTR) => check_stopped()?,
                    other => other.map(drop)?,
                }
            }
            Err(SystemErrno::INTR) => check_stopped()?,
            length => return Ok(length?),
        }
    }
}

/// Does `transfer` until no signal comes between; where it would block, that is the answer.
pub(crate) fn at_once<T>(mut transfer: impl FnMut() -> Result<T, SystemErrno>) -> Outcome<T> {
    loop {
        match transfer() {
            Err(SystemErrno::INTR) => check_stopped()?,
            done => return Ok(done?),
        }
    }
}
