//! The guest's own process: `proc_*`, `sched_yield`.
//!
//! Assumes that whoever runs the guest knows [`Exit`]. Guarantees that a guest
//! can end itself and nothing else. Sends no signals: there is no process behind
//! a guest to send them to.

use crate::host::errno::{Errno, Failure, Outcome};
use crate::host::memory::GuestMemory;
use crate::host::{Exit, Host};

/// Ends the run with a code.
///
/// Every code is passed on. (wasmtime takes those above 125 for a trap; the
/// specification has no such limit.)
pub(crate) fn proc_exit(_host: &mut Host, _memory: &mut GuestMemory<'_>, code: u32) -> Outcome<()> {
    Err(Failure::Stop(wasmtime::Error::new(Exit(code))))
}

/// Would send a signal to the guest itself. Not offered, as in wasmtime: C libraries
/// for WASI raise signals among themselves.
pub(crate) fn proc_raise(
    _host: &mut Host,
    _memory: &mut GuestMemory<'_>,
    signal: u32,
) -> Outcome<()> {
    /// The last of the specification's signals, `sys`.
    const SIGNAL_MAX: u32 = 30;
    if signal > SIGNAL_MAX {
        return Err(Errno::Inval.into());
    }
    Err(Errno::Notsup.into())
}

/// Lets other processes run.
pub(crate) fn sched_yield(_host: &mut Host, _memory: &mut GuestMemory<'_>) -> Outcome<()> {
    rustix::thread::sched_yield();
    Ok(())
}
