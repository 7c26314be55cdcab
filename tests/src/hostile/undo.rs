//! What would take the wall down again, or bring back what the process gave up.

use super::code::{HANDLER, HANDLER_PATH, HANDLER_RETURN};
use super::outside::open;
use super::script::{Script, Value};
use super::{Attempt, Scene, Stopped, Worked};
use libc as c;

#[rustfmt::skip]
pub(super) fn attempts() -> Vec<Attempt> {
    use Worked::{Last, When};
    vec![
        Attempt::new("prctl-dumpable", "let others look into this process again (PR_SET_DUMPABLE)", Last, |_, s| {
            s.call(c::SYS_prctl, &[c::PR_SET_DUMPABLE.into(), 1.into(), 0.into(), 0.into(), 0.into()]);
        }),
        Attempt::new("prctl-seccomp", "another filter of system calls (PR_SET_SECCOMP)", Last, |_, s| {
            let allow = s.words(&[6, 0x7fff_0000]);
            let program = s.list(&[1.into(), allow]);
            s.call(c::SYS_prctl, &[c::PR_SET_NO_NEW_PRIVS.into(), 1.into(), 0.into(), 0.into(), 0.into()]);
            s.call(c::SYS_prctl, &[c::PR_SET_SECCOMP.into(), 2.into(), program, 0.into(), 0.into()]);
        }),
        Attempt::new("seccomp-listener", "a filter whose questions another process answers", Last, |_, s| {
            let allow = s.words(&[6, 0x7fff_0000]);
            let program = s.list(&[1.into(), allow]);
            s.call(c::SYS_prctl, &[c::PR_SET_NO_NEW_PRIVS.into(), 1.into(), 0.into(), 0.into(), 0.into()]);
            s.call(c::SYS_seccomp, &[1.into(), 8.into(), program]);
        }),
        Attempt::new("prctl-ambient", "keep capabilities over the start of a program (PR_CAP_AMBIENT)", Last, |_, s| {
            s.call(c::SYS_prctl, &[c::PR_CAP_AMBIENT.into(), c::PR_CAP_AMBIENT_CLEAR_ALL.into(), 0.into(), 0.into(), 0.into()]);
        }),
        Attempt::new("prctl-securebits", "be root by number alone (PR_SET_SECUREBITS)", Last, |_, s| {
            s.call(c::SYS_prctl, &[c::PR_SET_SECUREBITS.into(), 0.into(), 0.into(), 0.into(), 0.into()]);
        }).for_root(),
        Attempt::new("prctl-mm", "pretend other arguments (PR_SET_MM)", Last, |_, s| {
            const SET_MM: i32 = 35;
            const ARGUMENTS_BEGIN: i32 = 8;
            // The executor's memory is on the stack, as arguments must be.
            s.call(c::SYS_prctl, &[SET_MM.into(), ARGUMENTS_BEGIN.into(), Value::Memory(0), 0.into(), 0.into()]);
        }).where_there(),
        Attempt::new("prctl-name", "pretend another name (PR_SET_NAME)", Last, |_, s| {
            let name = s.text("init");
            s.call(c::SYS_prctl, &[c::PR_SET_NAME.into(), name, 0.into(), 0.into(), 0.into()]);
        }),
        Attempt::new("prctl-subreaper", "become the parent of orphans (PR_SET_CHILD_SUBREAPER)", Last, |_, s| {
            s.call(c::SYS_prctl, &[c::PR_SET_CHILD_SUBREAPER.into(), 1.into(), 0.into(), 0.into(), 0.into()]);
        }),
        Attempt::new("prctl-timing", "speculation past stores is left on (PR_SET_SPECULATION_CTRL)", Last, |_, s| {
            s.call(c::SYS_prctl, &[53.into(), 0.into(), 2.into(), 0.into(), 0.into()]);
        }).where_there(),
        Attempt::new("capset", "change capabilities (to what they are)", Last, |_, s| {
            let header = s.words(&[0x2008_0522, 0]);
            let sets = s.words(&[0; 6]);
            let got = s.call(c::SYS_capget, &[header, sets]);
            s.need(got);
            s.call(c::SYS_capset, &[header, sets]);
        }).for_root(),
        Attempt::new("setuid", "become another user", Last, |_, s| {
            s.call(c::SYS_setuid, &[65_534.into()]);
        }).for_root(),
        Attempt::new("setgid", "become another group", Last, |_, s| {
            s.call(c::SYS_setgid, &[65_534.into()]);
        }).for_root(),
        Attempt::new("setresuid", "become another user for files alone", Last, |_, s| {
            s.call(c::SYS_setresuid, &[(-1).into(), 65_534.into(), (-1).into()]);
        }).for_root(),
        Attempt::new("setgroups", "become one of other groups", Last, |_, s| {
            let groups = s.words(&[0]);
            s.call(c::SYS_setgroups, &[1.into(), groups]);
        }).for_root(),
        Attempt::new("setrlimit", "raise the limit on open files to what is allowed", Last, |_, s| {
            let limit = s.room(16);
            let got = s.call(c::SYS_getrlimit, &[c::RLIMIT_NOFILE.into(), limit]);
            s.need(got);
            s.call(c::SYS_setrlimit, &[c::RLIMIT_NOFILE.into(), limit]);
        }),
        Attempt::new("prlimit-self", "raise the limit on core files beyond all bounds", Last, |_, s| {
            let limit = s.longs(&[u64::MAX, u64::MAX]);
            s.call(c::SYS_prlimit64, &[0.into(), c::RLIMIT_CORE.into(), limit, 0.into()]);
        }),
        Attempt::new("unshare-user", "a user namespace, where it has all capabilities", Last, |_, s| {
            s.call(c::SYS_unshare, &[c::CLONE_NEWUSER.into()]);
        }).where_there(),
        Attempt::new("unshare-mount", "a mount namespace", Last, |_, s| {
            s.call(c::SYS_unshare, &[c::CLONE_NEWNS.into()]);
        }).for_root(),
        Attempt::new("unshare-files", "descriptors of this thread's own", Last, |_, s| {
            s.call(c::SYS_unshare, &[c::CLONE_FILES.into()]);
        }),
        Attempt::new("setns-file", "another process's mount namespace, by its file", Last, |scene, s| {
            let space = open(s, format!("/proc/{}/ns/mnt", scene.victim.number), c::O_RDONLY);
            s.call(c::SYS_setns, &[space, c::CLONE_NEWNS.into()]);
        }).for_root().with_folders(Stopped::Landlock),
        Attempt::new("setns-process", "all namespaces of another process, by its descriptor", Last, |scene, s| {
            let process = s.call(c::SYS_pidfd_open, &[scene.victim.number.into(), 0.into()]);
            s.need(process);
            s.call(c::SYS_setns, &[process, (c::CLONE_NEWNS | c::CLONE_NEWUTS).into()]);
        }).for_root(),
        Attempt::new("landlock-empty", "rules of its own, that would stand beside these", Last, |_, s| {
            let attributes = s.longs(&[4]);
            s.call(c::SYS_landlock_create_ruleset, &[attributes, 8.into(), 0.into()]);
        }).where_there(),
        Attempt::new("umask", "files that it makes are everybody's", When(|_, trace| trace.last().is_some_and(|before| before >= 0)), |_, s| {
            s.call(c::SYS_umask, &[0.into()]);
        }),
    ]
}

