//! Requests of the program's own: `wasi:http/outgoing-handler`, by the host's `bls_http`
//! (loader/src/host/blockless/exchange.rs has its codes and the form of heads).
//!
//! ```text
//! handle ─ may it be asked for? ─► no: HTTP-request-denied
//!                                  yes: a future; its body is finished, or it has none: sent
//! finish of the body ────────────► sent, and the head of the answer is waited for
//! ```
//!
//! A body is gathered, and goes out in one piece. So a request is over when its body is, or in
//! `handle`, and what waits for a future meanwhile and for nothing else would wait for ever: it
//! gets an error that says so. Redirects are answers; what may be sent and is seen is as in
//! wasmtime.

use super::errors::RESPONSE_BODY_SIZE;
use super::fields::{self, List, append, give};
use super::request::{IncomingBody, METHODS, OutgoingRequest, Source, Timeouts, Word, give_once};
use super::response::{Body, OutgoingBody, Written};
use crate::guest::{Caller, Record};
use crate::objects::{self, Kind, Object};
use crate::poll::Pollable;
use crate::preview1::{BODY_SIZE, Errno};
use crate::{Only, handles, trap};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

#[link(wasm_import_module = "bls_http")]
unsafe extern "C" {
    fn request_check(url: *const u8, length: usize) -> u32;
    fn request_send(
        head: *const u8,
        head_length: usize,
        body: *const u8,
        body_length: usize,
        connect_ms: u32,
        first_byte_ms: u32,
        between_bytes_ms: u32,
        answer: *mut u32,
    ) -> u32;
    fn response_head(answer: u32, buffer: *mut u8, room: usize, length: *mut u32) -> u32;
    fn response_read(answer: u32, buffer: *mut u8, room: usize, length: *mut u32) -> u32;
    safe fn response_close(answer: u32) -> u32;
}

/// The host's codes that mean something of their own here.
mod code {
    pub(super) const DENIED: u32 = 1;
    pub(super) const URL: u32 = 2;
    pub(super) const METHOD: u32 = 3;
    pub(super) const HEADER: u32 = 4;
    pub(super) const UNREACHABLE: u32 = 5;
    pub(super) const BROKEN: u32 = 6;
    pub(super) const TOO_LONG: u32 = 7;
    pub(super) const TOO_MANY: u32 = 8;
    pub(super) const TIMEOUT: u32 = 13;
    pub(super) const UNKNOWN_NAME: u32 = 14;
    pub(super) const CONNECTION_REFUSED: u32 = 15;
    pub(super) const CONNECT_TIMEOUT: u32 = 16;
    pub(super) const TLS: u32 = 17;
    pub(super) const CERTIFICATE: u32 = 18;
}

/// Cases of `error-code`.
mod case {
    pub(super) const DNS_ERROR: u8 = 1;
    pub(super) const DESTINATION_UNAVAILABLE: u8 = 3;
    pub(super) const DESTINATION_IP_PROHIBITED: u8 = 4;
    pub(super) const CONNECTION_REFUSED: u8 = 6;
    pub(super) const CONNECTION_TIMEOUT: u8 = 8;
    pub(super) const CONNECTION_READ_TIMEOUT: u8 = 9;
    pub(super) const CONNECTION_LIMIT_REACHED: u8 = 11;
    pub(super) const TLS_PROTOCOL_ERROR: u8 = 12;
    pub(super) const TLS_CERTIFICATE_ERROR: u8 = 13;
    pub(super) const REQUEST_DENIED: u8 = 15;
    pub(super) const REQUEST_BODY_SIZE: u8 = 17;
    pub(super) const REQUEST_METHOD_INVALID: u8 = 18;
    pub(super) const REQUEST_URI_INVALID: u8 = 19;
    pub(super) const RESPONSE_HEADER_SECTION_SIZE: u8 = 26;
    pub(super) const RESPONSE_TIMEOUT: u8 = 33;
    pub(super) const PROTOCOL_ERROR: u8 = 35;
    pub(super) const INTERNAL_ERROR: u8 = 38;
}

/// The longest body that is sent: with its head it fits into one frame of the host's.
const BODY_BYTES_MAX: usize = 15 << 20;
/// The longest head of an answer; the host's own bounds are below it.
const HEAD_BYTES_MAX: usize = 1 << 20;
/// Errors of streams that are cases of `error-code`: the case, and this.
const CASES: Errno = 2000;
const WAITS_FOR_ITSELF: &str = "the answer is waited for before the body of the request is \
     finished, and the body is sent in one piece when it is";
const HOST_FAILED: &str = "the host does not give what the request takes";

/// Why there is no answer.
struct Failure {
    case: u8,
    detail: Detail,
}

