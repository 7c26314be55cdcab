//! `bench adversaries`: modules made to be cheap in fuel and dear in time.
//!
//! For each: nanoseconds a unit, and how many times an ordinary program's that is. A
//! price is wrong where it is far above, unless FUEL.md ("What this model does not see")
//! says why no price can be right. Each module does its work in a loop that ends by
//! itself, so that its fuel is exact. The ordinary program runs before each run of an
//! adversary, and the ratio is that of the medians. Prints; judges nothing. With
//! `BLS_ADVERSARIES=host` in the environment only that part runs.
//!
//! | part | tries |
//! |---|---|
//! | `control` | calls, branches, locals, exceptions, code that fits no cache |
//! | `memory` | lengths, pages, caches, tables |
//! | `objects` | the collector's heap |
//! | `numbers` | every numeric operator, one after the other |
//! | `host` | every function of preview 1, with the dearest arguments that were found |

mod control;
mod host;
mod memory;
mod numbers;
mod objects;

use super::statistics::Samples;
use super::table::Table;
use super::{Bench, report};
use crate::programs::fixtures;
use std::path::{Path, PathBuf};

/// The variable that names one part, where not all are wanted.
const PART: &str = "BLS_ADVERSARIES";
/// Runs of each.
pub(super) const RUNS: usize = 5;
/// How many times an ordinary unit's time nothing that has a price should take.
const RATIO_MAX: f64 = 20.0;
/// How many numeric operators are shown: the dearest.
const NUMBERS_SHOWN: usize = 16;

/// What a module imports, holds and does `times` times.
struct Adversary {
    name: String,
    /// Imports, memories, tables, functions, by whatever text they need.
    parts: String,
    /// What is done once, before the loop.
    setup: String,
    base: Base,
    /// What stands in the loop.
    body: String,
    times: u32,
}

/// What is run beside an adversary, and taken off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    /// Nothing: its loop is all that counts.
    Nothing,
    /// The same with one round.
    Once,
    /// A module that holds and does nothing.
    Empty,
}

/// What was measured of one.
struct Measured {
    units: f64,
    /// Nanoseconds a unit.
    each: f64,
    /// The same of the ordinary program, between these runs.
    ordinary: f64,
}

/// Prints the tables.
pub(super) fn run(bench: &Bench, runs: usize) -> Result<(), String> {
    let ordinary = bench.make(&fixtures().join("c/compute.wasm"), "ordinary", &[])?.path;
    let measure = |adversary: &Adversary| {
        measured(bench, &ordinary, adversary, runs)
            .inspect_err(|what| println!("left out: {}: {what}", adversary.name))
            .ok()
    };
    let list = [
        ("control", control::all()),
        ("memory", memory::all()),
        ("objects", objects::all()),
        ("numbers", numbers::chosen()),
        ("host", host::all()),
    ];
    let wanted = std::env::var(PART).ok();
    let is_wanted = |part: &str| wanted.as_deref().is_none_or(|wanted| wanted == part);
    let mut table = Table::new(&HEADINGS);
    let chosen = list.iter().filter(|(part, _)| is_wanted(part));
    for adversary in chosen.flat_map(|(_, adversaries)| adversaries) {
        if let Some(measured) = measure(adversary) {
            table.row(measured.row(&adversary.name));
        }
    }
    table.print(
        "Nanoseconds for a unit of fuel, run stage, medians; beside c/compute, run in between",
    );

    if !is_wanted("numbers") {
        return Ok(());
    }
    let mut operators: Vec<_> = numbers::every()
        .into_iter()
        .filter_map(|adversary| Some((measure(&adversary)?, adversary.name)))
        .collect();
    operators.sort_by(|(one, _), (other, _)| other.ratio().total_cmp(&one.ratio()));
    let mut table = Table::new(&HEADINGS);
    for (measured, name) in operators.iter().take(NUMBERS_SHOWN) {
        table.row(measured.row(name));
    }
    let count = operators.len();
    table.print(&format!(
        "The same for numeric operators, each after another of its kind: the dearest of {count}"
    ));
    Ok(())
}

