//! Fuel by function, of an artifact that was compiled to count it (`--fuel-profile`).
//!
//! The counters are the instance's exported globals `__bls_fuel_N` (FUEL.md, "Profile").
//! Guarantees that an artifact without them, and a file that cannot be written, are
//! refused before the guest starts; and that the lines of a profile add up to what the run
//! consumed. A run that time or a signal ends has none: its counters are in use.

use crate::cli::Options;
use crate::error::{Failure, printable, say};
use crate::run::{Burned, Consumption};
use crate::state::State;
use crate::verify::Facts;
use bls_artifact::fuel::PROFILE_EXPORT;
use serde_json::{Value, json};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use wasmtime::{Instance, Module, Store};

/// Why there is no profile.
#[derive(Debug)]
pub(crate) enum ProfileError {
    /// The artifact does not count by function.
    NotCounted(String),
    /// The file cannot be written.
    File(PathBuf, std::io::Error),
}

impl fmt::Display for ProfileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCounted(name) => {
                write!(formatter, "{name} was not compiled to count its fuel by function")
            }
            Self::File(path, error) => {
                write!(formatter, "cannot write to {}: {error}", path.display())
            }
        }
    }
}

/// An artifact is refused; a file that cannot be written is as bad as a report's.
impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        let what = error.to_string();
        let (stage, hint) = match error {
            ProfileError::NotCounted(name) => {
                ("profile", format!("compile it for that: bls-compile --fuel-profile {name}.wasm"))
            }
            ProfileError::File(..) => {
                ("report", "--fuel-profile=FILE takes a file you can write to".into())
            }
        };
        Self { stage, what, hint: Some(hint) }
    }
}

/// Where a profile goes.
#[derive(Debug)]
pub(crate) struct Sink(Option<(PathBuf, File)>);

impl Sink {
    /// Opens what the options ask for; `None` when they ask for no profile.
    pub(crate) fn open(options: &Options, facts: &Facts) -> Result<Option<Self>, ProfileError> {
        let Some(target) = &options.fuel_profile else { return Ok(None) };
        if !facts.manifest.counts_by_function() {
            return Err(ProfileError::NotCounted(facts.manifest.name.clone()));
        }
        let Some(path) = target else { return Ok(Some(Self(None))) };
        match File::create(path) {
            Ok(file) => Ok(Some(Self(Some((path.clone(), file))))),
            Err(error) => Err(ProfileError::File(path.clone(), error)),
        }
    }

    /// Writes the table.
    pub(crate) fn write(self, profile: &FuelProfile) -> Result<(), ProfileError> {
        let text = profile.table();
        match self.0 {
            // The line's own end is `say`'s.
            None => say(&text.trim_end()),
            Some((path, mut file)) => {
                if let Err(error) = file.write_all(text.as_bytes()) {
                    return Err(ProfileError::File(path, error));
                }
            }
        }
        Ok(())
    }
}

/// What one function consumed itself, without those it called.
#[derive(Debug)]
pub(crate) struct Line {
    function: u32,
    name: Option<String>,
    units: u64,
}

/// Reads the counters: the functions that consumed anything, most first.
pub(crate) fn units(module: &Module, instance: &Instance, store: &mut Store<State>) -> Vec<Line> {
    let mut lines = Vec::new();
    for function in module.functions() {
        let index = function.index.as_u32();
        let counter = instance.get_global(&mut *store, &format!("{PROFILE_EXPORT}{index}"));
        let units = counter.and_then(|counter| counter.get(&mut *store).i64()).unwrap_or(0);
        if units != 0 {
            // Sums wrap on their way, and end at what was consumed: at least nothing.
            lines.push(Line { function: index, name: function.name, units: units.cast_unsigned() });
        }
    }
    lines.sort_by_key(|line| (std::cmp::Reverse(line.units), line.function));
    lines
}

/// Where a run's fuel went.
#[derive(Debug)]
pub(crate) struct FuelProfile {
    lines: Vec<Line>,
    instantiation: u64,
    /// What the host took for its own work.
    host: u64,
    /// What is billed and was not counted: after a trap, the rest of the budget.
    rest: u64,
    consumed: u64,
    is_exact: bool,
}

impl FuelProfile {
    /// From the counters, what the counter of all says, and what is billed.
    pub(crate) fn new(
        lines: Vec<Line>,
        counted: u64,
        instantiation: u64,
        consumption: Consumption,
    ) -> Self {
        let (consumed, is_exact) = match consumption.burned {
            Burned::Exactly(units) => (units, true),
            Burned::AtMost(units) | Burned::AtLeast(units) => (units, false),
        };
        // The last call of the host may have cost more than there was.
        let counted = counted.min(consumed);
        let functions = lines.iter().fold(0, |sum: u64, line| sum.saturating_add(line.units));
        Self {
            host: counted.saturating_sub(functions).saturating_sub(instantiation),
            rest: consumed - counted,
            lines,
            instantiation,
            consumed,
            is_exact,
        }
    }

    /// The report's part about it.
    pub(crate) fn to_json(&self) -> Value {
        let functions: Vec<Value> = self
            .lines
            .iter()
            .map(
                |line| json!({ "function": line.function, "name": line.name, "units": line.units }),
            )
            .collect();
        json!({
            "functions": functions,
            "host": self.host,
            "instantiation": self.instantiation,
            "billed_on_top": self.rest,
        })
    }

    /// For a person: most first, with what is nobody's function at the end.
    fn table(&self) -> String {
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
                    row(line.units, &format_args!("{} {}", line.function, printable(name)));
                }
                None => row(line.units, &line.function),
            }
        }
        for (units, name) in [
            (self.host, "(host calls)"),
            (self.instantiation, "(instantiation)"),
            (self.rest, "(billed on top)"),
        ] {
            if units != 0 {
                row(units, &name);
            }
        }
        text
    }
}
