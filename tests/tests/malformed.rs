//! Every malformed artifact is refused by name, and nothing of it runs.
//!
//! The files lie in `fixtures/malformed/`; what each is, and how it must be refused,
//! says `bls_tests::malformed`. After a change of the engine or of the format,
//!
//!     BLS_MALFORMED=write cargo xtask test files_are_what_the_generator_makes
//!
//! compiles the bases anew and writes all files. What cannot be committed (links, FIFOs,
//! files that change while they are read) is made here.

use bls_artifact::target::Target;
use bls_artifact::trust::Trust;
use bls_loader::open::Opened;
use bls_loader::verify::{Policy, verify};
use bls_tests::malformed::{
    Bases, Defect, Trusted, builder, defects, folder, second_builder, small_order_pem,
};
use bls_tests::programs::{Ended, Home, fixtures, loader, make_fifo, run};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Address space in which the loader must be able to refuse, in KiB: all that it has of
/// code, stack and one window of zstd, and no bomb.
const MEMORY_MAX_KIB: &str = "65536";

/// Whether the files are to be written rather than compared.
fn is_writing() -> bool {
    std::env::var_os("BLS_MALFORMED").is_some_and(|how| how == "write")
}

/// The bases, made anew where that is asked.
fn bases() -> Bases {
    if is_writing() {
        let home = Home::new();
        std::fs::create_dir_all(folder().join("base")).unwrap();
        for name in Bases::NAMES {
            let module = fixtures().join(format!("wat/{name}.wat"));
            let options = ["--target", Target::X86_64.triple(), "--compress=19"];
            std::fs::copy(home.compile(&module, &options), Bases::path(name)).unwrap();
        }
    }
    Bases::read()
}

#[test]
fn files_are_what_the_generator_makes() {
    let bases = bases();
    let defects = defects();
    assert!(defects.len() >= 60, "only {}", defects.len());
    let mut made = BTreeMap::new();
    for defect in &defects {
        let bytes = defect.bytes(&bases);
        assert!(bytes != bases.hello.file, "{} is good", defect.name);
        if is_writing() {
            std::fs::write(defect.path(), &bytes).unwrap();
        }
        let other = made.insert(bytes, defect.name);
        assert_eq!(other, None, "{} is the same file", defect.name);
        let committed = std::fs::read(defect.path());
        let bytes = made.iter().find(|(_, name)| **name == defect.name).unwrap().0;
        let is_same = committed.is_ok_and(|committed| committed == *bytes);
        assert!(is_same, "{} is not what is made: see the head of this test", defect.name);
    }
    let total: usize = made.keys().map(Vec::len).sum();
    assert!(total < 2 << 20, "{total} bytes are too many to keep");
    println!("{} files, {total} bytes", made.len());
}

#[test]
fn no_file_without_a_row() {
    let rows: BTreeSet<PathBuf> = defects().iter().map(Defect::path).collect();
    assert_eq!(rows.len(), defects().len(), "two defects have one name");
    let files: BTreeSet<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    assert_eq!(files, rows);
}

/// A home with every public key that a row may name.
struct Keys {
    home: Home,
}

impl Keys {
    fn new() -> Self {
        let home = Home::new();
        let mut both = Trust::only(builder().public());
        both.add(second_builder().public(), "second");
        std::fs::write(home.path("both.json"), both.to_text()).unwrap();
        std::fs::write(home.path("small.pub"), small_order_pem()).unwrap();
        Self { home }
    }

    fn trust(&self, trusted: Trusted) -> PathBuf {
        match trusted {
            Trusted::Builder => self.home.public_key(),
            Trusted::BothBuilders => self.home.path("both.json"),
            Trusted::SmallOrder => self.home.path("small.pub"),
        }
    }
}

/// Runs bls-load in little memory, and reads its report.
fn load(home: &Home, options: &[&str], artifact: &Path) -> (Ended, serde_json::Value) {
    let path = home.path("report.json");
    let _ = std::fs::remove_file(&path);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -v \"$0\" && exec \"$@\"", MEMORY_MAX_KIB])
        .arg(loader())
        .arg("--trust")
        .arg(home.public_key())
        .args(options)
        .arg("--report")
        .arg(&path)
        .arg(artifact);
    let ended = run(&mut command, b"");
    let text = std::fs::read(&path);
    let text = text.unwrap_or_else(|error| panic!("{error}: {}", ended.stderr));
    (ended, serde_json::from_slice(&text).expect("JSON"))
}

/// Refused by this name, in these words, on standard error and in the report; and
/// nothing ran.
#[track_caller]
fn refused(ended: &Ended, report: &serde_json::Value, code: &str, says: &str, name: &str) {
    assert_eq!(ended.code, Some(125), "{name}: {}", ended.stderr);
    assert!(ended.stdout.is_empty(), "{name}: the guest has printed");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!(lines[0].starts_with("bls-load: ") && lines[0].contains(says), "{name}: {lines:#?}");
    assert_eq!(lines.last(), Some(&format!("code: {code}").as_str()), "{name}: {lines:#?}");
    assert!(lines.len() <= 3, "{name}: {lines:#?}");
    assert_eq!(report["outcome"]["error"]["code"], code, "{name}: {report}");
    let message = report["outcome"]["error"]["message"].as_str().unwrap();
    assert!(message.contains(says), "{name}: {message}");
    assert!(report.get("fuel").is_none_or(|fuel| fuel["at_least"] == 0), "{name}: {report}");
}

