//! `bench wall`: what giving up everything before a guest costs a run, and whether a guest that
//! calls the kernel all the time runs slower behind it; beside another bls-load's
//! (`BLS_LOAD_OTHER`): the one of before a change.
//!
//! Both load the same artifacts in turns. What the stage itself takes is what `--explain` says.

use super::Bench;
use super::statistics::{Samples, interleave};
use super::table::{Table, dash, milliseconds, ratio};
use crate::programs::{Home, loader, shared};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs of each command; those that call the kernel all the time get a tenth.
pub(super) const RUNS: usize = 300;

/// A guest that does to a file what its body says, so often.
fn on_a_file(count: u32, body: &str) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite"
    (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread"
    (func $pread (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "file")
  (data (i32.const 32) "\00\01\00\00\40\00\00\00")
  (func $must (param i32) (if (local.get 0) (then (unreachable))))
  (func $open_it
    (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 4)
      (i32.const 1) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 24))))
  (func $close_it (call $must (call $close (i32.load (i32.const 24)))))
  (func $transfer
    (call $must (call $pwrite (i32.load (i32.const 24)) (i32.const 32) (i32.const 1)
      (i64.const 0) (i32.const 28)))
    (call $must (call $pread (i32.load (i32.const 24)) (i32.const 32) (i32.const 1)
      (i64.const 0) (i32.const 28))))
  (func (export "_start") (local $left i32)
    (local.set $left (i32.const {count}))
    (call $open_it)
    (loop $again
      {body}
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $again (local.get $left)))
    (call $close_it)))"#
    )
}

/// What is run: its name, its artifact, its options, and what share of the runs it gets.
struct Row {
    name: &'static str,
    artifact: PathBuf,
    options: Vec<String>,
    arguments: Vec<&'static str>,
    share: usize,
}

/// Programs that people run, at work with files: a search through a tree of them, and a
/// database that writes each of its transactions.
fn real_programs(home: &Home, shared: &Path, granted: &[String]) -> Result<Vec<Row>, String> {
    const FILES: usize = 500;
    const TRANSACTIONS: usize = 300;
    let write =
        |path: PathBuf, text: String| std::fs::write(path, text).map_err(|error| error.to_string());
    let tree = home.path("wall/tree");
    std::fs::create_dir_all(&tree).map_err(|error| error.to_string())?;
    for file in 0..FILES {
        let line = |number| format!("line {number} of file {file}: needle or hay\n");
        write(tree.join(format!("{file}.txt")), (0..200).map(line).collect())?;
    }
    let statements = home.path("wall.sql");
    let insert = |number| format!("insert into t values ({number}, 'text {number}');\n");
    let inserts: String = (0..TRANSACTIONS).map(insert).collect();
    let table = "create table if not exists t (a, b); delete from t;\n";
    write(statements.clone(), table.to_owned() + &inserts)?;
    let compile = |name: &str| home.compile(&shared.join("guests").join(name), &[]);
    let input = ["--stdin".to_owned(), statements.display().to_string()];
    Ok(vec![
        Row {
            name: "ripgrep, 500 files",
            artifact: compile("rust-ripgrep.wasm"),
            options: granted.to_vec(),
            arguments: vec!["-c", "needle", "tree"],
            share: 10,
        },
        Row {
            name: "SQLite, 300 transactions",
            artifact: compile("c-sqlite.wasm"),
            options: granted.iter().cloned().chain(input).collect(),
            arguments: vec!["x.db"],
            share: 10,
        },
    ])
}

/// Prints the table.
pub(super) fn run(bench: &Bench, runs: usize) -> Result<(), String> {
    let other = std::env::var_os("BLS_LOAD_OTHER").map(PathBuf::from);
    if other.is_none() {
        println!("BLS_LOAD_OTHER names no other bls-load: its columns are left out.");
    }
    let home = &bench.home;
    let folder = home.path("wall");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let granted = vec!["--dir".to_owned(), format!("{}::.", folder.display())];
    let hello = home.fixture("wat/hello.wat");
    let guest = |name: &str, text: String| -> Result<PathBuf, String> {
        let path = home.path(&format!("{name}.wat"));
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        Ok(home.compile(&path, &[]))
    };
    let mut rows = vec![
        Row {
            name: "hello",
            artifact: hello.clone(),
            options: Vec::new(),
            arguments: Vec::new(),
            share: 1,
        },
        Row {
            name: "hello, a folder",
            artifact: hello.clone(),
            options: granted.clone(),
            arguments: Vec::new(),
            share: 1,
        },
        Row {
            name: "hello, a limit on time",
            artifact: hello,
            options: vec!["--timeout".to_owned(), "9s".to_owned()],
            arguments: Vec::new(),
            share: 1,
        },
        Row {
            name: "100 000 writes and reads",
            artifact: guest("transfer", on_a_file(100_000, "(call $transfer)"))?,
            options: granted.clone(),
            arguments: Vec::new(),
            share: 10,
        },
        Row {
            name: "20 000 files opened and closed",
            artifact: guest("open", on_a_file(20_000, "(call $close_it) (call $open_it)"))?,
            options: granted.clone(),
            arguments: Vec::new(),
            share: 10,
        },
    ];
    match shared() {
        None => println!("BLS_SHARED is not set: no real program that works with files."),
        Some(shared) => rows.extend(real_programs(home, &shared, &granted)?),
    }
    let mut table = Table::new(&[
        "run",
        "ms",
        "other, ms",
        "difference, µs",
        "median of pairs",
        "stage confine, µs",
    ]);
    for row in &rows {
        eprintln!("wall: {}", row.name);
        let command = |program: &Path| {
            let mut command = Command::new(program);
            command.arg("--trust").arg(home.public_key()).args(&row.options).arg(&row.artifact);
            command.args(&row.arguments);
            command
        };
        let mut commands = vec![command(&loader())];
        commands.extend(other.as_deref().map(command));
        let samples = interleave(&mut commands, (runs / row.share).max(3))?;
        let median = samples[0].median();
        let (theirs, difference, of_pairs) = match samples.get(1) {
            None => (dash(), dash(), dash()),
            Some(theirs) => (
                milliseconds(theirs.median()),
                format!("{:.0}", median - theirs.median()),
                ratio(Some(samples[0].median_over(theirs))),
            ),
        };
        let stage = stage(home, row, (runs / row.share).clamp(3, 50))?;
        let cells = [row.name.to_owned(), milliseconds(median), theirs, difference, of_pairs];
        table.row(cells.into_iter().chain([format!("{:.0}", stage.median())]).collect());
    }
    table.print("wall: the whole process, this loader's over the other's");
    Ok(())
}

/// What stage `confine` took, as `--explain` says it. (A report would add the making of its
/// file, and a thread.)
fn stage(home: &Home, row: &Row, runs: usize) -> Result<Samples, String> {
    let mut samples = Samples::default();
    for _ in 0..runs {
        let mut command = Command::new(loader());
        command.arg("--trust").arg(home.public_key()).arg("--explain");
        let output = command.args(&row.options).arg(&row.artifact).args(&row.arguments).output();
        let text = output.map_err(|error| error.to_string())?.stderr;
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text.lines().find(|line| line.starts_with("bls-load: confine: "));
        let time = line.and_then(|line| line.rsplit_once(" (")?.1.strip_suffix(" µs)"));
        let time = time.and_then(|time| time.parse::<f64>().ok());
        samples.push(time.ok_or_else(|| format!("no stage confine: {text}"))?);
    }
    Ok(samples)
}
