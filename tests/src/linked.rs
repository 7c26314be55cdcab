//! Programs of several modules, made from a seed; and what they do when each module is
//! instantiated by itself, beside what the linked one does.
//!
//! The engine's own linker is the oracle: libraries are instantiated one after the other, each
//! with the exports of those before it, then the entry. Guarantees: the same program for the same
//! seed on every machine.

use crate::modules::{Random, profile};
use bls_compiler::input::Source;
use bls_compiler::link::{LinkError, Part, link};
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    CompositeInnerType, EntityType, ExportSection, ImportSection, Module, RawSection, TypeSection,
};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};
use wasmtime::{
    AsContextMut as _, Caller, Engine, Extern, ExternType, Instance, Linker, Store, Trap, Val,
    ValType,
};

/// A module and its name.
pub type Named = (String, Vec<u8>);

/// How much of the engine's fuel one call may burn: what takes more is not compared.
const FUEL: u64 = 300_000;

/// Links a program, the entry last.
///
/// # Errors
/// [`LinkError`].
///
/// # Panics
/// When a module is none.
pub fn linked(modules: &[Named]) -> Result<Source, LinkError> {
    let part = |(name, wasm): &Named| Part {
        name: name.clone(),
        source: Source::new(wasm.clone(), name).expect("a module"),
    };
    link(modules.iter().map(part).collect(), &profile(), false)
}

/// A program of two to four modules, of which later ones import what earlier ones export; `None`
/// where a seed makes none.
#[must_use]
pub fn program(seed: u64) -> Option<Vec<Named>> {
    let mut random = Random::new(seed);
    let count = 2 + random.next() % 3;
    let mut modules: Vec<Named> = Vec::new();
    for number in 0..count {
        let available = available(&modules)?;
        let mut bytes = vec![0; 3000];
        for byte in &mut bytes {
            *byte = (random.next() >> 56) as u8;
        }
        let name = format!("m{number}");
        let wasm = module(seed, available, &bytes)?;
        modules.push((name.clone(), renamed(&wasm, &name)?));
    }
    Some(modules)
}

/// A module that may import what is available.
fn module(seed: u64, available: Vec<u8>, bytes: &[u8]) -> Option<Vec<u8>> {
    let config = wasm_smith::Config {
        available_imports: Some(available),
        min_imports: 2,
        max_imports: 20,
        gc_enabled: seed.is_multiple_of(3),
        exceptions_enabled: seed.is_multiple_of(2),
        tail_call_enabled: true,
        memory64_enabled: seed.is_multiple_of(5),
        simd_enabled: false,
        relaxed_simd_enabled: false,
        threads_enabled: false,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        reference_types_enabled: true,
        extended_const_enabled: true,
        export_everything: true,
        allow_start_export: true,
        max_memories: 3,
        max_tables: 3,
        min_funcs: 2,
        max_funcs: 8,
        max_instructions: 80,
        max_memory32_bytes: 2 << 20,
        max_memory64_bytes: 2 << 20,
        max_table_elements: 100,
        table_max_size_required: true,
        memory_max_size_required: true,
        ..wasm_smith::Config::default()
    };
    let mut input = arbitrary::Unstructured::new(bytes);
    Some(wasm_smith::Module::new(config, &mut input).ok()?.to_bytes())
}

