//! Stage *audit*: a metered module is shown to count what it consumes, before
//! anything is compiled or signed. FUEL.md ("The audit") is normative.
//!
//! ```text
//! Ready ─ module ─ idiom (each function) ─ calls ─ flow (in call order) ─ same ─► Audited
//! ```
//!
//! | part | shows, or reads |
//! |---|---|
//! | `module` | the counter, its name, what can be reached from outside |
//! | `step`, `idiom` | the fixed texts that may touch the counter; everything else is the guest's |
//! | `copies` | that unrolled loops are copies of one body |
//! | `length` | that lengths are paid for, clamped, before the work |
//! | `calls` | who can come back to himself |
//! | `flow` | what is pending at each point, and that checks stand where they must |
//! | `bound` | S |
//! | `instantiation` | what instantiation costs |
//! | `same` | that without the injected text the module is its source |
//! | `profile` | that a profile build is the audited module, and counts on the side |
//!
//! Reads only the metered module; what the meter claims (S, the cost of
//! instantiation) is computed again and compared. Shares with the meter the cost
//! table and the reader of the binary format, nothing else. May assume a module
//! that wasmparser found valid. Guarantees I1 to I4 of FUEL.md for every module
//! that passes, as far as the proof in FUEL.md is right. Changes no byte, and
//! does not judge weights.

mod bound;
mod calls;
mod copies;
mod edge;
mod flow;
mod idiom;
mod instantiation;
mod length;
mod module;
mod profile;
mod rule;
mod same;
mod step;
#[cfg(test)]
mod tests;

pub use rule::{Rule, Violation};

use crate::places::Pairs;
use crate::ready::Ready;
use crate::validate::{Validated, recheck};
use bls_artifact::fuel::{self, S_MAX};
use bls_artifact::manifest::{Fuel, saturate};
use bound::Summary;
use calls::{Calls, Graph};
use flow::Summaries;
use idiom::Function;
use module::Facts;
use rule::{Judge, Place};
use std::fmt;
use wasmparser::{BinaryReaderError, WasmFeatures};

/// The most steps of functions that are kept until they are followed: 24 bytes each. A
/// function alone has no more of them than the bytes it may have.
const STEPS_MAX: usize = 1 << 22;

/// Why a module does not pass.
#[derive(Debug)]
pub enum AuditError {
    /// Not a valid module.
    Invalid(wasmparser::Error),
    /// It does not export a counter: nobody metered it.
    NotMetered,
    /// A rule of FUEL.md is broken.
    Broken(Violation),
    /// A profile build is more than the audited module with counters; how.
    Profile(&'static str),
    /// wasmparser could not read what it validated: a defect of ours.
    Malformed(BinaryReaderError),
    /// An operator that no target runs.
    Operator {
        /// The operator.
        operator: String,
        /// The function it is in.
        function: u32,
    },
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => {
                write!(f, "not a valid module: {} at offset {:#x}", error.message(), error.offset())
            }
            Self::NotMetered => write!(f, "this is not a metered module: it exports no __bls_fuel"),
            Self::Broken(violation) => violation.fmt(f),
            Self::Profile(what) => write!(f, "without its counters by function {what}"),
            Self::Malformed(error) => write!(f, "internal error: {error}"),
            Self::Operator { operator, function } => {
                write!(f, "{operator} in function {function} has no weight")
            }
        }
    }
}

impl std::error::Error for AuditError {}

impl AuditError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "audit.invalid",
            Self::NotMetered => "audit.not-metered",
            Self::Broken(_) => "audit.broken",
            Self::Profile(_) => "audit.profile",
            Self::Malformed(_) | Self::Operator { .. } => "audit.malformed",
        }
    }

    /// What the user who named the module can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "meter its source again: bls-compile --emit wasm app.wasm",
            Self::NotMetered => "bls-compile --emit wasm app.wasm writes a metered module",
            Self::Broken(violation) => violation.rule.hint(),
            Self::Profile(_) | Self::Malformed(_) | Self::Operator { .. } => {
                "please report this, with the module"
            }
        }
    }

    /// The rule that is broken, if it is one.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        match self {
            Self::Broken(violation) => Some(violation.rule),
            _ => None,
        }
    }
}

impl From<BinaryReaderError> for AuditError {
    fn from(error: BinaryReaderError) -> Self {
        Self::Malformed(error)
    }
}

