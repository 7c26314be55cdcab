//! Stage *validate*: a [`Source`] becomes a [`Validated`].
//!
//! wasmparser at wasmtime's own release decides what is valid, with exactly the
//! features of the engine profile; on top stand our caps (`limits.rs`), the
//! reserved names and the refusal of shared memories. Guarantees: wasmtime will
//! accept the module, and metering has room and its names to itself. Does not
//! judge imports: what a module may ask for is the loader's to grant.

use crate::input::Source;
use bls_artifact::fuel::RESERVED_PREFIX;
use bls_artifact::limits::{
    BLOCKS_BY_LOCALS_MAX, CARRIED_MORE_MAX, CARRIED_PER_BYTE_MAX, EXPORTS_MAX, FUNCTION_BYTES_MAX,
    FUNCTIONS_MAX, GLOBALS_MAX, IMAGE_ELEMENTS_MAX, IMPORTS_MAX, KEPT_MAX, LOCALS_MAX, NESTING_MAX,
    OPERANDS_MAX, PASSED_MORE_MAX, PLACED_MAX, SURFACE_MAX, TABLE_TARGETS_MAX, TYPES_MAX,
    WIDE_LABELS_MAX,
};
use bls_artifact::target::EngineProfile;
use elements::precomputed;
use joins::Joins;
use passed::passed;
use references::References;
pub(crate) use references::references;
use std::fmt;
use surface::surface;
use wasmparser::{
    BinaryReader, BlockType, CompositeInnerType, FuncToValidate, FuncValidatorAllocations,
    FunctionBody, Imports, KnownCustom, Name, Operator, Parser, Payload, TypeRef, ValidPayload,
    Validator, ValidatorResources, WasmFeatures, WasmModuleResources as _,
};

mod elements;
mod joins;
mod passed;
mod references;
mod surface;

/// Why a module is refused.
#[derive(Clone, Debug)]
pub enum ValidateError {
    /// Not valid with the features of the profile.
    Invalid {
        /// What wasmparser said.
        what: String,
        /// Where, in bytes from the start of the binary module.
        offset: usize,
        /// The function it is in.
        function: Option<Place>,
        /// The proposal that would make it valid.
        proposal: Option<String>,
    },
    /// Ends early.
    Truncated {
        /// Where it ends.
        offset: usize,
    },
    /// Valid, but above one of our caps.
    Cap {
        /// Of what there is too much.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// The cap.
        most: u64,
        /// The function it is in.
        function: Option<Place>,
    },
    /// A shared memory: its index.
    SharedMemory(u32),
    /// An export that has one of metering's names.
    ReservedExport(String),
    /// An import that has one of metering's names.
    ReservedImport(String, String),
}

/// A function, as a person finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its index in the module.
    pub index: u32,
    /// Its name in the name section.
    pub name: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "function {} ({name:?})", self.index),
            None => write!(f, "function {}", self.index),
        }
    }
}

impl fmt::Display for ValidateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_function = |function: &Option<Place>| {
            function.as_ref().map_or(String::new(), |place| format!(" in {place}"))
        };
        match self {
            Self::Invalid { what, offset, function, proposal } => {
                write!(f, "{what}{} at offset {offset:#x}", in_function(function))?;
                match proposal {
                    Some(name) => {
                        write!(
                            f,
                            "; it needs the {name} proposal, which this toolchain does not run on this target"
                        )
                    }
                    None => Ok(()),
                }
            }
            Self::Truncated { offset } => {
                write!(f, "the module is truncated: it ends early, at offset {offset:#x}")
            }
            Self::Cap { what, found, most, function } => {
                write!(f, "{found} {what}{}; at most {most} are allowed", in_function(function))
            }
            Self::SharedMemory(index) => {
                write!(f, "memory {index} is shared, and shared memories are not supported")
            }
            Self::ReservedExport(name) => {
                write!(f, "the export {name:?} has a name that is reserved for metering")
            }
            Self::ReservedImport(module, name) => {
                write!(f, "the import {module:?} {name:?} has a name that is reserved for metering")
            }
        }
    }
}

impl std::error::Error for ValidateError {}

