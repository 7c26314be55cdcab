//! Gives up, for good, everything that a guest of this kind does not need: the second wall.
//!
//! The first is the guest's own code, which was validated, compiled by a trusted key's owner,
//! and reaches nothing but host functions. This stage is for the day that it does not hold:
//! whoever then executes native code of their own in this process finds one that can do little
//! more than the guest was granted. [`run`](crate::run) takes only what this gives, so "before
//! the first instruction of a guest" is a fact that the Rust compiler checks.
//!
//! In this order: descriptors that nobody granted, memory and time beyond the guest's limits,
//! capabilities and dumps, new privileges, new code, files (Landlock), system calls (seccomp). What a kernel, or whatever stands around
//! this process, does not let it give up is named, and refused where it is demanded. Guarantees
//! that nothing is given up half: of what belongs to threads, all threads give it up.
//!
//! May assume that no descriptor is used after this which `Beside` does not name, and that no
//! variable of the environment is. What an embedder's process may do is its own, but where it
//! asks for this (`confine/process.rs`).

mod calls;
mod numbers;
#[cfg(feature = "pool")]
pub(crate) mod process;

use crate::error::{Cause, StageError};
use crate::host::{Grants, Preopen};
use crate::link::Linked;
use crate::policy::RunLimits;
use crate::sys::signal::{self, Thread};
use bls_artifact::capability::Capability;
use bls_artifact::host_table::{self, Function};
use bls_artifact::net::NetGrant;
use bls_confine::landlock::{Rights, Ruleset};
use bls_confine::{Capabilities, threads};
use calls::{Folders, Needs};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};

/// What can be given up, by the words of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Descriptors that came open and that nobody granted are closed.
    Descriptors,
    /// No more memory and processor time than a guest within its limits can make this process
    /// take.
    Limits,
    /// Root's capabilities are dropped.
    Capabilities,
    /// No core file of the guest's memory, and no process looks into it.
    Dumpable,
    /// No privileges by starting a program.
    NoNewPrivs,
    /// No memory that becomes executable.
    Mdwe,
    /// No file but what was granted.
    Landlock,
    /// No system call but what is needed for what was granted.
    Seccomp,
}

impl Piece {
    /// All of them, in the order they are given up in.
    const ALL: [Self; 8] = [
        Self::Descriptors,
        Self::Limits,
        Self::Capabilities,
        Self::Dumpable,
        Self::NoNewPrivs,
        Self::Mdwe,
        Self::Landlock,
        Self::Seccomp,
    ];

    /// Its name in reports and messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Limits => "limits",
            Self::Capabilities => "capabilities",
            Self::Dumpable => "dumpable",
            Self::NoNewPrivs => "no-new-privs",
            Self::Mdwe => "mdwe",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }

    /// Since which Linux.
    fn since(self) -> &'static str {
        match self {
            Self::Descriptors => "5.9",
            Self::Mdwe => "6.3",
            Self::Landlock => "5.13",
            Self::Limits
            | Self::Capabilities
            | Self::Dumpable
            | Self::NoNewPrivs
            | Self::Seccomp => "4.14",
        }
    }
}

/// What stands, and what does not.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// What could not be given up, and why.
    missing: Vec<(Piece, io::Error)>,
    /// The ABI of Landlock that stands.
    pub(crate) landlock_abi: Option<u32>,
}

impl Sandbox {
    /// What was given up.
    pub(crate) fn stands(&self) -> impl Iterator<Item = Piece> {
        let is_missing = |piece: &Piece| self.missing.iter().any(|(one, _)| one == piece);
        Piece::ALL.into_iter().filter(move |piece| !is_missing(piece))
    }

    /// What was not, and why.
    pub(crate) fn missing(&self) -> &[(Piece, io::Error)] {
        &self.missing
    }

    /// What this system is short of, where it would give a piece at another time: a run does not
    /// begin without it.
    fn shortage(&mut self) -> Option<ConfineError> {
        let is_short = |(_, error): &(Piece, io::Error)| {
            let short = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN];
            Errno::from_io_error(error).is_some_and(|errno| short.contains(&errno))
        };
        let at = self.missing.iter().position(is_short)?;
        let (piece, error) = self.missing.swap_remove(at);
        Some(ConfineError::System(piece.name(), error))
    }

    /// Whether everything stands that somebody can demand. The filter of system calls alone
    /// lets no memory become executable, so that older kernels do without the other rule; but
    /// where it does not see what memory is asked for.
    fn is_whole(&self) -> bool {
        let has = |wanted| self.stands().any(|piece| piece == wanted);
        self.missing
            .iter()
            .all(|(piece, _)| *piece == Piece::Mdwe && has(Piece::Seccomp) && numbers::MMAP_IS_SEEN)
    }

    fn note(&mut self, piece: Piece, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            self.missing.push((piece, error));
        }
    }
}

