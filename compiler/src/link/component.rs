//! Stage *link* of a component: its modules, the code that holds them together and WASI 0.2 in
//! WebAssembly become one module.
//!
//! ```text
//! component ─ flat ─► instances, what each imports ─ glue ─► a module for what is not theirs
//!           instances + WASI module + glue ─ resolve, reach, write ─► one module
//! ```
//!
//! Several components become one before that (`compose`).
//!
//! Instances begin in the component's order, and their start functions run in it. `_start` is
//! made of `wasi:cli/run`: its error is exit code 1. WASI 0.2 is a module of this program
//! (`wasi02`), in terms of preview 1, with a memory of its own: the one that the host works on.
//! Functions that only call through a table which nothing changes are left out (`collapse`), a
//! preview 1 adapter where nothing else needs WASI 0.2 (`adapter`), and all that nothing reaches.
//!
//! May assume nothing about the bytes. Guarantees that the same component gives the same bytes,
//! and that what it does in the linked module is what the component does, with WASI 0.2 as
//! `wasi02` has it. What is made is validated again by the next stage, as what a stranger made.

use super::error::LinkError;
use super::module::Module;
use super::resolve::Program;
use super::types::Types;
use super::{ComponentPart, write};
use crate::input::{Component, Piece, Pieces, Source};
use bls_artifact::limits::MODULE_BYTES_MAX;
use bls_artifact::recipe::{Ingredient, Recipe};
pub use error::{ComponentError, Misfit};
use flat::Def;
use std::ops::Range;
use wasmtime_environ::ScopeVec;
use world::world;

mod adapter;
mod choose;
mod closed;
mod collapse;
mod compose;
mod count;
mod does;
mod error;
mod flat;
mod glue;
mod make;
#[cfg(test)]
mod tests;
mod world;

/// WASI 0.2 in terms of preview 1 (`wasi02/README.md`).
const WASI: &[u8] = include_bytes!("../../../wasi02/wasi02.wasm");
/// The same for components that reach the network, in terms of `bls_http` and `bls_socket` too.
const WASI_NETWORK: &[u8] = include_bytes!("../../../wasi02/wasi02-net.wasm");
/// Both for libraries, whose functions are called by their types.
const WASI_TYPED: &[u8] = include_bytes!("../../../wasi02/wasi02-typed.wasm");
const WASI_TYPED_NETWORK: &[u8] = include_bytes!("../../../wasi02/wasi02-typed-net.wasm");
/// What those for the network import, any of it: an interface, or a package.
const NETWORK: [&str; 2] = ["wasi:http/outgoing-handler", "wasi:sockets/"];
/// What its functions are called behind.
const WASI_NAME: &str = "wasi";

/// Links a component to one module; and keeps what it is made of, where somebody asks.
///
/// # Errors
/// [`LinkError`].
pub fn link_component(component: Component, keep_pieces: bool) -> Result<Source, LinkError> {
    let whole = Whole { wasm: component.wasm(), parts: vec![("", 0..component.wasm().len())] };
    let linked = linked(&whole, keep_pieces)?;
    let bytes = linked.wasm.len() as u64;
    let source = Source::of_component(linked.wasm, component, linked.world, linked.calls);
    Ok(source.map_err(|_| LinkError::TooLong(bytes))?.with_pieces(linked.pieces))
}

/// Puts components together, the socket last, and links what comes of it to one module; and keeps
/// what that is made of, where somebody asks.
///
/// # Errors
/// [`LinkError`].
pub fn link_plugged(parts: Vec<ComponentPart>, keep_pieces: bool) -> Result<Source, LinkError> {
    let recipe = recipe(&parts)?;
    let given_bytes = parts.iter().map(|part| part.component.given_bytes()).sum();
    let together: u64 = parts.iter().map(|part| part.component.wasm().len() as u64).sum();
    if together > MODULE_BYTES_MAX {
        return Err(LinkError::TooLong(together));
    }
    let named: Vec<(&str, &[u8])> =
        parts.iter().map(|part| (&*part.name, part.component.wasm())).collect();
    let compose::Composition { wasm, places } = compose::compose(&named)?;
    // What nobody named is the socket's.
    let mut names: Vec<&str> = parts.iter().map(|part| &*part.name).collect();
    if let Some(socket) = names.last_mut() {
        *socket = "";
    }
    let whole = Whole { wasm: &wasm, parts: names.into_iter().zip(places).collect() };
    let linked = linked(&whole, keep_pieces)?;
    let bytes = linked.wasm.len() as u64;
    let name = parts.last().map_or("", |socket| socket.component.name()).to_owned();
    let source = Source::linked(linked.wasm, name, recipe, given_bytes);
    let source = source.map_err(|_| LinkError::TooLong(bytes))?.with_pieces(linked.pieces);
    Ok(source.with_world(linked.world, linked.calls))
}