/// A module that imports all that these export, and a function of the host's.
fn available(modules: &[Named]) -> Option<Vec<u8>> {
    let mut types = TypeSection::new();
    types.ty().function([wasm_encoder::ValType::I32], []);
    let mut imports = ImportSection::new();
    imports.import("host", "tick", EntityType::Function(0));
    let mut count = 1;
    for (name, wasm) in modules {
        let shape = Shape::of(wasm);
        for (export, kind, index) in &shape.exports {
            let mut function = |ty: u32| {
                let (parameters, results) = shape.signature(ty)?;
                types.ty().function(parameters, results);
                count += 1;
                Some(count - 1)
            };
            let at = *index as usize;
            // What names types of its module cannot be said here.
            let entity = match kind {
                ExternalKind::Func | ExternalKind::FuncExact => {
                    match function(*shape.functions.get(at)?) {
                        Some(ty) => EntityType::Function(ty),
                        None => continue,
                    }
                }
                ExternalKind::Tag => match function(*shape.tags.get(at)?) {
                    None => continue,
                    Some(func_type_idx) => EntityType::Tag(wasm_encoder::TagType {
                        kind: wasm_encoder::TagKind::Exception,
                        func_type_idx,
                    }),
                },
                _ => {
                    let ty = match kind {
                        ExternalKind::Table => TypeRef::Table(*shape.tables.get(at)?),
                        ExternalKind::Memory => TypeRef::Memory(*shape.memories.get(at)?),
                        _ => TypeRef::Global(*shape.globals.get(at)?),
                    };
                    let is_plain = match ty {
                        TypeRef::Table(table) => is_plain_reference(table.element_type),
                        TypeRef::Global(global) => is_plain(global.content_type),
                        _ => true,
                    };
                    if !is_plain {
                        continue;
                    }
                    RoundtripReencoder.entity_type(ty).ok()?
                }
            };
            imports.import(name, export, entity);
        }
    }
    let mut module = Module::new();
    module.section(&types).section(&imports);
    Some(module.finish())
}

/// A module's index spaces.
#[derive(Default)]
struct Shape {
    /// Each type, and whether it is no one's of a group of several.
    types: Vec<(wasmparser::SubType, bool)>,
    functions: Vec<u32>,
    tables: Vec<wasmparser::TableType>,
    memories: Vec<wasmparser::MemoryType>,
    globals: Vec<wasmparser::GlobalType>,
    tags: Vec<u32>,
    exports: Vec<(String, ExternalKind, u32)>,
}

impl Shape {
    fn of(wasm: &[u8]) -> Self {
        let mut shape = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.expect("a valid module") {
                Payload::TypeSection(section) => {
                    for group in section {
                        let group = group.unwrap();
                        let is_alone = group.types().len() == 1;
                        shape.types.extend(group.into_types().map(|ty| (ty, is_alone)));
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        match import.unwrap().ty {
                            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => shape.functions.push(ty),
                            TypeRef::Table(ty) => shape.tables.push(ty),
                            TypeRef::Memory(ty) => shape.memories.push(ty),
                            TypeRef::Global(ty) => shape.globals.push(ty),
                            TypeRef::Tag(ty) => shape.tags.push(ty.func_type_idx),
                        }
                    }
                }
                Payload::FunctionSection(section) => {
                    shape.functions.extend(section.into_iter().map(Result::unwrap));
                }
                Payload::TableSection(section) => {
                    shape.tables.extend(section.into_iter().map(|one| one.unwrap().ty));
                }
                Payload::MemorySection(section) => {
                    shape.memories.extend(section.into_iter().map(Result::unwrap));
                }
                Payload::GlobalSection(section) => {
                    shape.globals.extend(section.into_iter().map(|one| one.unwrap().ty));
                }
                Payload::TagSection(section) => {
                    shape.tags.extend(section.into_iter().map(|one| one.unwrap().func_type_idx));
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.unwrap();
                        shape.exports.push((export.name.to_owned(), export.kind, export.index));
                    }
                }
                _ => {}
            }
        }
        shape
    }

    /// The values that a function type takes and gives; `None` where it names other types.
    fn signature(
        &self,
        ty: u32,
    ) -> Option<(Vec<wasm_encoder::ValType>, Vec<wasm_encoder::ValType>)> {
        let (ty, is_alone) = self.types.get(ty as usize)?.clone();
        let wasmparser::CompositeInnerType::Func(function) = &ty.composite_type.inner else {
            return None;
        };
        let all = function.params().iter().chain(function.results());
        // One of a group, or that others may extend, is another type than it looks like.
        if !is_alone || !ty.is_final || ty.supertype_idx.is_some() || !all.copied().all(is_plain) {
            return None;
        }
        let ty = RoundtripReencoder.sub_type(ty).ok()?;
        let CompositeInnerType::Func(function) = ty.composite_type.inner else { return None };
        let (parameters, results) = (function.params(), function.results());
        Some((parameters.to_vec(), results.to_vec()))
    }
}

