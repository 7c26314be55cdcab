//! Stage *meter*: fuel, injected into the bytecode. FUEL.md is normative.
//!
//! ```text
//! Validated ─ scan ─ graph ─ function (in call order) ─ rewrite ─► Metered
//! ```
//!
//! | part | is |
//! |---|---|
//! | [`crate::cost`] | the weights |
//! | `scan` | a first look at each function: labels, calls |
//! | `copies` | which loops are unrolled |
//! | `graph` | who checks at entry and at exit, and the order of work |
//! | `function` | the second look: charges and checks between the operators |
//! | `trap` | before which operators the counter is stored |
//! | `bulk`, `constant` | lengths, and what instantiation costs |
//! | `summary` | how much runs between two checks: S |
//! | `rewrite` | the module around the functions |
//! | `techniques` | what can be left out, to measure what it gives |
//!
//! May assume a valid module without reserved names. Guarantees I1 to I4 of
//! FUEL.md; that indices of existing things do not move and that no import is
//! added; and the same bytes for the same input. Validates nothing itself: the
//! pipeline validates the output again.

mod bulk;
mod constant;
mod copies;
mod function;
mod graph;
mod rewrite;
mod scan;
mod summary;
mod techniques;
mod trap;

pub use techniques::Technique;

use crate::validate::Validated;
use bls_artifact::fuel;
use bls_artifact::manifest::{Fuel, saturate};
use std::fmt;
use wasmparser::BinaryReaderError;

/// A module that counts what it consumes.
#[derive(Clone, Debug)]
pub struct Metered {
    /// The metered module.
    pub wasm: Vec<u8>,
    /// How it is metered, for the manifest.
    pub fuel: Fuel,
}

/// Why a valid module cannot be metered.
#[derive(Debug)]
pub enum MeterError {
    /// wasmparser could not read what it validated: a defect of ours.
    Malformed(BinaryReaderError),
    /// An operator that no target runs passed validation: a defect of ours.
    Operator {
        /// The operator.
        operator: String,
        /// The function it is in.
        function: u32,
    },
    /// A function has no room for its charges.
    TooLong {
        /// The function's index.
        function: u32,
        /// Bytes it would have.
        length: usize,
    },
}

impl fmt::Display for MeterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "internal error: {error}"),
            Self::Operator { operator, function } => {
                write!(f, "internal error: {operator} in function {function} has no weight")
            }
            Self::TooLong { function, length } => write!(
                f,
                "function {function} would have {length} bytes with its charges, more than a function may have"
            ),
        }
    }
}

impl std::error::Error for MeterError {}

impl MeterError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::Operator { .. } => "meter.defect",
            Self::TooLong { .. } => "meter.function-too-long",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed(_) | Self::Operator { .. } => {
                Some("please report this, with the module".to_owned())
            }
            Self::TooLong { .. } => {
                Some("split the function, or compile with --no-fuel".to_owned())
            }
        }
    }
}

impl From<BinaryReaderError> for MeterError {
    fn from(error: BinaryReaderError) -> Self {
        Self::Malformed(error)
    }
}

/// Meters a module.
///
/// # Errors
/// [`MeterError::TooLong`] when a function has no room for charges; anything
/// else is a defect of ours.
pub fn meter(module: &Validated) -> Result<Metered, MeterError> {
    meter_without(module, None)
}

/// The same without one technique, for comparison: as exact, but slower, and not always
/// what the audit of a product asks for (its S is another one).
///
/// # Errors
/// As [`meter`].
pub fn meter_without(
    module: &Validated,
    technique: Option<Technique>,
) -> Result<Metered, MeterError> {
    let mut survey = rewrite::Survey::of(module.bytes())?;
    let mut graph = survey.graph();
    if let Some(technique) = technique {
        technique.leave_out_of(&mut survey.scans);
        technique.leave_out_of_graph(&mut graph);
    }
    let mut summaries = summary::Summaries::new(survey.bodies.len());
    let mut bodies = vec![Vec::new(); survey.bodies.len()];
    for function in &graph.order {
        let (body, summary) = survey.meter(*function, graph.roles[*function], &summaries)?;
        summaries.insert(*function, summary, graph.roles[*function]);
        bodies[*function] = body;
    }
    Ok(Metered {
        wasm: survey.rewrite(module.bytes(), &bodies)?,
        fuel: Fuel {
            model: fuel::MODEL.to_owned(),
            plan: fuel::PLAN,
            cost_table: fuel::cost_table(),
            overrun_max: summaries.overrun(),
            instantiation: saturate(survey.instantiation.units()),
        },
    })
}

/// Turns the `start` section into the export `__bls_start`, without metering:
/// the loader calls it once, after it has set its limits. A module without the
/// section comes back as it was.
///
/// # Errors
/// Only for a module that was not validated.
pub fn strip_start(module: &Validated) -> Result<Vec<u8>, MeterError> {
    rewrite::strip_start(module.bytes()).map_err(MeterError::Malformed)
}
