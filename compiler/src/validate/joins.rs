//! How much is carried to where ways join: what a register allocator pays for most.
//!
//! Where several ways lead to one place, each brings along every local that may differ
//! there, and the values of the label: 500 locals that 500 branches carry out of one block
//! are 250 000 moves, from 9 KB of bytecode. How many there are has a limit, for each is code
//! in the image; and the code generator's better allocator takes a time that grows faster
//! than their number, so there are modules for which the other one is taken
//! ([`crate::compile::effort`]).
//!
//! Counts at least as much as there is: a local that is set inside counts for all ways to
//! the end. May assume a valid function. Knows no types; arities are told.

use wasmparser::Operator;

/// What a call takes for each clause around it, in values: it ends its block, and has a
/// way to each.
const CLAUSE: u64 = 8;
/// A label of more values than this is wide.
const WIDE: u64 = 16;

/// The labels of one function that are open, and what was counted of it.
#[derive(Debug)]
pub(super) struct Joins {
    open: Vec<Label>,
    /// How many labels have been opened.
    opened: u64,
    /// By local: how many labels had been opened when it was last set.
    set: Vec<u64>,
    /// Clauses of all open `try_table`s.
    clauses: u64,
    carried: u64,
    wide: u64,
    /// About how many blocks the native code has so far.
    blocks: u64,
    placed: u64,
}

/// One that is open.
#[derive(Debug)]
struct Label {
    /// Its number in the order of opening.
    number: u64,
    /// Branches to it.
    branches: u64,
    /// Locals that are set inside.
    locals: u64,
    /// Values that a branch to it brings.
    arity: u64,
    clauses: u64,
    /// Two ways lead to its end without a branch.
    is_if: bool,
}

impl Joins {
    /// For a function with so many locals, parameters included.
    pub(super) fn new(locals: u32) -> Self {
        let function =
            Label { number: 0, branches: 0, locals: 0, arity: 0, clauses: 0, is_if: false };
        Self {
            open: vec![function],
            opened: 1,
            set: vec![0; locals as usize],
            clauses: 0,
            carried: 0,
            wide: 0,
            blocks: 0,
            placed: 0,
        }
    }

    /// Takes note of an operator; `arity` says how many values a branch to the label brings
    /// that it opens.
    pub(super) fn add(&mut self, operator: &Operator<'_>, arity: impl FnOnce() -> u64) {
        self.blocks += blocks(operator);
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } => self.begin(arity(), 0, false),
            Operator::If { .. } => self.begin(arity(), 0, true),
            Operator::TryTable { try_table } => {
                for catch in &try_table.catches {
                    use wasmparser::Catch;
                    let (Catch::One { label, .. }
                    | Catch::OneRef { label, .. }
                    | Catch::All { label }
                    | Catch::AllRef { label }) = catch;
                    self.branch(*label);
                }
                self.begin(arity(), try_table.catches.len() as u64, false);
            }
            Operator::End => self.end(),
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                self.set(*local_index);
            }
            Operator::Br { relative_depth }
            | Operator::BrIf { relative_depth }
            | Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth }
            | Operator::BrOnCast { relative_depth, .. }
            | Operator::BrOnCastFail { relative_depth, .. } => self.branch(*relative_depth),
            Operator::BrTable { targets } => {
                targets.targets().flatten().for_each(|target| self.branch(target));
                self.branch(targets.default());
            }
            Operator::Call { .. } | Operator::CallIndirect { .. } | Operator::CallRef { .. } => {
                self.carried = self.carried.saturating_add(self.clauses.saturating_mul(CLAUSE));
            }
            _ => {}
        }
    }

    /// The values that all ways bring to where they join.
    pub(super) fn carried(&self) -> u64 {
        self.carried
    }

    /// The same of what is the labels' own, where that is much.
    pub(super) fn wide(&self) -> u64 {
        self.wide
    }

    /// The labels' values, each counted once for each block of native code before it.
    pub(super) fn placed(&self) -> u64 {
        self.placed
    }

    fn begin(&mut self, arity: u64, clauses: u64, is_if: bool) {
        let number = self.opened;
        self.open.push(Label { number, branches: 0, locals: 0, arity, clauses, is_if });
        self.opened += 1;
        self.clauses += clauses;
    }

    fn end(&mut self) {
        let Some(label) = self.open.pop() else { return };
        self.clauses -= label.clauses;
        let ways = label.branches + 1 + u64::from(label.is_if);
        if label.arity > WIDE {
            self.wide = self.wide.saturating_add(ways.saturating_mul(label.arity));
        }
        self.placed = self.placed.saturating_add(self.blocks.saturating_mul(label.arity));
        let locals = if ways > 1 { label.locals } else { 0 };
        self.carried = self.carried.saturating_add(ways.saturating_mul(locals + label.arity));
    }

    fn branch(&mut self, depth: u32) {
        let label = (self.open.len() - 1).checked_sub(depth as usize);
        if let Some(label) = label.and_then(|index| self.open.get_mut(index)) {
            label.branches += 1;
        }
    }

    /// Counts a local once for each label that is open around it.
    fn set(&mut self, local: u32) {
        let Some(set) = self.set.get_mut(local as usize) else { return };
        // Those opened before have counted it.
        for label in self.open.iter_mut().rev().take_while(|label| label.number >= *set) {
            label.locals += 1;
        }
        *set = self.opened;
    }
}