impl ValidateError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { proposal: Some(_), .. } => "validate.proposal",
            Self::Invalid { proposal: None, .. } => "validate.invalid",
            Self::Truncated { .. } => "validate.truncated",
            Self::Cap { .. } => "validate.cap",
            Self::SharedMemory(_) => "validate.shared-memory",
            Self::ReservedExport(_) => "validate.reserved-export",
            Self::ReservedImport(..) => "validate.reserved-import",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Invalid { proposal: Some(name), .. } if name == "legacy-exceptions" => {
                "build with the standard exceptions: clang -fwasm-exceptions -mllvm -wasm-use-legacy-eh=false, or convert with wasm-opt --translate-to-exnref".to_owned()
            }
            Self::Invalid { proposal: Some(name), .. } if name == "threads" => {
                "the portable targets have no atomics; use a native target, or build without threads".to_owned()
            }
            Self::Invalid { proposal: Some(name), .. } => format!("build without {name}"),
            Self::Invalid { what, .. } if what.starts_with("effective type size") => {
                "import and export less: a function counts 2, and 1 for each value it takes or gives".to_owned()
            }
            Self::Invalid { .. } => {
                "the tool that made the module has a defect, or the file is damaged; wasm-tools validate says the same".to_owned()
            }
            Self::Truncated { .. } => "fetch or build the file again".to_owned(),
            Self::Cap { function: None, .. } => "split the module".to_owned(),
            Self::Cap { .. } => "split it, or lower the compiler's inlining".to_owned(),
            Self::SharedMemory(_) => {
                "build without threads: no --shared-memory, no -pthread".to_owned()
            }
            Self::ReservedExport(_) | Self::ReservedImport(..) => format!(
                "names that begin with {RESERVED_PREFIX} belong to bls-compile; is this a module that was metered already?"
            ),
        })
    }
}

/// A valid module, within our caps.
#[derive(Debug)]
pub struct Validated {
    source: Source,
    features: WasmFeatures,
    joining: u64,
}

impl Validated {
    /// About what the code generator's better allocator does for the values that branches
    /// carry: for each function the power 3/2 of how many there are, all added up.
    #[must_use]
    pub fn joining(&self) -> u64 {
        self.joining
    }

    /// The binary module.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.source.wasm()
    }

    /// The features it was validated with.
    #[must_use]
    pub fn features(&self) -> WasmFeatures {
        self.features
    }

    /// Where it came from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }
}

/// Validates a module for an engine.
///
/// # Errors
/// [`ValidateError`], with place, function and proposal where there are any.
pub fn validate(source: Source, profile: &EngineProfile) -> Result<Validated, ValidateError> {
    let features = profile.wasm_features();
    let joining = check(source.wasm(), features)?;
    Ok(Validated { source, features, joining })
}

/// Whether bytes of our own making are valid: no caps and no reserved names.
///
/// # Errors
/// What wasmparser says.
pub fn recheck(wasm: &[u8], features: WasmFeatures) -> Result<(), wasmparser::Error> {
    Validator::new_with_features(features).validate_all(wasm).map(|_| ())
}

/// One pass over the module: wasmparser's rules and ours together. Gives
/// [`Validated::joining`].
fn check(wasm: &[u8], features: WasmFeatures) -> Result<u64, ValidateError> {
    let mut validator = Validator::new_with_features(features);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut allocations = FuncValidatorAllocations::default();
    let mut function = None;
    let mut carried = 0_u64;
    let mut wide = 0_u64;
    let mut joining = 0_u64;
    let carried_max = CARRIED_MORE_MAX + CARRIED_PER_BYTE_MAX * wasm.len() as u64;
    let mut values = 0_u64;
    let values_max = PASSED_MORE_MAX + wasm.len() as u64;
    for payload in parser.parse_all(wasm) {
        let checked = payload.map_err(Problem::Parser).and_then(|payload| {
            function = None;
            caps(&payload)?;
            let (to_validate, body) = match validator.payload(&payload)? {
                ValidPayload::Func(to_validate, body) => (to_validate, body),
                ValidPayload::End(types) => {
                    const SEEN: &str =
                        "imports and exports, a function counted twice and with its values";
                    return cap(SEEN, surface(types.as_ref()), SURFACE_MAX);
                }
                _ => return Ok(()),
            };
            function = Some(to_validate.index);
            let work = body_check(to_validate, &body, &mut allocations)?;
            carried = carried.saturating_add(work.carried);
            cap("values carried to where branches meet", carried, carried_max)?;
            let power = work.carried.saturating_mul(work.carried.isqrt());
            joining = joining.saturating_add(power);
            wide = wide.saturating_add(work.wide);
            cap("values of labels that have more than 16", wide, WIDE_LABELS_MAX)?;
            values = values.saturating_add(work.passed);
            cap("values passed to functions and back or made by default", values, values_max)
        });
        checked.map_err(|problem| problem.into_error(wasm, features, function))?;
    }
    let elements = precomputed(wasm).map_err(Problem::Parser);
    elements
        .and_then(|elements| cap("table elements in the image", elements, IMAGE_ELEMENTS_MAX))
        .map_err(|problem| problem.into_error(wasm, features, None))?;
    Ok(joining)
}