/// What the process keeps for itself, beside what its guest is granted.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// Descriptors above 2.
    pub(crate) descriptors: Vec<RawFd>,
    /// All threads but the one that calls.
    pub(crate) threads: Vec<Thread>,
    /// Whether the process writes to standard output when the guest has ended.
    pub(crate) prints: bool,
}

/// Why a guest does not start.
#[derive(Debug)]
pub(crate) enum ConfineError {
    /// A sandbox is demanded, and these pieces of it do not stand.
    Incomplete(Vec<(Piece, io::Error)>),
    /// The system is short of what it takes to give something up; what that is.
    System(&'static str, io::Error),
    /// The process of an embedder has so many threads, and has to have one.
    #[cfg(feature = "pool")]
    Threads(usize),
}

impl fmt::Display for ConfineError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete(missing) => {
                formatter.write_str("a sandbox is demanded, and this system does not give")?;
                for (index, (piece, error)) in missing.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(formatter, "{comma} {} ({error})", piece.name())?;
                }
                Ok(())
            }
            Self::System(what, error) => {
                write!(formatter, "the system does not let {what} be given up: {error}")
            }
            #[cfg(feature = "pool")]
            Self::Threads(count) => {
                write!(
                    formatter,
                    "a wall stands around a process of one thread, and this has {count}"
                )
            }
        }
    }
}

impl std::error::Error for ConfineError {}

impl StageError for ConfineError {
    const STAGE: &'static str = "confine";

    fn code(&self) -> &'static str {
        match self {
            Self::Incomplete(_) => "confine.incomplete",
            Self::System(..) => "confine.system",
            #[cfg(feature = "pool")]
            Self::Threads(_) => "confine.threads",
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Incomplete(_) => Cause::Refused,
            Self::System(..) => Cause::Failed,
            #[cfg(feature = "pool")]
            Self::Threads(_) => Cause::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Incomplete(missing) => {
                let needs: Vec<String> = missing
                    .iter()
                    .map(|(piece, _)| format!("{} needs Linux {}", piece.name(), piece.since()))
                    .collect();
                format!(
                    "{}; a container's own filter may forbid them: SECURITY.md, \"Containers\", says which allows what; without --require-sandbox it runs behind what there is",
                    needs.join(", ")
                )
            }
            Self::System(..) => "see ulimit -n and ulimit -v, and the limits of its group".into(),
            #[cfg(feature = "pool")]
            Self::Threads(_) => {
                "put it around the process before a thread is started or a guest is run".into()
            }
        })
    }
}

/// Whether this process has given up what the guests of its pools do not need, all of it.
pub(crate) fn stands_around_this_process() -> bool {
    #[cfg(feature = "pool")]
    return process::stands();
    #[cfg(not(feature = "pool"))]
    false
}

/// A module that may run, in a process that has given up the rest.
#[derive(Debug)]
pub(crate) struct Confined {
    linked: Linked,
    grants: Grants,
    sandbox: Sandbox,
}

impl Confined {
    /// What stands around it.
    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// What runs, and what it gets.
    pub(crate) fn into_parts(self) -> (Linked, Grants) {
        (self.linked, self.grants)
    }
}

/// Gives up what `linked` does not need to run with these grants. Refuses where `demanded`
/// and something cannot be given up.
pub(crate) fn confine(
    linked: Linked,
    grants: Grants,
    limits: &RunLimits,
    beside: &Beside,
    demanded: bool,
) -> Result<Confined, ConfineError> {
    take_streams(&grants, beside)
        .map_err(|error| ConfineError::System("a stream", error.into()))?;
    // The watcher, where there is one, uses no variables.
    bls_confine::wipe_environment();
    let mut sandbox = Sandbox { missing: Vec::new(), landlock_abi: None };
    // First made, last used: what follows would forbid to make it.
    let ruleset = ruleset(grants.preopens.iter());
    let keep: Vec<RawFd> = descriptors(&linked, &grants, beside)
        .chain(ruleset.as_ref().map(|ruleset| ruleset.as_raw_fd()))
        .collect();
    sandbox.note(Piece::Descriptors, bls_confine::close_descriptors_but(&keep));
    sandbox.note(Piece::Limits, limit(limits));
    let kept = match (&ruleset, grants.preopens.is_empty()) {
        // Root may have granted files of others: they are used as root, and no other is.
        (Ok(_), false) => Capabilities::FILES,
        _ => Capabilities::NONE,
    };
    sandbox.note(Piece::Capabilities, bls_confine::drop_capabilities(kept));
    sandbox.note(Piece::Dumpable, bls_confine::forbid_dumps());
    sandbox.note(Piece::NoNewPrivs, bls_confine::forbid_new_privileges());
    sandbox.note(Piece::Mdwe, bls_confine::forbid_new_code());
    let ruleset = ruleset.and_then(|ruleset| ruleset.restrict_self().map(|()| ruleset));
    let kept = match &ruleset {
        Ok(_) => kept,
        // Else root could use every file.
        Err(_) => Capabilities::NONE,
    };
    let _ = bls_confine::drop_capabilities(kept);
    let others: Vec<i32> = beside.threads.iter().map(|thread| thread.number()).collect();
    threads::give_up_on(&others, ruleset.as_ref().ok(), kept, signal::give_up_signal())
        .map_err(|error| ConfineError::System("what each thread has", error))?;
    sandbox.landlock_abi = ruleset.as_ref().ok().map(Ruleset::abi);
    sandbox.note(Piece::Landlock, ruleset.map(drop));
    let process = std::process::id();
    let filter = calls::filter(host_imports(&linked), &needs(&grants), process);
    sandbox.note(Piece::Seccomp, filter.install());
    if let Some(shortage) = sandbox.shortage() {
        return Err(shortage);
    }
    if demanded && !sandbox.is_whole() {
        return Err(ConfineError::Incomplete(sandbox.missing));
    }
    Ok(Confined { linked, grants, sandbox })
}

