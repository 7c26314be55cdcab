//! Runs of the loader with `--report`, and what the benchmarks read there.
//!
//! A run that does not end with 0 is an error: its times would mean nothing. A
//! field that is not there is `None`: a table then shows a dash.

use super::Bench;
use crate::programs::{Ended, run};
use serde_json::Value;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// The stages in the order in which they run; the report's JSON has no order.
const ORDER: [&str; 7] = ["policy", "open", "verify", "grant", "map", "link", "run"];

/// The stages with their microseconds, in the order in which they run.
pub(super) fn stages(report: &Value) -> Vec<(String, f64)> {
    let mut stages: Vec<(String, f64)> = report["microseconds"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, time)| Some((name.clone(), time.as_f64()?)))
        .collect();
    stages.sort_by_key(|(name, _)| ORDER.iter().position(|known| known == name));
    stages
}

/// The microseconds of the stage in which the guest's code runs.
pub(super) fn run_time(report: &Value) -> Option<f64> {
    report["microseconds"]["run"].as_f64()
}

/// The fuel that was consumed.
pub(super) fn consumed(report: &Value) -> Option<u64> {
    report["fuel"]["consumed"].as_u64()
}

impl Bench {
    /// Runs an artifact once, and reads its report.
    pub(super) fn report(&self, artifact: &Path, arguments: &[&str]) -> Result<Value, String> {
        self.report_in(None, artifact, arguments).map(|(_, report)| report)
    }

    /// The same with a folder mounted as `.`; also what the guest printed.
    pub(super) fn report_in(
        &self,
        folder: Option<&Path>,
        artifact: &Path,
        arguments: &[&str],
    ) -> Result<(Ended, Value), String> {
        let path = self.home.path("report.json");
        let mut command = self.command(folder, Some(&path), artifact);
        let ended = run(command.args(arguments), b"");
        if ended.code != Some(0) {
            let code = ended.code;
            return Err(format!("{} ended with {code:?}: {}", artifact.display(), ended.stderr));
        }
        let text = std::fs::read(&path).map_err(|error| format!("no report: {error}"))?;
        let report = serde_json::from_slice(&text).map_err(|error| format!("report: {error}"))?;
        Ok((ended, report))
    }

    /// The command that runs an artifact, without its arguments.
    pub(super) fn command(
        &self,
        folder: Option<&Path>,
        report: Option<&Path>,
        artifact: &Path,
    ) -> Command {
        let mut options: Vec<OsString> = Vec::new();
        if let Some(report) = report {
            options.extend(["--report".into(), report.into()]);
        }
        if let Some(folder) = folder {
            let mut grant = OsString::from(folder);
            grant.push("::.");
            options.extend(["--dir".into(), grant]);
        }
        self.home.load_command(&options, artifact)
    }
}
