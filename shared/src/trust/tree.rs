//! JSON as a small tree: what trust files and what is remembered of them are read from.
//!
//! A loader pays for every type that serde derives with kilobytes of code; these files
//! have many types, are read once, and are short. serde_json still does the reading.
//! Guarantees: no field twice, no number that is not a whole one up to 2⁵³−1, no `null`
//! and no truth value; [`Fields::end`] refuses what nobody asked for.

use super::TrustError;
use crate::limits::JSON_INTEGER_MAX;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor};
use std::fmt;

/// More fields than any object has.
const FIELDS_MAX: usize = 32;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Number(u64),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Reads a text, all of it.
pub(super) fn read(text: &[u8]) -> Result<Node, TrustError> {
    serde_json::from_slice(text).map_err(|error| TrustError::Json(error.to_string()))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Kinds)
    }
}

/// The kinds of values that are read; every other is serde's error.
struct Kinds;

impl<'de> Visitor<'de> for Kinds {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text, a list, an object or a whole number up to 2^53-1")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Node, E> {
        if number > JSON_INTEGER_MAX {
            return Err(E::invalid_value(Unexpected::Unsigned(number), &self));
        }
        Ok(Node::Number(number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut fields: Vec<(String, Node)> = Vec::new();
        while let Some((name, value)) = entries.next_entry()? {
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format_args!("duplicate field {name:?}")));
            }
            if fields.len() == FIELDS_MAX {
                return Err(A::Error::custom("too many fields"));
            }
            fields.push((name, value));
        }
        Ok(Node::Object(fields))
    }
}

impl Node {
    /// An object with these fields, but for those that are `None`.
    pub(super) fn object<const N: usize>(fields: [(&str, Option<Self>); N]) -> Self {
        let field = |(name, value): (&str, Option<Self>)| Some((name.to_owned(), value?));
        Self::Object(fields.into_iter().filter_map(field).collect())
    }

    /// A list of texts.
    pub(super) fn texts<T: ToString>(items: &[T]) -> Self {
        Self::List(items.iter().map(|item| Self::Text(item.to_string())).collect())
    }

    /// The same, or `None` for an empty list.
    pub(super) fn texts_if_any<T: ToString>(items: &[T]) -> Option<Self> {
        (!items.is_empty()).then(|| Self::texts(items))
    }

    /// The text of it, indented, with a newline behind it.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0);
        text + "\n"
    }

    fn write(&self, text: &mut String, depth: usize) {
        match self {
            Self::Number(number) => *text += &number.to_string(),
            Self::Text(words) => *text += &quoted(words),
            Self::List(items) => {
                let items = items.iter().map(|item| (None, item));
                write_all(text, depth, ['[', ']'], items);
            }
            Self::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (Some(name.as_str()), value));
                write_all(text, depth, ['{', '}'], fields);
            }
        }
    }
}

fn write_all<'n>(
    text: &mut String,
    depth: usize,
    [open, close]: [char; 2],
    items: impl ExactSizeIterator<Item = (Option<&'n str>, &'n Node)>,
) {
    text.push(open);
    let empty = items.len() == 0;
    for (index, (name, value)) in items.enumerate() {
        *text += if index == 0 { "\n" } else { ",\n" };
        *text += &"  ".repeat(depth + 1);
        if let Some(name) = name {
            *text += &(quoted(name) + ": ");
        }
        value.write(text, depth + 1);
    }
    if !empty {
        text.push('\n');
        *text += &"  ".repeat(depth);
    }
    text.push(close);
}

/// # Panics
/// Never: every text can be written.
fn quoted(words: &str) -> String {
    serde_json::to_string(words).expect("text")
}

/// The fields of an object that are not read yet.
pub(super) struct Fields {
    /// What the object is, in words.
    what: &'static str,
    fields: Vec<(String, Node)>,
}

impl Fields {
    pub(super) fn of(node: Node, what: &'static str) -> Result<Self, TrustError> {
        match node {
            Node::Object(fields) => Ok(Self { what, fields }),
            _ => Err(TrustError::Json(format!("{what} is an object"))),
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        let index = self.fields.iter().position(|(other, _)| other == name)?;
        Some(self.fields.swap_remove(index).1)
    }

    fn wrong(&self, name: &str, kind: &str) -> TrustError {
        TrustError::Json(format!("{name:?} of {} is {kind}", self.what))
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>, TrustError> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Number(number)) => Ok(Some(number)),
            Some(_) => Err(self.wrong(name, "a number")),
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, TrustError> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "text")),
        }
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Node>>, TrustError> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::List(list)) => Ok(Some(list)),
            Some(_) => Err(self.wrong(name, "a list")),
        }
    }

    /// A list of texts, each read by `parse`.
    pub(super) fn texts<T>(
        &mut self,
        name: &str,
        parse: impl Fn(String) -> Result<T, TrustError>,
    ) -> Result<Option<Vec<T>>, TrustError> {
        let Some(list) = self.list(name)? else { return Ok(None) };
        let one = |node| match node {
            Node::Text(text) => parse(text),
            _ => Err(self.wrong(name, "a list of text")),
        };
        list.into_iter().map(one).collect::<Result<_, _>>().map(Some)
    }

    /// Refuses an absent field.
    pub(super) fn must<T>(&self, name: &str, value: Option<T>) -> Result<T, TrustError> {
        value.ok_or_else(|| TrustError::Json(format!("{} has no field {name:?}", self.what)))
    }

    /// Refuses fields that nobody asked for.
    pub(super) fn end(self) -> Result<(), TrustError> {
        match self.fields.first() {
            Some((name, _)) => {
                Err(TrustError::Json(format!("{} has an unknown field {name:?}", self.what)))
            }
            None => Ok(()),
        }
    }
}
