//! What a guest gets, and what it does not: needs, policies, withheld defaults.
//!
//! May assume the two programs. Asserts on exit codes, on what the guest itself saw
//! (its exit code is the errno it got) and on the sentences a person reads.

use bls_tests::programs::{Home, fixtures, run};
use serde_json::json;
use std::path::{Path, PathBuf};

/// A module that ends with the errno of one call. `call` is its expression.
fn errno_of(home: &Home, name: &str, import: &str, call: &str) -> PathBuf {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" {import})
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\20\00\00\00\04\00\00\00")
            (func (export "_start") (call $exit {call})))"#
    );
    let path = home.path(&format!("{name}.wat"));
    std::fs::write(&path, text).unwrap();
    home.compile(&path, &[])
}

const FD: &str = "(func $f (param i32 i32 i32 i32) (result i32))";
const PERM: i32 = 63;
const BADF: i32 = 8;

#[test]
fn each_default_can_be_denied() {
    let home = Home::new();
    let read = errno_of(
        &home,
        "read",
        &format!("\"fd_read\" {FD}"),
        "(call $f (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16))",
    );
    let write = |stream| {
        errno_of(
            &home,
            &format!("write{stream}"),
            &format!("\"fd_write\" {FD}"),
            &format!("(call $f (i32.const {stream}) (i32.const 0) (i32.const 1) (i32.const 16))"),
        )
    };
    let clock = |clock| {
        errno_of(
            &home,
            &format!("clock{clock}"),
            "\"clock_time_get\" (func $f (param i32 i64 i32) (result i32))",
            &format!("(call $f (i32.const {clock}) (i64.const 0) (i32.const 16))"),
        )
    };
    let random = errno_of(
        &home,
        "random",
        "\"random_get\" (func $f (param i32 i32) (result i32))",
        "(call $f (i32.const 16) (i32.const 4))",
    );
    let arguments = errno_of(
        &home,
        "arguments",
        "\"args_sizes_get\" (func $f (param i32 i32) (result i32))",
        "(i32.add (call $f (i32.const 16) (i32.const 20)) (i32.load (i32.const 16)))",
    );
    for (capability, artifact, granted, denied) in [
        ("stdin", read, 0, BADF),
        ("stdout", write(1), 0, BADF),
        ("stderr", write(2), 0, BADF),
        ("clock.wall", clock(0), 0, PERM),
        ("clock.monotonic", clock(1), 0, PERM),
        ("random", random, 0, PERM),
        // Not an errno but how many there are: the name of the artifact alone.
        ("arguments", arguments, 1, 0),
    ] {
        let _ = home.load(&[], &artifact, &[]).expect(granted);
        let _ = home.load(&["--deny", capability], &artifact, &[]).expect(denied);
        let (_, report) = home.report(&["--deny", capability], &artifact);
        let granted = report["granted"].as_array().unwrap();
        assert_eq!(granted.len(), 6, "{report}");
        assert!(!granted.contains(&json!(capability)), "{report}");
    }
}

#[test]
fn a_denied_stream_keeps_its_number() {
    let home = Home::new();
    // Opens a file, and ends with its number.
    let text = r#"(module
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "file")
        (func (export "_start")
            (drop (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4)
                (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))
            (call $exit (i32.load (i32.const 16)))))"#;
    let path = home.path("open.wat");
    std::fs::write(&path, text).unwrap();
    let artifact = home.compile(&path, &[]);
    let _ = home.load(&["--dir", ".", "--deny", "stdout,stderr"], &artifact, &[]).expect(4);
    let _ =
        home.load(&["--deny", "fs.read"], &artifact, &[]).expect(125).says(&["granted by default"]);
}

