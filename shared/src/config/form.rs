//! The fields of a configuration, and one reader for all of them.
//!
//! What each field holds is a row of a table, and one visitor reads by it: a loader pays for
//! every type that serde derives with kilobytes of code. serde_json does the reading, so what
//! is wrong has a line and a column. Guarantees: no unknown field, no field twice, each value
//! of the kind that its row says. `null` is as good as absent.

use super::{ConfigError, Mistake, field_of, option_of};
use crate::options::{self, Takes};
use crate::text::printable_name;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Flag,
    Texts,
    /// An object with these fields.
    Object(&'static [(&'static str, Kind)]),
    /// A list of such objects.
    Objects(&'static [(&'static str, Kind)]),
    /// The value of an option: text, a number, or a list of text, which is the option several
    /// times.
    Value,
    /// The same, or an object of texts: `{"NAME": "VALUE"}`.
    Variables,
    /// The value of an option that may have one: `true`, or text.
    MaybeValue,
    /// Whatever it is, it is overlooked.
    Anything,
}

const MODULE: &[(&str, Kind)] = &[
    ("file", Kind::Text),
    ("name", Kind::Text),
    ("type", Kind::Text),
    ("md5", Kind::Text),
    ("sha256", Kind::Text),
];

const FOLDER: &[(&str, Kind)] = &[("host", Kind::Text), ("guest", Kind::Text)];

/// The network's fields. Behind those that mean something stand what its tools write beside
/// them, and what only its own runtime could do: its tuning, and shared objects that it loads
/// into the process.
const NETWORK: &[(&str, Kind)] = &[
    ("version", Kind::Number),
    ("entry", Kind::Text),
    ("modules", Kind::Objects(MODULE)),
    ("fs_root_path", Kind::Text),
    ("drivers_root_path", Kind::Text),
    ("limited_fuel", Kind::Number),
    ("limited_memory", Kind::Number),
    ("max_memory_size", Kind::Number),
    ("run_time", Kind::Number),
    ("debug_info", Kind::Flag),
    ("runtime_logger", Kind::Text),
    ("stdin", Kind::Text),
    ("stdout", Kind::Text),
    ("stderr", Kind::Text),
    ("permissions", Kind::Texts),
    ("map_dirs", Kind::Objects(FOLDER)),
    ("runtime_logger_level", Kind::Anything),
    ("drivers", Kind::Anything),
    ("optimize", Kind::Anything),
    ("extensions_path", Kind::Anything),
    ("id", Kind::Anything),
    ("name", Kind::Anything),
    ("description", Kind::Anything),
    ("hooks", Kind::Anything),
    ("contentType", Kind::Anything),
    ("runtime", Kind::Anything),
    ("function", Kind::Anything),
    ("deployment", Kind::Anything),
    ("cached", Kind::Anything),
    ("methods", Kind::Anything),
];

/// Whether the network has a field of this name.
#[must_use]
pub fn is_network_field(name: &str) -> bool {
    NETWORK.iter().any(|(known, _)| *known == name)
}

/// Whether a field of this name is read and means nothing here.
#[must_use]
pub fn is_overlooked(name: &str) -> bool {
    NETWORK.contains(&(name, Kind::Anything))
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Flag(bool),
    Number(u64),
    Text(String),
    List(Vec<Node>),
    Object(Object),
}

/// The fields of an object, in the order they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Object(Vec<(String, Node)>);

// Each value is of the kind that its row says: the others are absent.
impl Object {
    fn take(&mut self, name: &str) -> Option<Node> {
        let index = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.remove(index).1)
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        if let Some(Node::Text(text)) = self.take(name) { Some(text) } else { None }
    }

    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        if let Some(Node::Number(number)) = self.take(name) { Some(number) } else { None }
    }

    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        if let Some(Node::Flag(flag)) = self.take(name) { Some(flag) } else { None }
    }

    fn list(&mut self, name: &str) -> Vec<Node> {
        if let Some(Node::List(list)) = self.take(name) { list } else { Vec::new() }
    }

    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        let text = |node| if let Node::Text(text) = node { Some(text) } else { None };
        self.list(name).into_iter().filter_map(text).collect()
    }

    pub(super) fn objects(&mut self, name: &str) -> Vec<Self> {
        let object = |node| if let Node::Object(object) = node { Some(object) } else { None };
        self.list(name).into_iter().filter_map(object).collect()
    }

    pub(super) fn rest(self) -> Vec<(String, Node)> {
        self.0
    }
}

/// Reads a text, all of it.
pub(super) fn read(text: &[u8], root: Option<&str>) -> Result<Object, ConfigError> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let top = Reader { name: "the configuration", kind: None, root };
    let node = top.deserialize(&mut parser).and_then(|node| parser.end().map(|()| node));
    match node {
        Ok(Node::Object(object)) => Ok(object),
        Ok(_) => Err(ConfigError::new(Mistake::Json, "it is no object")),
        Err(error) => Err(of_parser(&error)),
    }
}

/// The parser's words without its place, which is kept apart.
fn of_parser(error: &serde_json::Error) -> ConfigError {
    let (line, column) = (error.line(), error.column());
    let words = error.to_string();
    let place = format!(" at line {line} column {column}");
    let kind = if error.is_data() { Mistake::Field } else { Mistake::Json };
    let mut own = ConfigError::new(kind, words.strip_suffix(&place).unwrap_or(&words));
    own.place = (line > 0).then_some((line, column.max(1)));
    own
}

