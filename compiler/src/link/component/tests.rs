//! Tests of what becomes of components, whole and damaged. That they run is tested from outside
//! (`tests/tests/components.rs`).

use super::*;
use crate::input::Binary;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

const FIXTURES: [&str; 6] = [
    include_str!("../../../../fixtures/component/hello.wat"),
    include_str!("../../../../fixtures/component/resources.wat"),
    include_str!("../../../../fixtures/component/text.wat"),
    include_str!("../../../../fixtures/component/closed.wat"),
    include_str!("../../../../fixtures/component/streams.wat"),
    include_str!("../../../../fixtures/component/library.wat"),
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
        // What is in no order would come in the same one by chance, once or twice.
        for _ in 0..12 {
            assert_eq!(source.wasm(), link(component.clone()).unwrap().wasm());
        }
        assert!(judge(source.wasm()));
        let mut exports = Vec::new();
        for payload in Parser::new(0).parse_all(source.wasm()) {
            match payload.unwrap() {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        // The second is for what has a network: `closed.wat`.
                        let hosts = [glue::HOST, "bls_http"];
                        assert!(hosts.contains(&import.unwrap().module));
                    }
                }
                Payload::ExportSection(section) => {
                    exports.extend(section.into_iter().map(|export| export.unwrap().name));
                }
                _ => {}
            }
        }
        let is_library = text == FIXTURES[5];
        let wanted: &[&str] = if is_library {
            &["_start", glue::TYPED_CALL, "memory"]
        } else {
            &["_start", "memory"]
        };
        assert_eq!(exports, wanted);
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
        // A library without its last exports is one, too.
        assert!(linked <= 1 || text == FIXTURES[5], "{linked} were linked");
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
            (core instance (instantiate 1 (with "" (instance $shim))))
            (func $run (result (result)) (canon lift (core func $shim "0")))
            (instance $e (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $e)))"#,
    )
    .unwrap();
    assert!(judge(&component));
}

/// Components that instantiate the one before them so often.
fn nested(levels: usize, times: usize) -> Vec<u8> {
    let mut text = String::from(
        "(component (component $c0 (core module $m) (core instance (instantiate $m)))",
    );
    for level in 1..=levels {
        text += &format!("(component $c{level} (alias outer 1 $c{} (component $c))", level - 1);
        text += &"(instance (instantiate $c))".repeat(times);
        text += ")";
    }
    text += &format!("(instance (instantiate $c{levels})))");
    wat::parse_str(text).unwrap()
}

#[test]
fn what_multiplies_is_counted_and_refused() {
    let refused = |component: Vec<u8>, what: &str| match link(component) {
        Err(LinkError::Component(error @ ComponentError::TooMany(is, ..))) => {
            assert_eq!((is, error.code()), (what, "link.component-too-many"));
        }
        other => panic!("{other:?}"),
    };
    // A few bytes a level, and twice as much to make each.
    assert!(nested(60, 2).len() < 10_000);
    refused(nested(60, 2), "instances");
    refused(nested(4, 900), "instances");
    refused(nested(300, 1), "components inside one another");
    let count = |component: &[u8]| count::count(component).unwrap();
    assert_eq!(count(&nested(3, 2)).instances, 1 + 15 + 8);
    // They are no command; they are not too many.
    let ended = link(nested(9, 2)).map(|_| ());
    assert!(matches!(ended, Err(LinkError::Component(ComponentError::NoRun(_)))), "{ended:?}");
}

/// A component is handed over by an instance that exports it, and through an import.
#[test]
fn a_component_that_is_handed_over_is_counted_where_it_is_instantiated() {
    let component = wat::parse_str(
        r#"(component
            (component $twice
              (import "given" (component $given))
              (instance (instantiate $given)) (instance (instantiate $given)))
            (component $one (core module $m) (core instance (instantiate $m)))
            (component $holder (export "held" (component $one)))
            (instance $holder (instantiate $holder))
            (alias export $holder "held" (component $held))
            (instance (instantiate $twice (with "given" (component $held)))))"#,
    );
    // Of an outer component only what is defined there can be exported.
    let Ok(component) = component else { panic!("{component:?}") };
    // Itself, the holder, the one of two, and two of a component with a module.
    assert_eq!(count::count(&component).unwrap().instances, 3 + 2 * 2);
}

#[test]
fn real_components_have_ten_times_the_room() {
    let mut real: Vec<Vec<u8>> = FIXTURES.map(|text| wat::parse_str(text).unwrap()).into();
    let shared = std::env::var_os("BLS_SHARED").map(std::path::PathBuf::from);
    let guests = shared.and_then(|shared| std::fs::read_dir(shared.join("guests")).ok());
    let files = guests.into_iter().flatten().map(|entry| entry.unwrap().path());
    real.extend(
        files
            .filter(|path| path.to_string_lossy().ends_with(".component.wasm"))
            .map(|path| std::fs::read(path).unwrap()),
    );
    for component in real {
        let counted = count::count(&component).unwrap();
        println!("{counted:?}");
        assert!(counted.instances * 10 <= count::INSTANCES_MAX, "{counted:?}");
        assert!(counted.definitions * 10 <= count::DEFINITIONS_MAX, "{counted:?}");
    }
}

