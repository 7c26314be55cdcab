//! The two programs, run the way a person runs them.
//!
//! `BLS_COMPILE` and `BLS_LOAD` name them, and `BLS_LIBRARY` the folder of the C library
//! (`cargo xtask test` sets all). Each
//! [`Home`] is a fresh folder with a key and a trust file of its own, given by
//! options: the tests never touch the files of the user who runs them.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// The path of bls-compile.
///
/// # Panics
/// When `BLS_COMPILE` is not set.
#[must_use]
pub fn compiler() -> PathBuf {
    named("BLS_COMPILE")
}

/// The path of bls-load.
///
/// # Panics
/// When `BLS_LOAD` is not set.
#[must_use]
pub fn loader() -> PathBuf {
    named("BLS_LOAD")
}

/// The path of bls-broker: beside bls-load, where that looks for it.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn broker() -> PathBuf {
    let path = loader().with_file_name("bls-broker");
    assert!(path.is_file(), "{} is not there: run `cargo xtask build`", path.display());
    path
}

/// The path of bls-oci: beside bls-load, where it looks for that.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn oci() -> PathBuf {
    let path = loader().with_file_name("bls-oci");
    assert!(path.is_file(), "{} is not there: run `cargo xtask build`", path.display());
    path
}

/// The path of the small bls-load: below the folder of the full one.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn minimal() -> PathBuf {
    let path = loader().with_file_name("minimal").join("bls-load");
    assert!(path.is_file(), "{} is not there: run `cargo xtask build minimal`", path.display());
    path
}

/// The folder of `libbls.so`, `libbls.a` and `bls.h`.
///
/// # Panics
/// When `BLS_LIBRARY` is not set.
#[must_use]
pub fn library() -> PathBuf {
    named("BLS_LIBRARY")
}

fn named(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run the tests with `cargo xtask test`"));
    PathBuf::from(path)
}

/// What README.md and the guides in docs/ say, one behind the other.
///
/// # Panics
/// When they cannot be read.
#[must_use]
pub fn manual() -> String {
    let root = fixtures().join("..");
    let guides = std::fs::read_dir(root.join("docs")).expect("docs/");
    let mut paths: Vec<PathBuf> = guides.map(|entry| entry.expect("a guide").path()).collect();
    paths.sort();
    paths.insert(0, root.join("README.md"));
    paths.iter().map(|path| std::fs::read_to_string(path).expect("a text")).collect()
}

/// The folder `fixtures/`.
#[must_use]
pub fn fixtures() -> PathBuf {
    // This source is one of several crates.
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above
        .find_map(|folder| Some(folder.join("fixtures")).filter(|it| it.is_dir()))
        .expect("fixtures")
}

/// More guests, where there are some (`BLS_SHARED`).
#[must_use]
pub fn shared() -> Option<PathBuf> {
    std::env::var_os("BLS_SHARED").map(PathBuf::from).filter(|path| path.is_dir())
}

/// wasmtime's program, or nothing, which is said.
#[must_use]
pub fn wasmtime() -> Option<PathBuf> {
    let named = std::env::var_os("BLS_WASMTIME").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("wasmtime"));
    let program = named.into_iter().chain(found).find(|program| program.is_file());
    if program.is_none() {
        println!("SKIPPED: no wasmtime on PATH, and BLS_WASMTIME names none: nothing compared");
    }
    program
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal killed it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error, as text.
    pub stderr: String,
}

impl Ended {
    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Asserts an exit code, and shows everything when it is another one.
    ///
    /// # Panics
    /// When it is another one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "exit code\n--- stdout\n{}\n--- stderr\n{}",
            self.text(),
            self.stderr
        );
        self
    }

    /// Asserts that standard error holds all of these.
    ///
    /// # Panics
    /// When one is missing.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in:\n{}", self.stderr);
        }
        self
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a command with this on standard input, and with every backtrace asked for: the
/// caller's variables must change nothing.
///
/// # Panics
/// When it cannot be run.
#[must_use]
pub fn run(command: &mut Command, stdin: &[u8]) -> Ended {
    command
        .env("RUST_BACKTRACE", "full")
        .env("RUST_LIB_BACKTRACE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = loop {
        match command.spawn() {
            Ok(child) => break child,
            // A program that a test has just written: another thread's child holds the file open
            // for writing until it becomes a program of its own.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            Err(error) => panic!("{command:?}: {error}"),
        }
    };
    let mut input = child.stdin.take().expect("a pipe");
    let bytes = stdin.to_owned();
    // A program that does not read its input must not block the test.
    let writer = std::thread::spawn(move || drop(input.write_all(&bytes)));
    let output = child.wait_with_output().expect("a child that can be waited for");
    writer.join().expect("a writer that does not panic");
    output.into()
}

/// Whether this is the child that runs one test alone. The first time it is not:
/// then the test's own program is run again for this test only, with standard
/// streams that nobody sees and that wait for nothing, and must succeed. For tests
/// that use the process's descriptors. What the child prints is shown.
///
/// # Panics
/// When the child fails; with its words.
#[must_use]
#[track_caller]
pub fn in_a_child(test: &str) -> bool {
    const MARK: &str = "BLS_TEST_CHILD";
    if std::env::var_os(MARK).is_some_and(|name| name == test) {
        return true;
    }
    let words = tempfile::NamedTempFile::new().expect("a file");
    let status = Command::new(std::env::current_exe().expect("a program"))
        .args(["--exact", test, "--nocapture"])
        .env(MARK, test)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(words.reopen().expect("a file"))
        .status()
        .expect("a child");
    let words = std::fs::read(words.path()).expect("a file");
    // The end is enough: a guest's own output may be in between.
    let words = String::from_utf8_lossy(&words[words.len().saturating_sub(4000)..]).into_owned();
    let clear: String =
        words.chars().filter(|c| c.is_ascii_graphic() || " \n".contains(*c)).collect();
    assert!(status.success(), "{test}: {status}\n{clear}");
    println!("{}", clear.lines().last().unwrap_or_default());
    false
}

