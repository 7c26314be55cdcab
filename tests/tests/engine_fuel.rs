//! An oracle that nobody here wrote: the engine's own fuel, with our table.
//!
//! wasmtime can count operators by a table of costs. Given ours, what it counts for a
//! program must be what the meter's counter says. The engine also counts one for each
//! function that is entered, which a run with a table of zeros counts alone; and it
//! prices lengths, throws and what is named by other rules, so those are counted by runs of their own and held
//! against ours: pages and elements exactly, bytes within what rounding down by
//! operator may lose. What a function pays for its locals is no price of the engine's at
//! all: there each body begins with as many constants more.
//! Programs run by rule (`--deterministic`), so that every run sees the same host.
//!
//! Does not look at traps, where the engine's fuel is inexact.

use bls_artifact::fuel::{BUDGET_MAX, COUNTER_EXPORT, START_EXPORT};
use bls_artifact::target::{EngineProfile, Nans, Target};
use bls_compiler::input::Source;
use bls_compiler::ready::ready;
use bls_compiler::validate::validate;
use bls_compiler::{cost, meter};
use bls_loader::host::State;
use bls_loader::host::{self, Determinism, Exit, Grants, Host, Preopen};
use bls_tests::programs::shared;
use bls_tests::runs::{self, Run};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use wasmparser::{Operator, StorageType, ValType};
use wasmtime::{
    Engine, ExternType, Linker, Module, OperatorCost, Store, Val, VariableOperatorCost,
};

/// Enough for every program here.
const PLENTY: u64 = 1 << 60;

/// Our table in the engine's form; `more` is added to some operators.
fn table(scale: u8, more: &[&str]) -> OperatorCost {
    let text = cost::canonical_text();
    let weights: HashMap<&str, u64> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, weight)| Some((name, weight.parse().ok()?)))
        .collect();
    // A price of the engine's is a byte: exceptions are priced by a run of their own.
    let weight = |name: &str| {
        let weight = weights.get(name).filter(|weight| **weight <= 200).copied().unwrap_or(0);
        weight as u8 * scale + u8::from(more.contains(&name))
    };
    let mut table = OperatorCost::new();
    macro_rules! fill {
        ($(@$proposal:ident $operator:ident $({ $($field:ident: $type:ty),* })? => $visit:ident ($($arity:tt)*))*) => {
            $(table.$operator = weight(stringify!($operator));)*
        };
    }
    wasmparser::for_each_operator!(fill);
    let lengths = &mut table.variable;
    lengths.memory_copy_per_byte = 0;
    lengths.memory_fill_per_byte = 0;
    lengths.memory_init_per_byte = 0;
    lengths.memory_grow_per_page = 0;
    for price in per_element(lengths) {
        *price = 0;
    }
    for price in per_slot(lengths) {
        *price = 0;
    }
    for price in per_item(lengths) {
        *price = 0;
    }
    table
}

/// The engine's prices for elements that cost one unit here.
fn per_element(lengths: &mut VariableOperatorCost) -> [&mut u8; 8] {
    [
        &mut lengths.table_copy_per_element,
        &mut lengths.table_fill_per_element,
        &mut lengths.array_copy_per_element,
        &mut lengths.array_fill_per_element,
        &mut lengths.array_new_data_per_element,
        &mut lengths.array_init_data_per_element,
        &mut lengths.array_new_default_per_element,
        &mut lengths.array_new_per_element,
    ]
}

/// Those that are a table's new slots.
fn per_slot(lengths: &mut VariableOperatorCost) -> [&mut u8; 2] {
    [&mut lengths.table_init_per_element, &mut lengths.table_grow_per_element]
}

/// Those that are items of a segment, for an array.
fn per_item(lengths: &mut VariableOperatorCost) -> [&mut u8; 2] {
    [&mut lengths.array_new_elem_per_element, &mut lengths.array_init_elem_per_element]
}

