//! Stage *assemble*: images and facts become an [`Assembled`]: the manifest, and
//! the parts as they will lie in the file.
//!
//! Guarantees: the statement says of each part exactly what was compiled, stored
//! and hashed; zstd frames have a window that every reader accepts. Writes no
//! time stamp unless it is given one.

use crate::audit::Audited;
use crate::compile::Image;
use crate::describe::Description;
use crate::validate::Validated;
use bls_artifact::capability::Permission;
use bls_artifact::control_flow;
use bls_artifact::digest::{Sha256, verity};
use bls_artifact::fuel;
use bls_artifact::limits::{INTERFACE_BYTES_MAX, ZSTD_LEVEL_MAX, ZSTD_WINDOW_MAX};
use bls_artifact::manifest::{
    self, Compiler, Document, EXPORTS_EXTENSION, Encoding, Limits, Manifest, Module, Part, Stored,
};
use bls_artifact::recipe;
use bls_artifact::sparse;
use bls_artifact::target::{ENGINE_COMPATIBILITY, ENGINE_RELEASE};
use std::collections::BTreeMap;
use std::{fmt, io};
use zstd::zstd_safe::CParameter;

/// Lowest and highest level that `--compress` takes.
pub const LEVELS: std::ops::RangeInclusive<u32> = 1..=ZSTD_LEVEL_MAX;
/// The level when none is given.
pub const LEVEL_DEFAULT: u32 = 19;
/// The extension of a manifest that says what a component imported and exported.
pub const COMPONENT_EXTENSION: &str = "component";

/// Why parts cannot be assembled.
#[derive(Debug)]
pub enum AssembleError {
    /// zstd failed.
    Compress(io::Error),
}

impl fmt::Display for AssembleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compress(error) => write!(f, "cannot compress: {error}"),
        }
    }
}

impl std::error::Error for AssembleError {}

impl AssembleError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Compress(_) => "assemble.compress",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Compress(_) => "use a lower level, such as --compress=3, which needs less memory",
        }
    }
}

/// What the builder chose and no stage computes.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// The artifact's name; must satisfy [`bls_artifact::name::check`].
    pub name: String,
    /// A number that rises with each release; 0 is unset.
    pub sequence: u64,
    /// Seconds since 1970, where asked for.
    pub created: Option<u64>,
    /// Seconds since 1970 after which it must not run.
    pub expires: Option<u64>,
    /// Documents about the source, as the manifest has them.
    pub documents: Vec<Document>,
    /// What a loader must grant, as the manifest has it.
    pub needs: Vec<Permission>,
    /// Limits that the builder asks for.
    pub limits: Limits,
    /// The zstd level; `None` stores images uncompressed.
    pub compression: Option<u32>,
    /// The most window of a compressed image, in bytes, where it is chosen.
    pub window: Option<u64>,
}

/// A manifest and its parts, not signed yet.
#[derive(Debug)]
pub struct Assembled {
    manifest: Manifest,
    parts: Vec<Vec<u8>>,
}

impl Assembled {
    /// What was assembled before, as [`crate::again`] found it: nobody else may call this.
    pub(crate) fn again(manifest: Manifest, parts: Vec<Vec<u8>>) -> Self {
        Self { manifest, parts }
    }

    /// What will be signed.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The parts as stored, in the manifest's order.
    #[must_use]
    pub fn parts(&self) -> Vec<&[u8]> {
        self.parts.iter().map(Vec::as_slice).collect()
    }
}

/// Assembles what the stages before gave.
///
/// # Errors
/// [`AssembleError`].
pub fn assemble(
    module: &Validated,
    description: Description,
    audited: &Audited,
    images: Vec<Image>,
    choices: Choices,
) -> Result<Assembled, AssembleError> {
    let mut parts = Vec::with_capacity(images.len());
    let mut records = Vec::with_capacity(images.len());
    for image in images {
        let (part, bytes) = part(image, choices.compression, choices.window)?;
        records.push(part);
        parts.push(bytes);
    }
    let mut module_from_outside = description.module;
    let mut extensions = extensions(audited, &records);
    if let Some(recipe) = module.source().recipe() {
        extensions.insert(recipe::EXTENSION.to_owned(), recipe.to_text());
    }
    if let Some(world) = module.source().world() {
        extensions.insert(COMPONENT_EXTENSION.to_owned(), world.to_owned());
    }
    if let Some(unlisted) = unlist_exports(&mut module_from_outside) {
        extensions.insert(EXPORTS_EXTENSION.to_owned(), unlisted);
    }
    let manifest = Manifest {
        name: choices.name,
        sequence: choices.sequence,
        created: choices.created,
        expires: choices.expires,
        source: module.source().given(),
        compiled: Sha256::of(audited.wasm()),
        compiler: Compiler {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: ENGINE_RELEASE.to_owned(),
            compression: choices.compression,
            window: choices.window,
        },
        documents: choices.documents,
        fuel: audited.fuel().cloned(),
        module: module_from_outside,
        may_use: description.may_use,
        needs: choices.needs,
        limits: choices.limits,
        parts: records,
        critical: Vec::new(),
        extensions,
    };
    Ok(Assembled { manifest, parts })
}

