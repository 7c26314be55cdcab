//! The fuzz targets for a short while, without a fuzzer: seeds, what is made of them by
//! a seeded chance, and every input that was ever a finding.
//!
//! `fuzz/seeds/NAME` are the inputs, findings among them as `regression-…`; what must hold
//! of each is in `bls_tests::fuzzing`. The same inputs every time. A defect of any kind (a panic,
//! memory beyond a cap) fails; that nothing hangs is for the fuzzer's own clock.

use bls_tests::fuzzing::ENTRANCES;
use bls_tests::programs::in_a_child;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::path::Path;

/// Inputs that are made of seeds, for each entrance.
const MUTANTS: u64 = 20_000;
/// The same where each makes a store.
const MUTANTS_OF_STORES: u64 = 4_000;
/// Address space of the process: far above what an input may take, far below what a
/// length that somebody believed would.
const MEMORY_MAX: u64 = 2 << 30;
/// Longest mutant, in bytes.
const LENGTH_MAX: usize = 64 << 10;

/// A chance that repeats: splitmix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// A seed with a few changes, some of them pieces of another seed; every second time a
/// good one with a single change.
fn mutant(seeds: &[Vec<u8>], good: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let (origins, changes) =
        if chance.below(2) == 0 { (good, 1) } else { (seeds, 1 + chance.below(6)) };
    let mut bytes = origins[chance.below(origins.len())].clone();
    for _ in 0..changes {
        let at = chance.below(bytes.len() + 1);
        let end = (at + 1 + chance.below(16)).min(bytes.len());
        match chance.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            1 if at < bytes.len() => bytes[at] = chance.next() as u8,
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => {
                let interesting = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 1 << 31, u64::MAX];
                let number = interesting[chance.below(interesting.len())].to_le_bytes();
                for (place, byte) in bytes[at..end].iter_mut().zip(number) {
                    *place = byte;
                }
            }
            _ => {
                let other = &seeds[chance.below(seeds.len())];
                let from = chance.below(other.len() + 1);
                let to = (from + chance.below(64)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    bytes.truncate(LENGTH_MAX);
    bytes
}

/// The seeds of a target, in order of their names.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name);
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Runs one entrance, alone in its process.
fn drive(test: &str, name: &str, mutants: u64) {
    if !in_a_child(test) {
        return;
    }
    let limit = Rlimit { current: Some(MEMORY_MAX), maximum: Some(MEMORY_MAX) };
    setrlimit(Resource::As, limit).unwrap();
    let (_, entrance) = ENTRANCES.iter().find(|(known, _)| *known == name).unwrap();
    let seeds = seeds(name);
    let good: Vec<_> = seeds.iter().filter(|bytes| entrance(bytes)).cloned().collect();
    assert!(good.len() >= 5, "{name}: only {} of {} seeds are good", good.len(), seeds.len());
    let mut chance = Chance(1);
    let mut accepted_mutants = 0;
    for number in 0..mutants {
        let bytes = mutant(&seeds, &good, &mut chance);
        let verdict = std::panic::catch_unwind(|| entrance(&bytes));
        let verdict = verdict.unwrap_or_else(|_| panic!("mutant {number}: {bytes:02x?}"));
        accepted_mutants += u64::from(verdict);
    }
    // Were all refused, nothing behind the first check would have been looked at.
    assert!(accepted_mutants >= 20, "{name}: {accepted_mutants} of {mutants} are accepted");
    eprintln!("{name}: {} seeds, {mutants} mutants, {accepted_mutants} accepted", seeds.len());
}

#[test]
fn framing() {
    drive("framing", "framing", MUTANTS);
}

#[test]
fn envelope() {
    drive("envelope", "envelope", MUTANTS);
}

#[test]
fn trust() {
    drive("trust", "trust", MUTANTS);
}

#[test]
fn install() {
    drive("install", "install", MUTANTS_OF_STORES);
}

#[test]
fn delta() {
    drive("delta", "delta", MUTANTS);
}

/// The seeds of `delta` are what its module says, of the format that there is now; written anew
/// with `BLS_SEEDS=write`.
#[test]
fn seeds_of_deltas_are_of_this_format() {
    seeds_are("delta", bls_tests::deltas::seeds());
}

/// The seeds of a target are these, or become them.
fn seeds_are<S: AsRef<Path>>(target: &str, seeds: impl IntoIterator<Item = (S, Vec<u8>)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let is_writing = std::env::var_os("BLS_SEEDS").is_some_and(|how| how == "write");
    for (name, bytes) in seeds {
        let name = name.as_ref();
        let path = folder.join(name);
        if is_writing {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        let found = std::fs::read(&path).unwrap_or_default();
        assert!(found == bytes, "{}: see the head of this test", name.display());
    }
}

#[test]
fn broker() {
    drive("broker", "broker", MUTANTS);
}

#[test]
fn compile() {
    drive("compile", "compile", MUTANTS);
}

/// Inputs that are made of seeds where each is a component, which takes long.
const MUTANTS_OF_COMPONENTS: u64 = 4_000;

#[test]
fn component() {
    drive("component", "component", MUTANTS_OF_COMPONENTS);
}

/// The seeds of `component` are of the fixtures that there are now; written anew with
/// `BLS_SEEDS=write`.
#[test]
fn seeds_of_components_are_of_these_fixtures() {
    seeds_are("component", bls_tests::components::seeds());
}

#[test]
fn smith() {
    drive("smith", "smith", MUTANTS);
}

/// Each entrance has a fuzz target of its name, and is driven here.
#[test]
fn every_entrance_has_its_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let this = include_str!("fuzzing.rs");
    for (name, _) in ENTRANCES {
        let target = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("fuzzing::{name}(")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(this.contains(&format!("drive(\"{name}\", \"{name}\", ")), "{name}");
    }
}
