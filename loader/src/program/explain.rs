//! Times the stages, and says what each did where `--explain` asks for it.
//!
//! Guarantees one line on stderr for each stage, and the same microseconds in the
//! report. Builds no text that nobody reads.

use crate::error::printable;
use crate::program::report::Recorder;
use crate::program::say;
use serde_json::{Map, Value};
use std::time::Instant;

/// A watch with a button.
#[derive(Debug)]
pub(crate) struct Stages<'a> {
    recorder: &'a Recorder,
    explain: bool,
    began: Instant,
    microseconds: Map<String, Value>,
}

impl<'a> Stages<'a> {
    /// The first stage begins now.
    pub(crate) fn new(recorder: &'a Recorder, explain: bool) -> Self {
        Self { recorder, explain, began: Instant::now(), microseconds: Map::new() }
    }

    /// Where facts are noted.
    pub(crate) fn recorder(&self) -> &'a Recorder {
        self.recorder
    }

    /// The stage that began last is over; the next begins.
    pub(crate) fn done(&mut self, stage: &str, what: impl FnOnce() -> String) {
        // The time it takes to say it is no stage's.
        let microseconds = self.began.elapsed().as_micros() as u64;
        self.end(stage, microseconds, self.explain.then(what));
    }

    fn end(&mut self, stage: &str, microseconds: u64, explained: Option<String>) {
        if let Some(what) = explained {
            let what = printable(&what);
            say(&format_args!("bls-load: {stage}: {what} ({microseconds} µs)"));
        }
        if self.recorder.is_on() {
            self.microseconds.insert(stage.to_owned(), microseconds.into());
            let all = &self.microseconds;
            self.recorder.set("microseconds", || Value::Object(all.clone()));
        }
        self.began = Instant::now();
    }
}
