//! Dear arithmetic: some of it by hand, and every numeric operator in a chain in which
//! each waits for the one before.

use super::Adversary;

/// Operators of a chain.
const CHAIN: usize = 24;

/// Operands that are known to be dear.
pub(super) fn chosen() -> Vec<Adversary> {
    let repeat = |text: &str| text.repeat(20);
    vec![
        Adversary::new(
            "i64.div_s of the largest",
            100_000,
            "(global $g (mut i64) (i64.const 7))",
            format!(
                "(local.set $y (global.get $g)) {} (global.set $g (local.get $y))",
                repeat(
                    "(local.set $y (i64.add (i64.div_s (i64.const 0x7ffffffffffffff1) (local.get $y)) (i64.const 3)))"
                )
            ),
        ),
        Adversary::new(
            "f64 denormals, multiplied",
            100_000,
            "(global $g (mut f64) (f64.const 5e-324))",
            format!(
                "(global.set $g {} (global.get $g) {})",
                "(f64.mul (f64.const 1.5) ".repeat(20),
                ")".repeat(20)
            ),
        ),
        Adversary::new(
            "f64 denormals, divided",
            100_000,
            "(global $g (mut f64) (f64.const 5e-310))",
            format!(
                "(global.set $g {} (global.get $g) {})",
                "(f64.div (f64.const 3e-310) ".repeat(20),
                ")".repeat(20)
            ),
        ),
        Adversary::new(
            "f32x4 denormals, multiplied and added",
            100_000,
            "",
            format!(
                "(local.set $z {} (local.get $z) {})",
                "(f32x4.add (v128.const f32x4 1e-40 1e-40 1e-40 1e-40) (f32x4.mul (v128.const f32x4 0.7 0.7 0.7 0.7) ".repeat(10),
                "))".repeat(10)
            ),
        ),
    ]
}

/// Operators of one argument and a result of the same type.
const UNARY: &[(&str, &str)] = &[
    ("i32", "clz ctz popcnt extend8_s extend16_s eqz"),
    ("i64", "clz ctz popcnt extend8_s extend16_s extend32_s"),
    ("f32", "abs neg ceil floor trunc nearest sqrt"),
    ("f64", "abs neg ceil floor trunc nearest sqrt"),
    ("v128", "not"),
    ("i8x16", "abs neg popcnt"),
    (
        "i16x8",
        "abs neg extadd_pairwise_i8x16_s extadd_pairwise_i8x16_u extend_low_i8x16_s extend_high_i8x16_s extend_low_i8x16_u extend_high_i8x16_u",
    ),
    (
        "i32x4",
        "abs neg extadd_pairwise_i16x8_s extadd_pairwise_i16x8_u extend_low_i16x8_s extend_high_i16x8_s extend_low_i16x8_u extend_high_i16x8_u trunc_sat_f32x4_s trunc_sat_f32x4_u trunc_sat_f64x2_s_zero trunc_sat_f64x2_u_zero relaxed_trunc_f32x4_s relaxed_trunc_f32x4_u relaxed_trunc_f64x2_s_zero relaxed_trunc_f64x2_u_zero",
    ),
    (
        "i64x2",
        "abs neg extend_low_i32x4_s extend_high_i32x4_s extend_low_i32x4_u extend_high_i32x4_u",
    ),
    (
        "f32x4",
        "ceil floor trunc nearest abs neg sqrt convert_i32x4_s convert_i32x4_u demote_f64x2_zero",
    ),
    (
        "f64x2",
        "ceil floor trunc nearest abs neg sqrt convert_low_i32x4_s convert_low_i32x4_u promote_low_f32x4",
    ),
];

/// Operators of two arguments of a type and a result of the same.
const BINARY: &[(&str, &str)] = &[
    (
        "i32",
        "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr eq lt_s gt_u",
    ),
    ("i64", "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr"),
    ("f32", "add sub mul div min max copysign"),
    ("f64", "add sub mul div min max copysign"),
    ("v128", "and andnot or xor"),
    (
        "i8x16",
        "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u swizzle relaxed_swizzle narrow_i16x8_s narrow_i16x8_u add add_sat_s add_sat_u sub sub_sat_s sub_sat_u min_s min_u max_s max_u avgr_u",
    ),
    (
        "i16x8",
        "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u q15mulr_sat_s relaxed_q15mulr_s narrow_i32x4_s narrow_i32x4_u add add_sat_s add_sat_u sub sub_sat_s sub_sat_u mul min_s min_u max_s max_u avgr_u extmul_low_i8x16_s extmul_high_i8x16_s extmul_low_i8x16_u extmul_high_i8x16_u relaxed_dot_i8x16_i7x16_s",
    ),
    (
        "i32x4",
        "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u add sub mul min_s min_u max_s max_u dot_i16x8_s extmul_low_i16x8_s extmul_high_i16x8_s extmul_low_i16x8_u extmul_high_i16x8_u",
    ),
    (
        "i64x2",
        "eq ne lt_s gt_s le_s ge_s add sub mul extmul_low_i32x4_s extmul_high_i32x4_s extmul_low_i32x4_u extmul_high_i32x4_u",
    ),
    ("f32x4", "eq ne lt gt le ge add sub mul div min max pmin pmax relaxed_min relaxed_max"),
    ("f64x2", "eq ne lt gt le ge add sub mul div min max pmin pmax relaxed_min relaxed_max"),
];