/// A table that counts nothing but lengths of one kind.
fn lengths<const N: usize>(of: fn(&mut VariableOperatorCost) -> [&mut u8; N]) -> OperatorCost {
    let mut table = table(0, &[]);
    for price in of(&mut table.variable) {
        *price = 1;
    }
    table
}

/// An engine like ours that counts with `table`, or not at all.
fn engine(table: Option<OperatorCost>) -> Engine {
    let target = Target::host().expect("a native target");
    let mut config = EngineProfile::of(target, Nans::Canonical).config();
    config.cranelift_nan_canonicalization(true).max_wasm_stack(8 << 20).async_stack_size(8 << 20);
    if let Some(table) = table {
        config.consume_fuel(true).operator_cost(table);
    }
    Engine::new(&config).expect("an engine")
}

/// What a program gets: the same for each of its runs.
fn grants(recorded: &Run, folder: &std::path::Path) -> Grants {
    let preopen = |mount: &String| {
        let dir = cap_std::fs::Dir::open_ambient_dir(folder, cap_std::ambient_authority())
            .expect("a folder");
        Preopen::new(dir, mount.clone(), false).expect("an open folder")
    };
    let args = std::iter::once(&recorded.name).chain(&recorded.args);
    let env = recorded.env.iter();
    Grants {
        args: args.map(|word| word.as_bytes().to_vec()).collect(),
        env: env.map(|(name, value)| (name.clone().into(), value.clone().into())).collect(),
        preopens: recorded.mount.iter().map(preopen).collect(),
        determinism: Some(Determinism { seed: 0, epoch_seconds: 1_600_000_000 }),
        ..Grants::default()
    }
}

/// Runs a module to its end; its exit code, and what was consumed: by the meter's
/// counter where there is one, by the engine's otherwise. `None` when it trapped.
fn consumed(engine: &Engine, wasm: &[u8], recorded: &Run) -> Option<(u32, u64)> {
    let folder = tempfile::tempdir().expect("a fresh folder");
    recorded.lay_out(folder.path());
    let mut input = tempfile::tempfile().expect("a file");
    input.write_all(&recorded.stdin).and_then(|()| input.rewind()).expect("an input");
    rustix::stdio::dup2_stdin(input).expect("standard input");

    let module = Module::new(engine, wasm).expect("a valid module");
    let state = State::new(Host::new(grants(recorded, folder.path())), PLENTY);
    let mut store = Store::new(engine, state);
    // Where the engine does not count this is refused, and means nothing.
    let _ = store.set_fuel(PLENTY);
    let mut linker = Linker::new(engine);
    linker.allow_shadowing(true);
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        if !host::define(&mut linker, from, name).expect("memory") {
            let ExternType::Func(ty) = import.ty() else { panic!("{import:?}") };
            linker
                .func_new(from, name, ty, |_, _, _| wasmtime::bail!("no such function"))
                .expect("a function");
        }
    }
    let instance = linker.instantiate(&mut store, &module).expect("an instance");
    let memory = instance.get_memory(&mut store, "memory");
    store.data_mut().set_memory(memory);
    let counter = instance.get_global(&mut store, COUNTER_EXPORT);
    if let Some(counter) = counter {
        counter.set(&mut store, Val::I64(BUDGET_MAX as i64)).expect("a mutable i64");
    }
    let mut code = 0;
    for name in [START_EXPORT, "_start"] {
        let Some(function) = instance.get_func(&mut store, name) else { continue };
        if let Err(error) = function.call(&mut store, &[], &mut []) {
            let Exit(given) = error.downcast_ref::<Exit>()?;
            code = *given;
        }
    }
    let units = match counter {
        Some(counter) => BUDGET_MAX - counter.get(&mut store).i64().expect("an i64") as u64,
        None => PLENTY - store.get_fuel().expect("fuel"),
    };
    Some((code, units))
}

/// Units that we do not charge and the engine does, each with its reason.
const CLAMPED: [(&str, u64); 1] = [
    // It asks for a page that the declared maximum rules out: there is no room to pay for.
    ("multi-memory", 16_384),
];

