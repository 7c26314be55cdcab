//! Errors as C sees them: a stage, a code, a sentence, and what to do.
//!
//! Guarantees that each has the code of SECURITY.md, "Refusals", those of this crate
//! (`capi.*`, `run.ended`) among them.

use crate::border::c_string;
use crate::ended::bls_outcome;
use bls_loader::{CallError, Cause, Error, Outcome};
use std::ffi::{CString, c_char};
use std::fmt;

/// Why a function of this crate did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// What bls-loader says.
    Loader(Error),
    /// The guest ended in a call.
    Ended(Outcome),
    /// This argument is NULL.
    Null(&'static str),
    /// This argument is no UTF-8.
    NotUtf8(&'static str),
    /// This argument has more elements than anything can have.
    TooMany(&'static str),
    /// This handle has been used up, or a panic left it.
    Used(&'static str),
    /// This handle is in use: by another thread, or by the call this one is made from.
    Busy(&'static str),
    /// No signature.
    Signature(String),
    /// A value of no kind that can be given.
    Kind(u8),
    /// There is room for so many, and so many are needed.
    Room(usize, usize),
    /// No SHA-256 in hexadecimal digits.
    Digest,
    /// A word that names nothing.
    Word(String),
    /// The system does not know this descriptor, or gives no second one.
    Descriptor(std::io::Error),
    /// A panic, and what it said.
    Panic(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Loader(error)
    }
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(error) => Self::Loader(error),
            CallError::Ended(outcome) => Self::Ended(outcome),
            other => Self::Panic(other.to_string()),
        }
    }
}

impl Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Loader(error) => error.code(),
            Self::Ended(_) => "run.ended",
            Self::Null(_) => "capi.null",
            Self::NotUtf8(_) => "capi.utf8",
            Self::TooMany(_) => "capi.too-many",
            Self::Used(_) => "capi.used",
            Self::Busy(_) => "capi.busy",
            Self::Signature(_) => "capi.signature",
            Self::Kind(_) => "capi.kind",
            Self::Room(..) => "capi.room",
            Self::Digest => "capi.digest",
            Self::Word(_) => "capi.word",
            Self::Descriptor(_) => "capi.descriptor",
            Self::Panic(_) => "capi.panic",
        }
    }

    fn stage(&self) -> &'static str {
        match self {
            Self::Loader(error) => error.stage(),
            Self::Ended(_) => "run",
            _ => "capi",
        }
    }

    fn hint(&self) -> Option<&str> {
        Some(match self {
            Self::Loader(error) => return error.hint(),
            Self::Ended(_) => "bls_error_outcome says how; make another instance",
            Self::Null(_) => "give it; bls.h says what may be NULL",
            Self::NotUtf8(_) => "give it in UTF-8",
            Self::TooMany(_) => "see where the number comes from",
            Self::Used(_) => "make another; bls.h says which calls use up what",
            Self::Busy(_) => "one thread at a time, and not from one of its own functions",
            Self::Signature(_) => {
                "parameters, a colon, results: \"ii:i\"; i, I, f, F and v are i32, i64, f32, f64 \
                 and v128"
            }
            Self::Kind(_) => "set the field kind: BLS_I32 and so on",
            Self::Room(..) => "give room for as many; bls_instance_signature says how many",
            Self::Digest => "give 64 hexadecimal digits",
            Self::Word(_) => "bls.h lists the words",
            Self::Descriptor(_) => "give an open descriptor",
            Self::Panic(_) => "tell the authors of this library, with the message",
        })
    }

    fn is_failure(&self) -> bool {
        match self {
            Self::Loader(error) => error.cause() == Cause::Failed,
            Self::Panic(_) | Self::Descriptor(_) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Its stage stands before its words.
            Self::Loader(error) => {
                let words = error.to_string();
                let stage = format!("{}: ", error.stage());
                to.write_str(words.strip_prefix(&stage).unwrap_or(&words))
            }
            Self::Ended(outcome) => outcome.fmt(to),
            Self::Null(name) => write!(to, "{name} is NULL"),
            Self::NotUtf8(name) => write!(to, "{name} is not UTF-8"),
            Self::TooMany(name) => write!(to, "{name}: so many there cannot be"),
            Self::Used(name) => write!(to, "{name} has been used up"),
            Self::Busy(name) => write!(to, "{name} is in use by another call"),
            Self::Signature(text) => write!(to, "{text:?} is no signature"),
            Self::Kind(kind) => write!(to, "{kind} is no kind of value that can be given"),
            Self::Room(given, needed) => {
                write!(to, "there is room for {given}, and {needed} are needed")
            }
            Self::Digest => to.write_str("this is no SHA-256"),
            Self::Word(word) => write!(to, "there is no {word:?}"),
            Self::Descriptor(error) => write!(to, "the descriptor cannot be used: {error}"),
            Self::Panic(what) => write!(to, "a panic in the library: {what}"),
        }
    }
}

