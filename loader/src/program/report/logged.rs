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
use crate::error::Cause;
use crate::grant::Granted;
use crate::program::log::{Event, LogError, Value};
use crate::run::outcome::Outcome;
use crate::verify::Facts;
use bls_artifact::policy::LogLevel;

/// Fields of an event, by their names.
type Fields = Vec<(&'static str, Value)>;

impl Recorder {
    /// A stage is over.
    pub(crate) fn log_stage(&self, stage: &str, microseconds: u64) {
        let fields = |_: &Report| {
            vec![("stage", Value::text(stage)), ("microseconds", Value::Number(microseconds))]
        };
        // What comes after it says whether there is a log.
        let _ = self.log(LogLevel::Debug, "stage", fields);
    }

    /// What the artifact may use, and does not get though nobody took it away.
    pub(crate) fn log_withheld(&self, granted: &Granted) -> Result<(), LogError> {
        if granted.kept_back.is_empty() {
            return Ok(());
        }
        self.log(LogLevel::Warn, "withheld", |report| {
            let names = granted.kept_back.iter().map(|(permission, _)| permission.to_string());
            let mut fields = whose(report);
            fields.push(("capabilities", Value::list(names)));
            fields
        })
    }

    /// The guest is about to run.
    pub(crate) fn log_run(&self, facts: &Facts) -> Result<(), LogError> {
        self.log(LogLevel::Info, "run", |report| {
            let mut fields = vec![
                ("name", Value::text(&facts.manifest.name)),
                ("release", Value::Number(facts.manifest.sequence)),
                ("identity", identity(&facts.identity.to_string())),
                ("keys", Value::list(facts.key_ids.iter().map(ToString::to_string))),
            ];
            if let Some(limits) = &report.limits {
                let all = [
                    ("fuel_limit", limits.fuel),
                    ("time_limit_ms", limits.timeout_ms),
                    ("memory_limit_bytes", Some(limits.memory_bytes)),
                    ("output_limit_bytes", limits.output_bytes),
                ];
                let there = all.into_iter().filter_map(|(name, limit)| Some((name, limit?)));
                fields.extend(there.map(|(name, limit)| (name, Value::Number(limit))));
            }
            fields
        })
    }
}

/// How the run ended.
pub(super) fn end(report: &Report, outcome: &Outcome) -> Event {
    let mut fields = whose(report);
    if let Outcome::Failed(failure) = outcome {
        fields.extend([
            ("stage", Value::text(failure.stage)),
            ("code", Value::text(failure.code)),
            ("message", Value::text(&failure.what)),
        ]);
        let name = if failure.cause == Cause::Refused { "refused" } else { "failed" };
        return Event { level: LogLevel::Error, name, fields };
    }
    let (kind, more) = match outcome {
        Outcome::Exited(code) => ("exited", Some(("exit_code", Value::Number((*code).into())))),
        Outcome::Trapped(trap) => ("trap", Some(("trap", Value::text(trap.kind)))),
        Outcome::OutOfFuel => ("out-of-fuel", None),
        Outcome::Limit(limit, _) => ("limit", Some(("limit", Value::text(limit.name())))),
        Outcome::Signal(number) => {
            ("signal", Some(("signal", Value::Number(number.unsigned_abs().into()))))
        }
        Outcome::Failed(_) => ("failed", None),
    };
    fields.push(("outcome", Value::text(kind)));
    fields.extend(more);
    if let Some(Fuel::Metered(fuel)) = &report.fuel {
        let counted = fuel.consumed.map(|units| ("fuel", units));
        let counted = counted.or(fuel.at_least.map(|units| ("fuel_at_least", units)));
        fields.extend(counted.map(|(name, units)| (name, Value::Number(units))));
    }
    let time = report.microseconds.as_ref().and_then(|all| all.run);
    let memory = report.peak_memory_bytes.as_ref().and_then(|peak| peak.guest);
    let used = [("microseconds", time), ("peak_memory_bytes", memory)];
    fields.extend(used.into_iter().filter_map(|(name, used)| Some((name, Value::Number(used?)))));
    let level = match outcome {
        Outcome::Exited(_) => LogLevel::Info,
        _ => LogLevel::Warn,
    };
    Event { level, name: "ended", fields }
}

/// Which artifact a line is about, once that is known.
fn whose(report: &Report) -> Fields {
    let artifact = report.artifact.iter();
    let known = artifact.flat_map(|artifact| {
        let identity = identity(artifact.identity.as_str());
        [("name", Value::text(artifact.name.as_str())), ("identity", identity)]
    });
    known.collect()
}

fn identity(digits: &str) -> Value {
    Value::text(&format!("sha256:{digits}"))
}
