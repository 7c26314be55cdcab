//! URLs of HTTP, in one spelling.
//!
//! Less is a URL here than in a browser: http and https only, nobody's name or password in it,
//! no backslashes, no control characters, hosts as [`Host`] has them. The fragment is dropped,
//! for it is never sent; what may not stand in a path or query is encoded, as browsers do.

use super::host::{Endpoint, Host, HostError, parse_port};
use super::path;
use crate::limits::URL_BYTES_MAX;
use std::fmt;

/// What a URL begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that is meant where none is named.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// The scheme, and what stands behind its `://`.
    pub(super) fn of(text: &str) -> Option<(Self, &str)> {
        [Self::Http, Self::Https].into_iter().find_map(|scheme| {
            let (start, rest) = text.split_once("://")?;
            start.eq_ignore_ascii_case(scheme.name()).then_some((scheme, rest))
        })
    }
}

/// A URL, as [`Url::parse`] leaves it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    /// http or https.
    pub scheme: Scheme,
    /// The host.
    pub host: Host,
    /// The port, the scheme's own if none was named.
    pub port: u16,
    /// The path, which begins with a slash and has no dot segments.
    pub path: String,
    /// What stands behind the question mark, if there is one.
    pub query: Option<String>,
}

/// Why text is no URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// Longer than [`URL_BYTES_MAX`].
    Long,
    /// It does not begin with `http://` or `https://`.
    Scheme,
    /// A control character or a backslash.
    Character(char),
    /// A name or a password before the host.
    User,
    /// The host.
    Host(HostError),
    /// The port is no number from 1 to 65535.
    Port,
}

impl fmt::Display for UrlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long => write!(formatter, "the URL is longer than {URL_BYTES_MAX} bytes"),
            Self::Scheme => formatter.write_str("the URL does not begin with http:// or https://"),
            Self::Character(letter) => write!(formatter, "the URL has a {letter:?}"),
            Self::User => formatter.write_str(
                "the URL has a user's name or password in it; send a header \"authorization\"",
            ),
            Self::Host(error) => write!(formatter, "in the URL {error}"),
            Self::Port => formatter.write_str("the port of the URL is no number from 1 to 65535"),
        }
    }
}

impl std::error::Error for UrlError {}

impl From<HostError> for UrlError {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl Url {
    /// Reads an absolute URL. White space around it is overlooked.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = checked(text)?;
        let (scheme, rest) = Scheme::of(text).ok_or(UrlError::Scheme)?;
        Self::of_rest(scheme, rest)
    }

    /// Reads what stands behind `//`.
    fn of_rest(scheme: Scheme, rest: &str) -> Result<Self, UrlError> {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        // A colon behind an IPv6 address's bracket, or the only one.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (authority, ""),
        };
        let port = match port {
            "" => scheme.port(),
            text => parse_port(text).filter(|port| *port != 0).ok_or(UrlError::Port)?,
        };
        Self { scheme, host: Host::parse(host)?, port, path: String::new(), query: None }
            .with_path(rest)
    }

    /// The same host with another path and query.
    fn with_path(mut self, rest: &str) -> Result<Self, UrlError> {
        let rest = rest.split('#').next().unwrap_or_default();
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        self.path = encoded(&path::without_dots(path), |byte| b"\"<>`{}".contains(&byte));
        self.query = query.map(|query| encoded(query, |byte| b"\"<>'".contains(&byte)));
        let length = self.path.len() + self.query.as_ref().map_or(0, String::len);
        if length > URL_BYTES_MAX { Err(UrlError::Long) } else { Ok(self) }
    }

    /// What a reference means on the page of this URL (RFC 3986, 5.2): where a redirect leads.
    ///
    /// # Errors
    /// [`UrlError`]; also for a reference of another scheme.
    pub fn join(&self, reference: &str) -> Result<Self, UrlError> {
        let text = checked(reference)?;
        if let Some((scheme, rest)) = Scheme::of(text) {
            return Self::of_rest(scheme, rest);
        }
        if let Some(rest) = text.strip_prefix("//") {
            return Self::of_rest(self.scheme, rest);
        }
        let start = text.split(['/', '?', '#']).next().unwrap_or_default();
        if start.contains(':') {
            return Err(UrlError::Scheme);
        }
        match text.chars().next() {
            None | Some('#') => Ok(self.clone()),
            Some('/') => self.clone().with_path(text),
            Some('?') => self.clone().with_path(&format!("{}{text}", self.path)),
            Some(_) => {
                let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                self.clone().with_path(&format!("{folder}/{text}"))
            }
        }
    }

    /// Where it connects to.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { host: self.host.clone(), port: self.port }
    }

    /// The host, and the port where it is not the scheme's own: what a header `host` says.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == self.scheme.port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Path and query: what the first line of a request names.
    #[must_use]
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// Whether scheme, host and port are the same: to whom a guest's credentials may be sent.
    #[must_use]
    pub fn is_same_origin(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}{}", self.scheme.name(), self.authority(), self.target())
    }
}

