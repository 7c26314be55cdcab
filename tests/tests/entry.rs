//! What a run calls, with which values and arguments: as on other hosts.

use bls_artifact::blockless;
use bls_artifact::host_table::{Function, function};
use bls_artifact::preview1::{FUNCTIONS, MODULES};
use bls_tests::programs::{Home, compiler, run};
use std::path::PathBuf;
use std::process::Command;

/// A module whose exports print the guest's arguments, one a line, behind their own name.
fn module(exports: &[&str]) -> String {
    let functions: String = exports
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let at = 16 + 16 * index;
            let length = name.len() + 3;
            format!(
                r#"(data (i32.const {at}) "[{name}]\n")
                   (func (export "{name}") (call $print (i32.const {at}) (i32.const {length})))"#
            )
        })
        .collect();
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func $write (param $at i32) (param $length i32)
                (i32.store (i32.const 0) (local.get $at))
                (i32.store (i32.const 4) (local.get $length))
                (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
            (func $print (param $at i32) (param $length i32) (local $size i32)
                (call $write (local.get $at) (local.get $length))
                (drop (call $sizes (i32.const 1024) (i32.const 1028)))
                (drop (call $args (i32.const 2048) (i32.const 4096)))
                (local.set $size (i32.load (i32.const 1028)))
                ;; The zeros between the words become ends of lines.
                (loop $next
                    (if (local.get $size) (then
                        (local.set $size (i32.sub (local.get $size) (i32.const 1)))
                        (if (i32.eqz (i32.load8_u (i32.add (i32.const 4096) (local.get $size))))
                            (then (i32.store8 (i32.add (i32.const 4096) (local.get $size)) (i32.const 10))))
                        (br $next))))
                (call $write (i32.const 4096) (i32.load (i32.const 1028))))
            {functions}
            (func (export "add") (param i32 i32) (result i32)
                (call $print (i32.const 0) (i32.const 0))
                (i32.add (local.get 0) (local.get 1))))"#
    )
}

fn compiled(home: &Home, exports: &[&str]) -> PathBuf {
    let path = home.path("app.wat");
    std::fs::write(&path, module(exports)).unwrap();
    home.compile(&path, &[])
}

#[test]
fn the_default_export_comes_first_and_initialize_before_it() {
    let home = Home::new();
    for (exports, printed) in [
        (&["_start"][..], "[_start]\napp.bls\n"),
        (&[""], "[]\napp.bls\n"),
        (&["_start", ""], "[]\napp.bls\n"),
        (&["_start", "_initialize"], "[_initialize]\napp.bls\n[_start]\napp.bls\n"),
        (&["run", "", "_initialize"], "[_initialize]\napp.bls\n[]\napp.bls\n"),
    ] {
        let artifact = compiled(&home, exports);
        let ended = home.load(&[], &artifact, &[]).expect(0);
        assert_eq!(ended.text(), printed, "{exports:?}");
        let mut command = Command::new(compiler());
        let json = run(command.args(["inspect", "--json"]).arg(&artifact), b"").expect(0);
        let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(json["manifest"]["module"]["kind"], "command", "{exports:?}");
    }
    let artifact = compiled(&home, &["_start", "", "run", "_initialize"]);
    for (name, printed) in [
        ("run", "[_initialize]\napp.bls\n[run]\napp.bls\n"),
        ("_start", "[_initialize]\napp.bls\n[_start]\napp.bls\n"),
        ("", "[_initialize]\napp.bls\n[]\napp.bls\n"),
        ("_initialize", "[_initialize]\napp.bls\n"),
    ] {
        assert_eq!(home.load(&["--invoke", name], &artifact, &[]).expect(0).text(), printed);
    }
    let library = compiled(&home, &["run"]);
    let _ = home.load(&[], &library, &[]).expect(125).says(&["library", "--invoke run | add"]);
    let reactor = compiled(&home, &["_initialize"]);
    let _ = home.load(&[], &reactor, &[]).expect(125).says(&["reactor", "--invoke add"]);
}

