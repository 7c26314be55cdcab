//! From a guest's output to a response (RFC 3875, 6).
//!
//! What a guest writes is a stranger's. Guarantees that each of its lines becomes one header or
//! none at all: names are tokens, values hold no control characters, so that no header and no
//! second response can be smuggled in; and that nothing is said about the connection, which is
//! not the guest's. Deviates from the RFC in one way: a redirect to a place of this server
//! (`Location: /path`) is given to the client, and not followed here.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use std::fmt;

/// Most bytes of all headers, and most headers.
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;

/// Headers that are not a guest's to set.
const NOT_ITS_OWN: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
];

/// Why output is no response, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    Empty,
    NoEnd,
    TooLong,
    TooMany,
    Line,
    Status,
    Location,
    Twice,
    NothingOfCgi,
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "the guest wrote nothing",
            Self::NoEnd => "no empty line ends the headers of what the guest wrote",
            Self::TooLong => "the guest's headers are longer than 64 KiB",
            Self::TooMany => "the guest wrote more than 100 headers",
            Self::Line => "a line of the guest's headers is none",
            Self::Status => "the guest's Status is none from 200 to 599",
            Self::Location => "the guest's Location is no URL",
            Self::Twice => "the guest wrote a header of CGI twice",
            Self::NothingOfCgi => "the guest wrote no Content-Type, Location or Status",
        })
    }
}

/// The lines up to the first empty one, and what is behind it.
fn split(output: &Bytes) -> Result<(Vec<&[u8]>, Bytes), Malformed> {
    if output.is_empty() {
        return Err(Malformed::Empty);
    }
    let mut lines = Vec::new();
    let mut rest = &output[..];
    let head_bytes = |rest: &[u8]| output.len() - rest.len();
    loop {
        let end = rest.iter().take(HEAD_BYTES_MAX).position(|byte| *byte == b'\n');
        let end = end.filter(|end| head_bytes(rest) + end <= HEAD_BYTES_MAX);
        let Some(end) = end else {
            let is_long = output.len() > HEAD_BYTES_MAX;
            return Err(if is_long { Malformed::TooLong } else { Malformed::NoEnd });
        };
        let (line, behind) = (&rest[..end], &rest[end + 1..]);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        rest = behind;
        if line.is_empty() {
            return Ok((lines, output.slice_ref(rest)));
        }
        if lines.len() == HEADERS_MAX {
            return Err(Malformed::TooMany);
        }
        lines.push(line);
    }
}

/// A header's name and its value, without the space around it. (A line that begins with a space,
/// to go on with the one before, has no name.)
fn header(line: &[u8]) -> Result<(HeaderName, HeaderValue), Malformed> {
    let at = line.iter().position(|byte| *byte == b':').ok_or(Malformed::Line)?;
    let name = HeaderName::from_bytes(&line[..at]).map_err(|_| Malformed::Line)?;
    let value = line[at + 1..].trim_ascii();
    let value = HeaderValue::from_bytes(value).map_err(|_| Malformed::Line)?;
    Ok((name, value))
}

/// `404 Not Found`: three digits, and perhaps words, which the version of HTTP has its own for.
fn status(value: &HeaderValue) -> Option<StatusCode> {
    let (digits, words) = value.as_bytes().split_first_chunk::<3>()?;
    let is_apart = matches!(words.first(), None | Some(b' '));
    let status = StatusCode::from_bytes(digits).ok()?;
    (is_apart && (200..600).contains(&status.as_u16())).then_some(status)
}

/// A URL with a scheme, or a path.
fn is_location(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let is_url = |byte: u8| byte.is_ascii_graphic();
    !text.is_empty() && text.bytes().all(is_url)
}

