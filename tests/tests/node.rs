//! bls-load as the network's runtime: its command line, its streams, its codes.

use bls_tests::node::{Group, Node, Request};
use bls_tests::programs::{compiler, fixtures, loader, run};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

fn fixture(name: &str) -> String {
    fixtures().join(name).display().to_string()
}

/// A node with these fixtures installed.
fn node_with(names: &[&str]) -> Node {
    let node = Node::new();
    for name in names {
        node.install(&fixtures().join(name));
    }
    node
}

#[test]
fn a_function_runs_by_its_digest_under_whatever_name() {
    let node = node_with(&["wat/args_env.wat"]);
    let function = node.home.path("main.wasm");
    fs::copy(fixtures().join("wat/args_env.wat"), &function).unwrap();
    let request = Request {
        flags: &["--limited-fuel", "200000000", "--limited-memory", "30", "--run-time", "60000"],
        values: &["one", "", "two words", "--flag"],
        variables: &[("LISTED", "1"), ("LD_PRELOAD_NOT", "x")],
        stdin: b"body",
        ..Request::default()
    };
    let ended = node.execute(&function, &[], &request).expect(0);
    assert_eq!(ended.text(), "main.wasm\none\ntwo words\n--flag\n", "no variable reaches it");
    assert_eq!(ended.stderr, "");
    let ended = node.run(&[function.to_str().unwrap(), "--env", "B=2", "x", "--env=A=1"]).expect(0);
    assert_eq!(ended.text(), "main.wasm\nx\nA=1\nB=2\n", "variables stand by name");

    // One byte more is another module.
    let text = fs::read_to_string(&function).unwrap();
    fs::write(&function, text + ";; changed\n").unwrap();
    let refused = node.run(&[function.to_str().unwrap()]).expect(255);
    let refused = refused.says(&["bls-runtime: module: nothing that is installed was made of"]);
    assert!(refused.stderr.contains("bls-compile ") && refused.stdout.is_empty());
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
}

#[test]
fn the_name_that_it_is_called_by_is_enough() {
    let node = node_with(&["wat/hello.wat"]);
    let mut command = Command::new(loader());
    command.arg0("/opt/runtime/bls-runtime").arg(fixture("wat/hello.wat"));
    command.arg("--store").arg(node.store()).arg("--trust").arg(node.home.public_key());
    assert_eq!(run(&mut command, b"").expect(0).text(), "hello\n");
    let version = run(Command::new(loader()).arg0("bls-runtime").arg("--version"), b"").expect(0);
    assert!(version.text().starts_with("bls-load "), "{}", version.text());
}

#[test]
fn exit_codes_are_the_ones_that_operators_know() {
    let node = Node::new();
    for (name, words, code) in [
        ("wat/hello.wat", &[][..], 0),
        ("wat/exit-42.wat", &[], 42),
        ("wat/exit-300.wat", &[], 255),
        ("wat/spin.wat", &["--limited-fuel", "100000"], 1),
        ("wat/spin.wat", &["--run-time", "100"], 15),
        ("wat/recurse-forever.wat", &[], 2),
        ("wat/trap-out-of-bounds.wat", &[], 3),
        ("wat/trap-divide-by-zero.wat", &[], 9),
        ("wat/trap-unreachable.wat", &[], 11),
        ("wat/hello.wat", &["--max-memory-size", "0"], 16),
        ("wat/unknown-import.wat", &[], 255),
        ("wat/reactor.wat", &["--entry", "nothing"], 255),
    ] {
        node.install(&fixtures().join(name));
        let input = fixture(name);
        let all = [&[input.as_str()], words].concat();
        let ended = node.run(&all).expect(code);
        let ran = ![255, 16].contains(&code) || name.contains("exit");
        assert_eq!(ended.stderr.is_empty(), ran, "{name} {words:?}: {}", ended.stderr);
    }
    for words in [&["--limited-fuel", "many", "x.wasm"][..], &["--no-such-flag", "x.wasm"], &[]] {
        let ended = node.run(words).expect(2).says(&["bls-runtime: ", "Usage: "]);
        assert_eq!(ended.text(), "");
    }
    assert!(node.run(&["x.wasm", "--help"]).expect(0).text().contains("Usage: "));
    let _ = node.run(&["nothing.wasm"]).expect(255).says(&["[module.unreadable]"]);
}

