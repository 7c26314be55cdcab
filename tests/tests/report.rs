//! Reports: nobody forges, keeps or blocks one; and a run ends whatever its parent left.

use bls_artifact::text::is_plain;
use bls_tests::programs::{Home, fixtures, make_fifo, maps_of_a_running_guest, run};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a guest would like to be believed.
const FAKE: &str = r#"{"version":1,"outcome":{"kind":"exited","exit_code":0}}"#;

/// Tries to put its own report in the place of the real one, and ends with 7.
const FORGER: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory"
    (func $make (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink"
    (func $link (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename"
    (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite"
    (func $write (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "report.json")
  (data (i32.const 16) "victim")
  (data (i32.const 32) "folder")
  (data (i32.const 48) "elsewhere")
  (data (i32.const 64) "folder/report.json")
  (data (i32.const 96) "\00\02\00\00\80\00\00\00")
  (data (i32.const 512) "FAKE")
  (func $write_to (param $path i32) (param $length i32) (param $flags i32) (result i32)
    (if (call $open (i32.const 3) (i32.const 0) (local.get $path) (local.get $length)
          (local.get $flags) (i64.const 68) (i64.const 0) (i32.const 0) (i32.const 104))
      (then (return (i32.const 0))))
    (i32.eqz (call $write (i32.load (i32.const 104)) (i32.const 96) (i32.const 1) (i64.const 0)
      (i32.const 108))))
  (func (export "file")
    (drop (call $write_to (i32.const 0) (i32.const 11) (i32.const 1)))
    (call $exit (i32.const 7)))
  (func (export "folder")
    (drop (call $make (i32.const 3) (i32.const 0) (i32.const 11)))
    (call $exit (i32.const 7)))
  (func (export "link")
    (drop (call $link (i32.const 16) (i32.const 6) (i32.const 3) (i32.const 0) (i32.const 11)))
    (call $exit (i32.const 7)))
  (func (export "moved")
    (drop (call $rename (i32.const 3) (i32.const 32) (i32.const 6)
      (i32.const 3) (i32.const 48) (i32.const 9)))
    (drop (call $make (i32.const 3) (i32.const 32) (i32.const 6)))
    (drop (call $write_to (i32.const 64) (i32.const 18) (i32.const 1)))
    (call $exit (i32.const 7)))
  (func (export "always")
    (loop $again
      (drop (call $write_to (i32.const 0) (i32.const 11) (i32.const 0)))
      (br $again))))"#;

fn compile_text(home: &Home, name: &str, text: &str) -> PathBuf {
    let path = home.path(&format!("{name}.wat"));
    fs::write(&path, text).unwrap();
    home.compile(&path, &[])
}

fn forger(home: &Home) -> PathBuf {
    let fake = format!("{FAKE:<128}").replace('"', "\\22");
    compile_text(home, "forger", &FORGER.replace("FAKE", &fake))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a report")).expect("JSON")
}

/// A fresh folder in `home`, and the path of a report in it.
fn granted(home: &Home, name: &str) -> (PathBuf, PathBuf) {
    let folder = home.path(name);
    fs::create_dir(&folder).unwrap();
    let report = folder.join("report.json");
    (folder, report)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_guest_that_may_write_beside_its_report_cannot_forge_it() {
    let home = Home::new();
    let artifact = forger(&home);
    for way in ["file", "folder", "link"] {
        let (folder, report) = granted(&home, way);
        fs::write(folder.join("victim"), "as it was").unwrap();
        let options = ["--dir", text(&folder), "--report", text(&report), "--invoke", way];
        let _ = home.load(&options, &artifact, &[]).expect(7);
        assert!(fs::symlink_metadata(&report).unwrap().is_file(), "{way}");
        assert_eq!(read(&report)["outcome"]["exit_code"], 7, "{way}");
        assert_eq!(fs::read_to_string(folder.join("victim")).unwrap(), "as it was", "{way}");
    }
}

#[test]
fn a_guest_that_time_ends_has_no_last_word_in_its_report() {
    let home = Home::new();
    let artifact = forger(&home);
    for round in 0..5 {
        let (folder, report) = granted(&home, &format!("round{round}"));
        let options = ["--dir", text(&folder), "--report", text(&report), "--timeout", "100ms"];
        let options = [&options[..], &["--invoke", "always"]].concat();
        let _ = home.load(&options, &artifact, &[]).expect(124);
        assert_eq!(read(&report)["outcome"]["limit"], "time");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }
}

#[test]
fn a_folder_that_is_moved_away_takes_no_forged_report_for_a_real_one() {
    let home = Home::new();
    let artifact = forger(&home);
    let (folder, _) = granted(&home, "outer");
    fs::create_dir(folder.join("folder")).unwrap();
    let report = folder.join("folder/report.json");
    let options = ["--dir", text(&folder), "--report", text(&report), "--invoke", "moved"];
    let ended = home.load(&options, &artifact, &[]).expect(125);
    let _ = ended.says(&["report.unwritable", "moved"]);
    assert_eq!(read(&folder.join("elsewhere/report.json"))["outcome"]["exit_code"], 7);
}

#[test]
fn nothing_lies_beside_a_report_while_the_guest_runs() {
    let home = Home::new();
    let artifact = home.fixture("wat/spin.wat");
    let (folder, report) = granted(&home, "folder");
    fs::write(&report, FAKE).unwrap();
    let mut child = home.load_command(&["--report", text(&report)], &artifact).spawn().unwrap();
    let _ = maps_of_a_running_guest(&child);
    let only_begun = || {
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "the report alone");
        assert_eq!(read(&report)["outcome"]["kind"], "unfinished", "the earlier one is gone");
    };
    only_begun();
    child.kill().unwrap();
    let _ = child.wait().unwrap();
    only_begun();
}

#[test]
fn a_report_takes_the_place_of_nothing_that_is_read() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let policy = home.path("policy.json");
    fs::write(&policy, r#"{"version": 1}"#).unwrap();
    let link = home.path("link");
    symlink(&artifact, &link).unwrap();
    let before = fs::read(&artifact).unwrap();
    for written in [&artifact, &policy, &link] {
        for option in ["--report", "--fuel-profile"] {
            let option = format!("{option}={}", text(written));
            let options = [option.as_str(), "--policy", text(&policy)];
            let ended = home.load(&options, &artifact, &[]).expect(125);
            let _ = ended.says(&["would replace", "hint: name another file"]);
        }
    }
    assert_eq!(fs::read(&artifact).unwrap(), before);
    assert_eq!(fs::read(&policy).unwrap(), br#"{"version": 1}"#);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_report_behind_what_is_there_is_still_there_in_the_end() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let out = home.path("out");
    let load = |redirected: &str, option: &str| {
        let loader = home.load_command(&["--report", option], &artifact);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec \"$0\" \"$@\" {redirected}")]);
        run(command.arg(loader.get_program()).args(loader.get_args()), b"")
    };
    let out_text = text(&out);
    let _ = load(&format!("3>'{out_text}'"), "fd:3").expect(0);
    assert_eq!(read(&out)["outcome"]["exit_code"], 0);
    let _ = load(&format!("3>>'{out_text}'"), "fd:3").expect(0);
    // What stood behind it before the run is nobody's forgery.
    let _ = load(&format!("3<>'{out_text}'"), "fd:3").expect(0);
    // What has lost its name is no report; nor is what can only be read, or a folder.
    let gone = format!("3>'{out_text}'; rm '{out_text}'");
    let loader = home.load_command(&["--report", "fd:3"], &artifact);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {gone}; exec \"$0\" \"$@\"")]);
    let ended = run(command.arg(loader.get_program()).args(loader.get_args()), b"");
    let _ = ended.expect(125).says(&["report.unwritable", "moved"]);
    let _ = load("3</dev/null", "fd:3").expect(125).says(&["report.unwritable"]);
    let folder = format!("{}/", text(&home.path("none")));
    let _ = load("", &folder).expect(125).says(&["report.unwritable"]);
    assert!(!home.path("none").exists());
}

