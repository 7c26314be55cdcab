//! A WebAssembly module as an artifact, on a node whose configuration says so.
//!
//! A module is compiled once, by bls-compile, which parses it in a process that holds nothing,
//! and is kept by its SHA-256. Guarantees that one who waits for another's compile uses its
//! result, and that an artifact in the folder is whole. What is in it is verified as any other.

use crate::node::Compile;
use crate::refusal::{Defect, Refusal};
use bls_artifact::digest::Hasher;
use bls_artifact::limits::MODULE_BYTES_MAX;
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How long a compile may take: an engine waits for its container meanwhile.
const TIME_MAX: &str = "10m";
/// How much memory it may take.
const MEMORY_MAX: &str = "4GiB";
/// The most bytes of what the compiler says.
const WORDS_BYTES_MAX: u64 = 64 << 10;

/// Gives the artifact of a module, and compiles it where that was not done before; anew where
/// `again` says that what is kept is of no use any more.
///
/// # Errors
/// It cannot be read, kept or compiled.
pub fn artifact(
    module: &File,
    path: &str,
    compile: &Compile,
    compiler: &Path,
    again: bool,
) -> Result<PathBuf, Refusal> {
    let folder = &compile.cache;
    let unusable = |error: std::io::Error| {
        let what = format!("{} cannot be used: {error}", folder.display());
        Refusal::new(Defect::Module, what, "see that there is room, and that root can write there")
    };
    check_folder(folder).map_err(unusable)??;
    let (copy, digest) = copied(module, folder).map_err(unusable)?;
    if copy.as_file().metadata().map_err(unusable)?.len() > MODULE_BYTES_MAX {
        let what = format!("{path} has more than {MODULE_BYTES_MAX} bytes");
        return Err(Refusal::new(
            Defect::Module,
            what,
            "compile it elsewhere, and run the artifact",
        ));
    }
    let kept = folder.join(format!("{digest}.bls"));
    if !again && kept.is_file() {
        return Ok(kept);
    }
    let before = identity(&kept);
    let lock = Lock::take(folder.join(format!("{digest}.lock"))).map_err(unusable)?;
    // Whoever had it before may have done it.
    let is_done = if again { identity(&kept) != before } else { kept.is_file() };
    if !is_done {
        compile_into(copy.path(), path, &kept, compile, compiler)?;
    }
    drop(lock);
    Ok(kept)
}

/// Which file it is; `None` where there is none.
fn identity(path: &Path) -> Option<(u64, i64, i64)> {
    let status = path.metadata().ok()?;
    Some((status.ino(), status.mtime(), status.mtime_nsec()))
}

/// Makes the folder where it is missing, and refuses one that others can write.
fn check_folder(folder: &Path) -> std::io::Result<Result<(), Refusal>> {
    if !folder.exists() {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    let status = folder.metadata()?;
    let is_own = [0, rustix::process::geteuid().as_raw()].contains(&status.uid());
    Ok(if status.is_dir() && is_own && status.mode() & 0o022 == 0 {
        Ok(())
    } else {
        let what = format!("{} is no folder that only root can write", folder.display());
        Err(Refusal::new(Defect::Guard, what, "chown root: and chmod go-w"))
    })
}

/// A copy that nobody changes while it is compiled, and its digest. One that is too long is cut
/// behind the bound.
fn copied(module: &File, folder: &Path) -> std::io::Result<(tempfile::NamedTempFile, String)> {
    let mut copy = tempfile::Builder::new().prefix(".").suffix(".wasm").tempfile_in(folder)?;
    let (mut hasher, mut buffer) = (Hasher::default(), vec![0; 1 << 16]);
    let mut position = 0;
    // By position: it may have been read before.
    while position <= MODULE_BYTES_MAX {
        match module.read_at(&mut buffer, position)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                copy.write_all(&buffer[..read])?;
                position += read as u64;
            }
        }
    }
    Ok((copy, hasher.finish().to_string()))
}

fn compile_into(
    module: &Path,
    path: &str,
    kept: &Path,
    compile: &Compile,
    compiler: &Path,
) -> Result<(), Refusal> {
    let failed = |what: String, hint: &str| Err(Refusal::new(Defect::Module, what, hint));
    let output = kept.with_extension("new.bls");
    let run = Command::new(compiler)
        .arg(module)
        .arg("--key")
        .arg(&compile.key)
        .arg("-o")
        .arg(&output)
        .args(["-q", "--max-compile-time", TIME_MAX, "--max-compile-memory", MEMORY_MAX])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match run {
        Ok(child) => child,
        Err(error) => {
            return failed(
                format!("cannot start {}: {error}", compiler.display()),
                "see that it is there",
            );
        }
    };
    let mut words = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(WORDS_BYTES_MAX).read_to_end(&mut words);
    }
    let is_done = child.wait().is_ok_and(|status| status.success());
    let words = String::from_utf8_lossy(&words).replace(&*module.to_string_lossy(), path);
    if !is_done {
        let _ = std::fs::remove_file(&output);
        let said: Vec<&str> = words.lines().collect();
        return failed(
            format!("{path} does not compile: {}", said.join("; ")),
            "try it by hand: bls-compile FILE",
        );
    }
    // The container's user reads it.
    let put = std::fs::set_permissions(&output, Permissions::from_mode(0o644))
        .and_then(|()| std::fs::rename(&output, kept));
    match put {
        Ok(()) => Ok(()),
        Err(error) => {
            failed(format!("cannot keep {}: {error}", kept.display()), "see that there is room")
        }
    }
}

/// Held by whoever compiles one module. It goes with its file.
struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    fn take(path: PathBuf) -> std::io::Result<Self> {
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(Self { _file: file, path })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
