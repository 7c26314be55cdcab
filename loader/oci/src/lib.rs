//! An OCI runtime for artifacts, that stands before the node's own one.
//!
//! ```text
//! engine ── create ──► command ─ node ─ bundle ─ entry ─┬─ no artifact ──────────────────► runc
//!                                                       └─ verify ─ plan ─ config.json ──► runc
//! engine ── all else ──► command ─ node ─────────────────────────────────────────────────► runc
//! ```
//!
//! | module | does |
//! |---|---|
//! | [`command`] | what of the command line matters here |
//! | [`node`] | what root has settled for this machine (`/etc/bls/oci.json`) |
//! | [`bundle`] | the engine's `config.json`, read and replaced |
//! | [`raw`] | JSON of which only what is changed is written anew |
//! | [`inside`] | a container's root, looked into without leaving it |
//! | [`entry`] | what a container would start |
//! | [`verify`] | asks the node's loader before there is a container |
//! | [`module`] | a WebAssembly module as an artifact, where the node compiles |
//! | [`annotations`] | `bls.dev/…` as options of a run |
//! | [`plan`] | the loader's command line and the mounts that it needs |
//! | [`runtime`] | the real runtime, which this process becomes |
//! | [`refusal`] | why not, and where an engine reads it |
//! | [`program`] | the command line, and the order of all this |
//!
//! What is no artifact is handed on as it came, and so is every command but `create` and `run`.
//! Who is trusted is the node's matter: nothing in an image or a bundle decides it. The loader in
//! the container verifies what it opens there; the look from outside ([`verify`]) is for a
//! sentence in time, and nothing rests on it but that a signed trust file is one that was
//! accepted here.

#![forbid(unsafe_code)]

pub mod annotations;
pub mod bundle;
pub mod command;
pub mod entry;
pub mod inside;
pub mod module;
pub mod node;
pub mod plan;
pub mod program;
pub mod raw;
pub mod refusal;
pub mod runtime;
pub mod verify;
