//! Installed artifacts: a folder that is addressed by content.
//!
//! ```text
//! STORE/artifacts/IDENTITY   the envelope: what was signed, and by whom
//! STORE/images/SHA256        the native code, raw, ready to be mapped from offset 0
//! STORE/names/NAME           the record of a name (store/record.rs)
//! STORE/sources/SHA256       the identity of what was made of this source last: a hint
//! STORE/temporary/           what is being written
//! STORE/lock                 held by whoever writes
//! STORE/compiling/SHA256     held by whoever compiles this source, and gone afterwards
//! ```
//!
//! Files are never changed: they are written elsewhere, brought to the disk, and get
//! their name then (`install.rs`). So whoever has one open keeps what it was. Nothing in a
//! store is believed because it lies there: the envelope's signatures are verified at
//! each run, and the code is hashed, unless nobody but root can have touched it
//! (`guard.rs`). Does not judge artifacts, and maps nothing.

mod disk;
mod error;
mod guard;
mod read;
pub mod record;

pub use disk::{Compiling, Disk, System};
pub use error::StoreError;
pub use guard::Oddity;
pub(crate) use guard::StoredImage;
pub(crate) use read::FoundImage;
pub use read::{Installed, Store};

use crate::guarded;
use bls_artifact::digest::Sha256;
use bls_artifact::manifest::Manifest;
use bls_artifact::name::is_name;
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
    /// Identities, by the SHA-256 of the source.
    Sources,
    /// What is being written.
    Temporary,
}

impl Folder {
    /// Those inside the store.
    pub const INSIDE: [Self; 5] =
        [Self::Artifacts, Self::Images, Self::Names, Self::Sources, Self::Temporary];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Store => ".",
            Self::Artifacts => "artifacts",
            Self::Images => "images",
            Self::Names => "names",
            Self::Sources => "sources",
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
    /// By so many of its first digits as no other of what is installed begins with.
    Short(String),
}

impl fmt::Display for Wanted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Identity(identity) => write!(formatter, "sha256:{identity}"),
            Self::Short(digits) => write!(formatter, "sha256:{digits}"),
        }
    }
}

impl Wanted {
    /// The whole identity of a short one that only one artifact in these stores has.
    ///
    /// # Errors
    /// [`StoreError`], also when several have it.
    pub fn complete<'s>(
        &self,
        stores: impl IntoIterator<Item = &'s Store>,
    ) -> Result<Option<Self>, StoreError> {
        let Self::Short(digits) = self else { return Ok(None) };
        let mut all = Vec::new();
        for store in stores {
            all.extend(store.identities()?);
        }
        all.retain(|identity| identity.to_string().starts_with(digits));
        all.sort_unstable();
        all.dedup();
        match all.as_slice() {
            [_, _, ..] => Err(StoreError::Ambiguous(digits.clone(), all)),
            one => Ok(one.first().copied().map(Self::Identity)),
        }
    }
}

/// The stores that are looked into, in their order.
#[derive(Debug, Default)]
pub struct Stores {
    stores: Vec<Store>,
    /// Where they are, or would be.
    paths: Vec<PathBuf>,
    /// Why nobody knows where the user's own is: asked for by what is in no other.
    unknown: Option<StoreError>,
    /// Default stores that say nothing, and why.
    bad: Vec<StoreError>,
}

impl Stores {
    /// The one that is named; else the machine's, then the user's own, as far as they
    /// exist. Where nobody knows where the user's own is, that counts once it is needed.
    ///
    /// # Errors
    /// [`StoreError`]: one that is named must be there, and none may be writable by
    /// others.
    pub fn open(explicit: Option<&Path>) -> Result<Self, StoreError> {
        let mut stores = Self::open_each(explicit)?;
        if stores.bad.is_empty() { Ok(stores) } else { Err(stores.bad.remove(0)) }
    }

