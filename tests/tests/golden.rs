//! Golden fuel: what every recorded fixture consumes, to the unit, in three engines.
//!
//! `fixtures/fuel.json` holds the numbers. They are part of the model: another number is
//! another price for the same work, and needs another version of the model. Asserts that
//! bls-load, wasmtime's interpreter for portable bytecode (another code generator and
//! another way to run) and, where it is installed, Node's engine all count the same.

use bls_artifact::fuel::{COST_TABLE_SHA256, MODEL};
use bls_artifact::target::{EngineProfile, Nans, Target};
use bls_compiler::pipeline::{self, Options};
use bls_tests::differential::{self, Observation, observe};
use bls_tests::programs::{Home, fixtures, run};
use bls_tests::runs::{self, Run};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;

/// The numbers as they are committed.
fn golden() -> Value {
    let text = std::fs::read(fixtures().join("fuel.json")).expect("fixtures/fuel.json");
    serde_json::from_slice(&text).expect("JSON")
}

/// What a recorded run consumes by rule; `None` when it does not end well.
fn consumed(home: &Home, recorded: &Run) -> Option<u64> {
    let artifact = home.compile(&recorded.file, &[]);
    let folder = tempfile::tempdir().expect("a fresh folder");
    recorded.lay_out(folder.path());
    let report = home.path("report.json");
    let mut options =
        vec!["--deterministic".to_owned(), "--report".into(), report.display().to_string()];
    options.extend(recorded.options(folder.path()));
    let mut command = home.load_command(&options, &artifact);
    let ended = run(command.args(&recorded.args), &recorded.stdin);
    assert_eq!(ended.code, Some(recorded.exit_code), "{}: {}", recorded.name, ended.stderr);
    let text = std::fs::read(report).expect("a report");
    let report: Value = serde_json::from_slice(&text).expect("JSON");
    let exact = report["fuel"]["exact"] == true && report["outcome"]["kind"] == "exited";
    exact.then(|| report["fuel"]["consumed"].as_u64().expect("a number"))
}

#[test]
fn fixtures_consume_what_they_always_did() {
    let home = Home::new();
    let seen: BTreeMap<String, u64> = runs::fixtures()
        .iter()
        .filter_map(|recorded| Some((recorded.name.clone(), consumed(&home, recorded)?)))
        .collect();
    let now = json!({ "model": MODEL, "cost_table": COST_TABLE_SHA256, "consumed": seen });
    if std::env::var_os("BLS_GOLDEN").is_some_and(|what| what == "write") {
        std::fs::write(fixtures().join("fuel.json"), format!("{now:#}\n")).expect("fuel.json");
    }
    let golden = golden();
    assert!(seen.len() >= 30, "only {} fixtures end well", seen.len());
    if golden["model"] == MODEL {
        assert_eq!(golden["cost_table"], now["cost_table"], "another table is another model");
        assert_eq!(
            golden["consumed"], now["consumed"],
            "{MODEL} prices these as it always did, or is not {MODEL}: a new price needs a new \
             version of the model (a new fixture: BLS_GOLDEN=write, and read the difference)"
        );
    } else {
        panic!("fixtures/fuel.json is of {}: write it for {MODEL}", golden["model"]);
    }
}

/// An engine that interprets portable bytecode.
fn interpreter() -> wasmtime::Engine {
    let mut config = EngineProfile::of(Target::Pulley64, Nans::Canonical).config();
    config.cranelift_nan_canonicalization(true);
    config.target("pulley64").expect("a target");
    wasmtime::Engine::new(&config).expect("an engine")
}

#[test]
fn another_code_generator_counts_the_same() {
    let (native, portable) = (differential::engine(), interpreter());
    let (mut modules, mut calls) = (0, 0);
    for path in runs::modules() {
        let options = Options::new(vec![Target::Pulley64]);
        let Ok(source) = bls_compiler::input::Source::read(&path) else { continue };
        let Ok(front) = pipeline::front(source, &options, &mut |_| {}) else { continue };
        // Enough for all but those that never end.
        let observe = |engine| observe(engine, front.ready.wasm(), 2_000_000);
        let (here, there) = (observe(&native), observe(&portable));
        assert_eq!(here.is_some(), there.is_some(), "{}", path.display());
        let (Some(here), Some(there)) = (here, there) else { continue };
        let until_deep = |seen: Vec<Observation>| -> Vec<Observation> {
            // How deep a stack is differs between engines.
            let deep = seen.iter().position(|one| one.end == differential::End::StackOverflow);
            seen.into_iter().take(deep.unwrap_or(usize::MAX)).collect()
        };
        let (here, there) = (until_deep(here), until_deep(there));
        let both = here.len().min(there.len());
        assert_eq!(here[..both], there[..both], "{}", path.display());
        modules += 1;
        calls += both;
    }
    println!("{modules} modules, {calls} calls");
    assert!(modules >= 30 && calls >= 40, "only {modules} modules and {calls} calls");
}

#[test]
fn another_engine_counts_the_same() {
    if Command::new("node").arg("--version").output().is_err() {
        println!("node is not installed: its engine counts nothing here");
        return;
    }
    let home = Home::new();
    let golden = golden();
    let (mut counted, mut unsupported) = (0, Vec::new());
    for recorded in runs::fixtures() {
        let Some(expected) = golden["consumed"][&recorded.name].as_u64() else { continue };
        // Folders are none of the other engine's business, and a gigabyte neither.
        if recorded.mount.is_some() || recorded.memory_min.is_some() {
            continue;
        }
        let metered = home.path("metered.wasm");
        let emit = ["--emit", "wasm", "--json", "-o"];
        let mut command = home.compile_command(&recorded.file);
        let ended = run(command.args(emit).arg(&metered), b"").expect(0);
        let result: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
        let stem = recorded.file.file_stem().expect("a name").to_string_lossy();
        let mut args = vec![format!("{stem}.bls")];
        args.extend(recorded.args.iter().cloned());
        let env: serde_json::Map<String, Value> =
            recorded.env.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let options = json!({
            "instantiation": result["fuel"]["instantiation"],
            "args": args,
            "env": env,
            "stdin": String::from_utf8_lossy(&recorded.stdin),
        });
        let mut node = Command::new("node");
        node.arg(fixtures().join("other-engine.mjs")).arg(&metered).arg(options.to_string());
        let ended = run(&mut node, b"").expect(0);
        let seen: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
        if seen["unsupported"].is_string() {
            unsupported.push(recorded.name.clone());
            continue;
        }
        assert_eq!(seen["consumed"], expected.to_string(), "{}: {seen}", recorded.name);
        counted += 1;
    }
    println!("{counted} runs count the same; not known to this engine: {unsupported:?}");
    assert!(counted >= 15, "only {counted} runs");
}
