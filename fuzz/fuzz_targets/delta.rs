//! Deltas, differences and images of any bytes; what must hold is in `bls_tests::deltas`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = bls_tests::fuzzing::delta(bytes);
});
