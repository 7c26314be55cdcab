//! Stage *profile*: counters by function, for the author who asks where the fuel goes.
//!
//! Only with `--fuel-profile`, and behind the audit, so nothing that was shown is changed.
//! Wherever a function writes the counter, what the counter lost is added to a global of
//! that function (`$p`, exported as `__bls_fuel_N`):
//!
//! ```wat
//!                              global.get $p  global.get $fuel  i64.add  global.set $p
//! global.set $fuel             global.set $fuel
//!                              global.get $p  global.get $fuel  i64.sub  global.set $p
//! ```
//!
//! Where a run ends out of fuel, behind `i64.const −2⁶³`, nothing is added. A function
//! writes the counter before it calls, before it ends and at every event, and then nothing
//! of its own is pending (rule `exact`): so what the counter loses there is what that
//! function itself consumed, and the sum over all functions is what the counter lost in
//! all, but for what the host took.
//!
//! May assume a metered, audited module. Guarantees the same results, traps and fuel, which
//! `audit::profile` shows again from the bytes. Does not count what the host takes, nor
//! what a function consumed between its last write and a trap.

use crate::audit::{AuditError, Audited};
use crate::validate::recheck;
use bls_artifact::fuel::{OUT_OF_FUEL, PROFILE_EXPORT};
use bls_artifact::limits::IMAGE_BYTES_MAX;
use std::fmt;
use wasm_encoder::{
    CodeSection, ConstExpr, Encode as _, ExportKind, GlobalType, Instruction, Module, RawSection,
    SectionId, ValType,
};
use wasmparser::{
    BinaryReader, BinaryReaderError, FunctionBody, Operator, Parser, Payload, TypeRef, WasmFeatures,
};

/// Why there is no profile build.
#[derive(Debug)]
pub enum ProfileError {
    /// wasmparser could not read what it validated: a defect of ours.
    Malformed(BinaryReaderError),
    /// With its counters the module is too large for WebAssembly's limits.
    Invalid(wasmparser::Error),
    /// With its counters it is longer than an image could be.
    TooLong(usize),
    /// It is more than the audited module with counters: a defect of ours.
    Audit(AuditError),
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "internal error: {error}"),
            Self::Invalid(error) => {
                write!(f, "with counters by function it is not valid: {}", error.message())
            }
            Self::TooLong(bytes) => {
                write!(f, "with counters by function the module would have {bytes} bytes")
            }
            Self::Audit(error) => write!(f, "internal error: {error}"),
        }
    }
}

impl std::error::Error for ProfileError {}

impl ProfileError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::Audit(_) => "fuel-profile.defect",
            Self::Invalid(_) | Self::TooLong(_) => "fuel-profile.too-large",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Invalid(_) | Self::TooLong(_) => "compile without --fuel-profile",
            Self::Malformed(_) | Self::Audit(_) => "please report this, with the module",
        }
    }
}

impl From<BinaryReaderError> for ProfileError {
    fn from(error: BinaryReaderError) -> Self {
        Self::Malformed(error)
    }
}

/// Adds counters by function to a metered module.
///
/// # Errors
/// [`ProfileError`].
pub fn fuel_profile(audited: Audited, features: WasmFeatures) -> Result<Audited, ProfileError> {
    let wasm = instrument(audited.wasm())?;
    of_another(audited, wasm, features)
}

/// The same with what somebody else made of it.
///
/// # Errors
/// [`ProfileError`].
pub(crate) fn of_another(
    audited: Audited,
    wasm: Vec<u8>,
    features: WasmFeatures,
) -> Result<Audited, ProfileError> {
    if wasm.len() as u64 > IMAGE_BYTES_MAX {
        return Err(ProfileError::TooLong(wasm.len()));
    }
    recheck(&wasm, features).map_err(ProfileError::Invalid)?;
    audited.with_profile(wasm).map_err(ProfileError::Audit)
}

/// What is read of a metered module.
#[derive(Default)]
struct Survey<'m> {
    imported_functions: u32,
    globals: u32,
    bodies: Vec<Body<'m>>,
}

/// A defined function.
struct Body<'m> {
    bytes: &'m [u8],
    writes: Vec<Write>,
}

/// Where a body writes the counter: where the operator begins and ends, from the beginning
/// of the body.
type Write = std::ops::Range<usize>;

