//! Instantiates a linked module and runs it to its outcome.
//!
//! May assume that imports fit and the entry exists ([`Linked`]). Guarantees that
//! the fuel of instantiation is charged before instantiating, that the counter is
//! set before the first operator runs, and that every way to end becomes one
//! [`Outcome`]. Does not watch the clock: `watch.rs` does.

use crate::error::{Failure, printable};
use crate::host::{CannotPay, Exit, Fault, OutputLimit};
use crate::limit::Exceeded;
use crate::link::{Entry, Linked, UnknownImport};
use crate::outcome::{Limit, Outcome, TrapReport, trap_kind};
use crate::state::State;
use crate::value;
use bls_artifact::fuel;
use serde_json::{Value, json};
use wasmtime::{
    Error, GcHeapOutOfMemory, Global, Instance, Store, ThrownException, Trap, Val, WasmBacktrace,
};

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// `None` when the artifact is not metered.
    pub(crate) consumption: Option<Consumption>,
    /// The most bytes that all memories had together.
    pub(crate) memory_peak: u64,
    /// Limits that the guest was told of while it ran.
    pub(crate) limits_met: Vec<&'static str>,
    /// What the call gave.
    pub(crate) results: Vec<Val>,
}

/// What a run burned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Consumption {
    pub(crate) budget: Option<u64>,
    pub(crate) burned: Burned,
}

/// How well it is known what was burned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Burned {
    /// Exactly this.
    Exactly(u64),
    /// Charged as this, which is not less than what was burned.
    AtMost(u64),
    /// This and perhaps more.
    AtLeast(u64),
}

impl Consumption {
    /// The report's part about fuel.
    pub(crate) fn to_json(self) -> Value {
        let mut json = json!({ "metered": true, "model": fuel::MODEL, "budget": self.budget });
        match self.burned {
            Burned::Exactly(consumed) | Burned::AtMost(consumed) => {
                json["consumed"] = json!(consumed);
                if let Some(budget) = self.budget {
                    json["left"] = json!(budget.saturating_sub(consumed));
                }
            }
            Burned::AtLeast(consumed) => json["at_least"] = json!(consumed),
        }
        json["exact"] = json!(matches!(self.burned, Burned::Exactly(_)));
        json
    }
}

/// The counter of a metered instance.
struct Meter {
    budget: Option<u64>,
    /// What the counter stands for when nothing has run.
    start: u64,
    instantiation: u64,
    /// `None` until there is an instance.
    counter: Option<Global>,
}

impl Meter {
    /// `None` when the budget does not even cover instantiation.
    fn new(budget: Option<u64>, instantiation: u64) -> Option<Self> {
        let start = budget.unwrap_or(fuel::BUDGET_MAX);
        (instantiation <= start).then_some(Self { budget, start, instantiation, counter: None })
    }

    fn attach(&mut self, instance: &Instance, store: &mut Store<State>) -> wasmtime::Result<()> {
        let counter = instance
            .get_global(&mut *store, fuel::COUNTER_EXPORT)
            .ok_or_else(|| Error::msg("the fuel counter is not exported"))?;
        // Below BUDGET_MAX, which is half of what an i64 holds.
        counter.set(&mut *store, Val::I64((self.start - self.instantiation) as i64))?;
        store.data_mut().counter = Some(counter);
        self.counter = Some(counter);
        Ok(())
    }

    fn read(&self, store: &mut Store<State>) -> i64 {
        let unused = (self.start - self.instantiation) as i64;
        self.counter.map_or(unused, |counter| counter.get(store).i64().unwrap_or(unused))
    }

