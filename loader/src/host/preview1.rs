//! WASI preview 1 (`wasi_snapshot_preview1`), and snapshot 0 before it (`wasi_unstable`).
//!
//! | file | functions |
//! |---|---|
//! | `args_environ` | `args_*`, `environ_*` |
//! | `clock`, `poll` | `clock_*`, `poll_oneoff` |
//! | `random` | `random_get` |
//! | `fd`, `transfer`, `stat`, `readdir` | `fd_*` |
//! | `path`, `stat` | `path_*` |
//! | `links`, `place`, `filesystem` | where a path leads, and whether a guest may go there |
//! | `process`, `socket` | `proc_*`, `sched_yield`, `sock_*` |
//! | `edition` | what snapshot 0 has otherwise |
//! | `types` | the specification's records |

mod args_environ;
mod clock;
pub(super) mod edition;
mod fd;
pub(super) mod filesystem;
mod links;
mod path;
pub(super) mod place;
mod poll;
mod process;
mod random;
pub(super) mod readdir;
mod socket;
mod stat;
mod transfer;
pub(super) mod types;

use super::price::{CALL, CHANGE, DISK, FILE, NOTHING, opening};
use super::wiring::{Parameter, rows};

/// The functions of the table, by its name.
mod wasi_snapshot_preview1 {
    pub(super) use super::args_environ::*;
    pub(super) use super::clock::*;
    pub(super) use super::fd::*;
    pub(super) use super::path::*;
    pub(super) use super::poll::*;
    pub(super) use super::process::*;
    pub(super) use super::random::*;
    pub(super) use super::readdir::*;
    pub(super) use super::socket::*;
    pub(super) use super::stat::*;
    pub(super) use super::transfer::*;
}

bls_artifact::for_each_function!(rows);