/// Whether a value's type names no type of its module.
fn is_plain(ty: wasmparser::ValType) -> bool {
    match ty {
        wasmparser::ValType::Ref(reference) => is_plain_reference(reference),
        _ => true,
    }
}

fn is_plain_reference(ty: wasmparser::RefType) -> bool {
    matches!(ty.heap_type(), wasmparser::HeapType::Abstract { .. })
}

/// The same module, whose exports have a module's name before theirs: no two modules of a program
/// export one name, and none has a start function of the reserved kind.
fn renamed(wasm: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.ok()? {
            Payload::ExportSection(section) => {
                let mut exports = ExportSection::new();
                for export in section {
                    let export = export.ok()?;
                    let kind = RoundtripReencoder.export_kind(export.kind).ok()?;
                    exports.export(&format!("{name}.{}", export.name), kind, export.index);
                }
                module.section(&exports);
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    module.section(&RawSection { id, data: &wasm[range] });
                }
            }
        }
    }
    Some(module.finish())
}

/// What is seen of a program: the numbers that it gave the host, how each call of an export of the
/// entry ended, and what its memories hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whether it could be made.
    pub stands: bool,
    /// What the host was told.
    pub ticks: Vec<i32>,
    /// Each export, and how its call ended.
    pub calls: Vec<(String, String)>,
    /// Each exported memory, its length and a sum of its bytes.
    pub memories: Vec<(String, usize, u64)>,
}

/// An engine that stops what does not end.
///
/// # Panics
/// When there is no native target here.
#[must_use]
pub fn engine() -> Engine {
    let mut config = profile().config();
    config.cranelift_nan_canonicalization(true);
    config.consume_fuel(true);
    Engine::new(&config).expect("an engine")
}

/// What a program does when each module is instantiated by itself, in order; `None` where it takes
/// too long, or the stack is full.
///
/// # Panics
/// When the engine does not take a module that is valid.
#[must_use]
pub fn apart(engine: &Engine, modules: &[Named]) -> Option<Seen> {
    let (mut store, mut linker) = host(engine);
    let mut last = None;
    for (name, wasm) in modules {
        let module = wasmtime::Module::new(engine, wasm).expect("a valid module");
        store.set_fuel(FUEL).expect("fuel is on");
        match linker.instantiate(&mut store, &module) {
            Ok(instance) => {
                linker.instance(&mut store, name, instance).expect("each name once");
                last = Some(instance);
            }
            Err(error) => return not_made(&error, store.data()),
        }
    }
    seen(&mut store, last?, &modules.last()?.0)
}

/// What a linked program does whose entry has this name; the same otherwise.
///
/// # Panics
/// When the engine does not take the module.
#[must_use]
pub fn together(engine: &Engine, wasm: &[u8], entry: &str) -> Option<Seen> {
    let (mut store, mut linker) = host(engine);
    let module = wasmtime::Module::new(engine, wasm).expect("a valid module");
    for import in module.imports() {
        tick(&mut linker, import.module());
    }
    // As much as all modules by themselves.
    store.set_fuel(4 * FUEL).expect("fuel is on");
    match linker.instantiate(&mut store, &module) {
        Ok(instance) => seen(&mut store, instance, entry),
        Err(error) => not_made(&error, store.data()),
    }
}

fn host(engine: &Engine) -> (Store<Vec<i32>>, Linker<Vec<i32>>) {
    let mut linker = Linker::new(engine);
    linker.allow_shadowing(true);
    tick(&mut linker, "host");
    (Store::new(engine, Vec::new()), linker)
}

