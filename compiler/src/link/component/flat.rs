//! A component, taken apart: which modules are instantiated, in which order, and what each of
//! their imports is.
//!
//! The engine's own translator does it: it knows how components nest, and makes the modules that
//! carry calls from one component into another (fused adapters). What it gives is said here in
//! the linker's words. May assume nothing about the bytes. Guarantees that every module of the
//! result is valid, and that what an instance imports is of an earlier one, or of ours.

use super::closed::{self, Answer, is_of};
use super::count::count;
use super::error::ComponentError;
use crate::link::module::Kind;
use crate::link::resolve::Item;
use bls_artifact::engine::wasm_feature;
use bls_artifact::target::Feature;
use std::collections::HashMap;
use wasm_encoder::ValType;
use wasmparser::{Parser, Payload, TypeRef, Validator, WasmFeatures};
use wasmtime_environ::component::{
    CanonicalOptions, CanonicalOptionsDataModel, ComponentTranslation, ComponentTypes,
    ComponentTypesBuilder, CoreDef, CoreExport, Export, ExportIndex, ExportItem, FixedEncoding,
    GlobalInitializer, InstantiateModule, InterfaceType, OptionsIndex, ResourceIndex,
    RuntimeImportIndex, RuntimeMemoryIndex, StringEncoding, Trampoline, TrampolineIndex, Transcode,
    Translator, TypeFuncIndex, TypeResourceTable, TypeResourceTableIndex, alternate_lookup_key,
};
use wasmtime_environ::{
    EntityIndex, EntityRef as _, ModuleInternedTypeIndex, ScopeVec, Tunables, WasmValType,
};

mod library;
mod signature;

pub(super) use library::Library;

/// Numbers of resource types that a component defines begin here; below are WASI's.
const DEFINED: u32 = 1 << 16;
/// Numbers of types of interfaces that are closed begin here.
const CLOSED: u32 = 64;
/// What a command exports.
const RUN: (&str, &str) = ("wasi:cli/run@0.2", "run");
/// What a component exports that answers requests by HTTP.
const HANDLER: (&str, &str) = ("wasi:http/incoming-handler@0.2", "handle");
/// The resource types of its parameters, by their numbers.
const HANDLED: [u32; 2] = [9, 12];

/// A component as instances of modules.
pub(super) struct Flat<'a> {
    /// In the order in which they begin.
    pub(super) instances: Vec<Instance<'a>>,
    /// What runs.
    pub(super) run: Run,
    /// Of each table of handles, where it is of anything.
    pub(super) handles: Vec<Option<Handles>>,
}

impl Flat<'_> {
    /// Whether an instance imports a function of these interfaces or packages, which have no
    /// version, that is more than a closed one.
    pub(super) fn imports_any(&self, names: &[&str]) -> bool {
        self.instances.iter().flat_map(|instance| &instance.arguments).any(|def| match def {
            Def::Ours(ours) => matches!(&**ours, Ours::Import(import)
                if import.answer.is_none() && names.iter().any(|name| is_of(&import.interface, name))),
            _ => false,
        })
    }
}

/// The command.
pub(super) enum Run {
    /// `wasi:cli/run`.
    Component {
        run: Def,
        /// What is called with its result afterwards.
        after: Option<Def>,
    },
    /// `wasi:http/incoming-handler`.
    Handler {
        handle: Def,
        /// Whose handles its parameters are.
        instance: u32,
        /// What is called afterwards.
        after: Option<Def>,
    },
    /// A program for preview 1, and the memory that it works on.
    Program { start: Item, memory: Option<Item> },
    /// Functions that are called by their types.
    Library(Library),
}

/// An instance of a module.
pub(super) struct Instance<'a> {
    pub(super) wasm: &'a [u8],
    /// What each import is, in order.
    pub(super) arguments: Vec<Def>,
}

/// A table of handles, as one type's.
#[derive(Clone, Copy)]
pub(super) struct Handles {
    /// Whose it is.
    pub(super) instance: u32,
    /// The number of the type.
    pub(super) ty: u32,
    /// Whether that instance defines the type.
    pub(super) is_definer: bool,
}

/// Something that an instance imports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Def {
    /// Of an earlier instance, by its number.
    Core(Item),
    /// A function of the host's preview 1, by its own name there.
    Host,
    /// Whether an instance of a component may call out of it.
    MayLeave(u32),
    /// A function of ours.
    Ours(Box<Ours>),
}