/// Why a function did not do what it was asked. Functions that can fail give one, and NULL
/// where they did it. Free it with bls_error_free.
#[derive(Debug)]
pub struct bls_error {
    stage: CString,
    code: CString,
    message: CString,
    hint: Option<CString>,
    is_failure: bool,
    outcome: Option<bls_outcome>,
}

impl From<Refusal> for bls_error {
    fn from(refusal: Refusal) -> Self {
        Self {
            stage: c_string(refusal.stage()),
            code: c_string(refusal.code()),
            message: c_string(&refusal.to_string()),
            hint: refusal.hint().map(c_string),
            is_failure: refusal.is_failure(),
            outcome: match refusal {
                Refusal::Ended(outcome) => Some(outcome.into()),
                _ => None,
            },
        }
    }
}

/// Frees an error. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn bls_error_free(error: Option<Box<bls_error>>) {
    drop(error);
}

/// The stage that failed, in a word: open, verify, policy, grant, map, link, run; or capi,
/// where an argument was wrong. Belongs to the error.
#[unsafe(no_mangle)]
pub extern "C" fn bls_error_stage(error: Option<&bls_error>) -> *const c_char {
    error.map_or(std::ptr::null(), |error| error.stage.as_ptr())
}

/// The name of the defect, such as signature.unknown-key: it stays the same when words change
/// (SECURITY.md, "Refusals"). Belongs to the error.
#[unsafe(no_mangle)]
pub extern "C" fn bls_error_code(error: Option<&bls_error>) -> *const c_char {
    error.map_or(std::ptr::null(), |error| error.code.as_ptr())
}

/// What was wrong, in a sentence. Belongs to the error.
#[unsafe(no_mangle)]
pub extern "C" fn bls_error_message(error: Option<&bls_error>) -> *const c_char {
    error.map_or(std::ptr::null(), |error| error.message.as_ptr())
}

/// What can be done about it, in the words of bls-load's command line; NULL where there is
/// nothing to say. Belongs to the error.
#[unsafe(no_mangle)]
pub extern "C" fn bls_error_hint(error: Option<&bls_error>) -> *const c_char {
    let hint = error.and_then(|error| error.hint.as_ref());
    hint.map_or(std::ptr::null(), |hint| hint.as_ptr())
}

/// Whether the system did not give what is needed, or this library is at fault. Otherwise the
/// same again would be refused again.
#[unsafe(no_mangle)]
pub extern "C" fn bls_error_is_failure(error: Option<&bls_error>) -> bool {
    error.is_some_and(|error| error.is_failure)
}

/// How the guest ended, where that is why a call has no result (code run.ended); else NULL.
/// Belongs to the error.
#[unsafe(no_mangle)]
pub extern "C" fn bls_error_outcome(error: Option<&bls_error>) -> Option<&bls_outcome> {
    error.and_then(|error| error.outcome.as_ref())
}
