//! What a guest reads as its standard input, and where its output goes.

use crate::border::{answer, bytes};
use crate::error::{Refusal, bls_error};
use crate::runner::{ask, bls_runner};
use bls_loader::{Sink, Source};
use std::ffi::c_int;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A second descriptor of what C's leads to.
///
/// # Safety
/// The descriptor stays open for the call, or was never open.
unsafe fn second(descriptor: c_int) -> Result<OwnedFd, Refusal> {
    if descriptor < 0 {
        return Err(Refusal::Descriptor(std::io::Error::other("it is negative")));
    }
    // SAFETY: it is not -1, and is used in this call only; the system refuses one that is not
    // open.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    descriptor.try_clone_to_owned().map_err(Refusal::Descriptor)
}

/// Its standard input is these bytes, which are copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_runner_stdin_bytes(
    runner: Option<&bls_runner>,
    input: *const u8,
    length: usize,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for that many bytes.
        let input = unsafe { bytes(input, length, "the input") }?;
        ask(runner, |runner| runner.stdin(Source::bytes(input)))
    })
}

/// Its standard input is this process's own.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_stdin_inherit(runner: Option<&bls_runner>) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.stdin(Source::inherit())))
}

/// Its standard input is what this descriptor leads to: a file, pipe or socket. The descriptor
/// is duplicated, and stays yours.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_runner_stdin_fd(
    runner: Option<&bls_runner>,
    descriptor: c_int,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for an open one.
        let descriptor = unsafe { second(descriptor) }?;
        ask(runner, |runner| runner.stdin(Source::descriptor(descriptor)))
    })
}

/// Its standard output is kept, at most this many bytes: bls_ended_stdout and
/// bls_instance_take_stdout have them. A guest that writes more ends at its limit on output.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_stdout_bytes(
    runner: Option<&bls_runner>,
    at_most: usize,
) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.stdout(Sink::at_most(at_most))))
}

/// Its standard output is this process's own.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_stdout_inherit(runner: Option<&bls_runner>) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.stdout(Sink::inherit())))
}

/// Its standard output goes to what this descriptor leads to. The descriptor is duplicated,
/// and stays yours.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_runner_stdout_fd(
    runner: Option<&bls_runner>,
    descriptor: c_int,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for an open one.
        let descriptor = unsafe { second(descriptor) }?;
        ask(runner, |runner| runner.stdout(Sink::descriptor(descriptor)))
    })
}

/// Its standard output goes nowhere.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_stdout_discard(runner: Option<&bls_runner>) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.stdout(Sink::discard())))
}

/// Its standard error is kept, at most this many bytes, as its standard output can be.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_stderr_bytes(
    runner: Option<&bls_runner>,
    at_most: usize,
) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.stderr(Sink::at_most(at_most))))
}

/// Its standard error is this process's own.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_stderr_inherit(runner: Option<&bls_runner>) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.stderr(Sink::inherit())))
}

/// Its standard error goes to what this descriptor leads to. The descriptor is duplicated, and
/// stays yours.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bls_runner_stderr_fd(
    runner: Option<&bls_runner>,
    descriptor: c_int,
) -> Option<Box<bls_error>> {
    answer(|| {
        // SAFETY: bls.h asks for an open one.
        let descriptor = unsafe { second(descriptor) }?;
        ask(runner, |runner| runner.stderr(Sink::descriptor(descriptor)))
    })
}

/// Its standard error goes nowhere.
#[unsafe(no_mangle)]
pub extern "C" fn bls_runner_stderr_discard(runner: Option<&bls_runner>) -> Option<Box<bls_error>> {
    answer(|| ask(runner, |runner| runner.stderr(Sink::discard())))
}
