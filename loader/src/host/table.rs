//! The guest's descriptors: which number stands for what.
//!
//! Assumes that file descriptors 0, 1 and 2 of the process are open, as they are
//! in every Rust program. Guarantees that a new descriptor takes the lowest free
//! number, and that a guest holds no more than it was granted. Asks the operating
//! system nothing before the guest does.

use crate::host::Preopen;
use crate::host::errno::{Errno, Outcome};
use crate::host::preview1::place::Roots;
use crate::host::preview1::readdir::Listing;
use crate::host::stream::{Direction, Stream, Streams};
use bls_artifact::capability::Capability;
use cap_std::fs::{Dir, File};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::cell::Cell;

/// What a number of the guest stands for.
#[derive(Debug)]
pub(crate) enum Descriptor {
    /// A standard stream.
    Stream(Stream),
    /// An open directory.
    Directory(Directory),
    /// An open file.
    File(OpenFile),
    /// A connection, or a listener.
    Socket(Socket),
    /// A standard stream that was not granted: it cannot be used, and its number is
    /// not given to a file that the guest would take for it.
    Withheld,
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct Directory {
    /// The way into it, which `cap-std` guards.
    pub(crate) dir: Dir,
    /// Its path in the guest's eyes, if it was granted rather than opened.
    pub(crate) guest_path: Option<String>,
    /// Whether nothing in it may be changed.
    pub(crate) read_only: bool,
    /// Where reading its entries stands, once that has begun.
    pub(crate) listing: Option<Listing>,
}

/// An open regular file. The kernel keeps its position and its flags.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    /// Whether nothing in it may be changed.
    pub(crate) read_only: bool,
    /// Whether each write to it waits for the disk.
    pub(crate) synced: bool,
    /// Up to where it has been paid for (`disk.rs`).
    pub(crate) paid_to: Cell<u64>,
}

/// A socket of TCP. The kernel keeps whether it blocks.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) descriptor: OwnedFd,
    /// Whether connections are taken from it; it has no bytes of its own.
    pub(crate) listens: bool,
}

