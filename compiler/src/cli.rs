//! The command line: what may be said, and the help texts.
//!
//! The texts are written by hand: their order is part of the interface, and
//! tests read them. Values are only split and converted here; whether a target
//! or key exists is found out by the stage that needs it.

use crate::assemble::{LEVEL_DEFAULT, LEVELS};
use bls_artifact::capability::{Permission, PermissionError};
use bls_artifact::quantity::parse_size;
use bls_artifact::target::Target;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `--version`: all that decides whether two machines understand each other.
/// A test holds the three constants to those of the shared crate.
pub const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (wasmtime 48.0.8, artifact format 1, fuel model bls-fuel-2)"
);

const HELP: &str = "\
Compile a WebAssembly module to a signed, metered native artifact.

Usage: bls-compile [OPTIONS] <INPUT>
       bls-compile <check|audit|inspect|key> ...

INPUT is .wasm, .wat or - (stdin). A file called \"check\" is ./check.

  -o, --output <FILE>     [default: STEM.bls in this folder; - is stdout]
      --key <FILE|env:V>  signing key [default: yours, made on first use]
      --target <TRIPLE>   [default: this system, baseline CPU]
      --max-memory <SIZE> limit written into the manifest
      --needs <CAP:WHAT>  never to start without: fs.write:/data, env:TOKEN
      --policy <FILE>     needs from a JSON file (README)
      --compress[=LEVEL]  store native code as zstd
      --no-fuel           no metering; the manifest says so
      --fuel-profile      count by function too: bls-load --fuel-profile shows it
      --fast-nans         do not canonicalise NaNs
      --emit <KIND>       artifact | wasm (the metered module, for any engine)
      --json              result as JSON on stdout
  -q, --quiet             errors only

Exit codes: 0 done, 1 refused or failed, 2 usage
Examples:
  bls-compile app.wasm
  bls-compile app.wasm --key env:BLS_KEY -o dist/app.bls
  bls-compile key export > builder.pub
";

const HELP_CHECK: &str = "\
Say what a module is and needs, and whether it would compile; write nothing.

Usage: bls-compile check [OPTIONS] <INPUT>

INPUT is .wasm, .wat or - (stdin).

      --target <TRIPLE>   [default: this system]
      --json              result as JSON on stdout

Exit codes: 0 it would compile, 1 it is refused, 2 usage
Examples:
  bls-compile check app.wasm
  bls-compile check --target pulley64 --json app.wasm
";

const HELP_AUDIT: &str = "\
Prove that a metered module counts what it consumes. Trusts nothing but its bytes.

Usage: bls-compile audit [OPTIONS] <INPUT>

INPUT is .wasm, .wat or - (stdin), as --emit wasm writes it. Every compile does
the same before it signs. FUEL.md has the rules, by name.

      --target <TRIPLE>   [default: this system]
      --json              result as JSON on stdout

Exit codes: 0 proved, 1 a rule is broken, 2 usage
Examples:
  bls-compile --emit wasm app.wasm && bls-compile audit app.metered.wasm
  bls-compile audit --json app.metered.wasm
";

const HELP_INSPECT: &str = "\
Show everything in an artifact. Checks its form, not whom to trust.

Usage: bls-compile inspect [OPTIONS] <ARTIFACT>

      --json              as JSON on stdout

Exit codes: 0 done, 1 not an artifact, 2 usage
Examples:
  bls-compile inspect app.bls
  bls-compile inspect --json app.bls
";

const HELP_KEY: &str = "\
Show or export your signing key; it is made on first use.

Usage: bls-compile key [OPTIONS]
       bls-compile key export [OPTIONS]

      --key <FILE|env:V>  another key than yours

`key` prints id and path; `key export` prints the public key in PEM.

Exit codes: 0 done, 1 no key, 2 usage
Examples:
  bls-compile key
  bls-compile key export > builder.pub
";

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
    /// `bls-compile check`
    Check(Check),
    /// `bls-compile audit`
    Audit(Audit),
    /// `bls-compile inspect`
    Inspect(Inspect),
    /// `bls-compile key`
    Key(Key),
}