/// The engine's counts of one module.
struct Engines {
    plain: Engine,
    priced: Engine,
    entries: Engine,
    pages: Engine,
    elements: Engine,
    slots: Engine,
    items: Engine,
    calls: Engine,
    bytes: Engine,
    bulk: Engine,
    throws: Engine,
    /// One for each of [`NAMING`].
    naming: Vec<Engine>,
}

const BULK: [&str; 3] = ["MemoryCopy", "MemoryFill", "MemoryInit"];
const THROWS: [&str; 2] = ["Throw", "ThrowRef"];
/// What a throw weighs: more than the engine's table holds.
const THROW: u64 = 1000;
/// Calls that make a frame, and what each pays for it in a module with a tag.
const CALLS: [&str; 3] = ["Call", "CallIndirect", "CallRef"];
const FRAME: u64 = 16;
/// Operators that pay for each thing they name, which the engine's table cannot say.
const NAMING: [&[&str]; 5] = [
    &["StructNew", "StructNewDefault"],
    &["ArrayNewFixed"],
    &["TryTable"],
    &["StructGet", "StructSet"],
    &["ArrayGet", "ArraySet"],
];

/// Whether an exception can pass the module's frames.
fn has_tags(wasm: &[u8]) -> bool {
    wasmparser::Parser::new(0)
        .parse_all(wasm)
        .any(|payload| matches!(payload, Ok(wasmparser::Payload::TagSection(_))))
}

/// The module with one constant more, and dropped, for each unit that is paid for what the
/// engine's table cannot price: for eight locals, at the beginning of a body, and for each
/// value beyond eight that a call, a branch or a block hands over, before it.
fn padded(wasm: &[u8]) -> Vec<u8> {
    /// `i32.const 0`, `drop`
    const UNIT: [u8; 3] = [0x41, 0x00, 0x1a];
    let mut module = wasm_encoder::Module::new();
    let mut code = wasm_encoder::CodeSection::new();
    let mut left = 0;
    let mut values = Values::default();
    let mut function = 0;
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let payload = payload.expect("a valid module");
        match &payload {
            wasmparser::Payload::TypeSection(section) => {
                for ty in section.clone().into_iter().flat_map(|group| group.unwrap().into_types())
                {
                    values.types.push(match ty.composite_type.inner {
                        wasmparser::CompositeInnerType::Func(ty) => {
                            (ty.params().len(), ty.results().len())
                        }
                        _ => (0, 0),
                    });
                }
            }
            wasmparser::Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    if let wasmparser::TypeRef::Func(ty) = import.expect("an import").ty {
                        values.functions.push(ty);
                        function += 1;
                    }
                }
            }
            wasmparser::Payload::FunctionSection(section) => {
                values.functions.extend(section.clone().into_iter().map(Result::unwrap));
            }
            _ => {}
        }
        match payload {
            wasmparser::Payload::CodeSectionStart { count, .. } => left = count,
            wasmparser::Payload::CodeSectionEntry(body) => {
                let locals = body.get_locals_reader().expect("locals").into_iter();
                let locals: u32 = locals.map(|group| group.expect("a group").0).sum();
                let mut operators = body.get_operators_reader().expect("operators");
                let mut begin = operators.original_position();
                let mut text = wasm[body.range().start..begin].to_vec();
                let mut is_first = true;
                values.labels = vec![values.of(values.functions[function]).1];
                while !operators.eof() {
                    let operator = operators.read().expect("an operator");
                    if is_first && !operators.eof() {
                        text.extend(UNIT.repeat(locals as usize / 8));
                    }
                    is_first = false;
                    text.extend(UNIT.repeat(values.handed_over(&operator).saturating_sub(8)));
                    text.extend(&wasm[begin..operators.original_position()]);
                    begin = operators.original_position();
                }
                code.raw(&text);
                function += 1;
                left -= 1;
                if left == 0 {
                    module.section(&code);
                }
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    module.section(&wasm_encoder::RawSection { id, data: &wasm[range] });
                }
            }
        }
    }
    module.finish()
}