/// What is put together of what.
fn recipe(parts: &[ComponentPart]) -> Result<Recipe, LinkError> {
    let ingredient = |part: &ComponentPart| Ingredient {
        name: part.name.clone(),
        sha256: part.component.given(),
    };
    let mut plugs: Vec<Ingredient> = parts.iter().map(ingredient).collect();
    let nobody = || LinkError::Defect("no component to link".to_owned());
    let socket = plugs.pop().ok_or_else(nobody)?;
    Recipe::new(plugs, socket).map_err(LinkError::Recipe)
}

/// A component, and which of its bytes are of which that was given.
struct Whole<'a> {
    wasm: &'a [u8],
    parts: Vec<(&'a str, Range<usize>)>,
}

impl Whole<'_> {
    /// Of which part a module is, and where in that it begins; nothing of what was generated.
    fn find(&self, module: &[u8]) -> Option<(usize, u32)> {
        let at = module.as_ptr().addr().wrapping_sub(self.wasm.as_ptr().addr());
        let part = self.parts.iter().position(|(_, range)| range.contains(&at))?;
        Some((part, (at - self.parts[part].1.start) as u32))
    }

    /// A name for each instance, before the names of what it has. The largest of a part has the
    /// part's name.
    fn names(&self, flat: &flat::Flat<'_>) -> Vec<String> {
        let parts: Vec<Option<usize>> =
            flat.instances.iter().map(|one| Some(self.find(one.wasm)?.0)).collect();
        let largest = |part: usize| {
            let own = flat.instances.iter().zip(&parts).enumerate();
            let own = own.filter(|(_, (_, of))| **of == Some(part));
            own.max_by_key(|(_, (one, _))| one.wasm.len()).map(|(at, _)| at)
        };
        let largest: Vec<Option<usize>> = (0..self.parts.len()).map(largest).collect();
        let name = |at: usize| match largest.iter().position(|largest| *largest == Some(at)) {
            Some(part) => self.parts[part].0.to_owned(),
            None => format!("module{at}"),
        };
        (0..flat.instances.len()).map(name).collect()
    }
}

/// The module that a component became.
struct Linked {
    wasm: Vec<u8>,
    pieces: Option<Pieces>,
    /// The names at its border, a line each.
    world: String,
    /// The functions that are called by their types.
    calls: Vec<String>,
}

fn linked(whole: &Whole<'_>, keep_pieces: bool) -> Result<Linked, LinkError> {
    let scope = ScopeVec::new();
    let flat = adapter::without_adapter(flat::flatten(whole.wasm, &scope)?)?;
    // A module may be there many times.
    let together: u64 = flat.instances.iter().map(|one| one.wasm.len() as u64).sum();
    if together > MODULE_BYTES_MAX {
        return Err(LinkError::TooLong(together));
    }
    let names = whole.names(&flat);
    let mut modules = Vec::with_capacity(flat.instances.len() + 2);
    for (instance, name) in flat.instances.iter().zip(&names) {
        let mut module = Module::read(name, instance.wasm)?;
        for (import, argument) in module.imports.iter_mut().zip(&instance.arguments) {
            if *argument == Def::Host {
                import.name = adapter::once(import.name);
            }
        }
        modules.push(module);
    }
    let wasi = match (&flat.run, flat.imports_any(&NETWORK)) {
        (flat::Run::Library(_), false) => WASI_TYPED,
        (flat::Run::Library(_), true) => WASI_TYPED_NETWORK,
        (_, false) => WASI,
        (_, true) => WASI_NETWORK,
    };
    modules.push(Module::read(WASI_NAME, wasi)?);
    let glued = glue::glue(&flat, &modules)?;
    let own = modules.len();
    let mut origins = Vec::with_capacity(own + 1);
    for instance in &flat.instances {
        origins.push(instance.arguments.iter().map(|def| glued.item(def, own)).collect());
    }
    if glued.uses_wasi {
        let wasi = &modules[own - 1];
        let imports = wasi.imports.iter();
        origins.push(imports.map(|one| glued.for_wasi(one.module, one.name, own)).collect());
    } else {
        modules[own - 1] = Module::default();
        origins.push(Vec::new());
    }
    origins.push(glued.origins.clone());
    modules.push(Module::read("", &glued.wasm)?);

    let mut types = Types::default();
    let mut numbers = Vec::with_capacity(modules.len());
    for module in &modules {
        numbers.push(types.add_module(&module.groups)?);
    }
    let mut program = Program::wired(modules, types, numbers, origins)?;
    collapse::collapse(&mut program)?;
    program.prune()?;
    let layout = program.layout()?;
    let (wasm, functions) = write::write(&mut program, &layout)?;
    let pieces = keep_pieces.then(|| {
        let piece = |module: &Module<'_>| Piece {
            name: module.name.to_owned(),
            wasm: module.wasm.to_vec(),
            // What was generated is nowhere in it.
            begin: whole.find(module.wasm).map_or(0, |(_, begin)| begin),
        };
        Pieces { modules: program.modules.iter().map(piece).collect(), functions }
    });
    let calls = match &flat.run {
        flat::Run::Library(library) => library.signatures(),
        _ => Vec::new(),
    };
    Ok(Linked { wasm, pieces, world: world(whole.wasm).to_text(), calls })
}