#[test]
fn links_lead_to_the_report_and_stay() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let (link, target) = (home.path("link"), home.path("target.json"));
    symlink("target.json", &link).unwrap();
    for before in [None, Some("a longer text than any report has".repeat(1000))] {
        if let Some(before) = before {
            fs::write(&target, before).unwrap();
        }
        let _ = home.load(&["--report", text(&link)], &artifact, &[]).expect(0);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read(&target)["outcome"]["exit_code"], 0);
    }
    let inode = fs::metadata(&target).unwrap().ino();
    let _ = home.load(&["--report", text(&link)], &artifact, &[]).expect(0);
    assert_eq!(fs::metadata(&target).unwrap().ino(), inode, "the very file is written");
}

#[test]
fn a_report_on_standard_output_stands_behind_what_the_guest_wrote() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    // As /dev/stdout is, where it could be replaced without harm.
    let link = home.path("stdout");
    symlink("/proc/self/fd/1", &link).unwrap();
    let output = home.path("output");
    let status = home
        .load_command(&["--report", text(&link)], &artifact)
        .stdout(fs::File::create(&output).unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let written = fs::read_to_string(&output).unwrap();
    let report = written.strip_prefix("hello\n").expect("the guest's output is first");
    assert!(serde_json::from_str::<Value>(report).is_ok(), "{written}");
    // And where it is a pipe.
    let ended = home.load(&["--report", text(&link)], &artifact, &[]).expect(0);
    assert!(ended.text().starts_with("hello\n{"), "{}", ended.text());
}

