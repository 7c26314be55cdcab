//! From a request to the variables of CGI (RFC 3875, 4.1).
//!
//! May assume a request that hyper took. Guarantees that a guest finds each variable once, and
//! that no header of a client's becomes a variable with another meaning: `Proxy` never is one
//! (`HTTP_PROXY` means something to many libraries), nor a name that two headers could share
//! (`A_B` and `A-B`), nor what belongs to the connection. `Authorization` is one only where the
//! operator says so. A guest's arguments hold nothing of the request: the words of 4.4 are left
//! out, for programs take options from there.

pub(crate) mod response;

use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Method, Version};
use std::net::{IpAddr, SocketAddr};

/// The variables that a guest may find beside `HTTP_…`: a policy has to allow them.
pub(crate) const VARIABLES: [&str; 15] = [
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "GATEWAY_INTERFACE",
    "PATH_INFO",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "REQUEST_METHOD",
    "REQUEST_URI",
    "SCRIPT_NAME",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
    "REQUEST_SCHEME",
];

/// What `SERVER_SOFTWARE` says.
const SOFTWARE: &str = concat!("bls-serve/", env!("CARGO_PKG_VERSION"));

/// Headers that are no variables: what belongs to the connection (RFC 9110, 7.6.1), what another
/// variable says, and what is not for the guest.
const NO_VARIABLES: [HeaderName; 12] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy"),
];

/// Where a connection came from, and where it went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// The client; `None` of a socket of this machine.
    pub(crate) client: Option<SocketAddr>,
    pub(crate) server: Option<SocketAddr>,
}

impl Ends {
    /// The client's address, as variables and the log have it. Of a socket of this machine it is
    /// this machine's.
    pub(crate) fn address(&self) -> String {
        let address = self.client.map(|client| client.ip().to_canonical());
        address.unwrap_or(IpAddr::from([127, 0, 0, 1])).to_string()
    }
}

/// Why a path is none that a guest is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPath;

/// The path, without its encoding. Refused where it is not the same to all: an encoding that is
/// none, a zero byte, a slash or backslash that is encoded, a part that is `.` or `..`.
pub(crate) fn decoded(path: &str) -> Result<Vec<u8>, BadPath> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next()), digit(bytes.next()));
                let byte = high.zip(low).map(|(high, low)| (high << 4 | low) as u8);
                byte.filter(|byte| !matches!(byte, 0 | b'/' | b'\\')).ok_or(BadPath)?
            }
            plain => plain,
        };
        decoded.push(byte);
    }
    let is_absolute = decoded.first() == Some(&b'/');
    let is_plain = |part: &[u8]| part != b"." && part != b"..";
    match is_absolute && decoded.split(|byte| *byte == b'/').all(is_plain) {
        true => Ok(decoded),
        false => Err(BadPath),
    }
}

/// What is behind `route` in a path: empty, or it begins with a `/`. `None` where the path is not
/// below it.
pub(crate) fn below<'a>(path: &'a [u8], route: &str) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(route.as_bytes())?;
    matches!(rest.first(), None | Some(b'/')).then_some(rest)
}

/// What a request is made of, beside its head.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) ends: Ends,
    /// The path of the route; empty for all paths.
    pub(crate) script_name: &'a str,
    /// What is behind it, decoded.
    pub(crate) path_info: &'a [u8],
    /// Bytes of the body.
    pub(crate) length: usize,
    pub(crate) pass_authorization: bool,
}

/// The variables of a request.
pub(crate) fn variables(head: &Parts, context: &Context<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(16 + head.headers.len());
    let mut add = |name: &str, value: &[u8]| all.push((name.into(), value.into()));
    add("GATEWAY_INTERFACE", b"CGI/1.1");
    add("SERVER_SOFTWARE", SOFTWARE.as_bytes());
    add("SERVER_PROTOCOL", protocol(head.version).as_bytes());
    add("REQUEST_SCHEME", b"http");
    add("REQUEST_METHOD", head.method.as_str().as_bytes());
    add("REQUEST_URI", uri(head).as_bytes());
    add("SCRIPT_NAME", context.script_name.as_bytes());
    add("PATH_INFO", context.path_info);
    add("QUERY_STRING", head.uri.query().unwrap_or_default().as_bytes());
    let (name, port) = server(head, &context.ends);
    add("SERVER_NAME", name.as_bytes());
    add("SERVER_PORT", port.to_string().as_bytes());
    add("REMOTE_ADDR", context.ends.address().as_bytes());
    if let Some(client) = context.ends.client {
        add("REMOTE_PORT", client.port().to_string().as_bytes());
    }
    if context.length > 0 || head.headers.contains_key(header::CONTENT_LENGTH) {
        add("CONTENT_LENGTH", context.length.to_string().as_bytes());
    }
    if let Some(kind) = head.headers.get(header::CONTENT_TYPE) {
        add("CONTENT_TYPE", kind.as_bytes());
    }
    // HTTP/2 says the host in its own way.
    if let Some(authority) = head.uri.authority().filter(|_| !head.headers.contains_key("host")) {
        add("HTTP_HOST", authority.as_str().as_bytes());
    }
    for name in head.headers.keys() {
        if let Some(variable) = variable_name(name, context.pass_authorization) {
            add(&variable, &joined(&head.headers, name));
        }
    }
    all
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

/// The path and what is behind it, as they came.
fn uri(head: &Parts) -> &str {
    head.uri.path_and_query().map_or("/", |all| all.as_str())
}

/// The name that the client knows the server by, where it is one; and the port.
pub(crate) fn server(head: &Parts, ends: &Ends) -> (String, u16) {
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or(head.uri.authority().map(|authority| authority.as_str()));
    let host = host.and_then(|host| host.parse::<http::uri::Authority>().ok());
    let port = ends.server.map_or(80, |server| server.port());
    let own = || ends.server.map_or_else(|| "localhost".into(), |server| server.ip().to_string());
    (host.map_or_else(own, |host| host.host().to_owned()), port)
}

/// The variable of a header; `None` where it is none.
fn variable_name(name: &HeaderName, pass_authorization: bool) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let text = name.as_str();
    let is_kept = name != header::AUTHORIZATION || pass_authorization;
    if !is_kept || NO_VARIABLES.contains(name) || !text.bytes().all(is_plain) {
        return None;
    }
    Some(format!("HTTP_{}", text.to_ascii_uppercase().replace('-', "_")))
}

