//! Finds a host function for every import, and what to call.
//!
//! May assume a mapped module. Guarantees that a [`Linked`] has a function of the right
//! type for each import, and that no other was made; and of an [`Entry`] that what is to
//! be called exists and its arguments fit. Knows no guest: grants and limits are the run's,
//! and so is instantiation.

pub(crate) mod value;

use crate::built::NotBuilt;
use crate::error::{StageError, printable_name};
use crate::host;
use crate::host::state::State;
use crate::map::Mapped;
use crate::request::{Request, UnknownImports};
use crate::verify::Facts;
use bls_artifact::fuel;
use bls_artifact::limits::RECIPE_MODULES_MAX;
use bls_artifact::manifest::Kind;
use bls_artifact::recipe::{TYPED_CALL, host_module};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use wasmtime::{ExternType, FuncType, InstancePre, Linker, Val, ValType};

/// Why a module cannot be linked.
#[derive(Debug)]
pub(crate) enum LinkError {
    /// Functions that no host has.
    UnknownImports(Vec<String>),
    /// Functions that this loader was built without.
    NotBuilt(Vec<String>),
    /// Imports that are no functions: a host has nothing else.
    ImportKind(Vec<String>),
    /// An import that the manifest does not list in this place.
    UndeclaredImport(String),
    /// An import of another type than the host's.
    ImportType(String, String),
    /// Host functions of more memories than one program can have modules.
    Memories(String),
    /// `--fuel`, and the artifact is not metered.
    NotMetered(String),
    /// The engine does not link it.
    Engine(wasmtime::Error),
    /// Metered, and the counter is not there or not a mutable i64.
    Counter,
    /// Nothing was named to call, and it has neither a default export nor `_start`.
    NothingToCall(&'static str, Vec<String>),
    /// No such export, or none that is a function.
    NoSuchExport(String, Vec<String>),
    /// `_initialize` with parameters or results.
    Initialize(String),
    /// A call with another number of values: the types it takes, and how many it got.
    ArgumentCount(String, Vec<String>, usize),
    /// An argument that is not a value of its type.
    Argument(String, String),
    /// A parameter of a type that cannot be written on a command line.
    ParameterType(String, String),
}

impl fmt::Display for LinkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownImports(names) => {
                write!(formatter, "no host function for {}", some_of(names))
            }
            Self::NotBuilt(names) => {
                write!(formatter, "{}, and it imports {}", NotBuilt::Network, some_of(names))
            }
            Self::ImportKind(names) => {
                write!(formatter, "a host has functions only, and it imports {}", some_of(names))
            }
            Self::UndeclaredImport(name) => {
                write!(formatter, "the code imports {name}, and its manifest does not say so")
            }
            Self::ImportType(name, ty) => {
                write!(formatter, "the host has {name}, and not as {ty}")
            }
            Self::Memories(name) => write!(
                formatter,
                "it imports {name}, and host functions for {RECIPE_MODULES_MAX} other memories before it"
            ),
            Self::NotMetered(name) => {
                write!(formatter, "{name} is not metered, so no limit on fuel can stop it")
            }
            Self::Engine(error) => write!(formatter, "the engine does not link it: {error:#}"),
            Self::Counter => write!(formatter, "the artifact is metered and has no fuel counter"),
            Self::NothingToCall(kind, _) => {
                write!(formatter, "the artifact is a {kind}: it does nothing by itself")
            }
            Self::NoSuchExport(name, _) => {
                write!(formatter, "the artifact exports no function {name:?}")
            }
            Self::ArgumentCount(name, wanted, given) => {
                let name = shell_word(name);
                match wanted.len() {
                    0 => write!(formatter, "{name} takes no value")?,
                    1 => write!(formatter, "{name} takes 1 value ({})", wanted[0])?,
                    count => {
                        write!(formatter, "{name} takes {count} values ({})", wanted.join(", "))?;
                    }
                }
                match given {
                    1 => write!(formatter, ", and 1 was given"),
                    _ => write!(formatter, ", and {given} were given"),
                }
            }
            Self::Initialize(ty) => {
                write!(formatter, "the export _initialize is a {ty}; it must take and give nothing")
            }
            Self::Argument(value, ty) => write!(formatter, "{value:?} is no {ty}"),
            Self::ParameterType(name, ty) => {
                write!(formatter, "{name} takes a {ty}, which a command line cannot give")
            }
        }
    }
}

