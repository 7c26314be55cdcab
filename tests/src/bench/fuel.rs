//! `bench fuel`: what metering costs a running program.
//!
//! Every program runs in a fresh copy of its folder, metered and not, in turns.
//! Compared is the loader's run stage: the guest's code and its host calls, no
//! start. wasmtime's own fuel and epochs are compared by whole processes, against
//! wasmtime without them. Output is checked where one is recorded.

use super::artifacts::{Made, stem};
use super::instructions::{self, Instructions};
use super::schemes::Scheme;
use super::statistics::{Samples, geometric_mean, interleave};
use super::table::{Table, dash, milliseconds, ratio};
use super::{Bench, report};
use crate::programs::{fixtures, shared};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs of each variant.
pub(super) const RUNS: usize = 7;
/// wasmtime's options: none, its fuel, its epochs (which need a deadline).
const WASMTIME: [&[&str]; 3] =
    [&[], &["-W", "fuel=1000000000000000"], &["-W", "epoch-interruption=y,timeout=1000s"]];

/// A program in its own fresh folder.
pub(super) struct Program {
    pub(super) name: String,
    pub(super) module: PathBuf,
    pub(super) folder: tempfile::TempDir,
    expected: Option<Vec<u8>>,
}

/// What was measured of one.
struct Measured {
    metered: Samples,
    plain: Samples,
    consumed: Option<u64>,
    wasm_growth: f64,
    code_growth: Option<f64>,
    instructions: Option<Instructions>,
    /// In the order of [`Scheme::ALL`].
    schemes: [Option<Samples>; 2],
    wasmtime: [Option<f64>; 3],
}

/// Prints the tables.
pub(super) fn run(bench: &Bench, runs: usize, callgrind: bool) -> Result<(), String> {
    let mut measured = Vec::new();
    for program in programs()? {
        eprintln!("fuel: {}", program.name);
        match measure(bench, &program, runs, callgrind) {
            Ok(figures) => measured.push((program.name, figures)),
            Err(what) => println!("{} is left out: {what}", program.name),
        }
    }
    overhead(&measured, runs);
    if callgrind {
        let counted = measured
            .iter()
            .map(|(name, figures)| (name.as_str(), figures.instructions, figures.consumed));
        instructions::print(counted);
    }
    schemes(&measured, runs);
    peers(bench, &measured, runs);
    Ok(())
}

/// The programs of `BLS_SHARED/bench`; without, the one of the fixtures.
pub(super) fn programs() -> Result<Vec<Program>, String> {
    let Some(folder) = shared().map(|shared| shared.join("bench")) else {
        let module = fixtures().join("c/compute.wasm");
        println!("BLS_SHARED is not set: one fixture instead of the real programs.");
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        return Ok(vec![Program { name: stem(&module), module, folder, expected: None }]);
    };
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut folders: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    let copy = |folder: &PathBuf| {
        program(folder).map_err(|error| format!("{}: {error}", folder.display()))
    };
    folders.iter().map(copy).collect()
}

/// Copies a program's folder.
fn program(from: &Path) -> std::io::Result<Program> {
    let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = tempfile::tempdir()?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
    }
    let expected = std::fs::read(from.join("stdout.expected")).ok();
    Ok(Program {
        module: from.join(format!("{name}.wasm")),
        expected: expected.filter(|text| !text.is_empty()),
        name,
        folder,
    })
}

fn measure(
    bench: &Bench,
    program: &Program,
    runs: usize,
    callgrind: bool,
) -> Result<Measured, String> {
    let metered = bench.make(&program.module, &format!("{}-metered", program.name), &[])?;
    let plain = bench.make(&program.module, &format!("{}-plain", program.name), &["--no-fuel"])?;
    let schemes = Scheme::ALL.map(|scheme| other(bench, program, scheme));
    let mut consumed = None;
    let all = [Some(&metered), Some(&plain), schemes[0].as_ref(), schemes[1].as_ref()];
    let mut samples: [Samples; 4] = Default::default();
    // One round warms up.
    for round in 0..=runs {
        for (made, samples) in all.iter().zip(&mut samples) {
            let Some(made) = made else { continue };
            let (time, fuel) = once(bench, program, made)?;
            if round > 0 {
                samples.push(time);
            }
            consumed = consumed.or(fuel);
        }
    }
    let code = |made| bench.code_bytes(made).map(|bytes| bytes as f64);
    let [metered_samples, plain_samples, block_samples, loop_samples] = samples;
    let [block, at_loops] = schemes;
    let is_short = plain_samples.median() <= instructions::RUN_TIME_MAX;
    let instructions = (callgrind && is_short)
        .then(|| instructions::count(bench, program, &metered, &plain))
        .flatten();
    Ok(Measured {
        metered: metered_samples,
        plain: plain_samples,
        consumed,
        wasm_growth: metered.compiled_bytes as f64 / plain.compiled_bytes as f64,
        code_growth: code(&metered).zip(code(&plain)).map(|(metered, plain)| metered / plain),
        instructions,
        schemes: [block.map(|_| block_samples), at_loops.map(|_| loop_samples)],
        wasmtime: wasmtime(bench, program, runs)?,
    })
}

/// The program as others would meter it; `None` when that cannot be.
fn other(bench: &Bench, program: &Program, scheme: Scheme) -> Option<Made> {
    let metered = scheme.meter(&std::fs::read(&program.module).ok()?)?;
    let name = format!("{}-{}", program.name, scheme.name().replace(' ', "-"));
    let path = bench.home.path(&format!("{name}.wasm"));
    std::fs::write(&path, metered).ok()?;
    bench.make(&path, &name, &["--no-fuel"]).ok()
}

