//! Asks programs who they are: `PROGRAM --ext_verify`, confined, in little time.

use super::image::Image;
use super::process::{Command, Running};
use bls_artifact::digest::Sha256;
use bls_artifact::extension::{Extension, INTRODUCTION_BYTES_MAX, Introduction};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::ffi::CString;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// The argument by which a program is asked.
const ASK: &str = "--ext_verify";
/// How long it may take.
const TIME: Duration = Duration::from_secs(2);
/// How many are asked at a time.
const AT_A_TIME: usize = 16;
/// How often it is seen whether one has ended.
const TICK: Duration = Duration::from_millis(20);
/// What one may take of memory, in bytes.
const MEMORY: u64 = 256 << 20;

/// One that was asked.
struct Asked {
    running: Running,
    answer: io::PipeReader,
    said: Vec<u8>,
    is_done: bool,
}

/// Asks one program.
///
/// # Errors
/// Why it is no extension, in words.
pub fn introduce(path: &Path, image: Image) -> Result<Introduction, String> {
    let mut answers = introduce_all(vec![(path, image)]);
    answers.pop().unwrap_or_else(|| Err("it was not asked".to_owned()))
}

/// Asks several, a few at a time: each answer, in their order.
pub(super) fn introduce_all(programs: Vec<(&Path, Image)>) -> Vec<Result<Introduction, String>> {
    let mut answers = Vec::new();
    let mut programs = programs.into_iter().peekable();
    while programs.peek().is_some() {
        let asked: Vec<_> =
            programs.by_ref().take(AT_A_TIME).map(|(path, image)| ask(path, image)).collect();
        answers.extend(hear(asked));
    }
    answers
}

fn ask(path: &Path, image: Image) -> Result<Asked, String> {
    let word = |bytes: &[u8]| CString::new(bytes).map_err(|error| error.to_string());
    let arguments = vec![word(path.as_os_str().as_bytes())?, word(ASK.as_bytes())?];
    let mut extension = Extension::new(String::new(), path.to_owned(), Sha256([0; 32]));
    extension.memory = MEMORY;
    extension.processes = 16;
    // Longer than it is waited for, so that it is not said to have said nothing.
    extension.time_ms = 2 * TIME.as_millis() as u64;
    let command = Command { extension, image, arguments, variables: Vec::new() };
    let start = || -> io::Result<(Running, io::PipeReader)> {
        let nothing = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
        let (answer, stdout) = io::pipe()?;
        let streams = [OwnedFd::from(nothing()?), OwnedFd::from(stdout), nothing()?.into()];
        Ok((Running::start(&command, streams)?, answer))
    };
    let (running, answer) = start().map_err(|error| format!("it does not start: {error}"))?;
    Ok(Asked { running, answer, said: Vec::new(), is_done: false })
}

/// Reads what they say until each has said it, or the time is over.
fn hear(mut all: Vec<Result<Asked, String>>) -> Vec<Result<Introduction, String>> {
    let deadline = Instant::now() + TIME;
    loop {
        let mut open: Vec<&mut Asked> =
            all.iter_mut().flatten().filter(|asked| !asked.is_done).collect();
        if open.is_empty() || Instant::now() >= deadline {
            break;
        }
        // What each says, and where it asks for another process.
        let ends = open.iter().map(|asked| asked.answer.as_fd());
        let ends = ends.chain(open.iter().filter_map(|asked| asked.running.asks()));
        let mut ready: Vec<PollFd<'_>> =
            ends.map(|end| PollFd::from_borrowed_fd(end, PollFlags::IN)).collect();
        let tick = Timespec { tv_sec: 0, tv_nsec: TICK.as_nanos() as _ };
        let _ = poll(&mut ready, Some(&tick));
        let is_ready: Vec<bool> = ready.iter().map(|one| !one.revents().is_empty()).collect();
        drop(ready);
        let (has_said, asks) = is_ready.split_at(open.len());
        let asking = open.iter().filter(|asked| asked.running.asks().is_some());
        for (asked, _) in asking.zip(asks).filter(|(_, asks)| **asks) {
            asked.running.answer();
        }
        for (asked, has_said) in open.iter_mut().zip(has_said.to_vec()) {
            // What it said is there before it has ended.
            let has_ended = asked.running.has_ended();
            if has_said {
                asked.read();
            } else if has_ended {
                asked.is_done = true;
            }
        }
    }
    let judge = |asked: Result<Asked, String>| {
        let asked = asked?;
        let (said, is_done) = (asked.said, asked.is_done);
        asked.running.end();
        if !is_done {
            return Err(format!("it did not answer {ASK} within {} seconds", TIME.as_secs()));
        }
        Introduction::parse(&said)
    };
    all.into_iter().map(judge).collect()
}

impl Asked {
    fn read(&mut self) {
        let mut piece = [0; 4096];
        match self.answer.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => self.is_done = true,
            Ok(count) => {
                self.said.extend(&piece[..count]);
                // Longer than it may be: parsing says so.
                self.is_done = self.said.len() > INTRODUCTION_BYTES_MAX;
            }
        }
    }
}
