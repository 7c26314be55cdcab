//! Stage *link* of a component: its modules, the code that holds them together and WASI 0.2 in
//! WebAssembly become one module.
//!
//! ```text
//! component ─ flat ─► instances, what each imports ─ glue ─► a module for what is not theirs
//!           instances + WASI module + glue ─ resolve, reach, write ─► one module
//! ```
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
use super::write;
use crate::input::{Component, Piece, Pieces, Source};
use bls_artifact::limits::MODULE_BYTES_MAX;
pub use error::ComponentError;
use flat::Def;
use wasmtime_environ::ScopeVec;
use world::world;

mod adapter;
mod choose;
mod closed;
mod collapse;
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
    let (wasm, pieces) = linked(component.wasm(), keep_pieces)?;
    let bytes = wasm.len() as u64;
    let world = world(component.wasm()).to_text();
    let linked = Source::of_component(wasm, component, world);
    Ok(linked.map_err(|_| LinkError::TooLong(bytes))?.with_pieces(pieces))
}

fn linked(component: &[u8], keep_pieces: bool) -> Result<(Vec<u8>, Option<Pieces>), LinkError> {
    let scope = ScopeVec::new();
    let flat = adapter::without_adapter(flat::flatten(component, &scope)?)?;
    // A module may be there many times.
    let together: u64 = flat.instances.iter().map(|one| one.wasm.len() as u64).sum();
    if together > MODULE_BYTES_MAX {
        return Err(LinkError::TooLong(together));
    }
    let names = names(&flat);
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
            begin: begin_of(component, module.wasm),
        };
        Pieces { modules: program.modules.iter().map(piece).collect(), functions }
    });
    Ok((wasm, pieces))
}

/// Where a module begins in the component that holds it; 0 where that does not.
fn begin_of(component: &[u8], module: &[u8]) -> u32 {
    let begin = module.as_ptr().addr().wrapping_sub(component.as_ptr().addr());
    if begin < component.len() { begin as u32 } else { 0 }
}

/// A name for each instance, before the names of what it has; the largest has none.
fn names(flat: &flat::Flat<'_>) -> Vec<String> {
    let largest = flat.instances.iter().enumerate().max_by_key(|(_, one)| one.wasm.len());
    let largest = largest.map(|(at, _)| at);
    let name = |at: usize| if Some(at) == largest { String::new() } else { format!("module{at}") };
    (0..flat.instances.len()).map(name).collect()
}
