//! `--coredump`: what is left of a guest that trapped, as a file that tools for WebAssembly read.
//!
//! The form is the one that WebAssembly's tool conventions call a core dump: a module whose custom
//! sections say which module ran, what its instance has and which calls had not returned, and
//! whose memory, data and global sections hold what was in the memories and globals. Of these the
//! guest's exports are there, for an engine gives no others away; no locals and no values on the
//! stack, which optimised code does not keep.
//!
//! Memory of a guest is whatever it was given: the file is its owner's alone (mode 0600), is made
//! before the guest runs and stays open, and holds what was not zero. It is written where it is,
//! piece by piece, so that it takes no memory of the size of the guest's; a guest that can reach
//! the folder can at most take the name away. Where the guest does not trap it stays empty.

use crate::error::{Cause, StageError, printable_path};
use crate::run::Guest;
use crate::run::outcome::{Frame, TrapReport};
use bls_artifact::debug::{signed, unsigned};
use bls_artifact::fuel::COUNTER_EXPORT;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use wasmtime::{Extern, Memory, Mutability, Store, Val};

/// Memory is written in pieces of so many bytes; of those that are zero nothing is.
const PIECE_BYTES: usize = 64 << 10;

/// A core dump that cannot be written.
#[derive(Debug)]
pub(crate) struct CoredumpError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for CoredumpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot write to {}: {}", printable_path(&self.path), self.error)
    }
}

impl StageError for CoredumpError {
    const STAGE: &'static str = "coredump";

    fn code(&self) -> &'static str {
        "coredump.unwritable"
    }

    fn hint(&self) -> Option<String> {
        Some("--coredump takes a file in a folder you can write to, with room for the guest's memory".into())
    }

    fn cause(&self) -> Cause {
        Cause::Failed
    }
}

/// The file, which is open.
#[derive(Debug)]
pub(crate) struct Coredump {
    path: PathBuf,
    file: OwnedFd,
}

impl Coredump {
    /// Makes the file, empty. An earlier one is gone.
    pub(crate) fn open(path: &Path) -> Result<Self, CoredumpError> {
        let failed = |error: Errno| CoredumpError { path: path.to_owned(), error: error.into() };
        let is_file = rustix::fs::lstat(path)
            .is_ok_and(|found| rustix::fs::FileType::from_raw_mode(found.st_mode).is_file());
        if is_file {
            rustix::fs::unlink(path).map_err(failed)?;
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::open(path, flags, mode).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// The descriptor that it needs once the guest runs.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Writes what is left of the guest.
    pub(crate) fn write(
        &self,
        name: &str,
        trap: &TrapReport,
        guest: &mut Guest,
    ) -> Result<(), CoredumpError> {
        let written = rustix::fs::ftruncate(&self.file, 0)
            .map_err(io::Error::from)
            .and_then(|()| Dump::of(name, trap, guest).write(&mut To { file: &self.file, at: 0 }));
        if written.is_err() {
            // Half of one looks like a whole one.
            let _ = rustix::fs::ftruncate(&self.file, 0);
        }
        written.map_err(|error| CoredumpError { path: self.path.clone(), error })
    }
}

/// The file, and where it goes on.
struct To<'a> {
    file: &'a OwnedFd,
    at: u64,
}

impl To<'_> {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::pwrite(self.file, bytes, self.at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    self.at += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn section(&mut self, id: u8, contents: &[u8]) -> io::Result<()> {
        let mut head = vec![id];
        unsigned(&mut head, contents.len() as u64);
        self.write(&head)?;
        self.write(contents)
    }
}

/// What is written.
struct Dump<'a> {
    name: &'a str,
    frames: &'a [Frame],
    store: &'a Store<crate::host::state::State>,
    memories: Vec<Memory>,
    globals: Vec<Global>,
}

/// A global, as it was.
struct Global {
    value: Val,
    is_mutable: bool,
}