impl std::error::Error for LinkError {}

impl StageError for LinkError {
    const STAGE: &'static str = "link";

    fn code(&self) -> &'static str {
        match self {
            Self::UnknownImports(_) => "link.unknown-import",
            Self::NotBuilt(_) => "link.not-built",
            Self::ImportKind(_) => "link.import-kind",
            Self::UndeclaredImport(_) => "link.undeclared-import",
            Self::ImportType(..) => "link.import-type",
            Self::Memories(_) => "link.memories",
            Self::NotMetered(_) => "link.not-metered",
            Self::Engine(_) => "link.engine",
            Self::Counter => "link.no-counter",
            Self::NothingToCall(..) => "link.nothing-to-call",
            Self::NoSuchExport(..) => "link.no-such-export",
            Self::Initialize(_) => "link.initialize",
            Self::ArgumentCount(..) => "link.argument-count",
            Self::Argument(..) => "link.argument",
            Self::ParameterType(..) => "link.parameter-type",
        }
    }

    fn hint(&self) -> Option<String> {
        let list = |exports: &[String]| match exports {
            [] => "it exports no function at all".to_owned(),
            exports => {
                let exports: Vec<String> = exports.iter().map(|name| shell_word(name)).collect();
                format!("call one of its exports: --invoke {}", exports.join(" | "))
            }
        };
        Some(match self {
            Self::UnknownImports(_) => {
                "if it does well without: --unknown-imports trap (a call to one traps)".into()
            }
            Self::NotBuilt(_) => "run it with the full bls-load: cargo xtask build".into(),
            Self::ImportKind(_) => {
                "build it to have memories, tables and globals of its own: no --import-memory, and no -shared".into()
            }
            Self::Memories(_) => {
                "link fewer modules: each may have a memory that it calls the host with".into()
            }
            Self::NotMetered(_) => "compile it without --no-fuel".into(),
            Self::Engine(_) => {
                "an unknown function that is imported twice must have one type: build it so".into()
            }
            Self::NothingToCall(_, exports) | Self::NoSuchExport(_, exports) => list(exports),
            Self::Argument(..) => {
                "integers are decimal or 0x hexadecimal, floats decimal, inf or nan, a v128 is 0x and hexadecimal digits, a reference is null".into()
            }
            Self::UndeclaredImport(_) => {
                "ask its builder; bls-compile does not write such manifests".into()
            }
            Self::ImportType(..) => {
                "build the module for WASI preview 1: bls-compile check shows all that does not fit"
                    .into()
            }
            Self::Counter => "compile it again with the bls-compile of this release".into(),
            Self::ArgumentCount(name, wanted, _) if wanted.is_empty() => {
                let name = shell_word(name);
                format!("the guest's own arguments stand behind a --: --invoke {name} app.bls -- WORDS")
            }
            Self::ArgumentCount(name, wanted, _) => {
                // Of the references, only null can be written.
                let value = |ty: &String| match ty.starts_with('(') {
                    true => "null".to_owned(),
                    false => ty.to_uppercase(),
                };
                let values: Vec<String> = wanted.iter().map(value).collect();
                format!(
                    "values stand behind the artifact: --invoke {} app.bls {}",
                    shell_word(name),
                    values.join(" ")
                )
            }
            Self::Initialize(_) => "it is no WASI reactor; build it as one, or as a library".into(),
            Self::ParameterType(..) => "call it through an export that takes numbers".into(),
        })
    }
}

