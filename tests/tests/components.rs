//! Components by the two programs: compiled, run on the loader that knows nothing of them, built
//! again; and what is refused, by its code.

use bls_artifact::digest::Sha256;
use bls_tests::programs::{Ended, Home, compiler, fixtures, run, shared};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn fixture(name: &str) -> PathBuf {
    fixtures().join("component").join(name).canonicalize().expect("a fixture")
}

/// A fixture with something in its text changed.
fn changed(home: &Home, name: &str, from: &str, to: &str) -> PathBuf {
    let text = fs::read_to_string(fixture(name)).expect("a text");
    assert!(text.contains(from), "{from:?} is not in {name}");
    let path = home.path(&format!("changed-{name}"));
    fs::write(&path, text.replace(from, to)).expect("a file");
    path
}

/// Compiles a component and runs it with this input.
fn ran(home: &Home, component: &Path, input: &[u8]) -> Ended {
    let artifact = home.compile(component, &[]);
    run(&mut home.load_command::<&str>(&[], &artifact), input)
}

/// bls-compile in a home, with no key.
fn compile(home: &Home, words: &[&str]) -> Ended {
    run(Command::new(compiler()).current_dir(home.path(".")).args(words), b"")
}

/// A component of these words is refused with this code, and a hint.
fn refused(home: &Home, text: &str, code: &str, words: &[&str]) {
    fs::write(home.path("refused.wat"), text).expect("a file");
    let mut command = home.compile_command(&home.path("refused.wat"));
    let ended = run(&mut command, b"").expect(1);
    let _ = ended.says(&[&format!("code: {code}\n"), "hint: "]).says(words);
    assert!(!home.path("refused.bls").exists());
}

#[test]
fn they_run_as_any_artifact() {
    let home = Home::new();
    let hello = ran(&home, &fixture("hello.wat"), b"").expect(0);
    assert_eq!(hello.text(), "hello from a component\n");
    // Input and output, waiting; several components that share a resource; text of every
    // encoding; interfaces that are closed. Each traps at what is not as it must be.
    let streams = ran(&home, &fixture("streams.wat"), b"abcdefgh").expect(0);
    assert_eq!(streams.stdout, b"fgh\0\0\0\0ok");
    for name in ["resources.wat", "text.wat", "closed.wat"] {
        assert_eq!(ran(&home, &fixture(name), b"").expect(0).text(), "", "{name}");
    }
}

#[test]
fn files_are_there_by_wasi_alone() {
    let home = Home::new();
    let artifact = home.compile(&fixture("files.wat"), &[]);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("given"), "0123456789").expect("a file");
    let grant = format!("--dir={}::/data", folder.path().display());
    let _ = run(&mut home.load_command(&[grant], &artifact), b"").expect(0);
    assert_eq!(fs::read(folder.path().join("sub/new")).expect("a file"), b"345\x00\x00\x00678");
    assert!(!folder.path().join("gone").exists());
    assert_eq!(fs::read_link(folder.path().join("link")).expect("a link"), Path::new("given"));
}

/// Where nothing may be changed, each way to write is refused by an error, and none is a system
/// call that nobody may make there.
#[test]
fn a_read_only_folder_refuses_streams_and_writes() {
    let home = Home::new();
    let first =
        "(call $write-via-stream (local.get $file) (i64.const 0) (i32.const 0)) ;; TO WRITE";
    let refused = "(call $write-via-stream (local.get $file) (i64.const 0) (i32.const 0))
      (call $fails (i32.const 4) (i32.const 31)) ;; not-permitted
      (call $append-via-stream (local.get $file) (i32.const 0))
      (call $fails (i32.const 4) (i32.const 31))
      (call $write (local.get $file) (i32.const 1064) (i32.const 2) (i64.const 0) (i32.const 0))
      (call $fails (i32.const 8) (i32.const 3)) ;; bad-descriptor
      (return (i32.const 0))";
    let component = changed(&home, "files.wat", first, refused);
    let artifact = home.compile(&component, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("given"), "0123456789").expect("a file");
    let grant = format!("--dir-ro={}::/data", folder.path().display());
    let _ = run(&mut home.load_command(&[grant], &artifact), b"").expect(0);
    assert_eq!(fs::read(folder.path().join("given")).expect("a file"), b"0123456789");
}

