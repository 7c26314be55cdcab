//! The log of runs (`--log`, `--log-level`, and `"log"` in a policy): where lines go, which of them
//! are written, and what a guest can do to them. Their form is `tests/schema`'s.

use bls_tests::installed::is_root;
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, run};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// The lines of a log.
fn lines(path: &Path) -> Vec<Value> {
    let all = fs::read_to_string(path).expect("a log");
    assert!(all.is_empty() || all.ends_with('\n'), "{all}");
    all.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn events(path: &Path) -> Vec<String> {
    let name = |line: &Value| line["event"].as_str().expect("an event").to_owned();
    lines(path).iter().map(name).collect()
}

/// A socket that hears datagrams.
fn listener(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    socket
}

fn hear(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 8192];
    let count = socket.recv(&mut bytes).expect("a datagram");
    String::from_utf8(bytes[..count].to_vec()).expect("text")
}

/// bls-load by a shell, with this redirection.
fn redirected(home: &Home, redirection: &str, options: &[&str], artifact: &Path) -> Ended {
    let command = home.load_command(options, artifact);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("exec \"$@\" {redirection}")).arg("sh");
    shell.arg(command.get_program()).args(command.get_args());
    run(&mut shell, b"")
}

#[test]
fn a_file_gets_a_line_for_each_event_and_keeps_those_of_earlier_runs() {
    let home = Home::new();
    let hello = home.fixture("wat/hello.wat");
    let log = home.path("runs.jsonl");
    let options = ["--log", text(&log)];
    assert_eq!(home.load(&options, &hello, &[]).expect(0).stderr, "");
    let mode = fs::metadata(&log).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it is this user's");
    let all = lines(&log);
    let [began, ended] = &all[..] else { panic!("{all:?}") };
    let inspected = Command::new(compiler()).args(["inspect", "--json"]).arg(&hello).output();
    let inspected: Value = serde_json::from_slice(&inspected.unwrap().stdout).unwrap();
    let identity = format!("sha256:{}", inspected["identity"].as_str().unwrap());
    for line in [began, ended] {
        assert_eq!((&line["name"], &line["identity"]), (&json!("hello"), &json!(identity)));
        assert_eq!(line["pid"], began["pid"]);
    }
    assert_eq!((&began["event"], &began["level"]), (&json!("run"), &json!("info")));
    assert_eq!(began["memory_limit_bytes"], 1 << 30);
    assert_eq!((&ended["event"], &ended["outcome"]), (&json!("ended"), &json!("exited")));
    let (_, report) = home.report(&[], &hello);
    assert_eq!(ended["fuel"], report["fuel"]["consumed"]);
    assert_eq!(ended["peak_memory_bytes"], report["peak_memory_bytes"]["guest"]);

    // What did not run, and what did not end well, each with its level.
    let trap = home.fixture("wat/trap-unreachable.wat");
    let _ = home.load(&options, &trap, &[]).expect(134);
    let _ = Home::with_seed(9).load(&options, &hello, &[]).expect(125);
    let all = lines(&log);
    let [_, _, _, trapped, refused] = &all[..] else { panic!("{all:?}") };
    assert_eq!((&trapped["level"], &trapped["trap"]), (&json!("warn"), &json!("unreachable")));
    assert_eq!((&refused["level"], &refused["event"]), (&json!("error"), &json!("refused")));
    assert_eq!(refused["code"], "signature.unknown-key");
    assert!(refused.get("identity").is_none(), "nothing was verified: {refused}");
}

