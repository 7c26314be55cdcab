//! `bls-compile push` and `bls-compile image`: becomes bls-registry, which has HTTP, TLS and tar,
//! and this program none of them.
//!
//! `push --cosign` has something signed, and the program with the network gets no key: it says what
//! digest it would push, without sending anything; the text that names this digest is made and
//! signed here; and it pushes with the signature. A variable that holds the key, and the way to an
//! agent that has it, are kept from it.

use super::{Failure, open_key, usage};
use crate::program::cli::Signing;
use crate::program::keystore::{KeySource, Wanted};
use crate::program::sibling;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bls_artifact::digest::Sha256;
use bls_artifact::registry::signed_text;
use clap::Parser;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// The program.
const PROGRAM: &str = "bls-registry";
/// The option that asks for a signature.
const COSIGN: &str = "--cosign";
/// Options of a key: each takes a value.
const OF_KEYS: [&str; 3] = ["--key", "--public-key", "--max-sign-time"];
/// The variable that says where an ssh-agent is.
const AGENT: &str = "SSH_AUTH_SOCK";

/// Options of `push` that this program reads.
#[derive(Debug, Parser)]
#[command(name = "bls-compile push", disable_help_flag = true)]
struct Own {
    #[arg(long)]
    cosign: bool,
    #[command(flatten)]
    signing: Signing,
}

/// `bls-compile push`. Does not come back where it succeeds.
pub(super) fn push(words: &[OsString]) -> Result<(), Failure> {
    let (own, rest) = split(words);
    if own.is_empty() || rest.iter().any(|word| word == "--help" || word == "-h") {
        return hand_over("push", &rest);
    }
    let words = std::iter::once(OsString::from("push")).chain(own);
    let own = Own::try_parse_from(words).map_err(|error| usage(&error))?;
    if !own.cosign {
        let hint = "artifacts are signed when they are compiled; --cosign signs what is pushed too";
        return Err(Failure::usage(
            "a key is named, and nothing is to be signed",
            Some(hint.into()),
        ));
    }
    let wanted = Wanted::from(&own.signing);
    let (repository, digest) = would_push(&rest, &wanted)?;
    let quiet = rest.iter().any(|word| word == "--quiet" || word == "-q" || word == "--json");
    let signing = open_key(&wanted, quiet)?;
    let signature = signing.signer.sign(signed_text(&repository, digest).as_bytes())?;
    let signature = format!("--signature=sha256:{digest}={}", BASE64.encode(signature));
    let mut command = registry("push", &[vec![signature.into()], rest].concat(), &wanted.source);
    Err(no_program(command.exec()))
}

/// `bls-compile image`, and a push that signs nothing. Does not come back where it succeeds.
pub(super) fn hand_over(name: &str, words: &[OsString]) -> Result<(), Failure> {
    Err(no_program(registry(name, words, &KeySource::Default).exec()))
}

/// This program's options, with their values, and all other words.
fn split(words: &[OsString]) -> (Vec<OsString>, Vec<OsString>) {
    let (mut own, mut rest) = (Vec::new(), Vec::new());
    let mut words = words.iter().cloned();
    while let Some(word) = words.next() {
        let has_value = |option: &&str| {
            let behind = word.as_bytes().strip_prefix(option.as_bytes());
            behind.is_some_and(|behind| behind.starts_with(b"="))
        };
        if word == "--" {
            rest.push(word);
            break;
        }
        if OF_KEYS.iter().any(|option| word == *option) {
            own.push(word);
            own.extend(words.next());
        } else if word == COSIGN || OF_KEYS.iter().any(has_value) {
            own.push(word);
        } else {
            rest.push(word);
        }
    }
    rest.extend(words);
    (own, rest)
}

/// The program, without what would lead it to the key.
fn registry(name: &str, words: &[OsString], key: &KeySource) -> Command {
    let mut command = Command::new(sibling(PROGRAM));
    command.arg(name).args(words);
    match key {
        KeySource::Variable(name) => command.env_remove(name),
        KeySource::Agent(_) => command.env_remove(AGENT),
        _ => &mut command,
    };
    command
}

/// What would be pushed: the repository, and the digest. Where nothing would, the process ends as
/// that program did, which has said why.
fn would_push(words: &[OsString], wanted: &Wanted) -> Result<(String, Sha256), Failure> {
    let words = [&["--dry-run".into()], words].concat();
    let mut command = registry("push", &words, &wanted.source);
    let output = command.stderr(Stdio::inherit()).output().map_err(no_program)?;
    if !output.status.success() {
        std::process::exit(output.status.code().unwrap_or(1));
    }
    read(&output.stdout).ok_or_else(|| Failure {
        stage: "registry",
        code: "registry.other-program",
        what: format!("{} does not say what it would push", sibling(PROGRAM).display()),
        excerpt: Vec::new(),
        hint: Some("put the bls-registry of this release beside bls-compile".to_owned()),
    })
}

/// Reads `HOST/NAME@sha256:HEX`. What is signed as it is holds nothing that JSON writes otherwise.
fn read(line: &[u8]) -> Option<(String, Sha256)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (repository, digest) = line.split_once("@sha256:")?;
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\<>&".contains(&byte);
    let is_plain = !repository.is_empty() && repository.bytes().all(is_plain);
    Some((repository.to_owned(), Sha256::from_hex(digest)?)).filter(|_| is_plain)
}

fn no_program(error: std::io::Error) -> Failure {
    Failure {
        stage: "registry",
        code: "registry.no-program",
        what: format!("cannot run {}: {error}", sibling(PROGRAM).display()),
        excerpt: Vec::new(),
        hint: Some("put bls-registry beside bls-compile, or into a folder of PATH".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn options_of_a_key_stay_here() {
        for (all, own, rest) in [
            ("r/a a.bls --source k", "", "r/a a.bls --source k"),
            ("--cosign r/a --key k a.bls", "--cosign --key k", "r/a a.bls"),
            ("--key=k r/a --public-key p --keys", "--key=k --public-key p", "r/a --keys"),
            ("--cosign -- --key k", "--cosign", "-- --key k"),
            ("r/a --max-sign-time", "--max-sign-time", "r/a"),
        ] {
            assert_eq!(split(&words(all)), (words(own), words(rest)), "{all}");
        }
    }

    #[test]
    fn what_would_be_pushed_is_one_reference() {
        let digest = Sha256::of(b"x");
        let line = format!("r.example:5000/a/b@sha256:{digest}\n");
        assert_eq!(read(line.as_bytes()), Some(("r.example:5000/a/b".to_owned(), digest)));
        for wrong in [
            String::new(),
            "r/a\n".to_owned(),
            line.trim_end().to_owned(),
            format!("{line}{line}"),
            format!("r/\"a@sha256:{digest}\n"),
            format!("@sha256:{digest}\n"),
        ] {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
