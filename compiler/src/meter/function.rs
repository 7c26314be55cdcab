//! Second look at a function: the same operators, with charges between them.
//!
//! Before, and after (`$f` is the local counter, `$fuel` the global one; the
//! loop weighs 5 a round, everything behind the charge is owed until the next):
//!
//! ```wat
//! (func (param i32)                (func (param i32) (local $f i64)
//!                                    global.get $fuel  local.set $f
//!                                    block $out_of_fuel
//!                                    block $body
//!   loop                               loop
//!                                        local.get $f  i64.const 0  i64.lt_s
//!                                        br_if $out_of_fuel
//!     local.get 0                        local.get 0
//!     i32.const 1                        i32.const 1
//!     i32.sub                            i32.sub
//!     local.tee 0                        local.tee 0
//!                                        local.get $f  i64.const 5  i64.sub
//!                                        local.set $f
//!     br_if 0                            br_if 0
//!   end                                end
//!                                    end
//!                                    local.get $f  global.set $fuel
//!                                    return
//!                                    end
//!                                    i64.const MIN  global.set $fuel
//!                                    unreachable
//! end                              end
//! ```
//!
//! At every point `$f − pending = budget − consumed`, where `pending` is known
//! here, at compile time; a check compares `$f` with it. A label has one pending
//! cost, its *potential*, for all who arrive: the first branch in program order
//! chooses it, the others charge the difference (which may be negative), where it
//! can be on the way that is taken alone:
//!
//! ```wat
//! br_if 3                          local.get $f  local.set $f  if
//!                                    local.get $f  i64.const 4  i64.sub
//!                                    local.set $f  br 4
//!                                  end
//! ```
//!
//! Potentials are zero at loop headers and where a catch arrives. The inserted
//! text is stack-neutral and shifts no label of the guest's: `$body` takes the
//! place of the function's own.
//!
//! May assume a valid body and its [`Scan`]. Guarantees the rules of FUEL.md
//! for one function, and gives its [`Summary`]. Does not touch other sections.

use super::bulk::{self, Bulk};
use super::graph::Role;
use super::scan::{Scan, branch_depths, is_terminator};
use super::summary::{Summaries, Summary, Unpaid};
use super::trap;
use crate::cost::{self, Shapes, Weigher};
use bls_artifact::limits::METERED_FUNCTION_BYTES_MAX;
use rounds::Rounds;
use unroll::{Turn, Unrolling};
use wasm_encoder::{BlockType, Encode, Instruction};
use wasmparser::{BinaryReaderError, FunctionBody, Operator};

mod counter;
mod frame;
mod rounds;
mod unroll;

/// What the emitter knows of the module around a function.
pub(super) struct Context<'m> {
    /// Index of the global counter.
    pub(super) counter: u32,
    /// How many functions are imported.
    pub(super) imported: u32,
    /// Facts about memories, tables and segments.
    pub(super) sizes: &'m bulk::Sizes,
    /// Facts about types.
    pub(super) shapes: &'m Shapes,
}

/// One function to be metered.
pub(super) struct Function<'m, 'b> {
    /// Its body.
    pub(super) body: &'b FunctionBody<'m>,
    /// What the first look found.
    pub(super) scan: &'b Scan,
    /// Its place in the call graph.
    pub(super) role: Role,
    /// Its type's index.
    pub(super) ty: u32,
    /// How many parameters it has.
    pub(super) parameters: u32,
    /// How many results it has.
    pub(super) result_count: u64,
    /// Its results as a block type.
    pub(super) results: BlockType,
}

/// Why a function cannot be metered.
#[derive(Debug)]
pub(super) enum FunctionError {
    /// The body does not parse: it was not validated.
    Malformed(BinaryReaderError),
    /// An operator that no target runs: it was not validated.
    Operator(String),
    /// It does not fit into a function any more.
    TooLong(usize),
}

impl From<BinaryReaderError> for FunctionError {
    fn from(error: BinaryReaderError) -> Self {
        Self::Malformed(error)
    }
}

