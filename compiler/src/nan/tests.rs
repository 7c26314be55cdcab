//! Where checks go, and that nothing passes without one that is needed.

use super::rule::{Class, Shape, Sort, sort};
use super::*;
use bls_artifact::target::{EngineProfile, Nans, Target};
use wasmparser::Operator;

fn features() -> wasmparser::WasmFeatures {
    EngineProfile::of(Target::X86_64, Nans::Canonical).wasm_features()
}

/// How many checks a module gets; it is valid then.
fn checks(text: &str) -> u64 {
    let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    let settled = Settled::of(&wasm).unwrap_or_else(|error| panic!("{error}: {text}"));
    let Some(settled) = settled else { return 0 };
    crate::validate::recheck(settled.wasm(), features()).unwrap_or_else(|error| {
        panic!("{error}: {text}");
    });
    settled.checks()
}

/// The same of a function with two numbers and some locals.
fn of(body: &str) -> u64 {
    checks(&function(body))
}

fn function(body: &str) -> String {
    format!(
        "(module (import \"m\" \"h\" (func $h (param f64))) (memory 1)
           (global $g (mut f64) (f64.const 0)) (type $s (struct (field f64)))
           (tag $t (param f64))
           (func $f (param $a f64) (param $b f64) (result f64) (local $x f64) (local $y f64)
             (local $i i32) (local $v v128) {body}))"
    )
}

const SUM: &str = "(f64.add (local.get $a) (local.get $b))";

#[test]
fn who_shows_bits_gets_a_check() {
    for body in [
        format!("(f64.store (i32.const 0) {SUM}) (f64.const 0)"),
        format!("(global.set $g {SUM}) (f64.const 0)"),
        format!("(f64.reinterpret_i64 (i64.reinterpret_f64 {SUM}))"),
        format!("(f64.neg {SUM})"),
        format!("(f64.abs {SUM})"),
        format!("(f64.copysign {SUM} (local.get $a))"),
        format!("(f64.copysign (local.get $a) {SUM})"),
        format!("(call $h {SUM}) (f64.const 0)"),
        format!("(drop (struct.new $s {SUM})) (f64.const 0)"),
        format!("(throw $t {SUM})"),
        format!("(return {SUM})"),
        format!("(return_call $f {SUM} (local.get $b))"),
        SUM.to_owned(),
        format!("(select {SUM} (local.get $a) (i32.const 1))"),
        format!("(select (local.get $a) {SUM} (i32.const 1))"),
        format!("(local.set $x (local.get $a)) (local.set $x {SUM}) (local.get $x)"),
        format!("(local.set $a {SUM}) (local.get $a)"),
        format!("(block (result f64) (br 0 {SUM}))"),
        format!("(block (result f64) (drop (br_if 0 {SUM} (local.get $i))) (local.get $a))"),
        format!("(if (result f64) (local.get $i) (then {SUM}) (else (local.get $a)))"),
        format!("(local.set $v (f64x2.splat {SUM})) (f64.const 0)"),
        format!("(loop (param f64) (result f64) {SUM} f64.add br 0)").replacen(
            "(loop",
            "(f64.const 0) (loop",
            1,
        ),
    ] {
        assert_eq!(of(&body), 1, "{body}");
    }
}

#[test]
fn who_looks_at_numbers_needs_none() {
    for body in [
        format!("(drop {SUM}) (f64.const 0)"),
        format!("(f64.convert_i32_s (f64.lt {SUM} (local.get $a)))"),
        format!("(f64.convert_i64_s (i64.trunc_sat_f64_s {SUM}))"),
        format!("(f64.convert_i32_s (i32.trunc_f64_s {SUM}))"),
        "(f64.store (i32.const 8) (f64.load (i32.const 0))) (local.get $a)".to_owned(),
        "(f64.store (i32.const 8) (f64.convert_i32_s (local.get $i))) (f64.const nan)".to_owned(),
        "(f64.neg (local.get $a))".to_owned(),
        format!("(local.set $a {SUM}) (f64.convert_i64_s (i64.trunc_sat_f64_s (local.get $a)))"),
        "(select (local.get $a) (local.get $b) (local.get $i))".to_owned(),
        format!("(unreachable) {SUM}"),
    ] {
        assert_eq!(of(&body), 0, "{body}");
    }
}