/// What the kernel holds this process to, behind the limits that the host counts: for the day
/// that nobody counts any more. Never reached by a guest that is held to its own.
fn limit(limits: &RunLimits) -> io::Result<()> {
    /// For what the loader and the host hold beside the guest's memory, in bytes.
    const OWN_MEMORY: u64 = 128 << 20;
    /// For what this process has used until now, and for rounding, in seconds.
    const OWN_TIME: u64 = 2;
    // A memory or heap that moves is there twice for a moment.
    let memory = limits.memory.saturating_mul(2).saturating_add(limits.stack as u64);
    lower(Resource::Data, memory.saturating_add(OWN_MEMORY))?;
    // Only one thread of this process does much, so that it uses no more time than passes.
    match limits.timeout {
        Some(timeout) => lower(Resource::Cpu, timeout.as_secs().saturating_add(OWN_TIME)),
        None => Ok(()),
    }
}

/// Lowers a limit of this process for good, if it is above this.
fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let old = rustix::process::getrlimit(resource);
    let lower = |old: Option<u64>| Some(old.map_or(most, |old| old.min(most)));
    let new = Rlimit { current: lower(old.current), maximum: lower(old.maximum) };
    Ok(rustix::process::setrlimit(resource, new)?)
}

/// Puts an end in the place of standard input, and of standard output, where the guest may not
/// use it and nobody else does. (Messages of the loader go to standard error.)
fn take_streams(grants: &Grants, beside: &Beside) -> Result<(), Errno> {
    let is_withheld = |capability| grants.withheld.contains(&capability);
    let input = is_withheld(Capability::Stdin);
    let output = is_withheld(Capability::Stdout) && !beside.prints;
    if input || output {
        let (reader, writer) = rustix::pipe::pipe()?;
        if input {
            rustix::stdio::dup2_stdin(reader)?;
        }
        if output {
            rustix::stdio::dup2_stdout(writer)?;
        }
    }
    Ok(())
}

/// The descriptors above 2 that are used from here on.
fn descriptors<'a>(
    linked: &'a Linked,
    grants: &'a Grants,
    beside: &'a Beside,
) -> impl Iterator<Item = RawFd> + 'a {
    let folders = grants.preopens.iter().map(|preopen| preopen.dir.as_fd().as_raw_fd());
    let listeners = grants.listeners.iter().map(|one| one.as_raw_fd());
    let own = linked.mapped().descriptor().into_iter().chain(beside.descriptors.clone());
    folders.chain(listeners).chain(own)
}

/// What may be done with files: in granted folders what was granted, and nothing elsewhere.
fn ruleset<'a>(preopens: impl Iterator<Item = &'a Preopen>) -> io::Result<Ruleset> {
    let ruleset = Ruleset::new()?;
    for preopen in preopens {
        let rights = if preopen.read_only { Rights::READ } else { Rights::CHANGE };
        ruleset.allow(preopen.dir.as_fd(), rights)?;
    }
    Ok(ruleset)
}

/// What the host functions of a guest with these grants work on.
fn needs(grants: &Grants) -> Needs {
    let folders = folders(grants.preopens.iter());
    let asks = grants.reach.outside.is_some();
    Needs {
        folders,
        asks,
        sockets: !grants.listeners.is_empty()
            || asks && grants.reach.network.allow.iter().any(NetGrant::is_tcp),
    }
}

/// What may be done in the folders that are granted.
fn folders<'a>(preopens: impl Iterator<Item = &'a Preopen>) -> Folders {
    let kind = |read_only| if read_only { Folders::Read } else { Folders::Change };
    preopens.map(|preopen| kind(preopen.read_only)).max().unwrap_or(Folders::None)
}

/// The functions of the host that the module imports.
fn host_imports(linked: &Linked) -> impl Iterator<Item = &'static Function> {
    let imports = linked.mapped().module().imports();
    imports.filter_map(|import| host_table::function(import.module(), import.name()))
}
