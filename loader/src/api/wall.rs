//! The second wall, for a process of an embedder's that runs the guests of its pools.
//!
//! It changes the whole process, for good: so it is for worker processes, which do nothing else
//! (`bls-serve` has such). Everything else of this library changes nothing that belongs to the
//! process.

use super::instance::STACK_RESERVE;
use super::pool::Pool;
use super::refusal::Refusal;
use super::timer;
use crate::confine::process::{Inside, Kept, confine_process};
use crate::error::Error;
use crate::outside::SharedBroker;
use crate::sys::stack::left_bytes;
use bls_artifact::policy::Requirement;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// What this process gives up before it runs the guests of its pools: what SECURITY.md, "The
/// second wall", says of bls-load.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bls_loader::{Loader, Runner, Trust, Wall};
/// let verified = Loader::new(Trust::system()?).open("plugin.bls")?;
/// let pool = Runner::new(verified).fuel(1_000_000).pool(1)?;
/// let (orders, _) = std::os::unix::net::UnixStream::pair()?;
/// let standing = Wall::new().around(&pool).keep(&orders).beside(64 << 20).stand()?;
/// assert!(standing.missing().is_empty(), "{standing}");
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Wall<'a> {
    pools: Vec<&'a Pool>,
    kept: Kept,
}

impl<'a> Wall<'a> {
    /// One around nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves what the guests of this pool need.
    #[must_use]
    pub fn around(mut self, pool: &'a Pool) -> Self {
        self.pools.push(pool);
        self
    }

    /// Keeps a descriptor of the embedder's. It can be waited for, read and written (`poll`,
    /// `read`, `write`), and nothing else: a socket's own calls are forbidden.
    #[must_use]
    pub fn keep(mut self, descriptor: &impl AsFd) -> Self {
        self.kept.descriptors.push(descriptor.as_fd().as_raw_fd());
        self
    }

    /// Leaves the guests of these pools who answers them: what they need to ask it, and to use the
    /// sockets that it gives.
    #[must_use]
    pub fn asking(mut self, broker: &SharedBroker) -> Self {
        self.kept.broker = Some(broker.descriptor());
        self
    }

    /// Leaves the embedder room for so many bytes of memory, beside the guests'.
    #[must_use]
    pub fn beside(mut self, bytes: u64) -> Self {
        self.kept.memory = self.kept.memory.saturating_add(bytes);
        self
    }

    /// Gives up everything else, for the whole process and for good: descriptors above 2 that
    /// are not kept (whatever owns them finds them closed), variables of the environment, memory
    /// beyond the largest guest's, capabilities, core dumps, new privileges and code, files
    /// outside of the pools' folders, and system calls. From then on no thread can be started, no
    /// file opened by name, and no guest may be given more than its pool was made with: a
    /// system call that is not allowed ends the process by SIGSYS. Guests run one at a time, on
    /// the thread that calls this.
    ///
    /// What the kernel does not let it give up is in [`Standing::missing`].
    ///
    /// # Errors
    /// `confine.threads` where the process has several threads; `run.no-stack` where this
    /// thread's stack has no room for a guest's; `confine.incomplete` where a policy demands a
    /// sandbox and one of the pieces is not to be had: some may be given up then already.
    pub fn stand(mut self) -> Result<Standing, Error> {
        /// For what the library and the engine hold beside a guest's memory, in bytes.
        const OWN_MEMORY: u64 = 128 << 20;
        let stack = self.pools.iter().map(|pool| pool.limits.stack).max().unwrap_or_default();
        // Asked here also because it opens a file.
        if left_bytes().is_some_and(|left| left < stack + STACK_RESERVE) {
            return Err(Refusal::Stack(stack, io::ErrorKind::OutOfMemory.into()).into());
        }
        let memory = self.pools.iter().map(|pool| pool.limits.memory).max().unwrap_or_default();
        // One that moves is there twice for a moment.
        let memory = memory.saturating_mul(2).saturating_add(OWN_MEMORY);
        self.kept.memory = self.kept.memory.saturating_add(memory);
        let demanded = self.pools.iter().any(|pool| pool.rules.requires(Requirement::Sandbox));
        let inside = |pool: &&'a Pool| Inside {
            linked: &pool.linked,
            preopens: pool.held.preopens().collect(),
            sockets: pool.template.asks_for_sockets(),
        };
        let all: Vec<Inside<'_>> = self.pools.iter().map(inside).collect();
        let sandbox = confine_process(&all, &self.kept, demanded, timer::start_and_wait)?;
        let missing = sandbox.missing().iter();
        let missing = missing.map(|(piece, error)| (piece.name(), error.to_string())).collect();
        Ok(Standing { missing, stands: sandbox.stands().map(|piece| piece.name()).collect() })
    }
}

/// What stands around this process, and what does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    stands: Vec<&'static str>,
    missing: Vec<(&'static str, String)>,
}

impl Standing {
    /// What was given up, by the words of a report's `sandbox`: `descriptors`, `limits`,
    /// `capabilities`, `dumpable`, `no-new-privs`, `mdwe`, `landlock`, `seccomp`.
    #[must_use]
    pub fn stands(&self) -> &[&'static str] {
        &self.stands
    }

    /// What was not, and why.
    #[must_use]
    pub fn missing(&self) -> &[(&'static str, String)] {
        &self.missing
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} stand", self.stands.join(", "))?;
        for (piece, why) in &self.missing {
            write!(formatter, "; without {piece} ({why})")?;
        }
        Ok(())
    }
}
