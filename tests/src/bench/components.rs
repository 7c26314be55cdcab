//! `bench components`: components of WASI 0.2 as artifacts, beside wasmtime's precompiled components.
//!
//! The recorded ones of `BLS_SHARED/guests`, and the fixtures that are commands. Each is compiled by
//! both ahead of time, runs in a folder of its own with the same arguments, variables, input and
//! files, in turns; what it prints is compared in each run. Times are of whole processes. Then a hello
//! as a component beside the same as a module: what being a component costs a start.

use super::Bench;
use super::artifacts::{Made, length};
use super::statistics::{Samples, geometric_mean};
use super::table::{Table, dash, kilobytes, megabytes, milliseconds, ratio};
use crate::programs::{fixtures, run, shared};
use crate::runs::{self, Run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Runs of each.
pub(super) const RUNS: usize = 15;
/// What some of them use and wasmtime does not offer unasked.
const PROPOSALS: &str = "exceptions=y,gc=y,function-references=y,tail-call=y,multi-memory=y";

/// An interface that wasmtime has only where it is asked to.
const HTTP: &[u8] = b"wasi:http/types@";

/// Prints the tables.
pub(super) fn run_all(bench: &Bench, runs: usize) -> Result<(), String> {
    let mut table = Table::new(&[
        "component",
        "KB",
        "Munits of fuel",
        "artifact KB",
        "wasmtime's KB",
        "ms",
        "wasmtime's ms",
        "×",
        "MB",
        "wasmtime's MB",
    ]);
    let (mut times, mut peaks) = (Vec::new(), Vec::new());
    for recorded in all() {
        eprintln!("components: {}", recorded.name);
        let measured = measure(bench, &recorded, runs)?;
        let [ours, peer] = &measured.samples;
        let over = (peer.count() > 0).then(|| ours.median_over(peer));
        times.extend(over);
        let [peak, peer_peak] = measured.peaks;
        peaks.extend(peak.zip(peer_peak).map(|(ours, peer)| ours as f64 / peer as f64));
        let of_peer = |text: String| if peer.count() > 0 { text } else { dash() };
        table.row(vec![
            recorded.name.clone(),
            kilobytes(length(&recorded.file)),
            measured.fuel.map_or_else(dash, |units| format!("{:.3}", units as f64 / 1e6)),
            kilobytes(measured.sizes[0]),
            of_peer(kilobytes(measured.sizes[1])),
            milliseconds(ours.median()),
            of_peer(milliseconds(peer.median())),
            ratio(over),
            peak.map_or_else(dash, megabytes),
            peer_peak.map_or_else(dash, megabytes),
        ]);
    }
    let mut row = vec![String::new(); 10];
    row[0] = "geometric mean".to_owned();
    row[7] = ratio(geometric_mean(&times));
    row[8] = ratio(geometric_mean(&peaks));
    table.row(row);
    table.print(&format!(
        "components: metered artifacts beside wasmtime's precompiled components, whole processes, \
         {runs} runs each, in turns; ×: median of the ratios of pairs; MB: peak resident memory (in the \
         last row its ratio). Each printed what was recorded, or what it prints under both."
    ));
    start(bench, runs)
}

/// The recorded ones, and fixtures that are commands.
fn all() -> Vec<Run> {
    let mut all = shared().map_or_else(Vec::new, |shared| runs::guests(&shared).1);
    let of_fixture = |(name, input): (&str, &str)| Run {
        name: format!("fixtures/{name}"),
        file: fixtures().join("component").join(format!("{name}.wat")),
        args: Vec::new(),
        env: Vec::new(),
        stdin: input.into(),
        mount: None,
        files: Vec::new(),
        exit_code: 0,
        stdout: None,
        skip_lines: 0,
        memory_min: None,
        writes: None,
        repeat: 1,
        exit_code_full: None,
    };
    let simple =
        [("hello", ""), ("streams", "abcdefgh"), ("resources", ""), ("text", ""), ("closed", "")];
    all.extend(simple.map(of_fixture));
    let files = vec![("given".to_owned(), b"0123456789".to_vec())];
    all.push(Run { mount: Some("/data".to_owned()), files, ..of_fixture(("files", "")) });
    all
}

struct Measured {
    /// Ours, wasmtime's.
    samples: [Samples; 2],
    peaks: [Option<u64>; 2],
    sizes: [u64; 2],
    fuel: Option<u64>,
}

fn measure(bench: &Bench, recorded: &Run, runs: usize) -> Result<Measured, String> {
    let file = recorded.name.replace('/', "-");
    let made = bench.make(&recorded.file, &file, &[])?;
    // Not every build of wasmtime reads text.
    let binary = bench.home.path(&format!("{file}.component.wasm"));
    let bytes = wat::parse_file(&recorded.file).map_err(|error| error.to_string())?;
    let asks_for_http = bytes.windows(HTTP.len()).any(|window| window == HTTP);
    std::fs::write(&binary, bytes).map_err(|error| error.to_string())?;
    let compiled = bench.peers.wasmtime_compile(&binary, &["-W", PROPOSALS]);
    let sizes = [made.bytes, compiled.as_deref().map_or(0, length)];
    let input = bench.home.path("input");
    std::fs::write(&input, &recorded.stdin).map_err(|error| error.to_string())?;
    let mut measured =
        Measured { samples: Default::default(), peaks: [None; 2], sizes, fuel: None };
    let ours = |folder: &Path| ours(bench, recorded, &made, folder);
    let peer = |folder: &Path| {
        let grants = recorded.grants(folder);
        let http: &[&str] = if asks_for_http { &["-S", "http"] } else { &[] };
        let grants = grants.iter().map(String::as_str);
        let options: Vec<&str> =
            ["-W", PROPOSALS].into_iter().chain(http.iter().copied()).chain(grants).collect();
        let mut command = bench.peers.wasmtime_run(&options, compiled.as_ref()?)?;
        command.args(&recorded.args);
        Some(command)
    };
    // One round warms up.
    for round in 0..=runs {
        let mut printed = [None, None];
        for which in [0, 1] {
            let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
            recorded.lay_out(folder.path());
            let command = if which == 0 { Some(ours(folder.path())) } else { peer(folder.path()) };
            let Some(mut command) = command else { continue };
            let begin = Instant::now();
            let ended = run(&mut command, &recorded.stdin);
            let time = begin.elapsed();
            if ended.code != Some(recorded.exit_code) {
                return Err(format!("{}: {command:?}: {}", recorded.name, ended.stderr));
            }
            if round > 0 {
                measured.samples[which].push(time.as_secs_f64() * 1e6);
            }
            printed[which] = Some(ended.stdout);
            if round == 0 {
                let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
                recorded.lay_out(folder.path());
                let again =
                    if which == 0 { Some(ours(folder.path())) } else { peer(folder.path()) };
                let usage = again.and_then(|again| bench.peers.usage_with(&again, Some(&input)));
                measured.peaks[which] = usage.filter(|usage| usage.is_done).map(|usage| usage.peak);
            }
        }
        let [ours, peer] = printed.map(|text| text.map(unnamed));
        let wanted = recorded.stdout.clone().map(unnamed).or(peer.clone());
        if wanted.is_some() && ours != wanted || peer.is_some() && peer != wanted {
            return Err(format!("{}: it printed something else", recorded.name));
        }
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    recorded.lay_out(folder.path());
    let command = |flags: &[String]| {
        let options = [flags, &recorded.options(folder.path())[..]].concat();
        let mut command = bench.home.load_command(&options, &made.path);
        command.args(&recorded.args);
        command
    };
    measured.fuel = fuel(bench, &command, &recorded.stdin);
    Ok(measured)
}

/// The units of a run, as its report says them.
fn fuel(bench: &Bench, command: &dyn Fn(&[String]) -> Command, input: &[u8]) -> Option<u64> {
    let path = bench.home.path("report.json");
    let flags = ["--report".to_owned(), path.display().to_string()];
    let _ = run(&mut command(&flags), input);
    let report: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    report["fuel"]["consumed"].as_u64()
}

fn ours(bench: &Bench, recorded: &Run, made: &Made, folder: &Path) -> Command {
    let mut command = bench.home.load_command(&recorded.options(folder), &made.path);
    command.args(&recorded.args);
    command
}

/// What was printed, but for the name of the program's own file, which is another for each.
fn unnamed(text: Vec<u8>) -> String {
    let mut text = String::from_utf8_lossy(&text).into_owned();
    for kind in [".component.wasm", ".component.bls", ".cwasm", ".bls"] {
        text = text.replace(kind, "");
    }
    text
}

/// A hello as a component, beside the module of which it was made.
fn start(bench: &Bench, runs: usize) -> Result<(), String> {
    /// Starts of each, for each run of the others.
    const STARTS: usize = 10;
    let Some(shared) = shared() else { return Ok(()) };
    let guest = |name: &str| shared.join("guests").join(name);
    let pairs: [(&str, PathBuf, PathBuf); 2] = [
        ("rust-hello", guest("rust-hello.wasm"), guest("rust-hello.component.wasm")),
        ("c-hello", guest("c-hello.wasm"), guest("c-hello.component.wasm")),
    ];
    let mut table = Table::new(&[
        "hello",
        "module, units",
        "component, units",
        "module ms",
        "component ms",
        "×",
    ]);
    for (name, module, component) in pairs {
        let made = [
            bench.make(&module, &format!("start-{name}"), &[])?,
            bench.make(&component, &format!("start-{name}-component"), &[])?,
        ];
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let options = ["--dir".to_owned(), format!("{}::.", folder.path().display())];
        let mut samples: [Samples; 2] = Default::default();
        for round in 0..=runs * STARTS {
            for (made, samples) in made.iter().zip(&mut samples) {
                let mut command = bench.home.load_command(&options, &made.path);
                let begin = Instant::now();
                let ended = run(&mut command, b"");
                let time = begin.elapsed();
                if ended.code != Some(0) {
                    return Err(format!("{name}: {}", ended.stderr));
                }
                if round > 0 {
                    samples.push(time.as_secs_f64() * 1e6);
                }
            }
        }
        let units = |made: &Made| {
            let command = |flags: &[String]| {
                bench.home.load_command(&[flags, &options[..]].concat(), &made.path)
            };
            fuel(bench, &command, b"")
        };
        let shown = |units: Option<u64>| units.map_or_else(dash, |units| units.to_string());
        table.row(vec![
            name.to_owned(),
            shown(units(&made[0])),
            shown(units(&made[1])),
            milliseconds(samples[0].median()),
            milliseconds(samples[1].median()),
            ratio(Some(samples[1].median_over(&samples[0]))),
        ]);
    }
    table.print(&format!(
        "components: the same program as a module and as a component (its preview 1 adapter), whole \
         processes, {} runs each, in turns",
        runs * STARTS
    ));
    Ok(())
}
