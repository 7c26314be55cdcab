//! The ways in which a module is run: ours, and each peer's at its best settings.
//!
//! Everything that can be compiled ahead of time is. A peer is a program on `PATH`; what is not
//! there is named. Of wasm2c, its runtime's sources are needed too: they lie in
//! `share/wabt/wasm2c` beside its `bin`, where its packages put them.

use super::super::peers::{on_path, quiet};
use super::super::{Bench, artifacts};
use crate::programs::{loader, run};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A way to run a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Metered,
    Unmetered,
    /// The small bls-load.
    Minimal,
    Wasmtime,
    WasmtimeFuel,
    WasmtimeEpochs,
    WasmtimeMin,
    WasmEdge,
    WasmEdgeGas,
    Wamr,
    Node,
    /// C by wasm2c, compiled by cc.
    Native,
}

impl Way {
    /// What a table calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Metered => "bls-load",
            Self::Unmetered => "bls-load, `--no-fuel`",
            Self::Minimal => "bls-load, minimal",
            Self::Wasmtime => "wasmtime",
            Self::WasmtimeFuel => "wasmtime, fuel",
            Self::WasmtimeEpochs => "wasmtime, epochs",
            Self::WasmtimeMin => "wasmtime-min",
            Self::WasmEdge => "WasmEdge",
            Self::WasmEdgeGas => "WasmEdge, gas",
            Self::Wamr => "WAMR",
            Self::Node => "Node",
            Self::Native => "wasm2c, cc -O3",
        }
    }

    /// The key in the figures.
    pub(super) fn key(self) -> String {
        format!("{self:?}").to_ascii_lowercase()
    }

    /// The options of wasmtime, for the compiler and for the run.
    fn wasmtime_options(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::WasmtimeFuel => (&["-W", "fuel=1"], &["-W", "fuel=1000000000000000"]),
            Self::WasmtimeEpochs => {
                (&["-W", "epoch-interruption=y"], &["-W", "epoch-interruption=y,timeout=1000s"])
            }
            // What it was built without.
            Self::WasmtimeMin => {
                (&["-C", "collector=drc", "-W", "concurrency-support=n,threads=n"], &[])
            }
            _ => (&[], &[]),
        }
    }
}

/// The programs, and a folder for what is made.
pub(super) struct Kit<'a> {
    pub(super) bench: &'a Bench,
    folder: tempfile::TempDir,
    minimal: Option<PathBuf>,
    wasmtime_min: Option<PathBuf>,
    wasmedge: Option<PathBuf>,
    iwasm: Option<PathBuf>,
    wamrc: Option<PathBuf>,
    node: Option<PathBuf>,
    wasm2c: Option<PathBuf>,
}

impl<'a> Kit<'a> {
    /// Looks for them.
    pub(super) fn find(bench: &'a Bench) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no fresh folder: {error}"))?;
        for (name, text) in
            [("native.c", include_str!("native.c")), ("node.mjs", include_str!("node.mjs"))]
        {
            std::fs::write(folder.path().join(name), text).map_err(|error| error.to_string())?;
        }
        let minimal = loader().with_file_name("minimal").join("bls-load");
        Ok(Self {
            bench,
            folder,
            minimal: minimal.is_file().then_some(minimal),
            wasmtime_min: on_path("wasmtime-min"),
            wasmedge: on_path("wasmedge"),
            iwasm: on_path("iwasm"),
            wamrc: on_path("wamrc"),
            node: on_path("node"),
            wasm2c: on_path("wasm2c"),
        })
    }

    /// The program that runs what was made in this way; `None` where the way is not there.
    pub(super) fn program(&self, way: Way) -> Option<PathBuf> {
        let wasmtime = || self.bench.peers.wasmtime.clone();
        match way {
            Way::Metered | Way::Unmetered => Some(loader()),
            Way::Minimal => self.minimal.clone(),
            Way::Wasmtime | Way::WasmtimeFuel | Way::WasmtimeEpochs => wasmtime(),
            // It cannot compile.
            Way::WasmtimeMin => wasmtime().and(self.wasmtime_min.clone()),
            Way::WasmEdge | Way::WasmEdgeGas => self.wasmedge.clone(),
            Way::Wamr => self.wamrc.as_ref().and(self.iwasm.clone()),
            Way::Node => self.node.clone(),
            Way::Native => self.wasm2c.clone(),
        }
    }

    /// The ways of these that are there.
    pub(super) fn present(&self, ways: &[Way]) -> Vec<Way> {
        ways.iter().copied().filter(|way| self.program(*way).is_some()).collect()
    }