#[test]
fn a_sum_is_checked_behind_its_loop() {
    let round = "(local.set $x (f64.add (local.get $x) (f64.load (local.get $i))))
        (br_if 0 (local.tee $i (i32.add (local.get $i) (i32.const 8))))";
    assert_eq!(of(&format!("(loop {round}) (local.get $x)")), 1);
    // Where a constant goes to it, too.
    assert_eq!(of(&format!("(local.set $x (f64.const 1)) (loop {round}) (local.get $x)")), 1);
    let plan = plan_of(&function(&format!("(loop {round}) (local.get $x)")), 0);
    assert_eq!(plan.locals[2], Class::Raw(Shape::F64));
    assert_eq!(plan.locals[0], Class::Kept);
    assert_eq!(plan.locals[3], Class::Plain);
    // What begins as a copy may end as one: each round is checked, where that is seen.
    let begin = "(local.set $x (local.get $a))";
    let unseen = format!("{begin} (loop {round}) (f64.floor (local.get $x))");
    let plan = plan_of(&function(&unseen), 0);
    assert_eq!((plan.checks.len(), plan.locals[2]), (1, Class::Mixed(Shape::F64)));
    let plan = plan_of(&function(&format!("{begin} (loop {round}) (local.get $x)")), 0);
    assert_eq!((plan.checks.len(), plan.locals[2]), (1, Class::Kept));
}

#[test]
fn what_is_shown_often_is_checked_once() {
    let body = format!(
        "(local.set $x {SUM}) (f64.store (i32.const 0) (local.get $x))
         (f64.store (i32.const 8) (local.get $x)) (local.get $x)"
    );
    assert_eq!(of(&body), 1);
    let inside = format!(
        "(local.set $x {SUM}) (loop (f64.store (i32.const 0) (local.get $x))
         (br_if 0 (local.get $i))) (f64.const 0)"
    );
    let plan = plan_of(&function(&inside), 0);
    assert_eq!(plan.locals[2], Class::Checked(Shape::F64));
}

#[test]
fn vectors_have_a_shape() {
    let of = |body: &str| {
        checks(&format!(
            "(module (memory 1) (func (param $a v128) (param $b v128) (local $v v128) {body}))"
        ))
    };
    let sum = "(f64x2.add (local.get $a) (local.get $b))";
    assert_eq!(of(&format!("(drop (f64x2.mul {sum} (local.get $a)))")), 0);
    assert_eq!(of(&format!("(drop (f32x4.mul {sum} (local.get $a)))")), 1);
    assert_eq!(of(&format!("(drop (f32x4.demote_f64x2_zero {sum}))")), 0);
    assert_eq!(of(&format!("(drop (f64x2.promote_low_f32x4 {sum}))")), 1);
    assert_eq!(of(&format!("(drop (f64x2.pmin {sum} (local.get $a)))")), 1);
    assert_eq!(of(&format!("(drop (f64x2.extract_lane 0 {sum}))")), 1);
    assert_eq!(of(&format!("(drop (v128.and {sum} (local.get $a)))")), 1);
    assert_eq!(of(&format!("(v128.store (i32.const 0) {sum})")), 1);
    assert_eq!(of(&format!("(drop (f64x2.lt {sum} {sum}))")), 0);
    assert_eq!(of(&format!("(drop (f32x4.convert_i32x4_s {sum}))")), 1);
    // A local of two shapes.
    let other = "(f32x4.add (local.get $a) (local.get $b))";
    let both = format!("(local.set $v {sum}) (local.set $v {other})");
    assert_eq!(of(&both), 2);
    let copy = format!("(local.set $v (local.get $a)) (local.set $v {sum})");
    assert_eq!(of(&format!("{copy} (drop (f64x2.sqrt (local.get $v)))")), 0);
    assert_eq!(of(&format!("{copy} (drop (f32x4.sqrt (local.get $v)))")), 1);
    assert_eq!(of(&format!("(local.set $v {sum}) (drop (f32x4.sqrt (local.get $v)))")), 1);
    // Every lane is looked at, and a constant that is no NaN in one shape may be one in another.
    assert_eq!(sort(&Operator::V128Const { value: v128(u128::MAX) }), Sort::Other);
    assert_eq!(sort(&Operator::V128Const { value: v128(0x7fc0_0001 << 64) }), Sort::Other);
    assert_eq!(sort(&Operator::V128Const { value: v128(1) }), Sort::Plain { operands: 0 });
}

