//! Has bls-compile compile a module that is not installed, signs with the node's own key, and
//! installs the result.
//!
//! bls-compile is a program of its own, which parses the module in a process that holds nothing
//! (SECURITY.md, "Where modules are compiled"); it gets an empty environment, the module as its
//! standard input, and three files in memory. One process compiles a source at a time, and
//! whoever waited finds it installed. Guarantees that what is installed is signed by a key that
//! is trusted here, runs here, and says it was made of just this source. Trusts the compiler with
//! no more than any builder's.

use super::cli::{Artifact, Options};
use super::cmd::verified_from_outside;
use super::module::{Found, Module, ModuleError, Source};
use super::stdin::in_memory;
use crate::error::Failure;
use crate::open::Opened;
use crate::store::{self, Compiling, System, Wanted};
use crate::sys::process::Process;
use crate::{install, policy};
use bls_artifact::digest::Sha256;
use bls_artifact::limits::MODULE_BYTES_MAX;
use rustix::io::FdFlags;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;

/// How long a module may take: whoever wants it run waits.
const TIME_MAX: &str = "10m";
/// The most bytes of an artifact: so many times what a module has.
const ARTIFACT_BYTES_MAX: u64 = 4 * MODULE_BYTES_MAX;
/// The most bytes that are read of what the compiler says.
const WORDS_BYTES_MAX: u64 = 4096;
/// What the name of an artifact begins with that nobody named.
const NAME: &str = "source-";
/// Digits of its source's digest that follow.
const DIGITS: usize = 24;

/// The bls-compile that an option or a policy names.
#[derive(Debug)]
pub(super) struct Compiler {
    program: PathBuf,
    key: Option<OsString>,
}

impl Compiler {
    /// The one that an option names; else that of a policy.
    pub(super) fn of(options: &Options) -> Result<Option<Self>, Failure> {
        let rules = policy::load(options.policy.as_deref())?;
        let (program, key) = rules.compiler();
        let Some(program) = options.compile_with.clone().or(program.map(PathBuf::from)) else {
            return Ok(None);
        };
        // A bare word is the program beside this one: never what a variable of a stranger's
        // request finds.
        let program = match program.components().count() {
            1 => {
                std::env::current_exe().map_or(program.clone(), |own| own.with_file_name(&program))
            }
            _ => program,
        };
        let key = options.compile_key.clone().or(key.map(Into::into));
        Ok(Some(Self { program, key }))
    }

    /// Compiles and installs it, unless `find` finds that somebody else did meanwhile.
    pub(super) fn compile(
        &self,
        source: &Source,
        digests: &[Sha256],
        options: &Options,
        find: &dyn Fn() -> Result<Option<Found>, Failure>,
    ) -> Result<Found, Failure> {
        let place = store::place_to_write(options.store.as_deref())?;
        let compiling = Compiling::wait(&place, source.digest)?;
        if let Some(found) = find()? {
            return Ok(found);
        }
        let bytes = self.run(source)?;
        let opened = Opened::from_bytes(&source.file(), bytes)?;
        let (trusted, verified) = verified_from_outside(opened, options)?;
        let facts = verified.facts();
        let made_of = facts.manifest.source;
        if !digests.contains(&made_of) {
            return Err(ModuleError::OtherSource(facts.name.clone()).into());
        }
        let mut disk = System::create(&place, || {})?;
        let reset = trusted.trust.reset_for(&facts.manifest.name);
        let _ = install::install(&mut disk, &*verified, reset)?;
        drop((disk, compiling));
        let identity = Wanted::Identity(facts.identity);
        Ok(Found { artifact: Artifact::Installed(identity), source: Some(made_of) })
    }

    /// Gives the artifact that the compiler wrote.
    fn run(&self, source: &Source) -> Result<Vec<u8>, ModuleError> {
        let failed = |error| ModuleError::Compiler(self.program.clone(), error);
        let (code, mut output, mut words) = self.spawn(source).map_err(failed)?;
        if code == Some(0) {
            return contents(&mut output, ARTIFACT_BYTES_MAX).map_err(failed);
        }
        let words = contents(&mut words, WORDS_BYTES_MAX).map_err(failed)?;
        if words.is_empty() {
            return Err(failed(std::io::Error::other("it ended without a word")));
        }
        let words = String::from_utf8_lossy(&words);
        let lines = words.lines().map(str::trim).filter(|line| !line.is_empty());
        Err(ModuleError::Refused(source.file(), lines.collect::<Vec<_>>().join("; ")))
    }

    /// Gives how it ended, what it wrote, and what it said.
    fn spawn(&self, source: &Source) -> std::io::Result<(Option<i32>, File, File)> {
        // Of several the compiler reads a configuration, and each from a descriptor that it
        // inherits.
        let several = match source.is_linked {
            false => Vec::new(),
            true => {
                let all = source.modules.iter().map(|one| in_memory(&one.bytes));
                all.collect::<Result<_, _>>()?
            }
        };
        let input = match source.modules.as_slice() {
            [module] if !source.is_linked => in_memory(&module.bytes)?,
            modules => in_memory(configuration(modules, &several).as_bytes())?,
        };
        for file in &several {
            rustix::io::fcntl_setfd(file, FdFlags::empty())?;
        }
        let (output, words) = (in_memory(b"")?, in_memory(b"")?);
        let name = format!("{NAME}{}", &source.digest.to_string()[..DIGITS]);
        let mut arguments = ["--quiet", "--max-compile-time", TIME_MAX, "-o", "-", "--name", &name]
            .map(OsStr::new)
            .to_vec();
        if let Some(key) = &self.key {
            arguments.extend([OsStr::new("--key"), key]);
        }
        arguments.push(OsStr::new("-"));
        let streams = [input.as_fd(), output.as_fd(), words.as_fd()];
        let process = Process::start(&self.program, &arguments, &streams)?;
        Ok((process.wait(), output, words))
    }
}

/// A configuration of these modules, the entry last, which are in these files.
fn configuration(modules: &[Module], files: &[File]) -> String {
    let mut text = String::from("{\"version\": 1, \"entry\": \"\", \"modules\": [");
    for (index, (module, file)) in modules.iter().zip(files).enumerate() {
        let is_entry = index + 1 == modules.len();
        let kind = if is_entry { "entry" } else { "module" };
        let between = if is_entry { "]}" } else { "," };
        let number = file.as_raw_fd();
        // Text can always be written.
        let name = serde_json::to_string(&module.name).unwrap_or_default();
        text += &format!(
            "{{\"file\": \"/proc/self/fd/{number}\", \"name\": {name}, \"type\": \"{kind}\"}}{between}"
        );
    }
    text
}

/// All that was written into a file in memory, or its beginning.
fn contents(file: &mut File, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}
