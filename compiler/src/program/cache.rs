//! Artifacts that were compiled before, found by what they were made of.
//!
//! ```text
//! ~/.cache/bls/NAME-KEY.bls   KEY: SHA-256 of source, settings, versions and signing key
//! ~/.cache/bls/NAME-KEY.sum   a checksum of its bytes
//! ```
//!
//! The home folder is the password database's. May assume nothing about what lies there.
//! Guarantees: the folder is this user's and nobody else writes it; an entry appears whole,
//! so that any number of programs may write at once; what is found is as it was written, and
//! anything else is as good as not there; after a write the folder
//! holds at most [`BYTES_MAX`] and [`ENTRIES_MAX`], but for what was used in the last
//! minute. Says nothing of whom to trust: bls-load verifies each entry as any artifact.

use crate::pipeline::Options;
use crate::program::keystore;
use bls_artifact::digest::Sha256;
use bls_artifact::key::KeyId;
use bls_artifact::limits::ARTIFACT_BYTES_MAX;
use bls_artifact::{fuel, passwd};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{cmp, fmt};

/// The most bytes of all entries together.
pub const BYTES_MAX: u64 = 1 << 30;
/// The most entries.
pub const ENTRIES_MAX: usize = 1000;
/// What was used within this time is not removed: somebody may be about to open it.
const IN_USE: Duration = Duration::from_secs(60);
/// What is written for longer than this was left behind.
const ABANDONED: Duration = Duration::from_secs(3600);
/// What an entry is called behind its key.
const ENTRY: &str = ".bls";
/// What the file with its checksum is called there.
const SUM: &str = "sum";
/// The most bytes of one.
const SUM_BYTES_MAX: u64 = 64;
/// What a file is called that is being written.
const UNFINISHED: &str = ".new-";

/// Why nothing can be kept.
#[derive(Debug)]
pub enum CacheError {
    /// The user has no home folder.
    NoHome(String),
    /// The folder cannot be used.
    Folder(PathBuf, io::Error),
    /// The folder belongs to another user, or others may write it.
    Others(PathBuf),
    /// An entry cannot be written.
    Write(PathBuf, io::Error),
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHome(why) => write!(f, "there is no folder to keep what is compiled: {why}"),
            Self::Folder(path, error) => {
                write!(f, "cannot keep what is compiled in {}: {error}", path.display())
            }
            Self::Others(path) => {
                write!(f, "{} belongs to another user, or others may write there", path.display())
            }
            Self::Write(path, error) => write!(f, "cannot write {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for CacheError {}

impl CacheError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoHome(_) => "cache.no-home",
            Self::Folder(..) => "cache.folder",
            Self::Others(_) => "cache.others",
            Self::Write(..) => "cache.unwritable",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let steps = "compile and run in two steps: bls-compile app.wasm && bls-load app.bls";
        match self {
            Self::Others(path) => {
                format!("chmod go-w {}, if it is yours; or {steps}", path.display())
            }
            _ => steps.to_owned(),
        }
    }
}

/// What an artifact was made of, in one digest.
#[must_use]
pub fn key(source: Sha256, options: &Options, signer: KeyId, versions: &str) -> Sha256 {
    // A new setting is part of it without a word here.
    let made_of = format!(
        "{source}\n{options:?}\n{signer}\n{versions}\n{} {} {}\n{}",
        fuel::MODEL,
        fuel::PLAN,
        fuel::COST_TABLE_SHA256,
        program()
    );
    Sha256::of(made_of.as_bytes())
}

/// This very program: a build of the same version may compile in another way.
fn program() -> String {
    let Ok(status) = fs::metadata("/proc/self/exe") else { return String::new() };
    format!("{} {} {}.{}", status.ino(), status.len(), status.mtime(), status.mtime_nsec())
}

