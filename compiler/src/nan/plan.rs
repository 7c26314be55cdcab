//! Where checks go in one function.
//!
//! Looks at the function once. Each result of arithmetic and each copy out of a *cell* (a local,
//! a label's last value, a `select`) is noted, with the cells it goes to and whether its bits
//! are shown; then the classes of cells follow, each from what goes to it:
//!
//! ```text
//! (local.set $sum (f64.add (local.get $sum) (f64.load ...)))   nothing but results go to $sum
//! ...                                                          no check in the loop
//! (f64.store (i32.const 0) (local.get $sum))                   its bits are shown: a check here
//!
//! (local.set $last (f64.load ...))                             $last may hold a copy,
//! (local.set $last (f64.mul (local.get $last) ...))            so this result is checked,
//! (f64.store (i32.const 8) (local.get $last))                  for its bits are shown
//! ```
//!
//! A check stands right behind the operator whose result it is about, so that it is on top of
//! the stack. May assume a valid function. Takes a time that grows with the function's length
//! and locals: each cell changes its class a few times at most, and each flow is looked at when
//! its source does. Guarantees nothing that [`super::proof`] does not show again.

use super::rule::{Class, Shape, Sort, sort};
use super::types::{Types, is_float};
use super::{NanError, Result};
use wasmparser::{BlockType, Catch, FrameKind, FunctionBody, Operator, ValType};

/// Loops deeper than this count as one of this depth: eight rounds each.
const DEPTH_MAX: u32 = 12;
/// No place in a list.
const NONE: u32 = u32::MAX;

/// The checks of one function, and what is then true of its locals.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Where each check goes, counted from the body's begin, in order.
    pub(super) checks: Vec<(usize, Shape)>,
    /// By local, parameters first.
    pub(super) locals: Vec<Class>,
}

/// A value on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Plain,
    Kept,
    /// What a definition of this number gives.
    Of(u32),
}

/// Where a value comes from that may have to be checked.
#[derive(Clone, Copy, Debug)]
enum Source {
    Arithmetic(Shape),
    Cell(u32),
}

#[derive(Clone, Copy, Debug)]
struct Definition {
    source: Source,
    /// The end of its operator, counted from the body's begin.
    end: usize,
    /// About how often it comes by.
    weight: u64,
    /// It must have its bits.
    is_shown: bool,
    /// Arithmetic takes it as of these shapes: bits by [`bit`].
    taken_as: u8,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    shape: Option<Shape>,
    /// It may hold a copy of anything.
    is_kept: bool,
    /// The bits of what it holds are shown, here or where a copy goes.
    is_seen: bool,
    /// It may hold a result that was not checked.
    is_raw: bool,
    /// All that goes to it is checked.
    is_checked: bool,
    /// The first flow out of it, and the first into it.
    first_out: u32,
    first_in: u32,
    /// What the checks cost of its copies, and what those of all that goes to it would.
    behind: u64,
    before: u64,
}

/// A definition's value goes to a cell.
#[derive(Clone, Copy, Debug)]
struct Flow {
    from: u32,
    to: u32,
    /// The next out of the same cell, and the next into the same cell.
    next_out: u32,
    next_in: u32,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Values on the stack below it.
    height: usize,
    /// What its label's last value is kept in, where it is a float and the label at the end.
    cell: Option<u32>,
    is_if: bool,
}

/// Plans one defined function; `None` where it makes no NaN at all, as most do not.
pub(super) fn plan(types: &Types, defined: usize, body: &FunctionBody<'_>) -> Result<Option<Plan>> {
    if !has_arithmetic(body)? {
        return Ok(None);
    }
    let locals = types.locals(defined, body)?;
    let mut walk = Walk::new(types, &locals, types.parameters(defined));
    walk.open.push((types.whole(defined), FrameKind::Block));
    walk.frames.push(Frame { height: 0, cell: None, is_if: false });
    let begin = body.range().start;
    let mut reader = body.get_operators_reader()?;
    while !reader.eof() {
        let operator = reader.read()?;
        walk.end = reader.original_position() - begin;
        walk.step(&operator)?;
    }
    Ok(Some(walk.solve()))
}

