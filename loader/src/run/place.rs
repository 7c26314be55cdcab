//! Where in the code of the image the frames of a trap are.
//!
//! The engine knows each frame's address, and shows it in what it says of a trace for the sake of
//! those who look for defects, and nowhere else: there it is read. (What it would give besides is
//! an offset in the module, from an address map that images do not have.) Where it says it in
//! other words, frames have no places, and a test fails. May assume nothing about names in the
//! trace: they are the guest's, and stand before the addresses.

use super::outcome::{Outcome, TrapReport};
use crate::map::{FRAMES_MAX, Mapped};
use crate::sys::code;
use bls_artifact::digest::Sha256;
use std::fmt::{self, Write as _};
use wasmtime::{Error, Module, Trap, WasmBacktrace};

/// Fills in where the frames of a trap are.
pub(super) fn fill_in(outcome: &mut Outcome, error: &Error, mapped: &Mapped) {
    fill_in_of(outcome, error, mapped.module(), mapped.facts().part().image.sha256);
}

/// The same for a module of which the image is known.
pub(super) fn fill_in_of(outcome: &mut Outcome, error: &Error, module: &Module, image: Sha256) {
    let Outcome::Trapped(TrapReport { frames, image: of, .. }) = outcome else { return };
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return };
    let text = module.text();
    let start = text.as_ptr().addr();
    // Behind the code only where its last instruction is a call.
    let all = addresses(trace).into_iter().filter_map(|address| address.checked_sub(start));
    let offsets = all.filter(|offset| (1..=text.len()).contains(offset));
    *of = Some(image);
    for (number, (frame, offset)) in frames.iter_mut().zip(offsets).enumerate() {
        // The innermost may be at the instruction that trapped; all others are behind a call.
        let is_there = number == 0 && is_at(error, module, offset);
        frame.offset = u32::try_from(if is_there { offset } else { offset - 1 }).ok();
    }
}

/// Whether the innermost frame is at the instruction that trapped, and not behind a call in which
/// something did.
///
/// The image lists the instructions that trap. Not so Pulley's: its interpreter knows by itself
/// what is wrong with arithmetic, for which no call traps, and with an access to memory; a call
/// that fills or copies memory counts as such an access here.
fn is_at(error: &Error, module: &Module, offset: usize) -> bool {
    let by_interpreter = || {
        matches!(
            error.downcast_ref(),
            Some(
                Trap::IntegerDivisionByZero
                    | Trap::IntegerOverflow
                    | Trap::BadConversionToInteger
                    | Trap::MemoryOutOfBounds
            )
        )
    };
    code::traps_at(module, offset) || module.engine().is_pulley() && by_interpreter()
}

/// The addresses of a trace, the innermost first.
fn addresses(trace: &WasmBacktrace) -> Vec<usize> {
    let mut reader = Reader::default();
    // It does not fail.
    let _ = write!(reader, "{trace:?}");
    reader.addresses
}

/// Reads what the engine says of a trace, piece by piece, and keeps none of it: there may be
/// many frames.
#[derive(Default)]
struct Reader {
    addresses: Vec<usize>,
    /// Behind the name of the field that has them. A name of the guest's may be the same, and
    /// stands before it.
    is_behind: bool,
    /// Behind the name of an address.
    is_address: bool,
}

impl fmt::Write for Reader {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if piece == "_runtime_trace" {
            self.addresses.clear();
            self.is_behind = true;
        } else if piece == "pc" {
            self.is_address = true;
        } else if let Ok(address) = piece.parse() {
            if self.is_behind && self.is_address && self.addresses.len() <= FRAMES_MAX {
                self.addresses.push(address);
            }
            self.is_address = false;
        }
        Ok(())
    }
}
