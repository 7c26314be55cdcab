//! Lengths, pages, caches, tables.

use super::Adversary;

const BIG: &str = r#"(memory (export "memory") 1024)"#;
const GROWN: &str = r#"(memory (export "memory") 1 4096)"#;

pub(super) fn all() -> Vec<Adversary> {
    [lengths(), pages(), caches(), tables(), starts()].into_iter().flatten().collect()
}

fn lengths() -> Vec<Adversary> {
    vec![
        Adversary::new(
            "memory.copy of nothing",
            1_000_000,
            "",
            "(memory.copy (i32.const 0) (i32.const 8) (i32.const 0))",
        ),
        Adversary::new(
            "memory.copy of 7 bytes",
            1_000_000,
            "",
            "(memory.copy (i32.const 0) (i32.const 8) (local.get $x)) (local.set $x (i32.const 7))",
        ),
        Adversary::new(
            "memory.fill of 32 MiB",
            20,
            BIG,
            "(memory.fill (i32.const 0) (i32.const 1) (i32.const 33554432))",
        )
        .behind("(memory.fill (i32.const 0) (i32.const 1) (i32.const 33554432))"),
        Adversary::new(
            "memory.copy of 32 MiB",
            20,
            BIG,
            "(memory.copy (i32.const 0) (i32.const 33554432) (i32.const 33554432))",
        )
        .behind("(memory.fill (i32.const 0) (i32.const 1) (i32.const 67108864))"),
        Adversary::new(
            "memory.copy onto itself, 3 bytes on",
            20,
            BIG,
            "(memory.copy (i32.const 3) (i32.const 0) (i32.const 33554432))",
        )
        .behind("(memory.fill (i32.const 0) (i32.const 1) (i32.const 33554440))"),
        Adversary::new(
            "memory.init of 8 bytes",
            1_000_000,
            "(data $d \"12345678\")",
            "(memory.init $d (i32.const 0) (i32.const 0) (i32.const 8))",
        ),
    ]
}

fn pages() -> Vec<Adversary> {
    vec![
        Adversary::new(
            "memory.grow by nothing",
            1_000_000,
            "",
            "(drop (memory.grow (i32.const 0)))",
        ),
        Adversary::new(
            "memory.grow that fails",
            300_000,
            r#"(memory (export "memory") 1 1)"#,
            "(drop (memory.grow (i32.const 65536)))",
        ),
        Adversary::new("memory.grow by a page", 4095, GROWN, "(drop (memory.grow (i32.const 1)))"),
        Adversary::new(
            "memory.grow by a page, all touched",
            4095,
            GROWN,
            format!(
                "(local.set $x (i32.mul (memory.grow (i32.const 1)) (i32.const 65536))) {}",
                (0..16)
                    .map(|page| format!(
                        "(i32.store offset={} (local.get $x) (i32.const 1))",
                        page * 4096
                    ))
                    .collect::<String>()
            ),
        ),
        Adversary::new(
            "memory.grow by 4 095 pages, all touched",
            1,
            GROWN,
            "(local.set $x (i32.mul (memory.grow (i32.const 4095)) (i32.const 65536)))
             (loop $l (i32.store (local.get $x) (i32.const 1))
                (br_if $l (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 4096)))
                    (i32.const 0x10000000))))",
        ),
        Adversary::new(
            "first touch of 4 096 initial pages",
            1,
            r#"(memory (export "memory") 4096)"#,
            "(loop $l (i32.store (local.get $x) (i32.const 1))
                (br_if $l (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 4096)))
                    (i32.const 0x10000000))))",
        ),
        Adversary::new(
            "memory.fill of 4 096 initial pages",
            1,
            r#"(memory (export "memory") 4096)"#,
            "(memory.fill (i32.const 0) (i32.const 1) (i32.const 0x10000000))",
        ),
        Adversary::new(
            "reads of 4 096 initial pages",
            1,
            r#"(memory (export "memory") 4096)"#,
            "(loop $l (drop (i32.load (local.get $x)))
                (br_if $l (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 4096)))
                    (i32.const 0x10000000))))",
        ),
    ]
}