impl Socket {
    /// Lets it block, or not.
    pub(crate) fn set_nonblocking(&self, nonblocking: bool) -> Outcome<()> {
        let flags = fcntl_getfl(&self.descriptor)?;
        let wanted = match nonblocking {
            true => flags | OFlags::NONBLOCK,
            false => flags - OFlags::NONBLOCK,
        };
        if wanted != flags {
            fcntl_setfl(&self.descriptor, wanted)?;
        }
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Descriptor {
    /// Bytes that are held for it beyond what every descriptor takes.
    pub(crate) fn held_bytes(&self) -> u64 {
        match self {
            Self::Directory(Directory { listing: Some(listing), .. }) => listing.held_bytes(),
            _ => 0,
        }
    }
}

impl Directory {
    /// A directory that a guest opened inside another.
    pub(crate) fn opened(dir: Dir, read_only: bool) -> Self {
        Directory { dir, guest_path: None, read_only, listing: None }
    }

    /// `perm` unless things in the directory may be changed.
    pub(crate) fn check_writable(&self) -> Outcome<()> {
        if self.read_only {
            return Err(Errno::Perm.into());
        }
        Ok(())
    }
}

impl OpenFile {
    /// A file that a guest opened, of this size.
    pub(crate) fn new(file: File, read_only: bool, synced: bool, size: u64) -> Self {
        OpenFile { file, read_only, synced, paid_to: Cell::new(size) }
    }

    /// `perm` unless the file may be changed.
    pub(crate) fn check_writable(&self) -> Outcome<()> {
        if self.read_only {
            return Err(Errno::Perm.into());
        }
        Ok(())
    }
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// All descriptors of a guest, by number.
#[derive(Debug)]
pub(crate) struct Table {
    /// What was granted, whatever has become of its numbers.
    pub(crate) roots: Roots,
    slots: Vec<Option<Descriptor>>,
    /// No number below this one is free: nobody pays for looking from the first on.
    free_from: Cell<usize>,
    /// Most descriptors, granted ones included.
    slots_max: usize,
    ran_out: Cell<bool>,
}

impl Table {
    /// The standard streams, and after them what was granted, in order: folders, listeners.
    pub(crate) fn new(
        preopens: Vec<Preopen>,
        listeners: Vec<OwnedFd>,
        streams: Streams,
        slots_max: u32,
        withheld: &[Capability],
    ) -> Self {
        let Streams { input, output, error } = streams;
        let streams = [
            (Capability::Stdin, Stream { direction: Direction::Input, end: input }),
            (Capability::Stdout, Stream { direction: Direction::Output, end: output }),
            (Capability::Stderr, Stream { direction: Direction::Error, end: error }),
        ];
        let roots = Roots::of(&preopens);
        let mut slots = Vec::with_capacity(streams.len() + preopens.len());
        slots.extend(streams.map(|(capability, stream)| match withheld.contains(&capability) {
            true => Some(Descriptor::Withheld),
            false => Some(Descriptor::Stream(stream)),
        }));
        slots.extend(preopens.into_iter().map(|preopen| {
            Some(Descriptor::Directory(Directory {
                dir: preopen.dir,
                guest_path: Some(preopen.guest_path),
                read_only: preopen.read_only,
                listing: None,
            }))
        }));
        slots.extend(
            listeners
                .into_iter()
                .map(|descriptor| Some(Descriptor::Socket(Socket { descriptor, listens: true }))),
        );
        // What was granted is there, whatever the limit.
        let slots_max = (slots_max as usize).max(slots.len());
        Table { roots, slots, free_from: Cell::new(0), slots_max, ran_out: Cell::new(false) }
    }

    /// Whether there was no room for a descriptor at any time.
    pub(crate) fn ran_out(&self) -> bool {
        self.ran_out.get()
    }

    /// What `number` stands for; `badf` if nothing.
    pub(crate) fn get(&self, number: u32) -> Outcome<&Descriptor> {
        let slot = usize::try_from(number).ok().and_then(|index| self.slots.get(index));
        Ok(slot.and_then(Option::as_ref).ok_or(Errno::Badf)?)
    }

    /// The file behind `number`; `badf` if it is none.
    pub(crate) fn file(&self, number: u32) -> Outcome<&OpenFile> {
        match self.get(number)? {
            Descriptor::File(file) => Ok(file),
            _ => Err(Errno::Badf.into()),
        }
    }

    /// The file behind `number`; `spipe` if it is a stream, which has no
    /// position, and `badf` if it is a directory.
    pub(crate) fn seekable(&self, number: u32) -> Outcome<&OpenFile> {
        match self.get(number)? {
            Descriptor::File(file) => Ok(file),
            Descriptor::Stream(_) | Descriptor::Socket(_) => Err(Errno::Spipe.into()),
            Descriptor::Directory(_) | Descriptor::Withheld => Err(Errno::Badf.into()),
        }
    }

    /// The socket behind `number`; `notsock` if it is something else. A standard stream stays a
    /// stream, whatever is behind it.
    pub(crate) fn socket(&self, number: u32) -> Outcome<&Socket> {
        match self.get(number)? {
            Descriptor::Socket(socket) => Ok(socket),
            _ => Err(Errno::Notsock.into()),
        }
    }

    /// The directory behind `number`; `badf` if it is none.
    pub(crate) fn directory(&self, number: u32) -> Outcome<&Directory> {
        match self.get(number)? {
            Descriptor::Directory(directory) => Ok(directory),
            _ => Err(Errno::Badf.into()),
        }
    }

    /// The directory behind `number`, to be read on; `badf` if it is none.
    pub(crate) fn directory_mut(&mut self, number: u32) -> Outcome<&mut Directory> {
        match self.slot(number)? {
            Some(Descriptor::Directory(directory)) => Ok(directory),
            _ => Err(Errno::Badf.into()),
        }
    }

    /// `mfile` unless another descriptor fits. Asked before anything is opened,
    /// so that a full table leaves no new file behind.
    pub(crate) fn check_room(&self) -> Outcome<()> {
        if self.lowest_free() < self.slots_max {
            return Ok(());
        }
        self.ran_out.set(true);
        Err(Errno::Mfile.into())
    }

    /// Gives `descriptor` the lowest free number.
    pub(crate) fn insert(&mut self, descriptor: Descriptor) -> Outcome<u32> {
        self.check_room()?;
        let index = self.lowest_free();
        if index == self.slots.len() {
            self.slots.push(None);
        }
        let number = u32::try_from(index).map_err(|_| Errno::Mfile)?;
        *self.slot(number)? = Some(descriptor);
        Ok(number)
    }

    /// The lowest number that is free, or was never used.
    fn lowest_free(&self) -> usize {
        let from = self.free_from.get();
        let taken = self.slots[from..].iter().take_while(|slot| slot.is_some()).count();
        self.free_from.set(from + taken);
        from + taken
    }

    /// Frees `number` and gives what it stood for.
    pub(crate) fn remove(&mut self, number: u32) -> Outcome<Descriptor> {
        let removed = self.slot(number)?.take().ok_or(Errno::Badf)?;
        self.free_from.set(self.free_from.get().min(number as usize));
        Ok(removed)
    }

    /// Lets `to` stand for what `from` stands for, and frees `from`; gives what `to` stood
    /// for. Both must be in use: a guest cannot choose a free number.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) -> Outcome<Option<Descriptor>> {
        self.get(from)?;
        self.get(to)?;
        if from == to {
            return Ok(None);
        }
        let descriptor = self.remove(from)?;
        Ok(self.slot(to)?.replace(descriptor))
    }

    fn slot(&mut self, number: u32) -> Outcome<&mut Option<Descriptor>> {
        let index = usize::try_from(number).map_err(|_| Errno::Badf)?;
        Ok(self.slots.get_mut(index).ok_or(Errno::Badf)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::stream::End;

    fn stream() -> Descriptor {
        Descriptor::Stream(Stream { direction: Direction::Input, end: End::Own })
    }

    #[test]
    fn the_lowest_free_number_is_taken_first() {
        let mut table = Table::new(Vec::new(), Vec::new(), Streams::default(), 1024, &[]);
        assert!(matches!(table.insert(stream()), Ok(3)));
        assert!(matches!(table.insert(stream()), Ok(4)));
        assert!(table.remove(0).is_ok());
        assert!(table.remove(3).is_ok());
        assert!(table.remove(3).is_err());
        assert!(matches!(table.insert(stream()), Ok(0)));
        assert!(matches!(table.insert(stream()), Ok(3)));
        assert!(matches!(table.insert(stream()), Ok(5)));
    }

    #[test]
    fn a_stream_that_is_withheld_keeps_its_number() {
        let mut table =
            Table::new(Vec::new(), Vec::new(), Streams::default(), 4, &[Capability::Stdout]);
        assert!(matches!(table.get(1), Ok(Descriptor::Withheld)));
        assert!(table.file(1).is_err() && table.seekable(1).is_err());
        assert!(matches!(table.insert(stream()), Ok(3)));
        assert!(table.insert(stream()).is_err());
    }

    #[test]
    fn renumbering_frees_the_old_number() {
        let mut table = Table::new(Vec::new(), Vec::new(), Streams::default(), 1024, &[]);
        assert!(table.renumber(1, 2).is_ok());
        assert!(table.get(1).is_err());
        assert!(matches!(
            table.get(2),
            Ok(Descriptor::Stream(Stream { direction: Direction::Output, .. }))
        ));
        assert!(table.renumber(2, 2).is_ok());
        assert!(table.renumber(2, 7).is_err());
        assert!(table.renumber(u32::MAX, 0).is_err());
        assert!(matches!(
            table.get(2),
            Ok(Descriptor::Stream(Stream { direction: Direction::Output, .. }))
        ));
    }

    #[test]
    fn a_full_table_takes_no_more() {
        let mut table = Table::new(Vec::new(), Vec::new(), Streams::default(), 1024, &[]);
        assert!(!table.ran_out());
        while table.insert(stream()).is_ok() {}
        assert!(table.ran_out());
        assert!(table.get(1023).is_ok());
        assert!(table.get(1024).is_err());
        assert!(table.remove(7).is_ok());
        assert!(matches!(table.insert(stream()), Ok(7)));
    }
}
