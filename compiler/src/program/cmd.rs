//! The program around the pipeline: one file for each subcommand.
//!
//! What fails says `bls-compile: <stage>: <what>` on standard error, with the place in the
//! source below it where there is one to be shown; a `hint:` line where there is something
//! to do about it; and a `code:` line with the name that stays the same when words change
//! (SECURITY.md, "Refusals"). Exit codes: 0 done, 1 refused or failed, 2 usage.

mod audit;
mod check;
mod compile;
mod cpu;
mod delta;
mod inspect;
mod key;
mod key_of;
mod link;
mod many;
mod obtain;
mod registry;
mod run;
mod sign;
mod strip;
mod symbolize;
mod trust;
mod verify;

use crate::child::ChildError;
use crate::documents::DocumentError;
use crate::given::GivenError;
use crate::input::InputError;
use crate::needs::NeedsError;
use crate::pipeline;
use crate::program::cli::{Cli, Command, Compile};
use crate::program::keystore::{self, KeyStoreError, SigningKey, Wanted};
use crate::program::modules::ModulesError;
use crate::program::output::OutputError;
use crate::program::signer::SignerError;
use bls_artifact::nearest::nearest;
use bls_artifact::options::{self, Takes};
use bls_artifact::text::{printable, printable_json, printable_lines};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// What is said when something fails.
#[derive(Debug)]
struct Failure {
    stage: &'static str,
    /// The name of the defect.
    code: &'static str,
    what: String,
    /// Lines that show the place; each stands behind a margin, so that none looks like ours.
    excerpt: Vec<String>,
    hint: Option<String>,
}

/// The stage of a command line that makes no sense.
const USAGE: &str = "usage";

impl Failure {
    /// Refused or failed: exit code 1.
    fn new(
        stage: &'static str,
        code: &'static str,
        what: impl ToString,
        hint: Option<String>,
    ) -> Self {
        Self { stage, code, what: what.to_string(), excerpt: Vec::new(), hint }
    }

    /// A command line that makes no sense: exit code 2.
    fn usage(what: impl ToString, hint: Option<String>) -> Self {
        Self {
            stage: USAGE,
            code: "usage.arguments",
            what: what.to_string(),
            excerpt: Vec::new(),
            hint,
        }
    }

    /// Everything that is said of it.
    fn text(&self) -> String {
        let mut text = format!("bls-compile: {}: {}", self.stage, printable(&self.what));
        for line in &self.excerpt {
            text += &format!("\n  {}", printable(line));
        }
        if let Some(hint) = &self.hint {
            text += &format!("\nhint: {}", printable(hint));
        }
        format!("{text}\ncode: {}", self.code)
    }

    fn report(&self) -> ExitCode {
        say(&self.text());
        ExitCode::from(if self.stage == USAGE { 2 } else { 1 })
    }

    /// The same, of one input among several.
    fn about(mut self, input: &Path) -> Self {
        let input = input.display().to_string();
        if !self.what.contains(&input) {
            self.what = format!("{input}: {}", self.what);
        }
        self
    }

    /// The same for a program that asked for JSON.
    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "stage": self.stage,
            "code": self.code,
            "error": self.what,
            "hint": self.hint,
        })
    }
}

impl From<pipeline::Error> for Failure {
    fn from(error: pipeline::Error) -> Self {
        let excerpt = error.excerpt().to_vec();
        Self { excerpt, ..Self::new(error.stage(), error.code(), &error, error.hint()) }
    }
}

impl From<ChildError> for Failure {
    fn from(error: ChildError) -> Self {
        let excerpt = error.excerpt().to_vec();
        Self { excerpt, ..Self::new(error.stage(), error.code(), &error, error.hint()) }
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        pipeline::Error::Input(error).into()
    }
}

impl From<ModulesError> for Failure {
    fn from(error: ModulesError) -> Self {
        match error {
            ModulesError::Input(error) => error.into(),
            error => Self::new(error.stage(), error.code(), &error, error.hint()),
        }
    }
}

impl From<NeedsError> for Failure {
    fn from(error: NeedsError) -> Self {
        pipeline::Error::Needs(error).into()
    }
}

