//! Lines are the source's, through everything that is put into a module.

use super::*;
use crate::compile::{How, Image, generate};
use crate::input::Source;
use crate::link::{Part, link};
use crate::pipeline::{Options, front};
use bls_artifact::cpu::Machine;
use bls_artifact::debug::{Found, find};
use bls_artifact::target::{EngineProfile, Nans, Target};
use object::{Object as _, ObjectSection as _};
use std::path::Path;
use wasmparser::Operator;
use wasmtime_environ::obj::ELF_WASMTIME_TRAPS;
use wasmtime_environ::{CompiledTrap, Trap, iterate_traps};

/// Functions with all that is put between operators: charges and checks, copies of a loop, payments
/// for lengths, checks of NaNs.
const TEXT: &str = r#"(module
    (import "m" "host" (func $host (param i32)))
    (type $binary (func (param i32 i32) (result i32)))
    (memory (export "memory") 1) (table 2 funcref) (elem (i32.const 0) $divide)
    (global $sum (mut f64) (f64.const 0))
    (func $divide (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
    (func $loops (param i32) (result i32) (local i32)
        (loop (local.set 1 (i32.add (local.get 1) (i32.const 3)))
              (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (f64.store (i32.const 8) (f64.div (global.get $sum) (f64.const 3)))
        (loop (call $host (local.get 1))
              (br_if 0 (i32.rem_u (local.get 1) (local.get 0))))
        (i64.store (i32.mul (local.get 1) (i32.const 9)) (i64.trunc_f64_s (global.get $sum)))
        (call_indirect (type $binary) (local.get 1) (local.get 0) (local.get 0)))
    (func $bulk (param i32 f32)
        (memory.fill (local.get 0) (i32.const 7) (local.get 0))
        (f32.store (i32.const 4) (f32.mul (local.get 1) (local.get 1)))
        (if (local.get 0) (then (drop (i32.trunc_f32_u (local.get 1))) unreachable)
            (else (call $bulk (call $loops (local.get 0)) (local.get 1)))))
    (func (export "_start") (call $bulk (i32.const 5) (f32.const 1))))"#;

/// The image for each machine, with what was written about it.
fn made(source: Source, options: &Options) -> Vec<(Image, Vec<u8>)> {
    let front = front(source, options, &mut |_| {}).unwrap();
    let audited = &front.audited;
    let (ready, wasm) = (audited.without_profile(), audited.wasm());
    let traces = Traces::of(front.validated.source(), options.metered, ready, wasm).unwrap();
    let one = |machine: &Machine| {
        let profile = options.profile(machine.target());
        let how = How { threads: 1, addresses: true };
        let made = generate(wasm, audited.joining(), machine, &profile, how);
        let (image, addresses) = made.unwrap();
        (image, traces.table(&addresses.unwrap()).unwrap())
    };
    options.machines.iter().map(one).collect()
}

/// Every way to compile.
fn ways() -> Vec<Options> {
    let all = Options { debug_file: true, ..Options::new(Target::ALL) };
    vec![
        Options { metered: false, ..all.clone() },
        Options { metered: false, nans: Nans::Fast, ..all.clone() },
        Options { nans: Nans::Fast, ..all.clone() },
        Options { fuel_profile: true, ..all.clone() },
        all,
    ]
}

/// Where code of an image traps, and how.
fn traps(image: &Image) -> Vec<(u32, Trap)> {
    let file = object::File::parse(image.bytes()).unwrap();
    let section = file.section_by_name(ELF_WASMTIME_TRAPS).unwrap().data().unwrap();
    let traps = iterate_traps(section).unwrap();
    let normal = traps.filter_map(|(offset, trap)| match trap {
        CompiledTrap::Normal(trap) => Some((offset, trap)),
        _ => None,
    });
    normal.collect()
}

/// Whether an operator of the source may trap so.
fn may_trap(operator: &Operator<'_>, trap: Trap) -> bool {
    use Operator as O;
    let divides = matches!(operator, O::I32DivS { .. } | O::I32RemU { .. });
    let converts = matches!(operator, O::I64TruncF64S { .. } | O::I32TruncF32U { .. });
    match trap {
        Trap::IntegerDivisionByZero => divides,
        Trap::IntegerOverflow => divides || converts,
        Trap::BadConversionToInteger => converts,
        Trap::MemoryOutOfBounds => matches!(
            operator,
            O::F64Store { .. } | O::I64Store { .. } | O::F32Store { .. } | O::MemoryFill { .. }
        ),
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => {
            matches!(operator, O::CallIndirect { .. })
        }
        Trap::UnreachableCodeReached => matches!(operator, O::Unreachable),
        // Where a function begins.
        Trap::StackOverflow => true,
        _ => false,
    }
}

/// The operators of a module by where they begin, with their function.
fn operators(wasm: &[u8]) -> BTreeMap<u32, (u32, Operator<'_>)> {
    let mut all = BTreeMap::new();
    let module = Module::read("", wasm, 0).unwrap();
    for (body, index) in module.bodies.iter().zip(module.imported..) {
        let mut reader = body.get_operators_reader().unwrap();
        while !reader.eof() {
            let place = reader.original_position() as u32;
            all.insert(place, (index, reader.read().unwrap()));
        }
    }
    all
}

#[test]
fn whatever_traps_is_found_in_the_source_for_every_target() {
    let wasm = wat::parse_str(TEXT).unwrap();
    let operators = operators(&wasm);
    let mut count = 0;
    for options in ways() {
        let source = Source::new(wasm.clone(), "t").unwrap();
        for (image, table) in made(source, &options) {
            // Bytecode calls the engine where it would trap.
            if image.machine().target().is_portable() {
                continue;
            }
            let traps = traps(&image);
            let offsets: Vec<u32> = traps.iter().map(|(offset, _)| *offset).collect();
            let found = find(&table, &offsets).unwrap();
            let target = image.machine().target();
            let mut kinds = std::collections::HashSet::new();
            for ((offset, trap), found) in traps.iter().zip(found) {
                let Some(Found { index, own_index, source: Some(source), begin, .. }) = found
                else {
                    panic!("{target}: nothing is known of {trap:?} at {offset:#x}");
                };
                let (function, operator) = &operators[&source];
                // A cold path of the meter's is nobody's operator.
                let is_cold = *trap == Trap::UnreachableCodeReached && options.metered;
                assert!(may_trap(operator, *trap) || is_cold, "{target}: {trap:?}: {operator:?}");
                assert!(*function == own_index && own_index == index && begin < source);
                count += 1;
                kinds.insert(*trap);
            }
            assert!(kinds.len() >= 6, "{target}: {kinds:?}");
        }
    }
    assert!(count > 300, "only {count}");
}

#[test]
fn the_code_is_the_same_with_a_debug_file_and_without() {
    let wasm = wat::parse_str(TEXT).unwrap();
    let key = bls_artifact::key::PrivateKey::from_seed(&[1; 32]);
    for options in ways() {
        let built = |options: &Options| {
            let source = Source::new(wasm.clone(), "t").unwrap();
            crate::pipeline::build_source(source, options, &[&key], &mut |_| {}).unwrap()
        };
        let with = built(&options);
        let without = built(&Options { debug_file: false, ..options });
        assert_eq!(with.artifact.bytes(), without.artifact.bytes());
        assert!(without.debug_file.is_none());
        let file = with.debug_file.unwrap();
        let head = bls_artifact::debug::Head::read(&file, file.len() as u64).unwrap();
        let images = with.artifact.manifest().parts.iter().map(|part| part.image.sha256);
        assert!(images.eq(head.records.iter().map(|record| record.image)));
        assert_eq!(head.source, with.artifact.manifest().source);
    }
}

/// A fixture with DWARF.
fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/debug").join(name);
    std::fs::read(path).unwrap()
}

/// The line of a fixture's source with this comment.
fn marked(text: &str, mark: &str) -> u32 {
    let mark = format!("// {mark}");
    text.lines().position(|line| line.ends_with(&mark)).unwrap() as u32 + 1
}

/// What is found where the code of each image divides, or finds that it cannot.
fn divisions(made: &[(Image, Vec<u8>)]) -> Vec<Found> {
    let one = |(image, table): &(Image, Vec<u8>)| {
        let file = object::File::parse(image.bytes()).unwrap();
        let code = file.section_by_name(".text").unwrap().size() as u32;
        let offsets: Vec<u32> = match image.machine().target().is_portable() {
            // All of it, for bytecode calls the engine where it would trap.
            true => (0..code).collect(),
            false => {
                let traps = traps(image).into_iter();
                let division = traps.filter(|(_, trap)| *trap == Trap::IntegerDivisionByZero);
                division.map(|(offset, _)| offset).collect()
            }
        };
        let found = find(table, &offsets).unwrap().into_iter().flatten();
        let divides = |found: &Found| {
            found.lines.first().is_some_and(|line| line.function.as_deref() == Some("divide"))
        };
        let found: Vec<Found> = found.filter(divides).collect();
        assert!(!found.is_empty(), "{}", image.machine());
        found
    };
    made.iter().flat_map(one).collect()
}

#[test]
fn a_line_is_found_for_every_target_and_through_inlining() {
    let text = String::from_utf8(fixture("deep.c")).unwrap();
    let lines = [marked(&text, "traps"), marked(&text, "inlined")];
    for options in ways() {
        let source = Source::new(fixture("deep-c.wasm"), "deep").unwrap();
        for found in divisions(&made(source, &options)) {
            let of: Vec<u32> = found.lines.iter().map(|line| line.line).collect();
            assert_eq!(of, lines);
            let files = found.lines.iter().map(|line| line.file.as_deref());
            assert!(files.eq([Some("debug/deep.c"); 2]), "{found:?}");
            let names: Vec<_> = found.lines.iter().map(|line| line.function.as_deref()).collect();
            assert_eq!(names, [Some("divide"), Some("inner")]);
            assert_eq!((found.name.as_deref(), found.module), (Some("inner"), None));
        }
    }
}

#[test]
fn a_line_is_found_in_one_of_several_modules() {
    let text = String::from_utf8(fixture("deep.c")).unwrap();
    let own = operators_of_deep();
    for options in ways() {
        let part = |name: &str, file: &str| Part {
            name: name.to_owned(),
            source: Source::new(fixture(file), file).unwrap(),
        };
        let parts = vec![part("deep", "deep-c.wasm"), part("app", "app-c.wasm")];
        let profile = EngineProfile::of(Target::Pulley32, Nans::Canonical);
        let linked = link(parts, &profile, true).unwrap();
        let all = divisions(&made(linked, &options));
        for found in &all {
            assert_eq!(found.lines[0].line, marked(&text, "traps"));
            assert_eq!(found.module.as_deref(), Some("deep"));
        }
        assert!(all.iter().any(|found| own.contains(&found.source.unwrap())));
    }
}

/// Where `deep-c.wasm` divides.
fn operators_of_deep() -> Vec<u32> {
    let wasm = fixture("deep-c.wasm");
    let all = operators(&wasm);
    let divides = |operator: &Operator<'_>| matches!(operator, Operator::I32DivS);
    all.iter().filter(|(_, (_, one))| divides(one)).map(|(place, _)| *place).collect()
}

#[test]
fn custom_sections_may_hold_anything() {
    let wasm = wat::parse_str("(module (func (export \"_start\") unreachable))").unwrap();
    let with = |name: &'static str, data: Vec<u8>| {
        let mut wasm = wasm.clone();
        let custom = wasm_encoder::CustomSection { name: name.into(), data: data.into() };
        wasm_encoder::Section::append_to(&custom, &mut wasm);
        wasm
    };
    let deep = fixture("deep-c.wasm");
    let sections: Vec<(&str, &[u8])> = Parser::new(0)
        .parse_all(&deep)
        .filter_map(|payload| match payload.unwrap() {
            Payload::CustomSection(custom) => Some((custom.name(), custom.data())),
            _ => None,
        })
        .collect();
    // DWARF that is not the module's, cut anywhere and changed anywhere.
    for (name, data) in sections.iter().filter(|(name, _)| name.starts_with(".debug_")) {
        for at in 0..data.len() {
            for other in [&data[..at], &[&data[..at], &[data[at] ^ 0xff], &data[at + 1..]].concat()]
            {
                let others = sections.iter().map(|(one, bytes)| match one == name {
                    true => (*one, other),
                    false => (*one, *bytes),
                });
                let others: Vec<(&str, &[u8])> = others.collect();
                let lines = Lines::of(&others, 30);
                let _ = (lines.at(0), lines.at(31), lines.at(200));
            }
        }
    }
    let options = Options { debug_file: true, ..Options::new([Target::X86_64]) };
    for (name, data) in [(".debug_info", vec![0xff; 99]), ("name", vec![1, 200, 1])] {
        let source = Source::new(with(name, data), "t").unwrap();
        assert_eq!(made(source, &options).len(), 1);
    }
}
