//! Stage *link*: several modules, or those of a component, become one, a [`Source`] like any other.
//!
//! Imports of one module are resolved by exports of another: functions, tables, memories,
//! globals and tags. Each keeps the memory that it has; what no module provides stays an import,
//! and is the host's. Modules begin in order (`begin`); of a library `_initialize` runs then
//! too. The linked module exports what the entry exports. `blockless.mcall` and
//! `blockless.register` become calls in generated code (`mcall`). Of a component (`component`) the
//! imports are resolved by what it says itself, and what nothing reaches is left out (`reach`).
//!
//! May assume nothing about the modules: each is validated first. Guarantees that a module does
//! what it would do by itself, instantiated after those it imports; that the same modules give
//! the same bytes; and that it ends, in time that grows with their length. What it makes is
//! validated again by the next stage, as what a stranger made. Removes nothing that is not
//! called, and keeps of custom sections the names only: others hold positions in code that has
//! moved.

use crate::input::{Binary, Component, Given, Piece, Pieces, Source, Unread};
use crate::validate::{Validated, validate};
use bls_artifact::limits::MODULE_BYTES_MAX;
use bls_artifact::recipe::{Ingredient, Recipe};
use bls_artifact::target::EngineProfile;
pub use component::{ComponentError, Misfit, link_component, link_plugged};
pub use error::LinkError;
use module::{Import, Module};
use resolve::Program;
use std::collections::HashMap;
use std::fmt;
use types::Types;

mod begin;
mod component;
mod error;
mod mcall;
mod module;
mod names;
mod reach;
mod resolve;
#[cfg(test)]
mod tests;
mod types;
mod write;

/// A module, and what others import it by.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name among the modules; the entry's is one that no import means.
    pub name: String,
    /// The module.
    pub source: Source,
}

/// A component that is put together with others.
#[derive(Clone, Debug)]
pub struct ComponentPart {
    /// What messages and the recipe call it.
    pub name: String,
    /// The component.
    pub component: Component,
}

/// What a program is made of.
#[derive(Clone, Debug)]
pub enum Modules {
    /// A module alone.
    One(Source),
    /// Several, the entry last, that become one.
    Several(Vec<Part>),
    /// A component, whose modules become one.
    Component(Component),
    /// Several components, the socket last, that become one component first.
    Plugged(Vec<ComponentPart>),
}

impl From<Source> for Modules {
    fn from(source: Source) -> Self {
        Self::One(source)
    }
}

impl From<Binary> for Modules {
    fn from(binary: Binary) -> Self {
        match binary {
            Binary::Module(source) => Self::One(source),
            Binary::Component(component) => Self::Component(component),
        }
    }
}

impl Modules {
    /// What was given, each module read; `None` where that is not one for each.
    pub(crate) fn of(given: &Given, read: Vec<Binary>) -> Option<Self> {
        match given {
            Given::One(_) => <[Binary; 1]>::try_from(read).ok().map(|[one]| one.into()),
            Given::Several(all) if all.len() == read.len() => {
                let parts = all.iter().zip(read);
                let part = |((name, _), one): (&(String, Unread), Binary)| {
                    one.module().ok().map(|source| Part { name: name.clone(), source })
                };
                parts.map(part).collect::<Option<_>>().map(Self::Several)
            }
            Given::Plugged(all) if all.len() == read.len() => {
                let parts = all.iter().zip(read);
                let part = |((name, _), one): (&(String, Unread), Binary)| match one {
                    Binary::Component(component) => {
                        Some(ComponentPart { name: name.clone(), component })
                    }
                    Binary::Module(_) => None,
                };
                parts.map(part).collect::<Option<_>>().map(Self::Plugged)
            }
            Given::Several(_) | Given::Plugged(_) => None,
        }
    }

    /// A name for the artifact, from the name of the input; of the entry's.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::One(source) => source.name(),
            Self::Several(parts) => parts.last().map_or("", |entry| entry.source.name()),
            Self::Component(component) => component.name(),
            Self::Plugged(parts) => parts.last().map_or("", |socket| socket.component.name()),
        }
    }
}

