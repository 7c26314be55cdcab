//! `bench bombs`: modules made to explode the meter, its audit or the code generator.
//!
//! For each: time, memory and size, metered beside unmetered. What is refused by a limit
//! says which, with its code, time and memory. Memory is the peak of the larger of the two
//! processes. Prints; judges nothing.

use super::Bench;
use super::size::cost;
use super::table::{Table, dash, kilobytes, megabytes, milliseconds, ratio};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

/// Prints the table.
pub(super) fn run(bench: &Bench) -> Result<(), String> {
    let mut table = Table::new(&[
        "bomb",
        "wasm KB",
        "metered KB",
        "unmetered ms",
        "metered ms",
        "ratio",
        "unmetered MB",
        "metered MB",
        "unmetered code KB",
        "code KB",
    ]);
    let mut refused = Vec::new();
    for (name, text) in bombs() {
        eprintln!("bombs: {name}");
        let wasm = wat::parse_str(&text).map_err(|error| format!("{name}: {error}"))?;
        let path = bench.home.path("bomb.wasm");
        std::fs::write(&path, &wasm).map_err(|error| error.to_string())?;
        let made = bench.make(&path, "bomb-plain", &["--no-fuel"]).and_then(|plain| {
            let metered = bench.make(&path, "bomb", &[])?;
            Ok((plain, metered))
        });
        let (plain, metered) = match made {
            Ok(made) => made,
            Err(what) => {
                let (time, peak) = refusal_cost(bench, &path);
                let peak = peak.map_or_else(dash, megabytes);
                refused.push(format!("  {name} ({} ms, {peak} MB): {what}", milliseconds(time)));
                continue;
            }
        };
        let (plain_cost, metered_cost) = (cost(bench, &plain), cost(bench, &metered));
        table.row(vec![
            name.to_owned(),
            kilobytes(wasm.len() as u64),
            kilobytes(metered.compiled_bytes),
            milliseconds(plain_cost.time),
            milliseconds(metered_cost.time),
            ratio(Some(metered_cost.time / plain_cost.time)),
            plain_cost.peak.map_or_else(dash, megabytes),
            metered_cost.peak.map_or_else(dash, megabytes),
            kilobytes(plain.image_bytes),
            kilobytes(metered.image_bytes),
        ]);
    }
    table.print("Modules made to explode: time to compile and sign, peak of memory, native code");
    for line in refused {
        println!("{line}\n");
    }
    Ok(())
}

/// How long a refusal takes, in microseconds, and the peak of its memory.
fn refusal_cost(bench: &Bench, module: &Path) -> (f64, Option<u64>) {
    let mut command = bench.home.compile_command(module);
    command.arg("-o").arg(bench.home.path("bomb-refused.bls"));
    let begin = Instant::now();
    let peak = bench.peers.resident_and_success(&command).map(|(peak, _)| peak);
    (begin.elapsed().as_secs_f64() * 1e6, peak)
}

