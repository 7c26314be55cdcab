//! Text of strangers: what of it may stand on a terminal, and how much.
//!
//! Names of files, modules, functions and imports are chosen by whoever made them. Shown
//! as they are they could move a terminal's cursor, begin a line that looks like one of
//! ours, turn what follows around, or fill the screen. Guarantees that what
//! [`printable`] gives is one line without such characters, no longer than
//! [`TEXT_BYTES_MAX`]. Says nothing about letters that look alike.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// Longest text that is shown in one piece, in bytes: a sentence with a path in it.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Longest name of a function, an import or an export that is shown, in bytes.
pub const NAME_BYTES_SHOWN: usize = 200;

/// Whether a character only shows itself: no control character, none that formats or
/// turns what stands beside it (Unicode's category Cf and the bidirectional controls),
/// and no end of a line.
#[must_use]
pub const fn is_plain(letter: char) -> bool {
    !letter.is_ascii_control()
        && !matches!(letter,
            '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The text as one line of plain characters, with `?` for each that is not, and cut in
/// the middle where it is longer than [`TEXT_BYTES_MAX`].
#[must_use]
pub fn printable(text: &str) -> String {
    shortened(text, TEXT_BYTES_MAX).chars().map(plain_or_mark).collect()
}

/// A path as one line of plain characters: [`printable`].
#[must_use]
pub fn printable_path(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// A name as it is shown: [`printable`], and cut in the middle where it is longer than
/// [`NAME_BYTES_SHOWN`].
#[must_use]
pub fn printable_name(name: &str) -> String {
    shortened(name, NAME_BYTES_SHOWN).chars().map(plain_or_mark).collect()
}

/// Several lines of ours, with `?` for each character that is not plain and ends no line:
/// the last guard before a terminal, for text whose parts went through [`printable`].
#[must_use]
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    if text.chars().all(|letter| letter == '\n' || is_plain(letter)) {
        return Cow::Borrowed(text);
    }
    let guarded = |letter| if letter == '\n' { letter } else { plain_or_mark(letter) };
    Cow::Owned(text.chars().map(guarded).collect())
}

/// JSON whose texts hold plain characters only: the others are escaped, which changes
/// nothing of what it says.
#[must_use]
pub fn printable_json(json: &str) -> Cow<'_, str> {
    if json.chars().all(|letter| letter == '\n' || is_plain(letter)) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for letter in json.chars() {
        if letter == '\n' || is_plain(letter) {
            escaped.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            // Writing to a String does not fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    Cow::Owned(escaped)
}

/// The text, or its beginning and its end with `…` between them, `bytes_max` in all.
#[must_use]
pub fn shortened(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let rest = bytes_max.saturating_sub('…'.len_utf8());
    let head = text.floor_char_boundary(rest - rest / 4);
    let tail = text.ceil_char_boundary(text.len() - rest / 4);
    Cow::Owned(format!("{}…{}", &text[..head], &text[tail..]))
}

fn plain_or_mark(letter: char) -> char {
    if is_plain(letter) { letter } else { '?' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_or_turns_is_marked() {
        assert_eq!(printable("e\u{1b}[31mx\nbls-load: good"), "e?[31mx?bls-load: good");
        for letter in [
            '\0',
            '\t',
            '\r',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{fff9}',
            '\u{e0041}',
        ] {
            assert_eq!(printable(&format!("a{letter}b")), "a?b", "{letter:?}");
        }
        let plain = "naïve Ωmega 漢字 “…” 🙂 {}[]$";
        assert_eq!(printable(plain), plain);
        assert_eq!(printable_path(Path::new("/a/b\u{1b}c")), "/a/b?c");
    }

    #[test]
    fn what_is_long_is_cut_in_the_middle() {
        let long = format!("begin{}end", "é".repeat(5000));
        for (shown, bytes_max) in
            [(printable(&long), TEXT_BYTES_MAX), (printable_name(&long), NAME_BYTES_SHOWN)]
        {
            assert!(shown.len() <= bytes_max && shown.len() > bytes_max - 8, "{}", shown.len());
            assert!(shown.starts_with("begin") && shown.ends_with("end") && shown.contains('…'));
        }
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("longer", 3), "…");
    }

    #[test]
    fn json_says_the_same_in_plain_characters() {
        let value = serde_json::json!({ "a\u{202e}": "\u{9b}b\u{e0041}\u{2028}", "c": "d" });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let escaped = printable_json(&text);
        assert!(escaped.chars().all(|letter| letter == '\n' || is_plain(letter)), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        assert_eq!(printable_lines("a\n\u{2028}b\n"), "a\n?b\n");
    }
}
