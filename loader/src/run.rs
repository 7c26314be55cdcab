//! Makes guests of a linked module and runs them to their outcome.
//!
//! May assume that imports fit and the entry exists ([`Linked`]). Guarantees that
//! the fuel of instantiation is charged before instantiating, that the counter is
//! set before the first operator runs, that no call ends well with less than nothing left,
//! and that every way to end becomes one [`Outcome`]. Does not watch the clock: `watch.rs` does.

pub(crate) mod fuel_profile;
pub(crate) mod outcome;
mod place;

use crate::confine::Confined;
use crate::error::{Cause, Failure, printable_name};
use crate::host::accounted::GuestAccount;
use crate::host::limit::Exceeded;
use crate::host::observed::Observed;
use crate::host::state::State;
use crate::host::{CannotPay, Exit, Fault, Grants, Host, OutputLimit, OwnFailure};
use crate::link::{Entry, Linked, UnknownImport};
use crate::policy::RunLimits;
use bls_artifact::demangle::readable;
use bls_artifact::digest::Sha256;
use bls_artifact::fuel;
use bls_artifact::recipe::memory_export;
use bls_artifact::target::Bounds;
use fuel_profile::FuelProfile;
use outcome::{FRAMES_MAX, Frame, Limit, Outcome, TrapReport, trap_kind};
use rustix::io::Errno;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use wasmtime::{
    Error, FrameInfo, GcHeapOutOfMemory, Global, Instance, Module, Store, ThrownException, Trap,
    Val, WasmBacktrace,
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
    /// What is to be in its account.
    pub(crate) account: GuestAccount,
}

impl Ended {
    /// One that ended before a guest stood.
    fn before(outcome: Outcome, consumption: Option<Consumption>) -> Self {
        Self {
            outcome,
            consumption,
            fuel_profile: None,
            memory_peak: 0,
            limits_met: Vec::new(),
            results: Vec::new(),
            account: GuestAccount::default(),
        }
    }
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

    /// Begins anew with this budget.
    fn restart(&mut self, budget: Option<u64>, store: &mut Store<State>) {
        self.budget = budget.map(|budget| budget.min(fuel::BUDGET_MAX));
        (self.start, self.instantiation) = (self.budget.unwrap_or(fuel::BUDGET_MAX), 0);
        if let Some(counter) = self.counter {
            // It is a mutable i64: `link::has_counter`.
            let _ = counter.set(store, Val::I64(self.start as i64));
        }
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

/// A guest that stands: it can be called.
pub(crate) struct Guest {
    module: Module,
    /// Of the image that the module is.
    image: Sha256,
    bounds: Bounds,
    store: Store<State>,
    instance: Instance,
    meter: Option<Meter>,
}

impl fmt::Debug for Guest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Guest")
    }
}

/// A call that came back, or did not.
type Called = wasmtime::Result<Vec<Val>>;