fn bombs() -> Vec<(&'static str, String)> {
    let function = |body: &str| {
        format!(r#"(module (func (export "f") (param $x i32) (result i32) {body} (local.get $x)))"#)
    };
    let blocks = "(block (br_if 0 (local.get $x)) (local.set $x (i32.const 1)))".repeat(50_000);
    let loops = "(loop (br_if 0 (local.tee $x (i32.sub (local.get $x) (i32.const 1)))))";
    let branches = "(if (local.get $x) (then (local.set $x (i32.const 3))) (else (nop)))";
    let labels = "(local.set $x
        (if (result i32) (local.get $x) (then (i32.const 5)) (else (i32.const 7))))";
    vec![
        ("50 000 blocks", function(&blocks)),
        ("20 000 loops, side by side", function(&loops.repeat(20_000))),
        ("2 000 loops, nested", nested(2000, "(loop (br_if 0 (local.get $x)) ", ")")),
        ("9 000 blocks, nested", nested(9000, "(block (br_if 0 (local.get $x)) ", ")")),
        ("2 000 ifs, nested", nested(2000, "(if (local.get $x) (then (nop) ", "))")),
        ("30 000 ifs, side by side", function(&branches.repeat(30_000))),
        ("50 br_tables of 1 000", tables(50)),
        ("1 000 br_tables of 1 000", tables(1000)),
        ("10 000 functions, all calling", calls()),
        ("a chain of 30 000 functions", chain()),
        ("500 try_tables, nested", tries()),
        ("3 000 locals, live in a loop", live(3000, 0, "")),
        ("1 000 locals beside 1 000 ifs", live(1000, 1000, "if (local.get $never) (then ")),
        ("1 000 locals beside 1 000 tiny loops", live(1000, 1000, "loop ")),
        ("5 000 locals beside 5 000 ifs", live(5000, 5000, "if (local.get $never) (then ")),
        ("60 000 globals", globals()),
        ("250 locals that 250 branches carry", carried(250)),
        ("2 000 locals that 2 000 branches carry", carried(2000)),
        ("200 catches around 200 calls", catches(200)),
        ("2 000 catches around 2 000 calls", catches(2000)),
        ("a table of 1 000 000", many_tables(1)),
        ("100 tables of 1 000 000", many_tables(100)),
        ("16 000 operands", operands(16_000)),
        ("40 000 operands", operands(40_000)),
        ("250 calls of 1 000 values", wide_calls(250)),
        ("1 000 calls of 1 000 values", wide_calls(1000)),
        ("600 globals, set between branches", between_branches(600)),
        ("20 000 globals, set between branches", between_branches(20_000)),
        ("600 objects in globals", objects(600)),
        ("40 000 objects in globals", objects(40_000)),
        ("50 objects of 10 000 fields", wide_objects(50)),
        ("3 000 objects of 10 000 fields", wide_objects(3000)),
        ("4 000 casts", casts(4000)),
        ("60 000 casts", casts(60_000)),
        ("40 000 allocations", rows("(local.set 0 (struct.new $s (i64.const 5)))", 40_000)),
        ("500 references, kept across calls", kept(500)),
        ("2 000 references, kept across calls", kept(2000)),
        ("6 000 references, kept across calls", kept(6000)),
        ("8 000 labels with a value", function(&labels.repeat(8000))),
        ("13 000 labels with a value", function(&labels.repeat(13_000))),
        ("16 000 labels with a value", function(&labels.repeat(16_000))),
        ("60 000 elements of arrays", elements(10)),
        ("600 000 elements of arrays", elements(100)),
        (
            "100 000 additions",
            function(&"(local.set $x (i32.add (local.get $x) (i32.const 7)))".repeat(100_000)),
        ),
    ]
}

fn nested(depth: usize, open: &str, close: &str) -> String {
    format!(
        r#"(module (func (export "f") (param $x i32) {} {}))"#,
        open.repeat(depth),
        close.repeat(depth)
    )
}

/// Each `br_table` leads out of a nest of 1 000 blocks.
fn tables(count: usize) -> String {
    let targets: String = (0..1000).map(|label| format!("{label} ")).collect();
    let one = format!("(block (br_if 0 (local.get $x)) (br_table {targets} (local.get $x)))");
    let body = format!("{}{}{}", "(block ".repeat(1000), one.repeat(count), ")".repeat(1000));
    format!(r#"(module (func (export "f") (param $x i32) {body}))"#)
}

/// Every function may call the next three, the last ones the first.
fn calls() -> String {
    const COUNT: usize = 10_000;
    let mut text = String::from("(module ");
    for index in 0..COUNT {
        let call = |step: usize| format!("(call $f{} (local.get $x))", (index + step) % COUNT);
        let _ = write!(
            text,
            "(func $f{index} (param $x i32) (if (local.get $x) (then {} {} {})))",
            call(1),
            call(7),
            call(101)
        );
    }
    text + "(export \"f\" (func $f0)))"
}

/// A chain without a cycle, in which every function calls the next twice.
fn chain() -> String {
    let mut text = String::from("(module (func $f0)");
    for index in 1..30_000 {
        let _ = write!(text, "(func $f{index} (call $f{0}) (call $f{0}))", index - 1);
    }
    text + "(export \"f\" (func $f29999)))"
}

/// Locals that live through so many loops or ifs, each of which changes one of them.
fn live(locals: usize, blocks: usize, open: &str) -> String {
    let changed = |index: usize, by: usize| {
        let (to, from) = (index % locals, (index + by) % locals);
        format!("(local.set {to} (i64.add (local.get {from}) (i64.const {index})))")
    };
    let is_loop = open.starts_with("loop");
    let close = if is_loop { "(br_if 0 (local.get $never)))" } else { "))" };
    let between: String =
        (0..blocks).map(|index| format!("({open} {} {close}", changed(index * 7, 1))).collect();
    let all: String = (0..locals).map(|index| changed(index, 1)).collect();
    format!(
        r#"(module (global $g (mut i32) (i32.const 0)) (func (export "f")
            (local {}) (local $never i32) (local.set $never (global.get $g))
            (loop $l {between} (if (local.get $never) (then {all} (br $l))))))"#,
        "i64 ".repeat(locals)
    )
}

/// More globals than the code generator tells apart.
fn globals() -> String {
    format!(
        r#"(module {} (func (export "f") (param $x i32)))"#,
        "(global (mut i32) (i32.const 1))".repeat(60_000)
    )
}

