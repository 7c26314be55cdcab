//! Whether this machine and this program can run a part, in plain words.
//!
//! Judged from the signed manifest alone, before a byte of native code is
//! looked at. Guarantees that an accepted part is for this architecture, uses no
//! CPU feature that is missing here, fits the page size, and was made by an engine
//! of the same compatibility with settings this loader uses. A feature this
//! program has never heard of counts as missing.

use crate::built::{self, NotBuilt};
use bls_artifact::digest::Sha256;
use bls_artifact::manifest::{Fuel, Manifest, Part};
use bls_artifact::target::{ENGINE_COMPATIBILITY, ENGINE_RELEASE, Language, Target};
use bls_artifact::{fuel, limits};
use std::fmt;

/// Why no part of an artifact can run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// For another architecture.
    Architecture(Target),
    /// For another architecture than the one that was asked for, the second.
    OtherTarget(Target, Target),
    /// For the portable interpreter, which this program does not have.
    Portable(Target),
    /// Needs CPU features that are missing here.
    CpuFeatures(Vec<String>),
    /// Made for smaller pages than this kernel's.
    PageSize {
        /// The largest page it runs with.
        part: u64,
        /// The kernel's.
        kernel: u64,
    },
    /// Made by an engine that exchanges no images with ours.
    Engine(String),
    /// Engine settings that this loader does not use.
    Profile,
    /// It may use more of WebAssembly than this loader was built for.
    Language,
    /// Metered by another fuel model.
    FuelModel(String),
    /// Metered by another plan.
    FuelPlan(u32),
    /// Metered by another cost table.
    CostTable(Sha256),
    /// A bound or cost beyond what the counter allows.
    FuelRange,
}

impl fmt::Display for Misfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Architecture(target) => write!(
                formatter,
                "it was compiled for {target}, and this machine is {}",
                Target::host().map_or(std::env::consts::ARCH, Target::triple)
            ),
            Self::OtherTarget(target, wanted) => {
                write!(formatter, "it was compiled for {target}, and not for {wanted}")
            }
            Self::Portable(target) => write!(
                formatter,
                "it was compiled for {target}, and this bls-load has no interpreter"
            ),
            Self::CpuFeatures(missing) => {
                write!(formatter, "this CPU lacks what it needs: {}", missing.join(", "))
            }
            Self::PageSize { part, kernel } => write!(
                formatter,
                "it was made for pages of up to {part} bytes, and this kernel's are {kernel}"
            ),
            Self::Engine(engine) => write!(
                formatter,
                "it was made by engine {engine}, and this bls-load runs what engine \
                 {ENGINE_COMPATIBILITY} makes (wasmtime {ENGINE_RELEASE})"
            ),
            Self::Profile => {
                write!(formatter, "it needs engine settings this bls-load does not use")
            }
            Self::Language => {
                write!(formatter, "{}, which it may use", NotBuilt::Objects)
            }
            Self::FuelModel(model) => write!(
                formatter,
                "it is metered by the model {model:?}, and this bls-load accounts in {}",
                fuel::MODEL
            ),
            Self::FuelPlan(plan) => write!(
                formatter,
                "it is metered by plan {plan}, and this bls-load accounts by plan {}",
                fuel::PLAN
            ),
            Self::CostTable(table) => write!(
                formatter,
                "it is metered by the cost table {table}, and this bls-load accounts by another"
            ),
            Self::FuelRange => write!(formatter, "its signed fuel numbers are out of range"),
        }
    }
}

impl Misfit {
    /// Its name, which stays the same when words change.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Architecture(_) | Self::OtherTarget(..) => "compatibility.architecture",
            Self::Portable(_) => "compatibility.portable",
            Self::CpuFeatures(_) => "compatibility.cpu-feature",
            Self::PageSize { .. } => "compatibility.page-size",
            Self::Engine(_) => "compatibility.engine",
            Self::Profile => "compatibility.profile",
            Self::Language => "compatibility.language",
            Self::FuelModel(_) => "compatibility.fuel-model",
            Self::FuelPlan(_) => "compatibility.fuel-plan",
            Self::CostTable(_) => "compatibility.cost-table",
            Self::FuelRange => "compatibility.fuel-range",
        }
    }

    /// What a user can do about it.
    pub(crate) fn hint(&self) -> String {
        let host = Target::host().map_or("TRIPLE", Target::triple);
        match self {
            Self::Architecture(target) => format!(
                "compile it for this machine: bls-compile --target {host} app.wasm; to verify it \
                 for its own: bls-load verify --target {target} app.bls"
            ),
            Self::OtherTarget(_, wanted) => {
                format!("compile it for that machine: bls-compile --target {wanted} app.wasm")
            }
            Self::Portable(_) => {
                format!("compile it for this machine: bls-compile --target {host} app.wasm")
            }
            Self::CpuFeatures(_) => {
                format!("compile it for the baseline CPU: bls-compile --target {host} app.wasm")
            }
            Self::Language => "run it with the full bls-load, or compile it for this one, if it \
                 uses none of these: bls-compile --wasm core app.wasm"
                .into(),
            Self::PageSize { .. }
            | Self::Engine(_)
            | Self::Profile
            | Self::FuelModel(_)
            | Self::FuelPlan(_)
            | Self::CostTable(_) => "compile it again with the bls-compile of this release".into(),
            Self::FuelRange => "ask its builder; bls-compile does not write such numbers".into(),
        }
    }
}

