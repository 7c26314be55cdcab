//! Turns a sealed image into executable code.

use crate::image::SealedImage;
use wasmtime::{Engine, Module};

/// Maps `image` into `engine`.
pub(crate) fn map(engine: &Engine, image: SealedImage) -> wasmtime::Result<Module> {
    // SAFETY: wasmtime asks for two things. First, that the bytes are what
    // `Engine::precompile_module` gave: a `SealedImage` is made only by
    // `image::copy`, which compares SHA-256 of exactly the bytes in the file with
    // the digest in a manifest that a trusted compiler key signed, and such a key
    // signs only what it compiled itself. Second, that the file does not change
    // while the module lives: it is a memory file with the write, grow and shrink
    // seals, whose only descriptor moves into wasmtime here. wasmtime itself
    // compares the engine's settings and version with the image's.
    unsafe { Module::deserialize_open_file(engine, image.file) }
}
