//! Stops guest code that does not come back: a thread is sent a signal, and where the signal
//! finds it in the code of a guest, it goes on at an instruction that traps.
//!
//! So a limit on time costs the guest nothing: its code looks at no flag. (Lucet's "kill
//! switch" did the same.) What is stopped is in no state that anybody may rely on: such a
//! guest is never called again.
//!
//! May assume that the engine keeps no traces of calls (`map::Guests::stoppable`): such a
//! trap can come up between two instructions that set up a frame, where one must not walk
//! the stack. Guarantees that nothing but a guest's own function is left in this way: a
//! thread that is in the host, in the engine or in a trampoline between them is left alone,
//! and the sender tries again. One disposition belongs to the whole process, that of
//! [`SIGNAL`]; it is set when the first guest is run that may be stopped, and hands on to
//! what was set before.

use super::code;
use object::{File, Object as _, ObjectSection as _};
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering, compiler_fence};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};
use wasmtime::Module;
use wasmtime_environ::iterate_traps;
use wasmtime_environ::obj::ELF_WASMTIME_TRAPS;

/// What a thread is sent. Ignored by default, and so harmless wherever it arrives too late;
/// Go's runtime chose it for the same reason.
const SIGNAL: libc::c_int = libc::SIGURG;

/// The instruction that traps and does nothing else.
const TRAP: &[u8] = if cfg!(target_arch = "x86_64") {
    &[0x0f, 0x0b]
} else if cfg!(target_arch = "aarch64") {
    &[0x1f, 0xc1, 0x00, 0x00]
} else {
    &[0, 0]
};

/// Where the code of a module may be left, and by what instruction.
#[derive(Debug)]
pub(crate) struct Places {
    /// Addresses of its functions, each from its first byte to behind its last, ascending.
    functions: Box<[(usize, usize)]>,
    trap: usize,
}

impl Places {
    /// Those of `module`; `None` where no instruction of its code does nothing but trap, or
    /// where the code is no processor's.
    pub(crate) fn of(module: &Module) -> Option<Self> {
        if module.engine().is_pulley() {
            return None;
        }
        let text = module.text();
        let start = text.as_ptr().addr();
        let mut functions: Vec<(usize, usize)> = module
            .functions()
            .map(|function| (start + function.offset, start + function.offset + function.len))
            .collect();
        functions.sort_unstable();
        let traps = File::parse(code::image(module)).ok()?;
        let traps = traps.section_by_name(ELF_WASMTIME_TRAPS)?.data().ok()?;
        let places = Self { functions: functions.into(), trap: 0 };
        let trap = iterate_traps(traps)?.map(|(offset, _)| offset as usize).find(|offset| {
            text.get(*offset..).is_some_and(|code| code.starts_with(TRAP))
                && places.holds(start + offset)
        })?;
        Some(Self { trap: start + trap, ..places })
    }

    /// None at all.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        Self { functions: Box::default(), trap: 0 }
    }

    /// Whether an address is in a guest's function.
    fn holds(&self, address: usize) -> bool {
        let behind = self.functions.partition_point(|(start, _)| *start <= address);
        let function = behind.checked_sub(1).and_then(|index| self.functions.get(index));
        function.is_some_and(|(_, end)| address < *end)
    }
}

/// Whether a guest is to be stopped, and the thread that it runs on.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    /// 0 while it is not.
    why: AtomicU8,
    /// Locked by whoever signals the thread, and by the thread before it leaves: so a signal
    /// reaches it while it is inside, or not at all.
    thread: Mutex<Option<libc::pthread_t>>,
}

impl Stop {
    /// Why it is to be stopped; 0 where it is not.
    pub(crate) fn why(&self) -> u8 {
        self.why.load(Ordering::Acquire)
    }

