//! Programs for preview 1 a second and a third time, as components: equal to what they are without.
//!
//! The fixtures' recorded runs, and the WASI test suite's programs where they are (`BLS_SHARED`).
//! The second time the linker leaves the adapter out, and the fuel is the same to the unit, but for
//! what instantiation costs: a table that nothing reaches is not there. The third time the linker
//! does not know the adapter, and what the program calls goes the long way, through the adapter,
//! WASI 0.2 and preview 1. There a code that is not 0 becomes 1, as the adapter has it, and some
//! programs end otherwise, because the adapter does otherwise than preview 1: as by wasmtime's
//! program, where that is.

use bls_adapted_tests::programs::{Ended, Home, compiler, run, shared, wasmtime};
use bls_adapted_tests::runs::{self, Run};
use bls_adapted_tests::wasi_suite::{self, Program};
use bls_adapted_tests::{component, with_strange_adapter};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs that ask for what the adapter does otherwise: lists of buffers, descriptors that are no
/// files, flags that do not exist, sockets, `fd_allocate`; and where it gives up, as with Go's.
const OF_THE_ADAPTER: [&str; 17] = [
    "assemblyscript/args_get-multiple-arguments",
    "assemblyscript/environ_get-multiple-variables",
    "assemblyscript/fd_write-to-invalid-fd",
    "assemblyscript/fd_write-to-stdout",
    "c-wasi_descriptors",
    "c-wasi_directories",
    "c-wasi_filestat",
    "c-wasi_paths",
    "c-wasi_poll",
    "c-wasi_rest",
    "c-wasi_transfer",
    "go-hello",
    "go-hello-fail",
    "go-tree",
    "memory-grow-forever",
    "multi-memory",
    "start-function",
];
/// Those that, beside that, ask for what preview 1 here does on purpose otherwise than wasmtime
/// (ARCHITECTURE.md); and one that calls before its adapter is there, which is an error here and a
/// trap there.
const OTHERWISE: [&str; 5] = [
    "c-wasi_descriptors",
    "c-wasi_filestat",
    "c-wasi_poll",
    "memory-grow-forever",
    "start-function",
];

/// The three ways that a program takes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Plain,
    /// As a component.
    Adapted,
    /// With an adapter that stays.
    Strange,
}

const WAYS: [Way; 3] = [Way::Plain, Way::Adapted, Way::Strange];

