//! What the process's own variables must not do to it.

/// Lets no variable turn on Rust's backtraces inside errors (`RUST_BACKTRACE`,
/// `RUST_LIB_BACKTRACE`; `std::backtrace`): the program is linked without the tables
/// that they are read from (`no-unwind.ld`), and the unwinder gives up on the whole
/// process where they are missing. Nobody would see them: errors are shown in words.
///
/// Must be called before there is a second thread. After it `RUST_LIB_BACKTRACE`, where
/// one of the two was set, is `0`.
pub(crate) fn without_backtraces() {
    let is_set = |name: &str| std::env::var_os(name).is_some();
    if is_set("RUST_BACKTRACE") || is_set("RUST_LIB_BACKTRACE") {
        // SAFETY: called first thing by `main`, when no other thread could be reading
        // the environment.
        unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") };
    }
}

/// Overwrites every variable of this process with zeros, and leaves it none: a guest that
/// comes to read the process's memory must not find what its operator keeps there. (What was
/// granted to the guest was copied.)
///
/// May be called when no thread reads the environment, or will: nothing of this program does
/// after its grants are decided.
pub(crate) fn wipe() {
    unsafe extern "C" {
        static mut environ: *mut *mut libc::c_char;
    }
    // SAFETY: the C library's own pointer to the list; read by value. No other thread changes
    // it: the watcher, where there is one, reads and sets no variables.
    let list = unsafe { environ };
    if list.is_null() {
        return;
    }
    let mut at = list;
    loop {
        // SAFETY: the list ends with a null pointer, which ends this loop, so `at` is in it.
        let text = unsafe { *at };
        if text.is_null() {
            break;
        }
        // SAFETY: each entry is a C string that is this process's own: of the block that the
        // kernel made, or allocated when one was set.
        let length = unsafe { libc::strlen(text) };
        // SAFETY: as above; the text's bytes before its end, which stay a C string.
        unsafe { text.write_bytes(0, length) };
        // SAFETY: behind an entry that is not null there is another.
        at = unsafe { at.add(1) };
    }
    // SAFETY: the first place of the list; the list is empty now.
    unsafe { *list = std::ptr::null_mut() };
}
