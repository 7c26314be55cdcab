//! What must hold of arbitrary components: they are linked to something valid, or refused; nothing
//! panics, and nothing takes more than what its size allows.
//!
//! The first byte of an input says what the others are: a component as it is; choices of
//! wasm-smith's; changes of a fixture's bytes; one of a fixture's modules, changed by wasm-mutate;
//! or components inside one another, so many at each level. A fuzzer's bytes alone would seldom be
//! valid enough to get anywhere.

use crate::modules;
use crate::mutate::{Original, mutate};
use arbitrary::Unstructured;
use bls_compiler::input::Binary;
use bls_compiler::link::{LinkError, link_component};
use bls_compiler::validate::{ValidateError, validate};
use std::fmt::Write as _;
use std::sync::LazyLock;
use wasm_encoder::RawSection;
use wasmparser::{Parser, Payload};

/// What the first byte says, by its remainder.
const KINDS: u8 = 5;
/// Levels of components, and instances at each, that are made.
const LEVELS_MAX: usize = 24;
const TIMES_MAX: u8 = 4;

/// The fixtures, as bytes.
static FIXTURES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let folder = crate::programs::fixtures().join("component");
    let entries = std::fs::read_dir(folder).expect("fixtures").map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|kind| kind == "wat"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, wat::parse_file(&path).expect("a component"))
        })
        .collect();
    found.sort();
    found
});

/// Takes an input; whether a component of it was linked.
pub fn component(bytes: &[u8]) -> bool {
    made(bytes).is_some_and(links)
}

/// Links a component, if it is one. What comes of it is valid, or above a cap.
fn links(wasm: Vec<u8>) -> bool {
    let Ok(Binary::Component(component)) = Binary::new(wasm, "component") else { return false };
    let source = match link_component(component, false) {
        Ok(source) => source,
        Err(LinkError::Defect(what)) => panic!("a defect: {what}"),
        Err(_) => return false,
    };
    match validate(source, &modules::profile()) {
        Ok(_) => true,
        Err(
            ValidateError::Cap { .. }
            | ValidateError::SharedMemory(_)
            | ValidateError::ReservedExport(_)
            | ValidateError::ReservedImport(..),
        ) => false,
        Err(error) => panic!("what was linked is not valid: {error}"),
    }
}

/// The component that an input stands for.
fn made(bytes: &[u8]) -> Option<Vec<u8>> {
    let (kind, rest) = bytes.split_first()?;
    match kind % KINDS {
        0 => Some(rest.to_vec()),
        1 => {
            wasm_smith::Component::new(wasm_smith::Config::default(), &mut Unstructured::new(rest))
                .ok()
                .map(|component| component.to_bytes())
        }
        2 => changed(rest),
        3 => module_changed(rest),
        _ => Some(nested(rest)),
    }
}

fn fixture(choice: u8) -> &'static [u8] {
    &FIXTURES[usize::from(choice) % FIXTURES.len()].1
}

/// A fixture with some of its bytes changed: for each change where, in two bytes, and to what.
fn changed(bytes: &[u8]) -> Option<Vec<u8>> {
    let (choice, changes) = bytes.split_first()?;
    let mut wasm = fixture(*choice).to_vec();
    let (changes, _) = changes.as_chunks::<3>();
    for [low, high, value] in changes {
        let at = usize::from(u16::from_le_bytes([*low, *high])) % wasm.len();
        wasm[at] = *value;
    }
    Some(wasm)
}

/// A fixture with one of its outermost modules changed, by a seed.
fn module_changed(bytes: &[u8]) -> Option<Vec<u8>> {
    let ([choice, which], seed) = bytes.split_first_chunk::<2>()?;
    let seed = seed.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
    let wasm = fixture(*choice);
    let (mut component, mut left, mut depth) =
        (wasm_encoder::Component::new(), usize::from(*which), 0_u32);
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.expect("a fixture is valid");
        let section = payload.as_section().filter(|_| depth <= 1);
        match &payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
        let Some((id, range)) = section else { continue };
        let own = &wasm[range];
        let is_it = matches!(payload, Payload::ModuleSection { .. }) && left == 0;
        left = left.saturating_sub(usize::from(matches!(payload, Payload::ModuleSection { .. })));
        let original = || Original { name: String::new(), wasm: own.to_vec() };
        let other = is_it.then(|| mutate(&original(), seed)).flatten();
        component.section(&RawSection { id, data: other.as_deref().unwrap_or(own) });
    }
    Some(component.finish())
}

/// A command in which components instantiate those before them: how often, a byte says for each.
fn nested(times: &[u8]) -> Vec<u8> {
    let mut text = String::from(
        r#"(component
            (component $c0
              (core module $m (func (export "f") (result i32) (i32.const 0)))
              (core instance $i (instantiate $m))
              (func (export "f") (result (result)) (canon lift (core func $i "f"))))"#,
    );
    let levels = times.len().min(LEVELS_MAX);
    for (level, times) in times[..levels].iter().enumerate() {
        let _ = write!(text, "(component $c{} (alias outer 1 $c{level} (component $c))", level + 1);
        for at in 0..=times % TIMES_MAX {
            let _ = write!(text, "(instance $i{at} (instantiate $c))");
        }
        text += r#"(export "f" (func $i0 "f")))"#;
    }
    let _ = write!(
        text,
        r#"(instance $all (instantiate $c{levels}))
            (instance $run (export "run" (func $all "f")))
            (export "wasi:cli/run@0.2.0" (instance $run)))"#
    );
    wat::parse_str(text).expect("a component")
}

/// The seeds: each fixture as it is, changed a little, and with a module changed; and what nests.
#[must_use]
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (at, (name, wasm)) in (0_u8..).zip(FIXTURES.iter()) {
        seeds.push((format!("{name}-plain"), [&[0][..], wasm].concat()));
        seeds.push((format!("{name}-changed"), vec![2, at, 0xff, 0xff, 0]));
        seeds.push((format!("{name}-module"), vec![3, at, 0, 0, 2]));
    }
    seeds.push(("smith".to_owned(), [&[1][..], &[0xa5; 512]].concat()));
    seeds.push(("nested-few".to_owned(), vec![4, 1, 1, 1]));
    seeds.push(("nested-many".to_owned(), [&[4][..], &[3; LEVELS_MAX]].concat()));
    seeds
}
