//! What a guest may still write, and may still make a disk hold (`--max-output`).
//!
//! One budget of bytes, never given back. Counted are
//!
//! * each byte that is written, to a stream or a file, and each byte that is reserved;
//! * what a file grows by without being written: a write that begins behind the end of a
//!   file counts what it skips, a size that is set counts what it adds. So a hole costs
//!   what it could come to hold, and no pattern of writes makes a disk hold more than was
//!   paid for;
//! * 4096 bytes for each name a guest makes (of a file, a folder, a link, by renaming), and
//!   the bytes of the name and of a link's text: an inode, an entry of a folder, and the
//!   block that a file's last bytes, a folder or a link's text take.
//!
//! For example, a new file `log`, of which the bytes 0 and 10 000 are written one each,
//! counts 4096 + 3 for its name, 1, and 9999 + 1. What is counted depends on what was asked,
//! never on the filesystem. Guarantees that nothing is done that is beyond the budget, but
//! that a write does what fits. What it does not see: holes that were in a file before the
//! guest came can be filled, at one byte a block.

use crate::host::errno::{Errno, Failure, Outcome};
use crate::host::preview1::place::Place;
use crate::host::table::OpenFile;
use rustix::fs::{OFlags, fcntl_getfl, fstat, tell};
use std::fmt;

/// Bytes that a new name counts as, beside its own.
const NAME_BYTES: u64 = 4096;

/// The guest has written as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit;

impl fmt::Display for OutputLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the guest has written, or made a disk hold, as much as it may")
    }
}

impl std::error::Error for OutputLimit {}

/// Bytes that may still be written; `None` where there is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutputLeft(pub(crate) Option<u64>);

impl OutputLeft {
    /// What is left behind so many bytes; the end of the run if there are fewer.
    pub(crate) fn take(self, bytes: u64) -> Outcome<Self> {
        let Some(left) = self.0 else { return Ok(self) };
        match left.checked_sub(bytes) {
            Some(left) => Ok(Self(Some(left))),
            None => Err(Failure::Stop(wasmtime::Error::new(OutputLimit))),
        }
    }

    /// What is left behind a name, of a link with so many bytes of text.
    pub(crate) fn take_name(self, name: &str, text_bytes: usize) -> Outcome<Self> {
        self.take(NAME_BYTES + name.len() as u64 + text_bytes as u64)
    }

    /// The same of a name that is going to be made: one that is there already is not.
    pub(crate) fn take_new_name(self, place: &Place<'_>, text_bytes: usize) -> Outcome<Self> {
        self.take_name(&place.name, text_bytes).map_err(|stop| {
            match place.folder.symlink_metadata(&place.name) {
                Ok(_) => Errno::Exist.into(),
                Err(_) => stop,
            }
        })
    }

    /// What is left when a file reaches as far as `end`.
    pub(crate) fn take_growth(self, file: &OpenFile, end: u64) -> Outcome<Self> {
        match self.0 {
            None => Ok(self),
            Some(_) => self.take(end.saturating_sub(file.paid_to(end)?)),
        }
    }

    /// What is left when a write begins at `offset`, and where it is known to begin: what
    /// it skips is counted.
    pub(crate) fn take_gap(self, file: &OpenFile, offset: u64) -> Outcome<(Self, u64)> {
        let is_far = self.0.is_some() && offset > file.paid_to.get();
        // What is appended begins at the end, whatever the offset.
        if is_far && fcntl_getfl(file)?.contains(OFlags::APPEND) {
            return Ok((self, 0));
        }
        Ok((self.take_growth(file, offset)?, offset))
    }

    /// Where the next write to a file begins; anywhere if nothing is counted.
    pub(crate) fn position(self, file: &OpenFile) -> Outcome<u64> {
        self.0.map_or(Ok(0), |_| Ok(tell(file)?))
    }

    /// The most bytes that a write may have.
    pub(crate) fn bytes(self) -> u64 {
        self.0.unwrap_or(u64::MAX)
    }
}

impl OpenFile {
    /// Up to where the file has been paid for: its size, or where this guest had it reach
    /// before. The system is asked only if that may decide something.
    fn paid_to(&self, end: u64) -> Outcome<u64> {
        let known = self.paid_to.get();
        if end <= known {
            return Ok(known);
        }
        // Another descriptor may have made it longer.
        let size = u64::try_from(fstat(self)?.st_size).unwrap_or(0);
        self.has_reached(size);
        Ok(self.paid_to.get())
    }

    /// The file reaches as far as this, and that is paid for.
    pub(crate) fn has_reached(&self, end: u64) {
        self.paid_to.set(self.paid_to.get().max(end));
    }
}
