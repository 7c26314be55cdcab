//! What of the C library and of the unwinder a static `bls-load` does without: a quarter of its
//! size.
//!
//! A function of the C library that the program never calls, or never with what it is good for,
//! can stand at the beginning of a long chain. A failed assertion has its message translated,
//! which takes catalogues, the conversion of character sets and, to find those, the dynamic
//! loader. A new thread gets a place for the state of name resolution, and with it all that
//! reads `resolv.conf`. A number that is read depends on the locale. So the functions at which
//! those chains begin are defined here, and the linker leaves the chains out: the program sets no
//! locale, resolves no name, and prints nothing through the C library.
//!
//! Rust's standard library walks the stack where a panic is to be shown with its frames
//! (`RUST_BACKTRACE`), and reads debug information for their names. This program has neither
//! (`no-unwind.ld`), and a panic of it is a sentence and an exit code (`program/watch.rs`). So the
//! walk ends where it begins, and what follows on it is left out.
//!
//! The names are those of the GNU C library (2.36 and others). They are weak symbols: where a C
//! library brings the same object for another reason, its own function counts, and the program is
//! only larger. Defined in a static program alone: elsewhere they would stand in the place of the
//! shared library's.

#![allow(unsafe_code, reason = "defines functions under names of the C library and the unwinder")]

use std::ffi::{CStr, c_char};

/// Where the C library finds its own state broken (`__assert_fail`): says what, and aborts.
// SAFETY: nothing else has this name.
#[unsafe(no_mangle)]
extern "C" fn bls_assertion_failed(what: *const c_char) -> ! {
    const NOTHING: &CStr = c"an assertion";
    // SAFETY: the C library passes a constant, which ends with a NUL.
    let what = if what.is_null() { NOTHING } else { unsafe { CStr::from_ptr(what) } };
    for text in [c"bls-load: the C library: not so: ", what, c"\n"] {
        let bytes = text.to_bytes();
        // SAFETY: reads these bytes. (Not through Rust's stderr, whose lock may be held.)
        let _ = unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) };
    }
    std::process::abort()
}

/// Walks the stack for a backtrace (the unwinder's interface, Itanium C++ ABI, level I): there is
/// nothing to walk by, for the tables are left out (`no-unwind.ld`). In Rust, so that the compiler
/// sees that nobody is ever called with a frame: what would find its name, and read debug
/// information for that, is left out with it.
// SAFETY: nothing else in the program has this name: what the unwinder's own object is asked for
// beside it is defined below.
#[cfg(not(target_arch = "arm"))]
#[unsafe(no_mangle)]
extern "C-unwind" fn _Unwind_Backtrace(_visit: *const (), _argument: *mut ()) -> i32 {
    const END_OF_STACK: i32 = 5;
    END_OF_STACK
}

/// Defines a weak symbol in this section, of this type, by what the assembler makes of the rest.
macro_rules! weak {
    ($section:literal, $type:literal, $name:literal: $($line:expr),+) => {
        std::arch::global_asm!(
            concat!(".pushsection ", $section, ",%progbits"),
            ".p2align 3",
            concat!(".weak ", $name),
            concat!(".type ", $name, ", %", $type),
            concat!($name, ":"),
            $($line,)+
            concat!(".size ", $name, ", . - ", $name),
            ".popsection",
        );
    };
}

/// Defines a weak function by its instructions.
macro_rules! function {
    ($name:literal: $($line:expr),+) => {
        weak!(".text.bls_slim,\"ax\"", "function", $name: $($line),+);
    };
}

/// Defines weak functions that return a number whatever they are given.
macro_rules! returns {
    ($($name:literal: $number:literal),+ $(,)?) => {
        $(function!($name: result!($number), back!());)+
    };
}

/// The instruction that makes a number the result, the one that returns to the caller, and the
/// bytes of a null pointer.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
mod instructions {
    macro_rules! result { ($number:literal) => { concat!("mov eax, ", $number) }; }
    macro_rules! back { () => { "ret" }; }
    macro_rules! null { () => { ".8byte 0" }; }
    pub(crate) use {back, null, result};
}
#[cfg(target_arch = "aarch64")]
#[rustfmt::skip]
mod instructions {
    macro_rules! result { ($number:literal) => { concat!("mov x0, #", $number) }; }
    macro_rules! back { () => { "ret" }; }
    macro_rules! null { () => { ".8byte 0" }; }
    pub(crate) use {back, null, result};
}
#[cfg(target_arch = "riscv64")]
#[rustfmt::skip]
mod instructions {
    macro_rules! result { ($number:literal) => { concat!("li a0, ", $number) }; }
    macro_rules! back { () => { "ret" }; }
    macro_rules! null { () => { ".8byte 0" }; }
    pub(crate) use {back, null, result};
}
#[cfg(target_arch = "arm")]
#[rustfmt::skip]
mod instructions {
    macro_rules! result { ($number:literal) => { concat!("mov r0, #", $number) }; }
    macro_rules! back { () => { "bx lr" }; }
    macro_rules! null { () => { ".4byte 0" }; }
    pub(crate) use {back, null, result};
}
#[cfg(target_arch = "s390x")]
#[rustfmt::skip]
mod instructions {
    macro_rules! result { ($number:literal) => { concat!("lghi %r2, ", $number) }; }
    macro_rules! back { () => { "br %r14" }; }
    macro_rules! null { () => { ".8byte 0" }; }
    pub(crate) use {back, null, result};
}
use instructions::{back, null, result};