/// Whether any operator is arithmetic.
fn has_arithmetic(body: &FunctionBody<'_>) -> Result<bool> {
    for operator in body.get_operators_reader()? {
        if matches!(sort(&operator?), Sort::Arithmetic { .. }) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One bit for each shape.
fn bit(shape: Shape) -> u8 {
    1 << shape as u8
}

struct Walk<'a> {
    types: &'a Types,
    locals: &'a [ValType],
    open: Vec<(BlockType, FrameKind)>,
    frames: Vec<Frame>,
    /// How many frames are open that control cannot come to, where it cannot.
    dead: Option<u32>,
    loops: u32,
    end: usize,
    stack: Vec<Value>,
    definitions: Vec<Definition>,
    /// Of locals, then of labels and `select`s.
    cells: Vec<Cell>,
    flows: Vec<Flow>,
}

impl<'a> Walk<'a> {
    fn new(types: &'a Types, locals: &'a [ValType], parameters: usize) -> Self {
        let cell = |(local, ty): (usize, &ValType)| Cell {
            is_kept: local < parameters || !is_float(*ty),
            ..Cell::default()
        };
        Self {
            types,
            locals,
            open: Vec::new(),
            frames: Vec::new(),
            dead: None,
            loops: 0,
            end: 0,
            stack: Vec::new(),
            definitions: Vec::new(),
            cells: locals.iter().enumerate().map(cell).collect(),
            flows: Vec::new(),
        }
    }

    fn step(&mut self, operator: &Operator<'_>) -> Result<()> {
        if let Some(dead) = self.dead {
            self.dead = match operator {
                Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::TryTable { .. } => Some(dead + 1),
                Operator::End if dead > 0 => Some(dead - 1),
                Operator::End | Operator::Else if dead == 0 => None,
                _ => Some(dead),
            };
            if self.dead.is_some() {
                return Ok(());
            }
            match operator {
                Operator::End => self.leave(false),
                _ => self.alternative(false),
            }
            return Ok(());
        }
        match operator {
            Operator::Block { blockty } => self.enter(*blockty, FrameKind::Block),
            Operator::Loop { blockty } => self.enter(*blockty, FrameKind::Loop),
            Operator::If { blockty } => {
                self.pop();
                self.enter(*blockty, FrameKind::If);
            }
            Operator::TryTable { try_table } => {
                for catch in &try_table.catches {
                    let (Catch::One { label, .. }
                    | Catch::OneRef { label, .. }
                    | Catch::All { label }
                    | Catch::AllRef { label }) = catch;
                    self.keep(*label);
                }
                self.enter(try_table.ty, FrameKind::TryTable);
            }
            Operator::Else => self.alternative(true),
            Operator::End => self.leave(true),
            Operator::Br { relative_depth } => {
                self.carry(*relative_depth);
                self.dead = Some(0);
            }
            Operator::BrIf { relative_depth } => {
                self.pop();
                self.carry(*relative_depth);
            }
            Operator::BrTable { targets } => {
                self.pop();
                for target in targets.targets() {
                    self.carry(target?);
                }
                self.carry(targets.default());
                self.dead = Some(0);
            }
            Operator::Return => {
                self.carry(self.frames.len() as u32 - 1);
                self.dead = Some(0);
            }
            Operator::LocalGet { local_index } => {
                let value = match self.is_float(*local_index) {
                    true => self.define(Source::Cell(*local_index)),
                    false => Value::Kept,
                };
                self.stack.push(value);
            }
            Operator::LocalSet { local_index } => {
                let value = self.pop();
                self.flow(value, *local_index);
            }
            Operator::LocalTee { local_index } => {
                let value = self.pop();
                self.flow(value, *local_index);
                self.stack.push(value);
            }
            Operator::Drop => {
                self.pop();
            }
            Operator::Select | Operator::TypedSelect { .. } => {
                self.pop();
                let (two, one) = (self.pop(), self.pop());
                let value = match (one, two) {
                    (Value::Plain, Value::Plain) => Value::Plain,
                    (Value::Of(_), _) | (_, Value::Of(_)) => {
                        let cell = self.cell();
                        self.flow(one, cell);
                        self.flow(two, cell);
                        self.define(Source::Cell(cell))
                    }
                    _ => Value::Kept,
                };
                self.stack.push(value);
            }
            _ => self.plain_step(operator)?,
        }
        Ok(())
    }

    /// An operator that takes values and gives some, as its sort says.
    fn plain_step(&mut self, operator: &Operator<'_>) -> Result<()> {
        match sort(operator) {
            Sort::Arithmetic { operands, takes, gives } => {
                (0..operands).for_each(|_| self.take_as(takes));
                let value = self.define(Source::Arithmetic(gives));
                self.stack.push(value);
            }
            Sort::Blind { operands, takes } => {
                (0..operands).for_each(|_| self.take_as(takes));
                self.stack.push(Value::Kept);
            }
            Sort::Plain { operands } => {
                (0..operands).for_each(|_| self.show());
                self.stack.push(Value::Plain);
            }
            Sort::Other => {
                let arity = self.types.operator(operator, &self.open);
                let (takes, gives) = arity.ok_or(NanError::Operator)?;
                (0..takes).for_each(|_| self.show());
                self.stack.resize(self.stack.len() + gives, Value::Kept);
            }
        }
        match operator {
            Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth }
            | Operator::BrOnCast { relative_depth, .. }
            | Operator::BrOnCastFail { relative_depth, .. } => self.keep(*relative_depth),
            Operator::Unreachable
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. } => self.dead = Some(0),
            _ => {}
        }
        Ok(())
    }

    fn is_float(&self, local: u32) -> bool {
        self.locals.get(local as usize).is_some_and(|ty| is_float(*ty))
    }

    fn pop(&mut self) -> Value {
        let height = self.frames.last().map_or(0, |frame| frame.height);
        if self.stack.len() <= height {
            return Value::Kept;
        }
        self.stack.pop().unwrap_or(Value::Kept)
    }

    /// Takes a value whose bits are shown.
    fn show(&mut self) {
        let value = self.pop();
        self.shown(value);
    }

    fn shown(&mut self, value: Value) {
        if let Value::Of(number) = value {
            self.definitions[number as usize].is_shown = true;
        }
    }

    /// Takes a value for arithmetic.
    fn take_as(&mut self, shape: Shape) {
        if let Value::Of(number) = self.pop() {
            let definition = &mut self.definitions[number as usize];
            definition.taken_as |= bit(shape);
            if matches!(definition.source, Source::Arithmetic(made) if made != shape) {
                definition.is_shown = true;
            }
        }
    }

    fn define(&mut self, source: Source) -> Value {
        let weight = 8_u64.pow(self.loops.min(DEPTH_MAX));
        let number = self.definitions.len() as u32;
        let end = self.end;
        self.definitions.push(Definition { source, end, weight, is_shown: false, taken_as: 0 });
        Value::Of(number)
    }

    fn cell(&mut self) -> u32 {
        self.cells.push(Cell::default());
        self.cells.len() as u32 - 1
    }

    fn flow(&mut self, value: Value, to: u32) {
        match value {
            Value::Plain => {}
            Value::Kept => self.cells[to as usize].is_kept = true,
            Value::Of(from) => {
                self.flows.push(Flow { from, to, next_out: NONE, next_in: NONE });
            }
        }
    }

    fn enter(&mut self, block: BlockType, kind: FrameKind) {
        let (takes, gives) = self.types.arity(block);
        (0..takes).for_each(|_| self.show());
        self.loops += u32::from(kind == FrameKind::Loop);
        let is_float = self.types.last_result(block).is_some_and(is_float);
        let cell = (gives > 0 && is_float).then(|| self.cell());
        let is_if = kind == FrameKind::If;
        self.frames.push(Frame { height: self.stack.len(), cell, is_if });
        self.open.push((block, kind));
        self.stack.resize(self.stack.len() + takes, Value::Kept);
    }

    /// The last values on the stack go where a block ends, or begins again.
    fn hand_over(&mut self, cell: Option<u32>, count: usize) {
        let first = self.stack.len().saturating_sub(count);
        for place in first..self.stack.len() {
            let value = self.stack[place];
            match cell {
                Some(cell) if place + 1 == self.stack.len() => self.flow(value, cell),
                _ => self.shown(value),
            }
        }
    }

    /// A branch takes the last values along.
    fn carry(&mut self, depth: u32) {
        let index = (self.frames.len() - 1).saturating_sub(depth as usize);
        let (block, kind) = self.open[index];
        let (takes, gives) = self.types.arity(block);
        match kind {
            FrameKind::Loop => self.hand_over(None, takes),
            _ => self.hand_over(self.frames[index].cell, gives),
        }
    }

    /// Something else may bring values to a label.
    fn keep(&mut self, depth: u32) {
        let index = (self.frames.len() - 1).saturating_sub(depth as usize);
        if let Some(cell) = self.frames[index].cell {
            self.cells[cell as usize].is_kept = true;
        }
    }

    fn alternative(&mut self, is_reachable: bool) {
        let (Some(&frame), Some(&(block, _))) = (self.frames.last(), self.open.last()) else {
            return;
        };
        let (takes, gives) = self.types.arity(block);
        if is_reachable {
            self.hand_over(frame.cell, gives);
        }
        self.stack.truncate(frame.height);
        self.stack.resize(frame.height + takes, Value::Kept);
        if let Some(frame) = self.frames.last_mut() {
            frame.is_if = false;
        }
    }

    fn leave(&mut self, is_reachable: bool) {
        let (Some(frame), Some((block, kind))) = (self.frames.last().copied(), self.open.pop())
        else {
            return;
        };
        let (_, gives) = self.types.arity(block);
        if is_reachable {
            self.hand_over(frame.cell, gives);
        }
        self.frames.pop();
        self.loops -= u32::from(kind == FrameKind::Loop);
        self.stack.truncate(frame.height);
        self.stack.resize(frame.height + gives, Value::Kept);
        if let Some(cell) = frame.cell {
            // A condition that does not hold brings what went in.
            self.cells[cell as usize].is_kept |= frame.is_if;
            let value = self.define(Source::Cell(cell));
            if let Some(last) = self.stack.last_mut() {
                *last = value;
            }
        }
    }

    /// The classes of all cells, and the checks that follow from them.
    fn solve(mut self) -> Plan {
        self.index();
        self.find_shapes();
        self.find_kept();
        self.find_seen();
        self.show_what_meets_copies();
        self.find_raw();
        self.check_what_is_shown_often();
        self.find_raw();
        let mut plan = Plan::default();
        for definition in self.definitions.iter().filter(|definition| definition.is_shown) {
            let shape = match definition.source {
                Source::Arithmetic(shape) => Some(shape),
                Source::Cell(cell) => {
                    let cell = self.cells[cell as usize];
                    cell.shape.filter(|_| cell.is_raw)
                }
            };
            plan.checks.extend(shape.map(|shape| (definition.end, shape)));
        }
        let class = |cell: &Cell| match (cell.shape, cell.is_kept, cell.is_raw) {
            (Some(shape), true, true) => Class::Mixed(shape),
            (_, true, _) => Class::Kept,
            (None, ..) => Class::Plain,
            (Some(shape), _, true) => Class::Raw(shape),
            (Some(shape), _, false) => Class::Checked(shape),
        };
        plan.locals = self.cells[..self.locals.len()].iter().map(class).collect();
        plan
    }

    /// Finds the flows out of each cell and into it.
    fn index(&mut self) {
        for cell in &mut self.cells {
            (cell.first_out, cell.first_in) = (NONE, NONE);
        }
        for number in 0..self.flows.len() {
            let first = &mut self.cells[self.flows[number].to as usize].first_in;
            self.flows[number].next_in = std::mem::replace(first, number as u32);
            if let Source::Cell(cell) = self.source(number) {
                let first = &mut self.cells[cell as usize].first_out;
                self.flows[number].next_out = std::mem::replace(first, number as u32);
            }
        }
    }

    fn source(&self, flow: usize) -> Source {
        self.definitions[self.flows[flow].from as usize].source
    }

    /// Visits all flows out of a cell.
    fn each_out(&self, cell: u32, mut visit: impl FnMut(Flow)) {
        let mut number = self.cells[cell as usize].first_out;
        while let Some(flow) = self.flows.get(number as usize) {
            visit(*flow);
            number = flow.next_out;
        }
    }

    /// Which shape the numbers in each cell have. Where there are two, nothing may come that is
    /// not checked.
    fn find_shapes(&mut self) {
        let mut work = Vec::new();
        for number in 0..self.flows.len() {
            if let Source::Arithmetic(shape) = self.source(number) {
                work.push((self.flows[number].to, shape));
            }
        }
        while let Some((number, shape)) = work.pop() {
            let cell = &mut self.cells[number as usize];
            match cell.shape {
                Some(other) if other == shape => {}
                Some(_) => (cell.is_kept, cell.is_seen) = (true, true),
                None => {
                    cell.shape = Some(shape);
                    self.each_out(number, |flow| work.push((flow.to, shape)));
                }
            }
        }
    }

    /// Which cells may hold a copy of anything.
    fn find_kept(&mut self) {
        let mut work: Vec<u32> = (0..self.cells.len() as u32)
            .filter(|cell| self.cells[*cell as usize].is_kept)
            .collect();
        while let Some(number) = work.pop() {
            let mut next = Vec::new();
            self.each_out(number, |flow| next.push(flow.to));
            for to in next {
                if !std::mem::replace(&mut self.cells[to as usize].is_kept, true) {
                    work.push(to);
                }
            }
        }
    }

    /// Which cells hold something whose bits are shown.
    fn find_seen(&mut self) {
        for definition in &mut self.definitions {
            if let Source::Cell(cell) = definition.source {
                let cell = &mut self.cells[cell as usize];
                // Bits are shown, too, to who takes them as of another shape.
                definition.is_shown |=
                    cell.shape.is_some_and(|shape| definition.taken_as & !bit(shape) != 0);
                cell.is_seen |= definition.is_shown;
            }
        }
        let mut work: Vec<u32> = (0..self.cells.len() as u32)
            .filter(|cell| self.cells[*cell as usize].is_seen)
            .collect();
        while let Some(number) = work.pop() {
            let mut into = self.cells[number as usize].first_in;
            while let Some(flow) = self.flows.get(into as usize) {
                if let Source::Cell(from) = self.definitions[flow.from as usize].source
                    && !std::mem::replace(&mut self.cells[from as usize].is_seen, true)
                {
                    work.push(from);
                }
                into = flow.next_in;
            }
        }
    }

    /// A result that goes where a copy may be must have its bits, if they are seen.
    fn show_what_meets_copies(&mut self) {
        for flow in &self.flows {
            let to = &self.cells[flow.to as usize];
            self.definitions[flow.from as usize].is_shown |= to.is_kept && to.is_seen;
        }
    }

    /// Which cells may hold a result that was not checked.
    fn find_raw(&mut self) {
        for cell in &mut self.cells {
            cell.is_raw = false;
        }
        let mut work = Vec::new();
        for number in 0..self.flows.len() {
            if let Source::Arithmetic(_) = self.source(number) {
                work.push(self.flows[number]);
            }
        }
        while let Some(flow) = work.pop() {
            let cell = &mut self.cells[flow.to as usize];
            let is_checked = self.definitions[flow.from as usize].is_shown;
            if !is_checked && !std::mem::replace(&mut cell.is_raw, true) {
                self.each_out(flow.to, |flow| work.push(flow));
            }
        }
    }

    /// Where a check of all that goes to a cell comes by less often than one of each copy that
    /// is shown, it is made there.
    fn check_what_is_shown_often(&mut self) {
        for definition in self.definitions.iter().filter(|definition| definition.is_shown) {
            if let Source::Cell(cell) = definition.source {
                let cell = &mut self.cells[cell as usize];
                cell.behind = cell.behind.saturating_add(definition.weight);
            }
        }
        for flow in &self.flows {
            let definition = &self.definitions[flow.from as usize];
            let is_raw = match definition.source {
                Source::Arithmetic(_) => true,
                Source::Cell(cell) => self.cells[cell as usize].is_raw,
            };
            if is_raw && !definition.is_shown {
                let cell = &mut self.cells[flow.to as usize];
                cell.before = cell.before.saturating_add(definition.weight);
            }
        }
        for cell in &mut self.cells {
            cell.is_checked = cell.is_raw && cell.behind > 0 && cell.before <= cell.behind;
        }
        for flow in &self.flows {
            self.definitions[flow.from as usize].is_shown |=
                self.cells[flow.to as usize].is_checked;
        }
    }
}
