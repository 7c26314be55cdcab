//! Which system calls a host function makes: of streams, of files where a folder is granted,
//! to change files where one may be changed, of sockets where there can be some, and to ask
//! where somebody answers. No row makes a socket, connects one or binds one.
//!
//! One row for each function of the host ([`ROWS`]); a test sees that none is missing. What
//! runs before a guest does and what ends its run is in [`ALWAYS`]. Whoever has a host
//! function make a system call that its row does not list finds the process ended by SIGSYS,
//! in every test that gets there.

use super::numbers::*;
use bls_artifact::capability::WASI_PREVIEW1;
use bls_artifact::host_table::Function;
use bls_confine::filter::{Argument, Filter, Number};
use libc as c;

/// The folders that a guest was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Folders {
    None,
    Read,
    Change,
}

/// What the host functions of a guest work on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    pub(super) folders: Folders,
    /// Whether it can have sockets: it was passed some, or can ask for them.
    pub(super) sockets: bool,
    /// Whether somebody answers what it asks for.
    pub(super) asks: bool,
}

/// The system calls of a host function.
struct Row {
    interface: &'static str,
    name: &'static str,
    /// Whatever is granted.
    streams: &'static [&'static [Number]],
    /// Where a folder is granted, also.
    files: &'static [&'static [Number]],
    /// Where one may be changed, also.
    changes: &'static [&'static [Number]],
    /// Where there can be sockets, also.
    sockets: &'static [&'static [Number]],
    /// Where somebody answers, also.
    asks: &'static [&'static [Number]],
}

/// What finds and opens a file by a path, and tells what it is. (`open` is what rustix calls
/// on x86-64 for a path that begins at no descriptor: `/proc/self/fd/N`.)
const LOOKUP: &[Number] = &[
    #[cfg(target_arch = "x86_64")]
    c::SYS_open,
    c::SYS_openat,
    c::SYS_openat2,
    c::SYS_readlinkat,
    STAT,
    c::SYS_statx,
    FSTATFS,
];
/// What asks a file about itself.
const METADATA: &[Number] = &[c::SYS_statx, STAT];
/// What reads from a socket, and takes the descriptors that an answer brings.
const RECEIVE: &[Number] = &[c::SYS_recvmsg];
/// What writes to a socket.
const SEND: &[Number] = &[c::SYS_sendto];
/// What a socket's addresses are asked by.
const NAMES: &[Number] = &[c::SYS_getsockname, c::SYS_getpeername];
/// What asks whoever answers, and waits for it.
const ASK: &[&[Number]] = &[SEND, RECEIVE, POLL];