    /// Lets it be stopped from now on, for a reason that is not 0. The first one stays.
    pub(crate) fn want(&self, why: u8) {
        let _ = self.why.compare_exchange(0, why, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Lets it run again.
    pub(crate) fn clear(&self) {
        self.why.store(0, Ordering::Release);
    }

    /// Signals the thread that runs the guest; `false` where none does.
    pub(crate) fn signal(&self) -> bool {
        let Some(thread) = *self.thread() else { return false };
        // SAFETY: the thread is alive: it does not leave (`Inside::drop`) without the lock,
        // which is held here. Its handler is installed, for it entered.
        unsafe { libc::pthread_kill(thread, SIGNAL) };
        true
    }

    fn thread(&self) -> MutexGuard<'_, Option<libc::pthread_t>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the handler looks at.
struct Current<'a> {
    stop: &'a Stop,
    places: &'a Places,
}

thread_local! {
    /// The guest that this thread runs, the innermost.
    static CURRENT: Cell<*const Current<'static>> = const { Cell::new(ptr::null()) };
}

/// Hands `look` the guest that this thread runs, where it runs one.
#[inline]
fn with_current<T>(look: impl FnOnce(&Current<'_>) -> T) -> Option<T> {
    // SAFETY: not null only inside `stoppable`, which keeps what it points to alive, and on
    // the thread that `stoppable` runs on, which is this one.
    let current = unsafe { CURRENT.get().as_ref() }?;
    Some(look(current))
}

/// Whether the guest that this thread runs is to be stopped: for host calls that wait.
#[inline]
pub(crate) fn is_wanted() -> bool {
    with_current(|current| current.stop.why() != 0).unwrap_or(false)
}

/// Runs a guest on this thread that nobody may stop, also where one that may be stopped has
/// called the host, which calls this one: it may be of the same code.
pub(crate) fn unstoppable<T>(guest: impl FnOnce() -> T) -> T {
    /// Goes back, whatever happens.
    struct Back(*const Current<'static>);
    impl Drop for Back {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    if CURRENT.get().is_null() {
        return guest();
    }
    let _back = Back(CURRENT.replace(ptr::null()));
    guest()
}

/// Runs `guest` on this thread in such a way that `stop` may stop it.
pub(crate) fn stoppable<T>(stop: &Stop, places: &Places, guest: impl FnOnce() -> T) -> T {
    /// Leaves, whatever happens.
    struct Inside<'a>(&'a Stop, *const Current<'static>, Option<libc::pthread_t>);
    impl Drop for Inside<'_> {
        fn drop(&mut self) {
            CURRENT.set(self.1);
            *self.0.thread() = self.2;
        }
    }
    install();
    let current = Current { stop, places };
    // SAFETY: asks for a number.
    let this = unsafe { libc::pthread_self() };
    let outer = stop.thread().replace(this);
    // The handler runs on this thread: what it looks at is written first.
    compiler_fence(Ordering::SeqCst);
    // The pointer is taken back before `current` and what it holds are gone: `Inside`.
    let pointer = (&raw const current).cast::<Current<'static>>();
    let _inside = Inside(stop, CURRENT.replace(pointer), outer);
    guest()
}

/// What was set before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Sets the disposition, once.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut before = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: asks for the disposition, and writes it to a place that is live.
        unsafe { libc::sigaction(SIGNAL, ptr::null(), before.as_mut_ptr()) };
        // SAFETY: all zeros is a valid sigaction, and so is what was written over it.
        let _ = BEFORE.set(unsafe { before.assume_init() });
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: all zeros is a valid sigaction.
        let action = unsafe { action.assume_init_mut() };
        action.sa_sigaction = interrupted as *const () as usize;
        // No SA_RESTART: a host call that waits must come back to look.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the action is live and whole. The handler does only what may be done in a
        // signal's context: it reads memory that is there before it can be called, writes the
        // context it is given, and calls what was called before it.
        unsafe { libc::sigaction(SIGNAL, action, ptr::null_mut()) };
    });
}

/// Handles [`SIGNAL`].
extern "C" fn interrupted(
    signal: libc::c_int,
    information: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let was_ours = with_current(|current| {
        if current.stop.why() == 0 {
            return false;
        }
        // SAFETY: the kernel's own, of the thread that this runs on, and nobody else's.
        let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
        let address = instruction(context);
        if current.places.holds(*address as usize) {
            *address = current.places.trap as _;
        }
        true
    });
    if was_ours == Some(true) {
        return;
    }
    let Some(before) = BEFORE.get() else { return };
    let handler = before.sa_sigaction;
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        return;
    }
    if before.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: so the kernel would have called it.
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            unsafe { std::mem::transmute(handler) };
        handler(signal, information, context);
    } else {
        // SAFETY: so the kernel would have called it.
        let handler: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(handler) };
        handler(signal);
    }
}

/// Where a thread goes on.
#[cfg(target_arch = "x86_64")]
fn instruction(context: &mut libc::ucontext_t) -> &mut i64 {
    &mut context.uc_mcontext.gregs[libc::REG_RIP as usize]
}

/// Where a thread goes on.
#[cfg(target_arch = "aarch64")]
fn instruction(context: &mut libc::ucontext_t) -> &mut u64 {
    &mut context.uc_mcontext.pc
}

/// Where a thread goes on.
#[cfg(target_arch = "riscv64")]
fn instruction(context: &mut libc::ucontext_t) -> &mut libc::c_ulong {
    &mut context.uc_mcontext.__gregs[libc::REG_PC]
}

/// Where a thread goes on.
#[cfg(target_arch = "s390x")]
fn instruction(context: &mut libc::ucontext_t) -> &mut u64 {
    &mut context.uc_mcontext.psw.addr
}

/// Where a thread goes on. No guest is stopped here (`Places::of`), for its code is interpreted:
/// the place is one that nobody looks at.
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "s390x"
)))]
fn instruction(context: &mut libc::ucontext_t) -> &mut libc::c_ulong {
    &mut context.uc_flags
}
