//! What the exporter gives up before its first connection: it is told bodies, and connects to one
//! place.
//!
//! No file can be opened but those by which names are looked up, and no TCP port connected to but
//! the collector's and that of name servers (Landlock); no program executed, no process or thread
//! made, nothing listened on. Where the kernel has not one of these the others stand, and it is
//! named.

use bls_artifact::net::Url;
use bls_confine::Filter;
use bls_confine::landlock::{Ports, Ruleset};
use bls_confine::service::{self, Missing, note};
use std::io;
use std::os::fd::RawFd;

/// What belongs to the process. While there is one thread.
pub(super) fn begin(collector: &Url, keep: &[RawFd]) -> Missing {
    service::begin(ruleset(collector), keep, &[])
}

fn ruleset(collector: &Url) -> io::Result<Ruleset> {
    let ruleset = Ruleset::with_ports(Ports::Listed, Ports::Listed)?;
    ruleset.allow_connect(collector.port)?;
    if collector.host.address().is_none() {
        service::allow_lookups(&ruleset)?;
    }
    Ok(ruleset)
}

/// System calls: when all is made that is waited by.
pub(super) fn finish(missing: &mut Missing) {
    note(missing, "seccomp", filter().install());
}

/// The calls of sockets, of looking names up, of waiting, and of memory.
fn filter() -> Filter {
    let mut filter = service::own();
    filter.allow_memory();
    filter.allow_connections();
    filter.allow_lookups();
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
