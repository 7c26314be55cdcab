//! What must hold of deltas of any bytes.
//!
//! The fuzz target `delta`: the first byte says what the others are. A file (as it is, and once
//! more with a header that fits the two releases here); the content of a difference, which zstd
//! would hide from a fuzzer; two images; copies and ranges of a base. Guarantees, as far as it does
//! not panic: what is read is written again to the same bytes; nothing is read outside the base, and
//! nothing made beyond the signed length; what the loader makes is an image that the builder signed,
//! or nothing; it makes the same of a difference as the decoder alone; and what the compiler makes
//! of two images gives the second one. Judges no store: `installs` and `install_faults` do.

use crate::installs::releases::{key, part, template, trust};
use bls_artifact::artifact;
use bls_artifact::delta::script::{self, Copy, Ends, Kind, Range, ScriptError};
use bls_artifact::delta::{self, DELTA_HEADER_LEN, DELTA_RECORD_LEN, Frame, SIGNATURE_LEN};
use bls_artifact::digest::Sha256;
use bls_artifact::envelope::Envelope;
use bls_artifact::manifest::Statement;
use bls_artifact::target::Target;
use bls_compiler::given::Given;
use bls_loader::delta::{Base, Delta, DeltaError};
use bls_loader::install::Installable as _;
use bls_loader::open::Opened;
use bls_loader::verify::{Criteria, verify_delta};
use std::path::Path;
use std::sync::LazyLock;

/// Whether a delta of these bytes gave an image that could be installed.
pub fn delta(bytes: &[u8]) -> bool {
    let Some((how, rest)) = bytes.split_first() else { return false };
    match how % 4 {
        _ if Target::host().is_none() => false,
        0 => file(rest) | file(&mended(rest)),
        1 => content(rest),
        2 => images(rest),
        _ => copies(rest),
    }
}

/// A release of one image, stored raw.
struct Release {
    image: Vec<u8>,
    envelope: Envelope,
    file: Vec<u8>,
}

impl Release {
    fn new(sequence: u64, image: Vec<u8>) -> Self {
        let mut manifest = template();
        manifest.name = "app".to_owned();
        manifest.sequence = sequence;
        manifest.compiler.compression = None;
        let host = Target::host().expect("a host");
        manifest.parts = vec![part(&manifest.parts[0], host, &image, &image, false)];
        let envelope = Envelope::sign(Statement::new(manifest).to_bytes(), &[&key()]);
        let file = artifact::write(&envelope.to_bytes(), &[&image]);
        Self { image, envelope, file }
    }

    fn opened(&self) -> Opened {
        Opened::from_bytes("base", self.file.clone()).expect("framing of our own")
    }

    fn given(&self) -> Given<'_> {
        Given::parse(&self.file, Path::new("release")).expect("an artifact of our own")
    }
}

/// The release that a fuzzer's deltas begin with, and the one that they lead to.
static PAIR: LazyLock<[Release; 2]> = LazyLock::new(|| {
    // Text that repeats, words that look like calls, and a run of zeros.
    let words = |word: &str| {
        let lines = (0..40_u32).flat_map(|line| {
            let call = [0xe8, line as u8, 0, 0, 0];
            [format!("{word} {line}\n").as_bytes(), &call].concat()
        });
        lines.chain([0; 300]).collect()
    };
    [Release::new(1, words("old")), Release::new(2, words("the new one"))]
});

/// What the loader makes of a delta that begins with this release; everything of it that must
/// hold is held here.
fn applied(delta: &Delta, base: &Release) -> Result<Vec<u8>, String> {
    let trust = trust();
    let text = |error: DeltaError| error.to_string();
    let base = Base::file(base.opened(), delta).map_err(text)?;
    let verified = verify_delta(delta, &base, &Criteria::of(&trust), None);
    let rebuilt = verified.map_err(|error| error.to_string())?;
    let (length, sha256) = {
        let image = &rebuilt.facts().part().image;
        (image.length, image.sha256)
    };
    let mut image = Vec::new();
    let made = rebuilt.read_image(&mut |bytes| {
        image.extend_from_slice(bytes);
        assert!(image.len() as u64 <= length, "more than was signed");
        Ok(())
    });
    made.map_err(|error| error.to_string())?;
    assert_eq!(Sha256::of(&image), sha256, "another image than the signed one");
    Ok(image)
}

