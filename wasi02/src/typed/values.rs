//! Values, as a text has them, of the types that are wanted.
//!
//! What may be left out is: fields and last parameters that are options, and the word `some` or
//! `ok` around what is neither an option nor a result.

use super::text::{Found, Text, Word};
use super::types::{Function, Kind, Type, Types};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A value.
pub(super) enum Value {
    /// A number, a letter, flags: as bits, with zeros above.
    Bits(u64),
    Text(String),
    /// A list, a record, a tuple.
    Parts(Vec<Value>),
    /// A case, and its payload.
    Case(u32, Option<Box<Value>>),
}

/// As much of a word is shown.
const SHOWN: usize = 40;

/// The values of a call; or a sentence that says what is wrong.
pub(super) fn parameters(
    types: &Types,
    function: &Function,
    text: &str,
    begin: usize,
) -> Result<Vec<Value>, String> {
    let mut reader = Reader { types, text: Text::new(text, begin), about: String::new() };
    let mut values = Vec::with_capacity(function.parameters.len());
    reader.text.takes(b'(');
    let wanted = function.parameters.len();
    if !reader.text.takes(b')') {
        loop {
            let Some(parameter) = function.parameters.get(values.len()) else {
                return Err(format!("there are more values than the {wanted} that are wanted"));
            };
            reader.about = format!("parameter {}", parameter.name);
            if let Some(ty) = parameter.ty {
                values.push(reader.value(ty)?);
            }
            if reader.ends(b')')? {
                break;
            }
        }
    }
    let rest = reader.text.next();
    if rest.word != Word::End {
        return Err(reader.wrong(rest, "nothing more"));
    }
    for parameter in function.parameters.iter().skip(values.len()) {
        if !parameter.ty.is_some_and(|ty| types.get(ty).kind == Kind::Option) {
            let found = values.len();
            let are = if found == 1 { "is" } else { "are" };
            return Err(format!(
                "the value of parameter {} is missing: {wanted} are wanted, and {found} {are} there",
                parameter.name
            ));
        }
        values.push(Value::Case(0, None));
    }
    Ok(values)
}

struct Reader<'t> {
    types: &'t Types,
    text: Text<'t>,
    /// Which parameter it is.
    about: String,
}

