//! Metered modules, broken on purpose.
//!
//! Finds the texts that metering injects, by patterns of its own, and makes
//! modules that differ in one of them: gone, twice, another constant, another
//! place. Also ones whose guest code differs, so that charges no longer fit. Says
//! nothing about which mutants are still right: that is the test's.
//!
//! Guarantees: the same mutants in the same order for the same module. Mutants
//! may be invalid.

use bls_artifact::fuel::{COUNTER_EXPORT, OUT_OF_FUEL};
use std::ops::Range;
use wasm_encoder::{BlockType, CodeSection, Encode as _, Instruction, Module, RawSection};
use wasmparser::{Operator, Parser, Payload};

/// A function of the module to be broken.
struct Body<'m> {
    /// The declarations of locals, as bytes.
    locals: &'m [u8],
    operators: Vec<Operator<'m>>,
    /// The bytes of each operator.
    bytes: Vec<&'m [u8]>,
    /// The local that the body begins by loading the counter into.
    local: Option<u32>,
}

/// A text that was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Load,
    Store,
    Charge,
    Check,
    Direct,
    Length,
    Cold,
    Mark,
}

/// A metered module, taken apart.
pub struct Victim<'m> {
    wasm: &'m [u8],
    counter: u32,
    bodies: Vec<Body<'m>>,
}

/// One change: operators of a function, and what stands there instead.
struct Edit {
    range: Range<usize>,
    with: Vec<u8>,
}

/// A module that differs from its victim in one thing.
pub struct Mutant {
    /// What was done.
    pub kind: &'static str,
    /// The defined function it was done to.
    pub function: usize,
    /// The operator it was done at.
    pub at: usize,
    edits: Vec<Edit>,
}

impl<'m> Victim<'m> {
    /// Takes a metered module apart.
    ///
    /// # Panics
    /// When it is not valid, or not metered.
    #[must_use]
    pub fn of(wasm: &'m [u8]) -> Self {
        let mut victim = Self { wasm, counter: u32::MAX, bodies: Vec::new() };
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.expect("a valid module") {
                Payload::ExportSection(section) => {
                    let counter = section
                        .into_iter()
                        .map(Result::unwrap)
                        .find(|export| export.name == COUNTER_EXPORT);
                    victim.counter = counter.expect("a metered module").index;
                }
                Payload::CodeSectionEntry(body) => victim.bodies.push(Body::of(wasm, &body)),
                _ => {}
            }
        }
        victim
    }

    /// Every mutant that this knows to make.
    #[must_use]
    pub fn mutants(&self) -> Vec<Mutant> {
        let mut maker = Maker { counter: self.counter, function: 0, made: Vec::new() };
        for (function, body) in self.bodies.iter().enumerate() {
            maker.function = function;
            maker.body(body);
        }
        maker.made
    }

    /// The bytes of a mutant.
    ///
    /// # Panics
    /// When the victim is not valid.
    #[must_use]
    pub fn build(&self, mutant: &Mutant) -> Vec<u8> {
        let mut module = Module::new();
        for payload in Parser::new(0).parse_all(self.wasm) {
            match payload.expect("a valid module") {
                Payload::CodeSectionStart { .. } => {
                    let mut code = CodeSection::new();
                    for (index, body) in self.bodies.iter().enumerate() {
                        let edits = if index == mutant.function { &mutant.edits[..] } else { &[] };
                        code.raw(&body.edited(edits));
                    }
                    module.section(&code);
                }
                other => {
                    if let Some((id, range)) = other.as_section() {
                        module.section(&RawSection { id, data: &self.wasm[range] });
                    }
                }
            }
        }
        module.finish()
    }
}

impl<'m> Body<'m> {
    fn of(wasm: &'m [u8], body: &wasmparser::FunctionBody<'m>) -> Self {
        let mut reader = body.get_operators_reader().unwrap();
        let locals = &wasm[body.range().start..reader.original_position()];
        let (mut operators, mut bytes) = (Vec::new(), Vec::new());
        while !reader.eof() {
            let start = reader.original_position();
            operators.push(reader.read().unwrap());
            bytes.push(&wasm[start..reader.original_position()]);
        }
        Self { locals, operators, bytes, local: None }
    }

