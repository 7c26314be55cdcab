//! What the processes that parse what strangers send have in common: the compiler's, the
//! server's, the broker's. They are of one program, which is loaded already.
//!
//! ```text
//! begin ─ variables, descriptors, limits, privileges, new code, files (a ruleset)
//!   ... threads start, what is waited by is made ...
//! filter ─ own() and what this one needs besides ─ install
//! ```
//!
//! The tables here are what each of them needs; what one needs alone is said where it is
//! confined. Where a kernel has not one of the pieces the others stand, and it is named.

use crate::filter::{Argument, Number};
use crate::landlock::{Rights, Ruleset};
use crate::{Capabilities, Filter};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::path::Path;

/// What could not be given up, and why.
pub type Missing = Vec<(&'static str, io::Error)>;

/// Keeps in mind what could not be given up.
pub fn note(missing: &mut Missing, what: &'static str, outcome: io::Result<()>) {
    if let Err(error) = outcome {
        missing.push((what, error));
    }
}

/// No more of something than this, and never more than there was.
pub fn limit(resource: Resource, most: u64) {
    let before = getrlimit(resource).maximum;
    let most = Some(before.map_or(most, |before| before.min(most)));
    let _ = setrlimit(resource, Rlimit { current: most, maximum: most });
}

/// Variables, descriptors above 2 but `keep`, core files, what else is limited, privileges, files
/// but those of the ruleset, and new code. While there is one thread: those that it starts have
/// given up the same.
#[must_use]
pub fn begin(ruleset: io::Result<Ruleset>, keep: &[RawFd], limits: &[(Resource, u64)]) -> Missing {
    let missing = begin_to_execute(ruleset, keep, limits);
    // Older kernels do without: the filter lets no memory become executable.
    let _ = crate::forbid_new_code();
    missing
}

/// The same but for new code, where other programs are to be executed, which may make some.
#[must_use]
pub fn begin_to_execute(
    ruleset: io::Result<Ruleset>,
    keep: &[RawFd],
    limits: &[(Resource, u64)],
) -> Missing {
    let mut missing = Missing::new();
    crate::wipe_environment();
    let rules = ruleset.as_ref().map(|ruleset| ruleset.as_raw_fd());
    let kept: Vec<RawFd> = keep.iter().copied().chain(rules).collect();
    note(&mut missing, "descriptors", crate::close_descriptors_but(&kept));
    limit(Resource::Core, 0);
    limits.iter().for_each(|(resource, most)| limit(*resource, *most));
    give_up_privileges(&mut missing);
    restrict(&mut missing, ruleset);
    missing
}

/// Capabilities, dumps and new privileges.
pub fn give_up_privileges(missing: &mut Missing) {
    note(missing, "capabilities", crate::drop_capabilities(Capabilities::NONE));
    note(missing, "dumpable", crate::forbid_dumps());
    note(missing, "no-new-privs", crate::forbid_new_privileges());
}

/// Files, ports, signals: all but what the ruleset allows.
pub fn restrict(missing: &mut Missing, ruleset: io::Result<Ruleset>) {
    note(missing, "landlock", ruleset.and_then(|ruleset| ruleset.restrict_self()));
}

/// Allows this beneath a path, or of a file. What is not there is not allowed.
///
/// # Errors
/// What the kernel says of a file that is there.
pub fn allow(ruleset: &Ruleset, path: &Path, rights: Rights) -> io::Result<()> {
    let Ok(place) = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else {
        return Ok(());
    };
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode);
    let rights = if kind == FileType::Directory { rights } else { rights.of_file() };
    ruleset.allow(place.as_fd(), rights)
}

/// Files by which the C library looks names up.
pub const RESOLVER_FILES: [&str; 6] = [
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/services",
];

/// Allows what looking names up takes: its files, and DNS over TCP, where an answer is long.
///
/// # Errors
/// What the kernel says.
pub fn allow_lookups(ruleset: &Ruleset) -> io::Result<()> {
    const DNS: u16 = 53;
    ruleset.allow_connect(DNS)?;
    RESOLVER_FILES.iter().try_for_each(|file| allow(ruleset, Path::new(file), Rights::READ))
}

/// A process's own: memory, threads that are there, clocks, and its end.
const OWN: [Number; 28] = [
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
    libc::SYS_getcpu,
    libc::SYS_membarrier,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // What the kernel mostly answers without a call.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
];