#[test]
fn a_need_that_is_not_granted_is_named() {
    let home = Home::new();
    let files = fixtures().join("c/files.wasm");
    let artifact = home.compile(&files, &["--needs", "fs.write:/data"]);
    let missing = "files.bls needs fs.write:/data, which is not granted";
    let hint = "hint: grant it: --dir HOST::/data";
    let _ = home.load(&[], &artifact, &[]).expect(125).says(&["bls-load: grant: ", missing, hint]);
    std::fs::create_dir_all(home.path("d/inner")).unwrap();
    for options in [
        &["--dir-ro", "d::/data"][..],
        &["--dir", "d::/database"],
        &["--dir", "d::data"],
        // The innermost folder decides.
        &["--dir", "d::/", "--dir-ro", "d/inner::/data"],
    ] {
        let _ = home.load(options, &artifact, &[]).expect(125).says(&[missing, hint]);
    }
    for options in
        [&["--dir", "d::/data"][..], &["--dir", "d::/", "--dir-ro", "d/inner::/data/inner"]]
    {
        // The guest starts; whether it finds its folder "." there is its own affair.
        let ended = home.load(options, &artifact, &[]);
        assert!(matches!(ended.code, Some(0 | 1)), "{options:?}: {ended:?}");
    }
    let (ended, report) = home.report(&[], &artifact);
    let _ = ended.expect(125);
    assert_eq!(report["outcome"]["kind"], "refused", "{report}");
    assert_eq!(report["outcome"]["error"]["stage"], "grant", "{report}");
}

#[test]
fn every_kind_of_need() {
    let home = Home::new();
    let path = fixtures().join("c/environ.wasm");
    let artifact = home.compile(&path, &["--needs", "env:TOKEN,stdout"]);
    let _ = home.load(&[], &artifact, &[]).expect(125).says(&["env:TOKEN", "--env TOKEN=VALUE"]);
    let ended = home.load(&["--env", "TOKEN=x"], &artifact, &[]).expect(0);
    assert!(ended.text().contains("TOKEN=x"), "{}", ended.text());
    let denied = ["--env", "TOKEN=x", "--deny", "stdout"];
    let _ =
        home.load(&denied, &artifact, &[]).expect(125).says(&["stdout", "leave out --deny stdout"]);
    let http = home.compile(&path, &["--needs", "http,extension:gpu"]);
    let _ = home.load(&[], &http, &[]).expect(125).says(&[
        "http and extension:gpu",
        "--allow-net",
        "--allow-extension gpu",
    ]);
}

