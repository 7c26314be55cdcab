//! Artifacts under real engines: containerd and Podman, as ordinary images and by bls-oci.
//!
//! Each engine is the test's own. What is not installed is printed and left out.

use bls_tests::engines::{Containerd, OciNode, Podman, fresh_name, image};
use bls_tests::programs::{Ended, Home, fixtures, run};
use serde_json::json;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// What an engine makes containers of here: a name of an image, words, options.
struct Wanted<'a> {
    image: &'a str,
    options: &'a [&'a str],
    words: &'a [&'a str],
}

fn wanted<'a>(image: &'a str, options: &'a [&'a str], words: &'a [&'a str]) -> Wanted<'a> {
    Wanted { image, options, words }
}

/// A containerd, and a node before its runc.
struct Node {
    node: OciNode,
    engine: Containerd,
    program: PathBuf,
}

impl Node {
    /// One with these fixtures as images; `None`, and a line that says so, where there is none.
    fn start(guests: &[&str]) -> Option<Self> {
        let engine = Containerd::start()?;
        let node = OciNode::default();
        for guest in guests {
            engine.import(&image(&node.home, &node.home.fixture(guest), &[]));
        }
        let program = node.program();
        let node = Self { node, engine, program };
        // Where no container can be made at all; one whose program does not start is no such case.
        let rootfs = node.rootfs();
        let probe = node.native(&rootfs, &[], &["/none"]);
        if !probe.stderr.contains("/none") {
            println!("SKIPPED: containers cannot be made here: {}: left out", probe.stderr.trim());
            return None;
        }
        Some(node)
    }

    /// A root with a static native program in it.
    fn rootfs(&self) -> PathBuf {
        let rootfs = self.node.home.path("native");
        if !rootfs.is_dir() {
            fs::create_dir(&rootfs).unwrap();
            let source = fixtures().join("oci/native.c");
            let program = rootfs.join("native");
            let mut cc = Command::new("cc");
            cc.arg("-static").arg("-o").arg(&program).arg(source);
            let _ = run(&mut cc, b"").expect(0);
            fs::set_permissions(&rootfs, fs::Permissions::from_mode(0o755)).unwrap();
        }
        rootfs
    }

    /// `ctr run`, by bls-oci.
    fn command(&self, name: &str, wanted: &Wanted<'_>) -> Command {
        let mut command = self.engine.command(&["run", "--rm", "--snapshotter", "native"]);
        command.arg("--runc-binary").arg(&self.program).args(wanted.options);
        command.arg(format!("localhost/{}:latest", wanted.image)).arg(name).args(wanted.words);
        command
    }

    fn run(&self, wanted: &Wanted<'_>) -> Ended {
        run(&mut self.command(&fresh_name(), wanted), b"")
    }

    /// Whether a container's process runs.
    fn is_running(&self, name: &str) -> bool {
        let tasks = self.engine.run(&["tasks", "ls"]).text();
        tasks.lines().any(|line| line.starts_with(name) && line.contains("RUNNING"))
    }

    /// Runs a container that reads its input to the end. `ctr` overlooks an end that comes before
    /// the container runs.
    fn fed(&self, name: &str, mut command: Command, input: &[u8]) -> Ended {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let has_ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _ = scope.spawn(|| {
                let _ = pipe.write_all(input);
                while !has_ended.load(Ordering::Relaxed) && !self.is_running(name) {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                drop(pipe);
            });
            let ended = child.wait_with_output().unwrap();
            has_ended.store(true, Ordering::Relaxed);
            Ended::from(ended)
        })
    }

    fn native(&self, rootfs: &Path, options: &[&str], words: &[&str]) -> Ended {
        let mut command = self.engine.command(&["run", "--rm", "--runc-binary"]);
        command.arg(&self.program).args(options).arg("--rootfs").arg(rootfs);
        run(command.arg(fresh_name()).args(words), b"")
    }

    /// Nothing of a container is left.
    #[track_caller]
    fn is_empty(&self) {
        assert_eq!(self.engine.run(&["containers", "ls", "-q"]).expect(0).text(), "");
        assert_eq!(self.engine.run(&["tasks", "ls", "-q"]).expect(0).text(), "");
        assert_eq!(self.engine.bundles(), [""; 0]);
    }
}

