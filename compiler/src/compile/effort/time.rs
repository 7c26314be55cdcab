//! What the optimiser and the better register allocator would take for a function, in
//! steps: about half a nanosecond each.
//!
//! Three things grow faster than the function (measured; `cargo xtask bench bombs`):
//!
//! * The optimiser looks for the block at which a value is available that it computes, from the
//!   block at hand upwards: as many steps as that has dominators.
//! * The allocator finds the dominator of a label by walking upwards from each who arrives.
//!   Where each arrives from the first arm of an `if` of its own, one behind the other, it
//!   walks all the way each time.
//! * Where ways meet, a value may come from each of them. When the allocator writes down the
//!   moves for that, it begins for most values of the function at the same entry of its list of
//!   such places, and walks through all that follow; and the values of a loop it puts into one
//!   bundle, which it sorts again for each. Both grow with the square of the places where ways
//!   meet: of labels, and of operators that have ways of their own in native code, such as a
//!   cast, which may call, or an allocation.
//!
//! May assume a valid function. An estimate, mostly from above: it judges time, not
//! correctness.

use wasmparser::Operator;

/// Steps of one dominator in the allocator.
const WALK: u64 = 8;
/// A function whose ways are no more than this does not count for them: a millisecond.
const WAYS_OF_ANY: u64 = 1 << 10;

/// The frames of one function that are open, and what was counted of it.
#[derive(Debug)]
pub(super) struct Time {
    open: Vec<Frame>,
    /// How many dominators the place at hand has, at most; `None` where control cannot come.
    depth: Option<u64>,
    steps: u64,
    /// The square of this is what all places where ways meet take, in steps.
    ways: u64,
}

#[derive(Debug)]
struct Frame {
    /// Dominators of its beginning.
    depth: u64,
    /// The fewest of any who has arrived at its end.
    arrived: Option<u64>,
    /// It is an `if`, before its `else`.
    is_first_arm: bool,
    is_loop: bool,
}

impl Time {
    /// For a function.
    pub(super) fn new() -> Self {
        let function = Frame { depth: 0, arrived: None, is_first_arm: false, is_loop: false };
        Self { open: vec![function], depth: Some(0), steps: 0, ways: 0 }
    }

    /// The steps of all operators so far.
    pub(super) fn steps(&self) -> u64 {
        let ways = if self.ways > WAYS_OF_ANY { self.ways } else { 0 };
        self.steps.saturating_add(ways.saturating_mul(ways))
    }

    /// Takes note of an operator.
    pub(super) fn add(&mut self, operator: &Operator<'_>) {
        self.ways += own_ways(operator);
        match operator {
            Operator::Block { .. } | Operator::TryTable { .. } => self.begin(false, false),
            Operator::Loop { .. } => self.begin(false, true),
            Operator::If { .. } => self.begin(true, false),
            Operator::Else => self.alternative(),
            Operator::End => self.end(),
            Operator::Br { relative_depth } => {
                self.branch(*relative_depth);
                self.depth = None;
            }
            Operator::BrIf { relative_depth }
            | Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth }
            | Operator::BrOnCast { relative_depth, .. }
            | Operator::BrOnCastFail { relative_depth, .. } => {
                self.branch(*relative_depth);
                self.depth = self.depth.map(|depth| depth + 1);
            }
            Operator::BrTable { targets } => {
                targets.targets().flatten().for_each(|target| self.branch(target));
                self.branch(targets.default());
                self.depth = None;
            }
            Operator::Return
            | Operator::Unreachable
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::Throw { .. }
            | Operator::ThrowRef => self.depth = None,
            Operator::LocalGet { .. }
            | Operator::LocalSet { .. }
            | Operator::LocalTee { .. }
            | Operator::GlobalGet { .. }
            | Operator::GlobalSet { .. }
            | Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::Drop
            | Operator::Nop => {}
            _ => {
                self.steps = self.steps.saturating_add(self.depth.unwrap_or(0));
            }
        }
    }

    fn begin(&mut self, is_first_arm: bool, is_loop: bool) {
        let depth = self.depth.unwrap_or(0);
        self.open.push(Frame { depth, arrived: None, is_first_arm, is_loop });
        if is_first_arm || is_loop {
            self.depth = self.depth.map(|depth| depth + 1);
        }
    }

    fn alternative(&mut self) {
        let Some(frame) = self.open.last_mut() else { return };
        frame.is_first_arm = false;
        if let Some(depth) = self.depth {
            frame.arrived = Some(frame.arrived.map_or(depth, |before| before.min(depth)));
        }
        self.depth = Some(frame.depth + 1);
    }

    fn end(&mut self) {
        let Some(frame) = self.open.pop() else { return };
        self.ways += u64::from(frame.arrived.is_some()) * LABEL;
        // A condition that does not hold leads to the end of an `if` without `else`.
        let arrived = if frame.is_first_arm { Some(frame.depth) } else { frame.arrived };
        self.depth = match (arrived, self.depth) {
            (None, falls) => falls,
            (Some(arrived), falls) => Some(arrived.min(falls.unwrap_or(arrived)) + 1),
        };
    }

    fn branch(&mut self, label: u32) {
        let Some(depth) = self.depth else { return };
        let is_from_arm = self.open.last().is_some_and(|frame| frame.is_first_arm);
        let index = self.open.len().checked_sub(1 + label as usize);
        let Some(frame) = index.and_then(|index| self.open.get_mut(index)) else { return };
        if frame.is_loop {
            return;
        }
        frame.arrived = Some(frame.arrived.map_or(depth, |before| before.min(depth)));
        if is_from_arm {
            self.steps =
                self.steps.saturating_add(WALK.saturating_mul(depth - frame.depth.min(depth)));
        }
    }
}

