//! The system calls, each behind a safe function.
//!
//! Guarantees that no caller can break memory safety through these functions, whatever it
//! passes. (Closing a descriptor that something else owns breaks that something, not memory;
//! [`crate::close_descriptors_but`] says so.)

#![allow(unsafe_code, reason = "libc marks its calls unsafe")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

/// What a call gave, as a result.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Closes the descriptors `first` to `last`.
pub(crate) fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: takes integers; that nothing uses what is closed is the caller's promise, and
    // a descriptor that is used after all is an error then.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0_u32) }).map(drop)
}

// SAFETY: every C library has it under this name and of this type (environ(7)).
unsafe extern "C" {
    static mut environ: *mut *mut libc::c_char;
}

/// See [`crate::wipe_environment`], whose caller sees to it that no other thread uses variables.
pub(crate) fn wipe_environment() {
    // SAFETY: nobody changes the list meanwhile, as the caller promises.
    let list = unsafe { environ };
    if list.is_null() {
        return;
    }
    let mut place = list;
    loop {
        // SAFETY: the list ends with a null pointer, which was not met yet.
        let text = unsafe { *place };
        if text.is_null() {
            break;
        }
        // SAFETY: each of its pointers is a C string.
        let length = unsafe { libc::strlen(text) };
        // SAFETY: the bytes before its end, of this process's own memory: of the block that the
        // kernel made, or allocated when a variable was set. Rust copies what it reads of them.
        unsafe { text.write_bytes(0, length) };
        // SAFETY: behind an entry that is not null there is another.
        place = unsafe { place.add(1) };
    }
    // SAFETY: the first place of the list; it is empty now, for C and for Rust.
    unsafe { *list = std::ptr::null_mut() };
}

/// `prctl` with one value.
pub(crate) fn prctl(option: libc::c_int, value: libc::c_ulong) -> io::Result<()> {
    const NONE: libc::c_ulong = 0;
    // SAFETY: the options that this crate passes take integers and no addresses.
    let result = unsafe { libc::prctl(option, value, NONE, NONE, NONE) };
    check(libc::c_long::from(result)).map(drop)
}

/// `struct __user_cap_header_struct` of linux/capability.h.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    thread: i32,
}

