//! The C API: what C and Python get of the loader, and that no memory is used wrongly on the way.
//!
//! Builds the two examples and a C program of checks (`tests/capi.c`) with `cc` against
//! `bls.h` and runs them; where valgrind is installed, under it too.

use bls_tests::embedded::{artifact, key};
use bls_tests::programs::{library, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `tests/capi.c` asks for.
const GUEST: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (import "env" "own" (func $own (param i32 i32) (result i64)))
    (memory (export "memory") 1)
    (data (i32.const 100) "hello\n")
    (data (i32.const 200) "\64\00\00\00\06\00\00\00")
    (func (export "add") (param i32 i32) (result i32)
        (i32.add (local.get 0) (local.get 1)))
    (func (export "double") (param i32 i32) (result i64)
        (call $own (local.get 0) (local.get 1)))
    (func (export "say")
        (drop (call $write (i32.const 1) (i32.const 200) (i32.const 1) (i32.const 208))))
    (func (export "trap") unreachable)
    (func (export "spin") (loop (br 0))))"#;

/// What the examples ask for.
const ASKS: &str = r#"(module
    (import "env" "twice" (func $twice (param i32) (result i32)))
    (func (export "ask") (param i32) (result i32) (call $twice (local.get 0))))"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

/// A folder with two keys, two artifacts and programs.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"));
        place.write("builder.pub", key().public().to_pem().as_bytes());
        let other = bls_artifact::key::PrivateKey::from_seed(&[6; 32]).public();
        place.write("other.pub", other.to_pem().as_bytes());
        place.write("guest.bls", &artifact("guest", GUEST.as_bytes()));
        place.write("asks.bls", &artifact("asks", ASKS.as_bytes()));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("a file");
    }

    /// Builds a C program against the library, as a person would.
    fn build(&self, source: &Path, name: &str, linking: &[&str]) -> PathBuf {
        let program = self.path(name);
        let library = library();
        let mut command = Command::new("cc");
        command.args(["-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-g", "-o"]);
        command.arg(&program).arg(source).arg("-I").arg(&library).arg("-L").arg(&library);
        command.arg(format!("-Wl,-rpath,{}", library.display()));
        run(command.args(linking), &[]).expect(0);
        program
    }

    /// A command with the key and an artifact.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>, artifact: &str) -> Command {
        let mut command = Command::new(program);
        command.arg(self.path("builder.pub")).arg(self.path(artifact));
        command
    }
}

/// Both ways to link.
const SHARED: [&str; 2] = ["-lbls", "-lpthread"];
const STATIC: [&str; 6] = ["-l:libbls.a", "-lgcc_s", "-lpthread", "-ldl", "-lm", "-lc"];

#[test]
fn the_example_in_c_runs() {
    let place = Place::new();
    let source = root().join("loader/capi/examples/run.c");
    for (name, linking) in [("shared", &SHARED[..]), ("static", &STATIC)] {
        let program = place.build(&source, name, linking);
        let text = run(&mut place.command(&program, "asks.bls"), &[]).expect(0).text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("asks, signed by ") && lines[1] == "42", "{text}");
        assert!(lines[2].ends_with(" units of fuel, 1 call"), "{text}");
        // The function of its own says no: the guest traps.
        let text = run(place.command(&program, "asks.bls").arg("1001"), &[]).expect(3).text();
        assert!(text.contains("more than 1000"), "{text}");
        let mut strange = Command::new(&program);
        let strange = strange.arg(place.path("other.pub")).arg(place.path("asks.bls"));
        run(strange, &[]).expect(1).says(&["code: signature.unknown-key", "hint: "]);
    }
}

#[test]
fn the_example_in_python_runs() {
    let place = Place::new();
    let mut python = Command::new("python3");
    python.arg(root().join("loader/capi/examples/run.py")).arg(library().join("libbls.so"));
    let good = run(python.arg(place.path("builder.pub")).arg(place.path("asks.bls")), &[]);
    assert_eq!(good.expect(0).text(), "2\n42\n");
}

fn checks(place: &Place) -> PathBuf {
    place.build(&root().join("tests/capi.c"), "checks", &SHARED)
}

#[test]
fn c_gets_what_the_header_promises() {
    let place = Place::new();
    let program = checks(&place);
    let mut command = place.command(&program, "guest.bls");
    assert_eq!(run(command.arg(place.path("other.pub")), &[]).expect(0).text(), "all of it\n");
}

#[test]
fn no_memory_is_used_wrongly() {
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|it| it.status.success()) {
        println!("valgrind is not installed: nothing was looked at");
        return;
    }
    let place = Place::new();
    let program = checks(&place);
    // No read or write of what is not there, and nothing that nobody can free any more; the
    // guests' own traps and stops too, on which the engine's handlers of signals go.
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
    valgrind.args(["--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"]);
    valgrind.arg(program).arg(place.path("builder.pub")).arg(place.path("guest.bls"));
    let ended = run(valgrind.arg(place.path("other.pub")), &[]).expect(0);
    assert_eq!((ended.text().as_str(), ended.stderr.as_str()), ("all of it\n", ""));
}
