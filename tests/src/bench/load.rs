//! `bench load`: what it costs to start, whole process.
//!
//! The loader verifies in copy mode: bytes are hashed while they are copied into a
//! sealed memfd. The base of every ratio is a static native C hello.

use super::artifacts::{Made, stem};
use super::statistics::{Samples, interleave};
use super::table::{Table, dash, kilobytes, megabytes, microseconds, milliseconds, ratio};
use super::{Bench, report};
use crate::programs::{fixtures, shared};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs of each command.
pub(super) const RUNS: usize = 300;
/// Runs whose reports are read for the stages.
const REPORTS: usize = 50;

/// Prints the tables.
pub(super) fn run(bench: &Bench, runs: usize) -> Result<(), String> {
    let hello = bench.make(&fixtures().join("wat/hello.wat"), "hello", &[])?;
    whole_process(bench, &hello, runs)?;
    stages(bench, &hello)?;
    large(bench, &hello, runs.div_ceil(10).max(5))
}

/// The C hello, in the same folder as the loader's commands.
fn native(bench: &Bench) -> Option<Command> {
    let mut command = Command::new(bench.peers.hello.as_ref()?);
    command.current_dir(bench.home.path("."));
    Some(command)
}

/// wasmtime's command for a module that it compiles first.
fn wasmtime(bench: &Bench, module: &Path, arguments: &[&str]) -> Option<Command> {
    let compiled = bench.peers.wasmtime_compile(module, &[])?;
    let mut command = bench.peers.wasmtime_run(&[], &compiled)?;
    command.args(arguments).current_dir(bench.home.path("."));
    Some(command)
}

fn whole_process(bench: &Bench, hello: &Made, runs: usize) -> Result<(), String> {
    let module = fixtures().join("wat/hello.wat");
    let mut names = Vec::new();
    let mut commands = Vec::new();
    let mut add = |name: &'static str, command: Option<Command>| {
        if let Some(command) = command {
            names.push(name);
            commands.push(command);
        }
    };
    add("C, static native", native(bench));
    add("bls-load, copy, metered", Some(bench.home.load_command::<&str>(&[], &hello.path)));
    add("wasmtime run --allow-precompiled", wasmtime(bench, &module, &[]));
    let samples = interleave(&mut commands, runs)?;

    let base = bench.peers.hello.as_ref().map(|_| samples[0].clone());
    let mut table = Table::new(&["hello", "median µs", "minimum", "90 %", "× C", "× C of minima"]);
    for (name, samples) in names.iter().zip(&samples) {
        let over =
            |of: fn(&Samples) -> f64| ratio(base.as_ref().map(|base| of(samples) / of(base)));
        table.row(vec![
            (*name).to_owned(),
            microseconds(samples.median()),
            microseconds(samples.minimum()),
            microseconds(samples.ninth_decile()),
            over(Samples::median),
            over(Samples::minimum),
        ]);
    }
    table.print(&format!(
        "load: whole process of hello ({} KB artifact, signed and verified), {runs} runs each, \
         in turns, stdout to /dev/null. Budget: ≤ 2.1 × C.",
        kilobytes(hello.bytes)
    ));
    Ok(())
}

/// The stages of `REPORTS` runs of an artifact: names, and samples of each.
fn staged(
    bench: &Bench,
    made: &Made,
    arguments: &[&str],
    reports: usize,
) -> Result<Vec<(String, Samples)>, String> {
    let mut all: Vec<(String, Samples)> = Vec::new();
    for _ in 0..reports {
        let report = bench.report(&made.path, arguments)?;
        for (name, time) in report::stages(&report) {
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, samples)) => samples.push(time),
                None => all.push((name, [time].into_iter().collect())),
            }
        }
    }
    Ok(all)
}

fn stages(bench: &Bench, hello: &Made) -> Result<(), String> {
    let stages = staged(bench, hello, &[], REPORTS)?;
    let mut table = Table::new(&["stage", "median µs", "minimum"]);
    for (name, samples) in &stages {
        table.row(vec![
            name.clone(),
            microseconds(samples.median()),
            microseconds(samples.minimum()),
        ]);
    }
    let sum = |of: fn(&Samples) -> f64| stages.iter().map(|(_, samples)| of(samples)).sum();
    table.row(vec![
        "sum".to_owned(),
        microseconds(sum(Samples::median)),
        microseconds(sum(Samples::minimum)),
    ]);
    table.print(&format!(
        "load: the loader's own stages of hello, from --report, {REPORTS} runs. \
         Budget of all of main, installed: ≤ 350 µs."
    ));
    Ok(())
}

/// Large guests that have something quick to do.
fn quick() -> Vec<(PathBuf, &'static [&'static str])> {
    let Some(guests) = shared().map(|shared| shared.join("guests")) else {
        return vec![(fixtures().join("go/hello/hello.wasm"), &[])];
    };
    let version: &[&str] = &["--version"];
    [("rust-ripgrep.wasm", version), ("python-cpython312.wasm", version)]
        .map(|(name, arguments)| (guests.join(name), arguments))
        .into_iter()
        .filter(|(path, _)| path.is_file())
        .collect()
}

fn large(bench: &Bench, hello: &Made, runs: usize) -> Result<(), String> {
    let mut table = Table::new(&[
        "start",
        "wasm MB",
        "artifact MB",
        "median ms",
        "× C",
        "× hello",
        "guest's run ms",
        "all before ms",
        "wasmtime ms",
        "× wasmtime",
    ]);
    for (path, arguments) in quick() {
        table.row(large_row(bench, hello, &path, arguments, runs)?);
    }
    table.print(&format!(
        "load: cold start of large artifacts, copy mode (every byte hashed), whole process, \
         {runs} runs each, in turns with hello and C; medians. Stages: median of 5 reports."
    ));
    Ok(())
}

fn large_row(
    bench: &Bench,
    hello: &Made,
    path: &Path,
    arguments: &[&str],
    runs: usize,
) -> Result<Vec<String>, String> {
    let name = stem(path);
    eprintln!("load: {name}");
    let made = bench.make(path, &format!("large-{name}"), &[])?;
    let mut loaded = bench.home.load_command::<&str>(&[], &made.path);
    loaded.args(arguments);
    let mut commands = vec![loaded, bench.home.load_command::<&str>(&[], &hello.path)];
    let native = native(bench);
    let base = native.is_some();
    commands.extend(native.into_iter().chain(wasmtime(bench, path, arguments)));
    let samples = interleave(&mut commands, runs)?;
    let median = samples[0].median();
    let base = base.then(|| samples[2].median());
    let wasmtime = samples.get(2 + usize::from(base.is_some())).map(Samples::median);
    let stages = staged(bench, &made, arguments, 5)?;
    let (of_guest, before): (Vec<_>, Vec<_>) = stages.iter().partition(|(stage, _)| stage == "run");
    let sum = |stages: &[&(String, Samples)]| stages.iter().map(|(_, times)| times.median()).sum();
    Ok(vec![
        [&[name.as_str()][..], arguments].concat().join(" "),
        megabytes(made.source_bytes),
        megabytes(made.bytes),
        milliseconds(median),
        ratio(base.map(|base| median / base)),
        ratio(Some(median / samples[1].median())),
        milliseconds(sum(&of_guest)),
        milliseconds(sum(&before)),
        wasmtime.map_or_else(dash, milliseconds),
        ratio(wasmtime.map(|wasmtime| median / wasmtime)),
    ])
}
