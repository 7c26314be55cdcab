//! Several parts in one artifact: which one runs, what is stripped, what is the same.

use bls_artifact::cpu::Machine;
use bls_artifact::target::Target;
use bls_tests::installed::Shelf;
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Parts of every age of x86-64, and others.
const TARGETS: &str = "riscv64,x86_64:v3,x86_64:v1,aarch64:+lse,x86_64,aarch64,pulley64,x86_64:v4";
const PARTS: [&str; 8] = [
    "x86_64:v1",
    "x86_64:v2",
    "x86_64:v3",
    "x86_64:v4",
    "aarch64:v8.0",
    "aarch64:v8.1",
    "riscv64gc:rv64gc",
    "pulley64",
];

fn hello() -> PathBuf {
    fixtures().join("wat/hello.wat")
}

/// What `bls-compile` does with these words.
fn compile(words: &[&str]) -> Ended {
    run(Command::new(compiler()).args(words), b"")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn inspected(artifact: &Path) -> Value {
    let shown = compile(&["inspect", "--json", text(artifact)]).expect(0);
    serde_json::from_slice(&shown.stdout).unwrap()
}

/// The artifact stripped to `target`.
fn strip(home: &Home, artifact: &Path, target: &str, name: &str) -> PathBuf {
    let to = home.path(name);
    let words = ["strip", "--target", target, "-o", text(&to), text(artifact)];
    let _ = compile(&words).expect(0);
    to
}

/// `bls-load verify` of an artifact, trusting this key.
fn verify(home: &Home, artifact: &Path) -> Command {
    let mut command = Command::new(loader());
    command.arg("--trust").arg(home.public_key()).arg("verify").arg(artifact);
    command
}

/// Whether the programs run on x86-64, and the best of the levels that this CPU has.
fn best() -> Option<&'static str> {
    if Target::host() != Some(Target::X86_64) {
        println!("the parts that may run are for x86-64");
        return None;
    }
    let listed = compile(&["--cpu", "list"]).expect(0).text();
    let (_, native) = listed.split_once("this machine: ").unwrap();
    let native = Machine::parse(native.split(')').next().unwrap()).unwrap();
    PARTS[..4].iter().rev().copied().find(|part| {
        let part = Machine::parse(part).unwrap();
        part.features().iter().all(|feature| native.features().contains(feature))
    })
}

#[test]
fn the_best_part_runs_and_is_said_everywhere() {
    let Some(best) = best() else { return };
    let home = Home::new();
    let artifact = home.compile(&hello(), &["--target", TARGETS]);
    let report = home.path("report.json");
    let options = ["--explain", "--report", text(&report)];
    let ended = home.load(&options, &artifact, &[]).expect(0);
    assert_eq!(ended.text(), "hello\n");
    let at = PARTS.iter().position(|part| *part == best).unwrap();
    let level = best.trim_start_matches("x86_64:");
    let _ = ended.says(&[
        &format!("part {at} for x86_64-unknown-linux-gnu ({level}, "),
        "passed over: x86_64:v1 (asks less of the CPU), ",
        "aarch64:v8.1 (for another architecture), ",
        "pulley64 (for an interpreter, which this bls-load does not have), integrity mode",
    ]);
    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["artifact"]["machine"], best);
    assert_eq!(report["artifact"]["part"], at);
    let said = run(&mut verify(&home, &artifact), b"").expect(0).text();
    let line = format!("part      x86_64-unknown-linux-gnu {level} (");
    let line = said.lines().find(|one| one.starts_with(&line)).unwrap();
    assert!(line.ends_with(", runs here)"), "{said}");
    // In the order of the format, whatever was asked for first.
    let shown = inspected(&artifact);
    let parts = shown["manifest"]["parts"].as_array().unwrap();
    assert_eq!(parts.len(), PARTS.len());
    let targets: Vec<&str> = parts.iter().map(|part| part["target"].as_str().unwrap()).collect();
    assert!(targets[0].starts_with("x86_64") && targets[7] == "pulley64");
}

