//! Writes the linked module: every section of every module, with the new numbers.

use super::begin::{Begin, Start};
use super::error::LinkError;
use super::module::Kind;
use super::names::names;
use super::reach;
use super::resolve::{Item, Layout, Program, export_kind};
use bls_artifact::recipe::memory_export;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, Elements, Encode as _,
    ExportKind, ExportSection, FunctionSection, GlobalSection, ImportSection, MemorySection,
    StartSection, TableSection, TagSection,
};
use wasmparser::{DataKind, ElementKind, Operator, TableInit};

/// A valid module has no number that is not in its own spaces.
#[derive(Debug)]
pub(super) struct NoSuchNumber;

impl std::fmt::Display for NoSuchNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number that the module does not have")
    }
}

/// The numbers of one module become those of the linked one.
pub(super) struct Mover<'a> {
    spaces: &'a [Vec<u32>; 5],
    types: &'a [u32],
    /// The number of its first element segment.
    pub(super) elements: u32,
    /// The number of its first data segment.
    pub(super) data: u32,
    /// Functions that its code makes references to.
    referred: BTreeSet<u32>,
}

type Moved<T> = Result<T, reencode::Error<NoSuchNumber>>;

impl Mover<'_> {
    fn moved(&self, kind: Kind, index: u32) -> Moved<u32> {
        let number = self.spaces[kind as usize].get(index as usize).copied();
        number.ok_or(reencode::Error::UserError(NoSuchNumber))
    }

    /// The new number of something that the module has.
    pub(super) fn number(&self, kind: Kind, index: u32) -> u32 {
        self.moved(kind, index).unwrap_or(u32::MAX)
    }

    /// A constant expression as the instructions of a function.
    pub(super) fn code_of(
        &mut self,
        expression: &wasmparser::ConstExpr<'_>,
    ) -> Result<Vec<u8>, LinkError> {
        let mut operators = expression.get_operators_reader();
        let mut code = Vec::new();
        while !operators.is_end_then_eof() {
            let instruction = self.parse_instruction(&mut operators).map_err(super::defect)?;
            instruction.encode(&mut code);
        }
        Ok(code)
    }
}

impl Reencode for Mover<'_> {
    type Error = NoSuchNumber;

    fn type_index(&mut self, ty: u32) -> Moved<u32> {
        self.types.get(ty as usize).copied().ok_or(reencode::Error::UserError(NoSuchNumber))
    }

    fn function_index(&mut self, function: u32) -> Moved<u32> {
        self.moved(Kind::Function, function)
    }

    fn table_index(&mut self, table: u32) -> Moved<u32> {
        self.moved(Kind::Table, table)
    }

    fn memory_index(&mut self, memory: u32) -> Moved<u32> {
        self.moved(Kind::Memory, memory)
    }

    fn global_index(&mut self, global: u32) -> Moved<u32> {
        self.moved(Kind::Global, global)
    }

    fn tag_index(&mut self, tag: u32) -> Moved<u32> {
        self.moved(Kind::Tag, tag)
    }

    fn data_index(&mut self, data: u32) -> Moved<u32> {
        Ok(self.data + data)
    }

    fn element_index(&mut self, element: u32) -> Moved<u32> {
        Ok(self.elements + element)
    }

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Moved<wasm_encoder::Instruction<'a>> {
        if let Operator::RefFunc { function_index } = operator {
            let number = self.function_index(function_index)?;
            self.referred.insert(number);
        }
        reencode::utils::instruction(self, operator)
    }
}

/// Of each function the module that it comes from, and its index there.
type Origins = Vec<(usize, u32)>;

