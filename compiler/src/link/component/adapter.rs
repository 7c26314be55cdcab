//! A program for preview 1 that was made a component by an adapter becomes what it was.
//!
//! Tools that make components of such programs (`wasm-tools component new`) put an adapter before
//! them: a module that has preview 1 in terms of WASI 0.2. With WASI 0.2 in terms of preview 1
//! behind it, both are a long way round. The adapter is left out where that changes nothing but
//! the way. It is what runs, and calls the program as `__main_module__`; it has no other name
//! than the tools' (components are often stripped of names); it has no state but a few numbers,
//! and calls nothing but WASI 0.2 of the host and the program; nobody calls it but the program,
//! by preview 1's names; and each function that is called comes down to what it is for (`does`):
//! an adapter of somebody's own, that answers without asking the host, stays.
//!
//! What is different: an exit code is the program's own, where the adapter makes 1 of all but 0;
//! and where an adapter can do less than preview 1, or does it otherwise, preview 1 holds.

use super::super::error::LinkError;
use super::super::module::{Kind, Module};
use super::super::resolve::{Item, Program};
use super::super::types::Types;
use super::does::{DROP, does};
use super::flat::{Def, Flat, Instance, Ours, Run};
use super::{collapse, glue};
use std::collections::HashSet;
use wasmparser::{Name, Operator};

/// What the tools call an adapter, and what breaks the circle between it and the program; where
/// they give names.
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
    let Run::Component { run: Def::Core(run), .. } = &flat.run else { return Ok(None) };
    let adapter = run.module;
    let called: Vec<Option<&str>> = modules.iter().map(name_of).collect();
    let others =
        called.iter().enumerate().any(|(at, name)| at != adapter && *name == Some(ADAPTER));
    let is_one = called[adapter].is_none_or(|name| name == ADAPTER)
        && modules[adapter].imports.iter().any(|import| import.module == PROGRAM);
    if others || !is_one || !is_plain(&modules[adapter]) {
        return Ok(None);
    }
    let program = resolved(flat, modules)?;
    let is_kept: Vec<bool> = (0..called.len())
        .map(|at| {
            let may_go = called[at].is_none_or(|name| AROUND.contains(&name));
            at != adapter && !(may_go && is_around(&program, at))
        })
        .collect();
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
    if !does_it(flat, &program, *run, start, &is_kept)? {
        return Ok(None);
    }
    Ok(rewired(flat, &program, adapter, start, &is_kept))
}

/// Whether `run` of an adapter calls the program, and each function that the program calls what
/// preview 1's function of that name is for.
fn does_it(
    flat: &Flat<'_>,
    program: &Program<'_>,
    run: Item,
    start: Item,
    is_kept: &[bool],
) -> Result<bool, LinkError> {
    let adapter = &program.modules[run.module];
    if !called_by(program, run)?.contains(&start) {
        return Ok(false);
    }
    for (at, instance) in flat.instances.iter().enumerate().filter(|(at, _)| is_kept[*at]) {
        for (import, argument) in program.modules[at].imports.iter().zip(&instance.arguments) {
            let Def::Core(item) = argument else { continue };
            let item = program.follow(*item);
            if item.module != run.module || import.kind() != Kind::Function {
                continue;
            }
            let name = once(import.name);
            let Some(wanted) = does(name) else { return Ok(false) };
            if adapter.exported(name, Kind::Function) != Some(item.index) {
                return Ok(false);
            }
            let called = called_by(program, item)?;
            let is_wanted = |item: &Item| match host(flat, program, *item) {
                Some(Ours::Import(import)) => {
                    let (interface, function) = (&*import.interface, &*import.function);
                    wanted.contains(&(interface, function))
                }
                Some(Ours::Drop(..)) => wanted.contains(&DROP),
                _ => false,
            };
            if !wanted.is_empty() && !called.iter().any(is_wanted) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The name of an import: the tools write " [v2]" behind one that is there twice.
pub(super) fn once(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}

/// What a function calls of other modules, itself or by functions of its own module.
fn called_by(program: &Program<'_>, function: Item) -> Result<HashSet<Item>, LinkError> {
    let module = &program.modules[function.module];
    let imported = module.imported[Kind::Function as usize].len();
    let (mut found, mut seen, mut left) =
        (HashSet::new(), HashSet::from([function.index]), vec![function.index]);
    while let Some(index) = left.pop() {
        let Some(own) = (index as usize).checked_sub(imported) else {
            found.insert(program.follow(Item { index, ..function }));
            continue;
        };
        let Some(body) = module.bodies.get(own) else { continue };
        for operator in body.get_operators_reader()? {
            if let Operator::Call { function_index } | Operator::ReturnCall { function_index } =
                operator?
                && seen.insert(function_index)
            {
                left.push(function_index);
            }
        }
    }
    Ok(found)
}

/// Whether all that a module has is functions that only call others, or what fills a table.
fn is_around(program: &Program<'_>, at: usize) -> bool {
    let module = &program.modules[at];
    let imported = |kind| module.imported[kind as usize].len();
    let own = |kind: Kind| imported(kind) as u32..module.count(kind);
    let calls_only = |index| {
        let function = Item { module: at, kind: Kind::Function, index };
        program.follow(function) != function
    };
    module.data.is_empty()
        && module.start.is_none()
        && [Kind::Memory, Kind::Global, Kind::Tag].into_iter().all(|kind| own(kind).is_empty())
        && own(Kind::Function).all(calls_only)
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
