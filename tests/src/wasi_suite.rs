//! The WASI test suite's prebuilt programs (`BLS_SHARED`), as data.
//!
//! Assumes that a program's `.json` says how it is run. Guarantees that each run gets a fresh
//! copy of its folders. Runs nothing itself, and judges nothing but what the suite expects.

use crate::programs::Ended;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A program of the suite.
#[derive(Clone, Debug)]
pub struct Program {
    /// The suite's folder, and its own name.
    pub name: String,
    /// The module.
    pub file: PathBuf,
    wanted: Value,
}

/// All of them.
///
/// # Panics
/// When the folder is not what it should be.
#[must_use]
pub fn programs(shared: &Path) -> Vec<Program> {
    let suites =
        ["c", "assemblyscript"].map(|suite| (suite, shared.join("wasi-tests").join(suite)));
    suites.iter().flat_map(|(suite, folder)| of(suite, folder)).collect()
}

fn of(suite: &str, folder: &Path) -> Vec<Program> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a suite")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .collect();
    found.sort();
    let program = |file: PathBuf| {
        let text = std::fs::read(file.with_extension("json")).unwrap_or_else(|_| b"{}".to_vec());
        let wanted = serde_json::from_slice(&text).expect("JSON");
        let name = format!("{suite}/{}", file.file_stem().unwrap().to_string_lossy());
        Program { name, file, wanted }
    };
    found.into_iter().map(program).collect()
}

impl Program {
    /// Copies its folders to `work`; the options that grant them and its variables. bls-load
    /// and wasmtime spell them alike.
    ///
    /// # Panics
    /// When they cannot be copied.
    #[must_use]
    pub fn lay_out(&self, work: &Path) -> Vec<String> {
        let folder = self.file.parent().expect("a suite");
        let mut flags = Vec::new();
        for name in strings(&self.wanted["dirs"]) {
            let copy = work.join(&name);
            copy_folder(&folder.join(&name), &copy);
            flags.extend(["--dir".to_owned(), format!("{}::{name}", copy.display())]);
        }
        if let Some(root) = self.wanted["root"].as_str() {
            let copy = work.join("root");
            copy_folder(&folder.join(root), &copy);
            flags.extend(["--dir".to_owned(), format!("{}::/", copy.display())]);
        }
        for (name, value) in self.wanted["env"].as_object().into_iter().flatten() {
            flags.extend(["--env".to_owned(), format!("{name}={}", value.as_str().unwrap())]);
        }
        flags
    }

    /// Its arguments.
    #[must_use]
    pub fn args(&self) -> Vec<String> {
        strings(&self.wanted["args"])
    }

    /// Its standard input.
    #[must_use]
    pub fn stdin(&self) -> &[u8] {
        self.wanted["stdin"].as_str().unwrap_or("").as_bytes()
    }

    /// Whether it ended as the suite expects.
    ///
    /// # Errors
    /// How it ended instead.
    pub fn judge(&self, ended: &Ended) -> Result<(), String> {
        let code = self.wanted["exit_code"].as_i64().unwrap_or(0);
        if ended.code.map(i64::from) != Some(code) {
            return Err(format!("exit code {:?}, not {code}: {}", ended.code, ended.stderr));
        }
        match self.wanted["stdout"].as_str() {
            Some(expected) if expected.as_bytes() != ended.stdout => {
                Err(format!("printed {:?}, not {expected:?}", ended.text()))
            }
            _ => Ok(()),
        }
    }
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().cloned().unwrap_or_default();
    list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
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