#[test]
fn every_signal_that_ends_a_run_leaves_its_report() {
    let home = Home::new();
    let artifact = home.fixture("wat/spin.wat");
    let report = home.path("report.json");
    for signal in [Signal::HUP, Signal::QUIT, Signal::XCPU, Signal::ALARM, Signal::USR1] {
        if is_ignored(signal) {
            println!("{signal:?} is ignored here: not tried");
            continue;
        }
        fs::write(&report, FAKE).unwrap();
        let mut child = home.load_command(&["--report", text(&report)], &artifact).spawn().unwrap();
        let _ = maps_of_a_running_guest(&child);
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(128 + signal.as_raw()), "{signal:?}");
        assert_eq!(read(&report)["outcome"]["signal"], signal.as_raw());
    }
}

/// Whether this process ignores a signal, and so do the programs it starts.
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("the status of a process");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("hexadecimal digits");
    mask >> (signal.as_raw() - 1) & 1 == 1
}

/// A module whose function with this name traps.
fn trapping(name: &str) -> String {
    format!(
        r#"(module (memory (export "memory") 1)
            (func $f (@name "{name}") unreachable)
            (func (export "_start") (call $f)))"#
    )
}

#[test]
fn a_report_fits_into_a_pipe_that_is_read_later() {
    let home = Home::new();
    let artifact = compile_text(&home, "long", &trapping(&"n".repeat(99_000)));
    let fifo = home.path("fifo");
    make_fifo(&fifo);
    let mut reader = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let ended = home.load(&["--report", text(&fifo)], &artifact, &[]).expect(134);
    assert!(ended.stderr.len() < 1000, "{} bytes on stderr", ended.stderr.len());
    let mut bytes = vec![0; 1 << 17];
    let length = std::io::Read::read(&mut reader, &mut bytes).unwrap();
    let report: Value = serde_json::from_slice(&bytes[..length]).expect("a whole report");
    assert_eq!(report["outcome"]["trap"]["kind"], "unreachable");
}

#[test]
fn a_report_that_nobody_reads_fails_in_time() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let fifo = home.path("fifo");
    make_fifo(&fifo);
    let mut both = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    std::io::Write::write_all(&mut both, &[b'x'; 65536]).unwrap();
    let begin = Instant::now();
    let options = ["--timeout", "200ms", "--report", text(&fifo)];
    let _ = home.load(&options, &artifact, &[]).expect(125);
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn time_ends_a_run_that_cannot_say_how_it_ended() {
    let home = Home::new();
    // Fills the pipe that standard error is, and traps.
    let artifact = compile_text(
        &home,
        "fill",
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 2)
            (data (i32.const 0) "\10\00\00\00\00\00\01\00")
            (func (export "_start")
                (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
                unreachable))"#,
    );
    let report = home.path("report.json");
    for (options, signal) in [
        (&["--timeout", "300ms", "--report", text(&report)][..], None),
        (&["--report", text(&report)], Some(Signal::TERM)),
    ] {
        let mut child = home
            .load_command(options, &artifact)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if let Some(signal) = signal {
            while !fs::read_to_string(&report).is_ok_and(|text| text.contains("\"trap\"")) {
                std::thread::sleep(Duration::from_millis(10));
            }
            kill_process(Pid::from_child(&child), signal).unwrap();
        }
        // How it ended was decided before.
        assert_eq!(child.wait().unwrap().code(), Some(134), "{signal:?}");
        assert_eq!(read(&report)["outcome"]["kind"], "trap");
        fs::remove_file(&report).unwrap();
    }
}

#[test]
fn signals_that_a_parent_blocked_are_not() {
    let home = Home::new();
    let text = r#"(module (memory (export "memory") 1)
        (func (export "load") (drop (i32.load (i32.const 65536))))
        (func (export "unreachable") unreachable)
        (func (export "divide") (drop (i32.div_u (i32.const 1) (i32.const 0))))
        (func (export "spin") (loop (br 0))))"#;
    let artifact = compile_text(&home, "traps", text);
    let through = |options: &[&str]| {
        let loader = home.load_command(options, &artifact);
        let mut command = Command::new("env");
        command.arg("--block-signal").arg(loader.get_program()).args(loader.get_args());
        run(&mut command, b"")
    };
    if !Command::new("env").args(["--block-signal", "true"]).status().is_ok_and(|it| it.success()) {
        println!("env blocks no signals here: not tried");
        return;
    }
    for name in ["load", "unreachable", "divide"] {
        let _ = through(&["--invoke", name]).expect(134).says(&["trap"]);
    }
    let _ = through(&["--invoke", "spin", "--fuel", "100000"]).expect(123);
    let _ = through(&["--invoke", "spin", "--timeout", "100ms"]).expect(124);
}

