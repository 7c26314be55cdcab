//! What each operator does with the bits of a NaN, and the text of a check. NAN.md is normative.
//!
//! Shared by the plan and the proof, as the cost table is by meter and audit. What is not in
//! the table counts as one that shows the bits of all its operands, and whose results keep
//! theirs: an operator that is forgotten here costs time, and never a bit.

use wasmparser::{Operator, V128, ValType};

/// How a value is divided into numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    F32,
    F64,
    F32x4,
    F64x2,
}

impl Shape {
    /// The type of such a value.
    pub(super) fn ty(self) -> ValType {
        match self {
            Self::F32 => ValType::F32,
            Self::F64 => ValType::F64,
            Self::F32x4 | Self::F64x2 => ValType::V128,
        }
    }
}

/// What is known of the bits of a value, from which the bits are that the rule gives it.
///
/// ```text
///             Mixed(shape)
///              /        \
///           Kept      Raw(shape)
///              \        /
///            Checked(shape)
///                  |
///                Plain
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It has its bits, and is no NaN but the canonical one, however it is divided.
    Plain,
    /// It has its bits, and divided like this it is no NaN but the canonical one.
    Checked(Shape),
    /// It has its bits, and may be any NaN: a copy of something.
    Kept,
    /// A result of arithmetic: where it is a NaN, it has any NaN's bits in place of the
    /// canonical ones.
    Raw(Shape),
    /// Kept or raw, and nobody knows which: good for arithmetic alone.
    Mixed(Shape),
}

impl Class {
    /// Whether whatever is true of a value of class `other` holds for this one too.
    pub(super) fn is_within(self, other: Self) -> bool {
        self.joined(other) == Some(other)
    }

    /// The class of a value that is of one or the other; `None` where there is none.
    pub(super) fn joined(self, other: Self) -> Option<Self> {
        match (self, other) {
            _ if self == other => Some(self),
            (Self::Plain, class) | (class, Self::Plain) => Some(class),
            (Self::Checked(_) | Self::Kept, Self::Checked(_) | Self::Kept) => Some(Self::Kept),
            (Self::Checked(one), Self::Raw(two)) | (Self::Raw(one), Self::Checked(two))
                if one == two =>
            {
                Some(Self::Raw(one))
            }
            (Self::Raw(one) | Self::Mixed(one), Self::Raw(two) | Self::Mixed(two)) => {
                (one == two).then_some(Self::Mixed(one))
            }
            (Self::Raw(shape) | Self::Mixed(shape), _)
            | (_, Self::Raw(shape) | Self::Mixed(shape)) => Some(Self::Mixed(shape)),
        }
    }

    /// Whether its bits may be seen.
    pub(super) fn has_its_bits(self) -> bool {
        !matches!(self, Self::Raw(_) | Self::Mixed(_))
    }

    /// Whether an operator may take it that looks at numbers of this shape, and not at the bits
    /// of a NaN.
    pub(super) fn may_be_taken_as(self, shape: Shape) -> bool {
        self.is_within(Self::Mixed(shape))
    }
}

/// What an operator does with the bits of its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Arithmetic: its result is a NaN or not whatever the bits of NaNs among its operands are.
    Arithmetic { operands: u32, takes: Shape, gives: Shape },
    /// A comparison, or a conversion to integers: a NaN is a NaN. The result is no float.
    Blind { operands: u32, takes: Shape },
    /// Its result is no NaN but the canonical one.
    Plain { operands: u32 },
    /// It shows the bits of its operands, and the results have theirs.
    Other,
}

