//! What a collector is sent, in OTLP's form of JSON (version 1): numbers of 64 bits are text, and
//! traces and spans are named in hexadecimal.
//!
//! Names of attributes are those of OpenTelemetry's conventions for HTTP; what is this program's
//! own begins with `bls.`. Guarantees that a span holds no query and no header, which may be
//! secret, and that a text is cut where it is long. Metrics have the names that Prometheus reads.

use super::trace::Context;
use crate::metrics::{BUCKETS, Family, Kind, Value as Counted};
use crate::wire::{Answer, How};
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Bytes of a text.
const TEXT_BYTES_MAX: usize = 1024;
/// A span is of a server.
const SERVER: u8 = 2;
/// A request failed, by the server or its guest.
const ERROR: u8 = 2;
/// Counters count from the beginning.
const CUMULATIVE: u8 = 2;
/// Whose words these are.
const SCOPE: Scope = Scope { name: "bls-serve", version: env!("CARGO_PKG_VERSION") };

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Debug, Serialize)]
struct Attribute<'a> {
    key: &'a str,
    value: Value<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Value<'a> {
    StringValue(Cow<'a, str>),
    IntValue(String),
}

/// Text, as long as it may be.
fn text(text: &str) -> Value<'_> {
    if text.len() <= TEXT_BYTES_MAX {
        return Value::StringValue(text.into());
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    Value::StringValue(format!("{}…", &text[..end]).into())
}

/// A number, as far as 63 bits go.
fn number(number: u64) -> Value<'static> {
    Value::IntValue(number.min(i64::MAX as u64).to_string())
}

/// As OpenTelemetry has it.
fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

fn nanoseconds(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().to_string()
}

/// What a span says of a request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) context: Context,
    pub(crate) method: &'a http::Method,
    pub(crate) path: &'a str,
    pub(crate) route: Option<&'a str>,
    pub(crate) version: http::Version,
    pub(crate) client: &'a str,
    pub(crate) server: (&'a str, u16),
    pub(crate) status: u16,
    /// When it was answered, and how long that took.
    pub(crate) end: SystemTime,
    pub(crate) time: Duration,
    /// Why the server answered by itself, in a word.
    pub(crate) refusal: Option<&'static str>,
    pub(crate) answer: Option<&'a Answer>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    flags: u32,
    name: String,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Attribute<'a>>,
    status: Status<'a>,
}

#[derive(Serialize)]
struct Status<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// The span of a request. `None` where it cannot be written, which does not happen.
pub(crate) fn span(request: &Request<'_>) -> Option<Box<RawValue>> {
    // Methods that everybody knows: those that clients make up would be names of spans.
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
    let method = request.method.as_str();
    let known = METHODS.contains(&method).then_some(method);
    let mut attributes = vec![
        Attribute { key: "http.request.method", value: text(known.unwrap_or("_OTHER")) },
        Attribute { key: "url.scheme", value: text("http") },
        Attribute { key: "url.path", value: text(request.path) },
        Attribute { key: "network.protocol.version", value: text(version(request.version)) },
        Attribute { key: "client.address", value: text(request.client) },
        Attribute { key: "server.address", value: text(request.server.0) },
        Attribute { key: "server.port", value: number(request.server.1.into()) },
        Attribute { key: "http.response.status_code", value: number(request.status.into()) },
    ];
    let mut add = |key, value| attributes.push(Attribute { key, value });
    if known.is_none() {
        add("http.request.method_original", text(method));
    }
    if let Some(route) = request.route {
        add("http.route", text(route));
    }
    let status = request.status.to_string();
    let is_error = request.status >= 500;
    if is_error {
        add("error.type", text(request.refusal.unwrap_or(&status)));
    }
    if let Some(answer) = request.answer {
        add("bls.outcome", text(answer.how.word()));
        if answer.how == How::Exited {
            add("bls.exit_code", number(answer.code.into()));
        }
        if let Some((units, _)) = answer.fuel {
            add("bls.fuel_units", number(units));
        }
        add("bls.guest_microseconds", number(answer.microseconds));
        add("bls.peak_memory_bytes", number(answer.memory));
    }
    let name = known.unwrap_or("HTTP");
    let span = Span {
        trace_id: request.context.trace(),
        span_id: request.context.span(),
        parent_span_id: request.context.parent(),
        flags: request.context.flags(),
        name: request.route.map_or_else(|| name.to_owned(), |route| format!("{name} {route}")),
        kind: SERVER,
        start_time_unix_nano: nanoseconds(
            request.end.checked_sub(request.time).unwrap_or(request.end),
        ),
        end_time_unix_nano: nanoseconds(request.end),
        attributes,
        status: Status {
            code: is_error.then_some(ERROR),
            message: request.refusal.filter(|_| is_error),
        },
    };
    serde_json::value::to_raw_value(&span).ok()
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: Vec<Attribute<'a>>,
}

