//! The metered module around its functions: the counter, reserved names, sizes,
//! and what can be reached from outside.
//!
//! May assume a valid module. Shows the rules `names`, `counter` and `start`, and
//! gathers what the other parts need. Does not look into functions.

use super::rule::{Judge, Place, Rule, Violation};
use super::{AuditError, instantiation};
use crate::cost::Shapes;
use bls_artifact::fuel::{COUNTER_EXPORT, RESERVED_PREFIX, START_EXPORT};
use wasmparser::{
    BinaryReaderError, CompositeInnerType, Export, ExternalKind, FuncType, FunctionBody, Global,
    Operator, Parser, Payload, TypeRef, ValType,
};

/// How large a memory (in pages) or table (in elements) is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Whether its addresses have 64 bits.
    pub(super) is_wide: bool,
    /// At first.
    pub(super) minimum: u64,
    /// At most.
    pub(super) maximum: Option<u64>,
}

/// What the audit knows of a module before it reads functions.
pub(super) struct Facts<'m> {
    /// Who decides.
    pub(super) judge: Judge,
    /// Bodies of the defined functions.
    pub(super) bodies: Vec<FunctionBody<'m>>,
    /// How many functions are imported.
    pub(super) imported: u32,
    /// Index of the counter.
    pub(super) counter: u32,
    /// By memory index.
    pub(super) memories: Vec<Size>,
    /// By table index.
    pub(super) tables: Vec<Size>,
    /// Bytes, by data segment.
    pub(super) data: Vec<u64>,
    /// Items, by element segment.
    pub(super) elements: Vec<u64>,
    /// Indices of exported functions.
    pub(super) exported: Vec<u32>,
    /// Indices of functions that segments and constant expressions refer to.
    /// Valid code refers to no others.
    pub(super) referred: Vec<u32>,
    /// What instantiation costs.
    pub(super) instantiation: u64,
    /// The function that was the `start` function.
    pub(super) start: Option<u32>,
    /// By type index; `None` for types that are not functions'.
    types: Vec<Option<FuncType>>,
    /// What weights depend on.
    pub(super) shapes: Shapes,
    /// By function index, imported ones first: type indices.
    signatures: Vec<u32>,
    globals: u32,
    last_global: Option<Last>,
    /// Exported globals: index, offset, and whether the name is the counter's.
    exported_globals: Vec<(u32, usize, bool)>,
}

/// The last defined global.
struct Last {
    is_counter: bool,
    offset: usize,
    /// What its initial value would cost if it belonged to the source.
    units: u64,
}

impl<'m> Facts<'m> {
    /// Reads a valid module.
    pub(super) fn of(judge: Judge, wasm: &'m [u8]) -> Result<Self, AuditError> {
        let mut facts = Self {
            judge,
            bodies: Vec::new(),
            imported: 0,
            counter: 0,
            memories: Vec::new(),
            tables: Vec::new(),
            data: Vec::new(),
            elements: Vec::new(),
            exported: Vec::new(),
            referred: Vec::new(),
            instantiation: 0,
            start: None,
            types: Vec::new(),
            shapes: Shapes::default(),
            signatures: Vec::new(),
            globals: 0,
            last_global: None,
            exported_globals: Vec::new(),
        };
        for payload in Parser::new(0).parse_all(wasm) {
            facts.section(payload?)?;
        }
        if !facts.exported_globals.iter().any(|(_, _, is_named)| *is_named) {
            return Err(AuditError::NotMetered);
        }
        facts.settle()?;
        Ok(facts)
    }

    /// The type index of a defined function.
    pub(super) fn type_of(&self, defined: usize) -> u32 {
        self.signatures[self.imported as usize + defined]
    }

    /// The type of a defined function.
    pub(super) fn signature(&self, defined: usize) -> Option<&FuncType> {
        self.types[self.type_of(defined) as usize].as_ref()
    }

