//! What a guest gets beyond files: the network, extensions, listeners, listed variables.
//!
//! Guarantees the same as [`grant`](super): nothing that was not named, nothing beyond a policy,
//! and nothing of a kind that the artifact cannot use. Listeners are made here, once, by the
//! operator's own words. Starts no broker: what one would be told is [`Asking`], and only a run
//! that needs one gets one.

use super::{Decision, GrantError};
use crate::host::{Aliases, Reach, Variable};
use crate::request::{Beyond, Request};
use crate::sys;
use bls_artifact::broker::{BrokerLimits, ExtensionsFrom, Setup};
use bls_artifact::capability::{Capability, Permission};
use bls_artifact::host_table::Function;
use bls_artifact::limits::LISTENERS_MAX;
use bls_artifact::net::{Endpoint, Host, NetGrant, NetRules};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// What whoever answers for a guest may do for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asking {
    /// In the words of a broker.
    pub(crate) setup: Setup,
    /// The broker that was named.
    pub(crate) program: Option<PathBuf>,
}

impl Asking {
    /// Whether somebody has to answer for a guest that imports these functions: one of them asks
    /// for something that was granted.
    pub(crate) fn is_for<'a>(&self, imports: impl IntoIterator<Item = &'a Function>) -> bool {
        imports.into_iter().any(|function| {
            function.interface != bls_artifact::capability::WASI_PREVIEW1
                && function.may_use.iter().any(|capability| self.has(*capability))
        })
    }

    fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::Http => self.setup.net.allow.iter().any(NetGrant::is_http),
            Capability::Sockets => self.setup.net.allow.iter().any(NetGrant::is_tcp),
            Capability::Extension => self.setup.extensions.is_some(),
            _ => false,
        }
    }
}

/// What was decided.
pub(super) struct Decided {
    pub(super) reach: Reach,
    pub(super) asking: Asking,
    pub(super) listeners: Vec<OwnedFd>,
    pub(super) listed: Vec<Variable>,
}

impl Decided {
    /// Nothing.
    pub(super) fn nothing() -> Self {
        let setup = Setup {
            version: Setup::VERSION,
            net: NetRules::default(),
            extensions: None,
            authorities: None,
            require_sandbox: false,
            several_guests: false,
            limits: BrokerLimits::default(),
        };
        Self {
            reach: Reach::default(),
            asking: Asking { setup, program: None },
            listeners: Vec::new(),
            listed: Vec::new(),
        }
    }
}

impl Decision<'_> {
    /// Decides what the guest gets beyond files; what is granted is added to `permissions`.
    pub(super) fn beyond(
        &self,
        may_use: &[Capability],
        needs: &[Permission],
        permissions: &mut Vec<Permission>,
    ) -> Result<Decided, GrantError> {
        let beyond = &self.request.beyond;
        if self.request.determinism.is_some() {
            check_rule(beyond)?;
        }
        for grant in &beyond.network.allow {
            let kinds = Permission::of_network(grant);
            for wanted in kinds.filter(|wanted| may_use.contains(&wanted.capability())) {
                self.check(&wanted)?;
                permissions.push(wanted);
            }
        }
        let aliases = self.aliases(needs, permissions)?;
        let listeners = self.listeners(permissions)?;
        let listed = self.listed()?;
        let extensions = beyond.extensions.path.as_ref().filter(|_| aliases != Aliases::None);
        let extensions = extensions.map(|path| extensions_from(path, &aliases)).transpose()?;
        let absolute = |path: &PathBuf| {
            std::path::absolute(path).map_err(|error| GrantError::Extensions(path.clone(), error))
        };
        let setup = Setup {
            version: Setup::VERSION,
            net: beyond.network.clone(),
            extensions,
            authorities: beyond.authorities.as_ref().map(absolute).transpose()?,
            require_sandbox: self.requires(bls_artifact::policy::Requirement::Sandbox),
            several_guests: false,
            limits: BrokerLimits::default(),
        };
        let reach = Reach { network: beyond.network.clone(), extensions: aliases, outside: None };
        Ok(Decided {
            reach,
            asking: Asking { setup, program: beyond.broker.clone() },
            listeners,
            listed,
        })
    }

    /// The extensions that the guest may use: those that were named, or all, and where it says
    /// which it needs, only these.
    fn aliases(
        &self,
        needs: &[Permission],
        permissions: &mut Vec<Permission>,
    ) -> Result<Aliases, GrantError> {
        let asked = &self.request.beyond.extensions;
        if asked.path.is_none() && asked.aliases.is_empty() {
            return Ok(Aliases::None);
        }
        let needed = needs.iter().filter(|need| need.capability() == Capability::Extension);
        let needed: Vec<&str> = needed.filter_map(Permission::scope).collect();
        let granted: Vec<&str> = match (asked.aliases.is_empty(), needed.is_empty()) {
            (true, true) => {
                let all = Permission::all(Capability::Extension);
                self.check(&all)?;
                permissions.push(all);
                return Ok(Aliases::All);
            }
            (true, false) => needed,
            (false, true) => asked.aliases.iter().map(String::as_str).collect(),
            (false, false) => {
                let named = |alias: &&str| asked.aliases.iter().any(|named| named == alias);
                needed.into_iter().filter(named).collect()
            }
        };
        for alias in &granted {
            let wanted = Permission::scoped(Capability::Extension, alias)
                .map_err(|_| GrantError::Alias((*alias).to_owned()))?;
            self.check(&wanted)?;
            permissions.push(wanted);
        }
        Ok(Aliases::Only(granted.into_iter().map(str::to_owned).collect()))
    }

    /// Listeners: those that were named are made, then those that were passed.
    fn listeners(&self, permissions: &mut Vec<Permission>) -> Result<Vec<OwnedFd>, GrantError> {
        let beyond = &self.request.beyond;
        let mut listeners = Vec::new();
        for endpoint in &beyond.listeners {
            let scope = format!("tcp://{endpoint}");
            let wanted = Permission::scoped(Capability::Sockets, &scope)
                .map_err(|_| GrantError::Listen(endpoint.to_string(), unnamed()))?;
            self.check(&wanted)?;
            listeners.push(
                listen(endpoint)
                    .map_err(|error| GrantError::Listen(endpoint.to_string(), error))?,
            );
            permissions.push(wanted);
        }
        if beyond.passed_listeners {
            // Whoever passes them says where; only all of it can be allowed.
            let wanted = Permission::all(Capability::Sockets);
            self.check(&wanted)?;
            listeners.extend(passed().map_err(GrantError::Passed)?);
            permissions.push(wanted);
        }
        if listeners.len() > LISTENERS_MAX {
            return Err(GrantError::Listeners);
        }
        Ok(listeners)
    }

    /// The variables that are listed, with their values; empty where there is none.
    fn listed(&self) -> Result<Vec<Variable>, GrantError> {
        let mut listed = Vec::new();
        for (name, given) in &self.request.listed {
            self.check(&super::variable_permission(name))?;
            let value = given.clone().or_else(|| std::env::var_os(name)).unwrap_or_default();
            listed.push((name.clone().into_vec(), value.into_vec()));
        }
        Ok(listed)
    }
}

