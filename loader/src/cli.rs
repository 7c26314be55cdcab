//! The command line: what was asked for, checked for form.
//!
//! Guarantees that a [`Command`] is one that can be carried out as far as words
//! go: numbers are in range, options fit the command. Everything after ARTIFACT
//! is the guest's, byte for byte. Does not look at files or the environment.

use crate::error::StageError;
use bls_artifact::digest::Sha256;
use bls_artifact::limits::{STACK_BYTES_DEFAULT, STACK_BYTES_MAX, STACK_BYTES_MIN};
use bls_artifact::{artifact, fuel, quantity, target};
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::time::Duration;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Verify, map and run an artifact.

Usage: bls-load [OPTIONS] <ARTIFACT> [ARGS]...
       bls-load verify [OPTIONS] <ARTIFACT>
       bls-load trust <add|list> ...

Everything after ARTIFACT belongs to the guest.
Granted by default: arguments, stdio, clocks, randomness.

      --dir <HOST[::GUEST]>     grant a folder
      --dir-ro <HOST[::GUEST]>  the same, read-only
      --env <K[=V]>             grant a variable
      --fuel <N>                stop after N units [default: count only]
      --timeout <TIME>          such as 500ms, 2s [default: none]
      --max-memory <SIZE>       [default: 1GiB]
      --max-stack <SIZE>        [default: 1MiB]
      --trust <FILE>            trust file or public key
      --digest <sha256:HEX>     run only this exact file
      --invoke <EXPORT>         call this export
      --unknown-imports <HOW>   refuse | trap [default: refuse]
      --report <FILE|fd:N>      outcome as JSON
      --explain                 say what was checked, on stderr

Exit codes: the guest's own; 123 out of fuel, 124 another limit (time, memory, output),
  125 refused or bls-load failed, 134 trap. --report tells them apart.
Examples:
  bls-load app.bls arg1 --flag-for-guest
  bls-load --dir ./data --fuel 1000000000 app.bls
  bls-load --trust builder.pub verify app.bls
";

/// What `--version` prints.
pub(crate) fn version() -> String {
    format!(
        "bls-load {} (wasmtime {}, artifact format {}, fuel model {})",
        env!("CARGO_PKG_VERSION"),
        target::ENGINE_RELEASE,
        artifact::FORMAT_VERSION,
        fuel::MODEL
    )
}

/// A command line that makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsageError {
    what: String,
    hint: &'static str,
}

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl StageError for UsageError {
    const STAGE: &'static str = "usage";

    fn hint(&self) -> Option<String> {
        Some(self.hint.to_owned())
    }
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Verify, map and run.
    Run(Box<Options>),
    /// Verify only, all of it.
    Verify(Box<Options>),
    /// Trust the key in this file.
    TrustAdd(PathBuf),
    /// Print who is trusted.
    TrustList(Option<PathBuf>),
    /// Print this text.
    Print(String),
}

/// A folder to grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) host: PathBuf,
    pub(crate) guest: OsString,
    pub(crate) read_only: bool,
}

/// What happens with imports that no host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum UnknownImports {
    /// The guest does not start.
    #[default]
    Refuse,
    /// The guest starts, and traps when it calls one.
    Trap,
}

/// Where the report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReportTarget {
    File(PathBuf),
    Descriptor(i32),
}

/// Everything about one artifact.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) artifact: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) folders: Vec<Folder>,
    /// Names, and values where they are given.
    pub(crate) variables: Vec<(OsString, Option<OsString>)>,
    pub(crate) fuel: Option<u64>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) memory_max: Option<u64>,
    pub(crate) stack_max: usize,
    pub(crate) trust: Option<PathBuf>,
    pub(crate) digest: Option<Sha256>,
    pub(crate) invoke: Option<String>,
    pub(crate) unknown_imports: UnknownImports,
    pub(crate) report: Option<ReportTarget>,
    pub(crate) explain: bool,
}