const HEADINGS: [&str; 5] = ["adversary", "units", "ns a unit", "× ordinary", ""];

impl Measured {
    fn ratio(&self) -> f64 {
        self.each / self.ordinary
    }

    fn row(&self, name: &str) -> Vec<String> {
        vec![
            name.to_owned(),
            format!("{:.0}", self.units),
            format!("{:.2}", self.each),
            format!("{:.1}", self.ratio()),
            if self.ratio() > RATIO_MAX { "above".into() } else { String::new() },
        ]
    }
}

/// Runs an adversary and the ordinary program in turns.
fn measured(
    bench: &Bench,
    ordinary: &Path,
    adversary: &Adversary,
    runs: usize,
) -> Result<Measured, String> {
    eprintln!("adversaries: {}", adversary.name);
    let make = |name: &str, text: String| -> Result<PathBuf, String> {
        let path = bench.home.path(&format!("{name}.wat"));
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        Ok(bench.make(&path, name, &[])?.path)
    };
    let whole = make("adversary", adversary.text(adversary.times))?;
    let base = match adversary.base {
        Base::Nothing => None,
        Base::Once => Some(make("base", adversary.text(1))?),
        Base::Empty => Some(make("base", Adversary::new("", 1, "", "").text(1))?),
    };
    let [mut plain, mut time, mut base_time]: [Samples; 3] = Default::default();
    let [mut units, mut base_units] = [0.0; 2];
    for _ in 0..runs {
        let (ordinary_time, ordinary_units) = once(bench, ordinary)?;
        plain.push(ordinary_time / ordinary_units);
        let took;
        (took, units) = once(bench, &whole)?;
        time.push(took);
        if let Some(base) = &base {
            let took;
            (took, base_units) = once(bench, base)?;
            base_time.push(took);
        }
    }
    let off = if base.is_some() { base_time.median() } else { 0.0 };
    let units = units - base_units;
    Ok(Measured {
        units,
        each: (time.median() - off) * 1000.0 / units,
        ordinary: plain.median() * 1000.0,
    })
}

/// One run in a fresh folder that it may use: microseconds and units.
fn once(bench: &Bench, artifact: &Path) -> Result<(f64, f64), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (_, report) = bench.report_in(Some(folder.path()), artifact, &[])?;
    let time = report::run_time(&report).ok_or("the report has no run stage")?;
    let units = report::consumed(&report).ok_or("the report has no fuel")?;
    Ok((time, units as f64))
}

impl Adversary {
    fn new(
        name: impl Into<String>,
        times: u32,
        parts: impl Into<String>,
        body: impl Into<String>,
    ) -> Self {
        let (name, parts, body) = (name.into(), parts.into(), body.into());
        Self { name, parts, setup: String::new(), base: Base::Nothing, body, times }
    }

    /// The same, behind something that is not measured.
    fn behind(self, setup: impl Into<String>) -> Self {
        Self { setup: setup.into(), base: Base::Once, ..self }
    }

    /// Only what is done before anything runs.
    fn start(name: &str, parts: impl Into<String>) -> Self {
        Self { base: Base::Empty, ..Self::new(format!("instantiation: {name}"), 1, parts, "") }
    }

    /// The module. `$i` counts down; `$x`, `$y` and `$z` are there to be used.
    fn text(&self, times: u32) -> String {
        let memory =
            if self.parts.contains("(memory") { "" } else { r#"(memory (export "memory") 1)"# };
        format!(
            r#"(module {parts} {memory}
                (func (export "_start")
                    (local $i i32) (local $x i32) (local $y i64) (local $z v128)
                    {setup}
                    (local.set $i (i32.const {times}))
                    (loop $again
                        {body}
                        (br_if $again
                            (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))))"#,
            parts = self.parts,
            setup = self.setup,
            body = self.body,
        )
    }
}
