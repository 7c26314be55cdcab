//! What somebody meets in the first hours: words meant for the other program, mistypings,
//! limits that cannot hold. Each is answered with what to do.
//!
//! Hints that name a command are followed: the command does what was wanted.

use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, manual, run};
use bls_tests::users::{FreshUser, may_make_users};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn write(home: &Home, name: &str, text: &str) -> PathBuf {
    let path = home.path(name);
    fs::write(&path, text).unwrap();
    path
}

/// What a hint says stands behind an option.
#[track_caller]
fn behind(ended: &Ended, option: &str) -> String {
    let words = ended.stderr.split_once(&format!("{option} ")).expect("the option").1;
    words.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_hint_about_needs_names_all_of_them() {
    let home = Home::new();
    let module = fixtures().join("wat/args_env.wat");
    let artifact = home.compile(&module, &["--needs", "env:A,arguments"]);
    let grant = ["--only-declared", "--env", "A=1"];
    let noticed = home.load(&grant, &artifact, &[]);
    let needs = behind(&noticed, "--needs");
    assert_eq!(needs, "arguments,env:A,stdout,stderr", "{}", noticed.stderr);
    // Followed, it gets all that it had and what was missing.
    let artifact = home.compile(&module, &["--needs", &needs]);
    let ended = home.load(&grant, &artifact, &["x"]).expect(0);
    assert_eq!((ended.text().as_str(), ended.stderr.as_str()), ("args_env.bls\nx\nA=1\n", ""));

    let more = ["--only-declared", "--env", "A=1", "--env", "B=2"];
    let refused = home.load(&more, &artifact, &[]).expect(125).says(&["grant.not-declared"]);
    assert_eq!(behind(&refused, "--needs"), "arguments,env:A,env:B,stdout,stderr");
}

#[test]
fn a_folder_that_a_policy_grants_is_that_policys() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let folder = home.path("gone");
    let text = format!(
        r#"{{"version": 1, "folders": [{{"host": {:?}, "guest": "/data"}}]}}"#,
        folder.to_str().unwrap()
    );
    let policy = write(&home, "policy.json", &text);
    let (policy, path) = (policy.to_str().unwrap(), folder.to_str().unwrap());
    let refused = home.load(&["--policy", policy], &artifact, &[]).expect(125);
    let by = format!("cannot open the folder {path}, which {policy} grants,");
    let hint = format!("hint: make it: mkdir {path}; or take it out of \"folders\" in {policy}");
    let refused = refused.says(&[&by, &hint, "code: grant.folder"]);
    assert!(!refused.stderr.contains("--dir"), "{}", refused.stderr);
    fs::create_dir(&folder).unwrap();
    let _ = home.load(&["--policy", policy], &artifact, &[]).expect(0);

    let text = r#"{"version": 1, "folders": [{"host": "/proc", "guest": "/data"}]}"#;
    let policy = write(&home, "policy.json", text);
    let refused = home.load(&["--policy", policy.to_str().unwrap()], &artifact, &[]).expect(125);
    let _ = refused.says(&["/proc, which ", "policy.json grants,", "code: grant.kernel"]);
}

#[test]
fn a_mistyped_command_is_told_before_trust() {
    if !may_make_users() || Path::new("/etc/bls/trust.json").exists() {
        return;
    }
    let user = FreshUser::new("bls-hints-a", 64_571);
    let load = |words: &[&str]| run(user.command(&loader()).args(words), b"").expect(125);
    for (words, command) in [
        (&["instal", "app.bls"][..], "install"),
        (&["lst"], "list"),
        (&["--fuel", "1M", "verfy", "app.bls"], "verify"),
        (&["verify", "lst"], "list"),
    ] {
        let hint = format!("hint: did you mean {command}? bls-load help {command}");
        let _ = load(words).says(&["is not installed", &hint, "code: store.not-installed"]);
    }
    let _ = load(&["nothing-like-it"]).says(&["code: store.not-installed"]);
    // Whom to trust is asked of what is there.
    fs::write(user.home.join("a.bls"), b"").unwrap();
    let home = Home::new();
    fs::copy(home.fixture("wat/hello.wat"), user.home.join("a.bls")).unwrap();
    let _ = load(&["./a.bls"]).says(&["code: trust.missing"]);
}

