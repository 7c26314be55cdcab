//! Maps a verified image as code.
//!
//! May assume what a [`Verified`] guarantees; takes nothing else, so nothing that
//! was not verified reaches wasmtime. Guarantees that the engine has exactly the
//! settings that were signed, and that no page is writable and executable at
//! once (wasmtime maps the sealed file privately, read-write, and turns code to
//! read-execute). Does not run anything.

use crate::error::StageError;
use crate::outcome::FRAMES_MAX;
use crate::sys;
use crate::verify::{Facts, Verified};
use bls_artifact::limits::STACK_BYTES_DEFAULT;
use std::fmt;
use wasmtime::{Engine, Module};

/// Why a verified image cannot be mapped.
#[derive(Debug)]
pub struct MapError(wasmtime::Error);

impl fmt::Display for MapError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the engine does not take the image: {:#}", self.0)
    }
}

impl std::error::Error for MapError {}

impl StageError for MapError {
    const STAGE: &'static str = "map";

    fn code(&self) -> &'static str {
        "map.engine"
    }

    fn hint(&self) -> Option<String> {
        Some("compile it again with the bls-compile of this release".into())
    }
}

/// A module whose code is mapped. Only [`map()`] and [`map_with_stack()`] make
/// one.
#[derive(Debug)]
pub struct Mapped {
    facts: Facts,
    module: Module,
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

    /// The engine it is for.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.module.engine()
    }
}

/// Maps with the default stack.
///
/// # Errors
/// [`MapError`].
pub fn map(verified: Verified) -> Result<Mapped, MapError> {
    map_with_stack(verified, STACK_BYTES_DEFAULT as usize)
}

/// Maps for guests with `stack_bytes` of stack.
///
/// # Errors
/// [`MapError`].
pub fn map_with_stack(verified: Verified, stack_bytes: usize) -> Result<Mapped, MapError> {
    let (facts, image) = verified.into_parts();
    let engine = engine(&facts, stack_bytes).map_err(MapError)?;
    let module = sys::code::map(&engine, image).map_err(MapError)?;
    Ok(Mapped { facts, module })
}

/// An engine with the signed settings, for one more module of the same part.
fn engine(facts: &Facts, stack_bytes: usize) -> wasmtime::Result<Engine> {
    let mut config = facts.part().profile.config();
    config
        .max_wasm_stack(stack_bytes)
        // Unused without async, and checked against the line above.
        .async_stack_size(stack_bytes)
        // Those that a trap names, and one more to know whether there are more.
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(FRAMES_MAX + 1));
    Engine::new(&config)
}

/// Maps into an existing engine: several modules that share types and objects
/// have to share their engine. wasmtime compares the engine's settings with the
/// image's.
///
/// # Errors
/// [`MapError`].
pub fn map_into(engine: &Engine, verified: Verified) -> Result<Mapped, MapError> {
    let (facts, image) = verified.into_parts();
    let module = sys::code::map(engine, image).map_err(MapError)?;
    Ok(Mapped { facts, module })
}