fn file(bytes: &[u8]) -> bool {
    let delta =
        match (Frame::parse(bytes, bytes.len() as u64), Delta::from_bytes("input", bytes.to_vec()))
        {
            (Ok(frame), Ok(delta)) => {
                assert_eq!(&frame, delta.frame());
                delta
            }
            (Err(one), Err(DeltaError::Frame(other))) => {
                assert_eq!(one, other);
                return false;
            }
            (one, other) => panic!("{one:?}, and {other:?}"),
        };
    let frame = delta.frame();
    let slice = |range: &std::ops::Range<u64>| &bytes[range.start as usize..range.end as usize];
    let parts = frame.parts.iter();
    let parts = parts.map(|part| (part.part, part.base_part, slice(&part.difference).to_vec()));
    let statement = (frame.statement_length as usize, slice(&frame.statement));
    let parts: Vec<_> = parts.collect();
    let again = delta::write((frame.base, frame.new), statement, &frame.signatures, &parts);
    assert_eq!(again, bytes, "read, and written differently");
    let [old, new] = &*PAIR;
    match applied(&delta, old) {
        Ok(image) => {
            // Nobody signed anything else that begins so.
            assert!(image == new.image || image == old.image);
            true
        }
        Err(_) => false,
    }
}

/// The same bytes with a header that fits the two releases, as far as there is room.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let [old, new] = &*PAIR;
    let one = DELTA_HEADER_LEN + SIGNATURE_LEN + DELTA_RECORD_LEN;
    if bytes.len() < one {
        return bytes;
    }
    // One signature, one part, and what is behind them shared among both differences.
    let (length, all) = (bytes.len() as u64, (bytes.len() - one) as u64);
    let first = u64::from(bytes[DELTA_HEADER_LEN]) * all / 255;
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &delta::MAGIC);
    put(8, &delta::DELTA_VERSION.to_le_bytes());
    put(12, &1_u32.to_le_bytes());
    put(16, &length.to_le_bytes());
    put(24, &old.envelope.identity().0);
    put(56, &new.envelope.identity().0);
    put(88, &(new.envelope.payload().len() as u32).to_le_bytes());
    put(92, &1_u32.to_le_bytes());
    put(96, &first.to_le_bytes());
    let claim = &new.envelope.claims()[0];
    put(DELTA_HEADER_LEN, &claim.key_id.0);
    put(DELTA_HEADER_LEN + 32, claim.signature());
    put(DELTA_HEADER_LEN + SIGNATURE_LEN, &[0; 8]);
    put(DELTA_HEADER_LEN + SIGNATURE_LEN + 8, &(all - first).to_le_bytes());
    bytes
}

/// A difference without its frame, applied here and by the loader.
fn content(difference: &[u8]) -> bool {
    static STATEMENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let [old, new] = &*PAIR;
        let made = bls_compiler::delta::make(&old.given(), &new.given()).expect("a delta");
        let frame = Frame::parse(&made.bytes, made.bytes.len() as u64).expect("a delta of ours");
        made.bytes[frame.statement.start as usize..frame.statement.end as usize].to_vec()
    });
    let [old, new] = &*PAIR;
    let mut memory = Memory { base: &old.image, difference, out: Vec::new(), max: new.image.len() };
    let made = script::apply(&mut memory, old.image.len() as u64, new.image.len() as u64);
    let is_whole = made.is_ok() && memory.difference.is_empty();
    assert!(made.is_err() || memory.out.len() == new.image.len(), "another length");
    let is_new = is_whole && memory.out == new.image;

    let compressed = zstd::bulk::compress(difference, 1).expect("a zstd frame");
    let claim = &new.envelope.claims()[0];
    let bytes = delta::write(
        (old.envelope.identity(), new.envelope.identity()),
        (new.envelope.payload().len(), &STATEMENT),
        &[(claim.key_id, *claim.signature())],
        &[(0, 0, compressed)],
    );
    let delta = Delta::from_bytes("input", bytes).expect("framing of our own");
    match applied(&delta, old) {
        Ok(image) => assert!(is_new && image == new.image, "the loader takes what is not whole"),
        Err(error) => assert!(!is_new, "the loader refuses what is good: {error}"),
    }
    is_whole
}

/// Two images, and what the compiler makes of them.
fn images(bytes: &[u8]) -> bool {
    let Some((split, bytes)) = bytes.split_at_checked(2) else { return false };
    let split = usize::from(split[0]) * 256 + usize::from(split[1]);
    let (from, to) = bytes.split_at(split.min(bytes.len()));
    let [old, new] = [(1, from), (2, to)].map(|(sequence, image)| {
        // A part is never empty.
        Release::new(sequence, [b"code", image].concat())
    });
    let made = bls_compiler::delta::make(&old.given(), &new.given());
    let made = made.unwrap_or_else(|error| panic!("no delta of two good artifacts: {error}"));
    let delta = Delta::from_bytes("input", made.bytes).expect("a delta of ours");
    let image = applied(&delta, &old).unwrap_or_else(|error| panic!("refused: {error}"));
    assert_eq!(image, new.image);
    true
}

