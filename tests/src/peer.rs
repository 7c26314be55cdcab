//! The same guest by bls-load and by wasmtime's program, where there is one.
//!
//! `BLS_WASMTIME` names it; without that it is looked for on `PATH`. Assumes that it is
//! of the line that the project is built on. Guarantees that both programs get the same
//! arguments, variables, input and files. Does not judge what came out; the tests do.

pub use crate::programs::wasmtime;
use crate::programs::{Ended, Home, run};
use crate::runs::Run;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What recorded guests use and wasmtime does not offer unasked.
const PROPOSALS: &str = "exceptions=y,gc=y,function-references=y,tail-call=y,multi-memory=y";
/// The highest exit code that wasmtime passes on; what is above it becomes 1.
const EXIT_CODE_MAX: i64 = 125;

/// Runs a recorded run by bls-load, as often as it says; what all of these printed. The
/// last one's report is in `report`.
#[must_use]
pub fn on_loader(
    home: &Home,
    recorded: &Run,
    folder: &Path,
    artifact: &Path,
    report: &Path,
) -> Ended {
    let mut flags = vec!["--report".to_owned(), report.display().to_string()];
    flags.extend(recorded.options(folder));
    repeated(recorded, || {
        let mut command = home.load_command(&flags, artifact);
        command.args(&recorded.args);
        command
    })
}

/// Runs a recorded run by wasmtime, as often as it says. `more` follows the arguments.
///
/// # Panics
/// When the guest is no module.
#[must_use]
pub fn on_wasmtime(program: &Path, recorded: &Run, folder: &Path, more: &[&str]) -> Ended {
    // Not every build of wasmtime reads text.
    let bytes = wat::parse_file(&recorded.file).expect("a module");
    let mut binary = tempfile::Builder::new().suffix(".wasm").tempfile().expect("a file");
    binary.write_all(&bytes).expect("a module that can be written");
    repeated(recorded, || {
        let mut command = Command::new(program);
        command.args(["run", "-W", PROPOSALS]).args(recorded.grants(folder));
        if recorded.imports_unknown() {
            command.args(["-W", "unknown-imports-trap=y"]);
        }
        command.arg(binary.path()).args(&recorded.args).args(more);
        command
    })
}

/// The process's exit code that wasmtime makes of what a guest asked for.
#[must_use]
pub fn exit_code_of_wasmtime(recorded: &Run) -> i32 {
    // An exception that nobody catches is no trap to it.
    if recorded.name == "exception-escapes" {
        return 1;
    }
    match recorded.exit_code_full {
        Some(code) if !(0..=EXIT_CODE_MAX).contains(&code) => 1,
        _ => recorded.exit_code,
    }
}

fn repeated(recorded: &Run, command: impl Fn() -> Command) -> Ended {
    let mut all = run(&mut command(), &recorded.stdin);
    for _ in 1..recorded.repeat {
        let next = run(&mut command(), &recorded.stdin);
        all.stdout.extend(next.stdout);
        all.stderr += &next.stderr;
        all.code = all.code.max(next.code);
    }
    all
}

/// Everything under a folder: of a file its bytes, of a link where it points.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
            let contents = if kind.is_symlink() {
                let target = std::fs::read_link(&path).expect("a link");
                format!("-> {}", target.display()).into_bytes()
            } else if kind.is_dir() {
                walk(root, &path, found);
                b"folder".to_vec()
            } else {
                std::fs::read(&path).expect("a file")
            };
            found.insert(path.strip_prefix(root).expect("a path in it").to_owned(), contents);
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}
