//! A process that runs guests, one at a time: made from the keeper, with its pools, and walled in
//! before its first request.
//!
//! It has one socket, to the front, and reads it as the front's words. Guarantees that a request
//! finds nothing of the one before: its guest comes from a pool, which gives each a memory as the
//! module says (`bls_loader::Pool`), and its descriptors, variables and streams are made for it.
//! It ends with its socket.

use crate::serving::{self, Serving};
use crate::sys;
use crate::wire::{self, Answer, How, LENGTH_BYTES, REASON_BYTES_MAX, STDERR_BYTES_MAX};
use bls_loader::outside::SharedBroker;
use bls_loader::{Error, Limit, Outcome, Wall};
use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, read, retry_on_intr, write};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// Bytes of a request's head, and of what a worker keeps between two requests.
const HEAD_BYTES_MAX: usize = 1 << 20;

/// The most bytes that a worker is sent, and that it sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) request: u64,
    pub(crate) output: u64,
}

/// Works until the front is gone. Says on `birth` that the wall stands, and what of it does not;
/// or why it cannot.
pub(crate) fn run(serving: &Serving, most: Most, socket: &OwnedFd, birth: OwnedFd) -> ! {
    let name = c"bls-serve: work";
    let _ = rustix::thread::set_name(name);
    let (said, broker) = match begin(serving, most, socket, &birth) {
        Ok((missing, broker)) => (missing, Some(broker)),
        Err(why) => (why, None),
    };
    let _ = write_all(&birth, said.as_bytes());
    drop(birth);
    let Some(broker) = broker else { sys::exit_now(1) };
    match work(serving, most, socket, broker.as_ref()) {
        End::Asked => sys::exit_now(0),
        End::WithItsBroker => sys::exit_now(WITH_ITS_BROKER),
    }
}

/// The exit code of a worker whose broker answers no more: another is made at once.
pub(crate) const WITH_ITS_BROKER: i32 = 3;

/// Why a worker ends.
enum End {
    /// The front is gone, or says what makes no sense.
    Asked,
    /// Its broker answers no more.
    WithItsBroker,
}

/// The first byte of what a worker says that begins to work; behind it, what its wall is without.
pub(crate) const BORN: char = '+';

fn begin(
    serving: &Serving,
    most: Most,
    socket: &OwnedFd,
    birth: &OwnedFd,
) -> Result<(String, Option<SharedBroker>), String> {
    let refused =
        |error: &Error| format!("{}\n{error}\n{}", error.code(), error.hint().unwrap_or_default());
    // While it may start a program.
    let broker = serving.start_broker().map_err(|error| refused(&error))?;
    silence().map_err(|error| format!("serve.process\ncannot open /dev/null: {error}\n"))?;
    // A request is there as it came, and as the guest reads it; output as it was written, and as
    // it is sent; and both as a buffer grows.
    let beside = most.request.saturating_mul(3).saturating_add(most.output.saturating_mul(4));
    let wall = serving.pools.iter().fold(Wall::new(), Wall::around);
    let wall = wall.keep(socket).keep(birth).beside(beside.saturating_add(8 << 20));
    let wall = broker.iter().fold(wall, Wall::asking);
    match wall.stand() {
        Ok(standing) => {
            let missing = standing.missing().iter();
            let missing: Vec<String> =
                missing.map(|(piece, why)| format!("{piece} ({why})")).collect();
            Ok((format!("{BORN}{}", missing.join(", ")), broker))
        }
        Err(error) => Err(refused(&error)),
    }
}

/// Nobody hears a worker but the front.
fn silence() -> Result<(), Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let null = rustix::fs::open("/dev/null", flags, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)
}

