//! Every recorded run: compiled, loaded, compared. Metered and unmetered.

use bls_artifact::digest::Sha256;
use bls_tests::peer::on_loader;
use bls_tests::programs::{Ended, Home, shared};
use bls_tests::runs::{self, Run};
use std::path::Path;

/// Runs one guest in a fresh folder and compares everything that was recorded.
fn check(home: &Home, recorded: &Run, options: &[&str], compare: fn(&Run, &Ended)) {
    let artifact = home.compile(&recorded.file, options);
    let work = tempfile::tempdir().expect("a fresh folder");
    recorded.lay_out(work.path());
    let report = home.path("report.json");
    let ended = on_loader(home, recorded, work.path(), &artifact, &report);
    let context = format!("{} {options:?}\n--- stderr\n{}", recorded.name, ended.stderr);
    assert_eq!(ended.code, Some(recorded.exit_code), "{context}");
    compare(recorded, &ended);
    if let Some((name, digest)) = &recorded.writes {
        let written = std::fs::read(work.path().join(name)).expect("a written file");
        assert_eq!(&Sha256::of(&written).to_string(), digest, "{context}");
    }
    check_report(&report, &recorded.name, options);
    std::fs::remove_file(artifact).expect("an artifact");
}

fn same_output(recorded: &Run, ended: &Ended) {
    let Some(expected) = &recorded.stdout else { return };
    let mut lines = ended.stdout.split_inclusive(|byte| *byte == b'\n');
    let seen = lines.by_ref().skip(recorded.skip_lines).collect::<Vec<_>>().concat();
    assert_eq!(
        String::from_utf8_lossy(&seen),
        String::from_utf8_lossy(expected),
        "{}",
        recorded.name
    );
}

fn check_report(path: &Path, name: &str, options: &[&str]) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{name}: no report: {error}"));
    let report: serde_json::Value = serde_json::from_slice(&bytes).expect("a report is JSON");
    let metered = !options.contains(&"--no-fuel");
    assert_eq!(report["fuel"]["metered"], metered, "{name}: {report}");
}

#[test]
fn fixtures_metered() {
    let home = Home::new();
    for recorded in runs::fixtures() {
        check(&home, &recorded, &[], same_output);
    }
}

#[test]
fn fixtures_unmetered_and_compressed() {
    let home = Home::new();
    for recorded in runs::fixtures() {
        check(&home, &recorded, &["--no-fuel", "--compress=3"], same_output);
    }
}

/// The outputs of real programs; a table address in Lua's is the only line that
/// may differ.
fn same_lines(recorded: &Run, ended: &Ended) {
    if recorded.name != "lua-lua54-eh" {
        return same_output(recorded, ended);
    }
    let expected = String::from_utf8_lossy(recorded.stdout.as_deref().unwrap_or(b"")).into_owned();
    let seen = ended.text();
    assert_eq!(expected.lines().count(), seen.lines().count(), "{seen}");
    for (expected, seen) in expected.lines().zip(seen.lines()) {
        assert!(expected == seen || expected.contains("table: 0x"), "{expected:?}, {seen:?}");
    }
}

#[test]
fn real_programs() {
    let Some(shared) = shared() else {
        println!("BLS_SHARED is not set: no more guests than the fixtures");
        return;
    };
    let home = Home::new();
    let (runs, _) = runs::guests(&shared);
    assert!(runs.len() >= 12, "only {} guests", runs.len());
    for recorded in runs {
        check(&home, &recorded, &[], same_lines);
        check(&home, &recorded, &["--no-fuel"], same_lines);
    }
}

/// What a component prints where it prints the name of its file, which here is the artifact's.
fn same_but_for_names(recorded: &Run, ended: &Ended) {
    let expected = String::from_utf8_lossy(recorded.stdout.as_deref().unwrap_or(b""));
    assert_eq!(
        ended.text(),
        expected.replace(".component.wasm", ".component.bls"),
        "{}",
        recorded.name
    );
}

#[test]
fn real_components() {
    let Some(shared) = shared() else {
        println!("BLS_SHARED is not set: no more components than the fixtures");
        return;
    };
    let home = Home::new();
    let (_, components) = runs::guests(&shared);
    assert!(components.len() >= 9, "only {} components", components.len());
    for mut recorded in components {
        // It reads how often it goes round.
        recorded.files.push(("default.input".to_owned(), b"120\n".to_vec()));
        check(&home, &recorded, &[], same_but_for_names);
    }
}

#[test]
fn scripts_for_real_programs() {
    let Some(shared) = shared() else {
        println!("BLS_SHARED is not set: nothing to run the scripts");
        return;
    };
    let home = Home::new();
    for recorded in runs::scripts(&shared) {
        check(&home, &recorded, &[], same_output);
    }
}