#[test]
fn every_file_is_refused_by_its_name() {
    if Target::host() != Some(Target::X86_64) {
        println!("the bases hold code for x86-64");
        return;
    }
    let keys = Keys::new();
    for defect in defects() {
        let trust = keys.trust(defect.trusted);
        let options = ["--trust", trust.to_str().unwrap()];
        let (ended, report) = load(&keys.home, &options, &defect.path());
        refused(&ended, &report, defect.code, defect.says, defect.name);
    }
    // And what they are made from is good.
    let hello = keys.home.load(&[], &Bases::path("hello"), &[]).expect(0);
    assert_eq!(hello.text(), "hello\n");
    let _ = keys.home.load(&[], &Bases::path("exit-42"), &[]).expect(42);
}

/// A command line and the word of refusal, for what is wrong outside of an artifact.
#[test]
fn options_beyond_a_policy_are_refused() {
    let home = Home::new();
    let policy = home.path("policy.json");
    std::fs::write(
        &policy,
        r#"{"version": 1, "allow": ["stdout"], "limits": {"fuel": {"max": 10}, "memory_bytes": {"max": 65536}}}"#,
    )
    .unwrap();
    let policy = policy.to_str().unwrap();
    for (options, code, says) in [
        (["--fuel", "11"], "policy.beyond", "--fuel asks for 11"),
        (["--max-memory", "1M"], "policy.beyond", "--max-memory asks for 1048576"),
        (["--env", "A=B"], "grant.forbidden", "does not allow env:A"),
    ] {
        let all = [&["--policy", policy][..], &options].concat();
        let (ended, report) = load(&home, &all, &Bases::path("hello"));
        refused(&ended, &report, code, says, code);
    }
}

#[test]
fn what_is_no_file_is_refused_by_name() {
    let home = Home::new();
    let good = Bases::path("hello");
    let link = home.path("link.bls");
    std::os::unix::fs::symlink(good.canonicalize().unwrap(), &link).unwrap();
    let folder = home.path("folder.bls");
    std::fs::create_dir(&folder).unwrap();
    let fifo = home.path("fifo.bls");
    make_fifo(&fifo);
    let socket = home.path("socket.bls");
    let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, code, says) in [
        (link.as_path(), "file.link", "a symbolic link"),
        (Path::new("/proc/self/exe"), "file.link", "a symbolic link"),
        (&folder, "file.folder", "a folder"),
        (&fifo, "file.fifo", "a FIFO"),
        (&socket, "file.socket", "a socket"),
        (Path::new("/dev/zero"), "file.device", "a device"),
        (Path::new("/dev/null"), "file.device", "a device"),
        (&home.path("nothing.bls"), "file.missing", "No such file"),
        // A file whose length the kernel does not say.
        (Path::new("/proc/self/maps"), "framing.magic", "something else"),
        (Path::new("/proc/self/environ/nothing"), "file.unreadable", "Not a directory"),
    ] {
        let (ended, report) = load(&home, &[], path);
        refused(&ended, &report, code, says, &path.display().to_string());
    }
}

/// A good artifact with more bytes than are read at once, and its trust.
fn large(home: &Home) -> (PathBuf, Trust) {
    let artifact = home.fixture("go/hello/hello.wasm");
    assert!(std::fs::metadata(&artifact).unwrap().len() > 1 << 20);
    (artifact, Trust::only(builder().public()))
}

#[test]
fn a_file_that_shrinks_after_it_was_opened_is_refused() {
    let home = Home::new();
    let (artifact, trust) = large(&home);
    let good = std::fs::read(&artifact).unwrap();
    for length in [0, 100_000, good.len() as u64 - 1] {
        std::fs::write(&artifact, &good).unwrap();
        let opened = Opened::open(&artifact).unwrap();
        std::fs::File::options().write(true).open(&artifact).unwrap().set_len(length).unwrap();
        let error = verify(opened, &Policy::of(&trust)).unwrap_err();
        assert!(error.to_string().contains("became shorter"), "{length}: {error}");
    }
}

#[test]
fn a_file_that_is_replaced_after_it_was_opened_does_not_matter() {
    let home = Home::new();
    let (artifact, trust) = large(&home);
    let opened = Opened::open(&artifact).unwrap();
    std::fs::copy(Bases::path("hello"), home.path("other.bls")).unwrap();
    std::fs::rename(home.path("other.bls"), &artifact).unwrap();
    let verified = verify(opened, &Policy::of(&trust)).unwrap();
    assert!(verified.facts().part().image.length > 1 << 20, "it is the one that was opened");
}

#[test]
fn a_file_that_is_rewritten_after_it_was_opened_is_refused() {
    let home = Home::new();
    let (artifact, trust) = large(&home);
    let opened = Opened::open(&artifact).unwrap();
    let length = std::fs::metadata(&artifact).unwrap().len() as usize;
    // In place: the same file, other bytes.
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::File::options().write(true).open(&artifact).unwrap();
    file.write_all_at(&vec![0; length], 0).unwrap();
    let error = verify(opened, &Policy::of(&trust)).unwrap_err();
    assert!(error.to_string().contains("signed digest"), "{error}");
}

#[test]
fn the_verb_verify_refuses_by_the_same_names() {
    let keys = Keys::new();
    let home = &keys.home;
    for defect in defects().iter().filter(|defect| defect.trusted == Trusted::Builder) {
        // What is found when code is mapped or linked, `verify` does not look at.
        let is_later = ["map.", "link.", "grant."].iter().any(|at| defect.code.starts_with(at));
        let mut command = home.load_command(&["verify"], &defect.path());
        let ended = run(&mut command, b"");
        if is_later {
            let _ = ended.expect(0);
        } else {
            let _ = ended.expect(125).says(&[&format!("\ncode: {}\n", defect.code)]);
        }
    }
}
