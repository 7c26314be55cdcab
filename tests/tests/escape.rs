//! Ways out of a granted folder, one test each. None leads out.
//!
//! A guest has one folder to change and one to read; the secret lies beside them
//! (`bls_tests::scene`). Each test tries one way with every call that takes a
//! path, and looks at what lies outside afterwards.

use bls_tests::guest::{CREAT, EXCL, Guest, How, READ, TRUNC, WRITE};
use bls_tests::host_driver::preopen;
use bls_tests::scene::{CONTENTS, READ_ONLY, SECRET, Scene, Snapshot, WRITABLE};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const LOOP: u32 = 32;
const NOENT: u32 = 44;
const NOTDIR: u32 = 54;
const PERM: u32 = 63;
const XDEV: u32 = 75;
const INVAL: u32 = 28;

/// Tries a path with every call that takes one, from the folder that may be
/// changed; nothing may be reached.
#[track_caller]
fn leads_nowhere(scene: &Scene, path: &str) {
    let outside = Snapshot::of_all(&[scene.outside(), scene.read_only()]);
    let mut guest = Guest::new(scene.grants());
    for follow in [true, false] {
        for how in [0, CREAT, CREAT | EXCL, TRUNC] {
            for rights in [READ, WRITE, READ | WRITE] {
                let how = How { how, rights, flags: 0, follow };
                let opened = guest.open(WRITABLE, path, how);
                assert!(opened.is_err(), "{path} was opened with {how:?}");
            }
        }
    }
    assert!(guest.open(WRITABLE, path, How::DIRECTORY).is_err(), "{path} was opened");
    assert!(guest.stat(WRITABLE, true, path).is_err(), "{path} was looked at");
    assert!(guest.set_times(WRITABLE, true, path, 1).is_err(), "{path} was touched");
    assert!(guest.link(true, (WRITABLE, path), (WRITABLE, "new")).is_err());
    Snapshot::assert_same(
        &outside,
        &Snapshot::of_all(&[scene.outside(), scene.read_only()]),
        &path,
    );
}

/// The same for a path whose folder already lies outside, so that even what looks
/// at the last name itself must fail.
#[track_caller]
fn lies_outside(scene: &Scene, path: &str) {
    leads_nowhere(scene, path);
    let outside = Snapshot::of_all(&[scene.outside(), scene.read_only()]);
    let mut guest = Guest::new(scene.grants());
    assert!(guest.stat(WRITABLE, false, path).is_err(), "{path} was looked at");
    assert!(guest.set_times(WRITABLE, false, path, 1).is_err(), "{path} was touched");
    assert!(guest.read_link(WRITABLE, path).is_err(), "{path} was read as a link");
    for name in ["path_create_directory", "path_remove_directory", "path_unlink_file"] {
        assert!(guest.at(name, WRITABLE, path).is_err(), "{name} of {path}");
    }
    assert!(guest.symlink("a", WRITABLE, path).is_err(), "{path} was made a link");
    assert!(guest.link(false, (WRITABLE, path), (WRITABLE, "new")).is_err(), "{path} was linked");
    assert!(guest.link(false, (WRITABLE, "a"), (WRITABLE, path)).is_err(), "{path} was linked to");
    assert!(guest.rename((WRITABLE, path), (WRITABLE, "new")).is_err(), "{path} was moved in");
    assert!(guest.rename((WRITABLE, "a"), (WRITABLE, path)).is_err(), "moved to {path}");
    Snapshot::assert_same(
        &outside,
        &Snapshot::of_all(&[scene.outside(), scene.read_only()]),
        &path,
    );
    assert!(scene.writable().join("a").is_file(), "a has been moved to {path}");
}

#[test]
fn parents() {
    let scene = Scene::new();
    for path in [
        "..",
        "../",
        "../.",
        "./..",
        "../..",
        "../outside/secret",
        "../outside/new",
        "./../outside/secret",
        ".//..//outside//secret",
        "dir/../../outside/secret",
        "dir/../../outside/new",
        "dir/deep/../../../outside/secret",
        "dir/./.././../outside/secret",
        "link-dir/../../outside/secret",
        "dir/../dir/../../outside/new",
        // Out and in again is out.
        "../writable/a",
        "../writable/new",
        "../read-only/a",
        "dir/../../writable/a",
        "../../../../../../../../../../etc/passwd",
    ] {
        lies_outside(&scene, path);
    }
    // A parent that stays inside is none of these.
    let mut guest = Guest::new(scene.grants());
    let file = guest.open(WRITABLE, "dir/deep/../../a", How::READ).expect("inside");
    assert_eq!(guest.read(file, 100), Ok(CONTENTS.to_vec()));
}

