//! Hosts, and endpoints: a host with a port.
//!
//! Guarantees one spelling for each: names in lower case without a dot at the end, IPv4
//! addresses that hide in IPv6 ones (`::ffff:127.0.0.1`) as the IPv4 addresses they are. Text
//! that some resolvers take for an address and others for a name (`127.1`, `0x7f000001`) is
//! neither here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name of a host, in bytes (RFC 1035).
const NAME_BYTES_MAX: usize = 253;
/// Longest part of it between dots, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// A name or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A name, in lower case, that no resolver takes for an address.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address that is no IPv4 address in disguise.
    V6(Ipv6Addr),
}

/// Why text is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// There is none.
    Empty,
    /// Longer than names are, or a part of it is.
    Long,
    /// Nothing between two dots.
    EmptyLabel,
    /// A character that names have not.
    Character(char),
    /// It ends like an address and is none in the usual form.
    Number,
    /// What is in brackets is no IPv6 address.
    V6,
}

impl fmt::Display for HostError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("there is no host"),
            Self::Long => {
                formatter.write_str("the host is longer than 253 bytes, or a part of it than 63")
            }
            Self::EmptyLabel => formatter.write_str("the host has nothing between two dots"),
            Self::Character(letter) if !letter.is_ascii() => write!(
                formatter,
                "the host has a letter {letter:?}; write such names in their form in ASCII (xn--…)"
            ),
            Self::Character(letter) => write!(formatter, "the host has a {letter:?}"),
            Self::Number => formatter.write_str(
                "the host ends in a number and is no address; addresses are four decimal numbers",
            ),
            Self::V6 => formatter.write_str("what is in brackets is no IPv6 address"),
        }
    }
}

impl std::error::Error for HostError {}

impl Host {
    /// Reads a name, an IPv4 address, or an IPv6 address in brackets.
    ///
    /// # Errors
    /// [`HostError`].
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if let Some(rest) = text.strip_prefix('[') {
            let address = rest.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
            return address.map(|address| Self::from(IpAddr::V6(address))).ok_or(HostError::V6);
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::V4(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(HostError::Long);
        }
        let is_letter =
            |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        if let Some(letter) = name.chars().find(|letter| !is_letter(*letter)) {
            return Err(HostError::Character(letter));
        }
        let mut last = "";
        for label in name.split('.') {
            match label.len() {
                0 => return Err(HostError::EmptyLabel),
                1..=LABEL_BYTES_MAX => last = label,
                _ => return Err(HostError::Long),
            }
        }
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
            || last.len() >= 2 && last.as_bytes()[..2].eq_ignore_ascii_case(b"0x");
        if is_number {
            return Err(HostError::Number);
        }
        Ok(Self::Name(name.to_ascii_lowercase()))
    }

    /// The address, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// Whether it is one of the names that stand for this machine alone (RFC 6761).
    #[must_use]
    pub fn is_localhost(&self) -> bool {
        matches!(self, Self::Name(name) if name == "localhost" || name.ends_with(".localhost"))
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::V4(address) => address.fmt(formatter),
            Self::V6(address) => write!(formatter, "[{address}]"),
        }
    }
}

/// A host and a port of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// Why text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// What stands before the last colon is no host.
    Host(HostError),
    /// There is no colon with a number up to 65535 behind it.
    Port,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => error.fmt(formatter),
            Self::Port => formatter
                .write_str("a host, a colon and a port up to 65535 are wanted: example.org:443"),
        }
    }
}

impl std::error::Error for EndpointError {}

impl Endpoint {
    /// Reads `host:port` or `[v6]:port`. Port 0 is taken: a listener on it gets any.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let (host, port) = text.rsplit_once(':').ok_or(EndpointError::Port)?;
        let port = parse_port(port).ok_or(EndpointError::Port)?;
        Ok(Self { host: Host::parse(host).map_err(EndpointError::Host)?, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// Reads a port: up to five digits, and nothing else.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    let is_number = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_has_one_spelling() {
        for (text, spelled) in [
            ("example.org", "example.org"),
            ("EXAMPLE.Org.", "example.org"),
            ("a_b-c.example", "a_b-c.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("[::ffff:127.0.0.1]", "127.0.0.1"),
            ("[::FFFF:7f00:1]", "127.0.0.1"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(Host::parse(text).unwrap().to_string(), spelled, "{text}");
        }
    }

    #[test]
    fn what_resolvers_disagree_about_is_no_host() {
        for (text, error) in [
            ("", HostError::Empty),
            (".", HostError::Empty),
            ("127.1", HostError::Number),
            ("2130706433", HostError::Number),
            ("0x7f000001", HostError::Number),
            ("0x7f.1", HostError::Number),
            ("127.0.0.01", HostError::Number),
            ("127.0.0.1.", HostError::Number),
            ("1.2.3.4.5", HostError::Number),
            ("a.0X1", HostError::Number),
            ("a..b", HostError::EmptyLabel),
            (".a", HostError::EmptyLabel),
            ("a b", HostError::Character(' ')),
            ("a@b", HostError::Character('@')),
            ("a%2eb", HostError::Character('%')),
            ("a\0b", HostError::Character('\0')),
            ("bücher.example", HostError::Character('ü')),
            ("::1", HostError::Character(':')),
            ("[::1", HostError::V6),
            ("[127.0.0.1]", HostError::V6),
            ("[fe80::1%eth0]", HostError::V6),
            ("[]", HostError::V6),
        ] {
            assert_eq!(Host::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Host::parse(&"a.".repeat(127)), Host::parse(&"a.".repeat(127)[..253]));
        assert_eq!(Host::parse(&"a.".repeat(200)), Err(HostError::Long));
        assert_eq!(Host::parse(&"a".repeat(64)), Err(HostError::Long));
    }

    #[test]
    fn endpoints_have_a_port() {
        for (text, spelled) in [
            ("Example.org:443", "example.org:443"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:65535", "[::1]:65535"),
            ("a:00080", "a:80"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), spelled);
        }
        for text in ["a", "a:", "a:65536", "a:-1", "a:+1", "a: 1", "a:000080", "[::1]", ""] {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(
                matches!(error, EndpointError::Port | EndpointError::Host(HostError::Character(_))),
                "{text}: {error}"
            );
        }
        assert!(matches!(Endpoint::parse("::1:80"), Err(EndpointError::Host(_))));
    }
}
