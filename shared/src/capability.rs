//! The capability vocabulary: what a guest may be granted.
//!
//! One list, used by the compiler (what a module may use, what its author says it
//! needs), by the manifest, by the loader (what was granted, what a policy allows)
//! and by `inspect`. A [`Capability`] is a kind; a [`Permission`] is one of them
//! with what it is about: `fs.write:/data`. An import means *may use*: every program
//! that was linked with a C or Rust standard library imports `path_open`, whether it
//! opens a file or not. Grants nothing itself.

use crate::net::NetGrant;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The module name of WASI preview 1.
pub const WASI_PREVIEW1: &str = "wasi_snapshot_preview1";
/// The module name of its forerunner, snapshot 0: the same functions but `sock_accept`, and
/// some records laid out otherwise.
pub const WASI_UNSTABLE: &str = "wasi_unstable";

/// A thing of the host that a guest can reach only by being granted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Capability {
    /// The argument list. Granted by default.
    #[serde(rename = "arguments")]
    Arguments,
    /// Environment variables, each granted by name.
    #[serde(rename = "env")]
    Environment,
    /// Standard input. Granted by default.
    #[serde(rename = "stdin")]
    Stdin,
    /// Standard output. Granted by default.
    #[serde(rename = "stdout")]
    Stdout,
    /// Standard error. Granted by default.
    #[serde(rename = "stderr")]
    Stderr,
    /// Reading what is in a folder, granted by path.
    #[serde(rename = "fs.read")]
    FilesRead,
    /// Reading and changing what is in a folder, granted by path.
    #[serde(rename = "fs.write")]
    FilesWrite,
    /// The time of day, and waiting for one. Granted by default.
    #[serde(rename = "clock.wall")]
    WallClock,
    /// A clock that never goes back, and waiting for a while. Granted by default.
    #[serde(rename = "clock.monotonic")]
    MonotonicClock,
    /// Random bytes. Granted by default.
    #[serde(rename = "random")]
    Randomness,
    /// Connections and listeners by TCP, granted by where they lead.
    #[serde(rename = "sockets")]
    Sockets,
    /// Requests by HTTP, granted by where they go.
    #[serde(rename = "http")]
    Http,
    /// An extension, a program beside the guest, granted by name.
    #[serde(rename = "extension")]
    Extension,
}

impl Capability {
    /// Every capability, in the order in which they are listed.
    pub const ALL: [Self; 13] = [
        Self::Arguments,
        Self::Environment,
        Self::Stdin,
        Self::Stdout,
        Self::Stderr,
        Self::FilesRead,
        Self::FilesWrite,
        Self::WallClock,
        Self::MonotonicClock,
        Self::Randomness,
        Self::Sockets,
        Self::Http,
        Self::Extension,
    ];

    /// What a guest has where nobody said otherwise.
    pub const DEFAULT: [Self; 7] = [
        Self::Arguments,
        Self::Stdin,
        Self::Stdout,
        Self::Stderr,
        Self::WallClock,
        Self::MonotonicClock,
        Self::Randomness,
    ];

    /// The name used in manifests, policies and help texts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Arguments => "arguments",
            Self::Environment => "env",
            Self::Stdin => "stdin",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::FilesRead => "fs.read",
            Self::FilesWrite => "fs.write",
            Self::WallClock => "clock.wall",
            Self::MonotonicClock => "clock.monotonic",
            Self::Randomness => "random",
            Self::Sockets => "sockets",
            Self::Http => "http",
            Self::Extension => "extension",
        }
    }

    /// The capability of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.name() == name)
    }

    /// Whether a guest has it where nobody said otherwise.
    #[must_use]
    pub fn is_default(self) -> bool {
        Self::DEFAULT.contains(&self)
    }

    /// What stands behind the colon of a permission; `None` when there is no colon.
    #[must_use]
    pub fn scope(self) -> Option<&'static str> {
        match self {
            Self::Environment | Self::Extension => Some("NAME"),
            Self::FilesRead | Self::FilesWrite => Some("PATH"),
            Self::Sockets | Self::Http => Some("PLACE"),
            _ => None,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A capability, and what of it: `stdout`, `env:LANG`, `fs.write:/data`,
/// `http:https://example.com/v1`, `sockets:db:5432`.
///
/// The scope of `http` and `sockets` is a [`NetGrant`], spelled as that is written; without one
/// it is all of the network.
/// The scope of a file permission is a path in plain form: no empty, `.` or `..`
/// component but a lone `.`, and no `/` at its end but a lone `/`. In a manifest it
/// is the guest's path, in an operator's policy the host's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Permission {
    capability: Capability,
    scope: Option<String>,
}

/// Words that are no permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PermissionError {
    /// No capability has this name.
    Unknown(String),
    /// The capability is not divided into scopes.
    NoScope(Capability),
    /// A scope that is no name, or no plain path.
    Scope(Capability, String),
}

