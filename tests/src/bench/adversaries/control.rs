//! Calls, branches, locals, exceptions, code that fits no cache.

use super::Adversary;
use std::fmt::Write as _;

/// A step of a generator of numbers that no branch predictor knows, in `$x`.
const RANDOM: &str = "(local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525))
    (i32.const 1013904223)))";

pub(super) fn all() -> Vec<Adversary> {
    [calls(), values(), branches(), locals(), code(), exceptions()].into_iter().flatten().collect()
}

fn calls() -> Vec<Adversary> {
    let mut tree = String::from("(func $f0)");
    for level in 1..16 {
        let _ = write!(tree, "(func $f{level} (call $f{0}) (call $f{0}))", level - 1);
    }
    let parameters = format!("(func $f (param {}))", "i64 ".repeat(900));
    let results = format!(
        "(type $t (func (result {}))) (func $f (type $t) {})",
        "i64 ".repeat(900),
        "(local.get 0)".repeat(900)
    )
    .replace("(type $t) ", "(type $t) (local i64) ");
    let table = "(table 1 funcref) (elem (i32.const 0) $f) (func $f)";
    let many = {
        let mut text = String::from("(table 256 funcref) (elem (i32.const 0) ");
        for index in 0..256 {
            let _ = write!(text, "$f{index} ");
        }
        text += ")";
        for index in 0..256 {
            let _ = write!(text, "(func $f{index})");
        }
        text
    };
    let open = "(rec (type $t (sub (func)))) (rec (type $s (sub $t (func))))
        (table 1 funcref) (elem (i32.const 0) $f) (func $f (type $s))";
    let slots = {
        let names = "$f ".repeat(100_000);
        format!("(table 100000 funcref) (elem (i32.const 0) {names}) (func $f)")
    };
    vec![
        Adversary::new("calls: a tree, 2^15 deep", 100, tree, "(call $f15)"),
        Adversary::new(
            "recursion, 5 000 deep",
            500,
            "(func $f (param i32)
                (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1))))))",
            "(call $f (i32.const 5000))",
        ),
        Adversary::new(
            "call, 900 parameters",
            30_000,
            parameters,
            format!("(call $f {})", "(local.get $y)".repeat(900)),
        ),
        Adversary::new(
            "call, 900 results",
            10_000,
            results,
            format!("(call $f) {}", "(drop)".repeat(900)),
        ),
        Adversary::new("call_indirect", 3_000_000, table, "(call_indirect (i32.const 0))"),
        Adversary::new(
            "call_indirect, one of 256 at random",
            1_000_000,
            many,
            format!("{RANDOM} (call_indirect (i32.shr_u (local.get $x) (i32.const 24)))"),
        ),
        Adversary::new(
            "call_indirect of a subtype",
            1_000_000,
            open,
            "(call_indirect (type $t) (i32.const 0))",
        ),
        Adversary::new(
            "call_indirect of 100 000 slots, once each",
            100_000,
            slots.clone(),
            "(call_indirect (i32.sub (local.get $i) (i32.const 1)))",
        ),
        Adversary::new(
            "table.get of 100 000 slots, once each",
            100_000,
            slots,
            "(drop (table.get 0 (i32.sub (local.get $i) (i32.const 1))))",
        ),
        Adversary::new(
            "call_ref",
            3_000_000,
            "(type $t (func)) (elem declare func $f) (func $f (type $t))",
            "(call_ref $t (ref.func $f))",
        ),
    ]
}

