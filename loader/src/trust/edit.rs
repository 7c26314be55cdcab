//! Makes and changes plain trust files: the user's own, the system's, or one that is named.
//!
//! Guarantees that a change sees the one before it, that a file is replaced whole or
//! not at all and is on the disk before this returns, and that what is written can be
//! read again. A signed file is never changed: its root keys must sign another.

use super::{Place, TrustError, Which, parse, parse_key};
use crate::guarded::{GuardError, found, read};
use bls_artifact::digest::Sha256;
use bls_artifact::key::{KeyId, PublicKey};
use bls_artifact::limits::{KEY_BYTES_MAX, TRUST_BYTES_MAX};
use bls_artifact::trust::version::VersionRange;
use bls_artifact::trust::{Roots, Terms, Trust, TrustError as ContentsError, TrustedKey};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The word that stands for standard input.
const STDIN: &str = "-";

/// How a command names a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyName {
    /// By its id, or so many digits of it as only one key in the file begins with.
    Id(String),
    /// By the file that holds it; `-` for standard input.
    File(PathBuf),
}

/// What a command asks to be revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Key(KeyName),
    This(Revocation),
}

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
    which: &Which,
    roots: &[PathBuf],
    root_threshold: Option<u64>,
    mut trust: Trust,
) -> Result<PathBuf, TrustError> {
    let root = |path: &PathBuf| Ok((read_key(path)?, name_of(path)));
    let keys = roots.iter().map(root).collect::<Result<Vec<_>, TrustError>>()?;
    let held = Held::of(which)?;
    if held.present.is_some() {
        return Err(TrustError::Exists(held.path));
    }
    if !keys.is_empty() {
        trust.root = Some(Roots { threshold: root_threshold.unwrap_or(1), keys });
        trust.touch(crate::clock::now());
    }
    held.write(&trust)?;
    Ok(held.path)
}

/// What came of adding a key.
#[derive(Debug)]
pub(crate) struct Added {
    /// The key.
    pub(crate) key: PublicKey,
    /// The file.
    pub(crate) path: PathBuf,
    /// What the file said of it before; `None` where it is new.
    pub(crate) before: Option<TrustedKey>,
    /// Whether it has another comment now.
    pub(crate) renamed: bool,
}

/// Adds a key; terms for any but the default ones. A key that is there gets the comment that
/// was asked for, and keeps its terms.
pub(crate) fn add(
    which: &Which,
    key_path: &Path,
    comment: Option<&str>,
    terms: Option<Terms>,
) -> Result<Added, TrustError> {
    let key = read_key(key_path)?;
    let id = key.id();
    let mut held = Held::of(which)?;
    let mut trust = held.take();
    // Without a word about terms, whichever it has are left as they are.
    let before = trust.find(id).filter(|_| !trust.is_revoked(id)).cloned();
    let new = (terms.is_some() || before.is_none())
        && trust
            .add_on(
                key.clone(),
                &comment.map_or_else(|| name_of(key_path), str::to_owned),
                terms.unwrap_or_default(),
            )
            .map_err(|error| TrustError::Contents(held.path.clone(), error))?;
    let renamed =
        !new && before.is_some() && comment.is_some_and(|comment| trust.rename_key(id, comment));
    if new || renamed {
        held.write(&trust)?;
    }
    Ok(Added { key, path: held.path, before, renamed })
}

/// Takes keys out; which, and what they were called.
pub(crate) fn remove(
    which: &Which,
    keys: &[KeyName],
) -> Result<(PathBuf, Vec<TrustedKey>), TrustError> {
    let mut held = Held::to_change(which)?;
    let mut trust = held.take();
    let mut removed = Vec::new();
    for name in keys {
        let id = resolve(name, &trust, &held.path)?;
        let Some(known) = trust.find(id).cloned() else {
            return Err(TrustError::NoKey(held.path, id.to_string()));
        };
        trust.remove_key(id);
        removed.push(known);
    }
    held.write(&trust)?;
    Ok((held.path, removed))
}