#[test]
fn a_level_takes_what_matters_as_much_and_more() {
    let home = Home::new();
    let hello = home.fixture("wat/hello.wat");
    let trap = home.fixture("wat/trap-unreachable.wat");
    for (level, of_hello, of_trap) in [
        ("error", &[][..], &[][..]),
        ("warn", &[], &["ended"]),
        ("info", &["run", "ended"], &["run", "ended"]),
    ] {
        for (artifact, code, expected) in [(&hello, 0, of_hello), (&trap, 134, of_trap)] {
            let log = home.path(&format!("{level}-{code}"));
            let options = ["--log", text(&log), "--log-level", level];
            let _ = home.load(&options, artifact, &[]).expect(code);
            assert_eq!(events(&log), expected, "{level}");
        }
    }
    let log = home.path("all");
    let _ = home.load(&["--log", text(&log), "--log-level=debug"], &hello, &[]).expect(0);
    let all = lines(&log);
    let of_stages = all.iter().filter(|line| line["event"] == "stage");
    let stages: Vec<&str> = of_stages.map(|line| line["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["policy", "open", "verify", "grant", "map", "link", "confine", "run"]);
    assert_eq!(all.last().unwrap()["event"], "ended");
    // Something that it may use and does not get.
    let cat = home.compile(&fixtures().join("wat/cat.wat"), &["--needs", "stdin"]);
    let log = home.path("withheld");
    let options = ["--log", text(&log), "--log-level=warn", "--only-declared"];
    let ended = home.load(&options, &cat, &[]);
    assert!(ended.stderr.contains("may use more than it gets"), "{}", ended.stderr);
    let withheld = &lines(&log)[0];
    assert_eq!((&withheld["event"], &withheld["level"]), (&json!("withheld"), &json!("warn")));
    assert_eq!(withheld["capabilities"], json!(["stdout", "stderr"]));

    for (options, says) in [
        (&["--log-level", "warn"][..], "means nothing without --log"),
        (&["--log", "stderr", "--log-level", "loud"], "takes error, warn, info or debug"),
        (&["--log", "fd:x"], "--log takes stderr, syslog, journald, fd:N"),
        (&["--log", "journald:socket"], "--log takes stderr, syslog, journald, fd:N"),
    ] {
        let _ = home.load(options, &hello, &[]).expect(125).says(&[says, "code: usage.words\n"]);
    }
}

#[test]
fn journald_gets_fields_in_its_own_protocol() {
    let home = Home::new();
    let hello = home.fixture("wat/hello.wat");
    let path = home.path("journal");
    let socket = listener(&path);
    let to = format!("journald:{}", path.display());
    let _ = home.load(&["--log", &to], &hello, &[]).expect(0);
    let (began, ended) = (hear(&socket), hear(&socket));
    for (heard, event) in [(&began, "run"), (&ended, "ended")] {
        for line in [
            "PRIORITY=6\n",
            "SYSLOG_IDENTIFIER=bls-load\n",
            &format!("BLS_EVENT={event}\n"),
            "BLS_NAME=hello\n",
            &format!("MESSAGE={event}: name=hello "),
        ] {
            assert!(heard.contains(line), "{line}{heard}");
        }
        assert!(heard.lines().all(|line| line.contains('=')) && heard.ends_with('\n'), "{heard}");
    }
    assert!(ended.contains("\nBLS_OUTCOME=exited\nBLS_EXIT_CODE=0\nBLS_FUEL="), "{ended}");
    let _ = Home::with_seed(9).load(&["--log", &to], &hello, &[]).expect(125);
    let refused = hear(&socket);
    assert!(refused.contains("PRIORITY=3\n"), "{refused}");
    assert!(refused.contains("BLS_CODE=signature.unknown-key\n"), "{refused}");

    // Without who listens nothing runs.
    drop(socket);
    let ended = home.load(&["--log", &to], &hello, &[]).expect(125);
    let ended = ended.says(&["bls-load: log: cannot log this run to", "code: log.system\n"]);
    assert!(ended.stdout.is_empty());
}

#[test]
fn a_descriptor_that_came_open_is_written_to_and_no_guest_has_it() {
    let home = Home::new();
    let hello = home.fixture("wat/hello.wat");
    let log = home.path("log");
    let to = format!("3>>'{}'", log.display());
    for _ in 0..2 {
        let _ = redirected(&home, &to, &["--log", "fd:3"], &hello).expect(0);
    }
    assert_eq!(events(&log), ["run", "ended", "run", "ended"]);
    let _ = redirected(&home, "3</dev/null", &["--log", "fd:3"], &hello)
        .expect(125)
        .says(&["cannot log this run to descriptor 3", "code: log.system\n"]);
    let _ = redirected(&home, "3>&-", &["--log", "fd:3"], &hello).expect(125);

    // A guest that writes to every number there is, and to what it is granted.
    let writer = r#"(module
      (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\10\00\00\00\07\00\00\00") (data (i32.const 16) "forged\n")
      (func (export "_start") (local $number i32)
        (local.set $number (i32.const 3))
        (loop $again
          (drop (call $write (local.get $number) (i32.const 0) (i32.const 1) (i32.const 8)))
          (local.set $number (i32.add (local.get $number) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $number) (i32.const 64))))))"#;
    fs::write(home.path("writer.wat"), writer).unwrap();
    let writer = home.compile(&home.path("writer.wat"), &[]);
    let _ = redirected(&home, &to, &["--log", "fd:3"], &writer).expect(0);
    let all = fs::read_to_string(&log).unwrap();
    assert!(!all.contains("forged"), "{all}");
    assert_eq!(events(&log).len(), 6);
}

#[test]
fn a_policy_has_every_run_logged_and_no_log_no_run() {
    let home = Home::new();
    let hello = home.fixture("wat/hello.wat");
    let (log, policy) = (home.path("runs.jsonl"), home.path("policy.json"));
    let policy_of = |text: String| fs::write(&policy, text).unwrap();
    let to = text(&log);
    policy_of(format!(r#"{{"version": 1, "log": "{to}", "log-level": "warn"}}"#));
    let options = ["--policy", text(&policy)];
    let _ = home.load(&options, &hello, &[]).expect(0);
    assert!(events(&log).is_empty());
    // The same place, by an option too: the level that takes more, and each line once.
    let both = [&options[..], &["--log", to]].concat();
    let _ = home.load(&both, &hello, &[]).expect(0);
    assert_eq!(events(&log), ["run", "ended"]);
    // A policy that cannot be read is in the log that an option names.
    policy_of(r#"{"version": 1, "log": "runs.jsonl"}"#.to_owned());
    let _ = home.load(&both, &hello, &[]).expect(125).says(&["log takes stderr, syslog, journald"]);
    assert_eq!(lines(&log)[2]["code"], "policy.json");

    policy_of(r#"{"version": 1, "log": "/no/such/folder/runs.jsonl"}"#.to_owned());
    let ended = home.load(&options, &hello, &[]).expect(125);
    let _ = ended.says(&["cannot log this run to /no/such/folder", "code: log.system\n"]);
    // A log that takes no line takes no run.
    if Path::new("/dev/full").exists() {
        let ended = home.load(&["--log", "/dev/full"], &hello, &[]).expect(125);
        assert!(ended.stdout.is_empty());
        let _ = ended.says(&["cannot log this run to /dev/full", "code: log.system\n"]);
    }
    let same = ["--log", text(&hello)];
    let _ = home.load(&same, &hello, &[]).expect(125).says(&["would replace", "usage.same-file"]);
}

#[test]
fn a_run_that_a_signal_ends_has_its_last_line() {
    let home = Home::new();
    let spin = home.fixture("wat/spin.wat");
    let log = home.path("log");
    let mut command = Command::new("timeout");
    command.args(["--preserve-status", "1"]).arg(loader()).arg("--trust").arg(home.public_key());
    let _ = run(command.args(["--log", text(&log)]).arg(&spin), b"").expect(143);
    let all = lines(&log);
    let last = all.last().unwrap();
    assert_eq!((&last["outcome"], &last["signal"]), (&json!("signal"), &json!(15)), "{all:?}");
    if !is_root() {
        let folder = home.path("sealed");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
        let to = folder.join("log");
        let _ = home.load(&["--log", text(&to)], &spin, &[]).expect(125).says(&["log.system"]);
    }
}
