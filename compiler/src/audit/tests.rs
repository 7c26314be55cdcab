//! Modules written by hand, each of which breaks one rule.
//!
//! Each is refused by the name of its rule, and passes a judge who overlooks that
//! one: so no rule can be lost without a test that notices.

use super::*;
use crate::input::Source;
use crate::meter;
use crate::validate::validate;
use bls_artifact::target::{EngineProfile, Nans, Target};
use wasmparser::Operator;

fn profile() -> EngineProfile {
    EngineProfile::of(Target::X86_64, Nans::Canonical)
}

/// A module with a counter behind `before`, and functions behind that. In them
/// `@load`, `@store`, `@mark`, `@check L` and `@charge N` stand for the texts, with the
/// local counter `$f`, `@below N L` for a check against N, and `@cold` for the cold path.
fn module(before: &str, functions: &str) -> Vec<u8> {
    let wat = format!(
        "(module {before} (global $fuel (mut i64) (i64.const 0))
           (export \"__bls_fuel\" (global $fuel)) {functions})"
    );
    wat::parse_str(expand(&wat)).unwrap_or_else(|error| panic!("{error}"))
}

fn expand(text: &str) -> String {
    let mut expanded = String::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let mut number = || words.next().unwrap_or_default().trim_end_matches(')');
        expanded += &match word {
            "@mark" => "local.get $f local.set $f".to_owned(),
            "@load" => "global.get $fuel local.set $f".to_owned(),
            "@store" => "local.get $f global.set $fuel".to_owned(),
            "@cold" => {
                "return end i64.const 0x8000000000000000 global.set $fuel unreachable".to_owned()
            }
            "@check" => format!("local.get $f i64.const 0 i64.lt_s br_if {}", number()),
            "@below" => {
                format!("local.get $f i64.const {} i64.lt_s br_if {}", number(), number())
            }
            "@charge" => format!("local.get $f i64.const {} i64.sub local.set $f", number()),
            "@flush" => format!("local.get $f i64.const {} i64.sub global.set $fuel", number()),
            "@direct" => {
                format!("global.get $fuel i64.const {} i64.sub global.set $fuel", number())
            }
            other => other.to_owned(),
        };
        expanded += " ";
    }
    expanded
}

fn judged(wasm: &[u8], overlooks: Option<Rule>) -> Result<Findings, AuditError> {
    recheck(wasm, profile().wasm_features()).expect("a valid module");
    metered(Judge { overlooks, weighs_nothing: None }, wasm, None)
}

/// The same, where constants are all that weighs anything.
fn judged_by_constants(wasm: &[u8], overlooks: Option<Rule>) -> Result<Findings, AuditError> {
    recheck(wasm, profile().wasm_features()).expect("a valid module");
    fn is_free(operator: &Operator<'_>) -> bool {
        !matches!(operator, Operator::I32Const { .. })
    }
    metered(Judge { overlooks, weighs_nothing: Some(is_free) }, wasm, None)
}

