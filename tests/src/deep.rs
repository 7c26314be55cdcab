//! Modules whose functions call each other so that S is at its cap: trees of calls that
//! double at each level, chains of tail calls behind them, handed-over values by the dozen,
//! tables of branches, exceptions that pass it all.
//!
//! What random operators hardly ever make. Guarantees a module that is valid by the way it
//! is made, the same for the same seed; it ends by fuel at the latest. Does not judge it.

use crate::modules::Random;
use std::fmt::Write as _;

/// Functions of a module.
const FUNCTIONS_MAX: u64 = 40;
/// Pieces of one body.
const PIECES_MAX: u64 = 6;

/// What every module has beside its functions. `$wide` gives twelve values.
const PARTS: &str = r#"
    (import "m" "host" (func $host)) (import "m" "number" (func $number (result i32)))
    (type $unit (func)) (type $twelve (func (result i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (type $through (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)
        (result i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (memory 1) (tag $e) (global $g (mut i32) (i32.const 0))
    (func $wide (type $twelve)
        (br_if 0 (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5)
            (i32.const 6) (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 10)
            (i32.const 11) (i32.const 12) (global.get $g)))
    (func $passed (type $through)
        (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6)
        (local.get 7) (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 0))
    (func $handed (type $twelve) (return_call $passed (call $wide)))
"#;

/// A module made from a seed.
///
/// # Panics
/// When it is not the text of one: a defect of this file's.
#[must_use]
pub fn deep(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let count = 1 + random.next() % FUNCTIONS_MAX;
    // Every second one has no events, recursions and loops, which all are checked.
    let is_quiet = random.next().is_multiple_of(2);
    let mut text = format!("(module {PARTS}");
    let mut listed = String::new();
    for index in 0..count {
        let mut maker = Maker { random: &mut random, index, count, is_quiet, text: String::new() };
        maker.function();
        text += &maker.text;
        if random.next().is_multiple_of(3) {
            let _ = write!(text, "(export \"f{index}\" (func $f{index}))");
        }
        if random.next().is_multiple_of(4) {
            let _ = write!(listed, " $f{index}");
        }
    }
    if random.next().is_multiple_of(2) {
        listed += " $host";
    }
    if random.next().is_multiple_of(2) {
        text += "(export \"host\" (func $host))";
    }
    let _ = write!(text, "(table 50 funcref) (elem (i32.const 0) func $f0{listed})");
    let last = count - 1;
    let _ = write!(text, "(export \"last\" (func $f{last})))");
    wat::parse_str(&text).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"))
}

/// Makes one function.
struct Maker<'r> {
    random: &'r mut Random,
    index: u64,
    count: u64,
    is_quiet: bool,
    text: String,
}

impl Maker<'_> {
    fn below(&mut self, limit: u64) -> u64 {
        self.random.next() % limit.max(1)
    }

    fn function(&mut self) {
        let locals = if self.below(8) == 0 { self.below(40_000) } else { 0 };
        let _ =
            write!(self.text, "(func $f{} (local {}) ", self.index, "i32 ".repeat(locals as usize));
        for _ in 0..self.below(PIECES_MAX) {
            self.piece(2);
        }
        match self.below(5) {
            0 if self.index > 0 => {
                let callee = self.callee();
                let _ = write!(self.text, "(return_call $f{callee})");
            }
            1 if !self.is_quiet => {
                let slot = self.below(12);
                let _ = write!(self.text, "(return_call_indirect (type $unit) (i32.const {slot}))");
            }
            2 if !self.is_quiet && self.below(4) == 0 => self.text += "(return_call $host)",
            _ => {}
        }
        self.text += ")";
    }

    /// Most often the one before, so that calls grow to a tree.
    fn callee(&mut self) -> u64 {
        match self.below(16) {
            0 if !self.is_quiet => self.below(self.count),
            0..4 => self.below(self.index),
            _ => self.index.saturating_sub(1),
        }
    }

    fn piece(&mut self, nesting: u32) {
        let number = self.below(200);
        let kind = match self.below(if nesting > 0 { 14 } else { 9 }) {
            0..3 if self.index == 0 => 4,
            5 | 6 | 8 | 12 | 13 if self.is_quiet => 4,
            kind => kind,
        };
        match kind {
            0..3 => {
                let callee = self.callee();
                let _ = write!(self.text, "(call $f{callee})");
            }
            3 => {
                for _ in 0..number {
                    self.text += "(drop (i32.const 0))";
                }
            }
            // 4096 units and the weights.
            4 => {
                for _ in 0..number % 40 {
                    self.text += "(memory.fill (i32.const 0) (i32.const 0) (i32.const 32768))";
                }
            }
            5 => self.text += "(call $host)",
            6 => {
                let slot = self.below(12);
                let _ = write!(self.text, "(call_indirect (type $unit) (i32.const {slot}))");
            }
            7 => {
                let callee = ["wide", "handed"][(number % 2) as usize];
                let _ = write!(self.text, "(call ${callee}) {}", "(drop)".repeat(12));
            }
            8 => self.text += "(global.set $g (call $number))",
            9 => self.nested("(if (global.get $g) (then", ") (else (nop)))", nesting),
            10 => self.nested(
                "(block (block (block (br_table 0 1 2 1 (global.get $g))) ",
                " (br_if 0 (global.get $g))) (nop))",
                nesting,
            ),
            11 => self.nested("(block (try_table (catch $e 0) (catch_all 0) ", "))", nesting),
            12 => {
                self.text += "(block ";
                self.nested("(loop ", " (br_if 0 (global.get $g)))", nesting);
                self.text += " (br_if 0 (global.get $g)) (nop))";
            }
            _ => {
                let drops = "(drop)".repeat(12);
                let _ = write!(
                    self.text,
                    "(call $wide) (loop (type $through) (i32.const 1) (drop) (call $passed) \
                     (br_if 0 (global.get $g))) {drops}"
                );
            }
        }
    }

    fn nested(&mut self, before: &str, behind: &str, nesting: u32) {
        self.text += before;
        for _ in 0..self.below(3) {
            self.piece(nesting - 1);
        }
        self.text += behind;
    }
}
