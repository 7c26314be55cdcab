//! Files and folders of every unusual kind: FIFOs, devices, deep trees, long and
//! odd names, numbers used again, folders that are gone, more than 4 GiB.

use bls_loader::host::Grants;
use bls_tests::guest::{APPEND, CREAT, EXCL, Guest, How, NONBLOCK, READ, TRUNC, WRITE};
use bls_tests::host_driver::preopen;
use bls_tests::programs::{Home, in_a_child, make_fifo};
use bls_tests::scene::{CONTENTS, READ_ONLY, Scene, WRITABLE};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const BADF: u32 = 8;
const ILSEQ: u32 = 25;
const INVAL: u32 = 28;
const ISDIR: u32 = 31;
const LOOP: u32 = 32;
const MFILE: u32 = 33;
const NAMETOOLONG: u32 = 37;
const NOENT: u32 = 44;
const NOTDIR: u32 = 54;
const NOTEMPTY: u32 = 55;
const PERM: u32 = 63;

/// Every way to open a file, none of which makes it or wants a folder.
fn ways() -> impl Iterator<Item = How> {
    let flags = [0, APPEND, NONBLOCK];
    let rights = [READ, WRITE, READ | WRITE];
    let how = [0, CREAT, TRUNC, CREAT | TRUNC];
    how.into_iter().flat_map(move |how| {
        rights.into_iter().flat_map(move |rights| {
            flags.into_iter().flat_map(move |flags| {
                [true, false].map(|follow| How { how, rights, flags, follow })
            })
        })
    })
}

#[test]
fn a_fifo_is_looked_at_and_never_opened() {
    let scene = Scene::new();
    let path = scene.writable().join("fifo");
    make_fifo(&path);
    std::os::unix::fs::symlink("../fifo", scene.writable().join("dir/to-fifo")).unwrap();
    // It would be released by a reader, however short.
    let writer = std::thread::spawn({
        let path = path.clone();
        move || File::options().write(true).open(path).map(drop)
    });
    let mut guest = Guest::new(scene.grants());
    // Looking at it does not open it, nor does asking whether it is a folder.
    assert_eq!(guest.stat(WRITABLE, true, "fifo"), Ok((0, 0)));
    assert_eq!(guest.set_times(WRITABLE, false, "fifo", 1), Ok(()));
    assert_eq!(guest.open(WRITABLE, "fifo", How::DIRECTORY), Err(NOTDIR));
    for how in ways() {
        assert_eq!(guest.open(WRITABLE, "fifo", how), Err(PERM), "{how:?}");
        if how.follow {
            assert_eq!(guest.open(WRITABLE, "dir/to-fifo", how), Err(PERM), "{how:?}");
        }
    }
    assert!(!writer.is_finished(), "somebody has opened the other end");
    drop(File::open(&path).unwrap());
    writer.join().unwrap().unwrap();
}

#[test]
fn times_of_a_fifo_are_set_without_opening_it() {
    let scene = Scene::new();
    let path = scene.writable().join("fifo");
    make_fifo(&path);
    let mut guest = Guest::new(scene.grants());
    assert_eq!(guest.set_times(WRITABLE, true, "fifo", 1_000_000_000), Ok(()));
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(modified, std::time::UNIX_EPOCH + std::time::Duration::from_secs(1));
}

#[test]
fn a_fifo_reaches_a_guest_as_a_stream_by_its_own_name() {
    let home = Home::new();
    let fifo = home.path("fifo");
    make_fifo(&fifo);
    let artifact = home.fixture("wat/cat.wat");
    let writer = std::thread::spawn(move || fs::write(fifo, b"by its own name"));
    let ended = home.load(&["--stdin", "fifo"], &artifact, &[]).expect(0);
    assert_eq!(ended.text(), "by its own name");
    writer.join().unwrap().unwrap();
}

#[test]
fn a_device_is_looked_at_and_never_opened() {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let scene = Scene::new();
    let path = scene.writable().join("null");
    let made =
        mknodat(CWD, &path, FileType::CharacterDevice, Mode::RUSR | Mode::WUSR, makedev(1, 3));
    if let Err(error) = made {
        println!("SKIPPED: a device node cannot be made here ({error}); run as root to test it");
        return;
    }
    let mut guest = Guest::new(scene.grants());
    assert_eq!(guest.stat(WRITABLE, true, "null").map(|(kind, _)| kind), Ok(2));
    assert_eq!(guest.open(WRITABLE, "null", How::DIRECTORY), Err(NOTDIR));
    for how in ways() {
        assert_eq!(guest.open(WRITABLE, "null", how), Err(PERM), "{how:?}");
    }
}

