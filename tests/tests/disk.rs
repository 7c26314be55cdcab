//! What `--max-output` counts: bytes, names, and what files grow by.
//!
//! Each test gives a guest a budget and looks where it ends; the last lets guests do as
//! they please, and asks the filesystem whether it holds more than was paid for.

use bls_loader::host::Grants;
use bls_tests::guest::{APPEND, CREAT, Guest, How, READ, TRUNC, WRITE};
use bls_tests::host_driver::Answer;
use bls_tests::scene::{Scene, WRITABLE};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const EXIST: u32 = 20;
const NOENT: u32 = 44;
/// What a name counts beside its own bytes.
const NAME: u64 = 4096;

/// A guest that may write so much.
fn guest(scene: &Scene, output_max: u64) -> Guest {
    Guest::new(Grants { output_max: Some(output_max), ..scene.grants() })
}

/// Makes a call with one or two paths, which lie where [`Guest`] puts its own.
fn call(guest: &mut Guest, name: &str, first: &str, second: &str) -> Answer {
    const FIRST: u32 = 0x1_0000;
    const SECOND: u32 = 0x1_8000;
    guest.put(FIRST, first.as_bytes());
    guest.put(SECOND, second.as_bytes());
    let (folder, first_length) = (u64::from(WRITABLE), first.len() as u64);
    let (first, second, second_length) = (FIRST.into(), SECOND.into(), second.len() as u64);
    let arguments = match name {
        "path_create_directory" => vec![folder, first, first_length],
        "path_open" => {
            vec![folder, 1, first, first_length, CREAT, READ | WRITE, 0, 0, 0]
        }
        "path_symlink" => vec![second, second_length, folder, first, first_length],
        "path_link" => vec![folder, 0, second, second_length, folder, first, first_length],
        "path_rename" => vec![folder, second, second_length, folder, first, first_length],
        _ => panic!("{name}"),
    };
    guest.call(name, &arguments)
}

/// Makes a call on a descriptor.
fn call_on(guest: &mut Guest, name: &str, arguments: &[u64]) -> Answer {
    guest.call(name, arguments)
}

#[test]
fn each_name_counts() {
    for (name, second, text) in [
        ("path_create_directory", "", 0),
        ("path_open", "", 0),
        ("path_symlink", "nowhere", 7),
        ("path_link", "a", 0),
        ("path_rename", "a", 0),
    ] {
        let scene = Scene::new();
        let cost = NAME + 3 + text;
        let mut enough = guest(&scene, cost);
        assert_eq!(call(&mut enough, name, "new", second), Answer::Errno(0), "{name}");
        // Nothing is left for another.
        let more = call(&mut enough, "path_create_directory", "x", "");
        assert_eq!(more, Answer::OutputLimit, "{name}");
        let scene = Scene::new();
        let mut less = guest(&scene, cost - 1);
        assert_eq!(call(&mut less, name, "new", second), Answer::OutputLimit, "{name}");
        assert!(!scene.writable().join("new").exists(), "{name}");
        assert!(scene.writable().join("a").exists(), "{name}");
    }
}

#[test]
fn what_is_there_or_fails_counts_nothing() {
    let scene = Scene::new();
    let mut guest = guest(&scene, 10);
    for _ in 0..3 {
        for name in ["path_create_directory", "path_symlink", "path_link"] {
            assert_eq!(call(&mut guest, name, "dir", "a"), Answer::Errno(EXIST), "{name}");
        }
        let file = guest.open(WRITABLE, "b", How::CREATE).expect("a file that is there");
        guest.close(file).expect("open");
        let new = How { how: CREAT | 4, ..How::CREATE };
        assert_eq!(guest.open(WRITABLE, "b", new), Err(EXIST));
        assert_eq!(guest.open(WRITABLE, "nowhere/new", How::CREATE), Err(NOENT));
        let file = guest.open(WRITABLE, "b", How { how: TRUNC, ..How::WRITE }).expect("a file");
        guest.close(file).expect("open");
    }
    let file = guest.open(WRITABLE, "b", How::CREATE).expect("a file");
    assert_eq!(guest.write(file, b"0123456789"), Ok(10), "all of it is left");
}