#[test]
fn a_stripped_artifact_is_the_same_to_whoever_trusts_it() {
    let Some(best) = best() else { return };
    let home = Home::new();
    let artifact = home.compile(&hello(), &["--target", TARGETS, "--compress=3"]);
    let whole = inspected(&artifact);
    for (target, kept) in [
        ("x86_64", &["x86_64:v1", "x86_64:v2", "x86_64:v3", "x86_64:v4"][..]),
        ("x86_64:v1", &["x86_64:v1"]),
        ("x86_64:v2,pulley64", &["x86_64:v2", "pulley64"]),
        (TARGETS, &PARTS),
    ] {
        let stripped = strip(&home, &artifact, target, "some.bls");
        assert_eq!(home.load(&[], &stripped, &[]).expect(0).text(), "hello\n", "{target}");
        let shown = inspected(&stripped);
        assert_eq!(shown["identity"], whole["identity"]);
        assert_eq!(shown["key_ids"], whole["key_ids"]);
        assert_eq!(shown["manifest"], whole["manifest"]);
        let expected: Vec<bool> = PARTS.iter().map(|part| kept.contains(part)).collect();
        assert_eq!(shown["present"], serde_json::json!(expected), "{target}");
        if target == TARGETS {
            assert_eq!(std::fs::read(&stripped).unwrap(), std::fs::read(&artifact).unwrap());
        }
        // What a second builder compares is there, or is said not to be.
        let source = hello();
        let words = ["verify", "--rebuild", text(&source), text(&stripped)];
        let said = compile(&words).expect(0).text();
        let lines = said.lines().filter(|line| line.ends_with("stripped from this file"));
        assert_eq!(lines.count(), PARTS.len() - kept.len(), "{said}");
    }
    // What would run is named, and where it went missing.
    let other = strip(&home, &artifact, "x86_64:v4,aarch64", "other.bls");
    if best != "x86_64:v4" {
        let _ = home.load(&[], &other, &[]).expect(125).says(&[
            &format!("cannot run here: its part for {best} would, and is not in this file"),
            &format!("bls-compile strip --target {best} of that"),
            "code: compatibility.stripped\n",
        ]);
    }
    let shown = compile(&["inspect", text(&other)]).expect(0).text();
    assert!(shown.contains("parts      3 of 8: the file was stripped of the others"), "{shown}");
    for (target, code, says) in [
        ("s390x", "strip.no-part", "there is no part for s390x; the artifact has x86_64:v1, "),
        ("x86_64:+bmi2", "strip.no-part", "no part for x86_64:v2+bmi2"),
        ("x86_64:v2", "strip.gone", "which was stripped of it before"),
    ] {
        let words = ["strip", "--json", "--target", target, "-o", text(&other), text(&other)];
        let refused = compile(&words).expect(1).says(&[says, &format!("code: {code}\n")]);
        let said: Value = serde_json::from_slice(&refused.stdout).unwrap();
        assert_eq!(said["code"], code);
    }
}

#[test]
fn what_this_cpu_lacks_is_named_with_the_command_that_helps() {
    let Some(best) = best() else { return };
    if best == "x86_64:v4" {
        println!("this CPU lacks nothing that there is a level for");
        return;
    }
    let home = Home::new();
    let artifact = home.compile(&hello(), &["--target", "x86_64:v4,aarch64"]);
    let _ = home.load(&[], &artifact, &[]).expect(125).says(&[
        "hello.bls cannot run here: this CPU lacks what its part for x86_64:v4 needs: ",
        "avx512f",
        &format!("hint: compile it for this CPU: bls-compile --target {best} app.wasm"),
        "code: compatibility.cpu-feature\n",
    ]);
    let artifact = home.compile(&hello(), &["--target", "aarch64,pulley64"]);
    let _ = home.load(&[], &artifact, &[]).expect(125).says(&[
        "it was compiled for aarch64-unknown-linux-gnu, pulley64, and this machine is x86_64",
        ", without an interpreter",
        &format!("bls-compile --target {best} app.wasm"),
    ]);
}

