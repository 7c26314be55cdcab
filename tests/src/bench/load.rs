//! `bench load`: what it costs to start, whole process.
//!
//! In copy mode the loader hashes the code while it copies it into a sealed memfd; in
//! store mode it maps what root has installed. The base of every ratio is a static native
//! C hello.

use super::artifacts::{Made, stem};
use super::sized;
use super::statistics::{Samples, interleave};
use super::table::{Table, dash, kilobytes, megabytes, microseconds, milliseconds, ratio};
use super::{Bench, report};
use crate::installed::Shelf;
use crate::programs::{fixtures, loader, shared};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs of each command.
pub(super) const RUNS: usize = 300;
/// Runs whose reports are read for the stages.
const REPORTS: usize = 50;

/// Prints the tables.
pub(super) fn run(bench: &Bench, runs: usize) -> Result<(), String> {
    let hello = bench.make(&fixtures().join("wat/hello.wat"), "hello", &[])?;
    let shelf = Shelf::new();
    let installed = Installed::new(bench, &shelf, &hello, "hello")?;
    whole_process(bench, &hello, &installed, runs)?;
    stages(bench, &hello, &installed)?;
    sizes(bench, &shelf, &installed, runs.div_ceil(3).max(5))?;
    large(bench, &shelf, &hello, &installed, runs.div_ceil(10).max(5))
}

/// An artifact that is installed.
pub(super) struct Installed<'a> {
    shelf: &'a Shelf,
    name: String,
    /// The integrity mode in which it runs: store, where root measures.
    pub(super) mode: String,
}

impl<'a> Installed<'a> {
    /// Installs it under its own name.
    pub(super) fn new(
        bench: &Bench,
        shelf: &'a Shelf,
        made: &Made,
        name: &str,
    ) -> Result<Self, String> {
        let ended = shelf.install(&bench.home, &made.path);
        if ended.code != Some(0) {
            return Err(format!("{name}: {}", ended.stderr.trim()));
        }
        let mut installed = Self { shelf, name: name.to_owned(), mode: String::new() };
        let report = installed.report(bench, &[])?;
        installed.mode = report["integrity"]["mode"].as_str().unwrap_or_default().to_owned();
        Ok(installed)
    }

    /// The command that runs it.
    pub(super) fn command(&self, bench: &Bench, arguments: &[&str]) -> Command {
        let mut command = Command::new(loader());
        command.current_dir(bench.home.path(".")).arg("--trust").arg(bench.home.public_key());
        command.arg("--store").arg(self.shelf.store()).arg(&self.name).args(arguments);
        command
    }

