//! Stage *compile*: an [`Audited`] becomes an [`Image`] for each target. (In the program,
//! what becomes one is audited by another process in the meantime, and nothing is made of the
//! image before it passed.)
//!
//! wasmtime's `precompile_module` with Cranelift. The target is always explicit,
//! so that the CPU of the machine that compiles is never asked; there is no
//! cache. Guarantees: the same module, target and profile give the same image on
//! any machine with any number of threads. The code generator's flags are one
//! constant table, `flags`, and how hard it tries depends on the module alone
//! ([`crate::compile::effort`]): no user chooses them.

pub mod effort;

use crate::audit::Audited;
use crate::compile::effort::{Effort, effort};
use crate::hints::Hinted;
use crate::sys::{self, Flag};
use bls_artifact::limits::{IMAGE_BYTES_MAX, IMAGE_ZEROS_MAX};
use bls_artifact::target::{EngineProfile, Target};
use cranelift_codegen::isa;
use cranelift_codegen::settings::{self, Configurable as _};
use object::{Object as _, ObjectSection as _};
use std::fmt;
use wasmparser::{BinaryReaderError, Parser, Payload};
use wasmtime::{Engine, OptLevel, RegallocAlgorithm, Strategy};

/// Why a module cannot be compiled.
#[derive(Debug)]
pub enum CompileError {
    /// The engine or code generator refused its settings: a defect of ours.
    Settings(Target, String),
    /// The code generator refused the module.
    Module(Target, String),
    /// The image is longer than the format allows.
    TooLong(Target, u64),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(target, what) => {
                write!(f, "internal error: the settings for {target} do not work: {what}")
            }
            Self::Module(target, what) => write!(f, "cannot compile for {target}: {what}"),
            Self::TooLong(target, bytes) => {
                write!(f, "the image for {target} has {bytes} bytes, more than the format allows")
            }
        }
    }
}

impl std::error::Error for CompileError {}

impl CompileError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Settings(..) => "compile.settings",
            Self::Module(..) => "compile.module",
            Self::TooLong(..) => "compile.too-long",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Settings(..) => "this is a defect of bls-compile; please report it",
            Self::Module(..) => "try another --target; if the module is sound, please report it",
            Self::TooLong(..) => "split the module",
        }
    }
}

/// What the code for a target is generated with, beyond the architecture's own:
/// the baseline CPU of each [`Target`], and on Arm signed return addresses. (Not branch
/// targets: what this code generator begins a function with where it signs, `paciaz`, is
/// none, and a tail call through a register jumps to what would have to be another kind.)
const fn flags(target: Target) -> &'static [Flag] {
    match target {
        Target::X86_64 => &[Flag::Preset("x86-64-v2")],
        Target::Aarch64 => &[Flag::On("sign_return_address")],
        Target::Riscv64 => &[Flag::Preset("has_c")],
        Target::S390x | Target::Pulley32 | Target::Pulley64 => &[],
    }
}

/// Masks of indices, against what the processor does where it guesses wrongly: of memories
/// and of tables. The code generator's default, and not left to that.
const MASKS: [Flag; 2] = [
    Flag::On("enable_heap_access_spectre_mitigation"),
    Flag::On("enable_table_access_spectre_mitigation"),
];

/// A native image, exactly as wasmtime made it.
#[derive(Clone, Debug)]
pub struct Image {
    target: Target,
    profile: EngineProfile,
    cpu_features: Vec<String>,
    page_size: u64,
    effort: Effort,
    bytes: Vec<u8>,
}

impl Image {
    /// What the code generator made, here or in another process, with what there is to say of
    /// it. Of the bytes only the alignment of their sections is read.
    ///
    /// # Errors
    /// [`CompileError`].
    pub(crate) fn new(
        target: Target,
        profile: &EngineProfile,
        effort: Effort,
        bytes: Vec<u8>,
    ) -> Result<Self, CompileError> {
        if bytes.len() as u64 > IMAGE_BYTES_MAX {
            return Err(CompileError::TooLong(target, bytes.len() as u64));
        }
        let unreadable = |what: &dyn fmt::Display| CompileError::Settings(target, what.to_string());
        let cpu_features = cpu_features(target).map_err(|error| unreadable(&error))?;
        let page_size = alignment(&bytes).map_err(|error| unreadable(&error))?;
        Ok(Self { target, profile: profile.clone(), cpu_features, page_size, effort, bytes })
    }

