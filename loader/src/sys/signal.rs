//! Signals: a known state at the start, waiting for them instead of being interrupted,
//! stopping the guest's thread, and leaving at once.
//!
//! Guarantees that what a parent left (a mask, a disposition, being the first process of
//! a container) does not change how a run ends, but for one thing: a signal that is to be
//! ignored, as `nohup` and shells want it, stays ignored.

use super::crash;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A signal that ends a process, by number.
    Signal(i32),
    /// Another thread crashed, by a signal of this number.
    Crash(i32),
    /// The time was over.
    Timeout,
}

/// The signals by which a process is usually ended from outside. Not among them are
/// SIGKILL, which nobody can wait for, those that a fault of its own sends, and real-time
/// signals, the last of which is [`stop`]'s.
const ENDING: [libc::c_int; 13] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGABRT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGXCPU,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGPOLL,
    libc::SIGPWR,
];

/// A set of signals.
#[derive(Clone, Copy)]
pub(crate) struct Signals(pub(super) libc::sigset_t);

impl Signals {
    fn none() -> Self {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises the whole set it is given and cannot fail
        // for a valid pointer.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: initialised by the call above.
        Self(unsafe { set.assume_init() })
    }

    pub(super) fn all() -> Self {
        let mut set = Self::none();
        // SAFETY: the pointer is to a live, initialised set.
        unsafe { libc::sigfillset(&raw mut set.0) };
        set
    }

    fn add(&mut self, signal: libc::c_int) {
        // SAFETY: the pointer is to a live, initialised set, and the number is that of a
        // signal.
        unsafe { libc::sigaddset(&raw mut self.0, signal) };
    }
}

/// Those of [`ENDING`] that are not to be ignored.
fn ending() -> impl Iterator<Item = libc::c_int> {
    ENDING.into_iter().filter(|signal| !is_ignored(*signal))
}

/// Puts signals into a known state. For the start of the program, when there is one thread.
///
/// None is blocked: a trap of the guest arrives as one, and a parent that blocks them all
/// must not turn it into the end of this process. Writing to a closed pipe (EPIPE), and
/// beyond the largest file that is allowed (EFBIG), is an error instead of the end. For
/// process 1, to which the kernel does not deliver what nobody handles, the signals that
/// end any other process end this one too.
pub(crate) fn begin() {
    let none = Signals::none();
    // SAFETY: the set is live and initialised; no old set is asked for. No handler of ours
    // runs because of it, but for the one below.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none.0, std::ptr::null_mut()) };
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        // SAFETY: SIG_IGN is a disposition, not a handler: no code of ours runs
        // in a signal's context because of it.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    if rustix::process::getpid().is_init() {
        ending().for_each(|signal| handle(signal, leave_by_signal));
    }
}

/// What ends process 1.
extern "C" fn leave_by_signal(signal: libc::c_int) {
    // What a shell gives for a program that a signal ended.
    leave(128 + (signal & 0x7f) as u8);
}

/// Lets `handler` handle `signal`, with all others blocked meanwhile.
fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeros is a valid sigaction.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = handler as *const () as usize;
    // The engine gives each thread that runs a guest a stack for handlers.
    action.sa_flags = libc::SA_ONSTACK;
    action.sa_mask = Signals::all().0;
    // SAFETY: the action is live and whole, and no old one is asked for. The handlers of
    // this module call only what may be called in a signal's context (an atomic store,
    // pause, _exit), never return to what they interrupted, and so break none of its
    // assumptions.
    unsafe { libc::sigaction(signal, action, std::ptr::null_mut()) };
}

/// Blocks the signals that end a process, in this thread and in those it will start, so
/// that [`wait`] sees them and nothing else is interrupted. Gives those to wait for: a
/// blocked signal is kept for whoever waits even when it is ignored.
pub(crate) fn block() -> Signals {
    let mut awaited = Signals::none();
    ending().for_each(|signal| awaited.add(signal));
    awaited.add(crash::WAKE);
    // SAFETY: the set is live and initialised; no old set is asked for. A blocked
    // signal breaks no invariant of Rust code.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const awaited.0, std::ptr::null_mut()) };
    awaited
}

