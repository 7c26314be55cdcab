//! A folder that was granted to be read only: changed by every way to change one.
//!
//! Where folders are granted, another one may be changed, so that the calls themselves are
//! allowed, and both folders are on one filesystem.

use super::outside::open;
use super::script::Script;
use super::{Attempt, Scene, Stopped, Trace, Worked};
use libc as c;
use std::os::unix::fs::MetadataExt as _;

/// Whether the file that stands there in every scene is another one now.
fn changed(scene: &Scene, _: &Trace) -> bool {
    scene.text("ro/file") != "kept"
}

fn made(scene: &Scene, _: &Trace) -> bool {
    scene.has("ro/new")
}

/// Whether there is a program that gives its starter the owner's rights.
fn is_setuid(scene: &Scene, _: &Trace) -> bool {
    let about = scene.path("rw/new").metadata();
    about.is_ok_and(|about| about.mode() & 0o4000 != 0 && about.len() > 0)
}

const HERE: i32 = c::AT_FDCWD;

/// Renames, with these flags.
fn rename(scene: &Scene, s: &mut Script, from: &str, to: &str, flags: u32) {
    let (from, to) = (s.text(scene.path(from)), s.text(scene.path(to)));
    s.call(c::SYS_renameat2, &[HERE.into(), from, HERE.into(), to, flags.into()]);
}

