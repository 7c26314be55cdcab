//! Whether a machine and this program can run a part, in plain words.
//!
//! Judged from the signed manifest alone, before a byte of native code is
//! looked at. Guarantees that an accepted part is for this architecture, uses no
//! CPU feature that is missing there, fits the page size, and was made by an engine
//! of the same compatibility with settings this loader uses. A feature this
//! program has never heard of counts as missing. The engine, which compares some of this
//! when it takes an image, is not relied on.

use crate::built::{self, NotBuilt};
use crate::sys;
use bls_artifact::cpu::{self, Machine};
use bls_artifact::digest::Sha256;
use bls_artifact::manifest::{Fuel, Manifest, Part};
use bls_artifact::target::{ENGINE_COMPATIBILITY, ENGINE_RELEASE, Language, Target};
use bls_artifact::{fuel, limits};
use std::fmt;

/// Why no part of an artifact can run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// For other architectures.
    Architecture(Vec<Target>),
    /// For other architectures than the one that was asked for.
    OtherTarget(Vec<Target>, Target),
    /// For the portable interpreter, which this program does not have.
    Portable(Target),
    /// This CPU is older than any that code is made for on its architecture, and lacks these.
    Baseline(Vec<&'static str>),
    /// Needs CPU features that are missing.
    CpuFeatures {
        /// What the part is for.
        machine: String,
        /// What is missing.
        missing: Vec<String>,
        /// The best level that the CPU has.
        level: String,
        /// Whether it is this machine's CPU, and not one that was asked about.
        is_here: bool,
    },
    /// It would run, and is not there: what it is for.
    Stripped(String, Place),
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

/// Where an artifact's parts are, as far as they are anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file, from which parts may have been stripped.
    File,
    /// In a store, which keeps the part of one machine.
    Store,
    /// What a delta makes of a base, which may not have all of its parts either.
    Delta,
}

/// A machine that parts are judged for.
pub(crate) struct Host<'a> {
    /// What runs on it; `None` where nothing does.
    pub(crate) target: Option<Target>,
    /// Bytes of its kernel's pages; 0 where nobody can ask.
    pub(crate) page_size: u64,
    /// Whether its CPU has a feature, by cranelift's name.
    pub(crate) has: &'a dyn Fn(&str) -> bool,
    /// What was asked about, if it is not this machine.
    pub(crate) wanted: Option<&'a Machine>,
}

impl<'a> Host<'a> {
    /// This machine.
    pub(crate) fn here() -> Self {
        let page_size = rustix::param::page_size() as u64;
        Self { target: Target::host(), page_size, has: &sys::cpu::has, wanted: None }
    }

    /// A machine of which no more is known; `has` is about its features.
    pub(crate) fn of(wanted: &'a Machine, has: &'a dyn Fn(&str) -> bool) -> Self {
        Self { target: Some(wanted.target()), page_size: 0, has, wanted: Some(wanted) }
    }

    /// The best level that its CPU has.
    fn level(&self, target: Target) -> String {
        self.wanted.map_or_else(
            || Machine::best(target, self.has).to_string(),
            |wanted| wanted.to_string(),
        )
    }
}

/// Targets in a sentence.
fn list(targets: &[Target]) -> String {
    let names: Vec<&str> = targets.iter().map(|target| target.triple()).collect();
    names.join(", ")
}