/// Meters one function: the bytes of its new body and its summary.
pub(super) fn meter(
    context: &Context<'_>,
    function: &Function<'_, '_>,
    summaries: &Summaries,
) -> Result<(Vec<u8>, Summary), FunctionError> {
    let locals = function
        .body
        .get_locals_reader()?
        .into_iter()
        .try_fold(0_u32, |sum, group| group.map(|(count, _)| sum.saturating_add(count)))?;
    let counter = function.parameters + locals;
    let entry = cost::entry(locals.into());
    let look = |rounds| Emitter::new(context, function, summaries, counter, entry, rounds).run();
    let (mut body, mut summary, rounds) = look(Rounds::new(function.scan.labels.len()))?;
    if let Some(rounds) = rounds.again().filter(|_| !function.scan.checks_all_loops) {
        let (shorter, its_summary, rounds) = look(rounds)?;
        if rounds.is_confirmed() {
            (body, summary) = (shorter, its_summary);
        }
    }
    if body.len() > METERED_FUNCTION_BYTES_MAX {
        return Err(FunctionError::TooLong(body.len()));
    }
    Ok((body, summary))
}

/// What is known at a point that can be reached.
#[derive(Clone, Copy, Debug)]
struct State {
    /// Units that were consumed and not yet taken off the local counter.
    pending: i64,
    /// The same of the global counter; `None` where ways differ.
    unstored: Option<i64>,
    /// The most units that ran since the last check.
    unpaid: Unpaid,
    /// Control can have come from the header of the innermost loop and met no check since.
    is_unchecked: bool,
}

/// An open block, loop, `if` or `try_table`.
struct Frame {
    label: usize,
    /// Where the `else` of an `if` begins; `None` for a dead frame.
    alternative: Option<State>,
    /// Whether it was entered in reachable code.
    live: bool,
    /// How many loops that are branched to stand around it.
    loops: usize,
}

struct Emitter<'e, 'm> {
    context: &'e Context<'m>,
    function: &'e Function<'m, 'e>,
    summaries: &'e Summaries,
    text: Vec<u8>,
    /// Index of the local counter; the two lengths of [`bulk`] follow.
    counter: u32,
    frames: Vec<Frame>,
    /// The loop whose body is being copied.
    unrolling: Option<Unrolling>,
    /// What the reader of the operators does next.
    turn: Turn,
    /// By class of labels.
    potentials: Vec<Option<i64>>,
    /// By label: the unpaid cost of all that have branched there, and whether one of them
    /// [is unchecked](State::is_unchecked).
    arriving: Vec<Option<(Unpaid, bool)>>,
    rounds: Rounds,
    next_label: usize,
    weigher: Weigher<'e>,
    /// What the first operator pays for the function's locals.
    entry: u64,
    /// `None` in dead code.
    state: Option<State>,
    summary: Summary,
    uses_counter: bool,
    uses_lengths: bool,
    checks: bool,
    /// The value of the constant that was emitted just before, if it was one.
    constant: Option<u64>,
}

impl<'e, 'm> Emitter<'e, 'm> {
    fn new(
        context: &'e Context<'m>,
        function: &'e Function<'m, 'e>,
        summaries: &'e Summaries,
        counter: u32,
        entry: u64,
        rounds: Rounds,
    ) -> Self {
        Self {
            context,
            function,
            summaries,
            text: Vec::with_capacity(function.body.range().len() * 2),
            counter,
            frames: Vec::new(),
            unrolling: None,
            turn: Turn::On,
            potentials: vec![None; function.scan.labels.len()],
            arriving: vec![None; function.scan.labels.len()],
            rounds,
            next_label: 0,
            weigher: Weigher::new(context.shapes, function.ty),
            entry,
            state: Some(State {
                pending: 0,
                unstored: Some(0),
                unpaid: Unpaid::at_entry(),
                is_unchecked: false,
            }),
            summary: Summary::default(),
            uses_counter: false,
            uses_lengths: false,
            checks: false,
            constant: None,
        }
    }
}