#[rustfmt::skip]
pub(super) fn attempts() -> Vec<Attempt> {
    use Stopped::Landlock;
    use Worked::{Last, When};
    vec![
        Attempt::new("ro-write", "write a file that may only be read", When(changed), |scene, s| {
            let file = open(s, scene.path("ro/file"), c::O_WRONLY);
            let text = s.text("lost");
            s.call(c::SYS_write, &[file, text, 4.into()]);
        }).with_folders(Landlock),
        Attempt::new("ro-append", "open it to read and to append", When(changed), |scene, s| {
            let file = open(s, scene.path("ro/file"), c::O_RDWR | c::O_APPEND);
            let text = s.text("lost");
            s.call(c::SYS_write, &[file, text, 4.into()]);
        }).with_folders(Landlock),
        Attempt::new("ro-truncate-open", "empty it by opening it", When(changed), |scene, s| {
            open(s, scene.path("ro/file"), c::O_RDONLY | c::O_TRUNC);
        }).with_folders(Landlock),
        Attempt::new("ro-truncate", "empty it by its path", When(changed), |scene, s| {
            let path = s.text(scene.path("ro/file"));
            s.call(c::SYS_truncate, &[path, 0.into()]);
        }),
        Attempt::new("ro-create", "make a file in the folder", When(made), |scene, s| {
            open(s, scene.path("ro/new"), c::O_WRONLY | c::O_CREAT);
        }).with_folders(Landlock),
        Attempt::new("ro-mkdir", "make a folder in it", When(made), |scene, s| {
            let path = s.text(scene.path("ro/new"));
            s.call(c::SYS_mkdirat, &[HERE.into(), path, 0o700.into()]);
        }).with_folders(Landlock),
        Attempt::new("ro-symlink", "make a link in it", When(made), |scene, s| {
            let (to, path) = (s.text("file"), s.text(scene.path("ro/new")));
            s.call(c::SYS_symlinkat, &[to, HERE.into(), path]);
        }).with_folders(Landlock),
        Attempt::new("ro-link", "give a file in it a second name there", When(made), |scene, s| {
            let (from, to) = (s.text(scene.path("ro/file")), s.text(scene.path("ro/new")));
            s.call(c::SYS_linkat, &[HERE.into(), from, HERE.into(), to, 0.into()]);
        }).with_folders(Landlock),
        Attempt::new("ro-link-write", "give it a name where changes are granted, and write it by that", When(changed), |scene, s| {
            let (from, to) = (s.text(scene.path("ro/file")), s.text(scene.path("rw/new")));
            let linked = s.call(c::SYS_linkat, &[HERE.into(), from, HERE.into(), to, 0.into()]);
            s.need(linked);
            let file = open(s, scene.path("rw/new"), c::O_WRONLY);
            let text = s.text("lost");
            s.call(c::SYS_write, &[file, text, 4.into()]);
        }).with_folders(Landlock),
        Attempt::new("ro-unlink", "remove a file in it", When(changed), |scene, s| {
            let path = s.text(scene.path("ro/file"));
            s.call(c::SYS_unlinkat, &[HERE.into(), path, 0.into()]);
        }).with_folders(Landlock),
        Attempt::new("ro-rmdir", "remove a folder in it", When(|scene, _| !scene.has("ro/empty")), |scene, s| {
            let path = s.text(scene.path("ro/empty"));
            s.call(c::SYS_unlinkat, &[HERE.into(), path, c::AT_REMOVEDIR.into()]);
        }).with_folders(Landlock),
        Attempt::new("ro-rename", "rename a file in it", When(changed), |scene, s| {
            rename(scene, s, "ro/file", "ro/new", 0);
        }).with_folders(Landlock),
        Attempt::new("ro-rename-out", "move a file of it to where changes are granted", When(changed), |scene, s| {
            rename(scene, s, "ro/file", "rw/new", 0);
        }).with_folders(Landlock),
        Attempt::new("ro-rename-in", "put a file in the place of one of it", When(|scene, _| !scene.has("rw/file")), |scene, s| {
            rename(scene, s, "rw/file", "ro/file", 0);
        }).with_folders(Landlock),
        Attempt::new("ro-exchange", "exchange two files of both folders", Last, |scene, s| {
            rename(scene, s, "ro/folder", "rw/folder", c::RENAME_EXCHANGE);
        }).with_folders(Landlock),
        Attempt::new("ro-chmod", "change who may use a file in it, by its path", Last, |scene, s| {
            let path = s.text(scene.path("ro/file"));
            s.call(c::SYS_fchmodat, &[HERE.into(), path, 0o777.into()]);
        }),
        Attempt::new("ro-fchmod", "the same by a descriptor that may read", Last, |scene, s| {
            let file = open(s, scene.path("ro/file"), c::O_RDONLY);
            s.call(c::SYS_fchmod, &[file, 0o777.into()]);
        }),
        Attempt::new("ro-chown", "give it to somebody", Last, |scene, s| {
            let file = open(s, scene.path("ro/file"), c::O_RDONLY);
            s.call(c::SYS_fchown, &[file, (-1).into(), (-1).into()]);
        }),
        Attempt::new("ro-setxattr", "give it an attribute", Last, |scene, s| {
            let file = open(s, scene.path("ro/file"), c::O_RDONLY);
            let (name, value) = (s.text("user.x"), s.text("x"));
            s.call(c::SYS_fsetxattr, &[file, name, value, 1.into(), 0.into()]);
        }).where_there(),
        Attempt::new("ro-flags", "change its flags (FS_IOC_SETFLAGS)", Last, |scene, s| {
            const GET_FLAGS: u64 = 0x8008_6601;
            const SET_FLAGS: u64 = 0x4008_6602;
            let file = open(s, scene.path("ro/file"), c::O_RDONLY);
            let flags = s.longs(&[0]);
            let got = s.call(c::SYS_ioctl, &[file, GET_FLAGS.into(), flags]);
            s.need(got);
            s.call(c::SYS_ioctl, &[file, SET_FLAGS.into(), flags]);
        }).where_there(),
        Attempt::new("ro-lock", "keep others out of it with a lock", Last, |scene, s| {
            let file = open(s, scene.path("ro/file"), c::O_RDONLY);
            s.call(c::SYS_flock, &[file, c::LOCK_EX.into()]);
        }),
        Attempt::new("ro-lease", "be asked before others open it (F_SETLEASE)", Last, |scene, s| {
            let file = open(s, scene.path("ro/file"), c::O_RDONLY);
            s.call(c::SYS_fcntl, &[file, c::F_SETLEASE.into(), c::F_RDLCK.into()]);
        }),
        Attempt::new("rw-setuid", "make a program that gives its starter this user's rights", When(is_setuid), |scene, s| {
            let path = s.text(scene.path("rw/new"));
            let text = s.text("#!/bin/sh");
            let how = c::O_WRONLY | c::O_CREAT;
            let file = s.call(c::SYS_openat, &[HERE.into(), path, how.into(), 0o4755.into()]);
            s.need(file);
            s.call(c::SYS_write, &[file, text, 9.into()]);
        }).for_root().with_folders(Stopped::Capability),
        Attempt::new("rw-setuid-mapped", "the same, written through a mapping", When(is_setuid), |scene, s| {
            let path = s.text(scene.path("rw/new"));
            let text = s.text("#!/bin/sh");
            let how = c::O_RDWR | c::O_CREAT;
            let file = s.call(c::SYS_openat, &[HERE.into(), path, how.into(), 0o4755.into()]);
            s.need(file);
            s.call(c::SYS_ftruncate, &[file, 4096.into()]);
            let protection = c::PROT_READ | c::PROT_WRITE;
            let values = [0.into(), 4096.into(), protection.into(), c::MAP_SHARED.into(), file, 0.into()];
            let mapped = s.call(c::SYS_mmap, &values);
            s.need(mapped);
            s.copy(mapped, text, 9);
        }).for_root(),
        Attempt::new("rw-chmod", "make a file of a granted folder one that gives its starter rights", Last, |scene, s| {
            let path = s.text(scene.path("rw/file"));
            s.call(c::SYS_fchmodat, &[HERE.into(), path, 0o6777.into()]);
        }),
    ]
}
