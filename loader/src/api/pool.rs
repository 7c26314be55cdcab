//! Many guests of one artifact in a process, from memory that is kept between them.
//!
//! Guarantees that a guest finds its memories, tables and globals as the module says, whatever
//! earlier guests wrote: wasmtime's pooling allocator maps the module's initial data
//! copy-on-write, and takes back the pages that a guest touched, or writes zeros over them.

use super::instance::Instance;
use super::runner::{Code, Parts, Runner};
use super::{call::CallError, outcome::Ended};
use crate::error::Error;
use crate::grant::Held;
use crate::link::Linked;
use crate::outside::Setup;
use crate::policy::{Rules, RunLimits};
use crate::sys::interrupt::Places;
use crate::verify::Facts;
use std::fmt;
use std::sync::Arc;

/// Guests of one artifact, as many at once as it was made for.
///
/// Made by [`Runner::pool`]. Threads share it; each guest has its own fuel, time, memory,
/// streams and grants.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bls_loader::{Loader, Runner, Trust};
/// let verified = Loader::new(Trust::system()?).open("plugin.bls")?;
/// let pool = Runner::new(verified).fuel(1_000_000).pool(1000)?;
/// let mut instance = pool.instantiate()?;
/// let sum = instance.call::<(i32, i32), i32>("add", (1, 2))?;
/// # Ok(()) }
/// ```
pub struct Pool {
    pub(super) linked: Arc<Linked>,
    pub(super) places: Option<Arc<Places>>,
    pub(super) rules: Arc<Rules>,
    /// The folders that its guests get.
    pub(super) held: Arc<Held>,
    pub(super) template: Parts,
    /// What each of its guests may use up.
    pub(super) limits: RunLimits,
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").field("linked", &self.linked).finish_non_exhaustive()
    }
}

impl Pool {
    /// What is known about the artifact.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        self.linked.mapped().facts()
    }

    /// Asks for a guest that gets what the pool was made with, to ask for more, or other. Its
    /// stack and what happens with unknown imports are the pool's, its memory is at most the
    /// pool's, and it is refused where it is given functions of its own, or is to be stopped in
    /// a pool that was not made for that.
    #[must_use]
    pub fn runner(&self) -> Runner {
        let code = Code::Shared(Arc::clone(&self.linked), self.places.clone());
        let (rules, held) = (Arc::clone(&self.rules), Arc::clone(&self.held));
        Runner::with(code, rules, held, self.template.fresh())
    }

    /// What a broker is to be told that answers its guests
    /// ([`SharedBroker`](crate::outside::SharedBroker)); `None` where they import nothing that asks
    /// for what they were granted.
    ///
    /// # Errors
    /// Where a policy forbids what the pool was made with.
    pub fn broker_setup(&self) -> Result<Option<Setup>, Error> {
        self.template.broker_setup(&self.linked, &self.rules, &self.limits, &self.held)
    }

    /// Runs a guest to its end.
    ///
    /// # Errors
    /// As for [`Runner::run`]; also when as many guests as the pool has room for are there.
    pub fn run(&self) -> Result<Ended, Error> {
        self.runner().run()
    }

    /// Makes a guest to be called.
    ///
    /// # Errors
    /// As for [`Runner::instantiate`]; also when as many guests as the pool has room for are
    /// there.
    pub fn instantiate(&self) -> Result<Instance, CallError> {
        self.runner().instantiate()
    }
}
