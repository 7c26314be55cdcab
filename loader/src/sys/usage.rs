//! What the process has used.

/// The most resident memory this process had, in bytes.
pub(crate) fn resident_peak_bytes() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to memory of the right size and alignment, which the
    // kernel fills.
    let result = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    if result != 0 {
        return 0;
    }
    // SAFETY: all zeros is a valid rusage, and getrusage has filled it.
    let usage = unsafe { usage.assume_init() };
    u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024)
}
