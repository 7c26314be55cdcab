//! Every sentence a user can meet: help texts, refusals, hints.

use bls_tests::programs::{Home, compiler, fixtures, loader, run};
use std::path::Path;
use std::process::Command;

/// Words that must appear in this order.
#[track_caller]
fn in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let position = rest
            .find(word)
            .unwrap_or_else(|| panic!("{word:?} is missing, or out of order, in:\n{text}"));
        rest = &rest[position + word.len()..];
    }
}

#[test]
fn the_compiler_explains_itself() {
    let help = run(Command::new(compiler()).arg("--help"), b"").expect(0).text();
    in_order(
        &help,
        &[
            "Compile a WebAssembly module or component to a signed, metered native artifact.",
            "Usage: bls-compile [OPTIONS] <INPUT>",
            "bls-compile [OPTIONS] <INPUT>... -o <FOLDER/>",
            "bls-compile <run|link|check|audit|inspect|strip|delta>",
            "bls-compile <sign|verify|symbolize|push|image|key|key-of|trust>",
            "-o, --output <FILE>",
            "--key <KEY>",
            "--target <TARGET>",
            "--max-memory <SIZE>",
            "--compress[=LEVEL]",
            "--no-fuel",
            "--fast-nans",
            "--emit <KIND>",
            "--json",
            "-q, --quiet",
            "--if-changed",
            "--cache <FOLDER|URL>",
            "--cache-trust <FILE>",
            "--cache-size <SIZE>",
            "-j, --jobs <N>",
            "--keep-going",
            "--name <NAME>",
            "--sequence <N>",
            "--expires <DATE>",
            "--sbom <FILE>",
            "--provenance <FILE>",
            "SOURCE_DATE_EPOCH",
            "Exit codes: 0 done, 1 refused or failed, 2 usage",
            "Examples:",
        ],
    );
    let version = run(Command::new(compiler()).arg("--version"), b"").expect(0).text();
    in_order(&version, &["bls-compile", "wasmtime 48", "artifact format 1", "bls-fuel-4"]);
}

#[test]
fn the_loader_explains_itself() {
    let help = run(Command::new(loader()).arg("--help"), b"").expect(0).text();
    in_order(
        &help,
        &[
            "Verify, map and run an artifact.",
            "Usage: bls-load [OPTIONS] <ARTIFACT> [ARGS]...",
            "bls-load <COMMAND> ...",
            "Everything after ARTIFACT belongs to the guest.",
            "Granted by default: arguments, stdin, stdout, stderr, clocks, random.",
            "Commands",
            "verify ",
            "trust ",
            "--dir <HOST[::GUEST]>",
            "--dir-ro",
            "--env <K[=V]>",
            "--fuel <N>",
            "--timeout <TIME>",
            "--max-memory <SIZE>",
            "--max-stack <SIZE>",
            "--trust <FILE>",
            "--digest <sha256:HEX>",
            "--invoke <EXPORT>",
            "--unknown-imports <HOW>",
            "--report <FILE|-|fd:N>",
            "--explain",
            "Exit codes:",
            "Examples:",
        ],
    );
    let version = run(Command::new(loader()).arg("--version"), b"").expect(0).text();
    in_order(&version, &["bls-load", "wasmtime 48", "artifact format 1", "bls-fuel-4"]);
}

#[test]
fn no_help_is_wider_than_a_terminal() {
    let (compiler, loader) = (compiler(), loader());
    for (program, commands) in [
        (
            &compiler,
            &["", "run", "check", "audit", "inspect", "sign", "verify", "key", "key-of", "trust"][..],
        ),
        (&loader, &["", "run", "verify", "install", "list", "remove", "gc", "trust"]),
    ] {
        let general = run(Command::new(program).arg("help"), b"").expect(0).text();
        for command in commands {
            let words = [*command, "--help"];
            let words = if command.is_empty() { &words[1..] } else { &words[..] };
            let text = run(Command::new(program).args(words), b"").expect(0).text();
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{words:?}: {line}");
            }
            let again = run(
                Command::new(program)
                    .args(["help", command].iter().filter(|word| !word.is_empty())),
                b"",
            );
            assert_eq!(again.expect(0).text(), text, "help {command}");
            assert!(general.contains(command), "{command} is not in the general text");
        }
    }
}

