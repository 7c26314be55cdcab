//! Every recorded run by both programs: the same output, the same exit code, the same
//! files afterwards.
//!
//! Needs wasmtime's program (`tests/src/peer.rs`); says so and passes without it. Where
//! the two differ on purpose (ARCHITECTURE.md) the guest knows it: the conformance
//! programs (`fixtures/c/wasi_*.c`) expect wasmtime's answers with the argument "peer".

use bls_tests::peer::{exit_code_of_wasmtime, on_loader, on_wasmtime, tree, wasmtime};
use bls_tests::programs::{Ended, Home, shared};
use bls_tests::runs::{self, Run};
use std::path::Path;

/// What the two made of one run, with wasmtime's argument of its own.
fn compare(home: &Home, program: &Path, recorded: &Run) -> Result<(), String> {
    let conformance = recorded.name.starts_with("c-wasi_");
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    recorded.lay_out(ours.path());
    recorded.lay_out(theirs.path());
    let artifact = home.compile(&recorded.file, &[]);
    let report = home.path("report.json");
    let seen = on_loader(home, recorded, ours.path(), &artifact, &report);
    std::fs::remove_file(artifact).expect("an artifact");
    let more: &[&str] = if conformance { &["peer"] } else { &[] };
    let wanted = on_wasmtime(program, recorded, theirs.path(), more);

    let codes = (seen.code, wanted.code);
    if codes != (Some(recorded.exit_code), Some(exit_code_of_wasmtime(recorded))) {
        return Err(format!("exit codes {codes:?}\n{}\n{}", seen.stderr, wanted.stderr));
    }
    if conformance && !(seen.text().starts_with("ok ") && wanted.text().starts_with("ok ")) {
        return Err(format!("{}\n{}", seen.text(), wanted.text()));
    }
    if !conformance && lines(recorded, &seen) != lines(recorded, &wanted) {
        return Err(format!("printed\n{}\n--- wasmtime\n{}", seen.text(), wanted.text()));
    }
    let (ours, theirs) = (tree(ours.path()), tree(theirs.path()));
    if ours != theirs {
        let (ours, theirs) = (ours.keys(), theirs.keys());
        return Err(format!("left\n{ours:?}\n--- wasmtime\n{theirs:?}"));
    }
    Ok(())
}

/// What was printed, but for what no two runs have in common: argument 0, and a table's
/// address in Lua.
fn lines(recorded: &Run, ended: &Ended) -> Vec<String> {
    let text = ended.text();
    let lines = text.lines().skip(recorded.skip_lines);
    lines.map(|line| line.split("table: 0x").next().unwrap_or(line).to_owned()).collect()
}

fn compare_all(runs: &[Run]) {
    let Some(program) = wasmtime() else { return };
    let home = Home::new();
    let (mut same, mut different) = (0, Vec::new());
    for recorded in runs {
        match compare(&home, &program, recorded) {
            Ok(()) => same += 1,
            Err(why) => different.push(format!("{}: {why}", recorded.name)),
        }
    }
    println!("{same} runs alike, {} different", different.len());
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

#[test]
fn fixtures_as_by_wasmtime() {
    compare_all(&runs::fixtures());
}

#[test]
fn guests_as_by_wasmtime() {
    let Some(shared) = shared() else {
        println!("SKIPPED: BLS_SHARED is not set: no more guests than the fixtures");
        return;
    };
    let (mut runs, _) = runs::guests(&shared);
    runs.extend(runs::scripts(&shared));
    compare_all(&runs);
}
