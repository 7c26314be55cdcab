//! `bls-load trust ...`: what was asked for, checked for form.
//!
//! Guarantees that options fit their verb, and that keys, digests, ranges, dates and
//! capabilities are well-formed. Looks at no file.

use super::{Command, UsageError, malformed, show, text};
use crate::trust::{Asked, KeyName, Revocation, Which};
use bls_artifact::capability::Permission;
use bls_artifact::date;
use bls_artifact::digest::Sha256;
use bls_artifact::trust::version::VersionRange;
use bls_artifact::trust::{ClockPolicy, Role, Terms};
use lexopt::{Arg, Parser};
use std::path::PathBuf;

/// What `trust --help` prints.
pub(in crate::program::cli) const HELP: &str = "\
Say whose signatures count on this machine.

Usage: bls-load trust add <KEY> [OPTIONS]
       bls-load trust remove <KEY>...
       bls-load trust revoke [OPTIONS] <KEY|sha256:DIGEST>...
       bls-load trust show [--json] [FILE]
       bls-load trust init [OPTIONS]
       bls-load trust install [--system] [--replace] <FILE>
       bls-load trust verify [--system] <FILE>

KEY is the file of a public key (PEM, or OpenSSH's .pub), - for standard input,
or, of a key that the file knows, its id: 8 of its digits are enough where no
other begins so.
add, remove, revoke and init change your own file.
      --system                /etc/bls/trust.json, which decides for everybody
      --file <FILE>           the one that is named
A file that root keys sign is made so: init --root, add; bls-compile trust sign;
and then install.

add: a key whose signatures count
      --role <ROLE>           compiler | author [default: compiler]
      --prefix <TEXT>         only names that begin so; more than once for more
      --may <CAPABILITY>,...  only what asks for no more: stdout, fs.read:/data
      --not-before <DATE>     2027-01-31 or 2027-01-31T12:00:00Z, in UTC
      --not-after <DATE>      a day is valid to its end
      --comment <TEXT>        [default: the file's name]
remove: a key is no longer trusted; its signatures are unknown ones
revoke: keys, artifacts (by identity, source or image), or what versions made
      --undo                  they are revoked no longer
      --compiler <RANGE>      of bls-compile: \"<0.2.0\", \">=0.1.0, <0.1.3\"
      --engine <RANGE>        of wasmtime, as the artifact names it
init: a new file
      --threshold <N>         so many keys must sign an artifact [default: 1]
      --clock <HOW>           refuse | ignore what has a time, where the clock
                              is wrong
      --root <KEY.pub>        a key that signs this file; once for each
      --root-threshold <N>    so many of them must [default: 1]
install, verify: a signed file, against what was accepted before
      --system                /etc/bls/trust.json, not your own
      --replace               though keys of the plain file in its place are
                              forgotten

Examples:
  bls-load trust add builder.pub
  bls-compile key export | ssh device bls-load trust add -
  bls-load trust add --prefix example. --may stdout,random builder.pub
  bls-load trust revoke --engine \">=48.0.0, <48.0.9\"
  bls-load trust init --file trust.json --root a.pub --root b.pub
";

/// So many digits of an id stand for it.
const KEY_DIGITS_MIN: usize = 8;

/// What to do with a trust file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Add { which: Which, key: PathBuf, comment: Option<String>, terms: Option<Terms> },
    Remove { which: Which, keys: Vec<KeyName> },
    Revoke { which: Which, what: Vec<Asked>, undo: bool },
    Init { which: Which, new: Init },
    Show { file: Option<PathBuf>, json: bool },
    Install { file: PathBuf, system: bool, replace: bool },
    Verify { file: PathBuf, system: bool },
}

/// What a new file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Init {
    pub(crate) threshold: Option<u64>,
    pub(crate) clock: ClockPolicy,
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) root_threshold: Option<u64>,
}

/// All words behind a verb.
#[derive(Default)]
struct Words {
    values: Vec<PathBuf>,
    file: Option<PathBuf>,
    comment: Option<String>,
    terms: Option<Terms>,
    ranges: Vec<Asked>,
    init: Init,
    json: bool,
    system: bool,
    undo: bool,
    replace: bool,
}

