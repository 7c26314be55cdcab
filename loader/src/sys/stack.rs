//! How much of a stack is gone already, or left.

use std::cell::Cell;

/// Bytes between the top of this process's stack and the frame that asks. For the first
/// thread, whose stack the kernel made.
///
/// The kernel puts variables, arguments and the program's name at the top, and counts
/// them in what RLIMIT_STACK allows; a shell may pass megabytes.
#[must_use]
#[allow(clippy::useless_conversion, reason = "getauxval is narrower on 32-bit systems")]
pub(crate) fn used_bytes() -> u64 {
    /// Of the name's end, and of a page that is begun: less than this.
    const ABOVE_NAME: u64 = 4096 + (64 << 10);
    let here = 0_u8;
    let here = (&raw const here).addr() as u64;
    // SAFETY: getauxval takes an integer and reads what the kernel gave the process; an
    // entry that is not there is 0.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) };
    // Nothing but that name, at most PATH_MAX bytes, lies above its first byte.
    u64::from(name).saturating_sub(here) + ABOVE_NAME
}

/// Bytes of this thread's stack that are left below the frame that asks; `None` where the C
/// library does not say.
#[inline]
#[must_use]
pub(crate) fn left_bytes() -> Option<usize> {
    thread_local! {
        /// Where this thread's stack ends, once that was asked for: of the first thread, the C
        /// library finds it in a file of the kernel's.
        static LOWEST: Cell<Option<Option<usize>>> = const { Cell::new(None) };
    }
    let lowest = match LOWEST.get() {
        Some(known) => known,
        None => {
            let found = lowest();
            LOWEST.set(Some(found));
            found
        }
    };
    let here = 0_u8;
    let here = (&raw const here).addr();
    lowest.map(|lowest| here.saturating_sub(lowest))
}

/// The lowest address of this thread's stack.
#[cold]
fn lowest() -> Option<usize> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: asks for a number.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: asks for this thread's attributes, which are initialised where it gives 0.
    let got = unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) };
    if got != 0 {
        return None;
    }
    let (mut lowest, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: initialised by the call above; both pointers are to live variables.
    let told = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &mut lowest, &mut size) };
    // SAFETY: initialised above, and not used again.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    (told == 0).then(|| lowest.addr())
}
