//! `wasi:filesystem`: descriptors, paths below them, and the entries of folders.

use crate::clocks::SECOND;
use crate::errors::Code;
use crate::guest::{Caller, Record};
use crate::objects::{self, Kind, Object};
use crate::preview1::{
    self, BADF, DIRECTORY, Errno, FileStat, ILSEQ, INVAL, Opening, PERM, RIGHT_READ, RIGHT_WRITE,
    RIGHTS, Times,
};
use crate::streams::{Input, Output, PIECE, To};
use crate::{handles, trap};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// The number of the first granted folder.
const FIRST_GRANTED: u32 = 3;
/// Room for some entries of a folder; for the longest name there may be.
const ENTRIES_ROOM: usize = 4096;
/// Bytes of an entry before its name.
const ENTRY_HEAD: usize = 24;
/// The most bytes of what a symbolic link says.
const LINK_MAX: usize = 4096;

/// A descriptor of preview 1, which is closed when nobody has it any more.
pub(crate) struct File {
    fd: u32,
    /// A granted folder stays: it can be asked for again.
    is_granted: bool,
}

impl File {
    pub(crate) fn fd(&self) -> u32 {
        self.fd
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if !self.is_granted {
            preview1::close(self.fd);
        }
    }
}

/// The entries of a folder that were not read yet.
pub(crate) struct Entries {
    file: Rc<File>,
    /// Where preview 1 goes on.
    cookie: u64,
    /// What it gave, and how much of it was read.
    buffer: Vec<u8>,
    read: usize,
}

fn descriptor(caller: Caller, handle: u32) -> Rc<File> {
    match objects::get(handles::rep_of(caller, Kind::Descriptor, handle)) {
        Object::Descriptor(file) => file.clone(),
        _ => trap(),
    }
}

/// `result<_, error-code>`
fn answer(caller: Caller, to: u32, done: Result<(), Errno>) {
    let record = Record::<2>::new();
    let record = match done {
        Ok(()) => record,
        Err(errno) => record.u8(0, 1).u8(1, Code::of(errno) as u8),
    };
    caller.record(to, 1, &record);
}

/// A result whose error stands at `at`.
fn answer_with<const SIZE: usize, T>(
    caller: Caller,
    to: u32,
    at: u32,
    done: Result<T, Errno>,
    fill: impl FnOnce(Record<SIZE>, T) -> Record<SIZE>,
) {
    let record = Record::new();
    let record = match done {
        Ok(value) => fill(record, value),
        Err(errno) => record.u8(0, 1).u8(at as usize, Code::of(errno) as u8),
    };
    caller.record(to, at, &record);
}

/// A result with a new handle.
fn answer_handle(caller: Caller, to: u32, kind: Kind, done: Result<Object, Errno>) {
    answer_with::<8, _>(caller, to, 4, done, |record, object| {
        record.u32(4, handles::own(caller, kind, objects::insert(object)))
    });
}

#[unsafe(export_name = "wasi:filesystem/preopens#get-directories")]
extern "C" fn directories(caller: Caller, to: u32) {
    let granted = (FIRST_GRANTED..).map_while(|fd| preview1::granted(fd).map(|path| (fd, path)));
    let granted: Vec<(u32, Vec<u8>)> = granted.collect();
    let list = caller.room(4, granted.len() * 12);
    let mut records = Vec::with_capacity(granted.len() * 12);
    for (fd, path) in &granted {
        let file = Object::Descriptor(Rc::new(File { fd: *fd, is_granted: true }));
        let handle = handles::own(caller, Kind::Descriptor, objects::insert(file));
        let text = caller.give_text(&String::from_utf8_lossy(path));
        records.extend_from_slice(Record::<12>::new().u32(0, handle).list(4, text).bytes());
    }
    caller.put(list, &records);
    caller.record(to, 4, &Record::<8>::new().list(0, (list, granted.len() as u32)));
}

/// A stream's file; `folder` where it is a folder.
fn file_of(caller: Caller, this: u32, folder: Errno) -> Result<Rc<File>, Errno> {
    let file = descriptor(caller, this);
    match preview1::fd_stat(file.fd())?.kind {
        DIRECTORY => Err(folder),
        _ => Ok(file),
    }
}

