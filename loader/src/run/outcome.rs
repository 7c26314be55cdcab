//! How a run ended, as a sentence and as an exit code.
//!
//! Guarantees that every way to end has exactly one kind, and that the exit code
//! is a function of it. The codes are documented in `--help`; where a guest's own
//! code looks like one of ours, the report tells them apart.

pub(crate) use crate::error::FAILED;
use crate::error::{Failure, printable};
use bls_artifact::debug::Found;
use bls_artifact::digest::Sha256;
use std::fmt;
use wasmtime::Trap;

/// Exit code when the budget was used up.
const OUT_OF_FUEL: u8 = 123;
/// Exit code at any other limit.
const LIMIT: u8 = 124;
/// Exit code of a trap: 128 + SIGABRT, as wasmtime has it.
const TRAP: u8 = 134;

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The guest returned, or called `proc_exit` with this code.
    Exited(u32),
    /// The guest trapped.
    Trapped(TrapReport),
    /// The budget was used up.
    OutOfFuel,
    /// Another limit was reached.
    Limit(Limit, String),
    /// A signal that ends a process came, by number.
    Signal(i32),
    /// Refused, or the loader itself failed.
    Failed(Failure),
}

/// A limit that is not fuel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Of time.
    Time,
    /// Of memories, tables and objects together.
    Memory,
    /// Of table elements.
    Table,
    /// Of bytes written.
    Output,
}

impl Limit {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Table => "table",
            Self::Output => "output",
        }
    }
}

/// A trap and where it happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrapReport {
    /// The kind, as a word of the report.
    pub kind: &'static str,
    /// The kind, in a sentence.
    pub what: String,
    /// Where: the function it happened in, then who called whom; the first 20.
    pub frames: Vec<Frame>,
    /// Whether there were more.
    pub has_more_frames: bool,
    /// Whether the guest had been refused memory before.
    pub lacked_memory: bool,
    /// SHA-256 of the image that ran, of which frames say offsets.
    pub(crate) image: Option<Sha256>,
}

impl TrapReport {
    /// Leaves out where in the image its frames are: another machine has another image.
    pub(crate) fn forget_places(&mut self) {
        self.image = None;
        self.frames.iter_mut().for_each(|frame| frame.offset = None);
    }
}

pub(crate) use crate::map::FRAMES_MAX;

/// A call of a function that had not returned.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Frame {
    /// Index of the function, imports counted first.
    pub function: u32,
    /// Its name as it is read, where the module has names.
    pub name: Option<String>,
    /// Where in the code of the image: the instruction that trapped, or the last byte of the
    /// call that has not returned.
    pub offset: Option<u32>,
    /// What a debug file knows of that place.
    pub(crate) found: Option<Found>,
}

impl fmt::Display for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "function {}", self.function)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(formatter, " {name}"))
    }
}

/// So many digits of an image's digest stand for it.
const DIGITS: usize = 8;

impl fmt::Display for TrapReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "trap: {}", printable(&self.what))?;
        for (number, frame) in self.frames.iter().enumerate() {
            let before = if number == 0 { " in" } else { "\n  called by" };
            write!(formatter, "{before} {frame}")?;
            if let (Some(image), Some(offset)) = (self.image, frame.offset) {
                let image = image.to_string();
                write!(formatter, " ({}+{offset:#x})", &image[..DIGITS])?;
            }
            for line in frame.found.iter().flat_map(Found::shown) {
                write!(formatter, "\n      {line}")?;
            }
        }
        if self.has_more_frames {
            formatter.write_str("\n  and so on")?;
        }
        Ok(())
    }
}

impl Outcome {
    /// The same, of a guest that had met these limits: a trap may come from that.
    pub(crate) fn after(mut self, limits_met: &[&str]) -> Self {
        if let Self::Trapped(trap) = &mut self {
            trap.lacked_memory = limits_met.contains(&Limit::Memory.name());
        }
        self
    }

    /// The exit code of bls-load.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Exited(code) => (code & 0xff) as u8,
            Self::Trapped(_) => TRAP,
            Self::OutOfFuel => OUT_OF_FUEL,
            Self::Limit(..) => LIMIT,
            // What a shell gives for a program that a signal ended.
            Self::Signal(number) => 128 + (number & 0x7f) as u8,
            Self::Failed(_) => FAILED,
        }
    }

    /// What bls-load says about it on stderr; nothing when the guest had its own
    /// way.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::Exited(_) => None,
            Self::Trapped(trap) => Some(match trap.lacked_memory {
                false => format!("bls-load: run: {trap}"),
                true => format!(
                    "bls-load: run: {trap}\nhint: the guest was refused memory before: --max-memory SIZE (no more than it was compiled with)"
                ),
            }),
            Self::OutOfFuel => Some(
                "bls-load: run: out of fuel\nhint: if it may do more, give it more: --fuel N, as far \
                 as policies allow"
                    .to_owned(),
            ),
            Self::Limit(limit, what) => {
                let option = match limit {
                    Limit::Time => "\nhint: if it may take longer, give it more: --timeout TIME",
                    Limit::Memory => {
                        "\nhint: if it may have more: --max-memory SIZE (no more than it was compiled with)"
                    }
                    Limit::Table => "",
                    Limit::Output => "\nhint: if it may write more: --max-output SIZE",
                };
                Some(format!("bls-load: run: {} limit: {what}{option}", limit.name()))
            }
            Self::Signal(number) => Some(format!("bls-load: run: ended by signal {number}")),
            Self::Failed(failure) => Some(failure.to_string()),
        }
    }
}

/// The report's word for a trap.
pub(crate) fn trap_kind(trap: Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "stack-overflow",
        Trap::MemoryOutOfBounds => "memory-out-of-bounds",
        Trap::HeapMisaligned => "unaligned-atomic",
        Trap::TableOutOfBounds => "table-out-of-bounds",
        Trap::IndirectCallToNull => "indirect-call-to-null",
        Trap::BadSignature => "indirect-call-type-mismatch",
        Trap::IntegerOverflow => "integer-overflow",
        Trap::IntegerDivisionByZero => "integer-division-by-zero",
        Trap::BadConversionToInteger => "invalid-conversion-to-integer",
        Trap::UnreachableCodeReached => "unreachable",
        Trap::AtomicWaitNonSharedMemory => "atomic-wait-on-unshared-memory",
        Trap::NullReference => "null-reference",
        Trap::ArrayOutOfBounds => "array-out-of-bounds",
        Trap::AllocationTooLarge => "allocation-too-large",
        Trap::CastFailure => "cast-failure",
        _ => "other",
    }
}
