//! Opens an artifact and reads its framing.
//!
//! Assumes nothing about the file, which somebody may be rewriting. Guarantees
//! that the file was opened once, is a regular file, at the end of whatever links, and
//! that every byte judged or used later comes from that one descriptor, or from memory of
//! this process: what comes from a pipe is read into it first, no more than the artifact's
//! header announces. Does not look at signatures or parts.

use crate::error::{Cause, StageError};
use bls_artifact::artifact::{Foreign, Frame, FrameError, HEADER_LEN, Header};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags};
use std::fmt;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

/// Bytes read first: header, envelope, and with a small artifact everything, so
/// that one system call reads it.
const FIRST_READ: usize = 64 << 10;

/// A thing of the file system that is no regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Irregular {
    /// A symbolic link: where one is not followed, or leads in a circle.
    Link,
    /// A directory.
    Folder,
    /// A pipe, named or not.
    Fifo,
    /// A character or block device.
    Device,
    /// A socket.
    Socket,
}

/// Why a file cannot be opened as an artifact.
#[derive(Debug)]
pub enum OpenError {
    /// The system's refusal.
    System(String, rustix::io::Errno),
    /// Not a regular file.
    NotRegular(String, Irregular),
    /// The framing does not fit.
    Frame(String, FrameError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(name, errno) => {
                write!(formatter, "{name}: {}", std::io::Error::from(*errno))
            }
            Self::NotRegular(name, Irregular::Link) => {
                write!(formatter, "{name} is a symbolic link that leads in a circle")
            }
            Self::NotRegular(name, Irregular::Fifo) => {
                write!(formatter, "{name} is a pipe, and nothing came from it")
            }
            Self::NotRegular(name, kind) => {
                write!(formatter, "{name} is {}, not a file", kind.words())
            }
            Self::Frame(name, error) => write!(formatter, "{name}: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl StageError for OpenError {
    const STAGE: &'static str = "open";

    fn code(&self) -> &'static str {
        match self {
            Self::System(_, rustix::io::Errno::NOENT) => "file.missing",
            Self::System(..) => "file.unreadable",
            Self::NotRegular(_, Irregular::Link) => "file.link",
            Self::NotRegular(_, Irregular::Folder) => "file.folder",
            Self::NotRegular(_, Irregular::Fifo) => "file.fifo",
            Self::NotRegular(_, Irregular::Device) => "file.device",
            Self::NotRegular(_, Irregular::Socket) => "file.socket",
            Self::Frame(_, error) => error.code(),
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::System(_, errno) => Cause::of_named(*errno),
            Self::NotRegular(..) | Self::Frame(..) => Cause::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::System(name, rustix::io::Errno::NOENT)
                if name.ends_with(".wasm") || name.ends_with(".wat") =>
            {
                "bls-compile run app.wasm compiles a module, and runs it".into()
            }
            Self::System(_, rustix::io::Errno::NOENT) => {
                "artifacts are made by bls-compile: bls-compile app.wasm writes app.bls".into()
            }
            Self::System(name, _) => {
                format!("see that you may read it, and search the folders above it: ls -l {name}")
            }
            Self::NotRegular(_, Irregular::Link) => "name the file itself".into(),
            Self::NotRegular(_, Irregular::Folder) => "name a file".into(),
            Self::NotRegular(_, Irregular::Fifo) => {
                "see why whatever writes to it wrote nothing; curl needs -f to fail where it \
                 should"
                    .into()
            }
            Self::NotRegular(..) => {
                "name a file, or give it through a pipe: curl -fsS URL | bls-load install -".into()
            }
            // Text too: nobody else writes such files.
            Self::Frame(name, FrameError::NotAnArtifact(kind))
                if *kind == Foreign::Module || name.ends_with(".wat") =>
            {
                match name.contains(char::is_whitespace) {
                    true => "compile it, and run it: bls-compile run app.wasm".into(),
                    false => format!("compile it, and run it: bls-compile run {name}"),
                }
            }
            Self::Frame(_, error) => error.hint().into(),
        })
    }
}

/// Where an artifact's bytes come from.
#[derive(Debug)]
enum Source {
    /// An open file. Others may change it at any time.
    File(OwnedFd),
    /// Memory of this process, all of it in `Opened::head`.
    Memory,
}

/// An artifact whose framing fits. Nothing in it is trusted yet.
#[derive(Debug)]
pub struct Opened {
    name: String,
    source: Source,
    /// The first bytes of the file, read once: at least header, records and
    /// envelope.
    head: Vec<u8>,
    prefix_length: usize,
    frame: Frame,
}

