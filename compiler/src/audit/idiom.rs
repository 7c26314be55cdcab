//! A metered function, read: what the guest does, and what was injected.
//!
//! The meter names the counter and its own locals in a handful of fixed texts,
//! and the guest cannot name them at all. So whatever names them is one of these
//! texts (`$f` is the local counter, `$fuel` the global one), or is refused:
//!
//! ```text
//! load      global.get $fuel  local.set $f
//! store     local.get $f  [i64.const N  i64.sub]  global.set $fuel
//! charge    local.get $f  i64.const N  i64.sub  local.set $f
//! check     local.get $f  i64.const N  i64.lt_s  br_if $out_of_fuel
//! direct    global.get $fuel  i64.const N  i64.sub  global.set $fuel
//! length    see `length`
//! edge      see `edge`
//! copies    see `copies`
//! ```
//!
//! A function with checks begins `[load] block [check] block`, and ends with the
//! *cold path*: `return end i64.const −2⁶³ global.set $fuel unreachable end`.
//!
//! May assume a valid body. Gives [`Step`]s: what is consumed, where control
//! goes, and the texts above. Shows the rules `reserved`, `cold` and `length`
//! (whether a payment can be reached is for [`super::flow`]).

use super::copies::Copies;
use super::length::{Price, TEXT_MAX};
use super::module::Facts;
use super::rule::{Place, Rule};
use super::step::{Header, Opening, Step};
use super::{AuditError, Violation};
use crate::cost::{self, VALUES_FREE, Weigher};
use bls_artifact::fuel::OUT_OF_FUEL;
use wasmparser::{BinaryReaderError, BlockType, Catch, FunctionBody, Operator, ValType};

/// A function as steps.
#[derive(Debug)]
pub(super) struct Function {
    /// Each with its offset in the module.
    pub(super) steps: Vec<(Step, u32)>,
    /// Offset of its body.
    pub(super) start: u32,
    /// How many checks it holds.
    pub(super) checks: u32,
    /// How many charges it holds.
    pub(super) charges: u32,
    /// Whether it ends with the cold path.
    pub(super) has_cold_path: bool,
    /// Whether its body may stand in one block without a cold path. The block would not be
    /// free, where it gives that many results.
    pub(super) may_be_in_a_block: bool,
    /// Whether it has a local counter, and so locals of the meter's.
    pub(super) has_local: bool,
}

/// Room for one function at a time.
#[derive(Default)]
pub(super) struct Buffer<'m> {
    operators: Vec<Operator<'m>>,
    /// Where each operator begins, and where the last one ends.
    offsets: Vec<u32>,
    stripped: Vec<u8>,
    /// Of each of the guest's operators where it begins in the module, and where in `stripped`;
    /// `None` where nobody asks.
    kept: Option<Vec<(u32, u32)>>,
}

impl Buffer<'_> {
    /// One that remembers where the guest's operators are.
    pub(super) fn remembering() -> Self {
        Self { kept: Some(Vec::new()), ..Self::default() }
    }

    /// Where the guest's operators begin: in the module, and in [`Buffer::stripped`].
    pub(super) fn kept(&self) -> &[(u32, u32)] {
        self.kept.as_deref().unwrap_or_default()
    }

    /// The function that was read last, without its locals and without what was
    /// injected; only the blocks around the whole of it are still there.
    pub(super) fn stripped(&self) -> &[u8] {
        &self.stripped
    }
}

impl Function {
    /// Reads a defined function.
    pub(super) fn read<'m>(
        facts: &Facts<'m>,
        defined: usize,
        buffer: &mut Buffer<'m>,
    ) -> Result<Self, AuditError> {
        let body = &facts.bodies[defined];
        decode(body, buffer)?;
        buffer.stripped.clear();
        buffer.kept.iter_mut().for_each(Vec::clear);
        let local = local_counter(facts, defined, body, &buffer.operators)?;
        let locals = guest_locals(body, local)?;
        let mut reader = Reader {
            facts,
            index: facts.imported + defined as u32,
            operators: &buffer.operators,
            offsets: &buffer.offsets,
            bytes: body.as_bytes(),
            base: body.range().start,
            stripped: &mut buffer.stripped,
            kept: &mut buffer.kept,
            local: local.map(|(index, _)| index),
            may_have_lengths: local.is_some_and(|(_, lengths)| lengths),
            cold: cold_path(facts.counter, &buffer.operators),
            depth: 1,
            weigher: Weigher::new(&facts.shapes, facts.type_of(defined)),
            entry: cost::entry(locals),
            constant: None,
            copies: None,
            function: Self {
                steps: Vec::new(),
                start: body.range().start as u32,
                checks: 0,
                charges: 0,
                has_cold_path: false,
                may_be_in_a_block: facts
                    .signature(defined)
                    .is_none_or(|ty| ty.results().len() as u64 <= VALUES_FREE),
                has_local: local.is_some(),
            },
        };
        reader.run()?;
        Ok(reader.function)
    }
}