#[test]
fn devices_of_the_system() {
    let grants =
        Grants { preopens: vec![preopen(Path::new("/dev"), "/dev", false)], ..Grants::default() };
    let mut guest = Guest::new(grants);
    for name in ["null", "zero", "random", "urandom", "tty", "ptmx", "full", "stdin", "fd/0"] {
        for how in ways() {
            let opened = guest.open(3, name, how);
            // The last two are links to procfs, which an absolute path leads to.
            assert!(matches!(opened, Err(PERM | LOOP)), "{name}: {opened:?}");
        }
    }
}

#[test]
fn a_socket_is_never_opened() {
    let scene = Scene::new();
    let _socket = std::os::unix::net::UnixListener::bind(scene.writable().join("socket")).unwrap();
    let mut guest = Guest::new(scene.grants());
    assert_eq!(guest.stat(WRITABLE, true, "socket"), Ok((0, 0)));
    for how in ways() {
        assert_eq!(guest.open(WRITABLE, "socket", how), Err(PERM), "{how:?}");
    }
}

#[test]
fn a_tree_of_thousands() {
    const DEPTH: u32 = 3000;
    let scene = Scene::new();
    let mut guest = Guest::new(scene.grants());
    let mut folder = guest.open(WRITABLE, ".", How::DIRECTORY).expect("a folder");
    for depth in 0..DEPTH {
        guest.at("path_create_directory", folder, "d").unwrap_or_else(|e| panic!("{depth}: {e}"));
        let deeper = guest.open(folder, "d", How::DIRECTORY).expect("a folder");
        guest.close(folder).expect("a folder");
        folder = deeper;
    }
    let file = guest.open(folder, "file", How::CREATE).expect("a file");
    assert_eq!(guest.write(file, b"deep"), Ok(4));
    // As one path it is beyond what any path can be.
    let whole = "d/".repeat(DEPTH as usize) + "file";
    assert_eq!(guest.open(WRITABLE, &whole, How::READ), Err(NAMETOOLONG));
    let part = "d/".repeat(2000);
    assert!(guest.open(WRITABLE, &part, How::DIRECTORY).is_ok());
    // Down and up again, and never above the start.
    let back = "d/".repeat(600) + &"../".repeat(600) + "a";
    assert!(guest.open(WRITABLE, &back, How::READ).is_ok());
    let above = "d/".repeat(600) + &"../".repeat(601) + "read-only/a";
    assert!(guest.open(WRITABLE, &above, How::READ).is_err());
    drop(guest);
    // No path leads there, so it is removed by levels.
    let top = scene.writable();
    while top.join("d").exists() {
        let middle = top.join("d/".repeat(500));
        if middle.is_dir() {
            fs::rename(&middle, top.join("rest")).unwrap();
        }
        fs::remove_dir_all(top.join("d")).unwrap();
        if top.join("rest").is_dir() {
            fs::rename(top.join("rest"), top.join("d")).unwrap();
        }
    }
}

#[test]
fn paths_that_are_too_long() {
    let scene = Scene::new();
    let mut guest = Guest::new(scene.grants());
    let longest = "./".repeat(2047) + "a";
    assert_eq!(longest.len(), 4095);
    assert!(guest.open(WRITABLE, &longest, How::READ).is_ok());
    assert_eq!(guest.open(WRITABLE, format!("{longest}/"), How::READ), Err(NAMETOOLONG));
    assert!(guest.open(WRITABLE, "n".repeat(255), How::CREATE).is_ok());
    assert_eq!(guest.open(WRITABLE, "n".repeat(256), How::CREATE), Err(NAMETOOLONG));
    assert_eq!(guest.symlink("n".repeat(4096), WRITABLE, "new"), Err(NAMETOOLONG));
    // 64 KiB, in the page that the driver leaves alone.
    let end = guest.memory().len() as u64;
    guest.memory_mut().fill(b'/');
    let call = [WRITABLE.into(), 0, end - 0x1_0000, 0x1_0000, 0, READ, 0, 0, 0];
    assert_eq!(guest.ask("path_open", &call), Err(NAMETOOLONG));
}