#[test]
fn needs_can_stand_in_a_file() {
    let home = Home::new();
    let module = fixtures().join("c/files.wasm");
    let policy = home.path("needs.json");
    std::fs::write(&policy, r#"{"version": 1, "needs": ["fs.read:/b", "fs.read:/a"]}"#).unwrap();
    let artifact = home.compile(&module, &["--policy", policy.to_str().unwrap()]);
    let inspected = run(
        std::process::Command::new(bls_tests::programs::compiler()).arg("inspect").arg(&artifact),
        b"",
    );
    let text = inspected.expect(0).text();
    assert!(text.contains("needs      fs.read:/a\nneeds      fs.read:/b\n"), "{text}");
    let verified = run(
        std::process::Command::new(bls_tests::programs::loader())
            .args(["--trust".as_ref(), home.public_key().as_os_str(), "verify".as_ref()])
            .arg(&artifact),
        b"",
    );
    assert!(verified.expect(0).text().contains("needs     fs.read:/a\n"));

    let refused = |options: &[&str], words: &[&str]| {
        let _ = run(home.compile_command(&module).args(options), b"").expect(1).says(words);
    };
    refused(&["--needs", "random"], &["imports nothing that could use random", "hint: "]);
    refused(&["--needs", "fs.read"], &["does not say which path", "--needs fs.read:PATH"]);
    refused(&["--policy", "none.json"], &["none.json", "hint: "]);
    std::fs::write(&policy, "{}").unwrap();
    refused(&["--policy", policy.to_str().unwrap()], &["not a policy", "version"]);
    let _ = run(home.compile_command(&module).args(["--needs", "files"]), b"")
        .expect(2)
        .says(&["no capability \"files\"", "fs.read"]);
}

#[test]
fn only_what_is_declared() {
    let home = Home::new();
    let path = fixtures().join("c/environ.wasm");
    let artifact = home.compile(&path, &["--needs", "stdout,arguments,env:A"]);
    let (ended, report) = home.report(&["--only-declared", "--env", "A=1"], &artifact);
    let _ = ended.expect(0);
    assert_eq!(report["granted"], json!(["arguments", "stdout", "env:A"]), "{report}");
    let more = ["--only-declared", "--env", "A=1", "--env", "B=2"];
    let _ = home
        .load(&more, &artifact, &[])
        .expect(125)
        .says(&["env:B", "--needs arguments,env:A,env:B,stdout"]);
    let folder = ["--only-declared", "--env", "A=1", "--dir-ro", ".::/x"];
    let _ = home
        .load(&folder, &artifact, &[])
        .expect(125)
        .says(&["fs.read:/x", ",fs.read:/x app.wasm"]);
    let input = ["--only-declared", "--env", "A=1", "--stdin", "text:x"];
    let _ = home.load(&input, &artifact, &[]).expect(125).says(&["stdin"]);
}

/// Else a guest that declares nothing is only silent, and nobody knows why.
#[test]
fn what_a_guest_may_use_and_does_not_get_is_said() {
    let home = Home::new();
    let hello = fixtures().join("wat/hello.wat");
    let artifact = home.compile(&hello, &[]);
    let silent = home.load(&["--only-declared"], &artifact, &[]);
    assert!(silent.stdout.is_empty());
    let _ = silent.says(&[
        "hello.bls may use more than it gets: \
         it does not declare that it needs stdout,stderr\n",
        "hint: bls-compile --needs stdout,stderr app.wasm declares it; \
         --deny stdout,stderr keeps it back without a word\n",
    ]);
    // What the hints say: to declare it, and to mean it.
    let declared = home.compile(&hello, &["--needs", "stdout,stderr"]);
    let ended = home.load(&["--only-declared"], &declared, &[]).expect(0);
    assert_eq!((ended.text().as_str(), ended.stderr.as_str()), ("hello\n", ""));
    let artifact = home.compile(&hello, &[]);
    let meant = home.load(&["--only-declared", "--deny", "stdout,stderr"], &artifact, &[]);
    assert_eq!((meant.text().as_str(), meant.stderr.as_str()), ("", ""));
    // What was taken away by name needs no word, and what it cannot use neither.
    let denied = home.load(&["--deny", "stdin,random"], &artifact, &[]).expect(0);
    assert_eq!((denied.text().as_str(), denied.stderr.as_str()), ("hello\n", ""));

    let file = policy(
        &home,
        r#"{"version": 1, "require": ["only-declared"], "allow": ["stdin", "stdout", "env:A"],
            "env": {"A": "1"}, "folders": [{"host": "/", "guest": "/data"}]}"#,
    );
    let bounded = home.load(&["--policy", &file], &artifact, &[]);
    let _ = bounded.says(&[
        "it does not declare that it needs stdout; ",
        "policy.json does not allow stderr\n",
        "--deny stdout,stderr",
    ]);
    let environ = home.compile(&fixtures().join("c/environ.wasm"), &["--needs", "stdout"]);
    let ended = home.load(&["--policy", &file], &environ, &[]);
    let _ = ended.says(&["environ.bls may use more than it gets: ", "env:A"]);
}

#[test]
fn what_an_operator_can_demand() {
    let home = Home::new();
    let hello = fixtures().join("wat/hello.wat");
    let plain = home.compile(&hello, &["--no-fuel", "--fast-nans"]);
    for (option, words) in [
        ("--require-fuel", ["not metered", "--no-fuel"]),
        ("--require-deterministic", ["NaNs", "--fast-nans"]),
        ("--deterministic", ["NaNs", "--fast-nans"]),
    ] {
        let _ = home.load(&[option], &plain, &[]).expect(125).says(&words);
    }
    let _ = home.load(&[], &plain, &[]).expect(0);
    let good = home.compile(&hello, &[]);
    let _ = home.load(&["--require-fuel", "--require-deterministic"], &good, &[]).expect(0);
}

