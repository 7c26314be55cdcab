//! The capability vocabulary: what a guest may be granted.
//!
//! One list, used by the compiler (what a module may use, from its imports),
//! by the manifest, by the loader (what was granted) and by `inspect`.
//! An import means *may use*: every program that was linked with a C or Rust
//! standard library imports `path_open`, whether it opens a file or not.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The module name of WASI preview 1.
pub const WASI_PREVIEW1: &str = "wasi_snapshot_preview1";

/// A thing of the host that a guest can reach only by being granted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// The argument list. Granted by default.
    Arguments,
    /// Environment variables, each granted by name.
    Environment,
    /// Standard input, output and error. Granted by default.
    Stdio,
    /// Folders, each granted by path.
    Files,
    /// Wall and monotonic clocks, and waiting. Granted by default.
    Clocks,
    /// Random bytes from the system. Granted by default.
    Randomness,
    /// Sockets. Nothing grants them yet.
    Sockets,
}

impl Capability {
    /// Every capability, in the order in which they are listed.
    pub const ALL: [Self; 7] = [
        Self::Arguments,
        Self::Environment,
        Self::Stdio,
        Self::Files,
        Self::Clocks,
        Self::Randomness,
        Self::Sockets,
    ];

    /// The name used in manifests, policies and help texts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Arguments => "arguments",
            Self::Environment => "environment",
            Self::Stdio => "stdio",
            Self::Files => "files",
            Self::Clocks => "clocks",
            Self::Randomness => "randomness",
            Self::Sockets => "sockets",
        }
    }

    /// The option of `bls-load` that grants it; `None` when it is granted by
    /// default or cannot be granted.
    #[must_use]
    pub fn option(self) -> Option<&'static str> {
        match self {
            Self::Environment => Some("--env"),
            Self::Files => Some("--dir"),
            _ => None,
        }
    }

    /// What a WASI preview 1 function may use; empty for functions that need
    /// nothing (`proc_exit`) or that are not part of it.
    #[must_use]
    pub fn of_preview1(function: &str) -> &'static [Self] {
        match function {
            "args_get" | "args_sizes_get" => &[Self::Arguments],
            "environ_get" | "environ_sizes_get" => &[Self::Environment],
            "clock_res_get" | "clock_time_get" | "poll_oneoff" => &[Self::Clocks],
            "random_get" => &[Self::Randomness],
            "fd_read" | "fd_write" => &[Self::Stdio],
            "proc_exit" | "proc_raise" | "sched_yield" => &[],
            // Every program that is linked with a C library closes, seeks and
            // asks about its standard streams: that says nothing about files.
            "fd_close" | "fd_seek" | "fd_fdstat_get" | "fd_prestat_get" | "fd_prestat_dir_name" => {
                &[]
            }
            name if name.starts_with("sock_") => &[Self::Sockets],
            name if name.starts_with("path_") || name.starts_with("fd_") => &[Self::Files],
            _ => &[],
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_json_names() {
        for capability in Capability::ALL {
            let json = serde_json::to_string(&capability).unwrap();
            assert_eq!(json, format!("\"{capability}\""));
        }
    }
}
