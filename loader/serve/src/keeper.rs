//! The first process: makes the front, verifies and maps, makes the workers, and hears signals.
//!
//! It reads no byte of a client and runs no guest. Guarantees that the front was made before an
//! artifact was read, and each worker from a process that has one thread; that nothing is
//! listened on before all is verified; that a worker which ended is replaced, the more slowly
//! the sooner it ended, and so is the exporter; and that no process of its outlives it.

use crate::control::{self, Order};
use crate::front::{self, Settings};
use crate::options::{LogPlace, Options, Place};
use crate::otlp::exporter;
use crate::program::notice;
use crate::serving::{self, Serving};
use crate::worker::{self, BORN, Most};
use crate::{Defect, Failure, sys};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, getrlimit, kill_process, setrlimit, waitpid,
};
use std::fs::File;
use std::io::{self, Read as _};
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

/// How long a worker must have lived to be replaced at once.
const LIVED: Duration = Duration::from_secs(10);
/// How long the first that did not is waited with, and the most.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How much longer than it was told the front may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// Serves until somebody asks for the end.
///
/// # Errors
/// What is wrong with the artifacts, the addresses or the system.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    raise_descriptors();
    let log = open_log(&options.log)?;
    let (ours, theirs) = pair(SocketType::SEQPACKET)?;
    let settings = Settings::of(options);
    let front = match sys::fork().map_err(|error| process("cannot make a process", error))? {
        Some(front) => front,
        None => {
            drop(ours);
            let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            // A terminal sends them to all, and this process ends when the keeper says so.
            let _ = sys::signals();
            front::run(settings, theirs, log)
        }
    };
    drop((theirs, log));
    // Signals end it meanwhile, and the front with it: an artifact may be a pipe into which nobody
    // writes.
    let loaded = serving::load(options).map_err(Failure::from);
    let signals = sys::signals().map_err(|error| process("cannot read signals", error))?;
    let mut keeper = Keeper {
        front: Some(front),
        control: ours,
        signals,
        workers: Vec::new(),
        exporter: Slot { process: None, short: 0, next: Instant::now() },
        most: Most { request: options.request_max, output: options.output_max },
    };
    let served = loaded.and_then(|serving| {
        keeper.begin(options, &serving)?;
        keeper.keep(options, &serving)
    });
    keeper.end();
    served
}

/// As many descriptors as this user may have: each connection is one.
fn raise_descriptors() {
    let limits = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits });
}

fn process(what: &str, error: impl std::fmt::Display) -> Failure {
    let hint = "see ulimit -u, ulimit -n and ulimit -v, and the limits of its group";
    Failure::new(Defect::Process, format!("{what}: {error}"), hint)
}

fn pair(kind: SocketType) -> Result<(OwnedFd, OwnedFd), Failure> {
    socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
        .map_err(|error| process("cannot make a pair of sockets", error))
}

/// Where lines of the log go; `None` for nowhere.
fn open_log(place: &LogPlace) -> Result<Option<File>, Failure> {
    let opened = match place {
        LogPlace::None => return Ok(None),
        LogPlace::Stderr => io::stderr().as_fd().try_clone_to_owned().map(File::from),
        LogPlace::File(path) => {
            // Others of its group may read who asked for what.
            File::options().create(true).append(true).mode(0o640).open(path)
        }
    };
    let named = match place {
        LogPlace::File(path) => bls_artifact::text::printable_path(path),
        _ => "standard error".to_owned(),
    };
    opened.map(Some).map_err(|error| {
        let what = format!("cannot write the log to {named}: {error}");
        Failure::new(Defect::Log, what, "name a file that you can write: --log FILE")
    })
}

/// A listener, and how its address is written. Of a server that was killed a moment ago a process
/// may still be about to end: it is waited for.
fn listen(place: &Place) -> Result<(OwnedFd, String), Failure> {
    const ENDING: Duration = Duration::from_secs(1);
    const STEP: Duration = Duration::from_millis(10);
    let begun = Instant::now();
    loop {
        match listen_once(place) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && begun.elapsed() < ENDING => {
                std::thread::sleep(STEP);
            }
            other => return other.map_err(|error| no_listener(place, &error)),
        }
    }
}

fn no_listener(place: &Place, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there: name another --listen",
        io::ErrorKind::PermissionDenied => "ports below 1024 are root's, or CAP_NET_BIND_SERVICE's",
        _ => "name an address of this machine",
    };
    Failure::new(Defect::Listen, format!("cannot listen on {place}: {error}"), hint)
}

fn listen_once(place: &Place) -> io::Result<(OwnedFd, String)> {
    match place {
        Place::Tcp(address) => {
            let listener = TcpListener::bind(address)?;
            let address = listener.local_addr()?;
            listener.set_nonblocking(true)?;
            Ok((listener.into(), Place::Tcp(address).to_string()))
        }
        Place::Unix(path) => {
            // One that an earlier process left: nobody answers there.
            let is_socket =
                std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
            if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
                std::fs::remove_file(path)?;
            }
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            Ok((listener.into(), place.to_string()))
        }
    }
}