#[test]
fn bytes_count_as_they_are_written() {
    let scene = Scene::new();
    let mut guest = guest(&scene, 40);
    let file = guest.open(WRITABLE, "a", How { rights: READ | WRITE, ..How::READ }).expect("a");
    // In order, over what is there, behind its end, and again: 10 bytes each.
    assert_eq!(guest.write(file, b"0123456789"), Ok(10));
    assert_eq!(guest.write(file, b"0123456789"), Ok(10));
    assert_eq!(guest.write_at(file, b"0123456789", 3), Ok(10));
    assert_eq!(guest.seek(file, 0, 0), Ok(0));
    assert_eq!(guest.write(file, b"0123456789"), Ok(10));
    assert_eq!(guest.ask("fd_filestat_set_size", &[file.into(), 5]), Ok(()), "shorter is free");
    assert_eq!(guest.ask("fd_filestat_set_size", &[file.into(), 20]), Ok(()), "paid for before");
    guest.put_words(64, &[0x1_8000, 1]);
    let more = call_on(&mut guest, "fd_write", &[file.into(), 64, 1, 0]);
    assert_eq!(more, Answer::OutputLimit);
}

/// Opens the empty file `b` with a budget, and does one thing that must cost all of it.
#[track_caller]
fn costs(cost: u64, act: impl Fn(&mut Guest, u32) -> Answer) {
    for (budget, outcome) in [(cost, Answer::Errno(0)), (cost - 1, Answer::OutputLimit)] {
        let scene = Scene::in_memory();
        let mut guest = guest(&scene, budget);
        let file = guest.open(WRITABLE, "b", How::CREATE).expect("a file");
        assert_eq!(act(&mut guest, file), outcome, "{budget} bytes");
        if outcome == Answer::Errno(0) {
            guest.put_words(64, &[0x1_8000, 1]);
            let more = call_on(&mut guest, "fd_write", &[file.into(), 64, 1, 0]);
            assert_eq!(more, Answer::OutputLimit, "something is left");
        }
    }
}

#[test]
fn what_a_file_grows_by_counts() {
    const FAR: u64 = 1 << 40;
    let one = |guest: &mut Guest| guest.put_words(64, &[0x1_8000, 1]);
    costs(FAR, |guest, file| call_on(guest, "fd_filestat_set_size", &[file.into(), FAR]));
    costs(FAR + 1, |guest, file| {
        one(guest);
        call_on(guest, "fd_pwrite", &[file.into(), 64, 1, FAR, 0])
    });
    costs(FAR + 1, |guest, file| {
        one(guest);
        assert_eq!(guest.seek(file, FAR.cast_signed(), 0), Ok(FAR));
        call_on(guest, "fd_write", &[file.into(), 64, 1, 0])
    });
    costs(FAR + 4096, |guest, file| call_on(guest, "fd_allocate", &[file.into(), FAR, 4096]));
    // A size that another descriptor set is paid for once.
    costs(FAR + 1, |guest, file| {
        one(guest);
        let other = guest.open(WRITABLE, "b", How::WRITE).expect("a file");
        let set = call_on(guest, "fd_filestat_set_size", &[other.into(), FAR]);
        match set {
            Answer::Errno(0) => call_on(guest, "fd_pwrite", &[file.into(), 64, 1, FAR - 9, 0]),
            other => other,
        }
    });
}

#[test]
fn nothing_is_skipped_by_what_is_appended_or_empty() {
    let scene = Scene::new();
    let mut guest = guest(&scene, 8);
    let file = guest.open(WRITABLE, "b", How { flags: APPEND, ..How::CREATE }).expect("a file");
    assert_eq!(guest.write_at(file, b"0123", 1 << 40), Ok(4));
    assert_eq!(guest.seek(file, 1 << 40, 0), Ok(1 << 40));
    assert_eq!(guest.write(file, b""), Ok(0));
    assert_eq!(guest.write(file, b"456"), Ok(3));
    assert_eq!(fs::read(scene.writable().join("b")).unwrap(), b"0123456");
    // What was appended is no leave to skip as much later.
    assert_eq!(guest.ask("fd_fdstat_set_flags", &[file.into(), 0]), Ok(()));
    guest.put_words(64, &[0x1_8000, 1]);
    let far = call_on(&mut guest, "fd_pwrite", &[file.into(), 64, 1, 1 << 39, 0]);
    assert_eq!(far, Answer::OutputLimit);
}

