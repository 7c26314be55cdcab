//! Stage `link`, held to what others say: the engine's own linker, binaryen's `wasm-merge`, and
//! the naive meter.

use bls_compiler::input::Source;
use bls_tests::differential;
use bls_tests::linked::{
    Named, apart, engine, has_start, imports_only_functions, linked, program, together,
};
use bls_tests::pair::{Pair, Tally};
use bls_tests::programs::fixtures;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first seed and how many, from the variables `NAME_SEED` and `NAME`.
fn seeds(name: &str, rounds: u64) -> std::ops::Range<u64> {
    let number = |name: &str, default| match std::env::var(name) {
        Ok(number) => number.parse().unwrap_or_else(|_| panic!("{name} is no number")),
        Err(_) => default,
    };
    let first = number(&format!("{name}_SEED"), 1);
    first..first + number(name, rounds)
}

/// The linked module. The one thing that is refused of valid modules is a table that begins with
/// an object of another module.
fn of_modules(seed: u64, modules: &[Named]) -> Option<Source> {
    match linked(modules) {
        Ok(source) => Some(source),
        Err(error) if error.code() == "link.table-initial" => None,
        Err(error) => panic!("seed {seed}: {error}"),
    }
}

/// Programs by seed.
fn programs(seeds: std::ops::Range<u64>) -> impl Iterator<Item = (u64, Vec<Named>)> {
    seeds.filter_map(|seed| Some((seed, program(seed)?)))
}

#[test]
fn linked_programs_do_what_their_modules_do_one_after_the_other() {
    let engine = engine();
    let (mut compared, mut stood, mut ticks, mut calls, mut resolved) = (0, 0, 0, 0, 0);
    let range = seeds("BLS_LINKED", 1000);
    let rounds = range.end - range.start;
    for (seed, modules) in programs(range) {
        let Some(source) = of_modules(seed, &modules) else { continue };
        bls_compiler::validate::validate(source.clone(), &bls_tests::modules::profile())
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let before = apart(&engine, &modules);
        let after = together(&engine, source.wasm(), &modules[modules.len() - 1].0);
        let (Some(before), Some(after)) = (before, after) else { continue };
        assert_eq!(after, before, "seed {seed}");
        compared += 1;
        stood += u64::from(before.stands);
        ticks += before.ticks.len();
        calls += before.calls.len();
        resolved += u64::from(imports_only_functions(&engine, source.wasm()));
    }
    println!(
        "{rounds} seeds: {compared} compared, {stood} of them stood; {calls} calls, {ticks} calls of the host"
    );
    assert!(compared > rounds / 3 && stood > rounds / 8, "{compared} {stood}");
    assert!(calls > rounds as usize && ticks > 0, "{calls} {ticks}");
    assert_eq!(resolved, compared, "what a module exports is imported of nobody");
}

#[test]
fn fuel_of_linked_programs_is_that_of_the_naive_meter() {
    let engine = differential::engine();
    let mut tally = Tally::default();
    let range = seeds("BLS_LINKED_FUEL", 150);
    let rounds = range.end - range.start;
    for (seed, modules) in programs(range) {
        let Some(source) = of_modules(seed, &modules) else { continue };
        let name = format!("linked, seed {seed}");
        let Some(pair) = Pair::of(&engine, &name, source.wasm().to_vec()) else { continue };
        pair.compare_and_sweep(200_000, &mut tally);
        for budget in [(seed % 977) as i64 + 1, 40] {
            pair.compare(budget, &mut tally);
        }
    }
    println!("{tally}");
    assert!(tally.runs > rounds && tally.returned > 0 && tally.out_of_fuel > 0, "{tally}");
}

/// The libraries of `fixtures/linked`, and an entry.
fn of_four_languages(entry: &str) -> Vec<Named> {
    let read = |name: &str| std::fs::read(fixtures().join("linked").join(name)).expect("a fixture");
    let mut modules: Vec<Named> = [
        ("clib", "c_step.wasm"),
        ("rustlib", "rust_step.wasm"),
        ("ziglib", "zig_step.wasm"),
        ("aslib", "as_step.wasm"),
    ]
    .into_iter()
    .map(|(name, file)| (name.to_owned(), read(file)))
    .collect();
    modules.push(("main".to_owned(), read(entry)));
    modules
}

