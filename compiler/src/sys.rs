//! The `unsafe` of this crate: code generator flags, what a parent leaves a process, and
//! what a second process is made of.
//!
//! May assume that the flags are constants of two tables, that of [`crate::compile`] and the
//! CPU features of `bls_artifact::cpu`: a user chooses among the second, and names no other.

#![allow(
    unsafe_code,
    reason = "wasmtime marks Cranelift's flags unsafe, libc its calls; a section can run code before main"
)]

use rustix::process::Pid;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use wasmtime::Config;

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Looks at standard output before Rust's own start puts `/dev/null` in the place of a
/// descriptor that is closed.
extern "C" fn look_at_stdout() {
    // SAFETY: reads the flags of a descriptor by its number; one that is closed is an error.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    STDOUT_WAS_CLOSED.store(flags == -1, Ordering::Relaxed);
}

// SAFETY: the dynamic linker, or the C library's start in a static program, calls each
// function of this section once, before `main`, with arguments that it ignores. It uses nothing that is set up later: no allocation, no standard library.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_STDOUT: extern "C" fn() = look_at_stdout;

/// Whether standard output was closed when the process began.
pub(crate) fn stdout_was_closed() -> bool {
    STDOUT_WAS_CLOSED.load(Ordering::Relaxed)
}

/// Lets a write beyond the limit on a file's size (`ulimit -f`) fail, instead of ending the
/// process. For a program's beginning: it holds for the whole process.
pub(crate) fn fail_at_size_limit() {
    // SAFETY: ignoring a signal installs no handler, and no other code here sets this one.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Makes a second process, which goes on from here with a copy of all there is in memory:
/// the first gets its number, the second `None`.
///
/// Must be called while this process has one thread: of others the second would have only
/// what they held, locks among it.
///
/// # Errors
/// Where the system has no room for another process, or there are more threads than this one
/// (as far as procfs says it).
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    if std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1) {
        return Err(io::Error::other("there are other threads"));
    }
    // SAFETY: the C library's fork leaves its own state, the allocator's too, whole in both
    // processes; nothing else here hands out memory or locks that outlive their users.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        number => Ok(Pid::from_raw(number)),
    }
}

/// Ends this process at once: nothing is flushed, and nothing that was to be done at its end
/// is done. For a second process, where all that is the first one's.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process, whatever its threads do.
    unsafe { libc::_exit(code) }
}

/// Closes a descriptor that nothing in this process will use, whatever owns it.
pub(crate) fn close(descriptor: i32) {
    // SAFETY: takes a number. Who used it after all would see that it is closed, or, in the
    // place of standard error, another one.
    unsafe { libc::close(descriptor) };
}

/// Whether this process ends by [`OUT_OF_MEMORY`] where the system gives no memory.
static ENDS_WITHOUT_MEMORY: AtomicBool = AtomicBool::new(false);

/// How a process ends that was told to and gets no memory.
pub(crate) const OUT_OF_MEMORY: i32 = 91;

/// From now on this process ends by [`OUT_OF_MEMORY`] when the system gives it no memory.
/// Without effect where [`Memory`] is not its allocator.
pub(crate) fn end_without_memory() {
    ENDS_WITHOUT_MEMORY.store(true, Ordering::Relaxed);
}

/// The system's allocator, for a program whose second process is to say how it ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory;

impl Memory {
    /// What was allocated, where it was.
    fn given(memory: *mut u8) -> *mut u8 {
        if memory.is_null() && ENDS_WITHOUT_MEMORY.load(Ordering::Relaxed) {
            exit_now(OUT_OF_MEMORY);
        }
        memory
    }
}

// SAFETY: every call is handed to the system's allocator, and its answer handed back, but
// where this process ends.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps what both ask for.
        Self::given(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        Self::given(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) };
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        Self::given(unsafe { System.realloc(memory, layout, size) })
    }
}

/// Turns code generator flags on.
pub(crate) fn enable(config: &mut Config, flags: &[&'static str]) {
    for flag in flags {
        // SAFETY: wasmtime marks this unsafe because some flags (stack probes, Spectre masks,
        // the heap's bounds checks) are what the sandbox stands on, and because an instruction
        // that the CPU lacks is undefined behaviour when run. The names are constants of two
        // tables. Those of `bls_artifact::cpu` only add CPU features, each of which goes into
        // the signed manifest and is compared with the host before an image is mapped. Those
        // of `compile.rs` are the Spectre masks, which are on anyway, and
        // `sign_return_address`, which emits hint-space instructions that older CPUs execute as
        // no-ops and only adds checks.
        unsafe { config.cranelift_flag_set(flag, "true") };
    }
}