/// The response that a guest wrote.
pub(crate) fn parse(output: &Bytes) -> Result<Response<Bytes>, Malformed> {
    let (lines, body) = split(output)?;
    let mut headers = HeaderMap::with_capacity(lines.len() + 1);
    let mut wanted = None;
    let status_name = HeaderName::from_static("status");
    for line in lines {
        let (name, value) = header(line)?;
        if name == status_name {
            let status = status(&value).ok_or(Malformed::Status)?;
            if wanted.replace(status).is_some() {
                return Err(Malformed::Twice);
            }
            continue;
        }
        if NOT_ITS_OWN.contains(&name) {
            continue;
        }
        if name == header::LOCATION && !is_location(&value) {
            return Err(Malformed::Location);
        }
        let is_once = name == header::LOCATION || name == header::CONTENT_TYPE;
        if is_once && headers.contains_key(&name) {
            return Err(Malformed::Twice);
        }
        let _ = headers.append(name, value);
    }
    let location = headers.contains_key(header::LOCATION);
    if wanted.is_none() && !location && !headers.contains_key(header::CONTENT_TYPE) {
        return Err(Malformed::NothingOfCgi);
    }
    let otherwise = if location { StatusCode::FOUND } else { StatusCode::OK };
    let status = wanted.unwrap_or(otherwise);
    // These have none.
    let has_body = status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
    let mut response = Response::new(if has_body { body } else { Bytes::new() });
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(output: &str) -> Result<Response<Bytes>, Malformed> {
        parse(&Bytes::copy_from_slice(output.as_bytes()))
    }

    #[test]
    fn a_document_is_one() {
        let response = of("Content-Type: text/plain\nX-A:  b \r\n\nhello\n\nthere").expect("one");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/plain");
        assert_eq!(response.headers()["x-a"], "b");
        assert_eq!(response.body(), "hello\n\nthere");
        let response = of("Status: 404 Not Found\r\nContent-type: text/html\r\n\r\n").expect("one");
        assert_eq!((response.status().as_u16(), response.body().len()), (404, 0));
        assert_eq!(of("Status: 204\n\nbody").expect("one").body(), "");
    }

    #[test]
    fn redirects_are_the_clients() {
        for location in ["https://example.com/a?b=c", "/here"] {
            let response = of(&format!("Location: {location}\n\n")).expect("one");
            assert_eq!(response.status(), 302);
            assert_eq!(response.headers()["location"], location);
        }
        let response = of("Status: 308 x\nLocation: /there\n\n").expect("one");
        assert_eq!(response.status(), 308);
    }

    #[test]
    fn the_connection_is_not_the_guests() {
        let output = "Content-Type: a/b\nTransfer-Encoding: chunked\nConnection: close\nContent-Length: 99\nUpgrade: x\n\nabc";
        let response = of(output).expect("one");
        let names: Vec<&str> = response.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type"]);
    }

    #[test]
    fn what_is_no_response_is_refused() {
        let many = "X-A: b\n".repeat(101) + "\n";
        let long = format!("Content-Type: a/b\nX-A: {}\n\n", "b".repeat(70_000));
        for (output, why) in [
            ("", Malformed::Empty),
            ("hello", Malformed::NoEnd),
            ("Content-Type: text/plain\n", Malformed::NoEnd),
            ("Content-Type: text/plain\nhello\n\n", Malformed::Line),
            ("HTTP/1.1 200 OK\nContent-Type: a/b\n\n", Malformed::Line),
            ("Content-Type: a/b\n folded\n\n", Malformed::Line),
            ("Content-Type: a/b\nX-A: b\rSet-Cookie: c\n\n", Malformed::Line),
            ("Content-Type: a/b\nX A: b\n\n", Malformed::Line),
            ("Content-Type: a/b\nX-A: b\u{0}\n\n", Malformed::Line),
            (": b\n\n", Malformed::Line),
            ("Status: 99\n\n", Malformed::Status),
            ("Status: 101 Switching\n\n", Malformed::Status),
            ("Status: 2000\n\n", Malformed::Status),
            ("Status: 200\nStatus: 201\n\n", Malformed::Twice),
            ("Location: a b\n\n", Malformed::Location),
            ("Location:\n\n", Malformed::Location),
            ("Location: /a\nLocation: /b\n\n", Malformed::Twice),
            ("X-A: b\n\nbody", Malformed::NothingOfCgi),
            ("\nbody", Malformed::NothingOfCgi),
            (&many, Malformed::TooMany),
            (&long, Malformed::TooLong),
        ] {
            let said = of(output).map(|response| response.status());
            assert_eq!(said, Err(why), "{:?}", &output[..output.len().min(60)]);
        }
    }
}
