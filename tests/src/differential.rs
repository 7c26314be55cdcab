//! Runs a module with some meter and writes down all that can be seen: results,
//! traps, and the fuel at every host call.
//!
//! Imports are made up from their types, so any module runs: functions answer
//! with numbers that depend only on how often they were called, and take a price off the
//! counter that depends on the same. Guarantees: the same module and budget give the same
//! [`Observation`], whatever the meter, if the meter is right.

use bls_artifact::digest::Sha256;
use bls_artifact::fuel::{COUNTER_EXPORT, OUT_OF_FUEL, START_EXPORT};
use bls_artifact::target::{Bounds, EngineProfile, Nans, Target};
use std::num::NonZeroUsize;
use wasmtime::{
    AsContextMut as _, Engine, Extern, ExternType, Func, Global, Instance, Memory, Module,
    Mutability, Ref, Store, StoreLimits, StoreLimitsBuilder, Table, Trap, Val, ValType,
};

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It returned; the results as text.
    Returned(String),
    /// The guest trapped; how.
    Trapped(String),
    /// It threw an exception.
    Threw,
    /// It ran out of fuel.
    OutOfFuel,
    /// The native stack was full: where depends on the size of frames, so two
    /// meters need not agree.
    StackOverflow,
}

/// One call of an export, and what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The export.
    pub export: String,
    /// How it ended.
    pub end: End,
    /// The host calls with the bits that they were given, and the units consumed at each: the
    /// counter as the host sees it.
    pub trace: Vec<(String, i64)>,
    /// Units consumed in all, as the counter has it.
    pub consumed: i64,
    /// It returned with less than nothing left, and the host ended the run (FUEL.md, "The
    /// counter"): a host function was what returned.
    pub ended_by_host: bool,
    /// The counter is exact: it returned, threw, or trapped where the counter was stored.
    pub is_exact: bool,
}

/// What the host writes down.
struct Notes {
    trace: Vec<(String, i64)>,
    counter: Option<Global>,
    budget: i64,
    calls: u64,
    limits: StoreLimits,
}

/// An engine with the settings of the native target.
///
/// # Panics
/// When there is no native target here.
#[must_use]
pub fn engine() -> Engine {
    engine_with(Bounds::Guard)
}

/// The same with these bounds.
///
/// # Panics
/// When there is no native target here.
#[must_use]
pub fn engine_with(bounds: Bounds) -> Engine {
    engine_of(bounds, Nans::Canonical)
}

/// The same with the engine's own rule about NaNs, or none.
///
/// # Panics
/// When there is no native target here.
#[must_use]
pub fn engine_of(bounds: Bounds, nans: Nans) -> Engine {
    let target = Target::host().expect("a native target");
    let mut config = EngineProfile::of(target, nans).with_bounds(bounds).config();
    config.cranelift_nan_canonicalization(nans == Nans::Canonical);
    config.wasm_backtrace_max_frames(NonZeroUsize::new(1));
    Engine::new(&config).expect("an engine")
}

/// Instantiates a metered module and calls all its exported functions, each
/// with `budget`. `None` when it cannot be instantiated: then there is nothing
/// to compare.
#[must_use]
pub fn observe(engine: &Engine, wasm: &[u8], budget: i64) -> Option<Vec<Observation>> {
    observe_compiled(&Module::new(engine, wasm).ok()?, budget)
}

/// The same for a module that is compiled already.
#[must_use]
pub fn observe_compiled(module: &Module, budget: i64) -> Option<Vec<Observation>> {
    observe_all(module, budget).map(|(seen, _)| seen)
}