    fn edited(&self, edits: &[Edit]) -> Vec<u8> {
        let mut text = self.locals.to_vec();
        let mut at = 0;
        for edit in edits {
            text.extend(self.bytes[at..edit.range.start].concat());
            text.extend(&edit.with);
            at = edit.range.end;
        }
        text.extend(self.bytes[at..].concat());
        text
    }

    /// The injected text that begins at an operator, and its length.
    fn text(&self, counter: u32, at: usize) -> Option<(Text, usize)> {
        use Operator::{
            BrIf, GlobalGet, GlobalSet, I64Const, I64ExtendI32U, I64LtS, I64Sub, LocalGet,
            LocalSet, Unreachable,
        };
        let local = self.local.unwrap_or(u32::MAX);
        let is_mine = |index: &u32| *index == local;
        match &self.operators[at..] {
            [GlobalGet { global_index }, LocalSet { .. }, ..] if *global_index == counter => {
                Some((Text::Load, 2))
            }
            [GlobalGet { global_index }, I64Const { .. }, I64Sub, GlobalSet { .. }, ..]
                if *global_index == counter =>
            {
                Some((Text::Direct, 4))
            }
            [LocalGet { local_index }, LocalSet { local_index: set }, ..]
                if is_mine(local_index) && is_mine(set) =>
            {
                Some((Text::Mark, 2))
            }
            [LocalGet { local_index }, GlobalSet { .. }, ..] if is_mine(local_index) => {
                Some((Text::Store, 2))
            }
            [LocalGet { local_index }, I64Const { .. }, I64Sub, GlobalSet { .. }, ..]
                if is_mine(local_index) =>
            {
                Some((Text::Store, 4))
            }
            [LocalGet { local_index }, I64Const { .. }, I64Sub, LocalSet { .. }, ..]
                if is_mine(local_index) =>
            {
                Some((Text::Charge, 4))
            }
            [LocalGet { local_index }, I64Const { .. }, I64LtS, BrIf { .. }, ..]
                if is_mine(local_index) =>
            {
                Some((Text::Check, 4))
            }
            [I64Const { value: OUT_OF_FUEL }, GlobalSet { global_index }, Unreachable, ..]
                if *global_index == counter =>
            {
                Some((Text::Cold, 3))
            }
            [I64ExtendI32U, LocalSet { local_index }, rest @ ..]
            | [LocalSet { local_index }, rest @ ..]
                if local.checked_add(1) == Some(*local_index) =>
            {
                let check = rest.iter().position(|operator| matches!(operator, BrIf { .. }))?;
                // Behind the check the length comes back.
                Some((Text::Length, self.operators.len() - at - rest.len() + check + 2))
            }
            _ => None,
        }
    }
}