impl Opened {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let name = path.display().to_string();
        let (file, length) = match regular(path, &name)? {
            Regular::File(file, length) => (file, length),
            Regular::Stream(stream) => return Self::read_stream(&name, stream.as_fd()),
        };
        Self::of_file(name, file, length)
    }

    /// Takes a file that is open already; `name` is what it was called.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn taken(name: String, file: OwnedFd) -> Result<Self, OpenError> {
        match judge(file, &name)? {
            Regular::File(file, length) => Self::of_file(name, file, length),
            Regular::Stream(stream) => Self::read_stream(&name, stream.as_fd()),
        }
    }

    fn of_file(name: String, file: OwnedFd, length: u64) -> Result<Self, OpenError> {
        let system = |errno| OpenError::System(name.clone(), errno);

        let mut head = Vec::with_capacity(FIRST_READ.min(fitting(length)).max(HEADER_LEN));
        let first = head.capacity();
        fill(&file, &mut head, first).map_err(system)?;
        let framing = |error| OpenError::Frame(name.clone(), error);
        let header = Header::parse(&head, length).map_err(framing)?;
        let prefix_length = header.prefix_length();
        fill(&file, &mut head, prefix_length).map_err(system)?;
        Self::framed(name.clone(), Source::File(file), head, &header).map_err(framing)
    }

    /// Reads an artifact from standard input, all of it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn from_stdin() -> Result<Self, OpenError> {
        let name = "standard input";
        let input = rustix::stdio::stdin();
        let system = |errno| OpenError::System(name.to_owned(), errno);
        let status = rustix::fs::fstat(input).map_err(system)?;
        match Irregular::of(FileType::from_raw_mode(status.st_mode)) {
            // A socket is what some programs connect to others by.
            None | Some(Irregular::Fifo | Irregular::Socket) => Self::read_stream(name, input),
            Some(kind) => Err(OpenError::NotRegular(name.to_owned(), kind)),
        }
    }

    /// Waits for whoever writes, as every program does that reads a pipe.
    fn read_stream(name: &str, stream: BorrowedFd<'_>) -> Result<Self, OpenError> {
        let system = |errno| OpenError::System(name.to_owned(), errno);
        let mut bytes = Vec::new();
        fill_from_stream(stream, &mut bytes, HEADER_LEN).map_err(system)?;
        if bytes.is_empty() {
            return Err(OpenError::NotRegular(name.to_owned(), Irregular::Fifo));
        }
        // One more, which must not be there.
        let length = fitting(Header::announced_length(&bytes)).saturating_add(1);
        fill_from_stream(stream, &mut bytes, length).map_err(system)?;
        Self::from_bytes(name, bytes)
    }

    /// Takes a whole artifact that is in memory.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, OpenError> {
        let framing = |error| OpenError::Frame(name.to_owned(), error);
        let header = Header::parse(&bytes, bytes.len() as u64).map_err(framing)?;
        Self::framed(name.to_owned(), Source::Memory, bytes, &header).map_err(framing)
    }

    fn framed(
        name: String,
        source: Source,
        head: Vec<u8>,
        header: &Header,
    ) -> Result<Self, FrameError> {
        let prefix_length = header.prefix_length();
        let prefix = head.get(..prefix_length).ok_or(FrameError::TooShort)?;
        let frame = Frame::parse(header, prefix)?;
        Ok(Self { name, source, head, prefix_length, frame })
    }

    /// The artifact's name as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The framing.
    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The bytes of the envelope.
    pub(crate) fn envelope(&self) -> &[u8] {
        &self.head[self.frame.envelope()]
    }

    /// Header, part records and envelope: all bytes before the first padding.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.head[..self.prefix_length]
    }

    /// Hands `length` bytes from `offset` to `take`, piece by piece and in order.
    /// Each piece is private memory: what `take` sees cannot change while it
    /// looks. `buffer` is scratch space, kept between calls.
    pub(crate) fn read<E: From<ReadError>>(
        &self,
        offset: u64,
        length: u64,
        buffer: &mut Vec<u8>,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let end = offset + length;
        let mut position = offset;
        if let Some(known) = self.head.get(fitting(offset)..) {
            let known = &known[..known.len().min(fitting(length))];
            if !known.is_empty() {
                take(known)?;
                position += known.len() as u64;
            }
        }
        match &self.source {
            _ if position == end => Ok(()),
            Source::File(file) => read_pieces(file.as_fd(), position, end, buffer, &mut take),
            Source::Memory => Err(ReadError::Shrunk.into()),
        }
    }
}

/// What a path leads to, where that can be read from its beginning to its end.
pub(crate) enum Regular {
    /// A file, and how long it was when it was opened.
    File(OwnedFd, u64),
    /// A pipe.
    Stream(OwnedFd),
}

