//! A line of JSON for each request, written by a thread of its own: whoever reads the log slowly,
//! or not at all, holds up no request.
//!
//! Guarantees that a line is written whole, that texts of clients and guests are escaped to plain
//! characters, and that what there is no room for is counted ([`Log::dropped`]).

use bls_artifact::text::printable_json;
use serde::Serialize;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait to be written.
const WAITING: usize = 8192;
/// Bytes that are written at once.
const AT_ONCE: usize = 64 << 10;
/// How long lines are gathered, at most.
const PAUSE: Duration = Duration::from_millis(5);
/// Bytes of stack of the thread.
const STACK_BYTES: usize = 64 << 10;

/// How much a line matters, the least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// A request that was answered.
    #[default]
    Info,
    /// One that the server did not hand to a guest, by its client's fault.
    Warn,
    /// One that failed here: by its guest, or by the server.
    Error,
}

impl Level {
    pub(crate) const ALL: [(&str, Self); 3] =
        [("info", Self::Info), ("warn", Self::Warn), ("error", Self::Error)];

    /// Of a request with this status, which the server answered by itself or did not.
    pub(crate) fn of(status: u16, is_own: bool) -> Self {
        match (status, is_own) {
            (500.., _) => Self::Error,
            (_, true) => Self::Warn,
            (_, false) => Self::Info,
        }
    }
}

/// A request, and what became of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Line<'a> {
    /// When it was answered: UTC, to the second.
    pub(crate) time: String,
    pub(crate) level: Level,
    pub(crate) client: String,
    pub(crate) method: &'a str,
    /// The path as it came, without its query.
    pub(crate) path: &'a str,
    /// The route that it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<&'a str>,
    pub(crate) status: u16,
    /// Bytes of the bodies.
    pub(crate) received: usize,
    pub(crate) sent: usize,
    /// From the request's head to the response's.
    pub(crate) microseconds: u64,
    /// Why the server answered by itself, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guest: Option<GuestLine>,
}

/// What the guest did.
#[derive(Debug, Serialize)]
pub(crate) struct GuestLine {
    pub(crate) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<u32>,
    pub(crate) microseconds: u64,
    /// Units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fuel: Option<u64>,
    pub(crate) peak_memory: u64,
    /// The beginning of what it wrote there.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) stderr: String,
}

/// What the thread is told.
#[derive(Debug)]
enum Item {
    /// To write a line.
    Line(Vec<u8>),
    /// To say that all before this is written.
    Flush(SyncSender<()>),
}

/// Where lines go.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    sender: Option<SyncSender<Item>>,
    /// The least that is wanted.
    least: Level,
    dropped: Arc<AtomicU64>,
}

impl Log {
    /// Starts the thread, where there is a log.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(file: Option<File>, least: Level) -> std::io::Result<Self> {
        let dropped = Arc::default();
        let Some(file) = file else { return Ok(Self { sender: None, least, dropped }) };
        let (sender, receiver) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("bls-log".into()).stack_size(STACK_BYTES);
        let (said, heard) = sync_channel(1);
        let _ = thread.spawn(move || {
            let _ = said.send(());
            write(file, &receiver);
        })?;
        // What follows may forbid it what a thread begins with.
        let _ = heard.recv();
        Ok(Self { sender: Some(sender), least, dropped })
    }

    /// Whether anybody wants lines of this level.
    pub(crate) fn is_wanted(&self, level: Level) -> bool {
        self.sender.is_some() && level >= self.least
    }

    /// Has a line written.
    pub(crate) fn add(&self, line: &Line<'_>) {
        let Some(sender) = &self.sender else { return };
        let Ok(text) = serde_json::to_string(line) else { return };
        let mut bytes = printable_json(&text).into_owned().into_bytes();
        bytes.push(b'\n');
        if sender.try_send(Item::Line(bytes)).is_err() {
            let _ = self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all of it is written, at most for this time.
    pub(crate) fn flush(&self, time: Duration) {
        let (said, heard) = sync_channel(1);
        if let Some(sender) = &self.sender
            && sender.try_send(Item::Flush(said)).is_ok()
        {
            let _ = heard.recv_timeout(time);
        }
    }

    /// Lines that there was no room for.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn write(mut file: File, items: &Receiver<Item>) {
    while let Ok(first) = items.recv() {
        let (mut bytes, mut item) = (Vec::new(), Some(first));
        let mut flushed = None;
        while let Some(one) = item.take() {
            match one {
                Item::Line(line) => bytes.extend_from_slice(&line),
                Item::Flush(said) => flushed = Some(said),
            }
            if flushed.is_none() && bytes.len() < AT_ONCE {
                item = items.try_recv().ok();
            }
        }
        // A full disk is no reason to end: the lines are gone.
        let _ = file.write_all(&bytes);
        match flushed {
            Some(said) => drop(said.try_send(())),
            // Lines that come meanwhile wake nobody.
            None => std::thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_whatever_is_in_it() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let log = Log::start(Some(file.reopen().expect("a file")), Level::Info).expect("a thread");
        let guest = GuestLine {
            outcome: "trap",
            exit_code: None,
            microseconds: 3,
            fuel: None,
            peak_memory: 1,
            stderr: "a\nb\u{1b}[2J\u{202e}".into(),
        };
        log.add(&Line { path: "/\u{9b}x", status: 500, guest: Some(guest), ..Line::default() });
        log.add(&Line::default());
        let mut text = String::new();
        while text.lines().count() < 2 {
            std::thread::yield_now();
            text = std::fs::read_to_string(file.path()).expect("text");
        }
        let plain = |letter| letter == '\n' || bls_artifact::text::is_plain(letter);
        assert!(text.chars().all(plain), "{text:?}");
        let line: serde_json::Value =
            serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
        assert_eq!(line["guest"]["stderr"], "a\nb\u{1b}[2J\u{202e}");
        assert_eq!(log.dropped(), 0);
    }
}