/// Copies and ranges of a base that a fuzzer chooses, which must give what they were made for.
fn copies(bytes: &[u8]) -> bool {
    let Some((counts, bytes)) = bytes.split_at_checked(2) else { return false };
    let (ranges, copies) = (usize::from(counts[0] % 4), usize::from(counts[1] % 8));
    let Some((numbers, new)) = bytes.split_at_checked(ranges * 5 + copies * 5) else {
        return false;
    };
    let base = &PAIR[0].image;
    let number = |at: usize| usize::from(numbers[at]) * 256 + usize::from(numbers[at + 1]);
    let mut all_ranges: Vec<Range> = Vec::new();
    let mut last = 0;
    for at in (0..ranges).map(|index| index * 5) {
        let start = last + number(at + 1) % (base.len() - last + 1);
        let end = start + number(at + 3) % (base.len() - start + 1);
        let kind = match numbers[at] % 3 {
            0 => Kind::X86,
            1 => Kind::Aarch64,
            _ => Kind::Table(number(at + 1) as u32, number(at + 3) as u32),
        };
        all_ranges.push(Range { kind, start: start as u32, end: end as u32 });
        last = end;
    }
    let (mut all_copies, mut covered) = (Vec::new(), 0);
    for at in (0..copies).map(|index| ranges * 5 + index * 5) {
        let start = number(at) % base.len();
        let insert = usize::from(numbers[at + 4]).min(new.len().saturating_sub(covered));
        let room = new.len() - covered - insert;
        let length = number(at + 2).min(base.len() - start).min(room);
        if length > 0 {
            let (insert, base, length) = (insert as u32, start as u32, length as u32);
            all_copies.push(Copy { insert, base, length });
            covered += (insert + length) as usize;
        }
    }
    let difference = script::make(base, new, &all_ranges, &all_copies);
    let mut memory = Memory { base, difference: &difference, out: Vec::new(), max: new.len() };
    let made = script::apply(&mut memory, base.len() as u64, new.len() as u64);
    assert_eq!(made, Ok(()), "what was made is refused");
    assert!(memory.out == new && memory.difference.is_empty(), "something else comes out");
    true
}

/// A base, what is left of a difference, and what came out, of which there is a most.
struct Memory<'a> {
    base: &'a [u8],
    difference: &'a [u8],
    out: Vec<u8>,
    max: usize,
}

/// Why it ended early.
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
        // Panics outside of it.
        bytes.copy_from_slice(&self.base[position as usize..][..bytes.len()]);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        self.out.extend_from_slice(bytes);
        assert!(self.out.len() <= self.max, "more than was asked for");
        Ok(())
    }
}

/// The good inputs that a fuzzer begins with, by their names.
#[must_use]
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let [old, new] = &*PAIR;
    let made = bls_compiler::delta::make(&old.given(), &new.given()).expect("a delta").bytes;
    let frame = Frame::parse(&made, made.len() as u64).expect("a delta of ours");
    let difference = &frame.parts[0].difference;
    let difference = &made[difference.start as usize..difference.end as usize];
    let plain = zstd::bulk::decompress(difference, 1 << 20).expect("a zstd frame");
    let all = u32::try_from(old.image.len()).expect("a small image");
    let whole = [Copy { insert: 0, base: 0, length: all }];
    let two = [
        Copy { insert: 3, base: 7, length: 200 },
        Copy { insert: 0, base: all - 300, length: 300 },
    ];
    let ranges = [
        Range { kind: Kind::X86, start: 5, end: 300 },
        Range { kind: Kind::Table(2, 9), start: 300, end: all },
    ];
    let prefix = |how: u8, rest: &[u8]| [&[how], rest].concat();
    let of = |ranges: &[Range], copies: &[Copy]| {
        prefix(1, &script::make(&old.image, &new.image, ranges, copies))
    };
    let split = (old.image.len() as u16).to_be_bytes();
    let numbers = [0, 0, 5, 1, 200, 2, 1, 0, 1, 100];
    let places = [0, 9, 1, 0, 7, 2, 0, 0, 200, 0];
    vec![
        ("file", prefix(0, &made)),
        ("content", prefix(1, &plain)),
        ("content-inserted", of(&[], &[])),
        ("content-one-copy", of(&[], &whole)),
        ("content-moved", of(&ranges, &two)),
        ("images", [&[2], &split[..], &old.image, &new.image].concat()),
        ("images-alike", [&[2, 0, 100], &old.image[..100], &old.image[..100]].concat()),
        ("copies", [&[3, 2, 2], &numbers[..], &places, &new.image].concat()),
        ("copies-none", [&[3, 0, 0], &new.image[..]].concat()),
    ]
}
