//! The small bls-load (`cargo xtask build minimal`): what it runs, what it refuses by name, and
//! that what it has of walls and checks is what the full one has.

use bls_tests::installed::release;
use bls_tests::programs::{Ended, Home, fixtures, loader, minimal, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes that it may have, and units of 1024 bytes in memory for a hello: what it has, and a
/// little more. (Half as much again as is wanted: the engine's runtime, the C library and the
/// reader of manifests hold it.)
const BYTES_MAX: u64 = 1_850_000;
const RESIDENT_KB_MAX: u64 = 2_050;

/// A module, compiled for it.
fn core(home: &Home, input: &Path) -> PathBuf {
    home.compile(input, &["--wasm", "core"])
}

fn fixture(home: &Home, name: &str) -> PathBuf {
    core(home, &fixtures().join(name))
}

/// Runs it, trusting this home's builder.
fn load(home: &Home, words: &[&str]) -> Ended {
    let mut command = Command::new(minimal());
    command.current_dir(home.path("")).arg("--trust").arg(home.public_key());
    run(command.args(words), b"")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[track_caller]
fn lacks(ended: Ended, what: &str, code: &str) {
    let ended = ended.expect(125);
    assert!(ended.stdout.is_empty(), "{}", ended.text());
    let sentence = format!("this loader was built without {what}");
    let _ = ended.says(&[&sentence, "full bls-load", &format!("code: {code}\n")]);
}

#[test]
fn it_is_small() {
    let bytes = std::fs::metadata(minimal()).unwrap().len();
    let full = std::fs::metadata(loader()).unwrap().len();
    println!("minimal: {bytes} bytes; full: {full} bytes");
    assert!(bytes <= BYTES_MAX, "{bytes} bytes");
    let home = Home::new();
    let resident = resident_kb(&home, &minimal());
    println!("in memory for a hello: {resident} kB; full: {} kB", resident_kb(&home, &loader()));
    assert!(resident <= RESIDENT_KB_MAX, "{resident} kB");
}

/// The most that was in memory of a guest that has said hello, in units of 1024 bytes.
fn resident_kb(home: &Home, program: &Path) -> u64 {
    use std::io::Read as _;
    use std::process::Stdio;
    let source = home.path("waits.wat");
    std::fs::write(&source, WAITS).unwrap();
    let artifact = home.compile(&source, &["--wasm", "core", "--max-memory", "1MiB"]);
    let mut command = Command::new(program);
    command.arg("--trust").arg(home.public_key()).arg(artifact);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 6];
    child.stdout.take().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"hello\n");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    most.split_whitespace().next().unwrap().parse().unwrap()
}

/// Says hello, and waits for input.
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

#[test]
fn guests_do_in_it_what_they_do_in_the_full_one() {
    let home = Home::new();
    let mut count = 0;
    let conformance = ["c/wasi_descriptors", "c/wasi_directories", "c/wasi_filestat"];
    let more = ["c/wasi_paths", "c/wasi_poll", "c/wasi_rest", "c/wasi_transfer", "c/files"];
    let others = ["c/hello", "c/compute", "c/tree_walk", "c/environ", "rust/hello/hello"];
    for name in conformance.into_iter().chain(more).chain(others) {
        let artifact = text(&fixture(&home, &format!("{name}.wasm")));
        let mut seen = Vec::new();
        for program in [loader(), minimal()] {
            let folder = home.path("folder");
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir(&folder).unwrap();
            let report = home.path("report.json");
            let mut command = Command::new(&program);
            command.current_dir(home.path("")).arg("--trust").arg(home.public_key());
            command.args(["--deterministic", "--dir", "folder::/", "--env", "A=1", "--report"]);
            let ended = run(command.arg(&report).arg(&artifact).arg("x"), b"words\n");
            let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
            let fuel = report["fuel"]["consumed"].clone();
            assert!(fuel.is_u64(), "{name}: {report}");
            seen.push((ended.code, ended.text(), ended.stderr, fuel));
        }
        assert_eq!(seen[0], seen[1], "{name}");
        count += 1;
    }
    assert_eq!(count, 13);
}