impl Reader<'_> {
    fn wrong(&self, found: Found<'_>, wanted: &str) -> String {
        let shown: String = found.written.chars().take(SHOWN).collect();
        let more = if shown.len() < found.written.len() { "…" } else { "" };
        let letters = self.text.all.get(..found.at).unwrap_or_default().chars().count() + 1;
        let about = match &*self.about {
            "" => String::new(),
            about => format!(" ({about})"),
        };
        match found.word {
            Word::End => format!("the text ends where {wanted} is wanted{about}"),
            _ => {
                format!("at character {letters} is {shown}{more}, where {wanted} is wanted{about}")
            }
        }
    }

    fn wrong_type<T>(&self, found: Found<'_>, ty: usize) -> Result<T, String> {
        Err(self.wrong(found, &self.types.show(ty)))
    }

    fn mark(&mut self, mark: u8) -> Result<(), String> {
        let found = self.text.next();
        if found.word == Word::Mark(mark) {
            return Ok(());
        }
        let wanted = char::from(mark);
        Err(self.wrong(found, wanted.encode_utf8(&mut [0; 4])))
    }

    /// Behind a value: whether the last one was it. A comma may stand before the end.
    fn ends(&mut self, end: u8) -> Result<bool, String> {
        if self.text.takes(b',') {
            return Ok(self.text.takes(end));
        }
        self.mark(end).map(|()| true)
    }

    fn value(&mut self, ty: usize) -> Result<Value, String> {
        let types = self.types;
        let of = types.get(ty);
        let found = self.text.peek();
        match of.kind {
            Kind::List | Kind::Tuple => self.row(ty, of),
            Kind::Record => self.record(ty, of),
            Kind::Flags => self.flags(ty, of),
            Kind::Option | Kind::Result => self.choice(ty, of),
            Kind::Variant | Kind::Enum => self.case(ty, of),
            // Said before.
            Kind::Resource => self.wrong_type(found, ty),
            Kind::Text | Kind::Char => {
                self.text.next();
                let is_wanted = match of.kind {
                    Kind::Text => matches!(found.word, Word::Text | Word::Lines),
                    _ => found.word == Word::Char,
                };
                if !is_wanted {
                    return self.wrong_type(found, ty);
                }
                let text = found.unquoted().map_err(|why| {
                    let why = format!("{} ({why})", types.show(ty));
                    self.wrong(found, &why)
                })?;
                if of.kind == Kind::Text {
                    return Ok(Value::Text(text));
                }
                let mut letters = text.chars();
                match (letters.next(), letters.next()) {
                    (Some(letter), None) => Ok(Value::Bits(u64::from(u32::from(letter)))),
                    _ => Err(self.wrong(found, "one letter")),
                }
            }
            kind => {
                self.text.next();
                match number(kind, found) {
                    Some(bits) => Ok(Value::Bits(bits)),
                    None => self.wrong_type(found, ty),
                }
            }
        }
    }

    /// A list or a tuple.
    fn row(&mut self, ty: usize, of: &Type) -> Result<Value, String> {
        let is_list = of.kind == Kind::List;
        let (begin, end) = if is_list { (b'[', b']') } else { (b'(', b')') };
        let first = self.text.peek();
        if !self.text.takes(begin) {
            self.text.next();
            return self.wrong_type(first, ty);
        }
        let mut values = Vec::new();
        if !(is_list && self.text.takes(end)) {
            loop {
                let part = if is_list { of.parts.first() } else { of.parts.get(values.len()) };
                let Some(part) = part.and_then(|part| part.ty) else {
                    return self.wrong_count(first, ty, "more values");
                };
                values.push(self.value(part)?);
                if self.ends(end)? {
                    break;
                }
            }
        }
        if !is_list && values.len() < of.parts.len() {
            return self.wrong_count(first, ty, "fewer values");
        }
        Ok(Value::Parts(values))
    }

    fn wrong_count<T>(&self, first: Found<'_>, ty: usize, what: &str) -> Result<T, String> {
        let wanted = format!("{} (there are {what})", self.types.show(ty));
        Err(self.wrong(first, &wanted))
    }

    fn record(&mut self, ty: usize, of: &Type) -> Result<Value, String> {
        let first = self.text.next();
        if first.word != Word::Mark(b'{') {
            return self.wrong_type(first, ty);
        }
        let mut values: Vec<Option<Value>> = of.parts.iter().map(|_| None).collect();
        if self.text.takes(b':') {
            self.mark(b'}')?;
        } else {
            loop {
                let found = self.text.next();
                let at = self.named(found, ty, of, "a field of")?;
                self.mark(b':')?;
                let Some(part) = of.parts[at].ty else { return self.wrong_type(found, ty) };
                if values[at].is_some() {
                    return Err(self.wrong(found, "a field that was not there before"));
                }
                values[at] = Some(self.value(part)?);
                if self.ends(b'}')? {
                    break;
                }
            }
        }
        let mut all = Vec::with_capacity(values.len());
        for (value, part) in values.into_iter().zip(&of.parts) {
            let is_option = part.ty.is_some_and(|part| self.types.get(part).kind == Kind::Option);
            all.push(match value {
                Some(value) => value,
                None if is_option => Value::Case(0, None),
                None => {
                    let wanted =
                        format!("{} (its field {} is missing)", self.types.show(ty), part.name);
                    return Err(self.wrong(first, &wanted));
                }
            });
        }
        Ok(Value::Parts(all))
    }

    fn flags(&mut self, ty: usize, of: &Type) -> Result<Value, String> {
        let first = self.text.next();
        if first.word != Word::Mark(b'{') {
            return self.wrong_type(first, ty);
        }
        let mut bits = 0_u64;
        if !self.text.takes(b'}') {
            loop {
                let found = self.text.next();
                let at = self.named(found, ty, of, "a flag of")?;
                let bit = 1_u64.checked_shl(at as u32).unwrap_or_default();
                if bits & bit != 0 {
                    return Err(self.wrong(found, "a flag that was not there before"));
                }
                bits |= bit;
                if self.ends(b'}')? {
                    break;
                }
            }
        }
        Ok(Value::Bits(bits))
    }

    /// Which part of a type is called so.
    fn named(&self, found: Found<'_>, ty: usize, of: &Type, what: &str) -> Result<usize, String> {
        let is_name = |name: &str| of.parts.iter().position(|part| part.name == name);
        let name = match found.word {
            // A field may be called as a keyword is.
            Word::Label => Some(found.written.strip_prefix('%').unwrap_or(found.written)),
            _ => None,
        };
        match name.and_then(is_name) {
            Some(at) => Ok(at),
            None => Err(self.wrong(found, &format!("{what} {}", self.types.show(ty)))),
        }
    }

    /// A variant or an enum.
    fn case(&mut self, ty: usize, of: &Type) -> Result<Value, String> {
        let found = self.text.next();
        let name = found.name();
        let case = name.and_then(|name| of.parts.iter().position(|part| part.name == name));
        match case {
            Some(case) => self.payload(found, case, ty, of),
            None if of.parts.iter().any(|part| part.name == found.written) => {
                let wanted = format!("{} (this case is written with a %)", self.types.show(ty));
                Err(self.wrong(found, &wanted))
            }
            None => self.wrong_type(found, ty),
        }
    }

    /// An option or a result: one of its words, or what may stand without.
    fn choice(&mut self, ty: usize, of: &Type) -> Result<Value, String> {
        let is_option = of.kind == Kind::Option;
        let found = self.text.peek();
        let case = match (found.word, found.written) {
            (Word::Label, "none") if is_option => Some(0),
            (Word::Label, "some") if is_option => Some(1),
            (Word::Label, "ok") if !is_option => Some(0),
            (Word::Label, "err") if !is_option => Some(1),
            _ => None,
        };
        if let Some(case) = case {
            self.text.next();
            return self.payload(found, case, ty, of);
        }
        let case = usize::from(is_option);
        let plain = of.parts.get(case).and_then(|part| part.ty);
        match plain
            .filter(|plain| !matches!(self.types.get(*plain).kind, Kind::Option | Kind::Result))
        {
            Some(plain) => {
                let value = self.value(plain)?;
                Ok(Value::Case(case as u32, Some(Box::new(value))))
            }
            None => self.wrong_type(found, ty),
        }
    }

    fn payload(
        &mut self,
        found: Found<'_>,
        case: usize,
        ty: usize,
        of: &Type,
    ) -> Result<Value, String> {
        let payload = of.parts.get(case).and_then(|part| part.ty);
        let has_one = self.text.peek().word == Word::Mark(b'(');
        let value = match payload {
            Some(payload) if has_one => {
                self.mark(b'(')?;
                let value = self.value(payload)?;
                self.mark(b')')?;
                Some(Box::new(value))
            }
            None if !has_one => None,
            Some(_) => return self.wrong_payload(found, ty, "has a value in parentheses"),
            None => return self.wrong_payload(found, ty, "has no value"),
        };
        Ok(Value::Case(case as u32, value))
    }

    fn wrong_payload<T>(&self, found: Found<'_>, ty: usize, what: &str) -> Result<T, String> {
        let wanted = format!("{} (this case {what})", self.types.show(ty));
        Err(self.wrong(found, &wanted))
    }
}

