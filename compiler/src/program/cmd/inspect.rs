//! `bls-compile inspect`: everything in an artifact.
//!
//! Checks framing, digests, canonical forms and that parts and manifest agree,
//! as a loader does before it asks whom to trust; that question is the loader's.

use super::check::write_module;
use super::{Failure, print, print_json};
use crate::given::{self, Given};
use crate::program::cli::Inspect;
use bls_artifact::artifact::FORMAT_VERSION;
use bls_artifact::date::Date;
use bls_artifact::digest::Sha256;
use bls_artifact::manifest::{Encoding, Part};
use bls_artifact::quantity::{show_size, write_time};
use bls_artifact::recipe::{self, Recipe};
use bls_artifact::target::{Bounds, Target};
use object::{Object as _, ObjectSection as _};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Read as _;

/// One artifact, and what is in its images.
struct Inspected<'a> {
    given: Given<'a>,
    sections: Vec<Vec<Section>>,
}

/// One section of an image.
struct Section {
    name: String,
    bytes: u64,
}

pub(super) fn run(arguments: &Inspect) -> Result<(), Failure> {
    let path = &arguments.artifact;
    let refused = super::artifact_error("inspect");
    let bytes = given::read(path).map_err(&refused)?;
    let given = Given::parse(&bytes, path).map_err(&refused)?;
    let parts = given.manifest.parts.iter().zip(&given.parts);
    let sections = parts
        .map(|(part, bytes)| bytes.map_or(Ok(Vec::new()), |bytes| image_sections(part, bytes)))
        .collect::<Result<_, _>>()
        .map_err(|what| Failure {
            stage: "inspect",
            code: "artifact.image",
            what: format!("{}: {what}", path.display()),
            excerpt: Vec::new(),
            hint: Some("fetch or build the artifact again".to_owned()),
        })?;
    let inspected = Inspected { given, sections };
    if arguments.json { print_json(&inspected.json()) } else { print(&inspected.table()) }
}

/// The sections of a part's image.
fn image_sections(part: &Part, stored: &[u8]) -> Result<Vec<Section>, String> {
    let image = match part.stored.encoding {
        Encoding::Raw => Cow::Borrowed(stored),
        Encoding::Zstd => Cow::Owned(decompress(stored, part.image.length)?),
    };
    if Sha256::of(&image) != part.image.sha256 {
        return Err(format!("the image for {} does not match its digest", part.target));
    }
    let file = object::File::parse(&*image)
        .map_err(|error| format!("the image for {} is no ELF file: {error}", part.target))?;
    Ok(file
        .sections()
        .filter(|section| section.size() > 0)
        .map(|section| Section {
            name: section.name().unwrap_or("?").escape_default().to_string(),
            bytes: section.size(),
        })
        .collect())
}

/// Decompresses a part, and never more than `length` bytes of it.
fn decompress(stored: &[u8], length: u64) -> Result<Vec<u8>, String> {
    let mut image = Vec::new();
    zstd::Decoder::new(stored)
        .and_then(|decoder| decoder.single_frame().take(length + 1).read_to_end(&mut image))
        .map_err(|error| format!("a part does not decompress: {error}"))?;
    if image.len() as u64 != length {
        return Err("a part does not decompress to the length in its manifest".to_owned());
    }
    Ok(image)
}

