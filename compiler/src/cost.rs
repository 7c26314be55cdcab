//! The cost table: what each operator weighs, in units of fuel.
//!
//! FUEL.md is normative for it. The table is exhaustive by construction: an
//! operator that wasmparser knows and that has no entry here is a compile error.
//! One unit is about what an addition of two locals takes; the tiers follow what
//! the operators cost on real CPUs. Operators whose work depends on an operand
//! have a [`Length`] beside their weight.

use bls_artifact::digest::Sha256;
use wasmparser::{
    AbstractHeapType, BlockType, CompositeInnerType, FieldType, HeapType, Operator, StorageType,
    ValType,
};

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

/// What the weight of an operator depends on beside the operator: what the module's
/// types hold, and whether an exception can pass its frames.
#[derive(Clone, Debug, Default)]
pub struct Shapes {
    /// By type index.
    types: Vec<Shape>,
    /// By function index, imported ones first: type indices.
    functions: Vec<u32>,
    has_tags: bool,
}

/// What is known of one type.
#[derive(Clone, Debug)]
enum Shape {
    Function {
        parameters: u64,
        results: u64,
    },
    /// The fields of a struct, or the one of an array, by what they refer to.
    Fields(Vec<Referent>),
    Other,
}

/// What a field refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Referent {
    /// A function, whichever.
    Function,
    /// Something of this type of the module.
    Type(u32),
    /// No function.
    Other,
}

impl Shapes {
    /// Takes note of the next type of the module.
    pub fn add(&mut self, ty: &CompositeInnerType) {
        let referents = |fields: &[FieldType]| {
            Shape::Fields(fields.iter().map(|field| referent(field.element_type)).collect())
        };
        self.types.push(match ty {
            CompositeInnerType::Func(ty) => Shape::Function {
                parameters: ty.params().len() as u64,
                results: ty.results().len() as u64,
            },
            CompositeInnerType::Struct(ty) => referents(&ty.fields),
            CompositeInnerType::Array(ty) => referents(&[ty.0]),
            CompositeInnerType::Cont(_) => Shape::Other,
        });
    }

    /// Takes note of the next function, imported or not, by its type.
    pub fn add_function(&mut self, ty: u32) {
        self.functions.push(ty);
    }

    /// Takes note of a tag, imported or not.
    pub fn add_tag(&mut self) {
        self.has_tags = true;
    }

    /// The weight of an operator of a constant expression; `None` when no target runs it.
    #[must_use]
    pub fn constant(&self, operator: &Operator<'_>) -> Option<u64> {
        let makes_one = matches!(
            operator,
            Operator::StructNew { .. }
                | Operator::StructNewDefault { .. }
                | Operator::ArrayNew { .. }
                | Operator::ArrayNewDefault { .. }
                | Operator::ArrayNewFixed { .. }
        );
        Some(self.weight(operator)? + PER_OBJECT.units(u64::from(makes_one)))
    }

    /// The weight of an operator of a function, but for what a branch pays for the values
    /// that it takes along: see [`Weigher`].
    #[must_use]
    pub fn weight(&self, operator: &Operator<'_>) -> Option<u64> {
        Some(flat(operator)? + self.named(operator))
    }

    /// What an operator pays for what it names, on top of its entry in the table.
    fn named(&self, operator: &Operator<'_>) -> u64 {
        let functions = |count: u64| PER_FUNCTION_REFERENCE.units(count);
        match operator {
            Operator::StructNew { struct_type_index: ty }
            | Operator::StructNewDefault { struct_type_index: ty } => {
                let fields = self.fields(*ty);
                let referring = fields.iter().filter(|field| self.is_function(**field)).count();
                PER_NAMED.units(fields.len() as u64) + functions(referring as u64)
            }
            Operator::ArrayNewFixed { array_type_index: ty, array_size } => {
                let elements = u64::from(*array_size);
                PER_NAMED.units(elements) + self.function_at(*ty, 0) * elements
            }
            Operator::StructGet { struct_type_index: ty, field_index: field }
            | Operator::StructSet { struct_type_index: ty, field_index: field } => {
                self.function_at(*ty, *field)
            }
            Operator::ArrayGet { array_type_index: ty }
            | Operator::ArraySet { array_type_index: ty } => self.function_at(*ty, 0),
            Operator::TryTable { try_table } => {
                let clauses = PER_CLAUSE.units(try_table.catches.len() as u64);
                clauses + passed(self.passed_by_block(try_table.ty))
            }
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                passed(self.passed_by_block(*blockty))
            }
            Operator::Call { function_index } => self.frame() + self.called(*function_index),
            Operator::CallIndirect { type_index, .. } | Operator::CallRef { type_index } => {
                self.frame() + passed(self.passed_by_type(*type_index))
            }
            Operator::ReturnCall { function_index } => self.called(*function_index),
            Operator::ReturnCallIndirect { type_index, .. }
            | Operator::ReturnCallRef { type_index } => passed(self.passed_by_type(*type_index)),
            _ => 0,
        }
    }

    /// What a call pays for being one that an exception may have to pass.
    fn frame(&self) -> u64 {
        PER_FRAME.units(u64::from(self.has_tags))
    }

    /// What a call of this function pays for the values that it passes.
    fn called(&self, function: u32) -> u64 {
        let ty = self.functions.get(function as usize);
        passed(ty.map_or((0, 0), |ty| self.passed_by_type(*ty)))
    }

    /// Parameters and results of a function type.
    fn passed_by_type(&self, ty: u32) -> (u64, u64) {
        match self.types.get(ty as usize) {
            Some(Shape::Function { parameters, results }) => (*parameters, *results),
            _ => (0, 0),
        }
    }

    /// Parameters and results of a block.
    fn passed_by_block(&self, ty: BlockType) -> (u64, u64) {
        match ty {
            BlockType::Empty => (0, 0),
            BlockType::Type(_) => (0, 1),
            BlockType::FuncType(ty) => self.passed_by_type(ty),
        }
    }

    /// What a function reference in a field costs, when there is one.
    fn function_at(&self, ty: u32, field: u32) -> u64 {
        let field = self.fields(ty).get(field as usize);
        PER_FUNCTION_REFERENCE.units(u64::from(field.is_some_and(|field| self.is_function(*field))))
    }

    fn fields(&self, ty: u32) -> &[Referent] {
        match self.types.get(ty as usize) {
            Some(Shape::Fields(fields)) => fields,
            _ => &[],
        }
    }

    fn is_function(&self, field: Referent) -> bool {
        match field {
            Referent::Function => true,
            Referent::Type(ty) => {
                matches!(self.types.get(ty as usize), Some(Shape::Function { .. }))
            }
            Referent::Other => false,
        }
    }
}

