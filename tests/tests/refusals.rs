//! Codes of refusals: each is said by one kind of defect, and each stands in the table
//! of SECURITY.md, with what to do.
//!
//! Reads the sources: a code is a text in a function `code`, or in a field of that name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace")
}

/// Every code in the loader, in its C API and in what they share, with the files that say it.
fn codes() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let folders = vec!["loader/src", "loader/capi/src", "shared/src"];
    let mut folders: Vec<_> = folders.into_iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            for code in codes_in(&text) {
                found.entry(code).or_default().push(name.clone());
            }
        }
    }
    found
}

fn codes_in(text: &str) -> Vec<String> {
    let mut codes = Vec::new();
    for (start, _) in text.match_indices("fn code(") {
        // The function ends where a line closes it: the sources are formatted.
        let indent = text[..start].rsplit('\n').next().unwrap();
        let indent = &indent[..indent.len() - indent.trim_start().len()];
        let body = text[start..].split(&format!("\n{indent}}}\n")).next().unwrap();
        codes.extend(body.split('"').skip(1).step_by(2).map(str::to_owned));
    }
    for (start, before) in text.match_indices("code: \"") {
        let literal = text[start + before.len()..].split('"').next().unwrap();
        codes.push(literal.to_owned());
    }
    codes
}

/// The table "Refusals" of SECURITY.md: codes, and the rest of their rows.
fn table() -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let (_, section) = text.split_once("\n## Refusals\n").expect("a section Refusals");
    let section = section.split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| {
            let (code, rest) = line.split_once('`').unwrap();
            let cells = rest.trim_matches([' ', '|']).split('|');
            (code.to_owned(), cells.map(|cell| cell.trim().to_owned()).collect())
        })
        .collect()
}

#[test]
fn every_code_has_one_meaning() {
    let codes = codes();
    assert!(codes.len() > 80, "only {} codes were found", codes.len());
    for (code, files) in &codes {
        assert_eq!(files.len(), 1, "{code} is said in {files:?}");
        let (area, defect) = code.split_once('.').unwrap_or_else(|| panic!("{code}: no area"));
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        assert!(is_word(area) && is_word(defect), "{code} is no code");
    }
}

#[test]
fn every_code_is_documented() {
    let said: BTreeSet<String> = codes().into_keys().collect();
    let rows = table();
    let listed: BTreeSet<String> = rows.iter().map(|(code, _)| code.clone()).collect();
    assert_eq!(listed.len(), rows.len(), "a code is listed twice");
    let missing: Vec<_> = said.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&said).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not listed: {missing:?}; not said: {gone:?}");
    for (code, cells) in rows {
        assert_eq!(cells.len(), 2, "{code}: {cells:?}");
        assert!(cells.iter().all(|cell| cell.len() > 5), "{code}: {cells:?}");
    }
}
