//! What instantiation costs, computed a second time from the metered module.
//!
//! FUEL.md ("Instantiation") is all that this shares with the meter. The counter
//! itself is no part of the source and is not counted; who calls leaves it out.

use crate::cost::{
    LENGTH_MAX, PER_BYTE, PER_ELEMENT, PER_GLOBAL, PER_ITEM, PER_MEMORY, PER_PAGE, PER_SEGMENT,
    PER_SLOT, PER_TABLE, Shapes,
};
use wasmparser::{
    BinaryReaderError, ConstExpr, Data, DataKind, Element, ElementItems, ElementKind, Global,
    MemoryType, Operator, Table, TableInit,
};

type Result<T> = std::result::Result<T, BinaryReaderError>;

/// Units for a memory.
pub(super) fn memory(memory: &MemoryType) -> u64 {
    PER_MEMORY.units(1).saturating_add(PER_PAGE.units(memory.initial))
}

/// Units for a table; `reference` is told of each function that is named.
pub(super) fn table(
    shapes: &Shapes,
    table: &Table<'_>,
    reference: &mut impl FnMut(u32),
) -> Result<u64> {
    let initial = PER_TABLE.units(1).saturating_add(PER_SLOT.units(table.ty.initial));
    match &table.init {
        TableInit::RefNull => Ok(initial),
        TableInit::Expr(init) => Ok(initial.saturating_add(constant(shapes, init, reference)?)),
    }
}

/// Units for a global.
pub(super) fn global(
    shapes: &Shapes,
    global: &Global<'_>,
    reference: &mut impl FnMut(u32),
) -> Result<u64> {
    Ok(PER_GLOBAL.units(1).saturating_add(constant(shapes, &global.init_expr, reference)?))
}

/// Units for a data segment.
pub(super) fn data(shapes: &Shapes, data: &Data<'_>) -> Result<u64> {
    let DataKind::Active { offset_expr, .. } = &data.kind else { return Ok(0) };
    let bytes = PER_SEGMENT.units(1).saturating_add(PER_BYTE.units(data.data.len() as u64));
    Ok(bytes.saturating_add(constant(shapes, offset_expr, &mut |_| {})?))
}

/// Units for an element segment, and how many items it has.
pub(super) fn elements(
    shapes: &Shapes,
    segment: Element<'_>,
    reference: &mut impl FnMut(u32),
) -> Result<(u64, u64)> {
    let mut units = match &segment.kind {
        ElementKind::Active { offset_expr, .. } => {
            PER_SEGMENT.units(1).saturating_add(constant(shapes, offset_expr, reference)?)
        }
        ElementKind::Passive | ElementKind::Declared => 0,
    };
    let mut items = 0;
    match segment.items {
        ElementItems::Functions(functions) => {
            for function in functions {
                reference(function?);
                items += 1;
            }
        }
        ElementItems::Expressions(_, expressions) => {
            for expression in expressions {
                units = units.saturating_add(constant(shapes, &expression?, reference)?);
                items += 1;
            }
        }
    }
    Ok((units.saturating_add(PER_ITEM.units(items)), items))
}

/// Units for a constant expression.
fn constant(
    shapes: &Shapes,
    expression: &ConstExpr<'_>,
    reference: &mut impl FnMut(u32),
) -> Result<u64> {
    let mut units = 0_u64;
    let mut before = None;
    for operator in expression.get_operators_reader() {
        let operator = operator?;
        let length = match (&operator, &before) {
            (
                Operator::ArrayNew { .. } | Operator::ArrayNewDefault { .. },
                Some(Operator::I32Const { value }),
            ) => u64::from(value.cast_unsigned()),
            (Operator::ArrayNew { .. } | Operator::ArrayNewDefault { .. }, _) => LENGTH_MAX,
            _ => 0,
        };
        if let Operator::RefFunc { function_index } = operator {
            reference(function_index);
        }
        units = units
            .saturating_add(shapes.constant(&operator).unwrap_or(0))
            .saturating_add(PER_ELEMENT.units(length));
        before = Some(operator);
    }
    Ok(units)
}