/// Refuses what a run by rule cannot have: answers from outside are not the same each time.
fn check_rule(beyond: &Beyond) -> Result<(), GrantError> {
    let Beyond { network, extensions, listeners, passed_listeners, .. } = beyond;
    let asked = [
        (!network.allow.is_empty(), "the network"),
        (extensions.path.is_some() || !extensions.aliases.is_empty(), "extensions"),
        (!listeners.is_empty() || *passed_listeners, "listeners"),
    ];
    match asked.into_iter().find(|(is_asked, _)| *is_asked) {
        Some((_, what)) => Err(GrantError::ByRule(what)),
        None => Ok(()),
    }
}

/// Where extensions are, as a broker is told.
fn extensions_from(path: &PathBuf, aliases: &Aliases) -> Result<ExtensionsFrom, GrantError> {
    let failed = |error| GrantError::Extensions(path.clone(), error);
    let is_folder = std::fs::metadata(path).map_err(failed)?.is_dir();
    let aliases = match aliases {
        Aliases::Only(aliases) => Some(aliases.clone()),
        Aliases::All | Aliases::None => None,
    };
    Ok(ExtensionsFrom { path: std::path::absolute(path).map_err(failed)?, is_folder, aliases })
}

/// A socket that listens there. No name is looked up but `localhost`.
fn listen(endpoint: &Endpoint) -> io::Result<OwnedFd> {
    let address = match &endpoint.host {
        host if host.is_localhost() && host.address().is_none() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Host::Name(_) => return Err(unnamed()),
        host => host.address().ok_or_else(unnamed)?,
    };
    let address = SocketAddr::new(address, endpoint.port);
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // A listener that ended a moment ago does not stand in the way.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    /// Connections that wait to be taken.
    const WAITING: i32 = 128;
    rustix::net::listen(&socket, WAITING)?;
    Ok(socket)
}

fn unnamed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "names are not looked up; name an address")
}

/// The sockets that a service manager passed to this process, by the variables that say so.
fn passed() -> io::Result<Vec<OwnedFd>> {
    const FIRST: i32 = 3;
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let nobody = || io::Error::new(io::ErrorKind::NotFound, "LISTEN_PID and LISTEN_FDS name none");
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Err(nobody());
    }
    let count = number("LISTEN_FDS").ok_or_else(nobody)?;
    let count = i32::try_from(count).unwrap_or(i32::MAX).min(LISTENERS_MAX as i32 + 1);
    (FIRST..FIRST + count)
        .map(|number| {
            let socket = OwnedFd::from(sys::descriptor::duplicate(number)?);
            if sockopt::socket_acceptconn(socket.as_fd())? {
                Ok(socket)
            } else {
                let what = format!("descriptor {number} does not listen");
                Err(io::Error::new(io::ErrorKind::InvalidInput, what))
            }
        })
        .collect()
}

/// Whether a need is met by what was granted, and not refused again by a rule of the network.
pub(super) fn is_met(need: &Permission, permissions: &[Permission], request: &Request) -> bool {
    let refused = need
        .place()
        .is_some_and(|place| request.beyond.network.deny.iter().any(|rule| rule.covers(&place)));
    !refused && permissions.iter().any(|permission| permission.covers(need))
}
