//! `bench size`: bytes of programs and memory; time to compile. (Of artifacts: `bench sizes`.)
//!
//! A dynamic loader is shown where `BLS_LOAD_DYNAMIC` names one, or cargo's profile
//! dist has left one. Resident memory is the kernel's peak for a process, taken
//! through a small native program, because a process starts with the peak of the one
//! that started it.

use super::Bench;
use super::artifacts::{Made, length, stem};
use super::statistics::geometric_mean;
use super::table::{Table, dash, kilobytes, megabytes, milliseconds, ratio};
use crate::programs::{fixtures, loader, shared};
use std::path::PathBuf;
use std::process::Command;

/// Runs of each program whose memory is measured; the median is shown.
const RUNS: usize = 9;

/// Prints the tables.
pub(super) fn run(bench: &Bench) -> Result<(), String> {
    programs(bench);
    resident(bench)?;
    artifacts(bench)
}

fn programs(bench: &Bench) {
    let mut table = Table::new(&["program", "MB", "budget"]);
    let mut add = |name: &str, path: Option<PathBuf>, budget: &str| {
        if let Some(path) = path {
            table.row(vec![name.to_owned(), megabytes(length(&path)), budget.to_owned()]);
        }
    };
    add("bls-load, static", Some(loader()), "≤ 2.3");
    add("bls-load, dynamic", dynamic_loader(), "≤ 1.5");
    add("wasmtime", bench.peers.wasmtime.clone(), "");
    table.print("size: the programs as they are shipped.");
}

/// The loader that is linked dynamically: `BLS_LOAD_DYNAMIC`, or what `cargo xtask bench`
/// leaves beside `target/bls/`.
fn dynamic_loader() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("BLS_LOAD_DYNAMIC") {
        return Some(PathBuf::from(given));
    }
    let path = loader().parent()?.parent()?.join("dist/bls-load");
    path.is_file().then_some(path)
}

/// Resident memory of a hello.
fn resident(bench: &Bench) -> Result<(), String> {
    let module = fixtures().join("wat/hello.wat");
    let hello = bench.make(&module, "hello", &[])?;
    let native = bench.peers.hello.as_ref().map(Command::new);
    let loaded = Some(bench.home.load_command::<&str>(&[], &hello.path));
    let wasmtime = bench
        .peers
        .wasmtime_compile(&module, &[])
        .and_then(|compiled| bench.peers.wasmtime_run(&[], &compiled));
    let peak = |command: &Option<Command>| {
        let command = command.as_ref()?;
        let mut peaks: Vec<u64> = (0..RUNS).filter_map(|_| bench.peers.resident(command)).collect();
        peaks.sort_unstable();
        peaks.get(peaks.len() / 2).copied()
    };
    let base = peak(&native);
    let mut table = Table::new(&["hello", "peak resident MB", "× C", "budget"]);
    for (name, command, budget) in [
        ("C, static native", native, ""),
        ("bls-load, copy, metered", loaded, "≤ 3"),
        ("wasmtime run --allow-precompiled", wasmtime, ""),
    ] {
        let Some(bytes) = peak(&command) else { continue };
        table.row(vec![
            name.to_owned(),
            megabytes(bytes),
            ratio(base.map(|base| bytes as f64 / base as f64)),
            budget.to_owned(),
        ]);
    }
    table.print(&format!("size: peak resident memory of hello, {RUNS} runs each, medians."));
    Ok(())
}

/// The guests: the shared ones, and some of the fixtures.
pub(super) fn guests() -> Vec<PathBuf> {
    let of_fixtures =
        ["wat/hello.wasm", "c/hello.wasm", "rust/hello/hello.wasm", "go/hello/hello.wasm"];
    let mut guests: Vec<PathBuf> = of_fixtures.map(|name| fixtures().join(name)).into();
    let shared = shared().map(|shared| shared.join("guests"));
    let entries = shared.and_then(|folder| std::fs::read_dir(folder).ok());
    let mut modules: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .filter(|path| !stem(path).ends_with(".component"))
        .collect();
    modules.sort();
    guests.append(&mut modules);
    guests
}

/// What it costs to compile: the better time of two, and the peak of memory.
pub(super) struct Cost {
    pub(super) time: f64,
    pub(super) peak: Option<u64>,
}

