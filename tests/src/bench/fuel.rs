//! `bench fuel`: what metering costs a running program.
//!
//! Every program runs in a fresh copy of its folder, metered and not, in turns.
//! Compared is the loader's run stage: the guest's code and its host calls, no
//! start. All of it in several layouts of the code ([`super::dressed`]), each metered and
//! not; a program's figure is the geometric mean over them. In a layout it is the median of
//! what each run is of the unmetered one beside it: on a shared machine whoever has the other
//! half of the core doubles both times for minutes. wasmtime's own fuel and epochs
//! are compared by whole processes, against wasmtime without them. What a program prints is
//! checked: against what is recorded, and else against what it prints unmetered.

use super::artifacts::{Made, stem};
use super::instructions::{self, Instructions};
use super::schemes::Scheme;
use super::statistics::{Samples, geometric_mean, interleave};
use super::table::{Table, dash, milliseconds, ratio};
use super::{Bench, dressed, report};
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
    /// What it prints, where that is recorded.
    pub(super) expected: Option<Vec<u8>>,
}

/// What was measured of one.
struct Measured {
    /// In the order of [`Variant::ALL`], each in every layout; `None` when it cannot be made.
    times: [Option<Vec<Samples>>; 4],
    consumed: Option<u64>,
    wasm_growth: f64,
    code_growth: Option<f64>,
    instructions: Option<Instructions>,
    /// By layout: plain, with its fuel, with epochs; empty without wasmtime.
    wasmtime: Vec<[Samples; 3]>,
}

/// How a program is metered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Plain,
    Metered,
    Other(Scheme),
}

impl Variant {
    const ALL: [Self; 4] =
        [Self::Plain, Self::Metered, Self::Other(Scheme::ALL[0]), Self::Other(Scheme::ALL[1])];
}

impl Measured {
    /// A variant's times over the plain ones, by layout.
    fn ratios(&self, variant: usize, over: Over) -> Option<Vec<f64>> {
        let [plain, ..] = &self.times;
        let (plain, other) = (plain.as_ref()?, self.times[variant].as_ref()?);
        Some(other.iter().zip(plain).map(|(other, plain)| over(other, plain)).collect())
    }

    /// The geometric mean of these over the layouts.
    fn ratio(&self, variant: usize, over: Over) -> Option<f64> {
        geometric_mean(&self.ratios(variant, over)?)
    }

    /// The median time where nothing was moved, in microseconds.
    fn time(&self, variant: usize) -> f64 {
        self.times[variant].as_ref().map_or(f64::NAN, |layouts| layouts[0].median())
    }
}

/// What one way's times are of another's.
type Over = fn(&Samples, &Samples) -> f64;

/// By what they cost when nothing disturbs them.
fn minimum_over(one: &Samples, other: &Samples) -> f64 {
    one.minimum() / other.minimum()
}

/// Where [`Variant::Metered`] stands.
const METERED: usize = 1;

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
    let wasm = std::fs::read(&program.module).map_err(|error| error.to_string())?;
    let mut measured = Measured {
        times: Default::default(),
        consumed: None,
        wasm_growth: f64::NAN,
        code_growth: None,
        instructions: None,
        wasmtime: wasmtime(bench, program, &wasm, runs)?,
    };
    let mut printed = None;
    let mut tells_time = false;
    for layout in 0..dressed::LAYOUTS {
        let made = Variant::ALL.map(|variant| made(bench, program, &wasm, variant, layout));
        let mut samples: [Samples; 4] = Default::default();
        // One round warms up.
        for round in 0..=runs {
            for (made, samples) in made.iter().zip(&mut samples) {
                let Ok(made) = made else { continue };
                let run = once(bench, program, made)?;
                let printed = match &printed {
                    Some(printed) => printed,
                    None => {
                        // A program that prints how long it took prints something else each time.
                        tells_time = once(bench, program, made)?.printed != run.printed;
                        printed.insert(run.printed.clone())
                    }
                };
                if !same(printed, &run.printed, tells_time) {
                    return Err(format!("it printed something else: {:?}", run.printed));
                }
                if round > 0 {
                    samples.push(run.time);
                }
                measured.consumed = measured.consumed.or(run.fuel);
            }
        }
        for ((times, samples), made) in measured.times.iter_mut().zip(samples).zip(&made) {
            if made.is_ok() {
                times.get_or_insert_default().push(samples);
            }
        }
        if layout == 0 {
            let [plain, metered, ..] = made;
            let (plain, metered) = (plain?, metered?);
            let code = |made| bench.code_bytes(made).map(|bytes| bytes as f64);
            measured.wasm_growth = metered.compiled_bytes as f64 / plain.compiled_bytes as f64;
            measured.code_growth =
                code(&metered).zip(code(&plain)).map(|(metered, plain)| metered / plain);
            let is_short = measured.time(0) <= instructions::RUN_TIME_MAX;
            measured.instructions = (callgrind && is_short)
                .then(|| instructions::count(bench, program, &metered, &plain))
                .flatten();
        }
    }
    Ok(measured)
}

