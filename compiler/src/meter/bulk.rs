//! Operators that pay for a length before they work.
//!
//! The length is the operand on top of the stack. What is paid for is clamped to
//! what could be done at all, so that no length overflows the counter, and an
//! operator that is going to trap for its length is not charged for more than
//! there is. May assume a valid module. Does not check or emit the operator
//! itself: that is [`super::function`].

use crate::cost::{LENGTH_MAX, Length, PER_BYTE, PER_ELEMENT, PER_ITEM, PER_PAGE, PER_SLOT};
use wasm_encoder::{Encode as _, Instruction};
use wasmparser::Operator;

/// Units up to which a constant length is charged with its region.
const CONSTANT_UNITS_MAX: u64 = 4096;
/// Pages of 64 KiB that a 32-bit memory can have.
const PAGES_MAX_32: u64 = 65_536;

/// A memory or a table: what bounds a length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Whether its addresses have 64 bits.
    pub(super) is_64: bool,
    /// Size at the start, in pages or elements.
    pub(super) minimum: u64,
    /// Declared maximum, in pages or elements.
    pub(super) maximum: Option<u64>,
}

/// Facts about a module that bound lengths.
#[derive(Clone, Debug, Default)]
pub(super) struct Sizes {
    /// By memory index.
    pub(super) memories: Vec<Extent>,
    /// By table index.
    pub(super) tables: Vec<Extent>,
    /// Bytes, by data segment.
    pub(super) data: Vec<u64>,
    /// Elements, by element segment.
    pub(super) elements: Vec<u64>,
}

/// What the length is clamped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    /// The current size of a memory, in bytes.
    MemoryBytes(u32),
    /// How many pages a memory can still grow, up to so many in all.
    MemoryRoom(u32, u64),
    /// The current size of a table.
    TableSize(u32),
    /// How many elements a table can still grow, up to so many in all.
    TableRoom(u32, u64),
    /// A number known here.
    Constant(u64),
}

/// The length of one operator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bulk {
    rate: Length,
    bound: Bound,
    /// Whether the bound's own address type has 64 bits.
    bound_is_64: bool,
    /// Whether the length operand has 64 bits.
    pub(super) is_64: bool,
    /// A length up to which the bound certainly does not clamp.
    certain: u64,
}

impl Bulk {
    /// The length that `operator` pays for; `None` when it pays for none.
    pub(super) fn of(operator: &Operator<'_>, sizes: &Sizes) -> Option<Self> {
        let segment = |length: u64, rate| Self::constant(rate, length);
        Some(match *operator {
            Operator::MemoryFill { mem } => Self::memory(sizes, mem, mem),
            Operator::MemoryCopy { dst_mem, src_mem } => Self::memory(sizes, dst_mem, src_mem),
            Operator::MemoryInit { data_index, .. } => {
                segment(sizes.data[data_index as usize], PER_BYTE)
            }
            Operator::MemoryGrow { mem } => {
                let memory = sizes.memories[mem as usize];
                let room = memory.maximum.unwrap_or(LENGTH_MAX);
                let cap = if memory.is_64 { LENGTH_MAX } else { PAGES_MAX_32 };
                Self {
                    rate: PER_PAGE,
                    bound: Bound::MemoryRoom(mem, room.min(cap)),
                    bound_is_64: memory.is_64,
                    is_64: memory.is_64,
                    certain: 0,
                }
            }
            Operator::TableFill { table } => Self::table(sizes, table, table),
            Operator::TableCopy { dst_table, src_table } => {
                Self::table(sizes, dst_table, src_table)
            }
            Operator::TableInit { elem_index, .. } => {
                segment(sizes.elements[elem_index as usize], PER_SLOT)
            }
            Operator::TableGrow { table } => {
                let extent = sizes.tables[table as usize];
                let room = extent.maximum.unwrap_or(LENGTH_MAX).min(LENGTH_MAX);
                Self {
                    rate: PER_SLOT,
                    bound: Bound::TableRoom(table, room),
                    bound_is_64: extent.is_64,
                    is_64: extent.is_64,
                    certain: 0,
                }
            }
            Operator::ArrayNew { .. }
            | Operator::ArrayNewDefault { .. }
            | Operator::ArrayFill { .. }
            | Operator::ArrayCopy { .. } => segment(LENGTH_MAX, PER_ELEMENT),
            Operator::ArrayNewData { array_data_index, .. }
            | Operator::ArrayInitData { array_data_index, .. } => {
                segment(sizes.data[array_data_index as usize], PER_ELEMENT)
            }
            Operator::ArrayNewElem { array_elem_index, .. }
            | Operator::ArrayInitElem { array_elem_index, .. } => {
                segment(sizes.elements[array_elem_index as usize], PER_ITEM)
            }
            _ => return None,
        })
    }

