//! Deltas, from `bls-compile delta` to the store: what they make is the next release to the byte,
//! and whatever is done to one, nothing but that is ever installed.

use bls_artifact::delta::Frame;
use bls_tests::installed::{Shelf, release, resigned};
use bls_tests::programs::{Home, compiler, fixtures, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// `bls-compile delta OLD NEW`, into a file of this name.
fn delta(home: &Home, old: &Path, new: &Path, name: &str) -> PathBuf {
    let path = home.path(name);
    let mut command = Command::new(compiler());
    command.arg("delta").arg(old).arg(new).arg("-o").arg(&path);
    let _ = run(&mut command, b"").expect(0);
    path
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The file of an artifact's only image in a store, by what `list` says.
fn images(shelf: &Shelf) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let bytes = std::fs::read(shelf.path("images").join(&name)).unwrap();
        (name, bytes)
    };
    shelf.names("images").into_iter().map(read).collect()
}

/// Two releases of one name, and the delta between them.
struct Pair {
    home: Home,
    old: PathBuf,
    new: PathBuf,
    delta: PathBuf,
}

impl Pair {
    fn new() -> Self {
        let home = Home::new();
        let old = release(&home, "app", 1, "old");
        let new = release(&home, "app", 2, "the-new-one");
        let delta = delta(&home, &old, &new, "up.blsd");
        Self { home, old, new, delta }
    }

    /// A store that has the old release.
    fn shelf(&self) -> Shelf {
        let shelf = Shelf::new();
        let _ = shelf.install(&self.home, &self.old).expect(0);
        shelf
    }
}

#[test]
fn a_delta_installs_what_the_artifact_itself_would() {
    let pair = Pair::new();
    let (by_delta, whole) = (pair.shelf(), pair.shelf());
    assert_eq!(by_delta.load(&pair.home, &["app"]).expect(0).text(), "old\n");
    let said = by_delta.load(&pair.home, &["install", "--delta", &text(&pair.delta)]).expect(0);
    assert!(said.text().starts_with("app, release 2, is installed in "), "{}", said.text());
    let _ = whole.install(&pair.home, &pair.new).expect(0);
    assert_eq!(by_delta.load(&pair.home, &["app"]).expect(0).text(), "the-new-one\n");
    for folder in ["artifacts", "images", "names", "sources"] {
        assert_eq!(by_delta.names(folder), whole.names(folder), "{folder}");
        for name in whole.names(folder) {
            let read = |shelf: &Shelf| std::fs::read(shelf.path(folder).join(&name)).unwrap();
            assert_eq!(read(&by_delta), read(&whole), "{folder}/{name}");
        }
    }
    by_delta.expect_whole(&pair.home);
    // Once more is no harm; and back is what a delta the other way is refused for.
    let _ = by_delta.load(&pair.home, &["install", "--delta", &text(&pair.delta)]).expect(0);
    let back = delta(&pair.home, &pair.new, &pair.old, "back.blsd");
    let ended = by_delta.load(&pair.home, &["install", "--delta", &text(&back)]).expect(125);
    let _ = ended.says(&["code: freshness.rollback\n"]);
}

/// Native code of a real program, in which one function is another: for each of two targets, from
/// raw and from compressed artifacts, by file and by standard input.
#[test]
fn a_changed_function_is_a_small_delta() {
    let home = Home::new();
    let source = fixtures().join("c/compute.wasm");
    let wasm = std::fs::read(&source).unwrap();
    // An operator that nobody calls for its own sake: the first `i32.const 31` is one of 30.
    let place = wasm.windows(2).rposition(|pair| pair == [0x41, 31]).expect("a constant");
    let mut changed = wasm.clone();
    changed[place + 1] = 30;
    let changed_source = home.path("changed.wasm");
    std::fs::write(&changed_source, &changed).unwrap();
    for options in [&["--target", "x86_64,aarch64"][..], &["--compress"]] {
        let old = home.compile(&source, options);
        let old = resigned(&home, &old, "old", |manifest| {
            manifest.name = "compute".to_owned();
            manifest.sequence = 1;
        });
        let new = home.compile(&changed_source, options);
        let new = resigned(&home, &new, "new", |manifest| {
            manifest.name = "compute".to_owned();
            manifest.sequence = 2;
        });
        let up = delta(&home, &old, &new, "up.blsd");
        let (bytes, whole) = (up.metadata().unwrap().len(), new.metadata().unwrap().len());
        println!("{options:?}: {bytes} bytes instead of {whole}");
        assert!(bytes * 10 < whole, "{bytes} of {whole}");
        let shelf = Shelf::new();
        let _ = shelf.install(&home, &old).expect(0);
        let mut command = shelf.command(&home, &["install", "--delta", "-"]);
        let _ = run(&mut command, &std::fs::read(&up).unwrap()).expect(0);
        let other = Shelf::new();
        let _ = other.install(&home, &new).expect(0);
        let there = images(&shelf);
        assert!(images(&other).iter().all(|image| there.contains(image)));
        shelf.expect_whole(&home);
    }
}

