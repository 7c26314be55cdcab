//! The command line: what was asked for, checked for form.
//!
//! Guarantees that a [`Command`] is one that can be carried out as far as words
//! go: numbers are in range, options fit the command. Everything after ARTIFACT
//! is the guest's, byte for byte. Does not look at files or the environment.

use crate::error::StageError;
use crate::host::Determinism;
use crate::program::manner::Manner;
use crate::request::Request;
use crate::store::Wanted;
pub(crate) use about::Binfmt;
use about::Verb;
pub(crate) use account::AccountOptions;
use bls_artifact::config::Stream;
use bls_artifact::cpu::Machine;
use bls_artifact::digest::Sha256;
use bls_artifact::limits::{DESCRIPTORS_MAX, DESCRIPTORS_MIN, STACK_BYTES_MAX, STACK_BYTES_MIN};
use bls_artifact::name::is_name;
use bls_artifact::policy::{Log, LogLevel, Requirement};
use bls_artifact::{artifact, fuel, options, quantity, target};
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
pub(crate) use trust::Trust;
pub(crate) use values::{Input, ReportTarget};
use values::{
    budget, capabilities, count, digest, folder, input, log, log_level, machine, number, report,
    size, text, unknown_imports, variable,
};

mod about;
mod account;
mod beyond;
pub(crate) mod help;
mod trust;
mod values;

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

/// The word for standard input, where a file is named.
pub(crate) const STDIN: &str = "-";
/// So many digits of an identity stand for it.
const IDENTITY_DIGITS_MIN: usize = 8;

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
    /// Verify everything that is installed.
    VerifyAll(Box<Options>),
    /// Install these files, or say what would be done.
    Install {
        /// Whom to trust, and where to.
        options: Box<Options>,
        /// The files; `-` is standard input.
        files: Vec<PathBuf>,
        /// Whether nothing is written.
        dry: bool,
    },
    /// Make a name mean an earlier release, or say what would be done.
    Rollback {
        /// Whom to trust, and in which store.
        options: Box<Options>,
        /// The name.
        name: String,
        /// Which release, where it is said.
        to: Option<Wanted>,
        /// Whether nothing is written.
        dry: bool,
    },
    /// Print what is installed, as JSON or not.
    List(Option<PathBuf>, bool),
    /// Fetch from a registry, and install.
    Pull {
        /// Whom to trust, where to, and how the registry is spoken with.
        options: Box<Options>,
        /// What is to be fetched.
        reference: String,
        /// Whether nothing is written.
        dry: bool,
    },
    /// Remove something that is installed.
    Remove(Option<PathBuf>, Wanted),
    /// Remove what no name refers to.
    Collect(Option<PathBuf>),
    /// Print the line by which the kernel runs artifacts, or register it.
    Binfmt(Binfmt),
    /// Change, show or accept a trust file.
    Trust(Box<Trust>),
    /// Become bls-broker, with these words.
    Extensions(Vec<OsString>),
    /// Become bls-account, with these words.
    VerifyReceipt(Vec<OsString>),
    /// What the network's runtime does with these words.
    Node(Vec<OsString>),
    /// Print this text.
    Print(String),
}

/// What to run or to verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Artifact {
    /// A file.
    File(PathBuf),
    /// A file that the kernel opened, as this descriptor, to have it run.
    Executed(PathBuf, RawFd),
    /// Something in a store.
    Installed(Wanted),
    /// Something in a registry, as bls-registry reads it.
    Registry(String),
}

/// What begins a reference to a registry.
const REGISTRY: &[u8] = b"oci://";

impl Artifact {
    /// What a word means: a file where it holds a `/` or ends as files do, whatever files
    /// there are. Modules are files too: so they are refused as what they are.
    pub(crate) fn from_word(word: OsString) -> Result<Self, UsageError> {
        const FILES: [&[u8]; 4] = [b".bls", b".wasm", b".wat", b".json"];
        let bytes = word.as_bytes();
        if bytes.starts_with(REGISTRY) {
            return reference(&word).map(Self::Registry);
        }
        if word == STDIN || bytes.contains(&b'/') || FILES.iter().any(|end| bytes.ends_with(end)) {
            return Ok(Self::File(word.into()));
        }
        wanted(&word).map(Self::Installed)
    }
}

