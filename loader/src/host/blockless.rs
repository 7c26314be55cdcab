//! The interfaces of the Blockless (bless) network.
//!
//! | file | interfaces |
//! |---|---|
//! | `text` | `blockless_memory` |
//! | `rpc` | `bless` |
//! | `http` | `blockless_http` |
//! | `exchange`, `connections` | `bls_http` and `bls_socket`, which are bls-load's own |
//! | `closed` | these two, of a loader without the network |
//! | `cgi` | `blockless_cgi` |
//! | `socket` | `blockless_socket`, `blockless_drivers` |
//! | `refused` | `blockless_llm`, `blockless_ipfs`, `blockless_s3`, `bless_crawl` |
//! | `asking` | what is asked of [`Outside`], and what answers are taken |
//! | `handles`, `json` | what the others use |
//!
//! A call answers 0, or a code that its interface gives a meaning. Guarantees, of all of them:
//! a pointer for a result that is out of bounds is a trap, and is found before anything is
//! done; any other range that is out of bounds is a code; no memory is taken by the length that
//! a guest says alone; what is kept for a guest from one call to the next counts as its memory.
//! Opens no socket, looks no name up and starts no program: that is asked for.

mod asking;
mod cgi;
pub(crate) mod closed;
mod connections;
mod exchange;
mod handles;
mod http;
mod json;
mod refused;
mod rpc;
mod socket;
mod text;

use super::Variable;
use super::errno::{Failure, Outcome};
use super::memory::{Bytes, GuestMemory};
use super::price::CALL;
use super::wiring::{Parameter, rows};
pub use asking::{Aliases, Reach};
use bls_artifact::limits::FRAME_BYTES_MAX;
use cgi::Cgi;
use handles::Handles;
use http::Response;

// The functions of the table, by the names of its interfaces.
use refused::{bless_crawl, blockless_ipfs, blockless_llm, blockless_s3};
use socket::drivers as blockless_drivers;
use {
    cgi as blockless_cgi, connections as bls_socket, exchange as bls_http, http as blockless_http,
    rpc as bless, socket as blockless_socket, text as blockless_memory,
};

bls_artifact::for_each_blockless_function!(rows);

/// What these interfaces keep for a guest.
#[derive(Debug, Default)]
pub(crate) struct Blockless {
    /// What it may ask for, and who answers.
    pub(crate) reach: Reach,
    /// The variables that `env_var_read` lists.
    pub(crate) listed: Vec<Variable>,
    responses: Handles<Response>,
    programs: Handles<Cgi>,
}

impl Blockless {
    /// For a guest that may ask for this, and is listed these variables.
    pub(crate) fn new(reach: Reach, listed: Vec<Variable>) -> Self {
        Self { reach, listed, ..Self::default() }
    }
}

/// These bytes of the guest's; `code` where they are not inside its memory.
fn bytes<'a>(memory: &'a GuestMemory<'_>, wanted: Bytes, code: u8) -> Outcome<&'a [u8]> {
    memory.bytes(wanted).map_err(|_| Failure::Code(code))
}

/// The same, to be written.
fn bytes_mut<'a>(
    memory: &'a mut GuestMemory<'_>,
    wanted: Bytes,
    code: u8,
) -> Outcome<&'a mut [u8]> {
    memory.bytes_mut(wanted).map_err(|_| Failure::Code(code))
}

/// These bytes as text; `code` where they are none, or more than any request may have.
fn text<'a>(memory: &'a GuestMemory<'_>, wanted: Bytes, code: u8) -> Outcome<&'a str> {
    if wanted.length() as usize > FRAME_BYTES_MAX {
        return Err(Failure::Code(code));
    }
    std::str::from_utf8(bytes(memory, wanted, code)?).map_err(|_| Failure::Code(code))
}

/// Copies as much of `source` as `place` has room for, and says how much.
fn copy(source: &[u8], place: &mut [u8]) -> usize {
    let length = source.len().min(place.len());
    place[..length].copy_from_slice(&source[..length]);
    length
}
