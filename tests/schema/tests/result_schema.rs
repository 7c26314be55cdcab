//! What `bls-compile --json` prints, of one input and of several, is what
//! `compiler/result.schema.json` says, by a validator that is not ours.

use bls_schema_tests::programs::{Home, run};
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The schema as it is given away, and one that takes no field that is not described.
fn schemas() -> [Validator; 2] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compiler/result.schema.json");
    let mut schema: Value =
        serde_json::from_slice(&fs::read(path).expect("a schema")).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::meta::validate(&schema).expect("a schema");
    let open = jsonschema::validator_for(&schema).expect("a schema");
    close(&mut schema);
    [open, jsonschema::validator_for(&schema).expect("a schema")]
}

/// Allows no fields but those that are described.
fn close(schema: &mut Value) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(close),
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                fields.insert("additionalProperties".into(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
        _ => {}
    }
}

#[track_caller]
fn check(schemas: &[Validator; 2], result: &Value) {
    for validator in schemas {
        let errors: Vec<String> = validator
            .iter_errors(result)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}\n{result:#}", errors.join("\n"));
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

/// The result of one input.
fn one(home: &Home, input: &Path, options: &[&str], code: i32) -> Value {
    let ended = run(home.compile_command(input).arg("--json").args(options), b"").expect(code);
    serde_json::from_slice(&ended.stdout).expect("JSON")
}

#[test]
fn each_result_of_one_input_is_as_the_schema_says() {
    let (home, schemas) = (Home::new(), schemas());
    let hello = fixture("wat/hello.wat");
    let mut seen = BTreeSet::new();
    let mut made = |options: &[&str]| {
        let result = one(&home, &hello, options, 0);
        check(&schemas, &result);
        seen.insert(result["how"].as_str().expect("a word").to_owned());
        result
    };
    let first = made(&["--cache", "kept"]);
    assert!(first["optimised"] == json!(true) && first["time_us"]["compile"].is_u64(), "{first:#}");
    let second = made(&["--cache", "kept"]);
    assert_eq!(second["sha256"], first["sha256"]);
    assert!(second.get("optimised").is_none() && second["sizes"].get("compiled").is_none());
    let third = made(&["--if-changed"]);
    assert_eq!((&third["key"], &third["sha256"]), (&first["key"], &first["sha256"]));
    let _ = made(&["--no-fuel", "--compress=3", "--target", "x86_64:v3,aarch64,pulley64"]);
    let _ = made(&["--fuel-profile"]);
    let math = format!("math={}", fixture("wat/library.wat").display());
    let linked = made(&["--module", &math, "-o", "linked.bls"]);
    assert_eq!(linked["modules"].as_array().map(Vec::len), Some(2), "{linked:#}");
    assert_eq!(
        seen.iter().map(String::as_str).collect::<Vec<_>>(),
        ["cached", "compiled", "unchanged"]
    );

    for (input, options, code) in [
        ("refused/elf.bin", &[][..], 1),
        ("wat/hello.wat", &["--name", "run"], 1),
        ("wat/hello.wat", &["--json", "-o", "-"], 2),
        ("wat/no-such.wat", &[], 1),
    ] {
        let options: Vec<&str> = options.iter().copied().filter(|word| *word != "--json").collect();
        let result = one(&home, &fixture(input), &options, code);
        assert!(result["code"].is_string(), "{result:#}");
        check(&schemas, &result);
    }
}

#[test]
fn several_inputs_are_lines_of_the_same_form() {
    let (home, schemas) = (Home::new(), schemas());
    let folder = home.path("in");
    fs::create_dir(&folder).unwrap();
    for (name, from) in [
        ("a.wat", "wat/hello.wat"),
        ("b.wasm", "refused/elf.bin"),
        ("c.wat", "wat/trap-unreachable.wat"),
    ] {
        fs::copy(fixture(from), folder.join(name)).unwrap();
    }
    let mut command = home.compile_command(&folder);
    let ended = run(command.args(["-o", "out/", "--json", "--keep-going"]), b"").expect(1);
    let text = ended.text();
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    lines.iter().for_each(|line| check(&schemas, line));
    let names: Vec<&str> = lines.iter().filter_map(|line| line["input"].as_str()).collect();
    assert!(names.len() == 3 && names.is_sorted(), "{names:?}");
    let made: Vec<bool> = lines.iter().map(|line| line.get("how").is_some()).collect();
    assert_eq!(made, [true, false, true]);
}

#[test]
fn what_is_no_result_is_not_taken_for_one() {
    let (home, [open, _]) = (Home::new(), schemas());
    let result = one(&home, &fixture("wat/hello.wat"), &[], 0);
    assert!(open.is_valid(&result));
    for (pointer, wrong) in [
        ("/how", json!("made")),
        ("/sha256", json!("0")),
        ("/key_ids", json!([])),
        ("/parts", json!([])),
        ("/sizes/artifact", json!(-1)),
        ("/output", json!(null)),
    ] {
        let mut changed = result.clone();
        *changed.pointer_mut(pointer).expect(pointer) = wrong;
        assert!(!open.is_valid(&changed), "{pointer}");
    }
    for field in ["how", "identity", "sizes"] {
        let mut changed = result.clone();
        changed.as_object_mut().unwrap().remove(field);
        assert!(!open.is_valid(&changed), "{field}");
    }
}