impl<'m> Survey<'m> {
    fn of(wasm: &'m [u8]) -> Result<Self, BinaryReaderError> {
        let mut survey = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => {
                                survey.imported_functions += 1;
                            }
                            TypeRef::Global(_) => survey.globals += 1,
                            _ => {}
                        }
                    }
                }
                Payload::GlobalSection(section) => survey.globals += section.count(),
                Payload::CodeSectionEntry(body) => {
                    let bytes = &wasm[body.range()];
                    let writes = writes(&body, survey.counter())?;
                    survey.bodies.push(Body { bytes, writes });
                }
                _ => {}
            }
        }
        Ok(survey)
    }

    /// The counter is the last global.
    fn counter(&self) -> u32 {
        self.globals.saturating_sub(1)
    }

    /// The functions that write the counter, by index; each gets a global, in this order.
    fn counted(&self) -> impl Iterator<Item = u32> {
        let all = (self.imported_functions..).zip(&self.bodies);
        all.filter(|(_, body)| !body.writes.is_empty()).map(|(index, _)| index)
    }
}

/// Where a body writes the counter, but for where the run is out of fuel.
fn writes(body: &FunctionBody<'_>, counter: u32) -> Result<Vec<Write>, BinaryReaderError> {
    let base = body.range().start;
    let mut reader = body.get_operators_reader()?;
    let mut found = Vec::new();
    let mut is_end = false;
    while !reader.eof() {
        let begin = reader.original_position() - base;
        let operator = reader.read()?;
        if matches!(operator, Operator::GlobalSet { global_index } if global_index == counter)
            && !is_end
        {
            found.push(begin..reader.original_position() - base);
        }
        is_end = matches!(operator, Operator::I64Const { value: OUT_OF_FUEL });
    }
    Ok(found)
}

fn instrument(wasm: &[u8]) -> Result<Vec<u8>, BinaryReaderError> {
    let survey = Survey::of(wasm)?;
    let counter = survey.counter();
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::GlobalSection(section) => {
                let mut added = Vec::new();
                for _ in survey.counted() {
                    GlobalType { val_type: ValType::I64, mutable: true, shared: false }
                        .encode(&mut added);
                    ConstExpr::i64_const(0).encode(&mut added);
                }
                let data = append(&wasm[section.range()], survey.counted().count(), &added)?;
                module.section(&RawSection { id: SectionId::Global as u8, data: &data });
            }
            Payload::ExportSection(section) => {
                let mut added = Vec::new();
                for (global, function) in (counter + 1..).zip(survey.counted()) {
                    format!("{PROFILE_EXPORT}{function}").as_str().encode(&mut added);
                    ExportKind::Global.encode(&mut added);
                    global.encode(&mut added);
                }
                let data = append(&wasm[section.range()], survey.counted().count(), &added)?;
                module.section(&RawSection { id: SectionId::Export as u8, data: &data });
            }
            Payload::CodeSectionStart { .. } => {
                let mut code = CodeSection::new();
                let mut own = counter;
                for body in &survey.bodies {
                    own += u32::from(!body.writes.is_empty());
                    code.raw(&insert(body, counter, own));
                }
                module.section(&code);
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    module.section(&RawSection { id, data: &wasm[range] });
                }
            }
        }
    }
    Ok(module.finish())
}

/// A body with the texts of its own counter.
fn insert(body: &Body<'_>, counter: u32, own: u32) -> Vec<u8> {
    let mut made = Vec::with_capacity(body.bytes.len() + body.writes.len() * 20);
    let text = |made: &mut Vec<u8>, operation: Instruction<'_>| {
        Instruction::GlobalGet(own).encode(made);
        Instruction::GlobalGet(counter).encode(made);
        operation.encode(made);
        Instruction::GlobalSet(own).encode(made);
    };
    let mut copied = 0;
    for write in &body.writes {
        made.extend_from_slice(&body.bytes[copied..write.start]);
        text(&mut made, Instruction::I64Add);
        made.extend_from_slice(&body.bytes[write.start..write.end]);
        text(&mut made, Instruction::I64Sub);
        copied = write.end;
    }
    made.extend_from_slice(&body.bytes[copied..]);
    made
}

/// A section's contents with `more` entries behind its own.
fn append(contents: &[u8], more: usize, added: &[u8]) -> Result<Vec<u8>, BinaryReaderError> {
    let mut reader = BinaryReader::new(contents, 0);
    let count = reader.read_var_u32()?;
    let mut data = Vec::with_capacity(contents.len() + added.len() + 4);
    (count + more as u32).encode(&mut data);
    data.extend_from_slice(&contents[reader.current_position()..]);
    data.extend_from_slice(added);
    Ok(data)
}
