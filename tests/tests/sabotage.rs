//! Whatever is done to a metered module, the audit notices (FUEL.md, "The
//! audit").
//!
//! Each mutant that is valid must be refused, but for those that behave as their
//! victim does. Which kinds can do that, and why, is [`EQUIVALENT`]; that they
//! do is looked at by running both.

use bls_artifact::manifest::Fuel;
use bls_compiler::audit::{self, AuditError};
use bls_compiler::meter;
use bls_compiler::validate::Validated;
use bls_tests::differential::{End, Observation, engine, observe};
use bls_tests::modules::{fixtures, generate, profile, valid};
use bls_tests::programs;
use bls_tests::sabotage::Victim;
use std::collections::BTreeMap;
use wasmtime::Engine;

/// Kinds of mutants that can be as right as their victims.
const EQUIVALENT: &[(&str, &str)] = &[
    ("check twice", "the second finds what the first found"),
    ("check dropped", "a loop's own, where every round meets the check of a loop inside"),
    ("check against another number", "it pays ahead for the operator behind it"),
    ("load twice", "the second loads what the first loaded"),
    ("store twice", "the second stores what the first stored"),
    ("load dropped", "the local is not used again: the guest traps, or another load follows"),
    ("load too many", "the global holds what the local does, or the local is not used again"),
    ("store dropped", "the global holds the same already: nothing ran since it was loaded"),
    ("charge too many", "the local is not used again, or is about to be loaded"),
    ("refund", "the local is not used again, or is about to be loaded"),
    ("neighbours swapped", "a check and a store: neither changes the count"),
    ("charge moved back", "past an operator that nobody can see from outside"),
    (
        "charge moved back, past a branch",
        "past an end or a header that control comes to one way only",
    ),
];

/// Mutants that are made of one module at most.
const MUTANTS_MAX: usize = 700;
/// Budgets for runs of mutants that pass.
const BUDGETS: [i64; 2] = [200_000, 90];

/// A module, metered.
struct Case {
    name: String,
    module: Validated,
    wasm: Vec<u8>,
    fuel: Fuel,
}

impl Case {
    fn of(name: String, wasm: Vec<u8>) -> Option<Self> {
        let module = valid(wasm)?;
        let metered = meter::meter(&module).ok()?;
        Some(Self { name, module, wasm: metered.wasm, fuel: metered.fuel })
    }

    fn audit(&self, wasm: &[u8]) -> Result<(), AuditError> {
        audit::compare(&self.module, wasm, &self.fuel).map(|_| ())
    }
}

/// Fixtures, generated modules and two real programs.
fn cases() -> Vec<Case> {
    let mut cases: Vec<_> =
        fixtures().into_iter().filter_map(|(name, wasm)| Case::of(name, wasm)).collect();
    for seed in 1..=40 {
        cases.extend(generate(seed).and_then(|wasm| Case::of(format!("seed {seed}"), wasm)));
    }
    for name in ["c/hello.wasm", "c/compute.wasm"] {
        let wasm = std::fs::read(programs::fixtures().join(name)).expect("a fixture");
        cases.extend(Case::of(name.to_owned(), wasm));
    }
    cases
}

/// How many mutants of a kind came to what.
#[derive(Default)]
struct Tally {
    invalid: u64,
    refused: u64,
    refused_alone: u64,
    equivalent: u64,
}

#[test]
fn every_mutant_is_refused_or_behaves_the_same() {
    let engine = engine();
    let features = profile().wasm_features();
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut unexpected = BTreeMap::new();
    let cases = cases();
    for case in &cases {
        case.audit(&case.wasm).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let victim = Victim::of(&case.wasm);
        let mutants = victim.mutants();
        let mut expected = Expected { engine: &engine, case, seen: BTreeMap::new() };
        for mutant in mutants.iter().step_by(mutants.len().div_ceil(MUTANTS_MAX).max(1)) {
            let wasm = victim.build(mutant);
            if wasm == case.wasm {
                continue;
            }
            let tally = tallies.entry(mutant.kind).or_default();
            match case.audit(&wasm) {
                Err(AuditError::Invalid(_)) => tally.invalid += 1,
                Err(AuditError::Broken(_)) => {
                    tally.refused += 1;
                    tally.refused_alone += u64::from(audit::examine(&wasm, features).is_err());
                }
                Err(error) => panic!("{}: {error}", case.name),
                Ok(()) => {
                    let place = format!(
                        "{}: {:?} at operator {} of defined function {}",
                        case.name, mutant.kind, mutant.at, mutant.function
                    );
                    let is_known = EQUIVALENT.iter().any(|(kind, _)| *kind == mutant.kind);
                    expected.compare(&wasm, &place);
                    if !is_known {
                        unexpected.entry(mutant.kind).or_insert(place);
                    }
                    tally.equivalent += 1;
                }
            }
        }
    }
    report(&tallies, cases.len());
    assert!(unexpected.is_empty(), "these pass: {unexpected:#?}");
    for (kind, _) in EQUIVALENT {
        let is_needed = tallies.get(kind).is_some_and(|tally| tally.equivalent > 0);
        assert!(is_needed, "{kind:?} is no exception any more");
    }
}

