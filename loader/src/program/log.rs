//! The log of runs: a line for each event, for whoever operates the machine.
//!
//! ```text
//! bls-load: run: name=app release=7 identity=sha256:2d33fe17… keys=566ce86f… fuel_limit=3000000
//! bls-load: ended: name=app identity=sha256:2d33fe17… outcome=exited exit_code=0 fuel=4247374 …
//! ```
//!
//! To standard error and to syslog as text, to a file or a descriptor as JSON
//! (`loader/log.schema.json`), to journald in its native protocol. What the events are is
//! `report/logged.rs`'s. Guarantees that everything is open before there is a guest and has no
//! number that a guest can use; that a line is at most [`LINE_BYTES_MAX`] bytes of plain
//! characters, and written at once; and that nobody is waited for long. Once the guest runs, a
//! line takes no system call that not every run has: sockets are connected before.

use crate::error::{Cause, Failure, StageError, printable};
use crate::program::deliver::write_within;
use crate::sys;
use bls_artifact::date::Date;
use bls_artifact::policy::{Log, LogLevel};
use bls_artifact::text::shortened;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::fmt;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest line, its end included: what a pipe takes at once.
#[cfg(test)]
const LINE_BYTES_MAX: usize = 4096;
/// The longest text in a line.
const TEXT_BYTES_MAX: usize = 512;
/// The longest text in a list, and the most that are listed.
const ITEM_BYTES_MAX: usize = 80;
const ITEMS_MAX: usize = 16;
/// So long a log may take that is behind with reading.
const PATIENCE: Duration = Duration::from_secs(1);
/// What syslog calls a daemon's news.
const FACILITY: u32 = 3 << 3;

/// A line could not be written there, or nothing is there.
#[derive(Debug)]
pub(super) struct LogError(pub(super) String, pub(super) std::io::Error);

impl fmt::Display for LogError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(place, error) = self;
        write!(formatter, "cannot log this run to {place}: {error}")
    }
}

impl StageError for LogError {
    const STAGE: &'static str = "log";

    fn code(&self) -> &'static str {
        "log.system"
    }

    fn hint(&self) -> Option<String> {
        Some(
            "see that the system's log runs, or that you may write there; --log stderr needs none"
                .into(),
        )
    }

    fn cause(&self) -> Cause {
        Cause::of_named_io(&self.1)
    }
}

/// What an event says: bounded, and of plain characters.
#[derive(Debug)]
enum Value {
    Text(String),
    Number(u64),
    List(Vec<String>),
}

/// Something that happened, with its fields in the order in which they were given.
#[derive(Debug)]
pub(crate) struct Event {
    level: LogLevel,
    name: &'static str,
    fields: Vec<(&'static str, Value)>,
}

impl Value {
    /// As it stands in a line of words.
    fn word(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::List(items) => items.join(","),
            Self::Text(text) if text.contains([' ', '"', '=']) => quoted(text),
            Self::Text(text) => text.clone(),
        }
    }

    fn json(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
                ["[", &items.join(","), "]"].concat()
            }
        }
    }
}

fn bounded(text: &str, bytes_max: usize) -> String {
    shortened(&printable(text), bytes_max).into_owned()
}

/// A text of plain characters as JSON writes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted + "\""
}

impl Event {
    pub(crate) fn new(level: LogLevel, name: &'static str) -> Self {
        Self { level, name, fields: Vec::new() }
    }

    /// How much it matters.
    pub(crate) fn level(&self) -> LogLevel {
        self.level
    }

    pub(crate) fn text(&mut self, name: &'static str, text: &str) {
        self.fields.push((name, Value::Text(bounded(text, TEXT_BYTES_MAX))));
    }

    /// A number, where it is known.
    pub(crate) fn number(&mut self, name: &'static str, number: Option<u64>) {
        if let Some(number) = number {
            self.fields.push((name, Value::Number(number)));
        }
    }