impl Guest {
    /// Makes a guest of `linked` that gets this and may use up that. The guest gets the
    /// operator's limits, and never more memory than the artifact's own.
    ///
    /// Whoever holds `observed` sees how far it is. What it consumes for being made is charged
    /// first. Where it cannot be made, that is how its run ended.
    pub(crate) fn new(
        linked: &Linked,
        grants: Grants,
        limits: &RunLimits,
        observed: &Arc<Observed>,
    ) -> Result<Self, Box<Ended>> {
        let facts = linked.mapped().facts();
        let manifest = &facts.manifest;
        let budget = limits.fuel;
        let mut meter = None;
        if let Some(metering) = &manifest.fuel {
            meter = Meter::new(budget, metering.instantiation);
            if meter.is_none() {
                let burned = Burned::Exactly(budget.unwrap_or(fuel::BUDGET_MAX));
                let consumption = Consumption { budget, burned };
                return Err(Box::new(Ended::before(Outcome::OutOfFuel, Some(consumption))));
            }
        }
        let memory_max = limits.memory.min(manifest.limits.memory.unwrap_or(u64::MAX));
        let mut host = Host::new(grants);
        for import in linked.mapped().module().imports() {
            host.expect(import.module(), import.name());
        }
        let state = State::seen_by(host, memory_max, Arc::clone(observed));
        let mut store = Store::new(linked.mapped().engine(), state);
        store.limiter(|state| &mut state.limiter);
        let bounds = facts.part().profile.bounds();
        let made = linked.imports().instantiate(&mut store).and_then(|instance| {
            store.data_mut().limiter.started();
            let memory = instance.get_memory(&mut store, "memory");
            store.data_mut().memory = memory;
            for number in linked.memories() {
                let found = instance.get_memory(&mut store, &memory_export(*number));
                store.data_mut().of_libraries.extend(found.map(|memory| (*number, memory)));
            }
            if let Some(meter) = &mut meter {
                meter.attach(&instance, &mut store)?;
            }
            Ok(instance)
        });
        match made {
            Ok(instance) => Ok(Self {
                module: linked.mapped().module().clone(),
                image: facts.part().image.sha256,
                bounds,
                store,
                instance,
                meter,
            }),
            Err(error) => {
                let left = meter.as_ref().map(|meter| meter.read(&mut store));
                let limits_met = limits_met(store.data());
                let (mut outcome, _) = classify(&error, left, bounds);
                place::fill_in(&mut outcome, &error, linked.mapped());
                let outcome = outcome.after(&limits_met);
                // Nothing has been consumed beside the price of being made.
                let consumption =
                    meter.zip(left).map(|(meter, left)| meter.consumption(left, &outcome, true));
                Err(Box::new(Ended {
                    memory_peak: store.data().limiter.memory_peak(),
                    limits_met,
                    account: store.data().host.account(),
                    ..Ended::before(outcome, consumption)
                }))
            }
        }
    }

    /// The same, with something for the embedder's own functions to work on.
    pub(crate) fn with_data(mut self, data: Option<Box<dyn Any + Send>>) -> Self {
        self.store.data_mut().data = data;
        self
    }