/// A function that generated code has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ours {
    /// One that the component imports.
    Import(Import),
    /// `resource.new`: the instance and the type, as in all of these.
    New(u32, u32),
    /// `resource.rep`.
    Rep(u32, u32),
    /// `resource.drop`; the destructor, and the instance that it is of.
    Drop(u32, u32, Option<(Def, u32)>),
    /// A handle goes from one table to another.
    TransferOwn,
    /// It is lent.
    TransferBorrow,
    /// A call from one component into another begins.
    Enter,
    /// It ends.
    Exit,
    /// A rule was broken.
    Trap,
    /// Text is written otherwise, from one memory into another.
    Transcode(&'static str, Item, Item),
}

/// An imported function, as one caller has lowered it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Import {
    /// The interface, without its version where that is WASI 0.2.
    pub(super) interface: String,
    pub(super) function: String,
    pub(super) parameters: Vec<ValType>,
    pub(super) results: Vec<ValType>,
    pub(super) caller: Caller,
    /// What is answered where the interface is closed.
    pub(super) answer: Option<Answer>,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Caller {
    pub(super) instance: u32,
    pub(super) memory: Option<Item>,
    pub(super) realloc: Option<Def>,
    /// 0: UTF-8; 1: UTF-16; 2: Latin 1 or UTF-16.
    pub(super) encoding: u32,
}

/// The numbers of WASI's resource types; `wasi02/src/objects.rs` has the same.
const RESOURCES: [(&str, &str, u32); 22] = [
    ("wasi:io/error", "error", 0),
    ("wasi:io/poll", "pollable", 1),
    ("wasi:io/streams", "input-stream", 2),
    ("wasi:io/streams", "output-stream", 3),
    ("wasi:cli/terminal-input", "terminal-input", 4),
    ("wasi:cli/terminal-output", "terminal-output", 5),
    ("wasi:filesystem/types", "descriptor", 6),
    ("wasi:filesystem/types", "directory-entry-stream", 7),
    ("wasi:http/types", "fields", 8),
    ("wasi:http/types", "incoming-request", HANDLED[0]),
    ("wasi:http/types", "outgoing-request", 10),
    ("wasi:http/types", "request-options", 11),
    ("wasi:http/types", "response-outparam", HANDLED[1]),
    ("wasi:http/types", "incoming-response", 13),
    ("wasi:http/types", "incoming-body", 14),
    ("wasi:http/types", "future-trailers", 15),
    ("wasi:http/types", "outgoing-response", 16),
    ("wasi:http/types", "outgoing-body", 17),
    ("wasi:http/types", "future-incoming-response", 18),
    ("wasi:sockets/network", "network", 19),
    ("wasi:sockets/tcp", "tcp-socket", 20),
    ("wasi:sockets/ip-name-lookup", "resolve-address-stream", 21),
];

/// What a component may be made of: all that a module may, several memories, which fused
/// adapters need, and the component model without what is not supported. What a module may have
/// is judged again when all are one.
pub(super) fn features() -> WasmFeatures {
    let core = WasmFeatures::GC_TYPES | WasmFeatures::COMPONENT_MODEL;
    Feature::ALL.into_iter().fold(core, |all, feature| all | wasm_feature(feature))
}

/// Validates a component, and takes it apart. `scope` keeps what is generated.
pub(super) fn flatten<'a>(
    component: &'a [u8],
    scope: &'a ScopeVec<u8>,
) -> Result<Flat<'a>, ComponentError> {
    let mut features = features();
    Validator::new_with_features(features).validate_all(component).map_err(refusal)?;
    count(component)?;
    // Code at a component's border that catches exceptions, only where there are any: a loader
    // may be built without them.
    if !throws(component).map_err(refusal)? {
        features.remove(WasmFeatures::EXCEPTIONS);
    }
    let mut tunables = Tunables::default_u64();
    tunables.concurrency_support = false;
    let mut validator = Validator::new_with_features(features);
    let mut types = ComponentTypesBuilder::new(&validator);
    let translated = Translator::new(&tunables, &mut validator, &mut types, scope)
        .translate(component)
        .map_err(|error| ComponentError::Feature(format!("{error:#}")))?;
    let (translation, modules) = translated;
    let tables = types.num_resource_tables();
    let (types, _) = types.finish(&translation.component);
    let mut reader = Reader::new(&translation, &types)?;

    let mut instances = Vec::new();
    for initializer in &translation.component.initializers {
        match initializer {
            GlobalInitializer::InstantiateModule(InstantiateModule::Static(module, all), _) => {
                let arguments = all.iter().map(|def| reader.def(def)).collect::<Result<_, _>>()?;
                instances.push(Instance { wasm: modules[*module].wasm, arguments });
            }
            GlobalInitializer::InstantiateModule(InstantiateModule::Import(..), _) => {
                return Err(ComponentError::Feature("an imported core module".to_owned()));
            }
            _ => {}
        }
    }
    let run = reader.run()?;
    let handles = (0..tables).map(|at| reader.handles(TypeResourceTableIndex::new(at)));
    Ok(Flat { instances, run, handles: handles.collect() })
}