#[test]
fn parents_of_an_opened_folder() {
    let scene = Scene::new();
    let mut guest = Guest::new(scene.grants());
    let dir = guest.open(WRITABLE, "dir", How::DIRECTORY).expect("a folder");
    // What is opened is a root of its own.
    for path in ["..", "../a", "deep/../../a", "up"] {
        assert!(guest.open(dir, path, How::READ).is_err(), "{path}");
    }
    assert!(guest.open(dir, "file", How::READ).is_ok());
}

#[test]
fn absolute_paths() {
    let scene = Scene::new();
    let secret = scene.outside().join("secret");
    let own = scene.writable().join("a");
    for path in ["/", "//", "/.", "/..", "/etc/passwd", "//etc/passwd", "/new", "/writable/a", "/a"]
    {
        lies_outside(&scene, path);
    }
    lies_outside(&scene, secret.to_str().unwrap());
    lies_outside(&scene, own.to_str().unwrap());
}

#[test]
fn links_that_the_operator_left() {
    let scene = Scene::new();
    for path in ["out", "up", "root", "absolute", "out-dir", "dir/up"] {
        leads_nowhere(&scene, path);
    }
    for path in [
        "out-dir/secret",
        "out-dir/new",
        "out-dir/folder",
        "up/outside/secret",
        "up/writable/a",
        "up/new",
        "root/etc/passwd",
        "root/new",
        "dir/up/outside/secret",
        "link-dir/up/outside/secret",
        "out-dir/..",
        "out-dir/./secret",
    ] {
        lies_outside(&scene, path);
    }
    // With a slash at its end a path means what is behind the link; to look at it
    // gives the link itself at most, as in wasmtime.
    for path in ["out/", "out-dir/", "out-dir/.", "up/.", "root/"] {
        leads_nowhere(&scene, path);
        let seen = Guest::new(scene.grants()).stat(WRITABLE, false, path);
        assert!(matches!(seen, Ok((7, _)) | Err(_)), "{path}: {seen:?}");
    }
}

#[test]
fn links_that_the_guest_makes() {
    let scene = Scene::new();
    let mut guest = Guest::new(scene.grants());
    // A link may say anything relative; it is judged when it is followed.
    for (name, target) in [
        ("one", "../outside/secret"),
        ("two", "one"),
        ("three", "dir/../two"),
        ("four", "../outside"),
        ("five", "link-dir/../../outside"),
        ("dir/six", "../../outside"),
        ("dir/deep/seven", "../six"),
        ("eight", ".."),
    ] {
        assert_eq!(guest.symlink(target, WRITABLE, name), Ok(()), "{name}");
    }
    let secret = scene.outside().join("secret");
    for target in ["/", "/etc/passwd", secret.to_str().unwrap()] {
        assert_eq!(guest.symlink(target, WRITABLE, "nine"), Err(PERM), "{target}");
    }
    drop(guest);
    for path in ["one", "two", "three"] {
        leads_nowhere(&scene, path);
    }
    for path in ["four/secret", "five/secret", "dir/six/secret", "dir/deep/seven/secret", "eight/a"]
    {
        lies_outside(&scene, path);
    }
}

#[test]
fn links_that_turn_in_circles() {
    let scene = Scene::new();
    for (name, target) in [("ping", "pong"), ("pong", "dir/../ping"), ("dir/self", "../dir/self/x")]
    {
        symlink(target, scene.writable().join(name)).unwrap();
    }
    let mut guest = Guest::new(scene.grants());
    for path in ["loop", "loop/a", "ping", "pong", "ping/a", "dir/self", "dir/self/y"] {
        assert_eq!(guest.open(WRITABLE, path, How::READ), Err(LOOP), "{path}");
        assert_eq!(guest.stat(WRITABLE, true, path), Err(LOOP), "{path}");
    }
    // A chain that is long, and one that is too long.
    symlink("a", scene.writable().join("0")).unwrap();
    for number in 1..60 {
        symlink(format!("{}", number - 1), scene.writable().join(number.to_string())).unwrap();
    }
    assert!(guest.open(WRITABLE, "30", How::READ).is_ok());
    assert_eq!(guest.open(WRITABLE, "59", How::READ), Err(LOOP));
}

