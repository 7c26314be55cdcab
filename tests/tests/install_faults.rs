//! Nothing that happens during an install, a way back, a removal or a collection leaves a store in
//! which something half-written can be found, or something good has gone.
//!
//! Three ways to end it: each operation of the store's writer fails, or is the last one
//! that happened, on a real folder; the power goes behind each operation, in a model of
//! a disk that loses what was not synced, in every combination; and from outside, with
//! kill -9, a full disk and several at once. After each the real program lists, verifies
//! and runs what is there, and installs once more.

use bls_artifact::key::PublicKey;
use bls_artifact::trust::Trust;
use bls_loader::delta::{Base, Delta};
use bls_loader::install;
use bls_loader::open::Opened;
use bls_loader::store::{Disk, Folder, StoreError, System};
use bls_loader::verify::{Criteria, Verified, verify, verify_delta};
use bls_tests::faulty::{Fault, Faulty};
use bls_tests::installed::{Shelf, is_root, release, resigned};
use bls_tests::programs::{Home, compiler, run};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What is done to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Install,
    /// The same release, by what changed since the old one.
    Update,
    /// Back to the oldest, which lies in the store; root keys permit it.
    Rollback,
    Remove,
    Collect,
}

impl Operation {
    const ALL: [Self; 5] =
        [Self::Install, Self::Update, Self::Rollback, Self::Remove, Self::Collect];
}

/// Releases of one name, and what the tests do with them.
struct Scene {
    home: Home,
    oldest: PathBuf,
    old: PathBuf,
    new: PathBuf,
    /// From the old one to the new one.
    delta: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let oldest = release(&home, "app", 0, "oldest");
        let old = release(&home, "app", 1, "old");
        let new = release(&home, "app", 2, "new");
        let delta = home.path("up.blsd");
        let mut command = Command::new(compiler());
        command.arg("delta").args([&old, &new]).arg("-o").arg(&delta);
        let _ = run(&mut command, b"").expect(0);
        Self { home, oldest, old, new, delta }
    }

    fn trust(&self) -> Trust {
        let pem = std::fs::read_to_string(self.home.public_key()).unwrap();
        Trust::only(PublicKey::from_pem(&pem).unwrap())
    }

    fn verified(&self, artifact: &Path) -> Verified {
        verify(Opened::open(artifact).unwrap(), &Criteria::of(&self.trust())).unwrap()
    }

    fn apply<D: Disk>(&self, operation: Operation, disk: &mut D) -> Result<(), StoreError> {
        match operation {
            Operation::Install => {
                install::install(disk, &*self.verified(&self.new), None).map(drop)
            }
            Operation::Update => {
                let delta = Delta::open(&self.delta).unwrap();
                let base = Base::file(Opened::open(&self.old).unwrap(), &delta).unwrap();
                let trust = self.trust();
                let rebuilt = verify_delta(&delta, &base, &Criteria::of(&trust), None).unwrap();
                install::install(disk, &rebuilt, None).map(drop)
            }
            Operation::Rollback => {
                install::activate(disk, &self.verified(&self.oldest), Some(0)).map(drop)
            }
            Operation::Remove => {
                let identity = self.verified(&self.old).facts().identity;
                install::remove(disk, identity).map(drop)
            }
            Operation::Collect => install::collect(disk).map(drop),
        }
    }

    /// A store in which the old release is installed, and has replaced one.
    fn shelf(&self) -> Shelf {
        let shelf = Shelf::new();
        let _ = shelf.install(&self.home, &self.oldest).expect(0);
        let _ = shelf.install(&self.home, &self.old).expect(0);
        shelf
    }

    /// Asserts that `app` is one of these, whole, and that a new install finds nothing
    /// in its way.
    #[track_caller]
    fn expect(&self, shelf: &Shelf, possible: &[Option<&str>], what: &str) {
        shelf.expect_whole(&self.home);
        let ended = shelf.load(&self.home, &["app"]);
        let found = match ended.code {
            Some(0) => Some(ended.text()),
            _ => {
                assert!(ended.stderr.contains("is not installed"), "{what}: {}", ended.stderr);
                None
            }
        };
        let found = found.as_deref().map(str::trim_end);
        assert!(possible.contains(&found), "{what}: {found:?} is none of {possible:?}");
        if found == Some("new") {
            let ended = shelf.install(&self.home, &self.old).expect(125);
            let _ = ended.says(&["older than release 2"]);
        }
        let _ = shelf.install(&self.home, &self.new).expect(0);
        assert_eq!(shelf.load(&self.home, &["app"]).expect(0).text(), "new\n", "{what}");
        let _ = shelf.load(&self.home, &["gc"]).expect(0);
        for folder in ["images", "artifacts", "names"] {
            assert_eq!(shelf.names(folder).len(), 1, "{what}: {folder}");
        }
        assert!(shelf.names("temporary").is_empty(), "{what}: left over");
        shelf.expect_whole(&self.home);
    }
}

