//! `bench nans`: what canonical NaNs cost float kernels.
//!
//! The kernels of `fixtures/kernels` in one process, in turns: artifacts as bls-compile makes
//! them, without the rule (`--fast-nans`) and with it; and the same metered module compiled by
//! the engine for this CPU, without its own rule and with it. Each way's hash of all numbers is
//! compared. What is compared are times beside each other; each pair has one code generator.

use super::statistics::{Samples, geometric_mean};
use super::table::{Table, milliseconds, ratio};
use crate::embedded::{artifact_with, key, options};
use crate::nans::{Kernels, Rules, kernels};
use bls_artifact::target::Nans;
use bls_compiler::input::Source;
use bls_compiler::pipeline::{Options, front};
use bls_loader::{Loader, Trust};
use std::time::Instant;
use wasmtime::{Engine, Module};

/// Rounds of each comparison.
pub(super) const RUNS: usize = 15;
/// About how long one measurement takes, in microseconds.
const LONG_ENOUGH: f64 = 12_000.0;

/// Prints a table for code without vectors and one for code with.
pub(super) fn run(runs: usize) -> Result<(), String> {
    table("kernels", "nans: without vectors", runs)?;
    table("kernels-simd", "nans: with simd128", runs)
}

fn table(name: &str, what: &str, runs: usize) -> Result<(), String> {
    let wasm = kernels(name);
    let rules = Rules::default();
    let fast = Options { nans: Nans::Fast, ..options() };
    let source = Source::new(wasm.clone(), name).map_err(|error| error.to_string())?;
    let audited =
        front(source, &options(), &mut |_| {}).map_err(|error| error.to_string())?.audited;
    let both = rules.both(name, audited.wasm()).ok_or("the engine's own rule does it")?;
    let ways = [
        made(name, &wasm, &fast)?,
        made(name, &wasm, &options())?,
        both.without.clone(),
        both.by_engine.clone(),
    ];
    let mut instances = ways.each_ref().map(Kernels::new);
    let mut table =
        Table::new(&["kernel", "without ms", "with ms", "ratio", "of minima", "engine's"]);
    let mut columns: [Vec<f64>; 3] = Default::default();
    let names = instances[0].names();
    for (kernel, name) in names.iter().enumerate() {
        let [first, ..] = &mut instances;
        let begin = Instant::now();
        let expected = first.run(kernel, 1);
        let once = begin.elapsed().as_secs_f64() * 1e6;
        let rounds = (LONG_ENOUGH / once).clamp(1.0, 1000.0) as i32;
        let mut samples: [Samples; 4] = Default::default();
        for round in 0..=runs {
            for (instance, samples) in instances.iter_mut().zip(&mut samples) {
                if round == 0 && instance.run(kernel, 1) != expected {
                    return Err(format!("{name}: other numbers"));
                }
                let begin = Instant::now();
                let _ = instance.run(kernel, rounds);
                if round > 0 {
                    samples.push(begin.elapsed().as_secs_f64() * 1e6);
                }
            }
        }
        let [without, with, plain, engines] = &samples;
        let ratios = [
            with.median_over(without),
            with.minimum() / without.minimum(),
            engines.median_over(plain),
        ];
        for (column, value) in columns.iter_mut().zip(ratios) {
            column.push(value);
        }
        let times = [without, with].map(|all| milliseconds(all.median() / f64::from(rounds)));
        let mut row = vec![name.clone()];
        row.extend(times);
        row.extend(ratios.map(|value| ratio(Some(value))));
        table.row(row);
    }
    let mut summary = |name: &str, of: &dyn Fn(&[f64]) -> Option<f64>| {
        let mut row = vec![name.to_owned(), String::new(), String::new()];
        row.extend(columns.iter().map(|column| ratio(of(column))));
        table.row(row);
    };
    summary("geometric mean", &geometric_mean);
    summary("worst", &|column| column.iter().copied().max_by(f64::total_cmp));
    table.print(&format!(
        "{what}: canonical NaNs over the CPU's, {runs} runs in turns, all metered; {} checks; \
         beside it the engine's own rule over none, by the engine",
        both.checks
    ));
    Ok(())
}

/// The artifact's module, as a run has it.
fn made(name: &str, wasm: &[u8], options: &Options) -> Result<Module, String> {
    let loader = Loader::new(Trust::key(key().public()));
    let bytes = artifact_with(name, wasm, options);
    let verified = loader.open_bytes(name, bytes).map_err(|error| error.to_string())?;
    let config = verified.facts().part().profile.config();
    let engine = Engine::new(&config).map_err(|error| format!("{error:#}"))?;
    verified.module_in(&engine).map_err(|error| error.to_string())
}
