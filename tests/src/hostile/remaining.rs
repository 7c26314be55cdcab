//! What native code can do behind the wall, in a process that was granted folders: the calls
//! that the host itself needs, made otherwise than the host would.
//!
//! Each works; the day that one does not, the test `hostile` says so, and it moves into the
//! table of what is stopped.

use super::outside::open;
use super::{Attempt, Worked};
use libc as c;
use std::os::unix::fs::MetadataExt as _;

#[rustfmt::skip]
pub(super) fn remaining() -> Vec<Attempt> {
    use Worked::{Last, When};
    vec![
        Attempt::new("stat-outside", "learn size, owner and times of any file, and whether it is there (Landlock has no right for it)", Last, |scene, s| {
            let path = s.text(scene.path("secret"));
            let room = s.room(256);
            s.call(c::SYS_statx, &[c::AT_FDCWD.into(), path, 0.into(), 0x7ff.into(), room]);
        }),
        Attempt::new("readlink-outside", "learn where any link leads", Last, |scene, s| {
            let path = s.text(scene.path("link"));
            let room = s.room(256);
            s.call(c::SYS_readlinkat, &[c::AT_FDCWD.into(), path, room, 256.into()]);
        }),
        Attempt::new("times-outside", "set the times of any file that this user owns, where a folder may be changed", When(|scene, _| is_of_1970(scene, "secret")), |scene, s| {
            let path = s.text(scene.path("secret"));
            let times = s.longs(&[1, 0, 1, 0]);
            s.call(c::SYS_utimensat, &[c::AT_FDCWD.into(), path, times, 0.into()]);
        }),
        Attempt::new("ro-times", "so of a file in a folder that may only be read", When(|scene, _| is_of_1970(scene, "ro/file")), |scene, s| {
            let file = open(s, scene.path("ro/file"), c::O_RDONLY);
            let times = s.longs(&[1, 0, 1, 0]);
            s.call(c::SYS_utimensat, &[file, 0.into(), times, 0.into()]);
        }),
        Attempt::new("special-files", "open FIFOs and devices in a granted folder, and what is on the kernel's filesystems that are mounted in it", Last, |scene, s| {
            open(s, scene.path("rw/fifo"), c::O_RDWR | c::O_NONBLOCK);
        }),
        Attempt::new("stream-flags", "have a stream that the caller shares not wait any more (O_NONBLOCK)", Last, |_, s| {
            let flags = s.call(c::SYS_fcntl, &[2.into(), c::F_GETFL.into()]);
            s.need(flags);
            s.call(c::SYS_fcntl, &[2.into(), c::F_SETFL.into(), (c::O_WRONLY | c::O_NONBLOCK).into()]);
        }),
        Attempt::new("limits", "take more output, descriptors and fuel than the guest may: these limits are the host's; and of memory and time up to what the piece `limits` leaves", Last, |_, s| {
            let protection = c::PROT_READ | c::PROT_WRITE;
            let how = c::MAP_PRIVATE | c::MAP_ANONYMOUS | c::MAP_NORESERVE;
            let two_gib = 2_u64 << 30;
            let values = [0.into(), two_gib.into(), protection.into(), how.into(), (-1).into(), 0.into()];
            s.call(c::SYS_mmap, &values);
        }),
        Attempt::new("report", "write what it likes into the report of its own run, and end with any code", When(|scene, _| scene.text("report.json").contains("forged")), |_, s| {
            let text = s.text("forged");
            // It may be any of these descriptors.
            for descriptor in 3..30 {
                s.call(c::SYS_pwrite64, &[descriptor.into(), text, 6.into(), 0.into()]);
            }
        }),
        Attempt::new("own-signals", "end this process by a signal, or catch its signals", Last, |_, s| {
            let room = s.room(64);
            s.call(c::SYS_rt_sigaction, &[c::SIGTERM.into(), 0.into(), room, 8.into()]);
        }),
    ]
}

fn is_of_1970(scene: &super::Scene, name: &str) -> bool {
    scene.path(name).metadata().is_ok_and(|about| about.mtime() == 1)
}
