//! What a Linux process can give up before it does something dangerous: descriptors,
//! capabilities, core dumps, new privileges, new code, files, system calls.
//!
//! Both programs use it: bls-load before the first instruction of a guest, bls-compile
//! before it reads a module. Each function gives one thing up, for good, and says whether
//! the kernel did it; what to give up and in which order is the caller's. Guarantees that
//! nothing here ever gives a process more than it had. Knows nothing of guests or modules.
//!
//! The filters and the rules are made here rather than by the crates `seccompiler` and
//! `landlock`: a filter of the first is a chain of comparisons, whose length is most of what
//! it costs to install one ([`filter`]), and the second cannot restrict a thread other than
//! its caller's ([`threads`]).

pub mod filter;
pub mod landlock;
pub mod service;
mod sys;
pub mod threads;

pub use filter::Filter;
use std::io;
use std::os::fd::RawFd;

/// Closes all descriptors above 2 but these.
///
/// Must be called when nothing in this process that will be used again owns a descriptor
/// that is not in `keep`: one that is closed here reads as closed there.
///
/// # Errors
/// Where the kernel has no `close_range` (before 5.9).
pub fn close_descriptors_but(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|number| u32::try_from(*number).ok()).collect();
    keep.sort_unstable();
    let mut first = 3;
    for kept in keep {
        if kept > first {
            sys::close_range(first, kept - 1)?;
        }
        first = first.max(kept + 1);
    }
    sys::close_range(first, u32::MAX)
}

/// Overwrites every variable of this process with zeros, and leaves it none: whoever comes to
/// read the process's memory must not find what its operator keeps there.
///
/// Must be called when no other thread reads or sets a variable, or ever will.
pub fn wipe_environment() {
    sys::wipe_environment();
}

/// Capabilities of root, as a set of their numbers' bits (capabilities(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// Those that let root use files whatever their owner and mode: CAP_DAC_OVERRIDE (1),
    /// CAP_DAC_READ_SEARCH (2) and CAP_FOWNER (3).
    pub const FILES: Self = Self(1 << 1 | 1 << 2 | 1 << 3);
}

/// Gives up all capabilities but `keep`, in this thread, and the ways back to them
/// (securebits). Of those in `keep`, what the process has stays.
///
/// # Errors
/// What the kernel says.
pub fn drop_capabilities(keep: Capabilities) -> io::Result<()> {
    sys::drop_capabilities(keep.0)
}

/// No core file of this process's memory is written from now on, and no process without
/// privileges may look into it (`PR_SET_DUMPABLE`).
///
/// # Errors
/// What the kernel says.
pub fn forbid_dumps() -> io::Result<()> {
    sys::prctl(libc::PR_SET_DUMPABLE, 0)
}

/// No program that this thread starts gets privileges that it has not (`PR_SET_NO_NEW_PRIVS`).
///
/// # Errors
/// What the kernel says.
pub fn forbid_new_privileges() -> io::Result<()> {
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// No memory of this process becomes executable from now on, but by a new mapping of a file
/// that is readable and executable from the start (`PR_SET_MDWE`).
///
/// # Errors
/// Where the kernel has no such rule (before 6.3).
pub fn forbid_new_code() -> io::Result<()> {
    /// `PR_SET_MDWE` and `PR_MDWE_REFUSE_EXEC_GAIN` of linux/prctl.h.
    const SET_MDWE: libc::c_int = 65;
    const REFUSE_EXEC_GAIN: libc::c_ulong = 1;
    sys::prctl(SET_MDWE, REFUSE_EXEC_GAIN)
}
