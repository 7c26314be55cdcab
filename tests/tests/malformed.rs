//! Every malformed artifact is refused by name, and nothing of it runs.
//!
//! The files lie in `fixtures/malformed/`; what each is, and how it must be refused,
//! says `bls_tests::malformed`, and the table beside them. After a change of the engine or of the format,
//!
//!     BLS_MALFORMED=write cargo xtask test files_are_what_the_generator_makes
//!
//! compiles the bases anew and writes all files. What cannot be committed (links, FIFOs,
//! files that change while they are read) is made here.

use bls_artifact::key::PrivateKey;
use bls_artifact::target::Target;
use bls_artifact::trust::Trust;
use bls_loader::error::StageError as _;
use bls_loader::open::Opened;
use bls_loader::verify::{Criteria, verify};
use bls_tests::installed::Shelf;
use bls_tests::malformed::{
    Bases, Defect, Kind, Situation, Trusted, builder, defects, folder, second_builder, situations,
    small_order_pem, table,
};
use bls_tests::programs::{Ended, Home, fixtures, loader, make_fifo, maps_of_a_running_guest, run};
use bls_tests::users::{FreshUser, may_make_users};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    assert!(defects.len() >= 180, "only {}", defects.len());
    let (mut made, mut artifacts) = (BTreeMap::new(), BTreeMap::new());
    for defect in &defects {
        for (path, bytes) in defect.bytes(&bases) {
            if path.extension().is_some_and(|ending| ending == "bls") {
                assert!(bytes != bases.hello.file, "{} is the base", defect.name);
                let other = artifacts.insert(bytes.clone(), defect.name);
                assert_eq!(other, None, "{} is the same artifact", defect.name);
            }
            made.insert(path, bytes);
        }
    }
    made.insert(folder().join("README.md"), table().into_bytes());
    for (path, bytes) in &made {
        if is_writing() {
            std::fs::write(path, bytes).unwrap();
        }
        let is_same = std::fs::read(path).is_ok_and(|committed| committed == *bytes);
        assert!(is_same, "{} is not what is made: see the head of this test", path.display());
    }
    let total: usize = made.values().map(Vec::len).sum();
    assert!(total < 2 << 20, "{total} bytes are too many to keep");
    println!("{} files, {total} bytes", made.len());
}

#[test]
fn no_file_without_a_row() {
    let defects = defects();
    let names: BTreeSet<&str> = defects.iter().map(|defect| defect.name).collect();
    let built: BTreeSet<&str> = situations().iter().map(|situation| situation.name).collect();
    assert_eq!(names.len(), defects.len(), "two defects have one name");
    assert_eq!(built.len(), situations().len(), "two situations have one name");
    assert!(names.is_disjoint(&built));
    let files = defects.iter().flat_map(|defect| defect.kinds().map(|kind| defect.file(kind)));
    let mut rows: BTreeSet<PathBuf> = files.map(Option::unwrap).collect();
    rows.insert(folder().join("README.md"));
    let files: BTreeSet<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    let other: Vec<_> = files.symmetric_difference(&rows).collect();
    assert!(other.is_empty(), "a file without a row, or the other way round: {other:?}");
}

/// What the table says of tests elsewhere: they are there, and look for these words and
/// this code.
#[test]
fn situations_are_what_their_tests_build() {
    for Situation { name, code, says, test: (file, test), .. } in situations() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/{file}.rs"));
        let text = std::fs::read_to_string(path).unwrap();
        let (_, from) = text
            .split_once(&format!("#[test]\nfn {test}() {{"))
            .unwrap_or_else(|| panic!("{name}: there is no test {file}::{test}"));
        let body = from.split("\n}\n").next().unwrap();
        for words in code.into_iter().chain([says]) {
            assert!(body.contains(words), "{name}: {file}::{test} has no word of {words:?}");
        }
    }
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