/// A program calls `insecure-seed` twice, and looks up a name.
#[test]
fn a_seed_stays_and_a_name_is_not_found() {
    let home = Home::new();
    let seed = r#"(component
        (import "wasi:random/insecure-seed@0.2.0" (instance $x
          (export "insecure-seed" (func (result (tuple u64 u64))))))
        (core module $memory (memory (export "memory") 1))
        (core instance $memory (instantiate $memory))
        (core func $seed (canon lower (func $x "insecure-seed") (memory $memory "memory")))
        (core module $m
          (import "" "memory" (memory 1))
          (import "" "seed" (func $seed (param i32)))
          (func (export "run") (result i32)
            (call $seed (i32.const 0))
            (call $seed (i32.const 16))
            (i32.or
              (i64.ne (i64.load (i32.const 0)) (i64.load (i32.const 16)))
              (i64.ne (i64.load (i32.const 8)) (i64.load (i32.const 24))))))
        (core instance $i (instantiate $m (with "" (instance
          (export "memory" (memory $memory "memory")) (export "seed" (func $seed))))))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $e (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $e)))"#;
    fs::write(home.path("seed.wat"), seed).expect("a file");
    assert_eq!(ran(&home, &home.path("seed.wat"), b"").expect(0).text(), "");
    let lookup = r#"(component
        (import "wasi:sockets/network@0.2.0" (instance $net
          (export "network" (type (sub resource)))
          (type $codes (enum "unknown" "access-denied" "not-supported" "permanent-resolver-failure"))
          (export "error-code" (type (eq $codes)))))
        (alias export $net "network" (type $network))
        (alias export $net "error-code" (type $code))
        (import "wasi:sockets/instance-network@0.2.0" (instance $own
          (alias outer 1 $network (type $n))
          (export "network" (type $network (eq $n)))
          (export "instance-network" (func (result (own $network))))))
        (import "wasi:sockets/ip-name-lookup@0.2.0" (instance $names
          (alias outer 1 $network (type $n))
          (alias outer 1 $code (type $c))
          (export "network" (type $network (eq $n)))
          (export "error-code" (type $code (eq $c)))
          (export "resolve-address-stream" (type $stream (sub resource)))
          (export "resolve-addresses" (func (param "network" (borrow $network))
            (param "name" string) (result (result (own $stream) (error $code)))))))
        (core module $memory (memory (export "memory") 1))
        (core instance $memory (instantiate $memory))
        (core func $network (canon lower (func $own "instance-network")))
        (core func $resolve
          (canon lower (func $names "resolve-addresses") (memory $memory "memory")))
        (core module $m
          (import "" "memory" (memory 1))
          (import "" "network" (func $network (result i32)))
          (import "" "resolve" (func $resolve (param i32 i32 i32 i32)))
          (func (export "run") (result i32)
            (call $resolve (call $network) (i32.const 64) (i32.const 1) (i32.const 0))
            (i32.or (i32.ne (i32.load8_u (i32.const 0)) (i32.const 1))
              (i32.ne (i32.load8_u (i32.const 4)) (i32.const 3)))))
        (core instance $i (instantiate $m (with "" (instance
          (export "memory" (memory $memory "memory"))
          (export "network" (func $network)) (export "resolve" (func $resolve))))))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $e (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $e)))"#;
    fs::write(home.path("lookup.wat"), lookup).expect("a file");
    assert_eq!(ran(&home, &home.path("lookup.wat"), b"").expect(0).text(), "");
}

#[test]
fn an_error_is_exit_code_1_and_no_other_result_is_one() {
    let home = Home::new();
    let last =
        "(call $is (call $value (i32.const 1)) (i32.const 3)) ;; LAST\n        (i32.const 0)";
    for (result, code) in [("(i32.const 1)", 1), ("(i32.const 2)", 134)] {
        let component = changed(&home, "resources.wat", last, result);
        let _ = ran(&home, &component, b"").expect(code);
    }
}

