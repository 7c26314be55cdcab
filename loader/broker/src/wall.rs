//! What each process gives up before its first request.
//!
//! | | front | starter | extension |
//! |---|---|---|---|
//! | files | those by which names are looked up | programs and what extensions may use | its own, system libraries |
//! | network | ports that are granted | none, but for extensions that have it | none, or all |
//! | executes | nothing | what an extension may execute | the same |
//! | system calls | those of TLS, sockets, threads | all but dangerous ones | the same, and it stays in its group |
//! | signals | to itself | to what it starts | to its own processes (Landlock) |
//! | limits of a process, shared memory | none | its own limits, files in memory | its own limits |
//! | capabilities, dumps, new privileges | none | none | none |
//!
//! Where the kernel has not one of these the others stand, and it is named.

use bls_artifact::net::NetRules;
use bls_confine::Filter;
use bls_confine::filter::{Argument, Listener, Number};
use bls_confine::landlock::{Ports, Rights, Ruleset};
pub use bls_confine::service::Missing;
use bls_confine::service::{
    self, RESOLVER_FILES, allow, give_up_privileges, limit, note, restrict,
};
use rustix::process::Resource;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::path::Path;

/// Folders and files with libraries, interpreters and their data.
const SYSTEM: [&str; 13] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
];

/// Files and folders that programs with the network read beside [`RESOLVER_FILES`].
const NETWORK_FILES: [&str; 4] = ["/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/protocols"];

/// Devices, and whether they are written to.
const DEVICES: [(&str, bool); 5] = [
    ("/dev/null", true),
    ("/dev/full", true),
    ("/dev/zero", false),
    ("/dev/random", false),
    ("/dev/urandom", false),
];

/// Memory of the front, in bytes: a few times the largest request or answer, and what the
/// buffers of open answers take.
const FRONT_MEMORY: u64 = 256 << 20;

/// Signals to other processes of the same user, for extensions: the filter cannot tell their
/// numbers from those of an extension's own processes, so only Landlock keeps them inside.
fn note_signals(missing: &mut Missing, are_kept: bool) {
    let why = "this kernel's Landlock does not keep them inside";
    let outcome = are_kept.then_some(()).ok_or_else(|| io::Error::other(why));
    note(missing, "signals", outcome);
}

/// The front's. While there is one thread.
#[must_use]
pub fn front(rules: &NetRules, keep: &[RawFd]) -> Missing {
    let limits = [(Resource::Data, FRONT_MEMORY), (Resource::Fsize, 0)];
    let mut missing = service::begin(front_ruleset(rules), keep, &limits);
    note(&mut missing, "seccomp", front_filter(!rules.is_empty()).install());
    missing
}

fn front_ruleset(rules: &NetRules) -> io::Result<Ruleset> {
    let tcp = || rules.allow.iter().filter(|grant| grant.is_tcp());
    let ports = |all: bool| if all { Ports::All } else { Ports::Listed };
    let connect_all = rules.allow.iter().any(|grant| grant.port().is_none());
    let bind_all = tcp().any(|grant| grant.port().is_none());
    let ruleset = Ruleset::with_ports(ports(connect_all), ports(bind_all))?;
    for port in rules.allow.iter().filter_map(|grant| grant.port()) {
        ruleset.allow_connect(port)?;
    }
    for port in tcp().filter_map(|grant| grant.port()) {
        ruleset.allow_bind(port)?;
    }
    if !rules.is_empty() {
        service::allow_lookups(&ruleset)?;
    }
    Ok(ruleset)
}

/// The calls of TLS, sockets and threads.
fn front_filter(network: bool) -> Filter {
    let mut filter = service::own();
    filter.allow_memory();
    filter.allow_threads();
    filter.allow_connections();
    filter.allow(&[libc::SYS_wait4, libc::SYS_waitid]);
    if network {
        filter.allow_lookups();
        filter.allow(&[libc::SYS_bind, libc::SYS_listen]);
    }
    filter
}

/// What extensions may use, for the starter and for each of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uses<'a> {
    /// Programs, or folders of programs.
    pub programs: &'a [&'a Path],
    /// What may be read.
    pub read: &'a [&'a Path],
    /// What may be changed.
    pub write: &'a [&'a Path],
    /// Whether the network may be used.
    pub network: bool,
}

/// The starter's. While there is one thread.
#[must_use]
pub fn starter(uses: &Uses<'_>, keep: &[RawFd]) -> Missing {
    let ruleset = extension_ruleset(uses).and_then(|ruleset| {
        // How many processes an extension is (`starter/family.rs`).
        allow(&ruleset, Path::new("/proc"), Rights::READ)?;
        Ok(ruleset)
    });
    let keeps_signals = ruleset.as_ref().is_ok_and(Ruleset::keeps_signals);
    let mut missing = service::begin_to_execute(ruleset, keep, &[]);
    note_signals(&mut missing, keeps_signals);
    let mut filter = extension_filter(uses.network, false);
    // Groups for extensions, and sealed memory in the place of files that others may write.
    filter.allow(&[libc::SYS_setpgid, libc::SYS_memfd_create]);
    note(&mut missing, "seccomp", filter.install());
    missing
}