/// The linked module, and of each of its functions which module it comes from, with its index
/// there; but for the start function, where that is new.
pub(super) fn write(
    program: &mut Program<'_>,
    layout: &Layout,
) -> Result<(Vec<u8>, Origins), LinkError> {
    let begin = Begin::of(program, layout)?;
    let plain = program.types.function(&[], &[]);
    let mut movers = movers(program, layout);
    let start = begin.start(program, &mut movers)?;

    let mut functions = FunctionSection::new();
    let mut code = CodeSection::new();
    let mut origins = Vec::new();
    for (at, (module, mover)) in program.modules.iter().zip(&mut movers).enumerate() {
        let imported = module.imported[Kind::Function as usize].len();
        let own = module.functions.iter().enumerate().skip(imported).zip(&module.bodies);
        for ((index, ty), body) in own {
            let index = index as u32;
            if program.keeps(Item { module: at, kind: Kind::Function, index }) {
                functions.function(mover.type_index(*ty).map_err(super::defect)?);
                mover.parse_function_body(&mut code, body.clone()).map_err(super::defect)?;
                origins.push((at, index));
            }
        }
    }
    let start = match start {
        Start::None => None,
        Start::This(number) => Some((number, false)),
        Start::New(function) => {
            functions.function(plain);
            code.function(&function);
            Some((layout.counts[Kind::Function as usize], true))
        }
    };

    let mut linked = wasm_encoder::Module::new();
    linked.section(program.types.section());
    linked.section(&imports(layout));
    linked.section(&functions);
    linked.section(&tables(program, layout, &mut movers)?);
    linked.section(&memories(program, &mut movers)?);
    let tags = tags(program, &mut movers)?;
    if !tags.is_empty() {
        linked.section(&tags);
    }
    linked.section(&globals(program, &mut movers)?);
    linked.section(&exports(program, layout));
    if let Some((function_index, _)) = start {
        linked.section(&StartSection { function_index });
    }
    linked.section(&elements(program, layout, &begin, &mut movers)?);
    let data = data(program, &begin, &mut movers)?;
    if !data.is_empty() {
        linked.section(&DataCountSection { count: data.len() });
    }
    linked.section(&code);
    linked.section(&data);
    let own_start = start.filter(|(_, is_new)| *is_new).map(|(number, _)| number);
    if let Some(names) = names(program, layout, own_start) {
        linked.section(&names);
    }
    Ok((linked.finish(), origins))
}

/// One for each module.
fn movers<'a>(program: &'a Program<'_>, layout: &'a Layout) -> Vec<Mover<'a>> {
    let (mut elements, mut data) = (0, 0);
    let mut movers = Vec::new();
    for (at, module) in program.modules.iter().enumerate() {
        movers.push(Mover {
            spaces: &layout.spaces[at],
            types: &program.numbers[at],
            elements,
            data,
            referred: BTreeSet::new(),
        });
        elements += module.elements.len() as u32;
        data += module.data.len() as u32;
    }
    movers
}

fn imports(layout: &Layout) -> ImportSection {
    let mut imports = ImportSection::new();
    for (module, name, ty) in &layout.imports {
        imports.import(module, name, *ty);
    }
    imports
}

fn tables(
    program: &Program<'_>,
    layout: &Layout,
    movers: &mut [Mover<'_>],
) -> Result<TableSection, LinkError> {
    let mut section = TableSection::new();
    for (at, module) in program.modules.iter().enumerate() {
        let imported = module.imported[Kind::Table as usize].len();
        for (table, index) in module.own_tables.iter().zip(imported as u32..) {
            if !program.keeps(Item { module: at, kind: Kind::Table, index }) {
                continue;
            }
            let ty = movers[at].table_type(table.ty).map_err(super::defect)?;
            match &table.init {
                TableInit::RefNull => section.table(ty),
                TableInit::Expr(expression) => {
                    let code = first_elements(program, layout, at, expression, movers)?;
                    section.table_with_init(ty, &ConstExpr::raw(code))
                }
            };
        }
    }
    Ok(section)
}

/// What all elements of a table are at first. An expression there may read the globals that the
/// host has, and no others: where it reads one that another module defines, what that one begins
/// with takes its place.
fn first_elements(
    program: &Program<'_>,
    layout: &Layout,
    at: usize,
    expression: &wasmparser::ConstExpr<'_>,
    movers: &mut [Mover<'_>],
) -> Result<Vec<u8>, LinkError> {
    let refused = LinkError::TableInitial(program.modules[at].name.to_owned());
    let (mut at, mut expression) = (at, expression);
    let mut is_foreign = false;
    // A global's number is larger than those it begins with, so this ends.
    loop {
        let mut globals = Vec::new();
        let mut operators = expression.get_operators_reader();
        let first = operators.read()?;
        let is_one = operators.is_end_then_eof();
        for operator in expression.get_operators_reader() {
            if let Operator::GlobalGet { global_index } = operator? {
                let item = Item { module: at, kind: Kind::Global, index: global_index };
                globals.push(program.follow(item));
            }
        }
        let is_host = |item: &Item| layout.number(*item) < layout.imported[Kind::Global as usize];
        // A single reference is the same wherever it stands; a new object would be another one.
        let is_plain = matches!(first, Operator::RefFunc { .. } | Operator::RefNull { .. });
        let is_same = is_one && (is_plain || !globals.is_empty());
        if globals.iter().all(is_host) && (!is_foreign || is_same) {
            return movers[at].code_of(expression);
        }
        let [global] = globals[..] else { return Err(refused) };
        let module = &program.modules[global.module];
        let imported = module.imported[Kind::Global as usize].len();
        let own = (global.index as usize).checked_sub(imported);
        let defined = own.and_then(|own| module.own_globals.get(own)).filter(|_| is_one);
        let Some(defined) = defined else { return Err(refused) };
        (at, expression, is_foreign) = (global.module, &defined.init_expr, true);
    }
}

fn memories(program: &Program<'_>, movers: &mut [Mover<'_>]) -> Result<MemorySection, LinkError> {
    let mut section = MemorySection::new();
    for (module, mover) in program.modules.iter().zip(movers) {
        for memory in &module.memories[module.imported[Kind::Memory as usize].len()..] {
            section.memory(mover.memory_type(*memory).map_err(super::defect)?);
        }
    }
    Ok(section)
}

fn tags(program: &Program<'_>, movers: &mut [Mover<'_>]) -> Result<TagSection, LinkError> {
    let mut section = TagSection::new();
    for (module, mover) in program.modules.iter().zip(movers) {
        for ty in &module.tags[module.imported[Kind::Tag as usize].len()..] {
            section.tag(wasm_encoder::TagType {
                kind: wasm_encoder::TagKind::Exception,
                func_type_idx: mover.type_index(*ty).map_err(super::defect)?,
            });
        }
    }
    Ok(section)
}

