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
use bls_confine::service::{self, limit};
use bls_confine::{Capabilities, Filter};
use rustix::process::{Pid, Resource, Signal, getrlimit};
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

/// The calls that compiling makes.
fn filter() -> Filter {
    let mut filter = service::own();
    // Private memory counts, and shared memory would not.
    let not_executable = Argument::HasNoneOf(2, libc::PROT_EXEC as u32);
    let not_shared = Argument::HasNoneOf(3, libc::MAP_SHARED as u32);
    filter.allow_if_all(libc::SYS_mmap, vec![not_executable.clone(), not_shared]);
    filter.allow_if(libc::SYS_mprotect, not_executable);
    filter.allow_threads();
    // The C library asks for these and does without an answer.
    filter.refuse(&[libc::SYS_fstat], libc::EPERM);
    filter.refuse(&[libc::SYS_statx, libc::SYS_newfstatat], libc::EACCES);
    #[cfg(target_arch = "x86_64")]
    filter.refuse(&[libc::SYS_stat], libc::EACCES);
    filter
}
