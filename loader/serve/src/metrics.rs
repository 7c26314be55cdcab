//! What is counted, in the text format of Prometheus (version 0.0.4). The names are listed in
//! README.md and stay. Sums end at what 64 bits hold.

use crate::wire::{Answer, How};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// The bounds of the times of requests, in microseconds, and as they are written.
const BUCKETS: [(u64, &str); 12] = [
    (500, "0.0005"),
    (1000, "0.001"),
    (2500, "0.0025"),
    (5000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (5_000_000, "5"),
    (30_000_000, "30"),
];

/// Of one route.
#[derive(Clone, Debug, Default)]
struct Route {
    name: String,
    statuses: BTreeMap<u16, u64>,
    outcomes: BTreeMap<&'static str, u64>,
    /// One for each bound, and one for what is above them.
    times: [u64; BUCKETS.len() + 1],
    microseconds: u64,
    guest_microseconds: u64,
    fuel: u64,
    peak_memory: u64,
    received: u64,
    sent: u64,
}

/// How things are at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    pub(crate) connections: usize,
    pub(crate) active: usize,
    pub(crate) waiting: usize,
    pub(crate) workers: usize,
    pub(crate) log_dropped: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// The last one is of requests without a route.
    routes: Vec<Route>,
    refusals: BTreeMap<&'static str, u64>,
    workers_lost: u64,
}

/// A request that is over.
#[derive(Debug)]
pub(crate) struct Done<'a> {
    /// Its number; `None` where no route was found.
    pub(crate) route: Option<usize>,
    pub(crate) status: u16,
    pub(crate) time: Duration,
    pub(crate) received: usize,
    pub(crate) sent: usize,
    pub(crate) answer: Option<&'a Answer>,
    /// Why the server answered by itself, in a word.
    pub(crate) refusal: Option<&'static str>,
}

fn add(sum: &mut u64, value: u64) {
    *sum = sum.saturating_add(value);
}

impl Metrics {
    /// None yet, for these routes.
    pub(crate) fn new(routes: &[String]) -> Self {
        let named = |name: &str| if name.is_empty() { "/".to_owned() } else { name.to_owned() };
        let mut all: Vec<Route> =
            routes.iter().map(|name| Route { name: named(name), ..Route::default() }).collect();
        all.push(Route::default());
        Self { routes: all, ..Self::default() }
    }

    /// One more request.
    pub(crate) fn add(&mut self, done: &Done<'_>) {
        if let Some(refusal) = done.refusal {
            add(self.refusals.entry(refusal).or_default(), 1);
        }
        let last = self.routes.len().saturating_sub(1);
        let index = done.route.unwrap_or(last).min(last);
        let Some(route) = self.routes.get_mut(index) else { return };
        add(route.statuses.entry(done.status).or_default(), 1);
        let time = u64::try_from(done.time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|(bound, _)| time <= *bound);
        add(&mut route.times[bucket.unwrap_or(BUCKETS.len())], 1);
        add(&mut route.microseconds, time);
        add(&mut route.received, done.received as u64);
        add(&mut route.sent, done.sent as u64);
        let Some(answer) = done.answer else { return };
        add(route.outcomes.entry(answer.how.word()).or_default(), 1);
        add(&mut route.guest_microseconds, answer.microseconds);
        if let Some((units, _)) = answer.fuel {
            add(&mut route.fuel, units);
        }
        if answer.how != How::Refused {
            route.peak_memory = route.peak_memory.max(answer.memory);
        }
    }

    /// A worker ended.
    pub(crate) fn lost_a_worker(&mut self) {
        add(&mut self.workers_lost, 1);
    }

