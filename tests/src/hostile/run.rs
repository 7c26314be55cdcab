//! Runs hostile artifacts, behind the loader's wall and where there is none.

use super::code::Forge;
use super::scene::{INHERITED_FILE, INHERITED_FOLDER, SECRET, Scene, VARIABLE, stat};
use super::script::Script;
use super::{Attempt, Trace};
use crate::embedded::key;
use crate::programs::{Home, loader, maps_of_a_running_guest, run};
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What the loader is asked to grant, and what runs beside the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grants {
    /// No folder.
    Nothing,
    /// A folder to be read.
    Read,
    /// The same, and one to be changed.
    Change,
    /// The same, with a limit on time and a report, so that there is a second thread.
    Watched,
    /// No folder, but one place of the network, so that there is a broker to be asked. (Nothing
    /// is there: the addresses are kept for documents.)
    Asks,
    /// The same, and the server of this machine.
    AsksHere,
}

impl Grants {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Nothing, Self::Read, Self::Change, Self::Watched, Self::Asks];

    fn options(self, scene: &Scene) -> Vec<OsString> {
        let mut options: Vec<OsString> = Vec::new();
        if matches!(self, Self::Asks | Self::AsksHere) {
            options.extend(["--allow-net".into(), "192.0.2.1:9".into()]);
        }
        if self == Self::AsksHere {
            let server = format!("127.0.0.1:{}", scene.port);
            options.extend(["--allow-net".into(), server.into()]);
        }
        if matches!(self, Self::Read | Self::Change | Self::Watched) {
            options.extend(["--dir-ro".into(), scene.path("ro").into_os_string()]);
        }
        if matches!(self, Self::Change | Self::Watched) {
            options.extend(["--dir".into(), scene.path("rw").into_os_string()]);
        }
        if self == Self::Watched {
            options.extend(["--timeout".into(), "60s".into(), "--report".into()]);
            options.push(scene.path("report.json").into_os_string());
        }
        options
    }
}

/// Where hostile artifacts are made and run.
#[derive(Debug)]
pub struct Field {
    home: Home,
    forge: Forge,
    other: Child,
    /// The program that runs artifacts where there is no wall.
    unwalled: PathBuf,
    /// Whether attempts run in namespaces of their own, which only root can make.
    has_namespaces: bool,
}

impl Field {
    /// A fresh one; `unwalled` is that program.
    ///
    /// # Panics
    /// When something of it cannot be made.
    #[must_use]
    pub fn new(unwalled: &Path) -> Self {
        let home = Home::with_seed(5);
        assert_eq!(fs::read_to_string(home.public_key()).ok(), Some(key().public().to_pem()));
        let forge = Forge::new(&home.path("."));
        // Who may mount and name the machine may make a place of its own for that.
        let probe = Command::new("unshare").args(["--mount", "--uts", "--ipc", "true"]).output();
        let has_namespaces = probe.expect("unshare(1)").status.success();
        // Standard input stays open as long as the child is kept, and so does its guest.
        let artifact = home.fixture("wat/read-stdin-forever.wat");
        let other = home
            .load_command::<&str>(&[], &artifact)
            .arg(SECRET)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("another bls-load");
        // Nobody else may look into it then.
        if rustix::process::geteuid().is_root() {
            let _ = maps_of_a_running_guest(&other);
        }
        Self { home, forge, other, unwalled: unwalled.to_owned(), has_namespaces }
    }

    /// The helper that takes something away from a program, compiled.
    ///
    /// # Panics
    /// When it cannot be compiled.
    #[must_use]
    pub fn withhold(&self) -> PathBuf {
        let program = self.home.path("withhold");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("withhold.c");
        let _ = run(Command::new("cc").arg("-o").arg(&program).arg(source), b"").expect(0);
        program
    }

    /// Whether the whole wall stands here; says so where not. (Without the rule of new code
    /// the filter still forbids it; before ABI 3 Landlock has no right to truncate.)
    ///
    /// # Panics
    /// When a run's report does not say.
    #[must_use]
    pub fn is_walled(&self) -> bool {
        const ABI_MIN: u64 = 3;
        let (_, report) = self.home.report(&[], &self.home.fixture("wat/hello.wat"));
        let sandbox = &report["sandbox"];
        let missing = sandbox["missing"].as_array().expect("a list of what is missing");
        let is_whole = missing.iter().all(|piece| piece["name"] == "mdwe")
            && sandbox["landlock_abi"].as_u64().is_some_and(|abi| abi >= ABI_MIN);
        if !is_whole {
            println!("SKIPPED: this system does not give the whole wall: {sandbox}");
        }
        is_whole
    }