/// The same, and what is left behind: the bits of all exported globals, and a hash of each
/// exported memory.
#[must_use]
pub fn observe_all(module: &Module, budget: i64) -> Option<(Vec<Observation>, Vec<String>)> {
    let notes = Notes {
        trace: Vec::new(),
        counter: None,
        budget,
        calls: 0,
        limits: StoreLimitsBuilder::new()
            .memory_size(64 << 20)
            .table_elements(1 << 20)
            .memories(100)
            .tables(100)
            .instances(10)
            .build(),
    };
    let mut store = Store::new(module.engine(), notes);
    store.limiter(|notes| &mut notes.limits);
    let mut imports = Vec::new();
    for import in module.imports() {
        imports.push(provide(&mut store, import.name(), &import.ty())?);
    }
    let instance = Instance::new(&mut store, module, &imports).ok()?;
    let counter = instance.get_global(&mut store, COUNTER_EXPORT)?;
    store.data_mut().counter = Some(counter);

    let mut names: Vec<String> = instance
        .exports(&mut store)
        .filter(|export| matches!(export.clone().into_extern(), Extern::Func(_)))
        .map(|export| export.name().to_owned())
        .collect();
    // The start function comes first, as in a real run.
    names.sort_by_key(|name| name != START_EXPORT);
    let mut seen = Vec::new();
    for name in names {
        let function = instance.get_func(&mut store, &name)?;
        seen.push(call(&mut store, counter, function, name, budget));
    }
    Some((seen, left(&mut store, instance)))
}

/// What can be read of an instance.
fn left(store: &mut Store<Notes>, instance: Instance) -> Vec<String> {
    let exports: Vec<(String, Extern)> = instance
        .exports(&mut *store)
        .map(|export| (export.name().to_owned(), export.into_extern()))
        .collect();
    let mut left = Vec::new();
    for (name, export) in exports {
        match export {
            Extern::Global(global) => {
                left.push(format!("{name} {}", show(&global.get(&mut *store))));
            }
            Extern::Memory(memory) => {
                left.push(format!("{name} {:?}", Sha256::of(memory.data(&*store))));
            }
            _ => {}
        }
    }
    left
}

fn call(
    store: &mut Store<Notes>,
    counter: Global,
    function: Func,
    export: String,
    budget: i64,
) -> Observation {
    let ty = function.ty(&mut *store);
    let arguments: Vec<Val> = ty.params().map(|ty| argument(&ty)).collect();
    let mut results = vec![Val::I32(0); ty.results().len()];
    counter.set(&mut *store, Val::I64(budget)).expect("a mutable i64");
    store.data_mut().trace.clear();
    let outcome = if arguments.iter().zip(ty.params()).all(|(value, ty)| fits(value, &ty)) {
        function.call(&mut *store, &arguments, &mut results)
    } else {
        Ok(())
    };
    let left = counter.get(&mut *store).unwrap_i64();
    let trap = outcome.as_ref().err().and_then(|error| error.downcast_ref::<Trap>()).copied();
    let ended_by_host = outcome.is_ok() && left < 0;
    let end = match outcome {
        Ok(()) if ended_by_host => End::OutOfFuel,
        Ok(()) => End::Returned(format!("{:?}", results.iter().map(show).collect::<Vec<_>>())),
        Err(_) if left == OUT_OF_FUEL => End::OutOfFuel,
        Err(error) if error.is::<wasmtime::ThrownException>() => {
            let _ = store.as_context_mut().take_pending_exception();
            End::Threw
        }
        Err(error) => match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => End::StackOverflow,
            Some(trap) => End::Trapped(trap.to_string()),
            None => End::Trapped("host".to_owned()),
        },
    };
    let trace = std::mem::take(&mut store.data_mut().trace);
    let is_exact = matches!(end, End::Returned(_) | End::Threw) || trap.is_some_and(is_exact_at);
    let consumed = budget.wrapping_sub(left);
    Observation { export, end, trace, consumed, ended_by_host, is_exact }
}

/// Traps that come where the counter was stored (FUEL.md, I5).
fn is_exact_at(trap: Trap) -> bool {
    matches!(
        trap,
        Trap::UnreachableCodeReached
            | Trap::IntegerDivisionByZero
            | Trap::IntegerOverflow
            | Trap::BadConversionToInteger
            | Trap::IndirectCallToNull
            | Trap::BadSignature
    )
}

