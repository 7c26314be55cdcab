//! `bls-compile symbolize`: which lines of the source the frames of a trap are, where whoever ran
//! the artifact had no debug file.
//!
//! Reads a report, or text in which lines of bls-load's stand: a frame ends with its place,
//! `(IMAGE+0xOFFSET)`, which names the image by its first digits. Guarantees that a debug file of
//! another image is refused, and that nothing of either input reaches a terminal but as plain
//! text. Both are strangers', and nothing is decided by them.

use super::{Failure, print};
use crate::program::cli::Symbolize;
use bls_artifact::debug::{DebugError, Found, Head, find};
use bls_artifact::demangle::readable;
use bls_artifact::digest::Sha256;
use bls_artifact::text::{printable, printable_name};
use serde_json::Value;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The most bytes of a report or a log.
const TEXT_BYTES_MAX: u64 = 256 << 20;
/// The most bytes of a debug file.
const FILE_BYTES_MAX: u64 = 8 << 30;
/// The most frames of a text that are looked up.
const FRAMES_MAX: usize = 1 << 16;
/// So many digits stand for an image.
const DIGITS: usize = 8;

/// Why nothing is said of frames.
#[derive(Debug)]
enum SymbolizeError {
    /// A file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// A report has no places of frames.
    NoFrames(PathBuf),
    /// A debug file is about these images, and a text about one whose digest begins so.
    OtherImage(PathBuf, Vec<Sha256>, String),
    /// A debug file is none for this.
    File(PathBuf, DebugError),
}

impl fmt::Display for SymbolizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::NoFrames(path) => {
                write!(f, "{} has no frames with places in an image", path.display())
            }
            Self::OtherImage(path, has, digits) => {
                let has: Vec<String> = has.iter().map(ToString::to_string).collect();
                let (path, has) = (path.display(), has.join(", "));
                write!(f, "{path}: it is about the image {has}, and the text about {digits}…")
            }
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl SymbolizeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(..) => "symbolize.unreadable",
            Self::NoFrames(_) => "symbolize.no-frames",
            Self::OtherImage(..) => "symbolize.other-image",
            Self::File(_, error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable(..) => "see bls-compile help symbolize",
            Self::NoFrames(_) => {
                "a report has them where the guest trapped, without --deterministic"
            }
            Self::OtherImage(..) => "take the one that was written with this artifact",
            Self::File(_, error) => error.hint(),
        }
    }
}

impl From<SymbolizeError> for Failure {
    fn from(error: SymbolizeError) -> Self {
        Self::new("symbolize", error.code(), &error, Some(error.hint().to_owned()))
    }
}

pub(super) fn run(arguments: &Symbolize) -> Result<(), Failure> {
    let path = &arguments.debug_file;
    let file = read(path, FILE_BYTES_MAX)?;
    let head = Head::read(&file, file.len() as u64).map_err(|error| refused(path, error))?;
    let debug = Debug { path, file: &file, head };
    let bytes = read(&arguments.report, TEXT_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    match serde_json::from_str::<Value>(&text) {
        Ok(report) if report.is_object() => print(&debug.report(&report, &arguments.report)?),
        _ => print(&debug.text(&text)?),
    }
}

/// A file, or standard input, whole.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let unreadable = |error| SymbolizeError::Unreadable(path.to_owned(), error);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(most + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
    };
    read.map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(unreadable(io::ErrorKind::FileTooLarge.into()).into());
    }
    Ok(bytes)
}

fn refused(path: &Path, error: DebugError) -> Failure {
    SymbolizeError::File(path.to_owned(), error).into()
}

/// A debug file that was read.
struct Debug<'a> {
    path: &'a Path,
    file: &'a [u8],
    head: Head,
}

