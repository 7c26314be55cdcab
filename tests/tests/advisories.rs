//! No dependency that is locked has a defect that `advisories.json` knows of.
//!
//! A list of our own, because a check that runs without a network can download no
//! database; `cargo xtask check` asks `cargo audit` or `cargo deny` as well, where one is
//! installed. SECURITY.md says what that covers.

use bls_artifact::date;
use bls_artifact::trust::version::{Version, VersionRange};
use serde_json::Value;
use std::path::Path;

fn read(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every crate of the lock file, with its version.
fn locked() -> Vec<(String, Version)> {
    let text = read("Cargo.lock");
    let value = |block: &str, field: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{field} = \"")));
        line.unwrap_or_else(|| panic!("no {field} in {block}")).trim_end_matches('"').to_owned()
    };
    let crates: Vec<(String, Version)> = text
        .split("[[package]]")
        .skip(1)
        .map(|block| {
            let (name, version) = (value(block, "name"), value(block, "version"));
            // What stands behind + says nothing about the order; a pre-release has no
            // place in a lock file of ours.
            let plain = version.split('+').next().unwrap();
            let parsed = Version::parse(plain);
            (name.clone(), parsed.unwrap_or_else(|| panic!("{name} has the version {version}")))
        })
        .collect();
    assert!(crates.len() > 50, "{} crates", crates.len());
    crates
}

/// The crates that are refused among these, in words.
fn found(advisories: &Value, crates: &[(String, Version)]) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let mut found = Vec::new();
    for advisory in advisories["advisories"].as_array().expect("a list") {
        let name = text(&advisory["crate"]);
        assert!(!text(&advisory["why"]).is_empty(), "{name}");
        assert!(!advisory["ids"].as_array().expect("a list").is_empty(), "{name}");
        for range in advisory["refused"].as_array().expect("a list") {
            let range = text(range);
            let holds = VersionRange::parse(&range).unwrap_or_else(|| panic!("{name} {range}"));
            for (_, version) in crates.iter().filter(|(other, _)| *other == name) {
                if holds.holds(*version) {
                    found.push(format!(
                        "{name} {version} ({range}): {} {}",
                        advisory["why"], advisory["ids"]
                    ));
                }
            }
        }
    }
    found
}

fn advisories() -> Value {
    serde_json::from_str(&read("advisories.json")).expect("JSON")
}

#[test]
fn no_locked_crate_has_a_known_defect() {
    let advisories = advisories();
    assert_eq!(advisories["version"], 1);
    assert!(date::parse(advisories["reviewed"].as_str().unwrap()).is_some());
    let found = found(&advisories, &locked());
    assert!(found.is_empty(), "update or replace:\n{}", found.join("\n"));
}

#[test]
fn the_check_finds_what_it_looks_for() {
    let version = |text: &str| Version::parse(text).unwrap();
    let old = [("wasmtime".to_owned(), version("48.0.3")), ("sha2".to_owned(), version("0.9.8"))];
    let found = found(&advisories(), &old);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("wasmtime 48.0.3 (<48.0.4)"), "{found:?}");
}

#[test]
fn every_crate_that_is_listed_is_one_of_ours() {
    let crates = locked();
    for advisory in advisories()["advisories"].as_array().unwrap() {
        let name = advisory["crate"].as_str().unwrap();
        assert!(crates.iter().any(|(other, _)| other == name), "{name} is no dependency any more");
    }
}
