//! The host layer under arbitrary sequences of calls; see
//! `bls_tests::host_sequences` for what must hold.
//!
//!     cargo +nightly fuzz run --sanitizer none host_calls
//!
//! There is no `unsafe` in the host, so the address sanitizer finds nothing there
//! and costs half of the speed; with it (no `--sanitizer`) wasmtime is looked at
//! too. Standard input and output are `/dev/null`: a guest's streams are ours.

#![no_main]

use bls_tests::host_sequences::Stage;
use libfuzzer_sys::fuzz_target;
use std::cell::OnceCell;
use std::fs::File;

thread_local! {
    /// One set of folders for all sequences.
    static STAGE: OnceCell<Stage> = const { OnceCell::new() };
}

fuzz_target!(
    init: {
        let nothing = File::options().read(true).write(true).open("/dev/null").expect("/dev/null");
        rustix::stdio::dup2_stdin(&nothing).expect("standard input");
        rustix::stdio::dup2_stdout(&nothing).expect("standard output");
    },
    |bytes: &[u8]| {
        STAGE.with(|stage| {
            let _ = stage.get_or_init(Stage::new).run(bytes);
        });
    }
);
