//! `blockless_http`: a request by HTTP, and its answer read piece by piece.
//!
//! | code | is |
//! |---|---|
//! | 1 | no such handle |
//! | 2 | a buffer that is not inside the memory, or no memory for the answer's headers |
//! | 3 | a buffer that is too small for a header |
//! | 4 | no such header |
//! | 5 | text that is not UTF-8 or not inside the memory |
//! | 8 | a header whose value is not text |
//! | 9 | no URL |
//! | 10 | options that are none, or a method that is none |
//! | 11 | the request failed, or the body broke off; or headers are asked for behind the body |
//! | 12 | too many that are open |
//! | 14 | not granted |
//! | 15 | headers that are none |
//!
//! They are found in this order: the URL's text (5), the URL (9), the grant (14), options
//! (5, 10), headers (15), method (10), the request (11, 12, 14).

use super::asking::Price;
use super::{Blockless, bytes_mut, copy, json, text};
use crate::host::Host;
use crate::host::errno::{Failure, Outcome};
use crate::host::memory::{Bytes, GuestMemory, Pointer};
use bls_artifact::broker::{Answer, Reason, Request};
use bls_artifact::limits::{HEADERS_MAX, PIECE_BYTES_MAX};
use bls_artifact::net::Url;

const HANDLE: u8 = 1;
const MEMORY: u8 = 2;
const BUFFER: u8 = 3;
const NO_HEADER: u8 = 4;
const UTF8: u8 = 5;
const NOT_TEXT: u8 = 8;
const URL: u8 = 9;
const OPTIONS: u8 = 10;
const FAILED: u8 = 11;
const SESSIONS: u8 = 12;
const DENIED: u8 = 14;
const HEADERS: u8 = 15;

/// An answer that is open.
#[derive(Debug)]
pub(super) struct Response {
    /// What whoever answers calls it.
    pub(super) handle: u32,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    /// Bytes that are held for them.
    held: u64,
    /// The header that was read last, in whole.
    last: Option<String>,
    body: Body,
}

/// How far the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// Nothing of it was read.
    Whole,
    Begun,
    Ended,
    /// It broke off.
    Broken,
}

/// Makes a request, and waits until its answer begins.
pub(crate) fn http_req(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    url: Bytes,
    options: Bytes,
    handle: Pointer,
    status: Pointer,
) -> Outcome<()> {
    memory.check_u32(handle)?;
    memory.check_u32(status)?;
    host.purse.pay_text(url.length())?;
    let url = text(memory, url, UTF8)?.to_owned();
    let parsed = Url::parse(&url).map_err(|_| Failure::Code(URL))?;
    if !host.blockless.reach.allows_url(&parsed) {
        return Err(Failure::Code(DENIED));
    }
    host.purse.pay_text(options.length())?;
    let request = read_options(url, text(memory, options, UTF8)?)?;
    if !host.blockless.responses.has_room() {
        return Err(Failure::Code(SESSIONS));
    }
    let (answer, _) = host.ask(&request, Price::Request)?.map_err(|refusal| {
        Failure::Code(match refusal.reason {
            Reason::Denied => DENIED,
            Reason::Url => URL,
            Reason::Method => OPTIONS,
            Reason::Header => HEADERS,
            Reason::TooMany => SESSIONS,
            _ => FAILED,
        })
    })?;
    let Answer::Http { handle: theirs, status: code, headers, .. } = answer else {
        return Err(Failure::Code(FAILED));
    };
    let number = keep(host, theirs, code, headers)?.ok_or(Failure::Code(MEMORY))?;
    memory.write_u32(handle, number)?;
    memory.write_u32(status, code.into())
}

/// Keeps an answer open, for which there must be room: its number. None, and it is closed, where
/// there is no memory for its headers.
pub(super) fn keep(
    host: &mut Host,
    handle: u32,
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
) -> Outcome<Option<u32>> {
    let held = headers.iter().map(|(name, value)| (name.len() + value.len() + 64) as u64).sum();
    if host.holding.take(held).is_err() {
        host.close_outside(handle)?;
        return Ok(None);
    }
    let response = Response { handle, status, headers, held, last: None, body: Body::Whole };
    Ok(Some(host.blockless.responses.insert(response)))
}

/// Ends an answer, read or not; whether there is one of this number.
pub(super) fn end(host: &mut Host, number: u32) -> Outcome<bool> {
    let Some(response) = host.blockless.responses.remove(number) else { return Ok(false) };
    host.holding.give_back(response.held);
    host.close_outside(response.handle)?;
    Ok(true)
}