#[test]
fn links_that_lead_nowhere() {
    let scene = Scene::new();
    let new = scene.outside().join("new");
    symlink(&new, scene.writable().join("to-new")).unwrap();
    symlink("../outside/new", scene.writable().join("to-new-too")).unwrap();
    for path in ["to-new", "to-new-too"] {
        leads_nowhere(&scene, path);
    }
    assert!(!new.exists());
    let mut guest = Guest::new(scene.grants());
    // An absolute one is not taken for one that begins in its own folder.
    symlink("/made", scene.writable().join("dir/absolute")).unwrap();
    assert_eq!(guest.open(WRITABLE, "dir/absolute", How::CREATE), Err(PERM));
    assert!(!scene.writable().join("dir/made").exists());
    assert_eq!(guest.open(WRITABLE, "dangling", How::READ), Err(NOENT));
    // One that stays inside may be made true.
    assert!(guest.open(WRITABLE, "dangling", How::CREATE).is_ok());
    assert!(scene.writable().join("nowhere").is_file());
}

#[test]
fn a_link_is_not_followed_unless_asked() {
    let scene = Scene::new();
    let mut guest = Guest::new(scene.grants());
    let how = How { follow: false, ..How::READ };
    assert_eq!(guest.open(WRITABLE, "link", how), Err(LOOP));
    assert_eq!(guest.stat(WRITABLE, false, "out").map(|(kind, _)| kind), Ok(7));
    assert_eq!(guest.read_link(WRITABLE, "out"), Ok(b"../outside/secret".to_vec()));
    // What goes for a name goes for the link, not for what is behind it.
    assert_eq!(guest.set_times(WRITABLE, false, "out", 1_000_000_000), Ok(()));
    assert_eq!(guest.link(true, (WRITABLE, "out"), (WRITABLE, "new")), Err(INVAL));
    assert_eq!(guest.link(false, (WRITABLE, "out"), (WRITABLE, "new")), Ok(()));
    assert!(scene.writable().join("new").is_symlink());
    assert_eq!(guest.rename((WRITABLE, "new"), (WRITABLE, "newer")), Ok(()));
    assert_eq!(guest.at("path_unlink_file", WRITABLE, "newer"), Ok(()));
    assert_eq!(guest.at("path_unlink_file", WRITABLE, "out"), Ok(()));
    assert_eq!(guest.at("path_remove_directory", WRITABLE, "out-dir"), Err(NOTDIR));
    assert_eq!(fs::read(scene.outside().join("secret")).unwrap(), SECRET);
}

#[test]
fn links_of_the_process() {
    let scene = Scene::new();
    symlink("/proc/self", scene.writable().join("self")).unwrap();
    symlink("/proc/self/root", scene.writable().join("process-root")).unwrap();
    symlink("/proc/self/cwd", scene.writable().join("process-cwd")).unwrap();
    for path in ["process-root", "process-cwd", "self"] {
        leads_nowhere(&scene, path);
    }
    for path in ["self/root", "self/root/etc/passwd", "self/cwd/new", "self/fd/0", "self/environ"] {
        lies_outside(&scene, path);
    }
}

