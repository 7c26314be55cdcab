//! What keeps control flow inside generated code, and how an artifact says so.
//!
//! For every native target: a call through a table or a reference goes to a function whose
//! type was compared, and what is read at an index that the guest chooses stays in bounds
//! also where the processor guesses (Spectre masks). No option of `bls-compile` takes these
//! away, and no release of it made code without them. For Arm also: functions sign the return
//! addresses that they store (PAC). There were artifacts before the manifest said that, so it
//! says it. Does not look into code, and
//! neither does the engine: whoever signs vouches for it.

use crate::target::Target;

/// The manifest's extension that says so of its parts for Arm; its value is [`VERSION`].
pub const EXTENSION: &str = "control-flow";
/// Signed return addresses, in every function that stores one.
pub const VERSION: &str = "1";

/// Whether code for `target` can be without what it is to have, so that a manifest must say
/// that it is there.
#[must_use]
pub fn must_be_said(target: Target) -> bool {
    target == Target::Aarch64
}
