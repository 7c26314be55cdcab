//! Arbitrary sequences of host calls, made from a seed: the same ones every time.
//!
//! What must hold of each is in `bls_tests::host_sequences`, which the fuzz target
//! `host_calls` shares. Here also: that the sequences mean something, which is that
//! every function of preview 1 that can succeed does so.

use bls_tests::host_sequences::{Stage, Summary};
use bls_tests::preview1::PARAMETERS;
use bls_tests::programs::in_a_child;

/// Sequences of one run of the test.
const SEQUENCES: u64 = 3000;
/// Functions that can only refuse: no grant hands out sockets, and the rest is
/// deliberately not done.
const REFUSING: [&str; 7] = [
    "fd_allocate",
    "fd_fdstat_set_rights",
    "proc_raise",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// The bytes of sequence `number`: splitmix64, whose every seed is as good.
fn bytes(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x1234_5678_9abc_def1);
    let words = 50 + number % 150;
    (0..words)
        .flat_map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)).to_le_bytes()
        })
        .collect()
}

#[test]
fn seeded_sequences() {
    if !in_a_child("seeded_sequences") {
        return;
    }
    let stage = Stage::new();
    let mut sum = Summary::default();
    for number in 0..SEQUENCES {
        let outcome = std::panic::catch_unwind(|| stage.run(&bytes(number)));
        sum.add(&outcome.unwrap_or_else(|_| panic!("sequence {number}")));
    }
    for (name, _) in PARAMETERS {
        let (calls, successes) = sum.calls.get(name).copied().unwrap_or_default();
        assert!(calls > 50, "{name} is called {calls} times only");
        let can = !REFUSING.contains(name);
        assert!(successes > 3 || !can, "{successes} of {calls} calls of {name} succeed");
    }
    assert!(sum.faults > 0 && sum.limited > 0, "{sum:?}");
    eprintln!("{} calls in {SEQUENCES} sequences, {} faults", sum.total(), sum.faults);
}
