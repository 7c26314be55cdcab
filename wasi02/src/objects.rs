//! What this module's handles stand for: streams, descriptors, pollables, errors.

use crate::errors::Code;
use crate::files::{Entries, File};
use crate::http::{
    Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingRequest, OutgoingResponse,
    Timeouts,
};
#[cfg(network)]
use crate::http::{Future, IncomingResponse};
use crate::poll::Pollable;
use crate::preview1::Errno;
#[cfg(network)]
use crate::sockets::{Names, Tcp};
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
    Fields = 8,
    IncomingRequest = 9,
    OutgoingRequest = 10,
    RequestOptions = 11,
    ResponseOutparam = 12,
    IncomingResponse = 13,
    IncomingBody = 14,
    FutureTrailers = 15,
    OutgoingResponse = 16,
    OutgoingBody = 17,
    FutureIncomingResponse = 18,
    #[cfg(network)]
    Network = 19,
    #[cfg(network)]
    Tcp = 20,
    #[cfg(network)]
    Names = 21,
}

/// One more than the largest.
const KINDS: u32 = if cfg!(network) { 22 } else { 19 };

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
    Fields(Fields),
    IncomingRequest(IncomingRequest),
    OutgoingRequest(OutgoingRequest),
    RequestOptions(Timeouts),
    /// Where the answer to a request goes.
    ResponseOutparam,
    IncomingBody(IncomingBody),
    /// What follows a body: nothing. Whether somebody was told so.
    FutureTrailers(bool),
    OutgoingResponse(OutgoingResponse),
    OutgoingBody(OutgoingBody),
    #[cfg(network)]
    IncomingResponse(IncomingResponse),
    #[cfg(network)]
    FutureIncomingResponse(Future),
    /// What sockets are made of: whoever has it may ask.
    #[cfg(network)]
    Network,
    #[cfg(network)]
    Tcp(Tcp),
    /// The addresses of a name that are still to be given.
    #[cfg(network)]
    Names(Names),
}

enum Slot {
    Free(u32),
    /// With how many others there are that need it, and which one it needs.
    Used(Object, u32, Option<u32>),
}

struct State {
    slots: Vec<Slot>,
    free: u32,
}

static STATE: Only<State> = Only::new(State { slots: Vec::new(), free: 0 });

/// Keeps an object; its number.
pub(crate) fn insert(object: Object) -> u32 {
    insert_child(object, None)
}

/// Keeps an object that needs another one, which must outlive it.
pub(crate) fn insert_child(object: Object, of: Option<u32>) -> u32 {
    if let Some(of) = of {
        match STATE.get().slots.get_mut(of as usize) {
            Some(Slot::Used(_, needed, _)) => *needed += 1,
            _ => trap(),
        }
    }
    let state = STATE.get();
    let at = state.free;
    match state.slots.get_mut(at as usize) {
        Some(slot) => {
            let Slot::Free(next) = *slot else { trap() };
            state.free = next;
            *slot = Slot::Used(object, 0, of);
        }
        None => {
            state.slots.push(Slot::Used(object, 0, of));
            state.free = at + 1;
        }
    }
    at
}

/// The object of a number.
pub(crate) fn get(rep: u32) -> &'static mut Object {
    match STATE.get().slots.get_mut(rep as usize) {
        Some(Slot::Used(object, ..)) => object,
        _ => trap(),
    }
}

/// Takes an object out. What others need must outlive them.
pub(crate) fn take(rep: u32) -> Object {
    let state = STATE.get();
    let next = state.free;
    let Some(slot @ Slot::Used(_, 0, _)) = state.slots.get_mut(rep as usize) else { trap() };
    let Slot::Used(object, _, of) = core::mem::replace(slot, Slot::Free(next)) else { trap() };
    state.free = rep;
    if let Some(of) = of
        && let Some(Slot::Used(_, needed, _)) = state.slots.get_mut(of as usize)
    {
        *needed -= 1;
    }
    object
}

/// Lets an object go.
pub(crate) fn remove(rep: u32) {
    if let Object::OutgoingBody(body) = take(rep) {
        body.abort();
    }
}

/// An error's object.
pub(crate) fn error_code(rep: u32) -> Code {
    match get(rep) {
        Object::Error(errno) => Code::of(*errno),
        _ => trap(),
    }
}
