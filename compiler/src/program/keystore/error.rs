//! Why there is no signing key, and what to do about it.
//!
//! Each refusal of a key names what it is instead, and the command that converts it
//! where one can.

use crate::program::signer::SignerError;
use bls_artifact::key::{KeyError, KeyId};
use bls_artifact::limits::{KEY_BYTES_MAX, KEY_NAME_BYTES_MAX};
use bls_artifact::passwd;
use std::path::PathBuf;
use std::{fmt, io};

/// Where the text of a key was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// Standard input.
    Stdin,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Stdin => write!(f, "standard input"),
        }
    }
}

/// Why there is no key.
#[derive(Debug)]
pub enum KeyStoreError {
    /// The password database names no home folder for this user id.
    NoHome(u32),
    /// The folder for the key cannot be made or written.
    Folder(PathBuf, io::Error),
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// Standard input cannot be read.
    ReadStdin(io::Error),
    /// A file that is no regular file.
    NotAFile(PathBuf),
    /// A file or folder that belongs to another user, by id.
    Owner(PathBuf, u32),
    /// A file or folder that others may use; its mode.
    Mode(PathBuf, u32),
    /// What holds no key.
    Key(Place, KeyError),
    /// Longer than any key.
    TooLong(Place),
    /// Not even text.
    Binary(Place),
    /// A variable that is not set, or not text.
    Variable(String),
    /// There is a key of this name already; its file.
    Exists(PathBuf),
    /// There is no key of this name; where it would be.
    Missing(String, PathBuf),
    /// A word that names no key.
    Name(String),
    /// The system gives no randomness.
    Randomness(String),
    /// A file that was named for a public key, and holds none.
    PublicKey(PathBuf, KeyError),
    /// The key is another one than `--public-key` says: the key, and the one that is wanted.
    Pinned(KeyId, KeyId),
    /// Whoever keeps the key does not sign.
    Signer(SignerError),
}