    /// The same, and goes on behind a default store that says nothing: [`Stores::bad`].
    ///
    /// # Errors
    /// [`StoreError`] of one that is named.
    pub fn open_each(explicit: Option<&Path>) -> Result<Self, StoreError> {
        let mut all = Self::default();
        if let Some(path) = explicit {
            all.stores.push(Store::open(path, None)?.ok_or_else(|| StoreError::missing(path))?);
            all.paths.push(path.to_owned());
            return Ok(all);
        }
        all.open_default(SYSTEM_STORE.into(), 0);
        let user = rustix::process::geteuid().as_raw();
        if user != 0 {
            match own_store(user) {
                Ok(path) => path.into_iter().for_each(|path| all.open_default(path, user)),
                Err(error) => all.unknown = Some(error),
            }
        }
        Ok(all)
    }

    fn open_default(&mut self, path: PathBuf, owner: u32) {
        match Store::open(&path, Some(owner)) {
            // What root keeps to itself, and what is in a home that is no folder, is not
            // there for this user.
            Err(StoreError::System(_, _, Errno::ACCESS)) => {}
            Err(StoreError::Kind(..)) if owner != 0 => {}
            Err(error) => self.bad.push(error),
            Ok(store) => self.stores.extend(store),
        }
        self.paths.push(path);
    }

    /// Those that exist.
    pub fn iter(&self) -> impl Iterator<Item = &Store> {
        self.stores.iter()
    }

    /// Where they are, or would be.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }

    /// Why others say nothing.
    pub fn bad(&mut self) -> Vec<StoreError> {
        std::mem::take(&mut self.bad)
    }

    /// Finds what is installed, and reads its envelope.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn find(&self, wanted: &Wanted) -> Result<Installed<'_>, StoreError> {
        let full = wanted.complete(&self.stores)?;
        let wanted = full.as_ref().unwrap_or(wanted);
        for store in &self.stores {
            let (identity, seen) = match wanted {
                Wanted::Identity(identity) => (*identity, None),
                Wanted::Short(_) => continue,
                // Anything else would be a path: nothing is installed under it.
                Wanted::Name(name) if !is_name(name) => continue,
                Wanted::Name(name) => match store.record(name)? {
                    Some(Record { installed: Some(identity), seen, .. }) => (identity, Some(seen)),
                    _ => continue,
                },
            };
            match (store.installed(identity, wanted.clone())?, wanted) {
                (Some(installed), _) => return Ok(Installed { seen, ..installed }),
                (None, Wanted::Identity(_) | Wanted::Short(_)) => {}
                (None, Wanted::Name(_)) => {
                    let path = store.path_of(Folder::Artifacts, &identity.to_string());
                    return Err(StoreError::Missing(path));
                }
            }
        }
        Err(match &self.unknown {
            Some(error) => error.again(),
            None => StoreError::NotInstalled(wanted.to_string(), self.paths.clone()),
        })
    }
}

/// Something that is installed and was made of a certain source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its identity.
    pub identity: Sha256,
    /// Whether it was found to be of use.
    pub is_fit: bool,
}

impl Stores {
    /// What is installed and says that it was made of `source`; of several one that
    /// `is_fit`. What a store noted is a hint: where it leads nowhere, all that is installed is
    /// looked at. Nothing about it is verified.
    ///
    /// # Errors
    /// [`StoreError`] of a store that cannot be listed.
    pub fn made_of(
        &self,
        source: Sha256,
        is_fit: &dyn Fn(&Manifest) -> bool,
    ) -> Result<Option<Made>, StoreError> {
        let look = |store: &Store, identity: Sha256| {
            let installed = store.installed(identity, Wanted::Identity(identity)).ok()??;
            let manifest = installed.alleged().ok().filter(|alleged| alleged.source == source)?;
            Some(Made { identity, is_fit: is_fit(&manifest) })
        };
        let mut found = None;
        for store in &self.stores {
            found = store.noted(source).and_then(|identity| look(store, identity)).or(found);
            if found.is_some_and(|found| found.is_fit) {
                return Ok(found);
            }
        }
        for store in &self.stores {
            for identity in store.identities()? {
                found = look(store, identity).or(found);
                if found.is_some_and(|found| found.is_fit) {
                    return Ok(found);
                }
            }
        }
        Ok(found)
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
    let home = guarded::home(user)?;
    Ok(home.map(|home| home.join(passwd::DATA_FOLDER)))
}
