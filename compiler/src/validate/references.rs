//! How many references of a function may be on its stack at a time.
//!
//! Where a function calls, whatever the collector of objects has to find lies in a place on the
//! stack, and the image says for the call which of them hold something. The code generator's
//! alias analysis keeps each such place apart, as it does each global
//! ([`crate::compile::effort`]).
//!
//! May assume a valid module. Counts at least as many as there are: each local that may hold a
//! reference, whether it is used or not, and each height of the operand stack at which one ever
//! stands. References to functions are no objects, and count only where their type is written
//! by its number.

use wasmparser::{
    AbstractHeapType, BinaryReaderError, CompositeInnerType, FuncToValidate, FuncValidator,
    FuncValidatorAllocations, FunctionBody, HeapType, Operator, Parser, ValType, ValidPayload,
    Validator, ValidatorResources, WasmFeatures, WasmModuleResources as _,
};

/// For each defined function, in their order: on how many places of its stack there may be
/// references.
///
/// # Errors
/// When the module is not valid.
pub(crate) fn references(wasm: &[u8]) -> Result<Vec<u64>, BinaryReaderError> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut allocations = FuncValidatorAllocations::default();
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let ValidPayload::Func(function, body) = validator.payload(&payload?)? {
            found.push(of_function(function, &body, &mut allocations)?);
        }
    }
    Ok(found)
}

fn of_function(
    function: FuncToValidate<ValidatorResources>,
    body: &FunctionBody<'_>,
    allocations: &mut FuncValidatorAllocations,
) -> Result<u64, BinaryReaderError> {
    let mut validator = function.into_validator(std::mem::take(allocations));
    let mut reader = body.get_binary_reader();
    validator.read_locals(&mut reader)?;
    reader.set_features(*validator.features());
    let mut references = References::of_locals(&validator);
    while !reader.eof() {
        let operator = reader.peek_operator(&validator.visitor(reader.original_position()))?;
        let before = validator.operand_stack_height();
        reader.visit_operator(&mut validator.visitor(reader.original_position()))??;
        references.add(&operator, before, &validator);
    }
    *allocations = validator.into_allocations();
    Ok(references.places())
}

/// The references of one function, as far as it was read.
#[derive(Debug)]
pub(super) struct References {
    /// Locals that may hold one.
    locals: u64,
    /// By height of the operand stack: whether one ever stood there.
    heights: Vec<bool>,
    /// At how many of these.
    operands: u64,
    /// Operators that may have objects collected.
    collecting: u64,
}

impl References {
    /// Of a function whose locals were read.
    pub(super) fn of_locals(validator: &FuncValidator<ValidatorResources>) -> Self {
        let locals = (0..validator.len_locals())
            .filter(|local| validator.get_local_type(*local).is_some_and(is_object))
            .count() as u64;
        Self { locals, heights: Vec::new(), operands: 0, collecting: 0 }
    }

    /// Takes note of an operator that was just validated; before it, so many operands stood.
    pub(super) fn add(
        &mut self,
        operator: &Operator<'_>,
        before: u32,
        validator: &FuncValidator<ValidatorResources>,
    ) {
        let height = validator.operand_stack_height();
        let pushed = height.saturating_sub(before).max(results(operator, validator.resources()));
        for depth in 0..pushed.min(height) {
            // Where control cannot come the type may be unknown.
            let operand = validator.get_operand_type(depth as usize);
            if operand.is_some_and(|ty| ty.is_none_or(is_object)) {
                self.stands_at((height - 1 - depth) as usize);
            }
        }
        self.collecting += u64::from(collects(operator));
    }

    /// How many there may be at a time.
    pub(super) fn places(&self) -> u64 {
        self.locals + self.operands
    }

    /// The same, for each operator that may have objects collected.
    pub(super) fn kept(&self) -> u64 {
        self.places().saturating_mul(self.collecting)
    }

    fn stands_at(&mut self, height: usize) {
        if self.heights.len() <= height {
            self.heights.resize(height + 1, false);
        }
        self.operands += u64::from(!std::mem::replace(&mut self.heights[height], true));
    }
}

/// Whether objects may be collected while it runs, so that the image says for it where
/// references are.
fn collects(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::StructNew { .. }
            | Operator::StructNewDefault { .. }
            | Operator::ArrayNew { .. }
            | Operator::ArrayNewDefault { .. }
            | Operator::ArrayNewFixed { .. }
            | Operator::ArrayNewData { .. }
            | Operator::ArrayNewElem { .. }
            | Operator::TableGrow { .. }
            | Operator::Throw { .. }
    )
}

/// How many values an operator leaves on the stack, at most.
fn results(operator: &Operator<'_>, resources: &ValidatorResources) -> u32 {
    let ty = match operator {
        Operator::Call { function_index } => resources.type_index_of_function(*function_index),
        Operator::CallIndirect { type_index, .. } | Operator::CallRef { type_index } => {
            Some(*type_index)
        }
        // What stands at a label's end stood there before, or is above what was.
        _ => return 1,
    };
    match ty.and_then(|ty| resources.sub_type_at(ty)).map(|ty| &ty.composite_type.inner) {
        Some(CompositeInnerType::Func(ty)) => ty.results().len() as u32,
        _ => 1,
    }
}

fn is_object(ty: ValType) -> bool {
    let ValType::Ref(reference) = ty else { return false };
    !matches!(
        reference.heap_type(),
        HeapType::Abstract { ty: AbstractHeapType::Func | AbstractHeapType::NoFunc, .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(function: &str) -> u64 {
        let text = format!(
            "(module (type $s (struct)) (func $two (result anyref anyref) unreachable) {function})"
        );
        let found = references(&wat::parse_str(text).unwrap()).unwrap();
        found[1]
    }

    #[test]
    fn locals_and_heights_count_once() {
        assert_eq!(of("(func (param i32 i64) (local f64) (i32.const 1) (drop))"), 0);
        assert_eq!(of("(func (param anyref i32 externref) (local (ref null $s)))"), 3);
        assert_eq!(of("(func (param funcref) (drop (local.get 0)))"), 0);
        assert_eq!(of("(func (drop (struct.new $s)) (drop (struct.new $s)))"), 1);
        assert_eq!(of("(func (struct.new $s) (struct.new $s) (drop) (drop))"), 2);
        assert_eq!(of("(func (i32.const 1) (struct.new $s) (drop) (drop))"), 1);
        assert_eq!(of("(func (call $two) (drop) (drop))"), 2);
    }
}
