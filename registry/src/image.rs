//! A container image of two files: the static loader, and the artifact that it runs; or of the
//! artifact alone, for nodes that have a loader of their own (bls-oci).
//!
//! ```text
//! layer 1   /bls-load                               the same for every artifact
//! layer 2   /app.bls  [/etc/bls/trust.json]
//! run as    65532:65532, ["/bls-load", "/app.bls"]; without a loader ["/app.bls"]
//! ```
//!
//! Guarantees the same bytes for the same files. A loader is taken only if it is a static program
//! for the architecture that it is given for. Whether the artifact is one that the loader runs is
//! asked of a loader (`program`), not here.

use crate::error::Error;
use crate::form::{
    Annotations, CONFIG, Descriptor, INDEX, Index, LAYER, MANIFEST, Manifest, Platform, to_bytes,
};
use crate::layout::{Entry, Layout, tar_of};
use crate::package::{Artifact, Source};
use bls_artifact::key::PublicKey;
use bls_artifact::registry::{Defect, architecture};
use bls_artifact::target::Target;
use bls_artifact::trust::Trust;
use object::Endianness;
use object::elf::{
    EM_AARCH64, EM_ARM, EM_RISCV, EM_S390, EM_X86_64, FileHeader32, FileHeader64, PT_INTERP,
    PT_LOAD,
};
use object::read::elf::{FileHeader, ProgramHeader as _};
use serde::Serialize;
use std::path::Path;

/// Whom the guest is run as: nobody that a system knows.
const USER: &str = "65532:65532";
/// Where the two files are.
const LOADER: &str = "bls-load";
const ARTIFACT: &str = "app.bls";
/// Where a loader looks for whom to trust.
const TRUST: &str = "etc/bls/trust.json";
/// The most bytes of a loader.
pub const LOADER_BYTES_MAX: u64 = 256 << 20;

/// A loader that an image can have.
#[derive(Debug)]
pub struct Loader<'a> {
    /// What it runs.
    pub target: Target,
    platform: Platform,
    /// `None` where the node has one.
    bytes: Option<&'a [u8]>,
}

impl<'a> Loader<'a> {
    /// Takes the loader for what `target` names.
    ///
    /// # Errors
    /// It is no static program for that architecture.
    pub fn new(target: Target, source: &'a Source) -> Result<Self, Error> {
        let wrong = |what: &str| {
            let path = source.path.display();
            Error::new(Defect::Loader, format!("{path} is no loader for an image: {what}"))
        };
        let bytes = source.bytes.as_slice();
        let elf = match object::FileKind::parse(bytes) {
            Ok(object::FileKind::Elf64) => Elf::of::<FileHeader64<Endianness>>(bytes),
            Ok(object::FileKind::Elf32) => Elf::of::<FileHeader32<Endianness>>(bytes),
            _ => None,
        };
        let elf = elf.ok_or_else(|| wrong("it is no program"))?;
        let (own, platform) = match elf.machine {
            EM_X86_64 => (Target::X86_64, Platform::linux("amd64", None)),
            EM_AARCH64 => (Target::Aarch64, Platform::linux("arm64", None)),
            EM_RISCV => (Target::Riscv64, Platform::linux("riscv64", None)),
            EM_S390 => (Target::S390x, Platform::linux("s390x", None)),
            // There is no code generator for it: its loader interprets.
            EM_ARM => (Target::Pulley32, Platform::linux("arm", Some("v7"))),
            _ => return Err(wrong("it is a program for an architecture that is not known here")),
        };
        if own != target {
            let what = format!("it is for {}, not for {}", own.short(), target.short());
            return Err(wrong(&what));
        }
        if elf.interpreted {
            return Err(wrong("it is linked dynamically, and an image has no libraries"));
        }
        if !elf.loads {
            return Err(wrong("it is no program"));
        }
        Ok(Self { target, platform, bytes: Some(bytes) })
    }

    /// The loader that a node has itself.
    #[must_use]
    pub fn of_the_node(target: Target) -> Self {
        let (architecture, variant) = match target {
            // As for its loader, which interprets.
            Target::Pulley32 => ("arm", Some("v7")),
            target => (architecture(target), None),
        };
        Self { target, platform: Platform::linux(architecture, variant), bytes: None }
    }
}