#[test]
fn a_module_is_refused_with_the_way_to_run_it() {
    let home = Home::new();
    for (name, content) in [("app.wasm", "wat/hello.wasm"), ("app.wat", "wat/hello.wat")] {
        std::fs::copy(fixtures().join(content), home.path(name)).unwrap();
        let dotted = format!("./{name}");
        for words in [&[name][..], &[&dotted], &["run", name], &["run", &dotted]] {
            let mut command = Command::new(loader());
            let ended = run(command.current_dir(home.path("")).args(words), b"").expect(125);
            let file = words.last().unwrap();
            let _ =
                ended.says(&[&format!("hint: compile it, and run it: bls-compile run {file}\n")]);
        }
    }
    let mut command = Command::new(loader());
    let missing = run(command.current_dir(home.path("")).arg("missing.wasm"), b"").expect(125);
    let _ = missing.says(&["missing.wasm", "hint: bls-compile run app.wasm"]);
    let artifact = home.fixture("wat/hello.wat");
    let mut command = Command::new(loader());
    let command = command.arg("--trust").arg(home.public_key()).arg("run").arg(&artifact);
    assert_eq!(run(command, b"").expect(0).text(), "hello\n");
}

#[test]
fn usage_errors() {
    for arguments in [&["--nonsense"][..], &[], &["a", "b.wasm"], &["--target", "z80", "a.wasm"]] {
        let ended = run(Command::new(compiler()).args(arguments), b"").expect(2);
        assert!(ended.stdout.is_empty());
    }
    for arguments in
        [&["--nonsense"][..], &[], &["--fuel", "much", "a.bls"], &["--timeout", "5", "a.bls"]]
    {
        let ended = run(Command::new(loader()).args(arguments), b"").expect(125);
        assert!(ended.stdout.is_empty());
        let _ = ended.says(&["bls-load:"]);
    }
}

#[test]
fn what_is_no_module_is_refused_by_name() {
    let home = Home::new();
    let refused = fixtures().join("refused");
    for (name, words) in [
        ("component.wasm", &["component"][..]),
        ("elf.bin", &["ELF"]),
        ("not-wasm.txt", &["hint:"]),
        ("text-not-wat.wat", &["neither"]),
        ("empty.wasm", &["empty"]),
        ("truncated.wasm", &["hint:"]),
        ("future-version.wasm", &["version"]),
        ("legacy-exceptions.wasm", &["legacy"]),
        ("bad-type.wat", &["0x30", "broken"]),
        ("too-many-locals.wasm", &["locals"]),
        ("../wat/shared-memory.wat", &["shared"]),
        ("../wat/reserved-export.wat", &["__bls"]),
        ("../wat/reserved-import.wat", &["__bls"]),
        ("missing.wasm", &["missing.wasm"]),
        (".", &["folder"]),
    ] {
        let ended = run(&mut home.compile_command(&refused.join(name)), b"").expect(1);
        assert!(ended.stdout.is_empty(), "{name}");
        let _ = ended.says(&["bls-compile: ", "hint: "]).says(words);
    }
    let artifact = home.fixture("wat/hello.wat");
    let _ = run(home.compile_command(&artifact).args(["-o", "other.bls"]), b"")
        .expect(1)
        .says(&["artifact"]);
    let leftovers: Vec<_> = std::fs::read_dir(home.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !["test.key", "test.pub", "hello.bls"].contains(&name.as_str()))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}

