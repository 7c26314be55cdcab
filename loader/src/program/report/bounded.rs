//! Texts and lists that end, however long what they are made of is.
//!
//! A report holds what artifacts, policies and guests call things. Guarantees that a text
//! of more than [`TEXT_BYTES_MAX`] bytes is cut in the middle, and that a list ends where it
//! passes [`LIST_BYTES_MAX`] and knows how many elements it left out: nothing that is in a
//! report was ever longer. With what has no lists, all of them fit into a pipe that nobody
//! has begun to read. Does not look at the characters: `printable_json` does.

use bls_artifact::text::shortened;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;

/// Longest text in a report, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// Longest list in a report, in bytes of JSON without white space.
const LIST_BYTES_MAX: usize = 6 << 10;

/// A text of at most 1024 bytes; one that was longer has `…` in its middle.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(JsonSchema), schemars(inline, extend("maxLength" = TEXT_BYTES_MAX)))]
pub(super) struct Text(String);

impl Text {
    /// What is shown of `text`.
    pub(super) fn new(text: &str) -> Self {
        Self(shortened(text, TEXT_BYTES_MAX).into_owned())
    }

    /// What is shown.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A list of at most 6 KiB of JSON; `left_out` says how much is missing.
#[derive(Debug, Serialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(JsonSchema), schemars(inline))]
pub(super) struct List<T> {
    items: Vec<T>,
    #[serde(skip)]
    left_out: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), left_out: 0 }
    }
}

impl<T: Serialize> List<T> {
    /// The first of `all`, as many as fit.
    pub(super) fn new(all: impl ExactSizeIterator<Item = T>) -> Self {
        let count = all.len();
        let mut items = Vec::new();
        let mut bytes = 0;
        for item in all {
            // What cannot be written would be as long as nothing; there is no such thing.
            bytes += serde_json::to_vec(&item).map_or(0, |json| json.len()) + 1;
            if bytes > LIST_BYTES_MAX {
                break;
            }
            items.push(item);
        }
        let left_out = count - items.len();
        Self { items, left_out }
    }

    /// How many elements are missing.
    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_and_counted() {
        let names: Vec<String> = (0..100_000).map(|number| format!("env.f{number}")).collect();
        let list = List::new(names.iter().map(|name| Text::new(name)));
        let json = serde_json::to_string(&list).unwrap();
        assert!(json.len() <= LIST_BYTES_MAX + 2, "{}", json.len());
        assert!(json.starts_with(r#"["env.f0","env.f1","#), "{json}");
        let kept: Vec<String> = serde_json::from_str(&json).unwrap();
        assert!(kept.len() > 100, "{}", kept.len());
        assert_eq!(list.left_out(), 100_000 - kept.len());
        assert_eq!(List::new(["stdout"].into_iter()).left_out(), 0);

        let Text(text) = Text::new(&"n".repeat(99_000));
        assert!(text.len() <= TEXT_BYTES_MAX && text.contains('…'), "{text}");
        assert_eq!(Text::new("short").0, "short");
    }
}
