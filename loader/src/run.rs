//! Instantiates a linked module and runs it to its outcome.
//!
//! May assume that imports fit and the entry exists ([`Linked`]). Guarantees that
//! the fuel of instantiation is charged before instantiating, that the counter is
//! set before the first operator runs, that no call ends well with less than nothing left,
//! and that every way to end becomes one [`Outcome`]. Does not watch the clock: `watch.rs` does.

pub(crate) mod demangle;
pub(crate) mod fuel_profile;
pub(crate) mod outcome;
pub(crate) mod value;

use crate::error::{Cause, Failure, printable_name};
use crate::host::limit::Exceeded;
use crate::host::state::State;
use crate::host::{CannotPay, Exit, Fault, OutputLimit};
use crate::link::{Entry, Linked, UnknownImport};
use bls_artifact::fuel;
use bls_artifact::target::Bounds;
use demangle::readable;
use fuel_profile::FuelProfile;
use outcome::{FRAMES_MAX, Frame, Limit, Outcome, TrapReport, trap_kind};
use rustix::io::Errno;
use serde_json::{Value, json};
use wasmtime::{
    Error, FrameInfo, GcHeapOutOfMemory, Global, Instance, Store, ThrownException, Trap, Val,
    WasmBacktrace,
};

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// `None` when the artifact is not metered.
    pub(crate) consumption: Option<Consumption>,
    /// Where it went, when the artifact counts by function.
    pub(crate) fuel_profile: Option<FuelProfile>,
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

    /// What a run burned that ended with `outcome`. `at_event` says that it ended where the
    /// counter is exact: at an event (a return, an import call, an escaping exception), or
    /// at a trap that it was stored before.
    fn consumption(&self, left: i64, outcome: &Outcome, at_event: bool) -> Consumption {
        let counted = u64::try_from(i128::from(self.start) - i128::from(left)).unwrap_or(u64::MAX);
        let burned = match (outcome, self.budget) {
            (Outcome::OutOfFuel, _) => Burned::Exactly(self.start),
            // The price of the call at which it ended may be more than there was.
            _ if at_event => Burned::Exactly(counted.min(self.start)),
            // A trap is never a discount: the counter is behind at this one, so the whole
            // budget counts as burned (FUEL.md, I5).
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
                fuel_profile: None,
                memory_peak: 0,
                limits_met: Vec::new(),
                results: Vec::new(),
            };
        }
    }

    let mut started = None;
    let result = Instance::new(&mut store, mapped.module(), &externs).and_then(|instance| {
        started = Some(instance);
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
            let bounds = mapped.facts().part().profile.bounds();
            let (outcome, at_event) = classify(error, left, bounds);
            // Before there is an instance nothing has been consumed beside its price.
            (outcome, at_event || started.is_none())
        }
    };
    let consumption =
        meter.as_ref().zip(left).map(|(meter, left)| meter.consumption(left, &outcome, at_event));
    let fuel_profile = match (consumption, started) {
        (Some(consumption), Some(instance)) if manifest.counts_by_function() => {
            let mut profile = FuelProfile::read(mapped.module(), &instance, &mut store);
            profile.instantiation = meter.map_or(0, |meter| meter.instantiation);
            let ran_out = result.as_ref().err().filter(|_| left == Some(fuel::OUT_OF_FUEL));
            profile.settle(consumption.burned, ran_out.and_then(frame));
            Some(profile)
        }
        _ => None,
    };
    // Results are the guest's output: printed when the run ended well, and before
    // the outcome is final.
    let results = result.unwrap_or_default();
    let mut outcome = print(&results).err().map_or(outcome, Outcome::Failed);
    let limits_met = limits_met(store.data());
    if let Outcome::Trapped(trap) = &mut outcome {
        trap.lacked_memory = limits_met.contains(&"memory");
    }
    let ended = Ended {
        outcome,
        consumption,
        fuel_profile,
        memory_peak: store.data().limiter.memory_peak(),
        limits_met,
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
        ("memory", refused.memory || state.host.memory_ran_out()),
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
        settle(store)?;
    }
    if entry.initialize
        && let Some(initialize) = instance.get_func(&mut *store, "_initialize")
    {
        initialize.call(&mut *store, &[], &mut [])?;
        settle(store)?;
    }
    let function = instance
        .get_func(&mut *store, &entry.name)
        .ok_or_else(|| Error::msg("the entry is not exported"))?;
    let mut results = vec![Val::I32(0); entry.results.len()];
    function.call(&mut *store, &entry.arguments, &mut results)?;
    settle(store)?;
    Ok(results)
}

