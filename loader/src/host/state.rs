//! What one running guest owns: the store's data.
//!
//! Guarantees: `memory` is the guest's exported `memory`, and `of_libraries` those that its
//! libraries call the host with, resolved once after instantiation, so that no host call looks
//! an export up by name.

use crate::host::Host;
use crate::host::limit::Limiter;
use crate::host::observed::Observed;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use wasmtime::{Global, Memory};

/// The data of the one store of a run.
#[derive(Debug)]
pub struct State {
    /// The WASI host: everything the guest was granted.
    pub(crate) host: Host,
    /// The guest's exported linear memory, if it exports one. `None` until
    /// instantiation is over.
    pub(crate) memory: Option<Memory>,
    /// Those of the libraries that it was linked with, by their numbers (`memory@1`).
    pub(crate) of_libraries: Vec<(u32, Memory)>,
    /// The guest's fuel counter, where it is metered: host calls are paid from it.
    pub(crate) counter: Option<Global>,
    /// Whether it has called the host since somebody looked at that counter from outside.
    pub(crate) called_host: bool,
    /// What the guest may allocate, and how much it has.
    pub(crate) limiter: Limiter,
    /// What the embedder's own functions work on.
    pub(crate) data: Option<Box<dyn Any + Send>>,
    /// What another thread may see of it.
    pub(crate) observed: Arc<Observed>,
}

impl State {
    /// For a guest that is not instantiated yet, and gets `memory_max` bytes. For
    /// those who drive the host without a run.
    #[must_use]
    pub fn new(host: Host, memory_max: u64) -> Self {
        Self::seen_by(host, memory_max, Arc::default())
    }

    /// The same, and whoever holds `observed` sees how far it is.
    pub(crate) fn seen_by(host: Host, memory_max: u64, observed: Arc<Observed>) -> Self {
        let limiter = Limiter::new(memory_max, Arc::clone(&observed));
        Self {
            host,
            memory: None,
            of_libraries: Vec::new(),
            counter: None,
            called_host: false,
            limiter,
            data: None,
            observed,
        }
    }

    /// The memory of this number: 0 is the guest's own.
    #[inline]
    pub(crate) fn memory(&self, number: u32) -> Option<Memory> {
        match number {
            0 => self.memory,
            number => {
                let found = self.of_libraries.iter().find(|(known, _)| *known == number);
                found.map(|(_, memory)| *memory)
            }
        }
    }

    /// Names the counter that calls are paid from, once there is an instance.
    pub fn set_counter(&mut self, counter: Option<Global>) {
        self.counter = counter;
    }

    /// Names the memory that pointers are into, once there is an instance.
    pub fn set_memory(&mut self, memory: Option<Memory>) {
        self.memory = memory;
    }
}

/// A function of the embedder's own gave an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnFailure;

impl fmt::Display for OwnFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a function of the embedder's gave an error")
    }
}