    fn report(&self, bench: &Bench, arguments: &[&str]) -> Result<serde_json::Value, String> {
        let path = bench.home.path("installed.json");
        let mut command = Command::new(loader());
        command.current_dir(bench.home.path(".")).arg("--trust").arg(bench.home.public_key());
        command.arg("--report").arg(&path).arg("--store").arg(self.shelf.store());
        let ended = crate::programs::run(command.arg(&self.name).args(arguments), b"");
        let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", ended.stderr))?;
        serde_json::from_slice(&text).map_err(|error| format!("report: {error}"))
    }
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

fn whole_process(
    bench: &Bench,
    hello: &Made,
    installed: &Installed<'_>,
    runs: usize,
) -> Result<(), String> {
    let module = fixtures().join("wat/hello.wat");
    let mut names = Vec::new();
    let mut commands = Vec::new();
    let mut add = |name: &str, command: Option<Command>| {
        if let Some(command) = command {
            names.push(name.to_owned());
            commands.push(command);
        }
    };
    add("C, static native", native(bench));
    let mode = format!("bls-load, installed, {}, metered", installed.mode);
    add(&mode, Some(installed.command(bench, &[])));
    add("bls-load, copy, metered", Some(bench.home.load_command::<&str>(&[], &hello.path)));
    add("wasmtime run --allow-precompiled", wasmtime(bench, &module, &[]));
    let samples = interleave(&mut commands, runs)?;

    let base = bench.peers.hello.as_ref().map(|_| samples[0].clone());
    let mut table = Table::new(&["hello", "median µs", "minimum", "90 %", "× C", "× C of minima"]);
    for (name, samples) in names.iter().zip(&samples) {
        let over =
            |of: fn(&Samples) -> f64| ratio(base.as_ref().map(|base| of(samples) / of(base)));
        table.row(vec![
            name.clone(),
            microseconds(samples.median()),
            microseconds(samples.minimum()),
            microseconds(samples.ninth_decile()),
            over(Samples::median),
            over(Samples::minimum),
        ]);
    }
    table.print(&format!(
        "load: whole process of hello ({} KB artifact, signed and verified), {runs} runs each, \
         in turns, stdout to /dev/null. Budgets: installed ≤ 1.7 × C, copy ≤ 2.1 × C.",
        kilobytes(hello.bytes)
    ));
    Ok(())
}

/// The stages of `reports` runs: names, and samples of each.
fn staged(
    reports: usize,
    mut report: impl FnMut() -> Result<serde_json::Value, String>,
) -> Result<Vec<(String, Samples)>, String> {
    let mut all: Vec<(String, Samples)> = Vec::new();
    for _ in 0..reports {
        for (name, time) in report::stages(&report()?) {
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, samples)) => samples.push(time),
                None => all.push((name, [time].into_iter().collect())),
            }
        }
    }
    Ok(all)
}

fn stages(bench: &Bench, hello: &Made, installed: &Installed<'_>) -> Result<(), String> {
    let copy = staged(REPORTS, || bench.report(&hello.path, &[]))?;
    let store = staged(REPORTS, || installed.report(bench, &[]))?;
    let mode = &installed.mode;
    let installed = format!("installed ({mode}) µs");
    let mut table = Table::new(&["stage", "copy µs", "minimum", installed.as_str(), "minimum"]);
    for ((name, copy), (_, store)) in copy.iter().zip(&store) {
        table.row(vec![
            name.clone(),
            microseconds(copy.median()),
            microseconds(copy.minimum()),
            microseconds(store.median()),
            microseconds(store.minimum()),
        ]);
    }
    let sum = |stages: &[(String, Samples)], of: fn(&Samples) -> f64| {
        microseconds(stages.iter().map(|(_, samples)| of(samples)).sum())
    };
    table.row(vec![
        "sum".to_owned(),
        sum(&copy, Samples::median),
        sum(&copy, Samples::minimum),
        sum(&store, Samples::median),
        sum(&store, Samples::minimum),
    ]);
    table.print(&format!(
        "load: the loader's own stages of hello, from --report, {REPORTS} runs; medians. \
         Budget of all of main, installed: ≤ 350 µs."
    ));
    Ok(())
}

