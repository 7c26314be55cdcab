//! No older release runs where a newer one was seen, and nothing runs beyond its time.

use bls_tests::installed::{Shelf, release, resigned};
use bls_tests::programs::{Ended, Home};
use std::path::Path;

#[track_caller]
fn refused(ended: Ended, stage: &str, words: &[&str]) {
    let ended = ended.expect(125);
    assert!(ended.stdout.is_empty(), "{}", ended.text());
    let _ = ended.says(&[&format!("bls-load: {stage}: "), "hint: "]).says(words);
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn an_older_release_neither_installs_nor_runs() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let one = release(&home, "app", 1, "one");
    let five = release(&home, "app", 5, "five");
    let none = release(&home, "app", 0, "none");
    // As a file each runs: nothing was seen yet, and there is no store.
    assert_eq!(home.load(&[], &one, &[]).expect(0).text(), "one\n");

    let said = shelf.install(&home, &one).expect(0).text();
    assert!(said.contains("app, release 1, is installed"), "{said}");
    let old = shelf.names("artifacts").remove(0);
    let _ = shelf.install(&home, &five).expect(0);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "five\n");

    let words = ["release 1 is older than release 5"];
    refused(shelf.install(&home, &one), "store", &words);
    // By its identity, and as a file, where the store remembers.
    refused(shelf.load(&home, &[&format!("sha256:{old}")]), "verify", &words);
    refused(shelf.load(&home, &[&text(&one)]), "verify", &words);
    // A release without a sequence is older than any with one.
    refused(shelf.install(&home, &none), "store", &["release 0 is older"]);
    refused(shelf.load(&home, &[&text(&none)]), "verify", &["release 0 is older"]);

    // The same again, another build of the same release, and another name are none.
    let _ = shelf.install(&home, &five).expect(0);
    let _ = shelf.install(&home, &release(&home, "app", 5, "cinq")).expect(0);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "cinq\n");
    let _ = shelf.install(&home, &release(&home, "other", 1, "eins")).expect(0);
    assert_eq!(shelf.load(&home, &[&text(&five)]).expect(0).text(), "five\n");
    shelf.expect_whole(&home);
}

#[test]
fn removing_and_collecting_forget_nothing() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let four = release(&home, "app", 4, "four");
    let _ = shelf.install(&home, &release(&home, "app", 5, "five")).expect(0);
    let _ = shelf.load(&home, &["remove", "app"]).expect(0);
    let _ = shelf.load(&home, &["gc"]).expect(0);
    assert!(shelf.names("artifacts").is_empty() && shelf.names("images").is_empty());
    refused(shelf.install(&home, &four), "store", &["release 4 is older than release 5"]);
    refused(shelf.load(&home, &["app"]), "store", &["app is not installed"]);
    let _ = shelf.install(&home, &release(&home, "app", 6, "six")).expect(0);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "six\n");
}

#[test]
fn a_run_of_a_file_remembers_nothing() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let _ = shelf.install(&home, &release(&home, "app", 2, "two")).expect(0);
    let record = std::fs::read(shelf.path("names/app")).unwrap();
    let nine = release(&home, "app", 9, "nine");
    assert_eq!(shelf.load(&home, &[&text(&nine)]).expect(0).text(), "nine\n");
    assert_eq!(std::fs::read(shelf.path("names/app")).unwrap(), record);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "two\n");
}

#[test]
fn one_release_cannot_use_up_all_that_follow() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let _ = shelf.install(&home, &release(&home, "app", 7, "seven")).expect(0);
    let last = bls_artifact::limits::JSON_INTEGER_MAX;
    let absurd = release(&home, "app", last, "absurd");
    refused(shelf.install(&home, &absurd), "store", &["too little room", "release 7"]);
    let far = release(&home, "app", 7 + bls_artifact::limits::SEQUENCE_JUMP_MAX, "far");
    let _ = shelf.install(&home, &far).expect(0);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "far\n");
}

