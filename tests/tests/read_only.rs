//! A folder that may only be read stays as it is, whatever call a guest makes.
//!
//! One test for each way to change something; each looks at names, bytes, link
//! counts and times afterwards. Nested grants: the innermost one decides, whichever
//! granted folder a path starts from.

use bls_loader::host::Grants;
use bls_tests::guest::{APPEND, CREAT, EXCL, Given, Guest, How, NONBLOCK, READ, TRUNC, WRITE};
use bls_tests::host_driver::preopen;
use bls_tests::scene::{CONTENTS, READ_ONLY, Scene, Snapshot, WRITABLE};
use std::fs;

const BADF: u32 = 8;
const INVAL: u32 = 28;
const NOSYS: u32 = 52;
const NOTSUP: u32 = 58;
const PERM: u32 = 63;

/// Does something, all of whose calls must be refused as `perm`, and looks
/// whether anything has changed.
#[track_caller]
fn refused(act: impl FnOnce(&mut Guest) -> Vec<Given<()>>) {
    let scene = Scene::new();
    let before = Snapshot::of(&scene.read_only());
    let outcomes = act(&mut Guest::new(scene.grants()));
    assert!(!outcomes.is_empty());
    for (index, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome, Err(PERM), "attempt {index}");
    }
    before.assert_same(&Snapshot::of(&scene.read_only()), &"only to be read");
}

#[test]
fn path_create_directory() {
    refused(|guest| {
        ["new", "a", "dir/new", "link-dir/new", "./new/"]
            .map(|path| guest.at("path_create_directory", READ_ONLY, path))
            .into()
    });
}

#[test]
fn path_remove_directory() {
    refused(|guest| {
        ["dir/deep", "dir", "nowhere"]
            .map(|path| guest.at("path_remove_directory", READ_ONLY, path))
            .into()
    });
}

#[test]
fn path_unlink_file() {
    refused(|guest| {
        ["a", "b", "link", "dangling", "dir/file", "link-dir/file", "nowhere"]
            .map(|path| guest.at("path_unlink_file", READ_ONLY, path))
            .into()
    });
}

#[test]
fn path_symlink() {
    refused(|guest| ["new", "a", "dir/new"].map(|path| guest.symlink("a", READ_ONLY, path)).into());
}

#[test]
fn path_rename() {
    refused(|guest| {
        vec![
            guest.rename((READ_ONLY, "a"), (READ_ONLY, "new")),
            guest.rename((READ_ONLY, "a"), (READ_ONLY, "a")),
            guest.rename((READ_ONLY, "dir/file"), (READ_ONLY, "file")),
            guest.rename((READ_ONLY, "a"), (WRITABLE, "new")),
            guest.rename((WRITABLE, "a"), (READ_ONLY, "new")),
            guest.rename((WRITABLE, "a"), (READ_ONLY, "a")),
        ]
    });
}

#[test]
fn path_link() {
    refused(|guest| {
        vec![
            guest.link(false, (READ_ONLY, "a"), (READ_ONLY, "new")),
            // The link count, and by the new name the bytes.
            guest.link(false, (READ_ONLY, "a"), (WRITABLE, "new")),
            guest.link(false, (WRITABLE, "a"), (READ_ONLY, "new")),
        ]
    });
}

#[test]
fn path_filestat_set_times() {
    refused(|guest| {
        let mut outcomes = Vec::new();
        for path in ["a", "link", "dir", "dir/file", ".", "link-dir/file"] {
            for follow in [false, true] {
                outcomes.push(guest.set_times(READ_ONLY, follow, path, 1_000_000_000));
            }
        }
        outcomes
    });
}

#[test]
fn fd_filestat_set_times() {
    refused(|guest| {
        let file = guest.open(READ_ONLY, "a", How::READ).expect("to be read");
        let folder = guest.open(READ_ONLY, "dir", How::DIRECTORY).expect("to be read");
        let mut outcomes = Vec::new();
        for descriptor in [file, folder, READ_ONLY] {
            for flags in [0b0001, 0b0010, 0b0100, 0b1000, 0b0101, 0b1010] {
                let arguments = [descriptor.into(), 1_000_000_000, 2_000_000_000, flags];
                outcomes.push(guest.ask("fd_filestat_set_times", &arguments));
            }
        }
        outcomes
    });
}

#[test]
fn fd_filestat_set_size() {
    refused(|guest| {
        let file = guest.open(READ_ONLY, "a", How::READ).expect("to be read");
        [0, 5, 14, 100].map(|size| guest.ask("fd_filestat_set_size", &[file.into(), size])).into()
    });
}