/// A trap in one of the two must not be taken for a good end of the other.
#[test]
fn what_initialize_leaves_is_there_when_start_runs() {
    let home = Home::new();
    let path = home.path("both.wat");
    let text = r#"(module (global $g (mut i32) (i32.const 0))
        (func (export "_initialize") (global.set $g (i32.add (global.get $g) (i32.const 5))))
        (func (export "_start") (if (i32.ne (global.get $g) (i32.const 5)) (then unreachable))))"#;
    std::fs::write(&path, text).unwrap();
    let _ = home.load(&[], &home.compile(&path, &[]), &[]).expect(0);
    std::fs::write(&path, text.replace("(i32.const 5))))", "(i32.const 6))))")).unwrap();
    let _ = home.load(&[], &home.compile(&path, &[]), &[]).expect(134);
}

#[test]
fn a_default_export_that_wants_values_says_how_to_give_them() {
    let home = Home::new();
    let path = home.path("values.wat");
    std::fs::write(
        &path,
        r#"(module (func (export "") (param i32 i64) (result i64)
            (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1))))"#,
    )
    .unwrap();
    let artifact = home.compile(&path, &[]);
    let _ = home.load(&[], &artifact, &["1", "2"]).expect(125).says(&[
        "'' takes 2 values (i32, i64), and 0 were given",
        "hint: values stand behind the artifact: --invoke '' app.bls I32 I64",
        "code: link.argument-count",
    ]);
    assert_eq!(home.load(&["--invoke", ""], &artifact, &["-1", "-2"]).expect(0).text(), "-3\n");
}

#[test]
fn a_call_has_values_and_the_guest_has_arguments() {
    let home = Home::new();
    let artifact = compiled(&home, &["run"]);
    for (words, printed) in [
        (&["1", "2"][..], "app.bls\n3\n"),
        (&["1", "-2", "--"], "app.bls\n-1\n"),
        (&["1", "2", "--", "a", "-b", "--", "c"], "app.bls\na\n-b\n--\nc\n3\n"),
    ] {
        let ended = home.load(&["--invoke", "add"], &artifact, words).expect(0);
        assert_eq!(ended.text(), printed, "{words:?}");
    }
    let ended = home.load(&["--invoke", "run"], &artifact, &["--", "x"]).expect(0);
    assert_eq!(ended.text(), "[run]\napp.bls\nx\n");
    let wrong = home.load(&["--invoke", "run"], &artifact, &["x"]).expect(125);
    let _ = wrong.says(&["run takes no value, and 1 was given", "--invoke run app.bls -- WORDS"]);
    // Nothing of it holds without a call by name: everything is the guest's.
    let command = compiled(&home, &["_start"]);
    let ended = home.load(&[], &command, &["1", "--", "2"]).expect(0);
    assert_eq!(ended.text(), "[_start]\napp.bls\n1\n--\n2\n");
}

#[test]
fn argument_0_can_be_chosen() {
    let home = Home::new();
    let artifact = compiled(&home, &["_start"]);
    let ended = home.load(&["--argv0", "/usr/bin/tool"], &artifact, &["a"]).expect(0);
    assert_eq!(ended.text(), "[_start]\n/usr/bin/tool\na\n");
    let denied = home.load(&["--argv0", "x", "--deny", "arguments"], &artifact, &["a"]).expect(0);
    assert_eq!(denied.text(), "[_start]\n");
}

/// `bls-compile check` says what no loader has without asking one.
#[test]
fn the_compiler_knows_what_the_loader_has() {
    // The loader links each function of the table, from each of the modules, with that type.
    let home = Home::new();
    let import = |module: &str, function: &Function| {
        format!(r#"(import "{module}" "{}" ({}))"#, function.name, function.ty())
    };
    let all = MODULES.iter().flat_map(|module| {
        let has = move |known: &&Function| function(module, known.name).is_some();
        FUNCTIONS.iter().filter(has).map(move |function| import(module, function))
    });
    let network = blockless::FUNCTIONS;
    let all = all.chain(network.iter().map(|function| import(function.interface, function)));
    let imports: Vec<String> = all.collect();
    assert_eq!(imports.len(), 2 * FUNCTIONS.len() - 1 + network.len());
    let path = home.path("all.wat");
    let module = |imports: &str| format!(r#"(module {imports} (func (export "_start")))"#);
    std::fs::write(&path, module(&imports.concat())).unwrap();
    let _ = home.load(&[], &home.compile(&path, &[]), &[]).expect(0);
    std::fs::write(&path, module(&import("env", &FUNCTIONS[0]))).unwrap();
    let _ = home.load(&[], &home.compile(&path, &[]), &[]).expect(125).says(&["env.args_get"]);
}