/// Every host function, in the order of the specification. Descriptors are closed and asked
/// for their flags, sizes and positions by [`ALWAYS`].
const ROWS: &[Row] = &[
    row("args_get", &[], &[], &[]),
    row("args_sizes_get", &[], &[], &[]),
    row("environ_get", &[], &[], &[]),
    row("environ_sizes_get", &[], &[], &[]),
    row("clock_res_get", &[CLOCK_GETRES], &[], &[]),
    row("clock_time_get", &[CLOCK_GETTIME], &[], &[]),
    row("fd_advise", &[], &[&[FADVISE]], &[]),
    row("fd_allocate", &[], &[], &[&[c::SYS_fallocate]]),
    row("fd_close", &[], &[], &[]),
    row("fd_datasync", &[], &[&[c::SYS_fdatasync]], &[]),
    row("fd_fdstat_get", &[&[c::SYS_ioctl]], &[METADATA], &[]),
    row("fd_fdstat_set_flags", &[], &[], &[]),
    row("fd_fdstat_set_rights", &[], &[], &[]),
    row("fd_filestat_get", &[&[c::SYS_ioctl]], &[METADATA], &[]),
    row("fd_filestat_set_size", &[], &[], &[]),
    row("fd_filestat_set_times", &[], &[], &[LOOKUP, UTIMENSAT]),
    row("fd_pread", &[], &[&[c::SYS_preadv]], &[]),
    row("fd_prestat_get", &[], &[], &[]),
    row("fd_prestat_dir_name", &[], &[], &[]),
    row("fd_pwrite", &[], &[], &[&[c::SYS_pwritev]]),
    with_sockets(row("fd_read", &[&[c::SYS_readv], POLL], &[], &[]), &[RECEIVE]),
    row("fd_readdir", &[], &[LOOKUP, &[c::SYS_getdents64]], &[]),
    row("fd_renumber", &[], &[], &[]),
    row("fd_seek", &[], &[], &[]),
    row("fd_sync", &[], &[&[c::SYS_fsync]], &[]),
    row("fd_tell", &[], &[], &[]),
    with_sockets(row("fd_write", &[&[c::SYS_writev], POLL], &[], &[]), &[SEND]),
    row("path_create_directory", &[], &[], &[LOOKUP, &[c::SYS_mkdirat]]),
    row("path_filestat_get", &[], &[LOOKUP], &[]),
    row("path_filestat_set_times", &[], &[], &[LOOKUP, UTIMENSAT]),
    row("path_link", &[], &[], &[LOOKUP, &[c::SYS_linkat]]),
    row("path_open", &[], &[LOOKUP], &[]),
    row("path_readlink", &[], &[LOOKUP], &[]),
    row("path_remove_directory", &[], &[], &[LOOKUP, &[c::SYS_unlinkat]]),
    row("path_rename", &[], &[], &[LOOKUP, RENAME]),
    row("path_symlink", &[], &[], &[LOOKUP, &[c::SYS_symlinkat]]),
    row("path_unlink_file", &[], &[], &[LOOKUP, &[c::SYS_unlinkat]]),
    row("poll_oneoff", &[POLL, &[c::SYS_ioctl]], &[], &[]),
    row("proc_exit", &[], &[], &[]),
    row("proc_raise", &[], &[], &[]),
    row("random_get", &[&[c::SYS_getrandom]], &[], &[]),
    row("sched_yield", &[&[c::SYS_sched_yield]], &[], &[]),
    with_sockets(row("sock_accept", &[], &[], &[]), &[&[c::SYS_accept4]]),
    with_sockets(row("sock_recv", &[], &[], &[]), &[RECEIVE]),
    with_sockets(row("sock_send", &[], &[], &[]), &[SEND]),
    with_sockets(row("sock_shutdown", &[], &[], &[]), &[&[c::SYS_shutdown]]),
    of("blockless_memory", "memory_read", &[&[c::SYS_read], POLL], &[]),
    of("blockless_memory", "env_var_read", &[], &[]),
    of("bless", "rpc_call", &[], ASK),
    of("blockless_http", "http_req", &[], ASK),
    of("blockless_http", "http_close", &[], ASK),
    of("blockless_http", "http_read_header", &[], &[]),
    of("blockless_http", "http_read_body", &[], ASK),
    of("bls_http", "request_check", &[], &[]),
    of("bls_http", "request_send", &[], ASK),
    of("bls_http", "response_head", &[], &[]),
    of("bls_http", "response_read", &[], ASK),
    of("bls_http", "response_close", &[], ASK),
    of("bls_socket", "lookup", &[], &[]),
    of("bls_socket", "connect", &[], ASK),
    of("bls_socket", "listen", &[], ASK),
    with_sockets(of("bls_socket", "address", &[], &[]), &[NAMES]),
    of("blockless_cgi", "cgi_list_exec", &[], ASK),
    of("blockless_cgi", "cgi_list_read", &[], &[]),
    of("blockless_cgi", "cgi_open", &[], ASK),
    of("blockless_cgi", "cgi_stdout_read", &[], &[&[c::SYS_read], POLL]),
    of("blockless_cgi", "cgi_stderr_read", &[], &[&[c::SYS_read], POLL]),
    of("blockless_cgi", "cgi_stdin_write", &[], &[SEND, &[c::SYS_write], POLL]),
    of("blockless_cgi", "cgi_close", &[], ASK),
    of("blockless_socket", "create_tcp_bind_socket", &[], ASK),
    of("blockless_socket", "tcp_connect", &[], ASK),
    of("blockless_drivers", "blockless_open", &[], ASK),
    of("blockless_llm", "llm_set_model_request", &[], &[]),
    of("blockless_llm", "llm_get_model_response", &[], &[]),
    of("blockless_llm", "llm_set_model_options_request", &[], &[]),
    of("blockless_llm", "llm_get_model_options", &[], &[]),
    of("blockless_llm", "llm_prompt_request", &[], &[]),
    of("blockless_llm", "llm_read_prompt_response", &[], &[]),
    of("blockless_llm", "llm_close", &[], &[]),
    of("blockless_ipfs", "ipfs_command", &[], &[]),
    of("blockless_ipfs", "ipfs_read", &[], &[]),
    of("blockless_ipfs", "ipfs_write", &[], &[]),
    of("blockless_ipfs", "ipfs_close", &[], &[]),
    of("blockless_s3", "bucket_command", &[], &[]),
    of("blockless_s3", "bucket_put_object", &[], &[]),
    of("blockless_s3", "s3_read", &[], &[]),
    of("blockless_s3", "s3_close", &[], &[]),
    of("bless_crawl", "scrape", &[], &[]),
    of("bless_crawl", "close", &[], &[]),
];

