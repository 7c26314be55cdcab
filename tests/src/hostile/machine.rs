//! The machine and its kernel: mounted, programmed, measured, set, stopped.
//!
//! What would harm the machine is asked for in a way that the kernel checks privileges, finds
//! them there, and then finds something else wrong ([`Worked::Past`]); mounts are in a
//! namespace of the test's own.

use super::script::Script;
use super::{Attempt, Scene, Worked};
use libc as c;

/// An attempt that asks for one thing by numbers alone.
macro_rules! a_call {
    ($name:literal, $tries:literal, $worked:expr, $number:expr, [$($value:expr),*]) => {
        Attempt::new($name, $tries, $worked, |_: &Scene, s: &mut Script| {
            s.call($number, &[$($value.into()),*]);
        })
    };
}

#[rustfmt::skip]
pub(super) fn attempts() -> Vec<Attempt> {
    use Worked::{Last, Past};
    vec![
        Attempt::new("mount", "mount a filesystem over a granted folder", Last, |scene, s| {
            let (kind, path) = (s.text("tmpfs"), s.text(scene.path("rw")));
            s.call(c::SYS_mount, &[kind, path, kind, 0.into(), 0.into()]);
        }).for_root(),
        Attempt::new("mount-bind", "mount all files in a granted folder", Last, |scene, s| {
            let (from, to) = (s.text("/"), s.text(scene.path("rw/folder")));
            s.call(c::SYS_mount, &[from, to, 0.into(), c::MS_BIND.into(), 0.into()]);
        }).for_root(),
        Attempt::new("mount-remount", "mount a folder anew, to be written", Last, |scene, s| {
            let path = s.text(scene.path("ro"));
            let bound = s.call(c::SYS_mount, &[path, path, 0.into(), c::MS_BIND.into(), 0.into()]);
            s.need(bound);
            let how = c::MS_REMOUNT | c::MS_BIND;
            s.call(c::SYS_mount, &[0.into(), path, 0.into(), how.into(), 0.into()]);
        }).for_root(),
        Attempt::new("umount", "unmount", Past(c::EINVAL), |scene, s| {
            let path = s.text(scene.path("ro"));
            s.call(c::SYS_umount2, &[path, 0.into()]);
        }).for_root(),
        Attempt::new("open_tree", "a mount of its own of all files", Last, |_, s| {
            const CLONE: i32 = 1;
            let path = s.text("/");
            s.call(c::SYS_open_tree, &[c::AT_FDCWD.into(), path, CLONE.into()]);
        }).for_root(),
        Attempt::new("fsopen", "a filesystem that nobody mounted", Last, |_, s| {
            let kind = s.text("tmpfs");
            s.call(c::SYS_fsopen, &[kind, 0.into()]);
        }).for_root(),
        Attempt::new("pivot_root", "exchange the root folder", Past(c::EBUSY), |scene, s| {
            let path = s.text(scene.path("rw"));
            s.call(c::SYS_pivot_root, &[path, path]);
        }).for_root(),
        Attempt::new("bpf", "a program in the kernel", Last, |_, s| {
            // BPF_MAP_CREATE: an array of one element.
            let attributes = s.words(&[2, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            s.call(c::SYS_bpf, &[0.into(), attributes, 72.into()]);
        }).for_root(),
        Attempt::new("perf_event_open", "count what the processor does for others", Last, |_, s| {
            // PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK.
            let attributes = s.words(&[1, 112, 0, 0]);
            s.room(128);
            s.call(c::SYS_perf_event_open, &[attributes, 0.into(), (-1).into(), (-1).into(), 0.into()]);
        }).for_root(),
        Attempt::new("io_uring_setup", "a second way to make system calls, past the filter", Last, |_, s| {
            let parameters = s.room(120);
            s.call(c::SYS_io_uring_setup, &[1.into(), parameters]);
        }).where_there(),
        Attempt::new("keyctl", "the keys that the kernel keeps for the session", Last, |_, s| {
            // KEYCTL_GET_KEYRING_ID of the session's.
            s.call(c::SYS_keyctl, &[0.into(), (-3).into(), 0.into(), 0.into(), 0.into()]);
        }).where_there(),
        Attempt::new("add_key", "a key of its own there", Last, |_, s| {
            let (kind, name) = (s.text("user"), s.text("x"));
            s.call(c::SYS_add_key, &[kind, name, name, 1.into(), (-2).into()]);
        }).where_there(),
        Attempt::new("request_key", "have the kernel look for a key", Past(c::ENOKEY), |_, s| {
            let (kind, name) = (s.text("user"), s.text("bls-test"));
            s.call(c::SYS_request_key, &[kind, name, 0.into(), 0.into()]);
        }).where_there(),
        a_call!("shmget", "memory that outlives the process", Last, c::SYS_shmget, [c::IPC_PRIVATE, 4096, 0o600]).where_there(),
        a_call!("semget", "semaphores that outlive the process", Last, c::SYS_semget, [c::IPC_PRIVATE, 1, 0o600]).where_there(),
        a_call!("msgget", "messages that outlive the process", Last, c::SYS_msgget, [c::IPC_PRIVATE, 0o600]).where_there(),
        Attempt::new("mq_open", "a queue of messages by name", Last, |_, s| {
            let name = s.text(format!("bls-test-{}", std::process::id()));
            let opened = s.call(c::SYS_mq_open, &[name, (c::O_RDWR | c::O_CREAT).into(), 0o600.into(), 0.into()]);
            s.need(opened);
            s.call(c::SYS_mq_unlink, &[name]);
        }).where_there(),
        a_call!("reboot", "stop the machine (with a number that is none)", Past(c::EINVAL), c::SYS_reboot, [0, 0, 0, 0]).for_root(),
        Attempt::new("kexec_load", "start another kernel (with flags that are none)", Past(c::EINVAL), |_, s| {
            s.call(c::SYS_kexec_load, &[0.into(), 0.into(), 0.into(), u64::MAX.into()]);
        }).where_there(),
        Attempt::new("init_module", "put code into the kernel (that is none)", Past(c::ENOEXEC), |_, s| {
            let text = s.room(64);
            s.call(c::SYS_init_module, &[text, 64.into(), text]);
        }).where_there(),
        Attempt::new("swapon", "swap to a file (that is not there)", Past(c::ENOENT), |scene, s| {
            let path = s.text(scene.path("none"));
            s.call(c::SYS_swapon, &[path, 0.into()]);
        }).for_root(),
        Attempt::new("swapoff", "stop swapping (to what is not there)", Past(c::ENOENT), |scene, s| {
            let path = s.text(scene.path("none"));
            s.call(c::SYS_swapoff, &[path]);
        }).for_root(),
        Attempt::new("acct", "have the kernel record all processes (in what is not there)", Past(c::ENOENT), |scene, s| {
            let path = s.text(scene.path("none"));
            s.call(c::SYS_acct, &[path]);
        }).for_root(),
        Attempt::new("quotactl", "bring all quotas to the disk (Q_SYNC)", Last, |_, s| {
            const SYNC: u32 = 0x80_0001 << 8;
            s.call(c::SYS_quotactl, &[SYNC.into(), 0.into(), 0.into(), 0.into()]);
        }).where_there(),
        Attempt::new("settimeofday", "set the machine's time zone (to what it is)", Last, |_, s| {
            let zone = s.words(&[0, 0]);
            let got = s.call(c::SYS_gettimeofday, &[0.into(), zone]);
            s.need(got);
            s.call(c::SYS_settimeofday, &[0.into(), zone]);
        }).for_root(),
        Attempt::new("clock_adjtime", "set the speed of the machine's clock (to what it is)", Last, |_, s| {
            // `struct timex`: modes, and the length of a tick in microseconds.
            let mut timex = [0_u64; 26];
            let read = s.longs(&timex);
            s.call(c::SYS_clock_adjtime, &[c::CLOCK_REALTIME.into(), read]);
            timex[0] = 0x4000;
            timex[11] = 10_000;
            let set = s.longs(&timex);
            s.call(c::SYS_clock_adjtime, &[c::CLOCK_REALTIME.into(), set]);
        }).for_root(),
        Attempt::new("sethostname", "give the machine another name", Last, |_, s| {
            let name = s.text("x");
            s.call(c::SYS_sethostname, &[name, 1.into()]);
        }).for_root(),
        Attempt::new("setdomainname", "and another domain", Last, |_, s| {
            let name = s.text("x");
            s.call(c::SYS_setdomainname, &[name, 1.into()]);
        }).for_root(),
        Attempt::new("syslog", "read the kernel's messages", Last, |_, s| {
            let room = s.room(64);
            s.call(c::SYS_syslog, &[3.into(), room, 64.into()]);
        }).for_root(),
        a_call!("iopl", "use the machine's ports", Last, c::SYS_iopl, [3]).where_there(),
        a_call!("ioperm", "use one of the machine's ports", Last, c::SYS_ioperm, [0x80, 1, 1]).where_there(),
        a_call!("timerfd_create", "timers that are descriptors", Last, c::SYS_timerfd_create, [c::CLOCK_MONOTONIC, 0]),
        a_call!("epoll_create1", "wait in ways that the loader does not use", Last, c::SYS_epoll_create1, [0]),
        Attempt::new("vmsplice", "put pages of memory into a pipe", Last, |_, s| {
            let text = s.text("x");
            let buffers = s.list(&[text, 1.into()]);
            s.call(c::SYS_vmsplice, &[1.into(), buffers, 1.into(), 0.into()]);
        }),
        Attempt::new("sync", "have all disks of the machine wait", Last, |_, s| {
            s.call(c::SYS_sync, &[]);
        }),
    ]
}