impl Emitter<'_, '_> {
    fn run(mut self) -> Result<(Vec<u8>, Summary, Rounds), FunctionError> {
        let bytes = self.function.body.as_bytes();
        let base = self.function.body.range().start;
        let mut reader = self.function.body.get_operators_reader()?;
        let mut body_of_loop = reader.clone();
        self.open(None);
        while !reader.eof() {
            let start = reader.original_position() - base;
            let operator = reader.read()?;
            let end = reader.original_position() - base;
            if reader.eof() {
                break;
            }
            self.operator(&operator, &bytes[start..end])?;
            match std::mem::take(&mut self.turn) {
                Turn::On => {}
                Turn::Remember => body_of_loop = reader.clone(),
                Turn::Back => reader = body_of_loop.clone(),
            }
        }
        let rounds = std::mem::replace(&mut self.rounds, Rounds::new(0));
        let (body, summary) = self.finish(bytes)?;
        Ok((body, summary, rounds))
    }

    // ---- the operators ---------------------------------------------------

    fn operator(&mut self, operator: &Operator<'_>, raw: &[u8]) -> Result<(), FunctionError> {
        let constant = self.constant.take();
        let weight = self
            .weigher
            .weigh(operator)
            .ok_or_else(|| FunctionError::Operator(format!("{operator:?}")))?;
        match (operator, self.state.is_some()) {
            (Operator::Else, _) => self.alternative(raw),
            (Operator::End, _) => self.close(raw),
            (_, true) => {
                let length = Bulk::of(operator, self.context.sizes);
                // A length may be part of its region.
                let units = match (&length, constant) {
                    (Some(bulk), Some(length)) => bulk.constant_units(length),
                    _ => None,
                };
                let entry = std::mem::take(&mut self.entry);
                self.owe(weight + entry + units.unwrap_or(0));
                self.reachable(operator, raw, length.filter(|_| units.is_none()), constant)?;
            }
            (
                Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::TryTable { .. },
                false,
            ) => {
                self.raw(raw);
                self.open(None);
            }
            (_, false) => self.raw(raw),
        }
        Ok(())
    }

    /// One operator that can be reached, already owed for, but for a length that is left
    /// to be paid.
    fn reachable(
        &mut self,
        operator: &Operator<'_>,
        raw: &[u8],
        length: Option<Bulk>,
        constant: Option<u64>,
    ) -> Result<(), FunctionError> {
        match operator {
            Operator::Block { .. } | Operator::TryTable { .. } => {
                self.raw(raw);
                self.open(self.state);
            }
            Operator::If { .. } => {
                let label = self.next_label;
                if self.function.scan.labels[label].is_half {
                    self.arrive(label);
                }
                self.raw(raw);
                self.open(self.state);
            }
            Operator::Loop { .. } => self.enter_loop(raw),
            Operator::BrIf { .. } if self.unrolling.is_some() => self.close_copy(raw),
            Operator::BrIf { relative_depth } if self.branches_at_edge(*relative_depth, raw) => {}
            Operator::Call { function_index } => self.call(*function_index, raw),
            Operator::CallIndirect { .. } | Operator::CallRef { .. } => {
                self.event();
                self.raw(raw);
                self.reload();
                self.returned(self.summaries.indirect());
            }
            Operator::ReturnCall { function_index } => {
                match function_index.checked_sub(self.context.imported) {
                    None => {
                        self.event();
                        self.tail(Summary::CHECKED);
                    }
                    Some(defined) => {
                        let callee = self.summaries.of(defined);
                        self.check_before(callee);
                        self.flush();
                        self.tail(callee);
                    }
                }
                self.raw(raw);
            }
            Operator::ReturnCallIndirect { .. } | Operator::ReturnCallRef { .. } => {
                self.event();
                self.tail(self.summaries.indirect());
                self.raw(raw);
            }
            Operator::Throw { .. } | Operator::ThrowRef => {
                self.event();
                self.raw(raw);
            }
            Operator::Return => {
                self.leave(self.frames.len() as u32);
                self.raw(raw);
            }
            Operator::Unreachable => {
                self.write_through();
                // What ran before a trap was not paid for at a check either.
                if let Some(state) = self.state {
                    self.summary.close(state.unpaid);
                }
                self.raw(raw);
            }
            _ => {
                for depth in branch_depths(operator)? {
                    self.branch(depth);
                }
                if let Some(length) = length {
                    self.pay_length(&length);
                }
                if trap::is_exact(operator, constant) {
                    self.write_through();
                }
                self.raw(raw);
                self.constant = match operator {
                    Operator::I32Const { value } => Some(u64::from(value.cast_unsigned())),
                    Operator::I64Const { value } => Some(value.cast_unsigned()),
                    _ => None,
                };
            }
        }
        if is_terminator(operator) {
            self.state = None;
        }
        Ok(())
    }

