//! What is granted of the network, or refused, in a word of a command line.
//!
//! ```text
//! *                        everything (but for what NetRules says)
//! example.org              the host, every port, by HTTP and TCP
//! example.org:443          one port of it          *:443     one port of every host
//! 127.0.0.1  [::1]:80      an address              10.0.0.0/8  [fd00::]/8   a range of them
//! https://example.org/api  by HTTPS, what is beneath a path
//! https://*                by HTTPS, every host
//! tcp://example.org:5432   by TCP and not by HTTP
//! ```

use super::address::{ends_of, kind_of};
use super::host::{Host, HostError, parse_port};
use super::path;
use super::rules::Target;
use super::url::{Scheme, Url, UrlError};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// By what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Any,
    Http(Scheme),
    Tcp,
}

/// Which hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hosts {
    All,
    One(Host),
    /// Addresses that begin with so many bits of this one.
    Range(IpAddr, u8),
}

impl Hosts {
    fn contain(&self, host: &Host) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == host,
            Self::Range(range, bits) => {
                host.address().is_some_and(|address| contains(*range, *bits, address))
            }
        }
    }
}

/// A part of the network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NetGrant {
    way: Way,
    hosts: Hosts,
    port: Option<u16>,
    /// `/` where it is all of them.
    path: String,
}

/// Why text is no grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantError {
    /// A path without a scheme; how it may be meant.
    NoScheme(String),
    /// A URL that is none.
    Url(UrlError),
    /// The host.
    Host(HostError),
    /// The port.
    Port,
    /// A range of addresses that is none, or whose address has bits behind it.
    Range,
    /// A question mark, or a path of which servers make different things.
    Path,
    /// Another scheme than http, https and tcp.
    Scheme(String),
}

impl fmt::Display for GrantError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme(text) => write!(
                formatter,
                "a path needs a scheme before the host: https://{text}"
            ),
            Self::Url(error) => error.fmt(formatter),
            Self::Host(error) => error.fmt(formatter),
            Self::Port => formatter.write_str("the port is no number from 0 to 65535"),
            Self::Range => formatter.write_str(
                "it is no range of addresses; one is written 10.0.0.0/8 or [fd00::]/8, with zeros behind the bits that count",
            ),
            Self::Path => formatter.write_str(
                "the path has a query, an encoded slash, a backslash or two slashes in it; a prefix of plain segments is wanted",
            ),
            Self::Scheme(scheme) => write!(
                formatter,
                "there is no scheme {scheme:?}; there are http, https and tcp"
            ),
        }
    }
}

impl std::error::Error for GrantError {}

impl From<HostError> for GrantError {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl NetGrant {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self { way: Way::Any, hosts: Hosts::All, port: None, path: "/".to_owned() }
    }

