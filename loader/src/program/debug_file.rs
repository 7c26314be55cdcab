//! `--debug-file`: which lines of the source the frames of a trap are.
//!
//! The file is read before the guest runs, and bound to the image by its digest: one of another
//! artifact, or that is damaged, is refused. It is not signed, and trusted with words alone.

use crate::error::{StageError, printable_path};
use crate::program::say;
use crate::run::outcome::{Outcome, TrapReport};
use crate::verify::Facts;
use bls_artifact::debug::{Begin, DebugError, HEAD_BYTES, Head, find, lines};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Why a debug file is not used.
#[derive(Debug)]
pub(crate) struct DebugFileError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Unreadable(io::Error),
    Contents(DebugError),
}

impl fmt::Display for DebugFileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = printable_path(&self.path);
        match &self.why {
            Why::Unreadable(error) => write!(formatter, "cannot read {path}: {error}"),
            Why::Contents(error) => write!(formatter, "{path}: {error}"),
        }
    }
}

impl StageError for DebugFileError {
    const STAGE: &'static str = "debug";

    fn code(&self) -> &'static str {
        match &self.why {
            Why::Unreadable(_) => "debug.unreadable",
            Why::Contents(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match &self.why {
            Why::Unreadable(_) => "--debug-file takes a file that bls-compile wrote".into(),
            Why::Contents(error) => error.hint().into(),
        })
    }
}

/// What a debug file says of the image that runs.
#[derive(Debug)]
pub(crate) struct DebugFile {
    path: PathBuf,
    table: Vec<u8>,
}

impl DebugFile {
    /// Reads what a file says of the image.
    pub(crate) fn read(path: &Path, facts: &Facts) -> Result<Self, DebugFileError> {
        let of = |why| DebugFileError { path: path.to_owned(), why };
        let unreadable = |error| of(Why::Unreadable(error));
        let contents = |error| of(Why::Contents(error));
        let file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut first = Vec::new();
        (&file).take(HEAD_BYTES as u64).read_to_end(&mut first).map_err(unreadable)?;
        let mut head = vec![0; Head::length(&first).map_err(contents)?];
        let read = |bytes: &mut [u8], at| match file.read_exact_at(bytes, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(contents(DebugError::Length))
            }
            other => other.map_err(unreadable),
        };
        read(&mut head, 0)?;
        let head = Head::read(&head, length).map_err(contents)?;
        let (begin, record) = head.table_of(&facts.part().image.sha256).map_err(contents)?;
        // Not above the bytes that the file has.
        let bytes = usize::try_from(record.length).unwrap_or(usize::MAX);
        let mut table = Vec::new();
        let taken = table.try_reserve_exact(bytes);
        taken.map_err(|_| unreadable(io::ErrorKind::OutOfMemory.into()))?;
        table.resize(bytes, 0);
        read(&mut table, begin)?;
        record.check(&table).map_err(contents)?;
        Ok(Self { path: path.to_owned(), table })
    }

    /// All lines that the code has.
    pub(crate) fn lines(&self) -> Result<Vec<Begin>, DebugFileError> {
        let contents =
            |error| DebugFileError { path: self.path.clone(), why: Why::Contents(error) };
        lines(&self.table).map_err(contents)
    }

    /// Says of each frame of a trap where it is in its source. A file that cannot say so is named,
    /// and changes nothing else.
    pub(crate) fn fill_in(&self, outcome: &mut Outcome) {
        let Outcome::Trapped(TrapReport { frames, .. }) = outcome else { return };
        let offsets: Vec<u32> = frames.iter().filter_map(|frame| frame.offset).collect();
        match find(&self.table, &offsets) {
            Ok(found) => {
                let known = frames.iter_mut().filter(|frame| frame.offset.is_some());
                for (frame, found) in known.zip(found) {
                    // What is of another function was not written for this image.
                    frame.found = found.filter(|found| found.index == frame.function);
                }
            }
            Err(error) => {
                say(&format!("bls-load: debug: {}: {error}", printable_path(&self.path)));
            }
        }
    }
}