/// A reference to a registry. Its form is bls-registry's to judge.
fn reference(word: &OsStr) -> Result<String, UsageError> {
    let text = word.to_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| usage(&format!("{} is no reference", word.display())))
}

/// A name or an identity.
fn wanted(word: &OsStr) -> Result<Wanted, UsageError> {
    let text = word.to_string_lossy();
    let short = text.strip_prefix("sha256:").filter(|digits| {
        (IDENTITY_DIGITS_MIN..64).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
    });
    if let Some(digits) = short {
        return Ok(Wanted::Short(digits.to_owned()));
    }
    if text.starts_with("sha256:") {
        return digest(&text).map(Wanted::Identity).map_err(|_| UsageError {
            what: format!("{text} is no identity"),
            hint: "sha256: and 8 to 64 lower-case hex digits: bls-load list shows them",
        });
    }
    if is_name(&text) {
        return Ok(Wanted::Name(text.into_owned()));
    }
    if let Some(words) = options::compiler_command(&text) {
        return Err(UsageError { what: help::of_the_compiler(&text), hint: words });
    }
    Err(UsageError {
        what: format!("{text:?} is no name of anything that is installed"),
        hint: "a file is named with a /, such as ./app, or ends in .bls",
    })
}

/// Everything about one artifact.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) artifact: Artifact,
    pub(crate) store: Option<PathBuf>,
    pub(crate) clock_unset: bool,
    /// What is asked for the guest.
    pub(crate) request: Request,
    /// What `--argv0` says, until it is the request's.
    argv0: Option<OsString>,
    pub(crate) stdin: Input,
    pub(crate) policy: Option<PathBuf>,
    pub(crate) trust: Option<PathBuf>,
    pub(crate) digest: Option<Sha256>,
    /// The machine that it is verified or installed for, if it is not this one.
    pub(crate) target: Option<Machine>,
    /// What makes the artifact that is installed out of another one, and that one's file, if it is
    /// not installed.
    pub(crate) delta: Option<PathBuf>,
    pub(crate) base: Option<PathBuf>,
    /// Whether a registry may be spoken with without TLS, wherever it is.
    pub(crate) plain_http: bool,
    pub(crate) report: Option<ReportTarget>,
    pub(crate) account: AccountOptions,
    /// Where it is said what runs and how it ended, and how much of that.
    pub(crate) log_run: Option<Log>,
    pub(crate) log_level: Option<LogLevel>,
    /// Whether fuel by function is shown; in this file, or on stderr.
    pub(crate) fuel_profile: Option<Option<PathBuf>>,
    pub(crate) explain: bool,
    /// What says which lines of the source the code came from.
    pub(crate) debug_file: Option<PathBuf>,
    /// Where it is written what is left of a guest that trapped.
    pub(crate) coredump: Option<PathBuf>,
    /// Whether `perf` is told the names of functions.
    pub(crate) perf_map: bool,
    /// The folder that gets names, code and lines for `perf`.
    pub(crate) jitdump: Option<PathBuf>,
    /// The bls-compile that compiles a module which is not installed, and its key.
    pub(crate) compile_with: Option<PathBuf>,
    pub(crate) compile_key: Option<OsString>,
    /// In whose words it ends.
    pub(crate) manner: Manner,
    /// What the artifact must have been made of.
    pub(crate) source: Option<Sha256>,
    /// Where standard output and standard error go.
    pub(crate) outputs: [Stream; 2],
    /// The folder that is the guest's `/`, where there is one, and the file in it that is told
    /// how the run ended.
    pub(crate) root: Option<PathBuf>,
    pub(crate) log: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            artifact: Artifact::File(PathBuf::new()),
            store: None,
            clock_unset: false,
            request: Request::default(),
            argv0: None,
            stdin: Input::Inherit,
            policy: None,
            trust: None,
            digest: None,
            target: None,
            delta: None,
            base: None,
            plain_http: false,
            report: None,
            account: AccountOptions::default(),
            log_run: None,
            log_level: None,
            fuel_profile: None,
            explain: false,
            debug_file: None,
            coredump: None,
            perf_map: false,
            jitdump: None,
            compile_with: None,
            compile_key: None,
            manner: Manner::Own,
            source: None,
            outputs: [Stream::Inherit, Stream::Inherit],
            root: None,
            log: None,
        }
    }
}

