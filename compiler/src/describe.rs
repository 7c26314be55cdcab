//! What a module looks like from outside: the manifest's `module` and `may_use`.
//!
//! Describes the module as its author made it, before metering. May assume a
//! valid module. Types are spelled as in the text format, concrete references by
//! the module's own type indices, so that a person can compare them with
//! `wasm-tools print`.

use crate::validate::Validated;
use bls_artifact::capability::Capability;
use bls_artifact::host_table;
use bls_artifact::manifest::{Export, Import, Kind, Memory, Module, Table, saturate};
use std::fmt::Write as _;
use wasmparser::{
    CompositeInnerType, ExternalKind, GlobalType, HeapType, MemoryType, Parser, Payload, RefType,
    SubType, TableType, TypeRef, ValType,
};

/// Bytes in a page where the module does not say.
const PAGE_LOG2: u32 = 16;

/// A module from outside.
#[derive(Clone, Debug)]
pub struct Description {
    /// Its kind, imports, exports, memories and tables.
    pub module: Module,
    /// What its imports may use, sorted.
    pub may_use: Vec<Capability>,
    /// How many functions it defines.
    pub functions: usize,
}

/// Describes a module.
///
/// # Errors
/// Only when wasmparser cannot read again what it validated: a defect of ours.
pub fn describe(module: &Validated) -> Result<Description, wasmparser::Error> {
    let index = Index::read(module.bytes())?;
    let imports: Vec<Import> = index
        .imports
        .iter()
        .map(|(module, name, ty)| Import {
            module: (*module).to_owned(),
            name: (*name).to_owned(),
            ty: index.show(ty),
        })
        .collect();
    let exports: Vec<Export> = index
        .exports
        .iter()
        .map(|export| Export {
            name: export.name.to_owned(),
            ty: index.show_item(export.kind, export.index),
        })
        .collect();
    let has = |name: &str| {
        index.exports.iter().any(|export| export.kind == ExternalKind::Func && export.name == name)
    };
    // The default export, whose name is empty, is what other hosts call first.
    let kind = match (has("") || has("_start"), has("_initialize")) {
        (true, _) => Kind::Command,
        (false, true) => Kind::Reactor,
        (false, false) => Kind::Library,
    };
    let mut may_use: Vec<Capability> = imports
        .iter()
        .filter_map(|import| host_table::function(&import.module, &import.name))
        .flat_map(|function| function.may_use.iter().copied())
        .collect();
    may_use.sort_unstable();
    may_use.dedup();
    Ok(Description {
        module: Module {
            kind,
            start: index.start,
            imports,
            exports,
            memories: index.memories.iter().map(memory).collect(),
            tables: index
                .tables
                .iter()
                .map(|table| Table {
                    minimum: saturate(table.initial),
                    maximum: table.maximum.map(saturate),
                })
                .collect(),
        },
        may_use,
        functions: index.defined,
    })
}

/// The type of something that a module has, as the manifest spells it.
///
/// # Errors
/// As [`describe`].
pub(crate) fn show_item(
    wasm: &[u8],
    kind: ExternalKind,
    index: u32,
) -> Result<String, wasmparser::Error> {
    Ok(Index::read(wasm)?.show_item(kind, index))
}

/// One memory, as the manifest has it.
fn memory(memory: &MemoryType) -> Memory {
    Memory {
        minimum: saturate(memory.initial),
        maximum: memory.maximum.map(saturate),
        page_size: 1 << memory.page_size_log2.unwrap_or(PAGE_LOG2),
        address_bits: if memory.memory64 { 64 } else { 32 },
    }
}

/// The module's index spaces, imports first.
#[derive(Default)]
struct Index<'a> {
    types: Vec<SubType>,
    imports: Vec<(&'a str, &'a str, TypeRef)>,
    exports: Vec<wasmparser::Export<'a>>,
    functions: Vec<u32>,
    tables: Vec<TableType>,
    memories: Vec<MemoryType>,
    globals: Vec<GlobalType>,
    tags: Vec<u32>,
    defined: usize,
    start: bool,
}

