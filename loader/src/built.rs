//! What this loader was built with: a small one does without some pieces (`loader/Cargo.toml`).
//!
//! Guarantees that whoever asks for a piece that is not there is refused by its name. All of it
//! is constants: what stands behind `if built::STORE` is not even compiled where that is false,
//! nor what nothing else reaches, and both kinds of loader check the same types.

use crate::error::StageError;
use std::fmt;

/// Lines of the source from debug files, core dumps, and names of functions for perf.
pub(crate) const DEBUG: bool = cfg!(feature = "debug");
/// The network's interfaces, listeners, extensions, bls-broker.
pub(crate) const NETWORK: bool = cfg!(feature = "network");
/// Configurations, the network's command line, modules that are compiled at their first run,
/// accounts of runs.
pub(crate) const NODE: bool = cfg!(feature = "node");
/// What of WebAssembly is beyond its core.
pub(crate) const OBJECTS: bool = cfg!(feature = "objects");
/// Installed artifacts.
pub(crate) const STORE: bool = cfg!(feature = "store");
/// Compressed parts.
pub(crate) const ZSTD: bool = cfg!(feature = "zstd");

/// Something was asked for that this loader was built without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotBuilt {
    /// See [`DEBUG`].
    Debug,
    /// See [`NETWORK`].
    Network,
    /// See [`NODE`].
    Node,
    /// See [`OBJECTS`].
    Objects,
    /// See [`STORE`].
    Store,
    /// See [`ZSTD`].
    Zstd,
}

impl fmt::Display for NotBuilt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Debug => "debug files, core dumps and maps for perf",
            Self::Network => "the network, listeners and extensions",
            Self::Node => "configurations, the command line of bls-runtime, metrics and receipts",
            Self::Objects => "objects, exceptions, typed references and atomic operations",
            Self::Store => "installing, and running what is installed",
            Self::Zstd => "compressed code",
        };
        write!(formatter, "this loader was built without {what}")
    }
}

impl StageError for NotBuilt {
    const STAGE: &'static str = "usage";

    fn code(&self) -> &'static str {
        "usage.not-built"
    }

    fn hint(&self) -> Option<String> {
        Some("the full bls-load has it: cargo xtask build".into())
    }
}
