//! An artifact as a registry keeps it: a manifest for each architecture, with one layer.
//!
//! ```text
//! app.bls (x86_64:v2, x86_64:v3, aarch64)
//!   amd64  manifest ─► layer: app.bls, stripped to x86_64:v2 and x86_64:v3
//!   arm64  manifest ─► layer: app.bls, stripped to aarch64
//! ```
//!
//! Stripping keeps the envelope as it is, so that each layer is signed as the whole was. The form
//! of the file is checked (framing, canonical manifest, every digest), its signatures are not:
//! whoever pulls decides whom to trust. Annotations repeat what is signed inside, for people and
//! registries; nothing here reads them back.

use crate::error::Error;
use crate::form::{ARTIFACT, Annotations, Descriptor, MANIFEST, Manifest, Platform, to_bytes};
use bls_artifact::artifact::{self, Contents};
use bls_artifact::date::Date;
use bls_artifact::digest::Sha256;
use bls_artifact::envelope::Envelope;
use bls_artifact::limits::ARTIFACT_BYTES_MAX;
use bls_artifact::manifest::{self as signed, Part, Statement};
use bls_artifact::registry::{Defect, architecture};
use bls_artifact::target::Target;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What an artifact's own annotations begin with.
const OWN: &str = "dev.bls.";
/// What the OCI's begin with.
const STANDARD: &str = "org.opencontainers.image.";

/// A file that was read.
#[derive(Debug)]
pub struct Source {
    /// Where it lies.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Source {
    /// Reads a file of at most this many bytes.
    ///
    /// # Errors
    /// It cannot be read, or is longer.
    pub fn read(path: &Path, bytes_max: u64) -> Result<Self, Error> {
        let failed = |what: String| {
            Error::new(Defect::Unreadable, format!("cannot read {}: {what}", path.display()))
        };
        let mut bytes = Vec::new();
        let read =
            File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes));
        let _ = read.map_err(|error| failed(error.to_string()))?;
        if bytes.len() as u64 > bytes_max {
            return Err(failed(format!("it is longer than {bytes_max} bytes")));
        }
        Ok(Self { path: path.to_owned(), bytes })
    }

    /// Reads the file of an artifact.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn artifact(path: &Path) -> Result<Self, Error> {
        Self::read(path, ARTIFACT_BYTES_MAX)
    }
}

/// An artifact whose form is right.
#[derive(Debug)]
pub struct Artifact<'a> {
    path: &'a Path,
    envelope_bytes: &'a [u8],
    envelope: Envelope,
    /// What is signed.
    pub manifest: signed::Manifest,
    /// For each part of the manifest its bytes, where the file has them.
    parts: Vec<Option<&'a [u8]>>,
}

impl<'a> Artifact<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// It is none, by the codes of bls-load.
    pub fn parse(source: &'a Source) -> Result<Self, Error> {
        const AGAIN: &str = "fetch or build the artifact again";
        let path = &source.path;
        let (contents, stored) =
            Contents::parse(&source.bytes).map_err(|error| Error::of_frame(path, &error))?;
        let envelope = Envelope::parse(contents.envelope)
            .map_err(|error| Error::of_artifact(path, error.code(), &error, AGAIN))?;
        let manifest = Statement::parse(envelope.payload())
            .map_err(|error| Error::of_artifact(path, error.code(), &error, AGAIN))?;
        let mut stored = stored.into_iter().peekable();
        let mut here = |part: &Part| {
            stored.next_if(|bytes| {
                (bytes.len() as u64, Sha256::of(bytes)) == (part.stored.length, part.stored.sha256)
            })
        };
        let parts = manifest.parts.iter().map(&mut here).collect();
        if stored.next().is_some() {
            let what = format!("{}: a part of the file is not in its manifest", path.display());
            return Err(Error::new(Defect::Unreadable, what).with_hint(AGAIN));
        }
        Ok(Self { path, envelope_bytes: contents.envelope, envelope, manifest, parts })
    }

    /// SHA-256 of what is signed.
    #[must_use]
    pub fn identity(&self) -> Sha256 {
        self.envelope.identity()
    }

    /// The targets that the file has code for, in the order of its parts.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let mut targets: Vec<Target> = self.here().map(|(part, _)| part.target).collect();
        targets.dedup();
        targets
    }

    /// The file with the parts for one target.
    #[must_use]
    pub fn stripped(&self, target: Target) -> Vec<u8> {
        let kept = self.here().filter(|(part, _)| part.target == target);
        let kept: Vec<&[u8]> = kept.map(|(_, bytes)| bytes).collect();
        artifact::write(self.envelope_bytes, &kept)
    }

    /// The machines that it has code for on a target, those that ask least of a CPU first.
    pub fn machines(&self, target: Target) -> impl Iterator<Item = String> {
        self.here().filter(move |(part, _)| part.target == target).map(|(part, _)| part.machine())
    }

    fn here(&self) -> impl Iterator<Item = (&Part, &'a [u8])> {
        let parts = self.manifest.parts.iter().zip(&self.parts);
        parts.filter_map(|(part, bytes)| bytes.map(|bytes| (part, bytes)))
    }

    /// What is said of the release, the same for every architecture.
    #[must_use]
    pub fn annotations(&self) -> Annotations {
        let manifest = &self.manifest;
        let mut said = Annotations::new();
        let mut say = |prefix: &str, key: &str, value: String| {
            said.insert(format!("{prefix}{key}"), value);
        };
        say(OWN, "name", manifest.name.clone());
        say(OWN, "identity", format!("sha256:{}", self.identity()));
        say(OWN, "source", format!("sha256:{}", manifest.source));
        let fuel = manifest.fuel.as_ref().map_or("none", |fuel| &fuel.model);
        say(OWN, "fuel-model", fuel.to_owned());
        let keys = self.envelope.claims().iter().map(|claim| claim.key_id.to_string());
        say(OWN, "keys", keys.collect::<Vec<_>>().join(","));
        say(STANDARD, "title", manifest.name.clone());
        if manifest.sequence != 0 {
            say(OWN, "sequence", manifest.sequence.to_string());
            say(STANDARD, "version", manifest.sequence.to_string());
        }
        if let Some(seconds) = manifest.expires {
            say(OWN, "expires", Date(seconds).to_string());
        }
        if let Some(seconds) = manifest.created {
            say(STANDARD, "created", Date(seconds).to_string());
        }
        said
    }
}

