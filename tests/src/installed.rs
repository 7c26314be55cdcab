//! Stores for tests, and releases to install in them.
//!
//! A [`Shelf`] is a store of its own, given by `--store`: no test touches the machine's
//! store or a user's. For root it lies where nobody else can write, so that the store
//! mode is possible; for everybody else it does not matter.

use crate::programs::{Ended, Home, run};
use bls_artifact::artifact::{self, Contents};
use bls_artifact::envelope::Envelope;
use bls_artifact::key::PrivateKey;
use bls_artifact::manifest::{Manifest, Statement};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether whoever runs the tests is root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// An artifact called `name` that prints `word` and a newline.
///
/// # Panics
/// When it cannot be made.
#[must_use]
#[track_caller]
pub fn release(home: &Home, name: &str, sequence: u64, word: &str) -> PathBuf {
    let source = home.path(&format!("{word}.wat"));
    let length = word.len() + 1;
    let text = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write"
            (func $fd_write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\08\00\00\00\{length:02x}\00\00\00{word}\n")
          (func (export "_start")
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 256)))))"#
    );
    std::fs::write(&source, text).expect("a file");
    let made = home.compile(&source, &[]);
    resigned(home, &made, &format!("{name}-{sequence}-{word}"), |manifest| {
        manifest.name = name.to_owned();
        manifest.sequence = sequence;
    })
}

/// The same artifact with a manifest that says something else, signed by the same key.
///
/// # Panics
/// When it cannot be made.
#[must_use]
#[track_caller]
pub fn resigned(
    home: &Home,
    made: &Path,
    stem: &str,
    change: impl FnOnce(&mut Manifest),
) -> PathBuf {
    let bytes = std::fs::read(made).expect("an artifact");
    let (contents, parts) = Contents::parse(&bytes).expect("an artifact");
    let envelope = Envelope::parse(contents.envelope).expect("an envelope");
    let mut manifest = Statement::parse(envelope.payload()).expect("a statement");
    change(&mut manifest);
    let pem = std::fs::read_to_string(home.key()).expect("a key");
    let key = PrivateKey::from_pem(&pem).expect("a key");
    let envelope = Envelope::sign(Statement::new(manifest).to_bytes(), &[&key]);
    let path = home.path(&format!("{stem}.bls"));
    std::fs::write(&path, artifact::write(&envelope.to_bytes(), &parts)).expect("a file");
    path
}

/// A store for one test.
#[derive(Debug)]
pub struct Shelf {
    folder: tempfile::TempDir,
}

impl Default for Shelf {
    fn default() -> Self {
        Self::new()
    }
}

impl Shelf {
    /// A new one; the store itself does not exist yet.
    ///
    /// # Panics
    /// When no folder can be made.
    #[must_use]
    pub fn new() -> Self {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("bls-test-");
        let folder = if is_root() { builder.tempdir_in("/var/lib") } else { builder.tempdir() };
        let shelf = Self { folder: folder.expect("a fresh folder") };
        shelf.open_to_all();
        shelf
    }

    fn open_to_all(&self) {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.folder.path(), mode).expect("a folder of our own");
    }

    /// Where the store is.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// A path beside the store.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in the store.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.store().join(name)
    }

    /// The only file in a folder of the store.
    ///
    /// # Panics
    /// When there is not exactly one.
    #[must_use]
    #[track_caller]
    pub fn only(&self, folder: &str) -> PathBuf {
        let mut names = self.names(folder);
        assert_eq!(names.len(), 1, "{folder}: {names:?}");
        self.path(folder).join(names.remove(0))
    }

    /// The names in a folder of the store, sorted.
    #[must_use]
    pub fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(folder)) else { return Vec::new() };
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.expect("an entry").file_name().to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    /// bls-load with these words, this store and the home's key.
    #[must_use]
    pub fn command(&self, home: &Home, words: &[&str]) -> Command {
        let mut command = Command::new(crate::programs::loader());
        command.current_dir(home.path("")).arg("--store").arg(self.store());
        let judges = !matches!(words.first(), Some(&("list" | "remove" | "gc")));
        if judges {
            command.arg("--trust").arg(home.public_key());
        }
        command.args(words);
        command
    }

    /// Runs that.
    #[must_use]
    pub fn load(&self, home: &Home, words: &[&str]) -> Ended {
        run(&mut self.command(home, words), b"")
    }

    /// Installs an artifact.
    #[must_use]
    pub fn install(&self, home: &Home, artifact: &Path) -> Ended {
        self.load(home, &["install", &artifact.to_string_lossy()])
    }

    /// Asserts that everything in the store is whole and nothing half-written is shown:
    /// it can be listed, and every artifact verified.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn expect_whole(&self, home: &Home) {
        let _ = self.load(home, &["list"]).expect(0);
        let all = self.load(home, &["verify", "--all"]).expect(0);
        assert!(!all.text().contains("bad "), "{}", all.text());
    }

    /// The report of a run of what is installed.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn report(&self, home: &Home, word: &str) -> (Ended, serde_json::Value) {
        let path = home.path("report.json");
        let ended = self.load(home, &["--report", &path.to_string_lossy(), word]);
        let text = std::fs::read(&path)
            .unwrap_or_else(|error| panic!("no report: {error}\n{}", ended.stderr));
        (ended, serde_json::from_slice(&text).expect("a report is JSON"))
    }
}
