//! What the front gives up before its first connection: it parses what strangers send, and needs
//! sockets that are there, clocks and memory.
//!
//! No file can be opened (Landlock, and no call that opens one), no program executed, no process
//! made, no socket made, connected or bound: connections come from listeners that it is handed.
//! Where the kernel has not one of these the others stand, and it is named.

use bls_confine::filter::Argument;
use bls_confine::landlock::Ruleset;
use bls_confine::{Capabilities, Filter};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};

/// What could not be given up, and why.
pub(super) type Missing = Vec<(&'static str, io::Error)>;

fn note(missing: &mut Missing, what: &'static str, outcome: io::Result<()>) {
    if let Err(error) = outcome {
        missing.push((what, error));
    }
}

/// What belongs to threads, and to the process. While there is one thread.
pub(super) fn begin(keep: &[RawFd]) -> Missing {
    let mut missing = Missing::new();
    bls_confine::wipe_environment();
    let ruleset = Ruleset::new();
    let kept = ruleset.as_ref().map(|ruleset| ruleset.as_raw_fd());
    let kept: Vec<RawFd> = keep.iter().copied().chain(kept).collect();
    note(&mut missing, "descriptors", bls_confine::close_descriptors_but(&kept));
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    note(&mut missing, "capabilities", bls_confine::drop_capabilities(Capabilities::NONE));
    note(&mut missing, "dumpable", bls_confine::forbid_dumps());
    note(&mut missing, "no-new-privs", bls_confine::forbid_new_privileges());
    // Older kernels do without: the filter lets no memory become executable.
    let _ = bls_confine::forbid_new_code();
    note(&mut missing, "landlock", ruleset.and_then(|ruleset| ruleset.restrict_self()));
    missing
}

/// System calls, of all threads: when all that there are have begun.
pub(super) fn finish(missing: &mut Missing) {
    note(missing, "seccomp", filter().install());
}

/// The calls of sockets that are there, of waiting, and of memory.
fn filter() -> Filter {
    let mut filter = Filter::new();
    filter.allow(&[
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_close,
        libc::SYS_fcntl,
        libc::SYS_sendmsg,
        libc::SYS_recvmsg,
        libc::SYS_sendto,
        libc::SYS_recvfrom,
        libc::SYS_accept4,
        libc::SYS_shutdown,
        libc::SYS_getsockname,
        libc::SYS_getpeername,
        libc::SYS_getsockopt,
        libc::SYS_setsockopt,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_ppoll,
        // Memory.
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        // Its threads.
        libc::SYS_futex,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_getrandom,
    ]);
    #[cfg(target_arch = "x86_64")]
    filter.allow(&[libc::SYS_poll, libc::SYS_epoll_wait]);
    let no_code = || Argument::HasNoneOf(2, libc::PROT_EXEC as u32);
    filter.allow_if_or_refuse(libc::SYS_mmap, no_code(), libc::EACCES);
    filter.allow_if_or_refuse(libc::SYS_mprotect, no_code(), libc::EACCES);
    let waits = vec![libc::FIONBIO as u32];
    filter.allow_if_or_refuse(libc::SYS_ioctl, Argument::IsOneOf(1, waits), libc::ENOTTY);
    // By this signal to itself a process aborts.
    let own = std::process::id();
    filter.allow_if(libc::SYS_tgkill, Argument::IsOneOf(0, vec![own]));
    // What a library may try, and does without.
    filter.refuse(&[libc::SYS_openat, libc::SYS_readlinkat, libc::SYS_socket], libc::EACCES);
    filter.refuse(&[libc::SYS_prctl, libc::SYS_prlimit64, libc::SYS_clone3], libc::EPERM);
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_opens_makes_and_starts_nothing() {
        let filter = filter();
        for call in [
            libc::SYS_openat,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_kill,
            libc::SYS_ptrace,
            libc::SYS_memfd_create,
            libc::SYS_unlinkat,
            libc::SYS_io_uring_setup,
        ] {
            assert!(!filter.allows(call), "{call}");
        }
    }
}
