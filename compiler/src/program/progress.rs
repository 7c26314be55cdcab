//! A progress line for what takes longer than half a second.
//!
//! Drawn on standard error, only when that is a terminal, and gone when the work
//! is done. The code generator does not say how far it is, and takes nearly all of the time:
//! so the line shows the stage and the time, and no bar that would stand still. Changes nothing of the result.

use crate::pipeline::Stage;
use bls_artifact::text::printable_name;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the work may take before a line appears.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the line is drawn again.
const TICK: Duration = Duration::from_millis(100);

/// A progress line, perhaps not drawn yet.
#[derive(Debug, Default)]
pub struct Progress {
    drawer: Option<(Sender<Stage>, JoinHandle<()>)>,
}

impl Progress {
    /// A line that appears when the work takes long. `wanted` false: never.
    #[must_use]
    pub fn start(name: &str, wanted: bool) -> Self {
        if !wanted || !std::io::stderr().is_terminal() {
            return Self::default();
        }
        let (sender, receiver) = channel();
        let name = name.to_owned();
        let thread = std::thread::Builder::new().spawn(move || draw(&name, &receiver));
        Self { drawer: thread.ok().map(|thread| (sender, thread)) }
    }

    /// Says which stage has begun.
    pub fn stage(&self, stage: Stage) {
        if let Some((sender, _)) = &self.drawer {
            // A drawer that is gone draws nothing: no reason to stop the work.
            let _ = sender.send(stage);
        }
    }
}

impl Drop for Progress {
    /// Takes the line away.
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.drawer.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}

/// Waits for [`PATIENCE`], then draws until the sender is gone.
fn draw(name: &str, stages: &Receiver<Stage>) {
    let begin = Instant::now();
    let mut stage = Stage::Input;
    loop {
        let left = PATIENCE.saturating_sub(begin.elapsed());
        match stages.recv_timeout(left) {
            Ok(next) => stage = next,
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_prefix(printable_name(name));
    let bar = bar.with_elapsed(begin.elapsed());
    loop {
        bar.set_message(stage.name());
        bar.tick();
        match stages.recv_timeout(TICK) {
            Ok(next) => stage = next,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    bar.finish_and_clear();
}