/// Answers, one request behind the other.
fn work(serving: &Serving, most: Most, socket: &OwnedFd, broker: Option<&SharedBroker>) -> End {
    let (mut frame, mut sent) = (Vec::new(), Vec::new());
    let longest =
        usize::try_from(most.request).unwrap_or(usize::MAX).saturating_add(HEAD_BYTES_MAX);
    while let Some(length) = receive(socket, &mut frame, longest) {
        let Some(request) = wire::Request::read(&frame[LENGTH_BYTES..LENGTH_BYTES + length]) else {
            return End::Asked;
        };
        let mut answer = answer(serving, &request, broker);
        // What it says next may be an answer to the guest before.
        answer.is_last = broker.is_some_and(|broker| !broker.answers());
        answer.write(&mut sent);
        if write_all(socket, &sent).is_err() {
            return End::Asked;
        }
        if answer.is_last {
            return End::WithItsBroker;
        }
        // What one large request took is given back.
        if frame.len() > HEAD_BYTES_MAX {
            frame = Vec::new();
        }
        sent.clear();
        sent.shrink_to(HEAD_BYTES_MAX);
    }
    End::Asked
}

/// Reads one frame; its length, or `None` where nothing comes any more, or more than may.
fn receive(socket: &OwnedFd, frame: &mut Vec<u8>, longest: usize) -> Option<usize> {
    const FIRST: usize = 16 << 10;
    let (mut filled, mut wanted) = (0, LENGTH_BYTES);
    if frame.len() < FIRST {
        frame.resize(FIRST, 0);
    }
    let mut length = None;
    while filled < wanted {
        if frame.len() < wanted {
            frame.resize(wanted, 0);
        }
        // The front sends nothing behind a frame before it is answered.
        let count = retry_on_intr(|| read(socket, &mut frame[filled..])).ok()?;
        if count == 0 {
            return None;
        }
        filled += count;
        if length.is_none() && filled >= LENGTH_BYTES {
            let behind = wire::length(frame).filter(|length| *length <= longest)?;
            (length, wanted) = (Some(behind), LENGTH_BYTES + behind);
        }
    }
    length
}

fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = retry_on_intr(|| write(to, bytes))?;
        bytes = bytes.get(count..).unwrap_or_default();
    }
    Ok(())
}

/// Runs a guest for a request.
fn answer(serving: &Serving, request: &wire::Request<'_>, broker: Option<&SharedBroker>) -> Answer {
    let begun = Instant::now();
    let pool = serving.routes.get(usize::from(request.route));
    let pool = pool.and_then(|index| serving.pools.get(*index));
    let Some(pool) = pool else {
        return Answer { reason: Bytes::from_static(b"there is no such route"), ..nothing() };
    };
    let ended = serving::runner(pool, &request.variables, request.body, broker).run();
    let microseconds = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    match ended {
        Err(error) => {
            let reason = format!("{error} (code {})", error.code());
            Answer { reason: bounded(reason, REASON_BYTES_MAX), microseconds, ..nothing() }
        }
        Ok(mut ended) => {
            let (how, code) = match &ended.outcome {
                Outcome::Exited(code) => (How::Exited, *code),
                Outcome::Trapped(_) => (How::Trapped, 0),
                Outcome::OutOfFuel => (How::OutOfFuel, 0),
                Outcome::Limit(Limit::Time, _) => (How::Time, 0),
                Outcome::Limit(..) => (How::Limit, 0),
                _ => (How::Refused, 0),
            };
            let reason = match how {
                How::Exited => Bytes::new(),
                _ => bounded(ended.outcome.to_string(), REASON_BYTES_MAX),
            };
            ended.stderr.truncate(STDERR_BYTES_MAX);
            Answer {
                is_last: false,
                how,
                code,
                fuel: ended.fuel.map(|fuel| (fuel.used, fuel.exact)),
                memory: ended.peak_memory,
                microseconds,
                reason,
                stderr: ended.stderr.into(),
                stdout: ended.stdout.into(),
            }
        }
    }
}

/// The answer of a guest that was not run.
fn nothing() -> Answer {
    Answer {
        is_last: false,
        how: How::Refused,
        code: 0,
        fuel: None,
        memory: 0,
        microseconds: 0,
        reason: Bytes::new(),
        stderr: Bytes::new(),
        stdout: Bytes::new(),
    }
}

fn bounded(mut text: String, most: usize) -> Bytes {
    text.truncate(text.floor_char_boundary(most));
    text.into()
}