#[test]
fn names_that_are_no_text() {
    let scene = Scene::new();
    let odd = b"\xff\xfe-\xc3";
    fs::write(scene.writable().join(OsStr::from_bytes(odd)), b"odd").unwrap();
    fs::write(scene.writable().join("new\nline"), b"").unwrap();
    let mut guest = Guest::new(scene.grants());
    // Listed as they are; a guest cannot name them.
    let folder = guest.open(WRITABLE, ".", How::DIRECTORY).expect("a folder");
    for descriptor in [WRITABLE, folder] {
        let names = guest.names(descriptor).expect("names");
        assert!(names.contains(&odd.to_vec()) && names.contains(&b"new\nline".to_vec()));
        assert!(names.contains(&b".".to_vec()) && names.contains(&b"..".to_vec()));
    }
    assert_eq!(guest.open(WRITABLE, odd, How::READ), Err(ILSEQ));
    assert_eq!(guest.at("path_unlink_file", WRITABLE, odd), Err(ILSEQ));
    assert_eq!(guest.symlink(odd, WRITABLE, "new"), Err(ILSEQ));
    for path in [&b"\xc0\xae\xc0\xae/outside/secret"[..], b"\xed\xa0\x80", b"a\x80"] {
        assert_eq!(guest.open(WRITABLE, path, How::CREATE), Err(ILSEQ), "{path:?}");
    }
    for path in ["\0", "a\0", "a\0b", "dir/\0/..", "dir\0/../../outside/secret"] {
        for how in [How::READ, How::CREATE, How::DIRECTORY] {
            assert_eq!(guest.open(WRITABLE, path, how), Err(INVAL), "{path:?}");
        }
        assert_eq!(guest.stat(WRITABLE, true, path), Err(INVAL), "{path:?}");
        assert_eq!(guest.symlink(path, WRITABLE, "new"), Err(INVAL), "{path:?}");
        for name in ["path_create_directory", "path_remove_directory", "path_unlink_file"] {
            assert_eq!(guest.at(name, WRITABLE, path), Err(INVAL), "{name} {path:?}");
        }
    }
    for path in ["", "nowhere", "nowhere/a", "dir/nowhere/../a"] {
        assert_eq!(guest.open(WRITABLE, path, How::READ), Err(NOENT), "{path:?}");
    }
    assert_eq!(guest.open(WRITABLE, "a/b", How::READ), Err(NOTDIR));
    assert_eq!(guest.open(WRITABLE, "a/", How::READ), Err(NOTDIR));
    assert_eq!(guest.open(WRITABLE, "dir", How::WRITE), Err(ISDIR));
    assert_eq!(guest.at("path_remove_directory", WRITABLE, "dir"), Err(NOTEMPTY));
}

#[test]
fn numbers_at_the_edges_and_used_again() {
    let scene = Scene::new();
    let mut guest = Guest::new(scene.grants());
    let first = guest.open(WRITABLE, "a", How::READ).expect("a file");
    assert_eq!(first, 5);
    for number in [6, 1022, 1023, 1024, 1 << 31, u32::MAX] {
        assert_eq!(guest.read(number, 1), Err(BADF), "{number}");
        assert_eq!(guest.open(number, "a", How::READ), Err(BADF), "{number}");
        assert_eq!(guest.close(number), Err(BADF), "{number}");
        assert_eq!(guest.ask("fd_renumber", &[first.into(), number.into()]), Err(BADF));
    }
    guest.close(first).expect("open");
    assert_eq!(guest.close(first), Err(BADF), "closed twice");
    assert_eq!(guest.read(first, 1), Err(BADF));
    assert_eq!(guest.size(first), Err(BADF));
    // The number comes back as something else, with nothing of what it was.
    assert_eq!(guest.open(READ_ONLY, "dir", How::DIRECTORY), Ok(first));
    assert_eq!(guest.read(first, 1), Err(BADF));
    assert_eq!(guest.names(first).expect("names").len(), 5);
    guest.close(first).expect("open");
    assert_eq!(guest.open(WRITABLE, "dir/deep", How::DIRECTORY), Ok(first));
    assert_eq!(guest.names(first).expect("names").len(), 2, "no entries of the one before");
    // A preopen's number is a number like others.
    guest.close(WRITABLE).expect("open");
    assert_eq!(guest.ask("fd_prestat_get", &[WRITABLE.into(), 0]), Err(BADF));
    assert_eq!(guest.open(READ_ONLY, "a", How::READ), Ok(WRITABLE));
    assert_eq!(guest.open(WRITABLE, "a", How::READ), Err(NOTDIR));
    assert_eq!(guest.ask("fd_prestat_get", &[WRITABLE.into(), 0]), Err(BADF));
}

