//! `bench adversaries`: modules made to be cheap in fuel and dear in time.
//!
//! For each: nanoseconds a unit, and how many times an ordinary program's that is. A
//! price is wrong where it is far above; what a host call does for the guest is not
//! priced at all, and shows here. Each module does its work in a loop that ends by
//! itself, so that its fuel is exact. Prints; judges nothing.

use super::table::Table;
use super::{Bench, report};
use crate::programs::fixtures;
use std::fmt::Write as _;
use std::path::Path;

/// Runs of each; the fastest counts.
pub(super) const RUNS: usize = 5;

/// What a module imports, holds and does `times` times.
struct Adversary {
    name: &'static str,
    /// Imports, memories, tables, functions, by whatever text they need.
    parts: String,
    /// What stands in the loop.
    body: String,
    times: u32,
}

/// Prints the table.
pub(super) fn run(bench: &Bench, runs: usize) -> Result<(), String> {
    let ordinary = nanoseconds_a_unit(bench, &fixtures().join("c/compute.wasm"), runs)?;
    let mut table = Table::new(&["adversary", "units", "ns a unit", "× ordinary"]);
    table.row(vec![
        "c/compute (ordinary)".into(),
        String::new(),
        format!("{ordinary:.2}"),
        "1.0".into(),
    ]);
    for adversary in adversaries() {
        let path = bench.home.path("adversary.wat");
        std::fs::write(&path, adversary.text()).map_err(|error| error.to_string())?;
        let made = bench.make(&path, "adversary", &[])?;
        let mut best = f64::INFINITY;
        let mut units = 0;
        for _ in 0..runs {
            let report = bench
                .report(&made.path, &[])
                .map_err(|what| format!("{}: {what}", adversary.name))?;
            units = report::consumed(&report).unwrap_or(0);
            best = best.min(report::run_time(&report).unwrap_or(f64::INFINITY));
        }
        let each = best * 1000.0 / units as f64;
        table.row(vec![
            adversary.name.into(),
            units.to_string(),
            format!("{each:.2}"),
            format!("{:.1}", each / ordinary),
        ]);
    }
    table.print("Nanoseconds for a unit of fuel, run stage, fastest of the runs");
    Ok(())
}

fn nanoseconds_a_unit(bench: &Bench, module: &Path, runs: usize) -> Result<f64, String> {
    let made = bench.make(module, "ordinary", &[])?;
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let report = bench.report(&made.path, &[])?;
        let units = report::consumed(&report).unwrap_or(0) as f64;
        best = best.min(report::run_time(&report).unwrap_or(f64::INFINITY) * 1000.0 / units);
    }
    Ok(best)
}

impl Adversary {
    fn new(
        name: &'static str,
        times: u32,
        parts: impl Into<String>,
        body: impl Into<String>,
    ) -> Self {
        Self { name, parts: parts.into(), body: body.into(), times }
    }

