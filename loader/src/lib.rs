//! Verifies, maps and runs artifacts of `bls-compile`: native code made ahead of time from
//! WebAssembly, signed, and metered exactly.
//!
//! ```no_run
//! use bls_loader::{Access, Loader, Runner, Sink, Trust};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), bls_loader::Error> {
//! let loader = Loader::new(Trust::system()?);
//! let verified = loader.open("app.bls")?;
//! let ended = Runner::new(verified)
//!     .arg("x")
//!     .folder("./data", "/data", Access::Write)
//!     .fuel(3_000_000_000)
//!     .timeout(Duration::from_secs(2))
//!     .stdout(Sink::bytes())
//!     .run()?;
//! assert!(ended.outcome.is_success(), "{}", ended.outcome);
//! # Ok(()) }
//! ```
//!
//! | to | use |
//! |---|---|
//! | say who may sign | [`Trust`] |
//! | verify a file, bytes, or what is installed | [`Loader`], which gives a [`Verified`] |
//! | run it once | [`Runner::run`], which gives an [`Ended`] |
//! | call it many times: a plug-in, a library | [`Runner::instantiate`], which gives an [`Instance`] |
//! | hold many guests of one artifact | `Runner::pool`, with the feature `pool` |
//! | give it functions of your own | [`Runner::function`] |
//! | name the engine's types: `Val`, `Error` | [`wasmtime`], as this crate has it; signed formats: [`bls_artifact`] |
//! | stop it from another thread | [`Runner::cancel`] |
//! | give up everything that a pool's guests do not need | `Wall`, with the feature `pool` |
//! | bring your own `wasmtime::Linker` | [`Verified::module`] |
//!
//! There is no way from bytes to a module that does not lead through a [`Verified`]: the unsafe
//! `Module::deserialize` of the engine is called in one place, with bytes whose signature
//! and digest were checked.
//!
//! Errors are an [`Error`] with a stage, a [`code`](Error::code) that stays the same, and what
//! can be done about it (hints speak of `bls-load`'s options, which have the names of methods here). What a *guest* does is no error: it is in [`Ended::outcome`].
//!
//! # Inside
//!
//! ```text
//! artifact.bls ─ open ─ verify ─ grant ─ map ─ link ─ confine ─ run ─► outcome
//! ```
//!
//! Each arrow is one module with one entry function; the next accepts only what
//! the one before gives, and only that one can make it. So *verify before map* is
//! checked by the Rust compiler: [`map()`](map::map) takes a [`verify::Verified`],
//! and only [`verify()`](verify::verify) makes one. `api/` is what is above;
//! `program/` is `bls-load`, whose `cmd/run.rs` reads as the whole story.
//!
//! `unsafe` is in `sys/` only.

#![deny(unsafe_code)]

mod api;
mod built;
mod clock;
mod confine;
pub mod delta;
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
pub mod outside;
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
#[cfg(feature = "pool")]
pub use api::wall::{Standing, Wall};
pub use error::{Cause, Error};
pub use host::{Determinism, State};
pub use outside::Outside;
pub use program::main;
pub use run::outcome::{Frame, Limit, TrapReport};
pub use {bls_artifact, wasmtime};
