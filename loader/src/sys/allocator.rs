//! What the C library's allocator takes of the address space.

/// Lets all threads allocate from one heap. With one for each, as is the default, the
/// second thread reserves 64 MiB for its own, and a guest's memory may not fit any more
/// where address space is limited (`ulimit -v`). Two threads hardly ever allocate at once.
pub(crate) fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number that the allocator compares its count of heaps with.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}
