//! The cost table: what each operator weighs, in units of fuel.
//!
//! FUEL.md is normative for it. The table is exhaustive by construction: an
//! operator that wasmparser knows and that has no entry here is a compile error.
//! One unit is about what an addition of two locals takes; the tiers follow what
//! the operators cost on real CPUs. Operators whose work depends on an operand
//! have a [`Length`] beside their weight.

use bls_artifact::digest::Sha256;
pub use shapes::{Shapes, Weigher};
use wasmparser::Operator;

#[cfg(test)]
mod document;
mod shapes;

/// The weight of operators that no target of this release runs. Validation
/// refuses them before metering sees one.
const REFUSED: u16 = u16::MAX;

/// Turns the tiers into one constant for each operator and into [`TABLE`].
macro_rules! tiers {
    ($($weight:tt => { $($operator:ident)* })*) => {
        /// One constant for each operator: a missing one does not compile.
        #[expect(non_upper_case_globals, reason = "the operators' own names")]
        mod weight {
            use super::REFUSED;
            $($(pub(super) const $operator: u16 = tiers!(@value $weight);)*)*
        }

        /// Every operator with its weight.
        const TABLE: &[(&str, u16)] = &[$($((stringify!($operator), weight::$operator),)*)*];
    };
    (@value REFUSED) => { REFUSED };
    (@value $weight:literal) => { $weight };
}

