//! `bench deltas`: how long what changed is, and what it takes to install it.
//!
//! A real program (SQLite of `BLS_SHARED`, else a fixture) and the same with one constant changed,
//! with a few instructions more in one function, and, where `BLS_DELTA_OLD` and `BLS_DELTA_NEW` name
//! two modules, two releases of a program. A delta stands beside what bsdiff and `zstd
//! --patch-from` make of the same two images, each where it is installed, and beside the whole
//! artifact as it is sent otherwise: compressed. An install by it stands beside one of that.

use super::Bench;
use super::artifacts::{length, stem};
use super::statistics::Samples;
use super::table::{Table, dash, kilobytes, megabytes, milliseconds};
use crate::installed::{Shelf, resigned};
use crate::parts;
use crate::programs::{compiler, fixtures, loader, run as ended, shared};
use bls_artifact::target::Target;
use bls_compiler::given::{self, Given};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use wasm_encoder::{CodeSection, Module, RawSection};
use wasmparser::{Operator, Parser, Payload};

/// Installs of each kind.
pub(super) const RUNS: usize = 11;
/// The zstd level of what is sent.
const LEVEL: &str = "--compress=19";

/// Prints the tables.
pub(super) fn run(bench: &Bench, runs: usize) -> Result<(), String> {
    let program = shared().map(|shared| shared.join("guests/c-sqlite.wasm"));
    let program = program.filter(|path| path.is_file());
    let program = program.unwrap_or_else(|| fixtures().join("c/compute.wasm"));
    let mut changes = vec![
        ("one constant", program.clone(), write(bench, &program, "constant", constant)?),
        ("one function", program.clone(), write(bench, &program, "function", function)?),
    ];
    let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
    match (named("BLS_DELTA_OLD"), named("BLS_DELTA_NEW")) {
        (Some(old), Some(new)) => changes.push(("two releases", old, new)),
        _ => println!("BLS_DELTA_OLD and BLS_DELTA_NEW name no two releases of a program."),
    }
    for tool in ["bsdiff", "zstd"].into_iter().filter(|tool| !is_installed(tool)) {
        println!("{tool} is not installed: its column is left out.");
    }
    let host = Target::host().ok_or("there is no native target for this machine")?;
    let other = if host == Target::Aarch64 { Target::X86_64 } else { Target::Aarch64 };
    let mut lengths = Table::new(&[
        "change",
        "program",
        "target",
        "image KB",
        "compressed KB",
        "delta KB",
        "delta %",
        "bsdiff %",
        "zstd --patch-from %",
    ]);
    let mut installs =
        Table::new(&["change", "program", "whole ms", "delta ms", "whole MB", "delta MB"]);
    for (change, old, new) in &changes {
        for target in [host, other] {
            eprintln!("deltas: {change}, {target}");
            let pair = Pair::make(bench, old, new, target)?;
            lengths.row(pair.row(bench, change, target)?);
            if target == host {
                let mut row = vec![(*change).to_owned(), stem(new)];
                row.extend(pair.install(bench, runs)?);
                installs.row(row);
            }
        }
    }
    lengths.print(
        "deltas: in percent of the compressed artifact. Budget: 2 % for one function. The peers' are \
         of the raw images alone, of which the artifact's statement is no part.",
    );
    installs.print(&format!(
        "deltas: bls-load install of the whole compressed artifact, and of the delta where the \
         release before it is installed: medians of {runs} runs in turns, and the peak of \
         resident memory."
    ));
    Ok(())
}

fn is_installed(tool: &str) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", "command -v \"$0\" >/dev/null", tool]);
    command.status().is_ok_and(|status| status.success())
}

/// Two artifacts of one name, and the delta between them.
struct Pair {
    old: PathBuf,
    new: PathBuf,
    delta: PathBuf,
}