/// The request that options describe.
fn read_options(url: String, text: &str) -> Outcome<Request> {
    let wrong = Failure::Code;
    let options = json::members(text).ok_or_else(|| wrong(OPTIONS))?;
    let string = |name: &str, code: u8| match json::some(&options, name) {
        None => Ok(None),
        Some(text) => json::string(text).map(Some).ok_or_else(|| wrong(code)),
    };
    let method = string("method", OPTIONS)?.ok_or_else(|| wrong(OPTIONS))?;
    let body = string("body", OPTIONS)?.unwrap_or_default().into_bytes();
    let milliseconds = |name: &str| match json::some(&options, name) {
        None => Ok(None),
        Some(text) => match text.parse::<f64>() {
            Ok(seconds) if (0.0..1e9).contains(&seconds) => Ok(Some((seconds * 1000.0) as u64)),
            _ => Err(wrong(OPTIONS)),
        },
    };
    let (connect_ms, total_ms) = (milliseconds("connectTimeout")?, milliseconds("readTimeout")?);
    // A text that holds an object, as the network's own runtime wants it.
    let headers = string("headers", HEADERS)?.unwrap_or_default();
    let headers = match headers.trim() {
        "" => Vec::new(),
        headers => read_headers(headers).ok_or_else(|| wrong(HEADERS))?,
    };
    // The letters of a token (RFC 9110, section 5.6.2), and no more than anybody uses.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if method.is_empty() || method.len() > 64 || !method.bytes().all(token) {
        return Err(wrong(OPTIONS));
    }
    let method = method.to_ascii_uppercase();
    Ok(Request::Http { method, url, headers, body, connect_ms, total_ms })
}

/// The headers that an object of strings holds.
fn read_headers(text: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let headers = json::members(text)?;
    if headers.len() > HEADERS_MAX {
        return None;
    }
    let header = |(name, value): (String, &serde_json::value::RawValue)| {
        Some((name, json::string(value.get())?.into_bytes()))
    };
    headers.into_iter().map(header).collect()
}

/// Ends an answer, read or not.
pub(crate) fn http_close(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    handle: u32,
) -> Outcome<()> {
    if end(host, handle)? { Ok(()) } else { Err(Failure::Code(HANDLE)) }
}

/// Gives a header's whole value; behind that, once, nothing: programs of the network's older
/// SDK read until nothing comes.
pub(crate) fn http_read_header(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    handle: u32,
    name: Bytes,
    buffer: Bytes,
    length: Pointer,
) -> Outcome<()> {
    memory.check_u32(length)?;
    let Blockless { responses, .. } = &mut host.blockless;
    let response = responses.get(handle).ok_or(Failure::Code(HANDLE))?;
    if response.body != Body::Whole {
        return Err(Failure::Code(FAILED));
    }
    host.purse.pay_text(name.length())?;
    let name = text(memory, name, UTF8)?.to_ascii_lowercase();
    let mut headers = response.headers.iter();
    let (_, value) = headers
        .find(|(known, _)| known.eq_ignore_ascii_case(&name))
        .ok_or(Failure::Code(NO_HEADER))?;
    host.purse.owe_transfer(value.len());
    if std::str::from_utf8(value).is_err() {
        return Err(Failure::Code(NOT_TEXT));
    }
    if response.last.as_ref() == Some(&name) {
        response.last = None;
        return memory.write_u32(length, 0);
    }
    let place = bytes_mut(memory, buffer, MEMORY)?;
    if place.len() < value.len() {
        return Err(Failure::Code(BUFFER));
    }
    let copied = copy(value, place);
    response.last = Some(name);
    memory.write_size(length, copied)
}

/// Fills a buffer with the next bytes of the body, and waits for them; nothing is its end.
pub(crate) fn http_read_body(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    handle: u32,
    buffer: Bytes,
    length: Pointer,
) -> Outcome<()> {
    memory.check_u32(length)?;
    let response = host.blockless.responses.get(handle).ok_or(Failure::Code(HANDLE))?;
    let place = bytes_mut(memory, buffer, MEMORY)?;
    let (theirs, mut body) = (response.handle, response.body);
    let mut filled = 0;
    while filled < place.len() && matches!(body, Body::Whole | Body::Begun) {
        let max = (place.len() - filled).min(PIECE_BYTES_MAX) as u32;
        let asked = host.ask(&Request::Read { handle: theirs, max }, Price::Question)?;
        let Ok((Answer::Bytes(piece), _)) = asked else {
            body = Body::Broken;
            break;
        };
        filled += copy(&piece, &mut place[filled..]);
        body = if piece.len() < max as usize { Body::Ended } else { Body::Begun };
    }
    if let Some(response) = host.blockless.responses.get(handle) {
        response.body = body;
    }
    host.purse.owe_transfer(filled);
    // What came before it broke off is an answer; the trouble shows at the next call.
    if body == Body::Broken && filled == 0 && !place.is_empty() {
        return Err(Failure::Code(FAILED));
    }
    memory.write_size(length, filled)
}
