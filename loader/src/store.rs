//! Installed artifacts: a folder that is addressed by content.
//!
//! ```text
//! STORE/artifacts/IDENTITY   the envelope: what was signed, and by whom
//! STORE/images/SHA256        the native code, raw, ready to be mapped from offset 0
//! STORE/names/NAME           the record of a name (store/record.rs)
//! STORE/temporary/           what is being written
//! STORE/lock                 held by whoever writes
//! ```
//!
//! Files are never changed: they are written elsewhere, brought to the disk, and get
//! their name then ([`mod@write`]). So whoever has one open keeps what it was. Nothing in a
//! store is believed because it lies there: the envelope's signatures are verified at
//! each run, and the code is hashed, unless nobody but root can have touched it
//! (`guard.rs`). Does not judge artifacts, and maps nothing.

mod disk;
mod error;
mod guard;
mod read;
pub mod record;
pub mod write;

pub use disk::{Disk, System};
pub use error::StoreError;
pub use guard::Oddity;
pub(crate) use guard::StoredImage;
pub(crate) use read::FoundImage;
pub use read::{Installed, Store};

use crate::guarded;
use bls_artifact::digest::Sha256;
use bls_artifact::limits::PASSWD_BYTES_MAX;
use bls_artifact::passwd;
use record::Record;
use rustix::io::Errno;
use std::fmt;
use std::path::{Path, PathBuf};

/// The store of the machine: root's.
pub const SYSTEM_STORE: &str = "/var/lib/bls";

/// A folder of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Folder {
    /// The store itself.
    Store,
    /// Envelopes, by identity.
    Artifacts,
    /// Native code, by its SHA-256.
    Images,
    /// Records, by name.
    Names,
    /// What is being written.
    Temporary,
}

impl Folder {
    /// Those inside the store.
    pub const INSIDE: [Self; 4] = [Self::Artifacts, Self::Images, Self::Names, Self::Temporary];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Store => ".",
            Self::Artifacts => "artifacts",
            Self::Images => "images",
            Self::Names => "names",
            Self::Temporary => "temporary",
        }
    }
}

/// What a user calls something that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// By its name: whichever release is installed.
    Name(String),
    /// By the SHA-256 of what was signed: exactly this.
    Identity(Sha256),
}

impl fmt::Display for Wanted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Identity(identity) => write!(formatter, "sha256:{identity}"),
        }
    }
}

/// The stores that are looked into, in their order.
#[derive(Debug, Default)]
pub struct Stores {
    stores: Vec<Store>,
    /// Where they are, or would be.
    paths: Vec<PathBuf>,
}

impl Stores {
    /// The one that is named; else the machine's, then the user's own, as far as they
    /// exist.
    ///
    /// # Errors
    /// [`StoreError`]: one that is named must be there, and none may be writable by
    /// others.
    pub fn open(explicit: Option<&Path>) -> Result<Self, StoreError> {
        if let Some(path) = explicit {
            let store = Store::open(path, None)?.ok_or_else(|| StoreError::missing(path))?;
            return Ok(Self { stores: vec![store], paths: vec![path.to_owned()] });
        }
        let mut paths = vec![PathBuf::from(SYSTEM_STORE)];
        let mut stores = Vec::new();
        match Store::open(&paths[0], Some(0)) {
            // What root keeps to itself is not there for this user.
            Err(StoreError::System(_, _, Errno::ACCESS)) | Ok(None) => {}
            other => stores.extend(other?),
        }
        let user = rustix::process::geteuid().as_raw();
        if user != 0
            && let Some(path) = own_store(user)?
        {
            stores.extend(Store::open(&path, Some(user))?);
            paths.push(path);
        }
        Ok(Self { stores, paths })
    }

    /// Those that exist.
    pub fn iter(&self) -> impl Iterator<Item = &Store> {
        self.stores.iter()
    }

    /// Finds what is installed, and reads its envelope.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn find(&self, wanted: &Wanted) -> Result<Installed<'_>, StoreError> {
        for store in &self.stores {
            let (identity, seen) = match wanted {
                Wanted::Identity(identity) => (*identity, None),
                Wanted::Name(name) => match store.record(name)? {
                    Some(Record { installed: Some(identity), seen, .. }) => (identity, Some(seen)),
                    _ => continue,
                },
            };
            match (store.installed(identity, wanted.clone())?, wanted) {
                (Some(installed), _) => return Ok(Installed { seen, ..installed }),
                (None, Wanted::Identity(_)) => {}
                (None, Wanted::Name(_)) => {
                    let path = store.path_of(Folder::Artifacts, &identity.to_string());
                    return Err(StoreError::Missing(path));
                }
            }
        }
        Err(StoreError::NotInstalled(wanted.to_string(), self.paths.clone()))
    }
}

/// The store to write to: the one that is named; else root's is the machine's, and
/// everybody else's is their own.
///
/// # Errors
/// [`StoreError::NoHome`].
pub fn place_to_write(explicit: Option<&Path>) -> Result<PathBuf, StoreError> {
    let user = rustix::process::geteuid().as_raw();
    match explicit {
        Some(path) => Ok(path.to_owned()),
        None if user == 0 => Ok(SYSTEM_STORE.into()),
        None => own_store(user)?.ok_or(StoreError::NoHome(user)),
    }
}

/// Where the user's own store is: by the password database, never by a variable.
fn own_store(user: u32) -> Result<Option<PathBuf>, StoreError> {
    let database = guarded::read(Path::new(passwd::DATABASE), PASSWD_BYTES_MAX, Some(&[0]))?;
    let home = passwd::home(&String::from_utf8_lossy(&database), user);
    Ok(home.map(|home| home.join(passwd::DATA_FOLDER)))
}
