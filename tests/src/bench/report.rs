//! What the benchmarks read from the loader's report (`--report`).
//!
//! A field that is not there is `None`: a table then shows a dash.

use serde_json::Value;

/// The stages in the order in which they run; the report's JSON has no order.
const ORDER: [&str; 8] = ["open", "verify", "grant", "copy", "map", "link", "instantiate", "run"];

/// The stages with their microseconds, in the order in which they run.
pub(super) fn stages(report: &Value) -> Vec<(String, f64)> {
    let mut stages: Vec<(String, f64)> = report["time_us"]
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
    report["time_us"]["run"].as_f64()
}

/// The fuel that was consumed.
pub(super) fn consumed(report: &Value) -> Option<u64> {
    report["fuel"]["consumed"].as_u64()
}