returns! {
    // A symbol that may be there is not: Rust's standard library does without.
    "dlsym": "0",
    // A thread gets no name (ERANGE), for which text would be formatted.
    "pthread_setname_np": "34",
    // The allocator's statistics are printed nowhere, and streams need no locks.
    "fprintf": "-1",
    "_IO_enable_locks": "0",
    // The kinds of characters (isalpha(3)) of a locale: there is none.
    "__ctype_init": "0",
    // Name resolution does not begin, and has nothing to end.
    "__res_vinit": "-1",
    "__res_iclose": "0",
    // How many heaps the allocator may make (`sys/allocator.rs` says one anyway), and what
    // `sysconf` would read from files.
    "__get_nprocs": "1",
    "__get_nprocs_conf": "1",
    "__get_phys_pages": "0",
    "__get_avphys_pages": "0",
}

// The unwinder's interface. (That of 32-bit Arm is another one, in one object with what the
// standard library needs: there it stays.)
#[cfg(not(target_arch = "arm"))]
mod unwinder {
    use super::{back, result};
    returns! {
        // Nothing unwinds, so that there are no frames to ask about and none to make known.
        "__gcc_personality_v0": "8",
        "__register_frame": "0",
        "__deregister_frame": "0",
        "_Unwind_FindEnclosingFunction": "0",
        "_Unwind_ForcedUnwind": "5",
        "_Unwind_GetCFA": "0",
        "_Unwind_GetDataRelBase": "0",
        "_Unwind_GetGR": "0",
        "_Unwind_GetIP": "0",
        "_Unwind_GetIPInfo": "0",
        "_Unwind_GetLanguageSpecificData": "0",
        "_Unwind_GetRegionStart": "0",
        "_Unwind_GetTextRelBase": "0",
        "_Unwind_SetGR": "0",
        "_Unwind_SetIP": "0",
    }
}

// `FILE *stderr`: there is none.
weak!(".data.bls_slim,\"aw\"", "object", "stderr": null!());

// In this order: the assertion is the first parameter, here as there; a message is its own
// translation (the second parameter); what the C library formats for itself is empty (an error
// number that it has no words for, at most); no number is read from a text (`*end` is where it
// begins).
#[cfg(target_arch = "x86_64")]
mod of_this_machine {
    use super::{back, result};
    function!("__assert_fail": "jmp bls_assertion_failed");
    function!("_Unwind_Resume": "jmp abort");
    function!("__dcgettext": "mov rax, rsi", back!());
    function!("__snprintf": "mov byte ptr [rdi], 0", result!("0"), back!());
    function!("strtol": "mov [rsi], rdi", result!("0"), back!());
}
#[cfg(target_arch = "aarch64")]
mod of_this_machine {
    use super::{back, result};
    function!("__assert_fail": "b bls_assertion_failed");
    function!("_Unwind_Resume": "b abort");
    function!("__dcgettext": "mov x0, x1", back!());
    function!("__snprintf": "strb wzr, [x0]", result!("0"), back!());
    function!("strtol": "str x0, [x1]", result!("0"), back!());
}
#[cfg(target_arch = "riscv64")]
mod of_this_machine {
    use super::{back, result};
    function!("__assert_fail": "tail bls_assertion_failed");
    function!("_Unwind_Resume": "tail abort");
    function!("__dcgettext": "mv a0, a1", back!());
    function!("__snprintf": "sb zero, 0(a0)", result!("0"), back!());
    function!("strtol": "sd a0, 0(a1)", result!("0"), back!());
}
#[cfg(target_arch = "arm")]
mod of_this_machine {
    use super::{back, result};
    function!("__assert_fail": "b bls_assertion_failed");
    function!("__dcgettext": "mov r0, r1", back!());
    function!("__snprintf": "mov r1, #0", "strb r1, [r0]", result!("0"), back!());
    function!("strtol": "str r0, [r1]", result!("0"), back!());
}
#[cfg(target_arch = "s390x")]
mod of_this_machine {
    use super::{back, result};
    function!("__assert_fail": "jg bls_assertion_failed");
    function!("_Unwind_Resume": "jg abort");
    function!("__dcgettext": "lgr %r2, %r3", back!());
    function!("__snprintf": "mvi 0(%r2), 0", result!("0"), back!());
    function!("strtol": "stg %r2, 0(%r3)", result!("0"), back!());
}
