//! Tests of the prices: FUEL.md ("What a host charges") says what they are, row by row and
//! number by number. A price that the document does not have fails here, and so does a row or
//! a number of the document that is no price.

use super::*;
use crate::host::memory::{Buffers, Path};
use crate::host::preview1::types::DirectoryEntry;
use crate::host::wiring::Parameter as _;
use bls_artifact::host_table::{Function, all, function};
use bls_artifact::limits::ADVISED_BYTES_MAX;
use bls_artifact::limits::{PATH_BYTES_MAX, PIECE_BYTES_MAX};
use std::collections::BTreeSet;

/// The rows of each table of the section: how many units, and for what.
fn tables() -> Vec<Vec<(&'static str, &'static str)>> {
    let text = include_str!("../../../../FUEL.md");
    let (_, section) = text.split_once("\n## What a host charges\n").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("another section");
    let rows = |table: &'static str| {
        let rows = table.lines().take_while(|line| line.starts_with('|'));
        let cells =
            |row: &'static str| row.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ");
        rows.map(|row| cells(row).unwrap_or_else(|| panic!("two cells: {row}"))).collect()
    };
    section.split("\n|---:|---|\n").skip(1).map(rows).collect()
}

/// The numbers in a cell, those in words of code aside. A space stands between thousands.
fn numbers(cell: &str) -> Vec<u64> {
    let prose: String = cell.split('`').step_by(2).collect::<Vec<_>>().join("x");
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

/// The functions that a cell names; a star stands for any ending.
fn named(cell: &str) -> BTreeSet<&'static str> {
    let words = cell.split('`').skip(1).step_by(2).filter(|word| word.contains('_'));
    words
        .flat_map(|word| {
            let all = all().map(|function| function.name);
            let found: Vec<_> = match word.strip_suffix('*') {
                Some(beginning) => all.filter(|name| name.starts_with(beginning)).collect(),
                None => all.filter(|name| *name == word).collect(),
            };
            assert!(!found.is_empty(), "there is no function {word}");
            found
        })
        .collect()
}

/// Makes a function of the table: what each costs beside its paths and lists, where `how` is
/// how something is opened.
macro_rules! base {
    ($($interface:ident {
        $($function:ident($($parameter:ident: $($type:ident)+),*) -> $result:ident,
            costs $price:expr, may_use [$($capability:ident),*];)*
    })*) => {
        pub(super) fn base(interface: &str, function: &str, how: u32) -> Option<u64> {
            match (interface, function) {
                $($((stringify!($interface), stringify!($function)) => {
                    $(let $parameter = how; let _ = $parameter;)*
                    Some($price)
                })*)*
                _ => None,
            }
        }
    };
}

mod of_preview1 {
    use super::*;
    bls_artifact::for_each_function!(base);
}

mod of_blockless {
    use super::*;
    bls_artifact::for_each_blockless_function!(base);
}

/// What a function costs beside its paths and lists.
fn base(function: &Function, how: u32) -> u64 {
    let Function { interface, name, .. } = function;
    of_preview1::base(interface, name, how)
        .or_else(|| of_blockless::base(interface, name, how))
        .unwrap_or_else(|| panic!("no price for {interface}.{name}"))
}

#[test]
fn each_function_costs_what_the_first_table_says() {
    let tables = tables();
    let rows: Vec<(u64, &str)> = tables[0]
        .iter()
        .map(|(units, names)| (units.replace(' ', "").parse().expect("units"), *names))
        .collect();
    let opening_rows = [
        (TRUNCATE, "`path_open` with the flag `trunc`"),
        (TRUNCATE | CREATE, "`path_open` with the flag `trunc`"),
        (CREATE, "`path_open` with the flag `creat`, without `trunc`"),
        (0, "`path_open` with neither `creat` nor `trunc`"),
    ];
    for (how, words) in opening_rows {
        let found: Vec<u64> =
            rows.iter().filter(|(_, cell)| cell.contains(words)).map(|(units, _)| *units).collect();
        let open = function("wasi_snapshot_preview1", "path_open").expect("a function");
        assert_eq!(found, [base(open, how)], "{words}");
    }
    let of_others = |cell: &str| cell.starts_with("every other ");
    for function in all() {
        let name = function.name;
        if name == "path_open" {
            continue;
        }
        // Rows that name it first; then those of every other.
        let named_in = |others: bool| {
            let is = move |cell: &str| named(cell).contains(name) || cell == "every other call";
            let mut rows =
                rows.iter().filter(move |(_, cell)| of_others(cell) == others && is(cell));
            rows.next().map(|(units, _)| *units)
        };
        let units = named_in(false).or(named_in(true)).expect("the last row is every other call");
        assert_eq!(base(function, 0), units, "{name}");
    }
    assert_eq!(rows.len(), 6);
}

/// One row: words that it has and no other, and its numbers in order, as constants or as
/// such.
type Row = (&'static str, &'static [Number]);

