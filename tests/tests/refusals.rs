//! Codes of refusals: each is said by one kind of defect, and each stands in the table
//! of SECURITY.md, with what to do.
//!
//! Reads the sources: a code is a text in a function `code`, or in a field of that name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace")
}

/// The sources whose codes the first table has: what is shared is said by the loader, and by the
/// compiler of what it is given.
const OF_LOADER: [&str; 8] = [
    "loader/src",
    "loader/account/src",
    "loader/broker/src",
    "loader/capi/src",
    "loader/oci/src",
    "loader/serve/src",
    "registry/src",
    "shared/src",
];

/// Those whose codes the second has.
const OF_COMPILER: [&str; 1] = ["compiler/src"];

/// Every code in these folders, with the files that say it.
fn codes(folders: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut folders: Vec<_> = folders.iter().map(|folder| root().join(folder)).collect();
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
        let is_code = |line: &&str| !line.trim_start().starts_with("#[");
        let body: String = body.lines().filter(is_code).collect();
        codes.extend(body.split('"').skip(1).step_by(2).map(str::to_owned));
    }
    for (start, before) in text.match_indices("code: \"") {
        let literal = text[start + before.len()..].split('"').next().unwrap();
        codes.push(literal.to_owned());
    }
    codes
}

/// The two tables "Refusals" of SECURITY.md, the loader's and the compiler's.
fn sections() -> [String; 2] {
    let text = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let (_, section) = text.split_once("\n## Refusals\n").expect("a section Refusals");
    let section = section.split("\n## ").next().unwrap();
    let (loader, compiler) =
        section.split_once("\n### What bls-compile refuses\n").expect("a section of its own");
    [loader.to_owned(), compiler.to_owned()]
}

/// A table of codes: each, and the rest of its row.
fn table(section: &str) -> Vec<(String, Vec<String>)> {
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
    let codes = codes(&[&OF_LOADER[..], &OF_COMPILER].concat());
    assert!(codes.len() > 250, "only {} codes were found", codes.len());
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
    let [loader, compiler] = sections();
    for (section, folders) in [(loader, &OF_LOADER[..]), (compiler, &OF_COMPILER)] {
        let said: BTreeSet<String> = codes(folders).into_keys().collect();
        let rows = table(&section);
        let listed: BTreeSet<String> = rows.iter().map(|(code, _)| code.clone()).collect();
        assert_eq!(listed.len(), rows.len(), "a code is listed twice");
        let missing: Vec<_> = said.difference(&listed).collect();
        let gone: Vec<_> = listed.difference(&said).collect();
        assert!(
            missing.is_empty() && gone.is_empty(),
            "{folders:?}: not listed: {missing:?}; not said: {gone:?}"
        );
        for (code, cells) in rows {
            assert_eq!(cells.len(), 2, "{code}: {cells:?}");
            assert!(cells.iter().all(|cell| cell.len() > 5), "{code}: {cells:?}");
        }
    }
}

/// Every enum of errors in the compiler has codes: a new one cannot be forgotten.
#[test]
fn every_error_of_the_compiler_has_a_code() {
    let mut errors = Vec::new();
    let mut folders = vec![root().join("compiler/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for rest in text.split("\npub enum ").skip(1) {
                let name = rest.split([' ', '{']).next().unwrap();
                if name == "Error" || name.ends_with("Error") {
                    let own = text.split(&format!("\nimpl {name} {{\n")).nth(1);
                    let own = own.and_then(|own| own.split("\n}\n").next());
                    let has_code = own.is_some_and(|own| own.contains("pub fn code(&self)"));
                    errors.push((name.to_owned(), has_code, path.clone()));
                }
            }
        }
    }
    assert!(errors.len() > 12, "{errors:?}");
    for (name, has_code, path) in errors {
        assert!(has_code, "{name} in {}", path.display());
    }
}

/// A failure that no stage's error stands behind says whose fault it is beside its code.
#[test]
fn refused_or_failed_is_as_documented() {
    let text = std::fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let (_, failed) = text.split_once("\nIt is `failed` for").expect("the sentence");
    let failed = failed.split(".\n").next().unwrap();
    let mut found = 0;
    for file in ["watch", "profile", "cmd", "cmd/run"] {
        let path = root().join(format!("loader/src/program/{file}.rs"));
        let text = std::fs::read_to_string(path).unwrap();
        for (start, before) in text.match_indices("code: \"") {
            let rest = &text[start + before.len()..];
            let code = rest.split('"').next().unwrap();
            let cause = rest.split("cause: Cause::").nth(1).expect("a cause");
            let is_failed = failed.contains(&format!("`{code}`"));
            assert_eq!(cause.starts_with("Failed"), is_failed, "{file}: {code}");
            found += 1;
        }
    }
    assert!(found > 5, "only {found} were found");
}