    /// What it runs on.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// The settings of the engine.
    #[must_use]
    pub fn profile(&self) -> &EngineProfile {
        &self.profile
    }

    /// CPU features the code may use, by Cranelift's names, sorted.
    #[must_use]
    pub fn cpu_features(&self) -> &[String] {
        &self.cpu_features
    }

    /// Bytes that its sections are aligned to.
    #[must_use]
    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// Whether it is optimised.
    #[must_use]
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// The image: an ELF file of wasmtime's.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, when nothing else is wanted any more.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Compiles a module for one target.
///
/// # Errors
/// [`CompileError`].
pub fn compile(
    module: &Audited,
    target: Target,
    profile: &EngineProfile,
) -> Result<Image, CompileError> {
    generate(module.wasm(), module.joining(), target, profile, 0)
}

/// The same for a module that is audited elsewhere in the meantime ([`crate::child`]), whose
/// source's branches carry `joining`. By so many threads; 0 leaves it to the system.
///
/// # Errors
/// [`CompileError`].
pub(crate) fn generate(
    wasm: &[u8],
    joining: u64,
    target: Target,
    profile: &EngineProfile,
    threads: usize,
) -> Result<Image, CompileError> {
    let refused = |what: &dyn fmt::Display| CompileError::Module(target, what.to_string());
    let effort = effort(wasm, joining).map_err(|error| refused(&error))?;
    let memories = memories(wasm).map_err(|error| refused(&error))?;
    let hinted = Hinted::of(wasm).map_err(|error| refused(&error))?;
    // Where the system gives no threads, this one does the work.
    let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok();
    let settings = Settings {
        effort,
        // A guest's own hints are not read: they say where its code was before it was metered.
        has_hints: hinted.has_hints(),
        zeros_max: IMAGE_ZEROS_MAX / memories.max(1),
        is_parallel: threads.is_some(),
    };
    let engine = engine(target, profile, settings)
        .map_err(|error| CompileError::Settings(target, format!("{error:#}")))?;
    let precompile = || engine.precompile_module(hinted.wasm());
    let bytes = threads
        .map_or_else(precompile, |threads| threads.install(precompile))
        .map_err(|error| CompileError::Module(target, format!("{error:#}")))?;
    Image::new(target, profile, effort, bytes)
}

/// How many memories a module defines.
fn memories(wasm: &[u8]) -> Result<u64, BinaryReaderError> {
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::MemorySection(section) => return Ok(section.count().into()),
            Payload::CodeSectionStart { .. } => break,
            _ => {}
        }
    }
    Ok(0)
}

/// What of an engine depends on the module, or on the machine that compiles.
#[derive(Clone, Copy, Debug)]
struct Settings {
    effort: Effort,
    has_hints: bool,
    /// Bytes of one memory that the image may hold where most of them are zero.
    zeros_max: u64,
    /// Changes nothing of the image.
    is_parallel: bool,
}

/// An engine that generates code for a target.
fn engine(target: Target, profile: &EngineProfile, settings: Settings) -> wasmtime::Result<Engine> {
    let mut config = profile.config();
    config
        .target(target.triple())?
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(match settings.effort {
            Effort::Full => OptLevel::Speed,
            Effort::Least => OptLevel::None,
        })
        .cranelift_nan_canonicalization(profile.canonical_nans())
        .cranelift_regalloc_algorithm(match settings.effort {
            Effort::Full => RegallocAlgorithm::Backtracking,
            Effort::Least => RegallocAlgorithm::SinglePass,
        })
        .wasm_branch_hinting(settings.has_hints)
        .memory_guaranteed_dense_image_size(settings.zeros_max)
        .parallel_compilation(settings.is_parallel);
    sys::enable(&mut config, flags(target));
    if profile.traps_by_signals() {
        // They need an access that faults, which bytecode for the interpreter has not.
        sys::enable(&mut config, &MASKS);
    }
    Engine::new(&config)
}