fn v128(value: u128) -> wasmparser::V128 {
    let wasm = wat::parse_str(format!(
        "(module (func (drop (v128.const i64x2 {} {}))))",
        value as u64,
        (value >> 64) as u64
    ))
    .unwrap();
    let mut operators = bodies(&wasm).unwrap()[0].get_operators_reader().unwrap();
    match operators.read().unwrap() {
        Operator::V128Const { value } => value,
        other => panic!("{other:?}"),
    }
}

fn plan_of(text: &str, defined: usize) -> Plan {
    let wasm = wat::parse_str(text).unwrap();
    plan(&Types::of(&wasm).unwrap(), defined, &bodies(&wasm).unwrap()[defined])
        .unwrap()
        .unwrap_or_default()
}

/// Whether the proof accepts the module's function with this plan.
fn is_proved(wasm: &[u8], plan: &Plan) -> bool {
    let types = Types::of(wasm).unwrap();
    let audited = &bodies(wasm).unwrap()[0];
    let locals = types.locals(0, audited).unwrap().len();
    let mut body = Vec::new();
    write(audited, plan, locals as u32, &mut body).unwrap();
    is_proved_as(wasm, &body, plan)
}

/// The same with this body.
fn is_proved_as(wasm: &[u8], body: &[u8], plan: &Plan) -> bool {
    let types = Types::of(wasm).unwrap();
    let audited = &bodies(wasm).unwrap()[0];
    let made = with_first(wasm, body);
    prove(&types, 0, audited, &bodies(&made).unwrap()[0], &plan.locals).is_ok()
}

/// The module with this body as its first.
fn with_first(wasm: &[u8], body: &[u8]) -> Vec<u8> {
    let all = bodies(wasm).unwrap();
    let mut code = Vec::new();
    (all.len() as u32).encode(&mut code);
    body.encode(&mut code);
    all[1..].iter().for_each(|body| body.as_bytes().encode(&mut code));
    with(wasm, &code).unwrap()
}

/// One function with checks of every kind.
const MANY: &str = "(module (memory 1) (global $g (mut f32) (f32.const 0))
  (func (param $a f64) (param $n f32) (param $w v128) (result f64)
    (local $x f64) (local $y f64) (local $v v128) (local $i i32)
    (f64.store (i32.const 0) (f64.add (local.get $a) (local.get $x)))
    (global.set $g (f32.mul (local.get $n) (f32.demote_f64 (local.get $x))))
    (local.set $v (f32x4.mul (local.get $w) (local.get $w)))
    (loop
      (local.set $x (f64.sub (local.get $x) (local.get $a)))
      (local.set $v (f32x4.add (local.get $v) (local.get $w)))
      (br_if 0 (f64.lt (local.get $x) (f64.const 3))))
    (v128.store (i32.const 16) (local.get $v))
    (local.set $y (f64.load (i32.const 8)))
    (local.set $y (f64.sqrt (local.get $y)))
    (v128.store (i32.const 32) (f64x2.div (local.get $w) (local.get $w)))
    (call $see (block (result f64)
      (drop (br_if 0 (local.get $y) (local.get $i)))
      (f64.ceil (local.get $y))))
    (f64.copysign
      (if (result f64) (local.get $i) (then (local.get $x)) (else (f64.floor (local.get $y))))
      (f64.neg (local.get $x))))
  (func $see (param f64)))";