impl Options {
    fn new() -> Self {
        Self {
            artifact: PathBuf::new(),
            arguments: Vec::new(),
            folders: Vec::new(),
            variables: Vec::new(),
            fuel: None,
            timeout: None,
            memory_max: None,
            stack_max: STACK_BYTES_DEFAULT as usize,
            trust: None,
            digest: None,
            invoke: None,
            unknown_imports: UnknownImports::Refuse,
            report: None,
            explain: false,
        }
    }
}

/// Reads the words after the program's name.
pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(words);
    let mut options = Options::new();
    // The last option that means nothing without a run.
    let mut run_only: Option<String> = None;
    let mut verify = false;
    loop {
        let Some(argument) = parser.next().map_err(malformed)? else {
            return Err(usage("no artifact is named"));
        };
        let name = match argument {
            Arg::Short('h') => return Ok(Command::Print(HELP.to_owned())),
            Arg::Short('V') => return Ok(Command::Print(version() + "\n")),
            Arg::Long(name) => name.to_owned(),
            Arg::Value(word) if verify => {
                options.artifact = word.into();
                if let Some(extra) = parser.next().map_err(malformed)? {
                    return Err(usage(&format!(
                        "{} after the artifact: verify runs nothing",
                        show(&extra)
                    )));
                }
                return match run_only {
                    Some(option) => Err(usage(&format!("--{option} means nothing to verify"))),
                    None => Ok(Command::Verify(Box::new(options))),
                };
            }
            Arg::Value(word) if word == "verify" => {
                verify = true;
                continue;
            }
            Arg::Value(word) if word == "trust" => return parse_trust(&mut parser, options.trust),
            Arg::Value(word) => {
                options.artifact = word.into();
                options.arguments = parser.raw_args().map_err(malformed)?.collect();
                return Ok(Command::Run(Box::new(options)));
            }
            other => return Err(malformed(other.unexpected())),
        };
        match name.as_str() {
            "help" => return Ok(Command::Print(HELP.to_owned())),
            "version" => return Ok(Command::Print(version() + "\n")),
            "trust" => options.trust = Some(parser.value().map_err(malformed)?.into()),
            "digest" => options.digest = Some(digest(&text(&mut parser, "digest")?)?),
            "explain" => options.explain = true,
            _ => {
                run_option(&name, &mut options, &mut parser)?;
                run_only = Some(name);
            }
        }
    }
}

/// One option that only a run has.
fn run_option(name: &str, options: &mut Options, parser: &mut Parser) -> Result<(), UsageError> {
    match name {
        "dir" | "dir-ro" => {
            let value = parser.value().map_err(malformed)?;
            options.folders.push(folder(&value, name == "dir-ro")?);
        }
        "env" => options.variables.push(variable(&parser.value().map_err(malformed)?)?),
        "fuel" => options.fuel = Some(budget(&text(parser, name)?)?),
        "timeout" => {
            let time = quantity::parse_time(&text(parser, name)?);
            options.timeout = Some(time.map_err(|what| usage(&format!("--timeout: {what}")))?);
        }
        "max-memory" => options.memory_max = Some(size(parser, name)?),
        "max-stack" => {
            let bytes = size(parser, name)?;
            if !(STACK_BYTES_MIN..=STACK_BYTES_MAX).contains(&bytes) {
                return Err(usage("--max-stack takes 16KiB to 256MiB"));
            }
            options.stack_max = bytes as usize;
        }
        "invoke" => options.invoke = Some(text(parser, name)?),
        "unknown-imports" => {
            options.unknown_imports = match text(parser, name)?.as_str() {
                "refuse" => UnknownImports::Refuse,
                "trap" => UnknownImports::Trap,
                other => {
                    return Err(usage(&format!(
                        "--unknown-imports takes refuse or trap, not {other:?}"
                    )));
                }
            };
        }
        "report" => options.report = Some(report(parser.value().map_err(malformed)?)?),
        _ => return Err(usage(&format!("there is no option --{name}"))),
    }
    Ok(())
}

