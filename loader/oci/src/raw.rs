//! JSON of which only what is changed is written anew.
//!
//! An object is the list of its fields, each with the text of its value: fields that nobody here
//! knows survive, byte for byte and in their order. Guarantees that no field is there twice, for
//! readers differ in which of them counts.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use std::borrow::Cow;
use std::fmt;

/// The fields of an object.
#[derive(Clone, Debug, Default)]
pub struct Fields<'a>(Vec<(String, Cow<'a, RawValue>)>);

impl<'a> Fields<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// It is none, or has a field twice.
    pub fn parse(text: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// The text of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.get())
    }

    /// Gives a field this value: where it is, or at the end.
    ///
    /// # Errors
    /// A value that is no JSON.
    pub fn set(&mut self, name: &str, value: &impl Serialize) -> serde_json::Result<()> {
        let value = Cow::Owned(to_raw_value(value)?);
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, place)) => *place = value,
            None => self.0.push((name.to_owned(), value)),
        }
        Ok(())
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if fields.get(&name).is_some() {
                        return Err(A::Error::custom(format!("the field {name:?} is there twice")));
                    }
                    fields.0.push((name, Cow::Borrowed(value)));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_stays_as_it_was_written() {
        let text = r#"{"b":1.50e0,"z\u0061":{"x" : [1,  2]},"big":123456789012345678901234567890,"a":null}"#;
        let mut fields = Fields::parse(text).unwrap();
        assert_eq!(fields.get("za"), Some(r#"{"x" : [1,  2]}"#));
        assert_eq!(serde_json::to_string(&fields).unwrap(), text.replace("\\u0061", "a"));
        fields.set("a", &[1]).unwrap();
        fields.set("new", &true).unwrap();
        let written = serde_json::to_string(&fields).unwrap();
        assert!(written.starts_with(r#"{"b":1.50e0,"za":{"x" : [1,  2]},"big":1234"#), "{written}");
        assert!(written.ends_with(r#","a":[1],"new":true}"#), "{written}");
    }

    #[test]
    fn nonsense_is_no_object() {
        for text in ["", "[]", "1", "{", r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, "{} x"] {
            assert!(Fields::parse(text).is_err(), "{text}");
        }
        // Depth is no matter of the stack.
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(1 << 20), "]".repeat(1 << 20));
        let _ = Fields::parse(&deep);
    }
}
