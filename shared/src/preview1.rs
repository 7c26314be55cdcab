//! The functions of WASI preview 1 that bls-load has for guests, and of snapshot 0 before it
//! (`wasi_unstable`), which is the same without `sock_accept`.
//!
//! One table ([`for_each_function`](crate::for_each_function)) says of each function its name,
//! its parameters, what it costs and what it may use. The loader makes its linker from it, and
//! the prices it takes; [`host_table`](crate::host_table), which knows all interfaces, makes of
//! it what whoever does not have the loader at hand needs. A row that lacks a price or a list
//! of capabilities does not compile. Does no work for a guest, and knows no units: the words of
//! a price mean what `loader/src/host/price.rs` and FUEL.md say.

use crate::capability::{WASI_PREVIEW1, WASI_UNSTABLE};
use crate::interface::{Function, functions};

/// The modules that these functions can be imported from.
pub const MODULES: [&str; 2] = [WASI_PREVIEW1, WASI_UNSTABLE];

/// What preview 1 has and snapshot 0 has not.
const LATER: &str = "sock_accept";

/// Gives the whole table to a macro: for each function, in the order of the specification,
///
/// ```text
/// INTERFACE {
///     NAME(PARAMETER: TYPE, …) -> RESULT, costs PRICE, may_use [CAPABILITY, …];
/// }
/// ```
///
/// A `TYPE` is a number (`u32`, `u64`, `i64`) or a `Pointer` to something whose size the
/// specification fixes. `pair TYPE` is two parameters of the module, an address and how many
/// there are: of the bytes of a `Path`, of other `Bytes`, of the `Buffers` of a list, of
/// one that is paid for where it is looked at (`Unseen`).
/// What a pair costs for its length, its type says. A `RESULT` is
/// an `errno`, the `code` of another interface, or `never`. A `PRICE` is what the call costs beside that; it may ask about
/// parameters. A capability is one of [`Capability`](crate::capability::Capability): an import
/// of the function means that it may be used. Every program that is linked with a C library
/// closes, seeks and asks about its standard streams, which says nothing about files.
#[macro_export]
macro_rules! for_each_function {
    ($then:ident) => {
        $then! {
        wasi_snapshot_preview1 {
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
        }
    };
}

crate::for_each_function!(functions);

/// The function `name` of `module`, if there is one.
pub(crate) fn function(module: &str, name: &str) -> Option<&'static Function> {
    if !MODULES.contains(&module) || (module == WASI_UNSTABLE && name == LATER) {
        return None;
    }
    FUNCTIONS.iter().find(|function| function.name == name)
}
