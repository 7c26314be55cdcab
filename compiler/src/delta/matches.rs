//! What two images have in common, as copies: bsdiff's search (Percival 2003).
//!
//! ```text
//! base  AAAAxBBBB....CCCC      A and B are one copy with one byte to correct, for it goes on
//! new   AAAAyBBBBzCCCC         well enough; C is another, and z is inserted
//! ```
//!
//! The longest match at each place of the new image is found in the sorted suffixes of the base. A
//! copy goes on over bytes that differ as long as more of them are alike, and ends where another
//! place of the base fits better by some bytes. Guarantees copies in the order of the new image,
//! none empty, within both images. Works for images below 2³¹ bytes; of longer ones it finds
//! nothing.

use bls_artifact::delta::script::Copy;

/// Bytes of the new image that are looked for at a time: a longer match goes on by itself, and
/// a run of zeros costs no more than its length.
const NEEDLE_MAX: usize = 4096;

/// A base and its suffixes, sorted.
pub(super) struct Places<'a> {
    base: &'a [u8],
    sorted: Vec<i32>,
}

impl<'a> Places<'a> {
    pub(super) fn of(base: &'a [u8]) -> Self {
        let length = if i32::try_from(base.len()).is_ok() { base.len() } else { 0 };
        let mut sorted = vec![0; length];
        divsufsort::sort_in_place(&base[..length], &mut sorted);
        Self { base, sorted }
    }

    /// Where the longest beginning of `needle` is, and how long that is.
    fn longest(&self, needle: &[u8]) -> (usize, usize) {
        let suffix = |index: usize| &self.base[self.sorted[index] as usize..];
        let common = |suffix: &[u8], from: usize| {
            let pairs = suffix[from..].iter().zip(&needle[from..]);
            from + pairs.take_while(|(one, other)| one == other).count()
        };
        let (mut low, mut high) = (0, self.sorted.len() - 1);
        let (mut in_low, mut in_high) = (common(suffix(low), 0), common(suffix(high), 0));
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            // All between two suffixes begin with what these have in common.
            let alike = common(suffix(middle), in_low.min(in_high));
            if needle.get(alike..).unwrap_or_default() > &suffix(middle)[alike..] {
                (low, in_low) = (middle, alike);
            } else {
                (high, in_high) = (middle, alike);
            }
        }
        let (index, length) = if in_low > in_high { (low, in_low) } else { (high, in_high) };
        (self.sorted[index] as usize, length)
    }

    /// What `new` has of the base. A copy is ended where another place fits by more than
    /// `better_by` bytes better.
    pub(super) fn copies(&self, new: &[u8], better_by: usize) -> Vec<Copy> {
        let mut found = Found { base: self.base, new, copies: Vec::new(), covered: 0 };
        if self.sorted.is_empty() || u32::try_from(new.len()).is_err() {
            return found.copies;
        }
        // The copy that is being made begins so; behind it lies the place that was found last.
        let mut last = Alignment { base: 0, new: 0 };
        let (mut scan, mut length, mut place) = (0, 0, 0);
        while scan < new.len() {
            // How many bytes of the match the copy so far would have alike if it went on.
            let mut alike = 0;
            scan += length;
            let mut counted = scan;
            while scan < new.len() {
                let end = new.len().min(scan + NEEDLE_MAX);
                (place, length) = self.longest(&new[scan..end]);
                while counted < scan + length {
                    alike += usize::from(found.is_alike(last, counted));
                    counted += 1;
                }
                if (length == alike && length != 0) || length > alike + better_by {
                    break;
                }
                alike -= usize::from(counted > scan && found.is_alike(last, scan));
                scan += 1;
                counted = counted.max(scan);
            }
            if length != alike || scan == new.len() {
                last = found.end(last, Alignment { base: place, new: scan });
            }
        }
        found.copies
    }
}

/// A place in the new image, and one in the base that is like it.
#[derive(Clone, Copy)]
struct Alignment {
    base: usize,
    new: usize,
}

struct Found<'a> {
    base: &'a [u8],
    new: &'a [u8],
    copies: Vec<Copy>,
    /// Bytes of the new image that copies and what is between them cover.
    covered: usize,
}