#[test]
fn each_program_knows_the_commands_of_the_other() {
    let load = |words: &[&str]| run(Command::new(loader()).args(words), b"").expect(125);
    for (words, hint) in [
        (&["check", "app.wasm"][..], "bls-compile check app.wasm"),
        (&["inspect", "app.bls"], "bls-compile inspect app.bls"),
        (&["key", "export"], "bls-compile key"),
        (&["compile", "app.wasm"], "bls-compile app.wasm"),
        (&["audit", "app.metered.wasm"], "bls-compile audit app.metered.wasm"),
        (&["sign", "app.bls"], "bls-compile sign app.bls --rebuild app.wasm"),
    ] {
        let what = format!("{} is a command of bls-compile", words[0]);
        let _ = load(words).says(&[&what, hint]);
        let _ = load(&["help", words[0]]).says(&[&what]);
    }
    for (words, hint) in [
        (&["install", "app.bls"][..], "install is a command of bls-load: bls-load install app.bls"),
        (&["remove", "app"], "remove is a command of bls-load: bls-load remove app"),
        (&["compile", "app.wasm"], "bls-compile app.wasm"),
    ] {
        let ended = run(Command::new(compiler()).args(words), b"").expect(2);
        let _ = ended.says(&[hint, "code: usage.arguments"]);
    }
}

#[test]
fn options_of_running_are_sent_to_where_they_are_read() {
    let home = Home::new();
    let module = fixtures().join("wat/hello.wat");
    let help = run(Command::new(compiler()).arg("--help"), b"").expect(0).text();
    let mut sent = 0;
    for (name, _) in bls_artifact::options::RUN {
        let option = format!("--{name}");
        if help.split_whitespace().any(|word| word == option) {
            continue;
        }
        let run_it = format!("hint: bls-compile run {option}");
        for words in [vec![option.clone(), "1".to_owned()], vec![format!("{option}=1")]] {
            let ended = run(home.compile_command(&module).args(words), b"").expect(2);
            let _ = ended.says(&[&format!("{option} is an option of running"), &run_it]);
        }
        sent += 1;
    }
    assert!(sent > 15, "only {sent} options are of running alone");
    let ended = run(home.compile_command(&module).args(["--digest", "sha256:00"]), b"").expect(2);
    let _ = ended.says(&["hint: bls-load --digest VALUE app.bls"]);
}

#[test]
fn what_is_wrong_in_text_is_marked() {
    let home = Home::new();
    let module = write(&home, "a.wat", "(module\n  (func $x\n    (i32.cnst 1)))\n");
    let ended = run(&mut home.compile_command(&module), b"").expect(1);
    let shown = "    3 |     (i32.cnst 1)))\n";
    let _ = ended.says(&["a.wat:3:6\n", shown, "        |      ^\nhint: ", "code: input.text"]);
    // Nothing of the text begins a line, or moves a terminal.
    let module = write(&home, "b.wat", "(module\nhint: \u{1b}[31m x\n");
    let ended = run(&mut home.compile_command(&module), b"").expect(1);
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    assert!(!ended.stderr.contains("\nhint: ?["), "{}", ended.stderr);
    let mut check = Command::new(compiler());
    let ended = run(check.args(["check", "--json"]).arg(&module), b"").expect(1);
    let answer: Value = serde_json::from_str(&ended.text()).unwrap();
    assert_eq!(answer["code"], "input.text");
    assert!(!answer["error"].as_str().unwrap().contains('\n'), "{answer}");
}

