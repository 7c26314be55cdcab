//! Artifacts for the benchmarks, made by bls-compile, with what it says of them.

use super::Bench;
use crate::programs::{compiler, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// An artifact.
pub(super) struct Made {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its length.
    pub(super) bytes: u64,
    /// The length of the module that was given.
    pub(super) source_bytes: u64,
    /// The length of the module that was compiled: metered, or the same.
    pub(super) compiled_bytes: u64,
    /// The length of the native image.
    pub(super) image_bytes: u64,
    /// How long bls-compile took, the whole process, in microseconds.
    pub(super) time: f64,
    /// The command that made it.
    pub(super) command: Command,
}

impl Bench {
    /// Compiles a module to an artifact of this name.
    pub(super) fn make(&self, input: &Path, name: &str, options: &[&str]) -> Result<Made, String> {
        let path = self.home.path(&format!("{name}.bls"));
        let mut command = self.home.compile_command(input);
        command.args(["--json", "--quiet", "-o"]).arg(&path).args(options);
        let begin = Instant::now();
        let ended = run(&mut command, b"");
        let time = begin.elapsed().as_secs_f64() * 1e6;
        if ended.code != Some(0) {
            return Err(format!("{}: {}", input.display(), ended.stderr.trim()));
        }
        let result: Value = serde_json::from_slice(&ended.stdout)
            .map_err(|error| format!("{}: --json: {error}", input.display()))?;
        let size = |value: &Value| value.as_u64().unwrap_or(0);
        Ok(Made {
            bytes: size(&result["sizes"]["artifact"]),
            source_bytes: size(&result["sizes"]["source"]),
            compiled_bytes: size(&result["sizes"]["compiled"]),
            image_bytes: size(&result["parts"][0]["image"]),
            path,
            time,
            command,
        })
    }

    /// The bytes of native code in an artifact, as `inspect` says it.
    pub(super) fn code_bytes(&self, made: &Made) -> Option<u64> {
        let ended = run(Command::new(compiler()).args(["inspect", "--json"]).arg(&made.path), b"");
        let shown: Value = serde_json::from_slice(&ended.stdout).ok()?;
        let sections = shown["sections"][0].as_array()?;
        sections.iter().find(|section| section["name"] == ".text")?["bytes"].as_u64()
    }
}

/// The file's name without its extension.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A file's length; 0 when there is none.
pub(super) fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}
