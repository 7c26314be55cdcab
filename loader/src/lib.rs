//! The loader: from an artifact's bytes to the outcome of a run.
//!
//! ```text
//! artifact.bls ─ open ─ verify ─ map ─ link ─ run ─► outcome
//! ```
//!
//! Each arrow is one module with one entry function; the next accepts only what
//! the one before gives, and only that one can make it. So *verify before map* is
//! checked by the Rust compiler: [`map()`](map::map) takes a [`verify::Verified`],
//! and only [`verify()`](verify::verify) makes one. `program/cmd/run.rs` reads as
//! the whole story.
//!
//! `unsafe` is in `sys/` only.

#![deny(unsafe_code)]

mod api;
mod clock;
pub mod error;
pub mod freshness;
mod grant;
mod guarded;
pub mod host;
mod image;
pub mod install;
mod link;
pub mod map;
pub mod open;
mod policy;
mod program;
mod request;
mod run;
pub mod store;
#[allow(unsafe_code, reason = "the one place for it; each block carries its argument")]
mod sys;
mod trust;
pub mod verify;

pub use api::call::{CallError, Function};
pub use api::function::{Call, HostFunction};
pub use api::instance::Instance;
pub use api::load::{Loader, Trust, Verified};
pub use api::outcome::{Ended, Fuel, Outcome};
#[cfg(feature = "pool")]
pub use api::pool::Pool;
pub use api::runner::{Access, Runner};
pub use api::stdio::{Sink, Source};
pub use api::stopping::Cancel;
pub use error::{Cause, Error};
pub use host::{Determinism, State};
pub use program::main;
pub use run::outcome::{Frame, Limit, TrapReport};
pub use {bls_artifact, wasmtime};
