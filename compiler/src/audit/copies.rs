//! Loops that were unrolled: the meter's blocks around copies of one body.
//!
//! An operator is *marked* by `local.get $f  local.set $f` before it: it is the meter's,
//! and consumes nothing. The only form (`BODY` without what was injected is the same each
//! time, and its branches stay in it or lead to its own end):
//!
//! ```text
//! marked block
//!   loop
//!     check
//!     marked block  BODY  [charge]  marked br 2  end      once or more
//!     BODY
//!   end
//! end
//! ```
//!
//! which does what `loop BODY end` does: a branch to the end of a copy goes on with the
//! next one, or from the last to the loop; and whoever falls off a copy leaves. Shows the
//! rule `copies`, which is also why [`super::same`] may see one body only.

use super::AuditError;
use super::idiom::Reader;
use super::rule::Rule;
use super::step::{Opening, Step};
use wasmparser::{BlockType, Operator};

/// An unrolled loop that is being read.
pub(super) struct Copies {
    /// How many frames are open around it.
    pub(super) depth: u32,
    /// Where its body begins among the bytes that are kept.
    from: usize,
    /// The body, when one copy has been read.
    body: Option<Vec<u8>>,
    /// The copy at hand is in a block.
    is_inside: bool,
}

impl Copies {
    /// How many frames are open around the copy at hand, less the one that its branches
    /// may lead to.
    pub(super) fn labels(&self) -> u32 {
        // The block and the loop; the copy's own block takes the loop's place.
        self.depth + 1 + u32::from(self.is_inside)
    }
}

impl Reader<'_, '_> {
    /// The marked operator that begins here, taken down; how many operators that is.
    pub(super) fn marked(&mut self, local: u32, at: usize) -> Result<Option<usize>, AuditError> {
        let mark =
            [Operator::LocalGet { local_index: local }, Operator::LocalSet { local_index: local }];
        let text = &self.operators[at..];
        if !text.starts_with(&mark) {
            return Ok(None);
        }
        match text.get(2) {
            Some(Operator::Block { blockty: BlockType::Empty }) => self.open_copy(at).map(Some),
            Some(Operator::Br { relative_depth: 2 }) => self.close_copy(at).map(Some),
            Some(Operator::If { blockty: BlockType::Empty }) => self.edge(at),
            // Nobody else may name the counter.
            _ => Ok(None),
        }
    }

    /// The block around a whole loop, or around a copy.
    fn open_copy(&mut self, at: usize) -> Result<usize, AuditError> {
        if let Some(copies) = &mut self.copies {
            let begins = copies.from == self.stripped.len()
                && !copies.is_inside
                && self.depth == copies.depth + 2;
            copies.is_inside = true;
            self.require(begins, Rule::Copies, at, "a copy begins in the middle of another")?;
            self.open(Opening::Block, at);
            return Ok(3);
        }
        // The loop itself is the guest's; its check is what the rule `loop` demands.
        let is_loop = matches!(
            self.operators.get(at + 3),
            Some(Operator::Loop { blockty: BlockType::Empty })
        );
        self.require(is_loop, Rule::Copies, at, "no loop stands in a block of the meter's")?;
        let depth = self.depth;
        self.open(Opening::Block, at);
        if !is_loop {
            return Ok(3);
        }
        self.guest(at + 3)?;
        let from = self.stripped.len();
        self.copies = Some(Copies { depth, from, body: None, is_inside: false });
        Ok(4)
    }

    /// The end of a copy in a block.
    fn close_copy(&mut self, at: usize) -> Result<usize, AuditError> {
        let is_end = self.operators.get(at + 3) == Some(&Operator::End);
        let closes = is_end
            && self
                .copies
                .as_ref()
                .is_some_and(|copies| copies.is_inside && self.depth == copies.depth + 3);
        self.require(closes, Rule::Copies, at, "no copy of a body ends here")?;
        self.push(Step::Branch(2), at);
        self.push(Step::Stop, at);
        if is_end {
            self.depth -= 1;
            self.push(Step::End, at + 3);
        }
        self.same_body(at)?;
        if let Some(copies) = &mut self.copies {
            copies.is_inside = false;
            self.stripped.truncate(copies.from);
        }
        Ok(3 + usize::from(is_end))
    }

    /// Whether the `end` that comes next is that of the loop. One that is a copy's stands
    /// behind a marked branch.
    pub(super) fn ends_copies(&self, at: usize) -> Result<bool, AuditError> {
        let Some(copies) = &self.copies else { return Ok(false) };
        let falls_through = copies.is_inside && self.depth == copies.depth + 3;
        self.require(!falls_through, Rule::Copies, at, "a copy ends in the next one")?;
        Ok(!copies.is_inside && self.depth == copies.depth + 2)
    }

    /// The block around a loop that has ended.
    pub(super) fn close_copies(&mut self, at: usize) -> Result<usize, AuditError> {
        self.copies = None;
        let is_end = self.operators.get(at + 1) == Some(&Operator::End);
        self.require(is_end, Rule::Copies, at, "something stands behind the copies of a loop")?;
        if is_end {
            self.depth -= 1;
            self.push(Step::End, at + 1);
        }
        Ok(1 + usize::from(is_end))
    }

    /// The body that ends here is that of the copies before it.
    pub(super) fn same_body(&mut self, at: usize) -> Result<(), AuditError> {
        let Some(copies) = &mut self.copies else { return Ok(()) };
        let body = &self.stripped[copies.from..];
        let is_same = match &copies.body {
            Some(first) => first == body,
            None => {
                copies.body = Some(body.to_vec());
                true
            }
        };
        self.require(is_same, Rule::Copies, at, "the copies of a loop's body differ")?;
        Ok(())
    }
}
