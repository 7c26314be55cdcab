//! Why a guest does not get what was asked for it, and what to do about it.

use crate::error::{Cause, StageError};
use bls_artifact::capability::{Capability, Permission};
use bls_artifact::limits::LISTENERS_MAX;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// Why something is not granted.
#[derive(Debug)]
pub(crate) enum GrantError {
    /// The folder cannot be opened; the policy that grants it, where no option does.
    Folder(PathBuf, std::io::Error, Option<PathBuf>),
    /// It is no storage but a way into the kernel: on which filesystem it lies, and the
    /// policy that grants it, where no option does.
    Kernel(PathBuf, &'static str, Option<PathBuf>),
    /// One folder, granted to be changed and only to be read: its names in the guest's eyes.
    Contradiction(String, String),
    /// The guest's name for a folder is not UTF-8, as WASI wants it.
    GuestPath(OsString),
    /// No such variable in our own environment.
    Variable(OsString),
    /// Something that no run by rule can have; what.
    ByRule(&'static str),
    /// The registry or folder of extensions cannot be found.
    Extensions(PathBuf, std::io::Error),
    /// No extension can have this name.
    Alias(String),
    /// Nothing listens there.
    Listen(String, std::io::Error),
    /// Nobody passed a socket that listens.
    Passed(std::io::Error),
    /// More listeners than a run has.
    Listeners,
    /// An option that a policy does not allow: what, and whose policy.
    Forbidden(String, PathBuf),
    /// An option for what the artifact does not declare: what, and all that it would declare
    /// with it.
    NotDeclared(String, String),
    /// Needs that are not granted, each with why.
    Needs(String, Vec<(Permission, Missing)>),
    /// It is not metered, and must be.
    NotMetered(String),
    /// Its results depend on the CPU, and must not.
    NotDeterministic(String),
    /// Its code lacks what keeps control flow inside it, and must not.
    NoControlFlow(String),
}

/// Why a need is not met.
#[derive(Debug)]
pub(crate) enum Missing {
    /// Nobody granted it.
    NotGranted,
    /// `--deny` took it away.
    Denied,
    /// A policy does not allow it.
    Forbidden(PathBuf),
}

impl fmt::Display for GrantError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path, error, by) => {
                write!(
                    formatter,
                    "cannot open the folder {}{}: {error}",
                    path.display(),
                    granted(by)
                )
            }
            Self::Kernel(path, filesystem, by) => write!(
                formatter,
                "{}{} is on {filesystem}, a way into the kernel, which no guest gets",
                path.display(),
                granted(by)
            ),
            Self::Contradiction(one, other) => write!(
                formatter,
                "{one} and {other} are one folder, granted to be changed and only to be read"
            ),
            Self::GuestPath(path) => {
                let path = path.display();
                write!(formatter, "the guest cannot know {path} by this name: not UTF-8")
            }
            Self::Variable(name) => {
                write!(formatter, "there is no variable {} to pass on", name.display())
            }
            Self::ByRule(what) => {
                write!(formatter, "{what} cannot be had in a run by rule: no two would be the same")
            }
            Self::Extensions(path, error) => {
                write!(formatter, "there are no extensions at {}: {error}", path.display())
            }
            Self::Alias(alias) => write!(formatter, "no extension can be called {alias:?}"),
            Self::Listen(place, error) => write!(formatter, "cannot listen on {place}: {error}"),
            Self::Passed(error) => write!(formatter, "no listener was passed: {error}"),
            Self::Listeners => write!(formatter, "a run has at most {LISTENERS_MAX} listeners"),
            Self::Forbidden(what, path) => {
                write!(formatter, "{} does not allow {what}", path.display())
            }
            Self::NotDeclared(what, _) => write!(
                formatter,
                "the artifact does not declare that it needs {what}, and gets only what it declares"
            ),
            Self::Needs(name, missing) => {
                let needs: Vec<String> = missing.iter().map(|(need, _)| need.to_string()).collect();
                write!(formatter, "{name} needs {}, which is not granted", needs.join(" and "))
            }
            Self::NotMetered(name) => write!(formatter, "{name} is not metered, and must be"),
            Self::NotDeterministic(name) => write!(
                formatter,
                "{name} computes NaNs as the CPU does, and must give the same on every one"
            ),
            Self::NoControlFlow(name) => write!(
                formatter,
                "{name} does not say that its code signs its return addresses, and must"
            ),
        }
    }
}

impl std::error::Error for GrantError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Folder(_, error, _)
            | Self::Extensions(_, error)
            | Self::Listen(_, error)
            | Self::Passed(error) => Some(error),
            _ => None,
        }
    }
}

impl StageError for GrantError {
    const STAGE: &'static str = "grant";

