//! The one `unsafe` of this crate: code generator flags.
//!
//! May assume that the flags come from [`crate::compile`]'s table, which is
//! constant. Does not take a flag from a user.

#![allow(unsafe_code, reason = "wasmtime marks Cranelift's flags unsafe")]

use crate::compile::Flag;
use wasmtime::Config;

/// Turns code generator flags on.
pub(crate) fn enable(config: &mut Config, flags: &[Flag]) {
    for flag in flags {
        match flag {
            Flag::Preset(name) => {
                // SAFETY: wasmtime marks this unsafe because some flags (stack
                // probes, spectre masks, the heap's bounds checks) are what the
                // sandbox stands on, and because an instruction that the CPU
                // lacks is undefined behaviour when run. A preset only adds CPU
                // features, each of which goes into the signed manifest and is
                // compared with the host before an image is mapped.
                unsafe { config.cranelift_flag_enable(name) };
            }
            Flag::On(name) => {
                // SAFETY: as above; these are `use_bti` and
                // `sign_return_address`, which emit hint-space instructions
                // that older CPUs execute as no-ops and only add checks.
                unsafe { config.cranelift_flag_set(name, "true") };
            }
        }
    }
}
