//! The WASI test suite's prebuilt programs, where they are (`BLS_SHARED`): by bls-load,
//! and beside it by wasmtime's program, where that is (`tests/src/peer.rs`).
//!
//! Assumes that a program's `.json` says how it is run. Guarantees that each gets a
//! fresh copy of its folders. What wasmtime makes of them is printed, not judged.

use bls_tests::peer::wasmtime;
use bls_tests::programs::{Ended, Home, run, shared};
use serde_json::Value;
use std::path::{Path, PathBuf};
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
    for suite in ["c", "assemblyscript"] {
        for program in programs(&shared.join("wasi-tests").join(suite)) {
            let name = format!("{suite}/{}", program.file_stem().unwrap().to_string_lossy());
            match check(host, &program) {
                Ok(()) => tally.passed += 1,
                Err(_) if EXPECTED_FAILURES.contains(&name.as_str()) => tally.skipped += 1,
                Err(why) => tally.failed.push((name, why)),
            }
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

fn programs(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .expect("a suite")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .collect();
    found.sort();
    found
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().cloned().unwrap_or_default();
    list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Copies a program's folders; the options that grant them and its variables.
fn grants(wanted: &Value, folder: &Path, work: &Path) -> Vec<String> {
    let mut flags = Vec::new();
    for name in strings(&wanted["dirs"]) {
        let copy = work.join(&name);
        copy_folder(&folder.join(&name), &copy);
        flags.extend(["--dir".to_owned(), format!("{}::{name}", copy.display())]);
    }
    if let Some(root) = wanted["root"].as_str() {
        let copy = work.join("root");
        copy_folder(&folder.join(root), &copy);
        flags.extend(["--dir".to_owned(), format!("{}::/", copy.display())]);
    }
    for (name, value) in wanted["env"].as_object().into_iter().flatten() {
        flags.extend(["--env".to_owned(), format!("{name}={}", value.as_str().unwrap())]);
    }
    flags
}

impl Host<'_> {
    fn run(&self, program: &Path, flags: &[String], arguments: &[String], stdin: &str) -> Ended {
        let mut command = match self {
            Host::Ours(home) => home.load_command(flags, &home.compile(program, &[])),
            Host::Theirs(wasmtime) => {
                let mut command = Command::new(wasmtime);
                command.arg("run").args(flags).arg(program);
                command
            }
        };
        run(command.args(arguments), stdin.as_bytes())
    }
}

fn check(host: &Host<'_>, program: &Path) -> Result<(), String> {
    let text = std::fs::read(program.with_extension("json")).unwrap_or_else(|_| b"{}".to_vec());
    let wanted: Value = serde_json::from_slice(&text).expect("JSON");
    let work = tempfile::tempdir().expect("a fresh folder");
    let flags = grants(&wanted, program.parent().expect("a suite"), work.path());
    let stdin = wanted["stdin"].as_str().unwrap_or("");
    let ended = host.run(program, &flags, &strings(&wanted["args"]), stdin);
    let code = wanted["exit_code"].as_i64().unwrap_or(0);
    if ended.code.map(i64::from) != Some(code) {
        return Err(format!("exit code {:?}, not {code}: {}", ended.code, ended.stderr));
    }
    match wanted["stdout"].as_str() {
        Some(expected) if expected.as_bytes() != ended.stdout => {
            Err(format!("printed {:?}, not {expected:?}", ended.text()))
        }
        _ => Ok(()),
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_folder(&entry.path(), &target);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(entry.path()).unwrap(), target).unwrap();
        } else {
            std::fs::write(&target, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}
