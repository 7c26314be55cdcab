//! The known word that a mistyped one is nearest to.
//!
//! By edits: a letter added, left out, changed, or two neighbours swapped. Guarantees that
//! nothing is suggested that is further off than a third of the word. Bounded: long words
//! are near to nothing.

/// Longer words are not compared, in bytes.
const WORD_BYTES_MAX: usize = 40;

/// The nearest of `known` to `word`; of two equally near, the first.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let edits_max = word.len().div_ceil(3).min(3);
    let near = known.into_iter().map(|other| (distance(word.as_bytes(), other.as_bytes()), other));
    let (edits, other) = near.min_by_key(|(edits, _)| *edits)?;
    (edits <= edits_max && edits < other.len()).then_some(other)
}

/// How many edits lead from one word to the other.
fn distance(one: &[u8], other: &[u8]) -> usize {
    // Row by row: the distances of each beginning of `other` from a beginning of `one`.
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for row in 1..=one.len() {
        let mut next = vec![row];
        for column in 1..=other.len() {
            let differs = usize::from(one[row - 1] != other[column - 1]);
            let mut edits =
                (last[column - 1] + differs).min(last[column] + 1).min(next[column - 1] + 1);
            let swapped = row > 1
                && column > 1
                && one[row - 1] == other[column - 2]
                && one[row - 2] == other[column - 1];
            if swapped {
                edits = edits.min(before[column - 2] + 1);
            }
            next.push(edits);
        }
        before = std::mem::replace(&mut last, next);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (one, other, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("abc", "abd", 1),
            ("abc", "acb", 1),
            ("verfy", "verify", 1),
            ("instal", "install", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one.as_bytes(), other.as_bytes()), edits, "{one} {other}");
            assert_eq!(distance(other.as_bytes(), one.as_bytes()), edits, "{other} {one}");
        }
    }

    #[test]
    fn the_nearest_is_near() {
        let known = ["verify", "install", "list", "gc", "max-memory"];
        for (word, found) in [
            ("verfy", Some("verify")),
            ("lsit", Some("list")),
            ("gx", Some("gc")),
            ("max-mem", Some("max-memory")),
            ("ab", None),
            ("app", None),
            ("application", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), found, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