/// Functions that break a rule and no other.
const BROKEN: &[(Rule, &str, &str)] = &[
    (Rule::Names, "", "(export \"fuel\" (global $fuel))"),
    (Rule::Names, "", "(func (export \"__bls_more\"))"),
    (Rule::Names, "(import \"__bls\" \"f\" (func))", ""),
    (Rule::Names, "(import \"m\" \"__bls_f\" (func))", ""),
    (Rule::Names, "", "(func (export \"__bls_start\") (param i32))"),
    (Rule::Counter, "", "(global i64 (i64.const 0))"),
    (Rule::Start, "", "(func $s) (start $s)"),
    // Gives itself fuel, and pays for that.
    (Rule::Reserved, "", "(func i64.const 5 global.set $fuel @direct 2 )"),
    (Rule::Reserved, "", "(func (local $f i64) @load local.get $f drop @charge 1 @store )"),
    (Rule::Cold, "", "(func block block br 1 end @cold )"),
    // A branch that pays leaves the function's block, pays nothing, goes nowhere.
    (
        Rule::Cold,
        "",
        "(func (local $f i64) @load block block
           i32.const 0 @charge 2 @mark if @charge 0 br 2 end
         end @check 0 @store @cold )",
    ),
    (
        Rule::Reserved,
        "",
        "(func (local $f i64) @load block
           i32.const 0 @charge 5 @mark if br 1 end i32.const 0 drop
         end @store )",
    ),
    (
        Rule::Reserved,
        "",
        "(func (local $f i64) @load
           i32.const 0 @charge 4 @mark if @charge 1 br 0 end @store )",
    ),
    // Two bodies, one of which goes on for ever.
    (
        Rule::Copies,
        "",
        "(func (local $f i64) @load block block
           @mark block loop @check 3
             @mark block i32.const 0 br_if 0 @charge 2 @mark br 2 end
             i32.const 1 @charge 4 br_if 0
           end end
         end @store @cold )",
    ),
    // Leads back to the loop in one copy, and out of it in the other.
    (
        Rule::Copies,
        "",
        "(func (local $f i64) @load block block
           @mark block loop @check 3
             @mark block i32.const 0 @charge 2 br_if 1
               i32.const 0 br_if 0 @charge 2 @mark br 2 end
             i32.const 0 @charge 4 br_if 1
             i32.const 0 @charge 2 br_if 0
           end end
         end @store @cold )",
    ),
    // A round more than the loop has.
    (
        Rule::Copies,
        "",
        "(func (local $f i64) @load block block
           @mark block loop @check 3
             @mark block i32.const 0 br_if 0 end
             i32.const 0 @charge 4 br_if 0
           end end
         end @store @cold )",
    ),
    // Work between the copies of a loop and what is behind them.
    (
        Rule::Copies,
        "",
        "(func (local $f i64) @load block block
           @mark block loop @check 3
             @mark block i32.const 0 br_if 0 @charge 2 @mark br 2 end
             i32.const 0 @charge 4 br_if 0
           end i32.const 0 drop @charge 1 end
         end @store @cold )",
    ),
    (Rule::Dead, "", "(func (local $f i64) @load unreachable @charge 1 )"),
    // Does not load the counter again behind the call.
    (
        Rule::Stale,
        "(import \"m\" \"f\" (func $import))",
        "(func (export \"f\") (local $f i64) @load block block
           @charge 4 @check 1 @store call $import
         end @check 0 @store @cold )",
    ),
    (
        Rule::Join,
        "",
        "(func (param i32) (local $f i64) @load local.get 0
           if @charge 1 else end @charge 1 @store )",
    ),
    (
        Rule::Join,
        "",
        "(func (param i32) (local $f i64) @load block local.get 0 br_if 0
           i32.const 1 drop end @charge 2 @store )",
    ),
    // A branch that pays more than who goes on.
    (
        Rule::Join,
        "",
        "(func (local $f i64) @load block
           i32.const 0 @mark if @charge 2 br 1 end
           @charge 1 end @store )",
    ),
    // Comes back to a loop owing one more each time.
    (
        Rule::Join,
        "",
        "(func (local $f i64) @load block block
           loop @check 2 @charge 1 i32.const 0 br_if 0 end
         end @charge 1 @store @cold )",
    ),
    (
        Rule::Settled,
        "",
        "(func (local $f i64) @load block block
           i32.const 1 drop @check 1 @charge 1
         end @store @cold )",
    ),
    (
        Rule::Settled,
        "",
        "(func (local $f i64) @load block block
           @charge 2 @check 1 i32.const 1 drop i32.const 1 drop
         end @store @cold )",
    ),
    // Two are pending, and the check sees one.
    (
        Rule::Settled,
        "",
        "(func (local $f i64) @load block block
           i32.const 1 drop i32.const 1 drop @below 1 1 @charge 2
         end @store @cold )",
    ),
    // It sees two that are not pending, and one runs behind it.
    (
        Rule::Settled,
        "",
        "(func (local $f i64) @load block block
           @below 2 1 i32.const 1 drop @charge 1
         end @store @cold )",
    ),
    // Pays for each round before it begins.
    (
        Rule::Settled,
        "",
        "(func (local $f i64) @load block block
           @charge 1 loop @check 2 i32.const 0 @charge 2 br_if 0 end @charge -1
         end @store @cold )",
    ),
    (Rule::Exact, "", "(func i32.const 1 drop)"),
    (Rule::Exact, "", "(func (local $f i64) @load @charge 1 i32.const 1 drop)"),
    (Rule::Exact, "", "(func $f) (func call $f @direct 4 )"),
    (Rule::Strict, "", "(func (export \"f\") i32.const 1 drop @direct 1 )"),
    (Rule::Strict, "(import \"m\" \"f\" (func $import))", "(func @direct 4 call $import)"),
    (Rule::Strict, "(tag $tag)", "(func @direct 1000 throw $tag)"),
    (Rule::Strict, "(table 1 funcref)", "(func @direct 9 i32.const 0 call_indirect)"),
    // What is seen to return is a function that consumes nothing, but not its caller.
    (Rule::Strict, "", "(func $empty) (func (export \"f\") @direct 4 return_call $empty)"),
    // The way back up a recursion, by way of a tail call.
    (
        Rule::Strict,
        "(table 1 funcref)",
        "(elem (i32.const 0) $f)
         (func $behind @direct 1 i32.const 0 drop)
         (func $f (local $f i64) @load block block
           i32.const 0 @charge 9 @check 1 @store call_indirect @load
           @flush 4 return_call $behind
         end @cold )",
    ),
    (Rule::Loop, "", "(func (local $f i64) @load loop @charge 2 i32.const 0 br_if 0 end @store )"),
    // Calls in each round, but nobody who checks.
    (
        Rule::Loop,
        "",
        "(func $empty) (func (local $f i64) @load
           loop @flush 4 call $empty @load @charge 2 i32.const 0 br_if 0 end @store )",
    ),
    // Some rounds meet a check, and some do not.
    (
        Rule::Loop,
        "(import \"m\" \"f\" (func $import))",
        "(func (local $f i64) @load block block
           loop
             block
               i32.const 0 @charge 2 br_if 0
               @charge 4 @check 3 @store call $import @load
             end
             @charge 2 i32.const 0 br_if 0
           end
         end @store @cold )",
    ),
    // A round of the inner loop adds to what a round of the outer one leaves unpaid.
    (
        Rule::Loop,
        "(import \"m\" \"f\" (func $import))",
        "(func (local $f i64) @load block block
           loop
             @charge 4 @check 2 @store call $import @load
             block
               loop
                 i32.const 0 @charge 2 br_if 1
                 @charge 4 @check 4 @store call $import @load
                 i32.const 0 drop @charge 2 br 0
               end
             end
             @charge 2 i32.const 0 br_if 0
           end
         end @store @cold )",
    ),
    (
        Rule::Recursion,
        "",
        "(func $f (local $f i64) @load block block
           @flush 4 call $f @load
         end @check 0 @store @cold )",
    ),
    (
        Rule::Length,
        "(memory 1)",
        "(func (param i32) local.get 0 local.get 0 local.get 0 memory.fill @direct 11 )",
    ),
    // Pays, but the clamp is that of another memory.
    (
        Rule::Length,
        "(memory 1) (memory 1)",
        "(func (param i32) (local $f i64) (local $length i64) (local $bound i64)
           @load block block
           local.get 0 local.get 0 local.get 0 @charge 11
           i64.extend_i32_u local.set $length local.get $f local.get $length
           memory.size 1 i64.extend_i32_u i64.const 16 i64.shl local.tee $bound
           local.get $length local.get $bound i64.lt_u select
           i64.const 3 i64.shr_u i64.sub local.tee $f
           i64.const 0 i64.lt_s br_if 1 local.get $length i32.wrap_i64
           memory.fill
         end @store @cold )",
    ),
    (
        Rule::Range,
        "",
        "(func (local $f i64) @load @charge 2199023255552 @charge -2199023255552 @store )",
    ),
];

