//! Files that appear whole or not at all, and keys that are their owner's alone.
//!
//! Guarantees that a file which is written is there with all of its bytes, or as it was (a power cut
//! may undo it: waiting for the disk would take most of the time of a run); that a link is replaced and never followed; and that a key is used only where the file it
//! is read from belongs to this user and nobody else may read it.

use crate::{Defect, Failure};
use bls_artifact::key::{PrivateKey, PublicKey};
use bls_artifact::limits::KEY_BYTES_MAX;
use bls_artifact::text::printable_path;
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use tempfile::{Builder, NamedTempFile};

/// What everybody may read, within the umask.
const MODE: u32 = 0o666;
/// What those that begin so are: files that are not whole yet.
const PREFIX: &str = ".bls-account-";

/// The folder that a file lies in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let made =
        Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(MODE)).tempfile_in(folder);
    // Without the name that it would have had, which means nothing to anybody.
    made.map_err(|error| match error.get_ref().and_then(|error| error.source()) {
        Some(cause) => io::Error::new(error.kind(), cause.to_string()),
        None => error,
    })
}

/// Says now whether a file can be made there later.
///
/// # Errors
/// It cannot.
pub fn check_writable(path: &Path) -> Result<(), Failure> {
    let is_other = std::fs::symlink_metadata(path).is_ok_and(|there| !may_be_replaced(&there));
    if is_other {
        return Err(unwritable(path, "it is there, and is no file"));
    }
    temporary(folder_of(path)).map(drop).map_err(|error| unwritable(path, error))
}

/// A file or a link gives way to a new file; what is somebody's folder, device or pipe does not.
fn may_be_replaced(there: &Metadata) -> bool {
    there.is_file() || there.is_symlink()
}

/// Takes away what an earlier run left there, so that it is not taken for this one's.
///
/// # Errors
/// It is there and stays.
pub fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(path, error)),
        _ => Ok(()),
    }
}

/// Puts these bytes in the place of whatever file is there.
///
/// # Errors
/// They cannot be written; what was there is there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    put(path, bytes, |file| file.persist(path).map(drop).map_err(|error| error.error))
}

/// Makes a file of these bytes where none is.
///
/// # Errors
/// They cannot be written, or something is there: `AlreadyExists`.
pub fn create(path: &Path, bytes: &[u8]) -> Result<bool, Failure> {
    let mut is_new = true;
    put(path, bytes, |file| match file.persist_noclobber(path) {
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            is_new = false;
            Ok(())
        }
        other => other.map(drop).map_err(|error| error.error),
    })?;
    Ok(is_new)
}

fn put(
    path: &Path,
    bytes: &[u8],
    place: impl FnOnce(NamedTempFile) -> io::Result<()>,
) -> Result<(), Failure> {
    let folder = folder_of(path);
    let written = temporary(folder).and_then(|mut file| {
        file.write_all(bytes)?;
        place(file)
    });
    written.map_err(|error| unwritable(path, error))
}

/// Nothing can be written there.
pub fn unwritable(path: &Path, why: impl std::fmt::Display) -> Failure {
    let what = format!("cannot write to {}: {why}", printable_path(path));
    Failure::new(Defect::Unwritable, what, "name a file in a folder you can write to")
}

/// Reads a whole file, of no more than `most` bytes.
///
/// # Errors
/// It cannot be read, or is longer.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let unreadable = |why: &dyn std::fmt::Display| {
        let what = format!("cannot read {}: {why}", printable_path(path));
        Failure::new(Defect::Unreadable, what, "name a file that you can read")
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(&error))?;
    match bytes.len() as u64 > most {
        true => Err(unreadable(&format_args!("it is longer than {most} bytes"))),
        false => Ok(bytes),
    }
}

/// Reads a public key, in PEM or as OpenSSH's line.
///
/// # Errors
/// It cannot be read, or is none.
pub fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let text = String::from_utf8(read(path, KEY_BYTES_MAX)?).unwrap_or_default();
    PublicKey::from_text(&text).map_err(|error| {
        let what = format!("{}: {error}", printable_path(path));
        Failure::new(Defect::Key, what, "bls-compile key export > account.pub writes one")
    })
}

/// Reads a private key, where it is this user's alone.
///
/// # Errors
/// It cannot be read, is none, or others may read it.
pub fn private_key(path: &Path) -> Result<PrivateKey, Failure> {
    let refuse = |what: &dyn std::fmt::Display, hint| {
        Failure::new(Defect::Key, format!("{}: {what}", printable_path(path)), hint)
    };
    let readable = "name a key file that you can read: openssl genpkey -algorithm ed25519";
    let unreadable = |error: io::Error| refuse(&error, readable);
    // A FIFO would block here before it can be refused.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path);
    let file = file.map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let own = rustix::process::getuid().as_raw();
    if !metadata.is_file() {
        return Err(refuse(&"it is no file", readable));
    }
    let mut text = String::new();
    file.take(KEY_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    let key = PrivateKey::from_pem(&text)
        .map_err(|error| refuse(&error, "openssl genpkey -algorithm ed25519 makes one"))?;
    if metadata.uid() != own && metadata.uid() != 0 {
        return Err(refuse(&"it belongs to another user", "take a key of your own, or of root's"));
    }
    // A service manager's credential belongs to root, and to the service's group for reading.
    let others = if metadata.uid() == own { 0o077 } else { 0o037 };
    if metadata.mode() & others != 0 {
        return Err(refuse(&"others may read or write it", "chmod 600 makes it yours alone"));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_replaced_whole_and_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        std::fs::write(&target, "kept").unwrap();
        symlink(&target, &link).unwrap();
        check_writable(&link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "kept");
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "new");
        assert!(!create(&link, b"other").unwrap());
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left");
        assert_eq!(check_writable(folder.path()).unwrap_err().defect, Defect::Unwritable);
        let nowhere = folder.path().join("missing/file");
        assert_eq!(check_writable(&nowhere).unwrap_err().defect, Defect::Unwritable);
    }

    #[test]
    fn a_key_that_others_may_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let key = PrivateKey::from_seed(&[3; 32]);
        std::fs::write(&path, key.to_pem()).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(private_key(&path).unwrap().public(), key.public());
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(private_key(&path).unwrap_err().what.contains("others may read"));
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, key.public().to_pem()).unwrap();
        assert_eq!(private_key(&path).unwrap_err().defect, Defect::Key);
    }
}
