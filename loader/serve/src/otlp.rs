//! OpenTelemetry: a span for each request, and the metrics, sent to a collector (OTLP over HTTP, in
//! its form of JSON).
//!
//! | file | what |
//! |---|---|
//! | `otlp` | what is asked for, by the command line and by OpenTelemetry's variables |
//! | `otlp/trace` | whose trace a request belongs to (W3C Trace Context), and its span |
//! | `otlp/form` | what is sent |
//! | `otlp/exporter` | the process that sends it, and has nothing else to do |
//! | `otlp/wall` | what that process gives up |
//!
//! The front gathers (`front/telemetry.rs`) and hands whole bodies to the exporter, for it cannot
//! make a connection itself. Guarantees of a variable that makes no sense that it is said, and
//! overlooked. Spoken is HTTP without TLS: a collector stands on the same machine, or behind one
//! that does.

pub(crate) mod exporter;
pub(crate) mod form;
pub(crate) mod trace;
mod wall;

use crate::{Defect, Failure};
use bls_artifact::net::{Scheme, Url};
use http::header::{HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The word that turns it off, whatever the variables say.
const OFF: &str = "none";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Otlp {
    /// The collector: `/v1/traces` and `/v1/metrics` are below its path.
    pub(crate) collector: Url,
    /// What it is told beside: who asks, for one.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Who says it, by name.
    pub(crate) resource: BTreeMap<String, String>,
    /// How long a span waits for others.
    pub(crate) delay: Duration,
    /// Spans that wait, at most.
    pub(crate) queue: usize,
    /// Spans that are sent at once, at most.
    pub(crate) batch: usize,
    /// How often metrics are sent.
    pub(crate) interval: Duration,
    /// How long the collector may take, trying again included.
    pub(crate) time: Duration,
}

/// The value of a variable, by its name.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Otlp {
    /// What the command line and the variables say; `None` where nothing is to be sent. What of
    /// the variables makes no sense is told to `warn`.
    ///
    /// # Errors
    /// The place makes no sense, or TLS is asked for.
    pub(crate) fn of(
        word: Option<&str>,
        variable: Variable<'_>,
        warn: &mut dyn FnMut(String),
    ) -> Result<Option<Self>, Failure> {
        const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let is_off =
            set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let (said_by, place) = match (word, set(ENDPOINT)) {
            (Some(OFF), _) => return Ok(None),
            (Some(word), _) => ("--otlp", word.to_owned()),
            (None, Some(value)) if !is_off => (ENDPOINT, value),
            (None, _) => return Ok(None),
        };
        let collector = collector(said_by, &place)?;
        let mut own = Self {
            collector,
            headers: Vec::new(),
            resource: resource(&set, warn),
            delay: Duration::from_secs(5),
            queue: 2048,
            batch: 512,
            interval: Duration::from_secs(60),
            time: Duration::from_secs(10),
        };
        const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
        for (name, value) in pairs(HEADERS, &set, warn) {
            match (name.parse(), HeaderValue::from_str(&value)) {
                (Ok(name), Ok(mut value)) => {
                    value.set_sensitive(true);
                    own.headers.push((name, value));
                }
                _ => warn(format!("{HEADERS} has a header that is none, which is left out")),
            }
        }
        let mut number = |name: &str, most: u64| -> Option<u64> {
            let value = set(name)?;
            let number = value.trim().parse().ok().filter(|number| (1..=most).contains(number));
            if number.is_none() {
                warn(format!("{name} is no number from 1 to {most}, and is overlooked"));
            }
            number
        };
        /// A day, in milliseconds.
        const LONGEST: u64 = 86_400_000;
        const SPANS_MAX: u64 = 65_536;
        for (name, time) in [
            ("OTEL_BSP_SCHEDULE_DELAY", &mut own.delay),
            ("OTEL_METRIC_EXPORT_INTERVAL", &mut own.interval),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", &mut own.time),
        ] {
            *time = number(name, LONGEST).map_or(*time, Duration::from_millis);
        }
        for (name, count) in [
            ("OTEL_BSP_MAX_QUEUE_SIZE", &mut own.queue),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &mut own.batch),
        ] {
            *count = number(name, SPANS_MAX).map_or(*count, |number| number as usize);
        }
        Ok(Some(own))
    }

    /// The path of what is sent, below the collector's own.
    pub(crate) fn path(&self, what: What) -> String {
        format!("{}/v1/{what}", self.collector.path.trim_end_matches('/'))
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
}

impl fmt::Display for What {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        })
    }
}

/// Where the collector is.
fn collector(said_by: &str, place: &str) -> Result<Url, Failure> {
    const HINT: &str =
        "name the place of a collector for OTLP over HTTP: --otlp http://127.0.0.1:4318";
    let wrong = |why: &dyn fmt::Display, hint: &str| {
        Failure::new(Defect::Usage, format!("{said_by}: {why}"), hint)
    };
    let url = Url::parse(place).map_err(|error| wrong(&error, HINT))?;
    if url.scheme == Scheme::Https {
        const TLS: &str = "have a collector on this machine take it, and send it on: --otlp http://127.0.0.1:4318; --otlp none turns it off";
        return Err(wrong(&"TLS is not spoken with collectors", TLS));
    }
    if url.query.is_some() {
        return Err(wrong(&"the URL has a query", HINT));
    }
    Ok(url)
}