/// Revokes, or undoes that; gives each thing, and whether that changed anything.
pub(crate) fn revoke(
    which: &Which,
    all: &[Asked],
    undo: bool,
) -> Result<(PathBuf, Vec<(Revocation, bool)>), TrustError> {
    let mut held = Held::to_change(which)?;
    let mut trust = held.take();
    let mut done = Vec::new();
    for asked in all {
        let what = match asked {
            Asked::This(what) => what.clone(),
            Asked::Key(name) => Revocation::Key(resolve(name, &trust, &held.path)?),
        };
        let new = match (what.clone(), undo) {
            (Revocation::Key(id), false) => trust.revoke_key(id),
            (Revocation::Digest(digest), false) => trust.revoke_digest(digest),
            (Revocation::Compiler(range), false) => trust.refuse_compiler(range),
            (Revocation::Engine(range), false) => trust.refuse_engine(range),
            (Revocation::Key(id), true) => trust.restore_key(id),
            (Revocation::Digest(digest), true) => trust.restore_digest(digest),
            (Revocation::Compiler(range), true) => trust.restore_compiler(&range),
            (Revocation::Engine(range), true) => trust.restore_engine(&range),
        };
        done.push((what, new));
    }
    if done.iter().any(|(_, new)| *new) {
        held.write(&trust)?;
    }
    Ok((held.path, done))
}

/// The id of the key that a command names: short ids are completed by the file.
fn resolve(name: &KeyName, trust: &Trust, path: &Path) -> Result<KeyId, TrustError> {
    let prefix = match name {
        KeyName::File(file) => return Ok(read_key(file)?.id()),
        KeyName::Id(prefix) => prefix,
    };
    if let Some(id) = KeyId::from_hex(prefix) {
        return Ok(id);
    }
    let ids = trust.ids_with(prefix);
    match ids.as_slice() {
        [id] => Ok(*id),
        [] => Err(TrustError::NoKey(path.to_owned(), prefix.clone())),
        _ => Err(TrustError::Ambiguous(path.to_owned(), prefix.clone(), ids)),
    }
}

/// A plain trust file that nobody else changes for as long as this lives.
struct Held {
    path: PathBuf,
    mode: u32,
    present: Option<Trust>,
    _folder: File,
}

impl Held {
    /// One that must be there.
    fn to_change(which: &Which) -> Result<Self, TrustError> {
        let held = Self::of(which)?;
        match held.present {
            Some(_) => Ok(held),
            None => Err(TrustError::Missing(held.path)),
        }
    }

    /// One that may be there.
    fn of(which: &Which) -> Result<Self, TrustError> {
        let (place, path) = match which {
            Which::Named(path) => (None, path.clone()),
            Which::Own => Place::own().map(|place| (Some(place.clone()), place.file))?,
            Which::System => (Some(Place::system()), Place::system().file),
        };
        let (mode, folder_mode) = match &place {
            Some(place) => (place.modes.0, Some(place.modes.1)),
            None => (0o644, None),
        };
        // Another change waits until this one has written, and adds to that.
        let folder =
            hold(&path, folder_mode).map_err(|error| TrustError::Write(path.clone(), error))?;
        let present = match &place {
            Some(place) => place.load()?,
            None => {
                found(read(&path, TRUST_BYTES_MAX))?.map(|text| parse(&path, &text)).transpose()?
            }
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
                trust.touch(crate::clock::now());
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
    if path == Path::new(STDIN) {
        let mut text = Vec::new();
        std::io::stdin()
            .take(KEY_BYTES_MAX)
            .read_to_end(&mut text)
            .map_err(|error| GuardError::System(path.to_owned(), error))?;
        return parse_key(Path::new("standard input"), &text);
    }
    parse_key(path, &read(path, KEY_BYTES_MAX)?)
}

/// What a key is called that nobody gave a name.
fn name_of(path: &Path) -> String {
    if path == Path::new(STDIN) {
        return "from standard input".to_owned();
    }
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
