//! Limits that hold: fuel, time, memory, stack, output; and what the report says.

use bls_tests::programs::{Home, fixtures, make_fifo, maps_of_a_running_guest, run};
use serde_json::Value;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

fn kind(report: &Value) -> &str {
    report["outcome"]["kind"].as_str().unwrap_or("none")
}

#[test]
fn fuel_is_exact() {
    let home = Home::new();
    let artifact = home.fixture("wat/host-calls.wat");
    let (_, report) = home.report(&[], &artifact);
    let consumed = report["fuel"]["consumed"].as_u64().expect("consumed");
    assert_eq!(report["fuel"]["exact"], true, "{report}");
    assert!(consumed > 1000);

    let (ended, report) = home.report(&["--fuel", &consumed.to_string()], &artifact);
    let _ = ended.expect(0);
    assert_eq!(report["fuel"]["left"], 0, "{report}");

    let (ended, report) = home.report(&["--fuel", &(consumed - 1).to_string()], &artifact);
    let _ = ended.expect(123).says(&["bls-load: run: ", "fuel", "hint: "]);
    assert_eq!(kind(&report), "out-of-fuel", "{report}");
    assert_eq!(report["fuel"]["consumed"], consumed - 1, "{report}");

    let (ended, _) = home.report(&["--fuel", "1"], &artifact);
    assert!(ended.expect(123).stdout.is_empty(), "instantiation alone costs more");
}

/// A host function whose return is the guest's, however it comes to that: its price is paid,
/// or the run is out of fuel and gives nothing.
#[test]
fn a_host_function_in_the_guests_place_is_paid() {
    let home = Home::new();
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_sync" (func $sync (param i32) (result i32)))
        (type $sync (func (param i32) (result i32)))
        (table 1 funcref) (elem (i32.const 0) $sync) (elem declare func $sync)
        (memory (export "memory") 1)
        (export "export" (func $sync))
        (func $chain (param i32) (result i32) (return_call $sync (local.get 0)))
        (func (export "call") (param i32) (result i32) (call $sync (local.get 0)))
        (func (export "tail") (param i32) (result i32) (return_call $sync (local.get 0)))
        (func (export "chain") (param i32) (result i32) (return_call $chain (local.get 0)))
        (func (export "table") (param i32) (result i32)
            (return_call_indirect (type $sync) (local.get 0) (i32.const 0)))
        (func (export "reference") (param i32) (result i32)
            (return_call_ref $sync (local.get 0) (ref.func $sync))))"#;
    let artifact = compile_text(&home, "places", text);
    for name in ["call", "export", "tail", "chain", "table", "reference"] {
        let invoke = |fuel: Option<u64>| {
            let mut options = vec!["--invoke".to_owned(), name.to_owned()];
            options.extend(fuel.map(|fuel| format!("--fuel={fuel}")));
            let report = home.path("report.json");
            options.push(format!("--report={}", report.display()));
            let ended = home.load(
                &options.iter().map(String::as_str).collect::<Vec<_>>(),
                &artifact,
                &["7"],
            );
            let text = std::fs::read_to_string(report).expect("a report");
            (ended, serde_json::from_str::<Value>(&text).expect("JSON"))
        };
        let (ended, report) = invoke(None);
        let given = ended.expect(0).text();
        let consumed = report["fuel"]["consumed"].as_u64().expect("consumed");
        assert!(!given.is_empty() && consumed > 65_536, "{name}: {report}");
        let (ended, report) = invoke(Some(consumed));
        assert_eq!(ended.expect(0).text(), given, "{name}");
        assert_eq!(report["fuel"]["left"], 0, "{name}");
        for short in [1, 1000, 65_000] {
            let (ended, report) = invoke(Some(consumed - short));
            assert_eq!(ended.expect(123).text(), "", "{name}: nothing is given");
            assert_eq!(kind(&report), "out-of-fuel", "{name}: {report}");
            assert_eq!(report["fuel"]["consumed"], consumed - short, "{name}: {report}");
            assert_eq!(report["fuel"]["exact"], true, "{name}: {report}");
        }
    }
}

