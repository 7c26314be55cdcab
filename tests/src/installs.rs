//! What must hold of a store, whatever is installed, removed, run, interrupted and damaged
//! in it, in whichever order.
//!
//! The fuzz target `install`: bytes are read as steps on a store in a fresh folder, and
//! what must be there is kept beside it, in a model. Steps are what a user does (install
//! good, changed and arbitrary bytes, remove, collect, list, run by name, by identity and
//! as a file), what happens meanwhile (an operation fails, a process dies) and what
//! somebody who can write the store does to its files and folders. Guarantees, as far as
//! it does not panic: a name means what it was installed to mean, and that verifies, as
//! long as nobody touched its files; after a failed step it means the old or the new,
//! whole; nothing but what the builder signed is ever verified; an older release neither
//! installs nor runs; what is damaged is refused, and not written over; nothing outside
//! the store changes. Cuts no power: `install_faults` does.

mod damage;
pub(crate) mod releases;

use crate::faulty::{Fault, Faulty, Unsynced};
use bls_artifact::digest::Sha256;
use bls_artifact::limits::SEQUENCE_JUMP_MAX;
use bls_artifact::target::Target;
use bls_loader::install::{self, can_be_called};
use bls_loader::open::Opened;
use bls_loader::store::record::Record;
use bls_loader::store::{Folder, Store, StoreError, Stores, System, Wanted};
use bls_loader::verify::{Criteria, Verified, VerifyError, verify, verify_installed};
use damage::Damage;
use releases::{NAMES, Release, release};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Most steps of one input.
const STEPS_MAX: usize = 24;

/// Bytes, read as choices; behind their end all are 0.
#[derive(Debug)]
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    fn number(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }
}

/// What is known of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    installed: Option<Sha256>,
    highest: u64,
}

impl Known {
    /// What a record says; a name without one was never seen.
    fn of(record: Option<Record>) -> Self {
        record.map_or_else(Self::default, |record| Self {
            installed: record.installed,
            highest: record.seen.highest,
        })
    }
}

/// A store, and what must be in it.
struct Scene {
    folder: tempfile::TempDir,
    trust: bls_artifact::trust::Trust,
    names: BTreeMap<String, Known>,
    releases: BTreeMap<Sha256, Arc<Release>>,
    /// Files and folders of the store that somebody changed, by their path in it.
    damaged: BTreeSet<String>,
    /// Whether an install was ever good.
    has_installed: bool,
}

/// Runs the steps; whether anything was installed.
pub fn install(bytes: &[u8]) -> bool {
    if Target::host().is_none() {
        return false;
    }
    let mut scene = Scene::new();
    let mut choices = Choices(bytes);
    for _ in 0..STEPS_MAX {
        if choices.0.is_empty() {
            break;
        }
        scene.step(&mut choices);
        scene.expect_records();
        scene.expect_outside();
    }
    scene.expect_all();
    scene.has_installed
}

