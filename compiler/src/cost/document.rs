//! Tests that hold FUEL.md to the cost table: each row of its weights, each number of what is
//! added to them and of what instantiation costs, and the canonical lines.
//!
//! The document writes operators as the specification does, with a star for any letters. A
//! row that names nothing, or an operator whose weight is not what the document says, fails.

use super::*;
use bls_artifact::fuel::COST_TABLE_SHA256;

const TEXT: &str = include_str!("../../../FUEL.md");

/// What stands between two headings.
fn section(heading: &str) -> &'static str {
    let (_, behind) = TEXT.split_once(&format!("\n## {heading}\n")).expect("the section");
    behind.split_once("\n## ").expect("another section").0
}

/// The cells of a table, row by row, that begins behind this line.
fn rows(text: &'static str, header: &str) -> Vec<(&'static str, &'static str)> {
    let (_, table) = text.split_once(header).expect("the table");
    table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .map(|row| {
            let cells = row.strip_prefix("| ").and_then(|row| row.strip_suffix(" |"));
            cells.and_then(|cells| cells.split_once(" | ")).expect("two cells")
        })
        .collect()
}

/// The words of code in a cell.
fn words(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Letters and digits alone, small.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric() || *letter == '*');
    letters.flat_map(char::to_lowercase).collect()
}

/// An operator of wasmparser as the specification names it. It has one name for the two
/// forms of a test and of a cast.
fn mnemonic(operator: &str) -> String {
    let both = operator.starts_with("RefTest") || operator.starts_with("RefCast");
    let form = ["NonNull", "Nullable"].into_iter().find_map(|form| operator.strip_suffix(form));
    plain(form.filter(|_| both).unwrap_or(operator))
}

/// Whether a pattern with stars is this name.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((beginning, rest)) => name.strip_prefix(beginning).is_some_and(|name| {
            (0..=name.len()).any(|start| name.get(start..).is_some_and(|name| fits(rest, name)))
        }),
    }
}

/// The numbers in a text, words of code and powers aside. A space stands between thousands.
fn numbers(text: &str) -> Vec<u64> {
    let prose: String = text.split('`').step_by(2).collect::<Vec<_>>().join("x");
    let prose = prose.replace("2³²−1", "").replace("2⁵³−1", "");
    let mut numbers: Vec<String> = Vec::new();
    for group in prose.split(|letter: char| !(letter.is_ascii_digit() || letter == ' ')) {
        let mut last_was_number = false;
        for word in group.split(' ') {
            match numbers.last_mut() {
                Some(number) if last_was_number && word.len() == 3 => number.push_str(word),
                _ if !word.is_empty() => numbers.push(word.to_owned()),
                _ => {}
            }
            last_was_number = !word.is_empty();
        }
    }
    numbers.iter().map(|number| number.parse().expect("digits")).collect()
}

#[test]
fn each_operator_weighs_what_the_document_says() {
    let table = rows(section("Cost table"), "\n|---:|---|\n");
    let (last, named) = table.split_last().expect("rows");
    assert!(last.1.starts_with("every other operator"), "{last:?}");
    let weight = |cell: &str| cell.parse::<u16>().expect("a weight");
    let patterns: Vec<(String, u16)> = named
        .iter()
        .flat_map(|(units, names)| words(names).map(|word| (plain(word), weight(units))))
        .collect();
    for (operator, actual) in TABLE.iter().filter(|(_, weight)| *weight != REFUSED) {
        let name = mnemonic(operator);
        let known = patterns.iter().filter(|(pattern, _)| fits(pattern, &name));
        let mut said: Vec<u16> = known.map(|(_, weight)| *weight).collect();
        said.dedup();
        let expected = if said.is_empty() { vec![weight(last.0)] } else { said };
        assert_eq!([*actual].as_slice(), expected, "{operator}");
    }
    let run: Vec<String> = TABLE
        .iter()
        .filter(|(_, weight)| *weight != REFUSED)
        .map(|(operator, _)| mnemonic(operator))
        .collect();
    for (pattern, _) in &patterns {
        assert!(run.iter().any(|name| fits(pattern, name)), "no operator is {pattern}");
    }
    for (_, names) in &table {
        assert!(numbers(names).is_empty(), "{names}");
    }
}

#[test]
fn each_number_that_is_added_is_of_the_table() {
    let each = |length: Length| {
        assert_eq!(length.shift, 0);
        length.multiplier
    };
    let (named, reference) = (each(PER_NAMED), each(PER_FUNCTION_REFERENCE));
    let values = vec![each(PER_VALUE), VALUES_FREE];
    let expected = [
        vec![named, reference],
        vec![named, named + reference],
        vec![reference],
        vec![each(PER_CLAUSE)],
        values.clone(),
        values.clone(),
        values,
        vec![each(PER_FRAME)],
        vec![PER_LOCAL.multiplier],
    ];
    let table = rows(section("Cost table"), "| operator | units |\n|---|---|\n");
    let found: Vec<Vec<u64>> = table.iter().map(|(_, units)| numbers(units)).collect();
    assert_eq!(found, expected);
    assert!(table[8].1.starts_with("1 for every eight locals"));
    assert_eq!(1 << PER_LOCAL.shift, 8);
}

#[test]
fn each_number_of_instantiation_is_of_the_table() {
    let list = section("Instantiation");
    let expected = [
        vec![PER_MEMORY.multiplier, PER_PAGE.multiplier],
        vec![PER_TABLE.multiplier],
        vec![PER_GLOBAL.multiplier],
        vec![PER_OBJECT.multiplier],
        vec![PER_ITEM.multiplier],
        vec![PER_SEGMENT.multiplier],
        vec![],
    ];
    let found: Vec<Vec<u64>> = list.split("\n* ").skip(1).map(numbers).collect();
    assert_eq!(found, expected);
    assert!(list.contains("four for each of its initial elements"));
    assert_eq!((PER_SLOT.multiplier, PER_SLOT.shift), (4, 0));
    assert!(list.contains("one unit for every eight bytes of each active data segment"));
    assert_eq!((PER_BYTE.multiplier, 1 << PER_BYTE.shift), (1, 8));
}

#[test]
fn the_canonical_lines_are_those_of_the_document() {
    let text = section("Cost table");
    let (_, behind) = text.split_once("then the lines\n\n").expect("the lines");
    let (lines, behind) = behind.split_once("\n\n").expect("their end");
    let lines: String = lines.lines().map(|line| format!("{}\n", line.trim())).collect();
    assert!(canonical_text().ends_with(&lines), "{lines}");
    assert_eq!(lines.lines().count(), canonical_text().lines().count() - operators());
    assert!(behind.contains(&format!("\n    {COST_TABLE_SHA256}\n")), "{behind}");
}

/// How many operators a target runs.
fn operators() -> usize {
    TABLE.iter().filter(|(_, weight)| *weight != REFUSED).count()
}
