//! Puts artifacts and images into a registry.
//!
//! Blobs first, then the manifests that name them, then a signature of what the tag will mean, then
//! the tag, then what is attached to that: whoever pulls meanwhile finds the whole of the old or the
//! whole of the new, and nothing new without its signature.

use crate::client::Client;
use crate::cosign::{self, Signature};
use crate::error::Error;
use crate::form::{
    ARTIFACT, Annotations, Descriptor, EMPTY_BYTES, INDEX, Index, MANIFEST, Manifest, Read, WASM,
    read, to_bytes,
};
use crate::layout::Layout;
use crate::package::Packages;
use crate::reference::Reference;
use bls_artifact::digest::Sha256;
use bls_artifact::registry::Defect;

/// What was pushed.
#[derive(Debug)]
pub struct Pushed {
    /// What the tag means now.
    pub top: Descriptor,
    /// The manifest of the source, where it was pushed too.
    pub source: Option<Descriptor>,
}

/// The tag that a push gives.
///
/// # Errors
/// The reference has a digest, which nobody can give.
pub fn tag(reference: &Reference) -> Result<&str, Error> {
    match (&reference.tag, reference.digest) {
        (Some(tag), None) => Ok(tag),
        _ => Err(Error::new(
            Defect::Reference,
            format!("{reference} has a digest, and what is pushed gets a tag"),
        )),
    }
}

/// What the tag will mean where these are pushed.
#[must_use]
pub fn top(packages: &Packages) -> Descriptor {
    match packages.all.as_slice() {
        [one] => Descriptor { platform: None, ..one.descriptor.clone() },
        _ => Descriptor {
            artifact_type: Some(ARTIFACT.to_owned()),
            ..Descriptor::of(INDEX, &index(packages))
        },
    }
}

/// Pushes artifacts, and with them what they were made of, and a signature.
///
/// # Errors
/// The registry does not take something.
pub fn artifacts(
    client: &mut Client,
    reference: &Reference,
    packages: &Packages,
    source: Option<&[u8]>,
    signature: Option<&Signature>,
) -> Result<Pushed, Error> {
    let tag = tag(reference)?;
    let top = top(packages);
    if let Some(module) = source {
        check_source(packages, module)?;
    }
    client.put_blob(EMPTY_BYTES)?;
    for package in &packages.all {
        client.put_blob(&package.layer)?;
    }
    let several = match packages.all.as_slice() {
        [_] => &[][..],
        several => several,
    };
    for one in several {
        let under = format!("sha256:{}", one.descriptor.digest);
        let _ = client.put_manifest(&under, MANIFEST, &one.manifest)?;
    }
    signature.map_or(Ok(()), |signature| cosign::put(client, reference, signature))?;
    let _ = match packages.all.as_slice() {
        [one] => client.put_manifest(tag, MANIFEST, &one.manifest)?,
        _ => client.put_manifest(tag, INDEX, &index(packages))?,
    };
    let source = match source {
        None => None,
        Some(module) => Some(attach(client, packages, &top, module)?),
    };
    Ok(Pushed { top, source })
}

/// The index of several architectures.
#[must_use]
pub fn index(packages: &Packages) -> Vec<u8> {
    let manifests = packages.all.iter().map(|one| one.descriptor.clone()).collect();
    to_bytes(&Index {
        artifact_type: Some(ARTIFACT.to_owned()),
        annotations: packages.annotations.clone(),
        ..Index::of(manifests)
    })
}

/// Refuses what the artifacts were not made of.
///
/// # Errors
/// [`Defect::OtherSource`].
pub fn check_source(packages: &Packages, module: &[u8]) -> Result<(), Error> {
    let (made_of, given) = (packages.source, Sha256::of(module));
    if made_of == given {
        return Ok(());
    }
    let what = format!("the artifact was made of sha256:{made_of}, and --source is sha256:{given}");
    Err(Error::new(Defect::OtherSource, what))
}

/// Attaches the source to what was pushed.
fn attach(
    client: &mut Client,
    packages: &Packages,
    top: &Descriptor,
    module: &[u8],
) -> Result<Descriptor, Error> {
    client.put_blob(module)?;
    let mut layer = Descriptor::of(WASM, module);
    let title = "org.opencontainers.image.title".to_owned();
    layer.annotations.insert(title, format!("{}.wasm", packages.name));
    let subject =
        Descriptor { annotations: Annotations::new(), artifact_type: None, ..top.clone() };
    let manifest =
        Manifest { subject: Some(subject), ..Manifest::artifact(WASM, layer, Annotations::new()) };
    let bytes = to_bytes(&manifest);
    let descriptor =
        Descriptor { artifact_type: Some(WASM.to_owned()), ..Descriptor::of(MANIFEST, &bytes) };
    let under = format!("sha256:{}", descriptor.digest);
    if !client.put_manifest(&under, MANIFEST, &bytes)? {
        list_referrer(client, top.digest, &descriptor)?;
    }
    Ok(descriptor)
}

/// What a registry of before 1.1 of the specification does not do itself: the index of what is
/// attached to something, under a tag that is made of its digest.
fn list_referrer(client: &mut Client, subject: Sha256, new: &Descriptor) -> Result<(), Error> {
    let tag = format!("sha256-{subject}");
    let mut index = match client.manifest_if_there(&tag)? {
        None => Index::of(Vec::new()),
        Some(bytes) => match read(&bytes, INDEX) {
            Ok(Read::Index(index)) => index,
            _ => return Err(client.senseless(&format!("what it has as {tag} is no index"))),
        },
    };
    if index.manifests.iter().any(|known| known.digest == new.digest) {
        return Ok(());
    }
    index.manifests.push(new.clone());
    client.put_manifest(&tag, INDEX, &to_bytes(&index)).map(drop)
}

/// Pushes an image, or whatever else a layout holds, and a signature.
///
/// # Errors
/// The registry does not take something; the layout names what it does not hold.
pub fn layout(
    client: &mut Client,
    reference: &Reference,
    layout: &Layout,
    signature: Option<&Signature>,
) -> Result<Descriptor, Error> {
    let tag = tag(reference)?;
    let top = layout.top()?;
    let bytes = layout.blob(top)?;
    let put = |client: &mut Client, manifest: &Descriptor| -> Result<Vec<u8>, Error> {
        let bytes = layout.blob(manifest)?;
        match read(bytes, &manifest.media_type) {
            Ok(Read::Manifest(one)) => {
                for blob in std::iter::once(&one.config).chain(&one.layers) {
                    client.put_blob(layout.blob(blob)?)?;
                }
                Ok(bytes.to_vec())
            }
            _ => Err(layout.wrong("what it names is no manifest")),
        }
    };
    match read(bytes, &top.media_type) {
        Ok(Read::Index(index)) => {
            for entry in &index.manifests {
                let bytes = put(client, entry)?;
                let _ =
                    client.put_manifest(&format!("sha256:{}", entry.digest), MANIFEST, &bytes)?;
            }
            signature.map_or(Ok(()), |signature| cosign::put(client, reference, signature))?;
            let _ = client.put_manifest(tag, INDEX, bytes)?;
        }
        _ => {
            let bytes = put(client, top)?;
            signature.map_or(Ok(()), |signature| cosign::put(client, reference, signature))?;
            let _ = client.put_manifest(tag, MANIFEST, &bytes)?;
        }
    }
    Ok(Descriptor { annotations: Annotations::new(), ..top.clone() })
}