/// What is asked of a program's headers.
struct Elf {
    machine: u16,
    /// Whether something else is needed to start it.
    interpreted: bool,
    loads: bool,
}

impl Elf {
    fn of<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Option<Self> {
        let header = H::parse(bytes).ok()?;
        let endian = header.endian().ok()?;
        let segments = header.program_headers(endian, bytes).ok()?;
        let has = |kind| segments.iter().any(|segment| segment.p_type(endian) == kind);
        Some(Self {
            machine: header.e_machine(endian),
            interpreted: has(PT_INTERP),
            loads: has(PT_LOAD),
        })
    }
}

/// The trust file that an image gets: a plain one as it is, or one that trusts this key.
///
/// # Errors
/// It is neither.
pub fn trust_file(source: &Source) -> Result<Vec<u8>, Error> {
    let path = source.path.display();
    let wrong = |what: String| Error::new(Defect::Trust, format!("{path}: {what}"));
    let text = std::str::from_utf8(&source.bytes);
    if let Some(key) = text.ok().and_then(|text| PublicKey::from_text(text).ok()) {
        let mut trust = Trust::default();
        let _ = trust.add(key, &source.path.file_stem().unwrap_or_default().to_string_lossy());
        return Ok(trust.to_text().into_bytes());
    }
    match Trust::parse(&source.bytes) {
        Ok(_) => Ok(source.bytes.clone()),
        Err(error) => Err(wrong(format!("no image can have it: {error}"))),
    }
}

/// The configuration of an image.
#[derive(Serialize)]
struct Configuration<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<&'a String>,
    #[serde(flatten)]
    platform: &'a Platform,
    config: Execution<'a>,
    rootfs: Layers,
    history: Vec<History>,
}

/// How it is run.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Execution<'a> {
    user: &'static str,
    entrypoint: Vec<String>,
    working_dir: &'static str,
    labels: &'a Annotations,
}

/// What its root is made of.
#[derive(Serialize)]
struct Layers {
    #[serde(rename = "type")]
    kind: &'static str,
    diff_ids: Vec<String>,
}

/// Where a layer comes from.
#[derive(Serialize)]
struct History {
    created_by: &'static str,
}

/// Makes an image of these loaders and the artifact that each runs, called `name`.
///
/// # Errors
/// A path that tar cannot hold.
pub fn make(
    images: &[(&Loader<'_>, &Artifact<'_>)],
    trust: Option<&[u8]>,
    name: &str,
) -> Result<Layout, Error> {
    let mut layout = Layout::default();
    let mut entries = Vec::new();
    for (loader, artifact) in images {
        let said = artifact.annotations();
        let manifest = Manifest {
            artifact_type: None,
            config: Descriptor::of(CONFIG, b""),
            layers: Vec::new(),
            ..Manifest::artifact("", Descriptor::of(LAYER, b""), said)
        };
        let bytes = manifest_of(&mut layout, loader, artifact, trust, manifest)?;
        let entry = layout.add(MANIFEST, bytes);
        entries.push(Descriptor { platform: Some(loader.platform.clone()), ..entry });
    }
    entries.sort_by(|one, other| {
        let key = |entry: &Descriptor| entry.platform.as_ref().map(|one| one.architecture.clone());
        key(one).cmp(&key(other))
    });
    let mut top = match entries.as_slice() {
        [one] => one.clone(),
        _ => layout.add(INDEX, to_bytes(&Index::of(entries))),
    };
    // Engines differ in which of the two they take a name from.
    for key in ["org.opencontainers.image.ref.name", "io.containerd.image.name"] {
        let _ = top.annotations.insert(key.to_owned(), name.to_owned());
    }
    layout.name(top);
    Ok(layout)
}