/// A call has returned. The guest checks before it returns, but where a host function
/// returned in its place (it was called in tail position, or is the export itself), nobody
/// has looked since that took its price.
fn settle(store: &mut Store<State>) -> wasmtime::Result<()> {
    let left = store.data().counter.and_then(|counter| counter.get(store).i64());
    if left.is_some_and(|left| left < 0) { Err(CannotPay.into()) } else { Ok(()) }
}

/// Whether the counter is exact where the guest trapped so: it was stored before the
/// operator, or before the call (FUEL.md, I5).
fn is_exact_at(trap: Trap) -> bool {
    matches!(
        trap,
        Trap::UnreachableCodeReached
            | Trap::IntegerDivisionByZero
            | Trap::IntegerOverflow
            | Trap::BadConversionToInteger
            | Trap::IndirectCallToNull
            | Trap::BadSignature
            | Trap::StackOverflow
    )
}

/// Which outcome an error is, and whether it came where the counter is exact. `left` is
/// what the counter holds.
fn classify(error: &Error, left: Option<i64>, bounds: Bounds) -> (Outcome, bool) {
    if let Some(Exit(code)) = error.downcast_ref() {
        return (Outcome::Exited(*code), true);
    }
    if left == Some(fuel::OUT_OF_FUEL) || error.is::<CannotPay>() {
        return (Outcome::OutOfFuel, false);
    }
    if error.is::<OutputLimit>() {
        return (
            Outcome::Limit(
                Limit::Output,
                "the guest wrote, or made a disk hold, more than it may".into(),
            ),
            true,
        );
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
        (trap_kind(*trap), what.to_owned(), is_exact_at(*trap))
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
            hint: Some(hint(error, bounds).into()),
            cause: Cause::Failed,
        };
        return (Outcome::Failed(failure), false);
    };
    let all = frames(error);
    let named = all.iter().take(FRAMES_MAX).map(|frame| Frame {
        function: frame.func_index(),
        name: frame.func_name().map(|name| printable_name(&readable(name))),
    });
    let has_more_frames = all.len() > FRAMES_MAX;
    (
        Outcome::Trapped(TrapReport {
            kind,
            what,
            frames: named.collect(),
            has_more_frames,
            lacked_memory: false,
        }),
        at_event,
    )
}

/// What to do where the engine could not go on.
fn hint(error: &Error, bounds: Bounds) -> &'static str {
    let lacks_memory = error.root_cause().downcast_ref() == Some(&Errno::NOMEM);
    if lacks_memory && bounds == Bounds::Guard {
        "each of its memories takes 4 GiB of address space, whatever its limit: allow more (ulimit -v), or have it compiled with bls-compile --memory checked"
    } else {
        "if it is about memory, the system gave too little: see ulimit -v, and the limits of its group"
    }
}

/// The function of the guest in which an error came up.
fn frame(error: &Error) -> Option<&FrameInfo> {
    frames(error).first()
}

/// The innermost first; no more than the engine was told to keep.
fn frames(error: &Error) -> &[FrameInfo] {
    error.downcast_ref::<WasmBacktrace>().map_or(&[], WasmBacktrace::frames)
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
        hint: Some("see where standard output goes, and that there is room".into()),
        cause: Cause::Failed,
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
