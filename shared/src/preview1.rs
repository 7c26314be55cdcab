//! The functions that bls-load has for guests: WASI preview 1, and snapshot 0 before it
//! (`wasi_unstable`), which is the same without `sock_accept`.
//!
//! One table ([`for_each_function`](crate::for_each_function)) says of each function its name,
//! its parameters, what it costs and what it may use. The loader makes its linker from it, and
//! the prices it takes; this module makes of it what whoever does not have the loader at hand
//! needs, such as `bls-compile check`. A row that lacks a price or a list of capabilities does
//! not compile. Does no work for a guest, and knows no units: the words of a price mean what
//! `loader/src/host/price.rs` and FUEL.md say.

use crate::capability::{Capability, WASI_PREVIEW1, WASI_UNSTABLE};

/// The modules that these functions can be imported from.
pub const MODULES: [&str; 2] = [WASI_PREVIEW1, WASI_UNSTABLE];

/// What preview 1 has and snapshot 0 has not.
const LATER: &str = "sock_accept";

/// Gives the whole table to a macro: for each function, in the order of the specification,
///
/// ```text
/// NAME(PARAMETER: TYPE, …) -> RESULT, costs PRICE, may_use [CAPABILITY, …];
/// ```
///
/// A `TYPE` is a number (`u32`, `u64`, `i64`) or a `Pointer` to something whose size the
/// specification fixes. `pair TYPE` is two parameters of the module, an address and how many
/// there are: of the bytes of a `Path`, of other `Bytes`, of the `Buffers` of a list, of what
/// nobody looks at (`Unseen`). What a pair costs for its length, its type says. A `RESULT` is
/// an `errno`, or `never`. A `PRICE` is what the call costs beside that; it may ask about
/// parameters. A capability is one of [`Capability`](crate::capability::Capability): an import
/// of the function means that it may be used. Every program that is linked with a C library
/// closes, seeks and asks about its standard streams, which says nothing about files.
#[macro_export]
macro_rules! for_each_function {
    ($then:ident) => {
        $then! {
            args_get(pointers: Pointer, strings: Pointer) -> errno,
                costs CALL, may_use [Arguments];
            args_sizes_get(count: Pointer, size: Pointer) -> errno,
                costs CALL, may_use [Arguments];
            environ_get(pointers: Pointer, strings: Pointer) -> errno,
                costs CALL, may_use [Environment];
            environ_sizes_get(count: Pointer, size: Pointer) -> errno,
                costs CALL, may_use [Environment];
            clock_res_get(clock: u32, result: Pointer) -> errno,
                costs CALL, may_use [WallClock, MonotonicClock];
            clock_time_get(clock: u32, precision_ns: u64, result: Pointer) -> errno,
                costs CALL, may_use [WallClock, MonotonicClock];
            fd_advise(descriptor: u32, offset: u64, length: u64, advice: u32) -> errno,
                costs CALL, may_use [FilesRead];
            fd_allocate(descriptor: u32, offset: u64, length: u64) -> errno,
                costs DISK, may_use [FilesWrite];
            fd_close(descriptor: u32) -> errno,
                costs CALL, may_use [];
            fd_datasync(descriptor: u32) -> errno,
                costs DISK, may_use [FilesWrite];
            fd_fdstat_get(descriptor: u32, result: Pointer) -> errno,
                costs CALL, may_use [];
            fd_fdstat_set_flags(descriptor: u32, flags: u32) -> errno,
                costs CALL, may_use [];
            fd_fdstat_set_rights(descriptor: u32, rights: u64, inheriting: u64) -> errno,
                costs CALL, may_use [];
            fd_filestat_get(descriptor: u32, result: Pointer) -> errno,
                costs FILE, may_use [FilesRead];
            fd_filestat_set_size(descriptor: u32, size: u64) -> errno,
                costs FILE, may_use [FilesWrite];
            fd_filestat_set_times(
                descriptor: u32, accessed_ns: u64, modified_ns: u64, flags: u32
            ) -> errno,
                costs FILE, may_use [FilesWrite];
            fd_pread(descriptor: u32, buffers: pair Buffers, offset: u64, result: Pointer) -> errno,
                costs CALL, may_use [FilesRead];
            fd_prestat_get(descriptor: u32, result: Pointer) -> errno,
                costs CALL, may_use [];
            fd_prestat_dir_name(descriptor: u32, buffer: pair Bytes) -> errno,
                costs CALL, may_use [];
            fd_pwrite(
                descriptor: u32, buffers: pair Buffers, offset: u64, result: Pointer
            ) -> errno,
                costs CALL, may_use [FilesWrite];
            fd_read(descriptor: u32, buffers: pair Buffers, result: Pointer) -> errno,
                costs CALL, may_use [Stdin];
            fd_readdir(
                descriptor: u32, buffer: pair Bytes, cookie: u64, result: Pointer
            ) -> errno,
                costs FILE, may_use [FilesRead];
            fd_renumber(from: u32, to: u32) -> errno,
                costs CALL, may_use [];
            fd_seek(descriptor: u32, offset: i64, whence: u32, result: Pointer) -> errno,
                costs CALL, may_use [];
            fd_sync(descriptor: u32) -> errno,
                costs DISK, may_use [FilesWrite];
            fd_tell(descriptor: u32, result: Pointer) -> errno,
                costs CALL, may_use [];
            fd_write(descriptor: u32, buffers: pair Buffers, result: Pointer) -> errno,
                costs CALL, may_use [Stdout, Stderr];
            path_create_directory(descriptor: u32, path: pair Path) -> errno,
                costs DISK, may_use [FilesWrite];
            path_filestat_get(
                descriptor: u32, lookup: u32, path: pair Path, result: Pointer
            ) -> errno,
                costs FILE, may_use [FilesRead];
            path_filestat_set_times(
                descriptor: u32, lookup: u32, path: pair Path,
                accessed_ns: u64, modified_ns: u64, flags: u32
            ) -> errno,
                costs CHANGE, may_use [FilesWrite];
            path_link(
                old_descriptor: u32, lookup: u32, old_path: pair Path,
                new_descriptor: u32, new_path: pair Path
            ) -> errno,
                costs CHANGE, may_use [FilesWrite];
            path_open(
                descriptor: u32, lookup: u32, path: pair Path, how: u32,
                rights: u64, inheriting: u64, flags: u32, result: Pointer
            ) -> errno,
                costs opening(how), may_use [FilesRead, FilesWrite];
            path_readlink(
                descriptor: u32, path: pair Path, buffer: pair Bytes, result: Pointer
            ) -> errno,
                costs FILE, may_use [FilesRead];
            path_remove_directory(descriptor: u32, path: pair Path) -> errno,
                costs CHANGE, may_use [FilesWrite];
            path_rename(
                old_descriptor: u32, old_path: pair Path, new_descriptor: u32, new_path: pair Path
            ) -> errno,
                costs CHANGE, may_use [FilesWrite];
            path_symlink(target: pair Path, descriptor: u32, path: pair Path) -> errno,
                costs CHANGE, may_use [FilesWrite];
            path_unlink_file(descriptor: u32, path: pair Path) -> errno,
                costs CHANGE, may_use [FilesWrite];
            poll_oneoff(
                subscriptions: Pointer, events: Pointer, count: u32, result: Pointer
            ) -> errno,
                costs CALL, may_use [WallClock, MonotonicClock];
            proc_exit(code: u32) -> never,
                costs NOTHING, may_use [];
            proc_raise(signal: u32) -> errno,
                costs CALL, may_use [];
            random_get(buffer: pair Bytes) -> errno,
                costs CALL, may_use [Randomness];
            sched_yield() -> errno,
                costs CALL, may_use [];
            sock_accept(descriptor: u32, flags: u32, result: Pointer) -> errno,
                costs CALL, may_use [Sockets];
            sock_recv(
                descriptor: u32, buffers: pair Unseen, flags: u32,
                length: Pointer, flags_out: Pointer
            ) -> errno,
                costs CALL, may_use [Sockets];
            sock_send(
                descriptor: u32, buffers: pair Unseen, flags: u32, length: Pointer
            ) -> errno,
                costs CALL, may_use [Sockets];
            sock_shutdown(descriptor: u32, sides: u32) -> errno,
                costs CALL, may_use [Sockets];
        }
    };
}