/// What is pushed for one architecture.
#[derive(Debug)]
pub struct Package {
    /// The architecture, by Go's name.
    pub architecture: &'static str,
    /// The artifact with the parts for it.
    pub layer: Vec<u8>,
    /// The manifest.
    pub manifest: Vec<u8>,
    /// Its descriptor, for an index.
    pub descriptor: Descriptor,
}

/// Everything that is pushed under one reference, sorted by architecture, and what is said of all.
#[derive(Debug)]
pub struct Packages {
    /// One for each architecture.
    pub all: Vec<Package>,
    /// What is said of the release.
    pub annotations: Annotations,
    /// What it was made of.
    pub source: Sha256,
    /// Its name.
    pub name: String,
}

/// Makes packages of artifacts: of one, or of several that are one release.
///
/// # Errors
/// One is no artifact; two have code for one architecture, or are not of one release.
pub fn packages(artifacts: &[Artifact<'_>]) -> Result<Packages, Error> {
    let Some(first) = artifacts.first() else {
        return Err(Error::new(Defect::Usage, "no artifact is named"));
    };
    let mut all: Vec<Package> = Vec::new();
    for one in artifacts {
        let (own, theirs) = (&one.manifest, &first.manifest);
        if (&own.name, own.sequence, own.source) != (&theirs.name, theirs.sequence, theirs.source) {
            return Err(Error::new(
                Defect::OtherRelease,
                format!(
                    "{} and {} are not one release: name, sequence or source differ",
                    first.path.display(),
                    one.path.display()
                ),
            ));
        }
        for target in one.targets() {
            let package = package(one, target);
            if all.iter().any(|other| other.architecture == package.architecture) {
                let what = format!(
                    "{} has code for {}, and so has another of these files",
                    one.path.display(),
                    package.architecture
                );
                return Err(Error::new(Defect::Twice, what));
            }
            all.push(package);
        }
    }
    all.sort_by_key(|package| package.architecture);
    Ok(Packages {
        all,
        // Of several files each says its own identity.
        annotations: match artifacts {
            [one] => one.annotations(),
            _ => {
                let mut said = first.annotations();
                said.remove(&format!("{OWN}identity"));
                said
            }
        },
        source: first.manifest.source,
        name: first.manifest.name.clone(),
    })
}

fn package(artifact: &Artifact<'_>, target: Target) -> Package {
    let layer = artifact.stripped(target);
    let mut descriptor = Descriptor::of(ARTIFACT, &layer);
    // The name of a file, for tools that write one.
    let title = format!("{}.bls", artifact.manifest.name);
    descriptor.annotations.insert(format!("{STANDARD}title"), title);
    let mut annotations = artifact.annotations();
    let machines = artifact.machines(target).collect::<Vec<_>>().join(",");
    annotations.insert(format!("{OWN}machines"), machines);
    let manifest = to_bytes(&Manifest::artifact(ARTIFACT, descriptor, annotations));
    let architecture = architecture(target);
    let descriptor = Descriptor {
        artifact_type: Some(ARTIFACT.to_owned()),
        platform: Some(Platform::linux(architecture, None)),
        ..Descriptor::of(MANIFEST, &manifest)
    };
    Package { architecture, layer, manifest, descriptor }
}