/// The options that a row is loaded with, and its store, which lives as long as needed.
fn options_of(keys: &Keys, defect: &Defect) -> (Vec<String>, Option<Shelf>) {
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let trust = defect.file(Kind::Trust).unwrap_or_else(|| keys.trust(defect.trusted));
    let mut options = vec!["--trust".to_owned(), text(trust)];
    if let Some(policy) = defect.file(Kind::Policy) {
        options.extend(["--policy".to_owned(), text(policy)]);
    }
    let shelf = defect.file(Kind::Record).map(|record| {
        let shelf = Shelf::new();
        std::fs::create_dir_all(shelf.path("names")).unwrap();
        for folder in [shelf.store(), shelf.path("names")] {
            std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::copy(record, shelf.path("names/hello")).unwrap();
        std::fs::set_permissions(shelf.path("names/hello"), Permissions::from_mode(0o444)).unwrap();
        shelf
    });
    options.extend(shelf.iter().flat_map(|shelf| ["--store".to_owned(), text(shelf.store())]));
    options.extend(defect.options.iter().map(|word| (*word).to_owned()));
    (options, shelf)
}

/// Runs bls-load in little memory, and reads its report.
fn load(home: &Home, options: &[String], artifact: &Path) -> (Ended, serde_json::Value) {
    let path = home.path("report.json");
    let _ = std::fs::remove_file(&path);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -v \"$0\" && exec \"$@\"", MEMORY_MAX_KIB])
        .arg(loader())
        .args(options)
        .arg("--report")
        .arg(&path)
        .arg(artifact);
    let ended = run(&mut command, b"");
    let text = std::fs::read(&path);
    let text = text.unwrap_or_else(|error| panic!("{error}: {}", ended.stderr));
    (ended, serde_json::from_slice(&text).expect("JSON"))
}

/// Refused by this name, in these words, on standard error; and nothing ran.
#[track_caller]
fn said(ended: &Ended, code: &str, says: &str, name: &str) {
    assert_eq!(ended.code, Some(125), "{name}: {}", ended.stderr);
    assert!(ended.stdout.is_empty(), "{name}: the guest has printed");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!(lines[0].starts_with("bls-load: ") && lines[0].contains(says), "{name}: {lines:#?}");
    assert_eq!(lines.last(), Some(&format!("code: {code}").as_str()), "{name}: {lines:#?}");
    assert!(lines.len() <= 3, "{name}: {lines:#?}");
}

/// The same, and so in the report.
#[track_caller]
fn refused(ended: &Ended, report: &serde_json::Value, code: &str, says: &str, name: &str) {
    said(ended, code, says, name);
    assert_eq!(report["outcome"]["error"]["code"], code, "{name}: {report}");
    let message = report["outcome"]["error"]["message"].as_str().unwrap();
    assert!(message.contains(says), "{name}: {message}");
    assert!(report.get("fuel").is_none_or(|fuel| fuel["at_least"] == 0), "{name}: {report}");
}

/// Whether the bases' code can run here.
fn may_run() -> bool {
    let may = Target::host() == Some(Target::X86_64);
    if !may {
        println!("the bases hold code for x86-64");
    }
    may
}

#[test]
fn every_file_is_refused_by_its_name() {
    if !may_run() {
        return;
    }
    let keys = Keys::new();
    let is_for_a_file = |defect: &&Defect| !defect.is_of_a_place() && !defect.is_of_a_delta();
    for defect in defects().iter().filter(is_for_a_file) {
        let (options, shelf) = options_of(&keys, defect);
        if defect.is_for_install {
            let mut command = Command::new(loader());
            let ended = run(command.args(&options).arg("install").arg(defect.artifact()), b"");
            said(&ended, defect.code, defect.says, defect.name);
            let names = shelf.as_ref().map(|shelf| shelf.names("artifacts"));
            assert!(names.is_none_or(|names| names.is_empty()), "{}: installed", defect.name);
        } else {
            let (ended, report) = load(&keys.home, &options, &defect.artifact());
            refused(&ended, &report, defect.code, defect.says, defect.name);
        }
        if let (Some(shelf), Some(record)) = (shelf, defect.file(Kind::Record)) {
            let left = std::fs::read(shelf.path("names/hello")).unwrap();
            assert!(left == std::fs::read(record).unwrap(), "{}: the record", defect.name);
        }
    }
    // And what they are made from is good.
    let hello = keys.home.load(&[], &Bases::path("hello"), &[]).expect(0);
    assert_eq!(hello.text(), "hello\n");
    let _ = keys.home.load(&[], &Bases::path("exit-42"), &[]).expect(42);
}

