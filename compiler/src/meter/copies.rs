//! Which loops are unrolled, and how often: a tiny loop pays for its rounds a few at a
//! time, with one charge and one check.
//!
//! Only straight lines that end with the branch back. A loop with more ways is left early
//! more often than not, and copies of it made real programs slower. Knows operators and
//! sizes; what is made of a loop is [`super::function`]'s.

use crate::cost;
use std::ops::Range;
use wasmparser::{BlockType, Operator};

/// The most copies of a body (FUEL.md, "Where charges stand", 8).
const COPIES_MAX: usize = 8;
/// The most bytes that all copies of a body have together.
const BYTES_MAX: usize = 256;
/// The heaviest operator in a copied body: beside dearer ones a charge is nothing. All
/// that branch, call or pay for a length are dearer, or named below.
const WEIGHT_MAX: u64 = 4;

/// The most copies of one function's loops, times its locals: the code generator does
/// something for each local where the copies of a loop end.
const COPIES_BY_LOCALS_MAX: u64 = 1 << 16;
/// Fewer locals count as so many: the code generator takes a time that grows with the
/// square of what one function holds, whatever it is.
const LOCALS_MIN: u64 = 16;

/// What the loops of one function may still be copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    locals: u64,
    left: u64,
}

impl Allowance {
    /// For a function with so many locals, parameters included.
    pub(super) fn new(locals: u64) -> Self {
        Self { locals: locals.max(LOCALS_MIN), left: COPIES_BY_LOCALS_MAX }
    }

    /// Whether a loop may be copied so often; then it is.
    pub(super) fn takes(&mut self, copies: u32) -> bool {
        let rest = self.left.checked_sub(self.locals.saturating_mul(copies.into()));
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }
}

/// The loop that opened last, while it looks like one to be unrolled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Where its first operator begins.
    start: usize,
    /// The branch back was read.
    is_closed: bool,
}

impl Candidate {
    /// Looks at the operator at these bytes: the candidate that there is behind it, and
    /// how often the body is copied when the loop ends here.
    pub(super) fn next(
        candidate: Option<Self>,
        operator: &Operator<'_>,
        range: &Range<usize>,
    ) -> (Option<Self>, Option<u32>) {
        match (operator, candidate) {
            (Operator::Loop { blockty: BlockType::Empty }, _) => {
                (Some(Self { start: range.end, is_closed: false }), None)
            }
            (Operator::End, Some(Self { start, is_closed: true })) => {
                (None, Some(copies(range.start - start)))
            }
            (Operator::BrIf { relative_depth: 0 }, Some(Self { start, is_closed: false })) => {
                (Some(Self { start, is_closed: true }), None)
            }
            (_, Some(Self { is_closed: false, .. })) if is_plain(operator) => (candidate, None),
            _ => (None, None),
        }
    }
}

/// How many copies there are of a body of so many bytes.
fn copies(bytes: usize) -> u32 {
    (BYTES_MAX / bytes.max(1)).clamp(1, COPIES_MAX) as u32
}

/// Whether control goes from the operator to the next one, or ends in a trap.
fn is_plain(operator: &Operator<'_>) -> bool {
    let is_control = matches!(
        operator,
        Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::End
            | Operator::TryTable { .. }
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::Return
            | Operator::Unreachable
            | Operator::Call { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallRef { .. }
    );
    !is_control && cost::flat(operator).is_some_and(|weight| weight <= WEIGHT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_end_where_locals_are_many() {
        let copied = |locals: u64| {
            let mut allowance = Allowance::new(locals);
            (0..100_000).filter(|_| allowance.takes(8)).count()
        };
        assert_eq!(copied(0), 512);
        assert_eq!(copied(1), 512);
        assert_eq!(copied(16), 512);
        assert_eq!(copied(64), 128);
        assert_eq!(copied(8192), 1);
        assert_eq!(copied(8193), 0);
        // One that does not fit does not end it.
        let mut allowance = Allowance::new(8193);
        assert!(!allowance.takes(8) && allowance.takes(7) && !allowance.takes(2));
    }
}
