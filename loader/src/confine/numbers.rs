//! System calls that have another name on some architectures, or a second number.
//!
//! A machine of 32 bits has two calls for many things: one whose sizes, positions or times have
//! 32 bits, and one with 64. Of sizes and positions only the second is used; of times the C
//! library and rustix try the second and then the first. Nothing here is allowed or forbidden;
//! `calls` does that.

use bls_confine::filter::Number;
use libc as c;

/// The names on machines of 64 bits.
#[cfg(target_pointer_width = "64")]
mod of_this_machine {
    use super::{Number, c};
    pub(crate) const FADVISE: Number = c::SYS_fadvise64;
    pub(crate) const FCNTL: Number = c::SYS_fcntl;
    pub(crate) const FSTAT: Number = c::SYS_fstat;
    pub(crate) const FSTATFS: Number = c::SYS_fstatfs;
    pub(crate) const MMAP: Number = c::SYS_mmap;
    pub(crate) const SEEK: Number = c::SYS_lseek;
    pub(crate) const STAT: Number = c::SYS_newfstatat;
    pub(crate) const TRUNCATE: Number = c::SYS_ftruncate;

    pub(crate) const CLOCK_GETRES: &[Number] = &[c::SYS_clock_getres];
    pub(crate) const CLOCK_GETTIME: &[Number] = &[c::SYS_clock_gettime];
    pub(crate) const CLOCK_NANOSLEEP: &[Number] = &[c::SYS_clock_nanosleep];
    pub(crate) const FUTEX: &[Number] = &[c::SYS_futex];
    pub(crate) const SIGTIMEDWAIT: &[Number] = &[c::SYS_rt_sigtimedwait];
    pub(crate) const UTIMENSAT: &[Number] = &[c::SYS_utimensat];
}

/// Those on machines of 32 bits. The calls with times of 64 bits have one number on all of
/// them (asm/unistd.h).
#[cfg(target_pointer_width = "32")]
mod of_this_machine {
    use super::{Number, c};
    #[cfg(target_arch = "arm")]
    pub(crate) const FADVISE: Number = c::SYS_arm_fadvise64_64;
    #[cfg(not(target_arch = "arm"))]
    pub(crate) const FADVISE: Number = c::SYS_fadvise64_64;
    pub(crate) const FCNTL: Number = c::SYS_fcntl64;
    pub(crate) const FSTAT: Number = c::SYS_fstat64;
    pub(crate) const FSTATFS: Number = c::SYS_fstatfs64;
    pub(crate) const MMAP: Number = c::SYS_mmap2;
    pub(crate) const SEEK: Number = c::SYS__llseek;
    pub(crate) const STAT: Number = c::SYS_fstatat64;
    pub(crate) const TRUNCATE: Number = c::SYS_ftruncate64;

    pub(crate) const CLOCK_GETRES: &[Number] = &[c::SYS_clock_getres, 406];
    pub(crate) const CLOCK_GETTIME: &[Number] = &[c::SYS_clock_gettime, 403];
    pub(crate) const CLOCK_NANOSLEEP: &[Number] = &[c::SYS_clock_nanosleep, 407];
    pub(crate) const FUTEX: &[Number] = &[c::SYS_futex, 422];
    pub(crate) const SIGTIMEDWAIT: &[Number] = &[c::SYS_rt_sigtimedwait, 421];
    pub(crate) const UTIMENSAT: &[Number] = &[c::SYS_utimensat, 412];
}

pub(super) use of_this_machine::*;

/// What waits for descriptors.
pub(super) const POLL: &[Number] = &[
    #[cfg(any(target_arch = "x86_64", target_arch = "s390x", target_arch = "arm"))]
    c::SYS_poll,
    c::SYS_ppoll,
    #[cfg(target_pointer_width = "32")]
    414,
];

/// What names a file anew.
pub(super) const RENAME: &[Number] = &[
    #[cfg(not(target_arch = "riscv64"))]
    c::SYS_renameat,
    c::SYS_renameat2,
];

/// What only some machines have of what every run makes.
pub(super) const OLD: &[Number] = &[
    #[cfg(any(target_arch = "x86_64", target_arch = "s390x", target_arch = "arm"))]
    c::SYS_pause,
    #[cfg(target_arch = "x86_64")]
    c::SYS_time,
    // The end of a handler that was installed without `SA_SIGINFO`.
    #[cfg(any(target_arch = "s390x", target_arch = "arm"))]
    c::SYS_sigreturn,
];

/// Whether a filter sees what `mmap` is asked for: on s390x its arguments are in memory.
pub(super) const MMAP_IS_SEEN: bool = cfg!(not(target_arch = "s390x"));
