//! The functions that bls-load has for guests: their names and types. Those of snapshot 0
//! (`wasi_unstable`) are the same, but for `sock_accept`, which came later.
//!
//! For whoever does not have the loader at hand, such as `bls-compile check`. A test
//! compares the list with the loader's own table, so it says no more and no less.

use crate::capability::{WASI_PREVIEW1, WASI_UNSTABLE};

/// The modules that these functions can be imported from.
pub const MODULES: [&str; 2] = [WASI_PREVIEW1, WASI_UNSTABLE];

/// Every function, sorted by name, with its type as a manifest spells it.
pub const FUNCTIONS: [(&str, &str); 46] = [
    ("args_get", "func (param i32 i32) (result i32)"),
    ("args_sizes_get", "func (param i32 i32) (result i32)"),
    ("clock_res_get", "func (param i32 i32) (result i32)"),
    ("clock_time_get", "func (param i32 i64 i32) (result i32)"),
    ("environ_get", "func (param i32 i32) (result i32)"),
    ("environ_sizes_get", "func (param i32 i32) (result i32)"),
    ("fd_advise", "func (param i32 i64 i64 i32) (result i32)"),
    ("fd_allocate", "func (param i32 i64 i64) (result i32)"),
    ("fd_close", "func (param i32) (result i32)"),
    ("fd_datasync", "func (param i32) (result i32)"),
    ("fd_fdstat_get", "func (param i32 i32) (result i32)"),
    ("fd_fdstat_set_flags", "func (param i32 i32) (result i32)"),
    ("fd_fdstat_set_rights", "func (param i32 i64 i64) (result i32)"),
    ("fd_filestat_get", "func (param i32 i32) (result i32)"),
    ("fd_filestat_set_size", "func (param i32 i64) (result i32)"),
    ("fd_filestat_set_times", "func (param i32 i64 i64 i32) (result i32)"),
    ("fd_pread", "func (param i32 i32 i32 i64 i32) (result i32)"),
    ("fd_prestat_dir_name", "func (param i32 i32 i32) (result i32)"),
    ("fd_prestat_get", "func (param i32 i32) (result i32)"),
    ("fd_pwrite", "func (param i32 i32 i32 i64 i32) (result i32)"),
    ("fd_read", "func (param i32 i32 i32 i32) (result i32)"),
    ("fd_readdir", "func (param i32 i32 i32 i64 i32) (result i32)"),
    ("fd_renumber", "func (param i32 i32) (result i32)"),
    ("fd_seek", "func (param i32 i64 i32 i32) (result i32)"),
    ("fd_sync", "func (param i32) (result i32)"),
    ("fd_tell", "func (param i32 i32) (result i32)"),
    ("fd_write", "func (param i32 i32 i32 i32) (result i32)"),
    ("path_create_directory", "func (param i32 i32 i32) (result i32)"),
    ("path_filestat_get", "func (param i32 i32 i32 i32 i32) (result i32)"),
    ("path_filestat_set_times", "func (param i32 i32 i32 i32 i64 i64 i32) (result i32)"),
    ("path_link", "func (param i32 i32 i32 i32 i32 i32 i32) (result i32)"),
    ("path_open", "func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)"),
    ("path_readlink", "func (param i32 i32 i32 i32 i32 i32) (result i32)"),
    ("path_remove_directory", "func (param i32 i32 i32) (result i32)"),
    ("path_rename", "func (param i32 i32 i32 i32 i32 i32) (result i32)"),
    ("path_symlink", "func (param i32 i32 i32 i32 i32) (result i32)"),
    ("path_unlink_file", "func (param i32 i32 i32) (result i32)"),
    ("poll_oneoff", "func (param i32 i32 i32 i32) (result i32)"),
    ("proc_exit", "func (param i32)"),
    ("proc_raise", "func (param i32) (result i32)"),
    ("random_get", "func (param i32 i32) (result i32)"),
    ("sched_yield", "func (result i32)"),
    ("sock_accept", "func (param i32 i32 i32) (result i32)"),
    ("sock_recv", "func (param i32 i32 i32 i32 i32 i32) (result i32)"),
    ("sock_send", "func (param i32 i32 i32 i32 i32) (result i32)"),
    ("sock_shutdown", "func (param i32 i32) (result i32)"),
];

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
    if !MODULES.contains(&module) || (module == WASI_UNSTABLE && name == "sock_accept") {
        return Provided::Unknown;
    }
    match FUNCTIONS.binary_search_by_key(&name, |(known, _)| known) {
        Err(_) => Provided::Unknown,
        Ok(at) if FUNCTIONS[at].1 == ty => Provided::Fits,
        Ok(_) => Provided::OtherType,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_found_by_module_name_and_type() {
        assert!(FUNCTIONS.is_sorted_by(|one, other| one.0 < other.0));
        let module = WASI_PREVIEW1;
        for (name, ty) in FUNCTIONS {
            assert_eq!(provided(module, name, ty), Provided::Fits, "{name}");
            assert_eq!(provided(module, name, "func (param f32)"), Provided::OtherType, "{name}");
            assert_eq!(provided("env", name, ty), Provided::Unknown, "{name}");
        }
        let fits =
            |module| FUNCTIONS.map(|(name, ty)| provided(module, name, ty) == Provided::Fits);
        let older = fits(WASI_UNSTABLE).into_iter().zip(FUNCTIONS);
        for (fits, (name, _)) in older {
            assert_eq!(fits, name != "sock_accept", "{name}");
        }
        assert_eq!(provided(module, "fd_open", "func"), Provided::Unknown);
        assert_eq!(provided(module, "proc_exit", "memory 1"), Provided::OtherType);
    }
}