    fn section(&mut self, payload: Payload<'m>) -> Result<(), AuditError> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group?.into_types() {
                        self.shapes.add(&ty.composite_type.inner);
                        self.types.push(function_type(ty.composite_type.inner));
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let is_free = !is_reserved(import.module) && !is_reserved(import.name);
                    self.judge.require(is_free, Rule::Names, Place::MODULE, || {
                        format!("{:?} {:?} is imported", import.module, import.name)
                    })?;
                    self.import(import.ty);
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    self.function(ty?);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let table = table?;
                    self.tables.push(table_size(&table.ty));
                    let referred = &mut self.referred;
                    let units = instantiation::table(&self.shapes, &table, &mut |index| {
                        referred.push(index)
                    })?;
                    self.add(units);
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    self.memories.push(memory_size(&memory));
                    self.add(instantiation::memory(&memory));
                }
            }
            Payload::TagSection(section) if section.count() > 0 => self.shapes.add_tag(),
            Payload::GlobalSection(section) => {
                for global in section.into_iter_with_offsets() {
                    let (offset, global) = global?;
                    self.global(offset, &global)?;
                }
            }
            Payload::ExportSection(section) => {
                for export in section.into_iter_with_offsets() {
                    let (offset, export) = export?;
                    self.export(offset, &export)?;
                }
            }
            Payload::StartSection { range, .. } => {
                self.judge.require(false, Rule::Start, Place::offset(range.start), || {
                    "there is a start section".to_owned()
                })?;
            }
            other => self.contents(other)?,
        }
        Ok(())
    }

    /// Segments and code.
    fn contents(&mut self, payload: Payload<'m>) -> Result<(), AuditError> {
        match payload {
            Payload::ElementSection(section) => {
                for segment in section {
                    let referred = &mut self.referred;
                    let (units, items) =
                        instantiation::elements(&self.shapes, segment?, &mut |index| {
                            referred.push(index)
                        })?;
                    self.elements.push(items);
                    self.add(units);
                }
            }
            Payload::DataSection(section) => {
                for segment in section {
                    let segment = segment?;
                    self.data.push(segment.data.len() as u64);
                    self.add(instantiation::data(&self.shapes, &segment)?);
                }
            }
            Payload::CodeSectionEntry(body) => self.bodies.push(body),
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, units: u64) {
        self.instantiation = self.instantiation.saturating_add(units);
    }

    fn function(&mut self, ty: u32) {
        self.signatures.push(ty);
        self.shapes.add_function(ty);
    }

    fn import(&mut self, ty: TypeRef) {
        match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                self.function(ty);
                self.imported += 1;
            }
            TypeRef::Global(_) => self.globals += 1,
            TypeRef::Memory(memory) => self.memories.push(memory_size(&memory)),
            TypeRef::Table(table) => self.tables.push(table_size(&table)),
            TypeRef::Tag(_) => self.shapes.add_tag(),
        }
    }

    fn global(&mut self, offset: usize, global: &Global<'_>) -> Result<(), BinaryReaderError> {
        self.globals += 1;
        // The one before is not the last, and so is the source's.
        let before = self.last_global.as_ref().map_or(0, |last| last.units);
        self.add(before);
        let referred = &mut self.referred;
        let units = instantiation::global(&self.shapes, global, &mut |index| referred.push(index))?;
        let mut init = global.init_expr.get_operators_reader().into_iter();
        let is_zero = matches!(init.next(), Some(Ok(Operator::I64Const { value: 0 })))
            && matches!(init.next(), Some(Ok(Operator::End)));
        let ty = global.ty;
        let is_counter = ty.content_type == ValType::I64 && ty.mutable && !ty.shared && is_zero;
        self.last_global = Some(Last { is_counter, offset, units });
        Ok(())
    }

    fn export(&mut self, offset: usize, export: &Export<'_>) -> Result<(), Violation> {
        let is_function = matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact);
        if is_function {
            self.exported.push(export.index);
        }
        let place = Place::offset(offset);
        match export.name {
            COUNTER_EXPORT if export.kind == ExternalKind::Global => {
                self.counter = export.index;
                self.exported_globals.push((export.index, offset, true));
            }
            START_EXPORT => {
                let ty = is_function.then(|| self.signatures[export.index as usize]);
                let has_no_values = ty.is_some_and(|ty| self.has_no_values(ty));
                self.judge.require(has_no_values, Rule::Names, place, || {
                    format!("{START_EXPORT} is no function without parameters and results")
                })?;
                self.start = Some(export.index);
            }
            name if is_reserved(name) => {
                self.judge.require(false, Rule::Names, place, || {
                    format!("{name:?} is exported, which is not a name of metering's")
                })?;
            }
            _ if export.kind == ExternalKind::Global => {
                self.exported_globals.push((export.index, offset, false));
            }
            _ => {}
        }
        Ok(())
    }

    fn has_no_values(&self, ty: u32) -> bool {
        let ty = self.types[ty as usize].as_ref();
        ty.is_some_and(|ty| ty.params().is_empty() && ty.results().is_empty())
    }

    /// What can be said when every section is known.
    fn settle(&mut self) -> Result<(), AuditError> {
        for (index, offset, is_named) in &self.exported_globals {
            let is_other = *is_named || *index != self.counter;
            self.judge.require(is_other, Rule::Names, Place::offset(*offset), || {
                "the counter is exported under a second name".to_owned()
            })?;
        }
        let last = self.last_global.as_ref();
        let place = last.map_or(Place::MODULE, |last| Place::offset(last.offset));
        let is_last = self.globals.checked_sub(1) == Some(self.counter);
        let is_counter = is_last && last.is_some_and(|last| last.is_counter);
        self.judge.require(is_counter, Rule::Counter, place, || {
            format!("{COUNTER_EXPORT} is not the last global, a mutable i64 that is 0 at first")
        })?;
        Ok(())
    }
}

/// Whether metering keeps this name for itself.
fn is_reserved(name: &str) -> bool {
    name.starts_with(RESERVED_PREFIX)
}

fn memory_size(memory: &wasmparser::MemoryType) -> Size {
    Size { is_wide: memory.memory64, minimum: memory.initial, maximum: memory.maximum }
}

fn table_size(table: &wasmparser::TableType) -> Size {
    Size { is_wide: table.table64, minimum: table.initial, maximum: table.maximum }
}

/// A function type; `None` for other types.
pub(super) fn function_type(ty: CompositeInnerType) -> Option<FuncType> {
    match ty {
        CompositeInnerType::Func(ty) => Some(ty),
        _ => None,
    }
}