/// Many values that are handed over, by few operators.
fn values() -> Vec<Adversary> {
    let list = |count: usize| "i64 ".repeat(count);
    let through = |count: usize| {
        format!(
            "(type $t (func (param {0}) (result {0}))) (func $f (type $t) {1})
             (type $g (func (result {0}))) (func $g (type $g) {2})",
            list(count),
            (1..count).chain([0]).map(|index| format!("(local.get {index})")).collect::<String>(),
            "(i64.const 1)".repeat(count)
        )
    };
    let taken = |count: usize| "(drop)".repeat(count);
    // Each value is where the next one was when the loop begins again.
    let rotated = |count: usize| {
        format!(
            "(type $t (func (param {0}) (result {0})))
             (type $g (func (result {0}))) (func $g (type $g) {1})
             (func $f (local $n i32)
               (local.set $n (i32.const 1000))
               (block $out (result {0})
                 (call $g)
                 (loop $l (type $t)
                   (br_if $out (i32.eqz (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
                   (i64.const 1) (br $l)))
               {2})",
            list(count),
            "(i64.const 1)".repeat(count),
            taken(count)
        )
    };
    // Two ways that bring the same values to one place, in another order.
    let met = |count: usize| {
        format!(
            "(global $never (mut i32) (i32.const 0))
             (type $t (func (param {0}) (result {0})))
             (type $g (func (result {0}))) (func $g (type $g) {1})
             (func $f (local $n i32)
               (local.set $n (i32.const 1000))
               (call $g)
               (loop $l (type $t)
                 (block $met (type $t)
                   (if (type $t) (global.get $never) (then (i64.const 1) (br $met))))
                 (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
               {2})",
            list(count),
            "(i64.const 1)".repeat(count),
            taken(count)
        )
    };
    let mut all = Vec::new();
    for count in [8, 40, 900] {
        let times = 2_000_000 / count as u32;
        all.push(Adversary::new(
            format!("{count} values from call to call"),
            times,
            through(count),
            format!("(call $g) {} {}", "(call $f)".repeat(20), taken(count)),
        ));
        all.push(Adversary::new(
            format!("{count} values that a loop turns"),
            (times / 100).max(1),
            rotated(count),
            "(call $f)",
        ));
        all.push(Adversary::new(
            format!("{count} values that meet"),
            (times / 100).max(1),
            met(count),
            "(call $f)",
        ));
    }
    all
}

fn branches() -> Vec<Adversary> {
    let labels: String = (0..9000).map(|_| "(block ").collect();
    let targets: String = (0..9000).map(|label| format!("{label} ")).collect();
    let huge = format!(
        "{labels} (br_table {targets} (i32.rem_u (i32.mul (local.get $i) (i32.const 7919)) (i32.const 9000))) {}",
        ")".repeat(9000)
    );
    let targets: String = (0..64).map(|label| format!("{label} ")).collect();
    let random = format!(
        "{RANDOM} {} (br_table {targets} (i32.shr_u (local.get $x) (i32.const 26))) {}",
        "(block ".repeat(64),
        ") (local.set $y (i64.add (local.get $y) (i64.const 1)))".repeat(64)
    );
    let coin = format!(
        "{RANDOM} {}",
        (0..16)
            .map(|bit| {
                format!(
                    "(if (i32.and (local.get $x) (i32.const {})) (then (global.set $g (local.get $i))))",
                    1_u32 << (bit + 12)
                )
            })
            .collect::<String>()
    );
    vec![
        Adversary::new("br_table of 9 000", 300_000, "", huge),
        Adversary::new("br_table of 64, at random", 500_000, "", random),
        Adversary::new("if, at random", 300_000, "(global $g (mut i32) (i32.const 0))", coin),
    ]
}

/// Locals that cost nothing by themselves, and much where control meets.
fn locals() -> Vec<Adversary> {
    let unused = |count: usize| format!("(func $f (local {}))", "i64 ".repeat(count));
    let rotated = |count: usize| -> String {
        let mut text = String::from("(local.set $t (local.get 0)) ");
        for index in 0..count - 1 {
            let _ = write!(text, "(local.set {index} (local.get {})) ", index + 1);
        }
        let _ = write!(text, "(local.set {} (local.get $t)) ", count - 1);
        text
    };
    let changed = |count: usize| -> String {
        let mut text = String::new();
        for index in 0..count {
            let _ = write!(
                text,
                "(local.set {index} (i64.add (local.get {}) (i64.const {index}))) ",
                (index + 1) % count
            );
        }
        text
    };
    let never = "(global $never (mut i32) (i32.const 0)) (global $g (mut i64) (i64.const 0))";
    // All live in a loop, changed in an arm that is never taken.
    let entered = |count: usize| {
        format!(
            "{never} (func $f (local {}) (local $t i64)
                (loop $l (if (global.get $never) (then {} (br $l)))))",
            "i64 ".repeat(count),
            changed(count)
        )
    };
    // Moved around by an arm that is never taken, in a loop that goes on.
    let met = |count: usize| {
        format!(
            "{never} (func $f (local {}) (local $t i64) (local $n i32)
                (local.set $n (i32.const 10000))
                (loop $l
                    (if (global.get $never) (then {}))
                    (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
                (global.set $g (local.get 3)))",
            "i64 ".repeat(count),
            rotated(count)
        )
    };
    vec![
        Adversary::new("call, 40 000 locals", 10_000, unused(40_000), "(call $f)"),
        Adversary::new("call, 30 locals live in a loop", 300_000, entered(30), "(call $f)"),
        Adversary::new("call, 300 locals live in a loop", 100_000, entered(300), "(call $f)"),
        Adversary::new("call, 3 000 locals live in a loop", 10_000, entered(3000), "(call $f)"),
        Adversary::new("call, 10 000 locals live in a loop", 1000, entered(10_000), "(call $f)"),
        Adversary::new("30 locals that meet", 50, met(30), "(call $f)"),
        Adversary::new("300 locals that meet", 20, met(300), "(call $f)"),
        Adversary::new("3 000 locals that meet", 3, met(3000), "(call $f)"),
    ]
}

/// More code than the caches of instructions hold.
fn code() -> Vec<Adversary> {
    let straight = "(local.set $y (i64.rotl (i64.xor (local.get $y) (i64.const 0x123456789abcdef)) (i64.const 7)))"
        .repeat(100_000);
    let functions = {
        let mut text = String::from("(table 20000 funcref) (elem (i32.const 0) ");
        for index in 0..20_000 {
            let _ = write!(text, "$f{index} ");
        }
        text += ") (global $g (mut i64) (i64.const 0))";
        for index in 0..20_000 {
            let _ = write!(text, "(func $f{index} (global.set $g (i64.const {index})))");
        }
        text
    };
    vec![
        Adversary::new("100 000 rotations, straight", 30, "", straight),
        Adversary::new(
            "call_indirect, one of 20 000 at random",
            1_000_000,
            functions,
            format!(
                "{RANDOM} (call_indirect (i32.rem_u (i32.shr_u (local.get $x) (i32.const 8)) (i32.const 20000)))"
            ),
        )
        .behind(
            "(local.set $i (i32.const 19999))
             (loop $l (call_indirect (local.get $i))
                (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))",
        ),
    ]
}

fn exceptions() -> Vec<Adversary> {
    let thrown = "(block $caught (try_table (catch $e $caught) (call $f)))";
    let deep = "(tag $e) (func $f0 (param i32)
        (if (i32.eqz (local.get 0)) (then (throw $e)))
        (call $f0 (i32.sub (local.get 0) (i32.const 1))))";
    let through = |frames: u32| {
        format!("(block $caught (try_table (catch $e $caught) (call $f0 (i32.const {frames}))))")
    };
    let chain = {
        let mut text = String::from("(tag $e) (func $f0 (throw $e))");
        for level in 1..200 {
            let _ = write!(text, "(func $f{level} (call $f{}))", level - 1);
        }
        text + "(func $f (call $f199))"
    };
    let clauses = {
        let mut text = String::from("(tag $e) (tag $other) (func $f (block $out (try_table ");
        for _ in 0..2000 {
            text += "(catch $other $out) ";
        }
        text + "(throw $e))))"
    };
    let wide = format!("(tag $e (param {}))", "i64 ".repeat(900));
    vec![
        Adversary::new(
            "throw, caught in its function",
            100_000,
            "(tag $e)",
            "(block $caught (try_table (catch $e $caught) (throw $e)))",
        ),
        Adversary::new(
            "throw, caught by the caller",
            100_000,
            "(tag $e) (func $f (throw $e))",
            thrown,
        ),
        Adversary::new("throw through 200 frames", 3000, deep, through(200)),
        Adversary::new("throw through 5 000 frames", 100, deep, through(5000)),
        Adversary::new("throw through 200 frames that only call", 3000, chain, thrown),
        Adversary::new("throw past 2 000 clauses", 3000, clauses, thrown),
        Adversary::new(
            "throw of 900 values",
            10_000,
            wide,
            format!(
                "(block $caught (result {}) (try_table (catch $e $caught) (throw $e {})) (unreachable)) {}",
                "i64 ".repeat(900),
                "(local.get $y)".repeat(900),
                "(drop)".repeat(900)
            ),
        ),
        Adversary::new(
            "catch_all_ref and throw_ref",
            50_000,
            "(tag $e) (func $f (throw $e))",
            "(block $out (try_table (catch_all $out)
                (block $again (result exnref)
                    (try_table (catch_all_ref $again) (call $f)) (unreachable))
                (throw_ref)))",
        ),
    ]
}
