//! `bench node`: many requests of one function at once, as a node has them, beside the same with
//! wasmtime: how long until all are answered, and what all take of memory while they wait.
//!
//! The function is installed, and found by its digest each time. wasmtime is its command line
//! program, with a module that it compiled before and with one that it compiles; where that is
//! not on PATH, Python's package of it, which is measured with fewer at once. Memory is what the
//! kernel says a process has of its own, and its share of what is shared (PSS).

use super::Bench;
use super::statistics::Samples;
use super::table::Table;
use crate::node::Node;
use crate::programs::fixtures;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often all are started.
pub(super) const RUNS: usize = 5;
/// How many at once.
const REQUESTS: usize = 200;
/// The same of what is large.
const FEW: usize = 20;

/// Runs a module with Python's package of wasmtime.
const PYTHON: &str = "\
import sys
from wasmtime import Engine, Linker, Module, Store, WasiConfig
engine = Engine()
module = Module.from_file(engine, sys.argv[1])
linker = Linker(engine)
linker.define_wasi()
store = Store(engine)
wasi = WasiConfig()
wasi.inherit_stdin()
wasi.inherit_stdout()
store.set_wasi(wasi)
linker.instantiate(store, module).exports(store)['_start'](store)
";

/// Something that runs a function, by name: of the two functions that are measured.
struct Row {
    name: &'static str,
    requests: usize,
    hello: Box<dyn Fn() -> Command>,
    cat: Box<dyn Fn() -> Command>,
}

/// Prints the table.
pub(super) fn run(bench: &Bench, runs: usize) -> Result<(), String> {
    let node = Node::new();
    let [hello, cat] = ["hello", "cat"].map(|name| {
        let text = fixtures().join(format!("wat/{name}.wat"));
        let module = node.home.path(&format!("{name}.wasm"));
        let bytes = wat::parse_file(&text).unwrap_or_default();
        let _ = std::fs::write(&module, bytes);
        node.install(&module);
        module
    });
    let mut rows = vec![Row {
        name: "bls-load node, installed",
        requests: REQUESTS,
        hello: on_node(&node, &hello),
        cat: on_node(&node, &cat),
    }];
    rows.extend(wasmtime(bench, &hello, &cat));
    let mut table = Table::new(&["", "at once", "all answered", "each", "memory of all", "each"]);
    for row in &rows {
        let mut times = Samples::default();
        for _ in 0..runs {
            times.push(answered(row)?.as_secs_f64() * 1e3);
        }
        let memory = memory(row)? as f64 / f64::from(1 << 20);
        let count = row.requests as f64;
        table.row(vec![
            row.name.to_owned(),
            row.requests.to_string(),
            format!("{:.0} ms", times.median()),
            format!("{:.2} ms", times.median() / count),
            format!("{memory:.0} MiB"),
            format!("{:.2} MiB", memory / count),
        ]);
    }
    table.print(&format!(
        "Requests of one function at once: `hello`, median of {runs}; and memory (PSS) while `cat` waits."
    ));
    Ok(())
}

fn on_node(node: &Node, module: &Path) -> Box<dyn Fn() -> Command> {
    let (words, module, folder) = (node.words(), module.to_owned(), node.home.path("work"));
    Box::new(move || {
        let mut command = Command::new(crate::programs::loader());
        command.current_dir(&folder).args(&words).arg(&module).arg("--fs-root-path").arg("none");
        command
    })
}

/// What of wasmtime is installed.
fn wasmtime(bench: &Bench, hello: &Path, cat: &Path) -> Vec<Row> {
    let of = |program: &Path, words: &'static [&'static str], module: &Path| {
        let (program, module) = (program.to_owned(), module.to_owned());
        let command = move || {
            let mut command = Command::new(&program);
            command.args(words).arg(&module);
            command
        };
        Box::new(command) as Box<dyn Fn() -> Command>
    };
    let mut rows = Vec::new();
    if let Some(program) = &bench.peers.wasmtime {
        // Each is compiled under a name of its own options.
        let compiled = |module: &Path| -> Option<PathBuf> {
            let output = module.with_extension("cwasm");
            let mut command = Command::new(program);
            let done = command.arg("compile").arg(module).arg("-o").arg(&output).status();
            done.is_ok_and(|status| status.success()).then_some(output)
        };
        if let (Some(hello), Some(cat)) = (compiled(hello), compiled(cat)) {
            let words: &[&str] = &["run", "--allow-precompiled"];
            rows.push(Row {
                name: "wasmtime, precompiled",
                requests: REQUESTS,
                hello: of(program, words, &hello),
                cat: of(program, words, &cat),
            });
        }
        rows.push(Row {
            name: "wasmtime, from wasm",
            requests: REQUESTS,
            hello: of(program, &["run"], hello),
            cat: of(program, &["run"], cat),
        });
        return rows;
    }
    let python = Path::new("python3");
    let import =
        Command::new(python).args(["-c", "import wasmtime"]).stderr(Stdio::null()).status();
    if import.is_ok_and(|status| status.success()) {
        rows.push(Row {
            name: "wasmtime, Python's package",
            requests: FEW,
            hello: of(python, &["-c", PYTHON], hello),
            cat: of(python, &["-c", PYTHON], cat),
        });
    }
    rows
}

fn start(command: &mut Command, row: &Row, stdin: Stdio) -> Result<Child, String> {
    let started = command.stdin(stdin).stdout(Stdio::piped()).spawn();
    started.map_err(|error| format!("{}: {error}", row.name))
}

/// How long until all have said hello.
fn answered(row: &Row) -> Result<Duration, String> {
    let began = Instant::now();
    let children = (0..row.requests).map(|_| start(&mut (row.hello)(), row, Stdio::null()));
    let children = children.collect::<Result<Vec<_>, _>>()?;
    for child in children {
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if !output.status.success() || output.stdout != b"hello\n" {
            return Err(format!("{}: a request was lost", row.name));
        }
    }
    Ok(began.elapsed())
}

/// What all take while they wait for their input, in bytes.
fn memory(row: &Row) -> Result<u64, String> {
    let children = (0..row.requests).map(|_| start(&mut (row.cat)(), row, Stdio::piped()));
    let children = children.collect::<Result<Vec<_>, _>>()?;
    // Until nothing changes any more.
    let (mut before, mut now) = (0, 0);
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(300));
        now = children.iter().map(share).sum();
        if now == before {
            break;
        }
        before = now;
    }
    for child in children {
        // Its input ends here.
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("{}: a request was lost", row.name));
        }
    }
    Ok(now)
}

/// A process's own memory, and its share of what is shared, in bytes.
fn share(child: &Child) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", child.id()));
    let text = text.unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}