/// An argument for a parameter: small numbers, null references.
fn argument(ty: &ValType) -> Val {
    match ty {
        ValType::I32 => Val::I32(9),
        ValType::I64 => Val::I64(11),
        ValType::F32 => Val::F32(2.5_f32.to_bits()),
        ValType::F64 => Val::F64(3.25_f64.to_bits()),
        ValType::V128 => Val::V128(7.into()),
        ValType::Ref(ty) => Val::null_ref(ty.heap_type()),
    }
}

/// Whether a value is one of a type: there is no null for some references.
fn fits(value: &Val, ty: &ValType) -> bool {
    match (value, ty) {
        (_, ValType::Ref(ty)) => ty.is_nullable(),
        (value, _) => !matches!(value, Val::AnyRef(Some(_))),
    }
}

/// A value as text; references by whether they are null.
fn show(value: &Val) -> String {
    match value {
        Val::I32(value) => value.to_string(),
        Val::I64(value) => value.to_string(),
        Val::F32(bits) => format!("{bits:08x}"),
        Val::F64(bits) => format!("{bits:016x}"),
        Val::V128(value) => format!("{:032x}", value.as_u128()),
        reference => match reference.ref_() {
            Some(reference) if reference.is_null() => "null".to_owned(),
            _ => "reference".to_owned(),
        },
    }
}

/// What the host takes for the call of this number: nothing, little, or more than is left
/// of a small budget.
fn price(call: u64) -> i64 {
    [0, 3, 40, 7, 300, 0, 1][(call % 7) as usize]
}

/// Something of the type that is imported.
fn provide(store: &mut Store<Notes>, name: &str, ty: &ExternType) -> Option<Extern> {
    Some(match ty {
        ExternType::Func(ty) => {
            let name = name.to_owned();
            let results_ty: Vec<ValType> = ty.results().collect();
            let possible = results_ty.iter().all(|ty| fits(&argument(ty), ty));
            Func::new(&mut *store, ty.clone(), move |mut caller, arguments, results| {
                caller.data_mut().calls += 1;
                let calls = caller.data().calls;
                if let Some(counter) = caller.data().counter {
                    let left = counter.get(&mut caller).unwrap_i64();
                    let consumed = caller.data().budget.wrapping_sub(left);
                    let bits: Vec<String> = arguments.iter().map(show).collect();
                    let called = format!("{name}({})", bits.join(" "));
                    caller.data_mut().trace.push((called, consumed));
                    counter.set(&mut caller, Val::I64(left - price(calls)))?;
                }
                if !possible {
                    wasmtime::bail!("no value of this type");
                }
                for (result, ty) in results.iter_mut().zip(&results_ty) {
                    *result = match ty {
                        ValType::I32 => Val::I32((calls % 5) as i32),
                        ValType::I64 => Val::I64((calls % 7) as i64),
                        other => argument(other),
                    };
                }
                Ok(())
            })
            .into()
        }
        ExternType::Global(ty) => {
            if !fits(&argument(ty.content()), ty.content()) {
                return None;
            }
            let value = if ty.mutability() == Mutability::Const && ty.content().is_i32() {
                Val::I32(0)
            } else {
                argument(ty.content())
            };
            Global::new(&mut *store, ty.clone(), value).ok()?.into()
        }
        ExternType::Memory(ty) => Memory::new(&mut *store, ty.clone()).ok()?.into(),
        ExternType::Table(ty) => {
            if !ty.element().is_nullable() {
                return None;
            }
            let init = Ref::null(ty.element().heap_type());
            Table::new(&mut *store, ty.clone(), init).ok()?.into()
        }
        ExternType::Tag(ty) => wasmtime::Tag::new(&mut *store, ty).ok()?.into(),
    })
}
