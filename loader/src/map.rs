//! Maps a verified image as code.
//!
//! May assume what a [`Verified`] guarantees; takes nothing else, so nothing that
//! was not verified reaches wasmtime. Guarantees that the engine has exactly the
//! settings that were signed, that no page is writable and executable at once, and that
//! the code in a file is mapped executable from the start (`sys/code.rs`). Does not run
//! anything.

use crate::error::{Cause, StageError};
use crate::sys;
use crate::verify::{Facts, Verified};
#[cfg(feature = "pool")]
use bls_artifact::limits::TABLE_ELEMENTS_MAX;
use bls_artifact::limits::{MEMORY_BYTES_DEFAULT, STACK_BYTES_DEFAULT};
use bls_artifact::manifest::Memory;
use bls_artifact::target::Bounds;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::fmt;
use std::os::fd::RawFd;
#[cfg(feature = "pool")]
use wasmtime::PoolingAllocationConfig;
use wasmtime::{Config, Engine, Module};

/// The most functions that a trap names: the engine is told to keep them.
pub(crate) const FRAMES_MAX: usize = 20;

/// Why a verified image cannot be mapped.
#[derive(Debug)]
pub enum MapError {
    /// The engine does not take it.
    Engine(wasmtime::Error),
    /// The system does not map it.
    System(Errno, wasmtime::Error),
    /// The image is in this process's memory, and the given engine may expect code to be
    /// mapped from a file.
    NoFile,
}

impl From<wasmtime::Error> for MapError {
    fn from(error: wasmtime::Error) -> Self {
        let cause = error.root_cause();
        let errno = cause
            .downcast_ref::<Errno>()
            .copied()
            .or_else(|| Errno::from_io_error(cause.downcast_ref::<std::io::Error>()?));
        match errno {
            // What is invalid is the image: one without a byte, or with code between pages.
            None | Some(Errno::INVAL) => Self::Engine(error),
            Some(errno) => Self::System(errno, error),
        }
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(error) => {
                write!(formatter, "the engine does not take the image: {error:#}")
            }
            Self::System(_, error) => {
                write!(formatter, "the system does not map the code: {error:#}")
            }
            Self::NoFile => {
                write!(formatter, "the system gives no memory file to map the code from")
            }
        }
    }
}

impl std::error::Error for MapError {}

impl StageError for MapError {
    const STAGE: &'static str = "map";

    fn code(&self) -> &'static str {
        match self {
            Self::Engine(_) => "map.engine",
            Self::System(..) | Self::NoFile => "map.system",
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Engine(_) => Cause::Refused,
            Self::System(..) | Self::NoFile => Cause::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Engine(_) => "compile it again with the bls-compile of this release".into(),
            // A file needs no permission here that a program's own does not.
            Self::System(Errno::ACCESS | Errno::PERM, _) | Self::NoFile => {
                "a policy of this system forbids it (MemoryDenyWriteExecute where there is no memfd_create, SELinux, a filter); installed by root, it is mapped as programs are: sudo bls-load install it, and run it by its name".into()
            }
            Self::System(..) => "see ulimit -v, and the limits of its group".into(),
        })
    }
}

/// A module whose code is mapped. Only this module makes one.
#[derive(Debug)]
pub struct Mapped {
    facts: Facts,
    module: Module,
    descriptor: Option<RawFd>,
}

impl Mapped {
    /// What was verified.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The module.
    #[must_use]
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// The descriptor of the image, which the engine keeps; none where it is a copy in memory.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.descriptor
    }

    /// The engine it is for.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.module.engine()
    }
}

/// Maps with the default stack and memory.
///
/// # Errors
/// [`MapError`].
pub fn map(verified: Verified) -> Result<Mapped, MapError> {
    map_for(verified, &Guests::default())
}

