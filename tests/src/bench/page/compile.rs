//! Compiling: processor time, memory and length of the result, beside `wasmtime compile`, without
//! its fuel and with it.

use super::super::artifacts::{length, stem};
use super::super::statistics::Samples;
use super::super::table::{Table, dash, kilobytes, megabytes, ratio};
use super::Section;
use super::ways::Kit;
use crate::programs::{fixtures, shared};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Guests of `BLS_SHARED`, from small to large.
const GUESTS: [&str; 5] =
    ["c-hello", "rust-hello", "js-quickjs", "rust-ripgrep", "python-cpython312"];
/// A module that is longer than this is compiled once.
const ONCE: u64 = 10_000_000;

/// What was counted of one compiler with one module.
struct Cost {
    /// Processor time of all its processes, in microseconds.
    cpu: Samples,
    /// From start to end, in microseconds.
    wall: Samples,
    /// The most that one of its processes had in memory.
    peak: u64,
    /// The length of what it made.
    made: u64,
}

/// Measures.
pub(super) fn section(kit: &Kit<'_>, runs: usize) -> Result<Section, String> {
    let mut table = Table::new(&[
        "module",
        "KB",
        "bls-compile, s",
        "wasmtime, s",
        "×",
        "× with fuel",
        "× elapsed",
        "bls-compile, MB",
        "wasmtime, MB",
        "artifact, KB",
        "wasmtime, KB",
    ]);
    let mut figures = Vec::new();
    for module in guests() {
        eprintln!("page: compile {}", stem(&module));
        let runs = if length(&module) > ONCE { 1 } else { runs };
        let costs = costs(kit, &module, runs)?;
        table.row(cells(&module, &costs));
        let each = costs
            .iter()
            .zip(["bls-compile", "wasmtime", "wasmtime, fuel"])
            .map(|(cost, name)| (name.to_owned(), cost.json()));
        figures.push(json!({
            "module": stem(&module),
            "bytes": length(&module),
            "runs": runs,
            "compilers": each.collect::<serde_json::Map<_, _>>(),
        }));
    }
    Ok(Section {
        name: "compile",
        title: "Compiling",
        text: "`bls-compile` (meter, proof that it counts, checks of NaNs, code, signature) beside `wasmtime \
               compile` (code), in turns. Seconds: processor time of all threads and processes, medians; *×*: \
               median of the ratios of pairs, *× with fuel*: to wasmtime where it meters too (`-W fuel`), \
               *× elapsed*: of the time that a person waits, to wasmtime without. MB: the most that \
               one process had in memory. KB: the module, and what comes out. The longest is compiled once."
            .to_owned(),
        table,
        figures: Value::Array(figures),
        plot: None,
    })
}

/// The modules; without `BLS_SHARED` those of the fixtures.
fn guests() -> Vec<PathBuf> {
    let mut found = vec![fixtures().join("wat/hello.wasm")];
    match shared().map(|folder| folder.join("guests")) {
        Some(folder) => found.extend(GUESTS.map(|name| folder.join(format!("{name}.wasm")))),
        None => found
            .extend(["c/compute.wasm", "go/hello/hello.wasm"].map(|name| fixtures().join(name))),
    }
    found.retain(|path| path.is_file());
    found
}

/// Ours, and wasmtime's where it is there.
fn costs(kit: &Kit<'_>, module: &Path, runs: usize) -> Result<Vec<Cost>, String> {
    let home = &kit.bench.home;
    let outputs =
        ["compiled.bls", "compiled.cwasm", "compiled-fuel.cwasm"].map(|name| home.path(name));
    let mut ours = home.compile_command(module);
    ours.arg("--quiet").arg("-o").arg(&outputs[0]);
    let mut commands = vec![ours];
    for (options, output) in [(&[][..], &outputs[1]), (&["-W", "fuel=1000000000"], &outputs[2])] {
        let Some(wasmtime) = &kit.bench.peers.wasmtime else { break };
        let mut command = Command::new(wasmtime);
        command.arg("compile").args(options).arg(module).arg("-o").arg(output);
        commands.push(command);
    }
    let empty = || Cost { cpu: Samples::default(), wall: Samples::default(), peak: 0, made: 0 };
    let mut costs: Vec<Cost> = commands.iter().map(|_| empty()).collect();
    for _ in 0..runs {
        for ((command, cost), output) in commands.iter().zip(&mut costs).zip(&outputs) {
            let begin = Instant::now();
            let usage = kit.bench.peers.usage(command).filter(|usage| usage.is_done);
            let usage =
                usage.ok_or_else(|| format!("{command:?} failed, or cc builds nothing here"))?;
            cost.wall.push(begin.elapsed().as_secs_f64() * 1e6);
            cost.cpu.push(usage.cpu);
            cost.peak = cost.peak.max(usage.peak);
            cost.made = length(output);
        }
    }
    Ok(costs)
}

impl Cost {
    fn json(&self) -> Value {
        json!({
            "cpu_us": self.cpu.median(),
            "elapsed_us": self.wall.median(),
            "peak_bytes": self.peak,
            "made_bytes": self.made,
        })
    }
}

fn cells(module: &Path, costs: &[Cost]) -> Vec<String> {
    let (ours, theirs, fuelled) = (&costs[0], costs.get(1), costs.get(2));
    let seconds = |cost: &Cost| format!("{:.2}", cost.cpu.median() / 1e6);
    vec![
        stem(module),
        kilobytes(length(module)),
        seconds(ours),
        theirs.map_or_else(dash, seconds),
        ratio(theirs.map(|theirs| ours.cpu.median_over(&theirs.cpu))),
        ratio(fuelled.map(|fuelled| ours.cpu.median_over(&fuelled.cpu))),
        ratio(theirs.map(|theirs| ours.wall.median_over(&theirs.wall))),
        megabytes(ours.peak),
        theirs.map_or_else(dash, |theirs| megabytes(theirs.peak)),
        kilobytes(ours.made),
        theirs.map_or_else(dash, |theirs| kilobytes(theirs.made)),
    ]
}