    /// The first of these, and how many more there are.
    pub(crate) fn list(&mut self, name: &'static str, all: Vec<String>) {
        let more = all.len().saturating_sub(ITEMS_MAX);
        let first = all.iter().take(ITEMS_MAX);
        let mut items: Vec<String> = first.map(|one| bounded(one, ITEM_BYTES_MAX)).collect();
        if more > 0 {
            items.push(format!("{more} more"));
        }
        self.fields.push((name, Value::List(items)));
    }

    /// In words, without a space in a value that is not quoted.
    fn words(&self) -> String {
        let mut text = [self.name, ":"].concat();
        for (key, value) in &self.fields {
            for piece in [" ", key, "=", &value.word()] {
                text += piece;
            }
        }
        text
    }

    fn json(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut text = String::from("{");
        let mut put = |between: &str, key: &str, value: &str| {
            for piece in [between, "\"", key, "\":", value] {
                text += piece;
            }
        };
        put("", "time", &quoted(&Date(now.as_secs()).to_string()));
        put(",", "level", &quoted(self.level.name()));
        put(",", "event", &quoted(self.name));
        put(",", "pid", &std::process::id().to_string());
        for (key, value) in &self.fields {
            put(",", key, &value.json());
        }
        text + "}\n"
    }

    /// As journald reads a datagram: a field a line. No value has the end of one in it.
    fn journald(&self) -> String {
        let mut text = String::new();
        let mut put = |before: &str, key: &str, value: &str| {
            for piece in [before, key, "=", value, "\n"] {
                text += piece;
            }
        };
        put("", "MESSAGE", &self.words());
        put("", "PRIORITY", &self.level.severity().to_string());
        put("", "SYSLOG_IDENTIFIER", "bls-load");
        put("BLS_", "EVENT", self.name);
        for (key, value) in &self.fields {
            let key = key.to_ascii_uppercase();
            match value {
                Value::Text(text) => put("BLS_", &key, text),
                other => put("BLS_", &key, &other.word()),
            }
        }
        text
    }
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Words,
    Syslog,
    Json,
    Journald,
}

/// Where lines go, open.
#[derive(Debug)]
pub(crate) struct Sink {
    place: Log,
    /// The last level that is wanted.
    least: LogLevel,
    to: OwnedFd,
    form: Form,
}

/// Opens each of these places once: with the level that takes more, where two are wanted.
pub(crate) fn open(places: &[(&Log, LogLevel)]) -> Result<Vec<Sink>, Failure> {
    let mut sinks: Vec<Sink> = Vec::new();
    for (place, level) in places {
        match sinks.iter_mut().find(|sink| sink.place == **place) {
            Some(sink) => sink.least = sink.least.max(*level),
            None => sinks.push(Sink::open(place, *level)?),
        }
    }
    Ok(sinks)
}

impl Sink {
    fn open(place: &Log, least: LogLevel) -> Result<Self, Failure> {
        let opened = match place {
            Log::Stderr => writable(2).map(|to| (to, Form::Words)),
            Log::Descriptor(number) => writable((*number).into()).map(|to| (to, Form::Json)),
            Log::Socket(path) => connected(path).map(|to| (to, Form::Syslog)),
            Log::Journald(path) => connected(path).map(|to| (to, Form::Journald)),
            Log::File(path) if is_socket(path) => connected(path).map(|to| (to, Form::Syslog)),
            Log::File(path) => appended(path).map(|to| (to, Form::Json)),
        };
        let (to, form) = opened.map_err(|error| failure(place, error))?;
        Ok(Self { place: place.clone(), least, to, form })
    }

    /// The descriptor that it needs.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.to.as_raw_fd()
    }

    /// Whether it takes events of this level.
    pub(crate) fn wants(&self, level: LogLevel) -> bool {
        level <= self.least
    }

    /// The line of an event, as it is written here.
    pub(crate) fn line(&self, event: &Event) -> String {
        match self.form {
            Form::Words => format!("bls-load: {}\n", event.words()),
            Form::Syslog => format!(
                "<{}>bls-load[{}]: {}",
                FACILITY | event.level.severity(),
                std::process::id(),
                event.words()
            ),
            Form::Json => event.json(),
            Form::Journald => event.journald(),
        }
    }

    /// Writes a line. Allocates only where that fails.
    pub(crate) fn write(&self, line: &str) -> Result<(), Failure> {
        write_within(self.to.as_fd(), line.as_bytes(), Some(PATIENCE))
            .map_err(|error| failure(&self.place, error))
    }
}