tiers! {
    0 => {
        Unreachable Nop Block Loop Else End Drop
    }
    1 => {
        If Br BrIf BrTable Select LocalGet LocalSet LocalTee GlobalGet GlobalSet I32Load I64Load
        F32Load F64Load I32Load8S I32Load8U I32Load16S I32Load16U I64Load8S I64Load8U I64Load16S
        I64Load16U I64Load32S I64Load32U I32Store I64Store F32Store F64Store I32Store8
        I32Store16 I64Store8 I64Store16 I64Store32 MemorySize I32Const I64Const F32Const
        F64Const I32Eqz I32Eq I32Ne I32LtS I32LtU I32GtS I32GtU I32LeS I32LeU I32GeS I32GeU
        I64Eqz I64Eq I64Ne I64LtS I64LtU I64GtS I64GtU I64LeS I64LeU I64GeS I64GeU F32Eq F32Ne
        F32Lt F32Gt F32Le F32Ge F64Eq F64Ne F64Lt F64Gt F64Le F64Ge I32Clz I32Ctz I32Popcnt
        I32Add I32Sub I32Mul I32And I32Or I32Xor I32Shl I32ShrS I32ShrU I32Rotl I32Rotr I64Clz
        I64Ctz I64Popcnt I64Add I64Sub I64Mul I64And I64Or I64Xor I64Shl I64ShrS I64ShrU I64Rotl
        I64Rotr F32Abs F32Neg F32Add F32Sub F32Mul F32Min F32Max F32Copysign F64Abs F64Neg
        F64Add F64Sub F64Mul F64Min F64Max F64Copysign I32WrapI64 I32TruncF32S I32TruncF32U
        I32TruncF64S I32TruncF64U I64ExtendI32S I64ExtendI32U I64TruncF32S I64TruncF32U
        I64TruncF64S I64TruncF64U F32ConvertI32S F32ConvertI32U F32ConvertI64S F32ConvertI64U
        F32DemoteF64 F64ConvertI32S F64ConvertI32U F64ConvertI64S F64ConvertI64U F64PromoteF32
        I32ReinterpretF32 I64ReinterpretF64 F32ReinterpretI32 F64ReinterpretI64 I32Extend8S
        I32Extend16S I64Extend8S I64Extend16S I64Extend32S RefEq StructGet StructGetS StructGetU
        StructSet ArrayGet ArrayGetS ArrayGetU ArraySet ArrayLen AnyConvertExtern
        ExternConvertAny RefI31 I31GetS I31GetU I32TruncSatF32S I32TruncSatF32U I32TruncSatF64S
        I32TruncSatF64U I64TruncSatF32S I64TruncSatF32U I64TruncSatF64S I64TruncSatF64U
        TypedSelect TypedSelectMulti RefNull RefIsNull TableSize I32AtomicLoad I64AtomicLoad
        I32AtomicLoad8U I32AtomicLoad16U I64AtomicLoad8U I64AtomicLoad16U I64AtomicLoad32U
        V128Load V128Load8x8S V128Load8x8U V128Load16x4S V128Load16x4U V128Load32x2S
        V128Load32x2U V128Load8Splat V128Load16Splat V128Load32Splat V128Load64Splat
        V128Load32Zero V128Load64Zero V128Store V128Load8Lane V128Load16Lane V128Load32Lane
        V128Load64Lane V128Store8Lane V128Store16Lane V128Store32Lane V128Store64Lane V128Const
        I8x16Shuffle I8x16ExtractLaneS I8x16ExtractLaneU I8x16ReplaceLane I16x8ExtractLaneS
        I16x8ExtractLaneU I16x8ReplaceLane I32x4ExtractLane I32x4ReplaceLane I64x2ExtractLane
        I64x2ReplaceLane F32x4ExtractLane F32x4ReplaceLane F64x2ExtractLane F64x2ReplaceLane
        I8x16Swizzle I8x16Splat I16x8Splat I32x4Splat I64x2Splat F32x4Splat F64x2Splat I8x16Eq
        I8x16Ne I8x16LtS I8x16LtU I8x16GtS I8x16GtU I8x16LeS I8x16LeU I8x16GeS I8x16GeU I16x8Eq
        I16x8Ne I16x8LtS I16x8LtU I16x8GtS I16x8GtU I16x8LeS I16x8LeU I16x8GeS I16x8GeU I32x4Eq
        I32x4Ne I32x4LtS I32x4LtU I32x4GtS I32x4GtU I32x4LeS I32x4LeU I32x4GeS I32x4GeU I64x2Eq
        I64x2Ne I64x2LtS I64x2GtS I64x2LeS I64x2GeS F32x4Eq F32x4Ne F32x4Lt F32x4Gt F32x4Le
        F32x4Ge F64x2Eq F64x2Ne F64x2Lt F64x2Gt F64x2Le F64x2Ge V128Not V128And V128AndNot
        V128Or V128Xor V128Bitselect V128AnyTrue I8x16Abs I8x16Neg I8x16Popcnt I8x16AllTrue
        I8x16Bitmask I8x16NarrowI16x8S I8x16NarrowI16x8U I8x16Shl I8x16ShrS I8x16ShrU I8x16Add
        I8x16AddSatS I8x16AddSatU I8x16Sub I8x16SubSatS I8x16SubSatU I8x16MinS I8x16MinU
        I8x16MaxS I8x16MaxU I8x16AvgrU I16x8ExtAddPairwiseI8x16S I16x8ExtAddPairwiseI8x16U
        I16x8Abs I16x8Neg I16x8Q15MulrSatS I16x8AllTrue I16x8Bitmask I16x8NarrowI32x4S
        I16x8NarrowI32x4U I16x8ExtendLowI8x16S I16x8ExtendHighI8x16S I16x8ExtendLowI8x16U
        I16x8ExtendHighI8x16U I16x8Shl I16x8ShrS I16x8ShrU I16x8Add I16x8AddSatS I16x8AddSatU
        I16x8Sub I16x8SubSatS I16x8SubSatU I16x8Mul I16x8MinS I16x8MinU I16x8MaxS I16x8MaxU
        I16x8AvgrU I16x8ExtMulLowI8x16S I16x8ExtMulHighI8x16S I16x8ExtMulLowI8x16U
        I16x8ExtMulHighI8x16U I32x4ExtAddPairwiseI16x8S I32x4ExtAddPairwiseI16x8U I32x4Abs
        I32x4Neg I32x4AllTrue I32x4Bitmask I32x4ExtendLowI16x8S I32x4ExtendHighI16x8S
        I32x4ExtendLowI16x8U I32x4ExtendHighI16x8U I32x4Shl I32x4ShrS I32x4ShrU I32x4Add
        I32x4Sub I32x4Mul I32x4MinS I32x4MinU I32x4MaxS I32x4MaxU I32x4DotI16x8S
        I32x4ExtMulLowI16x8S I32x4ExtMulHighI16x8S I32x4ExtMulLowI16x8U I32x4ExtMulHighI16x8U
        I64x2Abs I64x2Neg I64x2AllTrue I64x2Bitmask I64x2ExtendLowI32x4S I64x2ExtendHighI32x4S
        I64x2ExtendLowI32x4U I64x2ExtendHighI32x4U I64x2Shl I64x2ShrS I64x2ShrU I64x2Add
        I64x2Sub I64x2Mul I64x2ExtMulLowI32x4S I64x2ExtMulHighI32x4S I64x2ExtMulLowI32x4U
        I64x2ExtMulHighI32x4U F32x4Ceil F32x4Floor F32x4Trunc F32x4Nearest F32x4Abs F32x4Neg
        F32x4Add F32x4Sub F32x4Mul F32x4PMin F32x4PMax F64x2Ceil F64x2Floor F64x2Trunc
        F64x2Nearest F64x2Abs F64x2Neg F64x2Add F64x2Sub F64x2Mul F64x2PMin F64x2PMax
        F32x4ConvertI32x4S F64x2ConvertLowI32x4S F64x2ConvertLowI32x4U F32x4DemoteF64x2Zero
        F64x2PromoteLowF32x4 I8x16RelaxedSwizzle I8x16RelaxedLaneselect I16x8RelaxedLaneselect
        I32x4RelaxedLaneselect I64x2RelaxedLaneselect I16x8RelaxedQ15mulrS
        I16x8RelaxedDotI8x16I7x16S I32x4RelaxedDotI8x16I7x16AddS TryTable RefAsNonNull BrOnNull
        BrOnNonNull
    }
    2 => {
        Return
    }
    4 => {
        Call I32DivS I32DivU I32RemS I32RemU I64DivS I64DivU I64RemS I64RemU F32Sqrt F32Div
        F64Sqrt F64Div TableGet TableSet ReturnCall F32x4Sqrt F32x4Div F64x2Sqrt F64x2Div
        CallRef ReturnCallRef F32Ceil F32Floor F32Trunc F32Nearest
        F64Ceil F64Floor F64Trunc F64Nearest
        F32x4Min F32x4Max F64x2Min F64x2Max I32x4TruncSatF32x4S I32x4TruncSatF32x4U
        F32x4ConvertI32x4U I32x4TruncSatF64x2SZero I32x4TruncSatF64x2UZero
        I32x4RelaxedTruncF32x4S I32x4RelaxedTruncF32x4U I32x4RelaxedTruncF64x2SZero
        I32x4RelaxedTruncF64x2UZero F32x4RelaxedMadd F32x4RelaxedNmadd F64x2RelaxedMadd
        F64x2RelaxedNmadd F32x4RelaxedMin F32x4RelaxedMax F64x2RelaxedMin F64x2RelaxedMax
    }
    8 => {
        CallIndirect ArrayFill ArrayCopy ArrayInitData ArrayInitElem RefTestNonNull
        RefTestNullable RefCastNonNull RefCastNullable BrOnCast BrOnCastFail MemoryInit DataDrop
        MemoryCopy MemoryFill TableInit ElemDrop TableCopy TableFill ReturnCallIndirect
        I32AtomicStore I64AtomicStore I32AtomicStore8 I32AtomicStore16
        I64AtomicStore8 I64AtomicStore16 I64AtomicStore32 I32AtomicRmwAdd I64AtomicRmwAdd
        I32AtomicRmw8AddU I32AtomicRmw16AddU I64AtomicRmw8AddU I64AtomicRmw16AddU
        I64AtomicRmw32AddU I32AtomicRmwSub I64AtomicRmwSub I32AtomicRmw8SubU I32AtomicRmw16SubU
        I64AtomicRmw8SubU I64AtomicRmw16SubU I64AtomicRmw32SubU I32AtomicRmwAnd I64AtomicRmwAnd
        I32AtomicRmw8AndU I32AtomicRmw16AndU I64AtomicRmw8AndU I64AtomicRmw16AndU
        I64AtomicRmw32AndU I32AtomicRmwOr I64AtomicRmwOr I32AtomicRmw8OrU I32AtomicRmw16OrU
        I64AtomicRmw8OrU I64AtomicRmw16OrU I64AtomicRmw32OrU I32AtomicRmwXor I64AtomicRmwXor
        I32AtomicRmw8XorU I32AtomicRmw16XorU I64AtomicRmw8XorU I64AtomicRmw16XorU
        I64AtomicRmw32XorU I32AtomicRmwXchg I64AtomicRmwXchg I32AtomicRmw8XchgU
        I32AtomicRmw16XchgU I64AtomicRmw8XchgU I64AtomicRmw16XchgU I64AtomicRmw32XchgU
        I32AtomicRmwCmpxchg I64AtomicRmwCmpxchg I32AtomicRmw8CmpxchgU I32AtomicRmw16CmpxchgU
        I64AtomicRmw8CmpxchgU I64AtomicRmw16CmpxchgU I64AtomicRmw32CmpxchgU
    }
    16 => {
        AtomicFence
    }
    32 => {
        RefFunc StructNew StructNewDefault ArrayNew ArrayNewDefault ArrayNewFixed ArrayNewData
        ArrayNewElem
    }
    200 => {
        MemoryGrow TableGrow MemoryAtomicNotify MemoryAtomicWait32 MemoryAtomicWait64
    }
    1000 => {
        Throw ThrowRef
    }
    REFUSED => {
        StructNewDesc StructNewDefaultDesc RefGetDesc RefCastDescEqNonNull RefCastDescEqNullable
        BrOnCastDescEq BrOnCastDescEqFail MemoryDiscard Try Catch Rethrow Delegate CatchAll
        GlobalAtomicGet GlobalAtomicSet GlobalAtomicRmwAdd GlobalAtomicRmwSub GlobalAtomicRmwAnd
        GlobalAtomicRmwOr GlobalAtomicRmwXor GlobalAtomicRmwXchg GlobalAtomicRmwCmpxchg
        TableAtomicGet TableAtomicSet TableAtomicRmwXchg TableAtomicRmwCmpxchg StructAtomicGet
        StructAtomicGetS StructAtomicGetU StructAtomicSet StructAtomicRmwAdd StructAtomicRmwSub
        StructAtomicRmwAnd StructAtomicRmwOr StructAtomicRmwXor StructAtomicRmwXchg
        StructAtomicRmwCmpxchg ArrayAtomicGet ArrayAtomicGetS ArrayAtomicGetU ArrayAtomicSet
        ArrayAtomicRmwAdd ArrayAtomicRmwSub ArrayAtomicRmwAnd ArrayAtomicRmwOr ArrayAtomicRmwXor
        ArrayAtomicRmwXchg ArrayAtomicRmwCmpxchg RefI31Shared ContNew ContBind Suspend Resume
        ResumeThrow ResumeThrowRef Switch I64Add128 I64Sub128 I64MulWideS I64MulWideU
    }
}