/// A build host judges for machines that it is not.
#[test]
fn another_machine_gets_what_it_would_run() {
    let home = Home::new();
    let artifact = home.compile(&hello(), &["--target", TARGETS]);
    let path = text(&artifact);
    for (machine, part) in [
        ("x86_64:v1", "x86_64-unknown-linux-gnu v1"),
        ("x86_64", "x86_64-unknown-linux-gnu v2"),
        ("x86_64:v4", "x86_64-unknown-linux-gnu v4"),
        ("aarch64", "aarch64-unknown-linux-gnu v8.0"),
        ("aarch64:v8.6", "aarch64-unknown-linux-gnu v8.1"),
        ("riscv64:rva23", "riscv64gc-unknown-linux-gnu rv64gc"),
    ] {
        let shelf = Shelf::new();
        let _ = shelf.load(&home, &["install", "--target", machine, path]).expect(0);
        let said = shelf.load(&home, &["verify", "--target", machine, path]).expect(0).text();
        let line = said.lines().find(|line| line.ends_with(", runs there)")).unwrap();
        assert!(line.starts_with(&format!("part      {part} (")), "{machine}: {said}");
        // That part alone, and it is found there as it was judged.
        assert_eq!(shelf.names("images").len(), 1);
        let said = shelf.load(&home, &["verify", "--target", machine, "hello"]).expect(0).text();
        // Which others would do there, and were not kept.
        let is_poorest = ["x86_64:v1", "aarch64", "riscv64:rva23"].contains(&machine);
        assert_eq!(said.contains(", not in this store)"), !is_poorest, "{machine}: {said}");
    }
    let shelf = Shelf::new();
    let _ = shelf.install(&home, &artifact).expect(0);
    let refused = shelf.load(&home, &["verify", "--target", "s390x:z15", path]).expect(125);
    let _ = refused.says(&["and not for s390x", "code: compatibility.architecture\n"]);
    let elsewhere = Home::new();
    let rich = elsewhere.compile(&hello(), &["--target", "aarch64:v8.4"]);
    let words = ["verify", "--target", "aarch64:v8.1", text(&rich)];
    let _ = shelf.load(&home, &words).expect(125).says(&[
        "aarch64:v8.1 lacks what its part for aarch64:v8.4 needs: dotprod, pauth",
        "bls-compile --target aarch64:v8.1 app.wasm",
    ]);
    // Every part of it is looked at, whichever is kept.
    let mut bytes = std::fs::read(&artifact).unwrap();
    let last = bytes.len() - 64;
    bytes[last] ^= 1;
    std::fs::write(&artifact, bytes).unwrap();
    let ended = shelf.load(&home, &["install", "--target", "aarch64", path]).expect(125);
    let _ = ended.says(&["code: content.stored-digest\n"]);
}

/// Installed for one machine, the store lacks what another needs, and says so.
#[test]
fn a_store_that_was_filled_for_another_machine_says_so() {
    let Some(best) = best() else { return };
    let (home, shelf) = (Home::new(), Shelf::new());
    let artifact = home.compile(&hello(), &["--target", TARGETS]);
    let path = text(&artifact);
    let _ = shelf.load(&home, &["install", "--target", "aarch64", path]).expect(0);
    let _ = shelf.load(&home, &["hello"]).expect(125).says(&[
        &format!("its part for {best} would, and is not in the store"),
        "hint: install it again",
        "code: compatibility.stripped\n",
    ]);
    let _ = shelf.install(&home, &artifact).expect(0);
    assert_eq!(shelf.load(&home, &["hello"]).expect(0).text(), "hello\n");
}

