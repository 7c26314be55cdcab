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
use crate::error::{Failure, printable, printable_path};
use crate::store::{Stores, Wanted};
use crate::verify::runs_here;
use bls_artifact::artifact::{Foreign, FrameError, Header, MAGIC};
use bls_artifact::config::{Config, ModuleEntry, ModuleKind};
use bls_artifact::digest::Sha256;
use bls_artifact::limits::MODULE_BYTES_MAX;
use bls_artifact::manifest::Manifest;
use bls_artifact::recipe::{ENTRY_NAME, Ingredient, Recipe};
pub(super) use error::ModuleError;
use md5::{Digest as _, Md5};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What modules import that are called by others, or call others, by name: linking makes it.
const LINKED: &str = "blockless";

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
    /// Whether they are linked, and one alone is too: then it may call others by `blockless`.
    pub(super) is_linked: bool,
}

/// Finds what is made of a configuration's modules, or makes it. `file` is where it was read.
pub(super) fn find(
    config: &Config,
    file: Option<&Path>,
    options: &Options,
) -> Result<Found, Failure> {
    let source = read(config)?;
    // A module alone is the same with a recipe as without, but for what is made by linking.
    let mut all = vec![source.digest];
    if let [module] = source.modules.as_slice()
        && module.sha256 != source.digest
    {
        all.push(module.sha256);
    }
    if let Some(found) = installed(&all, options)? {
        return Ok(found);
    }
    let compiler = compile::Compiler::of(options)?.ok_or_else(|| source.not_installed(file))?;
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
        let is_alone = sources.first() != Some(source);
        let is_fit = |manifest: &Manifest| {
            runs_here(manifest)
                && !(is_alone && manifest.module.imports.iter().any(|one| one.module == LINKED))
        };
        let Some(made) = stores.made_of(*source, &is_fit)? else { continue };
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
        return Ok(Source { digest: module.sha256, modules: vec![module], is_linked: false });
    }
    let modules = listed.into_iter().map(read_module).collect::<Result<Vec<_>, _>>()?;
    let mut parts: Vec<Ingredient> = modules
        .iter()
        .map(|module| Ingredient { name: module.name.clone(), sha256: module.sha256 })
        .collect();
    // A configuration of version 1 has an entry.
    let entry = parts.remove(parts.len() - 1);
    let recipe = Recipe::new(parts, entry).map_err(ModuleError::Recipe)?;
    Ok(Source { modules, digest: recipe.digest(), is_linked: true })
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
    let name = match (entry.name.as_str(), entry.kind) {
        // As the compiler has it.
        ("", ModuleKind::Entry) => ENTRY_NAME.to_owned(),
        (name, _) => name.to_owned(),
    };
    Ok(Module { name, file: entry.file.clone(), bytes, sha256 })
}

impl Source {
    /// The file of the module that is called, as it is shown.
    pub(super) fn file(&self) -> String {
        printable(self.modules.last().map_or("", |module| &module.file))
    }

    /// Why there is nothing to run, and how there will be. `config` is the configuration that
    /// named the modules.
    fn not_installed(&self, config: Option<&Path>) -> ModuleError {
        let name = PathBuf::from(self.file());
        let name = name.file_stem().unwrap_or_default().to_string_lossy();
        let input = match (config, self.modules.as_slice()) {
            (Some(config), _) if self.is_linked => printable_path(config),
            (None, [libraries @ .., _]) => {
                let module = |one: &Module| {
                    format!(" --module {}={}", printable(&one.name), printable(&one.file))
                };
                self.file() + &libraries.iter().map(module).collect::<String>()
            }
            _ => self.file(),
        };
        let how = format!("bls-compile {input} && bls-load install {name}.bls");
        ModuleError::NotInstalled(self.file(), self.digest, how)
    }
}