/// What a case says beside.
enum Detail {
    None,
    /// The first field of its record, or all of it.
    Text(&'static str),
    Size(u64),
}

impl Failure {
    fn of(case: u8) -> Self {
        Self { case, detail: Detail::None }
    }

    /// Of a code of the host's. `is_limited`: the program has said how long it waits.
    fn of_code(code: u32, is_limited: bool) -> Self {
        let text = |case, text| Self { case, detail: Detail::Text(text) };
        Self::of(match code {
            // By its name it is granted, or nobody would have been asked.
            code::DENIED => case::DESTINATION_IP_PROHIBITED,
            code::URL => case::REQUEST_URI_INVALID,
            code::METHOD => case::REQUEST_METHOD_INVALID,
            code::HEADER | code::BROKEN => case::PROTOCOL_ERROR,
            code::UNREACHABLE => case::DESTINATION_UNAVAILABLE,
            code::TOO_LONG => case::RESPONSE_HEADER_SECTION_SIZE,
            code::TOO_MANY => case::CONNECTION_LIMIT_REACHED,
            code::TIMEOUT if is_limited => case::CONNECTION_READ_TIMEOUT,
            code::TIMEOUT => case::RESPONSE_TIMEOUT,
            code::UNKNOWN_NAME => return text(case::DNS_ERROR, "address not available"),
            code::CONNECTION_REFUSED => case::CONNECTION_REFUSED,
            code::CONNECT_TIMEOUT => case::CONNECTION_TIMEOUT,
            code::TLS => case::TLS_PROTOCOL_ERROR,
            code::CERTIFICATE => case::TLS_CERTIFICATE_ERROR,
            _ => return text(case::INTERNAL_ERROR, HOST_FAILED),
        })
    }

    /// Writes it into a record.
    fn put<const SIZE: usize>(
        &self,
        caller: Caller,
        record: Record<SIZE>,
        at: usize,
    ) -> Record<SIZE> {
        let record = record.u8(at, self.case);
        match self.detail {
            Detail::None => record,
            Detail::Text(text) => record.u8(at + 8, 1).list(at + 12, caller.give_text(text)),
            Detail::Size(size) => record.u8(at + 8, 1).u64(at + 16, size),
        }
    }
}

/// An answer that is open at the host; nothing once its body has ended.
pub(crate) struct Received(Option<u32>);

impl Received {
    /// Reads what has come of the body, and waits for its first byte; 0 is its end.
    pub(crate) fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        let Some(answer) = self.0 else { return Ok(0) };
        let mut length = 0;
        // SAFETY: a place of that length, and one for how much of it is used.
        let code = unsafe { response_read(answer, bytes.as_mut_ptr(), bytes.len(), &mut length) };
        if code != 0 || length == 0 {
            self.close();
        }
        match code {
            0 => Ok((length as usize).min(bytes.len())),
            code::TOO_LONG => Err(CASES + Errno::from(RESPONSE_BODY_SIZE)),
            code => Err(CASES + Errno::from(Failure::of_code(code, true).case)),
        }
    }

    fn close(&mut self) {
        if let Some(answer) = self.0.take() {
            // There is nobody to tell.
            let _ = response_close(answer);
        }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.close();
    }
}

/// An answer, whose body somebody may still take.
pub(crate) struct IncomingResponse {
    status: u32,
    fields: Rc<List>,
    body: Option<Received>,
}

/// A request that is to be sent.
struct Prepared {
    /// As the host takes it.
    head: Vec<u8>,
    /// Milliseconds to connect, to the first byte, between bytes; 0 is the host's own limit.
    times: [u32; 3],
}

/// How far a request is.
enum State {
    /// Its body is not finished.
    Waiting(Prepared),
    Given(Result<IncomingResponse, Failure>),
    /// Somebody has its answer.
    Taken,
}

/// An answer, when it is there.
pub(crate) struct Future(Rc<Only<State>>);

/// A future that is waited for, by its number: what waits needs it.
#[derive(Clone, Copy)]
pub(crate) struct Awaited(u32);

impl Awaited {
    fn state(self) -> &'static mut State {
        match objects::get(self.0) {
            Object::FutureIncomingResponse(Future(state)) => state.get(),
            _ => trap(),
        }
    }

    pub(crate) fn is_ready(self) -> bool {
        !matches!(self.state(), State::Waiting(_))
    }

    /// Nothing else is waited for, so that its body will never be finished.
    pub(crate) fn give_up(self) {
        let detail = Detail::Text(WAITS_FOR_ITSELF);
        *self.state() = State::Given(Err(Failure { case: case::INTERNAL_ERROR, detail }));
    }
}

/// The body that a request has given away.
#[derive(Default)]
pub(crate) struct BodyOf(Option<Rc<Body>>);

