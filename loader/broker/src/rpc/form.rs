//! Bodies and queries of `http.request`: text, bytes, forms.
//!
//! A form goes out as `multipart/form-data` (RFC 7578); between its parts stands what is in
//! none of them.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A body, and what kind it is where that is no matter of choice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) bytes: Vec<u8>,
    pub(super) kind: Option<String>,
}

/// A field of a form.
#[derive(Debug, Deserialize)]
struct Field {
    name: String,
    value: Part,
}

/// What is in it.
#[derive(Debug, Deserialize)]
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

/// What is sent of a body: text, numbers that are bytes, an object that is a form, or a list
/// of its fields.
pub(super) fn body(body: Value) -> Result<Sent, String> {
    let plain = |bytes| Ok(Sent { bytes, kind: None });
    match body {
        Value::String(text) => plain(text.into_bytes()),
        Value::Array(items) if items.iter().all(Value::is_number) => {
            let byte = |item: &Value| item.as_u64().and_then(|byte| u8::try_from(byte).ok());
            let bytes: Option<Vec<u8>> = items.iter().map(byte).collect();
            plain(bytes.ok_or("a number of the body is none from 0 to 255")?)
        }
        Value::Array(items) => {
            let fields: Vec<Field> =
                serde_json::from_value(Value::Array(items)).map_err(|error| error.to_string())?;
            multipart(&fields)
        }
        Value::Object(fields) => {
            let field = |(name, value)| {
                let text = match value {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                Field { name, value: Part::Text(text) }
            };
            multipart(&fields.into_iter().map(field).collect::<Vec<_>>())
        }
        _ => Err("the body is no text, list or object".to_owned()),
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
pub(super) fn query(params: &BTreeMap<String, String>) -> String {
    let pair = |(name, value): (&String, &String)| format!("{}={}", word(name), word(value));
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
        assert_eq!(query(&params.into()), "q=a+b%26c&%C3%A4=*");
    }
}
