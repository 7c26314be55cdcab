//! Links that a path leads through: followed here, one after the other, and paid for.
//!
//! The kernel can follow links by itself, and then says neither how many there were nor how
//! long. So a path is looked up as if there were none, which fails where there is one; most
//! paths have none, and for those that is all. Where it fails, the first link is found by
//! trying ever smaller parts of the path, what it says takes its place in the path, and all
//! begins again: `notes/link/x`, with a link to `../b`, is `notes/../b/x`. What is paid depends
//! on the path and the links alone, not on how the system looks them up.
//!
//! Guarantees that no path leads out of the folder it starts from: the kernel sees to it
//! (`RESOLVE_BENEATH`), and where it cannot (Linux before 5.6), each name is opened by itself,
//! and `..` goes back to a folder that was come from. Opens mere places (`O_PATH`), which
//! neither reads nor wakes anything. Does not judge what was found (`place.rs`).

use crate::host::price::Purse;
use bls_artifact::limits::PATH_BYTES_MAX;
use cap_std::fs::Dir;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use std::ffi::CString;
use std::io;
use std::ops::Range;

/// Links that one path may lead through: the kernel's own limit.
const LINKS_MAX: usize = 40;
/// How often a path is tried again when names changed anywhere meanwhile.
const ATTEMPTS_MAX: u32 = 4;

/// Opens what a path leads to, as a mere place. With `NOFOLLOW` among the flags a link at its
/// end is what it leads to, unless slashes stand behind it.
pub(crate) fn open(purse: &Purse, dir: &Dir, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
    let opened = match open_plain(dir, path.as_bytes(), flags) {
        Err(Errno::LOOP) => follow(purse, dir, path.as_bytes().to_vec(), flags),
        opened => opened,
    };
    opened.map_err(|error| match error {
        Errno::XDEV => io::ErrorKind::PermissionDenied.into(),
        error => error.into(),
    })
}

/// The same of a path that has a link.
fn follow(purse: &Purse, dir: &Dir, mut path: Vec<u8>, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut start = 0;
    for _ in 0..LINKS_MAX {
        let (place, text) = first_link(dir, &path, start)?;
        let before = path.get(..place.start).unwrap_or_default();
        let behind = path.get(place.end..).unwrap_or_default();
        path = [before, text.as_bytes(), behind].concat();
        start = place.start;
        purse.owe_link(path.len());
        // An absolute one leads out of the folder.
        if text.as_bytes().starts_with(b"/") {
            return Err(Errno::XDEV);
        }
        if path.len() >= PATH_BYTES_MAX as usize {
            return Err(Errno::NAMETOOLONG);
        }
        match open_plain(dir, &path, flags) {
            Err(Errno::LOOP) => {}
            opened => return opened,
        }
    }
    Err(Errno::LOOP)
}

/// Where in a path the first link's name is, and what the link says. There is one, if nothing
/// changed, and it does not end before `start`.
fn first_link(dir: &Dir, path: &[u8], start: usize) -> Result<(Range<usize>, CString), Errno> {
    let names = names(path);
    let mut low = names.partition_point(|name| name.end <= start);
    let mut high = names.len();
    // Farther and farther, until it is passed; from then on by halves.
    let (mut step, mut passed) = (1, false);
    while low < high {
        let middle = if passed { usize::midpoint(low, high) } else { (low + step).min(high) - 1 };
        step *= 2;
        let Some(name) = names.get(middle).cloned() else { break };
        let part = path.get(..name.end).unwrap_or_default();
        match open_plain(dir, part, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC) {
            Err(Errno::LOOP) => (high, passed) = (middle, true),
            Err(error) => return Err(error),
            Ok(place) => match readlinkat(&place, c"", Vec::new()) {
                Ok(text) => return Ok((name, text)),
                Err(Errno::NOENT | Errno::INVAL) => low = middle + 1,
                Err(error) => return Err(error),
            },
        }
    }
    Err(Errno::AGAIN)
}

/// Where the names in a path are.
fn names(path: &[u8]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut names = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        if !name.is_empty() {
            names.push(start..start + name.len());
        }
        start += name.len() + 1;
    }
    names
}

/// Opens what a path without links leads to; `LOOP` where there is one.
fn open_plain(dir: &Dir, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    const RESOLVE: ResolveFlags =
        ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
    let text = CString::new(path).map_err(|_| Errno::INVAL)?;
    for _ in 0..ATTEMPTS_MAX {
        match openat2(dir, &*text, flags, Mode::empty(), RESOLVE) {
            Err(Errno::AGAIN) => {}
            // The system does not have it, or somebody keeps it from us.
            Err(Errno::NOSYS | Errno::PERM) => break,
            opened => return opened,
        }
    }
    open_by_name(dir, path, flags)
}

/// The same, name by name.
fn open_by_name(dir: &Dir, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    if path.starts_with(b"/") {
        return Err(Errno::XDEV);
    }
    let mut opened: Vec<OwnedFd> = Vec::new();
    for name in names(path) {
        let is_last = name.end == path.len();
        match path.get(name).unwrap_or_default() {
            b"." => {}
            b".." => drop(opened.pop().ok_or(Errno::XDEV)?),
            name => {
                let name = CString::new(name).map_err(|_| Errno::INVAL)?;
                let place = openat(
                    here(dir, &opened),
                    &*name,
                    OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    Mode::empty(),
                )?;
                let kind = FileType::from_raw_mode(fstat(&place)?.st_mode);
                let wants_folder = !is_last || flags.contains(OFlags::DIRECTORY);
                match kind {
                    FileType::Directory => {}
                    FileType::Symlink if !is_last || !flags.contains(OFlags::NOFOLLOW) => {
                        return Err(Errno::LOOP);
                    }
                    _ if wants_folder => return Err(Errno::NOTDIR),
                    _ => {}
                }
                opened.push(place);
            }
        }
    }
    match opened.pop() {
        Some(place) => Ok(place),
        None => fcntl_dupfd_cloexec(dir, 0),
    }
}