    /// What is not there, a line each.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        [
            (Way::Minimal, "The minimal bls-load is not built: `cargo xtask build minimal`."),
            (Way::Wasmtime, "wasmtime is not on PATH."),
            (Way::WasmtimeMin, "wasmtime-min (or wasmtime, which compiles for it) is not on PATH."),
            (Way::WasmEdge, "WasmEdge is not on PATH (`wasmedge`)."),
            (Way::Wamr, "WAMR is not on PATH (`iwasm` and `wamrc`)."),
            (Way::Node, "Node is not on PATH (`node`)."),
            (Way::Native, "wasm2c is not on PATH: no native code to compare with."),
        ]
        .into_iter()
        .filter(|(way, _)| self.program(*way).is_none())
        .map(|(_, line)| line)
        .collect()
    }

    /// Names and versions of what is there, as the programs say them.
    pub(super) fn versions(&self) -> Vec<(&'static str, String)> {
        let compiler = Some(crate::programs::compiler());
        [
            ("bls-load", Some(loader())),
            ("bls-compile", compiler),
            ("wasmtime", self.bench.peers.wasmtime.clone()),
            ("wasmtime-min", self.wasmtime_min.clone()),
            ("WasmEdge", self.wasmedge.clone()),
            ("WAMR", self.iwasm.clone()),
            ("Node", self.node.clone()),
            ("wasm2c", self.wasm2c.clone()),
            ("cc", on_path("cc")),
        ]
        .into_iter()
        .filter_map(|(name, program)| Some((name, version(&program?))))
        .collect()
    }

    /// Compiles a module ahead of time; what has to be run then.
    ///
    /// # Errors
    /// When the way is not there, or its compiler refuses the module.
    pub(super) fn prepare(&self, way: Way, module: &Path, stem: &str) -> Result<PathBuf, String> {
        if let Way::Metered | Way::Unmetered | Way::Minimal = way {
            let options: &[&str] = match way {
                Way::Unmetered => &["--no-fuel"],
                Way::Minimal => &["--wasm", "core"],
                _ => &[],
            };
            let name = format!("{stem}-{}", way.key());
            return self.bench.make(module, &name, options).map(|made| made.path);
        }
        let output = self.folder.path().join(format!("{stem}.{}", way.key()));
        let command = match way {
            Way::Native => return self.native(module, stem, output),
            Way::Node => return Ok(module.to_owned()),
            Way::WasmEdge | Way::WasmEdgeGas => {
                let mut command = Command::new(self.wasmedge.as_ref().ok_or("no WasmEdge")?);
                command.args(["compile", "--optimize", "3"]);
                if way == Way::WasmEdgeGas {
                    command.arg("--enable-gas-measuring");
                }
                command.arg(module).arg(&output);
                command
            }
            Way::Wamr => {
                let mut command = Command::new(self.wamrc.as_ref().ok_or("no wamrc")?);
                command.arg("-o").arg(&output).arg(module);
                command
            }
            _ => {
                let mut command =
                    Command::new(self.bench.peers.wasmtime.as_ref().ok_or("no wasmtime")?);
                command
                    .arg("compile")
                    .args(way.wasmtime_options().0)
                    .arg(module)
                    .arg("-o")
                    .arg(&output);
                command
            }
        };
        compile(&command).map(|()| output)
    }

    /// C by wasm2c, compiled with what a guest needs of WASI.
    fn native(&self, module: &Path, stem: &str, output: PathBuf) -> Result<PathBuf, String> {
        let wasm2c = self.wasm2c.as_ref().ok_or("no wasm2c")?;
        let runtime = wasm2c.ancestors().nth(2).unwrap_or(Path::new("/")).join("share/wabt/wasm2c");
        let folder = self.folder.path().join(format!("{stem}-c"));
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let mut translate = Command::new(wasm2c);
        translate.args(["-n", "guest", "-o"]).arg(folder.join("guest.c")).arg(module);
        if !quiet(&mut translate) {
            return Err("wasm2c refuses it".to_owned());
        }
        let mut compile = Command::new("cc");
        compile.args(["-O3", "-w", "-I"]).arg(&folder).arg("-I").arg(&runtime);
        compile.arg(folder.join("guest.c")).arg(self.folder.path().join("native.c"));
        compile.arg(runtime.join("wasm-rt-impl.c")).arg("-lm").arg("-o").arg(&output);
        quiet(&mut compile)
            .then_some(output)
            .ok_or_else(|| "cc refuses what wasm2c made".to_owned())
    }

    /// The command that runs what was prepared, with a folder as `.`; without one it runs in a
    /// folder of the benchmark's own.
    ///
    /// # Panics
    /// When the way is not there: it was prepared before.
    pub(super) fn command(&self, way: Way, file: &Path, folder: Option<&Path>) -> Command {
        let program = self.program(way).expect("a way that is there");
        let mut command = match way {
            Way::Metered | Way::Unmetered => self.bench.command(folder, None, file),
            Way::Minimal => {
                let mut command = Command::new(&program);
                command.arg("--trust").arg(self.bench.home.public_key()).arg(file);
                command
            }
            Way::Wasmtime | Way::WasmtimeFuel | Way::WasmtimeEpochs | Way::WasmtimeMin => {
                let mut command = Command::new(&program);
                command.args(["run", "--allow-precompiled"]).args(way.wasmtime_options().1);
                if folder.is_some() {
                    command.args(["--dir", "."]);
                }
                command.arg(file);
                command
            }
            Way::WasmEdge | Way::WasmEdgeGas => {
                let mut command = Command::new(&program);
                command.args(["--run-mode", "aot", "--log-level", "error"]);
                if way == Way::WasmEdgeGas {
                    command.arg("--enable-gas-measuring");
                }
                if folder.is_some() {
                    command.args(["--dir", ".:."]);
                }
                command.arg(file);
                command
            }
            Way::Wamr => {
                let mut command = Command::new(&program);
                command.arg("--stack-size=1048576");
                if folder.is_some() {
                    command.arg("--dir=.");
                }
                command.arg(file);
                command
            }
            Way::Node => {
                let mut command = Command::new(&program);
                command.arg("--no-warnings").arg(self.folder.path().join("node.mjs")).arg(file);
                command
            }
            Way::Native => Command::new(file),
        };
        command.current_dir(folder.map_or_else(|| self.bench.home.path("."), Path::to_owned));
        command
    }

    /// A dynamic native hello, beside the static one of the peers.
    pub(super) fn dynamic_hello(&self) -> Option<Command> {
        let source = self.folder.path().join("hello.c");
        let output = self.folder.path().join("hello-dynamic");
        std::fs::write(&source, include_str!("../hello.c")).ok()?;
        let mut compile = Command::new("cc");
        compile.args(["-O2", "-s"]).arg(source).arg("-o").arg(&output);
        quiet(&mut compile).then(|| self.native_command(&output))
    }

    /// A native program in the folder in which all others run.
    pub(super) fn native_command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.bench.home.path("."));
        command
    }

    /// The hello that all run, as binary WebAssembly.
    pub(super) fn hello(&self) -> PathBuf {
        crate::programs::fixtures().join("wat/hello.wasm")
    }
}

