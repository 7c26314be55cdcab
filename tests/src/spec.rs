//! Runs the WebAssembly specification's own tests against metered modules.
//!
//! A test-only host for `spectest` and for registered modules; how a module is
//! made from its source is the caller's. Guarantees: every directive either
//! holds, or is counted as failed or skipped with its file and line.

use bls_artifact::fuel::{BUDGET_MAX, COUNTER_EXPORT, START_EXPORT};
use std::collections::HashMap;
use wasmtime::{
    AnyRef, AsContextMut as _, Engine, Extern, ExternRef, Func, Global, GlobalType, Instance,
    Linker, Memory, MemoryType, Module, Mutability, Ref, RefType, Store, Table, TableType, Trap,
    Val, ValType,
};
use wast::core::{AbstractHeapType, HeapType, NanPattern, V128Pattern, WastArgCore, WastRetCore};
use wast::{QuoteWat, QuoteWatTest, WastArg, WastDirective, WastExecute, WastInvoke, WastRet};

/// How a module's bytes become a module that can be instantiated: validate,
/// meter, compile, sign, verify, map. `Err` is a refusal, in words.
pub type Prepare<'p> = dyn Fn(&[u8]) -> Result<Module, String> + 'p;

/// What one file gave.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Directives that held.
    pub passed: usize,
    /// Directives that did not: `file:line: why`.
    pub failed: Vec<String>,
    /// Directives that were not run, likewise.
    pub skipped: Vec<String>,
}

/// Runs one file.
#[must_use]
pub fn run(name: &str, text: &str, engine: &Engine, prepare: &Prepare<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut lexer = wast::lexer::Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = match wast::parser::ParseBuffer::new_with_lexer(lexer) {
        Ok(buffer) => buffer,
        Err(error) => {
            outcome.skipped.push(format!("{name}: {}", error.message()));
            return outcome;
        }
    };
    let script = match wast::parser::parse::<wast::Wast<'_>>(&buffer) {
        Ok(script) => script,
        Err(error) => {
            outcome.skipped.push(format!("{name}: {}", error.message()));
            return outcome;
        }
    };
    let mut runner = Runner::new(engine, prepare);
    for directive in script.directives {
        let line = directive.span().linecol_in(text).0 + 1;
        match runner.directive(directive) {
            Ok(()) => outcome.passed += 1,
            Err(Failure::Failed(why)) => outcome.failed.push(format!("{name}:{line}: {why}")),
            Err(Failure::Skipped(why)) => outcome.skipped.push(format!("{name}:{line}: {why}")),
        }
    }
    outcome
}

/// The modules that a file instantiates, in binary form.
#[must_use]
pub fn modules(text: &str) -> Vec<Vec<u8>> {
    let mut lexer = wast::lexer::Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let Ok(buffer) = wast::parser::ParseBuffer::new_with_lexer(lexer) else { return Vec::new() };
    let Ok(script) = wast::parser::parse::<wast::Wast<'_>>(&buffer) else { return Vec::new() };
    let directives = script.directives.into_iter();
    directives
        .filter_map(|directive| match directive {
            WastDirective::Module(mut wat) => wat.encode().ok(),
            _ => None,
        })
        .collect()
}

/// Why a directive did not pass.
enum Failure {
    Failed(String),
    Skipped(&'static str),
}

type Held = Result<(), Failure>;

fn failed(why: impl ToString) -> Failure {
    Failure::Failed(why.to_string())
}

/// What an action gave: values, or an error.
type Given = Result<Vec<Val>, wasmtime::Error>;

struct Runner<'p> {
    store: Store<()>,
    linker: Linker<()>,
    prepare: &'p Prepare<'p>,
    /// Modules by name, and the last one under "".
    instances: HashMap<String, Instance>,
    definitions: HashMap<String, Module>,
}

