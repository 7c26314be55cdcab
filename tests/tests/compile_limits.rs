//! What the operator's system leaves a compiler decides whether there is an artifact, never
//! how it looks or whether anything is said; and modules that are too much for the code
//! generator's best end in its second best, or in a sentence, within a time that grows with
//! their length.

use bls_tests::programs::{Ended, Home, compiler, run};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `guest.wat` by way of a shell, in which `"$@"` is the command.
fn within(home: &Home, shell: &str, output: &Path) -> Ended {
    let mut command = Command::new("sh");
    command.arg("-c").arg(shell).arg("sh").arg(compiler()).arg("--key").arg(home.key());
    run(command.arg("-o").arg(output).arg(home.path("guest.wat")), b"")
}

fn write(home: &Home, text: &str) -> PathBuf {
    let path = home.path("guest.wat");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_limit_on_file_sizes_ends_in_a_sentence_and_leaves_nothing() {
    let home = Home::new();
    let _ = write(&home, "(module (func (export \"_start\")))");
    let folder = home.path("out");
    std::fs::create_dir(&folder).unwrap();
    let ended = within(&home, "ulimit -f 4; exec \"$@\"", &folder.join("guest.bls")).expect(1);
    let _ = ended.says(&["bls-compile: output: cannot write", "hint: "]);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn the_umask_decides_who_may_read_an_artifact() {
    let home = Home::new();
    let _ = write(&home, "(module (func (export \"_start\")))");
    let mut made = Vec::new();
    for (umask, mode) in [("077", 0o600), ("022", 0o644), ("002", 0o664)] {
        let output = home.path(umask);
        let _ = within(&home, &format!("umask {umask}; exec \"$@\""), &output).expect(0);
        assert_eq!(std::fs::metadata(&output).unwrap().permissions().mode() & 0o7777, mode);
        made.push(std::fs::read(&output).unwrap());
    }
    assert!(made.iter().all(|bytes| *bytes == made[0]));
}

#[test]
fn a_closed_standard_output_is_a_failure() {
    let home = Home::new();
    let _ = write(&home, "(module (func (export \"_start\")))");
    let ended = within(&home, "exec \"$@\" >&-", Path::new("-")).expect(1);
    let _ = ended.says(&["standard output is closed", "hint: name a file with -o"]);
    // One that was given on purpose is none.
    let _ = within(&home, "exec \"$@\" >/dev/null", Path::new("-")).expect(0);
}

#[test]
fn rows_of_branches_casts_and_allocations_are_compiled_without_optimising() {
    let home = Home::new();
    let branches = "(br_if 0 (local.get $x))".repeat(60_000);
    let objects = "(local.set 0 (struct.new $s (i64.const 5)))".repeat(20_000);
    let casts = "(drop (ref.test (ref $s) (local.get 0)))".repeat(20_000);
    let made: String =
        (0..1200).map(|local| format!("(local.set {local} (struct.new $s))")).collect();
    let seen: String = (0..1200).map(|local| format!("(call $see (local.get {local}))")).collect();
    let locals = "(ref null $s) ".repeat(1200);
    for text in [
        format!("(module (func (export \"_start\") (local $x i32) (block {branches})))"),
        format!(
            "(module (type $s (struct (field i64)))
               (func (export \"_start\") (local (ref null $s)) {objects}))"
        ),
        format!(
            "(module (type $s (struct (field i64)))
               (func (export \"_start\") (local anyref) {casts}))"
        ),
        format!(
            "(module (type $s (struct)) (func $see (param (ref null $s)))
               (func (export \"_start\") (local {locals}) {made} {seen}))"
        ),
    ] {
        let input = write(&home, &text);
        let artifact = home.path("guest.bls");
        let made = run(home.compile_command(&input).arg("-o").arg(&artifact), b"").expect(0);
        assert!(made.stderr.contains(", not optimised ("), "{}", made.stderr);
        // The allocator of one pass reuses no slot: frames are larger.
        let _ = home.load(&["--max-stack", "64MiB"], &artifact, &[]).expect(0);
    }
}

#[test]
fn a_small_module_makes_no_large_image() {
    let home = Home::new();
    let memories: String = (0..60)
        .map(|index| {
            format!(
                "(memory 257) (data (memory {index}) (i32.const 0) \"x\")
                 (data (memory {index}) (i32.const 16777000) \"y\")"
            )
        })
        .collect();
    let input = write(&home, &format!("(module {memories})"));
    let artifact = home.compile(&input, &[]);
    let bytes = std::fs::metadata(artifact).unwrap().len();
    assert!(bytes < 32 << 20, "{bytes} bytes");
}

/// A command that exports so many functions.
fn with_exports(count: usize) -> String {
    let more: String =
        (1..count).map(|index| format!("(export \"_ZN4llvm{index:032}\")")).collect();
    format!("(module (func (export \"_start\") {more}))")
}

#[test]
fn modules_of_many_exports_are_compiled_and_run() {
    let home = Home::new();
    for (count, options) in
        [(60_000, &[][..]), (144_000, &["--target", "x86_64,pulley64"]), (495_000, &[])]
    {
        let input = write(&home, &with_exports(count));
        let artifact = home.compile(&input, options);
        let _ = home.load(&[], &artifact, &[]).expect(0);
        let last = format!("_ZN4llvm{:032}", count - 1);
        let _ = home.load(&["--invoke", &last], &artifact, &[]).expect(0);
        let mut command = Command::new(compiler());
        let shown = run(command.arg("inspect").arg(&artifact), b"").expect(0).text();
        assert!(shown.contains(&format!("exports    {count}, too many")), "{count}");
        if count < 100_000 {
            let mut command = Command::new(compiler());
            command.arg("verify").arg(&artifact).arg("--rebuild").arg(&input);
            let _ = run(&mut command, b"").expect(0);
        }
    }
}

#[test]
fn what_would_be_too_large_is_refused_before_it_is_compiled() {
    let home = Home::new();
    let fields = "(field (mut i64))".repeat(9000);
    let objects = "(drop (struct.new_default $s))".repeat(3000);
    let mut tables = String::from("(module (func $f)");
    for table in 0..20 {
        tables += "(table 1000000 funcref)";
        tables += &format!("(elem (table {table}) (i32.const 999999) func $f)");
    }
    let elements = "(local.get 0)".repeat(9000);
    let arrays = format!("{elements} (drop (array.new_fixed $a 9000))").repeat(12);
    let labels = "(drop (if (result i32) (local.get 0) (then (i32.const 5)) (else (i32.const 7))))"
        .repeat(16_000);
    let references = "(ref null any) ".repeat(4000);
    let calls = "(call $f)".repeat(9000);
    let imports: String =
        (0..95_000).map(|index| format!("(import \"e\" \"{index}\" (func))")).collect();
    for (text, what) in [
        (
            format!("(module (type $a (array i64)) (func (param i64) {arrays}))"),
            "values passed to functions and back or made by default",
        ),
        (
            format!("(module (func (param i32) {labels}))"),
            "values of labels times blocks before them",
        ),
        (
            format!("(module (func $f) (func (local {references}) {calls}))"),
            "references times calls and allocations",
        ),
        (
            format!("(module (type $s (struct {fields})) (func {objects}))"),
            "values passed to functions and back or made by default",
        ),
        (tables + ")", "20000000 table elements in the image; at most 8388608 are allowed"),
        (format!("(module {imports})"), "bytes of imports in the manifest"),
        (with_exports(495_001), "990002 imports and exports, a function counted twice"),
        (with_exports(600_000), "effective type size exceeds"),
    ] {
        let input = write(&home, &text);
        let output = home.path("guest.bls");
        let ended = run(home.compile_command(&input).arg("-o").arg(&output), b"").expect(1);
        let _ = ended.says(&["bls-compile: validate: ", what, "hint: "]);
        assert!(!output.exists());
    }
}
