//! Turns a verified image into executable code.
//!
//! Guarantees that no page is writable and executable at once. The code of an image in a
//! file is mapped executable from the start and never becomes so by `mprotect`, so that it
//! runs where the system forbids that (`PR_SET_MDWE`, systemd's `MemoryDenyWriteExecute`,
//! SELinux without `execmem`). An image in this process's own memory needs `mprotect`.

use super::filter;
use crate::image::{ImageBytes, VerifiedImage};
use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader as _, SectionHeader as _};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use std::fs::File;
use std::io;
use std::sync::Arc;
use wasmtime::{Config, CustomCodeMemory, Engine, Module};
use wasmtime_environ::lookup_trap_code;
use wasmtime_environ::obj::ELF_WASMTIME_TRAPS;

/// Makes an engine of `config` leave the code of its modules as it is mapped: [`map`] makes
/// it executable. For engines that get images in files, and no others.
pub(crate) fn leave_code_to_map(config: &mut Config) {
    config.with_custom_code_memory(Some(Arc::new(LeftToMap)));
}

/// What the engine asks to make code executable.
struct LeftToMap;

impl CustomCodeMemory for LeftToMap {
    fn required_alignment(&self) -> usize {
        rustix::param::page_size()
    }

    fn publish_executable(&self, _: *const u8, _: usize) -> wasmtime::Result<()> {
        Ok(())
    }

    // Asked for when a module ends, whose whole mapping goes right afterwards.
    fn unpublish_executable(&self, _: *const u8, _: usize) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// Maps `image` into `engine`.
pub(crate) fn map(engine: &Engine, image: VerifiedImage) -> wasmtime::Result<Module> {
    // SAFETY, of both ways: wasmtime asks for two things. First, that the bytes are what
    // `Engine::precompile_module` gave; a trusted compiler key signs only what it
    // compiled itself. Second, that they do not change while the module lives.
    // There are two ways to a `VerifiedImage`. A sealed one is made only by `image.rs`,
    // which compares SHA-256 of exactly these bytes with the digest in a signed manifest.
    // It is a memory file with the write, grow and shrink seals, whose only descriptors are
    // wasmtime's and the one that is dropped at the end of this function; or it is in a `Vec` of ours, which
    // wasmtime copies into memory of its own; so does one that was read of either file. A stored one is made only by
    // `StoredImage::check`: its bytes were a sealed image's when root installed them
    // under their SHA-256, and since then only root could write the file, or put another
    // in its place; root could as well change this program. wasmtime itself compares the
    // engine's settings and version with the image's.
    match image.into_bytes() {
        ImageBytes::File(file) => {
            let again = file.try_clone()?;
            // SAFETY: as above.
            let module = unsafe { Module::deserialize_open_file(engine, file) }?;
            // Bytecode is only read, and stands between pages.
            if !engine.is_pulley() {
                map_code(&module, &again)?;
            }
            Ok(module)
        }
        ImageBytes::Private(bytes) => {
            filter::without_memory_files();
            // SAFETY: as above.
            unsafe { Module::deserialize(engine, bytes) }
        }
    }
}

/// The image that a module is.
pub(super) fn image(module: &Module) -> &[u8] {
    let range = module.image_range();
    let length = range.end.addr() - range.start.addr();
    // SAFETY: the engine's own copy or mapping of the image, which is read-only and lives as long
    // as the module, which is borrowed for as long.
    unsafe { std::slice::from_raw_parts(range.start, length) }
}

/// A section of an image, read in the engine's way.
fn section<'a>(image: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let header = FileHeader64::<Endianness>::parse(image).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, image).ok()?;
    let (_, section) = sections.section_by_name(endian, name.as_bytes())?;
    section.data(endian, image).ok()
}

/// Whether the instruction at this offset into the code of a module may trap.
pub(crate) fn traps_at(module: &Module, offset: usize) -> bool {
    let traps = section(image(module), ELF_WASMTIME_TRAPS);
    traps.is_some_and(|traps| lookup_trap_code(traps, offset).is_some())
}

/// Maps a file's first page, readable and executable, for whoever watches what is mapped: nobody
/// here learns where. It stays until this process ends.
///
/// # Errors
/// What the kernel says: `EPERM` where programs may not be executed from the file's place.
pub(crate) fn map_for_others(file: &File) -> io::Result<()> {
    let (length, rights) = (rustix::param::page_size(), ProtFlags::READ | ProtFlags::EXEC);
    // SAFETY: a new mapping where the kernel likes, over nothing; nobody reads it or jumps there.
    unsafe { mmap(std::ptr::null_mut(), length, rights, MapFlags::PRIVATE, file, 0) }?;
    Ok(())
}

/// Maps the code of `module` once more from its `file`, readable and executable, over where
/// it is mapped already.
fn map_code(module: &Module, file: &File) -> io::Result<()> {
    let code = module.text();
    if code.is_empty() {
        return Ok(());
    }
    let offset = code.as_ptr().addr() - module.image_range().start.addr();
    // SAFETY: the range lies in the module's own mapping of this file. That mapping begins at
    // the file's first byte, so `offset` is where the code stands in the file, and the new
    // mapping shows the same bytes: wasmtime refuses relocations of code, and has made the
    // whole mapping read-only by now. So what lives there (`module.text()`) stays what it is. The
    // kernel refuses a range that does not begin at a page; a last page that the code
    // does not fill gets the file's bytes in full, too. Nothing executes there yet. Where
    // the call fails the module is dropped, and unmaps all of its range, mapped or not.
    // Other processors' caches of instructions are the kernel's concern, as with any
    // program's code.
    unsafe {
        mmap(
            code.as_ptr().cast_mut().cast(),
            code.len(),
            ProtFlags::READ | ProtFlags::EXEC,
            MapFlags::PRIVATE | MapFlags::FIXED,
            file,
            offset as u64,
        )
    }?;
    Ok(())
}
