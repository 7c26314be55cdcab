//! Valid modules made from any bytes: metered, audited; what must hold is in
//! `bls_tests::fuzzing`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = bls_tests::fuzzing::smith(bytes);
});