/// How many values calls, branches and blocks hand over.
#[derive(Default)]
struct Values {
    /// Parameters and results, by type.
    types: Vec<(usize, usize)>,
    /// Types, by function.
    functions: Vec<u32>,
    /// What each open label takes.
    labels: Vec<usize>,
}

impl Values {
    fn of(&self, ty: u32) -> (usize, usize) {
        self.types[ty as usize]
    }

    fn handed_over(&mut self, operator: &Operator<'_>) -> usize {
        let (parameters, results) = match operator {
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                self.of(self.functions[*function_index as usize])
            }
            Operator::CallIndirect { type_index, .. }
            | Operator::ReturnCallIndirect { type_index, .. }
            | Operator::CallRef { type_index }
            | Operator::ReturnCallRef { type_index } => self.of(*type_index),
            Operator::Block { blockty: ty }
            | Operator::If { blockty: ty }
            | Operator::Loop { blockty: ty }
            | Operator::TryTable { try_table: wasmparser::TryTable { ty, .. } } => {
                let (parameters, results) = match ty {
                    wasmparser::BlockType::FuncType(ty) => self.of(*ty),
                    wasmparser::BlockType::Type(_) => (0, 1),
                    wasmparser::BlockType::Empty => (0, 0),
                };
                let is_loop = matches!(operator, Operator::Loop { .. });
                self.labels.push(if is_loop { parameters } else { results });
                (parameters, results)
            }
            Operator::Br { relative_depth: depth }
            | Operator::BrIf { relative_depth: depth }
            | Operator::BrOnNull { relative_depth: depth }
            | Operator::BrOnNonNull { relative_depth: depth }
            | Operator::BrOnCast { relative_depth: depth, .. }
            | Operator::BrOnCastFail { relative_depth: depth, .. } => {
                (self.labels[self.labels.len() - 1 - *depth as usize], 0)
            }
            Operator::BrTable { targets } => {
                (self.labels[self.labels.len() - 1 - targets.default() as usize], 0)
            }
            Operator::End => {
                self.labels.pop();
                (0, 0)
            }
            _ => (0, 0),
        };
        parameters + results
    }
}

/// The fewest and the most things that an operator of each kind of [`NAMING`] names.
fn named(wasm: &[u8]) -> [(u64, u64); 5] {
    let mut fields: Vec<Vec<wasmparser::FieldType>> = Vec::new();
    let mut is_function = Vec::new();
    let mut found = [(u64::MAX, 0); 5];
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload.expect("a valid module") {
            wasmparser::Payload::TypeSection(section) => {
                for ty in section.into_iter().flat_map(|group| group.unwrap().into_types()) {
                    fields.push(match ty.composite_type.inner {
                        wasmparser::CompositeInnerType::Struct(ty) => ty.fields.to_vec(),
                        wasmparser::CompositeInnerType::Array(ty) => vec![ty.0],
                        wasmparser::CompositeInnerType::Func(_) => {
                            is_function.push(fields.len());
                            Vec::new()
                        }
                        wasmparser::CompositeInnerType::Cont(_) => Vec::new(),
                    });
                }
            }
            wasmparser::Payload::CodeSectionEntry(body) => {
                // What a field pays for holding a function.
                let functions = |ty: u32, field: u32| -> usize {
                    let field = fields[ty as usize][field as usize];
                    let StorageType::Val(ValType::Ref(reference)) = field.element_type else {
                        return 0;
                    };
                    let index = reference.type_index().and_then(|index| index.as_module_index());
                    let is_one = index.is_some_and(|index| is_function.contains(&(index as usize)));
                    16 * usize::from(is_one || reference.is_func_ref())
                };
                for operator in body.get_operators_reader().expect("a body") {
                    let (kind, count) = match operator.expect("an operator") {
                        Operator::StructNew { struct_type_index: ty }
                        | Operator::StructNewDefault { struct_type_index: ty } => {
                            let fields = fields[ty as usize].len();
                            (
                                0,
                                fields
                                    + (0..fields).map(|at| functions(ty, at as u32)).sum::<usize>(),
                            )
                        }
                        Operator::ArrayNewFixed { array_type_index: ty, array_size: size } => {
                            (1, (1 + functions(ty, 0)) * size as usize)
                        }
                        Operator::TryTable { try_table } => (2, 4 * try_table.catches.len()),
                        Operator::StructGet { struct_type_index: ty, field_index: field }
                        | Operator::StructSet { struct_type_index: ty, field_index: field } => {
                            (3, functions(ty, field))
                        }
                        Operator::ArrayGet { array_type_index: ty }
                        | Operator::ArraySet { array_type_index: ty } => (4, functions(ty, 0)),
                        _ => continue,
                    };
                    let (least, most) = &mut found[kind];
                    *least = (*least).min(count as u64);
                    *most = (*most).max(count as u64);
                }
            }
            _ => {}
        }
    }
    found.map(|(least, most)| if most == 0 { (0, 0) } else { (least, most) })
}

