//! First look at a function: where control can go, and whom it calls.
//!
//! May assume a valid body. Guarantees: labels are numbered in the order in
//! which their frames open, the function's own label first, dead frames
//! included, so that the second look ([`super::function`]) counts the same way.
//! Only branches in reachable code count. Does not weigh anything.

use super::copies::{Allowance, Candidate};
use wasmparser::{BlockType, Catch, FunctionBody, Operator, Result};

/// What is known of one label before code is emitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    /// Some reachable branch or catch goes there.
    pub(super) targeted: bool,
    /// Some catch goes there: whoever arrives has to reload the counter.
    pub(super) caught: bool,
    /// The frame is a loop.
    pub(super) is_loop: bool,
    /// The frame is an `if` without `else`: a false condition goes there.
    pub(super) is_half: bool,
    /// Who branches there may bring values along; not known of the function's own.
    pub(super) carries: bool,
    /// How many copies of the loop's body are made; 1 for what is no loop.
    pub(super) copies: u32,
    /// Labels of one `br_table` share a class, and so a potential. The class is
    /// the number of one of them.
    class: usize,
}

/// One function, looked at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Scan {
    /// By label number; the function's own is 0.
    pub(super) labels: Vec<Label>,
    /// Functions that are called directly, tail calls included.
    pub(super) calls: Vec<u32>,
    /// Functions that are called in tail position.
    pub(super) tail_calls: Vec<u32>,
    /// It calls through a table or a reference.
    pub(super) calls_indirectly: bool,
    /// It does so in tail position.
    pub(super) tail_calls_indirectly: bool,
    /// Functions it takes references to.
    pub(super) references: Vec<u32>,
    /// Nothing is to be pending at any label or at any check, branches are to pay before
    /// they look at their condition, and every loop is to check at its header: for measuring
    /// what the opposite gives.
    pub(super) settles_all: bool,
    pub(super) settles_at_checks: bool,
    pub(super) pays_before_branches: bool,
    pub(super) checks_all_loops: bool,
}

impl Scan {
    /// Looks at `body`, the body of a function with so many parameters.
    pub(super) fn of(body: &FunctionBody<'_>, parameters: u32) -> Result<Self> {
        let mut locals = u64::from(parameters);
        for group in body.get_locals_reader()? {
            locals += u64::from(group?.0);
        }
        let mut allowance = Allowance::new(locals);
        let mut walk =
            Walk { scan: Self::default(), frames: Vec::new(), reachable: true, candidate: None };
        walk.open(Frame::Block, None);
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let start = reader.original_position();
            let operator = reader.read()?;
            let range = start..reader.original_position();
            let (candidate, copies) = Candidate::next(walk.candidate, &operator, &range);
            walk.candidate = candidate;
            let copies = copies.filter(|copies| *copies > 1 && allowance.takes(*copies));
            if let (Some(copies), Some((label, ..))) = (copies, walk.frames.last()) {
                walk.scan.labels[*label].copies = copies;
            }
            walk.visit(&operator)?;
        }
        walk.scan.calls.sort_unstable();
        walk.scan.calls.dedup();
        Ok(walk.scan)
    }

    /// The class of a label: the number under which its potential is kept.
    pub(super) fn class(&self, mut label: usize) -> usize {
        while self.labels[label].class != label {
            label = self.labels[label].class;
        }
        label
    }

    /// Whether the potential of a class must be zero: a loop header is checked,
    /// and a catch arrives with nothing owed.
    pub(super) fn is_settled(&self, class: usize) -> bool {
        self.settles_all || self.labels[class].is_loop || self.labels[class].caught
    }

    /// Puts two labels into one class. Properties that force a potential of
    /// zero move to the representative.
    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.class(a), self.class(b));
        if a == b {
            return;
        }
        // A settled representative keeps the class settled.
        let (keep, merge) = if self.is_settled(b) { (b, a) } else { (a, b) };
        self.labels[merge].class = keep;
    }
}

/// The branch depths of an operator, for those that jump when they are reached.
pub(super) fn branch_depths(operator: &Operator<'_>) -> Result<Vec<u32>> {
    Ok(match operator {
        Operator::Br { relative_depth }
        | Operator::BrIf { relative_depth }
        | Operator::BrOnNull { relative_depth }
        | Operator::BrOnNonNull { relative_depth }
        | Operator::BrOnCast { relative_depth, .. }
        | Operator::BrOnCastFail { relative_depth, .. } => vec![*relative_depth],
        Operator::BrTable { targets } => {
            let mut depths = targets.targets().collect::<Result<Vec<_>>>()?;
            depths.push(targets.default());
            depths.sort_unstable();
            depths.dedup();
            depths
        }
        _ => Vec::new(),
    })
}

