//! The answer to a request: its head and its body, and where they go.
//!
//! ```text
//! (new outgoing-response) ─ body, write "ab" ─► kept: the head was not written
//! set                                         ─► "Status: 200\r\n…\r\n" "ab"
//! write "cd"                                  ─► "cd"
//! ```

use super::errors::{answer_size, name};
use super::fields::{List, content_length, give, taken};
use super::outgoing::{Part, finished};
use super::request::give_once;
use super::{Answer, STATE, fail, write_all};
use crate::guest::Caller;
use crate::objects::{self, Kind, Object};
use crate::preview1::Errno;
use crate::streams::{Output, To};
use crate::{Only, handles, trap};
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;

/// An answer that a program prepares.
pub(crate) struct OutgoingResponse {
    status: u32,
    fields: Rc<List>,
    body: Option<Rc<Body>>,
}

/// The body of a message that a program sends.
pub(crate) struct OutgoingBody {
    pub(super) body: Rc<Body>,
    is_taken: bool,
}

/// What is written of a body.
pub(crate) struct Body(pub(super) Only<Written>);

pub(crate) struct Written {
    /// What nobody can be sent yet; `None` when the head was written.
    pub(super) kept: Option<Vec<u8>>,
    /// How long it is to be, where a field says so, and is.
    expected: Option<u64>,
    length: u64,
    /// It was let go before it was finished.
    pub(super) is_broken: bool,
    pub(super) part: Part,
}

impl Body {
    /// Writes all of it.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), Errno> {
        let written = self.0.get();
        written.length += bytes.len() as u64;
        if written.expected.is_some_and(|most| written.length > most) {
            return Err(written.part.size_error());
        }
        match &mut written.kept {
            Some(kept) => {
                kept.extend_from_slice(bytes);
                Ok(())
            }
            None => write_all(1, bytes),
        }
    }

    /// Whether it was let go before it was finished, or is not as long as its head says.
    pub(super) fn is_broken(&self) -> bool {
        self.0.get().is_broken
    }

    /// The head was written: what was kept follows.
    fn send(&self) -> Result<(), Errno> {
        match self.0.get().kept.take() {
            Some(kept) => write_all(1, &kept),
            None => Ok(()),
        }
    }
}

impl OutgoingBody {
    /// The body of a message with a field for its length, or without.
    pub(super) fn new(expected: Option<u64>) -> Self {
        let kept = Some(Vec::new());
        let part = Part::default();
        let written = Written { kept, expected, length: 0, is_broken: false, part };
        Self { body: Rc::new(Body(Only::new(written))), is_taken: false }
    }

    /// It is let go without being finished.
    pub(crate) fn abort(&self) {
        let written = self.body.0.get();
        written.is_broken = true;
        finished(written);
    }
}

fn response(caller: Caller, handle: u32) -> &'static mut OutgoingResponse {
    match objects::get(handles::rep_of(caller, Kind::OutgoingResponse, handle)) {
        Object::OutgoingResponse(response) => response,
        _ => trap(),
    }
}

#[unsafe(export_name = "wasi:http/types#[constructor]outgoing-response")]
extern "C" fn new(caller: Caller, headers: u32) -> u32 {
    let response = OutgoingResponse { status: 200, fields: taken(caller, headers), body: None };
    let response = objects::insert(Object::OutgoingResponse(response));
    handles::own(caller, Kind::OutgoingResponse, response)
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-response.status-code")]
extern "C" fn status_code(caller: Caller, this: u32) -> u32 {
    response(caller, this).status
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-response.set-status-code")]
extern "C" fn set_status_code(caller: Caller, this: u32, status: u32) -> u32 {
    let status = status & 0xffff;
    if !(100..1000).contains(&status) {
        return 1;
    }
    response(caller, this).status = status;
    0
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-response.headers")]
extern "C" fn headers(caller: Caller, this: u32) -> u32 {
    give(caller, &response(caller, this).fields)
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-response.body")]
extern "C" fn body(caller: Caller, this: u32, to: u32) {
    let response = response(caller, this);
    let length = content_length(&response.fields);
    let handle = match (&response.body, length) {
        (None, Ok(length)) => {
            let body = OutgoingBody::new(length);
            response.body = Some(body.body.clone());
            let body = objects::insert(Object::OutgoingBody(body));
            Some(handles::own(caller, Kind::OutgoingBody, body))
        }
        _ => None,
    };
    give_once(caller, to, handle);
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-body.write")]
extern "C" fn write(caller: Caller, this: u32, to: u32) {
    let rep = handles::rep_of(caller, Kind::OutgoingBody, this);
    let Object::OutgoingBody(body) = objects::get(rep) else { trap() };
    let is_first = !core::mem::replace(&mut body.is_taken, true);
    let handle = is_first.then(|| {
        let output = Object::Output(Output::new(To::Body(body.body.clone())));
        handles::own(caller, Kind::Output, objects::insert_child(output, Some(rep)))
    });
    give_once(caller, to, handle);
}

/// Fields behind a body are dropped: CGI has no place for them.
#[unsafe(export_name = "wasi:http/types#[static]outgoing-body.finish")]
extern "C" fn finish(caller: Caller, this: u32, has_trailers: u32, trailers: u32, to: u32) {
    let Object::OutgoingBody(body) = objects::take(handles::take(caller, Kind::OutgoingBody, this))
    else {
        trap()
    };
    match has_trailers {
        0 => {}
        1 => drop(taken(caller, trailers)),
        _ => trap(),
    }
    let written = body.body.0.get();
    let is_whole = written.expected.is_none_or(|expected| expected == written.length);
    written.is_broken = !is_whole;
    finished(written);
    let error = (written.part.size_error(), written.length);
    answer_size(caller, to, if is_whole { Ok(()) } else { Err(error) });
}

/// Gives the answer, or says why there is none: then it is a server's error, and why stands on
/// standard error.
#[unsafe(export_name = "wasi:http/types#[static]response-outparam.set")]
extern "C" fn set(
    caller: Caller,
    this: u32,
    is_error: u32,
    given: u32,
    _: u32,
    _: u64,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
) {
    let outparam = handles::take(caller, Kind::ResponseOutparam, this);
    objects::remove(outparam);
    let state = STATE.get();
    match is_error {
        0 => {
            let response = handles::take(caller, Kind::OutgoingResponse, given);
            let Object::OutgoingResponse(response) = objects::take(response) else { trap() };
            let sent = write_all(1, &head(response.status, &response.fields));
            let sent =
                sent.and_then(|()| response.body.as_ref().map_or(Ok(()), |body| body.send()));
            if sent.is_err() {
                fail("the answer cannot be written\n");
            }
            state.answer = response.body.map_or(Answer::Whole, Answer::Begun);
        }
        1 => {
            let why = format!("the handler answered with the error {}\n", name(given));
            let _ = write_all(2, why.as_bytes());
            if write_all(1, &head(500, &List::new())).is_err() {
                fail("the answer cannot be written\n");
            }
            state.answer = Answer::Whole;
        }
        _ => trap(),
    }
}

/// The head of an answer. A field that is called as CGI's own is left out: it would say another
/// status.
fn head(status: u32, fields: &List) -> Vec<u8> {
    let mut head = format!("Status: {status}\r\n").into_bytes();
    for (name, value) in fields.iter().filter(|(name, _)| name != "status") {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}
