//! Whether this machine and this program can run a part, in plain words.
//!
//! Judged from the signed manifest alone, before a byte of native code is
//! looked at. Guarantees that an accepted part is for this architecture, uses no
//! CPU feature that is missing here, fits the page size, and was made by an engine
//! of the same compatibility with settings this loader uses. A feature this
//! program has never heard of counts as missing.

use crate::sys::cpu;
use bls_artifact::digest::Sha256;
use bls_artifact::manifest::{Fuel, Manifest, Part};
use bls_artifact::target::{ENGINE_COMPATIBILITY, ENGINE_RELEASE, Target};
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
    /// This CPU is older than any that code is made for on its architecture, and lacks these.
    Baseline(Vec<&'static str>),
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
                match Target::host() {
                    Some(host) if !host.is_portable() => host.triple().to_owned(),
                    Some(host) => format!("{}, which runs {host}", std::env::consts::ARCH),
                    None => std::env::consts::ARCH.to_owned(),
                }
            ),
            Self::OtherTarget(target, wanted) => {
                write!(formatter, "it was compiled for {target}, and not for {wanted}")
            }
            Self::Portable(target) => write!(
                formatter,
                "it was compiled for {target}, and this bls-load has no interpreter"
            ),
            Self::Baseline(missing) => write!(
                formatter,
                "this CPU lacks what all code for {} needs: {}",
                Target::host().map_or(std::env::consts::ARCH, Target::triple),
                missing.join(", ")
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
            Self::Baseline(_) | Self::CpuFeatures(_) => "compatibility.cpu-feature",
            Self::PageSize { .. } => "compatibility.page-size",
            Self::Engine(_) => "compatibility.engine",
            Self::Profile => "compatibility.profile",
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
            Self::Baseline(_) => {
                "run it on a newer machine: on IBM Z a z14, or what came later".into()
            }
            Self::CpuFeatures(_) => {
                format!("compile it for the baseline CPU: bls-compile --target {host} app.wasm")
            }
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
    if part.target != target {
        return Err(match part.target.is_portable() && !target.is_portable() {
            true => Misfit::Portable(part.target),
            false => Misfit::OtherTarget(part.target, target),
        });
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
        Some(host) if part.target.is_portable() && !host.is_portable() || host == part.target => {
            check_part_for(part, host)?;
        }
        _ => return Err(Misfit::Architecture(part.target)),
    }
    let lacking: Vec<&str> = cpu::lacks_of_baseline().collect();
    if !lacking.is_empty() {
        return Err(Misfit::Baseline(lacking));
    }
    let missing: Vec<String> = part
        .cpu_features
        .iter()
        .filter(|feature| !cpu::has(feature))
        .map(|feature| feature.trim_start_matches("has_").to_owned())
        .collect();
    if !missing.is_empty() {
        return Err(Misfit::CpuFeatures(missing));
    }
    let kernel = rustix::param::page_size() as u64;
    if kernel > part.page_size {
        return Err(Misfit::PageSize { part: part.page_size, kernel });
    }
    Ok(())
}