#[test]
fn what_is_no_module_is_refused_as_what_it_is() {
    let node = Node::new();
    let write = |name: &str, bytes: &[u8]| {
        let path = node.home.path(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    for (input, said) in [
        (write("c.wasm", b"\0asm\x0d\0\x01\0"), "a WebAssembly component"),
        (write("n.wasm", b"\x7fELF\x02\x01\x01\xc8"), "a wasmtime precompiled file"),
        (write("e.wasm", b"\x7fELF\x02\x01\x01\0"), "an ELF file"),
        (write("b.wasm", b"\xff\xfe\0\0"), "not a module"),
        (write("x.car", b""), "a CAR archive"),
        (write("x.json", b"{\"version\": 2, \"entry\": \"a\"}"), "of version 2"),
        (write("x.conf", b"{\"version\": 0}"), "no \"entry\""),
        (write("y.json", b"{\n  \"entri\": \"a\"}"), "line 2, column 9: there is no field"),
        (write("z.json", b"{\"entry\": \"a\", \"trust\": \"mine\"}"), "is the operator's to say"),
    ] {
        let ended = node.run(&[&input]).expect(255).says(&[said]);
        assert_eq!((ended.text().as_str(), ended.stderr.lines().count()), ("", 1), "{input}");
    }
}

#[test]
fn flags_win_over_a_configuration_and_absent_ones_take_nothing_from_it() {
    let node = node_with(&["wat/spin.wat", "wat/args_env.wat", "c/tree_walk.wasm"]);
    let config = |name: &str, text: String| {
        let path = node.home.path(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let spin = fixture("wat/spin.wat");
    let limited =
        config("spin.json", format!("{{\"entry\": {spin:?}, \"limited_fuel\": 100000, /* */}}"));
    let _ = node.run(&[&limited]).expect(1);
    let _ =
        node.run(&[&limited, "--limited-fuel", "1000000000000", "--run-time", "100"]).expect(15);

    fs::create_dir_all(node.home.path("root/a")).unwrap();
    fs::create_dir_all(node.home.path("other/b")).unwrap();
    let (root, other) = (node.home.path("root"), node.home.path("other"));
    let walk = fixture("c/tree_walk.wasm");
    let granted = config(
        "walk.json",
        format!(
            "{{\"entry\": \"{walk}\", \"map_dirs\": [{{\"host\": {other:?}, \"guest\": \".\"}}]}}"
        ),
    );
    assert_eq!(node.run(&[&granted]).expect(0).text(), "b/\n");
    let flag = ["--fs-root-path", root.to_str().unwrap()];
    let ended = node.run(&[&[granted.as_str()][..], &flag].concat()).expect(0);
    assert_eq!(ended.text(), "a/\n", "the command line says which folders there are");
    let rooted = config("rooted.json", "{\"entry\": \"$ROOT/args.wat\", \"argv0\": \"me\"}".into());
    fs::copy(fixtures().join("wat/args_env.wat"), root.join("args.wat")).unwrap();
    let ended = node.run(&[&[rooted.as_str()][..], &flag, &["--", "x"]].concat()).expect(0);
    assert_eq!(ended.text(), "me\nx\n");
    let variable = run(node.runtime(&[&rooted]).env("ENV_ROOT_PATH", &root), b"").expect(0);
    assert_eq!(variable.text(), "me\n");
}

#[test]
fn a_digest_of_a_configuration_holds_or_nothing_runs() {
    let node = node_with(&["wat/hello.wat"]);
    let hello = fixture("wat/hello.wat");
    let with = |fields: &str| {
        let path = node.home.path("config.json");
        let module =
            format!("{{\"file\": {hello:?}, \"name\": \"a\", \"type\": \"entry\"{fields}}}");
        fs::write(&path, format!("{{\"entry\": {hello:?}, \"modules\": [{module}]}}")).unwrap();
        node.run(&[path.to_str().unwrap()])
    };
    let right = bls_artifact::digest::Sha256::of(&fs::read(&hello).unwrap());
    assert_eq!(with("").expect(0).text(), "hello\n");
    assert_eq!(with(&format!(", \"sha256\": \"{right}\"")).expect(0).text(), "hello\n");
    let wrong = "0".repeat(64);
    let _ = with(&format!(", \"sha256\": \"{wrong}\"")).expect(255).says(&["[module.sha256]"]);
    let _ = with(", \"md5\": \"\"").expect(128).says(&["[module.md5]"]);
}

#[test]
fn streams_lead_where_they_are_told() {
    let node = node_with(&["wat/cat.wat", "wat/trap-after-output.wat"]);
    let cat = fixture("wat/cat.wat");
    let given = |words: &[&str], stdin: &[u8]| {
        let all = [&[cat.as_str()], words].concat();
        run(&mut node.runtime(&all), stdin).expect(0).text()
    };
    assert_eq!(given(&[], b"body"), "body");
    assert_eq!(given(&["--stdin", "inherit"], b"body"), "body");
    assert_eq!(given(&["--stdin", "fixed"], b""), "fixed", "nothing came from outside");
    assert_eq!(given(&["--stdin", "fixed"], b"body"), "body");
    assert_eq!(given(&["--stdout", "null"], b"body"), "");
    assert_eq!(given(&["--stdout", "out.txt"], b"body"), "body", "there is no root folder");
    let root = node.home.path("root");
    fs::create_dir(&root).unwrap();
    fs::write(node.home.path("outside.txt"), "kept").unwrap();
    let rooted = ["--fs-root-path", root.to_str().unwrap()];
    for _ in 0..2 {
        let words = [&rooted[..], &["--stdout", "/out.txt", "--stderr", "err.txt"]].concat();
        assert_eq!(given(&words, b"body\n"), "");
    }
    assert_eq!(fs::read_to_string(root.join("out.txt")).unwrap(), "body\nbody\n");
    assert_eq!(fs::read_to_string(root.join("err.txt")).unwrap(), "");
    let out = [&[cat.as_str()][..], &rooted, &["--stdout", "../outside.txt"]].concat();
    let _ = run(&mut node.runtime(&out), b"x").expect(255).says(&["outside.txt"]);
    assert_eq!(fs::read_to_string(node.home.path("outside.txt")).unwrap(), "kept");

    // How a run ended is told to a file that is asked for, and to nobody else.
    let trap = fixture("wat/trap-after-output.wat");
    let words = [&[trap.as_str()][..], &rooted, &["--runtime-logger", "run.log"]].concat();
    let ended = node.run(&words).expect(11);
    assert_eq!(ended.stderr, "");
    let log = fs::read_to_string(root.join("run.log")).unwrap();
    assert!(log.contains("trap: ") && log.lines().count() == 1, "{log}");
    let left = fs::read_dir(node.home.path("work")).unwrap().count();
    assert_eq!(left, 1, "nothing is left in the folder that it was started in");
}

#[test]
fn flags_for_files_take_away_and_add_nothing() {
    let node = node_with(&["c/tree_walk.wasm"]);
    let root = node.home.path("root");
    for name in ["seen/deep", "secret/deep"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    let walk = fixture("c/tree_walk.wasm");
    let with = |words: &[&str]| {
        let all = [&[walk.as_str(), "--fs-root-path", root.to_str().unwrap()], words].concat();
        node.run(&all)
    };
    let whole = "secret/\n  deep/\nseen/\n  deep/\n";
    assert_eq!(with(&[]).expect(0).text(), whole);
    assert_eq!(with(&["--allow-all"]).expect(0).text(), whole);
    assert_eq!(with(&["--allow-read"]).expect(0).text(), whole);
    assert_eq!(with(&["--deny-read=/secret"]).expect(0).text(), "secret/\nseen/\n  deep/\n");
    let ended = with(&["--allow-all", "--deny-read=seen,secret/deep"]).expect(0);
    assert_eq!(ended.text(), "secret/\n  deep/\nseen/\n");
    assert_eq!(with(&["--deny-read"]).expect(1).text(), "", "there is no folder");
    assert_eq!(with(&["--allow-read=/nothing"]).expect(1).text(), "");
}

#[test]
fn a_link_that_a_guest_may_have_made_leads_no_flag_out_of_the_root() {
    let node = node_with(&["c/tree_walk.wasm"]);
    let (root, outside) = (node.home.path("root"), node.home.path("outside"));
    fs::create_dir_all(root.join("seen")).unwrap();
    fs::create_dir_all(outside.join("secret")).unwrap();
    std::os::unix::fs::symlink("../outside", root.join("data")).unwrap();
    let walk = fixture("c/tree_walk.wasm");
    for flag in ["--allow-read=/data", "--allow-write=/data", "--deny-write=/data"] {
        let ended = node.run(&[&walk, "--fs-root-path", root.to_str().unwrap(), flag]);
        assert!(!ended.text().contains("secret"), "{flag}: {}", ended.text());
        let _ = ended.expect(255).says(&["grant.folder"]);
    }
}

#[test]
fn a_list_that_is_empty_grants_nothing() {
    let node = node_with(&["c/tree_walk.wasm"]);
    let walk = fixture("c/tree_walk.wasm");
    for flag in ["--allow-net=", "--allow-read=", "--allow-write=", "--deny-net="] {
        let ended = node.run(&[&walk, flag]).expect(2);
        assert_eq!(ended.text(), "", "{flag}");
    }
}

/// bls-compile, and a file that gets a line each time it is asked.
fn counted(node: &Node) -> (Vec<String>, std::path::PathBuf) {
    let (script, log) = (node.home.path("compiler"), node.home.path("compiled"));
    let (program, shown) = (compiler(), log.display().to_string());
    let text = format!("#!/bin/sh\necho x >> '{shown}'\nexec '{}' \"$@\"\n", program.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut options = node.compiling();
    options[1] = script.display().to_string();
    (options, log)
}

#[test]
fn two_hundred_requests_at_once_compile_once_and_none_is_lost() {
    let node = Node::new();
    let (options, log) = counted(&node);
    let function = fixtures().join("wat/args_env.wat");
    let ended: Vec<(usize, String)> = std::thread::scope(|scope| {
        let requests: Vec<_> = (0..200)
            .map(|number| {
                let (node, options, function) = (&node, &options, &function);
                scope.spawn(move || {
                    let value = number.to_string();
                    let request = Request { values: &[&value], ..Request::default() };
                    let ended = node.execute(function, options, &request).expect(0);
                    assert_eq!(ended.stderr, "");
                    (number, ended.text())
                })
            })
            .collect();
        requests.into_iter().map(|request| request.join().unwrap()).collect()
    });
    assert_eq!(ended.len(), 200);
    for (number, text) in ended {
        assert_eq!(text, format!("args_env.wat\n{number}\n"));
    }
    assert_eq!(fs::read_to_string(log).unwrap().lines().count(), 1);
    assert_eq!(fs::read_dir(node.store().join("compiling")).unwrap().count(), 0);
    let requests = fs::read_dir(node.home.path("work/t")).unwrap().count();
    assert_eq!(requests, 0);
}

#[test]
fn requests_are_answered_within_a_group_that_is_short_of_memory() {
    // 2 MiB for each: a guest's memory is what it touches.
    let Some(group) = Group::new("node", 40 << 20) else { return };
    let node = node_with(&["wat/cat.wat"]);
    let function = fixtures().join("wat/cat.wat");
    std::thread::scope(|scope| {
        for number in 0..20 {
            let (node, group, function) = (&node, &group, &function);
            scope.spawn(move || {
                let body = format!("body of request {number}\n");
                let request =
                    Request { stdin: body.as_bytes(), group: Some(group), ..Request::default() };
                let ended = node.execute(function, &[], &request).expect(0);
                assert_eq!(ended.text(), body);
            });
        }
    });
}

#[test]
fn a_module_that_is_not_installed_is_compiled_by_whom_a_policy_names() {
    let node = Node::new();
    let policy = node.home.path("policy.json");
    let text = serde_json::json!({
        "version": 1, "compile-with": compiler(), "compile-key": node.home.key(),
    });
    fs::write(&policy, text.to_string()).unwrap();
    let hello = fixture("wat/hello.wat");
    let words = [hello.as_str(), "--policy", policy.to_str().unwrap()];
    assert_eq!(node.run(&words).expect(0).text(), "hello\n");
    // From now on without it.
    assert_eq!(node.run(&[&hello]).expect(0).text(), "hello\n");
    // Installed under a name of its own, which `gc` keeps.
    let mut list = Command::new(loader());
    let listed = run(list.args(["list", "--store"]).arg(node.store()), b"").expect(0).text();
    assert!(listed.contains("source-"), "{listed}");
}

#[test]
fn a_compile_that_fails_says_why() {
    let node = Node::new();
    let options = node.compiling();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let broken = node.home.path("broken.wat");
    fs::write(&broken, "(module (func (result i32)))").unwrap();
    let words = [&[broken.to_str().unwrap()], &options[..]].concat();
    let ended = node.run(&words).expect(255).says(&["bls-compile does not compile", "broken.wat"]);
    assert_eq!((ended.text().as_str(), ended.stderr.lines().count()), ("", 1));
    let hello = fixture("wat/hello.wat");
    let gone = node.run(&[&hello, "--compile-with", "/nothing/bls-compile"]).expect(255);
    let _ = gone.says(&["cannot run /nothing/bls-compile", "[module.compiler]"]);
    // A compiler that gives what was made of something else is of no use.
    let other = node.home.compile(&fixtures().join("wat/exit-42.wat"), &[]);
    let liar = node.home.path("liar");
    fs::write(&liar, format!("#!/bin/sh\nexec cat '{}'\n", other.display())).unwrap();
    fs::set_permissions(&liar, fs::Permissions::from_mode(0o755)).unwrap();
    let lied = node.run(&[&hello, "--compile-with", liar.to_str().unwrap()]).expect(255);
    let _ = lied.says(&["[module.other-source]"]);
    // So is one whose key nobody trusts.
    let foreign = Node::of(bls_tests::programs::Home::with_seed(9));
    let mut words = foreign.compiling();
    words.insert(0, hello);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let _ = node.run(&words).expect(255).says(&["[signature.unknown-key]"]);
}

#[test]
fn a_note_about_a_source_decides_nothing() {
    let node = node_with(&["wat/hello.wat", "wat/exit-42.wat"]);
    let (hello, exit) = (fixture("wat/hello.wat"), fixture("wat/exit-42.wat"));
    let note = |input: &str| {
        let digest = bls_artifact::digest::Sha256::of(&fs::read(input).unwrap());
        node.store().join("sources").join(digest.to_string())
    };
    // One that names something else, or nothing, is looked behind.
    for text in [fs::read(note(&exit)).unwrap(), b"nonsense".to_vec(), vec![b'0'; 65]] {
        fs::write(note(&hello), text).unwrap();
        assert_eq!(node.run(&[&hello]).expect(0).text(), "hello\n");
    }
    fs::remove_file(note(&hello)).unwrap();
    assert_eq!(node.run(&[&hello]).expect(0).text(), "hello\n");
    // With what it names it goes.
    let mut remove = Command::new(loader());
    let _ = run(remove.args(["remove", "--store"]).arg(node.store()).arg("exit-42"), b"").expect(0);
    assert!(!note(&exit).exists());
    let _ = node.run(&[&exit]).expect(255).says(&["[module.not-installed]"]);
}

#[test]
fn our_own_run_takes_a_configuration_too() {
    let node = node_with(&["wat/args_env.wat", "wat/spin.wat"]);
    let artifact = node.home.fixture("wat/args_env.wat");
    let write = |text: serde_json::Value| {
        let path = node.home.path("run.json");
        fs::write(&path, text.to_string()).unwrap();
        path
    };
    let with = |words: &[&str], path: &Path, arguments: &[&str]| {
        let store = node.store().display().to_string();
        let words = [&["--store", store.as_str()], words].concat();
        run(node.home.load_command(&words, path).args(arguments), b"")
    };
    let env = serde_json::json!({"A": "1", "B": "2"});
    // An artifact's file, a name that is installed, and a module that is.
    for entry in [artifact.display().to_string(), "args_env".into(), fixture("wat/args_env.wat")] {
        let path = write(serde_json::json!({"entry": entry, "env": env, "argv0": "me"}));
        let ended = with(&["--env", "B=3", "run"], &path, &["x", "--y"]).expect(0);
        assert_eq!(ended.text(), "me\nx\n--y\nA=1\nB=3\n", "{entry}");
    }
    let spin = fixture("wat/spin.wat");
    let path = write(serde_json::json!({"entry": spin, "fuel": "1M", "report": "-"}));
    let ended = with(&[], &path, &[]).expect(123).says(&["out of fuel"]);
    assert!(ended.text().contains("\"out-of-fuel\""), "{}", ended.text());
    let _ = with(&["--timeout", "100ms", "--fuel", "1e15"], &path, &[]).expect(124);
    let path = write(serde_json::json!({"entry": spin, "fule": 1}));
    let _ = with(&[], &path, &[]).expect(125).says(&["did you mean \"fuel\"?", "config.field"]);
}
