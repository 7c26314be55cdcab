//! The side of the process that signs: makes the other one, reads its answers until they are
//! whole or its time is over, and judges them.

use super::wire::{self, Message, WireError};
use super::{Allowance, ChildError, Ending, Job, work};
use crate::audit::{Findings, audit};
use crate::compile::Image;
use crate::fuel_profile;
use crate::input::{Binary, Given, Unread, is_binary};
use crate::link::Modules;
use crate::pipeline::{
    Clock, Error, Front, Options, Stage, Unsigned, assemble_images, judge, one_module,
};
use crate::ready::of_another;
use crate::sys;
use bls_artifact::fuel::{MODEL, PLAN, cost_table};
use bls_artifact::manifest::Fuel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::io::{self, Read};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Bytes that a pipe holds, where the system lets it: one switch of processes for as many.
const PIPE_BYTES: usize = 1 << 20;
/// How long a process may take to end when it has closed its pipe.
const PATIENCE: Duration = Duration::from_secs(2);
/// The stack of the thread that audits.
const STACK_BYTES: usize = 8 << 20;
/// How often a stage can begin, or say how long it took.
const STAGES_MAX: usize = 64;

/// The other process, and what it was asked. It is gone when this is dropped.
#[derive(Debug)]
pub struct Child {
    process: Option<Pid>,
    /// Closed, or written to, once it is known whether it is to begin.
    go: OwnedFd,
    answers: Answers,
    /// How many bytes it may still send.
    room: u64,
    given: Given,
    job: Job,
    limits: Allowance,
    /// The last stage that began.
    stage: Stage,
    stages: usize,
    /// The binary modules, once they are there.
    modules: Option<Modules>,
}

/// The pipe from it, until its time is over.
#[derive(Debug)]
struct Answers {
    pipe: OwnedFd,
    begin: Instant,
    time: Duration,
}

