//! `bench memory`: what each way of keeping to a memory costs (`--memory guard|checked`): time,
//! code, address space; and how little of both a hello needs.
//!
//! The programs of `bench fuel`, metered, as they are. Compared is the run stage, in turns, by
//! pairs. Address space is the most that a process had (`VmPeak`), what was in memory the most
//! that was (`VmHWM`), both by its own `/proc` while it waits for input that does not come.

use super::artifacts::Made;
use super::fuel::{once, programs};
use super::statistics::{Samples, geometric_mean};
use super::table::{Table, dash, kilobytes, milliseconds, ratio};
use super::{Bench, fuel};
use crate::programs::loader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Runs of each variant.
pub(super) const RUNS: usize = fuel::RUNS;
/// The two ways.
const WAYS: [&str; 2] = ["guard", "checked"];

/// Prints the tables.
pub(super) fn run(bench: &Bench, runs: usize) -> Result<(), String> {
    times(bench, runs)?;
    spaces(bench)
}

fn times(bench: &Bench, runs: usize) -> Result<(), String> {
    let mut table = Table::new(&["program", "guard ms", "checked ms", "ratio", "code"]);
    let mut columns: [Vec<f64>; 2] = Default::default();
    for program in programs()? {
        eprintln!("memory: {}", program.name);
        let make = |way: &str| {
            bench.make(&program.module, &format!("{}-{way}", program.name), &["--memory", way])
        };
        let made: [Result<Made, String>; 2] = WAYS.map(make);
        let [Ok(guard), Ok(checked)] = &made else {
            println!("{} is left out: it does not compile", program.name);
            continue;
        };
        let mut samples: [Samples; 2] = Default::default();
        // One round warms up.
        for round in 0..=runs {
            for (made, samples) in [guard, checked].into_iter().zip(&mut samples) {
                let run = once(bench, &program, made)?;
                if round > 0 {
                    samples.push(run.time);
                }
            }
        }
        let [before, after] = samples;
        let code = bench.code_bytes(checked).zip(bench.code_bytes(guard));
        let ratios = [
            Some(after.median_over(&before)),
            code.map(|(checked, guard)| checked as f64 / guard as f64),
        ];
        for (column, value) in columns.iter_mut().zip(ratios) {
            column.extend(value);
        }
        let mut row =
            vec![program.name.clone(), milliseconds(before.median()), milliseconds(after.median())];
        row.extend(ratios.map(ratio));
        table.row(row);
    }
    let mut row = vec!["geometric mean".to_owned(), String::new(), String::new()];
    row.extend(columns.iter().map(|column| ratio(geometric_mean(column))));
    table.row(row);
    table.print(&format!(
        "memory: run stage and native code with --memory checked over --memory guard, metered, \
         {runs} runs each, in turns, medians of the ratios of pairs"
    ));
    Ok(())
}

/// A guest that says hello and then waits.
const WAITS: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read"
        (func $read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\06\00\00\00hello\n")
    (data (i32.const 16) "hello\n")
    (func (export "_start")
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 32)))))"#;

fn spaces(bench: &Bench) -> Result<(), String> {
    let source = bench.home.path("waits.wat");
    std::fs::write(&source, WAITS).map_err(|error| error.to_string())?;
    let mut table =
        Table::new(&["bls-load", "memory", "file kB", "address space kB", "in memory kB"]);
    let minimal = loader().with_file_name("minimal").join("bls-load");
    if !minimal.is_file() {
        println!("no minimal bls-load: cargo xtask build minimal makes one");
    }
    let loaders: [(&str, PathBuf); 2] = [("full", loader()), ("minimal", minimal)];
    for (name, program) in loaders.iter().filter(|(_, program)| program.is_file()) {
        for way in WAYS {
            let made = bench.make(
                &source,
                &format!("waits-{way}"),
                &["--memory", way, "--wasm", "core", "--max-memory", "1MiB"],
            )?;
            let seen = waiting(program, &bench.home.public_key(), &made.path)?;
            let kilobytes_of = |field| status(&seen, field).map_or_else(dash, |kb| kb.to_string());
            table.row(vec![
                (*name).to_owned(),
                way.to_owned(),
                kilobytes(super::artifacts::length(program)),
                kilobytes_of("VmPeak"),
                kilobytes_of("VmHWM"),
            ]);
        }
    }
    table.print(
        "memory: a hello that waits for input, with 64 KiB of memory and a limit of 1 MiB in its \
         manifest: most address space (VmPeak) and most in memory (VmHWM), in units of 1024 bytes",
    );
    Ok(())
}

/// What the kernel says of a loader whose guest has printed its line and waits.
fn waiting(program: &Path, key: &Path, artifact: &Path) -> Result<String, String> {
    let mut command = Command::new(program);
    command.arg("--trust").arg(key).arg(artifact);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let seen = said(&mut child).and_then(|()| {
        std::fs::read_to_string(format!("/proc/{}/status", child.id()))
            .map_err(|error| error.to_string())
    });
    drop(child.stdin.take());
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() { seen } else { Err(format!("{} ended with {status}", program.display())) }
}

fn said(child: &mut Child) -> Result<(), String> {
    use std::io::Read as _;
    let mut line = [0; 6];
    let mut output = child.stdout.take().ok_or("no output")?;
    output.read_exact(&mut line).map_err(|error| error.to_string())?;
    // Until it waits again.
    std::thread::sleep(Duration::from_millis(50));
    if &line == b"hello\n" { Ok(()) } else { Err(format!("it printed {line:?}")) }
}

/// A number of kilobytes in `/proc/PID/status`.
fn status(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}