#[test]
fn what_breaks_a_rule_of_components_traps() {
    let home = Home::new();
    for (name, from, to) in [
        // A handle that was borrowed is kept.
        ("resources.wat", "(call $drop (local.get 0)) ;; DROP", ""),
        // One that is not there, one that was given away, one of another type.
        ("resources.wat", "(call $drop (local.get $b))", "(call $drop (i32.const 7))"),
        (
            "resources.wat",
            "(call $value (i32.const 1)) (i32.const 3)",
            "(call $value (i32.const 2)) (i32.const 3)",
        ),
        (
            "streams.wat",
            "(call $drop-input (local.get $in))",
            "(call $drop-input (local.get $out))",
        ),
        // More is written than was allowed, a stream goes before what waits for it, a list of
        // nothing is waited for, a place is not aligned.
        ("streams.wat", "(i64.const 4) (i32.const 0))", "(i64.const 1000000) (i32.const 0))"),
        ("streams.wat", "(call $drop-pollable (local.get $wait)) ;; CHILD", ""),
        (
            "streams.wat",
            "(call $poll (i32.const 64) (i32.const 2)",
            "(call $poll (i32.const 64) (i32.const 0)",
        ),
        ("hello.wat", "(i32.const 23) (i32.const 0))", "(i32.const 23) (i32.const 2))"),
        // Bytes outside of the memory, and more than waits at once.
        ("hello.wat", "(i32.const 23) (i32.const 0))", "(i32.const 65536) (i32.const 0))"),
        ("hello.wat", "(i32.const 23) (i32.const 0))", "(i32.const 4097) (i32.const 0))"),
    ] {
        let component = changed(&home, name, from, to);
        let _ = ran(&home, &component, b"abcdefgh").expect(134).says(&["trap"]);
    }
}

#[test]
fn an_artifact_names_its_component_and_is_built_again_of_it() {
    let home = Home::new();
    let component = fixture("resources.wat");
    let artifact = home.compile(&component, &[]);
    let (artifact, component) = (artifact.to_str().unwrap(), component.to_str().unwrap());
    let shown = compile(&home, &["inspect", "--json", artifact]).expect(0);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let digest = Sha256::of(&fs::read(component).unwrap()).to_string();
    assert_eq!(shown["manifest"]["source"], digest);
    assert_eq!(shown["manifest"]["extensions"]["component"], "export wasi:cli/run@0.2.0");
    let again = compile(&home, &["verify", artifact, "--rebuild", component]).expect(0);
    assert!(again.text().contains("manifest   identical"), "{}", again.text());
    let other = fixture("hello.wat");
    let other = other.to_str().unwrap();
    let _ = compile(&home, &["verify", artifact, "--rebuild", other])
        .expect(1)
        .says(&["code: rebuild.source"]);
}

#[test]
fn the_linked_module_is_written_and_checked() {
    let home = Home::new();
    let component = fixture("streams.wat");
    let component = component.to_str().unwrap();
    let _ = compile(&home, &[component, "--emit", "linked", "-o", "linked.wasm"]).expect(0);
    let linked = fs::read(home.path("linked.wasm")).expect("a module");
    assert!(linked.starts_with(b"\0asm\x01\0\0\0"));
    // It is a program like any other.
    let ended = ran(&home, &home.path("linked.wasm"), b"abcdefgh").expect(0);
    assert_eq!(ended.stdout, b"fgh\0\0\0\0ok");
    // What is not called is not there: no file, no random number is asked for.
    let checked = compile(&home, &["check", component]).expect(0).text();
    assert!(checked.contains("component  import wasi:io/poll@0.2.1\n"), "{checked}");
    assert!(checked.contains("component  export wasi:cli/run@0.2.1\n"), "{checked}");
    assert!(!checked.contains("path_open") && !checked.contains("random_get"), "{checked}");
}

