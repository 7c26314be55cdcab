//! What a log says of a run: its events, out of what the report knows.
//!
//! | event | level | says |
//! |---|---|---|
//! | `stage` | debug | a stage is over |
//! | `withheld` | warn | the guest may use more than it gets |
//! | `run` | info | a guest begins to run: which, and within what limits |
//! | `ended` | info, warn | a guest ended by itself, or otherwise |
//! | `refused`, `failed` | error | nothing ran, or the run broke off: why |
//!
//! The last line of a run is one of the last three. Builds nothing where nobody keeps a log.

use super::Recorder;
use super::form::{Fuel, Report};
use crate::error::{Cause, Failure};
use crate::grant::Granted;
use crate::program::log::Event;
use crate::run::outcome::Outcome;
use crate::verify::Facts;
use bls_artifact::policy::LogLevel;

impl Recorder {
    /// A stage is over.
    pub(crate) fn log_stage(&self, stage: &str, microseconds: u64) {
        // What comes after it says whether there is a log.
        let _ = self.log(LogLevel::Debug, "stage", &|_, event| {
            event.text("stage", stage);
            event.number("microseconds", Some(microseconds));
        });
    }

    /// What the artifact may use, and does not get though nobody took it away.
    pub(crate) fn log_withheld(&self, granted: &Granted) -> Result<(), Failure> {
        if granted.kept_back.is_empty() {
            return Ok(());
        }
        self.log(LogLevel::Warn, "withheld", &|report, event| {
            say_whose(report, event);
            let names = granted.kept_back.iter().map(|(permission, _)| permission.to_string());
            event.list("capabilities", names.collect());
        })
    }

    /// The guest is about to run.
    pub(crate) fn log_run(&self, facts: &Facts) -> Result<(), Failure> {
        self.log(LogLevel::Info, "run", &|report, event| {
            event.text("name", &facts.manifest.name);
            event.number("release", Some(facts.manifest.sequence));
            event.text("identity", &format!("sha256:{}", facts.identity));
            event.list("keys", facts.key_ids.iter().map(ToString::to_string).collect());
            if let Some(limits) = &report.limits {
                event.number("fuel_limit", limits.fuel);
                event.number("time_limit_ms", limits.timeout_ms);
                event.number("memory_limit_bytes", Some(limits.memory_bytes));
                event.number("output_limit_bytes", limits.output_bytes);
            }
        })
    }
}

/// How the run ended.
pub(super) fn end(report: &Report, outcome: &Outcome) -> Event {
    let (level, name) = match outcome {
        Outcome::Exited(_) => (LogLevel::Info, "ended"),
        Outcome::Failed(failure) if failure.cause == Cause::Refused => (LogLevel::Error, "refused"),
        Outcome::Failed(_) => (LogLevel::Error, "failed"),
        _ => (LogLevel::Warn, "ended"),
    };
    let mut event = Event::new(level, name);
    say_whose(report, &mut event);
    match outcome {
        Outcome::Failed(failure) => {
            event.text("stage", failure.stage);
            event.text("code", failure.code);
            event.text("message", &failure.what);
            return event;
        }
        Outcome::Exited(code) => {
            event.text("outcome", "exited");
            event.number("exit_code", Some((*code).into()));
        }
        Outcome::Trapped(trap) => {
            event.text("outcome", "trap");
            event.text("trap", trap.kind);
        }
        Outcome::OutOfFuel => event.text("outcome", "out-of-fuel"),
        Outcome::Limit(limit, _) => {
            event.text("outcome", "limit");
            event.text("limit", limit.name());
        }
        Outcome::Signal(number) => {
            event.text("outcome", "signal");
            event.number("signal", Some(number.unsigned_abs().into()));
        }
    }
    if let Some(Fuel::Metered(fuel)) = &report.fuel {
        event.number("fuel", fuel.consumed);
        event.number("fuel_at_least", fuel.at_least);
    }
    event.number("microseconds", report.microseconds.as_ref().and_then(|all| all.run));
    let memory = report.peak_memory_bytes.as_ref().and_then(|peak| peak.guest);
    event.number("peak_memory_bytes", memory);
    event
}

/// Says which artifact an event is about, once that is known.
fn say_whose(report: &Report, event: &mut Event) {
    if let Some(artifact) = &report.artifact {
        event.text("name", artifact.name.as_str());
        event.text("identity", &format!("sha256:{}", artifact.identity.as_str()));
    }
}
