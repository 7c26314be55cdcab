//! What an image is made for, and the engine settings that both sides must use.
//!
//! Nothing here is inferred from the machine that compiles. An [`EngineProfile`]
//! is chosen by the compiler, written into the signed manifest, and is what the
//! loader configures its engine from (`engine.rs`).

use serde::{Deserialize, Serialize};
use std::fmt;

/// The wasmtime release that this toolchain is built on, exactly.
pub const ENGINE_RELEASE: &str = "48.0.8";
/// What wasmtime itself writes into an image and compares: releases with the
/// same major version exchange images (the LTS promises this for its patch
/// releases), all others refuse.
pub const ENGINE_COMPATIBILITY: &str = "48";

/// A WebAssembly proposal or feature that can be switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the proposals' own")]
pub enum Feature {
    BulkMemory,
    Exceptions,
    ExtendedConst,
    Floats,
    FunctionReferences,
    Gc,
    Memory64,
    MultiMemory,
    MultiValue,
    MutableGlobal,
    ReferenceTypes,
    RelaxedSimd,
    SaturatingFloatToInt,
    SignExtension,
    Simd,
    TailCall,
    Threads,
}

impl Feature {
    /// All of them, in alphabetical order: what the loader runs on a native
    /// target.
    pub const ALL: [Self; 17] = [
        Self::BulkMemory,
        Self::Exceptions,
        Self::ExtendedConst,
        Self::Floats,
        Self::FunctionReferences,
        Self::Gc,
        Self::Memory64,
        Self::MultiMemory,
        Self::MultiValue,
        Self::MutableGlobal,
        Self::ReferenceTypes,
        Self::RelaxedSimd,
        Self::SaturatingFloatToInt,
        Self::SignExtension,
        Self::Simd,
        Self::TailCall,
        Self::Threads,
    ];

    /// Those that are in [`Language::All`] alone.
    pub const BEYOND_CORE: [Self; 4] =
        [Self::Exceptions, Self::FunctionReferences, Self::Gc, Self::Threads];
}

/// How much of WebAssembly a module may use. Not a field of the manifest: the features of an
/// [`EngineProfile`] say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// All that there is.
    #[default]
    All,
    /// No objects that are collected, no exceptions, no typed references, no atomic operations:
    /// what a loader runs that was built without a collector.
    Core,
}

/// How NaNs come out of floating-point operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nans {
    /// Always the canonical NaN: the same bits on every machine.
    Canonical,
    /// Whatever the CPU gives: faster, and different between CPUs.
    Fast,
}

/// How the code keeps to its linear memories. Not a field of the manifest: the sizes in
/// an [`EngineProfile`] say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bounds {
    /// By unmapped address space: each memory of 32 bits reserves all that it can address,
    /// and an access beyond its end is a fault. Fast.
    #[default]
    Guard,
    /// By a comparison before each access: a memory reserves what it may grow to. For where
    /// address space is rationed (`ulimit -v`).
    Checked,
}

/// Unmapped bytes before and after a memory with [`Bounds::Checked`]: as many as the
/// largest page of a kernel. One comparison does for all offsets below it.
const CHECKED_GUARD_BYTES: u64 = 64 << 10;

/// The settings that decide whether an engine can run an image.
///
/// Memory sizes are in bytes. Every field is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineProfile {
    /// Features the module was validated with.
    pub features: Vec<Feature>,
    /// NaN canonicalisation. Relaxed SIMD is deterministic in any case.
    pub nans: Nans,
    /// Address space reserved for each linear memory.
    pub memory_reservation: u64,
    /// Unmapped bytes after each linear memory.
    pub memory_guard: u64,
    /// Whether a memory may be moved when it grows beyond its reservation.
    pub memory_may_move: bool,
}

