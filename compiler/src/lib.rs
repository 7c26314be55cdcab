//! `bls-compile`: a WebAssembly module becomes a signed, metered native artifact.
//!
//! ```text
//! bytes ─ input ─► Source ─ validate ─► Validated ─ ready ─► Ready ─ audit ─► Audited
//!       [─ profile ─► Audited] ─ compile ─► Image… ─ assemble ─► Assembled ─ sign ─► Artifact
//! ```
//!
//! Each arrow is one module named for its verb. The constructor of what it gives
//! is private to it and the next stage takes nothing else, so "validate before
//! meter", "audit before assemble" and "the tool signs only what it compiled
//! itself" are facts that the Rust compiler checks. [`pipeline`] reads as the
//! story of them all; [`program`] is the program around it, which does most of it in a process
//! without key, files and network ([`child`]).
//!
//! Guarantees: the same bytes, settings, version and key give the same artifact,
//! whatever the machine, folder, user, umask or number of threads. No input
//! makes it panic.

#![deny(unsafe_code)]

pub mod again;
pub mod assemble;
pub mod audit;
pub mod child;
pub mod compile;
pub mod cost;
mod debug;
pub mod delta;
pub mod describe;
pub mod documents;
pub mod fuel_profile;
pub mod given;
mod hints;
pub mod input;
pub mod key_of;
pub mod link;
pub mod meter;
pub mod nan;
pub mod needs;
pub mod options;
pub mod pipeline;
mod places;
pub mod program;
pub mod ready;
pub mod rebuild;
pub mod sign;
mod sys;
pub mod validate;
mod world;
