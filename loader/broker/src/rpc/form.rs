//! Bodies and queries of `http.request`: text, bytes, forms.
//!
//! A form goes out as `multipart/form-data` (RFC 7578); between its parts stands what is in
//! none of them.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor};
use std::fmt;

/// Most fields of a form, and most parameters of a query.
const FIELDS_MAX: usize = 1024;

/// A body, and what kind it is where that is no matter of choice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) bytes: Vec<u8>,
    pub(super) kind: Option<String>,
}

/// A body as it is given: text, numbers that are bytes, an object that is a form, or a list of
/// its fields. Read without a tree in between: its JSON may be millions of numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    None,
    Bytes(Vec<u8>),
    Form(Vec<Field>),
}

/// A field of a form.
#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
pub(super) struct Field {
    name: String,
    value: Part,
}

/// What is in it.
#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
enum Part {
    Text(String),
    Binary {
        data: Vec<u8>,
        #[serde(default)]
        filename: Option<String>,
        #[serde(default)]
        content_type: Option<String>,
    },
}

/// An item of a list: a byte, or a field. (Not an untagged enum of serde's: these read the
/// whole item into memory first, as a tree.)
enum Item {
    Byte(u8),
    Field(Field),
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = Item;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter
                    .write_str("a number from 0 to 255, or a field with \"name\" and \"value\"")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Item, E> {
                let byte = u8::try_from(number);
                byte.map(Item::Byte)
                    .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Item, A::Error> {
                Field::deserialize(MapAccessDeserializer::new(entries)).map(Item::Field)
            }
        }
        deserializer.deserialize_any(Items)
    }
}