/// Limits of an extension.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Memory that each of its processes writes to, in bytes.
    pub memory: u64,
    /// Files that each has open.
    pub files: u32,
    /// Whether it may be more than one process.
    pub processes: bool,
}

/// An extension's, in its own process, before it is executed. Its descriptors are its own
/// already.
///
/// Where it may make processes it asks for each, and what this gives is where it is answered;
/// `None` where the kernel does not ask (before Linux 5.5), or asks somebody else already.
///
/// # Errors
/// What could not be given up: then it is not executed.
pub fn extension(
    uses: &Uses<'_>,
    most: Most,
) -> Result<Option<Listener>, (&'static str, io::Error)> {
    let mut missing = Missing::new();
    let ruleset = extension_ruleset(uses);
    limit(Resource::Core, 0);
    limit(Resource::Data, most.memory);
    limit(Resource::Nofile, most.files.into());
    limit(Resource::Msgqueue, 0);
    give_up_privileges(&mut missing);
    let has_landlock = ruleset.is_ok();
    restrict(&mut missing, ruleset);
    note(&mut missing, "seccomp", extension_filter(uses.network, !most.processes).install());
    // Where the kernel has none, the starter has said so.
    if !has_landlock {
        missing.retain(|(what, _)| *what != "landlock");
    }
    match missing.into_iter().next() {
        Some(missing) => Err(missing),
        None if most.processes => Ok(asking_filter().install_with_listener().ok()),
        None => Ok(None),
    }
}

/// Asks about each new process; threads are none.
fn asking_filter() -> Filter {
    let mut filter = Filter::new();
    filter.allow(&(0..=NEW_CALLS).collect::<Vec<_>>());
    let thread = Argument::HasAllOf(0, libc::CLONE_THREAD as u32);
    filter.allow_if_or_ask(libc::SYS_clone, thread);
    #[cfg(target_arch = "x86_64")]
    filter.ask(&[libc::SYS_fork, libc::SYS_vfork]);
    filter
}

fn extension_ruleset(uses: &Uses<'_>) -> io::Result<Ruleset> {
    let ports = if uses.network { Ports::All } else { Ports::Listed };
    let ruleset = Ruleset::with_ports(ports, ports)?;
    for path in SYSTEM {
        allow(&ruleset, Path::new(path), Rights::RUN)?;
    }
    for (device, written) in DEVICES {
        let rights = if written { Rights::CHANGE } else { Rights::READ };
        allow(&ruleset, Path::new(device), rights.of_file())?;
    }
    if uses.network {
        for path in RESOLVER_FILES.iter().chain(&NETWORK_FILES) {
            allow(&ruleset, Path::new(path), Rights::READ)?;
        }
    }
    for path in uses.programs {
        allow(&ruleset, path, Rights::RUN)?;
    }
    for path in uses.read {
        allow(&ruleset, path, Rights::READ)?;
    }
    for path in uses.write {
        allow(&ruleset, path, Rights::CHANGE)?;
    }
    Ok(ruleset)
}

/// The last number of a call that was looked at, on every architecture.
const LAST_CALL: Number = 462;
/// Numbers that a kernel may give to new calls.
const NEW_CALLS: Number = 511;

/// Calls that no extension needs, and by which whoever wants to get out would begin.
const DANGEROUS: [Number; 79] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_personality,
    libc::SYS_vhangup,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_vmsplice,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    // It stays in its group, by which all of it is ended.
    libc::SYS_setsid,
    libc::SYS_setpgid,
    libc::SYS_mknodat,
    // Memory, messages and semaphores that all programs of a user share, by numbers that anybody
    // can guess; Landlock knows nothing of them.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// All calls but dangerous ones; those that the kernel has learnt since are refused as unknown.