/// The sort of an operator.
pub(super) fn sort(operator: &Operator<'_>) -> Sort {
    use Operator::*;
    use Shape::*;
    let arithmetic = |operands, shape| Sort::Arithmetic { operands, takes: shape, gives: shape };
    let converted = |takes, gives| Sort::Arithmetic { operands: 1, takes, gives };
    let blind = |operands, takes| Sort::Blind { operands, takes };
    match operator {
        F32Add | F32Sub | F32Mul | F32Div | F32Min | F32Max => arithmetic(2, F32),
        F64Add | F64Sub | F64Mul | F64Div | F64Min | F64Max => arithmetic(2, F64),
        F32Sqrt | F32Ceil | F32Floor | F32Trunc | F32Nearest => arithmetic(1, F32),
        F64Sqrt | F64Ceil | F64Floor | F64Trunc | F64Nearest => arithmetic(1, F64),
        F32DemoteF64 => converted(F64, F32),
        F64PromoteF32 => converted(F32, F64),
        F32x4Add | F32x4Sub | F32x4Mul | F32x4Div | F32x4Min | F32x4Max | F32x4RelaxedMin
        | F32x4RelaxedMax => arithmetic(2, F32x4),
        F64x2Add | F64x2Sub | F64x2Mul | F64x2Div | F64x2Min | F64x2Max | F64x2RelaxedMin
        | F64x2RelaxedMax => arithmetic(2, F64x2),
        F32x4Sqrt | F32x4Ceil | F32x4Floor | F32x4Trunc | F32x4Nearest => arithmetic(1, F32x4),
        F64x2Sqrt | F64x2Ceil | F64x2Floor | F64x2Trunc | F64x2Nearest => arithmetic(1, F64x2),
        F32x4RelaxedMadd | F32x4RelaxedNmadd => arithmetic(3, F32x4),
        F64x2RelaxedMadd | F64x2RelaxedNmadd => arithmetic(3, F64x2),
        F32x4DemoteF64x2Zero => converted(F64x2, F32x4),
        F64x2PromoteLowF32x4 => converted(F32x4, F64x2),

        F32Eq | F32Ne | F32Lt | F32Gt | F32Le | F32Ge => blind(2, F32),
        F64Eq | F64Ne | F64Lt | F64Gt | F64Le | F64Ge => blind(2, F64),
        I32TruncF32S | I32TruncF32U | I64TruncF32S | I64TruncF32U | I32TruncSatF32S
        | I32TruncSatF32U | I64TruncSatF32S | I64TruncSatF32U => blind(1, F32),
        I32TruncF64S | I32TruncF64U | I64TruncF64S | I64TruncF64U | I32TruncSatF64S
        | I32TruncSatF64U | I64TruncSatF64S | I64TruncSatF64U => blind(1, F64),
        F32x4Eq | F32x4Ne | F32x4Lt | F32x4Gt | F32x4Le | F32x4Ge => blind(2, F32x4),
        F64x2Eq | F64x2Ne | F64x2Lt | F64x2Gt | F64x2Le | F64x2Ge => blind(2, F64x2),
        I32x4TruncSatF32x4S
        | I32x4TruncSatF32x4U
        | I32x4RelaxedTruncF32x4S
        | I32x4RelaxedTruncF32x4U => blind(1, F32x4),
        I32x4TruncSatF64x2SZero
        | I32x4TruncSatF64x2UZero
        | I32x4RelaxedTruncF64x2SZero
        | I32x4RelaxedTruncF64x2UZero => blind(1, F64x2),

        F32ConvertI32S
        | F32ConvertI32U
        | F32ConvertI64S
        | F32ConvertI64U
        | F64ConvertI32S
        | F64ConvertI32U
        | F64ConvertI64S
        | F64ConvertI64U
        | F32x4ConvertI32x4S
        | F32x4ConvertI32x4U
        | F64x2ConvertLowI32x4S
        | F64x2ConvertLowI32x4U => Sort::Plain { operands: 1 },
        F32Const { value } if is_plain_32(value.bits()) => Sort::Plain { operands: 0 },
        F64Const { value } if is_plain_64(value.bits()) => Sort::Plain { operands: 0 },
        V128Const { value } if is_plain(*value) => Sort::Plain { operands: 0 },
        _ => Sort::Other,
    }
}

/// The canonical NaNs: what the engine's own rule gives.
pub(super) const NAN_32: u32 = 0x7fc0_0000;
pub(super) const NAN_64: u64 = 0x7ff8_0000_0000_0000;
/// The same in every lane.
pub(super) const NANS_32X4: u128 = 0x7fc0_0000_7fc0_0000_7fc0_0000_7fc0_0000;
pub(super) const NANS_64X2: u128 = 0x7ff8_0000_0000_0000_7ff8_0000_0000_0000;

fn is_plain_32(bits: u32) -> bool {
    !f32::from_bits(bits).is_nan() || bits == NAN_32
}

fn is_plain_64(bits: u64) -> bool {
    !f64::from_bits(bits).is_nan() || bits == NAN_64
}

fn is_plain(value: V128) -> bool {
    let (quarters, halves) = (value.bytes().as_chunks::<4>().0, value.bytes().as_chunks::<8>().0);
    quarters.iter().all(|lane| is_plain_32(u32::from_le_bytes(*lane)))
        && halves.iter().all(|lane| is_plain_64(u64::from_le_bytes(*lane)))
}

/// The text of a check of the value on top of the stack, by a local of its type that nothing
/// else uses.
pub(super) fn check(shape: Shape, scratch: u32, to: &mut Vec<u8>) {
    use wasm_encoder::{BlockType, Ieee32, Ieee64, InstructionSink};
    let mut text = InstructionSink::new(to);
    text.local_set(scratch).block(BlockType::Empty).local_get(scratch).local_get(scratch);
    // A NaN is not even as large as itself: of all comparisons this one is a single branch on
    // every CPU.
    match shape {
        Shape::F32 => text.f32_ge().br_if(0).f32_const(Ieee32::new(NAN_32)),
        Shape::F64 => text.f64_ge().br_if(0).f64_const(Ieee64::new(NAN_64)),
        Shape::F32x4 => {
            text.f32x4_ne().v128_any_true().i32_eqz().br_if(0).local_get(scratch);
            text.v128_const(NANS_32X4.cast_signed()).local_get(scratch).local_get(scratch);
            text.f32x4_eq().v128_bitselect()
        }
        Shape::F64x2 => {
            text.f64x2_ne().v128_any_true().i32_eqz().br_if(0).local_get(scratch);
            text.v128_const(NANS_64X2.cast_signed()).local_get(scratch).local_get(scratch);
            text.f64x2_eq().v128_bitselect()
        }
    };
    text.local_set(scratch).end().local_get(scratch);
}
