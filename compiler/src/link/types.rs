//! The types of all modules in one space, each once, and which of them may stand for which.
//!
//! WebAssembly's types are equal when they are written equally, groups of recursive types as a
//! whole. So a group whose text is there already gets the numbers of the one that is there, and
//! two types are equal exactly when their numbers are.

use super::error::LinkError;
use std::collections::HashMap;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    AbstractHeapType, CompositeInnerType, Encode as _, HeapType, RefType, SubType, TypeSection,
    ValType,
};
use wasmparser::RecGroup;

/// Where the numbers begin that stand for types of the group that is being read. No module has
/// as many types.
const INNER: u32 = 1 << 30;

/// All types.
#[derive(Default)]
pub(super) struct Types {
    section: TypeSection,
    /// The first number of each group, by its text.
    known: HashMap<Vec<u8>, u32>,
    types: Vec<SubType>,
}

/// Numbers of one module's types become those of all.
struct Renumber<'a> {
    known: &'a [u32],
    /// The number of the first type of this group.
    inner: u32,
}

impl Reencode for Renumber<'_> {
    type Error = std::convert::Infallible;

    fn type_index(&mut self, ty: u32) -> Result<u32, reencode::Error<Self::Error>> {
        let inner = ty.wrapping_sub(self.known.len() as u32);
        Ok(self.known.get(ty as usize).copied().unwrap_or(self.inner.wrapping_add(inner)))
    }
}

impl Types {
    /// Adds the types of a module; the number of each.
    pub(super) fn add_module(&mut self, groups: &[RecGroup]) -> Result<Vec<u32>, LinkError> {
        let mut numbers = Vec::new();
        for group in groups {
            let read = |inner| {
                let mut renumber = Renumber { known: &numbers, inner };
                let types = group.types().cloned().map(|ty| renumber.sub_type(ty));
                types.collect::<Result<Vec<SubType>, _>>().map_err(super::defect)
            };
            let here = self.types.len() as u32;
            let text = text_of(read(INNER)?);
            let first = match self.known.get(&text) {
                Some(first) => *first,
                None => {
                    self.push(read(here)?);
                    self.known.insert(text, here);
                    here
                }
            };
            let count = group.types().len() as u32;
            numbers.extend(first..first + count);
        }
        Ok(numbers)
    }

    /// The number of a plain function type.
    pub(super) fn function(&mut self, parameters: &[ValType], results: &[ValType]) -> u32 {
        let ty = wasm_encoder::FuncType::new(parameters.iter().copied(), results.iter().copied());
        let ty = SubType {
            is_final: true,
            supertype_idx: None,
            composite_type: wasm_encoder::CompositeType {
                inner: CompositeInnerType::Func(ty),
                shared: false,
                descriptor: None,
                describes: None,
            },
        };
        let here = self.types.len() as u32;
        match self.known.entry(text_of(vec![ty.clone()])) {
            std::collections::hash_map::Entry::Occupied(found) => *found.get(),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(here);
                self.push(vec![ty]);
                here
            }
        }
    }

    fn push(&mut self, group: Vec<SubType>) {
        self.types.extend(group.iter().cloned());
        match group.as_slice() {
            // A group of one has two spellings, of one meaning.
            [one] => self.section.ty().subtype(one),
            _ => self.section.ty().rec(group),
        }
    }

    /// The section that has them all.
    pub(super) fn section(&self) -> &TypeSection {
        &self.section
    }

    /// How many parameters a function type has.
    pub(super) fn parameters(&self, ty: u32) -> Option<u32> {
        match &self.types.get(ty as usize)?.composite_type.inner {
            CompositeInnerType::Func(function) => Some(function.params().len() as u32),
            _ => None,
        }
    }

    /// Whether a function, or an object, of type `has` is one of type `wants`.
    pub(super) fn is_subtype(&self, has: u32, wants: u32) -> bool {
        let mut at = Some(has);
        while let Some(ty) = at {
            if ty == wants {
                return true;
            }
            // A supertype has a smaller number, so this ends.
            let above = self.types.get(ty as usize).and_then(|ty| ty.supertype_idx);
            at = above.filter(|above| *above < ty);
        }
        false
    }

    /// The same for values.
    pub(super) fn is_subvalue(&self, has: ValType, wants: ValType) -> bool {
        match (has, wants) {
            (ValType::Ref(has), ValType::Ref(wants)) => self.is_subreference(has, wants),
            _ => has == wants,
        }
    }

    fn is_subreference(&self, has: RefType, wants: RefType) -> bool {
        (wants.nullable || !has.nullable) && self.is_subheap(has.heap_type, wants.heap_type)
    }

    fn is_subheap(&self, has: HeapType, wants: HeapType) -> bool {
        use AbstractHeapType as Of;
        let plain = |heap| match heap {
            HeapType::Abstract { shared: false, ty } => Some(ty),
            _ => None,
        };
        let inner = |ty: u32| self.types.get(ty as usize).map(|ty| &ty.composite_type.inner);
        match (has, wants) {
            _ if has == wants => true,
            (HeapType::Concrete(has), HeapType::Concrete(wants)) => self.is_subtype(has, wants),
            (HeapType::Concrete(has), _) => matches!(
                (inner(has), plain(wants)),
                (Some(CompositeInnerType::Func(_)), Some(Of::Func))
                    | (Some(CompositeInnerType::Struct(_)), Some(Of::Struct | Of::Eq | Of::Any))
                    | (Some(CompositeInnerType::Array(_)), Some(Of::Array | Of::Eq | Of::Any))
            ),
            (_, HeapType::Concrete(wants)) => matches!(
                (plain(has), inner(wants)),
                (Some(Of::NoFunc), Some(CompositeInnerType::Func(_)))
                    | (
                        Some(Of::None),
                        Some(CompositeInnerType::Struct(_) | CompositeInnerType::Array(_))
                    )
            ),
            _ => matches!(
                (plain(has), plain(wants)),
                (Some(Of::NoFunc), Some(Of::Func))
                    | (Some(Of::NoExtern), Some(Of::Extern))
                    | (Some(Of::NoExn), Some(Of::Exn))
                    | (Some(Of::Eq), Some(Of::Any))
                    | (Some(Of::I31 | Of::Struct | Of::Array), Some(Of::Eq | Of::Any))
                    | (Some(Of::None), Some(Of::I31 | Of::Struct | Of::Array | Of::Eq | Of::Any))
            ),
        }
    }
}