    /// The text that Prometheus reads.
    pub(crate) fn to_text(&self, now: &Now) -> String {
        let mut text = Text(String::new());
        text.family(
            "bls_serve_requests_total",
            "counter",
            "Requests that were answered, by status.",
        );
        for route in &self.routes {
            for (status, count) in &route.statuses {
                let labels = [("route", route.name.as_str()), ("status", &status.to_string())];
                text.value("bls_serve_requests_total", &labels, count);
            }
        }
        text.family("bls_serve_runs_total", "counter", "Guests that ended, by how.");
        for route in &self.routes {
            for (outcome, count) in &route.outcomes {
                let labels = [("route", route.name.as_str()), ("outcome", outcome)];
                text.value("bls_serve_runs_total", &labels, count);
            }
        }
        text.family(
            "bls_serve_refusals_total",
            "counter",
            "Requests that the server answered, by why.",
        );
        for (reason, count) in &self.refusals {
            text.value("bls_serve_refusals_total", &[("reason", reason)], count);
        }
        self.add_times(&mut text);
        type Value = fn(&Route) -> String;
        let families: [(&str, &str, &str, Value); 5] = [
            ("bls_serve_guest_seconds_total", "counter", "Time that guests took.", |route| {
                seconds(route.guest_microseconds)
            }),
            ("bls_serve_fuel_units_total", "counter", "Fuel that guests consumed.", |route| {
                route.fuel.to_string()
            }),
            ("bls_serve_received_bytes_total", "counter", "Bytes of requests' bodies.", |route| {
                route.received.to_string()
            }),
            ("bls_serve_sent_bytes_total", "counter", "Bytes of responses' bodies.", |route| {
                route.sent.to_string()
            }),
            ("bls_serve_peak_memory_bytes", "gauge", "The most memory of a guest.", |route| {
                route.peak_memory.to_string()
            }),
        ];
        for (name, kind, help, value) in families {
            text.family(name, kind, help);
            for route in self.named() {
                text.value(name, &[("route", &route.name)], value(route));
            }
        }
        for (name, kind, help, value) in [
            ("bls_serve_workers_lost_total", "counter", "Workers that ended.", self.workers_lost),
            (
                "bls_serve_log_lines_dropped_total",
                "counter",
                "Lines of the log that there was no room for.",
                now.log_dropped,
            ),
            ("bls_serve_workers", "gauge", "Workers that there are.", now.workers as u64),
            ("bls_serve_connections", "gauge", "Connections of clients.", now.connections as u64),
            (
                "bls_serve_active_requests",
                "gauge",
                "Requests that are not answered yet.",
                now.active as u64,
            ),
            (
                "bls_serve_waiting_requests",
                "gauge",
                "Those of them that wait for a worker.",
                now.waiting as u64,
            ),
        ] {
            text.family(name, kind, help);
            text.value(name, &[], value);
        }
        text.0
    }

    fn named(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| !route.name.is_empty())
    }

    fn add_times(&self, text: &mut Text) {
        const NAME: &str = "bls_serve_request_seconds";
        text.family(NAME, "histogram", "From a request's head to the response's.");
        for route in self.named() {
            let mut sum = 0_u64;
            let bounds = BUCKETS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
            for (bound, count) in bounds.zip(route.times) {
                add(&mut sum, count);
                let labels = [("route", route.name.as_str()), ("le", bound)];
                text.value(&format!("{NAME}_bucket"), &labels, sum);
            }
            let labels = [("route", route.name.as_str())];
            text.value(&format!("{NAME}_sum"), &labels, seconds(route.microseconds));
            text.value(&format!("{NAME}_count"), &labels, sum);
        }
    }
}

fn seconds(microseconds: u64) -> String {
    format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000)
}

/// The text as it grows.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let escaped =
            |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_summed_up() {
        let mut metrics = Metrics::new(&[String::new()]);
        for milliseconds in [0, 2, 2, 60_000] {
            metrics.add(&Done {
                route: Some(0),
                status: 200,
                time: Duration::from_millis(milliseconds),
                received: 1,
                sent: 2,
                answer: None,
                refusal: None,
            });
        }
        let text = metrics.to_text(&Now::default());
        for line in [
            "bls_serve_requests_total{route=\"/\",status=\"200\"} 4",
            "bls_serve_request_seconds_bucket{route=\"/\",le=\"0.001\"} 1",
            "bls_serve_request_seconds_bucket{route=\"/\",le=\"0.0025\"} 3",
            "bls_serve_request_seconds_bucket{route=\"/\",le=\"30\"} 3",
            "bls_serve_request_seconds_bucket{route=\"/\",le=\"+Inf\"} 4",
            "bls_serve_request_seconds_sum{route=\"/\"} 60.004000",
            "bls_serve_request_seconds_count{route=\"/\"} 4",
            "bls_serve_received_bytes_total{route=\"/\"} 4",
            "bls_serve_sent_bytes_total{route=\"/\"} 8",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
    }
}
