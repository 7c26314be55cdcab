//! What images hold, and what they cost: no section that a run does not read, no runs of zeros in
//! the file, and still the names that a trap says.

use bls_artifact::artifact::Contents;
use bls_artifact::envelope::Envelope;
use bls_artifact::manifest::{Encoding, Statement};
use bls_artifact::target::Target;
use bls_tests::installed::Shelf;
use bls_tests::parts;
use bls_tests::programs::{Home, compiler, fixtures, run};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// All that an image may hold: code and data, what traps, exceptions and collections look up, what
/// the engine reads first, names of functions, and the ELF file's own.
const SECTIONS: [&str; 12] = [
    "",
    ".text",
    ".rodata.wasm",
    ".name.wasm",
    ".wasmtime.engine",
    ".wasmtime.bti",
    ".wasmtime.traps",
    ".wasmtime.exceptions",
    ".wasmtime.stackmap",
    ".wasmtime.info",
    ".strtab",
    ".shstrtab",
];

/// Of each part, how it is stored, how many bytes that takes, and its image.
fn images(artifact: &Path) -> Vec<(Encoding, usize, Vec<u8>)> {
    let bytes = std::fs::read(artifact).unwrap();
    let (contents, parts) = Contents::parse(&bytes).unwrap();
    let envelope = Envelope::parse(contents.envelope).unwrap();
    let manifest = Statement::parse(envelope.payload()).unwrap();
    let all = manifest.parts.iter().zip(&parts);
    all.map(|(part, stored)| (part.stored.encoding, stored.len(), parts::image(part, stored)))
        .collect()
}

#[test]
fn no_image_holds_what_no_run_reads() {
    let home = Home::new();
    let targets = Target::ALL.map(Target::triple).join(",");
    // With and without names; the third has objects and its own sections for them.
    for (guest, has_names) in
        [("wat/trap-unreachable.wat", true), ("c/hello.wasm", false), ("wat/gc-structs.wat", false)]
    {
        let artifact = home.compile(&fixtures().join(guest), &["--target", &targets]);
        let images = images(&artifact);
        assert_eq!(images.len(), Target::ALL.len());
        for (_, _, image) in images {
            let file = object::File::parse(&*image).unwrap();
            assert_eq!(file.symbols().filter(|symbol| symbol.size() > 0).count(), 0, "{guest}");
            assert!(file.section_by_name(".text").is_some_and(|text| text.size() > 0));
            for section in file.sections() {
                let name = section.name().unwrap();
                let is_table = name == ".symtab" && section.size() <= 24;
                assert!(is_table || SECTIONS.contains(&name), "{guest}: {name}");
            }
            assert!(!has_names || file.section_by_name(".name.wasm").is_some(), "{guest}");
        }
    }
}

/// A module with a byte at the beginning of 8 MiB, one in the middle of them, and one at their
/// end, which it adds up with one that nobody wrote.
fn far_apart(home: &Home) -> PathBuf {
    let path = home.path("far.wat");
    let text = r#"(module (memory (export "memory") 129)
        (data (i32.const 5) "\01") (data (i32.const 0x400000) "\02")
        (data (i32.const 0x800000) "\04")
        (func (export "sum") (result i32)
          i32.const 5 i32.load8_u i32.const 0x400000 i32.load8_u i32.add
          i32.const 0x800000 i32.load8_u i32.add i32.const 0x600000 i32.load i32.add))"#;
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn data_that_lie_far_apart_cost_what_they_hold() {
    let home = Home::new();
    let module = far_apart(&home);
    for options in [&[][..], &["--compress"], &["--memory", "checked"]] {
        let artifact = home.compile(&module, options);
        let length = std::fs::metadata(&artifact).unwrap().len();
        assert!(length < 20_000, "{options:?}: {length} bytes");
        let (encoding, _, image) = images(&artifact).remove(0);
        let expected = if options == ["--compress"] { Encoding::Zstd } else { Encoding::Sparse };
        assert_eq!(encoding, expected);
        // It is mapped as it is: so a guest that starts copies none of it.
        assert!(image.len() > 8 << 20, "{options:?}: {} bytes", image.len());
        let ended = home.load(&["--invoke", "sum"], &artifact, &[]).expect(0);
        assert_eq!(ended.text(), "7\n");
    }
    let artifact = home.compile(&module, &["--name", "far"]);
    let shelf = Shelf::new();
    let _ = shelf.install(&home, &artifact).expect(0);
    assert_eq!(shelf.load(&home, &["--invoke", "sum", "far"]).expect(0).text(), "7\n");
    shelf.expect_whole(&home);
}

#[test]
fn what_aligns_sections_is_not_stored() {
    let home = Home::new();
    let guest = fixtures().join("wat/hello.wat");
    let targets = Target::ALL.map(Target::triple).join(",");
    let artifact = home.compile(&guest, &["--target", &targets]);
    for (encoding, stored, image) in images(&artifact) {
        assert_eq!(encoding, Encoding::Sparse);
        let zeros = image.chunks(16).filter(|chunk| chunk.iter().all(|byte| *byte == 0)).count();
        assert!(stored + 16 * zeros / 2 < image.len(), "{stored} of {}", image.len());
    }
    let shown = run(Command::new(compiler()).arg("inspect").arg(&artifact), b"").expect(0).text();
    assert!(shown.contains("stored without long runs of zeros"), "{shown}");
    // What has hardly any is its image.
    let artifact = home.fixture("c/compute.wasm");
    assert_eq!(images(&artifact)[0].0, Encoding::Raw);
}

#[test]
fn a_trap_of_a_sparse_part_names_its_functions() {
    let home = Home::new();
    let artifact = home.fixture("wat/trap-after-output.wat");
    assert_eq!(images(&artifact)[0].0, Encoding::Sparse);
    let _ = home.load(&[], &artifact, &[]).expect(134).says(&["trap", "boom"]);
}