#[test]
fn path_open() {
    refused(|guest| {
        let mut outcomes = Vec::new();
        for path in ["a", "b", "new", "dir/new", "link", "dir/../a"] {
            for how in [CREAT, CREAT | EXCL, TRUNC, CREAT | TRUNC] {
                for rights in [0, READ, WRITE, READ | WRITE] {
                    let how = How { how, rights, flags: 0, follow: true };
                    outcomes.push(guest.open(READ_ONLY, path, how).map(drop));
                }
            }
            for flags in [0, APPEND, NONBLOCK, APPEND | NONBLOCK] {
                for rights in [WRITE, READ | WRITE] {
                    let how = How { how: 0, rights, flags, follow: true };
                    outcomes.push(guest.open(READ_ONLY, path, how).map(drop));
                }
            }
        }
        outcomes
    });
}

#[test]
fn descriptors_that_are_opened_in_it() {
    let scene = Scene::new();
    let before = Snapshot::of(&scene.read_only());
    let mut guest = Guest::new(scene.grants());
    // EXCL without CREAT, and APPEND without the right to write, ask for nothing.
    for (how, flags) in [(0, 0), (EXCL, 0), (0, APPEND), (0, NONBLOCK)] {
        let file = guest.open(READ_ONLY, "a", How { how, flags, ..How::READ }).expect("a file");
        // The kernel has it open for reading.
        assert_eq!(guest.write(file, b"changed"), Err(BADF));
        assert_eq!(guest.write_at(file, b"changed", 0), Err(BADF));
        assert_eq!(guest.ask("fd_fdstat_set_flags", &[file.into(), APPEND]), Ok(()));
        assert_eq!(guest.write(file, b"changed"), Err(BADF));
        let allocate = guest.ask("fd_allocate", &[file.into(), 0, 100]);
        assert!(matches!(allocate, Err(BADF | PERM | NOSYS | NOTSUP)), "{allocate:?}");
        let wider = guest.ask("fd_fdstat_set_rights", &[file.into(), WRITE, WRITE]);
        assert!(matches!(wider, Err(NOSYS | NOTSUP)), "{wider:?}");
        assert_eq!(guest.ask("fd_filestat_set_size", &[file.into(), 0]), Err(PERM));
        // To write back what nobody wrote changes nothing.
        assert_eq!(guest.ask("fd_sync", &[file.into()]), Ok(()));
        assert_eq!(guest.ask("fd_advise", &[file.into(), 0, 0, 4]), Ok(()));
        assert_eq!(guest.read_at(file, 100, 0), Ok(CONTENTS.to_vec()));
        guest.close(file).expect("a file");
    }
    before.assert_same(&Snapshot::of(&scene.read_only()), &"only to be read");
}

#[test]
fn what_is_opened_in_it_is_no_more_than_it() {
    refused(|guest| {
        // Through a folder that was opened in it, and one in that, and by number.
        let dir = guest.open(READ_ONLY, "dir", How::DIRECTORY).expect("a folder");
        let deep = guest.open(dir, "deep", How::DIRECTORY).expect("a folder");
        let spare = guest.open(READ_ONLY, ".", How::DIRECTORY).expect("a folder");
        guest.ask("fd_renumber", &[spare.into(), WRITABLE.into()]).expect("a new number");
        let mut outcomes = Vec::new();
        for folder in [dir, deep, WRITABLE] {
            outcomes.push(guest.open(folder, "new", How::CREATE).map(drop));
            outcomes.push(guest.at("path_create_directory", folder, "new"));
            outcomes.push(guest.at("path_unlink_file", folder, "a"));
            outcomes.push(guest.rename((folder, "file"), (folder, "new")));
        }
        outcomes
    });
}

/// A grant inside a grant: the outer one, the inner one.
fn nested(scene: &Scene, outer_read_only: bool) -> Guest {
    let folders = vec![
        preopen(&scene.writable(), "/outer", outer_read_only),
        preopen(&scene.writable().join("dir"), "/outer/dir", !outer_read_only),
    ];
    Guest::new(Grants { preopens: folders, ..Grants::default() })
}

/// The descriptors of the two.
const OUTER: u32 = 3;
const INNER: u32 = 4;