/// Waits for a blocked signal, at most for `timeout` where there is one.
pub(crate) fn wait(awaited: &Signals, timeout: Option<Duration>) -> Event {
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
        let signal =
            unsafe { libc::sigtimedwait(&raw const awaited.0, std::ptr::null_mut(), left) };
        if let Some(crash) = crash::signal() {
            return Event::Crash(crash);
        }
        if signal > 0 {
            return Event::Signal(signal);
        }
        // EAGAIN: the time is over. EINTR: some other signal; wait on.
        if std::io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN) {
            return Event::Timeout;
        }
    }
}

/// Whether whoever started this process wants it to ignore `signal`, as a shell
/// does with SIGINT for what runs in the background.
pub(super) fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: no new action is given; the old one is written to memory of the
    // right size and alignment.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeros is a valid sigaction, and the kernel has filled it.
    let action = unsafe { action.assume_init() };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// A thread of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thread(libc::pid_t);

impl Thread {
    /// The one that asks.
    pub(crate) fn current() -> Self {
        // SAFETY: gettid takes nothing and cannot fail.
        Self(unsafe { libc::gettid() })
    }

    /// The one that the process began with.
    pub(crate) fn first() -> Self {
        Self(rustix::process::getpid().as_raw_nonzero().get())
    }

    /// Its number, which is above 0.
    pub(crate) fn number(self) -> i32 {
        self.0
    }

    /// The thread that [`number`](Self::number) gave `number` for.
    pub(crate) fn of_number(number: i32) -> Self {
        Self(number)
    }
}

/// The signal that interrupts a thread which is to give something up (`confine.rs`). Nothing
/// else sends it; [`stop`] has the one above.
pub(crate) fn give_up_signal() -> i32 {
    libc::SIGRTMAX() - 1
}

/// Whether the thread that [`stop`] was asked to stop has stopped.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Never returns to what it interrupted.
extern "C" fn stop_here(_: libc::c_int) {
    STOPPED.store(true, Ordering::Release);
    loop {
        // SAFETY: pause takes nothing; it may be called in a signal's context.
        unsafe { libc::pause() };
    }
}

/// Stops another thread of this process for good, in a moment: what it was in the middle
/// of stays so. The caller must not wait for anything that thread may hold (a lock; the
/// allocator's among them), and should leave soon. At most one system call that the thread
/// is in, and that no signal interrupts, may still take effect after this.
pub(crate) fn stop(thread: Thread) {
    /// A write to a file can take as long; an interrupted call or a loop takes no time.
    const PATIENCE: Duration = Duration::from_millis(300);
    const STEP: Duration = Duration::from_micros(200);
    if crash::has_stopped(thread) {
        return;
    }
    let signal = libc::SIGRTMAX();
    handle(signal, stop_here);
    let process = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: tgkill takes integers only; a thread that is gone is an error.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, thread.0, signal) };
    let mut waited = Duration::ZERO;
    while sent == 0 && !STOPPED.load(Ordering::Acquire) && waited < PATIENCE {
        std::thread::sleep(STEP);
        waited += STEP;
    }
}

/// The exit code of [`leave_within`].
static LAST_CODE: AtomicU8 = AtomicU8::new(0);

/// Never returns to what it interrupted.
extern "C" fn leave_late(_: libc::c_int) {
    leave(LAST_CODE.load(Ordering::Acquire));
}

/// Ends the process when this time is over, with the code that [`leaves_with`] said last. For
/// a thread that waits for no SIGALRM any more.
pub(crate) fn leave_within(time: Duration) {
    handle(libc::SIGALRM, leave_late);
    let mut alarm = Signals::none();
    alarm.add(libc::SIGALRM);
    // SAFETY: the set is live and initialised; the handler never returns.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const alarm.0, std::ptr::null_mut()) };
    let none = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let value = libc::timeval {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_usec: libc::suseconds_t::from(time.subsec_micros() as i32),
    };
    let timer = libc::itimerval { it_interval: none, it_value: value };
    // SAFETY: the timer is live during the call; no old one is asked for.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}

/// Says with which code [`leave_within`] leaves.
pub(crate) fn leaves_with(code: u8) {
    LAST_CODE.store(code, Ordering::Release);
}

/// Ends the process at once, from any thread: no destructors, no exit handlers,
/// which might wait for a thread that never ends.
pub(crate) fn leave(code: u8) -> ! {
    // SAFETY: _exit takes an integer and does not return; what other threads do
    // at this moment no longer matters to this process.
    unsafe { libc::_exit(libc::c_int::from(code)) }
}