impl BodyOf {
    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn set(&mut self, body: &OutgoingBody) {
        body.body.0.get().part.is_of_request = true;
        self.0 = Some(body.body.clone());
    }
}

/// What a body is to a request.
#[derive(Default)]
pub(crate) struct Part {
    is_of_request: bool,
    /// It was finished or let go.
    is_over: bool,
    /// Whose request is sent then.
    future: Option<Rc<Only<State>>>,
}

impl Part {
    /// The error of a body that is not as long as its head says.
    pub(super) fn size_error(&self) -> Errno {
        match self.is_of_request {
            true => CASES + Errno::from(case::REQUEST_BODY_SIZE),
            false => BODY_SIZE,
        }
    }
}

/// A body was finished, or let go: its request is sent.
pub(super) fn finished(written: &mut Written) {
    written.part.is_over = true;
    let Some(future) = written.part.future.take() else { return };
    if let State::Waiting(prepared) = future.get() {
        let given = send_with(prepared, written);
        *future.get() = State::Given(given);
    }
}

/// The case of `error-code` that an error is of, where it is of any.
pub(crate) fn case(errno: Errno) -> Option<u8> {
    match errno {
        BODY_SIZE => Some(RESPONSE_BODY_SIZE),
        _ => errno.checked_sub(CASES).and_then(|case| u8::try_from(case).ok()),
    }
}

/// Sends a request with what was written of its body.
fn send_with(prepared: &Prepared, written: &mut Written) -> Result<IncomingResponse, Failure> {
    if written.is_broken {
        return Err(Failure::of(case::PROTOCOL_ERROR));
    }
    send(prepared, &written.kept.take().unwrap_or_default())
}

/// Sends a request, and waits for the head of its answer.
fn send(prepared: &Prepared, body: &[u8]) -> Result<IncomingResponse, Failure> {
    if body.len() > BODY_BYTES_MAX {
        let detail = Detail::Size(body.len() as u64);
        return Err(Failure { case: case::REQUEST_BODY_SIZE, detail });
    }
    let Prepared { head, times: [connect, first_byte, between_bytes] } = prepared;
    let mut answer = 0;
    // SAFETY: texts of their lengths, and a place for a number.
    let code = unsafe {
        request_send(
            head.as_ptr(),
            head.len(),
            body.as_ptr(),
            body.len(),
            *connect,
            *first_byte,
            *between_bytes,
            &mut answer,
        )
    };
    if code != 0 {
        return Err(Failure::of_code(code, *first_byte != 0));
    }
    let answer = Received(Some(answer));
    let head = head_of(&answer).ok_or(Failure::of(case::RESPONSE_HEADER_SECTION_SIZE))?;
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(fields::number).unwrap_or_else(|| trap()) as u32;
    let mut list = List::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        if let Some(name) = fields::name(name).filter(|name| fields::is_received(name)) {
            append(&mut list, name, value.get(1..).unwrap_or_default().to_vec());
        }
    }
    Ok(IncomingResponse { status, fields: Rc::new(list), body: Some(answer) })
}

/// The head of an answer, as the host gives it.
fn head_of(answer: &Received) -> Option<Vec<u8>> {
    let mut head = alloc::vec![0; 4096];
    while head.len() <= HEAD_BYTES_MAX {
        let mut length = 0;
        // SAFETY: a place of that length, and one for how much of it is used.
        let code = unsafe { response_head(answer.0?, head.as_mut_ptr(), head.len(), &mut length) };
        match code {
            0 => {
                head.truncate(length as usize);
                return Some(head);
            }
            code::TOO_LONG => head.resize(head.len() * 4, 0),
            _ => return None,
        }
    }
    None
}

/// The URL of a request.
fn url(request: &OutgoingRequest) -> Result<String, Failure> {
    let scheme = match &request.scheme {
        Some(Word::Case(0)) => "http",
        None | Some(Word::Case(_)) => "https",
        Some(Word::Other(_)) => return Err(Failure::of(case::PROTOCOL_ERROR)),
    };
    let authority = request.authority.as_deref().unwrap_or_default();
    let path = request.path.as_deref().unwrap_or_default();
    // What begins otherwise would belong to the host.
    if !path.is_empty() && !path.starts_with(['/', '?']) {
        return Err(Failure::of(case::REQUEST_URI_INVALID));
    }
    Ok(format!("{scheme}://{authority}{path}"))
}