/// The program in a layout, metered or not.
fn made(
    bench: &Bench,
    program: &Program,
    wasm: &[u8],
    variant: Variant,
    layout: u32,
) -> Result<Made, String> {
    let metered = match variant {
        Variant::Plain | Variant::Metered => None,
        Variant::Other(scheme) => Some(scheme.meter(wasm).ok_or("no module for this scheme")?),
    };
    let dressed =
        dressed::dress(metered.as_deref().unwrap_or(wasm), layout).ok_or("it cannot be dressed")?;
    let (name, options): (_, &[&str]) = match variant {
        Variant::Plain => ("plain".to_owned(), &["--no-fuel"]),
        Variant::Metered => ("metered".to_owned(), &[]),
        Variant::Other(scheme) => (scheme.name().replace(' ', "-"), &["--no-fuel"]),
    };
    let name = format!("{}-{name}-{layout}", program.name);
    let path = bench.home.path(&format!("{name}.wasm"));
    std::fs::write(&path, dressed).map_err(|error| error.to_string())?;
    bench.make(&path, &name, options)
}

/// Whether the same was printed, numbers aside where those tell the time.
fn same(one: &Printed, other: &Printed, tells_time: bool) -> bool {
    let words = |text: &[u8]| -> Vec<u8> {
        text.iter().copied().filter(|byte| !tells_time || !byte.is_ascii_digit()).collect()
    };
    words(&one.0) == words(&other.0) && words(one.1.as_bytes()) == words(other.1.as_bytes())
}

/// What a program printed on its two outputs.
type Printed = (Vec<u8>, String);

/// What one run took, and what it printed on both outputs.
pub(super) struct Run {
    /// Microseconds of the run stage.
    pub(super) time: f64,
    fuel: Option<u64>,
    printed: Printed,
}

impl Run {
    /// The units that it consumed.
    pub(super) fn fuel(&self) -> Option<u64> {
        self.fuel
    }
}

/// Runs a program once.
pub(super) fn once(bench: &Bench, program: &Program, made: &Made) -> Result<Run, String> {
    let (ended, report) = bench.report_in(Some(program.folder.path()), &made.path, &[])?;
    if program.expected.as_ref().is_some_and(|expected| *expected != ended.stdout) {
        return Err(format!("it printed {:?}", ended.text()));
    }
    let time = report::run_time(&report).ok_or("the report has no run stage")?;
    let fuel = report::consumed(&report);
    Ok(Run { time, fuel, printed: (ended.stdout, ended.stderr) })
}

/// wasmtime's whole process with each of its ways, in turns, in each layout.
fn wasmtime(
    bench: &Bench,
    program: &Program,
    wasm: &[u8],
    runs: usize,
) -> Result<Vec<[Samples; 3]>, String> {
    let command = |module: &Path, options: &[&str]| {
        let compiled = bench.peers.wasmtime_compile(module, options)?;
        let mut command =
            bench.peers.wasmtime_run(&[options, &["--dir", "."][..]].concat(), &compiled)?;
        command.current_dir(program.folder.path());
        Some(command)
    };
    let mut layouts = Vec::new();
    for layout in 0..dressed::LAYOUTS {
        let path = bench.home.path(&format!("{}-wasmtime.wasm", program.name));
        let dressed = dressed::dress(wasm, layout).ok_or("it cannot be dressed")?;
        std::fs::write(&path, dressed).map_err(|error| error.to_string())?;
        let commands = WASMTIME.iter().map(|options| command(&path, options));
        let Some(mut commands) = commands.collect::<Option<Vec<Command>>>() else {
            return Ok(Vec::new());
        };
        let mut samples = interleave(&mut commands, runs)?;
        layouts.push([0, 1, 2].map(|way: usize| std::mem::take(&mut samples[way])));
    }
    Ok(layouts)
}