fn parse_trust(parser: &mut Parser, file: Option<PathBuf>) -> Result<Command, UsageError> {
    const HINT: &str = "bls-load trust add KEY.pub, or bls-load trust list";
    let wrong = |what: String| UsageError { what, hint: HINT };
    let words: Vec<OsString> = parser.raw_args().map_err(malformed)?.collect();
    let words: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
    match words.as_slice() {
        [word] if *word == "--help" || *word == "-h" => Ok(Command::Print(HELP.to_owned())),
        [word] if *word == "list" => Ok(Command::TrustList(file)),
        [word, key] if *word == "add" && file.is_none() => Ok(Command::TrustAdd(key.into())),
        [word, _] if *word == "add" => {
            Err(wrong("trust add writes your own trust file; --trust does not change which".into()))
        }
        [word] if *word == "add" => Err(wrong("trust add needs the file of a public key".into())),
        [] => Err(wrong("trust needs to know what to do".into())),
        [word, ..] => Err(wrong(format!("trust does not understand {}", word.display()))),
    }
}

const HELP_HINT: &str = "bls-load --help";

fn usage(what: &str) -> UsageError {
    UsageError { what: what.to_owned(), hint: HELP_HINT }
}

fn malformed(error: lexopt::Error) -> UsageError {
    match error {
        lexopt::Error::MissingValue { option: Some(option) } => {
            usage(&format!("{option} needs a value"))
        }
        lexopt::Error::UnexpectedOption(option) => usage(&format!("there is no option {option}")),
        other => usage(&other.to_string()),
    }
}

fn show(argument: &Arg<'_>) -> String {
    match argument {
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Long(name) => format!("--{name}"),
        Arg::Value(word) => word.display().to_string(),
    }
}

/// The value of an option that is words, not bytes.
fn text(parser: &mut Parser, option: &str) -> Result<String, UsageError> {
    let value = parser.value().map_err(malformed)?;
    value.into_string().map_err(|_| usage(&format!("--{option}: the value is not UTF-8")))
}

fn size(parser: &mut Parser, option: &str) -> Result<u64, UsageError> {
    quantity::parse_size(&text(parser, option)?)
        .map_err(|what| usage(&format!("--{option}: {what}")))
}

fn budget(value: &str) -> Result<u64, UsageError> {
    let number: u64 = value
        .parse()
        .map_err(|_| usage(&format!("--fuel takes a number of units, not {value:?}")))?;
    if number > fuel::BUDGET_MAX {
        return Err(usage(&format!("--fuel takes at most {} units", fuel::BUDGET_MAX)));
    }
    Ok(number)
}

fn digest(value: &str) -> Result<Sha256, UsageError> {
    value.strip_prefix("sha256:").and_then(Sha256::from_hex).ok_or_else(|| UsageError {
        what: "--digest takes sha256: and 64 lower-case hex digits".into(),
        hint: "sha256sum app.bls prints them",
    })
}

/// `HOST` or `HOST::GUEST`.
fn folder(value: &OsStr, read_only: bool) -> Result<Folder, UsageError> {
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
    Ok(Folder { host: own(host).into(), guest: own(guest), read_only })
}

/// `K` or `K=V`.
fn variable(value: &OsStr) -> Result<(OsString, Option<OsString>), UsageError> {
    let bytes = value.as_bytes();
    let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let (name, content) = match bytes.iter().position(|byte| *byte == b'=') {
        Some(position) => (&bytes[..position], Some(own(&bytes[position + 1..]))),
        None => (bytes, None),
    };
    if name.is_empty() {
        return Err(usage("--env takes NAME or NAME=VALUE"));
    }
    Ok((own(name), content))
}

fn report(value: OsString) -> Result<ReportTarget, UsageError> {
    match value.to_str().and_then(|text| text.strip_prefix("fd:")) {
        None => Ok(ReportTarget::File(value.into())),
        Some(number) => match number.parse() {
            Ok(number) if number >= 0 => Ok(ReportTarget::Descriptor(number)),
            _ => Err(usage("--report fd:N takes the number of an open descriptor")),
        },
    }
}

#[cfg(test)]
mod tests;