const fn row(
    name: &'static str,
    streams: &'static [&'static [Number]],
    files: &'static [&'static [Number]],
    changes: &'static [&'static [Number]],
) -> Row {
    Row { interface: WASI_PREVIEW1, name, streams, files, changes, sockets: &[], asks: &[] }
}

/// One that uses sockets too.
const fn with_sockets(row: Row, sockets: &'static [&'static [Number]]) -> Row {
    Row { sockets, ..row }
}

/// One of another interface, that makes these calls whatever is granted, and those where
/// somebody answers.
const fn of(
    interface: &'static str,
    name: &'static str,
    streams: &'static [&'static [Number]],
    asks: &'static [&'static [Number]],
) -> Row {
    Row { interface, streams, asks, ..row(name, &[], &[], &[]) }
}

/// What every run makes: memory and its end, locks, signals, clocks, what a run that has ended
/// writes and prints. None of them takes a path or makes a descriptor.
const ALWAYS: &[Number] = &[
    // Memories, the heap of objects, our own allocator. (`mmap`, `mprotect`: see `filter`.)
    c::SYS_munmap,
    c::SYS_mremap,
    c::SYS_madvise,
    c::SYS_brk,
    // A trap of the guest is a signal; so is the end of its time.
    c::SYS_rt_sigreturn,
    c::SYS_rt_sigaction,
    c::SYS_rt_sigprocmask,
    c::SYS_sigaltstack,
    c::SYS_restart_syscall,
    c::SYS_setitimer,
    c::SYS_getpid,
    c::SYS_gettid,
    c::SYS_gettimeofday,
    c::SYS_nanosleep,
    // The seeds of hash tables.
    c::SYS_getrandom,
    // The end: results, messages, the report.
    c::SYS_write,
    c::SYS_writev,
    c::SYS_pwrite64,
    SEEK,
    FSTAT,
    TRUNCATE,
    c::SYS_close,
    c::SYS_getrusage,
    c::SYS_exit,
    c::SYS_exit_group,
];

/// The same, of calls that have another name or a second number on some machines.
const ALWAYS_TOO: &[&[Number]] = &[
    SIGTIMEDWAIT,
    // Where there is no `pause`, it is a `ppoll` of nothing.
    POLL,
    FUTEX,
    // Clocks are read without the kernel, but on some machines.
    CLOCK_GETTIME,
    CLOCK_NANOSLEEP,
    OLD,
];

/// What an embedder's process reads its own channels by, beside all that.
#[cfg(feature = "pool")]
pub(super) const CHANNEL: &[Number] = &[c::SYS_read];

/// What the engine and the C library try, and do without: it is answered as by a kernel that
/// does not have it.
const ABSENT: &[Number] = &[
    // Memory files for the first contents of memories.
    c::SYS_memfd_create,
    // Names of mappings, where the C library was told to give them; and what would undo
    // what was given up.
    c::SYS_prctl,
];

/// What a file is by its name, for where a report is: it is asked whether it is still there,
/// and does without an answer.
const FORBIDDEN: &[Number] = &[STAT];

