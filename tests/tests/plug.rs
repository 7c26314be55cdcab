//! Components that are put together when they are compiled, by the two programs: run, compared with
//! the same composition written by hand, built again, and refused by name.

use bls_artifact::digest::Sha256;
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, run, shared, wasmtime};
use bls_tests::users::{FreshUser, may_make_users};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ANSWER: &str = "THE ANSWER IS 42\n";

fn fixture(name: &str) -> String {
    let path = fixtures().join("component/plug").join(name).canonicalize().expect("a fixture");
    path.to_str().expect("a path in text").to_owned()
}

/// bls-compile in a home, with its key where it makes an artifact.
fn compile(home: &Home, words: &[&str]) -> Ended {
    let mut command = Command::new(compiler());
    command.current_dir(home.path(".")).args(words).arg("--key").arg(home.key());
    run(&mut command, b"")
}

/// The same for what takes no key.
fn without_key(home: &Home, words: &[&str]) -> Ended {
    let mut command = Command::new(compiler());
    run(command.current_dir(home.path(".")).args(words), b"")
}

fn load(home: &Home, options: &[&str], artifact: &str) -> Ended {
    let mut command = Command::new(loader());
    command.current_dir(home.path(".")).arg("--trust").arg(home.public_key());
    run(command.args(options).arg(home.path(artifact)), b"")
}

fn json_of(ended: &Ended) -> Value {
    serde_json::from_slice(&ended.stdout).expect("JSON")
}

/// A socket with its plugs, compiled.
fn plugged(home: &Home, plugs: &[&str], socket: &str, more: &[&str]) -> Ended {
    let plugs: Vec<String> = plugs.iter().map(|name| format!("--plug={}", fixture(name))).collect();
    let socket = fixture(socket);
    let mut words: Vec<&str> = vec![&socket, "-o", "app.bls"];
    words.extend(plugs.iter().map(String::as_str));
    words.extend(more);
    compile(home, &words)
}

/// A component of `fixtures/component/plug` as a definition inside another one.
fn inner(name: &str) -> String {
    let text = fs::read_to_string(fixture(&format!("{name}.wat"))).expect("a fixture");
    let at = text.find("(component").expect("a component");
    text[at..].replacen("(component", &format!("(component ${name}"), 1)
}

#[test]
fn plugs_fill_a_socket_in_any_order() {
    let home = Home::new();
    for plugs in [["adder.wat", "words.wat"], ["words.wat", "adder.wat"]] {
        let _ = plugged(&home, &plugs, "desk.wat", &[]).expect(0);
        assert_eq!(load(&home, &["--fuel", "1M"], "app.bls").expect(0).text(), ANSWER);
    }
    // One that has an import of WASI itself, of another version.
    let _ = plugged(&home, &["adder.wat", "noisy.wat"], "desk.wat", &[]).expect(0);
    assert_eq!(load(&home, &[], "app.bls").expect(0).text(), "said: the answer is 42\n");
    let _ = plugged(&home, &["adder.wat", "noisy.wat"], "desk.wat", &["--emit", "linked"])
        .expect(0)
        .says(&["linked of 3 components"]);
}

#[test]
fn plugs_need_each_other_and_share_a_resource() {
    let home = Home::new();
    let _ = plugged(&home, &["counters.wat", "ledger.wat"], "shop.wat", &[]).expect(0);
    let called = load(&home, &["--invoke", "count(10)"], "app.bls").expect(0);
    assert_eq!(called.text(), "{second: 12, third: 13}\n");
    let called = load(&home, &["--invoke", "count(4294967295)"], "app.bls").expect(0);
    assert_eq!(called.text(), "{second: 1, third: 2}\n");
}