/// Tries a path on a filesystem of the kernel's own with every call that takes one.
#[track_caller]
fn is_the_kernels(guest: &mut Guest, folder: u32, path: &str) {
    for follow in [true, false] {
        for how in [0, CREAT, CREAT | EXCL, TRUNC] {
            for rights in [READ, WRITE, READ | WRITE] {
                let opened = guest.open(folder, path, How { how, rights, flags: 0, follow });
                assert!(opened.is_err(), "{path} was opened");
            }
        }
        assert!(guest.set_times(folder, follow, path, 1).is_err(), "{path} was touched");
        assert!(guest.stat(folder, follow, path).is_err(), "{path} was looked at");
    }
    let opened = guest.open(folder, path, How::READ);
    // Links that are no text are not followed, and what is not there is not.
    assert!(matches!(opened, Err(PERM | LOOP | NOENT)), "{path}: {opened:?}");
    assert!(guest.open(folder, path, How::DIRECTORY).is_err(), "{path} was opened");
    assert!(guest.read_link(folder, path).is_err(), "{path} was read as a link");
    for name in ["path_create_directory", "path_remove_directory", "path_unlink_file"] {
        assert!(guest.at(name, folder, path).is_err(), "{name} of {path}");
    }
    assert!(guest.symlink("a", folder, path).is_err(), "{path} was made a link");
    assert!(guest.link(false, (folder, path), (WRITABLE, "new")).is_err(), "{path} was linked");
    assert!(guest.link(false, (WRITABLE, "a"), (folder, path)).is_err(), "{path} was linked to");
    assert!(guest.rename((folder, path), (WRITABLE, "new")).is_err(), "{path} was moved in");
    assert!(guest.rename((WRITABLE, "a"), (folder, path)).is_err(), "moved to {path}");
}

/// Paths from the system's root to what is no storage, with the folder in it last.
const KERNEL: [&str; 10] = [
    "proc/self/environ",
    "proc/self/mem",
    "proc/self/status",
    "proc/self/exe",
    "proc/self/fd/0",
    "proc/self/",
    "proc/new",
    "proc/self/task",
    "sys/kernel/mm",
    "sys/kernel/new",
];

#[test]
fn the_kernels_filesystems_are_not_in_any_folder() {
    let scene = Scene::new();
    let mut grants = scene.grants();
    grants.preopens.push(preopen(Path::new("/"), "/", false));
    let root = 5;
    let mut guest = Guest::new(grants);
    for path in KERNEL {
        is_the_kernels(&mut guest, root, path);
        is_the_kernels(&mut guest, root, &format!("usr/../{path}"));
    }
    assert_eq!(guest.open(root, "proc/self/mem", How::WRITE), Err(PERM));
    assert_eq!(guest.open(root, "proc/self/environ", How::READ), Err(PERM));
    assert_eq!(guest.open(root, "proc/new", How::CREATE), Err(PERM));
    // The place where one is mounted is looked at as any name is, and not entered.
    assert_eq!(guest.stat(root, false, "proc").map(|(kind, _)| kind), Ok(3));
    assert_eq!(guest.open(root, "proc", How::DIRECTORY), Err(PERM));
    assert_eq!(guest.open(root, "proc", How::READ), Err(PERM));
    assert_eq!(guest.set_times(root, false, "proc", 1), Err(PERM));
    // What is beside it is a folder like others.
    assert!(guest.open(root, "etc/passwd", How::READ).is_ok());
    // By links of the guest's own, there as well as here.
    let up = scene.writable().components().skip(1).map(|_| "../").collect::<String>();
    let own = scene.writable().display().to_string();
    for (number, path) in KERNEL.iter().enumerate() {
        let name = format!("l{number}");
        assert_eq!(guest.symlink(format!("{up}{path}"), WRITABLE, &name), Ok(()));
        let link = format!("{}/{name}", own.trim_start_matches('/'));
        for how in [How::READ, How::WRITE, How::CREATE, How::DIRECTORY] {
            assert!(guest.open(root, &link, how).is_err(), "{path}");
        }
        assert!(guest.stat(root, true, &link).is_err(), "{path}");
        assert!(guest.set_times(root, true, &link, 1).is_err(), "{path}");
        leads_nowhere_by(&mut guest, &name);
    }
    drop(guest);
    // Were it granted itself, which no run can do, nothing in it would be opened.
    for (folder, path) in [("/proc", "self/status"), ("/proc/self", "fd/0"), ("/sys", "kernel/mm")]
    {
        let mut grants = scene.grants();
        grants.preopens.push(preopen(Path::new(folder), "/kernel", false));
        is_the_kernels(&mut Guest::new(grants), 5, path);
    }
}

/// From the granted folder itself such a link leads out, which is refused as ever.
#[track_caller]
fn leads_nowhere_by(guest: &mut Guest, link: &str) {
    assert_eq!(guest.open(WRITABLE, link, How::READ), Err(PERM), "{link}");
    assert_eq!(guest.at("path_unlink_file", WRITABLE, link), Ok(()));
}

