//! Tests of what becomes of components, whole and damaged. That they run is tested from outside
//! (`tests/tests/components.rs`).

use super::*;
use crate::input::Binary;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

const FIXTURES: [&str; 5] = [
    include_str!("../../../../fixtures/component/hello.wat"),
    include_str!("../../../../fixtures/component/resources.wat"),
    include_str!("../../../../fixtures/component/text.wat"),
    include_str!("../../../../fixtures/component/closed.wat"),
    include_str!("../../../../fixtures/component/streams.wat"),
];

fn link(wasm: Vec<u8>) -> Result<Source, LinkError> {
    match Binary::new(wasm, "app.wasm") {
        Ok(Binary::Component(component)) => link_component(component, false),
        Ok(Binary::Module(source)) => Ok(source),
        Err(_) => Err(ComponentError::NoRun(Vec::new()).into()),
    }
}

/// Links what may be no component. What comes of it is a valid module.
fn judge(wasm: &[u8]) -> bool {
    let linked = link(wasm.to_vec());
    if let Err(LinkError::Defect(what)) = &linked {
        panic!("a defect: {what}");
    }
    let Ok(source) = linked else { return false };
    let valid = Validator::new_with_features(WasmFeatures::all()).validate_all(source.wasm());
    let valid = valid.map(|_| ());
    // Mutants may be modules that say so only.
    assert!(valid.is_ok() || source.world().is_none(), "{valid:?}");
    true
}

#[test]
fn a_component_becomes_one_module_and_the_same_each_time() {
    for text in FIXTURES {
        let component = wat::parse_str(text).unwrap();
        let source = link(component.clone()).unwrap();
        assert_eq!(source.wasm(), link(component).unwrap().wasm());
        assert!(judge(source.wasm()));
        let mut exports = Vec::new();
        for payload in Parser::new(0).parse_all(source.wasm()) {
            match payload.unwrap() {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        assert_eq!(import.unwrap().module, glue::HOST);
                    }
                }
                Payload::ExportSection(section) => {
                    exports.extend(section.into_iter().map(|export| export.unwrap().name));
                }
                _ => {}
            }
        }
        assert_eq!(exports, ["_start", "memory"]);
    }
}

#[test]
fn what_is_cut_off_is_refused() {
    for text in FIXTURES {
        let component = wat::parse_str(text).unwrap();
        let step = (component.len() / 400).max(1);
        let lengths = (8..component.len()).step_by(step);
        // Names stand at the end, and nothing is missing without them.
        let linked = lengths.filter(|length| judge(&component[..*length])).count();
        assert!(linked <= 1, "{linked} were linked");
    }
}

#[test]
fn what_is_damaged_is_refused_or_linked_and_never_a_panic() {
    let mut state = 7_u64;
    let mut below = |bound: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let mut linked = 0;
    for text in FIXTURES {
        let component = wat::parse_str(text).unwrap();
        for _ in 0..1500 {
            let mut bytes = component.clone();
            for _ in 0..1 + below(3) {
                let at = 8 + below(bytes.len() - 8);
                match below(3) {
                    0 => bytes[at] ^= 1 << below(8),
                    1 => bytes[at] = below(256) as u8,
                    _ => {
                        let other = 8 + below(bytes.len() - 8);
                        bytes.swap(at, other);
                    }
                }
            }
            linked += u32::from(judge(&bytes));
        }
    }
    assert!(linked > 100, "only {linked} were linked");
}

/// A function that calls itself through a table calls itself: it stands for no other one.
#[test]
fn a_shim_that_leads_to_itself_is_left_alone() {
    let component = wat::parse_str(
        r#"(component
            (core module $shim
              (type $t (func (result i32)))
              (table (export "t") 2 2 funcref)
              (func (export "0") (result i32) (call_indirect (type $t) (i32.const 0)))
              (func (export "1") (result i32) (call_indirect (type $t) (i32.const 1))))
            (core instance $shim (instantiate $shim))
            (core module $fixups
              (import "" "t" (table 2 2 funcref))
              (import "" "0" (func $a (result i32)))
              (import "" "1" (func $b (result i32)))
              (elem (i32.const 0) func $b $a))
            (core instance (instantiate $fixups (with "" (instance $shim))))
            (func $run (result (result)) (canon lift (core func $shim "0")))
            (instance $e (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $e)))"#,
    )
    .unwrap();
    assert!(judge(&component));
}