impl Read for Answers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.time.saturating_sub(self.begin.elapsed());
            let mut polled = [PollFd::new(&self.pipe, PollFlags::IN)];
            let left = Timespec::try_from(left).ok();
            match poll(&mut polled, left.as_ref()) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            match rustix::io::read(&self.pipe, &mut *buffer) {
                Err(rustix::io::Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

impl Child {
    /// Makes the other process, which has these bytes, and waits for the call that says what
    /// for.
    ///
    /// # Errors
    /// [`ChildError::NoProcess`].
    pub fn start(given: Given, job: Job, limits: Allowance) -> Result<Self, ChildError> {
        let begin = Instant::now();
        let no = |error: rustix::io::Errno| ChildError::NoProcess(error.into());
        let (go_out, go) = pipe_with(PipeFlags::CLOEXEC).map_err(no)?;
        let (pipe, results) = pipe_with(PipeFlags::CLOEXEC).map_err(no)?;
        // A smaller one does the same, in more steps.
        let _ = fcntl_setpipe_size(&pipe, PIPE_BYTES);
        let threads = limits.threads.map_or_else(threads, NonZero::get);
        let parent = rustix::process::getpid();
        let process = match sys::fork().map_err(ChildError::NoProcess)? {
            Some(process) => process,
            None => {
                let task = work::Task { given: &given, job: &job, limits, threads };
                work::run(&task, parent, go_out, results);
            }
        };
        drop((go_out, results));
        Ok(Self {
            process: Some(process),
            go,
            answers: Answers { pipe, begin, time: limits.time },
            room: limits.memory,
            given,
            job,
            limits,
            stage: Stage::Input,
            stages: 0,
            modules: None,
        })
    }

    /// The modules, in binary: what the other process made of texts.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn read(&mut self) -> Result<&Modules, ChildError> {
        if self.modules.is_none() {
            let given = std::mem::replace(&mut self.given, Given::Several(Vec::new()));
            let mut read = Vec::new();
            for (name, Unread { bytes, label }) in given.all() {
                let one = match is_binary(bytes) {
                    true => Binary::new(bytes.clone(), label),
                    false => match self.next()? {
                        Message::Encoded(wasm) => Binary::encoded(bytes, label, wasm),
                        _ => return Err(out_of_turn()),
                    },
                };
                let one = one.and_then(|one| given.admit(one));
                read.push(one.map_err(|error| Error::of_input(name, error))?);
            }
            self.modules = Modules::of(&given, read);
        }
        self.modules.as_ref().ok_or_else(out_of_turn)
    }

    /// The module that several or a component become: as the other process says it, for nothing is signed.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn link(mut self) -> Result<Vec<u8>, ChildError> {
        let _ = self.read()?;
        self.go()?;
        let Message::Linked(wasm) = self.next()? else { return Err(out_of_turn()) };
        match self.next()? {
            Message::Done => Ok(wasm),
            _ => Err(out_of_turn()),
        }
    }

    /// The world of a component, as WIT: as the other process says it, for it is only shown.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn world(mut self) -> Result<String, ChildError> {
        let _ = self.read()?;
        self.go()?;
        let Message::World(text) = self.next()? else { return Err(out_of_turn()) };
        match self.next()? {
            Message::Done => Ok(text),
            _ => Err(out_of_turn()),
        }
    }

    /// Everything but the signature; `observe` is told of each stage when it begins.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn build(mut self, observe: &mut dyn FnMut(Stage)) -> Result<Unsigned, ChildError> {
        let Job::Build(options) = self.job.clone() else { return Err(out_of_turn()) };
        let name = options.artifact_name(self.read()?.name())?;
        let Made { front, images, tables, times } = self.made(&options, observe)?;
        let mut clock = Clock::new(observe);
        clock.times = times;
        Ok(assemble_images(name, front, images, tables, &options, &mut clock)?)
    }

    /// The module with its charges, audited; `observe` is told of each stage when it begins.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn front(mut self, observe: &mut dyn FnMut(Stage)) -> Result<Front, ChildError> {
        let Job::Front(options) = self.job.clone() else { return Err(out_of_turn()) };
        Ok(self.made(&options, observe)?.front)
    }

    /// What the audit of a metered module found out: as the other process says it, for
    /// nothing is made of it.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn examine(mut self) -> Result<Findings, ChildError> {
        let _ = self.read()?;
        self.go()?;
        let Message::Findings(found) = self.next()? else { return Err(out_of_turn()) };
        match self.next()? {
            Message::Done => Ok(found),
            _ => Err(out_of_turn()),
        }
    }

    /// What both processes make together.
    fn made(
        &mut self,
        options: &Options,
        observe: &mut dyn FnMut(Stage),
    ) -> Result<Made, ChildError> {
        let _ = self.read()?;
        let mut modules = self.modules.take();
        self.go()?;
        let mut judge = Judge::start(options);
        let (mut images, mut tables) = (Vec::new(), Vec::new());
        let mut times = Vec::new();
        let (mut is_ready, mut has_profile) = (false, false);
        loop {
            let wanted = options.machines.get(images.len());
            match self.next_observed(observe)? {
                // Not before: what the other process refuses does not come here.
                Message::Stage(Stage::Meter) if modules.is_some() => {
                    modules.take().into_iter().for_each(|all| judge.send(Piece::Modules(all)));
                }
                Message::Stage(_) => {}
                Message::Took(stage, time) if times.len() < STAGES_MAX => times.push((stage, time)),
                Message::Ready(claims, wasm) if modules.is_none() && !is_ready => {
                    is_ready = true;
                    judge.send(Piece::Ready(claims, wasm));
                }
                Message::Profile(wasm) if is_ready && options.fuel_profile && !has_profile => {
                    has_profile = true;
                    judge.send(Piece::Profile(wasm));
                }
                Message::Image(target, effort, bytes)
                    if matches!(self.job, Job::Build(_))
                        && wanted.is_some_and(|machine| machine.target() == target) =>
                {
                    let machine = &options.machines[images.len()];
                    let profile = options.profile(target);
                    let image = Image::new(machine, &profile, effort, bytes);
                    images.push(image.map_err(Error::Compile)?);
                }
                Message::Debug(table) if options.debug_file && tables.len() + 1 == images.len() => {
                    tables.push(table);
                }
                Message::Done => break,
                _ => return Err(out_of_turn()),
            }
            // What does not pass is not worth waiting for.
            judge.refused()?;
        }
        let wants = if matches!(self.job, Job::Build(_)) { options.machines.len() } else { 0 };
        let wants_tables = if options.debug_file { wants } else { 0 };
        let is_whole = images.len() == wants && tables.len() == wants_tables;
        if !is_ready || !is_whole || has_profile != options.fuel_profile {
            return Err(ChildError::Nonsense("it ended before all was there"));
        }
        // It has nothing more to do: what is left is this process's.
        self.end();
        let left = self.answers.time.saturating_sub(self.answers.begin.elapsed());
        let (front, time) = match judge.verdict(left) {
            Some(verdict) => verdict?,
            None => return Err(ChildError::Time(self.limits.time, Stage::Audit)),
        };
        if !times.iter().any(|(stage, _)| *stage == Stage::Audit) {
            let at = times.iter().position(|(stage, _)| *stage == Stage::Compile);
            times.insert(at.unwrap_or(times.len()), (Stage::Audit, time));
        }
        Ok(Made { front, images, tables, times })
    }

    /// Lets it begin.
    fn go(&mut self) -> Result<(), ChildError> {
        match rustix::io::retry_on_intr(|| rustix::io::write(&self.go, b"!")) {
            // What ended it is in its answers, or in how it ended.
            Ok(_) | Err(rustix::io::Errno::PIPE) => Ok(()),
            Err(error) => Err(ChildError::NoProcess(error.into())),
        }
    }

    /// Its next message that says more than how far it is.
    fn next(&mut self) -> Result<Message, ChildError> {
        loop {
            match self.next_observed(&mut |_| {})? {
                Message::Stage(_) => {}
                other => return Ok(other),
            }
        }
    }

    /// Its next message.
    fn next_observed(&mut self, observe: &mut dyn FnMut(Stage)) -> Result<Message, ChildError> {
        let error = match wire::read(&mut self.answers, &mut self.room) {
            Ok(Message::Refused(refusal)) => return Err(ChildError::Refused(Box::new(refusal))),
            Ok(Message::Panicked(what)) => return Err(ChildError::Panicked(what, self.stage)),
            Ok(Message::Stage(stage)) => {
                (self.stage, self.stages) = (stage, self.stages + 1);
                if self.stages > STAGES_MAX {
                    return Err(out_of_turn());
                }
                observe(stage);
                return Ok(Message::Stage(stage));
            }
            Ok(message) => return Ok(message),
            Err(error) => error,
        };
        Err(match error {
            WireError::Time => ChildError::Time(self.limits.time, self.stage),
            WireError::TooMuch => ChildError::Memory(self.limits.memory, self.stage),
            WireError::Nonsense(what) => ChildError::Nonsense(what),
            WireError::System(error) => ChildError::NoProcess(error),
            WireError::Ended => match self.ending() {
                Some(Ending::Code(sys::OUT_OF_MEMORY)) => {
                    ChildError::Memory(self.limits.memory, self.stage)
                }
                Some(ending) => ChildError::Crashed(ending, self.stage),
                None => ChildError::Nonsense("it closed its pipe and goes on"),
            },
        })
    }

    /// How it ended, when it has closed its pipe; `None` when it does not end.
    fn ending(&mut self) -> Option<Ending> {
        let process = self.process?;
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            match waitpid(Some(process), WaitOptions::NOHANG) {
                Ok(Some((_, status))) => {
                    self.process = None;
                    let signal = status.terminating_signal().map(Ending::Signal);
                    return signal.or(status.exit_status().map(Ending::Code));
                }
                Ok(None) => thread::sleep(Duration::from_millis(1)),
                Err(_) => break,
            }
        }
        None
    }

    /// Ends it, wherever it is.
    fn end(&mut self) {
        let Some(process) = self.process.take() else { return };
        let _ = kill_process(process, Signal::KILL);
        let _ = rustix::io::retry_on_intr(|| waitpid(Some(process), WaitOptions::empty()));
    }
}

