//! The entries of a directory: `fd_readdir`.
//!
//! A cookie is a small number that stands for the kernel's own position in the directory.
//! Numbers are given out as entries are met, from 1 on, so that they fit the 31 bits that C
//! libraries keep of them, whatever the filesystem's positions look like. While a guest goes
//! on, each number keeps its meaning, and what is removed or added meanwhile moves no other
//! entry. A guest that begins anew (cookie 0) sees what is there now, and numbers begin anew
//! with it.
//!
//! The entries that one system call gave are kept with the descriptor: a guest whose buffer
//! is smaller goes on with those, and does not send the kernel back, which on some
//! filesystems would lose entries when others are removed meanwhile. By rule
//! (`determinism.rs`) the whole directory is read when it is begun, and sorted.
//!
//! Assumes that the filesystem lists `.` and `..`, as every one does that the kernel has.
//! Guarantees that each entry is given once if the directory does not change, that a number
//! behind the last entry gives none, that what is held for it is counted (`holding.rs`), and
//! that work that grows with the directory is paid for while it is done. Names are given as
//! they are, also those that are no UTF-8.

use crate::host::Host;
use crate::host::determinism::Clockwork;
use crate::host::errno::{Errno, Outcome};
use crate::host::holding::Holding;
use crate::host::memory::{Bytes, GuestMemory, Pointer};
use crate::host::preview1::types::{DirectoryEntry, FileType};
use crate::host::price::Purse;
use crate::host::table::Directory;
use cap_std::fs::{Dir, File, OpenOptions};
use rustix::fs::{RawDir, SeekFrom};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::mem::MaybeUninit;

/// How many bytes of entries one system call gives: as many as the guest's buffer has, and
/// within these.
const BATCH_BYTES_MIN: usize = 1 << 10;
const BATCH_BYTES_MAX: usize = 8 << 10;

/// Where reading a directory stands.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The directory, opened for reading it.
    reader: File,
    /// The device it is on.
    device: u64,
    places: Places,
    /// The number of the place where `batch` begins.
    start: u64,
    /// What the last system call gave, or all there is. Empty at the end of the directory.
    batch: Batch,
    /// Whether `batch` is the whole directory, sorted; a number is then an index.
    whole: bool,
    /// The number at which the guest's last call ended.
    resume: u64,
    /// The highest number that the guest was told of, or was led past.
    passed: u64,
}

/// Entries, in order.
#[derive(Debug, Default)]
struct Batch {
    entries: Vec<Entry>,
    /// Their names, one behind the other.
    names: Vec<u8>,
}

/// One entry, and the number of the place behind it.
#[derive(Debug)]
struct Entry {
    next: u64,
    inode: u64,
    name: u32,
    name_length: u16,
    kind: FileType,
}

/// The kernel's positions, and the numbers that stand for them. 0 is the start.
#[derive(Debug, Default)]
struct Places {
    positions: Vec<u64>,
    numbers: BTreeMap<u64, u64>,
}

/// What reading a directory takes.
struct Means<'a> {
    purse: &'a mut Purse,
    holding: &'a mut Holding,
    by_rule: bool,
    batch_bytes: usize,
}

/// Writes entries from `cookie` on to `buffer`, the last cut off where it ends.
/// Fewer bytes than the buffer holds mean that there are no more entries.
pub(crate) fn fd_readdir(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    buffer: Bytes,
    cookie: u64,
    result: Pointer,
) -> Outcome<()> {
    let Host { table, clockwork, purse, holding, .. } = host;
    let directory = table.directory_mut(descriptor)?;
    memory.check_u32(result)?;
    let mut rest = memory.bytes_mut(buffer)?;
    let mut means = Means {
        purse,
        holding,
        by_rule: clockwork.is_some(),
        batch_bytes: (buffer.length() as usize).clamp(BATCH_BYTES_MIN, BATCH_BYTES_MAX),
    };
    let listing = directory.listing(cookie, &mut means)?;
    let mut index = listing.find(cookie, &mut means)?;
    listing.resume = cookie;
    let mut written = 0;
    while !rest.is_empty() && listing.reach(&mut index, &mut means)? {
        let Some(entry) = listing.batch.entries.get(index) else { break };
        let name = entry.name(&listing.batch.names);
        let head = entry.head(name, listing.device, clockwork.as_mut(), means.holding)?;
        let moved = append(&mut rest, &head) + append(&mut rest, name);
        means.purse.owe_listed(moved);
        written += moved;
        listing.passed = listing.passed.max(entry.next);
        if moved == head.len() + name.len() {
            listing.resume = entry.next;
        }
        index += 1;
    }
    memory.write_size(result, written)
}

