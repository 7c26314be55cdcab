//! A program that runs: in a group of its own, confined, and ended whole.

use super::family;
use super::image::Image;
use crate::sys;
use crate::wall;
use bls_artifact::extension::Extension;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpgid, getppid, kill_process_group, setpgid, waitid,
};
use std::ffi::CString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
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
        let (mut said, mut saying) = io::pipe()?;
        let parent = rustix::process::getpid();
        let Some(leader) = sys::fork()? else {
            let error = become_it(command, &streams, parent, &saying);
            // Nobody else hears of it.
            let _ = saying.write_all(error.to_string().as_bytes());
            sys::exit_now(127);
        };
        drop((saying, streams));
        // Here and there, so that it is so before either goes on.
        let _ = setpgid(Some(leader), Some(leader));
        let mut words = String::new();
        let _ = said.by_ref().take(512).read_to_string(&mut words);
        let until = Instant::now() + Duration::from_millis(command.extension.time_ms);
        let processes = command.extension.processes;
        let running = Self { leader, until, processes, has_ended: false };
        if words.is_empty() {
            return Ok(running);
        }
        running.end();
        Err(io::Error::other(words))
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
    saying: &io::PipeWriter,
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
    saying: &io::PipeWriter,
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
    wall::extension(&uses, most).map_err(|(what, error)| {
        io::Error::other(format!("it cannot be confined: {what}: {error}"))
    })?;
    Ok(image)
}

/// What it may read, and change.
pub(super) fn paths(extension: &Extension) -> (Vec<&Path>, Vec<&Path>) {
    (
        extension.read.iter().map(std::path::PathBuf::as_path).collect(),
        extension.write.iter().map(std::path::PathBuf::as_path).collect(),
    )
}