/// Where a walk stands.
fn here<'a>(dir: &'a Dir, opened: &'a [OwnedFd]) -> BorrowedFd<'a> {
    opened.last().map_or(dir.as_fd(), AsFd::as_fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;
    use std::fs::{create_dir_all, write};
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder that is gone when the test is done.
    struct Folder(PathBuf);

    impl Folder {
        fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// A folder with a file `a/b/file`, and links.
    fn scene() -> (Folder, Dir) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("bls-links-{}-{number}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        create_dir_all(folder.path().join("a/b")).expect("folders");
        write(folder.path().join("a/b/file"), "x").expect("a file");
        for (name, text) in [
            ("to-a", "a"),
            ("a/up", ".."),
            ("a/to-file", "b/file"),
            ("round", "round"),
            ("out", "../x"),
            ("root", "/"),
            ("nowhere", "nothing"),
            ("slash", "a/"),
        ] {
            symlink(text, folder.path().join(name)).expect("a link");
        }
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).expect("a folder");
        (folder, dir)
    }

    const PATHS: [(&str, Option<&str>); 22] = [
        ("a", None),
        ("a/b/file", None),
        ("a/b/../b/./file", None),
        ("a/b/file/", None),
        ("a/b/file/x", None),
        ("a//b//", None),
        (".", None),
        ("a/..", None),
        ("..", None),
        ("a/../..", None),
        ("/", None),
        ("/a", None),
        ("", None),
        ("nothing", None),
        ("nothing/..", None),
        ("to-a/b/file", Some("a/b/file")),
        ("a/up/to-a/to-file", Some("a/../a/b/file")),
        ("a/to-file", Some("a/b/file")),
        ("slash", Some("a/")),
        ("nowhere", Some("nothing")),
        ("round", None),
        ("a/up/root/a", None),
    ];

    #[test]
    fn without_the_kernels_help_a_path_leads_to_the_same() {
        let (_folder, dir) = scene();
        for (path, _) in PATHS {
            for more in [OFlags::empty(), OFlags::DIRECTORY, OFlags::NOFOLLOW] {
                let flags = OFlags::PATH | OFlags::CLOEXEC | more;
                let file = |opened: Result<OwnedFd, Errno>| {
                    opened.map(|place| fstat(place).expect("attributes").st_ino)
                };
                let there = file(open_plain(&dir, path.as_bytes(), flags));
                let here = file(open_by_name(&dir, path.as_bytes(), flags));
                assert_eq!(here, there, "{path:?} {more:?}");
            }
        }
    }

    /// What one link costs that leaves this path.
    fn price(path: &str) -> u64 {
        let purse = Purse::default();
        purse.owe_link(path.len());
        purse.owed()
    }

    #[test]
    fn each_link_pays_for_the_path_in_which_it_was_replaced() {
        let (_folder, dir) = scene();
        for (path, last) in PATHS {
            let purse = Purse::default();
            let opened = open(&purse, &dir, path, OFlags::empty());
            if let Some(last) = last {
                let same = open(&Purse::default(), &dir, last, OFlags::empty());
                assert_eq!(opened.is_ok(), same.is_ok(), "{path}");
                assert!(purse.owed() >= price(last), "{path}");
            } else if !["round", "a/up/root/a"].contains(&path) {
                assert_eq!(purse.owed(), 0, "{path}");
            }
        }
        let one = Purse::default();
        assert!(open(&one, &dir, "to-a/b/file", OFlags::empty()).is_ok());
        assert_eq!(one.owed(), price("a/b/file"));
        let unfollowed = Purse::default();
        assert!(open(&unfollowed, &dir, "round", OFlags::NOFOLLOW).is_ok());
        assert_eq!(unfollowed.owed(), 0);
    }

    #[test]
    fn what_leads_out_or_round_is_refused() {
        let (_folder, dir) = scene();
        let refused = |path: &str| {
            let error = open(&Purse::default(), &dir, path, OFlags::empty()).expect_err(path);
            (error.kind(), error.raw_os_error())
        };
        for path in ["out", "root", "a/up/root/etc", "a/up/out", "..", "/a"] {
            assert_eq!(refused(path), (io::ErrorKind::PermissionDenied, None), "{path}");
        }
        assert_eq!(refused("round").1, Some(Errno::LOOP.raw_os_error()));
    }

    #[test]
    fn as_many_links_are_followed_as_the_kernel_follows() {
        let (folder, dir) = scene();
        symlink("a", folder.path().join("1")).expect("a link");
        for number in 2..=LINKS_MAX + 1 {
            let text = (number - 1).to_string();
            symlink(text, folder.path().join(number.to_string())).expect("a link");
        }
        for number in [LINKS_MAX, LINKS_MAX + 1] {
            let path = number.to_string();
            let here = open(&Purse::default(), &dir, &path, OFlags::empty());
            let kernel = std::fs::metadata(folder.path().join(&path));
            assert_eq!(here.is_ok(), kernel.is_ok(), "{number}");
            assert_eq!(here.is_ok(), number == LINKS_MAX, "{number}");
        }
    }
}
