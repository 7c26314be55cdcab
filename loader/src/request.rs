//! What somebody asks for a guest: folders, words, limits, what to call.
//!
//! Made from a command line or by a [`crate::Runner`]. It is a wish: `policy` bounds its
//! limits, `grant` decides what of the rest the guest gets. Holds values that are in range
//! as far as words go; does not look at files or the environment.

use crate::host::Determinism;
use bls_artifact::capability::Capability;
use bls_artifact::net::{Endpoint, NetRules};
use bls_artifact::policy::Requirement;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// A folder to grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) host: PathBuf,
    /// What of it, by a path that goes through no link: whoever may change the folder could
    /// have put one there. Itself where that is empty.
    pub(crate) below: PathBuf,
    pub(crate) guest: OsString,
    pub(crate) read_only: bool,
}

impl Folder {
    /// Its path on this machine, as it is named.
    pub(crate) fn path(&self) -> PathBuf {
        if self.below.as_os_str().is_empty() {
            self.host.clone()
        } else {
            self.host.join(&self.below)
        }
    }
}

/// What happens with imports that no host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum UnknownImports {
    /// The guest does not start.
    #[default]
    Refuse,
    /// The guest starts, and traps when it calls one.
    Trap,
}

/// Extensions to grant: programs beside the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    /// The registry, or a folder of programs; `None` where there are none.
    pub(crate) path: Option<PathBuf>,
    /// The names of those that are granted; empty for all of them.
    pub(crate) aliases: Vec<String>,
}

/// What may be asked for beyond files, and who answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// What of the network is granted, and what is refused of that.
    pub(crate) network: NetRules,
    pub(crate) extensions: Extensions,
    /// Addresses to listen on for the guest, before it runs: each is a descriptor of its own,
    /// behind those of the folders, in this order.
    pub(crate) listeners: Vec<Endpoint>,
    /// Whether the sockets that a service manager passed (`LISTEN_FDS`) are the guest's, behind
    /// `listeners`.
    pub(crate) passed_listeners: bool,
    /// The program that answers; `None` for `bls-broker` beside this one.
    pub(crate) broker: Option<PathBuf>,
    /// A file of certificates that are trusted beside those that the broker brings.
    pub(crate) authorities: Option<PathBuf>,
}

/// What a guest may use up, where anything was asked; `None` leaves it to the policies and
/// to the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AskedLimits {
    /// Units of fuel.
    pub(crate) fuel: Option<u64>,
    pub(crate) timeout: Option<Duration>,
    /// Bytes of memories, tables and objects together.
    pub(crate) memory: Option<u64>,
    /// Bytes.
    pub(crate) stack: Option<u64>,
    /// Bytes written, over all descriptors.
    pub(crate) output: Option<u64>,
    pub(crate) descriptors: Option<u64>,
}

/// All that is asked for a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// The guest's argument 0.
    pub(crate) program: OsString,
    /// The guest's arguments behind argument 0.
    pub(crate) arguments: Vec<OsString>,
    pub(crate) folders: Vec<Folder>,
    /// Files and folders on this machine that the guest does not reach, whichever of its folders
    /// they are in.
    pub(crate) hidden: Vec<PathBuf>,
    /// Names, and values where they are given.
    pub(crate) variables: Vec<(OsString, Option<OsString>)>,
    /// The variables that `blockless_memory.env_var_read` lists, as `variables` are written; one
    /// that is not there is empty. They are no variables of the guest's environment.
    pub(crate) listed: Vec<(OsString, Option<OsString>)>,
    pub(crate) beyond: Beyond,
    /// Whether something else than this process's own was asked to be standard input.
    pub(crate) own_stdin: bool,
    /// What is granted by default and is not to be.
    pub(crate) denied: Vec<Capability>,
    pub(crate) limits: AskedLimits,
    /// What the artifact must be.
    pub(crate) require: Vec<Requirement>,
    pub(crate) determinism: Option<Determinism>,
    /// The export to call; `None` for the one that is called by default.
    pub(crate) invoke: Option<String>,
    /// The values of that call, as they are written on a command line.
    pub(crate) values: Vec<OsString>,
    pub(crate) unknown_imports: UnknownImports,
}
