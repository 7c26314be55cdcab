//! The commands about artifacts, other than to run one: options, and words behind them.

use super::{
    Artifact, Command, STDIN, UsageError, Words, help, malformed, print, reference, show, usage,
    wanted,
};
use crate::store::Wanted;
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The commands about artifacts, other than to run one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Verify,
    Install,
    Pull,
    Rollback,
    List,
    Remove,
    Collect,
}

impl Verb {
    pub(super) fn from_word(word: &OsStr) -> Option<Self> {
        Some(match word.to_str()? {
            "verify" => Self::Verify,
            "install" => Self::Install,
            "pull" => Self::Pull,
            "rollback" => Self::Rollback,
            "list" => Self::List,
            "remove" => Self::Remove,
            "gc" => Self::Collect,
            _ => return None,
        })
    }

    /// What its `--help` prints.
    fn help(self) -> &'static str {
        let name = match self {
            Self::Verify => "verify",
            Self::Install => "install",
            Self::Pull => "pull",
            Self::Rollback => "rollback",
            Self::List => "list",
            Self::Remove => "remove",
            Self::Collect => "gc",
        };
        help::of(name).unwrap_or(help::HELP)
    }
}

/// What `binfmt` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Binfmt {
    /// Whether the line is registered, and not printed.
    pub(crate) install: bool,
    /// Whether the kernel keeps this very program.
    pub(crate) fixed: bool,
}

/// Reads what stands behind `binfmt`.
pub(super) fn binfmt(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut binfmt = Binfmt::default();
    while let Some(argument) = parser.next().map_err(malformed)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(print(help::BINFMT)),
            Arg::Long("install") => binfmt.install = true,
            Arg::Long("fixed") => binfmt.fixed = true,
            other => return Err(usage(&format!("binfmt does not take {}", show(&other)))),
        }
    }
    Ok(Command::Binfmt(binfmt))
}

impl Words {
    /// Reads what stands behind such a command.
    pub(super) fn about(mut self, verb: Verb, parser: &mut Parser) -> Result<Command, UsageError> {
        let most = match verb {
            Verb::Install => usize::MAX,
            Verb::Rollback => 2,
            Verb::Verify | Verb::Pull | Verb::List | Verb::Remove | Verb::Collect => 1,
        };
        let mut words = Vec::new();
        while let Some(argument) = parser.next().map_err(malformed)? {
            match argument {
                Arg::Short('h') | Arg::Long("help") => return Ok(print(verb.help())),
                Arg::Long(name) if words.is_empty() => {
                    let name = name.to_owned();
                    self.option(name, parser)?;
                }
                Arg::Value(word) if words.len() < most => words.push(word),
                other => {
                    let takes = match verb {
                        Verb::Install => "options stand before it",
                        Verb::Rollback => "this command takes one, its release, and options before",
                        _ => "this command takes one, and options before it",
                    };
                    return Err(usage(&format!("{} after the artifact: {takes}", show(&other))));
                }
            }
        }
        let misplaced = match verb {
            Verb::Verify | Verb::Install | Verb::Pull | Verb::Rollback => self.run_only.as_ref(),
            Verb::List | Verb::Remove | Verb::Collect => {
                self.run_only.as_ref().or(self.judging.as_ref())
            }
        };
        if let Some(option) = misplaced {
            return Err(usage(&format!("--{option} means nothing to this command")));
        }
        self.check_all_and_json(Some(verb))?;
        self.check_delta(Some(verb), words.first())?;
        self.check_registry(Some(verb))?;
        match verb {
            Verb::Verify => self.verify(words.pop()),
            Verb::Install => self.install(words),
            Verb::Pull => self.pull(words.pop()),
            Verb::Rollback => self.rollback(&words),
            Verb::List => nothing(&words).map(|()| Command::List(self.options.store, self.json)),
            Verb::Collect => nothing(&words).map(|()| Command::Collect(self.options.store)),
            Verb::Remove => match words.pop() {
                Some(word) => Ok(Command::Remove(self.options.store, wanted(&word)?)),
                None => Err(usage("remove needs a name, or sha256:HEX")),
            },
        }
    }

    fn verify(mut self, word: Option<OsString>) -> Result<Command, UsageError> {
        match word {
            None if self.all => Ok(Command::VerifyAll(Box::new(self.options))),
            None => Err(usage("verify needs an artifact, or --all")),
            Some(_) if self.all => Err(usage("verify takes an artifact or --all, not both")),
            Some(word) => {
                self.options.artifact = Artifact::from_word(word)?;
                self.check_digest()?;
                Ok(Command::Verify(Box::new(self.options)))
            }
        }
    }

    fn install(self, words: Vec<OsString>) -> Result<Command, UsageError> {
        self.check_target()?;
        if words.is_empty() && self.options.delta.is_none() {
            return Err(usage("install needs the file of an artifact, or --delta"));
        }
        if words.len() > 1 && self.options.digest.is_some() {
            return Err(usage("--digest is of one file"));
        }
        if words.iter().filter(|word| *word == STDIN).count() > 1 {
            return Err(usage("standard input is one file"));
        }
        let files = words.into_iter().map(PathBuf::from).collect();
        Ok(Command::Install { options: Box::new(self.options), files, dry: self.dry })
    }

    fn pull(self, word: Option<OsString>) -> Result<Command, UsageError> {
        self.check_target()?;
        if self.options.digest.is_some() {
            return Err(usage("--digest is of a file; in a registry: HOST/NAME@sha256:HEX"));
        }
        let word = word.ok_or_else(|| usage("pull needs a reference: ghcr.io/ann/app:1.2"))?;
        let reference = reference(&word)?;
        Ok(Command::Pull { options: Box::new(self.options), reference, dry: self.dry })
    }

    fn rollback(self, words: &[OsString]) -> Result<Command, UsageError> {
        self.check_target()?;
        if self.options.digest.is_some() {
            return Err(usage("--digest is of a file; a release is named by sha256:HEX"));
        }
        let mut words = words.iter().map(|word| wanted(word));
        match (words.next().transpose()?, words.next().transpose()?) {
            (Some(Wanted::Name(_)), Some(Wanted::Name(_))) => {
                Err(usage("the release to go back to is named by sha256:HEX"))
            }
            (Some(Wanted::Name(name)), to) => {
                Ok(Command::Rollback { options: Box::new(self.options), name, to, dry: self.dry })
            }
            _ => Err(usage("rollback needs a name, and perhaps sha256:HEX behind it")),
        }
    }

    /// For another machine, its own store is named.
    fn check_target(&self) -> Result<(), UsageError> {
        if self.options.target.is_some() && self.options.store.is_none() {
            return Err(usage("--target needs the store of that machine: --store DIR"));
        }
        Ok(())
    }
}

fn nothing(words: &[OsString]) -> Result<(), UsageError> {
    match words.first() {
        None => Ok(()),
        Some(word) => Err(usage(&format!("{} is one word too many", word.display()))),
    }
}
