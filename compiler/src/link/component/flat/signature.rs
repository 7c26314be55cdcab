//! A function that is called by its types, in words: `add: func(a: s32, b: s32) -> s32`.
//!
//! As the library itself says it when it is run without a call (`wasi02/src/typed/types.rs`); a test
//! compares. Types have no names here: a record is shown with its fields.

use wasmtime_environ::component::{ComponentTypes, InterfaceType, TypeFuncIndex};

/// A function is shown in at most so many bytes, and a bit.
const SHOWN_MAX: usize = 2000;

/// What is written, and what types there are.
struct Words<'t> {
    all: &'t ComponentTypes,
    text: String,
    most: usize,
}

/// A part of a type: its name, and its type.
type Part<'t> = (&'t str, Option<&'t InterfaceType>);

/// A function of an interface, or of none.
pub(super) fn signature(
    all: &ComponentTypes,
    interface: &str,
    name: &str,
    ty: TypeFuncIndex,
) -> String {
    let (interface, version) = interface.split_once('@').unwrap_or((interface, ""));
    let mut text = match interface {
        "" => name.to_owned(),
        interface => format!("{interface}.{name}"),
    };
    if !version.is_empty() {
        text.push('@');
        text += version;
    }
    text += ": func(";
    let most = text.len() + SHOWN_MAX;
    let mut words = Words { all, text, most };
    let function = &all[ty];
    let parameters = function.param_names.iter().zip(all[function.params].types.iter());
    for (at, (name, ty)) in parameters.enumerate() {
        words.text += if at == 0 { "" } else { ", " };
        words.text += name;
        words.text += ": ";
        words.show(ty);
    }
    words.text.push(')');
    if let Some(result) = all[function.results].types.first() {
        words.text += " -> ";
        words.show(result);
    }
    words.text
}

impl Words<'_> {
    fn show(&mut self, ty: &InterfaceType) {
        if self.text.len() > self.most {
            self.text.push('…');
            return;
        }
        let all = self.all;
        self.text += match ty {
            InterfaceType::Bool => "bool",
            InterfaceType::S8 => "s8",
            InterfaceType::U8 => "u8",
            InterfaceType::S16 => "s16",
            InterfaceType::U16 => "u16",
            InterfaceType::S32 => "s32",
            InterfaceType::U32 => "u32",
            InterfaceType::S64 => "s64",
            InterfaceType::U64 => "u64",
            InterfaceType::Float32 => "f32",
            InterfaceType::Float64 => "f64",
            InterfaceType::Char => "char",
            InterfaceType::String => "string",
            InterfaceType::Own(_) => "resource",
            InterfaceType::Borrow(_) => "borrow<resource>",
            InterfaceType::List(list) => return self.angled("list", &[&all[*list].element]),
            InterfaceType::Tuple(tuple) => {
                let elements: Vec<&InterfaceType> = all[*tuple].types.iter().collect();
                return self.angled("tuple", &elements);
            }
            InterfaceType::Option(option) => return self.angled("option", &[&all[*option].ty]),
            InterfaceType::Result(result) => {
                let result = &all[*result];
                return self.result(result.ok.as_ref(), result.err.as_ref());
            }
            InterfaceType::Record(record) => {
                let fields = all[*record].fields.iter();
                let fields: Vec<Part<'_>> =
                    fields.map(|field| (&*field.name, Some(&field.ty))).collect();
                return self.braced("record", (": ", ""), &fields);
            }
            InterfaceType::Variant(variant) => {
                let cases = all[*variant].cases.iter();
                let cases: Vec<Part<'_>> =
                    cases.map(|(name, ty)| (name.as_str(), ty.as_ref())).collect();
                return self.braced("variant", ("(", ")"), &cases);
            }
            InterfaceType::Enum(cases) => {
                let names: Vec<Part<'_>> =
                    all[*cases].names.iter().map(|name| (name.as_str(), None)).collect();
                return self.braced("enum", ("", ""), &names);
            }
            InterfaceType::Flags(flags) => {
                let names: Vec<Part<'_>> =
                    all[*flags].names.iter().map(|name| (name.as_str(), None)).collect();
                return self.braced("flags", ("", ""), &names);
            }
            // Nothing that was validated has these.
            InterfaceType::Map(_)
            | InterfaceType::Future(_)
            | InterfaceType::Stream(_)
            | InterfaceType::ErrorContext(_)
            | InterfaceType::FixedLengthList(_) => "unknown",
        };
    }

    fn angled(&mut self, word: &str, types: &[&InterfaceType]) {
        self.text += word;
        self.text.push('<');
        for (at, ty) in types.iter().enumerate() {
            if !self.goes_on(at) {
                break;
            }
            self.show(ty);
        }
        self.text.push('>');
    }

    /// Parts with names; a part's type stands between two marks.
    fn braced(&mut self, word: &str, (before, behind): (&str, &str), parts: &[Part<'_>]) {
        self.text += word;
        self.text += " { ";
        for (at, (name, ty)) in parts.iter().enumerate() {
            if !self.goes_on(at) {
                break;
            }
            self.text += name;
            if let Some(ty) = ty {
                self.text += before;
                self.show(ty);
                self.text += behind;
            }
        }
        self.text += " }";
    }

    fn result(&mut self, ok: Option<&InterfaceType>, err: Option<&InterfaceType>) {
        self.text += "result";
        if ok.is_none() && err.is_none() {
            return;
        }
        self.text.push('<');
        match ok {
            Some(ok) => self.show(ok),
            None => self.text.push('_'),
        }
        if let Some(err) = err {
            self.text += ", ";
            self.show(err);
        }
        self.text.push('>');
    }

    /// Whether there is room for one part more, which a comma is before.
    fn goes_on(&mut self, at: usize) -> bool {
        let has_room = self.text.len() <= self.most;
        self.text += match (has_room, at) {
            (false, _) => "…",
            (true, 0) => "",
            (true, _) => ", ",
        };
        has_room
    }
}
