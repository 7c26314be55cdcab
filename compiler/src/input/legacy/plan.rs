//! What is known of a module with legacy exceptions before it is written: the signatures in it, and
//! of each function which handlers throw again what they caught, and what is delegated past whom.
//!
//! May assume a valid module.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use wasmparser::{
    BinaryReaderError, CompositeInnerType, FunctionBody, Operator, Parser, Payload, RefType,
    TypeRef, ValType,
};

/// Parameters and results.
pub(super) type Signature = (Vec<ValType>, Vec<ValType>);

/// What is declared before code.
#[derive(Default)]
pub(super) struct Shape {
    /// Of each type, where it is one of functions.
    pub(super) types: Vec<Option<Signature>>,
    /// The types of tags, and of the functions that are defined.
    pub(super) tags: Vec<u32>,
    pub(super) functions: Vec<u32>,
}

impl Shape {
    pub(super) fn of(wasm: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut shape = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(groups) => {
                    for group in groups {
                        for ty in group?.types() {
                            shape.types.push(match &ty.composite_type.inner {
                                CompositeInnerType::Func(function) => {
                                    Some((function.params().to_vec(), function.results().to_vec()))
                                }
                                _ => None,
                            });
                        }
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        if let TypeRef::Tag(tag) = import?.ty {
                            shape.tags.push(tag.func_type_idx);
                        }
                    }
                }
                Payload::TagSection(tags) => {
                    for tag in tags {
                        shape.tags.push(tag?.func_type_idx);
                    }
                }
                Payload::FunctionSection(functions) => {
                    for function in functions {
                        shape.functions.push(function?);
                    }
                }
                Payload::CodeSectionStart { .. } => break,
                _ => {}
            }
        }
        Ok(shape)
    }

    pub(super) fn signature(&self, ty: u32) -> Signature {
        self.types.get(ty as usize).cloned().flatten().unwrap_or_default()
    }

    pub(super) fn block(&self, ty: wasmparser::BlockType) -> Signature {
        match ty {
            wasmparser::BlockType::Empty => Signature::default(),
            wasmparser::BlockType::Type(ty) => (vec![], vec![ty]),
            wasmparser::BlockType::FuncType(ty) => self.signature(ty),
        }
    }

    pub(super) fn function(&self, at: usize) -> Signature {
        self.functions.get(at).map(|ty| self.signature(*ty)).unwrap_or_default()
    }
}

/// A handler.
#[derive(Clone, Debug)]
pub(super) struct Handler {
    /// `None`: of all.
    pub(super) tag: Option<u32>,
    /// Whether what it caught is thrown again.
    pub(super) is_rethrown: bool,
}

/// A `try`.
#[derive(Clone, Debug, Default)]
pub(super) struct Try {
    pub(super) handlers: Vec<Handler>,
    pub(super) is_delegate: bool,
    /// Whether something is delegated to it that another one would catch.
    pub(super) is_target: bool,
}

/// What is known of a function before it is written.
#[derive(Default)]
pub(super) struct Plan {
    /// In the order in which they begin.
    pub(super) tries: Vec<Try>,
    /// Whether something is delegated to the caller that a `try` would catch.
    pub(super) is_target: bool,
    /// How many locals for what was caught.
    pub(super) kept: u32,
}

/// What can be open while a function is read, by legacy labels.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// The `try` it is, by its number.
    pub(super) of: Option<usize>,
    /// Whether its handlers have begun: which.
    pub(super) handler: Option<usize>,
    /// The innermost `try` with handlers whose body this is in, itself among them, by its frame.
    pub(super) within: Option<usize>,
    /// The innermost frame that catches what is thrown here, `try_table` among them.
    pub(super) catches: Option<usize>,
    /// How many handlers this is in.
    pub(super) handlers: u32,
}

/// The frames of a function, kept alike while it is planned and while it is written.
pub(super) struct Frames(pub(super) Vec<Frame>);

impl Frames {
    pub(super) fn new() -> Self {
        let function = Frame { of: None, handler: None, within: None, catches: None, handlers: 0 };
        Self(vec![function])
    }

    pub(super) fn top(&self) -> Frame {
        self.0.last().copied().unwrap_or(Frame {
            of: None,
            handler: None,
            within: None,
            catches: None,
            handlers: 0,
        })
    }

    pub(super) fn push(&mut self) {
        let top = self.top();
        self.0.push(Frame { of: None, handler: None, ..top });
    }

    pub(super) fn push_table(&mut self) {
        let at = self.0.len();
        let top = self.top();
        self.0.push(Frame { of: None, handler: None, catches: Some(at), ..top });
    }

    /// `catches`: whether it has handlers or delegates.
    pub(super) fn push_try(&mut self, number: usize, catches: bool) {
        let at = self.0.len();
        let top = self.top();
        let (within, caught) =
            if catches { (Some(at), Some(at)) } else { (top.within, top.catches) };
        self.0.push(Frame {
            of: Some(number),
            handler: None,
            within,
            catches: caught,
            handlers: top.handlers,
        });
    }