#[test]
fn the_table_is_full_at_1024() {
    // It takes all descriptors that a process may have.
    if !in_a_child("the_table_is_full_at_1024") {
        return;
    }
    let scene = Scene::new();
    let mut guest = Guest::new(scene.grants());
    let mut last = 0;
    let refused = loop {
        match guest.open(WRITABLE, "a", How::READ) {
            Ok(number) => last = number,
            Err(errno) => break errno,
        }
    };
    if last < 1023 {
        eprintln!("SKIPPED: this process may hold too few descriptors ({last} of 1023)");
        return;
    }
    assert_eq!((last, refused), (1023, MFILE));
    // Nothing is made that there is no number for.
    assert_eq!(guest.open(WRITABLE, "new", How::CREATE), Err(MFILE));
    assert!(!scene.writable().join("new").exists());
    guest.close(700).expect("open");
    assert_eq!(guest.open(WRITABLE, "new", How::CREATE), Ok(700));
}

#[test]
fn a_folder_that_is_gone() {
    let scene = Scene::new();
    let mut guest = Guest::new(scene.grants());
    let folder = guest.open(WRITABLE, "dir/deep", How::DIRECTORY).expect("a folder");
    let listed = guest.open(WRITABLE, "dir/deep", How::DIRECTORY).expect("a folder");
    assert_eq!(guest.names(listed).expect("names").len(), 2);
    guest.at("path_remove_directory", WRITABLE, "dir/deep").expect("an empty folder");
    assert_eq!(guest.open(folder, "new", How::CREATE), Err(NOENT));
    assert_eq!(guest.at("path_create_directory", folder, "new"), Err(NOENT));
    assert_eq!(guest.symlink("a", folder, "new"), Err(NOENT));
    assert_eq!(guest.rename((WRITABLE, "a"), (folder, "a")), Err(NOENT));
    assert!(guest.open(folder, "..", How::DIRECTORY).is_err());
    for descriptor in [folder, listed] {
        let names = guest.names(descriptor);
        assert!(matches!(&names, Err(NOENT)) || names == Ok(Vec::new()), "{names:?}");
        assert!(guest.size(descriptor).is_ok());
    }
    // A new one of the same name is another one.
    guest.at("path_create_directory", WRITABLE, "dir/deep").expect("a folder");
    assert_eq!(guest.open(folder, "new", How::CREATE), Err(NOENT));
    // A file that is gone can still be read and written.
    let file = guest.open(WRITABLE, "a", How { rights: READ | WRITE, ..How::READ }).expect("a");
    guest.at("path_unlink_file", WRITABLE, "a").expect("a file");
    assert_eq!(guest.read(file, 100), Ok(CONTENTS.to_vec()));
    assert_eq!(guest.write(file, b"more"), Ok(4));
}

