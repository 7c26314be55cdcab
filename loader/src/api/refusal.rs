//! What the library refuses beside what the stages refuse.

use crate::error::{Cause, StageError};
use std::fmt;

/// Why a guest that stands is not called, or cannot be made as it was asked for.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// An export of another type than it is called by: its name, and what the engine says.
    CallType(String, wasmtime::Error),
    /// Its code holds no place where it could be stopped.
    NoPlace(String),
    /// A sandbox is demanded; this process is the embedder's.
    NotConfined,
    /// A limit on time for a guest that was not made to be stopped.
    NotStoppable,
    /// Functions of its own for one guest of a pool, or a pool of a pool's guests.
    #[cfg(feature = "pool")]
    OfPool,
    /// It has ended.
    Over,
    /// So many bytes at this address are not all there.
    Memory(u32, usize),
    /// The system gives no thread to watch the time.
    Timer(std::io::Error),
    /// The system gives no stack of so many bytes.
    Stack(usize, std::io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CallType(name, error) => {
                write!(formatter, "{name:?} is of another type: {error:#}")
            }
            Self::NoPlace(name) => {
                write!(formatter, "{name} holds no instruction at which it could be stopped")
            }
            Self::NotConfined => formatter.write_str(
                "a sandbox is demanded, and a library does not confine its embedder's process",
            ),
            Self::NotStoppable => formatter.write_str("it was not made to be stopped"),
            #[cfg(feature = "pool")]
            Self::OfPool => formatter.write_str("a pool's guests are linked when it is made"),
            Self::Over => formatter.write_str("it has ended, and cannot be called again"),
            Self::Memory(address, length) => {
                write!(formatter, "its memory has no {length} bytes at {address:#x}")
            }
            Self::Timer(error) => {
                write!(formatter, "cannot start the thread that watches the time: {error}")
            }
            Self::Stack(bytes, error) => {
                write!(formatter, "the system gives no stack of {bytes} bytes: {error}")
            }
        }
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Timer(error) | Self::Stack(_, error) => Some(error),
            _ => None,
        }
    }
}

impl StageError for Refusal {
    const STAGE: &'static str = "run";

    fn code(&self) -> &'static str {
        match self {
            Self::CallType(..) => "run.call-type",
            Self::NoPlace(_) => "run.no-place-to-stop",
            Self::NotConfined => "run.not-confined",
            Self::NotStoppable => "run.not-stoppable",
            #[cfg(feature = "pool")]
            Self::OfPool => "run.of-pool",
            Self::Over => "run.over",
            Self::Memory(..) => "run.memory",
            Self::Timer(_) => "run.timer",
            Self::Stack(..) => "run.no-stack",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::CallType(..) => "call it with the types that it was compiled with",
                Self::NoPlace(_) => "compile it with fuel: every function has such a place then",
                Self::NotConfined => "run it with bls-load or bls-serve, which confine their own processes; or put a Wall around the pool's process",
                Self::NotStoppable => "make it with a limit on time, or with a Cancel",
                #[cfg(feature = "pool")]
                Self::OfPool => "give functions to the runner that the pool is made of",
                Self::Over => "make another",
                Self::Memory(..) => "ask it for room first, by a function that it exports",
                Self::Timer(_) => "allow more threads, or run it without a limit on time",
                Self::Stack(..) => "ask for less stack, or allow more memory",
            }
            .to_owned(),
        )
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Timer(_) | Self::Stack(..) => Cause::Failed,
            _ => Cause::Refused,
        }
    }
}