/// Links modules, the entry last, to one that an engine with this profile takes; and keeps what it
/// is made of, where somebody asks.
///
/// # Errors
/// [`LinkError`], with the modules and names it is about.
pub fn link(
    parts: Vec<Part>,
    profile: &EngineProfile,
    keep_pieces: bool,
) -> Result<Source, LinkError> {
    let recipe = recipe(&parts)?;
    let given_bytes = parts.iter().map(|part| part.source.given_bytes()).sum();
    let together: u64 = parts.iter().map(|part| part.source.wasm().len() as u64).sum();
    if together > MODULE_BYTES_MAX {
        return Err(LinkError::TooLong(together));
    }
    let name = parts.last().map_or(String::new(), |entry| entry.source.name().to_owned());
    let mut valid = Vec::with_capacity(parts.len());
    for Part { name, source } in parts {
        match validate(source, profile) {
            Ok(module) => valid.push((name, module)),
            Err(error) => return Err(LinkError::Module(name, error)),
        }
    }
    let (wasm, pieces) = linked(&valid, keep_pieces)?;
    let bytes = wasm.len() as u64;
    let linked = Source::linked(wasm, name, recipe, given_bytes);
    Ok(linked.map_err(|_| LinkError::TooLong(bytes))?.with_pieces(pieces))
}

/// What is linked of what.
///
/// # Errors
/// [`LinkError::Recipe`].
pub fn recipe(parts: &[Part]) -> Result<Recipe, LinkError> {
    let ingredient =
        |part: &Part| Ingredient { name: part.name.clone(), sha256: part.source.given() };
    let mut modules: Vec<Ingredient> = parts.iter().map(ingredient).collect();
    let nobody = || LinkError::Defect("no module to link".to_owned());
    let entry = modules.pop().ok_or_else(nobody)?;
    Recipe::new(modules, entry).map_err(LinkError::Recipe)
}

/// The linked module of valid ones, the entry last.
fn linked(
    valid: &[(String, Validated)],
    keep_pieces: bool,
) -> Result<(Vec<u8>, Option<Pieces>), LinkError> {
    let mut modules = Vec::with_capacity(valid.len() + 1);
    for (name, module) in valid {
        modules.push(Module::read(name, module.bytes())?);
    }
    let order = resolve::order(&modules)?;
    let mut taken: Vec<Option<Module<'_>>> = modules.into_iter().map(Some).collect();
    let mut modules: Vec<Module<'_>> =
        order.into_iter().filter_map(|at| taken[at].take()).collect();
    let entry = modules.len() - 1;

    let mut types = Types::default();
    let mut numbers = Vec::with_capacity(modules.len() + 1);
    for module in &modules {
        numbers.push(types.add_module(&module.groups)?);
    }
    let libraries: HashMap<String, usize> =
        modules[..entry].iter().zip(0..).map(|(one, at)| (one.name.to_owned(), at)).collect();

    let glue = match libraries.contains_key(mcall::MODULE) {
        true => None,
        false => mcall::generate(&modules, entry, &mut types, &numbers)?,
    };
    let generated = modules.len();
    if let Some(wasm) = &glue {
        let module = Module::read(mcall::MODULE, wasm)?;
        numbers.push(types.add_module(&module.groups)?);
        modules.push(module);
    }
    let source = |at: usize, import: &Import<'_>| {
        if at == generated {
            // It names modules by their numbers.
            let from = import.module.parse().ok()?;
            return Some((from, import.name.to_owned()));
        }
        if let Some(from) = libraries.get(import.module) {
            return Some((*from, import.name.to_owned()));
        }
        let export = mcall::export_for(at, import).filter(|_| glue.is_some())?;
        Some((generated, export))
    };
    let mut program = Program::resolve(modules, entry, types, numbers, &source)?;
    let layout = program.layout()?;
    let (wasm, functions) = write::write(&mut program, &layout)?;
    let pieces = keep_pieces.then(|| {
        let piece = |(at, module): (usize, &Module<'_>)| Piece {
            name: if at == entry { String::new() } else { module.name.to_owned() },
            wasm: module.wasm.to_vec(),
            begin: 0,
        };
        Pieces { modules: program.modules.iter().enumerate().map(piece).collect(), functions }
    });
    Ok((wasm, pieces))
}

/// What cannot happen to valid modules.
fn defect(error: impl fmt::Display) -> LinkError {
    LinkError::Defect(error.to_string())
}
