//! What the process has used.

/// What the kernel counts for this process; zeros where it says nothing.
fn usage() -> libc::rusage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to memory of the right size and alignment, which the
    // kernel fills; what it does there in case of an error is nothing.
    let _ = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    // SAFETY: all zeros is a valid rusage, and getrusage has filled it where it could.
    unsafe { usage.assume_init() }
}

/// The most resident memory this process had, in bytes.
pub(crate) fn resident_peak_bytes() -> u64 {
    u64::try_from(usage().ru_maxrss).unwrap_or(0).saturating_mul(1024)
}

/// Processor time of this process, all of its threads, in microseconds: its own, and the kernel's.
pub(crate) fn cpu_microseconds() -> (u64, u64) {
    let usage = usage();
    let microseconds = |time: libc::timeval| {
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        seconds.saturating_mul(1_000_000) + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    (microseconds(usage.ru_utime), microseconds(usage.ru_stime))
}
