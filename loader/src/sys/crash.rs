//! What a crash of this process looks like from outside.
//!
//! A fault that is no trap of the guest (a defect of this program or of the engine, a mapped
//! file that was cut short, a stack that is used up, `abort`) is handled here. Guarantees
//! that the process ends soon, with exit code 125, a sentence that has a code, and no core
//! file; and where there is a watcher, with its report. The thread that crashed runs
//! nothing of the program any more: it wakes the watcher, and ends the process itself where
//! that takes too long, for the watcher may wait for a lock that it holds.
//!
//! May assume that [`begin`] comes before the engine, which hands on the faults that are no
//! traps. Only for the program: the process of the library is its embedder's.
//! Does not handle what the kernel ends a process for without asking (SIGKILL, a filter that
//! kills), nor a fault while this handler runs.

use super::signal::{self, Signals, Thread};
use crate::error::FAILED;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mm::{MapFlags, ProtFlags};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

/// The name of such an end, which stays the same.
pub(crate) fn code() -> &'static str {
    "internal.crash"
}

/// Its stage.
pub(crate) const STAGE: &str = "internal error";
/// What can be done about it.
pub(crate) const HINT: &str = "this is a defect of bls-load, or a file that it had mapped was cut short; please report it, with the artifact";

/// What the watcher is woken by: a signal that nothing else sends. One that is no real-time
/// signal is never refused for want of room.
pub(super) const WAKE: libc::c_int = libc::SIGSTKFLT;

/// The faults.
const FAULTS: [libc::c_int; 5] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];

/// Bytes of a stack for handlers: what the engine's own needs at least.
const STACK_BYTES: usize = 64 * 4096;
/// Seconds that the watcher has.
const PATIENCE_SECONDS: libc::time_t = 3;
/// Seconds for whoever reads standard error, where there is no watcher.
const READER_SECONDS: i64 = 1;

/// The first signal that a thread crashed by; 0 before.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// The thread that did.
static THREAD: AtomicI32 = AtomicI32::new(0);
/// The watcher's thread: 0 where there is none, [`COMING`] until it runs.
static WATCHER: AtomicI32 = AtomicI32::new(0);
const COMING: i32 = -1;

/// A sentence about a crash by `signal`.
pub(crate) fn sentence(signal: i32) -> &'static str {
    match signal {
        libc::SIGSEGV => "crashed: SIGSEGV, an access to memory that is not there",
        libc::SIGBUS => "crashed: SIGBUS, an access to memory that its file does not have",
        libc::SIGILL => "crashed: SIGILL, an instruction that is none",
        libc::SIGFPE => "crashed: SIGFPE, arithmetic without a result",
        libc::SIGTRAP => "crashed: SIGTRAP, a trap of no guest",
        _ => "crashed: SIGABRT, the process gave itself up",
    }
}

/// Memory that the first thread's handlers run on. Nothing reads it.
#[repr(align(4096))]
struct FirstStack(UnsafeCell<[u8; STACK_BYTES]>);
// SAFETY: no code of this program looks into it; the kernel uses it for one thread.
unsafe impl Sync for FirstStack {}
static FIRST_STACK: FirstStack = FirstStack(UnsafeCell::new([0; STACK_BYTES]));

/// Handles crashes from now on, and leaves no core files. For the start of the program, on
/// its first thread.
pub(crate) fn begin() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // Only lowered, which is never refused.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    set_stack(FIRST_STACK.0.get().cast());
    FAULTS.into_iter().for_each(handle);
    // The engine gives the process up where a fault is none that it knows. Who has the signal
    // ignored is left with that; then the C library kills.
    if !signal::is_ignored(libc::SIGABRT) {
        handle(libc::SIGABRT);
    }
}

/// Gives this thread, which is not the first, a stack for handlers, so that one can run where
/// its own stack is used up. Where there is no memory it does without.
pub(crate) fn stack_for_this_thread() {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: new memory, at an address that the kernel chooses. It is never unmapped: the
    // few threads of the program live about as long as the process.
    let stack =
        unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), STACK_BYTES, protection, flags) };
    if let Ok(stack) = stack {
        set_stack(stack.cast());
    }
}

/// Lets this thread's handlers run on [`STACK_BYTES`] at `stack`.
fn set_stack(stack: *mut libc::c_void) {
    let stack = libc::stack_t { ss_sp: stack, ss_flags: 0, ss_size: STACK_BYTES };
    // SAFETY: both callers give memory of this size that lives as long as the process and that
    // nobody else uses. The structure lives during the call.
    unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
}

fn handle(signal: libc::c_int) {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeros is a valid sigaction.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = crashed as *const () as usize;
    action.sa_flags = libc::SA_ONSTACK | libc::SA_SIGINFO;
    action.sa_mask = Signals::all().0;
    // SAFETY: the action is live and whole, and no old one is asked for. The handler does only
    // what may be done in a signal's context, and after a fault it never returns.
    unsafe { libc::sigaction(signal, action, ptr::null_mut()) };
}

/// Says that a watcher is being started, or that it could not be.
pub(crate) fn expect_watcher(is_coming: bool) {
    WATCHER.store(if is_coming { COMING } else { 0 }, Ordering::Release);
}

