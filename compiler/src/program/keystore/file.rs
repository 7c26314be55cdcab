//! Files and folders that hold keys: read by descriptor, written whole.
//!
//! Guarantees: a key is used only when the descriptor it was read from belongs to this
//! user and to nobody else; a new key appears whole or not at all, mode 0600, and never
//! in the place of another. Does not know where keys are.

use super::error::{KeyStoreError, Place};
use super::openssh;
use bls_artifact::key::{KeyError, PrivateKey, PublicKey};
use bls_artifact::limits::KEY_BYTES_MAX;
use rustix::fs::{AtFlags, CWD};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

/// Makes a folder for keys where it is missing, mode 0700, and checks it.
pub(super) fn make_folder(folder: &Path) -> Result<(), KeyStoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| KeyStoreError::Folder(folder.to_owned(), error))?;
    check_folder(folder)
}

/// A folder with keys must be this user's, and writable by nobody else.
pub(super) fn check_folder(folder: &Path) -> Result<(), KeyStoreError> {
    let unreadable = |error| KeyStoreError::Read(folder.to_owned(), error);
    let metadata = File::open(folder).and_then(|file| file.metadata()).map_err(unreadable)?;
    if metadata.uid() != rustix::process::getuid().as_raw() {
        return Err(KeyStoreError::Owner(folder.to_owned(), metadata.uid()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(KeyStoreError::Mode(folder.to_owned(), metadata.mode() & 0o7777));
    }
    Ok(())
}

/// Writes a new file that only this user can read; it appears whole or not at
/// all, and never in the place of another.
pub(super) fn create_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".key-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    file.as_file().set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    // A link fails where the name exists; a rename would replace it.
    rustix::fs::linkat(CWD, file.path(), CWD, path, AtFlags::empty())?;
    File::open(folder)?.sync_all()
}

/// Reads a private key, and checks its file by the descriptor it is read from.
pub(super) fn read_key(path: &Path) -> Result<PrivateKey, KeyStoreError> {
    let unreadable = |error| KeyStoreError::Read(path.to_owned(), error);
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        // A FIFO would block here before it can be refused.
        .custom_flags(nonblocking)
        .open(path)
        .map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(KeyStoreError::NotAFile(path.to_owned()));
    }
    if metadata.uid() != rustix::process::getuid().as_raw() {
        return Err(KeyStoreError::Owner(path.to_owned(), metadata.uid()));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(KeyStoreError::Mode(path.to_owned(), metadata.mode() & 0o7777));
    }
    let text = read_to_end(file, KEY_BYTES_MAX).map_err(unreadable)?;
    parse_key(text, Place::File(path.to_owned()))
}

/// Reads a private key from standard input, whose owner nobody can ask.
pub(super) fn read_stdin() -> Result<PrivateKey, KeyStoreError> {
    let text = read_to_end(io::stdin().lock(), KEY_BYTES_MAX).map_err(KeyStoreError::ReadStdin)?;
    parse_key(text, Place::Stdin)
}

/// The private key in a text: in PKCS#8 PEM, or in OpenSSH's form.
pub(super) fn private_key(text: &str) -> Result<PrivateKey, KeyError> {
    match PrivateKey::from_pem(text) {
        Err(KeyError::OpenSsh) => openssh::parse(text),
        Err(KeyError::NotPrivate) if PublicKey::from_text(text).is_ok() => Err(KeyError::Public),
        other => other,
    }
}

/// Reads a public key, which anybody may see.
pub(crate) fn read_public(path: &Path) -> Result<PublicKey, KeyStoreError> {
    let text = read_capped(path, KEY_BYTES_MAX)
        .map_err(|error| KeyStoreError::Read(path.to_owned(), error))?;
    let text = String::from_utf8(text).map_err(|_| KeyError::NotPublic);
    text.and_then(|text| PublicKey::from_text(&text))
        .map_err(|error| KeyStoreError::PublicKey(path.to_owned(), error))
}

fn parse_key(text: Vec<u8>, place: Place) -> Result<PrivateKey, KeyStoreError> {
    if text.len() as u64 > KEY_BYTES_MAX {
        return Err(KeyStoreError::TooLong(place));
    }
    match String::from_utf8(text) {
        Ok(text) => private_key(&text).map_err(|error| KeyStoreError::Key(place, error)),
        Err(_) => Err(KeyStoreError::Binary(place)),
    }
}

/// Reads a file up to a cap.
pub(super) fn read_capped(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let bytes = read_to_end(File::open(path)?, most)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {most} bytes"),
        ));
    }
    Ok(bytes)
}

/// Reads to the end, or to one byte beyond the cap.
fn read_to_end(file: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