impl fmt::Display for PermissionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                let all = Capability::ALL.map(Capability::name).join(", ");
                write!(formatter, "there is no capability {name:?}; there are {all}")
            }
            Self::NoScope(capability) => {
                write!(formatter, "{capability} stands alone, without a colon")
            }
            Self::Scope(capability, scope) => {
                let kind = match capability {
                    Capability::FilesRead | Capability::FilesWrite => {
                        "a path without empty, \".\" or \"..\" components"
                    }
                    Capability::Http => "a place by HTTP, such as https://example.com/v1",
                    Capability::Sockets => "a place by TCP, such as db.example.com:5432",
                    _ => "a name of printable characters without \"=\"",
                };
                write!(formatter, "{capability} is about {kind}, and {scope:?} is none")
            }
        }
    }
}

impl std::error::Error for PermissionError {}

impl Permission {
    /// All of a capability.
    #[must_use]
    pub fn all(capability: Capability) -> Self {
        Self { capability, scope: None }
    }

    /// A part of a capability.
    ///
    /// # Errors
    /// [`PermissionError`] when the capability has no such parts.
    pub fn scoped(capability: Capability, scope: &str) -> Result<Self, PermissionError> {
        let is_name = || {
            !scope.is_empty()
                && !scope.contains(|letter: char| letter.is_control() || letter == '=')
        };
        let plain = match capability.scope() {
            None => return Err(PermissionError::NoScope(capability)),
            Some("PATH") => is_plain_path(scope).then(|| scope.to_owned()),
            // Spelled one way, however it was written.
            Some("PLACE") => place(capability, scope).map(|grant| grant.to_string()),
            Some(_) => is_name().then(|| scope.to_owned()),
        };
        let plain = plain.ok_or_else(|| PermissionError::Scope(capability, scope.to_owned()))?;
        Ok(Self { capability, scope: Some(plain) })
    }

    /// Reads `CAPABILITY` or `CAPABILITY:SCOPE`.
    ///
    /// # Errors
    /// [`PermissionError`].
    pub fn parse(text: &str) -> Result<Self, PermissionError> {
        let (name, scope) = match text.split_once(':') {
            Some((name, scope)) => (name, Some(scope)),
            None => (text, None),
        };
        let capability =
            Capability::from_name(name).ok_or_else(|| PermissionError::Unknown(name.to_owned()))?;
        match scope {
            None => Ok(Self::all(capability)),
            Some(scope) => Self::scoped(capability, scope),
        }
    }

    /// The kind.
    #[must_use]
    pub fn capability(&self) -> Capability {
        self.capability
    }

    /// What of it; `None` for all of it.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// What is granted of the network: by HTTP, by TCP, or by both.
    pub fn of_network(grant: &NetGrant) -> impl Iterator<Item = Self> {
        let kinds = [
            grant.is_http().then_some(Capability::Http),
            grant.is_tcp().then_some(Capability::Sockets),
        ];
        let scope = (*grant != NetGrant::all()).then(|| grant.to_string());
        kinds.into_iter().flatten().map(move |kind| Self { capability: kind, scope: scope.clone() })
    }

    /// Where in the network it is about; `None` where it is about something else.
    #[must_use]
    pub fn place(&self) -> Option<NetGrant> {
        match (self.capability, &self.scope) {
            (Capability::Http | Capability::Sockets, None) => Some(NetGrant::all()),
            (kind, Some(scope)) => place(kind, scope),
            _ => None,
        }
    }

    /// Whether it names all that its capability wants named, as a need must. (All of the
    /// network is something to need.)
    #[must_use]
    pub fn is_definite(&self) -> bool {
        self.scope.is_some() || matches!(self.capability.scope(), None | Some("PLACE"))
    }

