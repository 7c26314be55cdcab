//! What of a program is reached: from its exports, its start functions, its globals, and the
//! tables that are reached.
//!
//! May assume resolved modules. Guarantees that what is not reached can never be called or read,
//! whatever the program does; keeps more than it must: a table that is reached keeps all that
//! its segments hold.

use super::error::LinkError;
use super::module::{Kind, Module};
use super::resolve::{Item, Program};
use std::collections::{HashMap, HashSet};
use wasmparser::{ConstExpr, Element, ElementItems, ElementKind, Operator, TableInit};

/// Functions and tables that are reached.
pub(super) struct Reach(HashSet<Item>);

impl Reach {
    /// Whether an item is reached. Of what is neither function nor table everything is kept.
    pub(super) fn has(&self, item: Item) -> bool {
        !is_judged(item.kind) || self.0.contains(&item)
    }

    pub(super) fn of(program: &Program<'_>) -> Result<Self, LinkError> {
        let mut search = Search { program, found: HashSet::new(), left: Vec::new() };
        let mut segments: HashMap<Item, Vec<(usize, usize)>> = HashMap::new();
        for (at, module) in program.modules.iter().enumerate() {
            let of = |kind, index| Item { module: at, kind, index };
            if let Some(start) = module.start {
                search.add(of(Kind::Function, start));
            }
            if at == program.entry {
                for export in &module.exports {
                    search.add(of(Kind::of_export(export.kind), export.index));
                }
            }
            for global in &module.own_globals {
                search.expression(at, &global.init_expr)?;
            }
            for (nth, element) in module.elements.iter().enumerate() {
                match &element.kind {
                    ElementKind::Active { table_index, .. } => {
                        let table = of(Kind::Table, table_index.unwrap_or(0));
                        segments.entry(program.follow(table)).or_default().push((at, nth));
                    }
                    ElementKind::Passive => search.segment(at, element)?,
                    ElementKind::Declared => {}
                }
            }
        }
        while let Some(item) = search.left.pop() {
            let module = &program.modules[item.module];
            let own = (item.index as usize).checked_sub(module.imported[item.kind as usize].len());
            let Some(own) = own else { continue };
            match item.kind {
                Kind::Function => search.body(item.module, module, own)?,
                _ => {
                    for (at, nth) in segments.remove(&item).unwrap_or_default() {
                        search.segment(at, &program.modules[at].elements[nth])?;
                    }
                    if let Some(TableInit::Expr(first)) =
                        module.own_tables.get(own).map(|table| &table.init)
                    {
                        search.expression(item.module, first)?;
                    }
                }
            }
        }
        Ok(Self(search.found))
    }
}

/// Whether items of a kind may be left out.
fn is_judged(kind: Kind) -> bool {
    matches!(kind, Kind::Function | Kind::Table)
}

/// Whether a segment of a module is kept: one of a table that is reached, or one that code copies.
pub(super) fn keeps_segment(program: &Program<'_>, at: usize, element: &Element<'_>) -> bool {
    let Some(reach) = program.reach() else { return true };
    match &element.kind {
        ElementKind::Active { table_index, .. } => {
            let index = table_index.unwrap_or(0);
            reach.has(program.follow(Item { module: at, kind: Kind::Table, index }))
        }
        ElementKind::Passive => true,
        ElementKind::Declared => false,
    }
}

struct Search<'a> {
    program: &'a Program<'a>,
    found: HashSet<Item>,
    left: Vec<Item>,
}

impl Search<'_> {
    fn add(&mut self, item: Item) {
        let item = self.program.follow(item);
        if is_judged(item.kind) && self.found.insert(item) {
            self.left.push(item);
        }
    }

    fn body(&mut self, at: usize, module: &Module<'_>, own: usize) -> Result<(), LinkError> {
        let Some(body) = module.bodies.get(own) else { return Ok(()) };
        for operator in body.get_operators_reader()? {
            self.operator(at, &operator?);
        }
        Ok(())
    }

    fn expression(&mut self, at: usize, expression: &ConstExpr<'_>) -> Result<(), LinkError> {
        for operator in expression.get_operators_reader() {
            self.operator(at, &operator?);
        }
        Ok(())
    }

    fn segment(&mut self, at: usize, element: &Element<'_>) -> Result<(), LinkError> {
        match &element.items {
            ElementItems::Functions(functions) => {
                for index in functions.clone() {
                    self.add(Item { module: at, kind: Kind::Function, index: index? });
                }
            }
            ElementItems::Expressions(_, expressions) => {
                for expression in expressions.clone() {
                    self.expression(at, &expression?)?;
                }
            }
        }
        Ok(())
    }

    fn operator(&mut self, at: usize, operator: &Operator<'_>) {
        use Operator as Op;
        let mut add = |kind, index| self.add(Item { module: at, kind, index });
        match *operator {
            Op::Call { function_index }
            | Op::ReturnCall { function_index }
            | Op::RefFunc { function_index } => add(Kind::Function, function_index),
            Op::CallIndirect { table_index: table, .. }
            | Op::ReturnCallIndirect { table_index: table, .. }
            | Op::TableGet { table }
            | Op::TableSet { table }
            | Op::TableGrow { table }
            | Op::TableSize { table }
            | Op::TableFill { table }
            | Op::TableInit { table, .. } => add(Kind::Table, table),
            Op::TableCopy { dst_table, src_table } => {
                add(Kind::Table, dst_table);
                add(Kind::Table, src_table);
            }
            _ => {}
        }
    }
}
