//! Other machines, as far as they are here: a bls-load for each architecture, and qemu-user to
//! run it.
//!
//! `BLS_CROSS` names the folder where `cargo xtask cross` put the loaders. Guarantees that the
//! same run of the same artifact is observed in the same way here and there, by rule
//! (`--deterministic`). What is missing is said, and is `None`. Judges nothing.

use crate::peer::tree;
use crate::programs::{Ended, Home, loader, run};
use crate::runs::Run;
use crate::wasi_suite::Program;
use bls_artifact::target::Target;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Something that runs artifacts: bls-load of this machine, or of another by an emulator.
#[derive(Clone, Debug)]
pub struct Device {
    /// The part that runs there.
    pub target: Target,
    program: PathBuf,
    /// Before the artifact: the emulator's own options, and the loader.
    words: Vec<OsString>,
}

/// Everything that a run left behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Traces {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The report.
    pub report: String,
    /// The files.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

/// qemu's program for an architecture, or nothing, which is said: in the folder that `BLS_QEMU`
/// names, or on `PATH`, with its name or as Debian calls the static one.
#[must_use]
pub fn qemu(architecture: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::var_os("BLS_QEMU").map(PathBuf::from);
    let mut folders = folders.into_iter().chain(std::env::split_paths(&path));
    let found = folders.find_map(|folder| {
        let names = ["", "-static"].map(|end| folder.join(format!("qemu-{architecture}{end}")));
        names.into_iter().find(|program| program.is_file())
    });
    if found.is_none() {
        println!("SKIPPED: there is no qemu-{architecture}: nothing was run by it");
    }
    found
}

impl Device {
    /// This machine.
    ///
    /// # Panics
    /// Where nothing runs on it.
    #[must_use]
    pub fn here() -> Self {
        let target = Target::host().expect("a target");
        Self { target, program: loader(), words: Vec::new() }
    }

    /// The architecture that xtask and qemu call by these names, where a loader was built for
    /// it; `target` is what runs there.
    #[must_use]
    pub fn of([name, architecture]: [&str; 2], target: Target) -> Option<Self> {
        let folder = std::env::var_os("BLS_CROSS").map(PathBuf::from).unwrap_or_default();
        let loader = folder.join(name).join("bls-load");
        if !loader.is_file() {
            println!("SKIPPED: no bls-load for {name} was built: cargo xtask cross {name} does it");
            return None;
        }
        Some(Self { target, program: qemu(architecture)?, words: vec![loader.into()] })
    }

    /// Its bls-load.
    #[must_use]
    pub fn loader(&self) -> &Path {
        self.words.last().map_or(&self.program, |word| Path::new(word))
    }

    /// The same with options of the emulator.
    #[must_use]
    pub fn emulated_as(&self, options: &[&str]) -> Self {
        let words = options.iter().map(OsString::from).chain(self.words.iter().cloned()).collect();
        Self { words, ..self.clone() }
    }

    /// bls-load there, with these options, trusting the key of `home`.
    #[must_use]
    pub fn load_command(&self, home: &Home, options: &[String], artifact: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(home.path(""))
            .args(&self.words)
            .arg("--trust")
            .arg(home.public_key())
            .args(options)
            .arg(artifact);
        command
    }

    /// Runs a recorded run by rule, as often as it says.
    ///
    /// # Panics
    /// When the program cannot be run.
    #[must_use]
    pub fn run(&self, home: &Home, recorded: &Run, artifact: &Path) -> Traces {
        let folder = tempfile::tempdir().expect("a fresh folder");
        recorded.lay_out(folder.path());
        let options = recorded.options(folder.path());
        let mut all = self.once(home, &options, artifact, &recorded.args, &recorded.stdin);
        for _ in 1..recorded.repeat {
            let next = self.once(home, &options, artifact, &recorded.args, &recorded.stdin);
            all.0.stdout.extend(next.0.stdout);
            all.0.code = all.0.code.max(next.0.code);
            all.1 = next.1;
        }
        traces(all, folder.path())
    }

    /// Runs a program of the WASI suite: by rule, and as it is.
    ///
    /// # Panics
    /// When the program cannot be run.
    #[must_use]
    pub fn run_program(&self, home: &Home, program: &Program, artifact: &Path) -> (Traces, Ended) {
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a fresh folder"));
        let options = folders.each_ref().map(|folder| program.lay_out(folder.path()));
        let seen = self.once(home, &options[0], artifact, &program.args(), program.stdin());
        let mut plain = self.load_command(home, &options[1], artifact);
        let plain = run(plain.args(program.args()), program.stdin());
        (traces(seen, folders[0].path()), plain)
    }

    /// One run by rule; how it ended, and its report.
    fn once(
        &self,
        home: &Home,
        options: &[String],
        artifact: &Path,
        args: &[String],
        stdin: &[u8],
    ) -> (Ended, String) {
        let report = home.path("report.json");
        let _ = std::fs::remove_file(&report);
        let by_rule =
            ["--deterministic".to_owned(), "--report".into(), report.display().to_string()];
        let mut command = self.load_command(home, &[&by_rule[..], options].concat(), artifact);
        let ended = run(command.args(args), stdin);
        let text = std::fs::read_to_string(report)
            .unwrap_or_else(|error| panic!("no report: {error}: {}", ended.stderr));
        (ended, text)
    }
}

fn traces((ended, report): (Ended, String), folder: &Path) -> Traces {
    let (code, stdout) = (ended.code, ended.text());
    Traces { code, stdout, stderr: ended.stderr, report, files: tree(folder) }
}
