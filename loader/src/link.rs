//! Finds a host function for every import, and what to call.
//!
//! May assume a mapped module. Guarantees that a [`Linked`] has an extern of the
//! right type for each import, in order; that what is to be called exists and its
//! arguments fit; and that only what the module imports was made. Does not run any
//! of the guest's code: instantiation is the run's.

use crate::error::{StageError, printable_name};
use crate::host::state::State;
use crate::host::{self, Grants, Host};
use crate::map::Mapped;
use crate::policy::Limits;
use crate::request::{Request, UnknownImports};
use crate::run::value;
use bls_artifact::fuel;
use bls_artifact::manifest::Kind;
use std::fmt;
use wasmtime::{Extern, ExternType, Func, FuncType, Store, Val, ValType};

/// Why a module cannot be linked.
#[derive(Debug)]
pub(crate) enum LinkError {
    /// Functions that no host has.
    UnknownImports(Vec<String>),
    /// Imports that are no functions: a host has nothing else.
    ImportKind(Vec<String>),
    /// An import that the manifest does not list in this place.
    UndeclaredImport(String),
    /// An import of another type than the host's.
    ImportType(String, String),
    /// `--fuel`, and the artifact is not metered.
    NotMetered(String),
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
            Self::ImportKind(names) => {
                write!(formatter, "a host has functions only, and it imports {}", some_of(names))
            }
            Self::UndeclaredImport(name) => {
                write!(formatter, "the code imports {name}, and its manifest does not say so")
            }
            Self::ImportType(name, ty) => {
                write!(formatter, "the host has {name}, and not as {ty}")
            }
            Self::NotMetered(name) => {
                write!(formatter, "{name} is not metered, so no limit on fuel can stop it")
            }
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

impl StageError for LinkError {
    const STAGE: &'static str = "link";

    fn code(&self) -> &'static str {
        match self {
            Self::UnknownImports(_) => "link.unknown-import",
            Self::ImportKind(_) => "link.import-kind",
            Self::UndeclaredImport(_) => "link.undeclared-import",
            Self::ImportType(..) => "link.import-type",
            Self::NotMetered(_) => "link.not-metered",
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
            Self::ImportKind(_) => {
                "build it to have memories, tables and globals of its own: no --import-memory, and no -shared".into()
            }
            Self::NotMetered(_) => "compile it without --no-fuel".into(),
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

/// A module with everything it imports.
#[derive(Debug)]
pub(crate) struct Linked {
    pub(crate) mapped: Mapped,
    pub(crate) store: Store<State>,
    pub(crate) externs: Vec<Extern>,
    pub(crate) entry: Entry,
    pub(crate) budget: Option<u64>,
    /// Imports that trap when they are called.
    pub(crate) unknown_imports: Vec<String>,
}

/// Links `mapped` to the host.
///
/// The guest gets the operator's limits, and never more memory than the artifact's own.
pub(crate) fn link(
    mapped: Mapped,
    grants: Grants,
    limits: &Limits,
    request: &Request,
) -> Result<Linked, LinkError> {
    let manifest = &mapped.facts().manifest;
    if manifest.fuel.is_none() && limits.fuel.is_some() {
        return Err(LinkError::NotMetered(mapped.facts().name.clone()));
    }
    if manifest.fuel.is_some() && !has_counter(&mapped) {
        return Err(LinkError::Counter);
    }
    let memory_max = limits.memory.min(manifest.limits.memory.unwrap_or(u64::MAX));
    let entry = entry(&mapped, request)?;

    let mut store = Store::new(mapped.engine(), State::new(Host::new(grants), memory_max));
    store.limiter(|state| &mut state.limiter);
    let mut externs = Vec::with_capacity(mapped.module().imports().len());
    let mut unknown_imports = Vec::new();
    let mut refused = Vec::new();
    let mut no_functions = Vec::new();
    let mut declared = manifest.module.imports.iter();
    for import in mapped.module().imports() {
        let name = printable_name(&format!("{}.{}", import.module(), import.name()));
        if !declared.next().is_some_and(|declared| {
            (declared.module.as_str(), declared.name.as_str()) == (import.module(), import.name())
        }) {
            return Err(LinkError::UndeclaredImport(name));
        }
        let ty = match import.ty() {
            ExternType::Func(ty) => ty,
            other => {
                no_functions.push(format!("{name} (a {})", kind_of(&other)));
                continue;
            }
        };
        match host::provide(&mut store, import.module(), import.name()) {
            Some(function) if FuncType::matches(&function.ty(&store), &ty) => {
                externs.push(function.into());
            }
            Some(_) => return Err(LinkError::ImportType(name, ty.to_string())),
            None if request.unknown_imports == UnknownImports::Trap => {
                externs.push(trapping(&mut store, ty, name.clone()).into());
                unknown_imports.push(name);
            }
            None => refused.push(name),
        }
    }
    // First: no option helps with these.
    if !no_functions.is_empty() {
        return Err(LinkError::ImportKind(no_functions));
    }
    if !refused.is_empty() {
        return Err(LinkError::UnknownImports(refused));
    }
    Ok(Linked { mapped, store, externs, entry, budget: limits.fuel, unknown_imports })
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

/// A function that traps with a sentence.
fn trapping(store: &mut Store<State>, ty: FuncType, name: String) -> Func {
    Func::new(store, ty, move |_, _, _| Err(UnknownImport(name.clone()).into()))
}

/// What is called, with its values: the export that `--invoke` names; else the default
/// export, whose name is empty, or `_start`. `_initialize` comes before it.
fn entry(mapped: &Mapped, request: &Request) -> Result<Entry, LinkError> {
    let (name, ty) = match &request.invoke {
        None => default_entry(mapped)?,
        Some(name) => match function(mapped, name) {
            Some(ty) => (name.clone(), ty),
            None => return Err(LinkError::NoSuchExport(name.clone(), callable(mapped))),
        },
    };
    let values = &request.values;
    if ty.params().len() != values.len() {
        let wanted = ty.params().map(|ty| ty.to_string()).collect();
        return Err(LinkError::ArgumentCount(name, wanted, values.len()));
    }
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
    let initialize = function(mapped, "_initialize").filter(|_| name != "_initialize");
    if let Some(ty) = &initialize
        && (ty.params().len() != 0 || ty.results().len() != 0)
    {
        return Err(LinkError::Initialize(ty.to_string()));
    }
    Ok(Entry { name, arguments, results: ty.results().collect(), initialize: initialize.is_some() })
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