/// The head of a request, once it may be asked for.
fn prepared(request: &OutgoingRequest, times: [Option<u64>; 3]) -> Result<Prepared, Failure> {
    let url = url(request)?;
    // SAFETY: a text of that length.
    match unsafe { request_check(url.as_ptr(), url.len()) } {
        0 => {}
        code::DENIED => return Err(Failure::of(case::REQUEST_DENIED)),
        code => return Err(Failure::of_code(code, false)),
    }
    let method = match &request.method {
        Word::Case(case) => METHODS.get(usize::from(*case)).copied().unwrap_or_else(|| trap()),
        Word::Other(method) => method,
    };
    let mut head = format!("{method} {url}\n").into_bytes();
    for (name, value) in request.fields.iter() {
        for part in [name.as_bytes(), b":", value, b"\n"] {
            head.extend_from_slice(part);
        }
    }
    // At least one, for 0 is the host's limit.
    let milliseconds = |time: u64| u32::try_from(time.div_ceil(1_000_000)).unwrap_or(u32::MAX);
    let times = times.map(|time| time.map_or(0, |time| milliseconds(time).max(1)));
    Ok(Prepared { head, times })
}

#[unsafe(export_name = "wasi:http/outgoing-handler#handle")]
extern "C" fn handle(caller: Caller, request: u32, has_options: u32, options: u32, to: u32) {
    let request = objects::take(handles::take(caller, Kind::OutgoingRequest, request));
    let Object::OutgoingRequest(request) = request else { trap() };
    let times = match has_options {
        0 => [None; 3],
        1 => match objects::take(handles::take(caller, Kind::RequestOptions, options)) {
            Object::RequestOptions(Timeouts(times)) => times,
            _ => trap(),
        },
        _ => trap(),
    };
    let record = match prepared(&request, times) {
        Ok(prepared) => {
            let future = Object::FutureIncomingResponse(begun(prepared, &request.body));
            let future = objects::insert(future);
            Record::new().u32(8, handles::own(caller, Kind::FutureIncomingResponse, future))
        }
        Err(failure) => failure.put(caller, Record::<40>::new().u8(0, 1), 8),
    };
    caller.record(to, 8, &record);
}

/// A request is sent, now or when its body is finished.
fn begun(prepared: Prepared, body: &BodyOf) -> Future {
    let Some(body) = &body.0 else {
        return Future(Rc::new(Only::new(State::Given(send(&prepared, &[])))));
    };
    let written = body.0.get();
    if written.part.is_over {
        return Future(Rc::new(Only::new(State::Given(send_with(&prepared, written)))));
    }
    let state = Rc::new(Only::new(State::Waiting(prepared)));
    written.part.future = Some(state.clone());
    Future(state)
}

fn future(caller: Caller, handle: u32) -> Awaited {
    Awaited(handles::rep_of(caller, Kind::FutureIncomingResponse, handle))
}

#[unsafe(export_name = "wasi:http/types#[method]future-incoming-response.subscribe")]
extern "C" fn subscribe_response(caller: Caller, this: u32) -> u32 {
    let future = future(caller, this);
    Pollable::of_answer(caller, future.0, future)
}

#[unsafe(export_name = "wasi:http/types#[method]future-incoming-response.get")]
extern "C" fn get_response(caller: Caller, this: u32, to: u32) {
    let state = future(caller, this).state();
    let record = Record::<56>::new();
    let record = match state {
        State::Waiting(_) => record,
        State::Taken => record.u8(0, 1).u8(8, 1),
        State::Given(_) => match core::mem::replace(state, State::Taken) {
            State::Given(Ok(response)) => {
                let response = objects::insert(Object::IncomingResponse(response));
                let handle = handles::own(caller, Kind::IncomingResponse, response);
                record.u8(0, 1).u32(24, handle)
            }
            State::Given(Err(failure)) => failure.put(caller, record.u8(0, 1).u8(16, 1), 24),
            _ => trap(),
        },
    };
    caller.record(to, 8, &record);
}

fn response(caller: Caller, handle: u32) -> &'static mut IncomingResponse {
    match objects::get(handles::rep_of(caller, Kind::IncomingResponse, handle)) {
        Object::IncomingResponse(response) => response,
        _ => trap(),
    }
}

#[unsafe(export_name = "wasi:http/types#[method]incoming-response.status")]
extern "C" fn status(caller: Caller, this: u32) -> u32 {
    response(caller, this).status
}

#[unsafe(export_name = "wasi:http/types#[method]incoming-response.headers")]
extern "C" fn response_headers(caller: Caller, this: u32) -> u32 {
    give(caller, &response(caller, this).fields)
}

#[unsafe(export_name = "wasi:http/types#[method]incoming-response.consume")]
extern "C" fn consume_response(caller: Caller, this: u32, to: u32) {
    let body = response(caller, this).body.take();
    let handle = body.map(|answer| {
        let body = Object::IncomingBody(IncomingBody::of(Source::Answer(answer)));
        handles::own(caller, Kind::IncomingBody, objects::insert(body))
    });
    give_once(caller, to, handle);
}
