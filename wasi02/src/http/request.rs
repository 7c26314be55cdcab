//! Requests: the one that is answered, out of its variables, and those that a program prepares.

use super::fields::{self, List, append, content_length, give, name, number};
use super::outgoing::{BodyOf, Received};
use super::response::OutgoingBody;
use crate::guest::{Caller, Record};
use crate::objects::{self, Kind, Object};
use crate::poll::Pollable;
use crate::streams::Input;
use crate::{handles, trap};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// The methods that have a case of their own, in their order; then comes `other`.
pub(super) const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
/// The same of schemes.
const SCHEMES: [&str; 2] = ["HTTP", "HTTPS"];

/// A case, or a word of its own.
#[derive(Clone)]
pub(super) enum Word {
    Case(u8),
    Other(String),
}

/// The request that is answered.
pub(crate) struct IncomingRequest {
    method: Word,
    path: String,
    scheme: Word,
    authority: String,
    fields: Rc<List>,
    /// The length of its body, until somebody takes it.
    body: Option<u64>,
}

/// The body of a message that a program gets.
pub(crate) struct IncomingBody {
    /// Where it comes from, until somebody reads it.
    left: Option<Source>,
}

/// Where a body comes from.
pub(crate) enum Source {
    /// So much of standard input: that of the request that is answered.
    Request(u64),
    /// The host: that of an answer to a request of the program's own.
    Answer(Received),
}

/// A request that a program prepares.
pub(crate) struct OutgoingRequest {
    pub(super) method: Word,
    pub(super) path: Option<String>,
    pub(super) scheme: Option<Word>,
    pub(super) authority: Option<String>,
    pub(super) fields: Rc<List>,
    pub(super) body: BodyOf,
}

/// How long a request may take, in nanoseconds: to connect, to its first byte, between bytes.
pub(crate) struct Timeouts(pub(super) [Option<u64>; 3]);

impl IncomingRequest {
    /// The request that variables describe.
    pub(super) fn of(variables: &[Vec<u8>]) -> Self {
        let value = |wanted: &str| {
            let is_it = |variable: &&Vec<u8>| {
                variable
                    .strip_prefix(wanted.as_bytes())
                    .is_some_and(|rest| rest.first() == Some(&b'='))
            };
            let found = variables.iter().find(is_it)?;
            found.get(wanted.len() + 1..).map(<[u8]>::to_vec)
        };
        let text = |wanted| value(wanted).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let method = text("REQUEST_METHOD").unwrap_or_default();
        let length = value("CONTENT_LENGTH").filter(|length| !length.is_empty());
        let mut list = List::new();
        let mut host = None;
        for variable in variables {
            let Some(at) = variable.iter().position(|byte| *byte == b'=') else { continue };
            let (variable, value) = (&variable[..at], variable[at + 1..].to_vec());
            let field = match variable {
                b"CONTENT_LENGTH" | b"CONTENT_TYPE" if value.is_empty() => continue,
                b"CONTENT_LENGTH" | b"CONTENT_TYPE" => variable,
                _ => match variable.strip_prefix(b"HTTP_") {
                    Some(rest) => rest,
                    None => continue,
                },
            };
            let field: Vec<u8> =
                field.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
            let Some(field) = name(&field) else { continue };
            if field == "host" {
                host = Some(String::from_utf8_lossy(&value).into_owned());
            }
            if fields::is_received(&field) {
                append(&mut list, field, value);
            }
        }
        let is_secure = text("HTTPS").is_some_and(|word| !matches!(&*word, "" | "off"));
        let is_secure = is_secure || text("REQUEST_SCHEME").is_some_and(|word| word == "https");
        let authority = host.unwrap_or_else(|| {
            let server = text("SERVER_NAME").unwrap_or_default();
            match text("SERVER_PORT").filter(|port| !port.is_empty()) {
                Some(port) => format!("{server}:{port}"),
                None => server,
            }
        });
        let path = text("REQUEST_URI").filter(|target| !target.is_empty());
        let path = path.unwrap_or_else(|| {
            let mut path = String::new();
            for part in ["SCRIPT_NAME", "PATH_INFO"] {
                escape(&value(part).unwrap_or_default(), &mut path);
            }
            if path.is_empty() {
                path.push('/');
            }
            if let Some(query) = text("QUERY_STRING").filter(|query| !query.is_empty()) {
                path.push('?');
                path.push_str(&query);
            }
            path
        });
        Self {
            method: word(&METHODS, method),
            path,
            scheme: Word::Case(is_secure.into()),
            authority,
            fields: Rc::new(list),
            body: Some(length.and_then(|length| number(&length)).unwrap_or(0)),
        }
    }
}

