//! Signing keys: where they are, who may read them, and how they are made.
//!
//! A user's keys are `NAME.pem` in `.config/bls` of the home folder that the password
//! database names: never in one that an environment variable names. The default key is
//! `key.pem`; it is made at first use. The user's own trust file beside the keys gets
//! the public half of each key that is made or imported there, so that the first run
//! works without ceremony and is still verified. A key that is kept elsewhere, by an ssh-agent
//! or behind a program, is opened by its public half (`program/signer.rs`). Guarantees: `file.rs`;
//! and no key is ever overwritten or removed.

mod error;
mod file;
mod openssh;

pub use error::{KeyStoreError, Place};

use crate::program::signer::{Agent, Named, Program, Signer, SignerError, TIME_DEFAULT};
use bls_artifact::key::{KeyError, KeyId, PrivateKey, PublicKey};
use bls_artifact::limits::{
    KEY_NAME_BYTES_MAX, KEYS_LISTED_MAX, PASSWD_BYTES_MAX, TRUST_BYTES_MAX,
};
use bls_artifact::passwd;
use bls_artifact::text::{printable, printable_path};
use bls_artifact::trust::{SYSTEM_FILE, SYSTEM_STATE, Trust, USER_FILE, USER_STATE};
pub(crate) use file::read_public;
use file::{
    check_folder, create_private, make_folder, private_key, read_capped, read_key, read_stdin,
};
use rustix::fs::{Access, FlockOperation};
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fmt};

/// The name of the default key.
pub const DEFAULT_KEY: &str = "key";
/// What the file of a key is called behind its name.
const EXTENSION: &str = "pem";
/// What a value of `--key` begins with when it names a variable.
const ENVIRONMENT: &str = "env:";
/// The same for a key that an ssh-agent has.
const AGENT: &str = "ssh-agent:";
/// The same for a program that signs.
const PROGRAM: &str = "exec:";

/// Where a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The user's own, made at first use.
    Default,
    /// A key of the user's, by name.
    Named(String),
    /// A PEM file.
    File(PathBuf),
    /// A PEM text in an environment variable that the command line names.
    Variable(String),
    /// An ssh-agent, by what its key is called: a file with the public half, the comment, the
    /// line itself, or the beginning of the id.
    Agent(String),
    /// A program that signs.
    Program(PathBuf),
}

impl KeySource {
    /// Reads the value of `--key`. What could be a name is one: a file in this folder
    /// whose name has no dot is `./NAME`.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        if let Some(name) = value.strip_prefix(ENVIRONMENT) {
            return Self::Variable(name.to_owned());
        }
        if let Some(word) = value.strip_prefix(AGENT) {
            return Self::Agent(word.to_owned());
        }
        if let Some(program) = value.strip_prefix(PROGRAM) {
            return Self::Program(program.into());
        }
        if is_key_name(value) { Self::Named(value.to_owned()) } else { Self::File(value.into()) }
    }
}

/// Which key is to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it comes from.
    pub source: KeySource,
    /// A file with the public half that it must have.
    pub public: Option<PathBuf>,
    /// How long whoever keeps it may take to sign.
    pub time: Duration,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { source: KeySource::Default, public: None, time: TIME_DEFAULT }
    }
}

/// Whether a word can name a key.
fn is_key_name(word: &str) -> bool {
    !word.is_empty()
        && word.len() <= KEY_NAME_BYTES_MAX
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        && !word.starts_with('-')
}

/// A signing key, and what there is to say about it.
#[derive(Debug)]
pub struct SigningKey {
    /// Who signs.
    pub signer: Signer,
    /// The file it is in; `None` when it is in none.
    pub path: Option<PathBuf>,
    /// Present when the key was put there just now.
    pub made: Option<Made>,
}

impl SigningKey {
    fn of(key: PrivateKey, path: Option<PathBuf>) -> Self {
        Self { signer: Signer::Key(key), path, made: None }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.signer.public()
    }
}

/// A key that was made or imported just now.
#[derive(Debug)]
pub struct Made {
    /// Its id.
    pub id: KeyId,
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Whether it was made, not imported.
    pub new: bool,
    /// Where this user's trust file names it; else why it does not.
    pub trusted: Result<PathBuf, String>,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = if self.new { "made" } else { "imported" };
        writeln!(f, "bls-compile: {made} your signing key {}", self.id)?;
        writeln!(f, "  in {}", printable_path(&self.path))?;
        match &self.trusted {
            Ok(path) => writeln!(f, "  trusted on this machine by {}", printable_path(path))?,
            Err(why) => writeln!(f, "  not trusted on this machine: {}", printable(why))?,
        }
        let is_default = self.name == DEFAULT_KEY;
        let name = if is_default { String::new() } else { format!(" {}", self.name) };
        write!(
            f,
            "  elsewhere: bls-compile key export{name} > builder.pub, and there: bls-load trust add builder.pub"
        )
    }
}

