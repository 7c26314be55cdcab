//! The module around the functions: what metering reads of it and adds to it.
//!
//! Sections are copied as they are, except for these: a type is appended for
//! each function with more than one result, the counter is appended to the
//! globals, `__bls_fuel` and `__bls_start` to the exports; the `start` section
//! goes; the code is replaced. Custom sections that hold positions in the code
//! (DWARF, source maps, branch hints, relocations) go too, because positions
//! have moved; names stay, because indices have not.

use super::MeterError;
use super::bulk::{Extent, Sizes};
use super::constant::{self, Instantiation};
use super::function::{self, Context, Function, FunctionError};
use super::graph::{Graph, Role};
use super::scan::Scan;
use super::summary::{Summaries, Summary};
use bls_artifact::fuel::{COUNTER_EXPORT, START_EXPORT};
use std::collections::BTreeMap;
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, Encode as _, ExportKind, ExportSection, GlobalSection,
    GlobalType, RawSection, SectionId, ValType,
};
use wasmparser::{
    BinaryReaderError, CompositeInnerType, ExternalKind, FunctionBody, Parser, Payload, TypeRef,
};

type Result<T, E = BinaryReaderError> = std::result::Result<T, E>;

/// What metering reads of a module.
pub(super) struct Survey<'m> {
    /// Bodies of the defined functions.
    pub(super) bodies: Vec<FunctionBody<'m>>,
    /// What instantiation costs.
    pub(super) instantiation: Instantiation,
    /// What the first look at each found.
    pub(super) scans: Vec<Scan>,
    /// By type index: parameters and results of function types.
    types: Vec<Option<(u32, Vec<ValType>)>>,
    /// Type indices of defined functions.
    signatures: Vec<u32>,
    imported_functions: u32,
    globals: u32,
    exported: Vec<u32>,
    escaping: Vec<u32>,
    start: Option<u32>,
    sizes: Sizes,
    /// Result lists that need a type of their own, with its index.
    result_types: BTreeMap<Vec<u8>, (u32, Vec<ValType>)>,
}

impl<'m> Survey<'m> {
    /// Reads a valid module.
    pub(super) fn of(bytes: &'m [u8]) -> Result<Self> {
        let mut survey = Self {
            bodies: Vec::new(),
            instantiation: Instantiation::default(),
            scans: Vec::new(),
            types: Vec::new(),
            signatures: Vec::new(),
            imported_functions: 0,
            globals: 0,
            exported: Vec::new(),
            escaping: Vec::new(),
            start: None,
            sizes: Sizes::default(),
            result_types: BTreeMap::new(),
        };
        for payload in Parser::new(0).parse_all(bytes) {
            survey.section(payload?)?;
        }
        let scans = survey.bodies.iter().enumerate();
        survey.scans = scans
            .map(|(function, body)| Scan::of(body, survey.signature(function).0))
            .collect::<Result<_>>()?;
        survey.number_result_types();
        Ok(survey)
    }

