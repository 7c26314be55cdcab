//! Project Wycheproof's vectors for Ed25519, through the function that decides about
//! artifacts.
//!
//! Verification is strict: it may refuse what others accept (small orders, other
//! spellings), never the other way round. No valid vector is refused.

use bls_artifact::key::{PublicKey, SignatureError};
use std::collections::BTreeMap;
use wycheproof::eddsa::{TestName, TestSet};

#[test]
fn ed25519() {
    let set = TestSet::load(TestName::Ed25519).expect("vectors");
    let mut counted: BTreeMap<&str, u32> = BTreeMap::new();
    for group in &set.test_groups {
        let key: &[u8; 32] = group.key.pk[..].try_into().expect("32 bytes");
        let key = PublicKey::from_bytes(key).expect("a key of large order");
        for test in &group.tests {
            // Other lengths end in the envelope, which takes 64 bytes only.
            let verdict = match <&[u8; 64]>::try_from(&test.sig[..]) {
                Ok(signature) => match key.check(&test.msg, signature) {
                    Ok(()) => "good",
                    Err(SignatureError::Malleable) => "malleable",
                    Err(SignatureError::SmallOrder) => "small order",
                    Err(SignatureError::Wrong) => "wrong",
                },
                Err(_) => "length",
            };
            *counted.entry(verdict).or_default() += 1;
            let is_good = verdict == "good";
            assert_eq!(is_good, !test.result.must_fail(), "{} {verdict}: {test:?}", test.tc_id);
        }
    }
    println!("{counted:?}");
    let tests: u32 = counted.values().sum();
    assert_eq!(tests, set.number_of_tests as u32, "every vector was tried");
    assert!(tests >= 150, "only {tests} vectors");
    for verdict in ["good", "malleable", "small order", "wrong", "length"] {
        assert!(counted.contains_key(verdict), "no vector is {verdict}");
    }
}
