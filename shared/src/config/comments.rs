//! Takes away what JSON does not have: comments, and commas before a closing bracket.
//!
//! Guarantees that what is left stands where it stood, so that the parser's line and column
//! are those of the file. Does not judge the rest: the parser does.

use super::{ConfigError, Mistake};

/// The text with spaces for each comment, and for each comma that nothing follows.
pub(super) fn blanked(text: &str) -> Result<Vec<u8>, ConfigError> {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    // Where the last comma is, while only white space and comments have followed it.
    let mut comma: Option<usize> = None;
    // A comma behind nothing is the parser's to refuse.
    let mut is_behind_value = false;
    while let Some(byte) = bytes.get(at).copied() {
        match (byte, bytes.get(at + 1)) {
            (b'"', _) => at = end_of_text(&bytes, at),
            (b'/', Some(b'/')) => {
                let end = position(&bytes, at, b"\n").unwrap_or(bytes.len());
                blank(&mut bytes[at..end]);
                at = end;
                continue;
            }
            (b'/', Some(b'*')) => {
                let Some(end) = position(&bytes, at + 2, b"*/") else {
                    let before = &bytes[..at];
                    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                    let begin =
                        before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                    let mut error = ConfigError::new(Mistake::Json, "this comment has no end");
                    error.place = Some((line, at - begin + 1));
                    return Err(error);
                };
                blank(&mut bytes[at..end + 2]);
                at = end + 2;
                continue;
            }
            _ => {}
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b',' => comma = is_behind_value.then_some(at),
            _ => {
                if let (b']' | b'}', Some(comma)) = (byte, comma) {
                    bytes[comma] = b' ';
                }
                comma = None;
            }
        }
        if !byte.is_ascii_whitespace() {
            is_behind_value = !matches!(byte, b',' | b'[' | b'{' | b':');
        }
        at += 1;
    }
    Ok(bytes)
}

/// The quote that ends the text that begins here, or the last byte.
fn end_of_text(bytes: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len() - 1
}

fn position(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let found = bytes.get(from..)?.windows(wanted.len()).position(|window| window == wanted)?;
    Some(from + found)
}

/// Ends of lines stay: they are counted.
fn blank(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}
