//! Every NaN that can be seen is the canonical one, for nearly nothing. NAN.md is normative.
//!
//! ```text
//! the audited module ─ plan (each function) ─ write ─ proof (each function) ─► Settled
//! ```
//!
//! The rule is the engine's: a result of arithmetic that is a NaN has the canonical bits. The
//! engine keeps it by a comparison and a selection behind every such operator. Here a result is
//! left as the CPU made it while only arithmetic and comparisons look at it, and is checked,
//! by a branch that is never taken, where its bits can be seen: where it is stored, leaves the
//! function, or meets a value that may be a copy of some other NaN.
//!
//! | part | does |
//! |---|---|
//! | `rule` | says what each operator does with the bits of a NaN, and how a check is written |
//! | `types` | knows how many values operators take and give |
//! | `plan` | finds where checks go |
//! | `proof` | shows of what came out that it keeps the rule, and is the audited module |
//!
//! May assume a valid module. Guarantees that a [`Settled`] shows the same bits as the module
//! that was given under the engine's rule, and is the same module without its checks: it is read
//! again and shown. Touches no fuel: checks are not paid for, and each comes behind an operator
//! that is. Where checks would make a function too large for the engine, or too slow to
//! compile, there is no [`Settled`], and the engine's own rule does it. Nor is there one where no
//! operator makes a NaN: such a module's image is what it always was.

mod plan;
mod proof;
mod rule;
#[cfg(test)]
mod tests;
mod types;

use crate::places::{self, Pairs, Text, bodies};
use bls_artifact::limits::{BLOCKS_BY_LOCALS_MAX, METERED_FUNCTION_BYTES_MAX};
use plan::{Plan, plan};
use proof::prove;
use rule::check;
use std::borrow::Cow;
use std::fmt;
use types::Types;
use wasm_encoder::{Encode as _, Module, RawSection, SectionId};
use wasmparser::{BinaryReaderError, FunctionBody, Operator, Parser, Payload, ValType};

type Result<T, E = NanError> = std::result::Result<T, E>;

/// The custom section that holds a guest's own branch hints: they say where its code was.
const HINTS: &str = "metadata.code.branch_hint";

/// Why there is no module with checks: each is a defect of ours.
#[derive(Debug)]
pub enum NanError {
    /// The module cannot be read, so that it is not valid.
    Malformed(BinaryReaderError),
    /// An operator that no target runs.
    Operator,
    /// Something is not shown.
    Unproven {
        /// The function.
        function: u32,
        /// Where in the module with checks.
        offset: usize,
        /// What it is.
        what: &'static str,
    },
    /// What is not code is not that of the audited module.
    Differs,
}

impl fmt::Display for NanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::Operator => write!(f, "internal error: an operator that no target runs"),
            Self::Unproven { function, offset, what } => {
                write!(f, "internal error: NaNs in function {function} at {offset:#x}: {what}")
            }
            Self::Differs => write!(
                f,
                "internal error: without its checks of NaNs it is not the module that was audited"
            ),
        }
    }
}

impl std::error::Error for NanError {}

impl NanError {
    /// Its name, which stays the same when words change: of a module that passed its audit,
    /// each is a defect of the compiler's.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "compile.nans"
    }
}

impl From<BinaryReaderError> for NanError {
    fn from(error: BinaryReaderError) -> Self {
        Self::Malformed(error)
    }
}

/// A module in which every NaN that can be seen is the canonical one, with the engine's own
/// rule off.
#[derive(Debug)]
pub struct Settled<'a> {
    wasm: Cow<'a, [u8]>,
    checks: u64,
}

impl<'a> Settled<'a> {
    /// Adds checks to a module; `None` where the engine's own rule has to do it, or has nothing
    /// to do.
    ///
    /// # Errors
    /// [`NanError`].
    pub fn of(wasm: &'a [u8]) -> Result<Option<Self>> {
        let types = Types::of(wasm)?;
        let all = bodies(wasm)?;
        let mut code = Vec::new();
        (all.len() as u32).encode(&mut code);
        let (mut checks, mut body, mut makes_nans) = (0, Vec::new(), false);
        let mut claims = Vec::with_capacity(all.len());
        for (defined, audited) in all.iter().enumerate() {
            let plan = plan(&types, defined, audited)?;
            makes_nans |= plan.is_some();
            let plan = plan.unwrap_or_default();
            if plan.checks.is_empty() {
                body.clear();
                body.extend_from_slice(audited.as_bytes());
            } else {
                let locals = types.locals(defined, audited)?.len();
                let ways = plan.checks.len() as u64;
                if ways.saturating_mul(locals as u64) > BLOCKS_BY_LOCALS_MAX {
                    return Ok(None);
                }
                write(audited, &plan, locals as u32, &mut body)?;
            }
            if body.len() > METERED_FUNCTION_BYTES_MAX {
                return Ok(None);
            }
            checks += plan.checks.len() as u64;
            (body.len() as u32).encode(&mut code);
            code.extend_from_slice(&body);
            claims.push(plan.locals);
        }
        if !makes_nans || u32::try_from(code.len()).is_err() {
            return Ok(None);
        }
        let made = if checks == 0 { Cow::Borrowed(wasm) } else { Cow::Owned(with(wasm, &code)?) };
        if !same_but_for_code(wasm, &made)? {
            return Err(NanError::Differs);
        }
        let compiled = bodies(&made)?;
        if compiled.len() != all.len() {
            return Err(NanError::Differs);
        }
        for (defined, (audited, compiled)) in all.iter().zip(&compiled).enumerate() {
            prove(&types, defined, audited, compiled, &claims[defined])?;
        }
        Ok(Some(Self { wasm: made, checks }))
    }