/// Deltas: refused within the memory that a device has, and the store is what it was. The one that
/// they are all made from installs.
#[test]
fn every_delta_is_refused_and_changes_nothing() {
    if !may_run() {
        return;
    }
    let keys = Keys::new();
    let trust = keys.trust(Trusted::Builder);
    let shelf = Shelf::new();
    let _ = shelf.install(&keys.home, &Bases::path("hello")).expect(0);
    let folders = ["artifacts", "images", "names", "sources", "temporary"];
    let contents = || folders.map(|folder| shelf.names(folder));
    let install = |delta: &Path| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v \"$0\" && exec \"$@\"", MEMORY_MAX_KIB]);
        command.arg(loader()).arg("--trust").arg(&trust).arg("--store").arg(shelf.store());
        run(command.args(["install", "--delta"]).arg(delta), b"")
    };
    let before = contents();
    let mut seen = 0;
    for defect in defects().iter().filter(|defect| defect.is_of_a_delta()) {
        let ended = install(&defect.file(Kind::Delta).unwrap());
        said(&ended, defect.code, defect.says, defect.name);
        assert_eq!(contents(), before, "{}", defect.name);
        seen += 1;
    }
    assert!(seen >= 50, "only {seen}");
    let good = keys.home.path("good.blsd");
    std::fs::write(&good, bls_tests::malformed::deltas::good(&Bases::read())).unwrap();
    let _ = install(&good).expect(0);
    assert_eq!(contents()[0].len(), 2, "the next release is there beside the first");
}

/// What is refused for what lies beside it is refused for nothing else: where its key is
/// trusted, and nothing is known of it, it runs.
#[test]
fn nothing_is_wrong_but_what_lies_beside() {
    if !may_run() {
        return;
    }
    let home = Home::new();
    let mut trust = Trust::only(builder().public());
    for seed in 0..=99 {
        trust.add(PrivateKey::from_seed(&[seed; 32]).public(), "");
    }
    std::fs::write(home.path("all.json"), trust.to_text()).unwrap();
    let all = home.path("all.json");
    let mut seen = 0;
    let is_beside = |kind: Kind| ![Kind::Artifact, Kind::Delta].contains(&kind);
    for defect in defects().iter().filter(|defect| defect.kinds().any(is_beside)) {
        let mut options = vec!["--trust", all.to_str().unwrap()];
        options.extend(defect.options);
        let ended = home.load(&options, &defect.artifact(), &[]).expect(0);
        assert_eq!(ended.text(), "hello\n", "{}", defect.name);
        seen += 1;
    }
    assert!(seen >= 60, "only {seen}");
}

/// Trust files of a place where a signed one was accepted: the only place of which a test
/// can be sure is that of a user who was made for it.
#[test]
fn what_is_wrong_in_a_place_is_refused_by_name() {
    if !may_run() || !may_make_users() {
        return;
    }
    let user = FreshUser::new("blsmalformed", 61_031);
    let folder = user.home.join(".config/bls");
    std::fs::create_dir_all(&folder).unwrap();
    for defect in defects().iter().filter(|defect| defect.is_of_a_place()) {
        for (kind, name) in [(Kind::Trust, "trust.json"), (Kind::State, "trust.state.json")] {
            let place = folder.join(name);
            let _ = std::fs::remove_file(&place);
            if let Some(file) = defect.file(kind) {
                std::fs::copy(file, &place).unwrap();
                std::os::unix::fs::chown(&place, Some(user.id), Some(user.id)).unwrap();
                std::fs::set_permissions(&place, Permissions::from_mode(0o600)).unwrap();
            }
        }
        let artifact = user.home.join("hello.bls");
        std::fs::copy(defect.artifact(), &artifact).unwrap();
        std::fs::set_permissions(&artifact, Permissions::from_mode(0o444)).unwrap();
        let ended = run(user.command(&loader()).arg("hello.bls"), b"");
        said(&ended, defect.code, defect.says, defect.name);
        // It is not forgotten by naming a key in the user's own file.
        std::fs::write(user.home.join("key.pub"), builder().public().to_pem()).unwrap();
        let ended = run(user.command(&loader()).args(["trust", "add", "key.pub"]), b"");
        let _ = ended.expect(125);
        let ended = run(user.command(&loader()).arg("hello.bls"), b"");
        said(&ended, defect.code, defect.says, defect.name);
    }
}

