//! `bls-load trust`: whom this user trusts.

use crate::error::{Failure, say};
use crate::trust;
use std::path::Path;

/// Trusts the public key in a file.
pub(super) fn add(key: &Path) -> Result<(), Failure> {
    let (key, path, new) = trust::add(key)?;
    let did = if new { "now trusts" } else { "already trusted" };
    super::print(&format!("{} {did} key {}\n", path.display(), key.id()))?;
    if trust::system_file_exists() {
        say(&format_args!(
            "bls-load: trust: this machine has {}, which alone decides; your own file does not count",
            bls_artifact::trust::SYSTEM_FILE
        ));
    }
    Ok(())
}

/// Prints who is trusted by the file that decides.
pub(super) fn list(file: Option<&Path>) -> Result<(), Failure> {
    let source = trust::load(file)?;
    let mut text = format!("{}:\n", source.path.display());
    for trusted in source.trust.keys() {
        // A comment is somebody's words: no control characters on a terminal.
        let comment: String =
            trusted.comment.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        text += &format!("{} {comment}\n", trusted.key.id());
    }
    if source.trust.keys().is_empty() {
        text += "nobody\n";
    }
    super::print(&text)
}