    /// What to call it by.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&Instance, &mut Store<State>) {
        (&self.instance, &mut self.store)
    }

    /// Runs its start function, and `_initialize`, where it has them.
    pub(crate) fn begin(&mut self, start: bool, initialize: bool) -> wasmtime::Result<()> {
        let Self { store, instance, .. } = self;
        let functions = [(start, fuel::START_EXPORT), (initialize, "_initialize")];
        for (_, name) in functions.into_iter().filter(|(is_there, _)| *is_there) {
            let function = instance.get_typed_func::<(), ()>(&mut *store, name)?;
            function.call(&mut *store, ())?;
            settle(store)?;
        }
        Ok(())
    }

    /// Looks whether a call that has returned was paid for.
    #[inline]
    pub(crate) fn settle(&mut self) -> wasmtime::Result<()> {
        settle(&mut self.store)
    }

    /// Calls what there is to call, in order. Gives the results of the last.
    pub(crate) fn run(&mut self, entry: &Entry, start: bool) -> Called {
        self.begin(start, entry.initialize)?;
        let Self { store, instance, .. } = self;
        let function = instance
            .get_func(&mut *store, &entry.name)
            .ok_or_else(|| Error::msg("the entry is not exported"))?;
        let mut results = vec![Val::I32(0); entry.results.len()];
        function.call(&mut *store, &entry.arguments, &mut results)?;
        settle(store)?;
        Ok(results)
    }

    /// Gives it this budget from now on, in the place of what it had.
    pub(crate) fn refuel(&mut self, budget: Option<u64>) {
        if let Some(meter) = &mut self.meter {
            meter.restart(budget, &mut self.store);
        }
    }

    /// What it has consumed by now, between two calls.
    pub(crate) fn consumed(&mut self) -> Option<Consumption> {
        let meter = self.meter.as_ref()?;
        let left = meter.read(&mut self.store);
        Some(meter.consumption(left, &Outcome::Exited(0), true))
    }

    /// What became of it, after a call that was left anywhere.
    pub(crate) fn ended_anywhere(&mut self, result: Called) -> Ended {
        let mut ended = self.ended(result, false);
        ended.consumption = self.meter.as_ref().map(|meter| {
            let left = meter.read(&mut self.store);
            meter.consumption(left, &ended.outcome, false)
        });
        ended
    }

    /// What became of it, after a call that gave `result`; with `by_function` where its fuel
    /// went, of an artifact that counts so.
    pub(crate) fn ended(&mut self, result: Called, by_function: bool) -> Ended {
        let left = self.meter.as_ref().map(|meter| meter.read(&mut self.store));
        let (outcome, at_event) = match &result {
            Ok(_) => (Outcome::Exited(0), true),
            Err(error) => classify(error, left, self.bounds),
        };
        let limits_met = limits_met(self.store.data());
        let mut outcome = outcome.after(&limits_met);
        if let Err(error) = &result {
            place::fill_in_of(&mut outcome, error, &self.module, self.image);
        }
        let meter = self.meter.as_ref().zip(left);
        let consumption = meter.map(|(meter, left)| meter.consumption(left, &outcome, at_event));
        let fuel_profile =
            meter.zip(consumption).filter(|_| by_function).map(|((meter, left), consumption)| {
                let mut profile = FuelProfile::read(&self.module, &self.instance, &mut self.store);
                profile.instantiation = meter.instantiation;
                let ran_out = result.as_ref().err().filter(|_| left == fuel::OUT_OF_FUEL);
                profile.settle(consumption.burned, ran_out.and_then(frame));
                profile
            });
        Ended {
            outcome,
            consumption,
            fuel_profile,
            memory_peak: self.store.data().limiter.memory_peak(),
            limits_met,
            results: result.unwrap_or_default(),
            account: self.store.data().host.account(),
        }
    }
}

/// Runs a guest from its first operator to its end, for a process that ends right after it:
/// nothing is given back. Whoever holds `observed` sees how far it is, and `after` what is left
/// of a guest that stood.
pub(crate) fn run(
    confined: Confined,
    limits: &RunLimits,
    entry: &Entry,
    observed: &Arc<Observed>,
    after: impl FnOnce(&mut Ended, &mut Guest),
) -> Ended {
    let (linked, grants) = confined.into_parts();
    let manifest = &linked.mapped().facts().manifest;
    let (start, by_function) = (manifest.module.start, manifest.counts_by_function());
    let mut guest = match Guest::new(&linked, grants, limits, observed) {
        Ok(guest) => guest,
        Err(ended) => return *ended,
    };
    let result = guest.run(entry, start);
    let mut ended = guest.ended(result, by_function);
    after(&mut ended, &mut guest);
    // Unmapping memories and code page by page before the kernel does it at once would
    // only take time.
    std::mem::forget((guest, linked));
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

/// A call has returned. The guest checks before it returns, but where a host function
/// returned in its place (it was called in tail position, or is the export itself), nobody
/// has looked since that took its price. A call that made no call of the host was looked at.
#[inline]
fn settle(store: &mut Store<State>) -> wasmtime::Result<()> {
    match std::mem::take(&mut store.data_mut().called_host) {
        true => settle_host_calls(store),
        false => Ok(()),
    }
}

fn settle_host_calls(store: &mut Store<State>) -> wasmtime::Result<()> {
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
    } else if error.is::<OwnFailure>() {
        ("host", error.root_cause().to_string(), true)
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
        offset: None,
        found: None,
    });
    let has_more_frames = all.len() > FRAMES_MAX;
    (
        Outcome::Trapped(TrapReport {
            kind,
            what,
            frames: named.collect(),
            has_more_frames,
            lacked_memory: false,
            image: None,
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
