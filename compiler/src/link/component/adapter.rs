//! A program for preview 1 that was made a component by an adapter becomes what it was.
//!
//! Tools that make components of such programs (`wasm-tools component new`) put an adapter before
//! them: a module that has preview 1 in terms of WASI 0.2. With WASI 0.2 in terms of preview 1
//! behind it, both are a long way round. The adapter is left out where that changes nothing but
//! the way: it is the one of that name, has no state but a few numbers, calls nothing but WASI
//! 0.2 of the host and the program, and nobody calls it but the program, by preview 1's names.
//!
//! What is different: an exit code is the program's own, where the adapter makes 1 of all but 0.

use super::super::error::LinkError;
use super::super::module::{Kind, Module};
use super::super::resolve::{Item, Program};
use super::super::types::Types;
use super::flat::{Def, Flat, Instance, Ours, Run};
use super::{collapse, glue};
use wasmparser::Name;

/// What the tools call an adapter, and what breaks the circle between it and the program.
const ADAPTER: &str = "wit-component:adapter:wasi_snapshot_preview1";
const AROUND: [&str; 2] = ["wit-component:shim", "wit-component:fixups"];
/// What an adapter imports the program by.
const PROGRAM: &str = "__main_module__";

/// The program without its adapter; as it is, where there is none that can be left out.
pub(super) fn without_adapter<'a>(flat: Flat<'a>) -> Result<Flat<'a>, LinkError> {
    match replaced(&flat)? {
        Some(replaced) => Ok(replaced),
        None => Ok(flat),
    }
}

fn replaced<'a>(flat: &Flat<'a>) -> Result<Option<Flat<'a>>, LinkError> {
    let mut modules = Vec::with_capacity(flat.instances.len());
    for instance in &flat.instances {
        modules.push(Module::read("", instance.wasm)?);
    }
    let called: Vec<Option<&str>> = modules.iter().map(name_of).collect();
    let adapters = called.iter().filter(|name| **name == Some(ADAPTER)).count();
    let Some(adapter) = called.iter().position(|name| *name == Some(ADAPTER)) else {
        return Ok(None);
    };
    let Run::Component { run: Def::Core(run), .. } = &flat.run else { return Ok(None) };
    if adapters > 1 || run.module != adapter || !is_plain(&modules[adapter]) {
        return Ok(None);
    }
    let is_kept: Vec<bool> = called
        .iter()
        .map(|name| !name.is_some_and(|name| name == ADAPTER || AROUND.contains(&name)))
        .collect();
    let program = resolved(flat, modules)?;
    // What the adapter calls as the program.
    let imports = program.modules[adapter].imports.iter().zip(&flat.instances[adapter].arguments);
    let mut start = None;
    for (import, argument) in imports {
        match argument {
            Def::Ours(ours) if is_wasi(ours) => {}
            Def::Core(item) if import.module == PROGRAM && import.name == "_start" => {
                start = Some(program.follow(*item));
            }
            Def::Core(item) if is_kept[program.follow(*item).module] => {}
            Def::Core(item) => match host(flat, &program, program.follow(*item)) {
                Some(ours) if is_wasi(ours) => {}
                _ => return Ok(None),
            },
            _ => return Ok(None),
        }
    }
    let Some(start) = start.filter(|start| is_kept[start.module]) else { return Ok(None) };
    Ok(rewired(flat, &program, adapter, start, &is_kept))
}

/// The kept instances, with preview 1 of the host; nothing, where they need more than that.
fn rewired<'a>(
    flat: &Flat<'a>,
    program: &Program<'_>,
    adapter: usize,
    start: Item,
    is_kept: &[bool],
) -> Option<Flat<'a>> {
    let mut numbers = Vec::new();
    let mut next = 0;
    for kept in is_kept {
        numbers.push(next);
        next += usize::from(*kept);
    }
    let moved = |item: Item| {
        let item = program.follow(item);
        is_kept[item.module].then(|| Item { module: numbers[item.module], ..item })
    };
    let (mut instances, mut memory) = (Vec::new(), None);
    for (at, instance) in flat.instances.iter().enumerate() {
        let module = &program.modules[at];
        if !is_kept[at] {
            // What is left out changes nothing of what stays.
            let mut others = module.imports.iter().zip(&instance.arguments);
            let reaches = others.any(|(import, argument)| {
                let is_state = match import.kind() {
                    Kind::Table | Kind::Global => true,
                    // An adapter has its stack in the program's.
                    Kind::Memory => at != adapter,
                    Kind::Function | Kind::Tag => false,
                };
                let Def::Core(item) = argument else { return false };
                is_state && is_kept[program.follow(*item).module]
            });
            if reaches || (at != adapter && module.start.is_some()) {
                return None;
            }
            continue;
        }
        let mut arguments = Vec::new();
        for (import, argument) in module.imports.iter().zip(&instance.arguments) {
            let Def::Core(item) = argument else { return None };
            let found = program.follow(*item);
            if found.module != adapter {
                arguments.push(Def::Core(moved(*item)?));
                continue;
            }
            if import.module != glue::HOST || import.kind() != Kind::Function {
                return None;
            }
            // All preview 1 works on one memory.
            let own = program.follow(Item { module: at, kind: Kind::Memory, index: 0 });
            if module.memories.is_empty() || memory.is_some_and(|one| one != own) {
                return None;
            }
            memory = Some(own);
            arguments.push(Def::Host);
        }
        instances.push(Instance { wasm: instance.wasm, arguments });
    }
    let run = Run::Program { start: moved(start)?, memory: memory.and_then(moved) };
    Some(Flat { instances, run, handles: Vec::new() })
}

/// The instances with their imports resolved, and what only forwards left out.
fn resolved<'a>(flat: &Flat<'_>, modules: Vec<Module<'a>>) -> Result<Program<'a>, LinkError> {
    let mut types = Types::default();
    let mut numbers = Vec::with_capacity(modules.len());
    for module in &modules {
        numbers.push(types.add_module(&module.groups)?);
    }
    let origin = |def: &Def| match def {
        Def::Core(item) => Some(*item),
        _ => None,
    };
    let origins = flat.instances.iter().map(|one| one.arguments.iter().map(origin).collect());
    let mut program = Program::wired(modules, types, numbers, origins.collect())?;
    collapse::collapse(&mut program)?;
    Ok(program)
}

/// What an import is that nobody else defines.
fn host<'f>(flat: &'f Flat<'_>, program: &Program<'_>, item: Item) -> Option<&'f Ours> {
    let module = &program.modules[item.module];
    let nth = *module.imported[item.kind as usize].get(item.index as usize)?;
    match flat.instances[item.module].arguments.get(nth)? {
        Def::Ours(ours) => Some(ours),
        _ => None,
    }
}

/// Whether it is WASI 0.2 of the host.
fn is_wasi(ours: &Ours) -> bool {
    match ours {
        Ours::Import(import) => import.interface.starts_with("wasi:"),
        Ours::Drop(_, _, destructor) => destructor.is_none(),
        _ => false,
    }
}

/// Whether a module has nothing but functions and numbers of its own.
fn is_plain(module: &Module<'_>) -> bool {
    let own_memories = module.memories.len() - module.imported[Kind::Memory as usize].len();
    module.own_tables.is_empty()
        && module.elements.is_empty()
        && module.data.is_empty()
        && own_memories == 0
}

/// What a module calls itself.
fn name_of<'a>(module: &Module<'a>) -> Option<&'a str> {
    for subsection in module.names.clone()? {
        if let Name::Module { name, .. } = subsection.ok()? {
            return Some(name);
        }
    }
    None
}