/// `struct __user_cap_data_struct`: half of each set.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// See [`crate::drop_capabilities`]. Allocates nothing and takes no lock.
pub(crate) fn drop_capabilities(keep: u64) -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`: sets of 64.
    const VERSION: u32 = 0x2008_0522;
    /// `CAP_SETPCAP`.
    const SETPCAP: u32 = 8;
    /// All of securebits and their locks, but `SECBIT_KEEP_CAPS` itself: root is no source
    /// of capabilities any more, and none becomes ambient.
    const SECUREBITS: libc::c_ulong = 0xef;
    let mut header = CapabilityHeader { version: VERSION, thread: 0 };
    let mut sets = [CapabilityData::default(); 2];
    // SAFETY: header and sets are of the form that this version has, and live during the call.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) })?;
    if sets.iter().all(|set| set.permitted == 0) {
        return Ok(());
    }
    if sets[0].effective & 1 << SETPCAP != 0 {
        // Where somebody has locked other bits they stay; the sets below are what counts.
        let _ = prctl(libc::PR_SET_SECUREBITS, SECUREBITS);
    }
    for (set, keep) in sets.iter_mut().zip([keep as u32, (keep >> 32) as u32]) {
        set.permitted &= keep;
        set.effective = set.permitted;
        set.inheritable = 0;
    }
    // SAFETY: as above; the call only reads them.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) }).map(drop)
}

/// An instruction of a filter (`struct sock_filter` of linux/filter.h).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) if_true: u8,
    pub(crate) if_false: u8,
    pub(crate) operand: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Adds a filter of system calls to all threads of this process.
pub(crate) fn install_filter(instructions: &[Instruction], flags: libc::c_ulong) -> io::Result<()> {
    let length = u16::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = Program { length, instructions: instructions.as_ptr() };
    // SAFETY: the kernel copies the program during the call, and refuses one that does not
    // end or reads elsewhere than in what describes the call. What it then answers to a call
    // of this process is an error like others, or the process's end.
    let result = check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER as libc::c_ulong,
            flags,
            &raw const program,
        )
    })?;
    // The number of a thread that cannot get it.
    if result > 0 { Err(io::Error::from_raw_os_error(libc::ESRCH)) } else { Ok(()) }
}

/// Adds a filter of system calls to this thread, and gives the end where calls are judged.
pub(crate) fn install_filter_with_listener(instructions: &[Instruction]) -> io::Result<OwnedFd> {
    let length = u16::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = Program { length, instructions: instructions.as_ptr() };
    // SAFETY: as in `install_filter`. With this flag the result is a new descriptor, which is
    // closed on exec.
    let number = check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER as libc::c_ulong,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            &raw const program,
        )
    })?;
    // SAFETY: the kernel has just made this descriptor for us, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number as RawFd) })
}

/// `struct seccomp_notif` of linux/seccomp.h, and the `struct seccomp_data` in it.
#[repr(C)]
#[derive(Default)]
struct Call {
    id: u64,
    process: u32,
    flags: u32,
    number: i32,
    architecture: u32,
    instruction: u64,
    arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Verdict {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// See [`crate::filter::Listener::answer`].
pub(crate) fn answer_call(
    listener: BorrowedFd<'_>,
    judge: impl FnOnce(i32) -> Result<(), i32>,
) -> io::Result<()> {
    const RECEIVE: libc::Ioctl = libc::SECCOMP_IOCTL_NOTIF_RECV;
    const SEND: libc::Ioctl = libc::SECCOMP_IOCTL_NOTIF_SEND;
    const CONTINUE: u32 = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
    let mut call = Call::default();
    // SAFETY: the kernel writes one call of this form, which is zero before.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut call) }.into())?;
    let (error, flags) = match judge(call.process as i32) {
        Ok(()) => (0, CONTINUE),
        Err(error) => (-error, 0),
    };
    let verdict = Verdict { id: call.id, value: 0, error, flags };
    // SAFETY: the kernel reads a verdict of this form.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw const verdict) }.into()).map(drop)
}

/// `struct landlock_ruleset_attr`, as of ABI 6.
#[repr(C)]
pub(crate) struct RulesetAttributes {
    pub(crate) files: u64,
    pub(crate) network: u64,
    pub(crate) scopes: u64,
}

/// `struct landlock_path_beneath_attr`, which is packed.
#[repr(C, packed)]
struct PathBeneath {
    rights: u64,
    folder: RawFd,
}

/// `landlock_create_ruleset` without a ruleset: which ABI, or which errata are mended.
pub(crate) fn landlock_says(flag: u32) -> io::Result<u32> {
    let none = std::ptr::null::<RulesetAttributes>();
    // SAFETY: with such a flag the call takes no attributes.
    let result =
        check(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, flag) })?;
    Ok(result as u32)
}

/// Makes a ruleset of so many bytes of `attributes`, which are all that the kernel knows.
pub(crate) fn create_ruleset(attributes: &RulesetAttributes, bytes: usize) -> io::Result<OwnedFd> {
    let bytes = bytes.min(size_of::<RulesetAttributes>());
    // SAFETY: the attributes live during the call, and are no shorter than it is told.
    let number = check(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::from_ref(attributes),
            bytes,
            0_u32,
        )
    })?;
    // SAFETY: the kernel has just made this descriptor for us, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number as RawFd) })
}

/// Adds what may be done beneath `folder`.
pub(crate) fn add_rule(ruleset: &OwnedFd, folder: BorrowedFd<'_>, rights: u64) -> io::Result<()> {
    const PATH_BENEATH: libc::c_long = 1;
    let rule = PathBeneath { rights, folder: folder.as_raw_fd() };
    let ruleset = ruleset.as_raw_fd();
    // SAFETY: the rule is of the form that its kind has, and lives during the call.
    check(unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, ruleset, PATH_BENEATH, &raw const rule, 0_u32)
    })
    .map(drop)
}

/// `struct landlock_net_port_attr`.
#[repr(C)]
struct NetPort {
    rights: u64,
    port: u64,
}

/// Adds what may be done with a TCP port.
pub(crate) fn add_port(ruleset: &OwnedFd, port: u16, rights: u64) -> io::Result<()> {
    const NET_PORT: libc::c_long = 2;
    let rule = NetPort { rights, port: u64::from(port) };
    let ruleset = ruleset.as_raw_fd();
    // SAFETY: the rule is of the form that its kind has, and lives during the call.
    check(unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, ruleset, NET_PORT, &raw const rule, 0_u32)
    })
    .map(drop)
}

/// Restricts this thread.
pub(crate) fn restrict_self(ruleset: RawFd) -> io::Result<()> {
    // SAFETY: takes integers.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0_u32) }).map(drop)
}

/// What [`give_up_here`] gives up: a ruleset or -1, and the capabilities that stay.
static RULESET: AtomicI32 = AtomicI32::new(-1);
static KEEP: AtomicU64 = AtomicU64::new(0);
/// How many threads have done it, and how many could not.
static DONE: AtomicU32 = AtomicU32::new(0);
static FAILED: AtomicU32 = AtomicU32::new(0);

/// Gives up on the thread that the signal came to what the first thread has given up.
extern "C" fn give_up_here(_: libc::c_int) {
    // SAFETY: the address of this thread's own errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it lives as long as the thread.
    let before = unsafe { errno.read() };
    let ruleset = RULESET.load(Ordering::Acquire);
    let dropped = drop_capabilities(KEEP.load(Ordering::Acquire));
    let forbidden = prctl(libc::PR_SET_NO_NEW_PRIVS, 1);
    let restricted = if ruleset < 0 { Ok(()) } else { restrict_self(ruleset) };
    if dropped.is_err() || forbidden.is_err() || restricted.is_err() {
        FAILED.fetch_add(1, Ordering::AcqRel);
    }
    // SAFETY: as above. The code that was interrupted finds what it left.
    unsafe { errno.write(before) };
    DONE.fetch_add(1, Ordering::AcqRel);
    wake(&DONE);
}

/// Has each of `threads`, which are of this process, give up what [`give_up_here`] says, and
/// waits until they have. How many could not.
pub(crate) fn give_up_on(
    threads: &[i32],
    ruleset: Option<RawFd>,
    keep: u64,
    signal: libc::c_int,
) -> io::Result<u32> {
    RULESET.store(ruleset.unwrap_or(-1), Ordering::Release);
    KEEP.store(keep, Ordering::Release);
    DONE.store(0, Ordering::Release);
    FAILED.store(0, Ordering::Release);
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeros is a valid sigaction.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = give_up_here as *const () as usize;
    action.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the action is live and whole. Its handler makes system calls, reads and writes
    // atomics and its own thread's errno, and allocates nothing; io::Error of a number is one.
    check(unsafe { libc::sigaction(signal, action, std::ptr::null_mut()) }.into())?;
    // SAFETY: getpid takes nothing.
    let process = unsafe { libc::getpid() };
    let mut sent = 0;
    for thread in threads {
        // SAFETY: takes integers; the signal is handled since above.
        let result = unsafe { libc::syscall(libc::SYS_tgkill, process, *thread, signal) };
        // One that has ended needs nothing.
        if check(result).is_ok() {
            sent += 1;
        }
    }
    loop {
        let done = DONE.load(Ordering::Acquire);
        if done >= sent {
            break;
        }
        wait_while(&DONE, done);
    }
    Ok(FAILED.load(Ordering::Acquire))
}

/// Sleeps while `atomic` is `value`.
fn wait_while(atomic: &AtomicU32, value: u32) {
    let none = std::ptr::null::<libc::timespec>();
    // SAFETY: the atomic is static memory that the kernel compares with the value; it ends
    // at once where they differ, and is asked again by the caller's loop.
    unsafe {
        libc::syscall(libc::SYS_futex, atomic.as_ptr(), FUTEX_WAIT, value, none);
    }
}

/// Wakes whoever sleeps on `atomic`.
fn wake(atomic: &AtomicU32) {
    // SAFETY: the address only names whom to wake.
    unsafe { libc::syscall(libc::SYS_futex, atomic.as_ptr(), FUTEX_WAKE, i32::MAX) };
}

/// Within one process (`FUTEX_PRIVATE_FLAG`).
const FUTEX_WAIT: libc::c_int = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
const FUTEX_WAKE: libc::c_int = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;

/// A call that a test has refused.
#[cfg(test)]
pub(crate) fn priority() -> io::Result<()> {
    // SAFETY: takes integers.
    check(unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, 0) }).map(drop)
}