#[test]
fn a_limit_on_memory_below_the_modules_own_is_refused() {
    let home = Home::new();
    let module = write(&home, "m.wat", "(module (memory 3) (func (export \"_start\")))");
    let limited = |limit: &str| {
        run(home.compile_command(&module).args(["-o", "m.bls", "--max-memory", limit]), b"")
    };
    let refused = limited("2MiB").expect(0);
    assert_eq!(refused.stdout, b"");
    let refused = limited("191KiB").expect(1);
    let _ = refused.says(&["take 192.0 KiB to start", "allows 191.0 KiB", "--max-memory 192KiB"]);
    // Two sizes that differ look different.
    let _ = limited("196607").expect(1).says(&["196608 bytes", "196607 bytes"]);
    let _ = limited("192KiB").expect(0);
    let artifact = home.path("m.bls");
    let _ = home.load(&[], &artifact, &[]).expect(0);
    let _ = home
        .load(&["--max-memory", "196600"], &artifact, &[])
        .expect(124)
        .says(&["needs 196608 bytes of memory to start, and gets 196600 bytes"]);
}

#[test]
fn a_trap_behind_memory_that_was_refused_says_so() {
    let home = Home::new();
    let text = r#"(module (memory 1)
        (func (export "_start") (drop (memory.grow (i32.const 100))) unreachable))"#;
    let artifact = home.compile(&write(&home, "grow.wat", text), &[]);
    let said = "hint: the guest was refused memory before: --max-memory";
    let _ = home.load(&["--max-memory", "1MiB"], &artifact, &[]).expect(134).says(&[said]);
    let ended = home.load(&[], &artifact, &[]).expect(134);
    assert!(!ended.stderr.contains("refused memory"), "{}", ended.stderr);
}

#[test]
fn a_dash_is_standard_output_for_a_report() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let ended = home.load(&["--report", "-"], &artifact, &[]).expect(0);
    let (guest, report) =
        ended.text().split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(guest, "hello");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["outcome"]["kind"], "exited");
    assert!(!home.path("-").exists());
    let _ = home.load(&["--report", "./-"], &artifact, &[]).expect(0);
    assert!(home.path("-").exists());
}

#[test]
fn a_key_is_made_when_there_is_something_to_sign() {
    if !may_make_users() {
        return;
    }
    let user = FreshUser::new("bls-hints-b", 64_572);
    for program in [compiler(), loader()] {
        fs::copy(&program, user.home.join(program.file_name().unwrap())).unwrap();
    }
    let broken = b"\0asm\x01\0\0\0\x01\x05\x01\x60\x7f\0\0";
    fs::write(user.home.join("broken.wasm"), broken).unwrap();
    fs::write(user.home.join("odd.wat"), "(module (func (result i32)))").unwrap();
    fs::copy(fixtures().join("wat/hello.wat"), user.home.join("hello.wat")).unwrap();
    let compile =
        |words: &[&str]| run(user.command(&user.home.join("bls-compile")).args(words), b"");
    for words in [
        &["broken.wasm"][..],
        &["odd.wat"],
        &["run", "broken.wasm"],
        &["run", "odd.wat"],
        &["--max-memory", "1", "--needs", "env:A", "hello.wat"],
        &["-o", "/nowhere/at/all.bls", "missing.wasm"],
    ] {
        let refused = compile(words).expect(1).says(&["hint: ", "\ncode: "]);
        assert!(!refused.stderr.contains("made your signing key"), "{}", refused.stderr);
        assert!(!user.home.join(".config").exists(), "{words:?}");
    }
    // A key that cannot be used is told before the work, whatever the module.
    let _ = compile(&["--key", "release", "odd.wat"]).expect(1).says(&["code: "]);
    let _ = compile(&["hello.wat"]).expect(0).says(&["made your signing key", "hello.bls"]);
    let ended = compile(&["run", "--memory", "checked", "hello.wat"]).expect(0);
    assert_eq!((ended.text().as_str(), ended.stderr.as_str()), ("hello\n", ""));
}

