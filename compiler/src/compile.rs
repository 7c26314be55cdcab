//! Stage *compile*: an [`Audited`] becomes an [`Image`] for each target. (In the program,
//! what becomes one is audited by another process in the meantime, and nothing is made of the
//! image before it passed.)
//!
//! wasmtime's `precompile_module` with Cranelift. Target and CPU features are always
//! explicit ([`Machine`]), so that the CPU of the machine that compiles is never asked; there
//! is no cache. Guarantees: the same module, machine and profile give the same image on
//! any machine with any number of threads. A user chooses CPU features among those of the
//! target; all other flags of the code generator are constants here, and how hard it tries
//! depends on the module alone ([`crate::compile::effort`]).

pub mod effort;

use crate::audit::Audited;
use crate::compile::effort::{Effort, effort};
use crate::hints::Hinted;
use crate::nan::{NanError, Settled};
use crate::sys;
use bls_artifact::cpu::Machine;
use bls_artifact::limits::{IMAGE_BYTES_MAX, IMAGE_ZEROS_MAX};
use bls_artifact::target::{EngineProfile, Target};
use object::{Object as _, ObjectSection as _};
use std::fmt;
use wasmparser::{BinaryReaderError, Parser, Payload, Validator, WasmFeatures};
use wasmtime::{Engine, OptLevel, RegallocAlgorithm, Strategy};
use wasmtime_environ::iterate_address_map;
use wasmtime_environ::obj::ELF_WASMTIME_ADDRMAP;

/// Why a module cannot be compiled.
#[derive(Debug)]
pub enum CompileError {
    /// The engine or code generator refused its settings: a defect of ours.
    Settings(Target, String),
    /// The code generator refused the module.
    Module(Target, String),
    /// The image is longer than the format allows.
    TooLong(Target, u64),
    /// The module has vectors, and the machine that was asked for has none.
    Vectors(Machine),
    /// The checks of NaNs could not be made, or proved.
    Nans(Target, NanError),
    /// Compiled with addresses the code is not what it is without; or there are none.
    Addresses(Target, &'static str),
    /// What was compiled cannot be followed back to its source.
    Debug(String),
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
            Self::Vectors(machine) => {
                write!(f, "the module uses SIMD, and code for {machine} cannot")
            }
            Self::Nans(target, error) => write!(f, "cannot compile for {target}: {error}"),
            Self::Addresses(target, what) => {
                write!(f, "internal error: no debug file for {target}: {what}")
            }
            Self::Debug(what) => write!(f, "internal error: no debug file: {what}"),
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
            Self::Vectors(_) => "compile.vectors",
            Self::Nans(_, error) => error.code(),
            Self::Addresses(..) | Self::Debug(_) => "compile.debug-file",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Settings(..) => "this is a defect of bls-compile; please report it",
            Self::Module(..) => "try another --target; if the module is sound, please report it",
            Self::TooLong(..) => "split the module",
            Self::Vectors(_) => "compile for CPUs that have vectors: --target riscv64:+v",
            Self::Nans(..) => "this is a defect of bls-compile; please report it, with the module",
            Self::Addresses(..) | Self::Debug(_) => {
                "compile without --debug-file; and please report it, with the module"
            }
        }
    }
}

/// What all code for a target is generated with, beside CPU features: on Arm signed return
/// addresses. (Not branch targets: what this code generator begins a function with where it
/// signs, `paciaz`, is none, and a tail call through a register jumps to what would have to be
/// another kind.)
const fn flags(target: Target) -> &'static [&'static str] {
    match target {
        Target::Aarch64 => &["sign_return_address"],
        Target::X86_64 | Target::Riscv64 | Target::S390x | Target::Pulley32 | Target::Pulley64 => {
            &[]
        }
    }
}

/// Masks of indices, against what the processor does where it guesses wrongly: of memories
/// and of tables. The code generator's default, and not left to that.
const MASKS: [&str; 2] =
    ["enable_heap_access_spectre_mitigation", "enable_table_access_spectre_mitigation"];

