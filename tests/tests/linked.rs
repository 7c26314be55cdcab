//! Programs of several modules, by the two programs: compiled, inspected, built again and run.

use bls_artifact::digest::Sha256;
use bls_loader::Call;
use bls_tests::embedded::runner;
use bls_tests::linked::linked;
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, run, shared};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The libraries of `fixtures/linked`, by the names that programs import them by.
const LIBRARIES: [(&str, &str); 4] = [
    ("clib", "c_step.wasm"),
    ("rustlib", "rust_step.wasm"),
    ("ziglib", "zig_step.wasm"),
    ("aslib", "as_step.wasm"),
];
/// What each program of `fixtures/linked` prints.
const SAID: &str = "c 5\nrust [10]\nzig 13\nassemblyscript 12\nmain 22\n";

fn fixture(name: &str) -> PathBuf {
    fixtures().join("linked").join(name).canonicalize().expect("a fixture")
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

fn load(home: &Home, options: &[&str], artifact: &Path) -> Ended {
    let mut command = Command::new(loader());
    command.current_dir(home.path(".")).arg("--trust").arg(home.public_key());
    run(command.args(options).arg(artifact), b"")
}

fn inspected(home: &Home, artifact: &str) -> Value {
    let shown = without_key(home, &["inspect", "--json", artifact]).expect(0);
    serde_json::from_slice(&shown.stdout).expect("JSON")
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("a path in text")
}

/// `--module NAME=FILE` for each library.
fn libraries() -> Vec<String> {
    let option = |(name, file)| format!("--module={name}={}", fixture(file).display());
    LIBRARIES.into_iter().map(option).collect()
}

#[test]
fn one_program_of_four_languages_runs_each_way() {
    let home = Home::new();
    let libraries = libraries();
    for entry in ["c_main.wasm", "rust_main.wasm", "zig_main.wasm", "as_main.wasm"] {
        let file = fixture(entry);
        let mut words: Vec<&str> = libraries.iter().map(String::as_str).collect();
        words.extend([text_of(&file), "-o", "app.bls"]);
        let _ = compile(&home, &words).expect(0);
        let ended = load(&home, &["--fuel", "10M"], &home.path("app.bls")).expect(0);
        assert_eq!(ended.text(), SAID, "{entry}");
        // A unit of fuel less than it takes, and it does not end.
        let _ = load(&home, &["--fuel", "20000"], &home.path("app.bls")).expect(123);
    }
    // The same by way of a linked module; its name is another, and so its bytes.
    let mut words = vec!["link"];
    let files: Vec<PathBuf> = LIBRARIES.iter().map(|(_, file)| fixture(file)).collect();
    for ((name, _), file) in LIBRARIES.iter().zip(&files) {
        words.extend([text_of(file), "--as", name]);
    }
    let entry = fixture("c_main.wasm");
    words.extend([text_of(&entry), "-o", "linked.wasm"]);
    let _ = without_key(&home, &words).expect(0).says(&["linked of 5 modules"]);
    let _ = compile(&home, &["linked.wasm"]).expect(0);
    assert_eq!(load(&home, &[], &home.path("linked.bls")).expect(0).text(), SAID);
    // One that was linked is linked again.
    fs::write(
        home.path("outer.wat"),
        "(module (import \"inner\" \"_start\" (func $run)) (memory (export \"memory\") 1)
           (func (export \"_start\") (call $run)))",
    )
    .unwrap();
    let _ = compile(&home, &["outer.wat", "--module", "inner=linked.wasm"]).expect(0);
    assert_eq!(load(&home, &[], &home.path("outer.bls")).expect(0).text(), SAID);
    let check = ["check", "outer.wat", "--module", "inner=linked.wasm"];
    let shown = without_key(&home, &check).expect(0).text();
    assert!(shown.contains("wasi_snapshot_preview1@4 "), "{shown}");
    assert!(!shown.contains("wasi_snapshot_preview1 "), "all host calls are of libraries: {shown}");
}

#[test]
fn a_linked_artifact_says_of_what_and_is_built_again() {
    let home = Home::new();
    let libraries = libraries();
    let entry = fixture("zig_main.wasm");
    let mut words: Vec<&str> = libraries.iter().map(String::as_str).collect();
    words.extend([text_of(&entry), "-o", "app.bls", "--json"]);
    let said: Value = serde_json::from_slice(&compile(&home, &words).expect(0).stdout).unwrap();
    let manifest = inspected(&home, "app.bls")["manifest"].clone();
    let recipe = manifest["extensions"]["linked-from"].as_str().expect("a recipe");
    assert_eq!(manifest["source"], json!(Sha256::of(recipe.as_bytes())));
    let names: Vec<&Value> =
        said["modules"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["clib", "rustlib", "ziglib", "aslib", "entry"]);
    for (name, file) in LIBRARIES {
        let digest = Sha256::of(&fs::read(fixture(file)).unwrap());
        assert!(recipe.contains(&format!("sha256:{digest} {name}\n")), "{recipe}");
    }
    assert!(recipe.starts_with("bls-recipe 1\n") && recipe.ends_with(" entry\n"), "{recipe}");

    // Modules in any order: names and order are signed.
    let files: Vec<PathBuf> = ["as_step.wasm", "zig_main.wasm", "c_step.wasm", "zig_step.wasm"]
        .into_iter()
        .chain(["rust_step.wasm"])
        .map(fixture)
        .collect();
    let rebuild = |files: &[PathBuf]| {
        let mut words = vec!["verify", "app.bls"];
        for file in files {
            words.extend(["--rebuild", text_of(file)]);
        }
        without_key(&home, &words)
    };
    assert!(rebuild(&files).expect(0).text().contains("manifest   identical"));
    let _ = rebuild(&files[1..]).expect(1).says(&["aslib", "code: rebuild.module"]);
    let more = [files.clone(), vec![fixture("c_main.wasm")]].concat();
    let _ = rebuild(&more).expect(1).says(&["c_main.wasm", "code: rebuild.too-many"]);
    // Another module in the place of one, and the bytes of one changed.
    let mut changed = fs::read(&files[0]).unwrap();
    changed.extend([0, 2, 1, b'x']);
    fs::write(home.path("changed.wasm"), changed).unwrap();
    let other = [vec![home.path("changed.wasm")], files[1..].to_vec()].concat();
    let _ = rebuild(&other).expect(1).says(&["code: rebuild.too-many"]);
    // A second builder's signature.
    let second = Home::with_seed(8);
    let mut words = vec!["sign", "app.bls", "-o", "both.bls"];
    for file in &files {
        words.extend(["--rebuild", text_of(file)]);
    }
    let mut command = Command::new(compiler());
    command.current_dir(home.path(".")).args(words).arg("--key").arg(second.key());
    let _ = run(&mut command, b"").expect(0).says(&["rebuilt to the byte", "2 signatures"]);
    assert_eq!(load(&second, &[], &home.path("both.bls")).expect(0).text(), SAID);
}

/// A configuration of version 1, with this said beside the modules.
fn configuration(home: &Home, name: &str, modules: &Value, more: &Value) -> PathBuf {
    let mut config = json!({ "version": 1, "entry": "_start", "modules": modules });
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    let path = home.path(name);
    fs::write(&path, format!("// a comment\n{config:#}\n")).unwrap();
    path
}

#[test]
fn a_configuration_is_compiled_with_its_limits() {
    let home = Home::new();
    let modules: Vec<Value> = LIBRARIES
        .iter()
        .map(|(name, file)| json!({ "name": name, "file": fixture(file), "type": "module" }))
        .chain([json!({ "name": "main", "file": fixture("rust_main.wasm"), "type": "entry" })])
        .collect();
    let limits = json!({
        "limited_fuel": 50_000_000, "limited_memory": 200, "run_time": 60_000,
        "permissions": ["https://example.com/", "nonsense"],
        "id": "x", "contentType": "text",
    });
    let _ = configuration(&home, "config.json", &json!(modules), &limits);
    let _ = compile(&home, &["config.json"]).expect(0).says(&["rust_main.bls"]);
    let manifest = inspected(&home, "rust_main.bls")["manifest"].clone();
    assert_eq!(
        manifest["limits"],
        json!({ "memory": 200 * 65536, "fuel": 50_000_000, "time_ms": 60_000 })
    );
    // It imports nothing that could use them.
    assert_eq!(manifest["needs"], json!([]));
    let report = home.path("report.json");
    let ended = load(&home, &["--report", text_of(&report)], &home.path("rust_main.bls")).expect(0);
    assert_eq!(ended.text(), SAID);
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!(report["limits"]["fuel"], json!(50_000_000));
    assert_eq!(report["limits"]["timeout_ms"], json!(60_000));
    let same = without_key(&home, &["verify", "rust_main.bls", "--rebuild", "config.json"]);
    assert!(same.expect(0).text().contains("identical"));
    // An option wins; a limit that it could not start in is refused.
    let _ = compile(&home, &["config.json", "--max-fuel", "20k", "-o", "little.bls"]).expect(0);
    let _ = load(&home, &[], &home.path("little.bls")).expect(123);
    let _ = compile(&home, &["config.json", "--max-memory", "64k"])
        .expect(1)
        .says(&["code: options.max-memory"]);
}

#[test]
fn limits_of_an_artifact_hold_whatever_a_run_asks_for() {
    let home = Home::new();
    fs::write(home.path("spin.wat"), "(module (func (export \"_start\") (loop br 0)))").unwrap();
    let _ = compile(&home, &["spin.wat", "--max-time", "300ms"]).expect(0);
    let app = home.path("spin.bls");
    for options in [&[][..], &["--timeout", "1h"], &["--report", "r.json"]] {
        let _ = load(&home, options, &app).expect(124).says(&["stopped after 300ms"]);
    }
    let _ = load(&home, &["--timeout", "20ms"], &app).expect(124).says(&["stopped after 20ms"]);
    let _ = compile(&home, &["spin.wat", "--max-fuel", "1M"]).expect(0);
    for options in [&[][..], &["--fuel", "1G"]] {
        let _ = load(&home, options, &app).expect(123);
    }
    let _ = compile(&home, &["spin.wat", "--max-fuel", "1M", "--no-fuel"])
        .expect(1)
        .says(&["no fuel to limit", "code: options.value"]);
}

#[test]
fn calls_by_name_are_calls_inside() {
    let home = Home::new();
    let module =
        |name: &str| format!("--module={name}={}", fixture(&format!("mcall_{name}.wat")).display());
    let entry = fixture("mcall_app.wat");
    let (callee, middle) = (module("callee"), module("middle"));
    let _ = compile(&home, &[&callee, &middle, text_of(&entry), "-o", "app.bls"]).expect(0);
    // 5, refused, times 10; and 0, what registering gave.
    let ended = load(&home, &["--fuel", "1M"], &home.path("app.bls")).expect(50);
    assert_eq!(
        ended.text(),
        "[\"\\u00e9\",{\"a\":1}]\n07\n{\"code\":-1,\"message\":\"no mcall register.\"}\n"
    );
    let manifest = inspected(&home, "app.bls")["manifest"].clone();
    let imports = manifest["module"]["imports"].as_array().unwrap();
    assert!(
        imports.iter().all(|import| import["module"] == "wasi_snapshot_preview1"),
        "{imports:?}"
    );
    // One that traps ends the program.
    let text = fs::read_to_string(fixture("mcall_callee.wat")).unwrap();
    let trapping = text.replace("(param $in i32) (param $length i32) (param $out i32) (param $size i32)\n        (result i32)\n    (if", "(param $in i32) (param $length i32) (param $out i32) (param $size i32)\n        (result i32)\n    (unreachable)\n    (if");
    assert_ne!(text, trapping);
    fs::write(home.path("trapping.wat"), trapping).unwrap();
    let _ = compile(
        &home,
        &["--module=callee=trapping.wat", &middle, text_of(&entry), "-o", "app.bls"],
    )
    .expect(0);
    let _ = load(&home, &[], &home.path("app.bls")).expect(134);
}

#[test]
fn what_cannot_be_linked_is_said_by_name() {
    let home = Home::new();
    let write = |name: &str, text: &str| fs::write(home.path(name), text).unwrap();
    write("lib.wat", "(module (func (export \"add\") (param i32)))");
    write("app.wat", "(module (import \"lib\" \"ad\" (func)))");
    write("typed.wat", "(module (import \"lib\" \"add\" (func (param i64))))");
    write("a.wat", "(module (import \"b\" \"f\" (func)) (func (export \"f\")))");
    write("b.wat", "(module (import \"a\" \"f\" (func)) (func (export \"f\")))");
    write("broken.wat", "(module (func (result i32)))");
    write("component.wat", "(component)");
    for (words, said) in [
        (
            &["app.wat", "--module", "lib=lib.wat"][..],
            &["\"ad\" of \"lib\"", "is \"add\" meant?", "code: link.no-export"][..],
        ),
        (
            &["typed.wat", "--module", "lib=lib.wat"],
            &["func (param i64), and it is func (param i32)", "code: link.export-type"],
        ),
        (
            &["app.wat", "--module", "a=a.wat", "--module", "b=b.wat"],
            &["a → b → a", "code: link.cycle"],
        ),
        (&["app.wat", "--module", "lib=broken.wat"], &["module \"lib\"", "code: validate.invalid"]),
        (
            &["app.wat", "--module", "lib=component.wat"],
            &["module \"lib\"", "code: input.component"],
        ),
        (&["app.wat", "--module", "a=a.wat", "--module", "a=b.wat"], &["code: link.modules"]),
        (&["app.wat", "--module", "lib=nowhere.wat"], &["nowhere.wat", "code: input.unreadable"]),
    ] {
        let _ = compile(&home, words).expect(1).says(said);
        assert!(!home.path("app.bls").exists());
    }
    let _ = compile(&home, &["app.wat", "--module", "lib.wat"])
        .expect(2)
        .says(&["--module math=math.wasm"]);
    let _ = compile(&home, &["app.wat", "--emit", "linked"]).expect(2).says(&["there is one"]);
    let _ = without_key(&home, &["link", "--as", "x", "lib.wat", "app.wat"]).expect(2);

    let lib = json!({ "name": "lib", "file": "lib.wat", "type": "module", "md5": "0".repeat(32) });
    let app = json!({ "name": "app", "file": "app.wat", "type": "entry" });
    let _ = configuration(&home, "c.json", &json!([lib, app]), &json!({}));
    let _ =
        compile(&home, &["c.json"]).expect(1).says(&["lib.wat has the MD5", "code: config.md5"]);
    let lib = json!({ "name": "lib", "file": "lib.wat", "sha256": Sha256::of(b"") });
    let _ = configuration(&home, "c.json", &json!([lib, app]), &json!({}));
    let _ = compile(&home, &["c.json"]).expect(1).says(&["code: config.sha256"]);
    let _ = configuration(&home, "c.json", &json!([app]), &json!({ "limited_feul": 3 }));
    let _ = compile(&home, &["c.json"]).expect(1).says(&["limited_feul", "code: config."]);
}

/// A host function of an embedder's own works on the memory of the module that calls it, in as many
/// guests as there are.
#[test]
fn functions_of_an_embedders_own_see_the_memory_of_who_calls() {
    const PEEK: &str = "(import \"own\" \"peek\" (func $peek (param i32) (result i32)))";
    let memory =
        |byte: u8| format!("(memory (export \"memory\") 1) (data (i32.const 8) \"\\{byte:02x}\")");
    let lib = format!(
        "(module {PEEK} {} (func (export \"peek\") (result i32) (call $peek (i32.const 8))))",
        memory(7)
    );
    let app = format!(
        "(module {PEEK} (import \"lib\" \"peek\" (func $theirs (result i32))) {}
           (func (export \"both\") (result i32)
             (i32.add (i32.mul (call $theirs) (i32.const 10)) (call $peek (i32.const 8)))))",
        memory(9)
    );
    let module =
        |name: &str, text: &str| (name.to_owned(), wat::parse_str(text).expect("a module"));
    let source = linked(&[module("lib", &lib), module("app", &app)]).expect("a program");
    let peek = |call: &mut Call<'_>, at: i32| Ok(i32::from(call.read(at.cast_unsigned(), 1)?[0]));
    for _ in 0..2 {
        let mut guest = runner("app", source.wasm())
            .function("own", "peek", 100, peek)
            .instantiate()
            .expect("a guest");
        let both = guest.call::<(), i32>("both", ()).expect("it returns");
        assert_eq!(both, 79);
    }
}

/// Guests of the network that were built by others (`BLS_SHARED`).
#[test]
fn guests_of_the_network_that_link_or_call_by_name_run() {
    let Some(folder) = shared().map(|shared| shared.join("blockless/guests")) else {
        println!("no BLS_SHARED");
        return;
    };
    let text = fs::read_to_string(folder.join("guests.json")).expect("cases");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let home = Home::new();
    let mut ran = 0;
    for case in all["cases"].as_array().expect("cases") {
        let name = case["name"].as_str().unwrap_or_default();
        let expected = &case["expect"];
        if !(name.starts_with("mcall_") || name.starts_with("link_"))
            || !case["config"].is_object()
            || expected["exit"].is_null()
        {
            continue;
        }
        let path = home.path(&format!("{name}.json"));
        let config = case["config"].to_string().replace("$GUESTS", text_of(&folder));
        fs::write(&path, config.replace("$DIR", text_of(&home.path(".")))).unwrap();
        let compiled = compile(&home, &[text_of(&path), "-o", "guest.bls"]);
        ran += 1;
        if expected["exit"] == 128 {
            let _ = compiled.expect(1).says(&["code: config.md5"]);
            continue;
        }
        let _ = compiled.expect(0);
        let ended = load(&home, &[], &home.path("guest.bls"));
        // A trap is 134 here, and 1 to 13 as the network says it.
        let exit = match (name, expected["exit"].as_i64()) {
            ("link_lib_trap", _) => 134,
            (_, exit) => exit.expect("a number") as i32,
        };
        let ended = ended.expect(exit);
        if let Some(stdout) = expected["stdout"].as_str() {
            assert_eq!(ended.text(), stdout, "{name}");
        }
    }
    println!("{ran} cases");
    assert!(ran >= 8, "{ran}");
}