#[test]
fn each_rule_refuses_and_is_missed() {
    for (rule, before, functions) in BROKEN {
        let wasm = module(before, functions);
        let refused = judged(&wasm, None).expect_err(functions);
        assert_eq!(refused.rule(), Some(*rule), "{refused}: {before} {functions}");
        let passed = judged(&wasm, Some(*rule));
        assert!(passed.is_ok(), "{rule} is not all that is broken: {passed:?} {functions}");
    }
}

/// Functions that run for ever, or could, without consuming anything: where nothing but
/// constants weighs anything, for with the weights of the model there is none. `local.get 0`
/// is then a condition that is free.
const FREE: &[(&str, &str)] = &[
    (
        "",
        "(func (param i32) (local $f i64) @load block block
           local.get 0 br_if 0 loop @check 2 br 0 end
         end @store @cold )",
    ),
    // What is consumed in front of a loop is not consumed in it.
    (
        "",
        "(func (param i32) (local $f i64) @load block block
           i32.const 0 drop @charge 1 loop @check 2 local.get 0 br_if 0 end
         end @store @cold )",
    ),
    // Nor is what is consumed in the loop before it.
    (
        "",
        "(func (param i32) (local $f i64) @load block block
           loop @check 2 i32.const 0 @charge 1 br_if 0 end
           loop @check 2 local.get 0 br_if 0 end
         end @store @cold )",
    ),
    // One arm costs something, the other one does not.
    (
        "",
        "(func (param i32) (local $f i64) @load block block
           loop @check 2
             local.get 0 if i32.const 0 drop @charge 1 else end
             local.get 0 br_if 0
           end
         end @store @cold )",
    ),
    // The inner loop costs nothing, and ends at once; the outer one never.
    (
        "",
        "(func (param i32) (local $f i64) @load block block
           local.get 0 br_if 0
           loop @check 2 loop @check 3 end br 0 end
         end @store @cold )",
    ),
    (
        "(tag $e)",
        "(func (param i32) (local $f i64) @load block block
           local.get 0 br_if 0
           loop @load @check 2 try_table (catch $e 0) throw $e end end
         end @store @cold )",
    ),
    (
        "",
        "(func $g (local $f i64) @load block block
           call $g @load
         end @check 0 @store @cold )",
    ),
    ("", "(func $g return_call $g)"),
    (
        "(table 1 funcref)",
        "(func (param i32) (local $f i64) @load block block
           @check 1 local.get 0 call_indirect @load
         end @check 0 @store @cold )",
    ),
];