impl IncomingBody {
    pub(super) fn of(source: Source) -> Self {
        Self { left: Some(source) }
    }
}

/// A path as it stands in a URL: a server gives it without escapes (RFC 3875, section 4.1.5).
fn escape(path: &[u8], to: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in path {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(byte) {
            to.push(char::from(*byte));
        } else {
            to.push('%');
            for digit in [byte >> 4, byte & 15] {
                to.push(char::from(HEX[usize::from(digit)]));
            }
        }
    }
}

/// The case of a word.
fn word(cases: &[&str], text: String) -> Word {
    match cases.iter().position(|one| *one == text) {
        Some(at) => Word::Case(at as u8),
        None => Word::Other(text),
    }
}

/// A word that a program gives: its case, and a text that only the last case has. Nothing where
/// the text is no token.
fn given(caller: Caller, cases: &[&str], case: u32, from: u32, length: u32) -> Option<Word> {
    if case as usize > cases.len() {
        trap();
    }
    if (case as usize) < cases.len() {
        return Some(Word::Case(case as u8));
    }
    let text = caller.text(from, length);
    name(text.as_bytes()).map(|_| Word::Other(text))
}

/// A text that may be left out.
fn some_text(caller: Caller, is_there: u32, from: u32, length: u32) -> Option<String> {
    match is_there {
        0 => None,
        1 => Some(caller.text(from, length)),
        _ => trap(),
    }
}

/// A variant whose last case has a text: where it stands in a record.
fn put_word<const SIZE: usize>(
    caller: Caller,
    record: Record<SIZE>,
    at: usize,
    cases: usize,
    word: &Word,
) -> Record<SIZE> {
    match word {
        Word::Case(case) => record.u8(at, *case),
        Word::Other(text) => {
            let text = caller.give_text(text);
            record.u8(at, cases as u8).list(at + 4, text)
        }
    }
}

fn give_method(caller: Caller, to: u32, method: &Word) {
    let record = put_word(caller, Record::<12>::new(), 0, METHODS.len(), method);
    caller.record(to, 4, &record);
}

fn give_scheme(caller: Caller, to: u32, scheme: Option<&Word>) {
    let record = Record::<16>::new();
    let record = match scheme {
        Some(scheme) => put_word(caller, record.u8(0, 1), 4, SCHEMES.len(), scheme),
        None => record,
    };
    caller.record(to, 4, &record);
}

/// `option<string>`
fn give_option(caller: Caller, to: u32, text: Option<&str>) {
    let record = match text {
        Some(text) => {
            let text = caller.give_text(text);
            Record::<12>::new().u8(0, 1).list(4, text)
        }
        None => Record::new(),
    };
    caller.record(to, 4, &record);
}

/// `result<own<…>>`
pub(super) fn give_once(caller: Caller, to: u32, handle: Option<u32>) {
    let record = match handle {
        Some(handle) => Record::<8>::new().u32(4, handle),
        None => Record::new().u8(0, 1),
    };
    caller.record(to, 4, &record);
}

fn incoming(caller: Caller, handle: u32) -> &'static mut IncomingRequest {
    match objects::get(handles::rep_of(caller, Kind::IncomingRequest, handle)) {
        Object::IncomingRequest(request) => request,
        _ => trap(),
    }
}

fn outgoing(caller: Caller, handle: u32) -> &'static mut OutgoingRequest {
    match objects::get(handles::rep_of(caller, Kind::OutgoingRequest, handle)) {
        Object::OutgoingRequest(request) => request,
        _ => trap(),
    }
}

#[unsafe(export_name = "wasi:http/types#[method]incoming-request.method")]
extern "C" fn method(caller: Caller, this: u32, to: u32) {
    let method = incoming(caller, this).method.clone();
    give_method(caller, to, &method);
}

#[unsafe(export_name = "wasi:http/types#[method]incoming-request.path-with-query")]
extern "C" fn path(caller: Caller, this: u32, to: u32) {
    let path = incoming(caller, this).path.clone();
    give_option(caller, to, Some(&path));
}

#[unsafe(export_name = "wasi:http/types#[method]incoming-request.scheme")]
extern "C" fn scheme(caller: Caller, this: u32, to: u32) {
    let scheme = incoming(caller, this).scheme.clone();
    give_scheme(caller, to, Some(&scheme));
}

