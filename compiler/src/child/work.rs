//! What the process that compiles does: the stages up to the code, each result into the pipe.
//!
//! May assume nothing about the module. Ends when it has answered, when nobody waits for an
//! answer any more, or by its limits; what it finds out is said in [`super::wire`]'s messages,
//! and nowhere else.

use super::{Allowance, Job, Refusal, wall, wire};
use crate::audit::{audit, examine};
use crate::compile::{CompileError, How, generate};
use crate::debug::Traces;
use crate::fuel_profile::fuel_profile;
use crate::input::{Binary, Given, InputError, Unread, is_binary};
use crate::link::Modules;
use crate::pipeline::{Clock, Error, Options, Stage, judge, needs_of, one_module};
use crate::ready::ready;
use crate::sys;
use crate::world::wit;
use rustix::process::Pid;
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

/// What is to be done, and by what means.
pub(super) struct Task<'a> {
    pub(super) given: &'a Given,
    pub(super) job: &'a Job,
    pub(super) limits: Allowance,
    /// How many threads generate code.
    pub(super) threads: usize,
}

/// One of the two pipes, by its descriptor.
struct Pipe;

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(rustix::stdio::stdin(), &mut *buffer))?)
    }
}

impl Write for Pipe {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(rustix::stdio::stdout(), buffer))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why there is no result.
enum Stop {
    /// The module is refused.
    Refused(Box<Refusal>),
    /// Nobody waits for it.
    Nobody,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(Box::new(error.into()))
    }
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Nobody
    }
}

/// Does it, and ends this process.
pub(super) fn run(task: &Task<'_>, parent: Pid, go: OwnedFd, results: OwnedFd) -> ! {
    wall::end_with(parent);
    wall::raise(go, results, task.limits);
    sys::end_without_memory();
    // By whichever thread: the first that panics says so, and it is the end of all.
    std::panic::set_hook(Box::new(|panic| {
        let _ = wire::panicked(&mut Pipe, &panic.to_string());
        sys::exit_now(1);
    }));
    let ended = match work(task) {
        Err(Stop::Refused(refusal)) => wire::refused(&mut Pipe, &refusal).map_err(Stop::from),
        other => other,
    };
    let ended = ended.and_then(|()| Ok(wire::done(&mut Pipe)?));
    sys::exit_now(i32::from(ended.is_err()));
}

fn work(task: &Task<'_>) -> Result<(), Stop> {
    wire::stage(&mut Pipe, Stage::Input)?;
    let mut read = Vec::new();
    for (name, Unread { bytes, label }) in task.given.all() {
        let one = Binary::new(bytes.clone(), label).and_then(|one| task.given.admit(one));
        let one = one.map_err(|error| Error::of_input(name, error))?;
        if !is_binary(bytes) {
            wire::encoded(&mut Pipe, one.wasm())?;
        }
        read.push(one);
    }
    let modules = Modules::of(task.given, read).ok_or(Stop::Nobody)?;
    // The other process reads keys, and looks whether there is anything to do.
    if Pipe.read(&mut [0])? == 0 {
        return Err(Stop::Nobody);
    }
    match task.job {
        Job::Build(options) => stages(modules, options, Some(task.threads)),
        Job::Front(options) => stages(modules, options, None),
        Job::Link(options) => {
            wire::stage(&mut Pipe, Stage::Link)?;
            let linked = one_module(modules, options, &mut Clock::new(&mut |_| {}))?;
            let (validated, _) = judge(linked, options, &mut Clock::new(&mut |_| {}))?;
            Ok(wire::linked(&mut Pipe, validated.bytes())?)
        }
        Job::World => match modules {
            Modules::Component(component) => match wit(component.wasm()) {
                Ok(text) => Ok(wire::world(&mut Pipe, &text)?),
                Err(error) => Err(Stop::Refused(Box::new(error.into()))),
            },
            Modules::One(_) => Err(Error::Input(InputError::Module).into()),
            Modules::Several(_) | Modules::Plugged(_) => Err(Stop::Nobody),
        },
        Job::Examine(features) => {
            wire::stage(&mut Pipe, Stage::Audit)?;
            let source = match modules {
                Modules::One(source) => source,
                Modules::Component(_) => return Err(Error::Input(InputError::Component).into()),
                Modules::Several(_) | Modules::Plugged(_) => return Err(Stop::Nobody),
            };
            match examine(source.wasm(), *features) {
                Ok(found) => Ok(wire::findings(&mut Pipe, &found)?),
                Err(error) => Err(Stop::Refused(Box::new(error.into()))),
            }
        }
    }
}

/// Everything up to the module with its charges; and the images, by so many threads.
fn stages(modules: Modules, options: &Options, threads: Option<usize>) -> Result<(), Stop> {
    let unheard = RefCell::new(false);
    let mut observe = |stage| {
        *unheard.borrow_mut() |= wire::stage(&mut Pipe, stage).is_err();
    };
    let mut clock = Clock::new(&mut observe);
    let source = one_module(modules, options, &mut clock)?;
    let (validated, description) = judge(source, options, &mut clock)?;
    let metered =
        clock.run(Stage::Meter, || ready(&validated, options.metered).map_err(Error::Meter))?;
    let claims = metered.fuel().map(|fuel| (fuel.overrun_max, fuel.instantiation));
    wire::ready(&mut Pipe, claims, metered.wasm())?;
    let (joining, mut audited) = (validated.joining(), None);
    let metered = if options.fuel_profile {
        // Counters stand in what was audited, and nowhere else.
        let passed = audit(&validated, metered).map_err(Error::Audit)?;
        let features = validated.features();
        let passed =
            clock.run(Stage::Profile, || fuel_profile(passed, features).map_err(Error::Profile))?;
        wire::profile(&mut Pipe, passed.wasm())?;
        audited = Some(passed);
        None
    } else {
        Some(metered)
    };
    needs_of(options, &description)?;
    // A source is of no more use but to a debug file.
    let validated = options.debug_file.then_some(validated);
    let wasm = audited.as_ref().map(|passed| passed.wasm());
    let wasm = wasm.or(metered.as_ref().map(|metered| metered.wasm())).unwrap_or_default();
    let ready = audited.as_ref().map_or(wasm, |passed| passed.without_profile());
    if let Some(threads) = threads {
        clock.run(Stage::Compile, || {
            let no_debug = |what| Error::Compile(CompileError::Debug(what));
            let traces = validated.as_ref().map(|validated| {
                Traces::of(validated.source(), options.metered, ready, wasm).map_err(no_debug)
            });
            let traces = traces.transpose()?;
            let how = How { threads, addresses: traces.is_some() };
            for machine in &options.machines {
                let profile = options.profile(machine.target());
                let made = generate(wasm, joining, machine, &profile, how);
                let (image, addresses) = made.map_err(Error::Compile)?;
                let said = wire::image(&mut Pipe, machine.target(), image.effort(), image.bytes());
                if said.is_err() {
                    sys::exit_now(1);
                }
                if let Some((traces, addresses)) = traces.as_ref().zip(addresses) {
                    let table = traces.table(&addresses).map_err(no_debug)?;
                    if wire::debug(&mut Pipe, &table).is_err() {
                        sys::exit_now(1);
                    }
                }
            }
            Ok(())
        })?;
    }
    for (stage, time) in clock.times {
        wire::took(&mut Pipe, stage, time)?;
    }
    if *unheard.borrow() { Err(Stop::Nobody) } else { Ok(()) }
}
