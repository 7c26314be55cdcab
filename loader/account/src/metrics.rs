//! Counters of all runs, in the text format of Prometheus (version 0.0.4).
//!
//! ```text
//! # HELP bls_runs_total Runs that ended, by how.
//! # TYPE bls_runs_total counter
//! bls_runs_total{outcome="exited"} 41
//! bls_runs_total{outcome="trap"} 1
//! ```
//!
//! A run is a process, and a counter outlives it: so a file is read, added to and put in its own
//! place, while whoever else wants to waits. That is the form that the textfile collector of
//! Prometheus' node exporter reads. The names are listed in docs/metrics.md and stay; the network's
//! runtime has some of its own (`b7s_…`), which mean here what they mean there. Guarantees that a
//! reader finds a whole file at any time, and that a file which holds something else is left as it
//! is. Sums end at what 64 bits hold.

use crate::place::{self, folder_of};
use crate::run::Run;
use crate::{Defect, Failure};
use bls_artifact::text::printable_path;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// The longest file that is read, in bytes.
const BYTES_MAX: u64 = 64 << 20;
/// How often others are waited for, and how long each time.
const TRIES: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(5);
/// Who may hold a lock: its owner and the owner's group, within the umask.
const LOCK_MODE: u32 = 0o660;
/// Digits behind the point of what is written in seconds and kept in microseconds.
const MICRO: u64 = 1_000_000;

/// How two values of one metric become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Their sum.
    Counter,
    /// The same, kept in microseconds and written in seconds.
    Seconds,
    /// The larger one.
    Most,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter | Self::Seconds => "counter",
            Self::Most => "gauge",
        }
    }
}

/// A metric.
#[derive(Debug)]
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
}

/// All of them.
const FAMILIES: &[Family] = &[
    family("bls_runs_total", Kind::Counter, "Runs that ended, by how."),
    family("bls_refusals_total", Kind::Counter, "Runs that were refused or failed, by the code."),
    family("bls_fuel_units_total", Kind::Counter, "Fuel that runs are billed."),
    family("bls_host_calls_total", Kind::Counter, "Calls of host functions, by name."),
    family("bls_stage_seconds_total", Kind::Seconds, "Time that stages took."),
    family("bls_cpu_seconds_total", Kind::Seconds, "Processor time of runs, by mode."),
    family("bls_peak_memory_bytes", Kind::Most, "The most memory that a run had in use."),
    family("bls_last_run_timestamp_seconds", Kind::Most, "When the last run ended, since 1970."),
    family("b7s_executor_function_executions", Kind::Counter, "Runs, by the artifact's name."),
    family("b7s_executor_function_executions_ok", Kind::Counter, "Runs that exited with 0."),
    family("b7s_executor_function_executions_err", Kind::Counter, "Runs that ended otherwise."),
    family(
        "b7s_executor_function_executions_cpu_user_time_milliseconds",
        Kind::Counter,
        "Processor time of runs, in the guest and the loader.",
    ),
    family(
        "b7s_executor_function_executions_cpu_sys_time_milliseconds",
        Kind::Counter,
        "Processor time of runs, in the kernel.",
    ),
];

const fn family(name: &'static str, kind: Kind, help: &'static str) -> Family {
    Family { name, kind, help }
}

/// Values, by the name of the metric and its labels as they are written: `{outcome="exited"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics(BTreeMap<(usize, String), u64>);

impl Metrics {
    /// Those of one run that ended at this second since 1970.
    #[must_use]
    pub fn of(run: &Run, finished: u64) -> Self {
        let mut all = Self::default();
        let outcome = run.text("outcome/kind").unwrap_or_default();
        all.add("bls_runs_total", &[("outcome", outcome)], 1);
        if let Some(code) = run.text("outcome/error/code") {
            all.add("bls_refusals_total", &[("code", code)], 1);
        }
        if let Some(units) = run.fuel() {
            all.add("bls_fuel_units_total", &[], units);
        }
        for (function, calls) in run.numbers("host_calls") {
            all.add("bls_host_calls_total", &[("function", function)], calls);
        }
        for (stage, microseconds) in run.numbers("microseconds") {
            all.add("bls_stage_seconds_total", &[("stage", stage)], microseconds);
        }
        for (mode, microseconds) in run.numbers("cpu_microseconds") {
            all.add("bls_cpu_seconds_total", &[("mode", mode)], microseconds);
        }
        for (of, bytes) in run.numbers("peak_memory_bytes") {
            all.add("bls_peak_memory_bytes", &[("of", of)], bytes);
        }
        all.add("bls_last_run_timestamp_seconds", &[], finished);
        all.add_network(run, outcome);
        all
    }

