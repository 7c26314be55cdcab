//! The runner: what a guest gets and may use up; and what runs it.

use crate::border::{Slot, answer, given, make, text, words};
use crate::ended::bls_ended;
use crate::error::{Refusal, bls_error};
use crate::instance::{bls_cancel, bls_instance};
use crate::load::bls_verified;
use crate::pool::bls_pool;
use crate::value::{bls_value, values};
use bls_loader::bls_artifact::capability::Capability;
use bls_loader::{Access, Runner};
use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::Duration;

/// Asks for what a guest gets, and runs it. Without more, a guest gets no arguments, variables
/// or folders; its input is empty, its output is discarded, and its memory is limited to 4 GiB
/// and no fuel or time. A policy may say less. Free it with bls_runner_free.
#[derive(Debug)]
pub struct bls_runner(Slot<Runner>);

impl bls_runner {
    pub(crate) fn new(runner: Runner) -> Self {
        Self(Slot::new("the runner", runner))
    }
}

/// Changes what a runner asks for.
pub(crate) fn ask(
    runner: Option<&bls_runner>,
    change: impl FnOnce(Runner) -> Runner,
) -> Result<(), Refusal> {
    given(runner, "the runner")?.0.change(|runner| Ok(change(runner)))
}

/// Makes a runner of an artifact, and uses the artifact up.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_new(
    verified: Option<&bls_verified>,
    made: Option<&mut MaybeUninit<Option<Box<bls_runner>>>>,
) -> Option<Box<bls_error>> {
    make(made, || {
        let verified = given(verified, "the artifact")?.verified.take()?;
        Ok(bls_runner::new(Runner::new(verified)))
    })
}

/// One more argument. Argument 0 is there: the artifact's name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_runner_arg(
    runner: Option<&bls_runner>,
    word: *const c_char,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for a text.
        let word = unsafe { words(word, "the argument") }?;
        ask(runner, |runner| runner.arg(word))
    })
}

/// Another argument 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_runner_arg0(
    runner: Option<&bls_runner>,
    word: *const c_char,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for a text.
        let word = unsafe { words(word, "the argument") }?;
        ask(runner, |runner| runner.arg0(word))
    })
}

/// A variable of its environment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_runner_env(
    runner: Option<&bls_runner>,
    name: *const c_char,
    value: *const c_char,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for a text.
        let name = unsafe { words(name, "the name") }?;
        // SAFETY: bls.h asks for a text.
        let value = unsafe { words(value, "the value") }?;
        ask(runner, |runner| runner.env(name, value))
    })
}

/// A folder of this machine, what the guest calls it, and whether the guest may change what is
/// in it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_runner_folder(
    runner: Option<&bls_runner>,
    host: *const c_char,
    guest: *const c_char,
    may_write: bool,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for a text.
        let host = unsafe { words(host, "the folder") }?;
        // SAFETY: bls.h asks for a text.
        let guest = unsafe { words(guest, "the guest's name") }?;
        let access = if may_write { Access::Write } else { Access::Read };
        ask(runner, |runner| runner.folder(Path::new(host), guest, access))
    })
}

/// At most this many units of fuel. An artifact that is not metered is refused when it is run.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_fuel(
    runner: Option<&bls_runner>,
    units: u64,
) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.fuel(units)))
}

/// At most this many milliseconds, for the run or for each call. A trap of a guest that has a
/// limit on time does not say who called whom.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_timeout(
    runner: Option<&bls_runner>,
    milliseconds: u64,
) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.timeout(Duration::from_millis(milliseconds))))
}

/// At most this many bytes of memories, tables and objects together.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_memory(
    runner: Option<&bls_runner>,
    bytes: u64,
) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.memory(bytes)))
}

/// At most this many bytes of stack.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_stack(
    runner: Option<&bls_runner>,
    bytes: u64,
) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.stack(bytes)))
}

/// At most this many bytes written, and made a disk hold.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_output(
    runner: Option<&bls_runner>,
    bytes: u64,
) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.output(bytes)))
}

/// At most this many descriptors, granted ones included.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_descriptors(
    runner: Option<&bls_runner>,
    count: u32,
) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.descriptors(count)))
}

/// Keeps back something that is granted by default: arguments, stdin, stdout, stderr,
/// clock.wall, clock.monotonic or random.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_runner_deny(
    runner: Option<&bls_runner>,
    capability: *const c_char,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for a text.
        let word = unsafe { text(capability, "the capability") }?;
        let denied = Capability::from_name(word).filter(|denied| denied.is_default());
        let denied = denied.ok_or_else(|| Refusal::Word(word.to_owned()))?;
        ask(runner, |runner| runner.deny(denied))
    })
}

/// Rules in the place of clocks and chance: the same run each time. The artifact must be one
/// that computes the same on every machine.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_deterministic(
    runner: Option<&bls_runner>,
    seed: u64,
    epoch_seconds: u64,
) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.deterministic(seed, epoch_seconds)))
}

/// Calls this export in the place of the one that is called by default, with these arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_runner_invoke(
    runner: Option<&bls_runner>,
    export_name: *const c_char,
    arguments: *const bls_value,
    count: usize,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for a text.
        let export = unsafe { text(export_name, "the export") }?;
        // SAFETY: bls.h asks for that many values.
        let arguments = unsafe { values(arguments, count, "the arguments") }?;
        ask(runner, |runner| runner.invoke(export, arguments))
    })
}

/// Lets imports that nobody defines trap when they are called.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_unknown_imports_trap(
    runner: Option<&bls_runner>,
) -> Option<Box<bls_error>> {
    answer(|| ask(runner, Runner::unknown_imports_trap))
}

/// Makes what stops the guest from another thread.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_cancel(
    runner: Option<&bls_runner>,
    made: Option<&mut MaybeUninit<Option<Box<bls_cancel>>>>,
) -> Option<Box<bls_error>> {
    make(made, || {
        let slot = &given(runner, "the runner")?.0;
        slot.with(|runner| Ok(bls_cancel::new(runner.cancel())))
    })
}

/// Runs the guest to its end, and uses the runner up. An error says that it could not be run;
/// what the guest did, a trap too, is in the run.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_run(
    runner: Option<&bls_runner>,
    made: Option<&mut MaybeUninit<Option<Box<bls_ended>>>>,
) -> Option<Box<bls_error>> {
    make(made, || Ok(given(runner, "the runner")?.0.take()?.run()?.into()))
}

/// Makes a guest to be called, and uses the runner up: runs its start function and, if it has
/// one, _initialize. Where it ended in these, the error is run.ended.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_instantiate(
    runner: Option<&bls_runner>,
    made: Option<&mut MaybeUninit<Option<Box<bls_instance>>>>,
) -> Option<Box<bls_error>> {
    make(made, || {
        let runner = given(runner, "the runner")?.0.take()?;
        Ok(bls_instance::new(runner.instantiate()?))
    })
}

/// Makes room for so many guests at once, each of which gets what was asked for here, and uses
/// the runner up. With a limit on time, or after bls_runner_cancel, its guests can be stopped.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_pool(
    runner: Option<&bls_runner>,
    guests: u32,
    made: Option<&mut MaybeUninit<Option<Box<bls_pool>>>>,
) -> Option<Box<bls_error>> {
    make(made, || {
        let runner = given(runner, "the runner")?.0.take()?;
        Ok(bls_pool::new(runner.pool(guests)?))
    })
}

/// Frees a runner. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_free(runner: Option<Box<bls_runner>>) {
    drop(runner);
}
