//! The program around the pipeline: one file for each subcommand.
//!
//! What fails says `bls-compile: <stage>: <what>` on standard error, and a
//! `hint:` line where there is something to do about it. Exit codes: 0 done, 1
//! refused or failed, 2 usage.

mod audit;
mod check;
mod compile;
mod inspect;
mod key;
mod sign;
mod trust;
mod verify;

use crate::cli::{Cli, Command};
use crate::documents::DocumentError;
use crate::given::GivenError;
use crate::input::InputError;
use crate::keystore::{self, KeySource, KeyStoreError, SigningKey};
use crate::needs::NeedsError;
use crate::output::OutputError;
use crate::pipeline;
use bls_artifact::target::Target;
use clap::Parser as _;
use clap::error::ErrorKind;
use std::io::Write as _;
use std::process::ExitCode;

/// What is said when something fails.
#[derive(Debug)]
struct Failure {
    stage: &'static str,
    what: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// Refused or failed: exit code 1.
    fn new(stage: &'static str, what: impl ToString, hint: Option<String>) -> Self {
        Self { stage, what: what.to_string(), hint, code: 1 }
    }

    /// A command line that makes no sense: exit code 2.
    fn usage(what: impl ToString, hint: Option<String>) -> Self {
        Self { stage: "usage", what: what.to_string(), hint, code: 2 }
    }

    fn report(&self) -> ExitCode {
        say(&format!("bls-compile: {}: {}", self.stage, self.what));
        if let Some(hint) = &self.hint {
            say(&format!("hint: {hint}"));
        }
        ExitCode::from(self.code)
    }
}

impl From<pipeline::Error> for Failure {
    fn from(error: pipeline::Error) -> Self {
        Self::new(error.stage(), &error, error.hint())
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        pipeline::Error::Input(error).into()
    }
}

impl From<NeedsError> for Failure {
    fn from(error: NeedsError) -> Self {
        pipeline::Error::Needs(error).into()
    }
}

impl From<KeyStoreError> for Failure {
    fn from(error: KeyStoreError) -> Self {
        Self::new("key", &error, error.hint())
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        Self::new("documents", &error, Some(error.hint().to_owned()))
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        Self::new("output", &error, error.hint())
    }
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            return match print(&error.render().to_string()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => failure.report(),
            };
        }
        Err(error) => return usage(&error).report(),
    };
    let result = match &cli.command {
        None => compile::run(&cli.compile),
        Some(Command::Check(arguments)) => check::run(arguments),
        Some(Command::Audit(arguments)) => audit::run(arguments),
        Some(Command::Inspect(arguments)) => inspect::run(arguments),
        Some(Command::Sign(arguments)) => sign::run(arguments),
        Some(Command::Verify(arguments)) => verify::run(arguments),
        Some(Command::Key(arguments)) => key::run(arguments),
        Some(Command::Trust(arguments)) => trust::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Puts clap's words into ours.
fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut what = Vec::new();
    let mut hint = None;
    for line in text.lines().map(str::trim) {
        if let Some(tip) = line.strip_prefix("tip: ") {
            hint = hint.or(Some(tip.to_owned()));
        } else if line.starts_with("Usage:") {
            break;
        } else if !line.is_empty() && !line.starts_with("For more information") {
            what.push(line.strip_prefix("error: ").unwrap_or(line));
        }
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        what = vec!["something is missing"];
    }
    Failure::usage(what.join(" "), hint.or(Some("see bls-compile --help".to_owned())))
}

/// Says something on standard error. Nobody is left to be told when that is
/// closed, and the work is no worse for it.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints on standard output; a reader that went away is no reason to panic.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| OutputError::Stdout(error).into())
}

/// Prints JSON on standard output.
fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}

/// What a stage says of a file that is no artifact.
fn artifact_error(stage: &'static str) -> impl Fn(GivenError) -> Failure {
    move |error| Failure::new(stage, &error, Some(error.hint().to_owned()))
}

/// Opens the signing key that was asked for; says so when it was made just now.
fn open_key(value: Option<&str>, quiet: bool) -> Result<SigningKey, Failure> {
    let signing = keystore::open(&value.map_or(KeySource::Default, KeySource::parse))?;
    if let (Some(made), false) = (&signing.made, quiet) {
        say(&made.to_string());
    }
    Ok(signing)
}

/// The targets that were asked for, or this system's.
fn targets(given: &[Target]) -> Result<Vec<Target>, Failure> {
    if given.is_empty() {
        let host = Target::host().ok_or_else(|| {
            Failure::usage(
                "this system has no native target",
                Some("--target pulley64 runs on any 64-bit CPU".to_owned()),
            )
        })?;
        return Ok(vec![host]);
    }
    let mut targets = given.to_vec();
    targets.sort_unstable();
    targets.dedup();
    Ok(targets)
}