fn referent(field: StorageType) -> Referent {
    let StorageType::Val(ValType::Ref(reference)) = field else { return Referent::Other };
    match reference.heap_type() {
        HeapType::Abstract { ty: AbstractHeapType::Func | AbstractHeapType::NoFunc, .. } => {
            Referent::Function
        }
        HeapType::Concrete(index) | HeapType::Exact(index) => {
            index.as_module_index().map_or(Referent::Other, Referent::Type)
        }
        HeapType::Abstract { .. } => Referent::Other,
    }
}

/// What is paid for so many parameters and results.
fn passed((parameters, results): (u64, u64)) -> u64 {
    PER_VALUE.units((parameters + results).saturating_sub(VALUES_FREE))
}

/// Weighs the operators of one body, which it must be shown one by one, unreachable ones
/// included: what a branch weighs depends on how many values its label takes.
///
/// ```wat
/// loop (param i32 i32 … i32)   ;; 1000 of them: 992 units
///   i32.const 0                ;; 1
///   br 0                       ;; 1 + 992: each value moves to where the next one was
/// end
/// ```
#[derive(Clone, Debug)]
pub struct Weigher<'s> {
    shapes: &'s Shapes,
    /// By open label, the innermost last: how many values a branch to it takes along.
    labels: Vec<u64>,
}

impl<'s> Weigher<'s> {
    /// At the beginning of a function of this type.
    #[must_use]
    pub fn new(shapes: &'s Shapes, ty: u32) -> Self {
        Self { shapes, labels: vec![shapes.passed_by_type(ty).1] }
    }

    /// The weight of the next operator; `None` when no target runs it.
    pub fn weigh(&mut self, operator: &Operator<'_>) -> Option<u64> {
        let weight = self.shapes.weight(operator)? + self.carried(operator);
        self.follow(operator);
        Some(weight)
    }

    /// Shows an operator that is nobody's to pay for.
    pub fn follow(&mut self, operator: &Operator<'_>) {
        match operator {
            Operator::Block { blockty: ty } | Operator::If { blockty: ty } => {
                self.labels.push(self.shapes.passed_by_block(*ty).1);
            }
            Operator::TryTable { try_table } => {
                self.labels.push(self.shapes.passed_by_block(try_table.ty).1);
            }
            Operator::Loop { blockty } => {
                self.labels.push(self.shapes.passed_by_block(*blockty).0);
            }
            Operator::End => {
                self.labels.pop();
            }
            _ => {}
        }
    }

