//! The header that is committed is the one that is made.
//!
//! `BLS_HEADER=write cargo test -p bls-header` writes it anew.

use std::path::Path;

#[test]
fn the_header_is_made_of_the_sources() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("loader/capi");
    let made = bls_header::header(&folder.join("src"));
    let file = folder.join("bls.h");
    if std::env::var_os("BLS_HEADER").is_some_and(|what| what == "write") {
        std::fs::write(&file, &made).expect("bls.h");
    }
    let committed = std::fs::read_to_string(&file).expect("bls.h");
    assert!(committed == made, "bls.h is out of date: BLS_HEADER=write writes it");
}