/// The same words give the same bytes, and nothing but the words decides.
#[test]
fn features_come_from_the_command_line_alone() {
    let home = Home::new();
    let made = |words: &[&str], name: &str| {
        let to = home.path(name);
        let mut command = home.compile_command(&hello());
        let _ = run(command.args(words).arg("-o").arg(&to), b"").expect(0);
        std::fs::read(to).unwrap()
    };
    let v3 = made(&["--target", "x86_64:v3"], "a.bls");
    assert_eq!(v3, made(&["--target", "amd64", "--cpu", "v3"], "b.bls"));
    assert_eq!(v3, made(&["--target", "x86_64:v2+avx2+bmi1+bmi2+fma+lzcnt"], "c.bls"));
    assert_ne!(v3, made(&["--target", "x86_64"], "d.bls"));
    let fat = made(&["--target", TARGETS], "e.bls");
    let turned: Vec<&str> = TARGETS.split(',').rev().collect();
    assert_eq!(fat, made(&["--target", &turned.join(",")], "f.bls"));
    let shown = inspected(&home.path("a.bls"));
    let features = shown["manifest"]["parts"][0]["cpu_features"].as_array().unwrap();
    assert!(features.contains(&Value::from("has_avx2")), "{features:?}");
    // A second builder needs the artifact alone to do the same.
    for name in ["a.bls", "e.bls"] {
        let (path, source, second) = (home.path(name), hello(), Home::with_seed(8));
        let key = second.key();
        let words = ["sign", "--rebuild", text(&source), "--key", text(&key), text(&path)];
        let _ = compile(&words).expect(0);
        assert_eq!(inspected(&path)["key_ids"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn words_that_name_no_machine_are_refused() {
    let hello = hello();
    for (words, says) in [
        (&["--target", "x86_64:v5"][..], "x86_64 has no level"),
        (&["--target", "x86_64:v2+lse"], "x86_64 has no CPU feature"),
        (&["--target", "x86_64:v2+lse"], "aarch64 has it"),
        (&["--target", "pulley64:v2"], "the same on every CPU"),
        (&["--target", "s390x:native"], "native is the CPU of this machine"),
        (&["--target", "aarch64,x86_64", "--cpu", "v3"], "could be about several targets"),
        (&["--target", "pulley64", "--cpu", "v3"], "is about no target"),
        (&["--target", "x86_64", "--cpu", "bmi2"], "has no level"),
    ] {
        let words: Vec<&str> = words.iter().copied().chain([text(&hello)]).collect();
        let _ = compile(&words).expect(2).says(&[says]);
    }
    let listed = compile(&["--cpu", "list", "--json"]).expect(0);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed[0]["default"], "v2");
    assert!(listed[0]["levels"].as_array().unwrap().len() == 4);
}

/// On a CPU that lacks something, whoever emulates it: nothing of the code is run.
#[test]
fn a_poorer_cpu_gets_the_poorer_part() {
    let Some(_) = best() else { return };
    let qemu = ["qemu-x86_64-static", "qemu-x86_64"].into_iter().find(|qemu| {
        Command::new(qemu).arg("--version").output().is_ok_and(|it| it.status.success())
    });
    let Some(qemu) = qemu else {
        println!("there is no qemu-x86_64");
        return;
    };
    let home = Home::new();
    let fat = home.compile(&hello(), &["--target", "x86_64:v1,x86_64:v2,x86_64:v3"]);
    let rich = strip(&home, &fat, "x86_64:v3", "rich.bls");
    let on = |cpu: &str, artifact: &Path| {
        let mut command = Command::new(qemu);
        command.args(["-cpu", cpu]).arg(loader()).arg("--trust").arg(home.public_key());
        run(command.arg("verify").arg(artifact), b"")
    };
    for (cpu, level) in [("core2duo", "v1"), ("Nehalem", "v2"), ("Haswell", "v3")] {
        let said = on(cpu, &fat).expect(0).text();
        let line = said.lines().find(|line| line.ends_with(", runs here)")).unwrap();
        assert!(line.contains(&format!(" {level} (")), "{cpu}: {said}");
    }
    let _ = on("Nehalem", &rich).expect(125).says(&[
        "its part for x86_64:v2 would, and is not in this file",
        "code: compatibility.stripped\n",
    ]);
    let alone = home.compile(&hello(), &["--target", "x86_64:v3"]);
    let _ = on("Nehalem", &alone).expect(125).says(&[
        "this CPU lacks what its part for x86_64:v3 needs: avx, avx2, bmi1, bmi2, fma, lzcnt",
        "bls-compile --target x86_64:v2 app.wasm",
        "code: compatibility.cpu-feature\n",
    ]);
}
