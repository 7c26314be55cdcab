//! Real modules, changed at random: what compilers write, and just beside it.
//!
//! wasm-mutate changes a program of a real compiler a few times, with or without keeping
//! its meaning; then some of its functions are exported, so that those are run too which
//! nobody calls when the host's answers are made up. Guarantees: the same original and seed
//! give the same module. Does not judge it.

use crate::modules::Random;
use crate::programs::{fixtures, shared};
use std::path::PathBuf;
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{ExportKind, ExportSection, Module, RawSection, SectionId};
use wasm_mutate::WasmMutate;
use wasmparser::{Parser, Payload, TypeRef};

/// Longer modules take too long to compile twice.
const ORIGINAL_BYTES_MAX: u64 = 100_000;
/// Changes of one module.
const CHANGES_MAX: u64 = 6;
/// What one change may cost wasm-mutate, in its own units: a bound on e-graphs.
const EFFORT: u64 = 1000;
/// Functions that are exported on top.
const EXPORTS_MAX: u32 = 12;
/// What their names begin with: behind those of the module itself.
const EXPORT_PREFIX: &str = "~function";

/// A module that some compiler wrote.
#[derive(Clone, Debug)]
pub struct Original {
    /// Its file's name.
    pub name: String,
    /// The module.
    pub wasm: Vec<u8>,
}

/// The real modules of modest size: fixtures, and those of `BLS_SHARED` where it is set.
///
/// # Panics
/// When they cannot be read.
#[must_use]
pub fn originals() -> Vec<Original> {
    let mut folders = vec![fixtures()];
    folders.extend(
        shared().into_iter().flat_map(|shared| [shared.join("guests"), shared.join("bench")]),
    );
    let mut found: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("refused") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "wasm")
                && std::fs::metadata(&path).expect("a file").len() <= ORIGINAL_BYTES_MAX
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
        .into_iter()
        .map(|path| Original {
            name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
            wasm: std::fs::read(&path).expect("a file"),
        })
        .collect()
}

/// Changes a module: even seeds keep its meaning, odd ones need not. `None` when
/// wasm-mutate finds nothing to change.
#[must_use]
pub fn mutate(original: &Original, seed: u64) -> Option<Vec<u8>> {
    let mut wasm = original.wasm.clone();
    let mut changes = 0;
    for change in 0..=seed % CHANGES_MAX {
        let mut mutator = WasmMutate::default();
        mutator
            .seed(seed.wrapping_mul(CHANGES_MAX).wrapping_add(change))
            .fuel(EFFORT)
            .preserve_semantics(seed.is_multiple_of(2));
        // Some changes do not apply to some modules: the next seed may do better.
        let changed = mutator.run(&wasm).ok().and_then(|mut all| all.next()?.ok());
        if let Some(changed) = changed {
            wasm = changed;
            changes += 1;
        }
    }
    (changes > 0).then(|| export_some(&wasm, seed))
}

/// The module with some of its functions exported.
fn export_some(wasm: &[u8], seed: u64) -> Vec<u8> {
    let mut functions = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload {
            Ok(Payload::ImportSection(section)) => {
                let imports = section.into_imports().flatten();
                functions += imports
                    .filter(|import| matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)))
                    .count() as u32;
            }
            Ok(Payload::FunctionSection(section)) => functions += section.count(),
            // Validation says what is wrong with it.
            Err(_) => return wasm.to_vec(),
            Ok(_) => {}
        }
    }
    let mut random = Random::new(seed);
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Ok(payload) = payload else { return wasm.to_vec() };
        if let Payload::ExportSection(section) = payload {
            let mut exports = ExportSection::new();
            if RoundtripReencoder.parse_export_section(&mut exports, section).is_err() {
                return wasm.to_vec();
            }
            for number in 0..EXPORTS_MAX.min(functions) {
                let function = (random.next() % u64::from(functions)) as u32;
                exports.export(&format!("{EXPORT_PREFIX}{number}"), ExportKind::Func, function);
            }
            module.section(&exports);
        } else if let Some((id, range)) = payload.as_section() {
            debug_assert_ne!(id, SectionId::Export as u8);
            module.section(&RawSection { id, data: &wasm[range] });
        }
    }
    module.finish()
}
