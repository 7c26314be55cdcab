//! A container's root, looked into from outside without leaving it.
//!
//! Assumes nothing of what is in it: links, devices and FIFOs may be anywhere. Guarantees that a
//! path is followed as the container would follow it (`openat2` with `RESOLVE_IN_ROOT`), that
//! nothing but a regular file is ever opened, and that a mount which covers a path is looked
//! into in its place.

use crate::bundle::{Bundle, Mount};
use crate::refusal::{Defect, Refusal};
use rustix::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The folder in which the node's loader and what it reads stand in a container.
pub const PLACE: &str = "/etc/bls";
/// How often a path is tried that somebody changes meanwhile.
const TRIES: u32 = 16;

/// A container's root.
#[derive(Debug)]
pub struct Inside<'a> {
    root: OwnedFd,
    bundle: &'a Bundle,
}

impl<'a> Inside<'a> {
    /// Opens the root of a bundle; `None` where it cannot be opened.
    #[must_use]
    pub fn open(bundle: &'a Bundle) -> Option<Self> {
        let path = bundle.folder.join(&bundle.spec.root.path);
        let root = folder(&path)?;
        Some(Self { root, bundle })
    }

    /// Opens a regular file by its absolute path in the container; `None` where there is none.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<File> {
        let plain = plain(path);
        let mounts = self.bundle.spec.mounts.iter().flatten();
        // Of mounts that cover it the last one does.
        let covering = mounts
            .rev()
            .find_map(|mount| below(&plain, &plain_of(mount)).map(|rest| (mount, rest.to_owned())));
        let Some((mount, rest)) = covering else {
            return file(self.root.as_fd(), Path::new(path));
        };
        let source = self.source(mount)?;
        match rest.as_str() {
            "" => file_itself(&source),
            rest => file(folder(&source)?.as_fd(), Path::new(rest)),
        }
    }

    /// What a bind mount shows, on this machine.
    #[must_use]
    pub fn source(&self, mount: &Mount) -> Option<PathBuf> {
        let source = mount.source.as_ref().filter(|_| mount.is_bind())?;
        Some(self.bundle.folder.join(source))
    }

    /// Refuses a root in which [`PLACE`] is not a place that is the container's alone: where the
    /// way to it is a link, or a mount is on it, somebody else could put another file there
    /// between a look and the next.
    ///
    /// # Errors
    /// Which of the two.
    pub fn check_place(&self) -> Result<(), Refusal> {
        let taken = |what: String| {
            let hint = "bls-oci keeps the loader and whom to trust there: leave it to it";
            Refusal::new(Defect::Place, what, hint)
        };
        for path in [Path::new(PLACE).parent().unwrap_or(Path::new("/")), Path::new(PLACE)] {
            match look(self.root.as_fd(), path, ResolveFlags::NO_SYMLINKS) {
                Ok((_, status)) if is(&status, FileType::Directory) => {}
                Err(Errno::NOENT) => {}
                _ => {
                    return Err(taken(format!("{} of this image is no folder", path.display())));
                }
            }
        }
        let parent = look(self.root.as_fd(), Path::new("/etc"), ResolveFlags::empty());
        for mount in self.bundle.spec.mounts.iter().flatten() {
            let destination = plain_of(mount);
            let path = Path::new(&destination);
            let covers = |status: &Stat| {
                parent.as_ref().is_ok_and(|(_, parent)| {
                    (status.st_dev, status.st_ino) == (parent.st_dev, parent.st_ino)
                })
            };
            let is_on_it = destination == "/" || destination == "/etc";
            let leads_there = match look(self.root.as_fd(), path, ResolveFlags::empty()) {
                Ok((_, status)) => covers(&status),
                // What is missing is made, behind whichever links are on the way.
                Err(_) => matches!(
                    look(self.root.as_fd(), path, ResolveFlags::NO_SYMLINKS),
                    Err(Errno::LOOP)
                ),
            };
            if is_on_it || leads_there {
                let what = format!(
                    "the mount {} covers /etc, or a link leads it there",
                    mount.destination
                );
                return Err(taken(what));
            }
        }
        Ok(())
    }
}

/// The destination of a mount, plain.
#[must_use]
pub fn plain_of(mount: &Mount) -> String {
    plain(&mount.destination)
}

/// An absolute path without empty, `.` and `..` components, as it reads; links are not known.
#[must_use]
pub fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// What of `path` is below `folder`, both plain; empty where they are the same.
#[must_use]
pub fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    if folder == "/" {
        return path.strip_prefix('/');
    }
    let rest = path.strip_prefix(folder)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

fn is(status: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(status.st_mode) == kind
}

fn folder(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

/// What a path leads to, with `root` as the root; opened for nothing.
fn look(root: BorrowedFd<'_>, path: &Path, more: ResolveFlags) -> Result<(OwnedFd, Stat), Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | more;
    let mut tries = TRIES;
    let found = loop {
        match openat2(root, path, flags, Mode::empty(), how) {
            Err(Errno::AGAIN) if tries > 0 => tries -= 1,
            found => break found?,
        }
    };
    let status = fstat(&found)?;
    Ok((found, status))
}

/// A regular file below `root`, open for reading.
fn file(root: BorrowedFd<'_>, path: &Path) -> Option<File> {
    let (found, status) = look(root, path, ResolveFlags::empty()).ok()?;
    reopened(&found, &status)
}

/// A regular file of this machine, as a mount of it would show it.
fn file_itself(path: &Path) -> Option<File> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let status = fstat(&found).ok()?;
    reopened(&found, &status)
}