/// Moves as much of `bytes` as fits to the front of `rest`, and cuts it off there.
fn append(rest: &mut &mut [u8], bytes: &[u8]) -> usize {
    let length = bytes.len().min(rest.len());
    let (place, tail) = std::mem::take(rest).split_at_mut(length);
    place.copy_from_slice(bytes.get(..length).unwrap_or_default());
    *rest = tail;
    length
}

impl Directory {
    /// The listing, opened if it is not, and begun anew if `cookie` is the first.
    fn listing(&mut self, cookie: u64, means: &mut Means<'_>) -> Outcome<&mut Listing> {
        let resumes = self.listing.as_ref().is_some_and(|listing| listing.resume == cookie);
        if cookie == 0 || !resumes {
            means.purse.owe_jump();
        }
        let known = self.listing.take();
        let is_new = known.is_none();
        let mut listing = match known {
            Some(listing) => listing,
            None => Listing::open(&self.dir)?,
        };
        if (is_new || cookie == 0)
            && let Err(error) = listing.begin(means)
        {
            means.holding.give_back(listing.held_bytes());
            return Err(error);
        }
        Ok(self.listing.insert(listing))
    }
}

impl Listing {
    /// Opens a directory once more: a granted one may be a mere path to it, and a
    /// position of its own disturbs nobody.
    fn open(dir: &Dir) -> Outcome<Self> {
        let reader = dir.open_with(".", OpenOptions::new().read(true))?;
        Ok(Listing {
            device: rustix::fs::fstat(&reader)?.st_dev,
            reader,
            places: Places::default(),
            start: 0,
            batch: Batch::default(),
            whole: false,
            resume: 0,
            passed: 0,
        })
    }

    /// Bytes that are held for it.
    pub(crate) fn held_bytes(&self) -> u64 {
        let entries = self.batch.entries.capacity() * size_of::<Entry>();
        (entries + self.batch.names.capacity()) as u64 + self.places.held_bytes()
    }

    /// Begins anew. By rule: reads all there is, and sorts it by name.
    fn begin(&mut self, means: &mut Means<'_>) -> Outcome<()> {
        means.holding.give_back(self.places.held_bytes());
        self.places = Places::default();
        (self.start, self.passed) = (0, 0);
        self.whole = means.by_rule;
        self.seek(0)?;
        if !self.whole {
            return self.fill(means);
        }
        self.batch.clear();
        means.batch_bytes = BATCH_BYTES_MAX;
        loop {
            let known = self.batch.entries.len();
            self.read(means)?;
            let added = self.batch.entries.get(known..).unwrap_or_default();
            if added.is_empty() {
                break;
            }
            for entry in added {
                means.purse.pay_sorted(entry.bytes())?;
            }
        }
        let names = &self.batch.names;
        self.batch.entries.sort_unstable_by(|one, other| one.compare(other, names));
        for (next, entry) in (1..).zip(&mut self.batch.entries) {
            entry.next = next;
        }
        Ok(())
    }

    /// Where in the batch the entry behind the place of this number is. Reads on, or goes
    /// back, if it is elsewhere.
    fn find(&mut self, cookie: u64, means: &mut Means<'_>) -> Outcome<usize> {
        if let Some(index) = self.index_of(cookie) {
            return Ok(index);
        }
        if let Some(position) = self.places.position(cookie) {
            self.seek(position)?;
            self.start = cookie;
            self.fill(means)?;
            return Ok(0);
        }
        self.walk(cookie, means)
    }

    /// Reads on from the last place that has a number until there is one of this number, or
    /// no more entries: the guest was told of it before it began anew, or made it up.
    fn walk(&mut self, cookie: u64, means: &mut Means<'_>) -> Outcome<usize> {
        self.start = self.places.last();
        self.seek(self.places.position(self.start).unwrap_or(0))?;
        loop {
            self.fill(means)?;
            if let Some(index) = self.index_of(cookie) {
                self.pass(index, means)?;
                return Ok(index);
            }
            self.pass(usize::MAX, means)?;
            let Some(last) = self.batch.entries.last() else { return Ok(0) };
            self.start = last.next;
        }
    }

    /// Pays for the first `count` entries at hand, as far as the guest has not yet.
    fn pass(&mut self, count: usize, means: &mut Means<'_>) -> Outcome<()> {
        for entry in self.batch.entries.iter().take(count) {
            if entry.next > self.passed {
                self.passed = entry.next;
                means.purse.pay_passed(entry.bytes())?;
            }
        }
        Ok(())
    }

    /// Whether there is an entry at `index`; reads on if the batch ends there.
    fn reach(&mut self, index: &mut usize, means: &mut Means<'_>) -> Outcome<bool> {
        if *index >= self.batch.entries.len()
            && !self.whole
            && let Some(last) = self.batch.entries.last()
        {
            self.start = last.next;
            self.fill(means)?;
            *index = 0;
        }
        Ok(*index < self.batch.entries.len())
    }

