//! `bls-compile link FILE [--as NAME]... ENTRY`: which file has which name, and what is made.

use super::{Failure, compile};
use crate::program::cli::{Build, Emit, Link};
use crate::program::modules::{self, Inputs};
use crate::program::output::Destination;
use bls_artifact::recipe::is_module_name;
use clap::ArgMatches;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// `matches` say in which order words stood.
pub(super) fn run(arguments: &Link, matches: &ArgMatches) -> Result<(), Failure> {
    let modules = named(words(arguments, matches))?;
    let build = &arguments.build;
    let entry = modules.last().map(|(_, file)| file.clone()).unwrap_or_default();
    let emit = build.emit.unwrap_or_else(|| emitted(build));
    let options = compile::options(build, emit)?;
    let destination = compile::destination(build, &entry, emit);
    if build.json && destination == Destination::Stdout {
        return Err(Failure::usage(
            "the result and its JSON cannot both go to standard output",
            Some("name a file with -o".to_owned()),
        ));
    }
    destination.check(None)?;
    let reading = Instant::now();
    let inputs: Inputs = modules::read_all(&modules)?;
    compile::make(build, options, emit, inputs, &destination, reading)
}

/// What is made where nobody says it: as the file is called that it goes to.
fn emitted(build: &Build) -> Emit {
    let extension = build.output.as_deref().and_then(Path::extension);
    match extension.is_some_and(|extension| extension.eq_ignore_ascii_case("bls")) {
        true => Emit::Artifact,
        false => Emit::Linked,
    }
}

/// Files and names in the order in which they stood.
fn words<'a>(arguments: &'a Link, matches: &ArgMatches) -> impl Iterator<Item = Word<'a>> {
    let places = |id: &str| matches.indices_of(id).into_iter().flatten().collect::<Vec<_>>();
    let files = places("inputs").into_iter().zip(&arguments.inputs);
    let names = places("names").into_iter().zip(&arguments.names);
    let mut words: Vec<(usize, Word<'_>)> =
        files.map(|(at, file)| (at, Word::File(file))).collect();
    words.extend(names.map(|(at, name)| (at, Word::Name(name))));
    words.sort_by_key(|(at, _)| *at);
    words.into_iter().map(|(_, word)| word)
}

/// A word of the command line.
enum Word<'a> {
    File(&'a PathBuf),
    Name(&'a str),
}

/// Each file with its name: the one behind it, or its stem.
fn named<'a>(words: impl Iterator<Item = Word<'a>>) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut modules: Vec<(Option<&str>, &PathBuf)> = Vec::new();
    for word in words {
        match (word, modules.last_mut()) {
            (Word::File(file), _) => modules.push((None, file)),
            (Word::Name(name), _) if !is_module_name(name) => {
                return Err(Failure::usage(
                    format!("{name:?} cannot be the name of a module"),
                    Some("1 to 128 bytes, no control characters: --as math".to_owned()),
                ));
            }
            (Word::Name(name), Some((named @ None, _))) => *named = Some(name),
            (Word::Name(name), _) => {
                return Err(Failure::usage(
                    format!("--as {name} stands behind no file that it could name"),
                    Some("bls-compile link a.wasm --as math b.wasm".to_owned()),
                ));
            }
        }
    }
    let stem = |file: &Path| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let named = |(name, file): (Option<&str>, &PathBuf)| {
        (name.map_or_else(|| stem(file), str::to_owned), file.clone())
    };
    Ok(modules.into_iter().map(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::cli::{Cli, Command};
    use clap::{CommandFactory as _, FromArgMatches as _};

    fn modules(words: &[&str]) -> Result<Vec<(String, String)>, String> {
        let all = ["bls-compile", "link"].into_iter().chain(words.iter().copied());
        let matches = Cli::command().try_get_matches_from(all).map_err(|one| one.to_string())?;
        let cli = Cli::from_arg_matches(&matches).map_err(|one| one.to_string())?;
        let Some(Command::Link(link)) = cli.command else { return Err("no link".to_owned()) };
        let matches = matches.subcommand_matches("link").unwrap();
        let named = named(super::words(&link, matches)).map_err(|one| one.what)?;
        Ok(named.into_iter().map(|(name, file)| (name, file.display().to_string())).collect())
    }

    #[test]
    fn a_name_is_that_of_the_file_before_it() {
        let pair = |name: &str, file: &str| (name.to_owned(), file.to_owned());
        assert_eq!(
            modules(&["a.wasm", "--as", "math", "b.wasm", "-o", "app.wasm"]),
            Ok(vec![pair("math", "a.wasm"), pair("b", "b.wasm")])
        );
        assert_eq!(
            modules(&["dir/a.wasm", "b.wasm", "--as=c d", "-q", "e.wasm", "--as", "main"]),
            Ok(vec![pair("a", "dir/a.wasm"), pair("c d", "b.wasm"), pair("main", "e.wasm")])
        );
        for wrong in [
            &["--as", "x", "a.wasm"][..],
            &["a.wasm", "--as", "x", "--as", "y"],
            &["a.wasm", "--as", ""],
            &["a.wasm", "--as"],
            &[],
        ] {
            assert!(modules(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_made_is_what_the_file_is_called() {
        let of = |output: Option<&str>| {
            let words = ["bls-compile", "link", "a.wasm"].into_iter().map(str::to_owned);
            let output = output.map(|output| format!("--output={output}"));
            let matches = Cli::command().try_get_matches_from(words.chain(output)).unwrap();
            match Cli::from_arg_matches(&matches).unwrap().command {
                Some(Command::Link(link)) => emitted(&link.build),
                _ => Emit::Wasm,
            }
        };
        assert_eq!(of(Some("x.bls")), Emit::Artifact);
        for other in [None, Some("x.wasm"), Some("-"), Some("bls")] {
            assert_eq!(of(other), Emit::Linked, "{other:?}");
        }
    }
}