/// Makes a FIFO.
///
/// # Panics
/// When it cannot be made.
pub fn make_fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
}

/// `/proc/PID/maps` of a bls-load whose guest is about to run, or runs: its code is mapped,
/// from a copy or a store, and what it does not need is given up, the filter of system calls
/// last (or, where the system gives none, a moment later).
///
/// # Panics
/// When it does not come so far within ten seconds.
#[must_use]
pub fn maps_of_a_running_guest(child: &Child) -> String {
    /// Looks at the same maps before a filter is not waited for any more.
    const LOOKS: u32 = 100;
    let read = |file| std::fs::read_to_string(format!("/proc/{}/{file}", child.id()));
    let is_code =
        |line: &str| line.contains("r-x") && (line.contains("memfd") || line.contains("/images/"));
    let mut looks = 0;
    for _ in 0..2000 {
        let maps = read("maps").unwrap_or_default();
        if maps.lines().any(is_code) {
            looks += 1;
            let status = read("status").unwrap_or_default();
            if status.lines().any(|line| line == "Seccomp:\t2") || looks == LOOKS {
                return maps;
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the guest never ran");
}

/// A fresh folder with a signing key and a trust file.
#[derive(Debug)]
pub struct Home {
    folder: tempfile::TempDir,
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// A new one. The key is made from a fixed seed: artifacts repeat.
    ///
    /// # Panics
    /// When files cannot be written.
    #[must_use]
    pub fn new() -> Self {
        Self::with_seed(7)
    }

    /// The same with another key.
    ///
    /// # Panics
    /// When files cannot be written.
    #[must_use]
    pub fn with_seed(seed: u8) -> Self {
        use bls_artifact::key::PrivateKey;
        use std::os::unix::fs::OpenOptionsExt as _;
        let home = Self { folder: tempfile::tempdir().expect("a fresh folder") };
        let key = PrivateKey::from_seed(&[seed; 32]);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(home.key())
            .expect("a new file");
        file.write_all(key.to_pem().as_bytes()).expect("a key");
        std::fs::write(home.public_key(), key.public().to_pem()).expect("a public key");
        home
    }

    /// Where the private key is.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.path("test.key")
    }

    /// Where the public key is; `--trust` takes it.
    #[must_use]
    pub fn public_key(&self) -> PathBuf {
        self.path("test.pub")
    }

    /// A path in this folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// bls-compile, in this folder, with this key.
    #[must_use]
    pub fn compile_command(&self, input: &Path) -> Command {
        let mut command = Command::new(compiler());
        command.current_dir(self.folder.path()).arg("--key").arg(self.key()).arg(input);
        command
    }

    /// Compiles a module; the artifact's path.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    #[track_caller]
    pub fn compile(&self, input: &Path, options: &[&str]) -> PathBuf {
        let stem = input.file_stem().expect("a file").to_string_lossy().into_owned();
        let output = self.path(&format!("{stem}.bls"));
        let _ =
            run(self.compile_command(input).arg("-o").arg(&output).args(options), b"").expect(0);
        output
    }

    /// A text file with other words in these places, all of which it has: the path of the copy.
    ///
    /// # Panics
    /// When a place is not there.
    #[must_use]
    #[track_caller]
    pub fn changed(&self, file: &Path, changes: &[(&str, &str)]) -> PathBuf {
        let mut text = std::fs::read_to_string(file).expect("a text");
        for (from, to) in changes {
            assert!(text.contains(from), "{from:?} is not in {}", file.display());
            text = text.replace(from, to);
        }
        let path = self.path("changed.wat");
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Compiles a fixture; the artifact's path.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    #[track_caller]
    pub fn fixture(&self, name: &str) -> PathBuf {
        self.compile(&fixtures().join(name), &[])
    }

    /// bls-load with these options, in this folder, trusting this key.
    #[must_use]
    pub fn load_command<S: AsRef<OsStr>>(&self, options: &[S], artifact: &Path) -> Command {
        let mut command = Command::new(loader());
        command
            .current_dir(self.folder.path())
            .arg("--trust")
            .arg(self.public_key())
            .args(options)
            .arg(artifact);
        command
    }

    /// Runs an artifact.
    #[must_use]
    pub fn load(&self, options: &[&str], artifact: &Path, arguments: &[&str]) -> Ended {
        run(self.load_command(options, artifact).args(arguments), b"")
    }

    /// Runs an artifact and reads its report.
    ///
    /// # Panics
    /// When there is no report.
    #[must_use]
    #[track_caller]
    pub fn report(&self, options: &[&str], artifact: &Path) -> (Ended, serde_json::Value) {
        let path = self.path("report.json");
        let mut all: Vec<OsString> = vec!["--report".into(), path.clone().into()];
        all.extend(options.iter().map(OsString::from));
        let ended = run(&mut self.load_command(&all, artifact), b"");
        let text = std::fs::read(&path)
            .unwrap_or_else(|error| panic!("no report: {error}\n{}", ended.stderr));
        let report = serde_json::from_slice(&text).expect("a report is JSON");
        (ended, report)
    }
}
