//! `--deterministic`: the same input gives the same output, fuel and report, byte for
//! byte.
//!
//! Every recorded guest runs twice, in two folders that were filled in opposite orders
//! and on different filesystems where there are two, with its input in one piece and
//! byte by byte. Asserts that nothing at all differs, and that the rules are those of
//! the documentation.

use bls_tests::programs::{Ended, Home, fixtures, shared};
use bls_tests::runs::{self, Run};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Everything a run left behind.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    report: String,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// Runs a guest by rule in `folder`. `pieces` is how many bytes of its input it is
/// given at a time.
fn traces(home: &Home, recorded: &Run, artifact: &Path, folder: &Path, pieces: usize) -> Traces {
    let report = home.path("report.json");
    let mut options =
        vec!["--deterministic".into(), "--report".into(), report.display().to_string()];
    options.extend(recorded.options(folder));
    let mut command = home.load_command(&options, artifact);
    let ended = run_in_pieces(command.args(&recorded.args), &recorded.stdin, pieces);
    let mut files = BTreeMap::new();
    gather(folder, folder, &mut files);
    Traces {
        code: ended.code,
        stdout: ended.text(),
        stderr: ended.stderr,
        report: std::fs::read_to_string(report).expect("a report"),
        files,
    }
}

/// Runs a command, and gives it its input piece by piece. Its output goes through a
/// pipe that is read as slowly.
fn run_in_pieces(command: &mut Command, stdin: &[u8], pieces: usize) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bls-load");
    let mut input = child.stdin.take().expect("a pipe");
    let bytes = stdin.to_owned();
    let writer = std::thread::spawn(move || {
        for piece in bytes.chunks(pieces) {
            // A guest that does not read its input is none of our business.
            if input.write_all(piece).is_err() {
                break;
            }
        }
    });
    let mut output = child.stdout.take().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let (mut all, mut piece) = (Vec::new(), vec![0; pieces.min(1 << 16)]);
        while let Ok(length @ 1..) = output.read(&mut piece) {
            all.extend_from_slice(&piece[..length]);
        }
        all
    });
    let rest = child.wait_with_output().expect("a child that can be waited for");
    writer.join().expect("a writer that does not panic");
    Ended {
        code: rest.status.code(),
        stdout: reader.join().expect("a reader that does not panic"),
        stderr: String::from_utf8_lossy(&rest.stderr).into_owned(),
    }
}

fn gather(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.strip_prefix(root).expect("below the root").to_owned();
        if path.is_dir() {
            gather(root, &path, files);
            files.insert(name, b"(a folder)".to_vec());
        } else {
            files.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
}

/// A fresh folder in memory where there is one, so that two folders are of two kinds.
fn folder_in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a fresh folder")
}

/// Runs a guest twice, as differently as can be.
fn check(home: &Home, recorded: &Run) {
    let artifact = home.compile(&recorded.file, &[]);
    let (one, other) = (tempfile::tempdir().expect("a fresh folder"), folder_in_memory());
    recorded.lay_out(one.path());
    let mut backwards = recorded.clone();
    backwards.files.reverse();
    backwards.lay_out(other.path());
    let first = traces(home, recorded, &artifact, one.path(), 1 << 20);
    let second = traces(home, recorded, &artifact, other.path(), 7);
    assert_eq!(first, second, "{}", recorded.name);
    assert!(!first.report.contains("microseconds"), "{}", first.report);
    assert!(!first.report.contains("peak_memory"), "{}", first.report);
    std::fs::remove_file(artifact).expect("an artifact");
}

#[test]
fn fixtures_repeat() {
    let home = Home::new();
    for recorded in runs::fixtures() {
        check(&home, &recorded);
    }
}

#[test]
fn real_programs_repeat() {
    let Some(shared) = shared() else {
        println!("BLS_SHARED is not set: no more guests than the fixtures");
        return;
    };
    let home = Home::new();
    for recorded in runs::guests(&shared).0 {
        check(&home, &recorded);
    }
}

