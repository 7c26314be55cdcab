//! Finds the artifact of a module, or of several that are linked, by what it was made of.
//!
//! A signed manifest names the SHA-256 of its source: of a module's bytes, or of the recipe of
//! several. So a module that is named is hashed, and what is installed is asked for that digest.
//! Where nothing is, a sentence says how to compile it; or it is compiled here and now
//! (`compile.rs`). Guarantees that each digest is of the bytes that were read, once; that what a
//! configuration says of a module's digest holds; and that what is found says it was made of
//! just these. Verifies nothing: the run does.

mod error;

use super::cli::{Artifact, Options};
use super::compile;
use crate::error::{Failure, printable};
use crate::store::{Stores, Wanted};
use crate::verify::runs_here;
use bls_artifact::artifact::{Foreign, FrameError, Header, MAGIC};
use bls_artifact::config::{Config, ModuleEntry, ModuleKind};
use bls_artifact::digest::Sha256;
use bls_artifact::limits::MODULE_BYTES_MAX;
use bls_artifact::recipe::{Ingredient, Recipe};
pub(super) use error::ModuleError;
use md5::{Digest as _, Md5};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// What is to be run.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) artifact: Artifact,
    /// What it must have been made of.
    pub(super) source: Option<Sha256>,
}

impl Found {
    pub(super) fn artifact(artifact: Artifact) -> Self {
        Self { artifact, source: None }
    }
}

/// A module that was read.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) file: String,
    pub(super) bytes: Vec<u8>,
    pub(super) sha256: Sha256,
}

/// What an artifact is to have been made of.
#[derive(Debug)]
pub(super) struct Source {
    /// One, or libraries and the entry behind them.
    pub(super) modules: Vec<Module>,
    /// SHA-256 of the module, or of the recipe.
    pub(super) digest: Sha256,
}

/// Finds what is made of a configuration's modules, or makes it.
pub(super) fn find(config: &Config, options: &Options) -> Result<Found, Failure> {
    let source = read(config)?;
    // A module alone is the same with a recipe as without.
    let mut all = vec![source.digest];
    if let [module] = source.modules.as_slice()
        && module.sha256 != source.digest
    {
        all.push(module.sha256);
    }
    if let Some(found) = installed(&all, options)? {
        return Ok(found);
    }
    let compiler = compile::Compiler::of(options)?.ok_or_else(|| source.not_installed())?;
    compiler.compile(&source, &all, options, &|| installed(&all, options))
}

/// What is installed of one of these sources. Where there is a compiler, only what runs here
/// counts: the rest is made anew.
fn installed(sources: &[Sha256], options: &Options) -> Result<Option<Found>, Failure> {
    let stores = match Stores::open(options.store.as_deref()) {
        // It is made with what is first compiled.
        Err(error) if error.is_no_store() => return Ok(None),
        stores => stores?,
    };
    let mut unfit = None;
    for source in sources {
        let Some(made) = stores.made_of(*source, &runs_here)? else { continue };
        let artifact = Artifact::Installed(Wanted::Identity(made.identity));
        let found = Found { artifact, source: Some(*source) };
        if made.is_fit {
            return Ok(Some(found));
        }
        unfit.get_or_insert(found);
    }
    match compile::Compiler::of(options)? {
        Some(_) => Ok(None),
        // Why it does not run is the run's to say.
        None => Ok(unfit),
    }
}

/// Reads and checks all modules.
fn read(config: &Config) -> Result<Source, ModuleError> {
    let listed = config.in_order();
    if listed.is_empty() {
        // What a configuration of version 0 says of modules is about their files.
        let own = config.modules.iter().find(|module| module.file == config.entry);
        let others = config.modules.iter().filter(|module| module.file != config.entry);
        for other in others.filter(|other| other.md5.is_some() || other.sha256.is_some()) {
            let _ = read_module(other)?;
        }
        let entry = ModuleEntry {
            file: config.entry.clone(),
            name: String::new(),
            kind: ModuleKind::Entry,
            md5: own.and_then(|own| own.md5.clone()),
            sha256: own.and_then(|own| own.sha256),
        };
        let module = read_module(&entry)?;
        return Ok(Source { digest: module.sha256, modules: vec![module] });
    }
    let modules = listed.into_iter().map(read_module).collect::<Result<Vec<_>, _>>()?;
    let mut parts: Vec<Ingredient> = modules
        .iter()
        .map(|module| Ingredient { name: module.name.clone(), sha256: module.sha256 })
        .collect();
    // A configuration of version 1 has an entry.
    let entry = parts.remove(parts.len() - 1);
    let recipe = Recipe::new(parts, entry).map_err(ModuleError::Recipe)?;
    Ok(Source { modules, digest: recipe.digest() })
}

fn read_module(entry: &ModuleEntry) -> Result<Module, ModuleError> {
    let shown = printable(&entry.file);
    let mut bytes = Vec::new();
    let read = File::open(&entry.file)
        .and_then(|file| file.take(MODULE_BYTES_MAX + 1).read_to_end(&mut bytes));
    let _ = read.map_err(|error| ModuleError::Unreadable(shown.clone(), error))?;
    if bytes.len() as u64 > MODULE_BYTES_MAX {
        return Err(ModuleError::TooLong(shown));
    }
    if let Some(expected) = &entry.md5 {
        let actual: String = Md5::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if !actual.eq_ignore_ascii_case(expected) {
            return Err(ModuleError::Md5(shown, actual, expected.clone()));
        }
    }
    let sha256 = Sha256::of(&bytes);
    if let Some(expected) = entry.sha256.filter(|expected| *expected != sha256) {
        return Err(ModuleError::Sha256(shown, sha256, expected));
    }
    let foreign = match Header::parse(&bytes, bytes.len() as u64) {
        Err(FrameError::NotAnArtifact(kind)) => kind,
        _ if bytes.starts_with(&MAGIC) => return Err(ModuleError::Artifact(shown)),
        _ => Foreign::Unknown,
    };
    match foreign {
        Foreign::Module => {}
        // A module as text is no more than a text.
        Foreign::Unknown if !bytes.is_empty() && std::str::from_utf8(&bytes).is_ok() => {}
        kind => return Err(ModuleError::Foreign(shown, kind)),
    }
    Ok(Module { name: entry.name.clone(), file: entry.file.clone(), bytes, sha256 })
}

impl Source {
    /// The file of the module that is called, as it is shown.
    pub(super) fn file(&self) -> String {
        printable(self.modules.last().map_or("", |module| &module.file))
    }

    /// Why there is nothing to run, and how there will be.
    fn not_installed(&self) -> ModuleError {
        let name =
            Path::new(&self.file()).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let compile = match self.modules.as_slice() {
            [_] | [] => format!("bls-compile {}", self.file()),
            [libraries @ .., _] => {
                let libraries: Vec<String> = libraries
                    .iter()
                    .map(|module| {
                        format!("{} --as {} ", printable(&module.file), printable(&module.name))
                    })
                    .collect();
                format!("bls-compile link {}{} -o {name}.bls", libraries.concat(), self.file())
            }
        };
        let how = format!("{compile} && bls-load install {name}.bls");
        ModuleError::NotInstalled(self.file(), self.digest, how)
    }
}
