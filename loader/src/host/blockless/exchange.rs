//! `bls_http`: requests by HTTP as `wasi:http` has them, for the WASI 0.2 module of components
//! (`wasi02/`). Redirects are answers, and no header is added to those that are given.
//!
//! A code is one more than the number of a reason of the broker's (BROKER.md, "Answers"), also
//! where the host itself says it: `denied` before anybody is asked, `invalid` where bytes are not
//! inside the memory or a head is none, `too-long` where a buffer is too small or a request
//! longer than a frame, `too-many` where too many answers are open or there is no memory for one.
//!
//! A head, of a request or of an answer, is lines that end in a line feed:
//!
//! ```text
//! POST https://example.org/a?b        200
//! content-type:text/plain             content-type:text/plain
//! x-a:1                               x-b:2
//! ```

use super::asking::Price;
use super::{bytes, bytes_mut, copy, http, text};
use crate::host::Host;
use crate::host::errno::{Failure, Outcome};
use crate::host::memory::{Bytes, GuestMemory, Pointer};
use bls_artifact::broker::{Answer, Reason, Request};
use bls_artifact::limits::{FRAME_BYTES_MAX, PIECE_BYTES_MAX};
use bls_artifact::net::Url;

/// Bytes of a frame that are neither head nor body: more than the lengths and times in it take.
const FRAME_BYTES_REST: usize = 4096;

/// The code of a reason.
pub(super) const fn code(reason: Reason) -> u8 {
    reason as u8 + 1
}

/// A call that ends with a reason.
pub(super) const fn failure(reason: Reason) -> Failure {
    Failure::Code(code(reason))
}

/// Whether this page may be asked for.
fn judge(host: &Host, url: &str) -> Outcome<()> {
    let url = Url::parse(url).map_err(|_| failure(Reason::Url))?;
    if host.blockless.reach.allows_url(&url) { Ok(()) } else { Err(failure(Reason::Denied)) }
}

/// Says whether a page may be asked for, as far as names go, and asks nobody.
pub(crate) fn request_check(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    url: Bytes,
) -> Outcome<()> {
    host.purse.pay_text(url.length())?;
    judge(host, text(memory, url, code(Reason::Invalid))?)
}

/// A request's method, URL and headers.
type Head = (String, String, Vec<(String, Vec<u8>)>);

/// What the lines of a request's head say.
fn read_head(head: &[u8]) -> Option<Head> {
    let mut lines = head.strip_suffix(b"\n")?.split(|byte| *byte == b'\n');
    let (method, url) = std::str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        Some((std::str::from_utf8(name).ok()?.to_owned(), value.get(1..)?.to_vec()))
    };
    let headers = lines.map(header).collect::<Option<_>>()?;
    Some((method.to_owned(), url.to_owned(), headers))
}

/// Makes a request, and waits for the head of its answer. A time of 0 is the longest there is.
#[expect(clippy::too_many_arguments, reason = "the row's parameters")]
pub(crate) fn request_send(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    head: Bytes,
    body: Bytes,
    connect_ms: u32,
    first_byte_ms: u32,
    between_bytes_ms: u32,
    answer: Pointer,
) -> Outcome<()> {
    memory.check_u32(answer)?;
    host.purse.pay_text(head.length())?;
    if u64::from(head.length()) + u64::from(body.length())
        > (FRAME_BYTES_MAX - FRAME_BYTES_REST) as u64
    {
        return Err(failure(Reason::TooLong));
    }
    let invalid = code(Reason::Invalid);
    let head = read_head(bytes(memory, head, invalid)?);
    let (method, url, headers) = head.ok_or(Failure::Code(invalid))?;
    judge(host, &url)?;
    let body = bytes(memory, body, invalid)?.to_vec();
    if !host.blockless.responses.has_room() {
        return Err(failure(Reason::TooMany));
    }
    let time = |milliseconds: u32| (milliseconds != 0).then(|| milliseconds.into());
    let request = Request::Exchange {
        method,
        url,
        headers,
        body,
        connect_ms: time(connect_ms),
        first_byte_ms: time(first_byte_ms),
        between_bytes_ms: time(between_bytes_ms),
    };
    let (given, _) =
        host.ask(&request, Price::Request)?.map_err(|refusal| failure(refusal.reason))?;
    let Answer::Http { handle, status, headers, .. } = given else {
        return Err(failure(Reason::Failed));
    };
    let number = http::keep(host, handle, status, headers)?.ok_or(failure(Reason::TooMany))?;
    memory.write_u32(answer, number)
}

/// Writes the head of an answer, all of it.
pub(crate) fn response_head(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    answer: u32,
    buffer: Bytes,
    length: Pointer,
) -> Outcome<()> {
    memory.check_u32(length)?;
    let response = host.blockless.responses.get(answer).ok_or(failure(Reason::UnknownHandle))?;
    let mut head = format!("{}\n", response.status).into_bytes();
    for (name, value) in &response.headers {
        for part in [name.as_bytes(), b":", value, b"\n"] {
            head.extend_from_slice(part);
        }
    }
    host.purse.owe_transfer(head.len());
    let place = bytes_mut(memory, buffer, code(Reason::Invalid))?;
    if place.len() < head.len() {
        return Err(failure(Reason::TooLong));
    }
    let copied = copy(&head, place);
    memory.write_size(length, copied)
}

/// Writes what has come of an answer's body, and waits for its first byte; nothing is its end.
pub(crate) fn response_read(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    answer: u32,
    buffer: Bytes,
    length: Pointer,
) -> Outcome<()> {
    memory.check_u32(length)?;
    let response = host.blockless.responses.get(answer).ok_or(failure(Reason::UnknownHandle))?;
    let handle = response.handle;
    let place = bytes_mut(memory, buffer, code(Reason::Invalid))?;
    let max = place.len().min(PIECE_BYTES_MAX) as u32;
    let (given, _) = host
        .ask(&Request::Read { handle, max }, Price::Question)?
        .map_err(|refusal| failure(refusal.reason))?;
    let Answer::Bytes(piece) = given else { return Err(failure(Reason::Failed)) };
    let copied = copy(&piece, place);
    host.purse.owe_transfer(copied);
    memory.write_size(length, copied)
}

/// Ends an answer, read or not.
pub(crate) fn response_close(
    host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    answer: u32,
) -> Outcome<()> {
    if http::end(host, answer)? { Ok(()) } else { Err(failure(Reason::UnknownHandle)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_lines_and_values_are_bytes() {
        let read = read_head(b"GET http://h/\nx-a:\nx-a: b:\xff\n").unwrap();
        let headers = vec![("x-a".into(), Vec::new()), ("x-a".into(), b" b:\xff".to_vec())];
        assert_eq!(read, ("GET".into(), "http://h/".into(), headers));
        assert_eq!(read_head(b"GET http://h/\n").unwrap().2, []);
        for wrong in [
            &b""[..],
            b"\n",
            b"GET\n",
            b"GET http://h/",
            b"GET http://h/\nx-a\n",
            b"GET http://h/\n\n",
            b"GET http://h/\n\xff:a\n",
            b"G\xff http://h/\n",
        ] {
            assert_eq!(read_head(wrong), None, "{wrong:?}");
        }
    }
}
