//! Standard streams that a configuration leads elsewhere, and the file that is told how a run
//! ended.
//!
//! A file lies under the guest's root folder, whatever its path says, and is added to. Guarantees
//! that nothing outside of that folder is written, and that nothing waits for ever: for input
//! that may come a second at most.

use super::stdin::StdinError;
use bls_artifact::config::Stream;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// How long input may take to come.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Puts these in the place of standard output and standard error. Without a root folder a file is
/// as good as this process's own.
pub(super) fn redirect(outputs: &[Stream; 2], root: Option<&Path>) -> Result<(), StdinError> {
    for (number, stream) in outputs.iter().enumerate() {
        let (path, opened) = match (stream, root) {
            (Stream::Inherit, _) | (Stream::File(_), None) => continue,
            (Stream::Null, _) => (
                "/dev/null".into(),
                File::options().write(true).open("/dev/null").map(OwnedFd::from),
            ),
            (Stream::File(name), Some(root)) => (root.join(name), below(root, name)),
        };
        let placed = opened.and_then(|file| match number {
            0 => Ok(rustix::stdio::dup2_stdout(file)?),
            _ => Ok(rustix::stdio::dup2_stderr(file)?),
        });
        placed.map_err(|error| StdinError(path, error))?;
    }
    Ok(())
}

/// Opens a file in the root folder, to add to it.
pub(super) fn below(root: &Path, name: &str) -> io::Result<OwnedFd> {
    let dir = Dir::open_ambient_dir(root, ambient_authority())?;
    let name: PathBuf = name.trim_start_matches('/').into();
    let file = dir.open_with(&name, OpenOptions::new().append(true).create(true))?;
    let file = file.into_std();
    match file.metadata()?.is_file() {
        true => Ok(file.into()),
        false => Err(io::Error::other("not a regular file")),
    }
}

/// Whether there is something in this process's standard input. Takes nothing out of it that
/// could be input.
pub(super) fn host_gives_input() -> bool {
    let stdin = rustix::stdio::stdin();
    let Ok(status) = rustix::fs::fstat(stdin) else { return false };
    match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => {
            let at = rustix::fs::tell(stdin).unwrap_or(0);
            u64::try_from(status.st_size).is_ok_and(|size| size > at)
        }
        FileType::Fifo | FileType::Socket => {
            let mut stream = [PollFd::new(&stdin, PollFlags::IN)];
            let ready = poll(&mut stream, Some(&PATIENCE)).unwrap_or(0);
            ready > 0 && stream[0].revents().contains(PollFlags::IN)
        }
        // A terminal and `/dev/null` give none that anybody meant.
        _ => false,
    }
}