impl Pair {
    fn make(bench: &Bench, old: &Path, new: &Path, target: Target) -> Result<Self, String> {
        let made = |module: &Path, sequence: u64| {
            let options = ["--target", target.triple(), LEVEL];
            let made = bench.make(module, &format!("release-{sequence}"), &options)?;
            let release =
                resigned(&bench.home, &made.path, &format!("app-{sequence}"), |manifest| {
                    manifest.name = "app".to_owned();
                    manifest.sequence = sequence;
                });
            Ok::<_, String>(release)
        };
        let (old, new) = (made(old, 1)?, made(new, 2)?);
        let delta = bench.home.path("up.blsd");
        let mut command = Command::new(compiler());
        command.arg("delta").args([&old, &new]).arg("-o").arg(&delta);
        let made = ended(&mut command, b"");
        if made.code == Some(0) { Ok(Self { old, new, delta }) } else { Err(made.stderr) }
    }

    /// Its lengths beside the peers'.
    fn row(&self, bench: &Bench, change: &str, target: Target) -> Result<Vec<String>, String> {
        let (from, to) = (bench.home.path("old.image"), bench.home.path("new.image"));
        let mut image_bytes = 0;
        for (artifact, image) in [(&self.old, &from), (&self.new, &to)] {
            let bytes = given::read(artifact).map_err(|error| error.to_string())?;
            let given = Given::parse(&bytes, artifact).map_err(|error| error.to_string())?;
            let stored = given.parts[0].ok_or("a stripped artifact")?;
            let bytes = parts::image(&given.manifest.parts[0], stored);
            image_bytes = bytes.len() as u64;
            std::fs::write(image, bytes).map_err(|error| error.to_string())?;
        }
        let whole = length(&self.new);
        let percent = |bytes: u64| format!("{:.2}", 100.0 * bytes as f64 / whole as f64);
        let patch = bench.home.path("patch");
        let by = |tool: &str, arguments: &[&std::ffi::OsStr]| {
            let _ = std::fs::remove_file(&patch);
            let mut command = Command::new(tool);
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
            let is_done = command.status().is_ok_and(|status| status.success());
            if is_done { percent(length(&patch)) } else { dash() }
        };
        let from_option = format!("--patch-from={}", from.display());
        let (window, level, output) = ("--long=27".as_ref(), "-19".as_ref(), "-o".as_ref());
        let zstd = [level, window, from_option.as_ref(), to.as_os_str(), output, patch.as_os_str()];
        Ok(vec![
            change.to_owned(),
            stem(&self.new),
            target.to_string(),
            kilobytes(image_bytes),
            kilobytes(whole),
            kilobytes(length(&self.delta)),
            percent(length(&self.delta)),
            by("bsdiff", &[from.as_os_str(), to.as_os_str(), patch.as_os_str()]),
            by("zstd", &zstd),
        ])
    }

    /// Times and memory of an install of the whole, and of the delta.
    fn install(&self, bench: &Bench, runs: usize) -> Result<Vec<String>, String> {
        let begin = |shelf: &Shelf| {
            let installed = shelf.install(&bench.home, &self.old);
            if installed.code == Some(0) { Ok(()) } else { Err(installed.stderr) }
        };
        let command = |shelf: &Shelf, arguments: &[&std::ffi::OsStr]| {
            let mut command = Command::new(loader());
            command.arg("--trust").arg(bench.home.public_key());
            command.arg("--store").arg(shelf.store()).arg("install").args(arguments);
            command.stdout(Stdio::null());
            command
        };
        let whole = [self.new.as_os_str()];
        let delta = ["--delta".as_ref(), self.delta.as_os_str()];
        let ways = [&whole[..], &delta[..]];
        let (mut samples, mut peaks): ([Samples; 2], [u64; 2]) = Default::default();
        for _ in 0..runs {
            for (way, samples) in ways.into_iter().zip(&mut samples) {
                let shelf = Shelf::new();
                begin(&shelf)?;
                let start = Instant::now();
                let status = command(&shelf, way).status().map_err(|error| error.to_string())?;
                if !status.success() {
                    return Err(format!("bls-load install ended with {status}"));
                }
                samples.push(start.elapsed().as_secs_f64() * 1e6);
            }
        }
        for (way, peak) in ways.into_iter().zip(&mut peaks) {
            let shelf = Shelf::new();
            begin(&shelf)?;
            *peak = bench.peers.resident(&command(&shelf, way)).unwrap_or(0);
        }
        let times = samples.iter().map(|samples| milliseconds(samples.median()));
        let peaks = peaks.into_iter().map(|peak| if peak == 0 { dash() } else { megabytes(peak) });
        Ok(times.chain(peaks).collect())
    }
}

