//! What this loader was built with: a small one does without some pieces (`loader/Cargo.toml`).
//!
//! Guarantees that whoever asks for a piece that is not there is refused by its name. All of it
//! is known when the loader is compiled, so that the linker leaves out what nothing reaches: the
//! code behind [`Piece::check`] needs no other mark.

use crate::error::StageError;
use std::fmt;

/// A piece that a loader may be built without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The network's interfaces, listeners, extensions, bls-broker.
    Network,
    /// Configurations, the network's command line, modules that are compiled at their first run.
    Node,
    /// What of WebAssembly is beyond its core.
    Objects,
    /// Installed artifacts.
    Store,
    /// Compressed parts.
    Zstd,
}

impl Piece {
    /// Whether it is there.
    #[inline(always)]
    pub(crate) const fn is_built(self) -> bool {
        match self {
            Self::Network => cfg!(feature = "network"),
            Self::Node => cfg!(feature = "node"),
            Self::Objects => cfg!(feature = "objects"),
            Self::Store => cfg!(feature = "store"),
            Self::Zstd => cfg!(feature = "zstd"),
        }
    }

    /// Goes on where it is there.
    #[inline(always)]
    pub(crate) const fn check(self) -> Result<(), NotBuilt> {
        if self.is_built() { Ok(()) } else { Err(NotBuilt(self)) }
    }

    /// What it is, in words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Network => "the network, listeners and extensions",
            Self::Node => "configurations and the command line of bls-runtime",
            Self::Objects => "objects, exceptions, typed references and atomic operations",
            Self::Store => "installing, and running what is installed",
            Self::Zstd => "compressed code",
        }
    }
}

/// Something was asked for that this loader was built without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotBuilt(pub(crate) Piece);

impl fmt::Display for NotBuilt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "this loader was built without {}", self.0.words())
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
