//! Many inputs at once: each is what it is alone, lines and files are in the order of the inputs,
//! and nothing is written behind one that failed.

use bls_tests::programs::{Ended, Home, compiler, fixtures, run};
use bls_tests::users::{FreshUser, may_make_users};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A folder `in/` with these modules, and in a folder below it one more.
fn scene(names: &[&str]) -> Home {
    let home = Home::new();
    fs::create_dir_all(home.path("in/below")).unwrap();
    for name in names {
        // Each is its own.
        let text = format!("(module (func (export \"_start\")) (data \"{name}\") (memory 1))");
        fs::write(home.path("in").join(name), text).unwrap();
    }
    home
}

fn compile(home: &Home, words: &[&str]) -> Ended {
    let mut command = Command::new(compiler());
    run(command.current_dir(home.path("")).arg("--key").arg(home.key()).args(words), b"")
}

/// The files below a folder, in order.
fn files(home: &Home, folder: &str) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(root, &path, found),
                false => found.push(path.strip_prefix(root).unwrap().display().to_string()),
            }
        }
    }
    let mut found = Vec::new();
    walk(&home.path(folder), &home.path(folder), &mut found);
    found.sort();
    found
}

/// Standard error without what differs from run to run.
fn steady(ended: &Ended) -> String {
    let is_time = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let line = |line: &str| {
        let words = line.split(' ').map(|word| if is_time(word) { "N" } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    ended.stderr.lines().map(line).collect::<Vec<_>>().join("\n")
}

const NAMES: [&str; 6] = ["a.wat", "b.wat", "c.wat", "below/d.wat", "e.wat", "f.wat"];

#[test]
fn each_is_what_it_is_alone_in_any_number_of_jobs() {
    let home = scene(&NAMES);
    fs::write(home.path("in/notes.txt"), "no module").unwrap();
    let mut said = Vec::new();
    for jobs in ["1", "2", "7"] {
        let out = format!("out{jobs}/");
        let ended = compile(&home, &["in", "-o", &out, "--jobs", jobs]).expect(0);
        assert!(ended.stdout.is_empty());
        let expected = ["a.bls", "b.bls", "below/d.bls", "c.bls", "e.bls", "f.bls"];
        assert_eq!(files(&home, &out), expected);
        said.push(steady(&ended).replace(&out, "out/"));
    }
    assert!(said.iter().all(|text| *text == said[0]), "{said:#?}");
    let lines: Vec<&str> = said[0].lines().collect();
    assert!(lines[0].starts_with("out/a.bls  ") && lines[2].starts_with("out/below/d.bls  "));
    assert!(lines[6].starts_with("N of N in out/: N compiled"), "{}", lines[6]);
    assert_eq!(lines.len(), 7);
    for name in NAMES {
        let input = format!("in/{name}");
        let _ = compile(&home, &[&input, "-o", "alone.bls"]).expect(0);
        let alone = fs::read(home.path("alone.bls")).unwrap();
        for jobs in ["1", "2", "7"] {
            let path = home.path(&format!("out{jobs}/{}", name.replace(".wat", ".bls")));
            assert_eq!(fs::read(path).unwrap(), alone, "{name}");
        }
    }
}

#[test]
fn inputs_are_named_in_several_ways() {
    let home = scene(&NAMES);
    // Files, and a folder among them; a folder for one; none for several.
    let _ = compile(&home, &["in/a.wat", "in/below", "-o", "x/y/"]).expect(0).says(&["2 of 2"]);
    assert_eq!(files(&home, "x"), ["y/a.bls", "y/d.bls"]);
    let _ = compile(&home, &["in/b.wat", "-o", "one/"]).expect(0).says(&["one/b.bls"]);
    let quiet = compile(&home, &["in/a.wat", "in/b.wat", "-q"]).expect(0);
    assert_eq!(quiet.stderr, "");
    assert!(home.path("a.bls").exists() && home.path("b.bls").exists());
    // A word that is a command's is a file where there is one.
    fs::copy(home.path("in/a.wat"), home.path("compile")).unwrap();
    let _ = compile(&home, &["compile", "in/b.wat", "-o", "z/"]).expect(0).says(&["z/compile.bls"]);
    fs::remove_file(home.path("compile")).unwrap();

    for (words, code, said) in [
        (&["in/a.wat", "./in/a.wat", "-o", "o/"][..], 1, "would both become o/a.bls"),
        (&["in", "in/a.wat", "-o", "o/"], 1, "code: many.same-output"),
        (&["in"], 1, "folder"),
        (&["in/below", "a.bls/x", "-o", "a.bls/"], 1, "cannot write into a.bls: "),
        (&["in/a.wat", "in/b.wat", "-o", "-"], 2, "-o - is about one artifact"),
        (&["in/a.wat", "-", "-o", "o/"], 2, "standard input"),
        (&["in", "-o", "o/", "--name", "x"], 2, "--name"),
        (&["in", "-o", "o/", "--module", "m=in/a.wat"], 2, "--module"),
        (&["in", "-o", "o/", "--emit", "wasm"], 2, "--emit"),
        (&["instal", "in/a.wat"], 2, "there is no file \"instal\""),
        (&["install", "in/a.wat"], 2, "a command of bls-load"),
        (&["compile", "in/a.wat"], 2, "without a command"),
        (&["-q", "audit", "in/a.wat"], 2, "a command stands before its options"),
    ] {
        let ended = compile(&home, words).expect(code).says(&[said, "hint: "]);
        assert!(ended.stdout.is_empty(), "{words:?}");
        assert_eq!(files(&home, "o"), Vec::<String>::new(), "{words:?}");
    }
    fs::create_dir(home.path("empty")).unwrap();
    let _ = compile(&home, &["empty", "-o", "o/"]).expect(1).says(&["code: many.nothing"]);
}

#[test]
fn the_first_that_fails_is_the_end() {
    let home = scene(&NAMES);
    fs::write(home.path("in/c.wat"), "(module (func (export \"_start\") i32.add))").unwrap();
    fs::copy(fixtures().join("refused/elf.bin"), home.path("in/e.wat")).unwrap();
    let mut said = Vec::new();
    for jobs in ["1", "2", "7"] {
        let out = format!("out{jobs}/");
        let ended = compile(&home, &["in", "-o", &out, "-j", jobs]).expect(1).says(&[
            "bls-compile: validate: in/c.wat: ",
            "in/c.wat failed, and nothing behind it was written: 3 of 6 are done",
            "hint: --keep-going",
            "code: many.failed",
        ]);
        assert_eq!(files(&home, &out), ["a.bls", "b.bls", "below/d.bls"], "jobs {jobs}");
        said.push(steady(&ended).replace(&out, "out/"));
    }
    assert!(said.iter().all(|text| *text == said[0]), "{said:#?}");
    assert!(!said[0].contains("e.wat"), "{}", said[0]);

    // All that can be, and each that cannot by its name.
    let ended = compile(&home, &["in", "-o", "all/", "--keep-going"]).expect(1).says(&[
        "bls-compile: validate: in/c.wat: ",
        "bls-compile: input: in/e.wat: ",
        "4 of 6 in all/: 4 compiled",
        "2 of 6 failed: in/c.wat, in/e.wat",
    ]);
    assert!(ended.stderr.find("c.wat").unwrap() < ended.stderr.find("e.wat").unwrap());
    assert_eq!(files(&home, "all"), ["a.bls", "b.bls", "below/d.bls", "f.bls"]);
    // What was there before one that fails stays as it was.
    let before = fs::read(home.path("all/f.bls")).unwrap();
    fs::write(home.path("in/f.wat"), "(module").unwrap();
    let _ = compile(&home, &["in", "-o", "all/", "--keep-going", "-q"]).expect(1);
    assert_eq!(fs::read(home.path("all/f.bls")).unwrap(), before);

    // A key that cannot be used, and limits, are each input's.
    let ended = compile(&home, &["in", "-o", "no/", "--public-key", "no.pub"]).expect(1);
    let _ = ended.says(&["in/a.wat: ", "0 of 6 are done"]);
    let ended = compile(&home, &["in/a.wat", "in/b.wat", "-o", "no/", "--max-compile-time", "1ms"]);
    let _ = ended.expect(1).says(&["in/a.wat: ", "code: compile.time"]);
    assert_eq!(files(&home, "no"), Vec::<String>::new());
}

#[test]
fn each_is_one_line_of_json() {
    let home = scene(&NAMES);
    fs::write(home.path("in/c.wat"), "(module (func (export \"_start\") i32.add))").unwrap();
    let words = ["in", "-o", "out/", "--json", "--keep-going"];
    let ended = compile(&home, &words).expect(1);
    let text = ended.text();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let inputs: Vec<&str> = lines.iter().filter_map(|line| line["input"].as_str()).collect();
    assert_eq!(
        inputs,
        ["in/a.wat", "in/b.wat", "in/below/d.wat", "in/c.wat", "in/e.wat", "in/f.wat"]
    );
    assert_eq!(lines[0]["output"], "out/a.bls");
    assert_eq!(
        (&lines[3]["stage"], &lines[3]["how"]),
        (&"validate".into(), &serde_json::Value::Null)
    );
    assert_eq!(lines[4]["how"], "compiled");
    // Without --keep-going the lines end with the first that failed.
    let ended = compile(&home, &words[..4]).expect(1);
    assert_eq!(ended.text().lines().count(), 4);
}

#[test]
fn what_is_there_already_is_counted() {
    let home = scene(&NAMES);
    let words = ["in", "-o", "out/", "--if-changed", "--cache", "kept"];
    let _ = compile(&home, &words).expect(0).says(&["6 of 6 in out/: 6 compiled"]);
    fs::remove_file(home.path("out/e.bls")).unwrap();
    fs::write(home.path("in/b.wat"), "(module (func (export \"_start\") nop))").unwrap();
    let ended = compile(&home, &words).expect(0);
    let _ =
        ended.says(&["6 of 6 in out/: 1 compiled, 1 from the cache, 4 unchanged", "unchanged: "]);
    let ended = compile(&home, &words).expect(0);
    let _ = ended.says(&["6 of 6 in out/: 6 unchanged"]);
}

/// A signer that dies with its process, and a process that dies, are failures of one input.
#[test]
fn a_process_that_ends_without_a_word_has_failed() {
    let home = scene(&["a.wat", "b.wat"]);
    // The program that signs ends the process that started it.
    let script = home.path("sign.sh");
    fs::write(&script, "#!/bin/sh\nkill -9 $PPID\n").unwrap();
    let mut command = Command::new("chmod");
    let _ = run(command.arg("+x").arg(&script), b"").expect(0);
    let mut command = Command::new(compiler());
    command.current_dir(home.path("")).args(["in", "-o", "out/", "--key", "exec:./sign.sh"]);
    let ended = run(command.args(["--public-key", "test.pub", "--keep-going"]), b"").expect(1);
    let _ = ended.says(&[
        "in/a.wat: the process that worked on it",
        "code: many.crashed",
        "2 of 2 failed",
    ]);
    assert_eq!(files(&home, "out"), Vec::<String>::new());
}

/// Whoever is killed leaves nothing half done, and nobody who goes on with it.
#[test]
fn when_it_is_killed_those_who_work_for_it_end() {
    let home = scene(&["a.wat", "b.wat"]);
    let script = home.path("sign.sh");
    fs::write(&script, "#!/bin/sh\necho $PPID $$ >> pids\nexec sleep 1000\n").unwrap();
    let _ = run(Command::new("chmod").arg("+x").arg(&script), b"").expect(0);
    let mut command = Command::new(compiler());
    command.current_dir(home.path("")).args(["in", "-o", "out/", "--jobs", "2"]);
    command.args(["--key", "exec:./sign.sh", "--public-key", "test.pub"]);
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = quiet.spawn().unwrap();
    let pids = || {
        let text = fs::read_to_string(home.path("pids")).unwrap_or_default();
        text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    while pids().len() < 4 {
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    let _ = child.wait().unwrap();
    for pair in pids().chunks(2) {
        let state = || {
            let text = fs::read_to_string(format!("/proc/{}/stat", pair[0])).unwrap_or_default();
            text.rsplit(") ").next().and_then(|rest| rest.chars().next())
        };
        while !matches!(state(), None | Some('Z' | 'X')) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Who signs is the user's own, and is asked for nothing any more.
        let _ = Command::new("kill").arg(&pair[1]).output();
    }
    assert_eq!(files(&home, "out"), Vec::<String>::new());
}

/// A key that is made at first use is made once, however many need it.
#[test]
fn many_make_one_key() {
    if !may_make_users() {
        return;
    }
    let user = FreshUser::new("bls-many", 64_611);
    fs::create_dir(user.home.join("in")).unwrap();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let text = format!("(module (func (export \"_start\")) (data \"{name}\") (memory 1))");
        fs::write(user.home.join(format!("in/{name}.wat")), text).unwrap();
    }
    let mut command = user.command(&compiler());
    let ended = run(command.args(["in", "-o", "out/", "--jobs", "6"]), b"").expect(0);
    assert_eq!(ended.stderr.matches("made your signing key").count(), 1, "{}", ended.stderr);
    let signed = |line: &str| line.split_once("signed by ").map(|(_, key)| key.to_owned());
    let keys: BTreeSet<String> = ended.stderr.lines().filter_map(signed).collect();
    assert_eq!(keys.len(), 1, "{}", ended.stderr);
}