/// Makes an artifact again, and measures that too.
pub(super) fn cost(bench: &Bench, made: &Made) -> Cost {
    let begin = std::time::Instant::now();
    let peak = bench.peers.resident(&made.command);
    let again = peak.map_or(f64::INFINITY, |_| begin.elapsed().as_secs_f64() * 1e6);
    Cost { time: made.time.min(again), peak }
}

/// One guest, compiled in each way.
struct Guest {
    name: String,
    metered: Made,
    plain: Made,
    metered_cost: Cost,
    plain_cost: Cost,
    wasmtime: Option<(f64, u64)>,
}

fn guest(bench: &Bench, path: PathBuf) -> Result<Guest, String> {
    let within = path.strip_prefix(fixtures()).map(|path| format!("fixtures/{}", path.display()));
    let name = within.unwrap_or_else(|_| stem(&path));
    eprintln!("size: {name}");
    let file = name.replace('/', "-");
    let metered = bench.make(&path, &format!("{file}-metered"), &[])?;
    let plain = bench.make(&path, &format!("{file}-plain"), &["--no-fuel"])?;
    let begin = std::time::Instant::now();
    let compiled = bench.peers.wasmtime_compile(&path, &[]);
    let wasmtime_time = begin.elapsed().as_secs_f64() * 1e6;
    Ok(Guest {
        metered_cost: cost(bench, &metered),
        plain_cost: cost(bench, &plain),
        plain,
        wasmtime: compiled.map(|compiled| (wasmtime_time, length(&compiled))),
        metered,
        name,
    })
}

fn artifacts(bench: &Bench) -> Result<(), String> {
    let mut made = Vec::new();
    for path in guests() {
        match guest(bench, path) {
            Ok(guest) => made.push(guest),
            Err(what) => println!("left out: {what}"),
        }
    }
    compile_times(&made);
    metering(&made);
    Ok(())
}

/// What metering adds to each, and on average.
fn metering(guests: &[Guest]) {
    let mut table = Table::new(&[
        "guest",
        "wasm KB",
        "metered KB",
        "ratio",
        "native KB",
        "metered KB",
        "ratio",
        "compile ms",
        "metered ms",
        "ratio",
    ]);
    let mut ratios: [Vec<f64>; 3] = Default::default();
    for guest in guests {
        let (plain, metered) = (&guest.plain, &guest.metered);
        let pairs = [
            (plain.compiled_bytes as f64, metered.compiled_bytes as f64),
            (plain.image_bytes as f64, metered.image_bytes as f64),
            (guest.plain_cost.time, guest.metered_cost.time),
        ];
        let mut row = vec![guest.name.clone()];
        for (column, (before, after)) in pairs.into_iter().enumerate() {
            let shown = |value: f64| match column {
                2 => milliseconds(value),
                _ => kilobytes(value as u64),
            };
            row.extend([shown(before), shown(after), ratio(Some(after / before))]);
            ratios[column].push(after / before);
        }
        table.row(row);
    }
    let mut mean = vec!["geometric mean".to_owned()];
    for column in &ratios {
        mean.extend([String::new(), String::new(), ratio(geometric_mean(column))]);
    }
    table.row(mean);
    table.print(
        "size: unmetered and metered: the module that is compiled, the native image, and the time \
         to compile and sign, whole process, the better of two.",
    );
}

fn compile_times(guests: &[Guest]) {
    let mut table = Table::new(&[
        "guest",
        "metered ms",
        "unmetered ms",
        "ratio",
        "metered MB",
        "unmetered MB",
        "wasmtime ms",
        "× wasmtime",
    ]);
    for guest in guests {
        let (metered, plain) = (&guest.metered_cost, &guest.plain_cost);
        let wasmtime = guest.wasmtime.map(|(time, _)| time);
        table.row(vec![
            guest.name.clone(),
            milliseconds(metered.time),
            milliseconds(plain.time),
            ratio(Some(metered.time / plain.time)),
            metered.peak.map_or_else(dash, megabytes),
            plain.peak.map_or_else(dash, megabytes),
            wasmtime.map_or_else(dash, milliseconds),
            ratio(wasmtime.map(|wasmtime| metered.time / wasmtime)),
        ]);
    }
    table.print(
        "size: time to compile and sign, whole process, the better of two; peak resident memory. \
         Budget: metered ≤ 1.15 × wasmtime compile.",
    );
}
