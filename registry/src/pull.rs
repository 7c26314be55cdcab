//! Takes an artifact out of a registry.
//!
//! Guarantees that what is written is what the manifest names, by digest and length, that this
//! manifest is what the index or the reference names by digest, where either does, and that no
//! more bytes are taken than were announced, nor more than an artifact can have. Verifies no
//! signature.

use crate::client::Client;
use crate::error::Error;
use crate::form::{
    ARTIFACT, Descriptor, Index, MANIFEST, MANIFEST_BYTES_MAX, Manifest, Read, read,
};
use crate::reference::Reference;
use bls_artifact::digest::{Hasher, Sha256};
use bls_artifact::limits::ARTIFACT_BYTES_MAX;
use bls_artifact::quantity::show_sizes;
use bls_artifact::registry::Defect;
use bls_artifact::text::{printable, printable_name};
use std::io::{Read as _, Write};

/// Bytes that are taken at once.
const PIECE: usize = 64 << 10;

/// What is to be taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The manifest.
    pub manifest: Sha256,
    /// Its layer, the artifact.
    pub layer: Descriptor,
}

/// Finds what the reference means on this architecture.
///
/// # Errors
/// It is not there, is no artifact, has nothing for this architecture, or the registry lies.
pub fn choose(
    client: &mut Client,
    reference: &Reference,
    architecture: &str,
) -> Result<Chosen, Error> {
    let (bytes, kind) = client.manifest(&reference.wanted())?;
    let digest = Sha256::of(&bytes);
    if reference.digest.is_some_and(|wanted| wanted != digest) {
        return Err(false_manifest(&reference.to_string(), digest));
    }
    match understood(client, &bytes, &kind)? {
        Read::Manifest(manifest) => chosen(reference, digest, &manifest),
        Read::Index(index) => {
            let entry = entry(reference, &index, architecture)?;
            let (bytes, kind) = client.manifest(&format!("sha256:{}", entry.digest))?;
            let digest = Sha256::of(&bytes);
            if digest != entry.digest || bytes.len() as u64 != entry.size {
                return Err(false_manifest(&reference.by_digest(entry.digest).to_string(), digest));
            }
            match understood(client, &bytes, &kind)? {
                Read::Manifest(manifest) => chosen(reference, digest, &manifest),
                Read::Index(_) => Err(other_type(reference, "an index inside of an index")),
                Read::Other(kind) => Err(other_type(reference, &kind)),
            }
        }
        Read::Other(kind) => Err(other_type(reference, &kind)),
    }
}

/// Writes the artifact.
///
/// # Errors
/// The registry does not give it, or gives something else; it cannot be written.
pub fn fetch(client: &mut Client, chosen: &Chosen, to: &mut impl Write) -> Result<(), Error> {
    let Descriptor { digest, size, .. } = chosen.layer;
    let mut body = client.blob(digest)?.take(size + 1);
    let (mut hasher, mut count) = (Hasher::default(), 0_u64);
    let mut piece = vec![0; PIECE];
    loop {
        let read = match body.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(client.broken(error)),
        };
        count += read as u64;
        if count > size {
            let what = format!(
                "the registry gives more than the {size} bytes of sha256:{digest} that it announced"
            );
            return Err(Error::new(Defect::BlobSize, what));
        }
        hasher.update(&piece[..read]);
        to.write_all(&piece[..read]).map_err(|error| {
            Error::new(Defect::Unwritable, format!("cannot write what comes: {error}"))
        })?;
    }
    if count < size {
        let what = format!("the registry gives {count} of the {size} bytes of sha256:{digest}");
        return Err(Error::new(Defect::BlobSize, what));
    }
    let actual = hasher.finish();
    if actual != digest {
        let what = format!("the registry gives sha256:{actual} in the place of sha256:{digest}");
        return Err(Error::new(Defect::BlobDigest, what));
    }
    Ok(())
}

fn understood(client: &Client, bytes: &[u8], kind: &str) -> Result<Read, Error> {
    read(bytes, kind).map_err(|what| client.senseless(&what))
}

/// The manifest of an index for this architecture.
fn entry<'i>(
    reference: &Reference,
    index: &'i Index,
    architecture: &str,
) -> Result<&'i Descriptor, Error> {
    let is_meant = |entry: &&Descriptor| {
        let platform = entry.platform.as_ref();
        platform.is_some_and(|one| one.os == "linux" && one.architecture == architecture)
            && entry.media_type == MANIFEST
    };
    let Some(entry) = index.manifests.iter().find(is_meant) else {
        let all = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
        let all: Vec<String> = all.map(|one| printable_name(&one.architecture)).collect();
        let has = if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
        let what = format!("{reference} has nothing for {architecture}; it has {has}");
        return Err(Error::new(Defect::NoArchitecture, what));
    };
    if entry.size > MANIFEST_BYTES_MAX {
        let what = format!("{reference}: its index names a manifest of {} bytes", entry.size);
        return Err(Error::new(Defect::Answer, what));
    }
    Ok(entry)
}

/// The one layer of an artifact's manifest.
fn chosen(reference: &Reference, digest: Sha256, manifest: &Manifest) -> Result<Chosen, Error> {
    // Registries from before 1.1 of the specification know the configuration's type alone.
    let kind = manifest.artifact_type.as_ref().unwrap_or(&manifest.config.media_type);
    if kind != ARTIFACT {
        return Err(other_type(reference, kind));
    }
    let [layer] = manifest.layers.as_slice() else {
        let what = format!("an artifact of {} layers", manifest.layers.len());
        return Err(other_type(reference, &what));
    };
    if layer.media_type != ARTIFACT {
        return Err(other_type(reference, &format!("a layer of {}", layer.media_type)));
    }
    if layer.size > ARTIFACT_BYTES_MAX {
        let (has, may) = show_sizes(layer.size, ARTIFACT_BYTES_MAX);
        let what =
            format!("{reference} is said to be {has} long, and an artifact has at most {may}");
        return Err(Error::new(Defect::BlobSize, what));
    }
    Ok(Chosen { manifest: digest, layer: layer.clone() })
}

fn other_type(reference: &Reference, kind: &str) -> Error {
    let kind = printable(kind);
    Error::new(Defect::OtherType, format!("{reference} is no artifact of bls-compile, but {kind}"))
}

fn false_manifest(reference: &str, actual: Sha256) -> Error {
    let what = format!("the registry gives sha256:{actual} in the place of {reference}");
    Error::new(Defect::ManifestDigest, what)
}
