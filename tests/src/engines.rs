//! Container engines of a test's own: a containerd, and Podman with a storage apart.
//!
//! What is not installed, or cannot make a container here, is printed and left out. Nothing of the
//! engines that a machine may run is touched.

use crate::programs::{Ended, Home, oci, run};
use bls_artifact::digest::Sha256;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A name that no other container has.
#[must_use]
pub fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("bls-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Whether this is root, and all of these programs are there; else a line that says so.
#[must_use]
pub fn has(programs: &[&str]) -> bool {
    let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    let missing: Vec<_> = programs.iter().filter(|name| !is_there(name)).collect();
    if !missing.is_empty() {
        println!("SKIPPED: {missing:?} not installed: left out");
        return false;
    }
    if !rustix::process::getuid().is_root() {
        println!("SKIPPED: this is not root: left out");
        return false;
    }
    true
}

/// A containerd of the test's own.
#[derive(Debug)]
pub struct Containerd {
    process: Child,
    socket: PathBuf,
    folder: tempfile::TempDir,
}

impl Containerd {
    /// `None`, and a line that says so, where there is none.
    ///
    /// # Panics
    /// When its folder cannot be made.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(None)
    }

    /// The same by this configuration, in which `FOLDER` stands for a folder of its own.
    ///
    /// # Panics
    /// When its folder cannot be made.
    #[must_use]
    pub fn start_with(config: Option<&str>) -> Option<Self> {
        if !has(&["containerd", "ctr", "runc"]) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let socket = path("socket");
        let mut command = Command::new("containerd");
        if let Some(config) = config {
            let text = config.replace("FOLDER", folder.path().to_str().expect("a path"));
            fs::write(path("config.toml"), text).expect("a file");
            command.arg("--config").arg(path("config.toml"));
        }
        let mut process = command
            .args(["--root".into(), path("root"), "--state".into(), path("state")])
            .arg("--address")
            .arg(&socket)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("a process");
        // It says when it is ready; whatever else it says is read, so that it never waits.
        let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let is_ready = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("containerd successfully booted"));
        let _ = std::thread::spawn(move || lines.count());
        if !is_ready {
            println!("SKIPPED: containerd does not start here: left out");
            let _ = process.wait();
            return None;
        }
        Some(Self { process, socket, folder })
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// `ctr`, with these words.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(&self.socket).args(words);
        command
    }

    /// Runs `ctr`, with these words.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ended {
        run(&mut self.command(words), b"")
    }

    /// Imports an image.
    ///
    /// # Panics
    /// When that fails.
    pub fn import(&self, tar: &Path) {
        self.import_into("default", tar);
    }

    /// The same for those who use this namespace of it.
    ///
    /// # Panics
    /// When that fails.
    pub fn import_into(&self, namespace: &str, tar: &Path) {
        let tar = tar.to_str().expect("a path");
        let words = ["-n", namespace, "images", "import", "--snapshotter", "native", tar];
        let _ = self.run(&words).expect(0);
    }

    /// Folders of containers that are there now.
    #[must_use]
    pub fn bundles(&self) -> Vec<String> {
        self.bundles_of("default")
    }

    /// The same of this namespace.
    #[must_use]
    pub fn bundles_of(&self, namespace: &str) -> Vec<String> {
        let folder = self.folder.path().join("state/io.containerd.runtime.v2.task").join(namespace);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Podman, with a storage of the test's own.
#[derive(Debug)]
pub struct Podman {
    folder: tempfile::TempDir,
    runtime: PathBuf,
}

impl Podman {
    /// One whose containers this runtime makes; `None`, and a line that says so, where there is
    /// none.
    ///
    /// # Panics
    /// When its folder cannot be made.
    #[must_use]
    pub fn start(runtime: &Path) -> Option<Self> {
        if !has(&["podman", "runc"]) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let podman = Self { folder, runtime: runtime.to_owned() };
        let info = podman.run(&["info"]);
        if info.code != Some(0) {
            println!("SKIPPED: podman does not work here: {}: left out", info.stderr.trim());
            return None;
        }
        Some(podman)
    }

    /// `podman`, with these words.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let path = |name: &str| self.folder.path().join(name);
        let mut command = Command::new("podman");
        command.arg("--root").arg(path("root")).arg("--runroot").arg(path("run"));
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]);
        command.args(["--events-backend", "none", "--runtime"]).arg(&self.runtime).args(words);
        command
    }

    /// Runs `podman`, with these words.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ended {
        run(&mut self.command(words), b"")
    }

    /// The words of a `run` of an image that works wherever a container can be made: without a
    /// network, and with limits that every machine can give.
    pub const RUN: [&'static str; 7] =
        ["run", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.run(&["rm", "--force", "--all", "--time", "0"]);
    }
}