#[test]
fn what_cannot_be_linked_is_refused_by_its_code() {
    let home = Home::new();
    let refused = |text: &str, code, words: &[&str]| refused(&home, text, code, words);
    refused("(component)", "link.component-no-run", &["no program", "exports nothing"]);
    refused(
        "(component (type $t (record (field \"x\" u8))) (export \"point\" (type $t)))",
        "link.component-no-run",
        &["it exports point, and no function"],
    );
    let with = |import: &str, lower: &str, ty: &str| {
        format!(
            "(component {import} (core func $f {lower})
               (core module $m (import \"\" \"f\" (func {ty}))
                 (func (export \"run\") (result i32) (i32.const 0)))
               (core instance $i (instantiate $m (with \"\" (instance (export \"f\" (func $f))))))
               (func $run (result (result)) (canon lift (core func $i \"run\")))
               (instance $e (export \"run\" (func $run)))
               (export \"wasi:cli/run@0.2.0\" (instance $e)))"
        )
    };
    let of = |instance: &str, function: &str, ty: &str| {
        format!("(import \"{instance}\" (instance $x (export \"{function}\" (func {ty}))))")
    };
    let lowered = |function: &str| format!("(canon lower (func $x \"{function}\"))");
    refused(
        &with(&of("my:own/thing@1.0.0", "f", ""), &lowered("f"), ""),
        "link.component-import",
        &["my:own/thing@1.0.0#f"],
    );
    refused(
        &with(&of("wasi:cli/stdin@0.2.0", "more", ""), &lowered("more"), ""),
        "link.component-import",
        &["wasi:cli/stdin#more"],
    );
    // Another version is another interface.
    refused(
        &with(
            &of("wasi:random/random@0.3.0", "get-random-u64", "(result u64)"),
            &lowered("get-random-u64"),
            "(result i64)",
        ),
        "link.component-import",
        &["wasi:random/random@0.3.0#get-random-u64"],
    );
    refused(
        &with(
            &of("wasi:random/random@0.2.0", "get-random-u64", "(result u32)"),
            &lowered("get-random-u64"),
            "(result i32)",
        ),
        "link.component-import-type",
        &["wasi:random/random#get-random-u64"],
    );
    refused(
        &with("", "(canon context.get i32 0)", "(result i32)"),
        "link.component-async",
        &["`context.get`"],
    );
    refused(
        &with("", "(canon thread.index)", "(result i32)"),
        "link.component-threads",
        &["`thread.index`"],
    );
    refused(
        "(component (import \"m\" (core module $m)) (core instance (instantiate $m)))",
        "link.component-feature",
        &["core module"],
    );
    refused(
        "(component (core module $m (func (export \"f\") (result i32) (i64.const 0))))",
        "link.component-invalid",
        &["expected i32"],
    );
}

#[test]
fn where_a_module_must_be_a_component_is_named() {
    let home = Home::new();
    let component = fixture("hello.wat");
    let component = component.to_str().unwrap();
    for words in [&["audit", component][..], &["link", component, "--as", "x", component]] {
        let ended = compile(&home, words).expect(1);
        let _ = ended.says(&["component", "code: input.component"]);
    }
}

/// The binary that is linked is what its source becomes, where the tools are there: the rustc that
/// `wasi02/README.md` names.
#[test]
fn wasi02_is_made_of_its_source() {
    let Some(rustc) = std::env::var_os("BLS_WASI02_RUSTC") else {
        println!("BLS_WASI02_RUSTC is not set: the WASI modules are not made anew");
        return;
    };
    let home = Home::new();
    let folder = fixtures().join("../wasi02");
    let mut command = Command::new("sh");
    fs::create_dir(home.path("made")).expect("a folder");
    command.arg(folder.join("build.sh")).arg(home.path("made")).env("RUSTC_WASM", rustc);
    let _ = run(&mut command, b"").expect(0);
    for name in ["wasi02", "wasi02-net", "wasi02-typed", "wasi02-typed-net"] {
        let name = format!("{name}.wasm");
        let made = fs::read(home.path("made").join(&name)).expect("a module");
        assert!(
            made == fs::read(folder.join(&name)).expect("a module"),
            "{name} is another binary"
        );
    }
}

/// The adapter of preview 1 is a long way round, and is left out.
#[test]
fn a_program_behind_an_adapter_burns_what_it_burns_without() {
    let Some(shared) = shared() else {
        println!("BLS_SHARED is not set: no program behind an adapter");
        return;
    };
    let burnt = |name: &str| {
        let home = Home::new();
        // One name: the program sees it.
        let program = home.path("program.wasm");
        fs::copy(shared.join("guests").join(name), &program).expect("a guest");
        let artifact = home.compile(&program, &[]);
        let folder = format!("--dir={}::.", home.path(".").display());
        let options = ["--deterministic", "--env", "FOO=1", &folder];
        let (ended, report) = home.report(&options, &artifact);
        let ended = ended.expect(0);
        assert!(ended.text().starts_with("hello from Rust"), "{}", ended.text());
        report["fuel"]["consumed"].as_u64().expect("a number")
    };
    assert_eq!(burnt("rust-hello.component.wasm"), burnt("rust-hello.wasm"));
}
