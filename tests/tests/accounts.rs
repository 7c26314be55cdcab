//! The account of a run: counters that add up over runs however they end, and receipts that are
//! signed by a key which no guest's process has.

use bls_artifact::digest::Sha256;
use bls_artifact::key::PrivateKey;
use bls_tests::programs::{Ended, Home, fixtures, loader, make_fifo, maps_of_a_running_guest, run};
use bls_tests::users::{FreshUser, may_make_users};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A key file that is its owner's alone, and the public half beside it.
fn node_key(folder: &Path) -> PathBuf {
    let (path, key) = (folder.join("node.pem"), PrivateKey::from_seed(&[11; 32]));
    fs::write(&path, key.to_pem()).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::write(folder.join("node.pub"), key.public().to_pem()).unwrap();
    path
}

/// A home with a node's key in it.
fn home() -> Home {
    let home = Home::new();
    let _ = node_key(&home.path(""));
    home
}

const RECEIPT: [&str; 2] = ["--receipt=receipt.json", "--receipt-key=node.pem"];

fn verify(home: &Home, words: &[&str]) -> Ended {
    let mut command = Command::new(loader());
    command.current_dir(home.path("")).args(["verify-receipt", "receipt.json", "--key"]);
    run(command.arg("node.pub").args(words), b"")
}

fn report_of(home: &Home) -> Value {
    serde_json::from_str(&verify(home, &["--json"]).expect(0).text()).expect("JSON")
}

/// The value of a line of a file of metrics.
fn value(path: &Path, series: &str) -> Option<String> {
    let text = fs::read_to_string(path).expect("metrics");
    let mut lines = text.lines();
    let line = lines.find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == series));
    line.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value.to_owned())
}