    /// What a run burned that ended with `outcome`. `at_event` says that it ended
    /// at an event (a return, an import call, an escaping exception), where the
    /// counter is exact.
    fn consumption(&self, left: i64, outcome: &Outcome, at_event: bool) -> Consumption {
        let counted = u64::try_from(i128::from(self.start) - i128::from(left)).unwrap_or(u64::MAX);
        let burned = match (outcome, self.budget) {
            (Outcome::OutOfFuel, _) => Burned::Exactly(self.start),
            // The price of the call at which it ended may be more than there was.
            _ if at_event => Burned::Exactly(counted.min(self.start)),
            // A trap is never a discount: the counter is behind at a trap, so the
            // whole budget counts as burned (DESIGN section 6, I5).
            (_, Some(budget)) => Burned::AtMost(budget),
            (_, None) => Burned::AtLeast(counted),
        };
        Consumption { budget: self.budget, burned }
    }
}

/// Runs `linked` to its end.
pub(crate) fn run(linked: Linked) -> Ended {
    let Linked { mapped, mut store, externs, entry, budget, unknown_imports: _ } = linked;
    let manifest = &mapped.facts().manifest;
    let mut meter = None;
    if let Some(metering) = &manifest.fuel {
        meter = Meter::new(budget, metering.instantiation);
        if meter.is_none() {
            let burned = Burned::Exactly(budget.unwrap_or(fuel::BUDGET_MAX));
            return Ended {
                outcome: Outcome::OutOfFuel,
                consumption: Some(Consumption { budget, burned }),
                memory_peak: 0,
                limits_met: Vec::new(),
                results: Vec::new(),
            };
        }
    }

    let mut started = false;
    let result = Instance::new(&mut store, mapped.module(), &externs).and_then(|instance| {
        started = true;
        store.data_mut().limiter.started();
        let memory = instance.get_memory(&mut store, "memory");
        store.data_mut().memory = memory;
        if let Some(meter) = &mut meter {
            meter.attach(&instance, &mut store)?;
        }
        call(&instance, &mut store, &entry, manifest.module.start)
    });
    let left = meter.as_ref().map(|meter| meter.read(&mut store));
    let (outcome, at_event) = match &result {
        Ok(_) => (Outcome::Exited(0), true),
        Err(error) => {
            let (outcome, at_event) = classify(error, left);
            // Before there is an instance nothing has been consumed beside its price.
            (outcome, at_event || !started)
        }
    };
    let consumption =
        meter.zip(left).map(|(meter, left)| meter.consumption(left, &outcome, at_event));
    // Results are the guest's output: printed when the run ended well, and before
    // the outcome is final.
    let results = result.unwrap_or_default();
    let outcome = print(&results).err().map_or(outcome, Outcome::Failed);
    let ended = Ended {
        outcome,
        consumption,
        memory_peak: store.data().limiter.memory_peak(),
        limits_met: limits_met(store.data()),
        results,
    };
    // The process ends right after this. Unmapping memories and code page by page
    // before the kernel does it at once would only take time.
    std::mem::forget((store, mapped));
    ended
}

/// Limits that the guest was told of by a call or a growth that failed.
fn limits_met(state: &State) -> Vec<&'static str> {
    let refused = state.limiter.refused();
    let met = [
        ("memory", refused.memory),
        ("table", refused.table),
        ("descriptors", state.host.descriptors_ran_out()),
    ];
    met.into_iter().filter(|(_, met)| *met).map(|(name, _)| name).collect()
}

/// Calls what there is to call, in order. Gives the results of the last.
fn call(
    instance: &Instance,
    store: &mut Store<State>,
    entry: &Entry,
    start: bool,
) -> wasmtime::Result<Vec<Val>> {
    if start {
        let start = instance.get_typed_func::<(), ()>(&mut *store, fuel::START_EXPORT)?;
        start.call(&mut *store, ())?;
    }
    if entry.initialize
        && let Some(initialize) = instance.get_func(&mut *store, "_initialize")
    {
        initialize.call(&mut *store, &[], &mut [])?;
    }
    let function = instance
        .get_func(&mut *store, &entry.name)
        .ok_or_else(|| Error::msg("the entry is not exported"))?;
    let mut results = vec![Val::I32(0); entry.results.len()];
    function.call(store, &entry.arguments, &mut results)?;
    Ok(results)
}

