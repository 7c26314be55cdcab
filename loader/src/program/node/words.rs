//! The node's words: flags and positionals in any order, and behind `--` the guest's arguments.
//!
//! Guarantees that each flag is known and its value has its form: a number is a number, a pair
//! has a `=`. Options of bls-load's own that the network has not are passed on as they are. Looks
//! at no file.

use crate::program::cli::help::no_option_of;
use bls_artifact::options::{self, Takes};
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};

/// What stands behind a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Nothing,
    Text,
    Number,
    /// `NAME=VALUE`.
    Pair,
    /// A URL.
    Url,
    /// Perhaps a list, behind a `=`.
    List,
}

/// Every flag, without its dashes.
pub(super) const FLAGS: [(&str, Form); 37] = [
    ("fs-root-path", Form::Text),
    ("dir", Form::Text),
    ("drivers-root-path", Form::Text),
    ("entry", Form::Text),
    ("module", Form::Pair),
    ("limited-fuel", Form::Number),
    ("limited-memory", Form::Number),
    ("max-memory-size", Form::Number),
    ("run-time", Form::Number),
    ("runtime-logger", Form::Text),
    ("permission", Form::Url),
    ("allow-read", Form::List),
    ("allow-write", Form::List),
    ("allow-net", Form::List),
    ("allow-all", Form::Nothing),
    ("deny-read", Form::List),
    ("deny-write", Form::List),
    ("deny-net", Form::List),
    ("env", Form::Pair),
    ("env-file", Form::Text),
    ("stdin", Form::Text),
    ("stdout", Form::Text),
    ("stderr", Form::Text),
    ("tcplisten", Form::Text),
    ("unknown-imports-trap", Form::Nothing),
    ("debug-info", Form::Nothing),
    ("feature-thread", Form::Nothing),
    ("opt", Form::Pair),
    ("nn", Form::Nothing),
    ("nn-graph", Form::Pair),
    ("v86", Form::Nothing),
    ("cli-exit-with-code", Form::Nothing),
    ("network-error-code", Form::Nothing),
    ("help", Form::Nothing),
    ("version", Form::Nothing),
    ("h", Form::Nothing),
    ("V", Form::Nothing),
];

/// Why words are none of these.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// They ask which release this is.
    Version,
    /// They make no sense; why.
    Usage(String),
}

/// A command line, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) input: OsString,
    /// The guest's.
    pub(super) arguments: Vec<OsString>,
    flags: Vec<(&'static str, OsString)>,
    /// Options of bls-load's own.
    pub(super) own: Vec<OsString>,
}

impl Words {
    /// Reads the words behind the program's name; `None` where they ask for help.
    pub(super) fn parse(words: impl Iterator<Item = OsString>) -> Result<Option<Self>, Wrong> {
        let mut parser = Parser::from_args(words);
        let mut all = Self::default();
        let mut input = None;
        while let Some(argument) = parser.next().map_err(malformed)? {
            let name = match argument {
                Arg::Value(word) if input.is_none() => {
                    input = Some(word);
                    continue;
                }
                Arg::Value(word) => {
                    all.arguments.push(word);
                    continue;
                }
                Arg::Short('O') => "opt".to_owned(),
                Arg::Short(letter) => letter.to_string(),
                Arg::Long(name) => name.to_owned(),
            };
            match FLAGS.iter().find(|(known, _)| *known == name) {
                Some(("help" | "h", _)) => return Ok(None),
                Some(("version" | "V", _)) => return Err(Wrong::Version),
                Some((name, form)) => {
                    let value = form.value(name, &mut parser)?;
                    all.flags.push((name, value));
                }
                None => all.own.push(own(&name, &mut parser)?),
            }
        }
        match input {
            Some(input) if !input.is_empty() => Ok(Some(Self { input, ..all })),
            _ => Err(Wrong::Usage("no INPUT".to_owned())),
        }
    }

    /// The values of a flag, in their order.
    pub(super) fn all(&self, flag: &'static str) -> impl Iterator<Item = &OsStr> {
        self.flags.iter().filter(move |(name, _)| *name == flag).map(|(_, value)| value.as_os_str())
    }

    /// The value that a flag was given last.
    pub(super) fn last(&self, flag: &'static str) -> Option<&OsStr> {
        self.all(flag).last()
    }

    pub(super) fn text(&self, flag: &'static str) -> Option<String> {
        self.last(flag).map(|value| value.to_string_lossy().into_owned())
    }

    pub(super) fn number(&self, flag: &'static str) -> Option<u64> {
        self.last(flag)?.to_str()?.parse().ok()
    }

    pub(super) fn has(&self, flag: &'static str) -> bool {
        self.last(flag).is_some()
    }

    /// The elements of all lists of a flag; empty where it was given without one, which means
    /// everything, and `None` where it was not given.
    pub(super) fn list(&self, flag: &'static str) -> Option<Vec<String>> {
        let lists: Vec<String> =
            self.all(flag).map(|value| value.to_string_lossy().into_owned()).collect();
        if lists.is_empty() {
            return None;
        }
        if lists.iter().any(String::is_empty) {
            return Some(Vec::new());
        }
        Some(lists.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect())
    }
}