fn tick(linker: &mut Linker<Vec<i32>>, module: &str) {
    let tick = |mut caller: Caller<'_, Vec<i32>>, number: i32| caller.data_mut().push(number);
    linker.func_wrap(module, "tick", tick).expect("a function");
}

/// What is not comparable, for both sides count otherwise.
fn is_a_limit(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref::<Trap>(), Some(Trap::StackOverflow | Trap::OutOfFuel))
}

fn not_made(error: &wasmtime::Error, ticks: &[i32]) -> Option<Seen> {
    if is_a_limit(error) {
        return None;
    }
    Some(Seen { stands: false, ticks: ticks.to_vec(), calls: Vec::new(), memories: Vec::new() })
}

/// What comes of calling what the entry exports, and nothing else.
fn seen(store: &mut Store<Vec<i32>>, instance: Instance, entry: &str) -> Option<Seen> {
    let mut calls = Vec::new();
    let own = format!("{entry}.");
    let mut exports: Vec<(String, Extern)> = instance
        .exports(&mut *store)
        .map(|export| (export.name().to_owned(), export.into_extern()))
        .filter(|(name, _)| name.starts_with(&own))
        .collect();
    // Each linker has its own order.
    exports.sort_by(|one, other| one.0.cmp(&other.0));
    for (name, export) in &exports {
        let Extern::Func(function) = export else { continue };
        let ty = function.ty(&*store);
        let Some(arguments) = ty.params().map(|ty| argument(&ty)).collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        let mut results = vec![Val::I32(0); ty.results().len()];
        store.set_fuel(FUEL).expect("fuel is on");
        let ended = match function.call(&mut *store, &arguments, &mut results) {
            Ok(()) => format!("{:?}", results.iter().map(show).collect::<Vec<_>>()),
            Err(error) if is_a_limit(&error) => return None,
            Err(error) if error.is::<wasmtime::ThrownException>() => {
                let _ = store.as_context_mut().take_pending_exception();
                "threw".to_owned()
            }
            Err(error) => format!("{:?}", error.downcast_ref::<Trap>()),
        };
        calls.push((name.clone(), ended));
    }
    let mut memories = Vec::new();
    for (name, export) in &exports {
        if let Extern::Memory(memory) = export {
            let bytes = memory.data(&*store);
            let sum = bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte));
            memories.push((name.clone(), bytes.len(), sum));
        }
    }
    Some(Seen { stands: true, ticks: store.data().clone(), calls, memories })
}

fn argument(ty: &ValType) -> Option<Val> {
    Some(match ty {
        ValType::I32 => Val::I32(9),
        ValType::I64 => Val::I64(11),
        ValType::F32 => Val::F32(2.5_f32.to_bits()),
        ValType::F64 => Val::F64(3.25_f64.to_bits()),
        ValType::V128 => Val::V128(7.into()),
        ValType::Ref(ty) if ty.is_nullable() => Val::null_ref(ty.heap_type()),
        ValType::Ref(_) => return None,
    })
}

fn show(value: &Val) -> String {
    match value.ref_() {
        Some(reference) => format!("null: {}", reference.is_null()),
        None => format!("{value:?}"),
    }
}

/// Whether a module imports something that is no function: what another linker has to have
/// resolved too.
#[must_use]
pub fn imports_only_functions(engine: &Engine, wasm: &[u8]) -> bool {
    let Ok(module) = wasmtime::Module::new(engine, wasm) else { return false };
    module.imports().all(|import| matches!(import.ty(), ExternType::Func(_)))
}

/// Whether a module has a start function.
#[must_use]
pub fn has_start(wasm: &[u8]) -> bool {
    let payloads = Parser::new(0).parse_all(wasm);
    payloads.into_iter().any(|one| matches!(one, Ok(Payload::StartSection { .. })))
}