/// The section that holds code.
const TEXT: &str = ".text";
/// What the two ways through a check of a NaN carry to where they meet.
const WAYS_OF_A_CHECK: u64 = 2;

/// A native image, exactly as wasmtime made it.
#[derive(Clone, Debug)]
pub struct Image {
    machine: Machine,
    profile: EngineProfile,
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
        machine: &Machine,
        profile: &EngineProfile,
        effort: Effort,
        bytes: Vec<u8>,
    ) -> Result<Self, CompileError> {
        let target = machine.target();
        if bytes.len() as u64 > IMAGE_BYTES_MAX {
            return Err(CompileError::TooLong(target, bytes.len() as u64));
        }
        let page_size =
            alignment(&bytes).map_err(|error| CompileError::Settings(target, error.to_string()))?;
        Ok(Self { machine: machine.clone(), profile: profile.clone(), page_size, effort, bytes })
    }

    /// What it runs on, with the CPU features that the code may use.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The settings of the engine.
    #[must_use]
    pub fn profile(&self) -> &EngineProfile {
        &self.profile
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

/// Compiles a module for one machine.
///
/// # Errors
/// [`CompileError`].
pub fn compile(
    module: &Audited,
    machine: &Machine,
    profile: &EngineProfile,
) -> Result<Image, CompileError> {
    generate(module.wasm(), module.joining(), machine, profile, How::default())
        .map(|(image, _)| image)
}

/// How it is done, which changes no byte of an image.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How {
    /// By so many threads; 0 leaves it to the system.
    pub(crate) threads: usize,
    /// Whether it is wanted too what the code was made of.
    pub(crate) addresses: bool,
}

/// What the code of an image was made of.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// The module that the code generator read.
    pub(crate) wasm: Vec<u8>,
    /// From an offset into the code, up to the next: where in that module the operator is that
    /// the code was made of; `None` where it was made of none. Ascending.
    pub(crate) map: Vec<(u32, Option<u32>)>,
}

/// The same for a module that is audited elsewhere in the meantime ([`crate::child`]), whose
/// source's branches carry `joining`.
///
/// # Errors
/// [`CompileError`].
pub(crate) fn generate(
    wasm: &[u8],
    joining: u64,
    machine: &Machine,
    profile: &EngineProfile,
    how: How,
) -> Result<(Image, Option<Addresses>), CompileError> {
    let target = machine.target();
    let refused = |what: &dyn fmt::Display| CompileError::Module(target, what.to_string());
    let hard = |wasm, joining| effort(wasm, joining).map_err(|error| refused(&error));
    if !has_vectors(machine) && uses_vectors(wasm, profile) {
        return Err(CompileError::Vectors(machine.clone()));
    }
    let effort = hard(wasm, joining)?;
    let memories = memories(wasm).map_err(|error| refused(&error))?;
    let mut settled = None;
    if profile.canonical_nans() && effort == Effort::Full {
        settled = Settled::of(wasm).map_err(|error| CompileError::Nans(target, error))?;
    }
    // Where checks would make it too much to optimise, the engine's own rule does it.
    if let Some(made) = &settled
        && hard(made.wasm(), joining.saturating_add(made.checks() * WAYS_OF_A_CHECK))? != effort
    {
        settled = None;
    }
    let nans_by_engine = profile.canonical_nans() && settled.is_none();
    let wasm = settled.as_ref().map_or(wasm, Settled::wasm);
    let hinted = Hinted::of(wasm).map_err(|error| refused(&error))?;
    // Where the system gives no threads, this one does the work.
    let threads = rayon::ThreadPoolBuilder::new().num_threads(how.threads).build().ok();
    let settings = Settings {
        effort,
        nans_by_engine,
        // A guest's own hints are not read: they say where its code was before it was metered.
        has_hints: hinted.has_hints(),
        zeros_max: IMAGE_ZEROS_MAX / memories.max(1),
        is_parallel: threads.is_some(),
        addresses: false,
    };
    let compiled = |settings| {
        let engine = engine(machine, profile, settings)
            .map_err(|error| CompileError::Settings(target, format!("{error:#}")))?;
        let precompile = || engine.precompile_module(hinted.wasm());
        let bytes = match &threads {
            Some(threads) => threads.install(precompile),
            None => precompile(),
        };
        bytes.map_err(|error| CompileError::Module(target, format!("{error:#}")))
    };
    let image = Image::new(machine, profile, effort, compiled(settings)?)?;
    if !how.addresses {
        return Ok((image, None));
    }
    // With addresses the engine makes another image, of the same code: the artifact's stays the
    // one without.
    let with = compiled(Settings { addresses: true, ..settings })?;
    let map =
        address_map(image.bytes(), &with).map_err(|what| CompileError::Addresses(target, what))?;
    Ok((image, Some(Addresses { wasm: hinted.wasm().to_vec(), map })))
}

