//! bls-oci by itself and before a real runc: what is handed on untouched, what is changed, and
//! what is refused before there is a container.
//!
//! Containers are made where this is root and runc is installed; else that is printed and left
//! out. Engines are in `oci_engines.rs`.

use bls_tests::engines::{OciNode, fresh_name, has};
use bls_tests::programs::{Ended, Home, compiler, fixtures, loader, run};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A bundle made by hand.
struct Bundle {
    folder: tempfile::TempDir,
}

impl Bundle {
    /// One whose root has these files, and that starts these words.
    fn new(files: &[(&str, &Path)], words: &[&str]) -> Self {
        let bundle = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(bundle.path("rootfs")).unwrap();
        for (name, from) in files {
            let to = bundle.path("rootfs").join(name);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        }
        let env = ["PATH=/bin", "TOKEN=secret"];
        bundle.write(&json!({
            "ociVersion": "1.0.2",
            "process": { "args": words, "env": env, "cwd": "/" },
            "root": { "path": "rootfs" },
        }));
        bundle
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("config.json")).unwrap()).unwrap()
    }

    fn write(&self, config: &Value) {
        fs::write(self.path("config.json"), config.to_string()).unwrap();
    }

    /// Changes a field of the configuration.
    fn set(&self, pointer: &str, value: Value) {
        let mut config = self.config();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[name] = value;
        self.write(&config);
    }

    /// What is in it, and when it was last changed.
    fn state(&self) -> Vec<(PathBuf, u64, i64, i64)> {
        fn walk(folder: &Path, found: &mut Vec<(PathBuf, u64, i64, i64)>) {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let (path, status) = (entry.path(), entry.path().symlink_metadata().unwrap());
                found.push((path.clone(), status.ino(), status.mtime(), status.mtime_nsec()));
                if status.is_dir() {
                    walk(&path, found);
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), &mut found);
        found.sort();
        found
    }
}

/// A node whose real runtime only writes down how it was called.
struct Recorder {
    node: OciNode,
}

impl Recorder {
    fn new(more: Value) -> Self {
        let recorder = Self { node: OciNode::default() };
        let runtime = recorder.node.home.path("real");
        let log = recorder.node.home.path("called");
        recorder.node.script(&runtime, &format!("printf '%s\n' \"$@\" >> '{}'", log.display()));
        let mut all = json!({ "runtime": runtime });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        recorder.node.configure(all);
        recorder
    }

    fn run(&self, words: &[&str]) -> Ended {
        run(self.node.command().args(words), b"")
    }

    fn create(&self, bundle: &Bundle) -> Ended {
        self.run(&["create", "--bundle", bundle.path("").to_str().unwrap(), "c1"])
    }

    /// How the real runtime was called since this was last asked.
    fn called(&self) -> Option<String> {
        let log = self.node.home.path("called");
        let text = fs::read_to_string(&log).ok();
        let _ = fs::remove_file(log);
        text
    }

    /// Refused, with this code, before anything was changed or called.
    #[track_caller]
    fn refuses(&self, bundle: &Bundle, code: &str, says: &[&str]) {
        let before = bundle.state();
        let log = self.node.home.path("log.json");
        let _ = fs::remove_file(&log);
        let ended = self.run(&[
            "--log",
            log.to_str().unwrap(),
            "--log-format=json",
            "create",
            "--bundle",
            bundle.path("").to_str().unwrap(),
            "c1",
        ]);
        let ended = ended.expect(125).says(&["bls-oci: ", "hint: ", &format!("code: {code}\n")]);
        let _ = ended.says(says);
        assert_eq!(self.called(), None, "the real runtime was called");
        assert_eq!(bundle.state(), before, "something was changed");
        let line: Value = serde_json::from_str(&fs::read_to_string(log).unwrap()).unwrap();
        assert_eq!(line["level"], "error");
        assert!(line["msg"].as_str().unwrap().ends_with(&format!("[{code}]")), "{line}");
    }
}