/// The text without white space around it; an error where it is none of a URL anyway.
fn checked(text: &str) -> Result<&str, UrlError> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    if text.len() > URL_BYTES_MAX {
        return Err(UrlError::Long);
    }
    let head = text.split(['?', '#']).next().unwrap_or_default();
    let is_wrong = |letter: &char| letter.is_ascii_control();
    match text.chars().find(is_wrong).or_else(|| head.chars().find(|letter| *letter == '\\')) {
        Some(letter) => Err(UrlError::Character(letter)),
        None => Ok(text),
    }
}

/// With `%XX` in the place of spaces, of what is not ASCII, and of what `is_also` says.
fn encoded(text: &str, is_also: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !is_also(byte) {
            out.push(byte as char);
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_url_has_one_spelling() {
        for (text, spelled) in [
            ("http://example.org", "http://example.org/"),
            ("HTTP://EXAMPLE.org:80/", "http://example.org/"),
            ("https://example.org:443/a", "https://example.org/a"),
            ("https://example.org:8443?x=1", "https://example.org:8443/?x=1"),
            ("http://example.org:/a", "http://example.org/a"),
            (" http://h/a b?c d#e\n", "http://h/a%20b?c%20d"),
            ("http://h/ä?ü", "http://h/%C3%A4?%C3%BC"),
            ("http://h/a/../b/./c", "http://h/b/c"),
            ("http://h/a%2e%2e/%2E%2e/b", "http://h/b"),
            ("http://h/?a=/../b", "http://h/?a=/../b"),
            ("http://h#f", "http://h/"),
            ("http://h/?", "http://h/?"),
            ("http://[::1]:80/", "http://[::1]/"),
            ("http://[::ffff:10.0.0.1]/", "http://10.0.0.1/"),
            ("http://h/<x>\"`{y}", "http://h/%3Cx%3E%22%60%7By%7D"),
            ("http://h./", "http://h/"),
            ("http://h/?a\\b", "http://h/?a\\b"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.to_string(), spelled, "{text:?}");
            assert_eq!(Url::parse(spelled).unwrap(), url);
        }
    }

    #[test]
    fn what_is_no_url_of_ours_is_named() {
        for (text, error) in [
            ("", UrlError::Scheme),
            ("example.org", UrlError::Scheme),
            ("ftp://h/", UrlError::Scheme),
            ("file:///etc/passwd", UrlError::Scheme),
            ("http:/h", UrlError::Scheme),
            ("http://", UrlError::Host(HostError::Empty)),
            ("http:///a", UrlError::Host(HostError::Empty)),
            ("http://u@h/", UrlError::User),
            ("http://u:p@h/", UrlError::User),
            ("http://good.com@evil.com/", UrlError::User),
            ("http://h:0/", UrlError::Port),
            ("http://h:65536/", UrlError::Port),
            ("http://h:8a/", UrlError::Port),
            ("http://h\\@evil/", UrlError::Character('\\')),
            ("http://h/a\\b", UrlError::Character('\\')),
            ("http://h/a\nb", UrlError::Character('\n')),
            ("http://h/\0", UrlError::Character('\0')),
            ("http://h\t/", UrlError::Character('\t')),
            ("http://127.1/", UrlError::Host(HostError::Number)),
            ("http://a b/", UrlError::Host(HostError::Character(' '))),
        ] {
            assert_eq!(Url::parse(text), Err(error), "{text:?}");
        }
        let long = format!("http://h/{}", "a".repeat(URL_BYTES_MAX));
        assert_eq!(Url::parse(&long), Err(UrlError::Long));
        let grows = format!("http://h/{}", "ä".repeat(URL_BYTES_MAX / 3));
        assert_eq!(Url::parse(&grows), Err(UrlError::Long));
    }

    #[test]
    fn references_lead_where_browsers_go() {
        let base = Url::parse("https://h:8443/a/b/c?q").unwrap();
        for (reference, spelled) in [
            ("http://other/x", "http://other/x"),
            ("//other/x", "https://other/x"),
            ("/x?y", "https://h:8443/x?y"),
            ("x", "https://h:8443/a/b/x"),
            ("../x", "https://h:8443/a/x"),
            ("../../../../x", "https://h:8443/x"),
            ("./", "https://h:8443/a/b/"),
            ("?z", "https://h:8443/a/b/c?z"),
            ("#f", "https://h:8443/a/b/c?q"),
            ("", "https://h:8443/a/b/c?q"),
            ("x/y:z", "https://h:8443/a/b/x/y:z"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), spelled, "{reference:?}");
        }
        for wrong in
            ["javascript:alert(1)", "data:,x", "file:///etc/passwd", "\\\\evil\\x", "ftp://h/"]
        {
            assert!(base.join(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn origins_are_compared_whole() {
        let url = |text| Url::parse(text).unwrap();
        assert!(url("http://h/a").is_same_origin(&url("http://H:80/b?c")));
        for other in ["https://h/", "http://h:81/", "http://i/", "http://h.i/"] {
            assert!(!url("http://h/").is_same_origin(&url(other)), "{other}");
        }
    }
}
