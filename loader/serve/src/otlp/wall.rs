//! What the exporter gives up before its first connection: it is told bodies, and connects to one
//! place.
//!
//! No file can be opened but those by which names are looked up, and no TCP port connected to but
//! the collector's and that of name servers (Landlock); no program executed, no process or thread
//! made, nothing listened on. Where the kernel has not one of these the others stand, and it is
//! named.

use bls_artifact::net::Url;
use bls_confine::filter::Argument;
use bls_confine::landlock::{Ports, Rights, Ruleset};
use bls_confine::{Capabilities, Filter};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};

/// What could not be given up, and why.
pub(super) type Missing = Vec<(&'static str, io::Error)>;

/// Files by which the C library looks names up.
const RESOLVER_FILES: [&str; 6] = [
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/services",
];

fn note(missing: &mut Missing, what: &'static str, outcome: io::Result<()>) {
    if let Err(error) = outcome {
        missing.push((what, error));
    }
}

/// What belongs to the process. While there is one thread.
pub(super) fn begin(collector: &Url, keep: &[RawFd]) -> Missing {
    let mut missing = Missing::new();
    bls_confine::wipe_environment();
    let ruleset = ruleset(collector);
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

fn ruleset(collector: &Url) -> io::Result<Ruleset> {
    /// DNS over TCP, where an answer is long.
    const DNS: u16 = 53;
    let ruleset = Ruleset::with_ports(Ports::Listed, Ports::Listed)?;
    ruleset.allow_connect(collector.port)?;
    if collector.host.address().is_some() {
        return Ok(ruleset);
    }
    ruleset.allow_connect(DNS)?;
    for file in RESOLVER_FILES {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        // What is not there is not read.
        let Ok(place) = rustix::fs::open(file, flags, Mode::empty()) else { continue };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode);
        if kind == FileType::RegularFile {
            ruleset.allow(place.as_fd(), Rights::READ.of_file())?;
        }
    }
    Ok(ruleset)
}

/// System calls: when all is made that is waited by.
pub(super) fn finish(missing: &mut Missing) {
    note(missing, "seccomp", filter().install());
}

/// The calls of sockets, of looking names up, of waiting, and of memory.
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
        libc::SYS_sendmmsg,
        libc::SYS_recvmmsg,
        libc::SYS_connect,
        libc::SYS_shutdown,
        libc::SYS_getsockname,
        libc::SYS_getpeername,
        libc::SYS_getsockopt,
        libc::SYS_setsockopt,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_ppoll,
        // Of files by which names are looked up.
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_lseek,
        libc::SYS_uname,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_gettimeofday,
        libc::SYS_sysinfo,
        // Memory.
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        // Its one thread.
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
    filter.allow(&[libc::SYS_poll, libc::SYS_epoll_wait, libc::SYS_stat, libc::SYS_time]);
    // An error, for the C library looks for modules by which names are looked up, and does
    // without those that it cannot load.
    let no_code = || Argument::HasNoneOf(2, libc::PROT_EXEC as u32);
    filter.allow_if_or_refuse(libc::SYS_mmap, no_code(), libc::EACCES);
    filter.allow_if_or_refuse(libc::SYS_mprotect, no_code(), libc::EACCES);
    // Landlock says which files.
    let writes = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u32;
    filter.allow_if_or_refuse(libc::SYS_openat, Argument::HasNoneOf(2, writes), libc::EACCES);
    let families = vec![libc::AF_INET as u32, libc::AF_INET6 as u32];
    let families = Argument::IsOneOf(0, families);
    filter.allow_if_or_refuse(libc::SYS_socket, families, libc::EAFNOSUPPORT);
    let asks = vec![libc::FIONREAD as u32, libc::FIONBIO as u32];
    filter.allow_if_or_refuse(libc::SYS_ioctl, Argument::IsOneOf(1, asks), libc::ENOTTY);
    // By this signal to itself a process aborts.
    let own = std::process::id();
    filter.allow_if(libc::SYS_tgkill, Argument::IsOneOf(0, vec![own]));
    // What a library may try, and does without.
    filter.refuse(&[libc::SYS_bind, libc::SYS_readlinkat, libc::SYS_faccessat], libc::EACCES);
    #[cfg(target_arch = "x86_64")]
    filter.refuse(&[libc::SYS_open, libc::SYS_access, libc::SYS_readlink], libc::EACCES);
    filter.refuse(&[libc::SYS_prctl, libc::SYS_prlimit64, libc::SYS_clone3], libc::EPERM);
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exporter_listens_makes_and_starts_nothing() {
        let filter = filter();
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_accept4,
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
