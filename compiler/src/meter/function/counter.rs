//! Texts that move, lower and look at the counter, and what is known behind each.
//!
//! The inserted text is stack-neutral. Says nothing of where it belongs: that is
//! [`super`]'s.

use super::{Emitter, Frame, State};
use crate::meter::bulk::Bulk;
use crate::meter::summary::{Summary, Unpaid};
use bls_artifact::fuel::S_MAX;
use wasm_encoder::{BlockType, Encode as _, Instruction};

impl Emitter<'_, '_> {
    /// An operator consumes `units`; before one with which more than `S_MAX` would have run
    /// since the last check stands another check.
    pub(super) fn owe(&mut self, units: u64) {
        if self.state.is_some_and(|state| state.unpaid.plus(units).exceeds(S_MAX)) {
            self.check();
        }
        if let Some(state) = &mut self.state {
            state.pending += units as i64;
            state.unstored = state.unstored.map(|before| before + units as i64);
            state.unpaid.run(units);
        }
    }

    /// Before a call, already owed for: a check, where more than `S_MAX` would have run at
    /// the callee's first one.
    pub(super) fn check_before(&mut self, callee: Summary) {
        if self.state.is_some_and(|state| state.unpaid.plus(callee.enter).exceeds(S_MAX)) {
            self.check();
        }
    }

    /// Control may go to the label that is `depth` out.
    pub(super) fn branch(&mut self, depth: u32) {
        let Frame { label, loops, .. } = self.frames[self.frames.len() - 1 - depth as usize];
        // Who leaves a loop has met its check.
        let leaves = loops < self.rounds.depth() && !self.function.scan.labels[label].is_loop;
        let before = self.state;
        if let (true, Some(state)) = (leaves, &mut self.state) {
            state.is_unchecked = false;
        }
        self.arrive(label);
        if let (Some(before), Some(state)) = (before, &mut self.state) {
            state.is_unchecked = before.is_unchecked;
        }
    }

    /// A `br_if` whose charge stands on the way that is taken: the other one pays nothing
    /// for it. Whether it is one; then it has been emitted.
    ///
    /// Not to loops: their charge is paid by nearly every round, and the code generator makes
    /// a jump more of this. The audit writes the operator as short as it can be, so it must
    /// have been that.
    pub(super) fn branches_at_edge(&mut self, depth: u32, raw: &[u8]) -> bool {
        let scan = self.function.scan;
        if scan.pays_before_branches {
            return false;
        }
        let label = self.frames[self.frames.len() - 1 - depth as usize].label;
        let facts = scan.labels[label];
        let class = scan.class(label);
        let potential = if scan.is_settled(class) { Some(0) } else { self.potentials[class] };
        let carries = match label {
            0 => !matches!(self.function.results, BlockType::Empty),
            _ => facts.carries,
        };
        let differs = self.state.zip(potential).is_some_and(|(at, to)| at.pending != to);
        let mut shortest = Vec::new();
        Instruction::BrIf(depth).encode(&mut shortest);
        if !differs || facts.is_loop || facts.caught || carries || raw != shortest {
            return false;
        }
        let before = self.state;
        self.mark(&Instruction::If(BlockType::Empty));
        self.branch(depth);
        self.emit(&[Instruction::Br(depth + 1), Instruction::End]);
        self.state = before;
        true
    }

    /// Makes the pending cost what everybody brings to `label`.
    pub(super) fn arrive(&mut self, label: usize) {
        let Some(state) = self.state else { return };
        let scan = self.function.scan;
        let class = scan.class(label);
        if scan.is_settled(class) {
            self.settle(0);
            if scan.labels[label].caught {
                self.store();
            }
        } else {
            match self.potentials[class] {
                Some(potential) => self.settle(potential),
                None => self.potentials[class] = Some(state.pending),
            }
        }
        if scan.labels[label].is_loop {
            self.summary.close(state.unpaid);
            self.rounds.end(label, state.unpaid, state.is_unchecked);
        } else {
            let (unpaid, is_unchecked) = self.arriving[label].get_or_insert_default();
            unpaid.meet(state.unpaid);
            *is_unchecked |= state.is_unchecked;
        }
    }

    /// Charges, so that `pending` is owed afterwards.
    pub(super) fn settle(&mut self, pending: i64) {
        let Some(state) = &mut self.state else { return };
        let units = state.pending - pending;
        state.pending = pending;
        if units != 0 {
            self.uses_counter = true;
            self.emit(&[
                Instruction::LocalGet(self.counter),
                Instruction::I64Const(units),
                Instruction::I64Sub,
                Instruction::LocalSet(self.counter),
            ]);
        }
    }

    /// An operator of the meter's own.
    pub(super) fn mark(&mut self, operator: &Instruction<'_>) {
        self.uses_counter = true;
        let counter = self.counter;
        self.emit(&[Instruction::LocalGet(counter), Instruction::LocalSet(counter)]);
        self.emit(std::slice::from_ref(operator));
    }