/// Reads the words after `trust`; `file` is what `--trust` before it named.
pub(super) fn parse(parser: &mut Parser, file: Option<PathBuf>) -> Result<Command, UsageError> {
    let verb = match parser.next().map_err(malformed)? {
        None => return Err(wrong("trust needs to know what to do")),
        Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Command::Print(HELP.to_owned())),
        Some(Arg::Value(word)) => word.to_string_lossy().into_owned(),
        Some(other) => return Err(wrong(&format!("trust does not understand {}", show(&other)))),
    };
    // Which options a verb has.
    let options: &[&str] = match verb.as_str() {
        "add" => &["file", "system", "role", "prefix", "may", "not-before", "not-after", "comment"],
        "remove" => &["file", "system"],
        "revoke" => &["file", "system", "compiler", "engine", "undo"],
        "init" => &["file", "system", "threshold", "clock", "root", "root-threshold"],
        "show" | "list" => &["json"],
        "install" => &["system", "replace"],
        "verify" => &["system"],
        _ => return Err(wrong(&format!("trust does not understand {verb}"))),
    };
    if file.is_some() && !matches!(verb.as_str(), "show" | "list") {
        return Err(wrong(&format!(
            "--trust names the file that decides, which trust {verb} does not ask; --file names one to change"
        )));
    }
    let mut words = Words::default();
    while let Some(argument) = parser.next().map_err(malformed)? {
        let name = match argument {
            Arg::Value(word) => {
                words.values.push(word.into());
                continue;
            }
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Print(HELP.to_owned())),
            Arg::Long(name) if options.contains(&name) => name.to_owned(),
            other => return Err(wrong(&format!("trust {verb} has no {}", show(&other)))),
        };
        option(&name, &mut words, parser)?;
    }
    command(&verb, words, file).map(|what| Command::Trust(Box::new(what)))
}

fn option(name: &str, words: &mut Words, parser: &mut Parser) -> Result<(), UsageError> {
    match name {
        "json" => words.json = true,
        "system" => words.system = true,
        "undo" => words.undo = true,
        "replace" => words.replace = true,
        "file" => words.file = Some(parser.value().map_err(malformed)?.into()),
        "root" => words.init.roots.push(parser.value().map_err(malformed)?.into()),
        _ => {
            let value = text(parser, name)?;
            return option_of_words(name, &value, words);
        }
    }
    Ok(())
}

/// An option whose value is text.
fn option_of_words(name: &str, value: &str, words: &mut Words) -> Result<(), UsageError> {
    let range = || {
        VersionRange::parse(value).ok_or_else(|| {
            wrong(&format!("--{name} takes a range like \"<0.2.0\" or \">=48.0.0, <48.0.9\""))
        })
    };
    match name {
        "comment" => words.comment = Some(value.to_owned()),
        "compiler" => words.ranges.push(Asked::This(Revocation::Compiler(range()?))),
        "engine" => words.ranges.push(Asked::This(Revocation::Engine(range()?))),
        "threshold" => words.init.threshold = Some(count(name, value)?),
        "root-threshold" => words.init.root_threshold = Some(count(name, value)?),
        "clock" => {
            let policy = ClockPolicy::from_name(value);
            words.init.clock = policy.ok_or_else(|| wrong("--clock takes refuse or ignore"))?;
        }
        _ => return term(name, value, words.terms.get_or_insert_default()),
    }
    Ok(())
}

