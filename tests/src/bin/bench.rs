//! `bench [NAME]... [RUNS] [OPTION]...`: prints the tables.
//!
//! Run by `cargo xtask bench`, which builds the two programs first and says where
//! they are. Asserts no time: a person reads the tables.

#![forbid(unsafe_code)]

use bls_tests::bench::{self, Options};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{}", bench::HELP);
        return ExitCode::SUCCESS;
    }
    match Options::parse(&arguments).and_then(|options| bench::run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("bench: {what}");
            ExitCode::FAILURE
        }
    }
}