impl From<KeyStoreError> for Failure {
    fn from(error: KeyStoreError) -> Self {
        Self::new("key", error.code(), &error, error.hint())
    }
}

impl From<SignerError> for Failure {
    fn from(error: SignerError) -> Self {
        Self::new("sign", error.code(), &error, Some(error.hint()))
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        Self::new("documents", error.code(), &error, Some(error.hint().to_owned()))
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        Self::new("output", error.code(), &error, error.hint())
    }
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    crate::sys::fail_at_size_limit();
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if let Err(failure) = help_first(&mut words) {
        return failure.report();
    }
    let parsed = Cli::command().try_get_matches_from(words);
    let read = parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match read {
        Ok(read) => read,
        Err(error) if !error.use_stderr() => {
            return match print(&error.render().to_string()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => failure.report(),
            };
        }
        Err(error) => return usage(&error).report(),
    };
    let result = match &cli.command {
        None => {
            let compiled = mistaken(&cli.compile).and_then(|()| compile::run(&cli.compile));
            // Of many each has its own line.
            or_json(cli.compile.build.json && !many::is_many(&cli.compile), compiled)
        }
        Some(Command::KeyOf(arguments)) => {
            or_json(arguments.compile.build.json, key_of::run(arguments))
        }
        Some(Command::Link(arguments)) => {
            // It was read of them.
            let matches = matches.subcommand_matches("link").unwrap_or(&matches);
            or_json(arguments.build.json, link::run(arguments, matches))
        }
        Some(Command::Run(arguments)) => run::run(&arguments.words),
        Some(Command::Push(arguments)) => registry::push(&arguments.words),
        Some(Command::Image(arguments)) => registry::hand_over("image", &arguments.words),
        Some(Command::Check(arguments)) => check::run(arguments),
        Some(Command::Audit(arguments)) => audit::run(arguments),
        Some(Command::Inspect(arguments)) => or_json(arguments.json, inspect::run(arguments)),
        Some(Command::Sign(arguments)) => sign::run(arguments),
        Some(Command::Strip(arguments)) => or_json(arguments.json, strip::run(arguments)),
        Some(Command::Verify(arguments)) => verify::run(arguments),
        Some(Command::Delta(arguments)) => or_json(arguments.json, delta::run(arguments)),
        Some(Command::Symbolize(arguments)) => symbolize::run(arguments),
        Some(Command::Key(arguments)) => key::run(arguments),
        Some(Command::Trust(arguments)) => trust::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// `help` and `help COMMAND` are other words for `--help` and `COMMAND --help`.
fn help_first(words: &mut Vec<OsString>) -> Result<(), Failure> {
    if words.get(1).is_none_or(|word| word != "help") {
        return Ok(());
    }
    match words.get(2).map(|word| word.to_string_lossy().into_owned()) {
        None => words[1] = "--help".into(),
        Some(command) if is_command(&command) => {
            words.truncate(1);
            words.extend([command.into(), "--help".into()]);
        }
        Some(word) => {
            let near = nearest_command(&word);
            return Err(Failure::usage(
                format!("there is no command {word:?}"),
                Some(near.map_or("see bls-compile --help".to_owned(), |near| {
                    format!("did you mean bls-compile help {near}?")
                })),
            ));
        }
    }
    Ok(())
}

/// The command that a word may have been meant for.
fn nearest_command(word: &str) -> Option<String> {
    let cli = Cli::command();
    nearest(word, cli.get_subcommands().map(|command| command.get_name())).map(str::to_owned)
}

/// A program that asked for JSON reads what failed there, too.
fn or_json(json: bool, result: Result<(), Failure>) -> Result<(), Failure> {
    if let (true, Err(failure)) = (json, &result) {
        print_json(&failure.json())?;
    }
    result
}

/// Puts clap's words into ours.
fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut help = "bls-compile --help".to_owned();
    let mut what = Vec::new();
    let mut hint = None;
    for line in text.lines().map(str::trim) {
        if let Some(tip) = line.strip_prefix("tip: ") {
            // The way to name a file like an option leads no one who wanted an option.
            if !tip.contains("as a value") {
                hint = hint.or(Some(tip.to_owned()));
            }
        } else if let Some(usage) = line.strip_prefix("Usage: bls-compile ") {
            let verb = usage.split_whitespace().next().filter(|word| is_command(word));
            help = verb.map_or(help, |verb| format!("bls-compile {verb} --help"));
            break;
        } else if !line.is_empty() && !line.starts_with("For more information") {
            what.push(line.strip_prefix("error: ").unwrap_or(line));
        }
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        what = vec!["something is missing"];
    }
    if let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg)
        && matches!(option.as_str(), "-v" | "--verbose")
    {
        return Failure::usage(
            format!("there is no {option}"),
            Some("--version says which release this is, --json what was done".to_owned()),
        );
    }
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg)
        && let Some(failure) = option_of_running(option)
    {
        return failure;
    }
    Failure::usage(what.join(" "), hint.or(Some(format!("see {help}"))))
}

