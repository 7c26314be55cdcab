//! The same work in a process of its own, which holds nothing worth stealing.
//!
//! ```text
//! this process            bytes, options ─────────────► the other: wall, input, validate,
//! validate, audit ◄───── module with its charges ◄───── meter, and in the meantime
//! assemble, sign  ◄───── images ◄────────────────────── compile
//! ```
//!
//! The other process is made by `fork` before this one reads a key, and gives up what it has
//! before it looks at a byte of the module (`wall`): descriptors, variables, privileges, files,
//! network, all system calls but those for memory, threads and its two pipes. It is the one
//! that parses text, judges what nobody has judged yet, and generates code; so a module that
//! breaks any of these has broken a process that has no key, no file and no connection, and
//! that ends with this one, or when it has taken what it may of memory and time ([`Allowance`]).
//!
//! What it says is not believed (`wire`): this process links (where several modules become one) and
//! judges the module itself once the other one has found nothing wrong with it, audits what the other made of it, and makes and signs
//! the manifest. Two things it cannot check and does believe: that an image is the code of the
//! audited module, and that a binary module is what a text says. Whoever doubts them has a
//! second builder compile the same source (`sign --rebuild`).
//!
//! The program works so always. Whoever embeds [`crate::pipeline`] decides about processes
//! himself. Must be used while this process has one thread, and before it reads a key.

mod refusal;
mod serve;
mod wall;
mod wire;
mod work;

pub use refusal::Refusal;

use crate::input::InputError;
use crate::pipeline::{Error, Stage};
use bls_artifact::quantity::{write_size, write_time};
pub use serve::Child;
use std::num::NonZero;
use std::time::Duration;
use std::{fmt, io};
use wasmparser::WasmFeatures;

/// What the other process may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Memory, in bytes: what it may write to, and the same again for all that it sends.
    pub memory: u64,
    /// Time from its beginning to the last byte of its answer.
    pub time: Duration,
    /// Threads that generate code; `None`: as many as the system gives.
    pub threads: Option<NonZero<usize>>,
}

impl Default for Allowance {
    /// What no real module was seen to need: of those that were tried yosys (66 MiB) takes most
    /// memory, 2.4 GiB, and duckdb (38 MiB) most time, five minutes of a processor and more for
    /// each target; a slow machine of one core takes several times as long.
    fn default() -> Self {
        Self { memory: 16 << 30, time: Duration::from_secs(4 * 3600), threads: None }
    }
}

/// What is to be done with a module.
#[derive(Clone, Debug)]
pub enum Job {
    /// An artifact.
    Build(crate::options::Options),
    /// The module with its charges.
    Front(crate::options::Options),
    /// The audit of a module that has its charges already.
    Examine(WasmFeatures),
    /// The module that several are.
    Link(crate::options::Options),
    /// The world of a component, as WIT.
    World,
}

/// How the other process ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By this signal.
    Signal(i32),
    /// By this exit code.
    Code(i32),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(number) => match wall::name_of_signal(*number) {
                Some(name) => write!(f, "was ended by {name}"),
                None => write!(f, "was ended by signal {number}"),
            },
            Self::Code(code) => write!(f, "ended by itself with {code}"),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum ChildError {
    /// A stage in this process refused.
    Own(Error),
    /// The other process refused.
    Refused(Box<Refusal>),
    /// It took as much memory as it may, in this stage.
    Memory(u64, Stage),
    /// It took as much time as it may, in this stage.
    Time(Duration, Stage),
    /// It ended without an answer, in this stage.
    Crashed(Ending, Stage),
    /// It found a defect of ours, in this stage; which.
    Panicked(String, Stage),
    /// It answered what makes no sense.
    Nonsense(&'static str),
    /// The system gives no other process, or no answer of it.
    NoProcess(io::Error),
}

impl From<Error> for ChildError {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl From<InputError> for ChildError {
    fn from(error: InputError) -> Self {
        Self::Own(Error::Input(error))
    }
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(error) => error.fmt(f),
            Self::Refused(refusal) => f.write_str(&refusal.what),
            Self::Memory(limit, stage) => write!(
                f,
                "it takes more memory than {}, or than the system gives, in stage {}",
                write_size(*limit),
                stage.name()
            ),
            Self::Time(limit, stage) => write!(
                f,
                "it takes longer than {}, and was in stage {}",
                write_time(limit.as_millis() as u64),
                stage.name()
            ),
            Self::Crashed(ending, stage) => {
                write!(f, "the process that compiles {ending}, in stage {}", stage.name())
            }
            Self::Panicked(what, stage) => {
                write!(f, "internal error in stage {}: {what}", stage.name())
            }
            Self::Nonsense(what) => {
                write!(f, "the process that compiles answered what makes no sense: {what}")
            }
            Self::NoProcess(error) => write!(f, "no process to compile in: {error}"),
        }
    }
}

impl std::error::Error for ChildError {}

impl ChildError {
    /// The stage that failed, in a word.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Own(error) => error.stage(),
            Self::Refused(refusal) => refusal.stage,
            _ => Stage::Compile.name(),
        }
    }

    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Own(error) => error.code(),
            Self::Refused(refusal) => refusal.code,
            Self::Memory(..) => "compile.memory",
            Self::Time(..) => "compile.time",
            Self::Crashed(..) | Self::Panicked(..) => "compile.crashed",
            Self::Nonsense(_) => "compile.nonsense",
            Self::NoProcess(_) => "compile.no-process",
        }
    }

    /// Lines that show the place in the source, where there is one to be shown.
    #[must_use]
    pub fn excerpt(&self) -> &[String] {
        match self {
            Self::Own(error) => error.excerpt(),
            Self::Refused(refusal) => &refusal.excerpt,
            _ => &[],
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        const REPORT: &str = "nothing was signed; please report this, with the module";
        match self {
            Self::Own(error) => error.hint(),
            Self::Refused(refusal) => refusal.hint.clone(),
            Self::Memory(limit, _) => Some(format!(
                "split the module; or, if it is one you trust to be worth it, --max-compile-memory {}",
                write_size(limit.saturating_mul(2).max(64 << 20))
            )),
            Self::Time(limit, _) => Some(format!(
                "split the module; or, if it is one you trust to be worth it, --max-compile-time {}",
                write_time((limit.as_millis().saturating_mul(2) as u64).max(1000))
            )),
            Self::Crashed(Ending::Signal(wall::SIGKILL), _) => Some(
                "was it you? the system does so when it has no more memory: --max-compile-memory 2GiB, for example, gives a sentence instead"
                    .to_owned(),
            ),
            Self::Crashed(..) | Self::Panicked(..) | Self::Nonsense(_) => Some(REPORT.to_owned()),
            Self::NoProcess(_) => {
                Some("see ulimit -u, and the limits of its group".to_owned())
            }
        }
    }
}