/// A place for a worker, or the exporter.
#[derive(Debug)]
struct Slot {
    /// The process, and since when.
    process: Option<(Pid, Instant)>,
    /// How many of this place ended soon, one behind the other.
    short: u32,
    /// When the next is made.
    next: Instant,
}

struct Keeper {
    /// `None` once it has ended.
    front: Option<Pid>,
    control: OwnedFd,
    signals: OwnedFd,
    workers: Vec<Slot>,
    /// Who sends to the collector, where there is one.
    exporter: Slot,
    most: Most,
}

impl Keeper {
    /// Listens, and makes the first workers.
    fn begin(&mut self, options: &Options, serving: &Serving) -> Result<(), Failure> {
        let _ = bls_confine::forbid_new_privileges();
        let mut public = Vec::new();
        for place in &options.listen {
            public.push(listen(place)?);
        }
        let admin = options.admin.as_ref().map(listen).transpose()?;
        let now = Instant::now();
        for number in 0..options.workers {
            self.workers.push(Slot { process: None, short: 0, next: now });
            let missing = self.make(number, serving)?;
            if number == 0 && !missing.is_empty() {
                notice(&format!(
                    "the second wall stands without {missing}: SECURITY.md, \"Containers\""
                ));
            }
        }
        self.make_exporter(options)?;
        let mut named = Vec::new();
        for (listener, name) in public {
            named.push(name);
            self.tell(Order::Public(listener))?;
        }
        let mut line = format!("listening on {}", named.join(" and "));
        if let Some((listener, name)) = admin {
            self.tell(Order::Admin(listener))?;
            line += &format!(", for whoever watches on {name}");
        }
        notice(&format!("{line}; {} workers", options.workers));
        Ok(())
    }

    fn tell(&self, order: Order) -> Result<(), Failure> {
        control::order(&self.control, order)
            .map_err(|error| process("the process that has the network is gone", error))
    }