/// Several words of which the first is no file, and may have been meant for a command.
fn mistaken(arguments: &Compile) -> Result<(), Failure> {
    let [first, _, ..] = &arguments.inputs[..] else { return Ok(()) };
    let word = first.to_string_lossy();
    if word.contains(['/', '.']) || first.exists() {
        return Ok(());
    }
    let hint = match (options::loader_command(&word), nearest_command(&word)) {
        (Some(words), _) => format!("{word} is a command of bls-load: {words}"),
        _ if word == "compile" => "to compile is what it does without a command: bls-compile app.wasm".to_owned(),
        (_, Some(near)) if near != word => format!("if a command was meant: bls-compile help {near}"),
        (_, Some(_)) => "a command stands before its options: bls-compile check --json app.wasm".to_owned(),
        _ => "bls-compile app.wasm -o app.bls; bls-compile check --json app.wasm; a level is joined: --compress=3".to_owned(),
    };
    Err(Failure::usage(format!("there is no file {word:?} to be compiled"), Some(hint)))
}

/// What is said of an option that bls-load has, and this program has not.
fn option_of_running(option: &str) -> Option<Failure> {
    let name = option.trim_start_matches('-').split('=').next().unwrap_or_default();
    let value = match options::takes(name) {
        Some(Takes::Value) => " VALUE",
        Some(_) => "",
        None if name == options::FILE_ONLY => {
            return Some(Failure::usage(
                format!("--{name} is an option of running, not of compiling"),
                Some(format!("bls-load --{name} VALUE app.bls")),
            ));
        }
        None => return None,
    };
    Some(Failure::usage(
        format!("--{name} is an option of running, not of compiling"),
        Some(format!(
            "bls-compile run --{name}{value} app.wasm compiles and runs; bls-load --{name}{value} app.bls runs what was compiled"
        )),
    ))
}

fn is_command(word: &str) -> bool {
    Cli::command().find_subcommand(word).is_some()
}

/// Says something on standard error. Nobody is left to be told when that is
/// closed, and the work is no worse for it. Foreign text in it has gone through
/// [`printable`]; whatever has not reaches no terminal as it is, but could begin a line.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable_lines(text));
}

/// Prints on standard output; a reader that went away is no reason to panic. Foreign text
/// in it has gone through [`printable`], as for [`say`].
fn print(text: &str) -> Result<(), Failure> {
    if crate::sys::stdout_was_closed() {
        return Err(OutputError::Closed.into());
    }
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(printable_lines(text).as_bytes()).and_then(|()| stdout.flush()) {
        // It has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| OutputError::Stdout(error).into()),
    }
}

/// Prints JSON on standard output.
fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&printable_json(&format!("{value:#}\n")))
}

/// What a stage says of a file that is no artifact.
fn artifact_error(stage: &'static str) -> impl Fn(GivenError) -> Failure {
    move |error| Failure::new(stage, error.code(), &error, Some(error.hint().to_owned()))
}

/// Opens the signing key that was asked for; says so when it was made just now.
fn open_key(wanted: &Wanted, quiet: bool) -> Result<SigningKey, Failure> {
    let signing = keystore::open(wanted)?;
    if let (Some(made), false) = (&signing.made, quiet) {
        say(&made.to_string());
    }
    Ok(signing)
}
