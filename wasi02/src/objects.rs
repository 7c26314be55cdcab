//! What this module's handles stand for: streams, descriptors, pollables, errors.

use crate::errors::Code;
use crate::files::{Entries, File};
use crate::poll::Pollable;
use crate::preview1::Errno;
use crate::streams::{Input, Output};
use crate::{Only, trap};
use alloc::rc::Rc;
use alloc::vec::Vec;

/// The types of this module. The linker numbers them the same (compiler/src/link/component).
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Kind {
    Error = 0,
    Pollable = 1,
    Input = 2,
    Output = 3,
    TerminalInput = 4,
    TerminalOutput = 5,
    Descriptor = 6,
    Entries = 7,
}

/// One more than the largest.
const KINDS: u32 = 8;

/// Whether a type is one of this module.
pub(crate) fn is_ours(ty: u32) -> bool {
    ty < KINDS
}

/// Something that handles stand for.
pub(crate) enum Object {
    Error(Errno),
    Pollable(Pollable),
    Input(Input),
    Output(Output),
    Terminal,
    Descriptor(Rc<File>),
    Entries(Entries),
}

enum Slot {
    Free(u32),
    /// With how many others there are that need it.
    Used(Object, u32),
}

struct State {
    slots: Vec<Slot>,
    free: u32,
}

static STATE: Only<State> = Only::new(State { slots: Vec::new(), free: 0 });

/// Keeps an object; its number.
pub(crate) fn insert(object: Object) -> u32 {
    let state = STATE.get();
    let at = state.free;
    match state.slots.get_mut(at as usize) {
        Some(slot) => {
            let Slot::Free(next) = *slot else { trap() };
            state.free = next;
            *slot = Slot::Used(object, 0);
        }
        None => {
            state.slots.push(Slot::Used(object, 0));
            state.free = at + 1;
        }
    }
    at
}

/// The object of a number.
pub(crate) fn get(rep: u32) -> &'static mut Object {
    match STATE.get().slots.get_mut(rep as usize) {
        Some(Slot::Used(object, _)) => object,
        _ => trap(),
    }
}

/// One more needs it.
pub(crate) fn need(rep: u32) {
    match STATE.get().slots.get_mut(rep as usize) {
        Some(Slot::Used(_, needed)) => *needed += 1,
        _ => trap(),
    }
}

/// Lets an object go. What others need must outlive them.
pub(crate) fn remove(rep: u32) {
    let state = STATE.get();
    let next = state.free;
    let Some(slot @ Slot::Used(_, 0)) = state.slots.get_mut(rep as usize) else { trap() };
    let Slot::Used(object, _) = core::mem::replace(slot, Slot::Free(next)) else { trap() };
    state.free = rep;
    if let Object::Pollable(Pollable { of: Some(stream), .. }) = object
        && let Some(Slot::Used(_, needed)) = state.slots.get_mut(stream as usize)
    {
        *needed -= 1;
    }
}

/// An error's object.
pub(crate) fn error_code(rep: u32) -> Code {
    match get(rep) {
        Object::Error(errno) => Code::of(*errno),
        _ => trap(),
    }
}