/// A node: bls-oci with a configuration, a trust file and policies of its own.
#[derive(Debug)]
pub struct OciNode {
    /// Its folder, with the key that it trusts.
    pub home: Home,
}

impl Default for OciNode {
    fn default() -> Self {
        Self::new(json!({}))
    }
}

impl OciNode {
    /// One that trusts its home's key, with more in its configuration.
    ///
    /// # Panics
    /// When files cannot be written.
    #[must_use]
    pub fn new(more: Value) -> Self {
        let node = Self { home: Home::new() };
        node.configure(more);
        node
    }

    /// Writes its configuration anew.
    ///
    /// # Panics
    /// When files cannot be written.
    pub fn configure(&self, more: Value) {
        let mut config = json!({ "version": 1, "trust": self.home.public_key() });
        let more = more.as_object().expect("an object").clone();
        config.as_object_mut().expect("an object").extend(more);
        fs::write(self.home.path("oci.json"), config.to_string()).expect("a file");
    }

    /// bls-oci with this configuration.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(oci());
        command.arg("--bls-config").arg(self.home.path("oci.json"));
        command
    }

    /// A program that is bls-oci with this configuration, for engines that give no options.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        let path = self.home.path("runtime");
        self.script(
            &path,
            &format!(
                "exec '{}' --bls-config '{}' \"$@\"",
                oci().display(),
                self.home.path("oci.json").display()
            ),
        );
        path
    }

    /// Writes a program of these lines of shell.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn script(&self, path: &Path, lines: &str) {
        fs::write(path, format!("#!/bin/sh\n{lines}\n")).expect("a file");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }
}

/// A static native program made of this C.
///
/// # Panics
/// When `cc` does not make it.
pub fn static_program(source: &Path, to: &Path) {
    let mut cc = Command::new("cc");
    let _ = run(cc.args(["-O2", "-static", "-o"]).arg(to).arg(source), b"").expect(0);
}

/// An image, in this folder, of a static native program, which it starts.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn native_image(folder: &Path, name: &str, program: &Path) -> PathBuf {
    let root = folder.join(format!("{name}-image"));
    let blobs = root.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a folder");
    let put = |bytes: &[u8]| {
        let digest = Sha256::of(bytes).to_string();
        fs::write(blobs.join(&digest), bytes).expect("a file");
        (format!("sha256:{digest}"), bytes.len())
    };
    let pack = |from: &Path, what: &str, to: &Path| {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(from).args(["--owner=0", "--group=0", "-cf"]).arg(to).arg(what);
        let _ = run(&mut tar, b"").expect(0);
    };
    let layer = folder.join(format!("{name}-layer.tar"));
    let (from, file) = (program.parent(), program.file_name().and_then(|file| file.to_str()));
    let file = file.expect("a name");
    pack(from.expect("a folder"), file, &layer);
    let (layer, layer_length) = put(&fs::read(layer).expect("a file"));
    let (config, config_length) = put(json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Entrypoint": [format!("/{file}")] },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
    })
    .to_string()
    .as_bytes());
    let kind = |rest: &str| format!("application/vnd.oci.image.{rest}");
    let descriptor = |rest: &str, digest: &str, length: usize| json!({ "mediaType": kind(rest), "digest": digest, "size": length });
    let (manifest, manifest_length) = put(json!({
        "schemaVersion": 2,
        "mediaType": kind("manifest.v1+json"),
        "config": descriptor("config.v1+json", &config, config_length),
        "layers": [descriptor("layer.v1.tar", &layer, layer_length)],
    })
    .to_string()
    .as_bytes());
    let mut entry = descriptor("manifest.v1+json", &manifest, manifest_length);
    entry["annotations"] =
        json!({ "io.containerd.image.name": format!("localhost/{name}:latest") });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    fs::write(root.join("index.json"), index.to_string()).expect("a file");
    fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a file");
    let tar = folder.join(format!("{name}.tar"));
    pack(&root, ".", &tar);
    tar
}

/// An image of this artifact, which trusts the key of the home that it is in; with more options.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn image(home: &Home, artifact: &Path, options: &[&str]) -> PathBuf {
    let tar = artifact.with_extension("tar");
    let mut command = Command::new(crate::programs::compiler());
    command.arg("image").arg(artifact).args(options).arg("-q").arg("-o").arg(&tar);
    command.arg("--trust").arg(home.public_key()).current_dir(home.path("."));
    let _ = run(&mut command, b"").expect(0);
    tar
}