    /// Makes a worker; what its wall is without.
    fn make(&mut self, number: usize, serving: &Serving) -> Result<String, Failure> {
        let (ours, theirs) = pair(SocketType::STREAM)?;
        let (heard, said) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| process("cannot make a pipe", error))?;
        let Some(made) = sys::fork().map_err(|error| process("cannot make a process", error))?
        else {
            drop((ours, heard));
            let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            worker::run(serving, self.most, &theirs, said)
        };
        drop((theirs, said));
        let mut words = String::new();
        let read = File::from(heard).take(64 << 10).read_to_string(&mut words);
        let slot = &mut self.workers[number];
        slot.process = Some((made, Instant::now()));
        let Some(missing) = words.strip_prefix(BORN).filter(|_| read.is_ok()) else {
            return Err(stillborn(&words));
        };
        self.tell(Order::Worker(made.as_raw_nonzero().get().cast_unsigned(), ours))?;
        Ok(missing.to_owned())
    }

    /// Makes the exporter, where there is a collector.
    fn make_exporter(&mut self, options: &Options) -> Result<(), Failure> {
        let Some(otlp) = &options.otlp else { return Ok(()) };
        let (ours, theirs) = pair(SocketType::STREAM)?;
        let Some(made) = sys::fork().map_err(|error| process("cannot make a process", error))?
        else {
            drop(ours);
            let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            exporter::run(otlp, &theirs)
        };
        drop(theirs);
        self.exporter.process = Some((made, Instant::now()));
        self.tell(Order::Exporter(ours))
    }

    /// Serves until somebody asks for the end, and nothing that has begun is left.
    fn keep(&mut self, options: &Options, serving: &Serving) -> Result<(), Failure> {
        let mut end: Option<Instant> = None;
        loop {
            let exporter = options.otlp.as_ref().map(|_| &self.exporter);
            let slots = self.workers.iter().chain(exporter);
            let next = slots.filter(|slot| slot.process.is_none());
            let next = next.map(|slot| slot.next).chain(end).min();
            self.wait(next);
            while let Some(worker) = control::next_wish(&self.control) {
                self.kill(worker);
            }
            let mut is_asked = false;
            while let Some(signal) = self.signal() {
                is_asked |= sys::asks_for_the_end(signal);
            }
            if is_asked {
                if end.is_some() {
                    notice("asked twice: ended at once");
                    return Ok(());
                }
                notice(&format!("takes no more; {:?} for what has begun", options.drain));
                end = Some(Instant::now() + options.drain + GRACE);
                self.tell(Order::Drain(options.drain))?;
            }
            let front_is_gone = self.bury(end.is_some());
            match (front_is_gone, end) {
                (true, Some(_)) => return Ok(()),
                (true, None) => {
                    return Err(process("the process that has the network ended", "see above"));
                }
                (false, Some(end)) if Instant::now() >= end => return Ok(()),
                _ => {}
            }
            self.replace(options, serving);
        }
    }

    /// Waits for a signal, for the front, or for this time.
    fn wait(&self, until: Option<Instant>) {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds =
            [PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.control, PollFlags::IN)];
        // Whatever it says, everything is looked at.
        let _ = poll(&mut fds, left.as_ref());
        if fds[1].revents().contains(PollFlags::HUP) {
            // The front is gone, and its end is heard in a moment.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn signal(&self) -> Option<u32> {
        let mut bytes = [0; sys::SIGNAL_BYTES];
        let count = rustix::io::read(&self.signals, &mut bytes).ok()?;
        bytes[..count].first_chunk().map(|number| u32::from_ne_bytes(*number))
    }

    /// Kills a worker that is one.
    fn kill(&self, number: u32) {
        let is_it = |process: &Pid| process.as_raw_nonzero().get().cast_unsigned() == number;
        let mut processes = self.workers.iter().filter_map(|slot| slot.process);
        if let Some((process, _)) = processes.find(|(process, _)| is_it(process)) {
            let _ = kill_process(process, Signal::KILL);
        }
    }

    /// Takes note of all that ended; whether the front is among them. At the `end` the workers
    /// end with it.
    fn bury(&mut self, is_the_end: bool) -> bool {
        let mut front_is_gone = false;
        while let Ok(Some((process, status))) = waitpid(None, WaitOptions::NOHANG) {
            if Some(process) == self.front {
                (self.front, front_is_gone) = (None, true);
                if let Some(signal) = status.terminating_signal() {
                    notice(&format!("the front was ended by {}", sys::signal_name(signal)));
                }
                continue;
            }
            let is_it = |slot: &Slot| slot.process.is_some_and(|(one, _)| one == process);
            let what = if is_it(&self.exporter) { "exporter" } else { "worker" };
            let mut slots = self.workers.iter_mut().chain([&mut self.exporter]);
            let Some(slot) = slots.find(|slot| is_it(slot)) else { continue };
            let lived = slot.process.take().map(|(_, since)| since.elapsed()).unwrap_or_default();
            slot.short = if lived < LIVED { slot.short.saturating_add(1) } else { 0 };
            let pause = match slot.short {
                0 => Duration::ZERO,
                short => PAUSE.saturating_mul(1 << (short - 1).min(10)).min(PAUSE_MAX),
            };
            slot.next = Instant::now() + pause;
            let how = match (status.terminating_signal(), status.exit_status()) {
                (Some(signal), _) => format!("was ended by {}", sys::signal_name(signal)),
                (None, code) => format!("ended with code {}", code.unwrap_or_default()),
            };
            if is_the_end && status.exit_status() == Some(0) {
                continue;
            }
            notice(&format!("{what} {} {how}; the next in {pause:?}", process.as_raw_nonzero()));
        }
        front_is_gone
    }

    /// Makes the workers whose time has come, and the exporter.
    fn replace(&mut self, options: &Options, serving: &Serving) {
        let now = Instant::now();
        if self.exporter.process.is_none()
            && self.exporter.next <= now
            && let Err(failure) = self.make_exporter(options)
        {
            notice(&format!("no exporter can be made: {failure}"));
            self.exporter.next = now + PAUSE_MAX;
        }
        for number in 0..self.workers.len() {
            let slot = &self.workers[number];
            if slot.process.is_some() || slot.next > now {
                continue;
            }
            if let Err(failure) = self.make(number, serving) {
                notice(&format!("no worker can be made: {failure}"));
                self.workers[number].next = now + PAUSE_MAX;
            }
        }
    }

    /// Ends what is left of its processes, and waits for their end.
    fn end(&mut self) {
        let slots = self.workers.iter().chain([&self.exporter]);
        let workers = slots.filter_map(|slot| slot.process).map(|(process, _)| process);
        // The front first: what is cut off is not answered as if its worker had died.
        for process in self.front.into_iter().chain(workers) {
            let _ = kill_process(process, Signal::KILL);
        }
        while let Ok(Some(_)) = waitpid(None, WaitOptions::empty()) {}
    }
}

/// What a worker said that did not begin to work.
fn stillborn(words: &str) -> Failure {
    let mut lines = words.lines();
    let (code, what, hint) = (lines.next(), lines.next(), lines.next());
    let known = ["confine.incomplete", "confine.system", "confine.threads", "run.no-stack"];
    let code = code.and_then(|code| known.into_iter().find(|known| *known == code));
    match (code, what) {
        (Some(code), Some(what)) => {
            let hint = hint.filter(|hint| !hint.is_empty()).map(str::to_owned);
            Failure { code, what: what.to_owned(), hint }
        }
        _ => process("a worker ended before it began", what.unwrap_or("nothing was said")),
    }
}