/// Start by size: images of code and data, in both modes.
fn sizes(bench: &Bench, shelf: &Shelf, hello: &Installed<'_>, runs: usize) -> Result<(), String> {
    let mut guests = Vec::new();
    for (name, bytes) in
        [("0.1MB", 100_000_usize), ("1MB", 1_000_000), ("10MB", 10_000_000), ("50MB", 50_000_000)]
    {
        let module = bench.home.path(&format!("size-{name}.wasm"));
        std::fs::write(&module, sized::module(bytes)).map_err(|error| error.to_string())?;
        let made = bench.make(&module, &format!("size-{name}"), &[])?;
        let installed = Installed::new(bench, shelf, &made, &format!("size-{name}"))?;
        guests.push((made, installed));
    }
    let native = native(bench);
    let base = native.is_some();
    let mut commands: Vec<Command> = native.into_iter().collect();
    commands.push(hello.command(bench, &[]));
    for (made, installed) in &guests {
        commands.push(bench.home.load_command::<&str>(&[], &made.path));
        commands.push(installed.command(bench, &[]));
    }
    let samples = interleave(&mut commands, runs)?;
    let (native, samples) = samples.split_at(usize::from(base));
    let (hello_samples, samples) = samples.split_at(1);
    let installed = format!("installed ({}) µs", hello.mode);
    let mut table = Table::new(&[
        "image MB",
        "copy µs",
        "minimum",
        installed.as_str(),
        "minimum",
        "× C",
        "of minima",
        "× hello",
        "of minima",
    ]);
    let over = |samples: &Samples, base: Option<&Samples>, of: fn(&Samples) -> f64| {
        ratio(base.map(|base| of(samples) / of(base)))
    };
    let mut row = |name: String, copy: Option<&Samples>, store: &Samples| {
        let time = |of: fn(&Samples) -> f64| copy.map_or_else(dash, |copy| microseconds(of(copy)));
        table.row(vec![
            name,
            time(Samples::median),
            time(Samples::minimum),
            microseconds(store.median()),
            microseconds(store.minimum()),
            over(store, native.first(), Samples::median),
            over(store, native.first(), Samples::minimum),
            over(store, hello_samples.first(), Samples::median),
            over(store, hello_samples.first(), Samples::minimum),
        ]);
    };
    if let Some(native) = native.first() {
        row("C, static native".to_owned(), None, native);
    }
    row("hello".to_owned(), None, &hello_samples[0]);
    for ((made, _), samples) in guests.iter().zip(samples.chunks(2)) {
        row(megabytes(made.image_bytes), Some(&samples[0]), &samples[1]);
    }
    table.print(&format!(
        "load: start by size of the image (code, up to 4 MB of it, and data), whole process, \
         {runs} runs each, in turns. Budget: 50 MB installed ≤ 1.5 × hello."
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

fn large(
    bench: &Bench,
    shelf: &Shelf,
    hello: &Made,
    installed: &Installed<'_>,
    runs: usize,
) -> Result<(), String> {
    let mut table = Table::new(&[
        "start",
        "wasm MB",
        "artifact MB",
        "median ms",
        "× C",
        "× hello",
        "guest's run ms",
        "all before ms",
        "installed ms",
        "× hello",
        "wasmtime ms",
        "× wasmtime",
    ]);
    for (path, arguments) in quick() {
        table.row(large_row(bench, (shelf, installed), hello, &path, arguments, runs)?);
    }
    table.print(&format!(
        "load: start of large artifacts, copy mode (every byte hashed) and installed ({}), \
         whole process, {runs} runs each, in turns with hello, the same way, and C; medians. \
         Stages: median of 5 reports.",
        installed.mode
    ));
    Ok(())
}

fn large_row(
    bench: &Bench,
    (shelf, hello_installed): (&Shelf, &Installed<'_>),
    hello: &Made,
    path: &Path,
    arguments: &[&str],
    runs: usize,
) -> Result<Vec<String>, String> {
    let name = stem(path);
    eprintln!("load: {name}");
    let made = bench.make(path, &format!("large-{name}"), &[])?;
    let installed = Installed::new(bench, shelf, &made, &name)?;
    let mut loaded = bench.home.load_command::<&str>(&[], &made.path);
    loaded.args(arguments);
    let mut commands = vec![
        loaded,
        bench.home.load_command::<&str>(&[], &hello.path),
        installed.command(bench, arguments),
        hello_installed.command(bench, &[]),
    ];
    let native = native(bench);
    let base = native.is_some();
    commands.extend(native.into_iter().chain(wasmtime(bench, path, arguments)));
    let samples = interleave(&mut commands, runs)?;
    let median = samples[0].median();
    let base = base.then(|| samples[4].median());
    let wasmtime = samples.get(4 + usize::from(base.is_some())).map(Samples::median);
    let stages = staged(5, || bench.report(&made.path, arguments))?;
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
        milliseconds(samples[2].median()),
        ratio(Some(samples[2].median() / samples[3].median())),
        wasmtime.map_or_else(dash, milliseconds),
        ratio(wasmtime.map(|wasmtime| median / wasmtime)),
    ])
}
