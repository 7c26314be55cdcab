//! The `unsafe` of this crate: code generator flags, and what a parent leaves a process.
//!
//! May assume that the flags come from [`crate::compile`]'s table, which is
//! constant. Does not take a flag from a user.

#![allow(
    unsafe_code,
    reason = "wasmtime marks Cranelift's flags unsafe, libc its calls; a section can run code before main"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use wasmtime::Config;

/// A switch of the code generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    /// A named set of CPU features.
    Preset(&'static str),
    /// One boolean setting.
    On(&'static str),
}

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

/// Turns code generator flags on.
pub(crate) fn enable(config: &mut Config, flags: &[Flag]) {
    for flag in flags {
        match flag {
            Flag::Preset(name) => {
                // SAFETY: wasmtime marks this unsafe because some flags (stack
                // probes, spectre masks, the heap's bounds checks) are what the
                // sandbox stands on, and because an instruction that the CPU
                // lacks is undefined behaviour when run. A preset only adds CPU
                // features, each of which goes into the signed manifest and is
                // compared with the host before an image is mapped.
                unsafe { config.cranelift_flag_enable(name) };
            }
            Flag::On(name) => {
                // SAFETY: as above; these are the Spectre masks, which are on
                // anyway, and `use_bti` and `sign_return_address`, which emit
                // hint-space instructions that older CPUs execute as no-ops
                // and only add checks.
                unsafe { config.cranelift_flag_set(name, "true") };
            }
        }
    }
}