/// The first of many names, and how many more there are.
fn some_of(names: &[String]) -> String {
    /// Names in one sentence.
    const SHOWN: usize = 20;
    let shown = &names[..names.len().min(SHOWN)];
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A name as it is written on a shell's command line.
fn shell_word(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/@".contains(&byte);
    match !name.is_empty() && name.bytes().all(plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', r"'\''")),
    }
}

/// A call to an import that no host has.
#[derive(Debug)]
pub(crate) struct UnknownImport(pub(crate) String);

impl fmt::Display for UnknownImport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the import {}, which no host has, was called", self.0)
    }
}

impl std::error::Error for UnknownImport {}

/// What the run calls once the instance stands.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The export.
    pub(crate) name: String,
    pub(crate) arguments: Vec<Val>,
    /// Types of its results; printed where there are some.
    pub(crate) results: Vec<ValType>,
    /// Whether `_initialize` is called first.
    pub(crate) initialize: bool,
}

/// A module with everything it imports: as many guests as one likes come from it.
pub(crate) struct Linked {
    mapped: Mapped,
    imports: InstancePre<State>,
    /// Imports that trap when they are called.
    unknown_imports: Vec<String>,
    /// The numbers of the memories that imports work on, but for the guest's own.
    memories: Vec<u32>,
}

impl fmt::Debug for Linked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Linked").field("mapped", &self.mapped).finish_non_exhaustive()
    }
}

impl Linked {
    /// What was linked.
    pub(crate) fn mapped(&self) -> &Mapped {
        &self.mapped
    }

    /// The module with a definition for each import.
    pub(crate) fn imports(&self) -> &InstancePre<State> {
        &self.imports
    }

    /// The numbers of the memories that libraries call the host with.
    pub(crate) fn memories(&self) -> &[u32] {
        &self.memories
    }

    /// Imports that no host has, and that trap when they are called.
    pub(crate) fn unknown_imports(&self) -> &[String] {
        &self.unknown_imports
    }
}

/// Gives a linker the function that an import asks for, by module and name, and says its
/// type; `None` where there is none.
pub(crate) type Own<'a> =
    dyn Fn(&mut Linker<State>, &str, &str) -> wasmtime::Result<Option<FuncType>> + 'a;

/// Links `mapped` to the host, and first to an embedder's own functions.
pub(crate) fn link(
    mapped: Mapped,
    own: &Own<'_>,
    unknown: UnknownImports,
) -> Result<Linked, LinkError> {
    let manifest = &mapped.facts().manifest;
    if manifest.fuel.is_some() && !has_counter(&mapped) {
        return Err(LinkError::Counter);
    }
    let mut linker = Linker::new(mapped.engine());
    // A module may import one function twice.
    linker.allow_shadowing(true);
    let mut unknown_imports = Vec::new();
    let mut refused = Vec::new();
    let mut not_built = Vec::new();
    let mut no_functions = Vec::new();
    let mut memories = Vec::new();
    let mut declared = manifest.module.imports.iter();
    for import in mapped.module().imports() {
        let (module, name) = (import.module(), import.name());
        let shown = || printable_name(&format!("{module}.{name}"));
        if !declared.next().is_some_and(|declared| {
            (declared.module.as_str(), declared.name.as_str()) == (module, name)
        }) {
            return Err(LinkError::UndeclaredImport(shown()));
        }
        let (_, memory) = host_module(module);
        if memory != 0 && !memories.contains(&memory) {
            if memories.len() == RECIPE_MODULES_MAX {
                return Err(LinkError::Memories(shown()));
            }
            memories.push(memory);
        }
        let ty = match import.ty() {
            ExternType::Func(ty) => ty,
            other => {
                no_functions.push(format!("{} (a {})", shown(), kind_of(&other)));
                continue;
            }
        };
        if let Some(own) = own(&mut linker, module, name).map_err(LinkError::Engine)? {
            if !FuncType::matches(&own, &ty) {
                return Err(LinkError::ImportType(shown(), ty.to_string()));
            }
            continue;
        }
        match host::has_type(module, name, &ty) {
            Some(true) => {
                if !host::define(&mut linker, module, name).map_err(LinkError::Engine)? {
                    not_built.push(shown());
                }
            }
            Some(false) => return Err(LinkError::ImportType(shown(), ty.to_string())),
            None if unknown == UnknownImports::Trap => {
                let named = shown();
                unknown_imports.push(named.clone());
                linker
                    .func_new(module, name, ty, move |_, _, _| {
                        Err(UnknownImport(named.clone()).into())
                    })
                    .map_err(LinkError::Engine)?;
            }
            None => refused.push(shown()),
        }
    }
    // First: no option helps with these.
    if !no_functions.is_empty() {
        return Err(LinkError::ImportKind(no_functions));
    }
    if !not_built.is_empty() {
        return Err(LinkError::NotBuilt(not_built));
    }
    if !refused.is_empty() {
        return Err(LinkError::UnknownImports(refused));
    }
    // What is left to go wrong: one name that no host has, imported as two types.
    let imports = linker.instantiate_pre(mapped.module()).map_err(LinkError::Engine)?;
    Ok(Linked { mapped, imports, unknown_imports, memories })
}

