//! What an operator weighs beside its entry in the table, because of the module it stands in:
//! what types, functions and tags say, and how many values a branch takes along.
//!
//! FUEL.md ("Cost table") is normative. Assumes a valid module, of which everything is shown
//! in its order. Guarantees the same weight for the same module. Knows nothing of lengths
//! that are only known at run time ([`Length`](super::Length)).

use super::{
    PER_CLAUSE, PER_FRAME, PER_FUNCTION_REFERENCE, PER_NAMED, PER_OBJECT, PER_VALUE, VALUES_FREE,
    flat,
};
use wasmparser::{
    AbstractHeapType, BlockType, CompositeInnerType, FieldType, HeapType, Operator, StorageType,
    ValType,
};

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
