//! Tiny loops, unrolled: one charge and one check for a few rounds.
//!
//! Before, and after, for two copies (a *marked* operator is the meter's and consumes
//! nothing; the mark is `local.get $f  local.set $f`):
//!
//! ```wat
//!                     marked block $exit
//! loop                  loop
//!                         check
//!                         marked block $next
//!   BODY                    BODY
//!   br_if 0                 br_if 0 (to $next)
//!                           charge one round
//!                           marked br $exit
//!                         end
//!                         BODY
//!                         charge two rounds
//!                         br_if 0 (to the loop)
//! end                   end
//!                     end
//! ```
//!
//! What is owed at the end of one copy is owed at the beginning of the next. May assume
//! what [`super::super::copies`] promises of the loop.

use super::{Emitter, State};
use crate::meter::summary::Unpaid;
use wasm_encoder::{BlockType, Instruction};

/// What is done with the operators that were read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Turn {
    /// Go on.
    #[default]
    On,
    /// Go on, and remember this place.
    Remember,
    /// Go back to the place that was remembered.
    Back,
}

/// A loop whose body is being copied.
pub(super) struct Unrolling {
    /// Copies that are to be made, the one at hand included.
    left: u32,
    /// What is unpaid on all ways that have left the loop.
    leaving: Unpaid,
}

impl Emitter<'_, '_> {
    /// Opens the loop, with nothing pending.
    pub(super) fn unroll(&mut self, copies: u32, raw: &[u8]) {
        self.mark(&Instruction::Block(BlockType::Empty));
        self.raw(raw);
        self.open(None);
        if let Some(state) = &mut self.state {
            state.unstored = None;
        }
        // The meter's own block is one label more on the way out.
        self.emit(&[Instruction::LocalGet(self.counter)]);
        self.check_top(self.frames.len() as u32 + 1);
        self.mark(&Instruction::Block(BlockType::Empty));
        self.unrolling = Some(Unrolling { left: copies, leaving: Unpaid::default() });
        self.turn = Turn::Remember;
    }

    /// The branch at the end of a copy.
    pub(super) fn close_copy(&mut self, raw: &[u8]) {
        let Some(before) = self.state else { return };
        let Some(unrolling) = &mut self.unrolling else { return };
        unrolling.left -= 1;
        unrolling.leaving.meet(before.unpaid);
        let left = unrolling.left;
        if left == 0 {
            self.settle(0);
            // The loop's header checks.
            self.summary.close(before.unpaid);
            self.raw(raw);
            return;
        }
        self.raw(raw);
        self.settle(0);
        self.mark(&Instruction::Br(2));
        self.emit(&[Instruction::End]);
        self.state = Some(before);
        if left > 1 {
            self.mark(&Instruction::Block(BlockType::Empty));
        }
        self.turn = Turn::Back;
    }

    /// The end of the loop, where all who leave it meet.
    pub(super) fn close_copies(&mut self) {
        let Some(unrolling) = self.unrolling.take() else { return };
        self.emit(&[Instruction::End, Instruction::End]);
        self.state = Some(State {
            pending: 0,
            unstored: None,
            unpaid: unrolling.leaving,
            is_unchecked: false,
        });
    }
}
