//! The entries of a directory: `fd_readdir`.
//!
//! A cookie is the kernel's own position in the directory, so that a guest can
//! come back to any, and nothing grows with the directory. The entries one system
//! call gave are kept with the descriptor: a guest whose buffer is smaller goes
//! on with those, and does not send the kernel back, which on some filesystems
//! would lose entries when others are removed meanwhile.
//!
//! Assumes that the filesystem lists `.` and `..`, as every one does that the
//! kernel has. Guarantees that each entry is given once if the directory does not
//! change. Names are given as they are, also those that are no UTF-8.

use crate::host::Host;
use crate::host::determinism::Clockwork;
use crate::host::errno::{Errno, Outcome};
use crate::host::memory::GuestMemory;
use crate::host::table::Directory;
use crate::host::types::{DirectoryEntry, FileType};
use bls_artifact::limits::LISTING_ENTRIES_MAX;
use cap_std::fs::{Dir, File, OpenOptions};
use rustix::fs::{RawDir, SeekFrom};
use std::mem::MaybeUninit;

/// How many bytes of entries one system call gives.
const LISTING_BYTES: usize = 8 << 10;

/// Where reading a directory stands.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The directory, opened for reading it.
    reader: File,
    /// The cookie of the first of `entries`.
    start: u64,
    /// What the last system call gave, or all there is. Empty at the end of the
    /// directory.
    entries: Vec<Entry>,
    /// Whether `entries` is the whole directory, sorted; a cookie is then an index.
    whole: bool,
}

/// One entry, and the cookie of the one after it.
#[derive(Debug)]
struct Entry {
    next: u64,
    inode: u64,
    kind: FileType,
    name: Box<[u8]>,
}

/// Writes entries from `cookie` on to `buffer`, the last cut off where it ends.
/// Fewer bytes than the buffer holds mean that there are no more entries.
pub(crate) fn fd_readdir(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    descriptor: u32,
    buffer: u32,
    buffer_length: u32,
    cookie: u64,
    result: u32,
) -> Outcome<()> {
    let directory = host.table.directory_mut(descriptor)?;
    let listing = directory.listing(cookie, host.clockwork.as_mut())?;
    let mut rest = memory.bytes_mut(buffer, buffer_length)?;
    let mut written = 0;
    let mut cookie = cookie;
    while !rest.is_empty() {
        let entries = listing.entries_from(cookie)?;
        let Some(last) = entries.last() else { break };
        cookie = last.next;
        for entry in entries {
            written += append(&mut rest, &entry.head()?);
            written += append(&mut rest, &entry.name);
        }
    }
    host.pay_listing(written);
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
    /// The listing, opened if it is not, and rewound if `cookie` is the first.
    fn listing(&mut self, cookie: u64, clockwork: Option<&mut Clockwork>) -> Outcome<&mut Listing> {
        let listing = match self.listing.take() {
            Some(listing) if cookie != 0 => listing,
            // From the start a guest wants to see what is there now.
            known => {
                let mut listing = match known {
                    Some(mut listing) => {
                        listing.seek(0)?;
                        listing
                    }
                    None => Listing::open(&self.dir)?,
                };
                if let Some(clockwork) = clockwork {
                    listing.read_whole(clockwork)?;
                }
                listing
            }
        };
        Ok(self.listing.insert(listing))
    }
}

impl Listing {
    /// Opens a directory once more: a granted one may be a mere path to it, and a
    /// position of its own disturbs nobody.
    fn open(dir: &Dir) -> Outcome<Self> {
        let mut listing = Listing {
            reader: dir.open_with(".", OpenOptions::new().read(true))?,
            start: 0,
            entries: Vec::new(),
            whole: false,
        };
        listing.fill()?;
        Ok(listing)
    }

    /// Reads all there is, sorts it by name and numbers it by rule.
    fn read_whole(&mut self, clockwork: &mut Clockwork) -> Outcome<()> {
        let mut all = Vec::new();
        while !self.entries.is_empty() {
            all.append(&mut self.entries);
            if all.len() > LISTING_ENTRIES_MAX {
                return Err(Errno::Overflow.into());
            }
            self.fill()?;
        }
        all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let device = rustix::fs::fstat(&self.reader)?.st_dev;
        for (next, entry) in (1..).zip(&mut all) {
            entry.next = next;
            if &*entry.name != b".." {
                entry.inode = clockwork.number(device, entry.inode);
            }
        }
        self.entries = all;
        self.whole = true;
        Ok(())
    }

    /// The entries at hand from `cookie` on; none if the directory ends there.
    fn entries_from(&mut self, cookie: u64) -> Outcome<&[Entry]> {
        if self.whole {
            let index = usize::try_from(cookie).unwrap_or(usize::MAX);
            return Ok(self.entries.get(index..).unwrap_or_default());
        }
        let Some(index) = self.index_of(cookie) else {
            self.seek(cookie)?;
            return Ok(&self.entries);
        };
        if index == self.entries.len() && index > 0 {
            self.start = cookie;
            self.fill()?;
            return Ok(&self.entries);
        }
        Ok(self.entries.get(index..).unwrap_or_default())
    }

    /// Where among the entries at hand `cookie` is, if it is there.
    fn index_of(&self, cookie: u64) -> Option<usize> {
        if cookie == self.start {
            return Some(0);
        }
        let before = self.entries.iter().position(|entry| entry.next == cookie)?;
        Some(before + 1)
    }

    /// Goes to `cookie`, which the kernel judges.
    fn seek(&mut self, cookie: u64) -> Outcome<()> {
        // The kernel would take what is beyond its range for a step backwards.
        i64::try_from(cookie).map_err(|_| Errno::Inval)?;
        rustix::fs::seek(&self.reader, SeekFrom::Start(cookie))?;
        self.start = cookie;
        self.whole = false;
        self.fill()
    }

    /// Asks the kernel for more entries, once.
    fn fill(&mut self) -> Outcome<()> {
        self.entries.clear();
        let mut buffer = [MaybeUninit::uninit(); LISTING_BYTES];
        let mut entries = RawDir::new(&self.reader, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            self.entries.push(Entry {
                next: entry.next_entry_cookie(),
                inode: entry.ino(),
                kind: entry.file_type().into(),
                name: entry.file_name().to_bytes().into(),
            });
            if entries.is_buffer_empty() {
                break;
            }
        }
        Ok(())
    }
}

impl Entry {
    /// The record before the name. The parent of a granted directory is none of
    /// the guest's business: its inode is given as 0, which means unknown.
    fn head(&self) -> Outcome<[u8; 24]> {
        let head = DirectoryEntry {
            next: self.next,
            inode: if &*self.name == b".." { 0 } else { self.inode },
            name_length: u32::try_from(self.name.len()).map_err(|_| Errno::Overflow)?,
            kind: self.kind,
        };
        Ok(head.encode())
    }
}