impl<'p> Runner<'p> {
    fn new(engine: &Engine, prepare: &'p Prepare<'p>) -> Self {
        let mut store = Store::new(engine, ());
        let linker = spectest(&mut store);
        Self { store, linker, prepare, instances: HashMap::new(), definitions: HashMap::new() }
    }

    fn directive(&mut self, directive: WastDirective<'_>) -> Held {
        match directive {
            WastDirective::Module(mut wat) => {
                let name = wat.name().map(|id| id.name().to_owned());
                let module = self.module(&mut wat).map_err(failed)?;
                let instance = self.instantiate(&module).map_err(failed)?;
                self.name(name, instance);
                Ok(())
            }
            WastDirective::ModuleDefinition(mut wat) => {
                let name = wat.name().map_or("", |id| id.name()).to_owned();
                let module = self.module(&mut wat).map_err(failed)?;
                self.definitions.insert(name, module);
                Ok(())
            }
            WastDirective::ModuleInstance { instance, module, .. } => {
                let module = module.map_or("", |id| id.name());
                let module =
                    self.definitions.get(module).ok_or_else(|| failed("no such module"))?.clone();
                let made = self.instantiate(&module).map_err(failed)?;
                self.name(instance.map(|id| id.name().to_owned()), made);
                Ok(())
            }
            WastDirective::Register { name, module, .. } => {
                let instance = self.instance(module.map(|id| id.name()))?;
                self.linker.instance(&mut self.store, name, instance).map_err(failed)?;
                Ok(())
            }
            WastDirective::Invoke(invoke) => self.invoke(&invoke)?.map(drop).map_err(failed),
            WastDirective::AssertReturn { exec, results, .. } => {
                let values = self.execute(exec)?.map_err(failed)?;
                self.compare(&values, &results)
            }
            WastDirective::AssertTrap { exec, message, .. } => match self.execute(exec)? {
                Ok(values) => Err(failed(format!("returned {values:?}, not a trap: {message}"))),
                Err(error) => expect_trap(&error, message),
            },
            WastDirective::AssertExhaustion { call, .. } => match self.invoke(&call)? {
                Err(error) if error.downcast_ref() == Some(&Trap::StackOverflow) => Ok(()),
                other => Err(failed(format!("no stack overflow: {other:?}"))),
            },
            WastDirective::AssertException { exec, .. } => match self.execute(exec)? {
                Err(error) if error.is::<wasmtime::ThrownException>() => {
                    let _ = self.store.as_context_mut().take_pending_exception();
                    Ok(())
                }
                other => Err(failed(format!("no exception: {other:?}"))),
            },
            WastDirective::AssertInvalid { mut module, message, .. } => {
                match self.module(&mut module) {
                    Ok(_) => Err(failed(format!("accepted, though {message}"))),
                    Err(_) => Ok(()),
                }
            }
            WastDirective::AssertMalformed { mut module, message, .. }
            | WastDirective::AssertMalformedCustom { mut module, message, .. }
            | WastDirective::AssertInvalidCustom { mut module, message, .. } => {
                match self.module(&mut module) {
                    Ok(_) => Err(failed(format!("accepted, though {message}"))),
                    Err(_) => Ok(()),
                }
            }
            WastDirective::AssertUnlinkable { module, .. } => {
                let module = self.module(&mut QuoteWat::Wat(module)).map_err(failed)?;
                match self.instantiate(&module) {
                    Ok(_) => Err(failed("linked")),
                    Err(error) if error.is::<Trap>() => Err(failed(error)),
                    Err(_) => Ok(()),
                }
            }
            WastDirective::Thread(_) | WastDirective::Wait { .. } => {
                Err(Failure::Skipped("threads share memories, which are refused"))
            }
            WastDirective::AssertSuspension { .. } => {
                Err(Failure::Skipped("stack switching is not run"))
            }
        }
    }

    fn module(&self, wat: &mut QuoteWat<'_>) -> Result<Module, String> {
        let bytes = match wat.to_test().map_err(|error| error.message())? {
            QuoteWatTest::Binary(bytes) => bytes,
            QuoteWatTest::Text(text) => {
                wat::parse_bytes(&text).map_err(|error| error.to_string())?.into_owned()
            }
        };
        (self.prepare)(&bytes)
    }