    /// What a branch pays for the values that it takes along.
    fn carried(&self, operator: &Operator<'_>) -> u64 {
        let depth = match operator {
            Operator::Br { relative_depth }
            | Operator::BrIf { relative_depth }
            | Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth }
            | Operator::BrOnCast { relative_depth, .. }
            | Operator::BrOnCastFail { relative_depth, .. } => *relative_depth,
            // All its labels take the same number.
            Operator::BrTable { targets } => targets.default(),
            _ => return 0,
        };
        let label = self.labels.iter().nth_back(depth as usize);
        passed((label.copied().unwrap_or(0), 0))
    }
}

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
    fn what_is_named_is_paid_for() {
        let mut shapes = Shapes::default();
        let field = FieldType { element_type: StorageType::I8, mutable: false };
        shapes.add(&CompositeInnerType::Struct(wasmparser::StructType {
            fields: vec![field; 3].into(),
        }));
        let weight = |operator| shapes.weight(&operator);
        assert_eq!(weight(Operator::StructNew { struct_type_index: 0 }), Some(35));
        let fixed = Operator::ArrayNewFixed { array_type_index: 1, array_size: 100 };
        assert_eq!(shapes.constant(&fixed), Some(1156), "it is kept");
        assert_eq!(weight(fixed), Some(132));
        assert_eq!(weight(Operator::RefFunc { function_index: 0 }), Some(32));
    }

    #[test]
    fn function_references_in_objects_are_paid_for() {
        let field = |heap_type| FieldType {
            element_type: StorageType::Val(ValType::Ref(
                wasmparser::RefType::new(true, heap_type).expect("a small index"),
            )),
            mutable: true,
        };
        let any = HeapType::Abstract { shared: false, ty: AbstractHeapType::Any };
        let index = |index| HeapType::Concrete(wasmparser::UnpackedIndex::Module(index));
        let mut shapes = Shapes::default();
        // A field may refer to a type that comes later.
        shapes.add(&CompositeInnerType::Struct(wasmparser::StructType {
            fields: vec![field(HeapType::FUNC), field(any), field(index(2)), field(index(1))]
                .into(),
        }));
        shapes.add(&CompositeInnerType::Array(wasmparser::ArrayType(field(index(2)))));
        shapes.add(&CompositeInnerType::Func(wasmparser::FuncType::new([], [])));
        let weight = |operator| shapes.weight(&operator);
        let get = |field_index| Operator::StructGet { struct_type_index: 0, field_index };
        assert_eq!([0, 1, 2, 3].map(get).map(weight), [Some(17), Some(1), Some(17), Some(1)]);
        assert_eq!(weight(Operator::StructNewDefault { struct_type_index: 0 }), Some(68));
        assert_eq!(weight(Operator::ArraySet { array_type_index: 1 }), Some(17));
        let fixed = Operator::ArrayNewFixed { array_type_index: 1, array_size: 2 };
        assert_eq!(weight(fixed), Some(66));
    }

    #[test]
    fn whoever_can_be_unwound_pays_for_it() {
        let mut shapes = Shapes::default();
        let call = Operator::Call { function_index: 0 };
        let tail = Operator::ReturnCall { function_index: 0 };
        assert_eq!(shapes.weight(&call), Some(4));
        shapes.add_tag();
        assert_eq!(shapes.weight(&call), Some(20));
        assert_eq!(shapes.weight(&tail), Some(4));
    }

    /// Functions 0 and 1 take and give nine values altogether, and one more.
    #[test]
    fn values_that_are_handed_over_are_paid_for() {
        let mut shapes = Shapes::default();
        for results in [4, 5] {
            let ty = wasmparser::FuncType::new([ValType::I32; 5], vec![ValType::I64; results]);
            shapes.add(&CompositeInnerType::Func(ty));
        }
        shapes.add_function(0);
        shapes.add_function(1);
        let weight = |operator| shapes.weight(&operator);
        let call = |function_index| weight(Operator::Call { function_index });
        assert_eq!([call(0), call(1)], [Some(5), Some(6)]);
        assert_eq!(weight(Operator::ReturnCall { function_index: 1 }), Some(6));
        assert_eq!(weight(Operator::CallRef { type_index: 1 }), Some(6));
        assert_eq!(weight(Operator::ReturnCallRef { type_index: 1 }), Some(6));
        let indirect = Operator::CallIndirect { type_index: 1, table_index: 0 };
        assert_eq!(weight(indirect), Some(10));
        let tail = Operator::ReturnCallIndirect { type_index: 1, table_index: 0 };
        assert_eq!(weight(tail), Some(10));
        assert_eq!(weight(Operator::Block { blockty: BlockType::FuncType(1) }), Some(2));
        assert_eq!(weight(Operator::If { blockty: BlockType::FuncType(1) }), Some(3));
        assert_eq!(weight(Operator::Loop { blockty: BlockType::Empty }), Some(0));
    }

    #[test]
    fn branches_pay_for_what_their_label_takes() {
        let mut shapes = Shapes::default();
        for (parameters, results) in [(0, 20), (9, 0), (0, 10)] {
            let values = |count| vec![ValType::I32; count];
            let ty = wasmparser::FuncType::new(values(parameters), values(results));
            shapes.add(&CompositeInnerType::Func(ty));
        }
        let mut weigher = Weigher::new(&shapes, 0);
        let at = |relative_depth| Operator::BrIf { relative_depth };
        assert_eq!(weigher.weigh(&at(0)), Some(13), "the function's results");
        assert_eq!(weigher.weigh(&Operator::Loop { blockty: BlockType::FuncType(1) }), Some(1));
        assert_eq!(weigher.weigh(&at(0)), Some(2), "a loop takes its parameters");
        weigher.follow(&Operator::Block { blockty: BlockType::FuncType(2) });
        assert_eq!([0, 1, 2].map(|depth| weigher.weigh(&at(depth))), [Some(3), Some(2), Some(13)]);
        assert_eq!(weigher.weigh(&Operator::End), Some(0));
        assert_eq!(weigher.weigh(&at(1)), Some(13));
        assert_eq!(weigher.weigh(&Operator::Return), Some(2), "the call has paid");
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
