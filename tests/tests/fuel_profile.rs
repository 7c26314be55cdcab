//! `--fuel-profile`: fuel by function, and not a unit more or less than without it.

use bls_tests::programs::{Ended, Home, fixtures, run};
use bls_tests::runs::{self, Run};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A guest whose every unit is written beside it.
const GUEST: &str = r#"(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))  ;; the host's: 512
  (memory (export "memory") 1)                                              ;; 20480
  (func $leaf (param i32) (result i32)
    (i32.add (local.get 0) (i32.const 1)))                                  ;; 3
  (func $middle (result i32)
    (call $leaf (i32.const 4)))                                             ;; 5
  (func (export "_start")
    (drop (call $middle))                                                   ;; 4
    (drop (call $yield)))                                                   ;; 4
  (func $never (result i32) i32.const 1)
  (func $spin (export "spin") (loop (call $step) (br 0)))
  (func $alone (export "alone") (loop (br 0)))
  (func $step (drop (call $leaf (i32.const 1))))
  (func (export "trap")
    (drop (call $middle))                                                   ;; 4
    (drop (call $yield))                                                    ;; 4
    (drop (i32.load (i32.const -1)))))"#;

fn write(home: &Home) -> PathBuf {
    let path = home.path("guest.wat");
    std::fs::write(&path, GUEST).expect("a module");
    path
}

/// What all lines of a report's profile say together.
fn sum(profile: &Value) -> i64 {
    let number = |value: &Value| value.as_i64().expect("a number");
    let functions = profile["functions"].as_array().expect("functions");
    functions.iter().map(|line| number(&line["units"])).sum::<i64>()
        + ["host", "instantiation", "billed_on_top"]
            .map(|name| number(&profile[name]))
            .iter()
            .sum::<i64>()
}

/// A recorded run of an artifact, by rule: how it ended, and its report.
fn repeat(home: &Home, recorded: &Run, artifact: &Path, fuel: &str) -> (Ended, Value) {
    let folder = tempfile::tempdir().expect("a fresh folder");
    recorded.lay_out(folder.path());
    let report = home.path("report.json");
    let mut options: Vec<String> =
        ["--deterministic", "--fuel", fuel, "--report"].map(String::from).into();
    options.push(report.display().to_string());
    options.extend(recorded.options(folder.path()));
    let ended = run(home.load_command(&options, artifact).args(&recorded.args), &recorded.stdin);
    let text = std::fs::read(report).expect("a report");
    (ended, serde_json::from_slice(&text).expect("JSON"))
}

#[test]
fn a_profile_changes_no_number_and_adds_up() {
    let (home, other_home) = (Home::new(), Home::new());
    let (mut exact, mut inexact) = (0, 0);
    for recorded in runs::fixtures() {
        let plain = home.compile(&recorded.file, &[]);
        // Of the same name: it is the guest's argument 0.
        let profiled = other_home.compile(&recorded.file, &["--fuel-profile"]);
        // Enough for every run that ends; little more than a page of memory costs, or two.
        for fuel in ["2000000000", "21000", "38000"] {
            let name = &recorded.name;
            let (ended, report) = repeat(&home, &recorded, &plain, fuel);
            let (ended_too, report_too) = repeat(&other_home, &recorded, &profiled, fuel);
            assert_eq!(ended.code, ended_too.code, "{name}: {}", ended_too.stderr);
            assert_eq!(ended.stdout, ended_too.stdout, "{name}");
            for field in ["fuel", "outcome", "limits_met"] {
                assert_eq!(report[field], report_too[field], "{name} with {fuel}");
            }
            assert!(report["fuel_profile"].is_null());
            let profile = &report_too["fuel_profile"];
            if profile.is_null() {
                // It does not even pay for instantiation, or there is none.
                assert_ne!(report["outcome"]["kind"], "exited", "{name}: {report}");
                continue;
            }
            assert_eq!(sum(profile), report["fuel"]["consumed"], "{name}: {report_too}");
            let units = |line: &Value| line["units"].as_u64().is_some_and(|units| units < 1 << 40);
            assert!(
                profile["functions"].as_array().unwrap().iter().all(units),
                "{name}: {profile}"
            );
            if report["outcome"]["kind"] == "exited" {
                assert_eq!(profile["billed_on_top"], 0, "{name}: every unit is somebody's");
                exact += 1;
            } else {
                inexact += 1;
            }
        }
    }
    println!("{exact} runs that end well, {inexact} others");
    assert!(exact >= 40 && inexact >= 20, "only {exact} and {inexact}");
}