#[test]
fn every_other_command_and_bundle_is_handed_on_as_it_came() {
    let recorder = Recorder::new(json!({}));
    for words in [
        &["--root", "/r", "state", "c1"][..],
        &["--log", "/dev/null", "delete", "--force", "c1"],
        &["kill", "c1", "9"],
        &["--systemd-cgroup", "exec", "--process", "p.json", "c1"],
        &["features"],
        &["nonsense", "--bundle", "/none"],
        &["create", "--bundle", "/none", "c1"],
    ] {
        let _ = recorder.run(words).expect(0);
        assert_eq!(recorder.called().unwrap(), words.join("\n") + "\n");
    }
    let native = Bundle::new(&[("bin/sh", Path::new("/bin/sh"))], &["/bin/sh", "-c", "true"]);
    // What no reader knows, and how it was written.
    let config = fs::read_to_string(native.path("config.json")).unwrap();
    fs::write(native.path("config.json"), config.replace("{\"args\"", "{ \"new\":1.50,\"args\""))
        .unwrap();
    let before = native.state();
    let _ = recorder.create(&native).expect(0);
    assert_eq!(native.state(), before);
    assert!(recorder.called().unwrap().starts_with("create\n--bundle\n"));
    for text in ["", "{", "[]", r#"{"process":3}"#] {
        fs::write(native.path("config.json"), text).unwrap();
        let _ = recorder.create(&native).expect(0);
        assert_eq!(fs::read_to_string(native.path("config.json")).unwrap(), text);
        assert!(recorder.called().is_some());
    }
    // A version is both programs'.
    let said = recorder.run(&["--version"]).expect(0).text();
    assert!(said.starts_with("bls-oci ") && said.contains(" before "), "{said}");
}