impl Engines {
    fn new() -> Self {
        let mut pages = table(0, &[]);
        pages.variable.memory_grow_per_page = 1;
        let mut bytes = table(0, &[]);
        bytes.variable.memory_copy_per_byte = 1;
        bytes.variable.memory_fill_per_byte = 1;
        bytes.variable.memory_init_per_byte = 1;
        Self {
            plain: engine(None),
            priced: engine(Some(table(1, &[]))),
            entries: engine(Some(table(0, &[]))),
            pages: engine(Some(pages)),
            elements: engine(Some(lengths(per_element))),
            slots: engine(Some(lengths(per_slot))),
            items: engine(Some(lengths(per_item))),
            calls: engine(Some(table(0, &CALLS))),
            bytes: engine(Some(bytes)),
            bulk: engine(Some(table(0, &BULK))),
            throws: engine(Some(table(0, &THROWS))),
            naming: NAMING.iter().map(|kind| engine(Some(table(0, kind)))).collect(),
        }
    }

    /// Compares; what was seen in words, or nothing where a program traps.
    fn compare(&self, recorded: &Run) -> Option<String> {
        let source = Source::read(&recorded.file).expect("a module");
        let profile = EngineProfile::of(Target::host()?, Nans::Canonical);
        let module = validate(source, &profile).expect("a valid module");
        let metered = meter::meter(&module).expect("a metered module");
        // The same without a meter: what began by itself is an export there too.
        let ready = ready(&module, false).expect("a module to compile");
        let padded = padded(ready.wasm());
        let wasm = &padded[..];
        let (code, ours) = consumed(&self.plain, &metered.wasm, recorded)?;
        let count = |engine| {
            let (other, units) = consumed(engine, wasm, recorded).expect("it ended before");
            assert_eq!(code, other, "{}: another exit code", recorded.name);
            units
        };
        let entries = count(&self.entries);
        let theirs = count(&self.priced) - entries;
        if ours == theirs {
            return Some(format!("{:<22} {ours:>13} units, equal", recorded.name));
        }
        let pages = count(&self.pages) - entries;
        let elements = count(&self.elements) - entries;
        let slots = count(&self.slots) - entries;
        let items = count(&self.items) - entries;
        let frames = if has_tags(wasm) { count(&self.calls) - entries } else { 0 };
        let bytes = count(&self.bytes) - entries;
        let bulk = count(&self.bulk) - entries;
        let clamped = CLAMPED.iter().find(|(name, _)| *name == recorded.name);
        let clamped = clamped.map_or(0, |(_, units)| *units);
        let throws = count(&self.throws) - entries;
        let exact = theirs
            + 16_384 * pages
            + elements
            + 4 * slots
            + 16 * items
            + THROW * throws
            + FRAME * frames;
        let lengths = (ours + clamped).checked_sub(exact);
        let (mut least, mut most) = ((bytes.saturating_sub(7 * bulk)).div_ceil(8), bytes / 8);
        for (engine, (fewest, greatest)) in self.naming.iter().zip(named(wasm)) {
            if greatest > 0 {
                let times = count(engine) - entries;
                least += times * fewest;
                most += times * greatest;
            }
        }
        assert!(
            lengths.is_some_and(|lengths| (least..=most).contains(&lengths)),
            "{}: ours {ours}, the engine's {theirs}, {pages} pages, {elements} elements, {slots} slots, {items} \
             items, {throws} throws, {frames} frames; {bytes} bytes in {bulk} operators, and what is named, explain {least} to \
             {most}, not {lengths:?}",
            recorded.name
        );
        Some(format!(
            "{:<22} {ours:>13} units, {theirs}, {pages} pages, {elements} elements, {throws} throws, \
             {bytes} bytes in {bulk} operators, what is named",
            recorded.name
        ))
    }
}

