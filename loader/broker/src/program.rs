//! The command line.
//!
//! `bls-broker serve` is for a host; `bls-broker ext` is for people, who mostly type
//! `bls-load ext`, which hands over to it. Only this module prints and ends the process.

mod ext;

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

/// Exit code of a refusal.
const REFUSED: u8 = 1;
/// Exit code of a command line that is none.
const USAGE: u8 = 2;

const HELP: &str = "\
The network and extensions for a guest of bls-load, in a process of its own.

Usage: bls-broker serve
       bls-broker ext <COMMAND>
       bls-broker --help | --version

  serve        answers the host whose socket is standard input; bls-load starts it so
  ext add      registers a program as an extension
  ext list     what is registered, or which programs of a folder are extensions
  ext remove   takes an extension out of the registry

bls-broker ext COMMAND --help says more. bls-load ext COMMAND is the same.
";

/// Why somebody gets no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// A command line that makes no sense.
    Usage,
    /// `serve` without a host.
    NoSocket,
    /// No program is there.
    Program,
    /// A program does not say who it is.
    Introduction,
    /// No such extension.
    Unknown,
    /// This user has no home.
    NoHome,
    /// The registry cannot be read or written, or is none.
    Registry,
}

impl Defect {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Usage => "broker.usage",
            Self::NoSocket => "broker.no-socket",
            Self::Program => "ext.program",
            Self::Introduction => "ext.introduction",
            Self::Unknown => "ext.unknown",
            Self::NoHome => "ext.no-home",
            Self::Registry => "ext.registry",
        }
    }
}

/// What a person is told who gets no further.
#[derive(Debug)]
pub struct Failure {
    /// Its kind.
    pub defect: Defect,
    /// What was wrong.
    pub what: String,
    /// What can be done.
    pub hint: &'static str,
}

impl Failure {
    fn usage(what: impl fmt::Display) -> Self {
        let hint = "bls-broker --help, bls-load ext --help";
        Self { defect: Defect::Usage, what: what.to_string(), hint }
    }
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(failure) => {
            use bls_artifact::text::printable;
            eprintln!("bls-broker: {}", printable(&failure.what));
            eprintln!("hint: {}", failure.hint);
            eprintln!("code: {}", failure.defect.code());
            ExitCode::from(if failure.defect == Defect::Usage { USAGE } else { REFUSED })
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    let mut words = std::env::args_os().skip(1);
    let first = words.next();
    let first = first.as_ref().map(|word| word.to_string_lossy());
    match first.as_deref() {
        Some("serve") if words.next().is_none() => crate::serve::serve().map_err(|_| Failure {
            defect: Defect::NoSocket,
            what: "serve is for a host: standard input is no stream socket of it".to_owned(),
            hint: "bls-load starts it where a guest is granted network or extensions",
        }),
        Some("ext") => ext::run(words.collect()),
        Some("--help" | "-h" | "help") => say(HELP),
        Some("--version" | "-V") => say(concat!("bls-broker ", env!("CARGO_PKG_VERSION"), "\n")),
        None => Err(Failure::usage("a command is wanted")),
        Some(other) => Err(Failure::usage(format_args!("there is no command {other:?}"))),
    }
}

/// Prints on standard output; a reader that has gone is no failure.
fn say(text: &str) -> Result<ExitCode, Failure> {
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