    /// A fresh scene.
    #[must_use]
    pub fn scene(&self) -> Scene {
        let number = self.other.id();
        Scene::new((number, self.place_of_secret(number)))
    }

    /// Where the other bls-load's last argument is.
    fn place_of_secret(&self, number: u32) -> u64 {
        let line = fs::read(format!("/proc/{number}/cmdline")).expect("a command line");
        let before = line.len() - SECRET.len() - 1;
        stat(number).arguments + before as u64
    }

    /// Runs an attempt behind the loader's wall.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn walled(&self, attempt: &Attempt, scene: &Scene, grants: Grants) -> Trace {
        self.walled_behind(&[], attempt, scene, grants)
    }

    /// The same, started by these words in front.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn walled_behind(
        &self,
        before: &[OsString],
        attempt: &Attempt,
        scene: &Scene,
        grants: Grants,
    ) -> Trace {
        let mut words = before.to_vec();
        words.extend([loader().into_os_string(), "--trust".into()]);
        words.push(self.home.public_key().into_os_string());
        words.extend(grants.options(scene));
        words.push(self.home.path("hostile.bls").into_os_string());
        self.run(&words, attempt, scene)
    }

    /// Runs an attempt where there is no wall.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn unwalled(&self, attempt: &Attempt, scene: &Scene) -> Trace {
        let mut words = vec![self.unwalled.clone().into_os_string()];
        words.push(self.home.public_key().into_os_string());
        words.push(self.home.path("hostile.bls").into_os_string());
        words.extend(Grants::Change.options(scene));
        self.run(&words, attempt, scene)
    }

    fn run(&self, words: &[OsString], attempt: &Attempt, scene: &Scene) -> Trace {
        let script: Script = attempt.script(scene);
        let artifact = self.forge.artifact(&script);
        fs::write(self.home.path("hostile.bls"), artifact).expect("an artifact");
        // What is inherited; then the program, in the same process.
        let inherits = format!(
            "exec {INHERITED_FILE}>>\"$1\" {INHERITED_FOLDER}<\"$2\"; shift 2; exec \"$@\""
        );
        let mut all: Vec<OsString> = Vec::new();
        if self.has_namespaces {
            all.extend(["unshare", "--mount", "--uts", "--ipc"].map(OsString::from));
        }
        all.extend(["sh".into(), "-c".into(), inherits.into(), "sh".into()]);
        all.extend([scene.path("inherited"), scene.path(".")].map(PathBuf::into_os_string));
        all.extend(words.iter().cloned());
        if attempt.has_terminal {
            return self.run_at_a_terminal(&all, script.steps());
        }
        let output = Command::new(&all[0])
            .args(&all[1..])
            .env(VARIABLE, SECRET)
            .stdin(Stdio::null())
            .output()
            .expect("a run");
        let trace = Trace::new(script.steps(), output.stdout, output.stderr);
        Trace { signal: output.status.signal(), code: output.status.code(), ..trace }
    }

    /// The same with a terminal of its own as standard input.
    fn run_at_a_terminal(&self, words: &[OsString], steps: usize) -> Trace {
        let quoted: Vec<String> = words
            .iter()
            .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")))
            .collect();
        let path = |name| self.home.path(name);
        let text = format!(
            "exec {} >'{}' 2>'{}'\n",
            quoted.join(" "),
            path("out").display(),
            path("err").display()
        );
        fs::write(path("run.sh"), text).expect("a file");
        let status = Command::new("script")
            .args(["-qec", &format!("sh {}", path("run.sh").display()), "/dev/null"])
            .env(VARIABLE, SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .expect("script(1), which makes a terminal");
        let [stdout, stderr] = ["out", "err"].map(|name| fs::read(path(name)).unwrap_or_default());
        let trace = Trace::new(steps, stdout, stderr);
        // A shell says so that a signal killed its child.
        match status.code() {
            Some(code) if code > 128 => Trace { signal: Some(code - 128), ..trace },
            code => Trace { code, signal: status.signal(), ..trace },
        }
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        let _ = self.other.kill();
        let _ = self.other.wait();
    }
}