#[test]
fn an_artifact_gets_the_nodes_loader_and_nothing_else_changes() {
    let recorder = Recorder::new(json!({}));
    let artifact = recorder.node.home.fixture("wat/hello.wat");
    let bundle = Bundle::new(&[("app.bls", &artifact)], &["/app.bls", "one", "--two"]);
    bundle.set("/hooks", json!({ "prestart": [{ "path": "/x" }] }));
    bundle.set("/linux", json!({ "resources": { "memory": { "limit": 67_108_864 } } }));
    bundle.set("/annotations", json!({ "bls.dev/fuel": "3G", "other": "x" }));
    let before = bundle.config();
    let _ = recorder.create(&bundle).expect(0);
    assert!(recorder.called().is_some());
    let mut after = bundle.config();
    let args: Vec<_> = after["process"]["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(args[..3], ["/etc/bls/bls-load", "run", "--trust=/etc/bls/trust.json"]);
    assert_eq!(
        args[4..],
        ["--fuel=3G", "--env=PATH", "--env=TOKEN", "--", "/app.bls", "one", "--two"]
    );
    let memory: u64 = args[3].strip_prefix("--max-memory=").unwrap().parse().unwrap();
    assert!((56 << 20..60 << 20).contains(&memory), "{memory}");
    let mounts = after["mounts"].take();
    let sources: Vec<_> =
        mounts.as_array().unwrap().iter().map(|one| one["source"].clone()).collect();
    assert_eq!(
        sources,
        [
            json!("tmpfs"),
            json!(loader().canonicalize().unwrap()),
            json!(recorder.node.home.public_key())
        ]
    );
    after.as_object_mut().unwrap().remove("mounts");
    after["process"]["args"] = before["process"]["args"].clone();
    assert_eq!(after, before, "nothing else changes");
    // Twice is once: what stands there now is no artifact of the image.
    let state = bundle.state();
    let _ = recorder.create(&bundle).expect(0);
    assert_eq!(bundle.state(), state);
    // The same is said by `explain`, which changes nothing.
    let other = Bundle::new(&[("app.bls", &artifact)], &["/app.bls"]);
    let said = recorder.run(&["explain", "--bundle", other.path("").to_str().unwrap()]).expect(0);
    let said: Value = serde_json::from_str(&said.text()).unwrap();
    assert_eq!(said["args"][0], "/etc/bls/bls-load");
    assert_eq!(other.config()["process"]["args"], json!(["/app.bls"]));
}

#[test]
fn bundles_that_lie_are_refused_before_there_is_a_container() {
    let recorder = Recorder::new(json!({}));
    let home = &recorder.node.home;
    let artifact = home.fixture("wat/hello.wat");
    let words = ["/app.bls"];
    let good = || Bundle::new(&[("app.bls", &artifact)], &words);

    let long = good();
    fs::File::create(long.path("config.json")).unwrap().set_len(100 << 20).unwrap();
    recorder.refuses(&long, "oci.config", &["104857600 bytes"]);

    for (key, value, says) in [
        ("bls.dev/fuel", "much\u{1b}[31m", "is not a number"),
        ("bls.dev/fule", "1", "is bls.dev/fuel meant?"),
        ("bls.dev/policy", "none", "no policy that is called"),
        ("bls.dev/allow-net", "*", "this node grants none"),
        ("bls.dev/trust", "/app.bls", "there is no annotation"),
    ] {
        let bundle = good();
        bundle.set("/annotations", json!({ key: value }));
        recorder.refuses(&bundle, "oci.annotation", &[says]);
    }

    let stranger = Home::with_seed(3);
    let bundle = Bundle::new(&[("app.bls", &stranger.fixture("wat/hello.wat"))], &words);
    recorder.refuses(&bundle, "signature.unknown-key", &["/app.bls is signed by key"]);

    let module = fixtures().join("c/hello.wasm");
    let same = Home::new();
    let foreign = same.compile(&module, &["--target", "aarch64,riscv64"]);
    let bundle = Bundle::new(&[("app.bls", &foreign)], &words);
    let host = if cfg!(target_arch = "x86_64") { "x86_64" } else { "another" };
    if host == "x86_64" {
        recorder.refuses(&bundle, "compatibility.architecture", &["/app.bls"]);
    }

    let bundle = good();
    let whole = fs::read(&artifact).unwrap();
    fs::write(bundle.path("rootfs/app.bls"), &whole[..whole.len() / 2]).unwrap();
    recorder.refuses(&bundle, "framing.truncated", &[]);

    let bundle = Bundle::new(&[("app.wasm", &module)], &["/app.wasm"]);
    recorder.refuses(&bundle, "oci.module", &["this node compiles none"]);

    let bundle = Bundle::new(
        &[("app.bls", &artifact), ("bls-load", &loader())],
        &["/bls-load", "--trust", "/mine", "/app.bls"],
    );
    recorder.refuses(&bundle, "oci.entry", &["--trust /mine"]);

    let bundle = good();
    bundle.set("/linux", json!({ "resources": { "memory": { "limit": 4 << 20 } } }));
    recorder.refuses(&bundle, "oci.memory", &["4.0 MiB"]);

    let bundle = good();
    symlink("/data", bundle.path("rootfs/etc")).unwrap();
    recorder.refuses(&bundle, "oci.place", &["/etc of this image is no folder"]);

    // A link that leads out of the root leads to nothing in it, as the real runtime will say.
    let bundle = good();
    fs::remove_file(bundle.path("rootfs/app.bls")).unwrap();
    symlink(&artifact, bundle.path("rootfs/app.bls")).unwrap();
    let before = bundle.state();
    let _ = recorder.create(&bundle).expect(0);
    assert_eq!(bundle.state(), before);
    assert!(recorder.called().is_some());
}

#[test]
fn a_node_that_is_not_set_up_says_what_is_missing() {
    let recorder = Recorder::new(json!({ "others": "refuse" }));
    let native = Bundle::new(&[("bin/sh", Path::new("/bin/sh"))], &["/bin/sh"]);
    recorder.refuses(&native, "oci.other", &["no artifact"]);
    fs::write(native.path("config.json"), "nonsense").unwrap();
    recorder.refuses(&native, "oci.other", &["no artifact"]);

    let artifact = recorder.node.home.fixture("wat/hello.wat");
    let bundle = Bundle::new(&[("app.bls", &artifact)], &["/app.bls"]);
    let writable = recorder.node.home.path("writable.pub");
    fs::copy(recorder.node.home.public_key(), &writable).unwrap();
    fs::set_permissions(&writable, fs::Permissions::from_mode(0o666)).unwrap();
    for (more, code) in [
        (json!({ "trust": "/none" }), "oci.guard"),
        (json!({ "trust": writable }), "oci.guard"),
        (json!({ "loader": "/none" }), "oci.guard"),
        (json!({ "policy": artifact }), "oci.policy"),
        (json!({ "unknown": 1 }), "oci.node"),
        (json!({ "runtime": "bls-no-such-runtime" }), "oci.runtime"),
    ] {
        recorder.node.configure(more.clone());
        recorder.refuses(&bundle, code, &[]);
    }
    let _ = run(&mut Command::new(bls_tests::programs::oci()), b"").expect(2).says(&["oci.usage"]);
}

#[test]
fn policies_of_the_node_bound_what_a_container_asks_for() {
    let recorder = Recorder::new(json!({}));
    let home = &recorder.node.home;
    let (all, small) = (home.path("all.json"), home.path("small.json"));
    let limits = r#""limits": {"memory_bytes": {"max": "8MiB"}}"#;
    fs::write(&all, format!(r#"{{"version": 1, "allow": ["stdout", "env:TOKEN"], {limits}}}"#))
        .unwrap();
    fs::write(&small, r#"{"version": 1, "limits": {"fuel": {"max": 1000}}}"#).unwrap();
    let runtime = home.path("real");
    recorder
        .node
        .configure(json!({ "runtime": runtime, "policy": all, "policies": { "small": small } }));
    let bundle = Bundle::new(&[("app.bls", &home.fixture("wat/hello.wat"))], &["/app.bls"]);
    bundle.set("/linux", json!({ "resources": { "memory": { "limit": 67_108_864 } } }));
    bundle.set("/annotations", json!({ "bls.dev/policy": "small" }));
    let _ = recorder.create(&bundle).expect(0);
    let config = bundle.config();
    let args = config["process"]["args"].to_string();
    for word in ["--policy=/etc/bls/named.json", "--max-memory=8388608", "--env=TOKEN"] {
        assert!(args.contains(word), "{word}: {args}");
    }
    assert!(!args.contains("--env=PATH"), "{args}");
    let places: Vec<_> =
        config["mounts"].as_array().unwrap().iter().map(|one| &one["destination"]).collect();
    assert!(places.contains(&&json!("/etc/bls/policy.json")), "{places:?}");
}

/// A bundle that runc can run: what `runc spec` writes, with these files and words.
fn real(files: &[(&str, &Path)], words: &[&str]) -> Bundle {
    let bundle = Bundle::new(files, words);
    fs::remove_file(bundle.path("config.json")).unwrap();
    let _ = run(Command::new("runc").arg("spec").current_dir(bundle.path("")), b"").expect(0);
    bundle.set("/process/args", json!(words));
    bundle.set("/process/terminal", json!(false));
    bundle
}

/// Runs a bundle on a node by a real runc; `None` where this machine makes no container.
fn contained(node: &OciNode, bundle: &Bundle, stdin: &[u8]) -> Option<Ended> {
    if !has(&["runc"]) {
        return None;
    }
    let probe = real(&[("true", Path::new("/bin/true"))], &["/none"]);
    let name = fresh_name();
    let ended =
        run(Command::new("runc").args(["run", "--bundle"]).arg(probe.path("")).arg(&name), b"");
    if !ended.stderr.contains("/none") {
        println!("SKIPPED: containers cannot be made here: {}: left out", ended.stderr.trim());
        return None;
    }
    let name = fresh_name();
    let mut command = node.command();
    command.args(["run", "--bundle"]).arg(bundle.path("")).arg(&name);
    let ended = run(&mut command, stdin);
    let listed = run(Command::new("runc").args(["list", "-q"]), b"").expect(0).text();
    assert!(!listed.contains(&name), "it is still there: {listed}");
    Some(ended)
}

#[test]
fn one_that_is_swapped_between_the_look_and_the_run_is_refused_by_the_loader() {
    let node = OciNode::default();
    let artifact = node.home.fixture("wat/hello.wat");
    let bundle = real(&[("app.bls", &artifact)], &["/app.bls"]);
    let Some(ended) = contained(&node, &bundle, b"") else { return };
    assert_eq!(ended.expect(0).text(), "hello\n");

    let stranger = Home::with_seed(3);
    let other = stranger.fixture("wat/exit-42.wat");
    let swap = |with: &str| {
        let bundle = real(&[("app.bls", &artifact)], &["/app.bls"]);
        let runtime = node.home.path("swapping");
        let target = bundle.path("rootfs/app.bls");
        node.script(&runtime, &format!("{with} '{}' && exec runc \"$@\"", target.display()));
        node.configure(json!({ "runtime": runtime }));
        contained(&node, &bundle, b"").unwrap()
    };
    let _ = swap(&format!("cp '{}'", other.display()))
        .expect(125)
        .says(&["code: signature.unknown-key"]);
    let _ = swap("cp /bin/true").expect(125).says(&["code: framing."]);
    let _ = swap("ln -sf /etc/passwd").expect(125);
}

#[test]
fn a_module_is_compiled_once_where_the_node_says_so() {
    let node = OciNode::default();
    let cache = node.home.path("cache");
    node.configure(json!({ "compile": { "key": node.home.key(), "cache": cache } }));
    let bundle = || real(&[("app.wasm", &fixtures().join("wat/hello.wasm"))], &["/app.wasm"]);
    let Some(ended) = contained(&node, &bundle(), b"") else { return };
    assert_eq!(ended.expect(0).text(), "hello\n");
    let kept = || -> Vec<_> {
        let mut kept: Vec<_> = fs::read_dir(&cache)
            .unwrap()
            .flatten()
            .map(|entry| (entry.file_name(), entry.metadata().unwrap().ino()))
            .collect();
        kept.sort();
        kept
    };
    let first = kept();
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(contained(&node, &bundle(), b"").unwrap().expect(0).text(), "hello\n");
    assert_eq!(kept(), first);
    // What is kept is verified as anything else, and made again where it is of no use.
    fs::write(cache.join(&first[0].0), b"\x89BLS\r\n\x1a\nnonsense").unwrap();
    assert_eq!(contained(&node, &bundle(), b"").unwrap().expect(0).text(), "hello\n");
    assert_ne!(kept(), first);
    // One that does not compile is said, and nothing of it stays.
    let before = kept();
    let broken = node.home.path("broken.wasm");
    fs::write(&broken, b"\0asm\x01\0\0\0\xff").unwrap();
    let bundle = real(&[("app.wasm", &broken)], &["/app.wasm"]);
    let _ = contained(&node, &bundle, b"")
        .unwrap()
        .expect(125)
        .says(&["/app.wasm does not compile", "code: oci.module"]);
    assert_eq!(kept(), before);
    assert!(compiler().is_file());
}
