//! What instantiation costs: constant expressions, segments, initial sizes.
//!
//! May assume a valid module. Guarantees an upper bound that is a function of
//! the module alone; the loader charges it before it instantiates. A length in a
//! constant expression that is not itself a constant counts as the largest.

use crate::cost::{
    LENGTH_MAX, PER_BYTE, PER_ELEMENT, PER_GLOBAL, PER_ITEM, PER_MEMORY, PER_PAGE, PER_SEGMENT,
    PER_SLOT, PER_TABLE, Shapes,
};
use wasmparser::{
    BinaryReaderError, ConstExpr, DataKind, ElementItems, ElementKind, Operator, TableInit,
};

/// Adds up what instantiation costs, in units of fuel, saturating.
#[derive(Clone, Debug, Default)]
pub(super) struct Instantiation {
    units: u64,
    /// The module's types, which come before all that is priced here.
    pub(super) shapes: Shapes,
}

impl Instantiation {
    /// The sum.
    pub(super) fn units(&self) -> u64 {
        self.units
    }

    fn add(&mut self, units: u64) {
        self.units = self.units.saturating_add(units);
    }

    /// A memory of `pages` pages.
    pub(super) fn memory(&mut self, pages: u64) {
        self.add(PER_MEMORY.units(1));
        self.add(PER_PAGE.units(pages));
    }

    /// A table with its initial value.
    pub(super) fn table(&mut self, table: &wasmparser::Table<'_>) -> Result<(), BinaryReaderError> {
        self.add(PER_TABLE.units(1));
        self.add(PER_SLOT.units(table.ty.initial));
        match &table.init {
            TableInit::RefNull => Ok(()),
            TableInit::Expr(expression) => self.expression(expression),
        }
    }

    /// A global with its initial value.
    pub(super) fn global(
        &mut self,
        global: &wasmparser::Global<'_>,
    ) -> Result<(), BinaryReaderError> {
        self.add(PER_GLOBAL.units(1));
        self.expression(&global.init_expr)
    }

    /// A data segment.
    pub(super) fn data(&mut self, data: &wasmparser::Data<'_>) -> Result<(), BinaryReaderError> {
        match &data.kind {
            DataKind::Passive => Ok(()),
            DataKind::Active { offset_expr, .. } => {
                self.add(PER_SEGMENT.units(1));
                self.add(PER_BYTE.units(data.data.len() as u64));
                self.expression(offset_expr)
            }
        }
    }

    /// An element segment; its length.
    pub(super) fn elements(
        &mut self,
        element: wasmparser::Element<'_>,
        mut function: impl FnMut(u32),
    ) -> Result<u64, BinaryReaderError> {
        if let ElementKind::Active { offset_expr, .. } = &element.kind {
            self.add(PER_SEGMENT.units(1));
            self.expression(offset_expr)?;
        }
        let count = match element.items {
            ElementItems::Functions(functions) => {
                let count = functions.count();
                for index in functions {
                    function(index?);
                }
                count
            }
            ElementItems::Expressions(_, expressions) => {
                let count = expressions.count();
                for expression in expressions {
                    let expression = expression?;
                    self.expression(&expression)?;
                    references(&expression, &mut function)?;
                }
                count
            }
        };
        // Passive segments are evaluated too, when the instance is made.
        self.add(PER_ITEM.units(u64::from(count)));
        Ok(u64::from(count))
    }

    /// A constant expression.
    fn expression(&mut self, expression: &ConstExpr<'_>) -> Result<(), BinaryReaderError> {
        let mut constant = None;
        for operator in expression.get_operators_reader() {
            let operator = operator?;
            self.add(self.shapes.constant(&operator).unwrap_or(0));
            match operator {
                Operator::ArrayNew { .. } | Operator::ArrayNewDefault { .. } => {
                    self.add(PER_ELEMENT.units(constant.unwrap_or(LENGTH_MAX)));
                }
                _ => {}
            }
            constant = match operator {
                Operator::I32Const { value } => Some(u64::from(value.cast_unsigned())),
                _ => None,
            };
        }
        Ok(())
    }
}

/// Tells every function that a constant expression refers to.
pub(super) fn references(
    expression: &ConstExpr<'_>,
    function: &mut impl FnMut(u32),
) -> Result<(), BinaryReaderError> {
    for operator in expression.get_operators_reader() {
        if let Operator::RefFunc { function_index } = operator? {
            function(function_index);
        }
    }
    Ok(())
}
