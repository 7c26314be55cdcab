//! Artifacts through containerd's CRI plugin, the interface that the kubelet uses: by the handler
//! `bls` as `contrib/oci/containerd.toml` has it, and as ordinary images.
//!
//! The engine is the test's own. What is not installed is printed and left out.

use bls_tests::cri::{Cri, Pod, Wanted};
use bls_tests::engines::{Containerd, OciNode, image, native_image, static_program};
use bls_tests::programs::{Home, fixtures};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The handler of `contrib/oci/containerd.toml`.
const BLS: &str = "bls";
/// The one that is there without.
const RUNC: &str = "";
/// What holds a pod's namespaces, as Kubernetes' own image has it.
const PAUSE: &str = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n";
/// Beside the example: images are where they are imported to, nothing is written outside, and a
/// machine need not let anybody protect a pod from the kernel's want of memory.
const OWN: &str = r#"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "localhost/pause:latest"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "FOLDER/cni"
  conf_dir = "FOLDER/cni.d"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
"#;

/// A machine of a cluster.
struct Node {
    node: OciNode,
    engine: Containerd,
    cri: Cri,
}

impl Node {
    /// One with these fixtures as images; `None`, and a line that says so, where there is none.
    fn start(guests: &[&str]) -> Option<Self> {
        let node = OciNode::default();
        let example = fixtures().with_file_name("contrib/oci/containerd.toml");
        let example = fs::read_to_string(example).unwrap();
        let program = node.program();
        let named = example.replace("/usr/local/bin/bls-oci", program.to_str().unwrap());
        assert_ne!(named, example);
        let engine = Containerd::start_with(Some(&format!("{named}{OWN}")))?;
        let cri = Cri::open(engine.socket())?;
        let node = Self { node, engine, cri };
        if let Err(error) = node.cri.version() {
            println!("SKIPPED: this containerd has no CRI: {error}: left out");
            return None;
        }
        node.native("pause", PAUSE);
        for guest in guests {
            node.import(&image(&node.node.home, &node.node.home.fixture(guest), &[]));
        }
        // Where no pod can be made at all, not even by the real runtime.
        match node.cri.pod(RUNC, &[]) {
            Ok(pod) => node.cri.remove_pod(&pod).unwrap(),
            Err(error) => {
                println!("SKIPPED: pods cannot be made here: {error}: left out");
                return None;
            }
        }
        Some(node)
    }

    /// Imports an image, until the plugin knows of it.
    fn import(&self, tar: &Path) {
        self.engine.import_into("k8s.io", tar);
        let name = tar.file_stem().unwrap().to_str().unwrap();
        while !self.cri.has_image(&named(name)).unwrap() {
            std::thread::yield_now();
        }
    }

    /// The same of a native program.
    fn native(&self, name: &str, source: &str) {
        let (c, program) = (self.node.home.path(&format!("{name}.c")), self.node.home.path(name));
        fs::write(&c, source).unwrap();
        static_program(&c, &program);
        self.import(&native_image(&self.node.home.path("."), name, &program));
    }

    /// A pod in which `act` does something, and that is removed then.
    fn pod<T>(
        &self,
        handler: &str,
        annotations: &[(&str, &str)],
        act: impl FnOnce(&Pod) -> T,
    ) -> T {
        let pod = self.cri.pod(handler, annotations).unwrap();
        let done = act(&pod);
        self.cri.remove_pod(&pod).unwrap();
        done
    }

    /// Runs one container in a pod of its own.
    fn run(&self, handler: &str, wanted: &Wanted<'_>) -> bls_tests::cri::Ended {
        self.pod(handler, &[], |pod| self.cri.run(pod, wanted)).unwrap()
    }

    /// Waits until a container's guest can be asked to end: before, the signal is lost.
    fn is_up(&self, container: &str) {
        let handles = |process: &str| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.to_owned();
            let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
            Some(caught >> (rustix::process::Signal::TERM.as_raw() - 1) & 1 == 1)
        };
        loop {
            assert!(!self.cri.status(container).unwrap().has_ended, "it ended");
            let tasks = self.engine.run(&["-n", "k8s.io", "tasks", "ls"]).text();
            let task = tasks.lines().find(|line| line.starts_with(container));
            let process = task.and_then(|line| line.split_whitespace().nth(1));
            if process.and_then(handles) == Some(true) {
                return;
            }
        }
    }

    /// Nothing of a pod or a container is left.
    #[track_caller]
    fn is_empty(&self) {
        assert_eq!(self.cri.count(), Ok((0, 0)));
        assert_eq!(self.engine.bundles_of("k8s.io"), [""; 0]);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A test that failed has left some; the engine's own processes would stay with them.
        if std::thread::panicking() {
            let _ = self.cri.remove_pods();
        }
    }
}

fn named(name: &str) -> String {
    format!("localhost/{name}:latest")
}

