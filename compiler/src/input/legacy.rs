//! Modules with legacy exceptions (`try`, `catch`, `delegate`, `rethrow`) become modules with
//! WebAssembly 3's (`try_table`, `throw_ref`), which mean the same.
//!
//! The first form of the exception proposal was never standard, but browsers have it, and tools
//! made it for years: Emscripten, clang before 20, Kotlin, Haskell, Dart. Before and after:
//!
//! ```text
//! (try (result i32)                (block $out (result i32)
//!   (do body)                        (block $c (result i32 exnref)
//!   (catch $tag handler                (try_table (result i32) (catch_ref $tag $c) body)
//!     (rethrow 0)))                    (br $out))
//!                                    (local.set $e) handler
//!                                    (throw_ref (local.get $e)))
//!
//! (try (do body) (delegate 1))     (block $out
//!                                    (block $d (result exnref)
//!                                      (try_table (catch_all_ref $d) body)
//!                                      (br $out))
//!                                    (throw_ref))       ;; or (br $t): below
//! ```
//!
//! What is delegated past a `try` goes to a block that stands first in the body of the one that it
//! is for, behind which it is thrown again (`$t`). A handler keeps what it caught only where it
//! is thrown again.
//!
//! May assume nothing about the bytes: what is not valid with legacy exceptions stays as it is,
//! for a later stage to refuse. Guarantees time and length in proportion to those of validating it, and that functions keep
//! their numbers; DWARF and hints, which name places in code, are left out. The same bytes give the same
//! bytes.

use bls_artifact::engine::wasm_feature;
use bls_artifact::target::Feature;
use plan::{EXNREF, Frame, Frames, Plan, Plans, Shape, Signature, caught};
use std::collections::HashMap;
use std::convert::Infallible;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{BlockType, Catch, CodeSection, Function, Instruction, Module, TypeSection};
use wasmparser::{
    BinaryReaderError, FunctionBody, Operator, Parser, Payload, TypeRef, Validator, WasmFeatures,
};

mod plan;

/// The module in the standard form; `None` where it is in that already, or is not valid.
pub(super) fn translated(wasm: &[u8]) -> Option<Vec<u8>> {
    if !has_legacy(wasm).ok()? {
        return None;
    }
    let all = Feature::ALL.into_iter();
    let features = all.fold(WasmFeatures::GC_TYPES, |all, feature| all | wasm_feature(feature));
    let features = features | WasmFeatures::LEGACY_EXCEPTIONS | WasmFeatures::EXCEPTIONS;
    Validator::new_with_features(features).validate_all(wasm).ok()?;
    let shape = Shape::of(wasm).ok()?;
    let mut plans = Plans { shape: &shape, types: HashMap::new(), made: Vec::new() };
    let mut functions = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(body) = payload.ok()? {
            functions.push(plans.plan(functions.len(), &body).ok()?);
        }
    }
    let Plans { types, made, .. } = plans;
    let mut writer = Writer { shape: &shape, types, made, functions, next: 0 };
    let mut module = Module::new();
    writer.parse_core_module(&mut module, Parser::new(0), wasm).ok()?;
    Some(module.finish())
}

/// Whether a function uses legacy exceptions. Without a tag nothing that a module knows is thrown,
/// and no tool makes such a module.
fn has_legacy(wasm: &[u8]) -> Result<bool, BinaryReaderError> {
    let mut has_tags = false;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::TagSection(_) => has_tags = true,
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    has_tags |= matches!(import?.ty, TypeRef::Tag(_));
                }
            }
            Payload::CodeSectionStart { .. } if !has_tags => return Ok(false),
            Payload::CodeSectionEntry(body) => {
                for operator in body.get_operators_reader()? {
                    if let Operator::Try { .. } = operator? {
                        return Ok(true);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(false)
}

/// Writes the module anew.
struct Writer<'s> {
    shape: &'s Shape,
    types: HashMap<Signature, u32>,
    made: Vec<Signature>,
    functions: Vec<Plan>,
    /// The function that is written next.
    next: usize,
}

type Written<T> = Result<T, reencode::Error<Infallible>>;

/// A place in code that is written.
#[derive(Clone, Copy, Default)]
struct Labels {
    /// Where a branch to a legacy label goes, as how many labels were open within it.
    label: u32,
    /// Where what is delegated to it goes.
    delegated: u32,
}

/// A function while it is written.
struct Code<'w, 's> {
    writer: &'w mut Writer<'s>,
    plan: Plan,
    body: Function,
    frames: Frames,
    /// One for each frame.
    labels: Vec<Labels>,
    /// How many labels are open, but for the function's own.
    depth: u32,
    /// The `try` that begins next.
    number: usize,
    /// The first local for what was caught.
    first: u32,
}

impl Writer<'_> {
    fn block(&mut self, (parameters, results): Signature) -> Written<BlockType> {
        Ok(match (&*parameters, &*results) {
            ([], []) => BlockType::Empty,
            ([], [one]) => BlockType::Result(self.val_type(*one)?),
            _ => {
                let made = self.types.get(&(parameters, results)).copied().unwrap_or(u32::MAX);
                BlockType::FunctionType((self.shape.types.len() as u32).saturating_add(made))
            }
        })
    }
}

