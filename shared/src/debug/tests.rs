//! Debug files are read as they were written, and no bytes make the reader panic.

use super::*;

fn line(function: &str, file: &str, line: u32) -> Line {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Line { function: text(function), file: text(file), line, column: line + 1 }
}

fn table() -> Vec<u8> {
    let mut table = Table::default();
    let inlined = table.place(vec![line("inner", "a.c", 7), line("outer", "b.c", 200)]);
    let plain = table.place(vec![line("", "b.c", 3)]);
    assert_eq!((inlined, plain), (1, 2));
    assert_eq!(table.place(vec![line("", "b.c", 3)]), plain);
    assert_eq!(table.place(Vec::new()), 0);
    table.function(&Function {
        index: 5,
        name: Some("outer".into()),
        module: None,
        own_index: 5,
        begin: 880,
        rows: vec![
            Row { offset: 64, source: None, place: 0 },
            Row { offset: 70, source: Some(1000), place: inlined },
            Row { offset: 300, source: Some(900), place: plain },
        ],
    });
    table.function(&Function {
        index: 6,
        name: None,
        module: Some("math".into()),
        own_index: 2,
        begin: 30,
        rows: vec![Row { offset: 512, source: Some(40), place: 0 }],
    });
    table.finish()
}

fn image() -> Sha256 {
    Sha256::of(b"image")
}

fn file() -> Vec<u8> {
    write(&Sha256::of(b"source"), &[(Sha256::of(b"other"), vec![1, 2]), (image(), table())])
}

/// What a file says of these offsets, as a loader reads it.
fn look(file: &[u8], offsets: &[u32]) -> Result<Vec<Option<Found>>, DebugError> {
    let head = Head::read(file, file.len() as u64)?;
    let (begin, record) = head.table_of(&image())?;
    let table = &file[begin as usize..(begin + record.length) as usize];
    record.check(table)?;
    find(table, offsets)
}

#[test]
fn what_is_written_is_found() {
    let found = look(&file(), &[512, 63, 64, 69, 70, 299, 300, 511, u32::MAX]).unwrap();
    assert!(found[1].is_none(), "before all code");
    let found: Vec<Found> = found.into_iter().flatten().collect();
    let sources: Vec<_> = found.iter().map(|one| (one.index, one.source)).collect();
    let expected = [(6, Some(40)), (5, None), (5, None), (5, Some(1000)), (5, Some(1000))];
    assert_eq!(sources[..5], expected);
    assert_eq!(sources[5..], [(5, Some(900)), (5, Some(900)), (6, Some(40))]);
    assert_eq!(found[3].lines, [line("inner", "a.c", 7), line("outer", "b.c", 200)]);
    assert_eq!(found[5].lines, [line("", "b.c", 3)]);
    assert!(found[0].lines.is_empty() && found[1].lines.is_empty());
    assert_eq!((found[0].module.as_deref(), found[0].own_index), (Some("math"), 2));
    assert_eq!((found[1].name.as_deref(), found[1].begin), (Some("outer"), 880));
}

#[test]
fn all_lines_are_listed() {
    let begin = |offset, file: &str, line| Begin { offset, file: file.into(), line };
    let all = [begin(70, "a.c", 7), begin(300, "b.c", 3)];
    assert_eq!(lines(&table()).unwrap(), all);
    assert_eq!(lines(&Table::default().finish()), Ok(Vec::new()));
}

#[test]
fn a_file_about_something_else_names_both() {
    let head = Head::read(&file(), file().len() as u64).unwrap();
    assert_eq!(head.source, Sha256::of(b"source"));
    let wanted = Sha256::of(b"nothing");
    let error = head.table_of(&wanted).unwrap_err();
    assert_eq!(error.code(), "debug.other-image");
    let text = error.to_string();
    assert!(text.contains(&wanted.to_string()) && text.contains(&image().to_string()), "{text}");
}

#[test]
fn no_cut_and_no_changed_byte_is_overlooked() {
    let file = file();
    let offsets = [0, 64, 70, 300, 512];
    for end in 0..file.len() {
        assert!(look(&file[..end], &offsets).is_err(), "cut at {end}");
    }
    let right = look(&file, &offsets).unwrap();
    // The source and the other image's digests are what they say.
    let is_others = |at: &usize| (16..112).contains(at) || (192..194).contains(at);
    for at in (0..file.len()).filter(|at| !is_others(at)) {
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            assert!(look(&changed, &offsets) != Ok(right.clone()), "bit {bit} of {at}");
        }
    }
}

#[test]
fn no_table_makes_the_reader_panic() {
    let table = table();
    for at in 0..table.len() {
        for value in [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xff] {
            let mut changed = table.clone();
            changed[at] = value;
            let _ = find(&changed, &[0, 64, 70, 300, 512, u32::MAX]);
            let _ = lines(&changed);
        }
        let _ = find(&table[..at], &[64, 512]);
        assert!(lines(&table[..at]).is_err());
    }
    let part = |bytes: &[u8]| [&(bytes.len() as u64).to_le_bytes()[..], bytes].concat();
    let with = |functions: &[u8], places: &[u8]| {
        find(&[part(functions), part(places), part(&[])].concat(), &[9])
    };
    let shown = |result: Result<_, DebugError>| result.unwrap_err().to_string();
    let function = |rows: &[u8]| [&[0, 1, 0, 0, 1, 0, rows.len() as u8], rows].concat();
    assert!(shown(with(&[0x80; 12], &[])).contains("too long"));
    assert!(shown(with(&function(&[2, 0x7f, 0]), &[])).contains("out of range"));
    assert!(shown(with(&function(&[2, 1, 1]), &[65])).contains("too many lines"));
    assert!(shown(with(&function(&[2, 1, 1]), &[])).contains("ends too early"));
    assert!(with(&function(&[2, 1, 1]), &[0]).unwrap()[0].as_ref().unwrap().lines.is_empty());
}
