//! The processes: takes the socket, reads the set-up, makes the starter, raises the wall,
//! answers until the socket ends.
//!
//! The socket is standard input, so that whoever starts this needs no more than any way to
//! start a program has. Standard output and errors are for nobody: what is wrong is an answer.

use crate::frame;
use crate::http::Authorities;
use crate::net::System;
use crate::session::{Extensions, Reply, Session};
use crate::{starter, sys, wall};
use bls_artifact::broker::{Answer, Reason, Refusal, Request, Setup};
use bls_artifact::limits::SETUP_BYTES_MAX;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::io::{self, Read as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Longest file of authorities, in bytes.
const AUTHORITIES_BYTES_MAX: u64 = 4 << 20;
/// How long the starter may take to end what it started.
const FAREWELL: Duration = Duration::from_secs(5);
/// Stack of the thread that waits for the socket's end, in bytes.
const STACK_BYTES: usize = 64 << 10;

/// Serves whoever holds the other end of standard input.
///
/// # Errors
/// Where that is no socket.
pub fn serve() -> io::Result<ExitCode> {
    let mut socket = socket()?;
    sys::ignore_signals_of_writes();
    let setup = match first(&mut socket) {
        Ok(Some(setup)) => setup,
        Ok(None) => return Ok(ExitCode::SUCCESS),
        Err(refusal) => return Ok(refuse(&mut socket, refusal)),
    };
    let authorities = match authorities(&setup) {
        Ok(authorities) => authorities,
        Err(refusal) => return Ok(refuse(&mut socket, refusal)),
    };
    let mut starter = match Starter::begin(&setup) {
        Ok(starter) => starter,
        Err(refusal) => return Ok(refuse(&mut socket, refusal)),
    };
    let mut keep = vec![socket.as_raw_fd()];
    keep.extend(starter.as_ref().map(|starter| starter.socket.as_raw_fd()));
    let missing = wall::front(&setup.net, &keep);
    let refusal = starter::refusal_of(&missing, "the broker").filter(|_| setup.require_sandbox);
    let ready = starter.as_mut().map_or(Ok(()), Starter::wait_until_ready);
    if let Some(refusal) = refusal.or(ready.err()) {
        let code = refuse(&mut socket, refusal);
        end(starter.as_ref().map(Starter::parts));
        return Ok(code);
    }
    if watch(&socket, starter.as_ref()).is_err()
        || frame::answer(&mut socket, (Answer::Done, vec![])).is_err()
    {
        end(starter.as_ref().map(Starter::parts));
        return Ok(ExitCode::FAILURE);
    }
    let extensions = starter.as_mut().map(|starter| starter as &mut dyn Extensions);
    let mut session = Session::new(System::default(), setup, authorities, extensions);
    while let Ok(Some(body)) = frame::receive(&mut socket) {
        let reply = match Request::decode(&body) {
            Ok(request) => {
                drop(body);
                session.answer(request)
            }
            Err(error) => (Answer::Refused(Refusal::new(Reason::Invalid, error)), Vec::new()),
        };
        if frame::answer(&mut socket, reply).is_err() {
            break;
        }
    }
    drop(session);
    end(starter.as_ref().map(Starter::parts));
    Ok(ExitCode::SUCCESS)
}

/// Takes the socket that is standard input, and puts nothing in its place.
fn socket() -> io::Result<UnixStream> {
    let stdin = io::stdin();
    let is_stream = rustix::net::sockopt::socket_type(stdin.as_fd())
        .is_ok_and(|kind| kind == rustix::net::SocketType::STREAM);
    let is_unix = rustix::net::sockopt::socket_domain(stdin.as_fd())
        .is_ok_and(|domain| domain == rustix::net::AddressFamily::UNIX);
    if !(is_stream && is_unix) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let socket = stdin.as_fd().try_clone_to_owned()?;
    let nothing = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    let socket = UnixStream::from(socket);
    socket.set_nonblocking(false)?;
    Ok(socket)
}

/// The set-up, which comes before anything else.
fn first(socket: &mut UnixStream) -> Result<Option<Setup>, Refusal> {
    let invalid = |error: &dyn std::fmt::Display| Refusal::new(Reason::Invalid, error);
    let Some(body) = frame::receive(socket).map_err(|error| invalid(&error))? else {
        return Ok(None);
    };
    if body.len() > SETUP_BYTES_MAX + 16 {
        return Err(invalid(&bls_artifact::broker::SetupError::Long));
    }
    match Request::decode(&body) {
        Ok(Request::Setup { text }) => {
            Setup::parse(&text).map(Some).map_err(|error| invalid(&error))
        }
        Ok(_) => Err(invalid(&"the set-up is the first request")),
        Err(error) => Err(invalid(&error)),
    }
}

fn authorities(setup: &Setup) -> Result<Authorities, Refusal> {
    let Some(path) = &setup.authorities else { return Ok(Authorities::default()) };
    let wrong = |error: &dyn std::fmt::Display| {
        Refusal::new(Reason::Failed, format_args!("{}: {error}", path.display()))
    };
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    file.take(AUTHORITIES_BYTES_MAX).read_to_end(&mut text).map_err(|error| wrong(&error))?;
    Authorities::with_pem(&text).map_err(|error| wrong(&error))
}

fn refuse(socket: &mut UnixStream, refusal: Refusal) -> ExitCode {
    // Where nobody hears it there is nobody to tell.
    let _ = frame::answer(socket, (Answer::Refused(refusal), Vec::new()));
    ExitCode::FAILURE
}

/// Ends this process as soon as the other end of the socket is gone, whatever it waits for.
fn watch(socket: &UnixStream, starter: Option<&Starter>) -> io::Result<()> {
    let socket = socket.try_clone()?;
    let starter = match starter {
        Some(starter) => Some((starter.socket.try_clone()?, starter.process)),
        None => None,
    };
    let wait = move || {
        loop {
            let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
            let mut ready = [PollFd::new(&socket, PollFlags::RDHUP)];
            let polled = poll(&mut ready, None);
            if polled.is_ok() && ready[0].revents().intersects(gone) {
                end(starter.as_ref().map(|(socket, process)| (socket, *process)));
                sys::exit_now(0);
            }
        }
    };
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(wait).map(drop)
}

/// Has the starter end what it started, and waits until it is gone too.
fn end(starter: Option<(&UnixStream, Pid)>) {
    let Some((socket, process)) = starter else { return };
    let _ = socket.shutdown(Shutdown::Both);
    let deadline = Instant::now() + FAREWELL;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    while matches!(waitid(WaitId::Pid(process), options), Ok(None)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The front's end of the starter.
#[derive(Debug)]
struct Starter {
    socket: UnixStream,
    process: Pid,
}

impl Starter {
    /// Makes the second process, where extensions are granted.
    fn begin(setup: &Setup) -> Result<Option<Self>, Refusal> {
        let Some(from) = &setup.extensions else { return Ok(None) };
        let failed = |error: io::Error| Refusal::new(Reason::Failed, error);
        let (socket, other) = UnixStream::pair().map_err(failed)?;
        match sys::fork().map_err(failed)? {
            Some(process) => Ok(Some(Self { socket, process })),
            None => {
                // The host's end is the front's: here it is closed with the other descriptors.
                drop(socket);
                starter::serve(other, from, setup.require_sandbox, setup.limits.handles);
                sys::exit_now(0);
            }
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), Refusal> {
        match self.receive()? {
            (Answer::Done, _) => Ok(()),
            (Answer::Refused(refusal), _) => Err(refusal),
            _ => Err(gone()),
        }
    }

    fn receive(&mut self) -> Result<Reply, Refusal> {
        let (body, descriptors) = frame::receive_all(&mut self.socket).map_err(|_| gone())?;
        let answer = Answer::decode(&body).map_err(|_| gone())?;
        if descriptors.len() != answer.descriptors() {
            return Err(gone());
        }
        Ok((answer, descriptors))
    }

    fn parts(&self) -> (&UnixStream, Pid) {
        (&self.socket, self.process)
    }
}

fn gone() -> Refusal {
    Refusal::new(Reason::Failed, "the process that starts extensions has ended")
}

impl Extensions for Starter {
    fn ask(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let frame = request.encode().map_err(|error| Refusal::new(Reason::Invalid, error))?;
        frame::send(&mut self.socket, &frame, &[]).map_err(|_| gone())?;
        match self.receive()? {
            (Answer::Refused(refusal), _) => Err(refusal),
            reply => Ok(reply),
        }
    }
}