#[test]
fn artifacts_run_in_pods() {
    let guests =
        ["wat/args_env.wat", "wat/exit-42.wat", "wat/trap-unreachable.wat", "wat/spin.wat"];
    let Some(node) = Node::start(&guests) else { return };
    let args_env = named("args_env");
    let wanted = Wanted {
        image: &args_env,
        args: &["one", "--two"],
        variables: &[("A", "b c")],
        read_only: true,
        ..Wanted::default()
    };
    // By the handler, and as an ordinary image with the loader and the trust file that are in it.
    let ended = node.run(BLS, &wanted);
    let said = &ended.stdout;
    assert!(said.starts_with("app.bls\none\n--two\n") && said.contains("A=b c\n"), "{ended:?}");
    assert_eq!((ended.status.code, ended.status.reason.as_str()), (0, "Completed"));
    let ended = node.run(RUNC, &wanted);
    assert_eq!((ended.stdout.as_str(), ended.status.code), ("app.bls\none\n--two\n", 0));
    // An image of nothing but the artifact, which runc alone cannot start.
    let artifact = node.node.home.fixture("wat/hello.wat");
    node.import(&image(&node.node.home, &artifact, &["--no-loader"]));
    let hello = named("hello");
    let only = Wanted { image: &hello, ..Wanted::default() };
    assert_eq!(node.run(BLS, &only).stdout, "hello\n");
    let error = node.pod(RUNC, &[], |pod| node.cri.run(pod, &only)).unwrap_err();
    assert!(error.contains("/app.bls"), "{error}");

    // Ends, and where they are read.
    for (name, code, says) in [("exit-42", 42, ""), ("trap-unreachable", 134, "trap: ")] {
        let image = named(name);
        let ended = node.run(BLS, &Wanted { image: &image, ..Wanted::default() });
        assert_eq!((ended.status.code, ended.status.reason.as_str()), (code, "Error"), "{name}");
        assert!(ended.stderr.contains(says), "{name}: {ended:?}");
    }
    // Annotations of the pod are the runs'.
    let spin = named("spin");
    let spin = Wanted { image: &spin, ..Wanted::default() };
    for (annotation, code, says) in
        [(("bls.dev/fuel", "1M"), 123, "fuel"), (("bls.dev/timeout", "200ms"), 124, "200ms")]
    {
        let ended = node.pod(BLS, &[annotation], |pod| node.cri.run(pod, &spin)).unwrap();
        assert_eq!(ended.status.code, code, "{ended:?}");
        assert!(ended.stderr.contains(says), "{ended:?}");
    }
    // Several in one pod.
    node.pod(BLS, &[], |pod| {
        for _ in 0..3 {
            assert_eq!(node.cri.run(pod, &only).unwrap().stdout, "hello\n");
        }
    });
    node.is_empty();
}

#[test]
fn a_refusal_is_in_the_status_of_the_container() {
    let Some(node) = Node::start(&["wat/exit-42.wat"]) else { return };
    let stranger = Home::with_seed(3);
    // The image trusts its own key; this node does not.
    node.import(&image(&stranger, &stranger.fixture("wat/args_env.wat"), &[]));
    let (image, own) = (named("args_env"), named("exit-42"));
    let refused = |annotations: &[(&str, &str)], image: &str, says: &[&str]| {
        node.pod(BLS, annotations, |pod| {
            let wanted = Wanted { image, ..Wanted::default() };
            let container = node.cri.create(pod, &wanted).unwrap();
            let error = node.cri.start(&container).unwrap_err();
            // The kubelet's event has what the call says, and the pod's status the same.
            let status = node.cri.status(&container).unwrap();
            assert_eq!((status.reason.as_str(), status.code), ("StartError", 128), "{status:?}");
            for part in says {
                assert!(
                    error.contains(part) && status.message.contains(part),
                    "{error}\n{status:?}"
                );
            }
            assert_eq!(node.cri.logs(&container), (String::new(), String::new()));
            node.cri.remove(&container).unwrap();
        });
    };
    refused(&[], &image, &["bls-oci: verify: /app.bls is signed by key", "signature.unknown-key"]);
    refused(&[("bls.dev/fuel", "much")], &own, &["bls.dev/fuel", "oci.annotation"]);
    // Revoked since: not even where the image trusts it.
    let trust = node.node.home.path("trust.json");
    for verb in ["add", "revoke"] {
        let mut command = std::process::Command::new(bls_tests::programs::loader());
        command.args(["trust", verb, "--file"]).arg(&trust).arg(node.node.home.public_key());
        let _ = bls_tests::programs::run(&mut command, b"").expect(0);
    }
    node.node.configure(json!({ "trust": trust }));
    refused(&[], &own, &["is revoked"]);
    node.is_empty();
}

