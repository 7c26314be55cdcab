//! Artifacts in OCI registries, and as container images.
//!
//! ```text
//! push    app.bls ─ package ─► blobs, manifests, an index ─ client ─► a registry
//! pull    a registry ─ client ─► manifest ─► blob, by digest ─► a file
//! image   app.bls + bls-load ─► layers, configurations ─ layout ─► a tar
//! cache   a name ─► an artifact, from a server that keeps files
//! ```
//!
//! | module | does |
//! |---|---|
//! | [`mod@reference`] | what names a place in a registry |
//! | [`form`] | manifests and indexes of the OCI, byte for byte the same for the same input |
//! | [`package`] | an artifact as the manifests that describe it |
//! | [`client`] | the requests to a registry, its authentication among them |
//! | [`push`], [`pull`] | what is sent, and what is taken |
//! | [`cosign`] | a signature beside what is pushed, which is made elsewhere |
//! | [`image`], [`layout`] | an image of two files, and the tar that images are kept in |
//! | [`cache`] | what many builders keep, by GET and PUT |
//! | [`peer`] | whoever is at the other end: times, bounds, what goes wrong |
//! | [`program`] | the command line |
//!
//! Nothing that a registry says is believed: what is taken has the digest and the length that
//! were asked for, and whether it may run is decided by whoever verifies the artifact in it.

#![forbid(unsafe_code)]

pub mod cache;
pub mod client;
pub mod cosign;
pub mod error;
pub mod form;
pub mod image;
pub mod layout;
pub mod package;
pub mod peer;
pub mod program;
pub mod pull;
pub mod push;
pub mod reference;
