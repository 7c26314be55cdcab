//! Branches that pay on the way they take.
//!
//! The only form, which stands for the guest's `br_if L` and consumes what that does:
//!
//! ```text
//! marked if  charge  br L+1  end
//! ```
//!
//! A condition that is not zero goes through the `if` to where the guest's branch leads; one
//! that is goes on behind it. What each of the two ways owes is [`super::flow`]'s.

use super::AuditError;
use super::idiom::Reader;
use super::step::{Opening, Step};
use wasm_encoder::{Encode as _, Instruction};
use wasmparser::Operator;

/// How many operators the mark and the `if` are.
const BEGINNING: usize = 3;

impl Reader<'_, '_> {
    /// The branch that begins with the marked `if` here, taken down; how many operators
    /// that is. Anything else may not name the counter.
    pub(super) fn edge(&mut self, at: usize) -> Result<Option<usize>, AuditError> {
        let Some((charge @ Step::Charge(_), length)) = self.injected(at + BEGINNING) else {
            return Ok(None);
        };
        let branch = at + BEGINNING + length;
        let [Operator::Br { relative_depth }, Operator::End, ..] = self.operators[branch..] else {
            return Ok(None);
        };
        let Some(outside) = relative_depth.checked_sub(1) else { return Ok(None) };

        Instruction::BrIf(outside).encode(self.stripped);
        self.constant = None;
        self.run_operator(&Operator::BrIf { relative_depth: outside }, at, 0)?;
        self.open(Opening::If, at);
        self.text(at + BEGINNING, charge)?;
        self.branch(Step::Branch(relative_depth), relative_depth, branch)?;
        self.push(Step::Stop, branch);
        self.depth -= 1;
        self.push(Step::End, branch + 1);
        Ok(Some(branch + 2 - at))
    }
}