/// A folder of artifacts.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// This user's own, which is made where it is missing.
    ///
    /// # Errors
    /// [`CacheError`].
    pub fn of_user() -> Result<Self, CacheError> {
        let home = keystore::home().map_err(|error| CacheError::NoHome(error.to_string()))?;
        Self::in_folder(home.join(passwd::CACHE_FOLDER))
    }

    /// The one in `folder`, which is made where it is missing.
    ///
    /// # Errors
    /// [`CacheError`].
    pub fn in_folder(folder: PathBuf) -> Result<Self, CacheError> {
        let unusable = |error| CacheError::Folder(folder.clone(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(unusable)?;
        let status = fs::metadata(&folder).map_err(unusable)?;
        if status.uid() != rustix::process::geteuid().as_raw() || status.mode() & 0o022 != 0 {
            return Err(CacheError::Others(folder));
        }
        Ok(Self { folder })
    }

    /// Where an entry is, or would be.
    fn path_of(&self, name: &str, key: Sha256) -> PathBuf {
        self.folder.join(format!("{name}-{key}{ENTRY}"))
    }

    /// The artifact of this key, if it is there and whole. It counts as used now.
    #[must_use]
    pub fn find(&self, name: &str, key: Sha256) -> Option<PathBuf> {
        let path = self.path_of(name, key);
        let (artifact, bytes) = read(&path, ARTIFACT_BYTES_MAX)?;
        let (_, sum) = read(&path.with_extension(SUM), SUM_BYTES_MAX)?;
        if sum != checksum(&bytes).as_bytes() {
            return None;
        }
        // Only how long it is kept depends on it.
        let _ = artifact.set_modified(SystemTime::now());
        Some(path)
    }

    /// Keeps an artifact, and removes what was not used for the longest time where that is
    /// too much.
    ///
    /// # Errors
    /// [`CacheError::Write`].
    pub fn keep(&self, name: &str, key: Sha256, artifact: &[u8]) -> Result<PathBuf, CacheError> {
        let path = self.path_of(name, key);
        let write = |path: &Path, bytes: &[u8]| {
            let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder)?;
            file.as_file_mut().write_all(bytes)?;
            // Not brought to the disk: what a power cut damages is compiled again.
            file.persist(path).map_err(|error| error.error).map(drop)
        };
        // Until both are there, neither is found.
        write(&path, artifact)
            .and_then(|()| write(&path.with_extension(SUM), checksum(artifact).as_bytes()))
            .map_err(|error| CacheError::Write(path.clone(), io::Error::from(error.kind())))?;
        self.remove_surplus(BYTES_MAX, ENTRIES_MAX, IN_USE);
        Ok(path)
    }

    /// Removes the entries that were not used for the longest time, until no more than
    /// this is left, and what was left behind half written. What cannot be removed stays.
    fn remove_surplus(&self, bytes_max: u64, entries_max: usize, in_use: Duration) {
        let Ok(files) = fs::read_dir(&self.folder) else { return };
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
            } else if name.ends_with(ENTRY) && status.is_file() {
                entries.push((age, status.len(), file.path()));
            }
        }
        entries.sort();
        let mut bytes = 0_u64;
        for (index, (age, length, path)) in entries.iter().enumerate() {
            bytes = bytes.saturating_add(*length);
            if (bytes > bytes_max || index >= entries_max) && *age > in_use {
                let _ = fs::remove_file(path);
                let _ = fs::remove_file(path.with_extension(SUM));
            }
        }
    }
}

/// A regular file, and its bytes.
fn read(path: &Path, bytes_max: u64) -> Option<(File, Vec<u8>)> {
    // Neither a link nor a FIFO is waited for.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = flags.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let status = file.metadata().ok().filter(fs::Metadata::is_file)?;
    // With room for the end to be seen at once.
    let length = usize::try_from(cmp::min(status.len(), bytes_max)).ok()?;
    let mut bytes = Vec::with_capacity(length + 1);
    (&file).take(bytes_max + 1).read_to_end(&mut bytes).ok()?;
    Some((file, bytes))
}

