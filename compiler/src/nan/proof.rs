//! Shows of one function that every NaN whose bits can be seen has those of the rule.
//!
//! Walks what will be compiled once, with the class of each value on the stack, and takes from
//! the plan nothing but the class of each local: each value that is set must be within it, and
//! so it holds whenever the local is read. What is not the text of a check must be the audited
//! function, byte for byte, in its order; a check may stand only where it changes no bits but
//! those of a result. Shares with the plan the operators' table and arities, and with who writes
//! checks nothing. May assume two valid functions of one type.

use super::rule::{Class, NAN_32, NAN_64, NANS_32X4, NANS_64X2, Shape, Sort, sort};
use super::types::Types;
use super::{NanError, Result};
use wasmparser::{BlockType, Catch, FrameKind, FunctionBody, Operator, OperatorsReader, ValType};

/// Shows it, or says where it is not so.
pub(super) fn prove(
    types: &Types,
    defined: usize,
    audited: &FunctionBody<'_>,
    compiled: &FunctionBody<'_>,
    locals: &[Class],
) -> Result<()> {
    let (groups, before) = split(audited)?;
    let (made_groups, _) = split(compiled)?;
    let count = types.locals(defined, audited)?.len();
    let all = types.locals(defined, compiled)?;
    let function = types.number(defined);
    let begin = compiled.range().start;
    let mut types_of_checks = [ValType::F32, ValType::F64, ValType::V128].into_iter();
    let is_behind = made_groups.starts_with(groups)
        && all.len() >= count
        && all[count..].iter().all(|ty| types_of_checks.any(|one| one == *ty));
    if !is_behind {
        let what = "its locals are not those of the audited one";
        return Err(NanError::Unproven { function, offset: begin, what });
    }
    let mut walk = Walk {
        types,
        locals,
        open: vec![(types.whole(defined), FrameKind::Block)],
        frames: vec![Frame { height: 0, last: Some(Class::Plain), is_if: false, is_whole: true }],
        dead: None,
        stack: Vec::new(),
    };
    let has_parameters =
        (0..types.parameters(defined)).all(|local| Class::Kept.is_within(walk.local(local as u32)));
    let mut left = before;
    let mut reader = compiled.get_operators_reader()?;
    let unproven = |offset, what| NanError::Unproven { function, offset, what };
    if !has_parameters {
        return Err(unproven(begin, "a parameter may be any NaN"));
    }
    while !reader.eof() {
        let offset = reader.original_position();
        let operator = reader.read()?;
        let step = match operator {
            Operator::LocalSet { local_index } if local_index as usize >= count => {
                let ty = all.get(local_index as usize).copied();
                check(&mut reader, local_index, ty)?
                    .map_or(Err(NOT_A_CHECK), |shape| walk.checked(shape))
            }
            _ => {
                let range = offset - begin..reader.original_position() - begin;
                let bytes = &compiled.as_bytes()[range];
                match left.strip_prefix(bytes) {
                    Some(rest) => {
                        left = rest;
                        walk.step(&operator)?
                    }
                    None => Err("without its checks it is not the audited one"),
                }
            }
        };
        step.map_err(|what| unproven(offset, what))?;
    }
    match left {
        [] => Ok(()),
        _ => Err(unproven(compiled.range().end, "there is less than in the audited one")),
    }
}

/// Why something is not shown.
type Shown<T = ()> = std::result::Result<T, &'static str>;

const NOT_A_CHECK: &str = "this is not the text of a check";
const SEEN: &str = "the bits of a result that was not checked are seen";
const MEETS: &str = "a result that was not checked meets another value";

/// The groups of a function's locals, and its operators.
fn split<'a>(body: &FunctionBody<'a>) -> Result<(&'a [u8], &'a [u8])> {
    let begin = body.range().start;
    let mut locals = body.get_locals_reader()?;
    let groups = locals.original_position() - begin;
    for _ in 0..locals.get_count() {
        locals.read()?;
    }
    let operators = locals.original_position() - begin;
    let bytes = body.as_bytes();
    Ok((&bytes[groups..operators], &bytes[operators..]))
}