/// Whether any module of a component has a tag: without one nothing is thrown.
fn throws(component: &[u8]) -> Result<bool, wasmparser::Error> {
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::TagSection(_) => return Ok(true),
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if matches!(import?.ty, TypeRef::Tag(_)) {
                        return Ok(true);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(false)
}

/// What the validator says, as one of our refusals.
pub(super) fn refusal(error: wasmparser::Error) -> ComponentError {
    let asynchronous = WasmFeatures::CM_ASYNC
        | WasmFeatures::CM_ASYNC_STACKFUL
        | WasmFeatures::CM_MORE_ASYNC_BUILTINS
        | WasmFeatures::CM_ERROR_CONTEXT;
    let threads = WasmFeatures::CM_THREADING | WasmFeatures::SHARED_EVERYTHING_THREADS;
    let message = error.message();
    // "`stream.new` requires the … feature": the first words say what it is.
    let what = message.split(" require").next().unwrap_or(message).to_owned();
    match error.missing_wasm_feature() {
        Some(missing) if asynchronous.contains(missing) => ComponentError::Async(what),
        Some(missing) if threads.contains(missing) => ComponentError::Threads(what),
        Some(_) => ComponentError::Feature(message.to_owned()),
        None => ComponentError::Invalid(message.replace('\n', ": "), Some(error.offset())),
    }
}

/// A function that a component exports.
struct Lifted {
    function: Def,
    ty: TypeFuncIndex,
    parameters: Vec<ValType>,
    results: Vec<ValType>,
    /// Whose it is.
    instance: u32,
    /// What is called with its results afterwards.
    after: Option<Def>,
}

/// What reads the translator's result.
struct Reader<'t> {
    translation: &'t ComponentTranslation,
    types: &'t ComponentTypes,
    /// The imports that are lowered, by their numbers.
    lowered: HashMap<u32, RuntimeImportIndex>,
    memories: HashMap<u32, Item>,
    reallocs: HashMap<u32, &'t CoreDef>,
    after: HashMap<u32, &'t CoreDef>,
    /// The destructor of each resource type that is defined, and its instance.
    destructors: HashMap<u32, (&'t CoreDef, u32)>,
    /// Resource types of closed interfaces, by what they are called.
    closed: HashMap<(String, String), u32>,
}

impl<'t> Reader<'t> {
    fn new(
        translation: &'t ComponentTranslation,
        types: &'t ComponentTypes,
    ) -> Result<Self, ComponentError> {
        let mut reader = Self {
            translation,
            types,
            lowered: HashMap::new(),
            memories: HashMap::new(),
            reallocs: HashMap::new(),
            after: HashMap::new(),
            destructors: HashMap::new(),
            closed: HashMap::new(),
        };
        for initializer in &translation.component.initializers {
            match initializer {
                GlobalInitializer::LowerImport { index, import } => {
                    reader.lowered.insert(index.as_u32(), *import);
                }
                GlobalInitializer::ExtractMemory(memory) => {
                    let export = memory.export.clone().map_index(EntityIndex::Memory);
                    reader.memories.insert(memory.index.as_u32(), item(&export)?);
                }
                GlobalInitializer::ExtractRealloc(realloc) => {
                    reader.reallocs.insert(realloc.index.as_u32(), &realloc.def);
                }
                GlobalInitializer::ExtractPostReturn(after) => {
                    reader.after.insert(after.index.as_u32(), &after.def);
                }
                GlobalInitializer::Resource(resource) => {
                    if let Some(destructor) = &resource.dtor {
                        let number = translation.component.resource_index(resource.index).as_u32();
                        let instance = resource.instance.as_u32();
                        reader.destructors.insert(number, (destructor, instance));
                    }
                }
                _ => {}
            }
        }
        for (_, import) in &translation.component.imported_resources {
            let (interface, name) = reader.import_name(*import);
            let next = CLOSED + reader.closed.len() as u32;
            let is_ours = RESOURCES.iter().any(|(of, is, _)| (*of, *is) == (&*interface, &*name));
            if !is_ours {
                reader.closed.entry((interface, name)).or_insert(next);
            }
        }
        Ok(reader)
    }

    /// The interface and the name of an import.
    fn import_name(&self, import: RuntimeImportIndex) -> (String, String) {
        let component = &self.translation.component;
        let (at, path) = &component.imports[import];
        (unversioned(&component.import_types[*at].0), path.join("#"))
    }

    /// The number of a resource type.
    fn resource(&self, resource: ResourceIndex) -> u32 {
        let component = &self.translation.component;
        let Some(import) = component.imported_resources.get(resource) else {
            return DEFINED.saturating_add(resource.as_u32());
        };
        let (interface, name) = self.import_name(*import);
        let ours = RESOURCES.iter().find(|(of, is, _)| (*of, *is) == (&*interface, &*name));
        match ours {
            Some((_, _, number)) => *number,
            None => self.closed.get(&(interface, name)).copied().unwrap_or(CLOSED),
        }
    }

    fn handles(&self, table: TypeResourceTableIndex) -> Option<Handles> {
        let TypeResourceTable::Concrete { ty, instance } = &self.types[table] else { return None };
        let component = &self.translation.component;
        let defined = component.defined_resource_index(*ty);
        let definer = defined.and_then(|one| component.defined_resource_instances.get(one));
        Some(Handles {
            instance: instance.as_u32(),
            ty: self.resource(*ty),
            is_definer: definer == Some(instance),
        })
    }

    /// The instance and the number of a table's type.
    fn table(&self, table: TypeResourceTableIndex) -> Result<Handles, ComponentError> {
        let none = || ComponentError::Feature("a resource of no component".to_owned());
        self.handles(table).ok_or_else(none)
    }

    fn def(&mut self, def: &CoreDef) -> Result<Def, ComponentError> {
        Ok(match def {
            CoreDef::Export(export) => Def::Core(item(export)?),
            CoreDef::InstanceFlags(instance) => Def::MayLeave(instance.as_u32()),
            CoreDef::Trampoline(trampoline) => Def::Ours(Box::new(self.ours(*trampoline)?)),
            CoreDef::UnsafeIntrinsic(_) | CoreDef::TaskMayBlock => {
                return Err(ComponentError::Feature("a function of the engine".to_owned()));
            }
        })
    }

    fn ours(&mut self, index: TrampolineIndex) -> Result<Ours, ComponentError> {
        let trampoline = &self.translation.trampolines[index];
        Ok(match trampoline {
            Trampoline::LowerImport { index: lowered, lower_ty, options } => {
                let import = self.lowered.get(&lowered.as_u32()).copied();
                let import = import.ok_or_else(|| {
                    ComponentError::Feature("a function that nothing imports".to_owned())
                })?;
                let (interface, function) = self.import_name(import);
                let (parameters, results) =
                    self.signature(self.translation.component.trampolines[index])?;
                let answer = match closed::is_closed(&interface) {
                    true => Some(closed::answer(self.types, *lower_ty, |table| {
                        self.handles(table).map_or(CLOSED, |handles| handles.ty)
                    })),
                    false => None,
                };
                let caller = self.caller(*options)?;
                Ours::Import(Import { interface, function, parameters, results, caller, answer })
            }
            Trampoline::ResourceNew { ty, .. } => {
                let Handles { instance, ty, .. } = self.table(*ty)?;
                Ours::New(instance, ty)
            }
            Trampoline::ResourceRep { ty, .. } => {
                let Handles { instance, ty, .. } = self.table(*ty)?;
                Ours::Rep(instance, ty)
            }
            Trampoline::ResourceDrop { ty: table, .. } => {
                let Handles { instance, ty, .. } = self.table(*table)?;
                let number = self.types[*table].unwrap_concrete_ty().as_u32();
                let destructor = match self.destructors.get(&number).copied() {
                    Some((def, definer)) => Some((of_module(def)?, definer)),
                    None => None,
                };
                Ours::Drop(instance, ty, destructor)
            }
            Trampoline::ResourceTransferOwn => Ours::TransferOwn,
            Trampoline::ResourceTransferBorrow => Ours::TransferBorrow,
            Trampoline::EnterSyncCall => Ours::Enter,
            Trampoline::ExitSyncCall => Ours::Exit,
            Trampoline::Trap => Ours::Trap,
            Trampoline::Transcoder { from64: true, .. }
            | Trampoline::Transcoder { to64: true, .. } => {
                return Err(wide_memory());
            }
            Trampoline::Transcoder { op, from, to, .. } => {
                Ours::Transcode(transcoder(*op), self.memory(*from)?, self.memory(*to)?)
            }
            other => return Err(ComponentError::Async(other.symbol_name())),
        })
    }

    fn memory(&self, memory: RuntimeMemoryIndex) -> Result<Item, ComponentError> {
        let none = || ComponentError::Feature("a memory of no module".to_owned());
        self.memories.get(&memory.as_u32()).copied().ok_or_else(none)
    }

    /// The parameters and results of a function at the border.
    fn signature(
        &self,
        ty: ModuleInternedTypeIndex,
    ) -> Result<(Vec<ValType>, Vec<ValType>), ComponentError> {
        let function = self.types.module_types()[ty].unwrap_func();
        let value = |ty: &WasmValType| match ty {
            WasmValType::I32 => Ok(ValType::I32),
            WasmValType::I64 => Ok(ValType::I64),
            WasmValType::F32 => Ok(ValType::F32),
            WasmValType::F64 => Ok(ValType::F64),
            _ => Err(ComponentError::Feature("objects at the border of a component".to_owned())),
        };
        let values = |all: &[WasmValType]| all.iter().map(value).collect::<Result<Vec<_>, _>>();
        Ok((values(function.params())?, values(function.results())?))
    }

    fn caller(&mut self, options: OptionsIndex) -> Result<Caller, ComponentError> {
        let options: &CanonicalOptions = &self.translation.component.options[options];
        if options.async_ || options.callback.is_some() {
            return Err(ComponentError::Async("an asynchronous import".to_owned()));
        }
        let CanonicalOptionsDataModel::LinearMemory(data) = options.data_model else {
            return Err(ComponentError::Feature("objects at the border of a component".to_owned()));
        };
        let realloc = data.realloc.and_then(|one| self.reallocs.get(&one.as_u32()).copied());
        Ok(Caller {
            instance: options.instance.as_u32(),
            memory: data.memory.map(|memory| self.memory(memory)).transpose()?,
            realloc: realloc.map(of_module).transpose()?,
            encoding: match options.string_encoding {
                StringEncoding::Utf8 => 0,
                StringEncoding::Utf16 => 1,
                StringEncoding::CompactUtf16 => 2,
            },
        })
    }

    /// What runs: a command, or where there is none, what answers requests; else all that is
    /// exported, to be called by its types.
    fn run(&mut self) -> Result<Run, ComponentError> {
        if let Some(index) = self.exported(RUN) {
            let lifted = self.lifted(index)?;
            if !lifted.parameters.is_empty() || lifted.results != [ValType::I32] {
                return Err(ComponentError::ImportType("wasi:cli/run#run".to_owned()));
            }
            return Ok(Run::Component { run: lifted.function, after: lifted.after });
        }
        if let Some(index) = self.exported(HANDLER) {
            let lifted = self.lifted(index)?;
            let wrong =
                || ComponentError::ImportType("wasi:http/incoming-handler#handle".to_owned());
            let types = &self.types[self.types[lifted.ty].params].types;
            let is_handler = types.len() == HANDLED.len()
                && types.iter().zip(HANDLED).all(|(ty, number)| match ty {
                    InterfaceType::Own(table) => {
                        self.handles(*table).is_some_and(|handles| handles.ty == number)
                    }
                    _ => false,
                });
            if !is_handler || !lifted.results.is_empty() {
                return Err(wrong());
            }
            let Lifted { function, after, instance, .. } = lifted;
            return Ok(Run::Handler { handle: function, instance, after });
        }
        if let Some(library) = self.library()? {
            return Ok(Run::Library(library));
        }
        let exports = self.translation.component.exports.raw_iter();
        Err(ComponentError::NoRun(exports.map(|(name, _)| name.to_string()).collect()))
    }

    /// A function of an interface that is exported, any of WASI 0.2.
    fn exported(&self, (interface, function): (&str, &str)) -> Option<ExportIndex> {
        let component = &self.translation.component;
        let mut interfaces = component.exports.raw_iter().filter(|(name, _)| {
            alternate_lookup_key(name).is_some_and(|(key, _)| key == interface)
        });
        interfaces.find_map(|(_, (index, _))| {
            let Export::Instance { exports, .. } = &component.export_items[*index] else {
                return None;
            };
            let found = exports.raw_iter().find(|(name, _)| name.as_str() == function);
            found.map(|(_, (index, _))| *index)
        })
    }

    fn lifted(&mut self, index: ExportIndex) -> Result<Lifted, ComponentError> {
        let component = &self.translation.component;
        let Export::LiftedFunction { ty, func, options } = &component.export_items[index] else {
            return Err(ComponentError::Feature("a command that is an import".to_owned()));
        };
        let options = &component.options[*options];
        let (parameters, results) = self.signature(options.core_type)?;
        if options.async_ || options.callback.is_some() {
            return Err(ComponentError::Async("an asynchronous command".to_owned()));
        }
        let after = options.post_return.and_then(|one| self.after.get(&one.as_u32()).copied());
        Ok(Lifted {
            function: self.def(func)?,
            ty: *ty,
            parameters,
            results,
            instance: options.instance.as_u32(),
            after: after.map(|def| self.def(def)).transpose()?,
        })
    }
}

/// An allocator or a destructor: a function of a module, as all tools make them. One of ours could
/// stand on another one, and so on without end.
fn of_module(def: &CoreDef) -> Result<Def, ComponentError> {
    match def {
        CoreDef::Export(export) => Ok(Def::Core(item(export)?)),
        _ => Err(ComponentError::Feature(
            "an allocator or a destructor that is no function of a module".to_owned(),
        )),
    }
}

/// An interface's name without its version, where that is WASI 0.2: all of 0.2 is one.
fn unversioned(name: &str) -> String {
    let key = alternate_lookup_key(name).map(|(key, _)| key);
    let plain = key.and_then(|key| key.strip_suffix("@0.2")).filter(|key| key.starts_with("wasi:"));
    plain.unwrap_or(name).to_owned()
}

/// Where an export is.
fn item(export: &CoreExport<EntityIndex>) -> Result<Item, ComponentError> {
    let ExportItem::Index(index) = &export.item else {
        return Err(ComponentError::Feature("an imported core module".to_owned()));
    };
    let (kind, index) = match index {
        EntityIndex::Function(index) => (Kind::Function, index.as_u32()),
        EntityIndex::Table(index) => (Kind::Table, index.as_u32()),
        EntityIndex::Memory(index) => (Kind::Memory, index.as_u32()),
        EntityIndex::Global(index) => (Kind::Global, index.as_u32()),
        EntityIndex::Tag(index) => (Kind::Tag, index.as_u32()),
    };
    Ok(Item { module: export.instance.as_u32() as usize, kind, index })
}

fn wide_memory() -> ComponentError {
    ComponentError::Feature("a memory of 64 bits at the border of a component".to_owned())
}

/// The name of a transcoder in the WASI module.
fn transcoder(op: Transcode) -> &'static str {
    match op {
        Transcode::Copy(FixedEncoding::Utf8) => "copy-utf8",
        Transcode::Copy(FixedEncoding::Utf16) => "copy-utf16",
        Transcode::Copy(FixedEncoding::Latin1) => "copy-latin1",
        Transcode::Latin1ToUtf16 => "latin1-to-utf16",
        Transcode::Latin1ToUtf8 => "latin1-to-utf8",
        Transcode::Utf16ToCompactProbablyUtf16 => "utf16-to-compact-probably-utf16",
        Transcode::Utf16ToCompactUtf16 => "utf16-to-compact-utf16",
        Transcode::Utf16ToLatin1 => "utf16-to-latin1",
        Transcode::Utf16ToUtf8 => "utf16-to-utf8",
        Transcode::Utf8ToCompactUtf16 => "utf8-to-compact-utf16",
        Transcode::Utf8ToLatin1 => "utf8-to-latin1",
        Transcode::Utf8ToUtf16 => "utf8-to-utf16",
    }
}