#[test]
fn renames_and_links_across_folders() {
    let scene = Scene::new();
    let other = scene.path("other");
    fs::create_dir(&other).unwrap();
    let mut grants = scene.grants();
    grants.preopens.push(preopen(&other, "/other", false));
    let other_folder = 5;
    let mut guest = Guest::new(grants);
    // Between two that may be changed.
    assert_eq!(guest.link(false, (WRITABLE, "a"), (other_folder, "linked")), Ok(()));
    assert_eq!(guest.rename((WRITABLE, "b"), (other_folder, "moved")), Ok(()));
    assert_eq!(guest.rename((WRITABLE, "dir"), (other_folder, "dir")), Ok(()));
    assert!(other.join("linked").is_file() && other.join("moved").is_file());
    // A link that led out of there does not lead in here.
    assert!(guest.open(other_folder, "dir/up/writable/a", How::READ).is_err());
    // With one that may only be read, in neither direction.
    let before = Snapshot::of(&scene.read_only());
    for folder in [WRITABLE, other_folder] {
        assert_eq!(guest.rename((READ_ONLY, "a"), (folder, "stolen")), Err(PERM));
        assert_eq!(guest.rename((folder, "a"), (READ_ONLY, "given")), Err(PERM));
        // A second name in a folder that may be changed would be a way to change it.
        assert_eq!(guest.link(false, (READ_ONLY, "a"), (folder, "stolen")), Err(PERM));
        assert_eq!(guest.link(false, (folder, "a"), (READ_ONLY, "given")), Err(PERM));
    }
    before.assert_same(&Snapshot::of(&scene.read_only()), &"across folders");
}

#[test]
fn a_second_name_is_the_same_file() {
    let scene = Scene::new();
    let mut guest = Guest::new(scene.grants());
    assert_eq!(guest.link(false, (WRITABLE, "a"), (WRITABLE, "dir/again")), Ok(()));
    let file = guest.open(WRITABLE, "dir/again", How::WRITE).expect("a file");
    assert_eq!(guest.write(file, b"C"), Ok(1));
    assert_eq!(fs::read(scene.writable().join("a")).unwrap()[0], b'C');
    for (old, new) in [("dir", "dir-again"), ("a", "b"), ("nowhere", "new"), ("a", "../new")] {
        assert!(guest.link(false, (WRITABLE, old), (WRITABLE, new)).is_err(), "{old} {new}");
    }
    // One that the operator made to a file outside is a name inside: the grant of
    // a folder is the grant of the files that it names.
    fs::hard_link(scene.outside().join("secret"), scene.writable().join("granted")).unwrap();
    let file = guest.open(WRITABLE, "granted", How::READ).expect("a file");
    assert_eq!(guest.read(file, 100), Ok(SECRET.to_vec()));
}

/// Lets one thread do something over and over while a guest does its worst.
fn meanwhile(act: impl Fn() + Sync, guest: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                act();
            }
        });
        // The thread ends also when the guest's part panics.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(guest));
        over.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Everything a guest can do with a path below `swap`. Gives whether what it read
/// was of the inside (`Some(true)`), of the outside, or nothing.
fn assault(guest: &mut Guest, round: u64) -> Option<bool> {
    let path = "swap/secret";
    let mut seen = None;
    match round % 12 {
        0..=3 => {
            if let Ok(file) = guest.open(WRITABLE, path, How::READ) {
                seen = Some(guest.read(file, 100).expect("bytes") != SECRET);
            }
        }
        4 => {
            let how = How { how: CREAT | TRUNC, ..How::WRITE };
            if let Ok(file) = guest.open(WRITABLE, path, how) {
                let _ = guest.write(file, b"inside");
            }
        }
        5 => drop(guest.open(WRITABLE, "swap/new", How::CREATE)),
        6 => drop(guest.at("path_unlink_file", WRITABLE, "swap/new")),
        7 => {
            let _ = guest.at("path_create_directory", WRITABLE, "swap/made");
            let _ = guest.at("path_remove_directory", WRITABLE, "swap/made");
        }
        8 => drop(guest.set_times(WRITABLE, round % 24 < 12, path, 1)),
        9 => {
            let _ = guest.symlink("x", WRITABLE, "swap/linked");
            let _ = guest.at("path_unlink_file", WRITABLE, "swap/linked");
        }
        10 => {
            let _ = guest.rename((WRITABLE, "swap/secret"), (WRITABLE, "taken"));
            let _ = guest.rename((WRITABLE, "taken"), (WRITABLE, "swap/secret"));
        }
        _ => {
            if let Ok(folder) = guest.open(WRITABLE, "swap", How::DIRECTORY) {
                let _ = guest.open(folder, "secret", How::WRITE);
                seen = guest.names(folder).ok().map(|names| !names.contains(&b"folder".to_vec()));
            }
        }
    }
    for descriptor in 5..9 {
        let _ = guest.close(descriptor);
    }
    seen
}

