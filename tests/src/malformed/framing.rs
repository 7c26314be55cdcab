//! Defects of the bytes around envelope and parts (FORMAT.md, "Framing").
//!
//! Every truncation, one by one, is tried in process (`tests/integrity.rs`); here are
//! those that differ in kind.

use super::{Base, Defect};
use bls_artifact::artifact;

const FORMAT: usize = 8;
const COUNT: usize = 12;
const TOTAL: usize = 16;
const ENVELOPE_LENGTH: usize = 24;
const ENVELOPE_DIGEST: usize = 32;
const RECORD_DIGEST: usize = artifact::HEADER_LEN;
const RECORD_LENGTH: usize = artifact::HEADER_LEN + 32;
const ENVELOPE: usize = artifact::HEADER_LEN + artifact::RECORD_LEN;

pub(super) fn defects() -> Vec<Defect> {
    let mut all = lengths();
    all.extend(foreign());
    all.extend(layout());
    all
}

fn lengths() -> Vec<Defect> {
    vec![
        Defect::new("framing-empty", "framing.empty", "is empty", |_| Vec::new()),
        Defect::new("framing-four-bytes", "framing.too-short", "too short", |bases| {
            bases.hello.file[..4].to_vec()
        }),
        Defect::new("framing-magic-only", "framing.too-short", "too short", |bases| {
            bases.hello.file[..8].to_vec()
        }),
        Defect::new("framing-header-cut", "framing.too-short", "too short", |bases| {
            bases.hello.file[..63].to_vec()
        }),
        Defect::new("framing-header-only", "framing.truncated", "and it has 64", |bases| {
            bases.hello.file[..64].to_vec()
        }),
        Defect::new("framing-envelope-cut", "framing.truncated", "and it has 500", |bases| {
            bases.hello.file[..500].to_vec()
        }),
        Defect::new("framing-last-byte-cut", "framing.truncated", "is truncated", |bases| {
            let file = &bases.hello.file;
            file[..file.len() - 1].to_vec()
        }),
        Defect::new("framing-byte-appended", "framing.trailing-bytes", "appended", |bases| {
            bases.hello.patched(|file| file.push(0))
        }),
        Defect::new("framing-artifact-appended", "framing.trailing-bytes", "appended", |bases| {
            bases.hello.patched(|file| file.extend_from_slice(&bases.other.file))
        }),
        Defect::new("framing-total-zero", "framing.trailing-bytes", "says 0 bytes", |bases| {
            bases.hello.patched(|file| put(file, TOTAL, 0))
        }),
        Defect::new(
            "framing-total-near-2-64",
            "framing.artifact-too-long",
            "18446744073709551600 bytes",
            |bases| bases.hello.patched(|file| put(file, TOTAL, u64::MAX - 15)),
        ),
        Defect::new(
            "framing-envelope-near-2-64",
            "framing.envelope-too-long",
            "18446744073709551615 bytes of envelope",
            |bases| bases.hello.patched(|file| put(file, ENVELOPE_LENGTH, u64::MAX)),
        ),
        Defect::new(
            "framing-envelope-above-cap",
            "framing.envelope-too-long",
            "4194305 bytes of envelope",
            |bases| bases.hello.patched(|file| put(file, ENVELOPE_LENGTH, (4 << 20) + 1)),
        ),
        Defect::new(
            "framing-part-near-2-64",
            "framing.part-too-long",
            "part 0 is said to have 18446744073709551615 bytes",
            |bases| bases.hello.patched(|file| put(file, RECORD_LENGTH, u64::MAX)),
        ),
    ]
}

