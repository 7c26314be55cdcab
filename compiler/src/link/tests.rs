//! Links modules and runs what came out: as the same modules would run by themselves.

use super::{LinkError, Part, link};
use crate::input::Source;
use bls_artifact::target::{EngineProfile, Nans, Target};
use wasmtime::{Config, Engine, Instance, Linker, Module, Store, Val};

fn part(name: &str, wat: &str) -> Part {
    let source = Source::new(wat.as_bytes().to_vec(), &format!("{name}.wat")).unwrap();
    Part { name: name.to_owned(), source }
}

fn try_link(modules: &[(&str, &str)]) -> Result<Source, LinkError> {
    let parts = modules.iter().map(|(name, wat)| part(name, wat)).collect();
    link(parts, &EngineProfile::of(Target::X86_64, Nans::Canonical), false)
}

fn refused(modules: &[(&str, &str)]) -> (String, &'static str, String) {
    let error = try_link(modules).unwrap_err();
    (error.to_string(), error.code(), error.hint().unwrap_or_default())
}

fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_gc(true).wasm_function_references(true).wasm_exceptions(true);
    Engine::new(&config).unwrap()
}

/// A linked program, and what it has said by `host.log`.
struct Run {
    store: Store<Vec<i32>>,
    instance: wasmtime::Result<Instance>,
}

impl Run {
    fn of(modules: &[(&str, &str)]) -> Self {
        let linked = try_link(modules).unwrap_or_else(|error| panic!("{error}"));
        let engine = engine();
        let module = Module::new(&engine, linked.wasm()).unwrap();
        let mut linker: Linker<Vec<i32>> = Linker::new(&engine);
        let mut store = Store::new(&engine, Vec::new());
        for import in module.imports() {
            if import.module().starts_with("host") {
                linker
                    .func_wrap(import.module(), import.name(), {
                        |mut caller: wasmtime::Caller<'_, Vec<i32>>, value: i32| {
                            caller.data_mut().push(value);
                        }
                    })
                    .unwrap();
                linker.allow_shadowing(true);
            }
        }
        let instance = linker.instantiate(&mut store, &module);
        Self { store, instance }
    }

    fn call(&mut self, name: &str, arguments: &[i32]) -> i32 {
        let instance = self.instance.as_ref().unwrap();
        let function = instance.get_func(&mut self.store, name).unwrap();
        let arguments: Vec<Val> = arguments.iter().map(|value| Val::I32(*value)).collect();
        let mut results = [Val::I32(0)];
        function.call(&mut self.store, &arguments, &mut results).unwrap();
        results[0].unwrap_i32()
    }
}

const LOG: &str = "(import \"host\" \"log\" (func $log (param i32)))";

