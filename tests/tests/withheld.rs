//! What the system may withhold from a run: address space, files in memory, memory that
//! becomes executable. A run does without, or says what it lacks.
//!
//! Takes a C compiler (`cc`) for `withhold.c`, which sets what a command line cannot.

use bls_artifact::target::Target;
use bls_tests::installed::{Shelf, is_root};
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, run};
use serde_json::Value;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The helper, compiled into this home.
fn withhold(home: &Home) -> PathBuf {
    let program = home.path("withhold");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("withhold.c");
    let _ = run(Command::new("cc").arg("-o").arg(&program).arg(source), b"").expect(0);
    program
}

/// Runs an artifact from which this is withheld. `None` where this kernel cannot.
fn run_without(home: &Home, withheld: &[&str], options: &[&str], artifact: &Path) -> Option<Ended> {
    let mut command = Command::new(withhold(home));
    command.args(withheld).arg(loader()).arg("--trust").arg(home.public_key());
    let ended = run(command.args(options).arg(artifact), b"");
    if ended.code == Some(77) {
        println!("this kernel has no PR_SET_MDWE");
        return None;
    }
    Some(ended)
}

/// Runs an artifact under limits of the shell.
fn run_limited(home: &Home, limits: &str, options: &[&str], artifact: &Path) -> Ended {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{limits}; exec \"$@\"")).arg("sh").arg(loader());
    command.arg("--trust").arg(home.public_key()).args(options).arg(artifact);
    run(&mut command, b"")
}

/// A guest with memory that its file initialises, far from empty.
fn guest_with_data(home: &Home, options: &[&str]) -> PathBuf {
    home.compile(&fixtures().join("c/compute.wasm"), options)
}

/// EPERM, ENOSYS.
const ERRORS: [&str; 2] = ["1", "38"];

#[test]
fn without_memory_files_the_copy_is_in_the_process() {
    let home = Home::new();
    for options in [&[][..], &["--compress"]] {
        let artifact = guest_with_data(&home, options);
        let expected = home.load(&[], &artifact, &[]).expect(0).text();
        for error in ERRORS {
            let without = ["--memory-files", error];
            let ended = run_without(&home, &without, &["--explain"], &artifact).unwrap();
            let ended = ended.expect(0).says(&["integrity mode copy", "private copy of the image"]);
            assert_eq!(ended.text(), expected);
        }
    }
}

#[test]
fn without_memory_files_nothing_unverified_is_mapped() {
    let home = Home::new();
    let artifact = guest_with_data(&home, &[]);
    let file = std::fs::File::options().write(true).open(&artifact).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(b"?", length - 4096).unwrap();
    let ended = run_without(&home, &["--memory-files", "1"], &[], &artifact).unwrap().expect(125);
    let _ = ended.says(&["bls-load: verify: ", "code: content.stored-digest"]);
}

