//! A program that signs: it asks a KMS, an HSM or a TPM, and the key stays there.
//!
//! It gets what is to be signed on standard input, this process's variables and folder, and no
//! arguments; no shell reads its name. It answers with the 64 bytes of an Ed25519 signature on
//! standard output, and ends with 0. What it says on standard error is shown as it comes.
//! Guarantees that it ends, or is ended, within its time; without a terminal it is a group of
//! processes of its own, which ends whole. At a terminal it stays in the group of this program,
//! so that it can ask for a PIN.

use super::error::{Form, SignerError};
use bls_artifact::key::PublicKey;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

/// More than a signature in any form that somebody might answer with.
const ANSWER_BYTES_MAX: usize = 1024;
/// How often it is looked whether the program has ended.
const TICK: Duration = Duration::from_millis(20);

/// A program, and the key that it is expected to sign with.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    public: PublicKey,
    time: Duration,
}

impl Program {
    /// One that signs with this key, within this time.
    ///
    /// # Errors
    /// [`SignerError::Start`] where there is no such program.
    pub fn new(path: PathBuf, public: PublicKey, time: Duration) -> Result<Self, SignerError> {
        match find(&path) {
            Ok(()) => Ok(Self { path, public, time }),
            Err(error) => Err(SignerError::Start(path.display().to_string(), error)),
        }
    }

    /// The key it is expected to sign with.
    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// What it is called.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// What it answers, if that can be a signature: whose is not known yet.
    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        let mut command = Command::new(&self.path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // A terminal takes input from the group in its foreground alone.
        let alone = File::open("/dev/tty").is_err();
        if alone {
            command.process_group(0);
        }
        let started = command.spawn();
        let child = started.map_err(|error| SignerError::Start(self.name(), error))?;
        let mut running = Running { child, alone, ended: None };
        let answer = running.speak(message, self.time);
        let answer = answer.map_err(|error| match error.kind() {
            ErrorKind::TimedOut => SignerError::Time(self.name(), self.time),
            ErrorKind::FileTooLarge => SignerError::Form(self.name(), Form::TooMuch),
            _ => SignerError::Start(self.name(), error),
        })?;
        match running.ended.filter(|status| !status.success()) {
            Some(status) => Err(SignerError::Failed(self.name(), how(status))),
            None => signature(&answer).map_err(|form| SignerError::Form(self.name(), form)),
        }
    }
}

/// How a program ended, in words.
fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// The 64 bytes of a signature; else what it is.
fn signature(answer: &[u8]) -> Result<[u8; 64], Form> {
    if let Ok(signature) = answer.try_into() {
        return Ok(signature);
    }
    let text = answer.trim_ascii();
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
    Err(match text.len() {
        0 => Form::Empty,
        128 if text.iter().all(u8::is_ascii_hexdigit) => Form::Hex,
        86 | 88 if text.iter().all(is_base64) => Form::Base64,
        _ => Form::Bytes(answer.len()),
    })
}

/// Looks for a program the way it is started: by its path, or in the folders of `PATH`.
fn find(program: &Path) -> io::Result<()> {
    let look = |path: &Path| -> io::Result<()> {
        rustix::fs::access(path, Access::EXEC_OK)?;
        if path.is_file() { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
    };
    if program.components().count() != 1 || program.starts_with(".") || program.starts_with("/") {
        return look(program);
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let is_there = env::split_paths(&folders).any(|folder| look(&folder.join(program)).is_ok());
    if is_there { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
}

/// The program at work. It is gone when this is dropped.
struct Running {
    child: Child,
    /// Whether it has a group of processes of its own.
    alone: bool,
    ended: Option<ExitStatus>,
}

impl Running {
    /// Gives it the message, and takes what it answers until it ends.
    fn speak(&mut self, message: &[u8], time: Duration) -> io::Result<Vec<u8>> {
        let begin = Instant::now();
        let mut input = self.child.stdin.take();
        let mut output = self.child.stdout.take();
        input.iter().try_for_each(without_waiting)?;
        output.iter().try_for_each(without_waiting)?;
        let (mut rest, mut answer) = (message, Vec::new());
        loop {
            let left = time.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            wait(input.as_ref(), output.as_ref(), left.min(TICK))?;
            // Asked before the last look into the pipe: what it wrote before its end is there.
            self.ended = self.child.try_wait()?;
            if write_some(input.as_mut(), &mut rest)? {
                input = None;
            }
            if read_some(output.as_mut(), &mut answer)? {
                output = None;
            }
            if self.ended.is_some() {
                return Ok(answer);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let group = Pid::from_raw(self.child.id().cast_signed()).filter(|_| self.alone);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn without_waiting(pipe: &impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(pipe)?;
    Ok(fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?)
}

/// Waits until one of the two pipes can be used, and no longer than this.
fn wait(
    input: Option<&ChildStdin>,
    output: Option<&ChildStdout>,
    time: Duration,
) -> io::Result<()> {
    let mut polled = Vec::new();
    polled.extend(input.map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
    polled.extend(output.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    if polled.is_empty() {
        thread::sleep(time);
        return Ok(());
    }
    match poll(&mut polled, Timespec::try_from(time).ok().as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes what there is room for; whether that was the last of it.
fn write_some(pipe: Option<&mut ChildStdin>, rest: &mut &[u8]) -> io::Result<bool> {
    let Some(pipe) = pipe else { return Ok(false) };
    loop {
        if rest.is_empty() {
            return Ok(true);
        }
        match pipe.write(rest) {
            Ok(count) => *rest = &rest[count..],
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => return Ok(false),
                ErrorKind::Interrupted => {}
                // It does not want to read all of it: what it answers is judged all the same.
                ErrorKind::BrokenPipe => return Ok(true),
                _ => return Err(error),
            },
        }
    }
}

/// Reads what there is; whether that was the end.
fn read_some(pipe: Option<&mut ChildStdout>, answer: &mut Vec<u8>) -> io::Result<bool> {
    let Some(pipe) = pipe else { return Ok(false) };
    let mut buffer = [0; 256];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => return Ok(false),
                ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_64_bytes_or_named() {
        assert_eq!(signature(&[7; 64]), Ok([7; 64]));
        let base64 = [b"A".repeat(86), b"==".to_vec()].concat();
        for (answer, form) in [
            (b"".to_vec(), Form::Empty),
            (b"\n".to_vec(), Form::Empty),
            (base64.clone(), Form::Base64),
            ([&base64[..], b"\n"].concat(), Form::Base64),
            (b"0f".repeat(64), Form::Hex),
            (vec![7; 63], Form::Bytes(63)),
            (vec![7; 65], Form::Bytes(65)),
            ([&[7; 64][..], b"\n"].concat(), Form::Bytes(65)),
        ] {
            assert_eq!(signature(&answer), Err(form));
        }
    }

    #[test]
    fn a_program_is_looked_for_as_it_is_started() {
        assert!(find(Path::new("sh")).is_ok() && find(Path::new("/bin/sh")).is_ok());
        for none in ["/bin", "./sh", "no-such-program", "/etc/passwd", ""] {
            assert!(find(Path::new(none)).is_err(), "{none}");
        }
    }
}