/// Reads the rest of a check by this local, behind its first operator.
fn check(
    reader: &mut OperatorsReader<'_>,
    local: u32,
    ty: Option<ValType>,
) -> Result<Option<Shape>> {
    let mut next = || reader.read();
    let is_get = |operator: Operator<'_>| matches!(operator, Operator::LocalGet { local_index } if local_index == local);
    let mut fits = matches!(next()?, Operator::Block { blockty: BlockType::Empty });
    fits &= is_get(next()?) && is_get(next()?);
    let shape = match next()? {
        Operator::F32Ge => Shape::F32,
        Operator::F64Ge => Shape::F64,
        Operator::F32x4Ne => Shape::F32x4,
        Operator::F64x2Ne => Shape::F64x2,
        _ => return Ok(None),
    };
    let is_vector = matches!(shape, Shape::F32x4 | Shape::F64x2);
    if is_vector {
        fits &= matches!(next()?, Operator::V128AnyTrue) && matches!(next()?, Operator::I32Eqz);
    }
    fits &= matches!(next()?, Operator::BrIf { relative_depth: 0 });
    if is_vector {
        fits &= is_get(next()?);
    }
    fits &= match (next()?, shape) {
        (Operator::F32Const { value }, Shape::F32) => value.bits() == NAN_32,
        (Operator::F64Const { value }, Shape::F64) => value.bits() == NAN_64,
        (Operator::V128Const { value }, Shape::F32x4) => value.i128().cast_unsigned() == NANS_32X4,
        (Operator::V128Const { value }, Shape::F64x2) => value.i128().cast_unsigned() == NANS_64X2,
        _ => false,
    };
    if is_vector {
        fits &= is_get(next()?) && is_get(next()?);
        fits &= match next()? {
            Operator::F32x4Eq => shape == Shape::F32x4,
            Operator::F64x2Eq => shape == Shape::F64x2,
            _ => false,
        };
        fits &= matches!(next()?, Operator::V128Bitselect);
    }
    fits &= matches!(next()?, Operator::LocalSet { local_index } if local_index == local);
    fits &= matches!(next()?, Operator::End) && is_get(next()?);
    Ok((fits && ty == Some(shape.ty())).then_some(shape))
}

/// Where a clause leads.
fn label(clause: &Catch) -> u32 {
    match clause {
        Catch::One { label, .. }
        | Catch::OneRef { label, .. }
        | Catch::All { label }
        | Catch::AllRef { label } => *label,
    }
}

#[derive(Clone, Copy)]
struct Frame {
    height: usize,
    /// The class of the last value at its end; `None` where only those may come that have
    /// their bits: a loop's begin and a function's end.
    last: Option<Class>,
    is_if: bool,
    is_whole: bool,
}

struct Walk<'a> {
    types: &'a Types,
    locals: &'a [Class],
    open: Vec<(BlockType, FrameKind)>,
    frames: Vec<Frame>,
    dead: Option<u32>,
    stack: Vec<Class>,
}

