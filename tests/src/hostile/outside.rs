//! Files that were not granted: read, changed, made, named, by every way to a file.

use super::script::{Script, Value};
use super::{Attempt, SECRET, Scene, Stopped, Trace, Worked};
use libc as c;
use std::path::Path;

fn learned(_: &Scene, trace: &Trace) -> bool {
    trace.shows(SECRET)
}

/// Opens a file.
pub(super) fn open(s: &mut Script, path: impl AsRef<Path>, how: i32) -> Value {
    let path = s.text(path.as_ref());
    let file = s.call(c::SYS_openat, &[c::AT_FDCWD.into(), path, how.into(), 0o600.into()]);
    s.need(file);
    file
}

/// Reads from a descriptor, and shows it.
pub(super) fn show(s: &mut Script, file: Value) {
    let room = s.room(256);
    let buffers = s.list(&[room, 256.into()]);
    let read = s.call(c::SYS_readv, &[file, buffers, 1.into()]);
    s.need(read);
    s.call(c::SYS_writev, &[2.into(), buffers, 1.into()]);
}

/// Tries to open a path, and no more.
macro_rules! an_opening {
    ($name:literal, $tries:literal, $path:literal, $how:expr) => {
        Attempt::new($name, $tries, Worked::Last, |_: &Scene, s: &mut Script| {
            let path = s.text($path);
            s.call(c::SYS_openat, &[c::AT_FDCWD.into(), path, $how.into(), 0.into()]);
        })
        .with_folders(Stopped::Landlock)
    };
}