/// Prints the tally, and holds it to what was promised.
fn report(tallies: &BTreeMap<&str, Tally>, modules: usize) {
    println!("{:36} {:>7} {:>7} {:>7} {:>7}", "mutant", "invalid", "refused", "alone", "same");
    let mut all = Tally::default();
    for (kind, tally) in tallies {
        println!(
            "{kind:36} {:>7} {:>7} {:>7} {:>7}",
            tally.invalid, tally.refused, tally.refused_alone, tally.equivalent
        );
        all.invalid += tally.invalid;
        all.refused += tally.refused;
        all.refused_alone += tally.refused_alone;
        all.equivalent += tally.equivalent;
        assert!(tally.invalid + tally.refused + tally.equivalent > 0, "{kind}: none was made");
    }
    println!(
        "{modules} modules, {} mutants: {} refused ({} of them without source and claims), {} behave the same, {} are invalid",
        all.invalid + all.refused + all.equivalent,
        all.refused,
        all.refused_alone,
        all.equivalent,
        all.invalid,
    );
    assert!(modules >= 20, "only {modules} modules");
    assert!(all.refused >= 10_000, "only {} mutants were refused", all.refused);
}

/// What a victim shows when it runs, by budget.
struct Expected<'c> {
    engine: &'c Engine,
    case: &'c Case,
    seen: BTreeMap<i64, Option<Vec<Observation>>>,
}

impl Expected<'_> {
    /// A mutant must show the same.
    fn compare(&mut self, mutant: &[u8], place: &str) {
        for budget in BUDGETS {
            let (engine, case) = (self.engine, self.case);
            let seen =
                self.seen.entry(budget).or_insert_with(|| observe(engine, &case.wasm, budget));
            let expected = visible(seen.clone());
            let found = visible(observe(engine, mutant, budget));
            assert_eq!(expected, found, "{place} passes, and differs with a budget of {budget}");
        }
    }
}

/// What a host can rely on: at most traps of the guest's the counter says nothing.
fn visible(seen: Option<Vec<Observation>>) -> Option<Vec<Observation>> {
    let mut seen = seen?;
    for observation in &mut seen {
        if !observation.is_exact {
            observation.consumed = 0;
        }
    }
    // How deep the native stack goes depends on frames.
    let overflow = seen.iter().position(|observation| observation.end == End::StackOverflow);
    seen.truncate(overflow.unwrap_or(seen.len()));
    Some(seen)
}

#[test]
fn wrong_claims_are_refused() {
    for case in cases() {
        let refused = |change: &dyn Fn(&mut Fuel), name: &str| {
            let mut fuel = case.fuel.clone();
            change(&mut fuel);
            let error = audit::compare(&case.module, &case.wasm, &fuel).expect_err(&case.name);
            assert_eq!(error.rule().map(audit::Rule::name), Some(name), "{}: {error}", case.name);
        };
        refused(&|fuel| fuel.overrun_max += 1, "claimed-bound");
        refused(&|fuel| fuel.overrun_max = fuel.overrun_max.wrapping_sub(1), "claimed-bound");
        refused(&|fuel| fuel.instantiation += 1, "claimed-instantiation");
        refused(&|fuel| fuel.instantiation = u64::MAX, "claimed-instantiation");
        refused(&|fuel| fuel.plan += 1, "claimed-model");
        refused(&|fuel| fuel.model.push('x'), "claimed-model");
    }
}

/// Any byte outside the code: the source's sections are there unchanged.
#[test]
fn every_bit_outside_the_code_counts() {
    let mut flipped = 0_u64;
    for case in cases().iter().filter(|case| case.wasm.len() < 4000) {
        let code =
            wasmparser::Parser::new(0).parse_all(&case.wasm).find_map(|payload| {
                match payload.unwrap() {
                    wasmparser::Payload::CodeSectionStart { range, .. } => Some(range),
                    _ => None,
                }
            });
        let code = code.unwrap_or(0..0);
        for at in (0..case.wasm.len()).filter(|at| !code.contains(at)) {
            for bit in 0..8 {
                let mut wasm = case.wasm.clone();
                wasm[at] ^= 1 << bit;
                let refused = case.audit(&wasm).is_err();
                assert!(refused, "{}: bit {bit} of byte {at:#x} is free", case.name);
                flipped += 1;
            }
        }
    }
    println!("{flipped} bits flipped");
    assert!(flipped > 10_000);
}