impl Inspected<'_> {
    /// Everything, for a program.
    fn json(&self) -> Value {
        let keys: Vec<_> = self.given.envelope.claims().iter().map(|claim| claim.key_id).collect();
        let sections: Vec<Value> = self
            .sections
            .iter()
            .map(|sections| {
                sections
                    .iter()
                    .map(|section| json!({ "name": section.name, "bytes": section.bytes }))
                    .collect()
            })
            .collect();
        json!({
            "format": FORMAT_VERSION,
            "bytes": self.given.file_bytes,
            "envelope_bytes": self.given.envelope_bytes,
            "sha256": self.given.file_digest,
            "identity": self.given.envelope.identity(),
            "key_ids": keys,
            "manifest": self.given.manifest,
            "sections": sections,
        })
    }

    /// Everything, for a person.
    fn table(&self) -> String {
        let manifest = &self.given.manifest;
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = writeln!(text, "name       {}", manifest.name);
        let _ = writeln!(
            text,
            "file       {} ({} bytes), format {FORMAT_VERSION}, envelope {}",
            show_size(self.given.file_bytes),
            self.given.file_bytes,
            show_size(self.given.envelope_bytes as u64),
        );
        let _ = writeln!(text, "sha256     {}", self.given.file_digest);
        let _ = writeln!(text, "identity   {}", self.given.envelope.identity());
        for claim in self.given.envelope.claims() {
            let _ =
                writeln!(text, "signed by  {} (not checked here: bls-load verify)", claim.key_id);
        }
        let compiler = &manifest.compiler;
        let _ = writeln!(
            text,
            "compiler   bls-compile {} with wasmtime {}",
            compiler.version.escape_default(),
            compiler.engine.escape_default(),
        );
        let _ = writeln!(text, "source     {}", manifest.source);
        for module in manifest.recipe().iter().flat_map(Recipe::modules) {
            let _ = writeln!(text, "linked     {} {}", module.sha256, module.name.escape_default());
        }
        let _ = writeln!(text, "compiled   {}", manifest.compiled);
        for document in &manifest.documents {
            let (label, name) = (document.kind.word(), document.name.escape_default());
            let _ = writeln!(text, "{label:<10} {} {name}", document.sha256);
        }
        for (label, value) in [("created", manifest.created), ("expires", manifest.expires)] {
            if let Some(seconds) = value {
                let _ = writeln!(text, "{label:<10} {}", Date(seconds));
            }
        }
        if manifest.sequence != 0 {
            let _ = writeln!(text, "sequence   {}", manifest.sequence);
        }
        match &manifest.fuel {
            Some(fuel) => {
                let _ = writeln!(
                    text,
                    "fuel       {} plan {}, at most {} units between checks, {} to instantiate",
                    fuel.model.escape_default(),
                    fuel.plan,
                    fuel.overrun_max,
                    fuel.instantiation,
                );
            }
            None => {
                let _ = writeln!(text, "fuel       not metered");
            }
        }
        if let Some(memory) = manifest.limits.memory {
            let _ = writeln!(text, "limit      memory {}", show_size(memory));
        }
        if let Some(units) = manifest.limits.fuel {
            let _ = writeln!(text, "limit      fuel {units}");
        }
        if let Some(time) = manifest.limits.time_ms {
            let _ = writeln!(text, "limit      time {}", write_time(time));
        }
        let unlisted = manifest.unlisted_exports().map(|(count, _)| count);
        write_module(&mut text, &manifest.module, unlisted, &manifest.may_use, &manifest.needs);
        for (name, value) in
            manifest.extensions.iter().filter(|(name, _)| *name != recipe::EXTENSION)
        {
            let _ =
                writeln!(text, "extension  {} {}", name.escape_default(), value.escape_default());
        }
        for (part, sections) in manifest.parts.iter().zip(&self.sections) {
            write_part(&mut text, part, sections, manifest.keeps_control_flow(part));
        }
        text
    }
}

/// The lines about one part.
fn write_part(text: &mut String, part: &Part, sections: &[Section], keeps_flow: bool) {
    let _ = writeln!(text, "part       {}", part.target);
    let features: Vec<String> =
        part.cpu_features.iter().map(|name| name.escape_default().to_string()).collect();
    let baseline = "the architecture's own".to_owned();
    let features = if features.is_empty() { baseline } else { features.join(" ") };
    let _ = writeln!(text, "  cpu      {features}");
    let flow = match part.target {
        Target::Aarch64 if keeps_flow => {
            "calls check types; Spectre masks; signed return addresses"
        }
        _ if keeps_flow => "calls check types; Spectre masks",
        _ => "not said",
    };
    let _ = writeln!(text, "  flow     {flow}");
    if part.profile.bounds() == Bounds::Checked {
        let _ = writeln!(text, "  memory   checked: no address space beyond what it may grow to");
    }
    let stored = match part.stored.encoding {
        Encoding::Raw => "stored raw".to_owned(),
        Encoding::Zstd => format!("stored as zstd, {}", show_size(part.stored.length)),
    };
    let _ = writeln!(
        text,
        "  image    {} ({} bytes), {stored}, pages up to {}",
        show_size(part.image.length),
        part.image.length,
        show_size(part.page_size),
    );
    let _ = writeln!(text, "  sha256   {}", part.image.sha256);
    let _ = writeln!(text, "  verity   {}", part.image.verity);
    if sections.is_empty() {
        let _ = writeln!(text, "  stripped from this file");
    }
    for section in sections {
        let _ = writeln!(text, "  {:<26} {:>10}", section.name, section.bytes);
    }
}