impl<'a> Index<'a> {
    fn read(wasm: &'a [u8]) -> Result<Self, wasmparser::Error> {
        let mut index = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        index.types.extend(group?.into_types());
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        index.imports.push((import.module, import.name, import.ty));
                        index.import(import.ty);
                    }
                }
                Payload::FunctionSection(section) => {
                    index.defined = section.count() as usize;
                    for function in section {
                        index.functions.push(function?);
                    }
                }
                Payload::TableSection(section) => {
                    for table in section {
                        index.tables.push(table?.ty);
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        index.memories.push(memory?);
                    }
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        index.globals.push(global?.ty);
                    }
                }
                Payload::TagSection(section) => {
                    for tag in section {
                        index.tags.push(tag?.func_type_idx);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        index.exports.push(export?);
                    }
                }
                Payload::StartSection { .. } => index.start = true,
                // All that follows is code and data.
                Payload::CodeSectionStart { .. } => break,
                _ => {}
            }
        }
        Ok(index)
    }

    /// Puts an import into its index space.
    fn import(&mut self, ty: TypeRef) {
        match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => self.functions.push(ty),
            TypeRef::Table(ty) => self.tables.push(ty),
            TypeRef::Memory(ty) => self.memories.push(ty),
            TypeRef::Global(ty) => self.globals.push(ty),
            TypeRef::Tag(ty) => self.tags.push(ty.func_type_idx),
        }
    }

    /// The type of an exported item.
    fn show_item(&self, kind: ExternalKind, index: u32) -> String {
        let at = index as usize;
        let ty = match kind {
            ExternalKind::Func | ExternalKind::FuncExact => {
                self.functions.get(at).map(|ty| TypeRef::Func(*ty))
            }
            ExternalKind::Table => self.tables.get(at).map(|ty| TypeRef::Table(*ty)),
            ExternalKind::Memory => self.memories.get(at).map(|ty| TypeRef::Memory(*ty)),
            ExternalKind::Global => self.globals.get(at).map(|ty| TypeRef::Global(*ty)),
            ExternalKind::Tag => {
                return self.tags.get(at).map_or(String::new(), |ty| self.signature("tag", *ty));
            }
        };
        ty.map_or(String::new(), |ty| self.show(&ty))
    }

    /// A type as in the text format.
    fn show(&self, ty: &TypeRef) -> String {
        match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => self.signature("func", *ty),
            TypeRef::Tag(tag) => self.signature("tag", tag.func_type_idx),
            TypeRef::Table(table) => {
                let bits = if table.table64 { "i64 " } else { "" };
                let element = show_reference(table.element_type);
                format!("table {bits}{}{element}", limits(table.initial, table.maximum))
            }
            TypeRef::Memory(memory) => {
                let bits = if memory.memory64 { "i64 " } else { "" };
                let text = format!("memory {bits}{}", limits(memory.initial, memory.maximum));
                text.trim_end().to_owned()
            }
            TypeRef::Global(global) if global.mutable => {
                format!("global (mut {})", show_value(global.content_type))
            }
            TypeRef::Global(global) => format!("global {}", show_value(global.content_type)),
        }
    }

    /// A function type behind a keyword.
    fn signature(&self, keyword: &str, ty: u32) -> String {
        let mut text = keyword.to_owned();
        let Some(SubType { composite_type, .. }) = self.types.get(ty as usize) else { return text };
        let CompositeInnerType::Func(function) = &composite_type.inner else { return text };
        for (word, values) in [("param", function.params()), ("result", function.results())] {
            if !values.is_empty() {
                let _ = write!(text, " ({word}");
                for value in values {
                    let _ = write!(text, " {}", show_value(*value));
                }
                text.push(')');
            }
        }
        text
    }
}

/// `minimum maximum? `, with a space at the end.
fn limits(minimum: u64, maximum: Option<u64>) -> String {
    maximum.map_or_else(|| format!("{minimum} "), |maximum| format!("{minimum} {maximum} "))
}

/// A value type as in the text format.
fn show_value(ty: ValType) -> String {
    match ty {
        ValType::Ref(reference) => show_reference(reference),
        other => other.to_string(),
    }
}

/// A reference type as in the text format.
fn show_reference(ty: RefType) -> String {
    let null = if ty.is_nullable() { "null " } else { "" };
    match ty.heap_type() {
        HeapType::Abstract { .. } => ty.to_string(),
        HeapType::Concrete(index) => {
            format!("(ref {null}{})", index.as_module_index().unwrap_or_default())
        }
        HeapType::Exact(index) => {
            format!("(ref {null}(exact {}))", index.as_module_index().unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Source;
    use crate::validate::validate;
    use bls_artifact::target::{EngineProfile, Nans, Target};

    fn of(wat: &str) -> Description {
        let source = Source::new(wat.as_bytes().to_vec(), "t.wat").unwrap();
        let profile = EngineProfile::of(Target::X86_64, Nans::Canonical);
        describe(&validate(source, &profile).unwrap()).unwrap()
    }

    #[test]
    fn types_read_like_text() {
        let description = of(
            "(module (type $s (struct)) (type $f (func (param i32 (ref $s)) (result externref)))
               (import \"a\" \"f\" (func (type $f)))
               (import \"a\" \"m\" (memory i64 1 2))
               (import \"a\" \"t\" (table 3 funcref))
               (import \"a\" \"g\" (global (mut i64)))
               (import \"a\" \"e\" (tag (param f32)))
               (memory 5)
               (func $start) (start $start)
               (func (export \"_start\")) (export \"m\" (memory 1)))",
        );
        let types: Vec<&str> =
            description.module.imports.iter().map(|import| import.ty.as_str()).collect();
        assert_eq!(
            types,
            [
                "func (param i32 (ref 0)) (result externref)",
                "memory i64 1 2",
                "table 3 funcref",
                "global (mut i64)",
                "tag (param f32)",
            ]
        );
        assert_eq!(description.module.kind, Kind::Command);
        assert!(description.module.start);
        assert_eq!(description.module.exports[1].ty, "memory 5");
        assert_eq!(description.module.memories.len(), 2);
        assert_eq!(description.module.memories[0].address_bits, 64);
    }

    #[test]
    fn imports_say_what_may_be_used() {
        let description = of("(module (import \"wasi_snapshot_preview1\" \"path_open\"
                 (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
               (import \"wasi_unstable\" \"args_get\" (func (param i32 i32) (result i32)))
               (import \"env\" \"random_get\" (func)) (func (export \"_initialize\")))");
        assert_eq!(
            description.may_use,
            [Capability::Arguments, Capability::FilesRead, Capability::FilesWrite]
        );
        assert_eq!(description.module.kind, Kind::Reactor);
        let kind = |exports: &[&str]| {
            let exports = exports.iter().map(|name| format!("(func (export \"{name}\"))"));
            of(&format!("(module {})", exports.collect::<String>())).module.kind
        };
        assert_eq!(kind(&["", "run"]), Kind::Command);
        assert_eq!(kind(&["_initialize", "_start"]), Kind::Command);
        assert_eq!(kind(&["run"]), Kind::Library);
    }
}