#[test]
fn checks_limits_and_walls_are_those_of_the_full_one() {
    let home = Home::new();
    let hello = text(&fixture(&home, "wat/hello.wat"));
    assert_eq!(load(&home, &[&hello]).expect(0).text(), "hello\n");
    let _ = load(&home, &["verify", &hello]).expect(0);
    // A key that nobody trusts, and a bit that was changed.
    let strange = Home::with_seed(9);
    let ended = load(&strange, &[&hello]).expect(125);
    let _ = ended.says(&["bls-load: verify: ", "code: signature.unknown-key\n"]);
    let mut bytes = std::fs::read(&hello).unwrap();
    let last = bytes.len() - 64;
    bytes[last] ^= 1;
    std::fs::write(home.path("changed.bls"), bytes).unwrap();
    let _ = load(&home, &["changed.bls"]).expect(125).says(&["code: content.stored-digest\n"]);
    let policy = home.path("policy.json");
    std::fs::write(&policy, r#"{"version": 1, "limits": {"fuel": {"max": 10}}}"#).unwrap();
    let policy = text(&policy);
    let ended = load(&home, &["--policy", &policy, "--fuel", "11", &hello]).expect(125);
    let _ = ended.says(&["bls-load: policy: ", "ask for less: --fuel 10"]);
    let _ = load(&home, &["--policy", &policy, &hello]).expect(123);
    let _ =
        load(&home, &["--timeout", "100ms", &text(&fixture(&home, "wat/spin.wat"))]).expect(124);
    let _ = load(&home, &[&text(&fixture(&home, "wat/trap-out-of-bounds.wat"))]).expect(134);

    let sandbox = |program: &Path| {
        let report = home.path("report.json");
        let mut command = Command::new(program);
        command.arg("--trust").arg(home.public_key()).arg("--report").arg(&report).arg(&hello);
        let _ = run(&mut command, b"").expect(0);
        let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        report["sandbox"].clone()
    };
    assert_eq!(sandbox(&minimal()), sandbox(&loader()));
}

#[test]
fn what_it_lacks_is_refused_by_name() {
    let home = Home::new();
    let store = "installing, and running what is installed";
    for words in [
        &["install", "app.bls"][..],
        &["rollback", "app"],
        &["list"],
        &["remove", "app"],
        &["gc"],
        &["verify", "--all"],
        &["app"],
        &["verify", "sha256:0123456789"],
        &["--store", "/tmp", "./app.bls"],
    ] {
        let mut command = Command::new(minimal());
        lacks(run(command.args(words), b""), store, "usage.not-built");
    }
    let network = "the network, listeners and extensions";
    for words in [
        &["ext", "list"][..],
        &["--allow-net", "*", "./app.bls"],
        &["--listen", "127.0.0.1:0", "./app.bls"],
        &["--extensions", "x.json", "./app.bls"],
    ] {
        let mut command = Command::new(minimal());
        lacks(run(command.args(words), b""), network, "usage.not-built");
    }
    let debug = "debug files, core dumps and maps for perf";
    for words in [
        &["--debug-file", "app.debug", "./app.bls"][..],
        &["--coredump", "core", "./app.bls"],
        &["--perf-map", "./app.bls"],
        &["--jitdump", ".", "./app.bls"],
    ] {
        let mut command = Command::new(minimal());
        lacks(run(command.args(words), b""), debug, "usage.not-built");
    }
    let node = "configurations, the command line of bls-runtime";
    std::fs::write(home.path("config.json"), "{}").unwrap();
    for words in [&["run", "config.json"][..], &["./config.json"]] {
        lacks(load(&home, words), node, "usage.not-built");
    }
    lacks(run(Command::new(minimal()).args(["node", "a.wasm"]), b""), node, "usage.not-built");
    let renamed = home.path("bls-runtime");
    std::fs::copy(minimal(), &renamed).unwrap();
    lacks(run(Command::new(renamed).arg("a.wasm"), b""), node, "usage.not-built");

    let hello = fixtures().join("wat/hello.wat");
    let compressed = home.compile(&hello, &["--wasm", "core", "--compress"]);
    lacks(load(&home, &[&text(&compressed)]), "compressed code", "compression.not-built");
    let objects = "objects, exceptions, typed references and atomic operations";
    let all = home.compile(&hello, &[]);
    let ended = load(&home, &[&text(&all)]);
    assert!(ended.stderr.contains("bls-compile --wasm core"), "{}", ended.stderr);
    lacks(ended, objects, "compatibility.language");
    let imports = home.path("imports.wat");
    let module = r#"(module (import "blockless_memory" "memory_read"
            (func (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (func (export "_start")))"#;
    std::fs::write(&imports, module).unwrap();
    lacks(load(&home, &[&text(&core(&home, &imports))]), network, "link.not-built");
}

#[test]
fn what_uses_more_does_not_compile_for_it() {
    let home = Home::new();
    let mut command = home.compile_command(&fixtures().join("wat/gc-structs.wat"));
    let ended = run(command.args(["--wasm", "core", "-o", "no.bls"]), b"").expect(1);
    let _ = ended.says(&["bls-compile: validate: "]);
    assert!(!home.path("no.bls").exists());
    let path = home.path("externref.wat");
    std::fs::write(&path, "(module (func (export \"_start\") (local externref)))").unwrap();
    let ended = run(home.compile_command(&path).args(["--wasm", "core"]), b"").expect(1);
    let _ = ended.says(&["bls-compile: validate: "]);
    // What is compiled for it runs in the full one, and is built again as it was.
    let artifact = fixture(&home, "wat/hello.wat");
    assert_eq!(home.load(&[], &artifact, &[]).expect(0).text(), "hello\n");
    let mut verify = Command::new(bls_tests::programs::compiler());
    verify.current_dir(home.path("")).arg("verify").arg(&artifact).arg("--rebuild");
    let _ = run(verify.arg(fixtures().join("wat/hello.wat")), b"").expect(0);
    let made = release(&home, "app", 1, "word");
    assert_eq!(home.load(&[], &made, &[]).expect(0).text(), "word\n");
}