    /// Whether whoever has this has `wanted` too. A path covers what lies below it,
    /// writing covers reading, and a place of the network those that [`NetGrant::covers`] says.
    #[must_use]
    pub fn covers(&self, wanted: &Self) -> bool {
        let kind = self.capability == wanted.capability
            || (self.capability, wanted.capability)
                == (Capability::FilesWrite, Capability::FilesRead);
        let scope = match (&self.scope, &wanted.scope) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(wanted)) if self.capability.scope() == Some("PATH") => {
                path_covers(own, wanted)
            }
            (Some(own), Some(wanted)) if self.capability.scope() == Some("PLACE") => {
                place(self.capability, own)
                    .zip(place(self.capability, wanted))
                    .is_some_and(|(own, wanted)| own.covers(&wanted))
            }
            (Some(own), Some(wanted)) => own == wanted,
        };
        kind && scope
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.capability.name())?;
        match &self.scope {
            Some(scope) => write!(formatter, ":{scope}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Permission {
    type Error = PermissionError;

    fn try_from(text: String) -> Result<Self, PermissionError> {
        Self::parse(&text)
    }
}

impl From<Permission> for String {
    fn from(permission: Permission) -> Self {
        permission.to_string()
    }
}

/// The place that a scope of `http` or `sockets` names; `None` where it names none, or one that
/// is reached otherwise.
fn place(capability: Capability, scope: &str) -> Option<NetGrant> {
    let grant = NetGrant::parse(scope).ok()?;
    match capability {
        Capability::Http => grant.is_http().then_some(grant),
        Capability::Sockets => grant.is_tcp().then_some(grant),
        _ => None,
    }
}

/// A path in plain form: without empty, `.` and `..` components, as far as words can
/// say. `None` when it leads above where it begins.
#[must_use]
pub fn plain_path(path: &str) -> Option<String> {
    let mut plain: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => drop(plain.pop()?),
            name => plain.push(name),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    Some(match (root, plain.is_empty()) {
        ("", true) => ".".to_owned(),
        (root, _) => root.to_owned() + &plain.join("/"),
    })
}

/// Whether a path is in plain form.
fn is_plain_path(path: &str) -> bool {
    !path.is_empty()
        && !path.chars().any(char::is_control)
        && plain_path(path).is_some_and(|plain| plain == path)
}

/// Whether `below` is `above` or lies below it. Both are in plain form.
#[must_use]
pub fn path_covers(above: &str, below: &str) -> bool {
    match above {
        "." => !below.starts_with('/'),
        "/" => below.starts_with('/'),
        _ => below.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_json_names() {
        for capability in Capability::ALL {
            let json = serde_json::to_string(&capability).unwrap();
            assert_eq!(json, format!("\"{capability}\""));
            assert_eq!(Capability::from_name(capability.name()), Some(capability));
        }
        assert!(Capability::ALL.is_sorted());
    }

    #[test]
    fn permissions_are_read_as_they_are_written() {
        for text in [
            "arguments",
            "env",
            "env:LANG",
            "fs.read:/",
            "fs.write:/data/x",
            "fs.read:.",
            "http",
            "http:https://example.com/v1",
            "http:example.com",
            "sockets:db:5432",
            "sockets:[::1]:80",
            "extension:search",
        ] {
            assert_eq!(Permission::parse(text).unwrap().to_string(), text);
        }
        let odd = Permission::parse("http:HTTPS://Example.com:443/v1/").unwrap();
        assert_eq!(Permission::parse(&odd.to_string()), Ok(odd.clone()), "{odd}");
        for wrong in [
            "",
            "files",
            "Arguments",
            "random:x",
            "env:",
            "env:A=B",
            "env:a\nb",
            "fs.read:",
            "fs.read:/a/",
            "fs.read:./a",
            "fs.read:/a/../b",
            "fs.read://",
            "fs.write:..",
            "http:",
            "http:tcp://example.com:80",
            "sockets:http://example.com",
            "sockets:a b",
            "extension:",
        ] {
            assert!(Permission::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_covers_what() {
        let covers = |own: &str, wanted: &str| {
            Permission::parse(own).unwrap().covers(&Permission::parse(wanted).unwrap())
        };
        assert!(covers("fs.read", "fs.read:/data"));
        assert!(covers("fs.read:/", "fs.read:/data"));
        assert!(covers("fs.read:/data", "fs.read:/data/x"));
        assert!(covers("fs.write:/data", "fs.read:/data/x"));
        assert!(covers("fs.read:.", "fs.read:x"));
        assert!(covers("env", "env:HOME"));
        assert!(!covers("fs.read:/data", "fs.write:/data"));
        assert!(!covers("fs.read:/data", "fs.read:/database"));
        assert!(!covers("fs.read:/data", "fs.read"));
        assert!(!covers("fs.read:.", "fs.read:/x"));
        assert!(!covers("env:A", "env:B"));
        assert!(!covers("stdin", "stdout"));
        assert!(covers("http", "http:https://example.com/v1"));
        assert!(covers("http:example.com", "http:https://example.com/v1"));
        assert!(covers("sockets:db", "sockets:db:5432"));
        assert!(!covers("http:https://example.com/v1", "http:https://example.com/v10"));
        assert!(!covers("http:example.com", "sockets:example.com:80"));
        assert!(!covers("sockets:db:5432", "sockets"));
        assert!(!covers("extension:a", "extension:ab"));
    }

    #[test]
    fn a_grant_of_the_network_is_by_http_by_tcp_or_both() {
        let shown = |text: &str| {
            let grant = NetGrant::parse(text).unwrap();
            Permission::of_network(&grant).map(|one| one.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("*"), "http sockets");
        assert_eq!(shown("db:5432"), "http:db:5432 sockets:db:5432");
        assert_eq!(shown("https://example.com/v1"), "http:https://example.com/v1");
        assert_eq!(shown("tcp://db:5432"), "sockets:tcp://db:5432");
        let all = Permission::parse("sockets").unwrap();
        assert!(all.is_definite() && all.place() == Some(NetGrant::all()));
        assert_eq!(Permission::parse("env:A").unwrap().place(), None);
    }

    #[test]
    fn plain_paths() {
        for (path, plain) in [
            ("./data", "data"),
            ("/data//x/", "/data/x"),
            (".", "."),
            ("", "."),
            ("/", "/"),
            ("a/../b", "b"),
            ("a/..", "."),
        ] {
            assert_eq!(plain_path(path).as_deref(), Some(plain), "{path:?}");
        }
        assert_eq!(plain_path("../x"), None);
        assert_eq!(plain_path("/.."), None);
    }
}