fn globals(program: &Program<'_>, movers: &mut [Mover<'_>]) -> Result<GlobalSection, LinkError> {
    let mut section = GlobalSection::new();
    for (module, mover) in program.modules.iter().zip(movers) {
        for global in &module.own_globals {
            mover.parse_global(&mut section, global.clone()).map_err(super::defect)?;
        }
    }
    Ok(section)
}

/// What the entry exports, and the memories that libraries call the host with.
fn exports(program: &Program<'_>, layout: &Layout) -> ExportSection {
    let mut section = ExportSection::new();
    for export in &program.modules[program.entry].exports {
        let kind = Kind::of_export(export.kind);
        let item = Item { module: program.entry, kind, index: export.index };
        section.export(export.name, export_kind(kind), layout.number(item));
    }
    for (number, memory) in &layout.memories {
        section.export(&memory_export(*number), ExportKind::Memory, *memory);
    }
    section
}

fn elements(
    program: &Program<'_>,
    layout: &Layout,
    begin: &Begin,
    movers: &mut [Mover<'_>],
) -> Result<ElementSection, LinkError> {
    let mut section = ElementSection::new();
    for (at, module) in program.modules.iter().enumerate() {
        for element in &module.elements {
            if !reach::keeps_segment(program, at, element) {
                // It keeps its number.
                section.declared(Elements::Functions(Cow::Borrowed(&[])));
                continue;
            }
            let mut element = element.clone();
            if begin.is_deferred[at] && matches!(element.kind, ElementKind::Active { .. }) {
                element.kind = ElementKind::Passive;
            }
            movers[at].parse_element(&mut section, element).map_err(super::defect)?;
        }
    }
    // Code may make references to functions that are exported, or stand in a segment. What
    // libraries export is exported no more.
    let exported = exported_by_libraries(program, layout);
    let referred = movers.iter().flat_map(|mover| &mover.referred).copied();
    // Of what is left out segments declare nothing any more.
    let is_pruned = program.reach().is_some();
    let declared: BTreeSet<u32> =
        referred.filter(|number| is_pruned || exported.contains(number)).collect();
    if !declared.is_empty() {
        let declared: Vec<u32> = declared.into_iter().collect();
        section.declared(Elements::Functions(Cow::Owned(declared)));
    }
    Ok(section)
}

/// The functions that libraries export.
fn exported_by_libraries(program: &Program<'_>, layout: &Layout) -> HashSet<u32> {
    let libraries = program.modules.iter().enumerate().filter(|(at, _)| *at != program.entry);
    let numbers = libraries.flat_map(|(at, module)| {
        let exports = module.exports.iter();
        let functions = exports.filter(|export| Kind::of_export(export.kind) == Kind::Function);
        functions.map(move |export| {
            layout.number(Item { module: at, kind: Kind::Function, index: export.index })
        })
    });
    numbers.collect()
}

fn data(
    program: &Program<'_>,
    begin: &Begin,
    movers: &mut [Mover<'_>],
) -> Result<DataSection, LinkError> {
    let mut section = DataSection::new();
    for (at, module) in program.modules.iter().enumerate() {
        for data in &module.data {
            let mut data = data.clone();
            if begin.is_deferred[at] && matches!(data.kind, DataKind::Active { .. }) {
                data.kind = DataKind::Passive;
            }
            movers[at].parse_data(&mut section, data).map_err(super::defect)?;
        }
    }
    Ok(section)
}
