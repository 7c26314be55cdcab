//! How others meter bytecode, for comparison: the least of their schemes, in a few lines.
//!
//! | scheme | charges | checks | as |
//! |---|---|---|---|
//! | [`Scheme::GlobalPerBlock`] | a global, at the end of each basic block | at each charge | wasmer's metering, Arbitrum's Stylus |
//! | [`Scheme::GlobalAtLoops`] | the same | at entries of functions and at loops | the Internet Computer's |
//!
//! Weights are ours, so that only the placement is compared; lengths of bulk operators are
//! not paid for, which is in their favour. May assume a valid module with a global of its
//! own, as every compiler writes it. The counter begins at half of what it holds, so no host
//! has to set it. Not part of the product, and not sound as a meter: nothing sees to it that
//! the guest leaves the counter alone.

use bls_compiler::cost::Shapes;
use std::convert::Infallible;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, Function, GlobalSection, GlobalType, Instruction, Module,
    ValType,
};
use wasmparser::{FunctionBody, GlobalSectionReader, Operator, Parser, Payload, TypeRef};

type Result<T> = std::result::Result<T, reencode::Error<Infallible>>;

/// Where charges and checks stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// A charge and a check for each basic block.
    GlobalPerBlock,
    /// A charge for each basic block, a check for each function and loop.
    GlobalAtLoops,
}

impl Scheme {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::GlobalPerBlock, Self::GlobalAtLoops];

    /// As a heading.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::GlobalPerBlock => "global per block",
            Self::GlobalAtLoops => "global at loops",
        }
    }

    /// Meters a module; `None` when it is not what is assumed.
    pub(super) fn meter(self, wasm: &[u8]) -> Option<Vec<u8>> {
        let mut meter =
            Meter { scheme: self, counter: 0, has_globals: false, shapes: Shapes::default() };
        meter.survey(wasm).ok()?;
        let mut module = Module::new();
        meter.parse_core_module(&mut module, Parser::new(0), wasm).ok()?;
        meter.has_globals.then(|| module.finish())
    }
}

struct Meter {
    scheme: Scheme,
    /// The global behind the module's own.
    counter: u32,
    has_globals: bool,
    shapes: Shapes,
}

impl Meter {
    fn survey(&mut self, wasm: &[u8]) -> std::result::Result<(), wasmparser::BinaryReaderError> {
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        for ty in group?.into_types() {
                            self.shapes.add(&ty.composite_type.inner);
                        }
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        self.counter += u32::from(matches!(import?.ty, TypeRef::Global(_)));
                    }
                }
                Payload::GlobalSection(section) => {
                    self.has_globals = true;
                    self.counter += section.count();
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn charge(&self, function: &mut Function, units: u64) {
        if units == 0 {
            return;
        }
        if self.scheme == Scheme::GlobalPerBlock {
            function
                .instruction(&Instruction::GlobalGet(self.counter))
                .instruction(&Instruction::I64Const(units as i64))
                .instruction(&Instruction::I64LtU);
            trap(function);
        }
        function
            .instruction(&Instruction::GlobalGet(self.counter))
            .instruction(&Instruction::I64Const(units as i64))
            .instruction(&Instruction::I64Sub)
            .instruction(&Instruction::GlobalSet(self.counter));
    }

    /// Where control comes back to.
    fn check(&self, function: &mut Function) {
        if self.scheme == Scheme::GlobalAtLoops {
            function
                .instruction(&Instruction::GlobalGet(self.counter))
                .instruction(&Instruction::I64Const(0))
                .instruction(&Instruction::I64LtS);
            trap(function);
        }
    }
}

/// Ends the run when the condition on the stack holds.
fn trap(function: &mut Function) {
    function
        .instruction(&Instruction::If(BlockType::Empty))
        .instruction(&Instruction::Unreachable)
        .instruction(&Instruction::End);
}

impl Reencode for Meter {
    type Error = Infallible;

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<()> {
        reencode::utils::parse_global_section(self, globals, section)?;
        globals.global(
            GlobalType { val_type: ValType::I64, mutable: true, shared: false },
            &ConstExpr::i64_const(i64::MAX / 2),
        );
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<()> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        self.check(&mut function);
        let mut pending = 0;
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            pending += self.shapes.weight(&operator).unwrap_or(1);
            if ends_a_block(&operator) {
                self.charge(&mut function, std::mem::take(&mut pending));
            }
            let is_loop = matches!(operator, Operator::Loop { .. });
            function.instruction(&self.instruction(operator)?);
            if is_loop {
                self.check(&mut function);
            }
        }
        code.function(&function);
        Ok(())
    }
}

/// Whether control may go elsewhere here, or come from elsewhere right behind it.
fn ends_a_block(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Loop { .. }
            | Operator::End
            | Operator::If { .. }
            | Operator::Else
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::Return
            | Operator::Unreachable
    )
}
