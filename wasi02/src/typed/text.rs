//! The words of a text in WAVE, one after the other.
//!
//! Spaces, ends of lines and comments (`// …`) are between them.

use alloc::string::String;
use alloc::vec::Vec;

/// What a word is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Number,
    /// A name, which may be a keyword.
    Label,
    /// One letter, with its quotes.
    Char,
    Text,
    /// Text of several lines.
    Lines,
    /// `(`, `)`, `[`, `]`, `{`, `}`, `:` or `,`.
    Mark(u8),
    /// None of these.
    Wrong,
    End,
}

/// Words with a meaning of their own: `%` before one makes it a name.
pub(super) const KEYWORDS: [&str; 8] = ["true", "false", "some", "none", "ok", "err", "inf", "nan"];

/// A text, and how much of it was read.
#[derive(Clone, Copy)]
pub(super) struct Text<'t> {
    pub(super) all: &'t str,
    at: usize,
}

/// A word, as it is written, and where.
#[derive(Clone, Copy)]
pub(super) struct Found<'t> {
    pub(super) word: Word,
    pub(super) written: &'t str,
    pub(super) at: usize,
}

impl<'t> Text<'t> {
    pub(super) fn new(all: &'t str, at: usize) -> Self {
        Self { all, at }
    }

    fn left(&self) -> &'t str {
        self.all.get(self.at..).unwrap_or_default()
    }

    pub(super) fn next(&mut self) -> Found<'t> {
        loop {
            let left = self.left();
            let rest = left.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += left.len() - rest.len();
            if !rest.starts_with("//") {
                break;
            }
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
        let (left, at) = (self.left(), self.at);
        let (word, length) = first(left);
        self.at += length;
        Found { word, written: left.get(..length).unwrap_or_default(), at }
    }

    /// The next word, which stays.
    pub(super) fn peek(&self) -> Found<'t> {
        let mut ahead = *self;
        ahead.next()
    }

    /// Takes the next word where it is this mark.
    pub(super) fn takes(&mut self, mark: u8) -> bool {
        let mut ahead = *self;
        let is_it = ahead.next().word == Word::Mark(mark);
        if is_it {
            *self = ahead;
        }
        is_it
    }
}

/// The first word, and how long it is.
fn first(text: &str) -> (Word, usize) {
    let Some(letter) = text.chars().next() else { return (Word::End, 0) };
    let found = match letter {
        '(' | ')' | '[' | ']' | '{' | '}' | ':' | ',' => Some((Word::Mark(letter as u8), 1)),
        '"' if text.starts_with("\"\"\"") => {
            let end = text.get(3..).and_then(|rest| rest.find("\"\"\""));
            end.map(|end| (Word::Lines, end + 6))
        }
        '"' => quoted(text, '"').map(|length| (Word::Text, length)),
        '\'' => quoted(text, '\'').map(|length| (Word::Char, length)),
        '-' if text.starts_with("-inf") => Some((Word::Number, 4)),
        '-' | '0'..='9' => number(text.as_bytes()).map(|length| (Word::Number, length)),
        '%' | 'a'..='z' | 'A'..='Z' => label(text.as_bytes()).map(|length| (Word::Label, length)),
        _ => None,
    };
    found.unwrap_or((Word::Wrong, letter.len_utf8()))
}

/// How long something between quotes is, on one line.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\n' => return None,
            '\\' => {
                letters.next()?;
            }
            _ if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn digits(text: &[u8], from: usize) -> usize {
    let left = text.get(from..).unwrap_or_default();
    left.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// `-`, digits without a zero before them, a fraction, an exponent.
fn number(text: &[u8]) -> Option<usize> {
    let mut at = usize::from(text.first() == Some(&b'-'));
    at += match text.get(at)? {
        b'0' => 1,
        b'1'..=b'9' => digits(text, at),
        _ => return None,
    };
    if text.get(at) == Some(&b'.') && digits(text, at + 1) > 0 {
        at += 1 + digits(text, at + 1);
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'-' | b'+')));
        let exponent = digits(text, at + 1 + sign);
        if exponent > 0 {
            at += 1 + sign + exponent;
        }
    }
    Some(at)
}

/// Words of letters and digits with `-` between them; each is of small letters, or of large ones.
fn label(text: &[u8]) -> Option<usize> {
    let word = |from: usize, is_first: bool| {
        let left = text.get(from..).unwrap_or_default();
        let first = left.first()?;
        if is_first && first.is_ascii_digit() {
            return None;
        }
        let count = |is: fn(&u8) -> bool| left.iter().take_while(|byte| is(byte)).count();
        let small = count(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let large = count(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        Some(small.max(large)).filter(|length| *length > 0)
    };
    let mut at = usize::from(text.first() == Some(&b'%'));
    at += word(at, true)?;
    while text.get(at) == Some(&b'-') {
        let Some(length) = word(at + 1, false) else { break };
        at += 1 + length;
    }
    Some(at)
}

/// What stands between quotes, with what `\` stands for.
fn unescape(written: &str, to: &mut String) -> Option<()> {
    let mut letters = written.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            to.push(letter);
            continue;
        }
        to.push(match letters.next()? {
            same @ ('\\' | '\'' | '"') => same,
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'u' => {
                let (digits, _) = letters.as_str().strip_prefix('{')?.split_once('}')?;
                let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                if !are_digits || digits.is_empty() || digits.len() > 6 {
                    return None;
                }
                letters.nth(digits.len() + 1)?;
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
            }
            _ => return None,
        });
    }
    Some(())
}

impl Found<'_> {
    /// A name without its `%`; a keyword is none.
    pub(super) fn name(&self) -> Option<&str> {
        if self.word != Word::Label || KEYWORDS.contains(&self.written) {
            return None;
        }
        Some(self.written.strip_prefix('%').unwrap_or(self.written))
    }

    /// What the quotes hold; or what is wrong with it.
    pub(super) fn unquoted(&self) -> Result<String, &'static str> {
        const ESCAPE: &str = "there is no such escape: \\\\ \\' \\\" \\t \\n \\r and \\u{…} are";
        let mut text = String::new();
        if self.word != Word::Lines {
            let inner = self.written.get(1..self.written.len() - 1).unwrap_or_default();
            return unescape(inner, &mut text).map(|()| text).ok_or(ESCAPE);
        }
        let inner = self.written.get(3..self.written.len() - 3).unwrap_or_default();
        let lines: Vec<&str> = inner.split('\n').collect();
        let [first, lines @ .., indent] = &*lines else {
            return Err("a line has to end behind the first \"\"\"");
        };
        if !matches!(*first, "" | "\r") {
            return Err("a line has to end behind the first \"\"\"");
        }
        if !indent.bytes().all(|byte| byte == b' ') {
            return Err("only spaces may stand before the last \"\"\"");
        }
        for (at, line) in lines.iter().enumerate() {
            let Some(line) = line.strip_prefix(indent) else {
                return Err("a line has fewer spaces before it than the last \"\"\"");
            };
            text.push_str(if at == 0 { "" } else { "\n" });
            let line = line.strip_suffix('\r').unwrap_or(line);
            unescape(line, &mut text).ok_or(ESCAPE)?;
        }
        Ok(text)
    }
}