impl Debug<'_> {
    /// What is known of places in the code of an image.
    fn find(&self, image: &Sha256, offsets: &[u32]) -> Result<Vec<Option<Found>>, DebugError> {
        let (begin, record) = self.head.table_of(image)?;
        // The head was read: the file has it.
        let table = self.file.get(begin as usize..(begin + record.length) as usize);
        let table = table.ok_or(DebugError::Length)?;
        record.check(table)?;
        find(table, offsets)
    }

    /// A report in words.
    fn report(&self, report: &Value, path: &Path) -> Result<String, Failure> {
        let no_frames = || Failure::from(SymbolizeError::NoFrames(path.to_owned()));
        let trap = &report["outcome"]["trap"];
        let image = report["artifact"]["image_sha256"].as_str().and_then(Sha256::from_hex);
        let (Some(frames), Some(image)) = (trap["frames"].as_array(), image) else {
            return Err(no_frames());
        };
        let offset = |frame: &Value| u32::try_from(frame["offset"].as_u64()?).ok();
        let frames: Vec<(&Value, u32)> =
            frames.iter().filter_map(|frame| Some((frame, offset(frame)?))).collect();
        if frames.is_empty() {
            return Err(no_frames());
        }
        let offsets: Vec<u32> = frames.iter().map(|(_, offset)| *offset).collect();
        let found = self.find(&image, &offsets).map_err(|error| refused(self.path, error))?;
        let mut text = format!("trap: {}\n", printable(trap["message"].as_str().unwrap_or("")));
        for (number, ((frame, _), found)) in frames.iter().zip(found).enumerate() {
            let word = if number == 0 { "in" } else { "called by" };
            text += &format!("  {word} function {}", frame["function"].as_u64().unwrap_or(0));
            if let Some(name) = frame["name"].as_str() {
                text += &format!(" {}", printable_name(&readable(name)));
            }
            text.push('\n');
            text += &below(found.as_ref());
        }
        Ok(text)
    }

    /// A text again, with lines of the source below each frame.
    fn text(&self, text: &str) -> Result<String, Failure> {
        let mut shown = String::new();
        let mut other = None;
        let mut is_found = false;
        for (number, line) in text.lines().enumerate() {
            shown += &printable(line);
            shown.push('\n');
            let Some((digits, offset)) = frame(line).filter(|_| number < FRAMES_MAX) else {
                continue;
            };
            let images = self.head.records.iter().map(|record| record.image);
            let mut images = images.filter(|image| image.to_string().starts_with(digits));
            let Some(image) = images.next() else {
                other = other.or(Some(digits));
                continue;
            };
            let found = self.find(&image, &[offset]).map_err(|error| refused(self.path, error))?;
            shown += &below(found[0].as_ref());
            is_found = true;
        }
        match other.filter(|_| !is_found) {
            None => Ok(shown),
            // Where everything is about something else, it is the wrong file.
            Some(digits) => {
                let has = self.head.records.iter().map(|record| record.image).collect();
                let path = self.path.to_owned();
                Err(SymbolizeError::OtherImage(path, has, digits.to_owned()).into())
            }
        }
    }
}

/// What stands below a frame.
fn below(found: Option<&Found>) -> String {
    found.into_iter().flat_map(Found::shown).map(|line| format!("      {line}\n")).collect()
}

/// The place at the end of a line: the first digits of an image, and the offset into its code.
fn frame(line: &str) -> Option<(&str, u32)> {
    let place = line.trim_end().strip_suffix(')')?;
    let (_, place) = place.rsplit_once('(')?;
    let (digits, offset) = place.split_once("+0x")?;
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits.len() != DIGITS || !is_hex(digits) || !is_hex(offset) {
        return None;
    }
    u32::from_str_radix(offset, 16).ok().map(|offset| (digits, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_at_the_end_of_lines() {
        assert_eq!(frame("  called by function 1 f (0123abcd+0x1f)"), Some(("0123abcd", 0x1f)));
        assert_eq!(frame("x (1)(0123abcd+0x1f)  \r"), Some(("0123abcd", 0x1f)));
        for other in [
            "",
            "(0123abcd+0x1f",
            "(0123abc+0x1f)",
            "(0123abcd+0x)",
            "(0123abcd+0x123456789)",
            "(0123abcg+0x1f)",
            "(0123abcd+1f)",
        ] {
            assert_eq!(frame(other), None, "{other}");
        }
    }
}