/// A file to be written. Whether one that was not opened for it may be changed at all is said
/// here; that it was not, by the first write.
fn file_to_write(caller: Caller, this: u32) -> Result<Rc<File>, Errno> {
    let file = file_of(caller, this, BADF)?;
    if preview1::fd_stat(file.fd())?.rights & RIGHT_WRITE == 0 && is_read_only(&file) {
        return Err(PERM);
    }
    Ok(file)
}

/// Whether nothing may change what a descriptor is of: so says who is asked to set no time.
fn is_read_only(file: &File) -> bool {
    let none = Times { accessed: 0, modified: 0, which: 0 };
    preview1::set_times(file.fd(), none) == Err(PERM)
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.read-via-stream")]
extern "C" fn read_via_stream(caller: Caller, this: u32, offset: u64, to: u32) {
    const ISDIR: Errno = 31;
    let file = file_of(caller, this, ISDIR);
    let stream = file.map(|file| Object::Input(Input::of_file(file, offset)));
    answer_handle(caller, to, Kind::Input, stream);
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.write-via-stream")]
extern "C" fn write_via_stream(caller: Caller, this: u32, offset: u64, to: u32) {
    let file = file_to_write(caller, this);
    let stream = file.map(|file| Object::Output(Output::new(To::File(file, offset))));
    answer_handle(caller, to, Kind::Output, stream);
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.append-via-stream")]
extern "C" fn append_via_stream(caller: Caller, this: u32, to: u32) {
    let file = file_to_write(caller, this);
    let stream = file.map(|file| Object::Output(Output::new(To::End(file))));
    answer_handle(caller, to, Kind::Output, stream);
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.advise")]
extern "C" fn advise(caller: Caller, this: u32, offset: u64, length: u64, advice: u32, to: u32) {
    if advice > 5 {
        trap();
    }
    let done = preview1::advise(descriptor(caller, this).fd(), offset, length, advice);
    answer(caller, to, done);
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.sync-data")]
extern "C" fn sync_data(caller: Caller, this: u32, to: u32) {
    answer(caller, to, preview1::sync(descriptor(caller, this).fd(), true));
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.sync")]
extern "C" fn sync(caller: Caller, this: u32, to: u32) {
    answer(caller, to, preview1::sync(descriptor(caller, this).fd(), false));
}

/// `descriptor-flags`, bit by bit.
const READ: u32 = 1;
const WRITE: u32 = 1 << 1;
const FILE_SYNC: u32 = 1 << 2;
const DATA_SYNC: u32 = 1 << 3;
const REQUESTED_SYNC: u32 = 1 << 4;
const MUTATE: u32 = 1 << 5;
/// The same of preview 1's `fdflags`.
const SYNC_FLAGS: [(u32, u32); 3] =
    [(FILE_SYNC, 1 << 4), (DATA_SYNC, 1 << 1), (REQUESTED_SYNC, 1 << 3)];

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.get-flags")]
extern "C" fn get_flags(caller: Caller, this: u32, to: u32) {
    let flags = preview1::fd_stat(descriptor(caller, this).fd()).map(|stat| {
        // Whether a folder is read-only nobody says who could not change it.
        if stat.kind == DIRECTORY {
            return READ | MUTATE;
        }
        let synced = SYNC_FLAGS.iter().filter(|(_, theirs)| u32::from(stat.flags) & theirs != 0);
        let mut flags = synced.fold(0, |flags, (ours, _)| flags | ours);
        flags |= if stat.rights & RIGHT_READ != 0 { READ } else { 0 };
        flags | if stat.rights & RIGHT_WRITE != 0 { WRITE } else { 0 }
    });
    answer_with::<2, _>(caller, to, 1, flags, |record, flags| record.u8(1, flags as u8));
}

/// `descriptor-type` of preview 1's kind.
fn type_of(kind: u8) -> u8 {
    match kind {
        1..=3 => kind,
        4 => 6,
        5 | 6 => 7,
        7 => 5,
        _ => 0,
    }
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.get-type")]
extern "C" fn get_type(caller: Caller, this: u32, to: u32) {
    let stat = preview1::fd_stat(descriptor(caller, this).fd());
    answer_with::<2, _>(caller, to, 1, stat, |record, stat| record.u8(1, type_of(stat.kind)));
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.set-size")]
extern "C" fn set_size(caller: Caller, this: u32, size: u64, to: u32) {
    answer(caller, to, preview1::set_size(descriptor(caller, this).fd(), size));
}

/// `new-timestamp`: the flags of preview 1 for it, and the nanoseconds.
fn time(
    (case, seconds, nanoseconds): (u32, u64, u32),
    (given, now): (u32, u32),
) -> Result<(u32, u64), Errno> {
    match case {
        0 => Ok((0, 0)),
        1 => Ok((now, 0)),
        2 => {
            let whole = seconds.checked_mul(SECOND);
            let all = whole.and_then(|whole| whole.checked_add(u64::from(nanoseconds)));
            const OVERFLOW: Errno = 61;
            all.map(|time| (given, time)).ok_or(OVERFLOW)
        }
        _ => trap(),
    }
}

fn times(accessed: (u32, u64, u32), modified: (u32, u64, u32)) -> Result<Times, Errno> {
    let (accessed, modified) = (time(accessed, (1, 2))?, time(modified, (4, 8))?);
    Ok(Times { accessed: accessed.1, modified: modified.1, which: accessed.0 | modified.0 })
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.set-times")]
extern "C" fn set_times(
    caller: Caller,
    this: u32,
    accessed: u32,
    accessed_seconds: u64,
    accessed_nanoseconds: u32,
    modified: u32,
    modified_seconds: u64,
    modified_nanoseconds: u32,
    to: u32,
) {
    let file = descriptor(caller, this);
    let times = times(
        (accessed, accessed_seconds, accessed_nanoseconds),
        (modified, modified_seconds, modified_nanoseconds),
    );
    answer(caller, to, times.and_then(|times| preview1::set_times(file.fd(), times)));
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.read")]
extern "C" fn read(caller: Caller, this: u32, length: u64, offset: u64, to: u32) {
    let file = descriptor(caller, this);
    let mut bytes = alloc::vec![0; length.min(PIECE as u64) as usize];
    let count = preview1::read(file.fd(), &mut bytes, Some(offset));
    answer_with::<16, _>(caller, to, 4, count, |record, count| {
        let read = bytes.get(..count).unwrap_or_default();
        record.list(4, (caller.give(read), count as u32)).u8(12, u8::from(count == 0))
    });
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.write")]
extern "C" fn write(caller: Caller, this: u32, from: u32, length: u32, offset: u64, to: u32) {
    let file = descriptor(caller, this);
    let mut written = 0;
    let done = loop {
        let piece = (length - written).min(PIECE as u32);
        let bytes = caller.bytes(from.wrapping_add(written), piece as usize);
        match preview1::write(file.fd(), &bytes, Some(offset.wrapping_add(u64::from(written)))) {
            Ok(count) => {
                written += count as u32;
                if count < piece as usize || written == length {
                    break Ok(written);
                }
            }
            Err(errno) if written == 0 => break Err(errno),
            Err(_) => break Ok(written),
        }
    };
    answer_with::<16, _>(caller, to, 8, done, |record, count| record.u64(8, u64::from(count)));
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.read-directory")]
extern "C" fn read_directory(caller: Caller, this: u32, to: u32) {
    let file = descriptor(caller, this);
    const NOTDIR: Errno = 54;
    let entries = preview1::fd_stat(file.fd()).and_then(|stat| match stat.kind {
        DIRECTORY => {
            let entries = Entries { file, cookie: 0, buffer: Vec::new(), read: 0 };
            Ok(Object::Entries(entries))
        }
        _ => Err(NOTDIR),
    });
    answer_handle(caller, to, Kind::Entries, entries);
}

impl Entries {
    /// The next entry but for the folder itself and the one above: its kind and its name.
    fn next(&mut self) -> Result<Option<(u8, String)>, Errno> {
        loop {
            let rest = self.buffer.get(self.read..).unwrap_or_default();
            let entry = rest.split_first_chunk::<ENTRY_HEAD>().and_then(|(head, rest)| {
                let word = |at: usize| head.get(at..at + 8).and_then(|it| it.as_array::<8>());
                let length = u64::from_le_bytes(*word(16)?) as u32 as usize;
                let name = rest.get(..length)?;
                Some((u64::from_le_bytes(*word(0)?), *head.get(20)?, name))
            });
            let Some((next, kind, name)) = entry else {
                // What is cut off at the end of the buffer comes again.
                let mut buffer = alloc::vec![0; ENTRIES_ROOM];
                let used = preview1::entries(self.file.fd(), &mut buffer, self.cookie)?;
                buffer.truncate(used);
                let is_end = used < ENTRY_HEAD;
                (self.buffer, self.read) = (buffer, 0);
                if is_end {
                    self.buffer.clear();
                    return Ok(None);
                }
                continue;
            };
            self.cookie = next;
            self.read += ENTRY_HEAD + name.len();
            if name == b"." || name == b".." {
                continue;
            }
            let name = core::str::from_utf8(name).map_err(|_| ILSEQ)?;
            return Ok(Some((type_of(kind), String::from(name))));
        }
    }
}

#[unsafe(export_name = "wasi:filesystem/types#[method]directory-entry-stream.read-directory-entry")]
extern "C" fn read_directory_entry(caller: Caller, this: u32, to: u32) {
    let Object::Entries(entries) = objects::get(handles::rep_of(caller, Kind::Entries, this))
    else {
        trap()
    };
    answer_with::<20, _>(caller, to, 4, entries.next(), |record, entry| match entry {
        None => record,
        Some((kind, name)) => record.u8(4, 1).u8(8, kind).list(12, caller.give_text(&name)),
    });
}

/// `path-flags` are preview 1's `lookupflags`.
fn lookup(flags: u32) -> u32 {
    flags & 1
}

fn give_stat(caller: Caller, to: u32, stat: Result<FileStat, Errno>) {
    answer_with::<104, _>(caller, to, 8, stat, |record, stat| {
        let record = record.u8(8, type_of(stat.kind)).u64(16, stat.links).u64(24, stat.size);
        let times = [(32, stat.accessed), (56, stat.modified), (80, stat.changed)];
        times.into_iter().fold(record, |record, (at, time)| {
            let record = record.u8(at, 1).u64(at + 8, time / SECOND);
            record.u32(at + 16, (time % SECOND) as u32)
        })
    });
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.stat")]
extern "C" fn stat(caller: Caller, this: u32, to: u32) {
    give_stat(caller, to, preview1::file_stat(descriptor(caller, this).fd()));
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.stat-at")]
extern "C" fn stat_at(caller: Caller, this: u32, flags: u32, path: u32, length: u32, to: u32) {
    let (file, path) = (descriptor(caller, this), caller.text(path, length));
    give_stat(caller, to, preview1::stat_at(file.fd(), lookup(flags), &path));
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.set-times-at")]
extern "C" fn set_times_at(
    caller: Caller,
    this: u32,
    flags: u32,
    path: u32,
    length: u32,
    accessed: u32,
    accessed_seconds: u64,
    accessed_nanoseconds: u32,
    modified: u32,
    modified_seconds: u64,
    modified_nanoseconds: u32,
    to: u32,
) {
    let (file, path) = (descriptor(caller, this), caller.text(path, length));
    let times = times(
        (accessed, accessed_seconds, accessed_nanoseconds),
        (modified, modified_seconds, modified_nanoseconds),
    );
    let set = |times| preview1::set_times_at(file.fd(), lookup(flags), &path, times);
    answer(caller, to, times.and_then(set));
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.open-at")]
extern "C" fn open_at(
    caller: Caller,
    this: u32,
    flags: u32,
    path: u32,
    length: u32,
    how: u32,
    access: u32,
    to: u32,
) {
    let (file, path) = (descriptor(caller, this), caller.text(path, length));
    let mut rights = RIGHTS & !(RIGHT_READ | RIGHT_WRITE);
    rights |= if access & READ != 0 { RIGHT_READ } else { 0 };
    rights |= if access & WRITE != 0 { RIGHT_WRITE } else { 0 };
    let synced = SYNC_FLAGS.iter().filter(|(ours, _)| access & ours != 0);
    // `open-flags` are preview 1's `oflags`.
    let opening = Opening {
        lookup: lookup(flags),
        how: how & 0xf,
        rights,
        flags: synced.fold(0, |flags, (_, theirs)| flags | theirs),
    };
    let opened = preview1::open(file.fd(), &path, opening);
    let opened = opened.map(|fd| Object::Descriptor(Rc::new(File { fd, is_granted: false })));
    answer_handle(caller, to, Kind::Descriptor, opened);
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.create-directory-at")]
extern "C" fn create_directory_at(caller: Caller, this: u32, path: u32, length: u32, to: u32) {
    let (file, path) = (descriptor(caller, this), caller.text(path, length));
    answer(caller, to, preview1::create_directory(file.fd(), &path));
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.remove-directory-at")]
extern "C" fn remove_directory_at(caller: Caller, this: u32, path: u32, length: u32, to: u32) {
    let (file, path) = (descriptor(caller, this), caller.text(path, length));
    answer(caller, to, preview1::remove_directory(file.fd(), &path));
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.unlink-file-at")]
extern "C" fn unlink_file_at(caller: Caller, this: u32, path: u32, length: u32, to: u32) {
    let (file, path) = (descriptor(caller, this), caller.text(path, length));
    answer(caller, to, preview1::unlink(file.fd(), &path));
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.readlink-at")]
extern "C" fn readlink_at(caller: Caller, this: u32, path: u32, length: u32, to: u32) {
    let (file, path) = (descriptor(caller, this), caller.text(path, length));
    let mut buffer = alloc::vec![0; LINK_MAX];
    let target = preview1::read_link(file.fd(), &path, &mut buffer).and_then(|used| {
        let bytes = buffer.get(..used).unwrap_or_default();
        core::str::from_utf8(bytes).map_err(|_| ILSEQ)
    });
    answer_with::<12, _>(caller, to, 4, target, |record, target| {
        record.list(4, caller.give_text(target))
    });
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.rename-at")]
extern "C" fn rename_at(
    caller: Caller,
    this: u32,
    path: u32,
    length: u32,
    new: u32,
    new_path: u32,
    new_length: u32,
    to: u32,
) {
    let (file, path) = (descriptor(caller, this), caller.text(path, length));
    let (new, new_path) = (descriptor(caller, new), caller.text(new_path, new_length));
    answer(caller, to, preview1::rename(file.fd(), &path, new.fd(), &new_path));
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.symlink-at")]
extern "C" fn symlink_at(
    caller: Caller,
    this: u32,
    target: u32,
    target_length: u32,
    path: u32,
    length: u32,
    to: u32,
) {
    let (file, target) = (descriptor(caller, this), caller.text(target, target_length));
    let path = caller.text(path, length);
    answer(caller, to, preview1::symlink(&target, file.fd(), &path));
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.link-at")]
extern "C" fn link_at(
    caller: Caller,
    this: u32,
    flags: u32,
    path: u32,
    length: u32,
    new: u32,
    new_path: u32,
    new_length: u32,
    to: u32,
) {
    let (file, path) = (descriptor(caller, this), caller.text(path, length));
    let (new, new_path) = (descriptor(caller, new), caller.text(new_path, new_length));
    let done = match lookup(flags) {
        0 => preview1::link(file.fd(), 0, &path, new.fd(), &new_path),
        // A link to what a link leads to: not offered, as in preview 1.
        _ => Err(INVAL),
    };
    answer(caller, to, done);
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.is-same-object")]
extern "C" fn is_same_object(caller: Caller, this: u32, other: u32) -> u32 {
    let stat = |handle| preview1::file_stat(descriptor(caller, handle).fd());
    let (this, other) = (stat(this), stat(other));
    let place = |stat: FileStat| (stat.device, stat.inode);
    u32::from(this.is_ok() && this.map(place) == other.map(place))
}

fn give_hash(caller: Caller, to: u32, stat: Result<FileStat, Errno>) {
    /// Spreads what differs in few bits over all.
    fn mixed(value: u64) -> u64 {
        let value = (value ^ value >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        value ^ value >> 29
    }
    answer_with::<24, _>(caller, to, 8, stat, |record, stat| {
        let lower = mixed(stat.inode ^ mixed(stat.device));
        record.u64(8, lower).u64(16, mixed(lower ^ stat.inode))
    });
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.metadata-hash")]
extern "C" fn metadata_hash(caller: Caller, this: u32, to: u32) {
    give_hash(caller, to, preview1::file_stat(descriptor(caller, this).fd()));
}

#[unsafe(export_name = "wasi:filesystem/types#[method]descriptor.metadata-hash-at")]
extern "C" fn metadata_hash_at(
    caller: Caller,
    this: u32,
    flags: u32,
    path: u32,
    length: u32,
    to: u32,
) {
    let (file, path) = (descriptor(caller, this), caller.text(path, length));
    give_hash(caller, to, preview1::stat_at(file.fd(), lookup(flags), &path));
}