#[rustfmt::skip]
pub(super) fn attempts() -> Vec<Attempt> {
    use Stopped::Landlock;
    use Worked::{Last, When};
    const HERE: i32 = c::AT_FDCWD;
    vec![
        Attempt::new("open-outside", "read a file by its absolute path, by open", When(learned), |scene, s| {
            let path = s.text(scene.path("secret"));
            let file = s.call(c::SYS_open, &[path, c::O_RDONLY.into(), 0.into()]);
            s.need(file);
            show(s, file);
        }).with_folders(Landlock),
        Attempt::new("openat-outside", "the same by openat", When(learned), |scene, s| {
            let file = open(s, scene.path("secret"), c::O_RDONLY);
            show(s, file);
        }).with_folders(Landlock),
        Attempt::new("openat2-outside", "the same by openat2", When(learned), |scene, s| {
            let path = s.text(scene.path("secret"));
            let how = s.longs(&[c::O_RDONLY as u64, 0, 0]);
            let file = s.call(c::SYS_openat2, &[HERE.into(), path, how, 24.into()]);
            s.need(file);
            show(s, file);
        }).with_folders(Landlock),
        Attempt::new("open-parent", "read a file beside a granted folder, by `..`", When(learned), |scene, s| {
            let folder = open(s, scene.path("rw"), c::O_RDONLY | c::O_DIRECTORY);
            let path = s.text("../secret");
            let file = s.call(c::SYS_openat, &[folder, path, c::O_RDONLY.into(), 0.into()]);
            s.need(file);
            show(s, file);
        }).with_folders(Landlock),
        Attempt::new("open-link", "read a file that a link in a granted folder leads to", When(learned), |scene, s| {
            let file = open(s, scene.path("rw/link"), c::O_RDONLY);
            show(s, file);
        }).with_folders(Landlock),
        Attempt::new("open-own-link", "make such a link, and follow it", When(learned), |scene, s| {
            let (to, at) = (s.text(scene.path("secret")), s.text(scene.path("rw/new")));
            let made = s.call(c::SYS_symlinkat, &[to, HERE.into(), at]);
            s.need(made);
            let file = open(s, scene.path("rw/new"), c::O_RDONLY);
            show(s, file);
        }).with_folders(Landlock),
        Attempt::new("link-outside", "give a file that was not granted a name in a granted folder", When(|scene, _| scene.has("rw/new")), |scene, s| {
            let (from, to) = (s.text(scene.path("secret")), s.text(scene.path("rw/new")));
            s.call(c::SYS_linkat, &[HERE.into(), from, HERE.into(), to, 0.into()]);
        }).with_folders(Landlock),
        Attempt::new("rename-in", "move a file that was not granted into a granted folder", When(|scene, _| scene.has("rw/new")), |scene, s| {
            let (from, to) = (s.text(scene.path("secret")), s.text(scene.path("rw/new")));
            s.call(c::SYS_renameat, &[HERE.into(), from, HERE.into(), to]);
        }).with_folders(Landlock),
        Attempt::new("rename-out", "move a granted file to where nothing was granted", When(|scene, _| scene.has("new")), |scene, s| {
            let (from, to) = (s.text(scene.path("rw/file")), s.text(scene.path("new")));
            s.call(c::SYS_renameat2, &[HERE.into(), from, HERE.into(), to, 0.into()]);
        }).with_folders(Landlock),
        Attempt::new("rename-grant", "give a granted folder another name", When(|scene, _| scene.has("new")), |scene, s| {
            let (from, to) = (s.text(scene.path("rw")), s.text(scene.path("new")));
            s.call(c::SYS_renameat2, &[HERE.into(), from, HERE.into(), to, 0.into()]);
        }).with_folders(Landlock),
        Attempt::new("create-outside", "make a file", When(|scene, _| scene.has("new")), |scene, s| {
            open(s, scene.path("new"), c::O_WRONLY | c::O_CREAT);
        }).with_folders(Landlock),
        Attempt::new("write-outside", "change a file", When(|scene, _| scene.text("secret") != SECRET), |scene, s| {
            let file = open(s, scene.path("secret"), c::O_WRONLY);
            let text = s.text("changed");
            s.call(c::SYS_write, &[file, text, 7.into()]);
        }).with_folders(Landlock),
        Attempt::new("unlink-outside", "remove a file", When(|scene, _| !scene.has("secret")), |scene, s| {
            let path = s.text(scene.path("secret"));
            s.call(c::SYS_unlinkat, &[HERE.into(), path, 0.into()]);
        }).with_folders(Landlock),
        Attempt::new("mkdir-outside", "make a folder", When(|scene, _| scene.has("new")), |scene, s| {
            let path = s.text(scene.path("new"));
            s.call(c::SYS_mkdirat, &[HERE.into(), path, 0o700.into()]);
        }).with_folders(Landlock),
        Attempt::new("truncate-outside", "empty a file by its path", When(|scene, _| scene.text("secret").is_empty()), |scene, s| {
            let path = s.text(scene.path("secret"));
            s.call(c::SYS_truncate, &[path, 0.into()]);
        }),
        Attempt::new("chmod-outside", "change who may use a file", Last, |scene, s| {
            let path = s.text(scene.path("secret"));
            s.call(c::SYS_fchmodat, &[HERE.into(), path, 0o777.into()]);
        }),
        Attempt::new("chown-outside", "give a file to somebody", Last, |scene, s| {
            let path = s.text(scene.path("secret"));
            s.call(c::SYS_fchownat, &[HERE.into(), path, (-1).into(), (-1).into(), 0.into()]);
        }),
        Attempt::new("setxattr-outside", "give a file an attribute", Last, |scene, s| {
            let (path, name, value) = (s.text(scene.path("secret")), s.text("user.x"), s.text("x"));
            s.call(c::SYS_setxattr, &[path, name, value, 1.into(), 0.into()]);
        }).where_there(),
        Attempt::new("getdents-outside", "list a folder", Last, |scene, s| {
            let folder = open(s, scene.path("."), c::O_RDONLY | c::O_DIRECTORY);
            let room = s.room(512);
            s.call(c::SYS_getdents64, &[folder, room, 512.into()]);
        }).with_folders(Landlock),
        an_opening!("open-own-memory", "write this process's memory, code too, by /proc/self/mem", "/proc/self/mem", c::O_RDWR),
        an_opening!("open-own-environment", "read the variables by /proc/self/environ", "/proc/self/environ", c::O_RDONLY),
        an_opening!("open-own-maps", "learn where everything is by /proc/self/maps", "/proc/self/maps", c::O_RDONLY),
        an_opening!("open-init-environment", "read the variables of process 1", "/proc/1/environ", c::O_RDONLY).where_there(),
        an_opening!("open-passwords", "read /etc/shadow", "/etc/shadow", c::O_RDONLY).for_root(),
        an_opening!("open-users", "read /etc/passwd", "/etc/passwd", c::O_RDONLY),
        an_opening!("open-core-pattern", "have the kernel start a program at the next crash", "/proc/sys/kernel/core_pattern", c::O_WRONLY).for_root(),
        an_opening!("open-messages", "read the kernel's messages from their device", "/dev/kmsg", c::O_RDONLY).where_there(),
        an_opening!("open-disk", "read the disk", "/dev/vda", c::O_RDONLY).where_there(),
        an_opening!("open-tty", "open the terminal", "/dev/tty", c::O_RDWR).with_terminal(),
        Attempt::new("open-victim-memory", "read a secret of another process's memory by /proc/PID/mem", When(learned), |scene, s| {
            let file = open(s, format!("/proc/{}/mem", scene.victim.number), c::O_RDONLY);
            let room = s.room(64);
            let buffers = s.list(&[room, 64.into()]);
            let place = scene.victim.environment;
            let read = s.call(c::SYS_preadv, &[file, buffers, 1.into(), place.into(), 0.into()]);
            s.need(read);
            s.call(c::SYS_writev, &[2.into(), buffers, 1.into()]);
        }).for_root().with_folders(Landlock),
        Attempt::new("mknod", "make a device in a granted folder", Last, |scene, s| {
            let path = s.text(scene.path("rw/null"));
            let device = 1 << 8 | 3;
            s.call(c::SYS_mknodat, &[HERE.into(), path, (c::S_IFCHR | 0o600).into(), device.into()]);
        }).for_root(),
        Attempt::new("mkfifo", "make a FIFO in a granted folder", Last, |scene, s| {
            let path = s.text(scene.path("rw/new"));
            s.call(c::SYS_mknodat, &[HERE.into(), path, (c::S_IFIFO | 0o600).into(), 0.into()]);
        }),
        Attempt::new("name_to_handle_at", "a file's number, by which it is opened past all folders", Last, |scene, s| {
            let path = s.text(scene.path("secret"));
            let handle = s.words(&[128, 0]);
            s.room(128);
            let mount = s.room(8);
            s.call(c::SYS_name_to_handle_at, &[HERE.into(), path, handle, mount, 0.into()]);
        }),
        Attempt::new("open_by_handle_at", "open a file by that number", When(learned), |scene, s| {
            let path = s.text(scene.path("secret"));
            let handle = s.words(&[128, 0]);
            s.room(128);
            let mount = s.room(8);
            let named = s.call(c::SYS_name_to_handle_at, &[HERE.into(), path, handle, mount, 0.into()]);
            s.need(named);
            let folder = open(s, scene.path("."), c::O_RDONLY | c::O_DIRECTORY);
            let file = s.call(c::SYS_open_by_handle_at, &[folder, handle, c::O_RDONLY.into()]);
            s.need(file);
            show(s, file);
        }).for_root(),
        Attempt::new("inotify", "be told what others do with files", Last, |scene, s| {
            let watch = s.call(c::SYS_inotify_init1, &[0.into()]);
            s.need(watch);
            let path = s.text(scene.path("."));
            s.call(c::SYS_inotify_add_watch, &[watch, path, c::IN_ALL_EVENTS.into()]);
        }),
        Attempt::new("fanotify", "be told, and asked, what anybody does with any file", Last, |_, s| {
            s.call(c::SYS_fanotify_init, &[0.into(), 0.into()]);
        }).for_root(),
        Attempt::new("chroot", "another root folder", Last, |scene, s| {
            let path = s.text(scene.path("."));
            s.call(c::SYS_chroot, &[path]);
        }).for_root(),
        Attempt::new("chdir", "another working folder", Last, |_, s| {
            let path = s.text("/");
            s.call(c::SYS_chdir, &[path]);
        }),
    ]
}
