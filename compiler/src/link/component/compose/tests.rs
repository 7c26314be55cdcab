//! Tests of what comes of components that are put together, and of what is refused. That it runs is
//! tested from outside (`tests/tests/plug.rs`).

use super::*;
use crate::link::component::world::world;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../../../fixtures/component/plug/", $name, ".wat"))
    };
}

const ADDER: &str = fixture!("adder");
const WORDS: &str = fixture!("words");
const NOISY: &str = fixture!("noisy");
const DESK: &str = fixture!("desk");
const COUNTERS: &str = fixture!("counters");
const LEDGER: &str = fixture!("ledger");
const SHOP: &str = fixture!("shop");

/// Components by their names.
fn compose_all(parts: &[(&str, &str)]) -> Result<Composition, LinkError> {
    let parts: Vec<(&str, Vec<u8>)> =
        parts.iter().map(|(name, text)| (*name, wat::parse_str(text).unwrap())).collect();
    let parts: Vec<(&str, &[u8])> = parts.iter().map(|(name, wasm)| (*name, &**wasm)).collect();
    compose(&parts)
}

/// What stands at the border of what came of it.
fn border(parts: &[(&str, &str)]) -> String {
    let composed = compose_all(parts).unwrap_or_else(|error| panic!("{error}"));
    Validator::new_with_features(features()).validate_all(&composed.wasm).unwrap();
    world(&composed.wasm).to_text()
}

/// The code of a refusal, and its words.
fn refused(parts: &[(&str, &str)]) -> (&'static str, String) {
    match compose_all(parts) {
        Err(error) => (error.code(), error.to_string()),
        Ok(_) => panic!("it was composed"),
    }
}

#[test]
fn plugs_fill_what_a_socket_imports_and_the_rest_remains() {
    const LEFT: &str = "import wasi:io/error@0.2.0\nimport wasi:io/streams@0.2.0\n\
                        import wasi:cli/stdout@0.2.0\nexport wasi:cli/run@0.2.0";
    let all = [("adder", ADDER), ("words", WORDS), ("desk", DESK)];
    assert_eq!(border(&all), LEFT);
    assert_eq!(border(&[all[1], all[0], all[2]]), LEFT);
    // One of two: the other is still imported.
    let one = border(&[all[0], all[2]]);
    assert!(one.contains("import example:text/words@1.0.0"), "{one}");
    assert!(!one.contains("example:math"), "{one}");
}

#[test]
fn what_several_import_is_imported_once_by_the_highest_version() {
    let all = [("adder", ADDER), ("noisy", NOISY), ("desk", DESK)];
    assert_eq!(
        border(&all),
        "import wasi:io/error@0.2.3\nimport wasi:io/streams@0.2.3\n\
         import wasi:cli/stdout@0.2.3\nexport wasi:cli/run@0.2.0"
    );
    // The other way round, the later version comes second.
    let newer = DESK.replace("@0.2.0\" (instance $", "@0.2.9\" (instance $");
    let newer = border(&[all[0], all[1], ("desk", &newer)]);
    assert!(newer.contains("wasi:io/streams@0.2.9") && !newer.contains("@0.2.3"), "{newer}");
    // Versions that are not compatible are two.
    let older = DESK.replace("@0.2.0\" (instance $", "@0.1.0\" (instance $");
    let both = border(&[all[0], all[1], ("desk", &older)]);
    assert!(both.contains("streams@0.2.3") && both.contains("streams@0.1.0"), "{both}");
}

#[test]
fn plugs_fill_plugs_behind_them_and_share_resources() {
    let all = [("counters", COUNTERS), ("ledger", LEDGER), ("shop", SHOP)];
    assert_eq!(border(&all), "export count");
    // Without the definer its interface remains, once.
    assert_eq!(border(&all[1..]), "import example:count/counters@0.1.0\nexport count");
    // Another resource is another type.
    let (code, words) = refused(&[all[1], all[0], all[2]]);
    assert_eq!(code, "link.plug-type", "{words}");
    assert!(words.contains("\"ledger\"") && words.contains("\"shop\""), "{words}");
    assert!(words.ends_with("resource types are not the same"), "{words}");
    // What remains would take a type that is inside.
    let (code, words) = refused(&[all[0], all[2]]);
    assert_eq!(code, "link.plug-border", "{words}");
    assert!(words.contains("example:count/counters@0.1.0"), "{words}");
}

#[test]
fn the_nearest_before_fills() {
    // One that adds twice: it takes the first one's function, and has the same name.
    let twice = r#"(component
        (import "example:math/ops@0.2.0" (instance $ops
          (export "add" (func (param "a" u32) (param "b" u32) (result u32)))))
        (export "example:math/ops@0.2.0" (instance $ops)))"#;
    let all = [("adder", ADDER), ("twice", twice), ("words", WORDS), ("desk", DESK)];
    assert!(!border(&all).contains("example:"));
    let (code, words) = refused(&[all[1], all[0], all[2], all[3]]);
    assert_eq!(code, "link.plug-unused", "{words}");
    assert!(words.contains("the plug \"twice\" fills nothing"), "{words}");
}