/// What costs one constant each time.
const NOT_FREE: &[&str] = &[
    "(func (param i32) (local $f i64) @load block block
       loop @check 2 i32.const 0 drop local.get 0 @charge 1 br_if 0 end
     end @store @cold )",
    // In the inner loop.
    "(func (param i32) (local $f i64) @load block block
       loop @check 2
         loop @check 3 i32.const 0 @charge 1 br_if 0 end
         local.get 0 br_if 0
       end
     end @store @cold )",
    // In both arms.
    "(func (param i32) (local $f i64) @load block block
       loop @check 2
         local.get 0 if i32.const 0 drop @charge 1 else i32.const 0 drop @charge 1 end
         local.get 0 br_if 0
       end
     end @store @cold )",
];

#[test]
fn what_costs_something_each_time_passes() {
    for functions in NOT_FREE {
        let passed = judged_by_constants(&module("", functions), None);
        assert!(passed.is_ok(), "{passed:?} {functions}");
    }
}

#[test]
fn what_costs_nothing_is_refused_and_is_missed() {
    for (before, functions) in FREE {
        let wasm = module(before, functions);
        let refused = judged_by_constants(&wasm, None).expect_err(functions);
        assert_eq!(refused.rule(), Some(Rule::Free), "{refused}: {before} {functions}");
        let passed = judged_by_constants(&wasm, Some(Rule::Free));
        assert!(passed.is_ok(), "free is not all that is broken: {passed:?} {functions}");
    }
}