/// What an import is, in a word.
fn kind_of(ty: &ExternType) -> &'static str {
    match ty {
        ExternType::Func(_) => "function",
        ExternType::Global(_) => "global",
        ExternType::Table(_) => "table",
        ExternType::Memory(_) => "memory",
        ExternType::Tag(_) => "tag",
    }
}

/// Whether the module exports the counter as metering makes it.
fn has_counter(mapped: &Mapped) -> bool {
    match mapped.module().get_export(fuel::COUNTER_EXPORT) {
        Some(ExternType::Global(global)) => {
            matches!(global.content(), ValType::I64)
                && global.mutability() == wasmtime::Mutability::Var
        }
        _ => false,
    }
}

/// Refuses a limit on fuel that nothing would keep.
pub(crate) fn check_budget(facts: &Facts, budget: Option<u64>) -> Result<(), LinkError> {
    if facts.manifest.fuel.is_none() && budget.is_some() {
        return Err(LinkError::NotMetered(facts.name.clone()));
    }
    Ok(())
}

/// What is called, with its values: the export that `--invoke` names; else the default
/// export, whose name is empty, or `_start`. `_initialize` comes before it.
pub(crate) fn entry(mapped: &Mapped, request: &Request) -> Result<Entry, LinkError> {
    let (name, ty) = called(mapped, request.invoke.as_deref())?;
    let values = match &*name {
        TYPED_CALL => &[][..],
        _ => &request.values,
    };
    check_count(&name, &ty, values.len())?;
    let mut arguments = Vec::with_capacity(values.len());
    for (ty, text) in ty.params().zip(values) {
        let text = text.to_string_lossy();
        if !value::can_be_written(&ty) {
            return Err(LinkError::ParameterType(name, ty.to_string()));
        }
        let value = value::read(&ty, &text);
        arguments
            .push(value.ok_or_else(|| LinkError::Argument(text.into_owned(), ty.to_string()))?);
    }
    make_entry(mapped, name, &ty, arguments)
}

/// The same with values that are there.
pub(crate) fn entry_with(
    mapped: &Mapped,
    invoke: Option<&str>,
    arguments: Vec<Val>,
) -> Result<Entry, LinkError> {
    let (name, ty) = called(mapped, invoke)?;
    check_count(&name, &ty, arguments.len())?;
    for (ty, value) in ty.params().zip(&arguments) {
        let fits = match value {
            Val::I32(_) => ty.is_i32(),
            Val::I64(_) => ty.is_i64(),
            Val::F32(_) => ty.is_f32(),
            Val::F64(_) => ty.is_f64(),
            Val::V128(_) => ty.is_v128(),
            // The engine looks at references itself, when they are passed.
            _ => ty.is_ref(),
        };
        if !fits {
            return Err(LinkError::Argument(value::show(value), ty.to_string()));
        }
    }
    make_entry(mapped, name, &ty, arguments)
}

/// There is no exported function of this name.
pub(crate) fn no_such_export(mapped: &Mapped, name: &str) -> LinkError {
    LinkError::NoSuchExport(name.to_owned(), callable(mapped))
}