/// Every way to change something at a path below a folder; all must be refused.
fn changes(guest: &mut Guest, folder: u32, path: &str) -> Vec<(&'static str, Given<()>)> {
    let mut outcomes = Vec::new();
    for how in [0, CREAT, TRUNC, CREAT | TRUNC] {
        let how = How { how, rights: READ | WRITE, flags: 0, follow: true };
        outcomes.push(("opened", guest.open(folder, path, how).map(drop)));
    }
    outcomes.push(("unlinked", guest.at("path_unlink_file", folder, path)));
    outcomes.push(("touched", guest.set_times(folder, true, path, 1_000_000_000)));
    outcomes.push(("touched itself", guest.set_times(folder, false, path, 1_000_000_000)));
    outcomes.push(("linked", guest.link(false, (folder, path), (OUTER, "linked"))));
    outcomes.push(("moved out", guest.rename((folder, path), (OUTER, "moved"))));
    outcomes.push(("moved over", guest.rename((OUTER, "b"), (folder, path))));
    outcomes
}

/// Every way to make something at a path below a folder.
fn additions(guest: &mut Guest, folder: u32, path: &str) -> Vec<(&'static str, Given<()>)> {
    vec![
        ("made", guest.open(folder, path, How::CREATE).map(drop)),
        ("made a folder", guest.at("path_create_directory", folder, path)),
        ("made a link", guest.symlink("a", folder, path)),
        ("linked", guest.link(false, (OUTER, "b"), (folder, path))),
        ("moved in", guest.rename((OUTER, "b"), (folder, path))),
    ]
}

