//! A folder of artifacts that were compiled before.
//!
//! ```text
//! ~/.cache/bls/NAME-ENTRY.bls   what `bls-compile run` keeps
//! DIR/ENTRY.bls                 what `--cache DIR` keeps
//! ENTRY: SHA-256 of the key (`key_of.rs`) and of the id of who signed it
//! ```
//!
//! May assume nothing about what lies there. Guarantees: an entry appears whole, so that any
//! number of programs may write at once; nothing but a regular file is opened, and no more of it
//! read than an artifact has; after a write the folder holds at most so many bytes and
//! [`ENTRIES_MAX`] entries, those that were used last. The user's own folder is theirs alone, and
//! keeps what was used in the last minute, for bls-load may be about to open it. What an entry
//! holds is judged by whoever takes it (`again.rs`): a folder that others may write can make work
//! necessary, and nothing else.

use super::{CacheError, EXTENSION, Entry};
use crate::program::keystore;
use bls_artifact::digest::Sha256;
use bls_artifact::limits::ARTIFACT_BYTES_MAX;
use bls_artifact::passwd;
use std::cmp;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The most bytes of all entries together, where nobody says otherwise.
pub const BYTES_MAX: u64 = 1 << 30;
/// The most entries.
pub const ENTRIES_MAX: usize = 10_000;
/// What `bls-compile run` used within this time is not removed: bls-load may be about to open it.
const IN_USE: Duration = Duration::from_secs(60);
/// What is written for longer than this was left behind.
const ABANDONED: Duration = Duration::from_secs(3600);
/// What a file is called that is being written.
const UNFINISHED: &str = ".new-";

/// A folder of artifacts.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    bytes_max: u64,
    /// What was used within this time stays.
    in_use: Duration,
    /// Whether nobody else may look at what is kept.
    private: bool,
}

impl Folder {
    /// This user's own. The home folder is the password database's.
    ///
    /// # Errors
    /// [`CacheError::NoHome`].
    pub fn of_user() -> Result<Self, CacheError> {
        let home = keystore::home().map_err(|error| CacheError::NoHome(error.to_string()))?;
        Ok(Self::private(home.join(passwd::CACHE_FOLDER)))
    }

    fn private(path: PathBuf) -> Self {
        Self { path, bytes_max: BYTES_MAX, in_use: IN_USE, private: true }
    }

    /// The one in `folder`, of at most so many bytes.
    #[must_use]
    pub fn at(path: PathBuf, bytes_max: u64) -> Self {
        Self { path, bytes_max, in_use: Duration::ZERO, private: false }
    }

    /// Makes the folder where it is missing, and sees whether it can be used.
    ///
    /// # Errors
    /// [`CacheError`].
    pub fn open(&self) -> Result<(), CacheError> {
        let unusable = |error| CacheError::Folder(self.path.clone(), error);
        let mode = if self.private { 0o700 } else { 0o777 };
        DirBuilder::new().recursive(true).mode(mode).create(&self.path).map_err(unusable)?;
        let status = fs::metadata(&self.path).map_err(unusable)?;
        let is_ours = status.uid() == rustix::process::geteuid().as_raw();
        if self.private && (!is_ours || status.mode() & 0o022 != 0) {
            return Err(CacheError::Others(self.path.clone()));
        }
        Ok(())
    }

    /// The entry of this name, if it is there. It counts as used now.
    #[must_use]
    pub fn find(&self, entry: &Entry<'_>) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.path.join(entry.file_name());
        let (file, bytes) = read(&path)?;
        // Only how long it is kept depends on it.
        let _ = file.set_modified(SystemTime::now());
        Some((path, bytes))
    }

    /// Keeps an artifact, and removes what was not used for the longest time where that is
    /// too much.
    ///
    /// # Errors
    /// [`CacheError::Write`].
    pub fn keep(&self, entry: &Entry<'_>, artifact: &[u8]) -> Result<PathBuf, CacheError> {
        let path = self.path.join(entry.file_name());
        // The umask takes away from the second.
        let mode = if self.private { 0o600 } else { 0o666 };
        let write = || {
            let mut file = tempfile::Builder::new()
                .prefix(UNFINISHED)
                .permissions(Permissions::from_mode(mode))
                .tempfile_in(&self.path)?;
            file.as_file_mut().write_all(artifact)?;
            // Not brought to the disk: what a power cut damages is compiled again.
            file.persist(&path).map_err(|error| error.error).map(drop)
        };
        write().map_err(|error| CacheError::Write(path.clone(), io::Error::from(error.kind())))?;
        self.remove_surplus(ENTRIES_MAX);
        Ok(path)
    }