#[test]
fn beyond_four_gibibytes() {
    const FAR: u64 = 5 << 30;
    let scene = Scene::new();
    let mut guest = Guest::new(scene.grants());
    let file = guest.open(WRITABLE, "large", How::CREATE).expect("a file");
    assert_eq!(guest.seek(file, FAR.cast_signed(), 0), Ok(FAR));
    assert_eq!(guest.write(file, b"far"), Ok(3));
    assert_eq!(guest.size(file), Ok(FAR + 3));
    assert_eq!(guest.stat(WRITABLE, true, "large"), Ok((4, FAR + 3)));
    assert_eq!(guest.write_at(file, b"further", FAR * 2), Ok(7));
    assert_eq!(guest.seek(file, 0, 1), Ok(FAR + 3), "a write at an offset moves nothing");
    assert_eq!(guest.read_at(file, 100, FAR * 2), Ok(b"further".to_vec()));
    assert_eq!(guest.read_at(file, 4, FAR - 1), Ok(b"\0far".to_vec()));
    assert_eq!(guest.seek(file, -7, 2), Ok(FAR * 2));
    assert_eq!(guest.read(file, 100), Ok(b"further".to_vec()));
    assert_eq!(guest.seek(file, -(FAR.cast_signed()), 1), Ok(FAR + 7));
    assert_eq!(guest.ask("fd_filestat_set_size", &[file.into(), FAR + 1]), Ok(()));
    assert_eq!(guest.size(file), Ok(FAR + 1));
    assert_eq!(guest.read_at(file, 100, FAR), Ok(b"f".to_vec()));
    let mut byte = [0];
    File::open(scene.writable().join("large")).unwrap().read_exact_at(&mut byte, FAR).unwrap();
    assert_eq!(byte, *b"f", "the host sees it there too");
    // Where no file goes.
    for offset in [u64::MAX, 1 << 63, (1 << 63) - 1] {
        let written = guest.write_at(file, b"x", offset);
        assert!(matches!(written, Err(INVAL | 22 | 61)), "{offset:#x}: {written:?}");
        let size = guest.ask("fd_filestat_set_size", &[file.into(), offset]);
        assert!(matches!(size, Err(INVAL | 22)) || offset == (1 << 63) - 1, "{size:?}");
    }
    for (offset, whence) in [(-1, 0), (i64::MIN, 0), (i64::MIN, 1), (i64::MIN, 2), (i64::MAX, 2)] {
        let sought = guest.seek(file, offset, whence);
        assert!(matches!(sought, Err(INVAL | 61)), "{offset} {whence}: {sought:?}");
    }
}

#[test]
fn how_a_file_behaves_can_be_changed() {
    let scene = Scene::new();
    let mut guest = Guest::new(scene.grants());
    let file = guest.open(WRITABLE, "a", How { flags: NONBLOCK, ..How::WRITE }).expect("a file");
    let flags = |guest: &mut Guest| {
        guest.ask("fd_fdstat_get", &[file.into(), 0]).expect("attributes");
        u64::from(u16::from_le_bytes(guest.get::<2>(2)))
    };
    assert_eq!(flags(&mut guest), NONBLOCK);
    assert_eq!(guest.ask("fd_fdstat_set_flags", &[file.into(), APPEND]), Ok(()));
    assert_eq!(flags(&mut guest), APPEND);
    assert_eq!(guest.write(file, b"end"), Ok(3));
    let whole = fs::read(scene.writable().join("a")).unwrap();
    assert_eq!(whole, [CONTENTS, b"end"].concat(), "appended, though the position was 0");
    assert_eq!(guest.ask("fd_fdstat_set_flags", &[file.into(), 0]), Ok(()));
    assert_eq!(flags(&mut guest), 0);
    // How writes reach the disk was settled when it was opened.
    assert_eq!(guest.ask("fd_fdstat_set_flags", &[file.into(), 16]), Err(INVAL));
    let how = How { how: CREAT | EXCL, ..How::CREATE };
    assert_eq!(guest.open(WRITABLE, "a", how), Err(20));
}

#[test]
fn a_descriptor_can_be_waited_for_more_often_than_a_process_has_any() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    if !in_a_child("a_descriptor_can_be_waited_for_more_often_than_a_process_has_any") {
        return;
    }
    const SUBSCRIPTIONS: u32 = 64;
    const EVENTS: u32 = 0x1_0000;
    const COUNT: u32 = 1100;
    let scene = Scene::new();
    let mut guest = Guest::new(scene.grants());
    let file =
        guest.open(WRITABLE, "a", How { rights: READ | WRITE, ..How::READ }).expect("a file");
    for number in 0..COUNT {
        // Read and write by turns.
        let mut record = [0; 48];
        record[..4].copy_from_slice(&number.to_le_bytes());
        record[8] = 1 + (number % 2) as u8;
        record[16..20].copy_from_slice(&file.to_le_bytes());
        guest.put(SUBSCRIPTIONS + number * 48, &record);
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(1024), maximum: Some(1024) }).unwrap();
    let arguments = [SUBSCRIPTIONS.into(), EVENTS.into(), COUNT.into(), 0];
    assert_eq!(guest.ask("poll_oneoff", &arguments), Ok(()));
    assert_eq!(guest.word(0), COUNT);
    for number in 0..COUNT {
        let event = guest.get::<32>(EVENTS + number * 32);
        assert_eq!(event[..4], number.to_le_bytes());
        assert_eq!(u32::from(event[10]), 1 + number % 2);
        let ready = if number % 2 == 0 { CONTENTS.len() as u64 } else { 0 };
        assert_eq!(event[16..24], ready.to_le_bytes());
    }
}