/// The addresses in an image, whose code must be that of another one.
fn address_map(
    image: &[u8],
    with_addresses: &[u8],
) -> Result<Vec<(u32, Option<u32>)>, &'static str> {
    const UNREADABLE: &str = "the image cannot be read";
    let read = |image| object::File::parse(image).map_err(|_| UNREADABLE);
    let (image, with) = (read(image)?, read(with_addresses)?);
    let section = |file: &object::File<'_>, name| {
        let section =
            file.section_by_name(name).and_then(|section| section.uncompressed_data().ok());
        section.map(std::borrow::Cow::into_owned).ok_or(UNREADABLE)
    };
    if section(&image, TEXT)? != section(&with, TEXT)? {
        return Err("with addresses the code is another");
    }
    let map = section(&with, ELF_WASMTIME_ADDRMAP)?;
    let map = iterate_address_map(&map).ok_or(UNREADABLE)?;
    Ok(map.map(|(offset, place)| (offset, place.file_offset())).collect())
}

/// Whether code for this machine can have vectors of 128 bits: on RISC-V they are an extension.
fn has_vectors(machine: &Machine) -> bool {
    machine.target() != Target::Riscv64 || machine.features().contains(&"has_v")
}

/// Whether a module that is valid is so only because it may use SIMD.
fn uses_vectors(wasm: &[u8], profile: &EngineProfile) -> bool {
    let without = profile.wasm_features() - (WasmFeatures::SIMD | WasmFeatures::RELAXED_SIMD);
    Validator::new_with_features(without).validate_all(wasm).is_err()
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
    /// NaNs are made canonical by the engine's own rule, at each operator.
    nans_by_engine: bool,
    has_hints: bool,
    /// Bytes of one memory that the image may hold where most of them are zero.
    zeros_max: u64,
    /// Changes nothing of the image.
    is_parallel: bool,
    /// Changes nothing of the code.
    addresses: bool,
}

