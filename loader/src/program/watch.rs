//! The watcher: ends a run that a signal or the clock ends.
//!
//! One thread that sleeps in the kernel until a signal that ends a process, or the
//! deadline. It exists only when there is a timeout, or a report, an account or a log to write. Assumes that it
//! is started before any other thread, so that all of them have those signals
//! blocked. Guarantees that the run ends even while the guest is in a busy loop or
//! blocked in a system call: it claims the run, stops the guest, writes the report and
//! leaves with `_exit`; and where another has claimed it, that it does not take longer
//! than a second from then on. What a busy guest has burned is in a register, so fuel is a
//! lower bound: that of its last host call (`host/observed.rs`).

use crate::error::{Cause, Failure};
use crate::program::deliver::write_within;
use crate::program::report::Recorder;
use crate::program::say;
use crate::run::outcome::{Limit, Outcome};
use crate::sys::crash;
use crate::sys::signal::{self, Event, Signals, Thread};
use std::os::fd::AsFd as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Bytes of stack for the watcher: it formats a report.
const STACK_BYTES: usize = 256 << 10;
/// How long whoever reads standard error and the report may keep a run that is to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The watcher of a run.
#[derive(Debug)]
pub(crate) struct Watcher(Arc<OnceLock<Thread>>);

impl Watcher {
    /// Its thread. Waits until it has begun.
    pub(crate) fn thread(&self) -> Thread {
        *self.0.wait()
    }
}

/// Starts the watcher. The time counts from now.
pub(crate) fn start(
    recorder: Arc<Recorder>,
    timeout: Option<Duration>,
) -> Result<Watcher, Failure> {
    let awaited = signal::block();
    let number = Arc::new(OnceLock::new());
    let own = Arc::clone(&number);
    crash::expect_watcher(true);
    std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let _ = own.set(Thread::current());
            watch(&recorder, &awaited, timeout)
        })
        .map(|_| Watcher(number))
        .inspect_err(|_| crash::expect_watcher(false))
        .map_err(no_thread)
}

/// Ends the run after this time from now, beside a watcher that may be there already: for a limit
/// that is known only when the artifact is.
pub(crate) fn end_after(recorder: Arc<Recorder>, time: Duration) -> Result<Watcher, Failure> {
    let number = Arc::new(OnceLock::new());
    let own = Arc::clone(&number);
    std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let _ = own.set(Thread::current());
            std::thread::sleep(time);
            let outcome = Outcome::Limit(Limit::Time, format!("stopped after {time:?}"));
            if recorder.claim(recorder.code(&outcome)) {
                signal::leaves_with(recorder.exit_code());
                signal::leave_within(2 * PATIENCE);
                end(&recorder, outcome, Some(PATIENCE))
            }
        })
        .map(|_| Watcher(number))
        .map_err(no_thread)
}

/// The system gives no thread.
fn no_thread(error: std::io::Error) -> Failure {
    Failure {
        stage: "run",
        code: "run.watcher",
        what: format!("cannot start the thread that watches the time: {error}"),
        hint: Some(
            "allow more threads: see ulimit -u, ulimit -v, and the limits of its group; or run it without --timeout and --report"
                .into(),
        ),
        cause: Cause::Failed,
    }
}

fn watch(recorder: &Arc<Recorder>, awaited: &Signals, timeout: Option<Duration>) -> ! {
    crash::watch_from_this_thread();
    let event = signal::wait(awaited, timeout);
    let outcome = match event {
        Event::Signal(number) => Outcome::Signal(number),
        Event::Crash(number) => Outcome::Failed(crashed(number)),
        Event::Timeout => {
            let time = timeout.unwrap_or_default();
            Outcome::Limit(Limit::Time, format!("stopped after {time:?}"))
        }
    };
    if recorder.claim(recorder.code(&outcome)) {
        // Saying why may take too long after all: another process may write to the same pipe in
        // the very moment, and files may be on a network.
        signal::leaves_with(recorder.exit_code());
        signal::leave_within(2 * PATIENCE);
        end(recorder, outcome, Some(PATIENCE))
    }
    if matches!(event, Event::Crash(_)) {
        // Whoever ended the run has crashed.
        let manner = recorder.manner();
        tell(&(manner.message(&outcome).unwrap_or_default() + "\n"), Some(PATIENCE));
        signal::leave(manner.failed());
    }
    // The run has ended, and whoever ended it may be saying so to a pipe that nobody reads.
    std::thread::sleep(PATIENCE);
    signal::leave(recorder.exit_code())
}

/// A crash of this process by a signal.
fn crashed(number: i32) -> Failure {
    Failure {
        stage: crash::STAGE,
        code: crash::code(),
        what: crash::sentence(number).into(),
        hint: Some(crash::HINT.into()),
        cause: Cause::Failed,
    }
}

/// Says what happened, writes the report and leaves. For the one who holds the claim.
/// Whoever reads standard error is waited for no longer than `patience`, where there is
/// one; else until the watcher's patience is at an end, or a signal comes, as with any
/// other program.
pub(crate) fn end(recorder: &Recorder, outcome: Outcome, patience: Option<Duration>) -> ! {
    let report = recorder.compose(&outcome);
    let manner = recorder.manner();
    let message = manner.message(&outcome).map(|message| message + "\n");
    recorder.stop_guest();
    recorder.tell_log(&outcome);
    // Until there is a report, a run that was to have one has failed.
    recorder.ends_with(manner.failed());
    let written = report.write();
    if written.is_ok() {
        recorder.ends_with(recorder.code(&outcome));
    }
    if let Some(message) = &message {
        tell(message, patience);
    }
    if let Err(error) = written {
        let failed = manner.message(&Outcome::Failed(error)).map(|message| message + "\n");
        // It may be just what ended the run.
        if failed != message {
            tell(&failed.unwrap_or_default(), patience);
        }
    }
    // The guest has had its run, and somebody may wait for its exit code.
    if let Err(error) = report.log() {
        let text = manner.message(&Outcome::Failed(error)).map(|message| message + "\n");
        tell(&text.unwrap_or_default(), patience);
    }
    signal::leave(recorder.exit_code())
}

/// Says something on standard error, whether somebody hears it or not.
fn tell(text: &str, patience: Option<Duration>) {
    let _ = write_within(std::io::stderr().as_fd(), text.as_bytes(), patience);
}

/// Makes a panic, which is a bug of ours, end the run with a sentence, a report
/// and exit code 125.
pub(crate) fn report_panics(recorder: Arc<Recorder>) {
    std::panic::set_hook(Box::new(move |information| {
        let failure = Failure {
            stage: "internal error",
            code: "internal.panic",
            what: information.to_string(),
            hint: Some("this is a bug in bls-load; please report it".into()),
            cause: Cause::Failed,
        };
        let outcome = Outcome::Failed(failure);
        let manner = recorder.manner();
        if recorder.claim(manner.failed()) {
            end(&recorder, outcome, Some(PATIENCE));
        }
        say(&manner.message(&outcome).unwrap_or_default());
        signal::leave(manner.failed())
    }));
}