/// What an operation on `app` may leave, whenever it is cut.
fn possible(operation: Operation) -> &'static [Option<&'static str>] {
    match operation {
        Operation::Install | Operation::Update => &[Some("old"), Some("new")],
        Operation::Rollback => &[Some("old"), Some("oldest")],
        Operation::Remove => &[Some("old"), None],
        Operation::Collect => &[Some("old")],
    }
}

#[test]
fn every_operation_fails_once() {
    let scene = Scene::new();
    for operation in Operation::ALL {
        for fault in [Fault::Death, Fault::Refused, Fault::Full] {
            let mut points = 0;
            loop {
                let shelf = scene.shelf();
                let disk = System::open(&shelf.store(), || {}).unwrap().unwrap();
                let mut disk = Faulty::new(disk, fault, points);
                let result = scene.apply(operation, &mut disk);
                let happened = disk.happened;
                drop(disk);
                if !happened {
                    result.unwrap();
                    break;
                }
                assert!(result.is_err(), "{operation:?}, {fault:?} at {points}: unnoticed");
                let what = format!("{operation:?}, {fault:?} at operation {points}");
                if fault == Fault::Refused {
                    assert!(shelf.names("temporary").is_empty(), "{what}: left over");
                }
                scene.expect(&shelf, possible(operation), &what);
                points += 1;
            }
            assert!(points >= 5, "{operation:?}: {points} points");
            println!("{operation:?}, {fault:?}: cut at each of {points} operations");
        }
    }
}

#[test]
fn every_operation_of_the_very_first_install_fails_once() {
    let scene = Scene::new();
    let mut points = 0;
    loop {
        let shelf = Shelf::new();
        let disk = System::create(&shelf.store(), || {}).unwrap();
        let mut disk = Faulty::new(disk, Fault::Death, points);
        let result = scene.apply(Operation::Install, &mut disk);
        let happened = disk.happened;
        drop(disk);
        if !happened {
            result.unwrap();
            break;
        }
        scene.expect(&shelf, &[None, Some("new")], &format!("first install, {points}"));
        points += 1;
    }
    println!("first install: cut at each of {points} operations");
}

/// Contents of a file that is on the disk, and of the same as programs see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Contents {
    seen: Vec<u8>,
    synced: Option<Vec<u8>>,
}

/// A change to a folder that the disk may or may not have.
#[derive(Clone, Debug)]
enum Change {
    Add(Folder, String, usize),
    Remove(Folder, String),
}

/// A disk that forgets what was not synced.
#[derive(Clone, Debug, Default)]
struct Model {
    files: Vec<Contents>,
    seen: BTreeMap<(Folder, String), usize>,
    durable: BTreeMap<(Folder, String), usize>,
    pending: Vec<Change>,
}

/// What a store holds after a power cut.
type Survived = BTreeMap<(Folder, String), Vec<u8>>;