impl EngineProfile {
    /// The profile for `target` on a 64-bit host, with [`Bounds::Guard`].
    #[must_use]
    pub fn of(target: Target, nans: Nans) -> Self {
        let mut features = Feature::ALL.to_vec();
        let (memory_reservation, mut memory_guard) = match target.pointer_bits() {
            64 => (4 << 30, 32 << 20),
            _ => (10 << 20, 0),
        };
        if target.is_portable() {
            features.retain(|feature| *feature != Feature::Threads);
            // The interpreter compares before each access, whatever lies behind a memory.
            memory_guard = 0;
        }
        Self { features, nans, memory_reservation, memory_guard, memory_may_move: true }
    }

    /// The same with other bounds. Takes what [`EngineProfile::of`] gave.
    #[must_use]
    pub fn with_bounds(self, bounds: Bounds) -> Self {
        match bounds {
            Bounds::Guard => self,
            Bounds::Checked => {
                let memory_guard = self.memory_guard.min(CHECKED_GUARD_BYTES);
                Self { memory_reservation: 0, memory_guard, ..self }
            }
        }
    }

    /// The same for modules that use no more of WebAssembly than this.
    #[must_use]
    pub fn with_language(mut self, language: Language) -> Self {
        if language == Language::Core {
            self.features.retain(|feature| !Feature::BEYOND_CORE.contains(feature));
        }
        self
    }

    /// How much of WebAssembly the module may use.
    #[must_use]
    pub fn language(&self) -> Language {
        let is_beyond = |feature: &Feature| Feature::BEYOND_CORE.contains(feature);
        if self.features.iter().any(is_beyond) { Language::All } else { Language::Core }
    }

    /// Whether an access beyond a memory's end is a fault that the processor reports, as is
    /// anything else that traps: so it is in native code. Portable bytecode, whose profile has
    /// no guard, finds out by itself.
    #[must_use]
    pub fn traps_by_signals(&self) -> bool {
        self.memory_guard > 0
    }

    /// How the code keeps to its memories.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        if self.memory_reservation == 0 { Bounds::Checked } else { Bounds::Guard }
    }

    /// Whether this is what [`EngineProfile::of`] gives for `target`, with one of the
    /// [`Bounds`]: a signed manifest may choose features, NaNs and bounds, not sizes of our
    /// address space.
    #[must_use]
    pub fn fits(&self, target: Target) -> bool {
        let ours = Self::of(target, self.nans).with_bounds(self.bounds());
        self.features.is_sorted_by(|a, b| a < b)
            && self.features.iter().all(|feature| ours.features.contains(feature))
            && Self { features: Vec::new(), ..self.clone() }
                == Self { features: Vec::new(), ..ours }
    }
}

