//! Names of functions as their authors wrote them, in short.
//!
//! ```text
//! _ZN4core3fmt5write17h0123456789abcdefE   core::fmt::write
//! _RNvMs_NtCs1_5alloc3vecINtB5_3VecmE4push <alloc::vec::Vec>::push
//! _ZN5shape6circle4areaEv                  shape::circle::area
//! math::_ZN4core3fmt5write17h0123456789abcdefE   math::core::fmt::write
//! ```
//!
//! Knows both manglings of Rust (RFC 2603 and the one before it), and of C++ what has
//! neither templates nor operators; linkers write C++ names readable themselves. Leaves
//! types of arguments, generic arguments and hashes out. Guarantees that it ends, whatever
//! the name: a name that is longer than a real one, nested too deep, or not of a form
//! above, stays as it is.

use std::borrow::Cow;

/// Longest name that is read, and that is given, in bytes.
const BYTES_MAX: usize = 4096;
/// Most steps in one name: a name can refer to parts of itself, and these to others.
const STEPS_MAX: usize = 4096;
/// Deepest nesting in one name.
const DEPTH_MAX: usize = 64;

/// The name as it is read. One of a library that was linked stands behind the library's own.
#[must_use]
pub fn readable(name: &str) -> Cow<'_, str> {
    let inner = ["::_R", "::_Z"].iter().filter_map(|begin| name.find(begin)).min();
    if let Some(at) = inner.filter(|_| !name.starts_with("_R") && !name.starts_with("_Z")) {
        let (library, own) = name.split_at(at + "::".len());
        return match alone(own) {
            Cow::Owned(own) => Cow::Owned(format!("{library}{own}")),
            Cow::Borrowed(_) => Cow::Borrowed(name),
        };
    }
    alone(name)
}

/// The same of a name that stands alone.
fn alone(name: &str) -> Cow<'_, str> {
    let short = match name.get(..2) {
        _ if name.len() > BYTES_MAX || !name.is_ascii() => None,
        Some("_R") => {
            let mut parser = Parser { text: &name.as_bytes()[2..], ..Parser::default() };
            parser.path().map(|()| parser.shown)
        }
        Some("_Z") => nested(&name[2..]),
        _ => None,
    };
    short.map_or(Cow::Borrowed(name), Cow::Owned)
}

