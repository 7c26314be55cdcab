//! Calls of what a component exports, by its types: what they print, beside what wasmtime prints,
//! and that every other text gets a sentence.

use bls_artifact::key::PrivateKey;
use bls_loader::{Loader, Outcome, Runner, Sink, Trust};
use bls_tests::programs::{Ended, Home, compiler, fixtures, run, wasmtime};
use bls_tests::typed::{Chance, Type, component};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Calls of the library of the fixtures, and what they print.
const CALLS: [(&str, &str); 43] = [
    ("add(1, 2)", "3"),
    ("add(-2147483648,-1)", "2147483647"),
    ("  add ( 1 , 2 , ) // three", "3"),
    ("nothing()", "()"),
    ("next('a')", "'b'"),
    (r"next('\u{26}')", r"'\''"),
    ("next-byte(255)", "0"),
    ("half(0.1)", "0.05"),
    ("half(1E2)", "50"),
    ("half(-0.0)", "-0"),
    ("half(inf)", "inf"),
    ("half(-inf)", "-inf"),
    ("half(nan)", "nan"),
    ("opposite(north)", "south"),
    ("opposite(%west)", "east"),
    ("others({})", "{read, write, run}"),
    ("others({run, read})", "{write}"),
    ("is-even(9223372036854775807)", "false"),
    ("is-even(-4)", "true"),
    ("sum([])", "0"),
    ("sum([1, 2, -4,])", "-1"),
    (r#"join("a\u{301}", "☃\"")"#, r#""a\u{301}☃\"""#),
    ("join(\"\", \"\"\"\n  two\n   lines\n  \"\"\")", r#""two\n lines""#),
    (r#"wide("aé☃😀")"#, r#""aé☃😀""#),
    (r#"compact("aé")"#, r#""aé""#),
    (r#"compact("aé☃😀")"#, r#""aé☃😀""#),
    ("points([])", "[]"),
    ("points([{x: 1, y: -2}])", "[{x: 1, y: -2}]"),
    (r#"points([{y: 1, x: 2, name: none}])"#, "[{x: 2, y: 1}]"),
    (r#"points([{%x: 1, y: 2, name: "p"}])"#, r#"[{x: 1, y: 2, name: some("p")}]"#),
    (r#"move({x: 1, y: 2, name: some("p")}, some(4))"#, r#"{x: 5, y: 6, name: some("p")}"#),
    ("move({x: 1, y: 2}, -4)", "{x: -3, y: -2}"),
    ("move({x: 1, y: 2})", "{x: 2, y: 3}"),
    ("area(square(1.5))", "ok(2.25)"),
    ("area(rectangle((2, 0.5)))", "ok(1)"),
    (r#"area(other("a line"))"#, r#"err("a line")"#),
    ("area(%none)", r#"err("none")"#),
    ("last(1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17)", "17"),
    ("more.sub(1, 2)", "-1"),
    ("example:library/numbers.sub@1.2.0(1, 2)", "-1"),
    ("example:library/numbers.add@1.2.0(1, 2)", "3"),
    ("add(-0, 0)", "0"),
    ("freed()", "0"),
];

fn library() -> PathBuf {
    fixtures().join("component/library.wat").canonicalize().expect("a fixture")
}

fn call(home: &Home, artifact: &Path, text: &str) -> Ended {
    run(&mut home.load_command(&["--invoke", text], artifact), b"")
}

/// What wasmtime prints of a call, without the end of the line.
fn by_wasmtime(wasmtime: &Path, component: &Path, text: &str) -> String {
    let mut command = Command::new(wasmtime);
    let ended = run(command.args(["run", "--invoke", text]).arg(component), b"");
    assert_eq!(ended.code, Some(0), "{text}: {}", ended.stderr);
    ended.text().trim_end_matches('\n').to_owned()
}

#[test]
fn functions_are_called_by_their_types() {
    let home = Home::new();
    let artifact = home.compile(&library(), &[]);
    for (text, printed) in CALLS {
        let ended = call(&home, &artifact, text).expect(0);
        assert_eq!(ended.text(), format!("{printed}\n"), "{text}");
        assert_eq!(ended.stderr, "", "{text}");
    }
    // By names that are ours alone.
    for name in [
        "example:library/numbers#sub",
        "example:library/numbers@1.2.0#sub",
        "example:library/numbers.sub",
        "more#sub",
    ] {
        let ended = call(&home, &artifact, &format!("{name}(3, 2)")).expect(0);
        assert_eq!(ended.text(), "1\n", "{name}");
    }
    // As any artifact: metered, the same each time, with fuel that may not suffice.
    let deterministic = ["--deterministic", "--invoke", "sum([1, 2])"];
    let (ended, report) = home.report(&deterministic, &artifact);
    assert_eq!(ended.expect(0).text(), "3\n");
    let fuel = report["fuel"]["consumed"].as_u64().expect("a number");
    let (_, again) = home.report(&deterministic, &artifact);
    assert_eq!(again["fuel"]["consumed"].as_u64(), Some(fuel));
    let ended = home.load(&["--fuel", "1000", "--invoke", "sum([1, 2])"], &artifact, &[]);
    assert_eq!((ended.code, ended.text()), (Some(123), String::new()), "{}", ended.stderr);
}

#[test]
fn calls_print_what_they_print_by_wasmtime() {
    let Some(wasmtime) = wasmtime() else { return };
    for (text, printed) in CALLS {
        // It wants nothing before the name.
        let text = text.trim_start();
        assert_eq!(by_wasmtime(&wasmtime, &library(), text), printed, "{text}");
    }
}

#[test]
fn what_is_no_call_is_a_sentence() {
    let home = Home::new();
    let artifact = home.compile(&library(), &[]);
    let add = "\n  add: func(a: s32, b: s32) -> s32\n";
    let point = "record { x: s32, y: s32, name: option<string> }";
    for (text, words) in [
        ("", &["there is no name before the values", "\n  nothing: func()\n"][..]),
        ("(1)", &["there is no name before the values"]),
        ("ad(1, 2)", &["there is no function \"ad\"; is it add?", add]),
        ("zzzzzz(1, 2)", &["there is no function \"zzzzzz\"\n", add]),
        ("add", &["the values are missing: write add(…)", add]),
        ("nothing", &["the values are missing: write nothing()"]),
        ("add(", &["the text ends where s32 is wanted (parameter a)", add]),
        ("add(1", &["the text ends where ) is wanted (parameter a)", add]),
        ("add(1, 2", &["the text ends where ) is wanted"]),
        ("add()", &["the value of parameter a is missing: 2 are wanted, and 0 are there", add]),
        ("add(1)", &["the value of parameter b is missing: 2 are wanted, and 1 is there", add]),
        ("add(1, 2, 3)", &["there are more values than the 2 that are wanted", add]),
        ("add(1, 2) 3", &["at character 11 is 3, where nothing more is wanted"]),
        ("add(1,, 2)", &["at character 7 is ,, where s32 is wanted (parameter b)"]),
        ("add(1, \"x\")", &["at character 8 is \"x\", where s32 is wanted (parameter b)", add]),
        ("add(1, 2147483648)", &["is 2147483648, where s32 is wanted"]),
        ("add(1, 1.0)", &["is 1.0, where s32 is wanted"]),
        ("add(1, 0x10)", &["at character 9 is x10, where ) is wanted"]),
        ("add(+1, 1)", &["at character 5 is +, where s32"]),
        ("next-byte(256)", &["is 256, where u8 is wanted (parameter byte)"]),
        ("next-byte(-1)", &["is -1, where u8 is wanted"]),
        ("next('')", &["where one letter is wanted"]),
        ("next('ab')", &["where one letter is wanted"]),
        (r"next('\u{d800}')", &["(there is no such escape"]),
        (r#"wide("\x")"#, &["string (there is no such escape"]),
        ("wide(\"", &["at character 6 is \", where string is wanted"]),
        ("half(nope)", &["is nope, where f64 is wanted"]),
        ("is-even(true)", &["is true, where s64 is wanted"]),
        ("opposite(up)", &["is up, where enum { north, east, south, west } is wanted"]),
        ("others({fly})", &["is fly, where a flag of flags { read, write, run } is wanted"]),
        ("others({run, run})", &["a flag that was not there before"]),
        ("sum([1, \"2\"])", &["is \"2\", where s64 is wanted (parameter numbers)"]),
        ("sum(1)", &["is 1, where list<s64> is wanted"]),
        ("sum([1 2])", &["is 2, where ] is wanted"]),
        ("move({x: 1})", &[point, "(its field y is missing)"]),
        ("move({x: 1, y: 2, z: 3})", &["is z, where a field of record { x: s32"]),
        ("move({x: 1, x: 2})", &["a field that was not there before"]),
        ("move({})", &["is }, where a field of"]),
        (
            "area(none)",
            &["is none, where variant { square(f64), rectangle(tuple<f32, f32>)", "with a %)"],
        ),
        ("area(square)", &["(this case has a value in parentheses)"]),
        ("area(%none(1))", &["(this case has no value)"]),
        ("area(rectangle((1)))", &["tuple<f32, f32> (there are fewer values)"]),
        ("area(rectangle((1, 2, 3)))", &["tuple<f32, f32> (there are more values)"]),
        ("sub(1, 2)", &["several functions: example:library/numbers.sub@1.2.0, more.sub"]),
        ("numbers.sub(1, 2)", &["there is no function \"numbers.sub\""]),
        (
            "make()",
            &[
                "a resource is wanted or given, which no text can be",
                "make@1.2.0: func() -> resource",
            ],
        ),
    ] {
        let ended = call(&home, &artifact, text).expect(2);
        assert_eq!(ended.text(), "", "{text}");
        let _ = ended.says(&["error: "]).says(words);
    }
    // Nothing is called: all that could be is listed.
    let ended = home.load(&[], &artifact, &[]).expect(2);
    assert_eq!(ended.text(), "");
    let _ = ended.says(&["--invoke 'NAME(VALUES)'", add, "\n  more.sub: func("]);
    // A trap is a trap.
    let ended = call(&home, &artifact, "fails()").expect(134);
    let _ = ended.says(&["unreachable"]);
}

/// Types of chance, and values of them: on the stack, in memory, in lists.
#[test]
fn values_of_every_type_come_back_as_they_were() {
    /// Types of each component, and values of each type.
    const TYPES: usize = 40;
    const VALUES: usize = 3;
    let home = Home::new();
    let mut chance = Chance(18);
    let types: Vec<Type> = (0..TYPES).map(|at| Type::random(&mut chance, at % 4)).collect();
    let path = home.path("echo.wat");
    fs::write(&path, component(&types)).expect("a file");
    let artifact = home.compile(&path, &[]);
    let peer = wasmtime().map(|program| {
        let compiled = home.path("echo.cwasm");
        let mut command = Command::new(&program);
        let _ = run(command.args(["compile", "-o"]).arg(&compiled).arg(&path), b"").expect(0);
        (program, compiled)
    });
    for (number, ty) in types.iter().enumerate() {
        for round in 0..VALUES {
            let value = ty.value(&mut chance);
            let values = format!("[{value}, {}]", ty.value(&mut chance));
            for (text, printed) in [
                (format!("plain-{number}({value})"), value),
                (format!("list-{number}({values})"), values),
            ] {
                let ended = call(&home, &artifact, &text).expect(0);
                assert_eq!(ended.text(), format!("{printed}\n"), "{text}");
                if let Some((program, compiled)) = peer.as_ref().filter(|_| round == 0) {
                    let mut command = Command::new(program);
                    let words = ["run", "--allow-precompiled", "--invoke", &text];
                    let ended = run(command.args(words).arg(compiled), b"").expect(0);
                    assert_eq!(ended.text(), format!("{printed}\n"), "{text}, by wasmtime");
                }
            }
        }
    }
}

/// Texts with something changed: a result or a sentence, and never a trap.
#[test]
fn damaged_texts_never_trap() {
    const ROUNDS: usize = 600;
    let home = Home::new();
    let artifact = home.compile(&library(), &[]);
    let marks = "(){}[]:,\"'\\%-. \n/0aé☃";
    let marks: Vec<char> = marks.chars().collect();
    let mut chance = Chance(7);
    let mut refused = 0;
    for _ in 0..ROUNDS {
        let mut text: Vec<char> = chance.one(&CALLS).0.chars().collect();
        for _ in 0..=chance.below(3) {
            let at = chance.below(text.len().max(1));
            match chance.below(4) {
                0 => text.truncate(at),
                1 if at < text.len() => drop(text.remove(at)),
                2 if at < text.len() => text[at] = chance.one(&marks),
                _ => text.insert(at.min(text.len()), chance.one(&marks)),
            }
        }
        let text: String = text.into_iter().collect();
        let ended = call(&home, &artifact, &text);
        match ended.code {
            Some(0) => assert_eq!(ended.stderr, "", "{text}"),
            Some(2) => {
                refused += 1;
                assert!(ended.stderr.starts_with("error: "), "{text}: {}", ended.stderr);
                assert_eq!(ended.text(), "", "{text}");
            }
            other => panic!("{text}: {other:?}: {}", ended.stderr),
        }
    }
    assert!(refused > ROUNDS / 4, "only {refused} were refused");
}

/// A library may use what any guest may, and never sees the text of the call.
#[test]
fn a_library_sees_its_own_arguments() {
    let home = Home::new();
    let path = home.path("words.wat");
    let text = r#"(component
        (import "wasi:cli/environment@0.2.0" (instance $env
          (export "get-arguments" (func (result (list string))))))
        (core module $memory
          (memory (export "memory") 1)
          (global $next (mut i32) (i32.const 1024))
          (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (global.set $next (i32.and (i32.const -8)
              (i32.add (global.get $next) (i32.const 7))))
            (global.get $next)
            (global.set $next (i32.add (global.get $next) (local.get 3)))))
        (core instance $memory (instantiate $memory))
        (core func $get (canon lower (func $env "get-arguments")
          (memory $memory "memory") (realloc (func $memory "realloc"))))
        (core module $m
          (import "" "get" (func $get (param i32)))
          (func (export "words") (result i32) (call $get (i32.const 16)) (i32.const 16)))
        (core instance $i (instantiate $m (with "" (instance (export "get" (func $get))))))
        (func (export "words") (result (list string))
          (canon lift (core func $i "words") (memory $memory "memory"))))"#;
    fs::write(&path, text).expect("a file");
    let artifact = home.compile(&path, &[]);
    let words =
        |options: &[&str], behind: &[&str]| home.load(options, &artifact, behind).expect(0).text();
    let invoke = ["--invoke", "words()"];
    assert_eq!(words(&invoke, &[]), "[\"words.bls\"]\n");
    assert_eq!(words(&invoke, &["a", "b c"]), "[\"words.bls\", \"a\", \"b c\"]\n");
    assert_eq!(words(&invoke, &["--", "a"]), "[\"words.bls\", \"a\"]\n");
}

/// What is compiled repeats, is built again, and says what it is.
#[test]
fn a_library_is_an_artifact_as_any_other() {
    let home = Home::new();
    let component = library();
    let artifact = home.compile(&component, &[]);
    let first = fs::read(&artifact).expect("an artifact");
    assert!(first == fs::read(home.compile(&component, &[])).expect("an artifact"));
    let mut command = Command::new(compiler());
    let command = command.current_dir(home.path(".")).arg("verify").arg(&artifact);
    let _ = run(command.arg("--rebuild").arg(&component), b"").expect(0);
    // Metered, it passes the audit.
    let metered = home.path("metered.wasm");
    let mut command = Command::new(compiler());
    let _ =
        run(command.args(["--emit", "wasm", "-o"]).arg(&metered).arg(&component), b"").expect(0);
    let mut command = Command::new(compiler());
    let audited = run(command.arg("audit").arg(&metered), b"").expect(0).text();
    assert!(audited.contains("proved         yes"), "{audited}");
    let mut command = Command::new(compiler());
    let checked = run(command.arg("check").arg(&component), b"").expect(0).text();
    for line in ["export add\n", "export example:library/numbers@1.2.0\n"] {
        assert!(checked.contains(line), "{checked}");
    }
    // What it asks the host for is what a call is read and printed with.
    for name in ["args_get", "args_sizes_get", "fd_write", "proc_exit"] {
        assert!(checked.contains(name), "{name} is not in: {checked}");
    }
    for name in
        ["path_open", "random_get", "environ_get", "environ_sizes_get", "fd_read", "poll_oneoff"]
    {
        assert!(!checked.contains(name), "{name} is in: {checked}");
    }
}

/// Whoever embeds the loader calls in the same way.
#[test]
fn an_embedder_calls_by_types() {
    let home = Home::new();
    let artifact = fs::read(home.compile(&library(), &[])).expect("an artifact");
    let loader = Loader::new(Trust::key(PrivateKey::from_seed(&[7; 32]).public()));
    let called = |text: &str| {
        let code = loader.open_bytes("library", artifact.clone()).expect("a good artifact");
        let runner = Runner::new(code).invoke(text, []);
        runner.stdout(Sink::bytes()).stderr(Sink::bytes()).run().expect("a run")
    };
    let ended = called("add(1, 2)");
    assert!(ended.outcome.is_success(), "{}", ended.outcome);
    assert_eq!(ended.stdout, b"3\n");
    let ended = called("add(1)");
    assert!(matches!(ended.outcome, Outcome::Exited(2)), "{}", ended.outcome);
    assert!(ended.stderr.starts_with(b"error: the value of parameter b is missing"));
}
