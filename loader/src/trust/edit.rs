//! Makes and changes plain trust files: the user's own, or one that is named.
//!
//! Guarantees that a change sees the one before it, that a file is replaced whole or
//! not at all and is on the disk before this returns, and that what is written can be
//! read again. A signed file is never changed: its root keys must sign another.

use super::{Place, TrustError, parse, parse_key};
use crate::guarded::{found, read};
use bls_artifact::digest::Sha256;
use bls_artifact::key::{KeyId, PublicKey};
use bls_artifact::limits::{KEY_BYTES_MAX, TRUST_BYTES_MAX};
use bls_artifact::trust::version::VersionRange;
use bls_artifact::trust::{Roots, Terms, Trust, TrustError as ContentsError};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What is revoked, or refused from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Revocation {
    Key(KeyId),
    Digest(Sha256),
    Compiler(VersionRange),
    Engine(VersionRange),
}

/// Makes a file with nobody in it but root keys.
pub(crate) fn init(
    file: Option<&Path>,
    roots: &[PathBuf],
    root_threshold: Option<u64>,
    mut trust: Trust,
) -> Result<PathBuf, TrustError> {
    let root = |path: &PathBuf| Ok((read_key(path)?, name_of(path)));
    let keys = roots.iter().map(root).collect::<Result<Vec<_>, TrustError>>()?;
    let held = Held::of(file)?;
    if held.present.is_some() {
        return Err(TrustError::Exists(held.path));
    }
    if !keys.is_empty() {
        trust.root = Some(Roots { threshold: root_threshold.unwrap_or(1), keys });
        trust.touch(crate::verify::now());
    }
    held.write(&trust)?;
    Ok(held.path)
}

/// Adds a key; terms for any but the default ones. Gives the key, where it is, and the
/// terms on which it was there already.
pub(crate) fn add(
    file: Option<&Path>,
    key_path: &Path,
    comment: Option<&str>,
    terms: Option<Terms>,
) -> Result<(PublicKey, PathBuf, Option<Terms>), TrustError> {
    let key = read_key(key_path)?;
    let id = key.id();
    let comment = comment.map_or_else(|| name_of(key_path), str::to_owned);
    let mut held = Held::of(file)?;
    let mut trust = held.take();
    // Without a word about terms, whichever it has are left as they are.
    let before = trust.find(id).filter(|_| !trust.is_revoked(id)).map(|known| known.terms.clone());
    let new = (terms.is_some() || before.is_none())
        && trust
            .add_on(key.clone(), &comment, terms.unwrap_or_default())
            .map_err(|error| TrustError::Contents(held.path.clone(), error))?;
    if new {
        held.write(&trust)?;
    }
    Ok((key, held.path, before))
}

/// Revokes; gives what was new.
pub(crate) fn revoke(
    file: Option<&Path>,
    all: &[Revocation],
) -> Result<(PathBuf, Vec<bool>), TrustError> {
    let mut held = Held::of(file)?;
    if held.present.is_none() {
        return Err(TrustError::Missing(held.path));
    }
    let mut trust = held.take();
    let revoked = all.iter().map(|one| match one.clone() {
        Revocation::Key(id) => trust.revoke_key(id),
        Revocation::Digest(digest) => trust.revoke_digest(digest),
        Revocation::Compiler(range) => trust.refuse_compiler(range),
        Revocation::Engine(range) => trust.refuse_engine(range),
    });
    let news: Vec<bool> = revoked.collect();
    if news.contains(&true) {
        held.write(&trust)?;
    }
    Ok((held.path, news))
}

/// A plain trust file that nobody else changes for as long as this lives.
struct Held {
    path: PathBuf,
    mode: u32,
    present: Option<Trust>,
    _folder: File,
}

impl Held {
    /// The user's own, or one that is named.
    fn of(file: Option<&Path>) -> Result<Self, TrustError> {
        let own = if file.is_none() { Some(Place::own()?) } else { None };
        let path = own.as_ref().map(|place| place.file.as_path()).or(file);
        let path = path.unwrap_or(Path::new("trust.json")).to_owned();
        let (mode, folder_mode) = match &own {
            Some(place) => (place.modes.0, Some(place.modes.1)),
            None => (0o644, None),
        };
        // Another change waits until this one has written, and adds to that.
        let folder =
            hold(&path, folder_mode).map_err(|error| TrustError::Write(path.clone(), error))?;
        let present = match &own {
            Some(place) => place.load()?,
            None => found(read(&path, TRUST_BYTES_MAX, None))?
                .map(|text| parse(&path, &text))
                .transpose()?,
        };
        if present.as_ref().is_some_and(Trust::is_signed) {
            return Err(TrustError::Contents(path, ContentsError::Signed));
        }
        Ok(Self { path, mode, present, _folder: folder })
    }

    /// What is to be changed: what is there, with this change counted.
    fn take(&mut self) -> Trust {
        match self.present.take() {
            Some(mut trust) => {
                trust.touch(crate::verify::now());
                trust
            }
            None => Trust::default(),
        }
    }

    /// Writes what can be read again, and nothing else.
    fn write(&self, trust: &Trust) -> Result<(), TrustError> {
        let text = trust.to_text();
        parse(&self.path, text.as_bytes())?;
        replace(&self.path, text.as_bytes(), self.mode)
            .map_err(|error| TrustError::Write(self.path.clone(), error))
    }
}

fn read_key(path: &Path) -> Result<PublicKey, TrustError> {
    parse_key(path, &read(path, KEY_BYTES_MAX, None)?)
}

/// What a key is called that nobody gave a name.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.chars().filter(|letter| !letter.is_control()).take(80).collect()
}

/// Keeps others from writing into the folder of `path` by these rules for as long as
/// what it gives lives. Makes the folder first, where that is asked.
pub(super) fn hold(path: &Path, mode: Option<u32>) -> std::io::Result<File> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let folder = folder_of(path);
    if let Some(mode) = mode
        && !folder.exists()
    {
        std::fs::DirBuilder::new().recursive(true).mode(mode).create(folder)?;
        // Whatever the umask: the system's files are everybody's to read.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode))?;
    }
    let held = File::open(folder)?;
    rustix::fs::flock(&held, FlockOperation::LockExclusive)?;
    Ok(held)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Puts `text` into `path`, all of it or nothing, on the disk before this returns. Its
/// folder is held.
pub(super) fn replace(path: &Path, text: &[u8], mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let folder = folder_of(path);
    let temporary = folder.join(format!(".trust.{}.tmp", std::process::id()));
    // What a process of the same number left when it was killed.
    let _ = std::fs::remove_file(&temporary);
    let write = || {
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        // Whatever the umask: the system's file is everybody's to read.
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    let written = write();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