#[test]
fn a_damaged_record_is_never_a_forgotten_one() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let five = release(&home, "app", 5, "five");
    let _ = shelf.install(&home, &five).expect(0);
    let _ = shelf.install(&home, &release(&home, "other", 1, "other")).expect(0);
    let record = shelf.path("names/app");
    let good = std::fs::read(&record).unwrap();
    let lower = String::from_utf8(good.clone()).unwrap().replace("highest 5", "highest 1");
    let damaged: [&[u8]; 5] =
        [b"", &good[..good.len() / 2], &good[..good.len() - 1], lower.as_bytes(), b"\xff\xfe"];
    for bytes in damaged {
        std::fs::remove_file(&record).unwrap();
        std::fs::write(&record, bytes).unwrap();
        for words in [&["app"][..], &[&text(&five)], &["verify", "--all"]] {
            let ended = shelf.load(&home, words).expect(125);
            assert!(!ended.text().contains("five"), "{words:?}: {}", ended.text());
            let _ = ended.says(&["names/app is damaged", "restore it from a backup"]);
        }
        for words in [&["install", &text(&five)][..], &["gc"], &["remove", "app"]] {
            refused(shelf.load(&home, words), "store", &["names/app is damaged"]);
        }
        let listed = shelf.load(&home, &["list"]).expect(125);
        assert!(listed.text().contains("other "), "{}", listed.text());
        let words = ["names/app is damaged", "restore it from a backup", "code: store.record\n"];
        let _ = listed.says(&words);
        assert_eq!(std::fs::read(&record).unwrap(), bytes, "it was changed");
        // What is damaged of one name says nothing about another.
        assert_eq!(shelf.load(&home, &["other"]).expect(0).text(), "other\n");
    }
    // A record of a later form is not damaged, and is left alone too.
    std::fs::write(&record, "bls-record 2\nhighest 5\n").unwrap();
    refused(shelf.load(&home, &["app"]), "store", &["newer bls-load", "use a newer"]);
    // One record does not do for another name.
    std::fs::copy(shelf.path("names/other"), shelf.path("names/third")).unwrap();
    refused(shelf.load(&home, &["third"]), "store", &["names/third is damaged"]);
    // The operator decides, by hand, to begin anew.
    std::fs::remove_file(&record).unwrap();
    std::fs::remove_file(shelf.path("names/third")).unwrap();
    let _ = shelf.install(&home, &five).expect(0);
    shelf.expect_whole(&home);
}

#[test]
fn what_expires_needs_a_clock() {
    let (home, shelf) = (Home::new(), Shelf::new());
    let base = release(&home, "app", 1, "word");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let timed = |stem: &str, created: Option<u64>, expires: u64| {
        resigned(&home, &base, stem, |manifest| {
            manifest.created = created;
            manifest.expires = Some(expires);
        })
    };
    let fresh = timed("fresh", Some(now - 10), now + 3600);
    assert_eq!(home.load(&[], &fresh, &[]).expect(0).text(), "word\n");

    let old = timed("old", None, now - 10);
    for options in [&[][..], &["--clock-unset"]] {
        refused(home.load(options, &old, &[]), "verify", &["expired"]);
    }
    refused(shelf.install(&home, &old), "verify", &["expired"]);

    // Made in the future: this clock is not set.
    let future = timed("future", Some(now + 1000), now + 3600);
    refused(home.load(&[], &future, &[]), "verify", &["clock cannot be right", "--clock-unset"]);
    refused(shelf.install(&home, &future), "verify", &["clock cannot be right"]);
    let ended = home.load(&["--clock-unset"], &future, &[]).expect(0);
    assert_eq!(ended.text(), "word\n");
    // An operator can forbid that.
    let policy = home.path("policy.json");
    std::fs::write(&policy, r#"{"version": 1, "require": ["clock"]}"#).unwrap();
    let policy = text(&policy);
    let ended = home.load(&["--clock-unset", "--policy", &policy], &future, &[]);
    refused(ended, "policy", &["does not allow --clock-unset"]);
    assert_eq!(home.load(&["--policy", &policy], &fresh, &[]).expect(0).text(), "word\n");

    // It is judged at each run, not once.
    let soon = timed("soon", None, now + 3600);
    let _ = shelf.install(&home, &soon).expect(0);
    assert_eq!(shelf.load(&home, &["app"]).expect(0).text(), "word\n");
}
