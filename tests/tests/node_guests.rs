//! Real guests of the network, made with its SDKs: every case of `guests/run.py`, with what was
//! installed before, and compiled when it is first asked for. Needs `BLS_SHARED` and python3.

use bls_tests::node::Node;
use bls_tests::programs::{run, shared};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder of the guests, where they are there and can be run.
fn guests() -> Option<PathBuf> {
    let folder = shared()?.join("blockless/guests").canonicalize().ok()?;
    let python = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    (folder.join("run.py").is_file() && python.is_ok_and(|status| status.success()))
        .then_some(folder)
}

/// Runs all cases with this runtime.
fn all_cases(guests: &Path, runtime: &Path) {
    let mut command = Command::new("python3");
    command.arg(guests.join("run.py")).arg("--runtime").arg(runtime);
    let ended = run(&mut command, b"");
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.text(), ended.stderr);
    let text = ended.text();
    let last = text.lines().last().unwrap_or_default();
    assert!(last.ends_with(" cases, 0 differ") && !last.starts_with("0 "), "{last}");
    println!("{last}");
}

/// What a case has compiled: the words behind `bls-compile`, of which the first is a file.
fn inputs(guests: &Path, node: &Node, number: usize, case: &Value) -> Option<Vec<String>> {
    let file = |name: &str| name.replace("$GUESTS", guests.to_str().unwrap());
    let there = |name: &str| Path::new(name).is_file().then(|| name.to_owned());
    let Some(config) = case.get("config") else {
        let mut words = vec![there(&guests.join(case["wasm"].as_str()?).display().to_string())?];
        let flags = case["flags"].as_array().cloned().unwrap_or_default();
        let flags: Vec<&str> = flags.iter().filter_map(Value::as_str).collect();
        for pair in flags.windows(2).filter(|pair| pair[0] == "--module") {
            words.extend(["--module".to_owned(), file(pair[1])]);
        }
        return Some(words);
    };
    if config["version"] != 1 {
        return there(&file(config["entry"].as_str()?)).map(|entry| vec![entry]);
    }
    // Its modules alone: limits are what a run asks for.
    let _ = config["entry"].as_str()?;
    let modules: Option<Vec<Value>> = config["modules"]
        .as_array()?
        .iter()
        .map(|module| {
            let file = there(&file(module["file"].as_str()?))?;
            Some(json!({"file": file, "name": module["name"], "type": module["type"]}))
        })
        .collect();
    let path = node.home.path(&format!("{number}.json"));
    let text = json!({"version": 1, "entry": config["entry"], "modules": modules?});
    fs::write(&path, text.to_string()).unwrap();
    Some(vec![path.display().to_string()])
}

#[test]
fn every_case_of_the_guests_runs_as_it_shall_from_what_is_installed() {
    let Some(guests) = guests() else { return };
    let node = Node::new();
    let text = fs::read(guests.join("guests.json")).unwrap();
    let cases: Value = serde_json::from_slice(&text).unwrap();
    let mut known = BTreeSet::new();
    for (number, case) in cases["cases"].as_array().unwrap().iter().enumerate() {
        let Some(words) = inputs(&guests, &node, number, case) else { continue };
        // Of one case, what is no module is not installed.
        let is_new = known.insert((words.clone(), case["config"]["modules"].to_string()));
        if is_new && case["name"] != "not_wasm" && case["name"] != "link_no_entry_module" {
            let options: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            node.install_with(Path::new(&words[0]), &options);
        }
    }
    assert!(known.len() > 50, "{}", known.len());
    all_cases(&guests, &node.script("bls-runtime", &[]));
}

#[test]
fn every_case_of_the_guests_runs_as_it_shall_compiled_when_it_is_asked_for() {
    let Some(guests) = guests() else { return };
    let node = Node::new();
    all_cases(&guests, &node.script("bls-runtime", &node.compiling()));
}