#[unsafe(export_name = "wasi:http/types#[method]incoming-request.authority")]
extern "C" fn authority(caller: Caller, this: u32, to: u32) {
    let authority = incoming(caller, this).authority.clone();
    give_option(caller, to, Some(&authority));
}

#[unsafe(export_name = "wasi:http/types#[method]incoming-request.headers")]
extern "C" fn headers(caller: Caller, this: u32) -> u32 {
    give(caller, &incoming(caller, this).fields)
}

#[unsafe(export_name = "wasi:http/types#[method]incoming-request.consume")]
extern "C" fn consume(caller: Caller, this: u32, to: u32) {
    let body = incoming(caller, this).body.take();
    let handle = body.map(|length| {
        let body = Object::IncomingBody(IncomingBody::of(Source::Request(length)));
        handles::own(caller, Kind::IncomingBody, objects::insert(body))
    });
    give_once(caller, to, handle);
}

#[unsafe(export_name = "wasi:http/types#[method]incoming-body.stream")]
extern "C" fn stream(caller: Caller, this: u32, to: u32) {
    let rep = handles::rep_of(caller, Kind::IncomingBody, this);
    let Object::IncomingBody(body) = objects::get(rep) else { trap() };
    let left = body.left.take();
    let handle = left.map(|source| {
        let input = Object::Input(Input::of_body(source));
        handles::own(caller, Kind::Input, objects::insert_child(input, Some(rep)))
    });
    give_once(caller, to, handle);
}

#[unsafe(export_name = "wasi:http/types#[static]incoming-body.finish")]
extern "C" fn finish(caller: Caller, this: u32) -> u32 {
    objects::remove(handles::take(caller, Kind::IncomingBody, this));
    let trailers = objects::insert(Object::FutureTrailers(false));
    handles::own(caller, Kind::FutureTrailers, trailers)
}

#[unsafe(export_name = "wasi:http/types#[method]future-trailers.subscribe")]
extern "C" fn subscribe_trailers(caller: Caller, this: u32) -> u32 {
    Pollable::of(caller, handles::rep_of(caller, Kind::FutureTrailers, this), false)
}

/// CGI has none: `some(ok(ok(none)))`, and the second time `some(err)`.
#[unsafe(export_name = "wasi:http/types#[method]future-trailers.get")]
extern "C" fn trailers(caller: Caller, this: u32, to: u32) {
    let rep = handles::rep_of(caller, Kind::FutureTrailers, this);
    let Object::FutureTrailers(was_told) = objects::get(rep) else { trap() };
    let record = Record::<56>::new().u8(0, 1).u8(8, u8::from(*was_told));
    *was_told = true;
    caller.record(to, 8, &record);
}