impl Code<'_, '_> {
    fn open(&mut self, instruction: &Instruction<'_>) {
        self.body.instruction(instruction);
        self.depth += 1;
    }

    fn close(&mut self) {
        self.body.instruction(&Instruction::End);
        self.depth -= 1;
    }

    /// How a branch from here names a label.
    fn relative(&self, label: u32) -> u32 {
        self.depth - label
    }

    fn branch(&mut self, label: u32) {
        let relative = self.relative(label);
        self.body.instruction(&Instruction::Br(relative));
    }

    /// How a branch from here names what a legacy label names.
    fn mapped(&self, depth: u32) -> u32 {
        let found = self.frames.label(depth).and_then(|(at, _)| self.labels.get(at));
        found.map_or(u32::MAX, |labels| self.relative(labels.label))
    }

    fn push(&mut self) {
        self.labels.push(Labels { label: self.depth, delegated: 0 });
    }

    fn begin_try(&mut self, ty: wasmparser::BlockType) -> Written<()> {
        let (parameters, _) = self.writer.shape.block(ty);
        let block = self.writer.block_type(ty)?;
        self.open(&Instruction::Block(block));
        self.push();
        let one = self.plan.tries[self.number].clone();
        self.frames.push_try(self.number, one.is_delegate || !one.handlers.is_empty());
        self.number += 1;
        let mut catches = Vec::new();
        if one.is_delegate {
            let ty = self.writer.block((parameters.clone(), vec![EXNREF]))?;
            self.open(&Instruction::Block(ty));
            catches.push(Catch::AllRef { label: 0 });
        }
        for (label, handler) in one.handlers.iter().enumerate() {
            let label = label as u32;
            catches.push(match (handler.tag, handler.is_rethrown) {
                (Some(tag), false) => Catch::One { tag, label },
                (Some(tag), true) => Catch::OneRef { tag, label },
                (None, false) => Catch::All { label },
                (None, true) => Catch::AllRef { label },
            });
        }
        for handler in one.handlers.iter().rev() {
            let found = caught(self.writer.shape, handler);
            let ty = self.writer.block((parameters.clone(), found))?;
            self.open(&Instruction::Block(ty));
        }
        if !catches.is_empty() {
            self.open(&Instruction::TryTable(block, catches.into()));
        }
        if one.is_target {
            let ty = self.writer.block((parameters, vec![EXNREF]))?;
            self.open(&Instruction::Block(ty));
            let depth = self.depth;
            self.labels.last_mut().into_iter().for_each(|labels| labels.delegated = depth);
        }
        Ok(())
    }

    /// The body of the innermost `try` ends: its results go to the end.
    fn end_body(&mut self, is_target: bool) {
        if is_target {
            self.body.instruction(&Instruction::Br(1));
            self.close();
            self.body.instruction(&Instruction::ThrowRef);
        }
        self.close();
        let label = self.labels.last().map_or(0, |labels| labels.label);
        self.branch(label);
        self.close();
    }

    fn begin_handler(&mut self) {
        let Frame { of: Some(of), handler, .. } = self.frames.top() else { return };
        match handler {
            None => self.end_body(self.plan.tries[of].is_target),
            Some(_) => {
                let label = self.labels.last().map_or(0, |labels| labels.label);
                self.branch(label);
                self.close();
            }
        }
        let which = self.frames.handler();
        if self.plan.tries[of].handlers[which].is_rethrown {
            let local = self.first + self.frames.top().handlers - 1;
            self.body.instruction(&Instruction::LocalSet(local));
        }
    }

    fn rethrow(&mut self, depth: u32) {
        let handlers = self.frames.label(depth).map_or(1, |(_, frame)| frame.handlers);
        let local = self.first + handlers.saturating_sub(1);
        self.body.instruction(&Instruction::LocalGet(local)).instruction(&Instruction::ThrowRef);
    }

