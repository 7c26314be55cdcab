//! Waiting for a signal instead of being interrupted by it, and leaving at once.

use std::time::Duration;

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// SIGTERM or SIGINT, by number.
    Signal(i32),
    /// The time was over.
    Timeout,
}

/// SIGTERM and SIGINT, but for those that are to be ignored: a blocked signal is
/// kept for whoever waits, even when it is ignored.
fn awaited() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the whole set it is given and cannot fail
    // for a valid pointer.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the call above.
    let mut set = unsafe { set.assume_init() };
    for signal in [libc::SIGTERM, libc::SIGINT].into_iter().filter(|signal| !is_ignored(*signal)) {
        // SAFETY: the pointer is to a live, initialised set, and the number is
        // that of a signal.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

/// Blocks SIGTERM and SIGINT in this thread and in those it will start, so that
/// [`wait`] sees them and nothing else is interrupted.
pub(crate) fn block() {
    let set = awaited();
    // SAFETY: the set is live and initialised; no old set is asked for. A blocked
    // signal breaks no invariant of Rust code.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

/// Waits for a blocked signal, at most for `timeout` where there is one.
pub(crate) fn wait(timeout: Option<Duration>) -> Event {
    let set = awaited();
    let deadline = timeout.map(|timeout| std::time::Instant::now() + timeout);
    loop {
        let left = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            libc::timespec {
                tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: libc::c_long::from(left.subsec_nanos() as i32),
            }
        });
        let left = left.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the set is live and initialised; no details are asked for; the
        // time is null (wait for ever) or points into `left`, which outlives the
        // call.
        let signal = unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), left) };
        if signal > 0 {
            return Event::Signal(signal);
        }
        // EAGAIN: the time is over. EINTR: some other signal; wait on.
        if std::io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN) {
            return Event::Timeout;
        }
    }
}

/// Makes writing to a closed pipe (EPIPE), and beyond the largest file that is
/// allowed (EFBIG), an error instead of the end.
pub(crate) fn ignore_failed_writes() {
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        // SAFETY: SIG_IGN is a disposition, not a handler: no code of ours runs
        // in a signal's context because of it.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Whether whoever started this process wants it to ignore `signal`, as a shell
/// does with SIGINT for what runs in the background.
fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: no new action is given; the old one is written to memory of the
    // right size and alignment.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeros is a valid sigaction, and the kernel has filled it.
    let action = unsafe { action.assume_init() };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Ends the process at once, from any thread: no destructors, no exit handlers,
/// which might wait for a thread that never ends.
pub(crate) fn leave(code: u8) -> ! {
    // SAFETY: _exit takes an integer and does not return; what other threads do
    // at this moment no longer matters to this process.
    unsafe { libc::_exit(libc::c_int::from(code)) }
}