/// A target that images are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Target {
    /// 64-bit x86 under Linux, baseline x86-64-v2 (SSE4.2, POPCNT).
    #[serde(rename = "x86_64-unknown-linux-gnu")]
    X86_64,
    /// 64-bit Arm under Linux, baseline Armv8.0.
    #[serde(rename = "aarch64-unknown-linux-gnu")]
    Aarch64,
    /// 64-bit RISC-V under Linux, baseline RV64GC.
    #[serde(rename = "riscv64gc-unknown-linux-gnu")]
    Riscv64,
    /// IBM Z under Linux, baseline z14 (arch12).
    #[serde(rename = "s390x-unknown-linux-gnu")]
    S390x,
    /// wasmtime's portable bytecode, 32-bit pointers.
    #[serde(rename = "pulley32")]
    Pulley32,
    /// wasmtime's portable bytecode, 64-bit pointers.
    #[serde(rename = "pulley64")]
    Pulley64,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 6] =
        [Self::X86_64, Self::Aarch64, Self::Riscv64, Self::S390x, Self::Pulley32, Self::Pulley64];

    /// The triple, as on the command line and in the manifest.
    #[must_use]
    pub fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
            Self::Riscv64 => "riscv64gc-unknown-linux-gnu",
            Self::S390x => "s390x-unknown-linux-gnu",
            Self::Pulley32 => "pulley32",
            Self::Pulley64 => "pulley64",
        }
    }

    /// The target that a person means: its triple, or its first word, or another name
    /// of the architecture.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "amd64" | "x86-64" => Some(Self::X86_64),
            "arm64" => Some(Self::Aarch64),
            "riscv64" => Some(Self::Riscv64),
            _ => Self::ALL
                .into_iter()
                .find(|target| target.triple() == word || target.short() == word),
        }
    }

    /// The first word of its triple, which no other target has.
    #[must_use]
    pub fn short(self) -> &'static str {
        self.triple().split('-').next().unwrap_or_default()
    }

    /// What runs on the system this program was built for: its native target, and where the
    /// code generator has none, portable bytecode of the same pointers. `None` where there is
    /// neither.
    #[must_use]
    pub fn host() -> Option<Self> {
        if cfg!(not(target_os = "linux")) {
            return None;
        }
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            "riscv64" => Some(Self::Riscv64),
            "s390x" => Some(Self::S390x),
            _ if cfg!(target_endian = "big") => None,
            _ if cfg!(target_pointer_width = "32") => Some(Self::Pulley32),
            _ => Some(Self::Pulley64),
        }
    }

    /// Whether it is interpreted, and so runs on any CPU of its pointer width.
    #[must_use]
    pub fn is_portable(self) -> bool {
        matches!(self, Self::Pulley32 | Self::Pulley64)
    }

    /// Bits in a pointer.
    #[must_use]
    pub fn pointer_bits(self) -> u32 {
        if self == Self::Pulley32 { 32 } else { 64 }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.triple())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triples_are_the_json_names() {
        for target in Target::ALL {
            assert_eq!(serde_json::to_string(&target).unwrap(), format!("\"{target}\""));
        }
        assert!(Feature::ALL.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_target_has_a_short_name() {
        for target in Target::ALL {
            assert_eq!(Target::from_word(target.triple()), Some(target));
            assert_eq!(Target::from_word(target.short()), Some(target));
        }
        for (word, target) in [
            ("aarch64", Target::Aarch64),
            ("arm64", Target::Aarch64),
            ("amd64", Target::X86_64),
            ("riscv64gc", Target::Riscv64),
            ("riscv64", Target::Riscv64),
            ("pulley64", Target::Pulley64),
        ] {
            assert_eq!(Target::from_word(word), Some(target));
        }
        for wrong in ["", "x86", "aarch64-", "aarch64-apple-darwin", "wasm32-wasip1"] {
            assert_eq!(Target::from_word(wrong), None, "{wrong}");
        }
    }

    fn profile_traps(target: Target) -> bool {
        let profile = EngineProfile::of(target, Nans::Canonical);
        let checked = profile.clone().with_bounds(Bounds::Checked);
        assert_eq!(profile.traps_by_signals(), checked.traps_by_signals(), "{target}");
        profile.traps_by_signals()
    }

    #[test]
    fn a_profile_with_other_sizes_does_not_fit() {
        for target in Target::ALL {
            let profile = EngineProfile::of(target, Nans::Canonical);
            assert!(profile.fits(target));
            let fewer = EngineProfile { features: vec![Feature::Simd], ..profile.clone() };
            assert!(fewer.fits(target));
            let core = profile.clone().with_language(Language::Core);
            assert!(core.fits(target) && core.language() == Language::Core);
            assert_eq!(profile.language(), Language::All);
            let checked = profile.clone().with_bounds(Bounds::Checked);
            assert!(checked.fits(target) && checked.bounds() == Bounds::Checked);
            assert_eq!(profile.bounds(), Bounds::Guard);
            let larger = EngineProfile { memory_reservation: 1 << 60, ..profile };
            assert!(!larger.fits(target));
            let odd = EngineProfile { memory_guard: checked.memory_guard * 2 + 1, ..checked };
            assert!(!odd.fits(target));
            assert_eq!(profile_traps(target), !target.is_portable());
        }
        let native = EngineProfile::of(Target::X86_64, Nans::Fast);
        assert!(!native.fits(Target::Pulley64), "Pulley has no threads");
    }
}