/// Sockets that are there, and waiting for them.
const CONNECTIONS: [Number; 14] = [
    libc::SYS_readv,
    libc::SYS_fcntl,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
];

/// Looking names up and connecting, beside [`CONNECTIONS`] and what makes sockets and opens files.
const LOOKUPS: [Number; 12] = [
    libc::SYS_connect,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_uname,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_gettimeofday,
    // Sorting many addresses asks how much memory there is.
    libc::SYS_sysinfo,
];

/// A filter that allows what every such process does: memory, threads that are there, clocks,
/// what it has open, and its end. New memory is of the caller's choice
/// ([`Filter::allow_memory`]), as is what answers where a file is opened or a socket made:
/// an error, so that the C library does without.
#[must_use]
pub fn own() -> Filter {
    let mut filter = Filter::new();
    filter.allow(&OWN);
    // By this signal to itself a process aborts.
    filter.allow_if(libc::SYS_tgkill, Argument::IsOneOf(0, vec![std::process::id()]));
    filter.refuse(&[libc::SYS_prctl, libc::SYS_prlimit64], libc::EPERM);
    filter.refuse(&[libc::SYS_clone3], libc::ENOSYS);
    filter.refuse(&[libc::SYS_socket], libc::EAFNOSUPPORT);
    filter.refuse(&[libc::SYS_openat, libc::SYS_readlinkat, libc::SYS_bind], libc::EACCES);
    #[cfg(target_arch = "x86_64")]
    filter.refuse(&[libc::SYS_open, libc::SYS_readlink, libc::SYS_access], libc::EACCES);
    filter
}

impl Filter {
    /// New memory, none of it executable: an error, for the C library looks for modules by which
    /// names are looked up, and does without those that it cannot load.
    pub fn allow_memory(&mut self) {
        let no_code = || Argument::HasNoneOf(2, libc::PROT_EXEC as u32);
        self.allow_if_or_refuse(libc::SYS_mmap, no_code(), libc::EACCES);
        self.allow_if_or_refuse(libc::SYS_mprotect, no_code(), libc::EACCES);
    }

    /// New threads of this process, and no other process. The newer call's flags are in memory,
    /// where a filter cannot look: the C library does without it.
    pub fn allow_threads(&mut self) {
        self.allow_if(libc::SYS_clone, Argument::HasAllOf(0, libc::CLONE_THREAD as u32));
    }

    /// Sockets that are there, and waiting for them.
    pub fn allow_connections(&mut self) {
        self.allow(&CONNECTIONS);
        #[cfg(target_arch = "x86_64")]
        self.allow(&[libc::SYS_poll, libc::SYS_epoll_wait]);
        let asks = vec![libc::FIONREAD as u32, libc::FIONBIO as u32, libc::TCGETS as u32];
        self.allow_if_or_refuse(libc::SYS_ioctl, Argument::IsOneOf(1, asks), libc::ENOTTY);
    }

    /// Connections to be made, and names to be looked up ([`allow_lookups`] says by which files).
    pub fn allow_lookups(&mut self) {
        self.allow(&LOOKUPS);
        #[cfg(target_arch = "x86_64")]
        self.allow(&[libc::SYS_stat, libc::SYS_time]);
        // Landlock says which files.
        let writes = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u32;
        self.allow_if_or_refuse(libc::SYS_openat, Argument::HasNoneOf(2, writes), libc::EACCES);
        #[cfg(target_arch = "x86_64")]
        self.allow_if_or_refuse(libc::SYS_open, Argument::HasNoneOf(1, writes), libc::EACCES);
        let families = Argument::IsOneOf(0, vec![libc::AF_INET as u32, libc::AF_INET6 as u32]);
        self.allow_if_or_refuse(libc::SYS_socket, families, libc::EAFNOSUPPORT);
        self.refuse(&[libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_getcwd], libc::EACCES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_it_executes_or_makes_a_process() {
        let mut filter = own();
        filter.allow_memory();
        filter.allow_threads();
        filter.allow_connections();
        filter.allow_lookups();
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_clone3,
            libc::SYS_kill,
            libc::SYS_ptrace,
            libc::SYS_memfd_create,
            libc::SYS_unlinkat,
            libc::SYS_io_uring_setup,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_accept4,
        ] {
            assert!(!filter.allows(call), "{call}");
        }
        assert!(filter.allows(libc::SYS_clone) && filter.allows(libc::SYS_connect));
        assert!(!own().allows(libc::SYS_clone) && !own().allows(libc::SYS_openat));
    }
}