/// An option that says on which terms a key is trusted.
fn term(name: &str, value: &str, terms: &mut Terms) -> Result<(), UsageError> {
    match name {
        "role" => {
            let role = Role::from_name(value);
            terms.role = role.ok_or_else(|| wrong("--role takes compiler or author"))?;
        }
        "prefix" => terms.prefixes.get_or_insert_default().push(value.to_owned()),
        "may" => {
            let may = terms.may.get_or_insert_default();
            for word in value.split(',').filter(|word| !word.is_empty()) {
                may.push(Permission::parse(word).map_err(|error| wrong(&error.to_string()))?);
            }
        }
        _ => {
            let second = date::parse(value).ok_or_else(|| {
                wrong(&format!("--{name} takes a date like 2027-01-31 or 2027-01-31T12:00:00Z"))
            })?;
            if name == "not-before" {
                terms.not_before = Some(second);
            } else {
                // A day is valid to its end.
                let rest = if value.contains('T') { 0 } else { date::DAY - 1 };
                terms.not_after = Some(second + rest);
            }
        }
    }
    Ok(())
}

fn command(verb: &str, words: Words, trust: Option<PathBuf>) -> Result<Trust, UsageError> {
    let Words { mut values, file, comment, terms, ranges, init, json, system, undo, replace } =
        words;
    let which = match file {
        Some(_) if system => return Err(wrong("trust takes --file or --system, not both")),
        Some(file) => Which::Named(file),
        None if system => Which::System,
        None => Which::Own,
    };
    if verb == "revoke" {
        let mut what = ranges;
        for value in values {
            what.push(revocation(value)?);
        }
        if what.is_empty() {
            return Err(wrong("trust revoke needs to know what"));
        }
        return Ok(Trust::Revoke { which, what, undo });
    }
    if verb == "remove" {
        let keys = values.into_iter().map(key_name).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(wrong("trust remove needs to know which key"));
        }
        return Ok(Trust::Remove { which, keys });
    }
    let value = values.pop();
    if let Some(other) = values.first() {
        return Err(wrong(&format!("trust {verb} takes one file, not also {}", other.display())));
    }
    Ok(match (verb, value) {
        ("add", Some(key)) => Trust::Add { which, key, comment, terms },
        ("add", None) => return Err(wrong("trust add needs the file of a public key")),
        ("init", None) if init.root_threshold.is_some() && init.roots.is_empty() => {
            return Err(wrong("--root-threshold means nothing without --root"));
        }
        ("init", None) => Trust::Init { which, new: init },
        ("init", Some(_)) => return Err(wrong("trust init names its file with --file")),
        ("install", Some(file)) => Trust::Install { file, system, replace },
        ("verify", Some(file)) => Trust::Verify { file, system },
        ("install" | "verify", None) => {
            return Err(wrong(&format!("trust {verb} needs a trust file")));
        }
        (_, file) => Trust::Show { file: file.or(trust), json },
    })
}

/// A key, or the digest of something.
fn revocation(word: PathBuf) -> Result<Asked, UsageError> {
    let Some(digest) = word.to_str().and_then(|text| text.strip_prefix("sha256:")) else {
        return key_name(word).map(Asked::Key);
    };
    let digest = Sha256::from_hex(digest).ok_or_else(|| {
        wrong(&format!("trust revoke takes all 64 hex digits of a digest, not {digest:?}"))
    })?;
    Ok(Asked::This(Revocation::Digest(digest)))
}

/// A key's id, or its file: what holds a `/` or a dot, or is `-`.
fn key_name(word: PathBuf) -> Result<KeyName, UsageError> {
    let text = word.to_string_lossy();
    if text == "-" || text.contains(['/', '.']) {
        return Ok(KeyName::File(word));
    }
    let is_id = (KEY_DIGITS_MIN..=64).contains(&text.len())
        && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_id {
        return Err(wrong(&format!(
            "{text:?} names no key: a key's id has 64 hex digits, of which the first \
             {KEY_DIGITS_MIN} or more are enough, and its file is KEY.pub or ./KEY"
        )));
    }
    Ok(KeyName::Id(text.to_ascii_lowercase()))
}

fn count(option: &str, value: &str) -> Result<u64, UsageError> {
    value.parse().map_err(|_| wrong(&format!("--{option} takes a number, not {value:?}")))
}

fn wrong(what: &str) -> UsageError {
    UsageError { what: what.to_owned(), hint: "bls-load trust --help" }
}
