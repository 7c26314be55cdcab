//! `wasi:http` of a component that answers requests, in terms of CGI (RFC 3875).
//!
//! The program that `bls-compile` makes of a component with `wasi:http/incoming-handler` is begun
//! once for each request. The request is in variables (section 4.1) and on standard input, the
//! answer goes to standard output (section 6.2) as it is written:
//!
//! ```text
//! begin ─ request, outparam ─► the component's handle ─► end
//!                               set: "Status: 200\r\n", fields, an empty line; then the body
//! ```
//!
//! Names of fields are in lower case; what stands in a variable twice is one field. Which fields
//! are forbidden, and what an error is, is as in wasmtime. Requests of the program's own
//! (`wasi:http/outgoing-handler`) are in the one of the two modules that is for programs which
//! make any (`--cfg network`).

mod errors;
mod fields;
mod request;
mod response;

#[cfg_attr(not(network), path = "http/none.rs")]
mod outgoing;

pub(crate) use fields::Fields;
pub(crate) use outgoing::{Awaited, Received};
#[cfg(network)]
pub(crate) use outgoing::{Future, IncomingResponse};
pub(crate) use request::{IncomingBody, IncomingRequest, OutgoingRequest, Source, Timeouts};
pub(crate) use response::{Body, OutgoingBody, OutgoingResponse};

use crate::guest::Caller;
use crate::objects::{self, Kind, Object};
use crate::{Only, handles, preview1, trap};
use alloc::rc::Rc;
use alloc::vec::Vec;

/// Variables of a request (RFC 3875, section 4.1), and two that servers add; beside these, all
/// that begin with `HTTP_`.
const VARIABLES: [&str; 21] = [
    "AUTH_TYPE",
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "GATEWAY_INTERFACE",
    "HTTPS",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REMOTE_HOST",
    "REMOTE_IDENT",
    "REMOTE_PORT",
    "REMOTE_USER",
    "REQUEST_METHOD",
    "REQUEST_SCHEME",
    "REQUEST_URI",
    "SCRIPT_NAME",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
];
/// What is said where there is no request.
const NO_REQUEST: &str = "this program answers requests by HTTP: run it by bls-serve or another \
     server that speaks CGI, or set REQUEST_METHOD=GET and REQUEST_URI=/\n";

/// What is known of the answer.
enum Answer {
    /// Nobody has given one.
    None,
    /// Its head was written, and it has no body.
    Whole,
    /// Its head was written, and this is its body.
    Begun(Rc<Body>),
}

struct State {
    /// `NAME=value`, of the request; nothing where the program answers none.
    variables: Option<Vec<Vec<u8>>>,
    answer: Answer,
}

static STATE: Only<State> = Only::new(State { variables: None, answer: Answer::None });

/// Whether the program answers a request.
pub(crate) fn is_serving() -> bool {
    STATE.get().variables.is_some()
}

/// Whether a variable, `NAME=value`, says something of the request.
pub(crate) fn is_of_request(variable: &[u8]) -> bool {
    let name = variable.split(|byte| *byte == b'=').next().unwrap_or_default();
    name.starts_with(b"HTTP_") || VARIABLES.iter().any(|one| one.as_bytes() == name)
}

/// Writes all of it to standard output or error; whether that went.
fn write_all(fd: u32, mut bytes: &[u8]) -> Result<(), preview1::Errno> {
    while !bytes.is_empty() {
        let count = preview1::write(fd, bytes, None)?;
        if count == 0 {
            return Err(preview1::PIPE);
        }
        bytes = bytes.get(count..).unwrap_or_default();
    }
    Ok(())
}

/// Ends the program as one that did not answer.
fn fail(why: &str) -> ! {
    let _ = write_all(2, why.as_bytes());
    preview1::exit(1)
}

#[unsafe(export_name = "http#begin")]
extern "C" fn begin() {
    let mut variables = preview1::texts(true);
    variables.retain(|variable| is_of_request(variable));
    if !variables.iter().any(|variable| variable.starts_with(b"REQUEST_METHOD=")) {
        fail(NO_REQUEST);
    }
    STATE.get().variables = Some(variables);
}

/// A handle of the request.
#[unsafe(export_name = "http#request")]
extern "C" fn request(caller: Caller) -> u32 {
    let variables = STATE.get().variables.as_deref().unwrap_or_default();
    let request = Object::IncomingRequest(IncomingRequest::of(variables));
    handles::own(caller, Kind::IncomingRequest, objects::insert(request))
}

/// A handle of where the answer goes.
#[unsafe(export_name = "http#outparam")]
extern "C" fn outparam(caller: Caller) -> u32 {
    handles::own(caller, Kind::ResponseOutparam, objects::insert(Object::ResponseOutparam))
}

/// The handler has returned. One that gave no answer is exit code 1; one whose answer is not whole
/// is a trap, for a server must not take what there is for all of it.
#[unsafe(export_name = "http#end")]
extern "C" fn end() {
    match &STATE.get().answer {
        Answer::None => fail("the handler returned without an answer\n"),
        Answer::Begun(body) if body.is_broken() => {
            let _ = write_all(2, b"the handler did not finish the body of its answer\n");
            trap()
        }
        Answer::Begun(_) | Answer::Whole => {}
    }
}