#[test]
fn without_memory_files_no_page_is_writable_and_executable() {
    let home = Home::new();
    let artifact = home.fixture("wat/read-stdin-forever.wat");
    let mut child = Command::new(withhold(&home))
        .args(["--memory-files", "1"])
        .arg(loader())
        .arg("--trust")
        .arg(home.public_key())
        .arg(&artifact)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let private_code = |maps: &str| {
        maps.lines().any(|line| line.contains(" r-xp 00000000 00:00 0 ") && !line.contains('['))
    };
    let mut maps = String::new();
    for _ in 0..2000 {
        maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap_or_default();
        if private_code(&maps) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    assert!(private_code(&maps), "{maps}");
    assert!(!maps.contains("rwx") && !maps.contains("memfd"), "{maps}");
}

#[test]
fn a_limit_on_files_counts_no_memory() {
    let home = Home::new();
    let artifact = guest_with_data(&home, &[]);
    let expected = home.load(&[], &artifact, &[]).expect(0).text();
    for blocks in [0, 1, 100] {
        let ended = run_limited(&home, &format!("ulimit -f {blocks}"), &[], &artifact).expect(0);
        assert_eq!(ended.text(), expected, "ulimit -f {blocks}");
    }
}

#[test]
fn a_copy_is_mapped_where_nothing_may_become_executable() {
    let home = Home::new();
    for options in [&[][..], &["--memory", "checked"]] {
        let artifact = guest_with_data(&home, options);
        let expected = home.load(&[], &artifact, &[]).expect(0).text();
        let Some(ended) = run_without(&home, &["--new-code"], &["--explain"], &artifact) else {
            return;
        };
        let ended = ended.expect(0).says(&["sealed image mapped"]);
        assert_eq!(ended.text(), expected);
    }
    // A module without any function has no code to be mapped.
    let path = home.path("empty.wat");
    std::fs::write(&path, "(module (memory (export \"memory\") 1))").unwrap();
    let ended = run_without(&home, &["--new-code"], &[], &home.compile(&path, &[])).unwrap();
    let _ = ended.expect(125).says(&["code: link.nothing-to-call"]);
}

#[test]
fn what_root_installed_is_mapped_where_nothing_may_become_executable() {
    if !is_root() {
        println!("not root: no store of root's can be made");
        return;
    }
    let (home, shelf) = (Home::new(), Shelf::new());
    let artifact = guest_with_data(&home, &["--name", "app"]);
    let expected = home.load(&[], &artifact, &[]).expect(0).text();
    let _ = shelf.install(&home, &artifact).expect(0);
    let store = shelf.store().to_str().unwrap().to_owned();
    let options = ["--explain", "--store", &store];
    // Without memory files as well: this is where the hint of the next test leads.
    for withheld in [&["--new-code"][..], &["--new-code", "--memory-files", "1"]] {
        let Some(ended) = run_without(&home, withheld, &options, Path::new("app")) else { return };
        let ended = ended.expect(0).says(&["integrity mode store", "stored image mapped"]);
        assert_eq!(ended.text(), expected);
    }
}

#[test]
fn where_no_code_can_be_mapped_the_hint_leads_on() {
    let home = Home::new();
    let artifact = guest_with_data(&home, &[]);
    let withheld = ["--new-code", "--memory-files", "1"];
    let Some(ended) = run_without(&home, &withheld, &[], &artifact) else { return };
    let ended = ended.expect(125);
    let _ = ended.says(&[
        "bls-load: map: the system does not map the code",
        "sudo bls-load install",
        "code: map.system",
    ]);
}

/// Takes its memory to the very limit, a page at a time and then all at once, and writes to
/// the last byte; then one page more, which it must not get.
const GROWS: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (if (i32.ne (memory.grow (i32.const 1)) (i32.const 1)) (then (call $exit (i32.const 1))))
        (i32.store8 (i32.const 131071) (i32.const 7))
        (if (i32.ne (memory.grow (i32.const 1022)) (i32.const 2))
            (then (call $exit (i32.const 2))))
        (i32.store8 (i32.const 67108863) (i32.const 7))
        (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1))
            (then (call $exit (i32.const 3))))
        (if (i32.ne (i32.load8_u (i32.const 131071)) (i32.const 7))
            (then (call $exit (i32.const 4))))))"#;

/// 64 MiB of memory, and 64 MiB beside it, in the shell's KiB.
const LIMIT: &str = "ulimit -v 131072";

#[test]
fn address_space_follows_the_limit_on_memory() {
    let home = Home::new();
    let path = home.path("grows.wat");
    std::fs::write(&path, GROWS).unwrap();
    let artifact = home.compile(&path, &["--memory", "checked"]);
    let limit = ["--max-memory", "64MiB"];
    let report = home.path("report.json");
    let watched = ["--timeout", "10s", "--report", report.to_str().unwrap()];
    // A stack that the main thread does not have is one of our own.
    for options in [&[][..], &watched, &["--max-stack", "16MiB"], &["--deterministic"]] {
        let options = [&limit[..], options].concat();
        let ended = run_limited(&home, LIMIT, &options, &artifact);
        assert_eq!(ended.code, Some(0), "{options:?}: {}", ended.stderr);
    }
    // The manifest's own limit counts as well.
    let artifact = home.compile(&path, &["--memory", "checked", "--max-memory", "64MiB"]);
    let _ = run_limited(&home, LIMIT, &[], &artifact).expect(0);
}

#[test]
fn real_programs_and_objects_run_in_little_address_space() {
    let home = Home::new();
    for name in ["c/compute.wasm", "wat/gc-structs.wat", "wat/multi-memory.wat", "wat/memory64.wat"]
    {
        let path = fixtures().join(name);
        let expected = home.load(&[], &home.compile(&path, &[]), &[]);
        let checked = home.compile(&path, &["--memory", "checked"]);
        let ended = run_limited(&home, LIMIT, &["--max-memory", "64MiB"], &checked);
        assert_eq!(ended.code, expected.code, "{name}: {}", ended.stderr);
        assert_eq!(ended.text(), expected.text(), "{name}");
    }
}

