//! The report: the outcome of a run as JSON, written whole or not at all.
//!
//! One value collects what becomes known while the run goes on, so that whoever
//! ends the run, the main thread, the watcher or a panic, writes the same form.
//! Guarantees that only one of them does ([`Recorder::claim`]), that a report that
//! cannot be written is known before the guest starts, and that a file appears
//! under its name only when it is complete. Without `--report` it collects nothing.

use crate::cli::ReportTarget;
use crate::error::{Cause, StageError};
use crate::outcome::Outcome;
use crate::sys;
use serde_json::{Map, Value, json};
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

/// The version of the report's form.
const FORM: u32 = 1;

/// A report that cannot be written.
#[derive(Debug)]
pub(crate) struct ReportError {
    place: String,
    error: std::io::Error,
}

impl fmt::Display for ReportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot write to {}: {}", self.place, self.error)
    }
}

impl StageError for ReportError {
    const STAGE: &'static str = "report";

    fn code(&self) -> &'static str {
        "report.unwritable"
    }

    fn hint(&self) -> Option<String> {
        Some(
            "--report takes a file in a folder you can write to, a FIFO that is read, or fd:N of an open descriptor"
                .into(),
        )
    }

    fn cause(&self) -> Cause {
        Cause::Failed
    }
}

/// Where the report goes, open for writing.
#[derive(Debug)]
struct Sink {
    file: File,
    place: String,
    /// The temporary name, and the one it gets at the end.
    rename: Option<(PathBuf, PathBuf)>,
}

/// What is known about a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    ended: AtomicBool,
    /// Whether what differs from run to run is left out.
    by_rule: bool,
    report: Option<Mutex<(Sink, Map<String, Value>)>>,
}

impl Recorder {
    /// Opens `target`, so that a report which cannot be written stops the run
    /// before it begins.
    pub(crate) fn open(target: Option<&ReportTarget>, by_rule: bool) -> Result<Self, ReportError> {
        let report = match target {
            None => None,
            Some(target) => {
                let place = match target {
                    ReportTarget::File(path) => path.display().to_string(),
                    ReportTarget::Descriptor(number) => format!("descriptor {number}"),
                };
                let opened = open_sink(target, place.clone());
                let sink = opened.map_err(|error| ReportError { place, error })?;
                Some(Mutex::new((sink, Map::new())))
            }
        };
        Ok(Self { ended: AtomicBool::new(false), by_rule, report })
    }

    /// Whether anybody will read what is set.
    pub(crate) fn is_on(&self) -> bool {
        self.report.is_some()
    }

    /// Notes a fact, if there is a report.
    pub(crate) fn set(&self, name: &str, value: impl FnOnce() -> Value) {
        if self.is_on() {
            self.insert(name, value());
        }
    }

    fn insert(&self, name: &str, value: Value) {
        if let Some(report) = &self.report {
            let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
            report.1.insert(name.to_owned(), value);
        }
    }

    /// Ends the run: true for the first who asks. Whoever gets false must not
    /// write, print or exit: somebody else does.
    pub(crate) fn claim(&self) -> bool {
        self.ended.compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Writes the report. For the one who holds the claim.
    pub(crate) fn write(&self, outcome: &Outcome) -> Result<(), ReportError> {
        let Some(report) = &self.report else { return Ok(()) };
        // A panic may have happened while this thread held the lock.
        let mut report = match report.try_lock() {
            Ok(report) => report,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => wait(report)?,
        };
        let (sink, facts) = &mut *report;
        facts.insert("version".into(), json!(FORM));
        facts.insert("outcome".into(), outcome.to_json());
        if self.by_rule {
            facts.remove("microseconds");
            facts.remove("peak_memory_bytes");
        } else {
            let process = sys::usage::resident_peak_bytes();
            let memory = facts.entry("peak_memory_bytes").or_insert_with(|| json!({}));
            memory["process"] = json!(process);
        }
        let place = sink.place.clone();
        sink.write(facts).map_err(|error| ReportError { place, error })
    }

    /// Removes what an abandoned report left behind.
    pub(crate) fn abandon(&self) {
        if let Some(report) = &self.report
            && let Ok(report) = report.try_lock()
            && let Some((temporary, _)) = &report.0.rename
        {
            let _ = std::fs::remove_file(temporary);
        }
    }
}

type Report = (Sink, Map<String, Value>);

/// Facts are set in moments; a lock that is held for longer than this is held by a
/// thread that panicked, and would be held for ever.
fn wait(report: &Mutex<Report>) -> Result<std::sync::MutexGuard<'_, Report>, ReportError> {
    for _ in 0..100 {
        std::thread::sleep(std::time::Duration::from_millis(1));
        if let Ok(report) = report.try_lock() {
            return Ok(report);
        }
    }
    let error = std::io::Error::other("the run ended while it was being written");
    Err(ReportError { place: "the report".into(), error })
}

impl Sink {
    fn write(&mut self, facts: &Map<String, Value>) -> std::io::Result<()> {
        let mut text = serde_json::to_vec_pretty(facts).map_err(std::io::Error::from)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        match &self.rename {
            Some((temporary, path)) => std::fs::rename(temporary, path),
            None => Ok(()),
        }
    }
}

fn open_sink(target: &ReportTarget, place: String) -> std::io::Result<Sink> {
    let path = match target {
        ReportTarget::Descriptor(number) => {
            let file = sys::descriptor::duplicate(*number)?;
            return Ok(Sink { file, place, rename: None });
        }
        ReportTarget::File(path) => path,
    };
    // A device or a FIFO is written to; a file of that name must not replace it.
    if std::fs::metadata(path).is_ok_and(|status| !status.is_file()) {
        // Without a reader a FIFO is an error, and with a slow one it is too: the
        // run must not wait for either.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = File::options().write(true).custom_flags(flags).open(path)?;
        return Ok(Sink { file, place, rename: None });
    }
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.parent().unwrap_or(Path::new("")).join(temporary);
    let file = File::options().write(true).create_new(true).open(&temporary)?;
    Ok(Sink { file, place, rename: Some((temporary, path.clone())) })
}
