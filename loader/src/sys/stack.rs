//! How much of the first thread's stack is gone already.

/// Bytes between the top of this process's stack and the frame that asks. For the first
/// thread, whose stack the kernel made.
///
/// The kernel puts variables, arguments and the program's name at the top, and counts
/// them in what RLIMIT_STACK allows; a shell may pass megabytes.
#[must_use]
pub(crate) fn used_bytes() -> u64 {
    /// Of the name's end, and of a page that is begun: less than this.
    const ABOVE_NAME: u64 = 4096 + (64 << 10);
    let here = 0_u8;
    let here = (&raw const here).addr() as u64;
    // SAFETY: getauxval takes an integer and reads what the kernel gave the process; an
    // entry that is not there is 0.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) };
    // Nothing but that name, at most PATH_MAX bytes, lies above its first byte.
    name.saturating_sub(here) + ABOVE_NAME
}