/// Which outcome an error is, and whether it came at an event, where the counter
/// is exact. `left` is what the counter holds.
fn classify(error: &Error, left: Option<i64>) -> (Outcome, bool) {
    if let Some(Exit(code)) = error.downcast_ref() {
        return (Outcome::Exited(*code), true);
    }
    if left == Some(fuel::OUT_OF_FUEL) || error.is::<CannotPay>() {
        return (Outcome::OutOfFuel, false);
    }
    if error.is::<OutputLimit>() {
        return (Outcome::Limit(Limit::Output, "the guest wrote more than it may".into()), true);
    }
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        let limit = match exceeded {
            Exceeded::Memory(..) => Limit::Memory,
            Exceeded::Table(..) => Limit::Table,
        };
        return (Outcome::Limit(limit, exceeded.to_string()), false);
    }
    if error.is::<GcHeapOutOfMemory<()>>() {
        let what = "the garbage collector's heap cannot grow any more";
        return (Outcome::Limit(Limit::Memory, what.into()), false);
    }
    let (kind, what, at_event) = if let Some(trap) = error.downcast_ref::<Trap>() {
        let what = trap.to_string();
        let what = what.strip_prefix("wasm trap: ").unwrap_or(&what);
        (trap_kind(*trap), what.to_owned(), false)
    } else if let Some(unknown) = error.downcast_ref::<UnknownImport>() {
        ("unknown-import", unknown.to_string(), true)
    } else if error.is::<ThrownException>() {
        ("uncaught-exception", "an exception left the guest".to_owned(), true)
    } else if let Some(fault) = error.downcast_ref::<Fault>() {
        ("host", fault.to_string(), true)
    } else {
        let failure = Failure {
            stage: "run",
            code: "run.engine",
            what: error.root_cause().to_string(),
            hint: Some(
                "if it is about memory, the system gave too little: see ulimit -v, and the limits of its group"
                    .into(),
            ),
        };
        return (Outcome::Failed(failure), false);
    };
    let frame = error.downcast_ref::<WasmBacktrace>().and_then(|trace| trace.frames().first());
    let report = TrapReport {
        kind,
        what,
        function: frame.map(wasmtime::FrameInfo::func_index),
        name: frame.and_then(|frame| frame.func_name()).map(printable),
    };
    (Outcome::Trapped(report), at_event)
}

/// Prints results, one a line.
fn print(values: &[Val]) -> Result<(), Failure> {
    use std::io::Write as _;
    if values.is_empty() {
        return Ok(());
    }
    let text: String = values.iter().map(|value| value::show(value) + "\n").collect();
    let mut output = std::io::stdout();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|error| Failure {
        stage: "run",
        code: "run.results",
        what: format!("cannot print the results: {error}"),
        hint: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuel_is_reported_as_well_as_it_is_known() {
        let trap = Outcome::Limit(Limit::Memory, String::new());
        let meter = Meter::new(Some(100), 10).unwrap();
        let burned =
            |left, outcome: &Outcome, at_event| meter.consumption(left, outcome, at_event).burned;
        assert_eq!(burned(40, &Outcome::Exited(0), true), Burned::Exactly(60));
        assert_eq!(burned(40, &trap, false), Burned::AtMost(100));
        assert_eq!(burned(-7, &trap, true), Burned::Exactly(100));
        assert_eq!(burned(i64::MIN, &Outcome::OutOfFuel, false), Burned::Exactly(100));
        let count_only = Meter::new(None, 10).unwrap();
        let left = fuel::BUDGET_MAX as i64 - 60;
        let consumption = count_only.consumption(left, &trap, false);
        assert_eq!(consumption.burned, Burned::AtLeast(60));
        assert!(Meter::new(Some(9), 10).is_none());
    }
}