#[test]
fn fuel_of_four_languages_is_that_of_the_naive_meter() {
    let engine = differential::engine();
    let mut tally = Tally::default();
    for entry in ["c_main.wasm", "rust_main.wasm", "zig_main.wasm", "as_main.wasm"] {
        let source = linked(&of_four_languages(entry)).expect("a program");
        let pair = Pair::of(&engine, entry, source.wasm().to_vec()).expect("a valid module");
        let seen = pair.compare_and_sweep(100_000_000, &mut tally);
        assert!(seen.is_some_and(|seen| !seen.is_empty()), "{entry}");
        for budget in [1, 100, 5000] {
            pair.compare(budget, &mut tally);
        }
    }
    println!("{tally}");
    assert!(tally.modules == 4 && tally.events > 30, "{tally}");
}

/// A program that calls by name, so that generated code is metered too.
#[test]
fn fuel_of_calls_by_name_is_that_of_the_naive_meter() {
    let read =
        |name: &str| wat::parse_file(fixtures().join("linked").join(name)).expect("a fixture");
    let modules = [
        ("callee".to_owned(), read("mcall_callee.wat")),
        ("middle".to_owned(), read("mcall_middle.wat")),
        ("app".to_owned(), read("mcall_app.wat")),
    ];
    let source = linked(&modules).expect("a program");
    let mut tally = Tally::default();
    let engine = differential::engine();
    let pair = Pair::of(&engine, "mcall", source.wasm().to_vec()).expect("a valid module");
    let seen = pair.compare_and_sweep(10_000_000, &mut tally).expect("it stands");
    let most = seen.iter().map(|one| one.consumed).max().unwrap_or(0);
    assert!(most > 1000, "{seen:?}");
    for budget in (1..most).step_by(53) {
        pair.compare(budget, &mut tally);
    }
    println!("{tally}");
    assert!(tally.out_of_fuel > 10 && tally.returned > 0, "{tally}");
}

/// `wasm-merge`, where it is there: `BLS_WASM_MERGE` names it, or PATH has it.
fn wasm_merge() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("BLS_WASM_MERGE") {
        return Some(named.into());
    }
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|folder| folder.join("wasm-merge")).find(|one| one.is_file())
}

/// What another linker makes of a program.
fn merged(tool: &Path, folder: &Path, modules: &[Named]) -> Option<Vec<u8>> {
    let mut command = Command::new(tool);
    for (name, wasm) in modules {
        let file = folder.join(format!("{name}.wasm"));
        std::fs::write(&file, wasm).expect("a file");
        command.arg(file).arg(name);
    }
    let output = folder.join("merged.wasm");
    let _ = std::fs::remove_file(&output);
    command.arg("-o").arg(&output).args([
        "--enable-multimemory",
        "--enable-reference-types",
        "--enable-bulk-memory",
        "--enable-exception-handling",
        "--enable-tail-call",
        "--enable-multivalue",
        "--enable-mutable-globals",
        "--enable-extended-const",
        "--enable-memory64",
        "--enable-sign-ext",
        "--enable-nontrapping-float-to-int",
        "--enable-gc",
    ]);
    let ended = command.output().expect("wasm-merge runs");
    std::fs::read(output).ok().filter(|_| ended.status.success())
}

/// An implementation that nobody here wrote: what it links does the same. It does not order
/// segments behind an earlier module's start function, so programs with one are left out.
#[test]
fn linked_programs_do_what_those_of_wasm_merge_do() {
    let Some(tool) = wasm_merge() else {
        println!("no wasm-merge: BLS_WASM_MERGE names it (npm install binaryen)");
        return;
    };
    let engine = engine();
    let folder = tempfile::tempdir().expect("a folder");
    let (mut compared, mut calls) = (0, 0);
    let range = seeds("BLS_MERGED", 100);
    let rounds = range.end - range.start;
    for (seed, modules) in programs(range) {
        if modules.iter().any(|(_, wasm)| has_start(wasm)) {
            continue;
        }
        let Some(theirs) = merged(&tool, folder.path(), &modules) else { continue };
        if wasmtime::Module::new(&engine, &theirs).is_err() {
            continue;
        }
        let Some(ours) = of_modules(seed, &modules) else { continue };
        let (entry, _) = &modules[modules.len() - 1];
        let (Some(ours), Some(theirs)) =
            (together(&engine, ours.wasm(), entry), together(&engine, &theirs, entry))
        else {
            continue;
        };
        assert_eq!(ours, theirs, "seed {seed}");
        compared += 1;
        calls += ours.calls.len();
    }
    println!("{rounds} seeds: {compared} compared, {calls} calls");
    assert!(compared > rounds / 10, "{compared}");
}
