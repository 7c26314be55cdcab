//! Asks the node's loader about an artifact before there is a container, so that an engine hears
//! at once why there will be none.
//!
//! The loader is started as nobody, with nothing but the open file: what a stranger sent is not
//! read by root. The loader in the container verifies all of it again, of the file that it opens
//! there: a file that is replaced in between gets a refusal, or is one that may run. What rests on
//! this look alone is that a signed trust file is one that was accepted on this node.

use crate::refusal::{Defect, Refusal};
use bls_artifact::artifact::{Frame, HEADER_LEN, Header};
use bls_artifact::envelope::Envelope;
use bls_artifact::manifest::Statement;
use rustix::fd::{AsRawFd as _, OwnedFd};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whom the loader is started as.
const NOBODY: u32 = 65534;
/// The most bytes of what it says.
const WORDS_BYTES_MAX: u64 = 64 << 10;

/// Has the loader verify the artifact that the container knows by `path`; the system's trust file
/// decides where none is named.
///
/// # Errors
/// What the loader says, with its code.
pub fn verify(loader: &Path, trust: Option<&Path>, file: &File, path: &str) -> Result<(), Refusal> {
    let failed = |error: std::io::Error| {
        let what = format!("cannot start {}: {error}", loader.display());
        Refusal::new(Defect::Loader, what, "see that it is there, and that everybody may run it")
    };
    // By descriptors that it inherits, for nobody may not get through every folder.
    let inherited = |path: &Path| -> std::io::Result<(OwnedFd, String)> {
        let copy = rustix::io::dup(&File::open(path)?)?;
        let name = format!("/proc/self/fd/{}", copy.as_raw_fd());
        Ok((copy, name))
    };
    let (_program, program) = inherited(loader).map_err(failed)?;
    let mut command = Command::new(program);
    command.arg0("bls-load").arg("verify");
    let trust = trust.map(inherited).transpose().map_err(failed)?;
    if let Some((_, trust)) = &trust {
        command.arg("--trust").arg(trust);
    }
    command.arg("-").env_clear().current_dir("/");
    command.stdin(file.try_clone().map_err(failed)?).stdout(Stdio::null()).stderr(Stdio::piped());
    let can_change_user = rustix::process::geteuid().is_root() && has_all_users();
    if can_change_user {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child = command.spawn().map_err(failed)?;
    let mut words = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(WORDS_BYTES_MAX).read_to_end(&mut words);
    }
    let status = child.wait().map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    Err(said(&String::from_utf8_lossy(&words), path).unwrap_or_else(|| {
        let what = format!("{path}: bls-load verify ended with {status}, and does not say why");
        Refusal::new(Defect::Loader, what, "try it by hand: bls-load verify FILE")
    }))
}

/// Whether this is no user namespace, or one with a nobody.
fn has_all_users() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// A refusal of the loader's, in its three lines.
fn said(words: &str, path: &str) -> Option<Refusal> {
    let behind = |label: &str| -> Vec<&str> {
        let lines = words.lines().filter_map(|line| line.strip_prefix(label));
        lines.filter_map(|rest| rest.strip_prefix(": ")).collect()
    };
    let what = behind("bls-load").pop()?.replacen("standard input", path, 1);
    let code = behind("code").pop()?.to_owned();
    let hint = match behind("hint").join("; ") {
        none if none.is_empty() => "see SECURITY.md, \"Refusals\"".to_owned(),
        hints => hints,
    };
    Some(Refusal::new(Defect::Artifact(code), what, hint))
}

/// Bytes of a verified artifact's code when it is mapped: of its largest part. 0 where the file is
/// another one by now.
#[must_use]
pub fn code_bytes(file: &File) -> u64 {
    let read = || -> Option<u64> {
        let length = file.metadata().ok()?.len();
        let mut first = [0; HEADER_LEN];
        file.read_exact_at(&mut first, 0).ok()?;
        let header = Header::parse(&first, length).ok()?;
        let mut prefix = vec![0; header.prefix_length()];
        file.read_exact_at(&mut prefix, 0).ok()?;
        let frame = Frame::parse(&header, &prefix).ok()?;
        let envelope = Envelope::parse(prefix.get(frame.envelope())?).ok()?;
        let manifest = Statement::parse(envelope.payload()).ok()?;
        manifest.parts.iter().map(|part| part.image.length).max()
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_loader_says_is_said_of_the_path() {
        let refusal = said(
            "bls-load: verify: standard input is signed by key 5, which is not trusted\n\
             hint: add it\nhint: or not\ncode: signature.unknown-key\n",
            "/app.bls",
        )
        .unwrap();
        assert_eq!(refusal.defect.code(), "signature.unknown-key");
        assert_eq!(
            refusal.line(),
            "bls-oci: verify: /app.bls is signed by key 5, which is not trusted; add it; or not \
             [signature.unknown-key]"
        );
        assert_eq!(said("Killed\n", "/app.bls"), None);
    }

    #[test]
    fn a_loader_that_says_nothing_is_a_refusal_too() {
        let file = || File::open("/dev/null").unwrap();
        let error = verify(Path::new("/bin/false"), None, &file(), "/app.bls").unwrap_err();
        assert_eq!(error.defect, Defect::Loader);
        let error = verify(Path::new("/none"), None, &file(), "/app.bls").unwrap_err();
        assert_eq!(error.defect, Defect::Loader);
        assert!(verify(Path::new("/bin/true"), None, &file(), "/app.bls").is_ok());
        assert_eq!(code_bytes(&file()), 0);
    }
}