    /// The network's. What never got as far as an artifact is none of its functions.
    fn add_network(&mut self, run: &Run, outcome: &str) {
        let Some(name) = run.text("artifact/name") else { return };
        let is_ok = outcome == "exited" && run.number("outcome/exit_code") == Some(0);
        let function = [("function", name)];
        self.add("b7s_executor_function_executions", &function, 1);
        self.add("b7s_executor_function_executions_ok", &function, is_ok.into());
        self.add("b7s_executor_function_executions_err", &function, (!is_ok).into());
        for (mode, microseconds) in run.numbers("cpu_microseconds") {
            let name = match mode {
                "user" => "b7s_executor_function_executions_cpu_user_time_milliseconds",
                _ => "b7s_executor_function_executions_cpu_sys_time_milliseconds",
            };
            self.add(name, &function, microseconds / 1000);
        }
    }

    fn add(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let Some(index) = FAMILIES.iter().position(|family| family.name == name) else { return };
        self.merge((index, written(labels)), value);
    }

    fn merge(&mut self, (index, labels): (usize, String), value: u64) {
        let sum = self.0.entry((index, labels)).or_default();
        *sum = match FAMILIES[index].kind {
            Kind::Counter | Kind::Seconds => sum.saturating_add(value),
            Kind::Most => value.max(*sum),
        };
    }

    /// Adds those of other runs.
    pub fn add_all(&mut self, other: Self) {
        for (series, value) in other.0 {
            self.merge(series, value);
        }
    }

    /// Reads what [`Metrics::to_text`] writes; the number of the first line that it does not.
    ///
    /// # Errors
    /// The number of that line, from 1.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let mut all = Self::default();
        for (number, line) in (1_usize..).zip(text.lines()) {
            if !line.is_empty() && !line.starts_with('#') {
                let (series, value) = read(line).ok_or(number)?;
                all.merge(series, value);
            }
        }
        Ok(all)
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut last = None;
        for ((index, labels), value) in &self.0 {
            let Family { name, kind, help } = &FAMILIES[*index];
            if last != Some(index) {
                let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.word());
                last = Some(index);
            }
            let _ = match kind {
                Kind::Seconds => {
                    writeln!(text, "{name}{labels} {}.{:06}", value / MICRO, value % MICRO)
                }
                Kind::Counter | Kind::Most => writeln!(text, "{name}{labels} {value}"),
            };
        }
        text
    }

    /// Adds them to what is in a file, which is made where it is missing.
    ///
    /// # Errors
    /// It cannot be read or written, holds something else, or others did not let go of it.
    pub fn add_to_file(self, path: &Path) -> Result<(), Failure> {
        let _lock = lock(path)?;
        let mut all = read_file(path)?;
        all.add_all(self);
        place::replace(path, all.to_text().as_bytes())
    }
}

/// The metrics in a file; none where there is no file.
///
/// # Errors
/// It cannot be read, or holds something else.
pub fn read_file(path: &Path) -> Result<Metrics, Failure> {
    if !path.exists() {
        return Ok(Metrics::default());
    }
    let text = String::from_utf8(place::read(path, BYTES_MAX)?).unwrap_or_else(|_| "\u{0}".into());
    Metrics::parse(&text).map_err(|line| {
        let what = format!("{}: line {line} is no metric of bls-account", printable_path(path));
        Failure::new(Defect::Metrics, what, "name another file: this one would be lost")
    })
}

/// Waits until nobody else is about to write there. The lock is a file of its own, `.NAME.lock`,
/// for the metrics' own is replaced each time; whoever may not write the metrics cannot open it,
/// and so not hold it.
fn lock(path: &Path) -> Result<File, Failure> {
    let mut name = OsString::from(".");
    name.extend([path.file_name().unwrap_or_default(), OsStr::new(".lock")]);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(LOCK_MODE);
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    let file = options.custom_flags(nofollow).open(folder_of(path).join(name));
    let file = file.map_err(|error| place::unwritable(path, error))?;
    for _ in 0..TRIES {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK | Errno::INTR) => sleep(PAUSE),
            Err(error) => return Err(place::unwritable(path, std::io::Error::from(error))),
        }
    }
    Err(place::unwritable(path, "others hold its lock"))
}

