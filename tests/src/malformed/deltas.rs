//! Deltas with one defect each, which begin with the good artifact and lead to the next release.
//!
//! A delta is not signed, so whoever changes one can mend whatever checksum stands in it: each row
//! is as somebody would make it who knows the format. Nothing of them may change a store.

use super::{Bases, Defect, Kind, builder, stranger};
use bls_artifact::delta::script::{self, Copy};
use bls_artifact::delta::{self, DELTA_HEADER_LEN, SIGNATURE_LEN};
use bls_artifact::digest::{Sha256, verity};
use bls_artifact::envelope::Envelope;
use bls_artifact::key::PrivateKey;
use bls_artifact::manifest::{Encoding, Image, Statement, Stored};
use zstd::zstd_safe::CParameter;

/// What the next release's code has behind that of the base.
const MORE: &[u8] = b"and what is new";

pub(super) fn defects() -> Vec<Defect> {
    let mut all = framing();
    all.extend(identities());
    all.extend(frames());
    all.extend(scripts());
    all
}

fn row(name: &'static str, code: &'static str, says: &'static str, make: super::Make) -> Defect {
    Defect::beside(name, code, says).with(Kind::Delta, make)
}

fn framing() -> Vec<Defect> {
    vec![
        row("delta-empty", "delta.not-a-delta", "is not a delta", |_| Vec::new()),
        row("delta-artifact", "delta.not-a-delta", "an artifact, not a delta", |bases| {
            bases.hello.file.clone()
        }),
        row("delta-magic-only", "delta.too-short", "too short", |_| delta::MAGIC.to_vec()),
        row("delta-magic", "delta.not-a-delta", "is not a delta", |bases| {
            patched(bases, |bytes| bytes[1] ^= 0x20)
        }),
        row("delta-future-format", "delta.future-format", "delta format 2", |bases| {
            patched(bases, |bytes| put(bytes, 8, 2))
        }),
        row("delta-no-part", "delta.part-count", "says 0 parts", |bases| {
            patched(bases, |bytes| put(bytes, 12, 0))
        }),
        row("delta-33-parts", "delta.part-count", "says 33 parts", |bases| {
            patched(bases, |bytes| put(bytes, 12, 33))
        }),
        row("delta-parts-near-2-32", "delta.part-count", "says 4294967295 parts", |bases| {
            patched(bases, |bytes| put(bytes, 12, u32::MAX))
        }),
        row("delta-no-signature", "delta.signature-count", "says 0 signatures", |bases| {
            patched(bases, |bytes| put(bytes, 92, 0))
        }),
        row("delta-17-signatures", "delta.signature-count", "says 17 signatures", |bases| {
            patched(bases, |bytes| put(bytes, 92, 17))
        }),
        row("delta-statement-above-cap", "delta.statement-too-long", "4194305 bytes", |bases| {
            patched(bases, |bytes| put(bytes, 88, 4_194_305))
        }),
        row("delta-cut", "delta.too-short", "too short", |bases| {
            patched(bases, |bytes| bytes.truncate(bytes.len() - 1))
        }),
        row("delta-byte-appended", "delta.lengths", "do not add up", |bases| {
            patched(bases, |bytes| bytes.push(0))
        }),
        row("delta-statement-near-2-64", "delta.lengths", "do not add up", |bases| {
            patched(bases, |bytes| bytes[96..104].fill(0xff))
        }),
        row("delta-part-near-2-64", "delta.lengths", "do not add up", |bases| {
            let at = DELTA_HEADER_LEN + SIGNATURE_LEN + 8;
            patched(bases, |bytes| bytes[at..at + 8].fill(0xff))
        }),
        row("delta-part-longer", "delta.too-short", "too short", |bases| {
            let at = DELTA_HEADER_LEN + SIGNATURE_LEN + 8;
            patched(bases, |bytes| bytes[at] += 1)
        }),
        row("delta-part-twice", "delta.part-order", "part 0 is out of order", |bases| {
            let mut up = Up::good(bases);
            up.parts.push((0, 0, Vec::new()));
            up.bytes()
        }),
        row("delta-part-32", "delta.part-order", "part 32 is out of order", |bases| {
            let mut up = Up::good(bases);
            up.parts[0].0 = 32;
            up.bytes()
        }),
    ]
}