/// Opens what a path leads to; `name` is what errors call it.
pub(crate) fn regular(path: &Path, name: &str) -> Result<Regular, OpenError> {
    let irregular = |kind| OpenError::NotRegular(name.to_owned(), kind);
    // Non-blocking, so that a FIFO cannot hold us before we know it is one;
    // for a regular file it means nothing.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags | OFlags::NOCTTY, Mode::empty()) {
        Err(rustix::io::Errno::LOOP) => return Err(irregular(Irregular::Link)),
        Err(rustix::io::Errno::NXIO) => return Err(irregular(Irregular::Socket)),
        other => other.map_err(|errno| OpenError::System(name.to_owned(), errno))?,
    };
    judge(file, name)
}

/// What is open as `file`.
fn judge(file: OwnedFd, name: &str) -> Result<Regular, OpenError> {
    let status =
        rustix::fs::fstat(&file).map_err(|errno| OpenError::System(name.to_owned(), errno))?;
    match Irregular::of(FileType::from_raw_mode(status.st_mode)) {
        None => Ok(Regular::File(file, u64::try_from(status.st_size).unwrap_or(0))),
        Some(Irregular::Fifo) => Ok(Regular::Stream(file)),
        Some(kind) => Err(OpenError::NotRegular(name.to_owned(), kind)),
    }
}

/// Reads all of `bytes` from `position`.
pub(crate) fn read_exactly(
    file: BorrowedFd<'_>,
    position: u64,
    bytes: &mut [u8],
) -> std::io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match rustix::io::pread(file, &mut bytes[done..], position + done as u64) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => done += read?,
        }
    }
    Ok(())
}

/// A length as one in memory: the longest there can be, where it does not fit in 32 bits.
fn fitting(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Hands the bytes of `file` from `position` to `end` to `take`, piece by piece and in
/// order, each in private memory.
pub(crate) fn read_pieces<E: From<ReadError>>(
    file: BorrowedFd<'_>,
    mut position: u64,
    end: u64,
    buffer: &mut Vec<u8>,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    /// Bytes of one piece: well inside a second-level cache, so that what is
    /// hashed is copied from there.
    const PIECE: u64 = 256 << 10;
    while position < end {
        buffer.clear();
        buffer.reserve((end - position).min(PIECE) as usize);
        let room = (end - position).min(buffer.capacity() as u64) as usize;
        let spare = &mut buffer.spare_capacity_mut()[..room];
        let read = match rustix::io::pread(file, spare, position) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(ReadError::System(errno).into()),
            Ok(([], _)) => return Err(ReadError::Shrunk.into()),
            Ok((read, _)) => &*read,
        };
        take(read)?;
        position += read.len() as u64;
    }
    Ok(())
}

/// Why bytes of an opened artifact cannot be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The system's refusal.
    System(rustix::io::Errno),
    /// The file became shorter while it was read.
    Shrunk,
}

/// Reads from the start of `file` until `bytes` has `length` bytes or the file
/// ends.
pub(crate) fn fill(
    file: &OwnedFd,
    bytes: &mut Vec<u8>,
    length: usize,
) -> Result<(), rustix::io::Errno> {
    bytes.reserve_exact(length.saturating_sub(bytes.len()));
    while bytes.len() < length {
        let position = bytes.len() as u64;
        match rustix::io::pread(file, spare_capacity(bytes), position) {
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno),
            Ok(0) => break,
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Reads from `stream` until `bytes` has `length` bytes or nobody writes any more. Takes
/// memory as bytes come, not as they are announced.
pub(crate) fn fill_from_stream(
    stream: BorrowedFd<'_>,
    bytes: &mut Vec<u8>,
    length: usize,
) -> Result<(), rustix::io::Errno> {
    while bytes.len() < length {
        let room = (length - bytes.len()).min(FIRST_READ);
        bytes.try_reserve(room).map_err(|_| rustix::io::Errno::NOMEM)?;
        let end = bytes.len();
        // It may have been opened so that nothing waits; and a FIFO that nobody has opened
        // for writing yet looks as though it had ended.
        match poll(&mut [PollFd::from_borrowed_fd(stream, PollFlags::IN)], None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.map(drop)?,
        }
        bytes.resize(end + room, 0);
        let read = rustix::io::read(stream, &mut bytes[end..]);
        bytes.truncate(end + *read.as_ref().unwrap_or(&0));
        match read {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Ok(0) => break,
            other => other.map(drop)?,
        }
    }
    Ok(())
}

impl Irregular {
    /// `None` for a regular file.
    pub(crate) fn of(kind: FileType) -> Option<Self> {
        match kind {
            FileType::RegularFile => None,
            FileType::Directory => Some(Self::Folder),
            FileType::Fifo => Some(Self::Fifo),
            FileType::Socket => Some(Self::Socket),
            FileType::Symlink => Some(Self::Link),
            // What is left on Linux: devices of characters and of blocks.
            _ => Some(Self::Device),
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Link => "a symbolic link",
            Self::Folder => "a folder",
            Self::Fifo => "a FIFO",
            Self::Device => "a device",
            Self::Socket => "a socket",
        }
    }
}
