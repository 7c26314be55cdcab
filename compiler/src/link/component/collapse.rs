//! Functions that only call through a table which nothing changes, and what they call.
//!
//! Tools that make components break circles between modules so (here `shim`): a table is filled
//! once, by a module that is instantiated last (`fixups`).
//!
//! ```text
//! (func (export "3") (param i32 i32)            (elem (i32.const 3) func $write)
//!   (call_indirect $t (type $f)
//!     (local.get 0) (local.get 1) (i32.const 3)))
//! ```
//!
//! A call of such a function is a call of `$write`. One difference is left: a call before the
//! table is filled would trap.

use super::super::error::LinkError;
use super::super::module::{Kind, Module};
use super::super::resolve::{Item, Program};
use std::collections::{HashMap, HashSet};
use wasmparser::{ElementItems, ElementKind, FunctionBody, Operator};

/// The longest body that is looked into: all parameters that a function of a component's border
/// has, and the call.
const BODY_BYTES_MAX: usize = 128;

/// Which functions only call another one.
pub(super) fn collapse(program: &mut Program<'_>) -> Result<(), LinkError> {
    // Function, table, place in it, and the number of the type.
    let mut found: Vec<(Item, Item, u32, u32)> = Vec::new();
    for (at, module) in program.modules.iter().enumerate() {
        let imported = module.imported[Kind::Function as usize].len() as u32;
        for (body, index) in module.bodies.iter().zip(imported..) {
            if body.range().len() > BODY_BYTES_MAX {
                continue;
            }
            let Some((table, place, ty)) = forwarded(program, at, index, body)? else { continue };
            let table = program.follow(Item { module: at, kind: Kind::Table, index: table });
            found.push((Item { module: at, kind: Kind::Function, index }, table, place, ty));
        }
    }
    let tables: HashSet<Item> = found.iter().map(|(_, table, ..)| *table).collect();
    let contents = contents(program, tables)?;
    for (function, table, place, ty) in found {
        let Some(target) = contents.get(&table).and_then(|all| all.get(&place)).copied().flatten()
        else {
            continue;
        };
        let target = program.follow(target);
        let has = program.modules[target.module].functions.get(target.index as usize);
        let has = has.and_then(|has| program.numbers[target.module].get(*has as usize));
        // One that leads to itself calls itself, without end.
        if has == Some(&ty) && target != function {
            program.alias(function, target);
        }
    }
    Ok(())
}

/// Where a function calls, with all its parameters, through a table: the table, the place in it,
/// and the number of the type.
fn forwarded(
    program: &Program<'_>,
    at: usize,
    index: u32,
    body: &FunctionBody<'_>,
) -> Result<Option<(u32, u32, u32)>, LinkError> {
    let number = |ty: u32| program.numbers[at].get(ty as usize).copied();
    let own = program.modules[at].functions.get(index as usize).and_then(|ty| number(*ty));
    let Some(parameters) = own.and_then(|own| program.types.parameters(own)) else {
        return Ok(None);
    };
    let mut operators = body.get_operators_reader()?;
    for parameter in 0..parameters {
        match operators.read()? {
            Operator::LocalGet { local_index } if local_index == parameter => {}
            _ => return Ok(None),
        }
    }
    let Operator::I32Const { value } = operators.read()? else { return Ok(None) };
    let (table, called) = match operators.read()? {
        Operator::CallIndirect { table_index, type_index }
        | Operator::ReturnCallIndirect { table_index, type_index } => (table_index, type_index),
        _ => return Ok(None),
    };
    let is_end = operators.is_end_then_eof();
    let same = own.filter(|own| is_end && number(called) == Some(*own));
    Ok(same.map(|ty| (table, value.cast_unsigned(), ty)))
}

/// What is in a table, by place; nothing where that is not plain.
type Contents = HashMap<u32, Option<Item>>;

/// What is in these tables, as far as nothing changes them when they are filled.
fn contents(
    program: &Program<'_>,
    mut tables: HashSet<Item>,
) -> Result<HashMap<Item, Contents>, LinkError> {
    let follow = |at, index| program.follow(Item { module: at, kind: Kind::Table, index });
    let mut contents: HashMap<Item, Contents> = HashMap::new();
    for (at, module) in program.modules.iter().enumerate() {
        let has_one = (0..module.tables.len() as u32).any(|one| tables.contains(&follow(at, one)));
        if !has_one {
            continue;
        }
        for element in &module.elements {
            let ElementKind::Active { table_index, offset_expr } = &element.kind else { continue };
            let table = follow(at, table_index.unwrap_or(0));
            if !tables.contains(&table) {
                continue;
            }
            let mut offset = offset_expr.get_operators_reader();
            let (Operator::I32Const { value }, ElementItems::Functions(functions)) =
                (offset.read()?, &element.items)
            else {
                tables.remove(&table);
                continue;
            };
            let places = contents.entry(table).or_default();
            for (function, place) in functions.clone().into_iter().zip(value.cast_unsigned()..) {
                let item = Item { module: at, kind: Kind::Function, index: function? };
                // What is written twice has two contents.
                places.entry(place).and_modify(|one| *one = None).or_insert(Some(item));
            }
        }
        for changed in changed(module)? {
            tables.remove(&follow(at, changed));
        }
    }
    // The host changes what is exported, if it likes.
    let entry = &program.modules[program.entry];
    for export in &entry.exports {
        if Kind::of_export(export.kind) == Kind::Table {
            tables.remove(&follow(program.entry, export.index));
        }
    }
    contents.retain(|table, _| tables.contains(table));
    Ok(contents)
}

/// The tables that a module's code changes.
fn changed(module: &Module<'_>) -> Result<HashSet<u32>, LinkError> {
    let mut changed = HashSet::new();
    for body in &module.bodies {
        for operator in body.get_operators_reader()? {
            match operator? {
                Operator::TableSet { table }
                | Operator::TableGrow { table }
                | Operator::TableFill { table }
                | Operator::TableInit { table, .. }
                | Operator::TableCopy { dst_table: table, .. } => {
                    changed.insert(table);
                }
                _ => {}
            }
        }
    }
    Ok(changed)
}