/// An artifact of a program by each way; why there is no component of it.
fn artifacts(home: &Home, file: &Path) -> Result<[PathBuf; 3], String> {
    let adapted = component(file)?;
    let strange = with_strange_adapter(adapted.clone());
    let components = [(Way::Adapted, adapted), (Way::Strange, strange)];
    // One name, in a folder of its own: programs see it.
    let place = |way: Way| {
        let folder = home.path(&format!("{way:?}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder.join("program.wasm")
    };
    std::fs::write(place(Way::Plain), wat::parse_file(file).expect("a module")).expect("a file");
    for (way, bytes) in components {
        std::fs::write(place(way), bytes).expect("a file");
    }
    Ok(WAYS.map(|way| {
        let output = place(way).with_extension("bls");
        let mut command = home.compile_command(&place(way));
        let _ = run(command.arg("-o").arg(&output), b"").expect(0);
        output
    }))
}

/// Runs an artifact, and what it consumed.
fn ran(home: &Home, artifact: &Path, options: &[String], args: &[String], stdin: &[u8]) -> Ran {
    let report = home.path("report.json");
    let told = ["--report".to_owned(), report.display().to_string()];
    let options = [&told, options].concat();
    let ended = run(home.load_command(&options, artifact).args(args), stdin);
    let text = std::fs::read(&report).expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let kind = report["outcome"]["kind"].as_str().unwrap_or_default().to_owned();
    let mut inspect = Command::new(compiler());
    let shown = run(inspect.args(["inspect", "--json"]).arg(artifact), b"").expect(0);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let consumed = report["fuel"]["consumed"].as_u64();
    let begun = shown["manifest"]["fuel"]["instantiation"].as_u64();
    let asked = report["outcome"]["exit_code"].as_i64();
    Ran {
        ended,
        kind,
        asked,
        fuel: consumed.zip(begun).and_then(|(all, begun)| all.checked_sub(begun)),
    }
}

struct Ran {
    ended: Ended,
    kind: String,
    /// What the program gave `proc_exit`.
    asked: Option<i64>,
    /// Behind instantiation.
    fuel: Option<u64>,
}

impl Ran {
    /// What a run must be equal in.
    fn seen(&self) -> (&str, Option<i32>, String) {
        (&self.kind, self.ended.code, self.ended.text())
    }
}

/// The code of a program's end, where a host function's refusal is a trap like the others.
fn code_of_wasmtime(ended: &Ended) -> Option<i32> {
    let is_trap = ended.code == Some(1) && ended.stderr.contains("failed to run main module");
    if is_trap { Some(134) } else { ended.code }
}

/// What became of all programs.
#[derive(Default)]
struct Tally {
    /// wasmtime's program.
    peer: Option<PathBuf>,
    equal: u32,
    without: Vec<String>,
    differ: Vec<String>,
}

impl Tally {
    fn print(&self, what: &str) {
        let Self { equal, without, differ, .. } = self;
        println!("{what}: {equal} equal, {} differ, {} are none", differ.len(), without.len());
        for line in differ.iter().chain(without) {
            println!("{what}: {line}");
        }
    }

    /// Compares the ways of a program. `lay_out` makes what it is granted, afresh.
    fn take(
        &mut self,
        name: &str,
        file: &Path,
        args: &[String],
        stdin: &[u8],
        lay_out: &dyn Fn(&Path) -> Vec<String>,
    ) {
        let home = Home::new();
        let artifacts = match artifacts(&home, file) {
            Ok(artifacts) => artifacts,
            Err(why) => return self.without.push(format!("{name}: {why}")),
        };
        let of = |artifact: &Path| {
            let folder = tempfile::tempdir().expect("a fresh folder");
            let mut options = lay_out(folder.path());
            // The same name, clocks and numbers for all.
            let more = ["--argv0", "program", "--deterministic", "--max-memory", "128MiB"];
            options.extend(more.map(str::to_owned));
            ran(&home, artifact, &options, args, stdin)
        };
        let [plain, adapted, strange] = artifacts.each_ref().map(|artifact| of(artifact));
        let mut differ = Vec::new();
        if adapted.seen() != plain.seen() || adapted.fuel != plain.fuel {
            let (one, other) = (adapted.seen(), plain.seen());
            differ.push(format!(
                "{name}: {one:?} {:?}, not {other:?} {:?}: {}",
                adapted.fuel, plain.fuel, adapted.ended.stderr
            ));
        }
        let mut wanted = plain.seen();
        if plain.asked.is_some_and(|code| code != 0) {
            wanted.1 = Some(1);
        }
        if OF_THE_ADAPTER.contains(&name) {
            let theirs = self.peer.as_ref().map(|peer| {
                let folder = tempfile::tempdir().expect("a fresh folder");
                let mut command = Command::new(peer);
                command.arg("run").args(lay_out(folder.path())).args(["--argv0", "program"]);
                run(command.arg(home.path("Strange/program.wasm")).args(args), stdin)
            });
            let theirs = theirs.map(|ended| (code_of_wasmtime(&ended), ended.text()));
            let ours = (strange.ended.code, strange.ended.text());
            let is_other = theirs.as_ref().is_some_and(|theirs| *theirs != ours);
            if is_other && !OTHERWISE.contains(&name) {
                differ.push(format!("{name}, the long way: {ours:?}, and wasmtime {theirs:?}"));
            }
        } else if strange.seen() != wanted {
            let one = strange.seen();
            differ.push(format!(
                "{name}, the long way: {one:?}, not {wanted:?}: {}",
                strange.ended.stderr
            ));
        }
        if differ.is_empty() {
            self.equal += 1;
        }
        self.differ.extend(differ);
    }
}

#[test]
fn recorded_runs_are_the_same_as_components() {
    let mut tally = Tally { peer: wasmtime(), ..Tally::default() };
    for run in runs::fixtures() {
        let Run { name, file, args, stdin, .. } = &run;
        let lay_out = |folder: &Path| {
            run.lay_out(folder);
            run.options(folder)
        };
        tally.take(name, file, args, stdin, &lay_out);
    }
    tally.print("recorded runs");
    assert!(tally.differ.is_empty(), "{:#?}", tally.differ);
    assert!(tally.equal >= 20, "only {}", tally.equal);
}

#[test]
fn the_wasi_test_suite_is_the_same_as_components() {
    let Some(shared) = shared() else {
        println!("SKIPPED: BLS_SHARED is not set: the suite is not here");
        return;
    };
    let mut tally = Tally { peer: wasmtime(), ..Tally::default() };
    for program in wasi_suite::programs(&shared) {
        let Program { name, file, .. } = &program;
        let lay_out = |folder: &Path| program.lay_out(folder);
        tally.take(name, file, &program.args(), program.stdin(), &lay_out);
    }
    tally.print("the suite");
    assert!(tally.differ.is_empty(), "{:#?}", tally.differ);
    assert!(tally.equal >= 26, "only {}", tally.equal);
}