/// A defect before the parts that take time to find out.
enum Problem {
    Parser(wasmparser::Error),
    Cap { what: &'static str, found: u64, most: u64 },
    Other(ValidateError),
}

impl From<wasmparser::Error> for Problem {
    fn from(error: wasmparser::Error) -> Self {
        Self::Parser(error)
    }
}

impl Problem {
    fn into_error(
        self,
        wasm: &[u8],
        features: WasmFeatures,
        function: Option<u32>,
    ) -> ValidateError {
        let function = function.map(|index| Place { index, name: function_name(wasm, index) });
        match self {
            Self::Other(error) => error,
            Self::Cap { what, found, most } => ValidateError::Cap { what, found, most, function },
            Self::Parser(error) => {
                let proposal = missing_proposal(wasm, features, &error);
                if proposal.is_none() && ends_early(wasm) {
                    return ValidateError::Truncated { offset: wasm.len() };
                }
                ValidateError::Invalid {
                    what: error.message().to_owned(),
                    offset: error.offset(),
                    function,
                    proposal,
                }
            }
        }
    }
}

/// Refuses `found` above `most`.
fn cap(what: &'static str, found: u64, most: u64) -> Result<(), Problem> {
    if found > most { Err(Problem::Cap { what, found, most }) } else { Ok(()) }
}

/// Our caps on one section, and the names and memories we refuse.
fn caps(payload: &Payload<'_>) -> Result<(), Problem> {
    match payload {
        Payload::TypeSection(section) => {
            let mut types = 0;
            for group in section.clone() {
                types += group?.types().len() as u64;
                cap("types", types, u64::from(TYPES_MAX))?;
            }
        }
        Payload::ImportSection(section) => {
            let (mut imports, mut memories) = (0_u64, 0_u32);
            // Groups of the compact form are refused by the validator.
            for group in section.clone() {
                let Imports::Single(_, import) = group? else { break };
                imports += 1;
                cap("imports", imports, u64::from(IMPORTS_MAX))?;
                if reserved(import.module) || reserved(import.name) {
                    return Err(Problem::Other(ValidateError::ReservedImport(
                        import.module.to_owned(),
                        import.name.to_owned(),
                    )));
                }
                if let TypeRef::Memory(memory) = import.ty {
                    if memory.shared {
                        return Err(Problem::Other(ValidateError::SharedMemory(memories)));
                    }
                    memories += 1;
                }
            }
        }
        Payload::FunctionSection(section) => {
            cap("functions", u64::from(section.count()), u64::from(FUNCTIONS_MAX))?;
        }
        Payload::MemorySection(section) => {
            for (memory, index) in section.clone().into_iter().zip(0..) {
                if memory?.shared {
                    return Err(Problem::Other(ValidateError::SharedMemory(index)));
                }
            }
        }
        Payload::GlobalSection(section) => {
            cap("globals", u64::from(section.count()), u64::from(GLOBALS_MAX))?;
        }
        Payload::ExportSection(section) => {
            cap("exports", u64::from(section.count()), u64::from(EXPORTS_MAX))?;
            for export in section.clone() {
                let name = export?.name;
                if reserved(name) {
                    return Err(Problem::Other(ValidateError::ReservedExport(name.to_owned())));
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether metering keeps this name for itself.
fn reserved(name: &str) -> bool {
    name.starts_with(RESERVED_PREFIX)
}

/// What a function costs the code generator, beyond its length.
struct Work {
    /// [`Joins::carried`].
    carried: u64,
    /// [`Joins::wide`].
    wide: u64,
    /// Values of its own signature and of all its calls.
    passed: u64,
}

/// Validates one function and holds it to our caps; what it costs.
fn body_check(
    function: FuncToValidate<ValidatorResources>,
    body: &FunctionBody<'_>,
    allocations: &mut FuncValidatorAllocations,
) -> Result<Work, Problem> {
    let bytes = body.range().len() as u64;
    cap("bytes", bytes, u64::from(FUNCTION_BYTES_MAX))?;
    // Before the validator, whose own cap has no number to show.
    let mut locals = 0_u64;
    for group in body.get_locals_reader()? {
        locals += u64::from(group?.0);
    }
    cap("locals", locals, u64::from(LOCALS_MAX))?;
    let signature = function.ty;
    let mut validator = function.into_validator(std::mem::take(allocations));
    let mut reader = body.get_binary_reader();
    validator.read_locals(&mut reader)?;
    reader.set_features(*validator.features());
    cap("locals", u64::from(validator.len_locals()), u64::from(LOCALS_MAX))?;
    let mut targets = 0;
    let mut blocks = 0_u64;
    let mut joins = Joins::new(validator.len_locals());
    let mut values = passed::by_type(signature, validator.resources());
    let mut references = References::of_locals(&validator);
    while !reader.eof() {
        let operator = reader.peek_operator(&validator.visitor(reader.original_position()))?;
        let before = validator.operand_stack_height();
        blocks += u64::from(opens_block(&operator));
        cap(
            "blocks times locals",
            blocks.saturating_mul(validator.len_locals().into()),
            BLOCKS_BY_LOCALS_MAX,
        )?;
        if let Operator::BrTable { targets: table } = &operator {
            targets += u64::from(table.len()) + 1;
        }
        cap("br_table targets", targets, TABLE_TARGETS_MAX)?;
        reader.visit_operator(&mut validator.visitor(reader.original_position()))??;
        cap("nested blocks", u64::from(validator.control_stack_height()), NESTING_MAX as u64)?;
        cap("operands on the stack", u64::from(validator.operand_stack_height()), OPERANDS_MAX)?;
        references.add(&operator, before, &validator);
        cap("references times calls and allocations", references.kept(), KEPT_MAX)?;
        values = values.saturating_add(passed(&operator, validator.resources()));
        joins.add(&operator, || label_arity(&operator, validator.resources()));
        cap("values of labels times blocks before them", joins.placed(), PLACED_MAX)?;
    }
    reader.finish_expression(&validator.visitor(reader.original_position()))?;
    *allocations = validator.into_allocations();
    Ok(Work { carried: joins.carried(), wide: joins.wide(), passed: values })
}

/// How many values a branch brings to the label that an operator opens.
fn label_arity(operator: &Operator<'_>, resources: &ValidatorResources) -> u64 {
    let (Operator::Block { blockty } | Operator::If { blockty } | Operator::Loop { blockty }) =
        operator
    else {
        let Operator::TryTable { try_table } = operator else { return 0 };
        return type_arity(try_table.ty, false, resources);
    };
    type_arity(*blockty, matches!(operator, Operator::Loop { .. }), resources)
}

fn type_arity(ty: BlockType, is_loop: bool, resources: &ValidatorResources) -> u64 {
    match ty {
        BlockType::Empty => 0,
        BlockType::Type(_) => u64::from(!is_loop),
        BlockType::FuncType(index) => {
            let Some(CompositeInnerType::Func(ty)) =
                resources.sub_type_at(index).map(|ty| &ty.composite_type.inner)
            else {
                return 0;
            };
            if is_loop { ty.params().len() as u64 } else { ty.results().len() as u64 }
        }
    }
}

fn opens_block(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. }
    )
}

/// The one proposal with which the module would be valid; else the one that
/// wasmparser missed first.
fn missing_proposal(
    wasm: &[u8],
    features: WasmFeatures,
    error: &wasmparser::Error,
) -> Option<String> {
    let others = || WasmFeatures::all().difference(features).iter_names();
    others()
        .find(|(_, feature)| recheck(wasm, features | *feature).is_ok())
        .map(|(name, _)| name)
        .or_else(|| {
            let missing = error.missing_wasm_feature()?;
            others().find(|(_, feature)| *feature == missing).map(|(name, _)| name)
        })
        .map(|name| name.to_ascii_lowercase().replace('_', "-"))
}

/// Whether the last section says it is longer than the file.
fn ends_early(wasm: &[u8]) -> bool {
    let mut reader = BinaryReader::new(wasm.get(8..).unwrap_or_default(), 8);
    while !reader.eof() {
        let section = reader.read_u8().and_then(|_| reader.read_var_u32());
        if section.and_then(|length| reader.read_bytes(length as usize)).is_err() {
            return true;
        }
    }
    false
}

/// A function's name in the name section. Only for error messages, so anything
/// odd in there is no name.
fn function_name(wasm: &[u8], index: u32) -> Option<String> {
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CustomSection(section) = payload.ok()? else { continue };
        let KnownCustom::Name(names) = section.as_known() else { continue };
        for subsection in names {
            let Name::Function(functions) = subsection.ok()? else { continue };
            for naming in functions {
                let naming = naming.ok()?;
                if naming.index == index {
                    return Some(naming.name.chars().take(200).collect());
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use bls_artifact::target::{Nans, Target};

    fn check_wat(wat: &str, target: Target) -> Result<Validated, ValidateError> {
        let source = Source::new(wat.as_bytes().to_vec(), "test.wat").unwrap();
        validate(source, &EngineProfile::of(target, Nans::Canonical))
    }

    fn refusal(wat: &str) -> String {
        check_wat(wat, Target::X86_64).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_place_function_and_proposal() {
        let message = refusal("(module (func) (func $add (result i32) i64.const 1))");
        assert!(message.contains("function 1 (\"add\") at offset 0x"), "{message}");
        for (wat, proposal) in [
            (
                "(module (func (param i64 i64 i64 i64) (result i64 i64) local.get 0 local.get 1 local.get 2 local.get 3 i64.add128))",
                "wide-arithmetic",
            ),
            ("(module (memory 1 (pagesize 1)))", "custom-page-sizes"),
            ("(module (func try catch_all end))", "legacy-exceptions"),
            ("(module (type $f (func)) (type $c (cont $f)))", "stack-switching"),
            ("(module (type (shared (struct))))", "shared-everything-threads"),
        ] {
            let message = refusal(wat);
            assert!(message.contains(&format!("needs the {proposal} proposal")), "{message}");
        }
        let atomics = "(module (memory 1) (func i32.const 0 i32.atomic.load drop))";
        assert!(check_wat(atomics, Target::X86_64).is_ok());
        let message = check_wat(atomics, Target::Pulley64).unwrap_err().to_string();
        assert!(message.contains("needs the threads proposal"), "{message}");
    }

    #[test]
    fn our_own_rules() {
        assert!(refusal("(module (memory 1 1 shared))").contains("memory 0 is shared"));
        assert!(
            refusal(
                "(module (import \"a\" \"m\" (memory 1)) (import \"a\" \"n\" (memory 1 1 shared)))"
            )
            .contains("memory 1 is shared")
        );
        assert!(refusal("(module (func (export \"__bls_x\")))").contains("reserved"));
        assert!(refusal("(module (import \"__bls\" \"x\" (func)))").contains("reserved"));
        assert!(refusal("(module (import \"x\" \"__bls\" (func)))").contains("reserved"));
        let wide = format!("(module (func (param i32) (local {})))", "i32 ".repeat(50_001));
        assert!(refusal(&wide).contains("50001 locals in function 0"));
        let deep = format!("(module (func {}{}))", "block ".repeat(10_001), "end ".repeat(10_001));
        assert!(refusal(&deep).contains("nested blocks in function 0"), "{}", refusal(&deep));
        let table = |targets: usize| format!("(br_table {}(i32.const 0))", "0 ".repeat(targets));
        let tables =
            |count: usize| format!("(module (func (block {})))", table(1000).repeat(count));
        assert!(check_wat(&tables(100), Target::X86_64).is_ok());
        assert!(refusal(&tables(101)).contains("br_table targets in function 0"));
        let blocks = |locals: usize, blocks: usize| {
            format!(
                "(module (func (local {}) {}))",
                "i32 ".repeat(locals),
                "block end ".repeat(blocks)
            )
        };
        assert!(check_wat(&blocks(16_384, 1024), Target::X86_64).is_ok());
        let message = refusal(&blocks(16_384, 1025));
        assert!(message.contains("blocks times locals in function 0"), "{message}");
        let globals = "(global i32 (i32.const 0))".repeat(50_001);
        assert!(refusal(&format!("(module {globals})")).contains("50001 globals"));
        let operands = |count: usize| {
            format!("(module (func {} {}))", "i32.const 1 ".repeat(count), "drop ".repeat(count))
        };
        assert!(check_wat(&operands(16_384), Target::X86_64).is_ok());
        let message = refusal(&operands(16_385));
        assert!(message.contains("16385 operands on the stack in function 0"), "{message}");
        let locals = format!("(module (func (local {})))", "i32 ".repeat(49_001));
        assert!(refusal(&locals).contains("49001 locals in function 0"));
    }

    #[test]
    fn what_functions_pass_is_limited() {
        let values = "i64 ".repeat(1000);
        let module = |functions: usize, calls: [usize; 3]| {
            let [direct, indirect, by_reference] = calls;
            let gets: String = (0..1000).map(|local| format!("(local.get {local})")).collect();
            format!(
                "(module (table 1 funcref) (type $t (func (param {values}) (result {values})))
                   (elem declare func 0) {}
                   (func (type $t) {gets} {} {} {}))",
                "(func (type $t) unreachable)".repeat(functions),
                "(call 0)".repeat(direct),
                "(call_indirect (type $t) (i32.const 0))".repeat(indirect),
                "(call_ref $t (ref.func 0))".repeat(by_reference),
            )
        };
        // 2^19, and one for each byte of the module: 3 KB of it for the function that calls.
        assert!(check_wat(&module(1, [258, 0, 0]), Target::X86_64).is_ok());
        assert!(check_wat(&module(260, [0; 3]), Target::X86_64).is_ok());
        let more = [
            module(300, [0; 3]),
            module(1, [300, 0, 0]),
            module(1, [0, 300, 0]),
            module(1, [0, 0, 300]),
        ];
        for (at, module) in more.iter().enumerate() {
            let message = refusal(module);
            let is_said = message
                .contains("values passed to functions and back or made by default in function");
            assert!(is_said, "{at}: {message}");
        }
    }

    #[test]
    fn what_branches_carry_is_limited() {
        let carried = |locals: usize, branches: usize| {
            let sets: String =
                (0..locals).map(|local| format!("(local.set {local} (i32.const 1))")).collect();
            let branches = "(br_if 0 (local.get 0))".repeat(branches);
            format!("(func (local {}) (block {sets} {branches}))", "i32 ".repeat(locals))
        };
        // (4095 + 1) × 4096 = 2^24, and there are eight for each byte.
        let refused = |functions: &str| refusal(&format!("(module {functions})"));
        assert!(check_wat(&format!("(module {})", carried(4096, 4095)), Target::X86_64).is_ok());
        let message = refused(&carried(4200, 4200));
        assert!(
            message.contains("values carried to where branches meet in function 0"),
            "{message}"
        );
        // All functions count together.
        let message = refused(&format!("{0} {0}", carried(3000, 3000)));
        assert!(
            message.contains("values carried to where branches meet in function 1"),
            "{message}"
        );
        // Blocks and loops of types bring their values.
        let values = "i64 ".repeat(1000);
        let gets: String = (0..1000).map(|local| format!("(local.get {local})")).collect();
        let loops = |count: usize| {
            format!(
                "(module (type $t (func (param {values}) (result {values})))
                    (func (type $t) {gets} {}))",
                "loop (type $t) end ".repeat(count)
            )
        };
        assert!(check_wat(&loops(262), Target::X86_64).is_ok());
        let message = refusal(&loops(263));
        assert!(message.contains("values of labels that have more than 16"), "{message}");
    }

    #[test]
    fn no_cut_of_a_module_panics_or_passes_unseen() {
        let wat =
            "(module (func $f (param i32) (result i32) local.get 0) (export \"f\" (func $f)))";
        let whole = Source::new(wat.as_bytes().to_vec(), "t.wat").unwrap().wasm().to_vec();
        for length in 8..whole.len() {
            let Ok(source) = Source::new(whole[..length].to_vec(), "t.wasm") else { continue };
            // A cut between sections may leave a valid module; never a panic.
            let _ = validate(source, &EngineProfile::of(Target::X86_64, Nans::Canonical));
        }
    }
}