#[test]
fn what_is_granted_is_named_by_whatever_name_it_has() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    std::fs::create_dir(home.path("d")).unwrap();
    for (options, named) in [
        (&["--dir", ".."][..], &["fs.write:.."][..]),
        (&["--dir-ro", "../.", "--dir", "d"], &["fs.read:../.", "fs.write:d"]),
        (&["--dir-ro", "d::../../x"], &["fs.read:../../x"]),
        (&["--dir", "d::a\nb"], &["fs.write:a\nb"]),
        (&["--dir", "d/"], &["fs.write:d"]),
    ] {
        let explained: Vec<&str> = options.iter().copied().chain(["--explain"]).collect();
        let (ended, report) = home.report(&explained, &artifact);
        let ended = ended.expect(0);
        let granted = report["granted"].as_array().unwrap();
        let folders: Vec<&str> = granted
            .iter()
            .map(|name| name.as_str().unwrap())
            .filter(|name| name.starts_with("fs."))
            .collect();
        assert_eq!(folders, named, "{options:?}");
        let _ = ended.says(&[&named.join(", ").replace('\n', "?")]);
    }
}

#[test]
fn a_folder_of_the_kernels_is_refused_by_name() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    std::os::unix::fs::symlink("/proc/self", home.path("link")).unwrap();
    for (option, folder, filesystem) in [
        ("--dir", "/proc", "procfs"),
        ("--dir-ro", "/proc/self/", "procfs"),
        ("--dir-ro", "link::/data", "procfs"),
        ("--dir", "/proc/self/fd", "procfs"),
        ("--dir-ro", "/sys/kernel", "sysfs"),
    ] {
        let (ended, report) = home.report(&[option, folder], &artifact);
        let _ =
            ended.expect(125).says(&["bls-load: grant: ", filesystem, "hint: ", "--stdin FILE"]);
        assert_eq!(report["outcome"]["error"]["code"], "grant.kernel", "{report}");
    }
    let file = policy(&home, r#"{"version": 1, "folders": [{"host": "/proc", "guest": "/x"}]}"#);
    let _ = home.load(&["--policy", &file], &artifact, &[]).expect(125).says(&["grant.kernel"]);
}

#[test]
fn one_folder_is_not_granted_to_be_changed_and_only_to_be_read() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    std::fs::create_dir_all(home.path("d/inner")).unwrap();
    std::os::unix::fs::symlink("d", home.path("same")).unwrap();
    for options in [
        ["--dir", "d::/a", "--dir-ro", "d::/b"],
        ["--dir-ro", "d::/a", "--dir", "same::/b"],
        ["--dir", "d::/a", "--dir-ro", "d/inner/..::/b"],
    ] {
        let ended = home.load(&options, &artifact, &[]).expect(125);
        let _ = ended.says(&["/a and fs.", "one folder", "hint: ", "code: grant.contradiction"]);
    }
    for options in [
        ["--dir", "d::/a", "--dir-ro", "d/inner::/b"],
        ["--dir-ro", "d::/a", "--dir", "d/inner::/b"],
        ["--dir-ro", "d::/a", "--dir-ro", "d::/b"],
        // Of two with one name the last counts.
        ["--dir-ro", "d::/a", "--dir", "d::/a"],
    ] {
        let _ = home.load(&options, &artifact, &[]).expect(0);
    }
}

