//! Modules to try things on: the fixtures, the specification's, made-up ones.
//!
//! Guarantees: the same modules in the same order on every machine. Does not
//! judge them: some are refused by validation, and are meant to be.

use bls_artifact::target::{EngineProfile, Nans, Target};
use bls_compiler::input::Source;
use bls_compiler::validate::{self, Validated};
use std::path::Path;

/// The engine's profile for this machine.
///
/// # Panics
/// When there is no native target here.
#[must_use]
pub fn profile() -> EngineProfile {
    EngineProfile::of(Target::host().expect("a native target"), Nans::Canonical)
}

/// A module, when it is valid and within the caps.
#[must_use]
pub fn valid(wasm: Vec<u8>) -> Option<Validated> {
    validate::validate(Source::new(wasm, "module").ok()?, &profile()).ok()
}

/// The fixtures that are text, by name.
///
/// # Panics
/// When they are not there, or are no modules.
#[must_use]
pub fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/wat");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .expect("fixtures")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, wat::parse_file(&path).unwrap_or_else(|error| panic!("{error}")))
        })
        .collect();
    found.sort();
    found
}

/// Numbers from a seed, the same on every machine: xorshift64*.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next.
    #[expect(clippy::should_implement_trait, reason = "it has no end")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// A module made from a seed, with every proposal that the loader runs.
#[must_use]
pub fn generate(seed: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 6000];
    let mut random = Random::new(seed);
    for byte in &mut bytes {
        *byte = (random.next() >> 56) as u8;
    }
    generate_from(seed, &bytes)
}

/// A module made from bytes; `choice` switches proposals.
#[must_use]
pub fn generate_from(choice: u64, bytes: &[u8]) -> Option<Vec<u8>> {
    let config = wasm_smith::Config {
        gc_enabled: choice.is_multiple_of(3),
        exceptions_enabled: choice.is_multiple_of(2),
        tail_call_enabled: true,
        memory64_enabled: choice.is_multiple_of(5),
        multi_value_enabled: true,
        simd_enabled: true,
        relaxed_simd_enabled: true,
        threads_enabled: false,
        bulk_memory_enabled: true,
        reference_types_enabled: true,
        extended_const_enabled: true,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        export_everything: true,
        allow_start_export: true,
        max_memories: 2,
        max_tables: 3,
        min_funcs: 3,
        max_funcs: 12,
        max_instructions: 150,
        max_memory32_bytes: 16 << 20,
        max_memory64_bytes: 16 << 20,
        max_table_elements: 1000,
        table_max_size_required: true,
        memory_max_size_required: true,
        ..wasm_smith::Config::default()
    };
    let mut input = arbitrary::Unstructured::new(bytes);
    // Loops end by fuel; nothing else has to stop them.
    let module = wasm_smith::Module::new(config, &mut input).ok()?;
    Some(module.to_bytes())
}