#[test]
fn no_check_can_be_left_out() {
    let wasm = wat::parse_str(MANY).unwrap_or_else(|error| panic!("{error}"));
    crate::validate::recheck(&wasm, features()).unwrap();
    let types = Types::of(&wasm).unwrap();
    let whole = plan(&types, 0, &bodies(&wasm).unwrap()[0]).unwrap().unwrap();
    assert!(is_proved(&wasm, &whole));
    assert!(whole.checks.len() >= 8, "{whole:?}");
    for left_out in 0..whole.checks.len() {
        let mut checks = whole.checks.clone();
        let gone = checks.remove(left_out);
        let plan = Plan { checks, locals: whole.locals.clone() };
        assert!(!is_proved(&wasm, &plan), "without {gone:?}");
        let mut checks = whole.checks.clone();
        let shape = &mut checks[left_out].1;
        *shape = match *shape {
            Shape::F32x4 => Shape::F64x2,
            Shape::F64x2 => Shape::F32x4,
            scalar => scalar,
        };
        let plan = Plan { checks, locals: whole.locals.clone() };
        assert_eq!(is_proved(&wasm, &plan), plan.checks == whole.checks, "with {gone:?}");
    }
}

#[test]
fn no_claim_can_be_another() {
    let wasm = wat::parse_str(
        "(module (func (param $a f64) (result f64) (local $x f64) (local $y f64) (local $z f64)
           (local.set $x (f64.add (local.get $a) (local.get $a)))
           (local.set $y (local.get $a))
           (local.set $z (f64.add (local.get $x) (local.get $z)))
           (if (f64.lt (local.get $z) (local.get $x)) (then (return (local.get $y))))
           (local.get $z)))",
    )
    .unwrap();
    let whole = plan_of(&wasmprinted(&wasm), 0);
    assert!(is_proved(&wasm, &whole));
    let classes = [
        Class::Plain,
        Class::Checked(Shape::F64),
        Class::Kept,
        Class::Raw(Shape::F64),
        Class::Raw(Shape::F32),
    ];
    assert_eq!(whole.locals[0], Class::Kept);
    for class in classes.into_iter().filter(|class| *class != Class::Kept) {
        let mut locals = whole.locals.clone();
        locals[0] = class;
        let plan = Plan { checks: whole.checks.clone(), locals };
        assert!(!is_proved(&wasm, &plan), "a parameter as {class:?}");
        let mut locals = whole.locals.clone();
        locals[2] = class;
        let plan = Plan { checks: whole.checks.clone(), locals };
        assert!(!is_proved(&wasm, &plan), "a copy as {class:?}");
    }
}

/// The module as it is: [`plan_of`] takes a text.
fn wasmprinted(wasm: &[u8]) -> String {
    let bytes: String = wasm.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(module binary \"{bytes}\")")
}

#[test]
fn a_copy_is_not_changed() {
    let text = "(module (memory 1) (func (param f64)
        (f64.store (i32.const 0) (local.get 0))))";
    let wasm = wat::parse_str(text).unwrap();
    let mut whole = plan_of(text, 0);
    assert!(is_proved(&wasm, &whole));
    // Behind the `local.get` of what is stored.
    let place = bodies(&wasm).unwrap()[0].as_bytes().len() - 4;
    whole.checks.push((place, Shape::F64));
    assert!(!is_proved(&wasm, &whole));
}

