//! Reports of every kind of end are what `loader/report.schema.json` says, by a validator
//! that is not ours; and what a report says after time or a signal is as much as is known.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bls_schema_tests::programs::{Home, loader, maps_of_a_running_guest, run};
use jsonschema::Validator;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The schema as it is given away, and one that takes no field that is not described.
struct Schema {
    open: Validator,
    closed: Validator,
}

impl Schema {
    fn new() -> Self {
        Self::of("report.schema.json")
    }

    /// The schema in this file of the loader's.
    fn of(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../loader").join(name);
        let mut schema: Value =
            serde_json::from_slice(&std::fs::read(path).expect("a schema")).expect("JSON");
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        jsonschema::meta::validate(&schema).expect("a schema");
        let open = jsonschema::validator_for(&schema).expect("a schema");
        close(&mut schema);
        Self { open, closed: jsonschema::validator_for(&schema).expect("a schema") }
    }

    #[track_caller]
    fn check_open(&self, value: &Value) {
        self.check_by(&[&self.open], value);
    }

    #[track_caller]
    fn check(&self, report: &Value) {
        self.check_by(&[&self.open, &self.closed], report);
    }

    #[track_caller]
    fn check_by(&self, validators: &[&Validator], report: &Value) {
        for validator in validators {
            let errors: Vec<String> = validator
                .iter_errors(report)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{}\n{report:#}", errors.join("\n"));
        }
    }
}

/// Allows no fields but those that are described.
fn close(schema: &mut Value) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(close),
        Value::Object(fields) => {
            if fields.contains_key("properties") && fields.get("type") == Some(&json!("object")) {
                fields.insert("additionalProperties".into(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
        _ => {}
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

fn fixture(home: &Home, name: &str) -> PathBuf {
    home.compile(&fixtures().join(name), &[])
}

fn compile_text(home: &Home, name: &str, text: &str, options: &[&str]) -> PathBuf {
    let path = home.path(&format!("{name}.wat"));
    std::fs::write(&path, text).unwrap();
    home.compile(&path, options)
}

/// Runs an artifact and ends it by a signal as soon as its code is mapped, and a moment later.
fn after_a_signal(home: &Home, artifact: &Path) -> Value {
    let path = home.path("signal.json");
    let options = [format!("--report={}", path.display())];
    let mut command = home.load_command(&options, artifact);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let _ = maps_of_a_running_guest(&child);
    std::thread::sleep(std::time::Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let _ = child.wait().unwrap();
    serde_json::from_slice(&std::fs::read(path).expect("a report")).expect("JSON")
}

#[test]
fn every_kind_of_end_is_as_the_schema_says() {
    let (home, schema) = (Home::new(), Schema::new());
    let mut seen = BTreeSet::new();
    let mut check = |report: Value, pointer: &str, is: Value| {
        schema.check(&report);
        assert_eq!(report.pointer(pointer), Some(&is), "{report:#}");
        let _ = seen.insert(report["outcome"]["kind"].as_str().unwrap().to_owned());
        report
    };
    let of = |options: &[&str], artifact: &Path| home.report(options, artifact).1;

    let exit = fixture(&home, "wat/exit-300.wat");
    let _ = check(of(&[], &exit), "/outcome/exit_code", json!(300));
    let hello = fixture(&home, "wat/hello.wat");
    let report = check(of(&["--deterministic"], &hello), "/deterministic/seed", json!(0));
    assert!(report.get("microseconds").is_none(), "{report:#}");
    let unmetered = home.compile(&fixtures().join("wat/hello.wat"), &["--no-fuel"]);
    let _ = check(of(&[], &unmetered), "/fuel", json!({ "metered": false }));
    let trap = fixture(&home, "wat/trap-unreachable.wat");
    let _ = check(of(&[], &trap), "/outcome/trap/kind", json!("unreachable"));
    let _ = check(of(&["--fuel=30000"], &trap), "/fuel/budget", json!(30_000));
    let recursion = fixture(&home, "wat/recurse-forever.wat");
    let _ = check(of(&[], &recursion), "/outcome/trap/more_frames", json!(true));

    let spin = fixture(&home, "wat/spin.wat");
    let _ = check(of(&["--fuel=30000"], &spin), "/outcome/kind", json!("out-of-fuel"));
    let _ = check(of(&["--fuel=1"], &spin), "/outcome/kind", json!("out-of-fuel"));
    let _ = check(of(&["--timeout=200ms"], &spin), "/outcome/limit", json!("time"));
    let options = ["--timeout=200ms", "--deterministic"];
    let _ = check(of(&options, &spin), "/outcome/limit", json!("time"));
    let huge = fixture(&home, "wat/memory-huge-initial.wat");
    let _ = check(of(&["--max-memory=64KiB"], &huge), "/outcome/limit", json!("memory"));
    let table = compile_text(
        &home,
        "table",
        "(module (table 10000001 funcref) (memory (export \"memory\") 1) (func (export \"_start\")))",
        &[],
    );
    let _ = check(of(&[], &table), "/outcome/limit", json!("table"));
    let writer = fixture(&home, "wat/write-forever.wat");
    let _ = check(of(&["--max-output=10"], &writer), "/outcome/limit", json!("output"));
    let _ = check(after_a_signal(&home, &spin), "/outcome/signal", json!(15));
    let grows = fixture(&home, "wat/memory-grow-forever.wat");
    let _ = check(of(&["--max-memory=1MiB"], &grows), "/limits_met", json!(["memory"]));

    let unknown = fixture(&home, "wat/unknown-import-called.wat");
    let code = "/outcome/error/code";
    let _ = check(of(&[], &unknown), code, json!("link.unknown-import"));
    let options = ["--unknown-imports=trap"];
    let _ = check(of(&options, &unknown), "/outcome/trap/kind", json!("unknown-import"));
    let missing = home.path("missing.bls");
    let _ = check(of(&[], &missing), code, json!("file.missing"));
    let module = fixtures().join("wat/hello.wasm");
    let _ = check(of(&[], &module), "/outcome/kind", json!("refused"));

    let options = ["--fuel-profile"];
    let counting = home.compile(&fixtures().join("wat/host-calls.wat"), &["--fuel-profile"]);
    let report = check(of(&options, &counting), "/outcome/kind", json!("exited"));
    assert!(!report["fuel_profile"]["functions"].as_array().unwrap().is_empty(), "{report:#}");

    let values = compile_text(
        &home,
        "values",
        r#"(module (memory (export "memory") 1)
            (func (export "all") (result i32 i64 f32 f64 v128 externref)
                (i32.const -5) (i64.const -6) (f32.const 1.5) (f64.const nan:0x1)
                (v128.const i32x4 1 2 3 4) (ref.null extern)))"#,
        &[],
    );
    let report = check(of(&["--invoke=all"], &values), "/results/5/value", json!("null"));
    assert_eq!(
        report["results"][0],
        json!({ "signed": -5, "type": "i32", "unsigned": 4_294_967_291_u32 })
    );

    let imports: String = (0..2000).map(|n| format!(r#"(import "env" "f{n}" (func))"#)).collect();
    let text =
        format!(r#"(module {imports} (memory (export "memory") 1) (func (export "_start")))"#);
    let many = compile_text(&home, "many", &text, &[]);
    let report = of(&["--unknown-imports=trap"], &many);
    let kept = report["unknown_imports"].as_array().unwrap().len();
    let _ = check(report, "/left_out", json!({ "unknown_imports": 2000 - kept }));

    // What the system does not give: no room for one more descriptor than there are.
    let path = home.path("failed.json");
    let mut command = Command::new("sh");
    let loader_command = home.load_command(&[format!("--report={}", path.display())], &hello);
    command.args(["-c", "exec 3>&- 4>&- 5>&-; ulimit -n 6; exec \"$0\" \"$@\""]);
    let _ = run(command.arg(loader()).args(loader_command.get_args()), b"");
    let report: Value = serde_json::from_slice(&std::fs::read(path).expect("a report")).unwrap();
    let _ = check(report, "/outcome/kind", json!("failed"));

    let kinds = ["exited", "failed", "limit", "out-of-fuel", "refused", "signal", "trap"];
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), kinds);
}

#[test]
fn a_receipt_is_as_its_schema_says_and_the_report_in_it_too() {
    let (home, report, statement) =
        (Home::new(), Schema::new(), Schema::of("account/receipt.schema.json"));
    let hello = fixture(&home, "wat/hello.wat");
    let key = home.key();
    for (options, kind) in
        [(&[][..], "exited"), (&["--deterministic"], "exited"), (&["--fuel=1"], "out-of-fuel")]
    {
        let receipt = home.path("receipt.json");
        let mut command = home.load_command(options, &hello);
        let words = command.get_args().map(ToOwned::to_owned).collect::<Vec<_>>();
        command = Command::new(loader());
        command.current_dir(home.path("")).arg("--receipt").arg(&receipt);
        let _ = run(command.arg("--receipt-key").arg(&key).args(words), b"");
        let envelope: Value =
            serde_json::from_slice(&std::fs::read(&receipt).expect("a receipt")).expect("JSON");
        let payload = envelope["payload"].as_str().expect("a payload");
        let payload = BASE64.decode(payload).expect("base64");
        let signed: Value = serde_json::from_slice(&payload).expect("JSON");
        statement.check_open(&signed);
        report.check(&signed["predicate"]["report"]);
        assert_eq!(signed["predicate"]["report"]["outcome"]["kind"], kind);
        assert!(signed["predicate"]["report"]["digests"].is_object(), "{signed:#}");
        assert_eq!(signed["predicate"].get("finished").is_none(), options == ["--deterministic"]);
    }
}

#[test]
fn each_line_of_a_log_is_as_its_schema_says() {
    let (home, schema) = (Home::new(), Schema::of("log.schema.json"));
    let hello = fixture(&home, "wat/hello.wat");
    let trap = fixture(&home, "wat/trap-unreachable.wat");
    let spin = fixture(&home, "wat/spin.wat");
    let (writer, missing) = (fixture(&home, "wat/write-forever.wat"), home.path("missing.bls"));
    let undeclared = home.compile(&fixtures().join("wat/cat.wat"), &["--needs", "stdin"]);
    let every = ["--fuel=1M", "--timeout=1h", "--max-output=1MiB", "--log-level=debug"];
    let runs: [(&[&str], &Path); 8] = [
        (&every, &hello),
        (&["--deterministic"], &hello),
        (&[], &trap),
        (&["--fuel=30000"], &spin),
        (&["--timeout=200ms"], &spin),
        (&["--max-output=10"], &writer),
        (&["--only-declared"], &undeclared),
        (&[], &missing),
    ];
    let log = home.path("runs.jsonl");
    for (options, artifact) in runs {
        let options = [&["--log", log.to_str().unwrap()], options].concat();
        let _ = home.load(&options, artifact, &[]);
    }
    let mut seen = BTreeSet::new();
    for line in std::fs::read_to_string(&log).unwrap().lines() {
        assert!(line.len() < 4096, "{line}");
        let line: Value = serde_json::from_str(line).expect("JSON");
        schema.check(&line);
        let word = |field: &str| line[field].as_str().unwrap_or("-").to_owned();
        let _ = seen.insert(format!("{} {}", word("event"), word("outcome")));
    }
    let expected = ["run -", "stage -", "withheld -", "refused -", "ended exited", "ended trap"];
    let expected = expected.into_iter().chain(["ended out-of-fuel", "ended limit"]);
    assert_eq!(seen, expected.map(str::to_owned).collect());
}

#[test]
fn what_is_no_report_is_not_taken_for_one() {
    let (home, schema) = (Home::new(), Schema::new());
    let (_, report) = home.report(&[], &fixture(&home, "wat/exit-42.wat"));
    schema.check(&report);
    for (pointer, wrong) in [
        ("/version", json!(2)),
        ("/outcome/kind", json!("ended")),
        ("/outcome/kind", json!("trap")),
        ("/outcome/exit_code", json!(-1)),
        ("/fuel/exact", json!("yes")),
        ("/fuel/metered", json!("no")),
        ("/microseconds/run", json!(null)),
        ("/granted", json!("all")),
        ("/artifact/identity", json!(null)),
    ] {
        let mut changed = report.clone();
        *changed.pointer_mut(pointer).expect(pointer) = wrong;
        assert!(!schema.open.is_valid(&changed), "{pointer}");
    }
}

#[test]
fn a_run_that_time_ends_says_how_far_it_was() {
    let home = Home::new();
    // Works, calls the host once, grows, and spins.
    let text = r#"(module
        (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (memory (export "memory") 1)
        (func (export "_start") (local i32)
            (loop $work
                (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                (br_if $work (i32.lt_u (local.get 0) (i32.const 100000))))
            (drop (call $yield))
            (drop (memory.grow (i32.const 2)))
            (loop $spin (br $spin))))"#;
    let artifact = compile_text(&home, "works", text, &[]);
    let ended = |options: &[&str]| home.report(options, &artifact).1;
    // The same work, ended by fuel a little later, says what it costs at least.
    let report = ended(&["--timeout=1s"]);
    let bound = report["fuel"]["at_least"].as_u64().expect("a bound");
    assert!((300_000..1_000_000).contains(&bound), "{report:#}");
    let enough = (bound + 10).to_string();
    let by_fuel = ended(&["--fuel", &enough]);
    assert_eq!(by_fuel["outcome"]["kind"], "out-of-fuel", "{by_fuel:#}");
    assert_eq!(report["peak_memory_bytes"]["guest"], 3 * 65536, "{report:#}");
    let run = report["microseconds"]["run"].as_u64().expect("a time");
    assert!(run > 10_000 && run <= 10_000_000, "{report:#}");

    // What differs from run to run is left out of what must repeat.
    let report = ended(&["--timeout=1s", "--deterministic"]);
    let instantiation = report["fuel"]["at_least"].as_u64().expect("a bound");
    assert!(instantiation < bound && report.get("peak_memory_bytes").is_none(), "{report:#}");

    // Before its first host call a guest is known to have been instantiated.
    let spin = fixture(&home, "wat/spin.wat");
    let (_, report) = home.report(&["--timeout=300ms"], &spin);
    assert_eq!(report["fuel"]["at_least"], 20_480, "{report:#}");
    // With a budget the bound is never more than that.
    let writer = fixture(&home, "wat/write-forever.wat");
    let report = after_a_signal(&home, &writer);
    assert!(report["fuel"]["at_least"].as_u64().expect("a bound") > 20_480, "{report:#}");
    assert!(report["microseconds"]["run"].is_u64(), "{report:#}");
}