#[test]
fn volumes_and_memory_are_the_containers() {
    let Some(node) = Node::start(&["oci/volume.wat", "oci/fill.wat"]) else { return };
    let volume = tempfile::tempdir().unwrap();
    fs::set_permissions(volume.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(volume.path().join("in"), "from the volume\n").unwrap();
    let out = volume.path().join("out");
    let (image, fill) = (named("volume"), named("fill"));
    let with = |read_only: bool| {
        let mounts = [(volume.path(), "/data", read_only)];
        node.run(BLS, &Wanted { image: &image, mounts: &mounts, ..Wanted::default() })
    };
    let ended = with(true);
    assert_eq!(ended.stdout, "from the volume\n");
    assert!(ended.status.code != 0 && !out.exists(), "{ended:?}");
    let ended = with(false);
    assert_eq!((ended.stdout.as_str(), ended.status.code), ("from the volume\n", 0));
    assert_eq!(fs::read_to_string(&out).unwrap(), "from the volume\n");

    // Filled to the last page that it gets: the limit is met before the kernel ends it.
    for mebibytes in [16_u64, 64] {
        let wanted = Wanted { image: &fill, memory: mebibytes << 20, ..Wanted::default() };
        let ended = node.run(BLS, &wanted);
        assert_eq!(ended.status.reason, "Completed", "{ended:?}");
        let pages: u64 = ended.stdout.trim().parse().unwrap();
        assert!(((mebibytes - 8) * 16..mebibytes * 16).contains(&pages), "{pages}");
    }
    let little = Wanted { image: &fill, memory: 6 << 20, ..Wanted::default() };
    let error = node.pod(BLS, &[], |pod| node.cri.run(pod, &little)).unwrap_err();
    assert!(error.contains("the container's memory limit is 6.0 MiB"), "{error}");
    node.is_empty();
}

#[test]
fn containers_are_stopped_and_removed() {
    let Some(node) = Node::start(&["wat/poll-forever.wat"]) else { return };
    let image = named("poll-forever");
    let wanted = Wanted { image: &image, ..Wanted::default() };
    // A signal first, then by force; and by force at once.
    for (seconds, code) in [(3600, 143), (0, 137)] {
        node.pod(BLS, &[], |pod| {
            let container = node.cri.create(pod, &wanted).unwrap();
            node.cri.start(&container).unwrap();
            node.is_up(&container);
            node.cri.stop(&container, seconds).unwrap();
            let ended = node.cri.wait(&container).unwrap();
            assert_eq!((ended.status.code, &ended.status.reason[..]), (code, "Error"));
        });
    }
    // What still runs goes with its removal, and with its pod's.
    node.pod(BLS, &[], |pod| {
        let [first, second] = [(); 2].map(|()| node.cri.create(pod, &wanted).unwrap());
        node.cri.start(&first).unwrap();
        node.cri.start(&second).unwrap();
        node.cri.remove(&first).unwrap();
        assert!(node.cri.status(&first).is_err());
    });
    node.is_empty();
}

#[test]
fn fifty_run_in_one_pod() {
    let Some(node) = Node::start(&["wat/hello.wat"]) else { return };
    let hello = named("hello");
    node.pod(BLS, &[], |pod| {
        let wanted = Wanted { image: &hello, ..Wanted::default() };
        let containers: Vec<String> =
            (0..50).map(|_| node.cri.create(pod, &wanted).unwrap()).collect();
        containers.iter().for_each(|container| node.cri.start(container).unwrap());
        for container in &containers {
            let ended = node.cri.wait(container).unwrap();
            assert_eq!((ended.status.code, ended.stdout.as_str()), (0, "hello\n"));
        }
    });
    node.is_empty();
}

#[test]
fn a_native_container_is_as_it_would_be_without() {
    let Some(node) = Node::start(&["wat/hello.wat"]) else { return };
    node.native("native", &fs::read_to_string(fixtures().join("oci/native.c")).unwrap());
    let (native, hello) = (named("native"), named("hello"));
    let wanted = Wanted {
        image: &native,
        args: &["one", "two"],
        variables: &[("A", "b")],
        memory: 64 << 20,
        ..Wanted::default()
    };
    let [ours, runcs] = [BLS, RUNC].map(|handler| node.run(handler, &wanted));
    assert!(ours.stdout.starts_with("one two\n") && ours.stdout.contains("A=b\n"), "{ours:?}");
    assert_eq!((ours.status.code, &ours.status.reason[..]), (7, "Error"));
    assert_eq!(
        (&ours.stdout, &ours.stderr, &ours.status),
        (&runcs.stdout, &runcs.stderr, &runcs.status)
    );
    // Beside an artifact, in one pod.
    node.pod(BLS, &[("bls.dev/fuel", "1G")], |pod| {
        assert_eq!(node.cri.run(pod, &wanted).unwrap().status.code, 7);
        let artifact = Wanted { image: &hello, ..Wanted::default() };
        assert_eq!(node.cri.run(pod, &artifact).unwrap().stdout, "hello\n");
    });
    node.is_empty();
}
