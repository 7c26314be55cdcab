//! The report: the outcome of a run as JSON, written whole or not at all.
//!
//! One value collects what becomes known while the run goes on, so that whoever
//! ends the run, the main thread, the watcher or a panic, writes the same form.
//! Guarantees that only one of them does ([`Recorder::claim`]), that a report that
//! cannot be written is known before the guest starts, and that it is bounded: a text of
//! more than [`TEXT_BYTES_MAX`] bytes is cut in the middle, a list ends where it passes
//! [`LIST_BYTES_MAX`], and `left_out` says how much of it is missing. Where and how it is
//! written is [`Destination`]'s. Without `--report` it collects nothing.

use crate::error::{Cause, StageError};
use crate::program::cli::ReportTarget;
use crate::program::deliver::Destination;
use crate::run::outcome::Outcome;
use crate::sys;
use crate::sys::signal::Thread;
use bls_artifact::text::{printable_json, shortened};
use serde_json::{Map, Value, json};
use std::fmt;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// The version of the report's form.
const FORM: u32 = 1;
/// Longest text in a report, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// Longest list in a report, in bytes of JSON without white space. With what has no
/// lists, all of them fit into a pipe that nobody has begun to read.
const LIST_BYTES_MAX: usize = 6 << 10;

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

/// What is collected, and where it goes.
#[derive(Debug)]
struct Report {
    destination: Destination,
    place: String,
    facts: Mutex<Map<String, Value>>,
}

/// A report that only needs to be written.
#[derive(Debug)]
pub(crate) struct Composed<'a>(Option<(&'a Report, Vec<u8>)>);

/// What is known about a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// 0 while the run goes on; then 256 and the exit code.
    ended: AtomicU32,
    /// The number of the thread that the guest runs on; 0 before it does.
    guest: AtomicI32,
    /// Whether what differs from run to run is left out.
    by_rule: bool,
    report: Option<Report>,
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
                match Destination::open(target) {
                    Ok(destination) => {
                        Some(Report { destination, place, facts: Mutex::new(Map::new()) })
                    }
                    Err(error) => return Err(ReportError { place, error }),
                }
            }
        };
        Ok(Self { ended: AtomicU32::new(0), guest: AtomicI32::new(0), by_rule, report })
    }

    /// Whether anybody will read what is set.
    pub(crate) fn is_on(&self) -> bool {
        self.report.is_some()
    }

    /// Notes a fact, if there is a report.
    pub(crate) fn set(&self, name: &str, value: impl FnOnce() -> Value) {
        if let Some(report) = &self.report {
            let value = value();
            let mut facts = report.facts.lock().unwrap_or_else(PoisonError::into_inner);
            facts.insert(name.to_owned(), value);
        }
    }

    /// Says that from now on the guest runs on this thread.
    pub(crate) fn guest_begins(&self) {
        if self.is_on() {
            self.guest.store(Thread::current().number(), Ordering::Release);
        }
    }

    /// Stops the guest, where there is a report that it could change and another thread
    /// than its own ends the run. After this nothing may be waited for that the guest's
    /// thread may hold.
    pub(crate) fn stop_guest(&self) {
        let guest = self.guest.load(Ordering::Acquire);
        if guest != 0 && guest != Thread::current().number() {
            sys::signal::stop(Thread::of_number(guest));
        }
    }

    /// Ends the run, with this exit code: true for the first who asks. Whoever gets false
    /// must not write, print or exit: somebody else does.
    pub(crate) fn claim(&self, code: u8) -> bool {
        let ended = 256 | u32::from(code);
        self.ended.compare_exchange(0, ended, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Says with which code the process ends if it has to leave now. For the one who
    /// holds the claim.
    pub(crate) fn ends_with(&self, code: u8) {
        self.ended.store(256 | u32::from(code), Ordering::Release);
    }

    /// The exit code of the run, which somebody has ended.
    pub(crate) fn exit_code(&self) -> u8 {
        (self.ended.load(Ordering::Acquire) & 0xff) as u8
    }

    /// Makes the report. For the one who holds the claim.
    pub(crate) fn compose(&self, outcome: &Outcome) -> Composed<'_> {
        let Some(report) = &self.report else { return Composed(None) };
        // Without what was being written down when a panic came, if need be.
        let mut facts = wait(&report.facts).map_or_else(Map::new, |facts| facts.clone());
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
        bound(&mut facts);
        let text = format!("{:#}\n", Value::Object(facts));
        Composed(Some((report, printable_json(&text).into_owned().into_bytes())))
    }
}

impl Composed<'_> {
    /// Writes it, if there is one; the guest can run no more. Waits for a reader a
    /// little, and for nothing else.
    pub(crate) fn write(&self) -> Result<(), ReportError> {
        let Some((report, text)) = &self.0 else { return Ok(()) };
        let written = report.destination.write(text);
        written.map_err(|error| ReportError { place: report.place.clone(), error })
    }
}

/// Facts are set in moments; a lock that is held for longer than this is held by a
/// thread that panicked, and would be held for ever.
fn wait(facts: &Mutex<Map<String, Value>>) -> Option<MutexGuard<'_, Map<String, Value>>> {
    for _ in 0..100 {
        match facts.try_lock() {
            Ok(facts) => return Some(facts),
            // A panic may have happened while this thread held the lock.
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
    None
}

/// Cuts what is longer than a report may hold, and says of which list how much is missing.
fn bound(facts: &mut Map<String, Value>) {
    let mut left_out = Map::new();
    // A profile has a bound of its own, and loses nothing of its sum.
    for (name, value) in facts.iter_mut().filter(|(name, _)| *name != "fuel_profile") {
        let missing = cut(value);
        if missing > 0 {
            left_out.insert(name.clone(), json!(missing));
        }
    }
    if !left_out.is_empty() {
        facts.insert("left_out".into(), Value::Object(left_out));
    }
}

/// Cuts texts and lists in `value`; gives how many elements of lists are gone.
fn cut(value: &mut Value) -> usize {
    match value {
        Value::String(text) => {
            if text.len() > TEXT_BYTES_MAX {
                *text = shortened(text, TEXT_BYTES_MAX).into_owned();
            }
            0
        }
        Value::Array(list) => {
            let mut bytes = 0;
            let mut kept = 0;
            for element in list.iter_mut() {
                let _ = cut(element);
                bytes += element.to_string().len() + 1;
                if bytes > LIST_BYTES_MAX {
                    break;
                }
                kept += 1;
            }
            let missing = list.len() - kept;
            list.truncate(kept);
            missing
        }
        Value::Object(fields) => fields.values_mut().map(cut).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_and_counted() {
        let names: Vec<String> = (0..100_000).map(|number| format!("env.f{number}")).collect();
        let mut facts = Map::new();
        facts.insert("unknown_imports".into(), json!(names));
        facts.insert("outcome".into(), json!({ "trap": { "name": "n".repeat(99_000) } }));
        facts.insert("granted".into(), json!(["stdout"]));
        bound(&mut facts);
        let kept = facts["unknown_imports"].as_array().unwrap().len();
        assert!(kept > 100, "{kept}");
        assert_eq!(facts["left_out"], json!({ "unknown_imports": 100_000 - kept }));
        assert_eq!(facts["granted"], json!(["stdout"]));
        let name = facts["outcome"]["trap"]["name"].as_str().unwrap();
        assert!(name.len() <= TEXT_BYTES_MAX && name.contains('…'), "{name}");
        assert!(Value::Object(facts).to_string().len() < 2 * LIST_BYTES_MAX);
    }
}