    /// Removes the entries that were not used for the longest time, until no more than
    /// this is left, and what was left behind half written. What cannot be removed stays.
    fn remove_surplus(&self, entries_max: usize) {
        let Ok(files) = fs::read_dir(&self.path) else { return };
        let mut entries = Vec::new();
        for file in files.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let Ok(status) = file.metadata() else { continue };
            let age =
                status.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
            if name.starts_with(UNFINISHED) {
                if age > ABANDONED {
                    let _ = fs::remove_file(file.path());
                }
            } else if is_entry(&name) && status.is_file() {
                entries.push((age, status.len(), file.path()));
            }
        }
        entries.sort();
        let mut bytes = 0_u64;
        for (index, (age, length, path)) in entries.iter().enumerate() {
            bytes = bytes.saturating_add(*length);
            if (bytes > self.bytes_max || index >= entries_max) && *age >= self.in_use {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Whether a file of this name is one of ours: nothing else is removed, whichever folder was
/// named.
pub(super) fn is_entry(name: &str) -> bool {
    let stem = name.strip_suffix(EXTENSION).unwrap_or_default();
    let digest = stem.rsplit('-').next().unwrap_or_default();
    Sha256::from_hex(digest).is_some()
}

/// A regular file, and its bytes.
fn read(path: &Path) -> Option<(File, Vec<u8>)> {
    // Neither a link nor a FIFO is waited for.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = flags.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let status = file.metadata().ok().filter(fs::Metadata::is_file)?;
    // With room for the end to be seen at once.
    let length = usize::try_from(cmp::min(status.len(), ARTIFACT_BYTES_MAX)).ok()?;
    let mut bytes = Vec::with_capacity(length + 1);
    (&file).take(ARTIFACT_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    Some((file, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(number: u8) -> Entry<'static> {
        Entry::new(None, Sha256::of(&[number]), Sha256::of(b"signer"))
    }

    fn age(path: &Path, seconds: u64) {
        let then = SystemTime::now() - Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn what_is_kept_is_found() {
        let home = tempfile::tempdir().unwrap();
        let cache = Folder::at(home.path().join("a/b"), BYTES_MAX);
        let name = named(1);
        assert!(cache.find(&name).is_none() && !home.path().join("a").exists());
        cache.open().unwrap();
        assert!(cache.find(&name).is_none());
        let path = cache.keep(&name, b"artifact").unwrap();
        age(&path, 5000);
        let found = cache.find(&name).unwrap();
        assert_eq!(found, (path.clone(), b"artifact".to_vec()));
        let used = fs::metadata(&path).unwrap().modified().unwrap().elapsed().unwrap();
        assert!(used < Duration::from_secs(1000), "finding is using");
        assert!(cache.find(&named(2)).is_none());
        // Writing replaces, and writes through nothing.
        let other = home.path().join("other");
        fs::write(&other, "mine").unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(cache.find(&name).is_none());
        let _ = cache.keep(&name, b"again").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        assert_eq!(cache.find(&name).unwrap().1, b"again");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(cache.find(&name).is_none() && cache.keep(&name, b"x").is_err());
        let names: Vec<_> = fs::read_dir(home.path().join("a/b")).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing half written is left");
    }

    #[test]
    fn what_was_not_used_for_long_goes_first() {
        let home = tempfile::tempdir().unwrap();
        let cache = Folder::private(home.path().join("bls"));
        cache.open().unwrap();
        let within = |bytes_max| Folder { path: cache.path.clone(), bytes_max, ..cache };
        let paths: Vec<PathBuf> =
            (0..5_u8).map(|number| cache.keep(&named(number), &[0; 100]).unwrap()).collect();
        let foreign = cache.path.join("notes.bls");
        fs::write(&foreign, [0; 5000]).unwrap();
        for (path, number) in paths.iter().zip(0..) {
            age(path, 1000 - 100 * number);
        }
        let left = || -> Vec<bool> { paths.iter().map(|path| path.exists()).collect() };
        within(1000).remove_surplus(10);
        assert_eq!(left(), [true; 5]);
        within(350).remove_surplus(10);
        assert_eq!(left(), [false, false, true, true, true]);
        within(1000).remove_surplus(2);
        assert_eq!(left(), [false, false, false, true, true]);
        // What somebody may be about to open stays, whatever the bound.
        age(&paths[4], 1);
        within(0).remove_surplus(0);
        assert_eq!(left(), [false, false, false, false, true]);
        // In a folder that was named nobody opens what another process found.
        let named = Folder { in_use: Duration::ZERO, ..within(0) };
        named.remove_surplus(10);
        assert_eq!(left(), [false; 5]);
        let unfinished = |name: &str| {
            let path = cache.path.join(name);
            fs::write(&path, "").unwrap();
            path
        };
        let (fresh, stale) = (unfinished(".new-fresh"), unfinished(".new-stale"));
        age(&stale, 5000);
        cache.remove_surplus(10);
        assert!(fresh.exists() && !stale.exists());
        assert!(foreign.exists(), "what is none of ours stays");
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("bls");
        let cache = Folder::private(folder.clone());
        cache.open().unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o7777, 0o700);
        fs::set_permissions(&folder, Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(cache.open(), Err(CacheError::Others(_))));
        // One that is named is whoever's it is: what is in it is not believed.
        assert!(Folder::at(folder, BYTES_MAX).open().is_ok());
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let below = Folder::private(file.join("x")).open();
        assert!(matches!(below, Err(CacheError::Folder(..))));
        let below = Folder::at(file.join("x"), BYTES_MAX).open();
        assert!(matches!(below, Err(CacheError::Folder(..))));
    }
}