/// One of a user's keys.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Its id; else why it cannot be used.
    pub id: Result<KeyId, KeyStoreError>,
}

/// Opens a signing key; makes the default one where there is none.
///
/// # Errors
/// [`KeyStoreError`].
pub fn open(wanted: &Wanted) -> Result<SigningKey, KeyStoreError> {
    let public = wanted.public.as_deref().map(read_public).transpose()?;
    let signing = match &wanted.source {
        // None is made to be another than the one that is pinned.
        KeySource::Default if public.is_some() => open_named(&user_folder()?, DEFAULT_KEY)?,
        KeySource::Default => open_default(&user_folder()?)?,
        KeySource::Named(name) => open_named(&user_folder()?, name)?,
        KeySource::File(path) => SigningKey::of(read_key(path)?, Some(path.clone())),
        KeySource::Variable(name) => {
            let text = env::var(name).map_err(|_| KeyStoreError::Variable(name.clone()))?;
            let key = private_key(&text)
                .map_err(|error| KeyStoreError::Key(Place::Variable(name.clone()), error))?;
            SigningKey::of(key, None)
        }
        KeySource::Agent(word) => {
            let agent = Agent::find(&named(word)?, word, wanted.time)?;
            SigningKey { signer: Signer::Agent(agent), path: None, made: None }
        }
        KeySource::Program(path) => {
            let name = || path.display().to_string();
            let public = public.clone().ok_or_else(|| SignerError::Unpinned(name()))?;
            let program = Program::new(path.clone(), public, wanted.time)?;
            SigningKey { signer: Signer::Program(program), path: None, made: None }
        }
    };
    match public.map(|public| public.id()) {
        Some(id) if id != signing.public().id() => {
            Err(KeyStoreError::Pinned(signing.public().id(), id))
        }
        _ => Ok(signing),
    }
}

/// What is meant by a word for an agent's key: the key in a file of that name, or in the word
/// itself, where there is one.
fn named(word: &str) -> Result<Named, KeyStoreError> {
    match PublicKey::from_openssh(word) {
        Ok(key) => return Ok(Named::Key(Box::new(key))),
        Err(KeyError::NotPublic) => {}
        Err(error) => return Err(KeyStoreError::PublicKey(word.into(), error)),
    }
    let path = Path::new(word);
    if !path.is_file() {
        return Ok(Named::Word(word.to_owned()));
    }
    match read_public(path) {
        Ok(key) => Ok(Named::Key(Box::new(key))),
        // A file that has the name of a comment, such as the private half.
        Err(KeyStoreError::PublicKey(_, KeyError::NotPublic)) => Ok(Named::Word(word.to_owned())),
        Err(error) => Err(error),
    }
}

/// Opens a signing key; `None` for the default one where there is none yet, and one can be
/// made.
///
/// # Errors
/// [`KeyStoreError`].
pub fn find(wanted: &Wanted) -> Result<Option<SigningKey>, KeyStoreError> {
    // One that is pinned is not made.
    if wanted.source != KeySource::Default || wanted.public.is_some() {
        return open(wanted).map(Some);
    }
    let folder = user_folder()?;
    match open_named(&folder, DEFAULT_KEY) {
        Err(KeyStoreError::Missing(..)) => {}
        opened => return opened.map(Some),
    }
    // The folder is made with the key; whether it can be is known before the work.
    let there = folder.ancestors().find(|above| above.exists()).unwrap_or(&folder);
    match rustix::fs::access(there, Access::WRITE_OK) {
        Ok(()) => Ok(None),
        Err(error) => Err(KeyStoreError::Folder(folder, error.into())),
    }
}

/// Makes a key of this name.
///
/// # Errors
/// [`KeyStoreError`]; one of that name stays as it is.
pub fn make(name: &str) -> Result<SigningKey, KeyStoreError> {
    make_in(&user_folder()?, name)
}

/// Keeps the key in a file, or on standard input, under this name.
///
/// # Errors
/// [`KeyStoreError`]; one of that name stays as it is.
pub fn import(from: Option<&Path>, name: &str) -> Result<SigningKey, KeyStoreError> {
    let key = match from {
        Some(path) => read_key(path)?,
        None => read_stdin()?,
    };
    keep(&user_folder()?, name, key, false)
}

