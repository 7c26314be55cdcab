//! The same module under the engine's rule about NaNs and under ours: all that can be seen must
//! be the same, to the bit (NAN.md).
//!
//! The engine's rule is the oracle: a comparison and a selection behind every operator of
//! arithmetic, in code that nobody here wrote. May assume a metered module.

use crate::differential::{Observation, engine_of, observe_all};
use crate::modules::valid;
use crate::programs::fixtures;
use bls_artifact::fuel::{BUDGET_MAX, COUNTER_EXPORT, START_EXPORT};
use bls_artifact::target::{Bounds, Nans};
use bls_compiler::meter::MeterError;
use bls_compiler::nan::Settled;
use bls_compiler::ready::{ReadyError, ready};
use std::fmt;
use wasmparser::{Operator, Parser, Payload};
use wasmtime::{Engine, Instance, Memory, Module, Store, TypedFunc, Val};

/// Two engines: one with the rule, and one without.
#[derive(Debug)]
pub struct Rules {
    by_engine: Engine,
    without: Engine,
}

/// A module under both rules.
#[derive(Debug)]
pub struct Both {
    /// With the engine's.
    pub by_engine: Module,
    /// With checks.
    pub by_checks: Module,
    /// Without any.
    pub without: Module,
    /// How many checks.
    pub checks: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            by_engine: engine_of(Bounds::Guard, Nans::Canonical),
            without: engine_of(Bounds::Guard, Nans::Fast),
        }
    }
}

impl Rules {
    /// Both of a metered module; `None` where the engine refuses it, or its own rule has to do
    /// it.
    ///
    /// # Panics
    /// When checks make it invalid, or are not shown to be right.
    #[must_use]
    pub fn both(&self, name: &str, metered: &[u8]) -> Option<Both> {
        let by_engine = Module::new(&self.by_engine, metered).ok()?;
        let settled = Settled::of(metered).unwrap_or_else(|error| panic!("{name}: {error}"))?;
        let by_checks = Module::new(&self.without, settled.wasm())
            .unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let without = Module::new(&self.without, metered).ok()?;
        Some(Both { by_engine, by_checks, without, checks: settled.checks() })
    }

    /// Meters a module, runs it under both rules and compares all that can be seen. How many
    /// checks it has, and whether its calls showed anything; `None` when it does not run here,
    /// or has operators that are no matter of the engine's rule.
    ///
    /// # Panics
    /// When the bits differ.
    #[must_use]
    pub fn compare(&self, name: &str, wasm: Vec<u8>, budget: i64) -> Option<(u64, bool)> {
        let module = valid(wasm)?;
        if has_fused(module.bytes()) {
            return None;
        }
        let metered = match ready(&module, true) {
            Ok(metered) => metered,
            Err(ReadyError::Meter(MeterError::TooLong { .. })) => return None,
            Err(error) => panic!("{name}: {error}"),
        };
        let both = self.both(name, metered.wasm())?;
        let (mut expected, left) = observe_all(&both.by_engine, budget)?;
        let (mut seen, also_left) = observe_all(&both.by_checks, budget)?;
        // How deep a stack goes depends on the frames.
        let end = |all: &[Observation]| {
            all.iter().position(|one| one.end == crate::differential::End::StackOverflow)
        };
        let ends = end(&expected).into_iter().chain(end(&seen)).min();
        let is_whole = ends.is_none();
        expected.truncate(ends.unwrap_or(usize::MAX));
        seen.truncate(ends.unwrap_or(usize::MAX));
        assert_eq!(expected, seen, "{name}");
        if is_whole {
            assert_eq!(left, also_left, "{name}: what is left behind");
        }
        Some((both.checks, is_whole))
    }
}

/// Whether the engine may leave a NaN as it comes: NAN.md, "The rule".
fn has_fused(wasm: &[u8]) -> bool {
    Parser::new(0).parse_all(wasm).any(|payload| match payload {
        Ok(Payload::CodeSectionEntry(body)) => {
            body.get_operators_reader().into_iter().flatten().any(|operator| {
                matches!(
                    operator,
                    Ok(Operator::F32x4RelaxedMadd
                        | Operator::F32x4RelaxedNmadd
                        | Operator::F64x2RelaxedMadd
                        | Operator::F64x2RelaxedNmadd)
                )
            })
        }
        _ => false,
    })
}

/// The float kernels of the fixtures: `kernels`, or with vectors `kernels-simd`.
///
/// # Panics
/// When they are not there.
#[must_use]
pub fn kernels(name: &str) -> Vec<u8> {
    let path = fixtures().join(format!("kernels/{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An instance of the kernels.
pub struct Kernels {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
    run: TypedFunc<(i32, i32), i64>,
    is_metered: bool,
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernels").field("is_metered", &self.is_metered).finish_non_exhaustive()
    }
}

impl Kernels {
    /// One of a compiled module, metered or not.
    ///
    /// # Panics
    /// When it is not these kernels.
    #[must_use]
    pub fn new(module: &Module) -> Self {
        let mut store = Store::new(module.engine(), ());
        let instance = Instance::new(&mut store, module, &[]).expect("an instance");
        let memory = instance.get_memory(&mut store, "memory").expect("a memory");
        let run = instance.get_typed_func(&mut store, "run").expect("run");
        let is_metered = instance.get_global(&mut store, COUNTER_EXPORT).is_some();
        let mut kernels = Self { store, instance, memory, run, is_metered };
        if kernels.instance.get_func(&mut kernels.store, START_EXPORT).is_some() {
            kernels.call(START_EXPORT, &[]);
        }
        kernels
    }

    fn call(&mut self, name: &str, arguments: &[Val]) -> Option<i32> {
        self.fill();
        let function = self.instance.get_func(&mut self.store, name).expect("a function");
        let count = function.ty(&self.store).results().len();
        let mut results = vec![Val::I32(0); count];
        function.call(&mut self.store, arguments, &mut results).expect("it returns");
        results.first().and_then(Val::i32)
    }

    /// Enough fuel for anything.
    fn fill(&mut self) {
        if self.is_metered {
            let counter = self.instance.get_global(&mut self.store, COUNTER_EXPORT);
            let budget = Val::I64(BUDGET_MAX.cast_signed());
            counter.expect("a counter").set(&mut self.store, budget).expect("an i64");
        }
    }

    /// Their names.
    ///
    /// # Panics
    /// When they have none.
    pub fn names(&mut self) -> Vec<String> {
        let count = self.call("count", &[]).expect("a number");
        (0..count)
            .map(|kernel| {
                let at = self.call("name", &[Val::I32(kernel)]).expect("an address");
                let text = &self.memory.data(&self.store)[at as usize..];
                let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                String::from_utf8_lossy(text).into_owned()
            })
            .collect()
    }

    /// Puts a double of these bits into what the next run begins with; 0 is none.
    pub fn poison(&mut self, bits: u64) {
        self.call("poison", &[Val::I64(bits.cast_signed())]);
    }

    /// Does one so often, and gives a hash of all its numbers.
    ///
    /// # Panics
    /// When it traps.
    pub fn run(&mut self, kernel: usize, rounds: i32) -> i64 {
        self.fill();
        self.run.call(&mut self.store, (kernel as i32, rounds)).expect("it returns")
    }
}
