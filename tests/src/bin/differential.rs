//! `differential [--seconds N] [--seed S]`: both meters on made-up, on changed and on deep
//! modules for as long as one likes.
//!
//! A seed is a module of wasm-smith's, one of wasm-mutate's (`bls_tests::mutate`) or one
//! whose calls go deep (`bls_tests::deep`), each run with three budgets; each kind gets a
//! third of the time. Prints what it has compared, and
//! ends with exit code 101 and the name of the module at the first disagreement. A seed
//! gives the same module everywhere, when `BLS_SHARED` is the same.

#![forbid(unsafe_code)]

use bls_tests::deep::deep;
use bls_tests::differential::engine;
use bls_tests::modules::generate;
use bls_tests::mutate::{mutate, originals};
use bls_tests::pair::{Pair, Tally};
use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use wasmtime::Engine;

const HELP: &str = "\
The product's meter against the naive one, on wasm-smith's, wasm-mutate's and deep modules.

Usage: differential [--seconds N] [--seed S]

  --seconds N  stop after so long [default: 3600]
  --seed S     the first seed [default: 1]

BLS_SHARED names a folder with more originals in guests/ and bench/.
";

/// How often it says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((seconds, first)) = arguments(&words) else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    let (engine, originals) = (engine(), originals());
    println!("{} originals, seeds from {first}, {seconds} s", originals.len());

    let begin = Instant::now();
    let mut said = begin;
    let mut made_up = Series::new("made up", first);
    let mut changed = Series::new("changed", first);
    let mut calling = Series::new("deep", first);
    while begin.elapsed() < Duration::from_secs(seconds) {
        // A third of the time for each.
        let least = made_up.time.min(changed.time).min(calling.time);
        if calling.time == least {
            calling.next(|seed| Some(compare(&engine, "deep", deep(seed), seed)));
        } else if made_up.time == least {
            made_up.next(|seed| generate(seed).map(|wasm| compare(&engine, "made up", wasm, seed)));
        } else {
            changed.next(|seed| {
                let original = &originals[(seed % originals.len() as u64) as usize];
                mutate(original, seed).map(|wasm| compare(&engine, &original.name, wasm, seed))
            });
        }
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            println!("{} s\n  {made_up}\n  {changed}\n  {calling}", begin.elapsed().as_secs());
        }
    }
    println!(
        "{} s\n  {made_up}\n  {changed}\n  {calling}\nno disagreement",
        begin.elapsed().as_secs()
    );
    ExitCode::SUCCESS
}

/// Modules of one kind, a seed each.
struct Series {
    kind: &'static str,
    first: u64,
    seed: u64,
    time: Duration,
    tally: Tally,
}

impl Series {
    fn new(kind: &'static str, first: u64) -> Self {
        Self { kind, first, seed: first, time: Duration::ZERO, tally: Tally::default() }
    }

    fn next(&mut self, compare: impl FnOnce(u64) -> Option<Tally>) {
        let begin = Instant::now();
        self.tally += compare(self.seed).unwrap_or_default();
        self.seed += 1;
        self.time += begin.elapsed();
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, first, seed, tally, .. } = self;
        write!(f, "{kind}, seeds {first} to {}: {tally}", seed - 1)
    }
}

/// Seconds and the first seed.
fn arguments(words: &[String]) -> Option<(u64, u64)> {
    let (mut seconds, mut seed) = (3600, 1);
    for pair in words.chunks(2) {
        let [option, value] = pair else { return None };
        match option.as_str() {
            "--seconds" => seconds = value.parse().ok()?,
            "--seed" => seed = value.parse().ok()?,
            _ => return None,
        }
    }
    Some((seconds, seed))
}

/// One module with a budget that is enough for most, a small one and a tiny one.
fn compare(engine: &Engine, what: &str, wasm: Vec<u8>, seed: u64) -> Tally {
    let mut tally = Tally::default();
    let name = format!("{what} with seed {seed}");
    let Some(pair) = Pair::of(engine, &name, wasm) else { return tally };
    if pair.compare_and_sweep(200_000, &mut tally).is_some() {
        for budget in [(seed % 9973) as i64 + 1, (seed % 41) as i64 + 1] {
            pair.compare(budget, &mut tally);
        }
    }
    tally
}