#[test]
fn counters_add_up_over_runs_however_they_end() {
    let home = home();
    let metrics = home.path("runs.prom");
    let all = [
        ("wat/hello.wat", &[][..], 0, "exited"),
        ("wat/exit-42.wat", &[], 42, "exited"),
        ("wat/trap-unreachable.wat", &[], 134, "trap"),
        ("wat/spin.wat", &["--fuel=30000"], 123, "out-of-fuel"),
        ("wat/spin.wat", &["--timeout=200ms"], 124, "limit"),
        ("wat/unknown-import.wat", &[], 125, "refused"),
    ];
    let mut fuel = 0;
    for (fixture, options, code, kind) in all {
        let artifact = home.fixture(fixture);
        let options = [options, &["--metrics=runs.prom"]].concat();
        let (ended, report) = home.report(&options, &artifact);
        let _ = ended.expect(code);
        assert_eq!(report["outcome"]["kind"], kind, "{fixture}");
        let units = &report["fuel"];
        fuel += units["consumed"].as_u64().or(units["at_least"].as_u64()).unwrap_or(0);
    }
    for (series, expected) in [
        (r#"bls_runs_total{outcome="exited"}"#, "2"),
        (r#"bls_runs_total{outcome="trap"}"#, "1"),
        (r#"bls_runs_total{outcome="out-of-fuel"}"#, "1"),
        (r#"bls_runs_total{outcome="limit"}"#, "1"),
        (r#"bls_runs_total{outcome="refused"}"#, "1"),
        (r#"bls_refusals_total{code="link.unknown-import"}"#, "1"),
        ("bls_fuel_units_total", &fuel.to_string()),
        (r#"bls_host_calls_total{function="wasi_snapshot_preview1.fd_write"}"#, "1"),
        (r#"b7s_executor_function_executions{function="spin"}"#, "2"),
        (r#"b7s_executor_function_executions_ok{function="hello"}"#, "1"),
        (r#"b7s_executor_function_executions_err{function="exit-42"}"#, "1"),
    ] {
        assert_eq!(value(&metrics, series).as_deref(), Some(expected), "{series}");
    }
    let run = value(&metrics, r#"bls_stage_seconds_total{stage="run"}"#).expect("a time");
    assert!(run.parse::<f64>().unwrap() >= 0.19, "one of them ran until its time was over: {run}");

    // Of one run alone, to whoever gave a descriptor.
    let hello = home.fixture("wat/hello.wat");
    let text = home.load(&["--metrics=fd:2", "--deterministic"], &hello, &[]).expect(0).stderr;
    assert!(text.contains("bls_runs_total{outcome=\"exited\"} 1\n"), "{text}");
    assert!(!text.contains("seconds_total"), "by rule no time is said:\n{text}");
}

#[test]
fn many_runs_at_once_are_all_counted() {
    let home = home();
    let artifact = home.fixture("wat/hello.wat");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let _ = home.load(&["--metrics=runs.prom"], &artifact, &[]).expect(0);
                }
            });
        }
    });
    let series = r#"bls_runs_total{outcome="exited"}"#;
    assert_eq!(value(&home.path("runs.prom"), series).as_deref(), Some("40"));
}

#[test]
fn a_receipt_says_what_ran_on_what_and_what_came_out() {
    let home = home();
    let artifact = home.fixture("wat/cat.wat");
    let input = b"some words\n".repeat(20_000);
    fs::write(home.path("input"), &input).unwrap();
    fs::write(home.path("other"), &input[1..]).unwrap();
    let ended = run(home.load_command(&RECEIPT, &artifact).args(["a", "b c"]), &input).expect(0);
    assert_eq!(ended.stdout, input);

    let streams = ["--stdin=input", "--stdout=input", "--stderr=/dev/null"];
    let good = [&streams[..], &["--artifact=cat.bls"]].concat();
    let text = verify(&home, &good).expect(0).text();
    assert!(text.starts_with("cat: exited with 0\n"), "{text}");
    assert!(text.contains(&Sha256::of(&input).to_string()), "{text}");
    let report = report_of(&home);
    let digests = &report["digests"];
    assert_eq!(digests["arguments"], Sha256::of(b"cat.bls\0a\0b c\0").to_string());
    assert_eq!(digests["environment"], Sha256::of(b"").to_string());
    assert_eq!(digests["stdin"]["bytes"], input.len());
    assert_eq!(digests["policies"], json!([]));
    assert!(report["host_calls"]["wasi_snapshot_preview1.fd_write"].as_u64() > Some(0));

    let refused = verify(&home, &["--stdout=other"]).expect(1);
    let _ = refused.says(&["is not what went through stdout", "code: receipt.differs\n"]);
    let _ = home.fixture("wat/hello.wat");
    let refused = verify(&home, &["--artifact=hello.bls"]).expect(1);
    let _ = refused.says(&["the receipt is about sha256:", "code: receipt.differs\n"]);
    let mut command = Command::new(loader());
    command.current_dir(home.path("")).args(["verify-receipt", "receipt.json", "--key"]);
    let refused = run(command.arg(home.public_key()), b"").expect(1);
    let _ = refused.says(&["and not by this key", "code: receipt.signature\n"]);

    // Any byte of it.
    let receipt = fs::read(home.path("receipt.json")).unwrap();
    for at in (0..receipt.len()).step_by(receipt.len() / 20) {
        let mut damaged = receipt.clone();
        damaged[at] ^= 4;
        fs::write(home.path("receipt.json"), damaged).unwrap();
        let _ = verify(&home, &[]).expect(1).says(&["code: receipt."]);
    }
}

#[test]
fn a_policy_and_a_variable_are_in_the_receipt_by_their_digests() {
    let home = home();
    let policy = br#"{"version": 1, "limits": {"fuel": {"max": "1G"}}}"#;
    fs::write(home.path("policy.json"), policy).unwrap();
    let artifact = home.fixture("wat/hello.wat");
    let options = [&RECEIPT[..], &["--policy=policy.json", "--env=A=1", "--env=B="]].concat();
    let _ = home.load(&options, &artifact, &[]).expect(0);
    let digests = &report_of(&home)["digests"];
    assert_eq!(digests["policies"], json!([Sha256::of(policy).to_string()]));
    assert_eq!(digests["environment"], Sha256::of(b"A=1\0B=\0").to_string());
}

#[test]
fn how_a_run_ends_is_in_its_receipt() {
    let home = home();
    for (fixture, options, code, words) in [
        ("wat/trap-divide-by-zero.wat", &[][..], 134, "trapped: "),
        ("wat/spin.wat", &["--fuel=30000"], 123, "out of fuel"),
        ("wat/spin.wat", &["--timeout=200ms"], 124, "stopped by its limit on time"),
        ("wat/unknown-import.wat", &[], 125, "refused: link.unknown-import"),
    ] {
        let artifact = home.fixture(fixture);
        let options = [options, &RECEIPT].concat();
        let _ = home.load(&options, &artifact, &[]).expect(code);
        let text = verify(&home, &[]).expect(0).text();
        assert!(text.lines().next().unwrap().contains(words), "{fixture}: {text}");
        fs::remove_file(home.path("receipt.json")).unwrap();
    }
    // Where no artifact was verified there is nothing to give a receipt for.
    fs::write(home.path("receipt.json"), "an earlier one").unwrap();
    let _ = home.load(&RECEIPT, &home.path("missing.bls"), &[]).expect(125);
    assert!(!home.path("receipt.json").exists(), "and an earlier one is gone");
}

/// Starts a run that does not end by itself, and ends it by this signal.
fn ended_by(home: &Home, signal: Signal, options: &[&str]) {
    let artifact = home.fixture("wat/spin.wat");
    let mut command = home.load_command(options, &artifact);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _ = maps_of_a_running_guest(&child);
    kill_process(Pid::from_child(&child), signal).unwrap();
    let _ = child.wait().unwrap();
}

#[test]
fn a_loader_that_is_killed_leaves_an_account() {
    let home = home();
    let options = [&RECEIPT[..], &["--metrics=runs.prom"]].concat();
    ended_by(&home, Signal::TERM, &options);
    assert_eq!(report_of(&home)["outcome"]["signal"], 15);
    fs::remove_file(home.path("receipt.json")).unwrap();

    ended_by(&home, Signal::KILL, &options);
    // Nobody waits for it then.
    for _ in 0..1000 {
        if home.path("receipt.json").exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let text = verify(&home, &["--artifact=spin.bls"]).expect(0).text();
    assert!(text.starts_with("spin: unfinished"), "{text}");
    let metrics = home.path("runs.prom");
    let count = |kind: &str| value(&metrics, &format!("bls_runs_total{{outcome=\"{kind}\"}}"));
    assert_eq!(count("signal").as_deref(), Some("1"));
    assert_eq!(count("unfinished").as_deref(), Some("1"));
}

#[test]
fn two_users_with_one_key_write_one_receipt_of_a_deterministic_run() {
    if !may_make_users() {
        return;
    }
    let home = home();
    let artifact = home.fixture("c/clock_random.wasm");
    let receipts = [("bls-account-a", 42_171), ("bls-account-b", 42_172)].map(|(name, id)| {
        let user = FreshUser::new(name, id);
        for file in [artifact.clone(), home.public_key(), home.path("node.pem")] {
            let copy = user.home.join(file.file_name().unwrap());
            fs::copy(&file, &copy).unwrap();
            std::os::unix::fs::chown(&copy, Some(id), Some(id)).unwrap();
        }
        let mut command = user.command(&loader());
        command.args(["--trust=test.pub", "--deterministic", "--seed=5", "--env=A=1"]);
        let _ = run(command.args(RECEIPT).arg("clock_random.bls").arg("word"), b"").expect(0);
        fs::read(user.home.join("receipt.json")).expect("a receipt")
    });
    assert_eq!(receipts[0], receipts[1]);
    // Another seed's is another.
    fs::write(home.path("receipt.json"), &receipts[0]).unwrap();
    assert!(verify(&home, &[]).expect(0).text().contains("by rule the run is the same"));
    let options = [&RECEIPT[..], &["--deterministic", "--seed=6", "--env=A=1"]].concat();
    let _ = home.load(&options, &artifact, &["word"]).expect(0);
    assert_ne!(fs::read(home.path("receipt.json")).unwrap(), receipts[0]);
}

#[test]
fn a_policy_keeps_the_account_of_every_run() {
    let home = home();
    fs::create_dir(home.path("receipts")).unwrap();
    let policy = json!({ "version": 1, "account": {
        "metrics": home.path("runs.prom"), "receipts": home.path("receipts"),
        "key": home.path("node.pem"),
    }});
    fs::write(home.path("policy.json"), policy.to_string()).unwrap();
    let artifact = home.fixture("wat/hello.wat");
    for _ in 0..3 {
        let _ = home.load(&["--policy=policy.json"], &artifact, &[]).expect(0);
    }
    let options = [&RECEIPT[..], &["--policy=policy.json", "--metrics=own.prom"]].concat();
    let _ = home.load(&options, &artifact, &[]).expect(0);
    let series = r#"bls_runs_total{outcome="exited"}"#;
    assert_eq!(value(&home.path("runs.prom"), series).as_deref(), Some("4"));
    assert_eq!(value(&home.path("own.prom"), series).as_deref(), Some("1"));
    let receipts: Vec<_> = fs::read_dir(home.path("receipts")).unwrap().collect();
    assert_eq!(receipts.len(), 4);
    for receipt in receipts {
        fs::copy(receipt.unwrap().path(), home.path("receipt.json")).unwrap();
        let _ = verify(&home, &["--artifact=hello.bls"]).expect(0);
    }

    // Whom the operator has it kept by is not the caller's to say.
    let options = ["--policy=policy.json", "--account=/bin/true"];
    let ended = home.load(&options, &artifact, &[]).expect(125);
    let _ = ended.says(&["policy.json does not allow --account\n", "code: policy.not-allowed\n"]);

    let half = json!({ "version": 1, "account": { "receipts": home.path("receipts") } });
    fs::write(home.path("policy.json"), half.to_string()).unwrap();
    let ended = home.load(&["--policy=policy.json"], &artifact, &[]).expect(125);
    let _ = ended.says(&["come together", "code: policy.json\n"]);
}

#[test]
fn without_an_account_that_was_asked_for_nothing_runs() {
    let home = home();
    let artifact = home.fixture("wat/hello.wat");
    fs::write(home.path("precious"), "kept").unwrap();
    symlink("precious", home.path("link")).unwrap();
    fs::create_dir(home.path("folder")).unwrap();
    make_fifo(&home.path("fifo"));
    for (options, words, code) in [
        (
            &["--receipt=no/r", "--receipt-key=node.pem"][..],
            "cannot write to no/r",
            "account.refused",
        ),
        (&["--receipt=r", "--receipt-key=missing"], "missing: No such file", "account.refused"),
        (&["--receipt=r", "--receipt-key=node.pub"], "a public key", "account.refused"),
        (
            &["--receipt=r", "--receipt-key=node.pem", "--account=no"],
            "cannot start no",
            "account.start",
        ),
        (&["--metrics=no/m"], "cannot write to no/m", "account.refused"),
        (&["--metrics=precious"], "line 1 is no metric", "account.refused"),
        (&["--metrics=link"], "line 1 is no metric", "account.refused"),
        (&["--metrics=folder"], "it is there, and is no file", "account.refused"),
        (&["--receipt=fifo", "--receipt-key=node.pem"], "is no file", "account.refused"),
        (&["--receipt=r", "--receipt-key=folder"], "it is no file", "account.refused"),
        (&["--receipt=r", "--receipt-key=fifo"], "it is no file", "account.refused"),
        (&["--metrics=fd:77"], "descriptor 77", "account.refused"),
        (&["--metrics=m", "--account=/bin/true"], "does not answer", "account.silent"),
        (&["--receipt=r"], "is to be signed", "usage.words"),
        (&["--receipt=hello.bls", "--receipt-key=node.pem"], "would replace", "usage.same-file"),
    ] {
        let ended = home.load(options, &artifact, &[]).expect(125);
        assert!(ended.stdout.is_empty(), "{options:?}");
        let _ = ended.says(&[words, "hint: ", &format!("code: {code}\n")]);
    }
    assert_eq!(fs::read_to_string(home.path("precious")).unwrap(), "kept");
    fs::set_permissions(home.path("node.pem"), Permissions::from_mode(0o644)).unwrap();
    let ended = home.load(&RECEIPT, &artifact, &[]).expect(125);
    let _ = ended.says(&["others may read or write it", "chmod 600"]);
    let left: Vec<_> = fs::read_dir(home.path("")).unwrap().flatten().collect();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().starts_with('.')));
}

#[test]
fn what_cannot_be_written_at_the_end_fails_the_run() {
    let home = home();
    let artifact = home.compile(&fixtures().join("wat/read-stdin-forever.wat"), &[]);
    fs::create_dir(home.path("gone")).unwrap();
    let options = ["--receipt=gone/receipt.json", "--receipt-key=node.pem"];
    let mut command = home.load_command(&options, &artifact);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = maps_of_a_running_guest(&child);
    fs::remove_dir_all(home.path("gone")).unwrap();
    drop(child.stdin.take());
    let ended: Ended = child.wait_with_output().unwrap().into();
    let _ = ended.expect(125).says(&["wrote no account of this run", "code: account.unwritten\n"]);
}