/// A value in an object that is a form, as text.
struct Word(String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Word;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("text, a number or a truth value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Word, E> {
                Ok(Word(text.to_owned()))
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Word, E> {
                Ok(Word(truth.to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Word, E> {
                Ok(Word(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Word, E> {
                Ok(Word(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Word, E> {
                Ok(Word(number.to_string()))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Kinds)
    }
}

struct Kinds;

impl<'de> Visitor<'de> for Kinds {
    type Value = Body;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a body: text, a list of numbers from 0 to 255, an object of texts, or a list of fields")
    }

    fn visit_unit<E>(self) -> Result<Body, E> {
        Ok(Body::None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Body, E> {
        Ok(Body::Bytes(text.as_bytes().to_vec()))
    }

    fn visit_string<E>(self, text: String) -> Result<Body, E> {
        Ok(Body::Bytes(text.into_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Body, A::Error> {
        let mut bytes = Vec::new();
        match items.next_element()? {
            None => return Ok(Body::Bytes(bytes)),
            Some(Item::Byte(byte)) => bytes.push(byte),
            Some(Item::Field(field)) => {
                let mut fields = vec![field];
                while let Some(field) = items.next_element()? {
                    room(&fields)?;
                    fields.push(field);
                }
                return Ok(Body::Form(fields));
            }
        }
        while let Some(byte) = items.next_element()? {
            bytes.push(byte);
        }
        Ok(Body::Bytes(bytes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Body, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, Word(text))) = entries.next_entry()? {
            room(&fields)?;
            fields.push(Field { name, value: Part::Text(text) });
        }
        Ok(Body::Form(fields))
    }
}

fn room<T, E: serde::de::Error>(list: &[T]) -> Result<(), E> {
    if list.len() < FIELDS_MAX {
        Ok(())
    } else {
        Err(E::custom(format_args!("more than {FIELDS_MAX} fields")))
    }
}

/// Names and their texts, in their order; the last of a name counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs(pub(super) Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of texts")
            }

            fn visit_unit<E>(self) -> Result<Pairs, E> {
                Ok(Pairs::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Pairs, A::Error> {
                let mut pairs: Vec<(String, String)> = Vec::new();
                while let Some((name, text)) = entries.next_entry()? {
                    pairs.retain(|(other, _)| *other != name);
                    if pairs.len() == FIELDS_MAX {
                        return Err(A::Error::custom(format_args!("more than {FIELDS_MAX} names")));
                    }
                    pairs.push((name, text));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_any(Entries)
    }
}

impl Body {
    /// What is sent of it.
    ///
    /// # Errors
    /// What is wrong with a form, in words.
    pub(super) fn sent(self) -> Result<Sent, String> {
        match self {
            Self::None => Ok(Sent { bytes: Vec::new(), kind: None }),
            Self::Bytes(bytes) => Ok(Sent { bytes, kind: None }),
            Self::Form(fields) => multipart(&fields),
        }
    }
}

fn multipart(fields: &[Field]) -> Result<Sent, String> {
    let boundary = boundary(fields);
    let mut bytes = Vec::new();
    for field in fields {
        let mut head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"",
            escaped(&field.name)
        );
        let content = match &field.value {
            Part::Text(text) => text.as_bytes(),
            Part::Binary { data, filename, content_type } => {
                if let Some(name) = filename {
                    head += &format!("; filename=\"{}\"", escaped(name));
                }
                if let Some(kind) = content_type {
                    if kind.chars().any(char::is_control) {
                        return Err("a content type has a control character in it".to_owned());
                    }
                    head += &format!("\r\nContent-Type: {kind}");
                }
                data
            }
        };
        bytes.extend(head.as_bytes());
        bytes.extend(b"\r\n\r\n");
        bytes.extend(content);
        bytes.extend(b"\r\n");
    }
    bytes.extend(format!("--{boundary}--\r\n").as_bytes());
    Ok(Sent { bytes, kind: Some(format!("multipart/form-data; boundary={boundary}")) })
}

/// What stands in no part: by the parts' own digest, so that the same form is the same bytes.
/// Whoever could make a part that holds it could make SHA-256 say what they want.
fn boundary(fields: &[Field]) -> String {
    let mut hasher = bls_artifact::digest::Hasher::default();
    for Field { name, value } in fields {
        let data = match value {
            Part::Text(text) => text.as_bytes(),
            Part::Binary { data, .. } => data,
        };
        for piece in [name.as_bytes(), data] {
            hasher.update(&(piece.len() as u64).to_le_bytes());
            hasher.update(piece);
        }
    }
    format!("bls-{}", &hasher.finish().to_string()[..40])
}

/// As browsers write names in forms.
fn escaped(text: &str) -> String {
    text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// Names and values as a query, as forms are written.
pub(super) fn query(params: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| format!("{}={}", word(name), word(value));
    params.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn word(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'*' | b'-' | b'.' | b'_' => out.push(byte as char),
            _ if byte.is_ascii_alphanumeric() => out.push(byte as char),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(value: serde_json::Value) -> Result<Sent, String> {
        let body: Body = serde_json::from_str(&value.to_string()).map_err(|e| e.to_string())?;
        body.sent()
    }

    #[test]
    fn bodies_are_text_bytes_or_forms() {
        let bytes = |value| body(value).map(|sent| (sent.bytes, sent.kind));
        assert_eq!(bytes(json!("text")), Ok((b"text".to_vec(), None)));
        assert_eq!(bytes(json!([0, 1, 255])), Ok((vec![0, 1, 255], None)));
        assert_eq!(bytes(json!([])), Ok((Vec::new(), None)));
        for wrong in
            [json!([256]), json!([-1]), json!([1.5]), json!(true), json!([1, "a"]), json!([{}])]
        {
            assert!(body(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_form_has_parts() {
        let sent = body(json!([
            {"name": "a\"\r\nb", "value": {"Text": "v"}},
            {"name": "f", "value": {"Binary": {"data": [0, 13, 10], "filename": "n.bin", "content_type": "image/png"}}},
        ]))
        .unwrap();
        let kind = sent.kind.unwrap();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let wanted = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"a%22%0D%0Ab\"\r\n\r\nv\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n.bin\"\r\n\
             Content-Type: image/png\r\n\r\n\0\r\n\r\n--{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8(sent.bytes).unwrap(), wanted);
        let object = body(json!({"k": "v", "n": 7})).unwrap();
        assert!(String::from_utf8(object.bytes).unwrap().contains("name=\"n\"\r\n\r\n7\r\n"));
        let evil =
            json!([{"name": "f", "value": {"Binary": {"data": [], "content_type": "a\r\nb"}}}]);
        assert!(body(evil).is_err());
    }

    #[test]
    fn a_query_is_written_as_forms_are() {
        let params = [("q", "a b&c"), ("ä", "*")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(query(&params), "q=a+b%26c&%C3%A4=*");
    }
}
