//! A process of `bls-broker`, and the conversation with it (BROKER.md).
//!
//! Guarantees that a frame is no longer than the protocol allows before room is made for it,
//! that no descriptor comes in but those that an answer brings, and that a broker which ends,
//! or says what makes no sense, is an error and no wait. After it was started it needs three
//! system calls (`sendto`, `recvmsg`, `poll`), so that it works behind the wall. Opens no
//! connection itself.

use super::{Outside, Reply};
use crate::error::{Cause, Error, StageError};
use crate::sys::interrupt;
use crate::sys::process::Process;
use bls_artifact::broker::{Answer, LENGTH_BYTES, Request, Setup, frame_length};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags,
    SocketType, recvmsg, send, socketpair,
};
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// Most descriptors that come with one answer: those of an extension's streams.
const DESCRIPTORS_MAX: usize = 3;

/// Why there is no broker.
#[derive(Debug)]
pub(crate) enum BrokerError {
    /// Nobody knows where this program is, and so what is beside it.
    NotFound(io::Error),
    /// It cannot be started.
    Start(PathBuf, io::Error),
    /// What it may do cannot be said in its words.
    Setup(String),
    /// It ended, or said nothing that makes sense, before it was ready.
    Silent(PathBuf, io::Error),
    /// It does not do what it is asked to: why.
    Refused(String),
}

impl fmt::Display for BrokerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(error) => {
                write!(formatter, "where bls-broker is cannot be told: {error}")
            }
            Self::Start(path, error) => {
                write!(formatter, "cannot start {}: {error}", path.display())
            }
            Self::Setup(what) => {
                write!(formatter, "the broker cannot be told what it may do: {what}")
            }
            Self::Silent(path, error) => {
                write!(formatter, "{} does not answer: {error}", path.display())
            }
            Self::Refused(what) => write!(formatter, "the broker refuses: {what}"),
        }
    }
}

impl std::error::Error for BrokerError {}

impl StageError for BrokerError {
    const STAGE: &'static str = "broker";

    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::Start(..) => "broker.start",
            Self::Setup(_) | Self::Refused(_) => "broker.refused",
            Self::Silent(..) => "broker.silent",
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Start(_, error) => Cause::of_named_io(error),
            Self::NotFound(_) | Self::Silent(..) => Cause::Failed,
            Self::Setup(_) | Self::Refused(_) => Cause::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound(_) | Self::Start(..) => {
                "put bls-broker beside this program, or name it: --broker PATH".into()
            }
            Self::Setup(_) => "see the paths behind --extensions and --authorities".into(),
            Self::Silent(..) => {
                "use the bls-broker of this release; what it says on stderr says more".into()
            }
            Self::Refused(_) => "mend what it names; bls-broker --help says more".into(),
        })
    }
}

/// The broker that is looked for where none is named: beside this program.
pub(crate) fn beside() -> Result<PathBuf, BrokerError> {
    let own = std::env::current_exe().map_err(BrokerError::NotFound)?;
    Ok(own.with_file_name("bls-broker"))
}

/// A process of `bls-broker` that answers for one guest. It ends when this is dropped, with
/// whatever it started.
#[derive(Debug)]
pub struct Broker {
    socket: OwnedFd,
    /// `None` when it is not ours to wait for.
    process: Option<Process>,
}

impl Broker {
    /// Starts `program`, which may do what `setup` says, and waits until it is ready. It gets no
    /// variables of this process's environment; what it has to say goes to standard error.
    ///
    /// # Errors
    /// It cannot be started, does not answer, or does not do what it is told to.
    pub fn new(program: &Path, setup: &Setup) -> Result<Self, Error> {
        Ok(Self::start(program, setup)?)
    }

    /// The program that is looked for where none is named: `bls-broker` beside this one.
    ///
    /// # Errors
    /// Where the system does not say where this one is.
    pub fn beside_this_program() -> Result<PathBuf, Error> {
        Ok(beside()?)
    }

    pub(crate) fn start(program: &Path, setup: &Setup) -> Result<Self, BrokerError> {
        let failed = |error| BrokerError::Start(program.to_owned(), error);
        let text = setup.to_text().map_err(|error| BrokerError::Setup(error.to_string()))?;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(|error| failed(error.into()))?;
        let process =
            Process::start(program, &[OsStr::new("serve")], &[theirs.as_fd()]).map_err(failed)?;
        drop(theirs);
        let mut broker = Self { socket: ours, process: Some(process) };
        match broker.ask(&Request::Setup { text }) {
            Ok(Reply { answer: Answer::Done, .. }) => Ok(broker),
            Ok(Reply { answer: Answer::Refused(refusal), .. }) => {
                Err(BrokerError::Refused(refusal.text))
            }
            Ok(_) => Err(BrokerError::Silent(program.to_owned(), nonsense())),
            Err(error) => Err(BrokerError::Silent(program.to_owned(), error)),
        }
    }

    /// Does not end it: it ends when this process does.
    pub(crate) fn detach(&mut self) {
        self.process = None;
    }

