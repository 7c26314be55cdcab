//! How a guest ended, and what it used.

use crate::border::c_string;
use crate::value::bls_value;
use bls_loader::{Ended, Fuel, Outcome};
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// It returned, or called proc_exit: bls_outcome_exit_code.
pub const BLS_EXITED: u8 = 0;
/// It trapped: bls_outcome_trap_kind, bls_outcome_frames.
pub const BLS_TRAPPED: u8 = 1;
/// Its fuel was used up.
pub const BLS_OUT_OF_FUEL: u8 = 2;
/// It met another limit: bls_outcome_limit.
pub const BLS_LIMIT: u8 = 3;
/// It was cancelled: bls_cancel_now.
pub const BLS_CANCELLED: u8 = 4;
/// It ended in a way that this release has no name for, or no outcome was given.
pub const BLS_OTHER: u8 = 255;

/// How a guest ended. Belongs to what it was got from.
#[derive(Debug)]
pub struct bls_outcome {
    kind: u8,
    exit_code: u32,
    message: CString,
    trap_kind: Option<CString>,
    limit: Option<CString>,
    frames: Vec<(u32, Option<CString>)>,
    has_more_frames: bool,
}

impl From<Outcome> for bls_outcome {
    fn from(outcome: Outcome) -> Self {
        let mut told = Self {
            kind: BLS_OTHER,
            exit_code: 0,
            message: c_string(&outcome.to_string()),
            trap_kind: None,
            limit: None,
            frames: Vec::new(),
            has_more_frames: false,
        };
        match outcome {
            Outcome::Exited(code) => (told.kind, told.exit_code) = (BLS_EXITED, code),
            Outcome::Trapped(trap) => {
                told.kind = BLS_TRAPPED;
                told.trap_kind = Some(c_string(trap.kind));
                told.message = c_string(&trap.what);
                let frames = trap.frames.into_iter();
                told.frames = frames
                    .map(|frame| (frame.function, frame.name.map(|name| c_string(&name))))
                    .collect();
                told.has_more_frames = trap.has_more_frames;
            }
            Outcome::OutOfFuel => told.kind = BLS_OUT_OF_FUEL,
            Outcome::Limit(limit, _) => {
                (told.kind, told.limit) = (BLS_LIMIT, Some(c_string(limit.name())));
            }
            Outcome::Cancelled => told.kind = BLS_CANCELLED,
            _ => {}
        }
        told
    }
}

/// Its kind: BLS_EXITED and so on.
#[unsafe(no_mangle)]
pub extern "C" fn bls_outcome_kind(outcome: Option<&bls_outcome>) -> u8 {
    outcome.map_or(BLS_OTHER, |outcome| outcome.kind)
}

/// Its exit code, of BLS_EXITED: 0 where it returned; else 0.
#[unsafe(no_mangle)]
pub extern "C" fn bls_outcome_exit_code(outcome: Option<&bls_outcome>) -> u32 {
    outcome.map_or(0, |outcome| outcome.exit_code)
}

/// How it ended, in a sentence. Belongs to the outcome.
#[unsafe(no_mangle)]
pub extern "C" fn bls_outcome_message(outcome: Option<&bls_outcome>) -> *const c_char {
    outcome.map_or(std::ptr::null(), |outcome| outcome.message.as_ptr())
}

/// The trap's kind in a word, such as unreachable, or host for a function of the embedder's
/// own; NULL where it is none. Belongs to the outcome.
#[unsafe(no_mangle)]
pub extern "C" fn bls_outcome_trap_kind(outcome: Option<&bls_outcome>) -> *const c_char {
    let kind = outcome.and_then(|outcome| outcome.trap_kind.as_ref());
    kind.map_or(std::ptr::null(), |kind| kind.as_ptr())
}

/// The limit that it met: time, memory, table or output; NULL where it met none. Belongs to
/// the outcome.
#[unsafe(no_mangle)]
pub extern "C" fn bls_outcome_limit(outcome: Option<&bls_outcome>) -> *const c_char {
    let limit = outcome.and_then(|outcome| outcome.limit.as_ref());
    limit.map_or(std::ptr::null(), |limit| limit.as_ptr())
}

/// How many calls are known that had not returned when it trapped: at most 20.
#[unsafe(no_mangle)]
pub extern "C" fn bls_outcome_frames(outcome: Option<&bls_outcome>) -> usize {
    outcome.map_or(0, |outcome| outcome.frames.len())
}

/// Whether there were more.
#[unsafe(no_mangle)]
pub extern "C" fn bls_outcome_has_more_frames(outcome: Option<&bls_outcome>) -> bool {
    outcome.is_some_and(|outcome| outcome.has_more_frames)
}

