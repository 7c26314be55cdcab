//! `bls-compile inspect`: everything in an artifact; of a component its world, as WIT.
//!
//! A component is looked into in a process of its own, as when it is compiled. Of an artifact this
//! checks framing, digests, canonical forms and that parts and manifest agree,
//! as a loader does before it asks whom to trust; that question is the loader's.

use super::check::write_module;
use super::{Failure, print, print_json};
use crate::assemble::COMPONENT_EXTENSION;
use crate::child::{Child, Job};
use crate::given::{self, Given};
use crate::input::{self, is_component};
use crate::program::cli::Inspect;
use bls_artifact::artifact::FORMAT_VERSION;
use bls_artifact::cpu;
use bls_artifact::date::Date;
use bls_artifact::digest::Sha256;
use bls_artifact::manifest::{Encoding, Part};
use bls_artifact::quantity::{show_size, write_time};
use bls_artifact::recipe::{self, Recipe};
use bls_artifact::target::{Bounds, Language, Target};
use bls_artifact::text::printable_lines;
use object::{Object as _, ObjectSection as _};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Extensions that have lines of their own.
const SHOWN: [&str; 2] = [recipe::EXTENSION, COMPONENT_EXTENSION];

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
    let path = &arguments.file;
    let refused = super::artifact_error("inspect");
    let bytes = given::read(path).map_err(&refused)?;
    if is_component(&bytes) {
        return component(arguments, bytes);
    }
    let given = Given::parse(&bytes, path).map_err(&refused)?;
    let sections = (0..given.parts.len())
        .map(|part| image_sections(&given, part))
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

/// The world of a component.
fn component(arguments: &Inspect, bytes: Vec<u8>) -> Result<(), Failure> {
    let digest = Sha256::of(&bytes);
    let given = input::Given::one(bytes, &input::label(&arguments.file));
    let world = Child::start(given, Job::World, arguments.bounded.into())?.world()?;
    match arguments.json {
        true => print_json(&json!({ "source_sha256": digest, "world": world })),
        false => print(&printable_lines(&world)),
    }
}

/// The sections of the image of this part; none where the file was stripped of it.
fn image_sections(given: &Given<'_>, part: usize) -> Result<Vec<Section>, String> {
    let Some(image) = given.image(part)? else { return Ok(Vec::new()) };
    let part = &given.manifest.parts[part];
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
            "present": self.given.parts.iter().map(Option::is_some).collect::<Vec<_>>(),
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
        for line in manifest.extensions.get(COMPONENT_EXTENSION).iter().flat_map(|it| it.lines()) {
            let _ = writeln!(text, "component  {}", line.escape_default());
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
            manifest.extensions.iter().filter(|(name, _)| !SHOWN.contains(&name.as_str()))
        {
            let _ =
                writeln!(text, "extension  {} {}", name.escape_default(), value.escape_default());
        }
        let (all, here) = (manifest.parts.len(), self.given.stored().len());
        if here < all {
            let _ =
                writeln!(text, "parts      {here} of {all}: the file was stripped of the others");
        }
        for ((part, sections), stored) in
            manifest.parts.iter().zip(&self.sections).zip(&self.given.parts)
        {
            write_part(&mut text, part, sections, manifest.keeps_control_flow(part));
            if stored.is_none() {
                let _ = writeln!(text, "  stripped from this file");
            }
        }
        text
    }
}

/// The lines about one part.
fn write_part(text: &mut String, part: &Part, sections: &[Section], keeps_flow: bool) {
    let _ = writeln!(text, "part       {}", part.target);
    let mut features = part.cpu_features.join(" ");
    if features.is_empty() {
        features += "the architecture's own";
    }
    let cpu = match cpu::shown(part.target, &part.cpu_features) {
        cpu if cpu.is_empty() => features,
        cpu => format!("{cpu}: {features}"),
    };
    let _ = writeln!(text, "  cpu      {cpu}");
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
    if part.profile.language() == Language::Core {
        let _ =
            writeln!(text, "  wasm     core: no objects, exceptions, typed references, atomics");
    }
    let stored = match part.stored.encoding {
        Encoding::Raw => "stored raw".to_owned(),
        Encoding::Sparse => {
            format!("stored without long runs of zeros, {}", show_size(part.stored.length))
        }
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
    for section in sections {
        let _ = writeln!(text, "  {:<26} {:>10}", section.name, section.bytes);
    }
}