macro_rules! define_weight {
    ($(@$proposal:ident $operator:ident $({ $($field:ident: $type:ty),* })? => $visit:ident ($($arity:tt)*))*) => {
        /// The weight of an operator, whatever it names; `None` when no target runs it.
        pub(crate) fn flat(operator: &Operator<'_>) -> Option<u64> {
            let weight = match operator {
                $(Operator::$operator $({ $($field: _),* })? => weight::$operator,)*
                // The enum may grow in a later release of wasmparser; the
                // macro above then names the new operator and asks for it.
                _ => REFUSED,
            };
            (weight != REFUSED).then_some(u64::from(weight))
        }
    };
}
wasmparser::for_each_operator!(define_weight);

/// Units for entering a function with so many locals, parameters not counted: what its
/// first operator pays on top of its weight, unless its body is empty.
#[must_use]
pub fn entry(locals: u64) -> u64 {
    PER_LOCAL.units(locals)
}

/// What an operator pays for its length, on top of its weight.
///
/// `units = min(length, bound) × multiplier >> shift`, all unsigned; the bounds
/// are in FUEL.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Units for each unit of length, before the shift.
    pub multiplier: u64,
    /// Binary logarithm of how many units of length one unit of fuel pays for.
    pub shift: u32,
}

/// Bytes: eight for a unit (`memory.copy`, `memory.fill`, `memory.init` and active data
/// segments).
pub const PER_BYTE: Length = Length { multiplier: 1, shift: 3 };
/// Elements of tables and arrays that are copied, filled or made.
pub const PER_ELEMENT: Length = Length { multiplier: 1, shift: 0 };
/// Elements of tables that come to be or get their first value: of a new table, of
/// `table.grow` and of `table.init`. They are memory that nobody has touched.
pub const PER_SLOT: Length = Length { multiplier: 4, shift: 0 };
/// Items of element segments, at instantiation and where an array is made of them: a
/// function gets a reference when it is first asked for.
pub const PER_ITEM: Length = Length { multiplier: 16, shift: 0 };
/// Pages of 65 536 bytes, for the page faults that follow: 16 of 1024 units.
pub const PER_PAGE: Length = Length { multiplier: 16_384, shift: 0 };
/// Fields of `struct.new`, elements of `array.new_fixed`.
pub const PER_NAMED: Length = Length { multiplier: 1, shift: 0 };
/// Clauses of `try_table`: what is thrown is compared with each.
pub const PER_CLAUSE: Length = Length { multiplier: 4, shift: 0 };
/// Fields and elements that hold function references and are read, written or made one by
/// one: the collector's heap holds numbers in their place.
pub const PER_FUNCTION_REFERENCE: Length = Length { multiplier: 16, shift: 0 };
/// Frames that a call makes in a module with a tag: an exception may have to pass it.
pub const PER_FRAME: Length = Length { multiplier: 16, shift: 0 };
/// Locals of a function that is entered: each may have to be made zero.
pub const PER_LOCAL: Length = Length { multiplier: 1, shift: 3 };
/// Values beyond [`VALUES_FREE`] that a call or a branch hands over, or that a block takes
/// and gives: those that registers do not hold are moved one by one.
pub const PER_VALUE: Length = Length { multiplier: 1, shift: 0 };
/// How many values are handed over for nothing.
pub const VALUES_FREE: u64 = 8;
/// Defined globals, at instantiation.
pub const PER_GLOBAL: Length = Length { multiplier: 8, shift: 0 };
/// Objects that constant expressions make, on top of their weight: each is kept, and the
/// collector looks at all of them again whenever its heap is full.
pub const PER_OBJECT: Length = Length { multiplier: 1024, shift: 0 };
/// Active segments of data and elements, at instantiation.
pub const PER_SEGMENT: Length = Length { multiplier: 16, shift: 0 };
/// Defined memories, at instantiation, whatever their size.
pub const PER_MEMORY: Length = Length { multiplier: 4096, shift: 0 };
/// Defined tables, at instantiation, whatever their size.
pub const PER_TABLE: Length = Length { multiplier: 256, shift: 0 };
/// The most that counts as a length where nothing of the module bounds it: the
/// largest 32-bit operand.
pub const LENGTH_MAX: u64 = u32::MAX as u64;

