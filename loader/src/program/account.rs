//! A process of `bls-account` that keeps the account of this run: metrics, a signed receipt.
//!
//! It is started before anything is opened, is told what is settled before the guest runs, and how
//! the run ended when the guest can run no more (`loader/account/src/record.rs` has the
//! conversation). So the key that signs is never in the process of a guest, and files are written
//! by a process that is behind no wall. Guarantees that a run which was to have an account, and
//! has none, has failed. May assume that [`Accountant::finish`] is called once; it allocates nothing,
//! for the guest's thread may have been stopped with the allocator's lock, and needs two system
//! calls that every run has (`write`, `poll`).

use super::cli::{AccountOptions, ReportTarget};
use super::deliver::write_within;
use crate::error::{Cause, StageError};
use crate::policy::Rules;
use crate::sys::process::Process;
use bls_artifact::policy;
use bls_artifact::text::printable;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

/// How long it may take to open everything, and to write it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest first answer, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// What it says when everything is open.
const READY: &str = "ready";

/// Why there is no account.
#[derive(Debug)]
pub(crate) enum AccountError {
    /// Nobody knows where this program is, and so what is beside it.
    NotFound(io::Error),
    /// It cannot be started.
    Start(PathBuf, io::Error),
    /// It ended, or said nothing that makes sense, before it was ready.
    Silent(PathBuf, io::Error),
    /// It cannot do what it is asked to: why, and what can be done.
    Refused(String, String),
    /// It could not be told how the run went, or could not write it down.
    Unwritten(PathBuf, io::Error),
}

impl fmt::Display for AccountError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(error) => {
                write!(formatter, "where bls-account is cannot be told: {error}")
            }
            Self::Start(path, error) => {
                write!(formatter, "cannot start {}: {error}", path.display())
            }
            Self::Silent(path, error) => {
                write!(formatter, "{} does not answer: {error}", path.display())
            }
            Self::Refused(what, _) => formatter.write_str(what),
            Self::Unwritten(path, error) => {
                write!(formatter, "{} wrote no account of this run: {error}", path.display())
            }
        }
    }
}

impl StageError for AccountError {
    const STAGE: &'static str = "account";

    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::Start(..) => "account.start",
            Self::Silent(..) => "account.silent",
            Self::Refused(..) => "account.refused",
            Self::Unwritten(..) => "account.unwritten",
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Start(_, error) => Cause::of_named_io(error),
            Self::NotFound(_) | Self::Silent(..) | Self::Unwritten(..) => Cause::Failed,
            Self::Refused(..) => Cause::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound(_) | Self::Start(..) => {
                "put bls-account beside bls-load, or name it: --account PROGRAM".into()
            }
            Self::Silent(..) => {
                "use the bls-account of this release; what it says on stderr says more".into()
            }
            Self::Refused(_, hint) => hint.clone(),
            Self::Unwritten(..) => "what it says on stderr says why; the run itself is over".into(),
        })
    }
}

/// Whoever keeps the account of this run.
#[derive(Debug)]
pub(crate) struct Accountant {
    program: PathBuf,
    socket: OwnedFd,
}

/// What is asked for: by options, and beside them by the operator's policies.
fn words(options: &AccountOptions, rules: &Rules) -> Vec<OsString> {
    let metrics = options.metrics.as_ref().map(|target| match target {
        ReportTarget::File(path) => path.into(),
        ReportTarget::Descriptor(number) => format!("fd:{number}").into(),
    });
    let mut words: Vec<(&str, Option<OsString>)> = vec![
        ("--metrics", metrics),
        ("--receipt", options.receipt.clone().map(Into::into)),
        ("--key", options.receipt_key.clone().map(Into::into)),
    ];
    for policy in rules.accounts() {
        words.push(("--metrics", policy.metrics.as_ref().map(Into::into)));
        words.push(("--receipts", policy.receipts.as_ref().map(Into::into)));
        words.push(("--key", policy.key.as_ref().map(Into::into)));
    }
    let given = words.into_iter().filter_map(|(option, value)| Some([option.into(), value?]));
    given.flatten().collect()
}

