//! Folders to let a guest loose in: one it may change, one it may only read, and
//! beside them one it must never reach.
//!
//! ```text
//! outside/    secret, a folder, a name that nothing inside names
//! writable/   descriptor 3: files, folders, links in every direction
//! read-only/  descriptor 4: the same
//! ```
//!
//! Guarantees that a [`Snapshot`] sees every change of names, kinds, bytes, link
//! counts and times (not of access times, which reading moves). Does not judge.

use crate::host_driver::preopen;
use bls_loader::host::Grants;
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What the file outside holds.
pub const SECRET: &[u8] = b"\xf1these bytes stay outside\xf2\xf3\xf4";
/// The name of a file outside that a guest cannot guess.
pub const SECRET_NAME: &str = "unguessed-name-outside";
/// What every file `a` holds.
pub const CONTENTS: &[u8] = b"contents of a\n";
/// The descriptor of the folder that may be changed.
pub const WRITABLE: u32 = 3;
/// The descriptor of the folder that may only be read.
pub const READ_ONLY: u32 = 4;

/// The folders.
#[derive(Debug)]
pub struct Scene {
    folder: TempDir,
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Scene {
    /// Fresh folders in the system's folder for temporary files.
    ///
    /// # Panics
    /// When they cannot be made.
    #[must_use]
    pub fn new() -> Self {
        Self::in_folder(&std::env::temp_dir())
    }

    /// Fresh folders in memory, where the system has such a place.
    ///
    /// # Panics
    /// When they cannot be made.
    #[must_use]
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::in_folder(memory) } else { Self::new() }
    }

    fn in_folder(parent: &Path) -> Self {
        let scene = Self { folder: tempfile::tempdir_in(parent).expect("a fresh folder") };
        let outside = scene.outside();
        fs::create_dir_all(outside.join("folder")).expect("a folder");
        fs::write(outside.join("secret"), SECRET).expect("a file");
        fs::write(outside.join(SECRET_NAME), b"").expect("a file");
        scene.fill(&scene.writable());
        scene.fill(&scene.read_only());
        scene
    }

    /// Files, folders, and links in every direction.
    fn fill(&self, folder: &Path) {
        let secret = self.outside().join("secret");
        fs::create_dir_all(folder.join("dir/deep")).expect("folders");
        fs::write(folder.join("a"), CONTENTS).expect("a file");
        fs::write(folder.join("b"), b"").expect("a file");
        fs::write(folder.join("dir/file"), b"deeper\n").expect("a file");
        for (name, target) in [
            ("link", "a"),
            ("chain", "link"),
            ("link-dir", "dir"),
            ("loop", "loop"),
            ("dangling", "nowhere"),
            ("up", ".."),
            ("root", "/"),
            ("out", "../outside/secret"),
            ("out-dir", "../outside"),
            ("dir/up", "../.."),
            ("absolute", secret.to_str().expect("a path in text")),
        ] {
            symlink(target, folder.join(name)).expect("a link");
        }
    }

    /// Makes the folder that may be changed anew.
    ///
    /// # Panics
    /// When it cannot be.
    pub fn renew(&self) {
        fs::remove_dir_all(self.writable()).expect("a folder to remove");
        self.fill(&self.writable());
    }

    /// The folder that must not be reached.
    #[must_use]
    pub fn outside(&self) -> PathBuf {
        self.path("outside")
    }

    /// The folder that may be changed.
    #[must_use]
    pub fn writable(&self) -> PathBuf {
        self.path("writable")
    }

    /// The folder that may only be read.
    #[must_use]
    pub fn read_only(&self) -> PathBuf {
        self.path("read-only")
    }

    /// A path beside the three.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Both folders, two arguments, two variables, no limit.
    ///
    /// # Panics
    /// When a folder cannot be opened.
    #[must_use]
    pub fn grants(&self) -> Grants {
        Grants {
            args: vec![b"guest".to_vec(), b"argument".to_vec()],
            env: vec![(b"NAME".to_vec(), b"value".to_vec()), (b"EMPTY".to_vec(), Vec::new())],
            preopens: vec![
                preopen(&self.writable(), "/writable", false),
                preopen(&self.read_only(), "/read-only", true),
            ],
            ..Grants::default()
        }
    }
}

/// What is known of one file without asking twice.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    mode: u32,
    inode: u64,
    links: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    owner: (u32, u32),
    /// A file's bytes, or where a link points.
    contents: Vec<u8>,
}

/// All that a folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<PathBuf, Facts>);

impl Snapshot {
    /// Files longer than this are not read: they are sparse, and of the guest.
    const CONTENTS_BYTES_MAX: u64 = 1 << 20;

    /// What `folder` holds now, itself included.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let mut snapshot = Self::default();
        snapshot.add(folder);
        snapshot
    }

    /// The same of several.
    ///
    /// # Panics
    /// When one cannot be read.
    #[must_use]
    pub fn of_all(folders: &[PathBuf]) -> Self {
        let mut snapshot = Self::default();
        for folder in folders {
            snapshot.add(folder);
        }
        snapshot
    }

    fn add(&mut self, path: &Path) {
        let metadata = fs::symlink_metadata(path).expect("a file");
        self.0.insert(path.to_owned(), facts(path, &metadata));
        if metadata.is_dir() {
            for entry in fs::read_dir(path).expect("a folder") {
                self.add(&entry.expect("an entry").path());
            }
        }
    }

    /// Whether all of `part` is in this one, as it is there.
    #[must_use]
    pub fn holds(&self, part: &Self) -> bool {
        part.0.iter().all(|(path, facts)| self.0.get(path) == Some(facts))
    }

    /// Asserts that nothing has changed since.
    ///
    /// # Panics
    /// When something has; says what.
    #[track_caller]
    pub fn assert_same(&self, now: &Self, what: &dyn std::fmt::Debug) {
        if self == now {
            return;
        }
        for (path, facts) in &self.0 {
            assert_eq!(Some(facts), now.0.get(path), "{}: {what:?}", path.display());
        }
        for path in now.0.keys() {
            assert!(self.0.contains_key(path), "{} is new: {what:?}", path.display());
        }
    }
}

fn facts(path: &Path, metadata: &Metadata) -> Facts {
    let contents = if metadata.is_symlink() {
        fs::read_link(path).expect("a link").into_os_string().into_encoded_bytes()
    } else if metadata.is_file() && metadata.len() <= Snapshot::CONTENTS_BYTES_MAX {
        fs::read(path).unwrap_or_default()
    } else {
        Vec::new()
    };
    Facts {
        mode: metadata.mode(),
        inode: metadata.ino(),
        links: metadata.nlink(),
        size: if metadata.is_dir() { 0 } else { metadata.size() },
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
        owner: (metadata.uid(), metadata.gid()),
        contents,
    }
}