/// In one place for all, for it is seldom and its code is not short.
#[cold]
#[inline(never)]
fn failure(place: &Log, error: std::io::Error) -> Failure {
    LogError(place.to_string(), error).into()
}

fn is_socket(path: &str) -> bool {
    rustix::fs::stat(path)
        .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Socket)
}

/// A descriptor that came open, as one of ours.
fn writable(number: RawFd) -> std::io::Result<OwnedFd> {
    let to: OwnedFd = sys::descriptor::duplicate(number)?.into();
    match rustix::fs::fcntl_getfl(&to)? & OFlags::ACCMODE {
        OFlags::RDONLY => Err(Errno::BADF.into()),
        _ => Ok(to),
    }
}

/// A file that is added to, and that nobody but this user reads where it is made here. Whoever
/// reads a FIFO must be there.
fn appended(path: &str) -> std::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NONBLOCK;
    let flags = flags | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?)
}

/// A socket of datagrams that is connected, so that a plain write sends one.
fn connected(path: &str) -> std::io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(fill: impl FnOnce(&mut Event)) -> Event {
        let mut event = Event::new(LogLevel::Warn, "withheld");
        fill(&mut event);
        event
    }

    /// JSON of its own making is read by a real parser, whatever a text holds.
    #[test]
    fn a_line_of_json_says_what_the_event_does() {
        let text = "a \"b\"\\\n\u{1b}[0m\u{202e}ü";
        let event = event(|event| {
            event.text("name", text);
            event.number("fuel", Some(u64::MAX));
            event.number("signal", None);
            event.list("keys", vec!["x".to_owned(), text.to_owned()]);
        });
        let line = event.json();
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1, "{line}");
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["name"], "a \"b\"\\??[0m?ü");
        assert_eq!((&json["level"], &json["event"]), (&"warn".into(), &"withheld".into()));
        assert_eq!((&json["fuel"], &json["keys"][0]), (&u64::MAX.into(), &"x".into()));
        assert_eq!(json["pid"], std::process::id());
        assert!(json.get("signal").is_none(), "{line}");
        let words = event.words();
        let expected = "withheld: name=\"a \\\"b\\\"\\\\??[0m?ü\" fuel=1844";
        assert!(words.starts_with(expected), "{words}");
        let journald = event.journald();
        assert!(journald.contains("\nPRIORITY=4\nSYSLOG_IDENTIFIER=bls-load\n"), "{journald}");
        assert!(journald.contains("\nBLS_NAME=a \"b\"\\??[0m?ü\nBLS_FUEL=1844"), "{journald}");
    }

    #[test]
    fn no_line_is_longer_than_a_pipe_takes_at_once() {
        let long = "\"".repeat(5000);
        // Keys are sixteen at most, and 64 digits.
        let keys = vec!["f".repeat(64); 16];
        let texts = event(|event| ["a", "b"].into_iter().for_each(|name| event.text(name, &long)));
        let run = event(|event| {
            event.text("name", &long);
            event.list("keys", keys);
            ["a", "b", "c", "d"].into_iter().for_each(|name| event.number(name, Some(u64::MAX)));
        });
        let lists = event(|event| event.list("capabilities", vec![long.clone(); 100]));
        for event in [texts, run, lists] {
            for line in [event.json(), event.words(), event.journald()] {
                assert!(line.len() <= LINE_BYTES_MAX, "{}", line.len());
            }
        }
        let many = event(|event| event.list("a", vec!["x".to_owned(); 100]));
        assert!(many.words().ends_with(",x,84 more"), "{}", many.words());
    }
}