/// Reads one value.
#[derive(Clone, Copy)]
struct Reader<'a> {
    /// The field.
    name: &'a str,
    /// What it holds; `None` for the whole configuration.
    kind: Option<Kind>,
    root: Option<&'a str>,
}

impl Reader<'_> {
    /// What the field of this name holds, of the object that this reads.
    fn field(&self, name: &str) -> Option<Kind> {
        match self.kind {
            None => of_table(NETWORK, name).or_else(|| of_option(name)),
            Some(Kind::Object(fields)) => of_table(fields, name),
            _ => Some(Kind::Text),
        }
    }

    /// What an element of the list that this reads holds.
    fn item(&self) -> Option<Kind> {
        match self.kind? {
            Kind::Objects(fields) => Some(Kind::Object(fields)),
            Kind::Texts | Kind::Value | Kind::Variables => Some(Kind::Text),
            _ => None,
        }
    }

    fn is(&self, kinds: &[Kind]) -> bool {
        self.kind.is_some_and(|kind| kinds.contains(&kind))
    }

    fn no_field(&self, name: &str) -> String {
        let own = options::RUN.iter().map(|(name, _)| *name).chain([options::FILE_ONLY]);
        let own: Vec<String> = own.map(field_of).collect();
        let fields = match self.kind {
            Some(Kind::Object(fields)) => fields,
            _ => NETWORK,
        };
        let own = if self.kind.is_none() { own.as_slice() } else { &[] };
        let known = fields.iter().map(|(name, _)| *name).chain(own.iter().map(String::as_str));
        let near = crate::nearest::nearest(name, known);
        let near = near.map_or(String::new(), |near| format!("; did you mean {near:?}?"));
        format!("there is no field {:?}{near}", printable_name(name))
    }
}

fn of_table(table: &[(&str, Kind)], name: &str) -> Option<Kind> {
    table.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

fn of_option(name: &str) -> Option<Kind> {
    let option = option_of(name)?;
    Some(match options::takes(option) {
        Some(Takes::Nothing) => Kind::Flag,
        Some(Takes::MaybeValue) => Kind::MaybeValue,
        _ if option == "env" => Kind::Variables,
        _ => Kind::Value,
    })
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        if self.kind == Some(Kind::Anything) {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Node::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            None | Some(Kind::Object(_)) => "an object",
            Some(Kind::Text) => "text",
            Some(Kind::Number) => "a whole number",
            Some(Kind::Flag) => "true or false",
            Some(Kind::Texts) => "a list of text",
            Some(Kind::Objects(_)) => "a list of objects",
            Some(Kind::Value) => "text, a whole number or a list of text",
            Some(Kind::Variables) => "an object of texts, text or a list of text",
            Some(Kind::MaybeValue) => "true, false or text",
            Some(Kind::Anything) => "anything",
        };
        write!(formatter, "{kind} for {:?}", printable_name(self.name))
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Node, E> {
        if self.is(&[Kind::Flag, Kind::MaybeValue]) {
            return Ok(Node::Flag(flag));
        }
        Err(E::invalid_type(serde::de::Unexpected::Bool(flag), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Node, E> {
        if self.is(&[Kind::Number, Kind::Value]) {
            return Ok(Node::Number(number));
        }
        Err(E::invalid_type(serde::de::Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        if self.kind == Some(Kind::Number) {
            let name = printable_name(self.name);
            let what = "is a number, not text: write it without quotes";
            return Err(E::custom(format_args!("{name:?} {what}")));
        }
        if !self.is(&[Kind::Text, Kind::Value, Kind::Variables, Kind::MaybeValue]) {
            return Err(E::invalid_type(serde::de::Unexpected::Str(&printable_name(text)), &self));
        }
        Ok(Node::Text(match self.root {
            Some(root) => text.replace("$ROOT", root).replace("$ENV_ROOT_PATH", root),
            None => text.to_owned(),
        }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let Some(kind) = self.item() else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        };
        let item = Self { kind: Some(kind), ..self };
        let mut list = Vec::new();
        while let Some(node) = items.next_element_seed(item)? {
            // `null` is as good as absent, but not in a list.
            if node == Node::Null {
                return Err(A::Error::invalid_type(serde::de::Unexpected::Unit, &item));
            }
            list.push(node);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let is_object = matches!(self.kind, None | Some(Kind::Object(_) | Kind::Variables));
        if !is_object {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
        }
        let mut fields: Vec<(String, Node)> = Vec::new();
        while let Some(name) = entries.next_key::<String>()? {
            let Some(kind) = self.field(&name) else {
                return Err(A::Error::custom(self.no_field(&name)));
            };
            if fields.iter().any(|(other, _)| *other == name) {
                let name = printable_name(&name);
                return Err(A::Error::custom(format_args!("{name:?} is there twice")));
            }
            let reader = Reader { name: &name, kind: Some(kind), root: self.root };
            let node = entries.next_value_seed(reader)?;
            fields.push((name, node));
        }
        Ok(Node::Object(Object(fields)))
    }
}