/// Each global is set behind a branch whose arms are not alike.
fn between_branches(count: usize) -> String {
    let mut text = String::from(
        r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func $h (result i32)))
        (memory (export "memory") 1)"#,
    );
    text += &"(global (mut i32) (i32.const 0))".repeat(count);
    text += r#"(func (export "f") (param $x i32)"#;
    for index in 0..count {
        let _ = write!(
            text,
            "(if (i32.load (local.get $x)) (then (i32.store (local.get $x) (i32.const 1)))
                (else (drop (call $h)) (if (local.get $x) (then (drop (call $h))))))
             (global.set {index} (local.get $x))"
        );
    }
    text + "))"
}

fn objects(count: usize) -> String {
    "(module (type $s (struct (field i64)))".to_owned()
        + &"(global (ref $s) (struct.new $s (i64.const 5)))".repeat(count)
        + ")"
}

/// One operator after the other, of objects.
fn rows(one: &str, count: usize) -> String {
    format!(
        r#"(module (type $s (struct (field i64))) (func (export "f") (local anyref) {}))"#,
        one.repeat(count)
    )
}

/// Each is made, and written to.
fn wide_objects(count: usize) -> String {
    let fields = "(field (mut i64))".repeat(10_000);
    let one = "(struct.set $s 9999 (struct.new_default $s) (i64.const 1))".repeat(count);
    format!(r#"(module (type $s (struct {fields})) (func (export "f") {one}))"#)
}

fn casts(count: usize) -> String {
    rows("(drop (ref.test (ref $s) (local.get 0)))", count)
}

/// Each is made, and seen after all were made.
fn kept(count: usize) -> String {
    let mut text = format!(
        r#"(module (type $s (struct)) (func $see (param (ref null $s)))
             (func (export "f") (local {})"#,
        "(ref null $s) ".repeat(count)
    );
    for local in 0..count {
        let _ = write!(text, "(local.set {local} (struct.new $s))");
    }
    for local in 0..count {
        let _ = write!(text, "(call $see (local.get {local}))");
    }
    text + "))"
}

/// Arrays of 6 000 elements, each written for itself.
fn elements(arrays: usize) -> String {
    let one = format!("{} (drop (array.new_fixed $a 6000))", "(local.get 0)".repeat(6000));
    format!(
        r#"(module (type $a (array i64)) (func (export "f") (param i64) {}))"#,
        one.repeat(arrays)
    )
}

/// Locals that are set inside a block, and may differ on each way out of it.
fn carried(count: usize) -> String {
    let half = "(br_if 0 (local.get 0))".repeat(count / 2);
    let mut text = format!(
        r#"(module (func (export "f") (param i32) (local {}) (block {half}"#,
        "i32 ".repeat(count)
    );
    for local in 1..=count {
        let _ = write!(text, "(local.set {local} (i32.const {local}))");
    }
    text += &half;
    text += ")";
    for local in 1..=count {
        let _ = write!(text, "(local.set 0 (i32.xor (local.get 0) (local.get {local})))");
    }
    text + "))"
}

fn catches(count: usize) -> String {
    format!(
        r#"(module (tag $e) (func $h (throw $e)) (func (export "f")
            (block (try_table {} {}))))"#,
        "(catch $e 0) ".repeat(count),
        "(call $h) ".repeat(count)
    )
}

/// One element at the end of each.
fn many_tables(count: usize) -> String {
    let mut text = String::from("(module (func $f)");
    text += &"(table 1000000 funcref)".repeat(count);
    for table in 0..count {
        let _ = write!(text, "(elem (table {table}) (i32.const 999999) func $f)");
    }
    text + ")"
}

/// All on the stack at a time.
fn operands(count: usize) -> String {
    let loads = "(i32.load (local.get $x))".repeat(count);
    let body = format!("{loads}{}(local.set $x)", "i32.xor ".repeat(count - 1));
    format!(r#"(module (memory 1) (func (export "f") (param $x i32) {body}))"#)
}

/// What one gives is what the next one takes.
fn wide_calls(count: usize) -> String {
    let values = "i64 ".repeat(1000);
    let gets: String = (0..1000).map(|local| format!("(local.get {local})")).collect();
    format!(
        "(module (type $t (func (param {values}) (result {values})))
           (func $g (type $t) unreachable)
           (func (export \"f\") (type $t) {gets} {}))",
        "(call $g)".repeat(count)
    )
}

fn tries() -> String {
    let body =
        format!("{}(throw $e){}", "(block (try_table (catch $e 0) ".repeat(500), "))".repeat(500));
    format!(r#"(module (tag $e) (func (export "f") (param $x i32) {body}))"#)
}
