//! Listing folders (`fd_readdir`): small cookies that keep their meaning, no place behind
//! the last entry, memory that counts, and a price that does not depend on the filesystem.

use bls_loader::host::{Determinism, Grants};
use bls_tests::guest::Guest;
use bls_tests::host_driver::preopen;
use bls_tests::programs::Home;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// The granted folder.
const FOLDER: u64 = 3;
/// Where the guest has its buffer, and where the host says how much is in it.
const BUFFER: u32 = 0x1_0000;
const RESULT: u32 = 0;
/// Bytes of the head of an entry.
const HEAD: usize = 24;

/// A folder on the disk, and one in memory where the system has such a place.
fn folders() -> Vec<TempDir> {
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    vec![tempfile::tempdir().expect("a folder"), memory.expect("a folder")]
}

fn fill(folder: &Path, count: usize) {
    for number in 0..count {
        fs::write(folder.join(format!("n{number:03}")), b"").expect("a file");
    }
}

fn guest(folder: &Path, by_rule: bool) -> Guest {
    let determinism = by_rule.then_some(Determinism { seed: 0, epoch_seconds: 0 });
    let preopens = vec![preopen(folder, "/", false)];
    Guest::new(Grants { preopens, determinism, ..Grants::default() })
}

/// One call: the whole entries that it gave, each with the cookie behind it, and how many
/// bytes.
fn call(guest: &mut Guest, cookie: u64, length: u64) -> (Vec<(String, u64)>, usize) {
    let arguments = [FOLDER, BUFFER.into(), length, cookie, RESULT.into()];
    guest.ask("fd_readdir", &arguments).expect("a listing");
    let written = guest.word(RESULT) as usize;
    let mut rest = &guest.memory()[BUFFER as usize..][..written];
    let mut entries = Vec::new();
    while let Some(head) = rest.first_chunk::<HEAD>() {
        let next = u64::from_le_bytes(head[..8].try_into().expect("eight bytes"));
        let length = u32::from_le_bytes(head[16..20].try_into().expect("four bytes")) as usize;
        let Some(name) = rest.get(HEAD..HEAD + length) else { break };
        entries.push((String::from_utf8_lossy(name).into_owned(), next));
        rest = &rest[HEAD + length..];
    }
    (entries, written)
}

/// All entries from a cookie on, in the order in which they come.
fn from(guest: &mut Guest, mut cookie: u64, length: u64) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    loop {
        let (entries, written) = call(guest, cookie, length);
        cookie = entries.last().map_or(cookie, |(_, next)| *next);
        all.extend(entries);
        if written < length as usize {
            return all;
        }
    }
}

#[test]
fn cookies_are_small_and_lead_back() {
    for folder in folders() {
        fill(folder.path(), 500);
        for by_rule in [false, true] {
            let mut guest = guest(folder.path(), by_rule);
            let all = from(&mut guest, 0, 100);
            assert_eq!(all.len(), 502);
            assert!(all.iter().all(|(_, next)| *next <= 1000), "{all:?}");
            // To each, from everywhere.
            for step in 0..all.len() {
                let place = (step * 101) % all.len();
                let cookie = if place == 0 { 0 } else { all[place - 1].1 };
                let (entries, _) = call(&mut guest, cookie, 64);
                assert_eq!(entries.first(), all.get(place), "place {place}");
            }
            // The same ones after the guest began anew and has not come so far.
            let _ = call(&mut guest, 0, 64);
            let (entries, _) = call(&mut guest, all[399].1, 64);
            assert_eq!(entries.first(), all.get(400));
        }
    }
}

#[test]
fn what_is_removed_or_added_while_listing_hides_nothing_else() {
    for folder in folders() {
        fill(folder.path(), 400);
        let mut guest = guest(folder.path(), false);
        let all = from(&mut guest, 0, 64);
        let names = |entries: &[(String, u64)]| -> Vec<String> {
            entries.iter().map(|(name, _)| name.clone()).collect()
        };
        // Every third is gone, and others have come, wherever the kernel puts them.
        let is_gone = |name: &str| name.starts_with('n') && name.ends_with(['0', '3', '6', '9']);
        for (name, _) in all.iter().filter(|(name, _)| is_gone(name)) {
            fs::remove_file(folder.path().join(name)).expect("a file");
        }
        for number in 0..200 {
            fs::write(folder.path().join(format!("added-{number}")), b"").expect("a file");
        }
        // Backwards, so that no place is where the guest stands.
        for place in (0..all.len()).rev().step_by(37) {
            let given = from(&mut guest, all[place].1, 256);
            let old: Vec<String> =
                names(&given).into_iter().filter(|name| !name.starts_with("added-")).collect();
            let left: Vec<String> =
                names(&all[place + 1..]).into_iter().filter(|name| !is_gone(name)).collect();
            assert_eq!(old, left, "behind place {place}");
            let once: BTreeSet<&String> = given.iter().map(|(name, _)| name).collect();
            assert_eq!(once.len(), given.len(), "nothing comes twice");
        }
        // From the start everything is as it is now.
        let now: BTreeSet<String> = names(&from(&mut guest, 0, 256)).into_iter().collect();
        let there = fs::read_dir(folder.path()).expect("a folder");
        let there: BTreeSet<String> = there
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .chain([".".to_owned(), "..".to_owned()])
            .collect();
        assert_eq!(now, there);
    }
}

