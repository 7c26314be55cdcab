//! Metered modules that run by themselves, in several layouts of their code.
//!
//! A metered module waits for its host to fill the counter, and its names are reserved: it
//! is compiled by nobody but the pipeline. Here the counter begins full and has another name,
//! so that `--no-fuel` takes it. And a function of some length is put in front of all others,
//! which moves their code: where code lies alone makes a program faster or slower by tens of
//! percents, so what is measured in one layout says little. For the benchmark only.

use bls_artifact::fuel::{COUNTER_EXPORT, RESERVED_PREFIX};
use std::convert::Infallible;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection,
    Instruction, Module, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, ExportSectionReader, FunctionSectionReader, GlobalSectionReader, Parser,
    Payload, TypeRef, TypeSectionReader,
};

type Result<T> = std::result::Result<T, reencode::Error<Infallible>>;

/// How many layouts there are.
pub(super) const LAYOUTS: u32 = 3;

/// The module in a layout; `None` when it is none that can be dressed.
pub(super) fn dress(wasm: &[u8], layout: u32) -> Option<Vec<u8>> {
    let mut dresser = Dresser { layout, ..Dresser::default() };
    dresser.survey(wasm).ok()?;
    let mut module = Module::new();
    dresser.parse_core_module(&mut module, Parser::new(0), wasm).ok()?;
    Some(module.finish())
}

#[derive(Default)]
struct Dresser {
    layout: u32,
    imported_functions: u32,
    types: u32,
    /// Index of the counter among the defined globals, where there is one.
    counter: Option<u32>,
}

impl Dresser {
    fn survey(&mut self, wasm: &[u8]) -> std::result::Result<(), wasmparser::BinaryReaderError> {
        let (mut globals, mut is_metered) = (0, false);
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        self.types += group?.into_types().count() as u32;
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let is_function = matches!(import?.ty, TypeRef::Func(_));
                        self.imported_functions += u32::from(is_function);
                    }
                }
                Payload::GlobalSection(section) => globals = section.count(),
                Payload::ExportSection(section) => {
                    for export in section {
                        is_metered |= export?.name == COUNTER_EXPORT;
                    }
                }
                _ => {}
            }
        }
        // The counter is the last one (FUEL.md, "The counter").
        self.counter = is_metered.then(|| globals - 1);
        Ok(())
    }
}

impl Reencode for Dresser {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32> {
        Ok(function + u32::from(function >= self.imported_functions))
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<()> {
        reencode::utils::parse_type_section(self, types, section)?;
        types.ty().function([ValType::I64], [ValType::I64]);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<()> {
        functions.function(self.types);
        reencode::utils::parse_function_section(self, functions, section)
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<()> {
        // A multiplication and an addition a step: nothing to fold.
        let mut first = Function::new([]);
        first.instruction(&Instruction::LocalGet(0));
        for step in 0..i64::from(self.layout) * 2 {
            first
                .instruction(&Instruction::LocalGet(0))
                .instruction(&Instruction::I64Mul)
                .instruction(&Instruction::I64Const(0x1234_5678 + step))
                .instruction(&Instruction::I64Xor);
        }
        first.instruction(&Instruction::End);
        code.function(&first);
        reencode::utils::parse_code_section(self, code, section)
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<()> {
        for (index, global) in (0..).zip(section) {
            let global = global?;
            let ty = self.global_type(global.ty)?;
            if self.counter == Some(index) {
                globals.global(ty, &ConstExpr::i64_const(i64::MAX / 2));
            } else {
                globals.global(ty, &self.const_expr(global.init_expr)?);
            }
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Result<()> {
        for export in section {
            let export = export?;
            let kind: ExportKind = self.export_kind(export.kind)?;
            let index = self.external_index(export.kind, export.index)?;
            let name = match export.name.strip_prefix(RESERVED_PREFIX) {
                Some(rest) => format!("not_reserved_{rest}"),
                None => export.name.to_owned(),
            };
            exports.export(&name, kind, index);
        }
        Ok(())
    }
}