/// `ctr` looks for a command where an image has an entry point: words of ours take its place.
const ENTRY: &str = "/app.bls";

#[test]
fn containerd_runs_artifacts_by_the_nodes_loader() {
    let guests = [
        "wat/args_env.wat",
        "wat/exit-42.wat",
        "wat/trap-unreachable.wat",
        "wat/spin.wat",
        "wat/cat.wat",
    ];
    let Some(node) = Node::start(&guests) else { return };
    // As an ordinary image: its own loader, whom it trusts itself, and no variables.
    let words =
        ["run", "--rm", "--snapshotter", "native", "localhost/args_env:latest", &fresh_name()];
    assert_eq!(node.engine.run(&words).expect(0).text(), "app.bls\n");
    let ended = node.run(&wanted("args_env", &["--env", "A=b c", "--read-only"], &[])).expect(0);
    assert!(
        ended.text().starts_with("app.bls\n") && ended.text().contains("A=b c\n"),
        "{}",
        ended.text()
    );
    let ended = node.run(&wanted("args_env", &[], &[ENTRY, "one", "--two"])).expect(0);
    assert!(ended.text().starts_with("app.bls\none\n--two\n"), "{}", ended.text());
    // An image of nothing but the artifact.
    let artifact = node.node.home.fixture("wat/hello.wat");
    node.engine.import(&image(&node.node.home, &artifact, &["--no-loader"]));
    assert_eq!(node.run(&wanted("hello", &[], &[])).expect(0).text(), "hello\n");
    // It is the node's loader, and the node's trust file: the image's is not there.
    let explain = ["--annotation", "bls.dev/explain=true"];
    let ended = node.run(&wanted("args_env", &explain, &[])).expect(0);
    let _ = ended.says(&["trusted by /etc/bls/trust.json"]);

    let code = |image, options: &[&str]| node.run(&wanted(image, options, &[]));
    let _ = code("exit-42", &[]).expect(42);
    let _ = code("trap-unreachable", &[]).expect(134).says(&["trap: "]);
    let _ = code("spin", &["--annotation", "bls.dev/fuel=1M"]).expect(123).says(&["fuel"]);
    let _ = code("spin", &["--annotation", "bls.dev/timeout=200ms"]).expect(124).says(&["200ms"]);

    let input = vec![b'x'; 300_000];
    let name = fresh_name();
    let ended = node.fed(&name, node.command(&name, &wanted("cat", &[], &[])), &input).expect(0);
    assert_eq!(ended.stdout, input);
    node.is_empty();
}

#[test]
fn containerd_says_why_an_artifact_is_refused_and_nothing_is_left() {
    let Some(node) = Node::start(&["wat/exit-42.wat"]) else { return };
    let stranger = Home::with_seed(3);
    // The image trusts its own key; this node does not.
    node.engine.import(&image(&stranger, &stranger.fixture("wat/args_env.wat"), &[]));
    let ended = node.run(&wanted("args_env", &[], &[])).expect(1);
    let _ = ended.says(&[
        "OCI runtime create failed: bls-oci: verify: /app.bls is signed by key",
        "signature.unknown-key",
    ]);
    let nonsense = ["--annotation", "bls.dev/fuel=much"];
    let _ = node
        .run(&wanted("exit-42", &nonsense, &[]))
        .expect(1)
        .says(&["bls.dev/fuel: \"much\" is not a number"]);
    node.is_empty();

    // Revoked since: not even where the image trusts it.
    let trust = node.node.home.path("trust.json");
    let loader = bls_tests::programs::loader();
    let mut add = Command::new(&loader);
    let _ =
        run(add.args(["trust", "add", "--file"]).arg(&trust).arg(node.node.home.public_key()), b"")
            .expect(0);
    node.node.configure(json!({ "trust": trust }));
    let _ = node.run(&wanted("exit-42", &[], &[])).expect(42);
    let mut revoke = Command::new(&loader);
    let _ = run(
        revoke.args(["trust", "revoke", "--file"]).arg(&trust).arg(node.node.home.public_key()),
        b"",
    )
    .expect(0);
    let _ = node.run(&wanted("exit-42", &[], &[])).expect(1).says(&["is revoked"]);
    node.is_empty();
}