    /// Instantiates, fills the counter, and runs the former start function.
    fn instantiate(&mut self, module: &Module) -> Result<Instance, wasmtime::Error> {
        let instance = self.linker.instantiate(&mut self.store, module)?;
        if let Some(counter) = instance.get_global(&mut self.store, COUNTER_EXPORT) {
            counter.set(&mut self.store, Val::I64(BUDGET_MAX as i64))?;
        }
        if let Some(start) = instance.get_func(&mut self.store, START_EXPORT) {
            start.call(&mut self.store, &[], &mut [])?;
        }
        Ok(instance)
    }

    fn name(&mut self, name: Option<String>, instance: Instance) {
        if let Some(name) = name {
            self.instances.insert(name, instance);
        }
        self.instances.insert(String::new(), instance);
    }

    fn instance(&self, name: Option<&str>) -> Result<Instance, Failure> {
        self.instances.get(name.unwrap_or("")).copied().ok_or_else(|| failed("no such instance"))
    }

    fn execute(&mut self, execute: WastExecute<'_>) -> Result<Given, Failure> {
        match execute {
            WastExecute::Invoke(invoke) => self.invoke(&invoke),
            WastExecute::Wat(wat) => {
                let module = self.module(&mut QuoteWat::Wat(wat)).map_err(failed)?;
                Ok(self.instantiate(&module).map(|_| Vec::new()))
            }
            WastExecute::Get { module, global, .. } => {
                let instance = self.instance(module.map(|id| id.name()))?;
                let global = instance
                    .get_global(&mut self.store, global)
                    .ok_or_else(|| failed("no such global"))?;
                Ok(Ok(vec![global.get(&mut self.store)]))
            }
        }
    }

    fn invoke(&mut self, invoke: &WastInvoke<'_>) -> Result<Given, Failure> {
        let instance = self.instance(invoke.module.map(|id| id.name()))?;
        let function = instance
            .get_func(&mut self.store, invoke.name)
            .ok_or_else(|| failed(format!("no function {:?}", invoke.name)))?;
        let arguments =
            invoke.args.iter().map(|value| self.argument(value)).collect::<Result<Vec<_>, _>>()?;
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        Ok(function.call(&mut self.store, &arguments, &mut results).map(|()| results))
    }

    fn argument(&mut self, argument: &WastArg<'_>) -> Result<Val, Failure> {
        let WastArg::Core(argument) = argument else {
            return Err(Failure::Skipped("a component's value"));
        };
        Ok(match argument {
            WastArgCore::I32(value) => Val::I32(*value),
            WastArgCore::I64(value) => Val::I64(*value),
            WastArgCore::F32(value) => Val::F32(value.bits),
            WastArgCore::F64(value) => Val::F64(value.bits),
            WastArgCore::V128(value) => Val::V128(u128::from_le_bytes(value.to_le_bytes()).into()),
            WastArgCore::RefNull(HeapType::Abstract { ty, .. }) => match ty {
                AbstractHeapType::Func | AbstractHeapType::NoFunc => Val::FuncRef(None),
                AbstractHeapType::Extern | AbstractHeapType::NoExtern => Val::ExternRef(None),
                AbstractHeapType::Exn | AbstractHeapType::NoExn => Val::ExnRef(None),
                _ => Val::AnyRef(None),
            },
            WastArgCore::RefExtern(value) => {
                Val::ExternRef(Some(ExternRef::new(&mut self.store, *value).map_err(failed)?))
            }
            WastArgCore::RefHost(value) => {
                let reference = ExternRef::new(&mut self.store, *value).map_err(failed)?;
                Val::AnyRef(Some(
                    AnyRef::convert_extern(&mut self.store, reference).map_err(failed)?,
                ))
            }
            WastArgCore::RefNull(_) => return Err(Failure::Skipped("a null of a defined type")),
        })
    }