/// A value of the calling convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer.
    I64,
}

impl Kind {
    /// As a manifest spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
        }
    }
}

/// A function of the table, as a module sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Its parameters, those of a pair one by one.
    pub parameters: &'static [Kind],
    /// Whether it answers, with an errno as `i32`; if not, it does not come back.
    pub answers: bool,
    /// What whoever imports it may use.
    pub may_use: &'static [Capability],
}

impl Function {
    /// Its type as a manifest spells it.
    #[must_use]
    pub fn ty(&self) -> String {
        let mut text = "func".to_owned();
        if !self.parameters.is_empty() {
            let names: Vec<&str> = self.parameters.iter().map(|kind| kind.name()).collect();
            text += &format!(" (param {})", names.join(" "));
        }
        if self.answers {
            text += " (result i32)";
        }
        text
    }
}

/// The values that parameters of the table are.
macro_rules! kinds {
    ([$($kind:ident)*]) => { &[$(Kind::$kind),*] };
    ([$($kind:ident)*] $name:ident: pair $pair:ident $(, $($rest:tt)*)?) => {
        kinds!([$($kind)* I32 I32] $($($rest)*)?)
    };
    ([$($kind:ident)*] $name:ident: u32 $(, $($rest:tt)*)?) => {
        kinds!([$($kind)* I32] $($($rest)*)?)
    };
    ([$($kind:ident)*] $name:ident: Pointer $(, $($rest:tt)*)?) => {
        kinds!([$($kind)* I32] $($($rest)*)?)
    };
    ([$($kind:ident)*] $name:ident: u64 $(, $($rest:tt)*)?) => {
        kinds!([$($kind)* I64] $($($rest)*)?)
    };
    ([$($kind:ident)*] $name:ident: i64 $(, $($rest:tt)*)?) => {
        kinds!([$($kind)* I64] $($($rest)*)?)
    };
}

