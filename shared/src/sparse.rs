//! Sparse parts: an image without its long runs of zeros.
//!
//! Images have such runs: between sections that are aligned to pages (64 KiB of them on Arm), and
//! in a memory's first contents, where a guest's data lie far apart. A sparse part is a list of
//! pieces, each so many zeros and then so many bytes (FORMAT.md, "Parts"):
//!
//! ```text
//! zeros (u16, little-endian)   bytes (u16, little-endian)   the bytes
//! ```
//!
//! May assume nothing of what it reads. [`pack`] gives the same bytes for the same image, and
//! [`Pieces`] gives back what was packed; it never gives a piece that is not all there.

use std::fmt;

/// Shortest run of zeros that is left out. Shorter ones are many where a guest's data have gaps,
/// and each piece takes a start some time.
const RUN_MIN: usize = 64;

/// Most zeros, and most bytes, of a piece.
const PIECE_MAX: usize = u16::MAX as usize;

/// A sparse part is stored where it takes at most so much of its image. It is read whole before it
/// is unpacked: with less to leave out, a large one would start more slowly than its image.
const WORTH: (usize, usize) = (3, 4);

/// The image without its long runs of zeros, where that is worth it.
#[must_use]
pub fn pack(image: &[u8]) -> Option<Vec<u8>> {
    let mut packed = Vec::new();
    let mut rest = image;
    while !rest.is_empty() {
        let zeros = rest.iter().take(PIECE_MAX).take_while(|byte| **byte == 0).count();
        let bytes;
        (bytes, rest) = rest[zeros..].split_at(before_run(&rest[zeros..]));
        for length in [zeros, bytes.len()] {
            packed.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
        }
        packed.extend_from_slice(bytes);
    }
    let (part, whole) = WORTH;
    (packed.len() <= image.len() / whole * part).then_some(packed)
}

/// How many bytes stand before the first run of zeros that is left out, or fit a piece.
fn before_run(bytes: &[u8]) -> usize {
    let mut zeros = 0;
    for (at, byte) in bytes.iter().enumerate().take(PIECE_MAX) {
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        if zeros == RUN_MIN {
            return at + 1 - RUN_MIN;
        }
    }
    bytes.len().min(PIECE_MAX)
}

/// A sparse part ends inside of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutOff;

impl fmt::Display for CutOff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "it ends inside of a piece")
    }
}

impl std::error::Error for CutOff {}

/// The pieces of a sparse part: how many zeros, and the bytes behind them.
#[derive(Clone, Debug)]
pub struct Pieces<'a>(&'a [u8]);

impl<'a> Pieces<'a> {
    /// Those of `packed`.
    #[must_use]
    pub fn of(packed: &'a [u8]) -> Self {
        Self(packed)
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<(usize, &'a [u8]), CutOff>;

    fn next(&mut self) -> Option<Self::Item> {
        let packed = std::mem::take(&mut self.0);
        if packed.is_empty() {
            return None;
        }
        let Some(([zeros, more_zeros, length, more_length], rest)) = packed.split_first_chunk()
        else {
            return Some(Err(CutOff));
        };
        let zeros = u16::from_le_bytes([*zeros, *more_zeros]).into();
        let length = u16::from_le_bytes([*length, *more_length]).into();
        let Some((bytes, rest)) = rest.split_at_checked(length) else {
            return Some(Err(CutOff));
        };
        self.0 = rest;
        Some(Ok((zeros, bytes)))
    }
}

/// The image that was packed, where it has exactly this length; no more is ever made.
#[must_use]
pub fn unpack(packed: &[u8], length: u64) -> Option<Vec<u8>> {
    let mut image = Vec::new();
    for piece in Pieces::of(packed) {
        let (zeros, bytes) = piece.ok()?;
        if (image.len() + zeros + bytes.len()) as u64 > length {
            return None;
        }
        image.resize(image.len() + zeros, 0);
        image.extend_from_slice(bytes);
    }
    (image.len() as u64 == length).then_some(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image of these runs: so many ones, so many zeros, and so on.
    fn runs(lengths: &[usize]) -> Vec<u8> {
        let run = |(index, length): (usize, &usize)| vec![1 - (index % 2) as u8; *length];
        lengths.iter().enumerate().flat_map(run).collect()
    }

    #[test]
    fn what_was_packed_comes_back() {
        for lengths in [
            &[0, 100][..],
            &[1, 100],
            &[1, 15, 1, 1000],
            &[1, 64, 1, 63, 1, 64, 1000, 1000],
            &[0, 65_535, 1],
            &[0, 65_536, 1],
            &[0, 200_000, 65_535, 64, 65_536, 63],
            &[70_000, 70_000, 70_000],
        ] {
            let image = runs(lengths);
            let packed = pack(&image).expect("most of it is zeros");
            assert!(packed.len() * 4 <= image.len() * 3, "{lengths:?}");
            let length = image.len() as u64;
            assert_eq!(unpack(&packed, length), Some(image), "{lengths:?}");
            assert_eq!(unpack(&packed, length - 1), None);
            assert_eq!(unpack(&packed, length + 1), None);
        }
    }

    #[test]
    fn what_has_few_zeros_is_left_as_it_is() {
        assert_eq!(pack(&[]).as_deref(), Some(&[][..]), "nothing is nothing");
        assert_eq!(pack(&[7; 1000]), None);
        assert_eq!(pack(&runs(&[1000, 300])), None, "less than a quarter");
        assert!(pack(&runs(&[1000, 400])).is_some());
        assert_eq!(pack(&runs(&[10, 63].repeat(100))), None, "runs that are too short");
    }

    #[test]
    fn the_form_is_what_the_format_says() {
        let image = [&[5, 6][..], &[0; 300], &[7]].concat();
        assert_eq!(pack(&image).unwrap(), [0, 0, 2, 0, 5, 6, 0x2c, 1, 1, 0, 7]);
    }

    #[test]
    fn a_piece_that_is_cut_off_is_an_error_and_the_last() {
        let packed = pack(&runs(&[3, 300, 3])).unwrap();
        assert_eq!(Pieces::of(&packed).filter(Result::is_ok).count(), 2);
        for end in (1..packed.len()).filter(|end| *end != 7) {
            assert_eq!(Pieces::of(&packed[..end]).last(), Some(Err(CutOff)), "{end}");
        }
        assert_eq!(Pieces::of(&packed[..7]).last(), Some(Ok((0, &[1; 3][..]))), "a piece ends");
        let mut pieces = Pieces::of(&[9]);
        assert_eq!(pieces.next(), Some(Err(CutOff)));
        assert_eq!(pieces.next(), None);
    }
}
