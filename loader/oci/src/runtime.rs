//! The real runtime, which this process becomes.

use crate::node::{FILE, Node};
use crate::refusal::{Defect, Refusal};
use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is looked for where the node names none.
const NAMES: [&str; 2] = ["runc", "crun"];
/// Where, where there is no `PATH`.
const FOLDERS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Finds the real runtime.
///
/// # Errors
/// There is none.
pub fn find(node: &Node) -> Result<PathBuf, Refusal> {
    let own = std::env::current_exe().ok().and_then(|own| own.metadata().ok());
    let own = own.map(|own| (own.dev(), own.ino()));
    // This program may be there under its name.
    let is_it = |path: &PathBuf| {
        path.metadata().is_ok_and(|file| {
            let can_run = file.is_file() && file.permissions().mode() & 0o111 != 0;
            can_run && Some((file.dev(), file.ino())) != own
        })
    };
    let path = std::env::var_os("PATH").unwrap_or_else(|| FOLDERS.into());
    let on_path = |name: &Path| {
        std::env::split_paths(&path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|path| is_it(path))
    };
    let (found, wanted) = match &node.runtime {
        Some(path) if path.is_absolute() => {
            (Some(path.clone()).filter(|path| is_it(path)), path.display().to_string())
        }
        Some(name) => (on_path(name), name.display().to_string()),
        None => (NAMES.iter().find_map(|name| on_path(Path::new(name))), NAMES.join(" or ")),
    };
    found.ok_or_else(|| {
        let hint = format!(r#"install runc, or say where it is, in {FILE}: {{"version": 1, "runtime": "/usr/sbin/runc"}}"#);
        Refusal::new(Defect::Runtime, format!("there is no {wanted} to make containers with"), hint)
    })
}

/// Becomes it, with these words. Comes back only when that fails.
#[must_use]
pub fn become_it(runtime: &Path, words: &[OsString]) -> Refusal {
    let error = Command::new(runtime).args(words).exec();
    let what = format!("cannot start {}: {error}", runtime.display());
    Refusal::new(Defect::Runtime, what, "see that it is a program of this machine")
}