#[test]
fn what_is_no_file_is_refused_by_name() {
    let home = Home::new();
    let link = |name: &str, to: &Path| {
        let link = home.path(name);
        std::os::unix::fs::symlink(to, &link).unwrap();
        link
    };
    let circle = link("circle.bls", &home.path("circle.bls"));
    let dangling = link("dangling.bls", &home.path("nothing.bls"));
    let folder = home.path("folder.bls");
    std::fs::create_dir(&folder).unwrap();
    let to_folder = link("to-folder.bls", &folder);
    let fifo = home.path("fifo.bls");
    make_fifo(&fifo);
    let writer = fifo.clone();
    // Opened, and closed again without a byte.
    let writer =
        std::thread::spawn(move || std::fs::File::options().write(true).open(writer).map(drop));
    let socket = home.path("socket.bls");
    let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, code, says) in [
        (circle.as_path(), "file.link", "leads in a circle"),
        (&dangling, "file.missing", "No such file"),
        (Path::new("/proc/self/exe"), "framing.is-elf", "an ELF file"),
        (&folder, "file.folder", "a folder"),
        (&to_folder, "file.folder", "a folder"),
        (&fifo, "file.fifo", "nothing came from it"),
        (&socket, "file.socket", "a socket"),
        (Path::new("/dev/zero"), "file.device", "a device"),
        (Path::new("/dev/null"), "file.device", "a device"),
        (&home.path("nothing.bls"), "file.missing", "No such file"),
        // A file whose length the kernel does not say.
        (Path::new("/proc/self/maps"), "framing.magic", "something else"),
        (Path::new("/proc/self/environ/nothing"), "file.unreadable", "Not a directory"),
    ] {
        let options = ["--trust".to_owned(), home.public_key().to_str().unwrap().to_owned()];
        let (ended, report) = load(&home, &options, path);
        refused(&ended, &report, code, says, &path.display().to_string());
    }
    writer.join().unwrap().unwrap();
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
        let error = verify(opened, &Criteria::of(&trust)).unwrap_err();
        assert!(error.to_string().contains("became shorter"), "{length}: {error}");
        assert_eq!(error.code(), "content.shrunk");
    }
}

#[test]
fn a_file_that_is_replaced_after_it_was_opened_does_not_matter() {
    let home = Home::new();
    let (artifact, trust) = large(&home);
    let opened = Opened::open(&artifact).unwrap();
    std::fs::copy(Bases::path("hello"), home.path("other.bls")).unwrap();
    std::fs::rename(home.path("other.bls"), &artifact).unwrap();
    let verified = verify(opened, &Criteria::of(&trust)).unwrap();
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
    let error = verify(opened, &Criteria::of(&trust)).unwrap_err();
    assert!(error.to_string().contains("signed digest"), "{error}");
    assert_eq!(error.code(), "content.stored-digest");
}

/// In copy mode nothing is mapped from the file.
#[test]
fn a_file_that_is_truncated_after_it_was_mapped_does_not_matter() {
    let home = Home::new();
    let artifact = home.fixture("wat/cat.wat");
    let mut child = home
        .load_command::<&str>(&[], &artifact)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = maps_of_a_running_guest(&child);
    std::fs::File::options().write(true).open(&artifact).unwrap().set_len(0).unwrap();
    child.stdin.take().unwrap().write_all(b"still here\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"still here\n");
}

#[test]
fn the_verb_verify_refuses_by_the_same_names() {
    if !may_run() {
        return;
    }
    let keys = Keys::new();
    for defect in defects() {
        let is_run = !defect.is_of_a_place() && !defect.is_for_install && !defect.is_of_a_delta();
        // `verify` knows no policy.
        if !is_run || defect.file(Kind::Policy).is_some() {
            continue;
        }
        // What is found when code is mapped or linked, `verify` does not look at.
        let is_later = ["map.", "link.", "grant."].iter().any(|at| defect.code.starts_with(at));
        let (options, _shelf) = options_of(&keys, &defect);
        let mut command = Command::new(loader());
        let ended = run(command.args(&options).arg("verify").arg(defect.artifact()), b"");
        if is_later {
            let _ = ended.expect(0);
        } else {
            let _ = ended.expect(125).says(&[&format!("\ncode: {}\n", defect.code)]);
        }
    }
}