/// An engine that generates code for a machine.
fn engine(
    machine: &Machine,
    profile: &EngineProfile,
    settings: Settings,
) -> wasmtime::Result<Engine> {
    let mut config = profile.config();
    config
        .target(machine.target().triple())?
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(match settings.effort {
            Effort::Full => OptLevel::Speed,
            Effort::Least => OptLevel::None,
        })
        .cranelift_nan_canonicalization(settings.nans_by_engine)
        .cranelift_regalloc_algorithm(match settings.effort {
            Effort::Full => RegallocAlgorithm::Backtracking,
            Effort::Least => RegallocAlgorithm::SinglePass,
        })
        .wasm_branch_hinting(settings.has_hints)
        .memory_guaranteed_dense_image_size(settings.zeros_max)
        .parallel_compilation(settings.is_parallel)
        .generate_address_map(settings.addresses);
    sys::enable(&mut config, machine.features());
    sys::enable(&mut config, flags(machine.target()));
    if profile.traps_by_signals() {
        // They need an access that faults, which bytecode for the interpreter has not.
        sys::enable(&mut config, &MASKS);
    }
    Engine::new(&config)
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
    use bls_artifact::cpu;
    use bls_artifact::target::Nans;
    use cranelift_codegen::isa;

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

    fn audited(wat: &str, profile: &EngineProfile) -> Audited {
        let source = Source::new(wat.as_bytes().to_vec(), "t.wat").unwrap();
        let valid = validate(source, profile).unwrap();
        audit(&valid, ready(&valid, false).unwrap()).unwrap()
    }

    const POPCNT: &str = "(module (func (export \"f\") (param i32) (result i32)
        local.get 0 i32.popcnt))";

    /// Every level of every target, and each feature alone.
    fn machines() -> Vec<Machine> {
        let of = |target| {
            let levels = cpu::levels(target).iter().map(|level| level.name.to_owned());
            let alone = cpu::features(target).map(|name| format!("+{name}"));
            let with = levels.chain(alone).map(move |cpu| Machine::with_cpu(target, &cpu).unwrap());
            with.chain([Machine::from(target)])
        };
        Target::ALL.into_iter().flat_map(of).collect()
    }

    #[test]
    fn the_table_of_features_is_the_code_generators() {
        for target in Target::ALL {
            let builder = isa::lookup_by_name(target.triple()).unwrap();
            let mut theirs: Vec<&str> = builder
                .iter()
                .map(|setting| setting.name)
                .filter(|name| name.starts_with(cpu::PREFIX))
                .collect();
            theirs.sort_unstable();
            // A preset, for two that are there.
            theirs.retain(|name| *name != "has_c");
            assert_eq!(cpu::features(target).collect::<Vec<_>>(), theirs, "{target}");
        }
    }

    #[test]
    fn every_machine_compiles_and_its_image_says_what_it_needs() {
        for machine in machines() {
            let target = machine.target();
            let profile = EngineProfile::of(target, Nans::Canonical);
            let image = compile(&audited(POPCNT, &profile), &machine, &profile).unwrap();
            assert!(image.page_size().is_power_of_two() && image.page_size() >= 4096);
            // wasmtime wrote each flag into the image: ours must be on there, and no other.
            for feature in cpu::features(target) {
                let needed = machine.features().contains(&feature);
                assert_eq!(is_on(feature, image.bytes()), needed, "{machine}: {feature}");
            }
            for mask in MASKS {
                assert_eq!(is_on(mask, image.bytes()), !target.is_portable(), "{machine}: {mask}");
            }
            let signs = is_on("sign_return_address", image.bytes());
            assert_eq!(signs, target == Target::Aarch64, "{machine}");
            assert!(!is_on("use_bti", image.bytes()), "{machine}");
        }
    }

    /// What a level is worth: the code uses what it may, and nothing else.
    #[test]
    fn a_level_changes_the_code() {
        let wat = "(module (func (export \"f\") (param i32 i32) (result i32)
            (i32.clz (i32.and (local.get 0) (i32.xor (local.get 1) (i32.const -1))))))";
        let profile = EngineProfile::of(Target::X86_64, Nans::Canonical);
        let module = audited(wat, &profile);
        let text = |level: &str| {
            let machine = Machine::with_cpu(Target::X86_64, level).unwrap();
            let image = compile(&module, &machine, &profile).unwrap();
            let file = object::File::parse(image.bytes()).unwrap();
            file.section_by_name(".text").unwrap().data().unwrap().to_vec()
        };
        // lzcnt is F3 0F BD; without it the same bytes but for the prefix are bsr.
        let has_lzcnt = |code: &[u8]| code.windows(3).any(|bytes| bytes == [0xf3, 0x0f, 0xbd]);
        assert!(!has_lzcnt(&text("v1")) && !has_lzcnt(&text("v2")));
        assert!(has_lzcnt(&text("v3")) && has_lzcnt(&text("v2+lzcnt")));
        assert_eq!(text("v3"), text("v3"));
    }
}