#[test]
fn behind_the_last_entry_there_is_nothing() {
    for folder in folders() {
        fill(folder.path(), 50);
        for by_rule in [false, true] {
            let mut guest = guest(folder.path(), by_rule);
            // Before anything was listed, and afterwards.
            for _ in 0..2 {
                for cookie in [53, 1000, 1 << 31, 1 << 40, i64::MAX as u64, 1 << 63, u64::MAX] {
                    let (entries, written) = call(&mut guest, cookie, 4096);
                    assert_eq!((entries.len(), written), (0, 0), "cookie {cookie:#x}");
                }
                assert_eq!(from(&mut guest, 0, 4096).len(), 52);
            }
        }
    }
}

#[test]
fn an_entry_that_was_cut_off_comes_whole() {
    for folder in folders() {
        fill(folder.path(), 100);
        let mut guest = guest(folder.path(), false);
        let all = from(&mut guest, 0, 4096);
        for length in [1, 24, 27, 30, 57, 1000] {
            let mut cookie = 0;
            for (place, expected) in all.iter().enumerate() {
                let (entries, written) = call(&mut guest, cookie, length);
                // 28 bytes each, but for the dots.
                let is_near_end = (all.len() - place) * 28 < length as usize + 8;
                assert!(written as u64 == length || is_near_end, "{written} of {length}");
                let (whole, _) = call(&mut guest, cookie, 64);
                assert_eq!(whole.first(), Some(expected));
                assert!(entries.is_empty() || entries.first() == Some(expected));
                cookie = expected.1;
            }
        }
    }
}

/// A module that calls `fd_readdir` with each cookie below `cookies`, and this buffer, and
/// ends with the last errno.
fn lister(home: &Home, cookies: u32, length: u32) -> std::path::PathBuf {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_readdir"
                (func $list (param i32 i32 i32 i64 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start") (local $cookie i64) (local $errno i32)
                (loop $again
                    (local.set $errno (call $list (i32.const 3) (i32.const 64)
                        (i32.const {length}) (local.get $cookie) (i32.const 0)))
                    (local.set $cookie (i64.add (local.get $cookie) (i64.const 1)))
                    (br_if $again (i64.lt_u (local.get $cookie) (i64.const {cookies}))))
                (call $exit (local.get $errno))))"#
    );
    let path = home.path("lister.wat");
    fs::write(&path, text).expect("a file");
    home.compile(&path, &[])
}

fn consumed(home: &Home, options: &[&str], folder: &Path, artifact: &Path) -> u64 {
    let grant = format!("{}::/", folder.display());
    let (ended, report) = home.report(&[options, &["--dir-ro", &grant]].concat(), artifact);
    let _ = ended.expect(0);
    report["fuel"]["consumed"].as_u64().expect("a number")
}

#[test]
fn a_listing_costs_the_same_on_every_filesystem() {
    let home = Home::new();
    let [one, other] = folders().try_into().expect("two");
    let artifacts = [lister(&home, 1, 4000), lister(&home, 302, 28), lister(&home, 400, 100)];
    for folder in [&one, &other] {
        fill(folder.path(), 300);
    }
    for artifact in artifacts {
        let cost = |folder: &TempDir| consumed(&home, &[], folder.path(), &artifact);
        assert_eq!(cost(&one), cost(&other));
    }
}

#[test]
fn a_sorted_listing_is_paid_by_the_entry() {
    let home = Home::new();
    let artifact = lister(&home, 1, 1);
    let [folder, _] = folders().try_into().expect("two");
    let cost = || consumed(&home, &["--deterministic"], folder.path(), &artifact);
    fill(folder.path(), 100);
    let before = cost();
    fill(folder.path(), 900);
    // FUEL.md: 512 for each entry, and 8 for each of its bytes.
    assert_eq!(cost() - before, 800 * (512 + 8 * (24 + 4)));
    // It is not read by a guest that cannot pay for it.
    let budget = (before + 1000).to_string();
    let grant = format!("{}::/", folder.path().display());
    let options = ["--deterministic", "--fuel", &budget, "--dir-ro", &grant];
    let (ended, report) = home.report(&options, &artifact);
    let _ = ended.expect(123);
    assert_eq!(report["fuel"]["consumed"], before + 1000, "{report}");
}

#[test]
fn what_a_listing_holds_counts_as_memory() {
    const NOMEM: i32 = 48;
    let home = Home::new();
    let artifact = lister(&home, 1, 1);
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let name = "n".repeat(200);
    for number in 0..8000 {
        fs::write(folder.path().join(format!("{name}{number}")), b"").expect("a file");
    }
    let grant = format!("{}::/", folder.path().display());
    let run = |memory: &str| {
        let options = ["--deterministic", "--max-memory", memory, "--dir-ro", &grant];
        home.report(&options, &artifact)
    };
    // 1.8 MB, of which a mebibyte is free.
    let (ended, report) = run("512KiB");
    let _ = ended.expect(NOMEM);
    assert_eq!(report["limits_met"], serde_json::json!(["memory"]), "{report}");
    let (ended, report) = run("8MiB");
    let _ = ended.expect(0);
    assert_eq!(report["limits_met"], serde_json::json!([]), "{report}");
}
