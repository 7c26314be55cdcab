//! Stored bytes that are not the one zstd frame that was promised (RFC 8878), or not the
//! pieces of a sparse part. All are signed by a trusted key: only what comes out is wrong, or too much.

use super::{Base, Defect};
use bls_artifact::manifest::Encoding;
use bls_artifact::sparse;

/// The magic of a zstd frame.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Most bytes of one block.
const BLOCK: usize = 128 << 10;

pub(super) fn defects() -> Vec<Defect> {
    let mut all = headers();
    all.extend(lengths());
    all.extend(sparse_parts());
    all
}

fn headers() -> Vec<Defect> {
    vec![
        Defect::new("compression-no-frame", "compression.invalid", "not valid zstd", |bases| {
            bases.hello.with_stored(Encoding::Zstd, b"code, as it is")
        }),
        Defect::new("compression-cut", "compression.invalid", "not valid zstd", |bases| {
            let part = &bases.hello.part;
            bases.hello.with_stored(Encoding::Zstd, &part[..part.len() - 10])
        }),
        Defect::new("compression-skippable", "compression.invalid", "not valid zstd", |bases| {
            let skipped = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
            stored(&bases.hello, &[&skipped, bases.hello.part.as_slice()].concat())
        }),
        Defect::new("compression-window", "compression.window", "window of 16777216", |bases| {
            let size = image_length(&bases.hello);
            stored(&bases.hello, &frame(24, size, &[(b'x', size)]))
        }),
        Defect::new("compression-window-largest", "compression.window", "a window of", |bases| {
            let size = image_length(&bases.hello);
            stored(&bases.hello, &frame(41, size, &[(b'x', size)]))
        }),
        Defect::new(
            "compression-dictionary",
            "compression.dictionary",
            "wants the dictionary 77",
            |bases| {
                let size = image_length(&bases.hello);
                let mut frame = frame(20, size, &[(b'x', size)]);
                frame[4] |= 1;
                frame.insert(6, 77);
                stored(&bases.hello, &frame)
            },
        ),
    ]
}

fn lengths() -> Vec<Defect> {
    vec![
        Defect::new("compression-bomb", "compression.too-long", "longer than", |bases| {
            // 128 MiB in 4 KiB, announced as what is signed.
            let blocks = [(0, BLOCK); 1024];
            stored(&bases.hello, &frame(17, image_length(&bases.hello), &blocks))
        }),
        Defect::new(
            "compression-honest-bomb",
            "compression.content-size",
            "announces 134217728 bytes",
            |bases| stored(&bases.hello, &frame(17, 1024 * BLOCK, &[(0, BLOCK); 1024])),
        ),
        Defect::new("compression-short", "compression.too-short", "shorter than", |bases| {
            let size = image_length(&bases.hello);
            stored(&bases.hello, &frame(17, size, &[(b'x', size - 1)]))
        }),
        Defect::new("compression-two-frames", "compression.trailing-bytes", "follow", |bases| {
            let part = bases.hello.part.as_slice();
            stored(&bases.hello, &[part, part].concat())
        }),
        Defect::new("compression-byte-behind", "compression.trailing-bytes", "1 bytes", |bases| {
            stored(&bases.hello, &[bases.hello.part.as_slice(), &[0]].concat())
        }),
        Defect::new("compression-other-image", "content.image-digest", "decompressed", |bases| {
            let size = image_length(&bases.hello);
            stored(&bases.hello, &frame(17, size, &[(b'x', size)]))
        }),
    ]
}

/// The same of a sparse part.
fn sparse_parts() -> Vec<Defect> {
    fn with(base: &Base, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut packed = sparse::pack(&base.image()).expect("zeros between sections");
        change(&mut packed);
        base.with_stored(Encoding::Sparse, &packed)
    }
    vec![
        Defect::new("sparse-cut", "compression.invalid", "inside of a piece", |bases| {
            with(&bases.hello, |packed| packed.truncate(packed.len() - 1))
        }),
        Defect::new("sparse-head-cut", "compression.invalid", "inside of a piece", |bases| {
            with(&bases.hello, |packed| packed.extend([0; 3]))
        }),
        Defect::new("sparse-short", "compression.too-short", "shorter than", |bases| {
            with(&bases.hello, Vec::clear)
        }),
        Defect::new("sparse-long", "compression.too-long", "longer than", |bases| {
            with(&bases.hello, |packed| packed.extend([1, 0, 0, 0]))
        }),
        Defect::new("sparse-bomb", "compression.too-long", "longer than", |bases| {
            // 128 MiB of zeros in 8 KiB.
            with(&bases.hello, |packed| *packed = [0xff, 0xff, 0, 0].repeat(2048))
        }),
        Defect::new("sparse-other-image", "content.image-digest", "signed digest", |bases| {
            with(&bases.hello, |packed| {
                let last = packed.len() - 1;
                packed[last] ^= 1;
            })
        }),
        Defect::new("sparse-not-shorter", "manifest.field", "shorter than", |bases| {
            bases.hello.with_stored(Encoding::Sparse, &bases.hello.image())
        }),
        Defect::new("sparse-bit", "content.stored-digest", "signed digest", |bases| {
            let mut file = with(&bases.hello, |_| {});
            let at = file.len() - 40;
            file[at] ^= 1;
            file
        }),
    ]
}

fn stored(base: &Base, stored: &[u8]) -> Vec<u8> {
    base.with_stored(Encoding::Zstd, stored)
}

fn image_length(base: &Base) -> usize {
    base.manifest.parts[0].image.length as usize
}

/// A frame that says this window and content size, and holds runs of one byte.
fn frame(window_log: u8, content_size: usize, runs: &[(u8, usize)]) -> Vec<u8> {
    let mut frame = MAGIC.to_vec();
    // A content size of four bytes; no checksum, no dictionary.
    frame.push(0x80);
    frame.push((window_log - 10) << 3);
    frame.extend_from_slice(&(content_size as u32).to_le_bytes());
    for (index, (byte, length)) in runs.iter().enumerate() {
        let is_last = index + 1 == runs.len();
        let header = (*length as u32) << 3 | 1 << 1 | u32::from(is_last);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(*byte);
    }
    frame
}
