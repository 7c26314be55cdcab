//! `--jitdump`: a guest's functions, their code and, with `--debug-file`, their lines, in the form
//! that `perf inject --jit` reads (perf's `jitdump-specification.txt`, version 1).
//!
//! The file is `jit-PID.dump` in a folder that is named. It is made anew, follows no link, takes
//! the place of nothing, and only its owner reads it. It is written before the guest runs, and
//! stays. As with `--perf-map` the code is copied into the process's own memory, where perf looks
//! for it, and what functions are called is written as plain text. perf learns of the file by a
//! mapping of it, which this makes and nobody reads.

use crate::error::{Cause, StageError, printable, printable_name, printable_path};
use crate::program::debug_file::{DebugFile, DebugFileError};
use crate::sys;
use bls_artifact::debug::Begin;
use bls_artifact::demangle::readable;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use wasmtime::Module;

/// A dump that cannot be written.
#[derive(Debug)]
pub(crate) struct JitDumpError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for JitDumpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot make {}: {}", printable_path(&self.path), self.error)
    }
}

impl StageError for JitDumpError {
    const STAGE: &'static str = "jitdump";

    fn code(&self) -> &'static str {
        "jitdump.unwritable"
    }

    fn hint(&self) -> Option<String> {
        Some(match self.error.kind() {
            io::ErrorKind::AlreadyExists => format!(
                "it was left by an earlier process of that number: rm {}",
                printable_path(&self.path)
            ),
            _ => "name a folder that you can write, of a file system that is not noexec".into(),
        })
    }

    fn cause(&self) -> Cause {
        Cause::Failed
    }
}

/// Writes the dump of the code that a module has into a folder.
pub(crate) fn write(module: &Module, lines: &[Begin], folder: &Path) -> Result<(), JitDumpError> {
    let path = folder.join(format!("jit-{}.dump", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
    let written = file.and_then(|file| {
        let mut dump = Dump { to: BufWriter::new(&file), code: module.text(), index: 0 };
        dump.head()?;
        for function in module.functions() {
            let name = match &function.name {
                Some(name) => printable_name(&readable(name)),
                None => format!("function {}", function.index.as_u32()),
            };
            dump.function(&name, function.offset, function.len, lines)?;
        }
        dump.to.flush()?;
        drop(dump);
        sys::code::map_for_others(&file)
    });
    written.map_err(|error| JitDumpError { path, error })
}

/// All lines that a debug file knows; none without one.
pub(crate) fn lines(debug: Option<&DebugFile>) -> Result<Vec<Begin>, DebugFileError> {
    debug.map_or(Ok(Vec::new()), DebugFile::lines)
}

/// The dump as it is written. Its numbers are those of this machine.
struct Dump<'a> {
    to: BufWriter<&'a File>,
    code: &'a [u8],
    index: u64,
}

impl Dump<'_> {
    fn words(&mut self, words: &[u32]) -> io::Result<()> {
        words.iter().try_for_each(|word| self.to.write_all(&word.to_ne_bytes()))
    }

    fn longs(&mut self, longs: &[u64]) -> io::Result<()> {
        longs.iter().try_for_each(|long| self.to.write_all(&long.to_ne_bytes()))
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        self.to.write_all(text.as_bytes())?;
        self.to.write_all(&[0])
    }

    fn head(&mut self) -> io::Result<()> {
        /// "JiTD".
        const MAGIC: u32 = 0x4a69_5444;
        const VERSION: u32 = 1;
        const BYTES: u32 = 40;
        self.words(&[MAGIC, VERSION, BYTES, machine(), 0, std::process::id()])?;
        self.longs(&[now(), 0])
    }

    /// A function: its lines first, and then its code.
    fn function(
        &mut self,
        name: &str,
        offset: usize,
        length: usize,
        lines: &[Begin],
    ) -> io::Result<()> {
        const LOAD: u32 = 0;
        const LINES: u32 = 2;
        let begin = self.code.as_ptr().addr() as u64;
        let address = begin + offset as u64;
        let Some(code) = self.code.get(offset..offset + length) else { return Ok(()) };
        let from = lines.partition_point(|line| (line.offset as usize) < offset);
        let to = lines.partition_point(|line| (line.offset as usize) < offset + length);
        let own = &lines[from..to];
        if !own.is_empty() {
            // The file is somebody else's text, and ends with a zero byte here.
            let own: Vec<_> = own.iter().map(|line| (line, printable(&line.file))).collect();
            let bytes: usize = own.iter().map(|(_, file)| 16 + file.len() + 1).sum();
            self.words(&[LINES, bytes_of_record(16 + bytes)?])?;
            self.longs(&[now(), address, own.len() as u64])?;
            for (line, file) in own {
                self.longs(&[begin + u64::from(line.offset)])?;
                self.words(&[line.line, 0])?;
                self.text(&file)?;
            }
        }
        let bytes = 40 + name.len() + 1 + code.len();
        self.words(&[LOAD, bytes_of_record(bytes)?])?;
        self.longs(&[now()])?;
        self.words(&[std::process::id(), std::process::id()])?;
        self.longs(&[address, address, code.len() as u64, self.index])?;
        self.index += 1;
        self.text(name)?;
        self.to.write_all(code)
    }
}

/// Bytes of a record, the 16 that each begins with among them.
fn bytes_of_record(rest: usize) -> io::Result<u32> {
    u32::try_from(rest + 16).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// This machine's number in ELF.
fn machine() -> u32 {
    use object::elf;
    u32::from(match std::env::consts::ARCH {
        "x86_64" => elf::EM_X86_64,
        "aarch64" => elf::EM_AARCH64,
        "riscv64" => elf::EM_RISCV,
        "s390x" => elf::EM_S390,
        "arm" => elf::EM_ARM,
        _ => elf::EM_NONE,
    })
}

/// The clock that perf is told to take: `perf record -k mono`.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000) + u64::try_from(now.tv_nsec).unwrap_or(0)
}