/// Reads a number in front; gives it and what follows. None begins with 0 but 0 itself.
fn number(text: &str) -> Option<(usize, &str)> {
    if let Some(rest) = text.strip_prefix('0') {
        return Some((0, rest));
    }
    let end = text.find(|digit: char| !digit.is_ascii_digit())?;
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// C++'s nested names, as Rust's first mangling has them too: `N`, names with their
/// lengths in front, `E`; or one name alone.
fn nested(text: &str) -> Option<String> {
    let Some(mut text) = text.strip_prefix('N') else {
        let (length, rest) = number(text)?;
        return rest.get(..length).filter(|name| !name.is_empty()).map(str::to_owned);
    };
    text = text.trim_start_matches(['r', 'V', 'K', 'R', 'O']);
    let mut names: Vec<&str> = Vec::new();
    while !text.starts_with('E') {
        let (length, rest) = number(text)?;
        names.push(rest.get(..length)?);
        text = &rest[length..];
    }
    let is_hash = |name: &&str| {
        name.len() == 17
            && name.starts_with('h')
            && name[1..].bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    if names.len() > 1 && names.last().is_some_and(is_hash) {
        names.pop();
        return Some(names.into_iter().map(unescaped).collect::<Vec<_>>().join("::"));
    }
    (!names.is_empty()).then(|| names.join("::"))
}

/// Undoes the escapes of Rust's first mangling: `$LT$`, `$u20$`, `..`.
fn unescaped(name: &str) -> String {
    const ESCAPES: [(&str, &str); 9] = [
        ("SP", "@"),
        ("BP", "*"),
        ("RF", "&"),
        ("LT", "<"),
        ("GT", ">"),
        ("LP", "("),
        ("RP", ")"),
        ("C", ","),
        ("u20", " "),
    ];
    let name = if name.starts_with("_$") { &name[1..] } else { name };
    let mut shown = String::new();
    // Every second piece stands between two signs.
    for (position, piece) in name.split('$').enumerate() {
        let escape = || ESCAPES.iter().find(|(escape, _)| *escape == piece).map(|(_, text)| *text);
        let code = || {
            let digits = piece.strip_prefix('u')?;
            u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)
        };
        match (position % 2, escape(), code()) {
            (1, Some(text), _) => shown += text,
            (1, None, Some(letter)) => shown.push(letter),
            _ => shown += &piece.replace("..", "::"),
        }
    }
    shown
}

/// Reads Rust's second mangling. Each method reads one production of its grammar, and
/// gives `None` where the text is none.
#[derive(Default)]
struct Parser<'a> {
    /// What follows `_R`: positions that a name refers to count from there.
    text: &'a [u8],
    at: usize,
    shown: String,
    /// Above 0 while what is read is not shown.
    quiet: usize,
    depth: usize,
    steps: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn show(&mut self, text: &str) -> Option<()> {
        if self.quiet == 0 {
            self.shown += text;
        }
        (self.shown.len() <= BYTES_MAX).then_some(())
    }

    /// Reads something that is not shown.
    fn quietly(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.quiet += 1;
        let done = read(self);
        self.quiet -= 1;
        done
    }

    /// Reads something that may hold others of its kind.
    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.steps += 1;
        if self.depth == DEPTH_MAX || self.steps > STEPS_MAX {
            return None;
        }
        self.depth += 1;
        let done = read(self);
        self.depth -= 1;
        done
    }

    /// Reads until `E`.
    fn list(&mut self, mut read: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        while !self.eat(b'E') {
            read(self)?;
        }
        Some(())
    }

    /// A number in base 62 that ends with `_`.
    fn base62(&mut self) -> Option<usize> {
        let mut value = 0_usize;
        if self.eat(b'_') {
            return Some(0);
        }
        loop {
            let digit = match self.next()? {
                b'_' => return value.checked_add(1),
                digit @ b'0'..=b'9' => digit - b'0',
                digit @ b'a'..=b'z' => digit - b'a' + 10,
                digit @ b'A'..=b'Z' => digit - b'A' + 36,
                _ => return None,
            };
            value = value.checked_mul(62)?.checked_add(digit.into())?;
        }
    }

    /// What tells things of the same name apart.
    fn disambiguator(&mut self) -> Option<()> {
        if self.eat(b's') { self.base62().map(drop) } else { Some(()) }
    }

    fn identifier(&mut self) -> Option<&str> {
        self.disambiguator()?;
        self.eat(b'u');
        let rest = str::from_utf8(self.text.get(self.at..)?).ok()?;
        let (length, after) = number(rest)?;
        self.at += rest.len() - after.len();
        self.eat(b'_');
        let name = self.text.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        str::from_utf8(name).ok()
    }

    fn shown_identifier(&mut self, before: &str) -> Option<()> {
        let name = self.identifier()?.to_owned();
        self.show(before)?;
        self.show(&name)
    }

    /// Reads again what stands at an earlier position.
    fn reference(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let begin = self.at - 1;
        let target = self.base62()?;
        let after = std::mem::replace(&mut self.at, target);
        let done = if target < begin { read(self) } else { None };
        self.at = after;
        done
    }

    fn path(&mut self) -> Option<()> {
        self.nested(Self::path_here)
    }

    fn path_here(&mut self) -> Option<()> {
        match self.next()? {
            b'C' => self.shown_identifier(""),
            b'N' => {
                let space = self.next()?;
                self.path()?;
                match space {
                    b'a'..=b'z' => self.shown_identifier("::"),
                    b'C' => {
                        self.identifier()?;
                        self.show("::{closure}")
                    }
                    _ => self.shown_identifier("::{}"),
                }
            }
            b'M' => {
                self.implementation()?;
                self.between("<", Self::ty, ">")
            }
            b'X' => {
                self.implementation()?;
                self.as_trait()
            }
            b'Y' => self.as_trait(),
            b'I' => {
                self.path()?;
                self.quietly(|parser| parser.list(Self::argument))
            }
            b'B' => self.reference(Self::path),
            _ => None,
        }
    }

    /// Where an `impl` stands, which its type says as well.
    fn implementation(&mut self) -> Option<()> {
        self.disambiguator()?;
        self.quietly(Self::path)
    }

    fn as_trait(&mut self) -> Option<()> {
        self.between("<", Self::ty, " as ")?;
        self.between("", Self::path, ">")
    }

    fn between(
        &mut self,
        before: &str,
        read: impl FnOnce(&mut Self) -> Option<()>,
        after: &str,
    ) -> Option<()> {
        self.show(before)?;
        read(self)?;
        self.show(after)
    }

    /// A generic argument.
    fn argument(&mut self) -> Option<()> {
        match self.peek()? {
            b'L' => {
                self.at += 1;
                self.base62().map(drop)
            }
            b'K' => {
                self.at += 1;
                self.constant()
            }
            _ => self.ty(),
        }
    }

    /// A number, a letter or a truth value, never shown.
    fn constant(&mut self) -> Option<()> {
        match self.next()? {
            b'p' => Some(()),
            b'B' => self.reference(Self::constant),
            b'a'..=b'z' => {
                self.eat(b'n');
                while self.next()? != b'_' {}
                Some(())
            }
            _ => None,
        }
    }

    fn ty(&mut self) -> Option<()> {
        self.nested(Self::type_here)
    }

    fn type_here(&mut self) -> Option<()> {
        let letter = self.next()?;
        if let Some(name) = basic_type(letter) {
            return self.show(name);
        }
        match letter {
            b'A' => {
                self.between("[", Self::ty, "]")?;
                self.quietly(Self::constant)
            }
            b'S' => self.between("[", Self::ty, "]"),
            b'T' => {
                self.show("(..)")?;
                self.quietly(|parser| parser.list(Self::ty))
            }
            b'R' | b'Q' => {
                if self.eat(b'L') {
                    self.base62()?;
                }
                self.between(if letter == b'R' { "&" } else { "&mut " }, Self::ty, "")
            }
            b'P' => self.between("*const ", Self::ty, ""),
            b'O' => self.between("*mut ", Self::ty, ""),
            b'F' => {
                self.show("fn(..)")?;
                self.quietly(Self::signature)
            }
            b'D' => {
                self.binder()?;
                self.show("dyn ")?;
                let mut plus = "";
                self.list(|parser| parser.bound(std::mem::replace(&mut plus, " + ")))?;
                if self.eat(b'L') { self.base62().map(drop) } else { None }
            }
            b'B' => self.reference(Self::ty),
            _ => {
                self.at -= 1;
                self.path()
            }
        }
    }

    fn binder(&mut self) -> Option<()> {
        if self.eat(b'G') { self.base62().map(drop) } else { Some(()) }
    }

    fn signature(&mut self) -> Option<()> {
        self.binder()?;
        self.eat(b'U');
        if self.eat(b'K') && !self.eat(b'C') {
            self.identifier()?;
        }
        self.list(Self::ty)?;
        self.ty()
    }

    /// A trait of a trait object, with what it says of its associated types.
    fn bound(&mut self, before: &str) -> Option<()> {
        self.show(before)?;
        self.path()?;
        while self.eat(b'p') {
            self.identifier()?;
            self.quietly(Self::ty)?;
        }
        Some(())
    }
}