/// Has every thread of the process try to open a file that was not granted: a signal finds
/// each, and the handler is this code's own.
pub(super) fn threads(scene: &Scene, s: &mut Script) {
    let page = HANDLER_PATH;
    let protection = c::PROT_READ | c::PROT_WRITE;
    let how = c::MAP_PRIVATE | c::MAP_ANONYMOUS | c::MAP_FIXED;
    let values = [page.into(), 4096.into(), protection.into(), how.into(), (-1).into(), 0.into()];
    let mapped = s.call(c::SYS_mmap, &values);
    s.need(mapped);
    let path = s.text(scene.path("secret"));
    s.copy(page.into(), path, 256);
    let restorer = 0x0400_0000_u64;
    let action = [Value::Code(HANDLER), restorer.into(), Value::Code(HANDLER_RETURN), 0.into()];
    let action = s.list(&action);
    s.call(c::SYS_rt_sigaction, &[c::SIGWINCH.into(), action, 0.into(), 8.into()]);
    let process = s.call(c::SYS_getpid, &[]);
    // Numbers of threads follow each other, where no other process comes in between.
    for number in 0..36 {
        s.call(c::SYS_tgkill, &[process, process.plus(number), c::SIGWINCH.into()]);
    }
    let time = s.longs(&[0, 200_000_000]);
    s.call(c::SYS_nanosleep, &[time, 0.into()]);
}