#[test]
fn every_unit_is_where_it_was_consumed() {
    let home = Home::new();
    let artifact = home.compile(&write(&home), &["--fuel-profile"]);
    let (ended, report) = home.report(&[], &artifact);
    let _ = ended.expect(0);
    assert_eq!(report["fuel"]["consumed"], 3 + 5 + 8 + 512 + 20_480, "{report}");
    let line = |function: u32, name: Option<&str>, units: u64| json!({ "function": function, "name": name, "units": units });
    let profile = json!({
        "functions": [line(3, None, 8), line(2, Some("middle"), 5), line(1, Some("leaf"), 3)],
        "host": 512,
        "instantiation": 20_480,
        "billed_on_top": 0,
    });
    assert_eq!(report["fuel_profile"], profile, "{report}");

    // The table, on standard error and in a file.
    let ended = home.load(&["--fuel-profile"], &artifact, &[]).expect(0);
    let lines: Vec<Vec<&str>> =
        ended.stderr.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0].join(" "), "fuel by function: 21008 units");
    assert_eq!(lines[2], ["8", "0.03", "3"]);
    assert_eq!(lines[3], ["5", "0.02", "2", "middle"]);
    assert_eq!(lines[4], ["3", "0.01", "1", "leaf"]);
    assert_eq!(lines[5], ["512", "2.43", "(host", "calls)"]);
    assert_eq!(lines[6], ["20480", "97.48", "(instantiation)"]);
    assert_eq!(lines.len(), 7);
    let file = home.path("profile.txt");
    let option = format!("--fuel-profile={}", file.display());
    let silent = home.load(&[&option], &artifact, &[]).expect(0);
    assert_eq!(silent.stderr, "");
    assert_eq!(std::fs::read_to_string(file).expect("a table"), ended.stderr);
}

#[test]
fn out_of_fuel_the_rest_is_his_who_ran_out() {
    let home = Home::new();
    let artifact = home.compile(&write(&home), &["--fuel-profile"]);
    let (ended, report) = home.report(&["--invoke", "spin", "--fuel", "1000000"], &artifact);
    let _ = ended.expect(123);
    let profile = &report["fuel_profile"];
    assert_eq!(sum(profile), 1_000_000, "{report}");
    // Up to a round runs before it is found out, and is not billed.
    let beyond = profile["billed_on_top"].as_i64().expect("a number");
    assert!((-13..=0).contains(&beyond) && profile["host"] == 0, "{report}");
    // A round is 5 of spin's, 5 of step's and 3 of leaf's.
    let units = |name: &str| {
        let functions = profile["functions"].as_array().expect("functions");
        let line = functions.iter().find(|line| line["name"] == name).expect("a line");
        line["units"].as_u64().expect("a number") as i64
    };
    assert!((units("spin") - units("step")).abs() <= 13, "{profile}");
    assert!((units("spin") * 3 - units("leaf") * 5).abs() <= 100, "{profile}");

    // Who calls nobody and never ends writes the counter only there.
    let (ended, report) = home.report(&["--invoke", "alone", "--fuel", "50000"], &artifact);
    let _ = ended.expect(123);
    let line = json!({ "function": 6, "name": "alone", "units": 50_000 - 20_480 });
    assert_eq!(report["fuel_profile"]["functions"], json!([line]), "{report}");
    assert_eq!(sum(&report["fuel_profile"]), 50_000);
}

#[test]
fn a_trap_is_billed_and_said_so() {
    let home = Home::new();
    let artifact = home.compile(&write(&home), &["--fuel-profile"]);
    // What ran before the last event is known. A fault of memory is billed the whole budget.
    let counted = 20_480 + 3 + 5 + 8 + 512;
    let (ended, report) = home.report(&["--invoke", "trap", "--fuel", "50000"], &artifact);
    let _ = ended.expect(134);
    assert_eq!(report["fuel_profile"]["billed_on_top"], 50_000 - counted, "{report}");
    assert_eq!(sum(&report["fuel_profile"]), 50_000);
    let (_, report) = home.report(&["--invoke", "trap"], &artifact);
    assert_eq!(report["fuel"]["at_least"], counted, "{report}");
    assert_eq!(sum(&report["fuel_profile"]), counted);
    let ended = home.load(&["--invoke", "trap", "--fuel-profile"], &artifact, &[]).expect(134);
    let _ = ended.says(&["fuel by function: 21008 units, not exact", "bls-load: run: trap: "]);
}

#[test]
fn who_does_not_count_by_function_is_refused() {
    let home = Home::new();
    let hello = fixtures().join("wat/hello.wat");
    for options in [&[][..], &["--no-fuel"]] {
        let artifact = home.compile(&hello, options);
        let ended = home.load(&["--fuel-profile"], &artifact, &[]).expect(125);
        assert_eq!(ended.text(), "", "it did not run");
        let _ = ended.says(&[
            "bls-load: profile: hello was not compiled to count its fuel by function",
            "hint: compile it for that: bls-compile --fuel-profile hello.wasm",
        ]);
        let bytes = std::fs::read(&artifact).expect("an artifact");
        assert!(!bytes.windows(11).any(|window| window == b"__bls_fuel_"), "{options:?}");
    }
    let artifact = home.compile(&hello, &["--fuel-profile"]);
    let nowhere = home.load(&["--fuel-profile=/nowhere/x"], &artifact, &[]).expect(125);
    assert_eq!(nowhere.text(), "", "it did not run");
    let _ = nowhere.says(&["bls-load: report: cannot write to /nowhere/x", "hint: "]);
    let _ = home.load(&["--fuel-profile", "verify"], &artifact, &[]).expect(125).says(&["usage"]);
    for other in [&["--no-fuel"][..], &["--emit", "wasm"]] {
        let mut command = home.compile_command(&hello);
        let ended = run(command.arg("--fuel-profile").args(other), b"").expect(2);
        let _ = ended.says(&["--fuel-profile", "hint: "]);
    }
}