/// A cycle through 2^22 lines of 64 bytes, in an order that no prefetcher knows.
const CYCLE: &str = "(loop $l
    (i32.store (i32.shl (local.get $x) (i32.const 6))
        (i32.shl (i32.and (i32.add (i32.mul (local.get $x) (i32.const 1664525))
            (i32.const 1013904223)) (i32.const 0x3fffff)) (i32.const 6)))
    (br_if $l (i32.ne (local.tee $x (i32.add (local.get $x) (i32.const 1)))
        (i32.const 0x400000))))
    (local.set $x (i32.const 0))";

fn caches() -> Vec<Adversary> {
    let chase = |loads: usize| {
        format!(
            "(local.set $x {} (local.get $x) {})",
            "(i32.load ".repeat(loads),
            ")".repeat(loads)
        )
    };
    let memory = r#"(memory (export "memory") 4096)"#;
    // No two in one page or line, none waits for another, and the next round has others.
    let paged: String = (0..256_u32)
        .map(|load| {
            let page = load.wrapping_mul(2_654_435_761) >> 20;
            format!(
                "(drop (i64.load offset={} (local.get $x)))",
                page * 65536 % 0xc00_0000 + page * 64 % 4096
            )
        })
        .collect::<String>()
        + "(local.set $x (i32.and (i32.add (local.get $x) (i32.const 4096)) (i32.const 0x3ffffff)))";
    vec![
        Adversary::new("loads that miss every cache, each of the last", 100_000, memory, chase(20))
            .behind(CYCLE),
        Adversary::new("loads that miss every cache, side by side", 1_000_000, memory,
            "(local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
             (drop (i32.load (i32.and (local.get $x) (i32.const 0xffffffc))))")
            .behind(CYCLE),
        Adversary::new("loads of a page each, side by side", 20_000, memory, paged)
            .behind(CYCLE),
        Adversary::new("stores that miss every cache", 1_000_000, memory,
            "(local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
             (i32.store (i32.and (local.get $x) (i32.const 0xffffffc)) (local.get $x))")
            .behind(CYCLE),
        Adversary::new("loads across lines", 300_000, "(global $g (mut i64) (i64.const 0))",
            format!("(global.set $g {} (i64.const 0) {})", "(i64.add (i64.load offset=61 (i32.const 0)) ".repeat(16), ")".repeat(16))),
        Adversary::new("loads across pages", 300_000, "(global $g (mut i64) (i64.const 0))",
            format!("(global.set $g {} (i64.const 0) {})", "(i64.add (i64.load offset=4093 (i32.const 0)) ".repeat(16), ")".repeat(16))),
        Adversary::new("stores across pages", 300_000, "",
            "(i64.store offset=4093 (i32.const 0) (local.get $y))".repeat(16)),
        Adversary::new("a load of part of a store", 300_000, "",
            "(i64.store (i32.const 8) (i64.extend_i32_u (local.get $x)))
             (i32.store8 (i32.const 9) (local.get $x))
             (local.set $x (i32.add (i32.wrap_i64 (i64.load (i32.const 8))) (i32.const 1)))".repeat(8)),
        Adversary::new("atomic add across processors' lines", 300_000, "",
            "(drop (i64.atomic.rmw.add (i32.const 8) (i64.const 1)))".repeat(8)),
        Adversary::new("atomic.fence", 300_000, "", "(atomic.fence)".repeat(8)),
        Adversary::new("memory.atomic.notify", 300_000, "",
            "(drop (memory.atomic.notify (i32.const 8) (i32.const 1)))"),
    ]
}

fn tables() -> Vec<Adversary> {
    let table = "(table $t 1 10000000 funcref) (func $f)";
    let passive =
        format!("(table $t 100000 funcref) (func $f) (elem $e func {})", "$f ".repeat(100_000));
    vec![
        Adversary::new(
            "table.grow by one",
            100_000,
            table,
            "(drop (table.grow $t (ref.null func) (i32.const 1)))",
        ),
        Adversary::new(
            "table.grow by 5 000 000",
            1,
            table,
            "(drop (table.grow $t (ref.null func) (i32.const 5000000)))",
        ),
        Adversary::new(
            "table.fill of 1 000 000",
            20,
            "(table $t 1000000 funcref)",
            "(table.fill $t (i32.const 0) (ref.null func) (i32.const 1000000))",
        ),
        Adversary::new(
            "table.fill of 1 000 000, objects",
            20,
            "(table $t 1000000 anyref)",
            "(table.fill $t (i32.const 0) (ref.i31 (i32.const 1)) (i32.const 1000000))",
        ),
        Adversary::new(
            "table.copy of 500 000",
            20,
            "(table $t 1000000 funcref)",
            "(table.copy $t $t (i32.const 0) (i32.const 500000) (i32.const 500000))",
        ),
        Adversary::new(
            "table.copy of 100 000 functions",
            20,
            passive.clone(),
            "(table.copy $t $t (i32.const 0) (i32.const 3) (i32.const 99997))",
        )
        .behind("(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 100000))"),
        Adversary::new(
            "table.init of 100 000",
            20,
            passive,
            "(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 100000))",
        ),
        Adversary::new(
            "table.init of 100 000 expressions",
            20,
            format!(
                "(table $t 100000 anyref) (elem $e anyref {})",
                "(item (ref.i31 (i32.const 1))) ".repeat(100_000)
            ),
            "(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 100000))",
        ),
        Adversary::new(
            "ref.func and table.set",
            1_000_000,
            "(table $t 1 funcref) (func $f) (elem declare func $f)",
            "(table.set $t (i32.const 0) (ref.func $f))",
        ),
        Adversary::new(
            "table.set of objects",
            1_000_000,
            "(table $t 1 anyref)",
            "(table.set $t (i32.const 0) (ref.i31 (i32.const 1)))",
        ),
    ]
}

/// What is done before anything runs.
fn starts() -> Vec<Adversary> {
    let data = |bytes: usize| "x".repeat(bytes);
    vec![
        Adversary::start(
            "8 MB of data",
            format!("{BIG} (data (i32.const 0) \"{}\")", data(8_000_000)),
        ),
        Adversary::start(
            "90 000 segments of data",
            format!("{BIG} {}", "(data (i32.const 5) \"x\")".repeat(90_000)),
        ),
        Adversary::start(
            "90 000 segments that a global places",
            format!(
                "(global $g i32 (i32.const 5)) {BIG} {}",
                "(data (global.get $g) \"x\")".repeat(90_000)
            ),
        ),
        Adversary::start(
            "1 000 000 elements",
            format!(
                "(func $f) (table 1000000 funcref) (elem (i32.const 0) func {})",
                "$f ".repeat(1_000_000)
            ),
        ),
        Adversary::start(
            "100 000 elements by expression",
            format!(
                "(table 100000 anyref) (elem (i32.const 0) anyref {})",
                "(item (ref.i31 (i32.const 1))) ".repeat(100_000)
            ),
        ),
        Adversary::start("a table of 5 000 000", "(table 5000000 funcref)"),
        Adversary::start(
            "90 memories",
            "(memory 1)".repeat(90) + r#"(memory (export "memory") 1)"#,
        ),
        Adversary::start("90 tables", "(table 1 funcref)".repeat(90)),
        Adversary::start("49 000 globals", "(global (mut i64) (i64.const 5))".repeat(49_000)),
        Adversary::start(
            "40 000 objects in globals",
            "(type $s (struct (field i64)))".to_owned()
                + &"(global (ref $s) (struct.new $s (i64.const 5)))".repeat(40_000),
        ),
        Adversary::start(
            "an array of 10 000 000",
            "(type $a (array i8)) (global (ref $a) (array.new $a (i32.const 1) (i32.const 10000000)))",
        ),
    ]
}
