//! `wasi:io/streams`: of files, of standard input, output and error, and of sockets.
//!
//! Nothing is kept back: what was written is written, so flushing has nothing to do. A file's
//! stream has an offset of its own. What must not wait asks first whether there is anything to
//! read; files never wait, and of the body of an answer it is not known. Of a socket it is asked
//! too whether there is room for what is written; where there is some, and not for all of it, the
//! rest waits. A stream that failed or came to its end is closed from then on.

use crate::files::File;
use crate::guest::{Caller, Record};
use crate::http::{Body, Received, Source};
use crate::objects::{self, Kind, Object};
#[cfg(network)]
use crate::poll::Ready;
use crate::poll::{self, Pollable};
use crate::preview1::{self, Errno};
#[cfg(network)]
use crate::sockets::Socket;
use crate::{handles, trap};
use alloc::rc::Rc;
use alloc::vec::Vec;

/// The most bytes that are read or written at once.
pub(crate) const PIECE: usize = 65536;
/// The most bytes of a write that waits, by the interface's own rule.
const BLOCKING_MAX: u32 = 4096;

/// Something to read.
pub(crate) struct Input {
    from: From,
    is_closed: bool,
}

/// Where it comes from.
enum From {
    Standard,
    /// Nothing.
    Nothing,
    /// So much of standard input: the body of a request.
    Request(u64),
    /// From an offset.
    File(Rc<File>, u64),
    /// The body of an answer.
    Answer(Received),
    #[cfg(network)]
    Socket(Rc<Socket>),
}

/// Something to write to.
pub(crate) struct Output {
    pub(crate) to: To,
    /// How many bytes the caller was told that it may write.
    permit: u64,
    is_closed: bool,
}

/// Where it goes.
pub(crate) enum To {
    /// Standard output or error, by its number.
    Standard(u32),
    /// To an offset.
    File(Rc<File>, u64),
    /// To the end of a file.
    End(Rc<File>),
    /// To whom a message with this body goes.
    Body(Rc<Body>),
    #[cfg(network)]
    Socket(Rc<Socket>),
}

impl Output {
    pub(crate) fn new(to: To) -> Self {
        Self { to, permit: 0, is_closed: false }
    }
}

/// Why a stream does not go on.
enum Stop {
    Failed(Errno),
    Closed,
}

impl core::convert::From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        // Nobody reads it any more.
        if errno == preview1::PIPE { Self::Closed } else { Self::Failed(errno) }
    }
}

/// Writes a `stream-error` into a result: its case at `at`, its error behind it.
fn stopped<const SIZE: usize>(caller: Caller, stop: Stop, at: usize) -> Record<SIZE> {
    let record = Record::new().u8(0, 1);
    match stop {
        Stop::Closed => record.u8(at, 1),
        Stop::Failed(errno) => {
            let error = handles::own(caller, Kind::Error, objects::insert(Object::Error(errno)));
            record.u32(at + 4, error)
        }
    }
}

/// `result<_, stream-error>`
fn answer(caller: Caller, to: u32, done: Result<(), Stop>) {
    let record: Record<12> = match done {
        Ok(()) => Record::new(),
        Err(stop) => stopped(caller, stop, 4),
    };
    caller.record(to, 4, &record);
}

/// `result<u64, stream-error>`
fn answer_count(caller: Caller, to: u32, done: Result<u64, Stop>) {
    let record: Record<16> = match done {
        Ok(count) => Record::new().u64(8, count),
        Err(stop) => stopped(caller, stop, 8),
    };
    caller.record(to, 8, &record);
}

/// `result<list<u8>, stream-error>`
fn answer_bytes(caller: Caller, to: u32, done: Result<Vec<u8>, Stop>) {
    let record: Record<12> = match done {
        Ok(bytes) => Record::new().list(4, (caller.give(&bytes), bytes.len() as u32)),
        Err(stop) => stopped(caller, stop, 4),
    };
    caller.record(to, 4, &record);
}

fn input(caller: Caller, handle: u32) -> &'static mut Input {
    match objects::get(handles::rep_of(caller, Kind::Input, handle)) {
        Object::Input(input) => input,
        _ => trap(),
    }
}

fn output(caller: Caller, handle: u32) -> &'static mut Output {
    match objects::get(handles::rep_of(caller, Kind::Output, handle)) {
        Object::Output(output) => output,
        _ => trap(),
    }
}

impl Input {
    pub(crate) fn standard() -> Self {
        Self { from: From::Standard, is_closed: false }
    }

    pub(crate) fn nothing() -> Self {
        Self { from: From::Nothing, is_closed: false }
    }

    pub(crate) fn of_body(source: Source) -> Self {
        let from = match source {
            Source::Request(length) => From::Request(length),
            Source::Answer(answer) => From::Answer(answer),
        };
        Self { from, is_closed: false }
    }

    pub(crate) fn of_file(file: Rc<File>, offset: u64) -> Self {
        Self { from: From::File(file, offset), is_closed: false }
    }

    #[cfg(network)]
    pub(crate) fn of_socket(socket: Rc<Socket>) -> Self {
        Self { from: From::Socket(socket), is_closed: false }
    }