/// The filter of a process whose guest imports these functions of the host, and whose number
/// is `process`.
pub(super) fn filter<'a>(
    imports: impl Iterator<Item = &'a Function>,
    needs: &Needs,
    process: u32,
) -> Filter {
    let mut filter = Filter::new();
    filter.refuse(FORBIDDEN, c::EPERM);
    filter.refuse(ABSENT, c::ENOSYS);
    ALWAYS_TOO.iter().chain([&ALWAYS]).for_each(|calls| filter.allow(calls));
    let row = |function: &Function| {
        let name = (function.interface, function.name);
        ROWS.iter().find(move |row| (row.interface, row.name) == name)
    };
    for row in imports.filter_map(row) {
        let of_files = if needs.folders > Folders::None { row.files } else { &[] };
        let of_changes = if needs.folders > Folders::Read { row.changes } else { &[] };
        let of_sockets = if needs.sockets { row.sockets } else { &[] };
        let of_asking = if needs.asks { row.asks } else { &[] };
        for calls in [row.streams, of_files, of_changes, of_sockets, of_asking].concat() {
            filter.allow(calls);
        }
    }
    // No memory becomes executable, and no file is mapped so.
    let not_executable = Argument::HasNoneOf(2, c::PROT_EXEC as u32);
    // Shared memory is counted by no limit of the process.
    let not_shared = Argument::HasNoneOf(3, c::MAP_SHARED as u32);
    match MMAP_IS_SEEN {
        true => filter.allow_if_all(MMAP, vec![not_executable.clone(), not_shared]),
        false => filter.allow(&[MMAP]),
    }
    filter.allow_if(c::SYS_mprotect, not_executable);
    // No signal to another process.
    filter.allow_if(c::SYS_tgkill, Argument::IsOneOf(0, vec![process]));
    // No owner of a descriptor, who would be sent signals: flags and duplicates only.
    let commands = [c::F_GETFD, c::F_GETFL, c::F_SETFL, c::F_DUPFD_CLOEXEC];
    let commands = commands.map(|one| one as u32).into();
    filter.allow_if(FCNTL, Argument::IsOneOf(1, commands));
    if filter.allows(c::SYS_ioctl) {
        // What a terminal is and how much there is to read; nothing is put into a terminal.
        // (TCGETS2: newer C libraries ask so.)
        const TCGETS2: u32 = 0x802c_542a;
        let commands = [c::TCGETS as u32, TCGETS2, c::TIOCGWINSZ as u32, c::FIONREAD as u32];
        filter.allow_if(c::SYS_ioctl, Argument::IsOneOf(1, commands.into()));
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;
    use bls_artifact::host_table::{all, function};

    const NOTHING: Needs = Needs { folders: Folders::None, sockets: false, asks: false };
    const EVERYTHING: Needs = Needs { folders: Folders::Change, sockets: true, asks: true };

    #[test]
    fn every_host_function_has_its_row() {
        let rows: Vec<_> = ROWS.iter().map(|row| (row.interface, row.name)).collect();
        let functions: Vec<_> = all().map(|function| (function.interface, function.name)).collect();
        assert_eq!(rows, functions);
    }

    #[test]
    fn what_is_not_granted_is_not_allowed() {
        let of = |folders| filter(all(), &Needs { folders, ..NOTHING }, 1);
        let (none, read, change) = (of(Folders::None), of(Folders::Read), of(Folders::Change));
        for call in [c::SYS_openat, c::SYS_openat2, c::SYS_statx, c::SYS_getdents64] {
            assert!(!none.allows(call) && read.allows(call) && change.allows(call), "{call}");
        }
        for call in [c::SYS_unlinkat, c::SYS_renameat2, c::SYS_pwritev, c::SYS_fallocate] {
            assert!(!none.allows(call) && !read.allows(call) && change.allows(call), "{call}");
        }
        let nothing = filter([].into_iter(), &EVERYTHING, 1);
        for call in [c::SYS_openat, c::SYS_readv, c::SYS_ioctl, c::SYS_sched_yield] {
            assert!(!nothing.allows(call), "{call}: nobody imports what needs it");
        }
        let everything = filter(all(), &EVERYTHING, 1);
        let never = [
            c::SYS_execve,
            c::SYS_execveat,
            c::SYS_clone,
            c::SYS_clone3,
            c::SYS_socket,
            c::SYS_socketpair,
            c::SYS_connect,
            c::SYS_bind,
            c::SYS_listen,
            c::SYS_sendmsg,
            c::SYS_setsockopt,
            c::SYS_ptrace,
            c::SYS_kill,
            c::SYS_process_vm_readv,
            c::SYS_pidfd_getfd,
            c::SYS_memfd_create,
            c::SYS_prctl,
            c::SYS_seccomp,
            c::SYS_io_uring_setup,
            c::SYS_bpf,
            c::SYS_prlimit64,
            c::SYS_dup,
        ];
        for call in never {
            assert!(!everything.allows(call), "{call}");
        }
    }

    #[test]
    fn sockets_are_used_where_there_can_be_some() {
        let calls = [c::SYS_recvmsg, c::SYS_sendto, c::SYS_accept4, c::SYS_shutdown];
        let with = |needs| {
            let filter = filter(all(), &needs, 1);
            calls.map(|call| filter.allows(call))
        };
        assert_eq!(with(NOTHING), [false; 4]);
        assert_eq!(with(Needs { folders: Folders::Change, ..NOTHING }), [false; 4]);
        assert_eq!(with(Needs { sockets: true, ..NOTHING }), [true; 4]);
        // Who answers is asked over a socket, and brings descriptors.
        assert_eq!(with(Needs { asks: true, ..NOTHING }), [true, true, false, false]);
        let rpc = [function("bless", "rpc_call").expect("a function")];
        let filter = filter(rpc.into_iter(), &EVERYTHING, 1);
        assert_eq!(calls.map(|call| filter.allows(call)), [true, true, false, false]);
    }
}
