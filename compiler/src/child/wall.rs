//! What the process that compiles gives up before it looks at a module.
//!
//! Two pipes stay, as descriptors 0 and 1. Everything else goes, in this order: variables,
//! other descriptors, memory beyond the limit, files (none can be made, and none opened),
//! capabilities, dumps, new privileges, new code, and last all system calls but those for
//! memory, threads, clocks and the two pipes. Where a kernel, or whoever runs this in a
//! container, has not one of these, the others stand.

use super::Allowance;
use crate::sys;
use bls_confine::filter::Argument;
use bls_confine::landlock::Ruleset;
use bls_confine::{Capabilities, Filter};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, setrlimit};
use std::os::fd::OwnedFd;

/// The signal that nobody can handle.
pub(super) const SIGKILL: i32 = libc::SIGKILL;

/// Names of the signals that end a process that did something wrong.
pub(super) fn name_of_signal(number: i32) -> Option<&'static str> {
    Some(match number {
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGHUP => "SIGHUP",
        libc::SIGILL => "SIGILL",
        libc::SIGINT => "SIGINT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGSYS => "SIGSYS: it made a system call that it may not make",
        libc::SIGTERM => "SIGTERM",
        libc::SIGTRAP => "SIGTRAP",
        _ => return None,
    })
}

/// Ends this process as soon as `parent` is no more.
pub(super) fn end_with(parent: Pid) {
    // Since Linux 2.1.57.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // It may be gone already; in a namespace of its own it has no number here.
    if rustix::process::getppid().is_some_and(|now| now != parent) {
        sys::exit_now(0);
    }
}

/// Gives everything up. What comes in is then read from descriptor 0, and written to 1.
pub(super) fn raise(input: OwnedFd, output: OwnedFd, limits: Allowance) {
    // There is one thread.
    bls_confine::wipe_environment();
    // Both are above 2: the standard library has seen to it that those are taken.
    if rustix::stdio::dup2_stdin(&input).is_err() || rustix::stdio::dup2_stdout(&output).is_err() {
        sys::exit_now(1);
    }
    drop((input, output));
    sys::close(2);
    if bls_confine::close_descriptors_but(&[]).is_err() {
        // Before Linux 5.9 one by one.
        let most = getrlimit(Resource::Nofile).current.map_or(1 << 20, |most| most.min(1 << 20));
        (3..most as i32).for_each(sys::close);
    }
    // The descriptor of the rules is closed before there may be none.
    if let Ok(nothing) = Ruleset::new() {
        let _ = bls_confine::forbid_new_privileges().and_then(|()| nothing.restrict_self());
    }
    limit(Resource::Data, limits.memory);
    limit(Resource::Core, 0);
    limit(Resource::Fsize, 0);
    limit(Resource::Nofile, 0);
    limit(Resource::Msgqueue, 0);
    let _ = bls_confine::drop_capabilities(Capabilities::NONE);
    let _ = bls_confine::forbid_dumps();
    let _ = bls_confine::forbid_new_privileges();
    let _ = bls_confine::forbid_new_code();
    let _ = filter().install();
}

/// No more of something than this, and never more than there was.
fn limit(resource: Resource, most: u64) {
    let before = getrlimit(resource).maximum;
    let most = Some(before.map_or(most, |before| before.min(most)));
    let _ = setrlimit(resource, Rlimit { current: most, maximum: most });
}

/// The calls that compiling makes.
fn filter() -> Filter {
    let mut filter = Filter::new();
    filter.allow(&[
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_close,
        // Memory.
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        // Threads.
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
        libc::SYS_membarrier,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
        // What the kernel mostly answers without a call.
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_getrandom,
    ]);
    // Private memory counts, and shared memory would not.
    let not_executable = Argument::HasNoneOf(2, libc::PROT_EXEC as u32);
    let not_shared = Argument::HasNoneOf(3, libc::MAP_SHARED as u32);
    filter.allow_if_all(libc::SYS_mmap, vec![not_executable.clone(), not_shared]);
    filter.allow_if(libc::SYS_mprotect, not_executable);
    // A thread of this process, and no other process. The newer call's flags are in memory,
    // where a filter cannot look: the C library does without it.
    filter.allow_if(libc::SYS_clone, Argument::HasAllOf(0, libc::CLONE_THREAD as u32));
    filter.refuse(&[libc::SYS_clone3], libc::ENOSYS);
    // By this signal to itself a process aborts.
    let own = rustix::process::getpid().as_raw_nonzero().get().cast_unsigned();
    filter.allow_if(libc::SYS_tgkill, Argument::IsOneOf(0, vec![own]));
    // The C library asks for these and does without an answer.
    filter.refuse(&[libc::SYS_prctl, libc::SYS_prlimit64, libc::SYS_fstat], libc::EPERM);
    filter.refuse(
        &[libc::SYS_openat, libc::SYS_readlinkat, libc::SYS_statx, libc::SYS_newfstatat],
        libc::EACCES,
    );
    #[cfg(target_arch = "x86_64")]
    filter.refuse(&[libc::SYS_open, libc::SYS_readlink, libc::SYS_stat], libc::EACCES);
    filter
}
