//! The collector's heap.

use super::Adversary;

pub(super) fn all() -> Vec<Adversary> {
    let wide = format!("(type $s (struct {}))", "(field (mut i64)) ".repeat(2000));
    let kept = "(type $s (struct (field (mut i64)) (field (mut (ref null $s)))))
        (global $kept (mut (ref null $s)) (ref.null $s))";
    let bytes = "(type $a (array (mut i8))) (global $g (mut (ref null $a)) (ref.null $a))";
    let functions = format!(
        "(type $a (array (mut funcref))) (func $f) (elem $e func {})",
        "$f ".repeat(10_000)
    );
    let hierarchy = {
        let mut text = String::from("(rec (type $t0 (sub (struct))))");
        for level in 1..60 {
            text += &format!("(rec (type $t{level} (sub $t{} (struct))))", level - 1);
        }
        text + "(global $g anyref (struct.new $t59))"
    };
    let new_bytes =
        |length: u32| format!("(global.set $g (array.new $a (i32.const 0) (i32.const {length})))");
    vec![
        Adversary::new("struct.new, one field", 1_000_000, "(type $s (struct (field i64)))",
            "(drop (struct.new $s (i64.const 1)))"),
        Adversary::new("struct.new, 2 000 fields", 20_000, wide, "(drop (struct.new_default $s))"),
        Adversary::new("array.new of 100 000", 500, "(type $a (array (mut i64)))",
            "(drop (array.new_default $a (i32.const 100000)))"),
        Adversary::new("array.new of 5 000 000", 10, "(type $a (array (mut i64)))",
            "(drop (array.new_default $a (i32.const 5000000)))"),
        Adversary::new("array.new of 5 000 000, a number", 10, "(type $a (array (mut i64)))",
            "(drop (array.new $a (i64.const 7) (i32.const 5000000)))"),
        Adversary::new("array.new of 100 000 vectors", 100, "(type $a (array (mut v128)))",
            "(drop (array.new $a (local.get $z) (i32.const 100000)))"),
        Adversary::new("array.new of 8 bytes", 1_000_000, bytes,
            "(drop (array.new $a (i32.const 7) (i32.const 8)))"),
        Adversary::new("array.fill of 1 000 000 bytes", 100, bytes,
            "(array.fill $a (global.get $g) (i32.const 0) (i32.const 9) (i32.const 1000000))")
            .behind(new_bytes(1_000_000)),
        Adversary::new("array.copy of 900 000 bytes", 100, bytes,
            "(array.copy $a $a (global.get $g) (i32.const 3) (global.get $g) (i32.const 0) (i32.const 900000))")
            .behind(new_bytes(1_000_000)),
        Adversary::new("array.new_data of 1 000 000 bytes", 100,
            format!("{bytes} (data $d \"{}\")", "x".repeat(1_000_000)),
            "(drop (array.new_data $a $d (i32.const 0) (i32.const 1000000)))"),
        Adversary::new("array.new_elem of 10 000 functions", 100, functions,
            "(drop (array.new_elem $a $e (i32.const 0) (i32.const 10000)))"),
        Adversary::new("array.set of functions", 1_000_000,
            "(type $a (array (mut funcref))) (func $f) (elem declare func $f)
             (global $g (ref $a) (array.new_default $a (i32.const 8)))",
            "(array.set $a (global.get $g) (i32.const 1) (ref.func $f))"),
        Adversary::new("array.get of functions", 300_000,
            "(type $a (array (mut funcref))) (func $f) (elem declare func $f)
             (global $g (mut (ref null $a)) (ref.null $a))",
            "(drop (array.get $a (global.get $g) (i32.const 1)))".repeat(8))
            .behind("(global.set $g (array.new $a (ref.func $f) (i32.const 8)))"),
        Adversary::new("array.set of a function that a global holds", 300_000,
            "(type $a (array (mut funcref))) (func $f)
             (global $f funcref (ref.func $f))
             (global $g (ref $a) (array.new_default $a (i32.const 8)))",
            "(array.set $a (global.get $g) (i32.const 1) (global.get $f))".repeat(8)),
        Adversary::new("struct.get of functions", 300_000,
            "(type $s (struct (field (mut funcref)))) (func $f) (elem declare func $f)
             (global $g (mut (ref null $s)) (ref.null $s))",
            "(drop (struct.get $s 0 (global.get $g)))".repeat(8))
            .behind("(global.set $g (struct.new $s (ref.func $f)))"),
        Adversary::new("array.new of 100 000 functions", 100,
            "(type $a (array (mut funcref))) (func $f) (elem declare func $f)",
            "(drop (array.new $a (ref.func $f) (i32.const 100000)))"),
        Adversary::new("array.get of objects", 300_000,
            "(type $a (array (mut anyref)))
             (global $g (ref $a) (array.new_default $a (i32.const 8)))",
            "(drop (array.get $a (global.get $g) (i32.const 1)))".repeat(8)),
        Adversary::new("a list that is kept", 500_000, kept,
            "(global.set $kept (struct.new $s (i64.const 1) (global.get $kept)))"),
        Adversary::new("objects beside 200 000 that are kept", 3_000_000, kept,
            "(drop (struct.new $s (i64.const 1) (ref.null $s)))")
            .behind("(local.set $i (i32.const 200000))
                (loop $l (global.set $kept (struct.new $s (i64.const 1) (global.get $kept)))
                (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"),
        // A heap's half is a power of two: 2^18 of these objects, less a few.
        Adversary::new("objects beside half a heap that is kept, all but 2 KB", 5000, kept,
            "(drop (struct.new $s (i64.const 1) (ref.null $s)))")
            .behind("(local.set $i (i32.const 262080))
                (loop $l (global.set $kept (struct.new $s (i64.const 1) (global.get $kept)))
                (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"),
        Adversary::new("arrays beside 200 000 objects that are kept", 3000,
            format!("{kept} (type $a (array (mut v128)))"),
            "(drop (array.new $a (local.get $z) (i32.const 10000)))")
            .behind("(local.set $i (i32.const 200000))
                (loop $l (global.set $kept (struct.new $s (i64.const 1) (global.get $kept)))
                (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"),
        Adversary::new("objects beside a table of 1 000 000", 300_000,
            "(table 1000000 anyref) (type $s (struct (field (mut i64))))",
            "(drop (struct.new $s (i64.const 1)))").behind(""),
        Adversary::new("ref.cast that succeeds", 1_000_000,
            "(type $s (struct)) (global $g anyref (struct.new $s))",
            "(drop (ref.cast (ref $s) (global.get $g)))"),
        Adversary::new("ref.test, 60 levels up", 1_000_000, hierarchy,
            "(drop (ref.test (ref $t3) (global.get $g)))"),
        Adversary::new("extern.convert_any and back", 300_000,
            "(global $g anyref (ref.i31 (i32.const 1)))",
            format!("(drop {} (global.get $g) {})",
                "(any.convert_extern (extern.convert_any ".repeat(8), "))".repeat(8))),
    ]
}
