//! What the front gives up before its first connection: it parses what strangers send, and needs
//! sockets that are there, clocks and memory.
//!
//! No file can be opened (Landlock, and no call that opens one), no program executed, no process
//! made, no socket made, connected or bound: connections come from listeners that it is handed.
//! Where the kernel has not one of these the others stand, and it is named.

use bls_confine::Filter;
use bls_confine::landlock::Ruleset;
use bls_confine::service::{self, Missing, note};
use std::os::fd::RawFd;

/// What belongs to threads, and to the process. While there is one thread.
pub(super) fn begin(keep: &[RawFd]) -> Missing {
    service::begin(Ruleset::new(), keep, &[])
}

/// System calls, of all threads: when all that there are have begun.
pub(super) fn finish(missing: &mut Missing) {
    note(missing, "seccomp", filter().install());
}

/// The calls of sockets that are there, of waiting, and of memory.
fn filter() -> Filter {
    let mut filter = service::own();
    filter.allow_memory();
    filter.allow_connections();
    filter.allow(&[libc::SYS_accept4]);
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
