//! The WASI test suite's prebuilt programs, where they are (`BLS_SHARED`): by bls-load,
//! and beside it by wasmtime's program, where that is (`tests/src/peer.rs`).
//!
//! Assumes that a program's `.json` says how it is run. Guarantees that each gets a
//! fresh copy of its folders. What wasmtime makes of them is printed, not judged.

use bls_tests::peer::wasmtime;
use bls_tests::programs::{Ended, Home, run, shared};
use bls_tests::wasi_suite::{self, Program};
use std::path::Path;
use std::process::Command;

/// Programs that are expected to fail, each with its reason. None.
const EXPECTED_FAILURES: [&str; 0] = [];

/// What runs a program.
enum Host<'a> {
    Ours(&'a Home),
    Theirs(&'a Path),
}

/// What a host made of the suites.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<(String, String)>,
    skipped: usize,
}

#[test]
fn the_wasi_test_suite() {
    let Some(shared) = shared() else {
        println!("SKIPPED: BLS_SHARED is not set: the suite is not here");
        return;
    };
    let home = Home::new();
    let ours = tally(&shared, &Host::Ours(&home));
    print("bls-load", &ours);
    if let Some(program) = wasmtime() {
        print("wasmtime", &tally(&shared, &Host::Theirs(&program)));
    }
    assert!(ours.failed.is_empty(), "{:#?}", ours.failed);
    assert!(ours.passed >= 26, "only {} programs", ours.passed);
}

fn tally(shared: &Path, host: &Host<'_>) -> Tally {
    let mut tally = Tally::default();
    for program in wasi_suite::programs(shared) {
        match program.judge(&host.run(&program)) {
            Ok(()) => tally.passed += 1,
            Err(_) if EXPECTED_FAILURES.contains(&program.name.as_str()) => tally.skipped += 1,
            Err(why) => tally.failed.push((program.name, why)),
        }
    }
    tally
}

fn print(host: &str, tally: &Tally) {
    let Tally { passed, failed, skipped } = tally;
    println!("{host}: {passed} passed, {} failed, {skipped} skipped", failed.len());
    for (name, why) in failed {
        println!("{host}: {name}: {why}");
    }
}

impl Host<'_> {
    fn run(&self, program: &Program) -> Ended {
        let work = tempfile::tempdir().expect("a fresh folder");
        let flags = program.lay_out(work.path());
        let mut command = match self {
            Host::Ours(home) => home.load_command(&flags, &home.compile(&program.file, &[])),
            Host::Theirs(wasmtime) => {
                let mut command = Command::new(wasmtime);
                command.arg("run").args(flags).arg(&program.file);
                command
            }
        };
        run(command.args(program.args()), program.stdin())
    }
}