/// The operators of a body.
fn decode<'m>(body: &FunctionBody<'m>, buffer: &mut Buffer<'m>) -> Result<(), BinaryReaderError> {
    buffer.operators.clear();
    buffer.offsets.clear();
    let mut reader = body.get_operators_reader()?;
    while !reader.eof() {
        buffer.offsets.push(reader.original_position() as u32);
        buffer.operators.push(reader.read()?);
    }
    buffer.offsets.push(reader.original_position() as u32);
    Ok(())
}

/// The local that a body begins by loading the counter into, and whether two
/// for lengths follow it. Anything but the last group of locals, one or three
/// `i64`, is refused later: it is not a local counter.
fn local_counter(
    facts: &Facts<'_>,
    defined: usize,
    body: &FunctionBody<'_>,
    operators: &[Operator<'_>],
) -> Result<Option<(u32, bool)>, BinaryReaderError> {
    let [Operator::GlobalGet { global_index }, Operator::LocalSet { local_index }, ..] = operators
    else {
        return Ok(None);
    };
    let mut next = facts.signature(defined).map_or(0, |ty| ty.params().len() as u32);
    let mut last = None;
    for group in body.get_locals_reader()? {
        let (count, ty) = group?;
        last = Some((next, count, ty));
        next += count;
    }
    let Some((first, count, ValType::I64)) = last else { return Ok(None) };
    let fits = matches!(count, 1 | 3) && first == *local_index && *global_index == facts.counter;
    Ok(fits.then_some((first, count == 3)))
}

/// How many locals are the guest's, parameters not counted.
fn guest_locals(
    body: &FunctionBody<'_>,
    counter: Option<(u32, bool)>,
) -> Result<u64, BinaryReaderError> {
    let mut declared = 0;
    for group in body.get_locals_reader()? {
        declared += u64::from(group?.0);
    }
    let injected = counter.map_or(0, |(_, lengths)| if lengths { 3 } else { 1 });
    Ok(declared.saturating_sub(injected))
}

/// Whether the operator divides or converts, and may trap: a constant divisor says that
/// it cannot.
fn divides(operator: &Operator<'_>, divisor: Option<u64>) -> bool {
    use Operator as O;
    match operator {
        O::I32DivU | O::I32RemU | O::I64DivU | O::I64RemU => divisor.unwrap_or(0) == 0,
        O::I32DivS | O::I32RemS => matches!(divisor, None | Some(0 | 0xffff_ffff)),
        O::I64DivS | O::I64RemS => matches!(divisor, None | Some(0 | u64::MAX)),
        O::I32TruncF32S | O::I32TruncF32U | O::I32TruncF64S | O::I32TruncF64U => true,
        O::I64TruncF32S | O::I64TruncF32U | O::I64TruncF64S | O::I64TruncF64U => true,
        _ => false,
    }
}

/// Where the cold path begins, in operators.
fn cold_path(counter: u32, operators: &[Operator<'_>]) -> Option<usize> {
    let begin = operators.len().checked_sub(6)?;
    let [
        Operator::Return,
        Operator::End,
        Operator::I64Const { value: OUT_OF_FUEL },
        Operator::GlobalSet { global_index },
        Operator::Unreachable,
        Operator::End,
    ] = &operators[begin..]
    else {
        return None;
    };
    (*global_index == counter).then_some(begin)
}

pub(super) struct Reader<'r, 'm> {
    facts: &'r Facts<'m>,
    index: u32,
    pub(super) operators: &'r [Operator<'m>],
    offsets: &'r [u32],
    bytes: &'r [u8],
    base: usize,
    pub(super) stripped: &'r mut Vec<u8>,
    kept: &'r mut Option<Vec<(u32, u32)>>,
    local: Option<u32>,
    may_have_lengths: bool,
    cold: Option<usize>,
    /// How many frames are open.
    pub(super) depth: u32,
    weigher: Weigher<'r>,
    /// What the guest's first operator pays for the function's locals.
    entry: u64,
    /// The constant that the guest's last operator pushed, if it was one.
    pub(super) constant: Option<u64>,
    /// The unrolled loop that is being read.
    pub(super) copies: Option<Copies>,
    function: Function,
}

impl Reader<'_, '_> {
    fn run(&mut self) -> Result<(), AuditError> {
        self.function.has_cold_path = self.cold.is_some();
        self.prologue()?;
        let end = self.cold.unwrap_or(self.operators.len());
        let mut at = 0;
        while at < end {
            at += match self.injected(at) {
                Some((step, length)) => {
                    self.text(at, step)?;
                    length
                }
                None => match self.payment(at)? {
                    Some(length) => length,
                    None => self.unrolled(at)?,
                },
            };
        }
        if let Some(cold) = self.cold {
            let is_outermost = self.depth == 2;
            self.require(is_outermost, Rule::Cold, cold, "the cold path is inside a block")?;
            for (step, behind) in
                [(Step::Return, 0), (Step::End, 1), (Step::OutOfFuel, 2), (Step::End, 5)]
            {
                self.push(step, cold + behind);
            }
        }
        Ok(())
    }

    /// A function with a cold path begins `[load] block [check] block`.
    fn prologue(&self) -> Result<(), Violation> {
        if self.cold.is_none() {
            return Ok(());
        }
        let skip = |at| match self.injected(at) {
            Some((Step::Load | Step::Check(0, _), length)) => at + length,
            _ => at,
        };
        let outer = skip(0);
        let inner = skip(outer + 1);
        let is_wrapped =
            matches!(self.operators[outer], Operator::Block { blockty: BlockType::Empty })
                && matches!(self.operators.get(inner), Some(Operator::Block { .. }));
        self.require(is_wrapped, Rule::Cold, 0, "no two blocks stand around the whole function")
    }

    fn place(&self, at: usize) -> Place {
        Place::function(self.index, self.offsets[at])
    }

    pub(super) fn require(
        &self,
        holds: bool,
        rule: Rule,
        at: usize,
        what: &str,
    ) -> Result<(), Violation> {
        self.facts.judge.require(holds, rule, self.place(at), || what.to_owned())
    }

    pub(super) fn push(&mut self, step: Step, at: usize) {
        self.function.steps.push((step, self.offsets[at]));
    }

    /// The operator consumes so much. What stands right behind an injected text
    /// is kept apart: a check may have charged for it.
    fn push_run(&mut self, units: i64, at: usize) {
        match &mut self.function.steps[..] {
            _ if units == 0 => {}
            [.., (Step::Run(_) | Step::Open(_) | Step::End, _), (Step::Run(before), _)] => {
                *before += units;
            }
            _ => self.push(Step::Run(units), at),
        }
    }

    // ---- what was injected -------------------------------------------------

    /// The injected text that begins here, but for lengths, and its length.
    pub(super) fn injected(&self, at: usize) -> Option<(Step, usize)> {
        use Operator::{BrIf, GlobalGet, GlobalSet, I64Const, I64LtS, I64Sub, LocalGet, LocalSet};
        let counter = self.facts.counter;
        let text = &self.operators[at..];
        match (text, self.local) {
            ([GlobalGet { global_index }, ..], _) if *global_index != counter => None,
            ([GlobalGet { .. }, LocalSet { local_index }, ..], Some(local)) => {
                (*local_index == local).then_some((Step::Load, 2))
            }
            (
                [GlobalGet { .. }, I64Const { value }, I64Sub, GlobalSet { global_index }, ..],
                None,
            ) => (*global_index == counter).then_some((Step::Direct(*value), 4)),
            ([LocalGet { local_index }, ..], Some(local)) if *local_index == local => {
                match &text[1..] {
                    [GlobalSet { global_index }, ..] if *global_index == counter => {
                        Some((Step::Store(0), 2))
                    }
                    [I64Const { value }, I64LtS, BrIf { relative_depth }, ..] => {
                        Some((Step::Check(*relative_depth, *value), 4))
                    }
                    [I64Const { value }, I64Sub, LocalSet { local_index }, ..] => {
                        (*local_index == local).then_some((Step::Charge(*value), 4))
                    }
                    [I64Const { value }, I64Sub, GlobalSet { global_index }, ..] => {
                        (*global_index == counter).then_some((Step::Store(*value), 4))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Takes down an injected text.
    pub(super) fn text(&mut self, at: usize, step: Step) -> Result<(), Violation> {
        match step {
            Step::Check(depth, _) => self.check(at, depth)?,
            Step::Charge(_) | Step::Direct(_) => self.function.charges += 1,
            Step::Store(units) => self.function.charges += u32::from(units != 0),
            _ => {}
        }
        self.push(step, at);
        Ok(())
    }

    /// A check leads to the cold path.
    fn check(&mut self, at: usize, depth: u32) -> Result<(), Violation> {
        self.function.checks += 1;
        let leads_there = self.cold.is_some() && depth.checked_add(2) == Some(self.depth);
        self.require(leads_there, Rule::Cold, at, "a check does not lead to the cold path")
    }

    /// The payment for a length that begins here, taken down together with the
    /// operator it pays for; how many operators that are.
    fn payment(&mut self, at: usize) -> Result<Option<usize>, AuditError> {
        let Some(local) = self.local.filter(|_| self.may_have_lengths) else { return Ok(None) };
        let length = Operator::LocalSet { local_index: local + 1 };
        let text = &self.operators[at..];
        let is_widened = text[0] == Operator::I64ExtendI32U && text.get(1) == Some(&length);
        if text[0] != length && !is_widened {
            return Ok(None);
        }
        let near = text.iter().take(TEXT_MAX + 1);
        let found = near
            .enumerate()
            .find_map(|(at, operator)| Price::of(operator, self.facts).map(|price| (at, price)));
        let Some((work, price)) = found else { return Ok(None) };
        if is_widened && price.is_wide {
            // The widening is the guest's.
            return Ok(None);
        }
        let out_of_fuel = self.depth.saturating_sub(2);
        let is_right = text[..work] == price.text(local, out_of_fuel);
        self.require(is_right, Rule::Length, at, "a length is not paid for as it must be")?;
        self.check(at, out_of_fuel)?;
        self.function.charges += 1;
        self.push(Step::Length(out_of_fuel), at);
        self.keep(at + work);
        self.run_operator(&self.operators[at + work], at + work, 0)?;
        self.constant = None;
        Ok(Some(work + 1))
    }

    // ---- what the guest does -----------------------------------------------

    /// Keeps the bytes of an operator that is the guest's.
    fn keep(&mut self, at: usize) {
        let byte = |at: usize| self.offsets[at] as usize - self.base;
        if let Some(kept) = &mut self.kept {
            kept.push((self.offsets[at], self.stripped.len() as u32));
        }
        self.stripped.extend_from_slice(&self.bytes[byte(at)..byte(at + 1)]);
    }

    /// An operator of the guest's, or what stands around the copies of a loop's body; how
    /// many operators that is.
    fn unrolled(&mut self, at: usize) -> Result<usize, AuditError> {
        if let Some(local) = self.local
            && let Some(length) = self.marked(local, at)?
        {
            return Ok(length);
        }
        let ends_copies = self.operators[at] == Operator::End && self.ends_copies(at)?;
        if ends_copies {
            self.same_body(at)?;
        }
        self.guest(at)?;
        if ends_copies { self.close_copies(at) } else { Ok(1) }
    }

    /// One operator of the guest's.
    pub(super) fn guest(&mut self, at: usize) -> Result<(), AuditError> {
        let operator = &self.operators[at];
        let touches = match operator {
            Operator::LocalGet { local_index }
            | Operator::LocalSet { local_index }
            | Operator::LocalTee { local_index } => {
                self.local.is_some_and(|local| *local_index >= local)
            }
            Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index } => {
                *global_index == self.facts.counter
            }
            _ => false,
        };
        self.require(!touches, Rule::Reserved, at, "the counter is touched by no known text")?;
        self.keep(at);

        let constant = self.constant.take();
        let units = match Price::of(operator, self.facts) {
            None => 0,
            Some(price) => match constant.and_then(|length| price.of_constant(length)) {
                Some(units) => units.cast_signed(),
                None => {
                    self.push(Step::Free, at);
                    0
                }
            },
        };
        self.run_operator(operator, at, units)?;
        if divides(&self.operators[at], constant) {
            self.push(Step::MayTrap, at);
        }
        self.control(at)?;
        self.constant = match &self.operators[at] {
            Operator::I32Const { value } => Some(u64::from(value.cast_unsigned())),
            Operator::I64Const { value } => Some(value.cast_unsigned()),
            _ => None,
        };
        Ok(())
    }

    /// What the operator consumes, and `more`.
    pub(super) fn run_operator(
        &mut self,
        operator: &Operator<'_>,
        at: usize,
        more: i64,
    ) -> Result<(), AuditError> {
        // The two blocks around a body with a cold path are not the guest's, and an `end`
        // is the first only where there is nothing.
        let is_inside = self.cold.is_none() || self.depth > 2;
        if !is_inside && matches!(operator, Operator::Block { .. }) {
            self.weigher.follow(operator);
            return Ok(());
        }
        let Some(weight) = self.weigher.weigh(operator) else {
            let operator = format!("{operator:?}");
            return Err(AuditError::Operator { operator, function: self.index });
        };
        let is_first = *operator != Operator::End && is_inside;
        let entry = if is_first { std::mem::take(&mut self.entry) } else { 0 };
        let units = self.facts.judge.weight(operator, weight + entry);
        self.push_run(units.cast_signed(), at);
        self.push_run(more, at);
        Ok(())
    }

    /// Where control goes.
    fn control(&mut self, at: usize) -> Result<(), AuditError> {
        match &self.operators[at] {
            Operator::Block { .. } => self.open(Opening::Block, at),
            Operator::If { .. } => self.open(Opening::If, at),
            Operator::Loop { .. } => self.open(Opening::Loop(self.header(at + 1)), at),
            Operator::TryTable { try_table } => {
                for catch in &try_table.catches {
                    let (Catch::One { label, .. }
                    | Catch::OneRef { label, .. }
                    | Catch::All { label }
                    | Catch::AllRef { label }) = catch;
                    self.branch(Step::Catch(*label), *label, at)?;
                }
                self.open(Opening::Block, at);
            }
            Operator::Else => self.push(Step::Else, at),
            Operator::End => {
                self.depth -= 1;
                self.push(Step::End, at);
            }
            Operator::Br { relative_depth } => {
                self.branch(Step::Branch(*relative_depth), *relative_depth, at)?;
                self.push(Step::Stop, at);
            }
            Operator::BrTable { targets } => {
                for target in targets.targets() {
                    let target = target?;
                    self.branch(Step::Branch(target), target, at)?;
                }
                let target = targets.default();
                self.branch(Step::Branch(target), target, at)?;
                self.push(Step::Stop, at);
            }
            Operator::BrIf { relative_depth }
            | Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth }
            | Operator::BrOnCast { relative_depth, .. }
            | Operator::BrOnCastFail { relative_depth, .. } => {
                self.branch(Step::Branch(*relative_depth), *relative_depth, at)?;
            }
            Operator::Unreachable => self.push(Step::Trap, at),
            Operator::Return => self.push(Step::Return, at),
            Operator::Throw { .. } | Operator::ThrowRef => self.push(Step::Throw, at),
            Operator::Call { function_index } => self.push(Step::Call(*function_index), at),
            Operator::ReturnCall { function_index } => {
                self.push(Step::TailCall(*function_index), at);
            }
            Operator::CallIndirect { .. } | Operator::CallRef { .. } => {
                self.push(Step::CallIndirect, at);
            }
            Operator::ReturnCallIndirect { .. } | Operator::ReturnCallRef { .. } => {
                self.push(Step::TailCallIndirect, at);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn open(&mut self, opening: Opening, at: usize) {
        self.depth += 1;
        self.push(Step::Open(opening), at);
    }

    /// What a loop begins with whose first operator this is.
    fn header(&self, at: usize) -> Header {
        match self.injected(at) {
            Some((Step::Check(_, 0), _)) => Header::Checked,
            Some((Step::Load, length)) => match self.injected(at + length) {
                Some((Step::Check(_, 0), _)) => Header::Reloaded,
                _ => Header::Plain,
            },
            _ => Header::Plain,
        }
    }

    /// The guest's own branches stay inside the inner of the two blocks.
    pub(super) fn branch(&mut self, step: Step, depth: u32, at: usize) -> Result<(), Violation> {
        let stays = self.cold.is_none() || depth.saturating_add(2) < self.depth;
        self.require(stays, Rule::Cold, at, "a branch of the guest leaves the function's block")?;
        if let Some(copies) = &self.copies {
            let stays = depth < self.depth.saturating_sub(copies.labels());
            self.require(stays, Rule::Copies, at, "a branch leads out of the copy of a body")?;
        }
        self.push(step, at);
        Ok(())
    }
}
