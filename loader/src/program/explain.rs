//! Times the stages, and says what each did where `--explain` asks for it.
//!
//! Guarantees one line on stderr for each stage, and the same microseconds in the
//! report. Builds no text that nobody reads.

use crate::error::printable;
use crate::program::report::Recorder;
use crate::program::say;
use crate::verify::{Facts, Standing};
use std::time::Instant;

/// A stage of a command, as it is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Policy,
    Open,
    Verify,
    Grant,
    Map,
    Link,
    Broker,
    Confine,
    Run,
    Install,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Open => "open",
            Self::Verify => "verify",
            Self::Grant => "grant",
            Self::Map => "map",
            Self::Link => "link",
            Self::Broker => "broker",
            Self::Confine => "confine",
            Self::Run => "run",
            Self::Install => "install",
        }
    }
}

/// A watch with a button.
#[derive(Debug)]
pub(crate) struct Stages<'a> {
    recorder: &'a Recorder,
    explain: bool,
    began: Instant,
}

impl<'a> Stages<'a> {
    /// The first stage begins now.
    pub(crate) fn new(recorder: &'a Recorder, explain: bool) -> Self {
        Self { recorder, explain, began: Instant::now() }
    }

    /// Where facts are noted.
    pub(crate) fn recorder(&self) -> &'a Recorder {
        self.recorder
    }

    /// The stage that began last is over; the next begins.
    pub(crate) fn done(&mut self, stage: Stage, what: impl FnOnce() -> String) {
        // The time it takes to say it is no stage's.
        let microseconds = self.began.elapsed().as_micros() as u64;
        self.end(stage, microseconds, self.explain.then(what));
    }

    fn end(&mut self, stage: Stage, microseconds: u64, explained: Option<String>) {
        if let Some(what) = explained {
            let what = printable(&what);
            say(&format_args!("bls-load: {}: {what} ({microseconds} µs)", stage.name()));
        }
        self.recorder.stage_took(stage, microseconds);
        self.recorder.log_stage(stage.name(), microseconds);
        self.began = Instant::now();
    }
}

/// Which parts were passed over, and why; empty where there was nothing to choose.
pub(crate) fn passed_over(facts: &Facts) -> String {
    let parts = facts.manifest.parts.iter().zip(&facts.standings);
    let others = parts.filter(|(_, standing)| **standing != Standing::Chosen);
    let words: Vec<String> =
        others.map(|(part, standing)| format!("{} ({standing})", part.machine())).collect();
    if words.is_empty() { String::new() } else { format!(", passed over: {}", words.join(", ")) }
}