/// What tells a damaged entry from a whole one, many times as fast as SHA-256 does. It is
/// no protection: whoever can write here is the user, and bls-load verifies all of it.
fn checksum(bytes: &[u8]) -> String {
    // Odd, so that no change of one word is lost on the way.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |lane: &mut u64, word: u64| {
        *lane = (*lane ^ word).wrapping_mul(FACTOR).rotate_left(29);
    };
    // Four lanes: a processor multiplies for all of them at once.
    let mut lanes = [1, 2, 3, bytes.len() as u64];
    let chunks = bytes.chunks(32);
    for chunk in chunks {
        let mut padded = [0; 32];
        padded[..chunk.len()].copy_from_slice(chunk);
        let words = padded.as_chunks::<8>().0;
        for (lane, word) in lanes.iter_mut().zip(words) {
            mix(lane, u64::from_le_bytes(*word));
        }
    }
    lanes.map(|lane| format!("{lane:016x}")).concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline;
    use bls_artifact::key::PrivateKey;
    use bls_artifact::target::{Nans, Target};
    fn options() -> Options {
        Options::new(vec![Target::Pulley64])
    }

    fn artifact() -> Vec<u8> {
        let key = PrivateKey::from_seed(&[1; 32]);
        let module = b"(module (func (export \"_start\")))".to_vec();
        pipeline::build(module, "a.wat", &options(), &[&key]).unwrap().bytes().to_vec()
    }

    fn age(path: &Path, seconds: u64) {
        let then = SystemTime::now() - Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn all_that_decides_is_in_the_key() {
        let signer = |seed| PrivateKey::from_seed(&[seed; 32]).public().id();
        let (source, first) = (Sha256::of(b"source"), options());
        let usual = key(source, &first, signer(1), "1");
        assert_eq!(key(source, &first.clone(), signer(1), "1"), usual);
        assert_ne!(key(Sha256::of(b"other"), &first, signer(1), "1"), usual);
        assert_ne!(key(source, &first, signer(2), "1"), usual);
        assert_ne!(key(source, &first, signer(1), "2"), usual);
        for other in [
            Options { metered: false, ..options() },
            Options { nans: Nans::Fast, ..options() },
            Options { fuel_profile: true, ..options() },
            Options { name: Some("other".into()), ..options() },
            Options::new(vec![Target::Pulley32]),
        ] {
            assert_ne!(key(source, &other, signer(1), "1"), usual);
        }
    }

    #[test]
    fn what_is_kept_is_found_and_what_is_damaged_is_not() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(home.path().join("a/b")).unwrap();
        let key = Sha256::of(b"key");
        assert_eq!(cache.find("app", key), None);
        let artifact = artifact();
        let path = cache.keep("app", key, &artifact).unwrap();
        age(&path, 5000);
        assert_eq!(cache.find("app", key), Some(path.clone()));
        let used = fs::metadata(&path).unwrap().modified().unwrap().elapsed().unwrap();
        assert!(used < Duration::from_secs(1000), "finding is using");
        assert_eq!(cache.find("other", key), None);
        assert_eq!(cache.find("app", Sha256::of(b"other")), None);
        for at in (0..artifact.len()).step_by(97) {
            let mut damaged = artifact.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert_eq!(cache.find("app", key), None, "byte {at}");
            fs::write(&path, &artifact[..at]).unwrap();
            assert_eq!(cache.find("app", key), None, "cut at {at}");
        }
        fs::write(&path, [&artifact[..], &[0]].concat()).unwrap();
        assert_eq!(cache.find("app", key), None, "a zero more");
        // Writing it again mends it.
        let again = cache.keep("app", key, &artifact).unwrap();
        assert_eq!(cache.find("app", key), Some(again));
        fs::write(path.with_extension(SUM), "").unwrap();
        assert_eq!(cache.find("app", key), None, "nothing says that it is whole");
        let _ = cache.keep("app", key, &artifact).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(cache.find("app", key), None);
    }

    #[test]
    fn what_was_not_used_for_long_goes_first() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(home.path().to_owned()).unwrap();
        let paths: Vec<PathBuf> = (0..5_u8)
            .map(|number| cache.keep("x", Sha256::of(&[number]), &[0; 100]).unwrap())
            .collect();
        for (path, number) in paths.iter().zip(0..) {
            age(path, 1000 - 100 * number);
        }
        let left = || -> Vec<bool> { paths.iter().map(|path| path.exists()).collect() };
        cache.remove_surplus(1000, 10, IN_USE);
        assert_eq!(left(), [true; 5]);
        cache.remove_surplus(350, 10, IN_USE);
        assert_eq!(left(), [false, false, true, true, true]);
        assert!(!paths[0].with_extension(SUM).exists() && paths[2].with_extension(SUM).exists());
        cache.remove_surplus(1000, 2, IN_USE);
        assert_eq!(left(), [false, false, false, true, true]);
        // What somebody may be about to open stays, whatever the bound.
        age(&paths[4], 1);
        cache.remove_surplus(0, 0, IN_USE);
        assert_eq!(left(), [false, false, false, false, true]);
        let (fresh, stale) = (home.path().join(".new-fresh"), home.path().join(".new-stale"));
        fs::write(&fresh, "").unwrap();
        fs::write(&stale, "").unwrap();
        age(&stale, 5000);
        cache.remove_surplus(1000, 10, IN_USE);
        assert!(fresh.exists() && !stale.exists());
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("bls");
        let made = Cache::in_folder(folder.clone()).unwrap();
        assert_eq!(fs::metadata(&made.folder).unwrap().mode() & 0o7777, 0o700);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(Cache::in_folder(folder), Err(CacheError::Others(_))));
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(Cache::in_folder(file.join("x")), Err(CacheError::Folder(..))));
    }
}