    fn code(&self) -> &'static str {
        match self {
            Self::Folder(..) => "grant.folder",
            Self::Kernel(..) => "grant.kernel",
            Self::Contradiction(..) => "grant.contradiction",
            Self::GuestPath(_) => "grant.guest-path",
            Self::Variable(_) => "grant.variable",
            Self::ByRule(_) => "grant.by-rule",
            Self::Extensions(..) | Self::Alias(_) => "grant.extensions",
            Self::Listen(..) | Self::Passed(_) | Self::Listeners => "grant.listen",
            Self::Forbidden(..) => "grant.forbidden",
            Self::NotDeclared(..) => "grant.not-declared",
            Self::Needs(..) => "grant.need",
            Self::NotMetered(_) => "grant.not-metered",
            Self::NotDeterministic(_) => "grant.not-deterministic",
            Self::NoControlFlow(_) => "grant.no-control-flow",
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Folder(_, error, _) | Self::Extensions(_, error) | Self::Listen(_, error) => {
                Cause::of_named_io(error)
            }
            Self::Kernel(..)
            | Self::Contradiction(..)
            | Self::GuestPath(_)
            | Self::Variable(_)
            | Self::ByRule(_)
            | Self::Alias(_)
            | Self::Passed(_)
            | Self::Listeners
            | Self::Forbidden(..)
            | Self::NotDeclared(..)
            | Self::Needs(..)
            | Self::NotMetered(_)
            | Self::NotDeterministic(_)
            | Self::NoControlFlow(_) => Cause::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Folder(path, error, Some(policy)) => {
                let (path, policy) = (path.display(), policy.display());
                match error.kind() {
                    std::io::ErrorKind::NotFound => {
                        format!("make it: mkdir {path}; or take it out of \"folders\" in {policy}")
                    }
                    _ => format!(
                        "see that {path} is a folder that you may read; \"folders\" in {policy} names it"
                    ),
                }
            }
            Self::Folder(..) => "--dir takes an existing folder: --dir ./data::/data".into(),
            Self::Kernel(_, _, Some(policy)) => {
                format!("take it out of \"folders\" in {}", policy.display())
            }
            Self::Kernel(..) => {
                "grant a folder of files; a single file or device can be its input: --stdin FILE"
                    .into()
            }
            Self::Contradiction(..) => {
                "leave one of the two out, or grant a folder in it: --dir-ro HOST/SUBFOLDER".into()
            }
            Self::GuestPath(_) => "give it another name in the guest: --dir HOST::/data".into(),
            Self::Variable(name) => format!("give it a value: --env {}=VALUE", name.display()),
            Self::ByRule(_) => "run it without --deterministic, or without these grants".into(),
            Self::Extensions(..) => {
                "--extensions takes a registry, as bls-load ext makes it, or a folder of programs".into()
            }
            Self::Alias(_) => "bls-load ext list shows the names".into(),
            Self::Listen(..) => {
                "--listen takes an address of this machine that nobody listens on: 127.0.0.1:8080".into()
            }
            Self::Passed(_) => {
                "a service manager passes them: systemd-socket-activate -l 8080 bls-load --listen-passed app.bls".into()
            }
            Self::Listeners => "ask for fewer".into(),
            Self::Forbidden(_, path) => {
                format!("whoever may change {} can allow it there", path.display())
            }
            Self::NotDeclared(_, all) => {
                format!("its builder can declare it: bls-compile --needs {all} app.wasm")
            }
            Self::Needs(_, missing) => {
                let hints: Vec<String> = missing.iter().map(hint_for_need).collect();
                hints.join("; ")
            }
            Self::NotMetered(_) => "compile it without --no-fuel".into(),
            Self::NotDeterministic(_) => "compile it without --fast-nans".into(),
            Self::NoControlFlow(_) => "compile it again with this release".into(),
        })
    }
}

/// Who granted a folder that no option grants, in words.
fn granted(by: &Option<PathBuf>) -> String {
    by.as_ref().map_or(String::new(), |policy| format!(", which {} grants,", policy.display()))
}

/// The option that would meet a need.
fn hint_for_need((need, missing): &(Permission, Missing)) -> String {
    let scope = need.scope().unwrap_or_default();
    match (missing, need.capability()) {
        (Missing::Forbidden(path), _) => {
            format!("{need}: whoever may change {} can allow it there", path.display())
        }
        (Missing::Denied, capability) => format!("leave out --deny {capability}"),
        (_, Capability::FilesWrite) => format!("grant it: --dir HOST::{scope}"),
        (_, Capability::FilesRead) => format!("grant it: --dir-ro HOST::{scope}"),
        (_, Capability::Environment) => format!("grant it: --env {scope}=VALUE"),
        (_, Capability::Http | Capability::Sockets) => {
            let place = need.place().map_or(String::new(), |place| place.to_string());
            format!("grant it: --allow-net '{place}'")
        }
        (_, Capability::Extension) => {
            format!("grant it: --extensions REGISTRY --allow-extension {scope}")
        }
        _ => format!("{need}: this version of bls-load has nothing of the kind to grant"),
    }
}
