//! `bls-compile push` and `bls-compile image`: becomes bls-registry, which has HTTP, TLS and tar,
//! and this program none of them.

use super::Failure;
use crate::program::sibling;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The program.
const PROGRAM: &str = "bls-registry";

/// Does not come back where it succeeds.
pub(super) fn hand_over(name: &str, words: &[OsString]) -> Result<(), Failure> {
    let program = sibling(PROGRAM);
    let error = Command::new(&program).arg(name).args(words).exec();
    Err(Failure {
        stage: "registry",
        code: "registry.no-program",
        what: format!("cannot run {}: {error}", program.display()),
        excerpt: Vec::new(),
        hint: Some("put bls-registry beside bls-compile, or into a folder of PATH".to_owned()),
    })
}