    /// The module. `$i` counts down; `$x` and `$y` are there to be used.
    fn text(&self) -> String {
        let memory =
            if self.parts.contains("(memory") { "" } else { r#"(memory (export "memory") 1)"# };
        format!(
            r#"(module {parts} {memory}
                (func (export "_start") (local $i i32) (local $x i32) (local $y i64)
                    (local.set $i (i32.const {times}))
                    (loop $again
                        {body}
                        (br_if $again
                            (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))))"#,
            parts = self.parts,
            body = self.body,
            times = self.times,
        )
    }
}

fn adversaries() -> Vec<Adversary> {
    [control(), memory(), objects(), numbers(), host()].into_iter().flatten().collect()
}

/// Calls, branches, exceptions.
fn control() -> Vec<Adversary> {
    let mut tree = String::from("(func $f0)");
    for level in 1..16 {
        let _ = write!(tree, "(func $f{level} (call $f{0}) (call $f{0}))", level - 1);
    }
    let labels: String = (0..9000).map(|_| "(block ").collect();
    let targets: String = (0..9000).map(|label| format!("{label} ")).collect();
    let branch = format!(
        "{labels} (br_table {targets} (i32.rem_u (i32.mul (local.get $i) (i32.const 7919)) (i32.const 9000))) {}",
        ")".repeat(9000)
    );
    let locals = |count: usize| format!("(func $f (local {}))", "i64 ".repeat(count));
    let parameters = format!("(func $f (param {}))", "i64 ".repeat(900));
    let table = "(table 1 funcref) (elem (i32.const 0) $f) (func $f)";
    let thrown = "(block $caught (try_table (catch $e $caught) (call $f)))";
    let deep = {
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
    vec![
        Adversary::new("calls: a tree, 2^15 deep", 200, tree, "(call $f15)"),
        Adversary::new("br_table of 9 000", 300_000, "", branch),
        Adversary::new("call, 1 000 locals", 300_000, locals(1000), "(call $f)"),
        Adversary::new("call, 40 000 locals", 10_000, locals(40_000), "(call $f)"),
        Adversary::new(
            "call, 900 parameters",
            300_000,
            parameters,
            format!("(call $f {})", "(local.get $y)".repeat(900)),
        ),
        Adversary::new("call_indirect", 3_000_000, table, "(call_indirect (i32.const 0))"),
        Adversary::new(
            "throw, caught by the caller",
            100_000,
            "(tag $e) (func $f (throw $e))",
            thrown,
        ),
        Adversary::new("throw through 200 frames", 3000, deep, thrown),
        Adversary::new("throw past 2 000 clauses", 3000, clauses, thrown),
    ]
}

/// Lengths, pages, caches.
fn memory() -> Vec<Adversary> {
    let big = r#"(memory (export "memory") 1024)"#;
    let grown = r#"(memory (export "memory") 1 4096)"#;
    let table = "(table $t 1 10000000 funcref) (func $f)";
    vec![
        Adversary::new("memory.copy of nothing", 2_000_000, "",
            "(memory.copy (i32.const 0) (i32.const 8) (i32.const 0))"),
        Adversary::new("memory.copy of 7 bytes", 2_000_000, "",
            "(memory.copy (i32.const 0) (i32.const 8) (local.get $x)) (local.set $x (i32.const 7))"),
        Adversary::new("memory.fill of 32 MiB", 20, big,
            "(memory.fill (i32.const 0) (i32.const 1) (i32.const 33554432))"),
        Adversary::new("memory.copy of 32 MiB", 20, big,
            "(memory.copy (i32.const 0) (i32.const 33554432) (i32.const 33554432))"),
        Adversary::new("memory.grow by nothing", 1_000_000, "",
            "(drop (memory.grow (i32.const 0)))"),
        Adversary::new("memory.grow that fails", 1_000_000, r#"(memory (export "memory") 1 1)"#,
            "(drop (memory.grow (i32.const 65536)))"),
        Adversary::new("memory.grow by a page", 4095, grown, "(drop (memory.grow (i32.const 1)))"),
        Adversary::new("first touch of pages", 4095, grown,
            "(local.set $x (i32.mul (memory.grow (i32.const 1)) (i32.const 65536)))
             (i32.store (local.get $x) (i32.const 1))
             (i32.store offset=4096 (local.get $x) (i32.const 1))
             (i32.store offset=8192 (local.get $x) (i32.const 1))
             (i32.store offset=16384 (local.get $x) (i32.const 1))
             (i32.store offset=32768 (local.get $x) (i32.const 1))"),
        Adversary::new("loads that miss every cache", 3_000_000, r#"(memory (export "memory") 8192)"#,
            "(local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
             (local.set $x (i32.add (local.get $x)
                (i32.load (i32.and (local.get $x) (i32.const 0x1ffffffc)))))"),
        Adversary::new("table.grow by one", 100_000, table,
            "(drop (table.grow $t (ref.null func) (i32.const 1)))"),
        Adversary::new("table.fill of 1 000 000", 20, "(table $t 1000000 funcref)",
            "(table.fill $t (i32.const 0) (ref.null func) (i32.const 1000000))"),
        Adversary::new("ref.func and table.set", 1_000_000,
            "(table $t 1 funcref) (func $f) (elem declare func $f)",
            "(table.set $t (i32.const 0) (ref.func $f))"),
    ]
}

/// The collector's heap.
fn objects() -> Vec<Adversary> {
    let wide = format!("(type $s (struct {}))", "(field (mut i64)) ".repeat(2000));
    let kept = "(type $s (struct (field (mut i64)) (field (mut (ref null $s)))))
        (global $kept (mut (ref null $s)) (ref.null $s))";
    vec![
        Adversary::new(
            "struct.new, one field",
            2_000_000,
            "(type $s (struct (field i64)))",
            "(drop (struct.new $s (i64.const 1)))",
        ),
        Adversary::new("struct.new, 2 000 fields", 20_000, wide, "(drop (struct.new_default $s))"),
        Adversary::new(
            "array.new of 100 000",
            2000,
            "(type $a (array (mut i64)))",
            "(drop (array.new_default $a (i32.const 100000)))",
        ),
        Adversary::new(
            "a list that is kept",
            500_000,
            kept,
            "(global.set $kept (struct.new $s (i64.const 1) (global.get $kept)))",
        ),
        Adversary::new(
            "ref.cast that succeeds",
            3_000_000,
            "(type $s (struct)) (global $g anyref (struct.new $s))",
            "(drop (ref.cast (ref $s) (global.get $g)))",
        ),
    ]
}

/// Dear arithmetic.
fn numbers() -> Vec<Adversary> {
    let repeat = |text: &str| text.repeat(20);
    vec![
        Adversary::new(
            "i64.div_s, one after the other",
            300_000,
            "(global $g (mut i64) (i64.const 7))",
            format!(
                "(local.set $y (global.get $g)) {} (global.set $g (local.get $y))",
                repeat(
                    "(local.set $y (i64.add (i64.div_s (i64.const 0x7ffffffffffffff1) (local.get $y)) (i64.const 3)))"
                )
            ),
        ),
        Adversary::new(
            "f64.sqrt, one after the other",
            300_000,
            "(global $g (mut f64) (f64.const 2))",
            format!(
                "(global.set $g {} (global.get $g) {})",
                "(f64.sqrt ".repeat(20),
                ")".repeat(20)
            ),
        ),
        Adversary::new(
            "f64 denormals",
            300_000,
            "(global $g (mut f64) (f64.const 5e-324))",
            format!(
                "(global.set $g {} (global.get $g) {})",
                "(f64.mul (f64.const 1.5) ".repeat(20),
                ")".repeat(20)
            ),
        ),
        Adversary::new(
            "i64x2.mul, one after the other",
            300_000,
            "(global $g (mut v128) (v128.const i64x2 3 5))",
            format!(
                "(global.set $g {} (global.get $g) {})",
                "(i64x2.mul (v128.const i64x2 7 9) ".repeat(20),
                ")".repeat(20)
            ),
        ),
        Adversary::new(
            "i64.trunc_sat_f64_u",
            1_000_000,
            "",
            repeat("(local.set $y (i64.trunc_sat_f64_u (f64.convert_i64_u (local.get $y))))"),
        ),
    ]
}

/// What the host does for the guest.
fn host() -> Vec<Adversary> {
    let import = |name: &str, ty: &str| {
        format!(r#"(import "wasi_snapshot_preview1" "{name}" (func $f {ty}))"#)
    };
    let big = r#"(memory (export "memory") 1024)"#;
    vec![
        Adversary::new(
            "clock_time_get",
            300_000,
            import("clock_time_get", "(param i32 i64 i32) (result i32)"),
            "(drop (call $f (i32.const 1) (i64.const 0) (i32.const 8)))",
        ),
        Adversary::new(
            "random_get of 32 MiB",
            4,
            import("random_get", "(param i32 i32) (result i32)") + big,
            "(drop (call $f (i32.const 0) (i32.const 33554432)))",
        ),
        Adversary::new(
            "sched_yield",
            300_000,
            import("sched_yield", "(result i32)"),
            "(drop (call $f))",
        ),
        Adversary::new(
            "poll_oneoff of 4 096 clocks",
            300,
            import("poll_oneoff", "(param i32 i32 i32 i32) (result i32)") + big,
            "(drop (call $f (i32.const 0) (i32.const 1048576) (i32.const 4096) (i32.const 4194304)))",
        ),
    ]
}
