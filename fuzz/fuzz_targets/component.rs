//! Components, made of any bytes in several ways: linked; what must hold is in
//! `bls_tests::components`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = bls_tests::fuzzing::component(bytes);
});