/// Who says it.
fn resource(set: Variable<'_>, warn: &mut dyn FnMut(String)) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        pairs("OTEL_RESOURCE_ATTRIBUTES", set, warn).into_iter().collect();
    let name = set("OTEL_SERVICE_NAME").or_else(|| all.remove("service.name"));
    let _ = all.insert("service.name".into(), name.unwrap_or_else(|| "bls-serve".into()));
    let mut otherwise = |name: &str, value: String| {
        let _ = all.entry(name.to_owned()).or_insert(value);
    };
    otherwise("service.version", env!("CARGO_PKG_VERSION").to_owned());
    // So that the counters of several that have one name are told apart.
    if let Some([one, other]) = trace::random() {
        otherwise("service.instance.id", format!("{one:016x}{other:016x}"));
    }
    all
}

/// What a variable lists as `NAME=VALUE`, with commas between; values are encoded as in a URL.
fn pairs(variable: &str, set: Variable<'_>, warn: &mut dyn FnMut(String)) -> Vec<(String, String)> {
    let text = set(variable).unwrap_or_default();
    let mut all = Vec::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let read = pair.split_once('=').and_then(|(name, value)| {
            let name = name.trim();
            Some((name, plain(value.trim())?)).filter(|_| !name.is_empty())
        });
        match read {
            Some((name, value)) => all.push((name.to_owned(), value)),
            None => {
                warn(format!("{variable} has something that is not NAME=VALUE, which is left out"))
            }
        }
    }
    all
}

/// Text without its encoding; `None` where it is none.
fn plain(text: &str) -> Option<String> {
    let (mut plain, mut bytes) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                (high << 4 | low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a word and variables, and what is warned of.
    fn of(
        word: Option<&str>,
        variables: &[(&str, &str)],
    ) -> (Result<Option<Otlp>, String>, Vec<String>) {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let mut warnings = Vec::new();
        let read = Otlp::of(word, &variable, &mut |warning| warnings.push(warning));
        (read.map_err(|failure| failure.what), warnings)
    }

    #[test]
    fn variables_are_as_opentelemetry_has_them() {
        let (read, warnings) = of(
            None,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1]:4318/otel/"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x, x-a = 1"),
                ("OTEL_SERVICE_NAME", "shop"),
                ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,zone=a%2Cb,service.instance.id=7"),
                ("OTEL_BSP_SCHEDULE_DELAY", "20"),
                ("OTEL_BSP_MAX_QUEUE_SIZE", "7"),
                ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", ""),
            ],
        );
        let otlp = read.unwrap().expect("something is sent");
        assert_eq!(otlp.path(What::Traces), "/otel/v1/traces");
        assert_eq!(otlp.collector.authority(), "[::1]:4318");
        let headers: Vec<(&str, &str)> = otlp
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(headers, [("authorization", "Bearer x"), ("x-a", "1")]);
        let resource: Vec<(&str, &str)> =
            otlp.resource.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            resource,
            [
                ("service.instance.id", "7"),
                ("service.name", "shop"),
                ("service.version", version),
                ("zone", "a,b"),
            ]
        );
        assert_eq!((otlp.delay, otlp.queue), (Duration::from_millis(20), 7));
        assert_eq!((otlp.interval, otlp.time), (Duration::from_secs(60), Duration::from_secs(10)));
        assert_eq!(
            warnings,
            ["OTEL_METRIC_EXPORT_INTERVAL is no number from 1 to 86400000, and is overlooked"]
        );
    }

    #[test]
    fn the_command_line_wins() {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "https://elsewhere")];
        assert!(of(None, &[]).0.unwrap().is_none());
        assert!(of(Some("none"), &variables).0.unwrap().is_none());
        let disabled = [variables[0], ("OTEL_SDK_DISABLED", "TRUE")];
        assert!(of(None, &disabled).0.unwrap().is_none());
        let here = of(Some("http://localhost:4318"), &variables).0.unwrap().expect("here");
        assert_eq!(here.path(What::Metrics), "/v1/metrics");
        assert_eq!(here.resource["service.name"], "bls-serve");
        assert_eq!(here.resource["service.instance.id"].len(), 32);
        for (word, says) in [
            (None, "OTEL_EXPORTER_OTLP_ENDPOINT: TLS is not spoken"),
            (Some("https://x"), "--otlp: TLS is not spoken"),
            (Some("localhost:4318"), "does not begin with http://"),
            (Some("http://x/?a"), "query"),
        ] {
            let said = of(word, &variables).0.unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn what_makes_no_sense_in_a_variable_is_said() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c,d=%0a,=e,f,g=%zz,ok=1"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1"),
        ];
        let (read, warnings) = of(Some("http://x"), &variables);
        let otlp = read.unwrap().expect("something is sent");
        assert_eq!((otlp.headers.len(), otlp.batch, warnings.len()), (1, 512, 6), "{warnings:?}");
    }
}