/// The user's keys by name. Makes none.
///
/// # Errors
/// [`KeyStoreError`] when the folder for them cannot be read.
pub fn list() -> Result<Vec<Listed>, KeyStoreError> {
    list_in(&user_folder()?)
}

/// The folder for this user's keys and trust file.
fn user_folder() -> Result<PathBuf, KeyStoreError> {
    Ok(home()?.join(passwd::USER_FOLDER))
}

/// This user's home folder, by the password database.
pub(crate) fn home() -> Result<PathBuf, KeyStoreError> {
    let user = rustix::process::getuid().as_raw();
    let path = Path::new(passwd::DATABASE);
    let database = read_capped(path, PASSWD_BYTES_MAX)
        .map_err(|error| KeyStoreError::Read(path.to_owned(), error))?;
    passwd::home(&String::from_utf8_lossy(&database), user).ok_or(KeyStoreError::NoHome(user))
}

/// Where the key of this name is, or would be.
fn path_of(folder: &Path, name: &str) -> Result<PathBuf, KeyStoreError> {
    if !is_key_name(name) {
        return Err(KeyStoreError::Name(name.to_owned()));
    }
    Ok(folder.join(name).with_extension(EXTENSION))
}

/// The key of this name in `folder`.
fn open_named(folder: &Path, name: &str) -> Result<SigningKey, KeyStoreError> {
    let path = path_of(folder, name)?;
    match read_key(&path) {
        Ok(key) => {
            check_folder(folder)?;
            Ok(SigningKey::of(key, Some(path)))
        }
        Err(KeyStoreError::Read(_, error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(KeyStoreError::Missing(name.to_owned(), path))
        }
        Err(error) => Err(error),
    }
}

/// The default key in `folder`, which is made where it is missing.
fn open_default(folder: &Path) -> Result<SigningKey, KeyStoreError> {
    match open_named(folder, DEFAULT_KEY) {
        Err(KeyStoreError::Missing(..)) => {}
        opened => return opened,
    }
    match make_in(folder, DEFAULT_KEY) {
        // Another bls-compile was first: its key is the key.
        Err(KeyStoreError::Exists(_)) => open_named(folder, DEFAULT_KEY),
        made => made,
    }
}

fn make_in(folder: &Path, name: &str) -> Result<SigningKey, KeyStoreError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| KeyStoreError::Randomness(error.to_string()))?;
    let key = PrivateKey::from_seed(&seed);
    seed.fill(0);
    keep(folder, name, key, true)
}

/// Trusts a key that is not there yet, and writes it: in this order, so that who finds the
/// key finds it trusted. Were it not written after that, a key that nobody has is trusted.
fn keep(
    folder: &Path,
    name: &str,
    key: PrivateKey,
    new: bool,
) -> Result<SigningKey, KeyStoreError> {
    let path = path_of(folder, name)?;
    make_folder(folder)?;
    // Whoever else adds a key waits here, as `bls-load trust add` does.
    let held = lock(folder);
    if path.symlink_metadata().is_ok() {
        return Err(KeyStoreError::Exists(path));
    }
    let trusted = match &held {
        Ok(_) => trust(folder, &key, new),
        Err(error) => Err(format!("{}: {error}", folder.display())),
    };
    match create_private(&path, key.to_pem().as_bytes()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(KeyStoreError::Exists(path));
        }
        Err(error) => return Err(KeyStoreError::Folder(folder.to_owned(), error)),
    }
    let made =
        Made { id: key.public().id(), name: name.to_owned(), path: path.clone(), new, trusted };
    Ok(SigningKey { signer: Signer::Key(key), path: Some(path), made: Some(made) })
}

fn list_in(folder: &Path) -> Result<Vec<Listed>, KeyStoreError> {
    let unreadable = |error| KeyStoreError::Read(folder.to_owned(), error);
    let entries = match folder.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut keys = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_stem().and_then(OsStr::to_str).filter(|name| is_key_name(name));
        let Some(name) = name.map(str::to_owned) else { continue };
        if path.extension() != Some(OsStr::new(EXTENSION)) {
            continue;
        }
        if keys.len() == KEYS_LISTED_MAX {
            break;
        }
        let id = read_key(&path).map(|key| key.public().id());
        keys.push(Listed { name, path, id });
    }
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(keys)
}

/// Keeps others from changing what is in the folder for as long as what it gives lives.
fn lock(folder: &Path) -> io::Result<File> {
    let held = File::open(folder)?;
    rustix::fs::flock(&held, FlockOperation::LockExclusive)?;
    Ok(held)
}

