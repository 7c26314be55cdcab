//! Collects what becomes known while a run goes on, and makes the report of it.
//!
//! One value, so that whoever ends the run, the main thread, the watcher or a panic, writes
//! the same form. Guarantees that only one of them does ([`Recorder::claim`]), and that
//! nobody waits for a thread that may have stopped: what the guest did last is read from
//! atomics ([`Observed`]). Without a report, an account and a log it collects nothing.

use super::ReportError;
use super::form::{self, Artifact, Fuel, LeftOut, Report};
use super::form::{PeakMemory, Trap};
use super::logged;
use crate::error::Failure;
use crate::host::observed::Observed;
use crate::program::account::Accountant;
use crate::program::cli::ReportTarget;
use crate::program::deliver::Destination;
use crate::program::log::{Event, Sink};
use crate::program::manner::Manner;
use crate::run::outcome::Outcome;
use crate::sys;
use crate::sys::signal::Thread;
use bls_artifact::date::Date;
use bls_artifact::fuel::BUDGET_MAX;
use bls_artifact::policy::LogLevel;
use bls_artifact::text::printable_json;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What is collected, and where it goes.
#[derive(Debug)]
struct Collected {
    /// Where the report is written, and what that is called.
    destination: Option<(Destination, String)>,
    /// Who keeps the account of the run.
    account: OnceLock<Accountant>,
    /// Where it is said what runs and how it ended.
    logs: OnceLock<Vec<Sink>>,
    report: Mutex<Report>,
    /// From the moment the guest runs.
    running: OnceLock<Running>,
}

/// A guest that runs, or has run.
#[derive(Debug)]
struct Running {
    since: Instant,
    observed: Arc<Observed>,
}

/// What only needs to be written.
#[derive(Debug)]
pub(crate) struct Composed<'a>(Option<Whole<'a>>);

/// A report, and all that is made of it.
#[derive(Debug)]
struct Whole<'a> {
    collected: &'a Collected,
    text: Vec<u8>,
    /// For the account: the same in a line.
    line: Vec<u8>,
    /// What each log is told.
    logs: Vec<(&'a Sink, String)>,
}

/// What is known about a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// 0 while the run goes on; then 256 and the exit code.
    ended: AtomicU32,
    /// The number of the thread that the guest runs on; 0 before it does.
    guest: AtomicI32,
    /// Whether what differs from run to run is left out.
    by_rule: bool,
    manner: Manner,
    /// The file that is told how the run ended.
    log: Option<OwnedFd>,
    collected: OnceLock<Collected>,
}

impl Recorder {
    /// Opens `target`, so that a report which cannot be written stops the run
    /// before it begins.
    pub(crate) fn open(target: Option<&ReportTarget>, by_rule: bool) -> Result<Self, ReportError> {
        let collected = OnceLock::new();
        if let Some(target) = target {
            let place = match target {
                ReportTarget::File(path) => path.display().to_string(),
                ReportTarget::Descriptor(number) => format!("descriptor {number}"),
            };
            let destination = match Destination::open(target) {
                Ok(destination) => Some((destination, place)),
                Err(error) => return Err(ReportError { place, error }),
            };
            let _ = collected.set(Collected { destination, ..Collected::default() });
        }
        let (ended, guest) = (AtomicU32::new(0), AtomicI32::new(0));
        Ok(Self { ended, guest, by_rule, manner: Manner::Own, log: None, collected })
    }

    /// Collects for an account too. Before anything is noted.
    pub(crate) fn account_by(&self, account: Accountant) {
        // A run has one.
        let _ = self.collected.get_or_init(Collected::default).account.set(account);
    }

    /// Collects for these logs too. Before anything is noted.
    pub(crate) fn log_to(&self, logs: Vec<Sink>) {
        if !logs.is_empty() {
            // A run has one list of them.
            let _ = self.collected.get_or_init(Collected::default).logs.set(logs);
        }
    }

    /// Tells the logs that want it what has happened.
    pub(super) fn log(
        &self,
        level: LogLevel,
        name: &'static str,
        fill_in: &dyn Fn(&Report, &mut Event),
    ) -> Result<(), Failure> {
        let Some(collected) = self.collected.get() else { return Ok(()) };
        let Some(logs) = collected.logs.get() else { return Ok(()) };
        if !logs.iter().any(|log| log.wants(level)) {
            return Ok(());
        }
        let mut event = Event::new(level, name);
        let report = collected.report.lock().unwrap_or_else(PoisonError::into_inner);
        fill_in(&report, &mut event);
        drop(report);
        for log in logs.iter().filter(|log| log.wants(level)) {
            log.write(&log.line(&event))?;
        }
        Ok(())
    }