/// A group as bytes, the same for groups that are equal.
fn text_of(group: Vec<SubType>) -> Vec<u8> {
    let mut section = TypeSection::new();
    section.ty().rec(group);
    let mut text = Vec::new();
    section.encode(&mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::super::module::Module;
    use super::*;

    fn numbers(types: &mut Types, wat: &str) -> Vec<u32> {
        let wasm = wat::parse_str(format!("(module {wat})")).unwrap();
        let module = Module::read("m", &wasm).unwrap();
        types.add_module(&module.groups).unwrap()
    }

    #[test]
    fn equal_types_have_one_number() {
        let mut types = Types::default();
        let list = "(type $list (struct (field (ref null $list)) (field i32)))";
        let one = numbers(&mut types, &format!("(type (func (param i32))) {list}"));
        let other = numbers(
            &mut types,
            &format!(
                "{list} (type (func)) (type (func (param i32))) (type (func (param (ref 0))))"
            ),
        );
        assert_eq!((one.clone(), other.clone()), (vec![0, 1], vec![1, 2, 0, 3]));
        // The same text, and another list.
        let third = numbers(
            &mut types,
            "(type (struct)) (type $l (struct (field (ref null $l)) (field i64)))
             (type (func (param (ref $l))))",
        );
        assert_eq!(third, [4, 5, 6]);
        assert_eq!(types.function(&[ValType::I32], &[]), 0);
        assert_eq!(types.function(&[ValType::I64], &[]), 7);
    }

    #[test]
    fn a_group_is_equal_as_a_whole() {
        let mut types = Types::default();
        let pair = "(rec (type $a (struct (field (ref null $b)))) (type $b (struct (field (ref null $a)))))";
        let one = numbers(&mut types, pair);
        assert_eq!(numbers(&mut types, pair), one);
        let more = numbers(&mut types, &format!("(type (func)) {pair}"));
        assert_eq!(more[1..], one);
        let explicit = numbers(&mut types, "(rec (type (func (result i32))))");
        assert_eq!(numbers(&mut types, "(type (func (result i32)))"), explicit);
        let alone = numbers(&mut types, "(type $a (struct (field (ref null $a))))");
        assert!(!one.contains(&alone[0]));
    }

    #[test]
    fn what_is_more_special_may_stand_for_what_is_less() {
        let mut types = Types::default();
        let of = numbers(
            &mut types,
            "(type $top (sub (struct))) (type $low (sub $top (struct (field i32))))
             (type $f (func)) (type $a (array i8))",
        );
        let [top, low, function, array] = of[..] else { panic!("four types") };
        assert!(types.is_subtype(low, top) && !types.is_subtype(top, low));
        let value = |nullable, heap_type| ValType::Ref(RefType { nullable, heap_type });
        let heap = |ty| HeapType::Abstract { shared: false, ty };
        let is = |has, wants| types.is_subvalue(has, wants);
        use AbstractHeapType as Of;
        for (has, wants) in [
            (HeapType::Concrete(low), heap(Of::Struct)),
            (HeapType::Concrete(array), heap(Of::Any)),
            (HeapType::Concrete(function), heap(Of::Func)),
            (heap(Of::None), HeapType::Concrete(top)),
            (heap(Of::NoFunc), HeapType::Concrete(function)),
            (heap(Of::I31), heap(Of::Eq)),
        ] {
            assert!(is(value(false, has), value(true, wants)), "{has:?} {wants:?}");
            assert!(!is(value(true, has), value(false, wants)), "{has:?} {wants:?}");
            assert!(!is(value(true, wants), value(true, has)), "{wants:?} {has:?}");
        }
        assert!(!is(value(true, HeapType::Concrete(function)), value(true, heap(Of::Any))));
        assert!(!is(value(true, heap(Of::NoFunc)), value(true, HeapType::Concrete(top))));
        assert!(is(ValType::I32, ValType::I32) && !is(ValType::I32, ValType::I64));
    }
}