#[test]
fn a_write_does_what_fits_behind_what_it_skips() {
    let scene = Scene::new();
    let mut guest = guest(&scene, 1005);
    let file = guest.open(WRITABLE, "b", How::CREATE).expect("a file");
    guest.put(0x1_8000, b"0123456789");
    guest.put_words(64, &[0x1_8000, 10]);
    let written = call_on(&mut guest, "fd_pwrite", &[file.into(), 64, 1, 1000, 0]);
    assert_eq!(written, Answer::OutputLimit);
    let bytes = fs::read(scene.writable().join("b")).unwrap();
    assert_eq!((bytes.len(), &bytes[1000..]), (1005, &b"01234"[..]));
}

/// Bytes that a folder takes on its disk, and all that it holds.
fn held(path: &Path) -> u64 {
    let metadata = fs::symlink_metadata(path).expect("a file");
    let below = match metadata.is_dir() {
        true => fs::read_dir(path).unwrap().map(|entry| held(&entry.unwrap().path())).sum(),
        false => 0,
    };
    metadata.blocks() * 512 + below
}

/// Numbers that look like chance and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

/// Does anything at all, most of which takes room; whether the budget is used up.
fn anything(guest: &mut Guest, numbers: &mut Numbers) -> bool {
    const NAMES: [&str; 6] = ["a", "b", "new", "newer", "dir/x", "dir/y"];
    let long = "n".repeat(numbers.below(250) as usize + 1);
    let name = match numbers.below(3) {
        0 => long.as_str(),
        _ => NAMES[numbers.below(NAMES.len() as u64) as usize],
    };
    let other = NAMES[numbers.below(NAMES.len() as u64) as usize];
    let text = "t".repeat(numbers.below(4000) as usize + 1);
    let file = 5 + numbers.below(4);
    let far = numbers.below(1 << 18);
    guest.put_words(64, &[0x1_8000, numbers.below(5000) as u32]);
    let answer = match numbers.below(12) {
        0 | 1 => call(guest, "path_open", name, ""),
        2 => call(guest, "path_create_directory", name, ""),
        3 => call(guest, "path_symlink", name, &text),
        4 => call(guest, "path_link", name, other),
        5 => call(guest, "path_rename", name, other),
        6 => call_on(guest, "fd_filestat_set_size", &[file, far]),
        7 => call_on(guest, "fd_allocate", &[file, far, numbers.below(9000) + 1]),
        8 | 9 => call_on(guest, "fd_pwrite", &[file, 64, 1, far, 0]),
        10 => call_on(guest, "fd_write", &[file, 64, 1, 0]),
        _ => call_on(guest, "fd_close", &[file]),
    };
    assert!(matches!(answer, Answer::Errno(_) | Answer::OutputLimit), "{answer:?}");
    answer == Answer::OutputLimit
}

#[test]
fn a_disk_holds_no_more_than_was_paid_for() {
    const BUDGET: u64 = 1 << 20;
    let mut fullest = 0;
    for seed in 0..40 {
        let scene = if seed % 2 == 0 { Scene::new() } else { Scene::in_memory() };
        let before = held(&scene.writable());
        let mut numbers = Numbers(seed);
        let mut guest = guest(&scene, BUDGET);
        let mut calls = 0;
        while !anything(&mut guest, &mut numbers) {
            calls += 1;
            assert!(calls < 100_000, "seed {seed}: nothing is counted");
        }
        let added = held(&scene.writable()).saturating_sub(before);
        assert!(added <= BUDGET, "seed {seed}: {added} bytes after {calls} calls");
        fullest = fullest.max(added);
    }
    println!("at most {fullest} of {BUDGET} bytes");
    assert!(fullest > BUDGET / 8, "{fullest}: these guests prove nothing");
}

#[test]
fn a_guest_without_a_limit_is_counted_nothing() {
    let scene = Scene::in_memory();
    let mut guest = Guest::new(scene.grants());
    let file = guest.open(WRITABLE, "b", How::CREATE).expect("a file");
    for _ in 0..8 {
        for size in [i64::MAX as u64 >> 1, 0] {
            assert_eq!(guest.ask("fd_filestat_set_size", &[file.into(), size]), Ok(()));
        }
    }
    assert_eq!(guest.write_at(file, b"x", 1 << 40), Ok(1));
}