#[unsafe(export_name = "wasi:http/types#[constructor]outgoing-request")]
extern "C" fn new(caller: Caller, headers: u32) -> u32 {
    let request = OutgoingRequest {
        method: Word::Case(0),
        path: None,
        scheme: None,
        authority: None,
        fields: fields::taken(caller, headers),
        body: BodyOf::default(),
    };
    let request = objects::insert(Object::OutgoingRequest(request));
    handles::own(caller, Kind::OutgoingRequest, request)
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-request.body")]
extern "C" fn body(caller: Caller, this: u32, to: u32) {
    let request = outgoing(caller, this);
    let length = content_length(&request.fields);
    let body = match (request.body.is_some(), length) {
        (false, Ok(length)) => Some(OutgoingBody::new(length)),
        _ => None,
    };
    if let Some(body) = &body {
        request.body.set(body);
    }
    let handle = body.map(|body| {
        handles::own(caller, Kind::OutgoingBody, objects::insert(Object::OutgoingBody(body)))
    });
    give_once(caller, to, handle);
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-request.method")]
extern "C" fn method_of(caller: Caller, this: u32, to: u32) {
    let method = outgoing(caller, this).method.clone();
    give_method(caller, to, &method);
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-request.set-method")]
extern "C" fn set_method(caller: Caller, this: u32, case: u32, from: u32, length: u32) -> u32 {
    let Some(method) = given(caller, &METHODS, case, from, length) else { return 1 };
    outgoing(caller, this).method = method;
    0
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-request.path-with-query")]
extern "C" fn path_of(caller: Caller, this: u32, to: u32) {
    let path = outgoing(caller, this).path.clone();
    give_option(caller, to, path.as_deref());
}

/// Whether a text has nothing in it that no part of a URL has.
fn is_part(text: &str) -> bool {
    text.bytes().all(|byte| byte > b' ' && byte != 0x7f)
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-request.set-path-with-query")]
extern "C" fn set_path(caller: Caller, this: u32, is_there: u32, from: u32, length: u32) -> u32 {
    let path = some_text(caller, is_there, from, length);
    if path.as_ref().is_some_and(|path| !is_part(path)) {
        return 1;
    }
    outgoing(caller, this).path = path;
    0
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-request.scheme")]
extern "C" fn scheme_of(caller: Caller, this: u32, to: u32) {
    let scheme = outgoing(caller, this).scheme.clone();
    give_scheme(caller, to, scheme.as_ref());
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-request.set-scheme")]
extern "C" fn set_scheme(
    caller: Caller,
    this: u32,
    is_there: u32,
    case: u32,
    from: u32,
    length: u32,
) -> u32 {
    let scheme = match is_there {
        0 => None,
        1 => match given(caller, &SCHEMES, case, from, length) {
            None => return 1,
            some => some,
        },
        _ => trap(),
    };
    outgoing(caller, this).scheme = scheme;
    0
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-request.authority")]
extern "C" fn authority_of(caller: Caller, this: u32, to: u32) {
    let authority = outgoing(caller, this).authority.clone();
    give_option(caller, to, authority.as_deref());
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-request.set-authority")]
extern "C" fn set_authority(
    caller: Caller,
    this: u32,
    is_there: u32,
    from: u32,
    length: u32,
) -> u32 {
    let authority = some_text(caller, is_there, from, length);
    let is_one =
        |text: &String| !text.is_empty() && is_part(text) && !text.contains(['/', '?', '#']);
    if authority.as_ref().is_some_and(|text| !is_one(text)) {
        return 1;
    }
    outgoing(caller, this).authority = authority;
    0
}

#[unsafe(export_name = "wasi:http/types#[method]outgoing-request.headers")]
extern "C" fn headers_of(caller: Caller, this: u32) -> u32 {
    give(caller, &outgoing(caller, this).fields)
}

#[unsafe(export_name = "wasi:http/types#[constructor]request-options")]
extern "C" fn new_options(caller: Caller) -> u32 {
    let options = objects::insert(Object::RequestOptions(Timeouts([None; 3])));
    handles::own(caller, Kind::RequestOptions, options)
}

fn timeout(caller: Caller, handle: u32, which: usize) -> &'static mut Option<u64> {
    match objects::get(handles::rep_of(caller, Kind::RequestOptions, handle)) {
        Object::RequestOptions(Timeouts(all)) => &mut all[which],
        _ => trap(),
    }
}

fn give_timeout(caller: Caller, this: u32, which: usize, to: u32) {
    let record = match *timeout(caller, this, which) {
        Some(time) => Record::<16>::new().u8(0, 1).u64(8, time),
        None => Record::new(),
    };
    caller.record(to, 8, &record);
}

fn set_timeout(caller: Caller, this: u32, which: usize, is_there: u32, time: u64) -> u32 {
    *timeout(caller, this, which) = match is_there {
        0 => None,
        1 => Some(time),
        _ => trap(),
    };
    0
}

#[unsafe(export_name = "wasi:http/types#[method]request-options.connect-timeout")]
extern "C" fn connect_timeout(caller: Caller, this: u32, to: u32) {
    give_timeout(caller, this, 0, to);
}

#[unsafe(export_name = "wasi:http/types#[method]request-options.first-byte-timeout")]
extern "C" fn first_byte_timeout(caller: Caller, this: u32, to: u32) {
    give_timeout(caller, this, 1, to);
}

#[unsafe(export_name = "wasi:http/types#[method]request-options.between-bytes-timeout")]
extern "C" fn between_bytes_timeout(caller: Caller, this: u32, to: u32) {
    give_timeout(caller, this, 2, to);
}

#[unsafe(export_name = "wasi:http/types#[method]request-options.set-connect-timeout")]
extern "C" fn set_connect_timeout(caller: Caller, this: u32, is_there: u32, time: u64) -> u32 {
    set_timeout(caller, this, 0, is_there, time)
}

#[unsafe(export_name = "wasi:http/types#[method]request-options.set-first-byte-timeout")]
extern "C" fn set_first_byte_timeout(caller: Caller, this: u32, is_there: u32, time: u64) -> u32 {
    set_timeout(caller, this, 1, is_there, time)
}

#[unsafe(export_name = "wasi:http/types#[method]request-options.set-between-bytes-timeout")]
extern "C" fn set_between_bytes_timeout(
    caller: Caller,
    this: u32,
    is_there: u32,
    time: u64,
) -> u32 {
    set_timeout(caller, this, 2, is_there, time)
}