impl From<Violation> for AuditError {
    fn from(violation: Violation) -> Self {
        Self::Broken(violation)
    }
}

/// What the audit found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Findings {
    /// Defined functions.
    pub functions: u64,
    /// Checks in them.
    pub checks: u64,
    /// Charges in them, those for lengths included.
    pub charges: u64,
    /// S.
    pub overrun_max: u64,
    /// What instantiation costs.
    pub instantiation: u64,
}

/// A module that passed: the only thing that is compiled.
#[derive(Debug)]
pub struct Audited {
    ready: Ready,
    findings: Option<Findings>,
    joining: u64,
    /// The same with counters by function, when there is to be a profile.
    profile: Option<Vec<u8>>,
}

impl Audited {
    /// The binary module.
    #[must_use]
    pub fn wasm(&self) -> &[u8] {
        self.profile.as_deref().unwrap_or_else(|| self.ready.wasm())
    }

    /// The same without counters by function.
    pub(crate) fn without_profile(&self) -> &[u8] {
        self.ready.wasm()
    }

    /// What its source's branches carry ([`Validated::joining`]).
    #[must_use]
    pub fn joining(&self) -> u64 {
        self.joining
    }

    /// Whether it also counts by function.
    #[must_use]
    pub fn counts_by_function(&self) -> bool {
        self.profile.is_some()
    }

    /// Puts a profile build in its place, which is shown to be the same module with
    /// counters by function, and nothing else.
    ///
    /// # Errors
    /// [`AuditError`]: each is a defect of ours.
    pub fn with_profile(self, wasm: Vec<u8>) -> Result<Self, AuditError> {
        profile::counts_on_the_side(self.ready.wasm(), &wasm)?;
        Ok(Self { profile: Some(wasm), ..self })
    }

    /// How it is metered; `None` when it is not.
    #[must_use]
    pub fn fuel(&self) -> Option<&Fuel> {
        self.ready.fuel()
    }

    /// What was found out; `None` when it is not metered.
    #[must_use]
    pub fn findings(&self) -> Option<&Findings> {
        self.findings.as_ref()
    }
}

/// Audits what the meter made of `source`, and what it claims. Of a module that
/// is not metered only that it is its source.
///
/// # Errors
/// [`AuditError`]: each is a defect of ours.
pub fn audit(source: &Validated, ready: Ready) -> Result<Audited, AuditError> {
    let judge = Judge::default();
    let findings = match ready.fuel() {
        Some(fuel) => Some(metered(judge, ready.wasm(), Some((source.bytes(), fuel)))?),
        None => {
            same::unmetered(judge, source.bytes(), ready.wasm())?;
            None
        }
    };
    Ok(Audited { ready, findings, joining: source.joining(), profile: None })
}

/// Audits a metered module, whoever made it, from its bytes alone.
///
/// # Errors
/// [`AuditError`].
pub fn examine(wasm: &[u8], features: WasmFeatures) -> Result<Findings, AuditError> {
    recheck(wasm, features).map_err(AuditError::Invalid)?;
    metered(Judge::default(), wasm, None)
}

/// Audits a metered module as [`audit`] does, against its source and claims
/// that were handed over separately.
///
/// # Errors
/// [`AuditError`].
pub fn compare(source: &Validated, wasm: &[u8], fuel: &Fuel) -> Result<Findings, AuditError> {
    recheck(wasm, source.features()).map_err(AuditError::Invalid)?;
    metered(Judge::default(), wasm, Some((source.bytes(), fuel)))
}

/// Where the operators of a metered module stand in its source, by defined function: pairs of
/// places in the two modules, ascending by the first. May assume that the module passed.
///
/// # Errors
/// [`AuditError`].
pub(crate) fn places(source: &[u8], metered: &[u8]) -> Result<Vec<Pairs>, AuditError> {
    same::places(source, metered)
}

/// The same of a profile build, and the audited module.
///
/// # Errors
/// [`AuditError`].
pub(crate) fn places_of_profile(audited: &[u8], profile: &[u8]) -> Result<Vec<Pairs>, AuditError> {
    Ok(profile::places(audited, profile)?)
}

