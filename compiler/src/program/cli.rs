//! The command line: what may be said, and the help texts.
//!
//! Values are only split and converted here; whether a target or key exists is
//! found out by the stage that needs it.

pub(crate) mod help;
pub mod run;
#[cfg(test)]
mod tests;

use crate::assemble::{LEVEL_DEFAULT, LEVELS};
use crate::child;
use crate::program::keystore::{DEFAULT_KEY, KeySource, Wanted};
use bls_artifact::capability::{Permission, PermissionError};
use bls_artifact::cpu::{Machine, MachineError};
use bls_artifact::date;
use bls_artifact::limits::JSON_INTEGER_MAX;
use bls_artifact::quantity::{parse_count, parse_size, parse_time};
use bls_artifact::recipe::is_module_name;
use bls_artifact::target::{Bounds, Language, Target};
use clap::{Args, Parser, Subcommand, ValueEnum};
use help::{
    HELP, HELP_AUDIT, HELP_CHECK, HELP_DELTA, HELP_INSPECT, HELP_KEY, HELP_KEY_OF, HELP_LINK,
    HELP_SIGN, HELP_STRIP, HELP_SYMBOLIZE, HELP_TRUST, HELP_VERIFY,
};
use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

/// `--version`: all that decides whether two machines understand each other.
/// A test holds the three constants to those of the shared crate.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (wasmtime 48.0.8, artifact format 1, fuel model bls-fuel-4)"
);

/// What the command line says.
#[derive(Debug, Parser)]
#[command(
    name = "bls-compile",
    version = VERSION,
    override_help = HELP,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Cli {
    /// A subcommand; without one, compile.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to compile, and how.
    #[command(flatten)]
    pub compile: Compile,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// `bls-compile run`
    #[command(disable_help_flag = true)]
    Run(RunArguments),
    /// `bls-compile key-of`
    KeyOf(Box<KeyOf>),
    /// `bls-compile link`
    Link(Box<Link>),
    /// `bls-compile check`
    Check(Check),
    /// `bls-compile audit`
    Audit(Audit),
    /// `bls-compile inspect`
    Inspect(Inspect),
    /// `bls-compile sign`
    Sign(Sign),
    /// `bls-compile strip`
    Strip(Strip),
    /// `bls-compile verify`
    Verify(Verify),
    /// `bls-compile delta`
    Delta(Delta),
    /// `bls-compile push`
    #[command(disable_help_flag = true)]
    Push(RunArguments),
    /// `bls-compile image`
    #[command(disable_help_flag = true)]
    Image(RunArguments),
    /// `bls-compile symbolize`
    Symbolize(Symbolize),
    /// `bls-compile key`
    Key(Key),
    /// `bls-compile trust`
    Trust(Trust),
}

/// `bls-compile INPUT...`
#[derive(Debug, Args)]
pub struct Compile {
    /// The modules, or folders that hold them.
    #[arg(value_name = "INPUT", required_unless_present = "cpu")]
    pub inputs: Vec<PathBuf>,
    /// How many are compiled at once.
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<NonZero<usize>>,
    /// Whether one that fails keeps the others from being compiled.
    #[arg(long)]
    pub keep_going: bool,
    /// What it is linked or put together with.
    #[command(flatten)]
    pub with: With,
    /// How.
    #[command(flatten)]
    pub build: Build,
}

/// What becomes one program with INPUT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct With {
    /// Modules that it imports from.
    #[arg(long, value_name = "NAME=FILE", value_parser = named_file)]
    pub module: Vec<(String, PathBuf)>,
    /// Components whose exports fill its imports.
    #[arg(long, value_name = "FILE")]
    pub plug: Vec<PathBuf>,
}

impl With {
    /// Whether there is nothing but INPUT.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.module.is_empty() && self.plug.is_empty()
    }
}

/// `bls-compile key-of INPUT...`
#[derive(Debug, Args)]
#[command(override_help = HELP_KEY_OF)]
pub struct KeyOf {
    /// The modules, and how they would be compiled.
    #[command(flatten)]
    pub compile: Compile,
}

/// `bls-compile link FILE [--as NAME]... ENTRY`
#[derive(Debug, Args)]
#[command(override_help = HELP_LINK)]
pub struct Link {
    /// The modules, the entry last.
    #[arg(value_name = "FILE", required = true)]
    pub inputs: Vec<PathBuf>,
    /// The name of the module before it.
    #[arg(long = "as", value_name = "NAME", allow_hyphen_values = true)]
    pub names: Vec<String>,
    /// How.
    #[command(flatten)]
    pub build: Build,
}