    fn open(&mut self, alternative: Option<State>) {
        let label = self.next_label;
        self.next_label += 1;
        let (live, loops) = (self.state.is_some(), self.rounds.depth());
        self.frames.push(Frame { label, alternative, live, loops });
    }

    fn enter_loop(&mut self, raw: &[u8]) {
        let label = self.next_label;
        let facts = self.function.scan.labels[label];
        if !facts.targeted {
            // Nobody comes back: a block.
            self.raw(raw);
            return self.open(None);
        }
        self.settle(0);
        if facts.copies > 1 {
            return self.unroll(facts.copies, raw);
        }
        if facts.caught {
            self.store();
        }
        self.raw(raw);
        self.open(None);
        let checked_elsewhere = self.rounds.enter(label, !facts.caught);
        if let Some(state) = &mut self.state {
            state.unstored = None;
        }
        if facts.caught {
            self.reload();
        }
        if checked_elsewhere.is_none() {
            self.check();
        }
        if let Some(state) = &mut self.state {
            state.is_unchecked = true;
            if let Some(unpaid) = checked_elsewhere {
                state.unpaid.meet(unpaid);
            }
        }
    }

    fn alternative(&mut self, raw: &[u8]) {
        let Some(frame) = self.frames.last() else { return };
        let (label, alternative, live) = (frame.label, frame.alternative, frame.live);
        if self.state.is_some() {
            self.arrive(label);
        }
        self.raw(raw);
        self.state = if live { alternative } else { None };
    }

    fn close(&mut self, raw: &[u8]) {
        let Some(frame) = self.frames.pop() else { return };
        if self.unrolling.is_some() {
            return self.close_copies();
        }
        if self.rounds.leave(frame.label)
            && let Some(state) = &mut self.state
        {
            state.is_unchecked = false;
        }
        let facts = self.function.scan.labels[frame.label];
        if !frame.live || facts.is_loop || !(facts.targeted || facts.is_half) {
            // Nobody joins here.
            return self.raw(raw);
        }
        if self.state.is_some() {
            self.arrive(frame.label);
        }
        self.raw(raw);
        self.join(frame.label);
    }

    /// The point behind a label where ways meet.
    fn join(&mut self, label: usize) {
        let scan = self.function.scan;
        let class = scan.class(label);
        let pending = if scan.is_settled(class) { 0 } else { self.potentials[class].unwrap_or(0) };
        let (mut unpaid, is_unchecked) = self.arriving[label].unwrap_or_default();
        if scan.labels[label].caught {
            // Whoever threw had checked.
            unpaid.meet(Unpaid::checked());
        }
        self.state = Some(State { pending, unstored: None, unpaid, is_unchecked });
        if scan.labels[label].caught {
            self.reload();
        }
    }

    // ---- bytes -------------------------------------------------------------

    fn raw(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    fn emit(&mut self, instructions: &[Instruction<'_>]) {
        for instruction in instructions {
            instruction.encode(&mut self.text);
        }
    }
}
