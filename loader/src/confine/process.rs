//! The same for a process of an embedder's that has made pools, and runs their guests one behind
//! the other: what none of them needs is given up, once and for good.
//!
//! May assume that the pools' folders are open, and that no guest is given more than its pool
//! was made with. Guarantees that what is given up is given up by every thread of the process:
//! there is one, and the thread that watches the time is started in between, behind what belongs
//! to threads and before the filter of system calls.

use super::{ConfineError, Piece, Sandbox, calls, folders, host_imports, lower, ruleset};
use crate::confine::calls::Needs;
use crate::host::Preopen;
use crate::link::Linked;
use bls_confine::Capabilities;
use bls_confine::landlock::Ruleset;
use rustix::process::Resource;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The code that guests are made of, and the folders that they get.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    pub(crate) linked: &'a Linked,
    pub(crate) preopens: Vec<&'a Preopen>,
    /// Whether its guests may have sockets, where somebody gives them some.
    pub(crate) sockets: bool,
}

/// What the embedder keeps for itself.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Descriptors above 2. They are read and written.
    pub(crate) descriptors: Vec<RawFd>,
    /// The descriptor over which guests ask what they were granted beyond files.
    pub(crate) broker: Option<RawFd>,
    /// The most bytes of memory that the process takes from now on.
    pub(crate) memory: u64,
}

/// Whether all of it was given up.
static STANDS: AtomicBool = AtomicBool::new(false);

/// Whether a wall stands around this process, and is whole.
pub(crate) fn stands() -> bool {
    STANDS.load(Ordering::Acquire)
}

/// Gives up what no guest of these needs. `start` starts the threads that the process is still
/// to have. Refuses where `demanded` and something cannot be given up.
pub(crate) fn confine_process(
    all: &[Inside<'_>],
    kept: &Kept,
    demanded: bool,
    start: impl FnOnce() -> io::Result<()>,
) -> Result<Sandbox, ConfineError> {
    check_threads()?;
    bls_confine::wipe_environment();
    let mut sandbox = Sandbox { missing: Vec::new(), landlock_abi: None };
    let preopens = || all.iter().flat_map(|inside| inside.preopens.iter().copied());
    let ruleset = ruleset(preopens());
    let keep: Vec<RawFd> = preopens()
        .map(|preopen| preopen.dir.as_fd().as_raw_fd())
        .chain(all.iter().filter_map(|inside| inside.linked.mapped().descriptor()))
        .chain(kept.descriptors.iter().copied())
        .chain(kept.broker)
        .chain(ruleset.as_ref().map(|ruleset| ruleset.as_raw_fd()))
        .collect();
    sandbox.note(Piece::Limits, limit(kept.memory));
    sandbox.note(Piece::Descriptors, bls_confine::close_descriptors_but(&keep));
    let capabilities = match (&ruleset, preopens().next()) {
        // Root may have granted files of others: they are used as root, and no other is.
        (Ok(_), Some(_)) => Capabilities::FILES,
        _ => Capabilities::NONE,
    };
    sandbox.note(Piece::Capabilities, bls_confine::drop_capabilities(capabilities));
    sandbox.note(Piece::Dumpable, bls_confine::forbid_dumps());
    sandbox.note(Piece::NoNewPrivs, bls_confine::forbid_new_privileges());
    sandbox.note(Piece::Mdwe, bls_confine::forbid_new_code());
    let ruleset = ruleset.and_then(|ruleset| ruleset.restrict_self().map(|()| ruleset));
    if ruleset.is_err() {
        // Else root could use every file.
        let _ = bls_confine::drop_capabilities(Capabilities::NONE);
    }
    sandbox.landlock_abi = ruleset.as_ref().ok().map(Ruleset::abi);
    sandbox.note(Piece::Landlock, ruleset.map(drop));
    // A thread is given what its maker has given up.
    start().map_err(|error| ConfineError::System("a thread", error))?;
    let asks = kept.broker.is_some();
    let sockets = asks && all.iter().any(|inside| inside.sockets);
    let needs = Needs { folders: folders(preopens()), sockets, asks };
    let imports = all.iter().flat_map(|inside| host_imports(inside.linked));
    let mut filter = calls::filter(imports, &needs, std::process::id());
    filter.allow(calls::CHANNEL);
    sandbox.note(Piece::Seccomp, filter.install());
    if let Some(shortage) = sandbox.shortage() {
        return Err(shortage);
    }
    let is_whole = sandbox.is_whole();
    if demanded && !is_whole {
        return Err(ConfineError::Incomplete(sandbox.missing));
    }
    STANDS.store(is_whole, Ordering::Release);
    Ok(sandbox)
}

/// Refuses where there are other threads: what one has, they could do for it. (Where nobody says
/// how many there are, as without `/proc`, it is the caller's promise.)
fn check_threads() -> Result<(), ConfineError> {
    match std::fs::read_dir("/proc/self/task").map(Iterator::count) {
        Ok(count) if count > 1 => Err(ConfineError::Threads(count)),
        _ => Ok(()),
    }
}

/// Holds the process to what it has taken, and this much more. (Tables of a pool are counted
/// already: they are there, though nothing was written to them.)
fn limit(memory: u64) -> io::Result<()> {
    /// Which number of the file: pages of data and stacks.
    const DATA: usize = 5;
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split_whitespace().nth(DATA).and_then(|number| number.parse::<u64>().ok());
    let pages = pages.ok_or(io::ErrorKind::InvalidData)?;
    let taken = pages.saturating_mul(rustix::param::page_size() as u64);
    lower(Resource::Data, taken.saturating_add(memory))
}
