//! `bench fleet`: many containers that wait on one machine, through containerd: how long each takes
//! to start while the others are there, and what it keeps of memory.
//!
//! An artifact by bls-oci and a static C program by runc take turns, so that both see the same
//! machine. Memory is the share that the kernel counts for a process (PSS), of the container's own
//! and of containerd's shim, which is its parent.

use super::oci::{PAUSE, Row, rows};
use super::statistics::Samples;
use super::table::Table;
use crate::engines::{Containerd, OciNode, fresh_name};
use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Containers of each kind.
pub(super) const RUNS: usize = 500;
/// How many are named in one command line.
const AT_ONCE: usize = 100;

/// Containers that run, until this goes.
struct Fleet {
    engine: Containerd,
    names: Vec<String>,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for names in self.names.chunks(AT_ONCE) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let _ = self.engine.run(&[&["tasks", "rm", "--force"], &names[..]].concat());
            let _ = self.engine.run(&[&["containers", "rm"], &names[..]].concat());
        }
    }
}

/// What is known of one kind.
#[derive(Default)]
struct Kind {
    names: Vec<String>,
    starts: Samples,
    own: Samples,
    shim: Samples,
}

/// Prints the table.
pub(super) fn run(count: usize) -> Result<(), String> {
    let Some(engine) = Containerd::start() else { return Ok(()) };
    let node = OciNode::default();
    let [native, .., artifact] = rows(&node, "wait", PAUSE, "wat/poll-forever.wat")?;
    let rows = [native, artifact];
    let mut fleet = Fleet { engine, names: Vec::new() };
    let mut kinds = [Kind::default(), Kind::default()];
    let before = available()?;
    let begin = Instant::now();
    for round in 0..count {
        for at in 0..rows.len() {
            // Neither is always the second.
            let at = (at + round) % rows.len();
            start(&mut fleet, &rows[at], &mut kinds[at])?;
        }
    }
    let time = begin.elapsed();
    // Until the last of them waits.
    std::thread::sleep(Duration::from_secs(1));
    let taken = before.saturating_sub(available()?);
    let processes = processes(&fleet.engine);
    let mut table =
        Table::new(&["", "start p50", "p99", "over C", "memory (PSS)", "of its shim", "running"]);
    for kind in &mut kinds {
        for name in &kind.names {
            let Some(process) = processes.get(name) else { continue };
            let shim = field(&format!("/proc/{process}/status"), "PPid:");
            let share = |process: u64| field(&format!("/proc/{process}/smaps_rollup"), "Pss:");
            if let (Some(own), Some(shim)) = (share(*process), shim.and_then(share)) {
                kind.own.push(own as f64 / 1024.0);
                kind.shim.push(shim as f64 / 1024.0);
            }
        }
    }
    for (row, kind) in rows.iter().zip(&kinds) {
        table.row(vec![
            row.name.to_owned(),
            format!("{:.1} ms", kind.starts.median() / 1e3),
            format!("{:.1} ms", kind.starts.ninety_ninth() / 1e3),
            format!("{:.3}", kind.starts.median_over(&kinds[0].starts)),
            format!("{:.2} MiB", kind.own.median()),
            format!("{:.2} MiB", kind.shim.median()),
            kind.own.count().to_string(),
        ]);
    }
    table.print(&format!(
        "`ctr run --detach`, {count} of each in turns, all left running: {:.0} s.",
        time.as_secs_f64()
    ));
    let each = taken as f64 / 1024.0 / (2 * count) as f64;
    println!("The machine has {each:.2} MiB less for each of the {}, kernel and all.", 2 * count);
    let begin = Instant::now();
    drop(fleet);
    println!("All of them ended and removed: {:.0} s.", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Starts one that is left running.
fn start(fleet: &mut Fleet, row: &Row, kind: &mut Kind) -> Result<(), String> {
    let name = fresh_name();
    let mut command = row.detached(&fleet.engine, &name);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begin = Instant::now();
    let ended = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let time = begin.elapsed();
    fleet.names.push(name.clone());
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        return Err(format!("{}, number {}: {said}", row.name, kind.names.len() + 1));
    }
    kind.names.push(name);
    kind.starts.push(time.as_secs_f64() * 1e6);
    Ok(())
}

/// The process of each container that runs.
fn processes(engine: &Containerd) -> BTreeMap<String, u64> {
    let tasks = engine.run(&["tasks", "ls"]).text();
    let of = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, process, state) = (words.next()?, words.next()?, words.next()?);
        (state == "RUNNING").then(|| Some((name.to_owned(), process.parse().ok()?)))?
    };
    tasks.lines().filter_map(of).collect()
}

/// KiB that the machine has for more.
fn available() -> Result<u64, String> {
    field("/proc/meminfo", "MemAvailable:").ok_or_else(|| "/proc/meminfo cannot be read".to_owned())
}

/// A number of a file of the kernel's.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}