fn extension_filter(network: bool, single: bool) -> Filter {
    let namespaces = (libc::CLONE_NEWNS
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWCGROUP) as u32;
    let mut filter = Filter::new();
    filter.allow(&(0..=LAST_CALL).collect::<Vec<_>>());
    filter.refuse(&(LAST_CALL + 1..=NEW_CALLS).collect::<Vec<_>>(), libc::ENOSYS);
    filter.refuse(&DANGEROUS, libc::EPERM);
    #[cfg(target_arch = "x86_64")]
    filter.refuse(
        &[
            libc::SYS_iopl,
            libc::SYS_ioperm,
            libc::SYS_modify_ldt,
            libc::SYS_mknod,
            libc::SYS_kexec_file_load,
        ],
        libc::EPERM,
    );
    filter.refuse(
        &[
            libc::SYS_clone3,
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
        ],
        libc::ENOSYS,
    );
    // Memory that a limit on what a process writes to (`RLIMIT_DATA`) does not count: shared
    // without a file, files in memory, and what grows down as a stack does.
    filter.refuse(&[libc::SYS_memfd_create, libc::SYS_memfd_secret], libc::ENOSYS);
    let shared = (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as u32;
    let counted =
        vec![Argument::LacksOneOf(3, shared), Argument::HasNoneOf(3, libc::MAP_GROWSDOWN as u32)];
    filter.allow_if_all_or_refuse(libc::SYS_mmap, counted, libc::EPERM);
    // Its own limits, and nobody else's: by those of the processor's time any process of its
    // user would be killed, whoever started it among them.
    let itself = Argument::IsOneOf(0, vec![0]);
    filter.allow_if_or_refuse(libc::SYS_prlimit64, itself, libc::EPERM);
    if single {
        let thread = Argument::HasAllOf(0, libc::CLONE_THREAD as u32);
        filter.allow_if_or_refuse(libc::SYS_clone, thread, libc::EAGAIN);
        #[cfg(target_arch = "x86_64")]
        filter.refuse(&[libc::SYS_fork, libc::SYS_vfork], libc::EAGAIN);
    } else {
        let inside = Argument::HasNoneOf(0, namespaces);
        filter.allow_if_or_refuse(libc::SYS_clone, inside, libc::EPERM);
    }
    if network {
        let families = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
        let families = Argument::IsOneOf(0, families.map(|family| family as u32).to_vec());
        filter.allow_if_or_refuse(libc::SYS_socket, families, libc::EACCES);
    } else {
        // Also those to programs of this machine, which Landlock does not know.
        filter.refuse(&[libc::SYS_socket], libc::EACCES);
    }
    filter
}

/// Closes what an extension shall not have: all descriptors above 2 but these.
///
/// # Errors
/// What the kernel says.
pub fn close_all_but(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let kept: Vec<RawFd> = kept.iter().map(|kept| kept.as_raw_fd()).collect();
    if bls_confine::close_descriptors_but(&kept).is_ok() {
        return Ok(());
    }
    Err(io::Error::other("the kernel closes no ranges of descriptors (before Linux 5.9)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_executes_nothing_and_makes_no_process() {
        for network in [false, true] {
            let filter = front_filter(network);
            for call in [libc::SYS_execve, libc::SYS_execveat, libc::SYS_kill, libc::SYS_ptrace] {
                assert!(!filter.allows(call), "{call}");
            }
            assert_eq!(filter.allows(libc::SYS_socket), network);
            assert_eq!(filter.allows(libc::SYS_openat), network);
            assert_eq!(filter.allows(libc::SYS_connect), network);
        }
    }

    #[test]
    fn an_extension_has_no_socket_where_it_has_no_network() {
        assert!(!extension_filter(false, false).allows(libc::SYS_socket));
        assert!(extension_filter(true, false).allows(libc::SYS_socket));
        for (network, single) in [(false, false), (true, true)] {
            let filter = extension_filter(network, single);
            for call in DANGEROUS.into_iter().chain([libc::SYS_io_uring_setup, libc::SYS_clone3]) {
                assert!(!filter.allows(call), "{call}");
            }
            assert!(filter.allows(libc::SYS_execve) && filter.allows(libc::SYS_read));
        }
    }
    #[test]
    fn an_extension_shares_nothing_by_numbers_that_anybody_can_guess() {
        for (network, single) in [(false, false), (true, true)] {
            let filter = extension_filter(network, single);
            for call in [
                libc::SYS_shmget,
                libc::SYS_shmat,
                libc::SYS_shmctl,
                libc::SYS_msgget,
                libc::SYS_msgsnd,
                libc::SYS_msgrcv,
                libc::SYS_msgctl,
                libc::SYS_semget,
                libc::SYS_semop,
                libc::SYS_semtimedop,
                libc::SYS_semctl,
                libc::SYS_mq_open,
                libc::SYS_mq_unlink,
            ] {
                assert!(!filter.allows(call), "{call}");
            }
        }
    }
    #[test]
    fn a_kernel_that_does_not_keep_signals_inside_is_without_a_piece_of_the_wall() {
        let mut missing = Missing::new();
        note_signals(&mut missing, true);
        assert!(missing.is_empty(), "{missing:?}");
        note_signals(&mut missing, false);
        assert!(matches!(missing[..], [("signals", _)]), "{missing:?}");
        let refusal = crate::starter::refusal_of(&missing, "it").unwrap();
        assert!(refusal.text.contains("signals"), "{refusal}");
    }
    #[test]
    fn an_extension_has_no_files_in_memory() {
        for (network, single) in [(false, false), (true, true)] {
            let filter = extension_filter(network, single);
            assert!(!filter.allows(libc::SYS_memfd_create) && filter.allows(libc::SYS_mmap));
            assert!(!filter.allows(libc::SYS_memfd_secret));
        }
    }
}