    /// The descriptor over which it is asked.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Reads into all of `place`; descriptors that come with it are added to `descriptors`.
    fn receive(&self, place: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<()> {
        let mut filled = 0;
        while filled < place.len() {
            let mut space =
                [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut buffers = [IoSliceMut::new(&mut place[filled..])];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received = match recvmsg(&self.socket, &mut buffers, &mut ancillary, flags) {
                Err(error) => {
                    self.wait(error, PollFlags::IN)?;
                    continue;
                }
                Ok(received) => received,
            };
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    descriptors.extend(rights);
                }
            }
            if descriptors.len() > DESCRIPTORS_MAX {
                return Err(nonsense());
            }
            if received.bytes == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has ended"));
            }
            filled += received.bytes;
        }
        Ok(())
    }

    fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Err(error) => self.wait(error, PollFlags::OUT)?,
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// What a call that did not move bytes means: it is to be done again, or an error. A guest
    /// that is to be stopped waits no longer.
    fn wait(&self, error: Errno, ready: PollFlags) -> io::Result<()> {
        match error {
            Errno::AGAIN => {
                let mut sockets = [PollFd::from_borrowed_fd(self.socket.as_fd(), ready)];
                match poll(&mut sockets, None) {
                    Err(Errno::INTR) if !interrupt::is_wanted() => Ok(()),
                    other => Ok(other.map(drop)?),
                }
            }
            Errno::INTR if !interrupt::is_wanted() => Ok(()),
            other => Err(other.into()),
        }
    }
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what it says makes no sense")
}

impl Outside for Broker {
    fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        let frame = match request.encode() {
            Ok(frame) => frame,
            // Longer than anything that is asked.
            Err(error) => {
                use super::{Reason, Refusal};
                return Ok(Answer::Refused(Refusal::new(Reason::TooLong, error)).into());
            }
        };
        self.send(&frame)?;
        drop(frame);
        let mut descriptors = Vec::new();
        let mut length = [0; LENGTH_BYTES];
        self.receive(&mut length, &mut descriptors)?;
        let length = frame_length(length).map_err(|_| nonsense())?;
        let mut body = vec![0; length];
        self.receive(&mut body, &mut descriptors)?;
        let answer = Answer::decode(&body).map_err(|_| nonsense())?;
        Ok(Reply { answer, descriptors })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It ends when nobody is there to ask, and what it started with it: killed, it could not
        // see to that.
        if let Some(process) = self.process.take() {
            let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
            process.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bls_artifact::broker::{Reason, Refusal};
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, sendmsg};
    use std::io::{IoSlice, Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::thread;

    /// A broker that is `answer`: what it reads and writes.
    fn against(answer: impl FnOnce(UnixStream) + Send + 'static) -> Broker {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let _ = thread::spawn(move || answer(theirs));
        Broker { socket: ours.into(), process: None }
    }

    fn read_request(stream: &mut UnixStream) -> Request {
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut body = vec![0; frame_length(length).unwrap()];
        stream.read_exact(&mut body).unwrap();
        Request::decode(&body).unwrap()
    }

    #[test]
    fn a_question_gets_its_answer_in_pieces() {
        let mut broker = against(|mut stream| {
            assert_eq!(read_request(&mut stream), Request::Read { handle: 7, max: 100_000 });
            let frame = Answer::Bytes(vec![b'x'; 100_000]).encode().unwrap();
            for piece in frame.chunks(3333) {
                stream.write_all(piece).unwrap();
            }
        });
        let reply = broker.ask(&Request::Read { handle: 7, max: 100_000 }).unwrap();
        assert_eq!(reply.answer, Answer::Bytes(vec![b'x'; 100_000]));
        assert!(reply.descriptors.is_empty());
    }

    #[test]
    fn descriptors_come_with_an_answer() {
        let mut broker = against(|mut stream| {
            let _ = read_request(&mut stream);
            let frame = Answer::Started { handle: 1, output_max: 9 }.encode().unwrap();
            let passed = [stream.as_fd(), stream.as_fd(), stream.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&passed)));
            let bytes = [IoSlice::new(&frame)];
            let sent = sendmsg(&stream, &bytes, &mut ancillary, SendFlags::empty()).unwrap();
            assert_eq!(sent, frame.len());
        });
        let start = Request::Start { alias: "a".into(), arguments: vec![], variables: vec![] };
        assert_eq!(broker.ask(&start).unwrap().descriptors.len(), 3);
    }

    #[test]
    fn a_broker_that_ends_or_talks_nonsense_is_an_error() {
        let ask = |answer: &'static [u8]| {
            let mut broker = against(move |mut stream| {
                let _ = read_request(&mut stream);
                stream.write_all(answer).unwrap();
            });
            broker.ask(&Request::Extensions).map(|reply| reply.answer)
        };
        let ended = ask(b"").unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
        assert!(ask(b"\x05\0\0\0\x01").is_err(), "cut off");
        assert!(ask(b"\xff\xff\xff\xff\x01").is_err(), "longer than a frame");
        assert!(ask(b"\x01\0\0\0\x63").is_err(), "no such answer");
        assert!(ask(b"\x02\0\0\0\x02\x02").is_err(), "more than an answer");
        assert_eq!(ask(b"\x01\0\0\0\x02").unwrap(), Answer::Done);
    }

    #[test]
    fn what_is_too_long_to_ask_is_refused_here() {
        let mut broker = against(drop);
        let params = vec![b' '; bls_artifact::limits::FRAME_BYTES_MAX];
        let reply = broker.ask(&Request::HttpRpc { params, max: 1 }).unwrap();
        let is_long = |refusal: &Refusal| refusal.reason == Reason::TooLong;
        assert!(matches!(reply.answer, Answer::Refused(refusal) if is_long(&refusal)));
    }
}
