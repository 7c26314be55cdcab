//! `bls-load binfmt`: the line by which the kernel runs artifacts as programs (binfmt_misc).
//!
//! ```text
//! :bls:M::\x89BLS\x0d\x0a\x1a\x0a::/usr/local/bin/bls-load:O
//! ```
//!
//! `M`: whatever begins with the eight bytes of an artifact, whatever it is called. `O`: the
//! kernel opens the artifact and hands it over, so that what is verified is what was to be
//! executed, though nobody but the kernel may read it or its name leads elsewhere by then
//! (`sys/descriptor.rs`). Not `C`, by which a set-user-ID bit of an artifact would count, nor
//! `P`: a guest's argument 0 is the artifact's name anyway. `F` where it is asked for: the
//! kernel keeps this very program open, for containers that do not have it, and does not notice
//! that it was replaced.

use crate::error::{Cause, Failure, StageError, printable_path};
use crate::program::cli::Binfmt;
use bls_artifact::artifact::MAGIC;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Where the kernel is told.
const FOLDER: &str = "/proc/sys/fs/binfmt_misc";
/// What the kernel calls it.
const NAME: &str = "bls";
/// The longest line that the kernel takes.
const LINE_BYTES_MAX: usize = 1920;

/// Why the kernel does not run artifacts.
#[derive(Debug)]
enum BinfmtError {
    /// The path of this program cannot be written in such a line.
    Path(PathBuf),
    /// This program does not know where it is.
    Unknown(std::io::Error),
    /// The system's refusal: what could not be written.
    System(PathBuf, std::io::Error),
}

impl fmt::Display for BinfmtError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => {
                write!(formatter, "the kernel takes no program of this path: {}", path.display())
            }
            Self::Unknown(error) => {
                write!(formatter, "nobody knows where this program is: {error}")
            }
            Self::System(path, error) => {
                write!(formatter, "cannot write {}: {error}", path.display())
            }
        }
    }
}

impl StageError for BinfmtError {
    const STAGE: &'static str = "binfmt";

    fn code(&self) -> &'static str {
        match self {
            Self::Path(_) | Self::Unknown(_) => "binfmt.path",
            Self::System(..) => "binfmt.system",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Path(_) => {
                "put bls-load where its path is short and of plain letters: /usr/local/bin".into()
            }
            Self::Unknown(_) => "see that /proc is mounted".into(),
            Self::System(_, error) if error.kind() == ErrorKind::NotFound => {
                format!("as root: modprobe binfmt_misc; mount -t binfmt_misc binfmt_misc {FOLDER}")
            }
            Self::System(..) => "do it as root".into(),
        })
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Path(_) => Cause::Refused,
            Self::Unknown(_) => Cause::Failed,
            Self::System(_, error) => Cause::of_named_io(error),
        }
    }
}

/// Prints the line, or registers it in the place of an earlier one.
pub(super) fn binfmt(what: Binfmt) -> Result<(), Failure> {
    let program = std::env::current_exe().map_err(BinfmtError::Unknown)?;
    let line = line(&program, what.fixed)?;
    if !what.install {
        return super::print(&(line + "\n"));
    }
    let earlier = Path::new(FOLDER).join(NAME);
    if earlier.exists() {
        // Two of one name are none of the kernel's.
        write(&earlier, "-1")?;
    }
    write(&Path::new(FOLDER).join("register"), &line)?;
    let program = printable_path(&program);
    super::print(&format!("artifacts are programs now, until the next boot, run by {program}\n"))
}

/// The line for this program.
fn line(program: &Path, fixed: bool) -> Result<String, BinfmtError> {
    let wrong = || BinfmtError::Path(program.to_owned());
    let path = program.to_str().filter(|path| path.bytes().all(|byte| byte.is_ascii_graphic()));
    let path = path.filter(|path| !path.contains([':', '\\'])).ok_or_else(wrong)?;
    let magic = MAGIC.iter().map(|byte| match byte {
        letter if letter.is_ascii_alphanumeric() => char::from(*letter).to_string(),
        other => format!("\\x{other:02x}"),
    });
    let flags = if fixed { "OF" } else { "O" };
    let line = format!(":{NAME}:M::{}::{path}:{flags}", magic.collect::<String>());
    if line.len() < LINE_BYTES_MAX { Ok(line) } else { Err(wrong()) }
}

/// Writes all at once, as the kernel reads it.
fn write(path: &Path, text: &str) -> Result<(), BinfmtError> {
    let written =
        File::options().write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| BinfmtError::System(path.to_owned(), error))
}