#[test]
fn a_hello_runs_in_64_mebibytes_of_address_space() {
    let home = Home::new();
    for name in ["wat/hello.wat", "c/hello.wasm", "rust/hello/hello.wasm"] {
        let path = fixtures().join(name);
        let expected = home.load(&[], &home.compile(&path, &[]), &[]).expect(0).text();
        // Whether or not the manifest or the command line has a limit on memory.
        for options in [&[][..], &["--max-memory", "16MiB"]] {
            let artifact = home.compile(&path, &[&["--memory", "checked"][..], options].concat());
            for options in [&[][..], &["--max-memory", "4MiB"], &["--timeout", "10s"]] {
                let ended = run_limited(&home, "ulimit -v 65536", options, &artifact);
                assert_eq!(ended.expect(0).text(), expected, "{name}, {options:?}");
            }
        }
    }
}

/// Says a line, and waits for input.
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

/// The most address space that a guest has which waits, in units of 1024 bytes.
fn address_space(home: &Home, artifact: &Path) -> u64 {
    use std::io::Read as _;
    let mut command = home.load_command::<&str>(&[], artifact);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 6];
    child.stdout.take().unwrap().read_exact(&mut line).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let most = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    most.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn what_is_reserved_is_what_the_manifest_says() {
    let home = Home::new();
    let path = home.path("waits.wat");
    std::fs::write(&path, WAITS).unwrap();
    let of = |options: &[&str]| {
        let checked = ["--memory", "checked"];
        address_space(&home, &home.compile(&path, &[&checked[..], options].concat()))
    };
    let [small, large, none] =
        [&["--max-memory", "1MiB"][..], &["--max-memory", "257MiB"], &[]].map(of);
    // 256 MiB more of limit are 256 MiB more of address space, give or take a page or two.
    let more = large - small;
    let expected = (256 << 10) - 64..=(256 << 10) + 64;
    assert!(expected.contains(&more), "{small} kB, {large} kB");
    // Without a word in it, what a run may have at most by default: 1 GiB.
    assert!(none > large && none < small + (1 << 20) + 64, "{small} kB, {none} kB");
    println!("address space: {small} kB for a limit of 1 MiB, {large} of 257 MiB, {none} of none");
}

#[test]
fn where_guards_do_not_fit_the_hint_names_the_option() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let ended = run_limited(&home, "ulimit -v 1000000", &["--max-memory", "1MiB"], &artifact);
    let ended = ended.expect(125).says(&["code: run.engine", "bls-compile --memory checked"]);
    assert!(ended.stdout.is_empty());
    // And the option helps.
    let artifact = home.compile(&fixtures().join("wat/hello.wat"), &["--memory", "checked"]);
    let ended = run_limited(&home, "ulimit -v 66560", &["--max-memory", "1MiB"], &artifact);
    assert_eq!(ended.expect(0).text(), "hello\n");
    // Who has no limit on memory gets what there is.
    let ended = run_limited(&home, "ulimit -v 66560", &[], &artifact);
    assert_eq!(ended.expect(0).text(), "hello\n");
}

#[test]
fn checked_memory_is_signed_and_traps_where_guards_do() {
    let home = Home::new();
    let path = fixtures().join("wat/trap-out-of-bounds.wat");
    let mut artifact = PathBuf::new();
    for memory in ["guard", "checked"] {
        artifact = home.compile(&path, &["--memory", memory]);
        let (ended, report) = home.report(&["--fuel", "1000000"], &artifact);
        let _ = ended.expect(134).says(&["out of bounds"]);
        assert_eq!(report["fuel"]["consumed"], 1_000_000, "{memory}: {report}");
    }
    let mut inspect = Command::new(compiler());
    let ended = run(inspect.args(["inspect", "--json"]).arg(&artifact), b"").expect(0);
    let shown: Value = serde_json::from_str(&ended.text()).unwrap();
    let profile = &shown["manifest"]["parts"][0]["profile"];
    assert_eq!(shown["manifest"]["parts"][0]["target"], Target::host().unwrap().triple());
    assert_eq!(profile["memory_reservation"], 0, "{profile}");
    assert_eq!(profile["memory_guard"], 65_536, "{profile}");
}
