//! Files of variables, as many tools write them: `NAME=VALUE`, a line each.
//!
//! `#` begins a comment, `export` may stand before a name. A value is plain, or in quotes: in
//! `'…'` everything is itself, in `"…"` and without quotes `\` takes a meaning away, and
//! `$NAME` and `${NAME}` stand for what the file said before. Never for a variable of this
//! process: a guest gets what was named. Guarantees that a name is not empty.

/// The variables in their order, or the number of the first line that is none.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, usize> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, rest) = line.split_once('=').ok_or(index + 1)?;
        let name = name.trim();
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_.".contains(letter);
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(index + 1);
        }
        let value = value(rest.trim(), &all).ok_or(index + 1)?;
        all.push((name.to_owned(), value));
    }
    Ok(all)
}

/// What a value means; `None` where its quotes do not close.
fn value(text: &str, known: &[(String, String)]) -> Option<String> {
    let mut value = String::new();
    let mut letters = text.chars().peekable();
    let mut quote = None;
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), close) if open == close => quote = None,
            (Some('\''), _) => value.push(letter),
            (_, '\\') => match letters.next()? {
                'n' if quote.is_some() => value.push('\n'),
                other => value.push(other),
            },
            (_, '$') => {
                let in_braces = letters.next_if_eq(&'{').is_some();
                let mut name = String::new();
                while let Some(letter) =
                    letters.next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
                {
                    name.push(letter);
                }
                if in_braces {
                    letters.next_if_eq(&'}')?;
                }
                if name.is_empty() && !in_braces {
                    value.push('$');
                }
                let said = known.iter().rfind(|(other, _)| *other == name);
                value.extend(said.map(|(_, said)| said.as_str()));
            }
            (None, '#') if value.is_empty() || value.ends_with(' ') => break,
            (_, letter) => value.push(letter),
        }
    }
    if quote.is_some() {
        return None;
    }
    // White space before a comment is none of the value, but that in quotes is.
    let plain = !text.contains(['\'', '"']);
    Some(if plain { value.trim_end().to_owned() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_plain_or_in_quotes() {
        let read = parse(
            "# comment\n\nA=one\nexport B = two words # said\nC=\"two $A \\\"x\\\" \\$A\\n\"\n\
             D='$A \\n'\nE=${A}/${B}/$C2/${NOTHING}.\nF=\nG=a#b\nH=$\nA=again\nI=$A",
        )
        .unwrap();
        let expected = [
            ("A", "one"),
            ("B", "two words"),
            ("C", "two one \"x\" $A\n"),
            ("D", "$A \\n"),
            ("E", "one/two words//."),
            ("F", ""),
            ("G", "a#b"),
            ("H", "$"),
            ("A", "again"),
            ("I", "again"),
        ];
        let expected: Vec<(String, String)> =
            expected.map(|(name, value)| (name.into(), value.into())).into();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for (text, line) in [
            ("A=1\nB", 2),
            ("=1", 1),
            ("A B=1", 1),
            ("A=\"x", 1),
            ("A=1\nB='x\nC=2'", 2),
            ("A=${B", 1),
            ("A=\\", 1),
        ] {
            assert_eq!(parse(text), Err(line), "{text}");
        }
    }
}