/// The values of a header, as one.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let between: &[u8] = if name == header::COOKIE { b"; " } else { b", " };
    let values: Vec<&[u8]> = headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
    values.join(between)
}

/// Whether a guest is asked by this method: any, but what is about connections.
pub(crate) fn is_served(method: &Method) -> bool {
    method != Method::CONNECT && method != Method::TRACE
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn of(request: http::request::Builder, pass_authorization: bool) -> Vec<(String, String)> {
        let (head, ()) = request.body(()).expect("a request").into_parts();
        let ends = Ends {
            client: Some("[::ffff:10.0.0.7]:999".parse().expect("an address")),
            server: Some("127.0.0.1:8080".parse().expect("an address")),
        };
        let context = Context {
            ends,
            script_name: "/api",
            path_info: b"/a b",
            length: 3,
            pass_authorization,
        };
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let all = variables(&head, &context);
        all.into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn a_request_becomes_variables() {
        let request = Request::post("/api/a%20b?x=1&y")
            .header("host", "example.com:8080")
            .header("content-type", "text/plain")
            .header("content-length", "3")
            .header("x-one", "1")
            .header("x-one", "2")
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        let all = of(request, false);
        let value = |wanted: &str| {
            let mut found = all.iter().filter(|(name, _)| name == wanted);
            let (_, value) = found.next().unwrap_or_else(|| panic!("no {wanted}"));
            assert!(found.next().is_none(), "{wanted} twice");
            value.as_str()
        };
        for (name, wanted) in [
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("REQUEST_METHOD", "POST"),
            ("REQUEST_URI", "/api/a%20b?x=1&y"),
            ("SCRIPT_NAME", "/api"),
            ("PATH_INFO", "/a b"),
            ("QUERY_STRING", "x=1&y"),
            ("SERVER_NAME", "example.com"),
            ("SERVER_PORT", "8080"),
            ("REMOTE_ADDR", "10.0.0.7"),
            ("REMOTE_PORT", "999"),
            ("CONTENT_LENGTH", "3"),
            ("CONTENT_TYPE", "text/plain"),
            ("HTTP_HOST", "example.com:8080"),
            ("HTTP_X_ONE", "1, 2"),
            ("HTTP_COOKIE", "a=1; b=2"),
        ] {
            assert_eq!(value(name), wanted, "{name}");
        }
        let known = |name: &str| VARIABLES.contains(&name) || name.starts_with("HTTP_");
        assert!(all.iter().all(|(name, _)| known(name)), "{all:?}");
    }

    #[test]
    fn what_is_not_for_guests_is_no_variable() {
        let request = || {
            Request::get("/")
                .header("proxy", "http://evil")
                .header("authorization", "Basic x")
                .header("proxy-authorization", "Basic x")
                .header("connection", "close")
                .header("transfer-encoding", "chunked")
                .header("x_forwarded_for", "1.2.3.4")
                .header("expect", "100-continue")
        };
        let names = |all: Vec<(String, String)>| -> Vec<String> {
            all.into_iter().map(|(name, _)| name).filter(|name| name.starts_with("HTTP_")).collect()
        };
        assert_eq!(names(of(request(), false)), Vec::<String>::new());
        assert_eq!(names(of(request(), true)), ["HTTP_AUTHORIZATION"]);
    }

    #[test]
    fn a_path_is_the_same_to_all_or_refused() {
        assert_eq!(decoded("/a%20b/%c3%a4"), Ok("/a b/\u{e4}".into()));
        for path in
            ["/%", "/%4", "/%zz", "/%00", "/a%2fb", "/a%5Cb", "/a/../b", "/%2e%2E", "/.", "*", ""]
        {
            assert_eq!(decoded(path), Err(BadPath), "{path}");
        }
        assert_eq!(below(b"/api/x", "/api"), Some(&b"/x"[..]));
        assert_eq!(below(b"/api", "/api"), Some(&b""[..]));
        assert_eq!(below(b"/apix", "/api"), None);
        assert_eq!(below(b"/x", ""), Some(&b"/x"[..]));
    }
}