/// Says that this thread is the watcher, and gives it a stack for handlers.
pub(crate) fn watch_from_this_thread() {
    stack_for_this_thread();
    WATCHER.store(Thread::current().number(), Ordering::Release);
}

/// The signal that a thread crashed by, where one did.
pub(super) fn signal() -> Option<i32> {
    Some(SIGNAL.load(Ordering::Acquire)).filter(|signal| *signal != 0)
}

/// Whether this thread crashed, and so runs nothing of the program any more.
pub(super) fn has_stopped(thread: Thread) -> bool {
    THREAD.load(Ordering::Acquire) == thread.number()
}

/// Handles a crash. Also called by the engine's handler, and then nothing is blocked.
extern "C" fn crashed(
    signal: libc::c_int,
    information: *mut libc::siginfo_t,
    _: *mut libc::c_void,
) {
    if signal == libc::SIGABRT && !is_own(information) {
        return end_as_asked(signal);
    }
    let this = Thread::current();
    if is_watcher(this) && is_sent(information) {
        // The watcher is as well as before, and can write the report.
        let _ = SIGNAL.compare_exchange(0, signal, Ordering::AcqRel, Ordering::Acquire);
        send(this, WAKE);
        return;
    }
    let all = Signals::all();
    // SAFETY: the set is live and initialised, and no old one is asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all.0, ptr::null_mut()) };
    if SIGNAL.compare_exchange(0, signal, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        THREAD.store(this.number(), Ordering::Release);
    }
    if wake_watcher(this) {
        // It leaves meanwhile.
        sleep(PATIENCE_SECONDS, 0);
    }
    say(signal);
    signal::leave(FAILED)
}

/// Whether this thread is the watcher. While that begins there is no other but the first.
fn is_watcher(this: Thread) -> bool {
    match WATCHER.load(Ordering::Acquire) {
        COMING => this.number() != own_process(),
        number => number == this.number(),
    }
}

/// Whether somebody sent the signal, and this thread did nothing that it is for.
fn is_sent(information: *mut libc::siginfo_t) -> bool {
    // SAFETY: the kernel's own, of the signal that is handled.
    unsafe { (*information).si_code <= 0 }
}

/// Whether this process sent itself the signal.
fn is_own(information: *mut libc::siginfo_t) -> bool {
    // SAFETY: the kernel's own, of the signal that is handled; of one that `tgkill` sent it
    // holds the sender.
    let information = unsafe { &*information };
    // SAFETY: as above.
    information.si_code == libc::SI_TKILL && unsafe { information.si_pid() } == own_process()
}

/// Does what the signal does where nobody handles it.
fn end_as_asked(signal: libc::c_int) {
    if own_process() == 1 {
        signal::leave(128 + (signal & 0x7f) as u8);
    }
    // SAFETY: no handler is installed.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // It is blocked until this handler returns.
    send(Thread::current(), signal);
}

/// Wakes the watcher; false where there is none, or where it is the one that crashed.
fn wake_watcher(this: Thread) -> bool {
    let mut tries = 0;
    let watcher = loop {
        match WATCHER.load(Ordering::Acquire) {
            COMING if tries < 1000 && !is_watcher(this) => sleep(0, 1_000_000),
            number => break number,
        }
        tries += 1;
    };
    watcher > 0 && watcher != this.number() && send(Thread::of_number(watcher), WAKE)
}

/// Sends `signal` to a thread of this process.
fn send(thread: Thread, signal: libc::c_int) -> bool {
    // SAFETY: tgkill takes integers only; a thread that is gone is an error.
    unsafe { libc::syscall(libc::SYS_tgkill, own_process(), thread.number(), signal) == 0 }
}

fn own_process() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// Sleeps, where no signal can interrupt it.
fn sleep(seconds: libc::time_t, nanoseconds: libc::c_long) {
    let time = libc::timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    // SAFETY: the time is live; what would be left is not asked for. It may be called in a
    // signal's context.
    unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) };
}

/// Says what happened, without memory or locks, to whoever reads standard error in time.
fn say(signal: libc::c_int) {
    let mut text = [0_u8; 512];
    let mut length = 0;
    for piece in [
        "bls-load: ",
        STAGE,
        ": ",
        sentence(signal),
        "\nhint: ",
        HINT,
        "\ncode:",
        " ",
        code(),
        "\n",
    ] {
        let Some(room) = text.get_mut(length..length + piece.len()) else { break };
        room.copy_from_slice(piece.as_bytes());
        length += piece.len();
    }
    // Of descriptor 2 only this is known: it was open at the start.
    let stderr = rustix::stdio::stderr();
    let patience = Timespec { tv_sec: READER_SECONDS, tv_nsec: 0 };
    // A pipe that can be written has room for a text of this length.
    if poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&patience)).is_ok_and(|n| n > 0) {
        let _ = rustix::io::write(stderr, &text[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_fits_whatever_the_signal() {
        for signal in FAULTS.into_iter().chain([libc::SIGABRT]) {
            let length = sentence(signal).len() + HINT.len() + code().len() + STAGE.len();
            assert!(length + 64 < 512, "{signal}: {length}");
        }
    }
}
