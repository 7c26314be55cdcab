//! The network's node, as far as its runtime sees it: what it has installed, and how it starts
//! one function.
//!
//! The node's executor makes a folder for a request, starts the runtime in it with a fixed order
//! of flags, gives it the request's variables beside its own and the request's text as standard
//! input, takes both streams and the exit code whole, and removes the folder. Nothing in the
//! folder is made for the runtime: the root folder that its flags name never exists. Guarantees
//! that store, trust file and key are a test's own. Judges nothing.

use crate::programs::{Ended, Home, compiler, loader, run};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A node with a store and a key of its own.
#[derive(Debug)]
pub struct Node {
    /// Its folder, its key, and whom it trusts.
    pub home: Home,
    requests: AtomicU32,
}

/// What somebody asks a node for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Flags that the node's own come before, such as a limit.
    pub flags: &'a [&'a str],
    /// Values of parameters; an empty one is left out.
    pub values: &'a [&'a str],
    /// Variables.
    pub variables: &'a [(&'a str, &'a str)],
    /// Standard input.
    pub stdin: &'a [u8],
    /// The group of processes that the runtime belongs to.
    pub group: Option<&'a Group>,
}

/// A group of processes with a limit on memory, which ends with this.
#[derive(Debug)]
pub struct Group(PathBuf);

impl Group {
    /// One whose processes have so many bytes together; `None` where the machine does not let
    /// this user make one.
    #[must_use]
    pub fn new(name: &str, bytes: u64) -> Option<Self> {
        let root = Path::new("/sys/fs/cgroup");
        for (folder, file) in
            [(root.join("memory"), "memory.limit_in_bytes"), (root.to_owned(), "memory.max")]
        {
            let group = folder.join(format!("bls-{name}-{}", std::process::id()));
            if folder.join("cgroup.procs").is_file() && fs::create_dir(&group).is_ok() {
                let group = Self(group);
                if fs::write(group.0.join(file), bytes.to_string()).is_ok() {
                    return Some(group);
                }
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

impl Node {
    /// One that has nothing installed.
    ///
    /// # Panics
    /// When folders cannot be made.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Home::new())
    }

    /// One with this key.
    ///
    /// # Panics
    /// When folders cannot be made.
    #[must_use]
    pub fn of(home: Home) -> Self {
        let node = Self { home, requests: AtomicU32::new(0) };
        fs::create_dir_all(node.home.path("work/t")).expect("a folder");
        node
    }

    /// Where it keeps what is installed.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.home.path("store")
    }

    /// Compiles a module, or a configuration, and installs it.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn install(&self, input: &Path) {
        self.install_with(input, &[]);
    }

    /// The same with these options of the compiler.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn install_with(&self, input: &Path, options: &[&str]) {
        let artifact = self.home.compile(input, options);
        let mut command = Command::new(loader());
        command.arg("install").arg("--trust").arg(self.home.public_key());
        let _ = run(command.arg("--store").arg(self.store()).arg(artifact), b"").expect(0);
    }

    /// The options that make a runtime compile what is not installed.
    #[must_use]
    pub fn compiling(&self) -> Vec<String> {
        let key = self.home.key().display().to_string();
        let compiler = compiler().display().to_string();
        vec!["--compile-with".into(), compiler, "--compile-key".into(), key]
    }

    /// The words that make bls-load this node's runtime.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let text = |path: PathBuf| path.display().to_string();
        let mut words = vec!["node".to_owned(), "--store".into(), text(self.store())];
        words.extend(["--trust".into(), text(self.home.public_key())]);
        words
    }

    /// Its runtime, with these options more, in its folder.
    #[must_use]
    pub fn runtime(&self, options: &[&str]) -> Command {
        let mut command = Command::new(loader());
        command.current_dir(self.home.path("work")).args(self.words()).args(options);
        command
    }

    /// Runs a module or a configuration with these words.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ended {
        run(&mut self.runtime(words), b"")
    }

    /// A script that is this node's runtime, for whoever starts it by its path alone.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn script(&self, name: &str, options: &[String]) -> PathBuf {
        let quoted = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
        let words: Vec<String> = self.words().iter().chain(options).map(quoted).collect();
        let text = format!("#!/bin/sh\nexec '{}' {} \"$@\"\n", loader().display(), words.join(" "));
        let path = self.home.path(name);
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
        path
    }

    /// Does what the node's executor does for one request of a function.
    ///
    /// # Panics
    /// When the request's folder cannot be made.
    #[must_use]
    pub fn execute(&self, function: &Path, options: &[String], request: &Request<'_>) -> Ended {
        let id = format!("request-{}", self.requests.fetch_add(1, Ordering::Relaxed));
        let folder = self.home.path("work/t").join(id);
        fs::create_dir(&folder).expect("a folder");
        let mut command = match request.group {
            None => Command::new(loader()),
            Some(Group(group)) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]);
                shell.arg(group.join("cgroup.procs")).arg(loader());
                shell
            }
        };
        command.current_dir(&folder).args(self.words()).args(options).arg(function);
        command.arg("--fs-root-path").arg(folder.join("fs"));
        command.arg("--drivers-root-path").arg(self.home.path("runtime/extensions"));
        command.args(request.flags).arg("--");
        command.args(request.values.iter().filter(|value| !value.is_empty()));
        let names: Vec<&str> = request.variables.iter().map(|(name, _)| *name).collect();
        command.envs(request.variables.iter().copied()).env("BLS_LIST_VARS", names.join(";"));
        let ended = run(&mut command, request.stdin);
        fs::remove_dir_all(&folder).expect("a folder to remove");
        ended
    }
}
