//! In the place of `outgoing.rs` where a program makes no requests of its own: the types of what
//! belongs to them have no values, so that nothing of them is in the module.

use super::errors::RESPONSE_BODY_SIZE;
use super::response::{OutgoingBody, Written};
use crate::guest::Caller;
use crate::handles;
use crate::objects::Kind;
use crate::preview1::{BODY_SIZE, Errno};
use crate::trap;

/// The body of an answer to a request of the program's own.
pub(crate) enum Received {}
/// Such an answer, while it is waited for.
#[derive(Clone, Copy)]
pub(crate) enum Awaited {}

/// Whether a request has given its body away.
#[derive(Default)]
pub(crate) struct BodyOf(bool);

/// What a body is to a request.
#[derive(Default)]
pub(crate) struct Part;

impl Received {
    pub(crate) fn read(&mut self, _: &mut [u8]) -> Result<usize, Errno> {
        match *self {}
    }
}

impl Awaited {
    pub(crate) fn is_ready(self) -> bool {
        match self {}
    }
}

impl BodyOf {
    pub(super) fn is_some(&self) -> bool {
        self.0
    }

    pub(super) fn set(&mut self, _: &OutgoingBody) {
        self.0 = true;
    }
}

impl Part {
    /// The error of a body that is not as long as its head says.
    pub(super) fn size_error(&self) -> Errno {
        BODY_SIZE
    }
}

/// A body was finished, or let go.
pub(super) fn finished(_: &mut Written) {}

/// The case of `error-code` that an error is of, where it is of any.
pub(crate) fn case(errno: Errno) -> Option<u8> {
    (errno == BODY_SIZE).then_some(RESPONSE_BODY_SIZE)
}

/// Nothing gives a handle of an answer to a request of the program's own, so that none is valid.
fn no_response(caller: Caller, handle: u32) -> ! {
    let _ = handles::rep_of(caller, Kind::IncomingResponse, handle);
    trap()
}

fn no_future(caller: Caller, handle: u32) -> ! {
    let _ = handles::rep_of(caller, Kind::FutureIncomingResponse, handle);
    trap()
}

#[unsafe(export_name = "wasi:http/types#[method]incoming-response.status")]
extern "C" fn status(caller: Caller, this: u32) -> u32 {
    no_response(caller, this)
}

#[unsafe(export_name = "wasi:http/types#[method]incoming-response.headers")]
extern "C" fn response_headers(caller: Caller, this: u32) -> u32 {
    no_response(caller, this)
}

#[unsafe(export_name = "wasi:http/types#[method]incoming-response.consume")]
extern "C" fn consume_response(caller: Caller, this: u32, _: u32) {
    no_response(caller, this)
}

#[unsafe(export_name = "wasi:http/types#[method]future-incoming-response.subscribe")]
extern "C" fn subscribe_response(caller: Caller, this: u32) -> u32 {
    no_future(caller, this)
}

#[unsafe(export_name = "wasi:http/types#[method]future-incoming-response.get")]
extern "C" fn get_response(caller: Caller, this: u32, _: u32) {
    no_future(caller, this)
}
