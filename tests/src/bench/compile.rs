//! `bench compile`: how long an ordinary compile takes, whole process, beside another
//! bls-compile's (`BLS_COMPILE_OTHER`): the one of before a change.
//!
//! Both compile the same modules in turns, from a text of a few hundred bytes to CPython.

use super::Bench;
use super::artifacts::stem;
use super::statistics::interleave;
use super::table::{Table, dash, kilobytes, milliseconds, ratio};
use crate::programs::{compiler, fixtures, shared};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs of each program with a small module; the larger ones get fewer.
pub(super) const RUNS: usize = 60;

/// Modules of `BLS_SHARED`, and what share of the runs each gets.
const GUESTS: [(&str, usize); 5] = [
    ("c-hello", 2),
    ("rust-hello", 3),
    ("js-quickjs", 6),
    ("rust-ripgrep", 10),
    ("python-cpython312", 15),
];

/// Prints the table.
pub(super) fn run(bench: &Bench, runs: usize) -> Result<(), String> {
    let other = std::env::var_os("BLS_COMPILE_OTHER").map(PathBuf::from);
    if other.is_none() {
        println!("BLS_COMPILE_OTHER names no other bls-compile: its columns are left out.");
    }
    let mut modules = vec![(fixtures().join("wat/hello.wat"), 1)];
    if let Some(folder) = shared() {
        let guest =
            |(name, share): &(&str, usize)| (folder.join(format!("guests/{name}.wasm")), *share);
        modules.extend(GUESTS.iter().map(guest));
    }
    let mut table =
        Table::new(&["module", "KB", "ms", "other, ms", "of medians", "median of pairs"]);
    for (module, share) in modules {
        eprintln!("compile: {}", stem(&module));
        let command = |program: &Path| {
            let mut command = Command::new(program);
            command.arg(&module).arg("--quiet").arg("--key").arg(bench.home.key());
            command.arg("-o").arg(bench.home.path("compiled.bls"));
            command
        };
        let mut commands = vec![command(&compiler())];
        commands.extend(other.as_deref().map(command));
        let samples = interleave(&mut commands, (runs / share).max(3))?;
        let median = samples[0].median();
        let bytes = std::fs::metadata(&module).map_err(|error| error.to_string())?.len();
        let (theirs, of_medians, of_pairs) = match samples.get(1) {
            None => (dash(), dash(), dash()),
            Some(theirs) => (
                milliseconds(theirs.median()),
                ratio(Some(median / theirs.median())),
                ratio(Some(samples[0].median_over(theirs))),
            ),
        };
        let cells = [stem(&module), kilobytes(bytes), milliseconds(median)];
        table.row(cells.into_iter().chain([theirs, of_medians, of_pairs]).collect());
    }
    table.print("compile: the whole process, this program's over the other's");
    Ok(())
}