/// The bytes of some instructions.
fn code(instructions: &[Instruction<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for instruction in instructions {
        instruction.encode(&mut bytes);
    }
    bytes
}

/// Collects mutants.
struct Maker {
    counter: u32,
    function: usize,
    made: Vec<Mutant>,
}

impl Maker {
    fn make(&mut self, kind: &'static str, at: usize, edits: Vec<Edit>) {
        self.made.push(Mutant { kind, function: self.function, at, edits });
    }

    fn replace(&mut self, kind: &'static str, range: Range<usize>, with: Vec<u8>) {
        let at = range.start;
        self.make(kind, at, vec![Edit { range, with }]);
    }

    fn one(&mut self, kind: &'static str, at: usize, with: Instruction<'_>) {
        self.replace(kind, at..at + 1, code(&[with]));
    }

    fn body(&mut self, body: &Body<'_>) {
        let mut body = Body {
            locals: body.locals,
            operators: body.operators.clone(),
            bytes: body.bytes.clone(),
            local: None,
        };
        if let [Operator::GlobalGet { global_index }, Operator::LocalSet { local_index }, ..] =
            body.operators[..]
            && global_index == self.counter
        {
            body.local = Some(local_index);
        }
        let mut at = 0;
        let mut before: Option<(Text, Range<usize>)> = None;
        while at < body.operators.len() {
            let Some((text, length)) = body.text(self.counter, at) else {
                self.guest(&body, at);
                before = None;
                at += 1;
                continue;
            };
            let range = at..at + length;
            self.text(&body, text, range.clone());
            if let Some((_, first)) = before {
                let swapped =
                    [body.bytes[range.clone()].concat(), body.bytes[first.clone()].concat()];
                self.replace("neighbours swapped", first.start..range.end, swapped.concat());
            }
            before = Some((text, range.clone()));
            at = range.end;
        }
    }

    fn text(&mut self, body: &Body<'_>, text: Text, range: Range<usize>) {
        let at = range.start;
        let (gone, twice) = match text {
            Text::Load => ("load dropped", "load twice"),
            Text::Store => ("store dropped", "store twice"),
            Text::Charge => ("charge dropped", "charge twice"),
            Text::Check => ("check dropped", "check twice"),
            Text::Direct => ("direct charge dropped", "direct charge twice"),
            Text::Mark => ("mark dropped", "mark twice"),
            Text::Length => return self.length(body, range),
            Text::Cold => return self.cold(at),
        };
        let bytes = body.bytes[range.clone()].concat();
        self.replace(gone, range.clone(), Vec::new());
        self.replace(twice, range.clone(), bytes.repeat(2));
        match text {
            Text::Check => self.check(body, at),
            Text::Mark => self.mark(body, range.end),
            Text::Load => {
                self.one("load of nothing", at, Instruction::I64Const(1 << 40));
                self.one("load into nothing", at + 1, Instruction::Drop);
            }
            _ => {
                if text == Text::Charge {
                    self.moved(body, range.clone(), &bytes);
                }
                self.one("store into nothing", range.end - 1, Instruction::Drop);
                self.amount(body, range);
            }
        }
        self.wrong_indices(body, at);
    }

    /// Other locals and globals in a text of at most four operators.
    fn wrong_indices(&mut self, body: &Body<'_>, at: usize) {
        for at in at..(at + 4).min(body.operators.len()) {
            match body.operators[at] {
                Operator::LocalGet { local_index } if Some(local_index) == body.local => {
                    for wrong in [local_index + 1, local_index.saturating_sub(1)] {
                        self.one("wrong local", at, Instruction::LocalGet(wrong));
                    }
                }
                Operator::LocalSet { local_index } if Some(local_index) == body.local => {
                    for wrong in [local_index + 1, local_index.saturating_sub(1)] {
                        self.one("wrong local", at, Instruction::LocalSet(wrong));
                    }
                }
                Operator::GlobalSet { global_index } if global_index == self.counter => {
                    for wrong in 0..self.counter.min(8) {
                        self.one("wrong global", at, Instruction::GlobalSet(wrong));
                    }
                }
                Operator::GlobalGet { global_index } if global_index == self.counter => {
                    for wrong in 0..self.counter.min(8) {
                        self.one("wrong global", at, Instruction::GlobalGet(wrong));
                    }
                }
                _ => break,
            }
        }
    }

    /// The constant and the sign of what is taken off.
    fn amount(&mut self, body: &Body<'_>, range: Range<usize>) {
        let at = range.start + 1;
        let Operator::I64Const { value } = body.operators[at] else {
            let more = code(&[Instruction::I64Const(1), Instruction::I64Sub]);
            return self.replace("store of less", at..at, more);
        };
        for other in [value + 1, value - 1, 0, -value, value * 2, value.wrapping_add(1 << 32)] {
            if other != value {
                self.one("amount changed", at, Instruction::I64Const(other));
            }
        }
        self.one("charge added", at + 1, Instruction::I64Add);
    }

    /// A charge behind the operator that it stands before, and the reverse.
    fn moved(&mut self, body: &Body<'_>, range: Range<usize>, bytes: &[u8]) {
        let end = range.end;
        let counter = self.counter;
        let is_text = |at| body.text(counter, at).is_some();
        if end < body.operators.len() && !is_text(end) {
            let kind = if is_branch(&body.operators[end]) {
                "charge moved on, past a branch"
            } else {
                "charge moved on"
            };
            let with = [body.bytes[end], bytes].concat();
            self.replace(kind, range.start..end + 1, with);
        }
        let Some(previous) = range.start.checked_sub(1) else { return };
        if (0..4).any(|back| previous.checked_sub(back).is_some_and(is_text)) {
            return;
        }
        let kind = if is_branch(&body.operators[previous]) {
            "charge moved back, past a branch"
        } else {
            "charge moved back"
        };
        let with = [bytes, body.bytes[previous]].concat();
        self.replace(kind, previous..end, with);
    }

    fn check(&mut self, body: &Body<'_>, at: usize) {
        let Operator::I64Const { value } = body.operators[at + 1] else { return };
        for other in [value + 1, value - 1, -value, 0, i64::MIN] {
            if other != value {
                self.one("check against another number", at + 1, Instruction::I64Const(other));
            }
        }
        for other in [
            Instruction::I64LtU,
            Instruction::I64LeS,
            Instruction::I64GtS,
            Instruction::I64GeS,
            Instruction::I64Eq,
        ] {
            self.one("check compares otherwise", at + 2, other);
        }
        self.one("check ignored", at + 3, Instruction::Drop);
        if let Operator::BrIf { relative_depth } = body.operators[at + 3] {
            for other in [relative_depth + 1, relative_depth.saturating_sub(1)] {
                if other != relative_depth {
                    self.one("check leads elsewhere", at + 3, Instruction::BrIf(other));
                }
            }
        }
    }

    /// What stands behind a mark.
    fn mark(&mut self, body: &Body<'_>, at: usize) {
        match body.operators[at] {
            Operator::Br { .. } => {
                for other in [0, 1, 3] {
                    self.one("copy leaves elsewhere", at, Instruction::Br(other));
                }
                self.one("copy goes on", at, Instruction::Nop);
                // Before the end of the copy's block.
                let again = [body.bytes[at - 2], body.bytes[at - 1], body.bytes[at]].concat();
                self.replace("copy leaves twice", at - 2..at - 2, again);
            }
            Operator::If { .. } => self.edge(body, at),
            _ => {
                self.one("copy in a loop", at, Instruction::Loop(BlockType::Empty));
            }
        }
    }

    /// A branch that pays on the way it takes, from its `if`: charge, branch, end.
    fn edge(&mut self, body: &Body<'_>, at: usize) {
        let branch = at + 5;
        let Operator::Br { relative_depth } = body.operators[branch] else { return };
        for other in [relative_depth + 1, relative_depth - 1] {
            self.one("edge leads elsewhere", branch, Instruction::Br(other));
        }
        self.one("edge goes on", branch, Instruction::Nop);
        let turned = [Instruction::I32Eqz];
        self.replace("edge turned", at - 2..at - 2, code(&turned));
        let always = [Instruction::Drop, Instruction::Block(BlockType::Empty)];
        self.replace("edge always taken", at..at + 1, code(&always));
        // The charge before the condition is looked at.
        let (mark, charge) = (at - 2..at + 1, at + 1..branch);
        let swapped = [body.bytes[charge.clone()].concat(), body.bytes[mark].concat()].concat();
        self.replace("edge pays on both ways", at - 2..charge.end, swapped);
    }

    fn cold(&mut self, at: usize) {
        for other in [0, OUT_OF_FUEL + 1, i64::MAX] {
            self.one("another sentinel", at, Instruction::I64Const(other));
        }
        self.one("no sentinel", at + 1, Instruction::Drop);
        self.one("cold path returns", at + 2, Instruction::Return);
        self.one("cold path goes on", at + 2, Instruction::Nop);
        // Before it stand `return` and `end`.
        self.one("falls into the cold path", at - 2, Instruction::Nop);
    }

    fn length(&mut self, body: &Body<'_>, range: Range<usize>) {
        let end =
            range.end + usize::from(body.operators.get(range.end) == Some(&Operator::I32WrapI64));
        self.replace("length for nothing", range.start..end, Vec::new());
        for at in range.clone() {
            match &body.operators[at] {
                Operator::I64Const { value } => {
                    for other in [value + 1, value - 1, 0] {
                        if other != *value {
                            self.one("length: number", at, Instruction::I64Const(other));
                        }
                    }
                }
                Operator::I64LtU => {
                    self.one("length: clamp signed", at, Instruction::I64LtS);
                    self.one("length: clamp reversed", at, Instruction::I64GtU);
                }
                Operator::I64ExtendI32U => {
                    self.one("length: sign", at, Instruction::I64ExtendI32S);
                }
                Operator::I64Sub => self.one("length: refund", at, Instruction::I64Add),
                Operator::BrIf { .. } => self.one("length: no check", at, Instruction::Drop),
                Operator::MemorySize { mem } => {
                    self.one("length: wrong size", at, Instruction::MemorySize(mem ^ 1));
                }
                Operator::TableSize { table } => {
                    self.one("length: wrong size", at, Instruction::TableSize(table ^ 1));
                }
                Operator::LocalGet { local_index } => {
                    for other in [local_index + 1, local_index.saturating_sub(1)] {
                        self.one("length: wrong local", at, Instruction::LocalGet(other));
                    }
                }
                Operator::LocalTee { local_index } => {
                    self.one("length: not kept", at, Instruction::Nop);
                    self.one("length: wrong local", at, Instruction::LocalTee(local_index - 1));
                }
                Operator::Select => self.one("length: no clamp", at, Instruction::Drop),
                _ => {}
            }
        }
    }

    /// Changes to what the guest does, and text where none belongs.
    fn guest(&mut self, body: &Body<'_>, at: usize) {
        // Every third place is enough: most of these are refused alike.
        if let Some(local) = body.local
            && at > 2
            && at.is_multiple_of(3)
        {
            let charge = |units| {
                code(&[
                    Instruction::LocalGet(local),
                    Instruction::I64Const(units),
                    Instruction::I64Sub,
                    Instruction::LocalSet(local),
                ])
            };
            let mark = [Instruction::LocalGet(local), Instruction::LocalSet(local)];
            self.replace("mark added", at..at, code(&mark));
            self.replace("charge too many", at..at, charge(1));
            self.replace("refund", at..at, charge(-1));
            let load = [Instruction::GlobalGet(self.counter), Instruction::LocalSet(local)];
            self.replace("load too many", at..at, code(&load));
        }
        match body.operators[at] {
            Operator::I32Const { value } => {
                self.one("guest: constant", at, Instruction::I32Const(value.wrapping_add(1)));
            }
            Operator::Br { relative_depth } => {
                self.one("guest: branch", at, Instruction::Br(relative_depth + 1));
            }
            Operator::BrIf { relative_depth } => {
                self.one("guest: branch", at, Instruction::BrIf(relative_depth + 1));
            }
            Operator::I32Add => self.one("guest: operator", at, Instruction::I32Mul),
            Operator::Call { function_index } => {
                self.one("guest: call", at, Instruction::Call(function_index ^ 1));
            }
            Operator::Drop => {
                let more = [Instruction::I32Const(0), Instruction::Drop, Instruction::Drop];
                self.replace("guest: more", at..at + 1, code(&more));
            }
            _ => {}
        }
    }
}

/// Whether control can go elsewhere, or somebody can look.
fn is_branch(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::BrOnCast { .. }
            | Operator::BrOnCastFail { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::Loop { .. }
            | Operator::End
            | Operator::Return
    )
}