#[test]
fn volumes_and_memory_are_the_containers() {
    let Some(node) = Node::start(&["oci/volume.wat", "oci/fill.wat"]) else { return };
    let volume = tempfile::tempdir().unwrap();
    fs::set_permissions(volume.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(volume.path().join("in"), "from the volume\n").unwrap();
    let out = volume.path().join("out");
    let mount = |how: &str| {
        format!("type=bind,src={},dst=/data,options=rbind:{how}", volume.path().display())
    };
    let ended = node.run(&wanted("volume", &["--mount", &mount("ro")], &[]));
    assert!(ended.code != Some(0) && !out.exists(), "{:?}", ended.code);
    assert_eq!(ended.text(), "from the volume\n");
    let ended = node.run(&wanted("volume", &["--mount", &mount("rw")], &[])).expect(0);
    assert_eq!(ended.text(), "from the volume\n");
    assert_eq!(fs::read_to_string(&out).unwrap(), "from the volume\n");

    // Filled to the last page that it gets: the limit is met before the kernel ends it.
    for mebibytes in [16_u64, 64] {
        let limit = (mebibytes << 20).to_string();
        let ended = node.run(&wanted("fill", &["--memory-limit", &limit], &[])).expect(0);
        let pages: u64 = ended.text().trim().parse().unwrap();
        assert!(((mebibytes - 8) * 16..mebibytes * 16).contains(&pages), "{pages}");
    }
    let _ = node
        .run(&wanted("fill", &["--memory-limit", "4194304"], &[]))
        .expect(1)
        .says(&["the container's memory limit is 4.0 MiB"]);
    node.is_empty();
}

#[test]
fn containers_are_signalled_killed_and_deleted() {
    let Some(node) = Node::start(&["wat/poll-forever.wat"]) else { return };
    for (signal, code) in [("SIGTERM", 143), ("SIGINT", 130), ("SIGKILL", 137)] {
        let name = fresh_name();
        let mut child = node.command(&name, &wanted("poll-forever", &[], &[]));
        let mut child = child
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while !node.is_running(&name) {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
        }
        // A signal that comes before its handlers stand is lost.
        while child.try_wait().unwrap().is_none() {
            let _ = node.engine.run(&["tasks", "kill", "-s", signal, &name]);
        }
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}: {said}");
    }
    node.is_empty();
}

