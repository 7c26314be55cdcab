//! Signing keys: where they are, who may read them, and how the first is made.
//!
//! The default key is `.config/bls/key.pem` in the home folder that the password
//! database names: never in one that an environment variable names. It is made at
//! first use, and the user's own trust file beside it gets the public half, so
//! that the first run works without ceremony and is still verified. Guarantees:
//! a key is used only when the descriptor it was read from belongs to this user
//! and to nobody else; a new key appears whole or not at all, mode 0600.

use bls_artifact::key::{KeyError, KeyId, PrivateKey};
use bls_artifact::limits::{KEY_BYTES_MAX, PASSWD_BYTES_MAX, TRUST_BYTES_MAX};
use bls_artifact::passwd;
use bls_artifact::trust::{SYSTEM_FILE, Trust, USER_FILE};
use rustix::fs::{AtFlags, CWD};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{env, fmt};

/// The name of the default key in [`passwd::USER_FOLDER`].
pub const KEY_FILE: &str = "key.pem";
/// What a value of `--key` begins with when it names a variable.
const ENVIRONMENT: &str = "env:";

/// Why there is no key.
#[derive(Debug)]
pub enum KeyStoreError {
    /// The password database names no home folder for this user id.
    NoHome(u32),
    /// The folder for the key cannot be made or written.
    Folder(PathBuf, io::Error),
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// A file that is no regular file.
    NotAFile(PathBuf),
    /// A file or folder that belongs to another user, by id.
    Owner(PathBuf, u32),
    /// A file or folder that others may use; its mode.
    Mode(PathBuf, u32),
    /// A file that holds no key.
    Key(PathBuf, KeyError),
    /// A variable that is not set, or not text.
    Variable(String),
    /// A variable that holds no key.
    VariableKey(String, KeyError),
    /// The system gives no randomness.
    Randomness(String),
}

impl fmt::Display for KeyStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHome(user) => {
                write!(
                    f,
                    "user {user} has no home folder in {} for a signing key",
                    passwd::DATABASE
                )
            }
            Self::Folder(path, error) => {
                write!(f, "cannot keep a signing key in {}: {error}", path.display())
            }
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::NotAFile(path) => write!(f, "{} is not a regular file", path.display()),
            Self::Owner(path, owner) => {
                write!(f, "{} belongs to user {owner}, not to you", path.display())
            }
            Self::Mode(path, mode) => {
                write!(f, "{} is open to others (mode {mode:04o})", path.display())
            }
            Self::Key(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name} is not set"),
            Self::VariableKey(name, error) => write!(f, "the variable {name}: {error}"),
            Self::Randomness(what) => write!(f, "the system gives no randomness: {what}"),
        }
    }
}

impl std::error::Error for KeyStoreError {}

impl KeyStoreError {
    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoHome(_) | Self::Folder(..) => {
                "name a key with --key FILE or --key env:NAME; openssl genpkey -algorithm ed25519 makes one".to_owned()
            }
            Self::Read(..) => {
                "see that it exists and that you may read it; without --key yours is used".to_owned()
            }
            Self::Randomness(_) => return None,
            Self::NotAFile(_) => "use --key env:NAME for a key that is not in a file".to_owned(),
            Self::Owner(path, _) => format!("chown it, if it is yours: {}", path.display()),
            Self::Mode(path, _) if path.is_dir() => format!("chmod 700 {}", path.display()),
            Self::Mode(path, _) => {
                format!("if it is your private key: chmod 600 {}", path.display())
            }
            Self::Key(..) | Self::VariableKey(..) => {
                "openssl genpkey -algorithm ed25519 makes a key of this form".to_owned()
            }
            Self::Variable(name) if name.is_empty() => {
                "name the variable behind env: --key env:BLS_KEY".to_owned()
            }
            Self::Variable(name) => format!("export {name}=\"$(cat key.pem)\""),
        })
    }
}

/// Where a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The user's own, made at first use.
    Default,
    /// A PEM file.
    File(PathBuf),
    /// A PEM text in an environment variable that the command line names.
    Variable(String),
}

impl KeySource {
    /// Reads the value of `--key`.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        match value.strip_prefix(ENVIRONMENT) {
            Some(name) => Self::Variable(name.to_owned()),
            None => Self::File(value.into()),
        }
    }
}

/// A signing key, and what there is to say about it.
#[derive(Debug)]
pub struct SigningKey {
    /// The key.
    pub key: PrivateKey,
    /// The file it is in; `None` when it is in a variable.
    pub path: Option<PathBuf>,
    /// Present when the key was made just now.
    pub made: Option<Made>,
}

/// A key that was made just now.
#[derive(Debug)]
pub struct Made {
    /// Its id.
    pub id: KeyId,
    /// Its file.
    pub path: PathBuf,
    /// Where this user's trust file names it; else why it does not.
    pub trusted: Result<PathBuf, String>,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "bls-compile: made your signing key {}", self.id)?;
        writeln!(f, "  in {}", self.path.display())?;
        match &self.trusted {
            Ok(path) => writeln!(f, "  trusted on this machine by {}", path.display())?,
            Err(why) => writeln!(f, "  not trusted on this machine: {why}")?,
        }
        write!(
            f,
            "  elsewhere: bls-compile key export > builder.pub, and there: bls-load trust add builder.pub"
        )
    }
}