/// The metering, which is the same for all parts.
pub(crate) fn check_metering(manifest: &Manifest) -> Result<(), Misfit> {
    let Some(Fuel { model, plan, cost_table, overrun_max, instantiation }) = &manifest.fuel else {
        return Ok(());
    };
    if model != fuel::MODEL {
        return Err(Misfit::FuelModel(model.clone()));
    }
    if *plan != fuel::PLAN {
        return Err(Misfit::FuelPlan(*plan));
    }
    if *cost_table != fuel::cost_table() {
        return Err(Misfit::CostTable(*cost_table));
    }
    if *overrun_max > fuel::S_MAX || *instantiation > limits::JSON_INTEGER_MAX {
        return Err(Misfit::FuelRange);
    }
    Ok(())
}

/// Whether this program can run `part` on some machine of this target.
pub(crate) fn check_part_for(part: &Part, target: Target) -> Result<(), Misfit> {
    if part.target.is_portable() {
        return Err(Misfit::Portable(part.target));
    }
    if part.target != target {
        return Err(Misfit::OtherTarget(part.target, target));
    }
    if part.engine != ENGINE_COMPATIBILITY {
        return Err(Misfit::Engine(part.engine.clone()));
    }
    if !part.profile.fits(part.target) {
        return Err(Misfit::Profile);
    }
    Ok(())
}

/// Whether `part` can run here.
pub(crate) fn check_part(part: &Part) -> Result<(), Misfit> {
    match Target::host() {
        Some(host) if part.target.is_portable() || host == part.target => {
            check_part_for(part, host)?;
        }
        _ => return Err(Misfit::Architecture(part.target)),
    }
    let missing: Vec<String> = part
        .cpu_features
        .iter()
        .filter(|feature| !cpu_has(feature))
        .map(|feature| feature.trim_start_matches("has_").to_owned())
        .collect();
    if !missing.is_empty() {
        return Err(Misfit::CpuFeatures(missing));
    }
    let kernel = rustix::param::page_size() as u64;
    if kernel > part.page_size {
        return Err(Misfit::PageSize { part: part.page_size, kernel });
    }
    if !built::OBJECTS && part.profile.language() != Language::Core {
        return Err(Misfit::Language);
    }
    Ok(())
}

/// Whether this CPU has a feature, by cranelift's name.
#[cfg(target_arch = "x86_64")]
fn cpu_has(feature: &str) -> bool {
    use std::arch::is_x86_feature_detected as detected;
    match feature {
        "has_cmpxchg16b" => detected!("cmpxchg16b"),
        "has_sse3" => detected!("sse3"),
        "has_ssse3" => detected!("ssse3"),
        "has_sse41" => detected!("sse4.1"),
        "has_sse42" => detected!("sse4.2"),
        "has_popcnt" => detected!("popcnt"),
        "has_avx" => detected!("avx"),
        "has_avx2" => detected!("avx2"),
        "has_fma" => detected!("fma"),
        "has_bmi1" => detected!("bmi1"),
        "has_bmi2" => detected!("bmi2"),
        "has_lzcnt" => detected!("lzcnt"),
        "has_avx512bitalg" => detected!("avx512bitalg"),
        "has_avx512dq" => detected!("avx512dq"),
        "has_avx512f" => detected!("avx512f"),
        "has_avx512vl" => detected!("avx512vl"),
        "has_avx512vbmi" => detected!("avx512vbmi"),
        _ => false,
    }
}

/// Whether this CPU has a feature, by cranelift's name.
#[cfg(target_arch = "aarch64")]
fn cpu_has(feature: &str) -> bool {
    use std::arch::is_aarch64_feature_detected as detected;
    match feature {
        "has_lse" => detected!("lse"),
        "has_pauth" => detected!("paca"),
        "has_fp16" => detected!("fp16"),
        "has_dotprod" => detected!("dotprod"),
        "has_i8mm" => detected!("i8mm"),
        // Hints, which older CPUs take for no operation.
        "use_bti" | "sign_return_address" | "sign_return_address_all" => true,
        _ => false,
    }
}

/// Whether this CPU has a feature, by cranelift's name: what this program itself
/// was compiled to need. Finer detection is not in stable Rust.
#[cfg(target_arch = "riscv64")]
fn cpu_has(feature: &str) -> bool {
    match feature {
        "has_m" | "has_a" | "has_f" | "has_d" | "has_zicsr" | "has_zifencei" => true,
        "has_c" | "has_zca" | "has_zcd" => cfg!(target_feature = "c"),
        _ => false,
    }
}

/// Whether this CPU has a feature: none beyond the baseline can be detected.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
fn cpu_has(_feature: &str) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_feature_is_missing() {
        assert!(!cpu_has("has_something_new"));
    }
}
