//! The command line. Only this folder prints, starts programs and ends the process.
//!
//! People type `bls-compile push`, `bls-compile image` and `bls-load pull`, which start this
//! program; it can be called by itself as well.

mod cache;
mod help;
mod image;
mod pull;
mod push;

use crate::error::Error;
use crate::package::Source;
use crate::peer::Manner;
use bls_artifact::nearest::nearest;
use bls_artifact::quantity::parse_time;
use bls_artifact::registry::Defect;
use bls_artifact::text::{printable, printable_lines};
use lexopt::{Arg, Parser, ValueExt as _};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit code of a refusal.
const REFUSED: u8 = 1;
/// Exit code of a command line that is none.
const USAGE: u8 = 2;
/// The commands, with their help.
const COMMANDS: [(&str, &str, Command); 4] = [
    ("push", help::PUSH, push::run),
    ("pull", help::PULL, pull::run),
    ("image", help::IMAGE, image::run),
    ("cache", help::CACHE, cache::run),
];
/// The most bytes of a file of certificates.
const AUTHORITIES_BYTES_MAX: u64 = 4 << 20;

/// Does what the words behind a command say.
type Command = fn(&mut Parser) -> Result<(), Error>;

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!(
                "bls-registry: {}\nhint: {}\ncode: {}",
                printable(&error.to_string()),
                printable(error.hint()),
                error.code()
            ));
            ExitCode::from(if error.is(Defect::Usage) { USAGE } else { REFUSED })
        }
    }
}

fn run(words: Vec<OsString>) -> Result<(), Error> {
    let first = words.first().map(|word| word.to_string_lossy().into_owned());
    let rest = words.get(1..).unwrap_or_default();
    let find = |name: &str| COMMANDS.iter().find(|(known, ..)| *known == name);
    match first.as_deref() {
        None => Err(usage("a command is wanted")),
        Some("--help" | "-h" | "help") => match rest.first().map(|word| word.to_string_lossy()) {
            None => print(help::HELP),
            Some(word) => match find(&word) {
                Some((_, text, _)) => print(text),
                None => Err(no_command(&word)),
            },
        },
        Some("--version" | "-V") => {
            print(concat!("bls-registry ", env!("CARGO_PKG_VERSION"), "\n"))
        }
        Some(word) => match find(word) {
            // Wherever it stands, but not as a value: no option takes one of these.
            Some((_, text, _)) if rest.iter().any(|word| word == "--help" || word == "-h") => {
                print(text)
            }
            Some((.., command)) => command(&mut Parser::from_args(rest.to_vec())),
            None => Err(no_command(word)),
        },
    }
}

fn no_command(word: &str) -> Error {
    let near = nearest(word, COMMANDS.iter().map(|(name, ..)| *name));
    let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
    usage(format!("there is no command {word:?}{near}"))
}

fn usage(what: impl Into<String>) -> Error {
    Error::new(Defect::Usage, what)
}

fn malformed(error: lexopt::Error) -> Error {
    usage(error.to_string())
}

/// What every command that speaks with a registry may be told.
#[derive(Default)]
struct Common {
    manner: Manner,
    json: bool,
    quiet: bool,
}

impl Common {
    /// Reads an option; `false` where it is none of these.
    fn option(&mut self, name: &str, parser: &mut Parser) -> Result<bool, Error> {
        match name {
            "plain-http" => self.manner.plain_http = true,
            "authorities" => {
                let path = PathBuf::from(parser.value().map_err(malformed)?);
                let file = Source::read(&path, AUTHORITIES_BYTES_MAX)?;
                self.manner.authorities = Some(file.bytes);
            }
            "max-time" => {
                let text = parser.value().and_then(|value| value.string()).map_err(malformed)?;
                let time = parse_time(&text);
                self.manner.max_time = time.map_err(|what| usage(format!("--max-time: {what}")))?;
            }
            "json" => self.json = true,
            "quiet" => self.quiet = true,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The name of an option, of one letter too.
fn option_name(argument: &Arg<'_>) -> Option<String> {
    match argument {
        Arg::Short('o') => Some("output".to_owned()),
        Arg::Short('q') => Some("quiet".to_owned()),
        Arg::Short(letter) => Some(letter.to_string()),
        Arg::Long(name) => Some((*name).to_owned()),
        Arg::Value(_) => None,
    }
}

/// There is no option of this name.
fn no_option(name: &str, known: &[&str]) -> Error {
    let near = nearest(name, known.iter().copied());
    let near = near.map_or(String::new(), |near| format!("; did you mean --{near}?"));
    let dashes = if name.chars().count() == 1 { "-" } else { "--" };
    usage(format!("there is no option {dashes}{name}{near}"))
}

/// Writes a whole file, or none.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_with(path, |file| file.write_all(bytes).map_err(|error| unwritable(path, &error)))
}

/// Has a file written, which has its name once it is whole.
fn write_with(
    path: &Path,
    write: impl FnOnce(&mut std::fs::File) -> Result<(), Error>,
) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .prefix(".bls-")
        // As far as the umask lets it be.
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(|error| unwritable(path, &error))?;
    write(file.as_file_mut())?;
    file.persist(path).map_err(|error| unwritable(path, &error.error))?;
    Ok(())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Defect::Unwritable, format!("cannot write {}: {error}", path.display()))
}

/// Says something on standard error.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable_lines(text));
}

/// Prints on standard output; a reader that has gone is no failure.
fn print(text: &str) -> Result<(), Error> {
    write_out(printable_lines(text).as_bytes())
}

fn write_out(bytes: &[u8]) -> Result<(), Error> {
    let mut output = std::io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(unwritable(Path::new("standard output"), &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_wider_than_a_terminal() {
        for text in [help::HELP, help::PUSH, help::PULL, help::IMAGE, help::CACHE] {
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }

    /// What a help text explains is read, and the other way round.
    #[test]
    fn the_options_of_a_command_are_those_that_are_explained() {
        for (text, known) in [
            (help::PUSH, &push::OPTIONS[..]),
            (help::PULL, &pull::OPTIONS),
            (help::IMAGE, &image::OPTIONS),
            (help::CACHE, &cache::OPTIONS),
        ] {
            let lines = text.lines().map(str::trim_start);
            let lines = lines.map(|line| {
                line.strip_prefix("-o, ").or(line.strip_prefix("-q, ")).unwrap_or(line)
            });
            let explained: Vec<&str> = lines
                .filter_map(|line| line.strip_prefix("--")?.split([' ', '[']).next())
                .collect();
            assert_eq!(explained, known);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for words in [
            &[][..],
            &["pusch"],
            &["push"],
            &["push", "r.example/a"],
            &["push", "--plain", "r.example/a", "a.bls"],
            &["push", "--max-time", "5", "r.example/a", "a.bls"],
            &["pull"],
            &["pull", "r.example/a", "b"],
            &["pull", "--target", "sparc", "r.example/a"],
            &["image"],
            &["image", "--loader", "x", "a.bls"],
            &["image", "--loader", "sparc=x", "a.bls"],
            &["cache"],
            &["cache", "get", "https://a.example"],
            &["cache", "get", "https://a.example", "12"],
            &["cache", "probe", "--json", "https://a.example"],
            &["help", "nothing"],
        ] {
            let error = run(words.iter().map(OsString::from).collect()).unwrap_err();
            assert!(error.is(Defect::Usage), "{words:?}: {error}");
        }
    }
}