#[test]
fn what_is_no_artifact_is_refused_by_name() {
    let home = Home::new();
    for (name, words) in [
        ("wat/hello.wasm", &["a WebAssembly module", "bls-compile"][..]),
        ("refused/elf.bin", &["ELF"]),
        ("refused/component.wasm", &["component"]),
        ("refused/empty.wasm", &["the file is empty"]),
        ("missing.bls", &["missing.bls"]),
        ("wat", &["folder"]),
    ] {
        let ended = home.load(&[], &fixtures().join(name), &[]).expect(125);
        assert!(ended.stdout.is_empty(), "{name}");
        let _ = ended.says(&["bls-load: open: ", "hint: "]).says(words);
    }
}

#[test]
fn the_guest_gets_what_stands_behind_it() {
    let home = Home::new();
    let artifact = home.fixture("wat/args_env.wat");
    let ended = home.load(&["--env", "A=1"], &artifact, &["--help", "--fuel"]).expect(0);
    assert_eq!(ended.text(), "args_env.bls\n--help\n--fuel\nA=1\n");
    let nothing = home.load(&[], &artifact, &[]).expect(0);
    assert_eq!(nothing.text(), "args_env.bls\n", "the environment is empty unless granted");
}

#[test]
fn a_variable_can_be_copied_and_must_be_there() {
    let home = Home::new();
    let artifact = home.fixture("wat/args_env.wat");
    let mut command = home.load_command(&["--env", "BLS_TEST_VARIABLE"], &artifact);
    let ended = run(command.env("BLS_TEST_VARIABLE", "copied"), b"").expect(0);
    assert!(ended.text().ends_with("BLS_TEST_VARIABLE=copied\n"));
    let _ = home
        .load(&["--env", "BLS_TEST_MISSING"], &artifact, &[])
        .expect(125)
        .says(&["BLS_TEST_MISSING", "hint: "]);
}

#[test]
fn exports_can_be_called() {
    let home = Home::new();
    let library = home.fixture("wat/library.wat");
    for (export, arguments, printed) in [
        ("add", &["2", "-3"][..], "-1\n"),
        ("mul64", &["-3", "5000000000"], "-15000000000\n"),
        ("fdiv", &["1", "4"], "0.25\n"),
        ("fib", &["20"], "6765\n"),
        ("sieve", &["1000"], "168\n"),
    ] {
        let ended = home.load(&["--invoke", export], &library, arguments).expect(0);
        assert_eq!(ended.text(), printed, "{export}");
    }
    let _ = home.load(&[], &library, &[]).expect(125).says(&["--invoke", "add", "sieve"]);
    let _ = home
        .load(&["--invoke", "nothing"], &library, &[])
        .expect(125)
        .says(&["nothing", "add", "sieve"]);
    let _ = home
        .load(&["--invoke", "add"], &library, &["1"])
        .expect(125)
        .says(&["add takes 2 values (i32, i32), and 1 was given"]);
    let _ = home.load(&["--invoke", "add"], &library, &["1", "x"]).expect(125).says(&["x"]);
    let reactor = home.fixture("wat/reactor.wat");
    let ended = home.load(&["--invoke", "answer"], &reactor, &[]).expect(0);
    assert_eq!(ended.text(), "initialize\n42\n");
}

#[test]
fn unknown_imports_are_refused_or_trap() {
    let home = Home::new();
    let artifact = home.fixture("wat/unknown-import.wat");
    let _ = home.load(&[], &artifact, &[]).expect(125).says(&[
        "bls-load: link: ",
        "env",
        "mystery",
        "--unknown-imports trap",
    ]);
    let _ = home.load(&["--unknown-imports", "trap"], &artifact, &[]).expect(0);
    // An option that helps with functions helps with nothing else.
    std::fs::write(
        home.path("m.wat"),
        r#"(module (import "env" "memory" (memory 1)) (func (export "_start")))"#,
    )
    .unwrap();
    let memory = home.compile(&home.path("m.wat"), &[]);
    for options in [&[][..], &["--unknown-imports", "trap"]] {
        let refused = home.load(options, &memory, &[]).expect(125);
        assert!(!refused.stderr.contains("--unknown-imports"), "{}", refused.stderr);
        let _ =
            refused.says(&["env.memory (a memory)", "--import-memory", "code: link.import-kind"]);
    }
    let called = home.fixture("wat/unknown-import-called.wat");
    let _ = home.load(&["--unknown-imports", "trap"], &called, &[]).expect(134).says(&["mystery"]);
}