/// Labels as they are written; nothing where there are none.
fn written(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let one = |(name, value): &(&str, &str)| {
        let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        format!("{name}=\"{value}\"")
    };
    format!("{{{}}}", labels.iter().map(one).collect::<Vec<_>>().join(","))
}

/// A line: which value it gives, and the value.
fn read(line: &str) -> Option<((usize, String), u64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_at(series.find('{').unwrap_or(series.len()));
    let index = FAMILIES.iter().position(|family| family.name == name)?;
    let is_whole = labels.is_empty() || (labels.ends_with("\"}") && labels.contains("=\""));
    let value = match FAMILIES[index].kind {
        Kind::Seconds => {
            let (whole, rest) = value.split_once('.')?;
            let rest = Some(rest).filter(|rest| rest.len() == 6)?.parse::<u64>().ok()?;
            whole.parse::<u64>().ok()?.checked_mul(MICRO)?.checked_add(rest)?
        }
        Kind::Counter | Kind::Most => value.parse().ok()?,
    };
    is_whole.then(|| ((index, labels.to_owned()), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: &str) -> Run {
        Run::parse(
            format!(
                r#"{{"version":1,"outcome":{{"kind":"{kind}","exit_code":0}},"fuel":{{"consumed":5}},
                    "artifact":{{"name":"app"}},"microseconds":{{"run":1500000,"verify":20}},
                    "cpu_microseconds":{{"user":3999,"system":1000}},
                    "peak_memory_bytes":{{"guest":65536}},
                    "host_calls":{{"wasi_snapshot_preview1.fd_write":2}}}}"#
            )
            .as_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_adds_up() {
        let mut all = Metrics::of(&run("exited"), 100);
        all.add_all(Metrics::of(&run("trap"), 90));
        let text = all.to_text();
        for line in [
            "# TYPE bls_runs_total counter",
            r#"bls_runs_total{outcome="exited"} 1"#,
            r#"bls_runs_total{outcome="trap"} 1"#,
            "bls_fuel_units_total 10",
            r#"bls_stage_seconds_total{stage="run"} 3.000000"#,
            r#"bls_stage_seconds_total{stage="verify"} 0.000040"#,
            r#"bls_host_calls_total{function="wasi_snapshot_preview1.fd_write"} 4"#,
            "bls_last_run_timestamp_seconds 100",
            "# TYPE bls_peak_memory_bytes gauge",
            r#"bls_peak_memory_bytes{of="guest"} 65536"#,
            r#"b7s_executor_function_executions{function="app"} 2"#,
            r#"b7s_executor_function_executions_ok{function="app"} 1"#,
            r#"b7s_executor_function_executions_err{function="app"} 1"#,
            r#"b7s_executor_function_executions_cpu_user_time_milliseconds{function="app"} 6"#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
        assert_eq!(Metrics::parse(&text), Ok(all));
    }

    #[test]
    fn another_text_is_not_read() {
        for (text, line) in [
            ("hello", 1),
            ("# HELP x y\nnode_load1 3", 2),
            ("bls_fuel_units_total -1", 1),
            ("bls_fuel_units_total 1 1600000000", 1),
            ("bls_cpu_seconds_total{mode=\"user\"} 3", 1),
            ("bls_runs_total{outcome} 3", 1),
        ] {
            assert_eq!(Metrics::parse(text), Err(line), "{text}");
        }
    }

    #[test]
    fn labels_cannot_end_early() {
        let labels = written(&[("code", "a\"} 9\nx\\")]);
        assert_eq!(labels, r#"{code="a\"} 9\nx\\"}"#);
        let line = format!("bls_refusals_total{labels} 2");
        assert_eq!(read(&line).map(|((_, read), value)| (read, value)), Some((labels, 2)));
    }

    #[test]
    fn a_file_of_somebody_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.prom");
        let all = Metrics::of(&run("exited"), 1);
        all.clone().add_to_file(&path).unwrap();
        all.clone().add_to_file(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("bls_fuel_units_total 10\n"), "{text}");
        std::fs::write(&path, "precious\n").unwrap();
        assert_eq!(all.add_to_file(&path).unwrap_err().defect, Defect::Metrics);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious\n");
    }

    #[test]
    fn nobody_is_lost_where_many_write_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.prom");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        Metrics::of(&run("exited"), 1).add_to_file(&path).unwrap();
                    }
                });
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("bls_runs_total{outcome=\"exited\"} 20\n"), "{text}");
    }
}