/// Vector operators of three arguments.
const TERNARY: &[(&str, &str)] = &[
    ("v128", "bitselect"),
    ("i8x16", "relaxed_laneselect"),
    ("i16x8", "relaxed_laneselect"),
    ("i32x4", "relaxed_laneselect relaxed_dot_i8x16_i7x16_add_s"),
    ("i64x2", "relaxed_laneselect"),
    ("f32x4", "relaxed_madd relaxed_nmadd"),
    ("f64x2", "relaxed_madd relaxed_nmadd"),
];

/// Vectors moved by a number.
const SHIFTS: &[(&str, &str)] = &[
    ("i8x16", "shl shr_s shr_u"),
    ("i16x8", "shl shr_s shr_u"),
    ("i32x4", "shl shr_s shr_u"),
    ("i64x2", "shl shr_s shr_u"),
];

/// There and back.
const PAIRS: &[(&str, &str, &str)] = &[
    ("i32", "i32.trunc_sat_f32_s", "f32.convert_i32_s"),
    ("i32", "i32.trunc_sat_f32_u", "f32.convert_i32_u"),
    ("i32", "i32.trunc_sat_f64_s", "f64.convert_i32_s"),
    ("i32", "i32.trunc_sat_f64_u", "f64.convert_i32_u"),
    ("i64", "i64.trunc_sat_f32_s", "f32.convert_i64_s"),
    ("i64", "i64.trunc_sat_f32_u", "f32.convert_i64_u"),
    ("i64", "i64.trunc_sat_f64_s", "f64.convert_i64_s"),
    ("i64", "i64.trunc_sat_f64_u", "f64.convert_i64_u"),
    ("i64", "i64.trunc_f64_u", "f64.convert_i64_u"),
    ("i32", "i32.trunc_f32_s", "f32.convert_i32_s"),
    ("f32", "f32.demote_f64", "f64.promote_f32"),
    ("i32", "i32.reinterpret_f32", "f32.reinterpret_i32"),
    ("i64", "i64.reinterpret_f64", "f64.reinterpret_i64"),
    ("i32", "i32.wrap_i64", "i64.extend_i32_s"),
    ("i32", "i8x16.bitmask", "i8x16.splat"),
    ("i32", "i16x8.bitmask", "i16x8.splat"),
    ("i32", "i32x4.bitmask", "i32x4.splat"),
    ("i32", "i8x16.all_true", "i8x16.splat"),
    ("i32", "i64x2.all_true", "i32x4.splat"),
    ("i32", "v128.any_true", "i32x4.splat"),
    ("i32", "i8x16.extract_lane_s 3", "i8x16.splat"),
    ("f64", "f64x2.extract_lane 1", "f64x2.splat"),
    ("i64", "i64x2.extract_lane 1", "i64x2.splat"),
];

/// Every numeric operator.
pub(super) fn every() -> Vec<Adversary> {
    let each = |list: &'static [(&'static str, &'static str)]| {
        list.iter()
            .flat_map(|(ty, names)| names.split(' ').map(move |name| (*ty, format!("{ty}.{name}"))))
    };
    let mut all = Vec::new();
    for (ty, name) in each(UNARY) {
        all.push(chain(&name, ty, &format!("({name} "), ")"));
    }
    for (ty, name) in each(BINARY) {
        all.push(chain(&name, ty, &format!("({name} "), " (global.get $k))"));
    }
    for (ty, name) in each(TERNARY) {
        all.push(chain(&name, ty, &format!("({name} "), " (global.get $k) (global.get $k))"));
    }
    for (ty, name) in each(SHIFTS) {
        all.push(chain(&name, ty, &format!("({name} "), " (local.get $x))"));
    }
    for (ty, there, back) in PAIRS {
        all.push(chain(there, ty, &format!("({there} ({back} "), "))"));
    }
    all.push(chain(
        "i8x16.shuffle",
        "i8x16",
        "(i8x16.shuffle 0 17 3 4 31 2 5 6 7 9 8 11 13 12 20 1 ",
        " (global.get $k))",
    ));
    all
}

fn chain(name: &str, ty: &str, open: &str, close: &str) -> Adversary {
    let (ty, first, second) = match ty {
        "i32" => ("i32", "i32.const 0x12345671", "i32.const 3"),
        "i64" => ("i64", "i64.const 0x123456789abcdef1", "i64.const 3"),
        "f32" => ("f32", "f32.const 1.37", "f32.const 1.01"),
        "f64" => ("f64", "f64.const 1.37", "f64.const 1.01"),
        _ => ("v128", "v128.const f32x4 1.37 2.5 3.75 4.1", "v128.const f32x4 1.01 1.02 0.99 1.1"),
    };
    Adversary::new(
        name,
        50_000,
        format!("(global $g (mut {ty}) ({first})) (global $k (mut {ty}) ({second}))"),
        format!("(global.set $g {} (global.get $g) {})", open.repeat(CHAIN), close.repeat(CHAIN)),
    )
}