/// The bits of a number or a truth value.
fn number(kind: Kind, found: Found<'_>) -> Option<u64> {
    let written = found.written;
    if kind == Kind::Bool {
        return match (found.word, written) {
            (Word::Label, "true") => Some(1),
            (Word::Label, "false") => Some(0),
            _ => None,
        };
    }
    let is_float = matches!(kind, Kind::F32 | Kind::F64);
    let is_word = found.word == Word::Label && matches!(written, "inf" | "nan");
    if found.word != Word::Number && !(is_float && is_word) {
        return None;
    }
    Some(match kind {
        Kind::S8 => u64::from(written.parse::<i8>().ok()?.cast_unsigned()),
        Kind::S16 => u64::from(written.parse::<i16>().ok()?.cast_unsigned()),
        Kind::S32 => u64::from(written.parse::<i32>().ok()?.cast_unsigned()),
        Kind::S64 => written.parse::<i64>().ok()?.cast_unsigned(),
        Kind::U8 => u64::from(written.parse::<u8>().ok()?),
        Kind::U16 => u64::from(written.parse::<u16>().ok()?),
        Kind::U32 => u64::from(written.parse::<u32>().ok()?),
        Kind::U64 => written.parse::<u64>().ok()?,
        Kind::F32 if written == "nan" => 0x7fc0_0000,
        Kind::F64 if written == "nan" => 0x7ff8_0000_0000_0000,
        Kind::F32 => u64::from(written.parse::<f32>().ok()?.to_bits()),
        Kind::F64 => written.parse::<f64>().ok()?.to_bits(),
        _ => return None,
    })
}