/// Every failure of bls-compile ends with a code, in words and as JSON.
#[test]
fn failures_of_the_compiler_have_codes() {
    let home = Home::new();
    let hello = fixtures().join("wat/hello.wat");
    let artifact = home.fixture("wat/hello.wat");
    let other = fixtures().join("wat/args_env.wat");
    let (hello, artifact, other) =
        (hello.to_str().unwrap(), artifact.to_str().unwrap(), other.to_str().unwrap());
    let key = home.key();
    let key = key.to_str().unwrap();
    let empty = write(&home, "empty.wasm", "");
    let empty = empty.to_str().unwrap();
    for (code, words) in [
        ("usage.arguments", &["--nonsense"][..]),
        ("input.unreadable", &["missing.wasm"]),
        ("input.empty", &["check", "--json", empty]),
        ("input.foreign", &["-o", "x.bls", artifact]),
        ("keystore.missing", &["--key", "nobody", hello]),
        ("keystore.unreadable", &["--key", "./nobody", hello]),
        ("needs.unused", &["--key", key, "--needs", "env:A", hello]),
        ("name.refused", &["--key", key, "--name", "run", hello]),
        ("options.expired", &["--key", key, "--expires", "2026-01-02", hello]),
        ("documents.unreadable", &["--key", key, "--sbom", "missing", hello]),
        ("output.folder", &["--key", key, "-o", ".", hello]),
        ("framing.magic", &["inspect", "--json", hello]),
        ("artifact.unreadable", &["inspect", "missing.bls"]),
        ("rebuild.source", &["verify", "--json", "--rebuild", other, artifact]),
        ("audit.not-metered", &["audit", "--json", hello]),
        ("trust.unreadable-to-sign", &["trust", "sign", "--key", key, "missing.json"]),
    ] {
        let mut command = Command::new(compiler());
        let ended = run(command.current_dir(home.path("")).args(words), b"");
        let ended = ended.expect(if code == "usage.arguments" { 2 } else { 1 });
        assert!(
            ended.stderr.ends_with(&format!("\ncode: {code}\n")),
            "{words:?}: {}",
            ended.stderr
        );
        if words.contains(&"--json") {
            let answer: Value = serde_json::from_str(&ended.text()).unwrap();
            assert_eq!(answer["code"], code, "{words:?}");
        }
    }
}

/// What README prints of its first example is what it prints: sizes, output, identity.
#[test]
fn the_readme_shows_what_is_printed() {
    let readme = manual();
    let home = Home::new();
    let module = fixtures().join("c/compute.wasm");
    let made = run(&mut home.compile_command(&module), b"").expect(0);
    let sizes = made.stderr.split(", ").next().unwrap();
    assert!(sizes.starts_with("compute.bls  ") && readme.contains(sizes), "{sizes}");
    let artifact = home.path("compute.bls");
    let explained = home.load(&["--explain"], &artifact, &[]).expect(0);
    for line in explained.text().lines() {
        assert!(readme.contains(line), "{line}");
    }
    let behind = |word: &str| explained.stderr.split_once(word).unwrap().1.to_owned();
    let identity = format!("identity {}…", &behind(", identity ")[..8]);
    assert!(readme.contains(&identity), "{identity}");
    let part = behind(", part 0 for ");
    let part = part.split(" (").nth(1).unwrap().split(')').next().unwrap();
    assert!(readme.contains(&format!("({part})")), "{part}");
    // What is given up depends on the kernel.
    let depends = |line: &str| {
        ["verify", "confine"].iter().any(|stage| line.starts_with(&format!("bls-load: {stage}:")))
    };
    for line in explained.stderr.lines().filter(|line| !depends(line)) {
        let line = line.rsplit_once(" (").unwrap().0;
        // The artifact is named as it lies there.
        let line = line.replace(&format!("{}/", home.path("").display()), "");
        let line = line.replace(home.path("").to_str().unwrap(), "");
        assert!(readme.contains(&line), "{line}");
    }
}
