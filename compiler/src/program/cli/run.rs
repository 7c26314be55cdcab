//! `bls-compile run`: which words are for compiling, which for bls-load, which the guest's.
//!
//! Guarantees that words keep their order and their bytes. Options of a run are known by
//! name only: bls-load reads their values. Looks at no file.

use super::{Bounded, Memory, Signing, With, named_file};
use bls_artifact::capability::Permission;
use bls_artifact::nearest::nearest;
use bls_artifact::options::{self, Takes};
use bls_artifact::quantity::{parse_size, parse_time};
use clap::ValueEnum as _;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// Options that say how to compile; those with a value are followed by it.
const COMPILING: [(&str, Takes); 14] = [
    ("module", Takes::Value),
    ("plug", Takes::Value),
    ("key", Takes::Value),
    ("public-key", Takes::Value),
    ("max-sign-time", Takes::Value),
    ("name", Takes::Value),
    ("needs", Takes::Value),
    ("no-fuel", Takes::Nothing),
    ("fast-nans", Takes::Nothing),
    ("memory", Takes::Value),
    ("cpu", Takes::Value),
    ("max-compile-memory", Takes::Value),
    ("max-compile-time", Takes::Value),
    ("help", Takes::Nothing),
];

/// Options of compiling that mean nothing to a run: what they decide is of an artifact that is
/// kept, or of another machine's.
const KEEPING: [&str; 23] = [
    "max-fuel",
    "max-time",
    "output",
    "target",
    "sequence",
    "expires",
    "sbom",
    "provenance",
    "compress",
    "compress-window",
    "emit",
    "wasm",
    "json",
    "quiet",
    "if-changed",
    "cache",
    "cache-trust",
    "cache-size",
    "jobs",
    "keep-going",
    "o",
    "q",
    "j",
];

/// What to compile, how to run it, and the guest's words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Who signs.
    pub signing: Signing,
    /// The artifact's name.
    pub name: Option<String>,
    /// What it is linked or put together with.
    pub with: With,
    /// What a loader must grant.
    pub needs: Vec<Permission>,
    /// No metering.
    pub no_fuel: bool,
    /// No NaN canonicalisation.
    pub fast_nans: bool,
    /// How the code keeps to its memories.
    pub memory: Memory,
    /// What the code may ask of this machine's CPU.
    pub cpu: Option<String>,
    /// What compiling may take.
    pub bounded: Bounded,
    /// Counters by function: an option of both.
    pub fuel_profile: bool,
    /// Whether bls-load says what it checks; then so is what was compiled.
    pub explain: bool,
    /// Whether the guest's argument 0 is among the options.
    pub argv0: bool,
    /// Options for bls-load, with their values.
    pub options: Vec<OsString>,
    /// The module.
    pub input: OsString,
    /// The guest's arguments.
    pub arguments: Vec<OsString>,
}

/// A command line that makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub enum RunWords {
    /// It asks for help.
    Help,
    /// It is wrong; how, and what to do about it where help is not enough.
    Wrong(String, Option<String>),
}

impl Run {
    /// Reads the words behind `run`.
    ///
    /// # Errors
    /// [`RunWords`].
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, RunWords> {
        let mut words = words.into_iter();
        let mut run = Self::default();
        while let Some(word) = words.next() {
            let option = match word.as_bytes() {
                b"-h" => return Err(RunWords::Help),
                b"--" => match words.next() {
                    Some(input) => return Ok(run.ends_with(input, words)),
                    None => break,
                },
                [b'-', b'-', option @ ..] => option,
                [b'-', _, ..] => return Err(no_option(&word)),
                _ => return Ok(run.ends_with(word, words)),
            };
            let (name, joined) = match option.iter().position(|byte| *byte == b'=') {
                Some(at) => (&option[..at], Some(OsStr::from_bytes(&option[at + 1..]))),
                None => (option, None),
            };
            let name = std::str::from_utf8(name).map_err(|_| no_option(&word))?;
            run.option(name, joined, &word, &mut words)?;
        }
        Err(wrong("no INPUT".to_owned()))
    }

