//! The `.bls` artifact: what compiler and loader must agree on.
//!
//! A signed, hashed, native artifact is one file (FORMAT.md is normative):
//!
//! ```text
//! header | part records | envelope (DSSE over an in-toto Statement) | parts
//! ```
//!
//! This crate reads and writes those bytes, and holds every word the two
//! programs share: targets, limits, capabilities, the fuel model's identity and
//! the trust file. It does no input or output and contains no `unsafe`.
//!
//! Reading order: [`artifact`] (framing), [`envelope`] (signatures),
//! [`manifest`] (the statement), [`target`] (what an image is for), [`trust`].

#![forbid(unsafe_code)]

pub mod artifact;
pub mod blockless;
pub mod broker;
pub mod capability;
pub mod config;
pub mod control_flow;
pub mod cpu;
pub mod date;
pub mod debug;
pub mod delta;
pub mod demangle;
pub mod digest;
#[cfg(feature = "engine")]
pub mod engine;
pub mod envelope;
pub mod extension;
pub mod fuel;
pub mod host_table;
pub mod interface;
pub mod json;
pub mod key;
pub mod limits;
pub mod manifest;
pub mod name;
pub mod nearest;
pub mod net;
pub mod options;
pub mod passwd;
pub mod policy;
pub mod preview1;
pub mod quantity;
pub mod recipe;
pub mod registry;
pub mod sparse;
pub mod target;
pub mod text;
pub mod trust;