fn basic_type(letter: u8) -> Option<&'static str> {
    Some(match letter {
        b'a' => "i8",
        b'b' => "bool",
        b'c' => "char",
        b'd' => "f64",
        b'e' => "str",
        b'f' => "f32",
        b'h' => "u8",
        b'i' => "isize",
        b'j' => "usize",
        b'l' => "i32",
        b'm' => "u32",
        b'n' => "i128",
        b'o' => "u128",
        b's' => "i16",
        b't' => "u16",
        b'u' => "()",
        b'v' => "...",
        b'x' => "i64",
        b'y' => "u64",
        b'z' => "!",
        b'p' => "_",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn names_of_rust_and_of_cpp() {
        for (name, shown) in [
            ("_RNvNtCs65odhARDMYf_3std9panicking11begin_panic", "std::panicking::begin_panic"),
            ("_RNvMs_NtCs1_5alloc3vecINtB4_3VecmE4push", "<alloc::vec::Vec>::push"),
            ("_RNvXCs1_1aNtB2_1SNtNtCs2_4core3fmt5Debug3fmt", "<a::S as core::fmt::Debug>::fmt"),
            ("_RNvYhNtCs1_1a1T1f", "<u8 as a::T>::f"),
            ("_RNCNvCs1_1a4main0", "a::main::{closure}"),
            ("_RNCNCNvCs1_1a4main00", "a::main::{closure}::{closure}"),
            ("_RINvCs1_1a1fTlRSeEFUKCmEuDNtB2_1TEL_Kj2a_E", "a::f"),
            ("_RNvMCs1_1aRAjj3_1f", "<&[usize]>::f"),
            ("_RNvNtCs1_1au4_caf_1f", "a::caf_::f"),
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
            (
                "_ZN45_$LT$T$u20$as$u20$alloc..string..ToString$GT$9to_string17h0123456789abcdefE",
                "<T as alloc::string::ToString>::to_string",
            ),
            ("_ZN5shape6circle4areaEv", "shape::circle::area"),
            ("_ZNK5shape4sideEi", "shape::side"),
            ("_Z4mainiPPc", "main"),
            ("math::_ZN5shape6circle4areaEv", "math::shape::circle::area"),
            ("a::b::_RNvC1a1f", "a::b::a::f"),
        ] {
            assert_eq!(readable(name), shown, "{name}");
        }
    }

    #[test]
    fn what_is_no_such_name_stays() {
        let endless = format!("_R{}", "Nv".repeat(3000));
        let doubling = format!("_RNvC1aT{}E", "TB_B_E".repeat(900));
        let itself = "_RNvB_1f";
        for name in [
            "",
            "_",
            "main",
            "é",
            "_R",
            "_Z",
            "_ZN",
            "_ZNE",
            "_ZN3fooI1AE3barE",
            "_ZNSt6vectorE",
            "_RC",
            "_RC9a",
            "_RNvC1a99999999999999999999999f",
            "_ZN99999999999999999999fE",
            itself,
            &endless,
            &doubling,
            "_RNvMB_1f",
            "_RIC1aKj",
            "_RNvC18446744073709551615a1f",
            "math::add",
            "math::_Z",
            "::_R",
        ] {
            assert_eq!(readable(name), name);
        }
    }
}