impl Length {
    /// Units for `length`, saturating.
    #[must_use]
    pub fn units(self, length: u64) -> u64 {
        length.saturating_mul(self.multiplier) >> self.shift
    }
}

/// The canonical text of the table (FUEL.md): a line `NAME WEIGHT` for each
/// operator that a target runs, sorted by name, then the length rules.
#[must_use]
pub fn canonical_text() -> String {
    let mut lines: Vec<String> = TABLE
        .iter()
        .filter(|(_, weight)| *weight != REFUSED)
        .map(|(name, weight)| format!("{name} {weight}\n"))
        .collect();
    lines.sort();
    for (name, length) in [
        ("byte", PER_BYTE),
        ("element", PER_ELEMENT),
        ("slot", PER_SLOT),
        ("item", PER_ITEM),
        ("page", PER_PAGE),
        ("named", PER_NAMED),
        ("clause", PER_CLAUSE),
        ("function-reference", PER_FUNCTION_REFERENCE),
        ("frame", PER_FRAME),
        ("local", PER_LOCAL),
        ("value", PER_VALUE),
        ("global", PER_GLOBAL),
        ("object", PER_OBJECT),
        ("segment", PER_SEGMENT),
        ("memory", PER_MEMORY),
        ("table", PER_TABLE),
    ] {
        lines.push(format!("per-{name} {} >> {}\n", length.multiplier, length.shift));
    }
    lines.push(format!("values-free {VALUES_FREE}\n"));
    lines.push(format!("length-max {LENGTH_MAX}\n"));
    lines.concat()
}

/// SHA-256 of [`canonical_text`].
#[must_use]
pub fn digest() -> Sha256 {
    Sha256::of(canonical_text().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When this fails the cost table has changed: that is a new model. Change
    /// `fuel::MODEL` and the digest in bls-artifact, and the golden vectors.
    #[test]
    fn the_table_is_the_one_that_the_model_names() {
        assert_eq!(digest(), bls_artifact::fuel::cost_table(), "{}", canonical_text());
    }

    #[test]
    fn few_locals_are_free() {
        assert_eq!([0, 7, 8, 49_000].map(entry), [0, 0, 1, 6125]);
    }

    #[test]
    fn every_way_around_a_loop_costs() {
        for operator in [
            Operator::Br { relative_depth: 0 },
            Operator::BrIf { relative_depth: 0 },
            Operator::BrOnNull { relative_depth: 0 },
            Operator::BrOnNonNull { relative_depth: 0 },
            Operator::Call { function_index: 0 },
            Operator::ReturnCall { function_index: 0 },
            Operator::Throw { tag_index: 0 },
        ] {
            assert!(flat(&operator) >= Some(1), "{operator:?}");
        }
    }
}