fn foreign() -> Vec<Defect> {
    vec![
        Defect::new("framing-magic", "framing.magic", "this is something else", |bases| {
            bases.hello.patched(|file| file[..8].copy_from_slice(b"BLS 1.0\n"))
        }),
        Defect::new("framing-as-text", "framing.mangled", "transfer as text", |bases| {
            // What a transfer does that makes one line end of two.
            let mut file = bases.hello.file.clone();
            file.remove(4);
            file
        }),
        Defect::new("framing-future-format", "framing.future-format", "format 2", |bases| {
            bases.hello.patched(|file| file[FORMAT] = 2)
        }),
        Defect::new("framing-module", "framing.is-module", "a WebAssembly module", |_| {
            b"\0asm\x01\0\0\0".to_vec()
        }),
        Defect::new("framing-component", "framing.is-component", "a WebAssembly component", |_| {
            b"\0asm\x0d\0\x01\0".to_vec()
        }),
        Defect::new("framing-cwasm", "framing.is-cwasm", "precompiled file", |bases| {
            bases.hello.image()[..4096].to_vec()
        }),
        Defect::new("framing-delta", "framing.is-delta", "a delta of artifacts", |_| {
            bls_artifact::delta::MAGIC.to_vec()
        }),
        Defect::new("framing-elf", "framing.is-elf", "an ELF file", |_| {
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec()
        }),
    ]
}

fn layout() -> Vec<Defect> {
    vec![
        Defect::new("framing-no-part", "framing.no-part", "no part in it", |bases| {
            bases.hello.patched(|file| file[COUNT] = 0)
        }),
        Defect::new("framing-33-parts", "framing.too-many-parts", "33 parts", |bases| {
            bases.hello.patched(|file| file[COUNT] = 33)
        }),
        Defect::new("framing-parts-near-2-32", "framing.too-many-parts", "4294967295", |bases| {
            bases.hello.patched(|file| file[COUNT..COUNT + 4].fill(0xff))
        }),
        Defect::new("framing-envelope-longer", "framing.lengths-disagree", "add up", |bases| {
            // Longer than the file, and within the cap.
            bases.hello.patched(|file| put(file, ENVELOPE_LENGTH, 1 << 20))
        }),
        Defect::new("framing-part-longer", "framing.lengths-disagree", "add up", |bases| {
            let length = bases.hello.part.len() as u64;
            bases.hello.patched(|file| put(file, RECORD_LENGTH, length + 16))
        }),
        Defect::new("framing-part-missing", "framing.lengths-disagree", "add up", |bases| {
            let length = bases.hello.part.len();
            bases.hello.patched(|file| {
                file.truncate(file.len() - length.next_multiple_of(16));
                let total = file.len() as u64;
                put(file, TOTAL, total);
            })
        }),
        Defect::new("framing-envelope-digest", "framing.envelope-digest", "envelope", |bases| {
            bases.hello.patched(|file| file[ENVELOPE_DIGEST] ^= 1)
        }),
        Defect::new("framing-record-digest", "content.unsigned-part", "part 0 is not", |bases| {
            bases.hello.patched(|file| file[RECORD_DIGEST] ^= 1)
        }),
        Defect::new("framing-padding-after-envelope", "framing.padding", "is padding", |bases| {
            // Whether there is padding depends on what is signed.
            let end = |base: &Base| ENVELOPE + base.envelope.to_bytes().len();
            let named = |length| bases.hello.with_manifest(|it| it.name = "a".repeat(length));
            let mut padded = (1..16).map(|length| Base::of(named(length)));
            let base = padded.find(|base| !end(base).is_multiple_of(16));
            let base = base.expect("an envelope with padding behind it");
            base.patched(|file| file[end(&base)] = 1)
        }),
        Defect::new("framing-padding-after-part", "framing.padding", "is padding", |bases| {
            assert!(!bases.hello.part.len().is_multiple_of(16), "there is padding");
            bases.hello.patched(|file| *file.last_mut().expect("a byte") = 1)
        }),
        Defect::new("framing-unlisted-part", "content.unsigned-part", "part 1 is not", |bases| {
            let envelope = bases.hello.envelope.to_bytes();
            artifact::write(&envelope, &[&bases.hello.part, b"one more"])
        }),
    ]
}

fn put(file: &mut [u8], at: usize, number: u64) {
    file[at..at + 8].copy_from_slice(&number.to_le_bytes());
}
