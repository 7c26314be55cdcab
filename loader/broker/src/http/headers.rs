//! Which methods and headers a guest may send.

use bls_artifact::broker::{Reason, Refusal};
use bls_artifact::limits::{HEADER_BYTES_MAX, HEADERS_MAX};
use bls_artifact::net::Url;

/// Longest value of one header that is sent, in bytes.
const VALUE_BYTES_MAX: usize = 32 << 10;
/// Longest method, in bytes.
const METHOD_BYTES_MAX: usize = 32;

/// Headers that say how a message is framed: the broker's own business. What a guest says of
/// it is left out.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that are meant for one origin.
const FOR_ONE_ORIGIN: [&str; 5] =
    ["authorization", "cookie", "cookie2", "proxy-authorization", "www-authenticate"];

/// Whether a header is meant for the origin that it was first sent to.
pub(super) fn is_for_one_origin(name: &str) -> bool {
    FOR_ONE_ORIGIN.contains(&name)
}

fn is_token(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_letter)
}

/// Whether this is a method that may be asked with.
///
/// # Errors
/// [`Reason::Method`].
pub fn check_method(method: &str) -> Result<(), Refusal> {
    let is_capital = !method.bytes().any(|byte| byte.is_ascii_lowercase());
    let is_one = is_token(method) && is_capital && method.len() <= METHOD_BYTES_MAX;
    if is_one && !matches!(method, "CONNECT" | "TRACE") {
        return Ok(());
    }
    Err(Refusal::new(Reason::Method, format_args!("{method:?} is no method that may be used")))
}

/// The headers that are sent, their names in lower case.
pub(super) fn checked(
    headers: Vec<(String, Vec<u8>)>,
    url: &Url,
) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
    let refused = |name: &str, what: &str| {
        let shown = bls_artifact::text::printable_name(name);
        Refusal::new(Reason::Header, format_args!("the header {shown:?} {what}"))
    };
    let mut kept = Vec::with_capacity(headers.len());
    let mut bytes = 0;
    for (name, value) in headers {
        if !is_token(&name) || name.len() > 256 {
            return Err(refused(&name, "has no name that headers have"));
        }
        let name = name.to_ascii_lowercase();
        let value = value.trim_ascii();
        if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
            return Err(refused(&name, "has a control character in it"));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(refused(&name, "is longer than 32 KiB"));
        }
        if name == "host" {
            // Another host on the same server is another origin, which is not what was granted.
            if !value.eq_ignore_ascii_case(url.authority().as_bytes()) {
                return Err(refused(&name, "names another host than the URL"));
            }
            continue;
        }
        if FRAMING.contains(&name.as_str()) {
            continue;
        }
        bytes += name.len() + value.len() + 4;
        kept.push((name, value.to_vec()));
    }
    if kept.len() > HEADERS_MAX - 8 || bytes > HEADER_BYTES_MAX {
        return Err(Refusal::new(Reason::Header, "there are too many headers"));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(&str, &str)]) -> Result<Vec<(String, Vec<u8>)>, Reason> {
        let headers =
            list.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        let url = Url::parse("http://h:81/").unwrap();
        checked(headers.collect(), &url).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn framing_is_left_out_and_the_rest_is_sent() {
        let sent = of(&[
            ("X-Guest", " a b "),
            ("Content-Length", "7"),
            ("transfer-encoding", "chunked"),
            ("HOST", "H:81"),
            ("x-guest", "again"),
        ]);
        let wanted = [("x-guest", "a b"), ("x-guest", "again")];
        assert_eq!(sent.unwrap(), wanted.map(|(name, value)| (name.to_owned(), value.into())));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for wrong in [
            ("", "x"),
            ("a b", "x"),
            ("a:", "x"),
            ("a", "x\r\nb: c"),
            ("a", "x\0"),
            ("ä", "x"),
            ("host", "other"),
            ("host", "h"),
        ] {
            assert_eq!(of(&[wrong]), Err(Reason::Header), "{wrong:?}");
        }
        assert_eq!(of(&[("a", &"x".repeat(40_000))]), Err(Reason::Header));
        assert_eq!(of(&[("a", "b"); 256]), Err(Reason::Header));
    }

    #[test]
    fn methods_are_tokens_in_capitals() {
        for method in ["GET", "PATCH", "PROPFIND", "M-SEARCH"] {
            assert!(check_method(method).is_ok());
        }
        for method in ["", "get", "GET /", "G\r\n", "CONNECT", "TRACE", &"A".repeat(33)] {
            assert!(check_method(method).is_err(), "{method:?}");
        }
    }
}
