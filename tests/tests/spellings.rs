//! Paths that end with a slash or a dot, held against what the kernel says of the same
//! path in the same folder.
//!
//! Each call is made on a fresh folder by the guest, and on another by the kernel; errno and
//! what is there afterwards must be the same. Paths that lead out of the folder are not
//! tried: those are `escape.rs`'s.

use bls_loader::host::Grants;
use bls_tests::guest::{Given, Guest, How};
use bls_tests::host_driver::preopen;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const FOLDER: u32 = 3;

/// What a path may be of: a file, folders full and empty, links to each, to nothing and to
/// itself, and nothing.
const NAMES: [&str; 9] =
    ["file", "full", "empty", "to-file", "to-full", "to-empty", "dangling", "circle", "none"];
/// How it is spelt.
const ENDS: [&str; 7] = ["", "/", "/.", "//", "/./", "/..", "/x"];
const STARTS: [&str; 2] = ["", "./"];

fn lay_out(folder: &Path) {
    fs::write(folder.join("file"), b"12345").unwrap();
    fs::create_dir_all(folder.join("full/y")).unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    for (link, target) in [
        ("to-file", "file"),
        ("to-full", "full"),
        ("to-empty", "empty"),
        ("dangling", "nowhere"),
        ("circle", "circle"),
    ] {
        symlink(target, folder.join(link)).unwrap();
    }
}

/// WASI's number of what the kernel said.
fn errno(error: Errno) -> u32 {
    match error {
        Errno::ACCESS => 2,
        Errno::BUSY => 10,
        Errno::EXIST => 20,
        Errno::INVAL => 28,
        Errno::ISDIR => 31,
        Errno::LOOP => 32,
        Errno::NOENT => 44,
        Errno::NOTDIR => 54,
        Errno::NOTEMPTY => 55,
        Errno::PERM => 63,
        other => panic!("{other}"),
    }
}

fn spellings() -> impl Iterator<Item = String> {
    STARTS.into_iter().flat_map(|start| {
        NAMES
            .into_iter()
            .flat_map(move |name| ENDS.into_iter().map(move |end| format!("{start}{name}{end}")))
    })
}

fn guest(folder: &Path) -> Guest {
    Guest::new(Grants { preopens: vec![preopen(folder, "/", false)], ..Grants::default() })
}

fn root(folder: &Path) -> fs::File {
    fs::File::open(folder).expect("a folder")
}

#[test]
fn what_a_path_says_of_its_end_holds() {
    let folder = fresh();
    let root = root(folder.path());
    let mut guest = guest(folder.path());
    for path in spellings() {
        for follow in [false, true] {
            let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
            let kernel = rustix::fs::statat(&root, &*path, flags).map_err(errno).map(|stat| {
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory => 3,
                    FileType::RegularFile => 4,
                    FileType::Symlink => 7,
                    other => panic!("{other:?}"),
                }
            });
            let ours = guest.stat(FOLDER, follow, &path).map(|(kind, _)| kind);
            assert_eq!(ours, kernel, "attributes of {path:?}, follow: {follow}");
            let how = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
            let kernel = rustix::fs::openat(&root, &*path, how | OFlags::RDONLY, Mode::empty());
            let ours = guest.open(FOLDER, &path, How { follow, ..How::READ });
            if let Ok(descriptor) = ours {
                guest.close(descriptor).expect("open");
            }
            assert_eq!(ours.map(drop), kernel.map(drop).map_err(errno), "open {path:?}, {follow}");
            let times = guest.set_times(FOLDER, follow, &path, 5);
            assert_eq!(times.is_ok(), kernel_sets_times(&root, &path, flags), "times of {path:?}");
        }
        let kernel = rustix::fs::readlinkat(&root, &*path, Vec::new());
        let kernel = kernel.map(|text| text.into_bytes()).map_err(errno);
        assert_eq!(guest.read_link(FOLDER, &path), kernel, "text of {path:?}");
    }
}

fn kernel_sets_times(root: &fs::File, path: &str, flags: AtFlags) -> bool {
    let five = rustix::fs::Timespec { tv_sec: 0, tv_nsec: 5 };
    let times = rustix::fs::Timestamps { last_access: five, last_modification: five };
    rustix::fs::utimensat(root, path, &times, flags).is_ok()
}

/// Everything in a folder: of a link what it says, of a file that it is one.
fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let what = match fs::read_link(&path) {
            Ok(target) => target.display().to_string(),
            Err(_) if path.is_dir() => format!("folder {:?}", tree(&path)),
            Err(_) => "file".to_owned(),
        };
        found.insert(name, what);
    }
    found
}

/// A fresh folder, in memory where the system has such a place.
fn fresh() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.expect("a folder");
    lay_out(folder.path());
    folder
}

/// Does something with each spelling by both, each on a fresh folder. Where two things are
/// wrong with a path, which of them is named may differ if `any_error` says so.
fn compare(
    what: &str,
    any_error: bool,
    ours: impl Fn(&mut Guest, &str) -> Given<()>,
    kernel: impl Fn(&fs::File, &str) -> Result<(), Errno>,
) {
    for path in spellings() {
        let (one, other) = (fresh(), fresh());
        let ours = ours(&mut guest(one.path()), &path);
        let kernel = kernel(&root(other.path()), &path).map_err(errno);
        let both_fail = any_error && ours.is_err() && kernel.is_err();
        assert!(ours == kernel || both_fail, "{what} {path:?}: {ours:?}, and {kernel:?}");
        assert_eq!(tree(one.path()), tree(other.path()), "{what} {path:?}");
    }
}

#[test]
fn what_changes_a_folder_judges_a_path_as_the_kernel_does() {
    let at = |name: &'static str| move |guest: &mut Guest, path: &str| guest.at(name, FOLDER, path);
    compare("unlink", true, at("path_unlink_file"), |root, path| {
        rustix::fs::unlinkat(root, path, AtFlags::empty())
    });
    compare("rmdir", true, at("path_remove_directory"), |root, path| {
        rustix::fs::unlinkat(root, path, AtFlags::REMOVEDIR)
    });
    compare("mkdir", false, at("path_create_directory"), |root, path| {
        rustix::fs::mkdirat(root, path, Mode::RWXU)
    });
    compare(
        "symlink",
        true,
        |guest, path| guest.symlink("file", FOLDER, path),
        |root, path| rustix::fs::symlinkat("file", root, path),
    );
    compare(
        "link from",
        false,
        |guest, path| guest.link(false, (FOLDER, path), (FOLDER, "new")),
        |root, path| rustix::fs::linkat(root, path, root, "new", AtFlags::empty()),
    );
    compare(
        "rename from",
        false,
        |guest, path| guest.rename((FOLDER, path), (FOLDER, "new")),
        |root, path| rustix::fs::renameat(root, path, root, "new"),
    );
    compare(
        "rename a file to",
        false,
        |guest, path| guest.rename((FOLDER, "file"), (FOLDER, path)),
        |root, path| rustix::fs::renameat(root, "file", root, path),
    );
}