impl Model {
    /// All of a real store, on the disk.
    fn of(store: &Path) -> Self {
        let mut model = Self::default();
        for folder in Folder::INSIDE {
            let inside = store.join(folder.name());
            if !inside.is_dir() {
                continue;
            }
            for entry in std::fs::read_dir(inside).unwrap() {
                let entry = entry.unwrap();
                let bytes = std::fs::read(entry.path()).unwrap();
                let key = (folder, entry.file_name().into_string().unwrap());
                model.seen.insert(key.clone(), model.files.len());
                model.durable.insert(key, model.files.len());
                model.files.push(Contents { seen: bytes.clone(), synced: Some(bytes) });
            }
        }
        model
    }

    /// Everything that may be left if the power goes now: any of the changes to folders
    /// that were not synced, in any combination; of each file that was not synced
    /// nothing, half of it, zeros in its length, or all.
    fn survivors(&self) -> BTreeSet<Survived> {
        assert!(self.pending.len() <= 10, "{} changes at once", self.pending.len());
        let mut survivors = BTreeSet::new();
        for chosen in 0..1_usize << self.pending.len() {
            let mut names = self.durable.clone();
            for (index, change) in self.pending.iter().enumerate() {
                if chosen >> index & 1 == 0 {
                    continue;
                }
                match change {
                    Change::Add(folder, name, file) => {
                        names.insert((*folder, name.clone()), *file);
                    }
                    Change::Remove(folder, name) => {
                        names.remove(&(*folder, name.clone()));
                    }
                }
            }
            for loss in 0..4 {
                let contents = |file: &usize| {
                    let Contents { seen, synced } = &self.files[*file];
                    match (synced, loss) {
                        (Some(synced), _) => synced.clone(),
                        (None, 0) => Vec::new(),
                        (None, 1) => seen[..seen.len() / 2].to_vec(),
                        (None, 2) => vec![0; seen.len()],
                        (None, _) => seen.clone(),
                    }
                };
                survivors.insert(
                    names.iter().map(|(key, file)| (key.clone(), contents(file))).collect(),
                );
            }
        }
        survivors
    }
}

impl Disk for Model {
    type File = usize;

    fn make(&mut self, _: Folder) -> Result<(), StoreError> {
        // The folders are there: that they can be missing is seen on a real one.
        Ok(())
    }
    fn names(&mut self, folder: Folder) -> Result<Vec<String>, StoreError> {
        let names = self.seen.keys().filter(|(other, _)| *other == folder);
        Ok(names.map(|(_, name)| name.clone()).collect())
    }
    fn read(&mut self, folder: Folder, name: &str, _: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let file = self.seen.get(&(folder, name.to_owned()));
        Ok(file.map(|file| self.files[*file].seen.clone()))
    }
    fn create(&mut self, name: &str) -> Result<usize, StoreError> {
        let file = self.files.len();
        self.files.push(Contents::default());
        let key = (Folder::Temporary, name.to_owned());
        assert!(self.seen.insert(key, file).is_none(), "{name} exists");
        self.pending.push(Change::Add(Folder::Temporary, name.to_owned(), file));
        Ok(file)
    }
    fn write(&mut self, file: &mut usize, bytes: &[u8]) -> Result<usize, StoreError> {
        let contents = &mut self.files[*file];
        contents.seen.extend_from_slice(bytes);
        contents.synced = None;
        Ok(bytes.len())
    }
    fn sync(&mut self, file: &usize) -> Result<(), StoreError> {
        let contents = &mut self.files[*file];
        contents.synced = Some(contents.seen.clone());
        Ok(())
    }
    fn rename(&mut self, from: &str, folder: Folder, name: &str) -> Result<(), StoreError> {
        let file = self.seen.remove(&(Folder::Temporary, from.to_owned())).unwrap();
        self.seen.insert((folder, name.to_owned()), file);
        self.pending.push(Change::Add(folder, name.to_owned(), file));
        self.pending.push(Change::Remove(Folder::Temporary, from.to_owned()));
        Ok(())
    }
    fn sync_folder(&mut self, folder: Folder) -> Result<(), StoreError> {
        let of = |change: &Change| match change {
            Change::Add(other, ..) | Change::Remove(other, _) => *other == folder,
        };
        self.pending.retain(|change| !of(change));
        self.durable.retain(|(other, _), _| *other != folder);
        let seen = self.seen.iter().filter(|((other, _), _)| *other == folder);
        self.durable.extend(seen.map(|(key, file)| (key.clone(), *file)));
        Ok(())
    }
    fn remove(&mut self, folder: Folder, name: &str) -> Result<(), StoreError> {
        if self.seen.remove(&(folder, name.to_owned())).is_some() {
            self.pending.push(Change::Remove(folder, name.to_owned()));
        }
        Ok(())
    }
    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        Path::new(folder.name()).join(name)
    }
}