fn reopened(found: &OwnedFd, status: &Stat) -> Option<File> {
    if !is(status, FileType::RegularFile) {
        return None;
    }
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::empty()).ok().map(File::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    /// A bundle with a root, and mounts as JSON; `DIR` stands for its folder.
    fn bundle(folder: &Path, mounts: &str) -> Bundle {
        let mounts = mounts.replace("DIR", folder.to_str().unwrap());
        std::fs::create_dir_all(folder.join("rootfs/etc")).unwrap();
        let text = format!(r#"{{"root":{{"path":"rootfs"}},"mounts":[{mounts}]}}"#);
        std::fs::write(folder.join("config.json"), text).unwrap();
        Bundle::open(folder, None).unwrap().unwrap()
    }

    fn read(inside: &Inside<'_>, path: &str) -> Option<String> {
        let mut text = String::new();
        inside.file(path)?.read_to_string(&mut text).unwrap();
        Some(text)
    }

    #[test]
    fn a_path_never_leaves_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let bundle = bundle(folder.path(), "");
        std::fs::write(at("outside"), "outside").unwrap();
        std::fs::write(at("rootfs/inside"), "inside").unwrap();
        for (name, target) in [
            ("up", "../outside"),
            ("far", "../../../../../../inside"),
            ("absolute", "/inside"),
            ("out", at("outside").to_str().unwrap()),
            ("circle", "circle"),
            ("magic", "/proc/self/exe"),
        ] {
            symlink(target, at("rootfs").join(name)).unwrap();
        }
        rustix::fs::mknodat(rustix::fs::CWD, at("rootfs/fifo"), FileType::Fifo, Mode::RUSR, 0)
            .unwrap();
        let inside = Inside::open(&bundle).unwrap();
        for (path, text) in [
            ("/inside", Some("inside")),
            ("/etc/../inside", Some("inside")),
            ("/../../inside", Some("inside")),
            ("/far", Some("inside")),
            ("/absolute", Some("inside")),
            ("/up", None),
            ("/out", None),
            ("/../outside", None),
            ("/circle", None),
            ("/magic", None),
            ("/fifo", None),
            ("/etc", None),
            ("/missing", None),
        ] {
            assert_eq!(read(&inside, path).as_deref(), text, "{path}");
        }
    }

    #[test]
    fn a_mount_hides_what_is_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let bundle = bundle(
            folder.path(),
            r#"{"destination":"/v","type":"bind","source":"DIR/volume","options":["rbind"]},
               {"destination":"/one","type":"none","source":"DIR/one","options":["bind"]},
               {"destination":"/v/tmp","type":"tmpfs","source":"tmpfs"}"#,
        );
        std::fs::create_dir_all(at("rootfs/v")).unwrap();
        std::fs::create_dir_all(at("volume/tmp")).unwrap();
        for (name, text) in
            [("rootfs/v/a", "hidden"), ("volume/a", "shown"), ("volume/tmp/b", "b"), ("one", "1")]
        {
            std::fs::write(at(name), text).unwrap();
        }
        symlink("/../../one", at("volume/link")).unwrap();
        let inside = Inside::open(&bundle).unwrap();
        assert_eq!(read(&inside, "/v/a").as_deref(), Some("shown"));
        assert_eq!(read(&inside, "/one").as_deref(), Some("1"));
        for path in ["/v/tmp/b", "/v/link", "/v", "/one/x"] {
            assert_eq!(read(&inside, path), None, "{path}");
        }
    }

    #[test]
    fn the_place_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let check =
            |mounts: &str| Inside::open(&bundle(folder.path(), mounts)).unwrap().check_place();
        check("").unwrap();
        check(r#"{"destination":"/etc/hosts"},{"destination":"/etc/bls/trust.json"},{"destination":"/new/x"}"#)
            .unwrap();
        symlink("/etc", at("rootfs/data")).unwrap();
        symlink("/nowhere", at("rootfs/dangling")).unwrap();
        for mounts in ["/etc", "/etc/", "/x/../etc", "/", "/data", "/dangling", "/dangling/y"] {
            let error = check(&format!(r#"{{"destination":"{mounts}"}}"#)).unwrap_err();
            assert_eq!(error.defect, Defect::Place, "{mounts}");
        }
        symlink("/data", at("rootfs/etc/bls")).unwrap();
        assert_eq!(check("").unwrap_err().defect, Defect::Place);
        std::fs::remove_file(at("rootfs/etc/bls")).unwrap();
        std::fs::remove_dir(at("rootfs/etc")).unwrap();
        let bundle = bundle(folder.path(), "");
        std::fs::remove_dir(at("rootfs/etc")).unwrap();
        Inside::open(&bundle).unwrap().check_place().unwrap();
        symlink("/data", at("rootfs/etc")).unwrap();
        let error = Inside::open(&bundle).unwrap().check_place().unwrap_err();
        assert_eq!(error.defect, Defect::Place);
    }

    #[test]
    fn plain_paths() {
        for (path, expected) in
            [("", "/"), ("/", "/"), ("//a/./b/", "/a/b"), ("/a/../../b", "/b"), ("a", "/a")]
        {
            assert_eq!(plain(path), expected);
        }
        assert_eq!(below("/a/b", "/a"), Some("b"));
        assert_eq!(below("/a", "/a"), Some(""));
        assert_eq!(below("/ab", "/a"), None);
        assert_eq!(below("/ab", "/"), Some("ab"));
    }
}
