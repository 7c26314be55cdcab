//! How many table elements an image holds: what the engine fills in before it runs.
//!
//! It does so for tables of functions, up to the last element that a segment with a constant
//! offset reaches, or for the whole table where it has an initial function; and for none of
//! more than 2^20 elements. So a segment of one function can become 4 MiB. Counts at least
//! as much. May assume a valid module.

use std::collections::BTreeMap;
use wasmparser::{
    ConstExpr, Element, ElementItems, ElementKind, Error, Operator, Parser, Payload, TableInit,
};

/// The engine leaves longer tables to the start of a run.
const FILLED_MAX: u64 = 1 << 20;

/// The elements of all tables that the engine fills in.
pub(super) fn precomputed(wasm: &[u8]) -> Result<u64, Error> {
    let mut tables = Vec::new();
    let mut imported = 0;
    let mut reached = BTreeMap::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imported += usize::from(matches!(import?.ty, wasmparser::TypeRef::Table(_)));
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let table = table?;
                    let is_filled = matches!(table.init, TableInit::Expr(_));
                    tables.push(if is_filled { table.ty.initial } else { 0 });
                }
            }
            Payload::ElementSection(section) => {
                for element in section {
                    let element = element?;
                    if let Some((table, top)) = top(&element) {
                        let most: &mut u64 = reached.entry(table).or_default();
                        *most = top.max(*most);
                    }
                }
            }
            Payload::CodeSectionStart { .. } => break,
            _ => {}
        }
    }
    for (table, top) in reached {
        if let Some(table) = (table as usize).checked_sub(imported)
            && let Some(filled) = tables.get_mut(table)
        {
            *filled = top.max(*filled);
        }
    }
    Ok(tables.into_iter().filter(|filled| *filled <= FILLED_MAX).sum())
}

/// The table of an active segment, and the end of what it fills.
fn top(element: &Element<'_>) -> Option<(u32, u64)> {
    let ElementKind::Active { table_index, offset_expr } = &element.kind else { return None };
    let count = match &element.items {
        ElementItems::Functions(items) => items.count(),
        ElementItems::Expressions(_, items) => items.count(),
    };
    Some((table_index.unwrap_or(0), constant(offset_expr)?.saturating_add(count.into())))
}

/// The value of an expression that is one constant.
fn constant(expression: &ConstExpr<'_>) -> Option<u64> {
    match expression.get_operators_reader().read().ok()? {
        Operator::I32Const { value } => Some(u64::from(value.cast_unsigned())),
        Operator::I64Const { value } => Some(value.cast_unsigned()),
        _ => None,
    }
}