/// Adds what one manifest names, and gives its bytes.
fn manifest_of(
    layout: &mut Layout,
    loader: &Loader<'_>,
    artifact: &Artifact<'_>,
    trust: Option<&[u8]>,
    manifest: Manifest,
) -> Result<Vec<u8>, Error> {
    let file = |path, mode, contents| Entry { path, mode, contents: Some(contents) };
    let folder = |path| Entry { path, mode: 0o755, contents: None };
    let first = loader.bytes.map(|bytes| tar_of(&[file(LOADER, 0o755, bytes)])).transpose()?;
    let stripped = artifact.stripped(loader.target);
    let mut second = vec![file(ARTIFACT, 0o644, stripped.as_slice())];
    if let Some(trust) = trust {
        second.extend([folder("etc/"), folder("etc/bls/"), file(TRUST, 0o644, trust)]);
    }
    let has_loader = first.is_some();
    let all = first.into_iter().chain([tar_of(&second)?]);
    let layers: Vec<Descriptor> = all.map(|bytes| layout.add(LAYER, bytes)).collect();
    // What there is of the two, the loader first.
    let of_both = |both: [&'static str; 2]| both.into_iter().skip(usize::from(!has_loader));
    let said = &manifest.annotations;
    let configuration = Configuration {
        created: said.get("org.opencontainers.image.created"),
        platform: &loader.platform,
        config: Execution {
            user: USER,
            entrypoint: of_both([LOADER, ARTIFACT]).map(|name| format!("/{name}")).collect(),
            working_dir: "/",
            labels: said,
        },
        rootfs: Layers {
            kind: "layers",
            diff_ids: layers.iter().map(|layer| format!("sha256:{}", layer.digest)).collect(),
        },
        history: of_both(["bls-load", "bls-compile image"])
            .map(|created_by| History { created_by })
            .collect(),
    };
    let config = layout.add(CONFIG, to_bytes(&configuration));
    Ok(to_bytes(&Manifest { config, layers, ..manifest }))
}

/// The name of an image, with a tag.
///
/// # Errors
/// It is none.
pub fn name(text: &str) -> Result<String, Error> {
    use crate::reference::{is_name, is_tag};
    let (rest, tag) = match text.rsplit_once(':') {
        Some((rest, tag)) if !tag.contains('/') => (rest, tag),
        _ => (text, "latest"),
    };
    let (host, repository) = rest.split_once('/').unwrap_or(("localhost", rest));
    let is_host = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
    if host.is_empty() || !is_host || !is_name(repository) || !is_tag(tag) {
        let what = format!("{text:?} is no name of an image");
        return Err(
            Error::new(Defect::Reference, what).with_hint("such as registry.example/app:1.2")
        );
    }
    Ok(format!("{host}/{repository}:{tag}"))
}

/// The name that an artifact's image has where none is said.
#[must_use]
pub fn default_name(artifact: &Artifact<'_>) -> String {
    let name = artifact.manifest.name.to_ascii_lowercase();
    let name = if crate::reference::is_name(&name) { name } else { "app".to_owned() };
    format!("localhost/{name}:latest")
}

/// The file that the image is written to where none is said.
#[must_use]
pub fn default_file(artifact: &Artifact<'_>) -> String {
    format!("{}.oci.tar", Path::new(&artifact.manifest.name).display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_name_with_a_tag() {
        for (text, expected) in [
            ("app", "localhost/app:latest"),
            ("ghcr.io/ann/app:1", "ghcr.io/ann/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
        ] {
            assert_eq!(name(text).unwrap(), expected);
        }
        for wrong in ["", "a b", "App", "x/", "/x", "a:", "x/y:-"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_static_program_is_no_loader() {
        let source = |bytes: &[u8]| Source { path: "x".into(), bytes: bytes.to_owned() };
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let host = Target::host().unwrap();
        for (bytes, why) in [(&b"text"[..], "no program"), (&own, "linked dynamically")] {
            let error = Loader::new(host, &source(bytes)).unwrap_err();
            assert!(error.is(Defect::Loader) && error.to_string().contains(why), "{error}");
        }
        let other = Target::ALL.into_iter().find(|target| *target != host).unwrap();
        let error = Loader::new(other, &source(&own)).unwrap_err();
        assert!(error.to_string().contains(&format!("not for {}", other.short())), "{error}");
    }
}