fn resource(names: &BTreeMap<String, String>) -> Resource<'_> {
    let attributes = names.iter().map(|(key, value)| Attribute { key, value: text(value) });
    Resource { attributes: attributes.collect() }
}

/// The body for these spans.
pub(crate) fn traces(names: &BTreeMap<String, String>, spans: &[Box<RawValue>]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Traces<'a> {
        resource_spans: [ResourceSpans<'a>; 1],
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct ResourceSpans<'a> {
        resource: Resource<'a>,
        scope_spans: [ScopeSpans<'a>; 1],
    }
    #[derive(Serialize)]
    struct ScopeSpans<'a> {
        scope: Scope,
        spans: &'a [Box<RawValue>],
    }
    let scope_spans = [ScopeSpans { scope: SCOPE, spans }];
    let body =
        Traces { resource_spans: [ResourceSpans { resource: resource(names), scope_spans }] };
    serde_json::to_vec(&body).unwrap_or_default()
}

#[derive(Serialize)]
struct Metric<'a> {
    name: &'a str,
    description: &'a str,
    unit: &'a str,
    #[serde(flatten)]
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Data<'a> {
    #[serde(rename_all = "camelCase")]
    Sum { data_points: Vec<Point<'a>>, aggregation_temporality: u8, is_monotonic: bool },
    #[serde(rename_all = "camelCase")]
    Gauge { data_points: Vec<Point<'a>> },
    #[serde(rename_all = "camelCase")]
    Histogram { data_points: Vec<Point<'a>>, aggregation_temporality: u8 },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Point<'a> {
    attributes: Vec<Attribute<'a>>,
    start_time_unix_nano: &'a str,
    time_unix_nano: &'a str,
    #[serde(flatten)]
    value: PointValue,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum PointValue {
    Int { as_int: String },
    Double { as_double: f64 },
    Times { count: String, sum: f64, bucket_counts: Vec<String>, explicit_bounds: Vec<f64> },
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

fn value(counted: Counted) -> PointValue {
    match counted {
        Counted::Count(count) => PointValue::Int { as_int: count.min(i64::MAX as u64).to_string() },
        Counted::Microseconds(time) => PointValue::Double { as_double: seconds(time) },
        Counted::Times { counts, microseconds } => PointValue::Times {
            count: counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count)).to_string(),
            sum: seconds(microseconds),
            bucket_counts: counts.iter().map(ToString::to_string).collect(),
            explicit_bounds: BUCKETS.iter().map(|(bound, _)| seconds(*bound)).collect(),
        },
    }
}

/// What is counted in a unit that has a name there (UCUM).
fn unit(name: &str) -> &'static str {
    match name {
        name if name.contains("_seconds") => "s",
        name if name.contains("_bytes") => "By",
        _ => "1",
    }
}

fn metric<'a>(family: &'a Family<'_>, start: &'a str, now: &'a str) -> Metric<'a> {
    let points = family.points.iter().map(|point| {
        let labels = point.labels.iter();
        Point {
            attributes: labels.map(|(key, word)| Attribute { key, value: text(word) }).collect(),
            start_time_unix_nano: start,
            time_unix_nano: now,
            value: value(point.value),
        }
    });
    let data_points = points.collect();
    let aggregation_temporality = CUMULATIVE;
    let data = match family.kind {
        Kind::Counter => Data::Sum { data_points, aggregation_temporality, is_monotonic: true },
        Kind::Gauge => Data::Gauge { data_points },
        Kind::Histogram => Data::Histogram { data_points, aggregation_temporality },
    };
    Metric { name: family.name, description: family.help, unit: unit(family.name), data }
}

/// The body for metrics, which are counted since `start`.
pub(crate) fn metrics(
    names: &BTreeMap<String, String>,
    families: &[Family<'_>],
    start: SystemTime,
) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Metrics<'a> {
        resource_metrics: [ResourceMetrics<'a>; 1],
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct ResourceMetrics<'a> {
        resource: Resource<'a>,
        scope_metrics: [ScopeMetrics<'a>; 1],
    }
    #[derive(Serialize)]
    struct ScopeMetrics<'a> {
        scope: Scope,
        metrics: Vec<Metric<'a>>,
    }
    let (start, now) = (nanoseconds(start), nanoseconds(SystemTime::now()));
    // One of which there is nothing yet is none there.
    let families = families.iter().filter(|family| !family.points.is_empty());
    let metrics = families.map(|family| metric(family, &start, &now)).collect();
    let scope_metrics = [ScopeMetrics { scope: SCOPE, metrics }];
    let body = Metrics {
        resource_metrics: [ResourceMetrics { resource: resource(names), scope_metrics }],
    };
    serde_json::to_vec(&body).unwrap_or_default()
}