fn called(mapped: &Mapped, invoke: Option<&str>) -> Result<(String, FuncType), LinkError> {
    match invoke {
        None => default_entry(mapped),
        Some(name) => {
            let export = if is_typed_call(mapped, invoke) { TYPED_CALL } else { name };
            match function(mapped, export) {
                Some(ty) => Ok((export.to_owned(), ty)),
                None => Err(no_such_export(mapped, name)),
            }
        }
    }
}

/// Whether what `--invoke` names is the text of a call, which the artifact itself reads as its
/// argument 1: it is no export, and the artifact has the one that does so.
fn is_typed_call(mapped: &Mapped, invoke: Option<&str>) -> bool {
    let is_export = |name| function(mapped, name).is_some();
    invoke.is_some_and(|name| !is_export(name)) && is_export(TYPED_CALL)
}

/// Gives the guest the text of a call, where there is one; before its arguments, and before what
/// stands where other calls have their values.
pub(crate) fn give_typed_call(mapped: &Mapped, request: &Request, arguments: &mut Vec<Vec<u8>>) {
    let invoke = request.invoke.as_deref();
    let Some(text) = invoke.filter(|_| is_typed_call(mapped, invoke)) else { return };
    if arguments.is_empty() {
        // They are withheld; the call is none of them.
        arguments.push(Vec::new());
    }
    let words = request.values.iter().map(|word| word.as_bytes().to_vec());
    arguments.splice(1..1, std::iter::once(text.as_bytes().to_vec()).chain(words));
}

fn check_count(name: &str, ty: &FuncType, given: usize) -> Result<(), LinkError> {
    if ty.params().len() == given {
        return Ok(());
    }
    let wanted = ty.params().map(|ty| ty.to_string()).collect();
    Err(LinkError::ArgumentCount(name.to_owned(), wanted, given))
}

fn make_entry(
    mapped: &Mapped,
    name: String,
    ty: &FuncType,
    arguments: Vec<Val>,
) -> Result<Entry, LinkError> {
    let initialize = name != "_initialize" && check_initialize(mapped)?;
    Ok(Entry { name, arguments, results: ty.results().collect(), initialize })
}

/// Whether there is an `_initialize` to be called first.
pub(crate) fn check_initialize(mapped: &Mapped) -> Result<bool, LinkError> {
    match function(mapped, "_initialize") {
        Some(ty) if ty.params().len() != 0 || ty.results().len() != 0 => {
            Err(LinkError::Initialize(ty.to_string()))
        }
        found => Ok(found.is_some()),
    }
}

/// What is called where nothing is named: an export of the empty name comes first, as on
/// other hosts.
fn default_entry(mapped: &Mapped) -> Result<(String, FuncType), LinkError> {
    for name in ["", "_start"] {
        if let Some(ty) = function(mapped, name) {
            return Ok((name.to_owned(), ty));
        }
    }
    let kind = match mapped.facts().manifest.module.kind {
        Kind::Command => "command without an entry",
        Kind::Reactor => "reactor",
        Kind::Library => "library",
    };
    Err(LinkError::NothingToCall(kind, callable(mapped)))
}

/// The type of an exported function that a person may call.
fn function(mapped: &Mapped, name: &str) -> Option<FuncType> {
    if name.starts_with(fuel::RESERVED_PREFIX) {
        return None;
    }
    match mapped.module().get_export(name)? {
        ExternType::Func(ty) => Some(ty),
        _ => None,
    }
}

/// Whether calling it does something that is not done anyway.
fn is_callable(mapped: &Mapped, name: &str) -> bool {
    name != "_initialize" && function(mapped, name).is_some()
}

/// The exports that a person may call; some, where there are many.
fn callable(mapped: &Mapped) -> Vec<String> {
    /// Names in one hint.
    const SHOWN: usize = 20;
    let names = mapped.module().exports().map(|export| export.name());
    let names = names.filter(|name| is_callable(mapped, name)).take(SHOWN + 1);
    let mut names: Vec<String> = names.map(printable_name).collect();
    if names.len() > SHOWN {
        names[SHOWN] = "…".to_owned();
    }
    names
}