/// Whether a function with this result answers.
macro_rules! answers {
    (errno) => {
        true
    };
    (never) => {
        false
    };
}

/// Makes [`FUNCTIONS`] from the table.
macro_rules! functions {
    ($($name:ident($($parameters:tt)*) -> $result:ident,
        costs $price:expr, may_use [$($capability:ident),*];)*
    ) => {
        /// Every function, in the order of the specification.
        pub const FUNCTIONS: &[Function] = &[$(Function {
            name: stringify!($name),
            parameters: kinds!([] $($parameters)*),
            answers: answers!($result),
            may_use: &[$(Capability::$capability),*],
        }),*];
    };
}

crate::for_each_function!(functions);

/// The function `name` of `module`, if there is one.
#[must_use]
pub fn function(module: &str, name: &str) -> Option<&'static Function> {
    if !MODULES.contains(&module) || (module == WASI_UNSTABLE && name == LATER) {
        return None;
    }
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// What the loader has for an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provided {
    /// Just that.
    Fits,
    /// A function of this name and of another type.
    OtherType,
    /// Nothing.
    Unknown,
}

/// What the loader has for the import `name` of `module`, of this type.
#[must_use]
pub fn provided(module: &str, name: &str, ty: &str) -> Provided {
    match function(module, name) {
        None => Provided::Unknown,
        Some(function) if function.ty() == ty => Provided::Fits,
        Some(_) => Provided::OtherType,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_found_by_module_name_and_type() {
        assert_eq!(FUNCTIONS.len(), 46);
        let module = WASI_PREVIEW1;
        for function in FUNCTIONS {
            let Function { name, .. } = function;
            let ty = function.ty();
            assert_eq!(provided(module, name, &ty), Provided::Fits, "{name}");
            assert_eq!(provided(module, name, "func (param f32)"), Provided::OtherType, "{name}");
            assert_eq!(provided("env", name, &ty), Provided::Unknown, "{name}");
            let older = provided(WASI_UNSTABLE, name, &ty) == Provided::Fits;
            assert_eq!(older, *name != "sock_accept", "{name}");
        }
        assert_eq!(provided(module, "fd_open", "func"), Provided::Unknown);
        assert_eq!(provided(module, "proc_exit", "memory 1"), Provided::OtherType);
    }

    #[test]
    fn types_are_spelled_as_in_a_manifest() {
        let ty = |name| function(WASI_PREVIEW1, name).expect("a function").ty();
        assert_eq!(ty("proc_exit"), "func (param i32)");
        assert_eq!(ty("sched_yield"), "func (result i32)");
        assert_eq!(ty("fd_seek"), "func (param i32 i64 i32 i32) (result i32)");
        assert_eq!(
            ty("path_open"),
            "func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)"
        );
    }

    #[test]
    fn no_function_stands_twice() {
        let mut names: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FUNCTIONS.len());
    }
}