/// Prints, as bytes, what `calls` put into the 64 bytes at 64.
fn bytes_after(home: &Home, imports: &str, calls: &str, options: &[&str]) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            {imports}
            (memory (export "memory") 1)
            (data (i32.const 0) "\40\00\00\00\40\00\00\00")
            (func (export "_start")
                {calls}
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"#
    );
    let path = home.path("rules.wat");
    std::fs::write(&path, text).unwrap();
    let artifact = home.compile(&path, &[]);
    home.load(options, &artifact, &[]).expect(0).stdout
}

#[test]
fn clocks_begin_at_the_epoch_and_tick() {
    let home = Home::new();
    let imports = r#"(import "wasi_snapshot_preview1" "clock_time_get"
        (func $clock (param i32 i64 i32) (result i32)))"#;
    let calls = "(drop (call $clock (i32.const 1) (i64.const 0) (i32.const 64)))
        (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 72)))";
    let read = |options: &[&str]| -> Vec<u64> {
        let bytes = bytes_after(&home, imports, calls, options);
        bytes.chunks(8).take(2).map(|eight| u64::from_le_bytes(eight.try_into().unwrap())).collect()
    };
    assert_eq!(read(&["--deterministic"]), [1000, 1_600_000_000_000_002_000]);
    assert_eq!(read(&["--deterministic", "--epoch", "5"]), [1000, 5_000_002_000]);
    assert_ne!(read(&[]), [1000, 1_600_000_000_000_002_000]);
}

#[test]
fn randomness_comes_from_the_seed() {
    let home = Home::new();
    let imports = r#"(import "wasi_snapshot_preview1" "random_get"
        (func $random (param i32 i32) (result i32)))"#;
    let read = |options: &[&str]| {
        bytes_after(&home, imports, "(drop (call $random (i32.const 64) (i32.const 64)))", options)
    };
    let block = |seed: u64, number: u64| {
        let text = [&b"bls-random-1"[..], &seed.to_le_bytes(), &number.to_le_bytes()].concat();
        bls_artifact::digest::Sha256::of(&text).0
    };
    assert_eq!(read(&["--deterministic"]), [block(0, 0), block(0, 1)].concat());
    assert_eq!(read(&["--deterministic", "--seed", "9"]), [block(9, 0), block(9, 1)].concat());
    assert_ne!(read(&[]), read(&[]));
}

#[test]
fn waiting_takes_no_time() {
    let home = Home::new();
    // Waits for an hour on the monotonic clock, then reads it.
    let imports = r#"(import "wasi_snapshot_preview1" "poll_oneoff"
            (func $poll (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get"
            (func $clock (param i32 i64 i32) (result i32)))"#;
    let calls = "(i32.store (i32.const 216) (i32.const 1))
        (i64.store (i32.const 224) (i64.const 3600000000000))
        (drop (call $poll (i32.const 200) (i32.const 304) (i32.const 1) (i32.const 400)))
        (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 64)))";
    let bytes = bytes_after(&home, imports, calls, &["--deterministic"]);
    assert_eq!(bytes[..8], 3_600_000_001_000_u64.to_le_bytes());
}

#[test]
fn what_is_no_file_is_not_opened() {
    let home = Home::new();
    bls_tests::programs::make_fifo(&home.path("fifo"));
    let text = r#"(module
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "fifo")
        (func (export "_start") (call $exit
            (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4)
                (i32.const 0) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 16)))))"#;
    let path = home.path("open.wat");
    std::fs::write(&path, text).unwrap();
    let artifact = home.compile(&path, &[]);
    let _ = home.load(&["--dir", "."], &artifact, &[]).expect(63);
    let _ = home.load(&["--dir", ".", "--deterministic"], &artifact, &[]).expect(63);
    let plain = fixtures().join("wat/hello.wat");
    let _ = home.load(&["--seed", "1"], &home.compile(&plain, &[]), &[]).expect(125);
}

/// Another machine has another image, and must say the same.
#[test]
fn a_trap_says_nothing_of_the_machine() {
    let home = Home::new();
    let trap = home.fixture("wat/trap-unreachable.wat");
    assert!(home.load(&[], &trap, &[]).expect(134).stderr.contains("+0x"));
    let (ended, report) = home.report(&["--deterministic"], &trap);
    assert!(!ended.expect(134).stderr.contains("+0x"));
    assert!(!report["outcome"]["trap"].to_string().contains("offset"), "{report:#}");
}