/// What it begins with, and what it leads to.
fn identities() -> Vec<Defect> {
    vec![
        row("delta-base-not-here", "delta.no-base", "which is not installed", |bases| {
            let mut up = Up::good(bases);
            up.base = bases.other.envelope.identity();
            up.bytes()
        }),
        row("delta-new-identity", "delta.statement", "not the statement that it names", |bases| {
            let mut up = Up::good(bases);
            up.new = Sha256::of(b"another release");
            up.bytes()
        }),
        row(
            "delta-other-statement",
            "delta.statement",
            "not the statement that it names",
            |bases| {
                let mut up = Up::good(bases);
                let other = bases.other.envelope.payload();
                up.statement = (other.len(), framed(&inserted(other)));
                up.bytes()
            },
        ),
        row("delta-statement-unchanged", "delta.length", "the length that is signed", |bases| {
            let mut up = Up::good(bases);
            up.statement = (up.statement.0 + 1, Vec::new());
            up.bytes()
        }),
        row("delta-part-of-nothing", "delta.no-such-part", "part 1 is none", |bases| {
            let mut up = Up::good(bases);
            up.parts[0].0 = 1;
            up.bytes()
        }),
        row("delta-base-part-of-nothing", "delta.no-such-part", "part 0 is none", |bases| {
            let mut up = Up::good(bases);
            up.parts[0].1 = 31;
            up.bytes()
        }),
        row("delta-signature", "signature.wrong", "is not good", |bases| {
            let mut up = Up::good(bases);
            up.signatures[0].1[63] ^= 1;
            up.bytes()
        }),
        row("delta-signature-by-another", "signature.unknown-key", "key", |bases| {
            Up::of(bases, &next(bases), &stranger()).bytes()
        }),
        row("delta-signatures-swapped", "signature.wrong", "is not good", |bases| {
            let mut up = Up::good(bases);
            let base = Envelope::sign(bases.hello.envelope.payload().to_vec(), &[&builder()]);
            up.signatures = signatures(&base);
            up.bytes()
        }),
        row("delta-no-manifest", "manifest.truncated", "it ends early", |bases| {
            Up::of(bases, b"{", &builder()).bytes()
        }),
    ]
}

/// What stands where a zstd frame belongs.
fn frames() -> Vec<Defect> {
    vec![
        row("delta-no-frame", "delta.compression", "not valid zstd", |bases| {
            with_difference(bases, |_| b"this is no frame".to_vec())
        }),
        row("delta-frame-cut", "delta.compression", "not valid zstd", |bases| {
            with_difference(bases, |good| framed(good)[..12].to_vec())
        }),
        row("delta-frame-window", "delta.window", "asks for a window", |bases| {
            with_difference(bases, |good| {
                // Longer than its window, or zstd writes none.
                let long = [good, &vec![0; 9 << 20]].concat();
                framed_with(&long, 23)
            })
        }),
        row("delta-two-frames", "delta.trailing-bytes", "something follows", |bases| {
            with_difference(bases, |good| [framed(good), framed(b"more")].concat())
        }),
        row("delta-byte-behind-frame", "delta.trailing-bytes", "something follows", |bases| {
            with_difference(bases, |good| [&framed(good)[..], &[0]].concat())
        }),
        row("delta-bomb", "delta.trailing-bytes", "something follows", |bases| {
            // A few kilobytes of frame that become 256 MiB.
            with_difference(bases, |good| framed(&[good, &vec![0; 256 << 20]].concat()))
        }),
        row("delta-content-cut", "delta.ended", "it ends before", |bases| {
            with_difference(bases, |good| framed(&good[..good.len() - 1]))
        }),
        row("delta-frame-of-nothing", "delta.ended", "it ends before", |bases| {
            with_difference(bases, |_| framed(b""))
        }),
    ]
}