fn overhead(measured: &[(String, Measured)], runs: usize) {
    let layouts = (0..dressed::LAYOUTS).map(|layout| format!("layout {layout}"));
    let headings: Vec<String> = ["program", "plain ms", "metered ms", "ratio", "of minima"]
        .map(str::to_owned)
        .into_iter()
        .chain(layouts)
        .chain(["wasm", "code", "fuel", "ns/unit"].map(str::to_owned))
        .collect();
    let mut table = Table::new(&headings);
    let mut columns: Vec<Vec<f64>> = vec![Vec::new(); 4 + dressed::LAYOUTS as usize];
    for (name, figures) in measured {
        let by_layout = figures.ratios(METERED, Samples::median_over).unwrap_or_default();
        let ratios: Vec<Option<f64>> =
            [figures.ratio(METERED, Samples::median_over), figures.ratio(METERED, minimum_over)]
                .into_iter()
                .chain(by_layout.into_iter().map(Some))
                .chain([Some(figures.wasm_growth), figures.code_growth])
                .collect();
        for (column, value) in columns.iter_mut().zip(&ratios) {
            column.extend(value);
        }
        let (plain, metered) = (figures.time(0), figures.time(METERED));
        let mut row = vec![name.clone(), milliseconds(plain), milliseconds(metered)];
        row.extend(ratios.into_iter().map(ratio));
        row.push(figures.consumed.map_or_else(dash, |fuel| fuel.to_string()));
        row.push(ratio(figures.consumed.map(|fuel| metered * 1000.0 / fuel as f64)));
        table.row(row);
    }
    let summary = |name: &str, of: &dyn Fn(&[f64]) -> Option<f64>| {
        let empty = [name.to_owned(), String::new(), String::new()];
        empty.into_iter().chain(columns.iter().map(|column| ratio(of(column)))).collect()
    };
    table.row(summary("geometric mean", &|column| geometric_mean(column)));
    table.row(summary("worst", &|column| column.iter().copied().max_by(f64::total_cmp)));
    table.print(&format!(
        "fuel: run stage metered over unmetered, {runs} runs each in each of {} layouts of the \
         code, in turns, medians of the ratios of pairs: geometric mean over the layouts, and \
         each; growth of wasm and of native code. Budget: mean ≤ 1.08, worst ≤ 1.3.",
        dressed::LAYOUTS
    ));
}

/// What the schemes of others cost in the same engine, beside ours.
fn schemes(measured: &[(String, Measured)], runs: usize) {
    let mut table = Table::new(&["program", "ours", Scheme::ALL[0].name(), Scheme::ALL[1].name()]);
    let mut columns: [Vec<f64>; 3] = Default::default();
    for (name, figures) in measured {
        let ratios = [1, 2, 3].map(|variant| figures.ratio(variant, Samples::median_over));
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
         and functions. Run stage over unmetered, {runs} runs each in each layout, in turns, \
         medians of the ratios of pairs, geometric mean over the layouts."
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
        let over = |way: usize| {
            let ratios: Vec<f64> =
                figures.wasmtime.iter().map(|ways| ways[way].median_over(&ways[0])).collect();
            geometric_mean(&ratios)
        };
        let ratios = [figures.ratio(METERED, Samples::median_over), over(1), over(2)];
        for (column, value) in columns.iter_mut().zip(ratios) {
            column.extend(value);
        }
        let mut row = vec![name.clone()];
        row.extend(ratios.map(ratio));
        let plain = figures.wasmtime.first().map(|layout| layout[0].median());
        row.push(plain.map_or_else(dash, milliseconds));
        table.row(row);
    }
    let mut row = vec!["geometric mean".to_owned()];
    row.extend(columns.iter().map(|column| ratio(geometric_mean(column))));
    table.row(row);
    table.print(&format!(
        "fuel: beside wasmtime's own, precompiled, whole process over its plain one, {runs} runs \
         each in each layout, in turns, medians of the ratios of pairs, geometric mean over the \
         layouts (ours: run stage, from the table above)."
    ));
}