#[test]
fn a_tree_of_calls_without_checks_breaks_the_bound() {
    let mut functions = "(func $f0 (nop))".to_owned();
    for level in 1..=20 {
        let below = level - 1;
        functions += &format!(
            "(func $f{level} (local $f i64) @load @flush 4 call $f{below} @load
               @flush 4 call $f{below} @load @store )"
        );
    }
    let wasm = module("", &functions);
    assert_eq!(judged(&wasm, None).expect_err("too much").rule(), Some(Rule::Bound));
    assert_eq!(judged(&wasm, Some(Rule::Bound)).unwrap().overrun_max, 8 * ((1 << 20) - 1));
}

const SOURCE: &str = "(module (memory 1) (data (i32.const 0) \"here\") (func $s) (start $s)
    (func (export \"f\") (param i32) (result i32 i32) (local i64)
        (loop (i32.const 7) (drop) (br_if 0 (local.get 0)))
        (if (local.get 0) (then (return (i32.const 1) (i32.const 2))))
        (i32.const 3) (local.get 0)))";

fn valid(wat: &str) -> Validated {
    let source = Source::new(wat.as_bytes().to_vec(), "test.wat").unwrap();
    validate(source, &profile()).unwrap()
}

/// A source, what it was metered as, and what is claimed.
fn against(source: &str, change: impl Fn(&mut Fuel), overlooks: Option<Rule>) -> Option<Rule> {
    let made = meter::meter(&valid(SOURCE)).unwrap();
    let mut fuel = made.fuel;
    change(&mut fuel);
    let judge = Judge { overlooks, weighs_nothing: None };
    metered(judge, &made.wasm, Some((valid(source).bytes(), &fuel)))
        .err()
        .map(|error| error.rule().unwrap_or_else(|| panic!("{error}")))
}

#[test]
fn claims_and_sources_are_compared() {
    let keep = |_: &mut Fuel| {};
    assert_eq!(against(SOURCE, keep, None), None);
    type Change = fn(&mut Fuel);
    let claims: [(Rule, Change); 5] = [
        (Rule::ClaimedBound, |fuel| fuel.overrun_max -= 1),
        (Rule::ClaimedInstantiation, |fuel| fuel.instantiation += 1),
        (Rule::ClaimedModel, |fuel| fuel.plan += 1),
        (Rule::ClaimedModel, |fuel| fuel.model.clear()),
        (Rule::ClaimedModel, |fuel| fuel.cost_table = bls_artifact::digest::Sha256::of(b"")),
    ];
    for (rule, change) in claims {
        assert_eq!(against(SOURCE, change, None), Some(rule));
        assert_eq!(against(SOURCE, change, Some(rule)), None);
    }
    for (rule, from, to) in [
        (Rule::SameSections, "\"here\"", "\"gone\""),
        (Rule::SameSections, "(memory 1)", "(memory 1 2)"),
        (Rule::SameSections, "(export \"f\")", "(export \"g\")"),
        (Rule::SameSections, "(start $s)", ""),
        (Rule::SameSections, "(start $s)", "(start $s) (global i32 (i32.const 0))"),
        (Rule::SameSections, "(start $s)", "(start $s) (@custom \"more\" \"\")"),
        (Rule::SameCode, "(local i64)", "(local f64)"),
        (Rule::SameCode, "(i32.const 3)", "(i32.const 4)"),
        (Rule::SameCode, "(i32.const 3)", "(nop) (i32.const 3)"),
        (Rule::SameCode, "(i32.const 7)", "(i32.const 8)"),
        (Rule::SameCode, "(br_if 0", "(br_if 1"),
    ] {
        let other = SOURCE
            .replace(from, to)
            .replace("(br_if 1 (local.get 0))", "(br_if 0 (nop) (local.get 0))");
        assert_ne!(other, SOURCE);
        assert_eq!(against(&other, keep, None), Some(rule), "{to}");
        assert_eq!(against(&other, keep, Some(rule)), None, "{to}");
    }
}