/// The same, composed by hand: it does the same here, and by wasmtime, where that is installed.
#[test]
fn a_composition_does_what_the_same_does_that_was_written_by_hand() {
    let home = Home::new();
    let desk = format!(
        "(component
           (import \"wasi:io/error@0.2.3\" (instance $error (export \"error\" (type (sub resource)))))
           (alias export $error \"error\" (type $error))
           (import \"wasi:io/streams@0.2.3\" (instance $streams
             (alias outer 1 $error (type $e))
             (export \"error\" (type $error (eq $e)))
             (export \"output-stream\" (type $output (sub resource)))
             (type $variant (variant (case \"last-operation-failed\" (own $error)) (case \"closed\")))
             (export \"stream-error\" (type $failed (eq $variant)))
             (export \"[method]output-stream.blocking-flush\"
               (func (param \"self\" (borrow $output)) (result (result (error $failed)))))
             (export \"[method]output-stream.blocking-write-and-flush\"
               (func (param \"self\" (borrow $output)) (param \"contents\" (list u8))
                 (result (result (error $failed)))))))
           (alias export $streams \"output-stream\" (type $output))
           (import \"wasi:cli/stdout@0.2.3\" (instance $stdout
             (alias outer 1 $output (type $o))
             (export \"output-stream\" (type $output (eq $o)))
             (export \"get-stdout\" (func (result (own $output))))))
           {} {} {}
           (instance $a (instantiate $adder))
           (instance $n (instantiate $noisy
             (with \"wasi:io/error@0.2.3\" (instance $error))
             (with \"wasi:io/streams@0.2.3\" (instance $streams))
             (with \"wasi:cli/stdout@0.2.3\" (instance $stdout))))
           (alias export $a \"example:math/ops@0.2.0\" (instance $ops))
           (alias export $n \"example:text/words@1.0.0\" (instance $words))
           (instance $d (instantiate $desk
             (with \"wasi:io/error@0.2.0\" (instance $error))
             (with \"wasi:io/streams@0.2.0\" (instance $streams))
             (with \"wasi:cli/stdout@0.2.0\" (instance $stdout))
             (with \"example:math/ops@0.2.3\" (instance $ops))
             (with \"example:text/words@1.0.0\" (instance $words))))
           (alias export $d \"wasi:cli/run@0.2.0\" (instance $run))
           (export \"wasi:cli/run@0.2.0\" (instance $run)))",
        inner("adder"),
        inner("noisy"),
        inner("desk")
    );
    fs::write(home.path("desk.wat"), &desk).unwrap();
    let _ = compile(&home, &["desk.wat", "-o", "hand.bls"]).expect(0);
    let _ = plugged(&home, &["adder.wat", "noisy.wat"], "desk.wat", &[]).expect(0);
    let (hand, ours) = (load(&home, &[], "hand.bls"), load(&home, &[], "app.bls"));
    assert_eq!(hand.expect(0).text(), ours.expect(0).text());
    // The border is the same, too.
    let border = |artifact: &str| {
        let shown = json_of(&without_key(&home, &["inspect", "--json", artifact]).expect(0));
        shown["manifest"]["extensions"]["component"].as_str().expect("a border").to_owned()
    };
    assert_eq!(border("hand.bls"), border("app.bls"));

    let Some(wasmtime) = wasmtime() else { return };
    let ended = run(Command::new(wasmtime).arg("run").arg(home.path("desk.wat")), b"").expect(0);
    assert_eq!(ended.text(), load(&home, &[], "app.bls").text());
}

#[test]
fn an_artifact_names_its_plugs_and_is_built_again() {
    let home = Home::new();
    let plugs = ["adder.wat", "words.wat"];
    let said = json_of(&plugged(&home, &plugs, "desk.wat", &["--json"]).expect(0));
    let shown = json_of(&without_key(&home, &["inspect", "--json", "app.bls"]).expect(0));
    let recipe = shown["manifest"]["extensions"]["linked-from"].as_str().expect("a recipe");
    let digest = |name: &str| Sha256::of(&fs::read(fixture(name)).unwrap());
    assert_eq!(
        recipe,
        format!(
            "bls-recipe 1\nsha256:{} adder\nsha256:{} words\nsha256:{} desk\n",
            digest("adder.wat"),
            digest("words.wat"),
            digest("desk.wat")
        )
    );
    assert_eq!(shown["manifest"]["source"], json!(Sha256::of(recipe.as_bytes())));
    assert_eq!(said["source_sha256"], shown["manifest"]["source"]);
    let names: Vec<&Value> =
        said["modules"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["adder", "words", "desk"]);
    let shown = without_key(&home, &["inspect", "app.bls"]).expect(0).text();
    assert!(shown.contains(&format!("linked     {} words\n", digest("words.wat"))), "{shown}");
    assert!(shown.contains("component  export wasi:cli/run@0.2.0\n"), "{shown}");

    // Its key is that of the same plugs, in their order.
    let key = |words: &[&str]| without_key(&home, &[&["key-of"], words].concat()).expect(0).text();
    let plug = |name: &str| format!("--plug={}", fixture(name));
    let (adder, words, desk) = (plug("adder.wat"), plug("words.wat"), fixture("desk.wat"));
    let own = key(&[&adder, &words, &desk]);
    assert_eq!(own.trim_end(), said["key"]);
    for other in [&[&*adder, &desk][..], &[&words, &adder, &desk], &[&desk]] {
        assert_ne!(key(other), own);
    }

    // In any order: names and order are signed.
    let files = ["desk.wat", "words.wat", "adder.wat"].map(fixture);
    let rebuild = |verb: &[&str], files: &[String]| {
        let mut words = verb.to_vec();
        for file in files {
            words.extend(["--rebuild", file]);
        }
        without_key(&home, &words)
    };
    let verified = rebuild(&["verify", "app.bls"], &files).expect(0).text();
    assert!(verified.contains("manifest   identical"), "{verified}");
    let missing = rebuild(&["verify", "app.bls"], &files[..2]).expect(1);
    let _ = missing.says(&["adder", "code: rebuild.module"]);
    let more = [files.to_vec(), vec![fixture("shop.wat")]].concat();
    let _ = rebuild(&["verify", "app.bls"], &more).expect(1).says(&["code: rebuild.too-many"]);
    let second = Home::with_seed(9);
    let key = second.key();
    let key = key.to_str().expect("a path in text");
    let _ = rebuild(&["sign", "app.bls", "--key", key], &files).expect(0);
}

#[test]
fn what_was_made_is_found_again() {
    let home = Home::new();
    let plugs = ["adder.wat", "words.wat"];
    let again = |plugs: &[&str], options: &[&str]| {
        json_of(&plugged(&home, plugs, "desk.wat", &[options, &["--json"]].concat()).expect(0))
    };
    let cached = ["--cache", "kept"];
    assert_eq!(again(&plugs, &cached)["how"], "compiled");
    assert_eq!(again(&plugs, &["--if-changed"])["how"], "unchanged");
    assert_eq!(again(&plugs, &cached)["how"], "cached");
    assert_eq!(again(&["adder.wat", "noisy.wat"], &["--if-changed"])["how"], "compiled");
    assert_eq!(again(&plugs, &[&cached[..], &["--if-changed"]].concat())["how"], "cached");
}

#[test]
fn it_is_compiled_and_run_in_one_step() {
    if !may_make_users() {
        return;
    }
    // What is kept goes into the home of who runs it.
    let user = FreshUser::new("bls-plug", 64_631);
    for program in [compiler(), loader()] {
        fs::copy(&program, user.home.join(program.file_name().unwrap())).unwrap();
    }
    for name in ["adder.wat", "words.wat", "desk.wat"] {
        fs::copy(fixture(name), user.home.join(name)).unwrap();
    }
    let words = ["run", "--plug", "adder.wat", "--plug=words.wat", "--explain", "desk.wat"];
    for found in ["compiled to", "found in"] {
        let mut command = user.command(&user.home.join("bls-compile"));
        let ended = run(command.args(words), b"").expect(0);
        assert_eq!(ended.text(), ANSWER);
        assert!(ended.stderr.contains(found), "{}", ended.stderr);
    }
}

#[test]
fn what_cannot_be_put_together_is_said_by_name() {
    let home = Home::new();
    let write = |name: &str, text: &str| fs::write(home.path(name), text).unwrap();
    let desk = fixture("desk.wat");
    let adder = fixture("adder.wat");
    write("module.wat", "(module)");
    write("broken.wat", "(component (import");
    write("signed.wat", &fs::read_to_string(&adder).unwrap().replace("u32", "s32"));
    write("lib.wat", "(module (func (export \"f\")))");
    let counters = fixture("counters.wat");
    for (words, said) in [
        (
            &["--plug", "module.wat", &*desk][..],
            &["module \"module\"", "this is a core module", "code: input.module"][..],
        ),
        (&["--plug", &adder, "module.wat"], &["code: input.module"]),
        (&["--plug", "broken.wat", &desk], &["broken.wat", "code: input.text"]),
        (
            &["--plug", &counters, &desk],
            &[
                "the plug \"counters\" fills nothing",
                "example:count/counters@0.1.0",
                "example:math/ops@0.2.3",
                "hint: leave it out",
                "code: link.plug-unused",
            ],
        ),
        (&["--plug", &adder, "--plug", &adder, &desk], &["\"adder\" fills nothing"]),
        (
            &["--plug", "signed.wat", &desk],
            &[
                "\"signed\" exports example:math/ops@0.2.0",
                "\"desk\" imports example:math/ops@0.2.3",
                "u32",
                "s32",
                "code: link.plug-type",
            ],
        ),
        // What nobody fills.
        (
            &["--plug", &adder, &desk],
            &["example:text/words@1.0.0", "--plug FILE", "code: link.component-import"],
        ),
        (
            &["--plug", &counters, &fixture("shop.wat")],
            &["example:count/counters@0.1.0", "code: link.plug-border"],
        ),
        (&["--plug", "nowhere.wat", &desk], &["nowhere.wat", "code: input.unreadable"]),
        (&["--plug", &adder, "--module", "lib=lib.wat", &desk], &["code: options.plugs"]),
        (&["check", "--plug", &counters, &desk], &["code: link.plug-unused"]),
    ] {
        let ended = match words[0] {
            "check" => without_key(&home, words),
            _ => compile(&home, &[words, &["-o", "app.bls"]].concat()),
        };
        let _ = ended.expect(1).says(said);
        assert!(!home.path("app.bls").exists());
    }
    write("config.json", "{\"entry\": \"lib.wat\"}");
    let _ = compile(&home, &["--plug", &adder, "config.json"]).expect(1).says(&["config.modules"]);
    let _ = compile(&home, &["--plug", &adder, "lib.wat", "desk.wat", "-o", "out/"])
        .expect(2)
        .says(&["--plug is about one artifact"]);
    // Two of one name are told apart.
    fs::create_dir(home.path("other")).unwrap();
    fs::copy(fixture("words.wat"), home.path("other/adder.wat")).unwrap();
    let words = ["--plug", &adder, "--plug", "other/adder.wat", &desk, "-o", "app.bls", "--json"];
    let said = json_of(&compile(&home, &words).expect(0));
    let names: Vec<&Value> =
        said["modules"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["adder", "adder-2", "desk"]);
}

#[test]
fn check_lists_what_a_library_lets_others_call() {
    let home = Home::new();
    let library = fixtures().join("component/library.wat").canonicalize().unwrap();
    let library = library.to_str().unwrap();
    let shown = without_key(&home, &["check", library]).expect(0).text();
    assert!(shown.contains("kind       library (its functions are called by their types)\n"));
    assert!(!shown.contains("_start)"), "{shown}");
    // As the library says it itself.
    let artifact = home.compile(Path::new(library), &[]);
    let said = run(&mut home.load_command::<&str>(&[], &artifact), b"");
    let listed: Vec<&str> = said.stderr.lines().filter(|line| line.starts_with("  ")).collect();
    assert!(listed.len() > 20, "{}", said.stderr);
    for line in &listed {
        assert!(shown.contains(&format!("\n{line}\n")), "{line}: {shown}");
    }
    let checked = json_of(&without_key(&home, &["check", "--json", library]).expect(0));
    let calls = checked["calls"].as_array().expect("a list");
    assert_eq!(calls.len(), listed.len());
    assert!(calls.contains(&json!("add: func(a: s32, b: s32) -> s32")), "{calls:?}");
    let artifact = artifact.to_str().unwrap();
    let inspected = without_key(&home, &["inspect", artifact]).expect(0).text();
    assert!(inspected.contains("kind       library (its functions"), "{inspected}");
    // A command is none.
    let hello = fixtures().join("component/hello.wat").canonicalize().unwrap();
    let shown = without_key(&home, &["check", hello.to_str().unwrap()]).expect(0).text();
    assert!(shown.contains("kind       command (has _start)\n"), "{shown}");
    assert!(!shown.contains("calls "), "{shown}");
}

#[test]
fn inspect_prints_the_world_of_a_component() {
    let home = Home::new();
    let text = without_key(&home, &["inspect", &fixture("desk.wat")]).expect(0).text();
    for line in [
        "world root {",
        "  import wasi:io/streams@0.2.0;",
        "  import example:math/ops@0.2.3;",
        "  export wasi:cli/run@0.2.0;",
        "package example:math@0.2.3 {",
        "    add: func(a: u32, b: u32) -> u32;",
        "    enum style {",
        "    say: func(text: string, style: style) -> string;",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
    let json = json_of(&without_key(&home, &["inspect", "--json", &fixture("desk.wat")]).expect(0));
    assert_eq!(json["world"].as_str(), Some(text.as_str()));
    let digest = Sha256::of(&fs::read(fixture("desk.wat")).unwrap());
    assert_eq!(json["source_sha256"], json!(digest));
    // What is none, and what WIT has no words for.
    fs::write(home.path("bad.wasm"), b"\0asm\x0d\0\x01\0\x01\xff").unwrap();
    let _ = without_key(&home, &["inspect", "bad.wasm"]).expect(1).says(&["code: inspect.world"]);
    fs::write(home.path("bad.wat"), "(component (import").unwrap();
    let _ = without_key(&home, &["inspect", "bad.wat"]).expect(1).says(&["code: input.text"]);
    fs::write(
        home.path("in.wat"),
        "(component (import \"x\" (instance (export \"y\" (instance)))))",
    )
    .unwrap();
    let _ = without_key(&home, &["inspect", "in.wat"]).expect(1).says(&["code: inspect.world"]);
}

/// Real programs, whose arguments are a plug's: what nobody wrote for this project takes it.
#[test]
fn a_plug_stands_before_wasi_of_real_programs() {
    let Some(shared) = shared() else { return };
    let home = Home::new();
    let plug = r#"(component
        (core module $m
          (memory (export "memory") 1)
          (global $next (mut i32) (i32.const 1024))
          (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $place i32)
            (local.set $place
              (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
            (global.set $next (i32.add (local.get $place) (local.get 3)))
            (local.get $place))
          ;; Lists: where the elements are, and how many.
          (data (i32.const 16) "\40\00\00\00\02\00\00\00")
          (data (i32.const 64) "\80\00\00\00\07\00\00\00\90\00\00\00\04\00\00\00")
          (data (i32.const 128) "program") (data (i32.const 144) "plug")
          (func (export "arguments") (result i32) (i32.const 16))
          (func (export "environment") (result i32) (i32.const 32))
          (func (export "folder") (result i32) (i32.const 48)))
        (core instance $m (instantiate $m))
        (func $arguments (result (list string))
          (canon lift (core func $m "arguments") (memory (core memory $m "memory"))))
        (func $environment (result (list (tuple string string)))
          (canon lift (core func $m "environment") (memory (core memory $m "memory"))))
        (func $folder (result (option string))
          (canon lift (core func $m "folder") (memory (core memory $m "memory"))))
        (instance $all
          (export "get-arguments" (func $arguments))
          (export "get-environment" (func $environment))
          (export "initial-cwd" (func $folder)))
        (export "wasi:cli/environment@0.2.0" (instance $all)))"#;
    fs::write(home.path("environment.wat"), plug).unwrap();
    for name in ["rust-hello-wasip2", "rust-hello"] {
        let guest: PathBuf = shared.join("guests").join(format!("{name}.component.wasm"));
        let guest = guest.to_str().unwrap();
        let _ = compile(&home, &["--plug", "environment.wat", guest, "-o", "app.bls"]).expect(0);
        let mut command = Command::new(loader());
        command.current_dir(home.path(".")).arg("--trust").arg(home.public_key());
        let ended = run(command.args(["--dir", ".", "app.bls", "own"]), b"");
        let said = ended.text();
        assert!(said.contains("args: [\"plug\"]"), "{name}: {said} {}", ended.stderr);
    }
}
