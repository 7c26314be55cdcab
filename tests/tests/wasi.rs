//! The WASI test suite's prebuilt programs, where they are (`BLS_SHARED`).

use bls_tests::programs::{Home, run, shared};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Programs that are expected to fail, each with its reason. None.
const EXPECTED_FAILURES: [&str; 0] = [];

#[test]
fn the_wasi_test_suite() {
    let Some(shared) = shared() else {
        println!("BLS_SHARED is not set: the suite is not here");
        return;
    };
    let home = Home::new();
    let (mut passed, mut failed) = (0, Vec::new());
    for suite in ["c", "assemblyscript"] {
        for program in programs(&shared.join("wasi-tests").join(suite)) {
            let name = format!("{suite}/{}", program.file_stem().unwrap().to_string_lossy());
            match check(&home, &program) {
                Ok(()) => passed += 1,
                Err(why) => failed.push((name, why)),
            }
        }
    }
    println!("{passed} passed, {} failed", failed.len());
    failed.retain(|(name, _)| !EXPECTED_FAILURES.contains(&name.as_str()));
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(passed >= 26, "only {passed} programs");
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

fn check(home: &Home, program: &Path) -> Result<(), String> {
    let text = std::fs::read(program.with_extension("json")).unwrap_or_else(|_| b"{}".to_vec());
    let wanted: Value = serde_json::from_slice(&text).expect("JSON");
    let work = tempfile::tempdir().expect("a fresh folder");
    let artifact = home.compile(program, &[]);
    let mut flags = Vec::new();
    let folder = program.parent().expect("a suite");
    let strings = |value: &Value| -> Vec<String> {
        let list = value.as_array().cloned().unwrap_or_default();
        list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    for name in strings(&wanted["dirs"]) {
        let copy = work.path().join(&name);
        copy_folder(&folder.join(&name), &copy);
        flags.extend(["--dir".to_owned(), format!("{}::{name}", copy.display())]);
    }
    if let Some(root) = wanted["root"].as_str() {
        let copy = work.path().join("root");
        copy_folder(&folder.join(root), &copy);
        flags.extend(["--dir".to_owned(), format!("{}::/", copy.display())]);
    }
    for (name, value) in wanted["env"].as_object().into_iter().flatten() {
        flags.extend(["--env".to_owned(), format!("{name}={}", value.as_str().unwrap())]);
    }
    let mut command = home.load_command(&flags, &artifact);
    command.args(strings(&wanted["args"]));
    let stdin = wanted["stdin"].as_str().unwrap_or("").to_owned();
    let ended = run(&mut command, stdin.as_bytes());
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