/// What is made, and how.
#[derive(Debug, Args)]
pub struct Build {
    /// Where the result goes.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Who signs.
    #[command(flatten)]
    pub signing: Signing,
    /// The artifact's name.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The number of the release.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(..=JSON_INTEGER_MAX)
    )]
    pub sequence: u64,
    /// When it ends to be good, in seconds since 1970.
    #[arg(long, value_name = "DATE", value_parser = point_in_time)]
    pub expires: Option<u64>,
    /// Bills of materials.
    #[arg(long, value_name = "FILE")]
    pub sbom: Vec<PathBuf>,
    /// Records of how the source was built.
    #[arg(long, value_name = "FILE")]
    pub provenance: Vec<PathBuf>,
    /// What to compile for.
    #[arg(long, value_name = "TARGET", value_delimiter = ',', value_parser = target)]
    pub target: Vec<TargetWord>,
    /// The CPU of the target that has none of its own.
    #[arg(long, value_name = "CPU", allow_hyphen_values = true)]
    pub cpu: Option<String>,
    /// The memory limit for the manifest.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_memory: Option<u64>,
    /// The fuel limit for the manifest.
    #[arg(long, value_name = "UNITS", value_parser = parse_count)]
    pub max_fuel: Option<u64>,
    /// The limit on time for the manifest.
    #[arg(long, value_name = "DURATION", value_parser = parse_time)]
    pub max_time: Option<Duration>,
    /// What a loader must grant.
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',', value_parser = permission)]
    pub needs: Vec<Permission>,
    /// A file that says what a loader must grant.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The zstd level.
    #[arg(
        long,
        value_name = "LEVEL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        value_parser = level
    )]
    pub compress: Option<u32>,
    /// The most window of compressed parts.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub compress_window: Option<u64>,
    /// No metering.
    #[arg(long)]
    pub no_fuel: bool,
    /// Counters by function.
    #[arg(long)]
    pub fuel_profile: bool,
    /// No NaN canonicalisation.
    #[arg(long)]
    pub fast_nans: bool,
    /// How the code keeps to its memories.
    #[arg(long, value_name = "KIND", default_value = "guard")]
    pub memory: Memory,
    /// How much of WebAssembly the module may use.
    #[arg(long, value_name = "KIND", default_value = "all")]
    pub wasm: Wasm,
    /// What to write.
    #[arg(long, value_name = "KIND")]
    pub emit: Option<Emit>,
    /// Where it is written which line of the source the code came from.
    #[arg(long, value_name = "FILE")]
    pub debug_file: Option<PathBuf>,
    /// Where the result may be already.
    #[command(flatten)]
    pub keeping: Keeping,
    /// What compiling may take.
    #[command(flatten)]
    pub bounded: Bounded,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Errors only.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Where a result may be already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Keeping {
    /// Leave an output that answers.
    #[arg(long)]
    pub if_changed: bool,
    /// Where results are kept: a folder, a server's URL, or one of each.
    #[arg(long, value_name = "FOLDER|URL")]
    pub cache: Vec<String>,
    /// Whose results are taken from there, beside one's own.
    #[arg(long, value_name = "FILE", requires = "cache")]
    pub cache_trust: Vec<PathBuf>,
    /// How much may be kept.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "cache")]
    pub cache_size: Option<u64>,
}

/// Who signs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Signing {
    /// The signing key.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// The public half that it must have.
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
    /// How long whoever keeps it may take.
    #[arg(long, value_name = "DURATION", value_parser = parse_time)]
    pub max_sign_time: Option<Duration>,
}

impl From<&Signing> for Wanted {
    fn from(signing: &Signing) -> Self {
        let default = Self::default();
        Self {
            source: signing.key.as_deref().map_or(default.source, KeySource::parse),
            public: signing.public_key.clone(),
            time: signing.max_sign_time.unwrap_or(default.time),
        }
    }
}

/// What the process that compiles may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub struct Bounded {
    /// The most memory.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_compile_memory: Option<u64>,
    /// The most time.
    #[arg(long, value_name = "DURATION", value_parser = parse_time)]
    pub max_compile_time: Option<Duration>,
}

impl From<Bounded> for child::Allowance {
    fn from(bounded: Bounded) -> Self {
        let default = Self::default();
        Self {
            memory: bounded.max_compile_memory.unwrap_or(default.memory),
            time: bounded.max_compile_time.unwrap_or(default.time),
            threads: None,
        }
    }
}