#[test]
fn what_ends_a_process_ends_process_1() {
    let home = Home::new();
    let artifact = home.fixture("wat/spin.wat");
    let namespace = |program: &mut Command| {
        program.args(["--pid", "--fork", "--kill-child"]).stderr(Stdio::null()).spawn()
    };
    let tried = namespace(Command::new("unshare").arg("true")).and_then(|mut it| it.wait());
    if !tried.is_ok_and(|status| status.success()) {
        println!("no namespaces of processes here: not tried");
        return;
    }
    for options in [&[][..], &["--report", "/dev/null"], &["--timeout", "1h"]] {
        for signal in [Signal::TERM, Signal::INT] {
            if is_ignored(signal) {
                continue;
            }
            let loader = home.load_command(options, &artifact);
            let mut command = Command::new("unshare");
            command.args(["--pid", "--fork", "--kill-child"]);
            command.arg(loader.get_program()).args(loader.get_args());
            let mut parent = command.stderr(Stdio::null()).spawn().unwrap();
            let guest = child_of(&parent);
            std::thread::sleep(Duration::from_millis(300));
            kill_process(guest, signal).unwrap();
            let status = wait_at_most(&mut parent, Duration::from_secs(20));
            let seen = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            assert_eq!(seen, Some(128 + signal.as_raw()), "{options:?}");
        }
    }
}

/// How a process ended; it is given up when that takes longer.
fn wait_at_most(process: &mut std::process::Child, patience: Duration) -> ExitStatus {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    process.kill().unwrap();
    process.wait().unwrap()
}

/// The one child of a process, once it has one.
fn child_of(parent: &std::process::Child) -> Pid {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    for _ in 0..500 {
        let children = fs::read_to_string(&path).expect("the kernel's list of children");
        if let Some(child) = children.split_whitespace().next() {
            return Pid::from_raw(child.parse().unwrap()).unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no child");
}

#[test]
fn megabytes_of_variables_leave_a_guest_its_stack() {
    let home = Home::new();
    let artifact = home.fixture("wat/recurse-forever.wat");
    let loader = home.load_command(&["--max-stack", "7MiB"], &artifact);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -s 8192 && exec \"$@\"", "sh"]);
    command.arg(loader.get_program()).args(loader.get_args());
    for number in 0..14 {
        command.env(format!("V{number}"), "x".repeat(127 << 10));
    }
    let _ = run(&mut command, b"").expect(134).says(&["stack"]);
}

#[test]
fn standard_streams_that_are_closed_decide_nothing() {
    let home = Home::new();
    let artifact = home.fixture("wat/exit-300.wat");
    let loader = home.load_command(&["--report", "report.json"], &artifact);
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" <&- >&- 2>&-", "sh"]).current_dir(home.path("."));
    command.arg(loader.get_program()).args(loader.get_args());
    let _ = run(&mut command, b"").expect(44);
    assert_eq!(read(&home.path("report.json"))["outcome"]["exit_code"], 300);
}

