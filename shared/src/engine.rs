//! From an [`EngineProfile`] to wasmtime's settings: the one place for both
//! programs.
//!
//! Guarantees: every setting that wasmtime compares between an image and an
//! engine is set here explicitly, so that neither a default that changes nor an
//! environment variable can make the two sides disagree. What only one side has
//! (code generation, stack size) is set by that side.

use crate::target::{EngineProfile, Feature, Language, Nans};
#[cfg(feature = "objects")]
use wasmtime::Collector;
use wasmtime::{Config, Inlining, WasmBacktraceDetails, WasmFeatures};

impl EngineProfile {
    /// The settings that compiler and loader share.
    #[must_use]
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config.wasm_features(WasmFeatures::all(), false);
        config.wasm_features(self.wasm_features(), true);
        config
            .memory_reservation(self.memory_reservation)
            .memory_guard_size(self.memory_guard)
            .memory_may_move(self.memory_may_move)
            // The heap of objects is bounded as the memories are.
            .gc_heap_reservation(self.memory_reservation)
            .gc_heap_guard_size(self.memory_guard)
            .gc_heap_may_move(self.memory_may_move)
            .guard_before_linear_memory(true)
            .memory_init_cow(true)
            .table_lazy_init(true)
            .signals_based_traps(self.traps_by_signals())
            .relaxed_simd_deterministic(true)
            .compiler_inlining(Inlining::No)
            // Fuel is in the bytecode; the engine's own ways stay off.
            .consume_fuel(false)
            .epoch_interruption(false)
            .concurrency_support(false)
            .shared_memory(false)
            // The default for this one reads an environment variable.
            .wasm_backtrace_details(WasmBacktraceDetails::Disable)
            .debug_info(false)
            .debug_symbols(false)
            .generate_address_map(false)
            .native_unwind_info(false);
        #[cfg(feature = "objects")]
        config.collector(Collector::Copying);
        config
    }

    /// Whether NaNs come out canonical.
    #[must_use]
    pub fn canonical_nans(&self) -> bool {
        self.nans == Nans::Canonical
    }

    /// The features as wasmparser's validator takes them. `GC_TYPES` is not a
    /// proposal: it says that the engine can hold references to its heap, `externref` among
    /// them.
    #[must_use]
    pub fn wasm_features(&self) -> WasmFeatures {
        let heap = match self.language() {
            Language::All => WasmFeatures::GC_TYPES,
            Language::Core => WasmFeatures::empty(),
        };
        self.features.iter().fold(heap, |all, feature| all | wasm_feature(*feature))
    }
}

/// The engine's name for a feature.
#[must_use]
pub fn wasm_feature(feature: Feature) -> WasmFeatures {
    match feature {
        Feature::BulkMemory => WasmFeatures::BULK_MEMORY | WasmFeatures::BULK_MEMORY_OPT,
        Feature::Exceptions => WasmFeatures::EXCEPTIONS,
        Feature::ExtendedConst => WasmFeatures::EXTENDED_CONST,
        Feature::Floats => WasmFeatures::FLOATS,
        Feature::FunctionReferences => WasmFeatures::FUNCTION_REFERENCES,
        Feature::Gc => WasmFeatures::GC,
        Feature::Memory64 => WasmFeatures::MEMORY64,
        Feature::MultiMemory => WasmFeatures::MULTI_MEMORY,
        Feature::MultiValue => WasmFeatures::MULTI_VALUE,
        Feature::MutableGlobal => WasmFeatures::MUTABLE_GLOBAL,
        Feature::ReferenceTypes => {
            WasmFeatures::REFERENCE_TYPES | WasmFeatures::CALL_INDIRECT_OVERLONG
        }
        Feature::RelaxedSimd => WasmFeatures::RELAXED_SIMD,
        Feature::SaturatingFloatToInt => WasmFeatures::SATURATING_FLOAT_TO_INT,
        Feature::SignExtension => WasmFeatures::SIGN_EXTENSION,
        Feature::Simd => WasmFeatures::SIMD,
        Feature::TailCall => WasmFeatures::TAIL_CALL,
        Feature::Threads => WasmFeatures::THREADS,
    }
}