impl Found<'_> {
    /// Whether a byte of the new image is what an alignment has for it.
    fn is_alike(&self, alignment: Alignment, new: usize) -> bool {
        let base = (new + alignment.base).checked_sub(alignment.new);
        base.and_then(|base| self.base.get(base)) == Some(&self.new[new])
    }

    /// Ends the copy of `last` somewhere before `next`, and gives where the next one begins.
    fn end(&mut self, last: Alignment, next: Alignment) -> Alignment {
        let room = (next.new - last.new).min(self.base.len() - last.base);
        let forward =
            (0..room).map(|step| self.base[last.base + step] == self.new[last.new + step]);
        let mut forward = best(forward);
        // Behind the end there is no next one to be drawn forward.
        let room = if next.new < self.new.len() { next.base.min(next.new - last.new) } else { 0 };
        let backward =
            (1..=room).map(|step| self.base[next.base - step] == self.new[next.new - step]);
        let mut backward = best(backward);
        // Where both want the same bytes, each gets those that fit it better.
        if let Some(shared) = (last.new + forward + backward).checked_sub(next.new) {
            let (from, back) = (forward - shared, backward);
            let (mut score, mut highest, mut kept) = (0_isize, 0, 0);
            for step in 0..shared {
                let byte = self.new[last.new + from + step];
                score += isize::from(self.base[last.base + from + step] == byte);
                score -= isize::from(self.base[next.base - back + step] == byte);
                if score > highest {
                    (highest, kept) = (score, step + 1);
                }
            }
            forward = from + kept;
            backward -= kept;
        }
        if forward > 0 {
            let insert = (last.new - self.covered) as u32;
            self.copies.push(Copy { insert, base: last.base as u32, length: forward as u32 });
            self.covered = last.new + forward;
        }
        Alignment { base: next.base - backward, new: next.new - backward }
    }
}

/// How many of these to take so that most more are alike than differ.
fn best(alike: impl Iterator<Item = bool>) -> usize {
    let (mut score, mut highest, mut best) = (0_isize, 0, 0);
    for (step, is_alike) in alike.enumerate() {
        score += if is_alike { 1 } else { -1 };
        if score > highest {
            (highest, best) = (score, step + 1);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copies(base: &[u8], new: &[u8]) -> Vec<(u32, u32, u32)> {
        let found = Places::of(base).copies(new, 8);
        let sum: u64 =
            found.iter().map(|copy| u64::from(copy.insert) + u64::from(copy.length)).sum();
        assert!(sum <= new.len() as u64);
        for copy in &found {
            assert!(copy.length > 0 && (copy.base + copy.length) as usize <= base.len());
        }
        found.iter().map(|copy| (copy.insert, copy.base, copy.length)).collect()
    }

    /// Letters in an order in which no sixteen come again.
    fn letters(count: usize, seed: u32) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + (state >> 24) as u8 % 26
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn an_insertion_makes_two_copies() {
        let base = letters(2000, 1);
        let new = [&base[..1000], b"0123456789", &base[1000..]].concat();
        assert_eq!(copies(&base, &new), [(0, 0, 1000), (10, 1000, 1000)]);
    }

    #[test]
    fn a_byte_that_differs_ends_no_copy() {
        let base = letters(2000, 2);
        let mut new = base.clone();
        new[700] = b'0';
        assert_eq!(copies(&base, &new), [(0, 0, 2000)]);
    }

    #[test]
    fn nothing_in_common_is_no_copy_and_all_is_one() {
        assert_eq!(copies(b"aaaa", b"0000"), []);
        assert_eq!(copies(b"", b"0000"), []);
        assert_eq!(copies(b"aaaa", b""), []);
        let base = letters(3000, 3);
        assert_eq!(copies(&base, &base), [(0, 0, 3000)]);
        // Zeros have no one place where they are.
        let zeros = vec![0; 100_000];
        let _ = copies(&zeros, &zeros[..70_000]);
        let _ = copies(&zeros[..70_000], &[&letters(10, 4)[..], &zeros].concat());
    }

    #[test]
    fn what_moved_is_found() {
        let (one, other) = (letters(1000, 5), letters(1000, 6));
        let found = copies(&[&one[..], &other].concat(), &[&other[..], &one].concat());
        assert_eq!(found, [(0, 1000, 1000), (0, 0, 1000)]);
    }
}
