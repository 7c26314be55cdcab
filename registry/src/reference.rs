//! What names a place in a registry: `HOST[:PORT]/NAME[:TAG][@sha256:HEX]`.
//!
//! The host is always said: a word is never completed to a registry that nobody named. Guarantees
//! that name, tag and digest are of the forms that the distribution specification has, so that
//! each can stand in a path as it is.

use crate::error::Error;
use bls_artifact::digest::Sha256;
use bls_artifact::registry::Defect;
use std::fmt;

/// What stands before a reference where a file or a name could stand.
pub const SCHEME: &str = "oci://";
/// The tag that is meant where neither a tag nor a digest is said.
const TAG_DEFAULT: &str = "latest";
/// The longest name of a repository.
const NAME_BYTES_MAX: usize = 255;
/// The longest tag.
const TAG_BYTES_MAX: usize = 128;

/// A place in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The registry's host, and its port where one is said.
    pub host: String,
    /// The repository.
    pub name: String,
    /// The tag, where one is said or nothing else is.
    pub tag: Option<String>,
    /// The digest, where it is said: then it decides, and the tag is for people.
    pub digest: Option<Sha256>,
}

impl Reference {
    /// Reads one, with or without `oci://`.
    ///
    /// # Errors
    /// It is none: [`Defect::Reference`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::new(Defect::Reference, format!("{text:?} names no place in a registry: {why}"))
        };
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        if rest.contains("://") {
            return Err(wrong("it is written without a scheme, or with oci://"));
        }
        let (host, rest) = rest.split_once('/').ok_or_else(|| wrong("it has no repository"))?;
        if !is_host(host) {
            return Err(wrong("its first word is no host, such as ghcr.io or localhost:5000"));
        }
        let (rest, digest) = match rest.split_once('@') {
            None => (rest, None),
            Some((rest, digest)) => {
                let digest = digest.strip_prefix("sha256:").and_then(Sha256::from_hex);
                let digest =
                    digest.ok_or_else(|| wrong("its digest is not sha256: and 64 hex digits"))?;
                (rest, Some(digest))
            }
        };
        let (name, tag) = match rest.rsplit_once(':') {
            None => (rest, None),
            Some((name, tag)) => (name, Some(tag)),
        };
        if !is_name(name) {
            return Err(wrong(
                "a repository is lower-case letters, digits, and . _ - / between them",
            ));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong(
                "a tag is 1 to 128 letters, digits and . _ -, not beginning with . or -",
            ));
        }
        let name = match host {
            // What docker means by a single word there.
            "docker.io" if !name.contains('/') => format!("library/{name}"),
            _ => name.to_owned(),
        };
        let tag = match (tag, digest) {
            (None, None) => Some(TAG_DEFAULT.to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { host: host.to_owned(), name, tag, digest })
    }

    /// The same place, by this digest alone.
    #[must_use]
    pub fn by_digest(&self, digest: Sha256) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The repository, as it was named: `HOST/NAME`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.host, self.name)
    }

    /// What a manifest is asked for by: the digest where it is known.
    #[must_use]
    pub fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("sha256:{digest}"),
            (None, Some(tag)) => tag.clone(),
            (None, None) => TAG_DEFAULT.to_owned(),
        }
    }

    /// The host that answers the requests.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        match self.host.as_str() {
            "docker.io" => "registry-1.docker.io",
            host => host,
        }
    }

    /// What docker keeps credentials under.
    #[must_use]
    pub fn account(&self) -> &str {
        match self.host.as_str() {
            "docker.io" => "https://index.docker.io/v1/",
            host => host,
        }
    }

    /// Whether the registry is on this machine, so that nobody else can listen.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.host, self.name)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(formatter, "@sha256:{digest}"),
            None => Ok(()),
        }
    }
}

/// Whether a host, perhaps with a port, is this machine itself.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A name or an address, perhaps with a port, that no path begins with.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
            match (port, port.strip_prefix(':')) {
                ("", _) => return true,
                (_, Some(port)) => return is_port(port),
                _ => return false,
            }
        }
        Some(_) => return false,
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    let is_label = |label: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_letter) && !label.starts_with('-')
    };
    let is_name = name.split('.').all(is_label);
    let is_known = name == "localhost" || name.contains('.') || port.is_some();
    is_name && is_known && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Lower-case words, with `.`, `_`, `__` or dashes between them, in folders.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        let bytes = part.as_bytes();
        let mut runs = bytes.split(|byte| is_word(*byte)).filter(|run| !run.is_empty());
        bytes.first().is_some_and(|byte| is_word(*byte))
            && bytes.last().is_some_and(|byte| is_word(*byte))
            && runs.all(|run| matches!(run, b"." | b"_" | b"__") || run.iter().all(|b| *b == b'-'))
    };
    text.len() <= NAME_BYTES_MAX && text.split('/').all(is_part)
}

/// Whether a text is a tag.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=TAG_BYTES_MAX).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_host_repository_tag_and_digest() {
        let digest = "0123456789abcdef".repeat(4);
        for (text, host, name, wanted) in [
            ("ghcr.io/ann/app:1.2", "ghcr.io", "ann/app", "1.2".to_owned()),
            ("oci://localhost:5000/app", "localhost:5000", "app", "latest".to_owned()),
            ("docker.io/app", "docker.io", "library/app", "latest".to_owned()),
            ("[::1]:5000/a/b__c--d:x", "[::1]:5000", "a/b__c--d", "x".to_owned()),
            (
                &format!("r.example/a:1@sha256:{digest}"),
                "r.example",
                "a",
                format!("sha256:{digest}"),
            ),
        ] {
            let read = Reference::parse(text).unwrap();
            assert_eq!((read.host.as_str(), read.name.as_str()), (host, name), "{text}");
            assert_eq!(read.wanted(), wanted, "{text}");
            let again = Reference::parse(&read.to_string()).unwrap();
            assert_eq!(again, read);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "",
            "app",
            "app:1",
            "ann/app",
            "https://ghcr.io/ann/app",
            "ghcr.io/",
            "ghcr.io/Ann/app",
            "ghcr.io/a//b",
            "ghcr.io/a/../b",
            "ghcr.io/a:",
            "ghcr.io/a:-x",
            "ghcr.io/a@sha256:00",
            "ghcr.io/a@md5:00",
            "ghcr.io:0/a",
            "ghcr.io:65536/a",
            "ghcr.io/a b",
            "ghcr.io/a?x=1",
            "[::1/a",
            "user@host.example/a",
            "ghcr.io/.a",
            "ghcr.io/a._b",
        ] {
            let error = Reference::parse(text).unwrap_err();
            assert!(error.is(Defect::Reference), "{text}");
        }
    }

    #[test]
    fn this_machine_is_known() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:1", "127.9.9.9", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["ghcr.io", "localhost.example", "10.0.0.1:5000", "[::2]", "127.0.0.1.example"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