    /// Where among the entries at hand the place of a number is, if it is there.
    fn index_of(&self, cookie: u64) -> Option<usize> {
        if self.whole {
            return Some(usize::try_from(cookie).unwrap_or(usize::MAX));
        }
        if cookie == self.start {
            return Some(0);
        }
        let before = self.batch.entries.iter().position(|entry| entry.next == cookie)?;
        Some(before + 1)
    }

    fn seek(&self, position: u64) -> Outcome<()> {
        rustix::fs::seek(&self.reader, SeekFrom::Start(position))?;
        Ok(())
    }

    /// Asks the kernel for the entries from where its position is.
    fn fill(&mut self, means: &mut Means<'_>) -> Outcome<()> {
        self.batch.clear();
        let outcome = self.read(means);
        if outcome.is_err() {
            // The kernel may have gone on: no number is where this batch begins.
            self.batch.clear();
            self.start = u64::MAX;
        }
        outcome
    }

    /// Adds to the batch what one system call gives.
    fn read(&mut self, means: &mut Means<'_>) -> Outcome<()> {
        let mut buffer = [MaybeUninit::uninit(); BATCH_BYTES_MAX];
        let (buffer, _) = buffer.split_at_mut(means.batch_bytes.min(BATCH_BYTES_MAX));
        let mut entries = RawDir::new(&self.reader, buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let next = match self.whole {
                true => 0,
                false => self.places.number(entry.next_entry_cookie(), means.holding)?,
            };
            let kind = entry.file_type().into();
            let name = entry.file_name().to_bytes();
            self.batch.push(next, entry.ino(), kind, name, means.holding)?;
            if entries.is_buffer_empty() {
                break;
            }
        }
        Ok(())
    }
}

impl Batch {
    fn clear(&mut self) {
        self.entries.clear();
        self.names.clear();
    }

    fn push(
        &mut self,
        next: u64,
        inode: u64,
        kind: FileType,
        name: &[u8],
        holding: &mut Holding,
    ) -> Outcome<()> {
        holding.grow(&mut self.entries, 1)?;
        holding.grow(&mut self.names, name.len())?;
        let name_length = u16::try_from(name.len()).map_err(|_| Errno::Overflow)?;
        let place = u32::try_from(self.names.len()).map_err(|_| Errno::Overflow)?;
        self.names.extend_from_slice(name);
        self.entries.push(Entry { next, inode, name: place, name_length, kind });
        Ok(())
    }
}

impl Places {
    /// What one place takes: its position, and its part of a tree, half empty.
    const BYTES: u64 = 64;

    fn held_bytes(&self) -> u64 {
        self.positions.len() as u64 * Self::BYTES
    }

    /// The highest number.
    fn last(&self) -> u64 {
        self.positions.len() as u64
    }

    /// The position that a number stands for.
    fn position(&self, number: u64) -> Option<u64> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.positions.get(index).copied()
    }

    /// The number of a position: a new one if it has none.
    fn number(&mut self, position: u64, holding: &mut Holding) -> Outcome<u64> {
        if let Some(number) = self.numbers.get(&position) {
            return Ok(*number);
        }
        let number = self.last() + 1;
        // More than C libraries keep.
        i32::try_from(number).map_err(|_| Errno::Overflow)?;
        holding.take(Self::BYTES)?;
        self.positions.push(position);
        self.numbers.insert(position, number);
        Ok(number)
    }
}

impl Entry {
    /// How long its record is, its name included.
    fn bytes(&self) -> usize {
        DirectoryEntry::SIZE + usize::from(self.name_length)
    }

    fn name<'a>(&self, names: &'a [u8]) -> &'a [u8] {
        let start = self.name as usize;
        names.get(start..start + usize::from(self.name_length)).unwrap_or_default()
    }

    /// Which of two comes first in a sorted listing.
    fn compare(&self, other: &Self, names: &[u8]) -> Ordering {
        self.name(names).cmp(other.name(names))
    }

    /// The record before the name. The parent of a granted directory is none of
    /// the guest's business: its inode is given as 0, which means unknown.
    fn head(
        &self,
        name: &[u8],
        device: u64,
        clockwork: Option<&mut Clockwork>,
        holding: &mut Holding,
    ) -> Outcome<[u8; DirectoryEntry::SIZE]> {
        let inode = match clockwork {
            _ if name == b".." => 0,
            Some(clockwork) => clockwork.number(device, self.inode, holding)?,
            None => self.inode,
        };
        let name_length = self.name_length.into();
        Ok(DirectoryEntry { next: self.next, inode, name_length, kind: self.kind }.encode())
    }
}