/// A real store with these files.
fn materialise(survived: &Survived) -> Shelf {
    use std::os::unix::fs::DirBuilderExt as _;
    let shelf = Shelf::new();
    std::fs::create_dir(shelf.store()).unwrap();
    for folder in Folder::INSIDE {
        let mode = if folder == Folder::Temporary { 0o700 } else { 0o755 };
        std::fs::DirBuilder::new().mode(mode).create(shelf.path(folder.name())).unwrap();
    }
    for ((folder, name), bytes) in survived {
        use std::os::unix::fs::PermissionsExt as _;
        let file = shelf.path(folder.name()).join(name);
        std::fs::write(&file, bytes).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
    }
    shelf
}

#[test]
fn the_power_goes_behind_every_operation() {
    let scene = Scene::new();
    for operation in Operation::ALL {
        let start = Model::of(&scene.shelf().store());
        // Of different cuts, many leave the same.
        let mut survivors = BTreeSet::new();
        let mut points = 0;
        loop {
            let mut disk = Faulty::new(start.clone(), Fault::Death, points);
            let result = scene.apply(operation, &mut disk);
            survivors.extend(disk.disk.survivors());
            if !disk.happened {
                result.unwrap();
                // What is reported as done is on the disk.
                let done = disk.disk.survivors().into_iter().next().unwrap();
                let last = *possible(operation).last().unwrap();
                scene.expect(&materialise(&done), &[last], &format!("{operation:?}, done"));
                break;
            }
            points += 1;
        }
        for survived in &survivors {
            let shelf = materialise(survived);
            let what = format!("{operation:?}, power: {:?}", survived.keys());
            scene.expect(&shelf, possible(operation), &what);
        }
        println!(
            "{operation:?}: the power cut behind {points} operations leaves one of {} states",
            survivors.len()
        );
    }
}

#[test]
fn the_model_loses_what_is_not_synced() {
    // A writer that forgets to sync a file, or its folder, is found out.
    let mut model = Model::default();
    let mut file = model.create("x").unwrap();
    assert_eq!(model.write(&mut file, b"abcd").unwrap(), 4);
    model.rename("x", Folder::Names, "x").unwrap();
    let key = (Folder::Names, "x".to_owned());
    let found: BTreeSet<Option<Vec<u8>>> =
        model.survivors().iter().map(|survived| survived.get(&key).cloned()).collect();
    let expected =
        [None, Some(vec![]), Some(b"ab".to_vec()), Some(vec![0; 4]), Some(b"abcd".to_vec())];
    assert_eq!(found, expected.into());
    model.sync(&file).unwrap();
    model.sync_folder(Folder::Names).unwrap();
    assert!(model.survivors().iter().all(|survived| survived[&key] == b"abcd"));
}

/// Installs that can take turns: neither is older.
fn pair(home: &Home) -> [PathBuf; 2] {
    [release(home, "app", 3, "left"), release(home, "app", 3, "right")]
}

