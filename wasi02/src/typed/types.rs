//! What a component exports, as the linker writes it down, and how values of each type lie in
//! memory.
//!
//! ```text
//! description  types functions
//! types        count (kind count (name type+1 | name 0)*)*      parts have lower numbers
//! functions    count (interface name caller count (name type+1)* type+1 | 0)*
//! name         length, UTF-8       numbers: LEB128, of 32 bits
//! ```
//!
//! A part is a field of a record, an element of a tuple, the elements of a list, a case (with
//! its payload, or none), a flag, or the name of a resource. Trusts the linker, which the bytes
//! are of; what makes no sense traps.

use crate::trap;
use alloc::string::String;
use alloc::vec::Vec;

/// What a type is; the order is that of the linker's numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    F32,
    F64,
    Char,
    Text,
    List,
    Record,
    Tuple,
    Variant,
    Enum,
    Option,
    Result,
    Flags,
    Resource,
}

const KINDS: [Kind; 22] = [
    Kind::Bool,
    Kind::S8,
    Kind::U8,
    Kind::S16,
    Kind::U16,
    Kind::S32,
    Kind::U32,
    Kind::S64,
    Kind::U64,
    Kind::F32,
    Kind::F64,
    Kind::Char,
    Kind::Text,
    Kind::List,
    Kind::Record,
    Kind::Tuple,
    Kind::Variant,
    Kind::Enum,
    Kind::Option,
    Kind::Result,
    Kind::Flags,
    Kind::Resource,
];
/// What those without parts are called.
const WORDS: [&str; 13] =
    ["bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string"];
/// A type is shown in at most so many bytes, and a bit.
const SHOWN_MAX: usize = 2000;

pub(super) struct Part {
    pub(super) name: String,
    pub(super) ty: Option<usize>,
}

pub(super) struct Type {
    pub(super) kind: Kind,
    pub(super) parts: Vec<Part>,
    pub(super) size: u32,
    pub(super) align: u32,
    /// How many values it is on the stack.
    pub(super) flat: usize,
    /// Whether a resource is in it.
    has_resource: bool,
}

pub(super) struct Function {
    pub(super) interface: String,
    pub(super) name: String,
    pub(super) caller: u32,
    pub(super) parameters: Vec<Part>,
    pub(super) result: Option<usize>,
}

pub(super) struct Types {
    all: Vec<Type>,
    pub(super) functions: Vec<Function>,
}

struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { trap() };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> u32 {
        let (mut number, mut shift) = (0_u32, 0);
        loop {
            let byte = self.byte();
            number |= u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 || shift > 28 {
                return number;
            }
        }
    }

    fn name(&mut self) -> String {
        let length = self.number() as usize;
        let Some((name, rest)) = self.0.split_at_checked(length) else { trap() };
        self.0 = rest;
        String::from_utf8(name.to_vec()).unwrap_or_else(|_| trap())
    }

    fn maybe(&mut self) -> Option<usize> {
        (self.number() as usize).checked_sub(1)
    }

    fn parts(&mut self) -> Vec<Part> {
        let count = self.number();
        (0..count).map(|_| Part { name: self.name(), ty: self.maybe() }).collect()
    }
}

/// The next multiple of a power of two.
fn aligned(at: u32, align: u32) -> u32 {
    at.checked_next_multiple_of(align).unwrap_or_else(|| trap())
}

fn more(at: u32, more: u32) -> u32 {
    at.checked_add(more).unwrap_or_else(|| trap())
}

