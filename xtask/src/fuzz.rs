//! The fuzz targets, run by cargo-fuzz on a nightly compiler where both are installed.
//!
//! Each starts from `fuzz/seeds/NAME`, keeps what it finds in `fuzz/corpus/NAME` and leaves
//! an input that fails in `fuzz/artifacts/NAME`. Without the tools the same targets are
//! driven by `tests/tests/fuzzing.rs` alone, which needs neither.

use crate::{Failed, Step, root};
use std::process::{Command, Stdio};

/// The targets, as `fuzz/Cargo.toml` names them.
const TARGETS: [&str; 10] = [
    "framing",
    "envelope",
    "trust",
    "install",
    "delta",
    "broker",
    "compile",
    "component",
    "smith",
    "host_calls",
];
/// Seconds of each where nobody said otherwise.
const SECONDS: u32 = 60;

/// Runs the targets that are named, or all; a number says for how many seconds each.
pub(crate) fn run(words: &[String]) -> Step {
    let mut seconds = SECONDS;
    let mut names = Vec::new();
    for word in words {
        match word.parse() {
            Ok(number) => seconds = number,
            Err(_) if TARGETS.contains(&word.as_str()) => names.push(word.as_str()),
            Err(_) => {
                eprintln!("xtask: there is no fuzz target {word:?}; there are {TARGETS:?}");
                return Err(Failed);
            }
        }
    }
    if names.is_empty() {
        names.extend(TARGETS);
    }
    names.into_iter().try_for_each(|name| target(name, seconds))
}

/// All targets, where the tools are there; says so where they are not.
pub(crate) fn run_if_installed() -> Step {
    let mut asked = command();
    asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    if asked.status().is_ok_and(|status| status.success()) {
        return run(&[]);
    }
    eprintln!(
        "xtask: cargo-fuzz or a nightly compiler is not installed: the fuzz targets were driven \
         by their tests only"
    );
    Ok(())
}

fn target(name: &str, seconds: u32) -> Step {
    let folder = root().join("fuzz");
    let (corpus, seeds) = (format!("corpus/{name}"), format!("seeds/{name}"));
    if let Err(error) = std::fs::create_dir_all(folder.join(&corpus)) {
        eprintln!("xtask: {}: {error}", folder.join(&corpus).display());
        return Err(Failed);
    }
    let mut fuzz = command();
    fuzz.args(["run", "--sanitizer", "none", name, &corpus, &seeds, "--"])
        .arg(format!("-max_total_time={seconds}"))
        .args(["-max_len=4096", "-close_fd_mask=2", "-rss_limit_mb=2048", "-timeout=60"])
        .current_dir(folder);
    eprintln!("$ {fuzz:?}");
    match fuzz.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            eprintln!("xtask: the fuzz target {name} ended with {status}: see fuzz/artifacts");
            Err(Failed)
        }
        Err(error) => {
            eprintln!("xtask: cannot run cargo-fuzz: {error}");
            Err(Failed)
        }
    }
}

/// `cargo fuzz` of the nightly compiler, whatever compiler this was started by.
fn command() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz"]);
    command
}