/// A module, changed and written under this name.
fn write(
    bench: &Bench,
    module: &Path,
    name: &str,
    change: fn(&[u8]) -> Result<Vec<u8>, String>,
) -> Result<PathBuf, String> {
    let wasm = std::fs::read(module).map_err(|error| error.to_string())?;
    let path = bench.home.path(&format!("{}-{name}.wasm", stem(module)));
    std::fs::write(&path, change(&wasm)?).map_err(|error| error.to_string())?;
    Ok(path)
}

/// The module with a small constant of a function in its middle one larger.
fn constant(wasm: &[u8]) -> Result<Vec<u8>, String> {
    let text = |error: wasmparser::BinaryReaderError| error.to_string();
    let middle = middle(wasm)?;
    for (number, payload) in bodies(wasm)?.into_iter().enumerate().skip(middle) {
        for operator in payload.get_operators_reader().map_err(text)?.into_iter_with_offsets() {
            if let (Operator::I32Const { value: 1..=30 }, at) = operator.map_err(text)? {
                eprintln!("deltas: a constant of function {number} of the module's own");
                let mut changed = wasm.to_vec();
                // One byte: small numbers have no more.
                changed[at + 1] += 1;
                return Ok(changed);
            }
        }
    }
    Err("no function behind the middle has a small constant".to_owned())
}

/// The module with a few more instructions at the beginning of a function in its middle: a word of
/// memory is counted up.
fn function(wasm: &[u8]) -> Result<Vec<u8>, String> {
    const MORE: [u8; 15] = [
        0x41, 0x80, 0x08, // i32.const 1024
        0x41, 0x80, 0x08, // i32.const 1024
        0x28, 0x02, 0x00, // i32.load
        0x41, 0x01, // i32.const 1
        0x6a, // i32.add
        0x36, 0x02, 0x00, // i32.store
    ];
    let text = |error: wasmparser::BinaryReaderError| error.to_string();
    let middle = middle(wasm)?;
    let mut code = CodeSection::new();
    for (number, body) in bodies(wasm)?.into_iter().enumerate() {
        let begin = body.get_operators_reader().map_err(text)?.original_position();
        let range = body.range();
        let more: &[u8] = if number == middle { &MORE } else { &[] };
        code.raw(&[&wasm[range.start..begin], more, &wasm[begin..range.end]].concat());
    }
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(text)?;
        if let Payload::CodeSectionStart { .. } = payload {
            module.section(&code);
        } else if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection { id, data: &wasm[range] });
        }
    }
    Ok(module.finish())
}

/// The functions of the module's own.
fn bodies(wasm: &[u8]) -> Result<Vec<wasmparser::FunctionBody<'_>>, String> {
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(body) = payload.map_err(|error| error.to_string())? {
            bodies.push(body);
        }
    }
    Ok(bodies)
}

/// The first longer function behind the middle.
fn middle(wasm: &[u8]) -> Result<usize, String> {
    let bodies = bodies(wasm)?;
    let found = (bodies.len() / 2..bodies.len()).find(|at| bodies[*at].range().len() >= 200);
    found.ok_or_else(|| "no longer function behind the middle".to_owned())
}