/// About how many blocks of native code begin with an operator: those of labels, and those of
/// operators that branch in native code.
fn blocks(operator: &Operator<'_>) -> u64 {
    match operator {
        Operator::BrOnCast { .. } | Operator::BrOnCastFail { .. } => 6,
        Operator::RefTestNonNull { .. }
        | Operator::RefTestNullable { .. }
        | Operator::RefCastNonNull { .. }
        | Operator::RefCastNullable { .. }
        | Operator::ArrayNew { .. }
        | Operator::ArrayNewDefault { .. } => 5,
        Operator::If { .. }
        | Operator::StructNew { .. }
        | Operator::StructNewDefault { .. }
        | Operator::ArrayNewFixed { .. }
        | Operator::ArrayNewData { .. }
        | Operator::ArrayNewElem { .. } => 3,
        Operator::Loop { .. }
        | Operator::CallIndirect { .. }
        | Operator::TableGet { .. }
        | Operator::TableGrow { .. }
        | Operator::ArrayFill { .. }
        | Operator::ArrayCopy { .. } => 2,
        Operator::Block { .. }
        | Operator::TryTable { .. }
        | Operator::BrIf { .. }
        | Operator::BrOnNull { .. }
        | Operator::BrOnNonNull { .. } => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::{Parser, Payload};

    /// What is carried in the one function of a module.
    fn carried(text: &str) -> u64 {
        let wasm = wat::parse_str(text).unwrap();
        let body = Parser::new(0)
            .parse_all(&wasm)
            .find_map(|payload| match payload.unwrap() {
                Payload::CodeSectionEntry(body) => Some(body),
                _ => None,
            })
            .unwrap();
        let mut joins = Joins::new(8);
        for operator in body.get_operators_reader().unwrap() {
            joins.add(&operator.unwrap(), || 0);
        }
        assert!(joins.open.is_empty());
        joins.carried
    }

    fn of(body: &str) -> u64 {
        carried(&format!("(module (func $f (param i32 i32 i32 i32) {body}))"))
    }

    #[test]
    fn locals_count_once_for_each_way() {
        let set = "(local.set 0 (i32.const 1))";
        assert_eq!(of(set), 0);
        assert_eq!(of(&format!("(block {set} {set})")), 0, "one way leads on");
        assert_eq!(of(&format!("(block {set} (br_if 0 (local.get 1)) {set})")), 2);
        assert_eq!(of(&format!("(if (local.get 1) (then {set} {set}))")), 2);
        assert_eq!(of(&format!("(loop {set} (br_if 0 (local.get 1)))")), 2);
        // For the inner one and for the outer one.
        let nested = "(block (block (local.set 0 (i32.const 1)) (br_if 0 (local.get 1))
            (br_if 1 (local.get 1))))";
        assert_eq!(of(nested), 4);
        // Set again in another block inside of one that has counted it.
        let again = "(block (block (local.set 0 (i32.const 1)) (br_if 0 (local.get 1)))
            (block (local.set 0 (i32.const 2)) (br_if 0 (local.get 1))) (br_if 0 (local.get 1)))";
        assert_eq!(of(again), 6);
        let table = "(block (block (local.set 2 (i32.const 1)) (br_table 0 1 0 (local.get 1))))";
        assert_eq!(of(table), 3 + 2);
    }

    #[test]
    fn values_of_labels_count_for_each_block_before_them() {
        let placed = |body: &str| {
            let text = format!("(module (func $f (param i32) {body}))");
            let wasm = wat::parse_str(text).unwrap();
            let mut joins = Joins::new(1);
            for payload in Parser::new(0).parse_all(&wasm) {
                let Payload::CodeSectionEntry(body) = payload.unwrap() else { continue };
                for operator in body.get_operators_reader().unwrap() {
                    joins.add(&operator.unwrap(), || 2);
                }
            }
            joins.placed()
        };
        assert_eq!(placed(""), 0);
        assert_eq!(placed("(block)"), 2);
        assert_eq!(placed("(block) (block)"), 2 + 4);
        assert_eq!(placed("(if (local.get 0) (then)) (block)"), 6 + 8);
    }

    #[test]
    fn calls_count_for_each_clause_around_them() {
        let text = "(module (tag $e) (func $f (block (try_table (catch $e 0) (catch_all 0)
            (call $f) (call $f)) (call $f))))";
        assert_eq!(carried(text), 4 * CLAUSE);
    }
}