impl Options {
    /// The configuration that is named in the place of an artifact.
    pub(crate) fn config(&self) -> Option<&PathBuf> {
        match &self.artifact {
            Artifact::File(path) => {
                Some(path).filter(|path| path.as_os_str().as_bytes().ends_with(b".json"))
            }
            Artifact::Executed(..) | Artifact::Installed(_) | Artifact::Registry(_) => None,
        }
    }

    /// Takes the words behind the artifact: the guest's arguments; with `--invoke` the values
    /// of the call, and behind a `--` the guest's arguments.
    fn take_words(&mut self, words: Vec<OsString>) {
        let request = &mut self.request;
        request.program = match (self.argv0.take(), &self.artifact) {
            (Some(word), _) => word,
            (None, Artifact::File(path) | Artifact::Executed(path, _)) => {
                path.file_name().unwrap_or_default().to_owned()
            }
            (None, Artifact::Installed(wanted)) => wanted.to_string().into(),
            // The repository's last word.
            (None, Artifact::Registry(reference)) => {
                let place = reference.split('@').next().unwrap_or_default();
                let last = place.rsplit('/').next().unwrap_or_default();
                last.split(':').next().unwrap_or_default().into()
            }
        };
        (request.values, request.arguments) = match &request.invoke {
            None => (Vec::new(), words),
            Some(_) => {
                let mut parts = words.splitn(2, |word| word == "--").map(<[_]>::to_vec);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
        };
    }
}

/// Options as they come, and what has to fit together at the end.
#[derive(Default)]
struct Words {
    options: Options,
    /// What stands in the place of the artifact's name.
    artifact: Option<OsString>,
    /// The last option that means nothing without a run.
    run_only: Option<String>,
    /// The last option that means nothing where nothing is verified.
    judging: Option<String>,
    all: bool,
    json: bool,
    dry: bool,
    /// Whether `--authorities` was given: it is of runs and of registries.
    authorities: bool,
    deterministic: bool,
    seed: Option<u64>,
    epoch: Option<u64>,
}

/// Reads the words after the program's name.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    read(Words::default(), words)
}

/// The same, with options that stand before them, and another word in the place of the
/// artifact.
pub(crate) fn parse_behind(
    options: Vec<OsString>,
    words: Vec<OsString>,
    artifact: OsString,
) -> Result<Command, UsageError> {
    let mut all = Words { artifact: Some(artifact), ..Words::default() };
    let mut parser = Parser::from_args(options);
    while let Some(argument) = parser.next().map_err(malformed)? {
        let Arg::Long(name) = argument else { return Err(malformed(argument.unexpected())) };
        let name = name.to_owned();
        all.option(name, &mut parser)?;
    }
    read(all, words)
}

/// Reads the words that the kernel gives for an artifact which it was told to execute, and has
/// opened: its path, and the guest's arguments.
pub(crate) fn executed(
    descriptor: RawFd,
    words: impl IntoIterator<Item = OsString>,
) -> Result<Options, UsageError> {
    let mut words = words.into_iter();
    let path = words.next().ok_or_else(|| usage("no artifact is named"))?;
    let artifact = Artifact::Executed(path.into(), descriptor);
    let mut options = Options { artifact, ..Options::default() };
    options.take_words(words.collect());
    Ok(options)
}