    fn section(&mut self, payload: Payload<'m>) -> Result<()> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group?.into_types() {
                        self.instantiation.shapes.add(&ty.composite_type.inner);
                        self.types.push(function_type(&ty.composite_type.inner));
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.import(import?.ty);
                }
            }
            Payload::FunctionSection(section) => {
                self.signatures = section.into_iter().collect::<Result<_>>()?;
                for ty in &self.signatures {
                    self.instantiation.shapes.add_function(*ty);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let table = table?;
                    self.sizes.tables.push(table_extent(&table.ty));
                    self.instantiation.table(&table)?;
                    if let wasmparser::TableInit::Expr(expression) = &table.init {
                        self.refer(expression)?;
                    }
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    self.sizes.memories.push(memory_extent(&memory));
                    self.instantiation.memory(memory.initial);
                }
            }
            Payload::TagSection(section) if section.count() > 0 => {
                self.instantiation.shapes.add_tag();
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global?;
                    self.globals += 1;
                    self.instantiation.global(&global)?;
                    self.refer(&global.init_expr)?;
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
                        self.exported.push(export.index);
                    }
                }
            }
            Payload::StartSection { func, .. } => {
                self.start = Some(func);
                self.exported.push(func);
            }
            Payload::ElementSection(section) => {
                for element in section {
                    let escaping = &mut self.escaping;
                    let count = self
                        .instantiation
                        .elements(element?, |function| escaping.push(function))?;
                    self.sizes.elements.push(count);
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    let data = data?;
                    self.sizes.data.push(data.data.len() as u64);
                    self.instantiation.data(&data)?;
                }
            }
            Payload::CodeSectionEntry(body) => self.bodies.push(body),
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, ty: TypeRef) {
        match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                self.instantiation.shapes.add_function(ty);
                self.imported_functions += 1;
            }
            TypeRef::Global(_) => self.globals += 1,
            TypeRef::Memory(memory) => self.sizes.memories.push(memory_extent(&memory)),
            TypeRef::Table(table) => self.sizes.tables.push(table_extent(&table)),
            TypeRef::Tag(_) => self.instantiation.shapes.add_tag(),
        }
    }

    fn refer(&mut self, expression: &wasmparser::ConstExpr<'_>) -> Result<()> {
        constant::references(expression, &mut |function| self.escaping.push(function))
    }

    /// The call graph.
    pub(super) fn graph(&self) -> Graph {
        Graph::of(&self.scans, self.imported_functions, &self.exported, &self.escaping)
    }

    /// Meters one defined function.
    pub(super) fn meter(
        &self,
        function: usize,
        role: Role,
        summaries: &Summaries,
    ) -> Result<(Vec<u8>, Summary), MeterError> {
        let context = Context {
            counter: self.globals,
            imported: self.imported_functions,
            sizes: &self.sizes,
            shapes: &self.instantiation.shapes,
        };
        let (parameters, results) = self.signature(function);
        let whole = Function {
            body: &self.bodies[function],
            scan: &self.scans[function],
            role,
            ty: self.signatures[function],
            parameters,
            result_count: results.len() as u64,
            results: match results {
                [] => BlockType::Empty,
                [single] => BlockType::Result(*single),
                many => BlockType::FunctionType(self.result_types[&key(many)].0),
            },
        };
        let index = self.imported_functions + function as u32;
        function::meter(&context, &whole, summaries).map_err(|error| match error {
            FunctionError::Malformed(error) => MeterError::Malformed(error),
            FunctionError::Operator(operator) => MeterError::Operator { operator, function: index },
            FunctionError::TooLong(length) => MeterError::TooLong { function: index, length },
        })
    }

    /// Parameters and results of a defined function.
    fn signature(&self, function: usize) -> (u32, &[ValType]) {
        self.types[self.signatures[function] as usize]
            .as_ref()
            .map_or((0, &[]), |(parameters, results)| (*parameters, results))
    }

    /// A type for each list of two and more results, in order of appearance.
    fn number_result_types(&mut self) {
        let mut next = self.types.len() as u32;
        for function in 0..self.bodies.len() {
            let results = self.signature(function).1.to_vec();
            if results.len() > 1 && !self.result_types.contains_key(&key(&results)) {
                self.result_types.insert(key(&results), (next, results));
                next += 1;
            }
        }
    }

    /// The metered module.
    pub(super) fn rewrite(&self, bytes: &[u8], bodies: &[Vec<u8>]) -> Result<Vec<u8>> {
        let mut rewriter = Rewriter {
            survey: self,
            module: wasm_encoder::Module::new(),
            globals_done: false,
            exports_done: false,
        };
        for payload in Parser::new(0).parse_all(bytes) {
            rewriter.section(payload?, bytes, bodies)?;
        }
        rewriter.before(SectionId::Start);
        Ok(rewriter.module.finish())
    }
}

/// Copies sections, and adds to them what metering adds.
struct Rewriter<'s, 'm> {
    survey: &'s Survey<'m>,
    module: wasm_encoder::Module,
    globals_done: bool,
    exports_done: bool,
}

impl Rewriter<'_, '_> {
    fn section(&mut self, payload: Payload<'_>, bytes: &[u8], bodies: &[Vec<u8>]) -> Result<()> {
        match &payload {
            Payload::TypeSection(section) => {
                let mut added = Vec::new();
                let mut types: Vec<_> = self.survey.result_types.values().collect();
                types.sort_unstable_by_key(|(index, _)| *index);
                for (_, results) in &types {
                    // A plain function type without parameters.
                    added.push(0x60);
                    added.push(0);
                    results.encode(&mut added);
                }
                self.append(
                    SectionId::Type,
                    section.count(),
                    types.len(),
                    section.range(),
                    bytes,
                    &added,
                )?;
            }
            Payload::GlobalSection(section) => {
                self.append(
                    SectionId::Global,
                    section.count(),
                    1,
                    section.range(),
                    bytes,
                    &counter(),
                )?;
                self.globals_done = true;
            }
            Payload::ExportSection(section) => {
                self.before(SectionId::Export);
                let (count, added) = self.exports();
                self.append(
                    SectionId::Export,
                    section.count(),
                    count,
                    section.range(),
                    bytes,
                    &added,
                )?;
                self.exports_done = true;
            }
            Payload::StartSection { .. } => {}
            Payload::CodeSectionStart { .. } => {
                self.before(SectionId::Code);
                let mut code = CodeSection::new();
                for body in bodies {
                    code.raw(body);
                }
                self.module.section(&code);
            }
            Payload::CustomSection(custom) if holds_positions(custom.name()) => {}
            _ => {
                if let Some((id, range)) = payload.as_section() {
                    self.before_id(id);
                    self.module.section(&RawSection { id, data: &bytes[range] });
                }
            }
        }
        Ok(())
    }

