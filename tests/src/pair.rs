//! A module under both meters: the product's and the naive one, run and compared.
//!
//! Where the naive one ends well, the real one must give the same results and the same
//! fuel at every host call, and a budget of exactly what was consumed must do, one unit
//! less must not (FUEL.md, "Meaning"). What is run is what the product would compile: the
//! metered module has passed the audit. A disagreement is a panic that names the module.

use crate::differential::{End, Observation, observe_compiled};
use crate::modules::valid;
use crate::oracle;
use bls_compiler::audit::audit;
use bls_compiler::meter::MeterError;
use bls_compiler::ready::{ReadyError, ready};
use std::fmt;
use std::ops::AddAssign;
use wasmtime::{Engine, Module};

/// A module under both meters.
#[derive(Debug)]
pub struct Pair {
    name: String,
    real: Module,
    naive: Module,
    /// S.
    overrun: i64,
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Modules of which at least one run was compared.
    pub modules: u64,
    /// Runs of a module with one budget.
    pub runs: u64,
    /// Calls of exports.
    pub calls: u64,
    /// Those that returned.
    pub returned: u64,
    /// Those that trapped.
    pub trapped: u64,
    /// Those that ran out of fuel.
    pub out_of_fuel: u64,
    /// Host calls, at each of which the fuel was compared.
    pub events: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.modules += other.modules;
        self.runs += other.runs;
        self.calls += other.calls;
        self.returned += other.returned;
        self.trapped += other.trapped;
        self.out_of_fuel += other.out_of_fuel;
        self.events += other.events;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { modules, runs, calls, returned, trapped, out_of_fuel, events } = self;
        write!(
            f,
            "{modules} modules, {runs} runs, {calls} calls compared: {returned} returned, \
             {trapped} trapped, {out_of_fuel} out of fuel; {events} host calls"
        )
    }
}

impl Pair {
    /// Meters a module twice. `None` when it is not valid here, has no room for charges, or
    /// is too much for the engine.
    ///
    /// # Panics
    /// When metering makes it invalid, or does not pass the audit.
    #[must_use]
    pub fn of(engine: &Engine, name: &str, wasm: Vec<u8>) -> Option<Self> {
        let module = valid(wasm)?;
        let real = match ready(&module, true) {
            Ok(real) => real,
            Err(ReadyError::Meter(MeterError::TooLong { .. })) => return None,
            Err(error) => panic!("{name}: {error}"),
        };
        let real = audit(&module, real).unwrap_or_else(|error| panic!("{name}: {error}"));
        let naive = oracle::meter(module.bytes());
        wasmparser::Validator::new_with_features(module.features())
            .validate_all(&naive)
            .unwrap_or_else(|error| panic!("{name}: the oracle made it invalid: {error}"));
        let overrun = real.fuel().expect("a metered module").overrun_max;
        Some(Self {
            name: name.to_owned(),
            real: Module::new(engine, real.wasm()).ok()?,
            naive: Module::new(engine, naive).ok()?,
            overrun: i64::try_from(overrun).expect("an S below its cap"),
        })
    }

    /// The first look at a module: runs both with a budget, and with exactly what the first export consumed and one
    /// unit less. Gives what the naive one showed; `None` when neither instantiates.
    ///
    /// # Panics
    /// When they disagree.
    pub fn compare_and_sweep(&self, budget: i64, tally: &mut Tally) -> Option<Vec<Observation>> {
        let observations = self.compare(budget, tally)?;
        tally.modules += 1;
        self.sweep(&observations);
        Some(observations)
    }

    /// Runs both with a budget. Gives what the naive one showed; `None` when neither
    /// instantiates.
    ///
    /// # Panics
    /// When they disagree.
    pub fn compare(&self, budget: i64, tally: &mut Tally) -> Option<Vec<Observation>> {
        let naive = observe_compiled(&self.naive, budget);
        let real = observe_compiled(&self.real, budget);
        assert_eq!(naive.is_some(), real.is_some(), "{}: only one instantiates", self.name);
        let (naive, real) = (naive?, real?);
        tally.runs += 1;
        for (expected, seen) in naive.iter().zip(&real) {
            assert_eq!(expected.export, seen.export);
            if expected.end == End::StackOverflow || seen.end == End::StackOverflow {
                break;
            }
            self.agree(expected, seen, budget);
            tally.calls += 1;
            tally.events += expected.trace.len() as u64;
            match &expected.end {
                End::Returned(_) | End::Threw => tally.returned += 1,
                End::Trapped(_) => tally.trapped += 1,
                End::OutOfFuel | End::StackOverflow => tally.out_of_fuel += 1,
            }
            // Out of fuel the two stop at different places, and their states differ from
            // there on. A trap comes at the same operator.
            if expected.end == End::OutOfFuel || seen.end == End::OutOfFuel {
                break;
            }
        }
        Some(naive)
    }

    fn agree(&self, expected: &Observation, seen: &Observation, budget: i64) {
        let context = || {
            format!(
                "{}, export {:?}, budget {budget}, S {}\nnaive: {:?} {} {} events\nreal:  {:?} {} {} events",
                self.name,
                expected.export,
                self.overrun,
                expected.end,
                expected.consumed,
                expected.trace.len(),
                seen.end,
                seen.consumed,
                seen.trace.len()
            )
        };
        assert_eq!(expected.trace, seen.trace, "the host sees different fuel: {}", context());
        // Whatever the guest can check itself, it has to.
        assert_eq!(expected.ended_by_host, seen.ended_by_host, "{}", context());
        match (&expected.end, &seen.end) {
            (End::Returned(_) | End::Threw, _) => {
                assert_eq!(expected.end, seen.end, "{}", context());
                assert_eq!(expected.consumed, seen.consumed, "{}", context());
            }
            // A region is paid for as a whole: a trap inside it may come first
            // on one side, and within S of the budget.
            (End::Trapped(_), End::OutOfFuel) => {
                assert!(budget - expected.consumed <= self.overrun, "{}", context());
            }
            (End::OutOfFuel, End::Trapped(_)) => {}
            _ => {
                assert_eq!(expected.end, seen.end, "{}", context());
                if seen.is_exact {
                    assert_eq!(expected.consumed, seen.consumed, "{}", context());
                }
            }
        }
    }

    /// Exactly enough must do, one unit less must not.
    fn sweep(&self, observations: &[Observation]) {
        let Some(first) = observations.first() else { return };
        if !matches!(first.end, End::Returned(_)) || first.consumed == 0 {
            return;
        }
        let enough = observe_compiled(&self.real, first.consumed).expect("it instantiated");
        assert_eq!(enough[0].end, first.end, "{}: F must do", self.name);
        assert_eq!(enough[0].consumed, first.consumed, "{}", self.name);
        let short = observe_compiled(&self.real, first.consumed - 1).expect("it instantiated");
        assert_eq!(short[0].end, End::OutOfFuel, "{}: F-1 must not do", self.name);
    }
}
