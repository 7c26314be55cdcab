//! A program that runs: in a group of its own, confined, and ended whole.

use super::family;
use super::image::Image;
use crate::frame;
use crate::sys;
use crate::wall;
use bls_artifact::broker::{Answer, Reason, Refusal};
use bls_artifact::extension::Extension;
use bls_confine::filter::Listener;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpgid, getppid, kill_process_group, setpgid, waitid,
};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a process that was killed may take to end.
const DEATH: Duration = Duration::from_secs(2);

/// A program to be started.
#[derive(Debug)]
pub(super) struct Command {
    /// What it may do.
    pub(super) extension: Extension,
    /// What is executed.
    pub(super) image: Image,
    /// Its arguments, its name first.
    pub(super) arguments: Vec<CString>,
    /// Its variables, as `NAME=value`.
    pub(super) variables: Vec<CString>,
}

/// It runs, or has ended and not been closed yet.
#[derive(Debug)]
pub(super) struct Running {
    /// The first process, whose number is the group's too.
    leader: Pid,
    /// Where it asks for more of them.
    listener: Option<Listener>,
    until: Instant,
    processes: u32,
    has_ended: bool,
}

impl Running {
    /// Starts it with these three streams.
    ///
    /// # Errors
    /// Where there is no process, it cannot be confined, or the kernel does not execute it.
    pub(super) fn start(command: &Command, streams: [OwnedFd; 3]) -> io::Result<Self> {
        let (mut hearing, mut saying) = UnixStream::pair()?;
        let parent = rustix::process::getpid();
        let Some(leader) = sys::fork()? else {
            let error = become_it(command, &streams, parent, &mut saying);
            // Nobody else hears of it.
            let refusal = Answer::Refused(Refusal::new(Reason::Failed, error));
            let _ = tell(&mut saying, &refusal, &[]);
            sys::exit_now(127);
        };
        drop((saying, streams));
        // Here and there, so that it is so before either goes on.
        let _ = setpgid(Some(leader), Some(leader));
        let until = Instant::now() + Duration::from_millis(command.extension.time_ms);
        let processes = command.extension.processes;
        let mut running = Self { leader, listener: None, until, processes, has_ended: false };
        // Until it is executed, which closes its end.
        while let Ok((body, mut descriptors)) = frame::receive_all(&mut hearing) {
            match Answer::decode(&body) {
                Ok(Answer::Descriptor) => {
                    running.listener = descriptors.pop().map(Listener::from_descriptor);
                }
                Ok(Answer::Refused(refusal)) => {
                    running.end();
                    return Err(io::Error::other(refusal.text));
                }
                _ => {}
            }
        }
        Ok(running)
    }

    /// Where it asks for another process, to be waited for.
    pub(super) fn asks(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().filter(|_| !self.has_ended).map(|listener| listener.as_fd())
    }

    /// Answers that it may have another process, or that there are enough.
    pub(super) fn answer(&self) {
        let most = self.processes as usize;
        let judge =
            |_| if family::count(self.leader, most) < most { Ok(()) } else { Err(libc::EAGAIN) };
        if let Some(listener) = &self.listener {
            // Whoever asked may have been killed meanwhile.
            let _ = listener.answer(judge);
        }
    }

    /// Ends it where its time is over, it is too many processes, or its first has ended.
    pub(super) fn look(&mut self, now: Instant) {
        if self.has_ended {
            return;
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let is_over = !matches!(waitid(WaitId::Pid(self.leader), options), Ok(None));
        let most = self.processes as usize;
        if is_over || now >= self.until || most > 1 && family::count(self.leader, most) > most {
            self.kill();
        }
    }

    /// Whether its first process has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.look(Instant::now());
        self.has_ended
    }

    /// Kills all of it, and waits until it is gone.
    pub(super) fn end(mut self) {
        if !self.has_ended {
            self.kill();
        }
    }

    fn kill(&mut self) {
        self.has_ended = true;
        // Before its number is free for another: it is reaped below.
        let _ = kill_process_group(self.leader, Signal::KILL);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let deadline = Instant::now() + DEATH;
        // The first process, and what it left behind, which has become this one's child.
        loop {
            match waitid(WaitId::Pgid(Some(self.leader)), options) {
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                // Nothing of it is left; or it does not die, which the kernel answers for.
                _ => return,
            }
        }
    }
}

/// In the new process: becomes the program. What comes back is why not.
fn become_it(
    command: &Command,
    streams: &[OwnedFd; 3],
    parent: Pid,
    saying: &mut UnixStream,
) -> io::Error {
    match prepare(command, streams, parent, saying) {
        Err(error) => error,
        Ok(image) => sys::execute(image.as_fd(), &command.arguments, &command.variables),
    }
}

fn prepare(
    command: &Command,
    streams: &[OwnedFd; 3],
    parent: Pid,
    saying: &mut UnixStream,
) -> io::Result<OwnedFd> {
    // The group is made by whoever comes first.
    let own = rustix::process::getpid();
    if getpgid(None)? != own {
        setpgid(None, None)?;
    }
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    if getppid().is_some_and(|now| now != parent) {
        return Err(io::Error::other("whoever started it is gone"));
    }
    rustix::stdio::dup2_stdin(&streams[0])?;
    rustix::stdio::dup2_stdout(&streams[1])?;
    rustix::stdio::dup2_stderr(&streams[2])?;
    // An interpreter opens a script by its number, so there it stays open.
    let image = if command.image.is_script {
        sys::duplicate(command.image.as_fd())?
    } else {
        rustix::io::fcntl_dupfd_cloexec(&command.image, 3)?
    };
    wall::close_all_but(&[image.as_fd(), saying.as_fd()])?;
    rustix::process::chdir("/")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    sys::reset_signals();
    let extension = &command.extension;
    let (read, write) = paths(extension);
    let uses = wall::Uses {
        programs: &[&extension.path],
        read: &read,
        write: &write,
        network: extension.network,
    };
    let most = wall::Most {
        memory: extension.memory,
        files: extension.files,
        processes: extension.processes > 1,
    };
    let listener = wall::extension(&uses, most).map_err(|(what, error)| {
        io::Error::other(format!("it cannot be confined: {what}: {error}"))
    })?;
    if let Some(listener) = listener {
        tell(saying, &Answer::Descriptor, &[listener.as_fd()])?;
    }
    Ok(image)
}

/// Says something to the process that started this one.
fn tell(to: &mut UnixStream, what: &Answer, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let frame = what.encode().map_err(io::Error::other)?;
    frame::send(to, &frame, descriptors)
}

/// What it may read, and change.
pub(super) fn paths(extension: &Extension) -> (Vec<&Path>, Vec<&Path>) {
    (
        extension.read.iter().map(std::path::PathBuf::as_path).collect(),
        extension.write.iter().map(std::path::PathBuf::as_path).collect(),
    )
}
