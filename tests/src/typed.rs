//! Types and values of the component model, as chance has them: components whose functions give
//! back what they get, and texts of values in WAVE.
//!
//! What is written here is written as it comes back: fields in order, options that are nothing
//! left out of records, numbers and letters as they are printed.

use std::fmt::Write as _;

/// Numbers without an end, the same for one seed.
#[derive(Debug)]
pub struct Chance(pub u64);

impl Chance {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }

    /// One of these.
    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// A number on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Core {
    I32,
    I64,
    F32,
    F64,
}

impl Core {
    fn name(self) -> &'static str {
        match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// What has room for both.
    fn join(self, other: Self) -> Self {
        match (self, other) {
            _ if self == other => self,
            (Self::I32, Self::F32) | (Self::F32, Self::I32) => Self::I32,
            _ => Self::I64,
        }
    }

    /// A local of one type as a value of another, where both have been joined.
    fn as_core(self, local: usize, wanted: Self) -> String {
        let get = format!("(local.get {local})");
        match (self, wanted) {
            _ if self == wanted => get,
            (Self::I64, Self::I32) => format!("(i32.wrap_i64 {get})"),
            (Self::I64, Self::F32) => format!("(f32.reinterpret_i32 (i32.wrap_i64 {get}))"),
            (Self::I64, Self::F64) => format!("(f64.reinterpret_i64 {get})"),
            (Self::I32, Self::F32) => format!("(f32.reinterpret_i32 {get})"),
            pair => panic!("never joined: {pair:?}"),
        }
    }
}

/// A case, or a field: its name, and its type.
type Part = (String, Option<Type>);