#[track_caller]
fn all_refused(path: &str, outcomes: Vec<(&'static str, Given<()>)>) {
    for (what, outcome) in outcomes {
        assert_eq!(outcome, Err(PERM), "{path}: {what}");
    }
}

#[test]
fn only_to_be_read_inside_what_may_be_changed() {
    let scene = Scene::new();
    let mut guest = nested(&scene, false);
    let before = Snapshot::of(&scene.writable().join("dir"));
    // By its own grant, and by each way that leads in from the outer one.
    all_refused("file", changes(&mut guest, INNER, "file"));
    for path in ["dir/file", "./dir//file", "link-dir/file", "dir/deep/../file", "dir/../dir/file"]
    {
        all_refused(path, changes(&mut guest, OUTER, path));
    }
    for path in ["dir/new", "dir/deep/new", "link-dir/new", "dir/deep/../new"] {
        all_refused(path, additions(&mut guest, OUTER, path));
    }
    assert_eq!(guest.at("path_remove_directory", OUTER, "dir/deep"), Err(PERM));
    assert_eq!(guest.rename((OUTER, "dir/deep"), (OUTER, "deep")), Err(PERM));
    for path in ["dir", "dir/", "dir/.", "dir/deep/..", "link-dir/."] {
        assert_eq!(guest.set_times(OUTER, true, path, 1_000_000_000), Err(PERM), "{path}");
    }
    // By links of the guest's own, outside of it.
    for (name, target) in [("l1", "dir/file"), ("l2", "l1"), ("l3", "dir/new"), ("l4", "l3")] {
        assert_eq!(guest.symlink(target, OUTER, name), Ok(()));
        for how in [How::WRITE, How::CREATE] {
            let opened = guest.open(OUTER, name, how);
            assert!(matches!(opened, Err(PERM | 44)), "{name}: {opened:?}");
        }
        let touched = guest.set_times(OUTER, true, name, 1_000_000_000);
        assert!(matches!(touched, Err(PERM | 44)), "{name}: {touched:?}");
    }
    // By folders that were opened on the way, and when its own number is closed.
    let opened = guest.open(OUTER, "dir", How::DIRECTORY).expect("a folder");
    let deep = guest.open(OUTER, "dir/deep", How::DIRECTORY).expect("a folder");
    let top = guest.open(OUTER, ".", How::DIRECTORY).expect("a folder");
    guest.close(INNER).expect("open");
    all_refused("file", changes(&mut guest, opened, "file"));
    all_refused("new", additions(&mut guest, deep, "new"));
    all_refused("dir/file", changes(&mut guest, top, "dir/file"));
    let times = [opened.into(), 1_000_000_000, 1_000_000_000, 0b101];
    assert_eq!(guest.ask("fd_filestat_set_times", &times), Err(PERM));
    before.assert_same(&Snapshot::of(&scene.writable().join("dir")), &"the inner grant");
    // It stays where it is, too: not moved, not moved over, not removed.
    assert_eq!(guest.rename((OUTER, "dir"), (OUTER, "moved")), Err(PERM));
    assert_eq!(guest.rename((OUTER, "dir/"), (OUTER, "moved/")), Err(PERM));
    assert_eq!(guest.at("path_remove_directory", OUTER, "dir"), Err(PERM));
    // It can be read, and what lies beside it is changed as ever.
    let file = guest.open(OUTER, "dir/file", How::READ).expect("a file");
    assert_eq!(guest.read(file, 100), Ok(b"deeper\n".to_vec()));
    assert_eq!(guest.rename((OUTER, "a"), (OUTER, "c")), Ok(()));
    assert_eq!(guest.at("path_create_directory", OUTER, "new"), Ok(()));
    let made = guest.open(OUTER, "new/file", How::CREATE).expect("a file");
    assert_eq!(guest.write(made, b"new"), Ok(3));
    assert_eq!(guest.rename((OUTER, "new"), (OUTER, "newer")), Ok(()));
    assert_eq!(guest.at("path_unlink_file", top, "newer/file"), Ok(()));
    assert_eq!(guest.at("path_remove_directory", top, "newer"), Ok(()));
}

#[test]
fn what_holds_a_folder_that_may_only_be_read_stays_where_it_is() {
    let scene = Scene::new();
    fs::create_dir(scene.writable().join("empty")).unwrap();
    fs::create_dir(scene.writable().join("other")).unwrap();
    let folders = vec![
        preopen(&scene.writable(), "/outer", false),
        preopen(&scene.writable().join("dir/deep"), "/deep", true),
        preopen(&scene.writable().join("empty"), "/empty", true),
    ];
    let mut guest = Guest::new(Grants { preopens: folders, ..Grants::default() });
    assert_eq!(guest.rename((OUTER, "dir"), (OUTER, "moved")), Err(PERM));
    assert_eq!(guest.rename((OUTER, "other"), (OUTER, "empty")), Err(PERM));
    assert_eq!(guest.at("path_remove_directory", OUTER, "empty"), Err(PERM));
    // Beside it, and in what holds it, anything goes.
    assert_eq!(guest.rename((OUTER, "dir/file"), (OUTER, "dir/other")), Ok(()));
    assert_eq!(guest.rename((OUTER, "other"), (OUTER, "dir/other-folder")), Ok(()));
}

#[test]
fn the_innermost_of_three_decides() {
    let scene = Scene::new();
    let folders = vec![
        preopen(&scene.writable(), "/outer", false),
        preopen(&scene.writable().join("dir"), "/outer/dir", true),
        preopen(&scene.writable().join("dir/deep"), "/outer/dir/deep", false),
    ];
    let mut guest = Guest::new(Grants { preopens: folders, ..Grants::default() });
    assert!(guest.open(OUTER, "dir/deep/new", How::CREATE).is_ok());
    assert!(guest.open(5, "newer", How::CREATE).is_ok());
    let deep = guest.open(OUTER, "dir/deep", How::DIRECTORY).expect("a folder");
    assert!(guest.open(deep, "newest", How::CREATE).is_ok());
    assert_eq!(guest.open(OUTER, "dir/new", How::CREATE), Err(PERM));
    assert_eq!(guest.open(INNER, "deep/new", How::WRITE), Err(PERM));
}

#[test]
fn to_be_changed_inside_what_may_only_be_read() {
    let scene = Scene::new();
    let mut guest = nested(&scene, true);
    let before = Snapshot::of(&scene.writable());
    for path in ["dir/file", "dir/new", "a"] {
        assert_eq!(guest.open(OUTER, path, How::CREATE), Err(PERM), "{path}");
        assert_eq!(guest.at("path_unlink_file", OUTER, path), Err(PERM), "{path}");
    }
    assert_eq!(guest.rename((INNER, "file"), (OUTER, "file")), Err(PERM));
    assert_eq!(guest.link(false, (OUTER, "a"), (INNER, "a")), Err(PERM));
    before.assert_same(&Snapshot::of(&scene.writable()), &"the outer grant");
    let file = guest.open(INNER, "new", How::CREATE).expect("the inner grant");
    assert_eq!(guest.write(file, b"new"), Ok(3));
    // What was written by one grant is read by the other, and no more than read.
    let again = guest.open(OUTER, "dir/new", How::READ).expect("a file");
    assert_eq!(guest.read(again, 100), Ok(b"new".to_vec()));
    assert_eq!(guest.write(again, b"x"), Err(BADF));
    assert_eq!(fs::read(scene.writable().join("a")).unwrap(), CONTENTS);
    assert_eq!(guest.ask("fd_renumber", &[file.into(), 100]), Err(BADF));
    assert_eq!(guest.open(INNER, "new", How { how: 1 << 4, ..How::READ }), Err(INVAL));
}