/// Maps for guests of this kind.
///
/// # Errors
/// [`MapError`].
pub fn map_for(verified: Verified, guests: &Guests) -> Result<Mapped, MapError> {
    let (facts, mut image) = verified.into_parts();
    if guests.in_own_memory {
        let copied = image.in_own_memory(facts.part().image.length);
        image = copied.map_err(|error| wasmtime::Error::msg(error.to_string()))?;
    }
    let mut config = config(&facts, guests);
    if image.is_file() {
        sys::code::leave_code_to_map(&mut config);
    }
    #[cfg(feature = "pool")]
    if let Some(most) = guests.pooled {
        config.allocation_strategy(pool(&facts, guests, most));
    }
    let descriptor = image.descriptor();
    let module = sys::code::map(&Engine::new(&config)?, image)?;
    Ok(Mapped { facts, module, descriptor })
}

/// The guests that an engine is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guests {
    /// Bytes of stack of each.
    pub stack: usize,
    /// Bytes of memory of each, at most.
    pub memory: u64,
    /// Whether they may be stopped from outside: then a trap does not say who called whom
    /// (`sys/interrupt.rs`).
    pub stoppable: bool,
    /// Whether the code is copied into the process's own memory: for tools that take what is
    /// mapped from a file for that file's.
    pub in_own_memory: bool,
    /// So many at once, at most, in memory that is kept between them.
    #[cfg(feature = "pool")]
    pub pooled: Option<u32>,
}

impl Default for Guests {
    fn default() -> Self {
        Self {
            stack: STACK_BYTES_DEFAULT as usize,
            memory: MEMORY_BYTES_DEFAULT,
            stoppable: false,
            in_own_memory: false,
            #[cfg(feature = "pool")]
            pooled: None,
        }
    }
}

/// The signed settings, and those that are this side's.
fn config(facts: &Facts, guests: &Guests) -> Config {
    let (stack_bytes, memory_bytes) = (guests.stack, guests.memory);
    // Those that a trap names, and one more to know whether there are more.
    let frames = if guests.stoppable { 0 } else { FRAMES_MAX + 1 };
    let profile = &facts.part().profile;
    let mut config = profile.config();
    config
        .max_wasm_stack(stack_bytes)
        // Unused without async, and checked against the line above.
        .async_stack_size(stack_bytes)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(frames));
    if profile.bounds() == Bounds::Checked {
        let manifest = &facts.manifest;
        let beside = BESIDE_BYTES.max(2 * stack_bytes as u64);
        let limits = [
            Some(memory_bytes),
            manifest.limits.memory,
            getrlimit(Resource::As).current.map(|most| most.saturating_sub(beside)),
        ];
        let allowed = limits.into_iter().flatten().min().unwrap_or(memory_bytes);
        let growth = Growth::of(&manifest.module.memories, allowed);
        config
            .memory_reservation_for_growth(growth.memory_bytes)
            .gc_heap_reservation_for_growth(growth.heap_bytes);
    }
    config
}

/// Room for `most` guests of this module at once. What one of them used is as it was before
/// the next gets it.
#[cfg(feature = "pool")]
fn pool(facts: &Facts, guests: &Guests, most: u32) -> PoolingAllocationConfig {
    /// Of one memory that is used anew, so many bytes are written over rather than given back
    /// to the system: below this, that is faster.
    const KEPT_BYTES: usize = 64 << 10;
    /// Most tables of a module, and most elements of each, that a place has room for.
    const TABLES: u32 = 16;
    let memories = u32::try_from(facts.manifest.module.memories.len()).unwrap_or(u32::MAX);
    let bytes = guests.memory.min(facts.manifest.limits.memory.unwrap_or(u64::MAX));
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(most)
        .total_memories(most.saturating_mul(memories.max(1)))
        .max_memories_per_module(memories.max(1))
        .max_memory_size(usize::try_from(bytes).unwrap_or(usize::MAX))
        .total_tables(most.saturating_mul(TABLES))
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_core_instance_size(1 << 20)
        .total_gc_heaps(most)
        .linear_memory_keep_resident(KEPT_BYTES)
        .table_keep_resident(KEPT_BYTES);
    pool
}