/// The function of one of them, imports counted first; number 0 is the innermost. UINT32_MAX
/// behind the last.
#[unsafe(no_mangle)]
pub extern "C" fn bls_outcome_frame_function(outcome: Option<&bls_outcome>, number: usize) -> u32 {
    let frame = outcome.and_then(|outcome| outcome.frames.get(number));
    frame.map_or(u32::MAX, |(function, _)| *function)
}

/// The name of that function; NULL where the module has no names. Belongs to the outcome.
#[unsafe(no_mangle)]
pub extern "C" fn bls_outcome_frame_name(
    outcome: Option<&bls_outcome>,
    number: usize,
) -> *const c_char {
    let frame = outcome.and_then(|outcome| outcome.frames.get(number));
    let name = frame.and_then(|(_, name)| name.as_ref());
    name.map_or(std::ptr::null(), |name| name.as_ptr())
}

/// What a guest has consumed, in units of fuel (FUEL.md).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct bls_fuel {
    /// Whether the artifact is metered: else the rest is 0.
    pub is_metered: bool,
    /// Whether it had a budget, or was only counted.
    pub has_budget: bool,
    /// Whether used is exact. Else it is the whole budget, or without one a lower bound.
    pub is_exact: bool,
    /// What it had.
    pub budget: u64,
    /// What it used.
    pub used: u64,
}

impl From<Option<Fuel>> for bls_fuel {
    fn from(fuel: Option<Fuel>) -> Self {
        fuel.map_or_else(Self::default, |fuel| Self {
            is_metered: true,
            has_budget: fuel.budget.is_some(),
            is_exact: fuel.exact,
            budget: fuel.budget.unwrap_or(0),
            used: fuel.used,
        })
    }
}

/// A run that is over. Threads may share it. Free it with bls_ended_free.
#[derive(Debug)]
pub struct bls_ended {
    outcome: bls_outcome,
    fuel: bls_fuel,
    peak_memory: u64,
    limits_met: Vec<CString>,
    results: Vec<bls_value>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl From<Ended> for bls_ended {
    fn from(ended: Ended) -> Self {
        Self {
            outcome: ended.outcome.into(),
            fuel: ended.fuel.into(),
            peak_memory: ended.peak_memory,
            limits_met: ended.limits_met.into_iter().map(c_string).collect(),
            results: ended.results.iter().map(bls_value::of).collect(),
            stdout: ended.stdout,
            stderr: ended.stderr,
        }
    }
}

/// How it ended. Belongs to the run.
#[unsafe(no_mangle)]
pub extern "C" fn bls_ended_outcome(ended: Option<&bls_ended>) -> Option<&bls_outcome> {
    ended.map(|ended| &ended.outcome)
}

/// What it consumed.
#[unsafe(no_mangle)]
pub extern "C" fn bls_ended_fuel(ended: Option<&bls_ended>) -> bls_fuel {
    ended.map_or_else(bls_fuel::default, |ended| ended.fuel)
}

/// The most bytes that all its memories and tables had together, with what the host held for
/// it.
#[unsafe(no_mangle)]
pub extern "C" fn bls_ended_peak_memory(ended: Option<&bls_ended>) -> u64 {
    ended.map_or(0, |ended| ended.peak_memory)
}

/// The limits that it was told of while it ran, by calls that failed: memory, table,
/// descriptors. By number from 0; NULL behind the last. Belongs to the run.
#[unsafe(no_mangle)]
pub extern "C" fn bls_ended_limit_met(ended: Option<&bls_ended>, number: usize) -> *const c_char {
    let limit = ended.and_then(|ended| ended.limits_met.get(number));
    limit.map_or(std::ptr::null(), |limit| limit.as_ptr())
}

/// What the call gave: as many values as count says. Belongs to the run.
#[unsafe(no_mangle)]
pub extern "C" fn bls_ended_results(
    ended: Option<&bls_ended>,
    count: Option<&mut MaybeUninit<usize>>,
) -> *const bls_value {
    listed(ended.map(|ended| &ended.results[..]), count)
}

/// What it wrote, where its standard output is bytes: as many as length says. Belongs to the
/// run.
#[unsafe(no_mangle)]
pub extern "C" fn bls_ended_stdout(
    ended: Option<&bls_ended>,
    length: Option<&mut MaybeUninit<usize>>,
) -> *const u8 {
    listed(ended.map(|ended| &ended.stdout[..]), length)
}

/// The same of standard error.
#[unsafe(no_mangle)]
pub extern "C" fn bls_ended_stderr(
    ended: Option<&bls_ended>,
    length: Option<&mut MaybeUninit<usize>>,
) -> *const u8 {
    listed(ended.map(|ended| &ended.stderr[..]), length)
}

/// Frees a run. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bls_ended_free(ended: Option<Box<bls_ended>>) {
    drop(ended);
}

fn listed<T>(list: Option<&[T]>, count: Option<&mut MaybeUninit<usize>>) -> *const T {
    let list = list.unwrap_or_default();
    if let Some(count) = count {
        count.write(list.len());
    }
    list.as_ptr()
}
