//! How many values go to functions and back: what the code generator pays for by the value,
//! however few bytes a call has.
//!
//! A call of a function of 1000 parameters and 1000 results has two bytes where the results
//! of one are the parameters of the next, and so has a function of such a type, or an object of as many fields. May assume
//! valid operators.

use wasmparser::{CompositeInnerType, Operator, ValidatorResources, WasmModuleResources as _};

/// What an element of `array.new_fixed` counts: native code looks up its place as if nothing
/// were known of the array.
const ELEMENT: u64 = 8;

/// The values that an operator passes to a function and back, or makes by default.
pub(super) fn passed(operator: &Operator<'_>, resources: &ValidatorResources) -> u64 {
    match operator {
        Operator::Call { function_index } | Operator::ReturnCall { function_index } => resources
            .type_index_of_function(*function_index)
            .map_or(0, |index| by_type(index, resources)),
        Operator::CallIndirect { type_index, .. }
        | Operator::ReturnCallIndirect { type_index, .. }
        | Operator::CallRef { type_index }
        | Operator::ReturnCallRef { type_index } => by_type(*type_index, resources),
        // Each is written for itself.
        Operator::StructNewDefault { struct_type_index } => {
            match resources.sub_type_at(*struct_type_index).map(|ty| &ty.composite_type.inner) {
                Some(CompositeInnerType::Struct(ty)) => ty.fields.len() as u64,
                _ => 0,
            }
        }
        Operator::ArrayNewFixed { array_size, .. } => u64::from(*array_size) * ELEMENT,
        _ => 0,
    }
}

/// The parameters and results of a type of functions.
pub(super) fn by_type(index: u32, resources: &ValidatorResources) -> u64 {
    match resources.sub_type_at(index).map(|ty| &ty.composite_type.inner) {
        Some(CompositeInnerType::Func(ty)) => (ty.params().len() + ty.results().len()) as u64,
        _ => 0,
    }
}