/// Address space that a run takes beside its memories, where its code is no longer than
/// most: the program, stacks, the code. Where it is limited, no more than the rest of it is
/// reserved for growth.
const BESIDE_BYTES: u64 = 64 << 20;

/// Address space that is reserved behind what a memory has, so that it need not move when
/// it grows. (With [`Bounds::Guard`] it always has enough.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Growth {
    /// For each linear memory.
    memory_bytes: u64,
    /// For the heap of objects.
    heap_bytes: u64,
}

impl Growth {
    /// What all memories together may grow by, shared among those that can grow. The heap
    /// counts as a memory only where there is no other: nobody knows yet whether it will
    /// be used at all, and it doubles when it moves, so it moves seldom.
    fn of(memories: &[Memory], allowed_bytes: u64) -> Self {
        /// Nothing grows as far; addresses end soon after.
        const MOST: u64 = 1 << 40;
        /// More memories than that get as much each as if they were so many: what moves is
        /// copied, and a guest that grows in small steps must not have it copied more often.
        const SHARES: usize = 8;
        let bytes = |pages: u64, page_bytes: u64| pages.saturating_mul(page_bytes);
        let room = memories.iter().fold(allowed_bytes.min(MOST), |room, memory| {
            room.saturating_sub(bytes(memory.minimum, memory.page_size))
        });
        let wanted: Vec<u64> = memories
            .iter()
            .map(|memory| match memory.maximum {
                Some(most) => bytes(most.saturating_sub(memory.minimum), memory.page_size),
                None => MOST,
            })
            .filter(|wanted| *wanted > 0)
            .collect();
        let share = room / wanted.len().clamp(1, SHARES) as u64;
        Self {
            memory_bytes: share.min(wanted.into_iter().max().unwrap_or(0)),
            heap_bytes: if memories.is_empty() { room } else { 0 },
        }
    }
}

/// Maps into an existing engine: several modules that share types and objects
/// have to share their engine. wasmtime compares the engine's settings with the
/// image's.
///
/// # Errors
/// [`MapError`].
pub fn map_into(engine: &Engine, verified: Verified) -> Result<Mapped, MapError> {
    let (facts, image) = verified.into_parts();
    // Whether the engine leaves code to be mapped is not to be seen from here.
    if !image.is_file() {
        return Err(MapError::NoFile);
    }
    let descriptor = image.descriptor();
    let module = sys::code::map(engine, image)?;
    Ok(Mapped { facts, module, descriptor })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(memories: &[(u64, Option<u64>)], allowed_bytes: u64) -> Growth {
        let memory = |&(minimum, maximum): &(u64, Option<u64>)| Memory {
            minimum,
            maximum,
            page_size: 1 << 16,
            address_bits: 32,
        };
        Growth::of(&memories.iter().map(memory).collect::<Vec<_>>(), allowed_bytes)
    }

    #[test]
    fn what_is_reserved_is_what_may_be_used() {
        const PAGE: u64 = 1 << 16;
        let is = |memory_bytes, heap_bytes| Growth { memory_bytes, heap_bytes };
        assert_eq!(growth(&[(1, None)], 10 * PAGE), is(9 * PAGE, 0));
        assert_eq!(growth(&[(1, Some(3))], 10 * PAGE), is(2 * PAGE, 0));
        assert_eq!(growth(&[(1, Some(1))], 10 * PAGE), is(0, 0));
        // One that cannot grow leaves its share to the others.
        let memories = [(2, Some(2)), (1, None), (1, Some(2))];
        assert_eq!(growth(&memories, 10 * PAGE), is(3 * PAGE, 0));
        assert_eq!(growth(&[(0, None); 100], 16 * PAGE), is(2 * PAGE, 0));
        assert_eq!(growth(&[(20, None)], 10 * PAGE), is(0, 0));
        assert_eq!(growth(&[], 10 * PAGE), is(0, 10 * PAGE));
        assert_eq!(growth(&[(u64::MAX, None)], u64::MAX), is(0, 0));
    }
}