#[test]
fn fifty_run_at_once() {
    let Some(node) = Node::start(&["wat/hello.wat"]) else { return };
    let children: Vec<_> = (0..50)
        .map(|_| {
            let mut command = node.command(&fresh_name(), &wanted("hello", &[], &[]));
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in children {
        let ended = Ended::from(child.wait_with_output().unwrap()).expect(0);
        assert_eq!(ended.text(), "hello\n");
    }
    node.is_empty();
}

#[test]
fn a_native_container_is_as_it_would_be_without() {
    let Some(node) = Node::start(&[]) else { return };
    let rootfs = node.rootfs();
    let outcome = |program: Option<&Path>| {
        let mut command = node.engine.command(&["run", "--rm", "--env", "A=b"]);
        if let Some(program) = program {
            command.arg("--runc-binary").arg(program);
        }
        let name = fresh_name();
        command.arg("--rootfs").arg(&rootfs).args([&name, "/native", "one", "two"]);
        let ended = node.fed(&name, command, b"input").expect(7);
        (ended.text(), ended.stderr)
    };
    let (said, errors) = outcome(Some(&node.program));
    assert!(
        said.contains("one two\n") && said.contains("A=b\n") && said.contains("input"),
        "{said}"
    );
    assert_eq!((said, errors), outcome(None));
    assert!(!rootfs.join("etc/bls").exists());
    node.is_empty();
}

/// Podman, with these fixtures as images.
fn podman(node: &OciNode, guests: &[&str]) -> Option<Podman> {
    let podman = Podman::start(&node.program())?;
    for guest in guests {
        let tar = image(&node.home, &node.home.fixture(guest), &[]);
        let _ = podman.run(&["load", "-q", "-i", tar.to_str().unwrap()]).expect(0);
    }
    Some(podman)
}

#[test]
fn podman_runs_artifacts_by_the_nodes_loader() {
    let node = OciNode::default();
    let guests = [
        "wat/args_env.wat",
        "wat/exit-42.wat",
        "wat/cat.wat",
        "oci/volume.wat",
        "oci/fill.wat",
        "wat/poll-forever.wat",
    ];
    let Some(podman) = podman(&node, &guests) else { return };
    let run_with = |image: &str, options: &[&str], words: &[&str]| {
        let image = format!("localhost/{image}:latest");
        let base = [&Podman::RUN[..], &["--rm"], options, &[&image], words].concat();
        podman.run(&base)
    };
    let probe = run_with("args_env", &["--entrypoint", "/none"], &[]);
    if !probe.stderr.contains("/none") {
        println!("SKIPPED: podman makes no container here: {}: left out", probe.stderr.trim());
        return;
    }
    let ended = run_with("args_env", &["--env", "A=b", "--read-only"], &["one"]).expect(0).text();
    assert!(ended.starts_with("app.bls\none\n") && ended.contains("A=b\n"), "{ended}");
    // The same image by the real runtime, with the loader that is in it.
    let runc = Podman::start(Path::new("runc")).expect("it was there");
    let tar = node.home.path("args_env.tar");
    let _ = runc.run(&["load", "-q", "-i", tar.to_str().unwrap()]).expect(0);
    let plain = [&Podman::RUN[..], &["--rm", "localhost/args_env:latest", "one"]].concat();
    assert_eq!(runc.run(&plain).expect(0).text(), "app.bls\none\n");

    let _ = run_with("exit-42", &[], &[]).expect(42);
    let spent = run_with("args_env", &["--annotation", "bls.dev/fuel=10"], &[]).expect(123);
    assert!(spent.stderr.contains("fuel"), "{}", spent.stderr);
    let refused = run_with("args_env", &["--annotation", "bls.dev/fuel=much"], &[]);
    let refused = refused.says(&["bls.dev/fuel: \"much\" is not a number", "oci.annotation"]);
    assert!(matches!(refused.code, Some(125..=127)), "{:?}", refused.code);

    let mut cat =
        podman.command(&[&Podman::RUN[..], &["--rm", "-i", "localhost/cat:latest"]].concat());
    assert_eq!(run(&mut cat, b"through it").expect(0).text(), "through it");

    let volume = tempfile::tempdir().unwrap();
    fs::set_permissions(volume.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(volume.path().join("in"), "volume\n").unwrap();
    let mounted = |how: &str| format!("{}:/data:{how}", volume.path().display());
    let ended = run_with("volume", &["-v", &mounted("ro")], &[]);
    assert!(ended.code != Some(0) && ended.text() == "volume\n", "{ended:?}");
    assert!(!volume.path().join("out").exists());
    let _ = run_with("volume", &["-v", &mounted("rw")], &[]).expect(0);
    assert_eq!(fs::read_to_string(volume.path().join("out")).unwrap(), "volume\n");

    let ended = run_with("fill", &["--memory", "32m"], &[]).expect(0);
    let pages: u64 = ended.text().trim().parse().unwrap();
    assert!((24 * 16..32 * 16).contains(&pages), "{pages}");

    // Its log, a kill, and its end.
    let name = fresh_name();
    let detached =
        [&Podman::RUN[..], &["-d", "--name", &name, "localhost/args_env:latest", "logged"]]
            .concat();
    let _ = podman.run(&detached).expect(0);
    let _ = podman.run(&["wait", &name]).expect(0);
    assert!(podman.run(&["logs", &name]).expect(0).text().contains("logged\n"));
    let _ = podman.run(&["rm", &name]).expect(0);
    let detached =
        [&Podman::RUN[..], &["-d", "--name", &name, "localhost/poll-forever:latest"]].concat();
    let _ = podman.run(&detached).expect(0);
    let _ = podman.run(&["stop", "--time", "60", &name]).expect(0);
    assert_eq!(podman.run(&["wait", &name]).expect(0).text().trim(), "143");
    let _ = podman.run(&["rm", &name]).expect(0);
    assert_eq!(podman.run(&["ps", "--all", "-q"]).expect(0).text(), "");
    std::io::stdout().flush().unwrap();
}
