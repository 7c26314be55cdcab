//! The programs that ours are compared with: those of this machine.
//!
//! A native C hello is built on the spot, static; wasmtime and valgrind are
//! used where they are on PATH. Nothing is downloaded.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What was found.
pub(super) struct Peers {
    folder: tempfile::TempDir,
    /// A static native hello.
    pub(super) hello: Option<PathBuf>,
    /// Runs a program and says how much memory it took.
    measure: Option<PathBuf>,
    /// wasmtime's command line program.
    pub(super) wasmtime: Option<PathBuf>,
    /// valgrind.
    valgrind: Option<PathBuf>,
    /// Keeps a program under valgrind from asking the kernel for valgrind's own vector.
    without_auxv: Option<PathBuf>,
}

/// What the kernel counted of a command and of its children.
pub(super) struct Usage {
    /// The most that one of them had in memory, in bytes.
    pub(super) peak: u64,
    /// Processor time of all of them, in microseconds.
    pub(super) cpu: f64,
    /// Whether it ended with 0.
    pub(super) is_done: bool,
}

impl Peers {
    /// Looks for them, and builds the C programs.
    pub(super) fn find() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no fresh folder: {error}"))?;
        let build = |name, source| build(folder.path(), name, source);
        Ok(Self {
            hello: build("hello", include_str!("hello.c")),
            measure: build("measure", include_str!("measure.c")),
            without_auxv: build("without_auxv", include_str!("without_auxv.c")),
            wasmtime: on_path("wasmtime"),
            valgrind: on_path("valgrind"),
            folder,
        })
    }

    /// What is not here, a line each.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let mut lines = Vec::new();
        if self.hello.is_none() || self.measure.is_none() {
            lines.push("cc builds no static program here: no C peer, no resident memory.");
        }
        if self.wasmtime.is_none() {
            lines.push("wasmtime is not installed: its rows and columns are left out.");
        }
        lines
    }

    /// Compiles a module with wasmtime, for its `--allow-precompiled`.
    pub(super) fn wasmtime_compile(&self, module: &Path, options: &[&str]) -> Option<PathBuf> {
        let output =
            self.folder.path().join(format!("{}.cwasm", options.join("-").replace('/', "")));
        let mut command = Command::new(self.wasmtime.as_ref()?);
        command.arg("compile").args(options).arg(module).arg("-o").arg(&output);
        quiet(&mut command).then_some(output)
    }

    /// wasmtime's command that runs what it compiled with the same options.
    pub(super) fn wasmtime_run(&self, options: &[&str], module: &Path) -> Option<Command> {
        let mut command = Command::new(self.wasmtime.as_ref()?);
        command.args(["run", "--allow-precompiled"]).args(options).arg(module);
        Some(command)
    }

    /// Runs a command; the peak of its resident memory in bytes. `None` when it fails.
    pub(super) fn resident(&self, command: &Command) -> Option<u64> {
        self.resident_and_success(command).and_then(|(peak, is_done)| is_done.then_some(peak))
    }

    /// The same, whether it fails or not; and whether it did not.
    pub(super) fn resident_and_success(&self, command: &Command) -> Option<(u64, bool)> {
        self.usage(command).map(|usage| (usage.peak, usage.is_done))
    }

    /// Runs a command; what the kernel counted of it and of its children.
    pub(super) fn usage(&self, command: &Command) -> Option<Usage> {
        self.usage_with(command, None)
    }

    /// The same, with this file as its standard input.
    pub(super) fn usage_with(&self, command: &Command, input: Option<&Path>) -> Option<Usage> {
        let stdin = match input {
            Some(path) => Stdio::from(std::fs::File::open(path).ok()?),
            None => Stdio::null(),
        };
        let mut measured = Command::new(self.measure.as_ref()?);
        measured.arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            measured.current_dir(folder);
        }
        let output = measured.stdin(stdin).output().ok()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let (kibibytes, microseconds) = text.lines().last()?.split_once(' ')?;
        Some(Usage {
            peak: kibibytes.parse::<u64>().ok()? * 1024,
            cpu: microseconds.parse().ok()?,
            is_done: output.status.success(),
        })
    }

    /// Instructions that a command executes, counted by valgrind; `None` when it does not
    /// end with `code`.
    pub(super) fn instructions(&self, command: &Command, code: i32) -> Option<u64> {
        let mut counted = Command::new(self.without_auxv.as_ref()?);
        counted.arg(self.valgrind.as_ref()?);
        counted.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        counted.arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            counted.current_dir(folder);
        }
        let output = counted.stdin(Stdio::null()).output().ok()?;
        // It does not know every instruction; what it counted until then is nothing.
        if output.status.code() != Some(code) {
            return None;
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let (_, count) = text.lines().rev().find_map(|line| line.split_once("Collected :"))?;
        count.trim().parse().ok()
    }
}

/// Builds a static program from C.
fn build(folder: &Path, name: &str, source: &str) -> Option<PathBuf> {
    let (input, output) = (folder.join(format!("{name}.c")), folder.join(name));
    std::fs::write(&input, source).ok()?;
    let mut command = Command::new("cc");
    command.args(["-O2", "-static", "-s"]).arg(&input).arg("-o").arg(&output);
    quiet(&mut command).then_some(output)
}

/// Runs a command without a word; whether it succeeded.
pub(super) fn quiet(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where a program is.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}
