//! Signed JSON, and why bytes are none: each defect by its own name.
//!
//! serde_json reads; here its refusals are told apart, so that whoever gets one knows
//! what kind of thing happened to the file. May assume nothing about its input.
//! Guarantees the same verdict as serde_json for every input. Does not see what serde
//! lets pass: two spellings of one value are the caller's to refuse.

use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::fmt;

/// Brackets within brackets that our forms never need: deeper is no mistake.
const DEPTH_MAX: usize = 32;

/// Why bytes are not the JSON that was expected. The parser's words tell the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// Not UTF-8; from which byte on.
    Utf8(usize),
    /// Ends early.
    Truncated(String),
    /// Something follows the value.
    Trailing(String),
    /// Lists or objects in each other, deeper than any form of ours.
    Depth,
    /// Not JSON.
    Syntax(String),
    /// A field twice.
    DuplicateField(String),
    /// A field that the form does not have.
    UnknownField(String),
    /// A field of the form is not there.
    MissingField(String),
    /// A value of another kind, or outside of its range.
    Value(String),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf8(at) => write!(f, "it is not UTF-8 from byte {at} on"),
            Self::Truncated(what) => write!(f, "it ends early: {what}"),
            Self::Trailing(what) => write!(f, "something follows it: {what}"),
            Self::Depth => write!(f, "it is nested more than {DEPTH_MAX} deep"),
            Self::Syntax(what)
            | Self::DuplicateField(what)
            | Self::UnknownField(what)
            | Self::MissingField(what)
            | Self::Value(what) => f.write_str(what),
        }
    }
}

/// Reads all of `bytes` as one value.
///
/// # Errors
/// [`JsonError`].
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    serde_json::from_slice(bytes).map_err(|error| why(bytes, &error))
}

/// Which defect a refusal is about. The parser gives a category; finer than that it
/// has only words, which the malformed fixtures hold it to.
fn why(bytes: &[u8], error: &serde_json::Error) -> JsonError {
    if let Err(error) = std::str::from_utf8(bytes) {
        return JsonError::Utf8(error.valid_up_to());
    }
    if is_deep(bytes) {
        return JsonError::Depth;
    }
    let what = error.to_string();
    match error.classify() {
        Category::Eof => JsonError::Truncated(what),
        Category::Syntax if what.starts_with("trailing characters") => JsonError::Trailing(what),
        Category::Syntax | Category::Io => JsonError::Syntax(what),
        Category::Data if what.starts_with("duplicate field") => JsonError::DuplicateField(what),
        Category::Data if what.starts_with("unknown field") => JsonError::UnknownField(what),
        Category::Data if what.starts_with("missing field") => JsonError::MissingField(what),
        Category::Data => JsonError::Value(what),
    }
}

/// Whether brackets outside of strings are nested deeper than [`DEPTH_MAX`].
fn is_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read only")]
    struct Form {
        text: String,
        number: u64,
    }

    #[test]
    fn every_defect_has_its_name() {
        let deep = format!(r#"{{"text":{}"#, "[".repeat(DEPTH_MAX));
        let brackets = format!(r#"{{"text":"\"{}","number":-1}}"#, "[".repeat(100));
        let name = |bytes: &[u8]| {
            let error = read::<Form>(bytes).unwrap_err();
            format!("{error:?}").split(['(', ' ']).next().unwrap().to_owned()
        };
        for (bytes, expected) in [
            (&b"{\"text\":\"\xff\"}"[..], "Utf8"),
            (b"", "Truncated"),
            (br#"{"text":"a","number":1"#, "Truncated"),
            (br#"{"text":"a","number":1}x"#, "Trailing"),
            (deep.as_bytes(), "Depth"),
            (brackets.as_bytes(), "Value"),
            (br#"{"text":"a",,}"#, "Syntax"),
            (br#"{"text":"a","text":"b","number":1}"#, "DuplicateField"),
            (br#"{"text":"a","more":1}"#, "UnknownField"),
            (br#"{"text":"a"}"#, "MissingField"),
            (br#"{"text":1}"#, "Value"),
            (br#"{"text":"a","number":18446744073709551616}"#, "Value"),
        ] {
            assert_eq!(name(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
        assert!(read::<Form>(br#"{"text":"a","number":1}"#).is_ok());
    }
}
