//! The little JSON that the host reads and writes for a guest: members of an object, left as
//! the text they are until somebody wants one.
//!
//! Guarantees that what is given is a part of the text that was given, so that nothing is
//! copied that nobody asked about, and that a text of any depth is an answer and not a crash
//! (serde_json has a limit). Of two members of one name the last counts.

use serde::de::{Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The members of the object that `text` is, in order; `None` where it is none.
pub(super) fn members(text: &str) -> Option<Vec<(String, &RawValue)>> {
    struct Reader;
    impl<'de> Visitor<'de> for Reader {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            /// More members than anything here has.
            const MOST: usize = 4096;
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                if members.len() == MOST {
                    return Err(A::Error::custom("too many members"));
                }
                members.push(member);
            }
            Ok(members)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer.deserialize_map(Reader).ok()?;
    deserializer.end().ok()?;
    Some(members)
}

/// The member of this name.
pub(super) fn member<'a>(members: &[(String, &'a RawValue)], name: &str) -> Option<&'a str> {
    members.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.get())
}

/// The same where it is there and not null.
pub(super) fn some<'a>(members: &[(String, &'a RawValue)], name: &str) -> Option<&'a str> {
    member(members, name).filter(|text| *text != "null")
}

/// The string that a text of JSON is.
pub(super) fn string(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

/// The elements of the list that a text of JSON is, each as text; `None` where there are more
/// than `most`.
pub(super) fn list(text: &str, most: usize) -> Option<Vec<&RawValue>> {
    struct Reader(usize);
    impl<'de> Visitor<'de> for Reader {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                if list.len() == self.0 {
                    return Err(A::Error::custom("too many elements"));
                }
                list.push(element);
            }
            Ok(list)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let list = deserializer.deserialize_seq(Reader(most)).ok()?;
    deserializer.end().ok()?;
    Some(list)
}

/// Appends a string as JSON writes it.
pub(super) fn quote(into: &mut String, text: &str) {
    // A string can be written.
    *into += &serde_json::to_string(text).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_text() {
        let read = members(r#" {"a": [1, 2.50], "b" : "x\n", "a":null} "#).unwrap();
        assert_eq!(member(&read, "a"), Some("null"));
        assert_eq!(some(&read, "a"), None);
        assert_eq!(member(&read, "b").and_then(string).as_deref(), Some("x\n"));
        assert_eq!(read[0].1.get(), "[1, 2.50]");
        for wrong in ["", "{", "[]", "{} x", "null", r#"{"a"}"#] {
            assert!(members(wrong).is_none(), "{wrong}");
        }
        assert!(members(&("[".repeat(100_000))).is_none());
        assert!(members(&format!(r#"{{"a":{}}}"#, "[".repeat(100_000))).is_none());
    }

    #[test]
    fn lists_have_no_more_elements_than_somebody_wants() {
        let elements = |text, most| Some(list(text, most)?.len());
        assert_eq!(elements(" [1, {}, \"x\"] ", 3), Some(3));
        assert_eq!(elements("[1, 2, 3]", 2), None);
        assert_eq!(elements("[]", 0), Some(0));
        for wrong in ["", "{}", "null", "[1", "[1] x"] {
            assert_eq!(elements(wrong, 9), None, "{wrong}");
        }
    }

    #[test]
    fn strings_are_quoted() {
        let mut text = String::new();
        quote(&mut text, "a\"\\\u{1}é");
        assert_eq!(text, "\"a\\\"\\\\\\u0001é\"");
    }
}