/// `bls-compile INPUT`
#[derive(Debug, Args)]
pub struct Compile {
    /// The module.
    #[arg(value_name = "INPUT", required = true)]
    pub input: Option<PathBuf>,
    /// Where the result goes.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The signing key.
    #[arg(long, value_name = "FILE|env:V")]
    pub key: Option<String>,
    /// What to compile for.
    #[arg(long, value_name = "TRIPLE", value_delimiter = ',', value_parser = target)]
    pub target: Vec<Target>,
    /// The memory limit for the manifest.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_memory: Option<u64>,
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
    pub compress: Option<i32>,
    /// No metering.
    #[arg(long)]
    pub no_fuel: bool,
    /// Counters by function.
    #[arg(long)]
    pub fuel_profile: bool,
    /// No NaN canonicalisation.
    #[arg(long)]
    pub fast_nans: bool,
    /// What to write.
    #[arg(long, value_name = "KIND", default_value = "artifact")]
    pub emit: Emit,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
    /// Errors only.
    #[arg(short, long)]
    pub quiet: bool,
}

/// What `--emit` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// The signed artifact.
    Artifact,
    /// The metered module.
    Wasm,
}

/// `bls-compile check INPUT`
#[derive(Debug, Args)]
#[command(override_help = HELP_CHECK)]
pub struct Check {
    /// The module.
    #[arg(value_name = "INPUT")]
    pub input: PathBuf,
    /// What it would be compiled for.
    #[arg(long, value_name = "TRIPLE", value_delimiter = ',', value_parser = target)]
    pub target: Vec<Target>,
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
    #[arg(long, value_name = "TRIPLE", value_delimiter = ',', value_parser = target)]
    pub target: Vec<Target>,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `bls-compile inspect ARTIFACT`
#[derive(Debug, Args)]
#[command(override_help = HELP_INSPECT)]
pub struct Inspect {
    /// The artifact.
    #[arg(value_name = "ARTIFACT")]
    pub artifact: PathBuf,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `bls-compile key`
#[derive(Debug, Args)]
#[command(override_help = HELP_KEY, disable_help_subcommand = true)]
pub struct Key {
    /// What to do with it; without, show it.
    #[command(subcommand)]
    pub action: Option<KeyAction>,
    /// Another key than the user's own.
    #[arg(long, value_name = "FILE|env:V", global = true)]
    pub key: Option<String>,
}

/// The subcommands of `key`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum KeyAction {
    /// Print the public key in PEM.
    #[command(override_help = HELP_KEY)]
    Export,
}

/// A target, by its triple.
fn target(text: &str) -> Result<Target, String> {
    Target::from_triple(text).ok_or_else(|| {
        let all = Target::ALL.map(Target::triple).join(", ");
        format!("there is no such target; there are {all}")
    })
}

/// A capability, with what it is about.
fn permission(text: &str) -> Result<Permission, PermissionError> {
    Permission::parse(text)
}

/// A zstd level; empty for the default.
fn level(text: &str) -> Result<i32, String> {
    if text.is_empty() {
        return Ok(LEVEL_DEFAULT);
    }
    text.parse()
        .ok()
        .filter(|level| LEVELS.contains(level))
        .ok_or_else(|| format!("a zstd level is {} to {}", LEVELS.start(), LEVELS.end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_version_names_what_is_built_in() {
        use bls_artifact::{artifact::FORMAT_VERSION, fuel::MODEL, target::ENGINE_RELEASE};
        let expected = format!(
            "{} (wasmtime {ENGINE_RELEASE}, artifact format {FORMAT_VERSION}, fuel model {MODEL})",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(VERSION, expected);
    }

    #[test]
    fn options_are_read() {
        let cli = Cli::try_parse_from([
            "bls-compile",
            "--compress",
            "a.wasm",
            "--target",
            "pulley64,pulley32",
            "--target",
            "x86_64-unknown-linux-gnu",
            "--max-memory=64MiB",
        ])
        .unwrap();
        assert_eq!(cli.compile.compress, Some(LEVEL_DEFAULT));
        assert_eq!(cli.compile.input, Some("a.wasm".into()));
        assert_eq!(cli.compile.target, [Target::Pulley64, Target::Pulley32, Target::X86_64]);
        assert_eq!(cli.compile.max_memory, Some(64 << 20));
        let cli = Cli::try_parse_from(["bls-compile", "./check"]).unwrap();
        assert!(cli.command.is_none());
        let cli = Cli::try_parse_from(["bls-compile", "check", "check"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Check(_))));
        for wrong in [
            &["bls-compile"][..],
            &["bls-compile", "a", "b"],
            &["bls-compile", "check"],
            &["bls-compile", "a", "--compress=23"],
            &["bls-compile", "a", "--target", "sparc"],
            &["bls-compile", "a", "--max-memory", "1"],
            &["bls-compile", "a", "--emit", "elf"],
        ] {
            assert_eq!(Cli::try_parse_from(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }
}