    /// Whether a read may have to wait for standard input.
    fn waits(&self) -> bool {
        matches!(self.from, From::Standard | From::Request(1..))
    }

    /// The socket that a read may have to wait for.
    #[cfg(network)]
    fn socket(&self) -> Option<Ready> {
        match &self.from {
            From::Socket(socket) if !self.is_closed => Some(Ready::Read(socket.fd())),
            _ => None,
        }
    }

    /// Reads at most so many bytes; waits for the first one, where it may.
    fn read(&mut self, most: u64, may_wait: bool) -> Result<Vec<u8>, Stop> {
        if self.is_closed {
            return Err(Stop::Closed);
        }
        let most = most.min(PIECE as u64) as usize;
        if most == 0 || (!may_wait && self.waits() && !poll::input_is_ready()) {
            return Ok(Vec::new());
        }
        let mut bytes = alloc::vec![0; most];
        let read = match &mut self.from {
            From::Standard => preview1::read(0, &mut bytes, None),
            From::Nothing => Ok(0),
            From::Request(left) => {
                let most = most.min(usize::try_from(*left).unwrap_or(usize::MAX));
                let read = match bytes.get_mut(..most) {
                    // Behind the body there is nothing that is the program's.
                    Some([]) | None => Ok(0),
                    Some(bytes) => preview1::read(0, bytes, None),
                };
                *left -= *read.as_ref().unwrap_or(&0) as u64;
                read
            }
            From::File(file, offset) => {
                let read = preview1::read(file.fd(), &mut bytes, Some(*offset));
                *offset += *read.as_ref().unwrap_or(&0) as u64;
                read
            }
            From::Answer(answer) => answer.read(&mut bytes),
            #[cfg(network)]
            From::Socket(socket) => loop {
                match preview1::read(socket.fd(), &mut bytes, None) {
                    Err(preview1::AGAIN) if may_wait => Ready::Read(socket.fd()).wait(),
                    Err(preview1::AGAIN) => return Ok(Vec::new()),
                    read => break read,
                }
            },
        };
        let count = match read {
            Ok(0) => Err(Stop::Closed),
            read => read.map_err(Stop::from),
        };
        self.is_closed = count.is_err();
        bytes.truncate(count?);
        Ok(bytes)
    }
}

impl Output {
    /// Writes all of it.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if self.is_closed {
            return Err(Stop::Closed);
        }
        let done = self.write_open(bytes);
        self.is_closed = done.is_err();
        done
    }

    fn write_open(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        // Of nothing too it is asked whether it could be written.
        loop {
            let count = match &mut self.to {
                To::Standard(fd) => preview1::write(*fd, bytes, None)?,
                To::File(file, offset) => {
                    let count = preview1::write(file.fd(), bytes, Some(*offset))?;
                    *offset += count as u64;
                    count
                }
                To::End(file) => {
                    let end = preview1::file_stat(file.fd())?.size;
                    preview1::write(file.fd(), bytes, Some(end))?
                }
                To::Body(body) => return Ok(body.write(bytes)?),
                #[cfg(network)]
                To::Socket(socket) => match preview1::write(socket.fd(), bytes, None) {
                    Err(preview1::AGAIN) => {
                        Ready::Write(socket.fd()).wait();
                        continue;
                    }
                    written => written?,
                },
            };
            bytes = bytes.get(count..).unwrap_or_default();
            match (count, bytes.is_empty()) {
                (_, true) => return Ok(()),
                (0, false) => return Err(Stop::Closed),
                _ => {}
            }
        }
    }

    /// The socket that a write may have to wait for.
    #[cfg(network)]
    fn socket(&self) -> Option<Ready> {
        match &self.to {
            To::Socket(socket) if !self.is_closed => Some(Ready::Write(socket.fd())),
            _ => None,
        }
    }

    /// Nothing, while it is open.
    fn check(&self) -> Result<(), Stop> {
        if self.is_closed { Err(Stop::Closed) } else { Ok(()) }
    }

    /// Takes so much of what the caller was told that it may write.
    fn spend(&mut self, length: u64) {
        match self.permit.checked_sub(length) {
            Some(left) => self.permit = left,
            None if self.is_closed => {}
            None => trap(),
        }
    }

    fn write_zeroes(&mut self, mut length: u64) -> Result<(), Stop> {
        let zeroes = alloc::vec![0; length.min(PIECE as u64) as usize];
        while length > 0 {
            let piece = zeroes.get(..length.min(PIECE as u64) as usize).unwrap_or_default();
            self.write(piece)?;
            length -= piece.len() as u64;
        }
        Ok(())
    }
}

#[unsafe(export_name = "wasi:io/streams#[method]input-stream.read")]
extern "C" fn read(caller: Caller, this: u32, most: u64, to: u32) {
    let read = input(caller, this).read(most, false);
    answer_bytes(caller, to, read);
}

#[unsafe(export_name = "wasi:io/streams#[method]input-stream.blocking-read")]
extern "C" fn blocking_read(caller: Caller, this: u32, most: u64, to: u32) {
    let read = input(caller, this).read(most, true);
    answer_bytes(caller, to, read);
}