/// A program for preview 1 behind an adapter: what this does for `random_get`, what it calls the
/// function, how it runs the program, and what it calls itself.
fn behind_adapter(does: &str, export: &str, run: &str, name: &str) -> Vec<u8> {
    wat::parse_str(text_behind_adapter(does, export, run, name)).unwrap()
}

fn text_behind_adapter(does: &str, export: &str, run: &str, name: &str) -> String {
    format!(
        r#"(component
            (import "wasi:random/random@0.2.0" (instance $random
              (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
            (core module ;; 0, the shim
              (type $t (func (param i32 i32) (result i32)))
              (table (export "t") 1 1 funcref)
              (func (export "0") (type $t)
                (call_indirect (type $t) (local.get 0) (local.get 1) (i32.const 0))))
            (core module ;; 1, which fills its table
              (import "" "t" (table 1 1 funcref))
              (import "" "0" (func (param i32 i32) (result i32)))
              (elem (i32.const 0) func 0))
            (core module ;; 2
              (import "wasi_snapshot_preview1" "random_get" (func $get (param i32 i32) (result i32)))
              (memory (export "memory") 1)
              (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
              (func (export "_start") (drop (call $get (i32.const 0) (i32.const 8)))))
            (core module {name} ;; 3, the adapter
              (import "env" "memory" (memory 0))
              (import "__main_module__" "_start" (func $start))
              (import "wasi:random/random@0.2.0" "get-random-bytes" (func $bytes (param i64 i32)))
              (func $get (param i32 i32) (result i32) {does} (i32.const 0))
              (export "{export}" (func $get))
              (func (export "wasi:cli/run@0.2.0#run") (result i32) {run} (i32.const 0)))
            (core instance $shim (instantiate 0))
            (core instance $program (instantiate 2
              (with "wasi_snapshot_preview1" (instance (export "random_get" (func $shim "0"))))))
            (core func $bytes (canon lower (func $random "get-random-bytes")
              (memory $program "memory") (realloc (func $program "realloc"))))
            (core instance $adapter (instantiate 3
              (with "env" (instance (export "memory" (memory $program "memory"))))
              (with "__main_module__" (instance (export "_start" (func $program "_start"))))
              (with "wasi:random/random@0.2.0" (instance
                (export "get-random-bytes" (func $bytes))))))
            (core instance (instantiate 1 (with "" (instance
              (export "t" (table $shim "t")) (export "0" (func $adapter "{export}"))))))
            (func $run (result (result)) (canon lift (core func $adapter "wasi:cli/run@0.2.0#run")))
            (instance $e (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $e)))"#,
    )
}

/// The functions of preview 1 that a linked component calls.
fn host_calls(component: Vec<u8>) -> Vec<String> {
    let source = link(component).unwrap();
    let module = Module::read("", source.wasm()).unwrap();
    module.imports.iter().map(|import| import.name.to_owned()).collect()
}

const BYTES: &str = "(call $bytes (i64.const 8) (i32.const 64))";
const START: &str = "(call $start)";
const NAME: &str = r#"(@name "wit-component:adapter:wasi_snapshot_preview1")"#;

#[test]
fn an_adapter_is_left_out_whether_it_has_its_name_or_none() {
    for name in ["", NAME] {
        let component = behind_adapter(BYTES, "random_get", START, name);
        let linked = link(component.clone()).unwrap();
        assert_eq!(host_calls(component), ["random_get"]);
        // Nothing of WASI 0.2 is there.
        assert!(linked.wasm().len() < 600, "{}", linked.wasm().len());
    }
    // A function that a program imports twice has another name in a component.
    let text = text_behind_adapter(BYTES, "random_get", START, "");
    let twice = text
        .replace(
            r#"(import "wasi_snapshot_preview1" "random_get" (func $get"#,
            r#"(import "wasi_snapshot_preview1" "random_get [v2]" (func $get"#,
        )
        .replace(r#"(export "random_get" (func $shim"#, r#"(export "random_get [v2]" (func $shim"#);
    assert_ne!(twice, text);
    assert_eq!(host_calls(wat::parse_str(twice).unwrap()), ["random_get"]);
}

#[test]
fn an_adapter_of_somebody_s_own_stays() {
    // It has another name; or its function asks nobody, or is called by another one's name.
    let components = [
        behind_adapter(BYTES, "random_get", START, r#"(@name "mine")"#),
        behind_adapter("", "random_get", START, NAME),
        behind_adapter(BYTES, "random_fill", START, NAME),
    ];
    for component in components {
        let linked = link(component.clone()).unwrap();
        assert!(judge(&component));
        let kept = Module::read("", linked.wasm()).unwrap().bodies.len();
        assert!(kept > 3, "only {kept} functions");
    }
    // One that never runs the program leaves nothing of it.
    let calls = host_calls(behind_adapter(BYTES, "random_get", "", ""));
    assert!(!calls.contains(&"random_get".to_owned()), "{calls:?}");
}