    /// The binary module.
    #[must_use]
    pub fn wasm(&self) -> &[u8] {
        &self.wasm
    }

    /// How many checks there are.
    #[must_use]
    pub fn checks(&self) -> u64 {
        self.checks
    }
}

/// Where the operators of what is compiled stand in the audited module, by defined function. May
/// assume that the one is the other with checks.
///
/// # Errors
/// [`NanError`].
pub(crate) fn places(audited: &[u8], compiled: &[u8]) -> Result<Vec<Pairs>> {
    let types = Types::of(audited)?;
    let (before, after) = (bodies(audited)?, bodies(compiled)?);
    let mut all = Vec::with_capacity(before.len());
    for (defined, (before, after)) in before.iter().zip(&after).enumerate() {
        let locals = types.locals(defined, before)?.len();
        all.push(places::pairs(before, after, |operator| match operator {
            // A check begins so, and nothing else names these locals.
            Operator::LocalSet { local_index } if *local_index as usize >= locals => {
                Text::BehindEnd
            }
            _ => Text::None,
        })?);
    }
    Ok(all)
}

/// Writes a function with its checks: each type that is checked gets one local behind the
/// others.
fn write(body: &FunctionBody<'_>, plan: &Plan, locals: u32, to: &mut Vec<u8>) -> Result<()> {
    let bytes = body.as_bytes();
    let begin = body.range().start;
    let mut groups = body.get_locals_reader()?;
    let first = groups.original_position() - begin;
    for _ in 0..groups.get_count() {
        groups.read()?;
    }
    let operators = groups.original_position() - begin;
    let types: Vec<ValType> = [ValType::F32, ValType::F64, ValType::V128]
        .into_iter()
        .filter(|ty| plan.checks.iter().any(|(_, shape)| shape.ty() == *ty))
        .collect();
    to.clear();
    (groups.get_count() + types.len() as u32).encode(to);
    to.extend_from_slice(&bytes[first..operators]);
    for ty in &types {
        1_u32.encode(to);
        match ty {
            ValType::F32 => wasm_encoder::ValType::F32,
            ValType::F64 => wasm_encoder::ValType::F64,
            _ => wasm_encoder::ValType::V128,
        }
        .encode(to);
    }
    let mut from = operators;
    for (place, shape) in &plan.checks {
        to.extend_from_slice(&bytes[from..*place]);
        from = *place;
        let scratch = types.iter().position(|ty| *ty == shape.ty()).unwrap_or(0);
        check(*shape, locals + scratch as u32, to);
    }
    to.extend_from_slice(&bytes[from..]);
    Ok(())
}

/// The module with this code, and without a guest's own hints.
fn with(wasm: &[u8], code: &[u8]) -> Result<Vec<u8>> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if matches!(&payload, Payload::CustomSection(custom) if custom.name() == HINTS) {
            continue;
        }
        if let Some((id, range)) = payload.as_section() {
            let data = if id == SectionId::Code as u8 { code } else { &wasm[range] };
            module.section(&RawSection { id, data });
        }
    }
    Ok(module.finish())
}

/// A section: number, and contents of all but the code.
type Section<'a> = (u8, Option<&'a [u8]>);

/// Whether two modules have the same sections but for code and hints.
fn same_but_for_code(audited: &[u8], compiled: &[u8]) -> Result<bool> {
    let sections = |wasm| -> Result<Vec<Section<'_>>> {
        let mut sections = Vec::new();
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            if matches!(&payload, Payload::CustomSection(custom) if custom.name() == HINTS) {
                continue;
            }
            if let Some((id, range)) = payload.as_section() {
                sections.push((id, (id != SectionId::Code as u8).then(|| &wasm[range])));
            }
        }
        Ok(sections)
    };
    Ok(sections(audited)? == sections(compiled)?)
}