#[test]
fn everything_that_a_module_has_is_imported_by_another() {
    let mut run = Run::of(&[
        (
            "lib",
            "(module
               (memory (export \"m\") 1) (data (i32.const 8) \"\\2a\")
               (table (export \"t\") 4 funcref) (elem (i32.const 1) $two)
               (global (export \"g\") (mut i32) (i32.const 5))
               (global (export \"k\") i32 (i32.const 100))
               (tag (export \"e\") (param i32))
               (func $two (result i32) (i32.const 2))
               (func (export \"throw\") (param i32) (throw 0 (local.get 0)))
               (func (export \"five\") (result i32) (global.get 0)))",
        ),
        (
            "app",
            "(module
               (import \"lib\" \"m\" (memory 1))
               (import \"lib\" \"t\" (table 2 funcref))
               (import \"lib\" \"g\" (global $g (mut i32)))
               (import \"lib\" \"k\" (global $k i32))
               (import \"lib\" \"e\" (tag $e (param i32)))
               (import \"lib\" \"throw\" (func $throw (param i32)))
               (import \"lib\" \"five\" (func $five (result i32)))
               (type $r (func (result i32)))
               (global $more i32 (i32.add (global.get $k) (i32.const 1)))
               (func (export \"run\") (result i32)
                 (global.set $g (i32.const 6))
                 (block $caught (result i32)
                   (try_table (catch $e $caught) (call $throw (i32.const 1000)))
                   (i32.const 0))
                 (i32.add (i32.load8_u (i32.const 8)))
                 (i32.add (call_indirect (type $r) (i32.const 1)))
                 (i32.add (call $five))
                 (i32.add (global.get $more))))",
        ),
    ]);
    assert_eq!(run.call("run", &[]), 1000 + 42 + 2 + 6 + 101);
}

#[test]
fn each_module_keeps_its_own_memory() {
    let own = |value: u8| {
        format!(
            "(module (memory (export \"memory\") 1) (data (i32.const 0) \"\\{value:02x}\")
               (func (export \"get\") (result i32) (i32.load8_u (i32.const 0))))"
        )
    };
    let (a, b) = (own(7), own(9));
    let mut run = Run::of(&[
        ("a", &a),
        ("b", &b),
        (
            "app",
            "(module (import \"a\" \"get\" (func $a (result i32)))
               (import \"b\" \"get\" (func $b (result i32)))
               (memory (export \"memory\") 1) (data (i32.const 0) \"\\01\")
               (func (export \"run\") (result i32)
                 (i32.add (i32.mul (call $a) (i32.const 100))
                   (i32.add (i32.mul (call $b) (i32.const 10)) (i32.load8_u (i32.const 0))))))",
        ),
    ]);
    assert_eq!(run.call("run", &[]), 791);
    let instance = run.instance.unwrap();
    assert!(instance.get_memory(&mut run.store, "memory").is_some());
    assert!(instance.get_export(&mut run.store, "get").is_none());
}

#[test]
fn modules_begin_in_order_and_the_entry_is_initialised_by_its_caller() {
    let says = |value: i32, import: &str| {
        format!(
            "(module {LOG} {import}
               (func $s (call $log (i32.const {value}))) (start $s)
               (func (export \"_initialize\") (call $log (i32.const {})))
               (func (export \"f\")))",
            value + 1
        )
    };
    let (a, b, app) = (says(10, ""), says(20, ""), says(30, "(import \"b\" \"f\" (func))"));
    let mut run = Run::of(&[("a", &a), ("b", &b), ("app", &app)]);
    assert_eq!(run.store.data(), &[10, 11, 20, 21, 30]);
    let instance = *run.instance.as_ref().unwrap();
    let initialize = instance.get_typed_func::<(), ()>(&mut run.store, "_initialize").unwrap();
    initialize.call(&mut run.store, ()).unwrap();
    assert_eq!(run.store.data(), &[10, 11, 20, 21, 30, 31]);
    // One that imports a later one begins after it.
    let a = says(10, "(import \"b\" \"f\" (func))");
    let run = Run::of(&[("a", &a), ("b", &b), ("app", &app)]);
    assert_eq!(run.store.data(), &[20, 21, 10, 11, 30]);
}

#[test]
fn what_begins_earlier_does_not_see_segments_of_later_modules() {
    let lib = format!(
        "(module {LOG} (memory (export \"m\") 1) (table (export \"t\") 3 funcref)
           (data (i32.const 1) \"\\05\")
           (func (export \"_initialize\")
             (call $log (i32.load8_u (i32.const 0)))
             (call $log (i32.load8_u (i32.const 1)))
             (call $log (ref.is_null (table.get 0 (i32.const 2))))
             (i32.store8 (i32.const 0) (i32.const 9))
             (drop (memory.grow (i32.const 1)))))"
    );
    let app = format!(
        "(module {LOG} (import \"lib\" \"m\" (memory 1)) (import \"lib\" \"t\" (table 3 funcref))
           (data (i32.const 0) \"\\07\") (data $late (i32.const 65536) \"\\08\")
           (elem (i32.const 2) $s)
           (func $s
             (call $log (i32.load8_u (i32.const 0)))
             (call $log (i32.load8_u (i32.const 65536)))
             (call $log (ref.is_null (table.get 0 (i32.const 2)))))
           (start $s))"
    );
    let run = Run::of(&[("lib", &lib), ("app", &app)]);
    assert!(run.instance.is_ok());
    assert_eq!(run.store.data(), &[0, 5, 1, 7, 8, 0]);
}

#[test]
fn a_segment_that_does_not_fit_traps_when_its_module_begins() {
    let lib = format!("(module {LOG} (func (export \"_initialize\") (call $log (i32.const 1))))");
    let app = format!(
        "(module {LOG} (memory 1) (data (i32.const 65535) \"ab\")
           (func $s (call $log (i32.const 2))) (start $s))"
    );
    let run = Run::of(&[("lib", &lib), ("app", &app)]);
    assert!(run.instance.is_err());
    assert_eq!(run.store.data(), &[1]);
    // Where nothing runs before, it is the engine's to copy.
    let run = Run::of(&[("app", &app)]);
    assert!(run.instance.is_err());
    assert!(run.store.data().is_empty());
}

#[test]
fn segments_that_nobody_sees_stay_with_the_engine() {
    let linked = try_link(&[
        ("lib", "(module (memory 1) (data (i32.const 0) \"a\") (func (export \"_initialize\")))"),
        ("app", "(module (memory 1) (data (i32.const 65535) \"b\") (func $s) (start $s))"),
    ])
    .unwrap();
    let active = wasmparser::Parser::new(0).parse_all(linked.wasm()).flat_map(|payload| {
        match payload.unwrap() {
            wasmparser::Payload::DataSection(section) => section.into_iter().collect(),
            _ => Vec::new(),
        }
    });
    let active = active
        .filter(|data| matches!(data.as_ref().unwrap().kind, wasmparser::DataKind::Active { .. }));
    assert_eq!(active.count(), 2);
}

#[test]
fn references_to_what_libraries_exported_stay_valid() {
    let mut run = Run::of(&[
        (
            "lib",
            "(module (func $f (export \"f\") (result i32) (i32.const 3))
               (table 1 funcref)
               (func (export \"get\") (result i32)
                 (table.set (i32.const 0) (ref.func $f))
                 (call_indirect (result i32) (i32.const 0))))",
        ),
        ("app", "(module (import \"lib\" \"get\" (func (result i32))) (export \"run\" (func 0)))"),
    ]);
    assert_eq!(run.call("run", &[]), 3);
}

#[test]
fn tables_may_begin_with_a_reference_of_another_module() {
    let lib = "(module (func $f (result i32) (i32.const 4)) (elem declare func $f)
                 (global (export \"g\") funcref (ref.func $f)))";
    let between = "(module (import \"lib\" \"g\" (global funcref)) (export \"g\" (global 0)))";
    let app = "(module (import \"between\" \"g\" (global $g funcref))
                 (table 3 funcref (global.get $g))
                 (func (export \"run\") (result i32) (call_indirect (result i32) (i32.const 2))))";
    let mut run = Run::of(&[("lib", lib), ("between", between), ("app", app)]);
    assert_eq!(run.call("run", &[]), 4);
    let lib = "(module (type $s (struct)) (global (export \"g\") (ref $s) (struct.new $s)))";
    let app = "(module (type $s (struct)) (import \"lib\" \"g\" (global $g (ref $s)))
                 (table 3 anyref (global.get $g)))";
    assert_eq!(refused(&[("lib", lib), ("app", app)]).1, "link.table-initial");
}

#[test]
fn objects_cross_between_modules() {
    let types = "(type $point (struct (field i32) (field (ref null $more))))
                 (type $more (array i32))";
    let types = format!("(rec {types})");
    let mut run = Run::of(&[
        (
            "lib",
            &format!(
                "(module (type $other (func)) {types}
                   (func (export \"new\") (param i32) (result (ref $point))
                     (struct.new $point (local.get 0) (ref.null $more))))"
            ),
        ),
        (
            "app",
            &format!(
                "(module {types}
                   (import \"lib\" \"new\" (func $new (param i32) (result (ref $point))))
                   (func (export \"run\") (result i32)
                     (struct.get $point 0 (ref.cast (ref $point) (call $new (i32.const 11))))))"
            ),
        ),
    ]);
    assert_eq!(run.call("run", &[]), 11);
}

#[test]
fn what_does_not_fit_is_named() {
    let lib = "(module (func (export \"add\") (param i32 i32) (result i32) (i32.const 0))
                 (global (export \"g\") (mut i32) (i32.const 0)) (memory (export \"m\") 1 4)
                 (table (export \"t\") 1 funcref) (tag (export \"e\")))";
    let of = |import: &str| refused(&[("math", lib), ("app", &format!("(module {import})"))]);
    let (words, code, hint) = of("(import \"math\" \"ad\" (func))");
    assert_eq!(
        (words.as_str(), code),
        ("\"app\" imports \"ad\" of \"math\", which does not export it", "link.no-export")
    );
    assert_eq!(hint, "is \"add\" meant?");
    let (_, _, hint) = of("(import \"math\" \"subtract\" (func))");
    assert_eq!(hint, "\"math\" exports \"add\"");
    let (words, code, _) = of("(import \"math\" \"g\" (func))");
    assert_eq!(
        (words.as_str(), code),
        ("\"app\" imports \"math.g\" as a function, and it is a global", "link.export-kind")
    );
    for (import, wanted, found) in [
        ("\"add\" (func (param i32))", "func (param i32)", "func (param i32 i32) (result i32)"),
        ("\"g\" (global i32)", "global i32", "global (mut i32)"),
        ("\"g\" (global (mut i64))", "global (mut i64)", "global (mut i32)"),
        ("\"m\" (memory 2)", "memory 2", "memory 1 4"),
        ("\"m\" (memory 1 3)", "memory 1 3", "memory 1 4"),
        ("\"m\" (memory i64 1)", "memory i64 1", "memory 1 4"),
        ("\"t\" (table 1 externref)", "table 1 externref", "table 1 funcref"),
        ("\"t\" (table 1 1 funcref)", "table 1 1 funcref", "table 1 funcref"),
        ("\"e\" (tag (param i32))", "tag (param i32)", "tag"),
    ] {
        let (words, code, _) = of(&format!("(import \"math\" {import})"));
        assert_eq!(code, "link.export-type", "{import}");
        assert!(words.ends_with(&format!("as {wanted}, and it is {found}")), "{words}");
    }
    for import in [
        "\"add\" (func (param i32 i32) (result i32))",
        "\"g\" (global (mut i32))",
        "\"m\" (memory 1 5)",
        "\"m\" (memory 0)",
        "\"t\" (table 0 funcref)",
        "\"e\" (tag)",
    ] {
        let app = format!("(module (import \"math\" {import}))");
        assert!(try_link(&[("math", lib), ("app", &app)]).is_ok(), "{import}");
    }
}

#[test]
fn circles_are_named() {
    let imports =
        |name: &str| format!("(module (import \"{name}\" \"f\" (func)) (func (export \"f\")))");
    let (a, b, c) = (imports("b"), imports("c"), imports("a"));
    let (words, code, hint) = refused(&[("a", &a), ("b", &b), ("c", &c), ("app", &a)]);
    assert_eq!(code, "link.cycle");
    assert_eq!(words, "modules import each other in a circle: a → b → c → a");
    assert!(hint.contains("third"));
    let (words, _, _) = refused(&[("a", &imports("a")), ("app", "(module)")]);
    assert!(words.ends_with("circle: a → a"), "{words}");
    // The entry is nobody's to import, whatever its name.
    assert!(try_link(&[("app", &imports("app"))]).is_ok());
}

#[test]
fn names_and_modules_that_cannot_be_are_refused() {
    let plain = "(module)";
    assert_eq!(refused(&[("a", plain), ("a", plain)]).1, "link.modules");
    assert_eq!(refused(&[("a\n", plain), ("b", plain)]).1, "link.modules");
    let (words, code, _) = refused(&[("lib", "(module (func (result i32)))"), ("app", plain)]);
    assert_eq!(code, "validate.invalid");
    assert!(words.starts_with("module \"lib\": "), "{words}");
    let takes = "(module (func (export \"_initialize\") (param i32)))";
    assert_eq!(refused(&[("lib", takes), ("app", plain)]).1, "link.initializer");
    // The entry's is judged where it is called.
    assert!(try_link(&[("lib", plain), ("app", takes)]).is_ok());
}

fn imports_of(source: &Source) -> Vec<String> {
    let engine = engine();
    let module = Module::new(&engine, source.wasm()).unwrap();
    module.imports().map(|one| format!("{}.{}", one.module(), one.name())).collect()
}

fn exports_of(source: &Source) -> Vec<String> {
    let engine = engine();
    let module = Module::new(&engine, source.wasm()).unwrap();
    module.exports().map(|one| one.name().to_owned()).collect()
}

#[test]
fn host_functions_work_on_the_memory_of_who_calls_them() {
    let calls = "(import \"wasi_snapshot_preview1\" \"fd_write\"
                   (func (param i32 i32 i32 i32) (result i32)))
                 (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32)))";
    let own = format!("(module {calls} (memory (export \"memory\") 1))");
    let without = format!("(module {calls})");
    let linked = try_link(&[("a", &own), ("b", &own), ("c", &without), ("app", &own)]).unwrap();
    assert_eq!(
        imports_of(&linked),
        [
            "wasi_snapshot_preview1@1.fd_write",
            "wasi_snapshot_preview1@1.sched_yield",
            "wasi_snapshot_preview1@2.fd_write",
            "wasi_snapshot_preview1@2.sched_yield",
            "wasi_snapshot_preview1@3.fd_write",
            "wasi_snapshot_preview1@3.sched_yield",
            "wasi_snapshot_preview1.fd_write",
            "wasi_snapshot_preview1.sched_yield",
        ]
    );
    assert_eq!(exports_of(&linked), ["memory", "memory@1", "memory@2"]);
    // Linked again, as a library and as an entry, each keeps its own.
    let again = |modules: Vec<(&str, &Source)>| {
        let parts = modules.into_iter().map(|(name, source)| Part {
            name: name.to_owned(),
            source: Source::new(source.wasm().to_vec(), "x.wasm").unwrap(),
        });
        link(parts.collect(), &EngineProfile::of(Target::X86_64, Nans::Canonical), false).unwrap()
    };
    let plain = Source::new(own.as_bytes().to_vec(), "x.wat").unwrap();
    let twice = again(vec![("lib", &linked), ("app", &plain)]);
    assert_eq!(exports_of(&twice), ["memory", "memory@1", "memory@2", "memory@4"]);
    assert_eq!(imports_of(&twice).len(), 10);
    let twice = again(vec![("lib", &plain), ("app", &linked)]);
    assert_eq!(exports_of(&twice), ["memory", "memory@1", "memory@2", "memory@4"]);
    assert_eq!(imports_of(&twice)[0], "wasi_snapshot_preview1@4.fd_write");
    // One memory has one number.
    let shares = "(module (import \"a\" \"memory\" (memory 1)) (export \"memory\" (memory 0))
                    (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32))))";
    let linked = try_link(&[("a", &own), ("b", shares), ("app", "(module)")]).unwrap();
    assert_eq!(exports_of(&linked), ["memory@1"]);
    let linked = try_link(&[("a", &own), ("app", shares)]).unwrap();
    assert_eq!(exports_of(&linked), ["memory"]);
    assert_eq!(imports_of(&linked).len(), 2);
}

#[test]
fn names_say_which_library_a_function_is_of() {
    let linked = try_link(&[
        ("math", "(module (func $add (export \"add\")) (func (export \"_initialize\")))"),
        ("app", "(module $app (import \"math\" \"add\" (func $sum)) (func $main (call $sum)) (func $s) (start $s))"),
    ])
    .unwrap();
    let names = wasmparser::Parser::new(0).parse_all(linked.wasm()).find_map(|payload| {
        let wasmparser::Payload::CustomSection(custom) = payload.unwrap() else { return None };
        match custom.as_known() {
            wasmparser::KnownCustom::Name(names) => Some(names),
            _ => None,
        }
    });
    let mut found = Vec::new();
    for one in names.unwrap() {
        match one.unwrap() {
            wasmparser::Name::Module { name, .. } => found.push(name.to_owned()),
            wasmparser::Name::Function(map) => {
                found.extend(map.into_iter().map(|naming| naming.unwrap().name.to_owned()));
            }
            _ => {}
        }
    }
    assert_eq!(found, ["app", "math::add", "main", "s", "bls::start"]);
}

#[test]
fn the_source_of_a_linked_module_is_its_recipe() {
    let modules = [("lib", "(module)"), ("app", "(module (func))")];
    let linked = try_link(&modules).unwrap();
    let again = try_link(&modules).unwrap();
    assert_eq!(linked.wasm(), again.wasm());
    let recipe = linked.recipe().unwrap();
    assert_eq!(linked.given(), recipe.digest());
    assert_eq!(linked.name(), "app");
    assert_eq!(linked.given_bytes(), (modules[0].1.len() + modules[1].1.len()) as u64);
    let names: Vec<&str> = recipe.modules().iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["lib", "app"]);
    let other = try_link(&[("lib", "(module )"), modules[1]]).unwrap();
    assert_ne!(other.given(), linked.given());
}

mod calls;
