//! Has bls-registry fetch an artifact from a registry, and installs it.
//!
//! bls-registry is a program of its own, beside this one: it has HTTP and TLS, and this process
//! neither. It gets this process's environment, for there docker's credentials and proxies are
//! named, and writes into a file that has no name, so that nothing is left of what is refused.
//! What it gives is trusted no more than a file from anywhere: it is opened and verified as one.

use super::cli::Options;
use super::cmd::{verified_from_outside, wait_for};
use super::stdin::in_memory;
use crate::error::{Cause, Failure, StageError};
use crate::install;
use crate::open::Opened;
use crate::store::{self, System, Wanted};
use crate::sys::process::{Environment, Process};
use bls_artifact::registry::Defect;
use bls_artifact::target::Target;
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// The program, beside this one.
const PROGRAM: &str = "bls-registry";
/// The most bytes that are read of what it says.
const WORDS_BYTES_MAX: u64 = 16 << 10;
/// Folders for a file without a name; else it is in memory.
const FOLDERS: [&str; 2] = ["/var/tmp", "/tmp"];

/// Why nothing was fetched.
#[derive(Debug)]
pub(super) enum PullError {
    /// The program cannot be started.
    Start(PathBuf, io::Error),
    /// There is no file to fetch into.
    NoRoom(io::Error),
    /// The program ended without saying why.
    Silent(PathBuf),
    /// What the program said: the kind, the sentence and the hint.
    Said(Defect, String, String),
}

impl fmt::Display for PullError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(path, error) => {
                write!(formatter, "cannot start {}: {error}", path.display())
            }
            Self::NoRoom(error) => write!(formatter, "there is no file to fetch into: {error}"),
            Self::Silent(path) => {
                write!(formatter, "{} ended without saying why", path.display())
            }
            Self::Said(_, what, _) => formatter.write_str(what),
        }
    }
}

impl std::error::Error for PullError {}

impl StageError for PullError {
    const STAGE: &'static str = "pull";

    fn code(&self) -> &'static str {
        match self {
            Self::Start(..) => "pull.start",
            Self::NoRoom(_) => "pull.no-room",
            Self::Silent(_) => "pull.silent",
            Self::Said(defect, ..) => defect.code(),
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Start(_, error) => Cause::of_named_io(error),
            Self::NoRoom(_) | Self::Silent(_) => Cause::Failed,
            Self::Said(defect, ..) if defect.is_of_the_network() => Cause::Failed,
            Self::Said(..) => Cause::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Start(..) => "put bls-registry beside bls-load".into(),
            Self::NoRoom(_) => "see that there is room in /var/tmp or /tmp".into(),
            Self::Silent(_) => "use the bls-registry of this release".into(),
            Self::Said(_, _, hint) => hint.clone(),
        })
    }
}

/// Fetches what a reference means, for this machine or the one that an option names.
pub(super) fn fetch(reference: &str, options: &Options) -> Result<Opened, Failure> {
    let own = std::env::current_exe();
    let program = own.map_or_else(|_| PROGRAM.into(), |own| own.with_file_name(PROGRAM));
    let failed = |error| PullError::Start(program.clone(), error);
    let mut output = without_name().map_err(PullError::NoRoom)?;
    let nothing = in_memory(b"").map_err(PullError::NoRoom)?;
    let mut words = in_memory(b"").map_err(PullError::NoRoom)?;

    let mut arguments = ["pull", "--quiet", "--with-parent", "-o", "-"].map(OsStr::new).to_vec();
    let target = options.target.as_ref().map(|machine| machine.target()).or(Target::host());
    if let Some(target) = target {
        arguments.extend(["--target", target.short()].map(OsStr::new));
    }
    if options.plain_http {
        arguments.push(OsStr::new("--plain-http"));
    }
    if let Some(path) = &options.request.beyond.authorities {
        arguments.extend([OsStr::new("--authorities"), path.as_os_str()]);
    }
    // Behind it a word that looks like an option is none.
    arguments.extend(["--", reference].map(OsStr::new));
    let streams = [nothing.as_fd(), output.as_fd(), words.as_fd()];
    let process = Process::start_in(Environment::Own, &program, &arguments, &streams);
    if process.map_err(failed)?.wait() != Some(0) {
        return Err(said(&program, &mut words).into());
    }
    output.rewind().map_err(PullError::NoRoom)?;
    Ok(Opened::taken(reference.to_owned(), output.into())?)
}

/// Fetches it, verifies it, and installs it: what it is called in the store.
pub(super) fn install(reference: &str, options: &Options) -> Result<Wanted, Failure> {
    let (trusted, verified) = verified_from_outside(fetch(reference, options)?, options)?;
    let place = store::place_to_write(options.store.as_deref())?;
    let mut disk = System::create(&place, || wait_for(&place))?;
    let facts = verified.facts();
    let reset = trusted.trust.reset_for(&facts.manifest.name);
    let _ = install::install(&mut disk, &*verified, reset)?;
    Ok(Wanted::Identity(facts.identity))
}

/// A file that is gone with this process.
fn without_name() -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let open = |folder: &str| openat(CWD, folder, flags, Mode::RUSR | Mode::WUSR).ok();
    match FOLDERS.into_iter().find_map(open) {
        Some(file) => Ok(file.into()),
        None => in_memory(b""),
    }
}

/// What it said: `bls-registry: WHAT`, a hint and a code, each on a line.
fn said(program: &Path, words: &mut File) -> PullError {
    let mut bytes = Vec::new();
    let read = words.rewind().and_then(|()| words.take(WORDS_BYTES_MAX).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let find = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let kind = find("code:").and_then(|code| Defect::from_code(code.trim()));
    match (read, find("bls-registry: "), kind) {
        (Ok(_), Some(what), Some(defect)) => {
            let hint = find("hint: ").unwrap_or(defect.hint());
            PullError::Said(defect, what.to_owned(), hint.to_owned())
        }
        _ => PullError::Silent(program.to_owned()),
    }
}