#[test]
fn the_text_of_a_check_is_one() {
    for shape in [Shape::F32, Shape::F64, Shape::F32x4, Shape::F64x2] {
        let (name, ty) = match shape {
            Shape::F32 => ("f32", "f32"),
            Shape::F64 => ("f64", "f64"),
            Shape::F32x4 => ("f32x4", "v128"),
            Shape::F64x2 => ("f64x2", "v128"),
        };
        let text = format!(
            "(module (func (param {ty}) (result {ty})
               ({name}.add (local.get 0) (local.get 0))))"
        );
        let wasm = wat::parse_str(&text).unwrap();
        let whole = plan_of(&text, 0);
        let audited = &bodies(&wasm).unwrap()[0];
        let mut body = Vec::new();
        write(audited, &whole, 1, &mut body).unwrap();
        assert!(is_proved_as(&wasm, &body, &whole));
        // Each bit of what was written matters, where it is a function at all.
        let mut seen = 0;
        for place in 0..body.len() {
            for bit in 0..8 {
                let mut other = body.clone();
                other[place] ^= 1 << bit;
                let made = with_first(&wasm, &other);
                if crate::validate::recheck(&made, features()).is_err() {
                    continue;
                }
                seen += 1;
                assert!(!is_proved_as(&wasm, &other, &whole), "{shape:?} {place} {bit}");
            }
        }
        assert!(seen > 20, "{seen}");
    }
}

#[test]
fn what_is_not_code_stays() {
    let of = |text: &str| wat::parse_str(text).unwrap();
    let one = of("(module (memory 1) (func (nop)))");
    assert!(same_but_for_code(&one, &of("(module (memory 1) (func (unreachable)))")).unwrap());
    for other in ["(module (memory 2) (func (nop)))", "(module (func (nop)))"] {
        assert!(!same_but_for_code(&one, &of(other)).unwrap());
    }
}

#[test]
fn what_would_be_too_much_is_left_to_the_engine() {
    let sums = "(local.set $x (local.get $a))
        (local.set $x (f64.add (local.get $x) (local.get $a)))"
        .repeat(4000);
    let locals = "f64 ".repeat(8000);
    let text = format!(
        "(module (func (param $a f64) (local $x f64) (local {locals}) {sums}
           (drop (f64.neg (local.get $x)))))"
    );
    assert!(Settled::of(&wat::parse_str(&text).unwrap()).unwrap().is_none());
}

/// NAN.md's lists are this table.
#[test]
fn the_document_lists_the_operators() {
    let text = include_str!("../../../NAN.md");
    let listed = |heading: &str| -> Vec<String> {
        let begin = text.find(heading).unwrap_or_else(|| panic!("no {heading}"));
        let block = text[begin..].split("```").nth(1).unwrap();
        block.split_whitespace().skip(1).map(str::to_owned).collect()
    };
    for (heading, which) in [("### Arithmetic", 0), ("### Blind", 1), ("### Plain", 2)] {
        let names = listed(heading);
        assert!(names.len() > 10 && names.is_sorted(), "{heading}");
        let found: Vec<String> = every_operator()
            .into_iter()
            .filter(|(_, sort)| match sort {
                Sort::Arithmetic { .. } => which == 0,
                Sort::Blind { .. } => which == 1,
                Sort::Plain { .. } => which == 2,
                Sort::Other => false,
            })
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, found, "{heading}");
    }
}

/// Every operator without immediates that is in the table, by name; sorted. Of the others only
/// constants are.
fn every_operator() -> Vec<(String, Sort)> {
    macro_rules! operators {
        ($(@$proposal:ident $operator:ident $({ $($field:ident: $type:ty),* })? => $visit:ident ($($arity:tt)*))*) => {
            [$(operators!(@one $operator $({ $($field)* })?),)*]
        };
        (@one $operator:ident { $($field:ident)* }) => { None };
        (@one $operator:ident) => {
            Some((stringify!($operator).to_owned(), sort(&Operator::$operator)))
        };
    }
    let all: [Option<(String, Sort)>; _] = wasmparser::for_each_operator!(operators);
    let mut all: Vec<(String, Sort)> = all.into_iter().flatten().collect();
    all.retain(|(_, sort)| *sort != Sort::Other);
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}
