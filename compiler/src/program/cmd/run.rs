//! `bls-compile run INPUT`: compile, or find what was compiled, and become bls-load.
//!
//! Guarantees that what is run is verified as any artifact: bls-load gets a file, and
//! trusts nothing because it comes from here. This process is replaced: exit code, signals
//! and streams are bls-load's.

use super::cpu::machines;
use super::obtain::{How, Kept, Wish, obtain};
use super::{Failure, print, say};
use crate::input::artifact_name;
use crate::pipeline::{Error, Options};
use crate::program::cache::{Cache, CacheError, Folder};
use crate::program::cli::help::HELP_RUN;
use crate::program::cli::run::{Run, RunWords};
use crate::program::modules::{self, Inputs};
use crate::program::sibling;
use bls_artifact::name::{self, is_name};
use bls_artifact::target::Nans;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The program that runs artifacts.
const LOADER: &str = "bls-load";

impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        Self::new("cache", error.code(), &error, Some(error.hint()))
    }
}

/// Does not come back where it succeeds.
pub(super) fn run(words: &[OsString]) -> Result<(), Failure> {
    let run = match Run::parse(words.iter().cloned()) {
        Ok(run) => run,
        Err(RunWords::Help) => return print(HELP_RUN),
        Err(RunWords::Wrong(what, hint)) => {
            let hint = hint.unwrap_or_else(|| "see bls-compile run --help".to_owned());
            return Err(Failure::usage(what, Some(hint)));
        }
    };
    let artifact = artifact(&run)?;
    let mut command = Command::new(sibling(LOADER));
    command.args(&run.options);
    if !run.argv0 {
        command.arg("--argv0").arg(Path::new(&run.input).file_name().unwrap_or(&run.input));
    }
    let error = command.arg(artifact).args(&run.arguments).exec();
    let hint = match error.kind() {
        io::ErrorKind::NotFound => {
            "put bls-load beside bls-compile, or into a folder of PATH".to_owned()
        }
        _ => format!("see that you may run {}", Path::new(command.get_program()).display()),
    };
    Err(Failure {
        stage: "run",
        code: "run.no-loader",
        what: format!("cannot run {}: {error}", Path::new(command.get_program()).display()),
        excerpt: Vec::new(),
        hint: Some(hint),
    })
}

/// The artifact of a module: kept from before, or compiled now.
fn artifact(run: &Run) -> Result<PathBuf, Failure> {
    let reading = Instant::now();
    let Inputs { given, config, .. } = modules::read(Path::new(&run.input), &run.with)?;
    if config.is_some() {
        return Err(Failure::usage(
            "a configuration says how to run what it names, and this takes a module",
            Some(format!("bls-load run {}", Path::new(&run.input).display())),
        ));
    }
    let options = options(run, given.label())?;
    let name = options.name.clone();
    let cache = Cache::from(Folder::of_user()?);
    let wish = Wish {
        given,
        options,
        limits: run.bounded.into(),
        signing: &(&run.signing).into(),
        existing: None,
        cache: Some(Kept { cache: &cache, name: name.as_deref(), is_result: true }),
        trusted: &[],
        progress: true,
        reading,
    };
    let obtained = obtain(wish, &mut |text| say(&text))?;
    let what = if obtained.how == How::Compiled { "compiled to" } else { "found in" };
    // It is the entry that is run.
    let kept = obtained.kept.unwrap_or_default();
    explain(run, what, &kept, reading);
    Ok(kept)
}

/// How to compile it. Its name is none that would be installed: a release of the same name
/// must not keep what is being worked on from running.
fn options(run: &Run, label: &str) -> Result<Options, Failure> {
    let name = match &run.name {
        Some(name) => match name::check(name) {
            Ok(()) => name.clone(),
            Err(why) => return Err(Error::Name(why, name.clone(), true).into()),
        },
        None => {
            let local = format!("{}.local", artifact_name(label));
            if is_name(&local) { local } else { "module.local".to_owned() }
        }
    };
    Ok(Options {
        metered: !run.no_fuel,
        fuel_profile: run.fuel_profile,
        nans: if run.fast_nans { Nans::Fast } else { Nans::Canonical },
        bounds: run.memory.into(),
        name: Some(name),
        needs: run.needs.clone(),
        ..Options::new(machines(&[], run.cpu.as_deref())?)
    })
}

fn explain(run: &Run, what: &str, path: &Path, begin: Instant) {
    if run.explain {
        say(&format!(
            "bls-compile: run: {what} {} ({} µs)",
            path.display(),
            begin.elapsed().as_micros()
        ));
    }
}