#[test]
fn a_trap_names_who_called_whom() {
    let home = Home::new();
    let functions: String =
        (0..30)
            .map(|number| match number {
                1 => r#"(func $f1 (@name "_RNvMs_NtCs1_5alloc3vecINtB4_3VecmE4push") (call $f0))"#
                    .into(),
                0 => r#"(func $f0 (@name "_ZN4core3fmt5write17h0123456789abcdefE") unreachable)"#
                    .into(),
                _ => format!("(func $f{number} (call $f{}))", number - 1),
            })
            .collect();
    let module = format!(r#"(module {functions} (func (export "_start") (call $f29)))"#);
    let artifact = compile_text(&home, "deep", &module);
    let (ended, report) = home.report(&[], &artifact);
    let ended = ended.expect(134);
    // Each with its place in the image.
    let image = report["artifact"]["image_sha256"].as_str().unwrap();
    let place = format!(" ({}+0x", &image[..8]);
    let lines: Vec<&str> =
        ended.stderr.lines().map(|line| line.split(&place).next().unwrap()).collect();
    assert!(lines[0].ends_with(" in function 0 core::fmt::write"), "{}", ended.stderr);
    assert_eq!(lines[1], "  called by function 1 <alloc::vec::Vec>::push");
    assert_eq!(lines[2], "  called by function 2 f2");
    assert_eq!(lines[20..], ["  and so on"], "{}", ended.stderr);
    let trap = &report["outcome"]["trap"];
    assert_eq!((&trap["function"], &trap["name"]), (&json!(0), &json!("core::fmt::write")));
    assert_eq!(trap["frames"].as_array().unwrap().len(), 20);
    let mut last = trap["frames"][19].clone();
    assert!(last["offset"].take().as_u64().is_some_and(|offset| offset > 0), "{trap}");
    assert_eq!(last, json!({ "function": 19, "name": "f19", "offset": null }));
    assert_eq!(trap["more_frames"], true);
}

#[test]
fn no_text_of_strangers_moves_a_terminal_or_begins_a_line() {
    let home = Home::new();
    let module = r#"(module
        (import "env\1b]0;x\07\0abls-load: verify: good\e2\80\ae\c2\9b31m" "x\1b[2J\0d\0acode: fake"
            (func $import))
        (memory (export "memory") 1)
        (export "e\1b[31m\0ax\e2\80\ae" (func $f))
        (func $f (@name "n\1b[31m\0abls-load: run: fake\e2\80\ae\e2\80\a8l\c2\9b") unreachable)
        (func (export "_start") (call $f)))"#;
    let name = "m\u{1b}[31m\nbls-load: verify: fake\u{202e}\u{2028}\u{9b}";
    let source = home.path(&format!("{name}.wat"));
    fs::write(&source, module).unwrap();
    let artifact = home.path(&format!("{name}.bls"));
    let mut shown = String::new();
    let mut look = |ended: bls_tests::programs::Ended| {
        shown += &ended.text();
        shown += &ended.stderr;
    };
    let options = ["--name", "plain", "-o"];
    look(run(home.compile_command(&source).args(options).arg(&artifact), b"").expect(0));
    look(run(home.compile_command(&source).args(["--name", "x", "-o", "nowhere/\u{1b}\n/x"]), b""));
    look(run(&mut home.compile_command(&home.path("none\u{1b}\nfake\u{202e}")), b"").expect(1));
    for verb in ["inspect", "check"] {
        let input = if verb == "inspect" { &artifact } else { &source };
        for json in [&[][..], &["--json"]] {
            let mut command = Command::new(bls_tests::programs::compiler());
            look(run(command.arg(verb).args(json).arg(input), b""));
        }
    }
    let explained = ["--explain", "--unknown-imports", "trap", "--report", "fd:2"];
    look(home.load(&explained, &artifact, &[]).expect(134));
    look(home.load(&["--explain"], &artifact, &[]).expect(125));
    look(home.load(&["--invoke", "none\u{1b}\n\u{202e}"], &artifact, &[]).expect(125));
    look(home.load(&["--dir", "none\u{1b}\nfake\u{202e}"], &artifact, &[]).expect(125));
    look(home.load(&["--report", "none\u{1b}\nfake/x"], &artifact, &[]).expect(125));
    look(home.load(&["--unheard\u{1b}\nfake"], &artifact, &[]).expect(125));
    for line in shown.lines() {
        assert!(line.chars().all(is_plain), "{line:?}");
        assert!(!line.starts_with("fake") && !line.starts_with("code: fake"), "{line:?}");
        assert!(!line.starts_with("bls-load: verify: fake"), "{line:?}");
        assert!(!line.starts_with("bls-load: run: fake"), "{line:?}");
        assert!(line.len() < 5000, "{} bytes in a line", line.len());
    }
    assert!(shown.lines().count() > 50, "{shown}");
}

#[test]
fn a_profile_is_written_as_a_report_is() {
    let home = Home::new();
    let artifact = home.compile(&fixtures().join("wat/hello.wat"), &["--fuel-profile"]);
    let (link, target) = (home.path("link"), home.path("target"));
    fs::write(&target, "a longer text than this profile has".repeat(1000)).unwrap();
    symlink("target", &link).unwrap();
    let option = format!("--fuel-profile={}", text(&link));
    let _ = home.load(&[&option], &artifact, &[]).expect(0);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let profile = fs::read_to_string(&target).unwrap();
    assert!(profile.starts_with("fuel by function: ") && profile.len() < 1000, "{profile}");
    // Nobody reads it: the run does not wait for that.
    let fifo = home.path("fifo");
    make_fifo(&fifo);
    let option = format!("--fuel-profile={}", text(&fifo));
    let _ = home.load(&[&option], &artifact, &[]).expect(125).says(&["profile.unwritable"]);
}