impl Types {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let mut types = Self { all: Vec::new(), functions: Vec::new() };
        for _ in 0..bytes.number() {
            let Some(kind) = KINDS.get(usize::from(bytes.byte())) else { trap() };
            let parts = bytes.parts();
            let ty = types.laid_out(*kind, parts);
            types.all.push(ty);
        }
        for _ in 0..bytes.number() {
            let (interface, name, caller) = (bytes.name(), bytes.name(), bytes.number());
            let (parameters, result) = (bytes.parts(), bytes.maybe());
            types.functions.push(Function { interface, name, caller, parameters, result });
        }
        types
    }

    pub(super) fn get(&self, ty: usize) -> &Type {
        self.all.get(ty).unwrap_or_else(|| trap())
    }

    fn laid_out(&self, kind: Kind, parts: Vec<Part>) -> Type {
        let inner = || parts.iter().filter_map(|part| part.ty).map(|ty| self.get(ty));
        let (size, align, flat) = match kind {
            Kind::Bool | Kind::S8 | Kind::U8 => (1, 1, 1),
            Kind::S16 | Kind::U16 => (2, 2, 1),
            Kind::S32 | Kind::U32 | Kind::F32 | Kind::Char | Kind::Resource => (4, 4, 1),
            Kind::S64 | Kind::U64 | Kind::F64 => (8, 8, 1),
            Kind::Text | Kind::List => (8, 4, 2),
            Kind::Flags => match parts.len() {
                0..=8 => (1, 1, 1),
                9..=16 => (2, 2, 1),
                _ => (4, 4, 1),
            },
            Kind::Record | Kind::Tuple => {
                let (mut size, mut align, mut flat) = (0, 1, 0_usize);
                for part in inner() {
                    size = more(aligned(size, part.align), part.size);
                    align = align.max(part.align);
                    flat = flat.saturating_add(part.flat);
                }
                (aligned(size, align), align, flat)
            }
            Kind::Variant | Kind::Enum | Kind::Option | Kind::Result => {
                let cases = discriminant(parts.len());
                let align = inner().map(|part| part.align).max().unwrap_or(1);
                let size = inner().map(|part| part.size).max().unwrap_or(0);
                let flat = inner().map(|part| part.flat).max().unwrap_or(0);
                let whole = more(aligned(cases, align), size);
                let align = align.max(cases);
                (aligned(whole, align), align, flat.saturating_add(1))
            }
        };
        let has_resource = kind == Kind::Resource || inner().any(|part| part.has_resource);
        Type { kind, parts, size, align, flat, has_resource }
    }

    /// Where each part of a record or a tuple begins, and its type.
    pub(super) fn fields<'t>(&'t self, ty: &'t Type) -> impl Iterator<Item = (u32, usize)> + 't {
        let mut next = 0;
        ty.parts.iter().filter_map(|part| part.ty).map(move |part| {
            let begin = aligned(next, self.get(part).align);
            next = more(begin, self.get(part).size);
            (begin, part)
        })
    }

    /// How many bytes say which case it is, and where its payload begins.
    pub(super) fn case_layout(&self, ty: &Type) -> (usize, usize) {
        let cases = discriminant(ty.parts.len());
        let payloads = ty.parts.iter().filter_map(|part| part.ty);
        let align = payloads.map(|payload| self.get(payload).align).max().unwrap_or(1);
        (cases as usize, aligned(cases, align) as usize)
    }

    /// Whether a function takes or gives a resource.
    pub(super) fn has_resource(&self, function: &Function) -> bool {
        let mut all = function.parameters.iter().filter_map(|part| part.ty).chain(function.result);
        all.any(|ty| self.get(ty).has_resource)
    }

    pub(super) fn show_function(&self, function: &Function, to: &mut String) {
        to.push_str(&function.path());
        to.push_str(": func(");
        let most = to.len() + SHOWN_MAX;
        for (at, parameter) in function.parameters.iter().enumerate() {
            to.push_str(if at == 0 { "" } else { ", " });
            to.push_str(&parameter.name);
            to.push_str(": ");
            self.show_part(parameter, most, to);
        }
        to.push(')');
        if let Some(result) = function.result {
            to.push_str(" -> ");
            self.show_to(result, most, to);
        }
    }

    /// A type in words.
    pub(super) fn show(&self, ty: usize) -> String {
        let mut text = String::new();
        self.show_to(ty, SHOWN_MAX, &mut text);
        text
    }

    fn show_part(&self, part: &Part, most: usize, to: &mut String) {
        if let Some(ty) = part.ty {
            self.show_to(ty, most, to);
        }
    }

    fn show_to(&self, ty: usize, most: usize, to: &mut String) {
        if to.len() > most {
            to.push('…');
            return;
        }
        let ty = self.get(ty);
        let word = match ty.kind {
            Kind::List => "list",
            Kind::Tuple => "tuple",
            Kind::Option => "option",
            Kind::Result => return self.show_result(ty, most, to),
            Kind::Record => "record",
            Kind::Variant => "variant",
            Kind::Enum => "enum",
            Kind::Flags => "flags",
            Kind::Resource => ty.parts.first().map_or("resource", |part| &part.name),
            scalar => WORDS.get(scalar as usize).copied().unwrap_or_else(|| trap()),
        };
        to.push_str(word);
        if (ty.kind as usize) < WORDS.len() || ty.kind == Kind::Resource {
            return;
        }
        let is_named = matches!(ty.kind, Kind::Record | Kind::Variant | Kind::Enum | Kind::Flags);
        to.push_str(if is_named { " { " } else { "<" });
        let parts = ty.parts.iter().filter(|part| is_named || part.ty.is_some());
        for (at, part) in parts.enumerate() {
            if to.len() > most {
                to.push('…');
                break;
            }
            to.push_str(if at == 0 { "" } else { ", " });
            if is_named {
                to.push_str(&part.name);
            }
            match (ty.kind, part.ty) {
                (Kind::Record, _) => {
                    to.push_str(": ");
                    self.show_part(part, most, to);
                }
                (Kind::Variant, Some(_)) => {
                    to.push('(');
                    self.show_part(part, most, to);
                    to.push(')');
                }
                _ => self.show_part(part, most, to),
            }
        }
        to.push_str(if is_named { " }" } else { ">" });
    }

    fn show_result(&self, ty: &Type, most: usize, to: &mut String) {
        to.push_str("result");
        let [ok, err] = &*ty.parts else { return };
        if ok.ty.is_none() && err.ty.is_none() {
            return;
        }
        to.push('<');
        match ok.ty {
            Some(_) => self.show_part(ok, most, to),
            None => to.push('_'),
        }
        if err.ty.is_some() {
            to.push_str(", ");
            self.show_part(err, most, to);
        }
        to.push('>');
    }
}

/// How many bytes say which of so many cases it is.
fn discriminant(cases: usize) -> u32 {
    match cases {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

impl Function {
    /// Its name with the interface's, as it is called: `wasi:x/y.f@1.0.0`.
    pub(super) fn path(&self) -> String {
        let (interface, version) = match self.interface.split_once('@') {
            Some((interface, version)) => (interface, version),
            None => (&*self.interface, ""),
        };
        let mut path = String::from(interface);
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&self.name);
        if !version.is_empty() {
            path.push('@');
            path.push_str(version);
        }
        path
    }
}