fn read(mut words: Words, all: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(all);
    let mut is_run = false;
    while let Some(argument) = parser.next().map_err(malformed)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(print(help::HELP)),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Print(version() + "\n")),
            Arg::Long(name) => {
                let name = name.to_owned();
                words.option(name, &mut parser)?;
            }
            Arg::Value(word) if is_run => return words.run(word, &mut parser),
            Arg::Value(word) if word == "run" => is_run = true,
            Arg::Value(word) if word == "help" => return help_about(&mut parser),
            Arg::Value(word) if word == "trust" => {
                return trust::parse(&mut parser, words.options.trust);
            }
            Arg::Value(word) if word == "binfmt" => return about::binfmt(&mut parser),
            Arg::Value(word) if word == "ext" => {
                let words: Vec<OsString> = parser.raw_args().map_err(malformed)?.collect();
                let asks = words.first().is_none_or(|word| word == "--help" || word == "-h");
                return Ok(if asks { print(help::EXT) } else { Command::Extensions(words) });
            }
            Arg::Value(word) if word == "verify-receipt" => {
                let words: Vec<OsString> = parser.raw_args().map_err(malformed)?.collect();
                let asks = words.first().is_none_or(|word| word == "--help" || word == "-h");
                return Ok(if asks { print(help::RECEIPT) } else { Command::VerifyReceipt(words) });
            }
            Arg::Value(word) if word == "node" => {
                let all: Vec<OsString> = parser.raw_args().map_err(malformed)?.collect();
                let asks = all.first().is_some_and(|word| word == "--help" || word == "-h");
                if words.options != Options::default() {
                    return Err(usage("options of node stand behind it"));
                }
                return Ok(if asks { print(help::NODE) } else { Command::Node(all) });
            }
            Arg::Value(word) => {
                return match Verb::from_word(&word) {
                    Some(verb) => words.about(verb, &mut parser),
                    None => words.run(word, &mut parser),
                };
            }
            other => return Err(malformed(other.unexpected())),
        }
    }
    Err(usage("no artifact is named"))
}

fn print(text: &str) -> Command {
    Command::Print(text.to_owned())
}

/// `help`, and what about.
fn help_about(parser: &mut Parser) -> Result<Command, UsageError> {
    let Some(Arg::Value(word)) = parser.next().map_err(malformed)? else {
        return Ok(print(help::HELP));
    };
    let word = word.to_string_lossy();
    if options::compiler_command(&word).is_some() {
        return Err(UsageError {
            what: help::of_the_compiler(&word),
            hint: "bls-compile help says more",
        });
    }
    help::of(&word).map(print).ok_or_else(|| {
        let near = help::nearest_command(&word);
        let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        usage(&format!("there is no command {word:?}{near}"))
    })
}

impl Words {
    fn option(&mut self, name: String, parser: &mut Parser) -> Result<(), UsageError> {
        let options = &mut self.options;
        match name.as_str() {
            "store" => options.store = Some(parser.value().map_err(malformed)?.into()),
            "all" => self.all = true,
            "json" => self.json = true,
            "delta" => options.delta = Some(parser.value().map_err(malformed)?.into()),
            "base" => options.base = Some(parser.value().map_err(malformed)?.into()),
            "dry-run" => self.dry = true,
            "plain-http" => options.plain_http = true,
            "authorities" => {
                run_option(&name, options, parser)?;
                self.authorities = true;
            }
            "trust" | "digest" | "explain" | "clock-unset" | "target" => {
                match name.as_str() {
                    "trust" => options.trust = Some(parser.value().map_err(malformed)?.into()),
                    "digest" => options.digest = Some(digest(&text(parser, "digest")?)?),
                    "explain" => options.explain = true,
                    "target" => options.target = Some(machine(&text(parser, "target")?)?),
                    _ => options.clock_unset = true,
                }
                self.judging = Some(name);
            }
            _ => {
                match name.as_str() {
                    "deterministic" => self.deterministic = true,
                    "seed" => self.seed = Some(number(parser, &name)?),
                    "epoch" => self.epoch = Some(number(parser, &name)?),
                    _ => run_option(&name, options, parser)?,
                }
                self.run_only = Some(name);
            }
        }
        Ok(())
    }