    /// Reads one, in any of the forms above.
    ///
    /// # Errors
    /// [`GrantError`].
    pub fn parse(text: &str) -> Result<Self, GrantError> {
        if let Some((scheme, rest)) = Scheme::of(text) {
            return Self::of_url(scheme, rest, text);
        }
        match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tcp") => {
                let grant = Self::of_host(rest.strip_suffix('/').unwrap_or(rest))?;
                Ok(Self { way: Way::Tcp, ..grant })
            }
            Some((scheme, _)) => Err(GrantError::Scheme(scheme.to_owned())),
            None => Self::of_host(text),
        }
    }

    fn of_url(scheme: Scheme, rest: &str, text: &str) -> Result<Self, GrantError> {
        let way = Way::Http(scheme);
        let (authority, rest_path) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some(port) = authority.strip_prefix('*').or(authority.is_empty().then_some("")) {
            // Every host; the path is judged as any other.
            let port = match port.strip_prefix(':') {
                Some(port) => Some(parse_port(port).ok_or(GrantError::Port)?),
                None if port.is_empty() => None,
                None => return Err(GrantError::Host(HostError::Character('*'))),
            };
            let some = Self::of_url(scheme, &format!("host/{rest_path}"), text)?;
            return Ok(Self { hosts: Hosts::All, port, ..some });
        }
        let url = Url::parse(&format!("{}://{rest}", scheme.name())).map_err(GrantError::Url)?;
        if url.query.is_some() || text.contains('#') || !path::is_plain(&url.path) {
            return Err(GrantError::Path);
        }
        Ok(Self { way, hosts: Hosts::One(url.host), port: Some(url.port), path: url.path })
    }

    fn of_host(text: &str) -> Result<Self, GrantError> {
        let grant = |hosts, port| Self { way: Way::Any, hosts, port, path: "/".to_owned() };
        if text.contains('/') {
            return Self::of_range(text).map(|hosts| grant(hosts, None));
        }
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(grant(Hosts::One(IpAddr::V6(address).into()), None));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, Some(parse_port(port).ok_or(GrantError::Port)?))
            }
            _ => (text, None),
        };
        let hosts = if host == "*" { Hosts::All } else { Hosts::One(Host::parse(host)?) };
        Ok(grant(hosts, port))
    }

    fn of_range(text: &str) -> Result<Hosts, GrantError> {
        let (address, bits) = text.split_once('/').ok_or(GrantError::Range)?;
        let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        let Ok(address) = bare.unwrap_or(address).parse::<IpAddr>() else {
            return Err(if Host::parse(address).is_ok() {
                GrantError::NoScheme(text.to_owned())
            } else {
                GrantError::Range
            });
        };
        let bits = parse_port(bits).and_then(|bits| u8::try_from(bits).ok());
        let bits = bits.filter(|bits| *bits <= width(address)).ok_or(GrantError::Range)?;
        // One that is written in the other family's form would never match.
        if masked(address, bits) != number(address) || address.to_canonical() != address {
            return Err(GrantError::Range);
        }
        if bits == width(address) {
            return Ok(Hosts::One(address.into()));
        }
        Ok(Hosts::Range(address, bits))
    }

    /// Whether everything that `other` grants is granted by this one: what a policy asks.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let way = self.way == Way::Any || self.way == other.way;
        let hosts = match (&self.hosts, &other.hosts) {
            // Everything has exceptions, which only a grant by address gives.
            (Hosts::All, Hosts::One(host)) => is_in_everything(host),
            (Hosts::All, Hosts::Range(address, bits)) => {
                !exceptions().any(|(one, length)| overlap((*address, *bits), (one, length)))
            }
            (Hosts::Range(one, bits), Hosts::Range(other, others)) => {
                bits <= others && contains(*one, *bits, *other)
            }
            (Hosts::Range(range, bits), Hosts::One(host)) => {
                host.address().is_some_and(|address| contains(*range, *bits, address))
            }
            (one, other) => one == other,
        };
        let port = self.port.is_none() || self.port == other.port;
        way && hosts && port && path::is_beneath(&other.path, &self.path)
    }

    /// Whether it grants `target`.
    pub(super) fn grants(&self, target: &Target<'_>) -> bool {
        let in_all = self.hosts != Hosts::All || is_in_everything(target.host());
        in_all && self.fits(target, path::is_beneath)
    }

    /// Whether it is about `target`, for a rule that refuses: also where it may be, and where a
    /// connection to the address may end at another that it is about.
    pub(super) fn refuses(&self, target: &Target<'_>) -> bool {
        let is_about = match target.host().address() {
            Some(address) => {
                ends_of(address).into_iter().any(|end| self.hosts.contain(&end.into()))
            }
            None => self.hosts.contain(target.host()),
        };
        is_about && self.refuses_at_its_hosts(target)
    }

    /// Whether it refuses a listener on all of a machine's addresses, which it may have any of:
    /// whether it is about an address, of IPv4 or (where `and_v6`) of IPv6 too, and this port.
    pub(super) fn refuses_some_of(&self, target: &Target<'_>, and_v6: bool) -> bool {
        let is_about = match &self.hosts {
            Hosts::All => true,
            Hosts::Range(address, _) => and_v6 || address.is_ipv4(),
            Hosts::One(host) => {
                host.is_localhost()
                    || host.address().is_some_and(|address| and_v6 || address.is_ipv4())
            }
        };
        is_about && self.refuses_at_its_hosts(target)
    }

    /// The same of a target whose host it is about.
    fn refuses_at_its_hosts(&self, target: &Target<'_>) -> bool {
        // Whoever may speak TCP to a port may speak HTTP to it.
        let as_tcp = matches!((self.way, target), (Way::Http(_), Target::Endpoint(_)));
        let as_it_is = self.fits_way(target) && self.fits_path(target, path::may_be_beneath);
        (as_tcp || as_it_is) && self.fits_port(target)
    }

    fn fits(&self, target: &Target<'_>, is_beneath: fn(&str, &str) -> bool) -> bool {
        self.fits_way(target)
            && self.hosts.contain(target.host())
            && self.fits_port(target)
            && self.fits_path(target, is_beneath)
    }

    fn fits_way(&self, target: &Target<'_>) -> bool {
        match (self.way, target) {
            (Way::Any, _) | (Way::Tcp, Target::Endpoint(_)) => true,
            (Way::Http(scheme), Target::Url(url)) => scheme == url.scheme,
            _ => false,
        }
    }

    fn fits_port(&self, target: &Target<'_>) -> bool {
        self.port.is_none_or(|port| port == target.port())
    }

    fn fits_path(&self, target: &Target<'_>, is_beneath: fn(&str, &str) -> bool) -> bool {
        match target {
            Target::Url(url) => is_beneath(&url.path, &self.path),
            Target::Endpoint(_) => self.path == "/",
        }
    }

    /// Whether it says which hosts it is about.
    pub(super) fn names_hosts(&self) -> bool {
        self.hosts != Hosts::All
    }

    /// The one port that it is about, if it says so.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it may be about HTTP.
    #[must_use]
    pub fn is_http(&self) -> bool {
        self.way != Way::Tcp
    }

    /// Whether it may be about TCP.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        !matches!(self.way, Way::Http(_))
    }
}