/// Adds a key to the user's trust file, whose folder is locked, on the terms of
/// `bls-load trust add`: none that is revoked, none where root keys decide, and as a change
/// that is counted. A failure is said, not fatal: the artifact is as good as with a trusted key.
fn trust(folder: &Path, key: &PrivateKey, new: bool) -> Result<PathBuf, String> {
    // A link counts, wherever it leads; and so does what was accepted and taken away.
    if [SYSTEM_FILE, SYSTEM_STATE].iter().any(|place| Path::new(place).symlink_metadata().is_ok()) {
        return Err(format!("{SYSTEM_FILE} alone says whom this machine trusts"));
    }
    let path = folder.join(USER_FILE);
    if folder.join(USER_STATE).symlink_metadata().is_ok() {
        return Err(format!("the root keys of {} say whom you trust", path.display()));
    }
    let said = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
    let mut trust = match read_capped(&path, TRUST_BYTES_MAX) {
        Ok(text) => Trust::parse(&text).map_err(|error| said(&error))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Trust::default(),
        Err(error) => return Err(said(&error)),
    };
    let id = key.public().id();
    if trust.is_revoked(id) {
        return Err(format!(
            "{} has revoked it; make another: bls-compile key new",
            path.display()
        ));
    }
    let made = if new { "made" } else { "imported" };
    if !trust.add(key.public(), &format!("{made} by bls-compile on this machine")) {
        return Ok(path);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    trust.touch(since.map_or(0, |since| since.as_secs()));
    let mut file = tempfile::Builder::new()
        .prefix(".trust-")
        .tempfile_in(folder)
        .map_err(|error| said(&error))?;
    file.as_file_mut()
        .write_all(trust.to_text().as_bytes())
        .and_then(|()| file.as_file().set_permissions(Permissions::from_mode(0o600)))
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| said(&error))?;
    file.persist(&path).map_err(|error| said(&error.error))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bls_artifact::trust::Roots;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    fn of(source: KeySource) -> Wanted {
        Wanted { source, ..Wanted::default() }
    }

    #[test]
    fn the_first_use_makes_a_key_and_trusts_it() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(passwd::USER_FOLDER);
        let first = open_default(&folder).unwrap();
        let public = first.public();
        let made = first.made.unwrap();
        let again = open_default(&folder).unwrap();
        assert!(again.made.is_none());
        assert_eq!(again.public(), public);
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&made.path), 0o600);
        assert_eq!(mode(&folder), 0o700);
        if let Ok(path) = made.trusted {
            assert_eq!(mode(&path), 0o600);
            let trust = Trust::parse(&fs::read(path).unwrap()).unwrap();
            assert!(trust.find(made.id).is_some());
        }
        let files = fs::read_dir(&folder).unwrap().count();
        assert!(files <= 2, "no temporary file stays behind");
    }

    #[test]
    fn a_key_open_to_others_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("bls");
        let path = open_default(&folder).unwrap().path.unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = open(&of(KeySource::File(path.clone()))).unwrap_err();
        let hint = error.hint().unwrap();
        assert!(hint.ends_with(&format!("chmod 600 {}", path.display())), "{hint}");
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(open_default(&folder), Err(KeyStoreError::Mode(..))));
        assert!(matches!(
            open(&of(KeySource::File("/dev/null".into()))),
            Err(KeyStoreError::NotAFile(_))
        ));
    }

    /// Makes a trust file, changes it, imports `key`, and gives what was said and is there.
    fn import_where(
        key: &PrivateKey,
        change: impl FnOnce(&mut Trust),
    ) -> (Result<PathBuf, String>, Trust) {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("bls");
        make_folder(&folder).unwrap();
        let mut trust = Trust::default();
        change(&mut trust);
        fs::write(folder.join(USER_FILE), trust.to_text()).unwrap();
        let kept = keep(&folder, "mine", key.clone(), false).unwrap();
        let text = fs::read(folder.join(USER_FILE)).unwrap();
        (kept.made.unwrap().trusted, Trust::parse(&text).unwrap())
    }

    #[test]
    fn a_revoked_key_is_kept_and_not_trusted() {
        let key = PrivateKey::from_seed(&[3; 32]);
        let id = key.public().id();
        let (said, trust) = import_where(&key, |trust| {
            trust.revoke_key(id);
        });
        assert!(trust.find(id).is_none() && trust.is_revoked(id));
        // Where the system's file decides, that is said first.
        if !Path::new(SYSTEM_FILE).exists() {
            let said = said.unwrap_err();
            assert!(said.contains("has revoked it"), "{said}");
        }
    }

    #[test]
    fn a_file_that_root_keys_sign_counts_the_change() {
        if Path::new(SYSTEM_FILE).exists() {
            return;
        }
        let key = PrivateKey::from_seed(&[3; 32]);
        let root = PrivateKey::from_seed(&[4; 32]).public();
        let roots = Roots { threshold: 1, keys: vec![(root, "root".to_owned())] };
        let (said, trust) = import_where(&key, |trust| {
            trust.root = Some(roots);
            trust.sequence = 7;
        });
        assert!(said.is_ok() && trust.find(key.public().id()).is_some());
        assert_eq!(trust.sequence, 8);
        let (_, same) = import_where(&key, |trust| {
            trust.add(key.public(), "there");
            trust.sequence = 7;
        });
        assert_eq!(same.sequence, 7, "nothing changed");
    }

    #[test]
    fn sources() {
        assert_eq!(KeySource::parse("env:K"), KeySource::Variable("K".into()));
        assert_eq!(KeySource::parse("release-1"), KeySource::Named("release-1".into()));
        for file in ["k.pem", "./k", "a/k", "", "-k"] {
            assert_eq!(KeySource::parse(file), KeySource::File(file.into()));
        }
        assert_eq!(KeySource::parse("ssh-agent:a b"), KeySource::Agent("a b".into()));
        assert_eq!(KeySource::parse("exec:./s x"), KeySource::Program("./s x".into()));
        let unset = open(&of(KeySource::Variable("BLS_TEST_UNSET".into()))).unwrap_err();
        assert_eq!(unset.to_string(), "the variable BLS_TEST_UNSET is not set");
    }

    #[test]
    fn a_key_is_the_one_that_is_pinned() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("bls");
        let path = open_default(&folder).unwrap().path.unwrap();
        let own = home.path().join("own.pub");
        let key = open(&of(KeySource::File(path.clone()))).unwrap().public();
        fs::write(&own, key.to_pem()).unwrap();
        let other = home.path().join("other.pub");
        fs::write(&other, PrivateKey::from_seed(&[3; 32]).public().to_pem()).unwrap();
        let pinned = |source: &KeySource, public: &Path| {
            open(&Wanted { public: Some(public.to_owned()), ..of(source.clone()) })
        };
        let file = KeySource::File(path.clone());
        assert_eq!(pinned(&file, &own).unwrap().public(), key);
        assert!(matches!(pinned(&file, &other), Err(KeyStoreError::Pinned(..))));
        assert!(matches!(pinned(&file, &path), Err(KeyStoreError::PublicKey(..))));
        let program = KeySource::Program("/bin/sh".into());
        assert_eq!(pinned(&program, &own).unwrap().public(), key);
        let unpinned = open(&of(program)).unwrap_err();
        assert_eq!(unpinned.code(), "signer.unpinned");
        let missing = pinned(&KeySource::Program("./no-such".into()), &own).unwrap_err();
        assert_eq!(missing.code(), "signer.start");
    }

    #[test]
    fn keys_are_made_once_and_listed_by_name() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("bls");
        assert!(list_in(&folder).unwrap().is_empty());
        assert!(!folder.exists(), "listing makes nothing");
        let release = make_in(&folder, "release").unwrap();
        let default = open_default(&folder).unwrap();
        let text = fs::read(release.path.as_ref().unwrap()).unwrap();
        let again = make_in(&folder, "release").unwrap_err();
        assert!(matches!(again, KeyStoreError::Exists(_)), "{again}");
        let Signer::Key(key) = default.signer else { panic!("a key in a file") };
        let kept = keep(&folder, "release", key, false).unwrap_err();
        assert!(matches!(kept, KeyStoreError::Exists(_)), "{kept}");
        assert_eq!(fs::read(release.path.as_ref().unwrap()).unwrap(), text);
        assert_eq!(open_named(&folder, "release").unwrap().public(), release.public());

        fs::write(folder.join("notes.pem"), "no key").unwrap();
        fs::set_permissions(folder.join("notes.pem"), Permissions::from_mode(0o600)).unwrap();
        fs::write(folder.join("other.txt"), "").unwrap();
        let listed = list_in(&folder).unwrap();
        let names: Vec<(&str, bool)> =
            listed.iter().map(|key| (key.name.as_str(), key.id.is_ok())).collect();
        assert_eq!(names, [("key", true), ("notes", false), ("release", true)]);
        assert!(matches!(open_named(&folder, "absent"), Err(KeyStoreError::Missing(..))));
        for name in ["", "../key", "a.b", "-x", "trust.json", &"x".repeat(65)] {
            assert!(matches!(make_in(&folder, name), Err(KeyStoreError::Name(_))), "{name:?}");
        }
    }
}
