//! The watcher: ends a run that a signal or the clock ends.
//!
//! One thread that sleeps in the kernel until SIGTERM, SIGINT or the deadline. It
//! exists only when there is a timeout or a report to write. Assumes that it is
//! started before any other thread, so that all of them have those signals
//! blocked. Guarantees that the run ends even while the guest is in a busy loop or
//! blocked in a system call: it claims the run, writes the report and leaves with
//! `_exit`. What a busy guest has burned is in a register, so fuel is a lower bound.

use crate::error::{Failure, say};
use crate::outcome::{Limit, Outcome};
use crate::report::Recorder;
use crate::sys::signal::{self, Event};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of stack for the watcher: it formats a report.
const STACK_BYTES: usize = 256 << 10;

/// Starts the watcher. The time counts from now.
pub(crate) fn start(recorder: Arc<Recorder>, timeout: Option<Duration>) -> Result<(), Failure> {
    signal::block();
    std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || watch(&recorder, timeout))
        .map(|_| ())
        .map_err(|error| Failure {
            stage: "run",
            code: "run.watcher",
            what: format!("cannot start the thread that watches the time: {error}"),
            hint: Some(
                "allow more threads: see ulimit -u, and the limits of its group; or run it without --timeout and --report"
                    .into(),
            ),
        })
}

fn watch(recorder: &Recorder, timeout: Option<Duration>) {
    let outcome = match signal::wait(timeout) {
        Event::Signal(number) => Outcome::Signal(number),
        Event::Timeout => {
            let time = timeout.unwrap_or_default();
            Outcome::Limit(Limit::Time, format!("stopped after {time:?}"))
        }
    };
    if recorder.claim() {
        leave_at_last(outcome.exit_code());
        end(recorder, outcome);
    }
}

/// Ends the process when saying why takes too long: stderr and the report may be
/// pipes that nobody reads, and a guest can have filled them.
fn leave_at_last(code: u8) {
    /// What a reader of those pipes gets.
    const PATIENCE: Duration = Duration::from_secs(1);
    let late = move || {
        std::thread::sleep(PATIENCE);
        signal::leave(code)
    };
    // Without a thread to be had, nothing can be said that might block.
    if std::thread::Builder::new().stack_size(STACK_BYTES).spawn(late).is_err() {
        signal::leave(code);
    }
}

/// Says what happened, writes the report and leaves. For the one who holds the
/// claim.
pub(crate) fn end(recorder: &Recorder, mut outcome: Outcome) -> ! {
    let written = recorder.write(&outcome);
    if let Some(message) = outcome.message() {
        say(&message);
    }
    if let Err(error) = written {
        recorder.abandon();
        outcome = Outcome::Failed(error.into());
        say(&outcome.message().unwrap_or_default());
    }
    signal::leave(outcome.exit_code())
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
        };
        if recorder.claim() {
            end(&recorder, Outcome::Failed(failure));
        }
        say(&failure);
        signal::leave(crate::outcome::FAILED)
    }));
}