    /// Adds the sections that the module does not have and that belong before
    /// `next`.
    fn before(&mut self, next: SectionId) {
        if !self.globals_done {
            let mut globals = GlobalSection::new();
            globals.global(COUNTER_TYPE, &ConstExpr::i64_const(0));
            self.module.section(&globals);
            self.globals_done = true;
        }
        if next != SectionId::Export && !self.exports_done {
            let mut exports = ExportSection::new();
            exports.export(COUNTER_EXPORT, ExportKind::Global, self.survey.globals);
            if let Some(start) = self.survey.start {
                exports.export(START_EXPORT, ExportKind::Func, start);
            }
            self.module.section(&exports);
            self.exports_done = true;
        }
    }

    /// The same for a section that is copied.
    fn before_id(&mut self, id: u8) {
        match id {
            id if id == SectionId::Element as u8
                || id == SectionId::DataCount as u8
                || id == SectionId::Data as u8 =>
            {
                self.before(SectionId::Element);
            }
            _ => {}
        }
    }

    /// The entries for the export section, encoded, and how many.
    fn exports(&self) -> (usize, Vec<u8>) {
        let mut added = Vec::new();
        COUNTER_EXPORT.encode(&mut added);
        ExportKind::Global.encode(&mut added);
        self.survey.globals.encode(&mut added);
        if let Some(start) = self.survey.start {
            START_EXPORT.encode(&mut added);
            ExportKind::Func.encode(&mut added);
            start.encode(&mut added);
            return (2, added);
        }
        (1, added)
    }

    /// Copies a section of `count` entries with `more` entries behind them.
    fn append(
        &mut self,
        id: SectionId,
        count: u32,
        more: usize,
        range: std::ops::Range<usize>,
        bytes: &[u8],
        added: &[u8],
    ) -> Result<()> {
        let data = append(&bytes[range], count, more, added)?;
        self.module.section(&RawSection { id: id as u8, data: &data });
        Ok(())
    }
}

/// The type of the counter.
const COUNTER_TYPE: GlobalType =
    GlobalType { val_type: ValType::I64, mutable: true, shared: false };

/// The counter as an entry of the global section.
fn counter() -> Vec<u8> {
    let mut entry = Vec::new();
    COUNTER_TYPE.encode(&mut entry);
    ConstExpr::i64_const(0).encode(&mut entry);
    entry
}

/// A section's contents with `more` entries behind its own `count`.
fn append(contents: &[u8], count: u32, more: usize, added: &[u8]) -> Result<Vec<u8>> {
    let mut reader = wasmparser::BinaryReader::new(contents, 0);
    reader.read_var_u32()?;
    let mut data = Vec::with_capacity(contents.len() + added.len() + 1);
    (count + more as u32).encode(&mut data);
    data.extend_from_slice(&contents[reader.current_position()..]);
    data.extend_from_slice(added);
    Ok(data)
}

/// Whether a custom section refers to positions in the code.
fn holds_positions(name: &str) -> bool {
    name.starts_with(".debug_")
        || name.starts_with("reloc.")
        || name.starts_with("metadata.code.")
        || matches!(name, "linking" | "sourceMappingURL" | "external_debug_info")
}

/// Parameters and results of a function type; `None` for other types.
fn function_type(ty: &CompositeInnerType) -> Option<(u32, Vec<ValType>)> {
    let CompositeInnerType::Func(ty) = ty else { return None };
    let results = ty
        .results()
        .iter()
        .map(|result| RoundtripReencoder.val_type(*result))
        .collect::<std::result::Result<_, _>>()
        .unwrap_or_default();
    Some((ty.params().len() as u32, results))
}

/// A list of results as a map's key.
fn key(results: &[ValType]) -> Vec<u8> {
    let mut key = Vec::new();
    results.encode(&mut key);
    key
}

fn memory_extent(memory: &wasmparser::MemoryType) -> Extent {
    Extent { is_64: memory.memory64, minimum: memory.initial, maximum: memory.maximum }
}

fn table_extent(table: &wasmparser::TableType) -> Extent {
    Extent { is_64: table.table64, minimum: table.initial, maximum: table.maximum }
}

/// See [`super::strip_start`].
pub(super) fn strip_start(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut start = None;
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::StartSection { func, .. } = payload? {
            start = Some(func);
        }
    }
    let Some(start) = start else { return Ok(bytes.to_vec()) };
    let mut added = Vec::new();
    START_EXPORT.encode(&mut added);
    ExportKind::Func.encode(&mut added);
    start.encode(&mut added);

    let mut module = wasm_encoder::Module::new();
    let mut has_exports = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match &payload? {
            Payload::ExportSection(section) => {
                has_exports = true;
                let data = append(&bytes[section.range()], section.count(), 1, &added)?;
                module.section(&RawSection { id: SectionId::Export as u8, data: &data });
            }
            Payload::StartSection { .. } => {
                if !has_exports {
                    let mut exports = ExportSection::new();
                    exports.export(START_EXPORT, ExportKind::Func, start);
                    module.section(&exports);
                }
            }
            // Entries come one by one, and are part of the section before them.
            other => {
                if let Some((id, range)) = other.as_section() {
                    module.section(&RawSection { id, data: &bytes[range] });
                }
            }
        }
    }
    Ok(module.finish())
}