/// Opens a signing key; makes the default one where there is none.
///
/// # Errors
/// [`KeyStoreError`].
pub fn open(source: &KeySource) -> Result<SigningKey, KeyStoreError> {
    match source {
        KeySource::Default => open_in(&user_folder()?),
        KeySource::File(path) => {
            let key = read_key(path)?;
            Ok(SigningKey { key, path: Some(path.clone()), made: None })
        }
        KeySource::Variable(name) => {
            let text = env::var(name).map_err(|_| KeyStoreError::Variable(name.clone()))?;
            let key = PrivateKey::from_pem(&text)
                .map_err(|error| KeyStoreError::VariableKey(name.clone(), error))?;
            Ok(SigningKey { key, path: None, made: None })
        }
    }
}

/// The folder for this user's key and trust file.
fn user_folder() -> Result<PathBuf, KeyStoreError> {
    let user = rustix::process::getuid().as_raw();
    let path = Path::new(passwd::DATABASE);
    let database = read_capped(path, PASSWD_BYTES_MAX)
        .map_err(|error| KeyStoreError::Read(path.to_owned(), error))?;
    let home = passwd::home(&String::from_utf8_lossy(&database), user)
        .ok_or(KeyStoreError::NoHome(user))?;
    Ok(home.join(passwd::USER_FOLDER))
}

/// The key in `folder`, which is made where it is missing.
fn open_in(folder: &Path) -> Result<SigningKey, KeyStoreError> {
    let path = folder.join(KEY_FILE);
    match read_key(&path) {
        Ok(key) => {
            check_folder(folder)?;
            return Ok(SigningKey { key, path: Some(path), made: None });
        }
        Err(KeyStoreError::Read(_, error)) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }

    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| KeyStoreError::Folder(folder.to_owned(), error))?;
    check_folder(folder)?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| KeyStoreError::Randomness(error.to_string()))?;
    let key = PrivateKey::from_seed(&seed);
    seed.fill(0);
    match create_private(&path, key.to_pem().as_bytes()) {
        Ok(()) => {}
        // Another bls-compile was first: its key is the key.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Ok(SigningKey { key: read_key(&path)?, path: Some(path), made: None });
        }
        Err(error) => return Err(KeyStoreError::Folder(folder.to_owned(), error)),
    }
    let made = Made { id: key.public().id(), path: path.clone(), trusted: trust(folder, &key) };
    Ok(SigningKey { key, path: Some(path), made: Some(made) })
}

/// Adds a new key to the user's trust file. A failure is said, not fatal: the
/// artifact is as good as with a trusted key.
fn trust(folder: &Path, key: &PrivateKey) -> Result<PathBuf, String> {
    if Path::new(SYSTEM_FILE).exists() {
        return Err(format!("{SYSTEM_FILE} alone says whom this machine trusts"));
    }
    let path = folder.join(USER_FILE);
    let said = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
    let mut trust = match read_capped(&path, TRUST_BYTES_MAX) {
        Ok(text) => Trust::parse(&text).map_err(|error| said(&error))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Trust::default(),
        Err(error) => return Err(said(&error)),
    };
    trust.add(key.public(), "made by bls-compile on this machine");
    let mut file = tempfile::Builder::new()
        .prefix(".trust-")
        .tempfile_in(folder)
        .map_err(|error| said(&error))?;
    file.write_all(trust.to_text().as_bytes())
        .and_then(|()| file.as_file().set_permissions(Permissions::from_mode(0o600)))
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| said(&error))?;
    file.persist(&path).map_err(|error| said(&error.error))?;
    Ok(path)
}

/// Writes a new file that only this user can read; it appears whole or not at
/// all, and never in the place of another.
fn create_private(path: &Path, contents: &[u8]) -> io::Result<()> {
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

/// A folder with keys must be this user's, and writable by nobody else.
fn check_folder(folder: &Path) -> Result<(), KeyStoreError> {
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

/// Reads a private key, and checks its file by the descriptor it is read from.
fn read_key(path: &Path) -> Result<PrivateKey, KeyStoreError> {
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
    let mut text = String::new();
    file.take(KEY_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    PrivateKey::from_pem(&text).map_err(|error| KeyStoreError::Key(path.to_owned(), error))
}

/// Reads a file up to a cap.
fn read_capped(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {most} bytes"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_first_use_makes_a_key_and_trusts_it() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(passwd::USER_FOLDER);
        let first = open_in(&folder).unwrap();
        let made = first.made.unwrap();
        let again = open_in(&folder).unwrap();
        assert!(again.made.is_none());
        assert_eq!(again.key.public(), first.key.public());
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
        let path = open_in(&folder).unwrap().path.unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = open(&KeySource::File(path.clone())).unwrap_err();
        let hint = error.hint().unwrap();
        assert!(hint.ends_with(&format!("chmod 600 {}", path.display())), "{hint}");
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(open_in(&folder), Err(KeyStoreError::Mode(..))));
        assert!(matches!(
            open(&KeySource::File("/dev/null".into())),
            Err(KeyStoreError::NotAFile(_))
        ));
    }

    #[test]
    fn sources() {
        assert_eq!(KeySource::parse("env:K"), KeySource::Variable("K".into()));
        assert_eq!(KeySource::parse("k.pem"), KeySource::File("k.pem".into()));
        let unset = open(&KeySource::Variable("BLS_TEST_UNSET".into())).unwrap_err();
        assert_eq!(unset.to_string(), "the variable BLS_TEST_UNSET is not set");
    }
}