#[unsafe(export_name = "wasi:io/streams#[method]input-stream.skip")]
extern "C" fn skip(caller: Caller, this: u32, most: u64, to: u32) {
    let read = input(caller, this).read(most, false);
    answer_count(caller, to, read.map(|bytes| bytes.len() as u64));
}

#[unsafe(export_name = "wasi:io/streams#[method]input-stream.blocking-skip")]
extern "C" fn blocking_skip(caller: Caller, this: u32, most: u64, to: u32) {
    let read = input(caller, this).read(most, true);
    answer_count(caller, to, read.map(|bytes| bytes.len() as u64));
}

#[unsafe(export_name = "wasi:io/streams#[method]input-stream.subscribe")]
extern "C" fn subscribe_input(caller: Caller, this: u32) -> u32 {
    let stream = handles::rep_of(caller, Kind::Input, this);
    #[cfg(network)]
    if let Object::Input(input) = objects::get(stream)
        && let Some(socket) = input.socket()
    {
        return Pollable::of_socket(caller, stream, socket);
    }
    let waits = match objects::get(stream) {
        Object::Input(input) => input.waits() && !input.is_closed,
        _ => false,
    };
    Pollable::of(caller, stream, waits)
}

#[unsafe(export_name = "wasi:io/streams#[method]output-stream.check-write")]
extern "C" fn check_write(caller: Caller, this: u32, to: u32) {
    let output = output(caller, this);
    let open = output.check();
    #[cfg(network)]
    if output.socket().is_some_and(|socket| !socket.is_now()) {
        output.permit = 0;
        return answer_count(caller, to, Ok(0));
    }
    output.permit = if open.is_ok() { PIECE as u64 } else { 0 };
    answer_count(caller, to, open.map(|()| PIECE as u64));
}

#[unsafe(export_name = "wasi:io/streams#[method]output-stream.write")]
extern "C" fn write(caller: Caller, this: u32, from: u32, length: u32, to: u32) {
    let output = output(caller, this);
    output.spend(u64::from(length));
    let bytes = caller.bytes(from, length as usize);
    answer(caller, to, output.write(&bytes));
}

#[unsafe(export_name = "wasi:io/streams#[method]output-stream.blocking-write-and-flush")]
extern "C" fn blocking_write(caller: Caller, this: u32, from: u32, length: u32, to: u32) {
    let output = output(caller, this);
    if length > BLOCKING_MAX {
        trap();
    }
    let bytes = caller.bytes(from, length as usize);
    answer(caller, to, output.write(&bytes));
}

#[unsafe(export_name = "wasi:io/streams#[method]output-stream.flush")]
extern "C" fn flush(caller: Caller, this: u32, to: u32) {
    let open = output(caller, this).check();
    answer(caller, to, open);
}

#[unsafe(export_name = "wasi:io/streams#[method]output-stream.blocking-flush")]
extern "C" fn blocking_flush(caller: Caller, this: u32, to: u32) {
    let open = output(caller, this).check();
    answer(caller, to, open);
}

#[unsafe(export_name = "wasi:io/streams#[method]output-stream.subscribe")]
extern "C" fn subscribe_output(caller: Caller, this: u32) -> u32 {
    let stream = handles::rep_of(caller, Kind::Output, this);
    #[cfg(network)]
    if let Object::Output(output) = objects::get(stream)
        && let Some(socket) = output.socket()
    {
        return Pollable::of_socket(caller, stream, socket);
    }
    Pollable::of(caller, stream, false)
}

#[unsafe(export_name = "wasi:io/streams#[method]output-stream.write-zeroes")]
extern "C" fn write_zeroes(caller: Caller, this: u32, length: u64, to: u32) {
    let output = output(caller, this);
    output.spend(length);
    answer(caller, to, output.write_zeroes(length));
}

#[unsafe(export_name = "wasi:io/streams#[method]output-stream.blocking-write-zeroes-and-flush")]
extern "C" fn blocking_write_zeroes(caller: Caller, this: u32, length: u64, to: u32) {
    let output = output(caller, this);
    if length > u64::from(BLOCKING_MAX) {
        trap();
    }
    answer(caller, to, output.write_zeroes(length));
}

fn splice_some(
    caller: Caller,
    this: u32,
    from: u32,
    most: u64,
    may_wait: bool,
) -> Result<u64, Stop> {
    let output = handles::rep_of(caller, Kind::Output, this);
    let bytes = input(caller, from).read(most, may_wait)?;
    let Object::Output(output) = objects::get(output) else { trap() };
    output.write(&bytes)?;
    Ok(bytes.len() as u64)
}

#[unsafe(export_name = "wasi:io/streams#[method]output-stream.splice")]
extern "C" fn splice(caller: Caller, this: u32, from: u32, most: u64, to: u32) {
    answer_count(caller, to, splice_some(caller, this, from, most, false));
}

#[unsafe(export_name = "wasi:io/streams#[method]output-stream.blocking-splice")]
extern "C" fn blocking_splice(caller: Caller, this: u32, from: u32, most: u64, to: u32) {
    answer_count(caller, to, splice_some(caller, this, from, most, true));
}
