//! A filter of this thread's own system calls.

/// From here on `memfd_create` is a call that this kernel does not have (`ENOSYS`), for this
/// thread and those it starts.
///
/// The engine initialises memories from such a file where it has no other. It does without
/// on a kernel that has no such call; but it fails where a filter forbids the call with
/// another error, or where the file cannot grow (`ulimit -f`). Of filters that
/// answer with an error, the one that was added last counts. (One that kills would have done
/// so when `image.rs` asked for a memory file.) Where the system takes no filter nothing changes.
pub(crate) fn without_memory_files() {
    let operation = |code: u32, jump_unless: u8, operand: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: jump_unless,
        k: operand,
    };
    // The number of the call is the first field of what a filter sees. All calls of this
    // program are the architecture's own, so it need not ask whose the number is.
    let mut program = [
        operation(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        operation(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_memfd_create as u32),
        operation(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        operation(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // Without privileges a filter is taken only from who cannot get any by execve.
    if rustix::thread::set_no_new_privs(true).is_ok() {
        // SAFETY: the program and its four operations live during the call, which copies
        // them. It ends at a return on every way, and answers one call with an error that
        // its callers expect.
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    }
}