    /// A 32-bit length that is clamped to a number known here.
    fn constant(rate: Length, bound: u64) -> Self {
        Self {
            rate,
            bound: Bound::Constant(bound),
            bound_is_64: true,
            is_64: false,
            certain: bound,
        }
    }

    /// A length in bytes of memory; clamped to the size of `to`.
    fn memory(sizes: &Sizes, to: u32, from: u32) -> Self {
        let (to_extent, from_extent) = (sizes.memories[to as usize], sizes.memories[from as usize]);
        Self {
            rate: PER_BYTE,
            bound: Bound::MemoryBytes(to),
            bound_is_64: to_extent.is_64,
            is_64: to_extent.is_64 && from_extent.is_64,
            certain: to_extent.minimum.saturating_mul(1 << 16),
        }
    }

    /// A length in elements of tables; clamped to the size of `to`.
    fn table(sizes: &Sizes, to: u32, from: u32) -> Self {
        let (to_extent, from_extent) = (sizes.tables[to as usize], sizes.tables[from as usize]);
        Self {
            rate: PER_ELEMENT,
            bound: Bound::TableSize(to),
            bound_is_64: to_extent.is_64,
            is_64: to_extent.is_64 && from_extent.is_64,
            certain: to_extent.minimum,
        }
    }

    /// The units for a length that is known here, when the region can take
    /// them: short, and certainly not clamped.
    pub(super) fn constant_units(&self, length: u64) -> Option<u64> {
        let units = self.rate.units(length);
        (length <= self.certain && units <= CONSTANT_UNITS_MAX).then_some(units)
    }

    /// Emits `[length] → [counter]`: takes the length off the stack into the
    /// local `length`, charges the local `counter`, and leaves that on the
    /// stack for the check. The local `bound` is scratch.
    pub(super) fn emit(&self, length: u32, bound: u32, counter: u32, text: &mut Vec<u8>) {
        let mut emit = |instruction: Instruction<'_>| instruction.encode(text);
        if !self.is_64 {
            emit(Instruction::I64ExtendI32U);
        }
        emit(Instruction::LocalSet(length));
        emit(Instruction::LocalGet(counter));

        emit(Instruction::LocalGet(length));
        let widen = |emit: &mut dyn FnMut(Instruction<'_>)| {
            if !self.bound_is_64 {
                emit(Instruction::I64ExtendI32U);
            }
        };
        match self.bound {
            Bound::MemoryBytes(memory) => {
                emit(Instruction::MemorySize(memory));
                widen(&mut emit);
                emit(Instruction::I64Const(16));
                emit(Instruction::I64Shl);
            }
            Bound::MemoryRoom(memory, maximum) => {
                emit(Instruction::I64Const(maximum as i64));
                emit(Instruction::MemorySize(memory));
                widen(&mut emit);
                emit(Instruction::I64Sub);
            }
            Bound::TableSize(table) => {
                emit(Instruction::TableSize(table));
                widen(&mut emit);
            }
            Bound::TableRoom(table, maximum) => {
                emit(Instruction::I64Const(maximum as i64));
                emit(Instruction::TableSize(table));
                widen(&mut emit);
                emit(Instruction::I64Sub);
            }
            Bound::Constant(maximum) => emit(Instruction::I64Const(maximum as i64)),
        }
        emit(Instruction::LocalTee(bound));
        emit(Instruction::LocalGet(length));
        emit(Instruction::LocalGet(bound));
        emit(Instruction::I64LtU);
        emit(Instruction::Select);

        if self.rate.multiplier != 1 {
            emit(Instruction::I64Const(self.rate.multiplier as i64));
            emit(Instruction::I64Mul);
        }
        if self.rate.shift != 0 {
            emit(Instruction::I64Const(i64::from(self.rate.shift)));
            emit(Instruction::I64ShrU);
        }
        emit(Instruction::I64Sub);
        emit(Instruction::LocalTee(counter));
    }
}