    /// A handler of the innermost frame begins: its number among those of its `try`.
    pub(super) fn handler(&mut self) -> usize {
        let outer = self.0.len().checked_sub(2).and_then(|at| self.0.get(at)).copied();
        let Some(top) = self.0.last_mut() else { return 0 };
        let next = top.handler.map_or(0, |at| at + 1);
        top.handler = Some(next);
        if let Some(outer) = outer {
            (top.within, top.catches) = (outer.within, outer.catches);
            top.handlers = outer.handlers + 1;
        }
        next
    }

    /// What a label names, from inside, and where it stands.
    pub(super) fn label(&self, depth: u32) -> Option<(usize, Frame)> {
        let at = self.0.len().checked_sub(depth as usize + 1)?;
        Some((at, *self.0.get(at)?))
    }
}

/// Makes plans.
pub(super) struct Plans<'s> {
    pub(super) shape: &'s Shape,
    /// Types of blocks that are not there: the number behind those that are.
    pub(super) types: HashMap<Signature, u32>,
    pub(super) made: Vec<Signature>,
}

impl Plans<'_> {
    pub(super) fn need(&mut self, signature: Signature) {
        if signature.0.is_empty() && signature.1.len() < 2 {
            return;
        }
        let next = self.made.len() as u32;
        if let Entry::Vacant(place) = self.types.entry(signature) {
            self.made.push(place.key().clone());
            place.insert(next);
        }
    }

    pub(super) fn plan(
        &mut self,
        at: usize,
        body: &FunctionBody<'_>,
    ) -> Result<Plan, BinaryReaderError> {
        // First which handlers there are, for a `try` that catches nothing is only a block.
        let mut plan = Plan::default();
        let mut types = Vec::new();
        let mut open: Vec<Option<usize>> = Vec::new();
        for operator in body.get_operators_reader()? {
            let innermost = open.last().copied().flatten();
            let innermost = innermost.and_then(|number| plan.tries.get_mut(number));
            match operator? {
                Operator::Try { blockty } => {
                    open.push(Some(plan.tries.len()));
                    plan.tries.push(Try::default());
                    types.push(blockty);
                }
                Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::TryTable { .. } => open.push(None),
                Operator::Catch { tag_index } => {
                    let handler = Handler { tag: Some(tag_index), is_rethrown: false };
                    innermost.into_iter().for_each(|one| one.handlers.push(handler.clone()));
                }
                Operator::CatchAll => {
                    let handler = Handler { tag: None, is_rethrown: false };
                    innermost.into_iter().for_each(|one| one.handlers.push(handler.clone()));
                }
                Operator::Delegate { .. } => {
                    innermost.into_iter().for_each(|one| one.is_delegate = true);
                    open.pop();
                }
                Operator::End => {
                    open.pop();
                }
                _ => {}
            }
        }
        // Then what is thrown again, and what is delegated.
        let (mut frames, mut number) = (Frames::new(), 0);
        for operator in body.get_operators_reader()? {
            match operator? {
                Operator::Try { .. } => {
                    let one = &plan.tries[number];
                    frames.push_try(number, one.is_delegate || !one.handlers.is_empty());
                    number += 1;
                }
                Operator::TryTable { .. } => frames.push_table(),
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                    frames.push();
                }
                Operator::Catch { .. } | Operator::CatchAll => {
                    frames.handler();
                }
                Operator::Rethrow { relative_depth } => {
                    if let Some((_, Frame { of: Some(of), handler: Some(which), handlers, .. })) =
                        frames.label(relative_depth)
                    {
                        plan.tries[of].handlers[which].is_rethrown = true;
                        plan.kept = plan.kept.max(handlers);
                    }
                }
                Operator::Delegate { relative_depth } => {
                    frames.0.pop();
                    let target = frames.label(relative_depth).and_then(|(_, frame)| frame.within);
                    if target != frames.top().catches {
                        match target.and_then(|target| frames.0[target].of) {
                            Some(of) => plan.tries[of].is_target = true,
                            None => plan.is_target = true,
                        }
                    }
                }
                Operator::End => {
                    frames.0.pop();
                }
                _ => {}
            }
        }
        for (one, ty) in plan.tries.iter().zip(types) {
            let (parameters, _) = self.shape.block(ty);
            if one.is_delegate || one.is_target {
                self.need((parameters.clone(), vec![EXNREF]));
            }
            for handler in &one.handlers {
                self.need((parameters.clone(), caught(self.shape, handler)));
            }
        }
        if plan.is_target {
            self.need((vec![], self.shape.function(at).1));
        }
        Ok(plan)
    }
}

pub(super) const EXNREF: ValType = ValType::Ref(RefType::EXNREF);

/// What a handler finds.
pub(super) fn caught(shape: &Shape, handler: &Handler) -> Vec<ValType> {
    let tag = handler.tag.and_then(|tag| shape.tags.get(tag as usize));
    let mut values = tag.map(|ty| shape.signature(*ty).0).unwrap_or_default();
    values.extend(handler.is_rethrown.then_some(EXNREF));
    values
}