/// What is said of an answer that was not asked for.
fn out_of_turn() -> ChildError {
    ChildError::Nonsense("a message out of turn")
}

/// How many threads generate code: as many as the variable of the threads' library says, which
/// the other process does not see, or as the system gives.
fn threads() -> usize {
    let wanted = std::env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.parse().ok());
    let system = || thread::available_parallelism().map_or(0, NonZero::get);
    wanted.filter(|count| *count > 0).unwrap_or_else(system)
}

/// What both processes have made.
struct Made {
    /// The module that passed in this one.
    front: Front,
    images: Vec<Image>,
    /// What a debug file says of each image, where one is wanted.
    tables: Vec<Vec<u8>>,
    times: Times,
}

/// How long each stage took, in order.
type Times = Vec<(Stage, Duration)>;

/// What is judged.
enum Piece {
    Modules(Modules),
    Ready(Option<(u64, u64)>, Vec<u8>),
    Profile(Vec<u8>),
}

/// A module that passed, and how long its audit took.
type Verdict = Result<(Front, Duration), ChildError>;

/// Judges what the other process makes, in a thread of its own while the other one goes on;
/// in this one, where the system gives no thread.
struct Judge {
    pieces: Sender<Piece>,
    waiting: Arc<Mutex<Receiver<Piece>>>,
    options: Options,
    thread: Option<(JoinHandle<()>, Receiver<Verdict>)>,
    verdict: Option<Verdict>,
}

