//! Writing a result: whole or not at all.
//!
//! A temporary file in the destination's folder, then a rename: nobody ever sees
//! half an artifact, and a failure leaves what was there before. The umask decides who may read
//! it, as with other compilers. Refuses to replace the input. A destination that exists and
//! is no regular file (`/dev/null`, a FIFO) is written to, not replaced.

use crate::sys;
use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a result cannot be written.
#[derive(Debug)]
pub enum OutputError {
    /// The destination cannot be written.
    Write(PathBuf, io::Error),
    /// The destination is a folder.
    Folder(PathBuf),
    /// The destination is the input.
    IsInput(PathBuf),
    /// Standard output is a terminal.
    Terminal,
    /// Standard output cannot be written.
    Stdout(io::Error),
    /// Standard output was closed before the program began.
    Closed,
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(path, error) if error.kind() == io::ErrorKind::NotFound => {
                write!(f, "cannot write {}: there is no such folder", path.display())
            }
            Self::Write(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            Self::Folder(path) => write!(f, "{} is a folder", path.display()),
            Self::IsInput(path) => {
                write!(f, "the output {} would replace the input", path.display())
            }
            Self::Terminal => write!(f, "the result is binary, and standard output is a terminal"),
            Self::Stdout(error) => write!(f, "cannot write to standard output: {error}"),
            Self::Closed => write!(f, "standard output is closed"),
        }
    }
}

impl std::error::Error for OutputError {}

impl OutputError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Write(..) => "output.unwritable",
            Self::Folder(_) => "output.folder",
            Self::IsInput(_) => "output.is-input",
            Self::Terminal => "output.terminal",
            Self::Stdout(_) => "output.stdout",
            Self::Closed => "output.no-stdout",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Write(_, error) if error.kind() == io::ErrorKind::NotFound => {
                Some("make its folder first".to_owned())
            }
            Self::Folder(path) => {
                let file = path.join("app.bls");
                let folder = path.join("");
                Some(format!("name a file: -o {}; or -o {}", file.display(), folder.display()))
            }
            Self::IsInput(_) => Some("name another file with -o".to_owned()),
            Self::Terminal | Self::Closed => Some("name a file with -o, or redirect".to_owned()),
            Self::Write(..) => {
                Some("see that you may write there, and that there is room".to_owned())
            }
            Self::Stdout(_) => None,
        }
    }
}

/// Where a result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => write!(f, "-"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Destination {
    /// Refuses what can be refused before the work is done.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn check(&self, input: Option<&Path>) -> Result<(), OutputError> {
        let Self::File(path) = self else {
            return match io::stdout() {
                _ if sys::stdout_was_closed() => Err(OutputError::Closed),
                stdout if stdout.is_terminal() => Err(OutputError::Terminal),
                _ => Ok(()),
            };
        };
        let Ok(existing) = fs::metadata(path) else { return Ok(()) };
        if existing.is_dir() {
            return Err(OutputError::Folder(path.clone()));
        }
        let same =
            |input: fs::Metadata| (input.dev(), input.ino()) == (existing.dev(), existing.ino());
        if input.and_then(|input| fs::metadata(input).ok()).is_some_and(same) {
            return Err(OutputError::IsInput(path.clone()));
        }
        Ok(())
    }

    /// Writes the result.
    ///
    /// # Errors
    /// [`OutputError`]; then the destination is as it was.
    pub fn write(&self, bytes: &[u8]) -> Result<(), OutputError> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(OutputError::Stdout)
            }
            Self::File(path) => {
                write_file(path, bytes).map_err(|error| OutputError::Write(path.clone(), error))
            }
        }
    }
}

/// Writes a file by temporary file and rename.
fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = match fs::metadata(path) {
        Ok(existing) if !existing.is_file() => {
            return OpenOptions::new().write(true).open(path)?.write_all(bytes);
        }
        // Through a symbolic link, as other compilers do.
        Ok(_) => fs::canonicalize(path)?,
        Err(_) => path.to_owned(),
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".bls-compile-")
        // Less what the umask takes away.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(plain)?;
    // Not through the wrapper, whose errors name it.
    file.as_file_mut().write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

/// The error without the name of our temporary file, which means nothing to
/// anybody.
fn plain(error: io::Error) -> io::Error {
    io::Error::from(error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.bls");
        let destination = Destination::File(path.clone());
        for contents in ["long contents", "short"] {
            destination.write(contents.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), contents);
        }
        fs::File::create(folder.path().join("other")).unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().mode() & 0o7777;
        assert_eq!(mode("out.bls"), mode("other"));
        fs::remove_file(folder.path().join("other")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn refusals() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in.wasm");
        fs::write(&input, "x").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&input, &link).unwrap();
        let is_input = Destination::File(link).check(Some(&input));
        assert!(matches!(is_input, Err(OutputError::IsInput(_))));
        let is_folder = Destination::File(folder.path().to_owned()).check(None);
        assert!(matches!(is_folder, Err(OutputError::Folder(_))));
        let missing = Destination::File(folder.path().join("no/out.bls")).write(b"x").unwrap_err();
        assert_eq!(missing.hint().as_deref(), Some("make its folder first"));
        Destination::File("/dev/null".into()).write(b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