    fn ends_with(mut self, input: OsString, words: impl Iterator<Item = OsString>) -> Self {
        self.input = input;
        self.arguments = words.collect();
        self
    }

    fn option(
        &mut self,
        name: &str,
        joined: Option<&OsStr>,
        word: &OsStr,
        words: &mut dyn Iterator<Item = OsString>,
    ) -> Result<(), RunWords> {
        let compiling = COMPILING.iter().find(|(known, _)| *known == name).map(|(_, takes)| *takes);
        let Some(takes) = compiling.or(options::takes(name)) else {
            return Err(no_option(word));
        };
        let value = match (takes, joined) {
            (Takes::Nothing, Some(_)) => {
                return Err(wrong(format!("--{name} takes no value")));
            }
            (Takes::Value, None) => {
                Some(words.next().ok_or_else(|| wrong(format!("--{name} needs a value")))?)
            }
            (_, joined) => joined.map(OsStr::to_owned),
        };
        if compiling.is_some() {
            return self.compiling(name, value);
        }
        match name {
            "fuel-profile" => self.fuel_profile = true,
            "explain" => self.explain = true,
            "argv0" => self.argv0 = true,
            _ => {}
        }
        self.options.push(match value {
            None => word.to_owned(),
            // In one word: a value may look like an option.
            Some(value) => {
                OsString::from_vec([b"--", name.as_bytes(), b"=", value.as_bytes()].concat())
            }
        });
        Ok(())
    }

    fn compiling(&mut self, name: &str, value: Option<OsString>) -> Result<(), RunWords> {
        let text = || match value.clone().map(OsString::into_string) {
            Some(Ok(text)) => Ok(text),
            _ => Err(wrong(format!("--{name}: the value is not UTF-8"))),
        };
        match name {
            "key" => self.signing.key = Some(text()?),
            "public-key" => self.signing.public_key = Some(text()?.into()),
            "max-sign-time" => {
                self.signing.max_sign_time = Some(parse_time(&text()?).map_err(wrong)?);
            }
            "name" => self.name = Some(text()?),
            "cpu" => self.cpu = Some(text()?),
            "module" => self.with.module.push(named_file(&text()?).map_err(wrong)?),
            "plug" => self.with.plug.extend(value.map(PathBuf::from)),
            "needs" => {
                for word in text()?.split(',') {
                    let permission = Permission::parse(word);
                    self.needs.push(permission.map_err(|error| wrong(error.to_string()))?);
                }
            }
            "no-fuel" => self.no_fuel = true,
            "fast-nans" => self.fast_nans = true,
            "memory" => {
                let kind = text()?;
                self.memory = Memory::from_str(&kind, false)
                    .map_err(|_| wrong(format!("--memory takes guard or checked, not {kind:?}")))?;
            }
            "max-compile-memory" => {
                self.bounded.max_compile_memory = Some(parse_size(&text()?).map_err(wrong)?);
            }
            "max-compile-time" => {
                self.bounded.max_compile_time = Some(parse_time(&text()?).map_err(wrong)?);
            }
            _ => return Err(RunWords::Help),
        }
        Ok(())
    }
}

/// Says that there is no such option, and which one may have been meant.
fn no_option(word: &OsStr) -> RunWords {
    let word = word.to_string_lossy();
    let name = word.trim_start_matches('-').split('=').next().unwrap_or_default();
    if KEEPING.contains(&name) {
        return RunWords::Wrong(
            format!("{word} is an option of compiling alone: a run keeps no artifact for you"),
            Some("in two steps: bls-compile app.wasm -o app.bls && bls-load app.bls".to_owned()),
        );
    }
    let known = COMPILING.iter().chain(&options::RUN).map(|(known, _)| *known);
    wrong(match nearest(name, known) {
        Some(near) => format!("there is no option {word}; did you mean --{near}?"),
        None => format!("there is no option {word}"),
    })
}