impl Judge {
    fn start(options: &Options) -> Self {
        let (pieces, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let (sender, receiver) = channel();
        let (theirs, wanted) = (waiting.clone(), options.clone());
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            // Who does not wait any more has found another reason to refuse.
            let _ = sender.send(verdict(&theirs, &wanted));
        });
        let thread = thread.ok().map(|thread| (thread, receiver));
        Self { pieces, waiting, options: options.clone(), thread, verdict: None }
    }

    fn send(&self, piece: Piece) {
        // It is gone when it has refused.
        let _ = self.pieces.send(piece);
    }

    /// Whether it has refused already.
    fn refused(&mut self) -> Result<(), ChildError> {
        if let Some((_, receiver)) = &self.thread
            && self.verdict.is_none()
        {
            self.verdict = receiver.try_recv().ok();
        }
        match self.verdict.take_if(|verdict| verdict.is_err()) {
            Some(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// What it says of all that was sent; `None` when it does not within `time`.
    fn verdict(mut self, time: Duration) -> Option<Verdict> {
        // Nothing more comes.
        drop(self.pieces);
        if let Some(verdict) = self.verdict.take() {
            return Some(verdict);
        }
        let Some((thread, receiver)) = self.thread.take() else {
            return Some(verdict(&self.waiting, &self.options));
        };
        match receiver.recv_timeout(time) {
            Ok(verdict) => Some(verdict),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                // It has sent one before it ended.
                Ok(()) => None,
            },
        }
    }
}

/// The verdict on what comes.
fn verdict(pieces: &Mutex<Receiver<Piece>>, options: &Options) -> Verdict {
    const MISSING: ChildError = ChildError::Nonsense("it ended before all was there");
    let pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(Piece::Modules(modules)) = pieces.recv() else { return Err(MISSING) };
    // Linked here too: what is signed as made of these modules was.
    let source = one_module(modules, options, &mut Clock::new(&mut |_| {}))?;
    let (validated, description) = judge(source, options, &mut Clock::new(&mut |_| {}))?;
    let Ok(Piece::Ready(claims, wasm)) = pieces.recv() else { return Err(MISSING) };
    if claims.is_some() != options.metered {
        return Err(ChildError::Nonsense("a module that is metered otherwise"));
    }
    let fuel = claims.map(|(overrun_max, instantiation)| Fuel {
        model: MODEL.to_owned(),
        plan: PLAN,
        cost_table: cost_table(),
        overrun_max,
        instantiation,
    });
    let begin = Instant::now();
    let ready = of_another(&validated, wasm, fuel).map_err(Error::Meter)?;
    let mut audited = audit(&validated, ready).map_err(Error::Audit)?;
    if options.fuel_profile {
        let Ok(Piece::Profile(wasm)) = pieces.recv() else { return Err(MISSING) };
        audited = fuel_profile::of_another(audited, wasm, validated.features())
            .map_err(Error::Profile)?;
    }
    Ok((Front { validated, description, audited }, begin.elapsed()))
}