/// The loader has no tables for unwinding, and nothing in it that would read them.
#[test]
fn variables_that_ask_for_backtraces_change_nothing() {
    let home = Home::new();
    let trap = home.fixture("wat/trap-after-output.wat");
    let with = |value: Option<&str>| {
        let mut command = home.load_command(&["--fuel", "100000"], &trap);
        for name in ["RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = command.output().expect("a program that runs");
        (output.status.code(), output.stdout, output.stderr)
    };
    let plain = with(None);
    assert_eq!(plain.0, Some(134));
    for value in ["0", "1", "full"] {
        assert_eq!(with(Some(value)), plain, "{value}");
    }
}

#[test]
fn check_writes_nothing_and_says_what_is_needed() {
    let home = Home::new();
    let mut command = Command::new(compiler());
    let guest = fixtures().join("c/files.wasm");
    let ended = run(command.arg("check").arg(&guest).current_dir(home.path("")), b"").expect(0);
    in_order(&ended.text(), &["files"]);
    let unknown = |name: &str, text: &str| {
        std::fs::write(home.path(name), text).unwrap();
        let check = |options: &[&str]| {
            let mut command = Command::new(compiler());
            let ended = run(command.arg("check").args(options).arg(home.path(name)), b"");
            ended.expect(0).text()
        };
        let json: serde_json::Value = serde_json::from_str(&check(&["--json"])).unwrap();
        (check(&[]), json["not_in_loader"].as_array().unwrap().len())
    };
    let (text, count) = unknown("env.wat", r#"(module (import "env" "x" (func)))"#);
    in_order(&text, &["not in bls-load", "env x  no host has it", "--unknown-imports trap"]);
    assert_eq!(count, 1);
    let (text, count) = unknown(
        "kinds.wat",
        r#"(module (import "env" "memory" (memory 1)) (import "env" "x" (func))
            (import "wasi_snapshot_preview1" "fd_write" (func (param i32))))"#,
    );
    in_order(&text, &["env memory  no function", "env x  no host has it", "fd_write  of another"]);
    assert!(!text.contains("trap"), "no option helps with a memory:\n{text}");
    assert_eq!(count, 3);
    let (text, count) = unknown(
        "known.wat",
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))))"#,
    );
    assert!(!text.contains("not in bls-load"), "{text}");
    assert_eq!(count, 0);
    let mut command = Command::new(compiler());
    let refused = fixtures().join("refused/bad-type.wat");
    let _ = run(command.arg("check").arg(refused), b"").expect(1).says(&["hint: "]);
}

#[test]
fn inspect_shows_an_artifact() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let mut command = Command::new(compiler());
    let text = run(command.arg("inspect").arg(&artifact), b"").expect(0).text();
    for word in ["hello", "x86_64", "bls-fuel-4", "fd_write", ".text"] {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
    let mut command = Command::new(compiler());
    let json = run(command.args(["inspect", "--json"]).arg(&artifact), b"").expect(0);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert!(json.is_object());
}

#[test]
fn pipes_and_standard_input() {
    let home = Home::new();
    let module = std::fs::read(fixtures().join("wat/hello.wasm")).unwrap();
    let piped = run(&mut home.compile_command(Path::new("-")), &module).expect(0);
    let artifact = home.path("piped.bls");
    std::fs::write(&artifact, &piped.stdout).unwrap();
    assert_eq!(home.load(&[], &artifact, &[]).expect(0).text(), "hello\n");
}