#[test]
fn killed_at_any_moment() {
    const ROUNDS: u64 = 150;
    let (home, shelf) = (Home::new(), Shelf::new());
    let artifacts = pair(&home);
    let begin = std::time::Instant::now();
    let _ = shelf.install(&home, &artifacts[0]).expect(0);
    let whole = begin.elapsed().as_micros() as u64;
    let mut killed = 0;
    for round in 0..ROUNDS {
        let artifact = artifacts[(round % 2) as usize].to_string_lossy().into_owned();
        let mut child = shelf
            .command(&home, &["install", &artifact])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(round * whole * 5 / 4 / ROUNDS));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        let text = shelf.load(&home, &["app"]).expect(0).text();
        assert!(matches!(&*text, "left\n" | "right\n"), "{text}");
    }
    shelf.expect_whole(&home);
    let _ = shelf.install(&home, &artifacts[1]).expect(0);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "right\n");
    let _ = shelf.load(&home, &["gc"]).expect(0);
    assert_eq!((shelf.names("images").len(), shelf.names("temporary").len()), (1, 0));
    println!("{killed} of {ROUNDS} installs were killed");
    assert!(killed > 10, "only {killed} were in time");
}

#[test]
fn several_at_once_with_runs_and_collections_between() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let artifacts = pair(&home);
    let _ = shelf.install(&home, &artifacts[0]).expect(0);
    let spawn = |words: &[&str]| {
        shelf.command(&home, words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut runs = 0;
    for _ in 0..12 {
        let mut writers = Vec::new();
        for artifact in &artifacts {
            writers.push(spawn(&["install", &artifact.to_string_lossy()]));
            writers.push(spawn(&["gc"]));
        }
        for _ in 0..8 {
            let text = shelf.load(&home, &["app"]).expect(0).text();
            assert!(matches!(&*text, "left\n" | "right\n"), "{text}");
            runs += 1;
        }
        for writer in writers {
            let output = writer.wait_with_output().unwrap();
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{words}");
        }
    }
    println!("{runs} runs between 24 installs and 24 collections");
    shelf.expect_whole(&home);
    assert!(shelf.names("temporary").is_empty());
}

/// Neither the old release is called old before the new one is there, nor is anything
/// ever missing.
#[test]
fn runs_beside_upgrades() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let first = release(&home, "app", 1, "word");
    let _ = shelf.install(&home, &first).expect(0);
    let mut runs = 0;
    for sequence in 2..40 {
        let next = resigned(&home, &first, "next", |manifest| manifest.sequence = sequence);
        for words in [&["install", &next.to_string_lossy()][..], &["gc"]] {
            let mut command = shelf.command(&home, words);
            let mut writer =
                command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
            while writer.try_wait().unwrap().is_none() {
                assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "word\n");
                runs += 1;
            }
            assert!(writer.wait().unwrap().success());
        }
    }
    println!("{runs} runs beside 38 upgrades and collections");
}

#[test]
fn a_full_disk() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let [old, new] = pair(&home);
    std::fs::create_dir(shelf.store()).unwrap();
    let mount = || {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs"]).arg(shelf.store());
        command.output().is_ok_and(|output| output.status.success())
    };
    if !is_root() || !mount() {
        println!("nothing can be mounted here");
        return;
    }
    let seen = std::panic::catch_unwind(|| {
        let _ = shelf.install(&home, &old).expect(0);
        let filler = shelf.path("filler");
        let mut refused = 0;
        // Room for less and less of it.
        for blocks in 0..56 {
            let full = std::fs::write(&filler, vec![1; blocks * 4096]).is_err();
            let ended = shelf.install(&home, &new);
            if ended.code == Some(0) {
                let _ = shelf.load(&home, &["gc"]).expect(0);
                let _ = shelf.install(&home, &old).expect(0);
            } else {
                let _ = ended.expect(125).says(&["bls-load: store: ", "No space", "bls-load gc"]);
                refused += 1;
            }
            assert!(shelf.names("temporary").is_empty());
            let text = shelf.load(&home, &["app"]).expect(0).text();
            assert_eq!(text, "left\n", "{blocks} blocks");
            shelf.expect_whole(&home);
            let _ = shelf.load(&home, &["gc"]).expect(0);
            if full {
                break;
            }
        }
        assert!(refused >= 3, "{refused}");
        println!("{refused} installs found the disk full");
        std::fs::remove_file(filler).unwrap();
        let _ = shelf.install(&home, &new).expect(0);
        assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "right\n");
    });
    let _ = Command::new("umount").arg(shelf.store()).output();
    seen.unwrap();
}
