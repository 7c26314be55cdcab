//! Puts what the guest is to read in the place of this process's standard input.

use crate::error::{Cause, StageError};
use crate::program::cli::Input;
use rustix::fs::{MemfdFlags, SeekFrom, memfd_create};
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Standard input cannot come from where it was asked to.
#[derive(Debug)]
pub(crate) struct StdinError(pub(super) PathBuf, pub(super) std::io::Error);

impl fmt::Display for StdinError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path, error) = self;
        write!(formatter, "cannot read standard input from {}: {error}", path.display())
    }
}

impl StageError for StdinError {
    const STAGE: &'static str = "grant";

    fn code(&self) -> &'static str {
        "grant.stdin"
    }

    fn cause(&self) -> Cause {
        Cause::of_named_io(&self.1)
    }

    fn hint(&self) -> Option<String> {
        Some("--stdin takes inherit, null, text:WORDS or a file".into())
    }
}

/// Puts what the guest reads in the place of this process's standard input.
pub(crate) fn redirect(input: &Input) -> Result<(), StdinError> {
    let (path, opened) = match input {
        Input::Inherit => return Ok(()),
        Input::Null => (Path::new("/dev/null"), File::open("/dev/null")),
        Input::Text(words) => (Path::new("text"), in_memory(words)),
        Input::File(path) => (path.as_path(), File::open(path)),
    };
    let redirected = opened.and_then(|file| {
        if file.metadata()?.is_dir() {
            return Err(rustix::io::Errno::ISDIR.into());
        }
        Ok(rustix::stdio::dup2_stdin(file)?)
    });
    redirected.map_err(|error| StdinError(path.to_owned(), error))
}

/// A file that holds these bytes and has no name.
pub(super) fn in_memory(bytes: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(memfd_create(c"stdin", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    rustix::fs::seek(&file, SeekFrom::Start(0))?;
    Ok(file)
}