#[test]
fn every_rule_has_a_module_that_breaks_it() {
    let elsewhere = [
        Rule::Bound,
        Rule::Free,
        Rule::ClaimedBound,
        Rule::ClaimedInstantiation,
        Rule::ClaimedModel,
        Rule::SameSections,
        Rule::SameCode,
    ];
    for rule in Rule::ALL {
        let here = BROKEN.iter().any(|(broken, ..)| *broken == rule);
        assert!(here || elsewhere.contains(&rule), "{rule} is not tested");
        let text = include_str!("../../../FUEL.md");
        assert!(text.contains(&format!("| `{rule}` |")), "FUEL.md does not explain {rule}");
    }
}

/// What is kept of a module's functions ends at a limit, and changes nothing.
#[test]
fn what_is_not_kept_is_read_again() {
    let mut text = String::from("(module (table 1 funcref)");
    for index in 0..50 {
        text += &format!(
            "(func $f{index} (param i32) (loop (br_if 0 (local.get 0)))
               (call $f{} (local.get 0)) (call_indirect (local.get 0)))",
            (index * 7 + 1) % 50
        );
    }
    let source = valid(&(text + "(elem (i32.const 0) $f3) (export \"f\" (func $f0)))"));
    let made = meter::meter(&source).unwrap();
    let within = |steps_max| {
        let origin = Some((source.bytes(), &made.fuel));
        metered_within(steps_max, Judge::default(), &made.wasm, origin).unwrap()
    };
    assert!(within(0).checks >= 100);
    for steps_max in [1, 40, 400, usize::MAX] {
        assert_eq!(within(steps_max), within(0), "{steps_max}");
    }

    // No more is kept than there is room for.
    let facts = Facts::of(Judge::default(), &made.wasm).unwrap();
    let mut buffer = idiom::Buffer::default();
    let mut read = |index| Function::read(&facts, index, &mut buffer).unwrap();
    let one = read(0).steps.len();
    let mut kept = Kept::new(50, one * 5 / 2);
    for index in 0..50 {
        kept.offer(index, read(index));
    }
    assert_eq!(kept.functions.iter().flatten().count(), 2);
    assert_eq!(kept.take(0).map(|function| function.steps.len()), Some(one));
    assert!(kept.take(0).is_none() && kept.take(49).is_none());
}

#[test]
fn unmetered_modules_are_their_sources() {
    let source = valid(SOURCE);
    let made = meter::strip_start(&source).unwrap();
    let compare = |wasm: &[u8]| same::unmetered(Judge::default(), source.bytes(), wasm);
    compare(&made).unwrap();
    assert_eq!(compare(source.bytes()).unwrap_err().rule(), Some(Rule::Start));
    let other = valid(&SOURCE.replace("(i32.const 3)", "(i32.const 4)"));
    let other = meter::strip_start(&other).unwrap();
    assert_eq!(compare(&other).unwrap_err().rule(), Some(Rule::SameCode));
    let other = valid(&SOURCE.replace("here", "gone"));
    let other = meter::strip_start(&other).unwrap();
    assert_eq!(compare(&other).unwrap_err().rule(), Some(Rule::SameSections));
}

#[test]
fn what_nobody_metered_is_named() {
    let wasm = wat::parse_str("(module (func))").unwrap();
    assert!(matches!(judged(&wasm, None), Err(AuditError::NotMetered)));
    let features = profile().wasm_features();
    assert!(matches!(examine(b"\0asm\x01\0\0\0\x01", features), Err(AuditError::Invalid(_))));
}