/// A command line that is wrong, with nothing special to do about it.
fn wrong(what: String) -> RunWords {
    RunWords::Wrong(what, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Run, RunWords> {
        Run::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn words_go_where_they_belong() {
        let run = parse(&[
            "--dir",
            "data",
            "--fuel=1M",
            "--key",
            "release",
            "--needs=stdout,env:A",
            "--stdin",
            "-x",
            "--explain",
            "--fuel-profile",
            "app.wasm",
            "--fuel",
            "--",
            "x",
        ])
        .unwrap();
        assert_eq!(run.input, "app.wasm");
        assert_eq!(run.arguments, ["--fuel", "--", "x"]);
        assert_eq!(
            run.options,
            ["--dir=data", "--fuel=1M", "--stdin=-x", "--explain", "--fuel-profile"]
        );
        assert_eq!(run.signing.key.as_deref(), Some("release"));
        assert_eq!(run.needs.len(), 2);
        assert!(run.fuel_profile && run.explain && !run.no_fuel && !run.argv0);
        assert_eq!(parse(&["--memory", "checked", "a"]).unwrap().memory, Memory::Checked);
        assert_eq!(run.memory, Memory::Guard);
        assert_eq!(parse(&["--cpu=v3", "a"]).unwrap().cpu.as_deref(), Some("v3"));
        let bounded =
            parse(&["--max-compile-memory=1GiB", "--max-compile-time", "2m", "a"]).unwrap().bounded;
        assert_eq!(bounded.max_compile_memory, Some(1 << 30));
        assert_eq!(bounded.max_compile_time.map(|time| time.as_secs()), Some(120));
        let run =
            parse(&["--plug=a.wasm", "--plug", "b.wasm", "--module", "m=c.wasm", "d"]).unwrap();
        assert_eq!(run.with.plug, [PathBuf::from("a.wasm"), PathBuf::from("b.wasm")]);
        assert_eq!(run.with.module, [("m".to_owned(), PathBuf::from("c.wasm"))]);
        let run = parse(&["--no-fuel", "--", "-odd", "a"]).unwrap();
        assert_eq!((run.input, run.arguments), ("-odd".into(), vec!["a".into()]));
        assert_eq!(parse(&["-"]).unwrap().input, "-");
        assert_eq!(
            parse(&["--fuel-profile=p.txt", "a"]).unwrap().options,
            ["--fuel-profile=p.txt"]
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for (words, said) in [
            (&[][..], "no INPUT"),
            (&["--dir", "a"], "no INPUT"),
            (&["--"], "no INPUT"),
            (&["--dir"], "--dir needs a value"),
            (&["--explain=yes", "a"], "--explain takes no value"),
            (&["--no-fuel=yes", "a"], "--no-fuel takes no value"),
            (&["--fule", "1", "a"], "did you mean --fuel?"),
            (&["--digest", "x", "a"], "there is no option --digest"),
            (&["-v", "a"], "there is no option -v"),
            (&["--needs", "files", "a"], "there is no capability"),
            (&["--memory", "none", "a"], "--memory takes guard or checked"),
            (&["--max-compile-memory", "much", "a"], "is not a size"),
            (&["--max-compile-time", "90", "a"], "is not a time"),
            (&["-o", "x", "a"], "-o is an option of compiling alone"),
            (&["--target=aarch64", "a"], "is an option of compiling alone"),
        ] {
            match parse(words) {
                Err(RunWords::Wrong(what, _)) => assert!(what.contains(said), "{words:?}: {what}"),
                other => panic!("{words:?}: {other:?}"),
            }
        }
        assert_eq!(parse(&["--help"]), Err(RunWords::Help));
        assert_eq!(parse(&["--dir", "x", "-h"]), Err(RunWords::Help));
    }
}