#[derive(Clone, Copy)]
enum Number {
    Price(&'static str),
    Limit(u64),
}

use Number::{Limit, Price};

const BUFFERS: Number = Limit(BUFFERS_MAX as u64);

/// The second table: what is asked. Then the third: what is done.
const ROWS: [&[Row]; 2] = [
    &[
        ("each byte of each path", &[Price("PATH_BYTE"), Limit(PATH_BYTES_MAX as u64)]),
        ("each buffer of the list", &[Price("BUFFER"), BUFFERS]),
    ],
    &[
        ("moved, rounded down", &[Limit(1), Price("BYTES_PER_UNIT")]),
        ("each buffer of such a list that was looked at", &[Price("BUFFER"), BUFFERS, BUFFERS]),
        ("`fd_read` and `fd_pread` from a file", &[Price("FILE_READ")]),
        ("`fd_write` and `fd_pwrite` to a file", &[Price("FILE_WRITE"), Price("DISK")]),
        ("bytes that `fd_allocate`", &[Limit(1), Price("BYTES_PER_UNIT")]),
        (
            "bytes that `fd_advise`",
            &[Limit(1), Price("BYTES_PER_UNIT"), Limit(ADVISED_BYTES_MAX), Limit(0)],
        ),
        ("`fd_readdir` that begins or jumps", &[Price("JUMP"), Limit(0)]),
        (
            "each byte that `fd_readdir` wrote",
            &[Price("LISTED_BYTE"), Limit(DirectoryEntry::SIZE as u64)],
        ),
        ("each record of a directory", &[Price("SORTED"), Price("LISTED_BYTE")]),
        ("each link that a path leads through", &[Price("LINK"), Price("LINKED_BYTE")]),
        ("each folder that is looked at", &[Price("FOLDER_ABOVE")]),
        ("each string of", &[Price("STRING")]),
        ("bytes of the strings", &[Limit(1), Price("BYTES_PER_UNIT")]),
        ("each subscription", &[Price("SUBSCRIPTION")]),
        ("each byte of `random_get`", &[Price("RANDOM_BYTE")]),
        ("each read from a socket", &[Price("SOCKET")]),
        ("`sock_accept`, when", &[Price("CONNECTION")]),
        ("each byte of a text", &[Price("TEXT_BYTE")]),
        ("each request", &[Price("REQUEST"), Price("OUTSIDE_BYTE")]),
        (
            "each question",
            &[Price("QUESTION"), Price("OUTSIDE_BYTE"), Limit(PIECE_BYTES_MAX as u64)],
        ),
        ("each byte of the answer", &[Price("OUTSIDE_BYTE")]),
    ],
];

#[test]
fn each_number_of_the_other_tables_is_a_price_or_a_limit() {
    let tables = tables();
    assert_eq!(tables.len(), 3);
    for (table, rows) in tables[1..].iter().zip(ROWS) {
        assert_eq!(table.len(), rows.len(), "{table:?}");
        for ((units, what), (words, expected)) in table.iter().zip(rows) {
            assert!(what.contains(words), "{what:?} is not the row of {words:?}");
            let expected: Vec<u64> = expected.iter().map(|number| number.units()).collect();
            let mut found = numbers(units);
            found.extend(numbers(what));
            assert_eq!(found, expected, "| {units} | {what} |");
            let _ = named(what);
        }
    }
}

impl Number {
    fn units(self) -> u64 {
        match self {
            Limit(number) => number,
            Price(name) => {
                let found = PRICES.iter().find(|(known, _)| *known == name);
                found.unwrap_or_else(|| panic!("no price is called {name}")).1
            }
        }
    }
}

/// No price stands only in the code.
#[test]
fn each_price_is_in_the_document() {
    let rows = ROWS.into_iter().flatten().flat_map(|(_, numbers)| numbers.iter());
    let mut known: BTreeSet<&str> = rows
        .filter_map(|number| match number {
            Price(name) => Some(*name),
            Limit(_) => None,
        })
        .collect();
    // Those of the first table, which the test above compares.
    let calls: BTreeSet<u64> =
        all().flat_map(|function| [0, CREATE, TRUNCATE].map(|how| base(function, how))).collect();
    for name in ["NOTHING", "CALL", "FILE", "CHANGE", "MAKE", "DISK"] {
        assert!(calls.contains(&Price(name).units()), "nothing costs {name}");
        known.insert(name);
    }
    assert_eq!(calls.len(), 6, "{calls:?}");
    let all: BTreeSet<&str> = PRICES.iter().map(|(name, _)| *name).collect();
    assert_eq!(known, all);
}

#[test]
fn numbers_are_read_as_the_document_writes_them() {
    assert_eq!(numbers("4096 to a file; 65 536 where, at most 131 072"), [4096, 65_536, 131_072]);
    assert_eq!(numbers("1 for every 4"), [1, 4]);
    assert_eq!(numbers("512, and 8 for each byte of `f32`"), [512, 8]);
}

#[test]
fn paths_and_lists_are_paid_for_up_to_their_limits() {
    for (length, paid) in [(0, 0), (10, 10), (4096, 4096), (u32::MAX, 4096)] {
        assert_eq!(Path::new(0, length).units(), paid * PATH_BYTE);
    }
    for (count, paid) in [(0, 0), (7, 7), (1024, 1024), (u32::MAX, 1024)] {
        assert_eq!(Buffers::new(0, count).units(), paid * BUFFER);
    }
}

#[test]
fn nothing_looks_like_out_of_fuel() {
    let mut purse = Purse { base: 1, ..Purse::default() };
    assert_eq!(purse.close(), None);
    let open = |purse: &mut Purse, left, base| {
        purse.open(Some(left));
        purse.base = base;
    };
    open(&mut purse, 10, 4);
    assert_eq!(purse.close(), Some(6));
    assert_eq!(purse.charged(), 4);
    purse.owe(u64::MAX);
    assert_eq!(purse.close(), Some(10 - i64::MAX));
    open(&mut purse, i64::MIN + 2, 256);
    assert_eq!(purse.close(), Some(i64::MIN + 1));
}
