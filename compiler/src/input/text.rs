//! What is wrong with a module in text, and where: a sentence, and the line with a mark
//! below the place.
//!
//! May assume nothing about the text. Guarantees that each line of an excerpt is short and
//! of plain characters (`shared/src/text.rs`), one for each of the text's, so that the mark
//! stands where it should in a font of one width.

use bls_artifact::text::printable;
use std::fmt;

/// Characters shown before the place, and as many behind it.
const SHOWN: usize = 60;

/// Why text is no module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    what: String,
    place: Option<String>,
    excerpt: Vec<String>,
}

impl TextError {
    /// What the parser said about `text`, which is called `label`.
    pub(super) fn new(mut error: wat::Error, label: &str, text: &str) -> Self {
        error.set_path(printable(label));
        let said = error.to_string();
        // The sentence; then the place behind an arrow, and the line itself.
        let (what, rest) = match said.split_once("--> ") {
            Some((what, rest)) => (what, rest.lines().next()),
            None => (said.as_str(), None),
        };
        let place = rest.map(|place| place.trim().to_owned());
        let excerpt = place.as_deref().and_then(position).map(|at| excerpt(text, at));
        Self {
            what: what.split_whitespace().collect::<Vec<_>>().join(" "),
            place,
            excerpt: excerpt.unwrap_or_default(),
        }
    }

    /// The line it is in, and a mark below the place; empty where nobody knows.
    #[must_use]
    pub fn excerpt(&self) -> &[String] {
        &self.excerpt
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)?;
        self.place.as_ref().map_or(Ok(()), |place| write!(f, ", at {place}"))
    }
}

/// Line and column, both from 1, of `FILE:LINE:COLUMN`. Columns are characters.
fn position(place: &str) -> Option<(usize, usize)> {
    let mut pieces = place.rsplit(':');
    let column = pieces.next()?.parse().ok()?;
    let line = pieces.next()?.parse().ok()?;
    Some((line, column))
}

/// A line of the text, as much as fits, and a mark below the column.
fn excerpt(text: &str, (line, column): (usize, usize)) -> Vec<String> {
    let source = text.split('\n').nth(line.saturating_sub(1)).unwrap_or_default();
    let source = source.strip_suffix('\r').unwrap_or(source);
    let at = source.char_indices().nth(column.saturating_sub(1)).map_or(source.len(), |(at, _)| at);
    let (before, behind) = source.split_at(at);
    // A tabulator would move what follows it; a blank of one column does not.
    let plain = |text: &str| printable(&text.replace('\t', " "));
    let skipped = before.chars().count().saturating_sub(SHOWN);
    let mut shown: String = before.chars().skip(skipped).collect();
    if skipped > 0 {
        shown.insert(0, '…');
    }
    let mark = " ".repeat(shown.chars().count());
    shown.extend(behind.chars().take(SHOWN));
    if behind.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    vec![format!("{line:>5} | {}", plain(&shown)), format!("      | {mark}^")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, label: &str) -> TextError {
        TextError::new(wat::parse_str(text).unwrap_err(), label, text)
    }

    #[test]
    fn the_mark_stands_below_what_is_wrong() {
        let said = error("(module\n\t(fnc))\n", "a/b.wat");
        assert!(said.to_string().ends_with(", at a/b.wat:2:3"), "{said}");
        assert_eq!(said.excerpt(), ["    2 |  (fnc))", "      |   ^"]);
        // Columns are characters.
        let said = error("(module (;éé;) (fnc))", "x");
        let [line, mark] = said.excerpt() else { panic!("{said:?}") };
        let at = mark.chars().position(|letter| letter == '^').unwrap();
        assert!(line.chars().skip(at).collect::<String>().starts_with("fnc"), "{line}\n{mark}");
    }

    #[test]
    fn long_lines_and_odd_characters_are_tamed() {
        let long = format!("(module {}(fnc) {})", "(func)".repeat(5000), "(func)".repeat(5000));
        let said = error(&long, "x");
        // The parser shows no line as long as that, and says where all the same.
        assert!(said.excerpt().is_empty() && said.to_string().ends_with(" at x:1:30010"), "{said}");
        let said = error("(module (;\u{1b}[31m;) (fnc))", "a\nhint: b");
        assert!(said.excerpt()[0].contains("?[31m"), "{said:?}");
        assert!(said.to_string().contains("a?hint: b:1:"), "{said}");
        // A message of several lines is one sentence, and no excerpt forges a place.
        assert!(!said.to_string().contains('\n'), "{said}");
    }
}
