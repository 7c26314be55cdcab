//! The same input gives the same bytes.

use bls_tests::programs::{Home, fixtures, run};
use std::path::Path;

fn artifact(home: &Home, guest: &Path, options: &[&str], threads: &str) -> Vec<u8> {
    let output = home.path("out.bls");
    let mut command = home.compile_command(guest);
    command.env("RAYON_NUM_THREADS", threads).args(options).arg("-o").arg(&output);
    let _ = run(&mut command, b"").expect(0);
    std::fs::read(output).unwrap()
}

#[test]
fn threads_and_folders_do_not_matter() {
    for guest in ["wat/hello.wat", "c/compute.wasm", "rust/hello/hello.wasm"] {
        for options in [&[][..], &["--no-fuel"], &["--compress=5"]] {
            let guest = fixtures().join(guest);
            let one = artifact(&Home::new(), &guest, options, "1");
            let two = artifact(&Home::new(), &guest, options, "2");
            assert!(one == two, "{} {options:?}", guest.display());
        }
    }
}

#[test]
fn two_keys_sign_the_same_statement_and_parts() {
    let guest = fixtures().join("c/hello.wasm");
    let first = artifact(&Home::with_seed(1), &guest, &[], "2");
    let second = artifact(&Home::with_seed(2), &guest, &[], "2");
    assert!(first != second, "signatures differ");
    let read = |bytes: &[u8]| {
        let (contents, parts) = bls_artifact::artifact::Contents::parse(bytes).unwrap();
        let envelope = bls_artifact::envelope::Envelope::parse(contents.envelope).unwrap();
        (envelope.payload().to_vec(), parts.iter().map(|part| part.to_vec()).collect::<Vec<_>>())
    };
    assert!(read(&first) == read(&second));
}

#[test]
fn time_is_written_only_when_asked_for() {
    let home = Home::new();
    let guest = fixtures().join("wat/hello.wat");
    let plain = artifact(&home, &guest, &[], "2");
    let mut command = home.compile_command(&guest);
    let output = home.path("dated.bls");
    command.env("SOURCE_DATE_EPOCH", "1700000000").arg("-o").arg(&output);
    let _ = run(&mut command, b"").expect(0);
    let dated = std::fs::read(output).unwrap();
    let created = |bytes: &[u8]| {
        let (contents, _) = bls_artifact::artifact::Contents::parse(bytes).unwrap();
        let envelope = bls_artifact::envelope::Envelope::parse(contents.envelope).unwrap();
        bls_artifact::manifest::Statement::parse(envelope.payload()).unwrap().created
    };
    assert_eq!(created(&plain), None);
    assert_eq!(created(&dated), Some(1_700_000_000));
}

#[test]
fn every_target_can_be_compiled_for() {
    let home = Home::new();
    let guest = fixtures().join("wat/hello.wat");
    for target in bls_artifact::target::Target::ALL {
        let bytes = artifact(&home, &guest, &["--target", target.triple()], "2");
        let again = artifact(&home, &guest, &["--target", target.triple()], "1");
        assert!(bytes == again, "{target}");
        if Some(target) != bls_artifact::target::Target::host() {
            let path = home.path("foreign.bls");
            std::fs::write(&path, bytes).unwrap();
            let ended = home.load(&[], &path, &[]).expect(125);
            assert!(ended.stdout.is_empty(), "{target}");
            let _ = ended.says(&["bls-load: verify: ", target.triple(), "hint: "]);
        }
    }
}

/// The bytes that FORMAT.md shows are those of the artifact it names, but for what differs
/// with the key: the envelope's hash, and its end.
#[test]
fn the_example_in_format_md_is_real() {
    let format = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("FORMAT.md");
    let format = std::fs::read_to_string(format).unwrap();
    let target = &["--target", "x86_64-unknown-linux-gnu"];
    let bytes = artifact(&Home::new(), &fixtures().join("wat/hello.wat"), target, "2");
    let (_, example) = format.split_once("## An example").unwrap();
    let length = format!("{} {:03} bytes", bytes.len() / 1000, bytes.len() % 1000);
    assert!(example.contains(&length), "it is {length}");
    let envelope = 0x68 + u64::from_le_bytes(bytes[0x18..0x20].try_into().unwrap()) as usize;
    let mut compared = 0;
    for line in example.lines() {
        let Some((offset, rest)) = line.strip_prefix("    ").and_then(|line| line.split_once("  "))
        else {
            continue;
        };
        let Ok(offset) = usize::from_str_radix(offset, 16) else { continue };
        let of_the_key = (0x20..0x40).contains(&offset) || (0x78..envelope).contains(&offset);
        let shown = rest
            .split(' ')
            .map_while(|word| u8::from_str_radix(word, 16).ok().filter(|_| word.len() == 2));
        for (index, byte) in shown.enumerate().filter(|_| !of_the_key) {
            let real = bytes[offset + index];
            assert_eq!(byte, real, "at {:#x} it is {real:02x}", offset + index);
            compared += 1;
        }
    }
    assert!(compared >= 90, "{compared} bytes were compared");
}