impl Scene {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let builder = tempfile::Builder::new();
        // In memory where it can be: thousands of stores are made.
        let folder = builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir());
        let folder = folder.expect("a fresh folder");
        for inside in ["store", "outside"] {
            let path = folder.path().join(inside);
            std::fs::create_dir(&path).expect("a folder");
            // Whatever the umask: a store that others can write is damaged.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("ours");
        }
        let scene = Self {
            folder,
            trust: releases::trust(),
            names: BTreeMap::new(),
            releases: BTreeMap::new(),
            damaged: BTreeSet::new(),
            has_installed: false,
        };
        std::fs::write(scene.outside("kept"), OUTSIDE).expect("a file");
        scene
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.folder.path().join("outside").join(name)
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0..=3 => {
                let release = self.choose(choices);
                self.install(&release, None);
            }
            4 => {
                let release = self.choose(choices);
                let fault = choose_fault(choices);
                self.install(&release, Some(fault));
            }
            5 => {
                // A changed one, or bytes of any kind.
                let mut bytes = self.choose(choices).file.clone();
                for _ in 0..=choices.below(4) {
                    let at = choices.number() % bytes.len();
                    bytes[at] ^= choices.byte();
                }
                self.install_bytes(bytes);
            }
            6 => {
                let length = choices.number() % 4096;
                let bytes = choices.bytes(length);
                self.install_bytes(bytes);
            }
            7 => {
                let wanted = self.choose_wanted(choices);
                self.remove(&wanted, None);
            }
            8 => {
                let (wanted, fault) = (self.choose_wanted(choices), choose_fault(choices));
                self.remove(&wanted, Some(fault));
            }
            9 => self.collect(None),
            10 => self.collect(Some(choose_fault(choices))),
            11 => self.list(),
            12 => {
                let wanted = self.choose_wanted(choices);
                self.run(&wanted);
            }
            13 => {
                let release = self.choose(choices);
                self.run_file(&release);
            }
            _ => self.damage(&Damage::choose(choices)),
        }
    }

    fn choose(&mut self, choices: &mut Choices<'_>) -> Arc<Release> {
        let release = release(choices);
        self.releases.insert(release.identity, Arc::clone(&release));
        release
    }

    fn choose_wanted(&mut self, choices: &mut Choices<'_>) -> Wanted {
        match choices.below(2) {
            0 => Wanted::Name(NAMES[choices.below(NAMES.len())].to_owned()),
            _ => Wanted::Identity(self.choose(choices).identity),
        }
    }

    fn verify(&self, bytes: Vec<u8>) -> Option<Verified> {
        let opened = Opened::from_bytes("input", bytes).ok()?;
        verify(opened, &Criteria::of(&self.trust)).ok()
    }

    /// Writes to the store; `None` when it cannot be opened for that.
    fn write<T>(
        &self,
        fault: Option<(Fault, usize)>,
        act: impl FnOnce(&mut Faulty<Unsynced<System>>) -> Result<T, StoreError>,
    ) -> Option<(Result<T, StoreError>, bool)> {
        let nobody = || unreachable!("nobody else writes");
        let disk = System::open(&self.store(), nobody).ok()?.expect("a store");
        let (fault, left) = fault.unwrap_or((Fault::Refused, usize::MAX));
        let mut disk = Faulty::new(Unsynced(disk), fault, left);
        let result = act(&mut disk);
        Some((result, disk.happened))
    }

    fn install_bytes(&mut self, bytes: Vec<u8>) {
        let Some(verified) = self.verify(bytes) else { return };
        // Whatever was changed, the builder has signed what is left.
        let release = self.releases.get(&verified.facts().identity);
        let release = Arc::clone(release.expect("what the builder has signed"));
        self.install_verified(&release, &verified, None);
    }

    fn install(&mut self, release: &Release, fault: Option<(Fault, usize)>) {
        let verified = self.verify(release.file.clone()).expect("a good artifact");
        self.install_verified(release, &verified, fault);
    }

    fn install_verified(
        &mut self,
        release: &Release,
        verified: &Verified,
        fault: Option<(Fault, usize)>,
    ) {
        let record = format!("names/{}", release.name);
        // A copy of itself is one that somebody wrote, and good all the same.
        let readable = self.open_any().and_then(|store| store.record(&release.name).ok());
        let before = Known::of(readable.clone().flatten());
        let may = can_be_called(&release.name)
            && release.sequence >= before.highest
            && (before.highest == 0 || release.sequence - before.highest <= SEQUENCE_JUMP_MAX);
        let bytes_before = std::fs::read(self.store().join(&record)).ok();
        let Some((result, happened)) =
            self.write(fault, |disk| install::install(disk, &**verified, None))
        else {
            assert!(self.damaged.contains("."), "the store cannot be opened");
            return;
        };
        let new = Known { installed: Some(release.identity), highest: release.sequence };
        match result {
            Ok(record_now) => {
                assert!(!happened, "a fault is not noticed");
                assert_eq!(record_now.installed, new.installed);
                assert!(readable.is_some(), "a damaged record is written over");
                assert!(may, "{} {}: not a release to come", release.name, release.sequence);
                assert!(!self.is_damaged("temporary"), "temporary");
                self.expect_nothing_temporary();
                let files = release.files();
                self.damaged.retain(|path| !files.contains(path));
                self.names.insert(release.name.clone(), new);
                self.has_installed = true;
            }
            Err(error) => {
                let expected = happened || !may || !self.damaged.is_empty();
                assert!(expected, "{} {}: {error}", release.name, release.sequence);
                if !happened || !may {
                    let now = std::fs::read(self.store().join(&record)).ok();
                    assert!(now == bytes_before, "a failed install has changed {record}");
                } else {
                    self.settle(&release.name, &[before, new]);
                }
            }
        }
    }

    /// Takes what a name means after a fault for what it was to mean, or what it meant.
    fn settle(&mut self, name: &str, possible: &[Known]) {
        let record = format!("names/{name}");
        if self.is_damaged(&record) {
            return;
        }
        let found = Known::of(self.open().record(name).expect("a whole record"));
        assert!(possible.contains(&found), "{name}: {found:?} is none of {possible:?}");
        self.names.insert(name.to_owned(), found);
    }

    fn remove(&mut self, wanted: &Wanted, fault: Option<(Fault, usize)>) {
        let store = self.open_any();
        let identity = store.and_then(|store| match wanted {
            Wanted::Identity(identity) => Some(*identity),
            Wanted::Short(_) => None,
            Wanted::Name(name) => store.record(name).ok()?.and_then(|record| record.installed),
        });
        let Some(identity) = identity else { return };
        self.write_names(Some(identity), fault, |disk| install::remove(disk, identity));
    }

    fn collect(&mut self, fault: Option<(Fault, usize)>) {
        self.write_names(None, fault, install::collect);
        if self.damaged.is_empty() && fault.is_none() {
            let used: BTreeSet<Sha256> =
                self.names.values().filter_map(|known| known.installed).collect();
            let left = self.open().identities().expect("a good store");
            assert!(left.iter().all(|identity| used.contains(identity)), "something is left");
        }
    }

    /// Does something after which names that meant `gone` mean nothing, and no other changes.
    fn write_names<T>(
        &mut self,
        gone: Option<Sha256>,
        fault: Option<(Fault, usize)>,
        act: impl FnOnce(&mut Faulty<Unsynced<System>>) -> Result<T, StoreError>,
    ) {
        let Some((result, happened)) = self.write(fault, act) else {
            assert!(self.damaged.contains("."), "the store cannot be opened");
            return;
        };
        let ended = result.is_ok();
        assert!(!(ended && happened), "a fault is not noticed");
        if let Err(error) = &result {
            assert!(happened || !self.damaged.is_empty(), "{error}");
        } else {
            assert!(!self.is_damaged("temporary"), "temporary");
            self.expect_nothing_temporary();
        }
        let meant = |known: &Known| gone.is_some() && known.installed == gone;
        let affected: Vec<String> = self
            .names
            .iter()
            .filter(|(_, known)| meant(known))
            .map(|(name, _)| name.clone())
            .collect();
        for name in affected {
            let before = self.names[&name].clone();
            let after = Known { installed: None, ..before };
            if ended {
                self.names.insert(name, after);
            } else {
                self.settle(&name, &[before, after]);
            }
        }
    }

    fn is_damaged(&self, path: &str) -> bool {
        let folder = path.split('/').next().unwrap_or_default();
        [path, folder, "."].iter().any(|path| self.damaged.contains(*path))
    }

    fn open_any(&self) -> Option<Store> {
        Store::open(&self.store(), None).ok().flatten()
    }

    /// The store, where nobody has touched it as a whole.
    fn open(&self) -> Store {
        self.open_any().expect("a good store")
    }

    /// Whether nobody has touched what a name needs to run.
    fn is_whole(&self, name: &str) -> bool {
        let installed = self.names.get(name).and_then(|known| known.installed);
        let release = installed.and_then(|identity| self.releases.get(&identity));
        let files = release.map_or_else(Vec::new, |release| release.files().to_vec());
        let record = format!("names/{name}");
        !self.is_damaged(&record) && !files.iter().any(|file| self.is_damaged(file))
    }

    fn find(&self, wanted: &Wanted) -> Result<Verified, VerifyError> {
        let stores = Stores::open(Some(&self.store()))?;
        let criteria =
            Criteria { stores: Some(&stores), every_part: true, ..Criteria::of(&self.trust) };
        verify_installed(stores.find(wanted)?, &criteria)
    }

    fn run(&self, wanted: &Wanted) {
        let found = self.find(wanted);
        if let Ok(verified) = &found {
            let facts = verified.facts();
            let release = self.releases.get(&facts.identity).expect("what the builder has signed");
            let known = self.names.get(&release.name);
            assert_eq!(facts.manifest.name, release.name);
            assert_eq!(facts.part().image.sha256, release.image);
            if !self.is_damaged(&format!("names/{}", release.name)) {
                let highest = known.map_or(0, |known| known.highest);
                assert!(release.sequence >= highest, "{}: an older release runs", release.name);
            }
        }
        let Wanted::Name(name) = wanted else { return };
        match (self.names.get(name), found) {
            (Some(Known { installed: Some(identity), .. }), Ok(verified)) => {
                let same = verified.facts().identity == *identity;
                assert!(same || self.is_damaged(&format!("names/{name}")), "{name}: another one");
            }
            (Some(Known { installed: Some(_), .. }), Err(error)) => {
                assert!(!self.is_whole(name), "{name} does not run any more: {error}");
            }
            (_, Ok(_)) => {
                let damaged = self.is_damaged(&format!("names/{name}"));
                assert!(damaged, "{name} runs, and is not installed");
            }
            (_, Err(_)) => {}
        }
    }

    fn run_file(&self, release: &Release) {
        let opened = Opened::from_bytes("input", release.file.clone()).expect("a good artifact");
        let Ok(stores) = Stores::open(Some(&self.store())) else { return };
        let criteria = Criteria { stores: Some(&stores), ..Criteria::of(&self.trust) };
        let runs = verify(opened, &criteria).is_ok();
        if !self.is_damaged(&format!("names/{}", release.name)) {
            let highest = self.names.get(&release.name).map_or(0, |known| known.highest);
            assert_eq!(runs, release.sequence >= highest, "{} as a file", release.name);
        }
    }

    /// What is listed as installed is there in the model, and verifies.
    fn list(&self) {
        let Some(store) = self.open_any() else { return };
        let Ok(names) = store.known_names() else { return };
        for name in names {
            let Ok(Some(record)) = store.record(&name) else { continue };
            if let Some(identity) = record.installed {
                let installed = store.installed(identity, Wanted::Identity(identity));
                let _ = installed.map(|installed| installed.map(|it| it.alleged().map(drop)));
                self.run(&Wanted::Name(name));
            }
        }
        for identity in store.identities().unwrap_or_default() {
            let installed = store.installed(identity, Wanted::Identity(identity));
            let _ = installed.map(|installed| installed.map(|it| it.alleged().map(drop)));
        }
    }

    /// Every record that nobody touched says what it must.
    fn expect_records(&self) {
        if self.is_damaged("names") {
            return;
        }
        let store = self.open();
        for (name, known) in &self.names {
            if self.is_damaged(&format!("names/{name}")) {
                continue;
            }
            let now = Known::of(store.record(name).expect("a whole record"));
            assert_eq!(now, *known, "{name}");
        }
    }

    fn expect_all(&self) {
        for name in NAMES {
            self.run(&Wanted::Name(name.to_owned()));
        }
        self.list();
    }

    /// Nothing half-written is left behind what has ended well. A folder is somebody else's.
    fn expect_nothing_temporary(&self) {
        let left = std::fs::read_dir(self.store().join(Folder::Temporary.name()));
        let is_ours = |entry: &std::io::Result<std::fs::DirEntry>| {
            !entry.as_ref().is_ok_and(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        };
        let left = left.map_or(0, |left| left.filter(is_ours).count());
        assert_eq!(left, 0, "something temporary is left");
    }

    fn expect_outside(&self) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = |path: PathBuf| {
            let entries = std::fs::read_dir(path).expect("a folder");
            let mut names: Vec<_> =
                entries.map(|entry| entry.expect("an entry").file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(folder(self.folder.path().to_owned()), ["outside", "store"]);
        assert_eq!(folder(self.outside("")), ["kept"]);
        assert_eq!(std::fs::read(self.outside("kept")).expect("a file"), OUTSIDE);
        let mode = std::fs::metadata(self.outside("")).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }
}

/// What lies outside the store, and stays as it is.
const OUTSIDE: &[u8] = b"nobody's business\n";

fn choose_fault(choices: &mut Choices<'_>) -> (Fault, usize) {
    let fault = [Fault::Death, Fault::Refused, Fault::Full][choices.below(3)];
    (fault, choices.below(40))
}
