//! Fuel by function, of an artifact that was compiled to count it (`--fuel-profile`).
//!
//! The counters are the instance's exported globals `__bls_fuel_N` (FUEL.md, "Profile").
//! Guarantees that the lines of a profile add up to what is billed, with a line for the
//! difference where there is one. A run that time or a signal ends has none: its counters
//! are in use. Writes nothing.

use crate::error::printable_name;
use crate::host::state::State;
use crate::run::Burned;
use bls_artifact::fuel::PROFILE_EXPORT;
use std::cmp::Reverse;
use std::fmt::{self, Write as _};
use wasmtime::{FrameInfo, Instance, Module, Store};

/// What one function consumed itself, without those it called.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) function: u32,
    pub(crate) name: Option<String>,
    pub(crate) units: u64,
}

/// Where a run's fuel went.
#[derive(Debug)]
pub(crate) struct FuelProfile {
    lines: Vec<Line>,
    pub(crate) instantiation: u64,
    /// What the host took for its own work.
    pub(crate) host: u64,
    /// What is billed and was not counted: after a trap, the rest of the budget. Below zero
    /// what was counted and is not billed: what ran, or was taken, beyond the budget.
    pub(crate) rest: i64,
    consumed: u64,
    is_exact: bool,
}

impl FuelProfile {
    /// Reads the counters.
    pub(crate) fn read(module: &Module, instance: &Instance, store: &mut Store<State>) -> Self {
        let mut lines = Vec::new();
        for function in module.functions() {
            let index = function.index.as_u32();
            let counter = instance.get_global(&mut *store, &format!("{PROFILE_EXPORT}{index}"));
            // Sums wrap on their way, and end at what was consumed: at least nothing.
            let units = counter.and_then(|counter| counter.get(&mut *store).i64()).unwrap_or(0);
            if let Ok(units @ 1..) = u64::try_from(units) {
                lines.push(Line { function: index, name: function.name, units });
            }
        }
        let host = store.data().host.charged();
        Self { lines, instantiation: 0, host, rest: 0, consumed: 0, is_exact: false }
    }

    /// Compares what was counted with what is billed. What was left when it was last
    /// written down belongs to the function that ran out, where one did.
    pub(crate) fn settle(&mut self, burned: Burned, ran_out: Option<&FrameInfo>) {
        (self.consumed, self.is_exact) = match burned {
            Burned::Exactly(units) => (units, true),
            Burned::AtMost(units) | Burned::AtLeast(units) => (units, false),
        };
        let functions = self.lines.iter().fold(0, |sum: u64, line| sum.saturating_add(line.units));
        let counted = functions.saturating_add(self.host).saturating_add(self.instantiation);
        // Both are below 2⁶³, as budgets are.
        self.rest = self.consumed.cast_signed().saturating_sub(counted.cast_signed());
        if let (Some(frame), Ok(units @ 1..)) = (ran_out, u64::try_from(self.rest)) {
            self.rest = 0;
            let function = frame.func_index();
            match self.lines.iter_mut().find(|line| line.function == function) {
                Some(line) => line.units += units,
                None => {
                    let name = frame.func_name().map(str::to_owned);
                    self.lines.push(Line { function, name, units });
                }
            }
        }
        self.lines.sort_by_key(|line| (Reverse(line.units), line.function));
    }

    /// What the functions consumed, most first.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// For a person: most first, with what is nobody's function at the end.
    pub(crate) fn table(&self) -> String {
        let exact = if self.is_exact { "" } else { ", not exact" };
        let mut text = format!("fuel by function: {} units{exact}\n", self.consumed);
        text += "               units       %  function\n";
        let mut row = |units: u64, name: &dyn fmt::Display| {
            let share = u128::from(units) * 10_000 / u128::from(self.consumed.max(1));
            // Writing to a String does not fail.
            let _ = writeln!(text, "{units:>20}  {:>3}.{:02}  {name}", share / 100, share % 100);
        };
        for line in &self.lines {
            match &line.name {
                Some(name) => {
                    row(line.units, &format_args!("{} {}", line.function, printable_name(name)));
                }
                None => row(line.units, &line.function),
            }
        }
        for (units, name) in [
            (self.host, "(host calls)"),
            (self.instantiation, "(instantiation)"),
            (self.rest.max(0).unsigned_abs(), "(billed on top)"),
            (self.rest.min(0).unsigned_abs(), "(beyond the budget, not billed)"),
        ] {
            if units != 0 {
                row(units, &name);
            }
        }
        text
    }
}