/// What a label that is branched to counts at its end.
const LABEL: u64 = 3;

/// How much an operator counts beside the others of its function: the root of the steps that
/// as many of them take as there are, by their square.
fn own_ways(operator: &Operator<'_>) -> u64 {
    match operator {
        // Fills it in a loop.
        Operator::ArrayNew { .. } | Operator::ArrayNewDefault { .. } => 17,
        Operator::Loop { .. } => 12,
        Operator::ArrayNewFixed { .. }
        | Operator::ArrayNewData { .. }
        | Operator::ArrayNewElem { .. } => 10,
        Operator::StructNew { .. } | Operator::StructNewDefault { .. } => 8,
        Operator::If { .. }
        | Operator::RefTestNonNull { .. }
        | Operator::RefTestNullable { .. }
        | Operator::RefCastNonNull { .. }
        | Operator::RefCastNullable { .. }
        | Operator::BrOnCast { .. }
        | Operator::BrOnCastFail { .. } => 5,
        Operator::CallIndirect { .. }
        | Operator::ReturnCallIndirect { .. }
        | Operator::TableGet { .. }
        | Operator::TableGrow { .. }
        | Operator::ArrayFill { .. }
        | Operator::ArrayCopy { .. } => 4,
        Operator::Br { .. }
        | Operator::BrIf { .. }
        | Operator::BrOnNull { .. }
        | Operator::BrOnNonNull { .. }
        | Operator::BrTable { .. } => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::{Parser, Payload};

    fn steps(body: &str) -> u64 {
        let text = format!("(module (type $s (struct)) (func (param i32) {body}))");
        let wasm = wat::parse_str(text).unwrap();
        let mut time = Time::new();
        for payload in Parser::new(0).parse_all(&wasm) {
            let Payload::CodeSectionEntry(body) = payload.unwrap() else { continue };
            for operator in body.get_operators_reader().unwrap() {
                time.add(&operator.unwrap());
            }
        }
        time.steps()
    }

    #[test]
    fn operators_count_with_their_dominators() {
        assert_eq!(steps("i32.const 1 drop"), 0);
        assert_eq!(steps("(block (br_if 0 (local.get 0)) i32.const 1 drop)"), 1);
        let two = "(br_if 0 (local.get 0)) (br_if 0 (local.get 0))";
        assert_eq!(steps(&format!("(block {two} i32.const 1 drop)")), 2);
        // Behind the block there is one who dominates it, and the block itself.
        assert_eq!(steps(&format!("(block {two}) i32.const 1 drop")), 1);
        assert_eq!(steps("(if (local.get 0) (then) (else i32.const 1 drop))"), 1);
        assert_eq!(steps("(loop i32.const 1 drop (br_if 0 (local.get 0)))"), 1);
    }

    #[test]
    fn who_arrives_out_of_an_arm_walks_all_the_way() {
        let one = "(if (local.get 0) (then (br 1)))";
        // From 1, 2 and 3 dominators.
        let walks: u64 = steps(&format!("(block {})", one.repeat(3)));
        assert_eq!(walks, WALK * (1 + 2 + 3));
        assert_eq!(
            steps(&format!("(block {})", "(if (local.get 0) (then) (else (br 1)))".repeat(3))),
            0
        );
    }

    #[test]
    fn ways_count_by_their_square() {
        assert_eq!(steps(&"struct.new 0 drop ".repeat(128)), 0, "{WAYS_OF_ANY} do not count");
        assert_eq!(steps(&"struct.new 0 drop ".repeat(200)), 1600 * 1600);
        assert_eq!(steps(&"(drop (ref.test (ref i31) (ref.null any)))".repeat(400)), 2000 * 2000);
    }
}
