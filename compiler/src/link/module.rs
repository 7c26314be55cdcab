//! One module, taken apart: its index spaces, and where its pieces are.
//!
//! May assume a valid module. Copies no code and no data: bodies and segments are places in the
//! module's own bytes.

use std::collections::HashMap;
use wasmparser::{
    Data, Element, Export, ExternalKind, FunctionBody, Global, GlobalType, KnownCustom, MemoryType,
    NameSectionReader, Parser, Payload, RecGroup, Table, TableType, TypeRef,
};

/// What an index is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Function,
    Table,
    Memory,
    Global,
    Tag,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 5] =
        [Self::Function, Self::Table, Self::Memory, Self::Global, Self::Tag];

    /// With its article.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Function => "a function",
            Self::Table => "a table",
            Self::Memory => "a memory",
            Self::Global => "a global",
            Self::Tag => "a tag",
        }
    }

    pub(super) fn of_import(ty: TypeRef) -> Self {
        match ty {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => Self::Function,
            TypeRef::Table(_) => Self::Table,
            TypeRef::Memory(_) => Self::Memory,
            TypeRef::Global(_) => Self::Global,
            TypeRef::Tag(_) => Self::Tag,
        }
    }

    pub(super) fn of_export(kind: ExternalKind) -> Self {
        match kind {
            ExternalKind::Func | ExternalKind::FuncExact => Self::Function,
            ExternalKind::Table => Self::Table,
            ExternalKind::Memory => Self::Memory,
            ExternalKind::Global => Self::Global,
            ExternalKind::Tag => Self::Tag,
        }
    }
}

/// Something for each kind.
pub(super) type ByKind<T> = [T; 5];

/// An import, and its number among those of its kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Import<'a> {
    pub(super) module: &'a str,
    pub(super) name: &'a str,
    pub(super) ty: TypeRef,
    pub(super) index: u32,
}

impl Import<'_> {
    pub(super) fn kind(&self) -> Kind {
        Kind::of_import(self.ty)
    }
}

/// A module.
#[derive(Default)]
pub(super) struct Module<'a> {
    /// What others import it by.
    pub(super) name: &'a str,
    pub(super) wasm: &'a [u8],
    pub(super) groups: Vec<RecGroup>,
    pub(super) imports: Vec<Import<'a>>,
    /// The types of all functions, imported ones first; so the next four.
    pub(super) functions: Vec<u32>,
    pub(super) tables: Vec<TableType>,
    pub(super) memories: Vec<MemoryType>,
    pub(super) globals: Vec<GlobalType>,
    pub(super) tags: Vec<u32>,
    /// Of each kind, which of `imports` are of it.
    pub(super) imported: ByKind<Vec<usize>>,
    pub(super) own_tables: Vec<Table<'a>>,
    pub(super) own_globals: Vec<Global<'a>>,
    pub(super) exports: Vec<Export<'a>>,
    by_name: HashMap<&'a str, usize>,
    pub(super) start: Option<u32>,
    pub(super) elements: Vec<Element<'a>>,
    pub(super) data: Vec<Data<'a>>,
    pub(super) bodies: Vec<FunctionBody<'a>>,
    pub(super) names: Option<NameSectionReader<'a>>,
}

impl<'a> Module<'a> {
    /// Takes a valid module apart.
    pub(super) fn read(name: &'a str, wasm: &'a [u8]) -> Result<Self, wasmparser::Error> {
        let mut module = Self { name, wasm, ..Self::default() };
        for payload in Parser::new(0).parse_all(wasm) {
            module.payload(payload?)?;
        }
        Ok(module)
    }

    fn payload(&mut self, payload: Payload<'a>) -> Result<(), wasmparser::Error> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    self.groups.push(group?);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    self.import(import);
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    self.functions.push(ty?);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let table = table?;
                    self.tables.push(table.ty);
                    self.own_tables.push(table);
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.memories.push(memory?);
                }
            }
            Payload::TagSection(section) => {
                for tag in section {
                    self.tags.push(tag?.func_type_idx);
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global?;
                    self.globals.push(global.ty);
                    self.own_globals.push(global);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    self.by_name.insert(export.name, self.exports.len());
                    self.exports.push(export);
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(section) => {
                for element in section {
                    self.elements.push(element?);
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    self.data.push(data?);
                }
            }
            Payload::CodeSectionEntry(body) => self.bodies.push(body),
            Payload::CustomSection(custom) => {
                if let KnownCustom::Name(names) = custom.as_known() {
                    self.names = Some(names);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, import: wasmparser::Import<'a>) {
        let wasmparser::Import { module, name, ty } = import;
        let of_kind = &mut self.imported[Kind::of_import(ty) as usize];
        let index = of_kind.len() as u32;
        of_kind.push(self.imports.len());
        self.imports.push(Import { module, name, ty, index });
        match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => self.functions.push(ty),
            TypeRef::Table(ty) => self.tables.push(ty),
            TypeRef::Memory(ty) => self.memories.push(ty),
            TypeRef::Global(ty) => self.globals.push(ty),
            TypeRef::Tag(ty) => self.tags.push(ty.func_type_idx),
        }
    }

    /// How many of a kind there are, imported ones included.
    pub(super) fn count(&self, kind: Kind) -> u32 {
        let count = match kind {
            Kind::Function => self.functions.len(),
            Kind::Table => self.tables.len(),
            Kind::Memory => self.memories.len(),
            Kind::Global => self.globals.len(),
            Kind::Tag => self.tags.len(),
        };
        count as u32
    }

    /// The export of a name.
    pub(super) fn export(&self, name: &str) -> Option<&Export<'a>> {
        self.by_name.get(name).and_then(|at| self.exports.get(*at))
    }

    /// The export of a name, where it is of this kind.
    pub(super) fn exported(&self, name: &str, kind: Kind) -> Option<u32> {
        let export = self.export(name)?;
        (Kind::of_export(export.kind) == kind).then_some(export.index)
    }
}
