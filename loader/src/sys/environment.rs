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