#[test]
fn what_does_not_fit_is_said_by_names() {
    let unused = refused(&[("counters", COUNTERS), ("desk", DESK)]);
    assert_eq!(
        unused,
        (
            "link.plug-unused",
            "the plug \"counters\" fills nothing: it exports example:count/counters@0.1.0, and what \
             is left to be filled is example:math/ops@0.2.3, example:text/words@1.0.0, \
             wasi:io/error@0.2.0, wasi:io/streams@0.2.0 and 1 more"
                .to_owned()
        )
    );
    let nothing = refused(&[("none", "(component)"), ("desk", DESK)]);
    assert!(nothing.1.ends_with("it exports nothing"), "{nothing:?}");
    // Of a version that is not compatible.
    let other = ADDER.replace("@0.2.0", "@0.3.0");
    assert_eq!(refused(&[("adder", &other), ("desk", DESK)]).0, "link.plug-unused");

    let signed = ADDER.replace("u32", "s32");
    let (code, words) = refused(&[("adder", &signed), ("desk", DESK)]);
    assert_eq!(code, "link.plug-type");
    for part in ["\"adder\"", "\"desk\"", "ops@0.2.0", "ops@0.2.3", "`add`", "s32", "u32"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let function = r#"(component (core module $m (func (export "f")))
        (core instance $m (instantiate $m)) (func $f (canon lift (core func $m "f")))
        (export "words" (func $f)))"#;
    let socket = r#"(component (import "words" (instance)))"#;
    let (code, words) = refused(&[("function", function), ("socket", socket)]);
    assert_eq!(code, "link.plug-type", "{words}");

    // Two want something else of one import.
    let text = |ty: &str, more: &str| {
        format!(
            r#"(component (import "a:b/c@1.0.0" (instance (export "f" (func (param "p" {ty})))))
                {more})"#
        )
    };
    let plug = text("u32", "(instance $i) (export \"plug\" (instance $i))");
    let socket = text("string", "(import \"plug\" (instance))");
    let (code, words) = refused(&[("plug", &plug), ("socket", &socket)]);
    assert_eq!(code, "link.plug-border");
    assert!(words.contains("a:b/c@1.0.0") && words.contains("\"socket\""), "{words}");

    let invalid = [("bad", &b"\0asm\x0d\0\x01\0\x01\xff"[..]), ("desk", b"\0asm\x0d\0\x01\0")];
    match compose(&invalid).map(|_| ()) {
        Err(error @ LinkError::Composed(..)) => {
            assert_eq!(error.code(), "link.component-invalid");
            assert!(error.to_string().starts_with("\"bad\": "), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_components_give_the_same_bytes_and_lie_in_them() {
    let all = [("adder", ADDER), ("noisy", NOISY), ("desk", DESK)];
    let first = compose_all(&all).unwrap();
    for _ in 0..12 {
        assert_eq!(compose_all(&all).unwrap().wasm, first.wasm);
    }
    for ((_, text), place) in all.iter().zip(&first.places) {
        assert_eq!(first.wasm[place.clone()], wat::parse_str(text).unwrap());
    }
}

/// Imports of each kind that has types: values of all sorts, functions and types outside of
/// interfaces, types that one interface has of another.
#[test]
fn all_types_are_written_again() {
    let text = |more: &str| {
        format!(
            r#"(component
            (import "a:b/types@1.0.0" (instance $types
              (export "thing" (type $thing (sub resource)))
              (export "same" (type (eq $thing)))
              (type $record (record (field "a" bool) (field "b" (option (tuple s8 char)))))
              (export "pair" (type $pair (eq $record)))
              (type $flags (flags "x" "y")) (export "bits" (type $bits (eq $flags)))
              (type $variant (variant (case "none") (case "some" $pair)))
              (export "choice" (type $choice (eq $variant)))
              (export "[method]thing.get" (func (param "self" (borrow $thing))
                (param "all" (list $choice)) (result (result $bits (error string)))))
              (export "[static]thing.open" (func (result (own $thing))))))
            (alias export $types "pair" (type $pair))
            (alias export $types "thing" (type $thing))
            (type $float f64)
            (import "number" (type $number (eq $float)))
            (import "loose" (func (param "it" (own $thing)) (param "n" $number) (result $pair)))
            (import "a:b/user@1.0.1" (instance
              (alias outer 1 $pair (type $p)) (export "pair" (type $pair (eq $p)))
              (alias outer 1 $thing (type $t)) (export "thing" (type $thing (eq $t)))
              (type $more (record (field "pair" $pair) (field "rest" (list u64))))
              (export "more" (type $more-shown (eq $more)))
              (export "use" (func (param "it" (borrow $thing)) (result $more-shown)))))
            {more})"#
        )
    };
    let plug = text("(instance $i) (export \"plug\" (instance $i))");
    let socket = text("(import \"plug\" (instance)) (export \"types\" (instance $types))");
    let border = border(&[("plug", &plug), ("socket", &socket)]);
    assert_eq!(
        border,
        "import a:b/types@1.0.0\nimport number\nimport loose\nimport a:b/user@1.0.1\nexport types"
    );
}