impl Walk<'_> {
    /// What a local may hold. Where nothing is claimed, anything that has its bits.
    fn local(&self, local: u32) -> Class {
        self.locals.get(local as usize).copied().unwrap_or(Class::Kept)
    }

    /// The value on top was checked.
    fn checked(&mut self, shape: Shape) -> Shown {
        if self.dead.is_some() {
            return Ok(());
        }
        let value = self.pop();
        let is_result = value.is_within(Class::Raw(shape));
        self.stack.push(Class::Checked(shape));
        if is_result { Ok(()) } else { Err("a check changes a NaN that is a copy") }
    }

    /// One operator of the audited function.
    fn step(&mut self, operator: &Operator<'_>) -> Result<Shown> {
        use Operator::*;
        if let Some(depth) = self.dead {
            match operator {
                Block { .. } | Loop { .. } | If { .. } | TryTable { .. } => {
                    self.dead = Some(depth + 1);
                }
                End if depth > 0 => self.dead = Some(depth - 1),
                End => return Ok(self.end(false)),
                Else if depth == 0 => return Ok(self.otherwise(false)),
                _ => {}
            }
            return Ok(Ok(()));
        }
        let shown = match operator {
            Block { blockty } => self.begin(*blockty, FrameKind::Block),
            Loop { blockty } => self.begin(*blockty, FrameKind::Loop),
            If { blockty } => {
                self.pop();
                self.begin(*blockty, FrameKind::If)
            }
            TryTable { try_table } => {
                for catch in &try_table.catches {
                    if let Err(what) = self.arrive(label(catch), Class::Kept) {
                        return Ok(Err(what));
                    }
                }
                self.begin(try_table.ty, FrameKind::TryTable)
            }
            Else => self.otherwise(true),
            End => self.end(true),
            Br { relative_depth } => self.branch(*relative_depth).map(|()| self.die()),
            BrIf { relative_depth } => {
                self.pop();
                self.branch(*relative_depth)
            }
            BrTable { targets } => {
                self.pop();
                for target in targets.targets() {
                    if let Err(what) = self.branch(target?) {
                        return Ok(Err(what));
                    }
                }
                self.branch(targets.default()).map(|()| self.die())
            }
            Return => self.branch(self.frames.len() as u32 - 1).map(|()| self.die()),
            LocalGet { local_index } => {
                self.stack.push(self.local(*local_index));
                Ok(())
            }
            LocalSet { local_index } => {
                let value = self.pop();
                self.set(*local_index, value)
            }
            LocalTee { local_index } => {
                let value = self.pop();
                self.stack.push(value);
                self.set(*local_index, value)
            }
            Drop => {
                self.pop();
                Ok(())
            }
            Select | TypedSelect { .. } => {
                self.pop();
                let (two, one) = (self.pop(), self.pop());
                one.joined(two).ok_or(MEETS).map(|class| self.stack.push(class))
            }
            _ => self.work(operator)?,
        };
        Ok(shown)
    }

    fn work(&mut self, operator: &Operator<'_>) -> Result<Shown> {
        let (operands, takes, class, gives) = match sort(operator) {
            Sort::Arithmetic { operands, takes, gives } => {
                (operands as usize, Some(takes), Class::Raw(gives), 1)
            }
            Sort::Blind { operands, takes } => (operands as usize, Some(takes), Class::Kept, 1),
            Sort::Plain { operands } => (operands as usize, None, Class::Plain, 1),
            Sort::Other => {
                let arity = self.types.operator(operator, &self.open);
                let (operands, gives) = arity.ok_or(NanError::Operator)?;
                (operands, None, Class::Kept, gives)
            }
        };
        for _ in 0..operands {
            let value = self.pop();
            let may = match takes {
                Some(shape) => value.may_be_taken_as(shape),
                None => value.has_its_bits(),
            };
            if !may {
                return Ok(Err(SEEN));
            }
        }
        self.stack.resize(self.stack.len() + gives, class);
        Ok(match operator {
            Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth }
            | Operator::BrOnCast { relative_depth, .. }
            | Operator::BrOnCastFail { relative_depth, .. } => {
                self.arrive(*relative_depth, Class::Kept)
            }
            Operator::Unreachable
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. } => {
                self.die();
                Ok(())
            }
            _ => Ok(()),
        })
    }

    fn die(&mut self) {
        self.dead = Some(0);
    }

    fn pop(&mut self) -> Class {
        self.stack.pop().unwrap_or(Class::Kept)
    }

    fn set(&mut self, local: u32, value: Class) -> Shown {
        if value.is_within(self.local(local)) { Ok(()) } else { Err(MEETS) }
    }

    fn begin(&mut self, block: BlockType, kind: FrameKind) -> Shown {
        let (takes, _) = self.types.arity(block);
        for _ in 0..takes {
            if !self.pop().has_its_bits() {
                return Err(SEEN);
            }
        }
        let is_if = kind == FrameKind::If;
        let last = Some(Class::Plain);
        self.frames.push(Frame { height: self.stack.len(), last, is_if, is_whole: false });
        self.open.push((block, kind));
        self.stack.resize(self.stack.len() + takes, Class::Kept);
        Ok(())
    }

    /// The last value of those that go to a label's place is of this class.
    fn arrive(&mut self, depth: u32, class: Class) -> Shown {
        let index = (self.frames.len() - 1).saturating_sub(depth as usize);
        let is_loop = self.open[index].1 == FrameKind::Loop;
        if is_loop || self.frames[index].is_whole {
            return if class.has_its_bits() { Ok(()) } else { Err(SEEN) };
        }
        self.meet(index, class)
    }

    fn meet(&mut self, index: usize, class: Class) -> Shown {
        let frame = &mut self.frames[index];
        let is_seen = frame.is_whole && !class.has_its_bits();
        frame.last = frame.last.and_then(|last| last.joined(class));
        match frame.last {
            _ if is_seen => Err(SEEN),
            Some(_) => Ok(()),
            None => Err(MEETS),
        }
    }

    /// The last so many values have their bits, but for the very last, whose class it is.
    fn last(&self, count: usize) -> Shown<Class> {
        let first = self.stack.len().saturating_sub(count);
        let Some((last, others)) = self.stack[first..].split_last() else {
            return Ok(Class::Plain);
        };
        if others.iter().all(|class| class.has_its_bits()) { Ok(*last) } else { Err(SEEN) }
    }

    fn branch(&mut self, depth: u32) -> Shown {
        let index = (self.frames.len() - 1).saturating_sub(depth as usize);
        let (block, kind) = self.open[index];
        let (takes, gives) = self.types.arity(block);
        let last = self.last(if kind == FrameKind::Loop { takes } else { gives })?;
        self.arrive(depth, last)
    }

    fn otherwise(&mut self, is_reachable: bool) -> Shown {
        let index = self.frames.len() - 1;
        let (takes, gives) = self.types.arity(self.open[index].0);
        if is_reachable {
            let last = self.last(gives)?;
            self.meet(index, last)?;
        }
        self.dead = None;
        let frame = &mut self.frames[index];
        frame.is_if = false;
        self.stack.truncate(frame.height);
        self.stack.resize(frame.height + takes, Class::Kept);
        Ok(())
    }

    fn end(&mut self, is_reachable: bool) -> Shown {
        let index = self.frames.len() - 1;
        let (_, gives) = self.types.arity(self.open[index].0);
        if is_reachable {
            let last = self.last(gives)?;
            self.meet(index, last)?;
        }
        if self.frames[index].is_if && gives > 0 {
            self.meet(index, Class::Kept)?;
        }
        self.dead = None;
        self.open.pop();
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        self.stack.truncate(frame.height);
        self.stack.resize(frame.height + gives, Class::Kept);
        if let (Some(top), Some(last)) = (self.stack.last_mut(), frame.last)
            && gives > 0
        {
            *top = last;
        }
        Ok(())
    }
}