/// The benchmark programs, as runs.
fn benchmarks(shared: &std::path::Path) -> Vec<Run> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(shared.join("bench")).expect("benchmarks").flatten() {
        let folder = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let file = folder.join(format!("{name}.wasm"));
        if !file.exists() {
            continue;
        }
        let inputs = std::fs::read_dir(&folder).expect("a folder").flatten();
        let files = inputs
            .filter(|input| input.path() != file)
            .map(|input| {
                let name = input.file_name().to_string_lossy().into_owned();
                (name, std::fs::read(input.path()).expect("an input"))
            })
            .collect();
        found.push(Run {
            name,
            file,
            args: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            mount: Some(".".into()),
            files,
            exit_code: 0,
            stdout: None,
            skip_lines: 0,
            memory_min: None,
            writes: None,
            repeat: 1,
            exit_code_full: None,
        });
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

#[test]
fn the_engines_own_fuel_is_ours() {
    // Too long for what it adds, gigabytes of memory, and 2³² pages that are asked for
    // and not there: we charge for the room there is, the engine for what was asked.
    const LEFT_OUT: [&str; 4] =
        ["python-cpython312", "memory-grow-forever", "memory-huge-initial", "memory64"];
    let mut programs = runs::fixtures();
    if let Some(shared) = shared() {
        programs.extend(runs::guests(&shared).0);
        programs.extend(benchmarks(&shared));
    } else {
        println!("BLS_SHARED is not set: no more programs than the fixtures");
    }
    // Billions of units each; `BLS_LONG=1` has them too.
    const LONG: [&str; 5] = [
        "shootout-base64",
        "shootout-fib2",
        "shootout-heapsort",
        "shootout-matrix",
        "shootout-sieve",
    ];
    let long = std::env::var_os("BLS_LONG").is_some();
    programs.retain(|run| !LEFT_OUT.contains(&run.name.as_str()));
    programs.retain(|run| long || !LONG.contains(&run.name.as_str()));
    // The guests write to this process's own output.
    let output = rustix::io::dup(rustix::stdio::stdout()).expect("standard output");
    let errors = rustix::io::dup(rustix::stdio::stderr()).expect("standard error");
    let sink = File::create("/dev/null").expect("a sink");
    rustix::stdio::dup2_stdout(&sink)
        .and_then(|()| rustix::stdio::dup2_stderr(&sink))
        .expect("a sink");
    let engines = Engines::new();
    // What goes wrong must be seen, so the sinks go first.
    let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| -> Vec<String> {
        programs
            .iter()
            // Whether it has an outcome of its own to compare.
            .filter(|run| run.exit_code != 134)
            .filter_map(|run| engines.compare(run))
            .collect()
    }));
    rustix::stdio::dup2_stdout(output).expect("standard output");
    rustix::stdio::dup2_stderr(errors).expect("standard error");
    let lines = match compared {
        Ok(lines) => lines,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    println!("{}", lines.join("\n"));
    let equal = lines.iter().filter(|line| line.ends_with("equal")).count();
    println!("{} programs, {equal} of them without any length", lines.len());
    assert!(lines.len() >= 25 && equal >= 10, "only {} programs, {equal} equal", lines.len());
}