/// What a program says of its version.
fn version(program: &Path) -> String {
    let text = run(Command::new(program).arg("--version"), b"").text();
    without_name(&text, &artifacts::stem(program))
}

/// The first line of a version, without the names in front of it: one may be the program's path.
fn without_name(text: &str, program: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown");
    let is_name = |word: &str| {
        ["version", "wasmtime", program].contains(&word.rsplit('/').next().unwrap_or(word))
    };
    line.split_whitespace().skip_while(|word| is_name(word)).collect::<Vec<_>>().join(" ")
}

/// Runs a peer's compiler, for a minute at most: some take several for one program of these.
fn compile(command: &Command) -> Result<(), String> {
    /// How coreutils' `timeout` says that the time was over.
    const LATE: i32 = 124;
    let mut bounded = Command::new("timeout");
    bounded.arg("60").arg(command.get_program()).args(command.get_args());
    let ended = bounded.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match ended.ok().and_then(|status| status.code()) {
        Some(0) => Ok(()),
        Some(LATE) => Err("its compiler takes longer than a minute".to_owned()),
        _ => Err("its compiler refuses it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_no_path_and_no_name() {
        for (text, program, version) in [
            ("/opt/bin/wasmedge version 0.17.1\n (plugin)", "wasmedge", "0.17.1"),
            (
                "wasmtime 48.0.2 (e9f1ea232 2026-09-10)\n",
                "wasmtime-min",
                "48.0.2 (e9f1ea232 2026-09-10)",
            ),
            ("cc (Debian 12.2.0-14) 12.2.0\nCopyright", "cc", "(Debian 12.2.0-14) 12.2.0"),
            ("v20.20.2\n", "node", "v20.20.2"),
            ("", "silent", "unknown"),
        ] {
            assert_eq!(without_name(text, program), version);
        }
    }

    #[test]
    fn every_way_has_a_name_and_a_key_of_its_own() {
        let ways = [
            Way::Metered,
            Way::Unmetered,
            Way::Minimal,
            Way::Wasmtime,
            Way::WasmtimeFuel,
            Way::WasmtimeEpochs,
            Way::WasmtimeMin,
            Way::WasmEdge,
            Way::WasmEdgeGas,
            Way::Wamr,
            Way::Node,
            Way::Native,
        ];
        for (number, way) in ways.iter().enumerate() {
            for other in &ways[number + 1..] {
                assert_ne!(way.name(), other.name());
                assert_ne!(way.key(), other.key());
            }
        }
    }
}