    fn delegate(&mut self, depth: u32) {
        let Frame { of: Some(of), .. } = self.frames.top() else { return };
        self.end_body(self.plan.tries[of].is_target);
        self.frames.0.pop();
        let target = self.frames.label(depth).and_then(|(_, frame)| frame.within);
        if target == self.frames.top().catches {
            self.body.instruction(&Instruction::ThrowRef);
        } else {
            let label = self.labels.get(target.unwrap_or(0)).map_or(0, |labels| labels.delegated);
            self.branch(label);
        }
        self.labels.pop();
        self.close();
    }

    fn end(&mut self) {
        if self.frames.0.len() == 1 && self.plan.is_target {
            self.body.instruction(&Instruction::Br(1));
            self.close();
            self.body.instruction(&Instruction::ThrowRef);
            self.close();
        }
        self.frames.0.pop();
        self.labels.pop();
        self.body.instruction(&Instruction::End);
        self.depth = self.depth.saturating_sub(1);
    }

    fn write(&mut self, operator: Operator<'_>) -> Written<()> {
        match operator {
            Operator::Try { blockty } => return self.begin_try(blockty),
            Operator::Catch { .. } | Operator::CatchAll => self.begin_handler(),
            Operator::Rethrow { relative_depth } => self.rethrow(relative_depth),
            Operator::Delegate { relative_depth } => self.delegate(relative_depth),
            Operator::End => self.end(),
            other => {
                let opens = matches!(
                    other,
                    Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. }
                );
                let is_table = matches!(other, Operator::TryTable { .. });
                let mut instruction = self.writer.instruction(other)?;
                self.relabel(&mut instruction);
                if !opens && !is_table {
                    self.body.instruction(&instruction);
                    return Ok(());
                }
                self.open(&instruction);
                self.push();
                if is_table { self.frames.push_table() } else { self.frames.push() }
            }
        }
        Ok(())
    }

    /// The labels of an instruction, as they are here.
    fn relabel(&self, instruction: &mut Instruction<'_>) {
        match instruction {
            Instruction::Br(label)
            | Instruction::BrIf(label)
            | Instruction::BrOnNull(label)
            | Instruction::BrOnNonNull(label) => *label = self.mapped(*label),
            Instruction::BrOnCast { relative_depth, .. }
            | Instruction::BrOnCastFail { relative_depth, .. } => {
                *relative_depth = self.mapped(*relative_depth);
            }
            Instruction::BrTable(labels, last) => {
                labels.to_mut().iter_mut().for_each(|label| *label = self.mapped(*label));
                *last = self.mapped(*last);
            }
            Instruction::TryTable(_, catches) => {
                for catch in catches.to_mut() {
                    match catch {
                        Catch::One { label, .. }
                        | Catch::OneRef { label, .. }
                        | Catch::All { label }
                        | Catch::AllRef { label } => *label = self.mapped(*label),
                    }
                }
            }
            _ => {}
        }
    }
}

impl Reencode for Writer<'_> {
    type Error = Infallible;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Written<()> {
        reencode::utils::parse_type_section(self, types, section)?;
        for (parameters, results) in self.made.clone() {
            let parameters = self.val_types(parameters)?;
            let results = self.val_types(results)?;
            types.ty().function(parameters, results);
        }
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        function: FunctionBody<'_>,
    ) -> Written<()> {
        let at = self.next;
        self.next += 1;
        let plan = self.functions.get_mut(at).map(std::mem::take).unwrap_or_default();
        let (parameters, results) = self.shape.function(at);
        let mut first = parameters.len() as u32;
        let mut locals = Vec::new();
        for group in function.get_locals_reader()? {
            let (count, ty) = group?;
            first = first.saturating_add(count);
            locals.push((count, self.val_type(ty)?));
        }
        if plan.kept > 0 {
            locals.push((plan.kept, self.val_type(EXNREF)?));
        }
        let body = Function::new(locals);
        let (frames, labels) = (Frames::new(), vec![Labels::default()]);
        let is_target = plan.is_target;
        let mut written =
            Code { writer: self, plan, body, frames, labels, depth: 0, number: 0, first };
        if is_target {
            let ty = written.writer.block((vec![], results))?;
            written.open(&Instruction::Block(ty));
            let ty = written.writer.block((vec![], vec![EXNREF]))?;
            written.open(&Instruction::Block(ty));
            written.labels[0].delegated = written.depth;
        }
        for operator in function.get_operators_reader()? {
            written.write(operator?)?;
        }
        code.function(&written.body);
        Ok(())
    }

    fn parse_custom_section(
        &mut self,
        module: &mut Module,
        section: wasmparser::CustomSectionReader<'_>,
    ) -> Written<()> {
        // What names places in code would name others.
        if section.name().starts_with(".debug_") || section.name().starts_with("metadata.code.") {
            return Ok(());
        }
        reencode::utils::parse_custom_section(self, module, section)
    }
}
