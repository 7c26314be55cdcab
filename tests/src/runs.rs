//! The recorded runs of the fixtures and of `guests.json`, as data.
//!
//! Assumes that both files are what their README says. Guarantees that a run names all
//! that a guest gets and all that was recorded of it, so that any program can be asked to
//! repeat it. Runs nothing itself.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// One recorded run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// The guest.
    pub file: PathBuf,
    /// Arguments behind argument 0.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// All of standard input.
    pub stdin: Vec<u8>,
    /// The guest's name of the folder that is granted.
    pub mount: Option<String>,
    /// Files to put there.
    pub files: Vec<(String, Vec<u8>)>,
    /// The process's exit code.
    pub exit_code: i32,
    /// What must be printed.
    pub stdout: Option<Vec<u8>>,
    /// Lines of the real output that are not compared.
    pub skip_lines: usize,
    /// Bytes of linear memory that must be allowed for this outcome.
    pub memory_min: Option<u64>,
    /// A file that must be there afterwards, with its SHA-256.
    pub writes: Option<(String, String)>,
    /// How often it is run in one folder; what was recorded is of all of these.
    pub repeat: usize,
    /// The code that the guest asked for, where that is known; a trap asks for none.
    pub exit_code_full: Option<i64>,
}

impl Run {
    /// Puts its files into `folder`.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn lay_out(&self, folder: &Path) {
        for (name, contents) in &self.files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, contents).expect("an input");
        }
    }

    /// The options that grant what it gets, with `folder` as its own. bls-load and
    /// wasmtime spell them alike.
    #[must_use]
    pub fn grants(&self, folder: &Path) -> Vec<String> {
        let mut options = Vec::new();
        if let Some(mount) = &self.mount {
            options.extend(["--dir".into(), format!("{}::{mount}", folder.display())]);
        }
        for (name, value) in &self.env {
            options.extend(["--env".into(), format!("{name}={value}")]);
        }
        options
    }

    /// The options of bls-load that grant what it needs, with `folder` as its own.
    #[must_use]
    pub fn options(&self, folder: &Path) -> Vec<String> {
        let mut options = self.grants(folder);
        if self.imports_unknown() {
            options.extend(["--unknown-imports".into(), "trap".into()]);
        }
        if let Some(bytes) = self.memory_min {
            options.extend(["--max-memory".into(), format!("{bytes}B")]);
        }
        options
    }

    /// Whether it imports functions that no host has.
    #[must_use]
    pub fn imports_unknown(&self) -> bool {
        ["python-micropython", "prolog-trealla"].contains(&self.name.as_str())
    }
}

/// The runs of `fixtures/runs.json`.
///
/// # Panics
/// When the file is not what its README says.
#[must_use]
pub fn fixtures() -> Vec<Run> {
    let folder = crate::programs::fixtures();
    let list = read(&folder.join("runs.json"));
    list.as_array().expect("a list").iter().map(|run| fixture(&folder, run)).collect()
}

fn fixture(folder: &Path, run: &Value) -> Run {
    let files = run["files"].as_object().map_or_else(Vec::new, |files| {
        files
            .iter()
            .map(|(name, text)| (name.clone(), text.as_str().unwrap().as_bytes().to_vec()))
            .collect()
    });
    Run {
        name: text(&run["name"]),
        file: folder.join(text(&run["file"])),
        args: strings(&run["args"]),
        env: pairs(&run["env"]),
        stdin: run["stdin_text"].as_str().unwrap_or("").into(),
        mount: run["mount"].as_str().map(str::to_owned),
        files,
        exit_code: run["exit_code"].as_i64().expect("an exit code") as i32,
        stdout: run["stdout"].as_str().map(|name| std::fs::read(folder.join(name)).unwrap()),
        skip_lines: run["stdout_skip_lines"].as_u64().unwrap_or(0) as usize,
        memory_min: run["memory_min_bytes"].as_u64(),
        writes: None,
        repeat: 1,
        exit_code_full: run["exit_code_full"].as_i64(),
    }
}

/// Every module among the fixtures that is not there to be refused.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
pub fn modules() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![crate::programs::fixtures()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("refused") {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "wasm" || kind == "wat") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The runs of the modules in a `guests.json`, and those of the components.
///
/// # Panics
/// When the file is not what its README says.
#[must_use]
pub fn guests(shared: &Path) -> (Vec<Run>, Vec<Run>) {
    let folder = shared.join("guests");
    let inputs: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder.join("inputs"))
        .expect("inputs")
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(&path).unwrap())
        })
        .collect();
    let (mut runs, mut components) = (Vec::new(), Vec::new());
    for (name, guest) in read(&folder.join("guests.json")).as_object().expect("guests") {
        let file = folder.join(text(&guest["file"]));
        let is_component = guest["kind"] == "component";
        let run = &guest["run"];
        if run.is_null() {
            continue;
        }
        let stdin = match (run["stdin"].as_str(), run["stdin_text"].as_str()) {
            (Some(path), _) => std::fs::read(folder.join(path)).unwrap(),
            (None, Some(text)) => text.into(),
            (None, None) => Vec::new(),
        };
        let of_its_kind = if is_component { &mut components } else { &mut runs };
        of_its_kind.push(Run {
            name: name.clone(),
            file,
            args: strings(&run["args"]),
            env: pairs(&run["env"]),
            stdin,
            mount: run["mount"].as_str().map(str::to_owned),
            files: inputs.clone(),
            exit_code: run["exit_code"].as_i64().unwrap_or(0) as i32,
            stdout: run["stdout"].as_str().map(|name| std::fs::read(folder.join(name)).unwrap()),
            skip_lines: 0,
            memory_min: None,
            writes: writes(run),
            repeat: 1,
            exit_code_full: Some(run["exit_code"].as_i64().unwrap_or(0)),
        });
    }
    (runs, components)
}

/// The runs of `fixtures/scripts/runs.json`: programs of ours for guests of `guests.json`.
///
/// # Panics
/// When the file is not what its README says.
#[must_use]
pub fn scripts(shared: &Path) -> Vec<Run> {
    let folder = crate::programs::fixtures();
    let list = read(&folder.join("scripts/runs.json"));
    list.as_array().expect("a list").iter().map(|run| script(&folder, shared, run)).collect()
}

fn script(folder: &Path, shared: &Path, run: &Value) -> Run {
    let load = |name: &str| std::fs::read(folder.join(name)).expect("a script");
    let files = run["files"].as_object().expect("files");
    Run {
        name: text(&run["name"]),
        file: shared.join("guests").join(text(&run["guest"])),
        args: strings(&run["args"]),
        env: Vec::new(),
        stdin: run["stdin"].as_str().map_or_else(Vec::new, load),
        mount: run["mount"].as_str().map(str::to_owned),
        files: files.iter().map(|(name, path)| (name.clone(), load(&text(path)))).collect(),
        exit_code: run["exit_code"].as_i64().expect("an exit code") as i32,
        stdout: run["stdout"].as_str().map(load),
        skip_lines: 0,
        memory_min: None,
        writes: writes(run),
        repeat: run["repeat"].as_u64().expect("a number") as usize,
        exit_code_full: run["exit_code"].as_i64(),
    }
}

fn writes(run: &Value) -> Option<(String, String)> {
    run["writes"].as_str().map(|name| (name.to_owned(), text(&run["writes_sha256"])))
}

fn read(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).expect("JSON")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().map_or_else(Vec::new, |list| list.iter().map(text).collect())
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    value
        .as_object()
        .map_or_else(Vec::new, |map| map.iter().map(|(k, v)| (k.clone(), text(v))).collect())
}