/// What `--memory` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Memory {
    /// Address space that nothing is mapped into.
    #[default]
    Guard,
    /// Comparisons.
    Checked,
}

impl From<Memory> for Bounds {
    fn from(memory: Memory) -> Self {
        match memory {
            Memory::Guard => Self::Guard,
            Memory::Checked => Self::Checked,
        }
    }
}

/// What `--wasm` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Wasm {
    /// All that there is.
    #[default]
    All,
    /// What a loader without a collector runs.
    Core,
}

impl From<Wasm> for Language {
    fn from(wasm: Wasm) -> Self {
        match wasm {
            Wasm::All => Self::All,
            Wasm::Core => Self::Core,
        }
    }
}

/// `bls-compile run [OPTIONS] INPUT [ARGS]`
#[derive(Debug, Args)]
pub struct RunArguments {
    /// All of them: [`run::Run`] reads them, for most are not ours; or bls-registry does.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// What `--emit` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// The signed artifact.
    Artifact,
    /// The metered module.
    Wasm,
    /// The module that several are.
    Linked,
}

/// `bls-compile check INPUT`
#[derive(Debug, Args)]
#[command(override_help = HELP_CHECK)]
pub struct Check {
    /// The module.
    #[arg(value_name = "INPUT")]
    pub input: PathBuf,
    /// What it is linked or put together with.
    #[command(flatten)]
    pub with: With,
    /// What it would be compiled for.
    #[arg(long, value_name = "TARGET", value_delimiter = ',', value_parser = target)]
    pub target: Vec<TargetWord>,
    /// What compiling may take.
    #[command(flatten)]
    pub bounded: Bounded,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `bls-compile audit INPUT`
#[derive(Debug, Args)]
#[command(override_help = HELP_AUDIT)]
pub struct Audit {
    /// The metered module.
    #[arg(value_name = "INPUT")]
    pub input: PathBuf,
    /// What it would be compiled for.
    #[arg(long, value_name = "TARGET", value_delimiter = ',', value_parser = target)]
    pub target: Vec<TargetWord>,
    /// What compiling may take.
    #[command(flatten)]
    pub bounded: Bounded,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `bls-compile inspect FILE`
#[derive(Debug, Args)]
#[command(override_help = HELP_INSPECT)]
pub struct Inspect {
    /// The artifact, or the component.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What looking into a component may take.
    #[command(flatten)]
    pub bounded: Bounded,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `bls-compile sign ARTIFACT`
#[derive(Debug, Args)]
#[command(override_help = HELP_SIGN)]
pub struct Sign {
    /// The artifact.
    #[arg(value_name = "ARTIFACT")]
    pub artifact: PathBuf,
    /// Its source; of a linked one all modules, or their configuration.
    #[arg(long, value_name = "INPUT", required = true)]
    pub rebuild: Vec<PathBuf>,
    /// Where the result goes.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Who signs.
    #[command(flatten)]
    pub signing: Signing,
    /// What compiling may take.
    #[command(flatten)]
    pub bounded: Bounded,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Errors only.
    #[arg(short, long)]
    pub quiet: bool,
}

/// `bls-compile strip ARTIFACT`
#[derive(Debug, Args)]
#[command(override_help = HELP_STRIP)]
pub struct Strip {
    /// The artifact.
    #[arg(value_name = "ARTIFACT")]
    pub artifact: PathBuf,
    /// The parts that stay.
    #[arg(
        long,
        value_name = "TARGET",
        value_delimiter = ',',
        value_parser = target,
        required = true
    )]
    pub target: Vec<TargetWord>,
    /// Where the result goes.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Errors only.
    #[arg(short, long)]
    pub quiet: bool,
}

/// `bls-compile verify ARTIFACT`
#[derive(Debug, Args)]
#[command(override_help = HELP_VERIFY)]
pub struct Verify {
    /// The artifact.
    #[arg(value_name = "ARTIFACT")]
    pub artifact: PathBuf,
    /// Its source; of a linked one all modules, or their configuration.
    #[arg(long, value_name = "INPUT", required = true)]
    pub rebuild: Vec<PathBuf>,
    /// What compiling may take.
    #[command(flatten)]
    pub bounded: Bounded,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `bls-compile delta OLD NEW`
#[derive(Debug, Args)]
#[command(override_help = HELP_DELTA)]
pub struct Delta {
    /// What devices have.
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// What they are to get.
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Where the result goes.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Errors only.
    #[arg(short, long)]
    pub quiet: bool,
}

/// `bls-compile symbolize FILE [REPORT]`
#[derive(Debug, Args)]
#[command(override_help = HELP_SYMBOLIZE)]
pub struct Symbolize {
    /// The debug file.
    #[arg(value_name = "DEBUG-FILE")]
    pub debug_file: PathBuf,
    /// A report, or lines of a log.
    #[arg(value_name = "REPORT", default_value = "-")]
    pub report: PathBuf,
}

/// `bls-compile key`
#[derive(Debug, Args)]
#[command(
    override_help = HELP_KEY,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true
)]
pub struct Key {
    /// What to do with it; without, show it.
    #[command(subcommand)]
    pub action: Option<KeyAction>,
    /// Another key than the user's own.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

/// The subcommands of `key`.
#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// Make one.
    #[command(override_help = HELP_KEY)]
    New {
        /// Its name.
        #[arg(value_name = "NAME", default_value = DEFAULT_KEY)]
        name: String,
    },
    /// Show all of the user's.
    #[command(override_help = HELP_KEY)]
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the public key in PEM.
    #[command(override_help = HELP_KEY)]
    Export {
        /// Which; the user's own where none is named.
        #[arg(value_name = "KEY", conflicts_with = "key")]
        named: Option<String>,
        /// The same.
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// Keep a private key.
    #[command(override_help = HELP_KEY)]
    Import {
        /// Its file; `-` for standard input.
        #[arg(value_name = "FILE")]
        from: PathBuf,
        /// Its name here.
        #[arg(value_name = "NAME", default_value = DEFAULT_KEY)]
        name: String,
    },
}

/// `bls-compile trust`
#[derive(Debug, Args)]
#[command(override_help = HELP_TRUST, disable_help_subcommand = true)]
pub struct Trust {
    /// What to do.
    #[command(subcommand)]
    pub action: TrustAction,
}

/// The subcommands of `trust`.
#[derive(Debug, Subcommand)]
pub enum TrustAction {
    /// Sign a trust file.
    #[command(override_help = HELP_TRUST)]
    Sign(TrustSign),
}

/// `bls-compile trust sign FILE`
#[derive(Debug, Args)]
pub struct TrustSign {
    /// The trust file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The root key.
    #[arg(long, value_name = "KEY", required = true)]
    pub key: Option<String>,
    /// The public half that it must have.
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
    /// How long whoever keeps it may take.
    #[arg(long, value_name = "DURATION", value_parser = parse_time)]
    pub max_sign_time: Option<Duration>,
    /// Where the signed file goes.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// A word of `--target`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetWord {
    /// A target, and nothing of its CPU.
    Target(Target),
    /// A target with a CPU.
    Machine(Machine),
    /// A target with the CPU of this machine.
    Native(Target),
}

/// What stands for the CPU of this machine.
pub(super) const NATIVE: &str = "native";

/// A target, by its triple or its short name, and behind a `:` its CPU.
fn target(text: &str) -> Result<TargetWord, MachineError> {
    match text.split_once(':') {
        None => Machine::parse(text).map(|machine| TargetWord::Target(machine.target())),
        Some((word, NATIVE)) => {
            Machine::parse(word).map(|machine| TargetWord::Native(machine.target()))
        }
        Some(_) => Machine::parse(text).map(TargetWord::Machine),
    }
}

/// `NAME=FILE`: a module, and what others import it by.
pub(super) fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if is_module_name(name) && !file.is_empty() => {
            Ok((name.to_owned(), file.into()))
        }
        _ => Err(format!("{text:?} names no module and its file: --module math=math.wasm")),
    }
}

/// A capability, with what it is about.
fn permission(text: &str) -> Result<Permission, PermissionError> {
    Permission::parse(text)
}

/// A day, a day with a time, or seconds since 1970.
fn point_in_time(text: &str) -> Result<u64, String> {
    // A number is always one of seconds, even where a year was meant; `parse` would take a sign.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if is_number { text.parse().ok() } else { date::parse(text) };
    seconds.ok_or_else(|| {
        format!(
            "{text:?} is no time in UTC; write 2027-01-31, 2027-01-31T12:00:00Z, or seconds since 1970"
        )
    })
}

/// A zstd level; empty for the default.
fn level(text: &str) -> Result<u32, String> {
    if text.is_empty() {
        return Ok(LEVEL_DEFAULT);
    }
    text.parse()
        .ok()
        .filter(|level| LEVELS.contains(level))
        .ok_or_else(|| format!("a zstd level is {} to {}", LEVELS.start(), LEVELS.end()))
}