#[test]
fn json_results() {
    let home = Home::new();
    let mut command = home.compile_command(&fixtures().join("wat/hello.wat"));
    let ended = run(command.arg("--json"), b"").expect(0);
    let json: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    let artifact = std::fs::read(home.path("hello.bls")).expect("beside us by default");
    let digest = bls_artifact::digest::Sha256::of(&artifact).to_string();
    assert!(json.to_string().contains(&digest), "{json}");
    let quiet =
        run(home.compile_command(&fixtures().join("wat/hello.wat")).arg("-q"), b"").expect(0);
    assert_eq!((quiet.text().as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn the_metered_module_can_be_had() {
    let home = Home::new();
    let output = home.path("metered.wasm");
    let mut command = home.compile_command(&fixtures().join("wat/hello.wat"));
    let _ = run(command.args(["--emit", "wasm", "-o"]).arg(&output), b"").expect(0);
    let module = std::fs::read(&output).unwrap();
    wasmparser::validate(&module).expect("a valid module");
    let text = String::from_utf8_lossy(&module).into_owned();
    assert!(text.contains("__bls_fuel"));
}

#[test]
fn a_metered_module_can_be_audited() {
    let home = Home::new();
    let output = home.path("metered.wasm");
    let mut command = home.compile_command(&fixtures().join("wat/hello.wat"));
    let made = run(command.args(["--emit", "wasm", "--json", "-o"]).arg(&output), b"").expect(0);
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");

    let audit = |options: &[&str], input: &Path, stdin: &[u8]| {
        run(Command::new(compiler()).arg("audit").args(options).arg(input), stdin)
    };
    let help = audit(&["--help"], &output, b"").expect(0).text();
    in_order(&help, &["Usage: bls-compile audit", "--json", "Exit codes: 0 proved", "Examples:"]);
    let table = audit(&[], &output, b"").expect(0).text();
    in_order(&table, &["functions", "charges", "checks", "S ", "instantiation", "proved", "yes"]);
    let module = std::fs::read(&output).unwrap();
    let json = audit(&["--json"], Path::new("-"), &module).expect(0);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["proved"], true);
    assert_eq!(json["sha256"], made["sha256"]);
    assert_eq!(json["overrun_max"], made["fuel"]["overrun_max"]);
    assert_eq!(json["instantiation"], made["fuel"]["instantiation"]);

    // The sentinel, and with it the whole cold path.
    let mut broken = module;
    let sentinel = [0x42, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f];
    let at = broken.windows(11).position(|window| window == sentinel).expect("a cold path");
    broken[at + 1] = 0x81;
    let refused = audit(&["--json"], Path::new("-"), &broken).expect(1);
    let json: serde_json::Value = serde_json::from_slice(&refused.stdout).expect("JSON");
    assert_eq!((&json["proved"], &json["rule"]), (&false.into(), &"cold".into()), "{json}");
    assert!(json["function"].is_u64() && json["offset"].is_u64(), "{json}");
    let _ = refused.says(&["bls-compile: audit: rule cold: ", "in function ", "hint: "]);

    let _ = audit(&[], &fixtures().join("wat/hello.wat"), b"")
        .expect(1)
        .says(&["not a metered module", "hint: "]);
    let _ = audit(&[], Path::new("-"), b"\0asm\x01\0\0\0\x01").expect(1).says(&["hint: "]);
    let _ = audit(&["--nonsense"], &output, b"").expect(2);
}

#[test]
fn every_refusal_of_the_compiler_says_what_to_do() {
    let home = Home::new();
    let guest = fixtures().join("wat/hello.wat");
    let guest = guest.to_str().unwrap();
    let artifact = home.fixture("wat/hello.wat");
    let artifact = artifact.to_str().unwrap();
    let public = home.public_key();
    let public = public.to_str().unwrap();
    for (code, arguments, words) in [
        (1, &["-o", "/nowhere/out.bls", guest][..], &["/nowhere", "hint: "][..]),
        (1, &["-o", ".", guest], &["folder", "hint: "]),
        (1, &["--key", "/nowhere.key", guest], &["/nowhere.key", "hint: "]),
        (1, &["--key", public, guest], &["hint: "]),
        (1, &["--key", "env:", guest], &["hint: "]),
        (1, &["inspect", guest], &["not an artifact", "hint: "]),
        (1, &["inspect", "/nowhere.bls"], &["/nowhere.bls", "hint: "]),
        (1, &["check", artifact], &["artifact", "hint: "]),
        (2, &["--max-memory", "5x", guest], &["1GiB"]),
        (2, &["-v", guest], &["there is no -v", "--version"]),
        (2, &["--traget", "aarch64", guest], &["hint: ", "--target"]),
        (2, &["chek", guest], &["if a command was meant: bls-compile help check"]),
        (2, &["help", "chek"], &["bls-compile help check"]),
        (1, &[artifact], &["it is compiled already"]),
        (2, &["run"], &["no INPUT", "bls-compile run --help"]),
        (2, &["run", "--fule", "1", guest], &["did you mean --fuel?"]),
        (1, &["run", artifact], &["it is compiled already", "bls-load"]),
        (2, &["--compress=99", guest], &["99"]),
        (2, &["--emit", "text", guest], &["text"]),
        (2, &["--target", "x86_64-pc-windows-msvc", guest], &["x86_64-unknown-linux-gnu"]),
    ] {
        let mut command = Command::new(compiler());
        command.current_dir(home.path(""));
        let takes_a_key = !["inspect", "check", "help", "run", "chek"].contains(&arguments[0]);
        if !arguments.contains(&"--key") && takes_a_key {
            command.arg("--key").arg(home.key());
        }
        let ended = run(command.args(arguments), b"");
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{arguments:?}");
        let _ = ended.says(words);
    }
    let mut command = home.compile_command(Path::new(guest));
    let ended = run(command.env("SOURCE_DATE_EPOCH", "yesterday"), b"").expect(2);
    let _ = ended.says(&["SOURCE_DATE_EPOCH"]);
}

#[test]
fn every_refusal_of_the_loader_says_what_to_do() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let artifact = artifact.to_str().unwrap();
    let private = home.key();
    let private = private.to_str().unwrap();
    for (arguments, words) in [
        (&["--dir", "/nowhere", artifact][..], &["/nowhere", "hint: "][..]),
        (&["--dir-ro", "/nowhere::/", artifact], &["/nowhere", "hint: "]),
        (&["--dir", artifact, artifact], &["hint: "]),
        (&["--digest", "md5:00", artifact], &["sha256", "hint: "]),
        (&["--digest", "sha256:00", artifact], &["hint: "]),
        (&["--max-memory", "5x", artifact], &["1GiB"]),
        (&["--fuel", "1Mi", artifact], &["1_000_000", "hint: "]),
        (&["-v", artifact], &["--version", "hint: "]),
        (&["--fule", "1", artifact], &["did you mean --fuel?", "hint: "]),
        (&["verfy", artifact], &["not installed", "hint: did you mean verify?"]),
        (&["help", "instal"], &["did you mean install?", "hint: "]),
        (&["--max-stack", "1B", artifact], &["hint: "]),
        (&["--timeout", "0s", artifact], &["500ms"]),
        (&["--fuel", "99999999999999999999", artifact], &["hint: "]),
        (&["--unknown-imports", "ignore", artifact], &["refuse", "trap"]),
        (&["--report", "fd:99", artifact], &["hint: "]),
        (&["--report", "fd:x", artifact], &["hint: "]),
        (&["--trust", private, artifact], &["hint: "]),
        (&["--trust", "/tmp", artifact], &["hint: "]),
        (&["--invoke", "memory", artifact], &["memory", "hint: "]),
        (&["trust", "add", artifact], &["hint: "]),
        (&["trust", "add", "/nowhere.pub"], &["/nowhere.pub", "hint: "]),
        (&["trust", "forget"], &["hint: "]),
        (&["verify"], &["hint: "]),
    ] {
        let mut command = Command::new(loader());
        command.current_dir(home.path(""));
        if !arguments.contains(&"--trust") && !["trust", "verify"].contains(&arguments[0]) {
            command.arg("--trust").arg(home.public_key());
        }
        let ended = run(command.args(arguments), b"");
        assert_eq!(ended.code, Some(125), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{arguments:?}");
        let _ = ended.says(&["bls-load: "]).says(words);
    }
}
