//! What each program's command line must know of the other's: the options of a run, as
//! bls-load has them, and the commands that bls-compile alone has.
//!
//! For whoever hands options on without reading them, as `bls-compile run` does, and for
//! suggestions. Tests of the loader hold the options to its help text and to what it reads,
//! tests of the compiler the commands to its own.

/// What stands behind an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A value, in the next word or behind a `=`.
    Value,
    /// Perhaps a value, and then behind a `=`.
    MaybeValue,
}

use Takes::{MaybeValue, Nothing, Value};

/// Every option that a run of any artifact can have, without its dashes.
pub const RUN: [(&str, Takes); 51] = [
    ("dir", Value),
    ("dir-ro", Value),
    ("env", Value),
    ("stdin", Value),
    ("deny", Value),
    ("only-declared", Nothing),
    ("policy", Value),
    ("fuel", Value),
    ("timeout", Value),
    ("max-memory", Value),
    ("max-stack", Value),
    ("max-output", Value),
    ("max-descriptors", Value),
    ("trust", Value),
    ("clock-unset", Nothing),
    ("require-fuel", Nothing),
    ("require-deterministic", Nothing),
    ("require-sandbox", Nothing),
    ("require-control-flow", Nothing),
    ("invoke", Value),
    ("argv0", Value),
    ("deterministic", Nothing),
    ("seed", Value),
    ("epoch", Value),
    ("unknown-imports", Value),
    ("report", Value),
    ("receipt", Value),
    ("receipt-key", Value),
    ("metrics", Value),
    ("account", Value),
    ("log", Value),
    ("log-level", Value),
    ("debug-file", Value),
    ("coredump", Value),
    ("perf-map", Nothing),
    ("jitdump", Value),
    ("fuel-profile", MaybeValue),
    ("explain", Nothing),
    ("store", Value),
    ("allow-net", Value),
    ("deny-net", Value),
    ("permission", Value),
    ("extensions", Value),
    ("allow-extension", Value),
    ("listen", Value),
    ("listen-passed", Nothing),
    ("list-env", Value),
    ("broker", Value),
    ("authorities", Value),
    ("compile-with", Value),
    ("compile-key", Value),
];

/// The option that only the run of a file has, without its dashes: it takes a value.
pub const FILE_ONLY: &str = "digest";

/// The commands that bls-load alone has, and how each is written, for whoever asks
/// bls-compile for one. A test of the loader holds them to its command line.
pub const LOADER_COMMANDS: [(&str, &str); 10] = [
    ("install", "bls-load install app.bls"),
    ("pull", "bls-load pull ghcr.io/ann/app:1.2"),
    ("rollback", "bls-load rollback app"),
    ("list", "bls-load list"),
    ("remove", "bls-load remove app"),
    ("gc", "bls-load gc"),
    ("binfmt", "bls-load binfmt"),
    ("ext", "bls-load ext"),
    ("verify-receipt", "bls-load verify-receipt receipt.json --key node.pub"),
    ("node", "bls-load node app.wasm"),
];

/// How the command of bls-load of this name is written; `None` where it has none that
/// bls-compile has not.
#[must_use]
pub fn loader_command(name: &str) -> Option<&'static str> {
    LOADER_COMMANDS.iter().find(|(known, _)| *known == name).map(|(_, words)| *words)
}

/// The commands that bls-compile alone has, and how each is written, for whoever asks
/// bls-load for one. A test of the compiler holds them to its command line.
pub const COMPILER_COMMANDS: [(&str, &str); 13] = [
    ("compile", "bls-compile app.wasm"),
    ("link", "bls-compile link math.wasm app.wasm"),
    ("check", "bls-compile check app.wasm"),
    ("audit", "bls-compile audit app.metered.wasm"),
    ("inspect", "bls-compile inspect app.bls"),
    ("strip", "bls-compile strip app.bls --target aarch64"),
    ("sign", "bls-compile sign app.bls --rebuild app.wasm"),
    ("delta", "bls-compile delta old.bls new.bls"),
    ("symbolize", "bls-compile symbolize app.bls.debug report.json"),
    ("push", "bls-compile push ghcr.io/ann/app:1.2 app.bls"),
    ("image", "bls-compile image app.bls"),
    ("key", "bls-compile key"),
    ("key-of", "bls-compile key-of app.wasm"),
];

/// How the command of bls-compile of this name is written; `None` where it has none that
/// bls-load has not.
#[must_use]
pub fn compiler_command(name: &str) -> Option<&'static str> {
    COMPILER_COMMANDS.iter().find(|(known, _)| *known == name).map(|(_, words)| *words)
}

/// What stands behind the option of this name; `None` where a run has none.
#[must_use]
pub fn takes(name: &str) -> Option<Takes> {
    RUN.iter().find(|(known, _)| *known == name).map(|(_, takes)| *takes)
}
