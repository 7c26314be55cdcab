//! Reads files that decide something: trust files, policies, keys.
//!
//! Guarantees that what it gives is all of a regular file, no longer than its kind
//! can be, and, for a default place, that nobody but its rightful owner can write
//! it, checked through the descriptor it is read from. Never waits for a FIFO. Does
//! not look into the contents.

use rustix::fs::{FileType, Mode, OFlags};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Why a file says nothing.
#[derive(Debug)]
pub(crate) enum GuardError {
    /// The system's refusal.
    System(PathBuf, std::io::Error),
    /// Not a regular file, or longer than any of its kind.
    NotAFile(PathBuf),
    /// Others could have written it; who.
    Writable(PathBuf, &'static str),
}

impl fmt::Display for GuardError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(path, error) => {
                write!(formatter, "cannot read {}: {error}", path.display())
            }
            Self::NotAFile(path) => {
                write!(formatter, "{} is not a regular file of a fitting size", path.display())
            }
            Self::Writable(path, who) => {
                write!(formatter, "{} can be written by {who}, so it says nothing", path.display())
            }
        }
    }
}

impl GuardError {
    /// Its name, which stays the same when words change.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::System(..) => "settings.unreadable",
            Self::NotAFile(_) => "settings.not-a-file",
            Self::Writable(..) => "settings.writable",
        }
    }

    /// What a user can do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::System(path, _) => {
                format!("see that {} exists and that you may read it", path.display())
            }
            Self::NotAFile(_) => {
                "name a regular file; what comes from a pipe can be copied into one first".into()
            }
            // The system's files are root's, and everybody's to read.
            Self::Writable(path, _) => {
                let owner = if path.starts_with("/etc") { "root" } else { "$(id -u)" };
                format!(
                    "make it its owner's alone: chown {owner} {0} && chmod go-w {0}",
                    path.display()
                )
            }
        }
    }
}

/// Reads a whole regular file, which one of `owners` must own and nobody else may
/// write, where that is asked.
pub(crate) fn read(
    path: &Path,
    bytes_max: u64,
    owners: Option<&[u32]>,
) -> Result<Vec<u8>, GuardError> {
    let system = |error: std::io::Error| GuardError::System(path.to_owned(), error);
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    // A file that the user names may be a link; a default one may not.
    flags.set(OFlags::NOFOLLOW, owners.is_some());
    let file =
        rustix::fs::open(path, flags, Mode::empty()).map_err(|error| system(error.into()))?;
    let status = rustix::fs::fstat(&file).map_err(|error| system(error.into()))?;
    let length = u64::try_from(status.st_size).unwrap_or(u64::MAX);
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile || length > bytes_max {
        return Err(GuardError::NotAFile(path.to_owned()));
    }
    if let Some(owners) = owners {
        if !owners.contains(&status.st_uid) {
            return Err(GuardError::Writable(path.to_owned(), "another user"));
        }
        if Mode::from_raw_mode(status.st_mode).intersects(Mode::WGRP | Mode::WOTH) {
            return Err(GuardError::Writable(path.to_owned(), "its group or others"));
        }
    }
    let mut text = Vec::with_capacity(length as usize + 1);
    File::from(file).take(bytes_max).read_to_end(&mut text).map_err(system)?;
    Ok(text)
}

/// `None` when there is no such file. Every other trouble is an error: a file that
/// cannot be read must not make another one decide.
pub(crate) fn found(read: Result<Vec<u8>, GuardError>) -> Result<Option<Vec<u8>>, GuardError> {
    match read {
        Ok(text) => Ok(Some(text)),
        Err(GuardError::System(_, error)) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
