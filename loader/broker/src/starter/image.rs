//! A program as it is executed: what is hashed is what runs.
//!
//! The file is opened once; its bytes are hashed through that descriptor, and the descriptor is
//! executed. Whoever may write to the file could still change it in between: so where that is
//! anybody but root and the user, a copy of it in sealed memory is hashed and executed instead.

use bls_artifact::digest::{Hasher, Sha256};
use md5::Digest as _;
use rustix::fs::{FileType, MemfdFlags, Mode, OFlags, SealFlags};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Largest program, in bytes.
const PROGRAM_BYTES_MAX: u64 = 1 << 30;

/// An open program, and what it is.
#[derive(Debug)]
pub struct Image {
    file: File,
    /// The SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Their MD5, in hex.
    pub md5: String,
    /// Whether an interpreter reads it, which opens it by its number.
    pub is_script: bool,
}

/// Why a file is no program.
#[derive(Debug)]
pub enum ImageError {
    /// It cannot be opened or read.
    Io(io::Error),
    /// It is no file, or longer than 1 GiB.
    Kind,
    /// It is not executable for this user.
    NotExecutable,
}

impl fmt::Display for ImageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(formatter),
            Self::Kind => formatter.write_str("it is no file, or one of more than 1 GiB"),
            Self::NotExecutable => formatter.write_str("it is not executable (chmod +x)"),
        }
    }
}

impl std::error::Error for ImageError {}

impl From<io::Error> for ImageError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rustix::io::Errno> for ImageError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

impl AsFd for Image {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Image {
    /// Opens and hashes the program at `path`.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        // Not blocked by a pipe that nobody writes to.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let status = rustix::fs::fstat(&file)?;
        let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        if !is_file || status.st_size as u64 > PROGRAM_BYTES_MAX {
            return Err(ImageError::Kind);
        }
        if status.st_mode & 0o111 == 0 {
            return Err(ImageError::NotExecutable);
        }
        let own = rustix::process::geteuid().as_raw();
        let is_guarded =
            (status.st_uid == 0 || status.st_uid == own) && status.st_mode & 0o022 == 0;
        let file = if is_guarded { file } else { copied(file)? };
        Self::of(file)
    }

    fn of(mut file: File) -> Result<Self, ImageError> {
        let (mut sha256, mut md5) = (Hasher::default(), md5::Md5::new());
        let mut piece = vec![0; 64 << 10];
        let (mut total, mut start) = (0_u64, Vec::new());
        loop {
            let count = match file.read(&mut piece) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if count == 0 {
                break;
            }
            total += count as u64;
            if total > PROGRAM_BYTES_MAX {
                return Err(ImageError::Kind);
            }
            if start.len() < 2 {
                start.extend(&piece[..count.min(2)]);
            }
            sha256.update(&piece[..count]);
            md5.update(&piece[..count]);
        }
        file.rewind()?;
        let md5 = md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { file, sha256: sha256.finish(), md5, is_script: start.starts_with(b"#!") })
    }
}

/// The same bytes, where nobody can change them.
fn copied(mut file: File) -> Result<File, ImageError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Before Linux 6.3 there is no such flag, and all are executable.
    let memory = rustix::fs::memfd_create("extension", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("extension", flags))?;
    let mut memory = File::from(memory);
    let mut rest = (&mut file).take(PROGRAM_BYTES_MAX);
    io::copy(&mut rest, &mut memory)?;
    memory.flush()?;
    memory.rewind()?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&memory, seals)?;
    // A descriptor that was never open for writing, for else the kernel calls it busy.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&memory));
    let again = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(File::from(again))
}