impl<'a> Dump<'a> {
    fn of(name: &'a str, trap: &'a TrapReport, guest: &'a mut Guest) -> Self {
        let (instance, store) = guest.parts();
        let (mut memories, mut globals, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for export in instance.exports(&mut *store) {
            let is_counter = export.name() == COUNTER_EXPORT;
            match export.into_extern() {
                Extern::Memory(memory) => memories.push(memory),
                // Not the guest's.
                Extern::Global(global) if !is_counter => found.push(global),
                _ => {}
            }
        }
        for global in found {
            let is_mutable = global.ty(&*store).mutability() == Mutability::Var;
            globals.push(Global { value: global.get(&mut *store), is_mutable });
        }
        // References are addresses of nothing that outlives the process.
        globals.retain(|global| global.type_byte().is_some());
        Self { name, frames: &trap.frames, store, memories, globals }
    }

    fn write(&self, to: &mut To<'_>) -> io::Result<()> {
        to.write(b"\0asm\x01\0\0\0")?;
        let mut bytes = custom("core");
        bytes.push(0);
        text(&mut bytes, self.name);
        to.section(0, &bytes)?;

        let mut bytes = custom("coremodules");
        bytes.extend([1, 0]);
        text(&mut bytes, self.name);
        to.section(0, &bytes)?;

        let mut bytes = custom("coreinstances");
        bytes.extend([1, 0, 0]);
        for count in [self.memories.len(), self.globals.len()] {
            unsigned(&mut bytes, count as u64);
            (0..count as u64).for_each(|number| unsigned(&mut bytes, number));
        }
        to.section(0, &bytes)?;

        let mut bytes = custom("corestack");
        bytes.push(0);
        text(&mut bytes, "main");
        unsigned(&mut bytes, self.frames.len() as u64);
        for frame in self.frames {
            let (function, offset) = place(frame);
            bytes.extend([0, 0]);
            unsigned(&mut bytes, function.into());
            unsigned(&mut bytes, offset.into());
            // No locals, and nothing on the stack.
            bytes.extend([0, 0]);
        }
        to.section(0, &bytes)?;

        to.section(5, &self.memory_types())?;
        let mut bytes = Vec::new();
        unsigned(&mut bytes, self.globals.len() as u64);
        self.globals.iter().for_each(|global| global.write(&mut bytes));
        to.section(6, &bytes)?;
        self.data(to)
    }

    fn memory_types(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        unsigned(&mut bytes, self.memories.len() as u64);
        for memory in &self.memories {
            let ty = memory.ty(self.store);
            let page_size = ty.page_size();
            let has_own_pages = page_size != 1 << 16;
            bytes.push(u8::from(ty.is_64()) << 2 | u8::from(has_own_pages) << 3);
            unsigned(&mut bytes, memory.size(self.store));
            if has_own_pages {
                unsigned(&mut bytes, page_size.trailing_zeros().into());
            }
        }
        bytes
    }

    /// What was in the memories: a segment for each piece.
    fn data(&self, to: &mut To<'_>) -> io::Result<()> {
        let mut heads = Vec::new();
        for (number, memory) in self.memories.iter().enumerate() {
            let is_wide = memory.ty(self.store).is_64();
            for (at, piece) in memory.data(self.store).chunks(PIECE_BYTES).enumerate() {
                if piece.iter().all(|byte| *byte == 0) {
                    continue;
                }
                let mut head = Vec::new();
                match number {
                    0 => head.push(0),
                    _ => {
                        head.push(2);
                        unsigned(&mut head, number as u64);
                    }
                }
                head.push(if is_wide { 0x42 } else { 0x41 });
                let begin = at * PIECE_BYTES;
                // As the constant is written: 32 bits have a sign.
                signed(
                    &mut head,
                    if is_wide { begin as i64 } else { (begin as u32).cast_signed().into() },
                );
                head.push(0x0b);
                unsigned(&mut head, piece.len() as u64);
                heads.push((head, piece));
            }
        }
        let mut count = Vec::new();
        unsigned(&mut count, heads.len() as u64);
        let bytes = heads.iter().map(|(head, piece)| head.len() + piece.len()).sum::<usize>();
        let mut begin = vec![11];
        unsigned(&mut begin, (count.len() + bytes) as u64);
        to.write(&begin)?;
        to.write(&count)?;
        for (head, piece) in heads {
            to.write(&head)?;
            to.write(piece)?;
        }
        Ok(())
    }
}

/// The function of a frame, and where in its body: of the source, where a debug file knows it,
/// else of the module that was compiled, and then the offset is 0, for nobody knows it.
fn place(frame: &Frame) -> (u32, u32) {
    let known = frame.found.as_ref().filter(|found| found.begin != 0);
    match known.and_then(|found| Some((found, found.source?.checked_sub(found.begin)?))) {
        Some((found, offset)) => (found.own_index, offset),
        None => (frame.function, 0),
    }
}

impl Global {
    /// How its type is written; `None` for a reference.
    fn type_byte(&self) -> Option<u8> {
        match self.value {
            Val::I32(_) => Some(0x7f),
            Val::I64(_) => Some(0x7e),
            Val::F32(_) => Some(0x7d),
            Val::F64(_) => Some(0x7c),
            Val::V128(_) => Some(0x7b),
            _ => None,
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.type_byte());
        bytes.push(u8::from(self.is_mutable));
        match self.value {
            Val::I32(value) => {
                bytes.push(0x41);
                signed(bytes, value.into());
            }
            Val::I64(value) => {
                bytes.push(0x42);
                signed(bytes, value);
            }
            Val::F32(bits) => {
                bytes.push(0x43);
                bytes.extend(bits.to_le_bytes());
            }
            Val::F64(bits) => {
                bytes.push(0x44);
                bytes.extend(bits.to_le_bytes());
            }
            Val::V128(value) => {
                bytes.extend([0xfd, 0x0c]);
                bytes.extend(value.as_u128().to_le_bytes());
            }
            _ => {}
        }
        bytes.push(0x0b);
    }
}

/// What a custom section begins with.
fn custom(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    text(&mut bytes, name);
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    unsigned(bytes, text.len() as u64);
    bytes.extend(text.as_bytes());
}
