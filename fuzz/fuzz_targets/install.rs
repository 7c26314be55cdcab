//! Steps on a store: installs of any bytes, removals, runs, faults, damage; what must hold
//! is in `bls_tests::installs`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = bls_tests::fuzzing::install(bytes);
});
