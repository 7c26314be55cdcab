//! What an operator must pay for its length, and the only text that pays it.
//!
//! For each operator with a length this writes down, from FUEL.md ("Lengths")
//! alone, the operators that must stand before it; whoever reads a function
//! compares. May assume a valid module. Shares nothing with the meter but the
//! rates.

use super::module::{Facts, Size};
use crate::cost::{LENGTH_MAX, Length, PER_BYTE, PER_ELEMENT, PER_ITEM, PER_PAGE, PER_SLOT};
use wasmparser::Operator;

/// Units up to which a constant length may be part of its region.
const CONSTANT_UNITS_MAX: u64 = 4096;
/// Pages that a 32-bit memory can have.
const PAGES_MAX_32: u64 = 65_536;
/// The longest text that pays for a length, in operators.
pub(super) const TEXT_MAX: usize = 26;

/// What one operator pays for, beside its weight.
#[derive(Clone, Debug)]
pub(super) struct Price {
    /// Whether the length is an `i64`.
    pub(super) is_wide: bool,
    rate: Length,
    /// Pushes the bound, as an `i64`.
    bound: Vec<Operator<'static>>,
    /// Up to this length the bound certainly does not clamp.
    certain: u64,
}

impl Price {
    /// The price of an operator; `None` when it has no length.
    pub(super) fn of(operator: &Operator<'_>, facts: &Facts<'_>) -> Option<Self> {
        let memory = |index: u32| facts.memories[index as usize];
        let table = |index: u32| facts.tables[index as usize];
        Some(match *operator {
            Operator::MemoryFill { mem } => bytes(mem, memory(mem), memory(mem)),
            Operator::MemoryCopy { dst_mem, src_mem } => {
                bytes(dst_mem, memory(dst_mem), memory(src_mem))
            }
            Operator::TableFill { table: index } => elements(index, table(index), table(index)),
            Operator::TableCopy { dst_table, src_table } => {
                elements(dst_table, table(dst_table), table(src_table))
            }
            Operator::MemoryGrow { mem } => {
                let size = memory(mem);
                let cap = if size.is_wide { LENGTH_MAX } else { PAGES_MAX_32 };
                let most = size.maximum.map_or(cap, |maximum| maximum.min(cap));
                room(PER_PAGE, size, most, Operator::MemorySize { mem })
            }
            Operator::TableGrow { table: index } => {
                let size = table(index);
                let most = size.maximum.map_or(LENGTH_MAX, |maximum| maximum.min(LENGTH_MAX));
                room(PER_SLOT, size, most, Operator::TableSize { table: index })
            }
            Operator::MemoryInit { data_index, .. } => {
                fixed(PER_BYTE, facts.data[data_index as usize])
            }
            Operator::ArrayNewData { array_data_index: segment, .. }
            | Operator::ArrayInitData { array_data_index: segment, .. } => {
                fixed(PER_ELEMENT, facts.data[segment as usize])
            }
            Operator::TableInit { elem_index: segment, .. } => {
                fixed(PER_SLOT, facts.elements[segment as usize])
            }
            Operator::ArrayNewElem { array_elem_index: segment, .. }
            | Operator::ArrayInitElem { array_elem_index: segment, .. } => {
                fixed(PER_ITEM, facts.elements[segment as usize])
            }
            Operator::ArrayNew { .. }
            | Operator::ArrayNewDefault { .. }
            | Operator::ArrayFill { .. }
            | Operator::ArrayCopy { .. } => fixed(PER_ELEMENT, LENGTH_MAX),
            _ => return None,
        })
    }

    /// The units for a length that is a constant, where its region may pay.
    pub(super) fn of_constant(&self, length: u64) -> Option<u64> {
        let units = self.rate.units(length);
        (length <= self.certain && units <= CONSTANT_UNITS_MAX).then_some(units)
    }

    /// The text that pays: the length goes from the stack into the local
    /// behind `counter`, the units come off `counter`, a check follows, and the
    /// length is back on the stack. Each as it must be; the check's label is
    /// `out_of_fuel`.
    pub(super) fn text(&self, counter: u32, out_of_fuel: u32) -> Vec<Operator<'static>> {
        let (length, bound) = (counter + 1, counter + 2);
        let get = |local_index| Operator::LocalGet { local_index };
        let tee = |local_index| Operator::LocalTee { local_index };
        let number = |value: u64| Operator::I64Const { value: value.cast_signed() };

        let mut text = Vec::with_capacity(TEXT_MAX);
        if !self.is_wide {
            text.push(Operator::I64ExtendI32U);
        }
        text.push(Operator::LocalSet { local_index: length });
        text.push(get(counter));
        // The smaller of length and bound.
        text.push(get(length));
        text.extend(self.bound.iter().cloned());
        text.extend([tee(bound), get(length), get(bound), Operator::I64LtU, Operator::Select]);
        if self.rate.multiplier != 1 {
            text.extend([number(self.rate.multiplier), Operator::I64Mul]);
        }
        if self.rate.shift != 0 {
            text.extend([number(u64::from(self.rate.shift)), Operator::I64ShrU]);
        }
        text.extend([Operator::I64Sub, tee(counter)]);
        let relative_depth = out_of_fuel;
        text.extend([number(0), Operator::I64LtS, Operator::BrIf { relative_depth }, get(length)]);
        if !self.is_wide {
            text.push(Operator::I32WrapI64);
        }
        text
    }
}

/// The size of a memory or table as an `i64`.
fn size_of(size: Size, operator: Operator<'static>) -> Vec<Operator<'static>> {
    let mut text = vec![operator];
    if !size.is_wide {
        text.push(Operator::I64ExtendI32U);
    }
    text
}

fn bytes(mem: u32, to: Size, from: Size) -> Price {
    let mut bound = size_of(to, Operator::MemorySize { mem });
    bound.extend([Operator::I64Const { value: 16 }, Operator::I64Shl]);
    let certain = to.minimum.saturating_mul(1 << 16);
    Price { is_wide: to.is_wide && from.is_wide, rate: PER_BYTE, bound, certain }
}

fn elements(table: u32, to: Size, from: Size) -> Price {
    let bound = size_of(to, Operator::TableSize { table });
    Price { is_wide: to.is_wide && from.is_wide, rate: PER_ELEMENT, bound, certain: to.minimum }
}

/// A growth: clamped to what is left below `most`.
fn room(rate: Length, size: Size, most: u64, operator: Operator<'static>) -> Price {
    let mut bound = vec![Operator::I64Const { value: most.cast_signed() }];
    bound.extend(size_of(size, operator));
    bound.push(Operator::I64Sub);
    Price { is_wide: size.is_wide, rate, bound, certain: 0 }
}

/// A length that is clamped to a number of the module.
fn fixed(rate: Length, most: u64) -> Price {
    let bound = vec![Operator::I64Const { value: most.cast_signed() }];
    Price { is_wide: false, rate, bound, certain: most }
}