impl Accountant {
    /// Starts who keeps the account, where one is asked for, and waits until everything is open
    /// that will be written.
    pub(crate) fn start(
        options: &AccountOptions,
        rules: &Rules,
    ) -> Result<Option<Self>, AccountError> {
        let words = words(options, rules);
        if words.is_empty() {
            return Ok(None);
        }
        let named = options.program.clone();
        let of_policy = |policy: &policy::Account| policy.program.as_ref().map(PathBuf::from);
        let named = named.or_else(|| rules.accounts().find_map(of_policy));
        let program = named.map_or_else(beside, Ok)?;
        let failed = |error| AccountError::Start(program.clone(), error);
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(|error| failed(error.into()))?;
        let words: Vec<&OsStr> = [OsStr::new("record")]
            .into_iter()
            .chain(words.iter().map(OsString::as_os_str))
            .collect();
        // It ends when this process does, which waits for nobody behind the wall.
        let _ = Process::start(&program, &words, &[theirs.as_fd()]).map_err(failed)?;
        drop(theirs);
        let account = Self { program, socket: ours };
        let answer = account.answer().map_err(|error| account.silent(error))?;
        match answer.split_once('\t') {
            None if answer == READY => Ok(Some(account)),
            None => Err(account.silent(io::ErrorKind::InvalidData.into())),
            Some((what, hint)) => Err(AccountError::Refused(printable(what), printable(hint))),
        }
    }

    fn silent(&self, error: io::Error) -> AccountError {
        AccountError::Silent(self.program.clone(), error)
    }

    /// The first line that it says.
    fn answer(&self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut buffer = [0; 512];
        let patience = Timespec::try_from(PATIENCE).ok();
        while line.last() != Some(&b'\n') {
            // Nobody else watches the time yet.
            let mut ends = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
            if poll(&mut ends, patience.as_ref()) == Ok(0) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing for ten seconds"));
            }
            match rustix::io::read(&self.socket, &mut buffer) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has ended")),
                Ok(read) if line.len() + read <= ANSWER_BYTES_MAX => {
                    line.extend_from_slice(&buffer[..read]);
                }
                Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        line.pop();
        String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// The descriptor that it needs.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Tells it what is settled, in one line: from here on it believes nothing else.
    pub(crate) fn begin(&self, line: &[u8]) -> Result<(), AccountError> {
        self.tell(line).map_err(|error| self.unwritten(error))
    }

    /// Tells it how the run ended, in one line, and waits until that is written.
    pub(crate) fn finish(&self, line: &[u8]) -> io::Result<()> {
        self.tell(line)?;
        let patience = Timespec::try_from(PATIENCE).ok();
        // The byte by which it says that all is written is seen and not read, which takes a
        // system call that not every run has: where it comes, the other end stays open.
        let mut ends =
            [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN | PollFlags::RDHUP)];
        loop {
            match poll(&mut ends, patience.as_ref()) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => break,
            }
        }
        let seen = ends[0].revents();
        match seen.contains(PollFlags::IN) && !seen.intersects(PollFlags::HUP | PollFlags::RDHUP) {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn tell(&self, line: &[u8]) -> io::Result<()> {
        write_within(self.socket.as_fd(), line, Some(PATIENCE))
    }

    /// That it did not work.
    pub(crate) fn unwritten(&self, error: io::Error) -> AccountError {
        AccountError::Unwritten(self.program.clone(), error)
    }
}

/// The program that is looked for where none is named: beside this one.
pub(crate) fn beside() -> Result<PathBuf, AccountError> {
    let own = std::env::current_exe().map_err(AccountError::NotFound)?;
    Ok(own.with_file_name("bls-account"))
}
