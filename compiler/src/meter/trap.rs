//! Operators whose trap finds the counter exact, because it is stored before them.
//!
//! Those where a store is cheap beside the work: integer divisions and conversions to
//! integers that may trap. (`unreachable`, where storing costs nothing at all, is
//! [`super::function`]'s.) Loads, stores and accesses to objects are too frequent.

use wasmparser::Operator;

/// Whether the operator may trap and is one of these. `constant` is the divisor, where
/// the operator before pushed it.
pub(super) fn is_exact(operator: &Operator<'_>, constant: Option<u64>) -> bool {
    match operator {
        Operator::I32DivU | Operator::I64DivU | Operator::I32RemU | Operator::I64RemU => {
            constant.is_none_or(|divisor| divisor == 0)
        }
        // The least number has no opposite.
        Operator::I32DivS | Operator::I32RemS => {
            constant.is_none_or(|divisor| divisor == 0 || divisor == u64::from(u32::MAX))
        }
        Operator::I64DivS | Operator::I64RemS => {
            constant.is_none_or(|divisor| divisor == 0 || divisor == u64::MAX)
        }
        Operator::I32TruncF32S
        | Operator::I32TruncF32U
        | Operator::I32TruncF64S
        | Operator::I32TruncF64U
        | Operator::I64TruncF32S
        | Operator::I64TruncF32U
        | Operator::I64TruncF64S
        | Operator::I64TruncF64U => true,
        _ => false,
    }
}