/// Swaps a folder inside and a link that leads out, again and again, while a
/// guest goes through that name. Both sides must be met: a guest that is always
/// refused, or never, proves nothing.
fn race(target: &Path) {
    const ROUNDS: u64 = 30_000;
    let scene = Scene::in_memory();
    let folder = scene.writable();
    fs::create_dir(folder.join("swap")).unwrap();
    fs::write(folder.join("swap/secret"), b"inside").unwrap();
    let target = if target.is_absolute() { scene.outside() } else { target.to_owned() };
    symlink(target, folder.join("other")).unwrap();
    let outside = Snapshot::of(&scene.outside());
    let (swap, other) = (folder.join("swap"), folder.join("other"));
    let mut guest = Guest::new(scene.grants());
    let (mut inside, mut refused) = (0, 0);
    meanwhile(
        || renameat_with(CWD, &swap, CWD, &other, RenameFlags::EXCHANGE).expect("an exchange"),
        || {
            for round in 0..ROUNDS {
                match assault(&mut guest, round) {
                    Some(was_inside) => {
                        assert!(was_inside, "round {round}: the secret was read");
                        inside += 1;
                    }
                    None => refused += 1,
                }
            }
        },
    );
    outside.assert_same(&Snapshot::of(&scene.outside()), &"a race");
    println!("{ROUNDS} rounds, {inside} of them inside");
    assert!(inside > 100 && refused > 100, "{inside} inside, {refused} refused");
}

#[test]
fn a_race_against_a_relative_link() {
    race(Path::new("../outside"));
}

#[test]
fn a_race_against_an_absolute_link() {
    race(Path::new("/"));
}

#[test]
fn a_race_against_a_folder_that_is_moved_out() {
    const ROUNDS: u64 = 50_000;
    let scene = Scene::in_memory();
    let inside = scene.writable().join("dir/deep");
    let outside = scene.outside().join("folder/deep");
    fs::write(scene.outside().join("folder/secret"), SECRET).unwrap();
    fs::write(scene.writable().join("dir/secret"), CONTENTS).unwrap();
    fs::create_dir(inside.join("x")).unwrap();
    // A long way, so that the folder moves while it is walked.
    let there = format!("dir/deep/{}..", "x/../".repeat(100));
    let mut guest = Guest::new(scene.grants());
    let (mut opened, mut refused) = (0, 0);
    meanwhile(
        || {
            fs::rename(&inside, &outside).expect("moved out");
            fs::rename(&outside, &inside).expect("moved in");
        },
        || {
            for round in 0..ROUNDS {
                match guest.open(WRITABLE, format!("{there}/secret"), How::READ) {
                    Ok(file) => {
                        assert_eq!(guest.read(file, 100), Ok(CONTENTS.to_vec()), "round {round}");
                        guest.close(file).expect("a file");
                        opened += 1;
                    }
                    Err(NOENT | PERM | XDEV | 6) => refused += 1,
                    Err(other) => panic!("round {round}: errno {other}"),
                }
                let new = guest.open(WRITABLE, format!("{there}/new"), How::CREATE);
                let _ = new.map(|file| guest.close(file));
            }
        },
    );
    println!("{ROUNDS} rounds, {opened} opened, {refused} refused");
    assert!(!scene.outside().join("folder/new").exists(), "made outside");
    assert_eq!(fs::read(scene.outside().join("folder/secret")).unwrap(), SECRET);
    assert!(opened > 100 && refused > 100, "{opened} opened, {refused} refused");
}