    /// A run: everything behind the artifact is the guest's.
    fn run(mut self, word: OsString, parser: &mut Parser) -> Result<Command, UsageError> {
        self.check_all_and_json(None)?;
        self.check_delta(None, None)?;
        self.check_registry(None)?;
        if self.options.target.is_some() {
            return Err(usage("--target is for verify and install; a run is on this machine"));
        }
        self.options.artifact = Artifact::from_word(self.artifact.take().unwrap_or(word))?;
        self.check_digest()?;
        self.options.account.check()?;
        if self.options.log_level.is_some() && self.options.log_run.is_none() {
            return Err(usage("--log-level means nothing without --log"));
        }
        self.options.take_words(parser.raw_args().map_err(malformed)?.collect());
        let determinism = determinism(self.deterministic, self.seed, self.epoch)?;
        let extensions = &self.options.request.beyond.extensions;
        if extensions.path.is_none() && !extensions.aliases.is_empty() {
            return Err(usage("--allow-extension means nothing without --extensions"));
        }
        if determinism.is_some() {
            self.options.request.require.push(Requirement::Deterministic);
        }
        self.options.request.determinism = determinism;
        Ok(Command::Run(Box::new(self.options)))
    }

    /// What is of some commands is not for others.
    fn check_all_and_json(&self, verb: Option<Verb>) -> Result<(), UsageError> {
        if self.all && verb != Some(Verb::Verify) {
            return Err(usage("--all is for verify"));
        }
        if self.json && verb != Some(Verb::List) {
            return Err(usage("--json is for list"));
        }
        if self.dry && !matches!(verb, Some(Verb::Install | Verb::Pull | Verb::Rollback)) {
            return Err(usage("--dry-run is for install, pull and rollback"));
        }
        Ok(())
    }

    /// Options about a registry are for what may come from one.
    fn check_registry(&self, verb: Option<Verb>) -> Result<(), UsageError> {
        if self.options.plain_http && verb != Some(Verb::Pull) {
            return Err(usage("--plain-http is for pull"));
        }
        if self.authorities && !matches!(verb, None | Some(Verb::Pull | Verb::Verify)) {
            return Err(usage("--authorities means nothing to this command"));
        }
        Ok(())
    }

    fn check_delta(&self, verb: Option<Verb>, file: Option<&OsString>) -> Result<(), UsageError> {
        let Options { delta, base, digest, .. } = &self.options;
        match (delta, base) {
            (None, None) => Ok(()),
            _ if verb != Some(Verb::Install) => Err(usage("--delta and --base are for install")),
            (None, Some(_)) => Err(usage("--base is what --delta begins with")),
            _ if file.is_some() => Err(usage("install takes an artifact or --delta, not both")),
            _ if digest.is_some() => {
                Err(usage("--digest is of an artifact's file; a delta names what it makes"))
            }
            _ => Ok(()),
        }
    }

    fn check_digest(&self) -> Result<(), UsageError> {
        if self.options.digest.is_some() && matches!(self.options.artifact, Artifact::Installed(_))
        {
            return Err(usage("--digest is of a file; what is installed is named by sha256:HEX"));
        }
        if self.options.digest.is_some() && matches!(self.options.artifact, Artifact::Registry(_)) {
            return Err(usage("--digest is of a file; in a registry: oci://HOST/NAME@sha256:HEX"));
        }
        Ok(())
    }
}

