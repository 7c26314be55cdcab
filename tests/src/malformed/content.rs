//! Bytes that are not the ones that were signed, and signed ones that are no code.

use super::Defect;
use bls_artifact::artifact;
use bls_artifact::manifest::Encoding;

pub(super) fn defects() -> Vec<Defect> {
    let mut all = flipped();
    all.extend(swapped());
    all.extend(no_code());
    all
}

/// One bit of each piece. Those of the framing are in `framing`.
fn flipped() -> Vec<Defect> {
    vec![
        Defect::new("content-bit-of-payload", "framing.envelope-digest", "envelope", |bases| {
            bases.hello.patched(|file| file[200] ^= 1)
        }),
        Defect::new("content-bit-of-payload-mended", "signature.wrong", "is not good", |bases| {
            // The same, and the digest over it mended: what a forger would do.
            let text = String::from_utf8(bases.hello.envelope.to_bytes()).expect("JSON");
            let other = String::from_utf8(bases.other.envelope.to_bytes()).expect("JSON");
            let (_, signatures) = text.split_once(",\"payloadType\"").expect("an envelope");
            let (payload, _) = other.split_once(",\"payloadType\"").expect("an envelope");
            let forged = format!("{payload},\"payloadType\"{signatures}");
            bases.hello.with_envelope(forged.as_bytes())
        }),
        Defect::new("content-bit-of-code", "content.stored-digest", "signed digest", |bases| {
            bases.hello.patched(|file| {
                let middle = file.len() - bases.hello.part.len() / 2;
                file[middle] ^= 0x10;
            })
        }),
        Defect::new("content-bit-of-raw-code", "content.stored-digest", "signed digest", |bases| {
            let mut file = bases.hello.with_image(&bases.hello.image());
            let at = file.len() - 40;
            file[at] ^= 1;
            file
        }),
        Defect::new("content-bit-of-code-mended", "content.unsigned-part", "signed", |bases| {
            let mut part = bases.hello.part.clone();
            let middle = part.len() / 2;
            part[middle] ^= 1;
            artifact::write(&bases.hello.envelope.to_bytes(), &[&part])
        }),
    ]
}

/// Good pieces, put together wrongly.
fn swapped() -> Vec<Defect> {
    vec![
        Defect::new("content-part-of-another", "content.unsigned-part", "part 0", |bases| {
            artifact::write(&bases.hello.envelope.to_bytes(), &[&bases.other.part])
        }),
        Defect::new("content-manifest-of-another", "content.unsigned-part", "part 0", |bases| {
            artifact::write(&bases.other.envelope.to_bytes(), &[&bases.hello.part])
        }),
        Defect::new("content-image-of-another", "compression.content-size", "signed", |bases| {
            // Signed: the stored bytes of one, the image of the other.
            bases.hello.with_stored(Encoding::Zstd, &frame(&bases.other.image()[..4096]))
        }),
        Defect::new("content-part-twice", "content.part-order", "part 1 comes twice", |bases| {
            let part = &bases.hello.part;
            artifact::write(&bases.hello.envelope.to_bytes(), &[part, part])
        }),
    ]
}

/// What a trusted key signed by mistake.
fn no_code() -> Vec<Defect> {
    vec![
        Defect::new("content-no-image", "map.engine", "does not take the image", |bases| {
            bases.hello.with_image(b"no ELF file at all")
        }),
        Defect::new("content-empty-image", "map.engine", "does not take the image", |bases| {
            bases.hello.with_image(b"")
        }),
        Defect::new("content-image-cut", "map.engine", "does not take the image", |bases| {
            bases.hello.with_image(&bases.hello.image()[..2000])
        }),
        Defect::new("content-image-of-module", "map.engine", "does not take the image", |bases| {
            bases.hello.with_image(b"\0asm\x01\0\0\0")
        }),
    ]
}

/// One zstd frame, compressed as bls-compile does.
pub(super) fn frame(image: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(image, 19).expect("memory")
}
