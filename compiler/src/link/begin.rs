//! How the modules of a program begin: what is done before anything of it is called.
//!
//! Each module would be made by itself, in order: its segments are copied, its start function
//! runs, and of a library `_initialize` runs. In one module the engine copies all segments first
//! and then runs one start function. The difference can be seen only where some module's code
//! runs before a later module's segments are copied, and only of segments that reach into what
//! an earlier module defines, or that may not fit: of all others nobody knows anything before
//! their own module begins. The segments of a module that has one of those are copied by the
//! start function, at their turn; all others stay with the engine, which maps them without
//! copying.

use super::error::LinkError;
use super::module::Kind;
use super::reach;
use super::resolve::{Item, Layout, Program};
use super::write::Mover;
use wasm_encoder::Function;
use wasmparser::{ConstExpr, DataKind, ElementItems, ElementKind, Operator};

/// What is done, one thing after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A module's segments are copied.
    Segments(usize),
    /// A function is called.
    Call(u32),
}

/// How a program begins.
pub(super) struct Begin {
    steps: Vec<Step>,
    /// For each module, whether its segments are copied by the start function.
    pub(super) is_deferred: Vec<bool>,
}

/// What the start function is.
pub(super) enum Start {
    /// There is none.
    None,
    /// One that is there.
    This(u32),
    /// A new one.
    New(Function),
}

impl Begin {
    pub(super) fn of(program: &mut Program<'_>, layout: &Layout) -> Result<Self, LinkError> {
        let plain = program.types.function(&[], &[]);
        let mut begin = Self { steps: Vec::new(), is_deferred: vec![false; program.modules.len()] };
        let mut has_run = false;
        for (at, module) in program.modules.iter().enumerate().take(program.entry + 1) {
            if has_run && !is_quiet(program, at)? {
                begin.is_deferred[at] = true;
                begin.steps.push(Step::Segments(at));
            }
            let mut call = |index| {
                let item = Item { module: at, kind: Kind::Function, index };
                begin.steps.push(Step::Call(layout.number(item)));
                has_run = true;
            };
            module.start.into_iter().for_each(&mut call);
            // The entry's is called by whoever calls the entry; a component calls its modules'
            // itself.
            let initialize = module.exported("_initialize", Kind::Function);
            let is_ours = at != program.entry && !program.is_component;
            let Some(index) = initialize.filter(|_| is_ours) else { continue };
            let ty = module.functions.get(index as usize);
            let ty = ty.and_then(|ty| program.numbers[at].get(*ty as usize));
            if !ty.is_some_and(|ty| program.types.is_subtype(*ty, plain)) {
                return Err(LinkError::Initializer(module.name.to_owned()));
            }
            call(index);
        }
        Ok(begin)
    }

    /// The start function.
    pub(super) fn start(
        &self,
        program: &Program<'_>,
        movers: &mut [Mover<'_>],
    ) -> Result<Start, LinkError> {
        match self.steps.as_slice() {
            [] => return Ok(Start::None),
            [Step::Call(one)] => return Ok(Start::This(*one)),
            _ => {}
        }
        let mut function = Function::new([]);
        for step in &self.steps {
            match step {
                Step::Call(number) => {
                    function.instructions().call(*number);
                }
                Step::Segments(at) => {
                    copy_segments(program, *at, &mut movers[*at], &mut function)?;
                }
            }
        }
        function.instructions().end();
        Ok(Start::New(function))
    }
}

/// Copies all active segments of a module, as the engine would: elements, then data.
fn copy_segments(
    program: &Program<'_>,
    at: usize,
    mover: &mut Mover<'_>,
    function: &mut Function,
) -> Result<(), LinkError> {
    let module = &program.modules[at];
    for (element, nth) in module.elements.iter().zip(0..) {
        let ElementKind::Active { table_index, offset_expr } = &element.kind else { continue };
        if !reach::keeps_segment(program, at, element) {
            continue;
        }
        let table = mover.number(Kind::Table, table_index.unwrap_or(0));
        let count = match &element.items {
            ElementItems::Functions(items) => items.count(),
            ElementItems::Expressions(_, items) => items.count(),
        };
        function.raw(mover.code_of(offset_expr)?);
        let segment = mover.elements + nth;
        let mut code = function.instructions();
        code.i32_const(0).i32_const(count.cast_signed()).table_init(table, segment);
        code.elem_drop(segment);
    }
    for (data, nth) in module.data.iter().zip(0..) {
        let DataKind::Active { memory_index, offset_expr } = &data.kind else { continue };
        let memory = mover.number(Kind::Memory, *memory_index);
        function.raw(mover.code_of(offset_expr)?);
        let segment = mover.data + nth;
        let mut code = function.instructions();
        code.i32_const(0).i32_const((data.data.len() as u32).cast_signed());
        code.memory_init(memory, segment).data_drop(segment);
    }
    Ok(())
}

/// Whether nobody but the module itself can see that its segments are copied: they go into what
/// it defines, and fit.
fn is_quiet(program: &Program<'_>, at: usize) -> Result<bool, LinkError> {
    let module = &program.modules[at];
    for element in &module.elements {
        let ElementKind::Active { table_index, offset_expr } = &element.kind else { continue };
        if !reach::keeps_segment(program, at, element) {
            continue;
        }
        let at = table_index.unwrap_or(0) as usize;
        let count = match &element.items {
            ElementItems::Functions(items) => items.count(),
            ElementItems::Expressions(_, items) => items.count(),
        };
        let size = module.tables.get(at).map_or(0, |table| u128::from(table.initial));
        let is_own = at >= module.imported[Kind::Table as usize].len();
        if !is_own || !fits(offset_expr, u64::from(count), size)? {
            return Ok(false);
        }
    }
    for data in &module.data {
        let DataKind::Active { memory_index, offset_expr } = &data.kind else { continue };
        let at = *memory_index as usize;
        let size = module
            .memories
            .get(at)
            .map_or(0, |memory| u128::from(memory.initial) << memory.page_size_log2.unwrap_or(16));
        let is_own = at >= module.imported[Kind::Memory as usize].len();
        if !is_own || !fits(offset_expr, data.data.len() as u64, size)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether it is plain that so much fits behind this offset.
fn fits(offset: &ConstExpr<'_>, length: u64, size: u128) -> Result<bool, LinkError> {
    let mut operators = offset.get_operators_reader();
    let offset = match operators.read()? {
        Operator::I32Const { value } => u64::from(value.cast_unsigned()),
        Operator::I64Const { value } => value.cast_unsigned(),
        _ => return Ok(false),
    };
    let is_all = matches!(operators.read()?, Operator::End);
    Ok(is_all && u128::from(offset) + u128::from(length) <= size)
}