    /// Local counter to global counter; nothing may be pending.
    pub(super) fn store(&mut self) {
        self.uses_counter = true;
        self.emit(&[
            Instruction::LocalGet(self.counter),
            Instruction::GlobalSet(self.context.counter),
        ]);
        self.is_stored();
    }

    /// The global counter holds what it should.
    pub(super) fn is_stored(&mut self) {
        if let Some(state) = &mut self.state {
            state.unstored = Some(0);
        }
    }

    /// Makes the global counter exact, and leaves the local one alone: a trap may come.
    pub(super) fn write_through(&mut self) {
        let Some(State { pending, unstored, .. }) = self.state else { return };
        if unstored == Some(0) {
            return;
        }
        self.uses_counter = true;
        self.emit(&[Instruction::LocalGet(self.counter)]);
        if pending != 0 {
            self.emit(&[Instruction::I64Const(pending), Instruction::I64Sub]);
        }
        self.emit(&[Instruction::GlobalSet(self.context.counter)]);
        self.is_stored();
    }

    /// Global counter to local counter; nothing is pending afterwards.
    pub(super) fn reload(&mut self) {
        self.uses_counter = true;
        self.emit(&[
            Instruction::GlobalGet(self.context.counter),
            Instruction::LocalSet(self.counter),
        ]);
        self.is_stored();
    }

    /// Charges all and stores: behind it the local counter is not used, or reloaded.
    pub(super) fn flush(&mut self) {
        let Some(state) = &mut self.state else { return };
        let units = std::mem::take(&mut state.pending);
        self.uses_counter = true;
        self.emit(&[Instruction::LocalGet(self.counter)]);
        if units != 0 {
            self.emit(&[Instruction::I64Const(units), Instruction::I64Sub]);
        }
        self.emit(&[Instruction::GlobalSet(self.context.counter)]);
    }

    /// Leaves for `$out_of_fuel` when less is left than is pending.
    pub(super) fn check(&mut self) {
        self.settle_for_check();
        self.emit(&[Instruction::LocalGet(self.counter)]);
        self.check_top(self.frames.len() as u32);
    }

    /// Takes off what is pending, where checks are not to see it.
    fn settle_for_check(&mut self) {
        if self.function.scan.settles_at_checks {
            self.settle(0);
        }
    }

    /// The same for the counter on the stack, `out_of_fuel` labels out.
    pub(super) fn check_top(&mut self, out_of_fuel: u32) {
        self.uses_counter = true;
        self.checks = true;
        let pending = self.state.map_or(0, |state| state.pending);
        self.emit(&[
            Instruction::I64Const(pending),
            Instruction::I64LtS,
            Instruction::BrIf(out_of_fuel),
        ]);
        if let Some(state) = &mut self.state {
            self.summary.close(state.unpaid);
            state.unpaid = Unpaid::checked();
            state.is_unchecked = false;
        }
    }

    /// Check, charge and store: what comes next can be seen from outside.
    pub(super) fn event(&mut self) {
        self.check();
        self.flush();
    }

    pub(super) fn call(&mut self, function: u32, raw: &[u8]) {
        if let Some(defined) = function.checked_sub(self.context.imported) {
            let callee = self.summaries.of(defined);
            self.check_before(callee);
            self.flush();
            self.raw(raw);
            self.reload();
            self.returned(callee);
        } else {
            self.event();
            self.raw(raw);
            self.reload();
        }
    }

    /// A callee came back.
    pub(super) fn returned(&mut self, callee: Summary) {
        if let Some(state) = &mut self.state {
            self.summary.close(state.unpaid.plus(callee.enter));
            state.unpaid = state.unpaid.through(callee);
            state.is_unchecked &= callee.through.is_some();
        }
    }

    /// A callee took this function's place.
    pub(super) fn tail(&mut self, callee: Summary) {
        if let Some(state) = self.state {
            self.summary.close(state.unpaid.plus(callee.enter));
            self.summary.exit(state.unpaid.through(callee));
        }
    }

    /// Check where that is due, charge, store: the function ends here.
    /// `$out_of_fuel` is `out_of_fuel` labels out.
    pub(super) fn leave(&mut self, out_of_fuel: u32) {
        self.uses_counter |= self.state.is_some_and(|state| state.pending != 0);
        if self.function.role.checks_exit && (self.uses_counter || self.function.role.stands_in) {
            self.settle_for_check();
            self.emit(&[Instruction::LocalGet(self.counter)]);
            self.check_top(out_of_fuel);
        }
        self.flush();
        if let Some(state) = self.state {
            self.summary.exit(state.unpaid);
        }
    }

    /// Charges for the length on the stack, and checks, before the work.
    pub(super) fn pay_length(&mut self, bulk: &Bulk) {
        self.settle(0);
        self.uses_lengths = true;
        let (length, bound) = (self.counter + 1, self.counter + 2);
        let mut text = Vec::new();
        bulk.emit(length, bound, self.counter, &mut text);
        self.text.extend(text);
        self.check_top(self.frames.len() as u32);
        self.emit(&[Instruction::LocalGet(length)]);
        if !bulk.is_64 {
            self.emit(&[Instruction::I32WrapI64]);
        }
    }
}