impl Form {
    fn value(self, name: &str, parser: &mut Parser) -> Result<OsString, Wrong> {
        let wrong = |what: &str| Wrong::Usage(format!("--{name} takes {what}"));
        let value = match self {
            Self::Nothing => return Ok(OsString::new()),
            Self::List => {
                return match parser.optional_value() {
                    // Everything is granted by a flag without a value, and not by a variable
                    // of a script that is not set.
                    Some(value) if value.is_empty() => Err(wrong("no value, or one behind a =")),
                    value => Ok(value.unwrap_or_default()),
                };
            }
            _ => parser.value().map_err(malformed)?,
        };
        let Some(text) = value.to_str() else {
            // A path can be anything; the others are words.
            return if self == Self::Text { Ok(value) } else { Err(wrong("UTF-8")) };
        };
        match self {
            Self::Number if text.parse::<u64>().is_err() => Err(wrong("a whole number")),
            Self::Pair if text.find('=').is_none_or(|at| at == 0) => Err(wrong("NAME=VALUE")),
            Self::Url if !text.contains("://") => Err(wrong("a URL")),
            _ => Ok(value),
        }
    }
}

/// An option of bls-load's own, in one word.
fn own(name: &str, parser: &mut Parser) -> Result<OsString, Wrong> {
    let mut word = OsString::from(format!("--{name}"));
    let value = match options::takes(name) {
        None => {
            let dashes = if name.len() == 1 { "-" } else { "--" };
            let known = FLAGS.iter().map(|(name, _)| *name);
            return Err(Wrong::Usage(no_option_of(&format!("{dashes}{name}"), known)));
        }
        Some(Takes::Nothing) => None,
        Some(Takes::Value) => Some(parser.value().map_err(malformed)?),
        Some(Takes::MaybeValue) => parser.optional_value(),
    };
    if let Some(value) = value {
        word.push("=");
        word.push(value);
    }
    Ok(word)
}

fn malformed(error: lexopt::Error) -> Wrong {
    Wrong::Usage(match error {
        lexopt::Error::MissingValue { option: Some(option) } => format!("{option} needs a value"),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Option<Words>, Wrong> {
        Words::parse(words.iter().map(OsString::from))
    }

    fn read(words: &[&str]) -> Words {
        parse(words).unwrap().unwrap()
    }

    #[test]
    fn flags_and_positionals_come_in_any_order() {
        let words = read(&[
            "--limited-fuel=7",
            "app.wasm",
            "one",
            "--dir",
            "a",
            "two",
            "--dir=b::/c",
            "--allow-net",
            "--",
            "--dir",
            "x",
            "",
        ]);
        assert_eq!(words.input, "app.wasm");
        assert_eq!(words.arguments, ["one", "two", "--dir", "x", ""]);
        assert_eq!(words.number("limited-fuel"), Some(7));
        assert_eq!(words.all("dir").collect::<Vec<_>>(), ["a", "b::/c"]);
        assert_eq!(words.list("allow-net"), Some(Vec::new()));
        assert_eq!(words.list("allow-read"), None);
        assert!(words.has("allow-net") && !words.has("allow-all"));
        assert_eq!(read(&["--", "app.wasm", "-x"]).arguments, ["-x"]);
    }

    #[test]
    fn lists_stand_behind_an_equals_sign() {
        let words = read(&["--allow-read=/a,b", "--allow-read=c", "--deny-read", "app.wasm"]);
        assert_eq!(words.list("allow-read"), Some(vec!["/a".into(), "b".into(), "c".into()]));
        assert_eq!(words.list("deny-read"), Some(Vec::new()));
        assert_eq!(words.input, "app.wasm");
    }

    #[test]
    fn options_of_our_own_are_passed_on() {
        let words = read(&["a.wasm", "--store", "/s", "--explain", "--report=-", "--timeout=1s"]);
        assert_eq!(words.own, ["--store=/s", "--explain", "--report=-", "--timeout=1s"]);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (words, said) in [
            (&[][..], "no INPUT"),
            (&["--entry"], "--entry needs a value"),
            (&["a", "--limited-fuel", "many"], "--limited-fuel takes a whole number"),
            (&["a", "--limited-fuel", "-1"], "--limited-fuel takes a whole number"),
            (&["a", "--env", "K"], "--env takes NAME=VALUE"),
            (&["a", "--module", "=x"], "--module takes NAME=VALUE"),
            (&["a", "--permission", "here"], "--permission takes a URL"),
            (&["a", "--limted-fuel", "1"], "did you mean --limited-fuel?"),
            (&["a", "--debug-info=yes"], "unexpected argument"),
            (&["a", "-x"], "there is no option -x"),
        ] {
            match parse(words) {
                Err(Wrong::Usage(what)) => assert!(what.contains(said), "{words:?}: {what}"),
                other => panic!("{words:?}: {other:?}"),
            }
        }
        assert_eq!(parse(&["a", "--help"]), Ok(None));
        assert_eq!(parse(&["-V"]), Err(Wrong::Version));
    }
}
