//! Every function that bls-load has for guests, over all interfaces, and how one is looked up.
//!
//! The tables are [`crate::preview1`]'s and [`crate::blockless`]'s. This is
//! the one place that knows which there are: whoever has an import asks here. Does no work for a
//! guest.

pub use crate::interface::{Function, Kind};
use crate::recipe::host_module;
use crate::{blockless, preview1};

/// All functions of all interfaces: preview 1's first.
pub fn all() -> impl Iterator<Item = &'static Function> {
    preview1::FUNCTIONS.iter().chain(blockless::FUNCTIONS)
}

/// The function that an import of `name` from `module` gets, if there is one: whichever memory it
/// works on ([`host_module`]).
#[must_use]
pub fn function(module: &str, name: &str) -> Option<&'static Function> {
    let (module, _) = host_module(module);
    preview1::function(module, name).or_else(|| blockless::function(module, name))
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
    use crate::capability::{WASI_PREVIEW1, WASI_UNSTABLE};

    #[test]
    fn imports_are_found_by_module_name_and_type() {
        assert_eq!(preview1::FUNCTIONS.len(), 46);
        for Function { interface, name, .. } in all() {
            let ty = function(interface, name).expect("itself").ty();
            assert_eq!(provided(interface, name, &ty), Provided::Fits, "{name}");
            assert_eq!(
                provided(interface, name, "func (param f32)"),
                Provided::OtherType,
                "{name}"
            );
            assert_eq!(provided("env", name, &ty), Provided::Unknown, "{name}");
            let older = provided(WASI_UNSTABLE, name, &ty) == Provided::Fits;
            let is_older = *interface == WASI_PREVIEW1 && *name != "sock_accept";
            assert_eq!(older, is_older, "{name}");
        }
        assert_eq!(provided(WASI_PREVIEW1, "fd_open", "func"), Provided::Unknown);
        assert_eq!(provided(WASI_PREVIEW1, "proc_exit", "memory 1"), Provided::OtherType);
        let of_library = format!("{WASI_PREVIEW1}@7");
        assert_eq!(provided(&of_library, "proc_exit", "func (param i32)"), Provided::Fits);
        assert_eq!(provided("wasi_snapshot_preview1@07", "proc_exit", "func"), Provided::Unknown);
        assert_eq!(provided("blockless_http", "memory_read", "func"), Provided::Unknown);
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
        let names = || all().map(|function| (function.interface, function.name));
        let mut sorted: Vec<_> = names().collect();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), names().count());
    }
}
