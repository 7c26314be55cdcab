//! What a component exports that is called by its types: where it is neither a command nor
//! answers requests.
//!
//! The types are written down as `wasi02/src/typed/types.rs` reads them, which has the format.
//! Guarantees that a type's parts have lower numbers than itself, and one number each.

use super::signature::signature;
use super::{Caller, Def, Lifted, Reader};
use crate::link::component::error::ComponentError;
use std::collections::HashMap;
use wasm_encoder::{Encode as _, ValType};
use wasmtime_environ::component::{
    ComponentTypes, Export, ExportIndex, InterfaceType, TypeFuncIndex,
};

/// A component whose functions are called by their types.
pub(in super::super) struct Library {
    /// All types, as they are written down.
    pub(in super::super) types: Vec<u8>,
    pub(in super::super) functions: Vec<Callable>,
}

impl Library {
    /// Its functions in words, one each.
    pub(in super::super) fn signatures(&self) -> Vec<String> {
        self.functions.iter().map(|one| one.words.clone()).collect()
    }
}

/// A function that is called so.
pub(in super::super) struct Callable {
    /// The interface that it is of, with its version; nothing for the component's own.
    pub(in super::super) interface: String,
    pub(in super::super) name: String,
    pub(in super::super) function: Def,
    pub(in super::super) parameters: Vec<ValType>,
    pub(in super::super) results: Vec<ValType>,
    /// Whose memory its values are in, and how text is written there.
    pub(in super::super) caller: Caller,
    /// What is called with its result afterwards.
    pub(in super::super) after: Option<Def>,
    /// Its parameters and its result, as they are written down.
    pub(in super::super) signature: Vec<u8>,
    /// Its name and its types, for people.
    words: String,
}

impl Reader<'_> {
    /// All functions that are exported, in the component's order, those of an interface by their
    /// names; nothing where there is none.
    pub(super) fn library(&mut self) -> Result<Option<Library>, ComponentError> {
        let exports = self.translation.component.exports.raw_iter();
        let mut left: Vec<(String, String, ExportIndex)> =
            exports.map(|(name, (at, _))| (String::new(), name.to_string(), *at)).collect();
        left.reverse();
        let mut types = Types { all: self.types, numbers: HashMap::new(), bytes: Vec::new() };
        let mut functions = Vec::new();
        while let Some((interface, name, at)) = left.pop() {
            match &self.translation.component.export_items[at] {
                Export::LiftedFunction { options, .. } => {
                    let lifted = self.lifted(at)?;
                    let caller = self.caller(*options)?;
                    functions.push(types.callable(interface, name, lifted, caller));
                }
                Export::Instance { exports, .. } => {
                    let path = match &*interface {
                        "" => name,
                        interface => format!("{interface}.{name}"),
                    };
                    let mut inner: Vec<_> = exports
                        .raw_iter()
                        .map(|(name, (at, _))| (path.clone(), name.to_string(), *at))
                        .collect();
                    // The translator has them in no order. The last is the first to be taken.
                    inner.sort_unstable_by(|one, other| other.1.cmp(&one.1));
                    left.extend(inner);
                }
                _ => {}
            }
        }
        if functions.is_empty() {
            return Ok(None);
        }
        let mut written = Vec::new();
        (types.numbers.len() as u32).encode(&mut written);
        written.extend_from_slice(&types.bytes);
        Ok(Some(Library { types: written, functions }))
    }
}

/// Types that are written down, each once.
struct Types<'t> {
    all: &'t ComponentTypes,
    numbers: HashMap<InterfaceType, u32>,
    bytes: Vec<u8>,
}

/// A part of a type: its name, and the number of its type.
type Part = (String, Option<u32>);