/// The CPU features that the flags of a target stand for, asked from the code
/// generator itself.
fn cpu_features(target: Target) -> Result<Vec<String>, String> {
    let mut builder = isa::lookup_by_name(target.triple()).map_err(|error| error.to_string())?;
    for flag in flags(target) {
        match flag {
            Flag::Preset(name) => builder.enable(name),
            Flag::On(name) => builder.set(name, "true"),
        }
        .map_err(|error| error.to_string())?;
    }
    let isa = builder
        .finish(settings::Flags::new(settings::builder()))
        .map_err(|error| error.to_string())?;
    let mut features: Vec<String> = isa
        .isa_flags()
        .iter()
        .filter(|flag| flag.name.starts_with("has_") && flag.as_bool() == Some(true))
        .map(|flag| flag.name.to_owned())
        .collect();
    features.sort_unstable();
    Ok(features)
}

/// The largest alignment of a section in an image.
fn alignment(image: &[u8]) -> Result<u64, object::Error> {
    let file = object::File::parse(image)?;
    Ok(file.sections().map(|section| section.align()).max().unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::audit;
    use crate::input::Source;
    use crate::ready::ready;
    use crate::validate::validate;
    use bls_artifact::target::Nans;

    /// Whether a setting is on in what wasmtime wrote of its settings into an image: behind
    /// each name stand the kind of its value (2: a switch) and the value.
    fn is_on(setting: &str, image: &[u8]) -> bool {
        let file = object::File::parse(image).unwrap();
        let settings = file.section_by_name(".wasmtime.engine").unwrap().data().unwrap();
        let name = [&[setting.len() as u8], setting.as_bytes()].concat();
        let places = settings.windows(name.len()).enumerate().filter(|(_, bytes)| *bytes == name);
        let values: Vec<&[u8]> =
            places.map(|(at, _)| &settings[at + name.len()..at + name.len() + 2]).collect();
        assert!(values.len() <= 1 && values.iter().all(|value| value[0] == 2), "{setting}");
        values == [&[2, 1]]
    }

    #[test]
    fn every_target_compiles_and_says_what_it_needs() {
        for target in Target::ALL {
            let profile = EngineProfile::of(target, Nans::Canonical);
            let wat = "(module (func (export \"f\") (param i32) (result i32)
                         local.get 0 i32.popcnt))";
            let source = Source::new(wat.as_bytes().to_vec(), "t.wat").unwrap();
            let valid = validate(source, &profile).unwrap();
            let module = audit(&valid, ready(&valid, false).unwrap()).unwrap();
            let image = compile(&module, target, &profile).unwrap();
            assert!(image.page_size().is_power_of_two() && image.page_size() >= 4096);
            // wasmtime wrote each flag's name into the image: ours must be there.
            for feature in image.cpu_features() {
                let written = image.bytes().windows(feature.len()).any(|w| w == feature.as_bytes());
                assert!(written, "{target}: {feature}");
            }
            for Flag::On(mask) | Flag::Preset(mask) in MASKS {
                assert_eq!(is_on(mask, image.bytes()), !target.is_portable(), "{target}: {mask}");
            }
            let signs = is_on("sign_return_address", image.bytes());
            assert_eq!(signs, target == Target::Aarch64, "{target}");
            assert!(!is_on("use_bti", image.bytes()), "{target}");
            let expected: &[&str] = match target {
                Target::X86_64 => &[
                    "has_cmpxchg16b",
                    "has_popcnt",
                    "has_sse3",
                    "has_sse41",
                    "has_sse42",
                    "has_ssse3",
                ],
                Target::Riscv64 => &[
                    "has_a",
                    "has_d",
                    "has_f",
                    "has_m",
                    "has_zca",
                    "has_zcd",
                    "has_zicsr",
                    "has_zifencei",
                ],
                _ => &[],
            };
            assert_eq!(image.cpu_features(), expected, "{target}");
        }
    }
}