/// What the content of a frame says.
fn scripts() -> Vec<Defect> {
    // A number that makes a base or a length seem to wrap around.
    const MOST: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];
    vec![
        row("delta-number-of-35-bits", "delta.number", "is not one of the format's", |bases| {
            with_script(bases, &[0x80, 0x80, 0x80, 0x80, 0x10])
        }),
        row("delta-number-spelt-longer", "delta.number", "is not one of the format's", |bases| {
            with_script(bases, &[0x80, 0])
        }),
        row("delta-17-ranges", "delta.count", "it has 17 copies or ranges", |bases| {
            with_script(bases, &[17])
        }),
        row("delta-262145-copies", "delta.count", "it has 262145 copies", |bases| {
            with_script(bases, &[0, 0x81, 0x80, 0x10])
        }),
        row("delta-range-of-no-kind", "delta.range", "are not ones of the format", |bases| {
            with_script(bases, &[1, 4, 0, 1])
        }),
        row("delta-ranges-overlap", "delta.range", "are not ones of the format", |bases| {
            with_script(bases, &[2, 1, 0, 10, 1, 9, 1])
        }),
        row(
            "delta-range-beyond-base",
            "delta.beyond-base",
            "beyond the end of the base",
            |bases| with_script(bases, &[&[1, 1, 1][..], &MOST].concat()),
        ),
        row("delta-copy-beyond-base", "delta.beyond-base", "beyond the end of the base", |bases| {
            with_script(bases, &[&[0, 1, 0][..], &MOST, &[0, 0]].concat())
        }),
        row("delta-copy-before-base", "delta.beyond-base", "beyond the end of the base", |bases| {
            with_script(bases, &[0, 1, 0, 10, 1, 0])
        }),
        row("delta-copy-of-nothing", "delta.beyond-base", "beyond the end of the base", |bases| {
            with_script(bases, &[0, 1, 0, 0, 0, 0])
        }),
        row("delta-length-shorter", "delta.length", "the length that is signed", |bases| {
            with_script(bases, &[0, 1, 0, 10, 0, 0])
        }),
        row("delta-length-longer", "delta.length", "the length that is signed", |bases| {
            with_script(bases, &[&[0, 0][..], &MOST].concat())
        }),
        row("delta-length-wraps", "delta.length", "the length that is signed", |bases| {
            let two = [&MOST[..], &[10, 0], &MOST, &[10, 0, 0]].concat();
            with_script(bases, &[&[0, 2][..], &two].concat())
        }),
        row("delta-no-difference", "delta.length", "the length that is signed", |bases| {
            with_difference(bases, |_| Vec::new())
        }),
        row("delta-correction-of-nothing", "delta.correction", "what is not there", |bases| {
            with_script(bases, &[&copy_of_base(bases)[..], &[1, 0, 0]].concat())
        }),
        row("delta-correction-beyond", "delta.correction", "what is not there", |bases| {
            with_script(bases, &[&copy_of_base(bases)[..], &[1], &MOST, &[1]].concat())
        }),
        row("delta-more-corrections", "delta.ended", "it ends before", |bases| {
            with_script(bases, &[&copy_of_base(bases)[..], &MOST, &[0, 1]].concat())
        }),
        row(
            "delta-other-image",
            "delta.image-digest",
            "does not match its signed digest",
            |bases| {
                let mut image = new_image(bases);
                image[1000] ^= 1;
                with_script(bases, &script::make(&bases.hello.image(), &image, &[], &whole(bases)))
            },
        ),
        row("delta-other-end", "delta.image-digest", "does not match its signed digest", |bases| {
            let mut image = new_image(bases);
            *image.last_mut().expect("bytes") ^= 1;
            with_script(bases, &script::make(&bases.hello.image(), &image, &[], &whole(bases)))
        }),
    ]
}