/// What a policy sets is held to the range of the option, and what an option asks for is
/// not rounded to what a policy allows.
#[test]
fn limits_of_a_policy_are_held_to_their_range() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let policy = home.path("policy.json");
    let with = |limits: &str, options: &[&str]| {
        let text = format!(r#"{{"version": 1, "limits": {limits}}}"#);
        std::fs::write(&policy, text).expect("a policy");
        let path = format!("--policy={}", policy.display());
        home.load(&[&[path.as_str()], options].concat(), &artifact, &[])
    };
    let highest = (1_u64 << 62) - 1;
    let beyond = u64::MAX;
    for (limits, limit) in [
        (format!(r#"{{"fuel": {{"max": {beyond}}}}}"#), "fuel"),
        (format!(r#"{{"fuel": {{"max": {}}}}}"#, highest + 1), "fuel"),
        (format!(r#"{{"fuel": {{"default": {beyond}}}}}"#), "fuel"),
        (format!(r#"{{"timeout_ms": {{"max": {beyond}}}}}"#), "timeout_ms"),
        (r#"{"timeout_ms": {"max": 1000000000000}}"#.to_owned(), "timeout_ms"),
        (r#"{"timeout_ms": {"default": 0}}"#.to_owned(), "timeout_ms"),
        (format!(r#"{{"stack_bytes": {{"max": {beyond}}}}}"#), "stack_bytes"),
        (format!(r#"{{"descriptors": {{"max": {beyond}}}}}"#), "descriptors"),
    ] {
        let sets = format!("sets {limit} to ");
        let _ = with(&limits, &[]).expect(125).says(&["bls-load: policy: ", &sets, "hint: "]);
    }
    for limits in [
        format!(r#"{{"fuel": {{"max": {highest}}}}}"#),
        r#"{"timeout_ms": {"max": 999999999999}}"#.to_owned(),
        format!(r#"{{"memory_bytes": {{"max": {beyond}}}}}"#),
        format!(r#"{{"output_bytes": {{"max": {beyond}}}}}"#),
    ] {
        assert_eq!(with(&limits, &[]).expect(0).text(), "hello\n", "{limits}");
    }
    let minute = r#"{"timeout_ms": {"max": 60000}}"#;
    for over in ["60000.9ms", "60000.001ms", "60.0001s", "60000001us"] {
        let _ = with(minute, &["--timeout", over]).expect(125).says(&["--timeout asks for", "1m"]);
    }
    for within in ["60000ms", "59999.5ms", "1m", "60000000us"] {
        let _ = with(minute, &["--timeout", within]).expect(0);
    }
}

#[test]
fn endless_guests_run_out_of_fuel() {
    let home = Home::new();
    for name in ["spin", "recurse-tail-forever", "write-forever"] {
        let artifact = home.fixture(&format!("wat/{name}.wat"));
        let (ended, report) = home.report(&["--fuel", "10000000"], &artifact);
        let _ = ended.expect(123);
        assert_eq!(kind(&report), "out-of-fuel", "{name}: {report}");
        assert_eq!(report["fuel"]["consumed"], 10_000_000, "{name}: {report}");
    }
}

#[test]
fn a_budget_needs_a_meter() {
    let home = Home::new();
    let artifact = home.compile(&fixtures().join("wat/hello.wat"), &["--no-fuel"]);
    let _ = home.load(&["--fuel", "5"], &artifact, &[]).expect(125).says(&["fuel", "hint: "]);
    assert_eq!(home.load(&[], &artifact, &[]).expect(0).text(), "hello\n");
}

#[test]
fn a_trap_is_not_out_of_fuel() {
    let home = Home::new();
    let artifact = home.fixture("wat/trap-after-output.wat");
    let (ended, report) = home.report(&["--fuel", "1000000"], &artifact);
    let _ = ended.expect(134).says(&["bls-load: run: ", "trap", "boom"]);
    assert_eq!(kind(&report), "trap", "{report}");
    // The counter was stored before it: a memory of a page, three calls of four units, one
    // of the host's.
    let consumed = report["fuel"]["consumed"].as_u64().expect("a number");
    assert!((20_480..30_000).contains(&consumed), "{report}");
    let (_, unlimited) = home.report(&[], &artifact);
    assert_eq!(unlimited["fuel"]["exact"], true, "{unlimited}");
    assert_eq!(unlimited["fuel"]["consumed"], consumed, "{unlimited}");
}

#[test]
fn a_fault_of_memory_is_never_a_discount() {
    let home = Home::new();
    let artifact = home.fixture("wat/trap-out-of-bounds.wat");
    let (ended, report) = home.report(&["--fuel", "1000000"], &artifact);
    let _ = ended.expect(134).says(&["out of bounds"]);
    assert_eq!(report["fuel"]["consumed"], 1_000_000, "{report}");
    let (_, report) = home.report(&[], &artifact);
    assert_eq!(report["fuel"]["exact"], false, "{report}");
}

#[test]
fn traps_are_billed_what_was_consumed() {
    let home = Home::new();
    for (name, consumed) in [("trap-divide-by-zero", 20_492), ("trap-unreachable", 20_480)] {
        let artifact = home.fixture(&format!("wat/{name}.wat"));
        let (ended, report) = home.report(&["--fuel", "10000000"], &artifact);
        let _ = ended.expect(134);
        assert_eq!(report["fuel"]["consumed"], consumed, "{name}: {report}");
        // Without a budget the same number is known.
        let (_, report) = home.report(&[], &artifact);
        assert_eq!(report["fuel"]["consumed"], consumed, "{name}: {report}");
    }
}

#[test]
fn time_is_up_wherever_the_guest_is() {
    let home = Home::new();
    for name in ["spin", "poll-forever", "read-stdin-forever"] {
        let artifact = home.fixture(&format!("wat/{name}.wat"));
        let report = home.path("report.json");
        let options = ["--timeout", "200ms", "--report", report.to_str().unwrap()];
        let mut child = home
            .load_command(&options, &artifact)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Standard input stays open until the end.
        let input = child.stdin.take();
        let status = child.wait().unwrap();
        drop(input);
        assert_eq!(status.code(), Some(124), "{name}");
        let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        assert_eq!(report["outcome"]["limit"], "time", "{name}: {report}");
        assert_eq!(report["fuel"]["exact"], false, "{name}: {report}");
    }
}

#[test]
fn a_guest_blocked_on_a_fifo_is_stopped() {
    let home = Home::new();
    let fifo = home.path("fifo");
    make_fifo(&fifo);
    let artifact = home.fixture("wat/cat.wat");
    let mut child = home
        .load_command(&["--timeout", "200ms"], &artifact)
        // Read and write: opening does not wait for another side.
        .stdin(std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(124));
}

#[test]
fn signals_leave_a_report() {
    let home = Home::new();
    let artifact = home.fixture("wat/spin.wat");
    for (signal, code) in
        [(rustix::process::Signal::TERM, 143), (rustix::process::Signal::INT, 130)]
    {
        // A shell lets what it runs in the background ignore SIGINT, and so does bls-load.
        if is_ignored(signal) {
            println!("{signal:?} is ignored here: not tried");
            continue;
        }
        let path = home.path(&format!("report-{code}.json"));
        let options = ["--report", path.to_str().unwrap()];
        let mut child = home.load_command(&options, &artifact).spawn().unwrap();
        let _ = maps_of_a_running_guest(&child);
        // It is just about to run.
        std::thread::sleep(Duration::from_millis(50));
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let status = child.wait().unwrap();
        use std::os::unix::process::ExitStatusExt as _;
        let seen = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        assert_eq!(seen, Some(code));
        let report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(report["fuel"]["exact"], false, "{report}");
    }
}

/// Whether this process ignores a signal, and so do the programs it starts.
fn is_ignored(signal: rustix::process::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of a process");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("hexadecimal digits");
    mask >> (signal.as_raw() - 1) & 1 == 1
}

#[test]
fn memory_ends_where_it_was_said() {
    let home = Home::new();
    let artifact = home.fixture("wat/memory-grow-forever.wat");
    let ended = home.load(&["--max-memory", "16MiB"], &artifact, &[]).expect(0);
    assert_eq!(ended.text().trim(), "256", "pages of 64 KiB");
    let huge = home.fixture("wat/memory-huge-initial.wat");
    let (ended, report) = home.report(&["--max-memory", "16MiB"], &huge);
    let _ = ended.expect(124).says(&["memory", "--max-memory"]);
    assert_eq!(report["outcome"]["limit"], "memory", "{report}");
    let asked =
        home.compile(&fixtures().join("wat/memory-grow-forever.wat"), &["--max-memory", "1MiB"]);
    assert_eq!(home.load(&[], &asked, &[]).expect(0).text().trim(), "16", "its builder's limit");
}

#[test]
fn a_heap_of_objects_is_memory_too() {
    let home = Home::new();
    for name in ["gc-huge-array-global", "gc-huge-array"] {
        let artifact = home.fixture(&format!("wat/{name}.wat"));
        let options = ["--max-memory", "64MiB", "--fuel", "3000000000", "--timeout", "60s"];
        let (ended, report) = home.report(&options, &artifact);
        assert!(matches!(ended.code, Some(124 | 134)), "{name}: {:?} {report}", ended.code);
        assert_ne!(report["outcome"]["limit"], "time", "{name}: {report}");
    }
}

#[test]
fn the_stack_ends_in_a_trap() {
    let home = Home::new();
    let artifact = home.fixture("wat/recurse-forever.wat");
    for size in ["64KiB", "1MiB", "4MiB"] {
        let _ = home.load(&["--max-stack", size], &artifact, &[]).expect(134).says(&["stack"]);
    }
    let _ = home.load(&["--max-stack", "1GiB"], &artifact, &[]).expect(125).says(&["hint: "]);
}

#[test]
fn a_closed_pipe_is_an_error_not_the_end() {
    let home = Home::new();
    let artifact = home.fixture("wat/write-forever.wat");
    let mut child = home
        .load_command::<&str>(&[], &artifact)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut some = [0; 4096];
    let _ = output.read(&mut some).unwrap();
    drop(output);
    // 64 is WASI's EPIPE; the guest exits with the errno it got.
    assert_eq!(child.wait().unwrap().code(), Some(64));
}

#[test]
fn the_whole_exit_code_is_in_the_report() {
    let home = Home::new();
    let (ended, report) = home.report(&[], &home.fixture("wat/exit-300.wat"));
    let _ = ended.expect(44);
    assert_eq!(report["outcome"]["exit_code"], 300, "{report}");
}

#[test]
fn a_report_can_go_to_a_descriptor() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let ended = run(&mut home.load_command(&["--report", "fd:2"], &artifact), b"").expect(0);
    let report: Value = serde_json::from_str(&ended.stderr).expect("JSON on descriptor 2");
    assert_eq!(kind(&report), "exited", "{report}");
    let _ = home
        .load(&["--report", "/nowhere/at/all.json"], &artifact, &[])
        .expect(125)
        .says(&["/nowhere/at/all.json", "hint: "]);
    assert!(!Path::new("/nowhere").exists());
}

/// A module from text, compiled in this home.
fn compile_text(home: &Home, name: &str, text: &str) -> std::path::PathBuf {
    let path = home.path(&format!("{name}.wat"));
    std::fs::write(&path, text).unwrap();
    home.compile(&path, &[])
}

#[test]
fn a_full_pipe_does_not_keep_a_run_alive() {
    let home = Home::new();
    let artifact = compile_text(
        &home,
        "shout",
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\00\10\00\00")
            (func (export "_start")
                (loop (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
                    (br 0))))"#,
    );
    // Nobody reads the pipe that standard error is, and the guest has filled it.
    let mut child = home
        .load_command(&["--timeout", "300ms"], &artifact)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(124));
}

#[test]
fn a_report_does_not_wait_for_a_reader() {
    let home = Home::new();
    let fifo = home.path("report.fifo");
    make_fifo(&fifo);
    let artifact = home.fixture("wat/hello.wat");
    let options = ["--report", fifo.to_str().unwrap()];
    let _ = home.load(&options, &artifact, &[]).expect(125).says(&["report.fifo", "hint: "]);
}

#[test]
fn tables_are_memory_too() {
    let home = Home::new();
    let artifact = compile_text(
        &home,
        "tables",
        "(module (table 9999999 funcref) (memory (export \"memory\") 1) (func (export \"_start\")))",
    );
    let (ended, report) = home.report(&["--max-memory", "1MiB", "--fuel", "100000000"], &artifact);
    let _ = ended.expect(124).says(&["memory", "hint: "]);
    assert_eq!(report["fuel"]["exact"], true, "nothing has run: {report}");
}

#[test]
fn output_ends_where_it_was_said() {
    let home = Home::new();
    let artifact = home.fixture("wat/cat.wat");
    let (ended, report) = home.report(&["--max-output", "3B", "--stdin", "text:hello"], &artifact);
    let ended = ended.expect(124).says(&["output limit", "hint: ", "--max-output"]);
    assert_eq!(ended.text(), "hel", "what fits is written");
    assert_eq!(report["outcome"]["limit"], "output", "{report}");
    let enough = ["--max-output", "5B", "--stdin", "text:hello"];
    assert_eq!(home.load(&enough, &artifact, &[]).expect(0).text(), "hello");
    // Space that is reserved counts as written, beside the 4096 bytes and the name.
    let reserve = compile_text(
        &home,
        "reserve",
        r#"(module
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_allocate"
                (func $reserve (param i32 i64 i64) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "reserved")
            (func (export "_start")
                (drop (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 8)
                    (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))
                (call $exit (call $reserve (i32.const 4) (i64.const 0) (i64.const 4096)))))"#,
    );
    let _ = home.load(&["--dir", ".", "--max-output", "4103B"], &reserve, &[]).expect(124);
    assert!(!home.path("reserved").exists());
    let _ = home.load(&["--dir", ".", "--max-output", "8199B"], &reserve, &[]).expect(124);
    assert_eq!(std::fs::metadata(home.path("reserved")).unwrap().len(), 0);
    let _ = home.load(&["--dir", ".", "--max-output", "4KiB"], &reserve, &[]).expect(0);
    assert_eq!(std::fs::metadata(home.path("reserved")).unwrap().len(), 4096);
}

#[test]
fn descriptors_end_where_it_was_said() {
    let home = Home::new();
    // Opens "." until it may not; ends with the errno, having counted in memory.
    let artifact = compile_text(
        &home,
        "hoard",
        r#"(module
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) ".")
            (func (export "_start") (local $errno i32)
                (loop $again
                    (local.set $errno (call $open (i32.const 3) (i32.const 0) (i32.const 0)
                        (i32.const 1) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0)
                        (i32.const 16)))
                    (br_if $again (i32.eqz (local.get $errno))))
                ;; The last number that was given, and the errno behind it.
                (call $exit (i32.add (i32.mul (i32.load (i32.const 16)) (i32.const 256))
                    (local.get $errno)))))"#,
    );
    const MFILE: u64 = 33;
    for (limit, last) in [("10", 9), ("1024", 1023)] {
        let (_, report) = home.report(&["--dir", ".", "--max-descriptors", limit], &artifact);
        assert_eq!(report["outcome"]["exit_code"], last * 256 + MFILE, "{report}");
        assert_eq!(report["limits_met"], serde_json::json!(["descriptors"]), "{report}");
    }
    let (_, report) =
        home.report(&["--max-memory", "16MiB"], &home.fixture("wat/memory-grow-forever.wat"));
    assert_eq!(report["limits_met"], serde_json::json!(["memory"]), "{report}");
    for wrong in ["2", "many", "99999999"] {
        let options = ["--max-descriptors", wrong];
        let _ =
            home.load(&options, &artifact, &[]).expect(125).says(&["--max-descriptors", "hint: "]);
    }
}

#[test]
fn a_file_as_large_as_may_be_is_an_error_not_the_end() {
    let home = Home::new();
    let artifact = compile_text(
        &home,
        "large",
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\00\20\00\00")
            (func (export "_start") (local $errno i32)
                (loop $again
                    (local.set $errno
                        (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                    (br_if $again (i32.eqz (local.get $errno))))
                (call $exit (local.get $errno))))"#,
    );
    let mut command = std::process::Command::new("sh");
    command
        .arg("-c")
        .arg("ulimit -f 64; exec \"$0\" --trust \"$1\" \"$2\" >\"$3\"")
        .arg(bls_tests::programs::loader())
        .arg(home.public_key())
        .arg(&artifact)
        .arg(home.path("out"));
    // 22 is WASI's EFBIG.
    let _ = run(&mut command, b"").expect(22);
}

#[test]
fn a_failure_of_ours_is_not_the_guests_trap() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let mut command = std::process::Command::new("sh");
    command
        .arg("-c")
        .arg("ulimit -v 3000000; exec \"$0\" --trust \"$1\" --fuel 1000000 \"$2\"")
        .arg(bls_tests::programs::loader())
        .arg(home.public_key())
        .arg(&artifact);
    let _ = run(&mut command, b"").expect(125).says(&["bls-load: run: ", "hint: "]);

    let reactor = compile_text(
        &home,
        "reactor",
        "(module (func (export \"_initialize\") (param i32)) (func (export \"f\")))",
    );
    let _ = home.load(&["--invoke", "f"], &reactor, &[]).expect(125).says(&[
        "bls-load: link: ",
        "_initialize",
        "hint: ",
    ]);
}

#[test]
fn a_guests_words_do_not_reach_the_terminal_raw() {
    let home = Home::new();
    let artifact = compile_text(
        &home,
        "names",
        r#"(module (import "env\1b[31m\nbls-load: ok" "f" (func)) (func (export "_start")))"#,
    );
    let ended = home.load(&[], &artifact, &[]).expect(125);
    assert!(!ended.stderr.contains('\x1b'), "{:?}", ended.stderr);
    assert!(!ended.stderr.contains("\nbls-load: ok"), "{:?}", ended.stderr);
}