    fn compare(&mut self, values: &[Val], expected: &[WastRet<'_>]) -> Held {
        if values.len() != expected.len() {
            return Err(failed(format!("{} results, not {}", values.len(), expected.len())));
        }
        for (value, expected) in values.iter().zip(expected) {
            let WastRet::Core(expected) = expected else {
                return Err(Failure::Skipped("a component's value"));
            };
            if !self.matches(value, expected) {
                return Err(failed(format!("{value:?}, not {expected:?}")));
            }
        }
        Ok(())
    }

    fn matches(&mut self, value: &Val, expected: &WastRetCore<'_>) -> bool {
        match (expected, value) {
            (WastRetCore::Either(many), value) => {
                many.iter().any(|expected| self.matches(value, expected))
            }
            (WastRetCore::I32(expected), Val::I32(value)) => expected == value,
            (WastRetCore::I64(expected), Val::I64(value)) => expected == value,
            (WastRetCore::F32(pattern), Val::F32(bits)) => f32_matches(*bits, pattern),
            (WastRetCore::F64(pattern), Val::F64(bits)) => f64_matches(*bits, pattern),
            (WastRetCore::V128(pattern), Val::V128(value)) => {
                v128_matches(value.as_u128(), pattern)
            }
            (WastRetCore::RefNull(_), value) => value.ref_().is_some_and(|value| value.is_null()),
            (WastRetCore::RefExtern(None), Val::ExternRef(value)) => value.is_some(),
            (WastRetCore::RefExtern(Some(expected)), Val::ExternRef(Some(value))) => {
                value
                    .data(&self.store)
                    .ok()
                    .flatten()
                    .and_then(|data| data.downcast_ref::<u32>().copied())
                    == Some(*expected)
            }
            (WastRetCore::RefHost(expected), Val::AnyRef(Some(value))) => {
                let Ok(value) = ExternRef::convert_any(&mut self.store, *value) else {
                    return false;
                };
                value
                    .data(&self.store)
                    .ok()
                    .flatten()
                    .and_then(|data| data.downcast_ref::<u32>().copied())
                    == Some(*expected)
            }
            (WastRetCore::RefFunc(_), Val::FuncRef(value)) => value.is_some(),
            (WastRetCore::RefAny, Val::AnyRef(value)) => value.is_some(),
            (WastRetCore::RefEq, Val::AnyRef(Some(value))) => {
                value.is_eqref(&self.store).unwrap_or(false)
            }
            (WastRetCore::RefStruct, Val::AnyRef(Some(value))) => {
                value.is_struct(&self.store).unwrap_or(false)
            }
            (WastRetCore::RefArray, Val::AnyRef(Some(value))) => {
                value.is_array(&self.store).unwrap_or(false)
            }
            (WastRetCore::RefI31, Val::AnyRef(Some(value))) => {
                value.is_i31(&self.store).unwrap_or(false)
            }
            _ => false,
        }
    }
}

/// Whether a trap is the one that the specification names.
fn expect_trap(error: &wasmtime::Error, message: &str) -> Held {
    let said = format!("{error:?}");
    let equivalent = match message {
        "undefined element" => "out of bounds table access",
        "uninitialized element" => "uninitialized element",
        "null function reference"
        | "null structure reference"
        | "null array reference"
        | "null i31 reference"
        | "null exception reference"
        | "null reference" => "null reference",
        "unreachable" => "unreachable",
        "cast failure" => "cast failure",
        other => other,
    };
    if said.contains(equivalent) || said.contains(message) {
        return Ok(());
    }
    // The engine has one word where the specification has several.
    let both = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let holds = match message {
        m if m.starts_with("out of bounds") => both(&["out of bounds"]),
        m if m.starts_with("uninitialized element") => both(&["uninitialized element"]),
        m if m.starts_with("null") => both(&["null reference", "uninitialized element"]),
        _ => false,
    };
    if holds { Ok(()) } else { Err(failed(format!("{error}, not {message}"))) }
}

fn f32_matches(bits: u32, pattern: &NanPattern<wast::token::F32>) -> bool {
    match pattern {
        NanPattern::CanonicalNan => bits & 0x7fff_ffff == 0x7fc0_0000,
        NanPattern::ArithmeticNan => bits & 0x7fc0_0000 == 0x7fc0_0000,
        NanPattern::Value(value) => bits == value.bits,
    }
}

fn f64_matches(bits: u64, pattern: &NanPattern<wast::token::F64>) -> bool {
    match pattern {
        NanPattern::CanonicalNan => bits & 0x7fff_ffff_ffff_ffff == 0x7ff8_0000_0000_0000,
        NanPattern::ArithmeticNan => bits & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
        NanPattern::Value(value) => bits == value.bits,
    }
}

fn v128_matches(value: u128, pattern: &V128Pattern) -> bool {
    let lane = |index: usize, bits: usize| (value >> (index * bits)) as u64;
    match pattern {
        V128Pattern::I8x16(lanes) => {
            lanes.iter().enumerate().all(|(index, expected)| lane(index, 8) as i8 == *expected)
        }
        V128Pattern::I16x8(lanes) => {
            lanes.iter().enumerate().all(|(index, expected)| lane(index, 16) as i16 == *expected)
        }
        V128Pattern::I32x4(lanes) => {
            lanes.iter().enumerate().all(|(index, expected)| lane(index, 32) as i32 == *expected)
        }
        V128Pattern::I64x2(lanes) => {
            lanes.iter().enumerate().all(|(index, expected)| lane(index, 64) as i64 == *expected)
        }
        V128Pattern::F32x4(lanes) => lanes
            .iter()
            .enumerate()
            .all(|(index, pattern)| f32_matches(lane(index, 32) as u32, pattern)),
        V128Pattern::F64x2(lanes) => {
            lanes.iter().enumerate().all(|(index, pattern)| f64_matches(lane(index, 64), pattern))
        }
    }
}

/// The host module that the specification's tests import.
fn spectest(store: &mut Store<()>) -> Linker<()> {
    let mut linker = Linker::new(store.engine());
    linker.allow_shadowing(true);
    let mut define = |store: &mut Store<()>, name: &str, item: Extern| {
        linker.define(store, "spectest", name, item).expect("a new name");
    };
    macro_rules! print {
        ($($name:literal: $($ty:ty),*;)*) => {
            $(let function = Func::wrap(&mut *store, |$(_: $ty),*| {});
              define(store, $name, function.into());)*
        };
    }
    print! {
        "print":;
        "print_i32": i32;
        "print_i64": i64;
        "print_f32": f32;
        "print_f64": f64;
        "print_i32_f32": i32, f32;
        "print_f64_f64": f64, f64;
    }
    for (name, ty, value) in [
        ("global_i32", ValType::I32, Val::I32(666)),
        ("global_i64", ValType::I64, Val::I64(666)),
        ("global_f32", ValType::F32, Val::F32(0x4426_a666)),
        ("global_f64", ValType::F64, Val::F64(0x4084_d4cc_cccc_cccd)),
    ] {
        let global = Global::new(&mut *store, GlobalType::new(ty, Mutability::Const), value);
        define(store, name, global.expect("a global").into());
    }
    let table = TableType::new(RefType::FUNCREF, 10, Some(20));
    let table = Table::new(&mut *store, table, Ref::Func(None)).expect("a table");
    define(store, "table", table.into());
    let table = TableType::new64(RefType::FUNCREF, 10, Some(20));
    let table = Table::new(&mut *store, table, Ref::Func(None)).expect("a table");
    define(store, "table64", table.into());
    let memory = Memory::new(&mut *store, MemoryType::new(1, Some(2))).expect("a memory");
    define(store, "memory", memory.into());
    linker
}