impl fmt::Display for Misfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Architecture(targets) => {
                write!(
                    formatter,
                    "it was compiled for {}, and this machine is {}",
                    list(targets),
                    match Target::host() {
                        Some(host) if !host.is_portable() => host.triple().to_owned(),
                        Some(host) => format!("{}, which runs {host}", std::env::consts::ARCH),
                        None => std::env::consts::ARCH.to_owned(),
                    }
                )?;
                let interprets = Target::host().is_some_and(Target::is_portable);
                match !interprets && targets.iter().any(|target| target.is_portable()) {
                    true => write!(formatter, ", without an interpreter"),
                    false => Ok(()),
                }
            }
            Self::OtherTarget(targets, wanted) => {
                write!(formatter, "it was compiled for {}, and not for {wanted}", list(targets))
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
            Self::CpuFeatures { machine, missing, level, is_here } => {
                let cpu = if *is_here { "this CPU" } else { level.as_str() };
                let missing = missing.join(", ");
                write!(formatter, "{cpu} lacks what its part for {machine} needs: {missing}")
            }
            Self::Stripped(machine, Place::File) => write!(
                formatter,
                "its part for {machine} would, and is not in this file, which was stripped of it"
            ),
            Self::Stripped(machine, Place::Store) => write!(
                formatter,
                "its part for {machine} would, and is not in the store, which keeps the part of \
                 the machine that it was installed for"
            ),
            Self::Stripped(machine, Place::Delta) => write!(
                formatter,
                "its part for {machine} would, and this delta does not make it of what is installed"
            ),
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
            Self::Baseline(_) | Self::CpuFeatures { .. } => "compatibility.cpu-feature",
            Self::Stripped(..) => "compatibility.stripped",
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
        let here = Host::here();
        let host = here.target.map_or_else(|| "TARGET".to_owned(), |target| here.level(target));
        match self {
            Self::Architecture(targets) => {
                let other = targets.first().map_or("TARGET", |target| target.triple());
                format!(
                    "compile it for this machine: bls-compile --target {host} app.wasm; to verify \
                     it for another: bls-load verify --target {other} app.bls"
                )
            }
            Self::OtherTarget(_, wanted) => {
                format!("compile it for that machine: bls-compile --target {wanted} app.wasm")
            }
            Self::Portable(_) => {
                format!("compile it for this machine: bls-compile --target {host} app.wasm")
            }
            Self::Baseline(_) => {
                "run it on a newer machine: on IBM Z a z14, or what came later".into()
            }
            Self::CpuFeatures { level, .. } => {
                format!("compile it for this CPU: bls-compile --target {level} app.wasm")
            }
            Self::Stripped(machine, Place::File) => format!(
                "get the artifact as it was built, or: bls-compile strip --target {machine} of that"
            ),
            Self::Stripped(_, Place::Store) => "install it again, on this machine or for it".into(),
            Self::Stripped(_, Place::Delta) => "install the artifact itself".into(),
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

/// Whether this program can run `part` on a machine.
pub(crate) fn check_part(part: &Part, host: &Host<'_>) -> Result<(), Misfit> {
    if host.target != Some(part.target) {
        return Err(match (part.target.is_portable(), host.wanted) {
            (true, _) if host.target.is_some_and(|target| !target.is_portable()) => {
                Misfit::Portable(part.target)
            }
            (_, Some(wanted)) => Misfit::OtherTarget(vec![part.target], wanted.target()),
            (_, None) => Misfit::Architecture(vec![part.target]),
        });
    }
    if part.engine != ENGINE_COMPATIBILITY {
        return Err(Misfit::Engine(part.engine.clone()));
    }
    if !part.profile.fits(part.target) {
        return Err(Misfit::Profile);
    }
    if host.wanted.is_none() {
        let lacking: Vec<&str> = sys::cpu::lacks_of_baseline().collect();
        if !lacking.is_empty() {
            return Err(Misfit::Baseline(lacking));
        }
    }
    let missing = part.cpu_features.iter().filter(|feature| !(host.has)(feature));
    let missing: Vec<String> = missing.map(|feature| cpu::short(feature).to_owned()).collect();
    if !missing.is_empty() {
        let (machine, level) = (part.machine(), host.level(part.target));
        let is_here = host.wanted.is_none();
        return Err(Misfit::CpuFeatures { machine, missing, level, is_here });
    }
    if host.page_size > part.page_size {
        return Err(Misfit::PageSize { part: part.page_size, kernel: host.page_size });
    }
    if !built::OBJECTS && part.profile.language() != Language::Core {
        return Err(Misfit::Language);
    }
    Ok(())
}
