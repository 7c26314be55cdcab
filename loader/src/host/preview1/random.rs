//! Randomness: `random_get`.
//!
//! Assumes that the kernel's generator is seeded or will be. Guarantees bytes
//! fit for keys, of any length. Keeps no generator of its own.

use crate::host::Host;
use crate::host::errno::Outcome;
use crate::host::memory::{Bytes, GuestMemory};
use bls_artifact::capability::Capability;
use rustix::io::retry_on_intr;
use rustix::rand::{GetRandomFlags, getrandom};

/// Fills bytes with random ones.
pub(crate) fn random_get(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    buffer: Bytes,
) -> Outcome<()> {
    let mut rest = memory.bytes_mut(buffer)?;
    host.check(Capability::Randomness)?;
    host.purse.pay_random(buffer.length())?;
    if let Some(clockwork) = &mut host.clockwork {
        clockwork.fill(rest);
        return Ok(());
    }
    // One system call fills 32 MiB at most, and a signal may end it early.
    while !rest.is_empty() {
        let filled = retry_on_intr(|| getrandom(&mut *rest, GetRandomFlags::empty()))?;
        rest = rest.get_mut(filled..).unwrap_or_default();
    }
    Ok(())
}