#[test]
fn only_the_base_that_it_names_will_do() {
    let pair = Pair::new();
    let up = text(&pair.delta);
    let empty = Shelf::new();
    let _ = empty.install(&pair.home, &release(&pair.home, "other", 1, "other")).expect(0);
    let ended = empty.load(&pair.home, &["install", "--delta", &up]).expect(125);
    let _ = ended.says(&["is not installed", "--base old.bls", "code: delta.no-base\n"]);
    // From a file it may begin as well; from another one not.
    let words = ["install", "--delta", &up, "--base", &text(&pair.new)];
    let _ = empty.load(&pair.home, &words).expect(125).says(&["code: delta.other-base\n"]);
    let words = ["install", "--delta", &up, "--base", &text(&pair.old)];
    let _ = empty.load(&pair.home, &words).expect(0);
    assert_eq!(empty.load(&pair.home, &["app"]).expect(0).text(), "the-new-one\n");
    // A base whose code was changed in the store.
    let shelf = pair.shelf();
    let image = shelf.only("images");
    let mut bytes = std::fs::read(&image).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&image, bytes).unwrap();
    let ended = shelf.load(&pair.home, &["install", "--delta", &up]).expect(125);
    let _ = ended.says(&["code: delta.base-image\n"]);
    assert_eq!(shelf.names("artifacts").len(), 1);
}

/// A delta is not signed, and needs no key; what it makes does.
#[test]
fn what_it_makes_is_judged_as_a_file_is() {
    let home = Home::new();
    let stranger = Home::with_seed(9);
    let old = release(&home, "app", 1, "old");
    let new = release(&stranger, "app", 2, "new");
    let up = delta(&home, &old, &new, "up.blsd");
    let shelf = Shelf::new();
    let _ = shelf.install(&home, &old).expect(0);
    let ended = shelf.load(&home, &["install", "--delta", &text(&up)]).expect(125);
    let _ = ended.says(&["code: signature.unknown-key\n"]);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "old\n");
    // An artifact is no delta, and a delta no artifact.
    let ended = shelf.load(&home, &["install", "--delta", &text(&old)]).expect(125);
    let _ = ended.says(&["code: delta.not-a-delta\n"]);
    let ended = shelf.load(&home, &["install", &text(&up)]).expect(125);
    let _ = ended.says(&["--delta"]);
    for words in [&["--delta", "up.blsd", "app"][..], &["install", "--base", "old.bls"]] {
        let _ = shelf.load(&home, words).expect(125).says(&["--delta"]);
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let pair = Pair::new();
    let shelf = pair.shelf();
    let words = ["install", "--dry-run", "--delta", &text(&pair.delta)];
    let said = shelf.load(&pair.home, &words).expect(0).text();
    assert!(said.starts_with("app, release 2, would be installed in "), "{said}");
    assert_eq!((shelf.names("artifacts").len(), shelf.names("images").len()), (1, 1));
    assert_eq!(shelf.load(&pair.home, &["app"]).expect(0).text(), "old\n");
}

/// Whatever is done to a delta, it is refused with a code and a hint, and the old release stays;
/// where a change decides nothing, what is installed is the new one.
#[test]
fn a_damaged_delta_changes_nothing() {
    let pair = Pair::new();
    let good = std::fs::read(&pair.delta).unwrap();
    let frame = Frame::parse(&good, good.len() as u64).unwrap();
    assert_eq!(frame.parts.len(), 1);
    let mut damaged = Vec::new();
    for (position, byte) in good.iter().enumerate() {
        // Each byte of the header, and a sample of what follows.
        if position < 128 || position % 7 == 0 {
            let mut bytes = good.clone();
            bytes[position] = byte ^ (1 << (position % 8));
            damaged.push((format!("bit at {position}"), bytes));
        }
    }
    let cuts = (0..good.len()).step_by(11).chain([good.len() - 1]);
    damaged.extend(cuts.map(|length| (format!("cut to {length}"), good[..length].to_vec())));
    damaged.push(("longer".to_owned(), [&good[..], &[0]].concat()));
    let mut shelf = pair.shelf();
    let mut idle = 0;
    let before = (shelf.names("artifacts"), shelf.names("images"), shelf.names("names"));
    let path = pair.home.path("damaged.blsd");
    let mut codes = std::collections::BTreeSet::new();
    for (what, bytes) in damaged {
        std::fs::write(&path, bytes).unwrap();
        let ended = shelf.load(&pair.home, &["install", "--delta", &text(&path)]);
        if ended.code == Some(0) {
            // A bit that decides nothing, such as one that a zstd frame leaves free.
            assert_eq!(
                shelf.load(&pair.home, &["app"]).expect(0).text(),
                "the-new-one\n",
                "{what}"
            );
            shelf = pair.shelf();
            idle += 1;
            continue;
        }
        assert_eq!(ended.code, Some(125), "{what}: {}", ended.stderr);
        let code = ended.stderr.lines().find_map(|line| line.strip_prefix("code: "));
        codes.insert(code.unwrap_or_else(|| panic!("{what}: {}", ended.stderr)).to_owned());
        let after = (shelf.names("artifacts"), shelf.names("images"), shelf.names("names"));
        assert_eq!(after, before, "{what}");
        assert!(shelf.names("temporary").is_empty(), "{what}");
    }
    println!("{codes:?}, and {idle} changes that decide nothing");
    assert!(idle < 8, "{idle}");
    assert!(codes.len() >= 8, "{codes:?}");
    assert_eq!(shelf.load(&pair.home, &["app"]).expect(0).text(), "old\n");
    shelf.expect_whole(&pair.home);
}
