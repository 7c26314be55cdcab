//! What stands around a body: the load and the blocks before it, the exit and the cold path
//! behind it, and the meter's own locals.

use super::Emitter;
use crate::cost::VALUES_FREE;
use crate::meter::summary::Summary;
use bls_artifact::fuel::OUT_OF_FUEL;
use wasm_encoder::{BlockType, Encode as _, Instruction};
use wasmparser::BinaryReaderError;

impl Emitter<'_, '_> {
    /// The end of the function: epilogue, prologue, declarations.
    pub(super) fn finish(
        mut self,
        original: &[u8],
    ) -> Result<(Vec<u8>, Summary), BinaryReaderError> {
        let targeted = self.function.scan.labels[0].targeted;
        if targeted && self.state.is_some() {
            self.arrive(0);
        }
        let body = std::mem::take(&mut self.text);
        if targeted {
            // Where a catch leads here, the reload belongs behind the block.
            self.join(0);
        }
        self.epilogue();
        let epilogue = std::mem::take(&mut self.text);

        let checks_entry = self.function.role.checks_entry && self.uses_counter;
        if checks_entry {
            self.summary.check_entry();
            self.checks = true;
        }
        // One block around a body is free where it gives few results; the two that stand
        // before a cold path always are.
        self.checks |= targeted && self.function.result_count > VALUES_FREE;
        let is_wrapped = self.checks || targeted;

        if self.uses_counter {
            self.reload();
        }
        if self.checks {
            self.emit(&[Instruction::Block(BlockType::Empty)]);
        }
        if checks_entry {
            self.emit(&[
                Instruction::LocalGet(self.counter),
                Instruction::I64Const(0),
                Instruction::I64LtS,
                Instruction::BrIf(0),
            ]);
        }
        if is_wrapped {
            self.emit(&[Instruction::Block(self.function.results)]);
        }
        self.raw(&body);
        if is_wrapped {
            self.emit(&[Instruction::End]);
        }
        self.raw(&epilogue);
        if self.checks {
            self.emit(&[
                Instruction::Return,
                Instruction::End,
                Instruction::I64Const(OUT_OF_FUEL),
                Instruction::GlobalSet(self.context.counter),
                Instruction::Unreachable,
            ]);
        }
        self.emit(&[Instruction::End]);
        let text = std::mem::take(&mut self.text);
        Ok((self.declare(original, &text)?, self.summary))
    }

    /// Where control falls off the end.
    pub(super) fn epilogue(&mut self) {
        let Some(state) = self.state else { return };
        let role = self.function.role;
        if self.uses_counter || role.checks_exit && (state.pending != 0 || role.stands_in) {
            self.uses_counter = true;
            // Behind `$body`, `$out_of_fuel` is the innermost label.
            self.leave(0);
            return;
        }
        if state.pending != 0 {
            // A straight line that calls nobody: no local is needed.
            self.emit(&[
                Instruction::GlobalGet(self.context.counter),
                Instruction::I64Const(state.pending),
                Instruction::I64Sub,
                Instruction::GlobalSet(self.context.counter),
            ]);
        }
        self.summary.exit(state.unpaid);
    }

    /// The new body: the old declarations, our locals, the text.
    pub(super) fn declare(
        &self,
        original: &[u8],
        text: &[u8],
    ) -> Result<Vec<u8>, BinaryReaderError> {
        let added = match (self.uses_counter, self.uses_lengths) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 3,
        };
        let mut locals = self.function.body.get_locals_reader()?;
        let groups = locals.get_count();
        let first = locals.original_position();
        for _ in 0..groups {
            locals.read()?;
        }
        let base = self.function.body.range().start;
        let declarations = &original[first - base..locals.original_position() - base];

        let mut body = Vec::with_capacity(declarations.len() + text.len() + 8);
        (groups + u32::from(added != 0)).encode(&mut body);
        body.extend_from_slice(declarations);
        if added != 0 {
            added.encode(&mut body);
            wasm_encoder::ValType::I64.encode(&mut body);
        }
        body.extend_from_slice(text);
        Ok(body)
    }
}