/// Whether control never goes on behind the operator.
pub(super) fn is_terminator(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Br { .. }
            | Operator::BrTable { .. }
            | Operator::Return
            | Operator::Unreachable
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::Throw { .. }
            | Operator::ThrowRef
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    Block,
    Loop,
    /// An `if` that has no `else` yet.
    If,
}

struct Walk {
    scan: Scan,
    /// Label number, kind, and whether the frame was entered in reachable code.
    frames: Vec<(usize, Frame, bool)>,
    reachable: bool,
    /// The loop that opened last, while it looks like one to be unrolled.
    candidate: Option<Candidate>,
}

impl Walk {
    /// `ty` is of the block; `None` for the function's own label.
    fn open(&mut self, kind: Frame, ty: Option<BlockType>) {
        let number = self.scan.labels.len();
        self.scan.labels.push(Label {
            targeted: false,
            caught: false,
            is_loop: kind == Frame::Loop,
            is_half: kind == Frame::If,
            carries: ty != Some(BlockType::Empty),
            copies: 1,
            class: number,
        });
        self.frames.push((number, kind, self.reachable));
    }

    /// The label that is `depth` frames out. Valid code has it.
    fn label(&self, depth: u32) -> usize {
        self.frames[self.frames.len() - 1 - depth as usize].0
    }

    fn visit(&mut self, operator: &Operator<'_>) -> Result<()> {
        if self.reachable {
            let depths = branch_depths(operator)?;
            for depth in &depths {
                let label = self.label(*depth);
                self.scan.labels[label].targeted = true;
                self.scan.unite(self.label(depths[0]), label);
            }
            self.note(operator);
        }
        match operator {
            Operator::Block { blockty } => self.open(Frame::Block, Some(*blockty)),
            Operator::TryTable { try_table } => self.open(Frame::Block, Some(try_table.ty)),
            Operator::Loop { blockty } => self.open(Frame::Loop, Some(*blockty)),
            Operator::If { blockty } => self.open(Frame::If, Some(*blockty)),
            Operator::Else => {
                if let Some((number, kind, entered)) = self.frames.last_mut() {
                    *kind = Frame::Block;
                    let label = &mut self.scan.labels[*number];
                    label.is_half = false;
                    // The end of the then-arm is a way to the label.
                    label.targeted |= self.reachable;
                    self.reachable = *entered;
                }
            }
            Operator::End => {
                if let Some((label, kind, entered)) = self.frames.pop() {
                    let facts = self.scan.labels[label];
                    self.reachable |=
                        (facts.targeted && !facts.is_loop) || (kind == Frame::If && entered);
                }
            }
            _ => self.reachable &= !is_terminator(operator),
        }
        Ok(())
    }

    /// Calls, references and catches.
    fn note(&mut self, operator: &Operator<'_>) {
        match operator {
            Operator::Call { function_index } => self.scan.calls.push(*function_index),
            Operator::ReturnCall { function_index } => {
                self.scan.calls.push(*function_index);
                self.scan.tail_calls.push(*function_index);
            }
            Operator::CallIndirect { .. } | Operator::CallRef { .. } => {
                self.scan.calls_indirectly = true;
            }
            Operator::ReturnCallIndirect { .. } | Operator::ReturnCallRef { .. } => {
                self.scan.calls_indirectly = true;
                self.scan.tail_calls_indirectly = true;
            }
            Operator::RefFunc { function_index } => self.scan.references.push(*function_index),
            Operator::TryTable { try_table } => {
                for catch in &try_table.catches {
                    let (Catch::One { label, .. }
                    | Catch::OneRef { label, .. }
                    | Catch::All { label }
                    | Catch::AllRef { label }) = catch;
                    let label = self.label(*label);
                    self.scan.labels[label].targeted = true;
                    self.scan.labels[label].caught = true;
                    let class = self.scan.class(label);
                    self.scan.labels[class].caught = true;
                }
            }
            _ => {}
        }
    }
}