/// A delta, field by field.
struct Up {
    base: Sha256,
    new: Sha256,
    statement: (usize, Vec<u8>),
    signatures: Vec<(Sha256, [u8; 64])>,
    parts: Vec<(usize, usize, Vec<u8>)>,
}

impl Up {
    /// From the base to the next release.
    fn good(bases: &Bases) -> Self {
        Self::of(bases, &next(bases), &builder())
    }

    /// From the base to what says this, signed by that key, with the next release's code.
    fn of(bases: &Bases, payload: &[u8], key: &PrivateKey) -> Self {
        let envelope = Envelope::sign(payload.to_vec(), &[key]);
        let (from, to) = (bases.hello.image(), new_image(bases));
        let difference = framed(&script::make(&from, &to, &[], &whole(bases)));
        Self {
            base: bases.hello.envelope.identity(),
            new: envelope.identity(),
            statement: (payload.len(), framed(&inserted(payload))),
            signatures: signatures(&envelope),
            parts: vec![(0, 0, difference)],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let statement = (self.statement.0, &self.statement.1[..]);
        delta::write((self.base, self.new), statement, &self.signatures, &self.parts)
    }
}

/// The good delta: what the others are changed from, and what must install.
#[must_use]
pub fn good(bases: &Bases) -> Vec<u8> {
    Up::good(bases).bytes()
}

fn signatures(envelope: &Envelope) -> Vec<(Sha256, [u8; 64])> {
    let claims = envelope.claims().iter();
    claims.map(|claim| (claim.key_id, *claim.signature())).collect()
}

/// What the next release says.
fn next(bases: &Bases) -> Vec<u8> {
    let image = new_image(bases);
    let (length, sha256) = (image.len() as u64, Sha256::of(&image));
    let mut manifest = bases.hello.manifest.clone();
    manifest.sequence += 1;
    manifest.compiler.compression = None;
    manifest.parts[0].image = Image { length, sha256, verity: verity(&image) };
    manifest.parts[0].stored = Stored { encoding: Encoding::Raw, length, sha256 };
    Statement::new(manifest).to_bytes()
}

fn new_image(bases: &Bases) -> Vec<u8> {
    [&bases.hello.image()[..], MORE].concat()
}

/// The whole base, copied.
fn whole(bases: &Bases) -> [Copy; 1] {
    [Copy { insert: 0, base: 0, length: bases.hello.image().len() as u32 }]
}

/// The beginning of a script that copies the whole base: its corrections follow.
fn copy_of_base(bases: &Bases) -> Vec<u8> {
    let good = script::make(&bases.hello.image(), &new_image(bases), &[], &whole(bases));
    // Without the number of corrections, which is 0, and what is inserted at the end.
    good[..good.len() - MORE.len() - 1].to_vec()
}

/// A script that makes these bytes of any base.
fn inserted(bytes: &[u8]) -> Vec<u8> {
    script::make(b"", bytes, &[], &[])
}

fn framed(content: &[u8]) -> Vec<u8> {
    framed_with(content, 20)
}

fn framed_with(content: &[u8], window_log: u32) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(3).expect("a compressor");
    compressor.set_parameter(CParameter::WindowLog(window_log)).expect("a window");
    compressor.compress(content).expect("a frame")
}

fn patched(bases: &Bases, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = good(bases);
    change(&mut bytes);
    bytes
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// The good delta with what `make` makes of its script in place of the frame.
fn with_difference(bases: &Bases, make: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut up = Up::good(bases);
    let good = script::make(&bases.hello.image(), &new_image(bases), &[], &whole(bases));
    up.parts[0].2 = make(&good);
    up.bytes()
}

fn with_script(bases: &Bases, script: &[u8]) -> Vec<u8> {
    with_difference(bases, |_| framed(script))
}