/// All of the audit; `origin` is the source and what is claimed, where known.
fn metered(
    judge: Judge,
    wasm: &[u8],
    origin: Option<(&[u8], &Fuel)>,
) -> Result<Findings, AuditError> {
    metered_within(STEPS_MAX, judge, wasm, origin)
}

/// The functions of a module that have been read and are not followed yet: so many steps
/// at most. What there is no room for is read a second time.
struct Kept {
    functions: Vec<Option<Function>>,
    /// Steps there is room for.
    room: usize,
}

impl Kept {
    fn new(count: usize, steps_max: usize) -> Self {
        Self { functions: std::iter::repeat_with(|| None).take(count).collect(), room: steps_max }
    }

    /// Keeps a function, where there is room.
    fn offer(&mut self, index: usize, mut function: Function) {
        let Some(room) = self.room.checked_sub(function.steps.len()) else { return };
        self.room = room;
        function.steps.shrink_to_fit();
        self.functions[index] = Some(function);
    }

    /// A function that was kept; it is not any more.
    fn take(&mut self, index: usize) -> Option<Function> {
        self.functions[index].take()
    }
}

/// The same, keeping `steps_max` steps at most.
fn metered_within(
    steps_max: usize,
    judge: Judge,
    wasm: &[u8],
    origin: Option<(&[u8], &Fuel)>,
) -> Result<Findings, AuditError> {
    let facts = Facts::of(judge, wasm)?;
    let mut same = match origin {
        Some((source, _)) => Some(same::Comparison::of(judge, source, wasm, &facts)?),
        None => None,
    };
    let mut buffer = idiom::Buffer::default();
    let count = facts.bodies.len();
    let (mut checks, mut charges) = (0, 0);
    let mut calls = Vec::with_capacity(count);
    let mut kept = Kept::new(count, steps_max);
    for index in 0..count {
        let function = Function::read(&facts, index, &mut buffer)?;
        if let Some(same) = &mut same {
            same.function(index, &function, buffer.stripped())?;
        }
        checks += u64::from(function.checks);
        charges += u64::from(function.charges);
        calls.push(Calls::of(&function, facts.imported));
        kept.offer(index, function);
    }

    let graph = Graph::of(&facts, &calls);
    let mut summaries = Summaries::new(count);
    for index in &graph.order {
        let role = graph.roles[*index];
        let number = facts.imported + *index as u32;
        let function = match kept.take(*index) {
            Some(function) => function,
            None => Function::read(&facts, *index, &mut buffer)?,
        };
        let place = Place::function(number, function.start);
        let summary = flow::follow(&facts, &function, number, role, &summaries)?;
        judge.require(
            !role.is_recursive || summary.is_checked(),
            Rule::Recursion,
            place,
            || {
                "it can reach itself by direct calls, and consumes before its first check"
                    .to_owned()
            },
        )?;
        summaries.insert(*index, summary, role);
    }
    let findings = Findings {
        functions: count as u64,
        checks,
        charges,
        overrun_max: summaries.overrun(),
        instantiation: saturate(facts.instantiation),
    };
    judge.require(findings.overrun_max <= S_MAX, Rule::Bound, Place::MODULE, || {
        format!("{} units can run between two checks", findings.overrun_max)
    })?;
    if let Some((_, fuel)) = origin {
        claims(judge, &findings, fuel)?;
    }
    Ok(findings)
}

/// What is claimed must be what was found.
fn claims(judge: Judge, findings: &Findings, fuel: &Fuel) -> Result<(), Violation> {
    let at = Place::MODULE;
    judge.require(fuel.overrun_max == findings.overrun_max, Rule::ClaimedBound, at, || {
        format!("S is {}, and {} is claimed", findings.overrun_max, fuel.overrun_max)
    })?;
    let claimed = fuel.instantiation;
    judge.require(claimed == findings.instantiation, Rule::ClaimedInstantiation, at, || {
        format!("instantiation costs {}, and {claimed} is claimed", findings.instantiation)
    })?;
    let is_ours = fuel.model == fuel::MODEL
        && fuel.plan == fuel::PLAN
        && fuel.cost_table == fuel::cost_table();
    judge.require(is_ours, Rule::ClaimedModel, at, || {
        format!("{} plan {} is not the model that was audited", fuel.model, fuel.plan)
    })
}

/// What a direct call may assume of a function that is not known yet.
const ASSUMED: Summary = Summary::CHECKED;
