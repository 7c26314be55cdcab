//! Differences in memory: what is made is applied, piece by piece, and nothing else passes.

use super::*;

/// A base and a difference in memory, and what came out.
struct Memory<'a> {
    base: &'a [u8],
    difference: &'a [u8],
    out: Vec<u8>,
}

#[derive(Debug, PartialEq)]
enum Wrong {
    Script(ScriptError),
    Ended,
}

impl From<ScriptError> for Wrong {
    fn from(error: ScriptError) -> Self {
        Self::Script(error)
    }
}

impl Ends for Memory<'_> {
    type Error = Wrong;

    fn next(&mut self, bytes: &mut [u8]) -> Result<(), Wrong> {
        let (now, rest) = self.difference.split_at_checked(bytes.len()).ok_or(Wrong::Ended)?;
        bytes.copy_from_slice(now);
        self.difference = rest;
        Ok(())
    }

    fn base(&mut self, position: u64, bytes: &mut [u8]) -> Result<(), Wrong> {
        bytes.copy_from_slice(&self.base[position as usize..][..bytes.len()]);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        self.out.extend_from_slice(bytes);
        Ok(())
    }
}

/// What comes out, and how much of the difference is left.
fn applied(base: &[u8], difference: &[u8], length: usize) -> Result<(Vec<u8>, usize), Wrong> {
    let mut memory = Memory { base, difference, out: Vec::new() };
    apply(&mut memory, base.len() as u64, length as u64)?;
    assert_eq!(memory.out.len(), length);
    Ok((memory.out, memory.difference.len()))
}

fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// An image of functions of 300 bytes, each of which calls every 37th, with `more` bytes in
/// front of the one in the middle.
fn calls(count: usize, more: usize, call: impl Fn(i64, &mut Vec<u8>)) -> Vec<u8> {
    let start = |function: usize| function * 300 + if function >= count / 2 { more } else { 0 };
    let mut image = Vec::new();
    for function in 0..count {
        if function == count / 2 {
            image.resize(image.len() + more, 0x90);
        }
        for callee in (function % 37..count).step_by(37).take(20) {
            call(start(callee) as i64 - image.len() as i64, &mut image);
            image.extend_from_slice(&[0x11, 0x22, 0x33, 0x44]);
        }
        image.resize(start(function) + 300, function as u8 & 0x7f);
    }
    image
}

fn call_x86(distance: i64, image: &mut Vec<u8>) {
    image.push(0xe8);
    image.extend_from_slice(&((distance - 5) as i32).to_le_bytes());
}

fn call_aarch64(distance: i64, image: &mut Vec<u8>) {
    let word = 0x9400_0000 | (distance >> 2) as u32 & 0x03ff_ffff;
    image.extend_from_slice(&word.to_le_bytes());
}

/// Where `more` bytes were inserted in the middle of an image of `count` functions.
fn two_copies(count: usize, more: usize) -> [Copy; 2] {
    let half = (count / 2 * 300) as u32;
    let rest = (count * 300) as u32 - half;
    [
        Copy { insert: 0, base: 0, length: half },
        Copy { insert: more as u32, base: half, length: rest },
    ]
}

#[test]
fn code_that_only_moved_needs_no_corrections() {
    for (kind, count) in [(Kind::X86, 700), (Kind::Aarch64, 700)] {
        let call = if kind == Kind::X86 { call_x86 } else { call_aarch64 };
        let (base, new) = (calls(count, 0, call), calls(count, 64, call));
        let ranges = [Range { kind, start: 0, end: base.len() as u32 }];
        let copies = two_copies(count, 64);
        let difference = make(&base, &new, &ranges, &copies);
        assert_eq!(applied(&base, &difference, new.len()), Ok((new.clone(), 0)), "{kind:?}");
        assert!(difference.len() < 64 + 40, "{kind:?}, {count}: {} bytes", difference.len());
        let plain = make(&base, &new, &[], &copies);
        assert_eq!(applied(&base, &plain, new.len()), Ok((new, 0)));
        assert!(plain.len() > difference.len(), "{kind:?}: {} bytes", plain.len());
    }
}

#[test]
fn a_table_of_places_moves_with_them() {
    let code = noise(4000, 1);
    let table = |shift: u32| -> Vec<u8> {
        let places = (0..400).map(|index| index * 10);
        places.flat_map(|at: u32| (at + if at >= 2000 { shift } else { 0 }).to_le_bytes()).collect()
    };
    let base = [&code[..], &table(0)].concat();
    let new = [&code[..2000], &[9; 12], &code[2000..], &table(12)].concat();
    let ranges = [Range { kind: Kind::Table(0, 0), start: 4000, end: 5600 }];
    let copies =
        [Copy { insert: 0, base: 0, length: 2000 }, Copy { insert: 12, base: 2000, length: 3600 }];
    let difference = make(&base, &new, &ranges, &copies);
    assert_eq!(applied(&base, &difference, new.len()), Ok((new, 0)));
    assert!(difference.len() < 50, "{} bytes", difference.len());
}