/// One run: the microseconds of its run stage, and its fuel.
pub(super) fn once(
    bench: &Bench,
    program: &Program,
    made: &Made,
) -> Result<(f64, Option<u64>), String> {
    let (ended, report) = bench.report_in(Some(program.folder.path()), &made.path, &[])?;
    if program.expected.as_ref().is_some_and(|expected| *expected != ended.stdout) {
        return Err(format!("it printed {:?}", ended.text()));
    }
    let time = report::run_time(&report).ok_or("the report has no run stage")?;
    Ok((time, report::consumed(&report)))
}

/// wasmtime's whole process in each of its variants, in turns; medians.
fn wasmtime(bench: &Bench, program: &Program, runs: usize) -> Result<[Option<f64>; 3], String> {
    let command = |options: &&[&str]| {
        let compiled = bench.peers.wasmtime_compile(&program.module, options)?;
        let mut command =
            bench.peers.wasmtime_run(&[options, &["--dir", "."][..]].concat(), &compiled)?;
        command.current_dir(program.folder.path());
        Some(command)
    };
    let Some(mut commands) = WASMTIME.iter().map(command).collect::<Option<Vec<Command>>>() else {
        return Ok([None; 3]);
    };
    let samples = interleave(&mut commands, runs)?;
    Ok([0, 1, 2].map(|variant| samples.get(variant).map(Samples::median)))
}

fn overhead(measured: &[(String, Measured)], runs: usize) {
    let mut table = Table::new(&[
        "program",
        "plain ms",
        "metered ms",
        "ratio",
        "of minima",
        "wasm",
        "code",
        "fuel",
        "ns/unit",
    ]);
    let (mut ratios, mut minima, mut wasm, mut code) = (vec![], vec![], vec![], vec![]);
    for (name, figures) in measured {
        let (metered, plain) = (figures.metered.median(), figures.plain.median());
        ratios.push(metered / plain);
        minima.push(figures.metered.minimum() / figures.plain.minimum());
        wasm.push(figures.wasm_growth);
        code.extend(figures.code_growth);
        table.row(vec![
            name.clone(),
            milliseconds(plain),
            milliseconds(metered),
            ratio(ratios.last().copied()),
            ratio(minima.last().copied()),
            ratio(Some(figures.wasm_growth)),
            ratio(figures.code_growth),
            figures.consumed.map_or_else(dash, |fuel| fuel.to_string()),
            ratio(figures.consumed.map(|fuel| metered * 1000.0 / fuel as f64)),
        ]);
    }
    let columns = [&ratios, &minima, &wasm, &code];
    let summary = |name: &str, of: &dyn Fn(&[f64]) -> Option<f64>| {
        let empty = [name.to_owned(), String::new(), String::new()];
        empty.into_iter().chain(columns.iter().map(|column| ratio(of(column)))).collect()
    };
    table.row(summary("geometric mean", &|column| geometric_mean(column)));
    table.row(summary("worst", &|column| column.iter().copied().max_by(f64::total_cmp)));
    table.print(&format!(
        "fuel: run stage metered over unmetered, {runs} runs each, in turns, medians; growth of \
         wasm and of native code. Budget: mean ≤ 1.08, worst ≤ 1.3."
    ));
}

/// What the schemes of others cost in the same engine, beside ours.
fn schemes(measured: &[(String, Measured)], runs: usize) {
    let mut table = Table::new(&["program", "ours", Scheme::ALL[0].name(), Scheme::ALL[1].name()]);
    let mut columns: [Vec<f64>; 3] = Default::default();
    for (name, figures) in measured {
        let over = |samples: &Samples| samples.minimum() / figures.plain.minimum();
        let [block, at_loops] = &figures.schemes;
        let ratios =
            [Some(over(&figures.metered)), block.as_ref().map(over), at_loops.as_ref().map(over)];
        for (column, value) in columns.iter_mut().zip(ratios) {
            column.extend(value);
        }
        table.row([name.clone()].into_iter().chain(ratios.map(ratio)).collect());
    }
    let means = columns.iter().map(|column| ratio(geometric_mean(column)));
    table.row(["geometric mean".to_owned()].into_iter().chain(means).collect());
    table.print(&format!(
        "fuel: beside the schemes of others, with our weights and in our loader: wasmer and Stylus \
         charge a global and check it in each basic block, the Internet Computer checks at loops \
         and functions. Run stage over unmetered, {runs} runs each, in turns, minima."
    ));
}

/// What wasmtime's own ways cost, beside ours.
fn peers(bench: &Bench, measured: &[(String, Measured)], runs: usize) {
    if bench.peers.wasmtime.is_none() {
        return;
    }
    let mut table =
        Table::new(&["program", "ours", "wasmtime fuel", "wasmtime epochs", "wasmtime plain ms"]);
    let mut columns: [Vec<f64>; 3] = Default::default();
    for (name, figures) in measured {
        let [plain, fuel, epochs] = figures.wasmtime;
        let over =
            |variant: Option<f64>| variant.zip(plain).map(|(variant, plain)| variant / plain);
        let ours = Some(figures.metered.median() / figures.plain.median());
        let ratios = [ours, over(fuel), over(epochs)];
        for (column, value) in columns.iter_mut().zip(ratios) {
            column.extend(value);
        }
        let mut row = vec![name.clone()];
        row.extend(ratios.map(ratio));
        row.push(plain.map_or_else(dash, milliseconds));
        table.row(row);
    }
    let mut row = vec!["geometric mean".to_owned()];
    row.extend(columns.iter().map(|column| ratio(geometric_mean(column))));
    table.row(row);
    table.print(&format!(
        "fuel: beside wasmtime's own, precompiled, whole process over its plain one, {runs} runs \
         each, in turns, medians (ours: run stage, from the table above)."
    ));
}