impl fmt::Display for NetGrant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.way {
            Way::Any => {}
            Way::Http(scheme) => write!(formatter, "{}://", scheme.name())?,
            Way::Tcp => formatter.write_str("tcp://")?,
        }
        match &self.hosts {
            Hosts::All => formatter.write_str("*")?,
            Hosts::One(host) => host.fmt(formatter)?,
            Hosts::Range(IpAddr::V4(address), bits) => write!(formatter, "{address}/{bits}")?,
            Hosts::Range(IpAddr::V6(address), bits) => write!(formatter, "[{address}]/{bits}")?,
        }
        let own = match (self.way, &self.hosts) {
            (Way::Http(scheme), Hosts::One(_)) => Some(scheme.port()),
            _ => None,
        };
        if let Some(port) = self.port.filter(|port| Some(*port) != own) {
            write!(formatter, ":{port}")?;
        }
        if self.path == "/" { Ok(()) } else { formatter.write_str(&self.path) }
    }
}

/// Whether a grant of all hosts covers this one: every name, and most addresses.
fn is_in_everything(host: &Host) -> bool {
    host.address().is_none_or(|address| kind_of(address).is_in_everything())
}

/// Ranges of which a grant of everything does not cover all.
fn exceptions() -> impl Iterator<Item = (IpAddr, u8)> {
    const V4: [([u8; 4], u8); 9] = [
        ([169, 254, 0, 0], 16),
        ([192, 0, 0, 0], 22),
        ([100, 100, 100, 200], 32),
        ([168, 63, 129, 16], 32),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        ([192, 88, 99, 0], 24),
        ([224, 0, 0, 0], 3),
    ];
    // Nearly all of IPv6 is reserved: a range there is named, or it is not covered.
    let v6 = (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
    V4.into_iter().map(|(address, bits)| (IpAddr::from(address), bits)).chain([v6])
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address as a number whose highest bits come first, whatever its width.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Its first `bits`, and zeros.
fn masked(address: IpAddr, bits: u8) -> u128 {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    number(address) & mask
}

fn contains(range: IpAddr, bits: u8, address: IpAddr) -> bool {
    let address = address.to_canonical();
    range.is_ipv4() == address.is_ipv4() && masked(address, bits) == number(range)
}

fn overlap((one, bits): (IpAddr, u8), (other, others): (IpAddr, u8)) -> bool {
    let least = bits.min(others);
    one.is_ipv4() == other.is_ipv4() && masked(one, least) == masked(other, least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_written_as_it_is_read() {
        for (text, spelled) in [
            ("*", "*"),
            ("*:443", "*:443"),
            ("Example.ORG", "example.org"),
            ("example.org:80", "example.org:80"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "[::1]"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]:80"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("[fd00::]/8", "[fd00::]/8"),
            ("fd00::/8", "[fd00::]/8"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("http://example.org", "http://example.org"),
            ("http://example.org:80/", "http://example.org"),
            ("HTTPS://example.org:8443/api/v1", "https://example.org:8443/api/v1"),
            ("https://example.org/a/../b/", "https://example.org/b/"),
            ("https://*", "https://*"),
            ("http://", "http://*"),
            ("http://*:8080/x", "http://*:8080/x"),
            ("tcp://example.org:5432", "tcp://example.org:5432"),
            ("tcp://example.org", "tcp://example.org"),
            ("tcp://*", "tcp://*"),
            ("tcp://10.0.0.0/8", "tcp://10.0.0.0/8"),
        ] {
            let grant = NetGrant::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(grant.to_string(), spelled, "{text}");
            assert_eq!(NetGrant::parse(spelled).as_ref(), Ok(&grant), "{text}");
            assert!(grant.covers(&grant), "{text}");
        }
    }

    #[test]
    fn what_is_no_grant_says_why() {
        for (text, words) in [
            ("", "no host"),
            ("example.org/api", "https://example.org/api"),
            ("ftp://h", "\"ftp\""),
            ("h:99999", "port"),
            ("h:", "port"),
            ("https://h:x/", "port"),
            ("10.0.0.1/8", "zeros"),
            ("10.0.0.0/33", "range"),
            ("::ffff:10.0.0.0/104", "range"),
            ("https://h/a?b", "query"),
            ("https://h/a#b", "query"),
            ("https://h/a%2fb", "encoded"),
            ("https://h//a", "two slashes"),
            ("https://u@h/", "password"),
            ("https://*.h/", "'*'"),
            ("*.h", "'*'"),
            ("127.1", "address"),
            ("https://127.1", "address"),
        ] {
            let error = NetGrant::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn one_grant_covers_another() {
        let covers = |one: &str, other: &str| {
            NetGrant::parse(one).unwrap().covers(&NetGrant::parse(other).unwrap())
        };
        for (one, other) in [
            ("*", "example.org"),
            ("*", "https://example.org/a"),
            ("*", "127.0.0.1"),
            ("*", "10.0.0.0/8"),
            ("*", "*:443"),
            ("*", "https://*"),
            ("example.org", "example.org:443"),
            ("example.org", "https://example.org"),
            ("example.org:443", "https://example.org/a"),
            ("https://example.org/a", "https://example.org/a/b"),
            ("https://*", "https://example.org:8443"),
            ("10.0.0.0/8", "10.1.0.0/16"),
            ("10.0.0.0/8", "http://10.2.3.4"),
            ("tcp://h", "tcp://h:80"),
            ("fd00::/8", "fd00:ec2::254"),
        ] {
            assert!(covers(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("example.org", "*"),
            ("example.org:443", "example.org"),
            ("https://example.org", "example.org:443"),
            ("https://example.org", "http://example.org"),
            ("https://example.org/a", "https://example.org/ab"),
            ("https://example.org/a", "https://example.org"),
            ("tcp://h:80", "http://h:80"),
            ("tcp://h:80", "h:80"),
            ("10.1.0.0/16", "10.0.0.0/8"),
            ("10.0.0.0/8", "example.org"),
            ("*", "169.254.169.254"),
            ("*", "169.0.0.0/8"),
            ("*", "0.0.0.0/0"),
            ("*", "[fe80::]/10"),
            ("https://*", "*"),
        ] {
            assert!(!covers(one, other), "{one} {other}");
        }
    }
}
