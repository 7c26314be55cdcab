//! Other programs and other processes: started, watched, read, changed, killed.

use super::script::{Script, Value};
use super::{Attempt, SECRET, Scene, Trace, Worked};
use libc as c;

/// Whether the victim's secret came out.
fn learned(_: &Scene, trace: &Trace) -> bool {
    trace.shows(SECRET)
}

fn killed(scene: &Scene, _: &Trace) -> bool {
    // A signal takes a moment.
    (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        scene.victim.is_dead()
    })
}

/// What an echo of another program says.
const SAID: &str = "another program ran";

fn said(_: &Scene, trace: &Trace) -> bool {
    trace.shows(SAID)
}

/// The arguments of a shell that says it.
fn shell(s: &mut Script) -> (Value, Value, Value) {
    let program = s.text("/bin/sh");
    let option = s.text("-c");
    let command = s.text(format!("echo {SAID}"));
    let none = s.list(&[0.into()]);
    let arguments = s.list(&[program, option, command, 0.into()]);
    (program, arguments, none)
}

/// Reads so much of another process's memory, and shows it.
fn read_memory(s: &mut Script, process: u32, address: u64) {
    let room = s.room(64);
    let own = s.list(&[room, 64.into()]);
    let theirs = s.longs(&[address, 64]);
    let values = [process.into(), own, 1.into(), theirs, 1.into(), 0.into()];
    let read = s.call(c::SYS_process_vm_readv, &values);
    s.need(read);
    s.call(c::SYS_writev, &[2.into(), own, 1.into()]);
}

/// Room for a `siginfo_t` of a signal that was queued.
fn queued(s: &mut Script, signal: i32) -> Value {
    let mut information = [0_u32; 32];
    information[0] = signal as u32;
    information[2] = c::SI_QUEUE as u32;
    s.words(&information)
}

/// A descriptor of the victim.
fn victim(scene: &Scene, s: &mut Script) -> Value {
    let process = s.call(c::SYS_pidfd_open, &[scene.victim.number.into(), 0.into()]);
    s.need(process);
    process
}