    /// Whether somebody keeps an account of the run.
    pub(super) fn has_account(&self) -> bool {
        self.collected.get().is_some_and(|collected| collected.account.get().is_some())
    }

    /// The same, which ends in this manner, and tells this file.
    pub(crate) fn speaking(self, manner: Manner, log: Option<OwnedFd>) -> Self {
        Self { manner, log, ..self }
    }

    /// In whose words the run ends.
    pub(crate) fn manner(&self) -> Manner {
        self.manner
    }

    /// The exit code of the process where the run ends so.
    pub(crate) fn code(&self, outcome: &Outcome) -> u8 {
        self.manner.code(outcome)
    }

    /// Tells the file how the run ended, where that was not the guest's own end.
    pub(crate) fn tell_log(&self, outcome: &Outcome) {
        if let (Some(log), Some(message)) = (&self.log, outcome.message()) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let line = format!("{} {}\n", Date(now.as_secs()), message.replace('\n', "; "));
            let _ = rustix::io::write(log, line.as_bytes());
        }
    }

    /// Whether what differs from run to run is left out.
    pub(super) fn by_rule(&self) -> bool {
        self.by_rule
    }

    /// Descriptors that the report needs.
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        let collected = self.collected.get();
        let destination = collected.and_then(|collected| collected.destination.as_ref());
        let mut all = destination.map(|(report, _)| report.descriptors()).unwrap_or_default();
        let account = collected.and_then(|collected| collected.account.get());
        all.extend(account.map(Accountant::descriptor));
        let logs = collected.and_then(|collected| collected.logs.get());
        all.extend(logs.into_iter().flatten().map(Sink::descriptor));
        all.extend(self.log.as_ref().map(AsRawFd::as_raw_fd));
        all
    }

    /// Writes what is known by now, where the report is a file: what is there when nobody
    /// lives to write more. Tells it whoever keeps the account.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        let Some(collected) = self.collected.get() else { return Ok(()) };
        let mut report = collected.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.outcome = form::Outcome { kind: form::Kind::Unfinished, ..Default::default() };
        report.left_out = LeftOut::of(&report);
        let text = as_text(&report);
        drop(report);
        if let Some(account) = collected.account.get() {
            account.begin(&as_line(&text))?;
        }
        if let Some((destination, place)) = &collected.destination {
            let begun = destination.begin(&text);
            begun.map_err(|error| ReportError { place: place.clone(), error })?;
        }
        Ok(())
    }

    /// Whether anybody will read what is noted.
    pub(crate) fn is_on(&self) -> bool {
        self.collected.get().is_some()
    }

    /// Fills something in, if there is a report. What is filled in is made before this: the
    /// lock is held for moments, and by nothing that could panic.
    pub(super) fn note(&self, fill_in: impl FnOnce(&mut Report)) {
        if let Some(collected) = self.collected.get() {
            fill_in(&mut collected.report.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Says that from now on the guest runs on this thread, and where is seen how far it is.
    pub(crate) fn guest_begins(&self, observed: &Arc<Observed>) {
        if let Some(collected) = self.collected.get() {
            let running = Running { since: Instant::now(), observed: Arc::clone(observed) };
            // A run has one guest.
            let _ = collected.running.set(running);
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
        sys::signal::leaves_with(code);
    }

    /// The exit code of the run, which somebody has ended.
    pub(crate) fn exit_code(&self) -> u8 {
        (self.ended.load(Ordering::Acquire) & 0xff) as u8
    }

    /// Makes the report. For the one who holds the claim.
    pub(crate) fn compose(&self, outcome: &Outcome) -> Composed<'_> {
        let Some(collected) = self.collected.get() else { return Composed(None) };
        // Taken, not copied: nobody makes another. Without what was being noted when a panic
        // came, if need be.
        let report = wait(&collected.report).map(|mut report| std::mem::take(&mut *report));
        let mut report = report.unwrap_or_default();
        report.outcome = outcome.into();
        report.outcome.process_exit_code = Some(self.code(outcome));
        if self.by_rule {
            report.microseconds = None;
            report.peak_memory_bytes = None;
        } else {
            let memory = report.peak_memory_bytes.get_or_insert_default();
            memory.process = sys::usage::resident_peak_bytes();
            if collected.account.get().is_some() {
                let (user, system) = sys::usage::cpu_microseconds();
                report.cpu_microseconds = Some(form::CpuTime { system, user });
            }
            if let Some(running) = collected.running.get() {
                running.fill_in(&mut report);
            }
        }
        report.left_out = LeftOut::of(&report);
        let mut logs = Vec::new();
        if let Some(all) = collected.logs.get() {
            let event = logged::end(&report, outcome);
            for log in all.iter().filter(|log| log.wants(event.level())) {
                logs.push((log, log.line(&event)));
            }
        }
        let text = as_text(&report);
        let line = as_line(&text);
        Composed(Some(Whole { collected, text, line, logs }))
    }
}

impl Running {
    /// Says how far the guest was, where it did not end by itself: nobody has noted then what
    /// is filled in here.
    fn fill_in(&self, report: &mut Report) {
        let run = &mut report.microseconds.get_or_insert_default().run;
        run.get_or_insert_with(|| self.since.elapsed().as_micros() as u64);
        let PeakMemory { guest, .. } = report.peak_memory_bytes.get_or_insert_default();
        guest.get_or_insert_with(|| self.observed.memory_peak());
        if let Some(Fuel::Metered(fuel)) = &mut report.fuel
            && let Some(at_least) = &mut fuel.at_least
            && let Some(left) = self.observed.fuel_left()
        {
            // The last price may be more than there was.
            let budget = fuel.budget.unwrap_or(BUDGET_MAX);
            let consumed = budget.saturating_sub(u64::try_from(left).unwrap_or(0));
            *at_least = consumed.max(*at_least);
        }
    }
}

impl LeftOut {
    /// What the lists of a report miss.
    fn of(report: &Report) -> Self {
        Self {
            artifact: report
                .artifact
                .as_ref()
                .map_or(0, |Artifact { key_ids, .. }| key_ids.left_out()),
            granted: report.granted.as_ref().map_or(0, |list| list.left_out()),
            outcome: report
                .outcome
                .trap
                .as_ref()
                .map_or(0, |Trap { frames, .. }| frames.left_out()),
            results: report.results.as_ref().map_or(0, |list| list.left_out()),
            unknown_imports: report.unknown_imports.as_ref().map_or(0, |list| list.left_out()),
        }
    }

    /// Whether nothing is missing.
    pub(super) fn is_empty(&self) -> bool {
        let Self { artifact, granted, outcome, results, unknown_imports } = self;
        artifact + granted + outcome + results + unknown_imports == 0
    }
}

impl Composed<'_> {
    /// Writes it, if there is one; the guest can run no more. Waits for a reader and for who
    /// keeps the account a little, and for nothing else.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let Some(Whole { collected, text, line, .. }) = &self.0 else { return Ok(()) };
        let written = match &collected.destination {
            Some((destination, _)) => destination.write(text),
            None => Ok(()),
        };
        // Both get what there is, whatever becomes of the other.
        if let Some(account) = collected.account.get() {
            account.finish(line).map_err(|error| account.unwritten(error))?;
        }
        match (written, &collected.destination) {
            (Err(error), Some((_, place))) => {
                Err(ReportError { place: place.clone(), error }.into())
            }
            _ => Ok(()),
        }
    }

    /// Tells each log how the run ended, whatever becomes of the others.
    pub(crate) fn log(&self) -> Result<(), Failure> {
        let mut written = Ok(());
        if let Some(whole) = &self.0 {
            for (log, line) in &whole.logs {
                written = written.and(log.write(line));
            }
        }
        written
    }
}

impl Default for Collected {
    /// For nobody yet.
    fn default() -> Self {
        Self {
            destination: None,
            account: OnceLock::new(),
            logs: OnceLock::new(),
            report: Mutex::default(),
            running: OnceLock::new(),
        }
    }
}

/// The same in one line: no text in JSON has the end of a line in it.
fn as_line(text: &[u8]) -> Vec<u8> {
    let mut line: Vec<u8> =
        text.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
    line.push(b'\n');
    line
}

/// A report as it is written.
fn as_text(report: &Report) -> Vec<u8> {
    // Numbers and texts can always be written.
    let text = serde_json::to_string_pretty(report).unwrap_or_default() + "\n";
    printable_json(&text).into_owned().into_bytes()
}

/// Facts are noted in moments; a lock that is held for longer than this is held by a
/// thread that panicked, and would be held for ever.
fn wait(report: &Mutex<Report>) -> Option<MutexGuard<'_, Report>> {
    for _ in 0..100 {
        match report.try_lock() {
            Ok(report) => return Some(report),
            // A panic may have happened while this thread held the lock.
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    None
}
