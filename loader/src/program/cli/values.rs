//! Values of options: what they mean, and how they are written.
//!
//! Guarantees that a value is in range and well-formed as far as words go. Does not
//! look at files or the environment.

use super::{UsageError, malformed, usage};
use crate::request::{Folder, UnknownImports};
use bls_artifact::capability::Capability;
use bls_artifact::cpu::Machine;
use bls_artifact::digest::Sha256;
use bls_artifact::policy::{Log, LogLevel};
use bls_artifact::{fuel, quantity};
use lexopt::Parser;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// Where the guest's standard input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// From wherever this program's does.
    Inherit,
    /// It ends before it begins.
    Null,
    /// These bytes.
    Text(Vec<u8>),
    /// This file.
    File(PathBuf),
}

/// Where the report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReportTarget {
    File(PathBuf),
    Descriptor(i32),
}

/// The value of an option that is words, not bytes.
pub(super) fn text(parser: &mut Parser, option: &str) -> Result<String, UsageError> {
    let value = parser.value().map_err(malformed)?;
    value.into_string().map_err(|_| usage(&format!("--{option}: the value is not UTF-8")))
}

pub(super) fn size(parser: &mut Parser, option: &str) -> Result<u64, UsageError> {
    quantity::parse_size(&text(parser, option)?)
        .map_err(|what| usage(&format!("--{option}: {what}")))
}

/// How many: a plain number, or one like `1M`.
pub(super) fn count(parser: &mut Parser, option: &str) -> Result<u64, UsageError> {
    quantity::parse_count(&text(parser, option)?)
        .map_err(|what| usage(&format!("--{option}: {what}")))
}

pub(super) fn budget(parser: &mut Parser, option: &str) -> Result<u64, UsageError> {
    let number = count(parser, option)?;
    if number > fuel::BUDGET_MAX {
        return Err(usage(&format!("--fuel takes at most {} units", fuel::BUDGET_MAX)));
    }
    Ok(number)
}

/// A target, by its triple or by what comes before the first `-` of it, and behind a `:` its
/// CPU.
pub(super) fn machine(value: &str) -> Result<Machine, UsageError> {
    Machine::parse(value).map_err(|error| usage(&format!("--target {value}: {error}")))
}

pub(super) fn digest(value: &str) -> Result<Sha256, UsageError> {
    value.strip_prefix("sha256:").and_then(Sha256::from_hex).ok_or_else(|| UsageError {
        what: "--digest takes sha256: and 64 lower-case hex digits".into(),
        hint: "sha256sum app.bls prints them",
    })
}

/// `HOST` or `HOST::GUEST`.
pub(super) fn folder(value: &OsStr, read_only: bool) -> Result<Folder, UsageError> {
    let bytes = value.as_bytes();
    let separator = bytes.windows(2).position(|pair| pair == b"::");
    let (host, guest) = match separator {
        Some(position) => (&bytes[..position], &bytes[position + 2..]),
        None => (bytes, bytes),
    };
    if host.is_empty() || guest.is_empty() {
        return Err(usage("--dir takes HOST or HOST::GUEST, neither of them empty"));
    }
    let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    Ok(Folder { host: own(host).into(), below: PathBuf::new(), guest: own(guest), read_only })
}

/// `K` or `K=V`.
pub(super) fn variable(
    value: &OsStr,
    option: &str,
) -> Result<(OsString, Option<OsString>), UsageError> {
    let bytes = value.as_bytes();
    let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let (name, content) = match bytes.iter().position(|byte| *byte == b'=') {
        Some(position) => (&bytes[..position], Some(own(&bytes[position + 1..]))),
        None => (bytes, None),
    };
    if name.is_empty() {
        return Err(usage(&format!("--{option} takes NAME or NAME=VALUE")));
    }
    Ok((own(name), content))
}

/// `-` for standard output, `fd:N` or a file.
pub(super) fn report(value: OsString, option: &str) -> Result<ReportTarget, UsageError> {
    if value == "-" {
        return Ok(ReportTarget::Descriptor(1));
    }
    match value.to_str().and_then(|text| text.strip_prefix("fd:")) {
        None => Ok(ReportTarget::File(value.into())),
        Some(number) => match number.parse() {
            Ok(number) if number >= 0 => Ok(ReportTarget::Descriptor(number)),
            _ => Err(usage(&format!("--{option} fd:N takes the number of an open descriptor"))),
        },
    }
}

/// Where the log goes.
pub(super) fn log(word: &str) -> Result<Log, UsageError> {
    let wrong = || usage("--log takes stderr, syslog, journald, fd:N, or a file or socket");
    Log::from_word(word).ok_or_else(wrong)
}

/// How much of it is wanted.
pub(super) fn log_level(word: &str) -> Result<LogLevel, UsageError> {
    let wrong = || usage("--log-level takes error, warn, info or debug");
    LogLevel::from_word(word).ok_or_else(wrong)
}

/// A plain number.
pub(super) fn number(parser: &mut Parser, option: &str) -> Result<u64, UsageError> {
    let value = text(parser, option)?;
    value.parse().map_err(|_| usage(&format!("--{option} takes a number, not {value:?}")))
}

/// `inherit`, `null`, `text:WORDS` or a file.
pub(super) fn input(value: OsString) -> Input {
    match value.as_bytes() {
        b"inherit" => Input::Inherit,
        b"null" => Input::Null,
        bytes => match bytes.strip_prefix(b"text:") {
            Some(words) => Input::Text(words.to_vec()),
            None => Input::File(value.into()),
        },
    }
}

/// Capabilities that are granted by default, with commas between them.
pub(super) fn capabilities(list: &str) -> Result<Vec<Capability>, UsageError> {
    let one = |name: &str| match Capability::from_name(name) {
        Some(capability) if capability.is_default() => Ok(capability),
        _ => {
            let all = Capability::DEFAULT.map(Capability::name).join(", ");
            Err(usage(&format!("--deny takes what is granted by default ({all}), not {name:?}")))
        }
    };
    list.split(',').map(one).collect()
}

pub(super) fn unknown_imports(word: &str) -> Result<UnknownImports, UsageError> {
    match word {
        "refuse" => Ok(UnknownImports::Refuse),
        "trap" => Ok(UnknownImports::Trap),
        other => Err(usage(&format!("--unknown-imports takes refuse or trap, not {other:?}"))),
    }
}