#[test]
fn whatever_the_copies_and_ranges_are_the_new_image_comes_out() {
    // Noise is full of what looks like calls.
    for seed in 0..40 {
        let base = noise(150_000, seed);
        let mut new = noise(2000, seed + 100);
        let mut copies = Vec::new();
        let picks = noise(120, seed + 200);
        let mut covered = 0;
        for pick in picks.chunks_exact(3) {
            let start = usize::from(pick[0]) * 400 + usize::from(pick[1]);
            let length = 1 + usize::from(pick[1]) * usize::from(pick[2]) % 40_000;
            let insert = new.len() - covered;
            let mut bytes = base[start..start + length].to_vec();
            bytes.iter_mut().step_by(977).for_each(|byte| *byte = byte.wrapping_add(pick[2]));
            new.extend_from_slice(&bytes);
            covered = new.len();
            copies.push(Copy { insert: insert as u32, base: start as u32, length: length as u32 });
            new.extend_from_slice(&noise(usize::from(pick[2] % 5), seed));
        }
        let ranges = [
            Range { kind: Kind::X86, start: 3, end: 70_001 },
            Range { kind: Kind::Table(5, 3), start: 70_001, end: 90_000 },
            Range { kind: Kind::Aarch64, start: 90_002, end: 140_000 },
        ];
        let difference = make(&base, &new, &ranges, &copies);
        assert_eq!(applied(&base, &difference, new.len()), Ok((new, 0)), "{seed}");
    }
}

#[test]
fn every_truncation_is_noticed() {
    let (base, new) = (calls(4, 0, call_x86), calls(4, 20, call_x86));
    let ranges = [Range { kind: Kind::X86, start: 0, end: base.len() as u32 }];
    let difference = make(&base, &new, &ranges, &two_copies(4, 20));
    for length in 0..difference.len() {
        assert_eq!(applied(&base, &difference[..length], new.len()), Err(Wrong::Ended), "{length}");
    }
    for length in [0, new.len() - 1, new.len() + 1, u32::MAX as usize + 1] {
        let refused = applied(&base, &difference, length);
        assert_eq!(refused, Err(Wrong::Script(ScriptError::Length)), "{length}");
    }
}

#[test]
fn what_is_no_difference_is_refused() {
    let base = [7; 10];
    let far = [0xff, 0xff, 0xff, 0xff, 0x0f];
    for (difference, error) in [
        (&[17][..], ScriptError::Count(17)),
        (&[0, 0x81, 0x80, 0x10], ScriptError::Count((1 << 18) + 1)),
        (&[0x80, 0x00], ScriptError::Number),
        (&[0x80, 0x80, 0x80, 0x80, 0x80], ScriptError::Number),
        (&[0x80, 0x80, 0x80, 0x80, 0x10], ScriptError::Number),
        (&[1, 4, 0, 10], ScriptError::Range),
        (&[1, 1, 0, 11], ScriptError::BeyondBase),
        (&[2, 1, 0, 10, 1, 9, 1], ScriptError::Range),
        (&[0, 1, 0, 0, 0, 0], ScriptError::BeyondBase),
        (&[0, 1, 0, 11, 0, 0], ScriptError::BeyondBase),
        (&[0, 1, 0, 10, 1, 0], ScriptError::BeyondBase),
        (&[0, 1, 0, 10, 2, 0], ScriptError::BeyondBase),
        (&[0, 1, 0, 9, 0, 0], ScriptError::Length),
        (&[0, 1, 0, 10, 0, 1], ScriptError::Length),
        (&[0, 1, 0, 10, 0, 0, 1, 10, 1], ScriptError::Correction),
        (&[0, 1, 0, 10, 0, 0, 1, 9, 0], ScriptError::Correction),
        (&[0, 1, 0, 10, 0, 0, 2, 9, 1, 0, 1], ScriptError::Correction),
    ] {
        let refused = applied(&base, difference, 10);
        assert_eq!(refused, Err(Wrong::Script(error)), "{difference:?}");
    }
    for insert in [&[0, 1][..], &[0, 0]] {
        let refused = applied(&base, &[insert, &far[..], &[1, 0, 0]].concat(), 10);
        assert!(matches!(refused, Err(Wrong::Script(_))), "{refused:?}");
    }
    assert_eq!(applied(&base, &[0, 1, 0, 10, 0, 0, 1, 9, 1], 10).unwrap().0[9], 8);
}