/// Bytes that the manifest takes to say what a module looks like from outside: without the
/// exports, where it does not list them.
#[must_use]
pub fn interface_bytes(module: &Module) -> u64 {
    let bytes = |module: &Module| serde_json::to_vec(module).map_or(0, |json| json.len() as u64);
    let all = bytes(module);
    if all <= INTERFACE_BYTES_MAX {
        return all;
    }
    let mut module = module.clone();
    module.exports.clear();
    bytes(&module)
}

/// Takes the exports out where the manifest has no room for them; gives what stands for them.
fn unlist_exports(module: &mut Module) -> Option<String> {
    let all = serde_json::to_vec(module).map_or(0, |json| json.len() as u64);
    if all <= INTERFACE_BYTES_MAX {
        return None;
    }
    let exports = std::mem::take(&mut module.exports);
    let list = serde_json::to_vec(&exports).unwrap_or_default();
    Some(manifest::unlisted(exports.len(), Sha256::of(&list)))
}

/// What the manifest says beyond its own fields.
fn extensions(audited: &Audited, parts: &[Part]) -> BTreeMap<String, String> {
    let profile = (fuel::PROFILE_EXTENSION, fuel::PROFILE_VERSION);
    let profile = audited.counts_by_function().then_some(profile);
    // The flags that `compile` generates code with, always.
    let flow = (control_flow::EXTENSION, control_flow::VERSION);
    let flow = parts.iter().any(|part| control_flow::must_be_said(part.target)).then_some(flow);
    profile.into_iter().chain(flow).map(|(name, value)| (name.into(), value.into())).collect()
}

/// One part: its record, and its bytes as stored.
fn part(
    image: Image,
    level: Option<u32>,
    window: Option<u64>,
) -> Result<(Part, Vec<u8>), AssembleError> {
    let sha256 = Sha256::of(image.bytes());
    let length = image.bytes().len() as u64;
    let packed = match level {
        None => sparse::pack(image.bytes()).map(|bytes| (Encoding::Sparse, bytes)),
        Some(level) => {
            let frame = compress(image.bytes(), level, window).map_err(AssembleError::Compress)?;
            Some((Encoding::Zstd, frame))
        }
    };
    let stored = match &packed {
        None => Stored { encoding: Encoding::Raw, length, sha256 },
        Some((encoding, bytes)) => {
            Stored { encoding: *encoding, length: bytes.len() as u64, sha256: Sha256::of(bytes) }
        }
    };
    let part = Part {
        target: image.machine().target(),
        cpu_features: image.machine().features().iter().map(|name| (*name).to_owned()).collect(),
        page_size: image.page_size(),
        engine: ENGINE_COMPATIBILITY.to_owned(),
        profile: image.profile().clone(),
        stored,
        image: manifest::Image { length, sha256, verity: verity(image.bytes()) },
    };
    Ok((part, packed.map_or_else(|| image.into_bytes(), |(_, bytes)| bytes)))
}

/// One zstd frame with its content size, by one thread: the same bytes always.
fn compress(image: &[u8], level: u32, window: Option<u64>) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(level.cast_signed())?;
    compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
    // The part has its SHA-256 already.
    compressor.set_parameter(CParameter::ChecksumFlag(false))?;
    // Low levels stay below the most that readers accept.
    let window = window.or((level > LEVEL_DEFAULT).then_some(ZSTD_WINDOW_MAX));
    if let Some(bytes) = window {
        compressor.set_parameter(CParameter::WindowLog(bytes.ilog2()))?;
    }
    compressor.compress(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_stay_within_the_window_that_readers_accept() {
        let data: Vec<u8> = (0..20_000_000_u32).map(|i| (i.wrapping_mul(i) >> 13) as u8).collect();
        let own = |level| (level, None, ZSTD_WINDOW_MAX);
        for (level, window, most) in
            [own(1), own(3), own(22), (3, Some(1 << 20), 1 << 20), (19, Some(1 << 10), 1 << 10)]
        {
            let data = &data[..if level > 3 { 9_000_000 } else { data.len() }];
            let frame = compress(data, level, window).unwrap();
            // RFC 8878, section 3.1.1.1: bit 5 of the descriptor is "single
            // segment", where the window is the content; else a window byte.
            let descriptor = frame[4];
            assert_eq!(descriptor & 4, 0, "no checksum");
            assert_eq!(descriptor & 0x20, 0, "level {level}: single segment");
            let exponent = u32::from(frame[5] >> 3);
            let base = 1_u64 << (10 + exponent);
            let window = base + base / 8 * u64::from(frame[5] & 7);
            assert!(window <= most, "level {level}: {window}");
        }
    }
}
