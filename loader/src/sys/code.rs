//! Turns a verified image into executable code.

use crate::image::VerifiedImage;
use wasmtime::{Engine, Module};

/// Maps `image` into `engine`.
pub(crate) fn map(engine: &Engine, image: VerifiedImage) -> wasmtime::Result<Module> {
    // SAFETY: wasmtime asks for two things. First, that the bytes are what
    // `Engine::precompile_module` gave; a trusted compiler key signs only what it
    // compiled itself. Second, that the file does not change while the module lives.
    // There are two ways to a `VerifiedImage`. A sealed one is made only by `image.rs`,
    // which compares SHA-256 of exactly the bytes in the file with the digest in a signed
    // manifest; it is a memory file with the write, grow and shrink seals, whose only
    // descriptor moves into wasmtime here. A stored one is made only by
    // `StoredImage::check`: its bytes were a sealed image's when root installed them
    // under their SHA-256, and since then only root could write the file, or put another
    // in its place; root could as well change this program. wasmtime itself compares the
    // engine's settings and version with the image's.
    unsafe { Module::deserialize_open_file(engine, image.into_file()) }
}