/// A policy file in this home.
fn policy(home: &Home, text: &str) -> String {
    let path = home.path("policy.json");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_policy_sets_defaults_and_bounds() {
    let home = Home::new();
    let spin = home.fixture("wat/spin.wat");
    let file =
        policy(&home, r#"{"version": 1, "limits": {"fuel": {"default": 1000, "max": 5000}}}"#);
    let (ended, report) = home.report(&["--policy", &file], &spin);
    let _ = ended.expect(123);
    assert_eq!(report["limits"]["fuel"], 1000, "{report}");
    let (ended, report) = home.report(&["--policy", &file, "--fuel", "5000"], &spin);
    let _ = ended.expect(123);
    assert_eq!(report["fuel"]["consumed"], 5000, "{report}");
    let beyond = ["--policy", &file, "--fuel", "5001"];
    let _ = home.load(&beyond, &spin, &[]).expect(125).says(&[
        "bls-load: policy: ",
        "--fuel asks for 5001",
        "at most 5000",
        "hint: ask for less",
    ]);
    for (limits, outcome) in [
        (r#"{"timeout_ms": {"max": 100}}"#, "time"),
        (r#"{"memory_bytes": {"max": 1024}}"#, "memory"),
    ] {
        let file = policy(&home, &format!(r#"{{"version": 1, "limits": {limits}}}"#));
        let (ended, report) = home.report(&["--policy", &file], &spin);
        let _ = ended.expect(124);
        assert_eq!(report["outcome"]["limit"], outcome, "{report}");
    }
    for (option, value, limits) in [
        ("--timeout", "2s", r#"{"timeout_ms": {"max": 1999}}"#),
        ("--max-memory", "2KiB", r#"{"memory_bytes": {"max": 1024}}"#),
        ("--max-stack", "1MiB", r#"{"stack_bytes": {"max": 65536}}"#),
        ("--max-output", "2KiB", r#"{"output_bytes": {"max": 1024}}"#),
        ("--max-descriptors", "9", r#"{"descriptors": {"max": 8}}"#),
    ] {
        let file = policy(&home, &format!(r#"{{"version": 1, "limits": {limits}}}"#));
        let options = ["--policy", &file, option, value];
        let _ = home.load(&options, &spin, &[]).expect(125).says(&[option, "at most", "hint: "]);
    }
}

#[test]
fn a_policy_bounds_what_is_granted() {
    let home = Home::new();
    let artifact = home.fixture("c/environ.wasm");
    let real = home.path("").canonicalize().unwrap();
    std::fs::create_dir_all(real.join("in/side")).unwrap();
    std::fs::create_dir_all(real.join("out")).unwrap();
    std::os::unix::fs::symlink(real.join("out"), real.join("in/link")).unwrap();
    let text = json!({
        "version": 1,
        "allow": ["arguments", "stdout", "env:A", format!("fs.read:{}", real.join("in").display())],
        "folders": [{ "host": real.join("in"), "guest": "/in" }],
        "env": { "A": "policy", "B": "not allowed" },
    });
    let file = policy(&home, &text.to_string());
    let with = |options: &[&str]| {
        let all: Vec<&str> = ["--policy", &file].iter().chain(options).copied().collect();
        home.report(&all, &artifact)
    };
    let (ended, report) = with(&[]);
    let _ = ended.expect(0);
    assert_eq!(
        report["granted"],
        json!(["arguments", "stdout", "env:A", "fs.read:/in"]),
        "{report}"
    );
    let (ended, report) = with(&["--env", "A=mine", "--dir-ro", "in/side::/x"]);
    assert!(ended.expect(0).text().contains("A=mine"));
    assert_eq!(report["granted"].as_array().unwrap().len(), 5, "{report}");
    for (options, what) in [
        (&["--env", "B=1"][..], "env:B"),
        (&["--dir", "in::/x"], "fs.write:"),
        (&["--dir-ro", "out::/x"], "fs.read:"),
        // Where it really is counts.
        (&["--dir-ro", "in/link::/x"], "/out"),
        (&["--dir-ro", "in/../out::/x"], "/out"),
        (&["--stdin", "null"], "stdin"),
    ] {
        let (ended, report) = with(options);
        let _ = ended.expect(125).says(&["policy.json does not allow", what, "hint: "]);
        assert_eq!(report["outcome"]["kind"], "refused", "{report}");
    }
    let needy = home.compile(&fixtures().join("c/clock_random.wasm"), &["--needs", "random"]);
    let _ = home
        .load(&["--policy", &file], &needy, &[])
        .expect(125)
        .says(&["needs random", "policy.json"]);
}

#[test]
fn a_policy_that_is_none_stops_the_run() {
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    for (text, word) in [
        ("", "EOF"),
        ("[]", "not a policy"),
        (r#"{"version": 7}"#, "version 7"),
        (r#"{"version": 1, "limit": {}}"#, "limit"),
        (r#"{"version": 1, "allow": ["everything"]}"#, "no capability"),
        (r#"{"version": 1, "limits": {"stack_bytes": {"max": 1}}}"#, "stack_bytes"),
        (r#"{"version": 1, "limits": {"fuel": {"default": 2, "max": 1}}}"#, "fuel"),
    ] {
        let file = policy(&home, text);
        let ended = home.load(&["--policy", &file], &artifact, &[]).expect(125);
        let _ = ended.says(&["bls-load: policy: ", word, "hint: "]);
    }
    let _ = home.load(&["--policy", "none.json"], &artifact, &[]).expect(125).says(&["none.json"]);
    let _ = home.load(&["--policy", "."], &artifact, &[]).expect(125).says(&["hint: "]);
}

#[test]
fn standard_input_comes_from_where_it_is_said() {
    let home = Home::new();
    let artifact = home.fixture("wat/cat.wat");
    std::fs::write(home.path("in.txt"), "from a file").unwrap();
    let from = |from: &str| {
        let mut command = home.load_command(&["--stdin", from], &artifact);
        run(&mut command, b"from the parent").expect(0).text()
    };
    assert_eq!(from("inherit"), "from the parent");
    assert_eq!(from("null"), "");
    assert_eq!(from("text:from\nwords"), "from\nwords");
    assert_eq!(from("text:"), "");
    assert_eq!(from("in.txt"), "from a file");
    for wrong in ["missing.txt", "."] {
        let ended = home.load(&["--stdin", wrong], &artifact, &[]).expect(125);
        let _ = ended.says(&["standard input", wrong, "hint: "]);
    }
}

#[test]
fn an_export_is_called_with_values_of_its_types() {
    let home = Home::new();
    let path = home.path("values.wat");
    std::fs::write(
        &path,
        r#"(module
            (func (export "all") (param i32 i64 f32 f64 v128 externref)
                (result i32 i64 f32 f64 v128 externref)
                local.get 0 local.get 1 local.get 2 local.get 3 local.get 4 local.get 5)
            (func (export "strict") (param (ref extern))))"#,
    )
    .unwrap();
    let artifact = home.compile(&path, &[]);
    let call = |arguments: &[&str]| home.load(&["--invoke", "all"], &artifact, arguments);
    let ended = call(&["4294967295", "-1", "0.1", "1e300", "0x10", "null"]).expect(0);
    assert_eq!(ended.text(), "-1\n-1\n0.1\n1e300\n0x00000000000000000000000000000010\nnull\n");
    let ended = call(&["7", "0x7f", "nan:0x200000", "-inf", "0x0", "null"]).expect(0);
    assert!(ended.text().starts_with("7\n127\nnan:0x200000\n-inf\n"), "{}", ended.text());
    for (arguments, words) in [
        (&["1.5", "0", "0", "0", "0x0", "null"][..], ["\"1.5\" is no i32", "hint: "]),
        (&["0", "0", "0", "0", "7", "null"], ["\"7\" is no v128", "hint: "]),
        (
            &["0"],
            [
                "all takes 6 values (i32, i64, f32, f64, v128, (ref null extern)), and 1 was given",
                "hint: values stand behind the artifact: --invoke all app.bls I32 I64 F32 F64 V128 null",
            ],
        ),
    ] {
        let _ = call(arguments).expect(125).says(&words);
    }
    let strict = home.load(&["--invoke", "strict"], &artifact, &["null"]).expect(125);
    let _ = strict.says(&["strict takes a", "hint: "]);
    let wrong = home.load(&["--invoke", "al"], &artifact, &[]).expect(125);
    let _ = wrong.says(&["no function \"al\"", "--invoke all | strict"]);

    let report = home.path("report.json");
    let options = ["--invoke", "all", "--report", report.to_str().unwrap()];
    let mut command = home.load_command(&options, &artifact);
    let _ = run(command.args(["-1", "-1", "1", "1", "0x1", "null"]), b"").expect(0);
    let text = std::fs::read(&report).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        report["results"][0],
        json!({"type": "i32", "signed": -1, "unsigned": 4294967295_u32})
    );
    assert_eq!(report["results"][3]["bits"], "0x3ff0000000000000", "{report}");
}

#[test]
fn the_systems_policy_holds_where_it_is() {
    // It would bound every other run on this machine, so it is only looked at.
    if Path::new("/etc/bls/policy.json").exists() {
        println!("this machine has a policy: not judged here");
        return;
    }
    let home = Home::new();
    let artifact = home.fixture("wat/hello.wat");
    let _ = home.load(&["--explain"], &artifact, &[]).expect(0).says(&["bls-load: policy: none"]);
}