#[rustfmt::skip]
pub(super) fn attempts() -> Vec<Attempt> {
    use Worked::{Last, When};
    vec![
        Attempt::new("execve", "start another program in this process", When(said), |_, s| {
            let (program, arguments, none) = shell(s);
            s.call(c::SYS_execve, &[program, arguments, none]);
        }),
        Attempt::new("execveat", "the same by a descriptor's name", When(said), |_, s| {
            let (program, arguments, none) = shell(s);
            s.call(c::SYS_execveat, &[c::AT_FDCWD.into(), program, arguments, none, 0.into()]);
        }),
        Attempt::new("execveat-memory", "start a program that is written into a memory file", When(said), |_, s| {
            let name = s.text("x");
            let text = format!("#!/bin/sh\necho {SAID}\n");
            let content = s.bytes(text.as_bytes());
            let file = s.call(c::SYS_memfd_create, &[name, 0.into()]);
            s.need(file);
            s.call(c::SYS_write, &[file, content, text.len().into()]);
            let empty = s.text("");
            let none = s.list(&[0.into()]);
            let arguments = s.list(&[name, 0.into()]);
            s.call(c::SYS_execveat, &[file, empty, arguments, none, c::AT_EMPTY_PATH.into()]);
        }),
        Attempt::new("fork", "a second process", Last, |_, s| {
            s.fork(c::SYS_fork, &[]);
        }),
        Attempt::new("vfork", "a second process in the same memory", Last, |_, s| {
            s.fork(c::SYS_vfork, &[]);
        }),
        Attempt::new("clone", "a second process, by clone", Last, |_, s| {
            s.fork(c::SYS_clone, &[c::SIGCHLD.into(), 0.into(), 0.into(), 0.into(), 0.into()]);
        }),
        Attempt::new("clone3", "a second process, by clone3", Last, |_, s| {
            let arguments = s.longs(&[0, 0, 0, 0, c::SIGCHLD as u64, 0, 0, 0]);
            s.fork(c::SYS_clone3, &[arguments, 64.into()]);
        }),
        Attempt::new("clone-namespace", "a second process, in a user namespace where it is root", Last, |_, s| {
            let flags = c::CLONE_NEWUSER | c::SIGCHLD;
            s.fork(c::SYS_clone, &[flags.into(), 0.into(), 0.into(), 0.into(), 0.into()]);
        }).where_there(),
        Attempt::new("ptrace-traceme", "let the parent look on", Last, |_, s| {
            s.call(c::SYS_ptrace, &[c::PTRACE_TRACEME.into(), 0.into(), 0.into(), 0.into()]);
        }),
        Attempt::new("ptrace-seize", "become another process's debugger", Last, |scene, s| {
            let seize = c::PTRACE_SEIZE.into();
            s.call(c::SYS_ptrace, &[seize, scene.victim.number.into(), 0.into(), 0.into()]);
        }).for_root(),
        Attempt::new("process_vm_readv-parent", "read the parent's memory", Last, |scene, s| {
            // What it holds is not shown: it may be anybody's.
            let room = s.room(8);
            let own = s.list(&[room, 8.into()]);
            let theirs = s.longs(&[scene.parent.1, 8]);
            let values = [scene.parent.0.into(), own, 1.into(), theirs, 1.into(), 0.into()];
            s.call(c::SYS_process_vm_readv, &values);
        }).for_root(),
        Attempt::new("process_vm_readv-victim", "read a secret of another process's memory", When(learned), |scene, s| {
            read_memory(s, scene.victim.number, scene.victim.environment);
        }).for_root(),
        Attempt::new("process_vm_readv-other", "read a secret of another bls-load's memory", When(learned), |scene, s| {
            read_memory(s, scene.other.0, scene.other.1);
        }).for_root(),
        Attempt::new("process_vm_writev", "write another process's memory", Last, |scene, s| {
            let content = s.text("x");
            let own = s.list(&[content, 1.into()]);
            let theirs = s.longs(&[scene.victim.environment, 1]);
            let values = [scene.victim.number.into(), own, 1.into(), theirs, 1.into(), 0.into()];
            s.call(c::SYS_process_vm_writev, &values);
        }).for_root(),
        Attempt::new("kill", "kill another process", When(killed), |scene, s| {
            s.call(c::SYS_kill, &[scene.victim.number.into(), c::SIGKILL.into()]);
        }),
        Attempt::new("kill-everyone", "a signal to every process (one that does nothing: 0)", Last, |_, s| {
            s.call(c::SYS_kill, &[(-1).into(), 0.into()]);
        }),
        Attempt::new("kill-parent", "a signal to the parent (one that does nothing: 0)", Last, |scene, s| {
            s.call(c::SYS_kill, &[scene.parent.0.into(), 0.into()]);
        }),
        Attempt::new("tkill", "kill another process by its thread", When(killed), |scene, s| {
            s.call(c::SYS_tkill, &[scene.victim.number.into(), c::SIGKILL.into()]);
        }),
        Attempt::new("tgkill", "the same, by process and thread", When(killed), |scene, s| {
            let victim = scene.victim.number;
            s.call(c::SYS_tgkill, &[victim.into(), victim.into(), c::SIGKILL.into()]);
        }),
        Attempt::new("rt_sigqueueinfo", "kill another process by a queued signal", When(killed), |scene, s| {
            let information = queued(s, c::SIGTERM);
            s.call(c::SYS_rt_sigqueueinfo, &[scene.victim.number.into(), c::SIGTERM.into(), information]);
        }),
        Attempt::new("rt_tgsigqueueinfo", "the same, by process and thread", When(killed), |scene, s| {
            let victim = scene.victim.number;
            let information = queued(s, c::SIGTERM);
            s.call(c::SYS_rt_tgsigqueueinfo, &[victim.into(), victim.into(), c::SIGTERM.into(), information]);
        }),
        Attempt::new("pidfd_open", "a descriptor of another process", Last, |scene, s| {
            s.call(c::SYS_pidfd_open, &[scene.victim.number.into(), 0.into()]);
        }),
        Attempt::new("pidfd_send_signal", "kill another process by its descriptor", When(killed), |scene, s| {
            let process = victim(scene, s);
            s.call(c::SYS_pidfd_send_signal, &[process, c::SIGKILL.into(), 0.into(), 0.into()]);
        }),
        Attempt::new("pidfd_getfd", "take another process's descriptor", Last, |scene, s| {
            let process = victim(scene, s);
            s.call(c::SYS_pidfd_getfd, &[process, 0.into(), 0.into()]);
        }).for_root(),
        Attempt::new("process_madvise", "have another process's memory swapped out", Last, |scene, s| {
            let process = victim(scene, s);
            let range = s.longs(&[scene.victim.environment & !4095, 4096]);
            s.call(c::SYS_process_madvise, &[process, range, 1.into(), c::MADV_COLD.into(), 0.into()]);
        }).for_root(),
        Attempt::new("kcmp", "compare the insides of two other processes", Last, |scene, s| {
            let (one, two) = (scene.victim.number, scene.parent.0);
            s.call(c::SYS_kcmp, &[one.into(), two.into(), 1.into(), 0.into(), 0.into()]);
        }).where_there(),
        Attempt::new("prlimit-other", "lower another process's limits", Last, |scene, s| {
            let limit = s.longs(&[64, 64]);
            s.call(c::SYS_prlimit64, &[scene.victim.number.into(), c::RLIMIT_NOFILE.into(), limit, 0.into()]);
        }),
        Attempt::new("setpriority", "lower another process's priority", Last, |scene, s| {
            s.call(c::SYS_setpriority, &[c::PRIO_PROCESS.into(), scene.victim.number.into(), 19.into()]);
        }),
        Attempt::new("sched_setaffinity", "move another process to one processor", Last, |scene, s| {
            let one = s.longs(&[1]);
            s.call(c::SYS_sched_setaffinity, &[scene.victim.number.into(), 8.into(), one]);
        }),
        Attempt::new("sched_setscheduler", "make another process run only when nothing else does", Last, |scene, s| {
            let parameters = s.words(&[0]);
            s.call(c::SYS_sched_setscheduler, &[scene.victim.number.into(), c::SCHED_IDLE.into(), parameters]);
        }),
        Attempt::new("ioprio_set", "lower another process's priority at the disk", Last, |scene, s| {
            s.call(c::SYS_ioprio_set, &[1.into(), scene.victim.number.into(), (3 << 13).into()]);
        }),
        Attempt::new("setsid", "leave the session, so that no terminal ends it", Last, |_, s| {
            s.call(c::SYS_setsid, &[]);
        }),
        Attempt::new("setpgid", "leave the group that the shell would stop", Last, |_, s| {
            s.call(c::SYS_setpgid, &[0.into(), 0.into()]);
        }),
    ]
}