impl From<SignerError> for KeyStoreError {
    fn from(error: SignerError) -> Self {
        Self::Signer(error)
    }
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
            Self::ReadStdin(error) => write!(f, "cannot read standard input: {error}"),
            Self::NotAFile(path) => write!(f, "{} is not a regular file", path.display()),
            Self::Owner(path, owner) => {
                write!(f, "{} belongs to user {owner}, not to you", path.display())
            }
            Self::Mode(path, mode) => {
                write!(f, "{} is open to others (mode {mode:04o})", path.display())
            }
            Self::Key(place, error) => write!(f, "{place} is {error}"),
            Self::TooLong(place) => write!(f, "{place} is longer than {KEY_BYTES_MAX} bytes"),
            Self::Binary(place) => write!(f, "{place} is no text, so no key in PEM"),
            Self::Variable(name) => write!(f, "the variable {name} is not set"),
            Self::Exists(path) => {
                write!(f, "there is a key in {} already; it stays as it is", path.display())
            }
            Self::Missing(name, path) => {
                write!(f, "you have no key {name}: there is no {}", path.display())
            }
            Self::Name(name) => write!(f, "{name:?} cannot be the name of a key"),
            Self::Randomness(what) => write!(f, "the system gives no randomness: {what}"),
            Self::PublicKey(path, error) => write!(f, "{} is {error}", path.display()),
            Self::Pinned(found, wanted) => {
                write!(f, "the key is {found}, and --public-key says {wanted}")
            }
            Self::Signer(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for KeyStoreError {}

impl KeyStoreError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoHome(_) => "keystore.no-home",
            Self::Folder(..) => "keystore.folder",
            Self::Read(..) | Self::ReadStdin(_) => "keystore.unreadable",
            Self::NotAFile(_) => "keystore.not-a-file",
            Self::Owner(..) => "keystore.owner",
            Self::Mode(..) => "keystore.mode",
            Self::Key(_, error) | Self::PublicKey(_, error) => error.code(),
            Self::TooLong(_) => "keystore.too-long",
            Self::Binary(_) => "keystore.binary",
            Self::Variable(_) => "keystore.variable",
            Self::Exists(_) => "keystore.exists",
            Self::Missing(..) => "keystore.missing",
            Self::Name(_) => "keystore.name",
            Self::Randomness(_) => "keystore.randomness",
            Self::Pinned(..) => "keystore.pinned",
            Self::Signer(error) => error.code(),
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoHome(_) | Self::Folder(..) => {
                "name a key with --key FILE, env:NAME, ssh-agent:KEY or exec:PROGRAM; openssl genpkey -algorithm ed25519 makes one".to_owned()
            }
            Self::Read(..) => {
                "see that it exists and that you may read it".to_owned()
            }
            Self::ReadStdin(_) | Self::Randomness(_) => return None,
            Self::NotAFile(_) => "use --key env:NAME for a key that is not in a file".to_owned(),
            Self::Owner(path, _) => format!("chown it, if it is yours: {}", path.display()),
            Self::Mode(path, _) if path.is_dir() => format!("chmod 700 {}", path.display()),
            Self::Mode(path, _) => {
                format!(
                    "a public key is for bls-load trust add, and for --key ssh-agent:FILE; if it is your private key: chmod 600 {}",
                    path.display()
                )
            }
            Self::Key(place, error) => key_hint(place, *error),
            Self::Binary(place) => {
                let file = file_of(place);
                format!("if it is a key in DER: openssl pkey -inform DER -in {file} -out key.pem")
            }
            Self::TooLong(_) => "name a file that holds one key and nothing else".to_owned(),
            Self::Variable(name) if name.is_empty() => {
                "name the variable behind env: --key env:BLS_KEY".to_owned()
            }
            Self::Variable(name) => format!("export {name}=\"$(cat key.pem)\""),
            Self::Exists(_) => "give the other one a name: bls-compile key new NAME, or key import FILE NAME".to_owned(),
            Self::Missing(name, _) => format!(
                "make it: bls-compile key new {name}; a file of that name here is --key ./{name}"
            ),
            Self::PublicKey(..) => {
                "name the public half: bls-compile key export KEY > builder.pub, or a .pub file of OpenSSH's".to_owned()
            }
            Self::Pinned(..) => "name the key that you mean, or its own public half".to_owned(),
            Self::Signer(error) => error.hint(),
            Self::Name(_) => format!(
                "the name of a key is 1 to {KEY_NAME_BYTES_MAX} letters, digits, - and _, not beginning with -"
            ),
        })
    }
}

/// The command that makes a key of what is none.
fn key_hint(place: &Place, error: KeyError) -> String {
    let file = file_of(place);
    match error {
        KeyError::Encrypted => format!(
            "take the passphrase off a copy, which then needs mode 0600: openssl pkey -in {file} -out plain.pem"
        ),
        KeyError::OpenSshEncrypted => {
            format!("let an ssh-agent hold it: ssh-add {file}, and --key ssh-agent:{file}.pub")
        }
        KeyError::Public => format!(
            "name the file of the private key; bls-load takes public ones; where an ssh-agent has its private half: --key ssh-agent:{file}"
        ),
        KeyError::Algorithm(_) => {
            "it cannot be converted; make one: openssl genpkey -algorithm ed25519 -out key.pem"
                .to_owned()
        }
        KeyError::OpenSsh => {
            "copy it again, all of it; ssh-keygen -y -f FILE shows whether it is whole".to_owned()
        }
        _ => "openssl genpkey -algorithm ed25519 -out key.pem makes a key of this form".to_owned(),
    }
}

/// What stands for the place in a command.
fn file_of(place: &Place) -> String {
    match place {
        Place::File(path) => path.display().to_string(),
        Place::Variable(_) | Place::Stdin => "FILE".to_owned(),
    }
}
