//! What is counted, and the text format of Prometheus for it (version 0.0.4). The names are listed
//! in docs/serving.md and stay. Sums end at what 64 bits hold.

use crate::wire::{Answer, How};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// The bounds of the times of requests, in microseconds, and as they are written.
pub(crate) const BUCKETS: [(u64, &str); 12] = [
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
    /// Where there is a collector for them.
    pub(crate) spans: Option<Spans>,
}

/// Spans for a collector.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spans {
    /// It took them.
    pub(crate) taken: u64,
    /// It did not, or took nothing.
    pub(crate) lost: u64,
    /// There was no room for them.
    pub(crate) dropped: u64,
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

    /// All of it, by name.
    pub(crate) fn families(&self, now: &Now) -> Vec<Family<'_>> {
        let each =
            |labels: fn(&Route) -> Vec<(String, u64)>, label: &'static str| -> Vec<Point<'_>> {
                let routes = self.routes.iter();
                let points = routes.flat_map(|route| {
                    let pairs = labels(route).into_iter();
                    pairs.map(|(word, count)| Point {
                        labels: vec![("route", route.name.as_str().into()), (label, word.into())],
                        value: Value::Count(count),
                    })
                });
                points.collect()
            };
        let statuses = |route: &Route| {
            route.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect()
        };
        let outcomes = |route: &Route| {
            route.outcomes.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
        };
        let refusals = self.refusals.iter().map(|(reason, count)| Point {
            labels: vec![("reason", (*reason).into())],
            value: Value::Count(*count),
        });
        let mut all = vec![
            Family {
                name: "bls_serve_requests_total",
                kind: Kind::Counter,
                help: "Requests that were answered, by status.",
                points: each(statuses, "status"),
            },
            Family {
                name: "bls_serve_runs_total",
                kind: Kind::Counter,
                help: "Guests that ended, by how.",
                points: each(outcomes, "outcome"),
            },
            Family {
                name: "bls_serve_refusals_total",
                kind: Kind::Counter,
                help: "Requests that the server answered, by why.",
                points: refusals.collect(),
            },
        ];
        all.extend(self.of_routes());
        all.extend(self.of_all(now));
        if let Some(spans) = now.spans {
            let words = [("taken", spans.taken), ("lost", spans.lost), ("dropped", spans.dropped)];
            let point = |(word, count): (&'static str, u64)| Point {
                labels: vec![("outcome", word.into())],
                value: Value::Count(count),
            };
            all.push(Family {
                name: "bls_serve_spans_total",
                kind: Kind::Counter,
                help: "Spans for a collector: taken by it, lost on the way, dropped without room.",
                points: words.into_iter().map(point).collect(),
            });
        }
        all
    }

    /// What there is of each route that has a name.
    fn of_routes(&self) -> Vec<Family<'_>> {
        use Kind::{Counter, Gauge, Histogram};
        type Of = fn(&Route) -> Value;
        let families: [(&'static str, Kind, &'static str, Of); 6] = [
            (
                "bls_serve_request_seconds",
                Histogram,
                "From a request's head to the response's.",
                |route| Value::Times { counts: route.times, microseconds: route.microseconds },
            ),
            ("bls_serve_guest_seconds_total", Counter, "Time that guests took.", |route| {
                Value::Microseconds(route.guest_microseconds)
            }),
            ("bls_serve_fuel_units_total", Counter, "Fuel that guests consumed.", |route| {
                Value::Count(route.fuel)
            }),
            ("bls_serve_received_bytes_total", Counter, "Bytes of requests' bodies.", |route| {
                Value::Count(route.received)
            }),
            ("bls_serve_sent_bytes_total", Counter, "Bytes of responses' bodies.", |route| {
                Value::Count(route.sent)
            }),
            ("bls_serve_peak_memory_bytes", Gauge, "The most memory of a guest.", |route| {
                Value::Count(route.peak_memory)
            }),
        ];
        let named = || self.routes.iter().filter(|route| !route.name.is_empty());
        let of = |(name, kind, help, value): (_, _, _, Of)| Family {
            name,
            kind,
            help,
            points: named()
                .map(|route| Point {
                    labels: vec![("route", route.name.as_str().into())],
                    value: value(route),
                })
                .collect(),
        };
        families.map(of).into()
    }

    /// What there is once.
    fn of_all(&self, now: &Now) -> Vec<Family<'_>> {
        use Kind::{Counter, Gauge};
        let families = [
            ("bls_serve_workers_lost_total", Counter, "Workers that ended.", self.workers_lost),
            (
                "bls_serve_log_lines_dropped_total",
                Counter,
                "Lines of the log that there was no room for.",
                now.log_dropped,
            ),
            ("bls_serve_workers", Gauge, "Workers that there are.", now.workers as u64),
            ("bls_serve_connections", Gauge, "Connections of clients.", now.connections as u64),
            (
                "bls_serve_active_requests",
                Gauge,
                "Requests that are not answered yet.",
                now.active as u64,
            ),
            (
                "bls_serve_waiting_requests",
                Gauge,
                "Those of them that wait for a worker.",
                now.waiting as u64,
            ),
        ];
        let of = |(name, kind, help, count)| Family {
            name,
            kind,
            help,
            points: vec![Point { labels: Vec::new(), value: Value::Count(count) }],
        };
        families.map(of).into()
    }

    /// The text that Prometheus reads.
    pub(crate) fn to_text(&self, now: &Now) -> String {
        let mut text = String::new();
        for family in self.families(now) {
            family.write(&mut text);
        }
        text
    }
}

/// What is counted under one name.
#[derive(Debug)]
pub(crate) struct Family<'a> {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    pub(crate) points: Vec<Point<'a>>,
}

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Point<'a> {
    pub(crate) labels: Vec<(&'static str, Cow<'a, str>)>,
    pub(crate) value: Value,
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Count(u64),
    /// Written as seconds.
    Microseconds(u64),
    /// How often a time was within each bound and above the one before, and all times together.
    Times {
        counts: [u64; BUCKETS.len() + 1],
        microseconds: u64,
    },
}

impl Family<'_> {
    fn write(&self, text: &mut String) {
        let Self { name, help, .. } = self;
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for point in &self.points {
            match point.value {
                Value::Count(count) => series(text, name, &point.labels, None, count),
                Value::Microseconds(time) => series(text, name, &point.labels, None, seconds(time)),
                Value::Times { counts, microseconds } => {
                    let mut sum = 0_u64;
                    let bounds = BUCKETS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
                    for (bound, count) in bounds.zip(counts) {
                        add(&mut sum, count);
                        series(text, &format!("{name}_bucket"), &point.labels, Some(bound), sum);
                    }
                    let all = seconds(microseconds);
                    series(text, &format!("{name}_sum"), &point.labels, None, all);
                    series(text, &format!("{name}_count"), &point.labels, None, sum);
                }
            }
        }
    }
}

fn seconds(microseconds: u64) -> String {
    format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000)
}

/// A line of the text.
fn series(
    text: &mut String,
    name: &str,
    labels: &[(&'static str, Cow<'_, str>)],
    bound: Option<&str>,
    value: impl std::fmt::Display,
) {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels = labels.iter().map(|(name, value)| (*name, value.as_ref()));
    let labels = labels.chain(bound.map(|bound| ("le", bound)));
    let labels: Vec<String> =
        labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let labels =
        if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _ = writeln!(text, "{name}{labels} {value}");
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