impl Types<'_> {
    fn callable(
        &mut self,
        interface: String,
        name: String,
        lifted: Lifted,
        caller: Caller,
    ) -> Callable {
        let words = signature(self.all, &interface, &name, lifted.ty);
        let signature = self.signature(lifted.ty);
        let Lifted { function, parameters, results, after, .. } = lifted;
        Callable { interface, name, function, parameters, results, caller, after, signature, words }
    }

    fn signature(&mut self, ty: TypeFuncIndex) -> Vec<u8> {
        let function = &self.all[ty];
        let parameters = self.all[function.params].types.iter();
        let names = function.param_names.iter().cloned();
        let parameters: Vec<Part> =
            names.zip(parameters).map(|(name, ty)| (name, Some(self.number(ty)))).collect();
        let result = self.all[function.results].types.first().map(|ty| self.number(ty));
        let mut bytes = Vec::new();
        write_parts(&parameters, &mut bytes);
        maybe(result, &mut bytes);
        bytes
    }

    /// The number of a type, which is written down.
    fn number(&mut self, ty: &InterfaceType) -> u32 {
        if let Some(number) = self.numbers.get(ty) {
            return *number;
        }
        let (kind, parts) = self.parts(ty);
        let number = self.numbers.len() as u32;
        self.numbers.insert(*ty, number);
        self.bytes.push(kind);
        write_parts(&parts, &mut self.bytes);
        number
    }

    /// What a type is, by its number in `wasi02`, and what it is made of.
    fn parts(&mut self, ty: &InterfaceType) -> (u8, Vec<Part>) {
        let all = self.all;
        let named = |names: &mut dyn Iterator<Item = &String>| -> Vec<Part> {
            names.map(|name| (name.clone(), None)).collect()
        };
        let other = |name: &str| (21, vec![(name.to_owned(), None)]);
        match ty {
            InterfaceType::Bool => (0, Vec::new()),
            InterfaceType::S8 => (1, Vec::new()),
            InterfaceType::U8 => (2, Vec::new()),
            InterfaceType::S16 => (3, Vec::new()),
            InterfaceType::U16 => (4, Vec::new()),
            InterfaceType::S32 => (5, Vec::new()),
            InterfaceType::U32 => (6, Vec::new()),
            InterfaceType::S64 => (7, Vec::new()),
            InterfaceType::U64 => (8, Vec::new()),
            InterfaceType::Float32 => (9, Vec::new()),
            InterfaceType::Float64 => (10, Vec::new()),
            InterfaceType::Char => (11, Vec::new()),
            InterfaceType::String => (12, Vec::new()),
            InterfaceType::List(list) => {
                let element = self.number(&all[*list].element);
                (13, vec![(String::new(), Some(element))])
            }
            InterfaceType::Record(record) => {
                let fields = all[*record].fields.iter();
                let part = |field: &wasmtime_environ::component::RecordField| {
                    (field.name.clone(), Some(self.number(&field.ty)))
                };
                (14, fields.map(part).collect())
            }
            InterfaceType::Tuple(tuple) => {
                let elements = all[*tuple].types.iter();
                (15, elements.map(|ty| (String::new(), Some(self.number(ty)))).collect())
            }
            InterfaceType::Variant(variant) => {
                let cases = all[*variant].cases.iter();
                let part = |(name, ty): (&String, &Option<InterfaceType>)| {
                    (name.clone(), ty.as_ref().map(|ty| self.number(ty)))
                };
                (16, cases.map(part).collect())
            }
            InterfaceType::Enum(cases) => (17, named(&mut all[*cases].names.iter())),
            InterfaceType::Option(option) => {
                let some = self.number(&all[*option].ty);
                (18, vec![("none".to_owned(), None), ("some".to_owned(), Some(some))])
            }
            InterfaceType::Result(result) => {
                let result = &all[*result];
                let ok = result.ok.as_ref().map(|ty| self.number(ty));
                let err = result.err.as_ref().map(|ty| self.number(ty));
                (19, vec![("ok".to_owned(), ok), ("err".to_owned(), err)])
            }
            InterfaceType::Flags(flags) => (20, named(&mut all[*flags].names.iter())),
            InterfaceType::Own(_) => other("resource"),
            InterfaceType::Borrow(_) => other("borrow<resource>"),
            // Nothing that was validated has these.
            InterfaceType::Map(_)
            | InterfaceType::Future(_)
            | InterfaceType::Stream(_)
            | InterfaceType::ErrorContext(_)
            | InterfaceType::FixedLengthList(_) => other("unknown"),
        }
    }
}

fn write_parts(parts: &[Part], to: &mut Vec<u8>) {
    parts.len().encode(to);
    for (name, ty) in parts {
        name.encode(to);
        maybe(*ty, to);
    }
}

fn maybe(number: Option<u32>, to: &mut Vec<u8>) {
    number.map_or(0, |number| number.saturating_add(1)).encode(to);
}