/// One option that only a run has.
fn run_option(name: &str, options: &mut Options, parser: &mut Parser) -> Result<(), UsageError> {
    let request = &mut options.request;
    match name {
        "dir" | "dir-ro" => {
            let value = parser.value().map_err(malformed)?;
            request.folders.push(folder(&value, name == "dir-ro")?);
        }
        "env" => request.variables.push(variable(&parser.value().map_err(malformed)?, name)?),
        "fuel" => request.limits.fuel = Some(budget(parser, name)?),
        "timeout" => {
            let time = quantity::parse_time(&text(parser, name)?);
            request.limits.timeout =
                Some(time.map_err(|what| usage(&format!("--timeout: {what}")))?);
        }
        "max-memory" => request.limits.memory = Some(size(parser, name)?),
        "max-stack" => {
            let bytes = size(parser, name)?;
            if !(STACK_BYTES_MIN..=STACK_BYTES_MAX).contains(&bytes) {
                return Err(usage("--max-stack takes 16KiB to 256MiB"));
            }
            request.limits.stack = Some(bytes);
        }
        "max-output" => request.limits.output = Some(size(parser, name)?),
        "max-descriptors" => {
            let count = count(parser, name)?;
            if !(u64::from(DESCRIPTORS_MIN)..=u64::from(DESCRIPTORS_MAX)).contains(&count) {
                return Err(usage("--max-descriptors takes 3 to 1048576"));
            }
            request.limits.descriptors = Some(count);
        }
        "stdin" => {
            options.stdin = input(parser.value().map_err(malformed)?);
            request.own_stdin = options.stdin != Input::Inherit;
        }
        "deny" => request.denied.extend(capabilities(&text(parser, name)?)?),
        "only-declared" => request.require.push(Requirement::OnlyDeclared),
        "require-fuel" => request.require.push(Requirement::Fuel),
        "require-deterministic" => request.require.push(Requirement::Deterministic),
        "require-sandbox" => request.require.push(Requirement::Sandbox),
        "require-control-flow" => request.require.push(Requirement::ControlFlow),
        "policy" => options.policy = Some(parser.value().map_err(malformed)?.into()),
        "invoke" => request.invoke = Some(text(parser, name)?),
        "compile-with" => options.compile_with = Some(parser.value().map_err(malformed)?.into()),
        "compile-key" => options.compile_key = Some(parser.value().map_err(malformed)?),
        "argv0" => options.argv0 = Some(parser.value().map_err(malformed)?),
        "unknown-imports" => request.unknown_imports = unknown_imports(&text(parser, name)?)?,
        "fuel-profile" => options.fuel_profile = Some(parser.optional_value().map(PathBuf::from)),
        "metrics" => {
            options.account.metrics = Some(report(parser.value().map_err(malformed)?, name)?);
        }
        "receipt" => options.account.receipt = Some(parser.value().map_err(malformed)?.into()),
        "receipt-key" => {
            options.account.receipt_key = Some(parser.value().map_err(malformed)?.into());
        }
        "account" => options.account.program = Some(parser.value().map_err(malformed)?.into()),
        "debug-file" => options.debug_file = Some(parser.value().map_err(malformed)?.into()),
        "coredump" => options.coredump = Some(parser.value().map_err(malformed)?.into()),
        "perf-map" => options.perf_map = true,
        "jitdump" => options.jitdump = Some(parser.value().map_err(malformed)?.into()),
        "report" => options.report = Some(report(parser.value().map_err(malformed)?, name)?),
        "log" => options.log_run = Some(log(&text(parser, name)?)?),
        "log-level" => options.log_level = Some(log_level(&text(parser, name)?)?),
        _ => beyond::option(name, request, parser)?,
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

const HELP_HINT: &str = "bls-load --help";

pub(crate) fn usage(what: &str) -> UsageError {
    UsageError { what: what.to_owned(), hint: HELP_HINT }
}

fn malformed(error: lexopt::Error) -> UsageError {
    match error {
        lexopt::Error::MissingValue { option: Some(option) } => {
            usage(&format!("{option} needs a value"))
        }
        lexopt::Error::UnexpectedOption(option) => usage(&help::no_option(&option)),
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
