//! Finds the artifact of a module, or of several that are linked, by what it was made of.
//!
//! A signed manifest names the SHA-256 of its source: of a module's bytes, or of the recipe of
//! several. So a module that is named is hashed, and what is installed is asked for that digest.
//! Where nothing is, a sentence says how to compile it; or it is compiled here and now
//! (`compile.rs`). Guarantees that each digest is of the bytes that were read, once; that what a
//! configuration says of a module's digest holds; and that what is found says it was made of
//! just these. Verifies nothing: the run does.

use super::cli::{Artifact, Options};
use super::compile;
use crate::error::{Cause, Failure, printable};
use crate::store::{Stores, Wanted};
use crate::verify::runs_here;
use bls_artifact::artifact::{Foreign, FrameError, Header};
use bls_artifact::config::{Config, ModuleEntry};
use bls_artifact::digest::Sha256;
use bls_artifact::limits::MODULE_BYTES_MAX;
use bls_artifact::recipe::{Ingredient, Recipe};
use md5::{Digest as _, Md5};
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

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
    /// How they become one program; `None` for a module alone.
    pub(super) recipe: Option<Recipe>,
    pub(super) digest: Sha256,
}

/// Finds what is made of a configuration's modules, or makes it.
pub(super) fn find(config: &Config, options: &Options) -> Result<Found, Failure> {
    let source = read(config)?;
    // A module alone is the same with a recipe as without.
    let alone = match source.modules.as_slice() {
        [module] if source.recipe.is_some() => Some(module.sha256),
        _ => None,
    };
    let all: Vec<Sha256> = [source.digest].into_iter().chain(alone).collect();
    if let Some(found) = installed(&all, options)? {
        return Ok(found);
    }
    let compiler = compile::Compiler::of(options)?.ok_or_else(|| not_installed(&source))?;
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
fn read(config: &Config) -> Result<Source, Failure> {
    let listed = config.in_order();
    if listed.is_empty() {
        // What a configuration of version 0 says of modules is about their files.
        let own = config.modules.iter().find(|module| module.file == config.entry);
        let others = config.modules.iter().filter(|module| module.file != config.entry);
        others
            .filter(|other| other.md5.is_some() || other.sha256.is_some())
            .try_for_each(|other| read_module(other).map(drop))?;
        let entry = ModuleEntry {
            file: config.entry.clone(),
            name: String::new(),
            kind: bls_artifact::config::ModuleKind::Entry,
            md5: own.and_then(|own| own.md5.clone()),
            sha256: own.and_then(|own| own.sha256),
        };
        let module = read_module(&entry)?;
        return Ok(Source { digest: module.sha256, modules: vec![module], recipe: None });
    }
    let modules = listed.into_iter().map(read_module).collect::<Result<Vec<_>, _>>()?;
    let mut parts: Vec<Ingredient> = modules
        .iter()
        .map(|module| Ingredient { name: module.name.clone(), sha256: module.sha256 })
        .collect();
    let recipe = parts.pop().map(|entry| Recipe::new(parts, entry));
    let recipe = recipe.transpose().map_err(|error| {
        failure("module.recipe", error.to_string(), "give each module a name of its own")
    })?;
    let digest = recipe.as_ref().map_or(Sha256::of(b""), Recipe::digest);
    Ok(Source { modules, recipe, digest })
}

fn read_module(entry: &ModuleEntry) -> Result<Module, Failure> {
    let shown = printable(&entry.file);
    let unreadable = |error: std::io::Error| Failure {
        cause: Cause::of_named_io(&error),
        ..failure(
            "module.unreadable",
            format!("cannot read {shown}: {error}"),
            "see that it is there, and that you may read it; a path begins in the folder that this was started in",
        )
    };
    let mut bytes = Vec::new();
    let file = File::open(&entry.file).map_err(unreadable)?;
    file.take(MODULE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MODULE_BYTES_MAX {
        return Err(failure(
            "module.kind",
            format!("{shown} is longer than any module"),
            "name a module",
        ));
    }
    if let Some(expected) = &entry.md5 {
        let actual: String = Md5::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if !actual.eq_ignore_ascii_case(expected) {
            let expected = printable(expected);
            let what = format!("{shown} has the MD5 {actual}, and should have {expected:?}");
            return Err(failure(
                "module.md5",
                what,
                "put the right file there, or its digest into the configuration",
            ));
        }
    }
    let sha256 = Sha256::of(&bytes);
    if let Some(expected) = entry.sha256.filter(|expected| *expected != sha256) {
        let what = format!("{shown} has the SHA-256 {sha256}, and should have {expected}");
        return Err(failure(
            "module.sha256",
            what,
            "put the right file there, or its digest into the configuration",
        ));
    }
    check_kind(&bytes, &shown)?;
    let name = entry.name.clone();
    Ok(Module { name, file: entry.file.clone(), bytes, sha256 })
}

/// Refuses what is no module, text or binary.
fn check_kind(bytes: &[u8], shown: &str) -> Result<(), Failure> {
    let foreign = match Header::parse(bytes, bytes.len() as u64) {
        Err(FrameError::NotAnArtifact(foreign)) => foreign,
        _ => {
            return Err(failure(
                "module.kind",
                format!("{shown} is an artifact already"),
                "name it with .bls at its end",
            ));
        }
    };
    let hint = match foreign {
        Foreign::Module => return Ok(()),
        // A module as text is no more than a text.
        Foreign::Unknown if std::str::from_utf8(bytes).is_ok() => return Ok(()),
        Foreign::Component => "build it for wasip1: rustc --target wasm32-wasip1",
        Foreign::Cwasm => {
            "native code that nobody signed is not run: name the module that it was made of"
        }
        _ => "name a WebAssembly module",
    };
    Err(failure("module.kind", format!("{shown} is {}, not a module", foreign.words()), hint))
}

/// Why there is nothing to run, and how there will be.
fn not_installed(source: &Source) -> Failure {
    let file = |module: &Module| printable(&module.file);
    let [modules @ .., entry] = source.modules.as_slice() else {
        return failure("module.recipe", "there is no module".into(), "name one");
    };
    let name = PathBuf::from(&entry.file);
    let name = name.file_stem().unwrap_or_default().to_string_lossy();
    let name = printable(&name);
    let compile = match modules {
        [] => format!("bls-compile {}", file(entry)),
        modules => {
            let libraries: Vec<String> = modules
                .iter()
                .map(|module| format!("{} --as {}", file(module), printable(&module.name)))
                .collect();
            format!("bls-compile link {} {} -o {name}.bls", libraries.join(" "), file(entry))
        }
    };
    let digest = source.digest;
    failure(
        "module.not-installed",
        format!("nothing that is installed was made of {} (sha256:{digest})", file(entry)),
        &format!(
            "{compile} && bls-load install {name}.bls; or have it compiled when it is first run: --compile-with bls-compile"
        ),
    )
}

pub(super) fn failure(code: &'static str, what: String, hint: &str) -> Failure {
    Failure { stage: "module", code, what, hint: Some(hint.to_owned()), cause: Cause::Refused }
}
