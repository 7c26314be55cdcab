//! The command line: what was asked for, checked for form.
//!
//! Guarantees that a [`Command`] is one that can be carried out as far as words
//! go: numbers are in range, options fit the command. Everything after ARTIFACT
//! is the guest's, byte for byte. Does not look at files or the environment.

use crate::error::StageError;
use crate::host::Determinism;
use bls_artifact::capability::Capability;
use bls_artifact::digest::Sha256;
use bls_artifact::limits::{DESCRIPTORS_MAX, DESCRIPTORS_MIN, STACK_BYTES_MAX, STACK_BYTES_MIN};
use bls_artifact::policy::Requirement;
use bls_artifact::{artifact, fuel, quantity, target};
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
pub(crate) use values::{Folder, Input, ReportTarget, UnknownImports};
use values::{
    budget, capabilities, digest, folder, input, number, report, size, text, unknown_imports,
    variable,
};

mod values;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Verify, map and run an artifact.

Usage: bls-load [OPTIONS] <ARTIFACT> [ARGS]...
       bls-load verify [OPTIONS] <ARTIFACT>
       bls-load trust <add|list> ...

Everything after ARTIFACT belongs to the guest.
Granted by default: arguments, stdin, stdout, stderr, clocks, random.

Grants
      --dir <HOST[::GUEST]>     grant a folder
      --dir-ro <HOST[::GUEST]>  the same, read-only
      --env <K[=V]>             grant a variable
      --stdin <FROM>            inherit | null | text:WORDS | FILE [default: inherit]
      --deny <CAPABILITY>       take one of the defaults away: random, clock.wall
      --only-declared           grant nothing that the artifact does not say it needs
      --policy <FILE>           policy, beside /etc/bls/policy.json where that exists
Limits
      --fuel <N>                stop after N units [default: count only]
      --timeout <TIME>          such as 500ms, 2s [default: none]
      --max-memory <SIZE>       memories, tables and objects together [default: 1GiB]
      --max-stack <SIZE>        [default: 1MiB]
      --max-output <SIZE>       written, over all files [default: none]
      --max-descriptors <N>     open at once [default: 1024]
Trust
      --trust <FILE>            trust file or public key
      --digest <sha256:HEX>     run only this exact file
      --require-fuel            run it only if it is metered
      --require-deterministic   run it only if no CPU changes its results
The run
      --invoke <EXPORT>         call this export; ARGS are its arguments
      --deterministic           clocks, randomness and listings by rule, not by chance
      --seed <N>                of that randomness [default: 0]
      --epoch <SECONDS>         when those clocks begin [default: 1600000000, September 2020]
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

    fn code(&self) -> &'static str {
        "usage.words"
    }

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
    pub(crate) stack_max: Option<u64>,
    pub(crate) output_max: Option<u64>,
    pub(crate) descriptors_max: Option<u64>,
    pub(crate) stdin: Input,
    pub(crate) denied: Vec<Capability>,
    pub(crate) require: Vec<Requirement>,
    pub(crate) policy: Option<PathBuf>,
    pub(crate) determinism: Option<Determinism>,
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
            stack_max: None,
            output_max: None,
            descriptors_max: None,
            stdin: Input::Inherit,
            denied: Vec::new(),
            require: Vec::new(),
            policy: None,
            determinism: None,
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
    let (mut deterministic, mut seed, mut epoch) = (false, None, None);
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
                options.determinism = determinism(deterministic, seed, epoch)?;
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
                match name.as_str() {
                    "deterministic" => deterministic = true,
                    "seed" => seed = Some(number(&mut parser, &name)?),
                    "epoch" => epoch = Some(number(&mut parser, &name)?),
                    _ => run_option(&name, &mut options, &mut parser)?,
                }
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
            options.stack_max = Some(bytes);
        }
        "max-output" => options.output_max = Some(size(parser, name)?),
        "max-descriptors" => {
            let count = number(parser, name)?;
            if !(u64::from(DESCRIPTORS_MIN)..=u64::from(DESCRIPTORS_MAX)).contains(&count) {
                return Err(usage("--max-descriptors takes 3 to 1048576"));
            }
            options.descriptors_max = Some(count);
        }
        "stdin" => options.stdin = input(parser.value().map_err(malformed)?),
        "deny" => options.denied.extend(capabilities(&text(parser, name)?)?),
        "only-declared" => options.require.push(Requirement::OnlyDeclared),
        "require-fuel" => options.require.push(Requirement::Fuel),
        "require-deterministic" => options.require.push(Requirement::Deterministic),
        "policy" => options.policy = Some(parser.value().map_err(malformed)?.into()),
        "invoke" => options.invoke = Some(text(parser, name)?),
        "unknown-imports" => options.unknown_imports = unknown_imports(&text(parser, name)?)?,
        "report" => options.report = Some(report(parser.value().map_err(malformed)?)?),
        _ => return Err(usage(&format!("there is no option --{name}"))),
    }
    Ok(())
}

/// `--deterministic` with what belongs to it.
fn determinism(
    on: bool,
    seed: Option<u64>,
    epoch: Option<u64>,
) -> Result<Option<Determinism>, UsageError> {
    /// 2020-09-13T12:26:40Z: late enough for programs that doubt an early clock.
    const EPOCH_DEFAULT: u64 = 1_600_000_000;
    /// The last second whose nanoseconds fit what a guest reads.
    const EPOCH_MAX: u64 = u64::MAX / 1_000_000_000 / 2;
    if !on && (seed.is_some() || epoch.is_some()) {
        return Err(usage("--seed and --epoch mean nothing without --deterministic"));
    }
    let epoch = epoch.unwrap_or(EPOCH_DEFAULT);
    if epoch > EPOCH_MAX {
        return Err(usage(&format!("--epoch takes at most {EPOCH_MAX} seconds")));
    }
    Ok(on.then_some(Determinism { seed: seed.unwrap_or(0), epoch_seconds: epoch }))
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

#[cfg(test)]
mod tests;
