//! The process that starts extensions: it speaks with the front only, in the same frames.
//!
//! ```text
//! registry or folder ─ programs ─► which program an alias is, and what it may do
//! Start ─ programs ─ process ─► a process of its own: confined, in its own group
//! ```
//!
//! One thread, which sleeps while nothing is asked for and nothing runs. Guarantees that every
//! program it started is killed, with all that this has started, when its time is over, at
//! Close, and when the front's socket ends; and that what is executed is what was hashed.

mod family;
pub mod image;
mod introduce;
mod process;
mod programs;

pub use introduce::introduce;
pub use programs::{Folder, Programs, ProgramsError, read_registry};

use crate::frame;
use crate::session::Reply;
use crate::sys;
use crate::wall::{self, Missing};
use bls_artifact::broker::{Answer, ExtensionsFrom, Reason, Refusal, Request};
use process::Running;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How often it looks at what runs.
const TICK: Duration = Duration::from_millis(100);

/// Reads what there is, gives up the rest, says so, and starts what it is asked for until the
/// socket ends.
pub fn serve(mut socket: UnixStream, from: &ExtensionsFrom, demanded: bool, most: u32) {
    // The front ends by them, and this process with the front.
    sys::ignore_signals_of_ends();
    let programs = match Programs::read(from) {
        Ok(programs) => programs,
        Err(error) => {
            let refusal = Refusal::new(Reason::Failed, error);
            return drop(frame::answer(&mut socket, (Answer::Refused(refusal), Vec::new())));
        }
    };
    // What an extension leaves behind becomes a child of this process.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let missing = confine(&programs, &socket);
    let ready = match refusal_of(&missing, "the process that starts extensions") {
        Some(refusal) if demanded => Answer::Refused(refusal),
        _ => Answer::Done,
    };
    let goes_on = ready == Answer::Done;
    if frame::answer(&mut socket, (ready, Vec::new())).is_err() || !goes_on {
        return;
    }
    let mut starter = Starter { programs, running: BTreeMap::new(), next: 1, most };
    starter.serve(&mut socket);
    for running in starter.running.into_values() {
        running.end();
    }
}

/// What is missing of a wall, as a refusal.
#[must_use]
pub fn refusal_of(missing: &Missing, whose: &str) -> Option<Refusal> {
    let words: Vec<String> =
        missing.iter().map(|(what, error)| format!("{what} ({error})")).collect();
    (!words.is_empty()).then(|| {
        let text = format!("a sandbox is demanded, and {whose} is without {}", words.join(", "));
        Refusal::new(Reason::Failed, text)
    })
}

fn confine(programs: &Programs, socket: &UnixStream) -> Missing {
    let (paths, read, write) = programs.uses();
    let uses = wall::Uses {
        programs: &paths,
        read: &read,
        write: &write,
        network: programs.any_network(),
    };
    wall::starter(&uses, &[socket.as_raw_fd()])
}

/// The state between requests.
#[derive(Debug)]
struct Starter {
    programs: Programs,
    running: BTreeMap<u32, Running>,
    next: u32,
    most: u32,
}

impl Starter {
    fn serve(&mut self, socket: &mut UnixStream) {
        loop {
            let timeout = (!self.running.is_empty())
                .then(|| Timespec { tv_sec: 0, tv_nsec: TICK.as_nanos() as _ });
            // Whoever asks for another process waits for the answer.
            let mut ready = vec![PollFd::new(&*socket, PollFlags::IN)];
            let asking: Vec<&Running> =
                self.running.values().filter(|running| running.asks().is_some()).collect();
            let ends = asking.iter().filter_map(|running| running.asks());
            ready.extend(ends.map(|end| PollFd::from_borrowed_fd(end, PollFlags::IN)));
            if poll(&mut ready, timeout.as_ref()).is_err_and(|error| error != Errno::INTR) {
                return;
            }
            let is_ready = |one: &PollFd<'_>| !one.revents().is_empty();
            for (running, _) in asking.iter().zip(&ready[1..]).filter(|(_, one)| is_ready(one)) {
                running.answer();
            }
            if is_ready(&ready[0]) {
                drop((ready, asking));
                let Ok(Some(body)) = frame::receive(socket) else { return };
                let reply = match Request::decode(&body) {
                    Ok(request) => self.reply(&request),
                    Err(error) => Err(Refusal::new(Reason::Invalid, error)),
                };
                let refused = |refusal| (Answer::Refused(refusal), Vec::new());
                if frame::answer(socket, reply.unwrap_or_else(refused)).is_err() {
                    return;
                }
            }
            let now = Instant::now();
            for running in self.running.values_mut() {
                running.look(now);
            }
        }
    }

    fn reply(&mut self, request: &Request) -> Result<Reply, Refusal> {
        match request {
            Request::Extensions => Ok((Answer::List(self.programs.list()), Vec::new())),
            Request::Start { alias, arguments, variables } => {
                if self.running.len() >= self.most as usize {
                    return Err(Refusal::new(Reason::TooMany, "too many extensions run"));
                }
                self.start(alias, arguments, variables)
            }
            Request::Close { handle } => match self.running.remove(handle) {
                Some(running) => {
                    running.end();
                    Ok((Answer::Done, Vec::new()))
                }
                None => Err(Refusal::new(Reason::UnknownHandle, "no such extension runs")),
            },
            _ => Err(Refusal::new(Reason::Invalid, "this process starts extensions only")),
        }
    }

    fn start(
        &mut self,
        alias: &str,
        arguments: &[String],
        variables: &[(String, String)],
    ) -> Result<Reply, Refusal> {
        let command = self.programs.command(alias, arguments, variables)?;
        let output_max = command.extension.output;
        let failed = |error: &dyn std::fmt::Display| {
            Refusal::new(Reason::Failed, format_args!("the extension {alias:?}: {error}"))
        };
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let pipes = || -> Result<_, Errno> { Ok((pipe()?, pipe()?, pipe()?)) };
        let ((stdin, writer), (out_reader, stdout), (error_reader, stderr)) =
            pipes().map_err(|error| failed(&error))?;
        let streams: [OwnedFd; 3] = [stdin, stdout, stderr];
        let running = Running::start(&command, streams).map_err(|error| failed(&error))?;
        let handle = self.next;
        self.next = self.next.wrapping_add(1).max(1);
        self.running.insert(handle, running);
        Ok((Answer::Started { handle, output_max }, vec![writer, out_reader, error_reader]))
    }
}
