//! A part's image, out of its bytes in the file.

use bls_artifact::manifest::{Encoding, Part};
use bls_artifact::sparse;

/// The image of a part that is stored so.
///
/// # Panics
/// When it is not stored as its manifest says.
#[must_use]
pub fn image(part: &Part, stored: &[u8]) -> Vec<u8> {
    let length = part.image.length;
    match part.stored.encoding {
        Encoding::Raw => stored.to_vec(),
        Encoding::Sparse => sparse::unpack(stored, length).expect("a sparse part"),
        Encoding::Zstd => zstd::bulk::decompress(stored, length as usize).expect("a zstd frame"),
    }
}