/// A type.
#[derive(Clone, Debug)]
pub enum Type {
    /// `bool`, a number, `char`.
    Scalar(&'static str),
    /// `string`.
    Text,
    /// `list`.
    List(Box<Type>),
    /// `record`.
    Record(Vec<Part>),
    /// `tuple`.
    Tuple(Vec<Type>),
    /// `variant`, `enum`, `option` or `result`, which is the word.
    Cases(&'static str, Vec<Part>),
    /// `flags`.
    Flags(Vec<String>),
}

const SCALARS: [&str; 12] =
    ["bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char"];
/// Names, keywords among them.
const NAMES: [&str; 16] = [
    "a",
    "b-c",
    "some",
    "none",
    "ok",
    "err",
    "true",
    "inf",
    "nan",
    "X",
    "two-words",
    "Y-2",
    "false",
    "list",
    "i",
    "a1-b2",
];
const LETTERS: [char; 16] = [
    'a', 'Z', '0', ' ', '"', '\'', '\\', '\n', '\t', '\0', '\u{7f}', 'é', '☃', '😀', '\u{301}',
    '\u{200b}',
];

fn aligned(at: usize, align: usize) -> usize {
    at.next_multiple_of(align)
}

impl Type {
    /// One of chance, no deeper than this.
    pub fn random(chance: &mut Chance, depth: usize) -> Self {
        let kinds = if depth == 0 { 5 } else { 12 };
        let inner = |chance: &mut Chance| Self::random(chance, depth - 1);
        match chance.below(kinds) {
            0..=2 => Self::Scalar(chance.one(&SCALARS)),
            3 => Self::Text,
            4 => match chance.below(2) {
                0 => Self::Flags(names(chance, 32)),
                _ => {
                    let names = names(chance, 16);
                    Self::Cases("enum", names.into_iter().map(|name| (name, None)).collect())
                }
            },
            5 => Self::List(Box::new(inner(chance))),
            6 | 7 => {
                let names = names(chance, 5).into_iter();
                Self::Record(names.map(|name| (name, Some(inner(chance)))).collect())
            }
            8 => Self::Tuple((0..=chance.below(4)).map(|_| inner(chance)).collect()),
            9 => {
                let names = names(chance, 5).into_iter();
                let payload = |chance: &mut Chance| (chance.below(3) > 0).then(|| inner(chance));
                Self::Cases("variant", names.map(|name| (name, payload(chance))).collect())
            }
            10 => {
                let some = Some(inner(chance));
                Self::Cases("option", vec![("none".to_owned(), None), ("some".to_owned(), some)])
            }
            _ => {
                let mut payload = || (chance.below(3) > 0).then(|| inner(chance));
                let (ok, err) = (payload(), payload());
                Self::Cases("result", vec![("ok".to_owned(), ok), ("err".to_owned(), err)])
            }
        }
    }

    /// What it is made of, in order.
    fn inner(&self) -> Vec<&Self> {
        match self {
            Self::Record(parts) | Self::Cases(_, parts) => {
                parts.iter().filter_map(|(_, ty)| ty.as_ref()).collect()
            }
            Self::Tuple(types) => types.iter().collect(),
            _ => Vec::new(),
        }
    }

    /// How large it is in memory, and to what it is aligned.
    fn layout(&self) -> (usize, usize) {
        match self {
            Self::Scalar("bool" | "s8" | "u8") => (1, 1),
            Self::Scalar("s16" | "u16") => (2, 2),
            Self::Scalar("s64" | "u64" | "f64") => (8, 8),
            Self::Scalar(_) => (4, 4),
            Self::Text | Self::List(_) => (8, 4),
            Self::Flags(names) => match names.len() {
                0..=8 => (1, 1),
                9..=16 => (2, 2),
                _ => (4, 4),
            },
            Self::Record(_) | Self::Tuple(_) => {
                let (mut size, mut align) = (0, 1);
                for (part, to) in self.inner().iter().map(|part| part.layout()) {
                    size = aligned(size, to) + part;
                    align = align.max(to);
                }
                (aligned(size, align), align)
            }
            Self::Cases(..) => {
                let begin = self.payload_at();
                let all = self.inner();
                let size = all.iter().map(|part| part.layout().0).max().unwrap_or(0);
                let align = all.iter().map(|part| part.layout().1).max().unwrap_or(1);
                (aligned(begin + size, align), align)
            }
        }
    }

    /// Where a payload begins: behind one byte, which says what case it is.
    fn payload_at(&self) -> usize {
        aligned(1, self.inner().iter().map(|part| part.layout().1).max().unwrap_or(1))
    }

    fn flat(&self) -> Vec<Core> {
        match self {
            Self::Scalar("s64" | "u64") => vec![Core::I64],
            Self::Scalar("f32") => vec![Core::F32],
            Self::Scalar("f64") => vec![Core::F64],
            Self::Scalar(_) | Self::Flags(_) => vec![Core::I32],
            Self::Text | Self::List(_) => vec![Core::I32, Core::I32],
            Self::Record(_) | Self::Tuple(_) => {
                self.inner().iter().flat_map(|part| part.flat()).collect()
            }
            Self::Cases(..) => {
                let mut joined: Vec<Core> = Vec::new();
                for part in self.inner() {
                    for (at, core) in part.flat().into_iter().enumerate() {
                        match joined.get_mut(at) {
                            Some(one) => *one = one.join(core),
                            None => joined.push(core),
                        }
                    }
                }
                joined.insert(0, Core::I32);
                joined
            }
        }
    }

    /// How it is written in a component's text; `named` gets what must have a name there.
    fn to_wat(&self, named: &mut String, count: &mut usize) -> String {
        let mut of = |ty: &Self, named: &mut String| ty.to_wat(named, count);
        let text = match self {
            Self::Scalar(name) => return (*name).to_owned(),
            Self::Text => return "string".to_owned(),
            Self::List(element) => return format!("(list {})", of(element, named)),
            Self::Tuple(types) => {
                let types: Vec<String> = types.iter().map(|ty| of(ty, named)).collect();
                return format!("(tuple {})", types.join(" "));
            }
            Self::Cases("option", parts) => {
                let some = parts[1].1.as_ref().expect("a type");
                return format!("(option {})", of(some, named));
            }
            Self::Cases("result", parts) => {
                let ok = parts[0].1.as_ref().map(|ty| of(ty, named)).unwrap_or_default();
                let err = parts[1].1.as_ref();
                let err = err.map(|ty| format!("(error {})", of(ty, named))).unwrap_or_default();
                return format!("(result {ok} {err})");
            }
            Self::Record(parts) => {
                let field = |(name, ty): &Part| {
                    format!("(field \"{name}\" {})", of(ty.as_ref().expect("a type"), named))
                };
                format!("(record {})", parts.iter().map(field).collect::<Vec<_>>().join(" "))
            }
            Self::Cases("enum", parts) => {
                let names = parts.iter().map(|(name, _)| format!("\"{name}\""));
                format!("(enum {})", names.collect::<Vec<_>>().join(" "))
            }
            Self::Cases(_, parts) => {
                let case = |(name, ty): &Part| {
                    let ty = ty.as_ref().map(|ty| of(ty, named)).unwrap_or_default();
                    format!("(case \"{name}\" {ty})")
                };
                format!("(variant {})", parts.iter().map(case).collect::<Vec<_>>().join(" "))
            }
            Self::Flags(names) => {
                let names = names.iter().map(|name| format!("\"{name}\""));
                format!("(flags {})", names.collect::<Vec<_>>().join(" "))
            }
        };
        let number = *count;
        *count += 1;
        let _ = write!(
            named,
            "(type $t{number} {text})\n(export $n{number} \"t{number}\" (type $t{number}))\n"
        );
        format!("$n{number}")
    }

    /// Code that writes locals of these types, from a number on, at `$to` and so far behind it.
    fn store(&self, locals: &[Core], from: usize, offset: usize, code: &mut String) {
        let mut put = |op: &str, at: usize, behind: usize, core: Core| {
            let value = locals[at].as_core(from + at, core);
            let _ = writeln!(code, "({op} offset={} (local.get $to) {value})", offset + behind);
        };
        let (size, _) = self.layout();
        match self {
            Self::Text | Self::List(_) => {
                put("i32.store", 0, 0, Core::I32);
                put("i32.store", 1, 4, Core::I32);
            }
            Self::Scalar(_) | Self::Flags(_) => {
                let core = self.flat()[0];
                let op = match (core, size) {
                    (Core::I32, 1) => "i32.store8".to_owned(),
                    (Core::I32, 2) => "i32.store16".to_owned(),
                    _ => format!("{}.store", core.name()),
                };
                put(&op, 0, 0, core);
            }
            Self::Record(_) | Self::Tuple(_) => {
                let (mut at, mut place) = (0, 0);
                for part in self.inner() {
                    let (size, align) = part.layout();
                    place = aligned(place, align);
                    part.store(&locals[at..], from + at, offset + place, code);
                    place += size;
                    at += part.flat().len();
                }
            }
            Self::Cases(_, parts) => {
                put("i32.store8", 0, 0, Core::I32);
                let case = locals[0].as_core(from, Core::I32);
                for (number, (_, ty)) in parts.iter().enumerate() {
                    let Some(ty) = ty else { continue };
                    let _ = writeln!(code, "(if (i32.eq {case} (i32.const {number})) (then");
                    ty.store(&locals[1..], from + 1, offset + self.payload_at(), code);
                    let _ = writeln!(code, "))");
                }
            }
        }
    }

    /// A value of chance, as it is printed.
    pub fn value(&self, chance: &mut Chance) -> String {
        match self {
            Self::Scalar(name) => scalar(name, chance),
            Self::Text => {
                let letters = (0..chance.below(6)).map(|_| letter(chance.one(&LETTERS)));
                format!("\"{}\"", letters.collect::<String>())
            }
            Self::List(element) => {
                let all: Vec<_> = (0..chance.below(4)).map(|_| element.value(chance)).collect();
                format!("[{}]", all.join(", "))
            }
            Self::Tuple(types) => {
                let all: Vec<_> = types.iter().map(|ty| ty.value(chance)).collect();
                format!("({})", all.join(", "))
            }
            Self::Record(parts) => {
                let mut all = Vec::new();
                for (name, ty) in parts {
                    let value = ty.as_ref().expect("a type").value(chance);
                    let is_option = matches!(ty, Some(Self::Cases("option", _)));
                    if !(is_option && value == "none") {
                        all.push(format!("{name}: {value}"));
                    }
                }
                match &*all {
                    [] => "{:}".to_owned(),
                    all => format!("{{{}}}", all.join(", ")),
                }
            }
            Self::Cases(word, parts) => {
                let (name, ty) = chance.one(parts);
                let keywords = ["true", "false", "some", "none", "ok", "err", "inf", "nan"];
                let is_named = matches!(*word, "variant" | "enum");
                let mark = if is_named && keywords.contains(&&*name) { "%" } else { "" };
                let payload = ty.map(|ty| format!("({})", ty.value(chance)));
                format!("{mark}{name}{}", payload.unwrap_or_default())
            }
            Self::Flags(names) => {
                let set: Vec<_> = names.iter().filter(|_| chance.below(2) == 0).cloned().collect();
                format!("{{{}}}", set.join(", "))
            }
        }
    }
}

/// Names of which none is there twice, at most so many.
fn names(chance: &mut Chance, most: usize) -> Vec<String> {
    let count = 1 + chance.below(most);
    let mut names: Vec<String> = Vec::with_capacity(count);
    for at in 0..count {
        let name = chance.one(&NAMES);
        // Names that differ in large and small letters only are one.
        match names.iter().any(|one| one.eq_ignore_ascii_case(name)) {
            false => names.push(name.to_owned()),
            true => names.push(format!("n{at}")),
        }
    }
    names
}

fn scalar(name: &str, chance: &mut Chance) -> String {
    let bits = match chance.below(3) {
        0 => chance.number() >> chance.below(64),
        1 => chance.number() | u64::MAX << chance.below(64),
        _ => chance.number(),
    };
    match name {
        "bool" => (bits & 1 == 1).to_string(),
        "s8" => (bits as i8).to_string(),
        "u8" => (bits as u8).to_string(),
        "s16" => (bits as i16).to_string(),
        "u16" => (bits as u16).to_string(),
        "s32" => (bits as i32).to_string(),
        "u32" => (bits as u32).to_string(),
        "s64" => (bits as i64).to_string(),
        "u64" => bits.to_string(),
        "f32" => match f32::from_bits(bits as u32) {
            number if number.is_nan() => "nan".to_owned(),
            number => number.to_string(),
        },
        "f64" => match f64::from_bits(bits) {
            number if number.is_nan() => "nan".to_owned(),
            number => number.to_string(),
        },
        _ => format!("'{}'", letter(chance.one(&LETTERS))),
    }
}

/// A letter as it is printed.
fn letter(letter: char) -> String {
    match letter {
        '\\' | '"' | '\'' | '\t' | '\r' | '\n' => letter.escape_default().to_string(),
        _ if letter.is_control() => letter.escape_unicode().to_string(),
        _ => letter.escape_debug().to_string(),
    }
}

/// A component with two functions for each type: `list-N` takes and gives a list of it,
/// `plain-N` one, and each gives what it gets.
#[must_use]
pub fn component(types: &[Type]) -> String {
    const ALLOCATOR: &str = r#"(memory (export "memory") 64)
        (global $next (mut i32) (i32.const 1024))
        (func $realloc (export "realloc") (param i32 i32 i32 i32) (result i32) (local $place i32)
          (local.set $place (i32.and
            (i32.add (global.get $next) (i32.sub (local.get 2) (i32.const 1)))
            (i32.sub (i32.const 0) (local.get 2))))
          (global.set $next (i32.add (local.get $place) (local.get 3)))
          (memory.copy (local.get $place) (local.get 0) (local.get 1))
          (local.get $place))
        (func (export "back") (param i32 i32) (result i32) (local $to i32)
          (local.set $to
            (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 8)))
          (i32.store (local.get $to) (local.get 0))
          (i32.store offset=4 (local.get $to) (local.get 1))
          (local.get $to))"#;
    let (mut core, mut named, mut functions, mut count) =
        (ALLOCATOR.to_owned(), String::new(), String::new(), 0);
    let options = "(memory $i \"memory\") (realloc (func $i \"realloc\"))";
    for (number, ty) in types.iter().enumerate() {
        let text = ty.to_wat(&mut named, &mut count);
        let _ = write!(
            functions,
            "(func (export \"list-{number}\") (param \"it\" (list {text})) (result (list {text}))
               (canon lift (core func $i \"back\") {options}))
             (func (export \"plain-{number}\") (param \"it\" {text}) (result {text})
               (canon lift (core func $i \"plain-{number}\") {options}))\n"
        );
        let flat = ty.flat();
        let parameters: Vec<&str> = flat.iter().map(|one| one.name()).collect();
        let parameters = parameters.join(" ");
        let _ = match flat.len() {
            1 => writeln!(
                core,
                "(func (export \"plain-{number}\") (param {parameters}) (result {parameters})
                   (local.get 0))"
            ),
            2..=16 => {
                let (size, align) = ty.layout();
                let mut code = String::new();
                ty.store(&flat, 0, 0, &mut code);
                writeln!(
                    core,
                    "(func (export \"plain-{number}\") (param {parameters}) (result i32)
                       (local $to i32)
                       (local.set $to (call $realloc (i32.const 0) (i32.const 0)
                         (i32.const {align}) (i32.const {size})))
                       {code}
                       (local.get $to))"
                )
            }
            // It lies in memory already.
            _ => writeln!(
                core,
                "(func (export \"plain-{number}\") (param i32) (result i32) (local.get 0))"
            ),
        };
    }
    format!(
        "(component (core module $m {core}) (core instance $i (instantiate $m))\n{named}{functions})"
    )
}
